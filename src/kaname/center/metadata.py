"""Stations and channels, ready to be given as StationXML or text: what is the same each time is made once."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from lxml import etree

from kaname.core.errors import FormatError
from kaname.formats.stations import Stations, read_stations

if TYPE_CHECKING:
    from kaname.center.holdings import Holdings

NAMESPACE = "http://www.fdsn.org/xml/station/1"
FOREVER = 2**63 - 1
_TAG = f"{{{NAMESPACE}}}"
_DECLARED = f' xmlns="{NAMESPACE}"'.encode()
_BEFORE_AVAILABILITY = {f"{_TAG}{name}" for name in ("Description", "Identifier", "Comment")}
_COUNTS = {
    f"{_TAG}{name}"
    for name in (
        "TotalNumberStations",
        "SelectedNumberStations",
        "TotalNumberChannels",
        "SelectedNumberChannels",
        "DataAvailability",
    )
}
_AFTER_COUNTS = f"{_TAG}ExternalReference"


@dataclass(eq=False)
class Node:
    """A network, station or channel epoch: what of it is text, and its XML in parts."""

    code: str
    start: int
    """Start of the epoch [ns since 1970]."""
    end: int
    """End of the epoch; `FOREVER` while it lasts."""
    fields: dict[str, Any]
    """Columns of the text formats."""
    opening: bytes
    lead: bytes
    """Children that stand before the data availability."""
    body: bytes
    """The other children, but for those below."""
    tail: bytes = b""
    """Of a channel the response; of a station what stands behind the numbers of channels."""
    location: str = ""
    parent: Node | None = None
    children: list[Node] = field(default_factory=list)

    @property
    def seed_id(self) -> str:
        """``NET.STA.LOC.CHA`` of a channel."""
        assert self.parent is not None and self.parent.parent is not None
        return f"{self.parent.parent.code}.{self.parent.code}.{self.location}.{self.code}"


class Metadata:
    """Networks with their stations and channels.

    Parameters
    ----------
    networks
        Networks.
    updated
        When the newest of their files was changed [ns since 1970].
    failures
        What could not be read, rows of the failures table.
    """

    def __init__(
        self, networks: Sequence[Node], updated: int = 0, failures: Sequence[dict[str, Any]] = ()
    ) -> None:
        self.networks = list(networks)
        self.updated = updated
        self.failures = list(failures)
        self.stations = [station for network in networks for station in network.children]
        self.latitude = np.array([station.fields["latitude"] for station in self.stations], float)
        self.longitude = np.array([station.fields["longitude"] for station in self.stations], float)

    @classmethod
    def read(cls, paths: Sequence[Path], holdings: Holdings) -> Metadata:
        """Read station files in any format; a station known by its place alone gets the archive's channels.

        Raises
        ------
        NotFoundError, FormatError
            When a file is not there, or none holds a station.
        """
        if not paths:
            return cls([])
        read = read_stations(list(paths))
        inventory = _merged(read.inventory)
        _add_placed(inventory, read, holdings)
        updated = max(path.stat().st_mtime_ns for path in paths)
        return cls(list(_nodes(inventory)), updated, read.failures)


def _merged(inventory: Any) -> Any:
    """Return a copy in which networks and stations of one code and epoch are one, and no channel is twice."""
    from obspy import Inventory

    networks: dict[Any, Any] = {}
    for network in inventory or ():
        known = networks.setdefault((network.code, *_epoch(network)), copy(network))
        if known.stations is network.stations:
            known.stations = []
        _merge_stations(known, network)
    return Inventory(networks=list(networks.values()), source="")


def _merge_stations(known: Any, network: Any) -> None:
    stations = {(s.code, *_epoch(s)): s for s in known.stations}
    for station in network.stations:
        key = station.code, *_epoch(station)
        if key not in stations:
            stations[key] = copy(station)
            stations[key].channels = []
            known.stations.append(stations[key])
        there = {(c.location_code, c.code, _epoch(c)[0]) for c in stations[key].channels}
        for channel in station.channels:
            name = channel.location_code, channel.code, _epoch(channel)[0]
            if name not in there:
                there.add(name)
                stations[key].channels.append(channel)


def _epoch(thing: Any) -> tuple[int, int]:
    start, end = thing.start_date, thing.end_date
    return -FOREVER if start is None else int(start.ns), FOREVER if end is None else int(end.ns)


def _add_placed(inventory: Any, read: Stations, holdings: Holdings) -> None:
    """Add the stations of the table that no inventory describes, with the channels of the archive."""
    from obspy import UTCDateTime
    from obspy.core import inventory as inv

    described = {(n.code, s.code) for n in inventory for s in n}
    known = [tuple(i.split(".")) for i in holdings.archive.channels()]
    networks = {network.code: network for network in inventory}
    for row in read.table.to_dict("records"):
        codes = {n for n, s, _, _ in known if s == row["station"] and (row["network"] in ("", n))}
        for code in sorted(codes or {row["network"]} - {""}):
            if (code, row["station"]) in described:
                continue
            start, end = (
                None if value != value else UTCDateTime(ns=int(np.datetime64(value, "ns").astype(np.int64)))
                for value in (row["start"], row["end"])
            )
            place = {
                "latitude": row["latitude"],
                "longitude": (row["longitude"] + 180) % 360 - 180,
                "elevation": _known(row["elevation_m"], 0.0),
            }
            depth = _known(row["sensor_depth_m"], 0.0)
            station = inv.Station(
                row["station"],
                **place,
                site=inv.Site(row["site"] or row["station"]),
                start_date=start,
                end_date=end,
            )
            for network, name, location, channel in known:
                fits = row["location"] in ("", location)
                if (network, name) == (code, row["station"]) and fits:
                    station.channels.append(
                        inv.Channel(channel, location, **place, depth=depth, start_date=start, end_date=end)
                    )
            if code not in networks:
                networks[code] = inv.Network(code)
                inventory.networks.append(networks[code])
            networks[code].stations.append(station)


def _known(value: float, default: float) -> float:
    return default if value != value else float(value)


def _nodes(inventory: Any) -> Iterator[Node]:
    """Write an inventory once and yield its networks, taken apart."""
    file = io.BytesIO()
    try:
        inventory.write(file, format="STATIONXML")
    except (ValueError, TypeError, AttributeError) as error:
        raise FormatError(f"the stations cannot be written as StationXML: {error}") from error
    root = etree.fromstring(file.getvalue(), etree.XMLParser(huge_tree=True))
    for network, element in zip(inventory, root.iterfind(f"{_TAG}Network")):
        node = _node(element, network, f"{_TAG}Station", {"description": network.description or ""})
        for station, below in zip(network, element.iterfind(f"{_TAG}Station")):
            child = _node(below, station, f"{_TAG}Channel", _station_fields(station))
            child.parent = node
            node.children.append(child)
            for channel, lowest in zip(station, below.iterfind(f"{_TAG}Channel")):
                leaf = _node(lowest, channel, f"{_TAG}Response", _channel_fields(channel))
                leaf.location, leaf.parent = channel.location_code or "", child
                leaf.tail = b"".join(_bytes(e) for e in lowest.iterfind(f"{_TAG}Response"))
                child.children.append(leaf)
        yield node


def _node(element: Any, thing: Any, below: str, fields: dict[str, Any]) -> Node:
    children = [e for e in element if e.tag not in _COUNTS and e.tag != below]
    lead = [e for e in children if e.tag in _BEFORE_AVAILABILITY]
    tail = [e for e in children if e.tag == _AFTER_COUNTS]
    body = [e for e in children if e.tag not in _BEFORE_AVAILABILITY and e.tag != _AFTER_COUNTS]
    attributes = "".join(f" {name}={quoteattr(value)}" for name, value in element.attrib.items())
    if below == f"{_TAG}Response":
        # In a channel external references stand before everything that is measured.
        body, tail = tail + body, []
    return Node(
        thing.code,
        *_epoch(thing),
        fields,
        f"<{etree.QName(element).localname}{attributes}".encode(),
        _joined(lead),
        _joined(body),
        _joined(tail),
    )


def _joined(elements: Iterable[Any]) -> bytes:
    return b"".join(_bytes(element) for element in elements)


def _bytes(element: Any) -> bytes:
    text: bytes = etree.tostring(element, with_tail=False, encoding="UTF-8", xml_declaration=False)
    return text.replace(_DECLARED, b"", 1)


def _station_fields(station: Any) -> dict[str, Any]:
    return {
        "latitude": float(station.latitude),
        "longitude": float(station.longitude),
        "elevation": float(station.elevation or 0.0),
        "site": (station.site.name if station.site else "") or "",
    }


def _channel_fields(channel: Any) -> dict[str, Any]:
    sensitivity = getattr(channel.response, "instrument_sensitivity", None)
    return {
        "latitude": float(channel.latitude),
        "longitude": float(channel.longitude),
        "elevation": float(channel.elevation or 0.0),
        "depth": float(channel.depth or 0.0),
        "azimuth": None if channel.azimuth is None else float(channel.azimuth),
        "dip": None if channel.dip is None else float(channel.dip),
        "sensor": (channel.sensor.description or channel.sensor.type or "") if channel.sensor else "",
        "scale": getattr(sensitivity, "value", None),
        "scale_hz": getattr(sensitivity, "frequency", None),
        "scale_unit": getattr(sensitivity, "input_units", None) or "",
        "rate_hz": None if channel.sample_rate is None else float(channel.sample_rate),
    }


def text_element(name: str, text: object) -> str:
    """Return an element that holds text."""
    return f"<{name}>{escape(str(text))}</{name}>"
