"""Time is UTC everywhere, as ``numpy.datetime64[ns]``; local times live only inside a reader."""

from __future__ import annotations

from typing import Any

import numpy as np

from kaname.core.errors import InputError

NS_PER_S = 1_000_000_000


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
        When the value is not a time.
    """
    if isinstance(value, np.datetime64):
        time = value.astype("datetime64[ns]")
    elif isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        time = np.datetime64(int(value), "ns")
    elif hasattr(value, "_UTCDateTime__ns") or type(value).__name__ == "UTCDateTime":
        time = np.datetime64(int(value.ns), "ns")
    else:
        time = _parse(value)
    if np.isnat(time):
        raise InputError(f"{value!r} is not a time; expected ISO 8601 such as 2010-05-27T16:24:33Z")
    return np.datetime64(time, "ns")


def _parse(value: Any) -> np.datetime64:
    import pandas as pd

    try:
        stamp = pd.Timestamp(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(
            f"{value!r} is not a time; expected ISO 8601 such as 2010-05-27T16:24:33Z"
        ) from error
    if pd.isna(stamp):
        return np.datetime64("NaT", "ns")
    if stamp.tzinfo is not None:
        stamp = stamp.tz_convert("UTC").tz_localize(None)
    return np.datetime64(stamp.as_unit("ns").value, "ns")


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
