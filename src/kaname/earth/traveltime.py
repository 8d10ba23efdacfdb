"""Travel times of first P and S arrivals in a one-dimensional model, and tables of them cached on disk.

The Earth is one-dimensional below the network. A flat model is taken as it stands (distances along the
surface, no curvature); a spherical one goes through the Earth-flattening transformation
``z' = R ln(R / (R - z))``, ``v' = v R / (R - z)`` (Mueller 1985, Gerver & Markushevich 1966), which keeps the
times of all rays. Sensors stand at their own elevation or burial depth; the uppermost speed reaches up to
them.
"""

from __future__ import annotations

import contextlib
import hashlib
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kaname.core.errors import InputError, StorageError
from kaname.core.files import replacing
from kaname.core.geo import EARTH_RADIUS_KM
from kaname.earth.rays import fill_table, first_arrivals
from kaname.earth.velocity import Phase, VelocityModel

TABLE_VERSION = 1
"""Part of the cache key; raised whenever the solver or the grid changes."""

# Gradients are cut into layers no thicker than this and over which the speed changes no more than this share;
# the resulting error against exact rays is in docs/location.md.
_THICKEST_KM = 2.0
_SPEED_STEP = 0.002

# Grid nodes are even in sqrt(distance + offset): fine near the sensor, coarse far away.
DISTANCE_NODES = (1.0, 0.05)
"""Offset and step."""
DEPTH_NODES = (4.0, 0.04)

Floats = NDArray[np.float64]


def flatten_depth(depth_km: ArrayLike) -> Floats:
    """Return the depths [km] of a spherical Earth in the flat one with equal travel times."""
    return np.asarray(EARTH_RADIUS_KM * np.log(EARTH_RADIUS_KM / (EARTH_RADIUS_KM - np.asarray(depth_km))))


def layers(model: VelocityModel, *, phase: Phase) -> tuple[Floats, Floats, Floats]:
    """Return ``model`` as flat layers: tops [km], speeds, and speeds just below the tops [km/s]."""
    nodes, speed = model.depth_km, model.speed(model.depth_km, phase=phase)
    if model.interpolation == "constant" and model.earth == "flat":
        return nodes.copy(), speed, speed
    tops: list[float] = []
    middles: list[float] = []
    for top, bottom in pairwise(nodes):
        if bottom <= top:
            continue
        inside = model.speed([top, np.nextafter(bottom, top)], phase=phase)
        change = abs(np.diff(np.log(inside))[0])
        if model.earth == "spherical":
            change += (bottom - top) / (EARTH_RADIUS_KM - bottom)
        n = max(1, int(np.ceil(max(change / _SPEED_STEP, (bottom - top) / _THICKEST_KM))))
        edges = np.linspace(top, bottom, n + 1)
        tops.extend(edges[:-1])
        middles.extend(0.5 * (edges[:-1] + edges[1:]))
    tops.append(float(nodes[-1]))
    middles.append(float(nodes[-1]))
    depth, middle = np.array(tops), np.array(middles)
    speed, below = model.speed(middle, phase=phase), model.speed(depth, phase=phase)
    if model.earth == "flat":
        return depth, speed, below
    stretch = EARTH_RADIUS_KM / (EARTH_RADIUS_KM - np.array([middle, depth]))
    return flatten_depth(depth), speed * stretch[0], below * stretch[1]


def travel_time(
    model: VelocityModel,
    distance_km: ArrayLike,
    source_depth_km: ArrayLike,
    *,
    phase: Phase,
    sensor_depth_km: ArrayLike = 0.0,
) -> tuple[Floats, Floats]:
    """Return time [s] and take-off angle [degrees, 0 down, 180 up] of first arrivals; inputs broadcast.

    Raises
    ------
    InputError
        When a distance is negative or a value is not finite.
    """
    distance, source, sensor = np.broadcast_arrays(
        np.asarray(distance_km, float), np.asarray(source_depth_km, float), np.asarray(sensor_depth_km, float)
    )
    if not (np.isfinite(distance).all() and np.isfinite(source).all() and np.isfinite(sensor).all()):
        raise InputError("distances and depths must be finite")
    if (distance < 0).any():
        raise InputError(f"a distance is {distance.min():g} km; expected 0 or more")
    stack = layers(model, phase=phase)
    if model.earth == "spherical":
        source, sensor = flatten_depth(source), flatten_depth(sensor)
    time, angle = np.empty(distance.size), np.empty(distance.size)
    for i, (x, z, s) in enumerate(zip(distance.ravel(), source.ravel(), sensor.ravel())):
        first_arrivals(*stack, float(z), float(s), np.array([x]), time[i : i + 1], angle[i : i + 1])
    return time.reshape(distance.shape), angle.reshape(distance.shape)


