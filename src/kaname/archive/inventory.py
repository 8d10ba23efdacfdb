"""What lies on disk, file by file with its SHA-256: made, signed, and compared with what was signed."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kaname.archive.access import ACCESS_NAME
from kaname.archive.index import Stamp
from kaname.archive.lock import exclusive
from kaname.archive.manifest import STATE, Entry, Manifest
from kaname.archive.refresh import Progress, racy, silent
from kaname.archive.signing import Signer
from kaname.archive.store import Archive
from kaname.core.errors import StorageError
from kaname.core.time import isoformat

WORKERS = min(4, os.cpu_count() or 1)
"""Files read at a time."""
_BATCH_FILES = 256

Read = tuple[str, Stamp, int, str]
"""A file that was read: path, stamp, clock time before [ns], SHA-256."""


@dataclass
class Inventory:
    """The files of an archive as they are on disk."""

    entries: list[Entry] = field(default_factory=list)
    """By path."""
    n_hashed: int = 0
    """Files read; the others have not changed since they were."""
    failures: list[dict[str, Any]] = field(default_factory=list)
    """Rows of the failures table."""

    def fail(self, path: str, error: Exception | str, message: str = "") -> None:
        """Add a failure; an exception gives its class name as the kind of error."""
        kind = type(error).__name__ if isinstance(error, Exception) else error
        row = {"step": "manifest", "subject": path, "error": kind, "message": message or str(error)}
        self.failures.append(row)


class Hashes:
    """SHA-256 of files as they were last read, in SQLite beside the manifest; used with `holding`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._path = root / STATE / "hashes.sqlite"
        try:
            self._db = sqlite3.connect(self._path)
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS hashes (path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER,"
                " ctime_ns INTEGER, inode INTEGER, looked_ns INTEGER, sha256 TEXT) WITHOUT ROWID"
            )
            rows = self._db.execute("SELECT * FROM hashes").fetchall()
        except sqlite3.Error as error:
            raise StorageError(f"{self._path}: {error}; delete it, it is made anew from the files") from error
        self._known = {path: (Stamp(*rest[:4]), rest[4], rest[5]) for path, *rest in rows}

    def __enter__(self) -> Hashes:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def get(self, path: str, stamp: Stamp) -> str | None:
        """Return the hash that a file had when it was read, if size, times and inode are as they were."""
        known = self._known.get(path)
        if known is None or known[0] != stamp or racy(stamp, known[1]):
            return None
        return str(known[2])

    def put(self, rows: Iterable[Read]) -> None:
        """Keep hashes of files."""
        rows = list(rows)
        self._known |= {path: (stamp, looked_ns, sha256) for path, stamp, looked_ns, sha256 in rows}
        try:
            with self._db:
                self._db.executemany(
                    "INSERT OR REPLACE INTO hashes VALUES (?, ?, ?, ?, ?, ?, ?)",
                    [(path, *stamp, looked_ns, sha256) for path, stamp, looked_ns, sha256 in rows],
                )
        except sqlite3.Error as error:
            raise StorageError(f"{self._path}: {error}") from error


@contextmanager
def holding(root: Path, *, wait_s: float = 60.0) -> Iterator[None]:
    """Hold the right to copy to an archive or to sign it; reading and adding go on meanwhile.

    Raises
    ------
    StorageError
        When another process still holds it after `wait_s` seconds, or the folder cannot be written.
    """
    try:
        (root / STATE).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot write in {root}: {error.strerror or error}") from error
    with exclusive(root / STATE / "lock", wait_s=wait_s):
        yield


