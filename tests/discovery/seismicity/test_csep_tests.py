"""Tests of forecasts: p-values of true forecasts are uniform, and no earthquake is left out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from kaname.core.errors import InputError
from kaname.core.forecasts import SIMULATIONS
from kaname.core.tables import EVENTS, empty, validate
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
            EDGES,
        )  # fmt: skip
        for name, found in tested.items():
            if np.isfinite(found.observed):
                out[name].append(found.randomised(rng))
    return {name: np.array(values) for name, values in out.items()}


@pytest.mark.parametrize("name", ["N", "S", "M", "L"])
def test_the_p_values_of_a_true_forecast_are_uniform(p_values, name):
    assert len(p_values[name]) > 950
    assert stats.kstest(p_values[name], "uniform").pvalue > 0.001


def test_an_earthquake_where_nothing_was_simulated_counts():
    cells = csep_tests.Cells(forecasting.cells(REGION, 0.1))
    made = simulated(200, 5)
    made = made[made["longitude"] < 13.5]
    seen = events([13.3, 13.95], [42.5, 42.05], [3.5, 4.0])
    with_it = csep_tests.catalogue_tests(made, 200, seen, cells, EDGES)
    without = csep_tests.catalogue_tests(made, 200, seen[:1], cells, EDGES)
    assert np.isfinite(with_it["S"].observed)
    assert with_it["S"].observed < without["S"].observed - 1
    assert with_it["S"].at_most == 0
    assert with_it["N"].observed == 2


def test_events_outside_the_grid_are_refused_and_none_leaves_space_untested():
    cells = csep_tests.Cells(forecasting.cells(REGION, 0.1))
    made = simulated(50, 5)
    with pytest.raises(InputError, match="1 of 2 observed earthquakes lie outside"):
        csep_tests.catalogue_tests(made, 50, events([13.5, 20.0], [42.5, 42.5], [4, 4]), cells, EDGES)
    nothing = csep_tests.catalogue_tests(made, 50, empty(EVENTS), cells, EDGES)
    assert nothing["N"].observed == 0
    assert np.isnan(nothing["S"].at_most)
    assert np.isfinite(
        csep_tests.catalogue_tests(empty(SIMULATIONS), 50, empty(EVENTS), cells, EDGES)["L"].at_most
    )


def test_grid_tests_of_a_true_poisson_forecast_are_uniform():
    rng = np.random.default_rng(4)
    grid = forecasting.cells(REGION, 0.25)
    levels = [3.0, 4.0]
    forecast = pd.concat([grid.assign(magnitude_min=m) for m in levels], ignore_index=True)
    forecast["magnitude_max"] = forecast["magnitude_min"].map({3.0: 4.0, 4.0: np.nan})
    forecast["expected"] = rng.gamma(0.5, 1.0, len(forecast)) * np.where(
        forecast["magnitude_min"] > 3, 0.1, 1
    )
    p = {name: [] for name in ("N", "L", "CL", "S", "M")}
    for k in range(150):
        n = rng.poisson(forecast["expected"])
        row = forecast.loc[forecast.index.repeat(n)]
        seen = events(row["longitude_min"] + 0.1, row["latitude_min"] + 0.1, row["magnitude_min"] + 0.2)
        for name, found in csep_tests.grid_tests(forecast, seen, n=200, seed=k).items():
            if np.isfinite(found.observed):
                p[name].append(found.randomised(rng))
    for values in p.values():
        assert stats.kstest(values, "uniform").pvalue > 0.001


def test_a_forecast_of_zero_is_refused_and_mixed_on_request():
    grid = forecasting.cells(REGION, 0.5).assign(magnitude_min=3.0, magnitude_max=np.nan)
    grid["expected"] = [0.0, 1.0, 1.0, 1.0]
    seen = events([13.1], [42.1], [3.2])
    with pytest.raises(InputError, match="uniform share"):
        csep_tests.grid_tests(grid, seen)
    assert np.isfinite(csep_tests.grid_tests(grid, seen, uniform=0.01)["L"].observed)


def test_cumulative_rows_become_bins():
    grid = forecasting.cells(REGION, 0.5)
    rows = [
        grid.assign(magnitude_min=m, magnitude_max=np.nan, expected=e) for m, e in ((3.0, 1.0), (4.0, 0.1))
    ]
    _, edges, rates = csep_tests.on_grid(pd.concat(rows, ignore_index=True))
    assert edges.tolist() == [3.0, 4.0]
    np.testing.assert_allclose(rates, np.tile([0.9, 0.1], (4, 1)))


def test_the_gain_of_a_known_pair_and_the_cover_of_its_interval():
    rng = np.random.default_rng(9)
    held = 0
    for k in range(200):
        # Second-day clusters: a rate of 1.5 or .5 per day, known to the first forecast only.
        rate = rng.choice([0.5, 1.5], 100)
        n = rng.poisson(rate)
        day = np.repeat(np.arange(100), n) + 0.5
        found = csep_tests.information_gain(
            day, np.log(np.repeat(rate, n)), expected_difference=rate - 1.0, block_days=1, days=100, n=500,
            seed=k,
        )  # fmt: skip
        truth = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
        held += found.low <= truth <= found.high
    assert 0.88 <= held / 200 <= 0.99
