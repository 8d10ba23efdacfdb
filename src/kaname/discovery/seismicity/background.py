"""Where background earthquakes happen: evenly over the region, or more where they happened before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from numba import njit, prange
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import KDTree

from kaname.core.errors import InputError
from kaname.core.geo import EARTH_RADIUS_KM, on_sphere
from kaname.discovery.seismicity.elementary import exp
from kaname.discovery.seismicity.region import Region
from kaname.discovery.seismicity.tessellation import Tessellation


class Background(Protocol):
    """A probability density over a region."""

    @property
    def region(self) -> Region:
        """Where it is a density."""
        ...

    def density(self, longitude: ArrayLike, latitude: ArrayLike) -> NDArray[np.float64]:
        """Return the density at points [1/km2]; over the region it integrates to one."""
        ...

    def share(self, cells: Tessellation) -> NDArray[np.float64]:
        """Return the integral of the density over each cell of a tessellation of the region."""
        ...

    def draw(self, n: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return longitudes and latitudes of ``n`` points of this density."""
        ...


@dataclass(frozen=True, eq=False)
class Uniform:
    """The same density everywhere in a region.

    ``area_km2`` replaces the region's own area, for models whose authors measured it otherwise.
    """

    region: Region
    area_km2: float | None = None

    def density(self, longitude: ArrayLike, latitude: ArrayLike) -> NDArray[np.float64]:
        """See `Background`."""
        shape = np.broadcast(np.asarray(longitude), np.asarray(latitude)).shape
        return np.full(shape, 1 / (self.area_km2 or self.region.area_km2))

    def share(self, cells: Tessellation) -> NDArray[np.float64]:
        """See `Background`."""
        return cells.area_km2 / (self.area_km2 or self.region.area_km2)

    def draw(self, n: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """See `Background`."""
        west, east = self.region.longitude.min(), self.region.longitude.max()
        south, north = np.sin(np.radians([self.region.latitude.min(), self.region.latitude.max()]))

        def some(k: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            return rng.uniform(west, east, k), np.degrees(np.arcsin(rng.uniform(south, north, k)))

        return _within(self.region, n, some)


class KernelDensity:
    """Weighted Gaussians about past earthquakes, wide where those are far apart, and a share that is uniform.

    Bandwidths are distances to the k-th nearest neighbour, as in Zhuang, Ogata & Vere-Jones (2002),
    doi:10.1198/016214502760046925, eq. 9; each Gaussian is normalised within the region.

    Parameters
    ----------
    region
        Where the density integrates to one.
    longitude, latitude, weight
        Past events, the weights their probability of being background, ``(n,)``.
    neighbours, bandwidth_min_km
        Which neighbour's distance is the bandwidth, and its least value [km].
    uniform
        Share of the uniform part, 0 to 1: where nothing happened yet, something still may.

    Raises
    ------
    InputError
        When there are no more events than neighbours, or no weight.
    """

    def __init__(
        self,
        region: Region,
        longitude: ArrayLike,
        latitude: ArrayLike,
        weight: ArrayLike,
        *,
        neighbours: int = 5,
        bandwidth_min_km: float = 0.5,
        uniform: float = 0.02,
    ) -> None:
        lon, lat, w = (np.asarray(v, float).ravel() for v in (longitude, latitude, weight))
        if len(lon) <= neighbours or not w.sum() > 0:
            raise InputError(f"a density needs more than {neighbours} events with weight, found {len(lon)}")
        if not 0 < uniform <= 1:
            raise InputError(f"the uniform share must be above 0 and at most 1, found {uniform}")
        self.uniform = uniform
        self.region = region
        self._area = region.area_km2
        self._longitude, self._latitude = lon, lat
        self._place = on_sphere(lat, lon)
        distance = KDTree(self._place.T).query(self._place.T, neighbours + 1)[0][:, -1]
        self._width = np.maximum(distance, bandwidth_min_km)
        quadrature = region.quadrature(lon, lat)
        steep = np.repeat(0.5 / self._width**2, np.diff(quadrature.first))
        part = -quadrature.weight * np.expm1(-quadrature.squared * steep)
        inside = np.add.reduceat(part, quadrature.first[:-1]) / (2 * np.pi)
        self._weight = w
        self._total = float((w * inside).sum())
        self._inside = w * inside

    def density(self, longitude: ArrayLike, latitude: ArrayLike) -> NDArray[np.float64]:
        """See `Background`."""
        place = on_sphere(np.ravel(latitude), np.ravel(longitude))
        total = _gaussians(self._place, self._width, self._weight, place, np.full(place.shape[1], -1))
        return np.asarray((1 - self.uniform) * total / self._total + self.uniform / self._area)

    def share(self, cells: Tessellation) -> NDArray[np.float64]:
        """See `Background`."""
        total = cells.gaussians(self._longitude, self._latitude, self._weight, self._width)
        return (1 - self.uniform) * total / self._total + self.uniform * cells.area_km2 / self._area

    def draw(self, n: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """See `Background`."""
        n_even = int(rng.binomial(n, self.uniform))
        share = self._weight / self._weight.sum()

        def some(k: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            chosen = rng.choice(len(share), k, p=share)
            east, north = rng.standard_normal((2, k)) * np.degrees(self._width[chosen] / EARTH_RADIUS_KM)
            narrow = np.cos(np.radians(self._latitude[chosen]))
            return self._longitude[chosen] + east / narrow, self._latitude[chosen] + north

        even = Uniform(self.region).draw(n_even, rng)
        near = _within(self.region, n - n_even, some)
        mixed = rng.permutation(n)
        lon, lat = (np.concatenate([a, b])[mixed] for a, b in zip(even, near))
        return lon, lat

    def events(self) -> pd.DataFrame:
        """Return what it is made of: ``longitude``, ``latitude`` and ``weight`` of each event."""
        return pd.DataFrame(
            {"longitude": self._longitude, "latitude": self._latitude, "weight": self._weight}
        )

    def density_at_events(self) -> NDArray[np.float64]:
        """Return the density at the events it is made of, each without its own part [1/km2]."""
        own = np.arange(self._place.shape[1])
        total = _gaussians(self._place, self._width, self._weight, self._place, own)
        return np.asarray(
            (1 - self.uniform) * total / (self._total - self._inside) + self.uniform / self._area
        )


def _within(
    region: Region, n: int, some: Callable[[int], tuple[NDArray[np.float64], NDArray[np.float64]]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return ``n`` of the points that ``some`` draws which lie in the region."""
    lon, lat = np.empty(0), np.empty(0)
    while len(lon) < n:
        more = some(2 * (n - len(lon)) + 16)
        inside = region.contains(*more)
        lon, lat = np.concatenate([lon, more[0][inside]]), np.concatenate([lat, more[1][inside]])
    return lon[:n], lat[:n]


@njit(fastmath={"reassoc", "contract", "nsz"}, error_model="numpy", parallel=True, cache=True)
def _gaussians(place, width, weight, at, without):  # type: ignore[no-untyped-def]
    out = np.empty(at.shape[1])
    height = weight / (2 * np.pi * width**2)
    steep = 0.5 / width**2
    for k in prange(at.shape[1]):
        x, y, z = at[0, k], at[1, k], at[2, k]
        total = 0.0
        for i in range(len(width)):
            dx, dy, dz = x - place[0, i], y - place[1, i], z - place[2, i]
            total += height[i] * exp(-steep[i] * (dx * dx + dy * dy + dz * dz))
        own = without[k]
        if own >= 0:
            total -= height[own]
        out[k] = max(total, 0.0)
    return out
