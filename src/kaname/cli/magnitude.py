"""Measure the magnitudes of located events."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kaname.cli._options import AsJson, Cluster, Config, Out, StationFiles, Workers
from kaname.cli._steps import finish


def command(
    data: Annotated[
        list[str], typer.Argument(metavar="DATA...", help="Files, directories, globs or archives.")
    ],
    events: Annotated[Path, typer.Option("--events", help="Table of located events, Parquet or CSV.")],
    arrivals: Annotated[Path, typer.Option("--arrivals", help="Table of their arrivals, Parquet or CSV.")],
    stations: StationFiles,
    out: Out,
    config: Config = None,
    workers: Workers = 1,
    cluster: Cluster = None,
    as_json: AsJson = False,
) -> None:
    """Measure magnitudes; write events.parquet, arrivals.parquet and station_terms.parquet."""
    from kaname.archive.records import Records
    from kaname.automation.catalogue import Located, size_events
    from kaname.automation.magnitude import STATION_TERMS
    from kaname.automation.survey import station_days
    from kaname.cli._catalogue import Settings
    from kaname.core import tables
    from kaname.core.config import load_settings
    from kaname.core.execution import Engine
    from kaname.formats.stations import read_stations

    settings = load_settings(Settings, config)
    records, unread = Records.survey(data, workers=workers, cluster=cluster)
    located = Located(
        tables.read_table(events, tables.EVENTS),
        tables.read_table(arrivals, tables.ARRIVALS),
        tables.empty(tables.EVENTS),
        [],
    )
    days, _ = station_days(records.spans)
    sized = size_events(records, days, read_stations(stations), located, settings, Engine(workers, cluster))
    finish(
        out,
        {
            "events": (sized.events, tables.EVENTS),
            "arrivals": (sized.arrivals, tables.ARRIVALS),
            "station_terms": (sized.terms, STATION_TERMS),
        },
        tables.concat([unread, *sized.failures], tables.FAILURES),
        as_json=as_json,
    )
