"""Measures of shaking against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from kaname.core.errors import InputError
from kaname.core.shaking import GRAVITY_CM_S2
from kaname.signal.intensity_measures import (
    SI_PERIODS_S,
    arias,
    cumulative_absolute_velocity,
    fourier_amplitude,
    integrated,
    peak,
    significant_duration,
    spectrum_intensity,
)

RATE = 200.0
T = np.arange(int(20 * RATE)) / RATE
SINE = 3.0 * np.sin(2 * np.pi * T)
ZERO = np.zeros_like(T)


def test_peaks_and_their_mean() -> None:
    found = peak(SINE, 0.5 * SINE)
    assert found.larger == pytest.approx(3.0)
    assert found.geometric_mean == pytest.approx(3.0 * np.sqrt(0.5))
    assert found.rotd100 == pytest.approx(3.0 * np.hypot(1, 0.5), rel=1e-3)


def test_integration() -> None:
    velocity, displacement = integrated(np.stack([SINE, ZERO]), RATE)
    assert velocity[0].max() == pytest.approx(2 * 3.0 / (2 * np.pi), rel=1e-3)
    assert displacement[0, -1] == pytest.approx(3.0 / (2 * np.pi) * T[-1], rel=1e-2)
    assert (displacement[1] == 0).all()


def test_energy_of_a_sine() -> None:
    found = arias(SINE, ZERO, RATE)
    assert found.rotd100 == pytest.approx(np.pi / (2 * GRAVITY_CM_S2) * 9.0 / 2 * 20, rel=1e-3)
    assert found.rotd50 == pytest.approx(found.rotd100 / 2, rel=1e-2)
    assert found.geometric_mean == 0
    assert cumulative_absolute_velocity(SINE, ZERO, RATE).rotd100 == pytest.approx(
        3 * 2 / np.pi * 20, rel=1e-3
    )


def test_durations() -> None:
    assert significant_duration(SINE, ZERO, RATE, low=0.05, high=0.95) == pytest.approx(18.0, abs=0.2)
    assert significant_duration(SINE, ZERO, RATE, low=0.05, high=0.75) == pytest.approx(14.0, abs=0.2)
    assert significant_duration(ZERO, ZERO, RATE, low=0.05, high=0.75) == 0
    with pytest.raises(InputError):
        significant_duration(SINE, ZERO, RATE, low=0.75, high=0.05)


def test_spectrum_intensity_of_a_constant_velocity_response() -> None:
    period = np.array(SI_PERIODS_S)
    pseudo = 10.0 * 2 * np.pi / period  # a velocity of 10 cm/s at every period
    assert spectrum_intensity(period, pseudo, pseudo, np.stack([pseudo, pseudo])).rotd50 == pytest.approx(
        24.0
    )


def test_fourier_amplitude_of_a_bell() -> None:
    """The transform of a bell is a bell: smoothing must leave what is smooth already."""
    width = 0.1
    bell = np.exp(-0.5 * ((T - 10) / width) ** 2)
    frequency = np.array([0.5, 1.0, 2.0])
    truth = width * np.sqrt(2 * np.pi) * np.exp(-0.5 * (2 * np.pi * frequency * width) ** 2)
    np.testing.assert_allclose(fourier_amplitude(bell, RATE, frequency), truth, rtol=0.03)


def test_smoothing_is_that_of_obspy() -> None:
    from obspy.signal.konnoohmachismoothing import konno_ohmachi_smoothing

    samples = np.random.default_rng(2).standard_normal(4096)
    n = len(samples)
    power = np.abs(np.fft.rfft(samples)[1:] / RATE) ** 2
    frequency = np.fft.rfftfreq(n, 1 / RATE)[1:]
    truth = np.sqrt(konno_ohmachi_smoothing(power, frequency, bandwidth=40, normalize=True))
    pick = np.array([200, 500, 1000, 1500])
    np.testing.assert_allclose(fourier_amplitude(samples, RATE, frequency[pick]), truth[pick], rtol=0.02)


def test_no_such_frequency() -> None:
    for frequency in (0.0, -1.0, 101.0):
        with pytest.raises(InputError, match="frequencies"):
            fourier_amplitude(SINE, RATE, frequency)
    with pytest.raises(InputError, match="bandwidth"):
        fourier_amplitude(SINE, RATE, 1.0, bandwidth=0)
