"""Characteristic functions of onset detection and the AIC onset time."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]


@njit(cache=True)
def recursive_sta_lta(signal: Array, n_sta: int, n_lta: int) -> Array:
    """Ratio of the recursive short-term to the recursive long-term average of the squared signal.

    Each average forgets as ``a += (x**2 - a) / n`` (Withers et al. 1998, eq. 3,
    https://doi.org/10.1785/BSSA0880010095). The first ``n_lta`` samples give zero.

    Parameters
    ----------
    signal
        Samples, shape (n_sample,).
    n_sta, n_lta
        Lengths of the averages [sample].

    Returns
    -------
    ndarray, shape (n_sample,)
    """
    out = np.zeros(signal.size)
    sta = 0.0
    lta = 1e-99
    for i in range(1, signal.size):
        square = signal[i] * signal[i]
        sta += (square - sta) / n_sta
        lta += (square - lta) / n_lta
        if i >= n_lta:
            out[i] = sta / lta
    return out


@njit(cache=True)
def kurtosis(signal: Array, n_window: int) -> Array:
    """Kurtosis of the last ``n_window`` samples (biased, 3 for noise of normal distribution).

    Saragiotis et al. 2002, https://doi.org/10.1109/TGRS.2002.800438. The first ``n_window - 1`` samples,
    and windows without variance, give 3.

    Parameters
    ----------
    signal
        Samples, shape (n_sample,).
    n_window
        Length of the window [sample].

    Returns
    -------
    ndarray, shape (n_sample,)
    """
    out = np.full(signal.size, 3.0)
    for i in range(n_window - 1, signal.size):
        mean = 0.0
        for j in range(i - n_window + 1, i + 1):
            mean += signal[j]
        mean /= n_window
        second = 0.0
        fourth = 0.0
        for j in range(i - n_window + 1, i + 1):
            square = (signal[j] - mean) ** 2
            second += square
            fourth += square * square
        if second > 0:
            out[i] = n_window * fourth / (second * second)
    return out


@njit(cache=True)
def aic(signals: Array, margin: int) -> Array:
    """Akaike information criterion of splitting a window into noise and signal, summed over channels.

    ``AIC(k) = sum_c k log var(x_c[:k]) + (n - k) log var(x_c[k:])`` (Maeda 1985, eq. 2,
    https://doi.org/10.4294/zisin1948.38.3_365); the onset is at the minimum.

    Parameters
    ----------
    signals
        Samples, shape (n_channel, n_sample).
    margin
        Least number of samples on each side of the split, at least 2.

    Returns
    -------
    ndarray, shape (n_sample,)
        Infinite within `margin` of the ends. A side without variance counts as having a millionth of the
        window's; a channel without any variance does not count.
    """
    n = signals.shape[1]
    out = np.full(n, np.inf)
    if n < 2 * margin:
        return out
    out[margin : n - margin + 1] = 0.0
    for c in range(signals.shape[0]):
        centre = signals[c].mean()
        total = 0.0
        square = 0.0
        for i in range(n):
            x = signals[c, i] - centre
            total += x
            square += x * x
        if square <= 0.0:
            continue
        floor = 1e-6 * square / n
        left = 0.0
        left_square = 0.0
        for k in range(n):
            if k >= margin and n - k >= margin:
                before = max(left_square / k - (left / k) ** 2, floor)
                m = n - k
                after = max((square - left_square) / m - ((total - left) / m) ** 2, floor)
                out[k] += k * math.log(before) + m * math.log(after)
            x = signals[c, k] - centre
            left += x
            left_square += x * x
    return out
