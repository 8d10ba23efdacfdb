"""Location: from the arrivals of each event to a hypocentre with its probability.

The posterior is that of equal differential times, sampled in an oct-tree (`kaname.automation.octree`). Depth
is below sea level; sensors stand at their own elevation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from kaname import __version__
from kaname.automation import sensors
from kaname.automation.octree import Observations
from kaname.automation.posterior import Hypocentre, Posterior, posterior
from kaname.automation.quality import judge
from kaname.core import tables
from kaname.core.config import Settings
from kaname.core.errors import SchemaError
from kaname.core.geo import LocalFrame, distance_azimuth
from kaname.core.time import NS_PER_S
from kaname.earth import traveltime
from kaname.earth.velocity import Phase, VelocityModel

Floats = NDArray[np.float64]

METHOD = f"edt-octree kaname {__version__}"
LEAST_MARGIN_KM = 30.0
_REACH_KM = (100.0, 200.0, 400.0, 800.0, 1600.0)


class LocateSettings(Settings):
    """How hypocentres are looked for and how far arrivals are trusted."""

    margin_km: float | None = Field(
        None,
        gt=0,
        description="search this far beyond the stations of the event [km]; unset: as far as they are apart, "
        "at least 30 km",
    )
    minimum_depth_km: float | None = Field(
        None, ge=-10, description="top of the search below sea level [km]; unset: the highest station"
    )
    maximum_depth_km: float = Field(100.0, gt=0, le=750, description="bottom of the search [km]")
    model_error_s: float = Field(0.1, ge=0, description="standard error of travel times at no distance [s]")
    model_error_fraction: float = Field(
        0.02, ge=0, lt=1, description="standard error of travel times as a share of them; added in squares"
    )
    p_uncertainty_s: float = Field(0.1, gt=0, description="uncertainty of P picks that state none [s]")
    s_uncertainty_s: float = Field(0.2, gt=0, description="uncertainty of S picks that state none [s]")
    minimum_phases: int = Field(4, ge=4, description="least number of arrivals of a located event")
    minimum_stations: int = Field(3, ge=2, description="least number of stations of a located event")
    hypocentre: Hypocentre = Field("expectation", description="the mean of the posterior, or its peak")
    sharpness: float = Field(
        1.0, gt=0, description="factor on the exponent of the likelihood; 1 is calibrated for true errors"
    )
    rescale_errors: bool = Field(
        True, description="widen the errors of an event whose residuals are larger than stated"
    )
    prior_decay: float = Field(
        1.5,
        ge=0,
        description="prior probability of a hypocentre falls with distance to this power, since weak "
        "earthquakes, the many, are only recorded nearby; 0: flat",
    )
    samples: int = Field(1000, ge=200, description="samples drawn from the posterior")
    seed: int = Field(0, ge=0, description="seed of the sampling")


@dataclass(frozen=True)
class LocateResult:
    """Located events, their arrivals, and what could not be used."""

    events: pd.DataFrame
    """`kaname.core.tables.EVENTS`; an event that could not be located has no coordinates."""
    arrivals: pd.DataFrame
    """`kaname.core.tables.ARRIVALS`; what was not used has weight 0."""
    failures: pd.DataFrame
    """`kaname.core.tables.FAILURES`."""


def locate(
    arrivals: pd.DataFrame,
    stations: pd.DataFrame,
    model: VelocityModel,
    *,
    settings: LocateSettings | None = None,
    cache: Path | None = None,
) -> LocateResult:
    """Locate every event from its arrivals.

    The result does not depend on the order of the rows, nor an event on the others.

    Parameters
    ----------
    arrivals
        ``event_id`` and the columns of the ``picks`` table.
    stations
        The ``stations`` table. ``p_correction_s`` and ``s_correction_s`` are added to predicted times.
    model
        Velocity model; its name is written into the events.
    settings
        Search volume and errors.
    cache
        Folder for travel-time tables; ``None`` computes them anew.

    Raises
    ------
    SchemaError
        When a table lacks a column or holds an impossible value.
    """
    settings = settings or LocateSettings()
    if "event_id" not in arrivals.columns and len(arrivals):
        raise SchemaError(f"arrivals: column 'event_id' is missing; found {', '.join(arrivals.columns)}")
    picks = tables.validate(arrivals, tables.ARRIVALS)[list(tables.ARRIVALS.names)]
    # A fixed order makes sums, and so results, the same for any order of the input.
    picks = picks.sort_values(
        ["event_id", "time", "network", "station", "phase", "pick_id"], ignore_index=True
    )
    stations = tables.validate(stations, tables.STATIONS)
    placed, failures = sensors.place(picks, stations)
    work = _Work(placed, stations, model, settings, cache)
    for event in work.events:
        if event.solvable:
            work.solve(event)
    final = work.arrivals()
    return LocateResult(
        tables.table(work.rows(), tables.EVENTS),
        tables.validate(final, tables.ARRIVALS),
        tables.table(failures, tables.FAILURES),
    )


@dataclass
class _Event:
    event_id: str
    picks: slice
    used: NDArray[np.intp]
    """Rows of the picks that have a place, one for each phase and station."""
    n_station: int
    solvable: bool
    frame: LocalFrame | None = None
    place: tuple[Floats, Floats] | None = None
    """East and north of the sensors in the frame [km]."""
    low: Floats | None = None
    high: Floats | None = None
    solution: Posterior | None = None
    latitude: float = np.nan
    longitude: float = np.nan


@lru_cache(maxsize=256)
def _frame(latitude: int, longitude: int) -> LocalFrame:
    return LocalFrame(latitude, longitude)


class _Work:
    """All events as arrays: pandas is too slow to be asked once for each event."""

    def __init__(
        self,
        picks: pd.DataFrame,
        stations: pd.DataFrame,
        model: VelocityModel,
        settings: LocateSettings,
        cache: Path | None,
    ) -> None:
        self.picks, self.model, self.settings = picks, model, settings
        self.latitude, self.longitude = picks["latitude"].to_numpy(), picks["longitude"].to_numpy()
        self.depth, self.correction = picks["sensor_depth_km"].to_numpy(), picks["correction_s"].to_numpy()
        self.time = picks["time"].to_numpy("datetime64[ns]").astype(np.int64)
        self.is_p = (picks["phase"] == "P").to_numpy()
        self.site = pd.factorize(picks["network"] + "." + picks["station"])[0]
        stated = picks["time_uncertainty_s"].to_numpy()
        self.assumed = np.isnan(stated)
        default = np.where(self.is_p, settings.p_uncertainty_s, settings.s_uncertainty_s)
        self.variance = np.where(self.assumed, default, stated) ** 2 + settings.model_error_s**2
        highest = np.nan_to_num(stations["elevation_m"].to_numpy()).max(initial=0.0)
        ground = -float(np.ceil(highest / 100.0)) / 10.0
        self.top = ground if settings.minimum_depth_km is None else settings.minimum_depth_km
        self.events = self._split(picks["used"].to_numpy(bool))
        self._tables(cache)
        self.random = np.random.default_rng(settings.seed).random((settings.samples + 1, 3))
        self.residual = np.full(len(picks), np.nan)
        self.weight = np.zeros(len(picks))

    def _split(self, used: NDArray[np.bool_]) -> list[_Event]:
        codes, names = pd.factorize(self.picks["event_id"])
        edges = np.append(np.flatnonzero(np.diff(codes, prepend=-1)), len(codes))
        events = []
        for name, start, stop in zip(names, edges[:-1], edges[1:]):
            rows = start + np.flatnonzero(used[start:stop])
            n_station = len(np.unique(self.site[rows]))
            enough = len(rows) >= self.settings.minimum_phases and n_station >= self.settings.minimum_stations
            event = _Event(str(name), slice(start, stop), rows, n_station, bool(enough))
            if enough:
                self._bound(event)
            events.append(event)
        return events

    def _bound(self, event: _Event) -> None:
        latitude, longitude = self.latitude[event.used], self.longitude[event.used]
        # A lattice of frames, so that an event gets the same one whatever it is located together with.
        around = longitude[0] + (longitude - longitude[0] + 180.0) % 360.0 - 180.0
        centre = (round(float(np.median(around))) + 180) % 360 - 180
        event.frame = _frame(round(float(np.median(latitude))), centre)
        event.place = east, north = event.frame.to_local(latitude, longitude)
        extent = np.array([[east.min(), north.min()], [east.max(), north.max()]])
        margin = self.settings.margin_km or max(LEAST_MARGIN_KM, float(np.hypot(*(extent[1] - extent[0]))))
        event.low = np.append(extent[0] - margin, self.top)
        event.high = np.append(extent[1] + margin, self.settings.maximum_depth_km)

    def _tables(self, cache: Path | None) -> None:
        solvable = [e for e in self.events if e.solvable]
        rows = np.concatenate([e.used for e in solvable]) if solvable else np.empty(0, int)
        phases = np.where(self.is_p, "P", "S")
        keys = {(cast(Phase, str(phases[i])), float(self.depth[i])) for i in rows}
        reach = max((float(np.hypot(*(e.high - e.low)[:2])) for e in solvable), default=1.0)  # type: ignore[operator]
        self.tables = traveltime.tables(
            self.model,
            keys,
            # A few fixed sizes, so that another day finds the tables in the cache.
            max_distance_km=next((d for d in _REACH_KM if d >= reach), 1.1 * reach),
            min_depth_km=self.top,
            max_depth_km=self.settings.maximum_depth_km,
            cache=cache,
        )
        index = {key: k for k, key in enumerate(self.tables)}
        self.which = np.full(len(self.picks), -1, np.int64)
        for i in rows:
            self.which[i] = index[(phases[i], self.depth[i])]
        stack = [t.slowness for t in self.tables.values()] or [np.zeros((2, 2), np.float32)]
        self.slowness = np.stack(stack)
        self.grid = np.array([*traveltime.DISTANCE_NODES, self.top, *traveltime.DEPTH_NODES])

    def solve(self, event: _Event) -> None:
        assert event.place is not None and event.frame is not None
        assert event.low is not None and event.high is not None
        rows = event.used
        obs = Observations(
            east=event.place[0],
            north=event.place[1],
            depth=self.depth[rows],
            time=(self.time[rows] - self.time[rows[0]]) / NS_PER_S - self.correction[rows],
            variance=self.variance[rows],
            fraction=self.settings.model_error_fraction,
            decay=self.settings.prior_decay,
            which=self.which[rows],
            slowness=self.slowness,
            grid=self.grid,
        )
        event.solution = posterior(
            obs,
            event.low,
            event.high,
            self.random,
            hypocentre=self.settings.hypocentre,
            sharpness=self.settings.sharpness,
            rescale_errors=self.settings.rescale_errors,
        )
        latitude, longitude = event.frame.to_geographic(*event.solution.point[:2])
        event.latitude, event.longitude = float(latitude), (float(longitude) + 180.0) % 360.0 - 180.0
        self.residual[rows], self.weight[rows] = event.solution.residual, event.solution.weight

    def arrivals(self) -> pd.DataFrame:
        """Return the arrivals with distance, azimuth and take-off angle."""
        sizes = [e.picks.stop - e.picks.start for e in self.events]
        latitude = np.repeat([e.latitude for e in self.events], sizes)
        longitude = np.repeat([e.longitude for e in self.events], sizes)
        depth = np.repeat([e.solution.point[2] if e.solution else np.nan for e in self.events], sizes)
        distance, azimuth, takeoff = np.full((3, len(self.picks)), np.nan)
        both = np.flatnonzero(~np.isnan(latitude) & ~np.isnan(self.latitude))
        distance[both], azimuth[both] = distance_azimuth(
            latitude[both], longitude[both], self.latitude[both], self.longitude[both]
        )
        for k, table in enumerate(self.tables.values()):
            rows = np.flatnonzero((self.which == k) & ~np.isnan(distance))
            takeoff[rows] = table.takeoff(np.minimum(distance[rows], table.max_distance_km), depth[rows])
        self.distance, self.azimuth = distance, azimuth
        return self.picks[list(tables.ARRIVALS.names)].assign(
            residual_s=self.residual,
            weight=self.weight,
            distance_km=distance,
            azimuth_deg=azimuth,
            takeoff_deg=takeoff,
        )

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the events table."""
        return [self._row(event) for event in self.events]

    def _row(self, event: _Event) -> dict[str, Any]:
        row: dict[str, Any] = {
            "event_id": event.event_id,
            "velocity_model": self.model.name,
            "method": METHOD,
        }
        found = event.solution
        if found is None:
            need = f"{self.settings.minimum_phases} at {self.settings.minimum_stations}"
            remark = f"{len(event.used)} usable arrivals at {event.n_station} stations; expected {need}"
            first = np.datetime64(int(self.time[event.picks].min()), "ns")
            return {**row, "time": first, "quality": "unlocated", "remark": remark}
        rows = event.used[found.used]
        azimuth = np.sort(self.azimuth[rows])
        place: dict[str, Any] = {
            "latitude": event.latitude,
            "longitude": event.longitude,
            "depth_km": float(found.point[2]),
            **_shape(found.covariance),
            "rms_s": found.rms_s,
            "azimuthal_gap_deg": float(np.diff(np.append(azimuth, azimuth[0] + 360.0)).max()),
            "nearest_station_km": float(self.distance[rows].min()),
            "n_p": int(self.is_p[rows].sum()),
            "n_s": int((~self.is_p[rows]).sum()),
            "n_station": len(np.unique(self.site[rows])),
        }
        quality, remarks = judge(
            place, scatter=found.scatter, at_side=found.at_side, at_top=found.at_top, split=found.split
        )
        if self.assumed[event.used].any():
            remarks.append("some picks state no uncertainty")
        return {
            **row,
            **place,
            "time": np.datetime64(int(self.time[event.used[0]]) + round(found.origin * NS_PER_S), "ns"),
            "time_uncertainty_s": found.origin_uncertainty_s,
            "quality": quality,
            "remark": "; ".join(remarks),
        }


def _shape(covariance: Floats) -> dict[str, float]:
    """Return the columns of the events table that hold covariance [km2], ellipse and depth error [km]."""
    names = ("ee", "en", "ez", "nn", "nz", "zz")
    size, axes = np.linalg.eigh(covariance[:2, :2])
    # 68 % of a normal distribution in the plane lie within this many variances.
    minor, major = np.sqrt(np.maximum(size, 0.0) * -2.0 * np.log(1.0 - 0.68))
    return {
        **{f"cov_{n}_km2": float(v) for n, v in zip(names, covariance[np.triu_indices(3)])},
        "ellipse_major_km": float(major),
        "ellipse_minor_km": float(minor),
        "ellipse_azimuth_deg": float(np.degrees(np.arctan2(axes[0, 1], axes[1, 1])) % 180.0),
        "depth_uncertainty_km": float(np.sqrt(covariance[2, 2])),
    }
