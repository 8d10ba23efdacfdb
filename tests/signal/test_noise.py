"""Noise power against ObsPy, Parseval and Peterson's models."""

from __future__ import annotations

import numpy as np
import pytest
from obspy import Trace, UTCDateTime
from obspy.signal import PPSD
from obspy.signal.spectral_estimation import get_nhnm, get_nlnm

from kaname.core.errors import InputError
from kaname.signal.noise import (
    noise_models,
    octave_levels,
    octave_periods,
    segment_power,
    window_length,
)

POLES = {"gain": 60077000.0, "poles": [-0.037 + 0.037j, -0.037 - 0.037j], "sensitivity": 2516778400.0}
POLES |= {"zeros": [0j, 0j]}


def test_the_models_are_petersons():
    for (period, level), model in ((get_nlnm(), 0), (get_nhnm(), 1)):
        inside = (period >= 0.1) & (period <= 1e5)
        # ObsPy tabulates break points; between them the models are straight in the logarithm of the period.
        ours = noise_models(period[inside])[model]
        np.testing.assert_allclose(ours, level[inside], atol=0.35)
    low, high = noise_models(np.array([0.05, 0.1, 1.0, 5.0, 100.0, 1e5, 2e5]))
    assert np.isnan(low[[0, -1]]).all() and np.isnan(high[[0, -1]]).all()
    assert (low[1:-1] < high[1:-1]).all()
    np.testing.assert_allclose(low[2], -166.4, atol=0.01)


def test_white_noise_has_the_power_it_has():
    rng = np.random.default_rng(0)
    frequency, power = segment_power(rng.normal(0, 3, 360_000), 100.0)
    # Variance 9 spread over 50 Hz.
    np.testing.assert_allclose(power.mean(), 9 / 50, rtol=0.01)
    assert frequency[0] == pytest.approx(100 / 65536) and frequency[-1] == 50


@pytest.mark.parametrize("rate", [1.0, 20.0, 100.0])
def test_segments_agree_with_obspy(rate):
    rng = np.random.default_rng(3)
    n = round(7200 * rate)
    # Strong long periods, a trend and an offset: what a real channel has.
    data = np.cumsum(rng.normal(0, 50, n)) + 1e4 + 0.01 * np.arange(n)
    header = {
        "sampling_rate": rate,
        "station": "AAA",
        "channel": "HHZ",
        "starttime": UTCDateTime(2021, 3, 14),
    }
    trace = Trace(data, header)
    # Limits at which no frequency of the spectrum lies on the edge of an octave, where rounding decides.
    ppsd = PPSD(trace.stats, POLES, period_limits=(3.07 / rate, 300.0))
    ppsd.add(trace)
    assert len(ppsd.psd_values) == 3
    periods = np.array(ppsd.period_bin_centers)
    for start, theirs in zip((0, 1800, 3600), ppsd.psd_values):
        low = round(start * rate)
        frequency, power = segment_power(data[low : low + round(3600 * rate)], rate)
        s = 2j * np.pi * frequency
        response = POLES["gain"] * POLES["sensitivity"] * s**2
        for pole in POLES["poles"]:
            response = response / (s - pole)
        level = 10 * np.log10(power * (2 * np.pi * frequency) ** 2 / abs(response) ** 2)
        ours = octave_levels(frequency, level, periods)
        there = np.isfinite(ours)
        assert there.sum() > 0.8 * periods.size
        np.testing.assert_allclose(ours[there], np.array(theirs)[there], atol=0.03)


def test_periods_have_a_full_octave():
    periods = octave_periods(100.0, 65536)
    assert periods.min() / np.sqrt(2) >= 0.02 - 1e-9
    assert periods.max() * np.sqrt(2) <= 655.36 + 1e-9
    np.testing.assert_allclose(np.diff(np.log2(periods)), 1 / 8)
    assert 1.0 in periods


def test_octaves_of_a_line_are_the_line():
    frequency = np.arange(1, 5001) * 0.01
    levels = octave_levels(frequency, np.full((2, frequency.size), -120.0), octave_periods(100.0, 10_000))
    np.testing.assert_allclose(levels, -120)


def test_nothing_is_averaged_over_what_is_not_known():
    frequency = np.arange(1, 5001) * 0.01
    level = np.zeros(5000)
    level[99] = -np.inf
    levels = octave_levels(frequency, level, np.array([1.0, 0.1]))
    assert np.isnan(levels[0]) and levels[1] == 0


def test_too_short():
    assert window_length(127) == 0 and window_length(128) == 32
    with pytest.raises(InputError, match="too few"):
        segment_power(np.zeros(100), 1.0)