def take(
    root: Path, paths: Sequence[str], hashes: Hashes, *, deep: bool = False, progress: Progress = silent
) -> Inventory:
    """Take the inventory of files of an archive, reading those that have changed since they were read.

    Parameters
    ----------
    root
        Folder of the archive.
    paths
        Files below it; those that are not there are left out.
    hashes
        What is known of them; brought up to date.
    deep
        Read every file.
    progress
        Shows how many files are done, such as `kaname.core.progress.progress`.
    """
    out = Inventory()

    def look(path: str) -> tuple[Entry, Read | None] | OSError | None:
        try:
            stamp = Stamp.of((root / path).stat())
            known = hashes.get(path, stamp)
            if known is not None and not deep:
                return Entry(path, stamp.size, known), None
            looked_ns = time.time_ns()
            sha256 = sha256_of(root / path)
            if Stamp.of((root / path).stat()) != stamp:
                raise OSError("it changed while it was read; it will be taken next time")
            if known is not None and known != sha256:
                raise OSError("its bytes have changed although size and times have not: the disk is damaged")
            return Entry(path, stamp.size, sha256), (path, stamp, looked_ns, sha256)
        except FileNotFoundError:
            return None
        except OSError as error:
            return error

    with ThreadPoolExecutor(WORKERS) as pool, progress("hash", len(paths)) as advance:
        for low in range(0, len(paths), _BATCH_FILES):
            batch = paths[low : low + _BATCH_FILES]
            read = []
            for path, result in zip(batch, pool.map(look, batch)):
                if isinstance(result, OSError):
                    out.fail(path, "StorageError", f"left out: {result.strerror or result}")
                elif result is not None:
                    out.entries.append(result[0])
                    read += [result[1]] if result[1] is not None else []
            hashes.put(read)
            out.n_hashed += len(read)
            advance(len(batch))
    return out


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal text."""
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def publish(
    archive: Archive, *, deep: bool = False, wait_s: float = 60.0, progress: Progress = silent
) -> tuple[Manifest, Inventory]:
    """Sign what an archive holds now; a copy is not signed but compared with what the origin signed.

    The signing key is made at the first time. When nothing has changed the manifest stays the same, byte for
    byte. A file that was signed, is still there and cannot be read as it should stays in the manifest as it
    was signed, and is a failure: damage does not travel. In a copy every difference is a failure.

    Parameters
    ----------
    archive
        Archive, whose index is brought up to date.
    deep
        Read every file, so that damage which leaves size and times alone is found.
    wait_s
        How long to wait for another process that signs or copies [s].
    progress
        Shows how many files are done.

    Raises
    ------
    StorageError
        When another process holds the archive or the disk refuses.
    FormatError
        When the manifest that was there is damaged.
    """
    indexed = archive.index(wait_s=wait_s, progress=progress)
    root = archive.path
    with holding(root, wait_s=wait_s), Hashes(root) as hashes:
        held = Manifest.load(root)
        inventory = take(root, [ACCESS_NAME, *archive.files()], hashes, deep=deep, progress=progress)
        inventory.failures += indexed.failures
        if held is not None and not is_origin(root):
            _compare(held, inventory)
            return held, inventory
        signer = Signer(key_path(root))
        if held is not None:
            _keep_signed(root, held, inventory)
        if held is not None and held.key == signer.public and list(held.entries) == sorted(inventory.entries):
            return held, inventory
        made = isoformat(np.datetime64(time.time_ns(), "ns"))
        if held is not None and made <= held.made:  # the clock was set back
            made = isoformat(np.datetime64(held.made[:-1], "ns") + np.timedelta64(1, "us"))
        manifest = Manifest.sign(made, inventory.entries, signer)
        manifest.save(root)
        return manifest, inventory


def is_origin(root: Path) -> bool:
    """Tell whether an archive signs its own manifest."""
    return key_path(root).exists()


def key_path(root: Path) -> Path:
    """Return where an archive keeps its signing key."""
    return root / STATE / "signing.key"


def _keep_signed(root: Path, held: Manifest, inventory: Inventory) -> None:
    found = {entry.path for entry in inventory.entries}
    failed = {row["subject"] for row in inventory.failures}
    for entry in held.entries:
        if entry.path not in found and (root / entry.path).exists():
            inventory.entries.append(entry)
            if entry.path not in failed:
                inventory.fail(entry.path, "FormatError", "was signed as miniSEED and is none any more")


def _compare(held: Manifest, inventory: Inventory) -> None:
    found = {entry.path: entry for entry in inventory.entries}
    for path in sorted(held.by_path.keys() | found.keys()):
        signed, here = held.by_path.get(path), found.get(path)
        if signed == here or (path == ACCESS_NAME and signed is None):
            continue
        message = (
            "is not here"
            if here is None
            else "is not at the origin"
            if signed is None
            else "differs from the origin"
        )
        inventory.fail(path, "StorageError", f"{message}; run kaname archive mirror again")
