"""Earthquakes pasted into noise at a known rate: how many onsets are found when they come thick and fast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kaname.core.errors import InputError
from kaname.core.tables import PICKS, table
from kaname.core.waveform import Waveform
from kaname.evaluate.noise import LEVEL, RATE_HZ, at_rate, band_level

BEFORE_S = 3.0
"""An event is cut so long before its P, and faded in up to 0.5 s before it."""
GAINS = (0.5, 2.0)
"""Events are scaled by a factor drawn between these, evenly in its logarithm."""
MARGIN_S = 30.0
"""No event begins so close to either end of the noise."""


@dataclass(frozen=True)
class CutEvent:
    """A real event at 100 Hz, in units of the noise before it."""

    data: NDArray[np.float64]
    """Shape (3, n)."""
    onsets: dict[str, float]
    """Seconds from the first sample by phase."""


def cut_event(wave: Waveform, onsets: dict[str, np.datetime64]) -> CutEvent | None:
    """Cut an event with P and S out of its record, faded in and out; ``None`` where the record does not do.

    It runs from 3 s before P to 10 s after S, or twice S minus P after S if that is longer. Its level is
    divided by that of the noise in 2 to 20 Hz from the start of the record to 0.5 s before P, so that, added
    to noise of level one, it has the signal-to-noise ratio it really had.

    Parameters
    ----------
    wave
        Record of one sensor.
    onsets
        Time of ``P`` and of ``S``.
    """
    if wave.n_channel != 3 or not {"P", "S"} <= onsets.keys() or not np.isfinite(wave.data).all():
        return None
    own = at_rate(wave)
    # Vertical first, as the noise has it.
    own = own.select(sorted(own.ids, key=lambda i: (i[-1] not in "Z3", i)))
    p, s = (own.index(onsets[phase]) for phase in ("P", "S"))
    first = round(p - BEFORE_S * RATE_HZ)
    last = min(own.n_sample, round(s + max(10 * RATE_HZ, 2 * (s - p))))
    quiet = own.data[:, : max(0, round(p - 0.5 * RATE_HZ))]
    if first < 0 or s <= p or last - s < 2 * RATE_HZ or quiet.shape[1] < BEFORE_S * RATE_HZ:
        return None
    mean = quiet.mean(axis=1, keepdims=True)
    level = band_level(quiet - mean)
    if not level > 0:
        return None
    data = (own.data[:, first:last] - mean) / level
    rise = round((BEFORE_S - 0.5) * RATE_HZ)
    fall = round(0.5 * (last - s))
    data[:, :rise] *= np.sin(np.pi / 2 * np.arange(rise) / rise) ** 2
    data[:, -fall:] *= np.cos(np.pi / 2 * np.arange(fall) / fall) ** 2
    return CutEvent(data, {"P": (p - first) / RATE_HZ, "S": (s - first) / RATE_HZ})


def paste(
    noise: Waveform, events: Sequence[CutEvent], *, per_hour: float, seed: int
) -> tuple[Waveform, pd.DataFrame]:
    """Add events to noise at times drawn evenly, so that the gaps between them are as in a Poisson process.

    Parameters
    ----------
    noise
        Three components at 100 Hz with the level of `kaname.evaluate.noise.long_noise`.
    events
        Drawn from with replacement, scaled by a factor of 0.5 to 2.
    per_hour
        Rate [1/hour].
    seed
        The same seed gives the same record.

    Returns
    -------
    tuple of Waveform and DataFrame
        The record, and its onsets as a table ``picks``.

    Raises
    ------
    InputError
        When there are no events, or the noise is not as above or too short.
    """
    if not events:
        raise InputError(
            "no events to paste: records with three components, P, S and 3 s before P are needed"
        )
    if noise.n_channel != 3 or noise.sampling_rate != RATE_HZ:
        raise InputError(
            f"noise of three channels at 100 Hz expected, found {noise.n_channel} at other rates"
        )
    room = noise.duration_s - 2 * MARGIN_S
    if room <= 0:
        raise InputError(f"noise of more than {2 * MARGIN_S:g} s expected, found {noise.duration_s:g} s")
    rng = np.random.default_rng(seed)
    data = noise.data.astype(np.float32)
    rows = []
    times = np.sort(rng.uniform(MARGIN_S, MARGIN_S + room, round(per_hour * room / 3600)))
    network, station, location, _ = noise.ids[0].split(".")
    for number, time in enumerate(times):
        event = events[int(rng.integers(len(events)))]
        gain = LEVEL * np.exp(rng.uniform(*np.log(GAINS)))
        low = round((time - event.onsets["P"]) * RATE_HZ)
        first, last = max(0, low), min(noise.n_sample, low + event.data.shape[1])
        data[:, first:last] += gain * event.data[:, first - low : last - low]
        for phase, onset in event.onsets.items():
            sample = low + onset * RATE_HZ
            if sample < noise.n_sample:
                rows.append(
                    {
                        "pick_id": f"{number}{phase}",
                        "network": network,
                        "station": station,
                        "location": location,
                        "phase": phase,
                        "time": noise.time(sample),
                    }
                )
    return replace(noise, data=data), table(rows, PICKS)
