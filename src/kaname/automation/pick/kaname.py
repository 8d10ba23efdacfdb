"""Our own phase picker, and any network in a file that the engine runs: ``kaname``, ``kaname:MODEL.onnx``.

The engine (`kaname.learn.engine`) shows a network fixed windows on the absolute clock, in which gaps are
masked: unlike with other pickers, a gap does not end what the network knows of the record.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from kaname.automation.pick.classical import first_motion
from kaname.automation.pick.onset import check_block, is_glitch
from kaname.automation.pick.registry import Pick, picker
from kaname.core.time import NS_PER_S
from kaname.core.waveform import Waveform
from kaname.learn.engine.picking import PickerCard, PickingNetwork, Reading
from kaname.learn.engine.session import Precision, open_session
from kaname.learn.engine.windows import Pending, Window

WEIGHTS = "kaname-picker-1"
"""Name of the weights in the package."""
PIECE_S = 300.0
"""Longest piece of a block worked on at once, which bounds memory."""
BEFORE_S, AFTER_S = 0.5, 0.3
"""Windows of the signal-to-noise ratio on either side of an onset."""
GLITCH_S = 0.3
"""Half the window about an onset in which a digitiser's spike or step is looked for."""
ROWS = {"P": (0,), "S": (1, 2)}
"""Components that a phase is looked for on first: Z for P, the horizontals for S."""


class KanamePickerSettings(BaseModel):
    """Settings of the picker; without least probabilities the model's own hold."""

    model_config = ConfigDict(extra="forbid")

    min_probability_p: float | None = Field(None, ge=0, le=1, description="P picks below this are dropped")
    min_probability_s: float | None = Field(None, ge=0, le=1, description="S picks below this are dropped")
    apart_s: float = Field(
        0.5, gt=0, le=5, description="of picks of one phase closer than this the most probable stays [s]"
    )
    precision: Precision = Field(
        "auto",
        description="arithmetic of the network: fp32, int8, or auto: int8 where there is such a copy",
    )
    threads: int = Field(1, ge=1, le=64, description="threads of one inference")


@dataclass(frozen=True, eq=False)
class Heard:
    """State: what windows to come need, and the picks that the next one may better."""

    pending: Pending
    last: Waveform | None
    held: tuple[Pick, ...]


