"""Which records of the archive a request for waveforms gets, as stretches of bytes of files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kaname.archive.access import Decision
from kaname.archive.availability import Spans
from kaname.archive.index import Located, Stamp
from kaname.center.errors import ServiceError
from kaname.center.holdings import Holdings
from kaname.center.parameters import Selection, Values
from kaname.core.errors import StorageError
from kaname.core.time import NS_PER_S
from kaname.formats.miniseed_sections import JOIN_TOLERANCE, Section

_MARGIN = 2 * NS_PER_S
"""A record may start half a sample from where its section's clock has it: look for it a little further."""
ANY_QUALITY = frozenset("b*")
_QUALITY = {"d": 1, "r": 2, "q": 3, "m": 4}


class Run(NamedTuple):
    """Bytes of a file that follow one another."""

    path: str
    stamp: Stamp
    offset: int
    size: int


class Recoded(NamedTuple):
    """Records of a section, gap-free, that lie in another version of miniSEED than is asked for."""

    section: Section
    path: str
    stamp: Stamp


@dataclass
class Plan:
    """What a request gets."""

    parts: list[Run | Recoded] = field(default_factory=list)
    size: int = 0
    """Bytes of all records as they lie."""
    refused: dict[str, Decision] = field(default_factory=dict)
    """Channels of which something may not be read."""

    @property
    def is_raw(self) -> bool:
        """Whether all of it is given as it lies."""
        return all(type(part) is Run for part in self.parts)


def plan(holdings: Holdings, selections: Sequence[Selection], values: Values, user: str | None) -> Plan:
    """Find the records that a request gets, whole records, in order of request, channel and time.

    Raises
    ------
    ServiceError
        413, when they are more bytes than one answer may have.
    StorageError
        When a file or the index cannot be read.
    """
    out = Plan()
    most = holdings.settings.request_bytes
    version = 3 if values["format"] == "miniseed3" else 2
    for selection in selections:
        for identifier in holdings.match(selection):
            for located, wanted in _of_channel(holdings, identifier, selection, values, user, out):
                section = located.section
                out.size += int(section.lengths[wanted].sum())
                if out.size > most:
                    raise ServiceError(
                        413, f"the request is for more than {most} bytes; ask for less time or fewer channels"
                    )
                if _is_version(holdings, located, version):
                    out.parts += _runs(located, section.offsets[wanted], section.lengths[wanted])
                else:
                    out.parts += _recoded(located, wanted)
    return out


def _of_channel(
    holdings: Holdings, identifier: str, selection: Selection, values: Values, user: str | None, out: Plan
) -> Iterator[tuple[Located, NDArray[np.bool_]]]:
    """Yield the sections that hold wanted records of a channel, and which of their records these are."""
    segments = None
    if values["minimumlength"] or values["longestonly"]:
        segments = _segments(
            holdings, identifier, selection, values["minimumlength"], longest=values["longestonly"]
        )
    low, high = bounds(selection)
    first = None if selection.start is None else selection.start - _MARGIN
    last = None if selection.end is None else selection.end + _MARGIN
    for located in holdings.archive.locate(identifier, first, last):
        section = located.section
        starts, ends = section.starts, section.ends
        wanted = (starts <= high) & (ends >= low)
        if segments is not None:
            inside = np.zeros(len(starts), bool)
            for a, b in segments:
                inside |= (starts >= a) & (starts < b)
            wanted &= inside
        if not ANY_QUALITY.intersection(values["quality"]):
            wanted &= _of_quality(holdings, located, wanted, {_QUALITY[each] for each in values["quality"]})
        if holdings.access.policy.rules and wanted.any():
            wanted &= _allowed(holdings, identifier, starts, ends, wanted, user, out)
        if wanted.any():
            yield located, wanted


def bounds(selection: Selection) -> tuple[int, int]:
    """Return the span of a selection, both ends inclusive [ns since 1970]."""
    return (
        -_FAR if selection.start is None else selection.start,
        _FAR if selection.end is None else selection.end,
    )


_FAR = 2**62


def _segments(
    holdings: Holdings, identifier: str, selection: Selection, least_s: float, *, longest: bool
) -> list[tuple[int, int]]:
    """Return from when to when the gap-free segments last that are long enough within the window."""
    low, high = bounds(selection)
    end = None if selection.end is None else selection.end + 1
    found = []
    for _, spans in holdings.archive.each_span([identifier], selection.start, end):
        for start, following in chains(spans):
            inside = min(following, high) - max(start, low)
            if inside >= least_s * NS_PER_S:
                found.append((inside, start, following))
    if longest and found:
        found = [max(found, key=lambda each: (each[0], -each[1]))]
    return [(start, following) for _, start, following in found]


