"""SMC, the text format of the U.S. Geological Survey's strong-motion programme: one component per file.

Format: https://escweb.wr.usgs.gov/nsmp-data/smcfmt.html. Eleven lines of text, 48 integers (8 of 10
columns), 50 reals (5 of 15 columns), comment lines that begin with ``|``, samples (8 of 10 columns, with or
without blanks between them) in cm/s2. The first integer and the first real are what stands for *not
stated*. Longitudes west are negative, but some files write them positive; the network is the United
States', so they are taken as west. Velocity and displacement files of the same format are no records and
are refused.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from kaname.core.errors import FormatError
from kaname.formats.accelerogram_text import columns, fixed_width, moment, whole
from kaname.formats.accelerograms import AccelerogramRead, AccelerogramReader, RecordHeader
from kaname.formats.contract import register

_TITLE = re.compile(
    rb"^\s*([012])?\s*(uncorrected|corrected|velocity|displacement)?\s*(accelerogram)?\s*$", re.IGNORECASE
)
_TEXT_LINES, _INTEGER_LINES, _REAL_LINES = 11, 6, 10
_HOUSING = {1: "building", 2: "bridge", 3: "dam", 4: "structure"}
_INSTRUMENTS = {
    2: "SA-3000", 30: "FBA-13", 31: "FBA-11", 101: "SMA-1", 102: "C&GS standard", 103: "AR-240",
    104: "RFT-250", 105: "RFT-350", 106: "MO-2", 107: "RMT-280", 108: "SMA-2/3", 109: "DSA-1/DSA-3",
    110: "DCA-300", 111: "DCA-333", 112: "A-700", 113: "SSA-1", 116: "FBA-3", 119: "FBA-13", 120: "SSA-2",
    121: "SSR-1", 125: "FBA-23", 126: "Episensor", 140: "CMG5", 1302: "130-ANSS/02",
}  # fmt: skip


@register
class SmcReader(AccelerogramReader):
    """Reader of SMC files."""

    name = "smc"

    def sniff(self, head: bytes, path: Path) -> bool:
        """Look for the title and, below the text, a line of eight integers of ten columns."""
        lines = head.replace(b"\r", b"").split(b"\n")
        if len(lines) <= _TEXT_LINES + 1 or not lines[0].strip() or not _TITLE.match(lines[0][:80]):
            return False
        return re.fullmatch(rb"(\s*-?\d+){8}\s*", lines[_TEXT_LINES][:80]) is not None

    def parse(self, content: bytes, path: Path) -> AccelerogramRead:
        """Parse the one component of a file."""
        lines = content.replace(b"\r", b"").split(b"\n")
        title = _TITLE.match(lines[0][:80])
        if title is None or title[2] is None or not title[3]:
            kind = lines[0][:40].decode("latin-1").strip()
            raise FormatError(f"{path} is no SMC accelerogram: its title is {kind!r}")
        text = [line.decode("latin-1") for line in lines[:_TEXT_LINES]]
        integers, n_bad = fixed_width(lines[_TEXT_LINES : _TEXT_LINES + _INTEGER_LINES], 10, 8, 48)
        after = _TEXT_LINES + _INTEGER_LINES
        reals, _ = fixed_width([_blank(x) for x in lines[after : after + _REAL_LINES]], 15, 5, 50)
        after += _REAL_LINES
        if len(integers) < 48 or len(reals) < 50 or n_bad or not math.isfinite(integers[0]):
            raise FormatError(
                f"{path}: its header has {len(integers)} integers and {len(reals)} reals; "
                "expected 48 and 50 numbers"
            )
        missing = integers[0]
        i = np.where(integers == missing, np.nan, integers)
        count, n_comment = whole(i[16]), whole(i[15])
        if not count:
            raise FormatError(f"{path} states no number of samples")
        comments = "\n".join(
            c.decode("latin-1").strip().lstrip("|").strip() for c in lines[after : after + n_comment]
        )
        after += n_comment
        values = columns(lines, after, width=10, per_line=8, count=count, unended=bool(lines[-1]))
        out = AccelerogramRead()
        header = _header(text, title[2].decode().lower(), i, reals, comments)
        if i[17] == 1:
            out.fail(path, f"the file says that there is a problem with it: {comments[:200]}")
        out.add(path, header, values)
        return out


def _blank(line: bytes) -> bytes:
    """Let the value that means *not stated*, 1.7e38, be no number."""
    return re.sub(rb"0\.1[67]\d*E\+39|1\.7\d*E\+38", lambda m: b" " * (len(m[0]) - 1) + b"-", line)


def _header(text: list[str], title: str, i: np.ndarray, r: np.ndarray, comments: str) -> RecordHeader:
    vertical_angle, azimuth = i[12], i[13]
    vertical = vertical_angle in (0.0, 180.0) or (math.isnan(azimuth) and "up" in text[5].lower()[-12:])
    start = moment(
        i[1], 1, 1, i[3], i[4], (i[5] if i[5] == i[5] else 0.0) + (i[6] if i[6] == i[6] else 0.0) / 1e3
    )
    day = whole(i[2])
    if not np.isnat(start) and 1 <= day <= 366:
        start = start + np.timedelta64(day - 1, "D")
    else:
        start = np.datetime64("NaT", "ns")
    named = re.search(r"station\s*=\s*(.*?)\s*component\s*=\s*(\S*)", text[5])
    event = re.match(r"\s*(\d{4})\s+(\d+)\s+(\d+)\s+(\d{4})\s*(.*?)\s*$", text[3])
    code = text[2].strip()[:5].strip("\0 ") or (str(whole(i[29])) if whole(i[29]) else "")
    # The third line states station and component, such as SAF0B; the integers have the station's number.
    station = str(whole(i[29])) if whole(i[29]) else code
    magnitude, kind = next(
        ((m, k) for m, k in zip(r[5:8], ("Mw", "Ms", "ML")) if math.isfinite(m)), (np.nan, "")
    )
    source = text[7].partition("source")[2].strip(" =")
    peak = re.search(r"pk\s*=\s*(-?[\d.]+)", text[6])
    longitude, event_longitude = r[11], r[3]
    return RecordHeader(
        format="smc",
        stage="corrected" if title == "corrected" else "uncorrected",
        network="NP" if "USGS" in source else "",
        station=station,
        station_name=named[1] if named else "",
        housing=_HOUSING.get(whole(i[18]), ""),
        component=named[2] if named else f"{azimuth:g}",
        azimuth_deg=float(azimuth) % 360.0 if not vertical and 0 <= azimuth <= 360 else np.nan,
        vertical=vertical,
        start=start,
        start_uncertainty_s=0.0 if math.isfinite(i[6]) else 60.0,
        sampling_rate=float(r[1]),
        n_sample=whole(i[16]),
        latitude=_within(r[10], 90),
        longitude=_within(-abs(longitude), 180),
        elevation_m=float(r[12]),
        event_name=event[5] if event else "",
        origin_time=_origin(event),
        event_latitude=_within(r[2], 90),
        event_longitude=_within(-abs(event_longitude), 180),
        event_depth_km=float(r[4]) if -10 <= r[4] <= 800 else np.nan,
        magnitude=float(magnitude),
        magnitude_type=kind,
        instrument=_INSTRUMENTS.get(whole(i[14]), text[7].partition("=")[2].split("data")[0].strip()),
        natural_frequency_hz=float(r[21]),
        damping=float(r[22]),
        corner_low_hz=_corner(r[32]),
        corner_high_hz=_corner(r[20]),
        peak=peak[1] if peak else "",
        comments=comments,
    )


def _origin(event: re.Match[str] | None) -> np.datetime64:
    if event is None:
        return np.datetime64("NaT", "ns")
    year, month, day, clock = event.groups()[:4]
    return moment(float(year), float(month), float(day), float(clock[:2]), float(clock[2:]))


def _within(value: float, most: float) -> float:
    return float(value) if abs(value) <= most else np.nan


def _corner(value: float) -> float:
    return float(value) if 0 < value < 1e4 else np.nan
