"""Ruptures and the distances from them that models of ground motion ask for.

A rupture is its hypocentre and any number of rectangles: none (a point), one (a plane), the segments of a
finite fault, or all its subfaults. Distances are taken between points of space, and along the ellipsoid
where they are distances at the surface; a rectangle keeps its depth along the strike as the earth curves
away. So one 500 km long is as exact as one of 5 km.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from kaname.core.errors import InputError
from kaname.core.geo import EARTH_RADIUS_KM

Floats = NDArray[np.float64]
Ellipsoid = Literal["wgs84", "sphere"]


class Distances(NamedTuple):
    """Distances from a rupture to places [km], each ``(n,)``."""

    repi_km: Floats
    """From the epicentre, along the ellipsoid."""
    rhypo_km: Floats
    """From the hypocentre, straight."""
    rjb_km: Floats
    """From the surface projection of the rupture (Joyner and Boore), along the ellipsoid; 0 above it."""
    rrup_km: Floats
    """From the rupture, straight."""
    rx_km: Floats
    """Across the strike of the top edge, positive on the side to which it dips; NaN for a point."""
    ry0_km: Floats
    """Along the strike beyond the ends of the top edge, 0 between them; NaN for a point."""


@dataclass(frozen=True)
class Rupture:
    """Where an earthquake began and what broke.

    Raises
    ------
    InputError
        When a coordinate is missing or there is no such place, or too high or deep.
    """

    hypocentre: tuple[float, float, float]
    """Latitude, longitude [degree] and depth [km]."""
    corners: Floats
    """``(n, 4, 3)``: latitude, longitude, depth [km] of the corners of each rectangle, from the beginning of
    its top edge along the strike, then down the dip and back; it dips to the right of the strike."""

    def __post_init__(self) -> None:
        corners = np.array(self.corners, dtype=float).reshape(-1, 4, 3)
        object.__setattr__(self, "corners", corners)
        places = np.concatenate([corners.reshape(-1, 3), np.array([self.hypocentre], dtype=float)])
        wrong = ~np.isfinite(places).all(1) | (np.abs(places[:, 0]) > 90) | (np.abs(places[:, 1]) > 360)
        wrong |= (places[:, 2] < -10) | (places[:, 2] > 1000)
        if wrong.any():
            raise InputError(
                f"a rupture cannot be at latitude, longitude, depth [km] {tuple(places[wrong][0].tolist())}; "
                "expected degrees, and depths from -10 to 1000 km"
            )

    @classmethod
    def point(cls, latitude: float, longitude: float, depth_km: float) -> Rupture:
        """Return a rupture of which no more is known than the hypocentre."""
        return cls((latitude, longitude, depth_km), np.empty((0, 4, 3)))

    @classmethod
    def plane(
        cls,
        latitude: float,
        longitude: float,
        depth_km: float,
        *,
        strike_deg: float,
        dip_deg: float,
        length_km: float,
        width_km: float,
        along: float = 0.5,
        down: float = 0.5,
    ) -> Rupture:
        """Return one rectangle, the hypocentre at the given shares of its length and width.

        ``along`` counts from where the strike begins, ``down`` from the top.

        Raises
        ------
        InputError
            When the top would lie above sea level.
        """
        top = depth_km - down * width_km * np.sin(np.radians(dip_deg))
        if top < 0:
            raise InputError(
                f"the rupture would begin {-top:.2f} km above sea level: {down * width_km:.2f} km of its "
                f"width do not fit above a hypocentre at {depth_km:g} km depth; lower down or width_km"
            )
        lat, lon = _moved(latitude, longitude, strike_deg, (0.5 - along) * length_km)
        back = -down * width_km * np.cos(np.radians(dip_deg))
        lat, lon = _moved(lat, lon, strike_deg + 90, back)
        corners = rectangles(
            lat, lon, top, strike_deg=strike_deg, dip_deg=dip_deg, length_km=length_km, width_km=width_km
        )
        return cls((latitude, longitude, depth_km), corners)

    @cached_property
    def top_edges(self) -> Floats:
        """Ends of the edges along which the rupture begins, ``(n, 2, 3)``: those with no rectangle above."""
        top, bottom = self.corners[:, :2], self.corners[:, [3, 2]]
        if len(top) < 2:
            return top
        xyz_top, xyz_bottom = _xyz(top.mean(1), "wgs84"), _xyz(bottom.mean(1), "wgs84")
        width = np.linalg.norm(xyz_top - xyz_bottom, axis=1)
        apart = np.linalg.norm(xyz_top[:, None] - xyz_bottom[None], axis=2)
        return np.asarray(top[(apart > 0.25 * width).all(1)])


def rectangles(
    top_latitude: ArrayLike,
    top_longitude: ArrayLike,
    ztor_km: ArrayLike,
    *,
    strike_deg: ArrayLike,
    dip_deg: ArrayLike,
    length_km: ArrayLike,
    width_km: ArrayLike,
) -> Floats:
    """Return corners ``(n, 4, 3)`` of rectangles given by the middles of their top edges; inputs broadcast.

    This is how SRCMOD gives segments and subfaults: top centre, strike, dip, size.

    Raises
    ------
    InputError
        When a length or a width is not positive, or a dip not between 0 and 90.
    """
    lat, lon, top, strike, dip, length, width = (
        np.atleast_1d(a).astype(float)
        for a in np.broadcast_arrays(
            top_latitude, top_longitude, ztor_km, strike_deg, dip_deg, length_km, width_km
        )
    )
    if not ((length > 0) & (width > 0) & (dip > 0) & (dip <= 90)).all():
        raise InputError("rectangles need positive lengths and widths, and dips above 0 up to 90 degrees")
    begin = _moved(lat, lon, strike, -length / 2)
    end = _moved(lat, lon, strike, length / 2)
    out = width * np.cos(np.radians(dip))
    bottom = top + width * np.sin(np.radians(dip))
    sides = ((*begin, top), (*end, top), (*_moved(*end, strike + 90, out), bottom))
    corners = np.stack([np.stack(c, axis=-1) for c in (*sides, (*_moved(*begin, strike + 90, out), bottom))])
    return np.asarray(corners.swapaxes(0, 1))


def distances(
    rupture: Rupture,
    latitude: ArrayLike,
    longitude: ArrayLike,
    elevation_km: ArrayLike = 0.0,
    *,
    ellipsoid: Ellipsoid = "wgs84",
) -> Distances:
    """Return the distances from a rupture to places, all at once; inputs broadcast.

    `Distances.rx_km` and `Distances.ry0_km` of several segments are the generalised coordinates T and U of
    Spudich and Chiou (2015), DOI 10.3133/ofr20151028. ``sphere`` (radius 6371 km) is what hazard engines use.

    Raises
    ------
    InputError
        When a coordinate is not finite or there is no such place.
    """
    lat, lon, height = (
        np.atleast_1d(a).astype(float) for a in np.broadcast_arrays(latitude, longitude, elevation_km)
    )
    if lat.ndim > 1:
        raise InputError(f"places must be a list, found an array of shape {lat.shape}")
    if not (
        np.isfinite(lat + lon + height).all() and (np.abs(lat) <= 90).all() and (np.abs(lon) <= 360).all()
    ):
        raise InputError("places need finite coordinates: latitude -90 to 90, longitude -360 to 360 degrees")
    places = np.stack([lat, lon, -height], axis=1)
    hypocentre = np.array([rupture.hypocentre])
    geod = _geod(ellipsoid)
    repi = _along(geod, places, np.repeat(hypocentre, len(lat), axis=0))
    rhypo = np.linalg.norm(_xyz(places, ellipsoid) - _xyz(hypocentre, ellipsoid), axis=1)
    if not len(rupture.corners):
        unknown = np.full(len(lat), np.nan)
        return Distances(repi, rhypo, repi, rhypo, unknown, unknown.copy())
    pieces = np.concatenate([_pieces(corners) for corners in rupture.corners])
    quads = _xyz(pieces.reshape(-1, 3), ellipsoid).reshape(-1, 4, 3)
    rrup = _to_quads(_xyz(places, ellipsoid), quads)
    directions = _directions(rupture.corners.reshape(-1, 3)).reshape(-1, 4, 3)
    nearest = _nearest_of_projection(_directions(places), directions)
    above = np.isnan(nearest[:, 0])
    foot = _latitude_longitude(nearest)
    rjb = _along(geod, places, np.where(above[:, None], places[:, :2], foot))
    rx, ry0 = _strike_coordinates(rupture.top_edges, lat, lon, ellipsoid)
    return Distances(repi, rhypo, np.where(above, 0.0, rjb), rrup, rx, ry0)


def _pieces(corners: Floats, longest_km: float = 20.0) -> Floats:
    """A rectangle ``(4, 3)`` cut into pieces ``(n, 4, 3)`` that the earth does not curve away from."""
    xyz = _xyz(corners, "sphere")
    sides = (
        max(_apart(xyz[0], xyz[1]), _apart(xyz[3], xyz[2])),
        max(_apart(xyz[0], xyz[3]), _apart(xyz[1], xyz[2])),
    )
    n_along, n_down = (int(np.ceil(side / longest_km)) or 1 for side in sides)
    s, t = np.meshgrid(np.linspace(0, 1, n_along + 1), np.linspace(0, 1, n_down + 1), indexing="ij")
    shares = np.stack([(1 - s) * (1 - t), s * (1 - t), s * t, (1 - s) * t], axis=-1)
    places = np.concatenate(
        [_latitude_longitude(shares @ _directions(corners)), shares @ corners[:, 2:]], axis=-1
    )
    return np.stack([places[:-1, :-1], places[1:, :-1], places[1:, 1:], places[:-1, 1:]], axis=2).reshape(
        -1, 4, 3
    )


def _apart(a: Floats, b: Floats) -> float:
    return float(np.linalg.norm(a - b))


def _latitude_longitude(directions: Floats) -> Floats:
    x, y, z = np.moveaxis(directions, -1, 0)
    return np.stack([np.degrees(np.arctan2(z, np.hypot(x, y))), np.degrees(np.arctan2(y, x))], axis=-1)


def _strike_coordinates(
    edges: Floats, latitude: Floats, longitude: Floats, ellipsoid: Ellipsoid
) -> tuple[Floats, Floats]:
    """Generalised coordinates of places: T, and U beyond the ends of the trace [km]."""
    from pyproj import Proj

    shape = {"ellps": "WGS84"} if ellipsoid == "wgs84" else {"R": EARTH_RADIUS_KM * 1000}
    centre = edges.mean((0, 1))
    plane = Proj(proj="aeqd", lat_0=centre[0], lon_0=centre[1], units="km", **shape)
    ends = np.stack(plane(edges[..., 1], edges[..., 0]), axis=-1)
    places = np.stack(plane(longitude, latitude), axis=-1)
    along = ends[:, 1] - ends[:, 0]
    length = np.linalg.norm(along, axis=1)
    along /= length[:, None]
    # The nominal strike joins what is furthest apart and points the way of most of the trace; segments that
    # run against it are turned round (Spudich and Chiou, 2015, step "discordant faults").
    corners = ends.reshape(-1, 2)
    apart = np.linalg.norm(corners[:, None] - corners[None], axis=2)
    a, b = np.unravel_index(apart.argmax(), apart.shape)
    nominal = (corners[b] - corners[a]) / apart[a, b]
    if (along @ nominal * length).sum() < 0:
        nominal = -nominal
    against = along @ nominal < 0
    begin = np.where(against[:, None], ends[:, 1], ends[:, 0])
    along = np.where(against[:, None], -along, along)
    order = (length[:, None] * along).sum(0)
    order /= np.linalg.norm(order)
    offset = (begin - begin[(begin @ order).argmin()]) @ order
    t, u = _gc2(places, begin, along, length, offset)
    _, at_ends = _gc2(ends.reshape(-1, 2), begin, along, length, offset)
    return t, np.maximum(0.0, np.maximum(at_ends.min() - u, u - at_ends.max()))


def _gc2(
    places: Floats, begin: Floats, along: Floats, length: Floats, offset: Floats
) -> tuple[Floats, Floats]:
    """Coordinates T and U [km] of places ``(n, 2)`` about segments, each weighted by how near it is."""
    relative = places[:, None] - begin
    u = (relative * along).sum(2)
    t = relative[..., 0] * along[:, 1] - relative[..., 1] * along[:, 0]
    on_line = np.abs(t) < 1e-6
    with np.errstate(divide="ignore", invalid="ignore"):
        aside = (np.arctan((length - u) / t) - np.arctan(-u / t)) / t
        ahead = 1 / (u - length) - 1 / u
    weight = np.where(on_line, ahead, aside)
    on_segment = on_line & (u >= 0) & (u <= length)
    weight = np.where(on_segment.any(1, keepdims=True), on_segment, weight)
    total = weight.sum(1)
    return (weight * t).sum(1) / total, (weight * (u + offset)).sum(1) / total


_WGS84_KM = 6378.137
_WGS84_E2 = 6.69437999014e-3


def _geod(ellipsoid: Ellipsoid) -> Any:
    from pyproj import Geod

    if ellipsoid == "wgs84":
        return Geod(ellps="WGS84")
    if ellipsoid == "sphere":
        return Geod(a=EARTH_RADIUS_KM * 1000, b=EARTH_RADIUS_KM * 1000)
    raise InputError(f"ellipsoid {ellipsoid!r}; expected wgs84 or sphere")


def _along(geod: Any, places: Floats, others: Floats) -> Floats:
    return np.asarray(geod.inv(places[:, 1], places[:, 0], others[:, 1], others[:, 0])[2]) / 1000.0


def _moved(
    latitude: ArrayLike, longitude: ArrayLike, azimuth_deg: ArrayLike, distance_km: ArrayLike
) -> tuple[Any, Any]:
    """Latitude and longitude of places a distance away along the ellipsoid."""
    lon, lat, az, away = (
        np.array(a, dtype=float)
        for a in np.broadcast_arrays(longitude, latitude, azimuth_deg, np.asarray(distance_km) * 1000.0)
    )
    lon, lat, _ = _geod("wgs84").fwd(lon, lat, az, away)
    return lat, lon


def _directions(places: Floats) -> Floats:
    lat, lon = np.radians(places[:, 0]), np.radians(places[:, 1])
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)


def _xyz(places: Floats, ellipsoid: Ellipsoid) -> Floats:
    """Earth-centred coordinates [km] of latitude, longitude, depth ``(n, 3)``."""
    up = _directions(places)
    if ellipsoid == "sphere":
        return np.asarray(up * (EARTH_RADIUS_KM - places[:, 2:]))
    normal = _WGS84_KM / np.sqrt(1 - _WGS84_E2 * up[:, 2:] ** 2)
    flattened = np.array([1.0, 1.0, 1 - _WGS84_E2])
    return np.asarray(up * (normal * flattened - places[:, 2:]))


@njit(cache=True)
def _to_quads(points: Floats, quads: Floats) -> Floats:
    """Least distance of points ``(n, 3)`` to quadrilaterals ``(m, 4, 3)``, each as two triangles."""
    least = np.full(len(points), np.inf)
    for i in range(len(points)):
        for j in range(len(quads)):
            for k in (1, 2):
                squared = _to_triangle(points[i], quads[j, 0], quads[j, k], quads[j, k + 1])
                least[i] = min(least[i], squared)
    nearest: Floats = np.sqrt(least)
    return nearest


@njit(cache=True)
def _to_triangle(p: Floats, a: Floats, b: Floats, c: Floats) -> float:
    """Squared distance of a point to a triangle in space."""
    b0, b1, b2 = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    c0, c1, c2 = c[0] - a[0], c[1] - a[1], c[2] - a[2]
    p0, p1, p2 = p[0] - a[0], p[1] - a[1], p[2] - a[2]
    n0, n1, n2 = b1 * c2 - b2 * c1, b2 * c0 - b0 * c2, b0 * c1 - b1 * c0
    size = n0 * n0 + n1 * n1 + n2 * n2
    if size > 0:
        # Barycentric coordinates of the foot of the perpendicular.
        v = (n0 * (p1 * c2 - p2 * c1) + n1 * (p2 * c0 - p0 * c2) + n2 * (p0 * c1 - p1 * c0)) / size
        w = (n0 * (b1 * p2 - b2 * p1) + n1 * (b2 * p0 - b0 * p2) + n2 * (b0 * p1 - b1 * p0)) / size
        if v >= 0 and w >= 0 and v + w <= 1:
            height = n0 * p0 + n1 * p1 + n2 * p2
            return float(height * height / size)
    return min(_to_edge(p, a, b), _to_edge(p, b, c), _to_edge(p, c, a))


@njit(cache=True)
def _to_edge(p: Floats, a: Floats, b: Floats) -> float:
    squared = 0.0
    length = 0.0
    share = 0.0
    for k in range(3):
        length += (b[k] - a[k]) ** 2
        share += (p[k] - a[k]) * (b[k] - a[k])
    share = min(max(share / length, 0.0), 1.0) if length > 0 else 0.0
    for k in range(3):
        squared += (p[k] - a[k] - share * (b[k] - a[k])) ** 2
    return squared


@njit(cache=True)
def _nearest_of_projection(points: Floats, quads: Floats) -> Floats:
    """Nearest direction ``(n, 3)`` of spherical quadrilaterals to each direction; NaN inside one."""
    out = np.empty((len(points), 3))
    for i in range(len(points)):
        p = points[i]
        best = -2.0
        for j in range(len(quads)):
            if _inside(p, quads[j]):
                out[i, :] = np.nan
                break
            for k in range(4):
                foot = _nearest_of_arc(p, quads[j, k], quads[j, (k + 1) % 4])
                cosine = foot[0] * p[0] + foot[1] * p[1] + foot[2] * p[2]
                if cosine > best:
                    best = cosine
                    out[i, :] = foot
    return out


@njit(cache=True)
def _inside(p: Floats, quad: Floats) -> bool:
    """Whether a direction lies within a spherical quadrilateral of some area."""
    if p[0] * quad[0, 0] + p[1] * quad[0, 1] + p[2] * quad[0, 2] < 0:
        return False
    n_left = 0
    n_right = 0
    for k in range(4):
        a, b = quad[k], quad[(k + 1) % 4]
        side = (
            p[0] * (a[1] * b[2] - a[2] * b[1])
            + p[1] * (a[2] * b[0] - a[0] * b[2])
            + p[2] * (a[0] * b[1] - a[1] * b[0])
        )
        if side > 1e-14:
            n_left += 1
        elif side < -1e-14:
            n_right += 1
    return n_left == 4 or n_right == 4


@njit(cache=True)
def _nearest_of_arc(p: Floats, a: Floats, b: Floats) -> Floats:
    """Nearest direction to p on the arc from a to b, which may be a point."""
    n = np.array([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])
    size = n[0] * n[0] + n[1] * n[1] + n[2] * n[2]
    if size > 1e-24:
        height = (p[0] * n[0] + p[1] * n[1] + p[2] * n[2]) / size
        foot: Floats = p - height * n
        # Between the ends when it is left of a and right of b, seen along the arc.
        after = (n[1] * a[2] - n[2] * a[1]) * foot[0] + (n[2] * a[0] - n[0] * a[2]) * foot[1]
        after += (n[0] * a[1] - n[1] * a[0]) * foot[2]
        before = (n[1] * b[2] - n[2] * b[1]) * foot[0] + (n[2] * b[0] - n[0] * b[2]) * foot[1]
        before += (n[0] * b[1] - n[1] * b[0]) * foot[2]
        length = np.sqrt(foot[0] ** 2 + foot[1] ** 2 + foot[2] ** 2)
        if after >= 0 and before <= 0 and length > 0:
            foot /= length
            return foot
    to_a = a[0] * p[0] + a[1] * p[1] + a[2] * p[2]
    to_b = b[0] * p[0] + b[1] * p[1] + b[2] * p[2]
    return a.copy() if to_a >= to_b else b.copy()
