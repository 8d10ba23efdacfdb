"""Answers to INFO: XML in log records (version 3), JSON (version 4)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import quoteattr

import numpy as np
from pymseed import DataEncoding, MS3Record

from kaname.archive.availability import Spans, gaps_between
from kaname.center.seedlink_packets import FIRST_SEQUENCE, SEQUENCE_MASK, Stream, frame_4
from kaname.center.seedlink_requests import glob
from kaname.core.time import NS_PER_S, isoformat

if TYPE_CHECKING:
    from kaname.center.seedlink import Server

MOST_BYTES = 32 << 20
"""Longest answer to INFO."""
LEVELS_3 = ("ID", "CAPABILITIES", "STATIONS", "STREAMS", "GAPS", "ALL")
ITEMS_4 = ("ID", "FORMATS", "CAPABILITIES", "STATIONS", "STREAMS")
_CAPABILITIES_3 = (
    "dialup",
    "multistation",
    "window-extraction",
    *(f"info:{level.lower()}" for level in LEVELS_3),
)
_TYPES = {"D": "data/generic", "E": "event", "C": "calibration", "T": "timing", "L": "log", "O": "opaque"}
_FORMATS = {
    "2": {"mimetype": "application/vnd.fdsn.mseed", "subformat": _TYPES},
    "3": {"mimetype": "application/vnd.fdsn.mseed3", "subformat": {"D": "data/generic"}},
    "J": {"mimetype": "application/json", "subformat": {"I": "INFO", "E": "error"}},
}


@dataclass
class Holding:
    """What there is of a stream, in the ring and in the archive."""

    stream: Stream
    start: int
    """[ns since 1970]"""
    end: int


@dataclass
class Inventory:
    """Stations and streams that a user may see."""

    streams: dict[str, list[Holding]]
    """By station ``NET_STA``, sorted."""
    first: Mapping[str, int]
    following: Mapping[str, int]

    def sequences(self, station: str) -> tuple[int, int]:
        """Return the oldest sequence number of a station and the next one."""
        following = self.following.get(station, FIRST_SEQUENCE)
        return self.first.get(station, following), following


async def inventory(server: Server, user: str | None) -> Inventory:
    """Take stock of ring and archive."""
    extents, first = await server.ring.extents()
    found = {each.stream: Holding(each.stream, each.start, each.end) for each in extents}
    by_id: dict[str, list[Holding]] = {}
    for holding in found.values():
        by_id.setdefault(holding.stream.id, []).append(holding)
    for identifier, spans in (await server.history.spans() if server.history else {}).items():
        low, high = int(spans["start"].min()), int(spans["following"].max())
        # The index does not say which version of miniSEED a record is: that of the ring, else 2 is stated.
        known = by_id.get(identifier) or [
            found.setdefault(s, Holding(s, low, high)) for s in [Stream(identifier, "2", "D")]
        ]
        for holding in known:
            holding.start, holding.end = min(holding.start, low), max(holding.end, high)
    stations: dict[str, list[Holding]] = {}
    for stream, holding in sorted(found.items(), key=lambda item: (item[0].id, item[0].format, item[0].type)):
        if server.shows(user, stream.id, holding.start, holding.end):
            stations.setdefault(stream.station, []).append(holding)
    return Inventory(stations, first, dict(server.ring.following))


async def info_3(server: Server, user: str | None, level: str) -> bytes:
    """Return the packets that answer ``INFO level`` in version 3."""
    body: list[str] = []
    if level == "CAPABILITIES":
        body = [f"<capability name={quoteattr(name)}/>" for name in _CAPABILITIES_3]
    elif level in ("STATIONS", "STREAMS", "GAPS", "ALL"):
        stock = await inventory(server, user)
        gaps = await _gaps(server) if level in ("GAPS", "ALL") else {}
        body = await asyncio.to_thread(_stations_3, stock, gaps, level)
    attributes = f"software={quoteattr(server.software)} organization={quoteattr(server.organization)}"
    started = f" started={quoteattr(_slashed(server.started))}"
    head = f'<?xml version="1.0"?><seedlink {attributes}{started}'
    text = f"{head}>{''.join(body)}</seedlink>" if body else f"{head}/>"
    possible = level in LEVELS_3 and len(text) <= MOST_BYTES
    return await asyncio.to_thread(
        _log_packets, text if possible else f"{head}/>", "INF" if possible else "ERR"
    )


def _stations_3(stock: Inventory, gaps: Mapping[Stream, list[tuple[int, int]]], level: str) -> list[str]:
    out = []
    for name, holdings in stock.streams.items():
        network, _, station = name.partition("_")
        first, following = (number & SEQUENCE_MASK for number in stock.sequences(name))
        codes = f"name={quoteattr(station)} network={quoteattr(network)} description={quoteattr(name)}"
        out.append(
            f'<station {codes} begin_seq="{first:06X}" end_seq="{following:06X}" stream_check="enabled">'
        )
        for holding in holdings if level != "STATIONS" else ():
            _, _, location, channel = holding.stream.id.split(".")
            codes = (
                f'location={quoteattr(location)} seedname={quoteattr(channel)} type="{holding.stream.type}"'
            )
            times = f'begin_time="{_slashed(holding.start)}" end_time="{_slashed(holding.end)}"'
            out.append(f'<stream {codes} {times} gap_check="enabled">')
            for low, high in gaps.get(holding.stream, ()):
                out.append(f'<gap begin_time="{_slashed(low)}" end_time="{_slashed(high)}"/>')
            out.append("</stream>")
        out.append("</station>")
    return out


async def _gaps(server: Server) -> dict[Stream, list[tuple[int, int]]]:
    """Return the gaps of every stream over archive and ring together [ns since 1970]."""
    archived = await server.history.spans() if server.history else {}
    recent = await server.ring.spans()
    return await asyncio.to_thread(_gaps_of, archived, recent)


def _gaps_of(
    archived: Mapping[str, Spans], recent: Mapping[Stream, Spans]
) -> dict[Stream, list[tuple[int, int]]]:
    streams = {**{Stream(i, "2", "D"): i for i in archived}, **{s: s.id for s in recent}}
    out = {}
    for stream, identifier in streams.items():
        parts = [p for p in (archived.get(identifier), recent.get(stream)) if p is not None]
        spans = np.sort(np.concatenate(parts), order="start")
        out[stream] = gaps_between(spans[spans["rate"] > 0])
    return out


def _log_packets(text: str, channel: str) -> bytes:
    """Cut a text into log records of SL.INFO and frame them; all but the last packet have a star."""
    record = MS3Record(reclen=512, encoding=DataEncoding.TEXT)
    record.sourceid = f"FDSN:SL_INFO__{'_'.join(channel)}"
    record.formatversion = 2
    record.starttime = time.time_ns()
    record.samprate = 0.0
    records = list(record.generate(data_samples=text.encode("ascii", "xmlcharrefreplace"), sample_type="t"))
    last = len(records) - 1
    return b"".join((b"SLINFO *" if at < last else b"SLINFO  ") + each for at, each in enumerate(records))


def _slashed(ns: int) -> str:
    whole, fraction = divmod(ns, NS_PER_S)
    moment = str(np.datetime64(whole, "s")).replace("-", "/").replace("T", " ")
    return f"{moment}.{fraction // 100_000:04d}"


async def info_4(server: Server, user: str | None, arguments: Sequence[str]) -> bytes:
    """Return the packet that answers ``INFO item [station_pattern [stream_pattern]]`` in version 4."""
    item = arguments[0].upper() if arguments else ""
    document: dict[str, Any] = {"software": server.software, "organization": server.organization}
    patterns = [*arguments[1:3], "*", "*"]
    if item not in ITEMS_4 or len(arguments) > 3 or any(len(pattern) > 64 for pattern in patterns):
        message = f"INFO is for {', '.join(ITEMS_4)}, with a station pattern and a stream pattern"
        document["error"] = {"code": "ARGUMENTS", "message": message}
        return _json_packet(document, "E")
    if item == "CAPABILITIES":
        document["capability"] = server.capabilities
    elif item == "FORMATS":
        document["format"] = _FORMATS
    elif item in ("STATIONS", "STREAMS"):
        stock = await inventory(server, user)
        document["format"] = _FORMATS
        document["station"] = await asyncio.to_thread(_stations_4, stock, patterns, item == "STREAMS")
    return _json_packet(document, "I")


def _stations_4(stock: Inventory, patterns: Sequence[str], with_streams: bool) -> list[dict[str, Any]]:
    station_pattern, (stream_name, _, kind) = glob(patterns[0]), patterns[1].partition(".")
    stream_pattern, kind_pattern = glob(stream_name), glob(kind + "*")
    out = []
    for name, holdings in stock.streams.items():
        if not station_pattern.fullmatch(name):
            continue
        first, following = stock.sequences(name)
        row: dict[str, Any] = {
            "id": name,
            "description": name,
            "begin_seq": first,
            "end_seq": following,
            "backfill": -1,
        }
        if with_streams:
            row["stream"] = [
                {
                    "id": holding.stream.name,
                    "format": holding.stream.format,
                    "subformat": holding.stream.type,
                    "origin": "native",
                    "begin_time": _iso(holding.start),
                    "end_time": _iso(holding.end),
                }
                for holding in holdings
                if stream_pattern.fullmatch(holding.stream.name)
                and kind_pattern.fullmatch(holding.stream.format + holding.stream.type)
            ]
        out.append(row)
    return out


def _iso(ns: int) -> str:
    return isoformat(np.datetime64(ns, "ns"))


def _json_packet(document: Mapping[str, Any], kind: str) -> bytes:
    return frame_4("J", kind, json.dumps(document).encode(), 0, "")
