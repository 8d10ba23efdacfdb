"""The denoiser with the weights that ship: what a step must keep, what bad input does, what is gained."""

from __future__ import annotations

import pickle
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy import signal

from kaname.automation.denoise import Denoiser, DenoiserSettings, slots_of
from kaname.core.errors import InputError, NotFoundError
from kaname.core.step import run
from kaname.core.time import as_time
from kaname.core.waveform import Waveform
from kaname.learn.simulate.noise import noise
from kaname.learn.simulate.records import simulate

START = as_time("2024-05-06T07:08:09.5")
IDS = ("XX.ABC..HHZ", "XX.ABC..HHN", "XX.ABC..HHE")
P = 3000


@pytest.fixture(scope="module")
def denoiser() -> Denoiser:
    return Denoiser()


@pytest.fixture(scope="module")
def parts() -> tuple[np.ndarray, np.ndarray]:
    """A simulated earthquake with P at sample 3000, and noise as strong, both shape (3, 9000)."""
    bank = simulate(3, seed=11)
    event = np.zeros((3, 9000))
    at = round(float(bank.p[1]))
    event[:, P:] = bank.data[1].astype(float)[:, at : at + 9000 - P]
    rng = np.random.default_rng(4)
    hum = signal.lfilter([1.0], [1.0, -0.9], rng.normal(size=(3, 9000)), axis=1)
    hum *= event[:, P : P + 2000].std() / hum.std()
    return event, hum


def wave(data: np.ndarray, rate: float = 100.0, ids: tuple[str, ...] = IDS) -> Waveform:
    return Waveform(data, ids[: len(data)], START, rate)


def whole(step: Denoiser, blocks: list[Waveform]) -> np.ndarray:
    return np.concatenate([b.data for b in run(step, blocks)], axis=1).astype(np.float64)


def gain(event: np.ndarray, hum: np.ndarray, out: np.ndarray) -> float:
    inner = slice(P, P + 2000)
    return float(10 * np.log10(hum[:, inner].var() / (out - event)[:, inner].var()))


def test_noise_goes_and_the_earthquake_stays(
    denoiser: Denoiser, parts: tuple[np.ndarray, np.ndarray]
) -> None:
    event, hum = parts
    for snr_db, least in ((0, 6.0), (10, 3.0), (20, 0.0)):
        noisy = hum * 10 ** (-snr_db / 20)
        assert gain(event, noisy, whole(denoiser, [wave(event + noisy)])) > least


def test_a_clear_record_passes(denoiser: Denoiser, parts: tuple[np.ndarray, np.ndarray]) -> None:
    event, hum = parts
    out = whole(denoiser, [wave(event + hum * 10 ** (-40 / 20))])
    error = (out - event)[:, P : P + 2000].var() / event[:, P : P + 2000].var()
    assert 10 * np.log10(error) < -20


def test_nothing_comes_before_the_onset(denoiser: Denoiser, parts: tuple[np.ndarray, np.ndarray]) -> None:
    event, hum = parts
    noisy = hum * 10 ** (-20 / 20)
    out = whole(denoiser, [wave(event + noisy)])
    before = slice(P - 300, P - 5)
    assert out[:, before].std() < noisy[:, before].std()
    part = slice(P - 50, P + 200)
    for row in range(3):
        lag = np.argmax(signal.correlate(out[row, part], event[row, part])) - (part.stop - part.start - 1)
        assert abs(lag) <= 2


@pytest.mark.parametrize("cuts", [[1], [777, 778], [8191, 30000], list(range(500, 32000, 1500))])
def test_cuts_do_not_matter(denoiser: Denoiser, cuts: list[int]) -> None:
    record = wave(np.random.default_rng(0).normal(size=(3, 32000)) + 1e5)
    edges = [0, *cuts, record.n_sample]
    blocks = [replace(record, data=record.data[:, a:b], start=record.time(a)) for a, b in pairwise(edges)]
    assert np.array_equal(whole(denoiser, blocks), whole(denoiser, [record]))


def test_the_output_is_like_the_input(denoiser: Denoiser) -> None:
    record = replace(wave(np.random.default_rng(1).integers(-99, 99, (3, 20011))), unit="nm/s")
    before = record.data.copy()
    out = list(run(denoiser, [record]))
    assert out[0].start == record.start
    assert out[-1].end == record.end
    assert all(b.follows(a) for a, b in pairwise(out))
    assert {(b.ids, b.unit, b.sampling_rate, b.data.dtype) for b in out} == {
        (record.ids, "nm/s", 100.0, np.dtype(np.float32))
    }
    assert np.array_equal(record.data, before)


def test_the_state_can_be_stored(denoiser: Denoiser) -> None:
    record = wave(np.random.default_rng(2).normal(size=(3, 15000)))
    a, b = (
        replace(record, data=record.data[:, s], start=record.time(s.start))
        for s in (slice(0, 9000), slice(9000, 15000))
    )
    state, first = denoiser(denoiser.start(), a)
    state, second = denoiser(pickle.loads(pickle.dumps(state)), b)
    out = [*first, *second, *denoiser.finish(state)]
    assert np.array_equal(np.concatenate([w.data for w in out], axis=1), whole(denoiser, [record]))


