"""Picks put in their place: coordinates, depth and correction of the sensor each was read on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from kaname.core.errors import NotFoundError
from kaname.formats.stations import Stations

SENSOR_STEP_KM = 0.01
"""Sensors within this of one another in depth share travel-time tables; it is worth 2 ms at most."""


def place(picks: pd.DataFrame, stations: pd.DataFrame) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Add place and correction of the sensor to each pick.

    Parameters
    ----------
    picks
        ``event_id`` and the columns of the ``picks`` table.
    stations
        The ``stations`` table.

    Returns
    -------
    placed
        The picks with ``latitude``, ``longitude`` [degrees], ``sensor_depth_km`` below sea level and
        ``correction_s`` (missing where the station is unknown), and ``used``: whether the pick has a place
        and is the least uncertain one of its phase at its station.
    failures
        Rows of the failures table, one for each event and station.
    """
    known = Stations(stations)
    epochs = {
        str(station): np.unique(own[["start", "end"]].to_numpy("datetime64[ns]").ravel())
        for station, own in stations[stations["start"].notna() | stations["end"].notna()].groupby("station")
    }
    failures: list[dict[str, Any]] = []
    found: dict[tuple[str, str, str, int], tuple[float, ...] | str] = {}
    told: set[tuple[str, str]] = set()
    places = np.full((len(picks), 4), np.nan)
    times = picks["time"].to_numpy("datetime64[ns]")
    columns = (picks[c].to_list() for c in ("event_id", "network", "station", "location", "phase"))
    for i, (event, network, station, location, phase) in enumerate(zip(*columns)):
        epoch = int(np.searchsorted(epochs[station], times[i], side="right")) if station in epochs else 0
        key = (network, station, location, epoch)
        name = f"{network}.{station}.{location}"
        if key not in found:
            try:
                row = known.at(network, station, location, times[i])
            except NotFoundError as error:
                found[key] = str(error)
            else:
                found[key] = _sensor(row)
                if np.isnan(row["elevation_m"]):
                    failures.append(_failure(name, "NotFoundError", "no elevation; sea level is assumed"))
        sensor = found[key]
        if isinstance(sensor, str):
            if (event, name) not in told:
                told.add((event, name))
                message = f"{sensor}; located without it"
                failures.append(_failure(f"{event} {name}", "NotFoundError", message, times[i]))
            continue
        places[i, :3], places[i, 3] = sensor[:3], sensor[3 if phase == "P" else 4]
    names = ("latitude", "longitude", "sensor_depth_km", "correction_s")
    placed = picks.assign(**dict(zip(names, places.T)))
    return _one_each(placed, failures), failures


def _sensor(row: dict[str, Any]) -> tuple[float, ...]:
    elevation, buried, p, s = np.nan_to_num(
        [row[c] for c in ("elevation_m", "sensor_depth_m", "p_correction_s", "s_correction_s")]
    )
    depth = round((buried - elevation) / 1000.0 / SENSOR_STEP_KM) * SENSOR_STEP_KM
    return row["latitude"], row["longitude"], round(float(depth), 6), float(p), float(s)


def _one_each(placed: pd.DataFrame, failures: list[dict[str, Any]]) -> pd.DataFrame:
    # Two readings of one phase at one station share its errors; counted twice they would look like certainty.
    there = placed["latitude"].notna()
    ranked = placed[there].sort_values(["time_uncertainty_s", "time", "pick_id"], kind="stable")
    double = ranked[ranked.duplicated(["event_id", "network", "station", "phase"])]
    for row in double.sort_index().itertuples():
        message = f"one more {row.phase} reading ({row.pick_id}) at this station; the least uncertain is used"
        name = f"{row.event_id} {row.network}.{row.station}.{row.location}"
        failures.append(_failure(name, "InputError", message, row.time))
    return placed.assign(used=there & ~placed.index.isin(double.index))


def _failure(subject: str, error: str, message: str, start: Any = pd.NaT) -> dict[str, Any]:
    return {"step": "locate", "subject": subject, "start": start, "error": error, "message": message}
