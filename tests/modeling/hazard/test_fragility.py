"""Fragility curves on synthetic surveys whose truth is known, and on bad ones."""

from __future__ import annotations

import subprocess
from pathlib import Path
from xml.etree import ElementTree as xml

import numpy as np
import pytest
from scipy.stats import norm

from kaname.core.errors import InputError
from kaname.core.shaking import GRAVITY_CM_S2
from kaname.modeling.field.conditioning import ConditionedField, Places, condition
from kaname.modeling.hazard.fragility import LognormalFragility, class_frequencies
from kaname.modeling.hazard.nrml import write_fragility

NRML = "{http://openquake.org/xmlns/nrml/0.5}"
THETA = {"stone": np.log([150.0, 300.0, 600.0]), "concrete": np.log([400.0, 900.0, 1800.0])}
BETA = {"stone": 0.6, "concrete": 0.5}


def field(n: int = 25, spread: float = 0.25) -> ConditionedField:
    """A row of towns, 5 km apart, from weak to strong shaking, each uncertain."""
    place = np.arange(n) * 0.05
    mean = np.linspace(np.log(80.0), np.log(900.0), n)
    return condition(
        [], Places("pga", 42.0 + place, np.full(n, 13.4), mean, np.full(n, 0.0), np.full(n, spread))
    )