def chains(spans: Spans, *, tolerance_s: float | None = None) -> Iterator[tuple[int, int]]:
    """Yield start and end of what sections cover without a gap [ns since 1970].

    Parameters
    ----------
    spans
        Sections by start, `kaname.archive.index.SPAN_DTYPE`.
    tolerance_s
        What counts as no gap [s]; by default half a sample.
    """
    reached = np.maximum.accumulate(spans["following"])
    allowed = JOIN_TOLERANCE * NS_PER_S / spans["rate"][1:]
    if tolerance_s is not None:
        allowed = np.maximum(allowed, tolerance_s * NS_PER_S)
    breaks = np.flatnonzero(spans["start"][1:] - reached[:-1] > allowed) + 1
    firsts = np.concatenate([[0], breaks])
    lasts = np.concatenate([breaks, [len(spans)]]) - 1
    yield from zip(spans["start"][firsts].tolist(), reached[lasts].tolist())


def _allowed(
    holdings: Holdings,
    identifier: str,
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    wanted: NDArray[np.bool_],
    user: str | None,
    out: Plan,
) -> NDArray[np.bool_]:
    """Tell which records may be read: those that lie in one allowed piece with all their samples."""
    first, last = int(starts[wanted].min()), int(ends[wanted].max())
    span = np.datetime64(first, "ns"), np.datetime64(last + 1, "ns")
    decision = holdings.access.decide(user, identifier, *span)
    if decision.allowed:
        return np.ones(len(starts), bool)
    out.refused[identifier] = decision
    inside = np.zeros(len(starts), bool)
    for piece in decision.pieces:
        low, high = (int(edge.astype(np.int64)) for edge in piece)
        inside |= (starts >= low) & (ends < high)
    return inside


def _runs(located: Located, offsets: NDArray[np.int64], lengths: NDArray[np.int64]) -> Iterator[Run]:
    """Yield the bytes of records, those together that follow one another in the file."""
    ends = offsets + lengths
    breaks = np.flatnonzero(offsets[1:] != ends[:-1]) + 1
    firsts = np.concatenate([[0], breaks])
    lasts = np.concatenate([breaks, [len(offsets)]]) - 1
    for low, high in zip(offsets[firsts].tolist(), ends[lasts].tolist()):
        yield Run(located.path, located.stamp, low, high - low)


def _recoded(located: Located, wanted: NDArray[np.bool_]) -> Iterator[Recoded]:
    """Yield the wanted records, those together that follow one another in the section."""
    section = located.section
    before = np.cumsum(section.n_samples) - section.n_samples
    edges = np.flatnonzero(np.diff(np.concatenate([[False], wanted, [False]]).astype(np.int8)))
    for low, high in edges.reshape(-1, 2).tolist():
        part = section.records(low, high, section.first + int(before[low]))
        yield Recoded(part, located.path, located.stamp)


def _is_version(holdings: Holdings, located: Located, version: int) -> bool:
    """Tell whether the first and the last record are of a version of miniSEED.

    Files are of one version, or have been of one and go on in the other.
    """
    offsets = located.section.offsets
    heads = (_head(holdings, located, int(offset)) for offset in (offsets[0], offsets[-1]))
    return all((head[:3] == b"MS\3") == (version == 3) for head in heads)


def _of_quality(
    holdings: Holdings, located: Located, wanted: NDArray[np.bool_], qualities: set[int]
) -> NDArray[np.bool_]:
    """Tell which of the wanted records are of some qualities: D, R, Q and M of miniSEED 2 are 1 to 4."""
    fits = wanted.copy()
    offsets = located.section.offsets[wanted].tolist()
    fits[wanted] = [_quality(_head(holdings, located, offset)) in qualities for offset in offsets]
    return fits


def _quality(head: bytes) -> int:
    return head[32] if head[:3] == b"MS\3" else b"DRQM".find(head[6:7]) + 1


def quality_letter(holdings: Holdings, located: Located) -> str:
    """Return D, R, Q or M of the first record of a section; what miniSEED 3 has beyond is M."""
    quality = _quality(_head(holdings, located, int(located.section.offsets[0])))
    return "DDRQM"[min(quality, 4)]


def _head(holdings: Holdings, located: Located, offset: int) -> bytes:
    """Return the first bytes of a record, of which the last ones asked for are remembered."""
    return _read_head(f"{holdings.archive.path}/{located.path}", located.stamp, offset)


@lru_cache(maxsize=65_536)
def _read_head(path: str, stamp: Stamp, offset: int) -> bytes:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(file, 40, offset)
        finally:
            os.close(file)
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
