"""Scores of denoisers on mixtures of a real signal and of another record's real noise."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kaname.core.errors import InputError

Array = NDArray[np.float64]


def mixture(signal: Array, noise: Array, snr_db: float) -> tuple[Array, Array]:
    """Scale noise so that each channel has a ratio of variances of signal to noise, and add it.

    Parameters
    ----------
    signal, noise
        Shape (n_channel, n_sample), same shape; no channel constant.
    snr_db
        Ten times the common logarithm of the ratio of the variances.

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
    power, own = signal.var(axis=1), noise.var(axis=1)
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


def gain_row(gains: Array) -> dict[str, float]:
    """Return number, mean, median and 5th percentile of gains [dB]."""
    values = pd.Series(gains, dtype=float)
    return {
        "n": len(values),
        "gain_db": float(values.mean()),
        "gain_db_median": float(values.median()),
        "gain_db_5": float(values.quantile(0.05)),
    }
