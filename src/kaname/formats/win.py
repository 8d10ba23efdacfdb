"""WIN and WIN32, the formats of Japan's continuous records, and the tilt variant of WIN.

Layout, sources and traps: ``docs/formats-win.md``. A file states times by the clock of Japan (JST, UTC+9)
unless the caller says otherwise, and channels by number only: identifiers come from
`kaname.formats.win_names`, or from a channel table (`kaname.formats.win_channels`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from kaname.core.errors import FormatError, InputError
from kaname.core.waveform import Waveform
from kaname.formats import win_codec as codec
from kaname.formats.contract import WaveformRead, register
from kaname.formats.overlaps import resolve_overlaps
from kaname.formats.win_codec import CODE, COUNT, FRAME, KEY, MISSING, TIME, Fault, Second
from kaname.formats.win_names import seed_name

if TYPE_CHECKING:
    from kaname.formats.win_channels import ChannelTable

Clock = Literal["JST", "UTC"]
Variant = Literal["plain", "tilt"]
Nibbles = Literal["high first", "low first"]

OFFSET_S: dict[str, int] = {"JST": 9 * 3600, "UTC": 0}
NS_PER_TICK = 10_000_000
"""The clock of the codec counts 1/100 s."""
MOST_RUNS = 250_000
"""Gap-free runs in one file; more are taken for damage (a day of 2,400 channels that drop out every quarter
of an hour has 230,000)."""
_MOST_ROWS = 1000

_MEANING = {
    Fault.JUNK: "no second block begins there",
    Fault.DAMAGED: "the channel blocks do not fill their second",
    Fault.TRUNCATED: "truncated within a second",
    Fault.TOO_DAMAGED: "too damaged to search for second blocks; the rest was not read",
}


def _dated(head: bytes, wide: bool) -> bool:
    """Tell whether a month, a day and an hour stand where they should: most files end here, uncompiled."""
    if wide and head[:4] != bytes(4):
        return False
    at = 6 if wide else 5
    month, day, hour = (*head[at : at + 3], 0xFF, 0xFF, 0xFF)[:3]
    return bool(1 <= month <= 0x12 and 1 <= day <= 0x31 and hour <= 0x23)


class _Reader:
    """What the readers share."""

    name: str
    wide = False
    variant: Variant = "plain"
    clock: Clock = "JST"

    def sniff(self, head: bytes, path: Path) -> bool:
        """Look for a first second whose channel blocks fill it exactly."""
        return _dated(head, self.wide) and bool(codec.believable(np.frombuffer(head, np.uint8), self.wide))

    def read(self, path: Path, *, start: np.datetime64 | None, end: np.datetime64 | None) -> WaveformRead:
        """Read the samples with ``start <= time < end``; see `read_win`."""
        return _read(path, self.wide, start, end, self.clock, self.variant, "high first")


@register
class WinReader(_Reader):
    """Reader of WIN, the format of the WIN system of Urabe and Tsukada."""

    name = "win"


@register
class Win32Reader(_Reader):
    """Reader of WIN32, the extension by NIED."""

    name = "win32"
    wide = True


class _Named(_Reader):
    def sniff(self, head: bytes, path: Path) -> bool:
        """Never: nothing in the bytes tells this variant from the plain one."""
        return False


@register
class WinTiltReader(_Named):
    """Reader of the tilt variant of WIN; its bytes look like WIN, so it must be named."""

    name = "win-tilt"
    variant: Variant = "tilt"


@register
class WinUtcReader(_Named):
    """Reader of WIN whose clock is UTC, as outside Japan; nothing says so, so it must be named."""

    name = "win-utc"
    clock: Clock = "UTC"


@register
class Win32UtcReader(_Named):
    """Reader of WIN32 whose clock is UTC."""

    name = "win32-utc"
    wide = True
    clock: Clock = "UTC"


def read_win(
    path: Path | str,
    *,
    start: np.datetime64 | None = None,
    end: np.datetime64 | None = None,
    clock: Clock = "JST",
    variant: Variant = "plain",
    nibbles: Nibbles = "high first",
    channels: ChannelTable | None = None,
) -> WaveformRead:
    """Read a WIN or WIN32 file, whichever it is.

    Parameters
    ----------
    path
        File; files put one after the other count as one.
    start, end
        Keep the samples with ``start <= time < end``, UTC.
    clock
        Clock by which the file states its times.
    variant
        ``tilt``: the most negative difference of a width marks a missing sample, which is a gap.
    nibbles
        Which half of a byte holds the earlier of two 4-bit differences.
    channels
        Channel table that gives the identifiers.

    Returns
    -------
    read
        Blocks in counts, 32-bit integers, one per channel and gap-free stretch, and the failures: bytes that
        are no blocks, seconds damaged or truncated, leap seconds, rates that change, recordings of one second
        that disagree. Exact repetitions are read once.

    Raises
    ------
    FormatError
        When no second block is found.
    InputError
        When an option is unknown.
    """
    for value, known in ((clock, OFFSET_S), (variant, ("plain", "tilt"))):
        if value not in known:
            raise InputError(f"unknown option {value!r}; expected one of {', '.join(known)}")
    if nibbles not in ("high first", "low first"):
        raise InputError(f"unknown order of nibbles {nibbles!r}; expected 'high first' or 'low first'")
    source = Path(path)
    try:
        with source.open("rb") as file:
            wide = file.read(4) == bytes(4)
        read = _read(source, wide, start, end, clock, variant, nibbles)
    except OSError as error:
        raise FormatError(f"cannot read {source}: {error.strerror or error}") from error
    return read if channels is None else channels.rename(read, source)


def _read(
    path: Path,
    wide: bool,
    start: np.datetime64 | None,
    end: np.datetime64 | None,
    clock: Clock,
    variant: Variant,
    nibbles: Nibbles,
) -> WaveformRead:
    data = np.fromfile(path, np.uint8)
    seconds, faults = codec.scan(data, wide)
    table, stops = _channel_blocks(data, seconds, wide)
    if not len(table):
        name = "WIN32" if wide else "WIN"
        raise FormatError(f"{path}: no second block of {name} with channels in {len(data)} bytes")
    out = WaveformRead()
    offset = OFFSET_S[clock]
    _report_faults(out, path, faults, seconds, stops, offset)
    table = _without_leap_seconds(out, path, table, seconds, offset)
    table = _window(table, start, end, offset)
    if not len(table):
        return out
    if (table[:, FRAME] == 0).any():
        out.fail(path, "frames state a length of 0; each is taken for one second", kind="Warning")
        table[table[:, FRAME] == 0, FRAME] = 100
    table = _sorted(table)
    run, changed, n_run = codec.chain(data, table)
    if n_run > MOST_RUNS:
        raise FormatError(f"{path}: {n_run} gap-free runs, expected at most {MOST_RUNS}; it is damaged")
    _report_changes(out, path, table, changed, wide, offset)
    _report_surplus(out, path, table[run == codec.SURPLUS])
    if n_run and (np.diff(run, prepend=0) < 0).any():
        grouped = np.argsort(run, kind="stable")[np.count_nonzero(run < 0) :]
        table, run = table[grouped], run[grouped]
    samples = np.empty(int(table[:, COUNT].sum()), np.int32)
    if variant == "tilt":
        lost = np.empty(len(table), np.int64)
        codec.decode_tilt(data, table, nibbles == "low first", samples, lost)
        _report_lost(out, path, table, lost, wide, offset)
    else:
        codec.decode(data, table, nibbles == "low first", samples)
    blocks = list(_blocks(table, run, samples, wide, offset))
    if variant == "tilt":
        blocks = [piece for block in blocks for piece in _without_missing(block)]
        blocks.sort(key=lambda b: (b.ids, b.start))  # pieces of runs side by side
    double = _overlapping(blocks)
    if double:
        settled, rows = resolve_overlaps(b for b in blocks if b.ids[0] in double)
        blocks = sorted([b for b in blocks if b.ids[0] not in double] + settled, key=lambda b: b.ids)
        out.failures += [{"step": "read", "subject": str(path), **row} for row in rows]
    for block in blocks:
        out.add(block, start, end)
    return out


def _channel_blocks(
    data: NDArray[Any], seconds: NDArray[Any], wide: bool
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return all channel blocks, of damaged seconds only up to the first that no whole second has."""
    nothing = np.empty(0, np.int64)
    broken = seconds[:, Second.N_CHANNEL] < 0
    if not broken.any():
        return codec.channel_blocks(data, seconds, wide, nothing, False)
    table, stops_whole = codec.channel_blocks(data, seconds[~broken], wide, nothing, False)
    known = np.unique(table[:, KEY] * (1 << 20) + table[:, COUNT])
    # A truncated file of one second has no whole one to compare with.
    more, stops_broken = codec.channel_blocks(data, seconds[broken], wide, known, len(known) > 0)
    stops = np.empty(len(seconds), np.int64)
    stops[~broken], stops[broken] = stops_whole, stops_broken
    return np.concatenate([table, more]), stops


