"""Geography: distances and azimuths on WGS84 and on the sphere, and a local frame in kilometres."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kaname.core.errors import InputError

EARTH_RADIUS_KM = 6371.0
"""Radius of the sphere that stands for the Earth where an ellipsoid would not be noticed."""


def on_sphere(
    latitude: ArrayLike, longitude: ArrayLike, *, radius_km: float = EARTH_RADIUS_KM
) -> NDArray[np.float64]:
    """Return points [degree] as Cartesian coordinates [km], the axis of the three first: ``(3, ...)``."""
    lat, lon = np.radians(np.asarray(latitude, float)), np.radians(np.asarray(longitude, float))
    return radius_km * np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])


def arc(
    latitude: ArrayLike, longitude: ArrayLike, to_latitude: ArrayLike, to_longitude: ArrayLike
) -> NDArray[np.float64]:
    """Return the angle between points on the sphere [radian], by haversines; inputs [degree] broadcast."""
    a, b = np.radians(np.asarray(latitude, float)), np.radians(np.asarray(to_latitude, float))
    turn = np.radians(np.asarray(to_longitude, float) - np.asarray(longitude, float))
    half = np.sin((b - a) / 2) ** 2 + np.cos(a) * np.cos(b) * np.sin(turn / 2) ** 2
    return np.asarray(2 * np.arcsin(np.sqrt(np.clip(half, 0.0, 1.0))))


def distance_azimuth(
    latitude: ArrayLike, longitude: ArrayLike, to_latitude: ArrayLike, to_longitude: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return geodesic distance [km] and forward azimuth [degrees, 0 to 360] on WGS84; inputs broadcast."""
    from pyproj import Geod

    lat1, lon1, lat2, lon2 = (
        np.array(a, dtype=float) for a in np.broadcast_arrays(latitude, longitude, to_latitude, to_longitude)
    )
    azimuth, _, distance_m = Geod(ellps="WGS84").inv(lon1, lat1, lon2, lat2)
    return np.asarray(distance_m) / 1000.0, np.asarray(azimuth) % 360.0


@dataclass(frozen=True)
class LocalFrame:
    """Azimuthal-equidistant frame about a centre: kilometres east and north, depth stays depth.

    Distances from the centre are exact; 300 km away a distance across is wrong by less than 0.1 %.
    """

    latitude: float
    longitude: float

    def __post_init__(self) -> None:
        if not (-90 <= self.latitude <= 90 and -180 <= self.longitude <= 360):
            raise InputError(f"no such place: latitude {self.latitude}, longitude {self.longitude}")

    @cached_property
    def _projection(self) -> Any:
        from pyproj import Proj

        return Proj(proj="aeqd", lat_0=self.latitude, lon_0=self.longitude, ellps="WGS84", units="km")

    def to_local(
        self, latitude: ArrayLike, longitude: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return ``(east_km, north_km)`` of geographic coordinates [degrees]."""
        east, north = self._projection(np.asarray(longitude, float), np.asarray(latitude, float))
        return np.asarray(east), np.asarray(north)

    def to_geographic(
        self, east_km: ArrayLike, north_km: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return ``(latitude, longitude)`` [degrees] of local coordinates [km]."""
        lon, lat = self._projection(np.asarray(east_km, float), np.asarray(north_km, float), inverse=True)
        return np.asarray(lat), np.asarray(lon)
