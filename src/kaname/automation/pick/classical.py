"""The default picker: onsets in octave bands, judged by what surrounds them, timed by the AIC.

Each onset (`kaname.automation.pick.onset`) is weighed as P, S or neither by an additive logistic model of the
energies around it; its time is where the AIC of two high-passed traces, summed, is least. The coefficients
of that model and of the stated time uncertainty stand in ``classical.json``, made by
``benchmarks/calibrate_picking.py`` from openly licensed labelled records.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from kaname import __version__
from kaname.automation.pick.onset import Onset, OnsetStep, Stretch
from kaname.automation.pick.registry import Pick, picker
from kaname.core.errors import InputError
from kaname.core.waveform import Waveform
from kaname.signal.trigger import aic

Array = NDArray[np.float64]

BEFORE_S, AFTER_S = 0.3, 0.2
"""Window about an onset in which the AIC looks for its time."""
REACH = np.timedelta64(1, "s")
"""No pick is further than this from the frame of its onset."""
PHASES = ("P", "S")
METHOD = f"classical/{__version__}"


class ClassicalSettings(BaseModel):
    """Settings of the classical picker."""

    model_config = ConfigDict(extra="forbid")

    threshold_db: float = Field(3.5, ge=2, le=40, description="least rise of band energy of an onset [dB]")
    min_probability_p: float = Field(0.07, ge=0, le=1, description="P picks below this are dropped")
    min_probability_s: float = Field(0.07, ge=0, le=1, description="S picks below this are dropped")
    apart_s: float = Field(
        0.5, gt=0, le=5, description="of picks of one phase closer than this the most probable stays [s]"
    )
    warmup_s: float = Field(
        5.0, ge=2, le=60, description="no pick in the first seconds of a stretch or after a dead one [s]"
    )


@dataclass(frozen=True)
class Measured:
    """The time of an onset as one phase, and what its uncertainty follows from."""

    sample: int
    """Onset in the onset's snippet."""
    spread_s: float
    """Standard deviation of the onset by the Akaike weights of all samples [s]."""
    snr_db: float
    rows: tuple[int, ...]
    """Channels it was measured on."""


@picker("classical")
class ClassicalPicker:
    """See the module. A `kaname.automation.pick.Picker`.

    Parameters
    ----------
    settings
        See `ClassicalSettings`.
    """

    name = "classical"
    bridges_gaps = False
    Settings = ClassicalSettings

    def __init__(self, settings: ClassicalSettings, variant: str = "") -> None:
        if variant:
            raise InputError(f"the classical picker has no variant {variant!r}; call it 'classical'")
        self.settings = settings
        self.onsets = OnsetStep(threshold_db=settings.threshold_db, warmup_s=settings.warmup_s)

    def start(self) -> tuple[Stretch | None, tuple[Pick, ...]]:
        """Return the state before any input."""
        return None, ()

    def __call__(
        self, state: tuple[Stretch | None, tuple[Pick, ...]], item: Waveform
    ) -> tuple[tuple[Stretch | None, tuple[Pick, ...]], list[Pick]]:
        """Take in the next block; return the new state and the picks that are now final."""
        stretch, onsets = self.onsets(state[0], item)
        picks = self._add(state[1], onsets)
        if stretch is None:
            return (stretch, ()), picks
        # No later onset can be timed so early that it competes with a pick before this.
        now = stretch.origin.time(stretch.judged * stretch.frame)
        horizon = now - np.timedelta64(round(self.settings.apart_s * 1e9), "ns") - REACH
        final = [p for p in picks if p.time < horizon]
        return (stretch, tuple(p for p in picks if p.time >= horizon)), final

    def finish(self, state: tuple[Stretch | None, tuple[Pick, ...]]) -> list[Pick]:
        """Return the picks still held back when the input ends."""
        return self._add(state[1], self.onsets.finish(state[0]))

    def _add(self, held: tuple[Pick, ...], onsets: list[Onset]) -> list[Pick]:
        picks = list(held)
        for onset in onsets:
            pick = self._pick(onset)
            if pick is not None:
                self._keep_best(picks, pick)
        return sorted(picks, key=lambda p: p.time)

    def _keep_best(self, picks: list[Pick], new: Pick) -> None:
        """Add a pick to a list in place of less probable ones of its phase that are close."""
        apart = np.timedelta64(round(self.settings.apart_s * 1e9), "ns")
        close = []
        for i in range(len(picks) - 1, -1, -1):
            if picks[i].time < new.time - apart - REACH:
                break
            if picks[i].phase == new.phase and abs(picks[i].time - new.time) < apart:
                close.append(i)
        if any(picks[i].probability >= new.probability for i in close):
            return
        for i in close:
            del picks[i]
        picks.append(new)

    def _pick(self, onset: Onset) -> Pick | None:
        probability = phase_probabilities(onset)
        least = (self.settings.min_probability_p, self.settings.min_probability_s)
        which = int(np.argmax(probability))
        if probability[which] < least[which]:
            return None
        phase = PHASES[which]
        measured = measure(onset, phase)
        if measured is None:
            return None
        row = strongest(onset, measured)
        network, station, location, channel = onset.ids[row].split(".")
        return Pick(
            network=network,
            station=station,
            location=location,
            channel=channel,
            phase=phase,
            time=onset.at(measured.sample),
            time_uncertainty_s=uncertainty(onset, measured, phase),
            probability=float(probability[which]),
            polarity=polarity(onset, measured) if phase == "P" else "",
            snr_db=measured.snr_db,
            method=METHOD,
        )


