"""The ring of a SeedLink server: the last packets of all stations, on disk, and the newest in memory too.

One SQLite file holds packets, the next sequence number of every station, and how far every followed file has
been read, changed together in one transaction: after a kill and a restart no packet is lost, none is there
twice, and none has another number than before. Clients are told of a packet only after it is on disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar, cast

import numpy as np

from kaname.archive.availability import Spans
from kaname.archive.index import SPAN_DTYPE
from kaname.archive.lock import exclusive
from kaname.center.seedlink_layout import prepare
from kaname.center.seedlink_packets import FIRST_SEQUENCE, Packet, Record, Stream, packet, read_records
from kaname.core.errors import InputError, StorageError
from kaname.core.time import NS_PER_S
from kaname.formats.miniseed_sections import JOIN_TOLERANCE

DEPTH_BYTES = 2 << 30
LIVE_BYTES = 64 << 20
GATHER_S = 0.02
"""How long a record waits for others: one transaction, and one wake of the clients, for all."""
SURVEY_SHARE = 20
"""What was found by looking through all of the ring is good for so many times as long as that took."""
_TRIM_PACKETS = 4096
_READERS = 2

T = TypeVar("T")


class Position(NamedTuple):
    """How far a followed file has been read."""

    path: str
    device: int
    inode: int
    position: int


@dataclass(frozen=True)
class Extent:
    """What the ring holds of a stream."""

    stream: Stream
    start: int
    """[ns since 1970]"""
    end: int


class Ring:
    """Packets by station and sequence number; `publish` adds, `live` and `read` give.

    Everything here belongs to one event loop, except the reading and writing of the file, which is done in
    threads.

    Parameters
    ----------
    path
        The SQLite file, made when it is not there.
    depth_bytes
        Bytes of records kept; the oldest go first.
    live_bytes
        Bytes of the newest packets kept in memory too.

    Raises
    ------
    StorageError
        When the file cannot be used.
    """

    def __init__(self, path: Path, *, depth_bytes: int = DEPTH_BYTES, live_bytes: int = LIVE_BYTES) -> None:
        if depth_bytes < 1 << 20:
            raise InputError(
                f"a ring of less than a megabyte keeps nothing worth resuming: {depth_bytes} bytes"
            )
        self.path = path
        self.depth_bytes = depth_bytes
        self.live_bytes = live_bytes
        self.streams: dict[Stream, int] = {}
        self.reached: dict[str, int] = {}
        """End of the latest record of every channel [ns since 1970]."""
        self.following: dict[str, int] = {}
        """Next sequence number of every station."""
        self.newest = 0
        """Number of the newest packet that clients can have."""
        self.new = True
        """There was no file yet."""
        self._stations: dict[str, int] = {}
        self._by_number: dict[int, Stream] = {}
        self._live: list[Packet] = []
        self._live_size = 0
        self._news = asyncio.Event()
        self._pending: list[tuple[bytes, str, Position | None, asyncio.Future[int]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._surveying = asyncio.Lock()
        self._surveys: dict[str, tuple[float, Any]] = {}
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._threads = ThreadPoolExecutor(_READERS, "seedlink-read")
        self._thread = ThreadPoolExecutor(1, "seedlink-write")
        self._lock = contextlib.ExitStack()
        try:
            self._open()
        except StorageError:
            self._lock.close()
            raise

    def _open(self) -> None:
        with self._errors():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.enter_context(exclusive(self.path.with_suffix(".lock"), wait_s=0))
            db = self._db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            self.new = prepare(db, self.path)
            for number, name, following in db.execute("SELECT id, name, following FROM stations"):
                self._stations[name], self.following[name] = number, following
            for number, *stream in db.execute("SELECT id, seed_id, format, type FROM streams"):
                self._know(Stream(*stream), number)
            self.reached = dict(db.execute("SELECT seed_id, reached FROM channels"))
            row = db.execute("SELECT coalesce(max(id), 0), coalesce(sum(size), 0) FROM packets").fetchone()
            self.newest, self._size = row
            self._last = self.newest

    def _know(self, stream: Stream, number: int) -> None:
        self.streams[stream] = number
        self._by_number[number] = stream

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise StorageError(f"ring {self.path}: {error}") from error
        except OSError as error:
            raise StorageError(f"ring {self.path}: {error.strerror or error}") from error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Store what is pending and close the file."""
        if self._writer is not None:
            await self._writer
        self._threads.shutdown()
        self._thread.shutdown()
        for connection in (*self._readers, self._db):
            connection.close()
        self._lock.close()

    # Adding

    async def publish(
        self, records: bytes, *, origin: str = "publish", position: Position | None = None
    ) -> int:
        """Add records and return how many there were, once they are on disk and clients can have them.

        Parameters
        ----------
        records
            Whole records of miniSEED 2 or 3. What is no record is logged and left out.
        origin
            Where they are from, for the log.
        position
            How far a followed file has been read with these.

        Raises
        ------
        StorageError
            When the disk refuses.
        """
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._pending.append((records, origin, position, done))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        return await done

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(GATHER_S)
        while self._pending:
            taken, self._pending = self._pending, []
            try:
                counts = await loop.run_in_executor(self._thread, self._store, taken, loop)
            except StorageError as error:
                for *_, done in taken:
                    if not done.done():
                        done.set_exception(error)
            else:
                for (*_, done), count in zip(taken, counts):
                    if not done.done():
                        done.set_result(count)
            await asyncio.sleep(GATHER_S if self._pending else 0)
        self._writer = None

    def _store(self, taken: Sequence[tuple[bytes, str, Position | None, Any]], loop: Any) -> list[int]:
        """Write in one transaction, then hand the packets to the event loop."""
        batches = [list(read_records(data, origin)) for data, origin, _, _ in taken]
        records = [record for batch in batches for record in batch]
        positions = [position for _, _, position, _ in taken if position is not None]
        with self._errors():
            db = self._db
            db.execute("BEGIN IMMEDIATE")
            known = list(self.streams)
            try:
                self._enrol(record.stream for record in records)
                packets, following = self._number(records)
                self._insert(packets, following)
                db.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", positions)
                removed = self._trim(sum(len(r.data) + len(r.packed or b"") for r in records))
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                self._forget(self.streams.keys() - known)
                raise
        self._size += sum(len(r.data) + len(r.packed or b"") for r in records) - removed
        if packets:
            self._last = packets[-1].number
            loop.call_soon_threadsafe(self._announce, packets, following)
        return [len(batch) for batch in batches]

    def _enrol(self, streams: Iterable[Stream]) -> None:
        for stream in dict.fromkeys(streams):
            if stream in self.streams:
                continue
            name = stream.station
            if name not in self._stations:
                number = self._db.execute(
                    "INSERT INTO stations VALUES (NULL, ?, ?)", (name, FIRST_SEQUENCE)
                ).lastrowid
                self._stations[name] = int(number or 0)
            row = (self._stations[name], stream.id, stream.format, stream.type)
            number = self._db.execute("INSERT INTO streams VALUES (NULL, ?, ?, ?, ?)", row).lastrowid
            self._know(stream, int(number or 0))

    def _forget(self, streams: Iterable[Stream]) -> None:
        """Undo `_enrol`, whose rows were rolled back."""
        for stream in list(streams):
            del self._by_number[self.streams.pop(stream)]
            if stream.station not in self.following:
                self._stations.pop(stream.station, None)

    def _number(self, records: Sequence[Record]) -> tuple[list[Packet], dict[str, int]]:
        following: dict[str, int] = {}
        packets = []
        for number, record in enumerate(records, self._last + 1):
            station = record.stream.station
            sequence = following.get(station) or self.following.get(station, FIRST_SEQUENCE)
            packets.append(packet(number, sequence, record))
            following[station] = packets[-1].following
        return packets, following

    def _insert(self, packets: Sequence[Packet], following: dict[str, int]) -> None:
        rows, blobs = [], []
        reached: dict[str, int] = {}
        for each in packets:
            record = each.record
            stream = record.stream
            size = len(record.data) + len(record.packed or b"")
            keys = (each.number, self._stations[stream.station], self.streams[stream])
            rows.append((*keys, each.sequence, each.following, record.start, record.end, record.rate, size))
            blobs.append((each.number, record.data, record.packed))
            reached[stream.id] = max(record.end, reached.get(stream.id, record.end))
        db = self._db
        db.executemany("INSERT INTO packets VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        db.executemany("INSERT INTO records VALUES (?, ?, ?)", blobs)
        db.executemany(
            "UPDATE stations SET following = ? WHERE name = ?", [(n, s) for s, n in following.items()]
        )
        db.executemany(
            "INSERT INTO channels VALUES (?, ?)"
            " ON CONFLICT (seed_id) DO UPDATE SET reached = max(reached, excluded.reached)",
            list(reached.items()),
        )

    def _trim(self, added: int) -> int:
        """Forget the oldest packets beyond the depth; return how many bytes they were."""
        removed = 0
        while self._size + added - removed > self.depth_bytes:
            size, last = self._db.execute(
                "SELECT sum(size), max(id) FROM (SELECT id, size FROM packets ORDER BY id LIMIT ?)",
                (_TRIM_PACKETS,),
            ).fetchone()
            if last is None:
                break
            self._db.execute("DELETE FROM packets WHERE id <= ?", (last,))
            self._db.execute("DELETE FROM records WHERE id <= ?", (last,))
            removed += size
        return removed

    def _announce(self, packets: list[Packet], following: dict[str, int]) -> None:
        self.following.update(following)
        for each in packets:
            record = each.record
            channel = record.stream.id
            self.reached[channel] = max(record.end, self.reached.get(channel, record.end))
            self._live_size += len(record.data) + len(each.frames_3)
        self._live += packets
        self.newest = packets[-1].number
        if self._live_size > self.live_bytes:
            first = 0
            while self._live_size > self.live_bytes * 3 // 4 and first < len(self._live):
                self._live_size -= len(self._live[first].record.data) + len(self._live[first].frames_3)
                first += 1
            del self._live[:first]
        self._news.set()
        self._news = asyncio.Event()

    # Giving

    def live(self, after: int, most: int) -> Sequence[Packet] | None:
        """Return the next packets after a number, in order; ``None`` when memory does not reach back."""
        first = self._live[0].number if self._live else self.newest + 1
        if after + 1 < first:
            return None
        return self._live[after + 1 - first : after + 1 - first + most]

    @property
    def news(self) -> asyncio.Event:
        """Is set when there is a packet more; look at `live` after taking this and before waiting for it."""
        return self._news

    async def read(
        self, station: str, sequence: int, before: int, *, start: int | None, end: int | None, most: int
    ) -> list[Packet]:
        """Return packets of a station from the disk: ``sequence <= number < before``, in order.

        Parameters
        ----------
        station
            ``NET_STA``.
        sequence, before
            First number, and the one after the last.
        start, end
            Only records that reach into this span [ns since 1970]; ``None`` is open.
        most
            At most so many.
        """
        return await self._ask(self._read, station, sequence, before, start, end, most)

    def _read(
        self, station: str, sequence: int, before: int, start: int | None, end: int | None, most: int
    ) -> list[Packet]:
        window, values = "", []
        if start is not None:
            window += " AND p.end > ?"
            values.append(start)
        if end is not None:
            window += " AND p.start < ?"
            values.append(end)
        rows = self._rows(
            "SELECT p.id, p.stream, p.sequence, p.start, p.end, p.rate, r.data, r.packed FROM packets p"
            " JOIN records r ON r.id = p.id WHERE p.station = ? AND p.sequence < ? AND p.sequence >= ("
            "  SELECT coalesce(max(sequence), 0) FROM packets WHERE station = ? AND sequence <= ?)"
            f" AND p.following > ?{window} ORDER BY p.sequence LIMIT ?",
            (self._stations[station], before, self._stations[station], sequence, sequence, *values, most),
        )
        return [
            packet(number, place, Record(self._by_number[stream], low, high, rate, data, packed))
            for number, stream, place, low, high, rate, data, packed in rows
        ]

    async def first(self, station: str) -> int:
        """Return the oldest sequence number of a station in the ring; the next one when there is none."""
        return await self._ask(self._first, station)

    def _first(self, station: str) -> int:
        sql = "SELECT min(sequence) FROM packets WHERE station = ?"
        found = self._rows(sql, (self._stations.get(station),))[0][0]
        return self.following.get(station, FIRST_SEQUENCE) if found is None else int(found)

    async def held(self, station: str, start: int, end: int | None) -> set[tuple[str, int]]:
        """Return channel and start of the records of a station that reach into a span."""
        return await self._ask(self._held, station, start, end)

    def _held(self, station: str, start: int, end: int | None) -> set[tuple[str, int]]:
        rows = self._rows(
            "SELECT stream, start FROM packets WHERE station = ? AND end > ? AND start < ?",
            (self._stations.get(station), start, 2**63 - 1 if end is None else end),
        )
        return {(self._by_number[stream].id, low) for stream, low in rows}

    async def extents(self) -> tuple[list[Extent], dict[str, int]]:
        """Return what there is of every stream, and the oldest sequence number of every station."""
        return await self._survey(self._extents)

    def _extents(self) -> tuple[list[Extent], dict[str, int]]:
        rows = self._rows("SELECT stream, min(start), max(end) FROM packets GROUP BY stream", ())
        sql = (
            "SELECT s.name, min(p.sequence) FROM packets p JOIN stations s ON s.id = p.station GROUP BY s.id"
        )
        firsts = dict(self._rows(sql, ()))
        return [Extent(self._by_number[n], low, high) for n, low, high in rows], firsts

    async def spans(self) -> dict[Stream, Spans]:
        """Return the gap-free stretches of every stream, by start, with `kaname.archive.index.SPAN_DTYPE`."""
        return await self._survey(self._spans)

    def _spans(self) -> dict[Stream, Spans]:
        rows = self._rows(
            "SELECT stream, start, before, rate FROM (SELECT stream, start, rate, max(end) OVER ("
            "  PARTITION BY stream ORDER BY start ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before"
            "  FROM packets WHERE rate > 0) WHERE before IS NULL OR start - before > ? / rate"
            " ORDER BY stream, start",
            (JOIN_TOLERANCE * NS_PER_S,),
        )
        ends = dict(self._rows("SELECT stream, max(end) FROM packets WHERE rate > 0 GROUP BY stream", ()))
        out = {}
        for number, group in groupby(rows, key=itemgetter(0)):
            stretches = list(group)
            spans = np.zeros(len(stretches), SPAN_DTYPE)
            spans["start"] = [start for _, start, _, _ in stretches]
            spans["following"] = [before for _, _, before, _ in stretches[1:]] + [ends[number]]
            spans["rate"] = [rate for *_, rate in stretches]
            out[self._by_number[number]] = spans
        return out

    async def _survey(self, function: Callable[[], T]) -> T:
        """Look through all of the ring, or take what was found before, if that took long."""
        async with self._surveying:
            until, found = self._surveys.get(function.__name__, (0.0, None))
            if time.monotonic() >= until:
                begun = time.monotonic()
                found = await self._ask(function)
                until = time.monotonic() + SURVEY_SHARE * (time.monotonic() - begun)
                self._surveys[function.__name__] = until, found
            return cast(T, found)

    def positions(self) -> dict[str, Position]:
        """Return how far every followed file has been read."""
        return {row[0]: Position(*row) for row in self._rows("SELECT * FROM files", ())}

    async def note(self, positions: Iterable[Position], reached: Mapping[str, int] | None = None) -> None:
        """Remember, without packets, how far files have been read, and up to when channels have data."""
        ends = {channel: end for channel, end in (reached or {}).items() if channel not in self.reached}
        self.reached.update(ends)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._note, list(positions), ends)

    def _note(self, positions: list[Position], ends: Mapping[str, int]) -> None:
        with self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", positions)
            self._db.executemany("INSERT OR IGNORE INTO channels VALUES (?, ?)", list(ends.items()))
            self._db.execute("COMMIT")

    async def _ask(self, function: Callable[..., T], *values: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *values)

    def _rows(self, sql: str, values: Sequence[Any]) -> list[Any]:
        with self._errors():
            connection = getattr(self._local, "db", None)
            if connection is None:
                uri = f"{self.path.resolve().as_uri()}?mode=ro"
                connection = self._local.db = sqlite3.connect(uri, uri=True, check_same_thread=False)
                self._readers.append(connection)
            return connection.execute(sql, values).fetchall()
