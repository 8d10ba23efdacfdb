"""How the verbs of single steps end: tables written, counts told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import typer

from kaname.core import tables
from kaname.core.errors import ExitCode


def finish(
    out: Path,
    written: dict[str, tuple[pd.DataFrame, tables.Schema]],
    failures: pd.DataFrame,
    *,
    as_json: bool,
) -> None:
    """Write tables as ``NAME.parquet``, say how many rows, and leave with 3 when there are failures."""
    summary: dict[str, Any] = {}
    for name, (frame, schema) in {**written, "failures": (failures, tables.FAILURES)}.items():
        tables.write_table(frame, out / f"{name}.parquet", schema)
        summary[name] = len(frame)
    typer.echo(
        json.dumps(summary)
        if as_json
        else "\n".join(f"{k}: {v} in {out / k}.parquet" for k, v in summary.items())
    )
    if len(failures):
        raise typer.Exit(ExitCode.PARTIAL)
