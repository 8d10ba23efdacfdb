"""Kernels that follow the lineaments on which earthquakes lie: ellipses drawn by what happened before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from kaname.core.geo import EARTH_RADIUS_KM
from kaname.discovery.seismicity.elementary import exp, log
from kaname.discovery.seismicity.region import Region

Floats = NDArray[np.float64]

_FAST = {"reassoc", "contract", "arcp", "nsz"}
_KM = EARTH_RADIUS_KM * np.pi / 180
_RINGS, _SPOKES = 32, 12


@dataclass(frozen=True, eq=False)
class Places:
    """Where events are: longitude and latitude [km along a meridian], and the cosine of the latitude."""

    east: Floats
    north: Floats
    narrow: Floats

    @classmethod
    def of(cls, longitude: Floats, latitude: Floats) -> Places:
        """Return the places of points [degree]."""
        return cls(longitude * _KM, latitude * _KM, np.cos(np.radians(latitude)))

    def __getitem__(self, chosen: NDArray[np.int64] | NDArray[np.bool_]) -> Places:
        return Places(self.east[chosen], self.north[chosen], self.narrow[chosen])


@dataclass(frozen=True, eq=False)
class Axes:
    """The long axis of an ellipse about each event (unit vector east, north) and its ratio to the short one.

    Distances along the long axis count for less, across it for more, so that the area stays what it was.
    """

    east: Floats
    north: Floats
    ratio: Floats

    @classmethod
    def isotropic(cls, n: int) -> Axes:
        """Return circles."""
        return cls(np.ones(n), np.zeros(n), np.ones(n))

    @classmethod
    def of_earlier(
        cls, places: Places, *, reach_km: float, prior: float, limit: float, known: int | None = None
    ) -> Axes:
        """Return the ellipse of the events before each, weighted by a Gaussian of their distance.

        Parameters
        ----------
        places
            Of events in order of time.
        reach_km
            Standard deviation of the Gaussian.
        prior
            So many events spread evenly are added: with few earlier ones the ellipse is a circle.
        limit
            Greatest ratio.
        known
            Only the first so many events draw ellipses; missing: all.
        """
        first = len(places.east) if known is None else known
        return cls(*_axes(places.east, places.north, places.narrow, reach_km, prior, limit, first))

    def where(self, chosen: NDArray[np.bool_]) -> Axes:
        """Return the same with circles where not ``chosen``."""
        return Axes(self.east, self.north, np.where(chosen, self.ratio, 1.0))

    def __getitem__(self, chosen: NDArray[np.int64] | NDArray[np.bool_]) -> Axes:
        return Axes(self.east[chosen], self.north[chosen], self.ratio[chosen])


def inside_share(
    region: Region, longitude: Floats, latitude: Floats, zone: Floats, rho: float, axes: Axes
) -> Floats:
    """Return which share of the power law (r2 + zone)^-(1 + rho) about each event falls into a region.

    By 384 nodes, 32 rings of equal weight and 12 directions.
    """
    u = (np.arange(_RINGS) + 0.5) / _RINGS
    turn = 2 * np.pi * (np.arange(_SPOKES) + (np.arange(_RINGS) * 0.6180339887 % 1)[:, np.newaxis]) / _SPOKES
    out = np.empty(len(longitude))
    for part in np.array_split(np.arange(len(longitude)), len(longitude) // 2000 + 1):
        # The heaviest tails have nodes beyond the planet; all the same, they are outside.
        reach = zone[part, np.newaxis] * np.minimum((1 - u) ** (-1 / rho) - 1, 1e12)
        reach = np.minimum(np.sqrt(reach), 1e5)[:, :, np.newaxis]
        s = np.sqrt(axes.ratio[part])[:, np.newaxis, np.newaxis]
        along, across = reach * np.cos(turn) * s, reach * np.sin(turn) / s
        e, n = (v[part, np.newaxis, np.newaxis] for v in (axes.east, axes.north))
        lat = latitude[part, np.newaxis, np.newaxis]
        inside = region.contains(
            longitude[part, np.newaxis, np.newaxis]
            + (along * e - across * n) / _KM / np.cos(np.radians(lat)),
            lat + (along * n + across * e) / _KM,
        )
        out[part] = inside.mean(axis=(1, 2))
    return out


def triggered(
    day: Floats,
    places: Places,
    log_size: Floats,
    zone: Floats,
    axes: Axes,
    *,
    at_day: Floats,
    at: Places,
    before: NDArray[np.int64],
    c: float,
    omega: float,
    inverse_tau: float,
    rho: float,
) -> Floats:
    """Return the rate [1/day/km2] of the ETAS kernel with distances measured in ellipses.

    It is that at the times and places ``at``, of the first so many events as ``before`` says for each.
    """
    sources = (day, places.east, places.north, places.narrow, log_size, zone)
    ellipses = (axes.east, axes.north, axes.ratio)
    points = (at_day, at.east, at.north, at.narrow, before)
    return np.asarray(_triggered(*sources, *ellipses, *points, c, omega, inverse_tau, rho))


@njit(parallel=True, cache=True, fastmath=_FAST, error_model="numpy")
def _axes(east, north, narrow, reach, prior, limit, known):  # type: ignore[no-untyped-def]
    n = len(east)
    out_east, out_north, ratio = np.ones(n), np.zeros(n), np.ones(n)
    steep = 0.5 / reach**2
    for i in prange(n):
        xx = prior * reach * reach
        yy, xy = xx, 0.0
        for j in range(min(i, known)):
            dy = north[j] - north[i]
            dx = (east[j] - east[i]) * narrow[i]
            r2 = dx * dx + dy * dy
            if r2 < 16 * reach * reach:
                w = exp(-steep * r2)
                xx += w * dx * dx
                yy += w * dy * dy
                xy += w * dx * dy
        spread = np.sqrt((xx - yy) ** 2 / 4 + xy * xy)
        middle = (xx + yy) / 2
        ratio[i] = min(np.sqrt((middle + spread) / (middle - spread)), limit)
        turn = 0.5 * np.arctan2(2 * xy, xx - yy)
        out_east[i], out_north[i] = np.cos(turn), np.sin(turn)
    return out_east, out_north, ratio


@njit(parallel=True, cache=True, fastmath=_FAST, error_model="numpy")
def _triggered(  # type: ignore[no-untyped-def]
    day, east, north, narrow, log_size, zone, axis_east, axis_north, ratio,
    at_day, at_east, at_north, at_narrow, before, c, omega, inverse_tau, rho,
):  # fmt: skip
    out = np.zeros(len(before))
    for k in prange(len(before)):
        total = 0.0
        for i in range(before[k]):
            delay = at_day[k] - day[i]
            dx, dy = (at_east[k] - east[i]) * narrow[i], at_north[k] - north[i]
            along = dx * axis_east[i] + dy * axis_north[i]
            across = dy * axis_east[i] - dx * axis_north[i]
            near = along * along / ratio[i] + across * across * ratio[i] + zone[i]
            # The map stretches east by the cosine at the source; what is asked is per km2 at the point.
            total += narrow[i] * exp(
                log_size[i] - delay * inverse_tau - (1 + omega) * log(delay + c) - (1 + rho) * log(near)
            )
        out[k] = total / at_narrow[k]
    return out
