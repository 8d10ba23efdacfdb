"""The tables that rooms exchange, each with a published schema that is checked at every boundary.

A table is a pandas ``DataFrame``; on disk it is Parquet. Times are UTC ``datetime64[ns]`` without a zone.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from kaname.core.errors import FormatError, NotFoundError, SchemaError
from kaname.core.files import replacing

Dtype = Literal["string", "float", "int", "time", "bool"]

_PANDAS: dict[str, str] = {
    "string": "str",
    "float": "float64",
    "int": "int64",
    "time": "datetime64[ns]",
    "bool": "bool",
}

_CSV_MISSING = ("", "nan", "NaN", "NA", "N/A", "null", "NULL", "None")


@dataclass(frozen=True)
class Column:
    """One column: name, type, unit and meaning; ``low`` and ``high`` bound numbers, ``choices`` strings."""

    name: str
    dtype: Dtype
    meaning: str
    unit: str = ""
    required: bool = False
    """A required column must be present and without missing values; the others are added when absent."""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()

    @property
    def missing(self) -> Any:
        """The value that stands for *not known* in this column."""
        return {"string": "", "float": np.nan, "int": 0, "time": np.datetime64("NaT", "ns"), "bool": False}[
            self.dtype
        ]


@dataclass(frozen=True)
class Schema:
    """A named set of columns and the columns that together identify a row (none: rows need no identity)."""

    name: str
    meaning: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise NotFoundError(f"table {self.name} has no column {name!r}")

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(c.name for c in self.columns)


_NSLC = (
    Column("network", "string", "SEED network code; empty when the source states none"),
    Column("station", "string", "SEED station code", required=True),
    Column("location", "string", "SEED location code, often empty"),
)
_LATITUDE = Column("latitude", "float", "WGS84 latitude", "degree", low=-90, high=90)
_LONGITUDE = Column("longitude", "float", "WGS84 longitude", "degree", low=-180, high=360)

STATIONS = Schema(
    "stations",
    "Where each sensor stood and when; an empty network or location matches any.",
    (
        *_NSLC,
        Column("latitude", "float", "WGS84 latitude", "degree", required=True, low=-90, high=90),
        Column("longitude", "float", "WGS84 longitude", "degree", required=True, low=-180, high=360),
        Column("elevation_m", "float", "ground elevation above sea level", "m", low=-12000, high=9000),
        Column("sensor_depth_m", "float", "depth of the sensor below ground", "m", low=-100, high=10000),
        Column("start", "time", "first day of this epoch; missing when open"),
        Column("end", "time", "end of this epoch; missing when open"),
        Column("p_correction_s", "float", "added to the predicted P time", "s"),
        Column("s_correction_s", "float", "added to the predicted S time", "s"),
        Column("magnitude_correction", "float", "added to the station magnitude"),
        Column("site", "string", "site name"),
    ),
)

PICKS = Schema(
    "picks",
    "Onsets of seismic phases on single sensors.",
    (
        Column("pick_id", "string", "unique identifier", required=True),
        *_NSLC,
        Column("channel", "string", "SEED channel on which the onset was measured"),
        Column("phase", "string", "phase", required=True, choices=("P", "S")),
        Column("time", "time", "onset, UTC", required=True),
        Column("time_uncertainty_s", "float", "half the 68.3 % interval of the onset time", "s", low=0),
        Column("probability", "float", "the picker's confidence, 0 to 1", low=0, high=1),
        Column("polarity", "string", "first motion", choices=("", "up", "down")),
        Column("snr_db", "float", "signal-to-noise ratio about the onset", "dB"),
        Column("method", "string", "picker and version"),
    ),
    key=("pick_id",),
)

EVENTS = Schema(
    "events",
    "Earthquakes: origin, uncertainty, magnitude and how far each may be trusted.",
    (
        Column("event_id", "string", "unique identifier", required=True),
        Column("time", "time", "origin time, UTC; for an unlocated event the first P", required=True),
        Column("time_uncertainty_s", "float", "one standard deviation of the origin time", "s", low=0),
        _LATITUDE,
        _LONGITUDE,
        Column("depth_km", "float", "depth below sea level, positive down", "km", low=-10, high=800),
        Column("cov_ee_km2", "float", "posterior covariance east-east", "km2", low=0),
        Column("cov_en_km2", "float", "posterior covariance east-north", "km2"),
        Column("cov_ez_km2", "float", "posterior covariance east-depth", "km2"),
        Column("cov_nn_km2", "float", "posterior covariance north-north", "km2", low=0),
        Column("cov_nz_km2", "float", "posterior covariance north-depth", "km2"),
        Column("cov_zz_km2", "float", "posterior covariance depth-depth", "km2", low=0),
        Column("ellipse_major_km", "float", "68 % epicentre ellipse, long half axis", "km", low=0),
        Column("ellipse_minor_km", "float", "68 % epicentre ellipse, short half axis", "km", low=0),
        Column("ellipse_azimuth_deg", "float", "azimuth of the long axis", "degree", low=0, high=360),
        Column("depth_uncertainty_km", "float", "one standard deviation of depth", "km", low=0),
        Column("rms_s", "float", "weighted root mean square of the time residuals", "s", low=0),
        Column("azimuthal_gap_deg", "float", "largest azimuth without a station", "degree", low=0, high=360),
        Column("nearest_station_km", "float", "epicentral distance of the nearest station", "km", low=0),
        Column("n_p", "int", "P arrivals used", low=0),
        Column("n_s", "int", "S arrivals used", low=0),
        Column("n_station", "int", "stations used", low=0),
        Column("magnitude", "float", "preferred magnitude", low=-5, high=11),
        Column("magnitude_type", "string", "ML, or ML_relative where no response was known"),
        Column("magnitude_uncertainty", "float", "standard error of the magnitude", low=0),
        Column("n_magnitude", "int", "stations in the magnitude", low=0),
        Column(
            "quality",
            "string",
            "A well constrained, B usable, C poor, D do not trust, unlocated",
            choices=("", "A", "B", "C", "D", "unlocated"),
        ),
        Column("similarity", "float", "network correlation with the most similar event", low=-1, high=1),
        Column("similar_to", "string", "event_id of the most similar event"),
        Column("velocity_model", "string", "name of the velocity model used"),
        Column("method", "string", "location method and version"),
        Column("remark", "string", "what a reader must know about this row"),
    ),
    key=("event_id",),
)

ARRIVALS = Schema(
    "arrivals",
    "Picks tied to events, with what the location and the magnitude made of them.",
    (
        Column("event_id", "string", "event", required=True),
        Column("pick_id", "string", "pick", required=True),
        *_NSLC,
        Column("channel", "string", "SEED channel of the pick"),
        Column("phase", "string", "phase", required=True, choices=("P", "S")),
        Column("time", "time", "onset, UTC", required=True),
        Column("time_uncertainty_s", "float", "half the 68.3 % interval of the onset time", "s", low=0),
        Column("residual_s", "float", "observed minus predicted time", "s"),
        Column("weight", "float", "share of this arrival in the solution, 0 to 1", low=0, high=1),
        Column("distance_km", "float", "epicentral distance", "km", low=0),
        Column("azimuth_deg", "float", "azimuth, epicentre to station", "degree", low=0, high=360),
        Column("takeoff_deg", "float", "take-off angle, 0 down, 180 up", "degree", low=0, high=180),
        Column("amplitude_mm", "float", "Wood-Anderson half peak-to-peak amplitude", "mm", low=0),
        Column("station_magnitude", "float", "magnitude of this station"),
    ),
    key=("event_id", "pick_id"),
)

DISPLACEMENTS = Schema(
    "displacements",
    "Where the ground has moved to, by GNSS (east, north, up) or by radar (line of sight).",
    (
        *_NSLC,
        Column("time", "time", "middle of the time the position stands for, UTC", required=True),
        Column("reference_time", "time", "epoch of zero; missing: a reference position"),
        _LATITUDE,
        _LONGITUDE,
        Column("height_m", "float", "height above the ellipsoid", "m"),
        Column("east_mm", "float", "displacement to the east", "mm"),
        Column("north_mm", "float", "displacement to the north", "mm"),
        Column("up_mm", "float", "displacement upwards", "mm"),
        Column("east_uncertainty_mm", "float", "one standard deviation", "mm", low=0),
        Column("north_uncertainty_mm", "float", "one standard deviation", "mm", low=0),
        Column("up_uncertainty_mm", "float", "one standard deviation", "mm", low=0),
        Column("correlation_east_north", "float", "correlation of the errors", low=-1, high=1),
        Column("correlation_east_up", "float", "correlation of the errors", low=-1, high=1),
        Column("correlation_north_up", "float", "correlation of the errors", low=-1, high=1),
        Column("los_mm", "float", "displacement along the line of sight, towards the satellite", "mm"),
        Column("los_uncertainty_mm", "float", "one standard deviation", "mm", low=0),
        Column("look_east", "float", "east part of the unit vector to the satellite", low=-1, high=1),
        Column("look_north", "float", "north part of the unit vector to the satellite", low=-1, high=1),
        Column("look_up", "float", "upward part of the unit vector to the satellite", low=-1, high=1),
        Column("frame", "string", "reference frame, as the source states it"),
        Column("method", "string", "who made it and how, as the source states it"),
    ),
)

FEATURES = Schema(
    "features",
    "Values of any sensor over time: strain, tilt, pressure, and what is computed from waveforms.",
    (
        *_NSLC,
        Column("time", "time", "time of the value, UTC", required=True),
        Column("feature", "string", "what is measured, such as areal_strain", required=True),
        Column("value", "float", "the value, in `unit`; missing where the source has none"),
        Column("unit", "string", "unit of the value"),
        Column(
            "quality", "string", "flag of the source", choices=("", "good", "bad", "interpolated", "missing")
        ),
        Column("method", "string", "who made it and how, as the source states it"),
    ),
)

FAILURES = Schema(
    "failures",
    "What could not be processed, and why; nothing is ever dropped in silence.",
    (
        Column("step", "string", "what was being done", required=True),
        Column("subject", "string", "file, channel, station or event", required=True),
        Column("start", "time", "from when, where it concerns a stretch of time"),
        Column("end", "time", "until when"),
        Column("error", "string", "kind of error", required=True),
        Column("message", "string", "what was found, what was expected, what to do", required=True),
    ),
)

SCHEMAS: dict[str, Schema] = {
    s.name: s for s in (STATIONS, PICKS, EVENTS, ARRIVALS, DISPLACEMENTS, FEATURES, FAILURES)
}


def empty(schema: Schema) -> pd.DataFrame:
    """Return a table of ``schema`` without rows."""
    return pd.DataFrame({c.name: pd.Series(dtype=_PANDAS[c.dtype]) for c in schema.columns})


def table(rows: Iterable[dict[str, Any]], schema: Schema) -> pd.DataFrame:
    """Build a table of ``schema`` from row dictionaries."""
    rows = list(rows)
    try:
        return validate(pd.DataFrame(rows), schema) if rows else empty(schema)
    except UnicodeEncodeError:
        # A file name that is not UTF-8 reaches Python as lone surrogates, which no table can hold.
        return validate(pd.DataFrame([{k: _encodable(v) for k, v in row.items()} for row in rows]), schema)


def _encodable(value: Any) -> Any:
    return value.encode("utf-8", "backslashreplace").decode("utf-8") if isinstance(value, str) else value


def sift(row: Mapping[str, Any], schema: Schema) -> tuple[dict[str, Any] | None, list[str]]:
    """Return a row that `table` takes, and what was wrong with the one given.

    Optional values that are out of bounds are taken out; without a required one there is no row (``None``). A
    reader uses it so that one bad value becomes one failure and not the loss of a file.
    """
    kept: dict[str, Any] | None = dict(row)
    wrong = []
    for column in schema.columns:
        value = row.get(column.name, column.missing)
        fault = _fault(value, column)
        if not fault:
            continue
        wrong.append(fault)
        if column.required:
            kept = None
        elif kept is not None:
            kept[column.name] = column.missing
    return kept, wrong


def _fault(value: Any, column: Column) -> str:
    if pd.isna(value) or value == "":
        return f"{column.name} is missing" if column.required else ""
    if column.choices and value not in column.choices:
        return f"{column.name} is {value!r}, expected one of {column.choices}"
    if column.dtype in ("float", "int"):
        low = -np.inf if column.low is None else column.low
        high = np.inf if column.high is None else column.high
        if not low <= float(value) <= high:
            return f"{column.name} is {value}, expected {low} to {high} {column.unit}".rstrip()
    return ""


def concat(tables: Iterable[pd.DataFrame], schema: Schema) -> pd.DataFrame:
    """Stack tables of one schema; an empty list gives an empty table."""
    filled = [t for t in tables if len(t)]
    return validate(pd.concat(filled, ignore_index=True), schema) if filled else empty(schema)


def validate(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Return a copy of ``frame`` that fits ``schema``: columns ordered, typed, optional ones added.

    Further columns are kept, to the right of the schema's own.

    Raises
    ------
    SchemaError
        When a required column or value is missing, a value does not fit its type, bounds or choices, or
        the key is not unique. The message names the column and the first bad row.
    """
    unknown = [c for c in frame.columns if c not in schema.names]
    out: dict[str, pd.Series] = {}
    for column in schema.columns:
        if column.name in frame.columns:
            out[column.name] = _coerce(frame[column.name], column, schema)
        elif column.required and len(frame):
            raise SchemaError(
                f"table {schema.name}: column {column.name!r} ({column.meaning}) is missing; "
                f"found {', '.join(map(str, frame.columns))}"
            )
        else:
            values = pd.Series([column.missing] * len(frame), index=frame.index)
            out[column.name] = values.astype(_PANDAS[column.dtype])
    result = pd.DataFrame({**out, **{c: frame[c] for c in unknown}}).reset_index(drop=True)
    if schema.key and len(result):
        double = result.duplicated(list(schema.key))
        if double.any():
            bad = result.loc[double.idxmax(), list(schema.key)].to_dict()
            raise SchemaError(f"table {schema.name}: {bad} stands more than once; the key must be unique")
    return result


