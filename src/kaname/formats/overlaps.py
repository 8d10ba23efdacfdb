"""What becomes of samples that are there twice: never a silent choice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from kaname.core.time import NS_PER_S, isoformat
from kaname.core.waveform import Waveform, join


def resolve_overlaps(blocks: Iterable[Waveform]) -> tuple[list[Waveform], list[dict[str, Any]]]:
    """Give every instant of a channel one sample: where blocks overlap, the one given first keeps its own.

    Samples that are there twice and agree are kept once. Where they disagree (or stand on clocks that cannot
    be compared) the later block is cut, and a failure with the error ``Overlap`` names the span.

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
        kept: list[Waveform] = []
        reaching: list[Waveform] = []
        starts = np.array([block.start for block in channel])
        # From here on nothing starts earlier: what has ended by then can be forgotten.
        earliest = np.minimum.accumulate(starts[::-1])[::-1]
        for block, horizon in zip(channel, earliest):
            reaching = [b for b in reaching if b.following > horizon]
            new, rows = subtract(block, reaching)
            kept += new
            reaching += new
            failures += rows
        out += join(sorted(kept, key=lambda b: b.start))
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
    parts, failures = [block], []
    for other in known:
        low, high = max(block.start, other.start), min(block.following, other.following)
        if high - low <= grace:
            continue
        n_different = _n_different(block, other)
        if n_different:
            failures.append(
                {
                    "start": low,
                    "end": high,
                    "error": "Overlap",
                    "message": f"{block.ids[0]}: two recordings of {isoformat(low)} to {isoformat(high)} "
                    f"disagree in {n_different} samples; kept the one known first",
                }
            )
        outside = [
            (part.start, other.start - grace, part) for part in parts if part.start < other.start - grace
        ]
        outside += [(other.following - grace, part.following, part) for part in parts]
        cut = (part.slice(a, b) for a, b, part in outside if a < b)
        parts = [part for part in cut if part is not None]
    return sorted(parts, key=lambda part: part.start), failures


def _n_different(block: Waveform, other: Waveform) -> int:
    """Count the samples of ``block`` within ``other`` that differ from it; all of them on another rate."""
    shift = round(other.index(block.start))
    low, high = max(0, -shift), min(block.n_sample, other.n_sample - shift)
    if abs(block.sampling_rate / other.sampling_rate - 1) > 1e-4 or block.unit != other.unit:
        return max(high - low, 1)
    a, b = block.data[0, low:high], other.data[0, low + shift : high + shift]
    return int(np.count_nonzero((a != b) & ~((a != a) & (b != b))))
