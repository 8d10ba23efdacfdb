"""Files of HypoDD (Waldhauser & Ellsworth 2000): phases, stations, and located events.

Station labels are kept as they stand; HypoDD does not part network and station.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kaname.core import tables
from kaname.core.errors import FormatError, NotFoundError
from kaname.core.time import add_seconds


def read_phases(path: str | Path, *, uncertainty_s: float | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a phase file (``.pha``): ``#`` lines of events, followed by station, travel time, weight, phase.

    Parameters
    ----------
    path
        File to read.
    uncertainty_s
        Uncertainty of a pick of weight 1 [s]; HypoDD's weights are taken as inverse to it (a negative sign
        only marks a pick to keep). By default picks have none.

    Returns
    -------
    events
        `kaname.core.tables.EVENTS`.
    arrivals
        `kaname.core.tables.ARRIVALS`; picks of weight 0 are left out, as HypoDD does.

    Raises
    ------
    NotFoundError
        When there is no such file.
    FormatError
        When a line cannot be read, or a phase stands before the first event.
    """
    source = Path(path)
    events: list[dict[str, Any]] = []
    arrivals: list[dict[str, Any]] = []
    for number, words in _lines(source):
        try:
            if words[0] == "#":
                values = [float(w) for w in words[1:14]]
                origin = _time(words[1:6], values[5])
                events.append(
                    {
                        "event_id": words[14],
                        "time": origin,
                        "latitude": values[6],
                        "longitude": values[7],
                        "depth_km": values[8],
                        "magnitude": values[9],
                        "rms_s": values[12],
                    }
                )
                continue
            if not events:
                raise ValueError("a phase stands before the first event")
            weight = abs(float(words[2]))
            if weight == 0:
                continue
            arrivals.append(
                {
                    "event_id": events[-1]["event_id"],
                    "pick_id": f"{events[-1]['event_id']}-{number:06d}",
                    "station": words[0],
                    "phase": words[3],
                    "time": add_seconds(events[-1]["time"], float(words[1])),
                    "time_uncertainty_s": uncertainty_s / weight if uncertainty_s else np.nan,
                }
            )
        except (ValueError, IndexError) as error:
            raise FormatError(f"{source}, line {number}: no line of a HypoDD phase file: {error}") from error
    return tables.table(events, tables.EVENTS), tables.table(arrivals, tables.ARRIVALS)


def read_stations(path: str | Path) -> pd.DataFrame:
    """Read a station file (label, latitude, longitude and, where given, elevation [m]) as a stations table.

    Raises
    ------
    NotFoundError
        When there is no such file.
    FormatError
        When a line cannot be read.
    """

    def row(words: list[str]) -> dict[str, Any]:
        return {
            "station": words[0],
            "latitude": float(words[1]),
            "longitude": float(words[2]),
            "elevation_m": float(words[3]) if len(words) > 3 else np.nan,
        }

    return tables.table(_rows(Path(path), "station", row), tables.STATIONS)


def read_locations(path: str | Path) -> pd.DataFrame:
    """Read located events (``hypoDD.loc``, ``hypoDD.reloc``) as an events table.

    Raises
    ------
    NotFoundError
        When there is no such file.
    FormatError
        When a line cannot be read.
    """

    def row(words: list[str]) -> dict[str, Any]:
        return {
            "event_id": words[0],
            "latitude": float(words[1]),
            "longitude": float(words[2]),
            "depth_km": float(words[3]),
            "time": _time(words[10:15], float(words[15])),
            "magnitude": float(words[16]),
            "method": "hypoDD",
        }

    return tables.table(_rows(Path(path), "location", row), tables.EVENTS)


def _rows(source: Path, kind: str, row: Callable[[list[str]], dict[str, Any]]) -> list[dict[str, Any]]:
    """Make a row of every line."""
    rows = []
    for number, words in _lines(source):
        try:
            rows.append(row(words))
        except (ValueError, IndexError) as error:
            raise FormatError(f"{source}, line {number}: no line of a HypoDD {kind} file: {error}") from error
    return rows


def _lines(source: Path) -> list[tuple[int, list[str]]]:
    if not source.is_file():
        raise NotFoundError(f"no such file: {source}")
    text = source.read_text(encoding="latin-1")
    lines = [(n, line.split()) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise FormatError(f"{source} is empty")
    return lines


def _time(words: list[str], second: float) -> np.datetime64:
    year, month, day, hour, minute = (int(w) for w in words)
    return add_seconds(
        np.datetime64(f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}", "ns"), second
    )
