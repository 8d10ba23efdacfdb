"""Copy an archive by its signed manifest: verified, resumable, and repairing what has diverged."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any, TypeVar

from kaname.archive.access import ACCESS_NAME
from kaname.archive.index import Stamp
from kaname.archive.inventory import Hashes, Read, holding, key_path, take
from kaname.archive.manifest import STATE, Entry, Manifest
from kaname.archive.refresh import Progress, silent
from kaname.archive.signing import Signer, key_text
from kaname.archive.source import PIECE_BYTES, LineError, RefusedError, Source, source_of
from kaname.archive.store import OWN_NAMES, Archive
from kaname.core.errors import FormatError, InputError, KanameError, StorageError

ASIDE = "aside"
"""Folder in `STATE` for files that the origin does not have."""
_PARTS = "parts"
_TRIES = 5
_BATCH_FILES = 64
_WRITERS = max(6, os.cpu_count() or 1)
"""Files under way at a time: while one waits for the disk, others are read and hashed."""
_RESERVE_BYTES = 64 << 20


@dataclass
class MirrorReport:
    """What a copy did."""

    manifest: Manifest
    """What the origin signed."""
    n_fetched: int = 0
    """Files copied."""
    n_byte: int = 0
    """Bytes that came from the source."""
    n_refused: int = 0
    """Files that the owner does not give; each is a failure too."""
    aside: list[str] = field(default_factory=list)
    """Files that the origin does not have; they lie in the folder ``.mirror/aside`` now."""
    failures: list[dict[str, Any]] = field(default_factory=list)
    """Rows of the failures table."""

    def fail(self, path: str, error: Exception) -> None:
        """Add a failure."""
        row = {"step": "mirror", "subject": path, "error": type(error).__name__, "message": str(error)}
        self.failures.append(row)


def mirror(
    source: str | Path | Source,
    root: str | Path,
    *,
    key: bytes | None = None,
    deep: bool = False,
    adopt: bool = False,
    user: str | None = None,
    password: str = "",
    wait_s: float = 60.0,
    retry_s: float = 0.5,
    progress: Progress = silent,
) -> MirrorReport:
    """Make a folder hold what the origin of an archive has signed.

    The first copy remembers the origin's public key; later ones accept no other and no older manifest. Every
    file is written aside, compared with its SHA-256, synchronised to disk and renamed: after a kill the same
    call goes on where it stopped, within files too. What the origin does not have is moved to
    ``.mirror/aside``, never deleted. The access policy is copied first.

    Parameters
    ----------
    source
        Folder of the archive or of another copy, address of a server, or any `Source`.
    root
        Folder of the copy; made when it is not there.
    key
        Public key that the origin must have; also lets a known origin change its key.
    deep
        Read every file of the copy, so that damage which leaves size and times alone is found and repaired.
    adopt
        Make a folder a copy that has files already but is none yet.
    user, password
        For a server that asks for them.
    wait_s
        How long to wait for another process that copies [s].
    retry_s
        Pause before the first new try when the line breaks; doubled each time [s].
    progress
        Shows how many files are done, such as `kaname.core.progress.progress`.

    Raises
    ------
    InputError
        When the folder is the origin itself, or no copy of it.
    FormatError
        When the manifest is damaged, forged, or older than one that was seen before.
    StorageError
        When the line broke for good or the disk refuses; the same call goes on from there.
    """
    origin = source_of(source, user=user, password=password) if isinstance(source, (str, Path)) else source
    root = Path(root)
    if isinstance(source, (str, Path)) and root.is_dir() and Path(source).is_dir() and root.samefile(source):
        raise InputError(f"{root} is the origin itself; name another folder for the copy")
    manifest = _patiently(origin.manifest, retry_s)
    with holding(root, wait_s=wait_s), Hashes(root) as hashes:
        _admit(manifest, root, key=key, adopt=adopt)
        manifest.save(root)
        copy = _Copy(origin, root, manifest, retry_s)
        # First, so that no record is here before the rules that it is under.
        policy = [entry for entry in manifest.entries if entry.path == ACCESS_NAME]
        copy.bring(policy, hashes, deep=deep, progress=silent)
        if copy.report.failures:
            raise StorageError(f"the access policy cannot be copied: {copy.report.failures[0]['message']}")
        data = [entry for entry in manifest.entries if entry.path != ACCESS_NAME]
        copy.bring(data, hashes, deep=deep, progress=progress)
        with Archive(root) as archive:
            _put_aside(archive, copy.report, wait_s)
        if not copy.report.failures:
            shutil.rmtree(root / STATE / _PARTS, ignore_errors=True)
    return copy.report


def _admit(manifest: Manifest, root: Path, *, key: bytes | None, adopt: bool) -> None:
    """Refuse a manifest that this folder may not follow."""
    name = key_text(manifest.key)
    if key is not None and key != manifest.key:
        raise InputError(f"the manifest is signed by {name}, not by {key_text(key)} as was asked")
    if key_path(root).exists() and Signer(key_path(root)).public != manifest.key:
        raise InputError(
            f"{root} is an archive with a manifest of its own, not a copy; choose another folder"
        )
    held = Manifest.load(root)
    if held is None:
        strange = None if adopt else _any_file(root)
        if strange is not None:
            raise InputError(
                f"{root} is no copy of an archive but holds files, such as {strange}; choose an empty folder "
                f"or adopt it: what is as the origin has it stays, the rest is replaced or put aside"
            )
    elif held.key != manifest.key and key is None:
        raise InputError(
            f"{root} is a copy of the archive of {key_text(held.key)}, but the source is signed by {name}; "
            f"if the owner has confirmed the new key, give it"
        )
    elif held.key == manifest.key and manifest.made < held.made:
        raise FormatError(
            f"the source's manifest was made at {manifest.made}, older than that of {held.made} which {root} "
            f"follows already; the source is out of date: use another one, or wait until it is not"
        )


def _any_file(root: Path) -> Path | None:
    for path in root.rglob("*"):
        names = path.relative_to(root).parts
        if path.is_file() and not any(n.startswith(".") for n in names) and names[0] not in OWN_NAMES:
            return path
    return None


class _Copy:
    """One run of `mirror`."""

    def __init__(self, source: Source, root: Path, manifest: Manifest, retry_s: float) -> None:
        self.source = source
        self.root = root
        self.retry_s = retry_s
        self.report = MirrorReport(manifest)

    def bring(self, entries: list[Entry], hashes: Hashes, *, deep: bool, progress: Progress) -> None:
        """Make files be as the manifest says."""
        found = take(self.root, [e.path for e in entries], hashes, deep=deep, progress=progress)
        here = {entry.path: entry for entry in found.entries}
        missing = [entry for entry in entries if here.get(entry.path) != entry]
        self._check_space(missing)
        waiting: deque[tuple[Entry, Future[tuple[Read, int] | KanameError]]] = deque()
        with ThreadPoolExecutor(_WRITERS) as pool, progress("mirror", len(missing)) as advance:
            try:
                for entry in missing:
                    waiting.append((entry, pool.submit(self._bring_one, entry)))
                    if len(waiting) == 2 * _BATCH_FILES:
                        self._settle([waiting.popleft() for _ in range(_BATCH_FILES)], hashes, advance)
                self._settle(list(waiting), hashes, advance)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _settle(
        self,
        batch: list[tuple[Entry, Future[tuple[Read, int] | KanameError]]],
        hashes: Hashes,
        advance: Callable[[int], None],
    ) -> None:
        """Wait for files that are under way and note how it went."""
        read: list[Read] = []
        broken: LineError | None = None
        for entry, future in batch:
            result = future.result()
            if isinstance(result, KanameError):
                self.report.n_refused += isinstance(result, RefusedError)
                self.report.fail(entry.path, result)
                broken = result if isinstance(result, LineError) else broken
            else:
                read.append(result[0])
                self.report.n_fetched += 1
                self.report.n_byte += result[1]
        hashes.put(read)
        if broken is not None:
            raise StorageError(f"the line to the source broke: {broken}; what is here stays, run again")
        advance(len(batch))

    def _check_space(self, missing: list[Entry]) -> None:
        wanted = sum(entry.size for entry in missing)
        free = shutil.disk_usage(self.root).free
        if missing and wanted + _RESERVE_BYTES > free:
            raise StorageError(f"{wanted} bytes are to be copied to {self.root}, {free} are free there")

    def _bring_one(self, entry: Entry) -> tuple[Read, int] | KanameError:
        try:
            part, n_byte = self._fetch(entry)
            return self._install(entry, part), n_byte
        except KanameError as error:
            return error
        except OSError as error:
            return StorageError(f"cannot write {self.root / entry.path}: {error.strerror or error}")

    def _fetch(self, entry: Entry) -> tuple[Path, int]:
        """Bring the bytes of a file into a part, those of it that are not there yet, and compare them."""
        name = hashlib.sha256(f"{entry.sha256} {entry.path}".encode()).hexdigest()
        part = self.root / STATE / _PARTS / name
        part.parent.mkdir(parents=True, exist_ok=True)
        while True:
            with FileIO(part, "a+b") as file:
                digest = hashlib.sha256()
                file.seek(0)
                while piece := file.read(PIECE_BYTES):
                    digest.update(piece)
                had = file.tell()
                _patiently(partial(self._go_on, entry, file, digest), self.retry_s, file.tell)
                os.fsync(file.fileno())
                if digest.hexdigest() == entry.sha256:
                    return part, file.tell() - had
            part.unlink()
            if not had:  # else it may be the old beginning that is wrong: once more from nothing
                raise FormatError(
                    "the source's bytes are not those that the origin signed: it is damaged, or has changed "
                    "since; they were not taken"
                )

    def _go_on(self, entry: Entry, file: FileIO, digest: Any) -> None:
        if file.tell() >= entry.size:
            return
        for piece in self.source.read(entry.path, file.tell()):
            digest.update(piece)
            file.write(piece)
            if file.tell() > entry.size:
                return

    def _install(self, entry: Entry, part: Path) -> Read:
        target = self.root / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_symlink() or not target.parent.resolve().is_relative_to(self.root.resolve()):
            raise StorageError(f"{target} leads out of the copy by a symbolic link; nothing is written there")
        looked_ns = time.time_ns()
        part.replace(target)
        return entry.path, Stamp.of(target.stat()), looked_ns, entry.sha256


Result = TypeVar("Result")


def _patiently(call: Callable[[], Result], retry_s: float, reached: Callable[[], int] = int) -> Result:
    """Call again when the line breaks, until it breaks `_TRIES` times without getting any further."""
    n_broken = 0
    while True:
        before = reached()
        try:
            return call()
        except LineError:
            n_broken = n_broken + 1 if reached() == before else 1
            if n_broken >= _TRIES:
                raise
            time.sleep(retry_s * 2 ** (n_broken - 1))


def _put_aside(archive: Archive, report: MirrorReport, wait_s: float) -> None:
    """Move what the origin does not have out of the archive, and bring the index up to date."""
    root, signed = archive.path, report.manifest.by_path
    report.failures += archive.index(wait_s=wait_s).failures
    report.aside = [path for path in archive.files() if path not in signed]
    if not report.aside:
        return
    folder = root / STATE / ASIDE / time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    for path in report.aside:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        (root / path).replace(target)
    # An archive whose last file has gone is taken for a disk that is not mounted, except when told.
    archive.index(rebuild=not signed, wait_s=wait_s)
