"""Records of the archive for SeedLink clients that ask for times before the ring."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from itertools import groupby

import numpy as np

from kaname.archive.availability import Spans
from kaname.archive.store import Archive
from kaname.center.seedlink_packets import SEQUENCE_MASK, Packet, Record, log, read_records
from kaname.center.seedlink_requests import Request
from kaname.center.seedlink_ring import Ring
from kaname.core.errors import KanameError

LOOK_S = 10.0
"""How often the list of stations is taken from the index anew."""
SPANS_S = 60.0
"""How often the extent of all channels is."""
_SLICE_S = 3600.0
_FEW, _MANY = 500, 4000
_LEAST_S, _MOST_S = 60.0, 30 * 86400.0
_CHUNK = 512
_TIES_NS = 1_000_000
_FAR = 1 << 62


class History:
    """An archive, as packets.

    Parameters
    ----------
    archive
        Where the records lie; its index says what there is.
    ring
        What it has is left to it.
    """

    def __init__(self, archive: Archive, ring: Ring) -> None:
        self.archive = archive
        self.ring = ring
        self._stations: dict[str, list[str]] = {}
        self._looked = -LOOK_S
        self._spans: dict[str, Spans] = {}
        self._summed = -SPANS_S

    async def stations(self) -> dict[str, list[str]]:
        """Return the channels of every station ``NET_STA``."""
        if time.monotonic() - self._looked >= LOOK_S:
            self._looked = time.monotonic()
            try:
                channels = await asyncio.to_thread(self.archive.channels)
            except KanameError as error:
                log.error("%s; what was known of the archive before stays in force", error)
            else:
                groups = groupby(channels, key=lambda i: "_".join(i.split(".")[:2]))
                stations: dict[str, list[str]] = {}
                for name, ids in groups:
                    stations.setdefault(name, []).extend(ids)
                self._stations = stations
        return self._stations

    async def spans(self) -> dict[str, Spans]:
        """Return the sections of every channel, as of the last minute."""
        if time.monotonic() - self._summed >= SPANS_S:
            self._summed = time.monotonic()
            try:
                self._spans = await asyncio.to_thread(lambda: dict(self.archive.each_span("*", None, None)))
            except KanameError as error:
                log.error("%s; what was known of the archive before stays in force", error)
        return self._spans

    async def packets(
        self, station: str, request: Request, first: int, oldest: int
    ) -> AsyncIterator[list[Packet]]:
        """Yield the records of a station that the ring does not have, in order of time.

        Parameters
        ----------
        station
            ``NET_STA``.
        request
            What is asked for: streams and time window.
        first
            Sequence number to resume from; 0 is the beginning.
        oldest
            Oldest sequence number of the station in the ring. Version 3 sees all of history under the number
            before it, version 4 under microseconds since 1970, made to increase where records start together.
        """
        ids = (await self.stations()).get(station, [])
        low = max(
            (n for n in (request.start, first * 1000 - _TIES_NS if first else None) if n is not None),
            default=-_FAR,
        )
        high = _FAR if request.end is None else request.end
        edges = await asyncio.to_thread(self._edges, ids, low, high)
        held = await self.ring.held(station, low, high)
        header = b"SL%06X" % (oldest - 1 & SEQUENCE_MASK)
        sequence, width = 0, round(_SLICE_S * 1e9)
        at = low
        for start, end in edges:
            at = max(at, start)
            while at < end:
                upto = min(at + width, high)
                records = await asyncio.to_thread(
                    self._records, ids, request, at, upto, at == max(low, edges[0][0])
                )
                if len(records) < _FEW:
                    width = min(2 * width, round(_MOST_S * 1e9))
                elif len(records) > _MANY:
                    width = max(width // 2, round(_LEAST_S * 1e9))
                at = upto
                packets = []
                for record in records:
                    sequence = max(sequence + 1, record.start // 1000)
                    if sequence < first or (record.stream.id, record.start) in held:
                        continue
                    data = record.records_3
                    frames = (header + data[i : i + 512] for i in range(0, len(data), 512))
                    packets.append(Packet(0, sequence, record, b"".join(frames)))
                for i in range(0, len(packets), _CHUNK):
                    yield packets[i : i + _CHUNK]

    def _edges(self, ids: list[str], low: int, high: int) -> list[tuple[int, int]]:
        """Return the stretches of time that have records of any of the channels, in order."""
        spans = [span for _, span in self.archive.each_span(ids, _time(low), _time(high))]
        if not spans:
            return []
        rows = np.sort(np.concatenate([span[["start", "following"]] for span in spans]), order="start")
        stretches: list[tuple[int, int]] = []
        for start, following in rows.tolist():
            start, following = max(start, low), min(following, high)
            if stretches and start <= stretches[-1][1]:
                stretches[-1] = (stretches[-1][0], max(following, stretches[-1][1]))
            else:
                stretches.append((start, following))
        return stretches

    def _records(self, ids: list[str], request: Request, low: int, high: int, opening: bool) -> list[Record]:
        """Return the records that start in a slice of time (or, in the first one, reach into it), sorted."""
        found: list[Record] = []
        for identifier in ids:
            try:
                for located in self.archive.locate(identifier, _time(low), _time(high)):
                    section = located.section
                    starts = section.starts
                    ends = starts + np.rint(section.n_samples * (1e9 / section.sampling_rate)).astype(
                        np.int64
                    )
                    wanted = (starts < high) & ((ends > low) if opening else (starts >= low))
                    if wanted.any():
                        path = f"{self.archive.path}/{located.path}"
                        data = _read(path, section.offsets[wanted].tolist(), section.lengths[wanted].tolist())
                        found += read_records(data, path)
            except (KanameError, OSError) as error:
                log.error("%s: %s", identifier, error)
        found = [r for r in found if request.wants(r.stream)]
        return sorted(found, key=lambda record: (record.start, record.stream.id))


def _read(path: str, offsets: list[int], lengths: list[int]) -> bytes:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        low, high = min(offsets), max(o + n for o, n in zip(offsets, lengths))
        if high - low == sum(lengths):
            return os.pread(file, high - low, low)
        return b"".join(os.pread(file, n, o) for o, n in zip(offsets, lengths))
    finally:
        os.close(file)


def _time(ns: int) -> np.datetime64 | None:
    return None if abs(ns) == _FAR else np.datetime64(ns, "ns")
