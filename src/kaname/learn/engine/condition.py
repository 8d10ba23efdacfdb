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
    x = np.ascontiguousarray(data, data.dtype if data.dtype == np.float32 else np.float64)
    whole = np.array([row.all() for row in mask])
    return _condition(x, np.ascontiguousarray(mask), whole, _SOS)


@njit(cache=True, fastmath={"contract", "arcp", "nsz"})
def _condition(data: NDArray[np.floating], mask: Mask, whole: Mask, sos: NDArray[np.float64]) -> Array:
    n = data.shape[1]
    n_block = n // BLOCK
    passed = np.empty((3, n), np.float32)
    if whole.all():
        _high_pass(data, sos, passed)
    else:
        bridged = np.empty((3, n))
        for c in range(3):
            _bridge(data[c], mask[c], bridged[c])
        _high_pass(bridged, sos, passed)
    energy = np.full((3, n_block), -1.0)
    for c in range(3):
        if not whole[c]:
            for i in range(n):
                if not mask[c, i]:
                    passed[c, i] = np.float32(0.0)
        for b in range(n_block):
            count = BLOCK if whole[c] else mask[c, b * BLOCK : (b + 1) * BLOCK].sum()
            if count >= BLOCK // 2:
                energy[c, b] = _energy(passed[c, b * BLOCK : (b + 1) * BLOCK]) / count
    sums, counts, lows = np.empty((3, n_block)), np.empty((3, n_block), np.int64), np.empty((3, n_block))
    for c in range(3):
        for b in range(n_block):
            low, total, count = np.inf, 0.0, 0
            for k in range(max(0, b - REACH), min(n_block, b + REACH + 1)):
                if energy[c, k] >= 0.0:
                    low = min(low, energy[c, k])
                    total += energy[c, k]
                    count += 1
            sums[c, b], counts[c, b], lows[c, b] = total, count, low
    loud, quiet = np.zeros(n_block), np.zeros((3, n_block))
    for b in range(n_block):
        count = counts[:, b].sum()
        loud[b] = np.sqrt(sums[:, b].sum() / count) if count else 0.0
        for c in range(3):
            if counts[c, b]:
                quiet[c, b] = max(np.sqrt(lows[c, b]), FLOOR * np.sqrt(sums[c, b] / counts[c, b]))
    out = np.empty((N_INPUT, n), np.float32)
    inverse = np.empty(n, np.float32)
    _invert(loud, inverse)
    for c in range(3):
        _linear(passed[c], inverse, out[c])
    for c in range(3):
        _invert(quiet[c], inverse)
        _compressed(passed[c], inverse, out[3 + c])
    return out


@njit(cache=True)
def _bridge(x: NDArray[np.floating], mask: Mask, out: NDArray[np.float64]) -> None:
    """Go straight from real sample to real sample, and be constant beyond the first and the last."""
    n = x.shape[0]
    last = -1
    for i in range(n):
        if not mask[i]:
            continue
        if last < 0:
            out[:i] = x[i]
        else:
            left, right = float(x[last]), float(x[i])
            for k in range(last + 1, i):
                out[k] = left + (right - left) * (k - last) / (i - last)
        out[i] = x[i]
        last = i
    # Not zero: a filter that rings out towards it works on denormal numbers, which are slow.
    out[last + 1 :] = out[last] if last >= 0 else 0.0


@njit(cache=True, fastmath={"contract", "nsz"})
def _high_pass(x: NDArray[np.floating], sos: NDArray[np.float64], out: Array) -> None:
    """Filter three components, each less its first sample."""
    # The three components side by side: each must wait for its own last sample, not for the others'.
    # And what is next in a state does not wait for the sample that goes out.
    b0, a1, a2 = sos[0], sos[4], sos[5]
    c1, c2 = sos[1] - a1 * b0, sos[2] - a2 * b0
    p1, p2, q1, q2, r1, r2 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    x0, y0, z0 = float(x[0, 0]), float(x[1, 0]), float(x[2, 0])
    for i in range(x.shape[1]):
        u, v, w = x[0, i] - x0, x[1, i] - y0, x[2, i] - z0
        out[0, i], out[1, i], out[2, i] = b0 * u + p1, b0 * v + q1, b0 * w + r1
        p1, p2 = (c1 * u + p2) - a1 * p1, c2 * u - a2 * p1
        q1, q2 = (c1 * v + q2) - a1 * q1, c2 * v - a2 * q1
        r1, r2 = (c1 * w + r2) - a1 * r1, c2 * w - a2 * r1


@njit(cache=True, fastmath={"reassoc", "contract", "nsz"})
def _energy(x: Array) -> float:
    total = np.float32(0.0)
    for i in range(x.shape[0]):
        total += x[i] * x[i]
    return float(total)


@njit(cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def _invert(level: NDArray[np.float64], out: Array) -> None:
    """One over the level, interpolated between the middles of blocks; zero where there is none."""
    n_block = level.shape[0]
    half = BLOCK // 2
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
            part = out[b * BLOCK + side * half : b * BLOCK + (side + 1) * half]
            for j in range(half):
                part[j] = np.float32(1.0) / (base + slope * np.float32(j))


# Where input and output are one, LLVM leaves these loops scalar.
@njit(cache=True, fastmath={"reassoc", "contract", "nsz", "nnan"})
def _linear(x: Array, inverse: Array, out: Array) -> None:
    clip = np.float32(CLIP)
    for j in range(x.shape[0]):
        v = x[j] * inverse[j]
        v = v if v < clip else clip
        out[j] = v if v > -clip else -clip


@njit(cache=True, fastmath={"reassoc", "contract", "nsz", "nnan"})
def _compressed(x: Array, inverse: Array, out: Array) -> None:
    one, four, clip = np.float32(1.0), np.float32(4.0), np.float32(CLIP)
    for j in range(x.shape[0]):
        v = x[j] * inverse[j]
        size = four * (np.sqrt(np.sqrt(one + abs(v))) - one)
        size = size if size < clip else clip
        out[j] = size if v >= 0 else -size
