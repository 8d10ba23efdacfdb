"""Processing on records whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt

from kaname.core.errors import InputError
from kaname.core.waveform import Waveform
from kaname.modeling.strong_motion.processing import Settings, filtered, process

RATE = 100.0


def _block(data: np.ndarray) -> Waveform:
    return Waveform(data, ("A.B..HNN", "A.B..HNE", "A.B..HNZ"), np.datetime64("2020-01-01"), RATE, "cm/s^2")


def _shaking(seed: int = 0, *, noise: float = 0.02, begins_s: float = 10.0, n: int = 6000) -> np.ndarray:
    """Ground between 0.2 and 20 Hz that begins at a time, on white noise and an offset."""
    rng = np.random.default_rng(seed)
    t = np.arange(n) / RATE - begins_s
    envelope = np.where(t > 0, np.maximum(t, 0) * np.exp(-t / 5.0), 0.0)
    ground = rng.standard_normal((3, n)) * envelope
    band = butter(3, (0.2, 20.0), "bandpass", fs=RATE, output="sos")
    return 20 * sosfiltfilt(band, ground, axis=1) + noise * rng.standard_normal((3, n)) + 5.0


def test_a_good_record_is_used_and_its_band_found() -> None:
    done = process(_block(_shaking()), stage="raw", horizontals=(0, 1))
    assert done.reasons == ()
    assert done.onset_s == pytest.approx(10.0, abs=0.6)
    assert done.corner_low_hz < 0.4
    assert done.corner_high_hz > 15
    assert np.abs(done.acceleration.data).max() == pytest.approx(np.abs(_shaking() - 5).max(), rel=0.05)
    assert done.longest_period_s == pytest.approx(0.8 / done.corner_low_hz)


def test_what_the_network_has_filtered_is_left_alone() -> None:
    data = _shaking()
    done = process(_block(data), stage="corrected", horizontals=(0, 1), corners_hz=(0.1, 25.0))
    np.testing.assert_array_equal(done.acceleration.data, data)
    assert (done.corner_low_hz, done.corner_high_hz) == (0.1, 25.0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: d[:, :300], "lasts 3.0 s"),
        (lambda d: d * 0 + 1, "dead"),
        (lambda d: np.where(np.arange(d.shape[1]) == 7, np.nan, d), "not finite"),
        (lambda d: d[:, 1150:], "triggered late"),
        (lambda d: d + np.where((np.arange(d.shape[1]) // 500) % 2, 500.0, 0.0), "leaps"),
    ],
)
def test_what_cannot_be_used_is_rejected_with_its_reason(change, reason: str) -> None:
    done = process(_block(change(_shaking())), stage="raw", horizontals=(0, 1))
    assert any(reason in r for r in done.reasons), done.reasons


def test_noise_alone_is_no_record() -> None:
    rng = np.random.default_rng(4)
    done = process(_block(rng.standard_normal((3, 6000))), stage="raw", horizontals=(0, 1))
    assert done.reasons


def test_clipping_and_late_triggers_that_are_told() -> None:
    done = process(_block(_shaking()), stage="raw", horizontals=(0, 1), clipped=("HNE",), late_trigger=True)
    assert done.reasons == ("HNE is clipped", "its header says that it was triggered late")


def test_without_noise_the_corner_is_the_default_and_that_is_said() -> None:
    done = process(_block(_shaking(begins_s=0.0)), stage="uncorrected", horizontals=(0, 1), film=True)
    assert done.reasons == ()
    assert done.corner_low_hz >= Settings().low_hz
    assert "too little noise" in done.notes[0]


def test_displacement_of_a_known_pulse() -> None:
    """Acceleration of a smooth pulse of displacement of 10 cm: the filter must give the pulse back."""
    t = np.arange(8000) / RATE - 40.0
    pulse = 10.0 * np.exp(-0.5 * (t / 0.5) ** 2)
    pulse -= np.mean(pulse)
    acceleration = np.gradient(np.gradient(pulse, 1 / RATE), 1 / RATE)
    _, velocity, displacement = filtered(acceleration[np.newaxis], RATE, 0.02, 40.0)
    high = 10.0
    assert np.ptp(displacement[0]) == pytest.approx(high, rel=0.05)
    assert np.abs(velocity[0]).max() == pytest.approx(10 / 0.5 * np.exp(-0.5), rel=0.02)


def test_the_filter_has_no_phase_and_the_gain_of_butterworth() -> None:
    t = np.arange(20_000) / RATE
    wave = np.sin(2 * np.pi * 0.5 * t)[np.newaxis]
    out, _, _ = filtered(wave, RATE, 0.5, 50.0)
    middle = slice(8000, 12_000)
    np.testing.assert_allclose(out[0, middle], np.sqrt(0.5) * wave[0, middle], atol=0.01)


def test_counts_are_no_acceleration() -> None:
    block = Waveform(np.ones((1, 9)), ("A.B..HNN",), np.datetime64("2020-01-01"), RATE)
    with pytest.raises(InputError, match="count"):
        process(block, stage="raw", horizontals=(0, 0))
