"""Completeness, b and clusters, recovered from catalogues whose truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kaname.core.errors import InputError
from kaname.core.tables import EVENTS, validate
from kaname.discovery.seismicity import completeness, declustering
from kaname.discovery.seismicity.gutenberg_richter import b_positive, b_value, magnitude_bins
from kaname.discovery.seismicity.omori import fit_omori


def magnitudes(n, b=1.0, least=0.0, width=0.1, seed=0):
    rng = np.random.default_rng(seed)
    m = least - width / 2 + rng.exponential(np.log10(np.e) / b, n)
    return np.floor(m / width + 0.5) * width if width else m


def events(day, longitude, latitude, magnitude):
    table = {
        "event_id": [f"e{k}" for k in range(len(day))],
        "time": np.datetime64("2020-01-01", "ns") + (np.asarray(day) * 86400e9).astype("timedelta64[ns]"),
        "longitude": longitude,
        "latitude": latitude,
        "magnitude": magnitude,
    }
    return validate(pd.DataFrame(table), EVENTS)


@pytest.mark.parametrize("width", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("b", [0.8, 1.2])
def test_b_is_recovered_within_its_error(b, width):
    for seed in range(5):
        m = magnitudes(4000, b=b, width=width, seed=seed)
        found = b_value(m, 0.0, magnitude_bin=width)
        assert abs(found.b - b) < 3.5 * found.error
        assert found.error == pytest.approx(b / np.sqrt(4000), rel=0.25)


def test_b_positive_holds_where_completeness_changes():
    rng = np.random.default_rng(2)
    m = magnitudes(60_000, seed=3)
    least = np.interp(np.arange(60_000) % 3000, [0, 3000], [2.0, 0.0])
    seen = m[m >= least + 0.1 * rng.random(60_000)]
    assert abs(b_positive(seen, difference_min=0.2).b - 1) < 0.06
    assert b_value(seen, 0.0).b < 0.8


def test_the_three_methods_find_where_a_catalogue_is_complete():
    rng = np.random.default_rng(5)
    m = magnitudes(40_000, seed=5)
    seen = m[rng.random(len(m)) < np.clip(m / 1.0, 0, 1) ** 2]
    for found in completeness.estimate(seen):
        assert 0.7 <= found.magnitude <= 1.3, found.method


def test_few_magnitudes_get_a_reason_instead_of_a_number():
    found = completeness.goodness_of_fit([1.0, 1.1, 1.2])
    assert np.isnan(found.magnitude)
    assert "fewer than 50" in found.reason
    with pytest.raises(InputError):
        completeness.frequencies([np.nan])
    with pytest.raises(InputError):
        b_value([2.0, 2.0, 2.0], 2.0)


def test_completeness_rises_after_a_large_earthquake_and_falls_again():
    table = events([0, 1, 100], [13, 13, 13], [42, 42, 42], [7.0, 4.0, 3.0])
    at = table["time"].iloc[0] + pd.to_timedelta([0.01, 1, 300], "D")
    found = completeness.after_large(table, magnitude_min=1.0, step=0.01).at(at, 1.0)
    # 7 - 4.5 - 0.75 log10(days), in steps at or above it.
    assert (found - [4.0, 2.5, 1.0]).tolist() == pytest.approx([0.0, 0.0, 0.0], abs=0.011)


def test_the_width_of_bins_is_found():
    assert magnitude_bins([3.1, 4.5, 2.2]) == 0.1
    assert magnitude_bins([3.12, 4.5]) == 0.01
    assert magnitude_bins(np.random.default_rng(0).random(50)) == 0.0


@pytest.fixture(scope="module")
def sequences():
    """Forty mainshocks far apart in time, each with twenty aftershocks; and 200 single events."""
    rng = np.random.default_rng(11)
    day, lon, lat, m, own = [], [], [], [], []
    for k in range(40):
        t, x, y = 300 * k + 50.0, rng.uniform(10, 16), rng.uniform(38, 46)
        for j in range(21):
            day.append(t + (0 if j == 0 else 0.05 + rng.exponential(1.5)))
            lon.append(x + (0 if j == 0 else rng.normal(0, 0.02)))
            lat.append(y + (0 if j == 0 else rng.normal(0, 0.02)))
            m.append(5.5 if j == 0 else 3 + rng.exponential(0.3))
            own.append(k)
    for k in range(200):
        day.append(rng.uniform(0, 12_000))
        lon.append(rng.uniform(10, 16))
        lat.append(rng.uniform(38, 46))
        m.append(3 + rng.exponential(0.3))
        own.append(100 + k)
    # Not in order of time: rows must come back as they were given.
    order = rng.permutation(len(day))
    day, lon, lat, m, own = (np.array(v)[order] for v in (day, lon, lat, m, own))
    return events(day, lon, lat, m), own


def agreement(main, own):
    """Share of pairs of neighbours in the table that are rightly together or apart."""
    order = np.argsort(own)
    together = own[order][1:] == own[order][:-1]
    return np.mean((main[order][1:] == main[order][:-1]) == together)


def test_windows_and_chains_find_the_sequences(sequences):
    table, own = sequences
    rows = np.arange(len(table))
    for main in (declustering.gardner_knopoff(table), declustering.reasenberg(table, magnitude_min=3.0)):
        assert agreement(main, own) > 0.95
        assert 225 <= (main == rows).sum() <= 265
        large = table["magnitude"].to_numpy()[main]
        assert (large >= table["magnitude"].to_numpy() - 1e-9).all()


def test_nearest_neighbours_tell_clusters_from_background(sequences):
    table, own = sequences
    found = declustering.nearest_neighbours(table)
    background = found.background()
    assert 225 <= background.sum() <= 265
    near = found.parent >= 0
    clustered = ~background & near
    assert np.mean(own[clustered] == own[found.parent[clustered]]) > 0.95
    np.testing.assert_allclose(found.log_eta[near], (found.log_time + found.log_distance)[near])


def test_missing_places_are_refused(sequences):
    table = sequences[0].copy()
    table.loc[3, "longitude"] = np.nan
    with pytest.raises(InputError, match="1 of"):
        declustering.gardner_knopoff(table)


@pytest.mark.parametrize("p", [0.9, 1.0, 1.3])
def test_omori_utsu_is_recovered_within_its_errors(p):
    rng = np.random.default_rng(7)
    c, n, end = 0.05, 2000, 100.0
    a, b = c, end + c
    u = rng.random(n)
    day = (
        a * (b / a) ** u if p == 1 else (a ** (1 - p) + u * (b ** (1 - p) - a ** (1 - p))) ** (1 / (1 - p))
    ) - c
    found = fit_omori(day, start=0, end=end)
    assert abs(found.c - c) < 3.5 * found.error[1]
    assert abs(found.p - p) < 3.5 * found.error[2]
    assert found.expected(0, end) == pytest.approx(n)
    with pytest.raises(InputError):
        fit_omori(day[:5], start=0, end=end)
