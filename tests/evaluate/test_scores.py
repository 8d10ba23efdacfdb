"""Proper scores against numerical integration, and intervals that know of blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm
from scipy.stats import t as student

from kaname.core.errors import InputError
from kaname.evaluate.scores import (
    block_bootstrap,
    pit_histogram,
    score_normal,
    score_quantiles,
    score_samples,
    score_student,
    summary,
)


def _crps(cdf: Any, y: float) -> float:
    below = quad(lambda x: cdf(x) ** 2, -60, y, limit=400)[0]
    return float(below + quad(lambda x: (1 - cdf(x)) ** 2, y, 60, limit=400)[0])


@pytest.mark.parametrize("y", [-2.0, 0.3, 0.5, 4.0])
def test_normal_against_integration(y: float) -> None:
    row = score_normal([y], 0.5, 0.7).iloc[0]
    law = norm(0.5, 0.7)
    assert row["crps"] == pytest.approx(_crps(law.cdf, y), abs=1e-7)
    assert row["log_score"] == pytest.approx(law.logpdf(y))
    assert row["pit"] == pytest.approx(law.cdf(y))
    assert row["residual"] == pytest.approx(y - 0.5)


@pytest.mark.parametrize("y", [-2.0, 0.5, 4.0])
def test_student_against_integration(y: float) -> None:
    row = score_student([y], 0.5, 0.7, 5.0).iloc[0]
    law = student(5.0, 0.5, 0.7)
    assert row["crps"] == pytest.approx(_crps(law.cdf, y), abs=1e-5)
    assert row["log_score"] == pytest.approx(law.logpdf(y))
    nearly_normal = score_student([y], 0.5, 0.7, 1e6)
    assert nearly_normal["crps"].iloc[0] == pytest.approx(
        score_normal([y], 0.5, 0.7)["crps"].iloc[0], abs=1e-5
    )


@pytest.mark.parametrize("y", [-3.0, -0.4, 0.0, 0.31, 1.7, 5.0])
def test_quantiles_against_integration(y: float) -> None:
    p = np.array([0.1, 0.25, 0.5, 0.8, 0.95])
    q = np.array([-1.0, -0.4, 0.0, 0.9, 1.7])
    rate = [(p[1] - p[0]) / (q[1] - q[0]), (p[-1] - p[-2]) / (q[-1] - q[-2])]

    def cdf(x: float) -> float:
        if x < q[0]:
            return float(p[0] * np.exp((x - q[0]) * rate[0] / p[0]))
        if x > q[-1]:
            return float(1 - (1 - p[-1]) * np.exp(-(x - q[-1]) * rate[1] / (1 - p[-1])))
        return float(np.interp(x, q, p))

    row = score_quantiles([y], q[None], p).iloc[0]
    assert row["crps"] == pytest.approx(_crps(cdf, y), abs=1e-6)
    assert row["pit"] == pytest.approx(cdf(y))
    step = 1e-6  # to the right: the density jumps at a quantile
    assert np.exp(row["log_score"]) == pytest.approx((cdf(y + step) - cdf(y)) / step, rel=1e-3)


def test_forms_of_one_distribution_agree() -> None:
    rng = np.random.default_rng(1)
    y, mean, sigma = rng.normal(size=200), rng.normal(size=200) * 0.3, rng.uniform(0.5, 1.5, 200)
    normal = score_normal(y, mean, sigma)
    p = np.linspace(0.005, 0.995, 199)
    by_quantiles = score_quantiles(y, mean[:, None] + sigma[:, None] * norm.ppf(p), p)
    by_samples = score_samples(y, mean[:, None] + sigma[:, None] * rng.normal(size=(200, 4000)))
    np.testing.assert_allclose(by_quantiles["crps"], normal["crps"], atol=2e-3)
    np.testing.assert_allclose(by_quantiles["pit"], normal["pit"], atol=1e-2)
    np.testing.assert_allclose(by_samples["crps"], normal["crps"], atol=0.05)
    np.testing.assert_allclose(by_samples["pit"], normal["pit"], atol=0.04)
    assert by_samples["log_score"].isna().all()


def test_the_true_distribution_scores_best_and_covers() -> None:
    rng = np.random.default_rng(2)
    y = rng.normal(size=20000)
    true, narrow, off = score_normal(y, 0, 1), score_normal(y, 0, 0.6), score_normal(y, 0.4, 1)
    assert true["log_score"].mean() > max(narrow["log_score"].mean(), off["log_score"].mean())
    assert true["crps"].mean() < min(narrow["crps"].mean(), off["crps"].mean())
    row = summary(true).iloc[0]
    for level in (50, 80, 90, 95):
        assert row[f"cover_{level}"] == pytest.approx(level / 100, abs=0.01)
    assert row["above_95"] == pytest.approx(0.05, abs=0.006)
    assert row["above_99"] == pytest.approx(0.01, abs=0.003)
    np.testing.assert_allclose(pit_histogram(true["pit"]), 1, atol=0.12)
    assert pit_histogram(narrow["pit"])[0] > 1.5


def test_summary_by_event() -> None:
    y = np.array([1.0, 1.0, 1.0, -2.0])
    out = summary(score_normal(y, 0.0, 1.0), ["a", "a", "a", "b"]).set_index("group")
    assert out.loc["all", "rmse"] == pytest.approx(np.sqrt(7 / 4))
    assert out.loc["a", "rmse"] == pytest.approx(1.0)
    assert out.loc["mean of groups", "rmse"] == pytest.approx(1.5)
    assert out.loc["mean of groups", "bias"] == pytest.approx(-0.5)
    assert out.loc["all", "n"] == 4


def test_blocks_widen_the_interval() -> None:
    rng = np.random.default_rng(3)
    block = np.repeat(np.arange(20), 50)
    values = rng.normal(size=20)[block] + 0.1 * rng.normal(size=1000)
    mean, low, high = block_bootstrap(values, block)
    _, low_row, high_row = block_bootstrap(values, np.arange(1000))
    assert mean == pytest.approx(values.mean())
    assert high - low > 4 * (high_row - low_row)
    assert block_bootstrap(values, block) == (mean, low, high)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(4)
    block = np.repeat(np.arange(40), 5)
    held = 0
    for _ in range(200):
        values = 0.5 + rng.normal(size=40)[block] + rng.normal(size=200)
        _, low, high = block_bootstrap(values, block, n_draw=300)
        held += low <= 0.5 <= high
    assert 0.88 <= held / 200 <= 0.99


def test_blocks_may_count_once_each() -> None:
    values, block = [0.0, 0.0, 0.0, 1.0], ["a", "a", "a", "b"]
    assert block_bootstrap(values, block)[0] == pytest.approx(0.25)
    assert block_bootstrap(values, block, weighting="block")[0] == pytest.approx(0.5)


@pytest.mark.parametrize(
    "call",
    [
        lambda: score_normal([1.0, np.nan], 0, 1),
        lambda: score_normal([1.0], 0, 0),
        lambda: score_normal([1.0, 2.0], [0.0, 0.0, 0.0], 1),
        lambda: score_student([1.0], 0, 1, 1.0),
        lambda: score_quantiles([1.0], [[0.0, 0.0]], [0.1, 0.9]),
        lambda: score_quantiles([1.0], [[0.0, 1.0]], [0.9, 0.1]),
        lambda: score_quantiles([1.0], [[0.0, 1.0]], [0.0, 0.9]),
        lambda: score_samples([1.0], [[0.0]]),
        lambda: summary(score_normal([], [], 1)),
        lambda: summary(score_normal([1.0], 0, 1), ["a", "b"]),
        lambda: pit_histogram([1.2]),
        lambda: block_bootstrap([1.0, 2.0], ["a", "a"]),
        lambda: block_bootstrap([1.0, np.nan], ["a", "b"]),
        lambda: block_bootstrap([1.0, 2.0], ["a", "b"], weighting="event"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_scored_is_said(call: Any) -> None:
    with pytest.raises(InputError):
        call()
