"""The header of a K-NET or KiK-net file: what it says, in whatever order, spelling and encoding.

The standard header has 17 lines, label in the first 18 columns (NIED, "About K-NET ASCII format"; spellings
differ between years: ``Long.`` and ``Lon.``, ``Max. Acc.`` and ``Max Acc.``). Here a line is known by its
label alone, so lines may be missing or in another order.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

import numpy as np

TRIGGER_DELAY_S = 15
"""The data logger states the time of the trigger; its samples begin this much earlier."""
JST_OFFSET_S = 9 * 3600
_MOST_LINES = 64
_NO_HEIGHT_M = -9999.0
_FIRST_YEAR, _LAST_YEAR = 1900, 2200
_NAT = np.datetime64("NaT", "ns")

Sensor = Literal["", "01", "02"]
_DIRECTIONS: dict[str, tuple[str, Sensor]] = {"N-S": ("N", ""), "E-W": ("E", ""), "U-D": ("Z", "")}
_DIRECTIONS |= {"1": ("N", "01"), "2": ("E", "01"), "3": ("Z", "01")}
_DIRECTIONS |= {"4": ("N", "02"), "5": ("E", "02"), "6": ("Z", "02")}
_ENCODINGS = ("utf-8", "euc_jp", "cp932")


@dataclass(frozen=True)
class KnetHeader:
    """What the header of one component says; times are UTC, what it does not say is NaT, NaN or empty."""

    station: str = ""
    direction: str = ""
    """As it stands there: ``N-S``, ``E-W``, ``U-D`` (K-NET) or ``1`` to ``6`` (KiK-net)."""
    start: np.datetime64 = _NAT
    """Time of the first sample: ``Record Time`` less the trigger delay of 15 s."""
    sampling_rate: float = np.nan
    """Samples per second [Hz]."""
    duration_s: float = np.nan
    scale_cm_s2: float = np.nan
    """Acceleration per count [cm/s^2]."""
    max_acceleration: str = ""
    """``Max. Acc.`` as printed [cm/s^2]: largest departure from the mean of the record."""
    station_latitude: float = np.nan
    station_longitude: float = np.nan
    station_height_m: float = np.nan
    """Height of the sensor above sea level; of a borehole sensor that of the sensor, not of the ground."""
    last_correction: np.datetime64 = _NAT
    """When the clock was last set."""
    origin_time: np.datetime64 = _NAT
    """Origin time of the event, to the minute or the second."""
    event_latitude: float = np.nan
    event_longitude: float = np.nan
    event_depth_km: float = np.nan
    event_magnitude: float = np.nan
    memo: str = ""

    @property
    def orientation(self) -> str:
        """``N``, ``E`` or ``Z``; empty when the direction is none of the known ones."""
        return _DIRECTIONS.get(self.direction, ("", ""))[0]

    @property
    def location(self) -> Sensor:
        """Location code: ``01`` borehole and ``02`` surface of KiK-net, empty for K-NET."""
        return _DIRECTIONS.get(self.direction, ("", ""))[1]

    @property
    def n_sample(self) -> int:
        """Number of samples that duration and rate promise; 0 when one of them is not stated."""
        n_sample = self.duration_s * self.sampling_rate
        return round(n_sample) if math.isfinite(n_sample) and 0 < n_sample < 1e9 else 0


@dataclass
class HeaderRead:
    """A header, where the samples begin, and what was wrong with its lines."""

    header: KnetHeader
    end: int
    """Offset of the first byte after the header."""
    faults: list[str] = field(default_factory=list)


def is_knet(head: bytes) -> bool:
    """Tell whether half of the first six lines carry a label of K-NET; never raises."""
    return sum(_label(line) is not None for line in head[:2048].splitlines()[:6]) >= 3


def read_header(content: bytes) -> HeaderRead:
    """Read the lines before the samples; a line that cannot be read is a fault, and its value unknown."""
    values: dict[str, Any] = {}
    memo: list[bytes] = []
    faults: list[str] = []
    at = 0
    for number in range(1, _MOST_LINES + 1):
        newline = content.find(b"\n", at)
        end = len(content) if newline < 0 else newline + 1
        line = content[at:end].rstrip(b"\r\n")
        found = _label(line)
        if end == at or (found is None and line.strip() and not line.strip(b"0123456789- \t")):
            break
        at = end
        if found is None:
            if "memo" in values:
                memo.append(line.strip())
            elif line.strip():
                faults.append(f"line {number} has no label that K-NET knows: {_text(line)[:40]!r}")
            continue
        name, raw = found
        if name in values:
            faults.append(f"line {number} states {name} a second time; the first stands")
            continue
        if name == "memo":
            memo.append(raw)
        try:
            values[name] = _READ[name](_text(raw).strip())
        except ValueError as error:
            values[name] = None
            faults.append(f"line {number}, {name}: found {_text(raw).strip()!r}: {error}")
    values = {k: v for k, v in values.items() if v is not None}
    values["memo"] = "\n".join(filter(None, map(_text, memo)))
    return HeaderRead(KnetHeader(**values), at, faults)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("expected a number")
    return value


def _within(low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = _number(text)
        if not low <= value <= high:
            raise ValueError(f"expected {low} to {high}")
        return value

    return read


def _height(text: str) -> float:
    value = _within(-12000, 9000)(text)
    return np.nan if value == _NO_HEIGHT_M else value


def _time(delay_s: int) -> Callable[[str], np.datetime64]:
    def read(text: str) -> np.datetime64:
        found = re.fullmatch(r"(\d{4})/(\d\d?)/(\d\d?)\s+(\d\d?):(\d\d?):(\d\d?)", text)
        if found is None:
            raise ValueError("expected such as 2018/01/24 19:51:43")
        year, month, day, hour, minute, second = map(int, found.groups())
        local = datetime(year, month, day, hour, minute, second)
        if not _FIRST_YEAR <= year <= _LAST_YEAR:
            raise ValueError(f"expected a year from {_FIRST_YEAR} to {_LAST_YEAR}")
        return np.datetime64(local - timedelta(seconds=JST_OFFSET_S + delay_s), "ns")

    return read


def _rate(text: str) -> float:
    return _within(0.01, 1e5)(re.sub(r"\s*hz$", "", text, flags=re.IGNORECASE))


def _scale(text: str) -> float:
    parts = re.fullmatch(r"([0-9.]+)\s*(?:\(gal\))?\s*/\s*([0-9.]+)", text, re.IGNORECASE)
    if parts is None or not float(parts[1]) or not float(parts[2]):
        raise ValueError("expected such as 3920(gal)/6182761")
    return float(parts[1]) / float(parts[2])


def _peak(text: str) -> str:
    _within(0, 1e6)(text)
    return text


def _direction(text: str) -> str:
    if text not in _DIRECTIONS:
        raise ValueError(f"expected one of {', '.join(_DIRECTIONS)}")
    return text


def _station(text: str) -> str:
    if not text:
        raise ValueError("expected a code")
    return text


_FIELDS: tuple[tuple[str, str, Callable[[str], Any]], ...] = (
    ("origin_time", r"Origin Time", _time(0)),
    ("event_latitude", r"Lat\.?", _within(-90, 90)),
    ("event_longitude", r"Long?\.?", _within(-180, 360)),
    ("event_depth_km", r"Depth\.? *\(km\)", _within(-10, 800)),
    ("event_magnitude", r"Mag\.?", _within(-5, 11)),
    ("station", r"Station Code", _station),
    ("station_latitude", r"Station Lat\.?", _within(-90, 90)),
    ("station_longitude", r"Station Long?\.?", _within(-180, 360)),
    ("station_height_m", r"Station Height *\(m\)", _height),
    ("start", r"Record Time", _time(TRIGGER_DELAY_S)),
    ("sampling_rate", r"Sampling Freq\.? *\(Hz\)", _rate),
    ("duration_s", r"Duration Time *\(s\)", _within(0, 1e6)),
    ("direction", r"Dir\.?", _direction),
    ("scale_cm_s2", r"Scale Factor", _scale),
    ("max_acceleration", r"Max\.? Acc\.? *\(gal\)", _peak),
    ("last_correction", r"Last Correction", _time(0)),
    ("memo", r"Memo\.?", str),
)
_READ = {name: read for name, _, read in _FIELDS}
_LABELS = tuple(
    (name, re.compile(pattern.encode() + rb"(?=\s|$)\s*", re.IGNORECASE)) for name, pattern, _ in _FIELDS
)


_STANDARD = {
    b"Origin Time": "origin_time",
    b"Lat.": "event_latitude",
    b"Long.": "event_longitude",
    b"Depth. (km)": "event_depth_km",
    b"Mag.": "event_magnitude",
    b"Station Code": "station",
    b"Station Lat.": "station_latitude",
    b"Station Long.": "station_longitude",
    b"Station Height(m)": "station_height_m",
    b"Record Time": "start",
    b"Sampling Freq(Hz)": "sampling_rate",
    b"Duration Time(s)": "duration_s",
    b"Dir.": "direction",
    b"Scale Factor": "scale_cm_s2",
    b"Max. Acc. (gal)": "max_acceleration",
    b"Last Correction": "last_correction",
    b"Memo.": "memo",
}
"""The usual spellings, which fill 18 columns; known at a look."""
_LABEL_BYTES = 18


def _label(line: bytes) -> tuple[str, bytes] | None:
    """Return the name of the value a line states, and the text after its label."""
    if not line[:1].isalpha():
        return None
    name = _STANDARD.get(line[:_LABEL_BYTES].rstrip())
    if name:
        return name, line[_LABEL_BYTES:].rstrip()
    for name, pattern in _LABELS:
        match = pattern.match(line)
        if match:
            return name, line[match.end() :].rstrip()
    return None


def _text(raw: bytes) -> str:
    """Decode text of unknown encoding: what is valid in several is read as UTF-8, then EUC-JP, Shift-JIS."""
    for encoding in _ENCODINGS:
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw.decode("ascii", "backslashreplace")