def survey(shaking: np.ndarray, n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Classes, damage states and places of n buildings, drawn from the true curves."""
    rng = np.random.default_rng(seed)
    place = rng.integers(len(shaking), size=n)
    name = rng.choice(list(THETA), size=n)
    state = np.zeros(n, int)
    for c, theta in THETA.items():
        rows = name == c
        z = (shaking[place[rows], None] - theta) / BETA[c]
        state[rows] = (rng.uniform(size=rows.sum())[:, None] < norm.cdf(z)).sum(1)
    return name, state, place


@pytest.fixture(scope="module")
def fitted() -> tuple[LognormalFragility, np.ndarray]:
    about = field()
    truth = np.log(about.samples(1, seed=8)[0])
    name, state, place = survey(truth, 4000, seed=9)
    return LognormalFragility(n_sample=150, n_warmup=60, seed=1).fit(name, state, place, about), truth


def test_recovers_the_curves_and_the_shaking(fitted: tuple[LognormalFragility, np.ndarray]) -> None:
    model, truth = fitted
    assert model.rhat_ < 1.1 and 0.5 < model.acceptance_ < 0.99
    curves = model.curves().set_index(["building_class", "damage_state"])
    inside = 0
    for name, theta in THETA.items():
        for k, value in enumerate(np.exp(theta), start=1):
            row = curves.loc[name, k]
            assert row["median"] == pytest.approx(value, rel=0.25)
            inside += row["median_05"] <= value <= row["median_95"]
        row = curves.loc[name, 1]
        assert row["beta_05"] * 0.9 <= BETA[name] <= row["beta_95"] * 1.1
    assert inside >= 4
    # Four thousand buildings tell more of the shaking than the field did: its 0.25 shrink, the truth is near.
    off = model.log_shaking_.mean(0) - truth
    assert np.sqrt(np.mean(off**2)) < 0.2
    assert model.log_shaking_.std(0).mean() < 0.2


def test_predicts_frequencies_where_buildings_stand(fitted: tuple[LognormalFragility, np.ndarray]) -> None:
    model, truth = fitted
    name, state, place = survey(truth, 20000, seed=10)
    p = model.predict(name, place)
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-6)
    for k in range(4):
        assert p[:, k].mean() == pytest.approx((state == k).mean(), abs=0.02)
    base = class_frequencies(name, state, name)
    rows = np.arange(len(state))
    assert np.log(p[rows, state]).mean() > np.log(base[rows, state]).mean() + 0.1


def test_curves_rise_and_never_cross(fitted: tuple[LognormalFragility, np.ndarray]) -> None:
    level = np.geomspace(10, 3000, 40)
    draws = [fitted[0].exceedance("stone", k, level) for k in (1, 2, 3)]
    assert draws[0].shape == (300, 40)
    assert (np.diff(draws[0], axis=1) >= 0).all()
    assert (draws[0] >= draws[1]).all() and (draws[1] >= draws[2]).all()


def test_uncertain_shaking_widens_intervals() -> None:
    about = field(spread=0.5)
    truth = np.log(about.samples(1, seed=3)[0])
    name, state, place = survey(truth, 2000, seed=4)
    widths = {}
    for shaking in ("uncertain", "median"):
        model = LognormalFragility(shaking=shaking, n_sample=80, n_warmup=50, seed=1).fit(
            name, state, place, about
        )
        curves = model.curves()
        widths[shaking] = np.log(curves["median_95"] / curves["median_05"]).mean()
        beta = curves["beta"].mean()
        # Taken for the truth, wrong shaking passes for buildings that differ.
        assert beta > 0.62 if shaking == "median" else beta < 0.66
    assert widths["uncertain"] > 1.5 * widths["median"]


def test_the_same_seed_gives_the_same_curves() -> None:
    about = field(6)
    name, state, place = survey(about.mean, 400, seed=5)
    a, b = (LognormalFragility(n_sample=20, seed=3).fit(name, state, place, about).curves() for _ in range(2))
    assert a.equals(b)


def test_frequencies_count_every_state_once_more() -> None:
    p = class_frequencies(["a", "a", "b"], [0, 2, 1], ["a", "b", "c"])
    np.testing.assert_allclose(p, [[0.4, 0.2, 0.4], [0.25, 0.5, 0.25], [1 / 3] * 3])


def test_bad_input() -> None:
    about = field(3)
    fit = LognormalFragility(n_sample=1).fit
    with pytest.raises(InputError, match="as many classes"):
        fit(["a"], [0, 1], [0, 1], about)
    with pytest.raises(InputError, match="as many classes"):
        fit([], [], [], about)
    with pytest.raises(InputError, match="integers from 0"):
        fit(["a", "a"], [0.0, np.nan], [0, 1], about)
    with pytest.raises(InputError, match="must occur"):
        fit(["a", "a"], [0, 2], [0, 1], about)
    with pytest.raises(InputError, match="places 0 to 2"):
        fit(["a", "a"], [0, 1], [0, 3], about)
    with pytest.raises(InputError, match="shaking"):
        LognormalFragility(shaking="perhaps")
    name, state, place = survey(about.mean, 200, seed=6)
    model = LognormalFragility(n_sample=5, n_warmup=5).fit(name, state, place, about)
    with pytest.raises(InputError, match="'brick' was not in the survey"):
        model.predict(["brick"], [0])
    with pytest.raises(InputError, match="no curve"):
        model.exceedance("stone", 9, 100.0)


def test_openquake_gets_the_mean_curves(
    fitted: tuple[LognormalFragility, np.ndarray], tmp_path: Path
) -> None:
    model, _ = fitted
    level = np.geomspace(20.0, 3000.0, 15)
    root = xml.parse(write_fragility(tmp_path / "fragility.xml", model, level)).getroot()
    functions = {node.get("id"): node for node in root.iter(f"{NRML}fragilityFunction")}
    assert set(functions) == set(THETA)
    for name, node in functions.items():
        imls, *states = node
        assert imls.get("imt") == "PGA" and [s.get("ls") for s in states] == ["state_1", "state_2", "state_3"]
        np.testing.assert_allclose(np.array((imls.text or "").split(), float) * GRAVITY_CM_S2, level)
        for k, state in enumerate(states, 1):
            found = np.array((state.text or "").split(), float)
            np.testing.assert_allclose(found, model.exceedance(name, k, level).mean(0))
            assert (np.diff(found) >= 0).all()
    for wrong in ([100.0], [200.0, 100.0], [0.0, 100.0]):
        with pytest.raises(InputError, match="positive and increase"):
            write_fragility(tmp_path / "no.xml", model, wrong)


@pytest.mark.extra
def test_openquake_reads_what_was_written(
    openquake: str, fitted: tuple[LognormalFragility, np.ndarray], tmp_path: Path
) -> None:
    model, _ = fitted
    path = write_fragility(tmp_path / "fragility.xml", model, np.geomspace(20.0, 3000.0, 15))
    code = (
        "import sys; from openquake.risklib import read_nrml; from openquake.hazardlib import nrml; "
        "m = nrml.to_python(sys.argv[1]); print(m.limitStates, sorted(k[1] for k in m), "
        "[f.array.shape for f in m.values()])"
    )
    said = subprocess.run([openquake, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert "state_3" in said.stdout and "['concrete', 'stone']" in said.stdout
    assert said.stdout.count("(3, 15)") == 2
