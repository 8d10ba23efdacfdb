"""Samples that are there twice: one of them is kept, and no disagreement is silent."""

from __future__ import annotations

import re

import numpy as np
import pytest

from kaname.core.waveform import Waveform, join
from kaname.formats.overlaps import resolve_overlaps, subtract

START = np.datetime64("2021-03-14T00:00:00", "ns")


def block(first: int, samples, *, rate: float = 100.0, unit: str = "count", shift_ns: int = 0) -> Waveform:
    """Return a block whose first sample lies on the given one of a common clock."""
    start = START + np.timedelta64(round(first * 1e9 / rate) + shift_ns, "ns")
    return Waveform(np.asarray(samples, np.int32)[None], ("XX.A..HHZ",), start, rate, unit)


def sample_by_sample(blocks) -> tuple[dict[int, int], int]:
    """Return what every instant keeps when the first block to have it wins, and how many samples disagree."""
    kept: dict[int, int] = {}
    n_different = 0
    for each in blocks:
        first = round((each.start - START) / np.timedelta64(10, "ms"))
        for i, value in enumerate(each.data[0].tolist(), first):
            n_different += kept.setdefault(i, value) != value
    return kept, n_different


@pytest.mark.parametrize("seed", range(30))
def test_the_first_to_have_an_instant_keeps_it(seed):
    rng = np.random.default_rng(seed)
    truth = rng.integers(-9, 10, 600)
    blocks = []
    for _ in range(rng.integers(2, 40)):
        first, n = int(rng.integers(0, 500)), int(rng.integers(1, 100))
        samples = truth[first : first + n].copy()
        samples[rng.random(n) < 0.02] += 100
        blocks.append(block(first, samples))
    found, failures = resolve_overlaps(blocks)
    kept, n_different = sample_by_sample(blocks)
    assert sample_by_sample(found) == (kept, 0)
    assert sum(b.n_sample for b in found) == len(kept)
    assert [b.start for b in found] == sorted(b.start for b in found)
    # Each instant is compared once, with the one that was kept.
    said = [int(re.search(r"disagree in (\d+) samples", row["message"])[1]) for row in failures]
    assert sum(said) == n_different


@pytest.mark.parametrize("seed", range(20))
def test_any_order_clock_and_rate_gives_what_comparing_with_all_gives(seed):
    rng = np.random.default_rng(seed)
    blocks = [
        block(
            int(rng.integers(0, 300)),
            rng.integers(-9, 10, int(rng.integers(1, 60))),
            rate=float(rng.choice([1, 20, 100])),
            shift_ns=int(rng.integers(-3_000_000, 3_000_001)),
        )
        for _ in range(50)
    ]
    found, failures = resolve_overlaps(blocks)
    kept: list[Waveform] = []
    rows = []
    for each in blocks:
        new, more = subtract(each, kept)
        kept += new
        rows += more
    expected = join(sorted(kept, key=lambda b: b.start))
    assert rows == failures and len(found) == len(expected)
    for a, b in zip(found, expected):
        assert (a.start, a.sampling_rate) == (b.start, b.sampling_rate)
        np.testing.assert_array_equal(a.data, b.data)


def test_many_blocks_in_no_order():
    rng = np.random.default_rng(0)
    truth = rng.integers(-9, 10, 40_010)
    blocks = [block(10 * i, truth[10 * i : 10 * i + 15]) for i in rng.permutation(4000)]
    (whole,), failures = resolve_overlaps(blocks)
    assert not failures
    np.testing.assert_array_equal(whole.data[0], truth[: whole.n_sample])


def test_equal_samples_of_an_unknown_unit_agree():
    one, other = block(0, [1, 2, 3]), block(0, [1, 2, 3, 4], unit="unknown")
    found, failures = resolve_overlaps([one, other])
    assert not failures and [b.data.tolist() for b in found] == [[[1, 2, 3]], [[4]]]
    assert [b.unit for b in found] == ["count", "unknown"]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (block(0, [1, 2, 3], unit="m/s"), "are in count and in m/s"),
        (block(0, [1, 2, 3], rate=50.0), "have 100 and 50 samples per second"),
        (block(0, [1, 5, 6]), "disagree in 2 samples"),
    ],
)
def test_what_contradicts_is_named(other, said):
    _, (row,) = resolve_overlaps([block(0, [1, 2, 3]), other])
    assert row["error"] == "Overlap" and row["start"] == START and said in row["message"]


def test_no_numbers_agree_with_no_numbers():
    data = np.array([[1.0, np.nan, 3.0]])
    one = Waveform(data, ("XX.A..HHZ",), START, 1.0)
    found, failures = resolve_overlaps([one, one])
    assert len(found) == 1 and not failures
