"""The bootstrap of ETAS: catalogues made anew, refits, intervals, what is stored and what forecasts draw."""

from __future__ import annotations

from copy import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from kaname.core.errors import InputError
from kaname.core.tables import EVENTS, empty
from kaname.discovery.seismicity.background import KernelDensity, Uniform
from kaname.discovery.seismicity.completeness import CompletenessSteps
from kaname.discovery.seismicity.contract import Target
from kaname.discovery.seismicity.ensemble import around
from kaname.discovery.seismicity.etas.bootstrap import Bootstrap, bootstrap, error_of
from kaname.discovery.seismicity.etas.fitting import OMEGA_MIN, Maximum
from kaname.discovery.seismicity.etas.model import Etas, KernelSettings
from kaname.discovery.seismicity.etas.parameters import NAMES, EtasParameters
from kaname.discovery.seismicity.etas.simulation import resimulate
from kaname.discovery.seismicity.etas.storage import load, save
from kaname.discovery.seismicity.gutenberg_richter import GutenbergRichter
from kaname.discovery.seismicity.region import Region

OUTER = Region.from_bounds(136.5, 141.5, 33.5, 38.5)
INNER = Region.from_bounds(137.5, 140.5, 34.5, 37.5)
TRUE = EtasParameters(0.4, 0.0045, 1.5, 0.01, 0.15, np.inf, 0.5, 0.8, 0.8)
TARGET = Target(INNER, "2000-09-01", "2001-07-01", 3.0)
LAW = GutenbergRichter(1.0, 3.0, 7.0)
FREE = np.array([n != "tau" for n in NAMES])


@pytest.fixture(scope="module")
def events():
    rng = np.random.default_rng(1)
    lon, lat = rng.uniform(136.7, 141.3, 40), rng.uniform(33.7, 38.3, 40)
    where = KernelDensity(OUTER, lon, lat, np.ones(40), bandwidth_min_km=10, neighbours=1, uniform=0.1)
    model = Etas.with_parameters(replace(TRUE, mu=0.9), 3.0, where, magnitude_max=6.5)
    made = model.simulate(empty(EVENTS), Target(OUTER, "2000-05-01", "2001-07-01", 3.0), n=1, seed=4)
    return made.assign(event_id=[f"e{k}" for k in range(len(made))])


def fit(events):
    kernel = KernelSettings(bandwidth_min_km=5.0, uniform=0.05, rounds=2)
    return Etas(taper=False, magnitude_max=7.0, kernel=kernel).fit(events, TARGET)


@pytest.fixture(scope="module")
def fitted(events):
    return fit(events)


@pytest.fixture(scope="module")
def refits(fitted, events):
    return bootstrap(fitted, events, TARGET, n=12, seed=3)


def test_what_is_no_target_stays_and_the_targets_are_as_many_as_expected(events):
    background = Uniform(INNER)
    model = Etas.with_parameters(TRUE, 3.0, background, magnitude_max=7.0)
    old = TARGET.sources(events)
    rest, number = old[~old["target"]], []
    for seed in range(30):
        made = resimulate(TRUE, background, LAW, events, TARGET, reference=3.0, seed=[1, seed])
        new = TARGET.sources(made)
        kept = new[~new["target"]]
        assert (kept["event_id"].to_numpy() == rest["event_id"].to_numpy()).all()
        assert set(new.loc[new["target"], "magnitude"]) <= set(old.loc[old["target"], "magnitude"])
        # Of each catalogue its own compensator, which knows the outside, is the number in the mean.
        number.append((new["target"].sum(), model.likelihood(made, TARGET).expected(TRUE)))
    n, expected = np.array(number).T
    assert abs((n - expected).mean()) < 4 * np.sqrt(expected.mean() / len(n))
    again = resimulate(TRUE, background, LAW, events, TARGET, reference=3.0, seed=[1, 29])
    pd.testing.assert_frame_equal(again, made)


def test_what_a_completeness_hides_is_hidden_again(events):
    steps = CompletenessSteps(np.array(["2001-01-01", "2001-03-01"], "M8[ns]"), np.array([4.0, 3.0]))
    target = replace(TARGET, completeness=steps)
    seen = events[events["magnitude"] >= steps.at(events["time"], 3.0)]
    made = resimulate(TRUE, Uniform(INNER), LAW, seen, target, reference=3.0, seed=1)
    bad = made["time"].between("2001-01-01", "2001-02-28 23:59:59") & (made["magnitude"] < 4)
    assert not bad.any() and len(target.sources(made)) == len(made)


def test_refits_are_repeated_by_their_seed_and_more_begin_with_the_same(fitted, events, refits):
    less = bootstrap(fitted, events, TARGET, n=10, seed=3)
    assert (refits.refitted[:10] == less.refitted).all()
    assert refits.n == 12 and refits.failed == 0
    assert (refits.free == FREE).all() and refits.bias[~FREE] == 0 and refits.standard_error[~FREE] == 0
    assert fitted.bootstrap_ is None and (fitted.parameters_.vector() == refits.fitted).all()


