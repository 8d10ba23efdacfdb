"""How often earthquakes of each magnitude happen: what the sources of a hazard calculation are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kaname.core.errors import InputError
from kaname.earth.moment import moment_nm

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Magnitudes:
    """Earthquakes per year in bins of magnitude of one width."""

    first: float
    """Centre of the lowest bin."""
    width: float
    """Of each bin."""
    rates: Floats
    """Earthquakes per year in each bin, ``(n,)``."""

    @property
    def centres(self) -> Floats:
        """Centres of the bins, ``(n,)``."""
        return np.asarray(self.first + self.width * np.arange(len(self.rates)), dtype=np.float64)

    @property
    def moment_rate(self) -> float:
        """Seismic moment per year [N m]."""
        return float((self.rates * moment_nm(self.centres)).sum())


def gutenberg_richter(
    magnitude_min: float,
    magnitude_max: float,
    b: float,
    *,
    width: float = 0.1,
    rate: float | None = None,
    moment_rate: float | None = None,
) -> Magnitudes:
    """Return a Gutenberg-Richter distribution cut off at both ends.

    Each bin holds what the exponential law has between its edges, so that the bins add up to ``rate``, or
    their moments to ``moment_rate``.

    Parameters
    ----------
    magnitude_min, magnitude_max
        Ends of the distribution: edges of its first and last bin.
    b
        Slope, per unit of magnitude in powers of ten.
    width
        Of the bins; narrowed so that a whole number of them fits.
    rate
        Earthquakes per year of ``magnitude_min`` or more.
    moment_rate
        Instead of it, seismic moment per year [N m].

    Raises
    ------
    InputError
        When the ends are not in order, or not exactly one of the two rates is given, and positive.
    """
    if not magnitude_min < magnitude_max:
        raise InputError(
            f"magnitude_min {magnitude_min:g} must be below magnitude_max {magnitude_max:g}; for one "
            "magnitude alone declare it as magnitude"
        )
    if not (width > 0 and b > 0):
        raise InputError(f"width of bins and b must be positive, found {width} and {b}")
    n = max(1, round((magnitude_max - magnitude_min) / width))
    edges = np.linspace(magnitude_min, magnitude_max, n + 1)
    share = -np.diff(10 ** (-b * (edges - magnitude_min)))
    step = round(float(edges[1] - edges[0]), 12)
    shape = Magnitudes(round(float(edges[0]) + step / 2, 12), step, share / share.sum())
    return _scaled(shape, rate, moment_rate)


def one_magnitude(
    magnitude: float, *, width: float = 0.1, rate: float | None = None, moment_rate: float | None = None
) -> Magnitudes:
    """Return earthquakes of one magnitude; parameters and errors as `gutenberg_richter`."""
    return _scaled(Magnitudes(magnitude, width, np.ones(1)), rate, moment_rate)


def _scaled(shape: Magnitudes, rate: float | None, moment_rate: float | None) -> Magnitudes:
    given = [value for value in (rate, moment_rate) if value is not None]
    if len(given) != 1 or not given[0] > 0:
        raise InputError(
            "expected either a rate or a moment rate, and that above 0; found rate "
            f"{rate} and moment rate {moment_rate}"
        )
    factor = given[0] / (1.0 if rate is not None else shape.moment_rate)
    return Magnitudes(shape.first, shape.width, shape.rates * factor)
