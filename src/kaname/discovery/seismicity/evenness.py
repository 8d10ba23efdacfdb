"""Whether points lie evenly over a region and a period: counts in cells, and pairs by distance and delay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numba import njit, prange
from numpy.typing import NDArray
from scipy import stats

from kaname.core.geo import on_sphere
from kaname.discovery.seismicity.background import Uniform
from kaname.discovery.seismicity.region import Region
from kaname.discovery.seismicity.tessellation import Tessellation

Floats = NDArray[np.float64]
_IN_A_CELL = 10
"""Least number expected in each cell: there the chi-square law holds."""
_PAIRS = 1
"""Least number of pairs expected at the least distance and delay."""
_MOST_HALVINGS = 8


@dataclass(frozen=True, eq=False)
class Points:
    """Points of a region and a period.

    Parameters
    ----------
    longitude, latitude, day
        Of each [degree], [day since the start], ``(n,)``.
    region, days
        Where and how long they could be.
    """

    longitude: Floats
    latitude: Floats
    day: Floats
    region: Region
    days: float

    def __len__(self) -> int:
        return len(self.day)


@dataclass(frozen=True, eq=False)
class CellCounts:
    """Numbers of points in cells of one area and, where there is more than one column, of one length in time.

    Parameters
    ----------
    cells
        Where they are.
    count
        In each cell and interval, ``(n, k)``.
    p
        Of Pearson's chi-square, given the number of all points; small when they are in clusters or gaps.
    """

    cells: Tessellation
    count: NDArray[np.int64]
    p: float


@dataclass(frozen=True, eq=False)
class PairCounts:
    """Numbers of pairs of points up to distances and delays: Ripley's K in space and time, not scaled.

    The same of as many points drawn evenly over the same region and period say what is usual, edges and all.

    Parameters
    ----------
    distance_km, delay_day
        Up to which pairs are counted ``(r,)``, ``(t,)``; the last delay is the whole period.
    count
        Of the points, ``(r, t)``.
    usual, low, high
        Mean of the even ones, and the envelope that holds 95 % of them everywhere at once, ``(r, t)``.
    p
        Share of the even ones whose greatest deviation, in units of its scatter, is as great.
    """

    distance_km: Floats
    delay_day: Floats
    count: Floats
    usual: Floats
    low: Floats
    high: Floats
    p: float

    def table(self) -> pd.DataFrame:
        """Return a row for each distance and delay, the envelope relative to the mean of even points."""
        far, late = np.meshgrid(self.distance_km, self.delay_day, indexing="ij")
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = {
                "ratio": self.count / self.usual,
                "low": self.low / self.usual,
                "high": self.high / self.usual,
            }
        columns = {"distance_km": far, "delay_day": late, "pairs": self.count, **relative}
        return pd.DataFrame({name: np.ravel(values) for name, values in columns.items()})


def p_number(n: int, expected: float) -> float:
    """Return the two-sided p-value of a Poisson number."""
    law = stats.poisson(expected)
    return float(min(1.0, 2 * min(law.cdf(n), law.sf(n - 1))))


def p_times(points: Points) -> float:
    """Return the p-value of Kolmogorov and Smirnov's test that the times are spread evenly."""
    return float(stats.kstest(points.day / points.days, "uniform").pvalue) if len(points) else np.nan


def cell_counts(points: Points, *, intervals: int = 1) -> CellCounts:
    """Count points in as many cells of equal area as leave ten or more in each, 256 at most.

    Parameters
    ----------
    points
        Of a region and a period.
    intervals
        Into how many equal parts the period is cut; none of them is for places alone.
    """
    per_interval = len(points) / intervals / _IN_A_CELL
    halvings = int(np.clip(np.floor(np.log2(max(per_interval, 1))), 0, _MOST_HALVINGS))
    cells = Tessellation.equal_areas(points.region, halvings)
    edges = np.linspace(0, points.days, intervals + 1)
    edges[-1] = np.inf
    count = np.array(
        [
            np.histogram(points.day[cell.contains(points.longitude, points.latitude)], edges)[0]
            for cell in cells.regions()
        ]
    )
    if count.size == 1 or not len(points):
        return CellCounts(cells, count, np.nan)
    usual = len(points) / count.size
    return CellCounts(
        cells, count, float(stats.chi2.sf(((count - usual) ** 2).sum() / usual, count.size - 1))
    )


