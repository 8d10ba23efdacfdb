"""Stress changes of a source at places, on depth slices, sections and receiver models, as one table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from kaname.core.errors import InputError
from kaname.core.tables import Column, Schema, validate
from kaname.discovery.stress.coulomb import (
    FRICTION,
    SHEAR_MODULUS_GPA,
    on_planes,
    optimal_planes,
    stress_of,
)
from kaname.discovery.stress.sources import Source
from kaname.earth.dislocation import Field, strain

if TYPE_CHECKING:
    from kaname.formats.srcmod import FiniteSource

Floats = NDArray[np.float64]

STRESS_CHANGES = Schema(
    "stress_changes",
    "Change of Coulomb failure stress on planes of receivers; positive brings them nearer to failure.",
    (
        Column("latitude", "float", "WGS84 latitude", "degree", required=True, low=-90, high=90),
        Column("longitude", "float", "WGS84 longitude", "degree", required=True, low=-180, high=360),
        Column("depth_km", "float", "depth below the surface", "km", required=True, low=0, high=800),
        Column("strike_deg", "float", "strike of the receiver", "degree", low=-360, high=360),
        Column("dip_deg", "float", "dip of the receiver", "degree", low=0, high=90),
        Column("rake_deg", "float", "rake of the receiver", "degree", low=-360, high=360),
        Column("shear_mpa", "float", "change of shear stress along the rake", "MPa"),
        Column("normal_mpa", "float", "change of normal stress, positive unclamps", "MPa"),
        Column("coulomb_mpa", "float", "shear + friction * normal; missing on an edge of the source", "MPa"),
        Column("singular", "bool", "on an edge of the source, where the stress has no value"),
    ),
)


@dataclass(frozen=True)
class Planes:
    """Receivers of one strike, dip and rake everywhere."""

    strike_deg: float
    dip_deg: float
    rake_deg: float


@dataclass(frozen=True)
class Optimal:
    """Receivers as a regional stress ``(6,)`` [MPa] and the change together favour them."""

    regional: Floats


@dataclass(frozen=True)
class Medium:
    """Elastic half space and friction of the receivers."""

    poisson_ratio: float = 0.25
    shear_modulus_gpa: float = SHEAR_MODULUS_GPA
    friction: float = FRICTION


def stress_at(
    source: Source,
    latitude: ArrayLike,
    longitude: ArrayLike,
    depth_km: ArrayLike,
    medium: Medium | None = None,
) -> Field:
    """Return the stress change ``(n, 6)`` [MPa] at places, and which are on an edge of the source.

    Raises
    ------
    InputError
        When a place is above the surface or not finite.
    """
    earth = medium or Medium()
    lat, lon, depth = (
        np.atleast_1d(a).astype(float) for a in np.broadcast_arrays(latitude, longitude, depth_km)
    )
    if (depth < 0).any():
        raise InputError(f"depth_km is {depth.min():g}; the half space begins at 0")
    east, north = source.frame.to_local(lat, lon)
    points = np.column_stack([east, north, -depth])
    values, singular = strain(points, source.dislocations, poisson_ratio=earth.poisson_ratio)
    # Slip in metres over lengths in kilometres.
    stress = stress_of(
        0.001 * values, poisson_ratio=earth.poisson_ratio, shear_modulus_gpa=earth.shear_modulus_gpa
    )
    return Field(stress, singular)


def coulomb_at(
    source: Source,
    latitude: ArrayLike,
    longitude: ArrayLike,
    depth_km: ArrayLike,
    receivers: Planes | Optimal,
    medium: Medium | None = None,
) -> pd.DataFrame:
    """Return a table (`STRESS_CHANGES`) of the change at places."""
    earth = medium or Medium()
    lat, lon, depth = (
        np.atleast_1d(a).astype(float) for a in np.broadcast_arrays(latitude, longitude, depth_km)
    )
    stress, singular = stress_at(source, lat, lon, depth, earth)
    if isinstance(receivers, Optimal):
        change, strike, dip, rake = optimal_planes(stress, receivers.regional, friction=earth.friction)
    else:
        strike, dip, rake = (
            np.full(len(lat), v) for v in (receivers.strike_deg, receivers.dip_deg, receivers.rake_deg)
        )
        change = on_planes(stress, strike, dip, rake, friction=earth.friction)
    columns = (lat, lon, depth, strike, dip, rake, *change, singular)
    return validate(pd.DataFrame(dict(zip(STRESS_CHANGES.names, columns))), STRESS_CHANGES)


def coulomb_on_model(source: Source, receiver: FiniteSource, medium: Medium | None = None) -> pd.DataFrame:
    """Return a table (`STRESS_CHANGES`, and ``subfault``) of the change at the middles of subfaults.

    Raises
    ------
    InputError
        When a subfault has no rake.
    """
    earth = medium or Medium()
    faults = receiver.subfaults
    if faults["rake_deg"].isna().any():
        raise InputError(f"subfaults of {receiver.tag} have no rake; state RAKE in its header")
    corners = receiver.corners()
    lat, lon, depth = corners.mean(axis=1).T
    angles = [faults[c].to_numpy(dtype=float) for c in ("strike_deg", "dip_deg", "rake_deg")]
    stress, singular = stress_at(source, lat, lon, np.maximum(depth, 0.0), earth)
    change = on_planes(stress, *angles, friction=earth.friction)
    columns = (lat, lon, np.maximum(depth, 0.0), *angles, *change, singular)
    frame = pd.DataFrame(dict(zip(STRESS_CHANGES.names, columns)))
    return validate(frame.assign(subfault=np.arange(1, len(frame) + 1)), STRESS_CHANGES)


def grid(source: Source, *, margin_km: float, spacing_km: float) -> tuple[Floats, Floats]:
    """Return latitudes (ascending) and longitudes (ascending) of an even grid around a source.

    Raises
    ------
    InputError
        When a number is not positive or the grid would have more than 4 million cells.
    """
    if not (margin_km > 0 and spacing_km > 0):
        raise InputError(f"margin_km {margin_km} and spacing_km {spacing_km} must be positive")
    corners = source.dislocations.vertices.reshape(-1, 3)
    low, high = corners.min(axis=0) - margin_km, corners.max(axis=0) + margin_km
    lat, lon = source.frame.to_geographic(
        [low[0], high[0], low[0], high[0]], [low[1], low[1], high[1], high[1]]
    )
    step_lat = spacing_km / 111.2
    step_lon = step_lat / max(np.cos(np.radians(source.frame.latitude)), 0.05)
    n_lat, n_lon = int(np.ceil(np.ptp(lat) / step_lat)) + 1, int(np.ceil(np.ptp(lon) / step_lon)) + 1
    if n_lat * n_lon > 4_000_000:
        raise InputError(
            f"a grid of {n_lat} by {n_lon} cells is too large; raise spacing_km or lower margin_km"
        )
    return lat.min() + step_lat * np.arange(n_lat), lon.min() + step_lon * np.arange(n_lon)


def section(
    source: Source, *, azimuth_deg: float, half_length_km: float, depth_km: float, spacing_km: float
) -> pd.DataFrame:
    """Return the places of a vertical section through the epicentre, and ``along_km`` of each."""
    along = np.arange(-half_length_km, half_length_km + spacing_km / 2, spacing_km)
    depths = np.arange(0.5 * spacing_km, depth_km + spacing_km / 2, spacing_km)
    d, a = np.meshgrid(depths, along, indexing="ij")
    azimuth = np.radians(azimuth_deg)
    lat, lon = source.frame.to_geographic(a.ravel() * np.sin(azimuth), a.ravel() * np.cos(azimuth))
    return pd.DataFrame({"along_km": a.ravel(), "latitude": lat, "longitude": lon, "depth_km": d.ravel()})
