"""BHRC: accelerograms of the Iran Strong Motion Network (``.V1``), three components per file.

The layout of volume 1 after Trifunac & Lee (1973, EERL 73-03), cut at 70 columns: 13 lines of text, 7 of
integers (5 columns each), 7 of reals (13 columns each), samples in g/10 (10 of 13 columns), ``/&``. The
samples stand without their times. Known from files that the network handed out; no description is
published. No time of the first sample is stated: the origin time, which is UTC, stands for it, with an
unknown uncertainty. The number in the title is that of the record, not of the station, whose name follows
further down; it is the only code there is.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from kaname.core.shaking import GRAVITY_CM_S2
from kaname.formats.accelerogram_text import columns, fixed_width, moment, number, whole
from kaname.formats.accelerograms import AccelerogramRead, ComponentsReader, RecordHeader
from kaname.formats.contract import register

_TITLE = re.compile(rb"^\*\s*(VOL\w*)\s+FILE\s*:")
_SECOND = re.compile(rb"^\s*Inst\s*Type\s*=", re.IGNORECASE)
_KNOWN_VOLUME = "VOL1DS"
_TEXT_LINES, _INTEGER_LINES, _REAL_LINES = 13, 7, 7
_WIDTH, _PER_LINE = 13, 10
_MAGNITUDES = {"Mw": "Mw", "Ms": "Ms", "mb": "mb", "ML": "ML", "M": ""}


@register
class BhrcReader(ComponentsReader):
    """Reader of the Iranian network's volume 1 files."""

    name = "bhrc"
    what = "BHRC volume 1 file"
    first, second = _TITLE, _SECOND

    def component(self, lines: list[bytes], path: Path, out: AccelerogramRead, unended: bool) -> None:
        """Parse one; see `ComponentsReader`."""
        text = [line.decode("latin-1") for line in lines[:_TEXT_LINES]]
        after = _TEXT_LINES + _INTEGER_LINES
        reals, _ = fixed_width(lines[after : after + 2], _WIDTH, 5, 10)
        after += _REAL_LINES
        if len(text) < _TEXT_LINES or len(lines) <= after or len(reals) < 6:
            out.fail(path, "truncated in the header of a component")
            return
        volume = re.match(r"\*\s*(\w+)", text[0])
        if volume is None or volume[1] != _KNOWN_VOLUME or "G/10" not in text[11].upper():
            out.fail(
                path,
                f"left out {text[6].strip()}: {text[0].strip()!r} in {text[11].strip()!r}; "
                f"known is {_KNOWN_VOLUME} in G/10",
            )
            return
        header = _header(text, reals)
        samples = columns(
            lines, after, width=_WIDTH, per_line=_PER_LINE, count=header.n_sample, unended=unended
        )
        out.add(path, header, samples * (0.1 * GRAVITY_CM_S2))


def _header(text: list[str], reals: np.ndarray) -> RecordHeader:
    code = re.search(r"FILE\s*:\s*(\w+)", text[0])
    site = re.match(
        r"\s*(.*?)\s+Station\s+([\d.]+)\s*([NS])\s+([\d.]+)\s*([EW])\s*(?:Altitude\s*(-?[\d.]+)\s*m)?",
        text[7], re.IGNORECASE,
    )  # fmt: skip
    place = re.match(
        r"\s*Epicenter\s+([\d.]+)\s*([NS])\s+([\d.]+)\s*([EW])\s*(?:FD\s*([\d.]+)\s*Km)?",
        text[8], re.IGNORECASE,
    )  # fmt: skip
    sizes = dict(re.findall(r"\b(Mw|Ms|mb|ML|M)\s*(\d+(?:\.\d+)?)\b", text[8]))
    kind = next((m for m in _MAGNITUDES if m in sizes), "")
    word = text[4].strip().upper()
    azimuth = re.search(rf"\b{re.escape(word)}\s+(\d+(?:\.\d+)?)", text[7].partition("Azimuth")[2])
    origin = re.search(r"(\d{4})/(\d\d?)/(\d\d?)\s+(\d\d?):(\d\d):(\d\d(?:\.\d+)?)", text[2])
    count = re.search(r"POINTS\s*=\s*(\d+)\s+DURATION\s*=\s*([\d.]+)", text[10])
    n_sample = whole(number(count[1])) if count else 0
    duration = number(count[2]) if count else np.nan
    # The rate is stated too; the duration is that of all samples, not from the first to the last.
    stated = reals[5]
    rate = n_sample / duration if duration > 0 else np.nan
    if stated > 0 and abs(stated / rate - 1) <= 2 / max(n_sample, 1):
        rate = float(stated)
    time: np.datetime64 = np.datetime64("NaT", "ns")
    if origin:
        year, month, day, hour, minute, second = map(float, origin.groups())
        time = moment(year, month, day, hour, minute, second)
    return RecordHeader(
        format="bhrc",
        stage="uncorrected",
        network="I1",
        station=code[1] if code else "",
        station_name=site[1] if site else "",
        component=word,
        azimuth_deg=float(azimuth[1]) % 360.0 if azimuth and word != "V" else np.nan,
        vertical=word == "V",
        start=time,
        start_uncertainty_s=np.nan,
        sampling_rate=rate,
        n_sample=n_sample,
        latitude=_signed(site[2], site[3]) if site else np.nan,
        longitude=_signed(site[4], site[5]) if site else np.nan,
        elevation_m=number(site[6]) if site and site[6] else np.nan,
        origin_time=time,
        event_latitude=_signed(place[1], place[2]) if place else np.nan,
        event_longitude=_signed(place[3], place[4]) if place else np.nan,
        event_depth_km=number(place[5]) if place and place[5] else np.nan,
        magnitude=number(sizes[kind]) if kind else np.nan,
        magnitude_type=_MAGNITUDES.get(kind, ""),
        instrument=text[1].partition("=")[2].strip(),
        natural_frequency_hz=1.0 / reals[0] if reals[0] > 0 else np.nan,
        damping=float(reals[1]) if reals[1] > 0 else np.nan,
    )


def _signed(value: str, hemisphere: str) -> float:
    return -number(value) if hemisphere in "SW" else number(value)
