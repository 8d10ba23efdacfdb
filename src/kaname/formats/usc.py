"""USC volume 1 (``.s0a``, ``.e0a`` ...): digitised film of the Los Angeles network, one component per file.

Format: Trifunac & Lee (1973), Routine Computer Processing of Strong-Motion Accelerograms, EERL 73-03,
volume I, as written by the University of Southern California. 13 lines of text (each ends with the number
of its characters), 100 integers (16 of 5 columns), 50 reals (8 of 10 columns), then pairs of time [s] and
acceleration [g/10], five pairs a line (7 columns each; the first time 8). The times are where the film was
read and are not quite even. No time of the first sample is stated, only the minute of the earthquake: that
minute stands for it, with an unknown uncertainty.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from kaname.core.errors import FormatError
from kaname.core.shaking import GRAVITY_CM_S2
from kaname.formats.accelerogram_text import (
    columns,
    degrees,
    direction,
    fixed_width,
    moment,
    n_in_order,
    whole,
)
from kaname.formats.accelerograms import AccelerogramRead, AccelerogramReader, RecordHeader
from kaname.formats.contract import register

_TITLE = re.compile(rb"^\s*FILE\s+\d+\s+OF UNCORRECTED ACCELEROGRAM DATA OF VOLUME I\b", re.IGNORECASE)
_TEXT_LINES, _INTEGER_LINES, _REAL_LINES = 13, 7, 7
_PAIRS, _WIDTH = 5, 7
_CODED_VERTICAL = (400, 500, 600)


@register
class UscReader(AccelerogramReader):
    """Reader of USC volume 1 files."""

    name = "usc"

    def sniff(self, head: bytes, path: Path) -> bool:
        """Look for the title."""
        return _TITLE.match(head[:200]) is not None

    def parse(self, content: bytes, path: Path) -> AccelerogramRead:
        """Parse the one component of a file."""
        lines = content.replace(b"\r", b"").split(b"\n")
        text = [line.decode("latin-1") for line in lines[:_TEXT_LINES]]
        after = _TEXT_LINES + _INTEGER_LINES
        integers, _ = fixed_width(lines[_TEXT_LINES:after], 5, 16, 100)
        reals, _ = fixed_width(lines[after : after + _REAL_LINES], 10, 8, 50)
        if len(integers) < 100 or len(reals) < 16:
            raise FormatError(f"{path}: its header has {len(integers)} integers; expected 100")
        body = lines[after + _REAL_LINES :]
        unended = bool(body and body[-1])
        count = whole(integers[27])
        # The first column is one character wider than the others: without it all are alike.
        rows = [line[1:] for line in body if line.strip()]
        layout = {"width": _WIDTH, "per_line": 2 * _PAIRS, "count": 2 * count}
        numbers = columns(rows, 0, **layout, unended=unended)
        n = len(numbers) // 2
        times, values = numbers[0 : 2 * n : 2], numbers[1 : 2 * n : 2]
        out = AccelerogramRead()
        unit = reals[4] if reals[4] > 0 else 0.1  # g: the samples are in tenths of it
        n_good = n_in_order(times)
        if n_good < n:
            out.fail(
                path,
                f"the times of the samples are not in order from number {n_good + 1} on: left out from there",
            )
            times, values = times[:n_good], values[:n_good]
        header = _header(text, integers, reals, count)
        out.add(path, header, values * (unit * GRAVITY_CM_S2), times_s=times)
        return out


def _header(text: list[str], i: np.ndarray, r: np.ndarray, count: int) -> RecordHeader:
    station = re.match(r"\s*STATION USC#\s*(\d+)\s+[\d ]+([NSEW])\s*,\s*[\d ]+([NSEW])", text[4])
    place = re.match(r"\s*EPICENTER\s*-\s*([\d ]+[NS])\s*,\s*([\d ]+[EW])", text[8])
    component = re.match(r"\s*COMP\s+(\S+)", text[6])
    word = component[1] if component else ""
    azimuth, vertical = direction(word)
    minute = moment(i[23], i[21], i[22], i[24] // 100, i[24] % 100)
    duration = r[2]
    magnitude = next((float(m) for m in r[11:12] if 0 < m < 10), np.nan)
    return RecordHeader(
        format="usc",
        stage="uncorrected",
        network="LA",
        station=station[1] if station else (f"{whole(i[8]):04d}" if whole(i[8]) else ""),
        station_name=_stated(text[5]),
        component=word,
        azimuth_deg=azimuth,
        vertical=vertical or i[26] in _CODED_VERTICAL,
        start=minute,
        start_uncertainty_s=np.nan,
        sampling_rate=(count - 1) / duration if duration > 0 and count > 1 else np.nan,
        n_sample=count,
        latitude=_place(i[9:12], 90.0, station is not None and station[2] == "S"),
        # Some files say "118 26 05N": only an E is taken at its word, for the network is that of Los Angeles.
        longitude=_place(i[12:15], 180.0, station is None or station[3] != "E"),
        event_name=_stated(text[1]),
        origin_time=minute,
        event_latitude=degrees(place[1]) if place else np.nan,
        event_longitude=degrees(place[2]) if place else np.nan,
        magnitude=magnitude,
        natural_frequency_hz=1.0 / r[0] if r[0] > 0 else np.nan,
        damping=float(r[1]) if r[1] > 0 else np.nan,
        comments=_stated(text[3]),
    )


def _place(parts: np.ndarray, most: float, negative: bool) -> float:
    value = float(parts @ (1.0, 1.0 / 60.0, 1.0 / 3600.0))
    if not 0 < value <= most:
        return np.nan
    return -value if negative else value


def _stated(line: str) -> str:
    """A line of text without the number of its characters at the end."""
    return line[:72].strip()
