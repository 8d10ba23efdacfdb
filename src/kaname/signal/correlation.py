"""Normalised cross-correlation of short templates with longer records."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from kaname.core.errors import InputError

Floats = NDArray[np.float64]


class Correlator:
    """A record made ready to be compared with many templates.

    The record is transformed once, in blocks (overlap-save); a template then costs one product and one
    inverse transform per block. Running sums are kept for each length of template.

    Parameters
    ----------
    record
        Samples, shape ``(m,)``.
    longest
        Length of the longest template that will be asked for.

    Raises
    ------
    InputError
        When the record is not one-dimensional, shorter than 2, or has values that are not finite.
    """

    def __init__(self, record: NDArray[np.floating], *, longest: int) -> None:
        data = np.asarray(record, float)
        if data.ndim != 1 or len(data) < 2 or not np.isfinite(data).all():
            raise InputError("expected a record of at least two finite samples in one dimension")
        # Removing the mean first keeps the running sums from losing the signal under a large offset.
        self._data = data - data.mean()
        self._sums: dict[int, Floats] = {}
        self._size = next_fast_len(max(8 * longest, 2048), real=True)
        self._step = self._size - longest + 1
        n_block = -(-len(data) // self._step)
        padded = np.zeros(n_block * self._step + longest - 1)
        padded[: len(data)] = self._data
        blocks = np.lib.stride_tricks.sliding_window_view(padded, self._size)[:: self._step]
        self._spectra = rfft(blocks, axis=1)
        self._longest = longest

    def __call__(self, template: NDArray[np.floating]) -> Floats:
        """Return Pearson's correlation coefficient of a template with every stretch of the record.

        Both are demeaned over the stretch compared. Where the record (or the template) is constant the
        coefficient is 0.

        Parameters
        ----------
        template
            Shape ``(n,)``, ``2 <= n <= longest``, not longer than the record.

        Returns
        -------
        ndarray
            Shape ``(m - n + 1,)``, -1 to 1; element ``k`` compares ``record[k:k + n]``.

        Raises
        ------
        InputError
            When the template is too short, too long or not finite.
        """
        own = np.asarray(template, float)
        n, m = len(own), len(self._data)
        if own.ndim != 1 or not 2 <= n <= min(m, self._longest) or not np.isfinite(own).all():
            raise InputError(
                f"cannot correlate a template of shape {own.shape} with {m} samples; expected 2 to "
                f"{min(m, self._longest)} finite samples"
            )
        own = own - own.mean()
        product = irfft(self._spectra * np.conj(rfft(own, self._size)), self._size, axis=1)
        product = product[:, : self._step].ravel()[: m - n + 1]
        scale = self._scale(n) * np.sqrt(np.sum(own**2))
        silent = scale <= 0
        return np.clip(np.where(silent, 0.0, product / np.where(silent, 1.0, scale)), -1.0, 1.0)

    def _scale(self, n: int) -> Floats:
        """Root of the energy of every stretch of ``n`` samples about its mean; 0 where it is silent."""
        if n not in self._sums:
            total, squares = np.cumsum(self._data), np.cumsum(self._data**2)
            energy = _windows(squares, n) - _windows(total, n) ** 2 / n
            # Differences of cumulative sums are known to about 1e-13 of the largest: below is silence.
            self._sums[n] = np.sqrt(np.where(energy > 1e-11 * squares[-1], energy, 0.0))
        return self._sums[n]


def _windows(cumulative: Floats, n: int) -> Floats:
    return np.concatenate([cumulative[n - 1 : n], cumulative[n:] - cumulative[:-n]])


def correlate(template: NDArray[np.floating], record: NDArray[np.floating]) -> Floats:
    """Return the correlation coefficient of one template with every stretch of a record.

    See `Correlator`, which is quicker for several templates.
    """
    return Correlator(record, longest=max(len(template), 2))(template)
