"""Response spectra of ground acceleration: damped oscillators, and two horizontals in all directions.

An oscillator of period ``T`` and damping ``h`` obeys ``u'' + 2 h w u' + w^2 u = -a(t)``, ``w = 2 pi / T``.
For ground acceleration that runs straight from sample to sample its response is known exactly (Nigam &
Jennings 1969, BSSA 59, 909-922): a recursion of two numbers per sample, without an error of its own. Three
things remain, and each is dealt with. Straight lines weaken high frequencies by ``sinc^2(f dt)``: the
record is raised by as much beforehand. They also mirror them about the sampling rate: for periods of less
than `SAMPLES` samples the record is made finer by its Fourier series. And the largest response lies between
samples: there it is interpolated from displacement and velocity.

Pseudo-spectral acceleration is ``w^2 max|u|``. In direction ``theta`` the response of two horizontals is
``u1 cos(theta) + u2 sin(theta)``, so one pass gives all directions: RotD50 and RotD100 are the median and
the largest over 180 of them (Boore 2010, BSSA 100, 1830-1835, doi:10.1785/0120090400).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy import fft

from kaname.core.errors import InputError
from kaname.core.units import factor
from kaname.core.waveform import Waveform

DAMPING = 0.05
SAMPLES = 16.0
"""Samples that a period is to have, by a finer record if need be."""
N_ANGLE = 180
_FAST = {"nnan", "nsz", "arcp", "contract", "afn", "reassoc"}
_MOST_FINER = 4
_BATCH, _TILE = 16, 64
_FINE, _MOST_BETWEEN = 32.0, 4
"""Points of a period at which the largest response is looked for, and the most between two samples."""
_ENOUGH = 64.0
"""Points of a period that are enough to find the largest of any direction, to 0.1 %."""
_RISE = 0.7
"""Between two samples the response may rise above both, to this part of its square at the least sampling."""


@dataclass(frozen=True)
class ResponseSpectra:
    """Pseudo-spectral accelerations [cm/s2] of one record at each period."""

    period_s: NDArray[np.float64]
    """Shape ``(n_period,)`` [s]."""
    components: NDArray[np.float64]
    """Of each channel, shape ``(n_channel, n_period)``."""
    rotd50: NDArray[np.float64]
    """Median over all directions of the two horizontals, shape ``(n_period,)``; NaN without two of them."""
    rotd100: NDArray[np.float64]
    """Largest over all directions."""
    geometric_mean: NDArray[np.float64]
    """Geometric mean of the two horizontals as they were recorded."""


def response_spectra(
    block: Waveform,
    period_s: ArrayLike,
    *,
    damping: float = DAMPING,
    horizontals: tuple[int, int] | None = (0, 1),
) -> ResponseSpectra:
    """Return the response spectra of a record.

    Parameters
    ----------
    block
        Acceleration, ``(n_channel, n_sample)``, in a unit of acceleration, at rest before and after.
    period_s
        Periods [s], positive.
    damping
        Fraction of critical, ``0 <= damping < 1``.
    horizontals
        Which two channels are horizontal and at a right angle; ``None``: none are.

    Raises
    ------
    InputError
        When the unit is not one of acceleration, a sample is not finite, or a period, the damping or a
        horizontal does not exist.
    """
    if block.unit == "count":
        raise InputError(
            f"{block.ids[0]} is in counts; response spectra need acceleration: apply the scale first"
        )
    to_cm_s2 = factor(block.unit, "cm/s^2")
    periods = np.atleast_1d(np.asarray(period_s, np.float64))
    if periods.ndim != 1 or not periods.size or not (np.isfinite(periods) & (periods > 0)).all():
        raise InputError(f"periods must be positive and one or more, found {periods}")
    if not 0 <= damping < 1:
        raise InputError(f"damping must be at least 0 and less than 1, found {damping}")
    pair = (-1, -1) if horizontals is None else horizontals
    if horizontals is not None and not (len({*pair}) == 2 and all(0 <= k < block.n_channel for k in pair)):
        raise InputError(f"horizontals {horizontals} are not two of the {block.n_channel} channels")
    data = np.asarray(block.data, np.float64) * to_cm_s2
    if not np.isfinite(data).all():
        raise InputError(f"{', '.join(block.ids)} has samples that are not finite")
    finer = np.array([_finer(t, block.sampling_rate) for t in periods])
    peaks = np.empty((block.n_channel, periods.size))
    rotated = np.full((2, periods.size), np.nan)
    angles = np.arange(N_ANGLE) * (np.pi / N_ANGLE)
    directions = np.stack([np.cos(angles), np.sin(angles)])
    for times in np.unique(finer):
        own = np.flatnonzero(finer == times)
        ground, rate = _finer_record(data, int(times)), block.sampling_rate * times
        peaks[:, own], rotated[:, own] = _spectra(ground, 1.0 / rate, periods[own], damping, pair, directions)
    two = peaks[list(pair)] if horizontals is not None else np.full((2, periods.size), np.nan)
    return ResponseSpectra(periods, peaks, rotated[0], rotated[1], np.sqrt(two[0] * two[1]))


def rotated_peaks(first: ArrayLike, second: ArrayLike) -> tuple[float, float]:
    """Return RotD50 and RotD100 of the peak of two horizontals of anything, shape ``(n_sample,)`` each."""
    angles = np.arange(N_ANGLE) * (np.pi / N_ANGLE)
    x, y = np.ascontiguousarray(first, np.float64), np.ascontiguousarray(second, np.float64)
    directions = np.stack([np.cos(angles), np.sin(angles)])
    over = _over_angles(x, y, x, y, np.zeros(4), np.zeros(5), 1, directions)
    return float(np.median(over)), float(over.max())


def _finer(period: float, rate: float) -> int:
    """How many times finer the record must be for this period, a power of two."""
    wanted = SAMPLES / (period * rate)
    return int(min(_MOST_FINER, 2 ** max(0, np.ceil(np.log2(wanted)))))


def _finer_record(data: NDArray[np.float64], times: int) -> NDArray[np.float64]:
    """Interpolate by the Fourier series of the record, raised by what straight lines will weaken.

    Zeros behind the record keep its ends apart.
    """
    n = data.shape[1]
    n_fft = int(fft.next_fast_len(n + min(n, 256), real=True))
    n_fft += n_fft % 2
    spectrum = fft.rfft(data, n_fft, axis=1)
    wide = np.zeros((data.shape[0], n_fft * times // 2 + 1), complex)
    cycles = np.arange(spectrum.shape[1]) / (n_fft * times)
    wide[:, : spectrum.shape[1]] = spectrum / np.sinc(cycles) ** 2
    if times > 1:
        wide[:, spectrum.shape[1] - 1] *= 0.5  # the highest frequency is shared by both signs
    fine = fft.irfft(wide, n_fft * times, axis=1) * times
    return np.ascontiguousarray(fine[:, : (n - 1) * times + 1])


def _coefficients(w: float, h: float, dt: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nigam & Jennings' matrices: ``(u, u')`` at the next sample from itself and the two accelerations."""
    root = np.sqrt(1.0 - h * h)
    wd = w * root
    e, s, c = np.exp(-h * w * dt), np.sin(wd * dt), np.cos(wd * dt)
    a = np.array([[e * (h / root * s + c), e * s / wd], [-w / root * e * s, e * (c - h / root * s)]])
    p, q = (2 * h * h - 1) / (w * w * dt), 2 * h / (w**3 * dt)
    b = np.array(
        [
            [
                e * ((p + h / w) * s / wd + (q + 1 / w**2) * c) - q,
                -e * (p * s / wd + q * c) - 1 / w**2 + q,
            ],
            [
                e * ((p + h / w) * (c - h / root * s) - (q + 1 / w**2) * (wd * s + h * w * c))
                + 1 / (w * w * dt),
                -e * (p * (c - h / root * s) - q * (wd * s + h * w * c)) - 1 / (w * w * dt),
            ],
        ]
    )
    return a, b


