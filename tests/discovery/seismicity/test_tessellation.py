"""Cells fill their region, belong to the nearest point, and hold what the quadrature of each finds."""

from __future__ import annotations

import numpy as np
import pytest

from kaname.core.errors import InputError
from kaname.discovery.seismicity.background import KernelDensity, Uniform
from kaname.discovery.seismicity.region import Region
from kaname.discovery.seismicity.tessellation import Tessellation, places

BOX = Region.from_bounds(140, 141, 36, 37)
# Two towers on a base: cells about points in the base reach into both.
HORNS = Region(
    np.array([140, 141, 141, 140.7, 140.7, 140.3, 140.3, 140]),
    np.array([36, 36, 37, 37, 36.1, 36.1, 37, 37]),
)


def scattered(n, seed=0, region=HORNS):
    return Uniform(region).draw(n, np.random.default_rng(seed))


@pytest.mark.parametrize("region", [BOX, HORNS])
@pytest.mark.parametrize("n", [1, 2, 3, 7, 200])
def test_a_cell_is_what_is_nearest_to_its_point(region, n):
    lon, lat = scattered(n, region=region)
    cells = Tessellation.voronoi(region, lon, lat)
    assert len(cells) == n
    assert cells.area_km2.sum() == pytest.approx(region.area_km2, rel=1e-9)
    x, y = scattered(500, 1, region)
    shrunk = np.cos(np.radians(36.5))
    nearest = np.hypot((x[:, None] - lon) * shrunk, y[:, None] - lat).argmin(axis=1)
    inside = np.array([cell.contains(x, y) for cell in cells.regions()])
    assert (inside.sum(axis=0) == 1).all()
    assert (inside.argmax(axis=0) == nearest).all()


def test_the_outline_may_cut_a_cell_in_two():
    cells = Tessellation.voronoi(HORNS, [140.5, 140.5], [36.05, 36.02])
    upper, _ = cells.regions()
    assert upper.contains([140.1, 140.9, 140.5], [36.9, 36.9, 36.9]).tolist() == [True, True, False]
    assert cells.area_km2.sum() == pytest.approx(HORNS.area_km2, rel=1e-9)


def test_points_on_one_line():
    lon = np.linspace(140.05, 140.95, 19)
    cells = Tessellation.voronoi(BOX, lon, np.full(19, 36.5))
    assert cells.area_km2[1:-1] == pytest.approx(BOX.area_km2 * 0.05, rel=1e-6)
    assert cells.area_km2.sum() == pytest.approx(BOX.area_km2, rel=1e-9)


def test_a_tight_grid_in_a_wide_region():
    region = Region.from_bounds(130, 140, 30, 40)
    x, y = np.meshgrid(136 + 2e-5 * np.arange(20), 33 + 2e-5 * np.arange(20))
    cells = Tessellation.voronoi(region, x.ravel(), y.ravel())
    assert cells.area_km2.sum() == pytest.approx(region.area_km2, rel=1e-9)
    assert np.median(cells.area_km2) < 1e-5


def test_places_are_counted_and_points_checked():
    first, count = places([140.5, 140.2, 140.5, 140.5000000001], [36.5, 36.5, 36.5, 36.5])
    assert first.tolist() == [0, 1] and count.tolist() == [3, 1]
    with pytest.raises(InputError, match="one place"):
        Tessellation.voronoi(BOX, [140.5, 140.5], [36.5, 36.5])
    wide = Region.from_bounds(0, 150, -70, 70)
    x, y = np.meshgrid(100 + 2e-5 * np.arange(20), 10 + 2e-5 * np.arange(20))
    with pytest.raises(InputError, match="round the places"):
        Tessellation.voronoi(wide, x.ravel(), y.ravel())
    with pytest.raises(InputError, match="in the region"):
        Tessellation.voronoi(BOX, [150], [36.5])
    with pytest.raises(InputError, match="at least one"):
        Tessellation.voronoi(BOX, [], [])


@pytest.mark.parametrize("region", [BOX, HORNS])
def test_halves_of_halves_are_equal(region):
    cells = Tessellation.equal_areas(region, 5)
    assert len(cells) == 32
    assert cells.area_km2 == pytest.approx(region.area_km2 / 32, rel=1e-9)
    inside = np.array([cell.contains(*scattered(300, region=region)) for cell in cells.regions()])
    assert (inside.sum(axis=0) == 1).all()


@pytest.mark.parametrize("region", [BOX, HORNS])
def test_integrals_are_those_of_each_cell_and_together_of_the_region(region):
    cells = Tessellation.voronoi(region, *scattered(80, 2, region))
    rng = np.random.default_rng(3)
    # Inside, on corners and edges, on the points themselves, near and very far outside.
    lon = np.concatenate([scattered(30, 2, region)[0], rng.uniform(138, 143, 40), [140, 140, 141, 100, -30]])
    lat = np.concatenate([scattered(30, 2, region)[1], rng.uniform(34, 39, 40), [36, 36.5, 36.2, 0, -36]])
    height, zone, rho = rng.uniform(0.5, 2, len(lon)), 10 ** rng.uniform(-3, 2, len(lon)), 0.6
    width = 10 ** rng.uniform(-0.7, 1.5, len(lon))

    def over(some):
        q = some.quadrature(lon, lat)
        at = np.repeat(np.arange(len(lon)), np.diff(q.first))
        power = (zone[at] ** -rho - (q.squared + zone[at]) ** -rho) / (2 * rho)
        gauss = -np.expm1(-q.squared / (2 * width[at] ** 2)) / (2 * np.pi)
        return (q.weight * height[at] * power).sum(), (q.weight * height[at] * gauss).sum()

    found = cells.power_laws(lon, lat, height, zone, rho), cells.gaussians(lon, lat, height, width)
    each = np.array([over(cell) for cell in cells.regions()]).T
    for values, wanted, whole in zip(found, each, over(region)):
        assert values == pytest.approx(wanted, rel=1e-5, abs=1e-6)
        assert values.sum() == pytest.approx(whole, rel=1e-4)


def test_backgrounds_are_shared_out():
    cells = Tessellation.voronoi(HORNS, *scattered(50))
    lon, lat = scattered(40, 5)
    kernel = KernelDensity(HORNS, lon, lat, np.linspace(0.1, 1, 40), bandwidth_min_km=2)
    for density in (Uniform(HORNS), kernel):
        share = density.share(cells)
        assert share.sum() == pytest.approx(1, rel=1e-4)
        # Against a plain mean over random points of one cell.
        biggest = int(cells.area_km2.argmax())
        x, y = scattered(20_000, 6)
        inside = cells.regions()[biggest].contains(x, y)
        mean = (density.density(x, y) * inside).mean() * HORNS.area_km2
        assert share[biggest] == pytest.approx(mean, rel=0.1)
