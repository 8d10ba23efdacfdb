"""Steim 1 and 2 of miniSEED, packed and unpacked at several times the speed of libmseed.

After the SEED manual 2.4, appendix B. Only records of miniSEED 2 that are in every respect what they should
be are unpacked here; with anything else the caller asks libmseed, which also knows what to say about it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pymseed import DataEncoding

from kaname.formats.miniseed_records import blockettes, dated, header, u2

_FRAME = 64
_STEIM1, _STEIM2 = int(DataEncoding.STEIM1), int(DataEncoding.STEIM2)


def unpack(data: bytes, lengths: NDArray[np.int64], n_samples: NDArray[np.int64]) -> NDArray[np.int32] | None:
    """Return the samples of records that stand one behind the other, or ``None`` if there is any doubt.

    There is none when every record is big-endian miniSEED 2 in Steim 1 or 2 with a blockette 1000, of the
    length and with the number of samples expected, and ends with the sample that it says it ends with.

    Parameters
    ----------
    data
        The records.
    lengths
        Bytes of each, shape (n_record,).
    n_samples
        Samples of each, same shape.

    Returns
    -------
    ndarray, shape (n_samples.sum(),)
    """
    out = np.empty(int(n_samples.sum()), np.int32)
    if lengths.sum() > len(data) or not _records(np.frombuffer(data, np.uint8), lengths, n_samples, out):
        return None
    return out


def _words(differences: dict[int, tuple[int, int]]) -> tuple[NDArray[np.int64], ...]:
    """Return by code of a word how many differences it holds, and how each is shifted out of it.

    The code is four times the word's two bits in its frame's first word, plus its own first two; a word
    holds so many differences of so many bits, at its end. Codes that mean nothing hold -1.
    """
    count, left, right = np.full(16, -1), np.zeros((16, 8), np.int64), np.zeros(16, np.int64)
    count[:4] = 0
    for code, (number, bits) in differences.items():
        count[code] = number
        for j in range(number):
            left[code, j] = 64 - bits * (number - j)
        right[code] = 64 - bits
    return count, left, right


# How many differences of how many bits a word holds, by its code.
_CODES1 = {4 * kind + k: v for kind, v in ((1, (4, 8)), (2, (2, 16)), (3, (1, 32))) for k in range(4)}
_CODES2 = {
    **{4 + k: (4, 8) for k in range(4)},
    **{9: (1, 30), 10: (2, 15), 11: (3, 10), 12: (5, 6), 13: (6, 5), 14: (7, 4)},
}
_TABLE1, _TABLE2 = _words(_CODES1), _words(_CODES2)


@njit(cache=True, nogil=True)
def _records(
    data: NDArray[Any], lengths: NDArray[Any], n_samples: NDArray[Any], out: NDArray[Any]
) -> Any:  # pragma: no cover  (compiled)
    scratch = np.empty(max(1, n_samples.max()) + 8, np.int32)
    p, at = 0, 0
    for r in range(lengths.size):
        end, n = p + lengths[r], n_samples[r]
        if header(data, p) != 2 or not dated(data, p, True):
            return False
        encoding, length, _, _, word_order = blockettes(data, p, True)
        begin = u2(data, p + 44, True)
        if length != lengths[r] or u2(data, p + 30, True) != n or word_order != 1 or begin < 48:
            return False
        if encoding == _STEIM1:
            count, left, right = _TABLE1
        elif encoding == _STEIM2:
            count, left, right = _TABLE2
        else:
            return False
        if not _frames(data[p + begin : end], count, left, right, scratch, out[at : at + n]):
            return False
        p, at = end, at + n
    return True


@njit(cache=True, nogil=True)
def _frames(
    data: NDArray[Any],
    count: NDArray[Any],
    left: NDArray[Any],
    right: NDArray[Any],
    scratch: NDArray[Any],
    out: NDArray[Any],
) -> Any:  # pragma: no cover  (compiled)
    """Unpack the frames of a record; tell whether they hold what they should."""
    n = out.size
    n_found = 0
    for frame in range(0, data.size // _FRAME * _FRAME, _FRAME):
        control = _word(data, frame)
        for k in range(3 if frame == 0 else 1, 16):
            word = _word(data, frame + 4 * k)
            code = (control >> (30 - 2 * k) & 3) << 2 | word >> 30
            number = count[code]
            if number < 0:
                return False
            # Always eight, which is one instruction; what is too much is written over by the next word.
            for j in range(8):
                scratch[n_found + j] = np.int32(word << left[code, j] >> right[code])
            n_found += number
            if n_found >= n:
                break
        if n_found >= n:
            break
    if n_found < n:
        return False
    # The first difference is to the record before.
    value = _word(data, 4)
    out[0] = np.int32(value)
    for i in range(1, n):
        value += scratch[i]
        out[i] = np.int32(value)
    return out[n - 1] == np.int32(_word(data, 8))


@njit(cache=True, nogil=True)
def _word(data: NDArray[Any], p: int) -> Any:  # pragma: no cover  (compiled)
    a, b, c, d = np.int64(data[p]), np.int64(data[p + 1]), np.int64(data[p + 2]), np.int64(data[p + 3])
    return a << 24 | b << 16 | c << 8 | d


def _ways(codes: dict[int, tuple[int, int]]) -> NDArray[np.int64]:
    """Return, by how many differences could share a word, how they are packed, shape ``(8, 4)``.

    Columns: what their sizes must stay below, how many of them the word takes, its code, bits of each.
    """
    # Of the four codes of a word that has no bits of its own to spare, the one with none set.
    by_number = {number: (code, bits) for code, (number, bits) in sorted(codes.items(), reverse=True)}
    out = np.zeros((8, 4), np.int64)
    for k in range(1, 8):
        # Steim 1 has no word of three: three that would fit a word of four become two and one.
        widest = max((bits for n, (_, bits) in by_number.items() if n >= k), default=0)
        number = max(n for n in by_number if n <= k)
        out[k] = 1 << widest >> 1, number, *by_number[number]
    return out


_WAYS1, _WAYS2 = _ways(_CODES1), _ways(_CODES2)


@njit(cache=True, nogil=True)
def differences(samples: NDArray[Any], encoding: int) -> Any:  # pragma: no cover  (compiled)
    """Return each 32-bit sample less the one before, for `pack_frames`; empty where one needs over 30 bits.

    Steim 1 has 32 bits: what needs more wraps around, and so does the sum that undoes it.
    """
    n = samples.size
    steps = np.zeros(n, np.int32)
    widest = np.int64(0)
    for i in range(1, n):
        step = np.int64(samples[i]) - np.int64(samples[i - 1])
        widest |= step ^ (step >> 63)
        steps[i] = step
    return steps[:0] if encoding == _STEIM2 and widest >= 1 << 29 else steps


@njit(cache=True, nogil=True)
def pack_frames(
    samples: NDArray[Any], steps: NDArray[Any], encoding: int, first: int, most: int, out: NDArray[Any]
) -> Any:  # pragma: no cover  (compiled)
    """Pack samples into the frames of one record; return how many samples, and the bytes used.

    Parameters
    ----------
    samples, steps
        32-bit samples, and the `differences` between them; the first one's is set to 0.
    encoding
        SEED code of Steim 1 or 2.
    first, most
        First sample, and how many the record may hold.
    out
        Zeroed bytes of the frames.
    """
    ways = _WAYS1 if encoding == _STEIM1 else _WAYS2
    steps[first] = 0
    at, end = first, min(first + most, samples.size)
    frame = 0
    while at < end and frame + _FRAME <= out.size:
        control = 0
        for k in range(3 if frame == 0 else 1, 16):
            if at >= end:
                break
            sharing, most_sharing = 1, min(7, end - at)
            sizes = steps[at] ^ (steps[at] >> 31)
            while sharing < most_sharing:
                sizes |= steps[at + sharing] ^ (steps[at + sharing] >> 31)
                if sizes >= ways[sharing + 1, 0]:
                    break
                sharing += 1
            number, code, bits = ways[sharing, 1], ways[sharing, 2], ways[sharing, 3]
            mask = (1 << bits) - 1
            word = np.int64(0)
            for i in range(at, at + number):
                word = word << bits | (steps[i] & mask)
            word |= (code & 3) << 30
            control |= code >> 2 << (30 - 2 * k)
            _put_word(out, frame + 4 * k, word)
            at += number
        _put_word(out, frame, control)
        frame += _FRAME
    _put_word(out, 4, np.int64(samples[first]))
    _put_word(out, 8, np.int64(samples[at - 1]))
    return at - first, frame


@njit(cache=True, nogil=True)
def _put_word(out: NDArray[Any], p: int, value: Any) -> None:  # pragma: no cover  (compiled)
    out[p], out[p + 1] = value >> 24 & 255, value >> 16 & 255
    out[p + 2], out[p + 3] = value >> 8 & 255, value & 255
