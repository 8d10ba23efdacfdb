"""kaname etas: a model fitted, stored, simulated from and tested, on a made-up catalogue."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from kaname.cli import main
from kaname.core.errors import InputError
from kaname.core.forecasts import SIMULATIONS
from kaname.core.tables import EVENTS, empty, read_table, write_table
from kaname.discovery.seismicity.background import Uniform
from kaname.discovery.seismicity.contract import Target
from kaname.discovery.seismicity.etas.model import Etas
from kaname.discovery.seismicity.etas.parameters import EtasParameters
from kaname.discovery.seismicity.etas.residuals import transformed_times
from kaname.discovery.seismicity.etas.storage import load
from kaname.discovery.seismicity.region import Region

TRUE = EtasParameters(1.0, 0.006, 1.3, 0.01, 0.1, 200.0, 0.5, 0.8, 0.7)
REGION = Region.from_bounds(140, 141, 36, 37)
WHOLE = Target(REGION, "2018-01-01", "2021-01-01", 3.0)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    made = Etas.with_parameters(TRUE, 3.0, Uniform(REGION), magnitude_max=6.5)
    events = made.simulate(empty(EVENTS), WHOLE, n=1, seed=11)
    events["event_id"] = [f"e{i}" for i in range(len(events))]
    return write_table(events, tmp_path_factory.mktemp("etas") / "events.parquet", EVENTS)


@pytest.fixture(scope="module")
def model(catalogue, tmp_path_factory):
    out = tmp_path_factory.mktemp("model")
    words = [
        "etas",
        "fit",
        catalogue,
        "--bounds",
        "140,36,141,37",
        "--start",
        "2018-07-01",
        "--end",
        "2020-07-01",
    ]
    words += ["--magnitude-min", "3", "--out", out, "--posterior", "50"]
    assert main(list(map(str, words))) == 0
    return out


def test_a_model_is_stored_and_read_back(model, catalogue):
    known = load(model)
    assert known.reference_ == 3.0 and 0.3 < known.parameters_.mu < 3
    events = read_table(catalogue, EVENTS)
    later = Target(REGION, "2020-07-01", "2021-01-01", 3.0)
    again = load(model / "etas.json").score(events, later)
    assert again == known.score(events, later)
    assert (np.diag(known.maximum_.covariance) > 0).sum() >= 8
    draws = pd.read_parquet(model / "posterior.parquet")
    assert draws["weight"].sum() == pytest.approx(1) and (draws["mu"] > 0).all()
    assert json.loads((model / "run.json").read_text())["settings"]["magnitude_min"] == 3.0


def test_a_fit_is_repeated_for_its_errors(catalogue, tmp_path, capsys):
    words = ["etas", "fit", catalogue, "--bounds", "140,36,141,37", "--start", "2018-03-01", "--no-taper"]
    words += ["--end", "2018-10-01", "--magnitude-min", "3", "--out", tmp_path, "--json"]
    assert main(list(map(str, words))) == 0
    plain = json.loads(capsys.readouterr().out)
    assert "known background" in plain["standard_errors"]
    assert main([*map(str, words), "--bootstrap", "10"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["bootstrap"] == {"refits": 10, "failed": 0} and "standard_errors" not in said
    low, high = said["mu"]["interval_95"]
    assert 0 < low < said["mu"]["value"] - said["mu"]["bias"] < high
    assert said["mu"]["value"] == plain["mu"]["value"]
    stored = json.loads((tmp_path / "etas.json").read_text())["bootstrap"]
    assert stored["omega"] == said["omega"] and "tau" not in stored
    known = load(tmp_path)
    assert known.bootstrap_.n == len(pd.read_parquet(tmp_path / "bootstrap.parquet")) == 10
    assert main([*map(str, words), "--bootstrap", "5"]) == 2
    assert "at least 10 refits" in capsys.readouterr().err


def test_a_period_is_scored_and_written_down(model, catalogue, tmp_path, capsys):
    words = ["etas", "test", model, catalogue, "--start", "2020-07-01", "--end", "2021-01-01"]
    words += ["--ledger", tmp_path / "ledger.csv", "--data", "made up", "--json"]
    assert main(list(map(str, words))) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["joint"] == pytest.approx(said["temporal"] + said["spatial"])
    assert 0.5 < said["expected"] / said["n"] < 2
    line = pd.read_csv(tmp_path / "ledger.csv").iloc[0]
    assert line["data"] == "made up" and line["joint"] == pytest.approx(said["joint"], abs=1e-4)


def test_residuals_are_said_and_drawn(model, catalogue, tmp_path, capsys):
    words = ["etas", "test", model, catalogue, "--start", "2020-07-01", "--end", "2021-01-01"]
    assert main(list(map(str, [*words, "--out", tmp_path, "--points", "300", "--json"]))) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["thinned"]["expected"] == 300
    points = pd.read_csv(tmp_path / "thinned.csv")
    assert len(points) == said["thinned"]["points"]
    assert points["earthquake"].sum() == said["thinned"]["earthquakes"] > 0
    cells = pd.read_csv(tmp_path / "voronoi.csv")
    assert cells["earthquakes"].sum() == said["n"]
    assert cells["expected"].sum() == pytest.approx(said["expected"], rel=1e-3)
    assert said["voronoi"]["cells"] == len(cells)
    assert [row["longitude"] for row in said["places"]] == pd.read_csv(
        tmp_path / "places.csv"
    ).longitude.tolist()
    for name in ("transformed_times.png", "thinned.png", "voronoi.png"):
        assert (tmp_path / name).read_bytes()[:4] == b"\x89PNG"
    assert json.loads((tmp_path / "run.json").read_text())["found"]["joint"] == said["joint"]
    assert main(list(map(str, words))) == 0
    printed = capsys.readouterr().out
    assert "p place and time" in printed and "\ntoo few expected: 36." in printed
    assert printed.count(" expected: 36.") == len(said["places"])
    for kind, keys in (("time", ["residual_p_uniform"]), ("none", [])):
        assert main(list(map(str, [*words, "--residuals", kind, "--json"]))) == 0
        found = json.loads(capsys.readouterr().out)
        assert "thinned" not in found and [k for k in found if k == "residual_p_uniform"] == keys
    assert main(list(map(str, [*words, "--residuals", "some"]))) == 2
    assert "all, time or none" in capsys.readouterr().err


def test_without_cells_the_score_is_still_told_and_written_down(
    model, catalogue, tmp_path, capsys, monkeypatch
):
    def refuse(*_):
        raise InputError("too near to others")

    monkeypatch.setattr("kaname.discovery.seismicity.etas.voronoi.voronoi_residuals", refuse)
    words = ["etas", "test", model, catalogue, "--start", "2020-07-01", "--end", "2021-01-01", "--json"]
    words += ["--ledger", tmp_path / "ledger.csv", "--out", tmp_path]
    assert main(list(map(str, words))) == 0
    streams = capsys.readouterr()
    said = json.loads(streams.out)
    assert "thinned" in said and "voronoi" not in said and "too near to others" in streams.err
    assert len(pd.read_csv(tmp_path / "ledger.csv")) == 1
    assert (tmp_path / "thinned.csv").exists() and not (tmp_path / "voronoi.csv").exists()


def test_futures(model, catalogue, tmp_path, capsys):
    words = ["etas", "simulate", model, catalogue, "--start", "2021-01-01", "--end", "2021-01-08"]
    words += ["--n", "200", "--out", tmp_path / "futures.parquet", "--json"]
    assert main(list(map(str, words))) == 0
    said = json.loads(capsys.readouterr().out)
    made = read_table(tmp_path / "futures.parquet", SIMULATIONS)
    assert len(made) / 200 == pytest.approx(said["earthquakes_mean"])


def test_transformed_times_of_the_true_model_are_a_poisson_process(catalogue):
    events = read_table(catalogue, EVENTS)
    made = Etas.with_parameters(TRUE, 3.0, Uniform(REGION))
    late = Target(REGION, "2018-07-01", "2021-01-01", 3.0)
    likelihood = made.likelihood(events, late)
    found = transformed_times(likelihood, TRUE)
    assert found.total == pytest.approx(likelihood.expected(TRUE), rel=1e-5)
    assert abs(found.total - len(found.value)) < 4 * np.sqrt(found.total)
    assert (np.diff(found.value) > 0).all()
    assert found.p_uniform > 1e-3 and found.p_exponential > 1e-3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--bounds", "140,141"], "4 numbers"),
        (["--bounds", "140,36,141,37", "--region", "x.json"], "not both"),
        (["--bounds", "140,36,141,37", "--end", "2017-01-01"], "end after"),
        (["--bounds", "0,0,1,1"], "too few"),
        (["--bounds=-117,-116,33,34"], "Then give --bounds=-117,33,-116,34"),
        ([], "give the region"),
    ],
)
def test_what_is_wrong_is_said(catalogue, tmp_path, capsys, change, said):
    words = ["etas", "fit", str(catalogue), "--start", "2018-07-01", "--end", "2020-07-01"]
    words += ["--magnitude-min", "3", "--out", str(tmp_path), *change]
    assert main(words) == 2
    assert said in capsys.readouterr().err
