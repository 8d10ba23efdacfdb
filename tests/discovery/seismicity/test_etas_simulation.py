"""Simulated catalogues: the numbers, times and places that the model says, and the parameters found again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from kaname.core.errors import InputError
from kaname.core.forecasts import SIMULATIONS
from kaname.core.tables import EVENTS, empty, validate
from kaname.discovery.seismicity.background import KernelDensity, Uniform
from kaname.discovery.seismicity.contract import Target, get_model
from kaname.discovery.seismicity.etas.model import Etas
from kaname.discovery.seismicity.etas.parameters import EtasParameters
from kaname.discovery.seismicity.etas.simulation import Delays, branching_ratio
from kaname.discovery.seismicity.gutenberg_richter import GutenbergRichter
from kaname.discovery.seismicity.region import Region

REGION = Region.from_bounds(140, 141, 36, 37)
TRUE = EtasParameters(0.5, 0.01, 1.3, 0.01, 0.1, 400.0, 0.5, 0.8, 0.7)
WEEK = Target(REGION, "2020-01-01", "2020-01-08", 3.0)


def model(p=TRUE, **options):
    return Etas.with_parameters(p, 3.0, Uniform(REGION), b=1.0, **options)


def mainshock(magnitude=6.0, hours=2.0):
    time = WEEK.start - np.timedelta64(int(hours * 3600), "s")
    frame = pd.DataFrame(
        {
            "event_id": ["m"],
            "time": [time],
            "longitude": [140.5],
            "latitude": [36.5],
            "magnitude": [magnitude],
        }
    )
    return validate(frame, EVENTS)


def test_the_same_seed_gives_the_same_catalogues():
    a, b, c = (model().simulate(mainshock(), WEEK, n=50, seed=s) for s in (1, 1, 2))
    pd.testing.assert_frame_equal(a, b)
    assert len(a) != len(c)
    validate(a, SIMULATIONS)
    assert a.simulation.between(0, 49).all() and REGION.contains(a.longitude, a.latitude).all()
    assert ((a.time >= WEEK.start) & (a.time < WEEK.end)).all()


def test_numbers_are_those_expected():
    # No aftershocks of aftershocks: magnitudes all at the least, productivity growing steeply.
    p = replace(TRUE, k0=1e-5, a=5.0)
    whole = Target(Region.from_bounds(100, 180, 0, 70), WEEK.start, WEEK.end, 3.0)
    made = Etas.with_parameters(p, 3.0, Uniform(whole.region), b=1.0, magnitude_max=3.01)
    simulated = made.simulate(mainshock(), whole, n=4000, seed=0)
    one = validate(pd.concat([mainshock(), mainshock()]).assign(event_id=["m", "x"]), EVENTS)
    one.loc[1, "time"] = WEEK.end - np.timedelta64(1, "s")
    expected = made.likelihood(one, whole).expected_by_source(p)[0]
    counts = np.bincount(simulated.simulation, minlength=4000)
    mean = expected + p.mu * 7
    assert counts.mean() == pytest.approx(mean, abs=4 * np.sqrt(mean / 4000))
    assert counts.var() == pytest.approx(mean, rel=0.1)


def test_times_of_aftershocks_follow_the_decay():
    delays, rng = Delays(TRUE, 1000.0), np.random.default_rng(0)
    begin, end = np.full(20_000, 0.05), np.full(20_000, 30.0)
    drawn = delays.draw(begin, end, rng)

    def share(s):
        s = np.asarray(s)
        return delays.integral(np.full(s.shape, 0.05), s) / delays.integral(begin[:1], end[:1])

    assert stats.kstest(drawn, share).pvalue > 1e-3
    whole = delays.integral(np.zeros(1), np.array([1000.0]))[0]
    u = np.linspace(np.log(TRUE.c), np.log(1000 + TRUE.c), 2_000_001)
    wanted = np.trapezoid(np.exp(-(np.exp(u) - TRUE.c) / TRUE.tau - TRUE.omega * u), u)
    assert whole == pytest.approx(wanted, rel=1e-6)


def test_magnitudes_are_exponential_up_to_the_greatest():
    law = GutenbergRichter(0.9, 3.0, 5.0)
    drawn = law.draw(50_000, np.random.default_rng(1))
    beta = 0.9 * np.log(10)
    assert stats.kstest(drawn, lambda m: np.expm1(-beta * (m - 3)) / np.expm1(-beta * 2)).pvalue > 1e-3
    assert law.mean_exponential(1.2) == pytest.approx(np.exp(1.2 * (drawn - 3)).mean(), rel=0.02)
    assert law.mean_exponential(beta) == pytest.approx(np.exp(beta * (drawn - 3)).mean(), rel=0.05)


def test_the_background_is_drawn_as_it_is_dense():
    rng = np.random.default_rng(5)
    lon, lat = rng.normal(140.3, 0.05, 100), rng.normal(36.7, 0.05, 100)
    made = KernelDensity(REGION, lon, lat, np.ones(100), bandwidth_min_km=3, uniform=0.2)
    x, y = made.draw(20_000, rng)
    assert REGION.contains(x, y).all()
    corner = Region.from_bounds(140.5, 141, 36, 36.5)
    assert corner.contains(x, y).mean() == pytest.approx(0.2 * corner.area_km2 / REGION.area_km2, rel=0.1)


def test_parameters_are_found_again():
    p = replace(TRUE, mu=1.0, k0=0.006, tau=200.0)
    assert branching_ratio(p, 3.0, GutenbergRichter(1.0, 3.0, 7.0)) == pytest.approx(0.61, abs=0.02)
    year = Target(REGION, "2020-01-01", "2024-01-01", 3.0)
    catalogue = model(p, magnitude_max=7.0).simulate(empty(EVENTS), year, n=1, seed=3)
    catalogue["event_id"] = [f"e{i}" for i in range(len(catalogue))]
    fit = Etas(background="uniform").fit(catalogue, year)
    error = np.sqrt(np.diag(fit.maximum_.covariance))
    off = (fit.parameters_.vector() - p.vector()) / error
    assert fit.maximum_.converged and (np.abs(off) < 4).all(), off
    assert fit.b_ == pytest.approx(1.0, abs=0.05)
    assert fit.score(catalogue, year).expected == pytest.approx(len(catalogue), rel=1e-3)


def test_what_cannot_be_simulated_or_fitted():
    with pytest.raises(InputError, match="branching ratio"):
        model(replace(TRUE, k0=1.0), magnitude_max=8.0).simulate(mainshock(), WEEK, n=1000, seed=0)
    with pytest.raises(InputError, match="positive"):
        model().simulate(mainshock(), WEEK, n=0, seed=0)
    with pytest.raises(InputError, match="too few"):
        get_model("etas").fit(mainshock(hours=-3), WEEK)
    with pytest.raises(InputError, match="uniform, kernel"):
        get_model("etas", background="flat")


def test_no_history_and_no_event_is_an_empty_table():
    quiet = model(replace(TRUE, mu=1e-9)).simulate(empty(EVENTS), WEEK, n=5, seed=0)
    assert not len(quiet) and list(quiet.columns) == list(SIMULATIONS.names)
