"""Times against ObsPy's, and everything that must not pass for a time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from obspy import UTCDateTime

from kaname.core.errors import InputError
from kaname.core.time import add_seconds, as_time, isoformat, seconds_between

T = np.datetime64("2010-05-27T16:24:33.210000000")
nanoseconds = st.integers(int(T.astype(int)) - 10**18, int(T.astype(int)) + 10**18)


@pytest.mark.parametrize(
    "value",
    [
        "2010-05-27T16:24:33.21",
        "2010-05-27T16:24:33.21Z",
        "2010-05-28T01:24:33.21+09:00",
        "2010-05-27 16:24:33.210000000",
        "20100527T162433.21",
        T,
        T.astype("datetime64[ms]"),
        int(T.astype(int)),
        T.astype(np.int64),
        datetime(2010, 5, 27, 16, 24, 33, 210_000),
        datetime(2010, 5, 28, 1, 24, 33, 210_000, tzinfo=timezone(timedelta(hours=9))),
        pd.Timestamp("2010-05-27T16:24:33.21"),
        pd.Timestamp("2010-05-27T16:24:33.21", tz="UTC"),
        UTCDateTime("2010-05-27T16:24:33.21"),
    ],
    ids=repr,
)
def test_every_spelling_of_one_time(value):
    time = as_time(value)
    assert time == T
    assert time.dtype == "datetime64[ns]"


def test_a_day_is_its_first_moment():
    assert as_time("2010-05-27") == as_time(date(2010, 5, 27)) == np.datetime64("2010-05-27T00:00")


NOT_TIMES = [
    *("", "NaT", "now", "today", "12:00", "10/05/2010", "May 2010", "16"),
    *("2010-13-01", "2010-05-27T16:24:61", "2010-05-27T24:00:00"),
    *(None, True, 1.5, np.float64(3), float("nan"), [2010], pd.NaT, np.datetime64("NaT"), -(2**63)),
]
TOO_FAR = [
    *("1677-01-01", "2599-12-31", 10**30, UTCDateTime(2400, 1, 1), pd.Timestamp("2599-12-31")),
    *(np.datetime64("2500-01-01", "s"), np.datetime64("0001-01-01", "D"), datetime(1, 1, 1, tzinfo=UTC)),
]


@pytest.mark.parametrize("value", NOT_TIMES, ids=repr)
def test_what_is_no_time_raises(value):
    with pytest.raises(InputError, match="is not a time"):
        as_time(value)


@pytest.mark.parametrize("value", TOO_FAR, ids=repr)
def test_what_nanoseconds_cannot_express_raises_and_never_wraps(value):
    with pytest.raises(InputError):
        as_time(value)


@given(nanoseconds)
def test_iso_text_reads_back(ns):
    time = as_time(ns)
    assert as_time(isoformat(time, decimals=9)) == time
    assert isoformat(time) == str(UTCDateTime(ns=ns - ns % 1000))


def test_iso_text_without_decimals():
    assert isoformat(T, decimals=0) == "2010-05-27T16:24:33Z"


@given(nanoseconds, st.floats(-1e6, 1e6))
def test_adding_and_taking_away_seconds(ns, seconds):
    time = as_time(ns)
    later = add_seconds(time, seconds)
    assert seconds_between(time, later) == pytest.approx(seconds, abs=1e-9)
    assert seconds_between(later, time) == -seconds_between(time, later)
    assert UTCDateTime(ns=ns) + seconds - UTCDateTime(ns=int(later.astype(int))) == pytest.approx(0, abs=2e-9)
