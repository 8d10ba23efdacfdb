"""Laws of residuals: their quantiles, tails, and which is chosen."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import genpareto, norm
from scipy.stats import t as student

from kaname.core.errors import InputError
from kaname.modeling.field import margins

P = np.array([0.001, 0.01, 0.05, 0.25, 0.5, 0.9, 0.99, 0.999])


@pytest.mark.parametrize("law", ["normal", "student", "tails"])
def test_a_law_fits_what_it_was_drawn_from_and_inverts_itself(law: margins.Law) -> None:
    draw = (
        norm.rvs(size=4000, random_state=1) if law == "normal" else student.rvs(4, size=4000, random_state=1)
    )
    truth = norm.ppf(P) if law == "normal" else student.ppf(P, 4)
    found = margins.fit(law, draw)
    assert found.name == law
    np.testing.assert_allclose(found.cdf(found.quantile(P)), P, atol=1e-9)
    np.testing.assert_allclose(found.quantile(P[2:-2]), truth[2:-2], atol=0.12)
    np.testing.assert_allclose(found.quantile([0.01, 0.99]), [truth[1], truth[6]], rtol=0.12)


def test_tails_are_those_of_the_generalised_pareto() -> None:
    body = np.random.default_rng(0).uniform(-1, 1, 9000)
    upper = 1 + genpareto.rvs(0.2, scale=0.5, size=500, random_state=2)
    lower = -1 - genpareto.rvs(0.0, scale=0.3, size=500, random_state=3)
    found = margins.fit("tails", np.concatenate([body, upper, lower]))
    assert isinstance(found, margins.Tails)
    assert found.shape[1] == pytest.approx(0.2, abs=0.15)
    assert found.stretch[1] == pytest.approx(0.5, rel=0.2)
    assert found.shape[0] == pytest.approx(0.0, abs=0.15)
    assert found.quantile(0.999) == pytest.approx(1 + genpareto.ppf(0.98, 0.2, scale=0.5), rel=0.15)


def test_the_choice_is_the_better_held_out_score() -> None:
    block = np.repeat(np.arange(100), 30)
    heavy, scores = margins.choose(student.rvs(3, size=3000, random_state=4), block)
    assert heavy.name != "normal" and scores[heavy.name] < scores["normal"]
    plain, scores = margins.choose(norm.rvs(size=3000, random_state=5), block)
    assert scores["normal"] < 1.002 * min(scores.values())
    np.testing.assert_allclose(plain.quantile(P[1:-1]), norm.ppf(P[1:-1]), atol=0.15)
    few, none = margins.choose(norm.rvs(size=50, random_state=6), np.arange(50))
    assert few.name == "normal" and none == {}


def test_the_score_is_that_of_the_normal_in_closed_form() -> None:
    z = np.array([-2.0, 0.0, 1.5])
    expected = z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi)
    np.testing.assert_allclose(margins.crps(margins.Normal(), z), expected, atol=2e-3)


def test_bad_residuals_are_refused() -> None:
    with pytest.raises(InputError):
        margins.fit("normal", [1.0, np.nan])
    with pytest.raises(InputError, match="known are"):
        margins.fit("cauchy", np.zeros(200))  # type: ignore[arg-type]
