"""What a seismologist does without a network: a trigger on the vertical, then an onset picker about it.

Two baselines. ``sta_lta``: recursive STA/LTA (Withers et al. 1998) and the minimum of the AIC (Maeda 1985),
for S on the horizontals after it. ``ar_pick``: the same trigger and ObsPy's autoregressive picker of P and S
(Akazawa 2004), as in its tutorial. Both work in windows of one minute on the UTC clock.

Their *probability* is one minus the inverse of the largest STA/LTA: a rank, not a probability.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from kaname.automation.pick.network import NetworkPicker, NetworkSettings
from kaname.automation.pick.registry import picker
from kaname.core.errors import InputError
from kaname.core.waveform import Waveform
from kaname.signal.filters import bandpass, filter_block, rest_state
from kaname.signal.trigger import aic, recursive_sta_lta

Array = NDArray[np.float64]

LEAST_S = 6.0
"""Nothing is picked in less data."""
ABOUT_S = 10.0
"""The autoregressive picker sees so much on either side of the trigger."""
S_WITHIN_S = 15.0
"""An S is looked for so long after P."""
S_RATIO = 2.0
"""Least ratio of horizontal energy in 0.3 s to that in 1.5 s of an S."""


class TriggeredSettings(NetworkSettings):
    """Settings of the two baselines."""

    low_hz: float = Field(2.0, gt=0, description="lower corner of the band-pass [Hz]")
    high_hz: float = Field(20.0, gt=0, description="upper corner of the band-pass [Hz]")
    sta_s: float = Field(0.5, gt=0, le=5, description="short-term average [s]")
    lta_s: float = Field(10.0, gt=0, le=12, description="long-term average [s]")
    trigger_on: float = Field(3.5, gt=1, description="STA/LTA that begins a trigger")
    trigger_off: float = Field(1.0, gt=0, description="STA/LTA that ends it")


class Triggered:
    """Onsets at triggers, as curves that are zero elsewhere: a `kaname.automation.pick.network.Network`."""

    window_s = 60.0

    def __init__(self, settings: TriggeredSettings) -> None:
        self.settings = settings

    def predict(self, window: Waveform) -> tuple[Array, float]:
        """Return the ranks of P and S, see `kaname.automation.pick.network.Network`."""
        rate = window.sampling_rate
        curves = np.zeros((2, window.n_sample))
        there = np.flatnonzero(window.data.any(axis=0))
        low, high = int(there[0]), int(there[-1]) + 1
        live = window.data[0, low:high].any()
        if high - low < LEAST_S * rate or not live:
            return curves, rate
        data = window.data[:, low:high]
        sos = bandpass(self.settings.low_hz, self.settings.high_hz, rate)
        filtered, _ = filter_block(sos, data, rest_state(sos, data[:, 0]))
        for on, ratio in self._triggers(filtered[0], rate):
            for row, sample in enumerate(self.onsets(data, filtered, on, rate)):
                if sample is not None and 0 <= sample < high - low:
                    curves[row, low + sample] = max(curves[row, low + sample], 1 - 1 / ratio)
        return curves, rate

    def _triggers(self, trace: Array, rate: float) -> Iterator[tuple[int, float]]:
        """Give the first sample and the largest ratio of each trigger."""
        s = self.settings
        ratio = recursive_sta_lta(trace, max(1, round(s.sta_s * rate)), round(s.lta_s * rate))
        at = 0
        while (above := np.flatnonzero(ratio[at:] >= s.trigger_on)).size:
            on = at + int(above[0])
            below = np.flatnonzero(ratio[on:] < s.trigger_off)
            at = on + int(below[0]) if below.size else ratio.size
            yield on, float(ratio[on:at].max())

    def onsets(self, data: Array, filtered: Array, on: int, rate: float) -> tuple[int | None, int | None]:
        """Return the samples of P and S of a trigger, ``None`` where there is none.

        Parameters
        ----------
        data, filtered
            Channels Z, N, E, shape (3, n_sample); a channel that is not there is zero.
        on
            Sample of the trigger.
        rate
            Sampling rate [Hz].
        """
        p = _least(filtered[:1], on - round(2 * rate), on + round(0.5 * rate), rate)
        if p is None or not filtered[1:].any():
            return p, None
        first, last = p + round(0.5 * rate), min(filtered.shape[1], p + round(S_WITHIN_S * rate))
        energy = np.cumsum((filtered[1:] ** 2).sum(axis=0))
        k = np.arange(max(first, round(1.5 * rate)), last - round(0.3 * rate))
        if not k.size:
            return p, None
        after = (energy[k + round(0.3 * rate)] - energy[k]) / 0.3
        before = (energy[k] - energy[k - round(1.5 * rate)]) / 1.5
        gain = after / np.maximum(before, 1e-12 * energy[-1])
        best = int(gain.argmax())
        if gain[best] < S_RATIO:
            return p, None
        at = int(k[best])
        return p, _least(filtered[1:], max(first, at - round(rate)), at + round(0.5 * rate), rate)


class Autoregressive(Triggered):
    """The same with ObsPy's autoregressive picker."""

    def onsets(self, data: Array, filtered: Array, on: int, rate: float) -> tuple[int | None, int | None]:
        """Return the samples of P and S of a trigger, see `Triggered.onsets`."""
        from obspy.signal.trigger import ar_pick

        about = round(ABOUT_S * rate)
        low, high = max(0, on - about), min(data.shape[1], on + about)
        if high - low < LEAST_S * rate:
            return None, None
        three = data[1:].any(axis=1).all()
        z, n, e = data[:, low:high] if three else (data[0, low:high],) * 3
        top = min(self.settings.high_hz, 0.4 * rate)
        p, s = ar_pick(
            z, n, e, rate, self.settings.low_hz, top, 1.0, 0.1, 4.0, 1.0, 2, 8, 0.1, 0.2, s_pick=bool(three)
        )
        return (
            low + round(p * rate) if p > 0 else None,
            low + round(s * rate) if three and s > 0 else None,
        )


def _least(traces: Array, low: int, high: int, rate: float) -> int | None:
    """Return the sample where the AIC of a window is least."""
    low, high = max(0, low), min(traces.shape[1], high)
    margin = max(2, round(0.05 * rate))
    if high - low < 2 * margin + 2:
        return None
    return low + int(np.argmin(aic(np.ascontiguousarray(traces[:, low:high]), margin)))


@picker("sta_lta")
class StaLtaPicker(NetworkPicker):
    """Recursive STA/LTA and AIC."""

    Settings = TriggeredSettings

    def __init__(self, settings: TriggeredSettings, variant: str = "") -> None:
        if variant:
            raise InputError(f"picker sta_lta has no variant {variant!r}; call it 'sta_lta'")
        super().__init__("sta_lta", Triggered(settings), settings)


@picker("ar_pick")
class ArPicker(NetworkPicker):
    """Recursive STA/LTA and ObsPy's autoregressive picker."""

    Settings = TriggeredSettings

    def __init__(self, settings: TriggeredSettings, variant: str = "") -> None:
        if variant:
            raise InputError(f"picker ar_pick has no variant {variant!r}; call it 'ar_pick'")
        super().__init__("ar_pick", Autoregressive(settings), settings)
