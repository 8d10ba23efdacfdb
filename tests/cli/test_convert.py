"""Whole runs of ``kaname convert``."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import obspy
import pandas as pd
import pytest
from obspy import Stream, Trace, UTCDateTime

from kaname.archive.store import Archive
from kaname.cli import main
from kaname.formats import conversion
from kaname.formats.contract import read_waveforms
from kaname.formats.win_channels import read_channel_table

EVENT = Path(obspy.__file__).parent / "io/cnv/tests/data/obspyck_20141020150701.xml"
INVENTORY = Path(obspy.__file__).parent / "io/stationxml/tests/data/IRIS_single_channel_with_response.xml"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder of good miniSEED over midnight with a gap, SLIST, text that is neither, and a cut file."""
    folder = tmp_path / "data"
    (folder / "deep").mkdir(parents=True)
    rng = np.random.default_rng(1)
    start = UTCDateTime("2020-02-28T23:59:50")
    traces = [
        Trace(
            np.cumsum(rng.integers(-9, 10, 1500)).astype("int32"),
            {
                "network": "XX",
                "station": "ABC",
                "channel": f"HH{c}",
                "starttime": start + t,
                "sampling_rate": 100,
            },
        )
        for c, t in (("Z", 0), ("N", 0), ("Z", 30))
    ]
    Stream(traces).write(str(folder / "gappy.mseed"), "MSEED")
    other = traces[1].copy()
    other.stats.station = "DEF"
    other.write(str(folder / "deep/one.slist"), "SLIST")
    return folder


def run(*words: object) -> int:
    return main(["convert", *map(str, words)])


