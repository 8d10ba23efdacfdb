"""Sections: the records of one channel that follow one another, and their samples.

A section is known from headers alone, so the archive keeps sections in its index and decodes only the records
that a time window needs, by the same code that reads a whole file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import ceil
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pymseed import DataEncoding, MiniSEEDError, MS3Record, MS3TraceList, get_error_messages

from kaname.core.time import NS_PER_S
from kaname.core.waveform import Waveform
from kaname.formats.contract import WaveformRead
from kaname.formats.miniseed_records import TEXT_ENCODING, Records
from kaname.formats.steim import unpack

JOIN_TOLERANCE = 0.5
"""How far, in samples, a record may start from its due time and still follow; as in `waveform.join`."""
RATE_TOLERANCE = 1e-4

KIND_ENCODING = {"i": DataEncoding.INT32, "f": DataEncoding.FLOAT32, "d": DataEncoding.FLOAT64}
"""Kinds of sample, each with a SEED encoding of it; every other encoding of numbers decodes to ``i``."""
_KINDS = tuple(KIND_ENCODING)

Fetch = Callable[[int, int], bytes]
"""Return the bytes of a file from an offset, so many."""


@dataclass(frozen=True, eq=False)
class Section:
    """Records of one channel in time order, gap-free, of one rate and kind of sample; or a part of them."""

    id: str
    sampling_rate: float
    kind: str
    """Kind of sample: ``i`` 32-bit integer, ``f`` 32-bit, ``d`` 64-bit floating point."""
    origin: int
    """First sample of the whole section, ns since 1970; its clock runs on from there at `sampling_rate`."""
    first: int
    """Samples of the section before the first record here."""
    n_samples: NDArray[np.int64]
    """Samples of each record, shape ``(n_record,)``."""
    offsets: NDArray[np.int64]
    """Byte offset of each record in its file."""
    lengths: NDArray[np.int64]
    """Bytes of each record."""
    late: NDArray[np.int64]
    """How much later than due on the section's clock each record starts as its header states [ns]."""

    @property
    def n_sample(self) -> int:
        """Samples here."""
        return int(self.n_samples.sum())

    @property
    def start(self) -> np.datetime64:
        """UTC time of the first sample here."""
        return self.time(0)

    @property
    def following(self) -> np.datetime64:
        """UTC time at which a contiguous next section starts."""
        return self.time(self.n_sample)

    def time(self, index: int) -> np.datetime64:
        """UTC time of a sample, counted from the first one here."""
        elapsed = round((self.first + index) / self.sampling_rate * NS_PER_S)
        return np.datetime64(self.origin + elapsed, "ns")

    def index(self, time: np.datetime64) -> int:
        """First sample at or after a time, counted from the first one here; a millionth of tolerance."""
        elapsed = int(time.astype("datetime64[ns]").astype(np.int64)) - self.origin
        return ceil(elapsed * self.sampling_rate / NS_PER_S - 1e-6) - self.first

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """First sample of each record as its header states [ns since 1970]."""
        index = self.first + np.cumsum(self.n_samples) - self.n_samples
        return self.late + _due(self.origin, self.sampling_rate, index)

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """Last sample of each record as its header states [ns since 1970]."""
        return self.starts + _due(0, self.sampling_rate, self.n_samples - 1)

    def records(self, low: int, high: int, first: int) -> Section:
        """Return the part made of the records ``low`` to ``high`` (exclusive); ``first`` as in the class."""
        columns = (self.n_samples, self.offsets, self.lengths, self.late)
        parts = (column[low:high] for column in columns)
        return Section(self.id, self.sampling_rate, self.kind, self.origin, first, *parts)

    def within(self, low: int, high: int) -> Section | None:
        """Return a copy of the part from the first to the last record with samples at ``low <= time < high``.

        Times are ns since 1970; ``None`` when there is no such record.
        """
        inside = np.flatnonzero((self.starts < high) & (self.ends >= low))
        if not inside.size:
            return None
        first, last = int(inside[0]), int(inside[-1]) + 1
        columns = (self.n_samples, self.offsets, self.lengths, self.late)
        copies = (column[first:last].copy() for column in columns)
        before = self.first + int(self.n_samples[:first].sum())
        return Section(self.id, self.sampling_rate, self.kind, self.origin, before, *copies)


