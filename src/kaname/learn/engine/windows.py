"""A stream of blocks of one sensor becomes fixed windows on the absolute clock.

Window number ``k`` answers for the samples ``k * core`` to ``(k + 1) * core`` since 1970 and shows a halo on
either side. What it holds follows from the raw samples about it and from nothing else, so that neither the
cuts of the stream nor its beginning matter. Gaps are masked, never joined or closed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kaname.core.time import NS_PER_S
from kaname.core.waveform import Waveform
from kaname.learn.engine.resample import REACH_S, place

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

PIECE = (2048, 32768)
"""Least and most samples that are held together."""
DEAD_S = 2.0
"""A channel that has not changed for this long is dead: a gap filled with a constant is a gap."""
SPIKE = 8.0
"""A sample is a spike where it leaves its neighbours by this many times any other step near it: no earthquake
does so behind a digitiser's filter."""
SPIKE_NEAR = 6
"""How near, in samples."""
_SLOTS = (("Z", "U"), ("N", "1", "X", "R", "V"), ("E", "2", "Y", "T", "W"))


@dataclass(frozen=True, eq=False)
class Window:
    """What a network is shown of one sensor."""

    start: np.datetime64
    """Time of the first sample of the grid, halo included."""
    ids: tuple[str, str, str]
    """Channel in each row; empty where there is none."""
    data: Array
    """Samples of Z, N, E on the grid, less the first one of each, shape (3, n)."""
    mask: Mask
    """Where they are real, same shape."""
    shifts: tuple[tuple[int, float], ...]
    """From which sample on the samples were taken how much later than their place on the grid [sample]."""

    def shift(self, position: float) -> float:
        """Return by how much the samples about ``position`` are later than their place on the grid."""
        found = 0.0
        for first, shift in self.shifts:
            if first <= position + 0.5:
                found = shift
        return found


class Stretch(NamedTuple):
    """Gap-free raw samples on one clock."""

    ids: tuple[str, ...]
    origin_ns: int
    """Time of the very first sample of the stretch."""
    sampling_rate: float
    first: int
    """Number, from the origin, of the first sample still held."""
    pieces: tuple[NDArray[np.generic], ...]
    """Samples, each of shape (n_channel, n)."""

    @property
    def n_held(self) -> int:
        """Samples held."""
        return sum(p.shape[1] for p in self.pieces)

    def time_ns(self, index: int) -> int:
        """Time of a sample counted from the origin [ns]."""
        interval = NS_PER_S / self.sampling_rate
        if interval.is_integer():
            return self.origin_ns + index * int(interval)
        return self.origin_ns + round(index * NS_PER_S / self.sampling_rate)

    def index_at(self, time_ns: int) -> int:
        """Number from the origin of the first sample not before a time."""
        index = round((time_ns - self.origin_ns) * self.sampling_rate / NS_PER_S)
        while self.time_ns(index) < time_ns:
            index += 1
        while self.time_ns(index - 1) >= time_ns:
            index -= 1
        return index

    @property
    def following_ns(self) -> int:
        """Time at which the next sample is due [ns]."""
        return self.time_ns(self.first + self.n_held)

    def continued_by(self, block: Waveform) -> bool:
        """Tell whether a block comes next on this stretch's clock, to half a sample."""
        return (
            self.ids == block.ids
            and self.sampling_rate == block.sampling_rate
            and self.pieces[0].dtype == native(block.data.dtype)
            and abs(_ns(block.start) - self.following_ns) <= 0.5 * NS_PER_S / self.sampling_rate
        )

    def extended(self, samples: NDArray[np.generic]) -> Stretch:
        """Return the stretch with a copy of more samples: small blocks are put together, large ones cut."""
        pieces = list(self.pieces)
        least, most = PIECE
        if pieces[-1].shape[1] < least:
            samples = np.concatenate([pieces.pop(), samples], axis=1)
        pieces += [samples[:, low : low + most].copy() for low in range(0, samples.shape[1], most)]
        return self._replace(pieces=tuple(pieces))

    def since(self, time_ns: int) -> Stretch | None:
        """Return what is not before a time, and what shares a piece with it."""
        spare = self.index_at(time_ns) - self.first
        n = 0
        while n < len(self.pieces) and spare >= self.pieces[n].shape[1]:
            spare -= self.pieces[n].shape[1]
            n += 1
        if n == len(self.pieces):
            return None
        dropped = sum(p.shape[1] for p in self.pieces[:n])
        return self._replace(first=self.first + dropped, pieces=self.pieces[n:])

    def between(self, start_ns: int, end_ns: int) -> tuple[int, list[NDArray[np.generic]]] | None:
        """Return the number of the first sample with ``start <= time < end``, and the samples in pieces."""
        low = max(self.first, self.index_at(start_ns))
        high = min(self.first + self.n_held, self.index_at(end_ns))
        if low >= high:
            return None
        shown, at = [], self.first
        for piece in self.pieces:
            part = piece[:, max(0, low - at) : max(0, high - at)]
            if part.shape[1]:
                shown.append(part)
            at += piece.shape[1]
        return low, shown


