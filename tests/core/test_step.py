"""`run` feeds a step in order, and a well-made step does not notice how its input was cut."""

from __future__ import annotations

import pickle
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kaname.core.step import run


class Smooth:
    """Sum of three neighbours: needs the two last samples of the chunk before."""

    def start(self):
        return ()

    def __call__(self, state, item):
        samples = [*state, *item]
        return tuple(samples[-2:]), [sum(samples[i : i + 3]) for i in range(len(samples) - 2)]

    def finish(self, state):
        return [sum(state)]


@given(st.lists(st.integers(-1000, 1000), min_size=2, max_size=30), st.data())
def test_chunked_equals_whole(samples, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(samples)))))
    edges = [0, *cuts, len(samples)]
    chunks = [samples[low:high] for low, high in pairwise(edges)]
    expected = [*np.convolve(samples, [1, 1, 1])[2:-2], sum(samples[-2:])]
    assert list(run(Smooth(), [samples])) == list(run(Smooth(), chunks)) == expected


def test_no_input_gives_what_finish_holds():
    assert list(run(Smooth(), [])) == [0]


def test_output_comes_while_input_still_runs():
    asked = []

    def items():
        for chunk in ([1, 2, 3], [4]):
            asked.append(chunk)
            yield chunk

    output = run(Smooth(), items())
    assert next(output) == 6
    assert asked == [[1, 2, 3]]


def test_one_step_serves_many_streams_and_takes_up_a_checkpoint():
    step = Smooth()
    state, first = step(step.start(), [1, 2, 3])
    other, _ = step(step.start(), [7])
    state = pickle.loads(pickle.dumps(state))
    _, second = step(state, [4, 5])
    assert [*first, *second] == [6, 9, 12]
    assert other == (7,)
