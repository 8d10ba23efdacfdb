"""What is written is read back by other programs, and the proof finds every kind of damage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import obspy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kaname.core.errors import InputError
from kaname.core.waveform import Waveform
from kaname.formats.contract import read_waveforms
from kaname.formats.proof import prove_waveforms
from kaname.formats.writing import FORMATS, waveform_format

IN_FOLDER = [HealthCheck.function_scoped_fixture]


def block(n: int = 500, *, start: str = "2010-05-27T16:24:03.123456789", dtype: str = "int32") -> Waveform:
    samples = np.cumsum(np.random.default_rng(n).integers(-50, 51, n)).astype(dtype)
    return Waveform(samples[np.newaxis], ("BW.UH1..SHZ",), np.datetime64(start), 200.0)


def verdicts(before: list[Waveform], after: list[Waveform], name: str) -> dict[str, str]:
    return {row["aspect"]: row["verdict"] for row in prove_waveforms(before, after, FORMATS[name])}


@settings(max_examples=25, suppress_health_check=IN_FOLDER)
@given(
    st.integers(np.datetime64("1930", "ns").astype(int), np.datetime64("2190", "ns").astype(int)),
    st.sampled_from([0.01, 1.0, 3.0, 20.0, 31.25, 99.98, 100.0, 200.0, 1000.0]),
    st.sampled_from(["hdf5", "miniseed2", "miniseed3", "sac"]),
)
def test_every_format_keeps_samples_and_what_it_promises(
    tmp_path: Path, ns: int, rate: float, name: str
) -> None:
    given_block = replace(block(), start=np.datetime64(ns, "ns"), sampling_rate=rate)
    form = waveform_format(name)
    path = form.write([given_block], tmp_path / f"file{form.ending}")
    after = read_waveforms(path, format=form.reader)
    assert not after.failures
    found = verdicts([given_block], after.blocks, name)
    assert "wrong" not in found.values()
    assert found["samples"] == found["channels"] == "equal"
    if name != "miniseed2":
        assert found["start"] == "equal"


def test_obspy_reads_our_sac_to_the_microsecond(tmp_path: Path) -> None:
    given_block = replace(
        block(dtype="float32"), start=np.datetime64("2012-12-31T23:59:59.987654"), unit="nm/s"
    )
    (trace,) = obspy.read(FORMATS["sac"].write([given_block], tmp_path / "a.sac"))
    assert trace.id == given_block.ids[0] and trace.stats.sampling_rate == 200
    assert abs(trace.stats.starttime.ns - int(given_block.start.astype("int64"))) <= 1000
    np.testing.assert_array_equal(trace.data, given_block.data[0])
    assert trace.stats.sac.depmax == given_block.data.max() and trace.stats.sac.idep == 7
    assert not hasattr(trace.stats.sac, "khole")


def test_asdf_is_laid_out_as_the_definition_says(tmp_path: Path) -> None:
    blocks = [block(), block(300, start="2010-05-27T16:24:40"), block(20, start="2010-05-27T17:00:00.5")]
    path = FORMATS["hdf5"].write(blocks, tmp_path / "a.h5")
    with h5py.File(path) as file:
        assert file.attrs["file_format"] == b"ASDF" and file.attrs["file_format_version"] == b"1.0.3"
        stored = file["Waveforms/BW.UH1"]
        assert sorted(stored)[0] == "BW.UH1..SHZ__2010-05-27T16:24:03__2010-05-27T16:24:05__raw_recording"
        assert sorted(stored)[2].startswith("BW.UH1..SHZ__2010-05-27T17:00:00.500000000__")
        first = stored[sorted(stored)[0]]
        assert first.attrs["starttime"] == int(blocks[0].start.astype("int64"))
        np.testing.assert_array_equal(first[:], blocks[0].data[0])


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("sac", {"data": np.full((1, 9), (1 << 24) + 1)}, "no 32-bit float"),
        ("sac", {"ids": ("BW.A_LONG_STATION..SHZ",)}, "eight letters"),
        ("sac", {"start": np.datetime64("1850-01-01")}, "1900 to 2200"),
        ("sac", {"data": np.zeros((2, 9)), "ids": ("A.B..Z", "A.B..N")}, "one channel"),
        ("hdf5", {"ids": (".UH1..SHZ",)}, "no network"),
        ("hdf5", {"data": np.zeros((1, 9), "uint16")}, "uint16"),
        ("miniseed2", {"ids": ("BW.TOOLONG..SHZ",)}, "too long"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(tmp_path: Path, name: str, change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        FORMATS[name].write([replace(block(), **change)], tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(InputError, match="known are miniseed2"):
        waveform_format("gse")


def test_the_proof_finds_what_went_wrong() -> None:
    good = block()
    for damaged, aspect in [
        ([replace(good, data=good.data + (np.arange(500) == 250))], "samples"),
        ([replace(good, data=good.data[:, :-1])], "samples"),
        ([replace(good, data=np.concatenate([good.data, good.data[:, :3]], axis=1))], "samples"),
        ([replace(good, start=good.time(0.25))], "start"),
        ([replace(good, sampling_rate=200.01)], "sampling_rate"),
        ([replace(good, ids=("BW.UH2..SHZ",))], "channels"),
        ([], "samples"),
    ]:
        assert verdicts([good], damaged, "sac")[aspect] == "wrong"
    assert set(verdicts([good], [good], "hdf5").values()) == {"equal"}
    assert verdicts([good], [replace(good, unit="m/s")], "hdf5")["unit"] == "wrong"
    assert verdicts([good], [replace(good, unit="m/s")], "sac")["unit"] == "lost"


def test_the_proof_takes_joined_and_cut_blocks_for_the_same() -> None:
    whole = block()
    parts = [
        replace(whole, data=whole.data[:, :200]),
        replace(whole, data=whole.data[:, 200:], start=whole.time(200)),
    ]
    assert set(verdicts([whole], parts, "hdf5").values()) == {"equal"}
    assert set(verdicts(parts, [whole], "hdf5").values()) == {"equal"}


def test_nan_is_equal_to_nan() -> None:
    holed = block(dtype="float64")
    holed.data[0, 7] = np.nan
    assert set(verdicts([holed], [holed], "hdf5").values()) == {"equal"}
