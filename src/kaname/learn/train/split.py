"""Who may be trained on: records are kept apart by event, and for New Zealand by whole days."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

import numpy as np

Part = Literal["train", "test"]

TEST_SHARE = 0.3
SAME_EVENT_S = 120.0
"""Records that begin so close to one another may be of one earthquake."""


def split_by_time(times: Sequence[np.datetime64], *, share: float = TEST_SHARE) -> list[Part]:
    """Return the part each record belongs to; records of about the same time are never parted.

    Parameters
    ----------
    times
        Time of each record, UTC; a chain of times each less than two minutes from the next is one event.
    share
        Share of the events held out. Which they are follows from their time alone.
    """
    order = np.argsort(np.asarray(times, "datetime64[ms]"))
    sorted_times = np.asarray(times, "datetime64[ms]")[order]
    gap = np.diff(sorted_times) / np.timedelta64(1, "s") > SAME_EVENT_S
    group = np.concatenate([[0], np.cumsum(gap)])
    out: list[Part] = ["train"] * len(order)
    first = {int(g): sorted_times[np.flatnonzero(group == g)[0]] for g in np.unique(group)}
    for position, g in zip(order, group):
        out[int(position)] = part_of(str(first[int(g)].astype("datetime64[s]")), share=share)
    return out


def split_by_day(times: Sequence[np.datetime64], *, share: float = TEST_SHARE) -> list[Part]:
    """Return the part each record belongs to; whole days (UTC) are held out."""
    return [part_of(str(np.datetime64(t, "D")), share=share) for t in times]


def part_of(key: str, *, share: float = TEST_SHARE) -> Part:
    """Return the part that a key belongs to, by its SHA-256."""
    draw = int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF
    return "test" if draw < share else "train"
