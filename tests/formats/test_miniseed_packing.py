"""Our own packing of miniSEED records, byte for byte beside libmseed's, and where ours must differ."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymseed import DataEncoding, MS3Record, MS3TraceList

from kaname.core.errors import InputError
from kaname.core.waveform import Waveform
from kaname.formats.contract import read_waveforms
from kaname.formats.miniseed import pack, write_miniseed
from kaname.formats.miniseed_packing import crc32c, rate_factors
from kaname.formats.miniseed_records import scan_records

START = np.datetime64("2024-02-29T23:59:59.999", "ns")
KINDS = {
    "steim1": ("i", np.int32),
    "steim2": ("i", np.int32),
    "int16": ("i", np.int16),
    "int32": ("i", np.int32),
    "float32": ("f", np.float32),
    "float64": ("d", np.float64),
}
times = st.integers(-(9 * 10**18), 9 * 10**18).map(lambda ns: np.datetime64(ns, "ns"))


def by_libmseed(wave: Waveform, encoding: str, version: int, length: int) -> list[bytes]:
    """Pack with libmseed, which has no channel codes but of three letters."""
    network, station, location, channel = wave.ids[0].split(".")
    record = MS3Record(reclen=length, encoding=int(getattr(DataEncoding, encoding.upper())))
    record.sourceid = f"FDSN:{network}_{station}_{location}_{'_'.join(channel)}"
    record.formatversion = version
    record.starttime = int(wave.start.astype(np.int64))
    record.samprate = wave.sampling_rate
    kind, _ = KINDS[encoding]
    samples = wave.data[0].astype(np.int32) if kind == "i" else wave.data[0]
    return list(record.generate(data_samples=np.ascontiguousarray(samples), sample_type=kind))


def walk(seed: int, n: int, encoding: str) -> np.ndarray:
    """Samples whose steps have every size, changing often, so that all ways of packing occur."""
    rng = np.random.default_rng(seed)
    bits = {"int16": 10, "steim2": 26}.get(encoding, 30)
    steps = rng.integers(-1, 2, n) * 2.0 ** np.repeat(rng.uniform(0, bits, n // 5 + 1), 5)[:n]
    steps[rng.random(n) < rng.random()] /= 64
    level = np.cumsum(np.round(steps))
    # Steps back lead back into range.
    return np.where(np.abs(level) < 2 ** min(bits + 2, 30), level, steps).astype(KINDS[encoding][1])


@settings(deadline=None, max_examples=150)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 4000),
    encoding=st.sampled_from(list(KINDS)),
    version=st.sampled_from([2, 3]),
    length=st.sampled_from([256, 512, 1024, 4096]),
    start=times,
    # Where the interval is no multiple of 0.1 ms libmseed writes more blockettes 1001 than needed.
    rate=st.sampled_from([1000.0, 100.0, 62.5, 31.25, 20.0, 1.0, 0.1, 1 / 3]),
)
def test_the_same_bytes_as_libmseed(seed, n, encoding, version, length, start, rate) -> None:
    wave = Waveform(walk(seed, n, encoding)[np.newaxis], ("XX.ABCD.00.HHZ",), start, rate)
    ours = list(pack(wave, version=version, record_length=length, encoding=encoding))
    theirs = by_libmseed(wave, encoding, version, length)
    assert len(ours) == len(theirs)
    for number, (one, other) in enumerate(zip(ours, theirs)):
        assert one == other, number


@pytest.mark.parametrize(
    ("version", "day"),
    [
        *(
            (v, d)
            for v in (2, 3)
            for d in ("1972-02-29", "1999-03-01", "2000-12-31", "2024-12-31", "2100-02-28")
        ),
        *((3, d) for d in ("1700-03-01", "1899-12-31", "2261-12-31")),
    ],
)
def test_days_of_every_kind_of_year(version, day) -> None:
    start = np.datetime64(f"{day}T23:59:59.123456", "ns")
    (record,) = pack(Waveform(np.arange(50)[np.newaxis], ("XX.A..HHZ",), start, 100.0), version=version)
    assert MS3Record.parse(record).starttime == start.astype(np.int64)


def test_a_month_of_records_knows_its_times(tmp_path) -> None:
    wave = Waveform(np.zeros((1, 3_000_000), np.int32), ("XX.A..LHZ",), START, 1.0)
    for version in (2, 3):
        table = scan_records(b"".join(pack(wave, version=version, record_length=4096))).table
        first = np.cumsum(table["n_sample"]) - table["n_sample"]
        assert np.array_equal(table["start"], START.astype(np.int64) + first * 10**9)
        assert table["n_sample"].sum() == wave.n_sample


def test_a_record_of_version_2_holds_no_more_samples_than_it_can_count() -> None:
    wave = Waveform(np.zeros((1, 200_000), np.int32), ("XX.A..LHZ",), START, 1.0)
    counts = [scan_records(r).table["n_sample"][0] for r in pack(wave, record_length=131072)]
    assert counts == [65535, 65535, 65535, 3395]
    assert len(list(pack(wave, version=3, record_length=131072))) == 1


@settings(deadline=None, max_examples=200)
@given(rate=st.floats(1e-6, 1e7))
def test_every_rate_is_stated_in_version_2(rate) -> None:
    factor, multiplier, exact = rate_factors(rate)
    assert all(0 < abs(v) < 1 << 15 for v in (factor, multiplier))
    (record,) = pack(Waveform(np.zeros((1, 5), np.int32), ("XX.A..HHZ",), START, rate))
    assert scan_records(record).table["rate"][0] == pytest.approx(rate, rel=1e-7)
    assert MS3Record.parse(record).samprate_raw != 0
    if exact:
        nominal = (factor if factor > 0 else -1 / factor) * (
            multiplier if multiplier > 0 else -1 / multiplier
        )
        assert nominal == pytest.approx(rate, rel=1e-7)


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        (100.0, (100, 1, True)),
        (1 / 60, (-60, -1, True)),
        (1 / 86400, (-288, -300, True)),
        (62.5, (125, -2, True)),
        (40000.0, (200, 200, True)),
        (1e6 / 3, (577, 578, False)),
    ],
)
def test_rates(rate, expected) -> None:
    assert rate_factors(rate)[2] == expected[2]
    if expected[2]:
        assert rate_factors(rate) == expected


def test_rates_beyond_version_2() -> None:
    wave = Waveform(np.zeros((1, 5), np.int32), ("XX.A..HHZ",), START, 2e9)
    with pytest.raises(InputError, match="write version 3"):
        list(pack(wave))
    (record,) = pack(wave, version=3)
    assert MS3Record.parse(record).samprate == 2e9


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(
    ("step", "fits"), [(2**29 - 1, True), (-(2**29), True), (2**29, False), (-(2**29) - 1, False)]
)
def test_differences_beyond_30_bits_are_written_as_32_bit_integers(tmp_path, version, step, fits) -> None:
    samples = np.array([0, 1, 2, 2 + step, 3 + step], np.int32)
    wave = Waveform(samples[np.newaxis], ("XX.A..HHZ",), START, 100.0)
    path = write_miniseed([wave], tmp_path / "f", version=version)
    assert scan_records(path).table["encoding"].tolist() == [11 if fits else 3]
    assert read_waveforms(path).blocks[0].data[0].tolist() == samples.tolist()
    assert (
        MS3TraceList.from_file(str(path), unpack_data=True)[0][0].np_datasamples.tolist() == samples.tolist()
    )
    if not fits:
        with pytest.raises(InputError, match="30 bits"):
            list(pack(wave, version=version, encoding="steim2"))


@settings(deadline=None, max_examples=100)
@given(
    samples=st.lists(
        st.one_of(st.integers(-3, 3), st.integers(-600, 600), st.integers(-(2**31), 2**31 - 1)),
        min_size=1,
        max_size=500,
    ),
    encoding=st.sampled_from(["steim1", None]),
    version=st.sampled_from([2, 3]),
)
def test_any_integers_are_read_back(tmp_path_factory, samples, encoding, version) -> None:
    wave = Waveform(np.array([samples], np.int32), ("XX.A..HHZ",), START, 100.0)
    path = tmp_path_factory.mktemp("f") / "f"
    write_miniseed([wave], path, version=version, encoding=encoding)
    read = read_waveforms(path)
    assert not read.failures
    (block,) = read.blocks
    assert (block.ids, block.start, block.sampling_rate) == (wave.ids, wave.start, wave.sampling_rate)
    assert block.data[0].tolist() == samples
    theirs = MS3TraceList.from_file(str(path), unpack_data=True)[0][0].np_datasamples
    assert theirs.tolist() == samples


def test_records_too_short_for_a_sample_are_refused() -> None:
    wave = Waveform(np.zeros((1, 5), np.int32), ("XX.A..HHZ",), START, 99.99987)
    with pytest.raises(InputError, match="no room"):
        list(pack(wave, record_length=128))


def test_letters_beyond_ascii_are_refused() -> None:
    wave = Waveform(np.zeros((1, 5), np.int32), ("XX.駅..HHZ",), START, 1.0)
    for version in (2, 3):
        with pytest.raises(InputError, match="ASCII"):
            list(pack(wave, version=version))


def test_samples_stay_as_they_are() -> None:
    samples = np.arange(4000, dtype=np.int32)
    samples.flags.writeable = False
    list(pack(Waveform(samples[np.newaxis], ("XX.A..HHZ",), START, 1.0)))


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"", 0), (b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)],
)
def test_checksum_of_published_vectors(data, expected) -> None:
    """RFC 3720, appendix B.4, and the catalogue's check value."""
    assert crc32c(np.frombuffer(data, np.uint8)) == expected
