"""`kaname hazard`: export without the engine, a job through it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.support.hazard_files import write_declaration

from kaname.cli import main
from kaname.core.hazard import HAZARD_CURVES
from kaname.core.tables import read_table


def test_export_writes_two_files_and_says_how_far_they_are_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["hazard", "export", "boore_2014", "--name", "KanameBoore", "--region", "active_shallow"]
    words += ["--measure", "pga", "--out", str(tmp_path), "--fix", "rake_deg=90", "--json"]
    words += ["--option", "region=italy_japan", "--axis", "vs30_m_s=150,250,400,760,1200"]
    assert main(words) == 0
    answer = json.loads(capsys.readouterr().out)
    assert Path(answer["module"]).is_file() and (tmp_path / "KanameBoore.npz").is_file()
    assert answer["errors"][0]["measure"] == "pga" and 0 < answer["errors"][0]["error_95"] < 0.05


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--fix", "rake_deg"], "NAME=VALUE"),
        (["--axis", "magnitude=a,b"], "numbers and commas"),
        (["--option", "regoin=japan"], "regoin"),
        (["--fix", "vs30=400"], "no column vs30"),
    ],
)
def test_what_is_refused(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["hazard", "export", "boore_2014", "--name", "X", "--region", "active_shallow", "--measure", "pga"]
    assert main([*call, "--out", str(tmp_path), *words]) == 2
    assert said in capsys.readouterr().err


def test_a_job_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["hazard", "run", str(tmp_path / "job.ini"), "--out", str(tmp_path / "out")]) == 1
    assert "no file" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_smooth_refuses_what_would_be_empty_or_unreadable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(
        f"e{k},2001-01-{k % 27 + 1:02d},{10 + k / 40},{45 + k / 40},{3 + k % 5 / 10}\n" for k in range(40)
    )
    catalog = tmp_path / "events.csv"
    catalog.write_text("event_id,time,longitude,latitude,magnitude\n" + rows)
    words = ["hazard", "smooth", str(catalog), "--start", "2001-01-01", "--end", "2002-01-01"]
    words += ["--magnitude-min", "3", "--magnitude-max", "6", "--bounds", "10,45,11,46"]
    assert main([*words, "--out", str(tmp_path / "s.parquet"), "--cell", "5"]) == 2
    assert "no cell of 5 degrees" in capsys.readouterr().err
    assert main([*words, "--out", str(tmp_path / "s.txt")]) == 2
    assert ".parquet or .csv" in capsys.readouterr().err
    assert main([*words, "--out", str(tmp_path / "s.parquet")]) == 0
    assert "per year of M 2.95 to" in capsys.readouterr().out


def test_a_python_without_openquake_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho \"ModuleNotFoundError: No module named 'openquake'\" >&2\nexit 1\n")
    python.chmod(0o755)
    job = tmp_path / "job.ini"
    job.write_text("[general]\n")
    words = ["hazard", "run", str(job), "--out", str(tmp_path / "out"), "--python", str(python)]
    assert main(words) == 1
    assert f"{python} is not the Python of an OpenQuake" in capsys.readouterr().err


@pytest.mark.extra
@pytest.mark.slow
def test_a_scenario_of_damage_to_parquet(
    openquake: str, shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = shared_data / "damage/openquake_cases/openquake/qa_tests_data/scenario_damage/case_20/job.ini"
    words = ["hazard", "run", str(job), "--out", str(tmp_path), "--set", "number_of_ground_motion_fields=3"]
    assert main([*words, "--python", openquake, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["calculation_mode"] == "scenario_damage"
    assert len(pd.read_parquet(tmp_path / "events.parquet")) == 3
    assert json.loads((tmp_path / "run.json").read_text())["parameters"]


def test_smooth_makes_a_forecast_that_classical_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    n = 300
    table = pd.DataFrame(
        {
            "event_id": [f"e{k}" for k in range(n)],
            "time": pd.Timestamp("2000-01-01") + pd.to_timedelta(np.sort(rng.uniform(0, 3650, n)), "D"),
            "longitude": rng.uniform(10, 11, n), "latitude": rng.uniform(45, 46, n),
            "magnitude": (3 + np.floor(rng.exponential(0.43, n) * 10) / 10).round(1),
        }
    )  # fmt: skip
    table.to_csv(tmp_path / "events.csv", index=False)
    words = ["hazard", "smooth", str(tmp_path / "events.csv"), "--start", "2000-01-01", "--end", "2010-01-01"]
    words += ["--magnitude-min", "3", "--magnitude-max", "6.5", "--bounds", "10,45,11,46", "--cell", "0.2"]
    path = write_declaration(tmp_path)
    assert main([*words, "--out", str(tmp_path / "forecast.parquet"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["earthquakes"] == n and said["cells"] == 25
    assert said["magnitudes"] == [2.95, 6.45]
    assert said["per_year"] == pytest.approx(n / 10, rel=0.01)
    assert (tmp_path / "forecast.run.json").is_file()
    assert main([*words, "--b", "1.2", "--out", str(tmp_path / "steep.parquet"), "--json"]) == 0
    steep = json.loads(capsys.readouterr().out)
    assert steep["b"] == 1.2 and steep["b_of_events"] == said["b"]
    assert steep["per_year"] == said["per_year"]
    path.write_text(path.read_text().replace("magnitude_min = 5.0", "magnitude_min = 4.9"))
    out = tmp_path / "out"
    assert main(["hazard", "classical", str(path), "--out", str(out), "--write-only", "--json"]) == 0
    sources = {row["name"]: row for row in json.loads(capsys.readouterr().out)["sources"]}
    # Those of 4.95 or more: the first bin that begins above 4.9.
    tail = (10 ** (-said["b"] * 2.0) - 10 ** (-said["b"] * 3.5)) / (1 - 10 ** (-said["b"] * 3.5))
    assert sources["grid"]["rate_per_year"] == pytest.approx(said["per_year"] * tail, rel=0.005)
    assert {path.name for path in (out / "job").iterdir()} >= {"job.ini", "sources_0.xml", "sites.csv"}
    assert json.loads((out / "run.json").read_text())["settings"]["name"] == "test"


def test_classical_needs_openquake_before_it_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["hazard", "classical", str(write_declaration(tmp_path)), "--out", str(tmp_path / "out")]
    assert main([*words, "--python", str(tmp_path / "python")]) == 1
    assert "no Python at" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_configuration_of_hazard_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "hazard"]) == 0
    text = capsys.readouterr().out
    assert "source_models" in text and "[disaggregation]" in text


@pytest.mark.extra
@pytest.mark.slow
def test_classical_to_tables_maps_and_figures(
    openquake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_declaration(
        tmp_path, disaggregation='{sites = ["B"], probability = 0.1}',
        sites='{file = "sites.csv", vs30_m_s = 800, basin = "california", '
        "grid = {bounds = [10.0, 45.0, 10.4, 45.2], spacing_degree = 0.2}}",
    )  # fmt: skip
    out = tmp_path / "out"
    assert main(["hazard", "classical", str(path), "--out", str(out), "--python", openquake, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    wanted = {"hazard_curves.parquet", "hazard_levels.parquet", "disaggregation.parquet", "map_pga.tif"}
    wanted |= {"map_sa_1.geojson", "hazard_curves.png", "uniform_hazard_spectra.png", "disaggregation_B.png"}
    assert wanted | {"map_pga.png"} <= set(said["files"])
    assert all((out / name).stat().st_size > 0 for name in said["files"])
    curves = read_table(out / "hazard_curves.parquet", HAZARD_CURVES)
    assert curves["site"].unique().tolist() == ["A", "B", ""]
    points = json.loads((out / "map_pga.geojson").read_text())["features"]
    assert len(points) == 6 and points[0]["properties"]["mean_0.1"] > 10
