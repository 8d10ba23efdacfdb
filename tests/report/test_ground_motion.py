"""Figures of models of ground motion show what they are given."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kaname.report.ground_motion import calibration_figure, dependence_figure, residual_figure


@pytest.fixture
def scores() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    parts = [
        pd.DataFrame(
            {
                "measure": measure,
                "model": model,
                "residual": rng.normal(0.5 * (model == "old"), 0.5, 400),
                "pit": rng.uniform(size=400),
                "magnitude": rng.choice([4.0, 4.5, 5.0], 400),
                "rrup_km": rng.uniform(1, 200, 400),
                "vs30_m_s": rng.uniform(150, 900, 400),
            }
        )
        for measure in ("pga", "sa(1)")
        for model in ("old", "new")
    ]
    return pd.concat(parts, ignore_index=True)


def test_residuals_of_each_model_are_drawn(scores: pd.DataFrame) -> None:
    figure = residual_figure(scores[scores["measure"] == "pga"], ["old", "new"])
    assert figure.axes[0].get_xlabel() == "Magnitude"
    for axes in figure.axes:
        # The dots of the records come first, then the bins of each model.
        _, old, new = (np.asarray(line.get_ydata(), float) for line in axes.lines[:3])
        assert old.mean() > new.mean() + 0.3


def test_one_histogram_per_measure_and_model(scores: pd.DataFrame) -> None:
    figure = calibration_figure(scores, ["old", "new"], n_bin=10)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["pga", "sa(1)"]
    for axes in figure.axes:
        assert len(axes.patches) == 2
    assert len(calibration_figure(scores.iloc[:0], ["old"]).axes) == 1


def test_dependence_has_a_panel_for_each_feature() -> None:
    value = np.linspace(4, 7, 5)
    table = pd.DataFrame({"value": value, "mean": value - 5, "low": value - 6, "high": value - 4})
    figure = dependence_figure({"magnitude": table, "depth_km": table})
    assert [axes.get_xlabel() for axes in figure.axes] == ["magnitude", "depth_km"]
    np.testing.assert_allclose(np.asarray(figure.axes[0].lines[0].get_ydata()), value - 5)