def test_a_long_stream_holds_little(denoiser: Denoiser) -> None:
    state = denoiser.start()
    record = wave(np.random.default_rng(3).normal(size=(3, 2000)))
    for k in range(30):
        state, _ = denoiser(state, replace(record, start=record.time(2000 * k)))
        assert state is not None
        assert state.data.shape[1] < 16000


def test_a_gap_stays_a_gap(denoiser: Denoiser) -> None:
    record = wave(np.random.default_rng(4).normal(size=(3, 9000)))
    late = replace(record, start=record.time(9500))
    out = list(run(denoiser, [record, late]))
    assert sum(b.n_sample for b in out) == 18000
    assert any(b.start == late.start for b in out)
    holes = record.data.copy()
    holes[1, 4000:4100] = np.nan
    out = list(run(denoiser, [replace(record, data=holes)]))
    assert sum(b.n_sample for b in out) == 8900
    assert all(np.isfinite(b.data).all() for b in out)


@pytest.mark.parametrize("rate", [20.0, 25.0, 40.0, 50.0, 125.0, 200.0, 250.0])
def test_other_rates(denoiser: Denoiser, parts: tuple[np.ndarray, np.ndarray], rate: float) -> None:
    up, down = round(rate), 100
    event, hum = (signal.resample_poly(x, up, down, axis=1) for x in parts)
    out = whole(denoiser, [wave(event + hum, rate)])
    inner = slice(round(rate * 30), round(rate * 50))
    assert hum[:, inner].var() > 1.6 * (out - event)[:, inner].var()


@pytest.mark.parametrize("rate", [1.0, 31.25, 99.0, 5000.0])
def test_a_rate_that_does_not_fit_is_refused(denoiser: Denoiser, rate: float) -> None:
    with pytest.raises(InputError, match="multiple of 5 Hz"):
        list(run(denoiser, [wave(np.zeros((3, 500)), rate)]))


def bad() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    hum = rng.normal(size=(3, 20000))
    spikes = hum.copy()
    spikes[:, rng.integers(0, 20000, 200)] += 1e6
    dead = hum.copy()
    dead[1] = 7.0
    return {
        "zeros": np.zeros((3, 9000)),
        "constant": np.full((3, 9000), 1e9),
        "one sample": np.ones((3, 1)),
        "two samples": np.ones((3, 2)),
        "clipped": np.clip(hum, -0.2, 0.2),
        "spikes": spikes,
        "dead component": dead,
        "huge": hum * 1e30,
        "tiny": hum * 1e-30,
        "half silent": np.concatenate([np.zeros((3, 9000)), hum[:, :9000]], axis=1),
        "integers at their limit": np.full((3, 4000), np.iinfo(np.int32).min, dtype=np.int32),
    }


@pytest.mark.parametrize("name", list(bad()))
def test_bad_input_does_no_harm(denoiser: Denoiser, name: str) -> None:
    data = bad()[name]
    out = whole(denoiser, [wave(data)])
    assert out.shape == data.shape
    assert np.isfinite(out).all()
    level = np.abs(data.astype(np.float64) - data[:, :1]).max()
    assert np.abs(out).max() <= 3 * level + 1e-30
    if name == "dead component":
        assert not out[1].any()


def test_nothing_but_not_a_number(denoiser: Denoiser) -> None:
    assert list(run(denoiser, [wave(np.full((3, 100), np.nan))])) == []


@pytest.mark.parametrize(
    ("codes", "groups"),
    [
        ("Z", [[0, -1, -1]]),
        ("ENZ", [[2, 1, 0]]),
        ("12Z", [[2, 0, 1]]),
        ("Q", [[0, -1, -1]]),
        ("123ENZ", [[5, 4, 3], [0, 1, 2]]),
    ],
)
def test_channels_find_their_place(denoiser: Denoiser, codes: str, groups: list[list[int]]) -> None:
    ids = tuple(f"XX.ABC..HH{c}" for c in codes)
    assert slots_of(ids) == groups
    data = np.random.default_rng(6).normal(size=(len(ids), 3000))
    assert whole(denoiser, [wave(data, ids=ids)]).shape == data.shape


def test_wrong_calls(denoiser: Denoiser) -> None:
    record = wave(np.zeros((3, 1000)))
    with pytest.raises(InputError, match="time order"):
        list(run(denoiser, [record, record]))
    with pytest.raises(InputError, match="one sensor"):
        list(run(denoiser, [wave(np.zeros((2, 9)), ids=("XX.A..HHZ", "XX.B..HHZ"))]))
    with pytest.raises(NotFoundError, match="known are"):
        Denoiser(DenoiserSettings(weights="no-such"))


def test_noise_alone_is_nearly_silenced(denoiser: Denoiser) -> None:
    hum = noise(2, 12000, seed=3)[1].astype(np.float64)
    out = whole(denoiser, [wave(hum)])
    assert out[:, 3000:9000].std() < 0.5 * hum[:, 3000:9000].std()
