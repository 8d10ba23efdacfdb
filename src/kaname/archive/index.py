"""The index of an archive: which records of which channel lie where, in one SQLite file.

A row per record would be 10^9 rows for a year of a hundred stations. So there is a row per gap-free section
of a file, and its records stand packed in stretches of at most `STRETCH` records: a time window costs one row
per channel, and every record is still there with its start, samples, byte offset and length.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kaname.archive.packing import pack, unpack
from kaname.core.errors import NotFoundError, StorageError
from kaname.formats.miniseed_sections import Section

SCHEMA_VERSION = 1
STRETCH = 1024
SPAN_DTYPE = np.dtype(
    [
        ("start", "i8"),  # first sample, ns since 1970
        ("following", "i8"),  # when a contiguous next section starts
        ("rate", "f8"),  # Hz
        ("n_sample", "i8"),
        ("n_record", "i8"),
        ("checksum", "i8"),  # CRC-32 of the file
        ("updated", "i8"),  # modification time of the file, ns since 1970
    ]
)
_CLOCK_RANGE = 2**63 - 1

_SCHEMA = """
CREATE TABLE files (
    id INTEGER PRIMARY KEY,
    folder TEXT NOT NULL,        -- below the archive's root, '/' between names, '' for the root itself
    name TEXT NOT NULL,
    size INTEGER NOT NULL,       -- bytes
    mtime_ns INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    looked_ns INTEGER NOT NULL,  -- clock time before the file was read
    scanned INTEGER NOT NULL,    -- bytes read
    checksum INTEGER NOT NULL,   -- CRC-32 of those bytes
    edges INTEGER NOT NULL,      -- CRC-32 of the first and last 64 of them
    n_record INTEGER NOT NULL,
    state TEXT NOT NULL,         -- miniseed; other: no miniSEED; unreadable
    UNIQUE (folder, name)
);
CREATE TABLE channels (
    id INTEGER PRIMARY KEY,
    seed_id TEXT NOT NULL UNIQUE, -- NET.STA.LOC.CHA
    longest INTEGER NOT NULL      -- no section of the channel is longer [ns]
);
CREATE TABLE sections (
    id INTEGER PRIMARY KEY,
    file INTEGER NOT NULL REFERENCES files ON DELETE CASCADE,
    channel INTEGER NOT NULL REFERENCES channels,
    start INTEGER NOT NULL,      -- first sample, ns since 1970
    following INTEGER NOT NULL,  -- when a contiguous next section starts
    rate REAL NOT NULL,          -- Hz
    kind TEXT NOT NULL,          -- i 32-bit integer, f 32-bit, d 64-bit floating point
    n_sample INTEGER NOT NULL,
    n_record INTEGER NOT NULL
);
CREATE INDEX sections_by_time ON sections (channel, start);
CREATE INDEX sections_by_file ON sections (file);
CREATE TABLE stretches (
    id INTEGER PRIMARY KEY,
    section INTEGER NOT NULL REFERENCES sections ON DELETE CASCADE,
    first INTEGER NOT NULL,      -- samples of the section before this stretch
    start INTEGER NOT NULL,
    following INTEGER NOT NULL,
    n_record INTEGER NOT NULL,
    records BLOB NOT NULL        -- see docs/archive.md
);
CREATE INDEX stretches_by_section ON stretches (section, first);
CREATE TABLE faults (
    file INTEGER NOT NULL REFERENCES files ON DELETE CASCADE,
    message TEXT NOT NULL
);
CREATE INDEX faults_by_file ON faults (file);
"""


class Stamp(NamedTuple):
    """What tells that a file is the same as before without reading it."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, stat: os.stat_result) -> Stamp:
        """Take the stamp of a file."""
        return cls(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)


@dataclass(frozen=True)
class FileRow:
    """One file of the index."""

    id: int
    folder: str
    name: str
    stamp: Stamp
    looked_ns: int
    scanned: int
    checksum: int
    edges: int
    n_record: int
    state: str

    @property
    def path(self) -> str:
        """Path below the archive's root."""
        return f"{self.folder}/{self.name}" if self.folder else self.name


