"""The window of a map: what it holds, where its meridians run, and clipping."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaname.report.view import View, clip_ring, crossing, degree_label, nice


@pytest.mark.parametrize(
    ("latitude", "longitude", "width_km"),
    [
        ([35.0, 36.0], [139.0, 140.0], 200),
        ([-17.0, -16.0], [179.5, -179.5], 200),  # across the date line
        ([-17.0, -16.0], [179.5, 180.5], 200),  # the same, counted on
        ([89.5, 89.5, 89.5], [0.0, 120.0, -120.0], 200),
        ([-89.9, -89.9], [0.0, 180.0], 60),
    ],
)
def test_view_holds_its_places_and_little_more(
    latitude: list[float], longitude: list[float], width_km: float
) -> None:
    view = View.around(latitude, longitude)
    assert view.contains(*view.frame.to_local(latitude, longitude)).all()
    assert view.reach_km < width_km


def test_view_of_nothing_and_of_one_place() -> None:
    assert View.around([], []).half_east_km > 10_000
    assert View.around([np.nan], [np.nan]).half_east_km > 10_000
    one = View.around([48.0], [11.0])
    assert one.half_east_km == pytest.approx(0.5, rel=0.5)
    assert one.contains(0.0, 0.0)


def test_view_of_the_whole_globe_is_drawn() -> None:
    view = View.around([0.0, 0.0, 0.0, 0.0], [0.0, 90.0, 180.0, -90.0])
    assert view.land()
    assert view.graticule().meridians


def test_meridians_and_parallels_lie_where_they_should() -> None:
    view = View.around([34.0, 36.0], [138.0, 141.0])
    graticule = view.graticule()
    assert 3 <= len(graticule.parallels) <= 8
    assert 3 <= len(graticule.meridians) <= 8
    for value, line in graticule.parallels.items():
        assert np.allclose(view.frame.to_geographic(*line.T)[0], value)
    for value, line in graticule.meridians.items():
        assert np.allclose(view.frame.to_geographic(*line.T)[1], value)


def test_graticule_at_the_pole_goes_all_round() -> None:
    view = View.around([-88.0, -88.0, -88.0], [0.0, 120.0, -120.0])
    meridians = sorted(v % 360 for v in view.graticule().meridians)
    assert len(set(meridians)) == len(meridians)
    assert np.ptp(meridians) >= 180


def test_crossing() -> None:
    line = np.array([[0.0, 0.0], [2.0, 4.0]])
    assert crossing(line, 1, 2.0, 5.0) == pytest.approx(1.0)
    assert crossing(line, 1, 9.0, 5.0) is None
    assert crossing(line, 1, 2.0, 0.5) is None


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=3, max_size=12))
def test_clipped_ring_stays_inside(points: list[tuple[float, float]]) -> None:
    clipped = clip_ring(np.array(points), 2.0, 1.0)
    assert len(clipped) == 0 or (np.abs(clipped) <= [2 + 1e-9, 1 + 1e-9]).all()


def test_clipping_keeps_the_common_area() -> None:
    square = np.array([[-3.0, -3.0], [3.0, -3.0], [3.0, 3.0], [-3.0, 3.0]])
    x, y = clip_ring(square, 2.0, 1.0).T
    area = 0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))
    assert area == pytest.approx(8.0)
    assert len(clip_ring(square + 10, 2.0, 1.0)) == 0


@pytest.mark.parametrize(
    ("value", "letters", "label"),
    [
        (11.65, "EW", "11.65°E"),
        (-43.5, "NS", "43.5°S"),
        (181.0, "EW", "179°W"),
        (180.0, "EW", "180°"),
        (-180.0, "EW", "180°"),
        (0.30000000000000004, "NS", "0.3°N"),
        (0.0, "EW", "0°"),
        (120.0, "EW", "120°E"),
    ],
)
def test_degree_labels(value: float, letters: str, label: str) -> None:
    assert degree_label(value, letters) == label


@pytest.mark.parametrize(("value", "expected"), [(7.3, 5), (5, 5), (19.9, 10), (0.21, 0.2), (1e-3, 1e-3)])
def test_nice(value: float, expected: float) -> None:
    assert nice(value) == pytest.approx(expected)
