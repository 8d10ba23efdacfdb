"""The weights in the package: small, said to be what they are, and as good as their cards say."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pandas as pd
import pytest

from kaname.cli import main

FOLDER = Path(str(files("kaname.learn").joinpath("weights")))
NAMES = sorted(p.name for p in FOLDER.iterdir() if p.is_dir() and not p.name.startswith("_"))


def card(name):
    return json.loads((FOLDER / name / "card.json").read_text())


def test_all_kinds_are_there():
    assert {card(name)["kind"] for name in NAMES} == {"picker", "detector", "denoiser"}


def test_together_they_take_less_than_five_megabytes():
    assert sum(p.stat().st_size for p in FOLDER.rglob("*") if p.is_file()) <= 5e6


@pytest.mark.parametrize("name", NAMES)
def test_a_card_says_data_scores_and_limits(name):
    said = card(name)
    assert said["data"] and said["scores"]
    text = (FOLDER / name / "card.md").read_text().lower()
    for word in ("data", "licence", "split", "limits", "scores"):
        assert word in text


@pytest.mark.parametrize("name", NAMES)
def test_the_files_are_those_of_the_card(name):
    said = card(name)
    sums = said.get("files") or {f"{name}.onnx": said["sha256"]}
    for file, digest in sums.items():
        assert hashlib.sha256((FOLDER / name / file).read_bytes()).hexdigest() == digest


def test_they_load_without_torch():
    code = (
        "import sys; from kaname.automation.pick import get_picker; get_picker('kaname'); "
        "assert not {'torch', 'onnx', 'seisbench'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_picker_scores_on_simulated_records_what_its_card_says(capsys):
    name = next(n for n in NAMES if card(n)["kind"] == "picker")
    ((asked, tables),) = [(k, v) for k, v in card(name)["scores"].items() if k.startswith("simulated:60:")]
    words = ["bench", "picking", asked, "--method", "kaname", "--noise-hours", "0", "--json"]
    assert main(words) == 0
    keys = ["phase", "tolerance_s"]
    now = pd.DataFrame(json.loads(capsys.readouterr().out)["scores"]).set_index(keys)
    then = pd.DataFrame(tables["scores"]).set_index(keys)
    assert (now["n_label"] == then["n_label"]).all()
    # One or two of sixty may fall the other way on another processor.
    assert (now[["recall", "precision"]] - then[["recall", "precision"]]).abs().to_numpy().max() <= 0.035
