"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
