"""Grids, layers of a field, and what they are written as."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from kaname.core.errors import InputError
from kaname.modeling.field import maps
from kaname.modeling.field.conditioning import ConditionedField, Places, condition
from kaname.signal.intensity import JmaIntensity


def _field(measure: str = "pgv") -> ConditionedField:
    lat, lon = maps.Grid.over((139, 35, 139.5, 35.4), 0.1).points()
    n = len(lat)
    return condition([], Places(measure, lat, lon, np.linspace(0, 5, n), np.full(n, 0.3), np.full(n, 0.4)))


def test_a_grid_lies_on_multiples_of_its_spacing_and_covers_its_bounds() -> None:
    grid = maps.Grid.over((139.02, 35.03, 139.44, 35.17), 0.05)
    np.testing.assert_allclose(grid.latitude, [35.0, 35.05, 35.1, 35.15, 35.2])
    assert grid.longitude[0] == 139.0 and grid.longitude[-1] == 139.45
    assert grid.points()[0].shape == (5 * 10,)


@pytest.mark.parametrize(
    "bounds, spacing",
    [((139, 35, 138, 36), 0.1), ((139, 35, 140, 36), 0.0), ((139, 35, 140, 36), 0.0001), ((0, -95, 1, 1), 1)],
)
def test_bad_grids_are_refused(bounds: tuple[float, float, float, float], spacing: float) -> None:
    with pytest.raises(InputError):
        maps.Grid.over(bounds, spacing)


def test_layers_agree_with_one_another() -> None:
    field = _field()
    values = maps.layers(field, [10.0, 30.0])
    assert set(values) == {"median", "p16", "p84", "sigma_ln", "above_10", "above_30"}
    np.testing.assert_allclose(np.log(values["p84"] / values["median"]), 0.99446 * 0.5, rtol=1e-4)
    assert ((values["above_10"] > 0.5) == (values["median"] > 10)).all()


def test_intensity_follows_midorikawa_and_its_classes_those_of_jma() -> None:
    field = _field()
    values = maps.intensity_layers(field)
    np.testing.assert_allclose(values["intensity"], 2.68 + 1.72 * np.log10(field.median))
    np.testing.assert_allclose(values["sigma"], np.hypot(1.72 * 0.5 / np.log(10), 0.21))
    # At a median of 5.0 the class is 5 upper, and half the probability lies there or above.
    assert JmaIntensity(5.0, 0.0).scale == "5+"
    near = int(np.abs(values["intensity"] - 5.0).argmin())
    assert values["above_5+"][near] == pytest.approx(0.5, abs=0.2)
    assert (values["above_7"] <= values["above_4"]).all()
    with pytest.raises(InputError, match="pga or pgv"):
        maps.intensity_layers(_field("sa(1)"))


def test_files_hold_the_layers(tmp_path: Path) -> None:
    grid = maps.Grid.over((139, 35, 139.5, 35.4), 0.1)
    values = maps.layers(_field(), [10.0])
    values["median"][3] = np.nan
    tif, points = maps.write_grid(tmp_path, "pgv", grid, values)
    content = json.loads(points.read_text())
    assert len(content["features"]) == 30
    third = content["features"][3]
    assert third["geometry"]["coordinates"] == [139.3, 35.0]
    assert third["properties"]["median"] is None
    assert third["properties"]["p84"] == pytest.approx(values["p84"][3], rel=1e-4)
    assert tif.stat().st_size > 30 * 5
