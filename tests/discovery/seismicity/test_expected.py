"""Rates in cells without simulating: they add up to the fit, and are what simulations tend to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from kaname.core.errors import InputError
from kaname.discovery.seismicity.contract import Target
from kaname.discovery.seismicity.forecasting import cells, gridded
from kaname.discovery.seismicity.poisson import Poisson
from kaname.discovery.seismicity.region import Region
from kaname.discovery.seismicity.smoothed import Smoothed

REGION = Region.from_bounds(10.0, 11.0, 45.0, 46.0)
KNOWN = Target(REGION, np.datetime64("2000-01-01"), np.datetime64("2010-01-01"), 3.0)
LATER = replace(KNOWN, start=KNOWN.end, end=np.datetime64("2011-01-01"))


def catalogue(n: int = 400) -> pd.DataFrame:
    """Return earthquakes of which most are in one quarter of the region, in bins of 0.1."""
    rng = np.random.default_rng(4)
    near = rng.random(n) < 0.8
    lon, lat = (np.where(near, rng.uniform(a, a + 0.3, n), rng.uniform(a, a + 1, n)) for a in (10, 45))
    return pd.DataFrame(
        {
            "event_id": [str(k) for k in range(n)],
            "time": KNOWN.start + np.sort(rng.uniform(0, KNOWN.days, n) * 86400e9).astype("timedelta64[ns]"),
            "longitude": lon, "latitude": lat,
            "magnitude": (3.0 + np.floor(rng.exponential(0.43, n) * 10) / 10).round(1),
        }
    )  # fmt: skip


@pytest.mark.parametrize("kind", [Poisson, Smoothed])
def test_cells_and_bins_share_the_fitted_rate(kind: type[Poisson]) -> None:
    events = catalogue()
    model = kind(magnitude_bin=0.1).fit(events, KNOWN)
    edges = np.linspace(2.95, 6.95, 41)
    table = model.expected(events, LATER, cells(REGION, 0.1), edges)
    assert len(table) == 100 * 40
    assert table["expected"].sum() == pytest.approx(model.rate_ * LATER.days)
    by_magnitude = table.groupby("magnitude_min")["expected"].sum().to_numpy()
    np.testing.assert_allclose(by_magnitude[1:] / by_magnitude[:-1], 10 ** (-0.1 * model.b_), rtol=1e-6)
    np.testing.assert_allclose(table["probability"], 1 - np.exp(-table["expected"]))


def test_it_is_what_simulations_tend_to() -> None:
    events = catalogue()
    model = Smoothed(magnitude_bin=0.0, magnitude_max=7.0, bandwidth_min_km=5.0).fit(events, KNOWN)
    grid = cells(REGION, 0.25)
    exact = model.expected(events, LATER, grid, np.linspace(3.0, 7.0, 5), n_each=10)
    seen = gridded(model.simulate(events, LATER, n=4000, seed=1), grid, LATER, 4000, [3.0])
    total = exact.groupby(["longitude_min", "latitude_min"], sort=False)["expected"].sum().to_numpy()
    error = np.sqrt(total / 4000)
    assert np.abs(total - seen["expected"].to_numpy()).max() < 4.5 * error.max() + 0.01 * total.max()
    assert np.corrcoef(total, seen["expected"])[0, 1] > 0.999


def test_bins_that_do_not_begin_where_the_fit_did() -> None:
    events = catalogue()
    model = Poisson(magnitude_bin=0.1).fit(events, KNOWN)
    for edges in ([3.0, 4.0], [2.95], [2.95, 2.9]):
        with pytest.raises(InputError, match=r"must increase from 2\.95"):
            model.expected(events, LATER, cells(REGION, 0.5), edges)


def test_a_period_that_cannot_be_is_told_without_nanoseconds():
    with pytest.raises(InputError, match="found 2010-01-01T00:00:00Z to 2000-01-01T00:00:00Z"):
        Target(REGION, KNOWN.end, KNOWN.start, 3.0)
