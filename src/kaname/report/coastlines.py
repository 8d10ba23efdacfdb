"""Packaged land outlines and country borders (Natural Earth, public domain; see ``data/README.md``)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kaname.core.errors import StorageError
from kaname.core.geo import EARTH_RADIUS_KM, on_sphere

Kind = Literal["land", "border"]


@dataclass(frozen=True)
class Lines:
    """Lines on the globe, one after another.

    Parameters
    ----------
    latitude, longitude
        Points of all lines [degree], shape ``(n_point,)``; longitude is continuous along a line and may
        pass 180.
    offsets
        Where each line starts, and the end of the last, shape ``(n_line + 1,)``.
    units
        Unit vectors to the points, shape ``(n_point, 3)``.
    centres
        Unit vector to the middle of each line, shape ``(n_line, 3)``.
    radii_rad
        Angle about the middle that holds the whole line [radian], shape ``(n_line,)``.
    """

    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]
    offsets: NDArray[np.int64]
    units: NDArray[np.float64]
    centres: NDArray[np.float64]
    radii_rad: NDArray[np.float64]

    def near(
        self, latitude: float, longitude: float, radius_km: float, *, resolution_km: float = 0.0
    ) -> list[NDArray[np.float64]]:
        """Return the lines that come, or might come, within a radius of a place.

        Parameters
        ----------
        latitude, longitude
            Place [degree].
        radius_km
            Radius about it [km].
        resolution_km
            Of successive points in one cell of this size only the first is returned [km]. Ends are kept, so
            that rings stay closed. Beyond the radius the cells grow with distance, to a quarter of the way
            back to it, so that a whole continent costs little and still never cuts into the circle.

        Returns
        -------
        list
            Arrays of shape ``(2, n)``: latitude and longitude [degree].
        """
        middle = on_sphere(latitude, longitude, radius_km=1.0)
        angle = np.arccos(np.clip(self.centres @ middle, -1, 1))
        chosen = np.flatnonzero(angle - self.radii_rad <= radius_km / EARTH_RADIUS_KM)
        lines = []
        for start, end in zip(self.offsets[chosen], self.offsets[chosen + 1]):
            line = np.stack([self.latitude[start:end], self.longitude[start:end]])
            chord = np.linalg.norm(self.units[start:end] - middle, axis=1) * EARTH_RADIUS_KM
            quarter = np.maximum(chord - radius_km, 1e-9) / 4
            cell = np.maximum(2.0 ** np.floor(np.log2(quarter)), max(resolution_km, 1e-3))
            place = np.round(line / np.degrees(cell / EARTH_RADIUS_KM))
            moved = (np.diff(place, axis=1) != 0).any(axis=0) | (np.diff(cell) != 0)
            moved[-1:] = True
            lines.append(line[:, np.concatenate([[True], moved])])
        return lines


@cache
def load(kind: Kind) -> Lines:
    """Return the packaged lines of a kind: ``land`` (closed rings) or ``border``.

    Raises
    ------
    StorageError
        When the packaged file is missing or damaged.
    """
    source = files("kaname.report") / "data" / "coastlines.npz"
    try:
        with source.open("rb") as file, np.load(file) as data:
            first, steps = data[f"{kind}_first"], data[f"{kind}_steps"].astype(np.int64)
            moves = np.column_stack([data[f"{kind}_x"], data[f"{kind}_y"]]).astype(np.int64)
            scale, origin = data[f"{kind}_scale"], data[f"{kind}_origin"]
    except (OSError, KeyError, ValueError) as error:
        raise StorageError(
            f"the packaged map data {source} cannot be read, reinstall kaname: {error}"
        ) from error
    offsets = np.concatenate([[0], np.cumsum(steps + 1)])
    grid = np.zeros((offsets[-1], 2), dtype=np.int64)
    inner = np.ones(len(grid), dtype=bool)
    inner[offsets[:-1]] = False
    grid[inner] = moves
    total = np.cumsum(grid, axis=0)
    starts = first - total[offsets[:-1]]
    degrees = (total + np.repeat(starts, steps + 1, axis=0)) * scale + origin
    longitude, latitude = degrees.T
    units = on_sphere(latitude, longitude, radius_km=1.0).T
    middles = np.add.reduceat(units, offsets[:-1], axis=0)
    middles /= np.linalg.norm(middles, axis=1, keepdims=True)
    cosines = np.einsum("ij,ij->i", units, np.repeat(middles, steps + 1, axis=0))
    radii = np.arccos(np.clip(np.minimum.reduceat(cosines, offsets[:-1]), -1, 1))
    return Lines(
        np.ascontiguousarray(latitude), np.ascontiguousarray(longitude), offsets, units, middles, radii
    )