@picker("kaname")
class KanamePicker:
    """See the module. A `kaname.automation.pick.Picker`.

    Parameters
    ----------
    settings
        See `KanamePickerSettings`.
    variant
        Name of packaged weights or path of an ``.onnx`` file; empty for our default.
    """

    name = "kaname"
    Settings = KanamePickerSettings
    bridges_gaps = True

    def __init__(self, settings: KanamePickerSettings, variant: str = "") -> None:
        self.settings = settings
        session = open_session(
            variant or WEIGHTS, PickerCard, precision=settings.precision, threads=settings.threads
        )
        self.network = PickingNetwork(session)
        card = self.network.card
        self.method = f"kaname:{card.name}/{card.version}"
        self.least = {
            "P": card.thresholds.P if settings.min_probability_p is None else settings.min_probability_p,
            "S": card.thresholds.S if settings.min_probability_s is None else settings.min_probability_s,
        }
        self.rate_hz = card.rate_hz
        windows = self.network.windows
        # Behind this, at the end of a core, a pick of the next window may be the same onset.
        seam = self.network.overlap / self.rate_hz + settings.apart_s
        self._settled = np.timedelta64(
            (windows.halo + windows.core) * windows.interval_ns - round(seam * NS_PER_S), "ns"
        )
        self._apart = np.timedelta64(round(settings.apart_s * NS_PER_S), "ns")

    def start(self) -> Heard:
        """Return the state before any input."""
        return Heard(self.network.windows.start(), None, ())

    def __call__(self, state: Heard, item: Waveform) -> tuple[Heard, list[Pick]]:
        """Take in the next block; return the new state and the picks that are now final."""
        check_block(item, state.last)
        out: list[Pick] = []
        for part in _pieces(item):
            pending, windows = self.network.windows(state.pending, part)
            held, final = self._take(state.held, windows)
            state = Heard(pending, state.last, held)
            out += final
        last = replace(item, data=item.data[:, -1:].copy(), start=item.end)
        return replace(state, last=last), out

    def finish(self, state: Heard) -> list[Pick]:
        """Return the picks still held back when the input ends."""
        held, final = self._take(state.held, self.network.windows.finish(state.pending))
        return final + list(held)

    def _take(self, held: tuple[Pick, ...], windows: list[Window]) -> tuple[tuple[Pick, ...], list[Pick]]:
        """Return the picks that the next window may better, and those that are final."""
        final: list[Pick] = []
        for start, same in groupby(windows, key=lambda w: w.start):
            picks: list[Pick] = []
            for window in same:
                picks = _settle(picks, self._picks(window), self._apart)
            final += [p for p in held if p.time < start]
            kept = _settle([p for p in held if p.time >= start], picks, self._apart)
            settled = start + self._settled
            final += [p for p in kept if p.time < settled]
            held = tuple(p for p in kept if p.time >= settled)
        return held, final

    def _picks(self, window: Window) -> list[Pick]:
        reading = self.network(window, apart_s=self.settings.apart_s)
        out = []
        for phase in ("P", "S"):
            for k in np.flatnonzero(reading.probability[phase] >= self.least[phase]):
                pick = self._pick(window, reading, phase, int(k))
                if pick is not None:
                    out.append(pick)
        return sorted(out, key=lambda p: (p.time, p.phase))

    def _pick(self, window: Window, reading: Reading, phase: str, k: int) -> Pick | None:
        position = float(reading.peaks[phase].position[k])
        sample = round(position)
        near = round(GLITCH_S * self.rate_hz)
        low, high = max(0, sample - near), min(window.data.shape[1], sample + near)
        real = np.flatnonzero(window.mask[:, low:high].any(axis=1)).tolist()
        rows = [r for r in ROWS[phase] if r in real] or real
        raw = window.data[rows, low:high].astype(np.float64)
        if not rows or is_glitch(raw, 0, raw.shape[1]):
            return None
        row, snr_db = _strength(
            reading.traces,
            np.array(rows),
            sample,
            round(BEFORE_S * self.rate_hz),
            round(AFTER_S * self.rate_hz),
        )
        network, station, location, channel = window.ids[row].split(".")
        polarity = ""
        if phase == "P" and row == 0:
            begin = max(0, sample - 2 * near)
            trace = reading.traces[0, begin : sample + near]
            polarity = first_motion(trace, sample - begin, self.rate_hz, snr_db)
        late = (position + window.shift(position)) * self.network.windows.interval_ns
        return Pick(
            network=network,
            station=station,
            location=location,
            channel=channel,
            phase=phase,
            time=window.start + np.timedelta64(round(late), "ns"),
            time_uncertainty_s=float(reading.sigma_s[phase][k]),
            probability=float(reading.probability[phase][k]),
            polarity=polarity,
            snr_db=snr_db,
            method=self.method,
        )


@njit(cache=True)
def _strength(
    traces: NDArray[np.float32], rows: NDArray[np.int64], sample: int, before: int, after: int
) -> tuple[int, float]:
    """Return which row is the loudest after an onset, and the ratio of variance across it [dB]."""
    loudest, most, signal, noise = rows[0], -1.0, 0.0, 0.0
    for row in rows:
        trace = traces[row]
        loud = trace[sample : sample + after].var()
        signal += loud
        if sample > 0:
            noise += trace[max(0, sample - before) : sample].var()
        if loud > most:
            loudest, most = row, loud
    return loudest, 10 * np.log10(max(signal, 1e-30) / max(noise, 1e-30))


def _pieces(block: Waveform) -> Iterator[Waveform]:
    n = round(PIECE_S * block.sampling_rate)
    if block.n_sample <= n:
        yield block
        return
    for low in range(0, block.n_sample, n):
        yield replace(block, data=block.data[:, low : low + n], start=block.time(low))


def _settle(held: list[Pick], fresh: list[Pick], apart: np.timedelta64) -> list[Pick]:
    """Of picks of two windows that are the same onset keep the more probable; of equals, the first."""
    lost: set[int] = set()
    for a, old in enumerate(held):
        for b, new in enumerate(fresh):
            if _same(old, new) and abs(new.time - old.time) < apart and b + len(held) not in lost:
                lost.add(a if new.probability > old.probability else b + len(held))
    return sorted(
        (p for i, p in enumerate([*held, *fresh]) if i not in lost),
        key=lambda p: (p.time, p.phase, p.channel),
    )


def _same(a: Pick, b: Pick) -> bool:
    return a.phase == b.phase and a.sensor == b.sensor
