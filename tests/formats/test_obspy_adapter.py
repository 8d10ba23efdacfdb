"""What the adapter adds to ObsPy's plug-ins: it tells what they pass over, and keeps the dangerous out."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import obspy
import pytest
from obspy import Stream, Trace, UTCDateTime, read

from kaname.core.errors import FormatError
from kaname.core.waveform import Waveform
from kaname.formats import obspy_adapter
from kaname.formats.contract import read_waveforms

IO = Path(obspy.__file__).parent / "io"
DEMO = Path(obspy.__file__).parent / "signal" / "tests" / "data"
REAL = [
    "gse2/tests/data/loc_RNON20040609200559.z",
    "gcf/tests/data/20160603_1910n.gcf",
    "seisan/tests/data/2005-07-23-1452-04S.CER___030",
    "css/tests/data/test_css.wfdisc",
    "ascii/tests/data/tspair.ascii.gz",
    "ascii/tests/data/slist.ascii.bz2",
    "segy/tests/data/1.sgy_first_trace",
    "sh/tests/data/QFILE-TEST.QHD",
    "y/tests/data/YAYT_BHZ_20021223.124800",
]


def _written(tmp_path: Path, form: str = "SLIST", **stats: object) -> Path:
    path = tmp_path / f"made.{form.lower()}"
    header = {"network": "AF", "station": "LABE", "channel": "SHZ", "starttime": 1e9, "sampling_rate": 100.0}
    Trace(np.arange(200, dtype="int32"), {**header, **stats}).write(str(path), form)
    return path


@pytest.mark.parametrize("name", REAL)
def test_same_as_obspy_on_real_files(name: str) -> None:
    blocks = read_waveforms(IO / name).blocks
    traces = sorted(read(str(IO / name)), key=lambda t: (t.id, t.stats.starttime))
    assert len(blocks) == len(traces)
    for block, trace in zip(blocks, traces, strict=True):
        assert block.ids == (trace.id,)
        assert int(block.start.astype("int64")) == trace.stats.starttime.ns
        assert block.sampling_rate == pytest.approx(trace.stats.sampling_rate, rel=1e-7)
        np.testing.assert_array_equal(block.data[0], trace.data)


def test_the_demo_records() -> None:
    reads = {p.name: read_waveforms(p) for p in sorted(DEMO.glob("BW.UH*.cut.slist.gz"))}
    assert {b.ids[0] for r in reads.values() for b in r.blocks} == {
        "BW.UH1..SHZ",
        "BW.UH2..SHZ",
        "BW.UH3..SHE",
        "BW.UH3..SHN",
        "BW.UH3..SHZ",
        "BW.UH4..EHZ",
    }
    assert not any(r.failures for r in reads.values())


def test_masked_trace_becomes_blocks_without_the_masked_samples(monkeypatch, tmp_path) -> None:
    samples = np.ma.array(np.arange(100), mask=False)
    samples[:3] = samples[40:60] = samples[97:] = np.ma.masked
    header = {"network": "AF", "station": "LABE", "channel": "SHZ", "starttime": 1e9, "sampling_rate": 10.0}
    trace = Trace(samples, header)
    path = _written(tmp_path)
    plugin = obspy_adapter.plugin

    def masked(kind, name, function):
        return plugin(kind, name, function) if function == "isFormat" else lambda _: Stream([trace])

    monkeypatch.setattr(obspy_adapter, "plugin", masked)
    monkeypatch.setattr(obspy_adapter, "_unit", lambda form, stats: "count")
    first, second = read_waveforms(path, format="obspy").blocks
    assert [first.data[0, 0], first.data[0, -1]] == [3, 39]
    assert [second.data[0, 0], second.data[0, -1]] == [60, 96]
    assert first.start == np.datetime64(UTCDateTime(1e9 + 0.3).ns, "ns")
    assert second.start == np.datetime64(UTCDateTime(1e9 + 6).ns, "ns")


def test_pickles_are_never_opened(tmp_path) -> None:
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    path = tmp_path / "trap.pickle"
    path.write_bytes(pickle.dumps([Stream([Trace(np.arange(3))]), Trap()]))
    with pytest.raises(FormatError):
        read_waveforms(path)
    read(str(IO / "ascii/tests/data/slist.ascii")).write(str(path), "PICKLE")
    with pytest.raises(FormatError):
        read_waveforms(path, format="obspy")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["http:", "BW*.slist", "[a]"])
def test_names_are_plain_names(tmp_path, name) -> None:
    path = tmp_path / name
    _written(tmp_path).rename(path)
    assert read_waveforms(path).blocks


def test_stated_unit(tmp_path) -> None:
    path = _written(tmp_path)
    head, data = path.read_text().split("INTEGER")
    for stated, unit in [(", Counts", "count"), (", M/S", "m/s"), (", Furlongs", "unknown"), ("", "unknown")]:
        path.write_text(f"{head}INTEGER{stated}\n{data.split(chr(10), 1)[1]}")
        assert read_waveforms(path).blocks[0].unit == unit


def test_text_cut_inside_a_number_loses_that_number(tmp_path) -> None:
    path = _written(tmp_path)
    text = path.read_text().rstrip()
    assert text.endswith("199")
    for number in (199, 150):
        path.write_text(text[: text.rindex(str(number)) + 2])
        read = read_waveforms(path)
        assert read.blocks[0].data[0, -1] == number - 1
        assert "200 samples stated" in read.failures[0]["message"]


def test_time_that_nobody_stated_is_refused(tmp_path) -> None:
    with pytest.raises(FormatError, match="states no time"):
        read_waveforms(_written(tmp_path, "WAV"))


def test_rates_of_32_bit_intervals_are_whole() -> None:
    (block,) = read_waveforms(IO / "gse2/tests/data/loc_STAU20031119011659.z").blocks
    assert block.sampling_rate == 125


def test_nameless_traces_are_told_apart_only_when_they_must(tmp_path) -> None:
    path = tmp_path / "apart.slist"
    samples = np.arange(200, dtype="int32")
    traces = [Trace(samples, {"channel": c, "starttime": 1e9}) for c in ("SHE", "SHZ")]
    Stream(traces).write(str(path), "SLIST")
    apart = read_waveforms(path)
    assert [b.ids[0] for b in apart.blocks] == ["...SHE", "...SHZ"]
    numbered = read_waveforms(IO / "sh/tests/data/101.QHD")
    assert [b.ids[0] for b in numbered.blocks[:2]] == [".0001..", ".0002.."]
    assert "state no station" in numbered.failures[0]["message"]


def test_codes_that_are_no_codes_are_rewritten_and_told() -> None:
    read = read_waveforms(IO / "seisan/tests/data/1996-06-03-1917-52S.TEST__002")
    assert [b.ids[0] for b in read.blocks] == [".KBS..L_Z", ".KONO..L_Z"]
    assert len(read.failures) == 1


def test_warnings_of_obspy_are_failures() -> None:
    read = read_waveforms(IO / "reftek/tests/data/221935615_00000000")
    assert any(f["error"] == "Warning" and "truncated" in f["message"] for f in read.failures)


def test_wrong_checksum_names_file_and_reason() -> None:
    with pytest.raises(FormatError, match=r"wrong_chksum.*checksums"):
        read_waveforms(IO / "gse2/tests/data/loc_RJOB20050831023349.z.wrong_chksum")


def test_gse_line_that_would_overrun_obspys_buffer(tmp_path) -> None:
    path = _written(tmp_path, "GSE2")
    head, data = path.read_bytes().split(b"DAT2\n")
    path.write_bytes(head + b"DAT2\n" + b"A" * 500 + b"\n" + data)
    with pytest.raises(FormatError, match="GSE allows 82"):
        read_waveforms(path)


def test_blocks_are_waveforms_of_one_channel() -> None:
    for name in REAL:
        for block in read_waveforms(IO / name).blocks:
            assert isinstance(block, Waveform)
            assert block.n_channel == 1
