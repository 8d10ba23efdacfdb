"""Distances against ObsPy's geodesic, and the local frame against the ellipsoid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from obspy.geodetics import gps2dist_azimuth

from kaname.core.errors import InputError
from kaname.core.geo import EARTH_RADIUS_KM, LocalFrame, arc, distance_azimuth, on_sphere

latitudes = st.floats(-80, 80)
longitudes = st.floats(-180, 180)
local = st.tuples(st.floats(-300, 300), st.floats(-300, 300))


# ObsPy's own iteration divides by zero where two points all but coincide.
@given(latitudes, longitudes, latitudes, st.floats(1e-3, 90))
def test_distance_and_azimuth_are_obspys(latitude, longitude, to_latitude, apart):
    distance_km, azimuth = distance_azimuth(latitude, longitude, to_latitude, longitude + apart)
    there_m, forward, _ = gps2dist_azimuth(latitude, longitude, to_latitude, longitude + apart)
    assert distance_km == pytest.approx(there_m / 1000, abs=1e-3)
    if there_m > 1000:
        assert np.cos(np.radians(azimuth - forward)) == pytest.approx(1, abs=1e-6)
    assert 0 <= azimuth <= 360


def test_inputs_broadcast_and_stay_as_they_were():
    latitude = np.array([35.0, 36.0, 37.0])
    distance_km, azimuth = distance_azimuth(latitude, 140.0, 35.0, 140.0)
    assert distance_km.shape == azimuth.shape == (3,)
    assert distance_km[0] == 0
    np.testing.assert_allclose(azimuth[1:], 180)
    np.testing.assert_array_equal(latitude, [35, 36, 37])


@given(latitudes, longitudes, local)
def test_local_coordinates_read_back(latitude, longitude, place):
    frame = LocalFrame(latitude, longitude)
    east, north = frame.to_local(*frame.to_geographic(*place))
    np.testing.assert_allclose([east, north], place, atol=1e-5)


@given(latitudes, longitudes, local)
def test_distance_from_the_centre_is_exact(latitude, longitude, place):
    there = LocalFrame(latitude, longitude).to_geographic(*place)
    distance_km, _ = distance_azimuth(latitude, longitude, *there)
    assert distance_km == pytest.approx(np.hypot(*place), abs=1e-4)


@given(latitudes, st.lists(local, min_size=2, max_size=2, unique=True))
def test_distance_across_is_as_good_as_stated(latitude, places):
    inside = [p for p in places if np.hypot(*p) <= 300]
    assume(len(inside) == 2 and np.hypot(*np.subtract(*inside)) > 1)
    frame = LocalFrame(latitude, 140.0)
    first, second = (frame.to_geographic(*p) for p in inside)
    distance_km, _ = distance_azimuth(*first, *second)
    assert np.hypot(*np.subtract(*inside)) == pytest.approx(float(distance_km), rel=1e-3)


def test_a_network_across_the_date_line_stays_together():
    east, _ = LocalFrame(-18.0, 179.9).to_local([-18.0, -18.0], [179.5, -179.5])
    assert east[0] < 0 < east[1] < 100


@pytest.mark.parametrize(
    ("latitude", "longitude"), [(91, 0), (-91, 0), (0, -181), (0, 361), (np.nan, 0), (0, np.nan)]
)
def test_no_such_place(latitude, longitude):
    with pytest.raises(InputError, match="no such place"):
        LocalFrame(latitude, longitude)


@given(latitudes, longitudes, latitudes, longitudes)
def test_angle_between_points_is_that_of_their_vectors(latitude, longitude, to_latitude, to_longitude):
    one = on_sphere(latitude, longitude, radius_km=1)
    other = on_sphere(to_latitude, to_longitude, radius_km=1)
    chord = np.linalg.norm(one - other)
    assert arc(latitude, longitude, to_latitude, to_longitude) == pytest.approx(
        2 * np.arcsin(min(chord / 2, 1)), abs=1e-7
    )


def test_places_on_the_sphere():
    np.testing.assert_allclose(on_sphere([0, 0, 90], [0, 90, 0]), EARTH_RADIUS_KM * np.eye(3), atol=1e-9)
    assert on_sphere(0, 90).shape == (3,)
