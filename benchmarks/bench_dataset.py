"""Speed of the training cache beside SeisBench: python benchmarks/bench_dataset.py [--traces N]

A made-up set of N traces of three components and a minute at 100 Hz, written in SeisBench's layout. Random
windows of 30 s are read from the warm cache, one call per batch of 256, and from the same files by
``WaveformDataset`` of SeisBench where it is installed (without a cache, and with its full cache in memory).
Each figure is the best of several runs.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kaname.archive.dataset_cache import TraceCache, build_cache
from kaname.formats.seisbench_data import write_traces

RATE_HZ, N_SAMPLE, WINDOW, BATCH = 100, 6000, 3000, 256


def make(root: Path, n_trace: int) -> None:
    """Write the set."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1000, 3 * N_SAMPLE + n_trace).astype(np.float32)
    traces = (
        (
            {
                "trace_sampling_rate_hz": RATE_HZ,
                "trace_P_arrival_sample": 2000,
                "trace_component_order": "ZNE",
            },
            noise[i : i + 3 * N_SAMPLE].reshape(3, N_SAMPLE),
        )
        for i in range(n_trace)
    )
    write_traces(root, traces, {"sampling_rate": RATE_HZ})


def best(run: Callable[[], int], repeats: int = 5) -> float:
    """Return items per second of the fastest run."""
    rates = []
    for _ in range(repeats):
        began = time.perf_counter()
        n = run()
        rates.append(n / (time.perf_counter() - began))
    return max(rates)


def windows(cache: TraceCache, n: int) -> int:
    """Read ``n`` random windows in batches, into one array."""
    rng = np.random.default_rng(1)
    out = np.empty((BATCH, 3, WINDOW), np.float32)
    for _ in range(n // BATCH):
        cache.windows(
            rng.integers(0, len(cache), BATCH), rng.integers(0, N_SAMPLE - WINDOW, BATCH), WINDOW, out=out
        )
    return n // BATCH * BATCH


def single(cache: TraceCache, n: int) -> int:
    """Copy ``n`` random whole traces one by one."""
    out = np.empty((3, N_SAMPLE), np.float32)
    for i in np.random.default_rng(2).integers(0, len(cache), n):
        out[:] = cache.trace(i)
    return n


def seisbench(root: Path, cache: str | None, n: int) -> Callable[[], int]:
    """Return what reads ``n`` random traces with SeisBench."""
    from seisbench.data import WaveformDataset

    dataset = WaveformDataset(root, cache=cache, sampling_rate=RATE_HZ, component_order="ZNE")
    if cache:
        dataset.preload_waveforms()

    def run() -> int:
        for i in np.random.default_rng(3).integers(0, len(dataset), n):
            dataset.get_waveforms(int(i))
        return n

    return run


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traces", type=int, default=10_000)
    n_trace = parser.parse_args().traces
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        began = time.perf_counter()
        make(root, n_trace)
        print(f"written: {n_trace / (time.perf_counter() - began):,.0f} traces/s")
        began = time.perf_counter()
        cache = build_cache(root)
        print(f"cached: {n_trace / (time.perf_counter() - began):,.0f} traces/s")
        print(f"random windows of {WINDOW} samples: {best(lambda: windows(cache, 51_200)):,.0f} traces/s")
        print(f"random whole traces, one by one: {best(lambda: single(cache, 20_000)):,.0f} traces/s")
        if importlib.util.find_spec("seisbench") is None:
            print("SeisBench is not installed")
            return
        for name in (None, "full"):
            rate = best(seisbench(root, name, 2000), 3)
            print(f"SeisBench, whole traces, cache={name}: {rate:,.0f} traces/s")


if __name__ == "__main__":
    main()
