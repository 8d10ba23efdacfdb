"""JMA instrumental seismic intensity (keisoku shindo) of an acceleration record, the batch formula.

Defined by Notice No. 4 of the Japan Meteorological Agency (15 February 1996, in force since April 1996) and
explained on JMA's page "How instrumental intensity is computed"
(https://www.data.jma.go.jp/eqev/data/kyoshin/kaisetsu/calc_sindo.html); in English by Karim & Yamazaki
(2002, Earthquake Engng Struct. Dyn. 31, 1191-1212, doi:10.1002/eqe.158).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from kaname.core.errors import InputError
from kaname.core.units import factor
from kaname.core.waveform import Waveform

DURATION_S = 0.3
"""How long the filtered acceleration must exceed ``a0``, in sum."""
_HIGH_CUT = (1.0, 0.694, 0.241, 0.0557, 0.009664, 0.00134, 0.000155)
"""Coefficients of even powers of ``f / 10 Hz``."""

IntensityClass = Literal["0", "1", "2", "3", "4", "5-", "5+", "6-", "6+", "7"]
CLASSES: tuple[tuple[float, IntensityClass], ...] = (
    (6.5, "7"),
    (6.0, "6+"),
    (5.5, "6-"),
    (5.0, "5+"),
    (4.5, "5-"),
    (3.5, "4"),
    (2.5, "3"),
    (1.5, "2"),
    (0.5, "1"),
)


@dataclass(frozen=True)
class JmaIntensity:
    """Instrumental intensity of one site."""

    value: float
    """``I = 2 log10(a0) + 0.94``, neither rounded nor cut; minus infinity for a record of zeros."""
    a0_cm_s2: float
    """Filtered acceleration that is reached or exceeded for 0.3 s in sum [cm/s^2]."""

    @property
    def reported(self) -> float:
        """As JMA publishes it: rounded to the second decimal, then the second decimal cut off."""
        hundredths = int(np.floor(100.0 * self.value + 0.5)) if np.isfinite(self.value) else 0
        return float(np.trunc(hundredths / 10)) / 10

    @property
    def scale(self) -> IntensityClass:
        """Class of the ten-step scale that `reported` falls in; ``5-`` is "5 lower", ``5+`` "5 upper"."""
        reported = self.reported
        return next((name for low, name in CLASSES if reported >= low), "0")


def jma_intensity(block: Waveform) -> JmaIntensity:
    """Return the JMA instrumental intensity of a three-component acceleration record.

    The mean goes, each component is filtered in the frequency domain (`jma_filter`), and ``a0`` is the
    largest value that the length of the filtered vector reaches or exceeds for `DURATION_S` in sum. The whole
    record counts, so give all of the shaking: filtering takes the record for one period of a periodic motion,
    as the definition does, but for a few zeros at its end that make the transform fast.

    Parameters
    ----------
    block
        Three orthogonal components, ``(3, n_sample)``, in a unit of acceleration.

    Raises
    ------
    InputError
        When there are not three components, the unit is not one of acceleration, the record is shorter than
        `DURATION_S`, or a sample is not finite.
    """
    if block.n_channel != 3:
        raise InputError(f"JMA intensity needs three orthogonal components, found {', '.join(block.ids)}")
    if block.unit == "count":
        raise InputError(
            f"{block.ids[0]} is in counts; JMA intensity needs acceleration: apply the scale or the response"
        )
    to_cm_s2 = factor(block.unit, "cm/s^2")
    n_exceed = int(np.ceil(DURATION_S * block.sampling_rate - 1e-9))
    if block.n_sample < n_exceed:
        raise InputError(
            f"{block.ids[0]} lasts {block.duration_s:g} s; JMA intensity needs {DURATION_S} s or more"
        )
    data = np.asarray(block.data, np.float64)
    if not np.isfinite(data).all():
        raise InputError(f"{', '.join(block.ids)} has samples that are not finite")
    n_fft = fft.next_fast_len(block.n_sample, real=True)
    spectrum = fft.rfft(data - data.mean(axis=1, keepdims=True), n_fft, axis=1)
    spectrum *= _gain(n_fft, block.sampling_rate)
    filtered = fft.irfft(spectrum, n_fft, axis=1)[:, : block.n_sample]
    squared = np.einsum("ij,ij->j", filtered, filtered)
    a0 = to_cm_s2 * float(np.sqrt(np.partition(squared, -n_exceed)[-n_exceed]))
    return JmaIntensity(float(2.0 * np.log10(a0) + 0.94) if a0 > 0 else -np.inf, a0)


def jma_filter(frequency: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the gain of JMA's filter, dimensionless, at ``frequency`` [Hz].

    The product of the effect of the period, ``(1/f)^(1/2)``, a high-cut filter,
    ``(1 + 0.694 y^2 + 0.241 y^4 + 0.0557 y^6 + 0.009664 y^8 + 0.00134 y^10 + 0.000155 y^12)^(-1/2)`` with
    ``y = f / 10``, and a low-cut filter, ``(1 - exp(-(f/0.5)^3))^(1/2)`` (JMA Notice No. 4, 1996, table). At
    zero frequency it is 0, its limit.
    """
    f = np.asarray(frequency, np.float64)
    safe = np.where(f > 0, f, 1.0)
    high_cut = 1.0 / np.sqrt(np.polynomial.polynomial.polyval((safe / 10.0) ** 2, _HIGH_CUT))
    low_cut = np.sqrt(-np.expm1(-((safe / 0.5) ** 3)))
    return np.asarray(np.where(f > 0, np.sqrt(1.0 / safe) * high_cut * low_cut, 0.0))


@lru_cache(maxsize=16)
def _gain(n_fft: int, sampling_rate: float) -> NDArray[np.float64]:
    gain = jma_filter(np.asarray(fft.rfftfreq(n_fft, 1.0 / sampling_rate)))
    gain.flags.writeable = False
    return gain
