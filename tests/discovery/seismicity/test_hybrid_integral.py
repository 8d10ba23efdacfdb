"""The whole rate of a hybrid, over region and time, against the number it states: by Monte Carlo."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from kaname.core.errors import InputError
from kaname.discovery.seismicity.background import KernelDensity
from kaname.discovery.seismicity.contract import Target
from kaname.discovery.seismicity.etas.model import Etas
from kaname.discovery.seismicity.etas.parameters import EtasParameters
from kaname.discovery.seismicity.hybrid import Hybrid, HybridSettings
from kaname.discovery.seismicity.region import Region

REGION = Region.from_bounds(10.0, 10.6, 45.0, 45.4)
TARGET = Target(REGION, np.datetime64("2003-01-01"), np.datetime64("2003-12-31"), 2.0)
DAYS = TARGET.days
KM = 6371.0 * np.pi / 180
POINTS = 30_000


def catalogue() -> pd.DataFrame:
    """Return two years of earthquakes, half of them on a line that leaves the region, the last third within
    the target period."""
    rng = np.random.default_rng(7)
    n = 150
    along, across = rng.uniform(-30, 30, n), rng.normal(0, 0.3, n)
    line = np.arange(n) % 2 == 0
    east = np.where(line, along * np.cos(0.5) - across * np.sin(0.5), rng.uniform(-30, 30, n))
    north = np.where(line, along * np.sin(0.5) + across * np.cos(0.5), rng.uniform(-25, 25, n))
    day = np.sort(np.concatenate([rng.uniform(-700, 0, 100), rng.uniform(0, DAYS, 50)]))
    return pd.DataFrame(
        {
            "event_id": [str(k) for k in range(n)],
            "time": TARGET.start + (day * 86400e9).astype("timedelta64[ns]"),
            "longitude": 10.3 + east / KM / np.cos(np.radians(45.2)),
            "latitude": 45.2 + north / KM,
            "magnitude": 2.0 + rng.exponential(0.4, n),
        }
    )


def hybrid(zones: tuple[float, float]) -> Hybrid:
    """Return a hybrid whose kernels have these zones [km2], each with fifty aftershocks in the period."""
    events = catalogue()
    inside = events[REGION.contains(events.longitude, events.latitude) & (events.time < TARGET.start)]
    background = KernelDensity(
        REGION, inside.longitude, inside.latitude, np.full(len(inside), 0.5), bandwidth_min_km=2.0
    )
    first = EtasParameters(
        mu=0.1, k0=1.0, a=1.2, c=0.02, omega=0.1, tau=200.0, d=zones[0], gamma=0.7, rho=0.7
    )
    second = replace(first, a=0.4, c=0.5, omega=-0.2, tau=400.0, d=zones[1], gamma=0.2, rho=1.6)
    made = Hybrid(
        settings=HybridSettings(densities=((3, 1.5), (5, 4.0)), reaches_km=(0.0, 2.0, 6.0), update_days=100.0)
    )
    made.etas_ = Etas.with_parameters(first, 2.0, background)
    likelihood = made.etas_.likelihood(events, TARGET)
    scaled = [replace(p, k0=50 / float(likelihood.expected_by_source(p).sum())) for p in (first, second)]
    made.etas_ = Etas.with_parameters(scaled[0], 2.0, background)
    made.kernels_ = (scaled[0], scaled[1])
    made.shares_ = [np.array([0.4, 0.4, 0.2]), np.array([0.2, 0.3, 0.5]), np.array([0.1, 0.5, 0.4])]
    return made


def drawn(
    model: Hybrid, rng: np.random.Generator, n: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return days and places, half of them even and half about the events, and their density."""
    events = catalogue()
    day = (events.time.to_numpy("datetime64[ns]") - TARGET.start) / np.timedelta64(1, "D")
    lon, lat = events.longitude.to_numpy(), events.latitude.to_numpy()
    above = events.magnitude.to_numpy() - 2.0
    begin, c = np.maximum(-day, 0.0), 0.02
    kernel = rng.integers(-2, 2, n)
    t, x, y = rng.uniform(0, DAYS, n), rng.uniform(10, 10.6, n), rng.uniform(45, 45.4, n)
    weights = []
    for k, p in enumerate(model.kernels_):
        weight = np.exp(p.a * above) * np.log((DAYS - day + c) / (begin + c))
        weights.append(weight / weight.sum())
        now = kernel == k
        who = rng.choice(len(day), now.sum(), p=weights[k])
        u = np.log(begin[who] + c) + rng.random(len(who)) * np.log((DAYS - day[who] + c) / (begin[who] + c))
        r = np.sqrt(p.d * np.exp(p.gamma * above[who]) * (rng.random(len(who)) ** (-1 / p.rho) - 1))
        turn = rng.uniform(0, 2 * np.pi, len(who))
        t[now] = day[who] + np.exp(u) - c
        x[now] = lon[who] + r * np.cos(turn) / KM / np.cos(np.radians(lat[who]))
        y[now] = lat[who] + r * np.sin(turn) / KM
    density = 0.5 * np.cos(np.radians(45.2)) / np.cos(np.radians(y)) / (DAYS * REGION.area_km2)
    for p, weight in zip(model.kernels_, weights):
        for i in range(len(day)):
            delay = t - day[i] + c
            in_time = np.where(
                (delay > c) & (t > 0),
                1 / np.maximum(delay, c) / np.log((DAYS - day[i] + c) / (begin[i] + c)),
                0,
            )
            narrow = np.cos(np.radians(lat[i]))
            r2 = ((x - lon[i]) * KM * narrow) ** 2 + ((y - lat[i]) * KM) ** 2
            zone = p.d * np.exp(p.gamma * above[i])
            in_space = p.rho / np.pi * zone**p.rho * (r2 + zone) ** -(1 + p.rho)
            density += 0.25 * weight[i] * in_time * in_space * narrow / np.cos(np.radians(y))
    return t, x, y, density


