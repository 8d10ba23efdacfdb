"""`kaname hazard`: export without the engine, a job through it."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from kaname.cli import main


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
