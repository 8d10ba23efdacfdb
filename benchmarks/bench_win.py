"""Speed of the WIN readers on one core, beside ObsPy on the same file, and of WIN32 to miniSEED 3 and back.

Run with ``python benchmarks/bench_win.py [CHANNELS]`` on an idle machine. The records are simulated: one
minute at 100 Hz, noise of which more than half of the channels need one byte per difference and the rest from
4 to 24 bits, as in a quiet minute of a large network. Times are processor time, best of several runs.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import obspy

from kaname.core.waveform import Waveform
from kaname.formats.contract import read_waveforms
from kaname.formats.miniseed import write_miniseed
from kaname.formats.win_writer import write_win

START = np.datetime64("2011-03-11T05:46:00")
AMPLITUDES = (3, 60, 60, 60, 60, 900, 500_000)
MINUTES = 1
RATE = 100


def records(n_channel: int, network: str) -> list[Waveform]:
    """Return one minute of noise per channel."""
    rng = np.random.default_rng(0)
    out = []
    for number in range(n_channel):
        high = AMPLITUDES[number % len(AMPLITUDES)]
        samples = np.cumsum(rng.integers(-high, high + 1, 60 * MINUTES * RATE)).astype(np.int32)
        name = f"{network}.{number + 0x1000:04X}..HY1"
        out.append(Waveform(samples[np.newaxis], (name,), START, float(RATE)))
    return out


def timed(task: Callable[[], object], n_run: int) -> tuple[float, object]:
    """Return the least processor time [s] of some runs, and the last result."""
    best, result = np.inf, None
    for _ in range(n_run):
        begin = time.process_time()
        result = task()
        best = min(best, time.process_time() - begin)
    return best, result


def same(found: list[Waveform], expected: list[Waveform]) -> bool:
    """Tell whether two lists of blocks are equal in everything."""
    return len(found) == len(expected) and all(
        (a.ids, a.start, a.sampling_rate) == (b.ids, b.start, b.sampling_rate)
        and np.array_equal(a.data, b.data)
        for a, b in zip(found, expected)
    )


def main(n_channel: int) -> None:
    """Print the speeds."""
    truth = {"win": records(n_channel, ""), "win32": records(n_channel, "0101")}
    n_sample = sum(b.n_sample for b in truth["win"])
    with tempfile.TemporaryDirectory() as folder:
        paths = {form: write_win(truth[form], Path(folder) / form, form=form) for form in truth}
        for form, path in paths.items():
            n_mb = path.stat().st_size / 1e6
            read_waveforms(path)  # compiles
            elapsed, read = timed(lambda path=path: read_waveforms(path), 9)
            exact = same(read.blocks, truth[form])
            print(
                f"{form}: {n_mb:.1f} MB, {n_sample / 1e6:.1f} Msamples read in {1e3 * elapsed:.0f} ms: "
                f"{n_mb / elapsed:.0f} MB/s, {n_sample / elapsed / 1e6:.0f} Msamples/s, exact: {exact}"
            )
            if form == "win":
                theirs, stream = timed(lambda path=path: obspy.read(str(path), format="WIN"), 1)
                agrees = sum(len(t) for t in stream) == n_sample
                print(
                    f"ObsPy {obspy.__version__}, the same file: {n_mb / theirs:.2f} MB/s, as many samples: "
                    f"{agrees}; ratio {theirs / elapsed:.0f}"
                )
        packed = Path(folder) / "mseed3"

        def convert() -> None:
            write_miniseed(read_waveforms(paths["win32"]).blocks, packed, version=3)

        elapsed, _ = timed(convert, 3)
        exact = same(read_waveforms(packed).blocks, truth["win32"])
        again = write_win(read_waveforms(packed).blocks, Path(folder) / "again")
        identical = again.read_bytes() == paths["win32"].read_bytes()
        print(
            f"WIN32 to miniSEED 3: {n_sample / elapsed / 1e6:.1f} Msamples/s; read back exact: {exact}; "
            f"written as WIN32 again, the same bytes: {identical}"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