@dataclass(frozen=True, eq=False)
class TravelTimeTable:
    """Times of one phase at one sensor depth, as a function of distance and source depth.

    Kept as mean slowness along the straight line, which varies slowly where the time itself bends sharply
    (above all near the sensor), and interpolated bilinearly.

    Parameters
    ----------
    phase, sensor_depth_km
        P or S; depth of the sensor below sea level [km], negative on mountains.
    max_distance_km, min_depth_km, max_depth_km
        Extent of the grid [km].
    slowness
        Time over straight-line distance [s/km], float32 ``(n_depth, n_distance)``.
    takeoff_deg
        Take-off angle [degrees, 0 down], float32 ``(n_depth, n_distance)``.
    """

    phase: Phase
    sensor_depth_km: float
    max_distance_km: float
    min_depth_km: float
    max_depth_km: float
    slowness: NDArray[np.float32]
    takeoff_deg: NDArray[np.float32]

    @classmethod
    def build(
        cls,
        model: VelocityModel,
        *,
        phase: Phase,
        sensor_depth_km: float = 0.0,
        max_distance_km: float = 300.0,
        min_depth_km: float = -5.0,
        max_depth_km: float = 100.0,
        cache: Path | None = None,
    ) -> TravelTimeTable:
        """Compute a table, or take it from ``cache``.

        A cached file that is damaged, or of another version, is computed again; a cache that cannot be
        written is done without.

        Raises
        ------
        InputError
            When the extent is empty or not finite.
        """
        extent = (sensor_depth_km, max_distance_km, min_depth_km, max_depth_km)
        if not np.isfinite(extent).all() or max_distance_km <= 0 or max_depth_km <= min_depth_km:
            raise InputError(f"no such travel-time table: sensor depth, distance and depths are {extent} km")
        frame = (
            phase,
            float(sensor_depth_km),
            float(max_distance_km),
            float(min_depth_km),
            float(max_depth_km),
        )
        path = None
        if cache is not None:
            grid = (*DISTANCE_NODES, *DEPTH_NODES, _THICKEST_KM, _SPEED_STEP)
            key = repr((TABLE_VERSION, model.key, *frame, *grid))
            path = cache / f"{phase}-{hashlib.sha256(key.encode()).hexdigest()[:24]}.npz"
            stored = _load(path)
            if stored is not None:
                return cls(*frame, *stored)
        table = cls(*frame, *_compute(model, *frame))
        if path is not None:
            _save(path, table)
        return table

    def time(self, distance_km: ArrayLike, depth_km: ArrayLike) -> Floats:
        """Return times [s] at distances and source depths [km]; inputs broadcast.

        Raises
        ------
        InputError
            When a point lies outside the table.
        """
        x, z = (np.asarray(a, float) for a in np.broadcast_arrays(distance_km, depth_km))
        i, f, j, g = self._cell(x, z)
        s = self.slowness.astype(np.float64)
        mean = (1 - g) * ((1 - f) * s[j, i] + f * s[j, i + 1]) + g * (
            (1 - f) * s[j + 1, i] + f * s[j + 1, i + 1]
        )
        return np.asarray(mean * np.hypot(x, z - self.sensor_depth_km))

    def takeoff(self, distance_km: ArrayLike, depth_km: ArrayLike) -> Floats:
        """Return take-off angles [degrees, 0 down, 180 up]; interpolated unless the branch changes nearby."""
        x, z = (np.asarray(a, float) for a in np.broadcast_arrays(distance_km, depth_km))
        i, f, j, g = self._cell(x, z)
        a = self.takeoff_deg.astype(np.float64)
        corners = np.stack([a[j, i], a[j, i + 1], a[j + 1, i], a[j + 1, i + 1]])
        share = np.stack([(1 - f) * (1 - g), f * (1 - g), (1 - f) * g, f * g])
        nearest = np.take_along_axis(corners, share.argmax(axis=0)[np.newaxis], axis=0)[0]
        return np.asarray(np.where(np.ptp(corners, axis=0) > 15.0, nearest, (corners * share).sum(axis=0)))

    def _cell(self, x: Floats, z: Floats) -> tuple[Any, Floats, Any, Floats]:
        inside = (x >= 0) & (x <= self.max_distance_km) & (z >= self.min_depth_km) & (z <= self.max_depth_km)
        if not inside.all():
            k = int(np.flatnonzero(~inside.ravel())[0])
            raise InputError(
                f"distance {x.ravel()[k]:g} km, depth {z.ravel()[k]:g} km lie outside the table "
                f"(0 to {self.max_distance_km:g} km, {self.min_depth_km:g} to {self.max_depth_km:g} km)"
            )
        u, w = _index(x, *DISTANCE_NODES), _index(z - self.min_depth_km, *DEPTH_NODES)
        i = np.minimum(u.astype(int), self.slowness.shape[1] - 2)
        j = np.minimum(w.astype(int), self.slowness.shape[0] - 2)
        return i, u - i, j, w - j


