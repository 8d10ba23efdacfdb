"""Picks from the answers of a network.

The curve of a phase is read as the density of its onset, convolved with the kernel of the training labels. A
pick is a peak of it: its area over that of the kernel is how probable an onset is, its centroid is the time,
and by how much it is wider than the kernel is how uncertain the time is.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float32]

PHASES = ("P", "S")
FLOOR = 0.02
"""No peak is looked for where a curve stays below this, and there it counts as zero."""
REACH_S = 0.35
"""Half the window of a peak's area and spread."""
CENTRE_SIGMAS = 2.0
"""Half the window of the centroid that gives the time, in widths of the kernel."""


class Peaks(NamedTuple):
    """Peaks of one phase, in order of time; each array of shape (n,)."""

    position: NDArray[np.float64]
    """Place of the centroid [sample]."""
    height: NDArray[np.float64]
    """Greatest value of the smoothed curve."""
    area: NDArray[np.float64]
    """Area over that of the kernel; about 1 for a sure onset."""
    spread: NDArray[np.float64]
    """Standard deviation about the position in excess of the kernel's [s]."""


def unfold(y: Array) -> Array:
    """Return the logits of P, S and noise, shape (3, n), of a network's answer of shape (3 * q, n / q)."""
    steps = y.shape[0] // 3
    return y.reshape(3, steps, -1).swapaxes(1, 2).reshape(3, -1)


def curves(y: Array) -> Array:
    """Return the probabilities of P and S wherever one of them can exceed `FLOOR`, zero elsewhere.

    Parameters
    ----------
    y
        Logits, shape (3 * q, n / q): for P, S and noise each the q samples of a step.

    Returns
    -------
    ndarray, float32, shape (2, n)
    """
    return _curves(np.ascontiguousarray(y, np.float32), math.log(FLOOR / (1 - FLOOR)))


@njit(cache=True, fastmath={"nsz", "contract"})
def _curves(y: Array, least: float) -> Array:
    q, m = y.shape[0] // 3, y.shape[1]
    bar = np.float32(least)
    best = np.full(m, -np.inf, np.float32)
    for phase in range(2):
        for j in range(q):
            row, noise = y[phase * q + j], y[2 * q + j]
            for i in range(m):
                odds = row[i] - noise[i]
                best[i] = odds if odds > best[i] else best[i]
    out = np.zeros((2, m * q), np.float32)
    for i in range(m):
        if not best[i] > bar:
            continue
        for j in range(q):
            p, s, n = y[j, i], y[q + j, i], y[2 * q + j, i]
            top = max(p, s, n)
            ep, es, en = np.exp(p - top), np.exp(s - top), np.exp(n - top)
            total = ep + es + en
            out[0, i * q + j] = ep / total
            out[1, i * q + j] = es / total
    return out


def find_peaks(
    curve: Array, *, low: int, high: int, apart: int, rate_hz: float, kernel_s: float, floor: float = FLOOR
) -> Peaks:
    """Find the peaks of one curve.

    Parameters
    ----------
    curve
        Probability of a phase, shape (n,).
    low, high
        Where peaks are wanted, ``low <= sample < high``.
    apart
        Of peaks closer than this the highest stays [sample].
    rate_hz
        Sampling rate [Hz].
    kernel_s
        Standard deviation of the Gaussian that the labels were smoothed with [s].
    floor
        Least height.
    """
    return Peaks(
        *_find(
            curve,
            low,
            high,
            apart,
            round(REACH_S * rate_hz),
            kernel_s * rate_hz,
            max(1, round(CENTRE_SIGMAS * kernel_s * rate_hz)),
            rate_hz,
            floor,
        )
    )


@njit(cache=True)
def _reaches(x: Array, floor: float) -> bool:
    count = 0
    for i in range(x.shape[0]):
        count += x[i] >= floor
    return count > 0


@njit(cache=True)
def _smooth(x: Array, i: int) -> float:
    """Binomial mean of five samples."""
    n = x.shape[0]
    a, b = x[max(i - 2, 0)], x[max(i - 1, 0)]
    d, e = x[min(i + 1, n - 1)], x[min(i + 2, n - 1)]
    return float((a + e + 4.0 * (b + d) + 6.0 * x[i]) / 16.0)


@njit(cache=True)
def _find(
    x: Array,
    low: int,
    high: int,
    apart: int,
    reach: int,
    kernel: float,
    centre: int,
    rate: float,
    floor: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    n = x.shape[0]
    places, heights = [0][:0], [0.0][:0]
    # A little beyond the ends too: what is higher there takes its neighbours within.
    begin, end = max(low - apart, 0), min(high + apart, n)
    for part in range(begin, end, 64):
        stop = min(part + 64, end)
        if not _reaches(x[part:stop], floor):
            continue
        for i in range(part, stop):
            if x[i] < floor:
                continue
            here = _smooth(x, i)
            if here >= floor and here > _smooth(x, max(i - 1, 0)) and here >= _smooth(x, min(i + 1, n - 1)):
                places.append(i)
                heights.append(here)
    place, height = np.array(places, np.int64), np.array(heights, np.float64)
    kept = np.zeros(place.size, np.bool_)
    for c in np.argsort(-height, kind="mergesort"):
        free = True
        d = c - 1
        while d >= 0 and place[c] - place[d] < apart:
            free = free and not kept[d]
            d -= 1
        d = c + 1
        while d < place.size and place[d] - place[c] < apart:
            free = free and not kept[d]
            d += 1
        kept[c] = free
    place, height = place[kept], height[kept]
    wanted = (place >= low) & (place < high)
    n_peak = wanted.sum()
    position, top = np.empty(n_peak), np.empty(n_peak)
    area, spread = np.empty(n_peak), np.empty(n_peak)
    unit = kernel * math.sqrt(2 * math.pi)
    at = 0
    for c in range(place.size):
        if not wanted[c]:
            continue
        first, last = max(place[c] - reach, 0), min(place[c] + reach, n - 1)
        if c > 0 and place[c - 1] > first:
            first = _lowest(x, place[c - 1], place[c])
        if c + 1 < place.size and place[c + 1] < last:
            last = _lowest(x, place[c], place[c + 1])
        weight, moment = 0.0, 0.0
        for i in range(max(first, place[c] - centre), min(last, place[c] + centre) + 1):
            weight += x[i]
            moment += x[i] * (i - place[c])
        shift = moment / weight if weight > 0 else 0.0
        total, second = 0.0, 0.0
        for i in range(first, last + 1):
            total += x[i]
            second += x[i] * (i - place[c] - shift) ** 2
        position[at], top[at] = place[c] + shift, height[c]
        area[at] = total / unit
        spread[at] = math.sqrt(max(second / total - kernel**2, 0.0)) / rate if total > 0 else 0.0
        at += 1
    return position, top, area, spread


@njit(cache=True)
def _lowest(x: Array, low: int, high: int) -> int:
    best = low
    for i in range(low, high + 1):
        if x[i] < x[best]:
            best = i
    return best
