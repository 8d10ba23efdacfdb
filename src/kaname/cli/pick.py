"""Pick P and S onsets in continuous records."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kaname.cli._options import AsJson, Cluster, Config, Out, Workers
from kaname.cli._steps import finish, tell_failures


def command(
    data: Annotated[
        list[str], typer.Argument(metavar="DATA...", help="Files, directories, globs or archives.")
    ],
    out: Out,
    start: Annotated[str | None, typer.Option("--start", help="First time, UTC, ISO 8601.")] = None,
    end: Annotated[str | None, typer.Option("--end", help="First time no longer wanted, UTC.")] = None,
    picker: Annotated[
        str | None,
        typer.Option(
            "--picker", help="kaname, kaname:MODEL.onnx, classical, pickerxl, seisbench:MODEL/WEIGHTS."
        ),
    ] = None,
    config: Config = None,
    workers: Workers = 1,
    cluster: Cluster = None,
    as_json: AsJson = False,
) -> None:
    """Pick P and S onsets; write picks.parquet, health.parquet and failures.parquet."""
    from kaname.archive.records import Records
    from kaname.automation.catalogue import pick
    from kaname.automation.pick.stationday import HEALTH
    from kaname.automation.survey import station_days
    from kaname.cli._catalogue import WORK, Settings
    from kaname.core import tables
    from kaname.core.config import load_settings
    from kaname.core.errors import NotFoundError
    from kaname.core.execution import Engine
    from kaname.core.jobs import JobStore
    from kaname.core.time import as_time

    settings = load_settings(Settings, config)
    if picker:
        settings = settings.model_copy(update={"picker": picker})
    with JobStore(Path(out) / WORK / "jobs.sqlite") as store:
        records, unread = Records.survey(data, workers=workers, cluster=cluster, store=store)
        days, _ = station_days(
            records.spans,
            start=None if start is None else as_time(start),
            end=None if end is None else as_time(end),
        )
        if not days:
            tables.write_table(unread, out / "failures.parquet", tables.FAILURES)
            tell_failures(unread.to_dict("records"), str(out / "failures.parquet"))
            raise NotFoundError("no usable records" + (" in the time wanted" if start or end else ""))
        picks, health, failures = pick(records, days, settings, Engine(workers, cluster, store))
    every = tables.concat([unread, *failures], tables.FAILURES)
    finish(out, {"picks": (picks, tables.PICKS), "health": (health, HEALTH)}, every, as_json=as_json)
