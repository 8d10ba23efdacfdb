"""Reading and listing what an archive holds."""

from __future__ import annotations

import io
import os
import pickle
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import obspy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kaname.archive.availability import AVAILABILITY, INTERVALS, SPANS
from kaname.archive.store import Archive, is_archive
from kaname.core.errors import InputError, NotFoundError, StorageError
from kaname.core.tables import validate
from kaname.formats.miniseed import pack, write_miniseed

from .conftest import at, wave


def _sum(archive: Archive) -> int:
    return int(archive.read("*", at(3), at(80)).blocks[0].data.sum())


@pytest.fixture
def archive(folder):
    with Archive(folder) as archive:
        archive.index()
        yield archive


class TestRead:
    @settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        start=st.integers(-2000, 13000), length=st.integers(1, 14000), channel=st.sampled_from(["HHZ", "HHN"])
    )
    def test_random_windows_agree_with_obspy(self, archive, folder, start, length, channel):
        low, high = start / 100, (start + length) / 100
        read = archive.read(f"XX.AAA..{channel}", at(low), at(high))
        assert not read.failures
        stream = obspy.Stream()
        for path in folder.rglob("*.mseed"):
            stream += obspy.read(path).select(channel=channel)
        stream = stream.merge(-1).slice(
            obspy.UTCDateTime(ns=int(at(low).astype(int))),
            obspy.UTCDateTime(ns=int(at(high - 0.005).astype(int))),
            nearest_sample=False,
        )
        stream.sort(["starttime"])
        assert [(t.stats.starttime.ns, t.stats.npts) for t in stream] == [
            (int(b.start.astype(int)), b.n_sample) for b in read.blocks
        ]
        for trace, block in zip(stream, read.blocks):
            np.testing.assert_array_equal(trace.data, block.data[0])

    def test_only_the_records_of_the_window_are_read(self, archive, monkeypatch):
        sizes = []
        pread = os.pread
        monkeypatch.setattr(os, "pread", lambda file, size, at: sizes.append(size) or pread(file, size, at))
        (block,) = archive.read("XX.AAA..HHZ", at(10), at(10.5)).blocks
        assert block.n_sample == 50
        assert sum(sizes) <= 1024

    def test_patterns(self, archive):
        assert archive.channels() == ["XX.AAA..HHN", "XX.AAA..HHZ", "YY.BBB.10.EHZ"]
        assert archive.channels("XX.*.*.HH?") == ["XX.AAA..HHN", "XX.AAA..HHZ"]
        assert archive.channels(["YY.BBB.10.EHZ", "*.*.*.HHN"]) == ["XX.AAA..HHN", "YY.BBB.10.EHZ"]
        assert archive.channels("ZZ.*.*.*") == []
        with pytest.raises(InputError, match="is not NET"):
            archive.channels("HHZ")

    def test_an_empty_range_is_refused(self, archive):
        with pytest.raises(InputError, match="empty time range"):
            archive.read("*", at(5), at(5))

    def test_a_range_without_data_gives_nothing(self, archive):
        read = archive.read("*", at(5000), at(6000))
        assert (read.blocks, read.failures) == ([], [])

    def test_recordings_that_disagree_are_reported_whatever_the_window(self, folder, archive):
        write_miniseed([wave(-10, 3000, seed=9)], folder / "two" / "other.mseed")
        archive.index()
        for low, high in ((-20, 100), (5, 15), (12, 13)):
            read = archive.read("XX.AAA..HHZ", at(low), at(high))
            (row,) = read.failures
            assert row["error"] == "Overlap"
            assert (row["start"], row["end"]) == (at(max(low, 0)), at(min(high, 20)))
            kept = wave(-10, 3000, seed=9).slice(at(max(low, -10)), at(min(high, 20)))
            np.testing.assert_array_equal(read.blocks[0].data[0, : kept.n_sample], kept.data[0])

    def test_damaged_samples_are_reported_with_their_time(self, folder, archive):
        path = folder / "one" / "z.mseed"
        data = bytearray(path.read_bytes())
        data[512 * 3 + 200 : 512 * 3 + 260] = bytes(60)
        path.write_bytes(data)
        archive.index()
        read = archive.read("XX.AAA..HHZ")
        (row,) = read.failures
        assert row["subject"] == str(path)
        assert at(0) < row["start"] < row["end"] < at(60)
        assert archive.read("XX.AAA..HHZ", row["end"], at(60)).failures == []

    def test_many_threads_read_one_archive(self, archive):
        expected = archive.read("*", at(3), at(80))
        with ThreadPoolExecutor(8) as pool:
            for read in pool.map(lambda _: archive.read("*", at(3), at(80)), range(40)):
                assert [b.data.tobytes() for b in read.blocks] == [b.data.tobytes() for b in expected.blocks]

    def test_an_archive_can_be_sent_to_another_process(self, archive):
        copy = pickle.loads(pickle.dumps(archive))
        assert copy.channels() == archive.channels()
        copy.close()

    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_an_archive_works_on_both_sides_of_a_fork(self, archive):
        expected = archive.read("*", at(3), at(80)).blocks[0].data.sum()
        with ProcessPoolExecutor(2, mp_context=get_context("fork")) as pool:
            found = list(pool.map(_sum, [archive] * 4))
        assert found == [expected] * 4
        assert archive.read("*", at(3), at(80)).blocks[0].data.sum() == expected

    def test_files_are_not_kept_open(self, archive):
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(5):
            archive.read()
        assert len(list(Path("/proc/self/fd").iterdir())) <= before


