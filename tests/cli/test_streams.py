"""``kaname denoise`` and ``kaname detect`` on files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import obspy
import pandas as pd
import pytest

from kaname.cli import main
from kaname.core.time import as_time
from kaname.core.waveform import Waveform
from kaname.formats.miniseed import write_miniseed
from kaname.learn.simulate.records import simulate

MIDNIGHT = as_time("2024-05-07")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four minutes about midnight with an earthquake, a file cut off, and a rate that does not fit."""
    folder = tmp_path_factory.mktemp("data")
    bank = simulate(1, seed=3)
    samples = np.random.default_rng(0).normal(size=(3, 24000)) * 10
    event = bank.data[0] * (800 / np.abs(bank.data[0]).max())
    samples[:, 4000:13000] += event
    start = MIDNIGHT - np.timedelta64(120, "s")
    for code, row in zip("ZNE", samples):
        wave = Waveform(np.round(row).astype(np.int32)[np.newaxis], (f"XX.ABC..HH{code}",), start, 100.0)
        write_miniseed([wave], folder / f"abc{code}.mseed")
    odd = Waveform(np.zeros((1, 500), np.int32), ("XX.ODD..HHZ",), start, 62.5)
    write_miniseed([odd], folder / "odd.mseed")
    (folder / "broken.mseed").write_bytes((folder / "abcZ.mseed").read_bytes()[:700])
    return folder


def test_denoise_writes_days_and_says_what_it_could_not(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["denoise", str(data), "--out", str(tmp_path), "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["files"] == 6
    files = pd.read_parquet(tmp_path / "files.parquet")
    stream = obspy.Stream()
    for row in files.itertuples():
        stream += obspy.read(str(tmp_path / row.path))
        assert row.path.split("/")[1:4] == [str(row.start.year), "XX", "ABC"]
    stream.merge()
    assert sorted(t.id for t in stream) == ["XX.ABC..HHE", "XX.ABC..HHN", "XX.ABC..HHZ"]
    for trace in stream:
        assert trace.stats.npts == 24000
        assert trace.stats.starttime == obspy.UTCDateTime(2024, 5, 6, 23, 58)
        assert trace.data.dtype == np.float32
    failures = pd.read_parquet(tmp_path / "failures.parquet")
    assert failures["message"].str.contains("62.5 Hz").any()
    assert failures["subject"].str.contains("broken").any()
    made = json.loads((tmp_path / "run.json").read_text())
    assert made["configuration"]["weights"] == "kaname-denoiser-1"
    assert len(made["inputs"]) == 5


def test_detect_writes_a_table(data: Path, tmp_path: Path) -> None:
    assert main(["detect", str(data / "abc*.mseed"), "--out", str(tmp_path)]) == 0
    found = pd.read_parquet(tmp_path / "detections.parquet")
    assert len(found) == 1
    assert found["sensor"].tolist() == ["XX.ABC..HH"]
    assert (found["end"] > found["start"]).all()
    assert (tmp_path / "run.json").exists()


def test_part_of_the_time(data: Path, tmp_path: Path) -> None:
    assert (
        main(["denoise", str(data / "abc*.mseed"), "--out", str(tmp_path), "--start", "2024-05-07T00:00:10"])
        == 0
    )
    assert len(pd.read_parquet(tmp_path / "files.parquet")) == 3


@pytest.mark.parametrize("verb", ["denoise", "detect"])
def test_wrong_usage(verb: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, str(data / "none.mseed"), "--out", str(tmp_path)]) == 1
    assert main([verb, str(data / "abcZ.mseed"), "--out", str(tmp_path), "--end", "1999-01-01"]) == 1
    assert main([verb, str(data / "abcZ.mseed"), "--out", str(tmp_path), "--weights", "no-such"]) == 1
    assert "no weights 'no-such'" in capsys.readouterr().err


def test_picking_what_cannot_be_read_says_why(tmp_path, capsys):
    (tmp_path / "bad.mseed").write_bytes(b"")
    assert main(["pick", str(tmp_path / "bad.mseed"), "--out", str(tmp_path / "out")]) == 1
    told = capsys.readouterr().err
    assert "is empty" in told and told.rstrip().endswith("no usable records")
    (tmp_path / "file").write_text("")
    assert main(["pick", str(tmp_path / "bad.mseed"), "--out", str(tmp_path / "file")]) == 1
    assert "cannot make the folder" in capsys.readouterr().err
