"""WIN and WIN32 files written from the published layouts in plain Python, to judge the reader by.

Nothing here is shared with the package. Sources: winformat(1W) of the WIN system; the layout of WIN32 in the
FAQ of NIED Hi-net. Every choice that the formats leave open is an argument, wrong ones included.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

JST = timedelta(hours=9)
MISSING = -(2**31)
WIDTHS = ("half", 1, 2, 3, 4)


def bcd(number: int) -> int:
    """Return two decimal digits as one byte."""
    return number // 10 * 16 + number % 10


def stamp(time: datetime, *, wide: bool, second: int | None = None, hundredth: int = 0) -> bytes:
    """Return a time as it stands in the file; ``second`` replaces the one of ``time`` (60: a leap second)."""
    second = time.second if second is None else second
    digits = [time.month, time.day, time.hour, time.minute, second]
    year = [time.year // 100, time.year % 100] if wide else [time.year % 100]
    return bytes(bcd(d) for d in [*year, *digits, *([hundredth] if wide else [])])


def packed(differences: Sequence[int], width: Literal["half"] | int, *, low_first: bool = False) -> bytes:
    """Return differences in two's complement of a width, modulo the width."""
    if width != "half":
        return b"".join((d % 256**width).to_bytes(width, "big") for d in differences)
    halves = [d % 16 for d in differences] + [0] * (len(differences) % 2)
    pairs = zip(halves[::2], halves[1::2])
    return bytes((b * 16 + a) if low_first else (a * 16 + b) for a, b in pairs)


def least_width(differences: Iterable[int], *, tilt: bool = False) -> Literal["half"] | int:
    """Return the narrowest width that holds differences; in the tilt variant its lowest value is taken."""
    values = list(differences)
    for width, bits in zip(WIDTHS, (4, 8, 16, 24)):
        lowest = -(2 ** (bits - 1)) + tilt
        if all(lowest <= v < 2 ** (bits - 1) for v in values):
            return width
    return 4


def channel(
    number: int,
    samples: Sequence[int],
    *,
    width: Literal["half"] | int | None = None,
    network: int | None = None,
    long_header: bool | None = None,
    low_first: bool = False,
    tilt: bool = False,
) -> bytes:
    """Return a channel block; ``network`` (organisation and network) makes it one of WIN32."""
    differences: list[int | None] = []
    last = samples[0] if not (tilt and samples[0] == MISSING) else None
    absolute = False
    for value in samples[1:]:
        if tilt and value == MISSING:
            differences.append(None)
        elif last is None:
            differences.append(value)
            last, absolute = value, True
        else:
            differences.append(value - last)
            last = value
    stated = [d for d in differences if d is not None]
    if width is None:
        width = 4 if absolute else least_width(stated, tilt=tilt)
    bits = 4 if width == "half" else 8 * width
    marked = [-(2 ** (bits - 1)) if d is None else d for d in differences]
    code = 0 if width == "half" else width
    n = len(samples)
    if long_header is None:
        long_header = n > 4095
    head = ((code + 8) << 20 | n).to_bytes(3, "big") if long_header else (code << 12 | n).to_bytes(2, "big")
    prefix = b"" if network is None else network.to_bytes(2, "big")
    first = (samples[0] % 2**32).to_bytes(4, "big")
    return prefix + number.to_bytes(2, "big") + head + first + packed(marked, width, low_first=low_first)


@dataclass
class Second:
    """One second block: when (clock of the file) and its channel blocks."""

    time: datetime
    channels: list[bytes]
    second: int | None = None
    hundredth: int = 0
    frame: int = 10
    """Length [0.1 s], WIN32 only."""

    def win(self) -> bytes:
        """Return it as in a WIN file, behind its size."""
        body = stamp(self.time, wide=False, second=self.second) + b"".join(self.channels)
        return (len(body) + 4).to_bytes(4, "big") + body

    def win32(self) -> bytes:
        """Return it as in a WIN32 file."""
        body = b"".join(self.channels)
        head = stamp(self.time, wide=True, second=self.second, hundredth=self.hundredth)
        return head + self.frame.to_bytes(4, "big") + len(body).to_bytes(4, "big") + body


def win(seconds: Iterable[Second]) -> bytes:
    """Return a WIN file."""
    return b"".join(s.win() for s in seconds)


def win32(seconds: Iterable[Second]) -> bytes:
    """Return a WIN32 file: format number 0, version 0, two bytes reserved, and the seconds."""
    return bytes(4) + b"".join(s.win32() for s in seconds)
