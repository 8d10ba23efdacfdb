"""A SeedLink server, versions 3.1 and 4.0, over an archive, files that grow, and what is published to it.

Protocol: https://docs.fdsn.org/projects/seedlink (version 4) and the SeedLink chapter of the SeisComP
documentation (version 3, for which there is no other specification). See ``docs/seedlink.md``.
"""

from __future__ import annotations

import asyncio
import ssl as tls
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np

from kaname import __version__
from kaname.archive.access import Access
from kaname.archive.store import Archive
from kaname.center.seedlink_files import POLL_S, Follower
from kaname.center.seedlink_history import History
from kaname.center.seedlink_packets import Record, log
from kaname.center.seedlink_ring import DEPTH_BYTES, Ring
from kaname.center.seedlink_session import Limits, Session
from kaname.core.errors import StorageError

PORT = 18000
TLS_PORT = 18500
RING_NAME = "seedlink.sqlite"
_POLICY_S = 1.0
_FIRST, _LAST = np.datetime64("1678-01-01", "ns"), np.datetime64("2262-01-01", "ns")


class Server:
    """A SeedLink server, used as an asynchronous context; `serve` does the same for ever.

    Parameters
    ----------
    state
        Folder of the ring, ``seedlink.sqlite``; made when it is not there. It must be the server's own.
    archive
        Where records before the ring are taken from when a client asks for times.
    follow
        Files that grow, and folders for all files below them.
    from_start
        What these hold already goes to the ring when it is new; by default only what is added.
    access
        Who may read what; by default everybody everything. Only over TLS, and in version 4, can a client say
        who it is; everybody else gets what is open.
    host, port
        Where to listen; port 0 takes a free one, `port` says which.
    organization
        Second line of the answer to HELLO.
    depth_bytes
        Records kept in the ring [bytes].
    limits
        What clients may take.
    poll_s
        How often files that grow are looked at [s].
    ssl
        Listen with TLS.

    Raises
    ------
    StorageError
        When the ring cannot be used.
    """

    def __init__(
        self,
        state: str | Path,
        *,
        archive: Archive | None = None,
        follow: Sequence[str | Path] = (),
        from_start: bool = False,
        access: Access | None = None,
        host: str = "127.0.0.1",
        port: int = PORT,
        organization: str = "Kaname",
        depth_bytes: int = DEPTH_BYTES,
        limits: Limits | None = None,
        poll_s: float = POLL_S,
        ssl: tls.SSLContext | None = None,
    ) -> None:
        self.access = access
        self.limits = limits or Limits()
        self.organization = " ".join(organization.split())
        self.encrypted = ssl is not None
        self.started = time.time_ns()
        self.capabilities = ["SLPROTO:4.0", "SLPROTO:3.1", "TIME"]
        if ssl is not None and access is not None:
            self.capabilities.append("AUTH:USERPASS")
        self.software = (
            f"SeedLink v4.0 (Kaname {__version__}) :: {' '.join(self.capabilities)} NSWILDCARD BATCH"
        )
        self.host, self.port = host, port
        self.ring = Ring(Path(state) / RING_NAME, depth_bytes=depth_bytes)
        self.history = History(archive, self.ring) if archive is not None else None
        self._follower = Follower([Path(p) for p in follow], self.ring, from_start=from_start, poll_s=poll_s)
        self._ssl = ssl
        self._server: asyncio.Server | None = None
        self._following: asyncio.Task[None] | None = None
        self._sessions: dict[asyncio.Task[None], str] = {}
        self._restricted = True
        self._names: tuple[Any, list[str]] = (None, [])
        self._looked = -_POLICY_S

    async def __aenter__(self) -> Self:
        self.loop = asyncio.get_running_loop()
        try:
            self._server = await asyncio.start_server(
                self._accept, self.host, self.port, ssl=self._ssl, backlog=256
            )
        except OSError as error:
            await self.ring.close()
            raise StorageError(
                f"cannot listen on {self.host} port {self.port}: {error.strerror or error}"
            ) from error
        self.port = self._server.sockets[0].getsockname()[1]
        if self._follower.paths:
            archived = await self.history.spans() if self.history else {}
            await self.ring.note((), {i: int(spans["following"].max()) for i, spans in archived.items()})
            self._following = asyncio.create_task(self._follower.run())
        log.info("SeedLink on %s port %d", self.host, self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        tasks = [*self._sessions, *([self._following] if self._following else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()
        await self.ring.close()

    async def publish(self, records: bytes) -> int:
        """Give records to all clients that want them, once they are on disk; return how many there were.

        Parameters
        ----------
        records
            Whole records of miniSEED 2 or 3.

        Raises
        ------
        StorageError
            When the disk refuses.
        """
        return await self.ring.publish(records)

    async def run(self) -> None:
        """Serve until cancelled, or until files can no longer be followed."""
        if self._following is not None:
            await self._following
        else:
            await asyncio.get_running_loop().create_future()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = str((writer.get_extra_info("peername") or ("?",))[0])
        count = Counter(self._sessions.values())
        limits = self.limits
        if len(self._sessions) >= limits.connections or count[address] >= limits.connections_per_address:
            log.warning("%s: too many connections", address)
            writer.transport.abort()
            return
        task = asyncio.create_task(Session(self, reader, writer).run())
        self._sessions[task] = address
        task.add_done_callback(self._sessions.pop)

    # Who may see what

    async def station_names(self, user: str | None) -> list[str]:
        """Return the stations ``NET_STA`` of ring and archive of which a user may see anything, sorted."""
        archived = await self.history.stations() if self.history else {}
        restricted = self._has_rules()
        # A client asks for thousands of stations, one by one.
        state = (user, len(self.ring.streams), id(archived), self._looked if restricted else None)
        if self._names[0] != state:
            channels: dict[str, set[str]] = {name: set(ids) for name, ids in archived.items()}
            for stream in list(self.ring.streams):
                channels.setdefault(stream.station, set()).add(stream.id)
            self._names = (
                state,
                sorted(
                    name
                    for name, ids in channels.items()
                    if not restricted or any(self._shows(user, i, _FIRST, _LAST) for i in ids)
                ),
            )
        return self._names[1]

    def shows(self, user: str | None, identifier: str, start: int, end: int) -> bool:
        """Tell whether a user may see anything of a channel in a span [ns since 1970]."""
        if not self._has_rules():
            return True
        return self._shows(
            user, identifier, np.datetime64(start, "ns"), np.datetime64(max(end, start + 1), "ns")
        )

    def _shows(self, user: str | None, identifier: str, start: np.datetime64, end: np.datetime64) -> bool:
        assert self.access is not None
        return bool(self.access.decide(user, identifier, start, end, quiet=True).pieces)

    def allows(self, user: str | None, record: Record, *, quiet: bool) -> bool:
        """Tell whether a user may have a record; a refusal is logged unless `quiet`."""
        if not self._has_rules():
            return True
        assert self.access is not None
        span = np.datetime64(record.start, "ns"), np.datetime64(max(record.end, record.start + 1), "ns")
        return self.access.decide(user, record.stream.id, *span, quiet=quiet).allowed

    def _has_rules(self) -> bool:
        if self.access is None:
            return False
        if time.monotonic() - self._looked >= _POLICY_S:
            self._looked = time.monotonic()
            self._restricted = bool(self.access.policy.rules)
        return self._restricted


async def serve(state: str | Path, **options: Any) -> None:
    """Serve until cancelled; parameters and errors as `Server`."""
    async with Server(state, **options) as server:
        await server.run()


@contextmanager
def background(state: str | Path, **options: Any) -> Iterator[Server]:
    """Run a server in a thread of its own for the length of a with statement.

    Parameters and errors as `Server`. Its coroutines belong to ``server.loop``: publish from elsewhere with
    ``asyncio.run_coroutine_threadsafe(server.publish(records), server.loop)``.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="seedlink", daemon=True)
    thread.start()

    async def start() -> Server:
        return await Server(state, **options).__aenter__()

    try:
        server = asyncio.run_coroutine_threadsafe(start(), loop).result()
        running = asyncio.run_coroutine_threadsafe(server.run(), loop)
        running.add_done_callback(_tell)
        try:
            yield server
        finally:
            running.cancel()
            asyncio.run_coroutine_threadsafe(server.__aexit__(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _tell(running: Future[None]) -> None:
    if not running.cancelled() and running.exception() is not None:
        log.error("files are no longer followed", exc_info=running.exception())
