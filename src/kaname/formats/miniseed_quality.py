"""What the records of a miniSEED file say of their own quality: timing, clipping."""

from __future__ import annotations

import json

import numpy as np
from numba import njit
from numpy.typing import NDArray

TIME_QUESTIONABLE = 1
CLIPPED = 2

_HEAD3_BYTES = 40


def record_quality(
    data: bytes, offsets: NDArray[np.int64], lengths: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Read what records state of their quality.

    miniSEED 2: blockette 1001 (timing quality) and the data quality flags of the fixed header (amplifier
    saturation and digitizer clipping; time tag questionable). miniSEED 3: the flag and the extra header
    ``FDSN.Time.Quality``.

    Parameters
    ----------
    data
        Bytes that hold the records.
    offsets, lengths
        Where each record begins in `data`, and its bytes, shape ``(n_record,)``.

    Returns
    -------
    timing, flags
        Timing quality [%], NaN where none is stated, and the sum of `TIME_QUESTIONABLE` and `CLIPPED` where
        they hold, shape ``(n_record,)`` each.
    """
    timing = np.full(len(offsets), np.nan)
    flags = np.zeros(len(offsets), np.uint8)
    view = np.frombuffer(data, np.uint8)
    version3 = _fill(view, np.asarray(offsets, np.int64), np.asarray(lengths, np.int64), timing, flags)
    for i in np.flatnonzero(version3).tolist():
        timing[i] = _timing3(data[offsets[i] : offsets[i] + lengths[i]])
    return timing, flags


@njit(cache=True, nogil=True)
def _fill(data, offsets, lengths, timing, flags):  # type: ignore[no-untyped-def]  # pragma: no cover
    version3 = np.zeros(offsets.size, np.bool_)
    for i in range(offsets.size):
        low = offsets[i]
        high = min(low + lengths[i], data.size)
        if high - low < 48:
            continue
        if data[low] == 77 and data[low + 1] == 83 and data[low + 2] == 3:  # "MS", 3
            flags[i] = TIME_QUESTIONABLE if data[low + 3] & 2 else 0
            version3[i] = data[low + 34] + data[low + 35] > 0
            continue
        stated = data[low + 38]
        flags[i] = (TIME_QUESTIONABLE if stated & 128 else 0) + (CLIPPED if stated & 3 else 0)
        year = 256 * np.int64(data[low + 20]) + data[low + 21]
        big = 1900 <= year <= 2100
        at = low + _u2(data, low + 46, big)
        for _ in range(data[low + 39]):
            if at < low + 48 or at + 8 > high:
                break
            if _u2(data, at, big) == 1001:
                timing[i] = data[at + 4]
                break
            following = low + _u2(data, at + 2, big)
            if following <= at:
                break
            at = following
    return version3


@njit(cache=True, nogil=True)
def _u2(data, at, big):  # type: ignore[no-untyped-def]  # pragma: no cover
    one, two = np.int64(data[at]), np.int64(data[at + 1])
    return 256 * one + two if big else 256 * two + one


def _timing3(record: bytes) -> float:
    low = _HEAD3_BYTES + record[33]
    text = record[low : low + int.from_bytes(record[34:36], "little")]
    try:
        stated = json.loads(text)["FDSN"]["Time"]["Quality"]
        return float(stated)
    except (ValueError, KeyError, TypeError):
        return float("nan")
