"""The pages from K-NET files to a map of shaking, followed word by word with real files."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pandas as pd
import pytest

from kaname.cli import main

DOCS = Path(__file__).resolve().parents[2] / "docs"


def commands(page: str) -> list[list[str]]:
    """Return the commands of a page that are kaname's, without the first word."""
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("kaname ")]


def test_both_languages_give_the_same_commands():
    assert commands("shaking-quickstart.md") == commands("shaking-quickstart.ja.md") != []


def test_the_page_is_followed(shared_data, tmp_path, monkeypatch, capsys):
    shutil.copytree(shared_data / "japan/knet_kiknet", tmp_path / "knet")
    monkeypatch.chdir(tmp_path)
    for words in commands("shaking-quickstart.md"):
        assert main(words) == 0, words
    assert "AOM005" in capsys.readouterr().out
    recorded = pd.read_csv("ground_motions.csv").set_index("station").loc["AOM005"]
    grid = [
        (*f["geometry"]["coordinates"], f["properties"]["median"])
        for f in json.loads(Path("map/pga_cm_s2.geojson").read_text())["features"]
    ]
    near = min(grid, key=lambda p: (p[0] - recorded.longitude) ** 2 + (p[1] - recorded.latitude) ** 2)
    # At a station the map is what was recorded there; the nearest point is within 3 km.
    assert near[2] == pytest.approx(recorded.pga_cm_s2, rel=0.2) and recorded.pga_cm_s2 > 20
    assert Path("map/pga_cm_s2.png").stat().st_size > 10_000
