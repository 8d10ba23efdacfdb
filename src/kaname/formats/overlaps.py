"""What becomes of samples that are there twice: never a silent choice."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from kaname.core.time import NS_PER_S, isoformat
from kaname.core.waveform import Waveform, join


def resolve_overlaps(blocks: Iterable[Waveform]) -> tuple[list[Waveform], list[dict[str, Any]]]:
    """Give every instant of a channel one sample: where blocks overlap, the one given first keeps its own.

    Samples that are there twice and agree are kept once. Where they disagree, or are of another unit or
    rate, the later block is cut, and a failure with the error ``Overlap`` names the span. An unknown unit
    contradicts none.

    Parameters
    ----------
    blocks
        Blocks of one channel each, those to be preferred first.

    Returns
    -------
    blocks, failures
        Blocks without overlaps, joined where they follow one another, and one row per disagreement (without
        the step and the subject, which the caller knows).
    """
    channels: dict[str, list[Waveform]] = {}
    for block in blocks:
        channels.setdefault(block.ids[0], []).append(block)
    out: list[Waveform] = []
    failures: list[dict[str, Any]] = []
    for channel in channels.values():
        if len(channel) == 1:
            out += channel
            continue
        kept = _Kept()
        for block in channel:
            new, rows = subtract(block, kept.touching(block))
            for part in new:
                kept.add(part)
            failures += rows
        out += join(kept.blocks)
    return out, failures


def subtract(block: Waveform, known: Sequence[Waveform]) -> tuple[list[Waveform], list[dict[str, Any]]]:
    """Return the parts of a block that no known block of the channel covers, and where they disagree.

    Parameters
    ----------
    block
        Block of one channel.
    known
        Blocks of the same channel, without overlaps among them.
    """
    # Half a sample of grace: a neighbour on a slightly shifted clock is no overlap.
    grace = np.timedelta64(round(0.5 * NS_PER_S / block.sampling_rate), "ns")
    parts: list[Waveform] = []
    failures: list[dict[str, Any]] = []
    rest: Waveform | None = block
    for other in sorted(known, key=lambda b: b.start):
        low, high = max(block.start, other.start), min(block.following, other.following)
        if high - low <= grace:
            continue
        difference = _difference(block, other)
        if difference:
            failures.append(
                {
                    "start": low,
                    "end": high,
                    "error": "Overlap",
                    "message": f"{block.ids[0]}: two recordings of {isoformat(low)} to {isoformat(high)} "
                    f"{difference}; kept the one known first",
                }
            )
        if rest is not None:  # all that lies before is settled: the others begin later
            before = rest.slice(rest.start, other.start - grace)
            parts += [] if before is None else [before]
            rest = rest.slice(other.following - grace, rest.following)
    return parts + ([] if rest is None else [rest]), failures


def _difference(block: Waveform, other: Waveform) -> str:
    """Say in what two recordings differ where both have samples; nothing when they agree."""
    if abs(block.sampling_rate / other.sampling_rate - 1) > 1e-4:
        return f"have {other.sampling_rate:g} and {block.sampling_rate:g} samples per second"
    if block.unit != other.unit and "unknown" not in (block.unit, other.unit):
        return f"are in {other.unit} and in {block.unit}"
    shift = round(other.index(block.start))
    low, high = max(0, -shift), min(block.n_sample, other.n_sample - shift)
    a, b = block.data[0, low:high], other.data[0, low + shift : high + shift]
    n_different = int(np.count_nonzero((a != b) & ~((a != a) & (b != b))))
    return f"disagree in {n_different} samples" if n_different else ""


class _Kept:
    """Blocks in order of start, so that those that touch another one are found without looking at all."""

    def __init__(self) -> None:
        self.blocks: list[Waveform] = []
        self._starts: list[np.datetime64] = []
        self._reach: list[np.datetime64] = []
        """How far the blocks reach up to each of them: of another rate, one may end after later ones."""

    def add(self, block: Waveform) -> None:
        at = bisect_right(self._starts, block.start)
        self.blocks.insert(at, block)
        self._starts.insert(at, block.start)
        reach = block.following
        if at and self._reach[at - 1] > reach:
            reach = self._reach[at - 1]
        self._reach.insert(at, reach)
        for later in range(at + 1, len(self._reach)):
            if self._reach[later] >= reach:
                break
            self._reach[later] = reach

    def touching(self, block: Waveform) -> list[Waveform]:
        """Return the blocks that share time with one, in order of start."""
        high = bisect_left(self._starts, block.following)
        low = high
        while low and self._reach[low - 1] > block.start:
            low -= 1
        return [other for other in self.blocks[low:high] if other.following > block.start]
