"""What every registered model of seismicity must do, whatever it is made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from triggered_events import KNOWN, LATER, REGION, events, fitted, options

from kaname.core.errors import InputError, NotFoundError
from kaname.core.forecasts import SIMULATIONS
from kaname.core.tables import validate
from kaname.discovery.seismicity.contract import (
    SeismicityModel,
    get_model,
    names,
    seismicity_model,
)


@pytest.fixture(params=names())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_models_are_known_by_name() -> None:
    assert {"etas", "hybrid", "neural", "poisson", "smoothed"} <= set(names())
    with pytest.raises(NotFoundError, match=r"no seismicity model 'magic'; known are etas"):
        get_model("magic")
    with pytest.raises(InputError, match="two seismicity models"):
        seismicity_model("etas")(object)


def test_it_keeps_the_promises_in_its_face(name: str) -> None:
    model = fitted(name)
    assert isinstance(model, SeismicityModel) and model.name == name


def test_shares_of_the_targets_add_up_to_the_score(name: str) -> None:
    model = fitted(name)
    score, table = model.score(events(), LATER), model.log_rates(events(), LATER)
    assert score.n == len(table)
    assert score.joint == pytest.approx(score.temporal + score.spatial)
    assert (table.log_rate - table.expected).mean() == pytest.approx(score.joint, abs=1e-6)
    assert (table.log_rate_time - table.expected).mean() == pytest.approx(score.temporal, abs=1e-6)
    assert table.expected.sum() == pytest.approx(score.expected, rel=1e-6)


def test_what_comes_later_changes_nothing(name: str) -> None:
    whole = fitted(name).log_rates(events(), LATER)
    half = replace(LATER, end=np.datetime64("2003-07-01"))
    cut = events()[events().time < np.datetime64("2003-07-01")]
    early = fitted(name).log_rates(cut, half)
    np.testing.assert_allclose(whole.log_rate[: len(early)], early.log_rate, rtol=1e-9)


def test_the_catalogue_stays_as_it_was_and_its_order_says_nothing(name: str) -> None:
    given = events().copy()
    score = fitted(name).score(given, LATER)
    pd.testing.assert_frame_equal(given, events())
    assert fitted(name).score(given.iloc[::-1], LATER).joint == pytest.approx(score.joint, abs=1e-9)


def test_fitted_again_it_is_the_same(name: str) -> None:
    again = get_model(name, **options(name)).fit(events(), KNOWN)
    assert again.score(events(), LATER).joint == pytest.approx(
        fitted(name).score(events(), LATER).joint, abs=1e-6
    )


def test_simulations_are_of_the_period_and_the_region_and_reproducible(name: str) -> None:
    history = events()[events().time < LATER.start]
    month = replace(LATER, end=np.datetime64("2003-02-01"))
    first = fitted(name).simulate(history, month, n=4, seed=1)
    validate(first, SIMULATIONS)
    assert first.equals(fitted(name).simulate(history, month, n=4, seed=1))
    assert not first.equals(fitted(name).simulate(history, month, n=4, seed=2))
    assert len(first) and REGION.contains(first.longitude, first.latitude).all()
    assert (first.time >= month.start).all() and (first.time < month.end).all()
    assert (first.magnitude >= month.magnitude_min).all() and first.simulation.between(0, 3).all()
    with pytest.raises(InputError, match="positive"):
        fitted(name).simulate(history, month, n=0, seed=1)


def test_too_few_to_learn_from_are_refused(name: str) -> None:
    with pytest.raises(InputError):
        get_model(name, **options(name)).fit(events().iloc[:0], KNOWN)
