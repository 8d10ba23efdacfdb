"""Fits of simulated catalogues: EM finds the same maximum, and intervals hold the truth at their rate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from kaname.core.errors import InputError
from kaname.core.tables import EVENTS, empty
from kaname.discovery.seismicity.background import Uniform
from kaname.discovery.seismicity.contract import Target
from kaname.discovery.seismicity.etas.em import maximise_by_em
from kaname.discovery.seismicity.etas.fitting import start
from kaname.discovery.seismicity.etas.model import Etas
from kaname.discovery.seismicity.etas.parameters import NAMES, EtasParameters
from kaname.discovery.seismicity.region import Region

OUTER = Region.from_bounds(136, 142, 33, 39)
INNER = Region.from_bounds(137.5, 140.5, 34.5, 37.5)
TRUE = EtasParameters(0.3, 0.0045, 1.5, 0.01, 0.15, np.inf, 0.5, 0.8, 0.8)
EVERYWHERE = Target(OUTER, "2000-01-01", "2002-01-01", 3.0)
TARGET = Target(INNER, "2000-07-01", "2002-01-01", 3.0)
FREE = np.array([n != "tau" for n in NAMES])


def simulated(seed):
    outer = replace(TRUE, mu=TRUE.mu * OUTER.area_km2 / INNER.area_km2)
    model = Etas.with_parameters(outer, 3.0, Uniform(OUTER), magnitude_max=7.0)
    made = model.simulate(empty(EVENTS), EVERYWHERE, n=1, seed=seed)
    return made.assign(event_id=[f"e{k}" for k in range(len(made))])


def fitted(events, target=TARGET):
    return Etas(background="uniform", taper=False, tolerance=1e-4, magnitude_max=7.0).fit(events, target)


def test_em_finds_the_same_maximum():
    late = Target(INNER, "2001-04-01", "2002-01-01", 3.0, "2001-01-01")
    fit = fitted(simulated(3), late)
    slow = maximise_by_em(fit.training_, start(fit.training_, taper=False), tolerance=1e-4)
    assert slow.converged and slow.n_pass > 2
    assert fit.maximum_.log_likelihood > slow.log_likelihood - 1e-4
    assert fit.maximum_.log_likelihood == pytest.approx(slow.log_likelihood, abs=1e-2)
    error = np.sqrt(np.diag(fit.maximum_.covariance))[FREE]
    apart = (slow.parameters.vector()[FREE] - fit.parameters_.vector()[FREE]) / error
    assert np.abs(apart).max() < 0.1
    with pytest.raises(InputError, match="too many"):
        maximise_by_em(replace(fit.training_, target=np.full(1000, 100_000)), fit.parameters_)


def test_intervals_hold_the_truth_at_their_rate():
    # Most parents of some targets are outside the region or before the period.
    inside, distance = [], []
    for seed in range(100, 130):
        fit = fitted(simulated(seed))
        delta = (fit.parameters_.vector()[FREE]) - TRUE.vector()[FREE]
        covariance = fit.maximum_.covariance[np.ix_(FREE, FREE)]
        assert (np.diag(covariance) > 0).all()
        inside.append(np.abs(delta) < np.sqrt(np.diag(covariance)))
        distance.append(delta @ np.linalg.solve(covariance, delta))
    held = np.array(inside)
    for name, n in zip(np.array(NAMES)[FREE], held.sum(axis=0)):
        assert stats.binomtest(int(n), len(held), 0.683).pvalue > 1e-3, name
    assert held.mean() == pytest.approx(0.683, abs=0.09)
    within = int((np.array(distance) < stats.chi2.ppf(0.95, FREE.sum())).sum())
    assert stats.binomtest(within, len(held), 0.95).pvalue > 1e-3
