"""miniSEED against ObsPy and pymseed on real files, round trips, and every kind of damage."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import obspy
import pymseed
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from obspy.io.mseed import InternalMSEEDError, ObsPyMSEEDFilesizeTooSmallError

from kaname.core.errors import FormatError, InputError, StorageError
from kaname.core.waveform import Waveform
from kaname.formats.contract import WaveformRead, read_waveforms
from kaname.formats.miniseed import pack, write_miniseed
from kaname.formats.miniseed_records import Fault, scan_records
from kaname.formats.miniseed_sections import sections

REAL = Path(obspy.__file__).parent / "io" / "mseed" / "tests" / "data"
FILES = sorted(p for p in (*REAL.iterdir(), *(REAL / "encoding").iterdir()) if p.is_file())
START = np.datetime64("2020-02-29T23:59:50.123456", "ns")


def block(n: int = 5000, *, start: np.datetime64 = START, rate: float = 100.0, seed: int = 0) -> Waveform:
    rng = np.random.default_rng(seed)
    samples = np.cumsum(rng.integers(-50, 51, n)).astype(np.int32)
    return Waveform(samples[np.newaxis], ("XX.ABC.00.HHZ",), start, rate)


def later(wave: Waveform, n_sample: float) -> np.datetime64:
    return wave.time(wave.n_sample + n_sample)


def read_bytes(folder: Path, data: bytes, **window: np.datetime64) -> WaveformRead:
    path = folder / "file.mseed"
    path.write_bytes(data)
    return read_waveforms(path, **window)


def packed(wave: Waveform, **options: object) -> list[bytes]:
    return list(pack(wave, **options))


class TestRealFiles:
    """ObsPy's own collection of odd miniSEED."""

    @pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
    @pytest.mark.filterwarnings("ignore")
    def test_every_trace_that_obspy_reads_is_there(self, path):
        try:
            stream = obspy.read(path, format="MSEED")
        except (InternalMSEEDError, ObsPyMSEEDFilesizeTooSmallError, ValueError) as error:
            pytest.skip(f"ObsPy cannot read it: {error}")
        if not stream:
            pytest.skip("ObsPy finds nothing in it")
        blocks = read_waveforms(path).blocks
        n_sample = 0
        for trace in stream:
            if not trace.stats.npts or trace.data.dtype.kind == "S":
                continue
            n_sample += trace.stats.npts
            start = np.datetime64(trace.stats.starttime.ns, "ns")
            match = [
                b
                for b in blocks
                if b.ids == (trace.id,)
                and abs((b.start - start).astype(int)) < 1000
                and b.sampling_rate == pytest.approx(trace.stats.sampling_rate, rel=1e-7)
            ]
            assert len(match) == 1
            np.testing.assert_array_equal(match[0].data[0], trace.data)
        distinct = {(t.id, t.stats.starttime.ns, t.stats.npts) for t in stream if t.data.dtype.kind != "S"}
        assert sum(b.n_sample for b in blocks) == sum(n for *_, n in distinct) <= n_sample

    @pytest.mark.parametrize("name", ["not2.mseed", "not3.mseed"])
    def test_what_is_no_miniseed_is_not_taken_for_it(self, name):
        with pytest.raises(FormatError):
            read_waveforms(REAL / name, format="miniseed")

    @pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
    def test_headers_agree_with_libmseed(self, path):
        try:
            expected = [
                (r.starttime, r.samplecnt, r.reclen, r.formatversion)
                for r in pymseed.MS3Record.from_file(str(path), skip_not_data=True)
            ]
        except pymseed.MiniSEEDError:
            pytest.skip("libmseed cannot read it")
        table = scan_records(path).table
        found = [tuple(row) for row in table[["start", "n_sample", "length", "version"]].tolist()]
        if path.name == "infinite-loop.mseed":
            assert set(expected) <= set(found)
        else:
            assert found == expected
        rates = [r.samprate for r in pymseed.MS3Record.from_file(str(path), skip_not_data=True)]
        if len(rates) == len(table):
            np.testing.assert_allclose(table["rate"], rates, rtol=1e-7)

    def test_shared_network_records_agree_with_obspy(self, shared_data):
        paths = sorted((shared_data / "network" / "nz_samba_2013" / "WAV").rglob("*"))
        paths = [p for p in paths if p.is_file()][:4]
        assert paths
        for path in paths:
            ours = {b.ids[0]: b for b in read_waveforms(path).blocks}
            for trace in obspy.read(path):
                np.testing.assert_array_equal(ours[trace.id].data[0], trace.data)
                assert (
                    abs(ours[trace.id].start - np.datetime64(trace.stats.starttime.ns, "ns")).astype(int)
                    < 1000
                )


