"""What the tests of SeedLink have in common: records, a server in a thread, a plain client, a bad line."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kaname.center.seedlink import Server, background
from kaname.core.waveform import Waveform
from kaname.formats.miniseed import pack

DAY = np.datetime64("2021-03-14", "ns")


def at(seconds: float) -> np.datetime64:
    """Return a time so many seconds into the day."""
    return DAY + np.timedelta64(round(seconds * 1e9), "ns")


def wave(
    start_s: float = 0.0, n: int = 6000, *, id: str = "XX.AAA..HHZ", rate: float = 100.0, seed: int = 0
) -> Waveform:
    """Return noise of one channel."""
    steps = np.random.default_rng(seed).integers(-2000, 2001, n)
    return Waveform(np.cumsum(steps).astype(np.int32)[np.newaxis], (id,), at(start_s), rate)


def records(*args: Any, version: Any = 2, length: int = 512, **kwargs: Any) -> list[bytes]:
    """Return the miniSEED records of `wave`."""
    return list(pack(wave(*args, **kwargs), version=version, record_length=length))


@dataclass
class Running:
    """A server on a free port, in a thread."""

    server: Server

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.server.port

    def publish(self, *data: bytes) -> int:
        """Publish records, return how many."""
        published = self.server.publish(b"".join(data))
        return asyncio.run_coroutine_threadsafe(published, self.server.loop).result(30)


@contextlib.contextmanager
def running(state: Path, **options: Any) -> Iterator[Running]:
    """Run a server for the length of a with statement."""
    with background(state, **{"port": 0, **options}) as server:
        yield Running(server)


@dataclass(frozen=True)
class Received:
    """A packet as it came."""

    sequence: int
    record: bytes
    station: str = ""
    form: str = ""


class Plain:
    """A client that knows nothing but the wire."""

    def __init__(self, port: int, *, timeout: float = 10.0, tls: ssl.SSLContext | None = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket)
        self.file = self.socket.makefile("rb")

    def close(self) -> None:
        """Hang up."""
        self.file.close()
        self.socket.close()

    def __enter__(self) -> Plain:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def say(self, line: str) -> None:
        """Send a command."""
        self.socket.sendall(line.encode("latin-1") + b"\r\n")

    def ask(self, line: str) -> str:
        """Send a command and return the line that answers it."""
        self.say(line)
        return self.file.readline().decode().removesuffix("\r\n")

    def expect(self, *lines: str) -> None:
        """Send commands that are all answered OK."""
        for line in lines:
            assert self.ask(line) == "OK", line

    def packet(self) -> Received | str:
        """Return the next packet of either version; a string when it is END, or nothing more comes."""
        head = self.file.read(3)
        if head in (b"", b"END"):
            return head.decode()
        if head[:2] == b"SL":
            rest = self.file.read(517)
            assert len(rest) == 517, "the line ended within a packet"
            number = (head + rest)[2:8]
            return Received(
                -1 if number.startswith(b"INFO") else int(number, 16), rest[5:], form=number.decode()
            )
        assert head[:2] == b"SE", head
        kind, size, sequence, n = struct.unpack("<cIQB", self.file.read(14))
        station = self.file.read(n).decode()
        return Received(sequence, self.file.read(size), station, (head[2:] + kind).decode())

    def packets(self, n: int | None = None) -> list[Received]:
        """Return so many packets, or all up to END."""
        out: list[Received] = []
        while n is None or len(out) < n:
            found = self.packet()
            if isinstance(found, str):
                assert found == "END" and n is None, f"{len(out)} packets, then {found!r}"
                break
            out.append(found)
        return out

    def silent(self, seconds: float = 0.3) -> bool:
        """Tell whether nothing comes for a while."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(1, socket.MSG_PEEK) == b"" and False
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(10.0)

    def info_3(self, level: str) -> str:
        """Return the XML that answers INFO in version 3."""
        self.say(f"INFO {level}")
        text = b""
        while True:
            head, record = self.file.read(8), self.file.read(512)
            assert re.fullmatch(rb"SLINFO [ *]", head), head
            n = struct.unpack(">H", record[30:32])[0]
            text += record[struct.unpack(">H", record[44:46])[0] :][:n]
            if head.endswith(b" "):
                return text.decode("ascii")


class BadLine:
    """A line to a server that breaks after so many bytes, again and again, then holds."""

    def __init__(self, port: int, cuts: list[int]) -> None:
        self.target = port
        self.cuts = list(cuts)
        self.n_cut = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.target))
                left = self.cuts.pop(0) if self.cuts else None
                threading.Thread(target=self._carry, args=(client, server, None), daemon=True).start()
                threading.Thread(target=self._carry, args=(server, client, left), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, left: int | None) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(4096 if left is None else min(4096, left)):
                sink.sendall(data)
                if left is not None:
                    left -= len(data)
                    if left <= 0:
                        self.n_cut += 1
                        break
        for each in (source, sink):
            with contextlib.suppress(OSError):
                if left is not None:  # reset, as a line that breaks
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    each.shutdown(socket.SHUT_RD)
            each.close()

    def close(self) -> None:
        """Take no more connections."""
        self.listener.close()
