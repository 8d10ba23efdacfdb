"""Samples of one channel packed into records of miniSEED 2 or 3.

Headers after the SEED manual 2.4, chapter 8 (fixed section of data header, blockettes 100, 1000, 1001), and
the miniSEED 3 specification (https://docs.fdsn.org/projects/miniseed3). Whatever is left open is done as
libmseed does it, so that the same samples give the same bytes.
"""

from __future__ import annotations

import struct
from fractions import Fraction
from functools import lru_cache
from math import isqrt
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pymseed import DataEncoding

from kaname.core.errors import InputError
from kaname.formats.steim import differences, pack_frames

_STEIM = (int(DataEncoding.STEIM1), int(DataEncoding.STEIM2))
_FRAME = 64
_MOST_SAMPLES = {2: (1 << 16) - 1, 3: (1 << 32) - 1}
_MOST_FACTOR = (1 << 15) - 1
_RATE_TOLERANCE = 6e-8  # what the 32-bit rate of blockette 100 could not state better


def pack_records(
    samples: NDArray[Any],
    encoding: int,
    identifier: str,
    start: np.datetime64,
    rate: float,
    *,
    version: int,
    record_length: int,
) -> tuple[NDArray[np.uint8], NDArray[np.int64]] | None:
    """Return the records of gap-free samples, one behind the other, and where each ends.

    Parameters
    ----------
    samples
        Shape (n_sample,), of the type that the encoding holds; 32-bit integers for Steim.
    encoding
        SEED code.
    identifier
        ``NET.STA.LOC.CHA`` for version 2, a source identifier of the FDSN for version 3.
    start
        Time of the first sample; to the nearest microsecond in version 2.
    rate
        Samples per second [Hz].
    version
        2 (big-endian) or 3.
    record_length
        Bytes of each record, or in version 3 of the longest [bytes].

    Returns
    -------
    data, ends
        Shapes (n_byte,) and (n_record,); ``None`` where a difference does not fit Steim 2.

    Raises
    ------
    InputError
        When a record has no room for samples, or the version cannot state the rate.
    """
    steim = encoding in _STEIM
    steps = differences(samples, encoding) if steim else samples[:0].astype(np.int32)
    if steim and not steps.size:
        return None
    if version == 2:
        heads = [_head2(identifier, encoding, rate, record_length, m) for m in (False, True)]
    else:
        heads = [_head3(identifier, encoding, rate)] * 2
    # Compiled for 32-bit samples and for bytes only.
    raw = samples[:0] if steim else samples.astype(samples.dtype.newbyteorder("<" if version == 3 else ">"))
    room = record_length - max(h.size for h in heads)
    least = room // _FRAME * (_FRAME // 4 - 1) - 2 if steim else room // samples.itemsize
    if least <= 0:
        raise InputError(f"records of {record_length} bytes have no room for samples; take longer ones")
    n_record = -(-samples.size // min(least, _MOST_SAMPLES[version]))
    out, ends = np.zeros(n_record * record_length, np.uint8), np.empty(n_record, np.int64)
    item = 0 if steim else samples.itemsize
    n_record = _records(
        samples if steim else np.empty(0, np.int32), steps, raw.view(np.uint8), item, encoding,
        heads[0], heads[1], int(start.astype(np.int64)), rate, version, record_length,
        _MOST_SAMPLES[version], out, ends,
    )  # fmt: skip
    return out[: ends[n_record - 1]], ends[:n_record]


@lru_cache(maxsize=1024)
def _head2(
    identifier: str, encoding: int, rate: float, record_length: int, microseconds: bool
) -> NDArray[np.uint8]:
    """Return what comes before the samples, with or without a blockette 1001; time and counts are 0."""
    network, station, location, channel = (code.encode("ascii") for code in identifier.split("."))
    factor, multiplier, exact = rate_factors(rate)
    # Type, and what follows the offset of the next one.
    blockettes = [(1000, struct.pack(">BBBB", encoding, 1, record_length.bit_length() - 1, 0))]
    if microseconds:
        blockettes.append((1001, bytes(4)))
    if not exact:
        blockettes.append((100, struct.pack(">f4x", rate)))
    chain, at = b"", 48
    for kind, content in blockettes:
        at += 4 + len(content)
        chain += struct.pack(">HH", kind, 0 if kind == blockettes[-1][0] else at) + content
    begin = -(-at // _FRAME) * _FRAME if encoding in _STEIM else at
    fixed = struct.pack(
        ">6s2s5s2s3s2s10xHhh3BBiHH",
        b"000000", b"D ", station.ljust(5), location.ljust(2), channel.ljust(3), network.ljust(2),
        0, factor, multiplier, 0, 0, 0, len(blockettes), 0, begin, 48,
    )  # fmt: skip
    return np.frombuffer((fixed + chain).ljust(begin, b"\0"), np.uint8)


@lru_cache(maxsize=1024)
def _head3(identifier: str, encoding: int, rate: float) -> NDArray[np.uint8]:
    sid = identifier.encode("ascii")
    # Below 1 Hz the period is stated, as a negative number.
    stated = rate if rate >= 1 else -1 / rate
    fixed = struct.pack("<2sB12xBdIIBBHI", b"MS", 3, encoding, stated, 0, 0, 0, len(sid), 0, 0)
    return np.frombuffer(fixed + sid, np.uint8)


@lru_cache(maxsize=1024)
def rate_factors(rate: float) -> tuple[int, int, bool]:
    """Return factor and multiplier of a rate [Hz] in miniSEED 2, and whether they state it.

    Raises
    ------
    InputError
        When the rate is beyond what they can come near.
    """
    fraction = Fraction(rate).limit_denominator(_MOST_FACTOR)
    above, below = fraction.numerator, fraction.denominator
    if 0 < above <= _MOST_FACTOR and abs(above / below / rate - 1) <= _RATE_TOLERANCE:
        if below == 1:
            return above, 1, True
        return (-below, -1, True) if above == 1 else (above, -below, True)
    # The rate, or below 1 Hz the period, as a product.
    size = max(rate, 1 / rate)
    whole = round(size)
    if not whole <= _MOST_FACTOR**2:
        raise InputError(f"miniSEED 2 cannot state a rate of {rate:g} Hz; write version 3")
    small = 1
    if whole > _MOST_FACTOR:
        small = next(d for d in range(isqrt(whole), 0, -1) if whole % d == 0)
        small = max(small, -(-whole // _MOST_FACTOR))
    large = round(size / small)
    sign = 1 if rate >= 1 else -1
    return sign * small, sign * large, abs(small * large / size - 1) <= _RATE_TOLERANCE


@njit(cache=True, nogil=True)
def _records(
    samples: NDArray[Any],
    steps: NDArray[Any],
    raw: NDArray[Any],
    item: int,
    encoding: int,
    plain: NDArray[Any],
    finer: NDArray[Any],
    start: int,
    rate: float,
    version: int,
    record_length: int,
    most: int,
    out: NDArray[Any],
    ends: NDArray[Any],
) -> int:  # pragma: no cover  (compiled)
    """Write the records into zeroed bytes; return how many. ``finer`` is the head with a blockette 1001."""
    n_sample = raw.size // item if item else samples.size
    first = p = n_record = 0
    while first < n_sample:
        time = start + np.int64(np.floor(first / rate * 1e9 + 0.5))
        head, fine = plain, np.int64(0)
        if version == 2:
            microseconds = (time + 500) // 1000
            fine = (microseconds + 50) % 100 - 50
            time = microseconds * 1000
            if fine:
                head = finer
        begin = p + head.size
        for i in range(head.size):
            out[p + i] = head[i]
        if item:
            n = min((record_length - head.size) // item, n_sample - first, most)
            used = n * item
            for i in range(used):
                out[begin + i] = raw[first * item + i]
        else:
            n, used = pack_frames(samples, steps, encoding, first, most, out[begin : p + record_length])
        if version == 2:
            _stamp(out, p + 20, time, True)
            # Tenths of milliseconds, to the nearest; the blockette says how much that is off.
            _put(out, p + 28, (time - fine * 1000) % 1_000_000_000 // 100_000, 2, True)
            _put(out, p + 30, n, 2, True)
            if fine:
                out[p + 61] = fine & 255
                _stamp(out, p + 20, time - fine * 1000, True)
            p += record_length
        else:
            _put(out, p + 4, time % 1_000_000_000, 4, False)
            _stamp(out, p + 8, time, False)
            _put(out, p + 24, n, 4, False)
            _put(out, p + 36, used, 4, False)
            _put(out, p + 28, crc32c(out[p : begin + used]), 4, False)
            p = begin + used
        first += n
        ends[n_record] = p
        n_record += 1
    return n_record


@njit(cache=True, nogil=True)
def _put(out: NDArray[Any], p: int, value: Any, n_byte: int, big: bool) -> None:  # pragma: no cover
    for i in range(n_byte):
        out[p + (n_byte - 1 - i if big else i)] = value >> (8 * i) & 255


@njit(cache=True, nogil=True)
def _stamp(out: NDArray[Any], p: int, time: Any, big: bool) -> None:  # pragma: no cover  (compiled)
    """Write year, day of the year, hour, minute and second of a time [ns since 1970]."""
    second = time // 1_000_000_000
    day = second // 86400
    second -= day * 86400
    # Years are counted from March, so that the leap day comes last, in eras of 400 (146097 days).
    era_day = (day + 719468) % 146097
    year = (era_day - era_day // 1460 + era_day // 36524 - era_day // 146096) // 365
    march = era_day - (365 * year + year // 4 - year // 100)
    year += (day + 719468) // 146097 * 400
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    # From the 306th day on it is January of the next year.
    if march >= 306:
        year, number = year + 1, march - 305
    else:
        number = march + 60 + leap
    _put(out, p, year, 2, big)
    _put(out, p + 2, number, 2, big)
    out[p + 4], out[p + 5], out[p + 6] = second // 3600, second // 60 % 60, second % 60


def _crc_tables() -> NDArray[np.uint32]:
    """Return what a byte does to the checksum when 0 to 7 more bytes follow it, shape ``(8, 256)``."""
    tables = np.zeros((8, 256), np.uint32)
    tables[0] = np.arange(256)
    for _ in range(8):
        tables[0] = np.where(tables[0] & 1, tables[0] >> 1 ^ np.uint32(0x82F63B78), tables[0] >> 1)
    for k in range(1, 8):
        tables[k] = tables[k - 1] >> 8 ^ tables[0][tables[k - 1] & 255]
    return tables


_CRC = _crc_tables()


@njit(cache=True, nogil=True)
def crc32c(data: NDArray[Any]) -> int:  # pragma: no cover  (compiled)
    """Return the CRC-32C (Castagnoli) of bytes, eight at a time."""
    crc = np.uint32(0xFFFFFFFF)
    whole = data.size // 8 * 8
    for p in range(0, whole, 8):
        crc = (
            _CRC[7, data[p] ^ crc & 255]
            ^ _CRC[6, data[p + 1] ^ crc >> 8 & 255]
            ^ _CRC[5, data[p + 2] ^ crc >> 16 & 255]
            ^ _CRC[4, data[p + 3] ^ crc >> 24 & 255]
            ^ _CRC[3, data[p + 4]]
            ^ _CRC[2, data[p + 5]]
            ^ _CRC[1, data[p + 6]]
            ^ _CRC[0, data[p + 7]]
        )
    for p in range(whole, data.size):
        crc = crc >> 8 ^ _CRC[0, (crc ^ data[p]) & 255]
    return int(crc ^ np.uint32(0xFFFFFFFF))
