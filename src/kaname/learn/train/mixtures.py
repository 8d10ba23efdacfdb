"""Real records of single earthquakes, split by event, and the noise before them.

The records are those of the folder's ``train.csv`` or ``waveform.csv``: npz files of 90 s at 100 Hz with
columns E, N, Z (or Z alone) and the sample of P.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from kaname.core.errors import NotFoundError
from kaname.evaluate.splits import Part, part_of, split_by_event

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
    """Read the records of folders, with their parts.

    Events are told apart by the time in the file's name; all records of an event, of whichever folder, are in
    one part (`kaname.evaluate.splits`); an eighth of the days that are not for the test are for validation.

    Raises
    ------
    NotFoundError
        When a folder has no table of records.
    """
    rows: list[tuple[Path, dict[str, str]]] = []
    for folder in folders:
        table = next(iter(sorted(Path(folder).glob("*.csv"))), None)
        if table is None:
            raise NotFoundError(f"no table of records (*.csv) in {folder}")
        with table.open() as file:
            paths = [(Path(folder) / table.stem / row["fname"], row) for row in csv.DictReader(file)]
        rows += [(path, row) for path, row in paths if path.is_file()]
    times = [time_in(path.stem) for path, _ in rows]
    held = [side == "test" for side in split_by_event(times)]
    out: list[Record] = []
    for (path, row), time, test in zip(rows, times, held):
        # By the day: it never parts an event from its neighbours, bar those over midnight.
        chosen = part_of(f"validation {time.astype('datetime64[D]')}", share=0.125) == "test"
        part: Part = "test" if test else "validation" if chosen else "train"
        with np.load(path) as file:
            data = np.nan_to_num(file["data"].astype(np.float64)).T[::-1]
        p = int(row["itp"])
        data = data - np.where(data.any(axis=1), data[:, 50 : p - GUARD].mean(axis=1), 0.0)[:, None]
        out.append(Record(path.stem, data, p, int(row["its"]) if row.get("its") else None, part))
    return out


def time_in(name: str) -> np.datetime64:
    """Return the time in a record's name, UTC."""
    stamp = name.split("_")[2]
    return np.datetime64(datetime.strptime(stamp[:14], "%Y%m%d%H%M%S"), "ms")


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
