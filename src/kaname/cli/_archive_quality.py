"""The verb ``kaname archive quality``, and what ``kaname archive check`` shows of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaname.cli._archive import End, Ids, Root, Start, finish, records
from kaname.cli._options import AsJson
from kaname.core.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

FOLDER = ".quality"
"""Hidden folder of an archive for its quality; other folders are not."""
_SHOWN = 20


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
    as_json: AsJson = False,
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
    summary = {**_summary(found.quality), "pictures": [str(path) for path in drawn], "out": str(folder)}
    lines = [
        f"{len(found.quality)} channel-days, {summary['n_with_problems']} with problems; tables in {folder}",
        *(f"  {name}: {number}" for name, number in summary["problems"].items()),
        *(f"  {path}" for path in drawn),
    ]
    finish(summary, "\n".join(lines), found.failures.to_dict("records"), as_json, None)


def measured(root: Path) -> tuple[dict[str, Any], list[str]]:
    """Return the quality that was measured last: all of it for programs, and lines for people."""
    from kaname.archive.quality_tables import QUALITY
    from kaname.core.tables import read_table

    path = root / FOLDER / "quality.parquet"
    if not path.exists():
        return {"quality": None}, [f"quality: not measured; run kaname archive quality {root}"]
    frame = read_table(path, QUALITY)
    summary = _summary(frame)
    when = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    lines = [
        f"quality, measured {when:%Y-%m-%dT%H:%MZ}: {summary['n_channel_day']} channel-days, "
        f"{summary['n_with_problems']} with problems"
    ]
    wrong = frame[frame["problems"] != ""]
    for row in wrong.head(_SHOWN).itertuples():
        lines.append(f"  {row.id}  {row.day:%Y-%m-%d}  {row.available:6.1%} of the day  {row.problems}")
    if len(wrong) > _SHOWN:
        lines.append(f"  and {len(wrong) - _SHOWN} more; --json shows all")
    lines += [f"  {picture}" for picture in sorted(path.parent.glob("*.png"))]
    return {"quality": {**summary, "measured": f"{when:%Y-%m-%dT%H:%M:%SZ}", "rows": records(frame)}}, lines


def _summary(frame: pd.DataFrame) -> dict[str, Any]:
    wrong = frame[frame["problems"] != ""]
    counts = wrong["problems"].str.split(", ").explode().value_counts()
    return {
        "n_channel_day": len(frame),
        "n_with_problems": len(wrong),
        "problems": {str(name): int(number) for name, number in counts.items()},
        "available": float(frame["available"].mean()) if len(frame) else None,
    }


def _draw(quality: pd.DataFrame, noise: pd.DataFrame, folder: Path) -> list[Path]:
    from kaname.report.quality import station_figure, stations_of

    paths = []
    for station in stations_of(quality):
        path = folder / f"{station}.png"
        station_figure(quality, noise, station).savefig(path, dpi=110)
        paths.append(path)
    return paths
