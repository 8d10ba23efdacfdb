"""Catalogues of ANSS ComCat in CSV, as earthquake.usgs.gov and FDSN ``format=csv`` give them."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd

from kaname.core.errors import FormatError
from kaname.core.tables import EVENTS, empty, validate
from kaname.formats.eventset import EventSet, failure

_NAMES = ("time", "latitude", "longitude", "depth", "mag", "magType")


def holds_comcat(path: str | PathLike[str]) -> bool:
    """Tell whether a file begins with the header of ComCat's CSV."""
    with Path(path).open("rb") as file:
        first = file.readline(400).decode("utf-8", "replace").lstrip("\ufeff").strip()
    return tuple(name.strip('"') for name in first.split(","))[:6] == _NAMES


def read_comcat(path: str | PathLike[str]) -> EventSet:
    """Read events; those that are no earthquakes, and rows without time or place, are failures.

    ``horizontalError`` is no standard deviation of known meaning and is not taken over.

    Raises
    ------
    FormatError
        When the file is no ComCat CSV.
    """
    try:
        raw = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise FormatError(f"{path} is no ComCat CSV: {error}") from error
    lacking = sorted({*_NAMES} - set(raw.columns))
    if lacking:
        raise FormatError(f"{path} lacks the columns {', '.join(lacking)} of ComCat's CSV")
    if raw.empty:
        return EventSet(empty(EVENTS))
    number = {
        name: pd.to_numeric(raw[name], errors="coerce") if name in raw else pd.Series(np.nan, raw.index)
        for name in (
            "latitude",
            "longitude",
            "depth",
            "mag",
            "gap",
            "rms",
            "depthError",
            "magError",
            "magNst",
        )
    }
    time = pd.to_datetime(raw["time"], errors="coerce", utc=True, format="ISO8601").dt.tz_localize(None)
    events = pd.DataFrame(
        {
            "event_id": raw["id"] if "id" in raw else [f"{Path(path).name}/{k}" for k in range(len(raw))],
            "time": time.astype("datetime64[ns]"),
            "latitude": number["latitude"],
            "longitude": number["longitude"],
            "depth_km": number["depth"],
            "depth_uncertainty_km": number["depthError"],
            "rms_s": number["rms"],
            "azimuthal_gap_deg": number["gap"],
            "magnitude": number["mag"],
            "magnitude_type": raw["magType"],
            "magnitude_uncertainty": number["magError"],
            "n_magnitude": number["magNst"].fillna(0).astype(int),
        }
    )
    broken = events[["time", "latitude", "longitude"]].isna().any(axis=1)
    other = ~raw["type"].isin(["earthquake", ""]) if "type" in raw else pd.Series(False, raw.index)
    failures = [
        failure(path, "FormatError", f"line {k + 2}: no time or no place; left out")
        for k in np.flatnonzero(broken)
    ]
    failures += [
        failure(path, "Warning", f"{events['event_id'][k]} is a {raw['type'][k]}; left out")
        for k in np.flatnonzero(other & ~broken)
    ]
    return EventSet(validate(events[~(broken | other)].reset_index(drop=True), EVENTS), failures=failures)