def _index(value: Any, offset: float, step: float) -> Any:
    return (np.sqrt(value + offset) - np.sqrt(offset)) / step


def _nodes(extent: float, offset: float, step: float) -> Floats:
    n = int(np.ceil(_index(extent, offset, step))) + 1
    return np.asarray((np.sqrt(offset) + step * np.arange(max(n, 2))) ** 2 - offset)


def _compute(
    model: VelocityModel, phase: Phase, sensor: float, distance: float, top: float, bottom: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    x = _nodes(distance, *DISTANCE_NODES)
    z = top + _nodes(bottom - top, *DEPTH_NODES)
    stack = layers(model, phase=phase)
    source, receiver = z, np.asarray(sensor)
    if model.earth == "spherical":
        source, receiver = flatten_depth(z), flatten_depth(sensor)
    time, takeoff = np.empty((len(z), len(x))), np.empty((len(z), len(x)))
    fill_table(*stack, source, float(receiver), x, time, takeoff)
    straight = np.hypot(x[np.newaxis, :], (z - sensor)[:, np.newaxis])
    local = 1.0 / float(model.speed(sensor, phase=phase))
    slowness = np.where(straight > 1e-6, time / np.maximum(straight, 1e-6), local)
    return slowness.astype(np.float32), takeoff.astype(np.float32)


def _load(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    # The zip container carries a checksum of each array, so a damaged file raises rather than lies.
    try:
        with np.load(path, allow_pickle=False) as stored:
            slowness, takeoff = stored["slowness"], stored["takeoff_deg"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    sound = slowness.shape == takeoff.shape and slowness.ndim == 2 and slowness.dtype == np.float32
    return (slowness, takeoff) if sound else None


def _save(path: Path, table: TravelTimeTable) -> None:
    # The cache only saves time: a full or read-only disk must not stop the work.
    with contextlib.suppress(StorageError), replacing(path) as partial, partial.open("wb") as file:
        np.savez(file, slowness=table.slowness, takeoff_deg=table.takeoff_deg)


def tables(
    model: VelocityModel,
    sensors: Iterable[tuple[Phase, float]],
    *,
    max_distance_km: float,
    min_depth_km: float,
    max_depth_km: float,
    cache: Path | None = None,
) -> dict[tuple[Phase, float], TravelTimeTable]:
    """Return one table for each ``(phase, sensor depth)``, all on the same grid."""
    return {
        (phase, depth): TravelTimeTable.build(
            model,
            phase=phase,
            sensor_depth_km=depth,
            max_distance_km=max_distance_km,
            min_depth_km=min_depth_km,
            max_depth_km=max_depth_km,
            cache=cache,
        )
        for phase, depth in sorted(set(sensors))
    }
