"""What every registered picker must do, whatever it is made of."""

from __future__ import annotations

import pickle
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaname.automation.pick import Pick, get_picker, names, picks_table
from kaname.core.errors import InputError, KanameError, MissingDependencyError, NotFoundError
from kaname.core.step import run
from kaname.core.time import add_seconds, as_time, seconds_between
from kaname.core.waveform import Waveform

RATE = 100.0
START = as_time("2024-05-06T07:08:09.5")
TINY = Path(__file__).parents[1] / "learn/data/tiny.onnx"
VARIANTS = {"seisbench": "seisbench:phasenet/stead", "kaname": f"kaname:{TINY}"}


@cache
def made(name: str) -> Any:
    """The picker, or why there is none here: its package or its weights are missing."""
    try:
        return get_picker(VARIANTS.get(name, name))
    except (MissingDependencyError, NotFoundError) as error:
        return error


HERE = [name for name in names() if not isinstance(made(name), KanameError)]


@pytest.mark.parametrize("name", names())
def test_is_here_or_says_what_is_missing(name: str) -> None:
    if name not in HERE:
        assert "pip install" in str(made(name)) or "cache" in str(made(name))
        pytest.skip(str(made(name)))


@pytest.fixture(params=HERE)
def picker(request: pytest.FixtureRequest) -> Any:
    return made(request.param)


def record(seconds: float = 70.0, onsets: tuple[float, ...] = (30.0, 52.0), seed: int = 1) -> Waveform:
    """Synthetic noise with small local earthquakes: P on the vertical, S 1.8 s later on the horizontals."""
    rng = np.random.default_rng(seed)
    n = round(seconds * RATE)
    data = 10 * rng.standard_normal((3, n))
    for onset in onsets:
        for delay, gains in ((0.0, (300, 90, 90)), (1.8, (150, 700, 600))):
            t = np.arange(n) / RATE - onset - delay
            envelope = np.where(t >= 0, np.exp(-np.clip(t, 0, None) / 0.6), 0.0)
            swing = np.sin(2 * np.pi * 9 * t) + 0.6 * rng.standard_normal(n)
            data += np.array(gains)[:, np.newaxis] * envelope * swing
    ids = tuple(f"XX.ABC.10.HH{c}" for c in "ZNE")
    return Waveform(np.round(data).astype(np.int32), ids, START, RATE)


def cut(wave: Waveform, at: list[int]) -> list[Waveform]:
    edges = sorted({0, wave.n_sample, *(a % wave.n_sample for a in at)})
    return [replace(wave, data=wave.data[:, low:high], start=wave.time(low)) for low, high in pairwise(edges)]


def gapped(wave: Waveform, start: float, end: float) -> list[Waveform]:
    first = wave.slice(wave.start, add_seconds(wave.start, start))
    second = wave.slice(add_seconds(wave.start, end), add_seconds(wave.following, 1))
    assert first is not None and second is not None
    return [first, second]


@given(at=st.lists(st.integers(0, 7000), max_size=12))
@settings(max_examples=15, deadline=None)
@pytest.mark.parametrize("name", HERE)
def test_chunked_equals_whole(name: str, at: list[int]) -> None:
    wave = record()
    assert list(run(made(name), cut(wave, at))) == list(run(made(name), [wave]))


def test_single_samples_equal_whole(picker: Any) -> None:
    wave = record(40.0, (30.0,))
    head, *rest = cut(wave, [3300])
    blocks = [head, *cut(rest[0], list(range(0, 200)))]
    assert list(run(picker, blocks)) == list(run(picker, [wave]))


def test_no_input_gives_no_picks(picker: Any) -> None:
    assert list(run(picker, [])) == []


def test_one_sample_gives_no_picks(picker: Any) -> None:
    wave = record(10.0, ())
    assert list(run(picker, cut(wave, [1])[:1])) == []


def test_zeros_and_constants_give_no_picks(picker: Any) -> None:
    wave = record(60.0, ())
    for value in (0, 4711):
        assert list(run(picker, [replace(wave, data=np.full_like(wave.data, value))])) == []


def test_only_not_a_number_gives_no_picks(picker: Any) -> None:
    wave = record(20.0, ())
    assert list(run(picker, [replace(wave, data=np.full(wave.data.shape, np.nan))])) == []


def test_not_a_number_is_a_gap(picker: Any) -> None:
    wave = record()
    data = wave.data.astype(float)
    # A picker that bridges gaps does so for each component.
    data[slice(None) if picker.bridges_gaps else 1, 4000:4100] = np.nan
    assert list(run(picker, [replace(wave, data=data)])) == list(run(picker, gapped(wave, 40.0, 41.0)))


