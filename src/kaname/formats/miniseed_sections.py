"""Sections: the records of one channel that follow one another, and their samples.

A section is known from headers alone, so the archive keeps sections in its index and decodes only the records
that a time window needs, by the same code that reads a whole file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pymseed import DataEncoding, MiniSEEDError, MS3Record, MS3TraceList, get_error_messages

from kaname.core.time import NS_PER_S, as_time, isoformat
from kaname.core.waveform import Waveform, join
from kaname.formats.contract import WaveformRead
from kaname.formats.miniseed_records import TEXT_ENCODING, Records

JOIN_TOLERANCE = 0.5
"""How far, in samples, a record may start from its due time and still follow; as in `waveform.join`."""
RATE_TOLERANCE = 1e-4

Fetch = Callable[[int, int], bytes]
"""Return the bytes of a file from an offset, so many."""


@dataclass(frozen=True, eq=False)
class Section:
    """Records of one channel in time order, gap-free and of one rate and kind of sample."""

    id: str
    sampling_rate: float
    starts: NDArray[np.int64]
    """First sample of each record, ns since 1970, shape ``(n_record,)``."""
    n_samples: NDArray[np.int64]
    offsets: NDArray[np.int64]
    """Byte offset of each record in its file."""
    lengths: NDArray[np.int64]
    """Bytes of each record."""

    @property
    def start(self) -> np.datetime64:
        """UTC time of the first sample."""
        return np.datetime64(int(self.starts[0]), "ns")

    @property
    def n_sample(self) -> int:
        """Samples in all."""
        return int(self.n_samples.sum())

    @property
    def following(self) -> np.datetime64:
        """UTC time at which a contiguous next section starts."""
        return self.start + np.timedelta64(round(self.n_sample / self.sampling_rate * NS_PER_S), "ns")

    def part(self, first: int, last: int) -> Section:
        """Return the section of the records ``first`` to ``last`` (exclusive)."""
        cut = slice(first, last)
        return replace(
            self,
            starts=self.starts[cut],
            n_samples=self.n_samples[cut],
            offsets=self.offsets[cut],
            lengths=self.lengths[cut],
        )


def sections(records: Records) -> list[Section]:
    """Put the data records of a file in order, per channel, and cut where one does not follow the other.

    Text records and records without samples or rate belong to no section. A record that repeats a stretch of
    time opens a section of its own; see `resolve_overlaps`.
    """
    table = records.table
    table = table[(table["n_sample"] > 0) & (table["rate"] > 0) & (table["encoding"] != TEXT_ENCODING)]
    if not len(table):
        return []
    order = np.lexsort((table["offset"], table["start"], table["channel"]))
    table = table[order]
    kind = np.select(
        [table["encoding"] == DataEncoding.FLOAT32, table["encoding"] == DataEncoding.FLOAT64], [1, 2]
    )
    number = _chain(
        table["channel"],
        table["start"],
        table["rate"],
        table["n_sample"],
        kind,
        JOIN_TOLERANCE,
        RATE_TOLERANCE,
    )
    grouped = np.argsort(number, kind="stable")
    edges = np.flatnonzero(np.diff(number[grouped])) + 1
    out = []
    for low, high in pairwise([0, *edges.tolist(), len(grouped)]):
        rows = table[grouped[low:high]]
        out.append(
            Section(
                records.ids[rows["channel"][0]],
                float(rows["rate"][0]),
                *(rows[name].astype(np.int64) for name in ("start", "n_sample", "offset", "length")),
            )
        )
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
    edges = np.concatenate([[0], np.cumsum(section.n_samples)])
    wanted = section
    before = 0
    if start is not None or end is not None:
        period = NS_PER_S / section.sampling_rate
        origin = int(section.starts[0])
        low = (
            0
            if start is None
            else int(np.ceil((int(as_time(start).astype(np.int64)) - origin) / period - 1e-6))
        )
        high = int(edges[-1])
        if end is not None:
            high = min(high, int(np.ceil((int(as_time(end).astype(np.int64)) - origin) / period - 1e-6)))
        low = max(low, 0)
        if low >= high:
            return WaveformRead()
        first = int(np.searchsorted(edges, low, "right")) - 1
        last = int(np.searchsorted(edges, high, "left"))
        wanted = section.part(first, last)
        before = int(edges[first])
    runs, failures = _decode_records(wanted, fetch)
    out = WaveformRead(failures=failures)
    for skipped, samples in runs:
        shift = np.timedelta64(round((before + skipped) / section.sampling_rate * NS_PER_S), "ns")
        block = Waveform(samples[np.newaxis, :], (section.id,), section.start + shift, section.sampling_rate)
        out.add(block, start, end)
    return out


def _decode_records(
    section: Section, fetch: Fetch
) -> tuple[list[tuple[int, NDArray[Any]]], list[dict[str, Any]]]:
    """Return runs of samples, each with its sample index in the section, and the damaged records."""
    buffer = _fetch(section, fetch)
    try:
        traces = MS3TraceList.from_buffer(buffer, unpack_data=True)
        samples = [s.take_np_datasamples() for t in traces for s in t]
        whole = not any("integrity" in message for message in get_error_messages())
    except MiniSEEDError:
        whole = False
    if whole and len(samples) == 1 and samples[0].size == section.n_sample:
        return [(0, samples[0])], []
    return _decode_one_by_one(section, buffer)


def _fetch(section: Section, fetch: Fetch) -> bytes:
    offsets, lengths = section.offsets, section.lengths
    breaks = np.flatnonzero(offsets[1:] != offsets[:-1] + lengths[:-1]) + 1
    pieces = []
    for low, high in pairwise([0, *breaks.tolist(), len(offsets)]):
        size = int(offsets[high - 1] + lengths[high - 1] - offsets[low])
        pieces.append(fetch(int(offsets[low]), size))
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _decode_one_by_one(
    section: Section, buffer: bytes
) -> tuple[list[tuple[int, NDArray[Any]]], list[dict[str, Any]]]:
    runs: list[tuple[int, list[NDArray[Any]]]] = []
    failures = []
    at = n_done = 0
    intact = False
    for start, n_sample, offset, length in zip(
        section.starts.tolist(),
        section.n_samples.tolist(),
        section.offsets.tolist(),
        section.lengths.tolist(),
    ):
        error = ""
        try:
            record = MS3Record.parse(_palatable(buffer[at : at + length]), unpack_data=True)
            samples = np.array(record.np_datasamples)
            messages = [m for m in get_error_messages() if "integrity" in m]
            if messages:
                error = messages[0]
            elif samples.size != n_sample:
                error = f"{samples.size} samples decoded, the header says {n_sample}"
        except MiniSEEDError as problem:
            error = str(problem)
        if error:
            period = NS_PER_S / section.sampling_rate
            failures.append(
                {
                    "start": np.datetime64(start, "ns"),
                    "end": np.datetime64(start + round(n_sample * period), "ns"),
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
    return [(skipped, np.concatenate(parts)) for skipped, parts in runs], failures


def _palatable(record: bytes) -> bytes:
    """Return a miniSEED 2 record that libmseed accepts although its time is odd or it states no length.

    The start time and the length were read by the scan; libmseed refuses a second with 10,000 and more
    fractions, and knows where a record without blockette 1000 ends only from the header behind it.
    """
    if record[:2] == b"MS":
        return record
    return record[:28] + b"\0\0" + record[30:] + record[:64]


def resolve_overlaps(blocks: Iterable[Waveform]) -> tuple[list[Waveform], list[dict[str, Any]]]:
    """Give every instant of a channel one sample: where blocks overlap, the one given first keeps its own.

    Samples that are there twice and agree are kept once. Where they disagree (or stand on clocks that cannot
    be compared) the later block is cut, and a failure with the error ``Overlap`` names the span.

    Parameters
    ----------
    blocks
        Blocks of one channel each, per channel in order of start.

    Returns
    -------
    blocks, failures
        Blocks without overlaps, joined where they follow one another, and one row per disagreement.
    """
    kept: dict[str, list[Waveform]] = {}
    failures = []
    for block in blocks:
        earlier = kept.setdefault(block.ids[0], [])
        covered = max((b.following for b in earlier), default=block.start)
        half = np.timedelta64(round(JOIN_TOLERANCE * NS_PER_S / block.sampling_rate), "ns")
        if covered <= block.start + half:
            earlier.append(block)
            continue
        until = min(covered, block.following)
        n_different = sum(_disagreement(b, block) for b in earlier[-8:])
        if n_different:
            failures.append(
                {
                    "start": block.start,
                    "end": until,
                    "error": "Overlap",
                    "message": f"{block.ids[0]}: two recordings of {isoformat(block.start)} to "
                    f"{isoformat(until)} disagree in {n_different} samples; kept the one that starts earlier",
                }
            )
        rest = block.slice(covered - half, block.following)
        if rest is not None:
            earlier.append(rest)
    return [b for channel in kept.values() for b in join(channel)], failures


def _disagreement(earlier: Waveform, later: Waveform) -> int:
    """Count the samples of ``later`` that lie in the time of ``earlier`` and differ from it."""
    first = round(earlier.index(later.start))
    n = min(earlier.n_sample - first, later.n_sample)
    if n <= 0:
        return 0
    if abs(earlier.sampling_rate / later.sampling_rate - 1) > RATE_TOLERANCE:
        return n
    a, b = earlier.data[0, first : first + n], later.data[0, :n]
    return int(np.count_nonzero((a != b) & ~((a != a) & (b != b))))
