"""Short-time spectra on the UTC clock, and what the denoiser and the detector see of them.

Frame number ``k`` is centred on sample ``k * hop`` counted from 1970, so that it does not matter where a
record begins. Frames are 0.8 s long (Hann) and 0.2 s apart at any sampling rate, which keeps frequencies and
times of the picture the same: only its upper edge moves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from kaname.core.errors import InputError

NAME = "kaname-frames-1"
"""Name of this picture, kept in the metadata of every model trained on it."""
HOP_S = 0.2
LENGTH_S = 0.8
N_BIN = 41
"""Frequencies a network sees: 0 to 50 Hz in steps of 1.25 Hz."""
N_FEATURE = 6
TRAINING_RATE_HZ = 100.0
RATE_HZ = (10.0, 1000.0)
BLOCK = 10
"""Frames of a block whose mean power the floor is taken from (2 s)."""
REACH = 10
"""Blocks to either side that the levels look at (20 s)."""
QUANTILE = 0.25
"""The floor of a frequency is this quantile of its block powers."""
MISSING = -1.0
"""Feature of what is not there."""


def hop_of(sampling_rate: float) -> int:
    """Return the samples between frames; a frame has four times as many.

    Raises
    ------
    InputError
        When 0.2 s is not a whole number of samples, or the rate is out of bounds.
    """
    hop = round(HOP_S * sampling_rate)
    if not RATE_HZ[0] <= sampling_rate <= RATE_HZ[1] or abs(hop - HOP_S * sampling_rate) > 1e-3 * HOP_S:
        raise InputError(
            f"a sampling rate of {sampling_rate:g} Hz cannot be used: expected {RATE_HZ[0]:g} to "
            f"{RATE_HZ[1]:g} Hz and a multiple of 5 Hz (20, 40, 50, 100, 200 Hz); resample the record first"
        )
    return hop


def _window(n: int) -> NDArray[np.float64]:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)


def analyse(data: NDArray[np.floating], hop: int) -> NDArray[np.complex128]:
    """Return the spectra of frames.

    Parameters
    ----------
    data
        Samples, shape ``(..., (n_frame + 3) * hop)``: frame ``k`` reads samples ``[k * hop, (k + 4) * hop)``.
    hop
        Samples between frames.

    Returns
    -------
    ndarray, shape (..., n_frame, 2 * hop + 1)
    """
    frames = np.lib.stride_tricks.sliding_window_view(data, 4 * hop, axis=-1)[..., ::hop, :]
    return np.asarray(fft.rfft(frames * _window(4 * hop), axis=-1))


def synthesise(spectra: NDArray[np.complexfloating], hop: int) -> NDArray[np.float64]:
    """Overlap and add frames: the inverse of `analyse`, but for the first and last three hops.

    Parameters
    ----------
    spectra
        Shape ``(..., n_frame, 2 * hop + 1)``.
    hop
        Samples between frames.

    Returns
    -------
    ndarray, shape (..., (n_frame + 3) * hop)
    """
    n = spectra.shape[-2]
    # The squares of four Hann windows a quarter apart sum to 3/2.
    frames = fft.irfft(spectra, 4 * hop, axis=-1) * (_window(4 * hop) / 1.5)
    out = np.zeros((*spectra.shape[:-2], n + 3, hop))
    for quarter in range(4):
        out[..., quarter : quarter + n, :] += frames[..., quarter * hop : (quarter + 1) * hop]
    return out.reshape(*spectra.shape[:-2], -1)


def features(spectra: NDArray[np.complexfloating], real: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return what a network sees of three components: log power against two levels about each instant.

    The first is the component's mean power over 40 s, the second the quiet power of each frequency over the
    same time. Both look the same whatever the gain, and nothing beyond 20 s matters.

    Parameters
    ----------
    spectra
        Spectra of Z, N, E, shape ``(3, n_frame, n_frequency)``; ``n_frame`` a multiple of `BLOCK`.
    real
        Which frames hold data, shape ``(3, n_frame)``; the others are `MISSING`.

    Returns
    -------
    ndarray
        float32, shape ``(6, 41, n_frame)``: log10 of power against level over 4, then against floor over 3.
        Frequencies above the Nyquist frequency are `MISSING`.
    """
    n_frame = spectra.shape[1]
    seen = min(N_BIN, spectra.shape[2])
    power = np.abs(spectra[:, :, :seen]) ** 2
    n_block = n_frame // BLOCK
    there = real.reshape(3, n_block, BLOCK)
    count = there.sum(axis=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (power * real[:, :, None]).reshape(3, n_block, BLOCK, seen).sum(axis=2) / count[:, :, None]
    means[count < BLOCK // 2] = np.nan
    padded = np.pad(means, ((0, 0), (REACH, REACH), (0, 0)), constant_values=np.nan)
    near = np.sort(np.lib.stride_tricks.sliding_window_view(padded, 2 * REACH + 1, axis=1), axis=-1)
    # Not-a-numbers are sorted to the end.
    known = (~np.isnan(near)).sum(axis=-1)
    place = np.maximum(np.round(QUANTILE * (known - 1)).astype(int), 0)
    floor = np.take_along_axis(near, place[..., None], axis=-1)[..., 0]
    total = np.nansum(near, axis=-1).sum(axis=-1) / np.maximum(known[..., 0], 1) / seen
    usable = (known[..., 0] > 0) & (total > 0)
    level = np.where(usable, total, 1.0)
    # Digital silence has no floor of its own.
    floor = np.where(usable[..., None], np.maximum(np.nan_to_num(floor), 1e-9 * level[..., None]), 1.0)
    live = real & np.repeat(usable, BLOCK, axis=1)
    out = np.full((N_FEATURE, N_BIN, n_frame), MISSING, dtype=np.float32)
    against = _smooth(np.log10(level)[..., None]), _smooth(np.log10(floor))
    logs = np.log10(np.maximum(power, 1e-12 * np.repeat(level, BLOCK, axis=1)[..., None]))
    for i, (reference, scale) in enumerate(zip(against, (4.0, 3.0))):
        value = np.clip((logs - reference) / scale, -1.0, 3.0)
        value = np.where(live[..., None], value, MISSING)
        out[3 * i : 3 * i + 3, :seen] = value.transpose(0, 2, 1)
    return out


def _smooth(blocks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interpolate between the middles of blocks, shape (3, n_block, k) to (3, n_frame, k)."""
    n = blocks.shape[1]
    at = np.clip((np.arange(n * BLOCK) + 0.5) / BLOCK - 0.5, 0, n - 1)
    low = np.minimum(at.astype(int), max(n - 2, 0))
    high = np.minimum(low + 1, n - 1)
    share = (at - low)[None, :, None]
    return np.asarray(blocks[:, low] * (1 - share) + blocks[:, high] * share)
