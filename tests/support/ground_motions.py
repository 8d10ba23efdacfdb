"""Tables of ground motions whose components are known, because they are made of them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kaname.core.shaking import column_of
from kaname.modeling.ground_motion import get_model

TAU, PHI_S2S, PHI_SS = 0.4, 0.35, 0.45


def made_ground_motions(
    n_event: int = 40,
    n_station: int = 60,
    *,
    seed: int = 0,
    trend: float = 0.0,
    measures: tuple[str, ...] = ("pga",),
    network_seed: int = 0,
) -> pd.DataFrame:
    """Boore et al. (2014) with other scatter, and ``trend`` times the depth in units of 10 km on top.

    Tables of one ``network_seed`` have the same stations with the same site terms.
    """
    network, rng = np.random.default_rng(network_seed), np.random.default_rng(seed)
    place = network.uniform([35.0, 138.0], [37.0, 140.0], (n_station, 2))
    vs30 = np.exp(network.normal(6.0, 0.4, n_station))
    site_term = network.normal(0, PHI_S2S, n_station)
    epicentre = rng.uniform([35.5, 138.5], [36.5, 139.5], (n_event, 2))
    magnitude, depth = rng.uniform(4.0, 6.5, n_event), rng.uniform(3.0, 30.0, n_event)
    event_term = rng.normal(0, TAU, n_event)
    event, station = (a.ravel() for a in np.meshgrid(np.arange(n_event), np.arange(n_station), indexing="ij"))
    heard = rng.uniform(size=event.size) < rng.uniform(0.2, 1.0, n_event)[event]
    event, station = event[heard], station[heard]
    north = 111.2 * (place[station, 0] - epicentre[event, 0])
    east = 90.0 * (place[station, 1] - epicentre[event, 1])
    repi = np.hypot(north, east)
    table = pd.DataFrame(
        {
            "record_id": [f"{seed}-{e}-{s}" for e, s in zip(event, station, strict=True)],
            "event_id": [f"event {seed}-{e:03d}" for e in event],
            "event_time": np.datetime64("2020-01-01", "ns")
            + (event * 7 + seed * 5000) * np.timedelta64(1, "h"),
            "event_latitude": epicentre[event, 0],
            "event_longitude": epicentre[event, 1],
            "event_depth_km": depth[event],
            "magnitude": magnitude[event],
            "station": [f"S{s:03d}" for s in station],
            "latitude": place[station, 0],
            "longitude": place[station, 1],
            "vs30_m_s": vs30[station],
            "rjb_km": repi,
            "rrup_km": np.hypot(repi, depth[event]),
            "longest_period_s": rng.uniform(0.5, 20.0, event.size),
        }
    )
    for measure in measures:
        mean = get_model("boore_2014", mechanism="unspecified").predict(table, measure).mean
        mean = mean + trend * (depth[event] / 10.0 - 1.5)
        rest = event_term[event] + site_term[station] + PHI_SS * rng.normal(size=event.size)
        table[column_of(measure)] = np.exp(mean + rest)
    return table
