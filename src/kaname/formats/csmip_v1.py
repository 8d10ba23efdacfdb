"""CSMIP volume 1 (``.V1``, ``.RAW``): uncorrected accelerograms of the California Geological Survey.

Format: Shakal & Huang (1985), Standard Tape Format for CSMIP Strong-Motion Data Tapes, Office of Strong
Motion Studies Report OSMS 85-03, as CDMG and CGS wrote it since. For each component 13 lines of text, 100
integers (16 of 5 columns), 50 reals (8 of 10 columns), then one of: pairs of time [s] and acceleration
[g/10] (five pairs a line, 7 columns each; digitised film, whose times are not quite even); a line that states
number, interval and unit, and samples in g; or, since about 2010, a line that states number, rate, unit and
format. Times are local or UTC, as the line says; years have two digits.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kaname.core.shaking import GRAVITY_CM_S2
from kaname.formats.accelerogram_text import (
    columns,
    components,
    fixed_width,
    n_in_order,
    number,
    whole,
)
from kaname.formats.accelerograms import AccelerogramRead, AccelerogramReader, RecordHeader
from kaname.formats.contract import register
from kaname.formats.csmip import SECTION, text_header

_TITLE = re.compile(rb"^\s*uncorrected accelerogram data\b.*processed", re.IGNORECASE)
_AT_RATE = re.compile(
    r"^\s*(\d{1,8})\s+accelerogram points at\s+([\d.]+)\s*pts/sec in units of\s+(\S+?)\s*\.?\s+"
    r"format:\s*\((\d+)f(\d+)",
    re.IGNORECASE,
)
_CM_S2 = {"g": GRAVITY_CM_S2, "g/10": 0.1 * GRAVITY_CM_S2}
_TEXT_LINES, _INTEGER_LINES, _REAL_LINES = 13, 7, 7
_PAIR_WIDTH, _PAIRS, _PER_LINE = 7, 5, 8
HeaderOf = Callable[[list[str], np.ndarray], RecordHeader]


@register
class CsmipVolume1Reader(AccelerogramReader):
    """Reader of CSMIP volume 1 files."""

    name = "csmip-v1"

    def sniff(self, head: bytes, path: Path) -> bool:
        """Look for the title; RENADIC, whose title is the same, says so in its eighth line."""
        return begins_volume_1(head) and b"RENADIC" not in head[:1000]

    def parse(self, content: bytes, path: Path) -> AccelerogramRead:
        """Parse the components; each begins with its own title."""
        return read_volume_1(content, path, "CSMIP volume 1 file", self.header)

    @staticmethod
    def header(text: list[str], reals: np.ndarray) -> RecordHeader:
        """Return the header of a component."""
        return replace(text_header(text, reals), format="csmip-v1")


def begins_volume_1(line: bytes, following: bytes = b"") -> bool:
    """Tell whether a component of volume 1 begins with a line."""
    return bool(_TITLE.match(line[:200].split(b"\n")[0]))


def read_volume_1(content: bytes, path: Path, what: str, header_of: HeaderOf) -> AccelerogramRead:
    """Read a volume 1 file; ``header_of`` tells a header from the lines of text and the reals.

    Raises
    ------
    FormatError
        When no line begins a component.
    """
    out = AccelerogramRead()
    for lines, unended in components(content, begins_volume_1, path, what):
        text = [line.decode("latin-1") for line in lines[:_TEXT_LINES]]
        begin = _TEXT_LINES + _INTEGER_LINES
        reals, _ = fixed_width(lines[begin : begin + _REAL_LINES], 10, 8, 50)
        begin += _REAL_LINES
        if len(text) < _TEXT_LINES or len(lines) <= begin:
            out.fail(path, "truncated in the header of a component")
            continue
        # The peak is in g whatever the samples are in.
        peak = re.search(r"\bMAX\s*=\s*(-?\d*\.\d+)\s*G\b", text[11], re.IGNORECASE)
        header = replace(
            header_of(text, reals),
            stage="uncorrected",
            peak=peak[1] if peak else "",
            peak_factor=GRAVITY_CM_S2,
        )
        found = _samples(lines, begin, text, unended)
        if isinstance(found, str):
            out.fail(path, f"left out {header.component}: {found}")
            continue
        times, values, rate, count = found
        n_good = n_in_order(times) if times is not None else len(values)
        if n_good < len(values):
            out.fail(
                path,
                f"{header.component}: the times of the samples are not in order from number {n_good + 1} on: "
                "left out from there",
            )
            values = values[:n_good]
        if times is not None:
            times = times[:n_good]
            rate = (n_good - 1) / (times[-1] - times[0]) if n_good > 1 else np.nan
        header = replace(header, sampling_rate=round(rate, 6), n_sample=count)
        out.add(path, header, values, times_s=times)
    return out


def _samples(
    lines: list[bytes], at: int, text: list[str], unended: bool
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64], float, int] | str:
    """Times [s] or None, acceleration [cm/s^2], rate [Hz] and number of samples stated; or what is wrong."""
    line = lines[at].decode("latin-1")
    even, at_rate = SECTION.match(line), _AT_RATE.match(line)
    if at_rate or even:
        if at_rate:
            unit, rate = at_rate[3].lower(), number(at_rate[2])
            count, per_line, width = int(at_rate[1]), int(at_rate[4]), int(at_rate[5])
        elif even:
            if even[2].lower() != "accel":
                return f"{even[2]} is not acceleration"
            unit, rate = even[4].lower(), 1.0 / number(even[3]) if number(even[3]) > 0 else np.nan
            count, per_line = int(even[1]), int(even[5] or _PER_LINE) or _PER_LINE
            # Where no format is stated the first line is full, and its numbers are as wide as each other.
            width = int(even[6] or len(lines[at + 1].rstrip()) // per_line if at + 1 < len(lines) else 0)
        if unit not in _CM_S2 or not width or not per_line:
            return f"expected samples in g, found {line.strip()!r}"
        values = columns(lines, at + 1, width=width, per_line=per_line, count=count, unended=unended)
        return None, values * _CM_S2[unit], rate, count
    stated = re.search(r"POINTS\s*=\s*(\d+)", text[10], re.IGNORECASE)
    unit = re.search(r"\bSEC AND (G/10|G)\b", text[11], re.IGNORECASE)
    if not stated or not unit:
        return f"expected pairs of seconds and g/10, found {text[11].strip()!r}"
    count = whole(number(stated[1]))
    numbers = columns(lines, at, width=_PAIR_WIDTH, per_line=2 * _PAIRS, count=2 * count, unended=unended)
    n = len(numbers) // 2
    times, values = numbers[0 : 2 * n : 2], numbers[1 : 2 * n : 2] * _CM_S2[unit[1].lower()]
    return times, values, np.nan, count
