"""A step: a callable with explicit state, the same on a whole archive and on a live stream.

The contract, tested for every step by ``tests/contracts``: however the input is cut into chunks, the
concatenated output is the same. That is why batch and real time share every line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

State = TypeVar("State")
In = TypeVar("In", contravariant=True)
Out = TypeVar("Out")


class Step(Protocol[State, In, Out]):
    """What a processing step offers.

    The state is a picklable value, never an attribute of the step: one step object serves many stations,
    and a stream can be checkpointed and taken up by another process.
    """

    def start(self) -> State:
        """Return the state before any input."""

    def __call__(self, state: State, item: In) -> tuple[State, list[Out]]:
        """Take in the next item; return the new state and whatever output is now final."""

    def finish(self, state: State) -> list[Out]:
        """Return the output still held back when the input ends."""


def run(step: Step[State, In, Out], items: Iterable[In]) -> Iterator[Out]:
    """Feed ``items`` in order through ``step`` and yield its output, the held-back rest included."""
    state = step.start()
    for item in items:
        state, output = step(state, item)
        yield from output
    yield from step.finish(state)
