"""Tests of evenness: even points pass at the stated rate, clusters, gaps and trends do not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from kaname.core.geo import on_sphere
from kaname.discovery.seismicity.background import Uniform
from kaname.discovery.seismicity.evenness import Points, cell_counts, p_number, p_times, pair_counts
from kaname.discovery.seismicity.region import Region

REGION = Region(np.array([140, 141, 141, 140.2, 140.2, 140]), np.array([36, 36, 36.3, 36.3, 37, 37]))


def even(n, seed):
    rng = np.random.default_rng(seed)
    return Points(*Uniform(REGION).draw(n, rng), rng.uniform(0, 100, n), REGION, 100.0)


def clustered(n, seed):
    """Points of which a third are within some hundred metres and days of another."""
    made, rng = even(n, seed), np.random.default_rng(seed + 1000)
    k = n // 3
    lon, lat, day = (np.append(v[k:], v[k : 2 * k]) for v in (made.longitude, made.latitude, made.day))
    lon[-k:] += 0.002 * rng.standard_normal(k)
    lat[-k:] += 0.002 * rng.standard_normal(k)
    return Points(lon, lat, day, REGION, 100.0)


def test_p_values_of_even_points_are_uniform():
    found = [
        (p_times(p), cell_counts(p).p, cell_counts(p, intervals=4).p, pair_counts(p, n=39, seed=k).p)
        for k in range(120)
        for p in [even(250, k)]
    ]
    times, place, both, pairs = np.array(found).T
    for p in (times, place, both):
        assert stats.kstest(p, "uniform").pvalue > 1e-3
    # Of 40 equally likely ranks.
    rank = np.round(pairs * 40).astype(int)
    assert rank.min() >= 1
    assert stats.chisquare(np.histogram(rank, [1, 11, 21, 31, 41])[0]).pvalue > 1e-3


def test_numbers():
    draws = np.random.default_rng(0).poisson(300, 2000)
    p = np.array([p_number(int(n), 300.0) for n in draws])
    assert stats.kstest(p, "uniform").statistic < 0.05
    assert p_number(0, 20.0) < 1e-8 and p_number(20, 20.0) == 1


def test_clusters_and_trends_are_found():
    points = clustered(400, 0)
    found = pair_counts(points, n=99)
    assert found.p == 0.01
    assert (found.count > found.high).any() and not (found.count < found.low).any()
    early = even(400, 1)
    early = Points(early.longitude, early.latitude, early.day**2 / 100, REGION, 100.0)
    assert p_times(early) < 1e-6 and cell_counts(early, intervals=4).p < 1e-6 and cell_counts(early).p > 1e-3
    lon, lat, day = even(400, 2).longitude, even(400, 2).latitude, even(400, 2).day
    south = lat < 36.3
    assert cell_counts(Points(lon[south], lat[south], day[south], REGION, 100.0)).p < 1e-6


def test_pairs_are_counted_as_by_hand():
    points = even(300, 3)
    found = pair_counts(points, n=19)
    place = on_sphere(points.latitude, points.longitude)
    i, j = np.triu_indices(300, 1)
    apart = np.linalg.norm(place[:, i] - place[:, j], axis=0)
    later = np.abs(points.day[i] - points.day[j])
    by_hand = [[((apart <= r) & (later <= t)).sum() for t in found.delay_day] for r in found.distance_km]
    assert (found.count == by_hand).all()
    looked_at = np.isfinite(found.high)
    assert looked_at[-1, -1] and not looked_at[0, 0]
    assert (found.low <= found.usual)[looked_at].all() and (found.usual <= found.high)[looked_at].all()


@pytest.mark.parametrize("n", [0, 1, 2, 12])
def test_few_points_say_nothing(n):
    points = even(n, 0)
    assert cell_counts(points).count.sum() == n
    for p in (p_times(points), cell_counts(points).p, pair_counts(points, n=19).p):
        assert np.isnan(p) or 0 < p <= 1
