"""Locate events from their arrivals."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kaname.cli._options import AsJson, Config, Model, Out, StationFiles
from kaname.cli._steps import finish


def command(
    assigned: Annotated[
        Path,
        typer.Argument(
            metavar="ASSIGNED",
            help="Picks with event_id (Parquet or CSV), or a catalogue with arrivals (QuakeML, Nordic, ...).",
        ),
    ],
    stations: StationFiles,
    out: Out,
    velocity_model: Model = "",
    corrections: Annotated[
        int,
        typer.Option(
            "--corrections", min=0, help="Rounds of estimating station corrections and locating anew."
        ),
    ] = 0,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Locate events; write events.parquet, arrivals.parquet, catalog.xml and stations.parquet."""
    from kaname.automation.associate import ASSIGNED
    from kaname.automation.corrections import station_corrections
    from kaname.automation.locate import locate
    from kaname.cli._catalogue import Settings
    from kaname.cli._catalogue import velocity_model as model_of
    from kaname.core import tables
    from kaname.core.config import load_settings
    from kaname.formats.catalogs import EventSet, read_events, write_events
    from kaname.formats.stations import read_stations

    settings = load_settings(Settings, config)
    if assigned.suffix.lower() in (".parquet", ".csv"):
        arrivals = tables.read_table(assigned, ASSIGNED)
    else:
        known = read_events(assigned)
        arrivals = known.arrivals[["event_id", "pick_id", "phase"]].merge(
            known.picks.drop(columns="phase"), on="pick_id"
        )
    place = read_stations(stations).table
    model = model_of(velocity_model or settings.velocity_model)
    result = locate(arrivals, place, model, settings=settings.locate)
    for _ in range(corrections):
        place = station_corrections(result.arrivals, place)
        result = locate(arrivals, place, model, settings=settings.locate)
    picks = tables.validate(arrivals.drop_duplicates("pick_id")[list(tables.PICKS.names)], tables.PICKS)
    write_events(EventSet(result.events, result.arrivals, picks), out / "catalog.xml")
    finish(
        out,
        {
            "events": (result.events, tables.EVENTS),
            "arrivals": (result.arrivals, tables.ARRIVALS),
            "stations": (place, tables.STATIONS),
        },
        result.failures,
        as_json=as_json,
    )
