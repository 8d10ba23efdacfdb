"""The window of a map: a local frame in kilometres, its coastlines, and where meridians and parallels run.

Maps are drawn in an azimuthal-equidistant frame about their own centre, so that the date line and the poles
are places like any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kaname.core.geo import LocalFrame
from kaname.report import coastlines

LEAST_HALF_KM = 0.5
FARTHEST_KM = 19_000.0
MARGIN = 1.12
"""How much wider a map is than what it must show."""

_STEPS_DEG = np.array([1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 45, 90])


@dataclass(frozen=True)
class View:
    """A rectangle of ``2 * half_east_km`` by ``2 * half_north_km`` about the centre of a local frame."""

    frame: LocalFrame
    half_east_km: float
    half_north_km: float

    @classmethod
    def around(
        cls, latitude: ArrayLike, longitude: ArrayLike, *, aspect: tuple[float, float] = (0.7, 1.15)
    ) -> Self:
        """Return the view that holds the given places, or the whole globe when there are none.

        Parameters
        ----------
        latitude, longitude
            Places [degree]; missing ones are left out.
        aspect
            Least and greatest height over width; the shorter side is lengthened as needed.
        """
        lat, lon = np.atleast_1d(np.asarray(latitude, float)), np.atleast_1d(np.asarray(longitude, float))
        known = np.isfinite(lat) & np.isfinite(lon)
        if not known.any():
            return cls(LocalFrame(0.0, 0.0), FARTHEST_KM, FARTHEST_KM * aspect[0])
        lat, lon = lat[known], lon[known]
        frame = LocalFrame(*_middle(lat, lon))
        east, north = frame.to_local(lat, lon)
        # Once more about the middle of the box: a lonely far station must not leave half the map empty.
        middle = frame.to_geographic((east.min() + east.max()) / 2, (north.min() + north.max()) / 2)
        frame = LocalFrame(float(middle[0]), float(middle[1]))
        east, north = frame.to_local(lat, lon)
        half_east = min(max(np.abs(east).max() * MARGIN, LEAST_HALF_KM), FARTHEST_KM)
        half_north = min(max(np.abs(north).max() * MARGIN, LEAST_HALF_KM), FARTHEST_KM)
        half_north, half_east = max(half_north, half_east * aspect[0]), max(half_east, half_north / aspect[1])
        return cls(frame, half_east, half_north)

    @property
    def reach_km(self) -> float:
        """Distance from the centre to a corner [km]."""
        return float(np.hypot(self.half_east_km, self.half_north_km))

    def contains(self, east_km: ArrayLike, north_km: ArrayLike) -> NDArray[np.bool_]:
        """Tell which local coordinates lie inside; missing ones do not."""
        east, north = np.abs(np.asarray(east_km, float)), np.abs(np.asarray(north_km, float))
        return np.asarray((east <= self.half_east_km) & (north <= self.half_north_km))

    def land(self) -> list[NDArray[np.float64]]:
        """Return the land inside as closed rings of ``(east_km, north_km)``; fill them all in one path."""
        rings = [clip_ring(line, self.half_east_km, self.half_north_km) for line in self._lines("land")]
        return [ring for ring in rings if len(ring) >= 3]

    def lines(self, kind: coastlines.Kind) -> list[NDArray[np.float64]]:
        """Return the coasts (``land``) or borders inside, as open lines of ``(east_km, north_km)``."""
        out = []
        for line in self._lines(kind):
            inside = self.contains(line[:, 0], line[:, 1])
            touched = inside.copy()
            touched[1:] |= inside[:-1]
            touched[:-1] |= inside[1:]
            edges = np.flatnonzero(np.diff(np.concatenate([[False], touched, [False]]).astype(int)))
            out += [line[a:b] for a, b in zip(edges[::2], edges[1::2]) if b - a > 1]
        return out

    def _lines(self, kind: coastlines.Kind) -> list[NDArray[np.float64]]:
        resolution = max(self.half_east_km, self.half_north_km) / 1000
        lines = coastlines.load(kind).near(
            self.frame.latitude, self.frame.longitude, self.reach_km, resolution_km=resolution
        )
        if not lines:
            return []
        east, north = self.frame.to_local(*np.concatenate(lines, axis=1))
        ends = np.cumsum([line.shape[1] for line in lines])[:-1]
        return np.split(np.column_stack([east, north]), ends)

    def graticule(self) -> Graticule:
        """Return the meridians and parallels of the view, about five of each."""
        east = np.linspace(-self.half_east_km, self.half_east_km, 41)
        north = np.linspace(-self.half_north_km, self.half_north_km, 41)
        lat, lon = self.frame.to_geographic(*np.meshgrid(east, north))
        shift = (lon - self.frame.longitude + 180) % 360 - 180
        south, top = float(lat.min()), float(lat.max())
        for pole in (-90.0, 90.0):
            if self.contains(*self.frame.to_local(pole, 0.0)):
                south, top = min(south, pole), max(top, pole)
                shift = np.array([-180.0, 180.0])
        low, high = float(shift.min()), float(shift.max())
        spans = (top - south, high - low)
        parallels = _multiples(south, top, _step(spans[0]))
        meridians = _multiples(self.frame.longitude + low, self.frame.longitude + high, _step(spans[1]))
        if high - low >= 359.9:
            meridians = meridians[meridians < meridians[0] + 360 - 1e-9]
        along_lat = np.linspace(max(south - 0.1 * spans[0], -90), min(top + 0.1 * spans[0], 90), 200)
        along_lon = self.frame.longitude + np.linspace(
            max(low - 0.1 * spans[1], -180), min(high + 0.1 * spans[1], 180), 400
        )
        return Graticule(
            parallels={float(v): self._local(np.full(400, v), along_lon) for v in parallels if abs(v) < 90},
            meridians={float(v): self._local(along_lat, np.full(200, v)) for v in meridians},
        )

    def _local(self, latitude: NDArray[np.float64], longitude: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(self.frame.to_local(latitude, longitude))


@dataclass(frozen=True)
class Graticule:
    """Lines of constant latitude and longitude [degree], each as points ``(east_km, north_km)``."""

    parallels: dict[float, NDArray[np.float64]]
    meridians: dict[float, NDArray[np.float64]]


def crossing(line: NDArray[np.float64], axis: int, value: float, limit: float) -> float | None:
    """Return where a line first crosses ``value`` along ``axis``, within ``limit`` along the other axis."""
    for a, b in pairwise(line):
        if (a[axis] - value) * (b[axis] - value) <= 0 and a[axis] != b[axis]:
            share = (value - a[axis]) / (b[axis] - a[axis])
            at = float(a[1 - axis] + share * (b[1 - axis] - a[1 - axis]))
            if abs(at) <= limit:
                return at
    return None


def clip_ring(ring: NDArray[np.float64], half_east: float, half_north: float) -> NDArray[np.float64]:
    """Return the part of a closed ring inside a rectangle about the origin (Sutherland & Hodgman, 1974).

    References
    ----------
    doi:10.1145/360767.360802
    """
    size = np.array([half_east, half_north])
    if (np.abs(ring) <= size).all():
        return ring
    if ((ring < -size).all(axis=0) | (ring > size).all(axis=0)).any():
        return ring[:0]
    for axis, sign, limit in ((0, 1, half_east), (0, -1, half_east), (1, 1, half_north), (1, -1, half_north)):
        if len(ring) < 3:
            return ring[:0]
        excess = sign * ring[:, axis] - limit
        following, excess_next = np.roll(ring, -1, axis=0), np.roll(excess, -1)
        inside = excess <= 0
        crosses = inside != (excess_next <= 0)
        share = excess / np.where(crosses, excess - excess_next, 1.0)
        cuts = ring + share[:, np.newaxis] * (following - ring)
        # Each point that is inside, then the cut on the way to the next one: interleaved, in order.
        both = np.stack([ring, cuts], axis=1).reshape(-1, 2)
        ring = both[np.stack([inside, crosses], axis=1).ravel()]
    return ring


def nice(value: float) -> float:
    """Return the largest of 1, 2, 5 times a power of ten that is not above ``value``."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(max(f for f in (1, 2, 5) if f <= value / power * (1 + 1e-12)) * power)


