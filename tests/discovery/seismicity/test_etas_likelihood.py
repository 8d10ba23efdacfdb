"""The likelihood of ETAS against plain NumPy, its gradient and integrals against numerical ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from etas_cases import OPEN, REGION, TAPERED, TARGET, catalogue
from scipy.integrate import quad

from kaname.core.errors import InputError
from kaname.core.geo import EARTH_RADIUS_KM, on_sphere
from kaname.discovery.seismicity.background import KernelDensity
from kaname.discovery.seismicity.contract import Target
from kaname.discovery.seismicity.etas.likelihood import Likelihood
from kaname.discovery.seismicity.etas.parameters import NAMES, EtasParameters


def likelihood(**options):
    sources = TARGET.sources(catalogue())
    density = np.full(int(sources.target.sum()), 1 / REGION.area_km2)
    return sources, Likelihood.of(sources, TARGET, density, reference=3.0, **options)


def haversine(sources, i):
    lon, lat = np.radians(sources.longitude.to_numpy()), np.radians(sources.latitude.to_numpy())
    h = np.sin((lat - lat[i]) / 2) ** 2 + np.cos(lat) * np.cos(lat[i]) * np.sin((lon - lon[i]) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(h))


@pytest.mark.parametrize("p", [TAPERED, OPEN])
def test_rates_are_the_sums_of_the_kernel(p):
    sources, made = likelihood()
    day, m = sources.day.to_numpy(), sources.magnitude.to_numpy() - 3.0
    wanted = []
    for j in np.flatnonzero(sources.target):
        s, r = day[j] - day[:j], haversine(sources, j)[:j]
        g = p.k0 * np.exp(p.a * m[:j] - s / p.tau) * (s + p.c) ** (-1 - p.omega)
        wanted.append(
            p.mu / REGION.area_km2 + (g * (r**2 + p.d * np.exp(p.gamma * m[:j])) ** (-1 - p.rho)).sum()
        )
    np.testing.assert_allclose(made.rates(p), wanted, rtol=1e-9)


@pytest.mark.parametrize("p", [TAPERED, OPEN])
def test_expected_aftershocks_are_the_integral_of_the_rate(p):
    sources, made = likelihood(within_region=False)
    day, m = sources.day.to_numpy(), sources.magnitude.to_numpy() - 3.0
    got = made.expected_by_source(p)
    for i in (0, 50, len(day) - 30, len(day) - 1):
        low, high = max(-day[i], 0.0), 365 - day[i]
        log_low, log_high = np.log(low + p.c), np.log(high + p.c)
        h = quad(lambda u: np.exp(-(np.exp(u) - p.c) / p.tau - p.omega * u), log_low, log_high, epsrel=1e-12)[
            0
        ]
        zone = p.d * np.exp(p.gamma * m[i])
        plane = np.pi / p.rho * zone**-p.rho
        assert got[i] == pytest.approx(p.k0 * np.exp(p.a * m[i]) * h * plane, rel=1e-6)


def test_less_is_expected_within_the_region_than_in_the_plane():
    inside, plane = likelihood()[1], likelihood(within_region=False)[1]
    assert (inside.expected_by_source(OPEN) < plane.expected_by_source(OPEN)).all()
    assert inside.rates(OPEN) == pytest.approx(plane.rates(OPEN), rel=1e-12)


@pytest.mark.parametrize("p", [TAPERED, OPEN])
@pytest.mark.parametrize("within", [True, False])
def test_the_gradient_is_that_of_the_likelihood(p, within):
    made = likelihood(within_region=within)[1]
    value, gradient, information = made.with_gradient(p)
    assert value == pytest.approx(made.log_likelihood(p), rel=1e-12)
    for k, name in enumerate(NAMES):
        if name == "tau" and np.isinf(p.tau):
            assert gradient[k] == 0
            continue
        step = np.zeros(len(NAMES))
        step[k] = 1e-5
        up, down = (EtasParameters.from_vector(p.vector() + s) for s in (step, -step))
        slope = (made.log_likelihood(up) - made.log_likelihood(down)) / 2e-5
        assert gradient[k] == pytest.approx(slope, rel=2e-5, abs=1e-4), name
    assert np.linalg.eigvalsh(information).min() > -1e-9 * np.trace(information)


def test_the_rate_in_time_is_the_rate_in_space_integrated():
    _, made = likelihood()
    lon, lat = np.meshgrid(np.arange(140.0025, 141, 0.005), np.arange(36.0025, 37, 0.005))
    cell = (EARTH_RADIUS_KM * np.radians(0.005)) ** 2 * np.cos(np.radians(lat.ravel()))
    grid = on_sphere(lat.ravel(), lon.ravel())
    wide = replace(TAPERED, d=20.0)
    for j in made.target[[5, 60]]:
        total = wide.mu
        for i in range(j):
            near = (
                2
                * EARTH_RADIUS_KM
                * np.arcsin(np.linalg.norm(grid - made.place[:, [i]], axis=0) / 2 / EARTH_RADIUS_KM)
            )
            s = made.day[j] - made.day[i]
            g = (
                wide.k0
                * np.exp(wide.a * made.magnitude[i] - s / wide.tau)
                * (s + wide.c) ** (-1 - wide.omega)
            )
            zone = wide.d * np.exp(wide.gamma * made.magnitude[i])
            total += (g * (near**2 + zone) ** (-1 - wide.rho) * cell).sum()
        at = int(np.flatnonzero(made.target == j)[0])
        assert made.rates_in_time(wide)[at] == pytest.approx(total, rel=2e-3)


def test_a_kernel_density_is_a_density_and_leaves_itself_out():
    rng = np.random.default_rng(3)
    lon, lat, w = rng.normal(140.6, 0.3, 300), rng.normal(36.4, 0.3, 300), rng.uniform(0, 1, 300)
    made = KernelDensity(REGION, lon, lat, w, bandwidth_min_km=3.0)
    x, y = np.meshgrid(np.arange(140.0025, 141, 0.005), np.arange(36.0025, 37, 0.005))
    cell = (EARTH_RADIUS_KM * np.radians(0.005)) ** 2 * np.cos(np.radians(y))
    assert (made.density(x, y) * cell.ravel()).sum() == pytest.approx(1, abs=2e-3)
    # So wide that bandwidths do not change when one event goes.
    keep = np.arange(300) != 7
    whole = KernelDensity(REGION, lon, lat, w, bandwidth_min_km=60.0)
    without = KernelDensity(REGION, lon[keep], lat[keep], w[keep], bandwidth_min_km=60.0)
    assert whole.density_at_events()[7] == pytest.approx(without.density(lon[7], lat[7])[0], rel=1e-9)


def test_the_two_ways_to_write_the_parameters():
    written = {"mu": 0.5, "A": 0.21, "c": 0.012, "alpha": 1.56, "p": 1.17, "D": 1.3, "q": 1.89, "gamma": 0.9}
    p = EtasParameters.from_ogata_zhuang(**written)
    assert p.ogata_zhuang() == pytest.approx(written)
    s, r2, m = 3.0, 40.0, 1.2
    zone = 1.3 * np.exp(0.9 * m)
    density = 0.17 / 0.012 * (1 + s / 0.012) ** -1.17 * 0.89 / (np.pi * zone) * (1 + r2 / zone) ** -1.89
    ours = p.k0 * np.exp(p.a * m) * (s + p.c) ** (-1 - p.omega) * (r2 + zone) ** (-1 - p.rho)
    assert ours == pytest.approx(0.21 * np.exp(1.56 * m) * density, rel=1e-12)
    with pytest.raises(InputError, match="taper"):
        TAPERED.ogata_zhuang()


@pytest.mark.parametrize("wrong", [{"mu": 0}, {"c": -1}, {"a": np.nan}, {"tau": np.inf}])
def test_impossible_parameters_are_refused(wrong):
    with pytest.raises(InputError):
        replace(TAPERED, **wrong)


def test_targets_and_sources():
    sources = TARGET.sources(catalogue())
    assert (sources.magnitude >= 3.0).all() and sources.time.is_monotonic_increasing
    inside = REGION.contains(sources.longitude, sources.latitude)
    assert (sources.target == (inside & (sources.day >= 0))).all() and sources.day.max() < 365
    empty = Target(REGION, "2031-01-01", "2032-01-01", 3.0)
    with pytest.raises(InputError, match="no earthquake"):
        Likelihood.of(empty.sources(catalogue()), empty, np.empty(0), reference=3.0)
    lost = catalogue()
    lost.loc[3, ["longitude", "magnitude"]] = [np.nan, 4.0]
    with pytest.raises(InputError, match="no place"):
        Target(REGION, "2020-01-01", "2021-01-01", 3.0).sources(lost)
