"""Catalogues and forecasts as CSEP exchanges them (pyCSEP): ASCII catalogues, simulated catalogues, grids."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import datetime
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kaname.core.errors import FormatError, InputError, NotFoundError
from kaname.core.files import replacing
from kaname.core.forecasts import FORECASTS, SIMULATIONS
from kaname.core.tables import EVENTS, empty, validate

HEADER = ("lon", "lat", "mag", "time_string", "depth", "catalog_id", "event_id")
_GRID = 10


def holds_csep(path: str | PathLike[str]) -> bool:
    """Tell whether a file begins as an ASCII catalogue of CSEP does."""
    with Path(path).open("rb") as file:
        first = file.readline(200).decode("ascii", "replace").lower().strip().split(",")
    return first[:2] == ["lon", "lat"] and first[2:3] in (["mag"], ["m"]) and "time_string" in first


def read_csep(path: str | PathLike[str]) -> pd.DataFrame:
    """Read one catalogue of events: an EVENTS table.

    Raises
    ------
    FormatError
        When a line is none, or the file holds several (simulated) catalogues.
    """
    rows = list(_rows(path))
    several = {row["simulation"] for row in rows}
    if len(several) > 1:
        raise FormatError(
            f"{path} holds {len(several)} simulated catalogues, expected one; read it with read_simulations"
        )
    name = Path(path).name
    events = [
        {**{k: v for k, v in row.items() if k != "simulation"}, "event_id": row["event_id"] or f"{name}/{k}"}
        for k, row in enumerate(row for row in rows if row["time"] is not None)
    ]
    return validate(pd.DataFrame(events), EVENTS) if events else empty(EVENTS)


def read_simulations(path: str | PathLike[str]) -> tuple[pd.DataFrame, int]:
    """Read simulated catalogues; return a SIMULATIONS table and the number of catalogues.

    Catalogues without earthquakes are lines with nothing but their number, or left out; what is left out
    after the last line cannot be known.

    Raises
    ------
    FormatError
        When a line is none, or there is none.
    """
    rows = list(_rows(path))
    if not rows:
        raise FormatError(f"{path} holds no catalogue")
    n = max(row["simulation"] for row in rows) + 1
    events = [row for row in rows if row["time"] is not None]
    if not events:
        return empty(SIMULATIONS), n
    table = pd.DataFrame(events).drop(columns="event_id")
    return validate(
        table.sort_values(["simulation", "time"], kind="stable", ignore_index=True), SIMULATIONS
    ), n


def write_simulations(simulations: pd.DataFrame, n: int, path: str | PathLike[str]) -> Path:
    """Write ``n`` simulated catalogues; those without earthquakes have a line with their number.

    A depth that was not simulated is left empty.

    Raises
    ------
    InputError
        When a simulation has a number of ``n`` or more.
    """
    target = Path(path)
    table = validate(simulations, SIMULATIONS)
    if len(table) and table["simulation"].max() >= n:
        raise InputError(f"simulation {table['simulation'].max()} of only {n}; numbers count from 0")
    bare = pd.DataFrame({"simulation": np.setdiff1d(np.arange(n), table["simulation"])})
    order = pd.concat([table, bare], ignore_index=True).sort_values(["simulation", "time"], kind="stable")
    out = pd.DataFrame(
        {
            "lon": order["longitude"].round(6),
            "lat": order["latitude"].round(6),
            "mag": order["magnitude"].round(4),
            "time_string": order["time"].dt.strftime("%Y-%m-%dT%H:%M:%S.%f"),
            "depth": order["depth_km"],
            "catalog_id": order["simulation"],
            "event_id": "",
        }
    )
    with replacing(target) as partial:
        out.to_csv(partial, index=False)
    return target


def read_grid(
    path: str | PathLike[str], *, start: np.datetime64 | None = None, end: np.datetime64 | None = None
) -> pd.DataFrame:
    """Read a gridded forecast (``.dat``): a FORECASTS table.

    Each line holds the edges in longitude, latitude, depth and magnitude, the expected number, and a flag;
    cells with flag 0 are masked and left out. The highest magnitude has no end.

    Raises
    ------
    NotFoundError, FormatError
        When there is no such file, or a line does not hold ten numbers.
    """
    file = Path(path)
    if not file.is_file():
        raise NotFoundError(f"no such file: {file}; expected a gridded forecast")
    try:
        values = np.loadtxt(file, ndmin=2)
    except ValueError as error:
        raise FormatError(f"{file} is no gridded forecast: {error}") from error
    if values.shape[1] not in (_GRID - 1, _GRID):
        raise FormatError(f"{file}: lines of {values.shape[1]} numbers, expected {_GRID}")
    if values.shape[1] == _GRID:
        values = values[values[:, 9] != 0]
    names = ["longitude_min", "longitude_max", "latitude_min", "latitude_max", "depth_min_km", "depth_max_km"]
    table = pd.DataFrame(values[:, :9], columns=[*names, "magnitude_min", "magnitude_max", "expected"])
    top = table["magnitude_max"] >= table["magnitude_max"].max() - 1e-9
    table["magnitude_max"] = table["magnitude_max"].mask(top)
    period = {"start": start, "end": end}
    return validate(table.assign(**{k: v for k, v in period.items() if v is not None}), FORECASTS)


def write_grid(forecast: pd.DataFrame, path: str | PathLike[str], *, magnitude_width: float = 0.1) -> Path:
    """Write a FORECASTS table as CSEP's ``.dat``; a cell without upper magnitude ends one width above."""
    target = Path(path)
    table = validate(forecast, FORECASTS)
    columns = [
        table["longitude_min"], table["longitude_max"], table["latitude_min"], table["latitude_max"],
        table["depth_min_km"].fillna(0.0), table["depth_max_km"].fillna(30.0), table["magnitude_min"],
        table["magnitude_max"].fillna(table["magnitude_min"] + magnitude_width), table["expected"],
        pd.Series(1.0, table.index),
    ]  # fmt: skip
    with replacing(target) as partial:
        np.savetxt(partial, np.column_stack(columns), fmt=["%.6g"] * 8 + ["%.16e", "%d"], delimiter="\t")
    return target


def _rows(path: str | PathLike[str]) -> Iterator[dict[str, Any]]:
    file = Path(path)
    if not file.is_file():
        raise NotFoundError(f"no such file: {file}; expected CSEP's ASCII catalogue")
    with file.open(newline="", encoding="utf-8") as stream:
        for number, line in enumerate(csv.reader(stream), 1):
            if not line or line[0].lower() == "lon":
                continue
            try:
                simulation = int(line[5])
                if not any(line[:4]):
                    yield {"simulation": simulation, "time": None, "event_id": ""}
                    continue
                lon, lat, magnitude = (float(v) for v in line[:3])
                yield {
                    "simulation": simulation,
                    "time": datetime.fromisoformat(line[3]),
                    "longitude": lon,
                    "latitude": lat,
                    "depth_km": float(line[4]) if line[4] else np.nan,
                    "magnitude": magnitude,
                    "event_id": line[6] if len(line) > 6 else "",
                }
            except (ValueError, IndexError) as error:
                raise FormatError(
                    f"{file}, line {number} is no event of a CSEP catalogue: {error}"
                ) from error
