"""One client of the SeedLink server: its commands, the answers, and the transfer they start."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from kaname.center import seedlink_info, seedlink_requests
from kaname.center.seedlink_packets import log
from kaname.center.seedlink_requests import Request
from kaname.center.seedlink_transfer import Transfer
from kaname.core.errors import InputError, KanameError

if TYPE_CHECKING:
    from kaname.center.seedlink import Server

BUFFER_BYTES = 256 << 10
"""Most that waits in memory for a client that does not read, apart from the answer being sent."""
_READ_BYTES = 4096
_AUTH_FAILURES = 3
_CLOSE_S = 5.0
_WORDS_3 = frozenset({"STATION", "SELECT", "DATA", "FETCH", "TIME"})
_LINE = re.compile(rb"[^\r\n]*[\r\n]")


@dataclass(frozen=True)
class Limits:
    """What one server, one address and one client may take."""

    connections: int = 500
    connections_per_address: int = 50
    line_bytes: int = 1024
    stations: int = 10_000
    """STATION commands of one client."""
    wildcards: int = 100
    """STATION commands with a wildcard, of one client."""
    selectors: int = 100
    """Selectors of one station."""
    errors: int = 100
    """Commands refused before the line is closed."""
    handshake_s: float = 300.0
    """Silence before the transfer, and after its end, before the line is closed."""
    stall_s: float = 300.0
    """How long a client may take nothing of what is waiting for it."""


class Refused(InputError):
    """A command that is answered ERROR; the code is one of version 4."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Session:
    """A connection, from accept to close."""

    def __init__(self, server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server = server
        self.reader = reader
        self.writer = writer
        self.name = "{}:{}".format(*(writer.get_extra_info("peername") or ("?", 0))[:2])
        self.encrypted = writer.get_extra_info("ssl_object") is not None
        self.version = 3
        self.user: str | None = None
        self.agent = ""
        self._settled = False
        self._batch = False
        self._requests: list[Request] = []
        self._current: Request | None = None
        self._ignoring = False
        self._transfer: asyncio.Task[None] | None = None
        self._n_error = self._n_failure = 0
        writer.transport.set_write_buffer_limits(high=BUFFER_BYTES)
        connection = writer.get_extra_info("socket")
        with contextlib.suppress(OSError):  # it may be gone already
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    async def run(self) -> None:
        """Serve the client until it goes, is silent for too long, or is told to go."""
        try:
            async for line in self._lines():
                if not await self._command(line):
                    break
        except (ConnectionError, TimeoutError) as error:
            log.info("%s: %s", self.name, error or type(error).__name__)
        finally:
            if self._transfer is not None:
                self._transfer.cancel()
                await asyncio.wait([self._transfer])
            await self._close()

    async def _close(self) -> None:
        self.writer.close()
        try:
            await asyncio.wait_for(self.writer.wait_closed(), _CLOSE_S)
        except OSError:  # TimeoutError too: what it would not take is not kept for it
            self.writer.transport.abort()

    async def send(self, data: bytes) -> None:
        """Send, and wait while more than `BUFFER_BYTES` are waiting.

        Raises
        ------
        ConnectionError, TimeoutError
            When the client is gone, or takes nothing for too long.
        """
        transport = self.writer.transport
        if transport.is_closing():
            raise ConnectionResetError("the client has gone")
        self.writer.write(data)
        while transport.get_write_buffer_size() > BUFFER_BYTES:
            waiting = transport.get_write_buffer_size()
            try:
                await asyncio.wait_for(self.writer.drain(), self.server.limits.stall_s)
            except TimeoutError:
                if transport.get_write_buffer_size() >= waiting:
                    log.warning("%s takes nothing for %g s", self.name, self.server.limits.stall_s)
                    raise

    async def _lines(self) -> AsyncIterator[str]:
        buffer = b""
        limits = self.server.limits
        while True:
            at = 0
            while (found := _LINE.match(buffer, at)) and len(found[0]) <= limits.line_bytes:
                at = found.end()
                if line := found[0].strip():
                    yield line.decode("ascii", "replace")
            buffer = buffer[at:]
            if len(buffer) > limits.line_bytes:
                await self._error("LIMIT", f"a line has more than {limits.line_bytes} bytes")
                return
            idle = self._transfer is None or self._transfer.done()
            data = await asyncio.wait_for(self.reader.read(_READ_BYTES), limits.handshake_s if idle else None)
            if not data:
                return
            buffer += data

    async def _command(self, line: str) -> bool:
        """Do what a line says; tell whether to go on."""
        word, *arguments = line.split()
        word = word.upper()
        if word == "BYE":
            return False
        if self._transfer is not None and word != "INFO":
            return True  # nothing else is allowed now, and an answer would be taken for a packet
        if self._ignoring and word in ("SELECT", "DATA", "FETCH", "TIME"):
            return True
        action = self._ACTIONS.get(word)
        try:
            if action is None:
                raise Refused("UNSUPPORTED", "no such command")
            await action(self, arguments)
        except InputError as error:
            code = error.code if isinstance(error, Refused) else "ARGUMENTS"
            self._n_error += 1
            if not (self._batch and word in _WORDS_3):
                await self._error(code, str(error))
        except KanameError as error:
            log.error("%s: %s: %s", self.name, word, error)
            await self._error("INTERNAL", "see the log of the server")
        return self._n_error <= self.server.limits.errors and self._n_failure < _AUTH_FAILURES

    async def _ok(self, *, word: str = "") -> None:
        if not (self._batch and word in _WORDS_3):
            await self.send(b"OK\r\n")

    async def _error(self, code: str, message: str) -> None:
        text = f"ERROR {code} {message}" if self.version == 4 else "ERROR"
        await self.send(text.encode("ascii", "replace").replace(b"\r", b" ").replace(b"\n", b" ") + b"\r\n")

    # Commands

    async def _hello(self, arguments: list[str]) -> None:
        await self.send(
            f"{self.server.software}\r\n{self.server.organization}\r\n".encode("ascii", "replace")
        )

    async def _cat(self, arguments: list[str]) -> None:
        if self.version == 4:
            raise Refused("UNSUPPORTED", "use INFO STATIONS")
        names = await self.server.station_names(self.user)
        lines = [f"{name.partition('_')[0]:<2} {name.partition('_')[2]:<5} {name}\r\n" for name in names]
        await self.send("".join([*lines, "END"]).encode("ascii", "replace"))

    async def _slproto(self, arguments: list[str]) -> None:
        if self._settled:
            raise Refused("UNEXPECTED", "the protocol is settled already")
        if arguments not in (["4.0"], ["3.1"], ["3.0"]):
            raise Refused("UNSUPPORTED", "versions are 3.1 and 4.0")
        self.version = int(arguments[0][0])
        await self._ok()

    async def _useragent(self, arguments: list[str]) -> None:
        self.agent = " ".join(arguments)
        log.info("%s is %s", self.name, ascii(self.agent))
        await self._ok()

    async def _get_capabilities(self, arguments: list[str]) -> None:
        if self.version == 3:
            raise Refused("UNSUPPORTED", "a command of version 4")
        await self.send((" ".join(self.server.capabilities) + "\r\n").encode())

    async def _auth(self, arguments: list[str]) -> None:
        access = self.server.access
        if self.version == 3 or access is None or not self.server.encrypted:
            raise Refused("UNSUPPORTED", "no authentication here")
        if len(arguments) != 3 or arguments[0].upper() != "USERPASS":
            raise Refused("UNSUPPORTED", "AUTH USERPASS user password")
        _, user, password = arguments
        if not await asyncio.to_thread(access.check, user, password):
            self._n_failure += 1
            log.warning("%s: wrong user or password", self.name)
            raise Refused("AUTH", "wrong user or password")
        self.user = user
        await self._ok()

    async def _set_batch(self, arguments: list[str]) -> None:
        if self.version == 4:
            raise Refused("UNSUPPORTED", "not in version 4")
        await self._ok()
        self._batch = True

    async def _info(self, arguments: list[str]) -> None:
        if self.version == 4:
            await self.send(await seedlink_info.info_4(self.server, self.user, arguments))
        else:
            level = arguments[0].upper() if arguments else "ID"
            await self.send(await seedlink_info.info_3(self.server, self.user, level))

    async def _station(self, arguments: list[str]) -> None:
        limits = self.server.limits
        self._ignoring = True
        self._current = None
        request = (seedlink_requests.station_4 if self.version == 4 else seedlink_requests.station_3)(
            arguments
        )
        if len(self._requests) >= limits.stations:
            raise Refused("LIMIT", f"at most {limits.stations} stations")
        if request.several and sum(r.several for r in self._requests) >= limits.wildcards:
            raise Refused("LIMIT", f"at most {limits.wildcards} stations with wildcards")
        # What is not there yet may come: so says version 4. In version 3 a client must learn that it erred.
        if self.version == 3 and not (request.several and len(arguments) == 2):
            names = await self.server.station_names(self.user)
            if request.pattern not in names and not any(map(request.station.fullmatch, names)):
                raise Refused("ARGUMENTS", "no such station")
        self._ignoring = False
        self._settled = True
        self._requests.append(request)
        self._current = request
        await self._ok(word="STATION")

    def _request(self) -> Request:
        """Return the request that commands are about; in version 3 without STATION that is all stations."""
        if self._current is None:
            if self.version == 4 or self._requests:
                raise Refused("UNEXPECTED", "say STATION first")
            self._current = Request("*")
        self._settled = True
        return self._current

    async def _select(self, arguments: list[str]) -> None:
        request = self._request()
        limits = self.server.limits
        if self.version == 4:
            if not arguments:
                raise Refused("ARGUMENTS", "SELECT needs a pattern")
            selectors = [seedlink_requests.selector_4(text) for text in arguments]
        elif len(arguments) > 1:
            raise Refused("ARGUMENTS", "one selector at a time")
        else:
            selectors = [seedlink_requests.selector_3(text) for text in arguments]
        if len(request.selectors) + len(selectors) > limits.selectors:
            raise Refused("LIMIT", f"at most {limits.selectors} selectors of a station")
        request.selectors = [*request.selectors, *selectors] if selectors else []
        await self._ok(word="SELECT")

    async def _data(self, arguments: list[str]) -> None:
        request = self._request()
        if self.version == 4:
            seedlink_requests.data_4(request, arguments)
            await self._ok()
        else:
            seedlink_requests.data_3(request, arguments, fetch=False)
            await self._act(request, "DATA")

    async def _fetch(self, arguments: list[str]) -> None:
        if self.version == 4:
            raise Refused("UNSUPPORTED", "DATA, and ENDFETCH at the end")
        request = self._request()
        seedlink_requests.data_3(request, arguments, fetch=True)
        await self._act(request, "FETCH")

    async def _time(self, arguments: list[str]) -> None:
        if self.version == 4:
            raise Refused("UNSUPPORTED", "DATA ALL start end")
        request = self._request()
        seedlink_requests.window_3(request, arguments)
        await self._act(request, "TIME")

    async def _act(self, request: Request, word: str) -> None:
        """Answer, where there are several stations; begin, where there is but one connection for all."""
        if not self._requests:
            names = await self.server.station_names(self.user)
            if len(names) == 1:
                request.name(names[0])
        if request.several and request.short:
            if request.start is None:
                request.sequence, request.short = None, False
                raise Refused("ARGUMENTS", "a sequence number belongs to one station: say which, or a time")
            request.sequence, request.short = 0, False
        if self._requests:
            await self._ok(word=word)
            return
        self._requests = [request]
        self._begin(fetch=False)

    async def _end(self, arguments: list[str]) -> None:
        self._check_end()
        self._begin(fetch=False)

    async def _end_fetch(self, arguments: list[str]) -> None:
        if self.version == 3:
            raise Refused("UNSUPPORTED", "a command of version 4")
        self._check_end()
        for request in self._requests:
            if request.sequence is None:  # what is next for one who does not wait is the first of the queue
                request.sequence = 0
        self._begin(fetch=True)

    def _check_end(self) -> None:
        if not self._requests:
            raise Refused("UNEXPECTED", "say STATION first")

    def _begin(self, *, fetch: bool) -> None:
        transfer = Transfer(self, self._requests, fetch=fetch)
        self._transfer = asyncio.create_task(self._run(transfer))

    async def _run(self, transfer: Transfer) -> None:
        try:
            await transfer.run()
        except (ConnectionError, TimeoutError) as error:
            log.info("%s: %s", self.name, error or type(error).__name__)
            self.writer.transport.abort()
        except KanameError as error:
            log.error("%s: %s", self.name, error)
            self.writer.transport.abort()
        finally:
            log.info("%s: %d packets", self.name, transfer.n_packet)

    _ACTIONS: ClassVar[dict[str, Callable[[Session, list[str]], Awaitable[None]]]] = {
        "HELLO": _hello,
        "CAT": _cat,
        "SLPROTO": _slproto,
        "USERAGENT": _useragent,
        "GETCAPABILITIES": _get_capabilities,
        "AUTH": _auth,
        "BATCH": _set_batch,
        "INFO": _info,
        "STATION": _station,
        "SELECT": _select,
        "DATA": _data,
        "FETCH": _fetch,
        "TIME": _time,
        "END": _end,
        "ENDFETCH": _end_fetch,
    }
