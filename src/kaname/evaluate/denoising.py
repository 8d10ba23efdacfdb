"""Scores of denoisers on mixtures of a real signal and of another record's real noise."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kaname.core.errors import InputError
from kaname.signal.trigger import aic

Array = NDArray[np.float64]

WITHIN_S = 0.0201
"""Two samples at 100 Hz, rounded or not."""


def mixture(
    signal: Array, noise: Array, snr_db: float, *, within: slice = slice(None)
) -> tuple[Array, Array]:
    """Scale noise so that each channel has a ratio of variances of signal to noise, and add it.

    Parameters
    ----------
    signal, noise
        Shape (n_channel, n_sample), same shape; no channel constant.
    snr_db
        Ten times the common logarithm of the ratio of the variances.
    within
        Samples that the variances are taken over.

    Returns
    -------
    tuple of ndarray
        The mixture and the noise in it.

    Raises
    ------
    InputError
        When the shapes differ or a channel is constant.
    """
    if signal.shape != noise.shape or signal.ndim != 2:
        raise InputError(f"signal and noise of one shape expected, found {signal.shape} and {noise.shape}")
    power, own = signal[:, within].var(axis=1), noise[:, within].var(axis=1)
    if not (power > 0).all() or not (own > 0).all():
        raise InputError("a channel of the signal or of the noise is constant")
    noise = noise - noise.mean(axis=1, keepdims=True)
    scaled = noise * np.sqrt(power / own / 10 ** (snr_db / 10))[:, np.newaxis]
    return signal + scaled, scaled


def gain_db(signal: Array, noise: Array, output: Array) -> Array:
    """Return by how much the error is smaller than the noise was, by channel, shape (n_channel,) [dB].

    The error is the output minus the signal: what is left of the noise and what is lost of the signal. A
    method that does nothing gains 0 dB.
    """
    error = (output - signal).var(axis=1)
    return np.asarray(10 * np.log10(noise.var(axis=1) / np.maximum(error, 1e-300)))


def lag_s(signal: Array, output: Array, rate_hz: float) -> float:
    """Return by how much the output is later than the signal, where their correlation is highest [s].

    Parameters
    ----------
    signal, output
        Samples of one channel about an onset, shape (n,).
    rate_hz
        Sampling rate [Hz].
    """
    together = np.correlate(output - output.mean(), signal - signal.mean(), "full")
    return (int(np.argmax(together)) - (signal.size - 1)) / rate_hz


def onset_s(samples: Array, rate_hz: float) -> float:
    """Return where the Akaike information criterion sees the onset, from the first sample, shape (n,) [s]."""
    return int(np.argmin(aic(np.ascontiguousarray(samples[np.newaxis], np.float64), 5))) / rate_hz


def onset_row(lags_s: Array, shifts_s: Array) -> dict[str, float]:
    """Return how far onsets were moved, from lags and differences of onsets [s]; see `lag_s`, `onset_s`."""
    lag, shift = np.asarray(lags_s, float), np.asarray(shifts_s, float)
    return {
        "n_onset": lag.size,
        "lag_mean_s": float(lag.mean()),
        "lag_within_20_ms": float((np.abs(lag) <= WITHIN_S).mean()),
        "onset_median_s": float(np.median(shift)),
        "onset_within_20_ms": float((np.abs(shift) <= WITHIN_S).mean()),
    }


def gain_row(gains: Array) -> dict[str, float]:
    """Return number, mean, median and 5th percentile of gains [dB]."""
    values = pd.Series(gains, dtype=float)
    return {
        "n": len(values),
        "gain_db": float(values.mean()),
        "gain_db_median": float(values.median()),
        "gain_db_5": float(values.quantile(0.05)),
    }
