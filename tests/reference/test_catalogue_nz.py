"""The main job on the Alpine Fault, New Zealand, from records to catalogue, against the analysts.

``pytest -s`` prints the table of docs/catalogue.md, with the constant answers and the scatter of analysts.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from datum_nz import fit, misfits, published
from score_nz import at_sea_level, run_job, tables

from kaname.cli._catalogue import Outcome


@pytest.fixture(scope="module")
def case(shared_data: Path) -> Path:
    return shared_data / "network" / "nz_samba_2013"


@pytest.fixture(scope="module")
def datum_km(case: Path) -> float:
    """Height above sea level from which the published depths are counted."""
    return fit(published(case)).datum_km


@pytest.fixture(scope="module")
def outcome(case: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return run_job(case, tmp_path_factory.mktemp("nz"))


def test_published_travel_times_say_from_where_depths_are_counted(case: Path) -> None:
    times = published(case)
    best = fit(times)
    assert np.median(np.abs(misfits(times, best.times(times)))) < 0.010
    assert 1.3 < best.datum_km < 2.0
    assert best.elevation_factor == pytest.approx(1.0, abs=0.1)


@pytest.mark.slow
def test_events_are_found_where_and_as_large_as_analysts_say(
    outcome: Outcome, case: Path, datum_km: float
) -> None:
    score = outcome.score
    assert score is not None
    print("\n" + tables(outcome, case, datum_km))  # noqa: T201 - the table is what this is run for
    assert score.recall >= 0.85
    assert score.epicentre_km <= 1.5
    assert score.depth_km <= 2.5, "even with the published depths as they stand"
    assert score.magnitude <= 0.2
    assert score.distance_correlation >= 0.6
    assert score.epicentre_km < score.constant_epicentre_km
    assert score.magnitude < score.constant_magnitude
    assert outcome.catalogue.failures.empty


@pytest.mark.slow
def test_depths_agree_when_both_are_counted_from_sea_level(outcome: Outcome, datum_km: float) -> None:
    assert at_sea_level(outcome, datum_km).depth_km <= 2.5


@pytest.mark.slow
def test_both_events_of_the_doublet_are_found(outcome: Outcome) -> None:
    """2013-09-05 02:08: every phase stands twice on every record, 0.7 s apart; analysts located both."""
    events, arrivals = outcome.catalogue.events, outcome.catalogue.arrivals
    both = events[events["time"].between("2013-09-05 02:08:10", "2013-09-05 02:08:20")]["event_id"]
    assert len(both) == 2
    first, second = (
        arrivals[(arrivals["event_id"] == i) & (arrivals["phase"] == "P")].set_index("station")["time"]
        for i in both
    )
    apart = (second - first).dropna().dt.total_seconds()
    assert len(apart) >= 4, "stations with the P of both"
    assert apart.median() == pytest.approx(0.70, abs=0.05)
