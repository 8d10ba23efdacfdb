"""The default picker: energy-ratio onsets, AIC onset times, P and S told apart by what surrounds them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from kaname.automation.pick.registry import Pick, picker
from kaname.core.errors import InputError
from kaname.core.waveform import Waveform, sensor_of
from kaname.signal.filters import bandpass, filter_block, rest_state
from kaname.signal.trigger import aic

Array = NDArray[np.float64]

RATE_HZ = (10.0, 500.0)
FRAME_S = 0.05
PIECE_S = 300.0
"""Longest piece of a block worked on at once, which bounds memory."""
HISTORY_S = 12.0
LOOKAHEAD_S = 2.5
SCALES = ((4, 10, 8.0), (10, 60, 6.0))
"""Frames after, frames before, and least energy ratio [dB] of each time scale of the detector."""
APART_S = 0.4
"""Two onsets of the same phase are at least this far apart."""


class ClassicalSettings(BaseModel):
    """Settings of the classical picker."""

    model_config = ConfigDict(extra="forbid")

    low_hz: float = Field(2.0, gt=0, description="lower corner of the band-pass [Hz]")
    high_hz: float = Field(25.0, gt=0, description="upper corner [Hz], lowered to what the rate allows")
    warmup_s: float = Field(5.0, ge=1, description="no pick in the first seconds of a stretch [s]")
    min_probability: float = Field(0.3, ge=0, le=1, description="picks below this probability are dropped")


@dataclass(frozen=True)
class _Stretch:
    """State within one gap-free stretch of data."""

    ids: tuple[str, ...]
    vertical: tuple[int, ...]
    horizontal: tuple[int, ...]
    last: Waveform
    """The last sample seen, to tell whether the next block follows."""
    origin: Waveform
    """The first sample, whose clock times every pick."""
    n_seen: int
    sos: Array
    memory: Array
    rest: Array
    """Samples of a frame not yet complete."""
    trace: Array
    """Filtered samples kept, from frame `first` on."""
    energy: Array
    """Mean square per frame of the vertical and the horizontal part, from frame `first` on."""
    first: int
    judged: int
    """The next frame to judge."""
    held: tuple[Pick, ...]

    @property
    def rate(self) -> float:
        return self.origin.sampling_rate

    @property
    def frame(self) -> int:
        """Samples per frame."""
        return max(1, round(FRAME_S * self.rate))

    def continues(self, block: Waveform) -> bool:
        return block.follows(self.last) and abs(self.origin.index(block.start) - self.n_seen) <= 0.5


@picker("classical")
class ClassicalPicker:
    """Energy-ratio detector with AIC refinement.

    Parameters
    ----------
    settings
        See `ClassicalSettings`.
    """

    name = "classical"
    Settings = ClassicalSettings

    def __init__(self, settings: ClassicalSettings, variant: str = "") -> None:
        if variant:
            raise InputError(f"the classical picker has no variant {variant!r}; call it 'classical'")
        self.settings = settings

    def start(self) -> _Stretch | None:
        return None

    def __call__(self, state: _Stretch | None, item: Waveform) -> tuple[_Stretch | None, list[Pick]]:
        _check(item, state)
        out: list[Pick] = []
        for part in _finite_parts(item):
            if state is not None and not state.continues(part):
                out += self.finish(state)
                state = None
            if state is None:
                state = self._open(part)
            n_piece = round(PIECE_S * part.sampling_rate)
            for low in range(0, part.n_sample, n_piece):
                state, found = self._advance(state, part.data[:, low : low + n_piece].astype(np.float64))
                out += found
            state = replace(state, last=_sample(part, -1))
        return state, out

    def finish(self, state: _Stretch | None) -> list[Pick]:
        if state is None:
            return []
        state, found = self._judge(state, final=True)
        return [*found, *state.held]

    def _open(self, block: Waveform) -> _Stretch:
        rate = block.sampling_rate
        low = min(self.settings.low_hz, 0.1 * rate)
        high = max(self.settings.high_hz, 2 * low)
        sos = bandpass(low, high, rate)
        vertical, horizontal = components(block.ids)
        n = block.n_channel
        return _Stretch(
            ids=block.ids,
            vertical=vertical,
            horizontal=horizontal,
            last=_sample(block, 0),
            origin=_sample(block, 0),
            n_seen=0,
            sos=sos,
            memory=rest_state(sos, block.data[:, 0].astype(np.float64)),
            rest=np.empty((n, 0)),
            trace=np.empty((n, 0)),
            energy=np.empty((2, 0)),
            first=0,
            judged=0,
            held=(),
        )

    def _advance(self, state: _Stretch, data: Array) -> tuple[_Stretch, list[Pick]]:
        filtered, memory = filter_block(state.sos, data, state.memory)
        fresh = np.concatenate([state.rest, filtered], axis=1)
        n_frame = fresh.shape[1] // state.frame
        whole, rest = fresh[:, : n_frame * state.frame], fresh[:, n_frame * state.frame :]
        energy = frame_energy(np.ascontiguousarray(whole), state.frame)
        parts = [
            energy[list(group)].sum(axis=0) if group else np.zeros(n_frame)
            for group in (state.vertical, state.horizontal)
        ]
        state = replace(
            state,
            n_seen=state.n_seen + data.shape[1],
            memory=memory,
            rest=rest.copy(),
            trace=np.concatenate([state.trace, whole], axis=1),
            energy=np.concatenate([state.energy, np.stack(parts)], axis=1),
        )
        return self._judge(state, final=False)

    def _judge(self, state: _Stretch, *, final: bool) -> tuple[_Stretch, list[Pick]]:
        """Pick in all frames whose surroundings are known; drop what is no longer needed."""
        seconds = state.rate / state.frame
        ahead, history = round(LOOKAHEAD_S * seconds), round(HISTORY_S * seconds)
        available = state.first + state.energy.shape[1]
        until = available if final else max(state.judged, available - ahead)
        picks = list(state.held)
        level = onset_level(state.energy[0], SCALES)
        if state.horizontal:
            level = np.maximum(level, onset_level(state.energy[1], SCALES))
        apart = max(1, round(0.3 * seconds))
        for i in range(state.judged, until):
            k = i - state.first
            lo, hi = max(0, k - apart), min(level.size, k + apart + 1)
            if level[k] > 0 and level[k] == level[lo:hi].max() and i > self.settings.warmup_s * seconds:
                pick = self._pick(state, k, ahead)
                if pick is not None:
                    picks = _keep_best(picks, pick)
        horizon = state.origin.time((until - 2 * seconds) * state.frame)
        done = [p for p in picks if p.time < horizon]
        keep = max(0, until - history - state.first)
        state = replace(
            state,
            trace=state.trace[:, keep * state.frame :].copy(),
            energy=state.energy[:, keep:].copy(),
            first=state.first + keep,
            judged=until,
            held=tuple(p for p in picks if p.time >= horizon),
        )
        return state, done

    def _pick(self, state: _Stretch, k: int, ahead: int) -> Pick | None:
        frames = state.rate / state.frame
        e = state.energy
        noise = e[:, max(0, k - round(10 * frames)) : max(1, k - round(1.5 * frames))].mean(axis=1)
        before = e[:, max(0, k - round(0.7 * frames)) : k - 1].mean(axis=1)
        after = e[:, k : k + round(0.5 * frames)].mean(axis=1)
        raised = 10 * np.log10((before.sum() + 1e-300) / (noise.sum() + 1e-300))
        gain = 10 * np.log10((after + 1e-300) / (before + 1e-300))
        is_s = bool(state.horizontal) and raised > 4 and after[1] > 1.5 * after[0] and gain[1] > gain[0] - 3
        group = list(state.horizontal if is_s else state.vertical)
        a = max(0, k * state.frame - round(1.0 * state.rate if not is_s else 0.7 * state.rate))
        b = min(state.trace.shape[1], k * state.frame + round(0.5 * state.rate))
        x = np.ascontiguousarray(state.trace[group, a:b])
        margin = max(2, round(0.05 * state.rate))
        if x.shape[1] < 3 * margin:
            return None
        sample = a + int(np.argmin(aic(x, margin)))
        snr = float(gain[1 if is_s else 0])
        probability = float(1 / (1 + np.exp(-(snr - 7) / 3)))
        if probability < self.settings.min_probability:
            return None
        channel = state.ids[group[int(np.argmax(x.std(axis=1)))]]
        network, station, location, code = channel.split(".")
        return Pick(
            network,
            station,
            location,
            code,
            "S" if is_s else "P",
            state.origin.time(state.first * state.frame + sample),
            max(0.02, 0.2 * 10 ** (-snr / 30)) * (2.0 if is_s else 1.0),
            probability,
            "",
            snr,
            self.name,
        )


def components(ids: tuple[str, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the indices of the vertical channel and of the two horizontal ones.

    Without a vertical (channels 1, 2, 3 of unknown orientation, horizontals alone, one channel) all channels
    stand for the vertical and there is no horizontal. Numbered channels beside N and E belong to another
    sensor under the same band and instrument code and are left out.
    """
    index = {i[-1].upper(): n for n, i in enumerate(ids)}
    if "Z" not in index:
        return tuple(sorted(index.values())), ()
    pair = "NE" if {"N", "E"} & index.keys() else "12" if {"1"} & index.keys() else "23"
    return (index["Z"],), tuple(index[c] for c in pair if c in index)


