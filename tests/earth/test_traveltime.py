"""Travel times against formulas, ObsPy's TauP, and what must hold of any first arrival."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaname.core.errors import InputError
from kaname.earth.traveltime import TravelTimeTable, tables, travel_time
from kaname.earth.velocity import VelocityModel, named_model

HALF = VelocityModel("half", [0.0], [6.0], [3.5])
CRUST = VelocityModel("crust", [0.0, 30.0], [6.0, 8.0], [3.5, 4.6])
MANY = named_model("scak")


def test_half_space_is_the_straight_line() -> None:
    rng = np.random.default_rng(0)
    x, z, s = rng.uniform(0, 200, 50), rng.uniform(-2, 50, 50), rng.uniform(-3, 2, 50)
    for phase, speed in (("P", 6.0), ("S", 3.5)):
        time, takeoff = travel_time(HALF, x, z, phase=phase, sensor_depth_km=s)
        assert time == pytest.approx(np.hypot(x, z - s) / speed, abs=1e-9)
        assert takeoff == pytest.approx(np.degrees(np.arctan2(x, z - s)) * -1 + 180, abs=1e-6)


def test_direct_and_head_wave_of_two_layers() -> None:
    # Source at depth h in a 30 km crust: T = x / 8 + (60 - h) cos(i) / 6, i = asin(6 / 8).
    h, x = 10.0, np.array([20.0, 100.0, 150.0, 300.0])
    head = x / 8 + (60 - h) * np.sqrt(1 - (6 / 8) ** 2) / 6
    critical = (60 - h) * np.tan(np.arcsin(6 / 8))
    expected = np.where(x > critical, np.minimum(np.hypot(x, h) / 6, head), np.hypot(x, h) / 6)
    time, takeoff = travel_time(CRUST, x, h, phase="P")
    assert time == pytest.approx(expected, abs=1e-9)
    assert takeoff[0] > 90
    assert takeoff[-1] == pytest.approx(np.degrees(np.arcsin(6 / 8)))


def test_refracted_ray_obeys_snell() -> None:
    source, sensor = 40.0, -1.5
    time, takeoff = travel_time(CRUST, 35.0, source, phase="S", sensor_depth_km=sensor)
    lower = np.radians(180 - takeoff)
    upper = np.arcsin(np.sin(lower) * 3.5 / 4.6)
    assert 10 * np.tan(lower) + 31.5 * np.tan(upper) == pytest.approx(35.0, abs=1e-6)
    assert time == pytest.approx(10 / np.cos(lower) / 4.6 + 31.5 / np.cos(upper) / 3.5)


def test_a_fast_lid_carries_the_first_arrival_of_deep_sensors() -> None:
    lid = VelocityModel("lid", [0.0, 2.0], [7.0, 4.0], [4.0, 2.3])
    x, h = 60.0, 1.0  # both 1 km below the lid
    expected = x / 7 + 2 * h * np.sqrt(1 - (4 / 7) ** 2) / 4
    assert travel_time(lid, x, 3.0, phase="P", sensor_depth_km=3.0)[0] == pytest.approx(expected)


def test_linear_gradient_against_its_formula() -> None:
    # v = a + b z: T = arccosh(1 + b^2 (x^2 + dz^2) / (2 v1 v2)) / b.
    a, b = 4.0, 0.08
    model = VelocityModel("slope", [0, 60], [a, a + 60 * b], [2.0, 4.0], interpolation="linear")
    rng = np.random.default_rng(1)
    x, z, s = rng.uniform(1, 150, 300), rng.uniform(0, 40, 300), rng.uniform(0, 3, 300)
    exact = np.arccosh(1 + b**2 * (x**2 + (z - s) ** 2) / (2 * (a + b * z) * (a + b * s))) / b
    error = travel_time(model, x, z, phase="P", sensor_depth_km=s)[0] - exact
    assert np.abs(error).max() < 2e-3
    assert np.median(np.abs(error)) < 5e-4


def test_iasp91_against_taup() -> None:
    from obspy.taup import TauPyModel

    taup, model = TauPyModel("iasp91"), named_model("iasp91")
    for depth in (10.0, 33.0, 120.0, 400.0):
        degree = np.array([0.1, 0.5, 1, 2, 4, 8, 12])
        for phase, names in (("P", ["p", "P", "Pn"]), ("S", ["s", "S", "Sn"])):
            expected = [taup.get_travel_times(depth, d, phase_list=names)[0].time for d in degree]
            time, _ = travel_time(model, np.radians(degree) * 6371, depth, phase=phase)
            assert time == pytest.approx(expected, abs=5e-3)


depths = st.floats(-2, 80)


@settings(max_examples=150, deadline=None)
@given(st.floats(0, 300), depths, depths, st.sampled_from(["iasp91", "scak"]))
def test_reciprocity_and_bounds(x: float, z: float, s: float, name: str) -> None:
    model = MANY if name == "scak" else named_model("iasp91")
    time, _ = travel_time(model, x, z, phase="P", sensor_depth_km=s)
    back, _ = travel_time(model, x, s, phase="P", sensor_depth_km=z)
    assert time == pytest.approx(back, abs=2e-3)
    # The flattened sphere stretches depths by up to 0.6 % here.
    assert np.hypot(x, z - s) / 8.5 * 0.99 <= time + 1e-9
    assert time <= np.hypot(x, z - s) / 5.3 + 1e-9


def test_p_and_s_scale_with_vp_vs() -> None:
    model = VelocityModel("ratio", MANY.depth_km, MANY.vp_km_s, MANY.vp_km_s / 1.73)
    x = np.linspace(0, 300, 61)
    p, s = (travel_time(model, x, 12.0, phase=phase)[0] for phase in ("P", "S"))
    assert s == pytest.approx(1.73 * p)


def test_no_time_for_impossible_points() -> None:
    with pytest.raises(InputError, match="0 or more"):
        travel_time(HALF, -1.0, 5.0, phase="P")
    with pytest.raises(InputError, match="finite"):
        travel_time(HALF, np.nan, 5.0, phase="P")


@pytest.mark.parametrize("name", ["scak", "iasp91"])
@pytest.mark.parametrize("phase", ["P", "S"])
def test_table_interpolates_the_solver(name: str, phase: str) -> None:
    model = named_model(name)
    table = TravelTimeTable.build(model, phase=phase, sensor_depth_km=-0.83, min_depth_km=-2)
    rng = np.random.default_rng(2)
    x, z = rng.uniform(0, 300, 1500), rng.uniform(-2, 100, 1500)
    time, takeoff = travel_time(model, x, z, phase=phase, sensor_depth_km=-0.83)
    error = np.abs(table.time(x, z) - time)
    assert np.median(error) < 1e-3
    assert np.quantile(error, 0.99) < 0.015
    assert error.max() < 0.06
    assert np.quantile(np.abs(table.takeoff(x, z) - takeoff), 0.9) < 2.0


def test_table_next_to_the_sensor_is_exact() -> None:
    table = TravelTimeTable.build(MANY, phase="P", sensor_depth_km=-1.0, min_depth_km=-2)
    x, z = np.array([0.0, 0.3, 1.0]), np.array([-1.0, -0.7, 0.0])
    assert table.time(x, z) == pytest.approx(np.hypot(x, z + 1) / 5.3, abs=2e-3)


def test_table_refuses_points_outside() -> None:
    table = TravelTimeTable.build(HALF, phase="P", max_distance_km=50, max_depth_km=20)
    for point in ((50.1, 5), (-0.1, 5), (10, 20.1), (10, -5.1), (np.nan, 5)):
        with pytest.raises(InputError, match="outside the table"):
            table.time(*point)
    with pytest.raises(InputError, match="no such travel-time table"):
        TravelTimeTable.build(HALF, phase="P", max_depth_km=-10)


def test_cache_is_used_rebuilt_when_damaged_and_done_without(tmp_path: Path) -> None:
    keys = {"phase": "P", "max_distance_km": 60.0, "max_depth_km": 20.0}
    fresh = TravelTimeTable.build(CRUST, **keys, cache=tmp_path)
    (stored,) = tmp_path.iterdir()
    stamp = stored.stat().st_mtime_ns
    again = TravelTimeTable.build(CRUST, **keys, cache=tmp_path)
    assert stored.stat().st_mtime_ns == stamp
    assert np.array_equal(fresh.slowness, again.slowness)
    whole = stored.read_bytes()
    for damage in (b"", whole[: len(whole) // 2], whole[:5000] + b"\xff" * 64 + whole[5064:], b"nonsense"):
        stored.write_bytes(damage)
        repaired = TravelTimeTable.build(CRUST, **keys, cache=tmp_path)
        assert np.array_equal(fresh.slowness, repaired.slowness)
        assert stored.read_bytes() == whole
    # Another model, sensor or extent never finds the same file.
    TravelTimeTable.build(HALF, **keys, cache=tmp_path)
    TravelTimeTable.build(CRUST, **keys, sensor_depth_km=-0.5, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
    # A file stands where the folder should be: nothing can be written there, the times come all the same.
    blocked = tmp_path / "blocked"
    blocked.write_text("")
    assert np.array_equal(TravelTimeTable.build(CRUST, **keys, cache=blocked).slowness, fresh.slowness)
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")  # noqa: PTH110
def test_a_full_disk_does_not_stop_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open
    monkeypatch.setattr(
        Path,
        "open",
        lambda self, *a, **k: opened(Path("/dev/full") if "part" in self.name else self, *a, **k),
    )
    table = TravelTimeTable.build(HALF, phase="P", max_distance_km=50, max_depth_km=20, cache=tmp_path)
    assert table.time(30.0, 0.0) == pytest.approx(5.0)


def test_tables_of_a_network() -> None:
    found = tables(
        HALF, [("S", -1.0), ("P", -1.0), ("P", -1.0)], max_distance_km=50, min_depth_km=-2, max_depth_km=20
    )
    assert list(found) == [("P", -1.0), ("S", -1.0)]
    assert found["S", -1.0].time(30.0, -1.0) == pytest.approx(30 / 3.5)
