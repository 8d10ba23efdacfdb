"""Coverage and reliability against counts by hand and against distributions of known truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, poisson

from kaname.core.errors import InputError
from kaname.evaluate.calibration import calibration_error, coverage, poisson_interval, reliability


def test_coverage_counts_by_hand() -> None:
    observed = coverage([0.05, -0.15, 0.3, 9.0], [0.1, 0.1, 0.2, np.nan]).set_index("nominal")
    assert (observed["n"] == 3).all()  # nothing was stated for the fourth
    assert observed["n_covered"].tolist() == [1, 1, 3, 3]  # ratios 0.5, 1.5, 1.5
    assert observed.loc[0.5, "observed"] == pytest.approx(1 / 3)
    expected = binomtest(1, 3).proportion_ci(method="wilson")
    assert observed.loc[0.5, "observed_low"] == pytest.approx(expected.low, abs=1e-4)
    assert observed.loc[0.5, "observed_high"] == pytest.approx(expected.high, abs=1e-4)


@pytest.mark.parametrize(("scale", "within"), [(1.0, True), (0.5, False), (2.0, False)])
def test_residuals_of_the_law_are_covered_if_the_uncertainty_is_right(scale: float, within: bool) -> None:
    rng = np.random.default_rng(3)
    sigma = rng.uniform(0.01, 0.2, 20_000)
    # 68.27 % of Student's t with four degrees of freedom lie within 1.1416.
    observed = coverage(sigma * rng.standard_t(4, sigma.size) / 1.1416, scale * sigma)
    near = (observed["observed"] - observed["nominal"]).abs() < 0.01
    assert near.all() if within else not near.any()


def test_reliability_of_honest_and_of_boastful_probabilities() -> None:
    rng = np.random.default_rng(4)
    p = rng.uniform(0, 1, 50_000)
    true = rng.random(p.size) < p
    honest = reliability(p, true)
    assert honest["n"].sum() == p.size
    assert np.allclose(honest["observed"], honest["stated"], atol=0.03)
    assert calibration_error(honest) < 0.01
    boast = reliability(np.full(100, 0.9), np.arange(100) < 50)
    assert boast["n"].tolist() == [0] * 9 + [100]
    assert boast["observed"].iloc[9] == 0.5 and np.isnan(boast["observed"].iloc[0])
    assert calibration_error(boast) == pytest.approx(0.4)


def test_poisson_interval_is_exact() -> None:
    low, high = poisson_interval(3, 2.0)
    assert poisson.sf(2, low * 2) == pytest.approx(0.025, abs=1e-6)
    assert poisson.cdf(3, high * 2) == pytest.approx(0.025, abs=1e-6)
    assert poisson_interval(0, 10.0) == (0.0, pytest.approx(-np.log(0.025) / 10))
    assert np.isnan(poisson_interval(0, 0.0)).all()


def test_nothing_is_missing_not_zero() -> None:
    assert coverage([], [])["observed"].isna().all()
    assert np.isnan(calibration_error(reliability([], [])))


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="same length"):
        coverage([1.0], [1.0, 2.0])
    with pytest.raises(InputError, match="between 0 and 1"):
        reliability([1.2], [True])
    with pytest.raises(InputError, match="bins"):
        reliability([0.2], [True], n_bin=0)
