"""The picture of a station shows what the tables say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kaname.report.quality import station_figure, stations_of

DAYS = pd.date_range("2021-03-14", periods=4)


def table(**columns) -> pd.DataFrame:
    rows = [{"id": f"XX.AAA..{c}", "day": d} for c in ("HHZ", "HHN") for d in DAYS]
    frame = pd.DataFrame(rows).assign(available=1.0, problems="", rms=100.0)
    return frame.assign(**columns)


def spectra(unit: str) -> pd.DataFrame:
    period = 2.0 ** (np.arange(-20, 40) / 8)
    rows = [{"id": "XX.AAA..HHZ", "day": d, "period_s": p, "unit": unit} for d in DAYS for p in period]
    return pd.DataFrame(rows).assign(level_p10_db=-130.0, level_db=-120.0, level_p90_db=-110.0)


NOTHING = spectra("count").iloc[:0]


def axes_of(figure) -> dict:
    return {axes.get_gid(): axes for axes in figure.axes if axes.get_gid()}


def test_problems_are_marked_on_their_day_and_channel():
    frame = table()
    frame.loc[2, "problems"] = "gaps, spikes"
    frame.loc[5, "problems"] = "dead"
    axes = axes_of(station_figure(frame, NOTHING, "XX.AAA"))["there"]
    marks = {line.get_label(): (line.get_xdata()[0] % 1, line.get_ydata()[0]) for line in axes.lines}
    assert marks == {"spikes": (0.5, 1), "dead": (0.5, 0)}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["HHN", "HHZ"]


def test_a_day_without_data_is_a_hole():
    frame = table()
    frame.loc[1, ["available", "rms"]] = [0.0, np.nan]
    axes = axes_of(station_figure(frame, NOTHING, "XX.AAA"))
    assert sum(not bar.get_visible() for bar in axes["there"].patches) == 1
    assert any(np.isnan(line.get_ydata()).any() for line in axes["level"].lines)


def test_models_stand_beside_ground_motion_only():
    drawn = axes_of(station_figure(table(), pd.concat([spectra("m/s^2"), spectra("count")]), "XX.AAA"))
    labels = {
        unit: [text.get_text() for text in drawn[f"noise {unit}"].get_legend().get_texts()]
        for unit in ("m/s^2", "count")
    }
    assert any("NLNM" in label for label in labels["m/s^2"])
    assert labels["count"] == ["HHZ"]


@pytest.mark.parametrize("rms", [0.0, np.nan])
def test_nothing_to_draw(rms):
    station_figure(table(rms=rms), NOTHING, "XX.AAA").canvas.draw()
    station_figure(table(), NOTHING, "YY.BBB").canvas.draw()


def test_stations():
    assert stations_of(pd.DataFrame({"id": ["XX.AAA..HHZ", "XX.AAA.10.HHN", "AA.Z..HHZ"]})) == [
        "AA.Z",
        "XX.AAA",
    ]
