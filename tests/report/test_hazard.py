"""Figures of hazard and damage show what they are given, and say so when that is nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kaname.report.hazard import (
    damage_by_town,
    disaggregation,
    fragility_curves,
    hazard_curves,
    uniform_hazard_spectra,
)


def test_fragility_curves_have_a_panel_for_each_class() -> None:
    level = np.geomspace(10, 1000, 20)
    parts = [
        pd.DataFrame(
            {
                "building_class": name,
                "damage_state": k,
                "level": level,
                "probability": 0.5,
                "low": 0.4,
                "high": 0.6,
            }
        )
        for name in "abcd"
        for k in (1, 2)
    ]
    figure = fragility_curves(pd.concat(parts), label="PGA [cm/s2]", title="All")
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in shown] == list("abcd")
    assert all(len(axes.lines) == 2 for axes in shown)


def test_damage_by_town_has_a_dot_for_each_town() -> None:
    towns = pd.DataFrame(
        {
            "method": ["x", "x", "y"],
            "expected_damaged": [0.1, 0.2, 0.3],
            "damaged": [0.1, 0.3, 0.2],
            "n": [5, 9, 7],
        }
    )
    figure = damage_by_town(towns, title="Towns")
    assert [len(axes.collections[0].get_offsets()) for axes in figure.axes] == [2, 1]


def test_nothing_to_show() -> None:
    empty = pd.DataFrame(columns=["building_class", "damage_state", "level", "probability", "low", "high"])
    towns = pd.DataFrame(columns=["method", "expected_damaged", "damaged", "n"])
    for figure in (
        hazard_curves(curves()[:0], label=str),
        uniform_hazard_spectra(pd.DataFrame(columns=["site", "period_s", "level"])),
        disaggregation(pd.DataFrame(columns=["site", "measure", "share"]), label=str),
        fragility_curves(empty, label="", title=""),
        damage_by_town(towns, title=""),
    ):
        assert any(text.get_gid() == "nothing" for text in figure.axes[0].texts)


def curves() -> pd.DataFrame:
    level = np.geomspace(10, 1000, 12)
    return pd.DataFrame(
        [
            {"site": site, "statistic": statistic, "measure": measure, "level": v, "probability": 0.1 / v,
             "rate_per_year": scale / v}
            for site in ("A", "B")
            for measure in ("pga", "sa(1)")
            for statistic, scale in (("mean", 1.0), ("quantile_0.16", 0.5), ("quantile_0.84", 2.0))
            for v in level
        ]
    )  # fmt: skip


def test_site_curves_have_a_panel_per_measure_and_a_band_per_site() -> None:
    figure = hazard_curves(curves(), label=str.upper)
    assert [axes.get_xlabel() for axes in figure.axes] == ["PGA", "SA(1)"]
    assert [line.get_label() for line in figure.axes[0].lines] == ["A", "B"]
    assert len(figure.axes[0].collections) == 2


def test_spectra_stand_pga_before_the_shortest_period() -> None:
    rows = [
        {"site": "A", "statistic": "mean", "period_s": period, "return_period_years": years, "level": years}
        for period in (0.0, 0.2, 1.0)
        for years in (475.0, 2475.0)
    ]  # fmt: skip
    figure = uniform_hazard_spectra(pd.DataFrame(rows))
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_xticklabels()] == ["PGA", "0.2", "1"]
    assert [line.get_label() for line in axes.lines] == ["once in 475 years", "once in 2475 years"]


def test_disaggregation_says_the_mean_earthquake() -> None:
    shares = pd.DataFrame(
        {
            "site": "A", "measure": "pga", "level": 100.0, "probability": 0.1, "magnitude": [5.25, 6.25],
            "distance_km": [5.0, 45.0], "epsilon": 0.5, "share": [0.75, 0.25],
        }
    )  # fmt: skip
    figure = disaggregation(shares, label=str.upper)
    title = figure.axes[0].get_title(loc="left")
    assert "100" in title and "M 5.5, 15 km" in title
