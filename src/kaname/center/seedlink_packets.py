"""What a SeedLink server sends: records, framed for version 3 (512 bytes) and version 4 (as they are)."""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from kaname.core.errors import InputError
from kaname.core.time import NS_PER_S
from kaname.formats.miniseed import describe_faults, pack
from kaname.formats.miniseed_records import TEXT_ENCODING, scan_records
from kaname.formats.miniseed_sections import decode, sections

log = logging.getLogger("kaname.seedlink")

RECORD_BYTES = 512
FRAME_BYTES = 8 + RECORD_BYTES
SEQUENCE_MASK = 0xFFFFFF
"""Sequence numbers of version 3 are the last 24 bits of those of version 4."""
FIRST_SEQUENCE = (1 << 52) + 1
"""First packet of a station. Below are the numbers of records of the archive: microseconds since 1970."""
OLDEST_HISTORY = 10**14
"""Smaller sequence numbers are not from here."""

_HEADER_4 = struct.Struct("<2sccIQB")
_QUALITY = b"\0DRQM"
_BLOCKETTE_TYPES = {200: "E", 201: "E", 300: "C", 310: "C", 320: "C", 390: "C", 395: "C", 500: "T", 2000: "O"}
_TIME_CORRECTED = 0x02
_MOST_BLOCKETTES = 32


@dataclass(frozen=True)
class Stream:
    """Records of one channel, format and type."""

    id: str
    """``NET.STA.LOC.CHA``."""
    format: str
    """``2`` or ``3``: version of miniSEED."""
    type: str
    """``D`` data, ``E`` event, ``C`` calibration, ``T`` timing, ``L`` log, ``O`` opaque."""

    @cached_property
    def station(self) -> str:
        """Station identifier of version 4, ``NET_STA``."""
        network, station, _, _ = self.id.split(".")
        return f"{network}_{station}"

    @cached_property
    def name(self) -> str:
        """Stream identifier of version 4, ``LOC_B_S_SS``."""
        _, _, location, channel = self.id.split(".")
        return f"{location}_{'_'.join(channel) if len(channel) == 3 else channel}"


class Record(NamedTuple):
    """One record as it came in."""

    stream: Stream
    start: int
    """First sample [ns since 1970]."""
    end: int
    """When the next sample would be due [ns since 1970]."""
    rate: float
    """Samples per second [Hz]; 0 for text."""
    data: bytes
    packed: bytes | None
    """The same samples as records of 512 bytes; ``None`` when it is one itself, empty when it cannot be."""

    @property
    def records_3(self) -> bytes:
        """Records of 512 bytes for version 3."""
        return self.data if self.packed is None else self.packed

    @property
    def n_sequence(self) -> int:
        """Sequence numbers it takes: one for each packet of version 3."""
        return max(1, len(self.records_3) // RECORD_BYTES)


class Packet(NamedTuple):
    """A record with its place in the order of its station."""

    number: int
    """Place in the ring; 0 for a record of the archive."""
    sequence: int
    record: Record
    frames_3: bytes
    """Packets of version 3."""

    @property
    def following(self) -> int:
        """Sequence number of the next packet of the station."""
        return self.sequence + self.record.n_sequence

    @property
    def frame_4(self) -> bytes:
        """The packet of version 4."""
        record = self.record
        return frame_4(
            record.stream.format, record.stream.type, record.data, self.sequence, record.stream.station
        )


def packet(number: int, sequence: int, record: Record) -> Packet:
    """Frame a record for version 3 once, for all clients."""
    data = record.records_3
    frames = [
        b"SL%06X%b" % (sequence + at & SEQUENCE_MASK, data[at * RECORD_BYTES : (at + 1) * RECORD_BYTES])
        for at in range(len(data) // RECORD_BYTES)
    ]
    return Packet(number, sequence, record, frames[0] if len(frames) == 1 else b"".join(frames))


def frame_4(format: str, type: str, payload: bytes, sequence: int, station: str) -> bytes:
    """Return a packet of version 4."""
    code = station.encode()
    header = _HEADER_4.pack(b"SE", format.encode(), type.encode(), len(payload), sequence, len(code))
    return b"".join((header, code, payload))


def read_records(data: bytes, origin: str) -> Iterator[Record]:
    """Yield the records in some bytes, repacked where version 3 needs it; what is none is logged.

    Parameters
    ----------
    data
        Whole records of miniSEED 2 or 3.
    origin
        Where they are from, for the log.
    """
    found = scan_records(data)
    for message in describe_faults(found):
        log.warning("%s: %s", origin, message)
    streams: dict[tuple[int, int, str], Stream] = {}
    for row in found.table.tolist():
        channel, start, rate, n_sample, offset, length, _, encoding, version, publication = row
        record = data[offset : offset + length]
        kind = _type(record, version, encoding)
        key = (channel, version, kind)
        if key not in streams:
            streams[key] = Stream(found.ids[channel], str(version), kind)
        clock = rate if rate > 0 and encoding != TEXT_ENCODING else 0.0
        span = round(n_sample / clock * NS_PER_S) if clock else 0
        packed = None if version == 2 and length == RECORD_BYTES else _repack(record, publication, origin)
        yield Record(streams[key], start, start + span, clock, record, packed)


def _type(record: bytes, version: int, encoding: int) -> str:
    """Return the type by which selectors choose: that of the first blockette that makes it no plain data."""
    if version == 3:
        return "D"
    if encoding == TEXT_ENCODING:
        return "L"
    if record[39] < 2:  # blockettes: 1000 alone, which has no type
        return "D"
    order = ">" if 1900 <= int.from_bytes(record[20:22], "big") <= 2100 else "<"
    at = struct.unpack_from(f"{order}H", record, 46)[0]
    for _ in range(_MOST_BLOCKETTES):
        if not 48 <= at <= len(record) - 4:
            break
        kind, following = struct.unpack_from(f"{order}HH", record, at)
        if kind in _BLOCKETTE_TYPES:
            return _BLOCKETTE_TYPES[kind]
        if following <= at:
            break
        at = following
    return "D"


def _repack(record: bytes, publication: int, origin: str) -> bytes:
    """Return the samples of a record in records of 512 bytes of miniSEED 2; empty when they do not fit.

    Quality and the flags of clock and data are kept; of the blockettes only what times and encoding need.
    """
    out: list[bytes] = []
    try:
        for section in sections(scan_records(record)):
            read = decode(section, lambda at, n: record[at : at + n])
            for row in read.failures:
                log.warning("%s: %s", origin, row["message"])
            for block in read.blocks:
                out += pack(block, version=2, record_length=RECORD_BYTES)
    except InputError as error:
        log.warning("%s: not for clients of version 3: %s", origin, error)
        return b""
    quality = _QUALITY[publication : publication + 1] if 1 <= publication < len(_QUALITY) else b"D"
    flags = _flags(record)
    return b"".join(each[:6] + quality + each[7:36] + flags + each[39:] for each in out)


def _flags(record: bytes) -> bytes:
    """Return the bytes of activity, clock and data quality; times are written corrected already."""
    if record[:2] == b"MS":
        return bytes(3)
    return bytes([record[36] & ~_TIME_CORRECTED, record[37], record[38]])
