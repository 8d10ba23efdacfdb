"""K-NET files written from NIED's description of the format, for the tests of the reader."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np

SCALE = "3920(gal)/6182761"
LABELS = {
    "Origin Time": "2013/09/01 13:10:00",
    "Lat.": "41.0",
    "Long.": "142.5",
    "Depth. (km)": "30",
    "Mag.": "6.2",
    "Station Code": "AOM001",
    "Station Lat.": "41.5267",
    "Station Long.": "140.9244",
    "Station Height(m)": "39",
    "Record Time": "2013/09/01 13:10:50",
    "Sampling Freq(Hz)": "100Hz",
    "Duration Time(s)": "7",
    "Dir.": "N-S",
    "Scale Factor": SCALE,
    "Max. Acc. (gal)": "0.000",
    "Last Correction": "2013/09/01 13:10:00",
    "Memo.": "",
}


def knet(
    counts: Sequence[int] | np.ndarray,
    *,
    start: datetime = datetime(2013, 9, 1, 4, 10, 35),
    rate: int = 100,
    header: Mapping[str, str] | None = None,
    newline: str = "\n",
) -> bytes:
    """Return a component file; ``start`` is UTC, ``header`` replaces values."""
    counts = np.asarray(counts)
    numerator, denominator = SCALE.replace("(gal)", "").split("/")
    peak = np.abs(counts - counts.mean()).max() * float(numerator) / float(denominator)
    stated = {
        **LABELS,
        "Record Time": f"{start + timedelta(hours=9, seconds=15):%Y/%m/%d %H:%M:%S}",
        "Sampling Freq(Hz)": f"{rate}Hz",
        "Duration Time(s)": f"{len(counts) / rate:g}",
        "Max. Acc. (gal)": f"{peak:.3f}",
        **(header or {}),
    }
    lines = [f"{label:<18}{value}" for label, value in stated.items()]
    for i in range(0, len(counts), 8):
        lines.append("".join(f"{int(count):8d} " for count in counts[i : i + 8]))
    return (newline.join(lines) + newline).encode("utf-8")


def tar(files: Mapping[str, bytes], *, mode: str = "w") -> bytes:
    """Return a tar archive, ``mode`` ``w:gz`` packs it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()
