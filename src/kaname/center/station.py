"""fdsnws-station: networks, stations, channels and responses, as StationXML or text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from kaname import __version__
from kaname.center.errors import ServiceError
from kaname.center.holdings import Holdings
from kaname.center.metadata import FOREVER, NAMESPACE, Node, text_element
from kaname.center.parameters import Selection, Values, matcher
from kaname.center.places import within
from kaname.center.selecting import bounds
from kaname.core.time import isoformat

Tree = list[tuple[Node, list[tuple[Node, list[Node]]]]]
"""Networks, each with its stations, each with its channels."""

_LONG_AGO = -2_208_988_800_000_000_000
"""1900-01-01, where nobody states since when."""
_HEADS = {
    "network": "#Network | Description | StartTime | EndTime | TotalStations",
    "station": "#Network | Station | Latitude | Longitude | Elevation | SiteName | StartTime | EndTime",
    "channel": "#Network | Station | Location | Channel | Latitude | Longitude | Elevation | Depth"
    " | Azimuth | Dip | SensorDescription | Scale | ScaleFreq | ScaleUnits | SampleRate | StartTime"
    " | EndTime",
}


def select(holdings: Holdings, selections: Sequence[Selection], values: Values) -> Tree:
    """Return what of the metadata a request asks for."""
    metadata = holdings.stations
    if values["updatedafter"] is not None and metadata.updated <= values["updatedafter"]:
        return []
    near = within(metadata.latitude, metadata.longitude, values)
    tree: Tree = []
    number = 0
    for network in metadata.networks:
        stations = []
        for station in network.children:
            if near[number]:
                found = _of_station(holdings, station, selections, values)
                if found is not None:
                    stations.append((station, found))
            number += 1
        if stations and (values["level"] != "network" or _in_epoch(network, values)):
            tree.append((network, stations))
    return tree


def _of_station(
    holdings: Holdings, station: Node, selections: Sequence[Selection], values: Values
) -> list[Node] | None:
    """Return the channels of a station that are asked for, or ``None`` when the station is not."""
    assert station.parent is not None
    level = values["level"]
    if level == "station" and not _in_epoch(station, values):
        return None
    codes = station.parent.code, station.code
    wanted: dict[int, Node] = {}
    whole = False
    for selection in selections:
        low, high = bounds(selection)
        if not all(_fits(code, field) for code, field in zip(codes, selection[:2])):
            continue
        if not station.children:
            # A station whose channels nobody has described is what there is.
            open_below = selection.location == selection.channel == ("*",)
            whole = whole or (open_below and station.start <= high and station.end >= low)
            continue
        for channel in station.children:
            overlaps = channel.start <= high and channel.end >= low
            named = _fits(channel.location, selection.location) and _fits(channel.code, selection.channel)
            if overlaps and named and _passes(holdings, channel, selection, values):
                wanted[id(channel)] = channel
    if station.children:
        return [c for c in station.children if id(c) in wanted] if wanted else None
    return [] if whole and not values["matchtimeseries"] and level in ("network", "station") else None


def _passes(holdings: Holdings, channel: Node, selection: Selection, values: Values) -> bool:
    if values["level"] in ("channel", "response") and not _in_epoch(channel, values):
        return False
    if not values["includerestricted"] and holdings.is_restricted(channel.seed_id):
        return False
    if values["matchtimeseries"]:
        end = None if selection.end is None else selection.end + 1
        return any(True for _ in holdings.archive.each_span([channel.seed_id], selection.start, end))
    return True


def _fits(code: str, field: tuple[str, ...]) -> bool:
    return matcher(field)(code)


def _in_epoch(node: Node, values: Values) -> bool:
    edges = (("start", node.start), ("end", node.end))
    for name, edge in edges:
        before, after = values[f"{name}before"], values[f"{name}after"]
        if (before is not None and edge >= before) or (after is not None and edge <= after):
            return False
    return True


def as_text(tree: Tree, level: str) -> Iterator[str]:
    """Yield the lines of a text answer.

    Raises
    ------
    ServiceError
        400, for responses, which have no text format.
    """
    if level == "response":
        raise ServiceError(400, "responses have no text format; ask for format=xml or level=channel")
    yield _HEADS[level]
    for network, stations in tree:
        if level == "network":
            yield _line(network.code, network.fields["description"], *_epoch(network), len(network.children))
            continue
        for station, channels in stations:
            place = station.fields
            if level == "station":
                yield _line(
                    *(network.code, station.code, place["latitude"], place["longitude"]),
                    *(place["elevation"], place["site"], *_epoch(station)),
                )
                continue
            for channel in channels:
                columns = list(channel.fields.values())
                yield _line(
                    *(network.code, station.code, channel.location, channel.code, *columns, *_epoch(channel))
                )


def _line(*columns: Any) -> str:
    return "|".join("" if c is None else " ".join(str(c).replace("|", " ").split()) for c in columns)


def _epoch(node: Node) -> tuple[str, str]:
    starts = [start for start in _starts(node) if start != -FOREVER]
    return _moment(min(starts, default=_LONG_AGO)), "" if node.end == FOREVER else _moment(node.end)


def _starts(node: Node) -> Iterator[int]:
    """Yield the start of an epoch, or of what is below where it states none: the text formats require one."""
    if node.start != -FOREVER:
        yield node.start
    else:
        for child in node.children:
            yield from _starts(child)


def _moment(ns: int) -> str:
    text = isoformat(np.datetime64(ns, "ns")).removesuffix("Z")
    return text.removesuffix(".000000")


def as_xml(holdings: Holdings, tree: Tree, values: Values) -> Iterator[bytes]:
    """Yield the parts of a StationXML 1.2 document."""
    level = values["level"]
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    yield (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<FDSNStationXML xmlns="{NAMESPACE}" schemaVersion="1.2">'
        + text_element("Source", holdings.settings.name)
        + text_element("Module", f"Kaname {__version__}")
        + text_element("Created", now)
    ).encode()
    extents = _extents(holdings, tree) if values["includeavailability"] else {}
    for network, stations in tree:
        n_selected = len(stations) if level != "network" else 0
        yield network.opening + b">" + network.lead + network.body
        yield _numbers("Stations", len(network.children), n_selected)
        for station, channels in stations if level != "network" else ():
            deeper = level in ("channel", "response")
            yield station.opening + b">" + station.lead + station.body
            yield _numbers("Channels", len(station.children), len(channels) if deeper else 0) + station.tail
            for channel in channels if deeper else ():
                yield _restricted(holdings, channel) + b">" + channel.lead
                yield extents.get(channel.seed_id, b"") if extents else b""
                yield channel.body
                yield (channel.tail if level == "response" else b"") + b"</Channel>"
            yield b"</Station>"
        yield b"</Network>"
    yield b"</FDSNStationXML>\n"


def _numbers(of: str, total: int, selected: int) -> bytes:
    return (text_element(f"TotalNumber{of}", total) + text_element(f"SelectedNumber{of}", selected)).encode()


def _restricted(holdings: Holdings, channel: Node) -> bytes:
    if b"restrictedStatus=" in channel.opening or not holdings.is_restricted(channel.seed_id):
        return channel.opening
    return channel.opening + b' restrictedStatus="closed"'


def _extents(holdings: Holdings, tree: Tree) -> dict[str, bytes]:
    ids = {channel.seed_id for _, stations in tree for _, channels in stations for channel in channels}
    found = {}
    for identifier, spans in holdings.archive.each_span(sorted(ids), None, None):
        first, last = spans["start"].min(), spans["following"].max()
        start, end = (isoformat(np.datetime64(int(ns), "ns")) for ns in (first, last))
        found[identifier] = (
            f'<DataAvailability><Extent start="{start}" end="{end}"/></DataAvailability>'.encode()
        )
    return found