def _spectra(
    ground: NDArray[np.float64],
    dt: float,
    periods: NDArray[np.float64],
    damping: float,
    pair: tuple[int, int],
    directions: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    matrices = [_coefficients(2 * np.pi / t, damping, dt) for t in periods]
    # Coefficient by coefficient, so that many oscillators move at once.
    a = np.array([m[0].ravel() for m in matrices]).T.copy()
    b = np.array([[*m[1].ravel(), dt] for m in matrices]).T.copy()  # and the interval
    # The record ends, the oscillator does not: it swings freely for a period, as largest after half of it.
    n_after = np.ceil(periods / dt).astype(np.int64)
    between = np.clip(np.ceil(_FINE * dt / periods), 1, _MOST_BETWEEN).astype(np.int64)
    skip = np.maximum(1, periods / dt / _ENOUGH).astype(np.int64)
    peaks, over = _oscillate(ground, a, b, n_after, between, skip, pair[0], pair[1], directions)
    square = (2 * np.pi / periods) ** 2
    rotated = np.full((2, len(periods)), np.nan)
    if pair[0] >= 0:
        rotated = np.stack([np.median(over, axis=1), over.max(axis=1)])
    return peaks * square, rotated * square


@njit(cache=True, nogil=True, fastmath=_FAST)
def _oscillate(
    ground: Any,
    a: Any,
    b: Any,
    n_after: Any,
    between: Any,
    skip: Any,
    first: Any,
    second: Any,
    directions: Any,
) -> Any:  # pragma: no cover  (compiled)
    n_channel, n = ground.shape
    n_period = a.shape[1]
    peaks = np.zeros((n_channel, n_period))
    over = np.zeros((n_period, directions.shape[1]))
    moved = np.empty((n_channel, _BATCH, n + n_after.max()))
    for low in range(0, n_period, _BATCH):
        size = min(_BATCH, n_period - low)
        total = n + n_after[low : low + size].max()
        for k in range(n_channel):
            _swing(ground[k], a[:, low : low + size], b[:4, low : low + size], total, moved[k])
        for q in range(size):
            p = low + q
            for k in range(n_channel):
                peaks[k, p] = _peak(moved[k, q, :total], ground[k], a[:, p], b[:, p], between[p])
            if first >= 0:
                # Of a path much finer than it need be, not every point is looked at.
                over[p] = _over_angles(
                    moved[first, q, : total : skip[p]].copy(),
                    moved[second, q, : total : skip[p]].copy(),
                    ground[first],
                    ground[second],
                    a[:, p],
                    b[:, p],
                    between[p],
                    directions,
                )
    return peaks, over


@njit(cache=True, nogil=True, fastmath=_FAST)
def _swing(ground: Any, a: Any, b: Any, total: Any, moved: Any) -> Any:  # pragma: no cover  (compiled)
    """Displacement of several oscillators at each sample, shape ``(n_oscillator, n_sample)``."""
    size = a.shape[1]
    n = ground.size
    # All oscillators of a batch take a step together; the idle ones of a short batch stay at rest.
    c = np.zeros((8, _BATCH))
    c[:4, :size] = a
    c[4:, :size] = b
    u, v, tile = np.zeros(_BATCH), np.zeros(_BATCH), np.empty((_TILE, _BATCH))
    before = 0.0
    for start in range(0, total, _TILE):
        length = min(_TILE, total - start)
        for i in range(length):
            now = ground[start + i] if start + i < n else 0.0
            for q in range(_BATCH):
                x = c[0, q] * u[q] + c[1, q] * v[q] + (c[4, q] * before + c[5, q] * now)
                v[q] = c[2, q] * u[q] + c[3, q] * v[q] + (c[6, q] * before + c[7, q] * now)
                u[q] = x
                tile[i, q] = x
            before = now
        for q in range(size):
            for i in range(length):
                moved[q, start + i] = tile[i, q]


@njit(cache=True, nogil=True, inline="always")
def _between(u: Any, ground: Any, a: Any, b: Any, i: Any, s: Any) -> Any:  # pragma: no cover  (compiled)
    """Displacement at part ``s`` of the way from sample ``i`` to the next.

    A cubic through both and their velocities, which the step itself gives back: it led from one to the next.
    """
    here = ground[i] if i < ground.size else 0.0
    there = ground[i + 1] if i + 1 < ground.size else 0.0
    v0 = (u[i + 1] - a[0] * u[i] - b[0] * here - b[1] * there) / a[1]
    v1 = a[2] * u[i] + a[3] * v0 + b[2] * here + b[3] * there
    r = 1.0 - s
    return (
        (1.0 + 2.0 * s) * r * r * u[i] + s * s * (3.0 - 2.0 * s) * u[i + 1] + s * r * b[4] * (r * v0 - s * v1)
    )


@njit(cache=True, nogil=True, fastmath=_FAST)
def _peak(u: Any, ground: Any, a: Any, b: Any, between: Any) -> Any:  # pragma: no cover  (compiled)
    top = 0.0
    for i in range(u.size):
        top = max(top, abs(u[i]))
    if between > 1:
        least = top * np.sqrt(_RISE)
        near = np.empty(u.size, np.int64)
        m = 0
        for i in range(u.size - 1):
            near[m] = i
            m += max(abs(u[i]), abs(u[i + 1])) >= least
        for i in near[:m]:
            for part in range(1, between):
                top = max(top, abs(_between(u, ground, a, b, i, part / between)))
    return top


@njit(cache=True, nogil=True, fastmath=_FAST)
def _over_angles(
    x: Any, y: Any, gx: Any, gy: Any, a: Any, b: Any, between: Any, directions: Any
) -> Any:  # pragma: no cover  (compiled)
    """Largest projection of the path on each direction.

    A point nearer to the origin than the smallest of the maxima cannot raise any of them: the far points give
    maxima to begin with, and of the others only those that reach beyond the smallest are looked at.
    """
    square = x * x + y * y
    out = np.zeros(directions.shape[1])
    near = np.empty(x.size, np.int64)
    above = np.inf
    below = 0.64 * square.max()
    for _ in range(2):
        m = 0
        for i in range(x.size - 1 if between > 1 else 0):
            larger = max(square[i], square[i + 1])
            near[m] = i
            m += _RISE * below <= larger and larger < above
        if between == 1:
            for i in range(x.size):
                near[m] = i
                m += below <= square[i] and square[i] < above
        px = np.empty(m * between)
        py = np.empty(m * between)
        for j in range(m):
            i = near[j]
            px[j * between] = x[i]
            py[j * between] = y[i]
            for part in range(1, between):
                px[j * between + part] = _between(x, gx, a, b, i, part / between)
                py[j * between + part] = _between(y, gy, a, b, i, part / between)
        m = px.size
        for k in range(out.size):
            c = directions[0, k]
            s = directions[1, k]
            top = out[k]
            for i in range(m):
                value = abs(px[i] * c + py[i] * s)
                if value > top:
                    top = value
            out[k] = top
        above = below
        below = min(out.min() ** 2, below)
    return out
