"""Which onsets of a swarm are missed: ``python benchmarks/swarm_misses.py [PICKER]``.

Earthquakes of the NCEDC records for training and validation are pasted into resynthesised noise as ``kaname
bench picking`` does it, and recall within 0.3 s is given by how large an onset is (root mean square of its
first 0.6 s alone, 2 to 20 Hz) against what runs in the 0.6 s before it, other earthquakes included.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from labelled_picks import folder
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from kaname.automation.pick import get_picker, picks_table
from kaname.cli._bench import quiet_pieces, read_sets
from kaname.cli._bench_judge import cut_events
from kaname.core.step import run
from kaname.core.tables import PICKS, table
from kaname.core.waveform import Waveform
from kaname.evaluate import noise, swarm
from kaname.evaluate.picks import match_picks

RATES = (120, 420)
EDGES_DB = (-60, -3, 0, 3, 6, 10, 15, 90)
LENGTH = 60
"""Samples at 100 Hz that onsets and what is before them are measured on."""
SEED = 3


def main(name: str) -> None:
    """Print recall by size."""
    data = [f"ncedc={folder() / 'picks/ncedc'}"]
    records = [
        record
        for part in ("train", "validation")
        for record in read_sets(data, split=part, by="event", limit=None, clock=())[0]
    ]
    events = cut_events(records)
    quiet = noise.long_noise(quiet_pieces(records), 3600, kind="resynthesised", seed=SEED)
    picker = get_picker(name)
    for rate in RATES:
        wave, onsets = paste(quiet, events, rate)
        picks = picks_table(run(picker, noise.hours_of(wave)))
        labels = table([{**o, "time": wave.time(o["time"])} for o in onsets], PICKS)
        filtered = band(wave.data)
        for phase in "PS":
            own = np.array([o["phase"] == phase for o in onsets])
            size = np.array([o["size"] for o, k in zip(onsets, own) if k])
            at = np.array([round(o["time"]) for o, k in zip(onsets, own) if k])
            before = [level(filtered[:, i - LENGTH : i - 2]) for i in at]
            found = np.zeros(len(at), bool)
            pair = match_picks(
                picks[picks["phase"] == phase].reset_index(drop=True),
                labels[own].reset_index(drop=True),
                0.3,
            )
            found[pair[1]] = True
            print(f"{rate} per hour, {phase}: {found.mean():.3f} of {len(found)}")
            excess = 20 * np.log10(size / before)
            for low, high in pairwise(EDGES_DB):
                here = (excess >= low) & (excess < high)
                print(f"  {low:4d} to {high:3d} dB: {found[here].mean():.2f} of {here.sum()}")


def paste(
    quiet: Waveform, events: Sequence[swarm.CutEvent], rate: int
) -> tuple[Waveform, list[dict[str, Any]]]:
    """As `kaname.evaluate.swarm.paste`, but each onset comes with its place [sample] and its own size."""
    rng = np.random.default_rng(SEED)
    room = quiet.duration_s - 2 * swarm.MARGIN_S
    data, onsets = quiet.data.astype(np.float64), []
    for number, time in enumerate(
        np.sort(rng.uniform(swarm.MARGIN_S, swarm.MARGIN_S + room, round(rate * room / 3600)))
    ):
        event = events[int(rng.integers(len(events)))]
        cut = noise.LEVEL * np.exp(rng.uniform(*np.log(swarm.GAINS))) * event.data
        low = round((time - event.onsets["P"]) * 100)
        first, last = max(0, low), min(quiet.n_sample, low + cut.shape[1])
        data[:, first:last] += cut[:, first - low : last - low]
        for phase, onset in event.onsets.items():
            i = round(onset * 100)
            size = level(band(cut)[:, i : i + LENGTH])
            place = low + onset * 100
            if place < quiet.n_sample:
                onsets.append(
                    {"pick_id": f"{number}{phase}", "phase": phase, "time": place, "size": size}
                    | dict(zip(("network", "station", "location"), quiet.ids[0].split(".")))
                )
    return replace(quiet, data=data), onsets


def band(data: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return 2 to 20 Hz."""
    sos = butter(2, (2, 20), "bandpass", fs=100, output="sos")
    return np.asarray(sosfilt(sos, data, axis=1))


def level(data: NDArray[np.floating]) -> float:
    """Return the root mean square over all components."""
    return float(np.sqrt(np.mean(np.square(data))))


if __name__ == "__main__":
    main(*(sys.argv[1:2] or ["kaname"]))
