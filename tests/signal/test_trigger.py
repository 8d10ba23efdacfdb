"""Characteristic functions and the AIC: against ObsPy and SciPy, and on a known onset."""

from __future__ import annotations

import numpy as np
import pytest
from obspy.signal import trigger as obspy_trigger
from scipy import stats

from kaname.signal.trigger import aic, kurtosis, recursive_sta_lta

RNG = np.random.default_rng(11)


def onset(n: int = 1000, at: int = 600, gain: float = 8.0) -> np.ndarray:
    data = RNG.standard_normal(n)
    data[at:] *= gain
    return data


def test_recursive_sta_lta_is_obspys() -> None:
    data = onset()
    ours = recursive_sta_lta(data, 20, 200)
    theirs = obspy_trigger.recursive_sta_lta(data, 20, 200)
    # ObsPy blanks the first nlta - 1 samples; ours one more.
    assert ours[201:] == pytest.approx(theirs[201:], rel=1e-9)
    assert (ours[:200] == 0).all()


def test_kurtosis_is_scipys() -> None:
    data = onset(300, 200)
    ours = kurtosis(data, 50)
    expected = [stats.kurtosis(data[i - 49 : i + 1], fisher=False) for i in range(49, 300)]
    assert ours[49:] == pytest.approx(expected, rel=1e-9)
    assert (kurtosis(np.zeros(100), 10) == 3).all()


def test_aic_is_its_definition_and_adds_over_channels() -> None:
    data = np.stack([onset(200, 120), onset(200, 120)])
    total = aic(data, 5)
    for k in (5, 60, 120, 195):
        expected = sum(k * np.log(x[:k].var()) + (200 - k) * np.log(x[k:].var()) for x in data)
        assert total[k] == pytest.approx(expected, rel=1e-9)
    assert np.isinf(total[:5]).all() and np.isinf(total[196:]).all()


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_aic_finds_the_onset(offset: float) -> None:
    data = onset() + offset
    assert abs(int(np.argmin(aic(data[np.newaxis], 10))) - 600) <= 3


def test_aic_survives_constant_and_short_windows() -> None:
    assert np.isfinite(aic(np.zeros((1, 50)), 5)[5:46]).all()
    step = np.r_[np.zeros(30), RNG.standard_normal(30)][np.newaxis]
    assert int(np.argmin(aic(step, 5))) == 30
    assert np.isinf(aic(np.ones((1, 6)), 5)).all()
