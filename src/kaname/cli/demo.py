"""Find and locate the earthquakes in the real records that ObsPy carries."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kaname.cli._options import AsJson

TITLE = "Unterhaching, 27 May 2010: four stations, four minutes"
CAVEATS = (
    "Four stations within 8 km recorded less than four minutes. Depth and epicentre rest on four P times and "
    "the S times of one station with three components (UH3) and of whatever S shows on the single vertical "
    "components of the others.",
    "The coordinates of the stations are not in the records. They follow from distance and azimuth of the "
    "analyst's arrivals of the sister event, so an error of that location is shared by these.",
    "The elevations of the stations are not known to the demonstration; sea level is assumed, and depths "
    "count from there.",
)


def command(
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")] = Path("demo-out"),
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes on this machine.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Find and locate the earthquakes in the real records that ObsPy carries; no network is needed.

    Four stations at Unterhaching, Bavaria, 2010-05-27 16:24:03 to 16:27:54, set beside an analyst's location
    of a sister event half an hour later.
    """
    from kaname.cli._catalogue import ReportSettings, Request, Settings, run
    from kaname.cli._demo import inputs, settings_of_four_stations
    from kaname.cli.catalog import show

    data, stations, sister, model = inputs(out)
    settings = Settings(
        **settings_of_four_stations(), report=ReportSettings(title=TITLE), velocity_model=str(model)
    )
    outcome = run(
        Request(
            data=data,
            stations=[stations],
            out=out,
            settings=settings,
            workers=workers,
            references=sister,
            scored=False,
            caveats=CAVEATS,
        )
    )
    show(outcome, out, as_json=as_json)
    if outcome.exit_code:
        raise typer.Exit(outcome.exit_code)
