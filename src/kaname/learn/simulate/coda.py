"""Envelopes of the scattered waves that follow P and S."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def multiple(lapse_s: Floats, distance_km: float, speed_km_s: float, scattering_per_km: float) -> Floats:
    """Return the energy of waves scattered any number of times, over that of the direct wave, per second.

    Isotropic scattering in three dimensions, the interpolation of Paasschens (1997), eq. 26,
    doi:10.1103/PhysRevE.56.1135.

    Parameters
    ----------
    lapse_s
        Times after the direct wave [s], float64 ``(n,)``.
    distance_km
        Length of the direct way [km].
    speed_km_s
        Speed of the waves [km/s].
    scattering_per_km
        Scattering coefficient [1/km].

    Returns
    -------
    ndarray
        Energy rate [1/s], float64 ``(n,)``; zero before the direct wave.
    """
    out = np.zeros_like(lapse_s)
    after = lapse_s >= 0
    way = distance_km + speed_km_s * np.maximum(lapse_s[after], 0.005)
    rest = 1.0 - (distance_km / way) ** 2
    x = scattering_per_km * way
    mean = 4 * np.pi * way / (3 * scattering_per_km)
    y = x * rest**0.75
    # exp(-x) of the equation goes with exp(y) of G, and the loss exp(-g r) of the direct wave is left to Q.
    density = rest**0.125 / mean**1.5 * np.exp(y - x) * np.sqrt(1 + 2.026 / y)
    out[after] = density * 4 * np.pi * distance_km**2 * speed_km_s
    return out


def local(lapse_s: Floats, share: float, decay_s: float) -> Floats:
    """Return the energy [1/s] of reverberation near the station, in terms of the direct wave's.

    ``share`` of it in all [1], dying with the time ``decay_s``.
    """
    return np.where(lapse_s >= 0, share / decay_s * np.exp(-np.maximum(lapse_s, 0.0) / decay_s), 0.0)


def forerunner(lapse_s: Floats, until_s: float, share: float, power: float) -> Floats:
    """Return the energy [1/s] of S turned to P on its way, in terms of that of the direct S.

    ``share`` of it in all [1], swelling with a power of time from P until S.
    """
    x = lapse_s / until_s
    return np.where((x >= 0) & (x < 1), share * (power + 1) / until_s * np.clip(x, 0, 1) ** power, 0.0)
