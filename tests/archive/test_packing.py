"""Packed columns come back as they were."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaname.archive.packing import pack, unpack

numbers = st.one_of(st.integers(-(2**62), 2**62), st.integers(-200, 200))


@given(
    st.integers(1, 40).flatmap(
        lambda n: st.lists(st.lists(numbers, min_size=n, max_size=n), min_size=4, max_size=4)
    )
)
def test_round_trip(columns):
    arrays = [np.array(column, np.int64) for column in columns]
    for found, expected in zip(unpack(pack(*arrays), len(arrays[0])), arrays):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("step", [0, 512, -7])
def test_a_line_costs_only_its_head(step):
    column = np.arange(1000) * step + 12
    assert len(pack(column)) == 24
