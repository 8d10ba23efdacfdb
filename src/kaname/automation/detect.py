"""Detection: stretches of a record during which an earthquake is in progress.

A small convolutional network (`kaname.learn.networks.detector`) says, 6.25 times a second, how probable it is
that an earthquake, from P to the coda of S, is in progress. It is shown the same conditioned windows on the
UTC clock as the picker, so the answer does not depend on where the input is cut, and gaps are masked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from kaname.automation.pick.onset import check_block
from kaname.core.errors import InputError
from kaname.core.tables import Column, Schema, table
from kaname.core.waveform import Waveform, sensor_of
from kaname.learn.engine.condition import NAME, condition
from kaname.learn.engine.session import Card, open_session
from kaname.learn.engine.windows import Pending, Window, Windows

Array = NDArray[np.float32]

DETECTIONS = Schema(
    "detections",
    "Stretches of records in which an earthquake is in progress.",
    (
        Column("network", "string", "SEED network code"),
        Column("station", "string", "SEED station code", required=True),
        Column("location", "string", "SEED location code"),
        Column("sensor", "string", "network, station, location, band and instrument", required=True),
        Column("start", "time", "when it begins: the first P", required=True),
        Column("end", "time", "when it ends: in the coda of S", required=True),
        Column("probability", "float", "highest probability within", required=True),
        Column("method", "string", "detector and version"),
    ),
)

WEIGHTS = "kaname-detector-1"
"""Name of the weights in the package."""
CORE, HALO = 8192, 2048
"""Samples at 100 Hz answered for by a window, and shown on either side."""
PIECE_S = 300.0
"""Longest piece of a block worked on at once, which bounds memory."""


class DetectorCard(Card):
    """What the file of a detector says about itself."""

    step: int = Field(gt=0, description="samples per answer")
    threshold: float = Field(gt=0, lt=1, description="least probability that begins a detection")


class DetectorSettings(BaseModel):
    """Settings of the detector."""

    model_config = ConfigDict(extra="forbid")

    weights: str = Field(WEIGHTS, description="weights in the package, or path of an .onnx file")
    threshold: float | None = Field(
        None, gt=0, lt=1, description="least probability that makes a detection; none: the model's own"
    )
    edge: float = Field(
        0.5, gt=0, le=1, description="a detection reaches as far as this share of the threshold"
    )
    apart_s: float = Field(1.5, ge=0, le=60, description="detections closer than this are one [s]")
    least_s: float = Field(0.5, ge=0, le=60, description="shorter detections are dropped [s]")
    threads: int = Field(1, ge=1, le=64, description="threads of one inference")


class Detection(NamedTuple):
    """A stretch of one sensor's record in which an earthquake is in progress."""

    network: str
    station: str
    location: str
    sensor: str
    """``NET.STA.LOC.BI``."""
    start: np.datetime64
    end: np.datetime64
    probability: float
    """Highest probability within."""
    method: str = ""


class Span(NamedTuple):
    """A stretch above the edge, in steps counted from 1970."""

    first: int
    after: int
    peak: float


@dataclass(frozen=True, eq=False)
class Heard:
    """State: what windows to come need, and the span that may go on, by sensor under the code."""

    pending: Pending
    last: Waveform | None
    open: tuple[tuple[str, Span], ...]


