"""SAC against ObsPy's reader and writer, and the traps of its 32-bit header."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import obspy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from obspy import Trace, UTCDateTime, read

from kaname.core.errors import FormatError
from kaname.formats.contract import read_waveforms
from kaname.formats.sac import sampling_rate

SAMPLES = Path(obspy.__file__).parent / "io" / "sac" / "tests" / "data"
NANO = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _header(path: Path, word: int, value: float, kind: str = "<i4") -> None:
    content = bytearray(path.read_bytes())
    content[4 * word : 4 * word + 4] = np.array(value, kind).tobytes()
    path.write_bytes(content)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.sac"
    Trace(
        np.arange(500, dtype="float32"),
        {
            "network": "NZ",
            "station": "GCSZ",
            "location": "10",
            "channel": "EHZ",
            "starttime": 1e9,
            "delta": 0.01,
        },
    ).write(str(path), "SAC", byteorder="<")
    return path


@pytest.mark.parametrize(
    "rate",
    [
        1,
        20,
        31.25,
        50,
        75.19,
        99.98,
        100,
        125,
        128,
        200,
        250,
        300,
        333,
        400,
        500,
        512,
        1000,
        3000,
        4096,
        1 / 60,
    ],
)
def test_rate_comes_back_from_the_32_bit_interval(rate: float) -> None:
    assert sampling_rate(np.float32(1 / rate)) == pytest.approx(rate, rel=2e-7)
    if rate == int(rate) or rate in (31.25, 1 / 60):
        assert sampling_rate(np.float32(1 / rate)) == rate


@given(st.integers(1, 20_000))
def test_every_whole_rate_is_exact(rate: int) -> None:
    assert sampling_rate(np.float32(1) / np.float32(rate)) == rate
    assert sampling_rate(np.float64(1) / rate) == rate


@given(st.floats(1e-4, 1e4))
def test_any_rate_stays_within_the_precision_of_the_interval(rate: float) -> None:
    delta = np.float32(1 / rate)
    assert abs(1 / sampling_rate(delta) - float(delta)) <= 2.001 * float(np.spacing(delta))


def test_obspy_rounds_the_interval_to_microseconds_and_we_do_not(good: Path) -> None:
    _header(good, 0, 1 / 300, "<f4")
    assert read_waveforms(good).blocks[0].sampling_rate == 300
    with pytest.warns(UserWarning, match="microsecond precision"):
        assert abs(read(str(good))[0].stats.sampling_rate - 300) > 0.02


@NANO
@given(
    rate=st.sampled_from([1.0, 20.0, 40.0, 50.0, 100.0, 125.0, 200.0, 250.0, 1000.0]),
    start_ms=st.integers(0, 4_000_000_000_000),
    samples=st.lists(st.floats(width=32, allow_nan=True), min_size=1, max_size=50),
    byteorder=st.sampled_from("<>"),
)
def test_round_trip_through_obspy_writer(tmp_path, rate, start_ms, samples, byteorder) -> None:
    path = tmp_path / "trip.sac"
    header = {
        "network": "AF",
        "station": "LABE",
        "channel": "SHZ",
        "starttime": UTCDateTime(ns=start_ms * 1_000_000),
        "sampling_rate": rate,
    }
    Trace(np.array(samples, "float32"), header).write(str(path), "SAC", byteorder=byteorder)
    (block,) = read_waveforms(path).blocks
    assert block.ids == ("AF.LABE..SHZ",)
    assert block.start == np.datetime64(start_ms, "ms")
    assert block.sampling_rate == rate
    np.testing.assert_array_equal(block.data[0], np.array(samples, "float32"))


@pytest.mark.parametrize("name", ["dis.G.SCZ.__.BHE_short", "test.sac", "test.sac.swap", "seism.sac"])
def test_same_as_obspy_on_real_files(name: str) -> None:
    (block,), (trace,) = read_waveforms(SAMPLES / name).blocks, read(str(SAMPLES / name))
    np.testing.assert_array_equal(block.data[0], trace.data)
    assert block.ids == (trace.id,)
    assert abs(int(block.start.astype("int64")) - trace.stats.starttime.ns) <= 32_000  # B is a 32-bit 549 s
    assert block.sampling_rate == pytest.approx(trace.stats.sampling_rate, rel=1e-9)


def test_interval_that_is_two_roundings_off() -> None:
    (block,) = read_waveforms(SAMPLES / "sample_spacing_rounding_issue.sac").blocks
    assert block.sampling_rate == 25


def test_unit_is_what_idep_states(good: Path) -> None:
    for idep, unit in [(5, "unknown"), (-12345, "unknown"), (6, "nm"), (7, "nm/s"), (8, "nm/s^2"), (50, "V")]:
        _header(good, 86, idep)
        assert read_waveforms(good).blocks[0].unit == unit


def test_first_sample_is_the_shortest_decimal_after_the_reference(good: Path) -> None:
    before = read_waveforms(good).blocks[0].start
    _header(good, 5, 0.01, "<f4")
    assert read_waveforms(good).blocks[0].start - before == np.timedelta64(10, "ms")


def test_version_7_takes_interval_and_begin_from_its_footer(good: Path) -> None:
    _header(good, 76, 7)
    without = read_waveforms(good)
    assert "footer" in without.failures[0]["message"]
    footer = np.full(22, -12345.0)
    footer[:2] = 1 / 99.998, 3600.0001
    with good.open("ab") as file:
        file.write(footer.astype("<f8").tobytes())
    read = read_waveforms(good)
    assert not read.failures
    assert read.blocks[0].sampling_rate == 99.998
    assert read.blocks[0].start - without.blocks[0].start == np.timedelta64(3_600_000_100_000, "ns")


def test_truncated_and_overlong(good: Path) -> None:
    whole = good.read_bytes()
    good.write_bytes(whole[:-401])
    read = read_waveforms(good)
    assert read.blocks[0].n_sample == 399
    assert "500 samples, found 399" in read.failures[0]["message"]
    good.write_bytes(whole + b"12345678")
    read = read_waveforms(good)
    assert read.blocks[0].n_sample == 500
    assert "8 bytes after the samples" in read.failures[0]["message"]
    good.write_bytes(whole[:632])
    with pytest.raises(FormatError, match="without samples"):
        read_waveforms(good)


@pytest.mark.parametrize(
    ("word", "value", "kind", "message"),
    [
        (85, 2, "<i4", "IFTYPE 2"),
        (105, 0, "<i4", "LEVEN 0"),
        (70, -12345, "<i4", "no place in time"),
        (71, 400, "<i4", "no place in time"),
        (0, np.nan, "<f4", "DELTA"),
        (0, -0.01, "<f4", "DELTA"),
        (0, 0.0, "<f4", "DELTA"),
        (5, -12345.0, "<f4", "B "),
    ],
)
def test_header_that_cannot_be_placed_is_refused(good: Path, word, value, kind, message) -> None:
    _header(good, word, value, kind)
    with pytest.raises(FormatError, match=message):
        read_waveforms(good)


def test_unstated_and_odd_codes(good: Path) -> None:
    content = bytearray(good.read_bytes())
    content[440:448] = b"-12345  "
    good.write_bytes(content)
    read = read_waveforms(good)
    assert read.blocks[0].ids == ("NZ..10.EHZ",)
    assert "states no station" in read.failures[0]["message"]
    content[440:448] = b"../../x\0"
    good.write_bytes(content)
    read = read_waveforms(good)
    assert read.blocks[0].ids == ("NZ.______x.10.EHZ",)
    assert "cannot be SEED codes" in read.failures[0]["message"]


@pytest.mark.parametrize("word", [0, 5])
@pytest.mark.parametrize("value", [5e9, -3.4e10, 1e38])
def test_times_beyond_any_record_are_damage(good, word, value):
    """DELTA (word 0) and B (word 5) that no clock of nanoseconds can hold."""
    _header(good, word, value, "<f4")
    with pytest.raises(FormatError, match="DELTA"):
        read_waveforms(good)
