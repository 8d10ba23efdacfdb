"""Continuous records of any length, generated from real noise, with real earthquakes pasted in.

The source is the four-station record that ObsPy carries (Unterhaching, 2010-05-27). The noise is Gaussian
with the spectrum of its quiet stretches; the events are its three clear ones, cut from all stations alike and
pasted at known times with random size, so delays between stations and waveforms are real. What comes out is
synthetic: real noise has trains, footsteps and dropouts that this has not.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import firwin2, oaconvolve, welch

from kaname.archive.layout import day_file
from kaname.archive.store import Archive
from kaname.core.time import add_seconds
from kaname.core.waveform import Waveform
from kaname.formats.contract import read_waveforms
from kaname.formats.miniseed import write_miniseed

QUIET = (("2010-05-27T16:24:06", "2010-05-27T16:24:30"), ("2010-05-27T16:25:45", "2010-05-27T16:26:50"))
EVENTS = ("2010-05-27T16:24:32.2", "2010-05-27T16:27:00.8", "2010-05-27T16:27:29.5")
"""About a second before the first P of each clear event."""
EVENT_S = 9.0
START = np.datetime64("2020-01-01T00:00:00", "ns")


@dataclass(frozen=True)
class Truth:
    """What was pasted in: time of the cut in the new record, which event, factor on its amplitude."""

    time: np.datetime64
    event: int
    factor: float


def records() -> list[Waveform]:
    """Return the real records that everything is made of, one block per channel."""
    root = Path(str(find_spec("obspy").origin)).parent / "signal" / "tests" / "data"  # type: ignore[union-attr]
    files = sorted(root.glob("BW.UH?._.?H?.D.2010.147.cut.slist.gz"))
    return [block for file in files for block in read_waveforms(file).blocks]


def generate(
    folder: Path, hours: float, *, stations: int = 4, events_per_hour: float = 1.0, seed: int = 0
) -> list[Truth]:
    """Write an archive of ``hours`` of continuous records of each station; return what is in it."""
    source = [b for b in records() if int(b.ids[0].split(".")[1][2]) <= stations]
    random = np.random.default_rng(seed)
    total_s = hours * 3600
    n_event = int(random.poisson(events_per_hour * hours))
    # Well apart and away from the edges, so that each is an event of its own.
    slots = random.permutation(int(total_s // 60 - 2))[:n_event] + 1
    truth = [
        Truth(add_seconds(START, 60.0 * int(slot) + random.uniform(0, 40)), int(event), float(factor))
        for slot, event, factor in zip(
            np.sort(slots), random.integers(0, len(EVENTS), n_event), random.uniform(0.7, 1.5, n_event)
        )
    ]
    folder.mkdir(parents=True, exist_ok=True)
    with Archive(folder) as archive:
        for block in source:
            for day, samples in enumerate(_days(block, total_s, truth, random)):
                start = add_seconds(START, 86400.0 * day)
                path = folder / day_file(block.ids[0], start)
                path.parent.mkdir(parents=True, exist_ok=True)
                write_miniseed([Waveform(samples, block.ids, start, block.sampling_rate)], path)
        archive.index()
    return truth


def _days(
    block: Waveform, total_s: float, truth: list[Truth], random: np.random.Generator
) -> list[NDArray[np.int32]]:
    taps = _shaping(block)
    rate = block.sampling_rate
    cuts = [_cut(block, time) for time in EVENTS]
    out = []
    for day in range(int(np.ceil(total_s / 86400))):
        begin = add_seconds(START, 86400.0 * day)
        n = round(min(86400.0, total_s - 86400.0 * day) * rate)
        samples = oaconvolve(random.standard_normal(n + len(taps) - 1), taps, mode="valid")
        for event in truth:
            first = round((event.time - begin).astype(np.int64) / 1e9 * rate)
            cut = event.factor * cuts[event.event]
            low, high = max(first, 0), min(first + len(cut), n)
            if low < high:
                samples[low:high] += cut[low - first : high - first]
        out.append(np.round(samples).astype(np.int32)[np.newaxis])
    return out


def _shaping(block: Waveform) -> NDArray[np.float64]:
    """Filter that gives white noise the spectrum of the quiet stretches."""
    quiet = [block.slice(np.datetime64(a, "ns"), np.datetime64(b, "ns")) for a, b in QUIET]
    density = [welch(q.data[0], block.sampling_rate, nperseg=512)[1] for q in quiet if q is not None]
    power = np.mean(density, axis=0)
    frequency = np.linspace(0, 1, len(power))
    gain = np.sqrt(power * block.sampling_rate / 2)
    gain[0] = 0.0
    return np.asarray(firwin2(1025, frequency, gain))


def _cut(block: Waveform, time: str) -> NDArray[np.float64]:
    start = np.datetime64(time, "ns")
    part = block.slice(start, add_seconds(start, EVENT_S))
    assert part is not None
    samples = part.data[0] - np.median(part.data[0])
    n = len(samples)
    edge = min(n // 10, round(0.5 * block.sampling_rate))
    taper = np.ones(n)
    taper[:edge] = np.sin(np.linspace(0, np.pi / 2, edge)) ** 2
    taper[-4 * edge :] = np.cos(np.linspace(0, np.pi / 2, 4 * edge)) ** 2
    return np.asarray(samples * taper, dtype=float)
