"""The conditioned field against the textbook formula, and what it must do in plain cases."""

from __future__ import annotations

import numpy as np
import pytest

from kaname.core.errors import InputError
from kaname.modeling.field.conditioning import Places, Recorded, condition
from kaname.modeling.field.correlation import (
    Exponential,
    LothBaker2013,
    baker_jayaram_2008,
    between_events,
    correlation,
    distances,
    goda_atkinson_2009,
)


def _places(n: int, seed: int, measure: str = "pga") -> Places:
    rng = np.random.default_rng(seed)
    return Places(
        measure,
        rng.uniform(35, 36, n),
        rng.uniform(139, 140, n),
        rng.normal(4, 0.5, n),
        rng.uniform(0.2, 0.5, n),
        rng.uniform(0.4, 0.7, n),
    )


def _joint(places: list[Places], rho, uncertainty: list[float]) -> np.ndarray:
    """Prior covariance of everything at once, between-event part included."""
    lat, lon, tau, phi = (
        np.concatenate([getattr(p, k) for p in places]) for k in ("latitude", "longitude", "tau", "phi")
    )
    name = np.repeat([p.measure for p in places], [len(p) for p in places])
    measures = list(dict.fromkeys(name))
    between = between_events(measures)[np.ix_(*2 * [[measures.index(m) for m in name]])]
    apart = distances(lat, lon, lat, lon)
    within = np.array(
        [[rho(a, b, np.array([[d]]))[0, 0] for b, d in zip(name, row)] for a, row in zip(name, apart)]
    )
    extra = np.repeat(np.square(uncertainty), [len(p) for p in places])
    return within * np.outer(phi, phi) + between * np.outer(tau, tau) + np.diag(extra)


@pytest.mark.parametrize("spatial", ["jayaram_baker_2009", "jayaram_baker_2009_clustered", "loth_baker_2013"])
def test_equals_the_conditional_normal_of_the_joint_prior(spatial: str) -> None:
    here, stations, other = _places(7, 0, "sa(0.3)"), _places(12, 1, "sa(0.3)"), _places(9, 2, "sa(1)")
    value = [stations.mean + 0.5, other.mean - 0.3]
    field = condition(
        [Recorded(stations, value[0], 0.1), Recorded(other, value[1], 0.4)], here, spatial=spatial
    )
    joint = _joint([here, stations, other], correlation(spatial), [0.0, 0.1, 0.4])  # type: ignore[arg-type]
    a, b = joint[:7, 7:], joint[7:, 7:]
    residual = np.concatenate([value[0] - stations.mean, value[1] - other.mean])
    np.testing.assert_allclose(field.mean, here.mean + a @ np.linalg.solve(b, residual), atol=1e-10)
    expected = joint[:7, :7] - a @ np.linalg.solve(b, a.T)
    np.testing.assert_allclose(field.covariance(), expected, atol=1e-10)
    np.testing.assert_allclose(field.sigma**2, np.diag(expected), atol=1e-10)


def test_a_station_keeps_its_recording_and_a_far_place_only_learns_the_event_term() -> None:
    stations = _places(20, 3)
    far = Places("pga", [45.0], [150.0], [3.0], [0.4], [0.6])
    recorded = Recorded(stations, stations.mean + 0.8)
    at = condition([recorded], stations)
    np.testing.assert_allclose(at.mean, recorded.value, atol=1e-9)
    assert at.sigma.max() < 1e-6
    away = condition([recorded], far)
    assert away.phi[0] == pytest.approx(0.6)
    assert away.mean[0] == pytest.approx(3.0 + away.event_term[0])
    assert 0 < away.event_term[0] < 0.8 and away.tau[0] < 0.4


def test_without_recordings_it_is_the_model() -> None:
    here = _places(5, 4)
    field = condition([], here)
    np.testing.assert_array_equal(field.mean, here.mean)
    np.testing.assert_allclose(field.sigma, np.hypot(here.tau, here.phi))


