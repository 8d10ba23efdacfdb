"""What the benchmarks of ``kaname bench`` share: records of a split, and writing of the results."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd

from kaname.core import tables
from kaname.core.errors import InputError, NotFoundError
from kaname.formats.labelled import LabelledRecord, LabelledSet, random_window, shifted

Split = Literal["all", "train", "test"]


def split_of(event: str, stated: str) -> Split:
    """Return the split of an event: what the set says, else half by the SHA-256 of the event."""
    if stated:
        return "train" if stated == "train" else "test"
    return "test" if int(hashlib.sha256(event.encode()).hexdigest()[:8], 16) % 2 else "train"


def read_sets(
    data: Sequence[str], *, split: str, limit: int | None, clock: Sequence[str]
) -> tuple[list[LabelledRecord], list[LabelledRecord], pd.DataFrame]:
    """Read labelled sets.

    Parameters
    ----------
    data
        Folders, each with a name in front (``NAME=FOLDER``) or not.
    split
        Which events.
    limit
        At most so many records of each set.
    clock
        ``NAME=SECONDS`` by which the waveforms of a set are ahead of its labels, or ``NAME=auto``: estimated
        on the events that are not asked for (on all when all are).

    Returns
    -------
    tuple
        Whole records; the same as methods get them, cut to random windows where P would stand at the same
        sample in all; the failures table.

    Raises
    ------
    NotFoundError
        When there is not one record.
    """
    if split not in get_args(Split):
        raise InputError(f"unknown split {split!r}; expected one of {', '.join(get_args(Split))}")
    whole: list[LabelledRecord] = []
    cut: list[LabelledRecord] = []
    failures: list[dict[str, object]] = []
    offsets = dict(item.partition("=")[::2] for item in clock)
    for text in data:
        name, equals, folder = text.partition("=")
        given = LabelledSet(Path(folder), name) if equals else LabelledSet(Path(text))
        own = []
        for record in given.records(keep=lambda e, s: split == "all" or split_of(e, s) == split):
            own.append(record)
            if limit is not None and len(own) >= limit:
                break
        if (offset := offsets.pop(given.name, "")) and own:
            seconds = _offset(given, split, offset)
            own = [shifted(r, seconds) for r in own]
        whole += own
        # P is always at sample 3000 in the sets of this layout: a method could learn that.
        cut += [random_window(r) for r in own] if given.layout == "npz" else own
        failures += given.failures
    if offsets:
        raise InputError(f"a clock offset for {', '.join(offsets)}, but no such set; give NAME=SECONDS")
    if not whole:
        raise NotFoundError(f"no records in the split {split!r} of {', '.join(data)}")
    return whole, cut, tables.table(failures, tables.FAILURES)


def _offset(given: LabelledSet, split: str, clock: str) -> float:
    from kaname.automation.pick.clock import clock_offset

    if clock != "auto":
        try:
            return float(clock)
        except ValueError:
            raise InputError(f"a clock's offset must be seconds or 'auto', found {clock!r}") from None
    other = LabelledSet(given.root, given.name)
    return clock_offset(list(other.records(keep=lambda e, s: split == "all" or split_of(e, s) != split)))


def write(out: Path, written: dict[str, tuple[pd.DataFrame, tables.Schema]]) -> None:
    """Write each table as Parquet and as CSV."""
    for name, (frame, schema) in written.items():
        tables.write_table(frame, out / f"{name}.parquet", schema)
        frame.to_csv(out / f"{name}.csv", index=False)


def plain_rows(frame: pd.DataFrame) -> list[dict[str, object]]:
    """Return a table as rows that JSON can hold; what is not known is null."""
    rows: list[dict[str, object]] = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return rows


def text_table(frame: pd.DataFrame, decimals: dict[str, int]) -> str:
    """Return a table as text; what is not known is a dash."""
    shown = frame.copy()
    for column, places in decimals.items():
        shown[column] = [f"{v:.{places}f}" if np.isfinite(v) else "-" for v in frame[column]]
    return str(shown.to_string(index=False))
