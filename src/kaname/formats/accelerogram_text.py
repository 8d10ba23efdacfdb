"""Fields of the text that strong-motion networks write: columns of numbers, times, places, directions."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kaname.core.errors import FormatError

_NAT = np.datetime64("NaT", "ns")
_NAN = float("nan")
_MOST_SAMPLES = 100_000_000
_ZONE_HOURS = {
    "UTC": 0, "GMT": 0, "UT": 0, "Z": 0, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6,
    "PST": -8, "PDT": -7, "AKST": -9, "AKDT": -8, "HST": -10, "JST": 9,
}  # fmt: skip
_DIRECTIONS = {
    "N": 0.0, "NORTH": 0.0, "NS": 0.0, "N-S": 0.0, "E": 90.0, "EAST": 90.0, "EW": 90.0, "E-W": 90.0,
    "S": 180.0, "W": 270.0,
}  # fmt: skip


def components(
    content: bytes, begins: Callable[[bytes, bytes], object], path: Path, what: str
) -> list[tuple[list[bytes], bool]]:
    """Split a file into its components.

    Parameters
    ----------
    content
        The file.
    begins
        Tells from a line and the next one, without their ends, whether a component begins.
    path, what
        The file, and what it should be, for messages.

    Returns
    -------
    list of (lines, unended)
        Lines of each component, without their ends, and whether it breaks off in its last line.

    Raises
    ------
    FormatError
        When no line begins a component.
    """
    lines = content.replace(b"\r", b"").split(b"\n")
    first = [k for k in range(len(lines) - 1) if begins(lines[k][:200], lines[k + 1][:200])]
    if not first:
        raise FormatError(f"{path} is no {what}: no line begins a component")
    ends = [*first[1:], len(lines)]
    return [(lines[at:end], end == len(lines) and bool(lines[-1])) for at, end in zip(first, ends)]


def columns(
    lines: Sequence[bytes], at: int, *, width: int, per_line: int, count: int, unended: bool
) -> NDArray[np.float64]:
    """Read samples in columns from a line on; of a file that breaks off there the last field is left out.

    Parameters
    ----------
    lines
        Lines of the component, without their ends.
    at
        Where the samples begin.
    width, per_line, count
        As in `fixed_width`.
    unended
        Whether the last of the lines is not ended: digits may be missing.

    Returns
    -------
    ndarray
        Shape ``(n,)``, ``n <= count``; NaN where a field is no finite number.
    """
    body = list(lines[at : at + -(-count // per_line)])
    if unended and body and at + len(body) >= len(lines):
        body[-1] = body[-1][: max(len(body[-1]) - 1, 0) // width * width]
    return fixed_width(body, width, per_line, count)[0]


def direction(text: str) -> tuple[float, bool]:
    """Return azimuth [degree] (NaN: unknown) and whether a component is vertical, from words of the formats.

    Known are ``90 DEG``, ``N28W``, ``NS``, ``UP``, ``DOWN``, ``VERT``, ``H1`` and the like; ``DOWN`` has no
    azimuth either: its sense is in the header's component.
    """
    word = text.strip().upper()
    if re.match(r"(UP|DOWN|DN|VERT|V|UD|U-D|Z)\b", word):
        return _NAN, True
    bearing = re.match(r"([NS])\s*(\d+(?:\.\d+)?)\s*([EW])\b", word)
    if bearing:
        angle = float(bearing[2])
        if not 0 <= angle <= 90:
            return _NAN, False
        east = 1.0 if bearing[3] == "E" else -1.0
        return (east * angle if bearing[1] == "N" else 180.0 - east * angle) % 360.0, False
    degrees = re.match(r"(\d+(?:\.\d+)?)(?:\s*DEG|\s*$)", word)
    if degrees and 0 <= float(degrees[1]) <= 360:
        return float(degrees[1]) % 360.0, False
    return _DIRECTIONS.get(word, _NAN), False


def fixed_width(
    lines: Sequence[bytes], width: int, per_line: int, count: int
) -> tuple[NDArray[np.float64], int]:
    """Read numbers that stand side by side in columns, blanks between them or not.

    Parameters
    ----------
    lines
        The lines, without their ends.
    width
        Characters of a number.
    per_line
        Numbers of a full line.
    count
        Numbers to read.

    Returns
    -------
    values
        Shape ``(n,)``, ``n <= count``: up to the end of the lines; NaN where a field is no finite number.
    n_bad
        How many of them are NaN.
    """
    n_line = -(-count // per_line)
    full = width * per_line
    text = b"".join(line[:full].ljust(full) for line in lines[:n_line])
    fields = np.frombuffer(text, f"S{width}")[:count]
    last = len(fields)
    while last and not fields[last - 1].strip():
        last -= 1
    fields = fields[:last]
    try:
        values = fields.astype(np.float64)
    except ValueError:
        values = np.array([number(f) for f in fields.tolist()], np.float64)
    values = np.where(np.abs(values) < 1e30, values, np.nan)
    return values, int(np.isnan(values).sum())


def n_in_order(times: NDArray[np.float64]) -> int:
    """Return how many samples from the first on have finite times, each after the one before."""
    if not len(times) or not math.isfinite(times[0]):
        return 0
    bad = np.flatnonzero(~(np.diff(times) > 0))
    return int(bad[0]) + 1 if len(bad) else len(times)


def number(text: bytes | str) -> float:
    """Return a finite number, NaN for anything else."""
    try:
        value = float(text)
    except ValueError:
        return _NAN
    return value if math.isfinite(value) else _NAN


def whole(value: float, missing: float = _NAN) -> int:
    """Return an integer header value as it should be used: 0 when it is missing or absurd."""
    return int(value) if math.isfinite(value) and value != missing and 0 < value < _MOST_SAMPLES else 0


def moment(
    year: float,
    month: float,
    day: float,
    hour: float = 0,
    minute: float = 0,
    second: float = 0.0,
    zone: str = "UTC",
) -> np.datetime64:
    """Return UTC of what a header states in a zone such as ``PDT``; NaT when there is no such time."""
    hours = _ZONE_HOURS.get(zone.upper())
    if hours is None or not all(map(math.isfinite, (year, month, day, hour, minute, second))):
        return _NAT
    if not 1850 <= year <= 2200 or not 0 <= second < 61:
        return _NAT
    try:
        base = datetime(int(year), int(month), int(day), int(hour), int(minute)) - timedelta(hours=hours)
    except ValueError:
        return _NAT
    return np.datetime64(base, "ns") + np.timedelta64(round(second * 1e9), "ns")


def full_year(two_digits: int) -> int:
    """Return the year of ``83`` or ``14``: no accelerogram is older than 1930."""
    return two_digits if two_digits >= 100 else two_digits + (1900 if two_digits >= 30 else 2000)


def degrees(text: str) -> float:
    """Return decimal degrees of ``42 37 10S``, ``35.908N``, ``34 06 52N``; NaN when it is none."""
    found = re.fullmatch(
        r"\s*(\d+(?:\.\d+)?)(?:[\s']+(\d+(?:\.\d+)?))?(?:[\s']+(\d+(?:\.\d+)?))?\s*([NSEW])\s*", text
    )
    if not found:
        return _NAN
    value = sum(float(part) / 60.0**power for power, part in enumerate(found.groups()[:3]) if part)
    return -value if found[4] in "SW" else value
