"""Coulomb stress on planes against closed forms and a search; sources; the test of aftershock patterns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kaname.core.errors import InputError
from kaname.discovery.stress import aftershocks, coulomb, field, sources
from kaname.formats.srcmod import FiniteSource, read_srcmod

STRIKE_SLIP = sources.from_double_couple(
    36.0, 138.0, 8.0, strike_deg=0, dip_deg=90, rake_deg=180, magnitude=6.5
)


def test_uniaxial_compression_on_a_plane() -> None:
    # 10 MPa of compression from the north on a vertical plane that strikes N45E: Mohr's circle.
    change = coulomb.on_planes([[0, 0, 0, -10, 0, 0]], 45, 90, 0, friction=0.4)
    assert change.normal == pytest.approx([-5])
    assert abs(change.shear[0]) == pytest.approx(5)
    # Pushed from the north, the southeast side of a fault to the northeast moves southwest: left-lateral.
    assert change.shear[0] == pytest.approx(5)
    assert change.coulomb[0] == pytest.approx(5 - 0.4 * 5)


def test_hooke_for_simple_shear_and_dilatation() -> None:
    stress = coulomb.stress_of([[1e-6, 2e-6, 0, 1e-6, 0, 1e-6]], poisson_ratio=0.25, shear_modulus_gpa=30)
    # lambda = mu: 2 mu e + lambda tr.
    assert stress[0] == pytest.approx([0.06 + 0.09, 0.12, 0, 0.15, 0, 0.15])


@pytest.mark.parametrize("regime", ["strike-slip", "normal", "thrust"])
def test_optimal_planes_are_those_a_search_finds(regime: coulomb.Regime) -> None:
    regional = coulomb.regional_stress(regime, 30, differential_mpa=10, shape=0.4)
    found = coulomb.optimal_planes(np.zeros((1, 6)), regional, friction=0.6)
    strike, dip, rake = np.meshgrid(np.arange(0, 360, 3), np.arange(3, 91, 3), np.arange(-180, 180, 5))
    whole = coulomb.on_planes(
        np.broadcast_to(regional, (strike.size, 6)), strike.ravel(), dip.ravel(), rake.ravel(), friction=0.6
    )
    own = coulomb.on_planes(
        regional[None], found.strike_deg, found.dip_deg, found.rake_deg, friction=0.6
    ).coulomb[0]
    assert own == pytest.approx(whole.coulomb.max(), rel=5e-3)
    assert own >= whole.coulomb.max()
    assert sources.style(float(found.rake_deg[0])) == regime


def test_where_a_strike_slip_fault_loads_others() -> None:
    # Beyond the ends of a fault its own kind of fault is loaded, beside its middle unloaded.
    ends = field.coulomb_at(STRIKE_SLIP, [36.3, 35.7], [138.0, 138.0], 8.0, field.Planes(0, 90, 180))
    beside = field.coulomb_at(STRIKE_SLIP, [36.0, 36.0], [138.06, 137.94], 8.0, field.Planes(0, 90, 180))
    assert (ends["coulomb_mpa"] > 0.01).all()
    assert (beside["coulomb_mpa"] < -0.1).all()


def test_stress_drop_on_the_fault_has_the_size_of_slip_over_length() -> None:
    # Of order rigidity times slip over width, as for every crack.
    at = field.coulomb_at(STRIKE_SLIP, 36.0, 138.001, 8.0, field.Planes(0, 90, 180))
    drop = -at["shear_mpa"].iloc[0]
    scale = 1e3 * 32 * STRIKE_SLIP.slip_m[0] / (1e3 * STRIKE_SLIP.width_km[0])
    assert 0.3 * scale < drop < 1.5 * scale


def test_scaling_keeps_the_moment_and_stays_below_ground() -> None:
    for depth, rake in ((1.0, 90), (30.0, -90), (8.0, 0)):
        source = sources.from_double_couple(
            36, 138, depth, strike_deg=20, dip_deg=45, rake_deg=rake, magnitude=6.8
        )
        assert source.magnitude == pytest.approx(6.8)
        assert source.dislocations.vertices[..., 2].max() <= 0
    # Wells and Coppersmith, strike slip, M 6.5: 10 ** (-2.57 + .62 * 6.5) km long.
    assert STRIKE_SLIP.length_km[0] == pytest.approx(28.8, rel=0.01)


def test_nodal_planes_are_those_of_obspy() -> None:
    from obspy.imaging.beachball import MomentTensor, aux_plane, mt2plane

    rng = np.random.default_rng(1)
    for _ in range(30):
        tensor = rng.normal(size=6)
        planes = sources.nodal_planes(tensor)
        one = mt2plane(MomentTensor(tensor, 0))
        two = aux_plane(one.strike, one.dip, one.rake)
        for expected in ((one.strike, one.dip, one.rake), two):
            apart = [np.abs((np.subtract(p, expected) + 180) % 360 - 180).max() for p in planes]
            assert min(apart) < 1e-3


def test_a_model_of_srcmod_has_its_moment(shared_data: Path) -> None:
    folder = shared_data / "fault" / "srcmod_fsp"
    for file in sorted(folder.rglob("*.fsp")):
        model = read_srcmod(file)
        source = sources.from_finite_source(model)
        assert source.magnitude == pytest.approx(model.magnitude, abs=0.15)
        table = field.coulomb_on_model(source, model)
        # Where it slipped most, a rupture relieves its own fault.
        most = model.subfaults["slip_m"].nlargest(5).index
        assert (table["shear_mpa"].iloc[most] < 0).all()


def test_bad_sources_and_receivers_are_refused() -> None:
    with pytest.raises(InputError, match="dip above 0"):
        sources.from_double_couple(36, 138, 8, strike_deg=0, dip_deg=0, rake_deg=0, magnitude=6)
    with pytest.raises(InputError, match="no subfault"):
        sources.from_finite_source(FiniteSource(tag="empty"))
    with pytest.raises(InputError, match="isotropic"):
        sources.nodal_planes([1, 1, 1, 0, 0, 0])
    with pytest.raises(InputError, match="regime"):
        coulomb.regional_stress("sideways", 0)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="begins at 0"):
        field.stress_at(STRIKE_SLIP, 36, 138, -1)


def catalogue(table: pd.DataFrame, weight: np.ndarray, n: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(table), n, p=weight / weight.sum())
    return table.iloc[chosen][["latitude", "longitude", "depth_km"]]


def test_the_pattern_test_tells_stress_from_distance() -> None:
    receivers = field.Planes(0, 90, 180)
    empty = pd.DataFrame(columns=["latitude", "longitude", "depth_km"], dtype=float)
    table = aftershocks.cells(STRIKE_SLIP, empty, receivers)
    by_stress = catalogue(table, np.nan_to_num(np.maximum(table["coulomb"].to_numpy(), 0)), 400)
    by_distance = catalogue(table, 1 / (table["distance_km"].to_numpy() + 3) ** 3, 400)
    scores = {}
    for name, events in (("stress", by_stress), ("distance", by_distance)):
        cells = aftershocks.cells(STRIKE_SLIP, events, receivers)
        assert cells["n_aftershock"].sum() == 400
        scores[name] = aftershocks.pattern_test(cells, n_draw=200).set_index("predictor")
    assert scores["stress"].loc["coulomb", "gain_low"] > 0
    assert scores["distance"].loc["coulomb", "gain_high"] < 0
    assert list(scores["stress"].index[:2]) == list(aftershocks.BASELINES)
    assert (scores["distance"]["low"] <= scores["distance"]["high"]).all()


def test_area_under_the_curve_and_few_aftershocks() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    truth, score = rng.random(300) < 0.2, rng.integers(0, 20, 300)
    assert aftershocks.auc(truth, score) == pytest.approx(roc_auc_score(truth, score))
    empty = pd.DataFrame({"latitude": [36.0], "longitude": [138.0], "depth_km": [5.0]})
    with pytest.raises(InputError, match="1 cells in 1 blocks"):
        aftershocks.pattern_test(aftershocks.cells(STRIKE_SLIP, empty, field.Planes(0, 90, 180)))
