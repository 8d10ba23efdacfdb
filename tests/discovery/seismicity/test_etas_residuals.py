"""Residuals in space: even where the model is right, not where it is wrong; cells hold what is expected."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from kaname.core.errors import InputError
from kaname.core.geo import on_sphere
from kaname.core.tables import EVENTS, empty, validate
from kaname.discovery.seismicity.background import KernelDensity, Uniform
from kaname.discovery.seismicity.completeness import CompletenessLaw, after_large
from kaname.discovery.seismicity.contract import Target
from kaname.discovery.seismicity.etas.model import Etas
from kaname.discovery.seismicity.etas.parameters import EtasParameters
from kaname.discovery.seismicity.etas.thinning import super_thinned
from kaname.discovery.seismicity.etas.voronoi import voronoi_residuals
from kaname.discovery.seismicity.region import Region

OUTER = Region.from_bounds(139.5, 141.5, 35.5, 37.5)
REGION = Region.from_bounds(140, 141, 36, 37)
TRUE = EtasParameters(0.6, 0.006, 1.3, 0.01, 0.1, 200.0, 0.5, 0.8, 0.7)
TARGET = Target(REGION, "2018-07-01", "2019-07-01", 3.0)


def model(p=TRUE, where=None):
    return Etas.with_parameters(p, 3.0, where or Uniform(REGION), magnitude_max=6.0)


def clusters():
    lon, lat = np.random.default_rng(1).uniform([[140.1], [36.1]], [[140.9], [36.9]], (2, 20))
    return KernelDensity(REGION, lon, lat, np.ones(20), bandwidth_min_km=5.0, neighbours=1)


def catalogue(seed):
    wide = replace(TRUE, mu=TRUE.mu * OUTER.area_km2 / REGION.area_km2)
    known = Etas.with_parameters(wide, 3.0, Uniform(OUTER), magnitude_max=6.0)
    made = known.simulate(empty(EVENTS), Target(OUTER, "2018-01-01", "2019-07-01", 3.0), n=1, seed=seed)
    return made.assign(event_id=[f"e{k}" for k in range(len(made))])


@pytest.fixture(scope="module")
def catalogues():
    return [catalogue(seed) for seed in range(40)]


def test_rates_anywhere_are_the_sum_over_what_came_before(catalogues):
    events = catalogues[0]
    likelihood = model().likelihood(events, TARGET)
    sources = TARGET.sources(events)
    rng = np.random.default_rng(0)
    day, lon, lat = rng.uniform(0, 365, 50), rng.uniform(140, 141, 50), rng.uniform(36, 37, 50)
    place, density = on_sphere(lat, lon), Uniform(REGION).density(lon, lat)
    found = likelihood.rates_at(TRUE, day, place, density)
    for k in range(50):
        past = sources[sources["day"] < day[k]]
        near = on_sphere(past["latitude"], past["longitude"]) - place[:, [k]]
        m, s = past["magnitude"] - 3, day[k] - past["day"]
        g = TRUE.k0 * np.exp(TRUE.a * m - s / TRUE.tau) * (s + TRUE.c) ** -(1 + TRUE.omega)
        g *= ((near**2).sum(axis=0) + TRUE.d * np.exp(TRUE.gamma * m)) ** -(1 + TRUE.rho)
        assert found[k] == pytest.approx(TRUE.mu * density[k] + g.sum(), rel=1e-5)
    chosen = sources[sources["target"]]
    at = on_sphere(chosen["latitude"], chosen["longitude"])
    density = np.full(len(chosen), 1 / REGION.area_km2)
    again = likelihood.rates_at(TRUE, chosen["day"].to_numpy(), at, density)
    assert again == pytest.approx(likelihood.rates(TRUE), rel=1e-12)


def test_super_thinned_residuals_of_the_true_model_are_even(catalogues):
    found = [
        super_thinned(model(), events, TARGET, points=400, simulations=39, seed=k).summary()
        for k, events in enumerate(catalogues)
    ]
    table = pd.DataFrame(found)
    assert 0.1 < table["earthquakes"].sum() / table["points"].sum() < 0.9
    for name in ("p_number", "p_time", "p_place", "p_place_and_time", "p_pairs"):
        assert stats.kstest(table[name], "uniform").pvalue > 1e-3, name


def test_a_wrong_model_leaves_clusters_or_gaps(catalogues):
    still = model(replace(TRUE, mu=1.2, k0=1e-6))
    p = [super_thinned(still, events, TARGET, seed=1).summary()["p_pairs"] for events in catalogues[:5]]
    assert max(p) <= 0.01
    halved = model(replace(TRUE, mu=0.9, k0=TRUE.k0 / 2))
    p = [super_thinned(halved, events, TARGET, seed=1).summary()["p_number"] for events in catalogues[:5]]
    assert np.median(p) < 1e-3


def test_the_seed_decides(catalogues):
    a, b, c = (super_thinned(model(), catalogues[0], TARGET, simulations=19, seed=s) for s in (1, 1, 2))
    pd.testing.assert_frame_equal(a.table(), b.table())
    assert a.summary() == b.summary() and len(a.points) != len(c.points)
    table = a.table()
    assert table["time"].between("2018-07-01", "2019-07-01").all()
    assert REGION.contains(table["longitude"], table["latitude"]).all()
    known = set(catalogues[0]["longitude"])
    assert [lon in known for lon in table["longitude"]] == table["earthquake"].tolist()
    with pytest.raises(InputError, match="fewer than 10"):
        super_thinned(model(), catalogues[0], TARGET, points=3)


@pytest.mark.parametrize("where", [Uniform(REGION), clusters()])
def test_cells_together_hold_what_is_expected(catalogues, where):
    found = voronoi_residuals(model(where=where), catalogues[0], TARGET)
    likelihood = model(where=where).likelihood(catalogues[0], TARGET)
    assert len(found.count) == found.count.sum() == len(likelihood.target)
    assert found.expected.sum() == pytest.approx(likelihood.expected(TRUE), rel=1e-4)
    table = found.table()
    assert table["area_km2"].sum() == pytest.approx(REGION.area_km2, rel=1e-6)
    assert table["residual"].sum() == pytest.approx(len(table) - likelihood.expected(TRUE), abs=0.05)


def test_deviates_of_the_true_model_are_normal(catalogues):
    found = [voronoi_residuals(model(), e, TARGET) for e in catalogues[:5]]
    deviate = np.concatenate([one.deviate for one in found])
    assert min(one.p for one in found) > 1e-3
    assert len(deviate) > 2000
    assert abs(deviate.mean()) < 0.1 and abs(deviate.std() - 1) < 0.07
    even = model(replace(TRUE, mu=1.2, k0=1e-6))
    assert voronoi_residuals(even, catalogues[0], TARGET).p < 1e-9


def test_the_worst_places_are_where_something_was_left_out(catalogues):
    # A swarm that the model knows nothing of: many at once, from no parent.
    rng = np.random.default_rng(0)
    swarm = (
        catalogues[0]
        .head(60)
        .assign(
            longitude=140.2 + 0.01 * rng.standard_normal(60),
            latitude=36.8 + 0.01 * rng.standard_normal(60),
            time=np.datetime64("2018-07-01", "ns") + np.arange(60) * np.timedelta64(6, "D"),
            magnitude=3.0,
            event_id=[f"s{k}" for k in range(60)],
        )
    )
    events = pd.concat([catalogues[0], swarm], ignore_index=True)
    worst = voronoi_residuals(model(), events, TARGET).worst(3)
    assert worst["deviate"].is_monotonic_decreasing and len(worst) == 6
    assert (worst["half_begin"] <= worst["half_end"]).all()
    assert worst.longitude[0] == pytest.approx(140.2, abs=0.03)
    assert worst.latitude[0] == pytest.approx(36.8, abs=0.03)
    assert (worst["earthquakes"][:3] > worst["expected"][:3]).all()
    assert (worst["earthquakes"][3:] < worst["expected"][3:]).all()


def test_what_a_changing_completeness_hides_is_not_expected(catalogues):
    main = {"event_id": ["m"], "time": [np.datetime64("2018-12-01")], "magnitude": [6.0]}
    main = validate(pd.DataFrame({**main, "longitude": [140.5], "latitude": [36.5]}), EVENTS)
    events = pd.concat([catalogues[0], main], ignore_index=True)
    steps = after_large(events, magnitude_min=3.0, law=CompletenessLaw(2.5, 0.75))
    target = replace(TARGET, completeness=steps)
    likelihood = model().likelihood(events, target)
    assert likelihood.hidden is not None
    cells = voronoi_residuals(model(), events, target)
    assert cells.expected.sum() == pytest.approx(likelihood.expected(TRUE), rel=1e-4)
    middle = likelihood.hidden.begin[:1] + 1e-6
    place, density = on_sphere([36.5], [140.5]), np.array([1e-4])
    whole = replace(likelihood, hidden=replace(likelihood.hidden, share=0 * likelihood.hidden.share))
    ratio = likelihood.rates_at(TRUE, middle, place, density) / whole.rates_at(TRUE, middle, place, density)
    assert ratio[0] == pytest.approx(1 - likelihood.hidden.share[0])
    assert len(super_thinned(model(), events, target, simulations=19).points) > 100


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_few_earthquakes_and_many_at_one_place(catalogues, n):
    inside = TARGET.sources(catalogues[0]).query("target").head(n)
    twice = pd.concat([inside, inside.assign(event_id=[f"d{k}" for k in range(n)])], ignore_index=True)
    found = voronoi_residuals(model(), twice, TARGET)
    assert found.count.tolist() == [2] * n
    assert found.expected.sum() == pytest.approx(model().likelihood(twice, TARGET).expected(TRUE), rel=1e-3)
    assert np.isfinite(found.deviate).all() and len(found.worst()) <= 10
    line = twice.assign(latitude=36.5)
    assert np.isfinite(voronoi_residuals(model(), line, TARGET).expected).all()
    assert len(super_thinned(model(), twice, TARGET, points=1000, simulations=19).points) > 700


def test_nothing_to_look_at_is_said():
    for look in (super_thinned, voronoi_residuals):
        with pytest.raises(InputError, match="no earthquake"):
            look(model(), validate(empty(EVENTS), EVENTS), TARGET)
