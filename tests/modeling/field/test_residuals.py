"""The learned residual field on earthquakes whose truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kaname.core.errors import InputError
from kaname.evaluate.splits import blocks, folds
from kaname.modeling.field.correlation import distances
from kaname.modeling.field.kernel import Kernel, Part, Records, Solved
from kaname.modeling.field.moments import fit_moments, variogram
from kaname.modeling.field.residuals import ResidualField, deduplicated, plus_event_term
from kaname.modeling.ground_motion.contract import Prediction


def _earthquakes(n_event: int = 3, n: int = 130, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Synthetic residuals at the same stations: event term 0.4, field 0.5 over 40 km, site 0.3, noise 0.2."""
    rng = np.random.default_rng(seed)
    lat, lon = rng.uniform(34, 37, n), rng.uniform(134, 138, n)
    root = np.linalg.cholesky(0.25 * np.exp(-distances(lat, lon, lat, lon) / 40) + 1e-9 * np.eye(n))
    site = rng.normal(0, 0.3, n)
    rows, residual = [], []
    for k in range(n_event):
        rows.append(
            pd.DataFrame(
                {
                    "event_id": f"e{k}",
                    "latitude": lat,
                    "longitude": lon,
                    "rrup_km": np.hypot(111 * (lat - 35), 91 * (lon - 136)) + 10,
                    "vs30_m_s": np.exp(rng.normal(6, 0.3, n)),
                    "magnitude": 6.0 + 0.2 * k,
                    "event_depth_km": 15.0,
                }
            )
        )
        residual.append(rng.normal(0, 0.4) + root @ rng.standard_normal(n) + site + rng.normal(0, 0.2, n))
    return pd.concat(rows, ignore_index=True), np.concatenate(residual)


def _prior(n: int) -> Prediction:
    return Prediction(np.full(n, 4.0), np.full(n, 0.4), np.full(n, 0.6))


def _part(prior: Prediction, at: np.ndarray) -> Prediction:
    return Prediction(prior.mean[at], prior.tau[at], prior.phi[at])


@pytest.fixture(scope="module")
def held_out() -> dict[str, np.ndarray]:
    table, residual = _earthquakes()
    prior = _prior(len(table))
    value = prior.mean + residual
    block = np.char.add(
        table["event_id"].to_numpy().astype(str), blocks(table["latitude"], table["longitude"])
    )
    test = folds(block, n_fold=4) == 0
    field = ResidualField(trees=False).fit(table[~test], value[~test], _part(prior, ~test))
    found = field.predict(table[test], _part(prior, test))
    return {"residual": residual[test], "z": value[test] - found.mean, "scale": found.scale, "field": field,
            "found": found, "table": table, "test": test, "value": value}  # type: ignore[dict-item]  # fmt: skip


def test_it_finds_more_than_half_of_the_variance_and_states_what_is_left(held_out) -> None:
    assert np.var(held_out["z"]) < 0.5 * np.var(held_out["residual"])
    covered = np.abs(held_out["z"]) < 1.645 * held_out["scale"]
    assert 0.8 < covered.mean() < 0.98
    q = held_out["found"].quantiles([0.05, 0.5, 0.95])
    assert (np.diff(q, axis=1) > 0).all()
    level = float(np.exp(held_out["found"].mean[0]))
    assert held_out["found"].exceedance(level)[0] == pytest.approx(0.5, abs=0.1)


def test_its_covariance_is_one_and_has_the_scales_on_its_diagonal(held_out) -> None:
    table = held_out["table"][held_out["test"]]
    own = table[table["event_id"] == "e1"]
    prior = _prior(len(own))
    matrix = held_out["field"].covariance(own, prior)
    assert np.linalg.eigvalsh(matrix).min() > 0
    np.testing.assert_allclose(np.sqrt(np.diag(matrix)), held_out["field"].predict(own, prior).scale)


def test_an_event_without_records_gets_the_model_and_a_wide_scale(held_out) -> None:
    table = held_out["table"][:20].assign(event_id="new", latitude=lambda t: t["latitude"] + 8)
    found = held_out["field"].predict(table, _prior(20))
    np.testing.assert_allclose(found.mean, 4.0)
    assert found.scale.min() > held_out["scale"].mean()


def _features(table: pd.DataFrame) -> dict[str, np.ndarray]:
    return {
        "event": pd.factorize(table["event_id"])[0].astype(float),
        "place": table[["latitude", "longitude"]].to_numpy(),
        "x": np.log(table["vs30_m_s"].to_numpy()),
        "c": np.round(table["vs30_m_s"].to_numpy(), -2),
    }


_PARTS = (
    Part("a", "place", "constant", 0.4),
    Part("b", "place", "exponential", 0.4, 30.0),
    Part("c", "place", "matern", 0.4, 90.0, shared=True),
    Part("d", "x", "gaussian", 0.3, 0.4),
    Part("e", "c", "equal", 0.2),
    Part("f", "place", "gaussian", 0.2, 1.0, shared=True),
)