def _coerce(values: pd.Series, column: Column, schema: Schema) -> pd.Series:
    where = f"table {schema.name}, column {column.name!r}"
    if column.dtype == "string":
        typed = values.astype(object).where(values.notna(), "").astype(str)
        absent = typed == ""
    else:
        if values.dtype == object or values.dtype == "str":
            values = values.astype(object).where(values.astype(str).str.strip() != "", None)
        absent = values.isna()
        try:
            if column.dtype == "time":
                typed = _times(values, absent)
            elif column.dtype in ("int", "bool"):
                filled = values.where(~absent, column.missing)
                typed = filled.astype(_PANDAS[column.dtype])
                if pd.api.types.is_float_dtype(filled) and not (typed == filled).all():
                    raise ValueError(f"found {filled[typed != filled].iloc[0]}")
            else:
                typed = pd.to_numeric(values).astype("float64")
        except (ValueError, TypeError, OverflowError) as error:
            raise SchemaError(f"{where}: expected {column.dtype} {column.unit}: {error}") from error
    _check(typed, absent, column, where)
    return typed


def _times(values: pd.Series, absent: pd.Series) -> pd.Series:
    # pandas reads a number as nanoseconds, "now" as today and 10/05/2010 as October: none may pass for UTC.
    if not pd.api.types.is_datetime64_any_dtype(values):
        given = values[~absent]
        if pd.api.types.is_numeric_dtype(given) and len(given):
            raise ValueError(f"found the number {given.iloc[0]}, expected ISO 8601 text or datetime64")
        no_year = ~given.astype(str).str[:4].str.isdigit()
        if no_year.any():
            raise ValueError(
                f"found {given[no_year].iloc[0]!r}, expected ISO 8601 such as 2010-05-27T16:24:33Z"
            )
        values = values.astype(object).where(~absent, None)
    typed = pd.to_datetime(values, utc=True, format="ISO8601" if values.dtype == object else None)
    return typed.dt.tz_localize(None).astype("datetime64[ns]")


