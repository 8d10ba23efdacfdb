"""What the benchmarks of ``kaname bench`` share: records of a split, and writing of the results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Literal, TypeVar, get_args

import numpy as np
import pandas as pd
import typer

from kaname.core import tables
from kaname.core.errors import ExitCode, InputError, KanameError, NotFoundError
from kaname.core.time import NS_PER_S
from kaname.core.waveform import Waveform
from kaname.evaluate.noise import quiet_before
from kaname.evaluate.splits import split_by_day, split_by_event
from kaname.formats.labelled import EPOCH, LabelledRecord, LabelledSet, shifted, time_of
from kaname.learn.simulate.labelled import SimulatedSet

Split = Literal["all", "train", "validation", "test"]
SplitBy = Literal["event", "day", "name"]
Method = TypeVar("Method")


def parts(records: Sequence[LabelledRecord], by: SplitBy) -> list[str]:
    """Return the part that each record belongs to: what its set says, else as ``kaname train`` splits.

    Parameters
    ----------
    records
        All records of all sets, since records of one earthquake go together.
    by
        ``event``: two minutes and chains of such, 30 % test and 10 % validation; ``day``: whole days, as
        many; ``name``: half and half by the hash of the event's name, as the classical picker was calibrated
        (on ``train``).
    """
    if by == "name":
        digest = [int(hashlib.sha256(r.event.encode()).hexdigest()[:8], 16) for r in records]
        own: Sequence[str] = ["test" if d % 2 else "train" for d in digest]
    else:
        own = (split_by_event if by == "event" else split_by_day)([time_of(r) for r in records])
    return [_stated(r.split) or part for r, part in zip(records, own)]


def _stated(split: str) -> str:
    return "validation" if split in ("dev", "val") else split


def read_sets(
    data: Sequence[str], *, split: str, by: str, limit: int | None, clock: Sequence[str]
) -> tuple[list[LabelledRecord], list[LabelledRecord], pd.DataFrame]:
    """Read labelled sets.

    Parameters
    ----------
    data
        Folders, or ``simulated:NUMBER:SEED``, each with a name in front (``NAME=FOLDER``) or not.
    split, by
        Which events, and how they are split, see `parts`.
    limit
        At most so many records of each set.
    clock
        ``NAME=SECONDS`` by which the waveforms of a set are ahead of its labels, or ``NAME=auto``: estimated
        on the events that are not asked for (on all when all are).

    Returns
    -------
    tuple
        Records; the same as methods get them, see `at_any_time`; the failures table.

    Raises
    ------
    InputError
        When a choice is unknown, or a clock is given for a set that is not there.
    NotFoundError
        When there is not one record.
    """
    for value, choices in ((split, get_args(Split)), (by, get_args(SplitBy))):
        if value not in choices:
            raise InputError(f"unknown split {value!r}; expected one of {', '.join(choices)}")
    sets = [_set(text) for text in data]
    offsets = dict(item.partition("=")[::2] for item in clock)
    if unknown := offsets.keys() - {s.name for s in sets}:
        raise InputError(f"a clock offset for {', '.join(unknown)}, but no such set; give NAME=SECONDS")
    every = [(s, r) for s in sets for r in _records(s, limit if split == "all" else None)]
    part = parts([r for _, r in every], by) if split != "all" else ["all"] * len(every)  # type: ignore[arg-type]
    whole: list[LabelledRecord] = []
    moved: list[LabelledRecord] = []
    for given in sets:
        own = [r for (s, r), p in zip(every, part) if s is given and p == split][:limit]
        if own and (offset := offsets.get(given.name)):
            other = [r for (s, r), p in zip(every, part) if s is given and (p != split or split == "all")]
            seconds = _offset(offset, other)
            own = [shifted(r, seconds) for r in own]
        whole += own
        moved += [at_any_time(r) for r in own]
    if not whole:
        raise NotFoundError(f"no records in the split {split!r} of {', '.join(data)}")
    return whole, moved, tables.table([row for s in sets for row in s.failures], tables.FAILURES)


def at_any_time(record: LabelledRecord) -> LabelledRecord:
    """Put a record whose set gives no time at some time, by a hash of its name.

    In such sets P stands at the same sample in every record; methods with windows on the UTC clock would see
    every P at the same place of a window.
    """
    if record.wave.start != EPOCH:
        return record
    key = hashlib.sha256(record.name.encode()).digest()
    late = np.timedelta64(int.from_bytes(key[:8], "big") % (3600 * NS_PER_S), "ns")
    wave = replace(record.wave, start=record.wave.start + late)
    return shifted(replace(record, wave=wave), late / np.timedelta64(1, "s"))


def _set(text: str) -> LabelledSet | SimulatedSet:
    name, equals, what = text.rpartition("=")
    if not what.startswith("simulated:"):
        return LabelledSet(Path(what), name) if equals else LabelledSet(Path(text))
    try:
        n, seed = (int(part or 0) for part in f"{what}:".split(":")[1:3])
    except ValueError:
        raise InputError(
            f"simulated records are asked for as simulated:NUMBER:SEED, found {what!r}"
        ) from None
    return SimulatedSet(n, seed, name or "simulated")


def _records(given: LabelledSet | SimulatedSet, limit: int | None) -> Iterator[LabelledRecord]:
    return islice(given.records(), limit)


def _offset(clock: str, records: Sequence[LabelledRecord]) -> float:
    from kaname.automation.pick.clock import clock_offset

    if clock == "auto":
        return clock_offset(records)
    try:
        return float(clock)
    except ValueError:
        raise InputError(f"a clock's offset must be seconds or 'auto', found {clock!r}") from None


def find_methods(
    methods: Mapping[str, Callable[[], Method]],
    wanted: Sequence[str],
    *,
    model: Callable[[str], Method],
    what: str,
) -> tuple[dict[str, Method], pd.DataFrame]:
    """Return the methods that are here, and a row for each that is not.

    Parameters
    ----------
    methods
        Makers of all methods, by name.
    wanted
        Names; none for all.
    model
        Maker of ours with the weights of a file, which is called ``kaname:MODEL.onnx``.
    what
        What a method is, for the message.

    Raises
    ------
    InputError
        When there is no method of a name.
    """
    found, skipped = {}, []
    for name in wanted or methods:
        base, _, file = name.partition(":")
        if name not in methods and not (base == "kaname" and file):
            raise InputError(f"no {what} {name!r}; known are {', '.join(methods)}, kaname:MODEL.onnx")
        try:
            method = model(file) if file else methods[name]()
        except KanameError as error:
            skipped.append({"method": name, "reason": str(error)})
            continue
        short = f"{base}:{Path(file).stem}" if file else name
        found[name if short in found else short] = method
    return found, pd.DataFrame(skipped, columns=["method", "reason"])


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


def quiet_pieces(records: Sequence[LabelledRecord]) -> list[Waveform]:
    """Return what lies 2 s or more before the first label of each record with a P."""
    pieces = (
        quiet_before(r.wave, [t for times in r.labels.values() for t in times])
        for r in records
        if r.labels.get("P")
    )
    return [piece for piece in pieces if piece is not None]


def emit(frames: dict[str, pd.DataFrame], failures: pd.DataFrame, *, as_json: bool) -> None:
    """Print tables as JSON or as text, and leave with 3 when something failed."""
    if as_json:
        rows = {name: plain_rows(frame) for name, frame in (frames | {"failures": failures}).items()}
        typer.echo(json.dumps(rows, default=str))
    else:
        for name, frame in frames.items():
            if len(frame):
                places = dict.fromkeys(frame.select_dtypes("float").columns, 2)
                typer.echo(f"\n{name}\n{text_table(frame, places)}")
        if len(failures):
            typer.echo(f"\n{len(failures)} failures")
    if len(failures):
        raise typer.Exit(ExitCode.PARTIAL)
