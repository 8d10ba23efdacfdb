"""The law of the magnitudes: its slope b with error, b of the positive differences, and draws from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kaname.core.errors import InputError

LOG10_E = float(np.log10(np.e))


@dataclass(frozen=True)
class BValue:
    """Slope ``b``, its standard error and the number of magnitudes (or of differences) it comes from."""

    b: float
    error: float
    n: int


@dataclass(frozen=True)
class GutenbergRichter:
    """Magnitudes from a least to a greatest one, exponential between.

    Parameters
    ----------
    b
        Slope, base 10.
    magnitude_min, magnitude_max
        Least and greatest magnitude.
    """

    b: float
    magnitude_min: float
    magnitude_max: float = 9.5

    def __post_init__(self) -> None:
        if not (self.b > 0 and self.magnitude_max > self.magnitude_min):
            raise InputError(
                f"b must be positive and the greatest magnitude above the least, found b = {self.b}, "
                f"{self.magnitude_min} to {self.magnitude_max}"
            )

    def draw(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return ``n`` magnitudes."""
        beta = self.b * np.log(10)
        whole = -np.expm1(-beta * (self.magnitude_max - self.magnitude_min))
        return np.asarray(self.magnitude_min - np.log1p(-rng.random(n) * whole) / beta)

    def mean_exponential(self, a: float) -> float:
        """Return the mean of exp(a (m - magnitude_min))."""
        beta, span = self.b * np.log(10), self.magnitude_max - self.magnitude_min
        x = (a - beta) * span
        growth = span if abs(x) < 1e-9 else np.expm1(x) / (a - beta)
        return float(beta * growth / -np.expm1(-beta * span))

    def exceeding(self, magnitude: ArrayLike) -> NDArray[np.float64]:
        """Return the share of magnitudes that are at least this."""
        beta, span = self.b * np.log(10), self.magnitude_max - self.magnitude_min
        above = np.clip(np.asarray(magnitude, float) - self.magnitude_min, 0, span)
        rest = np.exp(-beta * span)
        return np.asarray((np.exp(-beta * above) - rest) / (1 - rest))


def b_value(magnitude: ArrayLike, magnitude_min: float, *, magnitude_bin: float = 0.1) -> BValue:
    """Return b by maximum likelihood: Aki (1965), for bins of any width Tinti & Mulargia (1987).

    The error is Shi & Bolt's (1982, doi:10.1785/BSSA0720051677).

    Parameters
    ----------
    magnitude
        Magnitudes, ``(n,)``; missing ones and those below ``magnitude_min`` are left out.
    magnitude_min
        Completeness: the centre of the lowest bin that is used.
    magnitude_bin
        Width of the bins that magnitudes are rounded to; 0: they are not rounded.

    Raises
    ------
    InputError
        When there are fewer than two magnitudes, or all are in the lowest bin.
    """
    m = _above(magnitude, magnitude_min, magnitude_bin)
    return _slope(m - magnitude_min, magnitude_bin, f"magnitudes of {magnitude_min:g} or more")


def b_positive(
    magnitude: ArrayLike, *, magnitude_bin: float = 0.1, difference_min: float | None = None
) -> BValue:
    """Return b of the positive differences between successive magnitudes (van der Elst 2021).

    doi:10.1029/2020JB021027. It needs no completeness magnitude, and holds while completeness changes slowly
    from event to event, as after a mainshock.

    Parameters
    ----------
    magnitude
        Magnitudes in order of time, ``(n,)``.
    magnitude_bin
        Width of the bins that magnitudes are rounded to.
    difference_min
        Least difference that is used; missing: one bin, or 0.1 where they are not rounded.

    Raises
    ------
    InputError
        When fewer than two differences are left.
    """
    m = np.asarray(magnitude, float).ravel()
    difference = np.diff(m[np.isfinite(m)])
    least = difference_min if difference_min is not None else (magnitude_bin or 0.1)
    chosen = difference[difference >= least - 1e-6]
    return _slope(chosen - least, magnitude_bin, f"differences of {least:g} or more")


def slope(mean_above: float, magnitude_bin: float = 0.0) -> float:
    """Return the most likely b of magnitudes whose mean is ``mean_above`` over the least.

    Exact for bins of any width (Tinti & Mulargia 1987); Utsu's half bin added to the mean is 0.4 % less where
    they are 0.1 wide. Infinite where all are the least.
    """
    if not mean_above > 0:
        return np.inf
    if magnitude_bin > 0:
        return float(np.log1p(magnitude_bin / mean_above) / (magnitude_bin * np.log(10)))
    return LOG10_E / mean_above


def rounded(magnitude: ArrayLike, magnitude_bin: float) -> NDArray[np.float64]:
    """Return magnitudes at the centres of bins, half a bin upwards; of width 0 they stay as they are."""
    m = np.asarray(magnitude, float)
    return np.asarray((np.floor(m / magnitude_bin + 0.5) * magnitude_bin).round(6)) if magnitude_bin else m


def magnitude_bins(magnitude: ArrayLike) -> float:
    """Return the width of the bins that magnitudes are rounded to: 1, .5, .1, .05, .01, or 0 for none."""
    m = np.asarray(magnitude, float).ravel()
    m = m[np.isfinite(m)]
    for width in (1.0, 0.5, 0.1, 0.05, 0.01):
        if len(m) and np.abs(m / width - np.round(m / width)).max() < 1e-4 / width:
            return width
    return 0.0


def _above(magnitude: ArrayLike, magnitude_min: float, magnitude_bin: float) -> NDArray[np.float64]:
    m = np.asarray(magnitude, float).ravel()
    return np.asarray(m[m >= magnitude_min - magnitude_bin / 2 - 1e-9])


def _slope(above: NDArray[np.float64], width: float, what: str) -> BValue:
    n = len(above)
    mean = float(above.mean()) if n else 0.0
    if n < 2 or not mean > 0:
        raise InputError(f"b needs at least two different {what}, found {n}; lower the magnitude")
    b = slope(mean, width)
    error = np.log(10) * b**2 * np.sqrt(((above - mean) ** 2).sum() / (n * (n - 1)))
    return BValue(b, float(error), n)
