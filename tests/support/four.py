"""The four-station case of the demonstration, as input for the verbs of the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from kaname.cli import main
from kaname.cli._demo import inputs, settings_of_four_stations
from kaname.core import tables

SCHEMAS = {
    "events": tables.EVENTS,
    "arrivals": tables.ARRIVALS,
    "picks": tables.PICKS,
    "failures": tables.FAILURES,
    "stations": tables.STATIONS,
}
CONFIG = "four-stations.toml"


def prepare(folder: Path) -> list[Path]:
    """Write stations, velocity model and configuration into ``folder/input``; return the waveform files."""
    waveforms, *_ = inputs(folder)
    lines = []
    for section, values in settings_of_four_stations().items():
        lines += [f"[{section}]", *(f"{key} = {value}" for key, value in values.items())]
    # Drawing the records of every event would take most of the time of these tests.
    lines += ["[report]", "event_sections = 1"]
    (folder / "input" / CONFIG).write_text("\n".join(lines) + "\n")
    return waveforms


def options(folder: Path) -> list[str]:
    """Return stations, model and configuration that `prepare` wrote, as options."""
    given = {"stations": "stations.csv", "velocity-model": "half-space.csv", "config": CONFIG}
    return [word for name, file in given.items() for word in (f"--{name}", str(folder / "input" / file))]


def catalog(folder: Path, out: Path, *data: Any, **more: Any) -> int:
    """Run ``kaname catalog`` on data with what `prepare` wrote; return the exit status."""
    extra = [word for name, value in more.items() for word in (f"--{name}", str(value))]
    return main(["catalog", *map(str, data), *options(folder), "--out", str(out), *extra])


def table(out: Path, name: str) -> pd.DataFrame:
    """Read one of the published tables of a run, checked against its schema."""
    return tables.read_table(out / f"{name}.parquet", SCHEMAS[name])


def first_arrivals(out: Path) -> pd.Series:
    """Return the first arrival of each event of a run; of one without arrivals its time, the first P."""
    events, arrivals = table(out, "events"), table(out, "arrivals")
    first = events["event_id"].map(arrivals.groupby("event_id")["time"].min())
    return first.where(first.notna(), events["time"]).sort_values(ignore_index=True)


def same_tables(one: Path, other: Path) -> None:
    """Assert that two runs made the same tables, byte for byte."""
    names = {p.name for p in one.glob("*.parquet")}
    assert names == {p.name for p in other.glob("*.parquet")}
    assert len(names) >= 8
    for name in sorted(names):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
