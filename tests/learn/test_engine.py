"""The engine: windows, resampling, conditioning, peaks and sessions, each against an independent answer."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import butter, sosfilt
from scipy.special import softmax

from kaname.core.errors import FormatError, InputError, NotFoundError
from kaname.core.step import run
from kaname.core.time import as_time
from kaname.core.waveform import Waveform
from kaname.learn.engine import condition as conditioning
from kaname.learn.engine.condition import condition
from kaname.learn.engine.normalise import normalise
from kaname.learn.engine.peaks import curves, find_peaks, unfold
from kaname.learn.engine.picking import PickerCard, PickingNetwork, usable
from kaname.learn.engine.session import Session, open_session, parse_card, weights
from kaname.learn.engine.windows import Window, Windows, slots

DATA = Path(__file__).parent / "data"
TINY = DATA / "tiny.onnx"
START = as_time("2024-05-06T07:08:09.503")
IDS = tuple(f"XX.ABC.10.HH{c}" for c in "ZNE")


def noise(n: int = 6000, rate: float = 100.0, seed: int = 0) -> Waveform:
    data = np.random.default_rng(seed).normal(5000, 100, (3, n)).astype(np.int32)
    return Waveform(data, IDS, START, rate)


def cut(wave: Waveform, at: list[int]) -> list[Waveform]:
    edges = sorted({0, wave.n_sample, *(a % wave.n_sample for a in at)})
    return [replace(wave, data=wave.data[:, low:high], start=wave.time(low)) for low, high in pairwise(edges)]


def same(a: list[Window], b: list[Window]) -> bool:
    return len(a) == len(b) and all(
        p.start == q.start
        and p.ids == q.ids
        and np.array_equal(p.data, q.data)
        and np.array_equal(p.mask, q.mask)
        and p.shifts == q.shifts
        for p, q in zip(a, b)
    )


def small() -> Windows:
    return Windows(core=1000, halo=200, rate_hz=100.0)


# Windows ---------------------------------------------------------------------------------------------------


@given(
    at=st.lists(st.integers(1, 5999), max_size=12),
    gaps=st.lists(st.tuples(st.integers(0, 5999), st.integers(1, 900)), max_size=3),
    rate=st.sampled_from([50.0, 100.0, 125.0, 128.0, 99.999, 250.0]),
)
@settings(max_examples=40, deadline=None)
def test_windows_do_not_depend_on_the_cuts(at: list[int], gaps: list[tuple[int, int]], rate: float) -> None:
    wave = noise(rate=rate)
    data = wave.data.astype(np.float64)
    for low, n in gaps:
        data[:, low : low + n] = np.nan
    wave = replace(wave, data=data)
    whole = list(run(small(), [wave]))
    assert same(list(run(small(), cut(wave, at))), whole)


@given(skip=st.integers(1, 4000), rate=st.sampled_from([50.0, 100.0, 125.0, 200.0, 250.0]))
@settings(max_examples=25, deadline=None)
def test_windows_after_a_later_start_are_the_same(skip: int, rate: float) -> None:
    wave = noise(rate=rate)
    later = replace(wave, data=wave.data[:, skip:], start=wave.time(skip))
    reach = np.timedelta64(2, "s")
    untouched = [w for w in run(small(), [wave]) if w.start - reach >= later.start]
    assert same([w for w in run(small(), [later]) if w.start - reach >= later.start], untouched)


def test_every_sample_is_in_one_core_at_its_time() -> None:
    wave = noise()
    found = {}
    for window in run(small(), [wave]):
        assert window.start.astype(np.int64) % 10_000_000 == 0
        for i in range(200, 1200):
            if window.mask[0, i]:
                time = window.start + np.timedelta64(round((i + window.shift(i)) * 10_000_000), "ns")
                assert time not in found
                found[time] = i
    assert sorted(found) == [wave.time(i) for i in range(wave.n_sample)]


def test_samples_at_the_rate_of_the_grid_are_copied() -> None:
    wave = noise()
    for window in run(small(), [wave]):
        first = round(wave.index(window.start + np.timedelta64(round(window.shift(0) * 1e7), "ns")))
        at = np.flatnonzero(window.mask[1])
        raw = wave.data[1, at + first].astype(np.float64)
        assert np.array_equal(window.data[1, at], raw - raw[0] + window.data[1, at[0]])


@pytest.mark.parametrize(
    "rate", [10.0, 20.0, 31.25, 40.0, 50.0, 99.999, 100.002, 120.0, 125.0, 128.0, 200.0, 500.0]
)
def test_other_rates_are_interpolated(rate: float) -> None:
    f = min(7.3, 0.3 * rate)
    t = np.arange(round(60 * rate)) / rate
    data = 1e4 + 1e3 * np.sin(2 * np.pi * f * t)
    wave = Waveform(data[np.newaxis], IDS[:1], START, rate)
    seen = 0
    for window in run(small(), [wave]):
        grid = (window.start - START).astype(np.int64) / 1e9 + np.arange(1400) / 100
        inner = window.mask[0] & (grid > 2) & (grid < 58)
        truth = 1e3 * np.sin(2 * np.pi * f * grid)
        off = window.data[0, inner] - truth[inner]
        seen += inner[200:1200].sum()
        assert np.ptp(off) < 2 * 1e3 * 0.005
    assert seen == pytest.approx(5600, abs=2)


@pytest.mark.parametrize("rate", [200.0, 250.0, 500.0])
def test_what_the_grid_cannot_hold_is_kept_out(rate: float) -> None:
    t = np.arange(round(60 * rate)) / rate
    wave = Waveform(1e3 * np.sin(2 * np.pi * 63 * t)[np.newaxis], IDS[:1], START, rate)
    for window in run(small(), [wave]):
        inner = window.mask[0].copy()
        inner[: np.argmax(inner) + 50] = False
        inner[1400 - np.argmax(window.mask[0][::-1]) - 50 :] = False
        assert not inner.any() or np.ptp(window.data[0, inner]) < 0.2


def test_gaps_and_what_is_no_number_are_masked() -> None:
    wave = noise()
    data = wave.data.astype(np.float64)
    data[1, 2500:2600] = np.nan
    data[2, 2700] = np.inf
    data[0, 3000:3500] = 17.0  # dead for five seconds
    parts = cut(replace(wave, data=data), [4000])
    later = replace(parts[1], start=parts[1].start + np.timedelta64(40, "s"))
    mask = [np.zeros(60_000, bool) for _ in range(3)]
    first = None
    for window in run(small(), [parts[0], later]):
        first = window.start if first is None else first
        at = round((window.start - first).astype(np.int64) / 1e7) + 200
        for row in range(3):
            mask[row][at : at + 1000] = window.mask[row, 200:1200]
        assert np.isfinite(window.data).all()
    assert [int(m.sum()) for m in mask] == [5500, 5900, 5999]
    assert not mask[0][np.argmax(mask[0]) + 4000 :][:4000].any()


@given(place=st.integers(300, 5500), size=st.sampled_from([5e3, 1e5, -1e6]))
@settings(max_examples=20, deadline=None)
def test_spikes_of_one_sample_are_masked(place: int, size: float) -> None:
    wave = noise()
    data = wave.data.astype(np.float64)
    data[1, place] += size
    masks = [
        np.concatenate([w.mask[row, 200:1200] for w in run(small(), [replace(wave, data=data)])])
        for row in range(3)
    ]
    assert [int(m.sum()) for m in masks] == [6000, 5999, 6000]
    assert not masks[1][np.argmax(masks[1]) + place]


@pytest.mark.parametrize("f", [2.0, 8.0, 20.0, 30.0, 40.0])
def test_onsets_are_no_spikes(f: float) -> None:
    rng = np.random.default_rng(1)
    data = rng.normal(0, 1, (3, 6000))
    for at in range(500, 5500, 250):
        t = np.arange(200) / 100
        data[:, at : at + 200] += 1e4 * np.exp(-t / 0.3) * np.sin(2 * np.pi * f * t + rng.uniform(0, 6))
    wave = replace(noise(), data=data)
    assert sum(int(w.mask[:, 200:1200].sum()) for w in run(small(), [wave])) == 18_000


def test_nothing_is_shown_of_a_long_silence() -> None:
    wave = noise(2000)
    later = replace(wave, start=wave.start + np.timedelta64(3650, "D"))
    assert len(list(run(small(), [wave, later]))) <= 6


def test_one_sample_and_none_show_nothing() -> None:
    assert list(run(small(), cut(noise(), [1])[:1])) == []
    assert list(run(small(), [])) == []


@pytest.mark.parametrize(
    ("codes", "rows"),
    [
        ("ZNE", {"Z": 0, "N": 1, "E": 2}),
        ("ENZ", {"Z": 0, "N": 1, "E": 2}),
        ("Z12", {"Z": 0, "1": 1, "2": 2}),
        ("Z23", {"Z": 0, "2": 1, "3": 2}),
        ("123", {"1": 0, "2": 1, "3": 2}),
        ("UNE", {"U": 0, "N": 1, "E": 2}),
        ("N", {"N": 1}),
        ("Q", {"Q": 0}),
    ],
)
def test_channels_stand_for_components(codes: str, rows: dict[str, int]) -> None:
    assert slots({f"XX.A..HH{c}" for c in codes}) == [{f"XX.A..HH{c}": r for c, r in rows.items()}]


def test_a_second_sensor_under_the_code_has_windows_of_its_own() -> None:
    wave = noise()
    ids = (*IDS, *(f"XX.ABC.10.HH{c}" for c in "123"))
    both = Waveform(np.concatenate([wave.data, wave.data[::-1]]), ids, START, 100.0)
    windows = list(run(small(), [both]))
    assert {w.ids for w in windows} == {IDS, ids[3:]}


def test_the_state_can_be_stored() -> None:
    step = small()
    first, second = cut(noise(), [3333])
    state, early = step(step.start(), first)
    stored = pickle.dumps(state)
    state, late = step(pickle.loads(stored), second)
    assert same([*early, *late, *step.finish(state)], list(run(step, [noise()])))


# Conditioning and normalisation ----------------------------------------------------------------------------


def reference(data: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The definition of the conditioning, written with scipy and loops over blocks."""
    n, size = data.shape[1], conditioning.BLOCK
    sos = butter(2, 1.0, "highpass", fs=100.0, output="sos")
    high, real = np.zeros((3, n)), mask.astype(bool)
    for c in range(3):
        at = np.flatnonzero(real[c])
        if at.size:
            x = np.interp(np.arange(n), at, data[c, at])[at[0] :]
            high[c, at[0] :] = sosfilt(sos, x - x[0])
            high[c, ~real[c]] = 0
    blocks = n // size
    count = real.reshape(3, blocks, size).sum(axis=2)
    energy = (high**2).reshape(3, blocks, size).sum(axis=2) / np.maximum(count, 1)
    energy[count < size // 2] = np.nan
    loud, quiet = np.zeros(blocks), np.zeros((3, blocks))
    for b in range(blocks):
        near = energy[:, max(0, b - 12) : b + 13]
        loud[b] = np.sqrt(np.nanmean(near)) if np.isfinite(near).any() else 0
        for c in range(3):
            own = near[c][np.isfinite(near[c])]
            if own.size:
                quiet[c, b] = max(np.sqrt(own.min()), 1e-3 * np.sqrt(own.mean()))
    out = np.zeros((6, n))
    for row in range(6):
        level = loud if row < 3 else quiet[row - 3]
        for i in range(n):
            b, place = i // size, i % size
            if level[b] <= 0:
                continue
            other = b - 1 if place < size // 2 else b + 1
            beside = level[other] if 0 <= other < blocks and level[other] > 0 else level[b]
            share = 0.5 - place / size if place < size // 2 else place / size - 0.5
            v = high[row % 3, i] / (level[b] + share * (beside - level[b]))
            if row >= 3:
                v = np.sign(v) * 4 * ((1 + abs(v)) ** 0.25 - 1)
            out[row, i] = np.clip(v, -20, 20)
    return out


@pytest.mark.parametrize("kind", ["whole", "gaps", "missing", "late"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_conditioning_is_what_it_says(kind: str, dtype: type) -> None:
    rng = np.random.default_rng(3)
    n = 40 * conditioning.BLOCK
    data = rng.normal(0, 30, (3, n)) * (1 + 200 * np.exp(-(((np.arange(n) - 2500) / 300) ** 2)))
    mask = np.ones((3, n), bool)
    if kind == "gaps":
        for low, length in ((300, 40), (2490, 15), (3000, 700)):
            mask[:, low : low + length] = False
        mask[1, 1000:1100] = False
    elif kind == "missing":
        mask[1:] = False
    elif kind == "late":
        mask[:, :1777] = False
    data = data.astype(dtype)
    data[~mask] = 1e6
    before = data.copy()
    assert np.abs(condition(data, mask) - reference(data, mask)).max() < 2e-4
    assert np.array_equal(data, before)


@pytest.mark.parametrize("norm", ["std", "peak"])
def test_normalisation_over_the_window(norm: str) -> None:
    rng = np.random.default_rng(0)
    data = rng.normal(0, 5, (3, 3001)).astype(np.float32) + np.float32(100)
    mask = np.ones((3, 3001), bool)
    mask[2] = False
    out = normalise(data, mask, norm=norm, length=3001)
    x = data[:2] - data[:2].mean(axis=1, keepdims=True)
    size = x.std(axis=1, ddof=1) if norm == "std" else np.abs(x).max(axis=1)
    assert np.allclose(out[:2], x / size[:, np.newaxis], atol=1e-5)
    assert not out[2].any()


@pytest.mark.parametrize("norm", ["std", "peak"])
def test_normalisation_about_each_sample(norm: str) -> None:
    rng = np.random.default_rng(0)
    data = rng.normal(7, 5, (1, 20000)).astype(np.float32)
    out = normalise(data, np.ones(data.shape, bool), norm=norm, length=3001)
    for centre in (5000, 10000):
        near = data[0, centre - 1500 : centre + 1501].astype(float)
        size = near.std(ddof=1) if norm == "std" else np.abs(near - near.mean()).max()
        assert out[0, centre] == pytest.approx((data[0, centre] - near.mean()) / size, abs=0.05)


# Peaks -----------------------------------------------------------------------------------------------------


def logits_of(p: np.ndarray) -> np.ndarray:
    """Logits, folded four by four, whose softmax is ``p``, shape (3, n)."""
    return np.log(np.clip(p, 1e-9, 1)).reshape(3, -1, 4).swapaxes(1, 2).reshape(12, -1).astype(np.float32)


def test_curves_are_the_softmax_where_it_matters() -> None:
    y = np.random.default_rng(0).normal(0, 4, (12, 500)).astype(np.float32)
    y[8:] += 15
    found, truth = curves(y), softmax(unfold(y).astype(float), axis=0)[:2]
    assert np.allclose(found[found > 0], truth[found > 0], atol=1e-6)
    assert truth[found == 0].max() <= 0.02


def test_a_peak_has_the_time_area_and_spread_of_its_onset() -> None:
    t = np.arange(4000)
    for centre, height, sigma in ((1000.3, 1.0, 5.0), (2000.0, 0.6, 8.0), (3000.7, 0.3, 12.0)):
        curve = height * np.exp(-0.5 * ((t - centre) / sigma) ** 2)
        found = find_peaks(curve.astype(np.float32), low=0, high=4000, apart=50, rate_hz=100.0, kernel_s=0.05)
        assert found.position == pytest.approx([centre], abs=0.35)
        assert found.area == pytest.approx([height * sigma / 5.0], rel=0.02)
        assert found.spread == pytest.approx([np.sqrt(sigma**2 - 25) / 100], abs=0.004)


def test_of_close_peaks_the_highest_stays_and_others_share_no_area() -> None:
    t = np.arange(2000)
    heights = {500: 0.5, 530: 0.9, 560: 0.6, 640: 0.7}
    curve = sum(h * np.exp(-0.5 * ((t - c) / 5.0) ** 2) for c, h in heights.items()).astype(np.float32)
    found = find_peaks(curve, low=0, high=2000, apart=50, rate_hz=100.0, kernel_s=0.05)
    assert np.rint(found.position).tolist() == [530, 640]
    apart = find_peaks(curve, low=0, high=2000, apart=20, rate_hz=100.0, kernel_s=0.05)
    assert apart.area == pytest.approx(list(heights.values()), rel=0.05)


# Coverage --------------------------------------------------------------------------------------------------


def test_gaps_cost_less_than_a_hundredth_of_the_time() -> None:
    rng = np.random.default_rng(0)
    real = np.ones(8_640_000, bool)
    for low in rng.integers(0, real.size - 40, 1700):
        real[low : low + 40] = False
    covered = usable(real[np.newaxis], rate_hz=100.0).sum() / real.sum()
    assert covered > 0.99


def test_a_component_that_lives_on_leaves_no_gap() -> None:
    mask = np.ones((3, 1000), bool)
    mask[0, 300:500] = False
    assert usable(mask, rate_hz=100.0)[:].all()
    mask[1:, 300:500] = False
    assert (~usable(mask, rate_hz=100.0)).nonzero()[0].tolist() == list(range(300, 600))


# Sessions --------------------------------------------------------------------------------------------------


def test_companions_in_a_batch_change_nothing() -> None:
    network = PickingNetwork(open_session(str(TINY), PickerCard))
    x = np.random.default_rng(0).normal(0, 1, (5, 6, 34816)).astype(np.float32)
    alone = [network.session(row[np.newaxis])[0] for row in x]
    assert np.array_equal(network.session(x), np.stack(alone))
    assert np.array_equal(network.session(x[::-1].copy())[::-1], np.stack(alone))


def test_threads_change_nothing() -> None:
    x = np.random.default_rng(0).normal(0, 1, (1, 6, 34816)).astype(np.float32)
    one, two = (open_session(str(TINY), PickerCard, threads=n)(x) for n in (1, 2))
    assert np.allclose(one, two, atol=1e-5)


def test_a_network_made_elsewhere_sees_its_own_normalisation() -> None:
    network = PickingNetwork(open_session(str(DATA / "window.onnx"), PickerCard))
    step = network.windows
    assert (step.core, step.halo, step.n_sample) == (2001, 500, 3001)
    seen = []
    for window in run(step, [noise(20000)]):
        traces, both = network.curves(window)
        x = traces[[2, 1, 0]]  # E, N, Z by its card
        truth = softmax(network.session(x[np.newaxis])[0].astype(float), axis=0)
        assert np.allclose(both[0], np.where(both[0] > 0, truth[1], 0), atol=1e-6)  # noise, P, S by its card
        assert np.allclose(both[1], np.where(both[1] > 0, truth[2], 0), atol=1e-6)
        seen.append(window.mask.all())
        if seen[-1]:
            assert np.allclose(traces.std(axis=1, ddof=1), 1, atol=1e-4)
    assert sum(seen) >= 8


def test_files_that_are_no_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no model file"):
        open_session(str(tmp_path / "none.onnx"), PickerCard)
    with pytest.raises(NotFoundError, match="known are"):
        weights("nonesuch")
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(TINY.read_bytes()[:5000])
    with pytest.raises(FormatError, match="cannot be opened"):
        Session(bad, PickerCard)
    stranger = TINY.read_bytes().replace(b'"kind": "picker"', b'"kind": "poiser"')
    bad.write_bytes(stranger)
    with pytest.raises(FormatError, match=r"kind.*poiser"):
        Session(bad, PickerCard)
    with pytest.raises(InputError, match="thread"):
        Session(TINY, PickerCard, threads=0)
    with pytest.raises(InputError, match="precision"):
        weights("picker", precision="fp16")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"halo_samples": 100},
        {"rate_hz": 50.0},
        {"thresholds": {"P": 2, "S": 0.3}},
        {"uncertainty": None},
        {"labels": "PDN"},
        {"order": "ZZE"},
        {"input": "kaname-0"},
        {"input": "seisbench-window"},
        {"probability": {"P": {"value": [0, 0], "probability": [0, 1]}}},
    ],
)
def test_cards_that_do_not_fit_are_refused(change: dict) -> None:
    card = json.loads(open_session(str(TINY), PickerCard).card.model_dump_json())
    parse_card(card, PickerCard, "here")
    with pytest.raises(FormatError, match="here"):
        parse_card(card | change, PickerCard, "here")
