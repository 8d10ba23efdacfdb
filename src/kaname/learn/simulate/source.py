"""The earthquake as a point: radiation of a shear dislocation, omega-squared spectrum, and causal pulses."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft

Floats = NDArray[np.float64]

RMS_RADIATION = {"P": float(np.sqrt(4 / 15)), "S": float(np.sqrt(2 / 5))}
"""Root mean square over the focal sphere of a double couple: Aki & Richards (2002), section 4.3."""


def corner_hz(moment_nm: float, stress_drop_mpa: float, vs_km_s: float) -> float:
    """Return the corner frequency of S [Hz]: Brune (1970), doi:10.1029/JB075i026p04997."""
    return float(0.37 * vs_km_s * 1e3 * (16.0 / 7.0 * stress_drop_mpa * 1e6 / moment_nm) ** (1.0 / 3.0))


def radiation(
    strike: float, dip: float, rake: float, azimuth: float, takeoff: float
) -> tuple[float, float, float]:
    """Return the radiation of P, SV and SH of a double couple; all angles in radians, take-off 0 down.

    Aki & Richards (2002), eqs. 4.89 to 4.91.
    """
    sr, cr = np.sin(rake), np.cos(rake)
    sd, cd, s2d, c2d = np.sin(dip), np.cos(dip), np.sin(2 * dip), np.cos(2 * dip)
    si, ci, s2i, c2i = np.sin(takeoff), np.cos(takeoff), np.sin(2 * takeoff), np.cos(2 * takeoff)
    f = azimuth - strike
    sf, cf, s2f, c2f = np.sin(f), np.cos(f), np.sin(2 * f), np.cos(2 * f)
    p = cr * sd * si**2 * s2f - cr * cd * s2i * cf + sr * s2d * (ci**2 - si**2 * sf**2) + sr * c2d * s2i * sf
    sv = (
        sr * c2d * c2i * sf
        - cr * cd * c2i * cf
        + 0.5 * cr * sd * s2i * s2f
        - 0.5 * sr * s2d * s2i * (1 + sf**2)
    )
    sh = cr * cd * ci * sf + cr * sd * si * c2f + sr * c2d * ci * cf - 0.5 * sr * s2d * si * s2f
    return float(p), float(sv), float(sh)


def brune(frequency: ArrayLike, corner: float) -> Floats:
    """Return the shape of the displacement spectrum [1] at frequencies [Hz]: Brune (1970)."""
    return 1.0 / (1.0 + (np.asarray(frequency) / corner) ** 2)


def minimum_phase(amplitude: Any) -> Floats:
    """Return the pulse that starts at its first sample and has a given amplitude spectrum.

    The phase is that of the causal filter whose energy comes as early as can be. It is right for the
    omega-squared source, for attenuation (which must be dispersive to be causal) and for transmission through
    layers (Claerbout 1968, doi:10.1190/1.1439927).

    Parameters
    ----------
    amplitude
        Positive amplitudes at the frequencies of `scipy.fft.rfftfreq`, float64 ``(..., n // 2 + 1)``, n even.

    Returns
    -------
    ndarray
        Pulse, float64 ``(..., n)``.
    """
    n = 2 * (amplitude.shape[-1] - 1)
    # The logarithm must not fall without end where the spectrum does.
    floor = 1e-7 * amplitude.max(axis=-1, keepdims=True)
    cepstrum = fft.irfft(np.log(np.maximum(amplitude, floor)), n)
    cepstrum[..., 1 : n // 2] *= 2.0
    cepstrum[..., n // 2 + 1 :] = 0.0
    return np.asarray(fft.irfft(np.exp(fft.rfft(cepstrum)), n))
