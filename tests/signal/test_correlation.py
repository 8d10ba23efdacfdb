"""Normalised correlation against numpy's and SciPy's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaname.core.errors import InputError
from kaname.signal.correlation import Correlator, correlate


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(3, 60), extra=st.integers(0, 200))
def test_every_lag_is_pearsons_coefficient(seed: int, n: int, extra: int) -> None:
    random = np.random.default_rng(seed)
    template = random.standard_normal(n)
    record = random.standard_normal(n + extra) * 1e3 + 1e6
    found = correlate(template, record)
    expected = [np.corrcoef(template, record[k : k + n])[0, 1] for k in range(extra + 1)]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 400), m=st.integers(400, 9000))
def test_one_record_and_many_templates(seed: int, n: int, m: int) -> None:
    random = np.random.default_rng(seed)
    record = random.standard_normal(m).cumsum()
    ready = Correlator(record, longest=400)
    for length in (n, 400):
        template = random.standard_normal(length)
        found = ready(template)
        assert found.shape == (m - length + 1,)
        for k in random.integers(0, m - length + 1, 5):
            stretch = record[k : k + length]
            expected = np.corrcoef(template, stretch)[0, 1] if np.ptp(stretch) > 0 else 0.0
            assert found[k] == pytest.approx(expected, abs=1e-5)


def test_a_record_correlates_with_its_own_stretch_and_silence_is_zero() -> None:
    random = np.random.default_rng(1)
    record = random.standard_normal(1000)
    record[300:600] = 7.0
    found = correlate(record[100:150], record)
    assert found[100] == pytest.approx(1.0)
    assert np.all(found[300:551] == 0)
    assert np.all(correlate(np.ones(20), record) == 0)


@pytest.mark.parametrize(
    ("template", "record"),
    [
        (np.ones(5), np.ones(4)),
        (np.ones((2, 3)), np.ones((2, 9))),
        (np.array([1.0, np.nan]), np.ones(5)),
        (np.ones(2), np.array([1.0, np.inf, 2.0])),
        (np.ones(1), np.ones(5)),
    ],
)
def test_what_cannot_be_compared_is_refused(template: np.ndarray, record: np.ndarray) -> None:
    with pytest.raises(InputError):
        correlate(template, record)
