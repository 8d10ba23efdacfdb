"""Records with an analyst's P and S, for calibrating and judging pickers.

Reads the real cases of the folder ``KANAME_DATA`` (default ``../shared/data``): ``picks/ncedc``,
``denoise/deepdenoiser`` (P only) and ``network/nz_samba_2013``. None of it is part of this project.
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kaname.automation.pick.classical import measure
from kaname.automation.pick.onset import OnsetStep
from kaname.core.step import run
from kaname.core.time import NS_PER_S, as_time, seconds_between
from kaname.core.waveform import Waveform, align, sensor_of

SECOND = np.timedelta64(NS_PER_S, "ns")


@dataclass(frozen=True)
class Record:
    """One sensor's record of one event."""

    source: str
    name: str
    event: str
    wave: Waveform
    labels: dict[str, list[np.datetime64]]
    """Analyst's onsets by phase, on the clock of the waveform."""

    @property
    def reporting(self) -> bool:
        """Half of the events, by a hash of the name, are for calibrating; the others for reporting."""
        return bool(_hash(self.event) % 2)

    def seconds(self, phase: str) -> list[float]:
        """Labels in seconds from the start."""
        return [seconds_between(self.wave.start, t) for t in self.labels.get(phase, [])]


def folder() -> Path:
    """Folder of the real cases."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("KANAME_DATA", default))


def ncedc(root: Path) -> list[Record]:
    """Single records of NCEDC with P and S; P stands at the same sample in all, so a random window is cut."""
    return _npz(root / "picks/ncedc", "waveform.csv", "waveform", "ncedc")


def denoise(root: Path) -> list[Record]:
    """Single records with P."""
    return _npz(root / "denoise/deepdenoiser", "train.csv", "train", "denoise")


def _npz(root: Path, table: str, sub: str, source: str) -> list[Record]:
    out = []
    with (root / table).open() as file:
        for row in csv.DictReader(file):
            name = row["fname"]
            data = np.load(root / sub / name)["data"].astype(np.float64)
            codes = row["channels"].split("_")
            columns = [2] if len(codes) == 1 else [0, 1, 2]
            network, station = name.split("_")[:2]
            rng = np.random.default_rng(_hash(name))
            first, last = int(rng.integers(0, 1500)), len(data) - int(rng.integers(0, 1500))
            wave = Waveform(
                data[first:last, columns].T,
                tuple(f"{network}.{station}..{c}" for c in codes),
                as_time("2000-01-01"),
                100.0,
            )
            keys = {"P": "itp", "S": "its"}
            labels = {p: [wave.time(int(row[k]) - first)] for p, k in keys.items() if k in row}
            out.append(Record(source, name, name, wave, labels))
    return out


def nz(root: Path) -> list[Record]:
    """Alpine Fault events, on the clock of the waveforms (see `clock_offset`)."""
    import obspy
    from obspy.io.nordic.core import read_nordic, readwavename

    base = root / "network/nz_samba_2013"
    out = []
    for path in sorted(base.glob("REA/*")):
        event = read_nordic(str(path))[0]
        key = str(event.origins[0].time)[:15]  # ten minutes: the same event by two analysts stays together
        channels = defaultdict(list)
        for trace in obspy.read(str(base / "WAV" / Path(readwavename(str(path))[0]).name)):
            channels[sensor_of(trace.id)].append(Waveform.from_trace(trace))
        for sensor, blocks in sorted(channels.items()):
            station = sensor.split(".")[1]
            labels: dict[str, list[np.datetime64]] = {}
            for pick in event.picks:
                if pick.waveform_id.station_code == station and pick.phase_hint in ("P", "S"):
                    labels.setdefault(pick.phase_hint, []).append(as_time(pick.time))
            wave = max(align(blocks), key=lambda b: (b.n_channel, b.n_sample))
            out.append(Record("nz", f"{path.name} {sensor}", key, wave, labels))
    offset = clock_offset([r for r in out if not r.reporting])
    shift = np.timedelta64(round(offset * NS_PER_S), "ns")
    return [replace(r, labels={p: [t + shift for t in ts] for p, ts in r.labels.items()}) for r in out]


def clock_offset(records: list[Record]) -> float:
    """Seconds by which the waveforms' clock is ahead of the analysts', one constant for a data set.

    It is taken where most labels of all records within 1 s have a strong onset. One constant per event would
    not do: where two earthquakes follow one another within a second, the onsets of either fit the labels.
    """
    grid = np.arange(-1.0, 1.0, 0.01)
    step = OnsetStep(threshold_db=5.0, warmup_s=5.0)
    hits = np.zeros_like(grid)
    for r in records:
        onsets = list(run(step, [r.wave])) if r.labels else []
        for phase, times in r.labels.items():
            measured = [(o, measure(o, phase)) for o in onsets]
            found = [o.at(m.sample) for o, m in measured if m is not None]
            for label in times:
                gaps = [seconds_between(label, t) for t in found]
                near = [np.abs(grid - g) for g in gaps if abs(g) < 1.5]
                if near:
                    hits += np.exp(-0.5 * (np.min(near, axis=0) / 0.03) ** 2)
    return float(grid[hits.argmax()])


def all_records() -> list[Record]:
    """Every labelled record that is there."""
    root = folder()
    return ncedc(root) + denoise(root) + nz(root)


def _hash(text: str) -> int:
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)