def _due(origin: int, rate: float, index: NDArray[np.int64]) -> NDArray[np.int64]:
    return origin + np.rint(index / rate * NS_PER_S).astype(np.int64)


def sections(records: Records) -> list[Section]:
    """Put the data records of a file in order, per channel, and cut where one does not follow the other.

    Text records and records without samples or rate belong to no section. A record that repeats a stretch of
    time opens a section of its own; see `kaname.formats.overlaps`.
    """
    table = records.table
    wanted = (table["n_sample"] > 0) & (table["encoding"] != TEXT_ENCODING)
    if not wanted.all():
        table = table[wanted]
    if not len(table):
        return []
    channel, start = np.ascontiguousarray(table["channel"]), np.ascontiguousarray(table["start"])
    if (np.diff(channel) < 0).any() or ((np.diff(channel) == 0) & (np.diff(start) < 0)).any():
        order = np.lexsort((table["offset"], start, channel))
        table, channel, start = table[order], channel[order], start[order]
    rate, n_sample, offset, length = (
        np.ascontiguousarray(table[name]).astype(dtype, copy=False)
        for name, dtype in (("rate", "f8"), ("n_sample", "i8"), ("offset", "i8"), ("length", "i8"))
    )
    encoding = table["encoding"]
    kind = np.select([encoding == DataEncoding.FLOAT32, encoding == DataEncoding.FLOAT64], [1, 2])
    number = _chain(channel, start, rate, n_sample, kind, JOIN_TOLERANCE, RATE_TOLERANCE)
    if (np.diff(number) < 0).any():
        grouped = np.argsort(number, kind="stable")
        channel, start, rate, n_sample, offset, length, kind, number = (
            column[grouped] for column in (channel, start, rate, n_sample, offset, length, kind, number)
        )
    edges = np.flatnonzero(np.diff(number)) + 1
    out = []
    for low, high in pairwise([0, *edges.tolist(), len(number)]):
        origin, clock = int(start[low]), float(rate[low])
        late = start[low:high] - _due(origin, clock, np.cumsum(n_sample[low:high]) - n_sample[low:high])
        parts = [column[low:high] for column in (n_sample, offset, length)] + [late]
        out.append(Section(records.ids[channel[low]], clock, _KINDS[kind[low]], origin, 0, *parts))
    return out


@njit(cache=True, nogil=True)
def _chain(
    channel: NDArray[Any],
    start: NDArray[Any],
    rate: NDArray[Any],
    n_sample: NDArray[Any],
    kind: NDArray[Any],
    tolerance: float,
    rate_tolerance: float,
) -> NDArray[Any]:  # pragma: no cover  (compiled)
    """Return the number of the section of each record; records come sorted by channel and start."""
    n = start.size
    number = np.empty(n, np.int64)
    first, due = np.empty(n, np.int64), np.empty(n, np.int64)
    total, head = np.empty(n, np.int64), np.empty(n, np.int64)
    n_section = 0
    oldest = 0  # sections before this one can get no more records
    for i in range(n):
        period = 1e9 / rate[i]
        while oldest < n_section:
            past = channel[head[oldest]] != channel[i] or start[i] - due[oldest] > 1e9 / rate[head[oldest]]
            if not past:
                break
            oldest += 1
        chosen = -1
        for k in range(oldest, n_section):
            h = head[k]
            if channel[h] != channel[i] or kind[h] != kind[i]:
                continue
            if abs(rate[i] / rate[h] - 1) > rate_tolerance:
                continue
            # Against the section's own clock too, so that many small drifts cannot add up to a silent shift.
            drift = start[i] - first[k] - total[k] * 1e9 / rate[h]
            if abs(start[i] - due[k]) <= tolerance * period and abs(drift) <= tolerance * period:
                chosen = k
                break
        if chosen < 0:
            chosen = n_section
            n_section += 1
            first[chosen], total[chosen], head[chosen] = start[i], 0, i
        number[i] = chosen
        total[chosen] += n_sample[i]
        due[chosen] = start[i] + np.int64(np.round(n_sample[i] * period))
    return number


