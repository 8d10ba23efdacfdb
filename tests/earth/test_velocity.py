"""Velocity models: what they accept, and the three file formats they come in."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from kaname.core.errors import FormatError, InputError, NotFoundError
from kaname.earth.velocity import DEFAULT_MODEL, VelocityModel, named_model, named_models

TWO = {"name": "two", "depth_km": [0, 10], "vp_km_s": [5.0, 6.0], "vs_km_s": [2.9, 3.4]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"depth_km": [0, 0]}, "must increase"),
        ({"depth_km": [10, 0]}, "must increase"),
        ({"depth_km": [0]}, "as many depths"),
        ({"depth_km": []}, "as many depths"),
        ({"vp_km_s": [5.0, np.nan]}, "not finite"),
        ({"vp_km_s": [5000.0, 6000.0]}, "km/s"),
        ({"vs_km_s": [0.0, 3.4]}, "0 < vs < vp"),
        ({"vs_km_s": [5.5, 3.4]}, "0 < vs < vp"),
        ({"interpolation": "cubic"}, "constant or linear"),
        ({"earth": "cube"}, "flat or spherical"),
        ({"interpolation": "linear", "depth_km": [5, 0]}, "must increase"),
    ],
)
def test_impossible_models_are_refused(change: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        VelocityModel(**{**TWO, **change})


def test_a_depth_may_stand_twice_but_not_three_times() -> None:
    VelocityModel("jump", [0, 10, 10], [5, 5, 6], [3, 3, 3.5], interpolation="linear")
    with pytest.raises(InputError, match="more than twice"):
        VelocityModel("jump", [0, 10, 10, 10], [5, 5, 6, 7], [3, 3, 3.5, 4], interpolation="linear")


def test_speed_of_layers_and_of_gradients() -> None:
    layered = VelocityModel(**TWO)
    assert layered.speed([-2, 0, 9.999, 10, 99], phase="P").tolist() == [5, 5, 5, 6, 6]
    gradient = VelocityModel(**TWO, interpolation="linear")
    assert gradient.speed([-2, 0, 5, 10, 99], phase="P") == pytest.approx([5, 5, 5.5, 6, 6])
    with pytest.raises(InputError, match="phase"):
        layered.speed(0, phase="Pn")  # type: ignore[arg-type]


def test_a_model_is_immutable_and_travels_to_other_processes() -> None:
    depth = np.array([0.0, 10.0])
    model = VelocityModel("two", depth, [5.0, 6.0], [2.9, 3.4])
    depth[1] = 99
    assert model.depth_km[1] == 10
    with pytest.raises(ValueError, match="read-only"):
        model.vp_km_s[0] = 1.0
    copy = pickle.loads(pickle.dumps(model))
    assert copy.key == model.key
    assert VelocityModel("other name", [0, 10], [5, 6], [2.9, 3.4]).key == model.key
    assert VelocityModel("two", [0, 10], [5, 6.01], [2.9, 3.4]).key != model.key


def test_named_models_are_those_obspy_carries() -> None:
    from obspy.taup import TauPyModel

    assert DEFAULT_MODEL in named_models()
    depth = np.array([1.0, 19, 21, 34, 36, 77.5, 100, 150, 209, 211, 300, 409, 411, 500, 659, 661, 759])
    for name in ("iasp91", "ak135"):
        layers = TauPyModel(name).model.s_mod.v_mod
        model = named_model(name)
        for phase in ("P", "S"):
            expected = [layers.evaluate_below(z, phase).item() for z in depth]
            assert model.speed(depth, phase=phase) == pytest.approx(expected, abs=2e-3), (name, phase)
    with pytest.raises(NotFoundError, match="iasp91"):
        named_model("iasp92")


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "valley.csv"
    path.write_text("# a comment\ndepth_km, vp_km_s, vs_km_s\n0,5.0,2.9\n10,6.0,3.4\n")
    model = VelocityModel.read(path)
    assert (model.name, model.interpolation) == ("valley", "constant")
    assert model.vs_km_s.tolist() == [2.9, 3.4]
    assert VelocityModel.read(path, interpolation="linear").interpolation == "linear"
    assert VelocityModel.read(path, vp_vs=2.0).vs_km_s.tolist() == [2.5, 3.0]
    path.write_text("depth_km,vp_km_s,vp_vs\n0,5.1,1.7\n10,5.1,1.7\n10,6.8,1.7\n")
    jump = VelocityModel.read(path, name="jump")
    assert (jump.name, jump.interpolation) == ("jump", "linear")
    assert jump.vs_km_s == pytest.approx([3, 3, 4])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("depth_km,vp_km_s\n0,5\n", "no S speeds"),
        ("depth,vp\n0,5\n", "expected depth_km"),
        ("depth_km,vp_km_s,vs_km_s\n0,five,2.9\n", "not a number"),
        ("depth_km,vp_km_s,vs_km_s\n0,5\n", "not a number"),
        ("", "no velocity model"),
        ("nothing of the kind\n", "no velocity model"),
        ("depth_km,vp_km_s,vp_vs\n0,5,0.9\n", "above 1"),
    ],
)
def test_bad_files_say_what_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises((FormatError, InputError), match=words):
        VelocityModel.read(path)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        VelocityModel.read(tmp_path / "none.csv")


SEISAN = """RESET TEST(02)=9.0

  ABCD4315.66S17021.54E  60

  5.500     0.00          !upper
  6.000     5.00
  8.000    48.00     N

