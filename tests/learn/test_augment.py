"""Training windows: the labels stay true whatever is done to a record, and nothing worthless is taught."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from kaname.learn.engine.condition import RATE_HZ
from kaname.learn.simulate.augment import Augmentation, Mixer, Sources, Window

N = 9000
QUIET: dict[str, Any] = {
    "noise_only": 0,
    "swarm": 0,
    "single": 0,
    "missing": 0,
    "gain": 0,
    "band": 0,
    "clipped": 0,
    "spikes": 0,
    "steps": 0,
    "gaps": 0,
    "own_noise": 1,
    "snr_db": (60, 60),
}
"""One event, far above the noise, and no trouble."""


def _bursts(p: float, s: float, *, n: int = N, seed: int = 0) -> np.ndarray:
    """Zeros, from P on a decaying burst, from S on a stronger one, on all components (synthetic)."""
    rng = np.random.default_rng(seed)
    out = np.zeros((3, n), np.float32)
    for at, height in ((p, 1.0), (s, 8.0)):
        if np.isfinite(at):
            k = np.arange(n) - int(np.ceil(at))
            out += height * np.where(k >= 0, np.exp(-np.maximum(k, 0) / 300), 0) * rng.choice([-1, 1], (3, n))
    return out * 1000


def _sources(
    onsets: list[tuple[float, float]], *, clean: bool, hum: float = 0.0, rows: tuple[int, ...] = (0, 1, 2)
) -> Sources:
    rng = np.random.default_rng(5)
    data = np.array([_bursts(p, s, seed=k) for k, (p, s) in enumerate(onsets)])
    data += (hum * rng.normal(0, 1, data.shape)).astype(np.float32)
    for row in {0, 1, 2} - set(rows):
        data[:, row] = 0
    p, s = np.array(onsets, np.float64).T
    return Sources(data.astype(np.float32), p, s, np.ones(len(data)), clean)


def _noise(*, count: int = 4, level: float = 1.0) -> list[np.ndarray]:
    rng = np.random.default_rng(6)
    return [(level * rng.normal(0, 1, (3, 6000))).astype(np.float32) for _ in range(count)]


def _mixer(real: Sources | None, made: Sources | None, **settings: Any) -> Mixer:
    c = Augmentation(**{**QUIET, **settings})
    return Mixer(c, real=real, simulated=made, noise=_noise())


def _windows(mixer: Mixer, n: int = 40, *, seed: int = 0) -> list[Window]:
    rng = np.random.default_rng(seed)
    return [mixer.window(rng) for _ in range(n)]


BOTH = [(3000.0, 3400.0), (2950.3, 3300.8), (3100.0, 4400.0)]


def test_the_same_seed_gives_the_same_windows() -> None:
    settings = {k: getattr(Augmentation(), k) for k in QUIET}
    mixer = _mixer(_sources(BOTH, clean=False, hum=20), _sources(BOTH, clean=True), **settings)
    one, two, other = _windows(mixer, 12), _windows(mixer, 12), _windows(mixer, 12, seed=1)
    for a, b in zip(one, two):
        np.testing.assert_array_equal(a.x, b.x)
        np.testing.assert_array_equal(a.known, b.known)
        assert a.onsets == b.onsets
    assert not all(np.array_equal(a.x, b.x) for a, b in zip(one, other))
    for window in one:
        assert window.x.shape == (6, 4096) and window.x.dtype == np.float32
        assert window.known.shape == (4096,) and set(np.unique(window.known)) <= {0.0, 1.0}
        assert np.isfinite(window.x).all()


def test_the_bank_is_left_as_it_was() -> None:
    settings = {k: getattr(Augmentation(), k) for k in QUIET}
    real, made = _sources(BOTH, clean=False, hum=20), _sources(BOTH, clean=True)
    mixer = _mixer(real, made, **settings)
    before = [real.data.copy(), made.data.copy(), *(n.copy() for n in mixer.noise)]
    _windows(mixer, 60)
    for a, b in zip(before, [real.data, made.data, *mixer.noise]):
        np.testing.assert_array_equal(a, b)


def _first_loud(window: Window) -> int:
    """The sample at which a record that was still begins to move: the vertical, compressed."""
    return int(np.argmax(np.abs(window.x[3]) > 4))


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("stretch", [0.0, 0.5])
def test_p_is_where_the_record_begins_to_move(clean: bool, stretch: float) -> None:
    bank = _sources(BOTH, clean=clean, hum=0.0 if clean else 0.5)
    mixer = _mixer(None if clean else bank, bank if clean else None, stretch=stretch)
    off, factors = [], set()
    for window in _windows(mixer, 60):
        onsets = dict(window.onsets)
        factors.add(round(onsets[1] - onsets[0]))
        if onsets[0] < 100 or onsets[0] > 4000:
            continue
        off.append(_first_loud(window) - onsets[0])
    assert len(off) > 30
    # Interpolation looks two samples of the record ahead, and stretched those are more than three.
    assert min(off) >= -3.4 and max(off) <= 4
    assert abs(np.median(off)) <= 1
    assert (len(factors) > 10) == (stretch > 0)


def test_s_keeps_its_place_beside_p() -> None:
    mixer = _mixer(None, _sources([(3000.0, 3600.0)], clean=True), stretch=0.5)
    compared = 0
    for window in _windows(mixer, 60):
        (_, p), (_, s) = window.onsets
        if p < 100 or s > 4000:
            continue
        # S is eight times as strong, and little is left of P.
        about = np.abs(window.x[0, int(s) - 60 : int(s) + 60])
        assert abs(int(s) - 60 + int(np.argmax(about > 0.3 * about.max())) - s) <= 4
        compared += 1
    assert compared > 20


def test_every_event_of_a_swarm_is_labelled() -> None:
    mixer = _mixer(None, _sources([(3000.0, np.nan)], clean=True), swarm=1, snr_db=(40, 40))
    windows = _windows(mixer)
    assert {len(w.onsets) for w in windows} == set(range(2, 7))
    alone = 0
    for window in windows:
        times = np.array([at for _, at in window.onsets])
        for at in times[(times > 200) & (times < 3900)]:
            if np.any((times > at - 1500) & (times < at + 100) & (times != at)):
                continue
            alone += 1
            low = round(at)
            before, after = window.x[0, low - 100 : low - 5], window.x[0, low : low + 40]
            assert after.std() > 1.2 * before.std()
    assert alone > 30


@pytest.mark.parametrize("unread", ["P", "S"])
def test_about_a_phase_that_nobody_has_read_nothing_is_taught(unread: str) -> None:
    onsets = (np.nan, 3600.0) if unread == "P" else (3000.0, np.nan)
    mixer = _mixer(_sources([onsets], clean=False, hum=5), None, stretch=0)
    seen = 0
    for window in _windows(mixer):
        ((phase, at),) = window.onsets
        assert phase == (1 if unread == "P" else 0)
        if not 0 <= at < 4000:
            continue
        seen += 1
        i = round(at)
        # The onset itself is taught, with its surroundings.
        assert window.known[max(0, i - 25) : i + 25].all()
        if unread == "S":
            assert window.known[: max(0, i - 1)].all()
            assert not window.known[i + 60 : i + 2400].any()
        else:
            assert not window.known[max(0, i - 2400) : max(0, i - 60)].any()
            assert window.known[i:].all()
    assert seen > 20


def test_gaps_are_zero_and_not_judged() -> None:
    bank = _sources(BOTH, clean=False, hum=5)
    plain = _windows(_mixer(bank, None))
    assert all(w.known.all() for w in plain)
    masked = [w for w in _windows(_mixer(bank, None, gaps=1)) if not w.known.all()]
    assert len(masked) > 20
    for window in masked:
        assert not window.x[:, window.known == 0].any()
        assert window.x[:, window.known == 1].any()


def test_missing_components_are_zero() -> None:
    bank = _sources(BOTH, clean=False, hum=5)
    for window in _windows(_mixer(bank, None, single=1)):
        assert window.x[[0, 3]].any() and not window.x[[1, 2, 4, 5]].any()
        assert window.known.all()
    there = np.array([w.x.any(axis=1) for w in _windows(_mixer(bank, None, missing=1))])
    np.testing.assert_array_equal(there[:, :3], there[:, 3:])
    assert set(there[:, :3].sum(1)) == {1, 2}


@pytest.mark.parametrize("trouble", ["spikes", "steps", "swarm", "gain", "band", "clipped"])
def test_a_component_that_was_never_there_stays_zero(trouble: str) -> None:
    bank = _sources(BOTH, clean=False, hum=5, rows=(0,))
    full = _sources(BOTH, clean=True)
    # Real records of the vertical alone, onto which simulated ones with horizontals may be pasted.
    mixer = _mixer(bank, full, simulated=0.5, own_noise=0.5, **{trouble: 1})
    mixer.settings = mixer.settings.model_copy(update={"noise_only": 0.0})
    alone = 0
    for window in _windows(mixer, 60):
        horizontal = window.x[[1, 2, 4, 5]]
        if not horizontal.any():
            alone += 1
        else:
            # All or nothing: no spike, step or event on a silent component.
            assert (horizontal[:, 200:-200] != 0).mean() > 0.95
    assert alone > 10


def test_windows_of_noise_have_no_onsets() -> None:
    for window in _windows(_mixer(_sources(BOTH, clean=False), None, noise_only=1)):
        assert window.onsets == []
        assert window.known.all()
        y = window.target(0.05)
        assert not y[:2].any() and (y[2] == 1).all()


def test_noise_is_added_at_the_ratio_asked_for() -> None:
    # A long-period swell under the record must not count as its signal.
    bank = _sources([(3000.0, 3400.0)], clean=False, hum=0.01)
    swell = 1e5 * np.sin(2 * np.pi * np.arange(N) / 2000).astype(np.float32)
    bank.data[:] += swell
    ratios = []
    for window in _windows(_mixer(bank, None, own_noise=0, snr_db=(20, 20), stretch=0, noise_only=0), 60):
        p, s = (at for _, at in window.onsets)
        if p > 1200 and s < 3000:
            quiet = np.diff(window.x[0, int(p) - 60 : int(p) - 5])
            loud = np.diff(window.x[0, int(s) : int(s) + 200])
            ratios.append(20 * np.log10(np.abs(loud).max() / quiet.std()))
    assert len(ratios) > 10
    # The horizontals' rotation and the length of the noise leave some decibels to either side.
    assert 17 < np.median(ratios) < 23


def test_target_sums_to_one_and_is_highest_at_the_onset() -> None:
    x = np.zeros((6, 1024), np.float32)
    onsets = [(0, 100.0), (1, 300.4), (0, 800.0), (1, 803.0), (0, -3.0), (1, 1025.0), (0, -900.0)]
    y = Window(x, onsets, np.ones(1024, np.float32)).target(0.05)
    assert y.dtype == np.float32 and y.shape == (3, 1024)
    np.testing.assert_allclose(y.sum(axis=0), 1, atol=1e-6)
    assert y.min() > -1e-6 and y.max() <= 1
    assert y[0, 100] == 1 and y[0, 50:150].argmax() == 50
    assert y[1, 250:350].argmax() == 50
    # A Gaussian of 0.05 s, five samples wide.
    k = np.arange(90, 111)
    np.testing.assert_allclose(y[0, k], np.exp(-0.5 * ((k - 100) / (0.05 * RATE_HZ)) ** 2), atol=1e-6)
    # P and S so close share what there is.
    assert y[2, 801] == pytest.approx(0, abs=1e-6) and y[0, 801] > y[1, 801] > 0.4
    # The skirts of what lies just outside reach in.
    assert 0 < y[0, 0] < 1 and 0 < y[1, 1023] < 1
    assert not y[:2, 400:700].any()


def test_settings_that_make_no_sense_are_refused() -> None:
    for wrong in ({"n_sample": 1000}, {"margin": 100}, {"gaps": 1.5}, {"nonsense": 1}):
        with pytest.raises(ValidationError):
            Augmentation(**wrong)
