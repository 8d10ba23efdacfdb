"""The region that is scored: a polygon on the sphere, its area, and what of a kernel falls into it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from kaname.core.errors import FormatError, InputError, NotFoundError
from kaname.core.geo import EARTH_RADIUS_KM

_BULGE_KM = 0.005
"""Edges straight in longitude and latitude are cut so short that chords leave them by less than this."""
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(6)
NEAR_KM = 0.02
"""Panels of an edge are no finer than this about the point nearest to it."""
_GROWTH = 2.5


@dataclass(frozen=True, eq=False)
class Region:
    """A polygon with edges straight in longitude and latitude.

    Parameters
    ----------
    longitude, latitude
        Corners in order, either way round, [degree], ``(n,)``; the last is joined to the first.

    Raises
    ------
    InputError
        With fewer than three corners, corners that are not finite, or a polygon without area.
    """

    longitude: NDArray[np.float64]
    latitude: NDArray[np.float64]

    def __post_init__(self) -> None:
        longitude = np.asarray(self.longitude, float).ravel()
        latitude = np.asarray(self.latitude, float).ravel()
        if longitude.shape != latitude.shape or len(longitude) < 3:
            raise InputError(
                f"a region has at least three corners, found {longitude.size} longitudes and "
                f"{latitude.size} latitudes"
            )
        if not (
            np.isfinite(longitude).all() and np.isfinite(latitude).all() and (np.abs(latitude) <= 90).all()
        ):
            raise InputError("the corners of a region must be finite, latitudes within -90 and 90")
        if longitude[0] == longitude[-1] and latitude[0] == latitude[-1]:
            longitude, latitude = longitude[:-1], latitude[:-1]
        signed = signed_area(longitude, latitude)
        if signed < 0:
            longitude, latitude = longitude[::-1], latitude[::-1]
        object.__setattr__(self, "longitude", np.ascontiguousarray(longitude))
        object.__setattr__(self, "latitude", np.ascontiguousarray(latitude))
        if not abs(signed) > 0:
            raise InputError("the region has no area")

    @classmethod
    def from_bounds(cls, west: float, east: float, south: float, north: float) -> Region:
        """Return the region between two meridians and two parallels [degree]."""
        return cls(np.array([west, east, east, west]), np.array([south, south, north, north]))

    @classmethod
    def read(cls, path: str | Path) -> Region:
        """Read a polygon: ``.npy`` of latitude, longitude ``(n, 2)``, or GeoJSON (its first polygon).

        Raises
        ------
        NotFoundError, FormatError
            When there is no such file, or it holds no polygon.
        """
        file = Path(path)
        if not file.is_file():
            raise NotFoundError(f"no such file: {file}; expected a polygon as GeoJSON or .npy")
        try:
            if file.suffix == ".npy":
                corners = np.load(file, allow_pickle=False)
                if corners.ndim != 2 or corners.shape[1] != 2:
                    raise ValueError(f"found an array of shape {corners.shape}, expected (n, 2)")
                return cls(corners[:, 1], corners[:, 0])
            ring = np.array(_ring(json.loads(file.read_text(encoding="utf-8"))), float)
            return cls(ring[:, 0], ring[:, 1])
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise FormatError(f"{file} holds no polygon: {error}") from error

    @property
    def area_km2(self) -> float:
        """Area on the sphere [km2]."""
        return abs(signed_area(self.longitude, self.latitude)) * EARTH_RADIUS_KM**2

    def contains(self, longitude: ArrayLike, latitude: ArrayLike) -> NDArray[np.bool_]:
        """Return which points lie inside; points on a western or southern edge do."""
        x, y = np.asarray(longitude, float), np.asarray(latitude, float)
        inside = np.zeros(np.broadcast(x, y).shape, bool)
        x1, y1 = self.longitude, self.latitude
        x2, y2 = np.roll(x1, -1), np.roll(y1, -1)
        for a, b, c, d in zip(x1, y1, x2, y2):
            if b != d:
                inside ^= ((b > y) != (d > y)) & (x < (c - a) * (y - b) / (d - b) + a)
        return inside

    def outline(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return longitude and latitude of the outline, cut so that great circles between them follow it."""
        to = np.roll(self.longitude, -1), np.roll(self.latitude, -1)
        lon, lat, _ = cut_edges(self.longitude, self.latitude, *to)
        return lon, lat

    def quadrature(self, longitude: ArrayLike, latitude: ArrayLike) -> Quadrature:
        """Return the nodes that integrate isotropic kernels about points over this region."""
        lon, lat = (np.ascontiguousarray(np.asarray(v, float).ravel()) for v in (longitude, latitude))
        corners = self.outline()
        arguments = (lon, lat, *(np.ascontiguousarray(c) for c in corners), _NODES, _WEIGHTS)
        n = _quadrature(
            *arguments,  # type: ignore[call-arg]
            np.empty(0),
            np.empty(0),
            np.zeros(len(lon) + 1, np.int64),
            True,
        )
        first = np.concatenate([[0], np.cumsum(n)])
        squared, weight = np.empty(first[-1]), np.empty(first[-1])
        _quadrature(*arguments, squared, weight, first, False)  # type: ignore[call-arg]
        return Quadrature(first, squared, weight)


