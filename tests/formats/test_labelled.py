"""Labelled sets in every layout, written here or real, with what can be wrong in them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from kaname.core.errors import FormatError, InputError, NotFoundError
from kaname.core.time import as_time
from kaname.formats.labelled import EPOCH, LabelledSet, random_window, shifted
from kaname.formats.seisbench_data import traces, write_traces


def write_npz(root: Path, n: int = 3) -> Path:
    folder = root / "waveform"
    folder.mkdir(parents=True)
    lines = ["fname,itp,its,channels"]
    for i in range(n):
        name = f"NC_ABC_20170101000000{i:02d}.npz"
        data = np.arange(9001 * 3).reshape(9001, 3) + i
        np.savez(folder / name, data=data)
        lines.append(f"{name},3000,{3200 + i},{'EHZ' if i == 1 else 'EHE_EHN_EHZ'}")
    (root / "waveform.csv").write_text("\n".join(lines) + "\n")
    return root


def test_npz(tmp_path: Path) -> None:
    given = LabelledSet(write_npz(tmp_path / "set"))
    first, second, _ = given.records()
    assert (given.name, given.layout, given.failures) == ("set", "npz", [])
    assert first.wave.ids == ("NC.ABC..EHE", "NC.ABC..EHN", "NC.ABC..EHZ")
    assert first.wave.data[:, 10].tolist() == [30, 31, 32] and first.wave.sampling_rate == 100
    assert first.seconds("P") == [30.0] and first.seconds("S") == [32.0]
    assert second.wave.ids == ("NC.ABC..EHZ",) and second.wave.data[0, 0] == 3
    assert second.seconds("S") == [32.01]
    assert [r.name for r in given.records(keep=lambda e, s: e.endswith("02.npz"))] == [
        "NC_ABC_2017010100000002.npz"
    ]


def test_bad_records_are_listed_and_the_rest_is_read(tmp_path: Path) -> None:
    root = write_npz(tmp_path, 4)
    names = sorted(p.name for p in (root / "waveform").iterdir())
    (root / "waveform" / names[0]).write_bytes(b"PK truncated")
    (root / "waveform" / names[1]).unlink()
    np.savez(root / "waveform" / names[2], data=np.zeros((9001, 2)))
    given = LabelledSet(root)
    assert [r.name for r in given.records()] == [names[3]]
    assert [Path(f["subject"]).name for f in given.failures] == names[:3]
    assert "(9001, 2)" in given.failures[2]["message"]


def test_what_is_no_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no folder"):
        LabelledSet(tmp_path / "nowhere")
    with pytest.raises(FormatError, match="no labelled set"):
        LabelledSet(tmp_path)


def test_random_windows_keep_labels_at_their_samples(tmp_path: Path) -> None:
    for record in LabelledSet(write_npz(tmp_path)).records():
        cut = random_window(record)
        assert cut.wave.n_sample < 9001 and cut.wave.start == random_window(record).wave.start
        for phase in "PS":
            (time,) = cut.labels[phase]
            before, after = record.wave.index(time), cut.wave.index(time)
            assert cut.wave.data[0, round(after)] == record.wave.data[0, round(before)]
            assert after >= 499.9 and cut.wave.n_sample - after >= 499.9


def test_cut_drops_labels_outside_and_shifted_moves_them(tmp_path: Path) -> None:
    record = next(iter(LabelledSet(write_npz(tmp_path)).records()))
    assert set(record.cut(0, 3100).labels) == {"P"}
    assert shifted(record, 0.12).seconds("P") == [pytest.approx(30.12)]
    with pytest.raises(InputError, match="finite"):
        shifted(record, float("nan"))


def write_seisbench(root: Path, chunk: str = "") -> None:
    root.mkdir(exist_ok=True)
    data = np.arange(2 * 3 * 400, dtype=float).reshape(2, 3, 400)
    data[1, 2] = 0
    with h5py.File(root / f"waveforms{chunk}.hdf5", "w") as file:
        file["data/bucket0"] = data
        file["data/alone"] = data[0].T
        file["data_format/component_order"] = "ZNE"
        file["data_format/dimension_order"] = "CW"
        file["data_format/sampling_rate"] = 50
    (root / f"metadata{chunk}.csv").write_text(
        "trace_name,trace_start_time,station_network_code,station_code,station_location_code,trace_channel,"
        "trace_P_arrival_sample,trace_Sg_arrival_sample,trace_PmP_arrival_sample,source_id,split,"
        "trace_dimension_order\n"
        '"bucket0$0,:3,:400",2020-01-01T00:00:10Z,CX,PB01,10,HH,100,150.5,120,ev1,train,\n'
        '"bucket0$1,:3,:300",2020/01/02 00:00:00.5,CX,PB02,,BH,50,,,ev2,dev,\n'
        "alone,,CX,PB03,,HH,,60,,ev3,test,WC\n"
        "gone,,CX,PB04,,HH,,60,,ev4,test,\n"
    )


@pytest.mark.parametrize("chunk", ["", "_a"])
def test_seisbench(tmp_path: Path, chunk: str) -> None:
    write_seisbench(tmp_path, chunk)
    given = LabelledSet(tmp_path, "mine")
    one, two, three = given.records()
    assert one.wave.ids == ("CX.PB01.10.HHZ", "CX.PB01.10.HHN", "CX.PB01.10.HHE")
    assert one.wave.start == as_time("2020-01-01T00:00:10") and one.wave.sampling_rate == 50
    assert one.seconds("P") == [2.0] and one.seconds("S") == [3.01]
    assert (one.event, one.split, two.split) == ("ev1", "train", "dev")
    assert two.wave.data.shape == (2, 300) and set(two.labels) == {"P"}
    assert three.wave.data.shape == (3, 400) and three.wave.start == EPOCH
    assert np.array_equal(three.wave.data, one.wave.data)
    assert len(given.failures) == 1 and "gone" in given.failures[0]["subject"]
    assert [r.event for r in given.records(keep=lambda e, s: s == "test")] == ["ev3"]


def test_seisbench_chile(shared_data: Path) -> None:
    records = list(LabelledSet(shared_data / "magnitude/chile_seisbench_dummy").records())
    assert len(records) == 100 and all(not r.labels for r in records)
    assert records[0].wave.start == as_time("2007-01-01T01:42:45.08")
    assert records[0].wave.sampling_rate == 20 and records[0].wave.ids[0] == "CX.PB01..BHZ"


def test_a_seisbench_set_without_traces_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no trace"):
        write_traces(tmp_path, [])
    assert not list(tmp_path.iterdir())
    with pytest.raises(FormatError, match=r"metadata\.csv"):
        next(traces(tmp_path))


def test_chile_written_again_is_the_same(shared_data: Path, tmp_path: Path) -> None:
    """Every column as text, every sample, and the layout that SeisBench has."""
    root = shared_data / "magnitude/chile_seisbench_dummy"
    write_traces(tmp_path, traces(root), {"sampling_rate": 20})
    before, after = list(traces(root)), list(traces(tmp_path))
    assert len(before) == len(after) == 100
    for (one, data), (other, again) in zip(before, after, strict=True):
        assert {k: v for k, v in one.items() if k != "trace_name"} == {
            k: v for k, v in other.items() if k != "trace_name"
        }
        assert data.dtype == again.dtype
        np.testing.assert_array_equal(data, again)
    with h5py.File(tmp_path / "waveforms.hdf5") as file:
        assert file["data_format/component_order"][()] == b"ZNE"
        assert file["data_format/dimension_order"][()] == b"CW"
        assert file["data/bucket0"].shape == (100, 3, 1200)
    assert after[7][0]["trace_name"] == "bucket0$7,:3,:1200"


def test_sfiles(shared_data: Path) -> None:
    """Against ObsPy's own reading of one event."""
    from obspy.io.nordic.core import read_nordic

    given = LabelledSet(shared_data / "network/nz_samba_2013", "nz")
    records = list(given.records(keep=lambda event, _: event == "2013-09-01T04:1"))
    path = next((shared_data / "network/nz_samba_2013/REA").glob("01-0411-15L*"))
    picks = [p for p in read_nordic(str(path))[0].picks if p.phase_hint in "PS"]
    own = [r for r in records if r.name.startswith(path.name)]
    found = {(r.wave.sensor.split(".")[1], p, t) for r in own for p, ts in r.labels.items() for t in ts}
    assert found == {(p.waveform_id.station_code, p.phase_hint, as_time(p.time)) for p in picks}
    assert all(
        0 <= seconds <= r.wave.duration_s for r in own for phase in r.labels for seconds in r.seconds(phase)
    )
