"""Text of lines and columns read into a table: what every reader of such series shares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd

from kaname.core.errors import FormatError, NotFoundError
from kaname.core.tables import Schema, table
from kaname.formats.contract import unpacked

ENCODINGS = ("utf-8", "euc_jp")


@dataclass
class TableRead:
    """A table and what could not be read (rows of `kaname.core.tables.FAILURES`)."""

    table: pd.DataFrame
    failures: list[dict[str, Any]] = field(default_factory=list)


def text_of(path: str | PathLike[str]) -> tuple[str, str]:
    """Return the text of a file, packed with gzip, bzip2 or xz or not, and what of it was damaged.

    UTF-8 and EUC-JP are told apart; bytes that are neither are kept as escapes.

    Raises
    ------
    NotFoundError
        When there is no such file.
    FormatError
        When it is empty or cannot be read.
    """
    source = Path(path)
    if not source.is_file():
        raise NotFoundError(f"no such file: {source}")
    try:
        with unpacked(source) as (plain, damage):
            data = plain.read_bytes()
    except OSError as error:
        raise FormatError(f"cannot read {source}: {error.strerror or error}") from error
    if not data.strip():
        raise FormatError(f"{source} is empty")
    for encoding in ENCODINGS:
        try:
            return data.decode(encoding), damage
        except UnicodeDecodeError:
            continue
    return data.decode("utf-8", errors="backslashreplace"), damage


def numbered(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that hold something, with their numbers from 1."""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield number, line


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
    failures = []
    for number, line in lines:
        try:
            made = parse(line)
        except (ValueError, IndexError, OverflowError) as error:
            failures.append(
                {
                    "step": "read",
                    "subject": str(path),
                    "error": "FormatError",
                    "message": f"line {number} is no line of {what}: {error}; found {line.strip()[:80]!r}",
                }
            )
            continue
        rows += made if isinstance(made, list) else [made]
    if damage:
        failures.append({"step": "read", "subject": str(path), "error": "FormatError", "message": damage})
    if not rows:
        reason = failures[0]["message"] if failures else "it has no line of data"
        raise FormatError(f"nothing in {path} can be read as {what}: {reason}")
    return TableRead(table(rows, schema), failures)
