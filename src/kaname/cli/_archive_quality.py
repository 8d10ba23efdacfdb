"""The verb ``kaname archive quality``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kaname.cli._archive import End, Ids, Json, Root, Start, finish
from kaname.core.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

FOLDER = ".quality"
"""Hidden folder of an archive for its quality; other folders are not."""


def quality(
    root: Root,
    ids: Ids = None,
    start: Start = None,
    end: End = None,
    stations: Annotated[
        list[Path] | None, typer.Option("--stations", help="Files with responses; may be repeated.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for tables and pictures; ARCHIVE/.quality by default."),
    ] = None,
    pictures: Annotated[bool, typer.Option("--pictures/--no-pictures", help="Draw each station.")] = True,
    noise: Annotated[bool, typer.Option("--noise/--no-noise", help="Measure the noise.")] = True,
    config: Annotated[
        Path | None, typer.Option("--config", help="TOML file; kaname config archive prints one.")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes on this machine.")] = 1,
    cluster: Annotated[
        str | None, typer.Option("--cluster", metavar="tcp://...", help="Dask scheduler.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure every channel and day: gaps, spikes, clipping, dead time, clock, noise; draw each station."""
    from kaname.archive.quality import QualitySettings
    from kaname.archive.quality import quality as measure
    from kaname.archive.quality_tables import NOISE, QUALITY
    from kaname.archive.store import Archive
    from kaname.core.config import load_settings
    from kaname.core.execution import Engine
    from kaname.core.jobs import JobStore
    from kaname.core.provenance import inputs_of, software, write_json
    from kaname.core.tables import FAILURES, write_table

    if not root.is_dir():
        raise InputError(f"no such archive: {root}")
    settings = load_settings(QualitySettings, config)
    if not noise:
        settings = settings.model_copy(update={"noise": False})
    folder = root / FOLDER if out is None else out
    with Archive(root) as archive, JobStore(folder / "jobs.sqlite") as store:
        found = measure(
            archive,
            ids or "*",
            start=start,
            end=end,
            stations=stations or (),
            settings=settings,
            engine=Engine(workers, cluster, store),
        )
    tables = {"quality": (found.quality, QUALITY), "noise": (found.noise, NOISE)}
    for name, (frame, schema) in {**tables, "failures": (found.failures, FAILURES)}.items():
        write_table(frame, folder / f"{name}.parquet", schema)
    provenance = {
        "software": software(),
        "settings": settings.model_dump(),
        "archive": str(root),
        "ids": ids or ["*"],
        "start": start,
        "end": end,
        "stations": inputs_of(stations or ()),
    }
    write_json(folder / "run.json", provenance)
    drawn = _draw(found.quality, found.noise, folder) if pictures else []
    wrong = found.quality[found.quality["problems"] != ""]
    counts = wrong["problems"].str.split(", ").explode().value_counts()
    summary = {
        "n_channel_day": len(found.quality),
        "n_with_problems": len(wrong),
        "problems": {str(name): int(number) for name, number in counts.items()},
        "available": float(found.quality["available"].mean()) if len(found.quality) else None,
        "pictures": [str(path) for path in drawn],
        "out": str(folder),
    }
    lines = [f"{len(found.quality)} channel-days, {len(wrong)} with problems; tables in {folder}"]
    lines += [f"  {name}: {number}" for name, number in counts.items()]
    lines += [f"  {path}" for path in drawn]
    finish(summary, "\n".join(lines), found.failures.to_dict("records"), as_json, None)


def _draw(quality: pd.DataFrame, noise: pd.DataFrame, folder: Path) -> list[Path]:
    from kaname.report.quality import station_figure, stations_of

    paths = []
    for station in stations_of(quality):
        path = folder / f"{station}.png"
        station_figure(quality, noise, station).savefig(path, dpi=110)
        paths.append(path)
    return paths
