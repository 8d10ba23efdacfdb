"""Crossed effects against a dense likelihood, and components of synthetic data without bias."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

from kaname.core.errors import InputError
from kaname.modeling.ground_motion.between import BetweenEvents
from kaname.modeling.ground_motion.mixed_effects import MixedEffects, event_terms


def _simulate(
    n: int, n_event: int, n_site: int, seed: int, *, tau: float = 0.4, s2s: float = 0.35, ss: float = 0.5
) -> tuple[Any, Any, Any]:
    """Networks as they are: a few events and sites with many records, many with few."""
    rng = np.random.default_rng(seed)
    busy, open_ = rng.pareto(1.2, n_event) + 0.2, rng.pareto(1.5, n_site) + 0.2
    event = rng.choice(n_event, n, p=busy / busy.sum())
    site = rng.choice(n_site, n, p=open_ / open_.sum())
    y = tau * rng.normal(size=n_event)[event] + s2s * rng.normal(size=n_site)[site] + ss * rng.normal(size=n)
    return 0.1 + y, event, site


def _dense(y: Any, event: Any, site: Any, x: Any, scale: Any, logs: Any, *, reml: bool) -> float:
    """Twice the negative log likelihood from the covariance of the records themselves."""
    variances = np.exp(2 * np.asarray(logs))
    v = variances[0] * (event[:, None] == event) + variances[2] * np.diag(scale**2)
    if site is not None:
        v = v + variances[1] * (site[:, None] == site)
    factor = cho_factor(v)
    information = x.T @ cho_solve(factor, x)
    rest = y - x @ np.linalg.solve(information, x.T @ cho_solve(factor, y))
    out = 2 * np.log(np.diag(factor[0])).sum() + rest @ cho_solve(factor, rest)
    freedom = len(y) - x.shape[1] if reml else len(y)
    if reml:
        out += np.linalg.slogdet(information)[1]
    return float(out + freedom * np.log(2 * np.pi))


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("case", ["crossed", "more events", "events alone", "weighted"])
def test_the_likelihood_and_its_maximum_are_those_of_the_dense_model(method: Any, case: str) -> None:
    y, event, site = _simulate(300, *((40, 12) if case == "more events" else (12, 40)), seed=1)
    rng = np.random.default_rng(2)
    x = np.column_stack([np.ones(300), rng.normal(size=300)])
    scale = rng.uniform(0.6, 1.6, 300) if case == "weighted" else np.ones(300)
    where = None if case == "events alone" else site
    fitted = MixedEffects(method=method).fit(y, event, where, fixed=x, scale=scale)
    reml = method == "reml"
    at = np.log([fitted.tau_, fitted.phi_s2s_ or 1.0, fitted.phi_ss_])
    deviance = _dense(y, event, where, x, scale, at, reml=reml)
    assert -2 * fitted.log_likelihood_ == pytest.approx(deviance, abs=1e-6)
    best = minimize(lambda t: _dense(y, event, where, x, scale, t, reml=reml), at + 0.1, method="Nelder-Mead")
    assert deviance <= best.fun + 1e-3
    assert fitted.tau_ == pytest.approx(np.exp(best.x[0]), rel=2e-2)


def test_terms_and_their_uncertainty_are_those_of_the_dense_model() -> None:
    y, event, site = _simulate(300, 12, 40, seed=3)
    fitted = MixedEffects(method="ml").fit(y, event, site)
    joint = fitted.tau_**2 * (event[:, None] == event) + fitted.phi_s2s_**2 * (site[:, None] == site)
    v = joint + fitted.phi_ss_**2 * np.eye(300)
    gain = fitted.tau_**2 * (np.unique(event)[:, None] == event) @ np.linalg.inv(v)
    np.testing.assert_allclose(fitted.event_terms_["term"], gain @ (y - fitted.fixed_[0]), atol=1e-6)
    posterior = fitted.tau_**2 - fitted.tau_**2 * np.einsum(
        "ij,ij->i", gain, np.unique(event)[:, None] == event
    )
    np.testing.assert_allclose(fitted.event_terms_["sd"], np.sqrt(posterior), rtol=1e-5)
    assert fitted.site_terms_["n"].sum() == 300


def test_components_without_bias_over_simulations() -> None:
    found = []
    for seed in range(20):
        fitted = MixedEffects().fit(*_simulate(8000, 200, 400, seed))
        found.append([fitted.tau_, fitted.phi_s2s_, fitted.phi_ss_])
    np.testing.assert_allclose(np.mean(found, axis=0), [0.4, 0.35, 0.5], rtol=0.03)


def test_standard_errors_are_the_scatter_of_simulations() -> None:
    found, stated = [], []
    for seed in range(60):
        fitted = MixedEffects().fit(*_simulate(1500, 40, 80, seed))
        found.append(np.log([fitted.tau_, fitted.phi_s2s_, fitted.phi_ss_]))
        stated.append(list(fitted.standard_error_.values()))
    keys = ("tau", "phi_s2s", "phi_ss")
    assert tuple(fitted.standard_error_) == keys
    # Now and then a network of so few sites shows no site term at all: the scatter is that of the quartiles.
    scatter = np.diff(np.quantile(found, [0.25, 0.75], axis=0), axis=0)[0] / 1.349
    np.testing.assert_allclose(scatter, np.median(stated, axis=0), rtol=0.3)


def test_a_component_that_is_not_there_is_zero() -> None:
    zero = 0
    for seed in range(10):
        fitted = MixedEffects().fit(*_simulate(2000, 50, 100, seed, tau=0.0))
        assert fitted.tau_ < 0.08
        if fitted.tau_ == 0:
            zero += 1
            assert np.isnan(fitted.standard_error_["tau"])
            assert (fitted.event_terms_["term"] == 0).all()
    assert zero


def test_order_and_names_of_rows_do_not_matter() -> None:
    y, event, site = _simulate(1000, 30, 50, seed=5)
    one = MixedEffects().fit(y, event, site)
    order = np.random.default_rng(0).permutation(1000)
    names = np.array([f"ev-{k}" for k in event])
    other = MixedEffects().fit(y[order], names[order], site[order])
    assert other.tau_ == pytest.approx(one.tau_, rel=1e-6)
    assert other.event_terms_.loc["ev-7", "term"] == pytest.approx(one.event_terms_.loc[7, "term"], abs=1e-6)


def test_prediction_with_and_without_known_terms() -> None:
    y, event, site = _simulate(4000, 30, 50, seed=6)
    fitted = MixedEffects().fit(y, event, site)
    mean, sigma = fitted.predict([event[0], -1, event[0]], [site[0], -1, -1])
    assert sigma[0] < sigma[2] < sigma[1]
    assert mean[1] == pytest.approx(fitted.fixed_[0])
    assert sigma[1] == pytest.approx(np.sqrt(fitted.tau_**2 + fitted.phi_**2))
    everywhere, _ = fitted.predict(event, site)
    assert np.std(y - everywhere) == pytest.approx(fitted.phi_ss_, rel=0.03)


def test_event_terms_of_new_events_shrink() -> None:
    terms = event_terms([1.0, 1.0, np.nan, 1.0, np.nan], ["a", "a", "a", "b", "c"], tau=0.5, phi=0.5)
    assert terms.loc["a", "term"] == pytest.approx(2 / 3)
    assert terms.loc["b", "term"] == pytest.approx(1 / 2)
    assert terms.loc["c", "term"] == 0
    assert terms.loc["c", "sd"] == pytest.approx(0.5)
    assert terms["n"].tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    "call",
    [
        lambda: MixedEffects(method="bayes"),  # type: ignore[arg-type]
        lambda: MixedEffects().fit([1.0, 2.0, np.nan], [0, 0, 1], [0, 1, 1]),
        lambda: MixedEffects().fit([1.0, 2.0, 3.0], [0, 0], [0, 1, 1]),
        lambda: MixedEffects().fit([1.0, 2.0, 3.0], [0, 1, 2], [0, 1, 1]),
        lambda: MixedEffects().fit([1.0, 2.0, 3.0], np.array(["a", None, "a"], object), [0, 1, 1]),
        lambda: MixedEffects().fit([], [], []),
        lambda: MixedEffects().fit([1.0, 1.0, 1.0, 1.0], [0, 0, 1, 1], [0, 1, 0, 1]),
        lambda: MixedEffects().fit([1.0, 2.0, 3.0], [0, 0, 1], [0, 1, 1], fixed=np.ones((3, 2))),
        lambda: MixedEffects().fit([1.0, 2.0, 3.0], [0, 0, 1], [0, 1, 1], scale=[1.0, 0.0, 1.0]),
        lambda: event_terms([1.0], ["a"], tau=1.0, phi=0.0),
    ],
)
def test_what_cannot_be_fitted_is_said(call: Any) -> None:
    with pytest.raises(InputError):
        call()


def test_a_known_factor_of_the_deviation_between_events_is_that_of_the_dense_model() -> None:
    y, event, site = _simulate(300, 12, 40, seed=4)
    factor = np.random.default_rng(5).uniform(0.4, 2.0, 12)[event]
    fitted = MixedEffects().fit(y, event, site, event_scale=factor)
    v = (fitted.tau_ * factor) ** 2 * (event[:, None] == event) + fitted.phi_s2s_**2 * (site[:, None] == site)
    v += fitted.phi_ss_**2 * np.eye(300)
    inverse, one = np.linalg.inv(v), np.ones(300)
    rest = y - (one @ inverse @ y) / (one @ inverse @ one)
    deviance = np.linalg.slogdet(v)[1] + rest @ inverse @ rest + np.log(one @ inverse @ one)
    assert -2 * fitted.log_likelihood_ == pytest.approx(deviance + 299 * np.log(2 * np.pi), abs=1e-6)
    first = np.unique(event, return_index=True)[1]
    gain = (fitted.tau_ * factor[first, None]) ** 2 * (event[first, None] == event) @ inverse
    np.testing.assert_allclose(fitted.event_terms_["term"], gain @ rest, atol=1e-6)
    with pytest.raises(InputError, match="differs within an event"):
        MixedEffects().fit(y, event, site, event_scale=np.linspace(1, 2, 300))


def test_a_deviation_that_falls_with_magnitude_is_found() -> None:
    found = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        y, event, site = _simulate(4000, 120, 200, seed, tau=0.0)
        magnitude = rng.uniform(3.5, 6.5, 120)
        y += (0.4 * np.exp(-0.3 * (magnitude - 5.0)) * rng.normal(size=120))[event]
        between = BetweenEvents.fit(y, event, site, magnitude[event])
        tau = MixedEffects().fit(y, event, site, event_scale=between(magnitude[event])).tau_
        found.append([between.slope, *(tau * between([4.0, 6.0]))])
    slope, small, large = np.mean(found, axis=0)
    assert slope == pytest.approx(-0.3, abs=0.05)
    assert small == pytest.approx(0.4 * np.exp(0.3), rel=0.05)
    assert large == pytest.approx(0.4 * np.exp(-0.3), rel=0.05)
    few = BetweenEvents.fit(y[event < 5], event[event < 5], site[event < 5], magnitude[event][event < 5])
    np.testing.assert_array_equal(few([3.0, 8.0]), 1.0)
