"""Archives of made-up channels, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kaname.core.waveform import Waveform
from kaname.formats.miniseed import write_miniseed

Make = Callable[..., Waveform]

DAY = np.datetime64("2021-03-14", "ns")


def at(seconds: float) -> np.datetime64:
    """Return a time so many seconds into the day."""
    return DAY + np.timedelta64(round(seconds * 1e9), "ns")


def wave(
    start_s: float = 0.0, n: int = 6000, *, id: str = "XX.AAA..HHZ", rate: float = 100.0, seed: int = 0
) -> Waveform:
    """Return noise of one channel from ``start_s`` seconds into the day."""
    rng = np.random.default_rng(seed)
    samples = np.cumsum(rng.integers(-50, 51, n)).astype(np.int32)
    return Waveform(samples[np.newaxis], (id,), at(start_s), rate)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three channels in two folders; HHZ has a gap from 60 to 90 s, HHN lies in two files that touch."""
    root = tmp_path / "data"
    for name in ("one", "two"):
        (root / name).mkdir(parents=True)
    write_miniseed([wave(0), wave(90, seed=1)], root / "one" / "z.mseed")
    whole = wave(0, 12000, id="XX.AAA..HHN", seed=2)
    write_miniseed([whole.slice(at(0), at(50))], root / "one" / "n.mseed")
    write_miniseed([whole.slice(at(50), at(120))], root / "two" / "n.mseed")
    write_miniseed([wave(0, 6000, id="YY.BBB.10.EHZ", seed=3)], root / "two" / "b.mseed")
    return root
