"""Writer of WIN and WIN32: whole seconds, every difference in the narrowest width that holds it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kaname.core.errors import InputError
from kaname.core.files import replacing
from kaname.core.time import NS_PER_S, isoformat
from kaname.core.waveform import Waveform
from kaname.formats.win import OFFSET_S, Clock, Variant
from kaname.formats.win_codec import MISSING
from kaname.formats.win_names import channel_key

Form = Literal["win", "win32"]
Number = Callable[[str, np.datetime64], int]
"""Gives the channel number of an identifier at a time; of WIN32 with organisation and network above it."""

_HIGH_RATE = 1 << 12
_HIGHEST_RATE = 1 << 20
_LEAST, _MOST = -(1 << 31), (1 << 31) - 1
_FORMS = ("win", "win32")


def whole_seconds(block: Waveform) -> tuple[Waveform | None, list[dict[str, Any]]]:
    """Return the whole UTC seconds of a block, which is all that WIN can hold, and rows about what is left.

    Raises
    ------
    InputError
        When the rate is no whole number of hertz, or no sample falls on a whole second.
    """
    rate, identifier = block.sampling_rate, block.ids[0]
    if rate != round(rate) or not 1 <= rate < _HIGHEST_RATE:
        raise InputError(
            f"{identifier} has {rate} samples per second; WIN holds whole numbers from 1 to "
            f"{_HIGHEST_RATE - 1}: resample it first"
        )
    ns = int(block.start.astype(np.int64))
    before = (-ns % NS_PER_S) * rate / NS_PER_S
    if abs(before - round(before)) > 1e-6 * rate:
        raise InputError(
            f"{identifier} from {isoformat(block.start, decimals=9)} at {rate:g} Hz has no sample on a whole "
            "second, where every second of WIN begins: interpolate it onto whole seconds first"
        )
    low = round(before)
    n_second = (block.n_sample - low) // round(rate)
    high = low + n_second * round(rate)
    spans = [(0, min(low, block.n_sample)), (high, block.n_sample)] if n_second > 0 else [(0, block.n_sample)]
    rows = [
        {
            "start": block.time(a),
            "end": block.time(b),
            "error": "PartialSecond",
            "message": f"{identifier}: {b - a} samples left out: WIN holds whole seconds only",
        }
        for a, b in spans
        if a < b
    ]
    if n_second <= 0:
        return None, rows
    start = np.datetime64(round((ns + before * NS_PER_S / rate) / NS_PER_S) * NS_PER_S, "ns")
    return replace(block, data=block.data[:, low:high], start=start), rows


def pack_win(
    blocks: Iterable[Waveform],
    *,
    form: Form = "win32",
    clock: Clock = "JST",
    number: Number | None = None,
    variant: Variant = "plain",
) -> bytes:
    """Return blocks as the bytes of a WIN or WIN32 file, second by second and in order of channel number.

    Parameters
    ----------
    blocks
        Blocks of integers in whole UTC seconds (see `whole_seconds`), of any number of channels.
    form
        WIN32 has four digits of the year and room for organisation and network.
    clock
        Clock by which the times are written.
    number
        Gives the channel numbers, for example `ChannelTable.number`; by default they are read from
        identifiers as `kaname.formats.win_names.seed_name` makes them.
    variant
        ``tilt`` writes samples equal to `kaname.formats.win_codec.MISSING` as missing.

    Raises
    ------
    InputError
        When a block has parts of seconds, samples beyond 32 bits or no channel number, when two blocks of a
        channel hold the same second, or an option is unknown.
    """
    if form not in _FORMS or clock not in OFFSET_S or variant not in ("plain", "tilt"):
        raise InputError(
            f"found form {form!r}, clock {clock!r}, variant {variant!r}; expected one of "
            f"{_FORMS}, {tuple(OFFSET_S)}, ('plain', 'tilt')"
        )
    pieces = [
        _Piece(channel, form == "win32", number)
        for block in blocks
        for channel in (block.select([i]) for i in block.ids)
    ]
    if not pieces:
        raise InputError("no blocks to write")
    second = np.concatenate([np.arange(p.n_second) + p.second for p in pieces])
    key = np.repeat([p.key for p in pieces], [p.n_second for p in pieces])
    rate = np.repeat([p.rate for p in pieces], [p.n_second for p in pieces])
    order = np.lexsort((key, second))
    second, key, rate = second[order], key[order], rate[order]
    double = np.flatnonzero((np.diff(second) == 0) & (np.diff(key) == 0))
    if double.size:
        when = np.datetime64(int(second[double[0]]), "s")
        raise InputError(f"two blocks of channel {key[double[0]]:04X} hold the second from {when}; cut one")
    if form == "win" and (second[0] < -OFFSET_S[clock] or second[-1] >= _WIN_END):
        raise InputError("WIN has two digits of the year, 1970 to 2069; write win32")
    samples = np.concatenate([p.samples for p in pieces])
    first = np.concatenate([np.arange(p.n_second) * p.rate for p in pieces])
    starts = np.cumsum([0, *(p.samples.size for p in pieces[:-1])])
    first = (first + np.repeat(starts, [p.n_second for p in pieces]))[order]
    out = np.empty(_bound(rate, second), np.uint8)
    stamps, at = np.unique(second, return_inverse=True)
    clocks = _stamps(stamps + OFFSET_S[clock], form)
    n_byte = _encode(samples, first, rate, key, at, clocks, form == "win32", variant == "tilt", out)
    return out[:n_byte].tobytes()


def write_win(
    blocks: Iterable[Waveform],
    path: str | os.PathLike[str],
    *,
    form: Form = "win32",
    clock: Clock = "JST",
    number: Number | None = None,
    variant: Variant = "plain",
) -> Path:
    """Write blocks to a WIN or WIN32 file, in one atomic rename; options and errors as `pack_win`.

    Raises
    ------
    StorageError
        When the disk refuses; the previous file, if any, is untouched.
    """
    packed = pack_win(blocks, form=form, clock=clock, number=number, variant=variant)
    target = Path(path)
    with replacing(target, sync=True) as partial:
        partial.write_bytes(packed)
    return target


class _Piece:
    """One channel, checked: whole seconds of 32-bit samples with a channel number."""

    def __init__(self, block: Waveform, wide: bool, number: Number | None) -> None:
        identifier = block.ids[0]
        whole, rows = whole_seconds(block)
        if whole is None or rows:
            raise InputError(
                f"{rows[0]['message']}, from {isoformat(block.start)}; take whole_seconds of it first"
            )
        if not np.issubdtype(whole.data.dtype, np.integer):
            raise InputError(
                f"{identifier}: {whole.data.dtype} samples cannot be written as WIN without loss"
            )
        samples = whole.data[0]
        if samples.dtype != np.int32 and (samples.min() < _LEAST or samples.max() > _MOST):
            raise InputError(f"{identifier} has samples beyond 32 bits, which WIN cannot hold")
        self.samples = np.ascontiguousarray(samples, np.int32)
        self.rate = round(whole.sampling_rate)
        self.second = int(whole.start.astype("datetime64[s]").astype(np.int64))
        self.n_second = self.samples.size // self.rate
        self.key = _key(identifier, whole.start, wide, number)


def _key(identifier: str, when: np.datetime64, wide: bool, number: Number | None) -> int:
    if number is not None:
        key = number(identifier, when)
        if not 0 <= key < (1 << 32 if wide else 1 << 16):
            raise InputError(f"{identifier}: channel number {key:#x} does not fit the format")
        return key
    named = channel_key(identifier)
    if named is None:
        raise InputError(f"{identifier} has no channel number; give `number`, for example a channel table's")
    network, channel = named
    return (network or 0) << 16 | channel if wide else channel


_WIN_END = int(np.datetime64("2070-01-01", "s").astype(np.int64)) - OFFSET_S["JST"]


def _bound(rate: NDArray[Any], second: NDArray[Any]) -> int:
    return int(4 + 16 * np.unique(second).size + (4 * rate.astype(np.int64) + 11).sum())


def _stamps(seconds: NDArray[Any], form: Form) -> NDArray[np.uint8]:
    """Return times [s since 1970, clock of the file] as BCD, shape ``(n, 6)``, for WIN32 ``(n, 8)``."""
    text = np.datetime_as_string(seconds.astype("datetime64[s]"))
    digits = np.char.replace(np.char.replace(np.char.replace(text, "-", ""), ":", ""), "T", "")
    stamps = [d + "00" if form == "win32" else d[2:] for d in digits.tolist()]
    return np.frombuffer(bytes.fromhex("".join(stamps)), np.uint8).reshape(len(seconds), -1)


@njit(cache=True)
def _put(out: NDArray[Any], at: int, value: Any, n_byte: int) -> int:  # pragma: no cover  (compiled)
    for b in range(n_byte - 1, -1, -1):
        out[at] = (value >> (8 * b)) & 255
        at += 1
    return at


@njit(cache=True)
def _fits(low: Any, high: Any, bits: int) -> Any:  # pragma: no cover  (compiled)
    return low >= -(1 << (bits - 1)) and high < 1 << (bits - 1)


@njit(cache=True, nogil=True)
def _encode(
    samples: NDArray[Any],
    first: NDArray[Any],
    rate: NDArray[Any],
    key: NDArray[Any],
    stamp: NDArray[Any],
    clocks: NDArray[Any],
    wide: bool,
    tilt: bool,
    out: NDArray[Any],
) -> int:  # pragma: no cover  (compiled)
    """Write the channel blocks, one per second and channel and in their order; return the number of bytes."""
    at = _put(out, 0, 0, 4) if wide else 0
    head = 0
    for i in range(first.size):
        if i == 0 or stamp[i] != stamp[i - 1]:
            head = at
            if not wide:
                at += 4
            for b in range(clocks.shape[1]):
                out[at] = clocks[stamp[i], b]
                at += 1
            if wide:
                at = _put(out, at, 10, 4) + 4
        at = _encode_channel(samples[first[i] : first[i] + rate[i]], key[i], wide, tilt, out, at)
        if i + 1 == first.size or stamp[i + 1] != stamp[i]:
            if wide:
                _put(out, head + 12, at - head - 16, 4)
            else:
                _put(out, head, at - head, 4)
    return at


@njit(cache=True)
def _encode_channel(
    samples: NDArray[Any], key: int, wide: bool, tilt: bool, out: NDArray[Any], at: int
) -> int:  # pragma: no cover  (compiled)
    n = samples.size
    low, high = np.int64(0), np.int64(0)
    here = np.int64(samples[0])
    anchored = not tilt or here != MISSING
    gap = not anchored
    for k in range(1, n):
        value = np.int64(samples[k])
        if tilt and value == MISSING:
            gap = True
            continue
        if anchored:
            # A difference of more than 32 bits wraps around, and so does the sum that undoes it.
            step = np.int64(np.int32(value - here))
            low, high = min(low, step), max(high, step)
        else:
            low, high, anchored = np.int64(_LEAST), np.int64(_MOST), True
        here = value
    # The most negative difference of a width is the marker.
    code = 4
    for width in range(4):
        if _fits(low - gap, high, 8 * width if width else 4):
            code = width
            break
    at = _put(out, at, key, 4 if wide else 2)
    if n < _HIGH_RATE:
        at = _put(out, at, code << 12 | n, 2)
    else:
        at = _put(out, at, (code | 8) << 20 | n, 3)
    at = _put(out, at, samples[0], 4)
    here = np.int64(samples[0])
    anchored = not tilt or here != MISSING
    for k in range(1, n):
        value = np.int64(samples[k])
        if tilt and value == MISSING:
            step = np.int64(-8) if code == 0 else -(np.int64(1) << (8 * code - 1))
        elif anchored:
            step, here = np.int64(np.int32(value - here)), value
        else:
            step, here, anchored = value, value, True
        if code:
            at = _put(out, at, step, code)
        elif k % 2:
            out[at] = (step & 15) << 4
            at += n - k == 1
        else:
            out[at] |= step & 15
            at += 1
    return at
