"""Speed of kaname serve on loopback, beside portable-fdsnws-dataselect: python benchmarks/bench_serve.py

An archive of day files made from real noise (see bench_archive.py) is served from a warm cache, and asked for
slices of one minute at random times of random channels over keep-alive connections, and for whole days of
many channels in one POST (bulk). Server and clients share the cores of this machine. The peer is put into a
throw-away environment of its own; without a package index it is left out. There are data for every slice, so
that an empty answer is a wrong one; of every hundredth it is checked that it covers what was asked for.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import obspy
from bench_archive import DAY, make_day_files

from kaname.archive.store import Archive

N_CONNECTION = 8
MINUTE_S = 60
WHOLE_S = [*range(60, 17_900), *range(18_100, 61_100), *range(63_100, 86_300)]
"""Seconds of the day from which there is a minute without a gap."""


def query(station: int, second: int) -> str:
    """Return the query of a minute of one channel."""
    start = np.datetime64(DAY, "s") + second
    return f"net=XX&sta=S{station:04d}&loc=--&cha=HHZ&start={start}&end={start + MINUTE_S}"


class Client(asyncio.Protocol):
    """Asks for one slice after another and keeps the times; as little work as can be.

    A server that ends an answer by closing the connection, without saying its length, is connected to anew
    for each slice.
    """

    def __init__(self, port: int, questions: list[bytes], done: asyncio.Future[None]) -> None:
        self.port = port
        self.questions = iter(questions)
        self.done = done
        self.times: list[float] = []
        self.n_byte = self.n_empty = 0
        self.empty = False
        self.kept: list[bytes] = []
        self.buffer = bytearray()
        self.head = self.missing = 0
        self.connecting: asyncio.Task[object] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        question = next(self.questions, None)
        if question is None:
            self.done.set_result(None)
            self.transport.close()
            return
        self.began = time.perf_counter()
        self.transport.write(question)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.head:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self.buffer[:end]).lower()
            self.empty = b" 204 " in head[:16]
            if not self.empty and b" 200 " not in head[:16]:
                self.done.set_exception(RuntimeError(bytes(self.buffer[:500]).decode("latin-1")))
                self.transport.close()
                return
            self.head = end + 4
            length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
            self.missing = self.head + int(length) if length else -1
            if self.empty and head.startswith(b"http/1.1"):
                self.missing = self.head
        if 0 <= self.missing <= len(self.buffer):
            self.answered()
            self.ask()

    def answered(self) -> None:
        self.times.append(time.perf_counter() - self.began)
        size = 0 if self.empty else len(self.buffer) - self.head
        self.n_byte += size
        self.n_empty += size == 0
        if len(self.times) % 100 == 1:
            self.kept.append(bytes(self.buffer[self.head :][:size]))
        self.buffer.clear()
        self.head = self.missing = 0

    def connection_lost(self, error: Exception | None) -> None:
        if self.done.done():
            return
        if self.missing >= 0:
            self.done.set_exception(error or RuntimeError("the server closed the connection"))
            return
        self.answered()
        loop = asyncio.get_running_loop()
        self.connecting = loop.create_task(loop.create_connection(lambda: self, "127.0.0.1", self.port))


def slices(
    port: int, n_request: int, n_station: int, n_connection: int
) -> tuple[float, list[float], int, int]:
    """Ask for minutes; return the duration, the times of all requests, the bytes and the empty answers."""

    async def everything() -> tuple[float, list[float], int, int]:
        rng = random.Random(1)
        loop = asyncio.get_running_loop()
        clients = []
        began = time.perf_counter()
        for _ in range(n_connection):
            asked = [
                (rng.randrange(n_station), rng.choice(WHOLE_S)) for _ in range(n_request // n_connection)
            ]
            questions = [
                f"GET /fdsnws/dataselect/1/query?{query(*each)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
                for each in asked
            ]
            client = Client(port, questions, loop.create_future())
            await loop.create_connection(lambda c=client: c, "127.0.0.1", port)
            clients.append((client, asked))
        await asyncio.gather(*(client.done for client, _ in clients))
        duration = time.perf_counter() - began
        for client, asked in clients:
            for body, (station, second) in zip(client.kept, asked[::100]):
                if body:
                    check(body, station, second)
        times = [t for client, _ in clients for t in client.times]
        n_byte, n_empty = (sum(getattr(c, name) for c, _ in clients) for name in ("n_byte", "n_empty"))
        return duration, times, n_byte, n_empty

    return asyncio.run(everything())


def check(body: bytes, station: int, second: int) -> None:
    """See that an answer covers what was asked for."""
    stream = obspy.read(io.BytesIO(body), format="MSEED", headonly=True)
    start = obspy.UTCDateTime(str(DAY)) + second
    if {trace.stats.station for trace in stream} != {f"S{station:04d}"}:
        raise RuntimeError(f"asked for station {station}, got {stream}")
    first, last = min(t.stats.starttime for t in stream), max(t.stats.endtime for t in stream)
    if not (first <= start and last >= start + MINUTE_S - 0.01):
        raise RuntimeError(f"asked for a minute from {start} of {station}, got {first} to {last}")


def bulk(port: int, n_station: int) -> tuple[float, int]:
    """Get the whole day of all channels in one POST; return seconds and bytes."""
    lines = "\n".join(f"XX S{n:04d} -- HHZ 2010-05-27T00:00:00 2010-05-28T00:00:00" for n in range(n_station))
    head = (
        "POST /fdsnws/dataselect/1/query HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Type: text/plain\r\nContent-Length: {len(lines)}\r\n\r\n"
    )
    n_byte = 0
    buffer = bytearray(1 << 20)
    began = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall((head + lines).encode())
        while n := connection.recv_into(buffer):
            n_byte += n
    return time.perf_counter() - began, n_byte


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(command: list[str], port: int, probe: str) -> Iterator[None]:
    """Run a server until the block ends."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            for _ in range(300):
                time.sleep(0.1)
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"http://127.0.0.1:{port}{probe}", timeout=5).read()
                    break
            yield
        finally:
            process.terminate()
            process.wait(20)