def degree_label(value: float, letters: str) -> str:
    """Return for example ``11.65°E`` of 11.65 and ``EW``."""
    value = round(value, 6)
    if letters == "EW":
        value = (value + 180) % 360 - 180
        if abs(value) == 180:
            return "180°"
    text = f"{abs(round(value, 6)):.6f}".rstrip("0").rstrip(".")
    return f"{text}°{'' if value == 0 else letters[0 if value > 0 else 1]}"


def _middle(latitude: NDArray[np.float64], longitude: NDArray[np.float64]) -> tuple[float, float]:
    lat, lon = np.radians(latitude), np.radians(longitude)
    x, y, z = (np.cos(lat) * np.cos(lon)).mean(), (np.cos(lat) * np.sin(lon)).mean(), np.sin(lat).mean()
    if np.hypot(np.hypot(x, y), z) < 1e-6:  # all round the globe: any centre is as good
        return float(latitude[0]), float((longitude[0] + 180) % 360 - 180)
    return float(np.degrees(np.arctan2(z, np.hypot(x, y)))), float(np.degrees(np.arctan2(y, x)))


def _step(span: float) -> float:
    return float(_STEPS_DEG[np.argmin(np.abs(np.log(_STEPS_DEG / (max(span, 1e-3) / 4.5))))])


def _multiples(low: float, high: float, step: float) -> NDArray[np.float64]:
    values: NDArray[np.float64] = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
    return values
