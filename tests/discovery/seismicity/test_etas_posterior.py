"""The posterior of ETAS: against a long Markov chain, and its diagnosis."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from etas_cases import REGION

from kaname.core.errors import InputError
from kaname.core.tables import EVENTS, empty
from kaname.discovery.seismicity.background import Uniform
from kaname.discovery.seismicity.contract import Target
from kaname.discovery.seismicity.etas.fitting import maximise
from kaname.discovery.seismicity.etas.likelihood import Likelihood
from kaname.discovery.seismicity.etas.model import Etas
from kaname.discovery.seismicity.etas.parameters import NAMES, EtasParameters
from kaname.discovery.seismicity.etas.posterior import sample_posterior, smoothed

HELD = ("c", "omega", "tau", "d", "gamma", "rho", "a")
TRUE = EtasParameters(1.0, 0.006, 1.3, 0.01, 0.1, 200.0, 0.5, 0.8, 0.7)
YEAR = Target(REGION, "2020-01-01", "2021-01-01", 3.0)


@pytest.fixture(scope="module")
def fitted():
    model = Etas.with_parameters(TRUE, 3.0, Uniform(REGION), magnitude_max=7.0)
    sources = YEAR.sources(model.simulate(empty(EVENTS), YEAR, n=1, seed=2))
    density = np.full(int(sources.target.sum()), 1 / REGION.area_km2)
    likelihood = Likelihood.of(sources, YEAR, density, reference=3.0)
    return likelihood, maximise(likelihood, TRUE, fixed=HELD, tolerance=1e-6)


def test_it_is_the_posterior_on_a_grid(fitted):
    likelihood, top = fitted
    posterior = sample_posterior(likelihood, top, n=200, seed=1)
    mu, k0 = np.linspace(-0.7, 0.6, 18), np.linspace(-6, -4.2, 18)
    level = np.array(
        [
            [likelihood.log_likelihood(replace(TRUE, mu=float(np.exp(m)), k0=float(np.exp(k)))) for m in mu]
            for k in k0
        ]
    )
    density = np.exp(level - level.max())
    assert max(density[0].max(), density[-1].max(), density[:, 0].max(), density[:, -1].max()) < 1e-3
    for name, grid, values in (("mu", mu, density.sum(axis=0)), ("k0", k0, density.sum(axis=1))):
        below = (np.cumsum(values) - values / 2) / values.sum()
        wanted = np.exp(np.interp([0.16, 0.5, 0.84], below, grid))
        assert posterior.quantiles(name, [0.16, 0.5, 0.84]) == pytest.approx(wanted, rel=0.06)
    assert posterior.tail < 0.7 and posterior.effective_size > 120
    assert all(
        posterior.draws[:, NAMES.index(n)].min() == posterior.draws[:, NAMES.index(n)].max() for n in HELD
    )


def test_samples_are_parameters_and_the_seed_repeats_them(fitted):
    a, b = (sample_posterior(*fitted, n=60, seed=7) for _ in range(2))
    assert (a.draws == b.draws).all() and (a.weight == b.weight).all()
    assert all(isinstance(p, EtasParameters) for p in a.sample(5, seed=0))
    assert a.weight.sum() == pytest.approx(1)
    with pytest.raises(InputError, match="no ETAS parameter"):
        a.quantiles("nu")


def test_nothing_free_has_no_posterior(fitted):
    likelihood, top = fitted
    with pytest.raises(InputError, match="fixed"):
        sample_posterior(likelihood, replace(top, covariance=np.zeros((9, 9))))
    with pytest.raises(InputError, match="at least 50"):
        sample_posterior(likelihood, top, n=10)


def test_heavy_weights_are_told():
    rng = np.random.default_rng(0)
    assert smoothed(rng.standard_cauchy(2000) * 3)[1] > 0.7
    weight, tail = smoothed(rng.normal(0, 0.1, 2000))
    assert tail < 0.3 and weight.sum() == pytest.approx(1)


def test_eight_free_parameters_are_sampled_well_enough(fitted):
    likelihood, _ = fitted
    top = maximise(likelihood, replace(TRUE, tau=np.inf), tolerance=1e-4)
    found = sample_posterior(likelihood, top, n=250, seed=3)
    assert found.trusted and found.tail < 0.7 and found.effective_size > 100
    error = np.sqrt(np.diag(top.covariance))
    for k, name in enumerate(NAMES):
        if error[k] > 0:
            middle = found.weight @ found.draws[:, k]
            assert abs(middle - top.parameters.vector()[k]) < 1.0 * error[k], name
    assert not replace(found, tail=0.9).trusted
    one = np.zeros(len(found.weight))
    one[0] = 1.0
    assert replace(found, weight=one).effective_size == 1 and not replace(found, weight=one).trusted