@dataclass(frozen=True)
class Located:
    """A section, or a part of one, and the file that holds it."""

    section: Section
    path: str
    stamp: Stamp


class Index:
    """The SQLite file and what is asked of it; every error of the database becomes a `StorageError`."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self.path = path
        if not create and not path.is_file():
            if not path.parent.is_dir():
                raise NotFoundError(f"no such archive: {path.parent}")
            raise NotFoundError(f"no index at {path}; make one with: kaname archive index {path.parent}")
        with self._errors():
            self._db = _connect(path)
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0 and create:
                self._db.executescript(
                    f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT"
                )
            elif version != SCHEMA_VERSION:
                raise StorageError(
                    f"index {path} has layout {version}, this version of Kaname writes {SCHEMA_VERSION}; "
                    f"make it anew with: kaname archive index --rebuild {path.parent}"
                )
        self._channels: tuple[tuple[int, int], dict[str, int]] = ((-1, -1), {})
        self._inode = path.stat().st_ino

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            text = str(error)
            if "no such table" in text or "malformed" in text:
                raise self._damaged(error) from error
            raise StorageError(f"index {self.path}: {text}") from error
        except sqlite3.DatabaseError as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> StorageError:
        return StorageError(
            f"index {self.path} is damaged ({error}); the data are not. Make the index anew with: "
            f"kaname archive index --rebuild {self.path.parent}"
        )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Do all or nothing of what is written inside."""
        with self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _all(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._errors():
            return self._db.execute(sql, values).fetchall()

    # Files

    def files(self, folder: str | None = None) -> list[FileRow]:
        """Return the files of one folder, or all."""
        where, values = ("", ()) if folder is None else ("WHERE folder = ?", (folder,))
        sql = (
            "SELECT id, folder, name, size, mtime_ns, ctime_ns, inode, looked_ns, scanned, checksum, edges,"
            f" n_record, state FROM files {where} ORDER BY folder, name"
        )
        return [
            FileRow(number, folder, name, Stamp(*rest[:4]), *rest[4:])
            for number, folder, name, *rest in self._all(sql, values)
        ]

    def contents(self, path: str) -> tuple[Stamp, list[tuple[str, int, int]]] | None:
        """Return the stamp of a file and its sections: SEED identifier, start, following [ns]."""
        folder, _, name = path.rpartition("/")
        sql = "SELECT id, size, mtime_ns, ctime_ns, inode FROM files WHERE folder = ? AND name = ?"
        rows = self._all(sql, (folder, name))
        if not rows:
            return None
        number, *stamp = rows[0]
        sql = (
            "SELECT c.seed_id, s.start, s.following FROM sections s JOIN channels c ON c.id = s.channel"
            " WHERE s.file = ? ORDER BY s.start"
        )
        return Stamp(*stamp), self._all(sql, (number,))

    def folders(self) -> list[str]:
        """Return the folders that hold files."""
        return [row[0] for row in self._all("SELECT DISTINCT folder FROM files")]

    def remove(self, file: int) -> None:
        """Forget a file and all that lies in it."""
        with self._errors():
            self._db.execute("DELETE FROM files WHERE id = ?", (file,))

    def put(self, file: FileRow, sections: Iterable[Section], faults: Iterable[str]) -> None:
        """Write a file and what lies in it, in place of what was known of it; ``file.id`` is not used."""
        with self._errors():
            db = self._db
            db.execute("DELETE FROM files WHERE folder = ? AND name = ?", (file.folder, file.name))
            stamp = file.stamp
            number = db.execute(
                "INSERT INTO files VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(file.folder, file.name, stamp.size, stamp.mtime_ns, stamp.ctime_ns, stamp.inode),
                    *(file.looked_ns, file.scanned, file.checksum, file.edges, file.n_record, file.state),
                ),
            ).lastrowid
            db.executemany("INSERT INTO faults VALUES (?, ?)", ((number, message) for message in faults))
            for section in sections:
                self._put_section(number, section)

    def _put_section(self, file: int | None, section: Section) -> None:
        start, following = _ns(section.start), _ns(section.following)
        number = self._db.execute(
            "INSERT INTO sections VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(file, self._channel(section.id, following - start), start, following),
                *(section.sampling_rate, section.kind, section.n_sample, len(section.offsets)),
            ),
        ).lastrowid
        edges = np.concatenate([[0], np.cumsum(section.n_samples)])
        rows = []
        for low in range(0, len(section.offsets), STRETCH):
            high = min(low + STRETCH, len(section.offsets))
            times = (_ns(section.time(int(edges[low]))), _ns(section.time(int(edges[high]))))
            columns = (section.n_samples, section.lengths, section.offsets, section.late)
            blob = pack(*(column[low:high] for column in columns))
            rows.append((number, int(edges[low]), *times, high - low, blob))
        self._db.executemany("INSERT INTO stretches VALUES (NULL, ?, ?, ?, ?, ?, ?)", rows)

    def _channel(self, identifier: str, length: int) -> int:
        self._db.execute(
            "INSERT INTO channels VALUES (NULL, ?, ?)"
            " ON CONFLICT (seed_id) DO UPDATE SET longest = max(longest, excluded.longest)",
            (identifier, length),
        )
        return int(self._db.execute("SELECT id FROM channels WHERE seed_id = ?", (identifier,)).fetchone()[0])

    # What lies where

    def channels(self) -> dict[str, int]:
        """Return the channels that have data: SEED identifier and number, sorted; not to be changed."""
        state = self.state()
        if self._channels[0] != state:
            sql = (
                "SELECT seed_id, id FROM channels c"
                " WHERE EXISTS (SELECT 1 FROM sections s WHERE s.channel = c.id) ORDER BY seed_id"
            )
            self._channels = state, dict(self._all(sql))
        return self._channels[1]

    @property
    def seen(self) -> tuple[int, int]:
        """The `state` in which `channels` was last asked for."""
        return self._channels[0]

    def is_current(self) -> bool:
        """Tell whether this is still the file at its path; one that is gone, for now, counts as the same."""
        try:
            return os.stat(self.path).st_ino == self._inode  # noqa: PTH116  (called per request)
        except OSError:
            return True

    def state(self) -> tuple[int, int]:
        """Return what differs after any change of the index, by this connection or another."""
        return self._all("PRAGMA data_version")[0][0], self._db.total_changes

    def spans(self, channel: int, start: int | None, end: int | None) -> NDArray[Any]:
        """Return the sections of a channel in a window, by start [ns], with `SPAN_DTYPE`."""
        rows = self._all(
            "SELECT s.start, s.following, s.rate, s.n_sample, s.n_record, f.checksum, f.mtime_ns"
            " FROM sections s JOIN channels c ON c.id = s.channel JOIN files f ON f.id = s.file"
            " WHERE s.channel = ? AND s.start < ? AND s.start >= ? - c.longest AND s.following > ?"
            " ORDER BY s.start, s.following",
            (channel, *_window(start, end)),
        )
        return np.array(rows, dtype=SPAN_DTYPE)

    def locate(self, channel: int, start: int | None, end: int | None) -> list[Located]:
        """Return the records of a channel that may hold samples of a window, section by section.

        Sections come in order of start, of which file a section lies in where they start together: an order
        that does not depend on the window.
        """
        return list(self.each_located(channel, start, end))

    def each_located(self, channel: int, start: int | None, end: int | None) -> Iterator[Located]:
        """Yield what `locate` returns, so that never more than one section stands in memory."""
        high, low, _ = _window(start, end)
        sql = (
            "SELECT s.id, c.seed_id, s.rate, s.kind, s.start, t.first, t.n_record, t.records,"
            " f.folder, f.name, f.size, f.mtime_ns, f.ctime_ns, f.inode"
            " FROM channels c JOIN sections s ON s.channel = c.id JOIN stretches t ON t.section = s.id"
            " JOIN files f ON f.id = s.file"
            " WHERE c.id = ? AND s.start < ? AND s.start >= ? - c.longest AND s.following > ?"
            " AND t.start < ? AND t.following > ?"
            " ORDER BY s.start, f.folder, f.name, s.id, t.first"
        )
        with self._errors():
            cursor = self._db.execute(sql, (channel, high, low, low, high, low))
            for _, group in groupby(cursor, key=itemgetter(0)):
                rows = list(group)
                _, identifier, rate, kind, origin, first = rows[0][:6]
                columns = [unpack(row[7], row[6]) for row in rows]
                joined = columns[0] if len(columns) == 1 else [np.concatenate(c) for c in zip(*columns)]
                section = _section(identifier, rate, kind, origin, first, joined)
                folder, name = rows[0][8:10]
                yield Located(section, f"{folder}/{name}" if folder else name, Stamp(*rows[0][10:14]))

    def sections_of(self, file: int) -> list[Section]:
        """Return the sections of one file with all their records."""
        rows = self._all(
            "SELECT s.id, c.seed_id, s.rate, s.kind, s.start FROM sections s"
            " JOIN channels c ON c.id = s.channel WHERE s.file = ? ORDER BY s.id",
            (file,),
        )
        out = []
        for number, identifier, rate, kind, origin in rows:
            sql = "SELECT records, n_record FROM stretches WHERE section = ? ORDER BY first"
            columns = [unpack(*stretch) for stretch in self._all(sql, (number,))]
            joined = [np.concatenate(column) for column in zip(*columns)]
            out.append(_section(identifier, rate, kind, origin, 0, joined))
        return out

    def faults(self) -> list[tuple[str, str]]:
        """Return path and message of everything in the files that is no readable record."""
        sql = (
            "SELECT CASE f.folder WHEN '' THEN f.name ELSE f.folder || '/' || f.name END, x.message"
            " FROM faults x JOIN files f ON f.id = x.file ORDER BY f.folder, f.name, x.rowid"
        )
        return self._all(sql)

    def faults_of(self, file: int) -> list[str]:
        """Return the messages about one file."""
        sql = "SELECT message FROM faults WHERE file = ? ORDER BY rowid"
        return [row[0] for row in self._all(sql, (file,))]

    def integrity(self, *, deep: bool) -> list[str]:
        """Return what SQLite finds wrong with its own file; empty when nothing is."""
        rows = self._all("PRAGMA integrity_check" if deep else "PRAGMA quick_check")
        return [row[0] for row in rows if row[0] != "ok"]


def _connect(path: Path) -> sqlite3.Connection:
    if os.access(path.parent, os.W_OK):
        # One connection may serve several threads: SQLite itself serialises.
        db = sqlite3.connect(path, timeout=30.0, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA journal_mode = WAL")
    else:
        # A read-only archive: nobody can write the index either, so no lock and no log is needed.
        log = path.with_name(f"{path.name}-wal")
        if log.is_file() and log.stat().st_size:
            raise StorageError(
                f"index {path} was left unfinished; run kaname archive index where it may be written"
            )
        uri = f"{path.resolve().as_uri()}?immutable=1"
        db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA cache_size = -65536")
    return db


def _window(start: int | None, end: int | None) -> tuple[int, int, int]:
    low = -_CLOCK_RANGE // 2 if start is None else start
    return (_CLOCK_RANGE if end is None else end), low, low


def _ns(moment: np.datetime64) -> int:
    return int(moment.astype(np.int64))


def _section(
    identifier: str, rate: float, kind: str, origin: int, first: int, columns: Sequence[NDArray[Any]]
) -> Section:
    n_samples, lengths, offsets, late = columns
    return Section(identifier, rate, kind, origin, first, n_samples, offsets, lengths, late)
