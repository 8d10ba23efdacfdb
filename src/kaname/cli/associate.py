"""Group picks into events."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kaname.cli._options import AsJson, Config, Model, Out, StationFiles
from kaname.cli._steps import finish


def command(
    picks: Annotated[Path, typer.Argument(metavar="PICKS", help="Table of picks, Parquet or CSV.")],
    stations: StationFiles,
    out: Out,
    velocity_model: Model = "",
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Group picks into events; write assigned.parquet: the picks with the event each belongs to."""
    from kaname.automation.associate import ASSIGNED, associate
    from kaname.cli._catalogue import Settings
    from kaname.cli._catalogue import velocity_model as model_of
    from kaname.core import tables
    from kaname.core.config import load_settings
    from kaname.formats.stations import read_stations

    settings = load_settings(Settings, config)
    result = associate(
        tables.read_table(picks, tables.PICKS),
        read_stations(stations).table,
        model_of(velocity_model or settings.velocity_model),
        settings=settings.associate,
    )
    finish(out, {"assigned": (result.assigned, ASSIGNED)}, result.failures, as_json=as_json)
