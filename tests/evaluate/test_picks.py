"""Scores of picks, on tables small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kaname.core.errors import InputError, SchemaError
from kaname.core.tables import PICKS, table
from kaname.core.time import add_seconds, as_time
from kaname.evaluate.picks import match_picks, near_label, score_dense, score_picks, window_about

T0 = pd.Timestamp("2024-01-01")


def rows(*items: tuple[str, str, float], sigma: float = 0.1, network: str = "XX") -> pd.DataFrame:
    return table(
        [
            {
                "pick_id": f"{station}{phase}{i}",
                "network": network,
                "station": station,
                "phase": phase,
                "time": T0 + pd.Timedelta(seconds=t),
                "time_uncertainty_s": sigma,
            }
            for i, (station, phase, t) in enumerate(items)
        ],
        PICKS,
    )


def test_counts_residuals_and_coverage() -> None:
    labels = rows(("A", "P", 10.0), ("A", "S", 12.0), ("B", "P", 11.0), ("C", "P", 20.0))
    picks = rows(("A", "P", 10.05), ("A", "P", 30.0), ("B", "P", 11.25), ("A", "S", 12.0), ("D", "P", 20.0))
    score = score_picks(picks, labels, tolerances_s=(0.1, 0.3)).set_index(["phase", "tolerance_s"])
    tight, wide = score.loc[("P", 0.1)], score.loc[("P", 0.3)]
    assert (tight.n_label, tight.n_pick, tight.n_match) == (3, 4, 1)
    assert (wide.n_match, wide.recall, wide.precision) == (2, pytest.approx(2 / 3), pytest.approx(0.5))
    assert wide.f1 == pytest.approx(2 * 2 / 7)
    assert wide.residual_mean_s == pytest.approx(0.15) and wide.residual_sd_s == pytest.approx(0.2 / 2**0.5)
    assert (wide.coverage_68, wide.coverage_95, wide.n_stated) == (0.5, 0.5, 2)
    assert wide.recall_low < wide.recall < wide.recall_high
    assert score.loc[("S", 0.1)].f1 == 1


def test_matches_are_one_to_one_and_the_closest_first() -> None:
    picks = rows(("A", "P", 10.2), ("A", "P", 10.0), ("A", "P", 10.4))
    labels = rows(("A", "P", 10.1), ("A", "P", 10.05))
    pick, label = match_picks(picks, labels, 0.5)
    assert sorted(zip(pick.tolist(), label.tolist())) == [(0, 0), (1, 1)]


def test_networks_must_agree_unless_unknown() -> None:
    picks = rows(("A", "P", 10.0))
    assert score_picks(picks, rows(("A", "P", 10.0), network="")).n_match.iloc[0] == 1
    assert score_picks(picks, rows(("A", "P", 10.0), network="YY")).n_match.iloc[0] == 0


def test_nothing_to_score_is_missing_not_zero() -> None:
    nothing = rows()
    score = score_picks(nothing, nothing)
    assert (score.n_label == 0).all() and score[["recall", "precision", "f1", "residual_mean_s"]].isna().all(
        axis=None
    )
    score = score_picks(nothing, rows(("A", "P", 1.0)))
    assert score.recall.iloc[0] == 0 and np.isnan(score.precision.iloc[0])


def test_picks_without_uncertainty_are_not_covered_nor_counted() -> None:
    picks = rows(("A", "P", 10.0), sigma=float("nan"))
    score = score_picks(picks, rows(("A", "P", 10.0))).iloc[0]
    assert score.n_match == 1 and score.n_stated == 0 and np.isnan(score.coverage_68)


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="positive"):
        score_picks(rows(), rows(), tolerances_s=(0.0,))
    with pytest.raises(SchemaError):
        score_picks(pd.DataFrame({"station": ["A"]}), rows())


def test_dense_onsets_may_share_what_is_true_but_not_what_is_found() -> None:
    labels = rows(("A", "P", 10.0), ("A", "P", 10.2), ("A", "P", 30.0))
    picks = rows(("A", "P", 10.05), ("A", "P", 10.45), ("A", "P", 30.4), ("A", "P", 50.0), ("B", "P", 10.0))
    score = score_dense(picks, labels).set_index("phase").loc["P"]
    assert (score.n_label, score.n_found) == (3, 2)  # 10.05 has 10.0, 10.45 has 10.2; 30.4 is too far
    assert (score.n_pick, score.n_true) == (5, 3)
    assert near_label(picks, labels, 0.5).tolist() == [True, True, True, False, False]


def test_windows_lie_evenly_where_they_hold_the_onsets() -> None:
    start = as_time("2020-01-01")
    end, onsets = add_seconds(start, 90), [add_seconds(start, t) for t in (40.0, 45.0)]
    rng = np.random.default_rng(0)
    starts = []
    for _ in range(400):
        low, high = window_about(start, end, onsets, 30.0, rng)
        assert high - low == np.timedelta64(30, "s")
        starts.append(float((low - start) / np.timedelta64(1, "s")))
    # From 45 + 1 - 30 to 40 - 1 s.
    assert min(starts) >= 16 and max(starts) <= 39
    assert np.histogram(starts, 4, (16, 39))[0] == pytest.approx([100] * 4, abs=40)


def test_windows_at_the_ends_of_a_record_and_about_onsets_far_apart() -> None:
    start = as_time("2020-01-01")
    rng = np.random.default_rng(1)

    def first(onsets: list[float], length: float, end: float = 90.0) -> float:
        times = [add_seconds(start, t) for t in onsets]
        low, _ = window_about(start, add_seconds(start, end), times, length, rng)
        return float((low - start) / np.timedelta64(1, "s"))

    assert first([0.2], 10.0) == 0 and first([89.5], 10.0) == 80
    assert first([40.0], 100.0) == 0
    assert 0 <= first([], 10.0) <= 80
    assert all(11 <= first([20.0, 50.0], 10.0) <= 19 for _ in range(50))
    with pytest.raises(InputError, match="longer than 2 s"):
        first([40.0], 2.0)
