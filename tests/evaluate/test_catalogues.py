"""Catalogue scores on catalogues whose differences are chosen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kaname.core import tables
from kaname.core.errors import InputError
from kaname.core.geo import LocalFrame
from kaname.core.time import add_seconds
from kaname.evaluate.catalogues import distinct, match, preferred, scatter, score, wilson

ORIGIN = np.datetime64("2020-01-01", "ns")
FRAME = LocalFrame(35.0, 139.0)


def _catalogue(
    seconds: np.ndarray,
    east: np.ndarray,
    north: np.ndarray,
    depth: np.ndarray,
    magnitude: np.ndarray,
    *,
    sd_km: float = 1.0,
) -> pd.DataFrame:
    latitude, longitude = FRAME.to_geographic(east, north)
    n = len(seconds)
    return tables.validate(
        pd.DataFrame(
            {
                "event_id": [f"e{i}" for i in range(n)],
                "time": [add_seconds(ORIGIN, s) for s in seconds],
                "latitude": latitude,
                "longitude": longitude,
                "depth_km": depth,
                "magnitude": magnitude,
                "cov_ee_km2": sd_km**2,
                "cov_nn_km2": sd_km**2,
                "cov_zz_km2": sd_km**2,
                "cov_en_km2": 0.0,
                "cov_ez_km2": 0.0,
                "cov_nz_km2": 0.0,
            }
        ),
        tables.EVENTS,
    )


def _truth(n: int = 400) -> tuple[np.ndarray, ...]:
    random = np.random.default_rng(0)
    return (
        100.0 * np.arange(n),
        random.normal(0, 10, n),
        random.normal(0, 10, n),
        random.uniform(5, 15, n),
        random.uniform(0, 3, n),
    )


def test_a_shifted_catalogue_scores_its_shift() -> None:
    seconds, east, north, depth, magnitude = _truth(50)
    reference = _catalogue(seconds, east, north, depth, magnitude)
    found = _catalogue(seconds + 0.3, east + 3, north + 4, depth - 2, magnitude + 0.7)
    result = score(found, reference)
    assert (result.n_found, result.n_extra, result.recall) == (50, 0, 1.0)
    assert result.epicentre_km == pytest.approx(5.0, rel=0.01)
    assert result.depth_km == pytest.approx(2.0)
    assert result.magnitude == pytest.approx(0.0, abs=1e-9)
    assert result.magnitude_constant == pytest.approx(0.7)
    assert result.time_s == pytest.approx(0.3)
    assert result.distance_correlation == pytest.approx(1.0, abs=1e-3)


def test_coverage_of_honest_and_dishonest_ellipsoids() -> None:
    seconds, east, north, depth, magnitude = _truth()
    random = np.random.default_rng(1)
    errors = random.normal(0, 1.0, (3, len(seconds)))
    moved = (seconds, east + errors[0], north + errors[1], depth + errors[2], magnitude)
    reference = _catalogue(seconds, east, north, depth, magnitude)
    honest = score(_catalogue(*moved, sd_km=1.0), reference)
    assert honest.coverage_low <= 0.68 <= honest.coverage_high
    dishonest = score(_catalogue(*moved, sd_km=0.4), reference)
    assert dishonest.coverage_high < 0.3


def test_the_constant_answer_is_the_references_own_spread() -> None:
    seconds, east, north, depth, magnitude = _truth()
    reference = _catalogue(seconds, east, north, depth, magnitude)
    result = score(reference, reference)
    offset = np.hypot(east - np.median(east), north - np.median(north))
    assert result.constant_epicentre_km == pytest.approx(np.median(offset), rel=0.01)
    assert result.constant_depth_km == pytest.approx(np.median(np.abs(depth - np.median(depth))))


def test_missed_extra_and_unlocated_events_are_counted_apart() -> None:
    seconds, east, north, depth, magnitude = _truth(10)
    reference = _catalogue(seconds, east, north, depth, magnitude)
    found = reference.drop(index=[2, 5]).reset_index(drop=True)
    found.loc[0, ["latitude", "longitude", "depth_km"]] = np.nan
    extra = _catalogue(np.array([5000.0]), *np.zeros((4, 1)))
    extra["event_id"] = "extra"
    result = score(pd.concat([found, extra], ignore_index=True), reference)
    assert (result.n_found, result.n_located, result.n_extra) == (8, 7, 1)


def test_of_several_solutions_the_one_with_the_most_phases_stands_for_the_earthquake() -> None:
    solutions = _catalogue(np.array([100.0, 0.0, 0.5, 0.9]), *np.zeros((4, 4)))
    solutions["n_p"], solutions["n_s"] = [4, 3, 6, 5], [0, 3, 2, 3]
    assert preferred(solutions)["event_id"].tolist() == ["e2", "e0"]
    assert len(preferred(solutions, within_s=0.1)) == 4


def test_matching_is_one_to_one_and_closest_first() -> None:
    a = _catalogue(np.array([0.0, 1.0, 10.0]), *np.zeros((4, 3)))
    b = _catalogue(np.array([0.9, 9.0]), *np.zeros((4, 2)))
    assert match(a, b, within_s=2.0) == [(1, 0), (2, 1)]


def test_solutions_of_one_earthquake_are_grouped_and_their_scatter_told() -> None:
    twice = _catalogue(np.array([0.0, 1.0, 60.0]), np.array([0, 3.0, 0]), *np.zeros((3, 3)))
    assert distinct(twice).tolist() == [0, 0, 1]
    assert scatter(twice)["epicentre_km"].tolist() == pytest.approx([3.0], rel=1e-3)
    with pytest.raises(InputError, match="several solutions"):
        score(twice, twice)


def test_wilson_interval_against_published_values() -> None:
    # Newcombe (1998, Stat. Med. 17, 857-872), table I, method 3: 81 of 263, and 0 of 20.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=2e-4)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=2e-4)
