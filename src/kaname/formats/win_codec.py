"""The bytes of WIN and WIN32: where the blocks are, and their samples.

Everything a header may claim is checked against the bytes that are there before it is believed, so that no
file makes the reader wait or allocate without bound. The layout is written down in ``docs/formats-win.md``.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

KEY, TIME, FRAME, COUNT, CODE, OFFSET = range(6)
"""Columns of the table of channel blocks: channel (organisation, network and number, as 32 bits), start
[1/100 s since 1970, clock of the file], length [1/100 s], samples, size code, offset of the first sample."""

MISSING = -(1 << 31)
"""What a sample that is marked missing decodes to, in the tilt variant."""

_WIN_HEAD, _WIN32_HEAD = 10, 16
_NO_TIME = -(1 << 62)
_LONGEST_FRAME = 360_000  # one hour, in 1/100 s
_WIDEST = 4


class Fault(IntEnum):
    """What is wrong with a stretch of bytes."""

    JUNK = 0
    DAMAGED = 1
    TRUNCATED = 2
    TOO_DAMAGED = 3


class Second(IntEnum):
    """Columns of the table of second blocks."""

    START = 0
    """Offset of its first channel block."""
    END = 1
    TIME = 2
    FRAME = 3
    N_CHANNEL = 4
    """Channel blocks, or -1 where they do not fill it exactly."""
    LEAP = 5


@njit(cache=True)
def _bcd(byte: int) -> int:  # pragma: no cover  (compiled)
    high, low = byte >> 4, byte & 15
    return high * 10 + low if high < 10 and low < 10 else -1


@njit(cache=True)
def _clock(data: NDArray[Any], p: int, wide: bool) -> int:  # pragma: no cover  (compiled)
    """Return the time at ``p`` [1/100 s since 1970], a leap second as the second after it; or `_NO_TIME`."""
    if wide:
        year = _bcd(data[p]) * 100 + _bcd(data[p + 1])
        if _bcd(data[p]) < 0 or _bcd(data[p + 1]) < 0 or not 1900 <= year < 2200:
            return _NO_TIME
        p += 2
    else:
        year = _bcd(data[p])
        if year < 0:
            return _NO_TIME
        year += 1900 if year >= 70 else 2000
        p += 1
    month, day, hour, minute, second = (
        _bcd(data[p]),
        _bcd(data[p + 1]),
        _bcd(data[p + 2]),
        _bcd(data[p + 3]),
        _bcd(data[p + 4]),
    )
    hundredth = _bcd(data[p + 5]) if wide else 0
    if not (1 <= month <= 12 and 0 <= hour <= 23 and 0 <= minute <= 59 and hundredth >= 0):
        return _NO_TIME
    if not 0 <= second <= 60 or (second == 60 and not (minute == 59 and (hour == 8 or hour == 23))):
        return _NO_TIME
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    length = 31 - (month == 4 or month == 6 or month == 9 or month == 11)
    if month == 2:
        length = 29 if leap else 28
    if not 1 <= day <= length:
        return _NO_TIME
    # Days since 1970 by counting years from March, so that the leap day comes last.
    y = year - (month <= 2)
    days = 365 * y + y // 4 - y // 100 + y // 400 + (153 * ((month + 9) % 12) + 2) // 5 + day - 1 - 719468
    return (((days * 24 + hour) * 60 + minute) * 60 + second) * 100 + hundredth


@njit(cache=True)
def _uint32(data: NDArray[Any], p: int) -> Any:  # pragma: no cover  (compiled)
    return (
        (np.int64(data[p]) << 24)
        | (np.int64(data[p + 1]) << 16)
        | (np.int64(data[p + 2]) << 8)
        | np.int64(data[p + 3])
    )


@njit(cache=True)
def _signed(byte: Any) -> Any:  # pragma: no cover  (compiled)
    return np.int64(np.int8(byte))


@njit(cache=True)
def _head(data: NDArray[Any], p: int, wide: bool) -> tuple[int, int, int, int]:  # pragma: no cover
    """Return time, frame [1/100 s], first channel block and end of the second block at ``p``; end 0: none."""
    length = _WIN32_HEAD if wide else _WIN_HEAD
    if p + length > data.size:
        return 0, 0, 0, 0
    time = _clock(data, p if wide else p + 4, wide)
    if time == _NO_TIME:
        return 0, 0, 0, 0
    if wide:
        frame, end = _uint32(data, p + 8) * 10, p + length + _uint32(data, p + 12)
        if frame > _LONGEST_FRAME:
            return 0, 0, 0, 0
    else:
        frame, end = 100, p + _uint32(data, p)
        if end < p + length:
            return 0, 0, 0, 0
    return time, frame, p + length, end


@njit(cache=True)
def _channel(
    data: NDArray[Any], p: int, end: int, wide: bool
) -> tuple[Any, Any, Any, int, Any]:  # pragma: no cover
    """Return key, samples, size code, offset of the first sample and end of the channel block at ``p``.

    The end is 0 where no channel block fits.
    """
    q = p + 2 if wide else p
    if q + 8 > end:
        return 0, 0, 0, 0, 0
    key = _uint32(data, p) if wide else (np.int64(data[p]) << 8) | np.int64(data[p + 1])
    code = np.int64(data[q + 2]) >> 4
    n = ((np.int64(data[q + 2]) & 15) << 8) | np.int64(data[q + 3])
    first = q + 4
    if code & 8:  # high rates: 20 bits instead of 12
        n = (n << 8) | np.int64(data[first])
        code &= 7
        first += 1
    if code > _WIDEST or n == 0:
        return 0, 0, 0, 0, 0
    stop = first + 4 + (code * (n - 1) if code else n >> 1)
    if stop > end:
        return 0, 0, 0, 0, 0
    return key, n, code, first, stop


@njit(cache=True)
def _walk(data: NDArray[Any], p: int, end: int, wide: bool) -> tuple[int, int]:  # pragma: no cover
    """Return how many channel blocks follow one another from ``p``, and where the last one ends."""
    n = 0
    while p < end:
        stop = _channel(data, p, end, wide)[4]
        if stop == 0:
            break
        p = stop
        n += 1
    return n, p


@njit(cache=True)
def _search(data: NDArray[Any], p: int, wide: bool, budget: int) -> tuple[int, int]:  # pragma: no cover
    """Return the next place at which a whole second block stands (else the end), and the budget left."""
    while p < data.size and budget > 0:
        _, _, first, end = _head(data, p, wide)
        if end and end <= data.size:
            n, stop = _walk(data, first, end, wide)
            budget -= n
            if n and stop == end:
                return p, budget
        p += 1
    return data.size, budget


@njit(cache=True)
def _is_file_head(data: NDArray[Any], p: int) -> bool:  # pragma: no cover  (compiled)
    return p + 4 <= data.size and _uint32(data, p) == 0 and _head(data, p + 4, True)[3] > 0


@njit(cache=True)
def _larger(rows: NDArray[Any]) -> NDArray[Any]:  # pragma: no cover  (compiled)
    grown = np.empty((2 * rows.shape[0], rows.shape[1]), rows.dtype)
    grown[: rows.shape[0]] = rows
    return grown


@njit(cache=True)
def _add(faults: NDArray[Any], n: int, kind: int, p: int, end: int) -> int:  # pragma: no cover  (compiled)
    faults[n, 0], faults[n, 1], faults[n, 2] = kind, p, end - p
    return n + 1


@njit(cache=True, nogil=True)
def scan(data: NDArray[Any], wide: bool) -> tuple[NDArray[Any], NDArray[Any]]:  # pragma: no cover
    """Return the second blocks, shape ``(n, 6)`` (`Second`), and the faults: kind, offset and length.

    ``wide`` tells WIN32 from WIN. The file header of WIN32 may stand again where files were put together.
    A second block is believed when its channel blocks fill it exactly. Where they do not, or where a header
    makes no sense, the next one that does is searched for; the budget bounds what that may cost.
    """
    seconds = np.empty((256, 6), np.int64)
    faults = np.empty((64, 3), np.int64)
    n_second = n_fault = 0
    budget = data.size + 64
    p = 0
    while p < data.size:
        if wide and _is_file_head(data, p):
            p += 4
            continue
        if n_second == seconds.shape[0]:
            seconds = _larger(seconds)
        if n_fault == faults.shape[0]:
            faults = _larger(faults)
        if budget <= 0:
            n_fault = _add(faults, n_fault, Fault.TOO_DAMAGED, p, data.size)
            break
        time, frame, first, end = _head(data, p, wide)
        if end == 0:
            q, budget = _search(data, p + 1, wide, budget)
            n_fault = _add(faults, n_fault, Fault.JUNK, p, q)
            p = q
            continue
        n, stop = _walk(data, first, min(end, data.size), wide)
        budget -= n + 1
        kind = -1
        if end > data.size or stop != end:
            n = -1
            kind = Fault.DAMAGED
            whole = end == data.size or (
                end < data.size and (_head(data, end, wide)[3] > 0 or (wide and _is_file_head(data, end)))
            )
            if not whole:
                q, budget = _search(data, first, wide, budget)
                if end > data.size and q == data.size:
                    kind = Fault.TRUNCATED
                end = q
        if kind >= 0:
            n_fault = _add(faults, n_fault, kind, first, end)
        clock = p + 6 if wide else p + 9
        row = seconds[n_second]
        row[0], row[1], row[2], row[3], row[4], row[5] = first, end, time, frame, n, data[clock] == 0x60
        n_second += 1
        p = end
    return seconds[:n_second], faults[:n_fault]


@njit(cache=True, nogil=True)
def channel_blocks(
    data: NDArray[Any], seconds: NDArray[Any], wide: bool, known: NDArray[Any], strict: bool
) -> tuple[NDArray[Any], NDArray[Any]]:  # pragma: no cover  (compiled)
    """Return the channel blocks of second blocks, and where reading each of them stopped.

    Parameters
    ----------
    data, seconds, wide
        File and second blocks as in `scan`.
    known
        Sorted ``key * 2**20 + samples`` of channel blocks that are beyond doubt.
    strict
        Whether a second block ends at the first channel block that is not known.

    Returns
    -------
    table, stops
        Columns `KEY` to `OFFSET`, shape ``(n, 6)``, and one offset per second block.
    """
    total = 0
    for i in range(seconds.shape[0]):
        n = seconds[i, 4]
        if n < 0:
            n = _walk(data, seconds[i, 0], seconds[i, 1], wide)[0]
        total += n
    table = np.empty((total, 6), np.int64)
    stops = np.empty(seconds.shape[0], np.int64)
    m = 0
    for i in range(seconds.shape[0]):
        p, end = seconds[i, 0], seconds[i, 1]
        while p < end:
            key, n, code, first, stop = _channel(data, p, end, wide)
            if stop == 0:
                break
            if strict:
                sought = key * (1 << 20) + n
                at = np.searchsorted(known, sought)
                if at == known.size or known[at] != sought:
                    break
            row = table[m]
            row[0], row[1], row[2], row[3], row[4], row[5] = key, seconds[i, 2], seconds[i, 3], n, code, first
            m += 1
            p = stop
        stops[i] = p
    return table[:m], stops


@njit(cache=True, nogil=True)
def decode(
    data: NDArray[Any], table: NDArray[Any], low_first: bool, out: NDArray[Any]
) -> None:  # pragma: no cover  (compiled)
    """Decode channel blocks one after the other into ``out`` (32-bit), sums modulo 2**32.

    ``low_first`` takes the low half of a byte for the earlier of two 4-bit differences.
    """
    # Unsigned indices: none is negative, which the compiler would otherwise ask at each.
    one, two, three, four = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)
    at = np.uint64(0)
    for i in range(table.shape[0]):
        p, n, code = np.uint64(table[i, OFFSET]), np.uint64(table[i, COUNT]), table[i, CODE]
        value = np.int32(_big(data, p))
        out[at] = value
        p, at, n = p + four, at + one, n - one
        if code == 0:
            for k in range(n >> one):
                byte = np.int32(data[p + k])
                early, late = byte >> 4, byte & 15
                if low_first:
                    early, late = late, early
                value += np.int32((early ^ 8) - 8)
                out[at + two * k] = value
                value += np.int32((late ^ 8) - 8)
                out[at + two * k + one] = value
            if n & one:
                byte = np.int32(data[p + (n >> one)])
                half = byte & 15 if low_first else byte >> 4
                out[at + n - one] = value + np.int32((half ^ 8) - 8)
        elif code == 1:
            for k in range(n):
                value += np.int32(np.int8(data[p + k]))
                out[at + k] = value
        elif code == 2:
            for k in range(n):
                q = p + two * k
                value += np.int32(np.int8(data[q])) << 8 | np.int32(data[q + one])
                out[at + k] = value
        elif code == 3:
            for k in range(n):
                q = p + three * k
                value += (
                    np.int32(np.int8(data[q])) << 16 | np.int32(data[q + one]) << 8 | np.int32(data[q + two])
                )
                out[at + k] = value
        else:
            for k in range(n):
                value += np.int32(_big(data, p + four * k))
                out[at + k] = value
        at += n


@njit(cache=True)
def _big(data: NDArray[Any], p: Any) -> Any:  # pragma: no cover  (compiled)
    """Return 32 bits at an unsigned place."""
    one, two, three = np.uint64(1), np.uint64(2), np.uint64(3)
    return (
        np.uint32(data[p]) << 24
        | np.uint32(data[p + one]) << 16
        | np.uint32(data[p + two]) << 8
        | np.uint32(data[p + three])
    )


@njit(cache=True, nogil=True)
def decode_tilt(
    data: NDArray[Any], table: NDArray[Any], low_first: bool, out: NDArray[Any], lost: NDArray[Any]
) -> None:  # pragma: no cover  (compiled)
    """Decode as `decode`, where the most negative difference of a width marks a sample that is `MISSING`.

    A difference counts from the last sample that is there. Where the first sample is missing, the first
    4-byte difference is the sample itself; a narrower one has nothing to count from, and is ``lost``:
    the number of samples of each channel block that are there but cannot be known.
    """
    at = 0
    for i in range(table.shape[0]):
        p, n, code = table[i, OFFSET], table[i, COUNT], table[i, CODE]
        value = np.int64(np.int32(_uint32(data, p)))
        p += 4
        anchored = value != MISSING
        lost[i] = 0
        out[at] = value
        for k in range(1, n):
            if code == 0:
                byte = np.int64(data[p + ((k - 1) >> 1)])
                half = byte >> 4 if ((k - 1) & 1) == low_first else byte & 15
                step, marker = (half ^ 8) - 8, -8
            else:
                step = _signed(data[p])
                for b in range(1, code):
                    step = (step << 8) | np.int64(data[p + b])
                p += code
                marker = -(1 << (8 * code - 1))
            if step == marker:
                out[at + k] = MISSING
                continue
            if anchored:
                value = np.int64(np.int32(value + step))
            elif code == 4:
                value, anchored = step, True
            else:
                lost[i] += 1
                out[at + k] = MISSING
                continue
            out[at + k] = value
        at += n


REPEATED, SURPLUS = -1, -2
"""Instead of a run: an exact repetition, and a recording of a second that has `MOST_VERSIONS` already."""
MOST_VERSIONS = 16


@njit(cache=True, nogil=True)
def chain(
    data: NDArray[Any], table: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any], int]:  # pragma: no cover  (compiled)
    """Return the run of each channel block (or `REPEATED`, `SURPLUS`), and how many runs there are.

    Blocks come sorted by channel and time. One follows another of its run when it starts where that one ends
    and has the same rate; the last `MOST_VERSIONS` runs of a channel are asked. The second array tells where
    the rate of a channel changes without a gap.
    """
    m = table.shape[0]
    run = np.empty(m, np.int64)
    changed = np.zeros(m, np.bool_)
    last = np.empty(MOST_VERSIONS, np.int64)
    number = np.empty(MOST_VERSIONS, np.int64)
    n_run = n_here = n_version = 0
    for i in range(m):
        if i == 0 or table[i, KEY] != table[i - 1, KEY]:
            n_here = n_version = 0
        elif table[i, TIME] != table[i - 1, TIME]:
            n_version = 0
        chosen = -1
        outcome = 0
        for k in range(min(n_here, MOST_VERSIONS)):
            j = last[k]
            if table[j, TIME] == table[i, TIME] and _equal(data, table, i, j):
                outcome = REPEATED
                break
            if table[j, TIME] + table[j, FRAME] == table[i, TIME] and chosen < 0:
                if table[j, COUNT] * table[i, FRAME] == table[i, COUNT] * table[j, FRAME]:
                    chosen = k
                else:
                    changed[i] = True
        if outcome == 0 and n_version == MOST_VERSIONS:
            outcome = SURPLUS
        if outcome < 0:
            run[i], changed[i] = outcome, False
            continue
        n_version += 1
        if chosen < 0:
            chosen = n_here % MOST_VERSIONS
            number[chosen] = n_run
            n_here += 1
            n_run += 1
        else:
            changed[i] = False
        last[chosen] = i
        run[i] = number[chosen]
    return run, changed, n_run


@njit(cache=True)
def _equal(data: NDArray[Any], table: NDArray[Any], i: int, j: int) -> bool:  # pragma: no cover
    for column in (FRAME, COUNT, CODE):
        if table[i, column] != table[j, column]:
            return False
    n, code = table[i, COUNT], table[i, CODE]
    length = 4 + (code * (n - 1) if code else n >> 1)
    for b in range(length):  # noqa: SIM110  (compiled)
        if data[table[i, OFFSET] + b] != data[table[j, OFFSET] + b]:
            return False
    return True


@njit(cache=True)
def believable(data: NDArray[Any], wide: bool) -> bool:  # pragma: no cover  (compiled)
    """Tell whether the first bytes of a file are those of WIN32 (``wide``) or WIN."""
    p = 0
    if wide:
        if not _is_file_head(data, 0):
            return False
        p = 4
    while True:
        _, _, first, end = _head(data, p, wide)
        if end == 0:
            return False
        _, stop = _walk(data, first, min(end, data.size), wide)
        if end > data.size:
            # The last channel block goes on beyond these bytes: its header must make sense.
            return stop + 13 > data.size or _channel(data, stop, end, wide)[4] > data.size
        if stop != end or end > first:
            return stop == end
        p = end  # a second without channels
