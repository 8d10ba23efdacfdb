"""Series in CSV whose columns the user declares: tilt, pressure, strain, positions, anything with a time.

The declaration is a small TOML file or a `Declaration`; ``docs/formats-sensors.md`` has examples.
"""

from __future__ import annotations

import re
from datetime import datetime
from os import PathLike
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from kaname.core.errors import FormatError
from kaname.core.tables import DISPLACEMENTS, FEATURES
from kaname.core.time import as_time
from kaname.formats.tabular import TableRead, fields, number, numbered, read_rows, text_of, time_of


class DeclaredColumn(BaseModel):
    """One column of the file and what it means."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str = Field(description="its name in the file's head")
    unit: str = Field("", description="unit after scaling")
    scale: float = Field(1.0, description="what the number in the file is multiplied by")


class Declaration(BaseModel):
    """What a CSV file holds.

    ``values`` goes from the name of a feature (or, for displacements, of a column of that table such as
    ``east_mm``) to the column of the file.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: Literal["features", "displacements"] = "features"
    network: str = ""
    station: str = Field("", description="code of the station; or station_column")
    location: str = ""
    station_column: str = Field("", description="column that names the station")
    time: str = Field("time", description="column of the time")
    time_format: str = Field("", description="as in strptime; empty: ISO 8601")
    hours_ahead: float = Field(0.0, ge=-14, le=14, description="local time less UTC [h]; JST: 9")
    delimiter: str = Field(",", min_length=1, max_length=1)
    missing: tuple[str, ...] = Field(("", "nan", "NaN", "NA"), description="what stands for no value")
    latitude: float | None = Field(None, ge=-90, le=90)
    longitude: float | None = Field(None, ge=-180, le=360)
    height_m: float | None = None
    method: str = ""
    values: dict[str, DeclaredColumn] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits(self) -> Declaration:
        if not self.station and not self.station_column:
            raise ValueError("state station or station_column")
        if self.table == "displacements":
            known = {c.name for c in DISPLACEMENTS.columns if c.dtype == "float"}
            unknown = sorted(set(self.values) - known)
            if unknown:
                raise ValueError(f"table displacements has no column {unknown}; known are {sorted(known)}")
        elif self.latitude is not None or self.longitude is not None or self.height_m is not None:
            raise ValueError("the features table has no coordinates: they stand in the stations table")
        return self


def read_declared(path: str | PathLike[str], declaration: Declaration) -> TableRead:
    """Read a CSV file as declared, into the `features` or the `displacements` table.

    Rows come in order of station and time. A line that does not fit is a failure; the rest is kept.

    Raises
    ------
    NotFoundError
        When there is no such file.
    FormatError
        When a declared column is not in the file, or no line can be read.
    """
    text, damage = text_of(path)
    lines = list(numbered(text))
    d = declaration
    try:
        head = [name.strip() for name in fields(lines[0][1], d.delimiter)]
    except ValueError as error:
        raise FormatError(f"{path} has no line of column names: {error}") from error
    wanted = [
        d.time,
        *([d.station_column] if d.station_column else []),
        *(v.column for v in d.values.values()),
    ]
    absent = [name for name in wanted if name not in head]
    if absent:
        raise FormatError(f"{path} has no column {', '.join(absent)}; its columns are {', '.join(head)}")
    at = {name: head.index(name) for name in wanted}
    ahead = np.timedelta64(round(d.hours_ahead * 3600e9), "ns")
    offset = re.compile(r".*(Z|\d[+-]\d\d(:?\d\d)?)$")

    def parse(line: str) -> list[dict[str, Any]]:
        f = fields(line, d.delimiter)
        if len(f) != len(head):
            raise ValueError(f"expected {len(head)} columns, found {len(f)}")
        stamp = f[at[d.time]].strip()
        time = as_time(datetime.strptime(stamp, d.time_format)) if d.time_format else time_of(stamp)
        if d.hours_ahead and not d.time_format and "T" in stamp and offset.match(stamp):
            raise ValueError("the time states its own offset from UTC, and the declaration says hours_ahead")
        row = {
            "network": d.network,
            "station": f[at[d.station_column]].strip() if d.station_column else d.station,
            "location": d.location,
            "time": time - ahead,
            "method": d.method,
        }
        values = {
            name: np.nan if f[at[v.column]].strip() in d.missing else v.scale * number(f[at[v.column]])
            for name, v in d.values.items()
        }
        if d.table == "displacements":
            place = {"latitude": d.latitude, "longitude": d.longitude, "height_m": d.height_m}
            return [{**row, **{k: v for k, v in place.items() if v is not None}, **values}]
        return [{**row, "feature": k, "value": v, "unit": d.values[k].unit} for k, v in values.items()]

    schema = DISPLACEMENTS if d.table == "displacements" else FEATURES
    read = read_rows(path, lines[1:], parse, schema, what="the declared series", damage=damage)
    order = ["station", "time"] if d.table == "displacements" else ["station", "feature", "time"]
    read.table = read.table.sort_values(order, kind="stable", ignore_index=True)
    return read
