"""How the verbs of single steps end: tables written, counts and failures told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from kaname.core.errors import ExitCode

if TYPE_CHECKING:
    import pandas as pd

    from kaname.core.tables import Schema

_SHOWN = 20


def tell_failures(rows: Sequence[dict[str, Any]], where: str) -> None:
    """Say on stderr what failed and why, of the first twenty rows, and where the others are."""
    for row in rows[:_SHOWN]:
        typer.echo(f"{row['subject']}: {row['error']}: {row['message']}", err=True)
    if len(rows) > _SHOWN:
        typer.echo(f"and {len(rows) - _SHOWN} more failures; {where} shows all", err=True)


def finish(
    out: Path,
    written: dict[str, tuple[pd.DataFrame, Schema]],
    failures: pd.DataFrame,
    *,
    as_json: bool,
) -> None:
    """Write tables as ``NAME.parquet``, say how many rows, and leave with 3 when there are failures."""
    from kaname.core import tables

    summary: dict[str, Any] = {}
    for name, (frame, schema) in {**written, "failures": (failures, tables.FAILURES)}.items():
        tables.write_table(frame, out / f"{name}.parquet", schema)
        summary[name] = len(frame)
    typer.echo(
        json.dumps(summary)
        if as_json
        else "\n".join(f"{k}: {v} in {out / k}.parquet" for k, v in summary.items())
    )
    tell_failures(failures.to_dict("records"), str(out / "failures.parquet"))
    if len(failures):
        raise typer.Exit(ExitCode.PARTIAL)
