"""From where the published depths of the New Zealand case are counted, and through which velocity model.

``python benchmarks/datum_nz.py``. The S-files give residuals, so they tell the travel times that the program
which located the events had computed: pick time minus residual minus origin time. A half-space whose datum
is free is fitted to them, and the layers of STATION0.HYP are set beside it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import least_squares

from kaname.core.geo import distance_azimuth
from kaname.earth.traveltime import TravelTimeTable
from kaname.earth.velocity import Phase, VelocityModel
from kaname.formats.catalogs import read_events
from kaname.formats.stations import read_stations

Floats = NDArray[np.float64]


def folder() -> Path:
    """The real case, found through KANAME_DATA."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("KANAME_DATA", default)) / "network" / "nz_samba_2013"


def published(case: Path) -> pd.DataFrame:
    """Computed travel times: ``event_id``, ``phase``, ``distance_km``, ``depth_km``, ``elevation_km``, ``time_s``.

    Only arrivals with a residual are returned; distances follow from the coordinates, which have more digits
    than the distances of the files.
    """
    read = read_events(sorted((case / "REA").iterdir()))
    stations = read_stations(case / "STATION0.HYP")
    own = read.arrivals[read.arrivals["residual_s"].notna()]
    own = own.merge(read.events, on="event_id", suffixes=("", "_event"))
    place = [stations.at(n, s, "", t) for n, s, t in zip(own["network"], own["station"], own["time"])]
    distance, _ = distance_azimuth(
        own["latitude"].to_numpy(),
        own["longitude"].to_numpy(),
        np.array([p["latitude"] for p in place]),
        np.array([p["longitude"] for p in place]),
    )
    travel_s = (own["time"] - own["time_event"]).dt.total_seconds() - own["residual_s"]
    return pd.DataFrame(
        {
            "event_id": own["event_id"],
            "phase": own["phase"],
            "distance_km": distance,
            "depth_km": own["depth_km"],
            "elevation_km": [p["elevation_m"] / 1e3 for p in place],
            "time_s": travel_s,
        }
    )


def misfits(times: pd.DataFrame, computed_s: Floats) -> Floats:
    """Return computed minus published times without the median of each event.

    Published origin times have one decimal, which shifts all times of an event alike.
    """
    difference = pd.Series(computed_s - times["time_s"].to_numpy(), index=times.index)
    return (difference - difference.groupby(times["event_id"]).transform("median")).to_numpy()


@dataclass(frozen=True)
class HalfSpace:
    """The half-space that explains the published travel times best."""

    vp_km_s: float
    vp_vs: float
    datum_km: float
    """Height of depth zero above sea level."""
    elevation_factor: float
    """Share of the stations' elevations that was counted."""

    def times(self, times: pd.DataFrame) -> Floats:
        """Return travel times [s] of the rows of `published`."""
        below_km = times["depth_km"] - self.datum_km + self.elevation_factor * times["elevation_km"]
        slowness = np.where(times["phase"] == "P", 1.0, self.vp_vs) / self.vp_km_s
        return np.asarray(slowness * np.hypot(times["distance_km"], below_km), dtype=float)


def fit(times: pd.DataFrame) -> HalfSpace:
    """Fit speed, ratio, datum and elevation factor by the sum of absolute misfits (smoothed)."""

    def residual(values: Floats) -> Floats:
        return misfits(times, HalfSpace(*values).times(times))

    start = np.array([6.0, 1.7, 0.0, 1.0])
    return HalfSpace(*map(float, least_squares(residual, start, loss="soft_l1", f_scale=0.005).x))


def layered(times: pd.DataFrame, model: VelocityModel) -> Floats:
    """Return travel times [s] through ``model``, depths counted from sea level and sensors at their elevation."""
    computed = np.zeros(len(times))
    phases: tuple[Phase, ...] = ("P", "S")
    for phase in phases:
        for elevation, rows in times.groupby("elevation_km"):
            table = TravelTimeTable.build(
                model,
                phase=phase,
                sensor_depth_km=-float(elevation),
                max_distance_km=150.0,
                min_depth_km=-5.0,
                max_depth_km=40.0,
            )
            here = (rows["phase"] == phase).to_numpy()
            where = times.index.get_indexer(rows.index[here])
            computed[where] = table.time(rows["distance_km"][here], rows["depth_km"][here])
    return computed


def main() -> None:
    """Print the fit and what the file's own layers give."""
    times = published(folder())
    best = fit(times)
    model = VelocityModel.read(folder() / "STATION0.HYP")
    highest = read_stations(folder() / "STATION0.HYP").table["elevation_m"].max()
    print(f"{len(times)} published travel times of {times['event_id'].nunique()} solutions")
    print("| travel times | median absolute misfit [ms] |\n|---|---|")
    print(f"| fitted half-space | {1e3 * np.median(np.abs(misfits(times, best.times(times)))):.1f} |")
    sea = misfits(times, layered(times, model))
    print(f"| layers of STATION0.HYP, depths from sea level | {1e3 * np.median(np.abs(sea)):.1f} |")
    lowered = times.assign(depth_km=times["depth_km"] - best.datum_km)
    raised = misfits(times, layered(lowered, model))
    print(f"| layers of STATION0.HYP, depths from the fitted datum | {1e3 * np.median(np.abs(raised)):.1f} |")
    print(
        f"half-space: vp {best.vp_km_s:.2f} km/s, vp/vs {best.vp_vs:.2f}, depth zero {best.datum_km:.2f} km "
        f"above sea level, elevations counted {best.elevation_factor:.2f} times; "
        f"highest station of the file {highest:.0f} m"
    )


if __name__ == "__main__":
    main()
