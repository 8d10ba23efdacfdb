"""A phase-picking network with everything about it: a window of a sensor in, peaks of P and S out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from kaname.learn.engine import condition
from kaname.learn.engine.normalise import normalise
from kaname.learn.engine.peaks import PHASES, Peaks, curves, find_peaks
from kaname.learn.engine.session import Card, Session
from kaname.learn.engine.windows import Window, Windows

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

CORE = 30720
"""Samples that a window of our networks answers for (307.2 s)."""
QUIET_S = 2.0
"""No pick is reported this soon after data begin, nor after a gap sooner than half the gap's length."""
LEAST_UNCERTAINTY_S = 0.005


class Mapping(BaseModel):
    """A piecewise linear map, constant beyond its ends; both rise."""

    model_config = ConfigDict(frozen=True)

    value: tuple[float, ...] = Field(min_length=2)
    probability: tuple[float, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _rises(self) -> Mapping:
        if len(self.value) != len(self.probability) or np.any(np.diff(self.value) <= 0):
            raise ValueError("value and probability must be of one length, and value must rise")
        if (
            np.any(np.diff(self.probability) < 0)
            or not 0 <= min(self.probability) <= max(self.probability) <= 1
        ):
            raise ValueError("probability must not fall and must lie between 0 and 1")
        return self


class PhaseValues(BaseModel):
    """A number for each phase."""

    model_config = ConfigDict(frozen=True)

    P: float = Field(ge=0, le=1)
    S: float = Field(ge=0, le=1)


class PhaseLines(BaseModel):
    """``a + b * spread`` for each phase [s]."""

    model_config = ConfigDict(frozen=True)

    P: tuple[float, float]
    S: tuple[float, float]


class PhaseMaps(BaseModel):
    """From the evidence for a pick to its probability, for each phase."""

    model_config = ConfigDict(frozen=True)

    P: Mapping
    S: Mapping


class PickerCard(Card):
    """What the file of a picker says about itself; ``docs/engine.md`` describes every field."""

    kind: Literal["picker"]
    input: Literal["kaname-1", "seisbench-window"]
    halo_samples: int = Field(ge=0)
    stride: int = Field(1, ge=1)
    label_sigma_s: float = Field(gt=0)
    thresholds: PhaseValues
    uncertainty: PhaseLines
    evidence: Literal["area", "height"] = "area"
    probability: PhaseMaps | None = None
    # Of models made elsewhere:
    window_samples: int | None = Field(None, ge=1)
    normalise_samples: int | None = Field(None, ge=1)
    normalisation: Literal["std", "peak"] = "std"
    order: str = "ZNE"
    labels: str = "PSN"
    activation: Literal["softmax", "none"] = "softmax"

    @model_validator(mode="after")
    def _fits(self) -> PickerCard:
        if sorted(self.order) != sorted("ZNE"):
            raise ValueError(f"order must name Z, N and E, found {self.order!r}")
        if not {"P", "S"} <= set(self.labels) or (self.activation == "softmax" and len(self.labels) != 3):
            raise ValueError(f"labels must name P, S and noise, found {self.labels!r}")
        if self.input == "kaname-1":
            if self.rate_hz != condition.RATE_HZ:
                raise ValueError(f"kaname-1 is for {condition.RATE_HZ} Hz, found {self.rate_hz}")
            if self.halo_samples % condition.BLOCK or (CORE + 2 * self.halo_samples) % self.stride:
                raise ValueError(f"a halo of {self.halo_samples} samples does not fit blocks and stride")
        elif self.window_samples is None or self.window_samples <= 2 * self.halo_samples:
            raise ValueError("window_samples must exceed twice halo_samples")
        return self


@dataclass(frozen=True, eq=False)
class Reading:
    """What a network says about a window."""

    traces: Array
    """What it was shown of Z, N and E, without a mean; shape (3, n)."""
    peaks: dict[str, Peaks]
    """By phase; the positions count from the beginning of the window."""
    probability: dict[str, NDArray[np.float64]]
    sigma_s: dict[str, NDArray[np.float64]]


class PickingNetwork:
    """Read windows with one network.

    Parameters
    ----------
    session
        The network.
    """

    def __init__(self, session: Session[PickerCard]) -> None:
        self.session = session
        self.card = card = session.card
        core = CORE if card.window_samples is None else card.window_samples - 2 * card.halo_samples
        self.windows = Windows(core=core, halo=card.halo_samples, rate_hz=card.rate_hz)
        self.overlap = round(0.25 * card.rate_hz)
        """Peaks are read this far beyond a core [sample]: one on the edge may fall outside of it twice."""

    def curves(self, window: Window) -> tuple[Array, Array]:
        """Return what the network is shown of Z, N and E, shape (3, n), and the curves of P and S, (2, n)."""
        card = self.card
        if card.input == "kaname-1":
            x = condition.condition(window.data, window.mask)
            return x[:3], curves(self.session(x[np.newaxis])[0])
        length = card.normalise_samples or window.data.shape[1]
        traces = normalise(window.data, window.mask, norm=card.normalisation, length=length)
        x = traces[["ZNE".index(c) for c in card.order]]
        y = self.session(np.ascontiguousarray(x[np.newaxis]))[0]
        rows = [card.labels.index(p) for p in PHASES]
        if card.activation == "none":
            return traces, np.clip(y[rows], 0, 1)
        return traces, curves(y[[*rows, 3 - sum(rows)]])

    def __call__(self, window: Window, *, apart_s: float) -> Reading:
        """Read one window: peaks in its core and a little beyond, each where there are data.

        Parameters
        ----------
        window
            Of `windows`.
        apart_s
            Of peaks of one phase closer than this the highest stays [s].
        """
        card, step = self.card, self.windows
        traces, both = self.curves(window)
        peaks, probability, sigma = {}, {}, {}
        open_ = None
        for phase, curve in zip(PHASES, both):
            found = find_peaks(
                curve,
                low=step.halo - self.overlap,
                high=step.halo + step.core + self.overlap,
                apart=max(1, round(apart_s * card.rate_hz)),
                rate_hz=card.rate_hz,
                kernel_s=card.label_sigma_s,
            )
            if found.position.size:
                if open_ is None:
                    open_ = usable(window.mask, rate_hz=card.rate_hz)
                keep = open_[np.rint(found.position).astype(int)]
                found = Peaks(*(values[keep] for values in found))
            peaks[phase] = found
            probability[phase] = self._probability(phase, found)
            a, b = getattr(card.uncertainty, phase)
            sigma[phase] = np.maximum(a + b * found.spread, LEAST_UNCERTAINTY_S)
        return Reading(traces, peaks, probability, sigma)

    def _probability(self, phase: str, peaks: Peaks) -> NDArray[np.float64]:
        value = peaks.area if self.card.evidence == "area" else peaks.height
        if self.card.probability is None:
            return np.clip(value, 0, 1)
        mapping = getattr(self.card.probability, phase)
        return np.asarray(np.interp(value, mapping.value, mapping.probability))


def usable(mask: Mask, *, rate_hz: float) -> NDArray[np.bool_]:
    """Return at which samples a pick can be reported, shape (n,).

    These are the real ones, except the first `QUIET_S` after data begin, and after a gap the first half of
    its length: an onset there may have happened in the gap.

    Parameters
    ----------
    mask
        Which samples of each component are real, shape (n_channel, n).
    rate_hz
        Sampling rate [Hz].
    """
    real = mask[0].copy()
    for row in mask[1:]:
        real |= row
    return real if real.all() else _usable(real, math.ceil(QUIET_S * rate_hz))


@njit(cache=True)
def _usable(real: NDArray[np.bool_], quiet: int) -> NDArray[np.bool_]:
    out = real.copy()
    gap = 0
    i = 0
    while i < real.shape[0]:
        if not real[i]:
            gap += 1
            i += 1
            continue
        if gap:
            end = min(real.shape[0], i + (quiet if gap == i else min(quiet, (gap + 1) // 2)))
            for k in range(i, end):
                out[k] = False
        gap = 0
        while i < real.shape[0] and real[i]:
            i += 1
    return out
