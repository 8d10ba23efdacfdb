"""The picker ``kaname``: the same picks whatever comes in, and none from what is no earthquake.

The network is ``tests/learn/data/tiny.onnx``, fitted to made-up onsets: what is tested is what the engine
makes of a network, not how good one is.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from kaname.automation.pick import Pick, get_picker
from kaname.core.errors import NotFoundError
from kaname.core.step import run
from kaname.core.time import as_time, seconds_between
from kaname.core.waveform import Waveform

DATA = Path(__file__).parents[1] / "learn/data"
START = as_time("2024-05-06T07:08:09.503")
RATE = 100.0
ONSETS = np.arange(40.0, 1180.0, 23.7)
S_DELAY = 2.3


def record(seconds: float = 1200.0, rate: float = RATE, station: str = "ABC", seed: int = 1) -> Waveform:
    """Noise with P and S at known times, the longest of the tests: five windows."""
    rng = np.random.default_rng(seed)
    n = round(seconds * rate)
    t = np.arange(n) / rate
    data = 10 * rng.standard_normal((3, n))
    for onset in ONSETS[seconds - 10 > ONSETS]:
        for delay, gains in ((0.0, (300, 90, 90)), (S_DELAY, (150, 700, 600))):
            low, high = round((onset + delay) * rate), round((onset + delay + 6) * rate)
            since = t[low:high] - onset - delay
            swing = np.sin(2 * np.pi * 9 * since) + 0.4 * rng.standard_normal(since.size)
            data[:, low:high] += (
                np.array(gains)[:, np.newaxis] * np.exp(-np.clip(since, 0, None) / 0.6) * swing
            )
    return Waveform(
        np.round(data).astype(np.int32), tuple(f"XX.{station}.10.HH{c}" for c in "ZNE"), START, rate
    )


def cut(wave: Waveform, at: list[int]) -> list[Waveform]:
    edges = sorted({0, wave.n_sample, *(a % wave.n_sample for a in at)})
    return [replace(wave, data=wave.data[:, low:high], start=wave.time(low)) for low, high in pairwise(edges)]


@pytest.fixture(scope="module")
def picker():
    return get_picker(f"kaname:{DATA / 'tiny.onnx'}")


@pytest.fixture(scope="module")
def whole(picker) -> list[Pick]:
    return list(run(picker, [record()]))


def recall(picks: list[Pick], phase: str, onsets: np.ndarray, within: float = 0.1) -> float:
    times = np.array([seconds_between(START, p.time) for p in picks if p.phase == phase])
    return float(np.mean([np.abs(times - o).min() < within for o in onsets]))


def test_known_onsets_are_found_once(whole) -> None:
    onsets = ONSETS[ONSETS < 1190]
    assert recall(whole, "P", onsets) > 0.95 and recall(whole, "S", onsets + S_DELAY) > 0.95
    assert len(whole) <= 2.1 * onsets.size
    assert [p.time for p in whole] == sorted(p.time for p in whole)
    assert {p.channel for p in whole if p.phase == "P"} == {"HHZ"}
    assert {p.channel for p in whole if p.phase == "S"} <= {"HHN", "HHE"}
    assert np.median([p.snr_db for p in whole]) > 5


@given(at=st.lists(st.integers(1, 119_999), max_size=8))
@settings(max_examples=6, deadline=None)
def test_picks_do_not_depend_on_the_cuts(picker, whole, at: list[int]) -> None:
    assert list(run(picker, cut(record(), at))) == whole


def test_picks_are_final_in_order_of_time(picker, whole) -> None:
    state, out, last = picker.start(), [], None
    for block in cut(record(), list(range(0, 120_000, 1000))):
        state, picks = picker(state, block)
        assert last is None or all(p.time >= last for p in picks)
        out += picks
        last = out[-1].time if out else None
    assert out + picker.finish(state) == whole


def test_a_later_start_changes_only_the_window_it_lies_in(picker, whole) -> None:
    wave = record()
    for skip in (777, 23_456, 61_803):
        later = replace(wave, data=wave.data[:, skip:], start=wave.time(skip))
        picks = list(run(picker, [later]))
        # The next window shows nothing from before the start: at most a core, two halos and the reach on.
        exact = wave.time(skip + 30720 + 2 * 2048 + 400)
        assert [p for p in picks if p.time >= exact] == [p for p in whole if p.time >= exact]
        # From half a minute on the same picks, to what rounding makes of them.
        settled = wave.time(skip + 3000)
        near = [p for p in picks if p.time >= settled]
        before = [p for p in whole if p.time >= settled]
        assert [(p.phase, p.channel) for p in near] == [(p.phase, p.channel) for p in before]
        for a, b in zip(near, before):
            assert abs(seconds_between(a.time, b.time)) < 1e-3
            assert a.probability == pytest.approx(b.probability, abs=1e-3)


def test_stations_do_not_touch_one_another(picker, whole) -> None:
    other = record(station="DEF", seed=2)
    waves = [record(), other]
    states = [picker.start(), picker.start()]
    out: list[list[Pick]] = [[], []]
    for blocks in zip(
        cut(waves[0], list(range(0, 120_000, 7000))), cut(waves[1], list(range(0, 120_000, 7000)))
    ):
        for k in (1, 0):
            states[k], picks = picker(states[k], blocks[k])
            out[k] += picks
    out = [o + picker.finish(s) for o, s in zip(out, states)]
    assert out[0] == whole
    assert out[1] == list(run(picker, [other]))


def test_short_gaps_lose_hardly_a_pick(picker, whole) -> None:
    wave = record()
    rng = np.random.default_rng(0)
    edges = np.sort(rng.integers(0, wave.n_sample - 50, 1200 * 1700 // 86_400))
    keep = np.ones(wave.n_sample, bool)
    for low in edges:
        keep[low : low + 40] = False
    bounds = np.flatnonzero(np.diff(np.concatenate([[False], keep, [False]]).astype(int)))
    blocks = [
        replace(wave, data=wave.data[:, a:b], start=wave.time(a)) for a, b in zip(bounds[::2], bounds[1::2])
    ]
    picks = list(run(picker, blocks))
    for phase, delay in (("P", 0.0), ("S", S_DELAY)):
        at = np.round((ONSETS + delay) * RATE).astype(int)
        seen = ONSETS[[keep[a - 5 : a + 30].all() for a in at]] + delay
        assert seen.size > 40
        assert recall(picks, phase, seen) >= recall(whole, phase, seen) - 0.03
    assert len(picks) <= len(whole) + 2


@pytest.mark.parametrize(("rate", "up", "down"), [(50.0, 1, 2), (125.0, 5, 4), (200.0, 2, 1), (250.0, 5, 2)])
def test_another_rate_gives_the_same_times(picker, whole, rate: float, up: int, down: int) -> None:
    wave = record()
    offset = wave.data[:, :1].astype(float)
    data = resample_poly(wave.data - offset, up, down, axis=1) + offset
    picks = list(run(picker, [replace(wave, data=data, sampling_rate=rate)]))
    for phase in "PS":
        times = np.array([seconds_between(START, p.time) for p in picks if p.phase == phase])
        sure = [seconds_between(START, p.time) for p in whole if p.phase == phase]
        off = np.array([times[np.abs(times - t).argmin()] - t for t in sure])
        assert np.mean(np.abs(off) < 0.1) > 0.95
        assert np.median(np.abs(off)) < 0.01 and abs(np.median(off)) < 0.005


@pytest.mark.parametrize("codes", ["Z", "N", "ZN", "NE", "Z12", "123"])
def test_missing_components_are_no_obstacle(picker, codes: str) -> None:
    wave = record(400.0)
    rows = {"Z": 0, "N": 1, "E": 2, "1": 1, "2": 2, "3": 2} | ({"1": 0, "2": 1} if "3" in codes else {})
    ids = tuple(f"XX.ABC.10.HH{c}" for c in codes)
    picks = list(run(picker, [replace(wave, data=wave.data[[rows[c] for c in codes]], ids=ids)]))
    assert len(picks) >= 8
    assert {p.channel for p in picks} <= {f"HH{c}" for c in codes}


def bad(kind: str) -> Waveform:
    wave = record(600.0)
    rng = np.random.default_rng(5)
    data = 10 * rng.standard_normal(wave.data.shape)
    if kind == "spikes":
        data[:, rng.integers(0, data.shape[1], 600)] += rng.choice([-1e5, 1e5], 600)
    elif kind == "steps":
        data += np.cumsum(np.where(rng.random(data.shape[1]) < 0.005, rng.normal(0, 1e4, data.shape[1]), 0))
    elif kind == "zeros":
        data[:] = 0
    elif kind == "zero-filled":
        data += 1e5
        for low in rng.integers(0, data.shape[1] - 500, 60):
            data[:, low : low + 400] = 0
    elif kind == "not a number":
        data[:, rng.random(data.shape[1]) < 0.3] = np.nan
    elif kind == "infinite":
        data[rng.random(data.shape) < 0.01] = np.inf
    elif kind == "huge":
        data *= 1e30
    elif kind == "tiny":
        data *= 1e-30
    elif kind == "square":
        data = np.where(np.arange(data.shape[1]) // 500 % 2, 1e4, -1e4) + np.zeros((3, 1))
    return replace(wave, data=data)


@pytest.mark.parametrize(
    "kind",
    [
        "noise",
        "spikes",
        "steps",
        "zeros",
        "zero-filled",
        "not a number",
        "infinite",
        "huge",
        "tiny",
        "square",
    ],
)
def test_bad_input_gives_no_storm(picker, kind: str) -> None:
    picks = list(run(picker, [bad(kind)]))
    assert len(picks) <= 8, [(p.phase, seconds_between(START, p.time), p.probability) for p in picks]
    assert all(np.isfinite([p.probability, p.time_uncertainty_s, p.snr_db]).all() for p in picks)


def test_a_dead_component_changes_little(picker, whole) -> None:
    wave = record()
    data = wave.data.copy()
    data[2] = 12345
    picks = list(run(picker, [replace(wave, data=data)]))
    onsets = ONSETS[ONSETS < 1190]
    assert recall(picks, "P", onsets) > 0.9
    assert "HHE" not in {p.channel for p in picks}


def test_a_clipped_record_is_survived(picker) -> None:
    wave = record()
    picks = list(run(picker, [replace(wave, data=np.clip(wave.data, -150, 150))]))
    assert len(picks) <= 4 * ONSETS.size


def test_least_probabilities_are_the_models_unless_set(picker, whole) -> None:
    name = f"kaname:{DATA / 'tiny.onnx'}"
    assert min(p.probability for p in whole) >= 0.3
    least = float(np.median([p.probability for p in whole if p.phase == "P"]))
    strict = list(run(get_picker(name, {"min_probability_p": least, "min_probability_s": 1.0}), [record()]))
    wanted = [p for p in whole if p.probability >= (least if p.phase == "P" else 1.0)]
    assert strict == wanted and {p.phase for p in strict} >= {"P"} and len(strict) < len(whole)


def test_unknown_weights_are_named() -> None:
    with pytest.raises(NotFoundError, match="nonesuch"):
        get_picker("kaname:nonesuch")
