"""Rows of ``metadata.csv`` under the names that SeisBench's users expect."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd

from kaname.archive.dataset_windows import Onset, Window
from kaname.core.geo import distance_azimuth
from kaname.core.time import isoformat, seconds_between
from kaname.formats.quakeml_identifiers import evaluation_mode

_POLARITY = {"up": "positive", "down": "negative"}


def metadata_row(window: Window, read: Any, place: dict[str, Any] | None) -> dict[str, Any]:
    """Return the row of a window.

    Parameters
    ----------
    window
        What it is of.
    read
        ``start``, ``rate``, ``components``, ``complete``, ``n_sample`` as it was read.
    place
        Row of the stations table, where known.

    Returns
    -------
    dict
        Columns ``trace_*``, ``source_*``, ``station_*`` and ``path_*``; onsets in samples (with a
        fraction) from the start.
    """
    network, station, location, _ = window.ids[0].split(".")
    start = np.datetime64(read.start, "ns")
    row: dict[str, Any] = {
        "trace_start_time": isoformat(start),
        "trace_sampling_rate_hz": read.rate,
        "trace_npts": read.n_sample,
        "trace_channel": window.sensor.rsplit(".", 1)[1],
        "trace_component_order": read.components,
        "trace_completeness": round(read.complete, 6),
        "trace_category": "noise" if window.event is None else "earthquake",
        "station_network_code": network,
        "station_code": station,
        "station_location_code": location,
    }
    for onset in window.onsets:
        row |= _onset(onset, start, read.rate)
    if window.others:
        row["trace_other_onsets"] = json.dumps(
            [[o.phase, round(seconds_between(start, o.time) * read.rate, 3)] for o in window.others]
        )
    if place is not None:
        row |= {
            "station_latitude_deg": place["latitude"],
            "station_longitude_deg": place["longitude"],
            "station_elevation_m": place["elevation_m"],
        }
    if window.event is not None:
        row |= _source(window.event) | _path(window, place)
    return {k: v for k, v in row.items() if not _unknown(v)}


def _unknown(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not np.isfinite(value))


def _onset(onset: Onset, start: np.datetime64, rate: float) -> dict[str, Any]:
    name, row = f"trace_{onset.phase}", onset.row
    found = {
        f"{name}_arrival_sample": round(seconds_between(start, onset.time) * rate, 3),
        f"{name}_uncertainty_s": row["time_uncertainty_s"],
        f"{name}_residual_s": row.get("residual_s"),
    }
    method = row.get("method")
    if isinstance(method, str) and method:
        found[f"{name}_status"] = evaluation_mode(method)
        found[f"{name}_author"] = method
    if row.get("polarity") in _POLARITY:
        found[f"{name}_polarity"] = _POLARITY[row["polarity"]]
    return found | {f"{name}_probability": row.get("probability"), f"{name}_snr_db": row.get("snr_db")}


def _source(event: dict[str, Any]) -> dict[str, Any]:
    return {
        "source_id": event["event_id"],
        "source_origin_time": isoformat(np.datetime64(event["time"], "ns")),
        "source_origin_uncertainty_sec": event["time_uncertainty_s"],
        "source_latitude_deg": event["latitude"],
        "source_latitude_uncertainty_km": round(float(np.sqrt(event["cov_nn_km2"])), 6),
        "source_longitude_deg": event["longitude"],
        "source_longitude_uncertainty_km": round(float(np.sqrt(event["cov_ee_km2"])), 6),
        "source_depth_km": event["depth_km"],
        "source_depth_uncertainty_km": event["depth_uncertainty_km"],
        "source_magnitude": event["magnitude"],
        "source_magnitude_type": event["magnitude_type"] or None,
        "source_magnitude_uncertainty": event["magnitude_uncertainty"],
        "source_quality": event["quality"] or None,
    }


def _path(window: Window, place: dict[str, Any] | None) -> dict[str, Any]:
    event = window.event or {}
    row: dict[str, Any] = {}
    located = event["quality"] != "unlocated" and pd.notna(event["latitude"])
    if place is not None and located:
        here, there = (place["latitude"], place["longitude"]), (event["latitude"], event["longitude"])
        epicentral, azimuth = distance_azimuth(*there, *here)
        _, back_azimuth = distance_azimuth(*here, *there)
        below_km = event["depth_km"] + np.nan_to_num(place["elevation_m"]) / 1000
        row = {
            "path_ep_distance_km": round(epicentral.item(), 4),
            "path_hyp_distance_km": round(float(np.hypot(epicentral.item(), below_km)), 4),
            "path_azimuth_deg": round(azimuth.item(), 3),
            "path_back_azimuth_deg": round(back_azimuth.item(), 3),
        }
    if located:
        for onset in window.onsets:
            travel_s = seconds_between(window.time, onset.time)
            row[f"path_{onset.phase.lower()}_travel_s"] = round(travel_s, 4)
    return row
