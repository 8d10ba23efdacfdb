"""Catalogues of ZMAP: ten columns of numbers, longitude first."""

from __future__ import annotations

import re
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd

from kaname.core.errors import FormatError
from kaname.core.files import replacing
from kaname.core.tables import EVENTS, validate

_SPLIT = re.compile(r"[\s,]+")


def holds_zmap(path: str | PathLike[str]) -> bool:
    """Tell whether the first line of a file is one of ZMAP: ten numbers or more that may be an event."""
    with Path(path).open("rb") as file:
        first = file.readline(400).decode("ascii", "replace")
    try:
        values = [float(v) for v in _SPLIT.split(first.strip())]
    except ValueError:
        return False
    return len(values) >= 10 and _possible(np.array(values[:10]))


def _possible(v: np.ndarray) -> bool:
    year, month, day, hour, minute = v[2], v[3], v[4], v[7], v[8]
    return bool(
        abs(v[0]) <= 360 and abs(v[1]) <= 90 and 1000 <= year < 3000 and 1 <= month <= 12 and 1 <= day <= 31
        and -5 <= v[5] <= 11 and 0 <= hour <= 24 and 0 <= minute <= 60
    )  # fmt: skip


def read_zmap(path: str | PathLike[str]) -> pd.DataFrame:
    """Read longitude, latitude, decimal year, month, day, magnitude, depth [km], hour, minute, second.

    The year may have decimals, which repeat what month to second say; only its integer part is read. Further
    columns (errors) are not: their meaning differs from file to file.

    Raises
    ------
    FormatError
        When a line holds fewer than ten numbers or no moment.
    """
    rows = []
    for number, line in enumerate(Path(path).read_text(encoding="ascii", errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        try:
            values = np.array([float(v) for v in _SPLIT.split(line.strip())[:10]])
        except ValueError as error:
            raise FormatError(f"{path}, line {number}: {error}") from error
        if len(values) < 10 or not _possible(values):
            raise FormatError(f"{path}, line {number} is no event of ZMAP: {line.strip()[:80]!r}")
        rows.append(values)
    if not rows:
        raise FormatError(f"{path} holds no event")
    v = np.array(rows)
    try:
        date = pd.to_datetime(
            pd.DataFrame({"year": np.floor(v[:, 2]), "month": v[:, 3], "day": v[:, 4]}).astype(int)
        )
    except ValueError as error:
        raise FormatError(f"{path}: a date does not exist: {error}") from error
    seconds = v[:, 7] * 3600 + v[:, 8] * 60 + v[:, 9]
    events = {
        "event_id": [f"{Path(path).name}/{k}" for k in range(len(v))],
        "time": date.to_numpy("datetime64[ns]") + np.round(seconds * 1e6).astype("timedelta64[us]"),
        "latitude": v[:, 1],
        "longitude": v[:, 0],
        "depth_km": v[:, 6],
        "magnitude": v[:, 5],
    }
    return validate(pd.DataFrame(events), EVENTS)


def write_zmap(events: pd.DataFrame, path: str | PathLike[str]) -> Path:
    """Write events in ZMAP's ten columns; a missing magnitude or depth is ``nan``."""
    target = Path(path)
    time = events["time"].dt
    days = (events["time"] - time.to_period("Y").dt.start_time) / np.timedelta64(1, "D")
    second = time.second + time.microsecond / 1e6
    columns = [
        events["longitude"], events["latitude"], time.year + days / np.where(time.is_leap_year, 366, 365),
        time.month, time.day, events["magnitude"], events["depth_km"], time.hour, time.minute, second,
    ]  # fmt: skip
    form = ["%.6f", "%.6f", "%.10f", "%d", "%d", "%.3f", "%.3f", "%d", "%d", "%.6f"]
    with replacing(target) as partial:
        np.savetxt(partial, np.column_stack(columns), fmt=form, delimiter="\t")
    return target