def table(out: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(out / f"{name}.parquet")


@pytest.mark.parametrize(
    ("to", "files"),
    [
        ("miniseed2", ["deep/one.slist.mseed", "gappy.mseed"]),
        ("miniseed3", ["deep/one.slist.mseed3", "gappy.mseed3"]),
        ("hdf5", ["deep/one.slist.h5", "gappy.h5"]),
        ("sac", None),
    ],
)
def test_waveforms_keep_their_samples_and_their_place(data, tmp_path, to, files) -> None:
    out = tmp_path / "out"
    assert run(data, "--to", to, "--out", out, "--prove") == 0
    converted, proofs = table(out, "converted"), table(out, "proofs")
    if files:
        assert sorted(converted["output"]) == [str(out / f) for f in files]
    else:
        assert len(converted) == 4 and all(len(read_waveforms(p).blocks) == 1 for p in converted["output"])
    assert not set(proofs["verdict"]) & {"wrong"}
    samples = proofs[proofs["aspect"] == "samples"]
    assert set(samples["verdict"]) == {"equal"} and samples["n_compared"].sum() == 6000
    read = [b for p in converted["output"] for b in read_waveforms(p).blocks]
    truth = [b for p in sorted(data.rglob("*.*")) for b in read_waveforms(p).blocks]
    assert sum(b.n_sample for b in read) == sum(b.n_sample for b in truth) == 6000


def test_sds_is_an_archive(data, tmp_path) -> None:
    out = tmp_path / "out"
    assert run(data, "--to", "sds", "--out", out, "--prove") == 0
    assert (out / "2020/XX/ABC/HHZ.D/XX.ABC..HHZ.D.2020.059").is_file()
    proofs = table(out, "proofs")
    assert set(proofs["verdict"]) == {"equal", "lost"} and proofs["n_compared"].max() == 4500
    with Archive(out) as archive:
        assert [b.n_sample for b in archive.read("XX.ABC..HHZ").blocks] == [1500, 1500]


def test_bad_files_are_listed_and_the_rest_is_done(data, tmp_path, capsys) -> None:
    (data / "notes.txt").write_text("no waveform at all\n")
    (data / "cut.mseed").write_bytes((data / "gappy.mseed").read_bytes()[:-300])
    out = tmp_path / "out"
    assert run(data, "--to", "hdf5", "--out", out, "--prove") == 3
    failures = table(out, "failures")
    assert set(failures["subject"]) == {str(data / "notes.txt"), str(data / "cut.mseed")}
    assert "notes.txt" in capsys.readouterr().err
    assert (out / "cut.h5").is_file() and (out / "gappy.h5").is_file()


def test_nothing_to_convert_is_an_error(tmp_path) -> None:
    (tmp_path / "notes.txt").write_text("no waveform at all\n")
    assert run(tmp_path / "notes.txt", "--to", "sac", "--out", tmp_path / "out") == 1
    assert run(tmp_path / "absent", "--to", "sac", "--out", tmp_path / "out") == 1
    assert run(tmp_path / "notes.txt", "--to", "segy", "--out", tmp_path / "out") == 2


def test_nothing_is_overwritten_unless_asked(data, tmp_path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "gappy.h5").write_text("mine")
    assert run(data, "--to", "hdf5", "--out", out) == 3
    assert (out / "gappy.h5").read_text() == "mine"
    assert "--overwrite" in table(out, "failures")["message"].iloc[0]
    assert not list(out.rglob(".part*"))
    assert run(data, "--to", "hdf5", "--out", out, "--overwrite") == 0
    assert len(read_waveforms(out / "gappy.h5").blocks) == 3


def test_a_second_run_does_only_what_is_missing(data, tmp_path, monkeypatch) -> None:
    out = tmp_path / "out"
    assert run(data, "--to", "hdf5", "--out", out) == 0
    (out / "deep/one.slist.h5").unlink()
    read = []
    monkeypatch.setattr(
        conversion, "read_waveforms", lambda p, **k: read.append(Path(p).name) or read_waveforms(p, **k)
    )
    assert run(data, "--to", "hdf5", "--out", out) == 0
    assert read == ["one.slist"] and len(table(out, "converted")) == 2


def test_a_run_killed_after_writing_is_taken_up(data, tmp_path) -> None:
    out = tmp_path / "out"
    assert run(data, "--to", "miniseed2", "--out", out) == 0
    (out / ".kaname-convert.sqlite").unlink()  # as if killed before it was noted
    assert run(data, "--to", "miniseed2", "--out", out) == 0


def test_two_files_for_one_place(data, tmp_path) -> None:
    (data / "gappy.seed").write_bytes((data / "gappy.mseed").read_bytes())
    assert run(data, "--to", "hdf5", "--out", tmp_path / "out") == 3
    assert "different folders" in table(tmp_path / "out", "failures")["message"].iloc[0]


def test_windows_and_networks(data, tmp_path) -> None:
    out = tmp_path / "out"
    words = ("--start", "2020-02-29T00:00:00", "--end", "2020-02-29T00:00:02")
    assert run(data / "gappy.mseed", "--to", "miniseed2", "--out", out, *words) == 0
    assert [b.n_sample for b in read_waveforms(out / "gappy.mseed").blocks] == [200, 200]
    assert run(data, "--to", "sds", "--out", tmp_path / "sds", *words) == 2


@pytest.mark.parametrize("to", ["quakeml", "parquet", "csv"])
def test_events(tmp_path, to) -> None:
    out = tmp_path / "out"
    assert run(EVENT, "--to", to, "--out", out, "--prove") == 0
    proofs = table(out, "proofs").set_index("aspect")["verdict"]
    assert proofs["events.time"] == "equal" and "wrong" not in set(proofs)
    assert proofs["arrivals.rows"] == ("lost" if to == "csv" else "equal")


@pytest.mark.parametrize("to", ["stationxml", "parquet", "csv"])
def test_stations(tmp_path, to) -> None:
    out = tmp_path / "out"
    assert run(INVENTORY, "--to", to, "--out", out, "--prove") == 0
    proofs = table(out, "proofs").set_index("aspect")["verdict"]
    assert proofs["latitude"] == "equal" and "wrong" not in set(proofs)
    assert proofs["responses"] == ("equal" if to == "stationxml" else "lost")


def test_a_table_of_stations_becomes_stationxml(tmp_path) -> None:
    (tmp_path / "s.csv").write_text(
        "network,station,location,latitude,longitude,elevation_m\nXX,A,00,35.1,139.2,10\nXX,A,10,35.1,139.2,10\n"
    )
    out = tmp_path / "out"
    assert run(tmp_path / "s.csv", "--to", "stationxml", "--out", out, "--prove") == 3
    (network,) = obspy.read_inventory(str(out / "s.xml"))
    assert [(s.code, s.latitude) for s in network] == [("A", 35.1)]
    assert "2 rows became 1" in table(out, "failures")["message"].iloc[0]


TABLE = """\
0001 1 0 N.AAKH U 6 27 175.60 m/s 1.00 0.70 0 1.023e-07 36.3726 137.9203 483 0 0
0002 1 0 N.AAKH N 6 27 175.60 m/s 1.00 0.70 0 1.023e-07 36.3726 137.9203 483 0 0
"""


def test_win32_and_back_with_a_channel_table(tmp_path) -> None:
    table_path = tmp_path / "channels.ch"
    table_path.write_text(TABLE)
    ids = [entry.seed_id for entry in read_channel_table(table_path).entries]
    network, station, location, _ = ids[0].split(".")
    rng = np.random.default_rng(3)
    traces = [
        Trace(
            np.cumsum(rng.integers(-900, 901, 2550)).astype("int32"),
            {"network": network, "station": station, "location": location, "channel": i.split(".")[3]}
            | {"starttime": UTCDateTime("2019-12-31T23:59:50.5"), "sampling_rate": 100},
        )
        for i in ids
    ]
    Stream(traces).write(str(tmp_path / "a.mseed"), "MSEED")
    words = ("--channels", table_path, "--prove")
    assert run(tmp_path / "a.mseed", "--to", "win32", "--out", tmp_path / "win", *words) == 3
    failures = table(tmp_path / "win", "failures")
    assert set(failures["error"]) == {"PartialSecond"} and len(failures) == 2
    proofs = table(tmp_path / "win", "proofs").set_index("aspect")
    assert proofs.loc["samples", "verdict"] == "equal" and proofs.loc["samples", "n_compared"] == 5000
    assert run(tmp_path / "win/a.win32", "--to", "miniseed3", "--out", tmp_path / "back", *words) == 0
    back = {b.ids[0]: b for b in read_waveforms(tmp_path / "back/a.mseed3").blocks}
    assert sorted(back) == sorted(ids)
    for trace in traces:
        np.testing.assert_array_equal(back[trace.id].data[0], trace.data[50:])
    assert run(tmp_path / "a.mseed", "--to", "win32", "--out", tmp_path / "nameless") == 1
    assert run(tmp_path / "win/a.win32", "--to", "sds", "--out", tmp_path / "sds", *words) == 0
    with Archive(tmp_path / "sds") as archive:
        assert archive.channels() == sorted(ids)
    assert run(table_path, "--to", "stationxml", "--out", tmp_path / "xml", "--prove") == 0


def test_win_becomes_win32_without_a_table(tmp_path) -> None:
    """A real WIN file that ObsPy ships; its numbers have no organisation, so they get none."""
    (tmp_path / "a.win").write_bytes(
        (Path(obspy.__file__).parent / "io/win/tests/data/10030302.00").read_bytes()
    )
    assert run(tmp_path / "a.win", "--to", "win32", "--out", tmp_path / "out", "--prove") == 0
    proofs = table(tmp_path / "out", "proofs").set_index("aspect")
    assert set(proofs["verdict"]) == {"equal"} and proofs.loc["samples", "n_compared"] == 12000
    back = {b.ids[0]: b for b in read_waveforms(tmp_path / "out/a.win32").blocks}
    for block in read_waveforms(tmp_path / "a.win").blocks:
        np.testing.assert_array_equal(back[f"0000{block.ids[0]}"].data, block.data)


@pytest.mark.parametrize("to", ["csv", "parquet"])
def test_positions_of_a_gnss_station(tmp_path, to) -> None:
    lines = (
        f"J188 10JUL{d:02d} 2010.57 {55400 + d} 1594 3 140.0 {100 + d} 0.{500 + d:03d} 4000000 0.25 100 0.5 "
        "0.0 0.0008 0.0009 0.003 0.01 0.02 0.03"
        for d in range(1, 20)
    )
    (tmp_path / "J188.tenv3").write_text("\n".join(lines) + "\n")
    out = tmp_path / "out"
    assert run(tmp_path / "J188.tenv3", "--to", to, "--out", out, "--prove") == 0
    proofs = table(out, "proofs").set_index("aspect")["verdict"]
    assert proofs["rows"] == proofs["east_mm"] == "equal" and "wrong" not in set(proofs)
    assert table(out, "converted")["kind"].tolist() == ["displacements"]


TILT = """\
station = "A01"
time = "stamp"
hours_ahead = 9
[values.tilt_north]
column = "NS"
unit = "microradian"
scale = 0.1
"""


@pytest.mark.parametrize("to", ["csv", "parquet"])
def test_a_declared_series(tmp_path, to) -> None:
    (tmp_path / "tilt.csv").write_text("stamp,NS\n2020-01-01T09:00:00,10\n2020-01-01T09:01:00,11.5\n")
    (tmp_path / "tilt.toml").write_text(TILT)
    out = tmp_path / "out"
    words = (
        tmp_path / "tilt.csv",
        "--to",
        to,
        "--out",
        out,
        "--declaration",
        tmp_path / "tilt.toml",
        "--prove",
    )
    assert run(*words) == 0
    assert set(table(out, "proofs")["verdict"]) == {"equal"}
    read = pd.read_parquet if to == "parquet" else partial(pd.read_csv, parse_dates=["time"])
    frame = read(out / f"tilt.features.{to}")
    assert frame["value"].tolist() == pytest.approx([1.0, 1.15])
    assert frame["time"].iloc[0].isoformat()[:16] == "2020-01-01T00:00"
    # Another declaration, another result.
    (tmp_path / "tilt.toml").write_text(TILT.replace("0.1", "100.0"))
    assert run(*words, "--overwrite") == 0
    assert read(out / f"tilt.features.{to}")["value"].tolist() == pytest.approx([1000, 1150])


def test_points_of_radar_with_their_geometry(tmp_path) -> None:
    (tmp_path / "los.csv").write_text("longitude,latitude,los\n130.7,32.8,-12\n130.8,32.8,3.5\n")
    declaration = tmp_path / "radar.toml"
    text = "[radar]\nreference_time = 2016-04-08\ntime = 2016-04-20T09:00:00+09:00\nunit = 'cm'\n"
    declaration.write_text(text + "incidence = 39.0\nheading = -12.9\n")
    out = tmp_path / "out"
    words = (tmp_path / "los.csv", "--out", out, "--declaration", declaration, "--prove")
    assert run(*words, "--to", "parquet") == 0
    assert set(table(out, "proofs")["verdict"]) == {"equal"}
    frame = pd.read_parquet(out / "los.displacements.parquet")
    assert frame["los_mm"].tolist() == [-120, 35]
    # Ascending and right-looking: seen from the west, 39 degrees off the vertical.
    np.testing.assert_allclose(
        frame[["look_east", "look_up"]].iloc[0].to_numpy(float),
        [-np.sin(np.radians(39)) * np.cos(np.radians(12.9)), np.cos(np.radians(39))],
    )
    assert str(frame["time"].iloc[0])[:19] == "2016-04-20 00:00:00"
    assert run(*words, "--to", "quakeml") == 1
    for wrong in ("incidence = 39.0\n", "shape = 'round'\n", "look_files = ['e.tif']\n", "= 1\n"):
        declaration.write_text(text + wrong)
        assert run(*words, "--to", "parquet", "--overwrite") == 1
        assert "is no declaration" in table(out, "failures")["message"].iloc[0]


def test_an_empty_folder_is_no_success(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["convert", str(tmp_path / "empty"), "--to", "sac", "--out", str(tmp_path / "out")]) == 1
    assert "there are no files" in capsys.readouterr().err


def test_a_failure_is_told_once(tmp_path, capsys):
    (tmp_path / "bad.mseed").write_bytes(b"")
    words = ["convert", str(tmp_path / "bad.mseed"), "--to", "sac", "--out", str(tmp_path / "out")]
    assert main(words) == 1
    assert capsys.readouterr().err.count("is empty") == 1