@cache
def coefficients() -> dict[str, Any]:
    """Return the calibrated coefficients by dotted name, see ``classical.json``."""
    text = files("kaname.automation.pick").joinpath("classical.json").read_text(encoding="utf-8")
    return flatten(json.loads(text))


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the leaves of nested dictionaries by dotted name, lists of numbers as arrays."""
    out: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            out.update(flatten(value, f"{prefix}{key}."))
        else:
            out[prefix + key] = np.array(value) if isinstance(value, list) else value
    return out


def basis(evidence: Array, knots: Array) -> Array:
    """Return the terms of the additive model: each value, and by how much it exceeds each of its knots.

    Parameters
    ----------
    evidence
        Shape (..., n_value).
    knots
        Shape (n_knot, n_value).

    Returns
    -------
    ndarray, shape (..., n_value * (1 + n_knot))
    """
    return np.concatenate([evidence, *(np.maximum(evidence - k, 0.0) for k in knots)], axis=-1)


def model_of(onset: Onset) -> str:
    """Return the name of the coefficients that fit the channels of an onset."""
    return "three_component" if onset.horizontal else "one_component"


def phase_probabilities(onset: Onset, fitted: dict[str, Any] | None = None) -> Array:
    """Return the probabilities that an onset is a P and an S, shape (2,).

    The additive model gives the odds of P and of S against neither; the share of picks that were true, at
    odds that were not fitted to the same records, maps them to probabilities.
    """
    c = coefficients() if fitted is None else fitted
    model = model_of(onset)
    terms = basis(onset.evidence, c[f"{model}.knots"])
    odds = np.exp(np.clip(terms @ c[f"{model}.weights"] + c[f"{model}.intercepts"], -50, 50))
    mapping = c.get(f"{model}.mapping")
    share = np.clip(odds / (1 + odds.sum()), 1e-9, 1 - 1e-9)
    if mapping is None:
        return np.asarray(share)
    return np.asarray(1 / (1 + np.exp(-mapping[:, 0] - mapping[:, 1] * np.log(share / (1 - share)))))


def measure(onset: Onset, phase: str) -> Measured | None:
    """Time an onset as ``phase``: P on the vertical, S on the horizontals (on the vertical without any).

    Returns ``None`` where the record is too short about the onset, or clipped before an S.
    """
    rate = onset.sampling_rate
    rows = onset.horizontal if phase == "S" and onset.horizontal else onset.vertical
    low = max(0, onset.lead - round(BEFORE_S * rate))
    high = min(onset.samples.shape[2], onset.lead + round(AFTER_S * rate))
    # Below about 50 Hz the windows hold too few samples for two variances.
    low = max(0, min(low, onset.lead - 8))
    high = min(onset.samples.shape[2], max(high, onset.lead + 6))
    margin = max(2, round(0.03 * rate))
    if high - low < 2 * margin + 2:
        return None
    window = onset.samples[1:, list(rows), low:high]
    total = np.sum([aic(np.ascontiguousarray(trace), margin) for trace in window], axis=0)
    best = int(np.argmin(total))
    # Neighbouring samples are not independent; the bandwidth of the traces is a few tens of Hz.
    share = np.exp(-(total - total[best]) / 2 * min(1.0, 50.0 / rate))
    k = np.arange(share.size)
    spread = np.sqrt((share * (k - best) ** 2).sum() / share.sum())
    sample = low + best
    if phase == "S" and is_clipped(onset.samples[0][list(rows), :sample]):
        return None
    trace = onset.samples[1][list(rows)]
    before = trace[:, max(0, sample - round(0.5 * rate)) : sample].var()
    after = trace[:, sample : sample + max(2, round(0.3 * rate))].var()
    snr = 10 * np.log10(max(after, 1e-60) / max(before, 1e-60))
    return Measured(sample, float(spread / rate), float(snr), rows)


def is_clipped(raw: Array) -> bool:
    """Tell whether a tenth of the samples of a channel stand at its largest or smallest value.

    Quantised quiet noise does so too; it has few distinct values, a clipped signal has many.
    """
    for trace in raw:
        if (
            np.unique(trace).size > 10
            and max((trace == trace.max()).mean(), (trace == trace.min()).mean()) > 0.1
        ):
            return True
    return False


def strongest(onset: Onset, measured: Measured) -> int:
    """Return the row with the largest rise of amplitude across the onset time."""
    trace = onset.samples[1]
    gain = [
        trace[r, measured.sample :].var() / max(trace[r, : measured.sample].var(), 1e-60)
        for r in measured.rows
    ]
    return measured.rows[int(np.argmax(gain))]


def uncertainty(onset: Onset, measured: Measured, phase: str) -> float:
    """Return one standard deviation of the onset time [s], by the calibration on labelled records."""
    coefficient = coefficients()[f"uncertainty.{model_of(onset)}.{phase}"]
    value = np.exp(uncertainty_terms(onset, measured) @ coefficient)
    return float(np.clip(value, max(0.005, 0.3 / onset.sampling_rate), 0.5))


def uncertainty_terms(onset: Onset, measured: Measured) -> Array:
    """Return what the logarithm of the uncertainty is linear in, shape (3,)."""
    spread = np.log(measured.spread_s + 0.5 / onset.sampling_rate)
    return np.array([1.0, spread, np.clip(measured.snr_db, 0, 30)])


def polarity(onset: Onset, measured: Measured) -> str:
    """Return the first motion of an onset that was measured on one channel, see `first_motion`."""
    if len(measured.rows) > 1:
        return ""
    trace = onset.samples[1][measured.rows[0]]
    return first_motion(trace, measured.sample, onset.sampling_rate, measured.snr_db)


def first_motion(trace: NDArray[np.floating], sample: int, rate: float, snr_db: float) -> str:
    """Return the direction of the first swing that clearly leaves the noise within 0.1 s, if there is one.

    Parameters
    ----------
    trace
        Samples about an onset, high-passed, shape (n,).
    sample, rate
        Where the onset is, and the sampling rate [Hz].
    snr_db
        Signal-to-noise ratio about the onset [dB]; below 10 dB there is no answer.
    """
    before = trace[:sample]
    if snr_db < 10 or not before.size:
        return ""
    swing = trace[sample : sample + max(3, round(0.1 * rate))] - before.mean()
    clear = np.flatnonzero(np.abs(swing) > 4 * before.std())
    if not clear.size:
        return ""
    return "up" if swing[clear[0]] > 0 else "down"
