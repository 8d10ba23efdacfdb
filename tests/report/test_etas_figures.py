"""Figures of residuals in space: every point, cell and place is drawn, and little is drawn of little."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kaname.report import etas

BOX = np.array([140.0, 141, 141, 140]), np.array([36.0, 36, 37, 37])


def points(n):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "time": pd.Timestamp("2020-01-01") + pd.to_timedelta(np.sort(rng.uniform(0, 365, n)), "D"),
            "longitude": rng.uniform(140, 141, n),
            "latitude": rng.uniform(36, 37, n),
            "earthquake": np.arange(n) % 3 == 0,
        }
    )


def pairs(known):
    far, late = (np.ravel(v) for v in np.meshgrid([0.1, 1.0, 6.0], [1.0, 30.0, 365.0], indexing="ij"))
    low = np.where(known, 0.8, np.nan) * np.ones(9)
    return pd.DataFrame({"distance_km": far, "delay_day": late, "ratio": 1.1, "low": low, "high": low + 0.4})


def test_points_and_pairs_are_drawn():
    figure = etas.thinned(points(60), BOX, pairs(True), title="T")
    places, times, ratios = figure.axes
    assert sum(len(line.get_xdata()) for line in times.lines) == 60
    assert sum(len(line.get_xdata()) for line in places.lines) == 60 + 5
    assert [text.get_text() for text in ratios.get_legend().get_texts()] == ["1 days", "30 days", "365 days"]
    empty = etas.thinned(points(0), BOX, pairs(False))
    assert "too few" in empty.axes[2].texts[0].get_text()


def test_cells_are_drawn_beside_one_another():
    ring = BOX
    worst = pd.DataFrame({"longitude": [140.2, 140.8], "latitude": [36.5, 36.6]})
    one = etas.voronoi({"A": ([ring, ring], np.array([-9.0, 2.0]))}, worst)
    assert [t.get_text() for t in one.axes[0].texts] == ["1", "2"]
    two = etas.voronoi({"A": ([ring], np.array([0.5])), "B": ([ring], np.array([0.1]))}, worst.head(0))
    assert [axes.get_title(loc="left") for axes in two.axes[:2]] == ["A", "B"]


def test_p_values_are_drawn_in_order():
    figure = etas.p_values({"A": np.array([0.9, 0.1, np.nan]), "B": np.array([])})
    drawn = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in drawn] == ["A", "B"]
    assert drawn[0].lines[1].get_xdata().tolist() == [0.1, 0.9]
