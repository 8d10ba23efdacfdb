"""Normalised correlation against numpy's and SciPy's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaname.core.errors import InputError
from kaname.signal.correlation import correlate


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(3, 60), extra=st.integers(0, 200))
def test_every_lag_is_pearsons_coefficient(seed: int, n: int, extra: int) -> None:
    random = np.random.default_rng(seed)
    template = random.standard_normal(n)
    record = random.standard_normal(n + extra) * 1e3 + 1e6
    found = correlate(template, record)
    expected = [np.corrcoef(template, record[k : k + n])[0, 1] for k in range(extra + 1)]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_channels_are_independent_and_silence_is_zero() -> None:
    random = np.random.default_rng(1)
    record = random.standard_normal((3, 1000))
    record[1, 300:600] = 7.0
    template = record[:, 100:150].copy()
    found = correlate(template, record)
    assert found.shape == (3, 951)
    np.testing.assert_allclose(found[:, 100], 1.0)
    assert np.all(found[1, 300:551] == 0)


@pytest.mark.parametrize(
    ("template", "record"),
    [(np.ones(5), np.ones(4)), (np.ones((2, 3)), np.ones((3, 9))), (np.array([1.0, np.nan]), np.ones(5))],
)
def test_what_cannot_be_compared_is_refused(template: np.ndarray, record: np.ndarray) -> None:
    with pytest.raises(InputError):
        correlate(template, record)
