"""Speed of the archive beside ObsPy on the same day files: python benchmarks/bench_archive.py [--stations N]

Day files are made from real noise (ObsPy's four minutes of BW.UH3..SHZ, 2010-05-27, taken as 100 Hz and
tiled to a day) with two gaps, Steim2; every station holds the same samples. Peers: ObsPy's ``tsindex`` (whose
indexer runs the C program ``mseedindex``, on the path or from pip install mseedindex), its SDS client and
``obspy.read``. All from a warm cache; each figure is the best of several runs.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import obspy
import pytest
from obspy import UTCDateTime

from kaname.archive.store import Archive
from kaname.core.waveform import Waveform
from kaname.formats.miniseed import pack

DAY = np.datetime64("2010-05-27", "ns")
RATE_HZ = 100.0
N_SMALL = 5000


def day_bytes(record_length: int) -> bytes:
    """Return a channel-day of miniSEED 2 with two gaps, made of real noise."""
    folder = Path(obspy.__file__).parent / "signal" / "tests" / "data"
    noise = obspy.read(str(folder / "BW.UH3._.SHZ.D.2010.147.cut.slist.gz"))[0].data.astype(np.int32)
    samples = np.tile(noise, int(86400 * RATE_HZ) // noise.size + 1)[: int(86400 * RATE_HZ)]
    records = []
    for first_hour, last_hour in ((0, 5), (5.01, 17), (17.5, 24)):
        low, high = (int(hour * 3600 * RATE_HZ) for hour in (first_hour, last_hour))
        start = DAY + np.timedelta64(int(low / RATE_HZ * 1e9), "ns")
        block = Waveform(samples[np.newaxis, low:high], ("XX.S0000..HHZ",), start, RATE_HZ)
        records += list(pack(block, record_length=record_length))
    return b"".join(records)


def make_day_files(root: Path, n_station: int, record_length: int) -> int:
    """Write one day of ``n_station`` stations in SDS layout and return the number of records."""
    records = np.frombuffer(day_bytes(record_length), np.uint8).reshape(-1, record_length).copy()
    for number in range(n_station):
        code = f"S{number:04d}"
        records[:, 8:13] = np.frombuffer(code.encode(), np.uint8)
        folder = root / "2010" / "XX" / code / "HHZ.D"
        folder.mkdir(parents=True)
        (folder / f"XX.{code}..HHZ.D.2010.147").write_bytes(records.tobytes())
    return n_station * len(records)


def make_small_files(root: Path) -> None:
    """Write `N_SMALL` files of one record each, a hundred to a folder."""
    record = day_bytes(512)[:512]
    for number in range(N_SMALL):
        folder = root / f"{number // 100:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        code = f"S{number:04d}".encode()
        (folder / f"{number}.mseed").write_bytes(record[:8] + code + record[13:])


def index_ours(root: Path) -> int:
    """Index from nothing; return the number of records."""
    for name in ("index.sqlite", "index.sqlite-wal", "index.sqlite-shm"):
        (root / name).unlink(missing_ok=True)
    with Archive(root) as archive:
        return archive.index().n_record


def mseedindex() -> str | None:
    """Return where the program mseedindex is, on the path or in the Python package of that name."""
    found = shutil.which("mseedindex")
    if found:
        return found
    with contextlib.suppress(ImportError):
        import mseedindex as package

        return str(Path(package.__file__).parent / "mseedindex")
    return None


def index_obspy(root: Path, database: Path) -> None:
    """Index from nothing with ObsPy's tsindex."""
    from obspy.clients.filesystem.tsindex import Indexer

    database.unlink(missing_ok=True)
    indexer = Indexer(str(root), str(database), index_cmd=mseedindex(), filename_pattern="*.147", parallel=2)
    with contextlib.redirect_stdout(io.StringIO()):
        indexer.run()


def minute_ours(archive: Archive) -> int:
    """Read a minute of every channel; return the number of samples."""
    start = DAY + np.timedelta64(3 * 3600 + 17, "s")
    return sum(block.n_sample for block in archive.read("*", start, start + np.timedelta64(60, "s")).blocks)


def minute_tsindex(database: Path) -> int:
    """Read the same with ObsPy's tsindex client."""
    from obspy.clients.filesystem.tsindex import Client

    start = UTCDateTime(str(DAY)) + 3 * 3600 + 17
    stream = Client(str(database)).get_waveforms("*", "*", "*", "*", start, start + 60 - 1 / RATE_HZ)
    return sum(trace.stats.npts for trace in stream)


