"""Speed of the SeedLink server on loopback: python benchmarks/bench_seedlink.py [--clients N] [--packets N]

The server runs in one process, the clients in another that counts bytes and checks that sequence numbers
follow one another, so that both have a core. Packets are 512-byte Steim2 records of made-up channels. All of
Japan is about 2,500 packets/s. Figures: live (every client receives what is published, as fast as it can),
from disk (every client fetches the same after a restart, when nothing is in memory), both also by the second
of processor time that the server took, and the time from publishing one record to having it.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kaname.center.seedlink import Server
from kaname.center.seedlink_packets import FRAME_BYTES
from kaname.core.waveform import Waveform
from kaname.formats.miniseed import pack

N_STATION = 100
BATCH = 250


def make_records(n: int) -> list[bytes]:
    """Return records of `N_STATION` stations, in turn."""
    rng = np.random.default_rng(0)
    samples = np.cumsum(rng.integers(-2000, 2001, 250 * (n // N_STATION + 2))).astype(np.int32)
    start = np.datetime64("2021-03-14", "ns")
    one = list(pack(Waveform(samples[np.newaxis], ("XX.S0000..HHZ",), start, 100.0)))[: n // N_STATION + 1]
    codes = [f"S{k:04d}".encode() for k in range(N_STATION)]
    return [record[:8] + code + record[13:] for record in one for code in codes][:n]


class Counting(asyncio.Protocol):
    """A client that counts; numbers of the first station must follow one another."""

    def __init__(
        self, commands: bytes, total: int, done: asyncio.Future[float], ready: Callable[[], None]
    ) -> None:
        self.commands, self.left, self.done, self.ready = commands, total * FRAME_BYTES, done, ready
        self.rest = b""
        self.heard = b""
        self.number: int | None = None

    def connection_made(self, transport: Any) -> None:
        transport.write(self.commands)

    def data_received(self, data: bytes) -> None:
        if self.heard.count(b"OK\r\n") < 2:  # answers to STATION and DATA come before any packet
            self.heard += data
            if self.heard.count(b"OK\r\n") < 2:
                return
            self.ready()
            data = (
                self.heard[self.heard.rindex(b"OK\r\n") + 4 :] if b"SL" not in self.heard else self.heard[8:]
            )
        self.left -= len(data)
        view = self.rest + data
        whole = len(view) // FRAME_BYTES * FRAME_BYTES
        for at in range(0, whole, FRAME_BYTES):
            if view[at + 16 : at + 21] == b"S0000":
                number = int(view[at + 2 : at + 8], 16)
                assert self.number is None or number == self.number + 1, (self.number, number)
                self.number = number
        self.rest = view[whole:]
        if self.left <= 0 and not self.done.done():
            self.done.set_result(time.perf_counter())


def clients(pipe: Connection) -> None:
    """Serve orders (port, action, number of clients, packets each): connect, tell, count, tell the time."""
    while order := pipe.recv():
        asyncio.run(_clients(pipe, *order))


async def _clients(pipe: Connection, port: int, action: str, n_client: int, total: int) -> None:
    loop = asyncio.get_running_loop()
    waiting = [loop.create_future() for _ in range(n_client)]
    count = iter(range(n_client - 1, -1, -1))
    ready = asyncio.Event()

    def is_ready() -> None:
        if next(count) == 0:
            ready.set()

    commands = f"STATION S* XX\r\n{action}\r\nEND\r\n".encode()
    transports = [
        (await loop.create_connection(lambda d=d: Counting(commands, total, d, is_ready), "127.0.0.1", port))[
            0
        ]
        for d in waiting
    ]
    await ready.wait()
    await asyncio.sleep(0.1)
    pipe.send("ready")
    times = await asyncio.gather(*waiting)
    pipe.send(max(times))
    for transport in transports:
        transport.close()


async def measure(folder: Path, n_client: int, total: int) -> dict[str, float]:
    """Return packets/s live and from disk over all clients, packets/s stored, and the delay of one [ms]."""
    data = make_records(total)
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=clients, args=(theirs,), daemon=True)
    process.start()
    loop = asyncio.get_running_loop()
    receive = lambda: loop.run_in_executor(None, ours.recv)  # noqa: E731
    figures: dict[str, float] = {}
    async with Server(folder, port=0) as server:
        warm = data[: 2 * N_STATION]
        await server.publish(b"".join(warm))
        ours.send((server.port, "DATA", n_client, total - len(warm)))
        await receive()
        begun, used = time.perf_counter(), time.process_time()
        pending: set[asyncio.Task[int]] = set()
        for at in range(len(warm), total, BATCH):
            pending.add(asyncio.create_task(server.publish(b"".join(data[at : at + BATCH]))))
            if len(pending) >= 8:
                _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.gather(*pending)
        figures["stored"] = (total - len(warm)) / (time.perf_counter() - begun)
        figures["live"] = n_client * (total - len(warm)) / (await receive() - begun)
        figures["live_cpu"] = n_client * (total - len(warm)) / (time.process_time() - used)
        delays = []
        for record in data[:20]:
            ours.send((server.port, "DATA", 1, 1))
            await receive()
            begun = time.perf_counter()
            await server.publish(record)
            delays.append((await receive() - begun) * 1e3)
        figures["delay_ms"] = statistics.median(delays)
    async with Server(folder, port=0) as server:
        begun, used = time.perf_counter(), time.process_time()
        ours.send((server.port, "FETCH", n_client, total))
        await receive()
        figures["disk"] = n_client * total / (await receive() - begun)
        figures["disk_cpu"] = n_client * total / (time.process_time() - used)
    ours.send(None)
    process.join(10)
    return figures


def run(n_client: int, total: int) -> dict[str, float]:
    """Measure in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(measure(Path(folder), n_client, total))


@pytest.mark.parametrize("n_client", [10])
def test_ten_clients(n_client: int) -> None:
    """Ten clients get everything that is published, live and from disk."""
    figures = run(n_client, 2000)
    assert figures["live"] > 0 and figures["disk"] > 0


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--packets", type=int, default=40_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    runs = [run(options.clients, options.packets) for _ in range(options.repeats)]
    n = options.clients
    print(
        f"{options.packets} packets of 512 bytes, {n} clients, {options.repeats} runs: median (least to most)"
    )
    for key, text in (
        ("live", f"live, to {n} clients together [packets/s]"),
        ("live_cpu", "  the same by second of the server's processor time"),
        ("disk", f"from disk, to {n} clients together [packets/s]"),
        ("disk_cpu", "  the same by second of the server's processor time"),
        ("stored", "stored in the ring [packets/s]"),
        ("delay_ms", "from publishing one record to having it [ms]"),
    ):
        values = sorted(figures[key] for figures in runs)
        print(f"{text:55s} {statistics.median(values):10.0f} ({values[0]:.0f} to {values[-1]:.0f})")


if __name__ == "__main__":
    main()
