"""A self-contained page: escaping, numbers, tables, figures, and writing it all or not at all."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kaname.core.files import replacing
from kaname.report import style

ABSENT = "–"
"""What stands for a value that is not known."""

LONG = 24
"""Texts longer than this ask for a wide column."""

Record = Mapping[str, Any]

_TAG = re.compile("<[^>]*>")

# Control characters have no place in HTML, and a file name may hold any: shown as what they are.
_VISIBLE = {i: f"\\x{i:02x}" for i in [*range(9), 11, 12, *range(14, 32), *range(127, 160)]}


def text(value: object) -> str:
    """Return ``value`` as text that cannot be taken for markup."""
    return html.escape(str(value).translate(_VISIBLE), quote=True)


def number(value: Any, decimals: int) -> str:
    """Return a number with fixed decimals, or the sign for *not known*."""
    return f"{value:.{decimals}f}" if np.isfinite(value) else ABSENT


def plus_minus(value: Any, uncertainty: Any, decimals: int) -> str:
    """Return ``value ± uncertainty``, each only as far as it is known."""
    if not (np.isfinite(value) and np.isfinite(uncertainty)):
        return number(value, decimals)
    return f"{number(value, decimals)} ± {number(uncertainty, decimals)}"


def many(count: int, noun: str) -> str:
    """Return for example ``1 event`` or ``2 events``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def moment(time: Any, *, decimals: int = 2) -> str:
    """Return ``2010-05-27 16:24:33.21`` (UTC, rounded), or the sign for *not known*."""
    if pd.isna(time):
        return ABSENT
    stamp = pd.Timestamp(time).round(pd.Timedelta(10.0**-decimals, "s"))
    return f"{stamp:%Y-%m-%d %H:%M:%S}" + (f".{stamp.microsecond:06d}"[: decimals + 1] if decimals else "")


@dataclass(frozen=True)
class Column:
    """A column of a table in the page.

    Parameters
    ----------
    title
        Head of the column.
    meaning
        Explanation that shows when the pointer rests on the head.
    markup
        Makes the cell of a record (markup).
    key
        Number the column is sorted by, NaN where not known; without it the column is sorted as text.
    """

    title: str
    meaning: str
    markup: Callable[[Record], str]
    key: Callable[[Record], float] | None = None


def words(title: str, name: str, meaning: str) -> Column:
    """Return a column of the texts in field ``name``."""
    return Column(title, meaning, lambda record: text(record[name]))


def numbers(title: str, name: str, decimals: int, meaning: str, *, uncertainty: str = "") -> Column:
    """Return a column of the numbers in field ``name``, with ``± uncertainty`` if that field is named."""
    if uncertainty:
        return Column(
            title, meaning, lambda r: plus_minus(r[name], r[uncertainty], decimals), lambda r: r[name]
        )
    return Column(title, meaning, lambda r: number(r[name], decimals), lambda r: r[name])


def moments(title: str, name: str, meaning: str, *, decimals: int = 2) -> Column:
    """Return a column of the times in field ``name``."""

    def key(record: Record) -> float:
        time = record[name]
        return float("nan") if pd.isna(time) else pd.Timestamp(time).timestamp()

    return Column(title, meaning, lambda record: moment(record[name], decimals=decimals), key)


def table(
    name: str, caption: str, columns: Sequence[Column], records: Iterable[Record], *, sortable: bool = True
) -> Iterator[str]:
    """Yield a table piece by piece.

    Parameters
    ----------
    name
        Identifier in the page.
    caption
        What the table holds (markup).
    columns
        What to show.
    records
        One per row.
    sortable
        Whether a click on a title sorts.
    """
    yield f'<div class="scroll" tabindex="0" role="region" aria-labelledby="{name}-caption">'
    yield f'<table id="{name}"{" class=sortable" if sortable else ""}>'
    yield f'<caption id="{name}-caption">{caption}</caption>\n<thead><tr>'
    kinds = [" class=num" if column.key else "" for column in columns]
    for column, kind in zip(columns, kinds):
        title = text(column.title)
        head = f'<button type="button">{title}</button>' if sortable else title
        yield f'<th scope="col"{kind} title="{text(column.meaning)}">{head}</th>'
    yield "</tr></thead>\n<tbody>\n"
    for record in records:
        row = ["<tr>"]
        for column, kind in zip(columns, kinds):
            key = f' data-key="{_key(column.key(record))}"' if sortable and column.key else ""
            cell = column.markup(record)
            row.append(
                f"<td{kind or (' class=long' if len(_TAG.sub('', cell)) > LONG else '')}{key}>{cell}</td>"
            )
        yield "".join([*row, "</tr>\n"])
    yield "</tbody></table></div>\n"


def _key(value: float) -> str:
    return f"{value:.17g}" if np.isfinite(value) else ""


def picture(
    drawing: Figure, alternative: str, caption: str, *, lazy: bool = False, gradients: bool = False
) -> str:
    """Return a figure with its caption (markup).

    Parameters
    ----------
    drawing
        Figure.
    alternative
        What a screen reader says instead.
    caption
        Caption (markup).
    lazy
        Let the browser decode it only when it comes into sight.
    gradients
        Whether the figure has a colour scale, see `kaname.report.style.data_uri`.
    """
    width, height = (round(inch * 100) for inch in drawing.get_size_inches())
    later = ' loading="lazy" decoding="async"' if lazy else ""
    image = style.data_uri(drawing, gradients=gradients)
    return (
        f'<figure><div class="frame"><img src="{image}" alt="{text(alternative)}" width="{width}" '
        f'height="{height}"{later}></div><figcaption>{caption}</figcaption></figure>\n'
    )


def items(pairs: Iterable[tuple[str, str]], *, wide: bool = False) -> str:
    """Return a list of names and values (values are markup); ``wide`` gives each a line of its own."""
    inner = "".join(f"<div><dt>{text(name)}</dt><dd>{value}</dd></div>" for name, value in pairs)
    return f"<dl{' class=wide' if wide else ''}>{inner}</dl>\n"


def write_page(path: str | os.PathLike[str], title: str, body: Iterable[str]) -> Path:
    """Write a self-contained page piece by piece, and put it in place in one atomic rename.

    Parameters
    ----------
    path
        File to write; its folder is made when absent.
    title
        Title of the page.
    body
        Pieces of markup; taken one at a time, so that a long page never stands in memory.

    Raises
    ------
    StorageError
        When the disk refuses; the previous page, if any, is untouched.
    """
    target = Path(path)
    data = files("kaname.report") / "data"
    sheet, script = (
        data.joinpath(name).read_text(encoding="utf-8").strip() for name in ("page.css", "page.js")
    )
    # A file name that is not UTF-8 reaches us as lone surrogates: written as \udcXX, not refused.
    with (
        replacing(target) as partial,
        partial.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):
        file.write(_HEAD.format(title=text(title), policy=_POLICY, style=sheet))
        file.writelines(body)
        file.write(f"<script>\n{script}\n</script>\n</body>\n</html>\n")
    return target


# Holds the page to what it carries: nothing is ever fetched, even if something slipped through.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
"""
