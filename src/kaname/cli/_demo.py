"""Input of the demonstration: what ObsPy's own wheel carries, and what follows from it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kaname.core import tables
from kaname.core.errors import NotFoundError
from kaname.core.geo import LocalFrame
from kaname.formats.catalogs import EventSet, read_events

WAVEFORMS = "signal/tests/data/BW.UH?._.?H?.D.2010.147.cut.slist.gz"
SISTER = "io/cnv/tests/data/obspyck_20141020150701.xml"


def inputs(out: Path) -> tuple[list[Path], Path, EventSet, Path]:
    """Find the waveforms and the analyst's event, and write what follows from that event into ``out/input``.

    Returns
    -------
    waveforms
        Files of the four stations.
    stations
        CSV of their coordinates, from distance and azimuth of the analyst's arrivals.
    sister
        The analyst's event.
    model
        CSV of the velocity model: the half-space that fits the analyst's travel times.

    Raises
    ------
    NotFoundError
        When this installation of ObsPy comes without its test data.
    """
    spec = find_spec("obspy")
    root = Path(str(spec.origin)).parent if spec else Path()
    waveforms = sorted(root.glob(WAVEFORMS))
    if len(waveforms) < 6 or not (root / SISTER).is_file():
        raise NotFoundError(
            f"ObsPy's test data are not in {root}; some distributions leave them out: "
            "install ObsPy with pip and try again"
        )
    sister = read_events(root / SISTER)
    folder = out / "input"
    folder.mkdir(parents=True, exist_ok=True)
    place = _stations(sister)
    place.to_csv(folder / "stations.csv", index=False)
    model = _half_space(sister)
    (folder / "half-space.csv").write_text(model)
    return waveforms, folder / "stations.csv", sister, folder / "half-space.csv"


def _stations(sister: EventSet) -> pd.DataFrame:
    event = sister.events.iloc[0]
    frame = LocalFrame(event["latitude"], event["longitude"])
    rows = []
    for station, own in sister.arrivals.groupby("station"):
        azimuth = np.radians(own["azimuth_deg"].mean())
        distance = own["distance_km"].mean()
        latitude, longitude = frame.to_geographic(distance * np.sin(azimuth), distance * np.cos(azimuth))
        rows.append(
            {
                "network": "BW",
                "station": station,
                "latitude": round(float(latitude), 5),
                "longitude": round(float(longitude), 5),
                "elevation_m": 0.0,
            }
        )
    return tables.table(rows, tables.STATIONS)


def _half_space(sister: EventSet) -> str:
    """The half-space whose P and S speeds fit the analyst's travel times best (least squares), as CSV."""
    event = sister.events.iloc[0]
    speeds = []
    for phase in "PS":
        own = sister.arrivals[sister.arrivals["phase"] == phase]
        travel_s = (own["time"] - event["time"]).dt.total_seconds()
        path_km = np.hypot(own["distance_km"], event["depth_km"])
        speeds.append(float((path_km * travel_s).sum() / (travel_s**2).sum()))
    return f"depth_km,vp_km_s,vs_km_s\n0,{speeds[0]:.3f},{speeds[1]:.3f}\n"


def settings_of_four_stations() -> dict[str, Any]:
    """Return the settings in which a network of four stations, one with three components, needs to differ."""
    return {
        "associate": {
            "minimum_picks": 4,
            "minimum_p": 3,
            "minimum_stations": 3,
            "tolerance_s": 0.3,
            "margin_km": 10.0,
            "maximum_depth_km": 15.0,
        },
        # The half-space is fitted to travel times from the same place: it errs less than most models do.
        "locate": {"maximum_depth_km": 20.0, "model_error_s": 0.05},
        "refine": {"minimum_used": 4, "minimum_stations": 3, "tolerance_s": 0.25},
        # Three of the stations have a noisy vertical alone.
        "kaname": {"min_probability_p": 0.1, "min_probability_s": 0.1},
    }
