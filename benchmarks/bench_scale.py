"""The main job at scale: python benchmarks/bench_scale.py [--station-hours N] [--events-per-hour N]

Continuous records of four stations with real earthquakes pasted in (`continuous.py`; synthetic noise with the
spectrum of real noise) are run three times: with two local processes, on a Dask cluster of two workers
on this machine, and with two local processes in a run that is killed (SIGKILL) when a third of the tasks
is finished and started again. Printed are wall and processor times, and whether the tables are identical.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from continuous import START, Truth, generate

from kaname.cli._demo import inputs, settings_of_four_stations

STATIONS = 4
COMMAND = [sys.executable, "-c", "import sys; from kaname.cli import main; sys.exit(main())", "catalog"]
TABLES = ("events", "arrivals", "picks", "failures", "health", "stations", "rejected", "station_terms")


def prepare(root: Path) -> list[str]:
    """Write stations, velocity model and configuration; return the options that name them."""
    _, stations, _, model = inputs(root)
    config = root / "input" / "config.toml"
    lines = []
    for section, values in settings_of_four_stations().items():
        lines += [f"[{section}]", *(f"{key} = {value}" for key, value in values.items())]
    config.write_text("\n".join([*lines, "[report]", "event_sections = 10", ""]))
    return ["--stations", str(stations), "--velocity-model", str(model), "--config", str(config)]


def cpu_s() -> float:
    """Processor seconds of all ended child processes and their children."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(*words: str) -> tuple[float, float]:
    """Run the main job; return wall and processor seconds."""
    wall, cpu = time.perf_counter(), cpu_s()
    subprocess.run([*COMMAND, *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - wall, cpu_s() - cpu


def finished(out: Path) -> int:
    """Number of finished tasks in the store of a run."""
    try:
        with sqlite3.connect(f"file:{out / '.kaname' / 'jobs.sqlite'}?mode=ro", uri=True) as database:
            return int(database.execute("SELECT COUNT(*) FROM task").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def run_killed(out: Path, tasks: int, *words: str) -> tuple[int, bool]:
    """Start the main job and kill it, with its workers, once so many tasks are finished."""
    with subprocess.Popen([*COMMAND, *words], stdout=subprocess.DEVNULL, start_new_session=True) as process:
        while finished(out) < tasks and process.poll() is None:
            time.sleep(0.05)
        killed = process.poll() is None
        if killed:
            os.killpg(process.pid, signal.SIGKILL)
    return finished(out), killed


def identical(one: Path, other: Path) -> bool:
    """Tell whether two runs made the same tables, byte for byte."""
    return all((one / f"{n}.parquet").read_bytes() == (other / f"{n}.parquet").read_bytes() for n in TABLES)


def against_truth(out: Path, truth: list[Truth]) -> str:
    """Say how many of the pasted events were found, how often twice, and what else was reported."""
    events, arrivals = (pd.read_parquet(out / f"{n}.parquet") for n in ("events", "arrivals"))
    onset = events["event_id"].map(arrivals.groupby("event_id")["time"].min())
    onset = onset.where(onset.notna(), events["time"]).sort_values().to_numpy("datetime64[ns]")
    # The first P comes about a second after the cut begins.
    pasted = pd.Series([t.time for t in truth]).to_numpy("datetime64[ns]")
    first = onset.searchsorted(pasted)
    last = onset.searchsorted(pasted + pd.Timedelta("3s").to_timedelta64())
    hits = last - first
    located = int(events["latitude"].notna().sum())
    return (
        f"{(hits > 0).sum()} of {len(truth)} pasted events found, {(hits > 1).sum()} of them more than once, "
        f"{len(events) - hits.sum()} others reported; {located} located"
    )


def report(station_hours: float, events_per_hour: float) -> None:
    """Measure everything and print a line per run."""
    from distributed import LocalCluster

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        hours = station_hours / STATIONS
        given = prepare(root)
        truth = generate(root / "data", hours, stations=STATIONS, events_per_hour=events_per_hour)
        size = sum(p.stat().st_size for p in (root / "data").rglob("*") if p.is_file())
        print(
            f"{station_hours:g} station-hours from {START.astype('datetime64[D]')}, {len(truth)} events, "
            f"{size / 1e6:.0f} MB",
            flush=True,
        )

        def words(out: Path) -> list[str]:
            return [str(root / "data"), *given, "--out", str(out)]

        def line(what: str, wall: float, cpu: float | None = None) -> None:
            rate = "" if cpu is None else f" {cpu:8.1f} s of processor {station_hours / cpu:7.2f} h/s"
            print(f"{what:32s} {wall:8.1f} s {station_hours / wall:7.2f} h/s{rate}", flush=True)

        two = root / "two"
        line("two processes", *run(*words(two), "--workers", "2"))
        print(f"    {against_truth(two, truth)}")
        line("the same command again", run(*words(two), "--workers", "2")[0])
        with LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=":0"
        ) as dask:
            line(
                "Dask cluster of two workers",
                run(*words(root / "dask"), "--cluster", dask.scheduler_address)[0],
            )
        print(f"    tables identical: {identical(two, root / 'dask')}")
        third = max(1, finished(two) // 3)
        killed = root / "killed"
        kept, stopped = run_killed(killed, third, *words(killed), "--workers", "2")
        print(f"killed: {stopped}, with {kept} of {finished(two)} tasks finished")
        line("started again", run(*words(killed), "--workers", "2")[0])
        print(f"    tables identical: {identical(two, killed)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--station-hours", type=float, default=40.0)
    parser.add_argument("--events-per-hour", type=float, default=1.0)
    given = parser.parse_args()
    report(given.station_hours, given.events_per_hour)