def test_samples_have_the_covariance_and_exceedance_is_their_share() -> None:
    stations, here = _places(8, 5), _places(6, 6)
    field = condition([Recorded(stations, stations.mean - 0.4, 0.2)], here, spatial=Exponential(20.0, 0.2))
    drawn = field.samples(20000, seed=7)
    np.testing.assert_allclose(np.cov(np.log(drawn).T), field.covariance(), atol=0.02)
    level = float(field.median[0] * 1.3)
    assert field.exceedance(level)[0] == pytest.approx((drawn[:, 0] > level).mean(), abs=0.015)
    assert field.quantile(0.84)[2] == pytest.approx(np.quantile(drawn[:, 2], 0.84), rel=0.03)


def test_uncertain_recordings_count_less() -> None:
    stations, here = _places(6, 8), _places(3, 9)
    sure, unsure = (condition([Recorded(stations, stations.mean + 1, s)], here) for s in (0.0, 0.8))
    assert (unsure.sigma > sure.sigma).all()
    assert np.abs(unsure.mean - here.mean).max() < np.abs(sure.mean - here.mean).max()


def test_bad_input_is_refused_with_a_reason() -> None:
    here = _places(3, 10)
    twice = Places("pga", [35.0, 35.0], [139.0, 139.0], [4.0, 4.0], [0.3, 0.3], [0.5, 0.5])
    with pytest.raises(InputError, match="duplicates"):
        condition([Recorded(twice, np.array([4.0, 5.0]))], here)
    with pytest.raises(InputError, match="missing at 1 of 2"):
        Places("pga", [35.0, 36.0], [139.0, np.nan], [4.0, 4.0], 0.3, 0.5)
    with pytest.raises(InputError, match="negative"):
        Places("pga", [35.0], [139.0], [4.0], -0.3, 0.5)
    with pytest.raises(InputError, match="once"):
        condition([Recorded(here, here.mean), Recorded(here, here.mean)], here)
    with pytest.raises(InputError, match="known are"):
        condition([], here, spatial="nearest")
    with pytest.raises(InputError, match="positive"):
        condition([], here).exceedance(0.0)


def test_published_correlations() -> None:
    h = np.array([0.0, 10.0])
    # Jayaram & Baker (2009): range 8.5 km and 40.7 km for PGA, 25.7 km at 1 s.
    assert correlation("jayaram_baker_2009")("pga", "pga", h)[1] == pytest.approx(np.exp(-30 / 8.5))
    assert correlation("jayaram_baker_2009_clustered")("pga", "pga", h)[1] == pytest.approx(
        np.exp(-30 / 40.7)
    )
    assert correlation("jayaram_baker_2009")("sa(1)", "sa(1)", h)[1] == pytest.approx(np.exp(-30 / 25.7))
    # Loth & Baker (2013), table values: B1 + B2 + B3 at no distance, B1 exp(-3h/20) + B2 exp(-3h/70) apart.
    both = LothBaker2013()("sa(0.2)", "sa(2)", h)
    assert both[0] == pytest.approx(0.03 + 0.15 + 0.00, abs=2e-3)
    assert both[1] == pytest.approx(0.03 * np.exp(-1.5) + 0.15 * np.exp(-3 / 7), abs=1e-3)
    assert LothBaker2013()("sa(0.37)", "sa(0.37)", h)[0] == pytest.approx(1.0)
    # Baker & Jayaram (2008), Goda & Atkinson (2009): symmetric, 1 with itself.
    assert (
        baker_jayaram_2008(0.2, 1.0)
        == baker_jayaram_2008(1.0, 0.2)
        == pytest.approx(1 - np.sin(0.366 * np.log(5)))
    )
    assert goda_atkinson_2009(0.2, 1.0) == goda_atkinson_2009(1.0, 0.2)
    assert goda_atkinson_2009(0.0, 0.0) == baker_jayaram_2008(0.3, 0.3) == 1.0


@pytest.mark.parametrize("seed", range(3))
def test_loth_baker_is_a_covariance_for_any_periods(seed: int) -> None:
    rng = np.random.default_rng(seed)
    measures = ["pga", *(f"sa({p:.3f})" for p in np.exp(rng.uniform(np.log(0.02), np.log(9.9), 5)))]
    lat, lon = rng.uniform(35, 35.3, 6), rng.uniform(139, 139.3, 6)
    apart, rho = distances(lat, lon, lat, lon), LothBaker2013()
    matrix = np.block([[rho(a, b, apart) for b in measures] for a in measures])
    assert np.linalg.eigvalsh(matrix).min() > -1e-12
