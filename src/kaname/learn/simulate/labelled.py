"""Simulated earthquakes in made-up noise as a labelled set: number and seed suffice to make it again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kaname.core.errors import InputError
from kaname.core.time import add_seconds
from kaname.core.waveform import Waveform
from kaname.formats.labelled import EPOCH, LabelledRecord
from kaname.learn.simulate.noise import noise
from kaname.learn.simulate.records import RATE_HZ, simulate

Array = NDArray[np.float32]

SNR_DB = (15.0, 45.0)
"""Largest amplitude of the earthquake over the root mean square of the noise, both of first differences."""
SINGLE = 0.25
"""Share of records that have the vertical alone."""
PIECE = 50
FIRST_SEED = 1_000_000
"""Seeds of these sets begin here, so that none of their records has been trained on."""


@dataclass
class SimulatedSet:
    """A labelled set (`kaname.formats.labelled.LabelledSet`) that is made and not read.

    Parameters
    ----------
    n
        How many records: 90 s at 100 Hz, one earthquake each, with its true P and S.
    seed
        Seed; record ``k`` depends on seed and ``k`` alone.
    name
        What it is called in results.

    Raises
    ------
    InputError
        When the number or the seed is negative.
    """

    n: int
    seed: int = 0
    name: str = "simulated"
    layout: str = field(default="simulated", init=False)
    failures: list[dict[str, Any]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        if self.n < 0 or self.seed < 0:
            raise InputError(f"number and seed must be 0 or more, found {self.n} and {self.seed}")

    def records(self) -> Iterator[LabelledRecord]:
        """Make the records one by one."""
        for first in range(0, self.n, PIECE):
            own = FIRST_SEED + 10_000 * self.seed + first // PIECE
            bank = simulate(min(PIECE, self.n - first), seed=own)
            quiet = noise(len(bank), bank.data.shape[2], seed=own)
            for k in range(len(bank)):
                rng = np.random.default_rng([own, k, 1])
                yield self._record(first + k, bank.data[k], quiet[k], bank.p[k], bank.s[k], rng)

    def _record(
        self, number: int, event: Array, quiet: Array, p: float, s: float, rng: np.random.Generator
    ) -> LabelledRecord:
        loud, level = float(np.abs(np.diff(event)).max()), float(np.diff(quiet).std())
        gain = level / loud * 10 ** (rng.uniform(*SNR_DB) / 20) if loud > 0 and level > 0 else 1.0
        data = quiet + np.float32(gain) * event
        codes = "Z" if rng.random() < SINGLE else "ZNE"
        ids = tuple(f"XX.S{number % 10000:04d}..HH{c}" for c in codes)
        wave = Waveform(data[: len(codes)], ids, EPOCH, RATE_HZ)
        onset: dict[str, tuple[np.datetime64, ...]] = {
            "P": (add_seconds(EPOCH, p / RATE_HZ),),
            "S": (add_seconds(EPOCH, s / RATE_HZ),),
        }
        name = f"{self.seed}-{number:06d}"
        return LabelledRecord(self.name, name, name, wave, onset)
