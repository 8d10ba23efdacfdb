"""What a strong-motion record is summed up in: peaks, energy, durations, spectrum intensity, Fourier spectra.

All take ground acceleration and give the units of `kaname.core.shaking`. Of two horizontals each measure is
taken over all directions: RotD50 is its median over 180 of them, RotD100 the largest (Boore 2010,
doi:10.1785/0120090400). The JMA instrumental intensity, which is of three components, is
`kaname.signal.intensity.jma_intensity`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy import fft
from scipy.integrate import cumulative_trapezoid

from kaname.core.errors import InputError
from kaname.core.shaking import GRAVITY_CM_S2
from kaname.signal.response_spectra import N_ANGLE, rotated_peaks

SI_PERIODS_S = tuple(np.round(np.arange(0.1, 2.5001, 0.1), 10))
"""Periods at which the velocity response is taken for the spectrum intensity [s]."""
_ANGLES_OF_SUMS = 36
"""Directions for measures that are sums over the record: they change slowly with direction."""


@dataclass(frozen=True)
class HorizontalMeasures:
    """A measure of two horizontals, over all directions."""

    rotd50: float
    rotd100: float
    geometric_mean: float
    larger: float


def integrated(
    acceleration_cm_s2: NDArray[np.float64], rate_hz: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return velocity [cm/s] and displacement [cm] by the trapezoid rule, from rest.

    Parameters
    ----------
    acceleration_cm_s2
        Shape ``(n_channel, n_sample)`` [cm/s^2].
    rate_hz
        Samples per second [Hz].
    """
    velocity = cumulative_trapezoid(acceleration_cm_s2, dx=1.0 / rate_hz, axis=1, initial=0.0)
    return velocity, cumulative_trapezoid(velocity, dx=1.0 / rate_hz, axis=1, initial=0.0)


def peak(first: NDArray[np.float64], second: NDArray[np.float64]) -> HorizontalMeasures:
    """Return the peak of two horizontals of anything, shape ``(n_sample,)`` each."""
    rotd50, rotd100 = rotated_peaks(first, second)
    return _with_components(rotd50, rotd100, float(np.abs(first).max()), float(np.abs(second).max()))


def arias(first: NDArray[np.float64], second: NDArray[np.float64], rate_hz: float) -> HorizontalMeasures:
    """Return the Arias intensity [cm/s]: ``pi / (2 g)`` times the integral of squared acceleration [cm/s^2].

    Arias (1970), A measure of earthquake intensity. Over all directions it follows from three sums, exactly.
    """
    scale = np.pi / (2.0 * GRAVITY_CM_S2) / rate_hz
    xx, yy, xy = scale * (first @ first), scale * (second @ second), scale * (first @ second)
    angle = np.arange(N_ANGLE) * (np.pi / N_ANGLE)
    over = xx * np.cos(angle) ** 2 + yy * np.sin(angle) ** 2 + xy * np.sin(2 * angle)
    return _with_components(float(np.median(over)), float(over.max()), float(xx), float(yy))


def cumulative_absolute_velocity(
    first: NDArray[np.float64], second: NDArray[np.float64], rate_hz: float
) -> HorizontalMeasures:
    """Return the cumulative absolute velocity [cm/s]: the integral of absolute acceleration [cm/s^2]."""
    angle = np.arange(_ANGLES_OF_SUMS) * (np.pi / _ANGLES_OF_SUMS)
    over = _absolute_sums(
        np.ascontiguousarray(first), np.ascontiguousarray(second), np.cos(angle), np.sin(angle)
    )
    return _with_components(
        float(np.median(over)) / rate_hz,
        float(over.max()) / rate_hz,
        float(np.abs(first).sum()) / rate_hz,
        float(np.abs(second).sum()) / rate_hz,
    )


def significant_duration(
    first: NDArray[np.float64], second: NDArray[np.float64], rate_hz: float, *, low: float, high: float
) -> float:
    """Return how long the energy of both horizontals takes from part ``low`` to part ``high`` [s].

    Trifunac & Brady (1975, BSSA 65, 581-626), of the summed Arias intensity of both; 0 for a record of zeros.

    Raises
    ------
    InputError
        When not ``0 <= low < high <= 1``.
    """
    if not 0 <= low < high <= 1:
        raise InputError(f"parts of the energy must be 0 <= low < high <= 1, found {low} and {high}")
    energy = np.cumsum(first**2 + second**2)
    if not len(energy) or energy[-1] <= 0:
        return 0.0
    begin, end = np.searchsorted(energy, [low * energy[-1], high * energy[-1]])
    return float(end - begin) / rate_hz


