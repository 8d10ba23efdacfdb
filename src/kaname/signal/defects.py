"""Samples that no ground motion made: flat stretches, spikes, clipping."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

SCALE_S = 30.0
"""Stretch over which the usual step from sample to sample is judged [s]."""
SPIKE_STEPS = 25.0
"""A spike leaps up and back by this many usual steps."""
CLIP_RUN = 3
"""Samples of the shortest clipped run."""
CLIP_STEPS = 8
"""A clipped run is entered or left by a step of this many counts; the top of a smooth wave is not."""


def count_flat(samples: NDArray[Any], least: int) -> int:
    """Count the samples in runs of at least `least` equal ones; `samples` has shape ``(n,)``."""
    return int(_count_flat(np.ascontiguousarray(samples), least))


def find_spikes(samples: NDArray[Any], rate_hz: float) -> NDArray[np.int64]:
    """Find leaps of one or two samples that come back at once.

    A leap counts when it is `SPIKE_STEPS` times the median step between samples of the stretch of `SCALE_S`
    around it, and of the eight steps on either side of it none is a tenth of it: earthquakes shake on.

    Parameters
    ----------
    samples
        Shape ``(n,)``, finite.
    rate_hz
        Samples per second [Hz].

    Returns
    -------
    indices
        First sample of each spike, shape ``(n_spike,)``.
    """
    data = np.ascontiguousarray(samples, dtype=np.float64)
    if data.size < 6:
        return np.zeros(0, np.int64)
    length = max(16, round(SCALE_S * rate_hz))
    steps = np.abs(np.diff(data))
    scales = [np.median(steps[low : low + length]) for low in range(0, steps.size, length)]
    # Of integers whose median step is zero, one count is the least that can be told.
    return np.asarray(
        _find_spikes(data, np.maximum(np.array(scales), _quantum(samples)), length, SPIKE_STEPS)
    )


def count_clipped(samples: NDArray[Any], low: float, high: float, *, steep: bool = True) -> int:
    """Count the samples at or beyond two levels in runs of at least `CLIP_RUN`.

    Parameters
    ----------
    samples
        Shape ``(n,)``.
    low, high
        Levels, in the unit of the samples.
    steep
        Count only runs of equal samples that are entered or left by `CLIP_STEPS` counts at once: for levels
        that are the least and the greatest sample, which every record has.
    """
    step = CLIP_STEPS * max(_quantum(samples), (high - low) * 1e-6) if steep else 0.0
    return int(_count_clipped(np.ascontiguousarray(samples, dtype=np.float64), low, high, step))


def _quantum(samples: NDArray[Any]) -> float:
    return 1.0 if np.issubdtype(samples.dtype, np.integer) else 0.0


@njit(cache=True, nogil=True)
def _count_flat(data: Any, least: int) -> int:  # pragma: no cover  (compiled)
    total = 0
    run = 1
    for i in range(1, data.size + 1):
        if i < data.size and data[i] == data[i - 1]:
            run += 1
            continue
        if run >= least:
            total += run
        run = 1
    return total if data.size else 0


@njit(cache=True, nogil=True)
def _find_spikes(data: Any, scales: Any, length: int, factor: float) -> Any:  # pragma: no cover  (compiled)
    found = []
    n = data.size
    i = 2
    while i < n - 3:
        least = factor * scales[min(i // length, scales.size - 1)]
        leap = data[i] - data[i - 1]
        if abs(leap) <= least or least == 0.0:
            i += 1
            continue
        width = 0
        for w in range(1, 3):
            back = data[i + w] - data[i + w - 1]
            if back * leap < 0 and abs(data[i + w] - data[i - 1]) < 0.1 * abs(leap):
                width = w
                break
        if width == 0:
            i += 1
            continue
        quiet = True
        for k in range(max(1, i - 8), i):
            quiet = quiet and abs(data[k] - data[k - 1]) < 0.1 * abs(leap)
        for k in range(i + width + 1, min(n, i + width + 9)):
            quiet = quiet and abs(data[k] - data[k - 1]) < 0.1 * abs(leap)
        if quiet:
            found.append(i)
        i += width
    return np.array(found, dtype=np.int64)


@njit(cache=True, nogil=True)
def _count_clipped(data: Any, low: float, high: float, step: float) -> int:  # pragma: no cover  (compiled)
    total = 0
    n = data.size
    i = 0
    while i < n:
        if low < data[i] < high:
            i += 1
            continue
        top = data[i] >= high
        last = i + 1
        while last < n and (data[last] >= high if top else data[last] <= low):
            last += 1
        leap = 0.0
        if i > 0:
            leap = abs(data[i] - data[i - 1])
        if last < n:
            leap = max(leap, abs(data[last] - data[last - 1]))
        if last - i >= CLIP_RUN and leap >= step:
            total += last - i
        i = last
    return total
