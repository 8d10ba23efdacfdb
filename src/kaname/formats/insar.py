"""InSAR displacement along the line of sight: GeoTIFF rasters and tables of points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kaname.core.errors import FormatError, InputError, NotFoundError
from kaname.core.tables import DISPLACEMENTS, validate
from kaname.core.time import as_time
from kaname.formats.geotiff import read_geotiff
from kaname.formats.tabular import TableRead, fields, number, numbered, read_rows, text_of

Floats = NDArray[np.float64]
LosUnit = Literal["mm", "cm", "m", "radian"]
Towards = Literal["satellite", "ground"]

_MM = {"mm": 1.0, "cm": 10.0, "m": 1000.0}


@dataclass(frozen=True)
class Look:
    """The unit vector from the ground to the satellite.

    Parameters
    ----------
    east, north, up
        Its parts; their squares sum to one within 1 %.
    """

    east: float
    north: float
    up: float

    def __post_init__(self) -> None:
        length = math.hypot(self.east, self.north, self.up)
        if not abs(length - 1) < 0.01:
            raise InputError(f"the look vector must be of length 1, found {length:.4f}")

    @classmethod
    def from_angles(
        cls, incidence: float, heading: float, *, looking: Literal["right", "left"] = "right"
    ) -> Look:
        """Return the look vector of an incidence angle and the heading of the flight.

        Parameters
        ----------
        incidence
            Angle between the line of sight and the vertical at the ground [degrees].
        heading
            Direction of flight, clockwise from north [degrees].
        looking
            To which side of the flight the radar looks.
        """
        if not 0 <= incidence < 90:
            raise InputError(f"incidence must lie between 0 and 90 degrees, found {incidence}")
        i = math.radians(incidence)
        # The satellite stands to the left of the flight direction as seen from the ground it looks at.
        h = math.radians(heading - 90 if looking == "right" else heading + 90)
        return cls(math.sin(i) * math.sin(h), math.sin(i) * math.cos(h), math.cos(i))


def read_insar(
    path: str | PathLike[str],
    *,
    time: np.datetime64 | str,
    reference_time: np.datetime64 | str,
    look: Look | Sequence[str | PathLike[str]] | None = None,
    unit: LosUnit = "mm",
    positive: Towards = "satellite",
    wavelength_mm: float | None = None,
    name: str = "",
    method: str = "",
) -> TableRead:
    """Read displacement along the line of sight into the `displacements` table, one row per pixel or point.

    Parameters
    ----------
    path
        GeoTIFF of one band, in any geographic or projected system of an EPSG code; or CSV with columns
        ``longitude``, ``latitude``, ``los`` and, unless ``look`` is given, ``look_east``, ``look_north``,
        ``look_up``; ``los_uncertainty`` may be there. Missing values are left out.
    time, reference_time
        Of the later and the earlier image, UTC.
    look
        The look vector, or three GeoTIFFs of its east, north and upward parts on the same grid.
    unit
        Of the values (and uncertainties); ``radian`` needs ``wavelength_mm``.
    positive
        Where the ground goes when the value is positive.
    wavelength_mm
        Of the radar: 55.466 for Sentinel-1, 242.45 for ALOS-2 at 1236.5 MHz.
    name
        What the rows' ``station`` is to be: the track or scene; by default the file's name.
    method
        Who made it and how.

    Raises
    ------
    NotFoundError
        When there is no such file.
    FormatError
        When it is no GeoTIFF or CSV of this kind, or the grids differ.
    InputError
        When options contradict each other or the geometry is missing.
    """
    source = Path(path)
    if not source.is_file():
        raise NotFoundError(f"no such file: {source}")
    begun, ended = as_time(reference_time), as_time(time)
    if not begun < ended:
        raise InputError(f"reference_time must be before time, found {begun} and {ended}")
    factor = _factor(unit, wavelength_mm) * (1 if positive == "satellite" else -1)
    common = {
        "station": name or source.name.split(".")[0],
        "time": ended,
        "reference_time": begun,
        "method": method,
    }
    if source.suffix.lower() in (".tif", ".tiff"):
        return _raster(source, look, factor, common)
    if look is not None and not isinstance(look, Look):
        raise InputError("rasters of the look vector go with a raster of displacement")
    return _points(source, look, factor, common)


def _factor(unit: LosUnit, wavelength_mm: float | None) -> float:
    if unit == "radian":
        if wavelength_mm is None or not wavelength_mm > 0:
            raise InputError("values in radian need wavelength_mm")
        return wavelength_mm / (4 * math.pi)
    if unit not in _MM:
        raise InputError(f"unit must be mm, cm, m or radian, found {unit!r}")
    return _MM[unit]


def _points(source: Path, look: Look | None, factor: float, common: dict[str, Any]) -> TableRead:
    text, damage = text_of(source)
    lines = list(numbered(text))
    try:
        head = [h.strip().lower() for h in fields(lines[0][1])]
    except ValueError as error:
        raise FormatError(f"{source} has no line of column names: {error}") from error
    wanted = ["longitude", "latitude", "los"] + ([] if look else ["look_east", "look_north", "look_up"])
    absent = [w for w in wanted if w not in head]
    if absent:
        raise FormatError(
            f"{source} has no column {', '.join(absent)}; its columns are {', '.join(head)} (a fixed look "
            "vector may be given instead of its columns)"
        )

    def parse(line: str) -> list[dict[str, Any]]:
        f = fields(line)
        if len(f) != len(head):
            raise ValueError(f"expected {len(head)} columns, found {len(f)}")
        row = dict(zip(head, f))
        los = number(row["los"].strip() or "nan")
        if math.isnan(los):
            return []
        here = look or Look(*(number(row[k]) for k in ("look_east", "look_north", "look_up")))
        return [
            {
                **common,
                "longitude": number(row["longitude"]),
                "latitude": number(row["latitude"]),
                "los_mm": factor * los,
                "los_uncertainty_mm": abs(factor) * number(row.get("los_uncertainty", "").strip() or "nan"),
                "look_east": here.east,
                "look_north": here.north,
                "look_up": here.up,
            }
        ]

    return read_rows(source, lines[1:], parse, DISPLACEMENTS, what="points of InSAR", damage=damage)


def _raster(
    source: Path, look: Look | Sequence[str | PathLike[str]] | None, factor: float, common: dict[str, Any]
) -> TableRead:
    if look is None:
        raise InputError("a raster needs its geometry: look=Look(...) or three rasters of its parts")
    values, longitude, latitude = read_geotiff(source)
    keep = np.isfinite(values)
    if not keep.any():
        raise FormatError(f"{source} has no pixel with a value")
    if isinstance(look, Look):
        parts = [np.full(int(keep.sum()), v) for v in (look.east, look.north, look.up)]
    else:
        if len(look) != 3:
            raise InputError(f"the look vector has three parts, east, north and up; found {len(look)} files")
        parts = []
        for file in look:
            part, lon, lat = read_geotiff(file)
            if part.shape != values.shape or not (np.allclose(lon, longitude) and np.allclose(lat, latitude)):
                raise FormatError(f"{file} is not on the grid of {source}")
            parts.append(part[keep])
        known = np.isfinite(parts).all(axis=0)
        length = np.sqrt(sum(p[known] ** 2 for p in parts))
        if known.any() and not np.all(np.abs(length - 1) < 0.01):
            raise FormatError(f"the look vectors of {source} are not of length 1 (up to {length.max():.3f})")
    n = int(keep.sum())
    frame = pd.DataFrame({k: [v] * n for k, v in common.items()})
    frame["longitude"], frame["latitude"] = longitude[keep], latitude[keep]
    frame["los_mm"] = factor * values[keep]
    frame["look_east"], frame["look_north"], frame["look_up"] = parts
    return TableRead(validate(frame, DISPLACEMENTS))
