"""Regions: areas, points inside, and integrals of kernels, against other ways of finding them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from kaname.core.errors import FormatError, InputError, NotFoundError
from kaname.core.geo import EARTH_RADIUS_KM
from kaname.discovery.seismicity.etas.kernel import space_integrals
from kaname.discovery.seismicity.region import Region

HOOK = Region(np.array([10.0, 14, 14, 12, 12, 10]), np.array([40.0, 40, 42, 42, 41, 41]))


def spread(region, lon, lat, zone, rho, n=200_000):
    """The share of (r2 + D)^-(1 + rho) about a point that falls into a region: quasi-random points of it."""
    share = (np.arange(n) + 0.5) / n
    r = np.sqrt(zone * ((1 - share) ** (-1 / rho) - 1)) / EARTH_RADIUS_KM
    azimuth = np.arange(n) * np.pi * (3 - np.sqrt(5))
    here = r < np.pi
    y = np.sin(np.radians(lat)) * np.cos(r) + np.cos(np.radians(lat)) * np.sin(r) * np.cos(azimuth)
    there = np.arcsin(np.clip(y, -1, 1))
    turn = np.arctan2(
        np.sin(azimuth) * np.sin(r) * np.cos(np.radians(lat)), np.cos(r) - np.sin(np.radians(lat)) * y
    )
    return (region.contains(lon + np.degrees(turn), np.degrees(there)) & here).mean()


def integral(region, lon, lat, zone, rho):
    q = region.quadrature([lon], [lat])
    return space_integrals(q.first, q.squared, q.weight, np.array([zone]), rho)[0, 0]


def test_the_area_is_that_of_a_polygon_on_a_sphere():
    lon, lat = HOOK.outline()
    fine = Geod(a=EARTH_RADIUS_KM * 1000, b=EARTH_RADIUS_KM * 1000).polygon_area_perimeter(lon, lat)[0]
    assert HOOK.area_km2 == pytest.approx(abs(fine) / 1e6, rel=2e-5)
    box = Region.from_bounds(-117, -116, 33, 34)
    exact = EARTH_RADIUS_KM**2 * np.radians(1) * (np.sin(np.radians(34)) - np.sin(np.radians(33)))
    assert box.area_km2 == pytest.approx(exact, rel=1e-12)


def test_corners_may_come_either_way_round_and_closed():
    other = Region(
        np.append(HOOK.longitude, HOOK.longitude[0])[::-1], np.append(HOOK.latitude, HOOK.latitude[0])[::-1]
    )
    assert other.area_km2 == HOOK.area_km2 and len(other.longitude) == 6


def test_points_inside():
    inside = HOOK.contains([11, 13, 11, 9.99, 13, 10, 14], [40.5, 41.5, 41.5, 40.5, 42.01, 40.5, 41])
    assert inside.tolist() == [True, True, False, False, False, True, False]


@pytest.mark.parametrize(
    ("lon", "lat"),
    [(11.0, 40.5), (13.0, 41.9), (11.9, 41.01), (12.01, 41.01), (9.9, 40.5), (14.5, 43), (10.5, 41.1)],
)
@pytest.mark.parametrize(("zone", "rho"), [(0.05, 0.4), (4.0, 0.9), (400.0, 0.5)])
def test_a_kernel_is_integrated_over_the_region(lon, lat, zone, rho):
    whole = np.pi / rho * zone**-rho
    wanted = spread(HOOK, lon, lat, zone, rho)
    assert integral(HOOK, lon, lat, zone, rho) / whole == pytest.approx(wanted, abs=2e-3 * wanted + 3e-4)


@given(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3), st.floats(0.003, 30), st.floats(0.2, 2))
@settings(max_examples=60, deadline=None)
def test_two_halves_make_the_whole(x, y, zone, rho):
    parts = [Region.from_bounds(-0.2, 0.05, -0.2, 0.2), Region.from_bounds(0.05, 0.2, -0.2, 0.2)]
    whole = integral(Region.from_bounds(-0.2, 0.2, -0.2, 0.2), x, y, zone, rho)
    assert sum(integral(p, x, y, zone, rho) for p in parts) == pytest.approx(
        whole, rel=1e-3, abs=1e-5 * zone**-rho
    )


@pytest.mark.parametrize("zone", [1e-6, 1.0, 1e3, 1e6, 1e10, 1e14])
@pytest.mark.parametrize("rho", [1e-3, 0.4, 1.5])
def test_no_digit_is_lost_whether_the_zone_is_larger_or_smaller_than_the_region(zone, rho):
    box = Region.from_bounds(-0.2, 0.2, -0.1, 0.2)
    q = box.quadrature([0.05], [0.1])
    found = space_integrals(q.first, q.squared, q.weight, np.array([zone]), rho)[0]
    # The same nodes in extended precision, and the slopes by small steps there.
    d, r2, w = np.longdouble(zone), q.squared.astype(np.longdouble), q.weight.astype(np.longdouble)

    def integral(d, rho):
        return (-w * np.expm1(-rho * np.log1p(r2 / d)) * d**-rho).sum() / (2 * rho)

    step, exponent = np.longdouble(1e-6), np.longdouble(rho)
    by_zone = (integral(d * (1 + step), exponent) - integral(d * (1 - step), exponent)) / (2 * step * d)
    by_rho = (integral(d, exponent * (1 + step)) - integral(d, exponent * (1 - step))) / (2 * step * rho)
    assert found[0] == pytest.approx(float(integral(d, exponent)), rel=1e-12)
    assert found[1] == pytest.approx(float(by_zone), rel=1e-8)
    assert found[2] == pytest.approx(float(by_rho), rel=1e-8)
    if zone > 1e8:
        assert found[0] == pytest.approx(box.area_km2 * zone ** -(1 + rho), rel=1e-4)


def test_files(tmp_path):
    np.save(tmp_path / "a.npy", np.column_stack([HOOK.latitude, HOOK.longitude]))
    assert Region.read(tmp_path / "a.npy").area_km2 == HOOK.area_km2
    ring = [[a, b] for a, b in zip(HOOK.longitude.tolist(), HOOK.latitude.tolist())]
    text = str({"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}}).replace("'", '"')
    (tmp_path / "a.json").write_text(text)
    assert Region.read(tmp_path / "a.json").area_km2 == HOOK.area_km2
    (tmp_path / "b.json").write_text('{"type": "Point", "coordinates": [1, 2]}')
    with pytest.raises(FormatError, match="polygon"):
        Region.read(tmp_path / "b.json")
    with pytest.raises(NotFoundError):
        Region.read(tmp_path / "c.json")


@pytest.mark.parametrize(
    "corners",
    [([0, 1], [0, 1]), ([0, 1, 2], [0, 0, 0]), ([0, 1, np.nan], [0, 1, 2]), ([0, 1, 1], [0, 0, 91])],
)
def test_what_is_no_region(corners):
    with pytest.raises(InputError):
        Region(*map(np.array, corners))