def spectrum_intensity(
    period_s: NDArray[np.float64],
    rotd50: NDArray[np.float64],
    rotd100: NDArray[np.float64],
    components: NDArray[np.float64],
) -> HorizontalMeasures:
    """Return Housner's spectrum intensity [cm]: pseudo-velocity at 5 %, integrated from 0.1 to 2.5 s.

    Housner (1952), as ESM takes it: not divided by the length of the interval.

    Parameters
    ----------
    period_s
        `SI_PERIODS_S`, shape ``(n_period,)`` [s].
    rotd50, rotd100
        Pseudo-accelerations over all directions, shape ``(n_period,)`` [cm/s2].
    components
        Of the two horizontals, shape ``(2, n_period)`` [cm/s2].
    """

    def integral(pseudo_acceleration: NDArray[np.float64]) -> float:
        return float(np.trapezoid(pseudo_acceleration * period_s / (2 * np.pi), period_s))

    return _with_components(
        integral(rotd50), integral(rotd100), integral(components[0]), integral(components[1])
    )


def fourier_amplitude(
    samples: NDArray[np.float64], rate_hz: float, frequency_hz: ArrayLike, *, bandwidth: float = 40.0
) -> NDArray[np.float64]:
    """Return the Fourier amplitude [unit of the samples times s] at given frequencies, smoothed.

    Konno & Ohmachi (1998, BSSA 88, 228-241): ``(sin(b log10(f/fc)) / (b log10(f/fc)))^4``, with amplitudes
    squared before and rooted after, so that the energy is kept.

    Parameters
    ----------
    samples
        Shape ``(n_sample,)``, at rest at both ends.
    rate_hz
        Samples per second [Hz].
    frequency_hz
        Centre frequencies, positive [Hz].
    bandwidth
        Konno and Ohmachi's ``b``; larger is narrower.

    Raises
    ------
    InputError
        When a frequency is not positive or above half the rate, or the bandwidth is not positive.
    """
    centres = np.atleast_1d(np.asarray(frequency_hz, np.float64))
    if not ((centres > 0) & (centres <= rate_hz / 2)).all():
        raise InputError(f"frequencies must be positive and at most {rate_hz / 2:g} Hz, found {centres}")
    if not bandwidth > 0:
        raise InputError(f"bandwidth must be positive, found {bandwidth}")
    n_fft = int(fft.next_fast_len(max(len(samples), int(4 * rate_hz / centres.min())), real=True))
    power = np.abs(fft.rfft(np.asarray(samples, np.float64), n_fft) / rate_hz) ** 2
    return np.asarray(np.sqrt(_konno_ohmachi(power[1:], rate_hz / n_fft, centres, float(bandwidth))))


def _with_components(rotd50: float, rotd100: float, first: float, second: float) -> HorizontalMeasures:
    return HorizontalMeasures(rotd50, rotd100, float(np.sqrt(first * second)), max(first, second))


@njit(cache=True, nogil=True)
def _absolute_sums(x: Any, y: Any, c: Any, s: Any) -> Any:  # pragma: no cover  (compiled)
    out = np.zeros(c.size)
    for k in range(c.size):
        total = 0.0
        for i in range(x.size):
            total += abs(x[i] * c[k] + y[i] * s[k])
        out[k] = total
    return out


@njit(cache=True, nogil=True)
def _konno_ohmachi(power: Any, step: Any, centres: Any, b: Any) -> Any:  # pragma: no cover  (compiled)
    """Weighted mean of the power; the window is cut at its third zero, where it is below 1e-4."""
    out = np.empty(centres.size)
    reach = 10.0 ** (3.0 * np.pi / b)
    for k in range(centres.size):
        low = max(1, int(np.floor(centres[k] / reach / step)))
        high = min(power.size, int(np.ceil(centres[k] * reach / step)))
        weights = 0.0
        total = 0.0
        for i in range(low, high + 1):
            x = b * np.log10(i * step / centres[k])
            w = 1.0 if abs(x) < 1e-9 else (np.sin(x) / x) ** 4
            weights += w
            total += w * power[i - 1]
        out[k] = total / weights if weights > 0 else 0.0
    return out