def decode(
    section: Section, fetch: Fetch, *, start: np.datetime64 | None = None, end: np.datetime64 | None = None
) -> WaveformRead:
    """Decode the samples of a section with ``start <= time < end``, fetching only the records that hold them.

    Parameters
    ----------
    section
        What to decode.
    fetch
        Returns bytes of the file.
    start, end
        Window, UTC; ``None`` is open.

    Returns
    -------
    read
        One block, or more where a record in between is damaged; each damaged record is one failure, with its
        span (and without the step and the subject, which the caller knows).
    """
    low = 0 if start is None else max(0, section.index(start))
    edges = section.n_samples.cumsum()
    high = int(edges[-1]) if end is None else min(int(edges[-1]), section.index(end))
    if low >= high:
        return WaveformRead()
    first, last = int(edges.searchsorted(low, "right")), int(edges.searchsorted(high, "left")) + 1
    before = int(edges[first - 1]) if first else 0
    wanted = section.records(first, last, section.first + before)
    low, high = low - before, high - before
    out = WaveformRead()
    for at, samples in _samples(wanted, fetch, out.failures):
        a, b = max(low - at, 0), min(high - at, samples.size)
        if a < b:
            begin = wanted.time(at + a)
            out.blocks.append(Waveform(samples[np.newaxis, a:b], (section.id,), begin, section.sampling_rate))
    return out


def _samples(
    section: Section, fetch: Fetch, failures: list[dict[str, Any]]
) -> list[tuple[int, NDArray[Any]]]:
    """Return runs of samples, each with its index in the section; damaged records go into ``failures``."""
    buffer = _fetch(section, fetch)
    unpacked = unpack(buffer, section.lengths, section.n_samples) if section.kind == "i" else None
    if unpacked is not None:
        return [(0, unpacked)]
    try:
        traces = MS3TraceList.from_buffer(buffer, unpack_data=True)
        samples = [s.take_np_datasamples() for t in traces for s in t]
        whole = len(samples) == 1 and samples[0].size == section.n_sample
        if whole and not any("integrity" in message for message in get_error_messages()):
            return [(0, samples[0])]
    except MiniSEEDError:
        pass  # one by one, to find which record it is
    return _samples_one_by_one(section, buffer, failures)


def _fetch(section: Section, fetch: Fetch) -> bytes:
    offsets, ends = section.offsets, section.offsets + section.lengths
    breaks = ((offsets[1:] != ends[:-1]).nonzero()[0] + 1).tolist()
    pieces = [
        fetch(int(offsets[low]), int(ends[high - 1] - offsets[low]))
        for low, high in pairwise([0, *breaks, len(offsets)])
    ]
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _samples_one_by_one(
    section: Section, buffer: bytes, failures: list[dict[str, Any]]
) -> list[tuple[int, NDArray[Any]]]:
    runs: list[tuple[int, list[NDArray[Any]]]] = []
    at = n_done = 0
    intact = False
    columns = (section.n_samples, section.offsets, section.lengths)
    for n_sample, offset, length in zip(*(column.tolist() for column in columns)):
        error = ""
        try:
            record = MS3Record.parse(_palatable(buffer[at : at + length]), unpack_data=True)
            samples = np.array(record.np_datasamples)
            error = "; ".join(m for m in get_error_messages() if "integrity" in m)
            if not error and samples.size != n_sample:
                error = f"{samples.size} samples decoded, the header says {n_sample}"
        except MiniSEEDError as problem:
            error = str(problem)
        if error:
            failures.append(
                {
                    "start": section.time(n_done),
                    "end": section.time(n_done + n_sample),
                    "error": "FormatError",
                    "message": f"{section.id}: record of {length} bytes at byte {offset} left out: {error}",
                }
            )
        elif intact:
            runs[-1][1].append(samples)
        else:
            runs.append((n_done, [samples]))
        intact = not error
        at += length
        n_done += n_sample
    return [(index, np.concatenate(parts)) for index, parts in runs]


def _palatable(record: bytes) -> bytes:
    """Return a miniSEED 2 record that libmseed accepts although its time is odd or it states no length.

    The start time and the length were read by the scan; libmseed refuses a second with 10,000 and more
    fractions, and knows where a record without blockette 1000 ends only from the header behind it.
    """
    if record[:2] == b"MS":
        return record
    return record[:28] + b"\0\0" + record[30:] + record[:64]
