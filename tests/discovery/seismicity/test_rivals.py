"""Rivals of ETAS: proper densities, the promises of the contract, no look into the future."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from triggered_events import KNOWN, LATER, REGION, events, fitted

from kaname.core.errors import InputError
from kaname.core.geo import on_sphere
from kaname.discovery.seismicity.anisotropy import Axes, Places, inside_share, triggered
from kaname.discovery.seismicity.background import Uniform
from kaname.discovery.seismicity.contract import Target
from kaname.discovery.seismicity.hybrid import Hybrid
from kaname.discovery.seismicity.neural import Neural
from kaname.discovery.seismicity.poisson import Poisson
from kaname.discovery.seismicity.smoothed import Smoothed


def test_the_places_of_the_neural_model_lose_what_is_outside_and_gain_nothing() -> None:
    model = fitted("neural")
    assert isinstance(model, Neural)
    sources = LATER.sources(events())
    index = np.flatnonzero(sources.target)[:1]
    x, _, there = model._pairs(sources, index)
    at = np.linspace(0, 1, 401)[1:] - 1 / 800
    lon, lat = (v.ravel() for v in np.meshgrid(10 + 0.6 * at, 45 + 0.4 * at))
    last = sources.iloc[max(0, int(index[0]) - model.depth) : int(index[0])][::-1]
    place = on_sphere(lat, lon)
    total = 0.0
    for part in np.array_split(np.arange(len(lon)), 40):
        near = on_sphere(last.latitude, last.longitude)
        squared = ((place[:, part, np.newaxis] - near[:, np.newaxis]) ** 2).sum(axis=0)
        n = (len(part), 1)
        inputs = np.tile(x[:, : len(last)], (*n, 1)), squared, np.tile(there[:, : len(last)], n)
        static = model.background_.density(lon[part], lat[part])
        total += model._mixture(*inputs, static, LATER)[0].sum()
    assert 0.8 < total / len(lon) * REGION.area_km2 < 1.01


@pytest.mark.parametrize("name", ("poisson", "smoothed"))
def test_the_rate_integrates_over_the_region_to_the_rate_in_time(name: str) -> None:
    """By Monte Carlo: points of a uniform cloud, put one at a time after the same history."""
    rng = np.random.default_rng(5)
    history = events()[events().time < LATER.start]
    when = LATER.start + np.timedelta64(3, "h")
    lon, lat = Uniform(REGION).draw(6000, rng)
    model = fitted(name)
    day = Target(REGION, LATER.start, when + np.timedelta64(1, "h"), 2.0)
    total, in_time = [], 0.0
    cloud = pd.DataFrame({"longitude": lon, "latitude": lat})
    for k in range(0, len(cloud), 300):
        point = pd.DataFrame({"event_id": ["x"], "time": [when], "magnitude": [2.0], **cloud.iloc[[k]]})
        table = model.log_rates(pd.concat([history, point], ignore_index=True), day)
        total.append(np.exp(table.log_rate[0]))
        in_time = float(np.exp(table.log_rate_time[0]))
    spread = 3 * np.std(total) / np.sqrt(len(total)) * REGION.area_km2
    assert abs(np.mean(total) * REGION.area_km2 - in_time) < max(spread, 1e-9 * in_time)


def test_a_network_gradient_is_that_of_its_likelihood() -> None:
    model = Neural(epochs=1, bandwidth_min_km=1.0).fit(events(), KNOWN)
    sources = KNOWN.sources(events())
    index = np.flatnonzero(sources.target)[100:140]
    pairs, static = model._pairs(sources, index), np.full(len(index), 1e-3)
    _, inner = model._mixture(*pairs, static, KNOWN)
    slope = np.stack([inner["zone"], inner["weight"][:, :-2]], axis=-1).reshape(-1, 2)
    found = model.where_.gradient(pairs[0].reshape(-1, 3), inner["hidden"], slope)
    for weight, gradient in zip(model.where_.weights, found):
        at = np.unravel_index(np.argmax(np.abs(gradient)), gradient.shape)
        kept = weight[at]
        values = []
        for step in (1e-5, -1e-5):
            weight[at] = kept + step
            values.append(np.log(model._mixture(*pairs, static, KNOWN)[0]).sum())
        weight[at] = kept
        assert (values[0] - values[1]) / 2e-5 == pytest.approx(gradient[at], rel=1e-5)


def test_ellipses_lie_along_earlier_earthquakes() -> None:
    rng = np.random.default_rng(0)
    along, across = rng.normal(0, 1.0, 400), rng.normal(0, 0.1, 400)
    turn = np.radians(30)
    east, north = along * np.cos(turn) - across * np.sin(turn), along * np.sin(turn) + across * np.cos(turn)
    lat = 45 + north / 111.195
    lon = 10 + east / 111.195 / np.cos(np.radians(45))
    axes = Axes.of_earlier(Places.of(lon, lat), reach_km=1.0, prior=2.0, limit=6.0)
    assert axes.ratio[0] == pytest.approx(1.0)
    last = slice(300, None)
    assert np.median(np.degrees(np.arctan(axes.north[last] / axes.east[last]))) == pytest.approx(30, abs=2)
    assert 3 < np.median(axes.ratio[last]) <= 6


def test_an_elliptic_kernel_integrates_to_what_the_circular_one_does() -> None:
    """By Monte Carlo, about a source near a corner, and without truncation in the plane."""
    rng = np.random.default_rng(1)
    lon, lat = Uniform(REGION).draw(200_000, rng)
    at = Places.of(lon[:4000], lat[:4000])
    source = (10.05, 45.05)
    zone, rho = np.array([4.0]), 0.8
    axes = Axes(np.array([np.cos(0.5)]), np.array([np.sin(0.5)]), np.array([4.0]))
    rate = triggered(
        np.zeros(1), Places.of(*np.array(source)[:, np.newaxis]), np.zeros(1), zone, axes,
        at_day=np.ones(4000), at=at, before=np.ones(4000, np.int64),
        c=1.0, omega=0.0, inverse_tau=0.0, rho=rho,
    )  # fmt: skip
    found = rate.mean() * 2.0 * REGION.area_km2
    share = inside_share(REGION, np.array(source[:1]), np.array(source[1:]), zone, rho, axes)[0]
    whole = np.pi / rho * zone[0] ** -rho
    assert found == pytest.approx(share * whole, abs=4 * 2 * rate.std() / 4000**0.5 * REGION.area_km2)


def test_tiny_catalogues_are_refused() -> None:
    few = events().iloc[:10]
    with pytest.raises(InputError, match="too few"):
        Neural().fit(few, KNOWN)
    with pytest.raises(InputError):
        Hybrid().fit(few, KNOWN)
    with pytest.raises(InputError, match="a rate of zero"):
        Poisson().fit(few.iloc[:0], KNOWN)
    with pytest.raises(InputError, match="update_days"):
        Smoothed(update_days=0)
    with pytest.raises(InputError, match="held back"):
        Hybrid(held=1.5)
