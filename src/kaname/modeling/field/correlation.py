"""How residuals of ground motion hang together: from place to place, and from one measure to another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kaname.core.errors import InputError
from kaname.core.geo import EARTH_RADIUS_KM, arc
from kaname.core.shaking import period_of

Floats = NDArray[np.float64]
Spatial = Literal[
    "jayaram_baker_2009", "jayaram_baker_2009_clustered", "heresi_miranda_2019", "loth_baker_2013"
]

"""Distances between places are those on a sphere: within 0.6 % of WGS84, and fast."""
_PGA_PERIOD_BETWEEN_S = 0.05
_PGV_PERIOD_S = 1.0


class Correlation(Protocol):
    """Correlation of within-event residuals of two measures at two places: 1 for the same at the same."""

    def __call__(self, measure: str, other: str, distance_km: Floats) -> Floats:
        """Return the correlation, of the shape of the distances [km]."""


def distances(
    latitude: ArrayLike, longitude: ArrayLike, to_latitude: ArrayLike, to_longitude: ArrayLike
) -> Floats:
    """Return great-circle distances [km] of n places (degrees) to m others, shape (n, m)."""
    here = (np.asarray(v, float)[:, None] for v in (latitude, longitude))
    there = (np.asarray(v, float)[None] for v in (to_latitude, to_longitude))
    return EARTH_RADIUS_KM * arc(*here, *there)


def spatial_period(measure: str) -> float:
    """Return the period [s] that stands for a measure where spatial correlation depends on period.

    PGA is at 0 s; PGV, and whatever follows velocity (JMA intensity, SI), at 1 s, as Jayaram & Baker (2009)
    suggest for PGV.

    Raises
    ------
    InputError
        When there is no such measure, or none of these stands for it.
    """
    period = period_of(measure)
    if period is not None:
        return period
    if measure == "pga":
        return 0.0
    if measure in ("pgv", "intensity_jma", "si"):
        return _PGV_PERIOD_S
    raise InputError(f"no spatial correlation is published for {measure!r}; estimate it (fit_moments)")


def baker_jayaram_2008(period_s: float, other_s: float) -> float:
    """Return the correlation of within-event residuals of two spectral accelerations at one place.

    Baker & Jayaram (2008), https://doi.org/10.1193/1.2857544, eqs. 2 to 7; PGA at 0 s.
    """
    low, high = sorted((period_s, other_s))
    if high - low < 1e-10:
        return 1.0
    c1 = 1 - np.cos(np.pi / 2 - 0.366 * np.log(high / max(low, 0.109)))
    c2 = 0.0
    if high < 0.2:
        c2 = 1 - 0.105 * (1 - 1 / (1 + np.exp(100 * high - 5))) * (high - low) / (high - 0.0099)
    c3 = c2 if high < 0.109 else c1
    c4 = c1 + 0.5 * (np.sqrt(c3) - c3) * (1 + np.cos(np.pi * low / 0.109))
    if high < 0.109:
        return float(c2)
    if low > 0.109:
        return float(c1)
    return float(min(c2, c4) if high < 0.2 else c4)


def goda_atkinson_2009(period_s: float, other_s: float) -> float:
    """Return the correlation of between-event residuals of two spectral accelerations.

    Goda & Atkinson (2009), https://doi.org/10.1785/0120090007, eq. 15; PGA at 0 s is taken for 0.05 s.
    """
    low, high = sorted(p or _PGA_PERIOD_BETWEEN_S for p in (period_s, other_s))
    if high - low < 1e-10:
        return 1.0
    decades = np.log10(high / low)
    bend = 5.586 * (low / high) ** 0.728 * np.log10(low / 0.25) if low < 0.25 else 0.0
    angle = np.pi / 2 - (1.374 + bend) * decades
    return float((1 - np.cos(angle) + 1 + np.cos(-1.5 * decades)) / 3)


def between_events(measures: Sequence[str]) -> Floats:
    """Return the matrix (n, n) of correlations between measures of `goda_atkinson_2009`."""
    periods = [spatial_period(m) for m in measures]
    return np.array(
        [
            [1.0 if a == b else goda_atkinson_2009(p, q) for b, q in zip(measures, periods)]
            for a, p in zip(measures, periods)
        ]
    )


def correlation(name: Spatial) -> Correlation:
    """Return a published model by name.

    ``jayaram_baker_2009`` (https://doi.org/10.1002/eqe.922, eqs. 17 to 20) where Vs30 does not come in
    clusters, ``jayaram_baker_2009_clustered`` where it does; ``heresi_miranda_2019``
    (https://doi.org/10.1007/s10518-018-0506-6), medians. With these, two measures at two places correlate as
    the better correlated of the two would, times `baker_jayaram_2008` (Markov, as in Engler et al. 2022).
    ``loth_baker_2013`` (https://doi.org/10.1002/eqe.2212, coefficients of the erratum of 2020) is a model of
    both at once; it is for 0.01 to 10 s, and PGA is taken for 0.01 s.

    Raises
    ------
    InputError
        When there is no such model.
    """
    if name == "loth_baker_2013":
        return LothBaker2013()
    if name not in get_args(Spatial):
        raise InputError(f"no spatial correlation {name!r}; known are {', '.join(get_args(Spatial))}")
    return _Markov(name)


@dataclass(frozen=True)
class _Markov:
    name: Spatial

    def __call__(self, measure: str, other: str, distance_km: Floats) -> Floats:
        rho = self._of(spatial_period(measure), distance_km)
        if measure == other:
            return rho
        periods = spatial_period(measure), spatial_period(other)
        return np.maximum(rho, self._of(periods[1], distance_km)) * baker_jayaram_2008(*periods)

    def _of(self, period: float, distance_km: Floats) -> Floats:
        if self.name == "heresi_miranda_2019":
            if period < 1.37:
                range_km = 4.231 * period**2 - 5.180 * period + 13.392
            else:
                range_km = 0.140 * period**2 - 2.249 * period + 17.050
            return np.exp(-((distance_km / range_km) ** 0.55))
        if period >= 1:
            range_km = 22.0 + 3.7 * period
        elif self.name == "jayaram_baker_2009_clustered":
            range_km = 40.7 - 15.0 * period
        else:
            range_km = 8.5 + 17.2 * period
        return np.exp(-3.0 / range_km * distance_km)


@dataclass(frozen=True)
class Exponential:
    """Exponential correlation with a nugget, the same for every measure: what `fit_moments` estimates.

    ``rho = (1 - nugget) exp(-h / length_km)`` apart, 1 at the place itself; other measures at one place
    correlate as `baker_jayaram_2008`.
    """

    length_km: float
    nugget: float = 0.0

    def __call__(self, measure: str, other: str, distance_km: Floats) -> Floats:
        rho = np.where(
            distance_km == 0, 1.0, (1 - self.nugget) * np.exp(-np.asarray(distance_km) / self.length_km)
        )
        if measure != other:
            rho *= baker_jayaram_2008(spatial_period(measure), spatial_period(other))
        return rho


_LB_PERIODS_S = np.array([0.01, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 7.5, 10.0])
# Upper triangles, row by row.
_LB_SHORT = """
.29 .25 .23 .23 .18 .10 .06 .06 .06   .30 .20 .16 .10 .04 .03 .04 .05   .27 .18 .10 .03 .00 .01 .02
.31 .22 .14 .08 .07 .07   .33 .24 .16 .13 .12   .33 .26 .21 .19   .37 .30 .26   .28 .24   .23"""
_LB_LONG = """
.47 .40 .43 .35 .27 .15 .13 .09 .12   .42 .37 .25 .15 .03 .04 .00 .03   .45 .36 .26 .15 .09 .05 .08
.42 .37 .29 .20 .16 .16   .48 .41 .26 .21 .21   .55 .37 .33 .32   .51 .49 .49   .62 .60   .68"""
_LB_NUGGET = """
.24 .22 .21 .09 -.02 .01 .03 .02 .01   .28 .20 .04 -.05 .00 .01 .01 -.01   .28 .05 -.06 .00 .04 .03 .01
.27 .14 .05 .05 .05 .04   .19 .07 .05 .05 .05   .12 .08 .07 .06   .12 .10 .08   .10 .09   .09"""


class LothBaker2013:
    """Correlation of Loth & Baker (2013, erratum 2020): ``B1 exp(-3h/20) + B2 exp(-3h/70) + B3 (h = 0)``.

    Between the nine periods of the tables the residual is taken for the mixture of its neighbours, linear in
    period and brought back to variance one, so that any set of periods has a covariance that is none
    negative; at the nine periods it is the table. The third table as printed has an eigenvalue of -0.0004,
    which is set to zero; that moves no coefficient by more than 0.0003.
    """

    def __init__(self) -> None:
        self._tables = [_positive(_symmetric(text)) for text in (_LB_SHORT, _LB_LONG, _LB_NUGGET)]

    def __call__(self, measure: str, other: str, distance_km: Floats) -> Floats:
        weights = [self._weights(m) for m in (measure, other)]
        variances = [sum(float(w @ t @ w) for t in self._tables) for w in weights]
        short, long, nugget = (
            float(weights[0] @ t @ weights[1]) / np.sqrt(variances[0] * variances[1]) for t in self._tables
        )
        h = np.asarray(distance_km)
        return np.asarray(short * np.exp(-3 * h / 20) + long * np.exp(-3 * h / 70) + nugget * (h == 0))

    def _weights(self, measure: str) -> Floats:
        period = max(spatial_period(measure), _LB_PERIODS_S[0])
        if period > _LB_PERIODS_S[-1]:
            raise InputError(f"Loth & Baker (2013) is for periods to 10 s, found {measure!r}")
        return np.array([np.interp(period, _LB_PERIODS_S, row) for row in np.eye(len(_LB_PERIODS_S))])


def _symmetric(text: str) -> Floats:
    n = len(_LB_PERIODS_S)
    out = np.zeros((n, n))
    out[np.triu_indices(n)] = [float(v) for v in text.split()]
    return out + np.triu(out, 1).T


def _positive(matrix: Floats) -> Floats:
    value, vector = np.linalg.eigh(matrix)
    return np.asarray((vector * np.maximum(value, 0)) @ vector.T)