def _check(values: pd.Series, absent: pd.Series, column: Column, where: str) -> None:
    def reject(bad: pd.Series, expected: str) -> None:
        if bad.any():
            row = int(np.flatnonzero(bad.to_numpy())[0])
            raise SchemaError(f"{where}, row {row}: found {values.iloc[row]!r}, expected {expected}")

    if column.required:
        reject(absent, "a value")
    if column.choices:
        reject(~values.isin(column.choices) & ~absent, f"one of {column.choices}")
    if column.low is not None:
        reject((values < column.low) & ~absent, f">= {column.low} {column.unit}")
    if column.high is not None:
        reject((values > column.high) & ~absent, f"<= {column.high} {column.unit}")


def write_table(frame: pd.DataFrame, path: str | os.PathLike[str], schema: Schema) -> Path:
    """Validate and write a table in one atomic rename; what `read_table` reads is the same table.

    As Parquet, with units and meanings as metadata; as CSV where the path ends so.

    Raises
    ------
    SchemaError
        When the table breaks its schema.
    StorageError
        When the disk refuses; the previous file, if any, is untouched.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    target = Path(path)
    table = validate(frame, schema)
    if target.suffix.lower() == ".csv":
        with replacing(target) as partial:
            # Text in quotes: outside, what follows a # would be read as a comment.
            table.to_csv(partial, index=False, quoting=csv.QUOTE_NONNUMERIC)
        return target
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    meaning = {c.name: {"unit": c.unit, "meaning": c.meaning} for c in schema.columns}
    fields = [f.with_metadata(meaning[f.name]) if f.name in meaning else f for f in arrow.schema]
    arrow = arrow.cast(
        pa.schema(fields, {**(arrow.schema.metadata or {}), b"kaname_schema": schema.name.encode()})
    )
    with replacing(target) as partial:
        pq.write_table(arrow, partial)
    return target


def read_table(path: str | os.PathLike[str], schema: Schema) -> pd.DataFrame:
    """Read a table from Parquet or CSV (by its ending) and validate it.

    Raises
    ------
    NotFoundError
        When there is no such file.
    FormatError
        When it is neither Parquet nor CSV.
    SchemaError
        When it does not fit ``schema``.
    """
    source = Path(path)
    if not source.is_file():
        raise NotFoundError(f"no such file: {source}; expected a {schema.name} table (Parquet or CSV)")
    try:
        if source.suffix.lower() == ".csv":
            # A network or station may be called NA, which pandas takes for a missing value.
            text = {c.name: str for c in schema.columns if c.dtype == "string"}
            header = pd.read_csv(source, nrows=0, comment="#").columns
            absent = {c: _CSV_MISSING for c in header if c not in text}
            frame = pd.read_csv(source, dtype=text, na_values=absent, keep_default_na=False, comment="#")
        else:
            frame = pd.read_parquet(source)
    except (OSError, ValueError) as error:
        raise FormatError(f"{source} is not a readable Parquet or CSV table: {error}") from error
    return validate(frame, schema)
