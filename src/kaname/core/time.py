"""Time is UTC everywhere, as ``numpy.datetime64[ns]``; local times live only inside a reader."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np

from kaname.core.errors import InputError

NS_PER_S = 1_000_000_000

_NS_DTYPE = np.dtype("datetime64[ns]")
_FIRST_NS, _LAST_NS = (int(np.datetime64(f"{year}-01-01", "ns").astype(np.int64)) for year in (1678, 2262))


def as_time(value: Any) -> np.datetime64:
    """Convert a time to ``datetime64[ns]`` in UTC.

    Parameters
    ----------
    value
        ``datetime64``, ISO 8601 string (an offset or ``Z`` is honoured, none means UTC), ``datetime``,
        pandas ``Timestamp``, ObsPy ``UTCDateTime``, or integer nanoseconds since 1970.

    Raises
    ------
    InputError
        When the value is not a time, or lies outside the years that nanoseconds can express.
    """
    if isinstance(value, np.datetime64) and value.dtype == _NS_DTYPE:
        stated = value.item()
        if stated is not None and _FIRST_NS <= stated <= _LAST_NS:
            return value
    try:
        ns = _nanoseconds(value)
        if not _FIRST_NS <= ns <= _LAST_NS:
            raise OverflowError(f"{ns} ns since 1970")
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(
            f"{value!r} is not a time; expected ISO 8601 such as 2010-05-27T16:24:33Z, between 1678 and 2262"
        ) from error
    return np.datetime64(ns, "ns")


def _nanoseconds(value: Any) -> int:
    if isinstance(value, np.datetime64):
        if value.dtype != _NS_DTYPE and not 1678 <= _year(value) < 2262:
            # NumPy would wrap around in silence.
            raise OverflowError("nanoseconds overflow")
        return int(value.astype(_NS_DTYPE).astype(np.int64))
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return int(value)
    if type(value).__name__ == "UTCDateTime":
        return int(value.ns)
    return _parse(value)


def _year(value: np.datetime64) -> int:
    return int(value.astype("datetime64[Y]").astype(np.int64)) + 1970


def _parse(value: Any) -> int:
    import pandas as pd

    # pandas would read "12:00" and "now" as today, "10/05/2010" as October, and 1.5 as nanoseconds.
    if isinstance(value, str):
        if not value[:4].isdigit():
            raise ValueError("does not begin with a year")
        stamp = pd.to_datetime(value, format="ISO8601", utc=True)
    elif isinstance(value, date):
        stamp = pd.Timestamp(value)
    else:
        raise TypeError(type(value).__name__)
    if pd.isna(stamp):
        raise ValueError("no time")
    if stamp.tzinfo is not None:
        stamp = stamp.tz_convert("UTC").tz_localize(None)
    return int(stamp.as_unit("ns").value)


def seconds_between(start: np.datetime64, end: np.datetime64) -> float:
    """Return ``end - start`` in seconds."""
    return float((end - start).astype("timedelta64[ns]").astype(np.int64)) / NS_PER_S


def add_seconds(time: np.datetime64, seconds: float) -> np.datetime64:
    """Return ``time + seconds``, rounded to the nanosecond."""
    return time + np.timedelta64(round(seconds * NS_PER_S), "ns")


def isoformat(time: np.datetime64, *, decimals: int = 6) -> str:
    """Return ISO 8601 text with ``Z``, for example ``2010-05-27T16:24:33.210000Z`` (truncated)."""
    text = str(time.astype("datetime64[ns]"))
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction[:decimals]}Z" if decimals else f"{whole}Z"
