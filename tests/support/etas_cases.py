"""A made-up catalogue and parameters for the tests of ETAS."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kaname.discovery.seismicity.contract import Target
from kaname.discovery.seismicity.etas.parameters import EtasParameters
from kaname.discovery.seismicity.region import Region

TAPERED = EtasParameters(0.8, 0.02, 1.2, 0.005, -0.1, 300.0, 0.3, 0.7, 0.5)
OPEN = EtasParameters(0.8, 0.02, 1.2, 0.005, 0.15, np.inf, 0.3, 0.7, 0.5)
REGION = Region.from_bounds(140, 141, 36, 37)
TARGET = Target(REGION, "2020-01-01", "2020-12-31", 3.0, "2019-06-01")


def catalogue(n=400, seed=0):
    rng = np.random.default_rng(seed)
    days = np.sort(rng.uniform(-300, 365, n))
    return pd.DataFrame(
        {
            "event_id": [f"e{i}" for i in range(n)],
            "time": np.datetime64("2020-01-01", "ns") + (days * 86400e9).astype("timedelta64[ns]"),
            "longitude": rng.normal(140.5, 0.5, n),
            "latitude": rng.normal(36.5, 0.5, n),
            "magnitude": 2.8 + rng.exponential(0.45, n),
        }
    )
