"""How answers go onto the line: the head together with the first of the body.

uvicorn writes the head of an answer by itself, which costs a system call and wakes the client for nothing: a
third of the time of a small answer.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class Connection(HttpToolsProtocol):
    """A connection of uvicorn whose writes of one moment go out together."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a new connection."""
        super().connection_made(cast(asyncio.Transport, _Joined(transport)))


class _Joined:
    """A transport that keeps what is written until the event loop's next turn, or until it is much."""

    MOST_BYTES = 1 << 16

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._parts: list[bytes] = []
        self._size = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)
        self._size += len(data)
        if self._size > self.MOST_BYTES:
            self._flush()  # now, so that the flow control of a long answer sees it

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._parts:
            data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            self._parts, self._size = [], 0
            self._transport.write(data)
