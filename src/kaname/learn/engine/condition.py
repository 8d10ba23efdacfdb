"""What our networks see of a record: the same function in training and in inference.

A record is high-passed and shown twice: *linear*, divided by the loudness about each instant, with the ratios
between the components kept, and *compressed*, each component divided by its own quiet level and its range
reduced, so that a weak onset after a strong event is as visible as one in silence. Both levels are taken from
blocks on a fixed grid, so nothing depends on where a window begins as long as it begins on the grid.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.signal import butter

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

NAME = "kaname-1"
"""Name of this conditioning, kept in the metadata of every model trained on it."""
RATE_HZ = 100.0
CORNER_HZ = 1.0
BLOCK = 128
"""Samples of a block of the level; windows begin at multiples of it."""
REACH = 12
"""Blocks to either side that the levels look at (15.4 s)."""
FLOOR = 1e-3
"""The quiet level is never below this share of the loud one: digital silence holds no detail."""
CLIP = 20.0
N_INPUT = 6

_SOS = butter(2, CORNER_HZ, "highpass", fs=RATE_HZ, output="sos")[0]


def condition(data: NDArray[np.floating], mask: Mask) -> Array:
    """Return what a network sees of three components.

    Parameters
    ----------
    data
        Samples of Z, N, E at 100 Hz in any unit, shape ``(3, n)``; ``n`` a multiple of `BLOCK`.
    mask
        Where the samples are real, same shape. Samples elsewhere are never read: the filter goes straight
        from the last real one to the next, and the output there is zero. A missing component is masked
        throughout.

    Returns
    -------
    ndarray
        float32, shape ``(6, n)``: Z, N, E linear, then Z, N, E compressed.
    """
    if data.ndim != 2 or data.shape[0] != 3 or data.shape[1] % BLOCK or mask.shape != data.shape:
        raise ValueError(
            f"data and mask must have shape (3, a multiple of {BLOCK}), found {data.shape} and {mask.shape}"
        )
    return _condition(np.ascontiguousarray(data, np.float64), np.ascontiguousarray(mask), _SOS)


@njit(cache=True, fastmath={"contract", "arcp", "nsz"})
def _condition(data: NDArray[np.float64], mask: Mask, sos: NDArray[np.float64]) -> Array:
    n = data.shape[1]
    n_block = n // BLOCK
    out = np.zeros((N_INPUT, n), np.float32)
    energy = np.full((3, n_block), -1.0)
    for c in range(3):
        _high_pass(data[c], mask[c], sos, out[c])
        for b in range(n_block):
            total, count = _energy(out[c, b * BLOCK : (b + 1) * BLOCK], mask[c, b * BLOCK : (b + 1) * BLOCK])
            if count >= BLOCK // 2:
                energy[c, b] = total / count
    loud = np.zeros(n_block)
    for b in range(n_block):
        total, count = 0.0, 0
        for c in range(3):
            for k in range(max(0, b - REACH), min(n_block, b + REACH + 1)):
                if energy[c, k] >= 0.0:
                    total += energy[c, k]
                    count += 1
        loud[b] = np.sqrt(total / count) if count else 0.0
    quiet = np.zeros(n_block)
    for c in range(3):
        for b in range(n_block):
            low, total, count = np.inf, 0.0, 0
            for k in range(max(0, b - REACH), min(n_block, b + REACH + 1)):
                if energy[c, k] >= 0.0:
                    low = min(low, energy[c, k])
                    total += energy[c, k]
                    count += 1
            quiet[b] = max(np.sqrt(low), FLOOR * np.sqrt(total / count)) if count else 0.0
        _scale(out[c], quiet, out[3 + c], True)
    for c in range(3):
        _scale(out[c], loud, out[c], False)
    return out


@njit(cache=True, fastmath={"reassoc", "contract", "nsz"})
def _energy(x: Array, mask: Mask) -> tuple[float, int]:
    total, count = np.float32(0.0), 0
    for i in range(x.shape[0]):
        total += x[i] * x[i]
        count += mask[i]
    return float(total), count


@njit(cache=True)
def _high_pass(x: NDArray[np.float64], mask: Mask, sos: NDArray[np.float64], out: Array) -> None:
    n = x.shape[0]
    first = 0
    while first < n and not mask[first]:
        first += 1
    if first == n:
        return
    b0, b1, b2, a1, a2 = sos[0], sos[1], sos[2], sos[4], sos[5]
    origin = x[first]
    z1, z2 = 0.0, 0.0
    i = first
    while i < n:
        if mask[i]:
            value = x[i] - origin
            y = b0 * value + z1
            z1 = b1 * value - a1 * y + z2
            z2 = b2 * value - a2 * y
            out[i] = y
            i += 1
            continue
        end = i
        while end < n and not mask[end]:
            end += 1
        if end == n:
            return
        left, right = x[i - 1] - origin, x[end] - origin
        for k in range(i, end):
            value = left + (right - left) * (k - i + 1) / (end - i + 1)
            y = b0 * value + z1
            z1 = b1 * value - a1 * y + z2
            z2 = b2 * value - a2 * y
        i = end


@njit(cache=True, fastmath={"reassoc", "contract", "arcp", "nsz"})
def _scale(x: Array, level: NDArray[np.float64], out: Array, compress: bool) -> None:
    """Divide by the level, interpolated between the middles of its blocks; a level of zero gives zero."""
    n_block = level.shape[0]
    half = BLOCK // 2
    one, four, clip = np.float32(1.0), np.float32(4.0), np.float32(CLIP)
    for b in range(n_block):
        here = level[b]
        if here <= 0.0:
            out[b * BLOCK : (b + 1) * BLOCK] = np.float32(0.0)
            continue
        before = level[b - 1] if b and level[b - 1] > 0 else here
        after = level[b + 1] if b + 1 < n_block and level[b + 1] > 0 else here
        for side in range(2):
            start = (before + here) / 2 if side == 0 else here
            stop = here if side == 0 else (here + after) / 2
            base, slope = np.float32(start), np.float32((stop - start) / half)
            part = x[b * BLOCK + side * half : b * BLOCK + (side + 1) * half]
            into = out[b * BLOCK + side * half : b * BLOCK + (side + 1) * half]
            for j in range(half):
                v = part[j] / (base + slope * np.float32(j))
                if compress:
                    v = np.copysign(four * (np.sqrt(np.sqrt(one + abs(v))) - one), v)
                into[j] = min(max(v, -clip), clip)
