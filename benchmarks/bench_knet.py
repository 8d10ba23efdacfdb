"""Speed on K-NET records beside ObsPy, in one run: python benchmarks/bench_knet.py [FILE_OR_FOLDER ...]

Without arguments a synthetic event is written: 300 component files of 300 s at 100 Hz (cumulated noise), the
size of what NIED delivers of one large earthquake at a hundred stations. Measured, best of several runs, in
bytes of text per second of processor time (which other work on the machine does not spoil; both sides are one
thread): the number parser alone, whole files through the reader and through ObsPy, the bundle as NIED packs
it, and JMA intensity per record of 300 s.
"""

from __future__ import annotations

import argparse
import io
import tarfile
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from obspy.io.nied.knet import _read_knet_ascii

from kaname.core.waveform import align
from kaname.formats.knet import read_knet
from kaname.formats.knet_header import read_header
from kaname.formats.knet_samples import parse_samples
from kaname.signal.intensity import jma_intensity

N_STATION = 100
RATE_HZ = 100
DURATION_S = 300
DIRECTIONS = ("E-W", "N-S", "U-D")


def component(station: str, direction: str, counts: np.ndarray) -> bytes:
    """Return a component file of synthetic counts."""
    scale, start = 3920 / 6182761, datetime(2018, 1, 24, 19, 51, 43)
    peak = np.abs(counts - counts.mean()).max() * scale
    header = (
        ("Origin Time", "2018/01/24 19:51:00"),
        ("Lat.", "41.0"),
        ("Long.", "142.5"),
        ("Depth. (km)", "30"),
        ("Mag.", "6.2"),
        ("Station Code", station),
        ("Station Lat.", "41.5267"),
        ("Station Long.", "140.9244"),
        ("Station Height(m)", "39"),
        ("Record Time", f"{start + timedelta(seconds=15):%Y/%m/%d %H:%M:%S}"),
        ("Sampling Freq(Hz)", f"{RATE_HZ}Hz"),
        ("Duration Time(s)", f"{DURATION_S}"),
        ("Dir.", direction),
        ("Scale Factor", "3920(gal)/6182761"),
        ("Max. Acc. (gal)", f"{peak:.3f}"),
        ("Last Correction", "2018/01/24 19:51:00"),
        ("Memo.", ""),
    )
    lines = [f"{label:<18}{value}\n" for label, value in header]
    lines += ["".join(f"{count:8d} " for count in row) + "\n" for row in counts.reshape(-1, 8)]
    return "".join(lines).encode("ascii")


def write_event(folder: Path) -> list[Path]:
    """Write the component files of a synthetic event."""
    paths = []
    rng = np.random.default_rng(0)
    for number in range(N_STATION):
        for direction in DIRECTIONS:
            counts = np.cumsum(rng.integers(-900, 901, RATE_HZ * DURATION_S)) // 4 - 18000
            path = folder / f"AOM{number:03d}1801241951.{direction.replace('-', '')}"
            path.write_bytes(component(path.name[:6], direction, counts))
            paths.append(path)
    return paths


def best(work: Callable[[], object], *, n_run: int = 5) -> float:
    """Return the least processor time [s] of a few runs."""
    times = []
    for _ in range(n_run):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def bundle(paths: list[Path], folder: Path) -> Path:
    """Pack the files as NIED does: a gzipped tar in a tar."""
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w:gz") as archive:
        for path in paths:
            archive.add(path, arcname=path.name)
    outer = folder / "20180124195100.tar"
    with tarfile.open(outer, mode="w") as archive:
        entry = tarfile.TarInfo("20180124195100.knt.tar.gz")
        entry.size = len(inner.getvalue())
        archive.addfile(entry, io.BytesIO(inner.getvalue()))
    return outer


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="*", type=Path, help="component files, or folders of them")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kaname-bench-") as folder:
        given = [p for path in arguments.paths for p in ([path] if path.is_file() else path.rglob("*.*"))]
        paths = sorted(p for p in given if p.suffix != ".json") or write_event(Path(folder))
        contents = [path.read_bytes() for path in paths]
        texts = [content[read_header(content).end :] for content in contents]
        megabytes = sum(map(len, contents)) / 1e6
        for path in paths[:3]:  # compiles, and proves that both read the same
            np.testing.assert_array_equal(
                read_knet(path).records[0].counts.data[0], _read_knet_ascii(str(path))[0].data
            )
        packed = bundle(paths, Path(folder))

        parse = best(lambda: [parse_samples(text, 8) for text in texts])
        files = best(lambda: [read_knet(path) for path in paths])
        peer = best(lambda: [_read_knet_ascii(str(path)) for path in paths], n_run=2)
        tar = best(lambda: read_knet(packed))
        print(f"{len(paths)} files, {megabytes:.1f} MB")
        print(f"parser alone       {megabytes / parse:8.0f} MB/s")
        print(f"files              {megabytes / files:8.0f} MB/s")
        print(f"ObsPy, same files  {megabytes / peer:8.1f} MB/s   ratio {peer / files:.0f}")
        print(f"tar.gz in a tar    {megabytes / tar:8.0f} MB/s")

        records = [r for r in read_knet(packed).records if r.counts.duration_s == DURATION_S][:3]
        if len(records) == 3:
            (block,) = align([r.acceleration() for r in records])
            jma_intensity(block)
            milliseconds = 1e3 * best(lambda: jma_intensity(block), n_run=20)
            print(f"JMA intensity      {milliseconds:8.2f} ms per record of {DURATION_S} s")


if __name__ == "__main__":
    main()
