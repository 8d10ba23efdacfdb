"""JMA instrumental intensity: the definition done the slow way, known motions, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaname.core.errors import InputError
from kaname.core.waveform import Waveform
from kaname.signal.intensity import JmaIntensity, jma_filter, jma_intensity

IDS = ("BO.AOM001..HNE", "BO.AOM001..HNN", "BO.AOM001..HNZ")


def _block(data: np.ndarray, *, rate: float = 100.0, unit: str = "cm/s^2") -> Waveform:
    return Waveform(np.asarray(data), IDS[: len(data)], np.datetime64("2018-01-24T10:51:27"), rate, unit)


def _definition(data: np.ndarray, rate: float) -> float:
    """Notice No. 4 term by term: full transforms, and a search for the largest a0."""
    f = np.abs(np.fft.fftfreq(data.shape[1], 1 / rate))
    f[0] = 1.0
    y = f / 10
    gain = (1 / f) ** 0.5 * (1 - np.exp(-((f / 0.5) ** 3))) ** 0.5
    gain /= (1 + 0.694 * y**2 + 0.241 * y**4 + 0.0557 * y**6 + 0.009664 * y**8 + 0.00134 * y**10
             + 0.000155 * y**12) ** 0.5  # fmt: skip
    gain[0] = 0.0
    length = np.sqrt(sum(np.fft.ifft(np.fft.fft(c) * gain).real ** 2 for c in data))
    a0 = max(a for a in length if np.count_nonzero(length >= a) / rate >= 0.3 - 1e-9)
    return float(2 * np.log10(a0) + 0.94)


@pytest.mark.parametrize(
    ("rate", "n_sample"), [(100, 4000), (100, 4096), (200, 3000), (50, 1200), (31.25, 1000)]
)
def test_is_the_definition(rate: float, n_sample: int) -> None:
    rng = np.random.default_rng(n_sample)
    data = rng.normal(size=(3, n_sample)) * 30 * np.exp(-(np.linspace(-3, 3, n_sample) ** 2))
    found = jma_intensity(_block(data + 500.0, rate=rate)).value
    assert found == pytest.approx(_definition(data, rate), abs=2e-4)


@pytest.mark.parametrize("frequency", [0.2, 1.0, 5.0, 10.0, 20.0])
def test_of_a_long_sine_on_one_component(frequency: float) -> None:
    """A sine of amplitude A exceeds a0 for 0.3 s of 60 s: a0 is A times the gain, but for the top 0.5 %."""
    t = np.arange(6000) / 100
    data = np.zeros((3, 6000))
    data[0] = 80 * np.sin(2 * np.pi * frequency * t + 0.3)
    found = jma_intensity(_block(data))
    gain = float(jma_filter(np.array([frequency]))[0])
    assert found.a0_cm_s2 == pytest.approx(80 * gain, rel=2e-3)


def test_filter_at_known_frequencies() -> None:
    gain = jma_filter(np.array([0.0, 0.5, 1.0, 10.0]))
    powers = 1 + 0.694 + 0.241 + 0.0557 + 0.009664 + 0.00134 + 0.000155
    assert gain[0] == 0.0
    assert gain[1] == pytest.approx(np.sqrt(2 * (1 - np.exp(-1)) / (1 + 0.694 / 400)), rel=1e-4)
    assert gain[3] == pytest.approx(np.sqrt(0.1 / powers), rel=1e-9)
    assert gain[2] == pytest.approx(0.9964, abs=2e-3)


def test_units_and_offsets_do_not_matter() -> None:
    data = np.random.default_rng(3).normal(size=(3, 6000))
    one = jma_intensity(_block(data))
    other = jma_intensity(_block(data / 100 + 9.81, unit="m/s^2"))
    assert other.value == pytest.approx(one.value, abs=1e-9)


@given(st.floats(1e-3, 1e3))
def test_ten_times_the_acceleration_is_two_more(size: float) -> None:
    data = size * np.random.default_rng(3).normal(size=(3, 512))
    assert jma_intensity(_block(10 * data)).value == pytest.approx(jma_intensity(_block(data)).value + 2)


@pytest.mark.parametrize(
    ("value", "reported", "scale"),
    [
        (-np.inf, 0.0, "0"),
        (-0.31, -0.3, "0"),
        (0.4949, 0.4, "0"),
        (0.4951, 0.5, "1"),
        (2.248, 2.2, "2"),
        (2.2949, 2.2, "2"),
        (2.2951, 2.3, "2"),
        (4.4999, 4.5, "5-"),
        (5.04, 5.0, "5+"),
        (5.5, 5.5, "6-"),
        (6.0, 6.0, "6+"),
        (6.67, 6.6, "7"),
    ],
)
def test_published_form_rounds_the_second_decimal_and_cuts_it(value, reported, scale) -> None:
    found = JmaIntensity(value, 1.0)
    assert found.reported == reported
    assert found.scale == scale


def test_a_record_of_zeros_has_no_intensity() -> None:
    found = jma_intensity(_block(np.zeros((3, 6000))))
    assert (found.value, found.a0_cm_s2, found.reported, found.scale) == (-np.inf, 0.0, 0.0, "0")


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (_block(np.ones((2, 600))), "three orthogonal components"),
        (_block(np.ones((3, 600)), unit="count"), "in counts"),
        (_block(np.ones((3, 600)), unit="cm/s"), "measure different things"),
        (_block(np.ones((3, 29))), "0.3 s or more"),
        (_block(np.full((3, 600), np.nan)), "not finite"),
    ],
)
def test_bad_input(block: Waveform, message: str) -> None:
    with pytest.raises(InputError, match=message):
        jma_intensity(block)
