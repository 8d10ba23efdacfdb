"""Data transfer to one client: what it missed from archive and ring, then what comes.

A client has no queue: it has a place in the ring, and is sent the next packets when it has taken the last
ones. One that is slow reads from memory, then from disk, and delays nobody; one that is slower than the depth
of the ring loses what the ring has forgotten, and the log says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kaname.center.seedlink_packets import FIRST_SEQUENCE, FRAME_BYTES, OLDEST_HISTORY, Packet, Stream, log
from kaname.center.seedlink_requests import Request
from kaname.core.time import NS_PER_S

if TYPE_CHECKING:
    from kaname.center.seedlink_session import Session

CHUNK_PACKETS = 512
LATE_S = 60.0
"""How long after the end of a time window its last records may come."""


class Transfer:
    """The packets of one client, from END to END."""

    def __init__(self, session: Session, requests: Sequence[Request], *, fetch: bool) -> None:
        self.session = session
        self.ring = session.server.ring
        self.requests = requests
        self.fetch = fetch or all(r.fetch for r in requests)
        self.ends = self.fetch or all(r.fetch or r.end is not None for r in requests)
        """There is a time after which nothing more can come."""
        self.cursor = 0
        """Number of the last packet of the ring that was dealt with."""
        self.reached: dict[str, int] = {}
        """Next sequence number of every station at the cursor."""
        self.n_packet = 0
        self._exact: dict[str, int] = {}
        self._open: list[int] = []
        for at, request in enumerate(requests):
            if request.several:
                self._open.append(at)
            else:
                self._exact.setdefault(request.pattern.upper(), at)
        self._chosen: dict[Stream, Request | None] = {}
        self._stations: dict[str, Request | None] = {}
        self._refused: set[Stream] = set()

    async def run(self) -> None:
        """Send what is asked for, until the client goes or nothing more can come."""
        wanted: dict[str, int] | None = await self._catch_up_with_archive()
        while wanted is not None:
            await self._catch_up(wanted)
            wanted = None if self._complete() else await self._follow()
        await self.session.send(b"END")

    def _request(self, stream: Stream) -> Request | None:
        """Return the request that a stream is sent for: the first whose station matches."""
        if stream not in self._chosen:
            request = self._request_of(stream.station)
            self._chosen[stream] = request if request is not None and request.wants(stream) else None
        return self._chosen[stream]

    def _request_of(self, station: str) -> Request | None:
        if station not in self._stations:
            fitting = [at for at in self._open if self.requests[at].station.fullmatch(station)]
            if station.upper() in self._exact:
                fitting.append(self._exact[station.upper()])
            self._stations[station] = self.requests[min(fitting)] if fitting else None
        return self._stations[station]

    async def _catch_up_with_archive(self) -> dict[str, int]:
        """Send what lies before the ring; return the sequence number to go on with, station by station."""
        ring, history = self.ring, self.session.server.history
        following = dict(ring.following)
        names = set(following) | set(await history.stations() if history else ())
        wanted = {}
        for name in sorted(names):
            request = self._request_of(name)
            if request is None:
                continue
            first = request.first(following.get(name, FIRST_SEQUENCE))
            if name in following:
                wanted[name] = max(first, FIRST_SEQUENCE)
            resumed = not request.short and OLDEST_HISTORY <= first < FIRST_SEQUENCE - 1
            if history is None or (request.start is None and not resumed):
                continue
            oldest = await ring.first(name)
            if first <= oldest:
                async for packets in history.packets(name, request, first if resumed else 0, oldest):
                    await self._send([p for p in packets if self._wanted(p)])
        return wanted

    async def _catch_up(self, wanted: dict[str, int]) -> None:
        """Send from the disk, a station after the other, what the ring has up to the newest packet now."""
        ring = self.ring
        while True:
            cursor, following = ring.newest, dict(ring.following)
            for name, before in following.items():
                first = wanted.get(name, FIRST_SEQUENCE)
                if first < before and self._request_of(name) is not None:
                    await self._send_from_disk(name, first, before)
            wanted = self.reached = following
            if ring.live(cursor, 1) is not None:
                self.cursor = cursor
                return

    async def _send_from_disk(self, station: str, first: int, before: int) -> None:
        request = self._request_of(station)
        assert request is not None  # only such stations are caught up with
        oldest = await self.ring.first(station)
        if first < oldest and request.sequence != 0:
            log.warning(
                "%s: %d packets of %s before %06X are no longer in the ring",
                *(self.session.name, oldest - first, station, oldest & 0xFFFFFF),
            )
        while first < before:
            packets = await self.ring.read(
                station, first, before, start=request.start, end=request.end, most=CHUNK_PACKETS
            )
            if not packets:
                return
            await self._send([p for p in packets if self._wanted(p)], first=first)
            first = packets[-1].following

    async def _follow(self) -> dict[str, int] | None:
        """Send what comes; return where to go on from disk when too slow, ``None`` when it is complete."""
        ring = self.ring
        while True:
            news = ring.news
            packets = ring.live(self.cursor, CHUNK_PACKETS)
            if packets is None:
                return self.reached
            if packets:
                await self._send([p for p in packets if self._wanted(p)])
                self.cursor = packets[-1].number
                for each in packets:
                    self.reached[each.record.stream.station] = each.following
            elif self._complete():
                return None
            else:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), 1.0 if self.ends else None)

    def _wanted(self, packet: Packet) -> bool:
        record = packet.record
        request = self._request(record.stream)
        if request is None or not request.spans(record.start, record.end):
            return False
        allowed = self.session.server.allows(self.session.user, record, quiet=record.stream in self._refused)
        if not allowed:
            self._refused.add(record.stream)
        return allowed

    async def _send(self, packets: Sequence[Packet], *, first: int = 0) -> None:
        """Send packets from a sequence number on, which may be in the middle of a repacked record."""
        if self.session.version == 4:
            frames = [p.frame_4 for p in packets if p.sequence >= first]
        else:
            frames = [p.frames_3[max(0, first - p.sequence) * FRAME_BYTES :] for p in packets]
        if frames:
            self.n_packet += len(frames)
            await self.session.send(b"".join(frames))

    def _complete(self) -> bool:
        """Tell whether nothing more can come: all that was queued is sent, or time windows have passed."""
        return self.fetch or (self.ends and all(r.fetch or self._passed(r) for r in self.requests))

    def _passed(self, request: Request) -> bool:
        end = request.end
        assert end is not None  # `ends`
        if time.time_ns() >= end + LATE_S * NS_PER_S:
            return True
        streams = [s for s in list(self.ring.streams) if self._request(s) is request]
        return bool(streams) and all(self.ring.reached.get(s.id, 0) >= end for s in streams)
