"""Response spectra against closed forms and an independent solution in the frequency domain."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt

from kaname.core.errors import InputError
from kaname.core.waveform import Waveform
from kaname.signal.response_spectra import response_spectra, rotated_peaks

PERIODS = np.array([0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.5, 1.0, 3.0, 10.0])


def _waveform(data: np.ndarray, rate: float = 100.0, unit: str = "cm/s^2") -> Waveform:
    ids = tuple(f"AA.STA..HN{c}" for c in "NEZ"[: len(data)])
    return Waveform(np.asarray(data, float), ids, np.datetime64("2020-01-01", "ns"), rate, unit)


def _record(seed: int = 1, n: int = 4000) -> np.ndarray:
    """Noise up to 25 Hz in a bell of 6 s."""
    rng = np.random.default_rng(seed)
    t = np.arange(n) / 100.0
    sos = butter(2, (0.1, 25.0), "bandpass", fs=100.0, output="sos")
    return 50 * sosfiltfilt(sos, rng.standard_normal((3, n)) * np.exp(-(((t - 12) / 4) ** 2)), axis=1)


def _by_fourier(data: np.ndarray, rate: float, period: float, damping: float, finer: int = 32) -> np.ndarray:
    """Pseudo-acceleration of each channel over time, from the transfer function; long zeros, a fine grid."""
    n = data.shape[1] + int(rate * max(20.0, 80.0 * period))
    n += n % 2
    spectrum = np.fft.rfft(data, n)
    w, w0 = 2 * np.pi * np.fft.rfftfreq(n, 1 / rate), 2 * np.pi / period
    response = spectrum * w0**2 / (w0**2 - w**2 + 2j * damping * w0 * w)
    wide = np.zeros((len(data), n * finer // 2 + 1), complex)
    wide[:, : response.shape[1]] = response
    return np.fft.irfft(wide, n * finer) * finer


@pytest.mark.parametrize(
    ("damping", "periods"), [(0.05, PERIODS), (0.02, PERIODS[[1, 9]]), (0.2, PERIODS[[1, 9]])]
)
def test_is_the_solution_in_the_frequency_domain(damping: float, periods: np.ndarray) -> None:
    data = _record(n=2500)
    found = response_spectra(_waveform(data), periods, damping=damping)
    angle = np.radians(np.arange(180))
    for k, period in enumerate(periods):
        path = _by_fourier(data, 100.0, period, damping, finer=8 if period < 0.5 else 2)
        np.testing.assert_allclose(found.components[:, k], np.abs(path).max(axis=1), rtol=6e-3)
        far = path[:2, np.hypot(*path[:2]) > 0.4 * np.hypot(*path[:2]).max()]
        over = [np.abs(far[0] * np.cos(a) + far[1] * np.sin(a)).max() for a in angle]
        assert found.rotd50[k] == pytest.approx(np.median(over), rel=8e-3)
        assert found.rotd100[k] == pytest.approx(np.max(over), rel=8e-3)


def test_a_steady_shake_at_resonance() -> None:
    """After many cycles the response is the ground times ``1 / (2 h)``."""
    rate, period = 200.0, 0.5
    t = np.arange(int(60 * rate)) / rate
    data = np.sin(2 * np.pi * t / period)[np.newaxis]
    found = response_spectra(_waveform(data, rate), [period], damping=0.05, horizontals=None)
    assert found.components[0, 0] == pytest.approx(10.0, rel=2e-3)
    assert np.isnan(found.rotd50).all()


def test_a_stiff_oscillator_moves_with_the_ground() -> None:
    data = _record()
    found = response_spectra(_waveform(data), [0.002])
    np.testing.assert_allclose(found.components[:, 0], np.abs(data).max(axis=1), rtol=0.03)


def test_turning_the_sensor_changes_nothing_of_rotd() -> None:
    data = _record()
    turned = data.copy()
    a = np.radians(37.0)
    turned[0], turned[1] = (
        data[0] * np.cos(a) + data[1] * np.sin(a),
        data[1] * np.cos(a) - data[0] * np.sin(a),
    )
    one, other = response_spectra(_waveform(data), PERIODS), response_spectra(_waveform(turned), PERIODS)
    np.testing.assert_allclose(one.rotd50, other.rotd50, rtol=2e-3)
    np.testing.assert_allclose(one.rotd100, other.rotd100, rtol=2e-3)


def test_one_direction_only() -> None:
    """Of a motion on a line at 0 degrees RotD100 is the peak and RotD50 its projection on 45 degrees."""
    data = _record()[:2]
    data[1] = 0.0
    found = response_spectra(_waveform(data), [1.0])
    assert found.rotd100[0] == pytest.approx(found.components[0, 0], rel=2e-3)
    assert found.rotd50[0] == pytest.approx(found.components[0, 0] * np.cos(np.pi / 4), rel=0.02)
    assert found.geometric_mean[0] == 0.0


def test_units_and_zeros() -> None:
    data = _record()
    one = response_spectra(_waveform(data), [0.3])
    other = response_spectra(_waveform(data / 100, unit="m/s^2"), [0.3])
    np.testing.assert_allclose(one.components, other.components, rtol=1e-9)
    assert (response_spectra(_waveform(np.zeros((3, 50))), PERIODS).components == 0).all()


def test_rotated_peaks() -> None:
    t = np.linspace(0, 10, 20_000)
    assert rotated_peaks(np.cos(t), np.sin(t)) == pytest.approx((1.0, 1.0), abs=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"period_s": [0.0]}, "positive"),
        ({"period_s": []}, "positive"),
        ({"period_s": [np.nan]}, "positive"),
        ({"damping": 1.0}, "damping"),
        ({"horizontals": (0, 0)}, "horizontals"),
        ({"horizontals": (0, 3)}, "horizontals"),
    ],
)
def test_what_does_not_exist(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        response_spectra(_waveform(_record()), **{"period_s": [1.0], **options})  # type: ignore[arg-type]


def test_bad_records() -> None:
    with pytest.raises(InputError, match="counts"):
        response_spectra(_waveform(np.zeros((3, 9)), unit="count"), [1.0])
    with pytest.raises(InputError, match="not finite"):
        response_spectra(_waveform(np.full((3, 9), np.nan)), [1.0])