def test_an_event_without_records_gets_what_its_sites_did_in_others() -> None:
    table, residual = _earthquakes(4, 80, seed=6)
    known = (table["event_id"] != "e3").to_numpy()
    prior = _prior(len(table))
    field = ResidualField(trees=False, law="normal")
    field.fit(table[known], prior.mean[known] + residual[known], _part(prior, known))
    found = field.predict(table[~known], _part(prior, ~known)).mean - 4.0
    own = residual[~known] - residual[~known].mean()
    assert np.corrcoef(found, own)[0, 1] > 0.25


@pytest.mark.parametrize("gross", [False, True])
def test_left_out_blocks_equal_solving_without_them(gross: bool) -> None:
    table, residual = _earthquakes(2, 40)
    if gross:
        residual[7] = -9.0
    features, block = _features(table), np.tile(np.arange(40) % 5, 2)
    kernel = Kernel(_PARTS)
    solved = Solved.of(kernel, Records(features, residual))
    assert (solved.records.weight < 0.5).tolist() == [gross and i == 7 for i in range(80)]
    mean, variance = solved.left_out(block)
    out = block == 2
    rest = Solved.of(kernel, Records({k: v[~out] for k, v in features.items()}, residual[~out]))
    expected = rest.predict({k: v[out] for k, v in features.items()})
    np.testing.assert_allclose(mean[out], expected[0], atol=1e-9)
    np.testing.assert_allclose(variance[out], expected[1], atol=1e-9)


def test_the_slope_of_the_likelihood_is_that_of_its_differences() -> None:
    features = _features(_earthquakes(2, 25)[0])
    kernel = Kernel(_PARTS)
    theta, apart = kernel.theta, kernel.apart(features, features)
    against = np.random.default_rng(0).standard_normal((50, 50))
    slope = kernel.slope(list(kernel.terms(theta, apart)), against)
    for i in range(len(theta)):
        step = np.zeros(len(theta))
        step[i] = 1e-5
        up, down = (kernel.matrix(theta + s * step, apart) for s in (1, -1))
        assert slope[i] == pytest.approx(float((against * (up - down)).sum()) / 2e-5, abs=1e-5)


def test_what_earthquakes_share_is_learned_from_the_others() -> None:
    table, residual = _earthquakes(3, 80, seed=5)
    last = (table["event_id"] == "e2").to_numpy()
    # Of the third earthquake every second place; the others recorded them all.
    test = last & (np.arange(len(table)) % 2 == 0)
    scores = []
    for known in (~test, last & ~test):
        field = ResidualField(trees=False, law="normal")
        prior = _prior(len(table))
        field.fit(table[known], prior.mean[known] + residual[known], _part(prior, known))
        found = field.predict(table[test], _part(prior, test)).mean - prior.mean[test]
        scores.append(float(np.mean((residual[test] - found) ** 2)))
    assert scores[0] < 0.9 * scores[1], scores


def test_moments_are_found_again() -> None:
    table, residual = _earthquakes(12, 120, seed=3)
    found = fit_moments(residual, table["event_id"], table["latitude"], table["longitude"])
    assert found.tau == pytest.approx(0.4, abs=0.2)
    assert found.phi == pytest.approx(np.sqrt(0.25 + 0.09 + 0.04), rel=0.12)
    assert 20 < found.correlation.length_km < 80
    bins = variogram(residual, table["event_id"], table["latitude"], table["longitude"])
    assert bins["semivariance"].iloc[-1] > bins["semivariance"].iloc[3]
    assert bins["semivariance"].iloc[-1] == pytest.approx(found.phi**2, rel=0.25)
    many = bins[bins["n"] > 100]
    np.testing.assert_allclose(many["robust"], many["semivariance"], rtol=0.2)


def test_duplicates_are_one_place_whatever_they_recorded() -> None:
    table = pd.DataFrame(
        {
            "event_id": ["a", "a", "a", "b"],
            "latitude": [35.001, 35.0, 36.0, 35.0],
            "longitude": [135.0, 135.0, 135.0, 135.0],
            "pga_cm_s2": [100.0, 50.0, 7.0, 3.0],
        }
    )
    assert deduplicated(table)["pga_cm_s2"].tolist() == [50.0, 7.0, 3.0]


def test_an_event_term_pulls_as_far_as_its_records_bear() -> None:
    prior = _prior(50)
    one = plus_event_term(prior, np.full(50, 1.0), np.arange(50) < 1)
    many = plus_event_term(prior, np.full(50, 1.0), np.arange(50) < 49)
    # One record: 0.16 / (0.16 + 0.36) of its residual.
    assert one.mean[0] == pytest.approx(4 + 0.16 / 0.52)
    assert many.mean[0] > 4.9 and many.tau[0] < one.tau[0] < 0.4


def test_bad_input_is_refused() -> None:
    table, residual = _earthquakes(1, 30)
    prior = _prior(30)
    with pytest.raises(InputError, match="finite"):
        ResidualField().fit(table, np.full(30, np.nan), prior)
    with pytest.raises(InputError, match="vs30_m_s"):
        ResidualField().fit(table.assign(vs30_m_s=np.nan), prior.mean + residual, prior)
    with pytest.raises(InputError, match="no shape"):
        Part("a", "place", "spherical", 1.0)  # type: ignore[arg-type]