class TestFilesThatChange:
    """Answers come from the index, but never wrong samples."""

    def test_a_rewritten_file_is_read_as_it_is_now(self, folder, archive):
        write_miniseed([wave(30, 3000, seed=5)], folder / "one" / "z.mseed")
        read = archive.read("XX.AAA..HHZ", at(0), at(100))
        (block,) = read.blocks
        np.testing.assert_array_equal(block.data, wave(30, 3000, seed=5).data)

    def test_a_file_that_is_gone_is_a_failure(self, folder, archive):
        (folder / "two" / "n.mseed").unlink()
        read = archive.read("XX.AAA..HHN")
        (row,) = read.failures
        assert row["subject"].endswith("n.mseed")
        assert [b.n_sample for b in read.blocks] == [5000]

    def test_a_file_that_grew_is_read_to_its_new_end(self, folder, archive):
        with (folder / "one" / "z.mseed").open("ab") as file:
            file.writelines(pack(wave(150, 500, seed=1)))
        assert archive.read("XX.AAA..HHZ", at(149)).blocks[-1].n_sample == 600


class TestAvailability:
    def test_what_there_is(self, archive):
        table = archive.ls().set_index("id")
        validate(archive.ls(), AVAILABILITY)
        row = table.loc["XX.AAA..HHZ"]
        assert (row["start"], row["end"]) == (at(0), at(150))
        assert (row["n_gap"], row["n_overlap"], row["n_section"]) == (1, 0, 2)
        assert row["covered"] == pytest.approx(120 / 150)
        row = table.loc["XX.AAA..HHN"]
        assert (row["n_gap"], row["n_section"], row["covered"]) == (0, 2, 1.0)

    def test_gaps(self, archive):
        table = archive.gaps()
        validate(table, INTERVALS)
        (row,) = table.to_dict("records")
        assert (row["id"], row["start"], row["end"]) == ("XX.AAA..HHZ", at(60), at(90))
        assert row["duration_s"] == 30
        assert archive.gaps("XX.AAA..HHZ", start=at(0), end=at(50)).empty

    def test_overlaps(self, folder, archive):
        assert archive.overlaps().empty
        write_miniseed([wave(50, 6000, seed=9)], folder / "two" / "z.mseed")
        archive.index()
        table = archive.overlaps()
        assert table[["start", "end"]].to_numpy().tolist() == [
            [int(t.astype(int)) for t in pair] for pair in ((at(50), at(60)), (at(90), at(110)))
        ]

    def test_spans(self, archive):
        table = validate(archive.spans("XX.AAA..HHN"), SPANS)
        assert table["n_sample"].tolist() == [5000, 7000]
        assert table["end"][0] == table["start"][1] == at(50)


