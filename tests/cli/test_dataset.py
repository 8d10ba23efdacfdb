"""Whole runs of ``kaname dataset``, read back by h5py, by our own reader and by SeisBench."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from kaname.archive.dataset import DatasetSettings, build_dataset
from kaname.archive.dataset_cache import TraceCache, build_cache
from kaname.archive.records import Records
from kaname.archive.store import Archive
from kaname.cli import main
from kaname.core.errors import FormatError, InputError, NotFoundError
from kaname.core.tables import ARRIVALS, EVENTS, PICKS, STATIONS, table, write_table
from kaname.core.time import as_time
from kaname.core.waveform import Waveform
from kaname.formats.eventset import EventSet
from kaname.formats.labelled import LabelledSet
from kaname.formats.miniseed import write_miniseed
from kaname.formats.seisbench_data import write_traces

DAY = as_time("2021-03-01")
N_EVENT = 24
RATE = 50.0


def at(seconds: float) -> np.datetime64:
    return DAY + np.timedelta64(round(seconds * 1e9), "ns")


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six hours at three stations; samples state the time: sample k of a channel is k, plus a constant.

    AAA has three components, BBB the vertical, CCC a gap of 20 s in event 5.
    """
    folder = tmp_path_factory.mktemp("case")
    n = round(6 * 3600 * RATE)
    ramp = np.arange(n, dtype="int32")
    channels = {
        "AAA..HHE": 1,
        "AAA..HHN": 2,
        "AAA..HHZ": 3,
        "BBB.00.EHZ": 4,
        "CCC..HHE": 5,
        "CCC..HHN": 6,
        "CCC..HHZ": 7,
    }
    for name, constant in channels.items():
        wave = Waveform((ramp + constant * 1_000_000)[np.newaxis], (f"XX.{name}",), DAY, RATE)
        blocks = [wave]
        if name.startswith("CCC"):
            blocks = [wave.slice(DAY, at(5 * 800 + 90)), wave.slice(at(5 * 800 + 110), at(6 * 3600))]
        write_miniseed(blocks, folder / f"{name}.mseed")
    events, arrivals, picks = [], [], []
    for i in range(N_EVENT):
        origin = 100 + 800 * i
        events.append(
            {
                "event_id": f"e{i}",
                "time": at(origin),
                "latitude": 35 + 0.01 * i,
                "longitude": 139.0,
                "depth_km": 9.0,
            }
            | {"magnitude": 1 + 0.1 * i, "magnitude_type": "ML", "quality": "A"}
        )
        for k, station in enumerate("ABC"):
            for phase, after in (("P", 3.0 + k), ("S", 5.2 + 1.7 * k)):
                pick = {
                    "pick_id": f"{i}{station}{phase}",
                    "network": "XX",
                    "station": station * 3,
                    "phase": phase,
                }
                pick |= {"time": at(origin + after + 0.004), "time_uncertainty_s": 0.02}
                picks.append(pick | {"method": "manual", "polarity": "up" if phase == "P" else ""})
                arrivals.append(pick | {"event_id": f"e{i}", "residual_s": 0.1})
    places = [
        {
            "network": "XX",
            "station": s * 3,
            "latitude": 35 + 0.1 * k,
            "longitude": 139.2,
            "elevation_m": 100.0,
        }
        for k, s in enumerate("ABC")
    ]
    for name, rows, schema in (
        ("events", events, EVENTS),
        ("arrivals", arrivals, ARRIVALS),
        ("picks", picks, PICKS),
        ("stations", places, STATIONS),
    ):
        write_table(table(rows, schema), folder / "run" / f"{name}.parquet", schema)
    with Archive(folder / "archive") as archive:
        archive.add(sorted(folder.glob("*.mseed")))
    return folder


def build(case: Path, out: Path, *words: object) -> int:
    given = ["--events", case / "run", "--stations", case / "run/stations.parquet", "--out", out, *words]
    return main(["dataset", "build", str(case / "archive"), *map(str, given)])


