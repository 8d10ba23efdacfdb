"""Tests of forecasts: p-values of true forecasts are uniform, and no earthquake is left out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from kaname.core.tables import EVENTS, validate
from kaname.discovery.seismicity import csep_tests, forecasting
from kaname.discovery.seismicity.background import Uniform
from kaname.discovery.seismicity.contract import Target
from kaname.discovery.seismicity.etas.model import Etas
from kaname.discovery.seismicity.etas.parameters import EtasParameters
from kaname.discovery.seismicity.region import Region

START = np.datetime64("2020-01-01", "ns")
REGION = Region.from_bounds(13, 14, 42, 43)
TRUTH = EtasParameters.from_ogata_zhuang(mu=0.8, A=0.25, c=0.01, alpha=1.5, p=1.2, D=2.0, q=1.8, gamma=0.9)
EDGES = np.arange(3, 8, 0.2)


def events(longitude, latitude, magnitude, day=None):
    n = len(longitude)
    day = np.linspace(0, 1, n) if day is None else day
    return validate(
        pd.DataFrame(
            {
                "event_id": [f"e{k}" for k in range(n)],
                "time": START + (np.asarray(day, float) * 86400e9).astype("timedelta64[ns]"),
                "longitude": longitude,
                "latitude": latitude,
                "magnitude": magnitude,
            }
        ),
        EVENTS,
    )


def simulated(n, seed):
    model = Etas.with_parameters(TRUTH, 3.0, Uniform(REGION), b=1.0, magnitude_max=7.5)
    history = events([13.5], [42.5], [5.5], [-2.0])
    target = Target(REGION, START, START + np.timedelta64(7, "D"), 3.0)
    return model.simulate(history, target, n=n, seed=seed)


@pytest.fixture(scope="module")
def p_values():
    """Randomised p-values of 1,000 catalogues of the model that is tested, each against 400 others."""
    rng = np.random.default_rng(8)
    cells = csep_tests.Cells(forecasting.cells(REGION, 0.1))
    n, n_truth = 400, 1000
    truth = simulated(n_truth, 1)
    out = {name: [] for name in "NSML"}
    pool = simulated(n * 50, 2)
    for k in range(n_truth):
        first = (k % 50) * n
        some = pool[(pool["simulation"] >= first) & (pool["simulation"] < first + n)]
        tested = csep_tests.catalogue_tests(
            some.assign(simulation=some["simulation"] - first), n, truth[truth["simulation"] == k], cells,
            EDGES, seed=k,
        )  # fmt: skip
        for name, found in tested.items():
            if np.isfinite(found.observed):
                out[name].append(found.randomised(rng))
    return {name: np.array(values) for name, values in out.items()}


@pytest.mark.parametrize("name", ["N", "S", "M", "L"])
def test_the_p_values_of_a_true_forecast_are_uniform(p_values, name):
    assert len(p_values[name]) > 950
    assert stats.kstest(p_values[name], "uniform").pvalue > 0.001
