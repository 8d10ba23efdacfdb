"""Location speed on one core, beside a least-squares (Geiger) location of the same arrivals by SciPy.

Run ``python benchmarks/bench_location.py``. Synthetic network; compilation and the first filling of the
travel-time cache are excluded from both. The peer gives one point and no probability: it reads the same
tables, starts at the station of the first arrival, and is what most catalogues have been made with.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import least_squares

from kaname.automation.locate import LocateSettings, locate
from kaname.core.geo import LocalFrame, distance_azimuth
from kaname.earth.traveltime import TravelTimeTable, travel_time
from kaname.earth.velocity import VelocityModel, named_model

DEFAULTS = LocateSettings()


def network(
    model: VelocityModel,
    n_event: int,
    n_station: int,
    *,
    s_share: float = 0.67,
    noise: float = 1.0,
    outliers: float = 0.0,
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return picks, stations and truth: 60 km wide, up to 2 km high, events down to 20 km.

    Errors are Gaussian with the stated standard deviation (0.03 to 0.25 s) and the location's default model
    error, times ``noise``; a share of ``outliers`` is wrong by 2 to 8 s. A new network for every 20 events.
    """
    rng = np.random.default_rng(seed)
    frame = LocalFrame(35.0, 135.0)
    picks, stations, truth = [], [], []
    for part in range(0, n_event, 20):
        names = [f"N{part // 20:03d}S{i:02d}" for i in range(n_station)]
        latitude, longitude = frame.to_geographic(*rng.uniform(-30, 30, (2, n_station)))
        height = rng.uniform(0, 2000, n_station).round(-1)
        stations.append(
            pd.DataFrame(
                {"station": names, "latitude": latitude, "longitude": longitude, "elevation_m": height}
            )
        )
        n = min(20, n_event - part)
        where = np.array(frame.to_geographic(*rng.uniform(-25, 25, (2, n))))
        depth = rng.uniform(2, 20, n)
        distance, _ = distance_azimuth(where[0][:, None], where[1][:, None], latitude, longitude)
        for phase in ("P", "S"):
            exact, _ = travel_time(
                model, distance, depth[:, None], phase=phase, sensor_depth_km=-height / 1000
            )
            read = rng.random(exact.shape) < (1.0 if phase == "P" else s_share)
            stated = rng.choice([0.03, 0.06, 0.12, 0.25], exact.shape)
            error = (
                noise
                * np.sqrt(
                    stated**2 + DEFAULTS.model_error_s**2 + (DEFAULTS.model_error_fraction * exact) ** 2
                )
                * rng.normal(size=exact.shape)
            )
            wrong = rng.random(exact.shape) < outliers
            error += wrong * rng.choice([-1, 1], exact.shape) * rng.uniform(2, 8, exact.shape)
            for k, i in zip(*np.nonzero(read)):
                event = part + k
                seconds = 100.0 * event + exact[k, i] + error[k, i]
                picks.append(
                    (f"e{event:05d}", f"{event}-{phase}-{i}", names[i], phase, seconds, stated[k, i])
                )
        truth.append(
            pd.DataFrame(
                {"latitude": where[0], "longitude": where[1], "depth_km": depth},
                index=[f"e{part + k:05d}" for k in range(n)],
            )
        )
    columns = ["event_id", "pick_id", "station", "phase", "seconds", "time_uncertainty_s"]
    table = pd.DataFrame(picks, columns=columns)
    table["time"] = np.datetime64("2020-01-01", "ns") + pd.to_timedelta(table["seconds"], unit="s")
    return table.drop(columns="seconds"), pd.concat(stations, ignore_index=True), pd.concat(truth)


def geiger(picks: pd.DataFrame, stations: pd.DataFrame, tables: dict) -> np.ndarray:
    """Locate every event by least squares; returns latitude, longitude, depth of each."""
    place = stations.set_index("station")
    out = []
    for _, own in picks.groupby("event_id"):
        seconds = own["time"].to_numpy().astype(np.int64) / 1e9
        where = place.loc[own["station"]]
        first = where.iloc[int(seconds.argmin())]
        frame = LocalFrame(first["latitude"], first["longitude"])
        x, y = frame.to_local(where["latitude"], where["longitude"])
        used = [tables[p, h] for p, h in zip(own["phase"], where["elevation_m"])]
        start, sigma = seconds.min(), own["time_uncertainty_s"].to_numpy()

        def misfit(
            v: np.ndarray, x=x, y=y, used=used, seconds=seconds, start=start, sigma=sigma
        ) -> np.ndarray:
            distance = np.hypot(x - v[0], y - v[1])
            predicted = np.array([float(t.time(d, v[2])) for t, d in zip(used, distance)])
            return (seconds - start - v[3] - predicted) / np.hypot(sigma, 0.1)

        found = least_squares(
            misfit, [1.0, 1.0, 8.0, -2.0], bounds=([-150, -150, -2, -60], [150, 150, 60, 60]), diff_step=1e-3
        )
        out.append([*frame.to_geographic(found.x[0], found.x[1]), found.x[2]])
    return np.array(out)


def main() -> None:
    """Print events per second and median errors of both."""
    model = named_model("scak")
    print(f"{'picks':>6} {'ours ev/s':>10} {'SciPy ev/s':>11} {'ratio':>6}   median error km (ours, SciPy)")
    with tempfile.TemporaryDirectory() as folder:
        for n_station, s_share, n_peer in ((6, 0.33, 60), (12, 0.67, 60), (25, 0.6, 40)):
            picks, stations, truth = network(model, 400, n_station, s_share=s_share)
            locate(picks, stations, model, cache=Path(folder))
            best, result = np.inf, None
            for _ in range(3):
                start = time.process_time()
                result = locate(picks, stations, model, cache=Path(folder))
                best = min(best, time.process_time() - start)
            assert result is not None
            few = picks[picks["event_id"] < f"e{n_peer:05d}"]
            tables = {
                (phase, h): TravelTimeTable.build(model, phase=phase, sensor_depth_km=-h / 1000)
                for phase in ("P", "S")
                for h in stations["elevation_m"][: n_station * (n_peer // 20)].unique()
            }
            start = time.process_time()
            peer = geiger(few, stations, tables)
            spent = time.process_time() - start
            rate, peer_rate = 400 / best, n_peer / spent
            found = result.events[["latitude", "longitude", "depth_km"]].to_numpy()
            errors = []
            for place, known in ((found, truth), (peer, truth.iloc[:n_peer])):
                apart, _ = distance_azimuth(place[:, 0], place[:, 1], known["latitude"], known["longitude"])
                errors.append(np.median(np.hypot(apart, place[:, 2] - known["depth_km"])))
            print(
                f"{len(picks) / 400:6.1f} {rate:10.0f} {peer_rate:11.1f} {rate / peer_rate:6.0f}"
                f"   {errors[0]:.2f} {errors[1]:.2f}"
            )


if __name__ == "__main__":
    main()
