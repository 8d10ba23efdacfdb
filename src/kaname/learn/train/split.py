"""Who may be trained on: records are kept apart by event, or by whole days."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Literal

import numpy as np

from kaname.formats.labelled import EPOCH, LabelledRecord

Part = Literal["train", "validation", "test"]

TEST_SHARE = 0.3
VALIDATION_SHARE = 0.1
SAME_EVENT_S = 120.0
"""Records that begin so close to one another may be of one earthquake."""


def split_by_time(times: Sequence[np.datetime64]) -> list[Part]:
    """Return the part each record belongs to; records of about the same time are never parted.

    Parameters
    ----------
    times
        Time of each record, UTC; a chain of times each less than two minutes from the next is one event.
        Which part it belongs to follows from the first of them alone.
    """
    values = np.asarray(times, "datetime64[ms]")
    order = np.argsort(values, kind="stable")
    out: list[Part] = ["train"] * len(values)
    first = values[order[:1]]
    for previous, i in zip([*order[:1], *order], order):
        if (values[i] - values[previous]) / np.timedelta64(1, "s") > SAME_EVENT_S:
            first = values[[i]]
        out[i] = part_of(str(first[0].astype("datetime64[s]")))
    return out


def split_by_day(times: Sequence[np.datetime64]) -> list[Part]:
    """Return the part each record belongs to; whole days (UTC) are held out."""
    return [part_of(str(t.astype("datetime64[D]"))) for t in times]


def part_of(key: str, *, share: float = TEST_SHARE) -> Part:
    """Return the part a key belongs to, by its SHA-256: ``share`` of them test, one in ten validation."""
    draw = int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF
    if draw < share:
        return "test"
    return "validation" if draw < share + VALIDATION_SHARE else "train"


def time_of(record: LabelledRecord) -> np.datetime64:
    """Return the time of a record: its own, or where the set gives none, that in its name."""
    if record.wave.start != EPOCH:
        return record.wave.start
    found = re.search(r"(?<!\d)(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)\d*", record.name)
    if found is None:
        return record.wave.start
    year, month, day, hour, minute, second = found.groups()
    try:
        return np.datetime64(f"{year}-{month}-{day}T{hour}:{minute}:{second}", "ns")
    except ValueError:  # Fourteen digits that are no date.
        return record.wave.start
