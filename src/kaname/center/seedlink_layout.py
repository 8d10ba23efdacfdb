"""The tables of the ring."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from kaname.core.errors import StorageError

SCHEMA_VERSION = 1

_SCHEMA = """
CREATE TABLE stations (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,    -- NET_STA
    following INTEGER NOT NULL    -- next sequence number
);
CREATE TABLE streams (
    id INTEGER PRIMARY KEY,
    station INTEGER NOT NULL REFERENCES stations,
    seed_id TEXT NOT NULL,
    format TEXT NOT NULL,
    type TEXT NOT NULL,
    UNIQUE (seed_id, format, type)
);
CREATE TABLE channels (
    seed_id TEXT PRIMARY KEY,
    reached INTEGER NOT NULL      -- end of the latest record there has been, ns since 1970
);
CREATE TABLE packets (
    id INTEGER PRIMARY KEY,
    station INTEGER NOT NULL,
    stream INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    following INTEGER NOT NULL,
    start INTEGER NOT NULL,       -- ns since 1970
    end INTEGER NOT NULL,
    rate REAL NOT NULL,           -- Hz, 0 for text
    size INTEGER NOT NULL         -- bytes in records
);
CREATE INDEX packets_by_station ON packets (station, sequence);
CREATE TABLE records (
    id INTEGER PRIMARY KEY,       -- of the packet
    data BLOB NOT NULL,
    packed BLOB                   -- NULL: data is a record of 512 bytes itself
);
CREATE TABLE files (
    path TEXT PRIMARY KEY,
    device INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    position INTEGER NOT NULL     -- bytes read
);
"""


def prepare(db: sqlite3.Connection, path: Path) -> bool:
    """Set up a connection, and the tables where there are none; tell whether there were none.

    Raises
    ------
    StorageError
        When the file has the layout of another version.
    """
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT")
    elif version != SCHEMA_VERSION:
        raise StorageError(
            f"ring {path} has layout {version}, this version of Kaname has {SCHEMA_VERSION}; "
            "remove it, and clients begin anew"
        )
    return version == 0
