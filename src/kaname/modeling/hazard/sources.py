"""Sources of earthquakes for hazard: areas and faults from GeoJSON, smoothed seismicity from a forecast.

A polygon is an area, a line is the trace of a fault; what else a source is stands in the properties of its
feature. So the sources can be drawn and checked in any GIS.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from kaname.core.config import Settings, settings_of
from kaname.core.errors import FormatError, InputError, NotFoundError
from kaname.core.geo import distance_azimuth
from kaname.modeling.hazard.magnitudes import Magnitudes, gutenberg_richter, one_magnitude

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
TectonicRegion = Literal["active_shallow", "subduction_interface", "subduction_slab", "stable", "volcanic"]
Scaling = Literal[
    "wells_coppersmith_1994",
    "leonard_2014_interplate",
    "leonard_2014_stable",
    "strasser_2010_interface",
    "strasser_2010_slab",
    "point",
]
_YEAR_S = 365.25 * 86400


class Mechanism(Settings):
    """One way in which the earthquakes of an area break, and how many do."""

    strike_deg: float = Field(ge=0, lt=360, description="strike [degree]; the rupture dips to its right")
    dip_deg: float = Field(gt=0, le=90, description="dip [degree]")
    rake_deg: float = Field(ge=-180, le=180, description="rake [degree]: 0 left-lateral, 90 reverse")
    weight: float = Field(gt=0, le=1, description="share of the earthquakes")


class Depth(Settings):
    """One depth of hypocentres, and how many are there."""

    depth_km: float = Field(ge=0, description="depth [km]")
    weight: float = Field(gt=0, le=1, description="share of the earthquakes")


class Source(Settings):
    """What every source has."""

    name: str = Field(description="name of the source")
    tectonic_region: TectonicRegion = Field(description="decides which models of ground motion apply")
    upper_km: float = Field(ge=0, description="depth above which nothing breaks [km]")
    lower_km: float = Field(gt=0, description="depth below which nothing breaks [km]")
    scaling: Scaling = Field(
        "wells_coppersmith_1994", description="area of a rupture by its magnitude; point: none"
    )


class AreaProperties(Source):
    """Properties of a polygon: earthquakes anywhere in it are equally likely."""

    magnitude_min: float = Field(description="least magnitude")
    magnitude_max: float = Field(description="greatest magnitude")
    b: float = Field(gt=0, description="slope of the Gutenberg-Richter law")
    rate_per_year: float = Field(gt=0, description="earthquakes of magnitude_min or more per year in it")
    mechanisms: tuple[Mechanism, ...] = Field(description="how they break; weights add up to 1")
    depths: tuple[Depth, ...] = Field(description="depths of hypocentres; weights add up to 1")


class FaultProperties(Source):
    """Properties of a line, the trace of a fault in the direction of its strike (it dips to the right).

    Either ``magnitude`` (the whole surface breaks each time) or ``magnitude_min``, ``magnitude_max`` and
    ``b`` (parts of it that float over the surface); either ``rate_per_year`` or ``slip_rate_mm_yr``.
    """

    dip_deg: float = Field(gt=0, le=90, description="dip [degree]")
    rake_deg: float = Field(ge=-180, le=180, description="rake [degree]")
    magnitude: float | None = Field(None, description="of the earthquakes that break all of it")
    magnitude_min: float | None = Field(None, description="least magnitude")
    magnitude_max: float | None = Field(None, description="greatest magnitude")
    b: float | None = Field(None, gt=0, description="slope of the Gutenberg-Richter law")
    rate_per_year: float | None = Field(None, gt=0, description="earthquakes per year")
    slip_rate_mm_yr: float | None = Field(None, gt=0, description="slip of the fault [mm per year]")
    rigidity_gpa: float = Field(30.0, gt=0, description="turns slip into moment [GPa]")
    coupling: float = Field(1.0, gt=0, le=1, description="share of the slip that earthquakes take")


class SmoothedProperties(Source):
    """A forecast in cells and bins of magnitude, taken as the rates of points."""

    forecast: Path = Field(description="forecasts table (Parquet, CSV) or CSEP's .dat: kaname hazard smooth")
    magnitude_min: float = Field(description="bins that begin below it are left out")
    mechanisms: tuple[Mechanism, ...] = Field(description="how they break; weights add up to 1")
    depths: tuple[Depth, ...] = Field(description="depths of hypocentres; weights add up to 1")


@dataclass(frozen=True)
class Area:
    """An area and its earthquakes."""

    properties: AreaProperties
    ring: Floats
    """Longitude, latitude of the corners, not closed, ``(n, 2)``."""

    def magnitudes(self, width: float) -> Magnitudes:
        """Return the earthquakes of all of it, in bins of magnitude of about ``width``."""
        p = self.properties
        return gutenberg_richter(p.magnitude_min, p.magnitude_max, p.b, width=width, rate=p.rate_per_year)


@dataclass(frozen=True)
class Fault:
    """A fault and its earthquakes."""

    properties: FaultProperties
    trace: Floats
    """Longitude, latitude along the strike, ``(n, 2)``."""

    @property
    def area_km2(self) -> float:
        """Length of the trace by the width down the dip."""
        p, lon, lat = self.properties, self.trace[:, 0], self.trace[:, 1]
        length, _ = distance_azimuth(lat[:-1], lon[:-1], lat[1:], lon[1:])
        return float(length.sum() * (p.lower_km - p.upper_km) / np.sin(np.radians(p.dip_deg)))

    def magnitudes(self, width: float) -> Magnitudes:
        """Return the earthquakes of all of it, in bins of magnitude of about ``width``."""
        p, moment_rate = self.properties, None
        if p.slip_rate_mm_yr is not None:
            slip_m = 1e-3 * p.slip_rate_mm_yr * p.coupling
            moment_rate = 1e9 * p.rigidity_gpa * 1e6 * self.area_km2 * slip_m
        rates = {"rate": p.rate_per_year, "moment_rate": moment_rate, "width": width}
        if p.magnitude is not None:
            return one_magnitude(p.magnitude, **rates)  # type: ignore[arg-type]
        assert p.magnitude_min is not None and p.magnitude_max is not None and p.b is not None
        return gutenberg_richter(p.magnitude_min, p.magnitude_max, p.b, **rates)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Smoothed:
    """Points, each with its own rates in the same bins of magnitude."""

    properties: SmoothedProperties
    place: Floats
    """Longitude, latitude of the points, ``(n, 2)``."""
    first: float
    """Centre of the lowest bin."""
    width: float
    """Of the bins."""
    rates: Floats
    """Earthquakes per year, ``(n, n_bin)``."""

    def magnitudes(self, width: float) -> Magnitudes:
        """Return the earthquakes of all points together; the bins are those of the forecast."""
        return Magnitudes(self.first, self.width, self.rates.sum(axis=0))


AnySource = Area | Fault | Smoothed


def read_sources(path: str | Path) -> list[AnySource]:
    """Read areas and faults from GeoJSON (RFC 7946).

    Raises
    ------
    NotFoundError
        When there is no such file.
    FormatError
        When it is no collection of features.
    InputError
        When a source is not fully or doubly declared; the message names the file and the source.
    """
    file = Path(path)
    if not file.is_file():
        raise NotFoundError(f"no such file: {file}; expected sources as GeoJSON")
    try:
        features = json.loads(file.read_text(encoding="utf-8"))["features"]
        found = [
            (dict(f["properties"]), f["geometry"]["type"], f["geometry"]["coordinates"]) for f in features
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{file} is no GeoJSON collection of features: {error!r}") from error
    if not found:
        raise InputError(f"{file} holds no source")
    return [_source(file, k, *feature) for k, feature in enumerate(found)]


def _source(file: Path, k: int, properties: dict[str, Any], kind: str, coordinates: Any) -> AnySource:
    where = f"{file}, source {properties.get('name', k + 1)!r}"
    if kind == "Polygon" and len(coordinates) == 1:
        area = settings_of(AreaProperties, properties, where)
        check_shares(area, where)
        ring = _line(coordinates[0], where, 4)
        return Area(area, ring[:-1] if (ring[0] == ring[-1]).all() else ring)
    if kind == "LineString":
        fault = settings_of(FaultProperties, properties, where)
        _check_fault(fault, where)
        return Fault(fault, _line(coordinates, where, 2))
    raise InputError(
        f"{where}: found a {kind}{' with holes' * (kind == 'Polygon')}; expected a Polygon without holes (an "
        "area) or a LineString (the trace of a fault)"
    )


def _line(coordinates: Any, where: str, least: int) -> Floats:
    try:
        line = np.array([point[:2] for point in coordinates], dtype=float)
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: coordinates that are no numbers: {error}") from error
    good = line.ndim == 2 and len(line) >= least and np.isfinite(line).all()
    if not good or (np.abs(line[:, 0]) > 180).any() or (np.abs(line[:, 1]) > 90).any():
        raise InputError(f"{where}: expected {least} or more places as longitude, latitude in degrees")
    return line


def _check_fault(p: FaultProperties, where: str) -> None:
    _check_depths(p, where)
    law = [name for name in ("magnitude_min", "magnitude_max", "b") if getattr(p, name) is not None]
    if (p.magnitude is None) != (len(law) == 3) or (p.magnitude is not None and law):
        raise InputError(
            f"{where}: expected either magnitude, or magnitude_min, magnitude_max and b; found "
            f"{', '.join([*(['magnitude'] if p.magnitude is not None else []), *law]) or 'none of them'}"
        )
    if (p.rate_per_year is None) == (p.slip_rate_mm_yr is None):
        raise InputError(f"{where}: expected either rate_per_year or slip_rate_mm_yr")


def _check_depths(p: Source, where: str) -> None:
    if not p.upper_km < p.lower_km:
        raise InputError(f"{where}: upper_km {p.upper_km:g} must be above lower_km {p.lower_km:g}")


def check_shares(p: AreaProperties | SmoothedProperties, where: str) -> None:
    """Check depths and weights of what breaks about points.

    Raises
    ------
    InputError
        When weights do not add up to 1, or a depth is outside the seismogenic layer.
    """
    _check_depths(p, where)
    for name, parts in (("mechanisms", p.mechanisms), ("depths", p.depths)):
        total = sum(part.weight for part in parts)
        if abs(total - 1) > 1e-6:
            raise InputError(f"{where}: the weights of {name} add up to {total:g}, expected 1")
    outside = [d.depth_km for d in p.depths if not p.upper_km <= d.depth_km <= p.lower_km]
    if outside:
        raise InputError(
            f"{where}: depth {outside[0]:g} km is not between upper_km {p.upper_km:g} and lower_km "
            f"{p.lower_km:g}"
        )


def smoothed(properties: SmoothedProperties, forecast: pd.DataFrame) -> Smoothed:
    """Return points with rates from a FORECASTS table, a point at the centre of each cell.

    Bins of magnitude must be of one width; one without upper end, the highest, counts with its lower edge
    as the others do. Rates are expected numbers over the length of the period.

    Raises
    ------
    InputError
        When the table has layers instead of bins, several periods or none, a cell twice, or nothing at
        or above ``magnitude_min``.
    """
    where = f"smoothed source {properties.name!r} ({properties.forecast})"
    check_shares(properties, where)
    period = forecast[["start", "end"]].drop_duplicates()
    if len(period) != 1 or period.isna().any(axis=None):
        raise InputError(f"{where}: expected one period with start and end, found {len(period)}")
    years = (period["end"].iloc[0] - period["start"].iloc[0]).total_seconds() / _YEAR_S
    if not years > 0:
        raise InputError(f"{where}: the period of the forecast ends before it starts")
    table = forecast[forecast["magnitude_min"] >= properties.magnitude_min - 1e-6]
    edges = np.unique(table["magnitude_min"].to_numpy().round(6))
    if not len(edges):
        raise InputError(f"{where}: no bin at or above magnitude {properties.magnitude_min:g}")
    closed = table["magnitude_max"] - table["magnitude_min"]
    widths = np.concatenate([closed.dropna().to_numpy(), np.diff(edges)])
    width = float(np.median(widths)) if len(widths) else np.nan
    if (
        not np.allclose(widths, width, rtol=0, atol=1e-4)
        or not width > 0
        or table.loc[closed.isna(), "magnitude_min"].lt(edges[-1] - 1e-6).any()
    ):
        raise InputError(
            f"{where}: expected bins of magnitude of one width, found {len(edges)} of widths "
            f"{', '.join(f'{w:g}' for w in np.unique(widths.round(4))) or 'without end'}, the highest alone "
            "may be open; kaname hazard smooth makes such bins"
        )
    table = table.assign(
        lon=(table["longitude_min"] + table["longitude_max"]) / 2,
        lat=(table["latitude_min"] + table["latitude_max"]) / 2,
        bin=np.round((table["magnitude_min"] - edges[0]) / width).astype(int),
    )
    if table.duplicated(["lon", "lat", "bin"]).any():
        raise InputError(f"{where}: a cell stands twice; layers of depth are not told apart here")
    wide = table.pivot_table("expected", ["lat", "lon"], "bin", aggfunc="sum", fill_value=0.0)
    wide = wide.reindex(columns=range(int(wide.columns.max()) + 1), fill_value=0.0)
    wide = wide[wide.to_numpy().sum(axis=1) > 0]
    if wide.empty:
        raise InputError(f"{where}: nothing is expected at or above magnitude {properties.magnitude_min:g}")
    place = np.array([(lon, lat) for lat, lon in wide.index])
    return Smoothed(
        properties, place, round(float(edges[0]) + width / 2, 9), round(width, 9), wide.to_numpy() / years
    )


def summary(sources: list[AnySource], width: float) -> Iterator[dict[str, Any]]:
    """Yield what each source amounts to: kind, number of earthquakes and moment per year, magnitudes."""
    for source in sources:
        m = source.magnitudes(width)
        yield {
            "name": source.properties.name,
            "kind": type(source).__name__.lower(),
            "tectonic_region": source.properties.tectonic_region,
            "rate_per_year": float(m.rates.sum()),
            "moment_nm_per_year": m.moment_rate,
            "magnitude_min": m.first - m.width / 2,
            "magnitude_max": float(m.centres[-1]) + m.width / 2,
        }
