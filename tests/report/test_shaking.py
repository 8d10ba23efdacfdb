"""Maps of shaking draw what they are given."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.collections import QuadMesh

from kaname.report.shaking import INTENSITY_COLOURS, exceedance_maps, hazard_maps, intensity_map, shaking_maps
from kaname.signal.intensity import CLASSES

LATITUDE, LONGITUDE = np.linspace(35, 35.4, 5), np.linspace(139, 139.5, 6)
STATIONS = pd.DataFrame({"latitude": [35.1, 35.3], "longitude": [139.2, 139.4], "value": [10.0, 40.0]})
VALUES = np.exp(np.linspace(1, 4, 30)).reshape(5, 6)


def _mesh(axes) -> np.ndarray:
    return np.asarray(next(c for c in axes.collections if isinstance(c, QuadMesh)).get_array())


def test_four_panels_hold_the_layers_on_one_scale() -> None:
    layers = {"median": VALUES, "p16": VALUES / 2, "p84": VALUES * 2, "sigma_ln": np.full((5, 6), 0.5)}
    figure = shaking_maps(
        LATITUDE, LONGITUDE, layers, STATIONS, label="PGA (cm/s2)", title="One", epicentre=(35.2, 139.3)
    )
    maps = figure.axes[:4]
    np.testing.assert_array_equal(_mesh(maps[0]).ravel(), VALUES.ravel())
    np.testing.assert_array_equal(_mesh(maps[3]).ravel(), 2 * VALUES.ravel())
    meshes = [next(c for c in maps[i].collections if isinstance(c, QuadMesh)) for i in (0, 2, 3)]
    assert len({(m.norm.vmin, m.norm.vmax) for m in meshes}) == 1
    assert "One" in figure.get_suptitle()


def test_a_panel_for_each_level() -> None:
    layers = {f"Above {k}": np.full((5, 6), k / 100) for k in (5, 50, 90)}
    figure = exceedance_maps(LATITUDE, LONGITUDE, layers, STATIONS, title="Two")
    assert [a.get_title(loc="left") for a in figure.axes[:3]] == list(layers)
    assert not figure.axes[3].get_visible()


def test_every_class_of_the_scale_has_its_colour() -> None:
    assert list(INTENSITY_COLOURS)[1:] == [name for _, name in reversed(CLASSES)]
    values = np.linspace(0, 7, 30).reshape(5, 6)
    figure = intensity_map(LATITUDE, LONGITUDE, values, STATIONS.assign(value=[4.0, 5.2]), title="Three")
    legend = figure.axes[0].get_legend()
    assert [t.get_text() for t in legend.get_texts()] == list(reversed(INTENSITY_COLOURS))


def test_hazard_maps_mark_sites_and_sources_on_one_scale() -> None:
    layers = {"rare": VALUES * 2, "often": np.where(VALUES > 3, VALUES, np.nan)}
    sites = pd.DataFrame({"site": ["A", "far"], "latitude": [35.2, 20.0], "longitude": [139.2, 139.2]})
    fault = np.array([[139.1, 35.1], [139.4, 35.3]])
    figure = hazard_maps(LATITUDE, LONGITUDE, layers, sites, [fault], label="PGA (cm/s2)", title="Hazard")
    rare, often = figure.axes[:2]
    np.testing.assert_array_equal(_mesh(rare).ravel(), 2 * VALUES.ravel())
    assert np.isnan(np.ma.filled(_mesh(often), np.nan)).sum() == (VALUES <= 3).sum()
    for axes in (rare, often):
        texts = [text.get_text() for text in axes.texts]
        assert "A" in texts and "far" not in texts
        assert any(len(line.get_xdata()) == 2 and line.get_zorder() == 2 for line in axes.lines)
    nothing = {"none": np.full((5, 6), np.nan)}
    assert hazard_maps(LATITUDE, LONGITUDE, nothing, sites[:0], [], label="", title="").axes
