"""The samples of a K-NET file: whole numbers in text, eight to a line, read by compiled code.

Lines of the standard layout (fields of eight characters and a space) are read eight characters at a time, as
one 64-bit word each (D. Lemire's "Quickly parsing eight digits", 2018, explains the three multiplications).
From the first line that is otherwise, a reader of free text takes over.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

MOST_PER_LINE = 32
MOST_DIGITS = 9
"""Nine digits always fit 32 bits; the format has seven."""
_FIELD_BYTES = 9
_ONE = np.uint64(0x0101010101010101)
_LOW_BITS = np.uint64(0x7F7F7F7F7F7F7F7F)
_HIGH_BITS = np.uint64(0x8080808080808080)


@dataclass(frozen=True)
class Samples:
    """Samples by their place in the record."""

    counts: NDArray[np.int32]
    """Shape ``(n_sample,)`` [count]; undefined where ``good`` is false."""
    good: NDArray[np.bool_]
    """Which places hold a number that could be read, shape ``(n_sample,)``."""
    first_uneven: int
    """Place at which the first line with another count of numbers than the first line begins, or -1."""


def parse_samples(text: bytes, per_line: int, *, begin: int = 0) -> Samples:
    """Read numbers in text, ``per_line`` to a line.

    A token that is no number of up to `MOST_DIGITS` digits leaves its place empty. A line with another count
    of tokens leaves all its places empty, because nobody can know which ones it has; the lines after it keep
    their places. The last line may be short. Empty lines do not count.

    Parameters
    ----------
    text
        The file.
    per_line
        Numbers on a whole line, 1 to `MOST_PER_LINE`.
    begin
        Offset of the first byte after the header.
    """
    length = text.find(b"\n", begin) + 1 - begin
    standard = _standard(text, begin, length, per_line)
    rest = memoryview(text)[begin + len(standard) // per_line * length :]
    room = len(rest) // 2 + per_line + 1  # a number takes a digit and a space
    values = np.empty(room, np.int32)
    good = np.zeros(room, np.bool_)
    n_sample, first_uneven = _parse(np.frombuffer(rest, np.uint8), per_line, values, good)
    return Samples(
        np.concatenate([standard, values[:n_sample]]),
        np.concatenate([np.ones(len(standard), np.bool_), good[:n_sample]]),
        first_uneven if first_uneven < 0 else first_uneven + len(standard),
    )


def _standard(text: bytes, begin: int, length: int, per_line: int) -> NDArray[np.int32]:
    """Return the numbers of the lines from the first one on that are all of the standard layout."""
    n_line = (len(text) - begin) // length if length >= _FIELD_BYTES * per_line else 0
    if not n_line:
        return np.empty(0, np.int32)
    # Words at any address: the processors this runs on allow it, and NumPy knows it as an unaligned array.
    words = np.ndarray((n_line, per_line), "<u8", text, begin, (length, _FIELD_BYTES))
    values = np.empty((n_line, per_line), np.int32)
    n_good = _parse_standard(words, np.frombuffer(text, np.uint8, offset=begin), length, values)
    return values[:n_good].ravel()


@njit(cache=True, boundscheck=False)
def _parse(
    text: NDArray[np.uint8], per_line: int, values: NDArray[np.int32], good: NDArray[np.bool_]
) -> tuple[int, int]:
    base = 0  # place of the first number of this line
    count = 0  # tokens on this line
    n_sample = 0
    first_uneven = -1
    number = 0
    n_digit = 0
    sign = 1
    inside = False
    sound = True
    uneven_at_end = False
    n_byte = len(text)
    for i in range(n_byte + 1):
        c = text[i] if i < n_byte else 10
        digit = c - 48
        if 0 <= digit <= 9:
            number = 10 * number + digit if n_digit < 10 else number
            n_digit += 1
            inside = True
        elif c == 32 or c == 10 or c == 13 or c == 9:
            if inside:
                place = base + count
                if count < per_line and place < len(values) and sound and 0 < n_digit <= MOST_DIGITS:
                    values[place] = sign * number
                    good[place] = True
                count += 1
                number = 0
                n_digit = 0
                sign = 1
                inside = False
                sound = True
            if c == 10 and count > 0:
                if uneven_at_end:  # the short line before was not the last one
                    if first_uneven < 0:
                        first_uneven = base - per_line
                    for k in range(base - per_line, base):
                        good[k] = False
                    uneven_at_end = False
                if base + per_line >= len(values):
                    return base, first_uneven if first_uneven >= 0 else base
                if count > per_line:
                    if first_uneven < 0:
                        first_uneven = base
                    for k in range(base, base + per_line):
                        good[k] = False
                    n_sample = base + per_line
                else:
                    uneven_at_end = count < per_line
                    n_sample = base + count
                base += per_line
                count = 0
        elif c == 45 and not inside:
            sign = -1
            inside = True
        else:
            inside = True
            sound = False
    return n_sample, first_uneven


@njit(cache=True, boundscheck=False)
def _parse_standard(
    words: NDArray[np.uint64], text: NDArray[np.uint8], length: int, values: NDArray[np.int32]
) -> int:
    """Fill ``values`` line by line and return how many lines were of the standard layout."""
    n_line, per_line = words.shape
    for line in range(n_line):
        end = (line + 1) * length - 1
        sound = text[end] == 10
        for k in range(line * length + _FIELD_BYTES * per_line - 1, end):
            sound &= text[k] == 32 or text[k] == 13
        for field in range(per_line):
            if field:
                sound &= text[line * length + _FIELD_BYTES * field - 1] == 32
            word = words[line, field]
            minus = _zero_bytes(word ^ (_ONE * np.uint64(45)))
            space = _zero_bytes(word ^ (_ONE * np.uint64(32)))
            before = minus | space
            # Blanks and the sign count as the digit 0; the first character is the lowest byte.
            digits = (word ^ (_ONE * np.uint64(48))) & ~(before * np.uint64(255))
            no_digit = ((digits + _ONE * np.uint64(0x76)) | digits) & _HIGH_BITS
            filled = before * np.uint64(255)
            sound &= no_digit == 0
            sound &= (filled & (filled + np.uint64(1))) == 0  # blanks only before the digits
            sound &= filled != ~np.uint64(0)
            sound &= minus == 0 or minus == before ^ (before >> np.uint64(8))  # the sign right before them
            pairs = digits * np.uint64(10) + (digits >> np.uint64(8))
            low = (pairs & np.uint64(0x000000FF000000FF)) * np.uint64(0x000F424000000064)
            high = ((pairs >> np.uint64(16)) & np.uint64(0x000000FF000000FF)) * np.uint64(0x0000271000000001)
            number = np.int64((low + high) >> np.uint64(32))
            values[line, field] = -number if minus else number
        if not sound:
            return int(line)
    return int(n_line)


@njit(cache=True, inline="always")
def _zero_bytes(word: np.uint64) -> np.uint64:
    """Return 1 in every byte of ``word`` that is 0, and 0 in the others."""
    return (~(((word & _LOW_BITS) + _LOW_BITS) | word | _LOW_BITS)) >> np.uint64(7)
