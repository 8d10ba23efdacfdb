"""Speed and memory of the inference engine: python benchmarks/bench_engine.py [MODEL] [--hours H]

MODEL is a name of packaged weights or an .onnx file. One station of three components at 100 Hz, written as
Steim2 miniSEED: made-up noise with ObsPy's real record of Unterhaching (four minutes with four earthquakes)
once every half hour. CPU time on one thread, reading included, best of three. Where SeisBench is installed,
its ``classify`` with PhaseNet runs on the same day, and the identical network through our engine; the weights
are random, with a bias towards noise, since speed does not depend on them. Memory is the peak of a process of
its own that streams 1,000 stations in blocks of 30 s, all in step.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from bench_picking import record

from kaname.automation.pick import get_picker
from kaname.core.errors import NotFoundError
from kaname.core.step import run
from kaname.core.time import as_time
from kaname.core.waveform import Waveform, align
from kaname.formats.contract import read_waveforms
from kaname.formats.miniseed import write_miniseed

RATE = 100.0
N_STATION = 1000
MINUTES = 17


def day(hours: float) -> Waveform:
    """Return the test record as counts, channels Z, N, E."""
    rng = np.random.default_rng(0)
    event = record(4 / 60).data
    event = event / np.median(np.abs(event)) * 40
    data = 40 * rng.standard_normal((3, round(hours * 3600 * RATE)))
    for low in range(60_000, data.shape[1] - event.shape[1], 180_000):
        data[:, low : low + event.shape[1]] += event
    ids = tuple(f"XX.BENCH..HH{c}" for c in "ZNE")
    return Waveform(np.round(data).astype(np.int32), ids, as_time("2024-01-01"), RATE)


def best(function: Callable[[], int], repeat: int = 3) -> tuple[float, int]:
    """Return the least CPU time of some runs [s] and the number of picks."""
    times, n = [], 0
    for _ in range(repeat):
        start = time.process_time()
        n = function()
        times.append(time.process_time() - start)
    return min(times), n


def read(paths: list[Path]) -> list[Waveform]:
    """Read files into blocks of three components."""
    return align([b for p in paths for b in read_waveforms(p).blocks])


def from_files(paths: list[Path], picker: Any) -> int:
    """Pick files; return the number of picks."""
    return sum(1 for _ in run(picker, read(paths)))


def phasenet(folder: Path) -> tuple[Any, Path, Path] | None:
    """Return a PhaseNet of SeisBench and its exports for windows of its own and for long ones."""
    try:
        import seisbench.models as models
        import torch

        from kaname.learn.networks.export import export_seisbench
    except ImportError as error:
        print(f"SeisBench is left out: {error}")
        return None
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = models.PhaseNet(phases="PSN", norm="std")
    with torch.no_grad():
        model.out.bias[2] += 12.0
    own = export_seisbench(model, folder / "own.onnx", name="phasenet", long=False)
    return model, own, export_seisbench(model, folder / "long.onnx", name="phasenet", long=True)


def stream(model: str) -> None:
    """Stream many stations in step and print the peak memory of this process."""
    picker = get_picker(f"kaname:{model}")
    wave = day(MINUTES / 60)
    states = [picker.start() for _ in range(N_STATION)]
    n_pick = 0
    start = time.process_time()
    for low in range(0, wave.n_sample, 3000):
        part = wave.data[:, low : low + 3000]
        for k in range(N_STATION):
            ids = tuple(f"XX.S{k:03d}..HH{c}" for c in "ZNE")
            states[k], picks = picker(states[k], Waveform(part, ids, wave.time(low), RATE))
            n_pick += len(picks)
    n_pick += sum(len(picker.finish(s)) for s in states)
    seconds = time.process_time() - start
    # Not ru_maxrss, which a child takes over from its parent.
    peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
    print(
        f"{N_STATION} stations, {MINUTES} minutes each in blocks of 30 s: peak {peak:.0f} MiB, "
        f"{n_pick} picks, {N_STATION * MINUTES / 1440 / seconds:.2f} station-days per CPU s"
    )


def main() -> None:
    """Print speeds, ratios and memory."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", nargs="?", default="")
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--stream", action="store_true", help="only the stream of many stations")
    options = parser.parse_args()
    if options.stream:
        stream(options.model)
        return
    days = options.hours / 24
    rows: dict[str, float] = {}

    def tell(name: str, function: Callable[[], int], repeat: int = 3) -> None:
        seconds, n = best(function, repeat)
        rows[name] = seconds
        print(
            f"{name:34s} {seconds / days:6.2f} CPU s per station-day, {days / seconds:6.3f} station-days per "
            f"CPU s, {n} picks",
            flush=True,
        )

    with tempfile.TemporaryDirectory() as folder:
        wave = day(options.hours)
        paths = [
            write_miniseed([wave.select([i])], Path(folder) / f"{i}.mseed", record_length=4096)
            for i in wave.ids
        ]
        picker = get_picker(f"kaname:{options.model}", {"precision": "fp32"})
        list(run(picker, [day(0.3)]))  # compile
        tell("reading alone", lambda: len(read(paths)))
        tell(f"{picker.method}, fp32", lambda: from_files(paths, picker))  # type: ignore[attr-defined]
        ours = rows.popitem()[1]
        try:
            int8 = get_picker(f"kaname:{options.model}", {"precision": "int8"})
        except NotFoundError as error:
            print(f"int8 is left out: {error}")
        else:
            tell(f"{picker.method}, int8", lambda: from_files(paths, int8))
        made = phasenet(Path(folder))
        if made is not None:
            model, own, long = made
            tell("engine, PhaseNet, long windows", lambda: from_files(paths, get_picker(f"kaname:{long}")))
            tell(
                "engine, PhaseNet, its own windows", lambda: from_files(paths, get_picker(f"kaname:{own}")), 2
            )
            import obspy

            def classify() -> int:
                traces = obspy.Stream([t for p in paths for t in obspy.read(str(p))])
                return len(model.classify(traces, batch_size=64).picks)

            tell("SeisBench classify, PhaseNet", classify, 2)
            theirs = rows["SeisBench classify, PhaseNet"]
            ratios = [theirs / rows[f"engine, PhaseNet, {kind} windows"] for kind in ("long", "its own")]
            small = (
                f", int8 {theirs / rows[f'{picker.method}, int8']:.1f}"
                if f"{picker.method}, int8" in rows
                else ""
            )
            print(
                f"ratio to SeisBench: identical network {ratios[0]:.1f} in long windows, {ratios[1]:.1f} in "
                f"its own; kaname fp32 {theirs / ours:.1f}{small}"
            )
    subprocess.run([sys.executable, __file__, options.model, "--stream"], check=True)


if __name__ == "__main__":
    main()
