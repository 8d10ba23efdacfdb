"""What every registered model of ground motion must do, whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ground_motions import made_ground_motions

from kaname.core.errors import InputError, MissingDependencyError, NotFoundError
from kaname.modeling.ground_motion import get_model, model, names


def scenarios() -> pd.DataFrame:
    """Six plain scenarios in which no column that a model might need is missing."""
    return pd.DataFrame(
        {
            "event_id": ["a", "a", "b", "b", "c", "c"],
            "station": ["s1", "s2", "s1", "s3", "s2", "s3"],
            "site_id": ["s1", "s2", "s1", "s3", "s2", "s3"],
            "event_latitude": 38.0,
            "event_longitude": 141.0,
            "event_depth_km": [8.0, 8.0, 30.0, 30.0, 60.0, 60.0],
            "ztor_km": [2.0, 2.0, 20.0, 20.0, 55.0, 55.0],
            "magnitude": [6.0, 6.0, 7.5, 7.5, 7.0, 7.0],
            "strike_deg": 200.0,
            "dip_deg": 45.0,
            "rake_deg": [90.0, 90.0, 90.0, 90.0, -90.0, -90.0],
            "tectonic_region": ["active_shallow"] * 2
            + ["subduction_interface"] * 2
            + ["subduction_slab"] * 2,
            "latitude": [38.1, 38.3, 38.1, 38.6, 38.3, 38.6],
            "longitude": 141.0,
            "vs30_m_s": [250.0, 450.0, 250.0, 760.0, 450.0, 760.0],
            "z1pt0_m": [300.0, 100.0, 300.0, 20.0, 100.0, 20.0],
            "z2pt5_km": [1.5, 0.8, 1.5, 0.3, 0.8, 0.3],
            "repi_km": [11.0, 33.0, 11.0, 66.0, 33.0, 66.0],
            "rhypo_km": [14.0, 34.0, 32.0, 73.0, 69.0, 89.0],
            "rjb_km": [9.0, 30.0, 1.0, 50.0, 30.0, 63.0],
            "rrup_km": [10.0, 31.0, 20.0, 54.0, 62.0, 84.0],
            "rx_km": [9.0, 30.0, 1.0, 50.0, 30.0, 63.0],
            "azimuth_deg": 0.0,
        }
    )


def _fitted(name: str, **options: Any) -> Any:
    unspecified = {"mechanism": "unspecified"}
    return get_model(name, base_options=unspecified, **options).fit(made_ground_motions(12, 20), "pga")


FITTED: dict[str, Callable[[], Any]] = {
    "boosted": lambda: _fitted("boosted", n_fold=2),
    "forest": lambda: _fitted("forest", n_fold=2, n_tree=20),
    "openquake": lambda: get_model("openquake:BooreEtAl2014"),
}
"""How to make the models that know nothing before they are fitted, or that need a name of a library."""


@cache
def made(name: str) -> Any:
    return FITTED.get(name, lambda: get_model(name))()


@pytest.fixture(params=names())
def one(request: pytest.FixtureRequest) -> Any:
    try:
        return made(request.param)
    except MissingDependencyError as error:
        pytest.skip(str(error))


def test_predicts_a_distribution_in_the_order_of_the_rows(one: Any) -> None:
    table = scenarios()
    before = table.copy(deep=True)
    for measure in one.measures[:4]:
        whole = one.predict(table, measure)
        for array in (whole.mean, whole.tau, whole.phi, whole.sigma):
            assert array.shape == (6,) and array.dtype == np.float64 and np.isfinite(array).all()
        assert (whole.tau >= 0).all() and (whole.phi > 0).all()
        np.testing.assert_allclose(whole.sigma**2, whole.tau**2 + whole.phi**2)
        shuffled = one.predict(table.iloc[[4, 0, 5]], measure)
        np.testing.assert_allclose(shuffled.mean, whole.mean[[4, 0, 5]], rtol=1e-12)
        np.testing.assert_allclose(shuffled.sigma, whole.sigma[[4, 0, 5]], rtol=1e-12)
    pd.testing.assert_frame_equal(table, before)


def test_speaks_gal_and_natural_logarithms(one: Any) -> None:
    if "pga" not in one.measures:
        pytest.skip("no PGA")
    median = one.predict(scenarios(), "pga").median
    assert ((median > 5) & (median < 1500)).all(), median
    assert (median[[1, 3, 5]] < median[[0, 2, 4]]).all()


def test_no_rows_no_answers(one: Any) -> None:
    prediction = one.predict(scenarios().iloc[:0], one.measures[0])
    assert prediction.mean.shape == prediction.tau.shape == prediction.phi.shape == (0,)


def test_says_what_is_missing(one: Any) -> None:
    assert one.needs
    for column in one.needs:
        with pytest.raises(InputError, match=f"needs .*{column}"):
            one.predict(scenarios().drop(columns=column), one.measures[0])
        table = scenarios()
        table.loc[3, column] = "" if table[column].dtype == "str" else np.nan
        with pytest.raises(InputError, match=f"{column}, missing in 1 of 6 rows .*3"):
            one.predict(table, one.measures[0])


@pytest.mark.parametrize("measure", ["pgx", "sa(99)", "intensity_jma", "sa(-1)", ""])
def test_refuses_measures_it_does_not_know(one: Any, measure: str) -> None:
    with pytest.raises(InputError):
        one.predict(scenarios(), measure)


def test_unknown_names_and_options() -> None:
    with pytest.raises(NotFoundError, match="known are"):
        get_model("boore_1814")
    with pytest.raises(InputError, match="regoin"):
        get_model("boore_2014", regoin="japan")
    with pytest.raises(InputError, match=r"two models .*zhao_2006"):
        model("zhao_2006")(object)