@pytest.mark.parametrize(
    "zones",
    [(0.2, 4.0), (1e-6, 1e-4), (0.2, 2e3), (1e7, 1e9), (1e-6, 1e9)],
    ids=["as usual", "metres", "as the region", "continents", "both"],
)
def test_the_rate_over_region_and_time_is_the_number_it_states(zones: tuple[float, float]) -> None:
    model = hybrid(zones)
    stated = model.score(catalogue(), TARGET).expected
    assert stated == pytest.approx(100 + 0.1 * DAYS, rel=1e-9)
    t, x, y, density = drawn(model, np.random.default_rng(2), POINTS)
    inside = REGION.contains(x, y) & (t >= 0) & (t < DAYS)
    points = pd.DataFrame(
        {
            "time": TARGET.start + (t[inside] * 86400e9).astype("timedelta64[ns]"),
            "longitude": x[inside],
            "latitude": y[inside],
        }
    )
    value = np.zeros(POINTS)
    value[inside] = model.rate(catalogue(), TARGET, points) / density[inside]
    error = value.std() / np.sqrt(POINTS)
    assert error < 0.015 * stated
    assert abs(value.mean() - stated) < 4 * error


def test_at_a_target_the_rate_is_that_of_its_score() -> None:
    model, events = hybrid((0.2, 4.0)), catalogue()
    table = model.log_rates(events, TARGET)
    np.testing.assert_allclose(np.log(model.rate(events, TARGET, table)), table["log_rate"], rtol=1e-9)


def test_points_outside_are_refused() -> None:
    point = pd.DataFrame({"time": [TARGET.end], "longitude": [10.3], "latitude": [45.2]})
    with pytest.raises(InputError, match="outside the region or the period"):
        hybrid((0.2, 4.0)).rate(catalogue(), TARGET, point)