def minute_sds(root: Path) -> int:
    """Read the same with ObsPy's SDS client."""
    from obspy.clients.filesystem.sds import Client

    start = UTCDateTime(str(DAY)) + 3 * 3600 + 17
    stream = Client(str(root)).get_waveforms("XX", "*", "", "HHZ", start, start + 60 - 1 / RATE_HZ)
    return sum(trace.stats.npts for trace in stream)


def best(function: Callable[[], object], repeats: int = 5) -> float:
    """Return the least time of several runs [s]."""
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        function()
        times.append(time.perf_counter() - begun)
    return min(times)


def report(n_station: int) -> None:
    """Measure everything and print a line per figure."""
    print(f"{'what':58s} {'ours':>12s} {'peer':>12s} {'ratio':>8s}  peer")

    def line(what: str, ours: float, peer: float | None = None, name: str = "") -> None:
        other = f"{peer * 1e3:9.1f} ms {peer / ours:8.1f}  {name}" if peer is not None else ""
        print(f"{what:58s} {ours * 1e3:9.1f} ms {other}", flush=True)

    for record_length in (512, 4096):
        with tempfile.TemporaryDirectory() as folder:
            root, database = Path(folder) / "archive", Path(folder) / "tsindex.sqlite"
            n_record = make_day_files(root, n_station, record_length)
            size = sum(p.stat().st_size for p in root.rglob("*.147"))
            print(
                f"{n_station} day files, records of {record_length} bytes: "
                f"{n_record} records, {size / 1e6:.0f} MB"
            )
            ours = best(lambda root=root: index_ours(root), 3)
            if mseedindex():
                peer = best(lambda root=root, database=database: index_obspy(root, database), 1)
                line("index", ours, peer, "obspy tsindex (mseedindex)")
            file = next(root.rglob("*.147"))
            head = best(lambda file=file: obspy.read(str(file), headonly=True), 3) * n_station
            line("index", ours, head, f"obspy.read(headonly), {n_station} x one file")
            print(f"    {n_record / ours:,.0f} records/s, {size / ours / 1e6:,.0f} MB/s into SQLite")
            print(f"    index {(root / 'index.sqlite').stat().st_size / size:.2%} of the data")
            time.sleep(2.1)
            with Archive(root) as archive:
                archive.index()
                n_sample = minute_ours(archive)
                ours = best(lambda archive=archive: minute_ours(archive), 20)
                if mseedindex():
                    assert minute_tsindex(database) == n_sample
                    line(
                        "1 minute of all",
                        ours,
                        best(lambda d=database: minute_tsindex(d), 2),
                        "obspy tsindex",
                    )
                assert minute_sds(root) == n_sample
                line("1 minute of all", ours, best(lambda root=root: minute_sds(root), 2), "obspy SDS")
                one = best(lambda archive=archive: archive.read("XX.S0000..HHZ"), 3)
                line("1 channel-day, decoded", one, best(lambda f=file: obspy.read(str(f)), 3), "obspy.read")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_small_files(root)
        time.sleep(2.1)
        with Archive(root) as archive:
            ours = best(lambda: index_ours(root), 1)
            print(f"{N_SMALL} files of one record: {N_SMALL / ours:,.0f} files/s indexed")
            ours = best(lambda: archive.index())
            print(f"{N_SMALL} unchanged files: {N_SMALL / ours:,.0f} files/s checked again")


@pytest.fixture(scope="module")
def day_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten stations, one day."""
    root = tmp_path_factory.mktemp("archive")
    make_day_files(root, 10, 512)
    index_ours(root)
    return root


@pytest.mark.benchmark(group="archive: index ten day files")
def test_index(benchmark: Callable[..., object], day_files: Path) -> None:
    benchmark(index_ours, day_files)


@pytest.mark.benchmark(group="archive: index ten day files")
def test_index_obspy(benchmark: Callable[..., object], day_files: Path, tmp_path: Path) -> None:
    if mseedindex() is None:
        pytest.skip("the program mseedindex is not installed: pip install mseedindex")
    benchmark(index_obspy, day_files, tmp_path / "tsindex.sqlite")


@pytest.mark.benchmark(group="archive: one minute of ten channels")
def test_minute(benchmark: Callable[..., object], day_files: Path) -> None:
    with Archive(day_files) as archive:
        benchmark(minute_ours, archive)


@pytest.mark.benchmark(group="archive: one minute of ten channels")
def test_minute_obspy(benchmark: Callable[..., object], day_files: Path) -> None:
    benchmark(minute_sds, day_files)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--stations", type=int, default=100)
    report(parser.parse_args().stations)