def test_a_gap_ends_the_stretch_or_is_bridged(picker: Any) -> None:
    parts = gapped(record(), 40.0, 43.0)
    if picker.bridges_gaps:
        rounded = {(p.phase, round(seconds_between(START, p.time), 1)) for p in run(picker, [record()])}
        assert {(p.phase, round(seconds_between(START, p.time), 1)) for p in run(picker, parts)} == rounded
        return
    alone = [p for part in parts for p in run(picker, [part])]
    assert list(run(picker, parts)) == alone


def test_a_change_of_rate_or_channels_ends_the_stretch(picker: Any) -> None:
    if picker.bridges_gaps:
        pytest.skip("nothing ends a stretch for a picker that bridges gaps")
    parts = gapped(record(), 40.0, 40.0)
    for changed in (
        replace(parts[1], sampling_rate=50.0),
        parts[1].select(["XX.ABC.10.HHZ"]),
    ):
        alone = [*run(picker, [parts[0]]), *run(picker, [changed])]
        assert list(run(picker, [parts[0], changed])) == alone


def test_order_of_channels_does_not_matter(picker: Any) -> None:
    wave = record()
    turned = wave.select([wave.ids[i] for i in (2, 0, 1)])
    assert list(run(picker, [turned])) == list(run(picker, [wave]))


@pytest.mark.parametrize("codes", ["Z", "N", "12", "ZN", "Z12", "Z23", "123"])
def test_any_channels_are_taken(picker: Any, codes: str) -> None:
    wave = record(60.0, (30.0,))
    ids = tuple(f"XX.ABC.10.HH{c}" for c in codes)
    for pick in run(picker, [replace(wave, data=wave.data[: len(codes)], ids=ids)]):
        assert f"{pick.network}.{pick.station}.{pick.location}.{pick.channel}" in ids


@pytest.mark.parametrize("rate", [10.0, 20.0, 50.0, 200.0, 250.0, 500.0])
def test_usual_rates_are_taken(picker: Any, rate: float) -> None:
    wave = record(60.0, (30.0,))
    for pick in run(picker, [replace(wave, sampling_rate=rate)]):
        assert wave.start <= pick.time <= add_seconds(wave.start, wave.n_sample / rate)


@pytest.mark.parametrize("rate", [0.1, 1.0, 5000.0])
def test_unusable_rates_are_refused(picker: Any, rate: float) -> None:
    with pytest.raises(InputError, match="Hz"):
        list(run(picker, [replace(record(10.0, ()), sampling_rate=rate)]))


def test_several_sensors_are_refused(picker: Any) -> None:
    wave = record(10.0, ())
    with pytest.raises(InputError, match="one sensor"):
        list(run(picker, [replace(wave, ids=("XX.ABC.10.HHZ", "XX.ABD.10.HHN", "XX.ABC.10.HHE"))]))


def test_blocks_out_of_order_are_refused(picker: Any) -> None:
    first, second = gapped(record(), 20.0, 20.0)
    with pytest.raises(InputError, match="time order"):
        list(run(picker, [second, first]))


def test_input_is_left_alone_and_state_can_be_stored(picker: Any) -> None:
    wave = record()
    before = wave.data.copy()
    first, second = cut(wave, [3150])
    state, early = picker(picker.start(), first)
    stored = pickle.dumps(state)
    state, later = picker(state, second)
    whole = [*early, *later, *picker.finish(state)]
    state, again = picker(pickle.loads(stored), second)
    assert [*early, *again, *picker.finish(state)] == whole == list(run(picker, [wave]))
    assert np.array_equal(wave.data, before)


def test_picks_fit_the_table(picker: Any) -> None:
    wave = record()
    picks: list[Pick] = list(run(picker, [wave]))
    frame = picks_table(picks)
    assert len(frame) == len(picks) and frame["pick_id"].is_unique
    assert all(p.sensor == "XX.ABC.10.HH" and p.method for p in picks)
    assert all(wave.start < p.time < wave.end for p in picks)
    assert frame["time_uncertainty_s"].gt(0).all() and frame["probability"].between(0, 1).all()


def test_nothing_comes_of_the_start_of_a_record_on_an_offset(picker: Any) -> None:
    wave = record(30.0, ())
    tilted = wave.data + 2_000_000 + np.arange(wave.n_sample) * 20
    picks = list(run(picker, [replace(wave, data=tilted)]))
    assert not [p for p in picks if seconds_between(wave.start, p.time) < 5]
