"""Where the sensors stood: one table, and the responses where a source states them.

Read: StationXML, dataless SEED, SeisComP inventories and whatever else ObsPy reads as an inventory, FDSN
station text, CSV and Parquet with the ``stations`` schema, SEISAN ``STATION0.HYP``, channel tables of the WIN
system (``.ch``), and RESP files (responses only).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kaname.core.errors import FormatError, KanameError, NotFoundError
from kaname.core.geo import distance_azimuth
from kaname.core.tables import STATIONS, read_table, sift, table
from kaname.core.time import as_time
from kaname.formats import seisan
from kaname.formats.foreign import foreign, plugin, recognise
from kaname.formats.knet import holds_knet, read_knet
from kaname.formats.knet_stations import to_inventory as knet_inventory
from kaname.formats.win_channels import is_channel_table, read_channel_table
from kaname.formats.win_response import inventory_failures, to_inventory

SAME_SITE_M = 100.0
"""Entries of one station that lie closer than this are the same site, written with different precision."""

_UNPLACED = replace(
    STATIONS,
    columns=tuple(replace(c, required=c.name == "station", low=None, high=None) for c in STATIONS.columns),
)
"""The stations schema before stations without usable coordinates are told apart."""


@dataclass(frozen=True)
class Stations:
    """Sensors and their epochs, the responses, and what could not be read.

    Codes match when they are equal or when one side states none: an empty network or location matches any.
    """

    table: pd.DataFrame
    """`kaname.core.tables.STATIONS`."""
    inventory: Any = None
    """ObsPy ``Inventory`` with the responses, or ``None``."""
    failures: list[dict[str, Any]] = field(default_factory=list)
    """Rows of `kaname.core.tables.FAILURES`."""

    @cached_property
    def _by_station(self) -> dict[str, list[dict[str, Any]]]:
        rows: dict[str, list[dict[str, Any]]] = {}
        for row in self.table.to_dict("records"):
            rows.setdefault(row["station"], []).append(row)
        return rows

    def at(self, network: str, station: str, location: str, time: np.datetime64 | str) -> dict[str, Any]:
        """Return the row of the sensor that stood there at ``time``.

        Of several that match, the one with the most codes in common is taken.

        Raises
        ------
        NotFoundError
            When none matches, or several do that lie more than a kilometre apart; the message says which.
        """
        name, when = f"{network}.{station}.{location}", pd.Timestamp(as_time(time))
        rows = self._by_station.get(station, [])
        matching = [
            row
            for row in rows
            if _match(network, row["network"])
            and _match(location, row["location"])
            and not (when < row["start"] or when >= row["end"])  # a missing bound compares false
        ]
        if not matching:
            known = ", ".join(f"{_name(r)} ({r['start']} to {r['end']})" for r in rows) or "no such station"
            raise NotFoundError(f"no coordinates of {name} at {time}; known: {known}")
        common = [(r["network"] == network) + (r["location"] == location) for r in matching]
        best = [r for r, n in zip(matching, common) if n == max(common)]
        apart_m = max(_apart_m(best[0], r) for r in best)
        if apart_m > 1000:
            raise NotFoundError(
                f"{name} is not one place but {', '.join(map(_name, best))}, up to {apart_m / 1000:.1f} km "
                "apart; state the network and the location"
            )
        return best[0]

    def response(self, seed_id: str, time: np.datetime64 | str) -> Any:
        """Return the ObsPy ``Response`` of a channel at ``time``.

        Raises
        ------
        NotFoundError
            When no response is known for it.
        """
        network, station, location, channel = seed_id.split(".")
        when = int(as_time(time).astype(np.int64))
        found = []
        for net in self.inventory or ():
            for sta in net:
                for cha in sta:
                    if (sta.code, cha.code) != (station, channel) or cha.response is None:
                        continue
                    if not (_match(network, net.code) and _match(location, cha.location_code)):
                        continue
                    late = cha.start_date is not None and when < cha.start_date.ns
                    early = cha.end_date is not None and when >= cha.end_date.ns
                    if not (late or early):
                        exact = (net.code == network) + (cha.location_code == location)
                        found.append((exact, cha.response))
        if not found:
            raise NotFoundError(f"no response of {seed_id} at {time}")
        return max(found, key=lambda pair: pair[0])[1]


def _name(row: dict[str, Any]) -> str:
    return f"{row['network']}.{row['station']}.{row['location']}"


def _match(asked: str, stated: str) -> bool:
    return asked == stated or not asked or not stated


def _apart_m(one: dict[str, Any], other: dict[str, Any]) -> float:
    where = [r[c] for r in (one, other) for c in ("latitude", "longitude")]
    distance_m = 1000 * distance_azimuth(*where)[0].item()
    above = [r.get("elevation_m", np.nan) - np.nan_to_num(r.get("sensor_depth_m", 0.0)) for r in (one, other)]
    vertical = abs(above[0] - above[1])
    return float(np.hypot(distance_m, 0.0 if np.isnan(vertical) else vertical))


def read_stations(paths: str | PathLike[str] | Sequence[str | PathLike[str]]) -> Stations:
    """Read stations and responses from one file or several, in whatever mix of formats.

    Where one sensor is described twice for the same time, the first description stands (as in SEISAN); when
    the two lie more than `SAME_SITE_M` apart, that is a failure. A station without coordinates is one too.

    Raises
    ------
    NotFoundError
        When there is no such file.
    FormatError
        When no file holds a station or a response.
    """
    rows: list[dict[str, Any]] = []
    failures: list[dict[str, Any]] = []
    inventory = None
    for path in map(Path, [paths] if isinstance(paths, (str, PathLike)) else paths):
        if not path.is_file():
            raise NotFoundError(
                f"no such file: {path}; expected stations (StationXML, CSV, STATION0.HYP, ...)"
            )
        try:
            found, more = _read(path, failures)
        except (KanameError, OSError) as error:
            _fail(failures, path, type(error).__name__, str(error))
            continue
        if not found and not _has_channels(more):
            _fail(failures, path, "FormatError", f"{path} holds neither stations nor responses")
        rows += _usable(found, path, failures)
        if more is not None:
            inventory = more if inventory is None else inventory + more
    placed = _settle(rows, failures)
    if not placed and not _has_channels(inventory):
        reasons = "; ".join(f["message"] for f in failures) or "no file was given"
        raise FormatError(f"no stations could be read: {reasons}")
    return Stations(table(placed, STATIONS), inventory, failures)


def _has_channels(inventory: Any) -> bool:
    return any(station.channels for network in inventory or () for station in network)


def _read(path: Path, failures: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], Any]:
    if path.suffix.lower() in (".csv", ".parquet"):
        return read_table(path, _UNPLACED).to_dict("records"), None
    if holds_knet(path):
        records = read_knet(path)
        failures += [{**row, "step": "stations"} for row in records.failures]
        return records.stations().to_dict("records"), knet_inventory(records)
    form = recognise(path, "inventory")
    if form is not None:
        with foreign(path, form) as warned:
            inventory = plugin("inventory", form, "readFormat")(str(path))
        for message in warned:
            _fail(failures, path, "Warning", f"ObsPy ({form}) warns: {message}")
        # RESP states no coordinates; ObsPy fills in 0 degrees and 123456 m.
        return ([] if form == "RESP" else list(_inventory_rows(inventory))), inventory
    if is_channel_table(path):
        channels = read_channel_table(path)
        inventory = to_inventory(channels)
        failures += channels.failures + inventory_failures(channels)
        return list(_inventory_rows(inventory)), inventory
    text = path.read_text(encoding="utf-8", errors="replace")
    rows, refused = seisan.station_rows(text)
    if not rows:
        raise FormatError(
            f"{path} is no station list; expected StationXML, FDSN station text, CSV or Parquet with the "
            "stations schema (.csv, .parquet), SEISAN STATION0.HYP, WIN channel table, dataless SEED or RESP"
        )
    for line, reason in refused:
        _fail(failures, f"{path} line {line}", "FormatError", reason)
    return rows, None


def _inventory_rows(inventory: Any) -> Iterator[dict[str, Any]]:
    for network in inventory:
        for station in network:
            common = {
                "network": network.code,
                "station": station.code,
                "site": (station.site.name or "") if station.site else "",
            }
            for channel in station.channels or [None]:
                place = channel or station
                depth = 0.0 if channel is None or channel.depth is None else float(channel.depth)
                # By operator, the elevation of a buried sensor is its own or the ground's; a station's is
                # always the ground's.
                elevation = station.elevation if depth else place.elevation
                yield {
                    **common,
                    "location": "" if channel is None else channel.location_code,
                    "latitude": _number(place.latitude),
                    "longitude": _number(place.longitude),
                    "elevation_m": _number(elevation),
                    "sensor_depth_m": depth,
                    "start": _time(place.start_date),
                    "end": _time(place.end_date),
                }


def _number(value: Any) -> float:
    return np.nan if value is None else float(value)


def _time(value: Any) -> np.datetime64:
    # Far years (2599, 3000) stand for an epoch without end, and do not fit 64-bit nanoseconds.
    if value is None or not 1678 <= value.year <= 2261:
        return np.datetime64("NaT", "ns")
    return np.datetime64(int(value.ns), "ns")


def _usable(
    rows: Iterable[dict[str, Any]], path: Path, failures: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    usable = []
    for row in rows:
        kept, wrong = sift(row, STATIONS)
        if wrong:
            effect = "left out" if kept is None else "taken without"
            _fail(failures, _name(row), "InputError", f"{effect}: {'; '.join(wrong)}, in {path}")
        if kept is not None:
            usable.append(kept)
    return usable


def _settle(rows: Iterable[dict[str, Any]], failures: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Merge epochs of one site that touch; of two places at one time keep the first and report the other."""
    settled: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        row = {"start": np.datetime64("NaT", "ns"), "end": np.datetime64("NaT", "ns"), **row}
        for earlier in settled.setdefault(_name(row), []):
            apart_m = _apart_m(earlier, row)
            if apart_m <= SAME_SITE_M and _touch(earlier, row, _TOUCH):
                earlier["start"] = _outer(earlier["start"], row["start"], min)
                earlier["end"] = _outer(earlier["end"], row["end"], max)
                break
            if apart_m > SAME_SITE_M and _touch(earlier, row, -_TOUCH):
                _fail(
                    failures,
                    _name(row),
                    "InputError",
                    f"two places {apart_m:.0f} m apart are given for it at one time, the first is used: "
                    f"{_place(earlier)}, and {_place(row)}",
                )
                break
        else:
            settled[_name(row)].append(row)
    return [row for group in settled.values() for row in group]


_TOUCH = np.timedelta64(1, "s")


def _touch(one: dict[str, Any], other: dict[str, Any], slack: np.timedelta64) -> bool:
    """Tell whether two epochs meet; an end one second before the next start is common and means no gap."""
    apart = one["end"] + slack < other["start"] or other["end"] + slack < one["start"]
    return not apart  # a missing bound is open and compares false


def _outer(one: Any, other: Any, pick: Any) -> Any:
    return np.datetime64("NaT", "ns") if pd.isna(one) or pd.isna(other) else pick(one, other)


def _place(row: dict[str, Any]) -> str:
    start, end = (
        "" if np.isnat(row[k]) else f" {word} {row[k]}" for k, word in (("start", "from"), ("end", "to"))
    )
    return f"{row['latitude']:.5f} {row['longitude']:.5f}{start}{end}"


def _fail(failures: list[dict[str, Any]], subject: object, error: str, message: str) -> None:
    failures.append({"step": "stations", "subject": str(subject), "error": error, "message": message})