def pair_counts(points: Points, *, n: int = 199, seed: int = 0) -> PairCounts:
    """Count pairs by distance and delay, and those of ``n`` sets of as many points that are even.

    Numbers of pairs are compared by their square roots (as Besag's L function), their deviations in units of
    the scatter of the even ones at that distance and delay; the greatest decides, so that looking at many
    distances costs nothing (Myllymäki et al. 2017, doi:10.1111/rssb.12172).
    """
    size = float(np.sqrt(points.region.area_km2))
    distance, delay = size / 2.0 ** np.arange(10.0, 3, -1), points.days / 4.0 ** np.arange(5.0, -1, -1)
    m = len(points)
    # Two evenly drawn times are closer than x of the period with probability 2 x - x^2.
    close = 2 * delay / points.days - (delay / points.days) ** 2
    hoped = m * (m - 1) / 2 * np.pi * (distance / size)[:, np.newaxis] ** 2 * close
    enough = hoped >= _PAIRS
    rng = np.random.default_rng(seed)
    lon, lat = Uniform(points.region).draw(n * m, rng)
    day = rng.uniform(0, points.days, n * m)
    lon, lat, day = (
        np.append(a, b) for a, b in zip((points.longitude, points.latitude, points.day), (lon, lat, day))
    )
    place = np.ascontiguousarray(on_sphere(lat, lon).reshape(3, n + 1, m).transpose(1, 0, 2))
    # Chords for arcs: of a sixteenth of the region at most.
    found = _pairs(place, day.reshape(n + 1, m), distance**2, delay)
    root = np.sqrt(found)
    scatter = np.asarray(root.std(axis=0))
    enough &= scatter > 0
    scatter = np.where(enough, scatter, 1.0)
    mean = root.mean(axis=0)
    greatest = np.where(enough, np.abs(root - mean) / scatter, 0.0).max(axis=(1, 2))
    p = float((greatest >= greatest[0]).mean()) if enough.any() else np.nan
    limit = np.quantile(greatest, 0.95)
    low, high = np.maximum(mean - limit * scatter, 0) ** 2, (mean + limit * scatter) ** 2
    low, high = (np.where(enough, edge, np.nan) for edge in (low, high))
    return PairCounts(distance, delay, found[0], np.asarray(found[1:].mean(axis=0)), low, high, p)


@njit(error_model="numpy", parallel=True, cache=True)
def _pairs(place, day, squared, delay):  # type: ignore[no-untyped-def]
    """Return how many pairs of each set are within squared distances and within delays."""
    n_set, _, m = place.shape
    out = np.zeros((n_set, len(squared), len(delay)))
    for k in prange(n_set):
        order = np.argsort(place[k, 2])
        x, y, z, t = place[k, 0][order], place[k, 1][order], place[k, 2][order], day[k][order]
        widest = squared[-1]
        reach = np.sqrt(widest)
        for i in range(m):
            for j in range(i + 1, m):
                dz = z[j] - z[i]
                if dz > reach:
                    break
                r2 = (x[j] - x[i]) ** 2 + (y[j] - y[i]) ** 2 + dz * dz
                if r2 > widest:
                    continue
                a, b = 0, 0
                while squared[a] < r2:
                    a += 1
                apart = abs(t[j] - t[i])
                while delay[b] < apart and b < len(delay) - 1:
                    b += 1
                out[k, a, b] += 1
        for a in range(1, len(squared)):
            out[k, a] += out[k, a - 1]
        for b in range(1, len(delay)):
            out[k, :, b] += out[k, :, b - 1]
    return out
