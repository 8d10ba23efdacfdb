"""Power of ground noise by period, and the models that bound it on earth."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kaname.core.errors import InputError

Array = NDArray[np.float64]

OVERLAP = 0.75
TAPER = 0.2
"""Share of a window that the cosine flanks take, both together."""
LEAST_WINDOW = 32
"""Samples of the shortest window."""
STEPS_PER_OCTAVE = 8

# Peterson (1993), USGS Open-File Report 93-322: from a period [s] on, the level is A + B log10(period) [dB].
_LOW = np.array(
    [
        (0.1, -162.36, 5.64),
        (0.17, -166.7, 0.0),
        (0.4, -170.0, -8.3),
        (0.8, -166.4, 28.9),
        (1.24, -168.6, 52.48),
        (2.4, -159.98, 29.81),
        (4.3, -141.1, 0.0),
        (5.0, -71.36, -99.77),
        (6.0, -97.26, -66.49),
        (10.0, -132.18, -31.57),
        (12.0, -205.27, 36.16),
        (15.6, -37.65, -104.33),
        (21.9, -114.37, -47.1),
        (31.6, -160.58, -16.28),
        (45.0, -187.5, 0.0),
        (70.0, -216.47, 15.7),
        (101.0, -185.0, 0.0),
        (154.0, -168.34, -7.61),
        (328.0, -217.43, 11.9),
        (600.0, -258.28, 26.6),
        (10000.0, -346.88, 48.75),
    ]
)
_HIGH = np.array(
    [
        (0.1, -108.73, -17.23),
        (0.22, -150.34, -80.5),
        (0.32, -122.31, -23.87),
        (0.8, -116.85, 32.51),
        (3.8, -108.48, 18.08),
        (4.6, -74.66, -32.95),
        (6.3, 0.66, -127.18),
        (7.9, -93.37, -22.42),
        (15.4, 73.54, -162.98),
        (20.0, -151.52, 10.01),
        (354.8, -206.66, 31.63),
    ]
)
_LONGEST_S = 1e5


def noise_models(period_s: Array) -> tuple[Array, Array]:
    """Return the new low and new high noise models of Peterson (1993, USGS Open-File Report 93-322).

    Parameters
    ----------
    period_s
        Periods, any shape [s].

    Returns
    -------
    low, high
        Power of ground acceleration, shape of `period_s` [dB relative to 1 (m/s^2)^2/Hz]; NaN outside
        0.1 to 100,000 s, where the models say nothing.
    """
    period = np.asarray(period_s, float)
    return _model(_LOW, period), _model(_HIGH, period)


def _model(table: Array, period: Array) -> Array:
    row = np.clip(np.searchsorted(table[:, 0], period, side="right") - 1, 0, len(table) - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        level = table[row, 1] + table[row, 2] * np.log10(period)
    return np.where((period >= table[0, 0]) & (period <= _LONGEST_S), level, np.nan)


def window_length(n_sample: int) -> int:
    """Return the window of a segment [samples]: a quarter of it, down to a power of two; 0 for too short."""
    length = 1 << max(0, (n_sample // 4).bit_length() - 1)
    return length if length >= LEAST_WINDOW else 0


def segment_power(samples: NDArray[Any], rate_hz: float) -> tuple[Array, Array]:
    """Estimate the power spectral density of a segment as McNamara and Buland (2004, BSSA 94, 1517-1527) do.

    Windows of a quarter of the segment, shortened to a power of two, overlap by 75 %; each loses its linear
    trend and gets cosine flanks over 10 % at either end; the power is one-sided and restored for the taper.

    Parameters
    ----------
    samples
        Shape ``(n,)``, finite, in any unit u.
    rate_hz
        Samples per second [Hz].

    Returns
    -------
    frequency, power
        Shape ``(n_window / 2,)`` each, without frequency zero [Hz; u^2/Hz].

    Raises
    ------
    InputError
        When the segment is too short.
    """
    length = window_length(samples.size)
    if not length:
        raise InputError(f"{samples.size} samples are too few for a spectrum; {4 * LEAST_WINDOW} are needed")
    from scipy.fft import rfft
    from scipy.signal.windows import tukey

    taper = tukey(length, TAPER)
    data = np.ascontiguousarray(samples, dtype=np.float64)
    window = np.empty(length)
    power = np.zeros(length // 2 + 1)
    starts = range(0, data.size - length + 1, length - int(OVERLAP * length))
    for start in starts:
        _detrend(data, start, taper, window)
        _add_power(rfft(window), power)
    power *= 2 / (rate_hz * (taper**2).sum() * len(starts))
    power[-1] /= 2  # the Nyquist frequency has no negative twin
    return np.asarray(np.arange(1, length // 2 + 1) * (rate_hz / length), float), power[1:]


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _detrend(data: Any, start: int, taper: Any, out: Any) -> None:  # pragma: no cover  (compiled)
    """Put a window without its least-squares line and with its taper into ``out``."""
    n = out.size
    middle = 0.5 * (n - 1)
    mean = 0.0
    moment = 0.0
    for i in range(n):
        mean += data[start + i]
    mean /= n
    for i in range(n):
        moment += (i - middle) * (data[start + i] - mean)
    slope = moment / (n * (n * n - 1.0) / 12.0)
    for i in range(n):
        out[i] = (data[start + i] - mean - slope * (i - middle)) * taper[i]


@njit(cache=True, nogil=True)
def _add_power(spectrum: Any, power: Any) -> None:  # pragma: no cover  (compiled)
    for i in range(power.size):
        power[i] += spectrum[i].real ** 2 + spectrum[i].imag ** 2


def octave_periods(rate_hz: float, length: int) -> Array:
    """Return the periods ``2**(k/8)`` s about which a window has power over a full octave.

    Parameters
    ----------
    rate_hz
        Samples per second [Hz].
    length
        Samples of a window.
    """
    low, high = np.log2(2 / rate_hz) + 0.5, np.log2(length / rate_hz) - 0.5
    first, last = np.ceil(STEPS_PER_OCTAVE * low - 1e-9), np.floor(STEPS_PER_OCTAVE * high + 1e-9)
    return np.asarray(2.0 ** (np.arange(first, last + 1) / STEPS_PER_OCTAVE))


def octave_levels(frequency: Array, level_db: Array, period_s: Array) -> Array:
    """Average levels over a full octave about each period, in decibels as McNamara and Buland (2004) do.

    Parameters
    ----------
    frequency
        Shape ``(n_frequency,)``, evenly spaced and rising [Hz].
    level_db
        Shape ``(..., n_frequency)`` [dB]; where one is not finite, the averages over it are NaN.
    period_s
        Centres, shape ``(n_period,)`` [s].

    Returns
    -------
    levels
        Shape ``(..., n_period)`` [dB].
    """
    low = np.searchsorted(frequency, 1 / (period_s * np.sqrt(2)) * (1 - 1e-9))
    high = np.searchsorted(frequency, np.sqrt(2) / period_s * (1 + 1e-9))
    finite = np.isfinite(level_db)
    zero = np.zeros((*level_db.shape[:-1], 1))
    sums = np.concatenate([zero, np.cumsum(np.where(finite, level_db, 0.0), axis=-1)], axis=-1)
    n_bad = np.concatenate([zero, np.cumsum(~finite, axis=-1)], axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (sums[..., high] - sums[..., low]) / (high - low)
    return np.where((n_bad[..., high] > n_bad[..., low]) | (high <= low), np.nan, mean)
