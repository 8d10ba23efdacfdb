"""Our own unpacking of Steim against libmseed's, on good and on damaged records."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np
import obspy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaname.core.time import as_time
from kaname.core.waveform import Waveform
from kaname.formats import miniseed_sections
from kaname.formats.contract import WaveformRead, read_waveforms
from kaname.formats.miniseed import pack
from kaname.formats.miniseed_records import scan_records
from kaname.formats.steim import unpack

START = as_time("2024-05-06T07:08:09.5")


def columns(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    table = scan_records(data).table
    return table["length"].astype(np.int64), table["n_sample"].astype(np.int64)


def records(samples: np.ndarray, encoding: str, length: int = 512, version: int = 2) -> bytes:
    block = Waveform(samples[np.newaxis], ("XX.ABC.10.HHZ",), START, 100.0)
    return b"".join(pack(block, version=version, record_length=length, encoding=encoding))


def walk(seed: int, n: int) -> np.ndarray:
    """Samples whose steps have every size, so that all ways of packing occur."""
    rng = np.random.default_rng(seed)
    steps = rng.integers(-1, 2, n) * 2.0 ** rng.choice(rng.uniform(0, 27, 6), n)
    steps[rng.random(n) < 0.3] = 0
    # Steps back lead back into range.
    level = np.cumsum(steps)
    return np.round(np.where(np.abs(level) < 2**28, level, steps)).astype(np.int32)


@given(
    seed=st.integers(0, 10_000),
    n=st.integers(1, 3000),
    encoding=st.sampled_from(["steim1", "steim2"]),
    length=st.sampled_from([128, 256, 512, 4096]),
)
@settings(max_examples=60, deadline=None)
def test_what_libmseed_packs_is_unpacked(seed: int, n: int, encoding: str, length: int) -> None:
    samples = walk(seed, n)
    data = records(samples, encoding, length)
    found = unpack(data, *columns(data))
    assert found is not None and found.dtype == np.int32
    assert np.array_equal(found, samples)


@pytest.mark.parametrize("encoding", ["STEIM1", "STEIM2"])
def test_what_another_program_packs_is_unpacked(encoding: str) -> None:
    samples = walk(3, 5000)
    for order in "><":
        file = io.BytesIO()
        stream = obspy.Stream([obspy.Trace(samples)])
        stream.write(file, "MSEED", encoding=encoding, byteorder=order, reclen=512)
        data = file.getvalue()
        found = unpack(data, *columns(data))
        # Little-endian differences lie otherwise in their words; they are rare, and libmseed's.
        assert found is None if order == "<" else np.array_equal(found, samples)


def test_differences_of_32_bits_run_over() -> None:
    samples = np.array([2**31 - 1, -(2**31), 0, -(2**31), 2**31 - 1] * 20, np.int32)
    data = records(samples, "steim1")
    found = unpack(data, *columns(data))
    assert found is not None and np.array_equal(found, samples)


@pytest.mark.parametrize(("encoding", "version"), [("int32", 2), ("int16", 2), ("steim2", 3), ("steim1", 3)])
def test_everything_else_is_left_to_libmseed(encoding: str, version: int) -> None:
    data = records(walk(1, 1000) % 1000, encoding, version=version)
    assert unpack(data, *columns(data)) is None


def test_another_number_of_samples_and_a_cut_are_doubted() -> None:
    data = records(walk(1, 1000), "steim2")
    lengths, n_samples = columns(data)
    n_samples[1] += 1
    assert unpack(data, lengths, n_samples) is None
    n_samples[1] -= 1
    assert unpack(data, lengths, n_samples) is not None
    assert unpack(data[:-1], lengths, n_samples) is None


@given(
    seed=st.integers(0, 10_000),
    encoding=st.sampled_from(["steim1", "steim2"]),
    flips=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), min_size=1, max_size=4),
)
@settings(max_examples=80, deadline=None)
def test_damaged_records_read_as_with_libmseed_alone(
    seed: int, encoding: str, flips: list[tuple[float, int]]
) -> None:
    data = bytearray(records(walk(seed, 1500), encoding))
    for place, bits in flips:
        # Behind the headers of the records, which are not what is unpacked.
        at = int(place * (len(data) - 1))
        data[at if at % 512 >= 64 else min(at + 64, len(data) - 1)] ^= bits
    with tempfile.NamedTemporaryFile(suffix=".mseed") as file:
        file.write(bytes(data))
        file.flush()
        ours = read_waveforms(Path(file.name))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(miniseed_sections, "unpack", lambda *_: None)
            theirs = read_waveforms(Path(file.name))
    assert same(ours, theirs)


def same(a: WaveformRead, b: WaveformRead) -> bool:
    return a.failures == b.failures and [(w.ids, w.start, w.data.tolist()) for w in a.blocks] == [
        (w.ids, w.start, w.data.tolist()) for w in b.blocks
    ]