def measure(name: str, port: int, arguments: argparse.Namespace) -> dict[str, float | str]:
    """Measure a server that runs."""
    with ProcessPoolExecutor(1) as pool:
        ask = (port, arguments.requests, arguments.stations, N_CONNECTION)
        pool.submit(slices, port, 400, arguments.stations, N_CONNECTION).result()
        duration, times, n_byte, n_empty = min(
            pool.submit(slices, *ask).result() for _ in range(arguments.repeat)
        )
        wall, size = min(
            pool.submit(bulk, port, arguments.stations).result() for _ in range(arguments.repeat)
        )
    p50, p99 = np.percentile(times, [50, 99]) * 1e3
    found = {
        "server": name,
        "slices_per_s": len(times) / duration,
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "slice_kB": n_byte / len(times) / 1e3,
        "empty_share": n_empty / len(times),
        "bulk_GB_s": size / wall / 1e9,
        "bulk_GB": size / 1e9,
    }
    print(
        f"{name:28} {found['slices_per_s']:7.0f} slices/s, p50 {p50:6.2f} ms, p99 {p99:6.2f} ms, "
        f"wrongly empty {found['empty_share']:.0%}; bulk {found['bulk_GB_s']:.2f} GB/s"
    )
    return found


def peer(root: Path, folder: Path) -> tuple[list[str], int] | None:
    """Install portable-fdsnws-dataselect and index the archive for it; ``None`` when it cannot be had."""
    venv.create(folder / "peer", with_pip=True)
    python = folder / "peer" / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "portable-fdsnws-dataselect", "mseedindex"]
    if subprocess.run(install, capture_output=True, check=False).returncode:
        print("portable-fdsnws-dataselect cannot be installed here and is left out")
        return None
    database, port = folder / "peer.sqlite", free_port()
    files = sorted(str(path) for path in root.rglob("*.147"))
    program = [str(folder / "peer" / "bin" / "mseedindex"), "-sqlite", str(database)]
    subprocess.run([*program, *files], check=True, capture_output=True)
    config = folder / "peer.ini"
    config.write_text(
        f"[index_db]\npath = {database}\ntable = tsindex\nsummary_table = tsindex_summary\n[server]\n"
        f"interface = 127.0.0.1\nport = {port}\nrequest_limit = 0\nmaxsectiondays = 10\n"
        f"[logging]\npath = {folder / 'peer.log'}\nlevel = WARNING\n"
    )
    server = str(folder / "peer" / "bin" / "portable-fdsnws-dataselect")
    subprocess.run([server, "--init", str(config)], check=True, capture_output=True)
    return [server, str(config)], port


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stations", type=int, default=40)
    parser.add_argument("--requests", type=int, default=8000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--record-length", type=int, default=512)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    results = []
    try:
        root = folder / "archive"
        make_day_files(root, arguments.stations, arguments.record_length)
        with Archive(root) as archive:
            archive.index()
        for workers in arguments.workers:
            port = free_port()
            command = [str(Path(sys.executable).with_name("kaname")), "serve", str(root), "--port", str(port)]
            command += ["--workers", str(workers)]
            with running(command, port, "/fdsnws/dataselect/1/version"):
                results.append(measure(f"kaname serve --workers {workers}", port, arguments))
        other = None if arguments.no_peer else peer(root, folder)
        if other is not None:
            with running(other[0], other[1], "/fdsnws/dataselect/1/version"):
                arguments.requests //= 10  # it takes its time
                results.append(measure("portable-fdsnws-dataselect", other[1], arguments))
        if arguments.json:
            arguments.json.write_text(json.dumps(results, indent=2))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
