"""Text of lines and columns read into a table: what every reader of such series shares."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kaname.core.errors import FormatError, NotFoundError
from kaname.core.tables import Schema, validate
from kaname.core.time import as_time
from kaname.formats.bundles import members

ENCODINGS = ("utf-8", "euc_jp")
# NumPy would take 20090101 for a year and wrap far years around in silence.
_PLAIN_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?)?")


@dataclass
class TableRead:
    """A table and what could not be read (rows of `kaname.core.tables.FAILURES`)."""

    table: pd.DataFrame
    failures: list[dict[str, Any]] = field(default_factory=list)


def text_of(path: str | PathLike[str]) -> tuple[str, str]:
    """Return the text of a file, packed with gzip, bzip2 or xz or not, and what of it was damaged.

    Raises
    ------
    NotFoundError
        When there is no such file.
    FormatError
        When it is empty, a bundle of several files, larger than `kaname.formats.bundles.MEMBER_BYTES`, or
        cannot be read.
    """
    source = Path(path)
    if not source.is_file():
        raise NotFoundError(f"no such file: {source}")
    try:
        found = list(islice(members(source), 2))
    except OSError as error:
        raise FormatError(f"cannot read {source}: {error.strerror or error}") from error
    if len(found) > 1:
        raise FormatError(f"{source} is a bundle of files; give one of them")
    text = decoded(found[0].content) if found else ""
    if not text.strip():
        raise FormatError(f"{source} is empty{f': {found[0].damage}' if found and found[0].damage else ''}")
    return text, found[0].damage


def decoded(data: bytes) -> str:
    """Return text of one of `ENCODINGS`; bytes of none are kept as escapes."""
    for encoding in ENCODINGS:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("utf-8", errors="backslashreplace")


def numbered(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that hold something, with their numbers from 1."""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield number, line


def fields(line: str, delimiter: str = ",") -> list[str]:
    """Return the fields of a line of CSV; raises ValueError for one that is none."""
    try:
        return next(csv.reader([line], delimiter=delimiter))
    except csv.Error as error:
        raise ValueError(str(error)) from error


def number(text: str) -> float:
    """Return a number, NaN where the text says so; raises ValueError for anything else, infinity included."""
    value = float(text)
    if math.isinf(value) or "_" in text:
        raise ValueError(f"{text.strip()!r} is no number")
    return value


def time_of(text: str) -> np.datetime64:
    """Return the time of ISO 8601 text with an hour or without, UTC; raises ValueError for anything else."""
    if _PLAIN_TIME.fullmatch(text) and "1678" <= text[:4] < "2262":
        return np.datetime64(text, "ns")
    return as_time(text)


def read_rows(
    path: str | PathLike[str],
    lines: Iterable[tuple[int, str]],
    parse: Callable[[str], dict[str, Any] | list[dict[str, Any]]],
    schema: Schema,
    *,
    what: str,
    damage: str = "",
) -> TableRead:
    """Parse line by line into a table; a line that cannot be parsed becomes a failure and the rest is kept.

    A value beyond the bounds of the schema is a failure too: a required one, or its absence, costs its row,
    another one is unknown.

    Parameters
    ----------
    path
        Named in the failures.
    lines
        Numbers and lines.
    parse
        From a line to one row or several; raises ValueError or IndexError for a damaged one.
    schema
        Of the table.
    what
        The format, for messages.
    damage
        Of the packed file, if any: one more failure.

    Raises
    ------
    FormatError
        When no line can be read.
    """
    rows: list[dict[str, Any]] = []
    numbers: list[int] = []
    failures: list[dict[str, Any]] = []

    def fail(message: str) -> None:
        failures.append({"step": "read", "subject": str(path), "error": "FormatError", "message": message})

    for place, line in lines:
        try:
            made = parse(line)
        except (ValueError, IndexError, OverflowError) as error:
            fail(f"line {place} is no line of {what}: {error}; found {line.strip()[:80]!r}")
            continue
        made = made if isinstance(made, list) else [made]
        rows += made
        numbers += [place] * len(made)
    if damage:
        fail(damage)
    frame = pd.DataFrame(rows)
    keep = np.ones(len(frame), bool)
    for column in (c for c in schema.columns if c.name in frame):
        if column.required:
            absent = (frame[column.name].isna() | (frame[column.name] == "")).to_numpy()
            keep &= ~absent
            for k in np.flatnonzero(absent):
                fail(f"line {numbers[k]} states no {column.name}")
        if column.low is None and column.high is None:
            continue
        low = -np.inf if column.low is None else column.low
        high = np.inf if column.high is None else column.high
        values = frame[column.name]
        wrong = (values.notna() & ~values.between(low, high)).to_numpy()
        for k in np.flatnonzero(wrong):
            expected = f"{low:g} to {high:g} {column.unit}".rstrip()
            fail(f"line {numbers[k]}: {column.name} is {values.iloc[k]:g}, expected {expected}")
        if column.required:
            keep &= ~wrong
        else:
            frame.loc[wrong, column.name] = column.missing
    if not keep.any():
        reason = failures[0]["message"] if failures else "it has no line of data"
        raise FormatError(f"nothing in {path} can be read as {what}: {reason}")
    return TableRead(validate(frame[keep], schema), failures)
