"""Raw samples put on the grid of a network: copied where the rate is the grid's, else interpolated.

Interpolation is by a sinc under a Kaiser window, which also keeps out what the grid cannot hold (Smith 2002,
Digital Audio Resampling, https://ccrma.stanford.edu/~jos/resample/).
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

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


def place(
    x: NDArray[np.float64],
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
        Raw samples, shape (n,).
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
    ratio = Fraction(sampling_rate / rate).limit_denominator(MOST_PHASES)
    # The place, in raw samples, of the grid's first sample: a thousandth of a sample is finer than any clock.
    first = round(-offset_ns * sampling_rate / NS_PER_S * 1000) / 1000
    bases, kernel = _kernel(ratio, first - np.floor(first), min(1.0, rate / sampling_rate))
    whole = int(np.floor(first))
    _interpolate(x, runs, whole, first, sampling_rate / rate, ratio.numerator, bases, kernel, zero, out, mask)
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
    x: NDArray[np.float64],
    runs: NDArray[np.int64],
    at: int,
    zero: float,
    out: Array,
    mask: NDArray[np.bool_],
) -> None:
    for r in range(runs.shape[0]):
        low, high = max(runs[r, 0], -at), min(runs[r, 1], out.shape[0] - at)
        for i in range(low, high):
            out[i + at] = np.float32(x[i] - zero)
        if low < high:
            mask[low + at : high + at] = True


@njit(cache=True)
def _interpolate(
    x: NDArray[np.float64],
    runs: NDArray[np.int64],
    whole: int,
    first: float,
    step: float,
    numerator: int,
    bases: NDArray[np.int64],
    kernel: Array,
    zero: float,
    out: Array,
    mask: NDArray[np.bool_],
) -> None:
    denominator, n_tap = kernel.shape
    reach = n_tap // 2
    for r in range(runs.shape[0]):
        a, b = runs[r, 0], runs[r, 1]
        # Beyond the ends of a run its first and last samples go on.
        padded = np.empty(b - a + 2 * reach, np.float32)
        padded[:reach] = np.float32(x[a] - zero)
        padded[reach + b - a :] = np.float32(x[b - 1] - zero)
        for i in range(a, b):
            padded[reach + i - a] = np.float32(x[i] - zero)
        low = max(0, int(np.ceil((a - first) / step - 1e-6)))
        high = min(out.shape[0], int(np.floor((b - 1 - first) / step + 1e-6)) + 1)
        for j in range(low, high):
            row = j % denominator
            base = whole + j // denominator * numerator + bases[row]
            k = min(max(base - a + 1, 0), padded.shape[0] - n_tap)
            out[j] = _dot(kernel[row], padded[k : k + n_tap])
            mask[j] = True


@njit(cache=True, fastmath={"reassoc", "contract", "nsz"})
def _dot(a: Array, b: Array) -> np.float32:
    total = np.float32(0.0)
    for i in range(a.shape[0]):
        total += a[i] * b[i]
    return total
