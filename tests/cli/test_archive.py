"""kaname archive, as a user calls it."""

from __future__ import annotations

import json

import numpy as np
import obspy
import pandas as pd
import pytest

from kaname.cli import main
from kaname.core.waveform import Waveform
from kaname.formats.contract import read_waveforms
from kaname.formats.miniseed import write_miniseed


def wave(start: str, n: int, seed: int = 0) -> Waveform:
    samples = np.random.default_rng(seed).integers(-1000, 1000, (1, n)).astype(np.int32)
    return Waveform(samples, ("XX.AAA..HHZ",), np.datetime64(start, "ns"), 100.0)


@pytest.fixture
def source(tmp_path):
    write_miniseed([wave("2021-03-14", 6000), wave("2021-03-14T00:02", 6000)], tmp_path / "data.mseed")
    return tmp_path / "data.mseed"


@pytest.fixture
def root(tmp_path, source):
    assert main(["archive", "add", str(tmp_path / "archive"), str(source)]) == 0
    return tmp_path / "archive"


def test_add_says_what_it_did(tmp_path, source, capsys):
    assert main(["archive", "add", str(tmp_path / "a"), str(source), "--json"]) == 0
    out = json.loads(capsys.readouterr().out)
    assert out == {"n_file": 1, "n_stored": 12000, "n_known": 0, "n_day_file": 1, "failures": []}


def test_add_with_failures_is_partial_and_lists_them(tmp_path, root, source, capsys):
    write_miniseed([wave("2021-03-14T00:00:30", 6000, seed=1)], tmp_path / "other.mseed")
    (tmp_path / "empty").touch()
    capsys.readouterr()
    table = tmp_path / "failures.parquet"
    arguments = [str(root), str(tmp_path / "other.mseed"), str(tmp_path / "empty"), "--failures", str(table)]
    assert main(["archive", "add", *arguments]) == 3
    captured = capsys.readouterr()
    assert "disagree" in captured.err and "is empty" in captured.err
    assert "samples stored" in captured.out
    assert pd.read_parquet(table)["error"].tolist() == ["FormatError", "Overlap"]


def test_add_of_nothing_readable_is_an_error(tmp_path, capsys):
    (tmp_path / "empty").touch()
    assert main(["archive", "add", str(tmp_path / "a"), str(tmp_path / "empty")]) == 1


def test_add_of_what_cannot_be_added_is_told_at_once(tmp_path, source, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["archive", "add", str(tmp_path / "a"), str(tmp_path / "empty")]) == 1
    assert "there are no files" in capsys.readouterr().err
    assert main(["archive", "add", str(tmp_path / "a"), str(source), "--record-length", "100"]) == 2
    assert "power of two" in capsys.readouterr().err
    assert main(["archive", "ls", str(tmp_path / "nowhere")]) == 1
    assert "no such archive" in capsys.readouterr().err


def test_index_in_place(tmp_path, source, capsys):
    assert main(["archive", "index", str(tmp_path), "--json"]) == 0
    out = json.loads(capsys.readouterr().out)
    assert (out["n_file"], out["n_scanned"], out["n_removed"], out["skipped"]) == (1, 1, 0, [])
    assert main(["archive", "index", str(tmp_path), "--rebuild"]) == 0


def test_ls(root, capsys):
    capsys.readouterr()
    assert main(["archive", "ls", str(root), "XX.*.*.HH?", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["id"] == "XX.AAA..HHZ"
    assert row["start"].startswith("2021-03-14T00:00:00")
    assert row["n_gap"] == 1
    assert main(["archive", "ls", str(root), "--gaps", "--json"]) == 0
    (gap,) = json.loads(capsys.readouterr().out)
    assert gap["duration_s"] == 60
    assert main(["archive", "ls", str(root)]) == 0
    assert "XX.AAA..HHZ" in capsys.readouterr().out
    assert main(["archive", "ls", str(root), "--gaps", "--overlaps"]) == 2


def test_check(root, capsys):
    capsys.readouterr()
    assert main(["archive", "check", str(root), "--deep"]) == 0
    assert "nothing is wrong" in capsys.readouterr().out
    next(root.rglob("*.D.2021.073")).unlink()
    assert main(["archive", "check", str(root), "--json"]) == 3
    out = json.loads(capsys.readouterr().out)
    (row,) = out["failures"]
    assert "cannot be read" in row["message"]
    assert out["quality"] is None


@pytest.mark.parametrize("format", ["miniseed2", "miniseed3", "sac", "hdf5"])
def test_read_to_a_file(root, tmp_path, format, capsys):
    out = tmp_path / "out"
    window = ["--start", "2021-03-14T00:00:10", "--end", "2021-03-14T00:00:20"]
    assert (
        main(["archive", "read", str(root), "XX.AAA..HHZ", *window, "--out", str(out), "--format", format])
        == 0
    )
    (block,) = read_waveforms(out).blocks
    expected = wave("2021-03-14", 6000).data[:, 1000:2000]
    np.testing.assert_array_equal(block.data, expected)
    if format in ("miniseed2", "sac"):
        np.testing.assert_array_equal(obspy.read(out)[0].data, expected[0])


def test_read_prints_a_summary(root, capsys):
    capsys.readouterr()
    assert main(["archive", "read", str(root), "--json"]) == 0
    blocks = json.loads(capsys.readouterr().out)["blocks"]
    assert [b["n_sample"] for b in blocks] == [6000, 6000]
    assert main(["archive", "read", str(root), "ZZ.*.*.*"]) == 0
    assert "no data" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["read", "ROOT", "HHZ"], 2),
        (["read", "ROOT", "--start", "yesterday"], 2),
        (["read", "ROOT", "--start", "2021-01-02", "--end", "2021-01-01"], 2),
        (["read", "nowhere"], 1),
        (["index", "nowhere"], 1),
        (["read", "ROOT", "--out", "OUT", "--format", "nonsense"], 2),
        (["add", "ROOT"], 2),
    ],
)
def test_what_cannot_be_done_is_one_message(root, tmp_path, arguments, status, capsys):
    capsys.readouterr()
    words = [str(root) if w == "ROOT" else str(tmp_path / "out") if w == "OUT" else w for w in arguments]
    assert main(["archive", *words]) == status
    assert "Traceback" not in capsys.readouterr().err
