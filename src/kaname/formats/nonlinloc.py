"""NonLinLoc hypocentre-phase files (``.hyp``, versions 1 and 2): solutions, phases, and the stations used.

NonLinLoc gives station places in kilometres of its map projection; they are turned back into degrees with the
projection the file states (LAMBERT, SIMPLE, TRANS_MERC, AZIMUTHAL_EQUIDIST). Its control files hold velocity
models too; `kaname.earth.velocity.VelocityModel.read` reads those.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kaname.core import tables
from kaname.core.errors import FormatError, NotFoundError
from kaname.core.time import add_seconds

_ELLIPSOIDS = {
    "WGS-84": "WGS84",
    "GRS-80": "GRS80",
    "WGS-72": "WGS72",
    "Australian": "aust_SA",
    "Krasovsky": "krass",
    "International": "intl",
    "Clarke-1880": "clrk80",
    "Clarke-1866": "clrk66",
    "Airy": "airy",
    "Bessel": "bessel",
    "Sphere": "sphere",
}
_PHASES = {"P": "P", "p": "P", "Pg": "P", "Pn": "P", "PG": "P", "PN": "P", "G": "P"}
_PHASES |= {"S": "S", "s": "S", "Sg": "S", "Sn": "S", "SG": "S", "SN": "S"}
_SIMPLE_KM_PER_DEGREE = 111.11  # the value NonLinLoc uses
_NOWHERE_KM = 1e10


@dataclass(frozen=True)
class NonLinLocRead:
    """What a ``.hyp`` file says."""

    events: pd.DataFrame
    """`kaname.core.tables.EVENTS` at the maximum likelihood; ``expectation_latitude``, ``.._longitude`` and
    ``.._depth_km`` stand in columns of their own."""
    arrivals: pd.DataFrame
    """`kaname.core.tables.ARRIVALS`; phases NonLinLoc could not use have weight 0."""
    stations: pd.DataFrame
    """`kaname.core.tables.STATIONS`, elevations and time corrections included."""
    failures: pd.DataFrame
    """`kaname.core.tables.FAILURES`: phases of stations without a place, phases that are neither P nor S."""


def read_nonlinloc(path: str | Path) -> NonLinLocRead:
    """Read a ``.hyp`` file of one event or many; it may be gzipped.

    Raises
    ------
    NotFoundError
        When there is no such file.
    FormatError
        When it is no such file, or a line of it cannot be read.
    """
    source = Path(path)
    if not source.is_file():
        raise NotFoundError(f"no such file: {source}")
    try:
        raw = source.read_bytes()
        lines = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("latin-1").splitlines()
    except (OSError, EOFError) as error:
        raise FormatError(f"cannot read {source}: {error}") from error
    events: list[dict[str, Any]] = []
    arrivals: list[dict[str, Any]] = []
    stations: dict[str, dict[str, Any]] = {}
    failures: list[dict[str, Any]] = []
    for first, block in _blocks(lines, source):
        try:
            event = _event(block, len(events))
            unproject = _unprojection(block["TRANSFORM"])
            for number, line in block["phases"]:
                first = number
                _phase(line, event, unproject, arrivals, stations, failures)
        except (KeyError, ValueError, IndexError) as error:
            raise FormatError(
                f"{source}, line {first}: no hypocentre-phase block of NonLinLoc: {error}"
            ) from error
        events.append(event)
    if not events:
        raise FormatError(f"{source} holds no NLLOC block with a hypocentre")
    extra = ["expectation_latitude", "expectation_longitude", "expectation_depth_km"]
    frame = tables.table(events, tables.EVENTS)
    return NonLinLocRead(
        frame[[*tables.EVENTS.names, *extra]],
        tables.table(arrivals, tables.ARRIVALS),
        tables.table(stations.values(), tables.STATIONS),
        tables.table(failures, tables.FAILURES),
    )


def _blocks(lines: list[str], source: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    block: dict[str, Any] | None = None
    start, inside = 0, False
    for number, line in enumerate(lines, 1):
        words = line.split()
        if words[:1] == ["NLLOC"]:
            block, start, inside = {"phases": []}, number, False
        elif block is None or not words:
            continue
        elif words[0] == "END_NLLOC":
            yield start, block
            block = None
        elif words[0] == "PHASE":
            inside = True
        elif words[0] == "END_PHASE":
            inside = False
        elif inside:
            block["phases"].append((number, line))
        elif words[0].isupper() or words[0] in ("QML_OriginQuality",):
            block.setdefault(words[0], words[1:])
    if block is not None:
        raise FormatError(f"{source}: the block of line {start} has no END_NLLOC; the file is cut off")


def _after(words: list[str], name: str) -> float:
    return float(words[words.index(name) + 1])


def _event(block: dict[str, Any], index: int) -> dict[str, Any]:
    where, quality, spread = block["GEOGRAPHIC"], block["QUALITY"], block["STATISTICS"]
    year, month, day, hour, minute = (int(w) for w in where[1:6])
    minute_start = np.datetime64(f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}", "ns")
    expected = block["STAT_GEOG"]
    row = {
        "event_id": f"nlloc{index + 1:04d}",
        "time": add_seconds(minute_start, float(where[6])),
        "latitude": _after(where, "Lat"),
        "longitude": _after(where, "Long"),
        "depth_km": _after(where, "Depth"),
        "rms_s": _after(quality, "RMS"),
        "azimuthal_gap_deg": _after(quality, "Gap"),
        "nearest_station_km": _after(quality, "Dist"),
        "expectation_latitude": _after(expected, "ExpectLat"),
        "expectation_longitude": _after(expected, "Long"),
        "expectation_depth_km": _after(expected, "Depth"),
        "method": "NonLinLoc",
    }
    for name, label in (
        ("ee", "CovXX"),
        ("en", "XY"),
        ("ez", "XZ"),
        ("nn", "YY"),
        ("nz", "YZ"),
        ("zz", "ZZ"),
    ):
        row[f"cov_{name}_km2"] = _after(spread, label)
    return row


def _unprojection(words: list[str]) -> Any:
    """Return the function from east and north [km] to longitude and latitude [degrees]."""
    from pyproj import Proj

    kind = words[0]
    latitude, longitude = _after(words, "LatOrig"), _after(words, "LongOrig")
    turn = np.radians(_after(words, "RotCW"))
    if kind not in ("SIMPLE", "LAMBERT", "TRANS_MERC", "AZIMUTHAL_EQUIDIST"):
        raise ValueError(f"projection {kind} is not known here")
    if kind == "SIMPLE":

        def inverse(x: float, y: float) -> tuple[float, float]:
            north = latitude + y / _SIMPLE_KM_PER_DEGREE
            return longitude + x / (_SIMPLE_KM_PER_DEGREE * np.cos(np.radians(north))), north
    else:
        ellipsoid = _ELLIPSOIDS[words[words.index("RefEllipsoid") + 1]]
        common: dict[str, Any] = {"lat_0": latitude, "lon_0": longitude, "ellps": ellipsoid, "units": "km"}
        if kind == "LAMBERT":
            parallels: dict[str, Any] = {
                "lat_1": _after(words, "FirstStdParal"),
                "lat_2": _after(words, "SecondStdParal"),
            }
            projection = Proj(proj="lcc", **parallels, **common)
        else:
            projection = Proj(proj="tmerc" if kind == "TRANS_MERC" else "aeqd", **common)

        def inverse(x: float, y: float) -> tuple[float, float]:
            found = projection(x, y, inverse=True)
            return float(found[0]), float(found[1])

    def unproject(x: float, y: float) -> tuple[float, float]:
        return inverse(x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn))

    return unproject


def _phase(
    line: str,
    event: dict[str, Any],
    unproject: Any,
    arrivals: list[dict[str, Any]],
    stations: dict[str, dict[str, Any]],
    failures: list[dict[str, Any]],
) -> None:
    observed, predicted = (part.split() for part in line.split(">"))
    label, phase = observed[0], _PHASES.get(observed[4])
    date, clock = observed[6], observed[7]
    day = np.datetime64(f"{date[:4]}-{date[4:6]}-{date[6:8]}", "ns")
    second = 3600.0 * int(clock[:-2] or 0) + 60.0 * int(clock[-2:]) + float(observed[8])
    x, y, z = (float(w) for w in predicted[3:6])
    problem = None
    if phase is None:
        problem = f"phase {observed[4]!r} is neither P nor S"
    elif abs(x) > _NOWHERE_KM:
        problem = "NonLinLoc had no place for this station"
    if problem:
        subject = f"{event['event_id']} {label}"
        failures.append({"step": "read", "subject": subject, "error": "FormatError", "message": problem})
        return
    longitude, latitude = unproject(x, y)
    station = stations.setdefault(
        label,
        {
            "station": label,
            "latitude": latitude,
            "longitude": longitude,
            "elevation_m": -1000.0 * z,
            "sensor_depth_m": 0.0,
        },
    )
    station[f"{phase.lower()}_correction_s"] = float(predicted[11]) if len(predicted) > 11 else 0.0  # type: ignore[union-attr]
    used = float(predicted[2]) > 0
    arrivals.append(
        {
            "event_id": event["event_id"],
            "pick_id": f"{event['event_id']}-{len(arrivals) + 1:05d}",
            "station": label,
            "phase": phase,
            "time": add_seconds(day, second),
            "time_uncertainty_s": float(observed[10]),
            "residual_s": float(predicted[1]) if used else np.nan,
            "weight": 1.0 if used else 0.0,
            "distance_km": float(predicted[6]) if used else np.nan,
        }
    )
