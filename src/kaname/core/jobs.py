"""Finished tasks in SQLite, so that a killed run takes up where it stopped."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pandas as pd

from kaname.core.errors import StorageError

TaskOutput = dict[str, pd.DataFrame]
"""What a task returns: tables by name."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS task (key TEXT PRIMARY KEY, finished TEXT DEFAULT CURRENT_TIMESTAMP) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS output (
    key TEXT NOT NULL REFERENCES task(key) ON DELETE CASCADE, name TEXT NOT NULL, frame BLOB NOT NULL,
    PRIMARY KEY (key, name)) WITHOUT ROWID;
"""


class JobStore:
    """Outputs of finished tasks by key, each stored in one transaction (SQLite, write-ahead log).

    A key must name everything the output depends on: input, settings, version. Only the coordinating
    process writes; a task is either wholly there or not at all, whenever the process dies.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"cannot make the folder {self.path.parent}: {error.strerror or error}"
            ) from error
        with self._storage("open"):
            self._db = sqlite3.connect(self.path, timeout=30)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA foreign_keys=ON")
            self._db.executescript(_SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def get(self, key: str) -> TaskOutput | None:
        """Return the output stored under ``key``, or ``None`` when that task has not finished."""
        import pyarrow as pa

        with self._storage("read"):
            if not self._db.execute("SELECT 1 FROM task WHERE key = ?", (key,)).fetchone():
                return None
            rows = self._db.execute("SELECT name, frame FROM output WHERE key = ?", (key,)).fetchall()
            try:
                return {name: pa.ipc.open_stream(blob).read_pandas() for name, blob in rows}
            except pa.ArrowInvalid as error:
                raise OSError(f"output {key} is damaged: {error}") from error

    def put(self, key: str, output: TaskOutput) -> None:
        """Store the output of a finished task, replacing what an earlier run left under its key."""
        frames = [(key, name, _serialise(frame)) for name, frame in output.items()]
        with self._storage("write"), self._db:
            self._db.execute("DELETE FROM task WHERE key = ?", (key,))
            self._db.execute("INSERT INTO task (key) VALUES (?)", (key,))
            self._db.executemany("INSERT INTO output VALUES (?, ?, ?)", frames)

    def forget(self, key: str) -> None:
        """Forget a task, so that it runs again; one that is not there is forgotten already."""
        with self._storage("write"), self._db:
            self._db.execute("DELETE FROM task WHERE key = ?", (key,))

    def __len__(self) -> int:
        with self._storage("read"):
            return int(self._db.execute("SELECT COUNT(*) FROM task").fetchone()[0])

    @contextmanager
    def _storage(self, action: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StorageError(
                f"cannot {action} the job store {self.path}: {error}; free space or rights and run again, "
                "finished work is kept (delete the file to start over)"
            ) from error


def _serialise(frame: pd.DataFrame) -> bytes:
    import pyarrow as pa

    arrow = pa.Table.from_pandas(frame, preserve_index=False)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, arrow.schema) as writer:
        writer.write_table(arrow)
    return bytes(sink.getvalue())
