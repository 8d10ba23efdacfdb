"""`kaname coulomb` from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kaname.cli import main

SOURCE = "36.0,138.0,8,0,90,180,6.3"


def test_a_double_couple_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    events = pd.DataFrame(
        {
            "event_id": [f"e{i}" for i in range(300)],
            "time": pd.Timestamp("2026-01-01"),
            "latitude": 36 + rng.normal(0, 0.1, 300),
            "longitude": 138 + rng.normal(0, 0.1, 300),
            "depth_km": rng.uniform(2, 15, 300),
            "magnitude": 2.0,
        }
    )
    events.to_csv(tmp_path / "after.csv", index=False)
    out = tmp_path / "out"
    words = [
        "coulomb",
        SOURCE,
        "--out",
        str(out),
        "--spacing",
        "4",
        "--depth",
        "5",
        "--depth",
        "10",
        "--json",
    ]
    words += ["--receiver", "optimal", "--regional", "strike-slip,45,10"]
    assert main([*words, "--aftershocks", str(tmp_path / "after.csv")]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["magnitude"] == pytest.approx(6.3)
    assert {"distance", "distance_and_slip", "coulomb"} <= summary["pattern_auc"].keys()
    table = pd.read_parquet(out / "coulomb.parquet")
    assert sorted(table["depth_km"].unique()) == [5, 10]
    assert np.isfinite(table["coulomb_mpa"]).all()
    for name in (
        "coulomb.csv",
        "coulomb_5km.tif",
        "section.parquet",
        "report.html",
        "run.json",
        "pattern.csv",
    ):
        assert (out / name).stat().st_size > 100


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere.fsp"], "neither a file"),
        ([SOURCE, "--receiver", "1/2"], "STRIKE/DIP/RAKE"),
        ([SOURCE, "--receiver", "optimal"], "--regional"),
        ([SOURCE, "--spacing", "0"], "positive"),
        ([SOURCE, "--learned"], "--aftershocks"),
        ([SOURCE, "--limit", "0"], "more than 0 MPa"),
    ],
)
def test_wrong_words_are_told(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["coulomb", *words, "--out", str(tmp_path)]) == 2
    assert said in capsys.readouterr().err


def test_an_empty_file_is_no_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.xml").write_text("")
    assert main(["coulomb", str(tmp_path / "empty.xml"), "--out", str(tmp_path / "out")]) == 1
    assert "is no source" in capsys.readouterr().err
