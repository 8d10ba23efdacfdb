"""Denoising: the short-time spectra of a record times a mask that a network gives.

Like DeepDenoiser (Zhu, Mousavi & Beroza 2019, https://doi.org/10.1109/TGRS.2019.2926772); what differs is
told in ``docs/denoising.md``. Windows and frames stand on the UTC clock: wherever the input is cut, the
samples are the same to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from kaname.automation.pick.onset import finite_parts
from kaname.core.errors import InputError
from kaname.core.waveform import Waveform, sensor_of
from kaname.learn.engine.frames import HOP_S, N_BIN, NAME, analyse, features, hop_of, synthesise
from kaname.learn.engine.session import Card, open_session
from kaname.learn.engine.windows import slots

Array = NDArray[np.float64]

WEIGHTS = "kaname-denoiser-1"
"""Name of the weights in the package."""
CORE = 400
"""Frames answered for by a window (80 s)."""
HALO = 120
"""Frames shown on either side (24 s)."""
TOP = 36
"""When a record goes beyond 50 Hz, the mask of 45 Hz is used above: training data hold little there."""
_HOP_NS = round(HOP_S * 1e9)


class DenoiserSettings(BaseModel):
    """Settings of the denoiser."""

    model_config = ConfigDict(extra="forbid")

    weights: str = Field(WEIGHTS, description="weights in the package, or path of an .onnx file")
    threads: int = Field(1, ge=1, le=64, description="threads of one inference")


@dataclass(frozen=True, eq=False)
class Held:
    """State within one gap-free stretch."""

    origin: Waveform
    """The first sample: its time is the clock and its value the zero."""
    last: Waveform
    number: int
    """Of the first sample, counted from 1970."""
    data: Array
    """Samples that windows to come show, less the first one, shape (n_channel, n)."""
    first: int
    """Index in the stretch of the first sample of `data`."""
    window: int
    """The next window."""

    @property
    def n_seen(self) -> int:
        """Samples of the stretch so far."""
        return int(self.first + self.data.shape[1])


class Denoiser:
    """Denoise one sensor: a `kaname.core.step.Step` from `Waveform` to `Waveform`.

    Blocks hold channels of one sensor, in time order. The output has their channels, rate, unit and start, is
    float32, and has no offset: the first sample of a stretch counts as zero. A gap, another rate or another
    set of channels ends a stretch, and so do samples that are not finite, which are a gap in the output, too.
    Up to three channels are seen together.

    Parameters
    ----------
    settings
        See `DenoiserSettings`.
    """

    def __init__(self, settings: DenoiserSettings | None = None) -> None:
        self.settings = settings or DenoiserSettings()
        self._session = open_session(self.settings.weights, Card, threads=self.settings.threads)
        card = self._session.card
        if (card.kind, card.input) != ("denoiser", NAME):
            raise InputError(
                f"{self.settings.weights} is a {card.kind} of {card.input}; a denoiser of {NAME} is needed"
            )
        self.method = f"{card.name}/{card.version}"

    def start(self) -> Held | None:
        """Return the state before any input."""
        return None

    def __call__(self, state: Held | None, item: Waveform) -> tuple[Held | None, list[Waveform]]:
        """Take in the next block; return the new state and the denoised blocks that are now final.

        Raises
        ------
        InputError
            When the block holds several sensors, starts before the last one ended, or 0.2 s is not a whole
            number of its samples.
        """
        _check(item, state)
        hop = hop_of(item.sampling_rate)
        out: list[Waveform] = []
        for part in finite_parts(item):
            if state is not None and not _continues(state, part):
                out += self.finish(state)
                state = None
            n_piece = CORE * hop
            for low in range(0, part.n_sample, n_piece):
                state = _append(state, part, low, low + n_piece, hop)
                state, found = self._advance(state, hop, final=False)
                out += found
        return state, out

    def finish(self, state: Held | None) -> list[Waveform]:
        """Return what is still held back when the stretch ends."""
        return (
            [] if state is None else self._advance(state, hop_of(state.origin.sampling_rate), final=True)[1]
        )

    def _advance(self, state: Held, hop: int, *, final: bool) -> tuple[Held, list[Waveform]]:
        out = []
        k = state.window
        end = state.number + state.n_seen
        while k * CORE * hop < end and (final or ((k + 1) * CORE + HALO + 1) * hop <= end):
            out.append(self._window(state, k, hop))
            k += 1
        drop = (k * CORE - HALO - 2) * hop - state.number - state.first
        drop = min(max(0, drop), state.data.shape[1] - 1)
        data = state.data[:, drop:].copy() if drop else state.data
        return replace(state, data=data, first=state.first + drop, window=k), out

    def _window(self, state: Held, k: int, hop: int) -> Waveform:
        n_frame = CORE + 2 * HALO
        begin = (k * CORE - HALO - 2) * hop - state.number
        index = begin + np.arange((n_frame + 3) * hop)
        # Beyond its ends the record stands still, so that there is no step.
        shown = state.data[:, np.clip(index, state.first, state.n_seen - 1) - state.first]
        middles = index[2 * hop : (n_frame + 2) * hop : hop]
        real = (middles >= 0) & (middles < state.n_seen)
        denoised = self._denoise(shown, real, slots_of(state.origin.ids), hop)
        low = max(0, k * CORE * hop - state.number)
        high = min(state.n_seen, (k + 1) * CORE * hop - state.number)
        samples = denoised[:, low - begin : high - begin].astype(np.float32)
        return replace(state.origin, data=samples, start=state.origin.time(low))

    def _denoise(self, data: Array, real: NDArray[np.bool_], groups: list[list[int]], hop: int) -> Array:
        """Return the denoised samples of a window; only the inner ones are meant to be used."""
        scale = np.abs(data).max()
        if not scale > 0:
            return np.zeros_like(data)
        spectra = analyse(data / scale, hop)
        n_bin = min(N_BIN, spectra.shape[2])
        alive = np.asarray(data.any(axis=1))
        x = np.empty((len(groups), 6, N_BIN, real.size), np.float32)
        for g, rows in enumerate(groups):
            seen = np.zeros((3, *spectra.shape[1:]), spectra.dtype)
            there = np.zeros((3, real.size), np.bool_)
            for slot, row in enumerate(rows):
                if row >= 0:
                    seen[slot], there[slot] = spectra[row], real & alive[row]
            x[g] = features(seen, there)
        masks = self._session(x).transpose(0, 1, 3, 2)[..., :n_bin].astype(np.float64)
        for g, rows in enumerate(groups):
            for slot, row in enumerate(rows):
                if row >= 0:
                    mask = masks[g, slot]
                    if spectra.shape[2] > N_BIN:
                        spectra[row, :, TOP:] *= mask[:, TOP : TOP + 1]
                        spectra[row, :, :TOP] *= mask[:, :TOP]
                    else:
                        spectra[row] *= mask
        return np.asarray(synthesise(spectra, hop) * scale)


def slots_of(ids: tuple[str, ...]) -> list[list[int]]:
    """Return groups of channels that are seen together: rows of Z, N, E, -1 where there is none."""
    groups: list[list[int]] = []
    left = set(ids)
    while left:
        for named in slots(left):
            rows = [-1, -1, -1]
            for channel, slot in named.items():
                rows[slot] = ids.index(channel)
                left.discard(channel)
            groups.append(rows)
    return groups


def _append(state: Held | None, part: Waveform, low: int, high: int, hop: int) -> Held:
    samples = part.data[:, low:high].astype(np.float64)
    last = replace(part, data=part.data[:, -1:].copy(), start=part.end)
    if state is None:
        origin = replace(part, data=part.data[:, :1].copy())
        whole, rest = divmod(int(part.start.astype(np.int64)), _HOP_NS)
        number = whole * hop + round(rest * hop / _HOP_NS)
        zero = samples[:, :1]
        return Held(origin, last, number, samples - zero, 0, number // (CORE * hop))
    fresh = samples - state.origin.data.astype(np.float64)
    return replace(state, data=np.concatenate([state.data, fresh], axis=1), last=last)


def _continues(state: Held, block: Waveform) -> bool:
    return block.follows(state.last) and abs(state.origin.index(block.start) - state.n_seen) <= 0.5


def _check(block: Waveform, state: Held | None) -> None:
    sensors = sorted({sensor_of(i) for i in block.ids})
    if len(sensors) > 1:
        raise InputError(f"a denoiser takes the channels of one sensor, found {', '.join(sensors)}")
    if len(set(block.ids)) < block.n_channel:
        raise InputError(f"a channel stands twice in a block of {', '.join(block.ids)}")
    if state is not None and state.last.index(block.start) < 0.5:
        raise InputError(
            f"{block.sensor}: a block from {block.start} came after samples up to {state.last.start}; the "
            "blocks of a sensor must come in time order and must not overlap"
        )
