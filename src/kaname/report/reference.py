"""Locations somebody else worked out, to be set beside our own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from kaname.core.errors import InputError
from kaname.core.geo import distance_azimuth
from kaname.core.time import NS_PER_S, as_time, seconds_between


@dataclass(frozen=True)
class Reference:
    """An earthquake as an analyst or another catalogue has it; what is not known is NaN or empty.

    Parameters
    ----------
    label
        Short name drawn on the map.
    time
        Origin time, UTC; anything `kaname.core.time.as_time` takes.
    latitude, longitude
        Epicentre [degree].
    depth_km
        Depth below sea level [km].
    magnitude
        Magnitude.
    source
        Who says so.
    """

    label: str
    time: Any
    latitude: float
    longitude: float
    depth_km: float = np.nan
    magnitude: float = np.nan
    source: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "time", as_time(self.time))
        if np.isfinite(self.latitude) and abs(self.latitude) > 90:
            raise InputError(f"reference {self.label!r}: no such latitude: {self.latitude}")


def compare(events: pd.DataFrame, references: Sequence[Reference], *, within_s: float = 10.0) -> pd.DataFrame:
    """Set each reference beside the event nearest in time.

    Parameters
    ----------
    events
        Table `kaname.core.tables.EVENTS`.
    references
        What to compare with.
    within_s
        Events further away in time are other earthquakes [s].

    Returns
    -------
    DataFrame
        One row per reference: ``label``, ``source``, ``time``, ``latitude``, ``longitude``, ``depth_km``,
        ``magnitude``, ``event_id`` (empty: no event at that time), and event minus reference as
        ``time_difference_s``, ``distance_km`` (epicentres), ``depth_difference_km`` and
        ``magnitude_difference``.
        Where no event matches, ``nearest_km``, ``median_km`` and ``farthest_km`` say how far all located
        epicentres lie from the reference.
    """
    rows = []
    times = events["time"].to_numpy("datetime64[ns]")
    for reference in references:
        row: dict[str, Any] = {
            **{k: getattr(reference, k) for k in ("label", "source", "time")},
            **{k: getattr(reference, k) for k in ("latitude", "longitude", "depth_km", "magnitude")},
            "event_id": "",
        }
        away = np.abs((times - reference.time).astype(np.int64)) / NS_PER_S
        distance = _distances(events, reference)
        if len(away) and away.min() <= within_s:
            event = events.iloc[int(away.argmin())]
            row["event_id"] = event["event_id"]
            row["time_difference_s"] = seconds_between(reference.time, times[away.argmin()])
            row["distance_km"] = distance[away.argmin()]
            row["depth_difference_km"] = event["depth_km"] - reference.depth_km
            row["magnitude_difference"] = event["magnitude"] - reference.magnitude
        elif np.isfinite(distance).any():
            known = distance[np.isfinite(distance)]
            row |= {"nearest_km": known.min(), "median_km": np.median(known), "farthest_km": known.max()}
        rows.append(row)
    columns = ["label", "source", "time", "latitude", "longitude", "depth_km", "magnitude", "event_id"]
    differences = ["time_difference_s", "distance_km", "depth_difference_km", "magnitude_difference"]
    return pd.DataFrame(rows, columns=[*columns, *differences, "nearest_km", "median_km", "farthest_km"])


def _distances(events: pd.DataFrame, reference: Reference) -> np.ndarray:
    out = np.full(len(events), np.nan)
    known = (events["latitude"].notna() & events["longitude"].notna()).to_numpy()
    if np.isfinite(reference.latitude) and np.isfinite(reference.longitude) and known.any():
        latitude, longitude = events.loc[known, ["latitude", "longitude"]].to_numpy().T
        out[known] = distance_azimuth(latitude, longitude, reference.latitude, reference.longitude)[0]
    return out