class TestCheck:
    def test_a_sound_archive(self, archive):
        assert archive.check() == archive.check(deep=True) == []

    def test_what_changed_since(self, folder, archive):
        (folder / "one" / "n.mseed").unlink()
        write_miniseed([wave(1)], folder / "one" / "z.mseed")
        rows = {row["subject"]: row["message"] for row in archive.check()}
        assert set(rows) == {"one/n.mseed", "one/z.mseed"}
        assert "changed since" in rows["one/z.mseed"]

    def test_damage_that_leaves_size_and_times_alone_is_found_by_reading(self, folder, archive):
        """As bit rot does; ctime cannot be set back, so the index is told of the new one."""
        path = folder / "one" / "z.mseed"
        status = path.stat()
        data = bytearray(path.read_bytes())
        data[1000] ^= 1
        path.write_bytes(data)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        archive._index._db.execute(
            "UPDATE files SET ctime_ns = ? WHERE name = 'z.mseed'", (path.stat().st_ctime_ns,)
        )
        assert archive.check() == []
        (row,) = archive.check(deep=True)
        assert row["subject"] == "one/z.mseed"
        assert "bytes have changed" in row["message"]


def test_a_folder_without_index_is_no_archive(tmp_path):
    assert not is_archive(tmp_path)
    with pytest.raises(NotFoundError, match="kaname archive index"):
        Archive(tmp_path).read()
    with pytest.raises(NotFoundError, match="no such folder"):
        Archive(tmp_path / "nowhere").index()


@pytest.mark.parametrize("damage", [b"no database" * 500, b""])
def test_a_damaged_index_is_named_and_can_be_made_anew(folder, damage):
    with Archive(folder) as archive:
        archive.index()
    (folder / "index.sqlite").write_bytes(damage)
    with pytest.raises(StorageError, match="--rebuild"):
        Archive(folder).read()
    with Archive(folder) as archive:
        if damage:
            with pytest.raises(StorageError, match="--rebuild"):
                archive.index()
        archive.index(rebuild=True)
        assert len(archive.channels()) == 3


def test_a_half_overwritten_index_never_gives_wrong_samples(folder):
    with Archive(folder) as archive:
        archive.index()
    path = folder / "index.sqlite"
    data = bytearray(path.read_bytes())
    data[4096:16384] = os.urandom(16384 - 4096)
    path.write_bytes(data)
    with Archive(folder) as archive, pytest.raises(StorageError, match="--rebuild"):
        archive.read()


def test_a_read_only_archive_can_be_read(folder, monkeypatch):
    with Archive(folder) as archive:
        archive.index()
    names = {path.name for path in folder.iterdir()}
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with Archive(folder) as archive:
        assert len(archive.read().blocks) == 4
    assert {path.name for path in folder.iterdir()} == names
    (folder / "index.sqlite-wal").write_bytes(b"left by a crash")
    with Archive(folder) as archive, pytest.raises(StorageError, match="may be written"):
        archive.read()


def test_reading_goes_on_while_another_process_writes(folder):
    with Archive(folder) as reader, Archive(folder) as writer:
        writer.index()
        before = reader.channels()
        with writer.changing(wait_s=0) as index, index.transaction():
            for file in index.files():
                index.remove(file.id)
            assert reader.channels() == before
            begun = time.monotonic()
            assert reader.read().blocks
            assert time.monotonic() - begun < 5


@pytest.fixture(scope="module")
def hours(tmp_path_factory):
    """Three hours with a gap; path, start, end of the last sample and offset of each record."""
    root = tmp_path_factory.mktemp("hours")
    blocks = [wave(-4000, 50_000, rate=10.0), wave(1500, 60_000, rate=10.0, seed=1)]
    write_miniseed(blocks, root / "a.mseed", record_length=512)
    records, data = [], (root / "a.mseed").read_bytes()
    for offset in range(0, len(data), 512):
        (trace,) = obspy.read(io.BytesIO(data[offset : offset + 512]), headonly=True)
        records.append((trace.stats.starttime.ns, trace.stats.endtime.ns, offset))
    with Archive(root) as archive:
        archive.index()
        yield archive, records


@settings(deadline=None, max_examples=100)
@given(start=st.integers(-42_000, 80_000), length=st.integers(1, 20_000))
def test_all_records_of_a_window_are_found(hours, start, length):
    archive, records = hours
    low, high = at(start / 10 + 0.03), at((start + length) / 10 + 0.03)
    for _ in range(2):  # the second time from memory
        found = set()
        for located in archive.locate("XX.AAA..HHZ", low, high):
            section = located.section
            assert (section.starts == np.sort(section.starts)).all()
            found |= set(zip(section.starts.tolist(), section.ends.tolist(), section.offsets.tolist()))
        first, end = low.astype(int), high.astype(int)
        inside = {record for record in records if record[0] < end and record[1] >= first}
        assert inside <= found <= set(records)
