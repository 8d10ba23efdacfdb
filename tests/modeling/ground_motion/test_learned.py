"""Learned models: what they recover of a known truth, where they stop, and what they refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ground_motions import PHI_S2S, PHI_SS, TAU, made_ground_motions

from kaname.core.errors import FormatError, InputError, NotFoundError
from kaname.core.shaking import column_of
from kaname.evaluate.audit import influence
from kaname.evaluate.scores import score_normal, summary
from kaname.modeling.ground_motion import get_model
from kaname.modeling.ground_motion.boosted import Boosted
from kaname.modeling.ground_motion.comparison import HoldOut, compare, held_out_folds
from kaname.modeling.ground_motion.forest import Forest
from kaname.modeling.ground_motion.saved import load_model, read_header, save_model
from kaname.modeling.ground_motion.trees import Trees, boosting

BASE: dict[str, Any] = {"base_options": {"mechanism": "unspecified"}}
TREND = 0.5


@pytest.fixture(scope="module")
def train() -> pd.DataFrame:
    return made_ground_motions(80, 25, seed=1, trend=TREND)


@pytest.fixture(scope="module")
def unseen() -> pd.DataFrame:
    return made_ground_motions(80, 25, seed=2, trend=TREND)


@pytest.fixture(scope="module")
def boosted(train: pd.DataFrame) -> Boosted:
    return Boosted(**BASE).fit(train, "pga")


@pytest.fixture(scope="module")
def forest(train: pd.DataFrame) -> Forest:
    return Forest(n_tree=30, **BASE).fit(train, "pga")


@pytest.fixture(params=["boosted", "forest"])
def model(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def test_components_are_those_of_the_truth(model: Any) -> None:
    found = model.fitted_["pga"]
    # Of forty events; what is not learned of the trend stands here too.
    assert 0.75 * TAU < found.tau < 1.5 * TAU
    assert found.phi_s2s == pytest.approx(PHI_S2S, rel=0.25)
    assert found.phi_ss == pytest.approx(PHI_SS, rel=0.06)
    assert found.n_event == 80


def test_unseen_events_are_predicted_better_than_by_the_base_and_with_honest_spread(
    model: Any, unseen: pd.DataFrame
) -> None:
    base = get_model("boore_2014", mechanism="unspecified").predict(unseen, "pga")
    published = score_normal(np.log(unseen["pga_cm_s2"]), base.mean, base.sigma)
    learned = model.score(unseen, "pga")
    assert learned["log_score"].mean() > published["log_score"].mean() + 0.1
    assert 0.84 < summary(learned).iloc[0]["cover_90"] < 0.96


def test_event_terms_of_new_events_help(model: Any, unseen: pd.DataFrame) -> None:
    first = unseen.groupby("event_id").cumcount() < 5
    terms = model.observed_event_terms(unseen[first], "pga")
    rest = unseen[~first]
    with_terms = model.score(rest, "pga", event_terms=terms)
    assert with_terms["log_score"].mean() > model.score(rest, "pga")["log_score"].mean() + 0.1
    assert (model.predict(rest, "pga", event_terms=terms).tau < model.predict(rest, "pga").tau).all()
    nothing = model.predict(rest, "pga", event_terms=terms.iloc[:0])
    np.testing.assert_allclose(nothing.mean, model.predict(rest, "pga").mean)


def test_known_sites_are_known_and_others_are_not(boosted: Boosted, unseen: pd.DataFrame) -> None:
    elsewhere = unseen.assign(latitude=unseen["latitude"] + 3.0)
    known, unknown = boosted.predict(unseen, "pga"), boosted.predict(elsewhere, "pga")
    assert known.phi.mean() < 0.9 * unknown.phi.mean()


def test_outside_its_data_the_base_speaks(boosted: Boosted, unseen: pd.DataFrame) -> None:
    far = unseen.assign(magnitude=9.0, event_depth_km=300.0, latitude=unseen["latitude"] + 20.0)
    base = get_model("boore_2014", mechanism="unspecified").predict(far, "pga")
    assert (boosted.domain_weight(far, "pga") == 0).all()
    given = boosted.predict(far, "pga")
    np.testing.assert_allclose(given.mean, base.mean)
    np.testing.assert_allclose(given.sigma, base.sigma)
    assert boosted.domain_weight(unseen, "pga").mean() > 0.9


def test_the_trend_is_the_one_that_is_there(boosted: Boosted, train: pd.DataFrame) -> None:
    dependence = boosted.partial_dependence(train, "pga", "depth_km")
    slope = np.polyfit(dependence["value"], dependence["mean"], 1)[0] * 10.0
    assert 0.2 < slope < TREND * 1.3
    assert np.ptp(boosted.partial_dependence(train, "pga", "ln vs30_m_s")["mean"]) < 0.3
    with pytest.raises(InputError, match="no feature"):
        boosted.partial_dependence(train, "pga", "rake")


def test_where_there_is_nothing_to_learn_nothing_is_learned() -> None:
    fitted = Boosted(**BASE).fit(made_ground_motions(40, 25, seed=5), "pga").fitted_["pga"]
    # Event terms are easily taken for a trend by magnitude or depth; unseen events tell.
    assert max(fitted.shrinkage) < 0.5


def test_quantiles_samples_and_moments_agree(model: Any, unseen: pd.DataFrame) -> None:
    few = unseen.iloc[:40]
    given = model.predict(few, "pga")
    quantiles = model.quantiles(few, "pga", [0.16, 0.5, 0.84])
    np.testing.assert_allclose(quantiles[:, 1], given.mean)
    assert (np.diff(quantiles, axis=1) > 0).all()
    drawn = model.sample(few, "pga", n=4000, seed=1)
    np.testing.assert_allclose(drawn.mean(axis=1), given.mean, atol=0.06)
    np.testing.assert_allclose(drawn.std(axis=1), given.sigma, rtol=0.12)
    one_event = few["event_id"].to_numpy() == few["event_id"].iloc[0]
    together = np.corrcoef(drawn[one_event][:2])[0, 1]
    assert together == pytest.approx((given.tau[0] / given.sigma[0]) ** 2, abs=0.15)


def test_a_saved_model_is_the_same_model(model: Any, unseen: pd.DataFrame, tmp_path: Path) -> None:
    path = save_model(model, tmp_path / "model.npz", provenance={"input": "made"})
    again = load_model(path)
    for one in ("mean", "tau", "phi"):
        np.testing.assert_array_equal(
            getattr(again.predict(unseen, "pga"), one), getattr(model.predict(unseen, "pga"), one)
        )
    pd.testing.assert_frame_equal(again.event_terms_["pga"], model.event_terms_["pga"], check_dtype=False)
    header = read_header(path)
    assert header["provenance"] == {"input": "made"}
    assert header["software"]["kaname"]
    assert header["measures"]["pga"]["n_event"] == 80


def test_files_that_are_no_models(boosted: Boosted, tmp_path: Path) -> None:
    path = save_model(boosted, tmp_path / "model.npz")
    whole = path.read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.npz").write_bytes(b"")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    np.savez(tmp_path / "newer.npz", header=np.array('{"format": "kaname ground-motion model 99"}'))
    for name in ("cut", "empty", "other", "newer"):
        with pytest.raises(FormatError):
            load_model(tmp_path / f"{name}.npz")
    with pytest.raises(NotFoundError):
        load_model(tmp_path / "nowhere.npz")
    with pytest.raises(InputError, match="npz"):
        save_model(boosted, tmp_path / "model.pkl")
    with pytest.raises(InputError, match="not fitted"):
        save_model(Boosted(), tmp_path / "unfitted.npz")


def test_trees_are_those_of_the_library() -> None:
    from sklearn.tree import DecisionTreeRegressor

    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 3)).astype(np.float32).astype(float)
    y = x[:, 0] ** 2 + rng.normal(size=2000)
    for loss in ("squared_error", "gamma"):
        target = y if loss == "squared_error" else np.exp(y)
        grown = boosting(0, loss=loss).fit(x, target)
        expected = grown.predict(x) if loss == "squared_error" else np.log(grown.predict(x))
        np.testing.assert_allclose(Trees.of_boosting(grown).predict(x), expected, atol=1e-9)
    trees = [DecisionTreeRegressor(min_samples_leaf=20, random_state=k).fit(x, y) for k in range(3)]
    expected = np.mean([t.predict(x) for t in trees], axis=0)
    np.testing.assert_allclose(Trees.of_forest(trees).predict(x), expected, atol=1e-9)


def test_the_audit_runs_at_every_fit(train: pd.DataFrame, unseen: pd.DataFrame) -> None:
    fitted = Boosted(n_fold=2, **BASE).fit(train, "pga", held_out=unseen)
    assert fitted.leaks_ is not None and not (fitted.leaks_["forbidden"] & (fitted.leaks_["n"] > 0)).any()
    with pytest.raises(InputError, match="the same event"):
        Boosted(**BASE).fit(train, "pga", held_out=train.iloc[:100])


def test_nothing_passes_from_held_out_rows_to_a_prediction() -> None:
    table = made_ground_motions(12, 15, seed=6)
    part = np.where(table["event_id"].str[-3:].astype(int) % 3 == 0, "test", "train")

    def run(records: pd.DataFrame, parts: Any) -> Any:
        fitted = Boosted(n_fold=2, **BASE).fit(records[parts == "train"], "pga")
        return fitted.predict(records, "pga").mean

    leak = influence(run, table, part, ["pga_cm_s2", "vs30_m_s"]).iloc[0]
    assert leak["n_total"] > len(table) / 2
    assert leak["n"] == 0


def test_what_cannot_be_fitted_is_said(train: pd.DataFrame) -> None:
    few = train[train["event_id"].isin(train["event_id"].unique()[:4])]
    with pytest.raises(InputError, match="five or more"):
        Boosted(**BASE).fit(few, "pga")
    with pytest.raises(InputError, match="quality"):
        Boosted(**BASE).fit(train.assign(quality="rejected"), "pga")
    with pytest.raises(InputError, match="duplicate_of"):
        Boosted(**BASE).fit(train.assign(duplicate_of="x"), "pga")
    with pytest.raises(InputError, match="no column"):
        Boosted(**BASE).fit(train, "pgv")
    with pytest.raises(InputError, match="vs30_m_s"):
        Boosted(**BASE).fit(train.assign(vs30_m_s=np.nan), "pga")
    with pytest.raises(InputError, match="unknown features"):
        Boosted(features=["colour"])
    with pytest.raises(InputError, match="grow more"):
        Forest(n_tree=1, **BASE).fit(train, "pga")
    with pytest.raises(InputError, match="not fitted"):
        Forest(**BASE).predict(train, "pga")


def test_periods_that_are_not_trusted_do_not_count() -> None:
    table = made_ground_motions(20, 25, seed=3, measures=("sa(3)",))
    fitted = Boosted(**BASE).fit(table, "sa(3)").fitted_["sa(3)"]
    assert fitted.n_record == int((table["longest_period_s"] >= 3).sum())


def test_held_out_events_stay_whole_and_rows_leak() -> None:
    table = made_ground_motions(n_event=12, n_station=30, seed=4, trend=TREND)
    comparison, scores = compare(
        {
            "boore_2014": lambda: get_model("boore_2014", mechanism="unspecified"),
            "boosted": lambda: Boosted(n_fold=3, **BASE),
        },
        table,
        ["pga"],
        n_fold=3,
    )
    rows = comparison.set_index("model")
    assert np.isnan(rows.loc["boore_2014", "gain"])
    assert rows.loc["boosted", "gain_low"] < rows.loc["boosted", "gain"] < rows.loc["boosted", "gain_high"]
    assert rows.loc["boosted", "n"] == len(table) == len(scores) / 2
    own = scores[scores["model"] == "boore_2014"].sort_values("record")
    given = get_model("boore_2014", mechanism="unspecified").predict(table, "pga")
    np.testing.assert_allclose(own["residual"], np.log(table[column_of("pga")]) - given.mean)
    event = table["event_id"]
    both: tuple[HoldOut, ...] = ("event", "time")
    for by in both:
        fold = held_out_folds(table, by, n_fold=3)
        assert pd.Series(fold).groupby(event.to_numpy()).nunique().eq(1).all()
    assert pd.Series(held_out_folds(table, "row")).groupby(event.to_numpy()).nunique().gt(1).all()
    with pytest.raises(InputError):
        held_out_folds(table, "luck")  # type: ignore[arg-type]
