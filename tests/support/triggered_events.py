"""A catalogue that ETAS made, and every model of seismicity fitted to its first three years."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from kaname.discovery.seismicity.background import Uniform
from kaname.discovery.seismicity.contract import SeismicityModel, Target, get_model
from kaname.discovery.seismicity.etas.model import Etas
from kaname.discovery.seismicity.etas.parameters import EtasParameters
from kaname.discovery.seismicity.hybrid import HybridSettings
from kaname.discovery.seismicity.region import Region

REGION = Region.from_bounds(10.0, 10.6, 45.0, 45.4)
TRUTH = EtasParameters(mu=0.5, k0=0.002, a=1.6, c=0.01, omega=0.1, tau=300.0, d=0.2, gamma=0.8, rho=0.8)
KNOWN = Target(REGION, np.datetime64("2000-01-01"), np.datetime64("2003-01-01"), 2.0)
LATER = Target(REGION, np.datetime64("2003-01-01"), np.datetime64("2004-01-01"), 2.0)
SETTINGS = HybridSettings(densities=((5, 1.0),), reaches_km=(0.0, 2.0), update_days=120.0)


@cache
def events() -> pd.DataFrame:
    """Return a catalogue of four years that ETAS made."""
    model = Etas.with_parameters(TRUTH, 2.0, Uniform(REGION), magnitude_max=5.0)
    none = pd.DataFrame(
        {
            "event_id": pd.Series(dtype=str),
            "time": pd.Series(dtype="datetime64[ns]"),
            **{n: pd.Series(dtype=float) for n in ("longitude", "latitude", "magnitude")},
        }
    )
    made = model.simulate(none, replace(KNOWN, end=LATER.end), n=1, seed=3)
    return made.assign(event_id=[str(k) for k in range(len(made))])


def options(name: str) -> dict[str, Any]:
    """Return what makes a model small enough for a test; a new one takes its defaults."""
    return {
        "etas": {"magnitude_max": 6.0},
        "hybrid": {"etas": Etas(magnitude_max=6.0), "settings": SETTINGS},
        "neural": {"epochs": 2, "bandwidth_min_km": 1.0},
        "smoothed": {"bandwidth_min_km": 1.0},
    }.get(name, {})


@cache
def fitted(name: str) -> SeismicityModel:
    """Return a model fitted to the first three years."""
    return get_model(name, **options(name)).fit(events(), KNOWN)
