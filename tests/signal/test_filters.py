"""Causal filters: against SciPy, and cut anywhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from kaname.core.errors import InputError
from kaname.signal.filters import bandpass, filter_block, rest_state


def test_response_of_a_bandpass_is_a_butterworths() -> None:
    sos = bandpass(2.0, 20.0, 100.0, order=3)
    _, response = signal.sosfreqz(sos, worN=[2.0, np.sqrt(40.0), 20.0, 0.1, 49.0], fs=100.0)
    gain = 20 * np.log10(np.abs(response))
    assert gain[[0, 2]] == pytest.approx([-3.01, -3.01], abs=0.01)
    assert gain[1] == pytest.approx(0.0, abs=0.05)
    assert (gain[3:] < -60).all()


def test_an_upper_corner_at_nyquist_leaves_a_highpass() -> None:
    ours = bandpass(2.0, 50.0, 100.0)
    _, response = signal.sosfreqz(ours, worN=[2.0, 49.9], fs=100.0)
    assert np.abs(response) == pytest.approx([np.sqrt(0.5), 1.0], abs=1e-6)


@pytest.mark.parametrize(("low", "high"), [(0.0, 5.0), (5.0, 5.0), (6.0, 5.0), (46.0, 60.0)])
def test_corners_that_do_not_fit_are_refused(low: float, high: float) -> None:
    with pytest.raises(InputError, match="corners"):
        bandpass(low, high, 100.0)


@given(cuts=st.lists(st.integers(1, 499), max_size=8))
def test_blocks_give_the_bits_of_the_whole_and_of_scipy(cuts: list[int]) -> None:
    data = np.random.default_rng(3).standard_normal((2, 500)).cumsum(axis=1)
    sos = bandpass(1.0, 15.0, 100.0)
    state = rest_state(sos, data[:, 0])
    zi = np.stack([signal.sosfilt_zi(sos) * level for level in data[:, 0]], axis=1)
    expected, _ = signal.sosfilt(sos, data, axis=-1, zi=zi)
    out = []
    for low, high in zip(sorted({0, *cuts}), [*sorted(set(cuts)), 500]):
        part, state = filter_block(sos, data[:, low:high], state)
        out.append(part)
    assert np.array_equal(np.concatenate(out, axis=1), expected)


def test_a_record_that_starts_on_an_offset_does_not_ring() -> None:
    sos = bandpass(1.0, 15.0, 100.0)
    data = np.full((3, 400), [[5e6], [0.0], [-3.0]])
    out, _ = filter_block(sos, data, rest_state(sos, data[:, 0]))
    assert np.abs(out).max() < 1e-6
