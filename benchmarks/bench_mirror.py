"""Copies of an archive: hash functions, signing, and copying from a folder and over loopback.

    python benchmarks/bench_mirror.py [--gigabytes 2] [--folder DIR]

Files of 16 MB of miniSEED records with random samples. Every copy is verified (SHA-256 of every byte),
indexed and synchronised to disk; beside it, in turn, ``cp -r`` and ``sync``. CPU seconds are those of this
process and, over loopback, of the server and its start; where others work too they tell more than the clock.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

FILE_BYTES = 16 << 20
ROUNDS = 3
PLAIN = "plain copy (cp -r, sync)"
SERVE = """
import socket, sys, uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from kaname.archive.access import Access
from kaname.archive.store import Archive
from kaname.center.mirror import routes
root = sys.argv[1]
sock = socket.socket(); sock.bind(("127.0.0.1", 0))
app = Starlette(routes=[Mount("/mirror", routes=routes(Archive(root), Access.load(root)))])
print(sock.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off")).run(sockets=[sock])
"""


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--folder", default=None, help="where to work; memory (/dev/shm) leaves the disk out")
    options = parser.parse_args()
    hashes()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        copies(Path(folder), max(1, round(options.gigabytes * 1e9 / FILE_BYTES)))


def hashes() -> None:
    """Print how fast each hash function is, alone and in two threads."""
    data = os.urandom(256 << 20)
    print(f"hash functions, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for name in ("sha256", "blake2b", "sha512", "sha3_256", "md5"):
        alone, cpu = timed(partial(hashed, name, data))
        with ThreadPoolExecutor(2) as pool:
            both, _ = timed(lambda: list(pool.map(hashed, [name] * 2, [data] * 2)))  # noqa: B023
        speeds = [len(data) / seconds / 1e6 for seconds in (alone, cpu, both / 2)]
        print(
            f"  {name:9s} {speeds[0]:6.0f} MB/s, {speeds[1]:6.0f} MB per CPU second; in two {speeds[2]:.0f}"
        )


def hashed(name: str, data: bytes) -> bytes:
    """Return the hash of bytes."""
    return hashlib.new(name, data).digest()


def copies(folder: Path, n_file: int) -> None:
    """Print how fast an archive is signed and copied, also as a share of how fast a plain copy is."""
    from kaname.archive.inventory import publish
    from kaname.archive.mirror import mirror
    from kaname.archive.store import Archive

    origin = folder / "origin"
    make(origin, n_file)
    n_byte = sum(path.stat().st_size for path in origin.iterdir())
    print(f"archive of {n_file} files, {n_byte / 1e9:.2f} GB, load {os.getloadavg()[0]:.1f}, {ROUNDS} rounds")
    with Archive(origin) as archive:
        archive.index()
        seconds, cpu = timed(lambda: publish(archive))
    print(f"  signed from nothing {n_byte / seconds / 1e6:.0f} MB/s, {n_byte / cpu / 1e6:.0f} per CPU second")
    took: dict[str, list[tuple[float, float]]] = {}
    for _ in range(ROUNDS):
        for what, call in {
            PLAIN: lambda: plain(origin, folder / "copy"),
            "copied from a folder": lambda: mirror(origin, folder / "copy"),
            "verified again, every byte": lambda: mirror(origin, folder / "copy", deep=True),
            "copied over loopback": lambda: over_loopback(origin, folder / "copy"),
        }.items():
            if not what.startswith("verified"):
                shutil.rmtree(folder / "copy", ignore_errors=True)
            subprocess.run(["sync", "-f", folder], check=True)
            took.setdefault(what, []).append(timed(call))
    usual = median(seconds for seconds, _ in took[PLAIN])
    for what, times in took.items():
        seconds, cpu = (median(values) for values in zip(*times))
        print(
            f"  {what:27s} {n_byte / seconds / 1e6:5.0f} MB/s, {usual / seconds:4.2f} of a plain copy, "
            f"{n_byte / cpu / 1e6:5.0f} MB per CPU second"
        )


def over_loopback(origin: Path, copy: Path) -> None:
    """Copy from a server in a process of its own, whose start is counted."""
    from kaname.archive.mirror import mirror

    with subprocess.Popen([sys.executable, "-c", SERVE, origin], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        mirror(f"http://127.0.0.1:{server.stdout.readline().strip()}/mirror", copy)
        server.terminate()


def make(root: Path, n_file: int) -> None:
    """Write files of valid records, each of a day and station of its own."""
    from kaname.core.waveform import Waveform
    from kaname.formats.miniseed import write_miniseed

    root.mkdir()
    rng = np.random.default_rng(0)
    for number in range(n_file):
        path = root / f"{number:05d}.mseed"
        if number < 4:
            samples = rng.integers(-(2**30), 2**30, (1, FILE_BYTES // 4)).astype(np.int32)
            start = np.datetime64("2021-03-14", "ns")
            write_miniseed(
                [Waveform(samples, (f"XX.S{number:03d}..HHZ",), start, 100.0)], path, record_length=4096
            )
        else:
            shutil.copyfile(root / f"{number % 4:05d}.mseed", path)


def plain(source: Path, target: Path) -> None:
    """Copy as people do, and wait for the disk."""
    subprocess.run(["cp", "-r", source, target], check=True)
    subprocess.run(["sync", "-f", target], check=True)


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Return how long a call takes by the clock and in CPU seconds, those of ended children included."""
    cpu, begun = sum(os.times()[:4]), time.perf_counter()
    call()
    return time.perf_counter() - begun, sum(os.times()[:4]) - cpu


if __name__ == "__main__":
    main()
