"""The 96-byte records of JMA's Seismological Bulletin, column by column, both ways.

Layout after JMA, "Hypocenter record format" and "Arrival time data record format"
(https://www.data.jma.go.jp/eqev/data/bulletin/data/format/hypfmt_e.html and ``datfmt_e.html``); columns,
codes and traps are in ``docs/formats-jma.md``. Numbers stand without decimal points: their last columns are
the decimals, and decimals left blank are not known (a hypocentre fixed by hand), which is not the same as a
number shifted to the right. Times are Japan Standard Time; here they are UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kaname.core.errors import InputError

RECORD_BYTES = 96
HYPOCENTRE_TYPES = "JUI"
"""Who located it: JMA, the U.S. Geological Survey, another international agency."""
_JST = timedelta(hours=9)
_LETTERS = "ABC"
_BLANK, _MINUS, _ZERO, _A = 32, 45, 48, 65
_NAT = np.datetime64("NaT", "ns")

_TEXT: dict[str, tuple[int, int]] = {
    "record_type": (1, 1),
    "magnitude_type_1": (55, 55),
    "magnitude_type_2": (58, 58),
    "travel_time_table": (59, 59),
    "precision": (60, 60),
    "subsidiary": (61, 61),
    "max_intensity": (62, 62),
    "damage": (63, 63),
    "tsunami": (64, 64),
    "district": (65, 65),
    "region_number": (66, 68),
    "region": (69, 92),
    "determination": (96, 96),
}
_FIXED_POINT: dict[str, tuple[int, int]] = {
    "time_error_s": (18, 21),
    "latitude_error_min": (29, 32),
    "longitude_error_min": (41, 44),
    "depth_error_km": (50, 52),
}
_MAGNITUDES = {"magnitude_1": (53, 54), "magnitude_2": (56, 57)}
_DEGREES = {"latitude": (22, 24, 28), "longitude": (33, 36, 40)}
_READING_TEXT: dict[str, tuple[int, int]] = {
    "station_code": (2, 7),
    "station_number": (8, 11),
    "seismometer": (13, 13),
    "phase_1": (16, 19),
    "phase_2": (28, 31),
    "amplitudes": (38, 71),
    "first_motion": (72, 84),
    "vertical_motion": (80, 80),
    "duration": (85, 87),
    "flags": (92, 96),
}


class Records:
    """Lines of fixed columns, read a column at a time, and what could not be read of them.

    Parameters
    ----------
    lines
        Records; shorter ones count as blank to the end, bytes that are no ASCII text as ``?``.
    """

    def __init__(self, lines: Sequence[bytes]) -> None:
        text = b"".join(line[:RECORD_BYTES].ljust(RECORD_BYTES) for line in lines)
        table = np.frombuffer(text, np.uint8).reshape(-1, RECORD_BYTES)
        self._table = np.where((table > 126) | (table < _BLANK), np.uint8(ord("?")), table)
        self.faults: list[tuple[int, str]] = []
        """Index of the record and a sentence."""

    def text(self, first: int, last: int) -> NDArray[Any]:
        """Return the text of columns ``first`` to ``last`` without blanks around it."""
        table = np.ascontiguousarray(self._table[:, first - 1 : last])
        return np.char.strip(table.view(f"S{last - first + 1}").ravel().astype(str))

    def number(self, name: str, first: int, last: int, n_decimal: int = 0) -> NDArray[np.float64]:
        """Return numbers whose last ``n_decimal`` columns are decimals, NaN where blank or unreadable.

        A number may have blanks before it, a sign and blanks before its digits, and blank decimals; blanks
        between its digits are a fault.
        """
        return self._number(self._table[:, first - 1 : last], name, first, n_decimal)

    def magnitude(self, name: str, first: int) -> NDArray[np.float64]:
        """Return magnitudes of two columns: ``54`` 5.4, ``-3`` -0.3, ``A2`` -1.2, ``B0`` -2, ``C5`` -3.5."""
        field = self._table[:, first - 1 : first + 1]
        letter, digit = field[:, 0].astype(int) - _A, field[:, 1].astype(int) - _ZERO
        lettered = (letter >= 0) & (letter < len(_LETTERS)) & (digit >= 0) & (digit <= 9)
        plain = self._number(np.where(lettered[:, None], _BLANK, field), name, first, 1)
        return np.where(lettered, -(10 * (letter + 1) + digit) / 10, plain)

    def degrees(self, name: str, first: int, middle: int, last: int) -> NDArray[np.float64]:
        """Return degrees from columns of degrees, which carry the sign, and of minutes with two decimals."""
        degrees = np.abs(self.number(name, first, middle))
        minutes = self.number(name, middle + 1, last, 2)
        wrong = np.isfinite(minutes) & ~((minutes >= 0) & (minutes < 60))
        self.tell(wrong, f"{name}, columns {middle + 1}-{last}: not from 0 to 60 minutes")
        most = {"latitude": 90, "longitude": 180}[name]
        far = degrees + np.nan_to_num(minutes) / 60 > most
        self.tell(far, f"{name}, columns {first}-{last}: beyond {most} degrees")
        south = (self._table[:, first - 1 : middle] == _MINUS).any(axis=1)
        return np.where(wrong | far, np.nan, np.where(south, -1.0, 1.0) * (degrees + minutes / 60))

    def day(self, name: str, year: Any, month: Any, day: Any) -> NDArray[np.datetime64]:
        """Return the local days, NaT and a fault where there is no such day."""
        parts = np.stack([year, month, day])
        given = np.isfinite(parts).all(axis=0)
        y, m, d = np.where(given, parts, 1.0).astype(int)
        sound = given & (y >= 1700) & (y < 2200) & (m >= 1) & (m <= 12) & (d >= 1) & (d <= 31)
        months = np.where(sound, (y - 1970) * 12 + m - 1, 0).astype("datetime64[M]")
        days = months.astype("datetime64[D]") + np.where(sound, d - 1, 0)
        sound &= days.astype("datetime64[M]") == months
        self.tell(~sound, f"{name} is no day of the calendar")
        return np.where(sound, days.astype("datetime64[ns]"), _NAT)

    def _number(self, field: Any, name: str, first: int, n_decimal: int) -> NDArray[np.float64]:
        width = field.shape[1]
        digit = (field >= _ZERO) & (field <= _ZERO + 9)
        minus = field == _MINUS
        begins = digit & ~np.pad(digit, ((0, 0), (1, 0)))[:, :-1]
        seen = np.cumsum(digit, axis=1) > 0
        sound = (digit | minus | (field == _BLANK)).all(axis=1)
        sound &= (begins.sum(axis=1) == 1) & (minus.sum(axis=1) <= 1) & ~(minus & seen).any(axis=1)
        blank = (field == _BLANK).all(axis=1)
        last = first + width - 1
        for index in np.flatnonzero(~(sound | blank)):
            found = bytes(field[index].astype(np.uint8)).decode("ascii", "replace")
            self.faults.append((int(index), f"{name}, columns {first}-{last}: {found!r} is no number"))
        # By its column a digit has its place, so decimals left blank count as zeros.
        value = np.where(digit, field.astype(int) - _ZERO, 0) @ 10 ** np.arange(width)[::-1]
        return np.where(sound, np.where(minus.any(axis=1), -1.0, 1.0) * value / 10**n_decimal, np.nan)

    def tell(self, where: Any, sentence: str) -> None:
        """Note a fault of the records where ``where`` is true."""
        self.faults += [(int(index), sentence) for index in np.flatnonzero(where)]


def decode_hypocentres(lines: Sequence[bytes]) -> tuple[pd.DataFrame, list[tuple[int, str]]]:
    """Return the columns of hypocentre records, one row each, and what could not be read.

    ``time`` is UTC; unknown numbers are NaN, unknown times NaT, unknown text is empty.
    """
    records = Records(lines)
    columns: dict[str, Any] = {name: records.text(*at) for name, at in _TEXT.items()}
    day = records.day("the day of origin", *(records.number("day", *at) for at in ((2, 5), (6, 7), (8, 9))))
    hour, minute = records.number("hour", 10, 11), records.number("minute", 12, 13)
    second = records.number("second", 14, 17, 2)
    records.tell(np.isnan(second), "no second of the origin time is stated; the time is that of the minute")
    columns["time"] = _utc(day, hour, minute, np.nan_to_num(second))
    for name, at in _DEGREES.items():
        columns[name] = records.degrees(name, *at)
    for name, (first, last) in _FIXED_POINT.items():
        columns[name] = records.number(name, first, last, 2)
    for name, (first, _) in _MAGNITUDES.items():
        columns[name] = records.magnitude(name, first)
    columns["depth_km"] = records.number("depth", 45, 49, 2)
    columns["depth_fixed"] = (records.text(45, 47) != "") & (records.text(48, 49) == "")
    columns["n_station"] = np.nan_to_num(records.number("stations", 93, 95)).astype(int)
    return pd.DataFrame(columns), records.faults


def decode_readings(
    lines: Sequence[bytes], near: NDArray[np.datetime64]
) -> tuple[pd.DataFrame, list[tuple[int, str]]]:
    """Return the columns of reading records, one row each, and what could not be read.

    Years have two digits there (50 to 99: 1950 to 1999). The second phase states a minute and a second only:
    it is taken in the first hour that does not put it before the first phase.

    Parameters
    ----------
    lines
        Records of type ``_``.
    near
        Origin time of each reading's event, UTC, for the year and month where they are blank; shape
        ``(n_record,)``.
    """
    records = Records(lines)
    columns: dict[str, Any] = {name: records.text(*at) for name, at in _READING_TEXT.items()}
    local = near.astype("datetime64[s]") + np.timedelta64(9, "h")
    year, month = records.number("year", 88, 89), records.number("month", 90, 91)
    years = local.astype("datetime64[Y]").astype(float) + 1970
    months = local.astype("datetime64[M]").astype(float) % 12 + 1
    blank = np.isnan(year) | np.isnan(month)
    full_year = np.where(blank, years, np.where(year >= 50, 1900, 2000) + year)
    full_month = np.where(blank, months, month)
    day = records.day("the day of the reading", full_year, full_month, records.number("day", 14, 15))
    hour = records.number("hour", 20, 21)
    one = _utc(day, hour, records.number("minute", 22, 23), records.number("second", 24, 27, 2))
    two = _utc(day, hour, records.number("minute", 32, 33), records.number("second", 34, 37, 2))
    columns["time_1"] = np.where(columns["phase_1"] != "", one, _NAT)
    two = np.where(two < columns["time_1"], two + np.timedelta64(1, "h"), two)
    columns["time_2"] = np.where(columns["phase_2"] != "", two, _NAT)
    for phase, time in (("phase_1", "time_1"), ("phase_2", "time_2")):
        records.tell((columns[phase] != "") & np.isnat(columns[time]), f"{phase} has no time")
    return pd.DataFrame(columns), records.faults


def _utc(day: Any, hour: Any, minute: Any, second: Any) -> NDArray[np.datetime64]:
    seconds = hour * 3600 + minute * 60 + second - 9 * 3600
    known = np.isfinite(seconds) & ~np.isnat(day)
    offset = np.round(np.where(known, seconds, 0.0) * 100).astype(np.int64) * 10_000_000
    return np.where(known, day + offset.astype("timedelta64[ns]"), _NAT)


def encode_hypocentre(row: Mapping[str, Any]) -> str:
    """Return the record of values as `decode_hypocentres` gives them; what is missing there stays blank.

    Raises
    ------
    InputError
        When there is no time or epicentre, or a number has no room in its columns.
    """
    time = row["time"]
    if np.isnat(np.datetime64(time)) or not np.isfinite([row["latitude"], row["longitude"]]).all():
        raise InputError("a hypocentre record needs a time, a latitude and a longitude")
    local = _local(time)
    columns, put = _columns()
    for name, (first, last) in _TEXT.items():
        text = row.get(name, "")
        text = text if isinstance(text, str) else ""  # NaN, where tables of several sources were joined
        put(first, last, f"{text:>3}" if name == "region_number" else text, name)
    put(2, 17, f"{local:%Y%m%d%H%M%S}{local.microsecond // 10000:02d}", "time")
    for name, (first, degrees, last) in _DEGREES.items():
        value = (row[name] + 180.0) % 360.0 - 180.0 if name == "longitude" else row[name]
        whole, minutes = divmod(round(abs(value) * 6000), 6000)
        sign = "-" if value < 0 else " "
        put(first, last, f"{sign}{whole:{degrees - first}d}{minutes:04d}", name)
    for name, (first, last) in _FIXED_POINT.items():
        if np.isfinite(row.get(name, np.nan)):
            put(first, last, f"{round(100 * row[name]):03d}".rjust(last - first + 1), name)
    for name, (first, last) in _MAGNITUDES.items():
        put(first, last, _magnitude_code(row.get(name, np.nan)), name)
    depth = row.get("depth_km", np.nan)
    if np.isfinite(depth):
        fixed = row.get("depth_fixed") in (True, np.True_) and depth == round(depth)
        put(45, 49, f"{round(depth):3d}" if fixed else f"{round(100 * depth):03d}".rjust(5), "depth")
    if row.get("n_station"):
        put(93, 95, f"{row['n_station']:3d}", "n_station")
    return "".join(columns)


def encode_reading(row: Mapping[str, Any]) -> str:
    """Return the reading record of values as `decode_readings` gives them; what is missing there stays blank.

    Raises
    ------
    InputError
        When there is no station code or first phase, a text has no room in its columns, the second phase is
        not within the hour after the first, or the year is not from 1950 to 2049.
    """
    if not row["station_code"] or not row["phase_1"]:
        raise InputError("a reading record needs a station code and a first phase")
    one = _local(row["time_1"])
    if not 1950 <= one.year < 2050:
        raise InputError(f"the year {one.year} has no room in two digits, which stand for 1950 to 2049")
    columns, put = _columns()
    for name, (first, last) in _READING_TEXT.items():
        if name not in ("first_motion", "vertical_motion"):
            put(first, last, str(row.get(name, "")), name)
    put(1, 1, "_", "record_type")
    put(14, 15, f"{one:%d}", "day")
    put(20, 27, f"{one:%H%M%S}{one.microsecond // 10000:02d}", "time_1")
    put(80, 80, str(row.get("vertical_motion", "")), "vertical_motion")
    put(88, 91, f"{one:%y%m}", "year and month")
    if row.get("phase_2"):
        two = _local(row["time_2"])
        if not timedelta(0) <= two - one < timedelta(hours=1):
            raise InputError(f"{row['phase_2']} is not within the hour after {row['phase_1']}")
        put(32, 37, f"{two:%M%S}{two.microsecond // 10000:02d}", "time_2")
    return "".join(columns)


def _local(time: Any) -> datetime:
    """Return the time in Japan, rounded to the hundredth of a second."""
    hundredths = round(int(np.datetime64(time, "ns").astype(np.int64)) / 1e7)
    return datetime(1970, 1, 1) + timedelta(milliseconds=10 * hundredths) + _JST


def _columns() -> tuple[list[str], Callable[[int, int, str, str], None]]:
    """Return a blank record and what puts text into it."""
    columns = [" "] * RECORD_BYTES

    def put(first: int, last: int, text: str, name: str) -> None:
        if len(text) > last - first + 1:
            raise InputError(f"{name} {text.strip()!r} has no room in columns {first}-{last}")
        columns[first - 1 : last] = text.ljust(last - first + 1)

    return columns, put


def _magnitude_code(value: float) -> str:
    if not np.isfinite(value):
        return ""
    tenths = round(10 * value)
    if not -40 < tenths < 100:
        raise InputError(f"magnitude {value} has no room in two columns")
    if tenths >= 0:
        return f"{tenths:02d}"
    whole, rest = divmod(-tenths, 10)
    return f"{_LETTERS[whole - 1] if whole else '-'}{rest}"
