"""The packaged coastlines, against places everybody knows."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.path import Path

from kaname.core.geo import LocalFrame, distance_azimuth
from kaname.report import coastlines
from kaname.report.view import View


def is_land(latitude: float, longitude: float) -> bool:
    """Tell whether a place is on land, by the winding of the land rings about it."""
    frame = LocalFrame(latitude, longitude)
    winding = 0
    for lat, lon in coastlines.load("land").near(latitude, longitude, 1.0):
        east, north = frame.to_local(lat, lon)
        turn = np.diff(np.unwrap(np.arctan2(north, east)))
        winding += round(float(turn.sum()) / (2 * np.pi))
    return winding != 0


@pytest.mark.parametrize(
    ("place", "latitude", "longitude", "expected"),
    [
        ("Nagano", 36.65, 138.19, True),
        ("Sea of Japan", 39.5, 135.0, False),
        ("Sendai Bay", 38.1, 141.3, False),
        ("Unterhaching", 48.06, 11.61, True),
        ("Alpine Fault", -43.4, 170.3, True),
        ("Tasman Sea", -40.0, 160.0, False),
        ("Viti Levu, Fiji", -17.8, 178.0, True),
        ("Pacific at the date line", -25.0, 180.0, False),
        ("Chukotka, west of Greenwich's far side", 66.5, -175.0, True),
        ("South Pole", -89.9, 0.0, True),
        ("North Pole", 89.9, 0.0, False),
        ("Caspian Sea", 42.0, 50.5, False),
        ("Atlantic at 0, 0", 0.0, 0.0, False),
    ],
)
def test_known_places(place: str, latitude: float, longitude: float, expected: bool) -> None:
    assert is_land(latitude, longitude) is expected, place


def test_points_are_dense_and_on_the_globe() -> None:
    land = coastlines.load("land")
    assert len(land.offsets) - 1 > 4000
    assert np.abs(land.latitude).max() <= 90
    inner = np.setdiff1d(np.arange(1, len(land.latitude)), land.offsets)
    km, _ = distance_azimuth(
        land.latitude[inner - 1], land.longitude[inner - 1], land.latitude[inner], land.longitude[inner]
    )
    assert km.max() < 200, "a jump: steps were decoded wrongly"
    assert np.median(km) < 3


def test_rings_are_closed() -> None:
    land = coastlines.load("land")
    first, last = land.offsets[:-1], land.offsets[1:] - 1
    km, _ = distance_azimuth(
        land.latitude[first], land.longitude[first], land.latitude[last], land.longitude[last]
    )
    assert km.max() < 1e-6


def test_coast_of_a_harbour_town_is_close() -> None:
    # Muroran, Hokkaido: the port lies at the shore; the source is good to about a kilometre.
    lines = coastlines.load("land").near(42.315, 140.975, 30)
    nearest = min(float(distance_azimuth(42.315, 140.975, lat, lon)[0].min()) for lat, lon in lines)
    assert nearest < 3


def test_only_what_is_near_comes_back() -> None:
    few = coastlines.load("land").near(-25.0, 90.0, 100)
    assert len(few) < 5
    assert View.around([-26.0, -24.0], [-121.0, -119.0]).lines("land") == []  # open Pacific
    assert len(coastlines.load("border").near(47.6, 9.4, 50)) >= 2  # Lake Constance


@pytest.mark.parametrize(
    "corners",
    [([35, 36], [139, 141]), ([-19, -16], [178, -178]), ([-88, -80], [0, 180]), ([60, 72], [-175, 170])],
)
def test_land_fills_exactly_the_land_of_the_view(corners: tuple[list[float], list[float]]) -> None:
    view = View.around(*corners)
    rings = view.land()
    random = np.random.default_rng(3)
    east = random.uniform(-0.99, 0.99, 15) * view.half_east_km
    north = random.uniform(-0.99, 0.99, 15) * view.half_north_km
    inside = np.zeros(15, dtype=int)
    for ring in rings:
        inside += Path(ring).contains_points(np.column_stack([east, north]))
    truth = [is_land(float(a), float(b)) for a, b in zip(*view.frame.to_geographic(east, north))]
    # Lakes turn the other way and are counted twice; a point within a pixel of the shore may differ.
    assert np.mean((inside % 2 == 1) == np.array(truth)) >= 0.9
