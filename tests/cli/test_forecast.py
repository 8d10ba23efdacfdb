"""kaname forecast: one command from a catalogue to a report, whatever the catalogue is like."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from kaname.cli import main
from kaname.core.forecasts import FORECASTS
from kaname.core.tables import EVENTS, read_table, validate
from kaname.discovery.seismicity.background import Uniform
from kaname.discovery.seismicity.contract import Target
from kaname.discovery.seismicity.etas.model import Etas
from kaname.discovery.seismicity.etas.parameters import EtasParameters
from kaname.discovery.seismicity.region import Region
from kaname.formats.csep import read_simulations

REGION = Region.from_bounds(13, 14, 42, 43)
START = np.datetime64("2019-01-01", "ns")


@pytest.fixture(scope="module")
def catalogue():
    """Two hundred days of simulated earthquakes of magnitude 3 and more, in bins of 0.1."""
    truth = EtasParameters.from_ogata_zhuang(
        mu=0.6, A=0.25, c=0.01, alpha=1.5, p=1.2, D=2.0, q=1.8, gamma=0.9
    )
    model = Etas.with_parameters(truth, 3.0, Uniform(REGION), b=1.0, magnitude_max=7)
    target = Target(REGION, START, START + np.timedelta64(200, "D"), 3.0)
    nothing = pd.DataFrame({n: pd.Series(dtype="float") for n in ("longitude", "latitude", "magnitude")})
    nothing["time"] = pd.Series(dtype="datetime64[ns]")
    made = model.simulate(nothing, target, n=1, seed=3)
    table = made[["time", "longitude", "latitude", "magnitude"]].assign(
        event_id=[f"e{k}" for k in range(len(made))], magnitude=np.floor(made["magnitude"] * 10) / 10
    )
    return validate(table, EVENTS)


def run(capsys, tmp_path, table, *options):
    file = tmp_path / "catalogue.csv"
    table.to_csv(file, index=False)
    words = ["forecast", str(file), "--out", str(tmp_path / "out"), "--n", "400", "--members", "10", "--json"]
    code = main([*words, *options])
    said = capsys.readouterr()
    return code, json.loads(said.out) if code == 0 else None, said.err


def test_one_command_gives_everything(capsys, tmp_path, catalogue):
    code, summary, _ = run(capsys, tmp_path, catalogue, "--bounds", "13,42,14,43", "--magnitude-min", "3")
    assert code == 0
    out = tmp_path / "out"
    assert {p.name for p in out.iterdir()} == set(summary["files"])
    assert not summary["generic"]
    table = pd.DataFrame(summary["probabilities"])
    assert (table["probability_low"] <= table["probability"]).all()
    assert (table["probability"] <= table["probability_high"]).all()
    assert (np.diff(table["probability"]) <= 0).all()
    # 0.6 a day and their aftershocks in seven days.
    assert 3 < table["expected"][0] < 12
    grid = read_table(out / "forecast.parquet", FORECASTS)
    total = grid[grid["magnitude_min"] == 3]["expected"].sum()
    assert total == pytest.approx(table["expected"][0], rel=1e-9)
    simulated, n = read_simulations(next(out.glob("kaname_*.csv")))
    assert n == 400
    assert len(simulated) / n == pytest.approx(total)
    features = json.loads((out / "forecast.geojson").read_text())["features"]
    assert features[0]["geometry"]["type"] == "Polygon"
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "not a prediction" in page
    assert "予知ではありません" in page
    assert "follow the authorities" in (out / "advisory.en.txt").read_text(encoding="utf-8")
    run_record = json.loads((out / "run.json").read_text())
    assert len(run_record["parameters"]) == 10
    assert run_record["settings"]["seed"] == 0


def test_the_same_seed_gives_the_same(capsys, tmp_path, catalogue):
    options = ("--bounds", "13,42,14,43", "--magnitude-min", "3", "--seed", "5")
    _, first, _ = run(capsys, tmp_path, catalogue, *options)
    _, second, _ = run(capsys, tmp_path, catalogue, *options)
    assert first == second


@pytest.mark.parametrize("n", [1, 2, 20])
def test_few_earthquakes_get_a_wider_answer(capsys, tmp_path, catalogue, n):
    code, summary, _ = run(capsys, tmp_path, catalogue[:n], "--bounds", "13,42,14,43", "--magnitude-min", "3")
    assert code == 0
    assert summary["generic"]
    assert any("another region" in note for note in summary["notes"])
    first = summary["probabilities"][1]
    assert first["probability_high"] > 1.5 * first["probability_low"]
    assert "rough guide" in (tmp_path / "out" / "advisory.en.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("model", ["poisson", "smoothed", "hybrid", "neural"])
def test_other_models_forecast_too(capsys, tmp_path, catalogue, model):
    options = ("--bounds", "13,42,14,43", "--magnitude-min", "3", "--model", model, "--members", "4")
    code, summary, _ = run(capsys, tmp_path, catalogue, *options)
    assert code == 0
    assert summary["model"] == model and summary["branching_ratio"] is None
    assert {p.name for p in (tmp_path / "out").iterdir()} == set(summary["files"])
    table = pd.DataFrame(summary["probabilities"])
    # About one a day before; a network that learned from 200 earthquakes is not held to that.
    assert 1 < table["expected"][0] < 14
    assert (table["probability_low"] < table["probability_high"]).all()
    rate = len(catalogue) / 200 * 7
    if model in ("poisson", "smoothed"):
        assert table["expected"][0] == pytest.approx(rate, rel=0.15)
        assert any("knows no aftershocks" in note for note in summary["notes"])
        drawn = [row["rate"] for row in json.loads((tmp_path / "out" / "run.json").read_text())["parameters"]]
        assert np.mean(drawn) == pytest.approx(rate / 7, rel=0.15) and np.ptp(drawn) > 0
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert {"poisson": "constant rate", "smoothed": "Smoothed", "hybrid": "Hybrid", "neural": "Neural"}[
        model
    ] in page


def test_a_constant_rate_of_few_earthquakes_is_uncertain_and_a_network_refuses(capsys, tmp_path, catalogue):
    options = ("--bounds", "13,42,14,43", "--magnitude-min", "3", "--model")
    code, summary, _ = run(capsys, tmp_path, catalogue[:5], *options, "poisson")
    assert code == 0
    first = summary["probabilities"][1]
    assert first["probability_high"] > 1.5 * first["probability_low"]
    for model in ("hybrid", "neural"):
        code, _, said = run(capsys, tmp_path, catalogue[:5], *options, model)
        assert code == 2 and "too few" in said


def test_a_model_fitted_before_is_taken(capsys, tmp_path, catalogue):
    file = tmp_path / "catalogue.csv"
    catalogue.to_csv(file, index=False)
    words = ["etas", "fit", file, "--bounds", "13,42,14,43", "--start", "2019-01-01", "--end", "2019-07-01"]
    assert main([*map(str, words), "--magnitude-min", "3", "--out", str(tmp_path / "model")]) == 0
    capsys.readouterr()
    code, summary, _ = run(capsys, tmp_path, catalogue, "--fitted", str(tmp_path / "model"))
    assert code == 0
    assert summary["completeness_magnitude"] == 3 and summary["branching_ratio"] > 0
    words = ["etas", "forecast", tmp_path / "model", file, "--out", tmp_path / "same", "--n", "400", "--json"]
    assert main(list(map(str, words))) == 0
    same = json.loads(capsys.readouterr().out)
    assert {k: same[k] for k in ("start", "end", "targets")} == {
        k: summary[k] for k in ("start", "end", "targets")
    }
    assert (tmp_path / "same/report.html").is_file()


def test_an_empty_catalogue_is_said(capsys, tmp_path, catalogue):
    code, _, said = run(capsys, tmp_path, catalogue[:0])
    assert code == 1
    assert "no events" in said
    code, _, said = run(capsys, tmp_path, catalogue.assign(magnitude=np.nan))
    assert code == 2
    assert "none of the" in said


def test_earthquakes_that_stand_twice_are_counted_once(capsys, tmp_path, catalogue):
    again = catalogue.assign(
        event_id="again-" + catalogue["event_id"],
        time=catalogue["time"] + pd.Timedelta(0.4, "s"),
        latitude=catalogue["latitude"] + 0.01,
    )
    both = pd.concat([catalogue, again], ignore_index=True)
    options = ("--bounds", "13,42,14,43", "--magnitude-min", "3", "--start", "2019-07-21")
    _, once, _ = run(capsys, tmp_path, catalogue, *options)
    _, twice, _ = run(capsys, tmp_path, both, *options)
    assert any("stand twice" in note for note in twice["notes"])
    assert abs(twice["targets"] - once["targets"]) <= 1
    assert twice["probabilities"][0]["expected"] == pytest.approx(
        once["probabilities"][0]["expected"], rel=0.3
    )


def test_events_without_magnitude_and_gaps_are_noted(capsys, tmp_path, catalogue):
    table = catalogue.copy()
    table.loc[::5, "magnitude"] = np.nan
    code, summary, _ = run(capsys, tmp_path, table, "--start", "2019-08-30")
    assert code == 0
    assert any("without magnitude" in note for note in summary["notes"])
    assert any("taken as quiet" in note for note in summary["notes"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--magnitude", "1"), "below the magnitude of completeness"),
        (("--days", "0"), "--days must be"),
        (("--bounds", "1,2"), "4 numbers"),
        (("--bounds", "13,42,14,43", "--region", "x.json"), "not both"),
        (("--model", "poisson", "--fitted", "x"), "cannot be --model poisson"),
        (("--start", "2010-01-01"), "no earthquake before"),
        (("--magnitude", "9.5"), "not below --magnitude-max"),
    ],
)
def test_what_cannot_be_done_is_said(capsys, tmp_path, catalogue, options, words):
    code, _, said = run(capsys, tmp_path, catalogue[:30], "--magnitude-min", "3", *options)
    assert code == 2
    assert words in said


def test_what_comes_after_the_start_changes_nothing(capsys, tmp_path, catalogue):
    before = catalogue[catalogue["time"] < "2019-06-01"]
    # Later the catalogue is complete from 4 on only.
    whole = pd.concat([before, catalogue[(catalogue["time"] > "2019-06-01") & (catalogue["magnitude"] > 4)]])
    _, first, _ = run(capsys, tmp_path, before, "--start", "2019-06-01")
    _, second, _ = run(capsys, tmp_path, whole, "--start", "2019-06-01")
    assert first == second


def test_a_completeness_below_all_earthquakes_is_refused(capsys, tmp_path, catalogue):
    code, _, said = run(capsys, tmp_path, catalogue, "--magnitude-min", "2.5")
    assert code == 2
    assert "not complete from 2.5 on" in " ".join(said.split())


def test_the_words_are_short_and_say_what_is_usual(capsys, tmp_path, catalogue):
    code, summary, _ = run(
        capsys, tmp_path, catalogue, "--bounds", "13,42,14,43", "--magnitude-min", "3", "--magnitude", "3",
        "--magnitude", "7",
    )  # fmt: skip
    assert code == 0
    words = (tmp_path / "out" / "advisory.en.txt").read_text(encoding="utf-8")
    assert "Of all periods as long since 2019-01-01" in words
    assert "less than 0.1 % to less than 0.1 %" not in words
    # By hand: a period from each hour on.
    day = (catalogue["time"].to_numpy("datetime64[ns]") - catalogue["time"].to_numpy()[0]) / np.timedelta64(
        1, "D"
    )
    begin = np.arange(0, day[-1] - 7, 1 / 24)
    share = np.mean([((day >= t) & (day < t + 7)).any() for t in begin])
    assert summary["probabilities"][0]["usual"] == pytest.approx(share, abs=0.01)
    assert summary["probabilities"][1]["usual"] == 0
    assert "2019年以降の同じ長さの期間" in (tmp_path / "out" / "advisory.ja.txt").read_text(encoding="utf-8")


def test_a_completeness_that_changes_is_said(capsys, tmp_path, catalogue):
    end = catalogue["time"].max()
    table = tmp_path / "steps.csv"
    times = [end - pd.Timedelta(days, "D") for days in (50, 40, 10, 9)]
    pd.DataFrame({"time": times, "magnitude": [4.5, 3.0, 3.7, 3.0]}).to_csv(table, index=False)
    options = ["--bounds", "13,42,14,43", "--magnitude-min", "3", "--completeness", str(table)]
    assert run(capsys, tmp_path, catalogue, *options)[0] == 0
    out = tmp_path / "out"
    assert "at the worst time, those below magnitude 3.7" in (out / "advisory.en.txt").read_text("utf-8")
    assert "M3.7未満" in (out / "advisory.ja.txt").read_text("utf-8")
    page = (out / "report.html").read_text("utf-8")
    assert "below magnitude 3.7" in page and "M3.7未満" in page


def test_a_model_that_is_not_known_is_said(capsys, tmp_path, catalogue):
    code, _, said = run(capsys, tmp_path, catalogue, "--magnitude-min", "3", "--model", "oracle")
    assert code == 1
    assert "no seismicity model 'oracle'; known are etas, hybrid, neural, poisson, smoothed" in " ".join(
        said.split()
    )


def test_compare_tells_the_better_of_two(capsys, tmp_path, catalogue):
    grid = pd.DataFrame({"longitude_min": [13.0, 13.5], "longitude_max": [13.5, 14.0]})
    grid = grid.assign(latitude_min=42.0, latitude_max=43.0, magnitude_min=3.0, start=START)
    grid["end"] = START + np.timedelta64(200, "D")
    west = (catalogue["longitude"] < 13.5).sum()
    n = len(catalogue)
    good = validate(grid.assign(expected=[float(west), float(n - west)]), FORECASTS)
    poor = validate(grid.assign(expected=[float(n), float(n)]), FORECASTS)
    for name, table in (("good", good), ("poor", poor)):
        table.to_parquet(tmp_path / f"{name}.parquet")
    catalogue.to_csv(tmp_path / "seen.csv", index=False)
    words = [str(tmp_path / name) for name in ("good.parquet", "poor.parquet", "seen.csv")]
    assert main(["forecast", "compare", *words, "--json", "--block", "5", "--uniform", "0"]) == 0
    summary = json.loads(capsys.readouterr().out)
    west_share = west / n
    truth = west_share * np.log(west_share) + (1 - west_share) * np.log(1 - west_share) + 1
    assert summary["information_gain"]["gain"] == pytest.approx(truth, abs=1e-9)
    assert summary["information_gain"]["low"] > 0
    assert summary[words[1]]["quantiles"]["N"] < 0.01
    assert main(["forecast", "compare", *words, "--block", "5", "--uniform", "0"]) == 0
    told = capsys.readouterr().out
    assert "nats per earthquake" in told and "{" not in told and "not scaled" not in told
    late = str(START + np.timedelta64(100, "D"))
    assert main(["forecast", "compare", *words, "--start", late, "--block", "5"]) == 0
    assert capsys.readouterr().out.count("not scaled to the period tested") == 2
