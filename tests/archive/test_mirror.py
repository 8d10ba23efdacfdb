"""Copies of an archive: signed, verified, resumed, repaired."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from kaname.archive import inventory
from kaname.archive.inventory import publish, sha256_of
from kaname.archive.manifest import Entry, Manifest
from kaname.archive.mirror import mirror
from kaname.archive.signing import Signer, key_of, key_text
from kaname.archive.source import FolderSource, LineError, RefusedError
from kaname.archive.store import Archive
from kaname.core.errors import FormatError, InputError, NotFoundError, StorageError
from kaname.formats.miniseed import write_miniseed

from .conftest import wave


@pytest.fixture
def origin(folder):
    with Archive(folder) as archive:
        publish(archive)
    return folder


def signed(root) -> Manifest:
    """Return the manifest of an archive after every byte of it has been compared with it."""
    with Archive(root) as archive:
        manifest, found = publish(archive, deep=True)
    assert not found.failures
    assert sorted(found.entries) == list(manifest.entries)
    return manifest


def files(root) -> dict[str, bytes]:
    return {
        str(p.relative_to(root)): p.read_bytes()
        for p in root.rglob("*.mseed")
        if ".mirror" not in p.relative_to(root).parts
    }


class TestManifest:
    def test_it_says_what_lies_there(self, origin):
        manifest = signed(origin)
        assert {e.path: (e.size, e.sha256) for e in manifest.entries} == {
            path: (len(data), sha256_of(origin / path)) for path, data in files(origin).items()
        }

    def test_nothing_new_nothing_signed(self, origin):
        assert signed(origin).data == signed(origin).data

    def test_a_new_file_makes_a_later_one(self, origin):
        before = signed(origin)
        write_miniseed([wave(200, seed=9)], origin / "more.mseed")
        after = signed(origin)
        assert after.made > before.made and len(after.entries) == len(before.entries) + 1
        assert after.key == before.key

    def test_unchanged_files_are_not_read_again(self, origin, monkeypatch):
        with Archive(origin) as archive:
            # Touched within two seconds of being read: their times tell nothing yet.
            assert publish(archive)[1].n_hashed == 4
            monkeypatch.setattr(inventory, "racy", lambda stamp, looked_ns: False)
            assert publish(archive)[1].n_hashed == 0
            assert publish(archive, deep=True)[1].n_hashed == 4

    def test_the_key_is_for_its_owner(self, origin):
        path = origin / ".mirror" / "signing.key"
        assert path.stat().st_mode & 0o777 == 0o600
        path.chmod(0o640)
        with Archive(origin) as archive, pytest.raises(StorageError, match="chmod 600"):
            publish(archive)
        path.chmod(0o600)
        path.write_bytes(b"not a key")
        with Archive(origin) as archive, pytest.raises(FormatError, match="no signing key"):
            publish(archive)

    def test_a_key_goes_through_text(self, origin):
        key = signed(origin).key
        assert key_of(key_text(key)) == key
        for wrong in ("", "abc", key_text(key)[:-4]):
            with pytest.raises(InputError, match="no public key"):
                key_of(wrong)

    @pytest.mark.parametrize("at", [0, 30, 120, 300, -2])
    def test_a_changed_byte_is_noticed(self, origin, at):
        data = bytearray(signed(origin).data)
        data[at] ^= 1
        with pytest.raises(FormatError):
            Manifest.parse(bytes(data), "here")

    @pytest.mark.parametrize("size", [0, 10, 200, 400])
    def test_a_cut_is_noticed(self, origin, size):
        with pytest.raises(FormatError):
            Manifest.parse(signed(origin).data[:size], "here")

    @pytest.mark.parametrize(
        "path",
        [
            "../up.mseed",
            "/etc/passwd",
            "one/../../up",
            ".hidden",
            "one/.mirror/x",
            "index.sqlite",
            "access-users.json",
            "a//b",
            "a\\b",
            "a\x1bb",
            "x.kaname-part",
        ],
    )
    def test_an_owner_cannot_write_elsewhere(self, origin, path, tmp_path):
        signer = Signer(tmp_path / "key")
        forged = Manifest.sign("2025-01-01T00:00:00.000000Z", [Entry(path, 3, "0" * 64)], signer)
        with pytest.raises(FormatError, match=r"no place for a file"):
            Manifest.parse(forged.data, "there")

    def test_damage_at_the_origin_does_not_travel(self, origin):
        before = signed(origin)
        path = origin / "one" / "z.mseed"
        path.write_bytes(b"\0" * path.stat().st_size)
        with Archive(origin) as archive:
            manifest, found = publish(archive)
        assert manifest.data == before.data
        assert {row["subject"] for row in found.failures} == {"one/z.mseed"}


class TestCopy:
    def test_three_sites_converge(self, origin, tmp_path):
        first, second = tmp_path / "first", tmp_path / "second"
        assert mirror(origin, first).n_fetched == 4
        assert mirror(first, second).n_fetched == 4
        # The first is corrupted in every way, the origin goes on, the second is interrupted by the damage.
        damaged = first / "one" / "z.mseed"
        data = bytearray(damaged.read_bytes())
        data[1000] ^= 255
        damaged.write_bytes(data)
        cut = first / "one" / "n.mseed"
        cut.write_bytes(cut.read_bytes()[:-512])
        (first / "two" / "b.mseed").unlink()
        shutil.copy(origin / "one" / "z.mseed", first / "strange.mseed")
        (second / "one" / "z.mseed").unlink()
        report = mirror(first, second)
        assert [row["subject"] for row in report.failures] == ["one/z.mseed"]
        assert "not those that the origin signed" in report.failures[0]["message"]
        write_miniseed([wave(200, seed=9)], origin / "more.mseed")
        report = mirror(origin, first)
        assert not report.failures and report.n_fetched == 4
        assert report.aside == ["strange.mseed"]
        (kept,) = (first / ".mirror" / "aside").rglob("*.mseed")
        assert kept.read_bytes() == (origin / "one" / "z.mseed").read_bytes()
        assert not mirror(first, second).failures
        assert signed(origin).data == signed(first).data == signed(second).data
        assert files(origin) == files(first) == files(second)
        with Archive(second) as archive:
            assert not archive.check(deep=True) and len(archive.channels()) == 3

    def test_again_copies_nothing(self, origin, tmp_path):
        mirror(origin, tmp_path / "copy")
        report = mirror(origin, tmp_path / "copy")
        assert (report.n_fetched, report.n_byte, report.aside, report.failures) == (0, 0, [], [])

    def test_damage_that_leaves_no_trace_is_found_by_reading_all(self, origin, tmp_path, monkeypatch):
        copy = tmp_path / "copy"
        mirror(origin, copy)
        path = copy / "one" / "z.mseed"
        # As a failing disk would: other bytes under the stamp that is known.
        monkeypatch.setattr(inventory, "racy", lambda stamp, looked_ns: False)
        with Archive(copy) as archive:
            publish(archive)
            data = bytearray(path.read_bytes())
            data[700] ^= 255
            path.write_bytes(data)
            stamp = inventory.Stamp.of(path.stat())
            with inventory.Hashes(copy) as hashes:
                hashes.put([("one/z.mseed", stamp, 0, sha256_of(origin / "one" / "z.mseed"))])
            assert not publish(archive)[1].failures
            _, found = publish(archive, deep=True)
            assert any("the disk is damaged" in row["message"] for row in found.failures)
        assert mirror(origin, copy).n_fetched == 0
        assert mirror(origin, copy, deep=True).n_fetched == 1
        assert files(copy) == files(origin)

    def test_an_origin_is_restored_from_its_copy(self, origin, tmp_path):
        copy = tmp_path / "copy"
        mirror(origin, copy)
        was = files(origin)
        for path in ("one/z.mseed", "two/b.mseed"):
            (origin / path).write_bytes(b"broken")
        assert mirror(copy, origin).n_fetched == 2
        assert files(origin) == was
        assert signed(origin).data == signed(copy).data

    def test_an_empty_origin_empties_nothing(self, origin, tmp_path):
        copy = tmp_path / "copy"
        mirror(origin, copy)
        for path in origin.rglob("*.mseed"):
            path.unlink()
        with pytest.raises(StorageError, match="is the disk mounted"):
            mirror(origin, copy)
        with Archive(origin) as archive:
            archive.index(rebuild=True)
        report = mirror(origin, copy)
        assert len(report.aside) == 4 and not files(copy)
        assert len(list((copy / ".mirror" / "aside").rglob("*.mseed"))) == 4
        assert signed(copy).data == signed(origin).data


class TestAdmission:
    def test_strange_folders_are_left_alone(self, origin, tmp_path):
        other = tmp_path / "other"
        other.mkdir()
        (other / "thesis.txt").write_text("mine")
        with pytest.raises(InputError, match="is no copy of an archive"):
            mirror(origin, other)
        report = mirror(origin, other, adopt=True)
        assert not report.failures and (other / "thesis.txt").read_text() == "mine"

    def test_an_adopted_folder_keeps_what_is_right(self, origin, tmp_path):
        shutil.copytree(origin, tmp_path / "copy", ignore=shutil.ignore_patterns(".mirror", "index*"))
        (tmp_path / "copy" / "one" / "z.mseed").unlink()
        assert mirror(origin, tmp_path / "copy", adopt=True).n_fetched == 1

    def test_another_owner_is_refused(self, origin, tmp_path):
        copy, other = tmp_path / "copy", tmp_path / "other"
        mirror(origin, copy)
        other.mkdir()
        write_miniseed([wave(0)], other / "a.mseed")
        with pytest.raises(InputError, match="but the source is signed by"):
            mirror(other, copy)
        with pytest.raises(InputError, match="a manifest of its own"):
            mirror(origin, other)
        with pytest.raises(InputError, match="as was asked"):
            mirror(other, copy, key=signed(origin).key)
        assert files(copy) == files(origin)
        mirror(other, copy, key=signed(other).key)
        assert files(copy) == files(other)

    def test_an_older_manifest_is_refused(self, origin, tmp_path):
        stale, copy = tmp_path / "stale", tmp_path / "copy"
        mirror(origin, stale)
        write_miniseed([wave(200, seed=9)], origin / "more.mseed")
        mirror(origin, copy)
        with pytest.raises(FormatError, match="older than"):
            mirror(stale, copy)
        assert files(copy) == files(origin)

    def test_nothing_is_written_through_a_link_that_leads_out(self, origin, tmp_path):
        copy, outside = tmp_path / "copy", tmp_path / "outside"
        outside.mkdir()
        copy.mkdir()
        (copy / "one").symlink_to(outside)
        report = mirror(origin, copy)
        assert {row["subject"] for row in report.failures} == {"one/n.mseed", "one/z.mseed"}
        assert not list(outside.iterdir())

    def test_no_source(self, tmp_path):
        with pytest.raises(NotFoundError, match="no such archive"):
            mirror(tmp_path / "nothing", tmp_path / "copy")

    def test_a_full_disk_is_said_before(self, origin, tmp_path, monkeypatch):
        monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 0, 10))
        with pytest.raises(StorageError, match="are free there"):
            mirror(origin, tmp_path / "copy")


class Unreliable(FolderSource):
    """A source whose line breaks every few hundred bytes."""

    def __init__(self, path, *, piece: int = 700, sound: bool = True) -> None:
        super().__init__(path)
        self.piece = piece
        self.sound = sound
        self.offsets: list[int] = []

    def read(self, path, offset):
        self.offsets.append(offset)
        data = (self.path / path).read_bytes()
        yield data[offset : offset + self.piece]
        if offset + self.piece < len(data):
            raise LineError("the line broke")


class TestLine:
    def test_a_broken_line_is_taken_up_where_it_broke(self, origin, tmp_path):
        source = Unreliable(origin)
        report = mirror(source, tmp_path / "copy", retry_s=0)
        assert not report.failures and files(tmp_path / "copy") == files(origin)
        assert report.n_byte == sum(map(len, files(origin).values()))
        assert len(source.offsets) > 20

    def test_a_dead_line_ends_the_copy_and_the_next_call_goes_on(self, origin, tmp_path):
        copy = tmp_path / "copy"
        source = Unreliable(origin)

        def dies(path, offset, read=source.read):
            if offset > 3000:
                raise LineError("dead")
            return read(path, offset)

        source.read = dies
        with pytest.raises(StorageError, match="run again"):
            mirror(source, copy, retry_s=0)
        report = mirror(origin, copy)
        assert files(copy) == files(origin) and not report.failures
        assert report.n_byte < sum(map(len, files(origin).values()))
        assert not (copy / ".mirror" / "parts").exists()

    def test_a_wrong_beginning_is_thrown_away(self, origin, tmp_path):
        copy = tmp_path / "copy"
        source = Unreliable(origin)
        source.read = lambda path, offset: (_ for _ in ()).throw(LineError("dead"))
        with pytest.raises(StorageError):
            mirror(source, copy, retry_s=0)
        parts = list((copy / ".mirror" / "parts").iterdir())
        assert parts
        for part in parts:
            part.write_bytes(b"x" * 100)
        assert not mirror(origin, copy).failures
        assert files(copy) == files(origin)

    def test_a_kill_leaves_files_whole_or_not_there(self, origin, tmp_path):
        copy = tmp_path / "copy"
        code = (
            "import os, sys\n"
            "from kaname.archive import mirror as m\n"
            "install = m._Copy._install\n"
            "def dying(self, entry, part, count=[0]):\n"
            "    count[0] += 1\n"
            "    if count[0] == 3: os.kill(os.getpid(), 9)\n"
            "    return install(self, entry, part)\n"
            "m._Copy._install = dying\n"
            "m.mirror(sys.argv[1], sys.argv[2])\n"
        )
        assert subprocess.run([sys.executable, "-c", code, origin, copy]).returncode == -9
        here = files(copy)
        assert len(here) < 4 and all(files(origin)[path] == data for path, data in here.items())
        report = mirror(origin, copy)
        assert not report.failures and files(copy) == files(origin)
        assert report.n_byte < sum(map(len, files(origin).values()))

    def test_what_is_refused_is_listed_and_the_rest_copied(self, origin, tmp_path):
        class Restricted(FolderSource):
            def read(self, path, offset):
                if path == "two/b.mseed":
                    raise RefusedError("YY is under embargo; ask data@example.org")
                return super().read(path, offset)

        report = mirror(Restricted(origin), tmp_path / "copy")
        assert report.n_refused == 1 and report.n_fetched == 3
        (row,) = report.failures
        assert row["error"] == "RefusedError" and "data@example.org" in row["message"]


def test_the_policy_comes_first_or_nothing_does(origin, tmp_path):
    (origin / "access.toml").write_text('[[rules]]\nid = "YY"\naccess = "group"\n')
    copy = tmp_path / "copy"

    class Withholding(FolderSource):
        def read(self, path, offset):
            if path == "access.toml":
                raise RefusedError("no")
            return super().read(path, offset)

    with pytest.raises(StorageError, match="access policy cannot be copied"):
        mirror(Withholding(origin), copy)
    assert not files(copy)
    mirror(origin, copy)
    assert (copy / "access.toml").read_bytes() == (origin / "access.toml").read_bytes()
    assert signed(copy).data == signed(origin).data


def test_the_origin_is_no_copy_of_itself(origin):
    before = files(origin)
    with pytest.raises(InputError, match="origin itself"):
        mirror(origin, origin)
    assert files(origin) == before
