"""Distances from ruptures: OpenQuake's surfaces, brute force on the sphere, and what must always hold."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaname.core.errors import InputError
from kaname.core.geo import distance_azimuth
from kaname.earth.ruptures import Rupture, distances, rectangles

# Corners, places and distances of PlanarSurface and MultiSurface of OpenQuake 3.26.2, which leaves its planes
# flat where the earth curves: a rectangle of 60 by 40 km lies up to 0.1 km deeper there.
OPENQUAKE = json.loads((Path(__file__).parent / "ruptures_openquake.json").read_text())


@pytest.mark.parametrize("case", sorted(OPENQUAKE))
def test_equals_openquake(case: str) -> None:
    stored = OPENQUAKE[case]
    corners = np.array(stored["corners"])
    rupture = Rupture(tuple(corners.reshape(-1, 3).mean(0)), corners)
    found = distances(rupture, stored["latitude"], stored["longitude"], ellipsoid="sphere")
    sag = 0.08 if case == "interface" else 0.03
    np.testing.assert_allclose(found.rrup_km, stored["rrup_km"], atol=sag)
    np.testing.assert_allclose(found.rjb_km, stored["rjb_km"], atol=0.03)
    np.testing.assert_allclose(found.rx_km, stored["rx_km"], atol=0.03)
    # Within 100 km of the ends, 0.03 km; OpenQuake's great circles part from ours further away.
    np.testing.assert_allclose(found.ry0_km, stored["ry0_km"], atol=0.2)


def test_of_a_point_are_plain() -> None:
    rupture = Rupture.point(35.0, 140.0, 12.0)
    found = distances(rupture, [35.0, 36.0], [140.0, 141.0])
    repi, _ = distance_azimuth(35.0, 140.0, [35.0, 36.0], [140.0, 141.0])
    np.testing.assert_allclose(found.repi_km, repi)
    np.testing.assert_array_equal(found.rjb_km, found.repi_km)
    np.testing.assert_array_equal(found.rrup_km, found.rhypo_km)
    assert found.rhypo_km[0] == pytest.approx(12.0, abs=1e-9)
    # A straight line through the earth is shorter than Pythagoras on the flat.
    assert found.rhypo_km[1] == pytest.approx(np.hypot(repi[1], 12.0), rel=2e-3)
    assert np.isnan(found.rx_km).all() and np.isnan(found.ry0_km).all()


def test_of_a_square_that_can_be_drawn() -> None:
    # Strikes north, dips east 45 degrees, 10 km long, top at 3 km; places on a line across its middle.
    corners = rectangles(0.0, 0.0, 3.0, strike_deg=0, dip_deg=45, length_km=10, width_km=4 * np.sqrt(2))
    rupture = Rupture((0.0, 0.0, 3.0), corners)
    found = distances(rupture, 0.0, np.degrees(np.array([-5.0, 0.0, 2.0, 4.0, 8.0, 20.0]) / 6378.137))
    np.testing.assert_allclose(found.rx_km, [-5, 0, 2, 4, 8, 20], atol=2e-3)
    np.testing.assert_allclose(found.rjb_km, [5, 0, 0, 0, 4, 16], atol=2e-3)
    expected = [np.hypot(5, 3), 3, np.hypot(2, 3), 7 / np.sqrt(2), 11 / np.sqrt(2), np.hypot(16, 7)]
    np.testing.assert_allclose(found.rrup_km, expected, atol=2e-2)
    np.testing.assert_allclose(found.ry0_km, 0, atol=2e-3)
    beyond = distances(rupture, np.degrees(25.0 / 6335.44), 0.0)
    assert beyond.ry0_km[0] == pytest.approx(20.0, abs=0.01)
    assert beyond.rjb_km[0] == pytest.approx(20.0, abs=0.01)


def test_of_a_great_rupture_equals_brute_force_on_the_curved_earth() -> None:
    rupture = Rupture.plane(
        38.1, 142.9, 24.0, strike_deg=200, dip_deg=10, length_km=500, width_km=200, along=0.6, down=0.5
    )
    rng = np.random.default_rng(2)
    latitude, longitude = rng.uniform(33, 43, 60), rng.uniform(137, 146, 60)
    found = distances(rupture, latitude, longitude, ellipsoid="sphere")
    s, t = np.meshgrid(np.linspace(0, 1, 501), np.linspace(0, 1, 201), indexing="ij")
    corners = rupture.corners[0]
    weights = np.stack([(1 - s) * (1 - t), s * (1 - t), s * t, (1 - s) * t], axis=-1)
    # On the sphere, points of constant share: great circles along the strike, depth linear.
    direction = weights @ unit(corners[:, 0], corners[:, 1])
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    surface = direction * (6371.0 - weights @ corners[:, 2:])
    places = 6371.0 * unit(latitude, longitude)
    brute = np.array([np.linalg.norm(surface - place, axis=-1).min() for place in places])
    np.testing.assert_allclose(found.rrup_km, brute, atol=0.06)
    angle = [np.arccos(np.clip((direction @ unit(a, o).T).max(), -1, 1)) for a, o in zip(latitude, longitude)]
    outside = found.rjb_km > 2
    np.testing.assert_allclose(found.rjb_km[outside], 6371.0 * np.array(angle)[outside], atol=0.6)
    assert outside.any() and (found.rjb_km == 0).any()


def unit(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    lat, lon = np.radians(latitude), np.radians(longitude)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def test_subfaults_are_the_segment_they_make_up() -> None:
    whole = rectangles(35.8, -120.4, 0.5, strike_deg=140, dip_deg=60, length_km=30, width_km=12)
    rupture = Rupture((35.8, -120.4, 6.0), whole)
    rows = []
    for down in range(4):
        for along in range(6):
            share = np.array([along / 6, (along + 1) / 6])
            depth = np.array([down / 4, (down + 1) / 4])
            a, b, c, d = whole[0]
            at = [(share[0], depth[0]), (share[1], depth[0]), (share[1], depth[1]), (share[0], depth[1])]
            rows.append(
                [(1 - s) * (1 - t) * a + s * (1 - t) * b + s * t * c + (1 - s) * t * d for s, t in at]
            )
    parts = Rupture((35.8, -120.4, 6.0), np.array(rows))
    assert len(parts.top_edges) == 6
    latitude, longitude = np.meshgrid(np.linspace(35.2, 36.4, 7), np.linspace(-121.0, -119.8, 7))
    one = distances(rupture, latitude.ravel(), longitude.ravel())
    many = distances(parts, latitude.ravel(), longitude.ravel())
    for name in ("rrup_km", "rjb_km", "rx_km"):
        np.testing.assert_allclose(getattr(many, name), getattr(one, name), atol=0.03)
    np.testing.assert_allclose(many.ry0_km, one.ry0_km, atol=0.1)


@given(
    strike=st.floats(0, 360),
    dip=st.floats(5, 90),
    length=st.floats(0.5, 80),
    width=st.floats(0.5, 40),
    latitude=st.floats(-70, 70),
    longitude=st.floats(-180, 180),
)
def test_what_must_always_hold(
    strike: float, dip: float, length: float, width: float, latitude: float, longitude: float
) -> None:
    rupture = Rupture.plane(
        latitude, longitude, 45.0, strike_deg=strike, dip_deg=dip, length_km=length, width_km=width, along=0.3
    )
    rng = np.random.default_rng(3)
    found = distances(rupture, latitude + rng.normal(0, 1, 20), longitude + rng.normal(0, 1, 20))
    assert np.isfinite(np.array(found)).all()
    assert (found.rjb_km <= found.repi_km + 0.03).all()
    assert (found.rrup_km <= found.rhypo_km + 0.03).all()
    assert (found.rrup_km + 1e-6 >= found.rjb_km * 0.99).all()
    assert (np.abs(found.rx_km) >= 0).all() and (found.ry0_km >= 0).all()


def test_no_places_no_distances() -> None:
    assert all(len(d) == 0 for d in distances(Rupture.point(0, 0, 5), [], []))


def test_bad_input() -> None:
    with pytest.raises(InputError, match="above sea level"):
        Rupture.plane(35, 140, 3, strike_deg=0, dip_deg=90, length_km=10, width_km=10)
    with pytest.raises(InputError, match="positive lengths"):
        rectangles(35, 140, 3, strike_deg=0, dip_deg=0, length_km=10, width_km=10)
    with pytest.raises(InputError, match="cannot be at"):
        Rupture.point(float("nan"), 140, 3)
    with pytest.raises(InputError, match="finite coordinates"):
        distances(Rupture.point(35, 140, 3), [np.nan], [140])
    with pytest.raises(InputError, match="ellipsoid"):
        distances(Rupture.point(35, 140, 3), [35], [140], ellipsoid="flat")
