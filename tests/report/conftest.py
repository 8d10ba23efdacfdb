"""A small synthetic catalogue for the report tests; nothing in it is real."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kaname.core import tables
from kaname.core.geo import LocalFrame, distance_azimuth
from kaname.core.waveform import Waveform

START = np.datetime64("2020-01-01T00:00:00", "ns")


def synthetic(
    n_event: int = 6,
    n_station: int = 4,
    *,
    latitude: float = 48.05,
    longitude: float = 11.65,
    half_size_km: float = 5.0,
) -> dict[str, pd.DataFrame]:
    """Return the five tables of a network about a place; the last event is unlocated."""
    random = np.random.default_rng(7)
    frame = LocalFrame(latitude, longitude)
    place = frame.to_geographic(*random.uniform(-half_size_km, half_size_km, (2, n_station)))
    stations = tables.table(
        [
            {"network": "XX", "station": f"S{i:02d}", "latitude": a, "longitude": b, "elevation_m": 500.0}
            for i, (a, b) in enumerate(zip(*place))
        ],
        tables.STATIONS,
    )
    epicentre = frame.to_geographic(*random.normal(0, half_size_km / 3, (2, n_event)))
    events, picks, arrivals = [], [], []
    for i in range(n_event):
        origin = START + np.timedelta64(3600 * i, "s")
        event: dict[str, Any] = {"event_id": f"ev{i}", "time": origin}
        lat, lon, depth = epicentre[0][i], epicentre[1][i], 2.0 + i % 7
        distance, azimuth = distance_azimuth(lat, lon, stations["latitude"], stations["longitude"])
        if i == n_event - 1 and n_event > 1:
            event |= {"quality": "unlocated", "remark": "too few picks"}
        else:
            event |= {
                "latitude": lat,
                "longitude": lon,
                "depth_km": depth,
                "cov_ee_km2": 0.09,
                "cov_nn_km2": 0.16,
                "cov_zz_km2": 0.49,
                "depth_uncertainty_km": 0.7,
                "ellipse_major_km": 0.6,
                "ellipse_minor_km": 0.4,
                "ellipse_azimuth_deg": 20.0,
                "magnitude": 0.5 + 0.1 * (i % 30),
                "magnitude_type": "ML",
                "quality": "ABCD"[i % 4],
                "n_p": n_station,
                "n_s": n_station,
            }
        events.append(event)
        for j in range(n_station):
            for phase, speed in (("P", 5.8), ("S", 5.8 / 1.73)):
                residual = random.normal(0, 0.05)
                seconds = np.hypot(distance[j], depth) / speed + residual
                onset = {
                    "pick_id": f"{i}.{j}.{phase}",
                    "network": "XX",
                    "station": f"S{j:02d}",
                    "channel": "HHZ",
                    "phase": phase,
                    "time": origin + np.timedelta64(round(seconds * 1e9), "ns"),
                }
                picks.append(onset)
                fit = {
                    "residual_s": residual,
                    "weight": 1.0,
                    "distance_km": distance[j],
                    "azimuth_deg": azimuth[j],
                }
                arrivals.append({"event_id": f"ev{i}", **onset, **fit})
    return {
        "events": tables.table(events, tables.EVENTS),
        "arrivals": tables.table(arrivals, tables.ARRIVALS),
        "picks": tables.table(picks, tables.PICKS),
        "stations": stations,
        "failures": tables.empty(tables.FAILURES),
    }


def noise(event: int, *, n_station: int = 4, components: str = "ZNE") -> list[Waveform]:
    """Return 20 s of noise about event ``event`` at every station, 100 Hz."""
    random = np.random.default_rng(event)
    start = START + np.timedelta64(3600 * event - 5, "s")
    return [
        Waveform(random.normal(40, 9, (1, 2000)), (f"XX.S{j:02d}..HH{c}",), start, 100.0)
        for j in range(n_station)
        for c in components
    ]


@pytest.fixture
def catalogue() -> dict[str, pd.DataFrame]:
    """Tables of six events at four stations."""
    return synthetic()


@pytest.fixture(scope="session")
def make_catalogue() -> Callable[..., dict[str, pd.DataFrame]]:
    """Maker of synthetic catalogues: number of events and stations, and where."""
    return synthetic


@pytest.fixture(scope="session")
def waveforms() -> Callable[[str], list[Waveform]]:
    """Waveforms of an event by its identifier."""
    return lambda event_id: noise(int(event_id[2:]))
