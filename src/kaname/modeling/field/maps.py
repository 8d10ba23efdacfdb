"""A field on a grid: which points, what is mapped, and what it is written as."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from kaname.core.errors import InputError
from kaname.core.files import replacing
from kaname.core.shaking import unit_of
from kaname.formats.geotiff import write_geotiff
from kaname.modeling.field.conditioning import Places

Floats = NDArray[np.float64]

_TO_INTENSITY = {"pga": (0.55, 1.90, 0.35), "pgv": (2.68, 1.72, 0.21)}
"""Constant, slope with log10 and standard deviation of JMA intensity from PGA [cm/s2] and PGV [cm/s]:
Midorikawa, Fujimoto & Muramatsu (1999), J. Social Safety Science 1, 51-56; for intensity 4 to 7."""
MOST_POINTS = 40_000


@dataclass(frozen=True)
class Grid:
    """Points of a map, row by row from the south, each row from the west."""

    latitude: Floats
    """Of the rows [degrees], increasing."""
    longitude: Floats
    """Of the columns [degrees], increasing."""

    @classmethod
    def over(cls, bounds: tuple[float, float, float, float], spacing_degree: float) -> Grid:
        """Return the grid over west, south, east, north [degrees], at multiples of the spacing.

        Raises
        ------
        InputError
            When bounds are no rectangle, or the grid has fewer than four or more than `MOST_POINTS` points.
        """
        west, south, east, north = bounds
        if not (np.isfinite(bounds).all() and west < east and -90 <= south < north <= 90):
            raise InputError(f"bounds are west, south, east, north in degrees, found {bounds}")
        if not spacing_degree > 0:
            raise InputError(f"the spacing of a grid is positive, found {spacing_degree}")
        axes = []
        for low, high in ((south, north), (west, east)):
            first, last = np.floor(low / spacing_degree + 1e-9), np.ceil(high / spacing_degree - 1e-9)
            axes.append(np.round(np.arange(first, last + 1) * spacing_degree, 9))
        n = len(axes[0]) * len(axes[1])
        if min(map(len, axes)) < 2 or n > MOST_POINTS:
            raise InputError(
                f"a spacing of {spacing_degree} degrees gives {len(axes[0])} by {len(axes[1])} points; "
                f"expected two or more each way and at most {MOST_POINTS} together"
            )
        return cls(axes[0], axes[1])

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.latitude), len(self.longitude)

    def points(self) -> tuple[Floats, Floats]:
        """Return latitude and longitude of every point, shape (n,)."""
        lat, lon = np.meshgrid(self.latitude, self.longitude, indexing="ij")
        return lat.ravel(), lon.ravel()


class Field(Protocol):
    """What a map asks of the distribution of one measure at its points."""

    @property
    def places(self) -> Places:
        """Points and measure."""

    @property
    def mean(self) -> Floats:
        """Natural logarithm of the median, shape (n,)."""

    @property
    def sigma(self) -> Floats:
        """Standard deviation of the natural logarithm, shape (n,)."""

    @property
    def median(self) -> Floats:
        """Median in the unit of the measure, shape (n,)."""

    def quantile(self, probability: float) -> Floats:
        """Return the quantile in the unit of the measure, shape (n,)."""

    def exceedance(self, level: float) -> Floats:
        """Return the probability of exceeding a level in the unit of the measure, shape (n,)."""


def layers(field: Field, levels: ArrayLike) -> dict[str, Floats]:
    """Return what is mapped of a field, each of shape (n,).

    ``median``, ``p16`` and ``p84`` in the unit of the measure, ``sigma_ln`` (natural logarithm), and
    ``above_LEVEL``, the probability of exceeding each level.
    """
    out = {"median": field.median, "p16": field.quantile(0.16), "p84": field.quantile(0.84)}
    out["sigma_ln"] = field.sigma
    return out | {f"above_{level:g}": field.exceedance(float(level)) for level in np.atleast_1d(levels)}


def intensity_layers(field: Field) -> dict[str, Floats]:
    """Return JMA instrumental intensity from a field of PGA or PGV, each of shape (n,).

    ``intensity`` (median), its standard deviation ``sigma`` (the field's and the relation's) and, for each
    class of the scale from 4 on, ``above_CLASS``, the probability of that class or a higher one.

    Raises
    ------
    InputError
        When the field is of another measure.
    """
    from kaname.signal.intensity import CLASSES

    if field.places.measure not in _TO_INTENSITY:
        raise InputError(f"JMA intensity follows from pga or pgv, not from {field.places.measure}")
    constant, slope, scatter = _TO_INTENSITY[field.places.measure]
    value = constant + slope * field.mean / np.log(10)
    sigma = np.hypot(slope * field.sigma / np.log(10), scatter)
    out = {"intensity": value, "sigma": sigma}
    return out | {f"above_{name}": ndtr((value - low) / sigma) for low, name in CLASSES if low >= 3.5}


def write_grid(folder: Path, stem: str, grid: Grid, values: dict[str, Floats]) -> list[Path]:
    """Write layers as ``STEM.tif`` (a band each) and ``STEM.geojson`` (a point each); return the files."""
    shaped = {name: layer.reshape(grid.shape) for name, layer in values.items()}
    tif = write_geotiff(folder / f"{stem}.tif", shaped, grid.latitude, grid.longitude)
    lat, lon = grid.points()
    return [tif, write_geojson(folder / f"{stem}.geojson", lat, lon, values)]


def write_geojson(path: Path, latitude: ArrayLike, longitude: ArrayLike, values: dict[str, Any]) -> Path:
    """Write points with properties as GeoJSON (RFC 7946) in one atomic rename; NaN is null."""
    columns = {name: np.asarray(v) for name, v in values.items()}
    features = []
    for i, (lat, lon) in enumerate(zip(np.asarray(latitude, float), np.asarray(longitude, float))):
        features.append(
            {
                "type": "Feature",
                "geometry": {"type": "Point", "coordinates": [round(float(lon), 6), round(float(lat), 6)]},
                "properties": {name: _plain(column[i]) for name, column in columns.items()},
            }
        )
    text = json.dumps({"type": "FeatureCollection", "features": features}, allow_nan=False)
    with replacing(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")
    return path


def _plain(value: Any) -> Any:
    if isinstance(value, (str, np.str_)):
        return str(value)
    number = float(value)
    return float(f"{number:.5g}") if np.isfinite(number) else None


def unit_label(measure: str) -> str:
    """Return a measure with its unit, such as ``PGA (cm/s2)``."""
    unit = unit_of(measure)
    return f"{measure.upper()} ({unit})" if unit else measure.upper()
