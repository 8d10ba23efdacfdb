"""What the verbs of ``kaname archive`` share: arguments, and how a result and its failures are printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaname.cli._steps import tell_failures
from kaname.core.errors import ExitCode

if TYPE_CHECKING:
    import pandas as pd

Root = Annotated[Path, typer.Argument(metavar="ARCHIVE", help="Folder of the archive.")]
Ids = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[ID]...", help="NET.STA.LOC.CHA; * and ? stand for letters. All when none is given."
    ),
]
Start = Annotated[str | None, typer.Option("--start", help="First time, UTC, ISO 8601.")]
End = Annotated[str | None, typer.Option("--end", help="First time no longer wanted, UTC.")]
Failures = Annotated[
    Path | None, typer.Option("--failures", metavar="FILE", help="Write the failures table (Parquet) here.")
]


def finish(
    summary: dict[str, Any],
    text: str,
    rows: list[dict[str, Any]],
    as_json: bool,
    out: Path | None,
    *,
    nothing: bool = False,
) -> None:
    """Print a result and its failures; end with 3 when there are any, with 1 when nothing could be done."""
    if out is not None or (rows and as_json):
        from kaname.core.tables import FAILURES, table, write_table

        frame = table(rows, FAILURES)
        if out is not None:
            write_table(frame, out, FAILURES)
        rows_json = records(frame)
    else:
        rows_json = []
    if as_json:
        typer.echo(json.dumps({**summary, "failures": rows_json}, indent=2, default=str))
    else:
        typer.echo(text)
        tell_failures(rows, "--json or --failures FILE")
    if rows:
        raise typer.Exit(ExitCode.ERROR if nothing else ExitCode.PARTIAL)


def print_table(frame: pd.DataFrame, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(records(frame), indent=2))
    elif len(frame):
        typer.echo(frame.to_string(index=False, na_rep=""))
    else:
        typer.echo("nothing")


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    text: list[dict[str, Any]] = json.loads(
        frame.to_json(orient="records", date_format="iso", date_unit="ns")
    )
    return text