@dataclass(frozen=True, eq=False)
class Quadrature:
    """Integrals over the region of kernels f(r) about points, by the divergence theorem.

    With H(r2) the integral of s f(s) from 0 to r, the integral about point i is the sum of
    ``weight * H(squared)`` over the nodes ``first[i]:first[i + 1]`` (distances [km2] in the azimuthal
    equidistant projection about the point, where great circles to it keep their length). The weights about a
    point sum to 2 pi inside, 0 outside, pi on an edge.
    """

    first: NDArray[np.int64]
    squared: NDArray[np.float64]
    weight: NDArray[np.float64]


def _ring(found: Any) -> Any:
    if found["type"] == "FeatureCollection":
        return _ring(found["features"][0])
    if found["type"] == "Feature":
        return _ring(found["geometry"])
    if found["type"] == "Polygon":
        return found["coordinates"][0]
    if found["type"] == "MultiPolygon" and len(found["coordinates"]) == 1:
        return found["coordinates"][0][0]
    raise ValueError(f"found {found['type']}, expected one polygon")


def cut_edges(
    longitude: NDArray[np.float64],
    latitude: NDArray[np.float64],
    to_longitude: NDArray[np.float64],
    to_latitude: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Return where the pieces of edges begin that great circles follow, and of which edge each is."""
    middle = np.radians((latitude + to_latitude) / 2)
    width = EARTH_RADIUS_KM * np.radians(to_longitude - longitude) * np.cos(middle)
    bulge = width**2 / (8 * EARTH_RADIUS_KM) * np.abs(np.tan(middle))
    n = np.maximum(1, np.ceil(np.sqrt(bulge / _BULGE_KM))).astype(np.int64)
    edge = np.repeat(np.arange(len(n)), n)
    share = (np.arange(len(edge)) - np.repeat(np.cumsum(n) - n, n)) / n[edge]
    lon = longitude[edge] + share * (to_longitude - longitude)[edge]
    lat = latitude[edge] + share * (to_latitude - latitude)[edge]
    return lon, lat, edge


def signed_area(longitude: NDArray[np.float64], latitude: NDArray[np.float64]) -> float:
    """Return the signed area on the unit sphere; edges are straight in longitude and latitude."""
    lon, lat = np.radians(longitude), np.radians(latitude)
    across, up = np.roll(lon, -1) - lon, np.roll(lat, -1) - lat
    level = np.abs(up) < 1e-9
    mean_sine = np.where(
        level, np.sin(lat + up / 2), (np.cos(lat) - np.cos(lat + up)) / np.where(level, 1, up)
    )
    return float(-(across * mean_sine).sum())


@njit(cache=True, error_model="numpy")
def _quadrature(lon, lat, corner_lon, corner_lat, nodes, weights, squared, weight, first, count_only):  # type: ignore[no-untyped-def]
    n_corner = len(corner_lon)
    n_node = np.zeros(len(lon), np.int64)
    x, y = np.empty(n_corner), np.empty(n_corner)
    rad = np.pi / 180
    for i in range(len(lon)):
        at = first[i]
        for k in range(n_corner):
            d_lon = (corner_lon[k] - lon[i]) * rad
            s0, c0 = np.sin(lat[i] * rad), np.cos(lat[i] * rad)
            s1, c1 = np.sin(corner_lat[k] * rad), np.cos(corner_lat[k] * rad)
            east = c1 * np.sin(d_lon)
            north = c0 * s1 - s0 * c1 * np.cos(d_lon)
            size = np.hypot(east, north)
            distance = EARTH_RADIUS_KM * np.arctan2(size, s0 * s1 + c0 * c1 * np.cos(d_lon))
            scale = distance / size if size > 0 else 0.0
            x[k], y[k] = east * scale, north * scale
        for k in range(n_corner):
            a, b = x[k], y[k]
            dx, dy = x[(k + 1) % n_corner] - a, y[(k + 1) % n_corner] - b
            length = np.hypot(dx, dy)
            if length == 0:
                continue
            cross = (a * dy - b * dx) / length
            height = abs(cross)
            if height < 1e-9:
                # The edge runs through the point and subtends no angle.
                continue
            low = (a * dx + b * dy) / length
            high = low + length
            scale = max(height, NEAR_KM)
            at += panels(
                low,
                high,
                height,
                scale,
                1.0 if cross > 0 else -1.0,
                nodes,
                weights,
                squared,
                weight,
                at,
                count_only,
            )
        n_node[i] = at - first[i]
    return n_node


@njit(cache=True, error_model="numpy")
def panels(low, high, height, scale, sign, nodes, weights, squared, weight, at, count_only):  # type: ignore[no-untyped-def]
    """Write the nodes along a straight edge that passes a point at ``height``; return how many they are."""
    # Panels grow with the distance from the foot of the perpendicular; in each the angle is the variable.
    n = 0
    left = low
    while left < high:
        if left >= scale:
            right = left * _GROWTH
        elif left >= -scale:
            right = scale
        else:
            right = min(left / _GROWTH, -scale)
        # A panel that is cut short by the end takes what is left.
        right = min(right, high)
        if not count_only:
            begin, end = np.arctan(left / height), np.arctan(right / height)
            half = (end - begin) / 2
            for j in range(len(nodes)):
                along = height * np.tan(begin + half * (1 + nodes[j]))
                squared[at + n + j] = along * along + height * height
                weight[at + n + j] = sign * half * weights[j]
        n += len(nodes)
        left = right
    return n