def test_it_knows_more_than_the_covariance(fitted, refits):
    # A background that was found follows aftershocks, too: theirs seem to end sooner.
    error = np.sqrt(np.diag(fitted.maximum_.covariance))
    assert refits.bias[NAMES.index("omega")] > 0.2 * error[NAMES.index("omega")]
    assert 0.5 < np.median(refits.standard_error[FREE] / error[FREE]) < 2


def test_errors_are_measured_by_what_each_refit_states():
    one = Maximum(TRUE, 0.0, np.diag(np.where(FREE, 0.04, 0.0)), 1, True)
    away = replace(TRUE, mu=TRUE.mu * 1.2, omega=TRUE.omega + 0.1)
    same = error_of(replace(one, parameters=away), one)
    assert same == pytest.approx([np.log(1.2), 0, 0, 0, 0.1, 0, 0, 0, 0])
    # Twice as unsure: half as far. What ended at a bound has no error of its own.
    assert error_of(Maximum(away, 0.0, 4 * one.covariance, 1, True), one) == pytest.approx(same / 2)
    stuck = 4 * one.covariance
    stuck[4, 4] = 0
    assert error_of(Maximum(away, 0.0, stuck, 1, True), one)[[0, 4]] == pytest.approx([same[0] / 2, 0.1])


def normal(n, seed, *, fitted, shift, factor):
    rng = np.random.default_rng(seed)
    error = np.zeros((n, 9))
    error[:, FREE] = shift + rng.standard_normal((n, 8)) @ factor.T
    return Bootstrap(fitted, fitted + error, error, np.zeros((n, 9), bool))


def test_intervals_of_few_refits_hold_at_their_rate():
    rng = np.random.default_rng(0)
    factor = 0.05 * (np.eye(8) + 0.3 * rng.standard_normal((8, 8)))
    shift = rng.normal(0, 0.1, 8)
    one, all_ = [], []
    for k in range(400):
        fitted = TRUE.vector()
        fitted[FREE] += shift + factor @ rng.standard_normal(8)
        made = normal(20, k, fitted=fitted, shift=shift, factor=factor)
        low, high = made.interval("mu")
        one.append(low < TRUE.mu < high)
        all_.append(made.level(TRUE))
    assert stats.binomtest(sum(one), 400, 0.95).pvalue > 1e-3
    assert stats.kstest(all_, "uniform").pvalue > 1e-3


def test_what_is_stored_is_read_back(fitted, refits, events, tmp_path):
    model = copy(fitted)
    model.bootstrap_ = refits
    save(model, tmp_path)
    known = load(tmp_path).bootstrap_
    assert known is not None and (known.error == refits.error).all()
    assert np.allclose(known.refitted[:, FREE], refits.refitted[:, FREE], rtol=1e-12)
    said, again = (pd.DataFrame(b.summary()) for b in (refits, known))
    assert list(said.columns) == [n for n in NAMES if n != "tau"]
    low, high = said.loc["interval_95", "gamma"]
    assert said.loc["value", "gamma"] == pytest.approx((low + high) / 2 + said.loc["bias", "gamma"])
    assert again.loc["interval_95", "gamma"] == pytest.approx([low, high])
    # Without a taper aftershocks end only where omega is above zero.
    assert refits.interval("omega", 0.999)[0] == OMEGA_MIN
    # A fit without a bootstrap in the same folder does not take the one that lies there.
    save(fitted, tmp_path)
    assert load(tmp_path).bootstrap_ is None


def test_forecasts_draw_from_it(fitted, refits, events):
    model = copy(fitted)
    plain = around(model, 400, n_member=200, seed=1)
    model.bootstrap_ = refits
    known = around(model, 400, n_member=200, seed=1)
    drawn = np.log([p["mu"] for p in known.parameters])
    k = NAMES.index("mu")
    error = refits.standard_error[k]
    assert abs(np.median(drawn) - (refits.fitted[k] - refits.bias[k])) < 0.4 * error
    assert np.median(drawn) < np.median(np.log([p["mu"] for p in plain.parameters]))


def test_what_is_wrong_is_said(fitted, events, refits, tmp_path):
    with pytest.raises(InputError, match="at least 10"):
        bootstrap(fitted, events, TARGET, n=9)
    save(fitted, tmp_path)
    with pytest.raises(InputError, match="fit it here"):
        bootstrap(load(tmp_path), events, TARGET)
    with pytest.raises(InputError, match="no ETAS parameter"):
        refits.interval("nu")
    lost = refits.error.copy()
    lost[:2] = np.nan
    part = replace(refits, error=lost)
    assert part.n == 10 and part.failed == 2 and np.isfinite(part.standard_error).all()
    lost[2] = np.nan
    with pytest.raises(InputError, match="9 of 12 refits succeeded"):
        replace(refits, error=lost)
