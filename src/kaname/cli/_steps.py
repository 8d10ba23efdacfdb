"""Options and small jobs that the verbs of single steps share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from kaname.core import tables
from kaname.core.errors import ExitCode

Out = Annotated[Path, typer.Option("--out", help="Folder for the results.")]
StationFiles = Annotated[
    list[Path], typer.Option("--stations", help="Stations, see kaname catalog --help; may be repeated.")
]
Config = Annotated[
    Path | None,
    typer.Option("--config", help="TOML file of kaname catalog; the section of this step is used."),
]
Model = Annotated[
    str, typer.Option("--velocity-model", help="CSV, NonLinLoc or SEISAN file, or iasp91 or ak135.")
]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Processes on this machine.")]
Cluster = Annotated[
    str | None, typer.Option("--cluster", metavar="tcp://...", help="Dask scheduler to work on.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]


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
