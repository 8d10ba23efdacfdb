"""Second look at a located event: gather the picks that belong to it after all, and judge what stays.

An associator sees picks one by one through coarse travel times. Once an event is located, its arrivals are
known to a fraction of a second everywhere, and picks it left out (or mistook: the S onset on a single
vertical component is picked as P) can be told.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from kaname.core import tables
from kaname.core.config import Settings
from kaname.core.errors import NotFoundError
from kaname.core.geo import distance_azimuth
from kaname.core.time import NS_PER_S
from kaname.earth.traveltime import TravelTimeTable
from kaname.earth.velocity import Phase, VelocityModel
from kaname.formats.stations import Stations


class RefineSettings(Settings):
    """Which picks are added to a located event, and which events are believed."""

    tolerance_s: float = Field(0.5, gt=0, description="largest misfit of a pick that is added [s]")
    tolerance_fraction: float = Field(
        0.03, ge=0, lt=1, description="further misfit allowed, share of the travel time"
    )
    relabel: bool = Field(True, description="take a P pick at the time of S for S where the station has none")
    rounds: int = Field(
        6,
        ge=0,
        description="how often at most picks are gathered and events located anew, until nothing changes",
    )
    minimum_used: int = Field(5, ge=3, description="least number of arrivals that fit a believed event")
    minimum_stations: int = Field(4, ge=2, description="least number of stations whose arrivals fit")
    minimum_seen: float = Field(
        0.5,
        ge=0,
        le=1,
        description="least share of the recording stations within its reach that must see an event",
    )
    shadow_s: float = Field(
        5.0, ge=0, description="so soon before or after an event with more arrivals another is doubted [s]"
    )
    shadow_share: float = Field(
        0.5, ge=0, le=1, description="least number of its arrivals, as a share of those of that event"
    )
    shadow_used: int = Field(8, ge=3, description="least number of its arrivals")
    maximum_rms_s: float = Field(0.5, gt=0, description="largest residual of a believed event [s]")


LEAST_WEIGHT = 0.1
"""An arrival with a smaller share in its solution does not fit."""
SECONDARY_WIDENING = 2.0
"""An S that was picked as P is timed by the wrong rules: its uncertainty is widened by this."""


def gather(
    events: pd.DataFrame,
    arrivals: pd.DataFrame,
    picks: pd.DataFrame,
    stations: pd.DataFrame,
    model: VelocityModel,
    settings: RefineSettings,
    *,
    single: Collection[tuple[str, str]] = (),
    cache: Path | None = None,
) -> pd.DataFrame:
    """Return the arrivals of located events with the picks that fit them added, ready to locate anew.

    All picks are weighed anew, those of the last round included. Larger events choose first; each takes of
    every station and phase the pick that fits it best, by misfit and improbability together.

    Parameters
    ----------
    events, arrivals
        What `kaname.automation.locate.locate` returned.
    picks, stations
        Tables of `kaname.core.tables`.
    model
        Velocity model of the location.
    settings
        Tolerances.
    single
        Stations with one component, as (network, station).
    cache
        Folder for travel-time tables; ``None`` computes them anew.

    Returns
    -------
    DataFrame
        ``event_id`` and the columns of the ``picks`` table.
    """
    located = events[events["latitude"].notna()]
    taken: set[tuple[str, str, str, str]] = set()
    used: set[str] = set()
    chosen = []
    candidates = _candidates(located, picks, stations, model, settings, single, cache)
    # An event torn in two, or a chance one in its coda, must not take picks from the larger: that goes first.
    size = arrivals[arrivals["weight"] >= LEAST_WEIGHT].groupby("event_id").size()
    candidates["rank"] = -candidates["event_id"].map(size).fillna(0)
    order = ["rank", "event_id", "cost", "pick_id"]
    for row in candidates.sort_values(order, kind="stable").itertuples():
        place = (row.event_id, row.network, row.station, row.as_phase)
        if row.pick_id not in used and place not in taken:
            used.add(row.pick_id)
            taken.add(place)
            chosen.append((row.event_id, row.pick_id, row.as_phase))
    own = pd.DataFrame(chosen, columns=["event_id", "pick_id", "as_phase"]).merge(picks, on="pick_id")
    own.loc[own["as_phase"] != own["phase"], "time_uncertainty_s"] *= SECONDARY_WIDENING
    own["phase"] = own["as_phase"]
    rest = arrivals[~arrivals["event_id"].isin(located["event_id"])]
    rest = rest[["event_id", "pick_id"]].merge(picks, on="pick_id")
    columns = ["event_id", *tables.PICKS.names]
    whole = pd.concat([own[columns], rest[columns]], ignore_index=True)
    return whole.sort_values(["event_id", "time", "pick_id"], ignore_index=True)


def _candidates(
    events: pd.DataFrame,
    picks: pd.DataFrame,
    stations: pd.DataFrame,
    model: VelocityModel,
    settings: RefineSettings,
    single: Collection[tuple[str, str]],
    cache: Path | None,
) -> pd.DataFrame:
    """All pairs of an event and a pick that fit; ``cost`` is misfit over tolerance plus improbability."""
    known = Stations(stations)
    depth_km = events["depth_km"].to_numpy()
    origin = events["time"].to_numpy("datetime64[ns]").astype(np.int64) / NS_PER_S
    ids = events["event_id"].to_numpy()
    found: list[tuple[Any, ...]] = []
    timetables: dict[tuple[Phase, float], TravelTimeTable] = {}
    sought = picks if len(events) else picks.iloc[:0]
    for (network, station), own in sought.groupby(["network", "station"], sort=True):
        first = own.iloc[0]
        try:
            place = known.at(str(network), str(station), first["location"], first["time"].to_datetime64())
        except NotFoundError:
            continue  # the associator has reported it
        distance, _ = distance_azimuth(
            place["latitude"],
            place["longitude"],
            events["latitude"].to_numpy(),
            events["longitude"].to_numpy(),
        )
        sensor_km = round(float(np.nan_to_num(place["sensor_depth_m"] - place["elevation_m"])) / 1e3, 1)
        relabelled = settings.relabel and (network, station) in single
        for phase, as_phase in (("P", "P"), ("S", "S"), *((("P", "S"),) if relabelled else ())):
            rows = own[own["phase"] == phase].sort_values("time")
            if rows.empty:
                continue
            travel_s = _travel(timetables, model, as_phase, sensor_km, distance, depth_km, cache)
            onset = rows["time"].to_numpy("datetime64[ns]").astype(np.int64) / NS_PER_S
            doubt = 1.0 - np.nan_to_num(rows["probability"].to_numpy(), nan=1.0)
            limit = settings.tolerance_s + settings.tolerance_fraction * travel_s
            low = np.searchsorted(onset, origin + travel_s - limit)
            high = np.searchsorted(onset, origin + travel_s + limit, side="right")
            for i in np.flatnonzero(high > low):
                for j in range(low[i], high[i]):
                    cost = abs(onset[j] - origin[i] - travel_s[i]) / limit[i] + doubt[j]
                    # An S taken for what it was picked as goes before one that is relabelled.
                    cost += 1.0 if phase != as_phase else 0.0
                    found.append((ids[i], rows["pick_id"].iloc[j], network, station, as_phase, cost))
    return pd.DataFrame(found, columns=["event_id", "pick_id", "network", "station", "as_phase", "cost"])


def _travel(
    timetables: dict[tuple[Phase, float], TravelTimeTable],
    model: VelocityModel,
    phase: Phase,
    sensor_km: float,
    distance_km: np.ndarray,
    depth_km: np.ndarray,
    cache: Path | None,
) -> np.ndarray:
    key = (phase, sensor_km)
    if key not in timetables or timetables[key].max_distance_km < distance_km.max():
        timetables[key] = TravelTimeTable.build(
            model,
            phase=phase,
            sensor_depth_km=sensor_km,
            max_distance_km=float(np.ceil(max(distance_km.max(), 100.0) / 100.0) * 100.0),
            min_depth_km=-10.0,
            max_depth_km=max(100.0, float(depth_km.max())),
            cache=cache,
        )
    return timetables[key].time(distance_km, depth_km)


REJECTED = tables.Schema(
    "rejected",
    "Coincidences of picks that were not believed to be earthquakes.",
    (
        tables.Column("event_id", "string", "identifier the event would have had", required=True),
        tables.Column("time", "time", "origin time it would have had, UTC", required=True),
        tables.Column("n_p", "int", "P arrivals"),
        tables.Column("n_s", "int", "S arrivals"),
        tables.Column("reason", "string", "why it was not believed", required=True),
    ),
)


@dataclass(frozen=True)
class Verdict:
    """Events that are believed, and those that are not with the reason."""

    events: pd.DataFrame
    arrivals: pd.DataFrame
    rejected: pd.DataFrame
    """`REJECTED`."""


def believe(
    events: pd.DataFrame,
    arrivals: pd.DataFrame,
    stations: pd.DataFrame,
    spans: pd.DataFrame,
    settings: RefineSettings,
) -> Verdict:
    """Tell earthquakes from chance coincidences of picks.

    A real event is seen by most of the stations that recorded nearer than its farther arrivals; a chance
    coincidence is scattered over the network, fits badly, or rests on a few picks.

    Parameters
    ----------
    events, arrivals
        Located events and their arrivals.
    stations
        The ``stations`` table.
    spans
        When which station recorded: ``network``, ``station``, ``start``, ``end``.
    settings
        Thresholds.
    """
    known = Stations(stations)
    reasons: dict[str, str] = {}
    grouped = dict(list(arrivals.groupby("event_id")))
    fits = arrivals[arrivals["weight"] >= LEAST_WEIGHT].groupby("event_id").size()
    onset = arrivals.groupby("event_id")["time"].min()
    for event in events.itertuples():
        own = grouped.get(event.event_id, arrivals.iloc[:0])
        used = own[own["weight"] >= LEAST_WEIGHT]
        n_station = len(used[["network", "station"]].drop_duplicates())
        if np.isnan(event.latitude):
            reasons[event.event_id] = f"not located: {event.remark}"
        elif len(used) < settings.minimum_used or n_station < settings.minimum_stations:
            reasons[event.event_id] = f"only {len(used)} arrivals at {n_station} stations fit"
        elif event.rms_s > settings.maximum_rms_s:
            reasons[event.event_id] = f"residuals of {event.rms_s:.2f} s"
        elif len(used) < _shadow(fits, onset, event.event_id, settings):
            reasons[event.event_id] = (
                f"only {len(used)} arrivals fit, within {settings.shadow_s:g} s of a much larger event"
            )
        else:
            share, n = _seen(event, used, known, spans)
            if share < settings.minimum_seen:
                reasons[event.event_id] = (
                    f"seen by {share:.0%} of the {n} stations that recorded within its reach"
                )
    bad = events["event_id"].isin(reasons)
    rejected = events.loc[bad, ["event_id", "time", "n_p", "n_s"]].assign(
        reason=events.loc[bad, "event_id"].map(reasons)
    )
    return Verdict(
        events[~bad].reset_index(drop=True),
        arrivals[~arrivals["event_id"].isin(reasons)].reset_index(drop=True),
        rejected.reset_index(drop=True),
    )


def _shadow(fits: pd.Series, onset: pd.Series, event_id: str, settings: RefineSettings) -> float:
    """Arrivals an event needs beside a larger one: the picks of one are easily taken for two.

    Nearness is that of the first arrivals: of one earthquake torn in two, the origins may lie far apart.
    """
    apart = (onset - onset[event_id]).dt.total_seconds().abs()
    near = apart.index[(apart <= settings.shadow_s) & (apart.index != event_id)]
    larger = fits.reindex(near).fillna(0).max() if len(near) else 0
    own = fits.get(event_id, 0)
    return max(settings.shadow_used, settings.shadow_share * larger) if larger > own else 0.0


def _seen(event: Any, used: pd.DataFrame, known: Stations, spans: pd.DataFrame) -> tuple[float, int]:
    """Share of the stations within the median distance of the arrivals that have one, and their number."""
    when = event.time
    recording = spans[(spans["start"] <= when) & (spans["end"] > when)]
    reach = used.drop_duplicates(["network", "station"])["distance_km"].median()
    seen = set(zip(used["network"], used["station"]))
    within = hit = 0
    for network, station in sorted(set(zip(recording["network"], recording["station"]))):
        try:
            place = known.at(network, station, "", when.to_datetime64())
        except NotFoundError:
            continue
        distance, _ = distance_azimuth(place["latitude"], place["longitude"], event.latitude, event.longitude)
        if float(distance) <= reach:
            within += 1
            hit += (network, station) in seen
    return (hit / within if within else 1.0), within
