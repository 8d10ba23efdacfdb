"""Where a fitted ETAS model fails in space: what it expects in the cell of each earthquake."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from scipy.spatial import KDTree

from kaname.core.geo import on_sphere
from kaname.discovery.seismicity.contract import Target
from kaname.discovery.seismicity.tessellation import Tessellation, places

if TYPE_CHECKING:
    from kaname.discovery.seismicity.etas.model import Etas

Floats = NDArray[np.float64]
SHAPE = 3.569
"""Of the gamma law of mean one that cells of a Poisson process follow (Tanemura 2003; Bray et al. 2014)."""
_TOGETHER = 20


@dataclass(frozen=True, eq=False)
class VoronoiResiduals:
    """What a model expects in the cell of each place where earthquakes were.

    Parameters
    ----------
    cells
        One about each place.
    longitude, latitude, count
        The places [degree], and how many earthquakes were there (one, as a rule) ``(n,)``.
    time
        Of the first earthquake at each, UTC ``(n,)``.
    expected
        Integral of the rate over the cell and the period ``(n,)``.
    p
        Of Kolmogorov and Smirnov's test that what is expected for each earthquake, in units of its mean,
        follows the gamma law. That is near the truth, not the truth: of true models of five thousand
        earthquakes p is some hundredths.
    """

    cells: Tessellation
    longitude: Floats
    latitude: Floats
    count: NDArray[np.int64]
    time: NDArray[np.datetime64]
    expected: Floats
    p: float

    @property
    def residual(self) -> Floats:
        """Earthquakes that there were less those expected ``(n,)``; one less that of Bray et al. (2014)."""
        return self.count - self.expected

    @property
    def deviate(self) -> Floats:
        """The residual as a standard normal deviate by the gamma law: positive where too few are expected."""
        return _deviate(self.expected, self.count)

    def table(self) -> pd.DataFrame:
        """Return a row for each cell."""
        return pd.DataFrame(
            {
                "longitude": self.longitude,
                "latitude": self.latitude,
                "time": self.time,
                "area_km2": self.cells.area_km2,
                "earthquakes": self.count,
                "expected": self.expected,
                "residual": self.residual,
                "deviate": self.deviate,
            }
        )

    def worst(self, n: int = 5, *, together: int = _TOGETHER) -> pd.DataFrame:
        """Return the places where most too few and most too many earthquakes were expected, ``n`` of each.

        A place is a cell and those nearest to it, ``together`` in all. No two of a kind overlap, or are
        nearer than a fiftieth of the region's size.

        Returns
        -------
        places
            ``longitude``, ``latitude``, ``radius_km``, ``earthquakes``, ``expected``, ``deviate``, and
            between which times half of them were, ``half_begin``, ``half_end``; where too few were expected
            first. Cells beside one another are alike, and places are chosen among many: of a true model of
            five thousand earthquakes the first and the last have deviates of 5 to 7.
        """
        k = min(together, len(self.count))
        at = on_sphere(self.latitude, self.longitude).T
        radius, member = (v.reshape(len(at), k) for v in KDTree(at).query(at, k))
        expected, count = self.expected[member].sum(axis=1), self.count[member].sum(axis=1)
        half = np.sort(self.time[member], axis=1)[:, [k // 4, (3 * k - 1) // 4]]
        least = float(np.sqrt(self.cells.area_km2.sum())) / 50
        made = pd.DataFrame(
            {
                "longitude": self.longitude,
                "latitude": self.latitude,
                "radius_km": radius[:, -1],
                "earthquakes": count,
                "expected": expected,
                "deviate": _deviate(expected, count),
                "half_begin": half[:, 0],
                "half_end": half[:, 1],
            }
        )
        order = made["deviate"].sort_values(ascending=False, kind="stable")

        def apart(ordered: pd.Index) -> list[int]:
            some: list[int] = []
            for i in ordered:
                if len(some) == n:
                    break
                away = np.linalg.norm(at[some] - at[i], axis=1)
                if (away > np.maximum(radius[some, -1] + radius[i, -1], least)).all():
                    some.append(i)
            return some

        few, many = apart(order.index[order > 0]), apart(order.index[order < 0][::-1])
        return made.loc[few + many[::-1]].reset_index(drop=True)

    def summary(self) -> dict[str, float]:
        """Return the numbers that a report names."""
        return {
            "cells": len(self.count),
            "expected": float(self.expected.sum()),
            "spread_of_deviates": float(self.deviate.std()),
            "p_gamma": self.p,
        }


def voronoi_residuals(model: Etas, catalogue: pd.DataFrame, target: Target) -> VoronoiResiduals:
    """Integrate the rate over the period and the Voronoi cell of each target within the region.

    Bray, Wong, Barr & Schoenberg (2014), doi:10.1214/14-AOAS767. Earthquakes at one place have one cell. The
    integrals are exact (`Tessellation`): together the cells are what the model expects in the region. A model
    that counts aftershocks over the whole plane (``counted="plane"``) expects a little more than that.

    Raises
    ------
    InputError
        When there are no targets.
    """
    likelihood, p = model.likelihood(catalogue, target), model.parameters_
    sources = target.sources(catalogue)
    chosen = sources[sources["target"]]
    lon, lat = chosen["longitude"].to_numpy(float), chosen["latitude"].to_numpy(float)
    time = chosen["time"].to_numpy("datetime64[ns]")
    first, count = places(lon, lat)
    cells = Tessellation.voronoi(target.region, lon[first], lat[first])
    height, zone = likelihood.in_the_period(p)
    triggered = cells.power_laws(sources["longitude"], sources["latitude"], height, zone, p.rho)
    expected = p.mu * likelihood.open_days * model.background_.share(cells) + triggered
    each = expected / count * (count.sum() / expected.sum())
    value = float(stats.kstest(each, stats.gamma(SHAPE, scale=1 / SHAPE).cdf).pvalue)
    return VoronoiResiduals(cells, lon[first], lat[first], count, time[first], expected, value)


def _deviate(expected: Floats, count: NDArray[np.int64]) -> Floats:
    """Return normal deviates, 37 at most; k cells together follow a gamma law of k times the shape."""
    law = stats.gamma(SHAPE * count, scale=1 / SHAPE)
    below, above = (np.maximum(share, 1e-300) for share in (law.cdf(expected), law.sf(expected)))
    return np.asarray(np.where(below < above, stats.norm.isf(below), stats.norm.ppf(above)))
