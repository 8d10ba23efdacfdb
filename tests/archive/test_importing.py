"""Adding waveforms: every sample once, nothing overwritten, nothing lost."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import obspy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from obspy.clients.filesystem.sds import Client

from kaname.archive import importing
from kaname.archive.store import Archive
from kaname.core.errors import NotFoundError, StorageError
from kaname.core.time import as_time
from kaname.core.waveform import Waveform
from kaname.formats.contract import WaveformRead
from kaname.formats.miniseed import write_miniseed
from kaname.formats.win_writer import write_win

from .conftest import at, wave

ADD = """
import os, signal, sys
from pathlib import Path
from kaname.archive.store import Archive
from kaname.archive import importing
from kaname.archive.index import Index

when, n = sys.argv[3], int(sys.argv[4])

def die():
    global n
    n -= 1
    if n == 0:
        os.kill(os.getpid(), signal.SIGKILL)

if when == "before replace":
    sync = os.fsync
    os.fsync = lambda file: (die(), sync(file))
else:
    put = Index.put
    Index.put = lambda *arguments: (die(), put(*arguments))
Archive(sys.argv[1]).add([sys.argv[2]])
"""


@pytest.fixture
def archive(tmp_path):
    with Archive(tmp_path / "archive") as archive:
        yield archive


@pytest.fixture
def source(tmp_path):
    """Three channels over two midnights, in files of some minutes."""
    folder = tmp_path / "source"
    folder.mkdir()
    for number, channel in enumerate(("HHE", "HHN", "HHZ")):
        whole = wave(86400 - 70, 18000, id=f"XX.AAA..{channel}", rate=0.1, seed=number)
        for part in range(6):
            piece = whole.slice(whole.time(part * 3000), whole.time(part * 3000 + 3000))
            write_miniseed([piece], folder / f"{channel}{part}.mseed")
    return folder


def samples(archive: Archive) -> dict[str, bytes]:
    return {b.ids[0] + str(b.start): b.data.tobytes() for b in archive.read().blocks}


class TestWhatIsStored:
    @settings(deadline=None, max_examples=25)
    @given(
        parts=st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 3000)), min_size=1, max_size=5),
        start_s=st.floats(86390, 86400),
        kind=st.sampled_from(["int32", "float32", "float64"]),
    )
    def test_each_sample_once_however_the_sources_overlap(self, tmp_path_factory, parts, start_s, kind):
        folder = tmp_path_factory.mktemp("add")
        whole = wave(round(start_s, 2), 8000)
        whole = replace(whole, data=whole.data.astype(kind))
        have = np.zeros(8000, bool)
        archive = Archive(folder / "archive")
        stored = known = 0
        for number, (low, n) in enumerate(parts):
            path = folder / f"{number}.mseed"
            write_miniseed([whole.slice(whole.time(low), whole.time(low + n))], path)
            report = archive.add([path])
            assert not report.failures
            assert report.n_stored == np.count_nonzero(~have[low : low + n])
            stored, known = stored + report.n_stored, known + report.n_known
            have[low : low + n] = True
        read = archive.read()
        assert not read.failures
        assert sum(b.n_sample for b in read.blocks) == stored == have.sum()
        for block in read.blocks:
            np.testing.assert_array_equal(block.data, whole.slice(block.start, block.following).data)
        assert archive.overlaps().empty
        assert archive.check(deep=True) == []
        archive.close()

    def test_obspy_reads_the_archive_too(self, archive, source):
        archive.add([source])
        client = Client(str(archive.path))
        for number, channel in enumerate(("HHE", "HHN", "HHZ")):
            whole = wave(86400 - 70, 18000, id=f"XX.AAA..{channel}", rate=0.1, seed=number)
            start, end = (obspy.UTCDateTime(ns=int(t.astype(int))) for t in (whole.start, whole.following))
            (trace,) = client.get_waveforms("XX", "AAA", "", channel, start, end)
            np.testing.assert_array_equal(trace.data, whole.data[0])

    def test_adding_again_stores_nothing(self, archive, source):
        first = archive.add([source])
        assert (first.n_file, first.n_stored, first.n_known) == (18, 3 * 18000, 0)
        second = archive.add([source])
        assert (second.n_stored, second.n_known, second.day_files) == (0, 3 * 18000, set())

    def test_other_formats(self, archive, tmp_path):
        block = wave(10, 500)
        block.to_stream().write(str(tmp_path / "a.sac"), "SAC")
        report = archive.add([tmp_path / "a.sac"])
        assert not report.failures
        (found,) = archive.read().blocks
        assert found.data.dtype == np.float32
        np.testing.assert_array_equal(found.data, block.data)

    def test_codes_too_long_for_version_2_are_written_in_version_3(self, archive, tmp_path):
        write_miniseed([wave(id="BO.AOM001..HNZ")], tmp_path / "one", version=3)
        assert not archive.add([tmp_path / "one"]).failures
        assert archive.channels() == ["BO.AOM001..HNZ"]
        assert archive.add([tmp_path / "one"], version=2).failures == []
        archive2 = Archive(tmp_path / "two")
        assert "version 3" in archive2.add([tmp_path / "one"], version=2).failures[0]["message"]
        archive2.close()

    def test_version_3(self, archive, source):
        archive.add([source], version=3, record_length=4096)
        assert archive.check(deep=True) == []
        assert sum(b.n_sample for b in archive.read().blocks) == 3 * 18000

    def test_real_network_records(self, archive, shared_data):
        paths = sorted(
            p for p in (shared_data / "network" / "nz_samba_2013" / "WAV").rglob("*") if p.is_file()
        )[:3]
        report = archive.add(paths)
        assert not report.failures
        for path in paths:
            for trace in obspy.read(path):
                start = np.datetime64(trace.stats.starttime.ns, "ns")
                end = np.datetime64(trace.stats.endtime.ns, "ns") + np.timedelta64(1, "ms")
                (block,) = archive.read(trace.id, start, end).blocks
                np.testing.assert_array_equal(block.data[0], trace.data)


class TestWhatIsKeptOut:
    def test_samples_that_disagree(self, archive, tmp_path):
        write_miniseed([wave(0, 6000)], tmp_path / "one")
        write_miniseed([wave(50, 6000, seed=1)], tmp_path / "two")
        archive.add([tmp_path / "one"])
        report = archive.add([tmp_path / "two"])
        (row,) = report.failures
        assert (row["step"], row["error"], row["start"], row["end"]) == ("add", "Overlap", at(50), at(60))
        assert row["subject"].endswith("two") and "not stored" in row["message"]
        (block,) = archive.read().blocks
        np.testing.assert_array_equal(block.data[0, :6000], wave(0, 6000).data[0])
        np.testing.assert_array_equal(block.data[0, 6000:], wave(50, 6000, seed=1).data[0, 1000:])
        assert archive.overlaps().empty

    def test_samples_that_disagree_within_one_call(self, archive, tmp_path):
        write_miniseed([wave(0, 6000)], tmp_path / "one")
        write_miniseed([wave(50, 6000, seed=1)], tmp_path / "two")
        report = archive.add([tmp_path / "two", tmp_path / "one"])
        assert [row["error"] for row in report.failures] == ["Overlap"]
        assert archive.read().failures == []

    @pytest.mark.parametrize("identifier", ["XX.A*A..HHZ", "XX.A/B..HHZ", "XX...HHZ"])
    def test_codes_that_cannot_name_files(self, archive, tmp_path, identifier):
        write_miniseed([wave(id=identifier), wave()], tmp_path / "one")
        report = archive.add([tmp_path / "one"])
        assert [row["error"] for row in report.failures] == ["InputError"]
        assert archive.channels() == ["XX.AAA..HHZ"]

    def test_a_source_without_network_needs_one(self, archive, tmp_path):
        write_miniseed([wave(id=".AAA..HHZ")], tmp_path / "one")
        assert "network" in archive.add([tmp_path / "one"]).failures[0]["message"]
        assert archive.add([tmp_path / "one"], network="YY").failures == []
        assert archive.channels() == ["YY.AAA..HHZ"]

    def test_samples_in_physical_units(self, archive, tmp_path, monkeypatch):
        """miniSEED would say nothing of the unit, and the samples would come back as counts."""
        write_miniseed([wave()], tmp_path / "one")
        in_gal = WaveformRead([replace(wave(), unit="cm/s^2")])
        monkeypatch.setattr(importing, "read_waveforms", lambda path, format: in_gal)
        report = archive.add([tmp_path / "one"])
        assert report.n_stored == 0
        assert "miniSEED cannot say so" in report.failures[0]["message"]

    def test_files_that_cannot_be_read(self, archive, tmp_path):
        (tmp_path / "empty").touch()
        (tmp_path / "text").write_text("no waveform at all\n")
        write_miniseed([wave()], tmp_path / "good")
        data = (tmp_path / "good").read_bytes()
        (tmp_path / "cut").write_bytes(data[:1200])
        report = archive.add([tmp_path / name for name in ("empty", "text", "cut", "good")])
        assert [Path(row["subject"]).name for row in report.failures] == ["empty", "text", "cut"]
        (block,) = archive.read().blocks
        np.testing.assert_array_equal(block.data, wave().data)
        with pytest.raises(NotFoundError):
            archive.add([tmp_path / "nowhere"])


class TestTrouble:
    @pytest.mark.parametrize(
        ("when", "n"), [("before replace", 1), ("before replace", 4), ("before index", 2)]
    )
    def test_a_kill_in_the_middle_loses_nothing(self, tmp_path, source, when, n):
        root = tmp_path / "archive"
        command = [sys.executable, "-c", textwrap.dedent(ADD), str(root), str(source), when, str(n)]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
        with Archive(root) as archive, Archive(tmp_path / "whole") as whole:
            archive.index()
            assert archive.check(deep=True) == []
            report = archive.add([source])
            assert not report.failures
            whole.add([source])
            assert samples(archive) == samples(whole)
            assert archive.overlaps().empty
        assert [p for p in root.rglob("*") if p.name.endswith(".kaname-part")] == []

    def test_a_full_disk_leaves_the_archive_as_it_was(self, archive, source, monkeypatch):
        archive.add([source / "HHZ0.mseed"])
        before = {p: p.read_bytes() for p in archive.path.rglob("*.D.*") if p.is_file()}
        sync = os.fsync

        def full(file):
            sync(file)
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="No space left"):
            archive.add([source])
        monkeypatch.undo()
        assert {p: p.read_bytes() for p in archive.path.rglob("*.D.*") if p.is_file()} == before
        assert archive.check(deep=True) == []
        assert archive.add([source]).n_stored + 3000 == 3 * 18000

    def test_nothing_is_written_through_a_link_out_of_the_archive(self, archive, tmp_path):
        outside = tmp_path / "outside"
        outside.mkdir()
        archive.path.mkdir()
        (archive.path / "2021").symlink_to(outside)
        write_miniseed([wave()], tmp_path / "one")
        with pytest.raises(StorageError, match="symbolic link"):
            archive.add([tmp_path / "one"])
        assert [p for p in outside.rglob("*") if p.is_file()] == []

    def test_an_archive_where_nothing_can_be_made(self, tmp_path):
        (tmp_path / "file").touch()
        write_miniseed([wave()], tmp_path / "one")
        with pytest.raises(StorageError, match="cannot make"):
            Archive(tmp_path / "file" / "archive").add([tmp_path / "one"])


def test_a_clock_that_nothing_tells_is_named(archive, tmp_path):
    truth = Waveform(np.arange(300)[np.newaxis], ("0101.1A2B..HY1",), as_time("2024-01-01"), 100.0)
    path = write_win([truth], tmp_path / "a.cnt", clock="UTC")
    report = archive.add([path], format="win32-utc")
    assert not report.failures
    (block,) = archive.read().blocks
    assert (block.start, block.n_sample) == (truth.start, 300)
    assert archive.add([path], format="nothing").failures[0]["error"] == "NotFoundError"


def test_a_channel_table_gives_win_records_the_names_of_sensors(tmp_path):
    """The table lies among the data and is no source itself; its line is a genuine one of Hi-net."""
    data = tmp_path / "data"
    data.mkdir()
    block = Waveform(
        np.arange(1200, dtype=np.int32).reshape(1, -1),
        ("0101.6033..HY1",),
        as_time("2020-01-01T15:00:00"),
        20.0,
    )
    write_win([block], data / "2020010200.cnt", form="win32")
    table = data / "01_01_20200101.ch"
    table.write_text(
        "6033 1 0 N.AAKH U 6 27 175.60 m/s 1.00 0.70 0 1.023e-07 36.3726 137.9203 483 0 0 Azuminoakashina\n"
    )
    with Archive(tmp_path / "archive") as archive:
        report = archive.add([data], channels=[table])
        assert [row["message"] for row in report.failures if row["error"] != "Warning"] == []
        [found] = archive.read("*").blocks
    assert found.ids[0].startswith("BO.AAKH.")
    assert found.start == block.start
    np.testing.assert_array_equal(found.data, block.data)
