"""Association: which picks of the network belong to the same earthquake.

The work is done by PyOcto (Münchmeyer 2024, Seismica 3(1), doi:10.26443/seismica.v3i1.1130), which searches
space and time with an octree, through travel times of our own velocity model.
"""

from __future__ import annotations

import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field

from kaname.core import tables
from kaname.core.config import Settings
from kaname.core.errors import NotFoundError
from kaname.core.geo import LocalFrame
from kaname.core.time import NS_PER_S, add_seconds, isoformat
from kaname.earth.traveltime import TravelTimeTable
from kaname.earth.velocity import Phase, VelocityModel
from kaname.formats.stations import Stations

EVENT_PREFIX = "kn"


class AssociateSettings(Settings):
    """When a set of picks is an earthquake."""

    minimum_picks: int = Field(5, ge=3, description="least number of picks of an event, P and S")
    minimum_p: int = Field(3, ge=0, description="least number of P picks")
    minimum_s: int = Field(0, ge=0, description="least number of S picks")
    minimum_stations: int = Field(4, ge=2, description="least number of stations with a pick")
    sure_probability: float = Field(
        0.9,
        ge=0,
        le=1,
        description="picks at least this probable are associated first, the others from what is left",
    )
    tolerance_s: float = Field(0.8, gt=0, description="largest misfit of a pick to its event [s]")
    margin_km: float = Field(30.0, ge=0, description="how far beyond the network events are looked for [km]")
    maximum_depth_km: float = Field(40.0, gt=0, description="deepest event looked for [km]")
    maximum_distance_km: float = Field(
        250.0, gt=0, description="largest epicentral distance of a pick used [km]"
    )
    separation_s: float = Field(1.5, gt=0, description="least time between two events [s]")


ASSIGNED = tables.Schema(
    "assigned",
    "Picks and the event each belongs to.",
    (
        tables.Column("event_id", "string", "event", required=True),
        tables.Column("origin_time", "time", "preliminary origin time, UTC"),
        *tables.PICKS.columns,
    ),
    key=("event_id", "pick_id"),
)


@dataclass(frozen=True)
class Association:
    """What the associator made of the picks."""

    assigned: pd.DataFrame
    """`ASSIGNED`: assigned picks only."""
    failures: pd.DataFrame
    """Stations with picks but without coordinates."""


def event_identifier(time: np.datetime64) -> str:
    """Return the identifier of an event from its (preliminary) origin time, to a hundredth of a second."""
    return EVENT_PREFIX + isoformat(time, decimals=2).translate(str.maketrans("", "", "-:Z"))


def associate(
    picks: pd.DataFrame,
    stations: pd.DataFrame,
    model: VelocityModel,
    *,
    settings: AssociateSettings | None = None,
) -> Association:
    """Group picks into events.

    The result does not depend on the order of the rows. Picks at the same station that are the same onset
    (several sensors) should be merged first.

    Parameters
    ----------
    picks, stations
        Tables of `kaname.core.tables`. A station's network may be empty, then it matches any.
    model
        Velocity model of the travel times.
    settings
        What makes an event.
    """
    settings = settings or AssociateSettings()
    picks = tables.validate(picks, tables.PICKS).sort_values(["time", "pick_id"], ignore_index=True)
    place, failures = _places(picks, stations)
    known = np.array([key in place for key in zip(picks["network"], picks["station"])], dtype=bool)
    usable = picks[known]
    assigned = usable.iloc[:0].assign(event_id="", origin_time=pd.Series(dtype="datetime64[ns]"))
    if usable["station"].nunique() < settings.minimum_stations:
        return Association(assigned, failures)
    events, members = _pyocto(usable.reset_index(drop=True), place, model, settings)
    rows = []
    names: set[str] = set()
    for number, time in events:
        own = members[number]
        if own["station"].nunique() < settings.minimum_stations:
            continue
        # Two events within a hundredth of a second would be called the same.
        while event_identifier(time) in names:
            time = add_seconds(time, 0.01)
        names.add(event_identifier(time))
        rows.append(own.assign(event_id=event_identifier(time), origin_time=time))
    if rows:
        assigned = pd.concat(rows, ignore_index=True)
    first = ["event_id", "origin_time"]
    return Association(assigned[first + [c for c in assigned.columns if c not in first]], failures)


Places = dict[tuple[str, str], tuple[float, float, float]]
"""Latitude, longitude [degrees] and depth below sea level [km] by (network, station)."""


