"""Raw samples put on the grid of a network: copied where the rate is the grid's, else interpolated.

Interpolation is by a sinc under a Kaiser window, which also keeps out what the grid cannot hold (Smith 2002,
Digital Audio Resampling, https://ccrma.stanford.edu/~jos/resample/).
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kaname.core.time import NS_PER_S

Array = NDArray[np.float32]

ZEROS = 16
"""Zero crossings of the sinc on either side."""
BETA = 8.0
"""Shape of the Kaiser window: about 80 dB down outside."""
PASS = 0.9
"""Corner, as a share of the lower Nyquist frequency."""
REACH_S = 2.0
"""No sample further away than this changes a resampled one: `ZEROS` at 10 Hz."""
COPY = 1.5e-6
"""Rates this close to the grid's are the grid's: within a window of 350 s that is 0.05 samples."""
MOST_PHASES = 1000
STRAY = 0.01
"""How far a sample may lie from its place [raw sample]."""


def place(
    x: NDArray[np.generic],
    runs: NDArray[np.int64],
    offset_ns: int,
    sampling_rate: float,
    interval_ns: int,
    zero: float,
    out: Array,
    mask: NDArray[np.bool_],
) -> float:
    """Put runs of good samples of one channel on the grid.

    Parameters
    ----------
    x
        Raw samples, int32 or float64, shape (n,).
    runs
        First, and one past the last, of the good ones, shape (n_run, 2).
    offset_ns
        Time of the first raw sample after the first of the grid [ns].
    sampling_rate
        Of the raw samples [Hz].
    interval_ns
        Of the grid [ns].
    zero
        Taken from every sample before it becomes float32.
    out, mask
        The grid, written to where there are samples.

    Returns
    -------
    float
        By how much the samples were taken later than their place on the grid [sample]; 0 when interpolated.
    """
    rate = NS_PER_S / interval_ns
    if abs(sampling_rate / rate - 1) <= COPY:
        at = (offset_ns + interval_ns // 2) // interval_ns
        _copy(x, runs, at, zero, out, mask)
        return offset_ns / interval_ns - at
    step = sampling_rate / rate
    ratio = Fraction(step).limit_denominator(MOST_PHASES)
    # A rate that is no such fraction is followed piece by piece.
    strayed = abs(step - float(ratio)) * out.size
    edges = np.linspace(0, out.size, 1 + max(1, int(np.ceil(strayed / STRAY)))).astype(int).tolist()
    for begin, end in pairwise(edges):
        # Where the first sample of the piece's own row 0 lies; a thousandth is finer than any clock.
        first = -offset_ns * sampling_rate / NS_PER_S + (begin + end) / 2 * (step - float(ratio))
        first = round(first * 1000) / 1000
        bases, kernel = _kernel(ratio, first - np.floor(first), min(1.0, 1 / step))
        bases = bases + int(np.floor(first))
        _interpolate(
            x, runs, first, float(ratio), ratio.numerator, bases, kernel, zero, begin, end, out, mask
        )
    return 0.0


@lru_cache(maxsize=64)
def _kernel(ratio: Fraction, phase: float, bandwidth: float) -> tuple[NDArray[np.int64], Array]:
    """Weights of the raw samples about each place that grid samples can have between them.

    Grid sample ``j`` lies at ``phase + j * ratio`` raw samples; of the ``denominator`` first ones the last
    raw sample not after it, shape (n_phase,), and the weights of those about it, shape (n_phase, n_tap).
    """
    reach = int(np.ceil(ZEROS / bandwidth))
    place = phase + np.arange(ratio.denominator) * float(ratio)
    bases = np.floor(place).astype(np.int64)
    distance = np.arange(-reach + 1, reach + 1) - (place - bases)[:, np.newaxis]
    shape = np.i0(BETA * np.sqrt(np.clip(1 - (distance / reach) ** 2, 0, None)))
    weights = np.sinc(PASS * bandwidth * distance) * shape
    return bases, (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


@njit(cache=True)
def _copy(
    x: NDArray[np.generic],
    runs: NDArray[np.int64],
    at: int,
    zero: float,
    out: Array,
    mask: NDArray[np.bool_],
) -> None:
    for r in range(runs.shape[0]):
        low, high = max(runs[r, 0], -at), min(runs[r, 1], out.shape[0] - at)
        if low < high:
            _less(x[low:high], zero, out[low + at : high + at])
            mask[low + at : high + at] = True


@njit(cache=True)
def _less(x: NDArray[np.generic], zero: float, out: Array) -> None:
    for i in range(x.shape[0]):
        out[i] = np.float32(x[i] - zero)


@njit(cache=True)
def _interpolate(
    x: NDArray[np.generic],
    runs: NDArray[np.int64],
    first: float,
    step: float,
    numerator: int,
    bases: NDArray[np.int64],
    kernel: Array,
    zero: float,
    begin: int,
    end: int,
    out: Array,
    mask: NDArray[np.bool_],
) -> None:
    denominator, n_tap = kernel.shape
    total = np.empty(1024, np.float32)
    for r in range(runs.shape[0]):
        a, b = runs[r, 0], runs[r, 1]
        low = max(begin, int(np.ceil((a - first) / step - 1e-6)))
        high = min(end, int(np.floor((b - 1 - first) / step + 1e-6)) + 1)
        if low >= high:
            continue
        # The raw samples dealt out in turn, so that those which one tap meets stand side by side.
        origin = int(np.floor(first + low * step)) - n_tap
        n_raw = int(np.floor(first + high * step)) + n_tap - origin
        dealt = _deal(x[a:b], origin - a, n_raw, numerator, zero)
        for row in range(denominator):
            stop = -((row - high) // denominator)
            for turn in range(-((row - low) // denominator), stop, total.shape[0]):
                part = total[: min(stop - turn, total.shape[0])]
                part[:] = np.float32(0.0)
                for tap in range(n_tap):
                    k = bases[row] - n_tap // 2 + 1 + tap - origin
                    at = k // numerator + turn
                    _add(kernel[row, tap], dealt[k % numerator, at : at + part.shape[0]], part)
                for i in range(part.shape[0]):
                    out[row + (turn + i) * denominator] = part[i]
        mask[low:high] = True


@njit(cache=True)
def _deal(x: NDArray[np.generic], origin: int, n: int, hands: int, zero: float) -> Array:
    """Deal samples out from ``origin`` on; beyond the ends of ``x`` its first and last go on."""
    out = np.empty((hands, n // hands + 1), np.float32)
    last = x.shape[0] - 1
    for m in range(out.shape[1]):
        i = origin + m * hands
        if i >= 0 and i + hands <= last:
            for h in range(hands):
                out[h, m] = np.float32(x[i + h] - zero)
        else:
            for h in range(hands):
                out[h, m] = np.float32(x[min(max(i + h, 0), last)] - zero)
    return out


@njit(cache=True, fastmath={"contract", "nsz"})
def _add(weight: np.float32, x: Array, total: Array) -> None:
    for i in range(x.shape[0]):
        total[i] += weight * x[i]
