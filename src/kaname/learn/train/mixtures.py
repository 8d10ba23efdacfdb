"""Real records of single earthquakes, split by event, and the noise before them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from kaname.evaluate.noise import at_rate
from kaname.evaluate.splits import Part, split_by_event
from kaname.formats.labelled import LabelledRecord, LabelledSet, time_of
from kaname.learn.engine.windows import slots

Array = NDArray[np.float64]

RATE_HZ = 100.0
GUARD = 100
"""Samples before P that are left out of the noise: the analyst may be late."""


@dataclass(frozen=True)
class Record:
    """One sensor's record of an event: Z, N, E at 100 Hz, missing ones zero, means before P removed."""

    name: str
    data: Array
    """Shape (3, n)."""
    p: int
    """Sample of P."""
    s: int | None
    """Sample of S, where it is known."""
    part: Part

    @property
    def live(self) -> NDArray[np.bool_]:
        """Which components there are."""
        return np.asarray(self.data.any(axis=1))

    @property
    def noise(self) -> Array:
        """What lies before P."""
        return self.data[:, 50 : self.p - GUARD]

    @property
    def snr_db(self) -> float:
        """Variance in the 20 s after P against that before it, all components together [dB]."""
        live = self.data[self.live]
        quiet = live[:, 50 : self.p - GUARD].var()
        return float(10 * np.log10(live[:, self.p : self.p + 2000].var() / quiet)) if quiet > 0 else np.inf


def read_records(folders: Iterable[Path]) -> list[Record]:
    """Read the records of labelled sets (`kaname.formats.labelled`) that have a P, with their parts.

    Records of an event, of whichever set, are in one part; see `kaname.evaluate.splits.split_by_event`.

    Raises
    ------
    NotFoundError, FormatError
        When a folder is not there, or is no labelled set.
    """
    every = [r for folder in folders for r in LabelledSet(Path(folder)).records() if r.labels.get("P")]
    parts = split_by_event([time_of(r) for r in every], validation_by="day")
    return [_record(r, part) for r, part in zip(every, parts)]


def _record(record: LabelledRecord, part: Part) -> Record:
    wave = at_rate(record.wave, RATE_HZ)
    data = np.zeros((3, wave.n_sample))
    for name, row in slots(set(wave.ids))[0].items():
        data[row] = np.nan_to_num(wave.data[wave.ids.index(name)])
    onsets = {phase: round(times[0] * RATE_HZ) for phase in "PS" if (times := record.seconds(phase))}
    quiet = data[:, 50 : onsets["P"] - GUARD]
    data = data - np.where(data.any(axis=1), quiet.mean(axis=1), 0.0)[:, None]
    return Record(record.name, data, onsets["P"], onsets.get("S"), part)


def stretched(record: Record, factor: Fraction) -> Record:
    """Return the record on another time scale: like a smaller and nearer, or larger and farther, event."""
    if factor == 1:
        return record
    data = signal.resample_poly(record.data, factor.numerator, factor.denominator, axis=1)
    s = None if record.s is None else round(record.s * factor)
    return Record(f"{record.name}*{factor}", data, round(record.p * factor), s, record.part)


def long_noise(noise: Array, n: int, rng: np.random.Generator) -> Array:
    """Return ``n`` samples of noise: the piece to and fro, without a jump, from a random place."""
    period = np.concatenate([noise, noise[:, ::-1]], axis=1)
    begin = int(rng.integers(period.shape[1]))
    return np.take(period, np.arange(begin, begin + n), axis=1, mode="wrap")


def surrogate(noise: Array, rng: np.random.Generator) -> Array:
    """Return noise of the same spectra with random phases (Theiler 1992, 10.1016/0167-2789(92)90102-S)."""
    n = noise.shape[1]
    taper = signal.windows.tukey(n, 0.1)
    spectrum = np.fft.rfft(noise * taper, axis=1)
    # The same turn for all components keeps what they share.
    turn = np.exp(2j * np.pi * rng.random(spectrum.shape[1]))
    return np.asarray(np.fft.irfft(spectrum * turn, n, axis=1))
