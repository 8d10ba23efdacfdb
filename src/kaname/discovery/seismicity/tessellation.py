"""A region cut into cells, about earthquakes or of equal areas, and what of kernels falls into each cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit, prange
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.spatial import Delaunay

from kaname.core.errors import InputError
from kaname.core.geo import EARTH_RADIUS_KM, on_sphere
from kaname.discovery.seismicity.elementary import exp, log, log1p, one_minus_exp
from kaname.discovery.seismicity.region import NEAR_KM, Region, cut_edges, panels, signed_area

Floats = NDArray[np.float64]
_SAME = 5
"""Decimals of a degree from which on places are the same: a metre."""
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(6)
_EXACT = 11
"""Decimals of a degree to which a corner is found again from the other cells that it belongs to."""
_FAR = 0.2
"""Edges shorter than this part of their distance need no panels."""
_MOST = 512
"""Nodes of an edge, more than panels that grow from `NEAR_KM` to half the planet's girth have."""
_AT = np.sqrt(0.6) / 2
"""Where the outer of the three nodes of such an edge are, from its middle."""
_FAST = {"reassoc", "contract", "arcp", "nsz"}


@dataclass(frozen=True, eq=False)
class Tessellation:
    """Polygons that together are a region, edges straight in longitude and latitude.

    A cell that the region's outline cuts in two is one ring all the same, its parts joined by edges that are
    passed in both directions: areas and integrals along the ring are those of the parts.

    Parameters
    ----------
    first
        Corners ``first[i]:first[i + 1]`` are those of cell i, anticlockwise.
    longitude, latitude
        Of all corners [degree].
    """

    first: NDArray[np.int64]
    longitude: Floats
    latitude: Floats

    @classmethod
    def of(cls, rings: list[Floats]) -> Tessellation:
        """Return the cells of these corners, longitude and latitude, ``(2, k)`` each."""
        first = np.concatenate([[0], np.cumsum([ring.shape[1] for ring in rings])])
        return cls(first, *np.concatenate(rings, axis=1))

    @classmethod
    def voronoi(cls, region: Region, longitude: ArrayLike, latitude: ArrayLike) -> Tessellation:
        """Return for each point what of the region is nearer to it than to the others.

        Near in longitude and latitude, longitudes shrunk as at the region's middle latitude: an edge is then
        straight like those of the region, and cells fill it exactly. Towards the north and the south of a
        large region the cells are a little too wide or too narrow.

        Raises
        ------
        InputError
            Without points, with points that are not in the region, with two at one place (`places`), or where
            rounding errors take many of them for one.
        """
        lon, lat = (np.asarray(v, float).ravel() for v in (longitude, latitude))
        if not len(lon) or not region.contains(lon, lat).all():
            raise InputError("a tessellation needs at least one point, and all of them in the region")
        if len(places(lon, lat)[0]) < len(lon):
            raise InputError("two of the points are at one place; count them together (places)")
        outline, narrow = _flat(region)
        points = np.column_stack([lon * narrow, lat])
        # Four points, far away and nearest to nothing in the region, so that any others can be triangulated.
        middle, size = outline.mean(axis=1), np.ptp(outline, axis=1).max()
        corners = 3 * size * np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])
        made = Delaunay(np.vstack([points - middle, corners]))
        if len(made.coplanar):
            raise InputError(
                f"{len(made.coplanar)} points are too near to others to be told apart in a region of this "
                "size; round the places"
            )
        starts, neighbour = made.vertex_neighbor_vertices
        rings = []
        for i, point in enumerate(points):
            near = neighbour[starts[i] : starts[i + 1]]
            away = points[near[near < len(points)]] - point
            ring = outline - point[:, np.newaxis]
            for direction in away:
                ring = _cut(ring, direction, direction @ direction / 2)
            rings.append(_unflat(ring + point[:, np.newaxis], narrow))
        return cls.of(rings)

    @classmethod
    def equal_areas(cls, region: Region, halvings: int) -> Tessellation:
        """Return ``2 ** halvings`` cells of one area, halved across their longer side again and again."""
        outline, narrow = _flat(region)
        rings = [outline]
        for _ in range(halvings):
            rings = [half for ring in rings for half in _halves(ring, narrow)]
        return cls.of([_unflat(ring, narrow) for ring in rings])

    def __len__(self) -> int:
        return len(self.first) - 1

    def ring(self, i: int) -> tuple[Floats, Floats]:
        """Return longitudes and latitudes of the corners of a cell."""
        corners = slice(self.first[i], self.first[i + 1])
        return self.longitude[corners], self.latitude[corners]

    def regions(self) -> list[Region]:
        """Return each cell as a region."""
        return [Region(*self.ring(i)) for i in range(len(self))]

    @property
    def area_km2(self) -> Floats:
        """Area of each cell on the sphere [km2]."""
        return np.array([cell.area_km2 for cell in self.regions()])

    def power_laws(
        self, longitude: ArrayLike, latitude: ArrayLike, height: Floats, zone: Floats, rho: float
    ) -> Floats:
        """Return the integral over each cell of the sum of ``height (r2 + zone)^-(1 + rho)`` about points.

        Parameters
        ----------
        longitude, latitude
            Of the points [degree] ``(n,)``.
        height, zone, rho
            Of each; zones in [km2].
        """
        return self._integrals(longitude, latitude, height * zone**-rho / (2 * rho), 1 / zone, rho, False)

    def gaussians(self, longitude: ArrayLike, latitude: ArrayLike, weight: Floats, width: Floats) -> Floats:
        """Return the integral over each cell of a sum of Gaussians of these integrals and widths [km]."""
        return self._integrals(longitude, latitude, weight / (2 * np.pi), 0.5 / width**2, 1.0, True)

    def _integrals(
        self,
        longitude: ArrayLike,
        latitude: ArrayLike,
        height: Floats,
        steep: Floats,
        rho: float,
        round_: bool,
    ) -> Floats:
        # By the divergence theorem (`Quadrature`); an edge between two cells counts for both.
        n = np.diff(self.first)
        after = np.arange(1, len(self.longitude) + 1)
        after[self.first[1:] - 1] = self.first[:-1]
        corners = np.round(np.column_stack([self.longitude, self.latitude]), _EXACT)
        ends = np.hstack([corners, corners[after]])
        forward = (ends[:, 0] < ends[:, 2]) | ((ends[:, 0] == ends[:, 2]) & (ends[:, 1] < ends[:, 3]))
        edges, which = np.unique(
            np.where(forward[:, np.newaxis], ends, ends[:, [2, 3, 0, 1]]), axis=0, return_inverse=True
        )
        lon, lat, edge = cut_edges(*edges.T)
        last = np.append(edge[1:] != edge[:-1], True)
        to_lon, to_lat = np.append(lon[1:], 0.0), np.append(lat[1:], 0.0)
        to_lon[last], to_lat[last] = edges[:, 2], edges[:, 3]
        begin, end = on_sphere(lat, lon, radius_km=1.0), on_sphere(to_lat, to_lon, radius_km=1.0)
        axes = _axes(np.asarray(longitude, float), np.asarray(latitude, float))
        piece = _flux(begin, end, axes, height, steep, rho, round_)
        flux = np.bincount(edge, piece, len(edges))[which.ravel()] * np.where(forward, 1.0, -1.0)
        return np.asarray(np.bincount(np.repeat(np.arange(len(self)), n), flux, len(self)), float)


