"""Neural pickers on continuous data: fixed windows on the UTC clock, so that cuts in the input do not matter.

Window number ``k`` begins ``k`` hops after 1970 and is one window long; a network sees it whole, padded with
zeros where the record has not begun or has ended, and answers for the middle of it alone, one hop long.
Every instant is answered for by exactly one window, whatever blocks the data came in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.signal import find_peaks, resample_poly

from kaname.automation.pick.onset import check_block, components, finite_parts
from kaname.automation.pick.registry import Pick
from kaname.core.time import NS_PER_S
from kaname.core.waveform import Waveform

Array = NDArray[np.float64]

QUIET_S = 1.0
"""No pick so close to the start of a stretch, where the padding ends."""


class NetworkSettings(BaseModel):
    """Settings of a neural picker."""

    model_config = ConfigDict(extra="forbid")

    min_probability_p: float = Field(0.3, gt=0, le=1, description="P picks below this are dropped")
    min_probability_s: float = Field(0.3, gt=0, le=1, description="S picks below this are dropped")
    apart_s: float = Field(0.5, gt=0, le=5, description="least time between picks of one phase [s]")
    time_uncertainty_p_s: float = Field(0.1, gt=0, description="stated uncertainty of P, not calibrated [s]")
    time_uncertainty_s_s: float = Field(0.2, gt=0, description="stated uncertainty of S, not calibrated [s]")


class Network(Protocol):
    """What a network needs to offer."""

    window_s: float
    """Length of the window it answers about [s]."""

    def predict(self, window: Waveform) -> tuple[Array, float]:
        """Return the probabilities of P and S, shape (2, n), and their sampling rate [Hz].

        The window has the channels Z, N, E in this order and the sampling rate of the record; the answer
        begins with the window.
        """


@dataclass(frozen=True)
class Tail:
    """State within one gap-free stretch: the samples that windows to come need."""

    block: Waveform
    origin: Waveform
    last: Waveform
    n_seen: int
    window: int
    """Number of the next window."""


class NetworkPicker:
    """Run a network over fixed windows: a `kaname.automation.pick.Picker`."""

    bridges_gaps = False

    def __init__(self, name: str, network: Network, settings: NetworkSettings, *, version: str = "") -> None:
        self.name = name
        self.method = f"{name}/{version}" if version else name
        self.network = network
        self.settings = settings
        self.window_ns = round(network.window_s * NS_PER_S)
        self.hop_ns = self.window_ns // 2

    def start(self) -> Tail | None:
        """Return the state before any input."""
        return None

    def __call__(self, state: Tail | None, item: Waveform) -> tuple[Tail | None, list[Pick]]:
        """Take in the next block; return the new state and the picks that are now final."""
        check_block(item, None if state is None else state.last)
        out: list[Pick] = []
        for part in finite_parts(item):
            if state is not None and not _continued(state, part):
                out += self.finish(state)
                state = None
            state = self._append(state, part)
            state, found = self._advance(state, final=False)
            out += found
        return state, out

    def finish(self, state: Tail | None) -> list[Pick]:
        """Return the picks still held back when the input ends."""
        return [] if state is None else self._advance(state, final=True)[1]

    def _append(self, state: Tail | None, part: Waveform) -> Tail:
        last = replace(part, data=part.data[:, -1:].copy(), start=part.end)
        if state is None:
            origin = replace(part, data=part.data[:, :1].copy())
            # The first window that answers for an instant of the stretch.
            first = int((part.start.astype(np.int64) - self.window_ns // 4) // self.hop_ns) - 1
            return Tail(part, origin, last, part.n_sample, first)
        data = np.concatenate([state.block.data, part.data], axis=1)
        return replace(
            state, block=replace(state.block, data=data), last=last, n_seen=state.n_seen + part.n_sample
        )

    def _advance(self, state: Tail, *, final: bool) -> tuple[Tail, list[Pick]]:
        end = state.origin.time(state.n_seen)
        picks: list[Pick] = []
        k = state.window
        while True:
            start = np.datetime64(k * self.hop_ns, "ns")
            answer = start + np.timedelta64(self.window_ns // 4, "ns")
            needed = answer if final else start + np.timedelta64(self.window_ns, "ns")
            if needed >= end if final else needed > end:
                break
            picks += self._window(state, start, answer)
            k += 1
        low = max(0, int(state.block.index(np.datetime64(k * self.hop_ns, "ns"))) - 1)
        low = min(low, state.block.n_sample - 1)
        block = replace(state.block, data=state.block.data[:, low:].copy(), start=state.block.time(low))
        return replace(state, block=block, window=k), picks

    def _window(self, state: Tail, start: np.datetime64, answer: np.datetime64) -> list[Pick]:
        rate = state.block.sampling_rate
        n = round(self.window_ns / NS_PER_S * rate)
        lag = round(state.block.index(start))
        data = np.zeros((3, n))
        low, high = max(0, -lag), min(n, state.block.n_sample - lag)
        if high - low < 2:
            return []
        rows = _rows(state.block.ids)
        part = state.block.data[list(rows), lag + low : lag + high].astype(np.float64)
        data[: len(rows), low:high] = part - part.mean(axis=1, keepdims=True)
        if not data.any():
            return []
        sensor = state.block.sensor
        window = Waveform(data, tuple(f"{sensor}{c}" for c in "ZNE"), state.block.time(lag), rate)
        curves, curve_rate = self.network.predict(window)
        stop = answer + np.timedelta64(self.hop_ns, "ns")
        quiet = state.origin.start + np.timedelta64(round(QUIET_S * NS_PER_S), "ns")
        least = (self.settings.min_probability_p, self.settings.min_probability_s)
        sigma = (self.settings.time_uncertainty_p_s, self.settings.time_uncertainty_s_s)
        out = []
        for phase, curve, threshold, uncertainty, row in zip("PS", curves, least, sigma, (rows[0], rows[-1])):
            apart = max(1, round(self.settings.apart_s * curve_rate))
            for peak in find_peaks(curve, height=threshold, distance=apart)[0]:
                time = window.start + np.timedelta64(round(peak / curve_rate * NS_PER_S), "ns")
                if answer <= time < stop and quiet <= time <= state.last.start:
                    network, station, location, channel = state.block.ids[row].split(".")
                    out.append(
                        Pick(
                            network,
                            station,
                            location,
                            channel,
                            phase,
                            time,
                            uncertainty,
                            float(min(curve[peak], 1.0)),
                            method=self.method,
                        )
                    )
        return sorted(out, key=lambda p: p.time)


def at_rate(window: Waveform, rate_hz: float, n: int) -> Array:
    """Return ``n`` samples of a window at another rate, shape (n_channel, n); zeros where it ends."""
    data = window.data
    if abs(window.sampling_rate / rate_hz - 1) > 1e-6:
        ratio = Fraction(rate_hz / window.sampling_rate).limit_denominator(1000)
        data = resample_poly(data, ratio.numerator, ratio.denominator, axis=1)
    out = np.zeros((data.shape[0], n))
    there = min(n, data.shape[1])
    out[:, :there] = data[:, :there]
    return out


def _rows(ids: tuple[str, ...]) -> tuple[int, ...]:
    """Rows that go to the network's Z, N and E; fewer than three leave the rest zero."""
    vertical, horizontal = components(ids)[0]
    return (*vertical, *horizontal)[:3]


def _continued(state: Tail, block: Waveform) -> bool:
    return block.follows(state.last) and abs(state.origin.index(block.start) - state.n_seen) <= 0.5
