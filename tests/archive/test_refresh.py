"""The index follows the files: only what has changed is read, and no kill, crowd or full disk breaks it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kaname.archive import refresh
from kaname.archive.store import Archive
from kaname.core.errors import StorageError
from kaname.formats.miniseed import pack, write_miniseed

from .conftest import at, wave

INDEX = """
import os, signal, sys
from kaname.archive.store import Archive
from kaname.archive.index import Index

put, n = Index.put, 0

def dying(*arguments):
    global n
    put(*arguments)
    n += 1
    if n == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

Index.put = dying
Archive(sys.argv[1]).index()
"""


def contents(archive: Archive) -> list[tuple[object, ...]]:
    """Everything that the index says about records, but the numbers of rows."""
    return archive._index._db.execute(
        "SELECT f.folder, f.name, f.scanned, f.checksum, f.n_record, f.state, c.seed_id, s.start,"
        " s.following, s.rate, s.kind, s.n_sample, t.first, t.start, t.following, t.records FROM files f"
        " LEFT JOIN sections s ON s.file = f.id LEFT JOIN channels c ON c.id = s.channel"
        " LEFT JOIN stretches t ON t.section = s.id ORDER BY 1, 2, 7, 8, 13"
    ).fetchall()


def rebuilt(folder: Path) -> list[tuple[object, ...]]:
    with Archive(folder) as archive:
        archive.index(rebuild=True)
        return contents(archive)


@pytest.fixture
def quiet(monkeypatch):
    """Files written just now count as settled."""
    monkeypatch.setattr(refresh, "_RACY_NS", -1)


class TestWhatIsRead:
    def test_unchanged_files_are_not_read_again(self, folder, quiet):
        with Archive(folder) as archive:
            first = archive.index()
            assert (first.n_file, first.n_scanned, first.failures) == (4, 4, [])
            second = archive.index()
            assert (second.n_file, second.n_scanned) == (4, 0)

    def test_files_written_just_before_are_read_once_more(self, folder):
        """A write in the same tick of the clock would leave no other trace."""
        with Archive(folder) as archive:
            archive.index()
            assert archive.index().n_scanned == 4
            for path in folder.rglob("*.mseed"):
                os.utime(path, ns=(0, 0))
        refresh_time = time.time_ns() + 3 * 10**9
        with Archive(folder) as archive:
            archive.index()
            archive._index._db.execute("UPDATE files SET looked_ns = ?", (refresh_time,))
            assert archive.index().n_scanned == 0

    def test_a_rewrite_that_keeps_size_and_modification_time_is_seen(self, folder, quiet):
        path = folder / "one" / "z.mseed"
        with Archive(folder) as archive:
            archive.index()
            status = path.stat()
            data = bytearray(path.read_bytes())
            data[8:13] = b"OTHER"
            path.write_bytes(data)
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
            assert archive.index().n_scanned == 1
            assert "XX.OTHER..HHZ" in archive.channels()

    def test_a_file_that_was_replaced_is_read_anew(self, folder, quiet):
        with Archive(folder) as archive:
            archive.index()
            write_miniseed([wave(500, 100)], folder / "one" / "z.mseed")
            report = archive.index()
            assert (report.n_scanned, report.n_appended) == (1, 0)
            assert archive.spans("XX.AAA..HHZ")["start"].tolist() == [at(500)]

    @settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        cuts=st.lists(st.integers(1, 40), min_size=1, max_size=4), shuffled=st.booleans(), tail=st.booleans()
    )
    def test_reading_on_gives_what_reading_anew_gives(self, tmp_path_factory, quiet, cuts, shuffled, tail):
        folder = tmp_path_factory.mktemp("grow")
        channels = [wave(0, 4000), wave(20, 4000, id="XX.AAA..HHN", seed=1), wave(39.996, 3000, seed=2)]
        records = [record for block in channels for record in pack(block)]
        if shuffled:
            records = [records[i] for i in np.random.default_rng(0).permutation(len(records))]
        edges = [0, *sorted({min(sum(cuts[: i + 1]), len(records)) for i in range(len(cuts))}), len(records)]
        path = folder / "f.mseed"
        path.touch()
        with Archive(folder) as archive:
            for low, high in pairwise(edges):
                with path.open("ab") as file:
                    file.writelines(records[low:high])
                archive.index()
            if tail:
                with path.open("ab") as file:
                    file.write(records[0][:100])
                assert archive.index().failures
                with path.open("ab") as file:
                    file.write(records[0][100:])
                assert not archive.index().failures
            grown = contents(archive)
        assert grown == rebuilt(folder)

    def test_only_the_tail_of_a_file_that_grew_is_read(self, folder, quiet):
        with Archive(folder) as archive:
            archive.index()
            with (folder / "one" / "z.mseed").open("ab") as file:
                file.writelines(pack(wave(150, 1000, seed=1)))
            report = archive.index()
            assert (report.n_scanned, report.n_appended) == (1, 1)
            assert report.n_record == len(list(pack(wave(150, 1000, seed=1))))
            assert archive.spans("XX.AAA..HHZ")["n_sample"].tolist() == [6000, 7000]

    def test_files_that_are_gone_are_forgotten(self, folder, quiet):
        with Archive(folder) as archive:
            archive.index()
            (folder / "two" / "b.mseed").unlink()
            (folder / "two" / "n.mseed").unlink()
            (folder / "two").rmdir()
            assert archive.index().n_removed == 2
            assert archive.channels() == ["XX.AAA..HHN", "XX.AAA..HHZ"]
            assert contents(archive) == rebuilt(folder)

    def test_an_archive_that_has_vanished_keeps_its_index(self, folder):
        with Archive(folder) as archive:
            archive.index()
            for path in list(folder.rglob("*.mseed")):
                path.unlink()
            with pytest.raises(StorageError, match="mounted"):
                archive.index()
            assert len(archive.channels()) == 3
            archive.index(rebuild=True)
            assert archive.channels() == []


class TestOtherFiles:
    def test_what_is_no_miniseed_is_skipped_and_named(self, folder, quiet):
        (folder / "README").write_text("notes")
        (folder / "one" / ".hidden.mseed").write_bytes(b"x")
        with Archive(folder) as archive:
            for _ in range(2):
                report = archive.index()
                assert (report.skipped, report.failures) == (["README"], [])

    def test_what_promises_miniseed_and_is_none_is_a_failure(self, folder):
        (folder / "bad.mseed").write_bytes(bytes(1000))
        (folder / "XX.A..HHZ.D.2020.001").touch()
        with Archive(folder) as archive:
            failures = {row["subject"]: row["message"] for row in archive.index().failures}
            assert set(failures) == {"bad.mseed", "XX.A..HHZ.D.2020.001"}
            assert {row["subject"] for row in archive.check()} == set(failures)
            assert len(archive.channels()) == 3

    def test_links_are_followed_but_not_in_circles(self, folder, tmp_path):
        elsewhere = tmp_path / "disk2"
        elsewhere.mkdir()
        write_miniseed([wave(0, 100, id="ZZ.CCC..HHZ")], elsewhere / "c.mseed")
        (folder / "disk2").symlink_to(elsewhere)
        (elsewhere / "back").symlink_to(folder)
        (folder / "dangling.mseed").symlink_to(tmp_path / "nowhere")
        with Archive(folder) as archive:
            report = archive.index()
            assert report.n_file == 5
            assert [row["subject"] for row in report.failures] == ["dangling.mseed"]
            assert archive.read("ZZ.CCC..HHZ").blocks[0].n_sample == 100

    def test_a_file_name_that_is_no_text_is_a_failure(self, folder):
        (folder / os.fsdecode(b"\xff\xfe.mseed")).write_bytes(b"x")
        with Archive(folder) as archive:
            (row,) = archive.index().failures
            assert "rename" in row["message"]

    def test_damage_is_reported_when_it_is_found_and_kept_for_later(self, folder, quiet):
        with (folder / "one" / "z.mseed").open("ab") as file:
            file.write(b"noise" * 100)
        with Archive(folder) as archive:
            (row,) = archive.index().failures
            assert row["subject"] == "one/z.mseed" and "500 bytes" in row["message"]
            assert archive.index().failures == []
            assert [fault["message"] for fault in archive.faults()] == [row["message"]]


class TestTrouble:
    @pytest.mark.parametrize("n_put", [1, 3])
    def test_a_kill_in_the_middle_loses_nothing(self, folder, n_put):
        killed = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(INDEX), str(folder), str(n_put)], check=False
        )
        assert killed.returncode == -signal.SIGKILL
        with Archive(folder) as archive:
            archive.index()
            assert archive.check(deep=True) == []
            found = contents(archive)
        assert found == rebuilt(folder)

    def test_two_processes_do_not_change_an_archive_at_once(self, folder):
        with Archive(folder) as one, Archive(folder) as two:
            one.index()
            with one.changing(wait_s=0), pytest.raises(StorageError, match=f"process {os.getpid()}"):
                two.index(wait_s=0.2)
            two.index(wait_s=0.2)

    def test_processes_that_index_at_once_wait_for_each_other(self, folder):
        command = [
            sys.executable,
            "-c",
            f"from kaname.archive.store import Archive; Archive({str(folder)!r}).index()",
        ]
        running = [subprocess.Popen(command) for _ in range(3)]
        assert [process.wait() for process in running] == [0, 0, 0]
        with Archive(folder) as archive:
            assert archive.check(deep=True) == []
            assert len(archive.channels()) == 3

    def test_a_full_disk_is_a_storage_error_and_the_index_stays_whole(self, folder):
        with Archive(folder) as archive:
            archive.index()
            before = contents(archive)
            for number in range(200):
                write_miniseed([wave(0, 10, id=f"ZZ.C{number}..HHZ")], folder / f"{number}.mseed")
            db = archive._index._db
            db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0]}")
            with pytest.raises(StorageError, match="full"):
                archive.index()
            assert contents(archive) == before
            db.execute("PRAGMA max_page_count = 1000000")
            archive.index()
            assert len(archive.channels("ZZ.*.*.*")) == 200
