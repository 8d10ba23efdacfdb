"""Normalised cross-correlation of short templates with longer records."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from kaname.core.errors import InputError


def correlate(template: NDArray[np.floating], record: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the correlation coefficient of a template with every stretch of a record.

    Both are demeaned over the stretch compared, so the result is Pearson's coefficient. Where the record
    (or the template) is constant the coefficient is 0.

    Parameters
    ----------
    template
        Shape ``(..., n)``.
    record
        Shape ``(..., m)`` with ``m >= n`` and the same leading shape.

    Returns
    -------
    ndarray
        Shape ``(..., m - n + 1)``, -1 to 1; element ``k`` compares ``record[..., k:k + n]``.

    Raises
    ------
    InputError
        When the shapes do not match or a value is not finite.
    """
    template, record = np.asarray(template, float), np.asarray(record, float)
    n, m = template.shape[-1], record.shape[-1]
    if n < 2 or m < n or template.shape[:-1] != record.shape[:-1]:
        raise InputError(f"cannot correlate a template of shape {template.shape} with {record.shape}")
    if not (np.isfinite(template).all() and np.isfinite(record).all()):
        raise InputError("cannot correlate values that are not finite")
    template = template - template.mean(axis=-1, keepdims=True)
    # Removing the mean first keeps the running sums from losing the signal under a large offset.
    record = np.asarray(record - record.mean(axis=-1, keepdims=True), np.float64)
    size = next_fast_len(m, real=True)
    product = irfft(rfft(record, size) * np.conj(rfft(template, size)), size)[..., : m - n + 1]
    energy = _running_sum(record**2, n) - _running_sum(record, n) ** 2 / n
    own = np.sum(template**2, axis=-1, keepdims=True)
    # Differences of cumulative sums are known to about 1e-13 of the largest: below that is silence.
    floor = 1e-11 * np.max(np.abs(np.cumsum(record**2, axis=-1)), axis=-1, keepdims=True)
    scale = np.sqrt(np.maximum(energy, 0) * own)
    silent = (energy <= floor) | (own <= 0)
    return np.clip(np.where(silent, 0.0, product / np.where(silent, 1.0, scale)), -1.0, 1.0)


def _running_sum(values: NDArray[np.floating], n: int) -> NDArray[np.float64]:
    total = np.cumsum(values, axis=-1)
    return np.asarray(np.concatenate([total[..., n - 1 : n], total[..., n:] - total[..., :-n]], axis=-1))
