"""Onsets on one sensor, found block by block, with what is needed to tell and to time them.

An onset is a frame where the band energy rises most within 0.3 s. It carries the evidence about it
(`kaname.signal.onsets.evidence`) and the samples around it. What a digitiser does to itself is left out: the
start of a stretch, single-sample spikes, steps, and the end of a dead (constant) stretch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kaname.core.errors import InputError
from kaname.core.waveform import Waveform, sensor_of
from kaname.signal.filters import bandpass, filter_block, rest_state
from kaname.signal.onsets import (
    AFTER_FRAMES,
    BEFORE_FRAMES,
    evidence,
    frame_energy,
    frame_length,
    octave_bands,
    onset_level,
)

Array = NDArray[np.float64]

RATE_HZ = (10.0, 500.0)
APART_FRAMES = 6
PIECE_S = 300.0
"""Longest piece of a block worked on at once, which bounds memory."""
SNIPPET_S = 0.6
"""Samples kept with an onset on either side."""
DEAD_S = 2.0
"""A channel that has not changed for this long is dead."""
LIGHT_HZ = (2.0, 8.0)
"""Corners of the two high-passes on whose output onset times are measured."""


@dataclass(frozen=True)
class Onset:
    """A rise of energy on one sensor."""

    time: np.datetime64
    """Start of its frame; `samples` starts `lead` samples earlier."""
    evidence: Array
    """See `kaname.signal.onsets.evidence`."""
    vertical: tuple[int, ...]
    """Rows of `samples` that stand for the vertical."""
    horizontal: tuple[int, ...]
    """Rows of the horizontals; empty when there are none, or they are dead."""
    ids: tuple[str, ...]
    samples: Array
    """Raw and high-passed samples, shape (3, n_channel, n_sample): raw, then above each of `LIGHT_HZ`."""
    lead: int
    sampling_rate: float

    def at(self, sample: float) -> np.datetime64:
        """UTC time of a sample of the snippet."""
        return self.time + np.timedelta64(round((sample - self.lead) / self.sampling_rate * 1e9), "ns")


@dataclass(frozen=True)
class Stretch:
    """State within one gap-free stretch. Buffers start at frame `first` of the stretch."""

    origin: Waveform
    """The first sample, whose clock times everything."""
    last: Waveform
    """The last sample, to tell whether the next block follows."""
    filters: tuple[Array, ...]
    """Octave bands, then the two high-passes; `memory` holds the state of each."""
    memory: tuple[Array, ...]
    n_seen: int
    rest: Array
    """Raw samples of the frame that is not yet complete, shape (n_channel, < frame)."""
    samples: Array
    """Raw and high-passed samples, shape (3, n_channel, n_sample)."""
    energy: Array
    """Shape (n_band, n_channel, n_frame)."""
    dead: NDArray[np.bool_]
    """Whether each channel is dead, shape (n_channel, n_frame)."""
    still: NDArray[np.int64]
    """Frames since each channel last changed."""
    first: int
    judged: int
    """The next frame to judge."""

    @property
    def frame(self) -> int:
        """Samples per frame."""
        return frame_length(self.origin.sampling_rate)

    def continued_by(self, block: Waveform) -> bool:
        """Tell whether ``block`` comes next, by the last block's clock and by the stretch's own."""
        return block.follows(self.last) and abs(self.origin.index(block.start) - self.n_seen) <= 0.5

    def frames(self, seconds: float) -> int:
        """Return a duration in frames."""
        return round(seconds * self.origin.sampling_rate / self.frame)


class OnsetStep:
    """Find onsets: a `kaname.core.step.Step` from `Waveform` blocks of one sensor to `Onset`.

    Parameters
    ----------
    threshold_db
        Least rise of energy (`kaname.signal.onsets.onset_level`).
    warmup_s
        No onset in the first seconds of a stretch, nor after a dead stretch.
    """

    def __init__(self, *, threshold_db: float, warmup_s: float) -> None:
        self.threshold_db = threshold_db
        self.warmup_s = warmup_s

    def start(self) -> Stretch | None:
        """Return the state before any input."""
        return None

    def __call__(self, state: Stretch | None, item: Waveform) -> tuple[Stretch | None, list[Onset]]:
        """Take in the next block; return the new state and the onsets whose surroundings are complete."""
        check_block(item, None if state is None else state.last)
        out: list[Onset] = []
        for part in finite_parts(item):
            if state is not None and not state.continued_by(part):
                out += self.finish(state)
                state = None
            if state is None:
                state = _open(part)
            n_piece = round(PIECE_S * part.sampling_rate)
            for low in range(0, part.n_sample, n_piece):
                state = _take_in(state, part.data[:, low : low + n_piece].astype(np.float64))
                state, found = self._judge(state, final=False)
                out += found
            state = replace(state, last=_sample(part, -1))
        return state, out

    def finish(self, state: Stretch | None) -> list[Onset]:
        """Return the onsets still held back when the stretch ends."""
        return [] if state is None else self._judge(state, final=True)[1]

    def _judge(self, state: Stretch, *, final: bool) -> tuple[Stretch, list[Onset]]:
        """Judge all frames whose surroundings are complete, and drop what no later frame looks at."""
        available = state.first + state.energy.shape[2]
        until = max(state.judged, available if final else available - AFTER_FRAMES)
        found: list[Onset] = []
        for vertical, horizontal in components(state.origin.ids):
            found += self._onsets(state, until - state.first, vertical, horizontal)
        drop = max(0, until - BEFORE_FRAMES - state.first)
        state = replace(
            state,
            samples=state.samples[:, :, drop * state.frame :].copy(),
            energy=state.energy[:, :, drop:].copy(),
            dead=state.dead[:, drop:].copy(),
            first=state.first + drop,
            judged=until,
        )
        return state, sorted(found, key=lambda o: o.time)

    def _onsets(
        self, state: Stretch, until: int, vertical: tuple[int, ...], horizontal: tuple[int, ...]
    ) -> list[Onset]:
        """Return the onsets on one group of channels from the next frame up to buffer frame ``until``."""
        begin = state.judged - state.first
        if until <= begin:
            return []
        parts = [state.energy[:, list(rows)].mean(axis=1) for rows in (vertical, horizontal) if rows]
        energy = np.stack(parts, axis=1)
        low = max(0, begin - APART_FRAMES - 10)
        level = onset_level(np.ascontiguousarray(energy[:, :, low : until + APART_FRAMES + 4]))
        out = []
        warmup = state.frames(self.warmup_s)
        for k in local_maxima(level, self.threshold_db, APART_FRAMES) + low:
            if not begin <= k < until or k + state.first < warmup:
                continue
            recent = state.dead[:, max(0, k - warmup) : k + 1]
            if recent[list(vertical)].any():
                continue
            alive = () if recent[list(horizontal)].any() else horizontal
            seen = np.ascontiguousarray(energy if alive else energy[:, :1])
            onset = self._onset(state, int(k), seen, vertical, alive)
            if onset is not None:
                out.append(onset)
        return out

    def _onset(
        self, state: Stretch, k: int, energy: Array, vertical: tuple[int, ...], horizontal: tuple[int, ...]
    ) -> Onset | None:
        centre, half = k * state.frame, round(SNIPPET_S * state.origin.sampling_rate)
        begin = max(0, centre - half)
        samples = state.samples[:, :, begin : centre + half].copy()
        near = max(10, half // 2)
        raw = samples[0][list(vertical + horizontal)]
        if is_glitch(raw, max(0, centre - begin - near), min(raw.shape[1], centre - begin + near)):
            return None
        return Onset(
            time=state.origin.time((state.first + k) * state.frame),
            evidence=evidence(energy, k),
            vertical=vertical,
            horizontal=horizontal,
            ids=state.origin.ids,
            samples=samples,
            lead=centre - begin,
            sampling_rate=state.origin.sampling_rate,
        )


def components(ids: tuple[str, ...]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return the groups of channels to pick on: indices that stand for the vertical, and of the horizontals.

    Without a vertical (channels 1, 2, 3 of unknown orientation, horizontals alone, one channel) all channels
    stand for the vertical. Channels 1, 2, 3 beside Z, N, E are a second sensor under the same code (a
    borehole below a surface sensor) and make a group of their own.
    """
    index = {i[-1].upper(): n for n, i in enumerate(ids)}
    if "Z" not in index:
        return [(tuple(sorted(index.values())), ())]
    second = {"1", "2", "3"} <= index.keys()
    codes = "NE" if second or {"N", "E"} & index.keys() else "12" if "1" in index else "23"
    groups: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
        ((index["Z"],), tuple(index[c] for c in codes if c in index))
    ]
    if second:
        groups.append((tuple(index[c] for c in "123"), ()))
    return groups