def _places(picks: pd.DataFrame, stations: pd.DataFrame) -> tuple[Places, pd.DataFrame]:
    lookup = Stations(stations)
    place: Places = {}
    missing = []
    # A station that moves within one run keeps the place it has at its first pick.
    for (network, station), time in picks.groupby(["network", "station"])["time"].min().items():
        try:
            row = lookup.at(network, station, "", time)
        except NotFoundError as error:
            missing.append(
                {
                    "step": "associate",
                    "subject": f"{network}.{station}",
                    "error": "NotFoundError",
                    "message": f"its picks are left out: {error}",
                }
            )
            continue
        elevation = 0.0 if np.isnan(row["elevation_m"]) else row["elevation_m"]
        buried = 0.0 if np.isnan(row["sensor_depth_m"]) else row["sensor_depth_m"]
        place[(network, station)] = (row["latitude"], row["longitude"], (buried - elevation) / 1e3)
    return place, tables.table(missing, tables.FAILURES)


def _pyocto(
    picks: pd.DataFrame, place: Places, model: VelocityModel, settings: AssociateSettings
) -> tuple[list[tuple[int, np.datetime64]], dict[int, pd.DataFrame]]:
    import pyocto

    where = np.array(list(place.values()))
    frame = LocalFrame(float(where[:, 0].mean()), float(where[:, 1].mean()))
    east, north = frame.to_local(where[:, 0], where[:, 1])
    stations = pd.DataFrame({"id": [".".join(k) for k in place], "x": east, "y": north, "z": where[:, 2]})
    # Seconds from the first pick: a double holds nanoseconds for months, not since 1970.
    reference = picks["time"].min().to_datetime64()
    onset = pd.DataFrame(
        {
            "station": picks["network"] + "." + picks["station"],
            "phase": picks["phase"],
            "time": (picks["time"].to_numpy() - reference).astype(np.int64) / NS_PER_S,
        }
    )
    margin = settings.margin_km
    xlim = float(east.min() - margin), float(east.max() + margin)
    ylim = float(north.min() - margin), float(north.max() + margin)
    reach = min(float(np.hypot(xlim[1] - xlim[0], ylim[1] - ylim[0])), settings.maximum_distance_km)
    aperture = max(float(np.ptp(east)), float(np.ptp(north)), 1.0)
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "traveltimes"
        slowest = _write_table(table, model, reach, settings.maximum_depth_km)
        # The octree's cells follow the size of the network: a few stations in a town or in a country.
        node = float(np.clip(aperture / 10, 0.5, 10.0))
        associator = pyocto.OctoAssociator(
            xlim=xlim,
            ylim=ylim,
            zlim=(0.0, settings.maximum_depth_km),
            velocity_model=pyocto.VelocityModel1D(
                table,
                tolerance=settings.tolerance_s,
                association_cutoff_distance=reach,
                location_cutoff_distance=reach,
                surface_p_velocity=float(model.speed(0.0, phase="P")),
                surface_s_velocity=float(model.speed(0.0, phase="S")),
            ),
            time_before=slowest + 2 * settings.tolerance_s,
            min_node_size=node,
            min_node_size_location=node / 5,
            pick_match_tolerance=settings.tolerance_s,
            min_interevent_time=settings.separation_s,
            n_picks=settings.minimum_picks,
            n_p_picks=settings.minimum_p,
            n_s_picks=settings.minimum_s,
            n_p_and_s_picks=0,
            min_pick_fraction=0.25,
            n_threads=1,
        )
        events, assignments = associator.associate(onset, stations)
    if events.empty:
        return [], {}
    origin = {
        int(e.idx): add_seconds(reference, float(e.time)) for e in events.sort_values("time").itertuples()
    }
    members = {
        int(number): picks.iloc[np.sort(own["pick_idx"].to_numpy())]
        for number, own in assignments.groupby("event_idx")
    }
    return [(n, t) for n, t in origin.items() if n in members], members


def _write_table(path: Path, model: VelocityModel, reach_km: float, depth_km: float) -> float:
    """Write PyOcto's file (nx, nz, spacing, P and S times from the surface); return the slowest S."""
    spacing = max(0.25, reach_km / 1000)
    distance = np.arange(0, 1.5 * reach_km + 2 * spacing, spacing)
    depth = np.arange(0, depth_km + 2 * spacing, spacing)
    times = {}
    phases: tuple[Phase, ...] = ("P", "S")
    for phase in phases:
        times[phase] = TravelTimeTable.build(
            model,
            phase=phase,
            max_distance_km=float(distance[-1]),
            min_depth_km=0.0,
            max_depth_km=float(depth[-1]),
        ).time(distance[:, np.newaxis], depth[np.newaxis, :])
    with path.open("wb") as file:
        file.write(struct.pack("iid", len(distance), len(depth), spacing))
        for phase in phases:
            file.write(np.ascontiguousarray(times[phase], dtype=np.float64).tobytes())
    return float(times["S"][distance <= reach_km].max())