@njit(cache=True)
def frame_energy(data: Array, n: int) -> Array:
    """Mean square of each run of ``n`` samples, shape (n_channel, n_sample // n)."""
    out = np.empty((data.shape[0], data.shape[1] // n))
    for c in range(out.shape[0]):
        for f in range(out.shape[1]):
            total = 0.0
            for i in range(f * n, (f + 1) * n):
                total += data[c, i] * data[c, i]
            out[c, f] = total / n
    return out


@njit(cache=True)
def onset_level(energy: Array, scales: tuple[tuple[int, int, float], ...]) -> Array:
    """By how many dB the energy ratio after to before each frame exceeds the threshold, on the best scale."""
    out = np.full(energy.size, -np.inf)
    for post, pre, threshold in scales:
        for i in range(pre, energy.size - post + 1):
            before = 0.0
            for j in range(i - pre, i):
                before += energy[j]
            after = 0.0
            for j in range(i, i + post):
                after += energy[j]
            if before > 0 and after > 0:
                level = 10 * np.log10(after * pre / (before * post)) - threshold
                out[i] = max(out[i], level)
    return out


def _keep_best(picks: list[Pick], new: Pick) -> list[Pick]:
    close = [
        p
        for p in picks
        if p.phase == new.phase and abs((p.time - new.time) / np.timedelta64(1, "s")) < APART_S
    ]
    if any(p.probability >= new.probability for p in close):
        return picks
    kept = [p for p in picks if p not in close]
    return sorted([*kept, new], key=lambda p: p.time)


def _check(block: Waveform, state: _Stretch | None) -> None:
    sensors = {sensor_of(i) for i in block.ids}
    if len(sensors) > 1:
        raise InputError(
            f"a picker takes the channels of one sensor, found {', '.join(sorted(sensors))}; "
            "group the channels with kaname.core.waveform.sensor_of first"
        )
    low, high = RATE_HZ
    if not low <= block.sampling_rate <= high:
        raise InputError(
            f"{block.sensor} has {block.sampling_rate} Hz; the classical picker takes {low} to {high} Hz"
        )
    if state is not None and state.last.index(block.start) < 0.0:
        raise InputError(
            f"{block.sensor}: a block starting at {block.start} came after samples up to {state.last.start}; "
            "blocks of a sensor must come in time order and not overlap"
        )


def _finite_parts(block: Waveform) -> list[Waveform]:
    """Split at samples that are not finite: they are a gap."""
    finite = np.isfinite(block.data).all(axis=0)
    if finite.all():
        return [block]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], finite, [False]]).astype(np.int8)))
    return [
        replace(block, data=block.data[:, low:high], start=block.time(low))
        for low, high in pairwise(edges.tolist())
        if finite[low]
    ]


def _sample(block: Waveform, index: int) -> Waveform:
    """Return one sample of a block as a block."""
    index %= block.n_sample
    return replace(block, data=block.data[:, index : index + 1].copy(), start=block.time(index))