@pytest.fixture(scope="module")
def made(case: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "set"
    words = ("--noise", 0.25, "--licence", "XX=CC-BY-4.0", "--workers", 1)
    assert build(case, out, *words) == 3  # event 5 at CCC is in the gap
    return out


def read(out: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(out / f"{name}.parquet")


def test_every_sample_and_label_is_where_it_belongs(made: Path) -> None:
    """By h5py alone: the layout, and the ramp that tells each sample's time."""
    metadata = pd.read_csv(made / "metadata.csv", keep_default_na=False)
    assert (metadata["trace_category"] == "earthquake").sum() == 3 * N_EVENT - 1
    with h5py.File(made / "waveforms.hdf5") as file:
        assert file["data_format/dimension_order"][()] == b"CW"
        assert file["data_format/component_order"][()] == b"ZNE"
        assert file["data_format/sampling_rate"][()] == RATE
        for row in metadata.itertuples():
            bucket, _, place = row.trace_name.partition("$")
            number, rows, columns = place.split(",")
            data = file["data"][bucket][int(number), : int(rows[1:]), : int(columns[1:])]
            assert data.shape == (3, row.trace_npts) and data.dtype == np.float32
            first = (as_time(row.trace_start_time) - DAY) / np.timedelta64(1, "s") * RATE
            constant = {"AAA": (3, 2, 1), "BBB": (4, None, None), "CCC": (7, 6, 5)}[row.station_code]
            for samples, k in zip(data, constant, strict=True):
                if k is None:
                    assert not samples.any()
                else:
                    np.testing.assert_array_equal(samples, first + np.arange(row.trace_npts) + k * 1_000_000)
            if row.trace_category == "earthquake":
                sample = float(row.trace_P_arrival_sample)
                origin = (as_time(row.source_origin_time) - DAY) / np.timedelta64(1, "s")
                k = "ABC".index(row.station_code[0])
                assert (first + sample) / RATE == pytest.approx(origin + 3.004 + k, abs=1e-4)
                assert 20 * RATE <= sample <= 60 * RATE and row.trace_P_polarity == "positive"
    windows = metadata[metadata["trace_category"] == "earthquake"]
    assert windows["trace_P_arrival_sample"].nunique() > 60  # not always at the same sample


def test_noise_is_quiet(made: Path) -> None:
    metadata = pd.read_csv(made / "metadata.csv")
    noise = metadata[metadata["trace_category"] == "noise"]
    onsets = np.array([at(100 + 800 * i + 5) for i in range(N_EVENT)])
    starts = pd.to_datetime(noise["trace_start_time"]).dt.tz_localize(None).to_numpy()
    assert noise["source_id"].isna().all() and noise["trace_P_arrival_sample"].isna().all()
    for start in starts:
        since_s = (start - onsets) / np.timedelta64(1, "s")
        assert ((since_s > 590) | (since_s < -170)).all()


def test_what_is_left_out_is_told(made: Path) -> None:
    failures = read(made, "failures")
    gap = failures[failures["step"] == "dataset"]
    assert gap["subject"].str.startswith("XX.CCC").any()
    assert "of the samples are there" in " ".join(gap["message"])


def test_events_are_not_parted_and_the_card_says_so(made: Path) -> None:
    metadata = pd.read_csv(made / "metadata.csv")
    assert metadata.groupby("source_id")["split"].nunique().max() == 1
    assert set(metadata["split"]) == {"train", "dev", "test"}
    leaks = read(made, "leaks")
    assert not leaks.loc[leaks["forbidden"], "n"].any()
    text = (made / "card.md").read_text()
    assert "CC-BY-4.0" in text and "Split by event." in text and "| the same event | 0 |" in text
    assert (made / "card.png").stat().st_size > 10_000
    assert json.loads((made / "run.json").read_text())["configuration"]["noise"] == 0.25
    assert not list(made.glob(".*"))


@pytest.mark.parametrize("split", ["station", "time"])
def test_other_splits(case: Path, tmp_path: Path, split: str) -> None:
    assert build(case, tmp_path / "set", "--split", split) == 3
    metadata = pd.read_csv(tmp_path / "set/metadata.csv")
    leaks = read(tmp_path / "set", "leaks")
    assert not leaks.loc[leaks["forbidden"], "n"].any()
    if split == "station":
        assert metadata.groupby("station_code")["split"].nunique().max() == 1
    else:
        held = metadata["split"] != "train"
        assert metadata.loc[held, "trace_start_time"].min() > metadata.loc[~held, "trace_start_time"].max()


def test_our_reader_reads_it(made: Path) -> None:
    found = list(LabelledSet(made).records())
    with_onsets = [r for r in found if r.labels]
    assert len(with_onsets) == 3 * N_EVENT - 1
    one = next(r for r in with_onsets if r.event == "e3" and r.wave.ids[0].startswith("XX.AAA"))
    assert one.wave.ids == ("XX.AAA..HHZ", "XX.AAA..HHN", "XX.AAA..HHE")
    assert abs(one.labels["P"][0] - at(100 + 2400 + 3.004)) < np.timedelta64(50, "us")
    assert one.wave.data[0, 0] == 3_000_000 + one.wave.index(DAY) * -1


@pytest.mark.extra
def test_seisbench_reads_it(made: Path) -> None:
    if importlib.util.find_spec("seisbench") is None:
        pytest.skip("SeisBench is not installed")
    from seisbench.data import WaveformDataset

    dataset = WaveformDataset(made, sampling_rate=RATE, component_order="ZNE", dimension_order="NCW")
    assert len(dataset) == len(pd.read_csv(made / "metadata.csv"))
    assert len(dataset.train()) + len(dataset.dev()) + len(dataset.test()) == len(dataset)
    for i in (0, len(dataset) // 2, len(dataset) - 1):
        data, row = dataset.get_sample(i)
        first = (as_time(row["trace_start_time"]) - DAY) / np.timedelta64(1, "s") * RATE
        assert data.shape == (3, row["trace_npts"])
        assert (data[0, 0] - first) % 1_000_000 == 0


def test_a_set_that_is_there_stays(case: Path, made: Path) -> None:
    before = (made / "metadata.csv").read_bytes()
    assert build(case, made) == 2
    assert (made / "metadata.csv").read_bytes() == before


def test_a_killed_build_is_taken_up(case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "set"
    schemas = {"events": EVENTS, "arrivals": ARRIVALS, "picks": PICKS}
    catalogue = EventSet(
        *(table(pd.read_parquet(case / f"run/{n}.parquet").to_dict("records"), s) for n, s in schemas.items())
    )
    records, _ = Records.survey([case / "archive"])

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kaname.archive.dataset.write_traces", killed)
    with pytest.raises(KeyboardInterrupt):
        build_dataset(records, catalogue, None, out, DatasetSettings())
    monkeypatch.undo()
    n_read = []
    read_again = Records.read
    monkeypatch.setattr(Records, "read", lambda *a: n_read.append(1) or read_again(*a))
    report = build_dataset(records, catalogue, None, out, DatasetSettings())
    assert len(report.metadata) == 3 * N_EVENT - 1 and not n_read


def test_bad_input(case: Path, tmp_path: Path) -> None:
    records, _ = Records.survey([case / "archive"])
    events = table(pd.read_parquet(case / "run/events.parquet").to_dict("records"), EVENTS)
    with pytest.raises(InputError, match="no arrivals"):
        build_dataset(records, EventSet(events), None, tmp_path, DatasetSettings())
    assert build(case, tmp_path / "x", "--split", "row") == 2
    elsewhere = [{"event_id": "e0", "pick_id": "p", "station": "ZZZ", "phase": "P", "time": at(0)}]
    with pytest.raises(NotFoundError, match="codes and times"):
        build_dataset(
            records, EventSet(events, table(elsewhere, ARRIVALS)), None, tmp_path, DatasetSettings()
        )


class TestCache:
    def test_windows_are_the_samples(self, made: Path) -> None:
        cache = build_cache(made)
        records = list(LabelledSet(made).records())
        assert len(cache) == len(records) == len(cache.metadata)
        for i in (0, 7, len(cache) - 1):
            np.testing.assert_array_equal(cache.trace(i)[0], records[i].wave.data[0])
        rng = np.random.default_rng(0)
        numbers = rng.integers(0, len(cache), 200)
        first = rng.integers(-2000, 9000, 200)
        got = cache.windows(numbers, first, 1500)
        for window, i, start in zip(got, numbers, first, strict=True):
            padded = np.pad(cache.trace(i), ((0, 0), (3000, 15000)))
            np.testing.assert_array_equal(window, padded[:, 3000 + start : 4500 + start])
        assert cache.windows([], [], 100).shape == (0, 3, 100)

    def test_it_is_shared_and_cannot_be_written(self, made: Path) -> None:
        import pickle

        cache = build_cache(made)
        again = pickle.loads(pickle.dumps(cache))
        np.testing.assert_array_equal(again.trace(3), cache.trace(3))
        assert len(pickle.dumps(cache)) < 100_000
        with pytest.raises(ValueError, match="read-only"):
            cache.trace(0)[0, 0] = 1

    def test_what_is_wrong_is_told(self, tmp_path: Path) -> None:
        rows = [({"trace_component_order": "ZNEU"[:k]}, np.ones((k, 30 + k), "float32")) for k in (1, 3, 4)]
        write_traces(tmp_path, rows)
        with pytest.raises(NotFoundError, match="kaname dataset cache"):
            TraceCache(tmp_path)
        cache = build_cache(tmp_path)
        assert cache.windows([0], 0, 31)[0].sum(axis=1).tolist() == [31, 0, 0]
        with pytest.raises(InputError, match="three components"):
            cache.windows([2], 0, 10)
        with pytest.raises(InputError, match="there are 3"):
            cache.windows([3], 0, 10)
        with pytest.raises(InputError, match="shape"):
            cache.windows([0], 0, 10, out=np.empty((1, 3, 9), np.float32))
        with (tmp_path / "cache/samples.f32").open("r+b") as file:
            file.truncate(100)
        with pytest.raises(FormatError, match="cut short"):
            TraceCache(tmp_path)
        write_traces(tmp_path, rows[:2])
        with pytest.raises(FormatError, match="has changed"):
            TraceCache(tmp_path)


def test_the_card_of_a_foreign_set(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = shared_data / "magnitude/chile_seisbench_dummy"
    assert main(["dataset", "card", str(root), "--out", str(tmp_path), "--json"]) == 0
    rows = {r["part"]: r for r in json.loads(capsys.readouterr().out)["counts"]}
    assert rows["all"]["traces"] == 100 and rows["all"]["stations"] == 1
    assert [rows[p]["traces"] for p in ("train", "dev", "test")] == [60, 10, 30]
    assert rows["all"]["events"] is None and rows["all"]["P"] is None  # which is not the same as none
    assert "not stated" in (tmp_path / "card.md").read_text() and (tmp_path / "card.png").is_file()