def _time(tick: int, offset_s: int) -> np.datetime64:
    return np.datetime64((int(tick) - 100 * offset_s) * NS_PER_TICK, "ns")


def _report_faults(
    out: WaveformRead,
    path: Path,
    faults: NDArray[Any],
    seconds: NDArray[Any],
    stops: NDArray[Any],
    offset: int,
) -> None:
    place = {int(first): i for i, first in enumerate(seconds[:, Second.START])}
    for kind, p, length in faults[:_MOST_ROWS].tolist():
        where: dict[str, Any] = {}
        if kind in (Fault.DAMAGED, Fault.TRUNCATED):
            row, stop = seconds[place[p]], int(stops[place[p]])
            p, length = stop, p + length - stop
            tick = int(row[Second.TIME])
            where = {"start": _time(tick, offset), "end": _time(tick + int(row[Second.FRAME]), offset)}
        out.fail(path, f"{length} bytes from byte {p} left out: {_MEANING[Fault(kind)]}", **where)
    if len(faults) > _MOST_ROWS:
        n_byte = int(faults[_MOST_ROWS:, 2].sum())
        out.fail(path, f"{len(faults) - _MOST_ROWS} more damaged stretches, {n_byte} bytes")


def _without_leap_seconds(
    out: WaveformRead, path: Path, table: NDArray[Any], seconds: NDArray[Any], offset: int
) -> NDArray[Any]:
    """Leave out seconds numbered 60: times without leap seconds have no place for them."""
    if not seconds[:, Second.LEAP].any():
        return table
    place = np.searchsorted(seconds[:, Second.START], table[:, codec.OFFSET], side="right") - 1
    leap = seconds[place, Second.LEAP] != 0
    n_sample = np.bincount(place[leap], table[leap, COUNT], len(seconds)).astype(int)
    for i in _first(out, path, np.flatnonzero(n_sample), "leap seconds"):
        when = _time(int(seconds[i, Second.TIME]), offset)
        out.fail(
            path,
            f"{n_sample[i]} samples in the leap second before {when} left out: UTC without leap seconds has "
            "no place for them",
            kind="LeapSecond",
            start=when,
            end=when,
        )
    kept: NDArray[Any] = table[~leap]
    return kept