10.0 1100.2200. 1.7
XYZ
"""


def test_seisan(tmp_path: Path) -> None:
    path = tmp_path / "STATION0.HYP"
    path.write_text(SEISAN)
    model = VelocityModel.read(path)
    assert model.depth_km.tolist() == [0, 5, 48]
    assert model.vs_km_s == pytest.approx(np.array([5.5, 6.0, 8.0]) / 1.7)
    path.write_text(SEISAN.replace(" 1.7", "    "))
    with pytest.raises(FormatError, match="Vp/Vs"):
        VelocityModel.read(path)


def test_nonlinloc_layers(tmp_path: Path) -> None:
    path = tmp_path / "nll.in"
    path.write_text(
        "CONTROL 1 54321\nLAYER 0 4.0 0 2.38 0 2.7 0\n#LAYER 1 9 9 9 9\nLAYER 2 6.0 0 3.57 0 2.7 0\n"
    )
    model = VelocityModel.read(path)
    assert (model.depth_km.tolist(), model.vp_km_s.tolist()) == ([0, 2], [4, 6])
    path.write_text("LAYER 0 4.0 0.5 2.0 0.25 2.7 0\nLAYER 2 6.0 0 3.57 0 2.7 0\n")
    slope = VelocityModel.read(path)
    assert slope.interpolation == "linear"
    assert slope.speed([0, 1, 1.999999, 2, 9], phase="P") == pytest.approx([4, 4.5, 5, 6, 6], abs=1e-5)
    path.write_text("LAYER 0 4.0 0.5 2.0 0.25 2.7 0\n")
    with pytest.raises(FormatError, match="gradient"):
        VelocityModel.read(path)


def test_real_files(shared_data: Path) -> None:
    alpine = VelocityModel.read(shared_data / "network" / "nz_samba_2013" / "STATION0.HYP")
    assert alpine.depth_km.tolist() == [0, 5, 35, 48]
    assert alpine.vp_km_s.tolist() == [5.5, 6.0, 6.8, 8.0]
    assert alpine.vp_km_s / alpine.vs_km_s == pytest.approx(1.7)
    folder = shared_data / "network" / "nonlinloc_samples" / "www_beta" / "nlloc_sample" / "run"
    assert VelocityModel.read(folder / "nlloc_sample.in").depth_km.tolist() == [0, 2, 10, 18, 25]