codes = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", max_size=5)
times = st.integers(-(10**18), 4 * 10**18).map(lambda ns: np.datetime64(ns // 1000 * 1000, "ns"))
int32 = st.integers(-(2**31), 2**31 - 1)


class TestRoundTrip:
    @settings(deadline=None, max_examples=60)
    @given(
        samples=st.one_of(
            st.lists(int32, min_size=1, max_size=900).map(lambda v: np.array(v, np.int32)),
            st.lists(st.integers(-500, 500), min_size=1, max_size=3000).map(lambda v: np.array(v, np.int64)),
            st.lists(st.floats(width=32), min_size=1, max_size=300).map(lambda v: np.array(v, np.float32)),
            st.lists(st.floats(), min_size=1, max_size=300).map(lambda v: np.array(v, np.float64)),
        ),
        identifier=st.tuples(
            codes.map(lambda c: c[:2]),
            codes,
            codes.map(lambda c: c[:2]),
            st.sampled_from(["HHZ", "EH1", "LOG"]),
        ),
        start=times,
        rate=st.sampled_from([100.0, 250.0, 0.1, 1 / 3, 31.25, 99.99987, 12345.678]),
        version=st.sampled_from([2, 3]),
        record_length=st.sampled_from([256, 512, 4096]),
    )
    def test_what_is_written_is_read(
        self, tmp_path_factory, samples, identifier, start, rate, version, record_length
    ):
        wave = Waveform(samples[np.newaxis], (".".join(identifier),), start, rate)
        path = tmp_path_factory.mktemp("round") / "file.mseed"
        write_miniseed([wave], path, version=version, record_length=record_length)
        read = read_waveforms(path)
        assert not read.failures
        (found,) = read.blocks
        assert found.ids == wave.ids
        assert found.start == wave.start
        assert found.sampling_rate == pytest.approx(rate, rel=1e-7 if version == 2 else 1e-15)
        np.testing.assert_array_equal(found.data, wave.data)
        if version == 2:
            trace = obspy.read(path)[0]
            np.testing.assert_array_equal(trace.data, wave.data[0])
        libmseed = pymseed.MS3TraceList.from_file(str(path), unpack_data=True)
        np.testing.assert_array_equal(libmseed[0][0].np_datasamples, wave.data[0])

    def test_version_3_keeps_nanoseconds_and_long_codes(self, tmp_path):
        wave = replace(
            block(), ids=("NETWORK1.STATION1.LOC1.H_VER_Z",), start=START + np.timedelta64(789, "ns")
        )
        write_miniseed([wave], tmp_path / "f", version=3)
        (found,) = read_waveforms(tmp_path / "f").blocks
        assert (found.ids, found.start) == (wave.ids, wave.start)

    @pytest.mark.parametrize("encoding", ["steim1", "steim2", "int16", "int32"])
    @pytest.mark.parametrize("version", [2, 3])
    def test_every_encoding_of_integers(self, tmp_path, encoding, version):
        wave = block()
        write_miniseed([wave], tmp_path / "f", version=version, encoding=encoding)
        np.testing.assert_array_equal(read_waveforms(tmp_path / "f").blocks[0].data, wave.data)

    @pytest.mark.parametrize("byteorder", ["<", ">"])
    @pytest.mark.parametrize("record_length", [256, 1024, 8192])
    def test_both_byte_orders(self, tmp_path, byteorder, record_length):
        wave = block()
        wave.to_stream().write(tmp_path / "f", "MSEED", byteorder=byteorder, reclen=record_length)
        (found,) = read_waveforms(tmp_path / "f").blocks
        assert found.start == wave.start
        np.testing.assert_array_equal(found.data, wave.data)

    @pytest.mark.parametrize(
        ("samples", "options", "message"),
        [
            (np.array([0.5]), {"encoding": "steim2"}, "without loss"),
            (np.array([2**40]), {}, "does not fit"),
            (np.array([40000]), {"encoding": "int16"}, "16 bits"),
            (np.array([1e300]), {"encoding": "float32"}, "does not fit"),
            (np.array([1]), {"encoding": "steim3"}, "unknown encoding"),
            (np.array([1]), {"version": 1}, "version"),
            (np.array([1]), {"record_length": 500}, "power of two"),
        ],
    )
    def test_what_cannot_be_written_without_loss_is_refused(self, samples, options, message):
        with pytest.raises(InputError, match=message):
            packed(Waveform(samples[np.newaxis], ("XX.A..HHZ",), START, 1.0), **options)

    @pytest.mark.parametrize("channel", ["", "Z", "EW"])
    def test_channels_of_fewer_letters_need_version_2(self, tmp_path, channel):
        wave = replace(block(), ids=(f"BO.AOM01..{channel}",))
        write_miniseed([wave], tmp_path / "f")
        assert read_waveforms(tmp_path / "f").blocks[0].ids == wave.ids
        assert obspy.read(tmp_path / "f")[0].id == wave.ids[0]
        with pytest.raises(InputError, match="three letters"):
            packed(wave, version=3)

    def test_codes_too_long_for_version_2_are_refused(self):
        with pytest.raises(InputError, match="version 3"):
            packed(replace(block(), ids=("XX.STATION..HHZ",)))

    def test_a_refused_write_leaves_the_old_file(self, tmp_path):
        path = tmp_path / "f"
        write_miniseed([block()], path)
        before = path.read_bytes()
        bad = Waveform(np.array([[2**40]]), ("XX.A..HHZ",), START, 1.0)
        with pytest.raises(InputError):
            write_miniseed([block(seed=1), bad], path)
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]

    def test_a_folder_that_cannot_be_written_is_a_storage_error(self, tmp_path):
        (tmp_path / "nowhere").touch()
        with pytest.raises(StorageError, match="cannot write"):
            write_miniseed([block()], tmp_path / "nowhere" / "f")


class TestOrderAndTime:
    def test_records_out_of_order_are_put_in_order(self, tmp_path):
        wave = block()
        records = packed(wave)
        np.random.default_rng(1).shuffle(records)
        read = read_bytes(tmp_path, b"".join(records))
        assert not read.failures
        (found,) = read.blocks
        np.testing.assert_array_equal(found.data, wave.data)

    def test_jitter_below_half_a_sample_parts_nothing(self, tmp_path):
        first = block(1000)
        second = block(1000, start=later(first, 0.4), seed=1)
        read = read_bytes(tmp_path, b"".join(packed(first) + packed(second)))
        assert [b.n_sample for b in read.blocks] == [2000]

    @pytest.mark.parametrize("jump", [0.6, -0.6, 1.0, 1000.0])
    def test_a_jump_of_the_clock_parts_blocks(self, tmp_path, jump):
        first = block(1000)
        second = block(1000, start=later(first, jump), seed=1)
        read = read_bytes(tmp_path, b"".join(packed(first) + packed(second)))
        assert [b.n_sample for b in read.blocks] == [1000, 1000] if jump > 0 else [1000, 999]
        assert read.blocks[0].start == first.start

    def test_a_slow_drift_cannot_hide(self, tmp_path):
        """Every record is 0.1 samples late; after five the clock of the section is half a sample off."""
        records = []
        start = START
        for number in range(20):
            wave = block(100, start=start, seed=number)
            records += packed(wave)
            start = wave.time(100.1)
        read = read_bytes(tmp_path, b"".join(records))
        assert sum(b.n_sample for b in read.blocks) == 2000
        assert [b.n_sample for b in read.blocks] == [600, 600, 600, 200]

    def test_a_change_of_rate_parts_blocks(self, tmp_path):
        first = block(1000)
        second = block(1000, start=first.following, rate=50.0)
        read = read_bytes(tmp_path, b"".join(packed(first) + packed(second)))
        assert [b.sampling_rate for b in read.blocks] == [100.0, 50.0]
        assert not read.failures

    def test_a_change_of_sample_type_parts_blocks(self, tmp_path):
        first = block(1000)
        second = replace(
            first, data=np.linspace(0, 1, 900, dtype=np.float32)[np.newaxis], start=first.following
        )
        read = read_bytes(tmp_path, b"".join(packed(first) + packed(second)))
        assert [b.data.dtype for b in read.blocks] == [np.int32, np.float32]

    @settings(deadline=None, max_examples=30)
    @given(window=st.tuples(st.integers(-200, 5200), st.integers(1, 3000)), data=st.data())
    def test_a_window_is_a_slice_of_the_whole(self, tmp_path_factory, window, data):
        first, second = block(3000), block(2500, start=block(3000).time(2700), seed=1)
        records = packed(first) + packed(second)
        path = tmp_path_factory.mktemp("w") / "f"
        path.write_bytes(b"".join(data.draw(st.permutations(records))))
        start, end = first.time(window[0]), first.time(window[0] + window[1])
        whole = [s for b in read_waveforms(path).blocks if (s := b.slice(start, end)) is not None]
        part = read_waveforms(path, start=start, end=end).blocks
        assert [(b.start, b.n_sample) for b in part] == [(b.start, b.n_sample) for b in whole]
        for one, other in zip(part, whole):
            np.testing.assert_array_equal(one.data, other.data)

    def test_time_correction_counts_unless_applied(self):
        record = bytearray(packed(block(100))[0])
        plain = scan_records(bytes(record)).table["start"][0]
        record[40:44] = struct.pack(">i", -12345)
        assert scan_records(bytes(record)).table["start"][0] == plain - 1_234_500_000
        record[36] |= 2
        assert scan_records(bytes(record)).table["start"][0] == plain

    def test_actual_rate_of_blockette_100(self):
        (record,) = packed(block(100, rate=99.99987))
        assert scan_records(record).table["rate"][0] == np.float32(99.99987)


class TestOverlaps:
    def test_what_is_there_twice_and_agrees_is_kept_once(self, tmp_path):
        wave = block()
        read = read_bytes(tmp_path, b"".join(packed(wave) * 2))
        assert not read.failures
        (found,) = read.blocks
        np.testing.assert_array_equal(found.data, wave.data)

    def test_a_shared_stretch_is_kept_once_and_joined(self, tmp_path):
        wave = block()
        first = wave.slice(wave.start, wave.time(3000))
        second = wave.slice(wave.time(2000), wave.following)
        read = read_bytes(tmp_path, b"".join(packed(second) + packed(first)))
        assert not read.failures
        (found,) = read.blocks
        np.testing.assert_array_equal(found.data, wave.data)

    def test_recordings_that_disagree_are_reported_and_the_earlier_is_kept(self, tmp_path):
        first = block(3000)
        second = block(3000, start=first.time(2000), seed=1)
        read = read_bytes(tmp_path, b"".join(packed(second) + packed(first)))
        (row,) = read.failures
        assert row["error"] == "Overlap"
        assert (row["start"], row["end"]) == (second.start, first.following)
        assert "disagree" in row["message"]
        (found,) = read.blocks
        np.testing.assert_array_equal(found.data[0, :3000], first.data[0])
        np.testing.assert_array_equal(found.data[0, 3000:], second.data[0, 1000:])

    def test_overlap_of_two_rates_is_a_disagreement(self, tmp_path):
        first = block(3000)
        second = block(3000, start=first.time(2000), rate=50.0)
        read = read_bytes(tmp_path, b"".join(packed(first) + packed(second)))
        assert [row["error"] for row in read.failures] == ["Overlap"]
        assert [b.sampling_rate for b in read.blocks] == [100.0, 50.0]
        assert read.blocks[1].start >= first.following - np.timedelta64(10, "ms")


class TestDamage:
    @settings(deadline=None, max_examples=40)
    @given(cut=st.integers(1, 511), n_whole=st.integers(1, 6))
    def test_a_truncated_file_gives_what_is_before_the_cut(self, tmp_path_factory, cut, n_whole):
        records = packed(block())
        read = read_bytes(tmp_path_factory.mktemp("cut"), b"".join(records)[: 512 * n_whole + cut])
        n_sample = scan_records(b"".join(records[:n_whole])).table["n_sample"].sum()
        assert sum(b.n_sample for b in read.blocks) == n_sample
        (row,) = read.failures
        assert f"{cut} bytes from byte {512 * n_whole}" in row["message"]

    @settings(deadline=None, max_examples=40)
    @given(noise=st.binary(min_size=1, max_size=700), at=st.integers(0, 5))
    def test_garbage_between_records_costs_no_record(self, tmp_path_factory, noise, at):
        wave = block()
        records = packed(wave)
        read = read_bytes(tmp_path_factory.mktemp("noise"), b"".join([*records[:at], noise, *records[at:]]))
        (found,) = read.blocks
        np.testing.assert_array_equal(found.data, wave.data)
        assert len(read.failures) == 1

    def test_a_record_cut_in_the_middle_costs_only_itself(self, tmp_path):
        wave = block()
        records = packed(wave)
        data = b"".join([*records[:3], records[3][:200], *records[4:]])
        read = read_bytes(tmp_path, data)
        assert "record cut short" in read.failures[0]["message"]
        lost = int(scan_records(records[3]).table["n_sample"][0])
        assert sum(b.n_sample for b in read.blocks) == wave.n_sample - lost
        assert len(read.blocks) == 2

    def test_damaged_samples_cost_one_record_and_name_its_time(self, tmp_path):
        wave = block()
        records = packed(wave)
        damaged = bytearray(records[2])
        damaged[200:260] = bytes(60)
        read = read_bytes(tmp_path, b"".join([*records[:2], bytes(damaged), *records[3:]]))
        (row,) = read.failures
        table = scan_records(b"".join(records)).table
        assert row["start"] == np.datetime64(int(table["start"][2]), "ns")
        assert row["end"] == np.datetime64(int(table["start"][3]), "ns")
        assert sum(b.n_sample for b in read.blocks) == wave.n_sample - table["n_sample"][2]
        for found in read.blocks:
            np.testing.assert_array_equal(found.data, wave.slice(found.start, found.following).data)

    def test_a_wrong_checksum_of_version_3_costs_one_record(self, tmp_path):
        wave = block()
        records = packed(wave, version=3)
        damaged = bytearray(records[1])
        damaged[100] ^= 1
        read = read_bytes(tmp_path, b"".join([records[0], bytes(damaged), *records[2:]]))
        assert len(read.failures) == 1
        assert len(read.blocks) == 2

    def test_samples_without_a_rate_are_reported(self, tmp_path):
        records = [bytearray(r) for r in packed(block())]
        records[1][32:34] = bytes(2)
        read = read_bytes(tmp_path, b"".join(map(bytes, records)))
        assert "sampling rate" in read.failures[0]["message"]
        assert len(read.blocks) == 2

    def test_text_records_are_no_failure(self, tmp_path):
        read = read_bytes(
            tmp_path, (REAL / "rt130_sr0_cropped.mseed").read_bytes() + b"".join(packed(block()))
        )
        assert not read.failures
        assert len(read.blocks) == 1

    def test_a_foreign_source_identifier_is_reported(self, tmp_path):
        (record,) = packed(block(100), version=3)
        data = record.replace(b"FDSN:", b"ABCD:")
        with pytest.raises(FormatError, match="source identifier"):
            read_bytes(tmp_path, data)

    @pytest.mark.parametrize("data", [b"", bytes(4096), b"000001D " * 100])
    def test_nothing_readable_is_a_format_error(self, tmp_path, data):
        path = tmp_path / "f"
        path.write_bytes(data)
        with pytest.raises(FormatError):
            read_waveforms(path, format="miniseed")

    @settings(deadline=None, max_examples=200)
    @given(data=st.binary(max_size=600), header=st.booleans())
    def test_no_bytes_crash_the_scan(self, data, header):
        record = packed(block(200))[0][:40] + data if header else data
        records = scan_records(record)
        covered = int(records.table["length"].sum() + records.faults["length"].sum())
        assert covered == len(record)


class TestScan:
    @pytest.mark.parametrize("version", [2, 3])
    def test_a_file_read_in_pieces_gives_the_same(self, tmp_path, monkeypatch, version):
        records = packed(block(30000), version=version)
        data = b"".join([*records[:20], b"noise" * 50, *records[20:], records[0][:100]])
        path = tmp_path / "f"
        path.write_bytes(data)
        whole = scan_records(data, checksum=0)
        for piece in (100, 511, 512, 513, 4096):
            monkeypatch.setattr("kaname.formats.miniseed_records._PIECE", piece)
            pieces = scan_records(path, checksum=0)
            np.testing.assert_array_equal(pieces.table, whole.table)
            np.testing.assert_array_equal(pieces.faults, whole.faults)
            assert (pieces.ids, pieces.size, pieces.checksum) == (whole.ids, whole.size, whole.checksum)

    def test_a_scan_can_be_carried_on(self, tmp_path):
        data = b"".join(packed(block(30000)))
        whole = scan_records(data, checksum=0)
        head = scan_records(data[: 512 * 7], checksum=0)
        tail = scan_records(data, offset=512 * 7, checksum=head.checksum)
        np.testing.assert_array_equal(np.concatenate([head.table, tail.table]), whole.table)
        assert tail.checksum == whole.checksum

    def test_full_seed_control_headers_are_no_failure(self):
        records = scan_records(REAL / "fullseed.mseed")
        assert set(records.faults["kind"]) == {Fault.CONTROL}

    def test_sections_know_their_records(self):
        wave = block(3000)
        (section,) = sections(scan_records(b"".join(packed(wave))))
        assert (section.start, section.following) == (wave.start, wave.following)
        assert section.n_sample == wave.n_sample
        assert section.starts[0] == wave.start.astype(np.int64)