@dataclass(frozen=True)
class Pending:
    """State: raw samples that windows to come will show."""

    stretches: tuple[Stretch, ...]
    number: int
    """The next window."""


class Windows:
    """Cut a stream into windows: a `kaname.core.step.Step` from `Waveform` to `Window`.

    The blocks are of one sensor and in order of time; each may hold other channels or have another rate than
    the last. A second sensor under the same code (channels 1, 2, 3 beside Z, N, E) gets windows of its own.

    Parameters
    ----------
    core, halo
        Samples answered for, and shown beside them on either side.
    rate_hz
        Sampling rate of the grid; an interval must be a whole number of nanoseconds.
    """

    def __init__(self, *, core: int, halo: int, rate_hz: float) -> None:
        self.core, self.halo = core, halo
        self.n_sample = core + 2 * halo
        self.interval_ns = round(NS_PER_S / rate_hz)
        self._reach_ns = round(REACH_S * NS_PER_S)

    def start(self) -> Pending:
        """Return the state before any input."""
        return Pending((), 0)

    def __call__(self, state: Pending, item: Waveform) -> tuple[Pending, list[Window]]:
        """Take in the next block; return the new state and the windows that are now complete."""
        state, out = self._complete(state, _ns(item.start))
        state = self._append(state, item)
        state, more = self._complete(state, state.stretches[-1].following_ns)
        return state, out + more

    def finish(self, state: Pending) -> list[Window]:
        """Return the windows that show what is left."""
        return self._complete(state, None)[1]

    def _append(self, state: Pending, block: Waveform) -> Pending:
        samples = np.asarray(block.data, dtype=native(block.data.dtype))
        if state.stretches and state.stretches[-1].continued_by(block):
            last = state.stretches[-1].extended(samples)
            return replace(state, stretches=(*state.stretches[:-1], last))
        nothing = np.empty((block.n_channel, 0), samples.dtype)
        fresh = Stretch(block.ids, _ns(block.start), block.sampling_rate, 0, (nothing,)).extended(samples)
        # The first sample goes to the nearest place on the grid: that, not its time, names its window.
        nearest = (fresh.origin_ns + self.interval_ns // 2) // self.interval_ns
        number = max(state.number, nearest // self.core)
        return Pending((*state.stretches, fresh), state.number if state.stretches else number)

    def _complete(self, state: Pending, until_ns: int | None) -> tuple[Pending, list[Window]]:
        """Show all windows of which nothing can come any more, and drop what no later one shows."""
        out: list[Window] = []
        stretches, k = state.stretches, state.number
        while stretches:
            end_ns = ((k + 1) * self.core + self.halo) * self.interval_ns + self._reach_ns
            if until_ns is not None and end_ns > until_ns:
                break
            out += self._windows(stretches, k)
            k += 1
            keep_ns = (k * self.core - self.halo) * self.interval_ns - self._reach_ns
            stretches = tuple(s for s in (t.since(keep_ns) for t in stretches) if s is not None)
        return Pending(stretches, k), out

    def _windows(self, stretches: tuple[Stretch, ...], k: int) -> list[Window]:
        start_ns = (k * self.core - self.halo) * self.interval_ns
        end_ns = start_ns + self.n_sample * self.interval_ns
        shown = []
        for stretch in stretches:
            found = stretch.between(start_ns - self._reach_ns, end_ns + self._reach_ns)
            if found is not None:
                shown.append((stretch, *found))
        out = []
        for rows in slots({i for stretch, _, _ in shown for i in stretch.ids}):
            window = self._fill(shown, rows, start_ns)
            # Nothing is answered for in a window whose core is all gap.
            if window.mask[:, self.halo : self.halo + self.core].any():
                out.append(window)
        return out

    def _fill(
        self, shown: list[tuple[Stretch, int, list[NDArray[np.generic]]]], rows: dict[str, int], start_ns: int
    ) -> Window:
        data = np.zeros((3, self.n_sample), np.float32)
        mask = np.zeros((3, self.n_sample), np.bool_)
        ids = ["", "", ""]
        origin: dict[int, float] = {}
        shifts: list[tuple[int, float]] = []
        for stretch, first, pieces in shown:
            offset_ns = stretch.time_ns(first) - start_ns
            for k, channel in enumerate(stretch.ids):
                row = rows.get(channel)
                if row is None:
                    continue
                x = np.concatenate([piece[k] for piece in pieces])
                # Two kinds of samples are compiled for.
                x = x if x.dtype == np.int32 else x.astype(np.float64, copy=False)
                runs = alive(x, max(2, round(DEAD_S * stretch.sampling_rate)))
                if not len(runs):
                    continue
                ids[row] = channel
                zero = origin.setdefault(row, float(x[runs[0, 0]]))
                shift = place(
                    x, runs, offset_ns, stretch.sampling_rate, self.interval_ns, zero, data[row], mask[row]
                )
                at = round(offset_ns / self.interval_ns)
                if not shifts or shifts[-1] != (at, shift):
                    shifts.append((at, shift))
        start = np.datetime64(start_ns, "ns")
        return Window(start, (ids[0], ids[1], ids[2]), data, mask, tuple(shifts))


def slots(ids: set[str]) -> list[dict[str, int]]:
    """Return which channel stands for Z (0), N (1) and E (2), once for each sensor under the code.

    1 and 2 are horizontals, but where there is a 3 they are 2 and 3, and 1 stands for the vertical. A letter
    that says nothing takes the first free place.
    """
    by_code = {i[-1].upper(): i for i in sorted(ids)}
    codes = set(by_code)
    if {"1", "2", "3"} <= codes and codes & {"Z", "N", "E"}:
        second = {c for c in codes if c in "123"}
        groups = [codes - second, second]
    else:
        groups = [codes]
    return [{by_code[c]: row for c, row in _rows(group).items()} for group in groups if group]


def _rows(codes: set[str]) -> dict[str, int]:
    known = [list(s) for s in _SLOTS]
    if "3" in codes:
        known = [["Z", "U", "1"], ["N", "2"], ["E", "3"]]
    out: dict[str, int] = {}
    for row, names in enumerate(known):
        for code in names:
            if code in codes:
                out[code] = row
    taken = set(out.values())
    for code in sorted(codes - out.keys()):
        free = [row for row in range(3) if row not in taken]
        if free:
            out[code] = free[0]
            taken.add(free[0])
    return out


@njit(cache=True)
def alive(x: NDArray[np.generic], dead: int) -> NDArray[np.int64]:
    """Return the runs of samples that are finite, no spike, and not in a constant of ``dead`` or more.

    Shape (n_run, 2): first, and one past the last.
    """
    n = x.shape[0]
    bad = np.zeros(n, np.bool_)
    any_bad = False
    for i in range(n):
        if not np.isfinite(x[i]):
            bad[i] = True
            any_bad = True
    for low in range(SPIKE_NEAR, n - SPIKE_NEAR, 256):
        high = min(low + 256, n - SPIKE_NEAR)
        if not _has_outlier(x[low - 1 : high + 1]):
            continue
        for i in range(low, high):
            size = min(abs(x[i] - x[i - 1]), abs(x[i + 1] - x[i])) / SPIKE
            # The first two comparisons leave out nearly everything.
            if size > abs(x[i - 1] - x[i - 2]) and size > abs(x[i + 2] - x[i + 1]) and _is_spike(x, i, size):
                bad[i] = True
                any_bad = True
    # A constant that long holds three equal samples at some multiple of half its length.
    step = max(1, dead // 2)
    i = 0
    while i < n:
        if x[i] == x[min(i + 1, n - 1)] and x[i] == x[max(i - 1, 0)]:
            low, high = i, i + 1
            while low > 0 and x[low - 1] == x[i]:
                low -= 1
            while high < n and x[high] == x[i]:
                high += 1
            if high - low >= dead or high - low == n:
                bad[low:high] = True
                any_bad = True
            i = max(i + step, (high + step - 1) // step * step)
            continue
        i += step
    if not any_bad:
        whole = np.empty((1, 2), np.int64)
        whole[0, 0], whole[0, 1] = 0, n
        return whole
    edges = np.empty((n + 1, 2), np.int64)
    count, i = 0, 0
    while i < n:
        if bad[i]:
            i += 1
            continue
        low = i
        while i < n and not bad[i]:
            i += 1
        edges[count, 0], edges[count, 1] = low, i
        count += 1
    return edges[:count].copy()


@njit(cache=True, fastmath={"reassoc", "nsz"})
def _has_outlier(x: NDArray[np.generic]) -> bool:
    """Tell whether the largest step exceeds five times the mean one, as no spike fails to make it."""
    total = most = abs(x[0] - x[0])  # in integers where the samples are
    for i in range(1, x.shape[0]):
        step = abs(x[i] - x[i - 1])
        total += step
        most = step if step > most else most
    return not most * (x.shape[0] - 1) <= 5.0 * total


@njit(cache=True)
def _is_spike(x: NDArray[np.generic], i: int, size: float) -> bool:
    """Tell whether the sample sticks out, and steps as large near it are one more spike at most."""
    if (x[i] - x[i - 1]) * (x[i + 1] - x[i]) >= 0:
        return False
    others = 0
    for k in range(i - SPIKE_NEAR + 1, i + SPIKE_NEAR + 1):
        if k not in (i, i + 1) and abs(x[k] - x[k - 1]) >= size:
            others += 1
    return others <= 2


def native(dtype: np.dtype[np.generic]) -> np.dtype[np.generic]:
    """Return the type samples are held in: their own in the machine's byte order, odd ones as float64."""
    if dtype.newbyteorder("=") in _HELD:
        return dtype.newbyteorder("=")
    return np.dtype(np.float64)


_HELD = tuple(np.dtype(t) for t in (np.int16, np.int32, np.float32, np.float64))


def _ns(time: np.datetime64) -> int:
    return int(time.astype(np.int64))
