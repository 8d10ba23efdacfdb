"""Daily GNSS positions: tenv3 of the Nevada Geodetic Laboratory, PBO ``.pos``, GSI's F3 and F5 ``.pos``.

The layouts, with their sources, stand in ``docs/formats-sensors.md``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from os import PathLike
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kaname.core.errors import FormatError, InputError
from kaname.core.tables import DISPLACEMENTS
from kaname.formats.tabular import TableRead, number, numbered, read_rows, text_of, time_of

GnssFormat = Literal["tenv3", "pbo", "gsi"]

_NOON = np.timedelta64(12, "h")
_MJD_ZERO = np.datetime64("1858-11-17", "ns")
_LAST_MJD = 100_000


def read_gnss(path: str | PathLike[str], *, format: GnssFormat | None = None) -> TableRead:
    """Read daily positions of one station into the `displacements` table.

    Displacements count from the reference position that the file states (PBO) or else from the first epoch in
    the file (tenv3, GSI). Epochs out of order are put in order; days that are there twice, or missing, are
    left as they are.

    Parameters
    ----------
    path
        File, packed or not.
    format
        By default found from the content.

    Raises
    ------
    NotFoundError
        When there is no such file.
    FormatError
        When it is of none of the formats, or nothing in it can be read.
    """
    text, damage = text_of(path)
    kind = format or _kind(text)
    if kind is None:
        raise FormatError(f"{path} is of no known format of GNSS positions; known are {', '.join(_READERS)}")
    if kind not in _READERS:
        raise InputError(f"no format of GNSS positions {kind!r}; known are {', '.join(_READERS)}")
    read = _READERS[kind](path, text, damage)
    read.table = read.table.sort_values("time", kind="stable", ignore_index=True)
    return read


def _kind(text: str) -> GnssFormat | None:
    head = text[:4000]
    if "PBO Station Position" in head:
        return "pbo"
    if "+SITE/INF" in head or "+DATA" in head:
        return "gsi"
    for _, line in numbered(head):
        fields = line.split()
        if fields[0] == "site":
            continue
        return "tenv3" if len(fields) >= 20 and _day_name(fields[1]) else None
    return None


def _day_name(text: str) -> bool:
    return len(text) == 7 and text[:2].isdigit() and text[2:5].isalpha() and text[5:].isdigit()


def _day(number: int) -> np.datetime64:
    """Return the beginning of a modified Julian day."""
    if not 0 <= number < _LAST_MJD:
        raise ValueError(f"day {number} is not from 0 to {_LAST_MJD}")
    return np.datetime64(_MJD_ZERO + np.timedelta64(number, "D"))


def _tenv3(path: str | PathLike[str], text: str, damage: str) -> TableRead:
    from pyproj import Geod

    geod = Geod(ellps="WGS84")
    first: dict[str, tuple[NDArray[np.int64], NDArray[np.float64], float, np.datetime64]] = {}

    def parse(line: str) -> dict[str, Any]:
        f = line.split()
        time = _day(int(f[3])) + _NOON
        meridian = number(f[6])
        # Whole metres and the rest apart, as they are written: their sum would lose the micrometres.
        whole = np.array([int(f[7]), int(f[9]), int(f[11])])
        rest = np.array([number(f[8]), number(f[10]), number(f[12])])
        begun = first.setdefault(f[0], (whole, rest, meridian, time))
        if begun[2] != meridian:
            raise ValueError(f"the reference meridian has changed from {begun[2]} to {meridian} degrees")
        east, north, up = 1000 * ((whole - begun[0]) + (rest - begun[1]))
        if len(f) >= 23:
            latitude, longitude, height = number(f[20]), number(f[21]), number(f[22])
        else:
            # The northing is the length of the meridian from the equator.
            _, latitude, _ = geod.fwd(meridian, 0.0, 0.0, whole[1] + rest[1])
            longitude, _, _ = geod.fwd(meridian, latitude, 90.0, whole[0] + rest[0])
            height = whole[2] + rest[2]
        return {
            "station": f[0],
            "time": time,
            "reference_time": begun[3],
            "latitude": latitude,
            "longitude": (longitude + 180) % 360 - 180,
            "height_m": height,
            "east_mm": east,
            "north_mm": north,
            "up_mm": up,
            "east_uncertainty_mm": 1000 * number(f[14]),
            "north_uncertainty_mm": 1000 * number(f[15]),
            "up_uncertainty_mm": 1000 * number(f[16]),
            "correlation_east_north": number(f[17]),
            "correlation_east_up": number(f[18]),
            "correlation_north_up": number(f[19]),
            "method": "NGL tenv3",
        }

    lines = ((n, line) for n, line in numbered(text) if line.split()[0] != "site")
    return read_rows(path, lines, parse, DISPLACEMENTS, what="tenv3", damage=damage)


def _pbo(path: str | PathLike[str], text: str, damage: str) -> TableRead:
    head: dict[str, str] = {}
    lines = list(numbered(text))
    begin = 0
    for k, (_, line) in enumerate(lines):
        if line.lstrip().startswith("*") or line.split()[0].isdigit():
            begin = k
            break
        name, _, value = line.partition(":")
        head[name.strip().lower()] = value.strip()
    station = head.get("4-character id", "")
    frame = head.get("pbo station position time series. reference frame", "")
    if not station:
        raise FormatError(f"{path} names no station ('4-character ID'); it is no PBO position file")

    def parse(line: str) -> dict[str, Any]:
        f = line.split()
        if len(f) < 24:
            raise ValueError(f"expected 24 columns or more, found {len(f)}")
        d, t = f[0], f[1].zfill(6)
        time = time_of(f"{d[:4]}-{d[4:6]}-{d[6:]}T{t[:2]}:{t[2:4]}:{t[4:]}")
        return {
            "station": station,
            "time": time,
            "latitude": number(f[12]),
            "longitude": (number(f[13]) + 180) % 360 - 180,
            "height_m": number(f[14]),
            "north_mm": 1000 * number(f[15]),
            "east_mm": 1000 * number(f[16]),
            "up_mm": 1000 * number(f[17]),
            "north_uncertainty_mm": 1000 * number(f[18]),
            "east_uncertainty_mm": 1000 * number(f[19]),
            "up_uncertainty_mm": 1000 * number(f[20]),
            "correlation_east_north": number(f[21]),
            "correlation_north_up": number(f[22]),
            "correlation_east_up": number(f[23]),
            "frame": frame,
            "method": f"PBO {f[24]}" if len(f) > 24 else "PBO",
        }

    data = [(n, line) for n, line in lines[begin:] if not line.lstrip().startswith("*")]
    return read_rows(path, data, parse, DISPLACEMENTS, what="PBO positions", damage=damage)


def _gsi(path: str | PathLike[str], text: str, damage: str) -> TableRead:
    head: dict[str, str] = {}
    data: list[tuple[int, str]] = []
    inside = ""
    for place, line in numbered(text):
        if line[0] in "+-":
            inside = line[1:].strip() if line[0] == "+" else ""
        elif inside == "DATA" and line[0] != "*":
            data.append((place, line))
        elif inside in ("SITE/INF", "SOLVER/INF"):
            name, _, value = line.strip().partition(" ")
            head[name] = value.strip()
    station = head.get("ID", "")
    if not station:
        raise FormatError(f"{path} names no station (ID in +SITE/INF); it is no GSI position file")
    origin: list[tuple[NDArray[np.float64], NDArray[np.float64], np.datetime64]] = []

    def parse(line: str) -> dict[str, Any]:
        f = line.split()
        if len(f) < 10:
            raise ValueError(f"expected 10 columns, found {len(f)}")
        time = time_of(f"{int(f[0]):04d}-{int(f[1]):02d}-{int(f[2]):02d}T{f[3]}")
        xyz = np.array([number(v) for v in f[4:7]])
        latitude, longitude, height = (number(v) for v in f[7:10])
        if not origin:
            origin.append((xyz, _enu(latitude, longitude), time))
        east, north, up = 1000 * (origin[0][1] @ (xyz - origin[0][0]))
        return {
            "station": station,
            "time": time,
            "reference_time": origin[0][2],
            "latitude": latitude,
            "longitude": longitude,
            "height_m": height,
            "east_mm": east,
            "north_mm": north,
            "up_mm": up,
            "frame": head.get("COORDINATE", ""),
            "method": " ".join(filter(None, ("GSI", head.get("SOLUTION_ID"), head.get("SOFT_NAME")))),
        }

    return read_rows(path, data, parse, DISPLACEMENTS, what="GSI positions", damage=damage)


def _enu(latitude: float, longitude: float) -> NDArray[np.float64]:
    """Rows: the directions east, north and up in geocentric coordinates."""
    p, q = math.radians(latitude), math.radians(longitude)
    return np.array(
        [
            [-math.sin(q), math.cos(q), 0.0],
            [-math.sin(p) * math.cos(q), -math.sin(p) * math.sin(q), math.cos(p)],
            [math.cos(p) * math.cos(q), math.cos(p) * math.sin(q), math.sin(p)],
        ]
    )


_READERS: dict[str, Callable[[str | PathLike[str], str, str], TableRead]] = {
    "tenv3": _tenv3,
    "pbo": _pbo,
    "gsi": _gsi,
}
