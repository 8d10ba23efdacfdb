"""The classical picker against analysts, on the half of the NCEDC records that it was not calibrated on."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kaname.automation.pick import get_picker, picks_table
from kaname.core.step import run
from kaname.core.tables import PICKS, table
from kaname.core.time import as_time
from kaname.core.waveform import Waveform
from kaname.evaluate.picks import score_picks


@pytest.fixture(scope="module")
def score(shared_data: Path) -> pd.DataFrame:
    """Scores at 0.1 and 0.5 s. P stands at the same sample in all records, so a random window is cut."""
    folder = shared_data / "picks/ncedc"
    picker = get_picker("classical", {"min_probability_p": 0.2, "min_probability_s": 0.2})
    picks, labels = [], []
    with (folder / "waveform.csv").open() as file:
        rows = list(csv.DictReader(file))
    for i, row in enumerate(rows):
        digest = int(hashlib.sha256(row["fname"].encode()).hexdigest()[:8], 16)
        if digest % 2 == 0:
            continue
        data = np.load(folder / "waveform" / row["fname"])["data"].astype(float)
        codes = row["channels"].split("_")
        first = int(np.random.default_rng(digest).integers(0, 1500))
        columns = [2] if len(codes) == 1 else [0, 1, 2]
        ids = tuple(f"NC.R{i:03d}..{c}" for c in codes)
        wave = Waveform(data[first:, columns].T, ids, as_time("2000-01-01"), 100.0)
        picks += list(run(picker, [wave]))
        for phase, column in (("P", "itp"), ("S", "its")):
            time = wave.time(int(row[column]) - first)
            labels.append({"pick_id": f"{i}{phase}", "station": f"R{i:03d}", "phase": phase, "time": time})
    frame = score_picks(picks_table(picks), table(labels, PICKS), tolerances_s=(0.1, 0.5))
    return frame.set_index(["phase", "tolerance_s"])


def test_most_analyst_picks_are_found(score: pd.DataFrame) -> None:
    """The lower ends of the 95 % intervals are well above a coin's."""
    assert score.loc[("P", 0.5), "n_label"] > 40
    assert score.loc[("P", 0.5), "recall_low"] > 0.8
    assert score.loc[("S", 0.5), "recall_low"] > 0.6


def test_few_picks_are_false(score: pd.DataFrame) -> None:
    assert score.loc[("P", 0.5), "f1"] > 0.75
    assert score.loc[("S", 0.5), "f1"] > 0.55


def test_times_are_unbiased_and_sharp(score: pd.DataFrame) -> None:
    assert abs(score.loc[("P", 0.5), "residual_median_s"]) <= 0.02
    assert abs(score.loc[("S", 0.5), "residual_median_s"]) <= 0.05
    assert score.loc[("P", 0.5), "residual_mad_s"] <= 0.02


def test_stated_uncertainty_covers(score: pd.DataFrame) -> None:
    assert 0.55 < score.loc[("P", 0.5), "coverage_68"] < 0.9
    assert score.loc[("P", 0.5), "coverage_95"] > 0.8
    assert score.loc[("S", 0.5), "coverage_95"] > 0.65
