"""K-NET and KiK-net strong-motion records (NIED, Japan): component files, and bundles of them.

Bytes, units and traps: ``docs/formats-knet.md``. The samples are counts, as recorded;
`KnetRecord.acceleration` applies the scale factor of the header. A bundle (tar, zip, gzip, nested as NIED
delivers them) is read as all the records in it; what else is in it (pictures, lists) is named in
`KnetRead.others`.

The SEED identifier of a record is ``BO.STATION.LOCATION.CHANNEL``. ``BO`` is the FDSN code of NIED's
"Bosai-Ken Network", which ObsPy uses too, and `read_knet` takes another. Locations are those of NIED's file
names, ``01`` borehole and ``02`` surface, and empty for K-NET, which has one sensor. The channel is a band
letter by rate, ``N`` (accelerometer) and ``N``, ``E`` or ``Z``: ``HNZ`` at 100 Hz.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kaname.core.errors import FormatError
from kaname.core.tables import STATIONS, table
from kaname.core.waveform import Waveform
from kaname.formats.bundles import Member, is_bundle, members
from kaname.formats.contract import HEAD_BYTES, WaveformRead, register, seed_id
from kaname.formats.knet_header import KnetHeader, is_knet, read_header
from kaname.formats.knet_samples import MOST_PER_LINE, parse_samples
from kaname.formats.win_names import band_code

NETWORK = "BO"
"""FDSN network code of the Bosai-Ken Network of NIED (https://www.fdsn.org/networks/detail/BO/)."""
_SUFFIXES = (".EW", ".NS", ".UD", ".EW1", ".NS1", ".UD1", ".EW2", ".NS2", ".UD2")
_PEEK_MEMBERS = 32
_INSTRUMENT = "N"


@dataclass(frozen=True)
class KnetRecord:
    """One gap-free block of one component, with its header."""

    header: KnetHeader
    counts: Waveform
    """One channel, ``int32``, unit ``count``."""

    def acceleration(self) -> Waveform:
        """Return the acceleration [cm/s^2], counts times the scale factor; the offset stays in.

        Raises
        ------
        FormatError
            When the header states no scale factor.
        """
        scale = self.header.scale_cm_s2
        if math.isnan(scale):
            raise FormatError(
                f"{self.counts.ids[0]}: its header states no Scale Factor; counts cannot become acceleration"
            )
        return replace(self.counts, data=self.counts.data * scale, unit="cm/s^2")


@dataclass
class KnetRead:
    """The records of a file or bundle, what could not be read, and what else lay in the bundle."""

    records: list[KnetRecord] = field(default_factory=list)
    """By identifier, then by time."""
    failures: list[dict[str, Any]] = field(default_factory=list)
    """Rows of `kaname.core.tables.FAILURES`."""
    others: list[str] = field(default_factory=list)
    """Names of the files of the bundle that are no K-NET records."""

    def headers(self) -> pd.DataFrame:
        """Return one row per record: its identifier and every value of its header."""
        names = ("id", *KnetHeader.__dataclass_fields__)
        rows = [(r.counts.ids[0], *vars(r.header).values()) for r in self.records]
        return pd.DataFrame(rows, columns=list(names))

    def stations(self) -> pd.DataFrame:
        """Return where the sensors stood (`kaname.core.tables.STATIONS`), one row per sensor.

        The depth of a borehole sensor is the height of the surface sensor of its station less its own, and
        unknown, with the elevation, where the surface sensor is not among the records.
        """
        sensors: dict[tuple[str, str, str], KnetHeader] = {}
        for record in self.records:
            network, station, location, _ = record.counts.ids[0].split(".")
            sensors.setdefault((network, station, location), record.header)
        rows: list[dict[str, Any]] = []
        for (network, station, location), header in sensors.items():
            ground = header
            if header.location == "01":
                ground = sensors.get((network, station, "02"), KnetHeader())
            rows.append(
                {
                    "network": network,
                    "station": station,
                    "location": location,
                    "latitude": header.station_latitude,
                    "longitude": header.station_longitude,
                    "elevation_m": ground.station_height_m,
                    "sensor_depth_m": ground.station_height_m - header.station_height_m
                    if header.location == "01"
                    else 0.0,
                }
            )
        return table([r for r in rows if np.isfinite(r["latitude"] + r["longitude"])], STATIONS)


def holds_knet(path: Path) -> bool:
    """Tell whether a file, or one of the first files in a bundle, begins with a K-NET header."""
    try:
        peeked = zip(range(_PEEK_MEMBERS), members(path, peek=HEAD_BYTES))
        return any(is_knet(member.content) for _, member in peeked)
    except OSError:
        return False


def read_knet(path: str | Path, *, network: str = NETWORK) -> KnetRead:
    """Read a component file or a bundle of them.

    Parameters
    ----------
    path
        A component file, or tar, zip, gzip, bzip2 or xz around such files, nested or not.
    network
        Network code of the identifiers.

    Raises
    ------
    FormatError
        When nothing in the file can be read.
    """
    source = Path(path)
    result = KnetRead()
    try:
        for member in members(source):
            _read_member(member, source, network, result)
    except OSError as error:
        raise FormatError(f"cannot read {source}: {error.strerror or error}") from error
    if not result.records:
        reasons = "; ".join(f["message"] for f in result.failures) or "no K-NET header in it"
        raise FormatError(f"nothing can be read from {source} as K-NET or KiK-net: {reasons}")
    result.records.sort(key=lambda r: (r.counts.ids, r.counts.start))
    return result


@register
class KnetReader:
    """Reader of K-NET and KiK-net records, single or bundled."""

    name = "knet"

    def sniff(self, head: bytes, path: Path) -> bool:
        """Look for labels of the header; in a bundle, among its first files."""
        return is_knet(head) or (is_bundle(head) and holds_knet(path))

    def read(self, path: Path, *, start: np.datetime64 | None, end: np.datetime64 | None) -> WaveformRead:
        """Read the samples with ``start <= time < end``; see `kaname.formats.contract.WaveformReader`."""
        read = read_knet(path)
        result = WaveformRead(failures=read.failures)
        for record in read.records:
            result.add(record.counts, start, end)
        return result


def _read_member(member: Member, source: Path, network: str, result: KnetRead) -> None:
    where = f"{source} ({member.name})" if member.name else str(source)

    def fail(message: str, **extra: Any) -> None:
        row = {
            "step": "read",
            "subject": str(source),
            "error": "FormatError",
            "message": f"{where}: {message}",
        }
        result.failures.append({**row, **extra})

    if member.damage:
        fail(member.damage)
    if not is_knet(member.content):
        if member.name.upper().endswith(_SUFFIXES):
            fail("has the name of a K-NET record and no header of one")
        elif member.content and member.name:
            result.others.append(member.name)
        return
    read = read_header(member.content)
    header = read.header
    for fault in read.faults:
        fail(fault)
    usable = {
        "Station Code": bool(header.station),
        "Record Time": not np.isnat(header.start),
        "Sampling Freq(Hz)": not math.isnan(header.sampling_rate),
        "Dir.": bool(header.direction),
    }
    lacking = [label for label, sound in usable.items() if not sound]
    if lacking:
        fail(f"left out: no usable {', '.join(lacking)}, and without it the samples have no name or no place")
        return
    if math.isnan(header.scale_cm_s2):
        fail("states no usable Scale Factor; its samples stay counts")
    identifier, changed = seed_id(
        network,
        header.station,
        header.location,
        band_code(header.sampling_rate) + _INSTRUMENT + header.orientation,
    )
    if changed:
        fail(changed)
    text, cut = member.content, ""
    if len(text) > read.end and text[-1:].strip():
        # The last number may have lost digits.
        text = text[: len(text) - len(text[read.end :].split()[-1])]
        cut = "; the last number is not followed by a blank and may be cut: left out"
    counts, good = _samples(text, read.end, header, fail, cut)
    if not good.any():
        fail("holds no samples")
        return
    whole = Waveform(counts[np.newaxis, :], (identifier,), header.start, header.sampling_rate)
    runs = [slice(0, len(good))] if good.all() else _runs(good)
    for run in runs:
        block = whole if len(runs) == 1 and good.all() else _part(whole, run)
        result.records.append(KnetRecord(header, block))
    for low, high in _gaps(runs, len(good)):
        fail(
            f"{high - low} samples from number {low + 1} on cannot be read and are a gap",
            start=whole.time(low),
            end=whole.time(high),
        )
    if good.all() and not cut:
        _check_peak(counts, header, fail)


def _samples(text: bytes, begin: int, header: KnetHeader, fail: Any, cut: str) -> tuple[Any, Any]:
    newline = text.find(b"\n", begin)
    per_line = len(text[begin : newline if newline >= 0 else len(text)].split())
    if not 0 < per_line <= MOST_PER_LINE:
        if per_line:
            fail(f"its first line of samples has {per_line} numbers; expected 8, and at most {MOST_PER_LINE}")
        return np.empty(0, np.int32), np.empty(0, np.bool_)
    found = parse_samples(text, per_line, begin=begin)
    counts, good, expected = found.counts, found.good, header.n_sample
    if found.first_uneven >= 0 and len(counts) != expected:
        lost = len(counts) - found.first_uneven
        counts, good = counts[: found.first_uneven], good[: found.first_uneven]
        fail(
            f"a line after sample {found.first_uneven} has not {per_line} numbers and Duration Time does not "
            f"agree with the lines: the {lost} samples from there on have no certain place and are left out"
        )
    if (expected and len(counts) < expected) or cut:
        stated = expected or "no number of"
        fail(f"truncated: {stated} samples stated, {len(counts)} found, taken to be the first{cut}")
    elif expected and len(counts) > expected:
        fail(f"{expected} samples stated, {len(counts)} found; all are given")
    return counts, good


def _check_peak(counts: Any, header: KnetHeader, fail: Any) -> None:
    """Compare with ``Max. Acc.``: it is the only check sum the format has."""
    if not header.max_acceleration or math.isnan(header.scale_cm_s2):
        return
    peak = max_acceleration(counts, header.scale_cm_s2)
    digits = len(header.max_acceleration.partition(".")[2])
    if abs(peak - float(header.max_acceleration)) > 1.01 * 10.0**-digits:
        fail(
            f"Max. Acc. states {header.max_acceleration} gal and the samples give {peak:.{digits}f}: one of "
            "them is damaged",
        )


def max_acceleration(counts: Any, scale_cm_s2: float) -> float:
    """Return the largest departure from the mean [cm/s^2], which is what ``Max. Acc.`` states.

    Parameters
    ----------
    counts
        The whole record, shape ``(n_sample,)`` [count].
    scale_cm_s2
        Acceleration per count [cm/s^2].
    """
    mean = np.mean(counts, dtype=np.float64)
    return float(max(np.max(counts) - mean, mean - np.min(counts)) * scale_cm_s2)


def _runs(good: Any) -> list[slice]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]])))
    return [slice(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def _gaps(runs: Iterable[slice], n_sample: int) -> list[tuple[int, int]]:
    edges = [0, *(e for run in runs for e in (run.start, run.stop)), n_sample]
    return [(a, b) for a, b in zip(edges[::2], edges[1::2]) if b > a]


def _part(whole: Waveform, run: slice) -> Waveform:
    return replace(whole, data=whole.data[:, run], start=whole.time(run.start))