def _first(out: WaveformRead, path: Path, found: NDArray[Any], what: str) -> NDArray[Any]:
    """Return the first of what is to be told row by row, and tell how many more there are."""
    if len(found) > _MOST_ROWS:
        out.fail(path, f"{len(found)} {what}; the first {_MOST_ROWS} have a row each", kind="Warning")
    return found[:_MOST_ROWS]


def _window(
    table: NDArray[Any], start: np.datetime64 | None, end: np.datetime64 | None, offset: int
) -> NDArray[Any]:
    """Keep the channel blocks that reach into a window; samples are cut later."""
    if start is not None:
        low = int(start.astype("datetime64[ns]").astype(np.int64)) // NS_PER_TICK + 100 * offset
        table = table[table[:, TIME] + np.maximum(table[:, FRAME], 100) >= low]
    if end is not None:
        high = -(-int(end.astype("datetime64[ns]").astype(np.int64)) // NS_PER_TICK) + 100 * offset
        table = table[table[:, TIME] <= high]
    return table


def _sorted(table: NDArray[Any]) -> NDArray[Any]:
    """Sort by channel and time, in the order of the file where both agree."""
    if (np.diff(table[:, TIME]) >= 0).all():
        order = np.argsort(table[:, KEY], kind="stable")
    else:
        order = np.lexsort((table[:, TIME], table[:, KEY]))
    return table.take(order, axis=0)


def _rate(row: NDArray[Any]) -> float:
    return float(row[COUNT]) * 100 / float(row[FRAME])


def _report_changes(
    out: WaveformRead, path: Path, table: NDArray[Any], changed: NDArray[Any], wide: bool, offset: int
) -> None:
    _, first, n_change = np.unique(table[changed, KEY], return_index=True, return_counts=True)
    rows = np.flatnonzero(changed)[first]
    for i, n in zip(_first(out, path, rows, "channels change their rate"), n_change):
        row = table[i]
        out.fail(
            path,
            f"{seed_name(int(row[KEY]), wide, _rate(row))}: the rate changes {n} times without a gap, "
            f"first to {_rate(row):g} Hz; a partial second would look the same",
            kind="Warning",
            start=_time(int(row[TIME]), offset),
        )


def _report_lost(
    out: WaveformRead, path: Path, table: NDArray[Any], lost: NDArray[Any], wide: bool, offset: int
) -> None:
    for i in _first(out, path, np.flatnonzero(lost), "seconds cannot be known in full"):
        row = table[i]
        out.fail(
            path,
            f"{seed_name(int(row[KEY]), wide, _rate(row))}: {lost[i]} samples left out: the first of this "
            f"second is missing, and differences of {row[CODE] or 0.5:g} bytes have nothing to count from",
            start=_time(int(row[TIME]), offset),
            end=_time(int(row[TIME] + row[FRAME]), offset),
        )


def _report_surplus(out: WaveformRead, path: Path, table: NDArray[Any]) -> None:
    if len(table):
        out.fail(
            path,
            f"{len(table)} channel blocks left out: more than {codec.MOST_VERSIONS} recordings of one second",
            kind="Overlap",
        )


def _overlapping(blocks: list[Waveform]) -> set[str]:
    """Return the channels of which two blocks hold the same time; those of each come in order of start."""
    out: set[str] = set()
    reached: dict[str, np.datetime64] = {}
    if len({b.ids[0] for b in blocks}) == len(blocks):
        return out
    for block in blocks:
        identifier, following = block.ids[0], block.following
        earlier = reached.get(identifier, block.start)
        if block.start < earlier:
            out.add(identifier)
        reached[identifier] = max(following, earlier)
    return out


def _blocks(
    table: NDArray[Any], run: NDArray[Any], samples: NDArray[np.int32], wide: bool, offset: int
) -> Iterator[Waveform]:
    first = np.flatnonzero(np.diff(run, prepend=-1))
    edges = np.append((np.cumsum(table[:, COUNT]) - table[:, COUNT])[first], samples.size).tolist()
    starts = ((table[first, TIME] - 100 * offset) * NS_PER_TICK).astype("datetime64[ns]")
    rates = (table[first, COUNT] * 100 / table[first, FRAME]).tolist()
    for i, (key, rate) in enumerate(zip(table[first, KEY].tolist(), rates)):
        piece = samples[np.newaxis, edges[i] : edges[i + 1]]
        yield Waveform(piece, (seed_name(key, wide, rate),), starts[i], rate, "count")


def _without_missing(block: Waveform) -> Iterator[Waveform]:
    there = block.data[0] != MISSING
    edges = np.flatnonzero(np.diff(there, prepend=False, append=False))
    for low, high in zip(edges[::2].tolist(), edges[1::2].tolist()):
        yield Waveform(block.data[:, low:high], block.ids, block.time(low), block.sampling_rate, "count")