class Detector:
    """Detect on one sensor: a `kaname.core.step.Step` from `Waveform` to `Detection`.

    Blocks hold channels of one sensor in time order, at any rate from 10 to 500 Hz.

    Parameters
    ----------
    settings
        See `DetectorSettings`.
    """

    def __init__(self, settings: DetectorSettings | None = None) -> None:
        self.settings = settings or DetectorSettings()
        self._session = open_session(self.settings.weights, DetectorCard, threads=self.settings.threads)
        card = self._session.card
        if (card.kind, card.input) != ("detector", NAME) or CORE % card.step:
            raise InputError(
                f"{self.settings.weights} is a {card.kind} of {card.input}; a detector of {NAME} is needed"
            )
        self.method = f"{card.name}/{card.version}"
        self.threshold = card.threshold if self.settings.threshold is None else self.settings.threshold
        self.step = card.step
        self.windows = Windows(core=CORE, halo=HALO, rate_hz=card.rate_hz)
        self._step_ns = self.step * self.windows.interval_ns
        self._apart = round(self.settings.apart_s * 1e9 / self._step_ns)
        self._least = round(self.settings.least_s * 1e9 / self._step_ns)

    def start(self) -> Heard:
        """Return the state before any input."""
        return Heard(self.windows.start(), None, ())

    def __call__(self, state: Heard, item: Waveform) -> tuple[Heard, list[Detection]]:
        """Take in the next block; return the new state and the detections that are now final.

        Raises
        ------
        InputError
            When the block holds several sensors, starts before the last one ended, or has an unusable rate.
        """
        check_block(item, state.last)
        out: list[Detection] = []
        pending, held = state.pending, dict(state.open)
        for part in _pieces(item):
            pending, windows = self.windows(pending, part)
            out += self._take(held, windows)
        last = replace(item, data=item.data[:, -1:].copy(), start=item.end)
        return Heard(pending, last, tuple(sorted(held.items()))), out

    def finish(self, state: Heard) -> list[Detection]:
        """Return the detections still held back when the input ends."""
        held = dict(state.open)
        out = self._take(held, self.windows.finish(state.pending))
        return out + [d for key, span in sorted(held.items()) for d in self._detection(key, span)]

    def probabilities(self, window: Window) -> Array:
        """Return the network's answers for the core of a window; zero where there is no data."""
        x = condition(window.data, window.mask)
        logits = self._session(x[np.newaxis])[0]
        real = window.mask.any(axis=0).reshape(-1, self.step).any(axis=1)
        values = np.where(real, 1 / (1 + np.exp(-logits)), 0)
        return np.asarray(values[HALO // self.step : (HALO + CORE) // self.step], np.float32)

    def _take(self, held: dict[str, Span], windows: list[Window]) -> list[Detection]:
        """Return the detections that windows end; ``held`` keeps those that may go on."""
        out: list[Detection] = []
        for window in windows:
            key = next(i for i in window.ids if i)
            name = f"{sensor_of(key)} {'ZNE' if key[-1] in 'ZNE' else '123'}"
            begin_ns = int(window.start.astype(np.int64)) + HALO * self.windows.interval_ns
            begin = begin_ns // self._step_ns
            for span in spans(self.probabilities(window), self.threshold * self.settings.edge, begin):
                old = held.pop(name, None)
                if old is not None and span.first - old.after <= self._apart:
                    held[name] = Span(old.first, span.after, max(old.peak, span.peak))
                    continue
                if old is not None:
                    out += self._detection(name, old)
                held[name] = span
            known = begin + CORE // self.step
            if name in held and known - held[name].after > self._apart:
                out += self._detection(name, held.pop(name))
        return out

    def _detection(self, name: str, span: Span) -> Iterator[Detection]:
        if span.peak < self.threshold or span.after - span.first < self._least:
            return
        sensor = name.split(" ")[0]
        network, station, location, _ = sensor.split(".")
        start, end = (np.datetime64(k * self._step_ns, "ns") for k in (span.first, span.after))
        yield Detection(network, station, location, sensor, start, end, float(span.peak), self.method)


def spans(values: Array, edge: float, begin: int) -> list[Span]:
    """Return the stretches in which values are at least ``edge``; the first value has number ``begin``."""
    above = np.concatenate([[False], values >= edge, [False]]).astype(np.int8)
    edges = np.flatnonzero(np.diff(above))
    return [
        Span(begin + int(a), begin + int(b), float(values[a:b].max()))
        for a, b in zip(edges[::2], edges[1::2])
    ]


def _pieces(block: Waveform) -> Iterator[Waveform]:
    n = round(PIECE_S * block.sampling_rate)
    cuts = [*range(0, block.n_sample, n), block.n_sample]
    for low, high in pairwise(cuts):
        yield replace(block, data=block.data[:, low:high], start=block.time(low))


def detections_table(detections: Iterable[Detection]) -> pd.DataFrame:
    """Return detections as a validated table of the schema `DETECTIONS`, in order of time."""
    rows = [d._asdict() for d in sorted(detections, key=lambda d: (d.start, d.sensor, d.end))]
    return table(rows, DETECTIONS)