@njit(cache=True)
def is_glitch(raw: Array, low: int, high: int) -> bool:
    """Tell whether two sample-to-sample steps hold most of the change: a spike or an offset.

    Parameters
    ----------
    raw
        Samples, shape (n_channel, n_sample).
    low, high
        Window about the onset [sample].
    """
    for c in range(raw.shape[0]):
        total = 0.0
        first = 0.0
        second = 0.0
        for i in range(low + 1, high):
            step = (raw[c, i] - raw[c, i - 1]) ** 2
            total += step
            if step > first:
                first, second = step, first
            elif step > second:
                second = step
        if first + second > 0.8 * total:
            return True
    return False


def check_block(block: Waveform, last: Waveform | None) -> None:
    """Raise `InputError` unless a block can come next: one sensor, in time order, at a usable rate."""
    sensors = sorted({sensor_of(i) for i in block.ids})
    if len(sensors) > 1:
        raise InputError(
            f"a picker takes the channels of one sensor, found {', '.join(sensors)}; group the channels "
            "with kaname.core.waveform.sensor_of first"
        )
    if len(set(block.ids)) < block.n_channel:
        raise InputError(f"a channel stands twice in a block of {', '.join(block.ids)}")
    low, high = RATE_HZ
    if not low <= block.sampling_rate <= high:
        raise InputError(
            f"{block.sensor} has {block.sampling_rate} Hz; the picker takes {low} to {high} Hz, so resample"
        )
    if last is not None and last.index(block.start) < 0:
        raise InputError(
            f"{block.sensor}: a block from {block.start} came after samples up to {last.start}; the blocks "
            "of a sensor must come in time order and must not overlap"
        )


