"""Location: from the arrivals of each event to a hypocentre with its probability.

The posterior is that of `kaname.automation.octree`: equal differential times, flat prior inside the search
volume. Depth is below sea level; sensors stand at their own elevation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from kaname import __version__
from kaname.automation import octree
from kaname.automation.quality import judge
from kaname.core import tables
from kaname.core.config import Settings
from kaname.core.errors import NotFoundError, SchemaError
from kaname.core.geo import LocalFrame, distance_azimuth
from kaname.core.time import NS_PER_S
from kaname.earth import traveltime
from kaname.earth.traveltime import TravelTimeTable
from kaname.earth.velocity import Phase, VelocityModel
from kaname.formats.stations import Stations

Floats = NDArray[np.float64]

METHOD = f"edt-octree kaname {__version__}"
SENSOR_STEP_KM = 0.01
"""Sensors within this of one another in depth share travel-time tables; it is worth 2 ms at most."""
USED_WEIGHT = 0.1
"""Arrivals with a smaller share in the solution are not counted as used."""
_DISTANCES_KM = (100.0, 200.0, 400.0, 800.0, 1600.0)


class LocateSettings(Settings):
    """How hypocentres are looked for and how far arrivals are trusted."""

    margin_km: float | None = Field(
        None, gt=0, description="search this far beyond the stations of the event [km]; unset: their aperture"
    )
    minimum_depth_km: float | None = Field(
        None, description="top of the search below sea level [km]; unset: the highest station"
    )
    maximum_depth_km: float = Field(100.0, le=750, description="bottom of the search [km]")
    model_error_s: float = Field(
        0.05, ge=0, description="standard error of the travel times at no distance [s]"
    )
    model_error_fraction: float = Field(
        0.02,
        ge=0,
        lt=1,
        description="standard error of the travel times, share of the time, added in squares",
    )
    p_uncertainty_s: float = Field(0.1, gt=0, description="uncertainty of P picks that state none [s]")
    s_uncertainty_s: float = Field(0.2, gt=0, description="uncertainty of S picks that state none [s]")
    minimum_phases: int = Field(4, ge=4, description="least number of arrivals of a located event")
    minimum_stations: int = Field(3, ge=2, description="least number of stations of a located event")
    hypocentre: Literal["expectation", "maximum_likelihood"] = Field(
        "expectation", description="the mean of the posterior, or its peak"
    )
    sharpness: float = Field(
        1.0, gt=0, description="factor on the likelihood exponent; 1 is calibrated for true uncertainties"
    )
    rescale_errors: bool = Field(
        True, description="widen the errors of an event whose residuals are larger than stated"
    )
    samples: int = Field(1000, ge=200, description="samples drawn from the posterior")
    seed: int = Field(0, ge=0, description="seed of the sampling")


@dataclass(frozen=True)
class LocateResult:
    """Located events, their arrivals, and what could not be used."""

    events: pd.DataFrame
    """`kaname.core.tables.EVENTS`; an event that could not be located has no coordinates."""
    arrivals: pd.DataFrame
    """`kaname.core.tables.ARRIVALS`."""
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
    picks, stations = _checked(arrivals), tables.validate(stations, tables.STATIONS)
    failures: list[dict[str, Any]] = []
    picks = _placed(picks, stations, failures)
    picks = _without_doubles(picks, failures)
    top = settings.minimum_depth_km
    if top is None:
        top = -np.ceil(max(0.0, np.nan_to_num(stations["elevation_m"]).max(initial=0.0)) / 100.0) / 10.0
    solutions = list(_solutions(picks, model, settings, float(top), cache))
    events = tables.table([_event(s, model) for s in solutions], tables.EVENTS)
    if not solutions:
        return LocateResult(events, tables.empty(tables.ARRIVALS), tables.table(failures, tables.FAILURES))
    final = pd.concat([_arrivals(s) for s in solutions], ignore_index=True)
    return LocateResult(
        events, tables.validate(final, tables.ARRIVALS), tables.table(failures, tables.FAILURES)
    )


def _checked(arrivals: pd.DataFrame) -> pd.DataFrame:
    if "event_id" not in arrivals.columns and len(arrivals):
        raise SchemaError(f"arrivals: column 'event_id' is missing; found {', '.join(arrivals.columns)}")
    picks = tables.validate(arrivals, tables.ARRIVALS)
    # A fixed order makes sums, and so results, the same for any order of the input.
    return picks.sort_values(
        ["event_id", "time", "network", "station", "phase", "pick_id"], ignore_index=True
    )


def _placed(picks: pd.DataFrame, stations: pd.DataFrame, failures: list[dict[str, Any]]) -> pd.DataFrame:
    """Add place, sensor depth and correction to each pick; picks without a station lack a latitude."""
    known = Stations(stations)
    edges = {
        station: np.unique(own[["start", "end"]].to_numpy("datetime64[ns]").ravel())
        for station, own in stations.groupby("station")
    }
    found: dict[tuple[str, str, str, int], tuple[float, ...]] = {}
    told: set[tuple[str, str]] = set()
    places = np.full((len(picks), 5), np.nan)
    columns = ("event_id", "network", "station", "location", "phase", "time")
    for i, (event, network, station, location, phase, time) in enumerate(
        zip(*(picks[c].array for c in columns))
    ):
        epoch = int(np.searchsorted(edges.get(station, np.empty(0)), time.to_datetime64(), side="right"))
        key = (network, station, location, epoch)
        name = ".".join(key[:3])
        try:
            if key not in found:
                found[key] = _place(known.at(network, station, location, time.to_datetime64()))
        except NotFoundError as error:
            if (event, name) not in told:
                told.add((event, name))
                failures.append(
                    {
                        "step": "locate",
                        "subject": f"{event} {name}",
                        "start": time,
                        "error": type(error).__name__,
                        "message": f"{error}; located without it",
                    }
                )
            continue
        latitude, longitude, depth, p, s, unknown = found[key]
        if unknown and (name, "") not in told:
            told.add((name, ""))
            message = "no elevation; sea level is assumed"
            failures.append({"step": "locate", "subject": name, "error": "NotFoundError", "message": message})
        places[i] = latitude, longitude, depth, p if phase == "P" else s, 1.0
    names = ["latitude", "longitude", "sensor_km", "correction_s", "use"]
    return picks.assign(**dict(zip(names, places.T)))


def _place(row: dict[str, Any]) -> tuple[float, ...]:
    elevation = row["elevation_m"]
    buried, p, s = np.nan_to_num([row["sensor_depth_m"], row["p_correction_s"], row["s_correction_s"]])
    depth = (buried - np.nan_to_num(elevation)) / 1000.0
    depth = round(depth / SENSOR_STEP_KM) * SENSOR_STEP_KM
    return row["latitude"], row["longitude"], float(depth), float(p), float(s), float(np.isnan(elevation))


def _without_doubles(picks: pd.DataFrame, failures: list[dict[str, Any]]) -> pd.DataFrame:
    """Leave one arrival of each phase and station in use: two sensors of a station share their errors."""
    spread = picks["time_uncertainty_s"].fillna(np.inf)
    ranked = picks.assign(spread=spread).sort_values(["spread", "time", "pick_id"], kind="stable")
    double = ranked.duplicated(["event_id", "network", "station", "phase"]) & ranked["use"].notna()
    for row in picks[double.reindex(picks.index)].itertuples():
        failures.append(
            {
                "step": "locate",
                "subject": f"{row.event_id} {row.network}.{row.station}.{row.location}",
                "start": row.time,
                "error": "InputError",
                "message": f"one more {row.phase} arrival ({row.pick_id}) of this station; not used",
            }
        )
    return picks.assign(use=picks["use"].where(~double.reindex(picks.index)))


@dataclass(frozen=True)
class _Solution:
    picks: pd.DataFrame
    event_id: str
    remark: str = ""
    place: dict[str, Any] | None = None
    residual: Floats | None = None
    weight: Floats | None = None
    takeoff: Floats | None = None


@lru_cache(maxsize=256)
def _frame(latitude: int, longitude: int) -> LocalFrame:
    return LocalFrame(latitude, longitude)


def _solutions(
    picks: pd.DataFrame, model: VelocityModel, settings: LocateSettings, top: float, cache: Path | None
) -> Iterator[_Solution]:
    problems = []
    for event_id, own in picks.groupby("event_id", sort=True):
        problems.append(_Problem.of(str(event_id), own, settings, top))
    grids = _Grids(model, [p for p in problems if p.solvable(settings)], settings, top, cache)
    for problem in problems:
        if problem.solvable(settings):
            yield _solve(problem, grids, settings)
        else:
            n, stations = len(problem.time), problem.n_station
            remark = f"{n} arrivals at {stations} stations; expected at least {settings.minimum_phases} "
            remark += f"at {settings.minimum_stations}"
            yield _Solution(problem.picks, problem.event_id, remark)


@dataclass(frozen=True)
class _Problem:
    """One event in its local frame [km], times [s] after its first arrival."""

    event_id: str
    picks: pd.DataFrame
    used: NDArray[np.intp]
    frame: LocalFrame
    east: Floats
    north: Floats
    depth: Floats
    time: Floats
    variance: Floats
    low: Floats
    high: Floats
    n_station: int
    assumed: bool

    @classmethod
    def of(cls, event_id: str, picks: pd.DataFrame, settings: LocateSettings, top: float) -> _Problem:
        used = np.flatnonzero(picks["use"].notna())
        own = picks.iloc[used]
        latitude, longitude = own["latitude"].to_numpy(), own["longitude"].to_numpy()
        frame = _frame(0, 0)
        if len(used):
            # A fixed lattice of frames: the same event gets the same frame whatever it is located with.
            around = longitude[0] + (longitude - longitude[0] + 180.0) % 360.0 - 180.0
            centre = round(float(np.median(around)))
            frame = _frame(round(float(np.median(latitude))), (centre + 180) % 360 - 180)
        east, north = frame.to_local(latitude, longitude)
        stated = own["time_uncertainty_s"].to_numpy()
        default = np.where(own["phase"] == "P", settings.p_uncertainty_s, settings.s_uncertainty_s)
        sigma = np.where(np.isnan(stated), default, stated)
        time = own["time"].to_numpy("datetime64[ns]").astype(np.int64)
        low, high = np.zeros(3), np.ones(3)
        if len(used):
            extent = np.array([[east.min(), north.min()], [east.max(), north.max()]])
            margin = settings.margin_km or max(30.0, float(np.hypot(*(extent[1] - extent[0]))))
            low = np.append(extent[0] - margin, top)
            high = np.append(extent[1] + margin, settings.maximum_depth_km)
        return cls(
            event_id=event_id,
            picks=picks,
            used=used,
            frame=frame,
            east=east,
            north=north,
            depth=own["sensor_km"].to_numpy(),
            time=(time - time[0]) / NS_PER_S - own["correction_s"].to_numpy() if len(used) else np.empty(0),
            variance=sigma**2 + settings.model_error_s**2,
            low=low,
            high=high,
            n_station=len(own[["network", "station"]].drop_duplicates()),
            assumed=bool(np.isnan(stated).any()),
        )

    def solvable(self, settings: LocateSettings) -> bool:
        return len(self.used) >= settings.minimum_phases and self.n_station >= settings.minimum_stations


class _Grids:
    """The travel-time tables of all sensors, stacked."""

    def __init__(
        self,
        model: VelocityModel,
        problems: list[_Problem],
        settings: LocateSettings,
        top: float,
        cache: Path | None,
    ) -> None:
        keys: set[tuple[Phase, float]] = set()
        reach = 0.0
        for p in problems:
            keys.update(zip(p.picks["phase"].array[p.used], p.depth))
            reach = max(reach, float(np.hypot(*(p.high - p.low)[:2])))
        # A few fixed sizes, so that another day finds the cached tables.
        distance = next((d for d in _DISTANCES_KM if d >= reach), 1.1 * reach)
        self.tables = traveltime.tables(
            model,
            keys,
            max_distance_km=distance,
            min_depth_km=top,
            max_depth_km=settings.maximum_depth_km,
            cache=cache,
        )
        self.index = {key: k for k, key in enumerate(self.tables)}
        empty = np.zeros((0, 2, 2), np.float32)
        self.slowness = np.stack([t.slowness for t in self.tables.values()]) if keys else empty
        self.grid = np.array(
            [
                traveltime.DISTANCE_OFFSET,
                traveltime.DISTANCE_STEP,
                top,
                traveltime.DEPTH_OFFSET,
                traveltime.DEPTH_STEP,
            ]
        )
        rng = np.random.default_rng(settings.seed)
        self.random = rng.random((settings.samples + 1, 3))
        self.samples = np.empty((settings.samples, 5))

    def table(self, k: int) -> TravelTimeTable:
        return list(self.tables.values())[k]


def _solve(problem: _Problem, grids: _Grids, settings: LocateSettings) -> _Solution:
    phases = problem.picks["phase"].array[problem.used]
    which = np.array([grids.index[key] for key in zip(phases, problem.depth)])
    variance, scale = problem.variance, 1.0
    fraction = settings.model_error_fraction
    samples, n = grids.samples, len(problem.time)
    breadth, exponent = octree.shape(n)
    exponent *= settings.sharpness
    residual, total = np.empty(n), np.empty(n)

    def stack(point: Floats) -> float:
        return float(
            octree.log_stack(
                *point, 0.0, problem.east, problem.north, problem.depth, which, problem.time,
                variance, fraction * scale, breadth, grids.slowness, grids.grid, residual, total,
            )[0]
        )  # fmt: skip

    for _ in range(2):
        octree.search(
            problem.low, problem.high, exponent, settings.samples, grids.random,
            problem.east, problem.north, problem.depth, which, problem.time, variance, fraction * scale, breadth,
            grids.slowness, grids.grid, samples,
        )  # fmt: skip
        share = samples[:, 3]
        mean = share @ samples[:, :3]
        spread = (samples[:, :3] - mean) * share[:, np.newaxis]
        covariance = spread.T @ (samples[:, :3] - mean)
        peak = samples[samples[:, 4].argmax(), :3]
        peaked = exponent * (stack(peak) - stack(mean))
        # The mean of a posterior with two peaks may lie where no hypocentre can be.
        split = peaked > 3.9
        point = peak.copy() if split or settings.hypocentre == "maximum_likelihood" else mean
        stack(point)
        weight, origin = _origin(residual, total, breadth)
        used = weight >= USED_WEIGHT
        excess = _excess((residual - origin)[used], total[used])
        if not settings.rescale_errors or scale > 1.0 or excess < 1.2:
            break
        scale = float(np.sqrt(excess))
        variance = problem.variance * excess
    own = residual - origin
    slope = np.empty(3)
    base = _mean_time(residual, weight, total)
    step = 0.05
    for axis in range(3):
        moved = point.copy()
        moved[axis] += step if moved[axis] + step <= problem.high[axis] else -step
        held_residual, held_total = residual.copy(), total.copy()
        stack(moved)
        slope[axis] = (_mean_time(residual, weight, held_total) - base) / (moved[axis] - point[axis])
        residual[:], total[:] = held_residual, held_total
    time_variance = slope @ covariance @ slope + 1.0 / (weight / total).sum()
    latitude, longitude = (float(v) for v in problem.frame.to_geographic(point[0], point[1]))
    first = problem.picks["time"].array[problem.used[0]].to_datetime64()
    place: dict[str, Any] = {
        "time": first + np.timedelta64(round(origin * NS_PER_S), "ns"),
        "time_uncertainty_s": float(np.sqrt(time_variance)),
        "latitude": latitude,
        "longitude": (longitude + 180.0) % 360.0 - 180.0,
        "depth_km": float(point[2]),
        "rms_s": float(np.sqrt((weight / total * own**2).sum() / (weight / total).sum())),
        **_shape(covariance),
    }
    distance, azimuth = distance_azimuth(
        latitude, longitude, *(problem.picks[c].to_numpy()[problem.used] for c in ("latitude", "longitude"))
    )
    azimuths = np.sort(azimuth[used])
    gap = np.diff(np.append(azimuths, azimuths[0] + 360.0)).max() if used.any() else 360.0
    place["azimuthal_gap_deg"] = float(gap)
    place["nearest_station_km"] = float(distance[used].min())
    place["n_p"] = int((used & (phases == "P")).sum())
    place["n_s"] = int((used & (phases == "S")).sum())
    stations = problem.picks["station"].array[problem.used]
    networks = problem.picks["network"].array[problem.used]
    place["n_station"] = len({*zip(networks[used], stations[used])})
    width = problem.high - problem.low
    edge = ((samples[:, :3] - problem.low) < 0.01 * width), ((problem.high - samples[:, :3]) < 0.01 * width)
    touching = np.stack([(share[:, np.newaxis] * side).sum(axis=0) for side in edge])
    quality, remarks = judge(
        place,
        scatter=scale,
        at_side=float(touching[:, :2].sum() + touching[1, 2]),
        at_top=float((share * (samples[:, 2] - problem.low[2] < 0.5)).sum()),
        split=bool(split),
    )
    if problem.assumed:
        remarks.append("some picks state no uncertainty")
    place["quality"] = quality
    takeoff = np.array(
        [
            float(grids.table(k).takeoff(min(d, grids.table(k).max_distance_km), point[2]))
            for k, d in zip(which, distance)
        ]
    )
    full = {
        name: np.full(len(problem.picks), fill)
        for name, fill in (("residual", np.nan), ("weight", 0.0), ("takeoff", np.nan))
    }
    for name, values in (("residual", own), ("weight", weight), ("takeoff", takeoff)):
        full[name][problem.used] = values
    return _Solution(problem.picks, problem.event_id, "; ".join(remarks), place, **full)


def _origin(residual: Floats, total: Floats, breadth: float) -> tuple[Floats, float]:
    """Return the share of each arrival in the stack, the largest being 1, and the origin time they agree on."""
    pair = total[:, np.newaxis] + total
    kernel = np.exp(-((residual[:, np.newaxis] - residual) ** 2) / (2.0 * breadth * pair))
    weight = (kernel.sum(axis=1) - 1.0) / (len(residual) - 1)
    weight = weight / weight.max() if weight.max() > 0 else np.ones(len(residual))
    return weight, _mean_time(residual, weight, total)


def _mean_time(residual: Floats, weight: Floats, total: Floats) -> float:
    return float((weight * residual / total).sum() / (weight / total).sum())


def _excess(residual: Floats, total: Floats) -> float:
    """Return the variance of the residuals over the stated one, drawn towards 1 when they are few."""
    prior = 4.0
    free = max(0, len(residual) - 4)
    return float((prior + (residual**2 / total).sum()) / (prior + free)) if free else 1.0


def _shape(covariance: Floats) -> dict[str, float]:
    """Return the columns of the events table that hold the covariance [km2], ellipse and depth error."""
    names = ("ee", "en", "ez", "nn", "nz", "zz")
    values = covariance[np.triu_indices(3)]
    size, axes = np.linalg.eigh(covariance[:2, :2])
    minor, major = np.sqrt(np.maximum(size, 0.0) * -2.0 * np.log(1.0 - 0.68))
    azimuth = np.degrees(np.arctan2(axes[0, 1], axes[1, 1])) % 180.0
    return {
        **{f"cov_{n}_km2": float(v) for n, v in zip(names, values)},
        "ellipse_major_km": float(major),
        "ellipse_minor_km": float(minor),
        "ellipse_azimuth_deg": float(azimuth),
        "depth_uncertainty_km": float(np.sqrt(covariance[2, 2])),
    }


def _event(solution: _Solution, model: VelocityModel) -> dict[str, Any]:
    row: dict[str, Any] = {
        "event_id": solution.event_id,
        "velocity_model": model.name,
        "method": METHOD,
        "remark": solution.remark,
    }
    if solution.place is None:
        return {**row, "time": solution.picks["time"].min(), "quality": "unlocated"}
    return {**row, **solution.place}


def _arrivals(solution: _Solution) -> pd.DataFrame:
    picks = solution.picks
    out = picks[[c for c in tables.ARRIVALS.names if c in picks.columns]].copy()
    out["weight"] = 0.0
    if solution.place is None:
        return out
    out["residual_s"], out["weight"] = solution.residual, solution.weight
    out["takeoff_deg"] = solution.takeoff
    known = picks["latitude"].notna().to_numpy()
    distance, azimuth = distance_azimuth(
        solution.place["latitude"],
        solution.place["longitude"],
        picks["latitude"].to_numpy()[known],
        picks["longitude"].to_numpy()[known],
    )
    for name, values in (("distance_km", distance), ("azimuth_deg", azimuth)):
        full = np.full(len(picks), np.nan)
        full[known] = values
        out[name] = full
    return out