def places(longitude: ArrayLike, latitude: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return which points are the first at their place, and how many are there."""
    at = np.round(np.column_stack([np.asarray(longitude, float), np.asarray(latitude, float)]), _SAME)
    _, first, count = np.unique(at, axis=0, return_index=True, return_counts=True)
    order = np.argsort(first)
    return first[order], count[order]


def _flat(region: Region) -> tuple[Floats, float]:
    """Return the outline in a plane, and by how much longitudes are shrunk there."""
    lon, lat = region.outline()
    narrow = float(np.cos(np.radians((lat.min() + lat.max()) / 2)))
    return np.array([lon * narrow, lat]), narrow


def _unflat(ring: Floats, narrow: float) -> Floats:
    """Return longitudes and latitudes of corners of the plane."""
    return np.array([ring[0] / narrow, ring[1]])


def _cut(ring: Floats, direction: Floats, limit: float) -> Floats:
    """Return what of a polygon ``(2, n)`` is not beyond a line (Sutherland & Hodgman 1974)."""
    beyond = direction @ ring - limit
    kept = beyond <= 0
    if kept.all() or not kept.any():
        return ring[:, kept]
    following, beyond_next = np.roll(ring, -1, axis=1), np.roll(beyond, -1)
    crossed = kept != np.roll(kept, -1)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(crossed, beyond / (beyond - beyond_next), 0.0)
    corners = np.stack([ring, ring + share * (following - ring)], axis=2)
    return corners[:, np.column_stack([kept, crossed])]


def _halves(ring: Floats, narrow: float) -> list[Floats]:
    axis = int(np.ptp(ring, axis=1).argmax())
    direction = np.eye(2)[axis]

    def area(part: Floats) -> float:
        return signed_area(part[0] / narrow, part[1]) if part.size else 0.0

    low, high = float(ring[axis].min()), float(ring[axis].max())
    whole = area(ring)
    at = brentq(lambda x: area(_cut(ring, direction, x)) - whole / 2, low, high, xtol=1e-13)
    return [_cut(ring, direction, at), _cut(ring, -direction, -at)]


def _axes(longitude: Floats, latitude: Floats) -> Floats:
    """Return the directions up, east and north at points of the unit sphere, ``(3, 3, n)``."""
    lon, lat = np.radians(longitude), np.radians(latitude)
    zero = np.zeros_like(lon)
    up = [np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)]
    north = [-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)]
    return np.array([up, [-np.sin(lon), np.cos(lon), zero], north])


@njit(fastmath=_FAST, error_model="numpy", inline="always")
def _onto(p, q, r, axes, i):  # type: ignore[no-untyped-def]
    """Return the components of a point along the directions of a source."""
    up = p * axes[0, 0, i] + q * axes[0, 1, i] + r * axes[0, 2, i]
    east = p * axes[1, 0, i] + q * axes[1, 1, i] + r * axes[1, 2, i]
    north = p * axes[2, 0, i] + q * axes[2, 1, i] + r * axes[2, 2, i]
    return up, east, north


@njit(fastmath=_FAST, error_model="numpy", inline="always")
def _stretch(u):  # type: ignore[no-untyped-def]
    """Return an arc over its sine, by the square of the sine: to 1e-13 up to 640 km."""
    return 1 + u * (1 / 6 + u * (3 / 40 + u * (15 / 336 + u * (105 / 3456 + u * (945 / 42240)))))


@njit(fastmath=_FAST, error_model="numpy", inline="always")
def _part(u, rho, round_):  # type: ignore[no-untyped-def]
    return 1 - exp(-u if round_ else -rho * log(1 + u))


@njit(fastmath=_FAST, error_model="numpy", parallel=True, cache=True)
def _flux(begin, end, axes, height, steep, rho, round_):  # type: ignore[no-untyped-def]
    """Return, for each edge, the sum over sources of their integrals along it.

    ``height`` times 1 - (1 + u)^-rho, or 1 - exp(-u) where the kernel is ``round_``, u the square of the
    distance times ``steep``, is integrated over the angle at which the edge is seen from the source.
    """
    out = np.empty(begin.shape[1])
    n, km2 = len(height), EARTH_RADIUS_KM**2
    for k in prange(begin.shape[1]):
        near = np.empty(n, np.bool_)
        p0, q0, r0 = begin[0, k], begin[1, k], begin[2, k]
        p1, q1, r1 = end[0, k], end[1, k], end[2, k]
        total = 0.0
        # Without branches, so that it becomes vector instructions.
        for i in range(n):
            up_a, ax, ay = _onto(p0, q0, r0, axes, i)
            up_b, bx, by = _onto(p1, q1, r1, axes, i)
            ua, ub = ax * ax + ay * ay, bx * bx + by * by
            fa, fb = _stretch(ua), _stretch(ub)
            ax, ay, bx, by = ax * fa, ay * fa, bx * fb, by * fb
            dx, dy = bx - ax, by - ay
            mx, my = (ax + bx) / 2, (ay + by) / 2
            r_a = (mx - _AT * dx) ** 2 + (my - _AT * dy) ** 2
            r_m = mx * mx + my * my
            r_b = (mx + _AT * dx) ** 2 + (my + _AT * dy) ** 2
            s = steep[i] * km2
            far = (dx * dx + dy * dy < _FAR * _FAR * r_m) & (min(up_a, up_b) > 0) & (max(ua, ub) < 0.01)
            some = 5 * (_part(r_a * s, rho, round_) / r_a + _part(r_b * s, rho, round_) / r_b)
            some = (some + 8 * _part(r_m * s, rho, round_) / r_m) * (ax * dy - ay * dx) / 18
            near[i] = not far
            total += height[i] * some if far else 0.0
        squared, weight = np.empty(_MOST), np.empty(_MOST)
        for i in range(n):
            if near[i]:
                total += height[i] * _beside(
                    begin[:, k], end[:, k], axes, i, steep[i], rho, round_, squared, weight
                )
        out[k] = total
    return out


@njit(error_model="numpy", cache=True)
def _beside(begin, end, axes, i, steep, rho, round_, squared, weight):  # type: ignore[no-untyped-def]
    """Return the integral along an edge that is near a source for its length, or far round the planet."""
    at = np.empty((2, 2))
    for j, point in enumerate((begin, end)):
        up, east, north = _onto(point[0], point[1], point[2], axes, i)
        size = np.hypot(east, north)
        scale = EARTH_RADIUS_KM * np.arctan2(size, up) / size if size > 0 else 0.0
        at[j] = east * scale, north * scale
    ax, ay = at[0]
    dx, dy = at[1] - at[0]
    length = np.hypot(dx, dy)
    cross = (ax * dy - ay * dx) / length if length > 0 else 0.0
    if abs(cross) < 1e-9:
        # The edge runs through the point and subtends no angle.
        return 0.0
    low = (ax * dx + ay * dy) / length
    n = panels(
        low, low + length, abs(cross), max(abs(cross), NEAR_KM), 1.0 if cross > 0 else -1.0, _NODES, _WEIGHTS,
        squared, weight, 0, False,
    )  # fmt: skip
    total = 0.0
    for j in range(n):
        u = squared[j] * steep
        total += weight[j] * one_minus_exp(u if round_ else rho * log1p(u))
    return total
