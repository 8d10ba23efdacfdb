"""Damaged and hostile WIN files end in a `FormatError` or a result, in bounded time and memory."""

from __future__ import annotations

from collections import Counter

import fuzz_win
import numpy as np
import pytest
from fuzz_win import MUTATIONS, attempt, attempt_table, base


@pytest.mark.parametrize("name", list(fuzz_win.hostile(64_000)))
def test_files_made_to_cost(name, tmp_path) -> None:
    assert attempt(tmp_path / "w", fuzz_win.hostile(64_000)[name], Counter()) == ""


@pytest.mark.parametrize("seed", range(20))
def test_damaged_files(seed, tmp_path) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(4):
        data = bytearray(base(rng))
        for i in rng.integers(0, len(MUTATIONS), 3):
            if data:
                MUTATIONS[int(i)](data, rng)
        assert attempt(tmp_path / "w", bytes(data), Counter()) == ""


@pytest.mark.parametrize("seed", range(20))
def test_damaged_tables(seed, tmp_path) -> None:
    rng = np.random.default_rng(seed)
    data = bytearray(fuzz_win.TABLE)
    fuzz_win.flip(data, rng)
    assert attempt_table(tmp_path / "a.ch", bytes(data), Counter()) == ""
