"""Bring the index of an archive up to date with its files, reading only what has changed."""

from __future__ import annotations

import os
import stat
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from kaname.archive.index import FileRow, Index, Stamp
from kaname.archive.layout import names_waveform
from kaname.core.errors import FormatError, StorageError
from kaname.formats.contract import HEAD_BYTES
from kaname.formats.miniseed import MiniSeed, describe_faults
from kaname.formats.miniseed_records import RECORD_DTYPE, Records, scan_records
from kaname.formats.miniseed_sections import KIND_ENCODING, Section, sections

PARTIAL_SUFFIX = ".kaname-part"
"""Ending of the hidden files that are written before they replace another; left behind only by a kill."""
_RACY_NS = 2_000_000_000
_EDGE_BYTES = 64
_NO_EDGES = -1
_BATCH_FILES = 64
_WORKERS = min(4, os.cpu_count() or 1)

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Given a label and how many items there are, a context that is told how many are done."""


def silent(label: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
    """Show no progress."""
    return nullcontext(lambda n: None)


@dataclass
class IndexReport:
    """What an update of the index found."""

    n_file: int = 0
    """Files now in the index."""
    n_scanned: int = 0
    """Files whose headers were read."""
    n_appended: int = 0
    """Of these, files that had grown and were read from there on."""
    n_removed: int = 0
    n_record: int = 0
    """Records whose headers were read."""
    skipped: list[str] = field(default_factory=list)
    """Files that are no miniSEED, by content and by name."""
    failures: list[dict[str, Any]] = field(default_factory=list)
    """Rows of the failures table."""

    def fail(self, path: str, error: str, message: str) -> None:
        """Add a failure."""
        self.failures.append({"step": "index", "subject": path, "error": error, "message": message})


@dataclass(frozen=True)
class _Found:
    """A file on disk and what the index knew of it."""

    folder: str
    name: str
    stamp: Stamp
    looked_ns: int
    known: FileRow | None

    @property
    def path(self) -> str:
        return f"{self.folder}/{self.name}" if self.folder else self.name


def refresh(
    root: Path,
    index: Index,
    *,
    own: frozenset[str] = frozenset(),
    progress: Progress = silent,
) -> IndexReport:
    """Index new and changed files, forget those that are gone; files are never changed.

    A file counts as unchanged when size, modification time, change time and inode are as they were, and it
    was not touched within two seconds of being read (a later write could have kept the same time).

    Parameters
    ----------
    root
        Folder of the archive. Hidden files and folders are left out; links are followed, loops are not.
    index
        Its index, held exclusively.
    own
        Names in `root` that are the archive's own.
    progress
        Shows how many of the changed files are done, such as `kaname.core.progress.progress`.

    Raises
    ------
    StorageError
        When the archive is empty but the index is not (a disk that is not mounted?), or the disk refuses.
    """
    report = IndexReport()
    changed, gone, n_unchanged = _compare(root, index, own, report)
    if gone and not changed and not n_unchanged:
        raise StorageError(
            f"{root} holds no file at all, but its index knows {len(gone)}; is the disk mounted? If they are "
            f"meant to be gone: kaname archive index --rebuild {root}"
        )
    if gone:
        with index.transaction():
            for file in gone:
                index.remove(file)
    report.n_removed = len(gone)
    queue = iter(changed)
    with ThreadPoolExecutor(_WORKERS) as pool, progress("index", len(changed)) as advance:
        while batch := list(islice(queue, _BATCH_FILES)):
            results = pool.map(lambda found: _scan(root, found), batch)
            with index.transaction():
                for found, result in zip(batch, results):
                    _store(index, found, result, report)
            advance(len(batch))
    report.n_file = len(changed) + n_unchanged
    return report


def refresh_file(root: Path, index: Index, path: PurePosixPath) -> None:
    """Index one file, whatever was known of it; to be called in a transaction."""
    folder, name = str(path.parent), path.name
    status = (root / path).stat()
    found = _Found("" if folder == "." else folder, name, Stamp.of(status), time.time_ns(), None)
    _store(index, found, _scan(root, found), IndexReport())


def _compare(
    root: Path, index: Index, own: frozenset[str], report: IndexReport
) -> tuple[list[_Found], list[int], int]:
    """Return the files to read, the numbers of those that are gone, and how many are unchanged."""
    changed: list[_Found] = []
    gone: list[int] = []
    n_unchanged = 0
    unvisited = set(index.folders())
    for folder, entries in _walk(root, own, report):
        unvisited.discard(folder)
        known = {row.name: row for row in index.files(folder)}
        for name, status in entries:
            row = known.pop(name, None)
            stamp = Stamp.of(status)
            if row is not None and row.stamp == stamp and not racy(stamp, row.looked_ns):
                n_unchanged += 1
                if row.state == "other":
                    report.skipped.append(row.path)
            else:
                changed.append(_Found(folder, name, stamp, time.time_ns(), row))
        gone += [row.id for row in known.values()]
    for folder in unvisited:
        gone += [row.id for row in index.files(folder)]
    return changed, gone, n_unchanged


def racy(stamp: Stamp, looked_ns: int) -> bool:
    """Tell whether a file was read so soon after a change that a later one could carry the same times."""
    return looked_ns - max(stamp.mtime_ns, stamp.ctime_ns) < _RACY_NS


def _walk(
    root: Path, own: frozenset[str], report: IndexReport
) -> Iterator[tuple[str, list[tuple[str, os.stat_result]]]]:
    """Yield each folder below ``root`` and its regular files."""
    pending = [""]
    visited: set[tuple[int, int]] = set()
    while pending:
        folder = pending.pop()
        where = root / folder
        files: list[tuple[str, os.stat_result]] = []
        folders = []
        try:
            status = where.stat()
            if (status.st_dev, status.st_ino) in visited:
                continue
            visited.add((status.st_dev, status.st_ino))
            entries = sorted(os.scandir(where), key=lambda entry: entry.name)
        except OSError as error:
            report.fail(
                folder or str(root), "StorageError", f"cannot look into this folder: {error.strerror}"
            )
            continue
        for entry in entries:
            name = entry.name
            if name.endswith(PARTIAL_SUFFIX):
                # Whoever wrote it is gone: the archive is held exclusively.
                Path(entry.path).unlink(missing_ok=True)
                continue
            if name.startswith(".") or (not folder and name in own):
                continue
            path = f"{folder}/{name}" if folder else name
            if not name.isprintable():
                report.fail(ascii(path), "FormatError", "the name of this file is no text; rename it")
                continue
            try:
                status = entry.stat()
            except OSError as error:
                report.fail(path, "StorageError", f"cannot be looked at: {error.strerror}")
                continue
            if stat.S_ISDIR(status.st_mode):
                folders.append(path)
            elif stat.S_ISREG(status.st_mode):
                files.append((name, status))
        yield folder, files
        pending += reversed(folders)


@dataclass(frozen=True)
class _Scanned:
    records: Records | None
    """``None`` when the file is no miniSEED."""
    edges: int
    error: str = ""
    appended: bool = False


def _scan(root: Path, found: _Found) -> _Scanned:
    path = root / found.path
    try:
        known = found.known
        if known is not None and _has_grown(path, known, found.stamp):
            tail = scan_records(path, offset=known.scanned, checksum=known.checksum)
            return _Scanned(tail, _edges_of(path, tail), appended=True)
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        if not head:
            return _Scanned(None, 0, "the file is empty")
        if not MiniSeed().sniff(head, path):
            error = "named like miniSEED, but its beginning is none" if names_waveform(path.name) else ""
            return _Scanned(None, 0, error)
        records = scan_records(path, checksum=0)
        return _Scanned(records, _edges_of(path, records))
    except (OSError, FormatError) as error:
        return _Scanned(None, 0, str(error))


def _has_grown(path: Path, known: FileRow, stamp: Stamp) -> bool:
    """Tell whether the file is the known one with more at its end."""
    same_file = known.state == "miniseed" and known.stamp.inode == stamp.inode and known.scanned < stamp.size
    return same_file and _edges(path, known.scanned) == known.edges


def _edges_of(path: Path, records: Records) -> int:
    ends = records.faults["offset"] + records.faults["length"]
    # What is damaged at the end may be a record still being written: nothing may be read on from there.
    return _NO_EDGES if (ends == records.size).any() else _edges(path, records.size)


def _edges(path: Path, size: int) -> int:
    with path.open("rb") as file:
        first = file.read(min(_EDGE_BYTES, size))
        file.seek(max(size - _EDGE_BYTES, 0))
        return zlib.crc32(file.read(min(_EDGE_BYTES, size)), zlib.crc32(first))


def _store(index: Index, found: _Found, result: _Scanned, report: IndexReport) -> None:
    report.n_scanned += 1
    row = FileRow(0, found.folder, found.name, found.stamp, found.looked_ns, 0, 0, 0, 0, "other")
    records = result.records
    if records is None:
        if result.error:
            report.fail(found.path, "FormatError", result.error)
            index.put(replace(row, state="unreadable"), [], [result.error])
        else:
            report.skipped.append(found.path)
            index.put(row, [], [])
        return
    report.n_record += len(records.table)
    known_faults: list[str] = []
    n_record = len(records.table)
    faults = list(describe_faults(records))
    for message in faults:
        report.fail(found.path, "FormatError", message)
    if result.appended and found.known is not None:
        report.n_appended += 1
        n_record += found.known.n_record
        known_faults = index.faults_of(found.known.id)
        records = _joined(index.sections_of(found.known.id), records)
    row = replace(
        row,
        scanned=records.size,
        checksum=records.checksum,
        edges=result.edges,
        n_record=n_record,
        state="miniseed",
    )
    index.put(row, sections(records), known_faults + faults)


def _joined(known: list[Section], tail: Records) -> Records:
    """Return the records of the known sections and of the tail as one table, as if read in one go."""
    ids = list(dict.fromkeys([*(section.id for section in known), *tail.ids]))
    tables = []
    for section in known:
        table = np.zeros(len(section.offsets), RECORD_DTYPE)
        table["channel"] = ids.index(section.id)
        table["start"], table["rate"] = section.starts, section.sampling_rate
        table["n_sample"], table["offset"], table["length"] = (
            section.n_samples,
            section.offsets,
            section.lengths,
        )
        table["encoding"] = KIND_ENCODING[section.kind]
        tables.append(table)
    late = tail.table.copy()
    late["channel"] = np.array([ids.index(name) for name in tail.ids], np.int32)[late["channel"]]
    return replace(tail, ids=tuple(ids), table=np.concatenate([*tables, late]))
