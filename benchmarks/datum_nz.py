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
    """Return the computed travel times of all arrivals with a residual.

    Columns: ``event_id``, ``phase``, ``distance_km``, ``depth_km``, ``elevation_km``, ``time_s``. Distances
    follow from the coordinates, which have more digits than the distances of the files.
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


def fit(times: pd.DataFrame, *, datum_km: float | None = None) -> HalfSpace:
    """Fit speed, ratio, elevation factor and, unless it is given, datum; large misfits count little."""

    def space(values: Floats) -> HalfSpace:
        vp_km_s, vp_vs, factor, *datum = map(float, values)
        return HalfSpace(vp_km_s, vp_vs, datum[0] if datum else float(datum_km or 0.0), factor)

    def residual(values: Floats) -> Floats:
        return misfits(times, space(values).times(times))

    start = [6.0, 1.7, 1.0] if datum_km is not None else [6.0, 1.7, 1.0, 0.0]
    return space(least_squares(residual, start, loss="soft_l1", f_scale=0.005).x)


def layered(times: pd.DataFrame, model: VelocityModel, *, top_km: float) -> Floats:
    """Return travel times [s] through ``model`` with depth zero ``top_km`` above sea level."""
    computed = np.zeros(len(times))
    phases: tuple[Phase, ...] = ("P", "S")
    for phase in phases:
        for elevation, rows in times[times["phase"] == phase].groupby("elevation_km"):
            table = TravelTimeTable.build(
                model,
                phase=phase,
                sensor_depth_km=top_km - float(elevation),
                max_distance_km=150.0,
                min_depth_km=-5.0,
                max_depth_km=40.0,
            )
            where = times.index.get_indexer(rows.index)
            computed[where] = table.time(rows["distance_km"], rows["depth_km"])
    return computed


def main() -> None:
    """Print how well models explain the published times."""
    times = published(folder())
    model = VelocityModel.read(folder() / "STATION0.HYP")
    highest = read_stations(folder() / "STATION0.HYP").table["elevation_m"].max()
    print(f"{len(times)} published travel times of {times['event_id'].nunique()} solutions; ", end="")
    print(f"highest station of the file {highest:.0f} m\n")
    print("| model | depth zero above sea level [km] | median absolute misfit [ms] |\n|---|---|---|")
    for top_km in (0.0, highest / 1e3):
        misfit = np.median(np.abs(misfits(times, layered(times, model, top_km=top_km))))
        print(f"| layers of STATION0.HYP | {top_km:.2f} | {1e3 * misfit:.1f} |")
    for datum_km in (0.0, 1.2, 2.0, None):
        best = fit(times, datum_km=datum_km)
        misfit = np.median(np.abs(misfits(times, best.times(times))))
        how = " (free)" if datum_km is None else ""
        print(
            f"| half-space, vp {best.vp_km_s:.2f} km/s, vp/vs {best.vp_vs:.2f}, elevations counted "
            f"{best.elevation_factor:.2f} times | {best.datum_km:.2f}{how} "
            f"| {1e3 * misfit:.1f} |"
        )


if __name__ == "__main__":
    main()
