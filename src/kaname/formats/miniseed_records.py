"""Find every record in miniSEED 2 and 3 bytes from the headers alone; no sample is decoded.

Fields after the SEED 2.4 manual, chapter 8 (fixed section of data header, blockettes 100, 1000, 1001), and
the miniSEED 3 specification (https://docs.fdsn.org/projects/miniseed3). One compiled pass serves the reader,
which needs to know what follows what before it decodes, and the archive, which indexes without decoding.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kaname.core.errors import FormatError

RECORD_DTYPE = np.dtype(
    [
        ("channel", "i4"),  # index into `Records.ids`
        ("start", "i8"),  # first sample, ns since 1970, time correction applied
        ("rate", "f8"),  # Hz; 0 when the record states none
        ("n_sample", "i8"),
        ("offset", "i8"),  # bytes from the start of the file
        ("length", "i4"),  # bytes
        ("crc", "u4"),  # CRC-32C of miniSEED 3, 0 for miniSEED 2
        ("encoding", "u1"),  # SEED code; 255 when the record has no blockette 1000
        ("version", "u1"),  # 2 or 3
        ("publication", "u1"),  # D, R, Q, M of miniSEED 2 as 1 to 4; publication version of miniSEED 3
    ]
)
FAULT_DTYPE = np.dtype([("kind", "u1"), ("offset", "i8"), ("length", "i8")])

TEXT_ENCODING = 0
NO_ENCODING = 255
_RATE_LIMIT_HZ = 1e8
_SPAN_LIMIT_S = 1e9  # thirty years in one record
_ID_LENGTH = 48
_RECORDS_GUESS = 512
_HEADER_BYTES = 64
_PIECE = 1 << 20  # small enough to stay in the cache between the passes over it


class Fault(IntEnum):
    """Why bytes belong to no data record."""

    GARBAGE = 0
    """No header here: noise, padding, another format."""
    CONTROL = 1
    """Control headers of full SEED (V, A, S, T), which hold metadata and no samples."""
    TRUNCATED = 2
    """The header promises more bytes than there are before the end of the file or the next record."""
    NO_LENGTH = 3
    """No blockette 1000, and no next header at any legal record length."""
    NOT_A_SEED_ID = 4
    """miniSEED 3 whose source identifier is not ``FDSN:NET_STA_LOC_B_S_SS``."""
    NO_RATE = 5
    """Samples, but no possible sampling rate."""


MEANING = {
    Fault.GARBAGE: "bytes that are no miniSEED",
    Fault.CONTROL: "control headers of full SEED",
    Fault.TRUNCATED: "record cut short",
    Fault.NO_LENGTH: "record without blockette 1000 whose length cannot be told",
    Fault.NOT_A_SEED_ID: "record whose source identifier is not FDSN:NET_STA_LOC_B_S_SS",
    Fault.NO_RATE: "records without a possible sampling rate",
}


@dataclass(frozen=True)
class Records:
    """Every record of one file, in file order, and the bytes that are none."""

    ids: tuple[str, ...]
    """SEED identifiers ``NET.STA.LOC.CHA`` in order of first appearance."""
    table: NDArray[Any]
    """Shape ``(n_record,)``, `RECORD_DTYPE`."""
    faults: NDArray[Any]
    """Shape ``(n_fault,)``, `FAULT_DTYPE`."""
    size: int
    """Bytes up to where the scan ended."""
    checksum: int
    """CRC-32 of those bytes; 0 when it was not asked for."""


def scan_records(source: str | Path | bytes, *, offset: int = 0, checksum: int | None = None) -> Records:
    """Read the header of every record, without decoding samples.

    A file is read in pieces of bounded size: mapping it into memory would kill the process if another one
    truncated it meanwhile.

    Parameters
    ----------
    source
        Path of a file, or the bytes themselves.
    offset
        Byte to begin at, which must be where a record begins; offsets in the answer count from the start.
    checksum
        CRC-32 of the bytes before `offset` (0 when there are none), to be carried on; by default none.

    Raises
    ------
    FormatError
        When the file cannot be read. Bytes that are no miniSEED are listed, not raised.
    """
    scan = _Scan(offset)
    if isinstance(source, bytes):
        tail = memoryview(source)[offset:]
        scan.feed(tail, last=True)
        return scan.result(0 if checksum is None else zlib.crc32(tail, checksum))
    try:
        with Path(source).open("rb", buffering=0) as file:
            file.seek(offset)
            size = os.fstat(file.fileno()).st_size - offset
            buffer = bytearray(min(_PIECE, max(size, 0)) + 1)
            kept = n_read = 0
            while True:
                n_read = file.readinto(memoryview(buffer)[kept:]) or 0
                if checksum is not None:
                    checksum = zlib.crc32(memoryview(buffer)[kept : kept + n_read], checksum)
                filled = kept + n_read
                used = scan.feed(memoryview(buffer)[:filled], last=n_read == 0)
                kept = filled - used
                buffer[:kept] = buffer[used:filled]
                if n_read == 0:
                    break
                if kept == len(buffer):
                    buffer.extend(bytes(len(buffer)))
    except OSError as error:
        raise FormatError(f"cannot read {source}: {error.strerror or error}") from error
    return scan.result(checksum or 0)


class _Scan:
    """The scan of one file, fed piece by piece."""

    def __init__(self, offset: int) -> None:
        self.base = offset
        self.records = np.empty(64, RECORD_DTYPE)
        self.faults = np.empty(16, FAULT_DTYPE)
        self.ids = np.zeros((16, _ID_LENGTH), np.uint8)
        self.count = np.zeros(4, np.int64)  # position in the piece, records, faults, identifiers

    def feed(self, data: memoryview, *, last: bool) -> int:
        """Take in the bytes from where the previous call stopped; return how many were used up."""
        view = np.frombuffer(data, dtype=np.uint8)
        view.flags.writeable = False  # one compiled version for bytes and for buffers
        self.count[0] = 0
        self._reserve(view.size // _RECORDS_GUESS)
        while not _fill(view, self.base, last, self.count, self.records, self.faults, self.ids):
            self._reserve(1)
        used = int(self.count[0])
        self.base += used
        return used

    def _reserve(self, n_record: int) -> None:
        _, records, faults, ids = (int(n) for n in self.count)
        if records + n_record >= len(self.records):
            self.records = _longer(self.records, 2 * len(self.records) + n_record)
        if faults + 1 >= len(self.faults):
            self.faults = _longer(self.faults, 2 * len(self.faults))
        if ids >= len(self.ids):
            self.ids = _longer(self.ids, 2 * len(self.ids))

    def result(self, checksum: int) -> Records:
        _, records, faults, ids = (int(n) for n in self.count)
        names = tuple(bytes(row).rstrip(b"\0").decode("ascii") for row in self.ids[:ids])
        return Records(names, self.records[:records], self.faults[:faults], self.base, checksum)


def _longer(table: NDArray[Any], n: int) -> NDArray[Any]:
    # Not np.resize, which is slow on structures.
    out = np.zeros((n, *table.shape[1:]), table.dtype)
    out[: len(table)] = table
    return out


@njit(cache=True, nogil=True)
def _fill(
    data: NDArray[Any],
    base: int,
    final: bool,
    count: NDArray[Any],
    records: NDArray[Any],
    faults: NDArray[Any],
    ids: NDArray[Any],
) -> Any:  # pragma: no cover  (compiled)
    """Scan until the data are used up (True) or an output array is full (False); see `_Scan.feed`."""
    position, n_record, n_fault, n_id = count[0], count[1], count[2], count[3]
    size = data.size
    name = np.zeros(_ID_LENGTH, np.uint8)
    previous = -1  # where in the piece the last miniSEED 2 record is, while its name is the current one
    last = -1
    upcoming = -1  # what begins at the position, when that is known already
    done = True
    while position < size:
        if not final and size - position < _HEADER_BYTES:
            break
        if n_record >= len(records) or n_fault + 1 >= len(faults) or n_id >= len(ids):
            done = False
            break
        kind = upcoming if upcoming >= 0 else header(data, position)
        upcoming = -1
        length = 0
        fault = -1
        big = True
        encoding, hundred, microsecond = 0, 0, 0
        if kind == 3:
            length = _length3(data, position)
            if position + length > size:
                fault = Fault.TRUNCATED
            else:
                last = previous = -1
                if not _name3(data, position, name):
                    fault = Fault.NOT_A_SEED_ID
        elif kind == 2:
            big = dated(data, position, True)
            encoding, length, hundred, microsecond, _ = blockettes(data, position, big)
            if length == 0:
                length = _search_length(data, position)
                if length == 0 and not final:
                    break
            if length == 0:
                fault = Fault.NO_LENGTH
            elif position + length > size:
                fault = Fault.TRUNCATED
            elif previous < 0 or not _same_codes(data, previous, position):
                _name2(data, position, name)
                last = -1
        following = position + length
        if not final and kind != 0 and following > size - _HEADER_BYTES:
            break
        if kind != 0 and fault < 0 and following < size:
            upcoming = header(data, following)
            if upcoming == 0 and not _is_control(data, following):
                # Nothing begins where this record ends: was it cut, so that the next one lies inside it?
                end = _resync(data, position + 48)
                if end < following:
                    fault, length, upcoming = Fault.TRUNCATED, end - position, -1
        elif fault == Fault.TRUNCATED:
            length = _resync(data, position + 48) - position
        if kind == 0 or fault == Fault.NO_LENGTH:
            if fault < 0:
                fault = Fault.CONTROL if _is_control(data, position) else Fault.GARBAGE
            end = _resync(data, position + 1)
            if not final:
                end = min(end, max(position + 1, size - _HEADER_BYTES + 1))
            length = end - position
        record = records[n_record]
        if fault < 0:
            if kind == 3:
                _fields3(data, position, record)
            else:
                _fields2(data, position, big, record, encoding, hundred, microsecond)
            if record.encoding != TEXT_ENCODING and record.n_sample > 0:
                possible = 0 < record.rate < _RATE_LIMIT_HZ
                if not possible or record.n_sample / record.rate > _SPAN_LIMIT_S:
                    fault = Fault.NO_RATE
        if fault >= 0:
            length = min(length, size - position)
            before = faults[n_fault - 1]
            adjacent = n_fault > 0 and before.offset + before.length == base + position
            if adjacent and before.kind == fault:
                before.length += length
            else:
                faults[n_fault].kind = fault
                faults[n_fault].offset, faults[n_fault].length = base + position, length
                n_fault += 1
            position += length
            continue
        record.offset, record.length = base + position, length
        if last < 0:
            for i in range(n_id):
                if _same(ids[i], name):
                    last = i
            if last < 0:
                ids[n_id] = name
                last = n_id
                n_id += 1
        previous = position if kind == 2 else -1
        record.channel = last
        n_record += 1
        position += length
    count[0], count[1], count[2], count[3] = position, n_record, n_fault, n_id
    return done


@njit(cache=True, nogil=True)
def _digit_or_blank(byte: int) -> Any:  # pragma: no cover
    return 48 <= byte <= 57 or byte == 32 or byte == 0


@njit(cache=True, nogil=True)
def header(data: NDArray[Any], p: int) -> Any:  # pragma: no cover
    """Return 3 or 2 when a data record of that version begins here, else 0."""
    size = data.size
    if p + 40 <= size and data[p] == 77 and data[p + 1] == 83 and data[p + 2] == 3:
        fits = data[p + 12] <= 23 and data[p + 13] <= 59 and data[p + 14] <= 60
        return 3 if fits and 1 <= u2(data, p + 10, False) <= 366 else 0
    if p + 48 > size:
        return 0
    quality = data[p + 6]
    if quality != 68 and quality != 82 and quality != 81 and quality != 77:
        return 0
    if data[p + 7] != 32 and data[p + 7] != 0:
        return 0
    for i in range(6):
        if not _digit_or_blank(data[p + i]):
            return 0
    if data[p + 24] > 23 or data[p + 25] > 59 or data[p + 26] > 60:
        return 0
    return 2 if dated(data, p, True) or dated(data, p, False) else 0


@njit(cache=True, nogil=True)
def _is_control(data: NDArray[Any], p: int) -> Any:  # pragma: no cover
    if p + 8 > data.size:
        return False
    kind = data[p + 6]
    if kind != 86 and kind != 65 and kind != 83 and kind != 84:
        return False
    for i in range(6):
        if not _digit_or_blank(data[p + i]):
            return False
    return data[p + 7] == 32 or data[p + 7] == 42


@njit(cache=True, nogil=True)
def _begins(data: NDArray[Any], p: int) -> Any:  # pragma: no cover
    return header(data, p) != 0 or _is_control(data, p)


@njit(cache=True, nogil=True)
def _resync(data: NDArray[Any], p: int) -> Any:  # pragma: no cover
    """Return where the next record begins, or the end of the data."""
    while p < data.size:
        if header(data, p) != 0:
            return p
        p += 1
    return data.size


@njit(cache=True, nogil=True)
def u2(data: NDArray[Any], p: int, big: bool) -> Any:  # pragma: no cover
    """Return two bytes as an unsigned integer."""
    low, high = np.int64(data[p]), np.int64(data[p + 1])
    return low << 8 | high if big else high << 8 | low


@njit(cache=True, nogil=True)
def _i2(data: NDArray[Any], p: int, big: bool) -> Any:  # pragma: no cover
    value = u2(data, p, big)
    return value - 65536 if value > 32767 else value


@njit(cache=True, nogil=True)
def _u4(data: NDArray[Any], p: int, big: bool) -> Any:  # pragma: no cover
    first, second = u2(data, p, big), u2(data, p + 2, big)
    return first << 16 | second if big else second << 16 | first


@njit(cache=True, nogil=True)
def dated(data: NDArray[Any], p: int, big: bool) -> Any:  # pragma: no cover
    """Tell whether a miniSEED 2 header has a possible date in this byte order."""
    year, day = u2(data, p + 20, big), u2(data, p + 22, big)
    return 1900 <= year <= 2100 and 1 <= day <= 366


@njit(cache=True, nogil=True)
def _nanoseconds(year: int, day: int, hour: int, minute: int, second: int) -> Any:  # pragma: no cover
    y = year - 1
    days = 365 * y + y // 4 - y // 100 + y // 400 + day - 719163
    return (((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000_000


@njit(cache=True, nogil=True)
def blockettes(data: NDArray[Any], p: int, big: bool) -> Any:  # pragma: no cover
    """Return encoding, record length, offset of blockette 100 (0: none), microseconds to add, word order."""
    encoding, length, hundred = NO_ENCODING, 0, 0
    microsecond = np.int64(0)
    word_order = 255
    at = u2(data, p + 46, big)
    # The chain, not the stated number of blockettes, which some writers get wrong; offsets only ever grow.
    while at >= 48 and p + at + 8 <= data.size:
        kind, following = u2(data, p + at, big), u2(data, p + at + 2, big)
        if kind == 1000:
            encoding, word_order = data[p + at + 4], data[p + at + 5]
            if 6 <= data[p + at + 6] <= 30:
                length = 1 << data[p + at + 6]
        elif kind == 1001:
            microsecond = np.int64(np.int8(data[p + at + 5]))
        elif kind == 100:
            hundred = at
        if following <= at:
            break
        at = following
    return encoding, length, hundred, microsecond, word_order


@njit(cache=True, nogil=True)
def _search_length(data: NDArray[Any], p: int) -> Any:  # pragma: no cover
    """Length of a record without blockette 1000: up to the next header, or the end, at a power of two."""
    length = 128
    while p + length <= data.size and length <= 1 << 20:
        following = p + length
        if following == data.size or _begins(data, following):
            return length
        length <<= 1
    return 0


@njit(cache=True, nogil=True)
def _fields2(
    data: NDArray[Any], p: int, big: bool, record: Any, encoding: int, hundred: int, microsecond: int
) -> None:  # pragma: no cover
    start = _nanoseconds(
        u2(data, p + 20, big), u2(data, p + 22, big), data[p + 24], data[p + 25], data[p + 26]
    )
    start += u2(data, p + 28, big) * 100_000
    correction = _u4(data, p + 40, big)
    if correction > 0x7FFFFFFF:
        correction -= 0x100000000
    # Bit 1 of the activity flags says that the correction is in the start time already.
    if correction != 0 and not data[p + 36] & 2:
        start += correction * 100_000
    factor, multiplier = _i2(data, p + 32, big), _i2(data, p + 34, big)
    rate = 0.0
    if factor > 0:
        rate = float(factor)
    elif factor < 0:
        rate = -1.0 / factor
    if multiplier > 0:
        rate *= multiplier
    elif multiplier < 0:
        rate /= -multiplier
    if hundred:
        raw = np.empty(4, np.uint8)
        for i in range(4):
            raw[i] = data[p + hundred + (7 - i if big else 4 + i)]
        actual = float(raw.view(np.float32)[0])
        if actual > 0 and np.isfinite(actual):
            rate = actual
    quality = data[p + 6]
    record.publication = 1 if quality == 82 else 2 if quality == 68 else 3 if quality == 81 else 4
    record.start = start + microsecond * 1000
    record.rate = rate
    record.n_sample = u2(data, p + 30, big)
    record.crc = 0
    record.encoding = encoding
    record.version = 2


@njit(cache=True, nogil=True)
def _length3(data: NDArray[Any], p: int) -> Any:  # pragma: no cover
    return 40 + data[p + 33] + u2(data, p + 34, False) + _u4(data, p + 36, False)


@njit(cache=True, nogil=True)
def _fields3(data: NDArray[Any], p: int, record: Any) -> None:  # pragma: no cover
    start = _nanoseconds(
        u2(data, p + 8, False), u2(data, p + 10, False), data[p + 12], data[p + 13], data[p + 14]
    )
    rate = data[p + 16 : p + 24].copy().view(np.float64)[0]
    # A negative number is a sample period in seconds.
    record.rate = rate if rate >= 0 else -1.0 / rate
    record.start = start + _u4(data, p + 4, False)
    record.n_sample = _u4(data, p + 24, False)
    record.crc = _u4(data, p + 28, False)
    record.encoding = data[p + 15]
    record.publication = data[p + 32]
    record.version = 3


@njit(cache=True, nogil=True)
def _name2(data: NDArray[Any], p: int, name: NDArray[Any]) -> None:  # pragma: no cover
    """Write ``NET.STA.LOC.CHA`` of a miniSEED 2 record; blanks and bytes that are no text are left out."""
    name[:] = 0
    at = 0
    for begin, end in ((18, 20), (8, 13), (13, 15), (15, 18)):
        if begin != 18:
            name[at] = 46
            at += 1
        for i in range(begin, end):
            byte = data[p + i]
            if 33 <= byte <= 126 and byte != 46:
                name[at] = byte
                at += 1


@njit(cache=True, nogil=True)
def _name3(data: NDArray[Any], p: int, name: NDArray[Any]) -> Any:  # pragma: no cover
    """Write ``NET.STA.LOC.CHA``; the channel keeps its underscores where a code is longer than one letter."""
    name[:] = 0
    length = data[p + 33]
    begin = p + 40
    if length < 5 or length > _ID_LENGTH:
        return False
    for i, byte in enumerate((70, 68, 83, 78, 58)):
        if data[begin + i] != byte:
            return False
    bars = np.zeros(5, np.int64)
    n_bar = 0
    for i in range(5, length):
        if data[begin + i] == 95:
            if n_bar == 5:
                return False
            bars[n_bar] = i
            n_bar += 1
    if n_bar != 5:
        return False
    short = bars[3] - bars[2] <= 2 and bars[4] - bars[3] <= 2 and length - bars[4] <= 2
    at = 0
    for i in range(5, length):
        byte = data[begin + i]
        if byte == 95 and i <= bars[2]:
            byte = 46
        elif (byte == 95 and short) or byte < 33 or byte > 126 or byte == 46:
            continue
        name[at] = byte
        at += 1
    return True


@njit(cache=True, nogil=True)
def _same(a: NDArray[Any], b: NDArray[Any]) -> Any:  # pragma: no cover
    for i in range(_ID_LENGTH):
        if a[i] != b[i]:
            return False
        if a[i] == 0:
            break
    return True


@njit(cache=True, nogil=True)
def _same_codes(data: NDArray[Any], p: int, q: int) -> Any:  # pragma: no cover
    """Tell whether two miniSEED 2 headers carry the same network, station, location and channel."""
    for i in range(8, 20):  # noqa: SIM110  (what numba compiles fastest)
        if data[p + i] != data[q + i]:
            return False
    return True
