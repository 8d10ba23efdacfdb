"""Energy of octave bands in short frames, where it rises, and what surrounds each rise.

Everything works on frames of about 0.05 s, so that it means the same at any sampling rate. ``energy`` has
shape ``(n_band, n_part, n_frame)``: octave bands from low to high; part 0 the vertical (or whatever stands
for it), part 1, where there is one, the mean of the horizontals. Ratios are in dB. Means run over the frames
that exist, so that a record may start or end anywhere.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kaname.core.errors import InputError

Array = NDArray[np.float64]

FRAME_S = 0.05
EDGES_HZ = (1.5, 3.0, 6.0, 12.0, 24.0, 48.0)
BEFORE_FRAMES = 600
"""Frames before an onset that `evidence` looks at."""
AFTER_FRAMES = 64
"""Frames from an onset on that `evidence` looks at."""

_FLOOR = 1e-60


def octave_bands(sampling_rate: float) -> list[tuple[float, float]]:
    """Return the corners [Hz] of the octave bands that a sampling rate [Hz] can hold, from low to high."""
    if not sampling_rate >= 10:
        raise InputError(f"octave bands need at least 10 Hz sampling, found {sampling_rate} Hz")
    return [(low, 2 * low) for low in EDGES_HZ[:-1] if low < 0.33 * sampling_rate]


def frame_length(sampling_rate: float) -> int:
    """Return the number of samples in a frame, at least one."""
    return max(1, round(FRAME_S * sampling_rate))


@njit(cache=True)
def frame_energy(data: Array, n: int) -> Array:
    """Return the mean square of each run of ``n`` samples, shape (n_channel, n_sample // n)."""
    out = np.empty((data.shape[0], data.shape[1] // n))
    for c in range(out.shape[0]):
        for f in range(out.shape[1]):
            total = 0.0
            for i in range(f * n, (f + 1) * n):
                total += data[c, i] * data[c, i]
            out[c, f] = total / n
    return out


def evidence_names(n_part: int) -> list[str]:
    """Return the names of the values of `evidence`, such as ``gain_high_vertical``."""
    parts = ("vertical", "horizontal")[:n_part]
    names = [
        f"{what}_{group}_{part}"
        for group in ("middle", "high")
        for part in parts
        for what in ("gain", "gain_long", "level", "level_long", "later", "earlier")
    ]
    return names + ([f"horizontal_share_{g}" for g in ("middle", "high")] if n_part == 2 else [])


@njit(cache=True)
def _mean(energy: Array, band: int, part: int, low: int, high: int) -> float:
    low, high = max(low, 0), min(high, energy.shape[2])
    total = 0.0
    for i in range(low, high):
        total += energy[band, part, i]
    return total / max(high - low, 1)


@njit(cache=True)
def _db(ratio_of: float, to: float) -> float:
    return 10.0 * math.log10(max(ratio_of, _FLOOR) / max(to, _FLOOR))


@njit(cache=True)
def _group(n_band: int, group: int) -> tuple[int, int]:
    """Bands of the middle (0) and of the high (1) group: three octaves each, counted from the top."""
    if group == 1 or n_band < 4:
        return max(0, n_band - 3), n_band
    return n_band - 4, n_band - 1


@njit(cache=True)
def onset_level(energy: Array) -> Array:
    """Return by how many dB the energy rises at each frame: 0.2 s from it on against 0.5 s before it.

    The largest of: each part in the high bands, each part in the middle bands less 0.3 dB, and the mean of
    both parts in the high bands plus 0.7 dB (an onset on all components may be fainter on each).

    Returns
    -------
    ndarray, shape (n_frame,)
        Minus infinity where the windows are not complete or hold no energy.
    """
    n_band, n_part, n_frame = energy.shape
    out = np.full(n_frame, -np.inf)
    rise = np.empty((n_band, n_part))
    for k in range(10, n_frame - 3):
        for band in range(n_band):
            for part in range(n_part):
                before = _mean(energy, band, part, k - 10, k)
                after = _mean(energy, band, part, k, k + 4)
                rise[band, part] = _db(after, before) if before > _FLOOR else np.nan
        out[k] = _best(rise)
    return out


@njit(cache=True)
def _best(rise: Array) -> float:
    """Combine the rises of bands and parts [dB] as `onset_level` says; NaN where there is no energy."""
    n_band, n_part = rise.shape
    best = -np.inf
    for group in range(2):
        low, high = _group(n_band, group)
        both = 0.0
        complete = n_part == 2
        for part in range(n_part):
            total = 0.0
            weights = 0.0
            for band in range(low, high):
                if np.isnan(rise[band, part]):
                    complete = False
                    continue
                total += 2.0**band * rise[band, part]
                weights += 2.0**band
            if weights > 0:
                best = max(best, total / weights - (0.3 if group == 0 else 0.0))
                both += total / weights / 2
        if group == 1 and complete:
            best = max(best, both + 0.7)
    return best


@njit(cache=True)
def evidence(energy: Array, k: int) -> Array:
    """Describe the onset at frame ``k`` by the energies around it [dB], averaged over groups of bands.

    For the three middle and the three high octaves (weighted by bandwidth) and for each part:

    ========== ==================================================================
    gain       0.2 s from the onset on, over 0.5 s before it
    gain_long  1 s from the onset on, over 10 s before it
    level      0.5 s before the onset, over 10 s before it
    level_long 10 s before the onset, over 30 s before it
    later      largest 0.2 s between 0.5 and 3 s, over 0.4 s from the onset on
    earlier    largest 0.2 s in the last 3 s, over 0.4 s from the onset on
    ========== ==================================================================

    With horizontals also their share: horizontal over vertical in 0.4 s from the onset on, less the same in
    the 10 s before it. The order is that of `evidence_names`.
    """
    n_band, n_part, _ = energy.shape
    values = np.empty((n_band, n_part, 7))
    for band in range(n_band):
        for part in range(n_part):
            onset = _mean(energy, band, part, k, k + 8)
            short = _mean(energy, band, part, k - 10, k)
            long = _mean(energy, band, part, k - 200, k)
            later = _largest(energy[band, part], k + 10, k + 64)
            earlier = _largest(energy[band, part], k - 60, k)
            values[band, part, 0] = _db(_mean(energy, band, part, k, k + 4), short)
            values[band, part, 1] = _db(_mean(energy, band, part, k, k + 20), long)
            values[band, part, 2] = _db(short, long)
            values[band, part, 3] = _db(long, _mean(energy, band, part, k - 600, k))
            values[band, part, 4] = _db(later, onset) if later > 0 else 0.0
            values[band, part, 5] = _db(earlier, onset) if earlier > 0 else 0.0
            values[band, part, 6] = _db(onset, long)
    out = np.zeros(12 * n_part + (2 if n_part == 2 else 0))
    for group in range(2):
        low, high = _group(n_band, group)
        weights = 2.0**high - 2.0**low
        for band in range(low, high):
            weight = 2.0**band / weights
            for part in range(n_part):
                at = (group * n_part + part) * 6
                for i in range(6):
                    out[at + i] += weight * values[band, part, i]
            if n_part == 2:
                out[24 + group] += weight * (values[band, 1, 6] - values[band, 0, 6])
    return np.minimum(np.maximum(out, -40.0), 40.0)


@njit(cache=True)
def _largest(energy: Array, low: int, high: int) -> float:
    """Largest mean of four consecutive frames that lie wholly between ``low`` and ``high``; 0 for none."""
    largest = 0.0
    for i in range(max(low, 0), min(high, energy.size) - 3):
        largest = max(largest, energy[i] + energy[i + 1] + energy[i + 2] + energy[i + 3])
    return largest / 4