def finite_parts(block: Waveform) -> list[Waveform]:
    """Split a block at samples that are not finite: they are a gap."""
    finite = np.isfinite(block.data).all(axis=0)
    if finite.all():
        return [block]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], finite, [False]]).astype(np.int8)))
    return [
        replace(block, data=block.data[:, low:high], start=block.time(low))
        for low, high in zip(edges[::2].tolist(), edges[1::2].tolist())
    ]


@njit(cache=True)
def local_maxima(level: Array, threshold: float, apart: int) -> NDArray[np.int64]:
    """Return where ``level`` exceeds a threshold and everything within ``apart`` (the first of equals)."""
    out = []
    for k in range(level.size):
        if not level[k] > threshold:
            continue
        best = True
        for j in range(max(0, k - apart), min(level.size, k + apart + 1)):
            if level[j] > level[k] or (level[j] == level[k] and j < k):
                best = False
        if best:
            out.append(k)
    return np.array(out, dtype=np.int64)


@njit(cache=True)
def dead_frames(
    data: Array, before: Array, still: NDArray[np.int64], frame: int, limit: int
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return which frames end a run of at least ``limit`` frames without change, and the runs at the end.

    ``before`` is the last sample and ``still`` the run, in frames, of each channel up to here.
    """
    n_channel, n_frame = data.shape[0], data.shape[1] // frame
    dead = np.zeros((n_channel, n_frame), dtype=np.bool_)
    run = still.copy()
    for c in range(n_channel):
        last = before[c]
        for f in range(n_frame):
            run[c] += 1
            for i in range(f * frame, (f + 1) * frame):
                if data[c, i] != last:
                    run[c] = 0
                last = data[c, i]
            dead[c, f] = run[c] >= limit
    return dead, run


def _open(block: Waveform) -> Stretch:
    rate, n = block.sampling_rate, block.n_channel
    first = block.data[:, 0].astype(np.float64)
    bands = [bandpass(low, high, rate) for low, high in octave_bands(rate)]
    filters = (*bands, *(bandpass(min(low, 0.2 * rate), rate, rate) for low in LIGHT_HZ))
    return Stretch(
        origin=_sample(block, 0),
        last=_sample(block, 0),
        filters=filters,
        memory=tuple(rest_state(sos, first) for sos in filters),
        n_seen=0,
        rest=np.empty((n, 0)),
        samples=np.empty((1 + len(LIGHT_HZ), n, 0)),
        energy=np.empty((len(bands), n, 0)),
        dead=np.empty((n, 0), dtype=np.bool_),
        still=np.zeros(n, dtype=np.int64),
        first=0,
        judged=0,
    )


def _take_in(state: Stretch, data: Array) -> Stretch:
    """Filter the next samples and append the frames that they complete."""
    frame = state.frame
    fresh = np.concatenate([state.rest, data], axis=1)
    n = fresh.shape[1] // frame * frame
    seen = state.n_seen + data.shape[1]
    whole, rest = np.ascontiguousarray(fresh[:, :n]), fresh[:, n:].copy()
    if not n:
        return replace(state, n_seen=seen, rest=rest)
    passed = [filter_block(sos, whole, memory) for sos, memory in zip(state.filters, state.memory)]
    n_light = len(LIGHT_HZ)
    samples = np.stack([whole, *(out for out, _ in passed[-n_light:])])
    energy = np.stack([frame_energy(out, frame) for out, _ in passed[:-n_light]])
    # Before the very first sample there is none; against itself, it has not changed.
    before = state.samples[0, :, -1] if state.samples.shape[2] else whole[:, 0]
    dead, still = dead_frames(
        whole, np.ascontiguousarray(before), state.still, frame, max(1, state.frames(DEAD_S))
    )
    return replace(
        state,
        memory=tuple(memory for _, memory in passed),
        n_seen=seen,
        rest=rest,
        samples=np.concatenate([state.samples, samples], axis=2),
        energy=np.concatenate([state.energy, energy], axis=2),
        dead=np.concatenate([state.dead, dead], axis=1),
        still=still,
    )


def _sample(block: Waveform, index: int) -> Waveform:
    index %= block.n_sample
    return replace(block, data=block.data[:, index : index + 1].copy(), start=block.time(index))
