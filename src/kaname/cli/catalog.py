"""Make a located catalogue from continuous records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaname.cli._options import AsJson

if TYPE_CHECKING:
    from kaname.cli._catalogue import Outcome


def __getattr__(name: str) -> Any:
    """Load the configuration when it is asked for: it brings the whole of automation with it."""
    if name == "Settings":
        from kaname.cli._catalogue import Settings

        return Settings
    raise AttributeError(name)


def command(
    data: Annotated[
        list[str], typer.Argument(metavar="DATA...", help="Files, directories, globs or archives.")
    ],
    stations: Annotated[
        list[Path],
        typer.Option(
            "--stations",
            help="StationXML, FDSN station text, CSV/Parquet, SEISAN STATION0.HYP, RESP; may be repeated.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")],
    start: Annotated[str | None, typer.Option("--start", help="First time, UTC, ISO 8601.")] = None,
    end: Annotated[str | None, typer.Option("--end", help="First time no longer wanted, UTC.")] = None,
    picker: Annotated[
        str | None,
        typer.Option(
            "--picker", help="kaname, kaname:MODEL.onnx, classical, pickerxl, seisbench:MODEL/WEIGHTS."
        ),
    ] = None,
    velocity_model: Annotated[
        str,
        typer.Option("--velocity-model", help="CSV, NonLinLoc or SEISAN file, or iasp91 or ak135."),
    ] = "",
    config: Annotated[
        Path | None, typer.Option("--config", help="TOML file; see kaname config catalog.")
    ] = None,
    reference: Annotated[
        list[Path] | None,
        typer.Option(
            "--reference", help="Catalogue to compare with (QuakeML, Nordic, CSV); may be repeated."
        ),
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes on this machine.")] = 1,
    cluster: Annotated[
        str | None, typer.Option("--cluster", metavar="tcp://...", help="Dask scheduler to work on.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a located catalogue from continuous records.

    Writes catalog.xml (QuakeML), events, arrivals, picks and failures as Parquet, run.json and report.html.
    The same command again takes up where a killed run stopped and does nothing twice.
    """
    from kaname.cli._catalogue import Request, Settings, run
    from kaname.core.config import load_settings
    from kaname.core.time import as_time
    from kaname.formats.catalogs import read_events

    settings = load_settings(Settings, config)
    if picker:
        settings = settings.model_copy(update={"picker": picker})
    request = Request(
        data=data,
        stations=stations,
        out=out,
        settings=settings,
        model=velocity_model,
        start=None if start is None else as_time(start),
        end=None if end is None else as_time(end),
        workers=workers,
        cluster=cluster,
        references=read_events(_expanded(reference)) if reference else None,
    )
    outcome = run(request)
    show(outcome, out, as_json=as_json)
    if outcome.exit_code:
        raise typer.Exit(outcome.exit_code)


def _expanded(paths: list[Path]) -> list[Path]:
    """A directory stands for the files in it."""
    return [f for p in paths for f in (sorted(p.iterdir()) if p.is_dir() else [p]) if not f.is_dir()]


def show(outcome: Outcome, out: Path, *, as_json: bool) -> None:
    """Print what was made: the summary as JSON, or the events as a table."""
    import json

    if as_json:
        typer.echo(json.dumps(outcome.summary, indent=2))
        return
    typer.echo(listing(outcome))
    for row in () if outcome.references is None else outcome.references.events.head(5).itertuples():
        typer.echo(line(row) + "  by others")
    typer.echo("")
    for key, value in outcome.summary.items():
        if key != "against_reference":
            typer.echo(f"{key.replace('_', ' ')}: {value}")
    for key, value in outcome.summary.get("against_reference", {}).items():
        typer.echo(f"against the reference, {key.replace('_', ' ')}: {value}")
    typer.echo(f"report: {out / 'report.html'}")


def listing(outcome: Outcome, *, most: int = 60) -> str:
    """Return the events as lines of text."""
    lines = [
        "origin time (UTC)        latitude  longitude  depth    +-  magnitude    P  S  quality    similarity"
    ]
    lines.extend(line(row) for row in outcome.catalogue.events.head(most).itertuples())
    rest = len(outcome.catalogue.events) - most
    return "\n".join([*lines, f"... and {rest} more"] if rest > 0 else lines)


def line(event: Any) -> str:
    """Return one event as a line of text."""
    import numpy as np

    from kaname.core.time import isoformat

    place = "   (first P; not located)"
    if not np.isnan(event.latitude):
        place = f"{event.latitude:8.4f} {event.longitude:10.4f} {event.depth_km:6.1f}"
        place += "" if np.isnan(event.depth_uncertainty_km) else f" {event.depth_uncertainty_km:5.1f}"
    size = "" if np.isnan(event.magnitude) else f"{event.magnitude:.1f} {event.magnitude_type[:6]}"
    like = "" if np.isnan(event.similarity) else f"{event.similarity:.2f}"
    time = isoformat(event.time.to_datetime64(), decimals=2)
    phases = f"{event.n_p:3d} {event.n_s:2d}"
    return f"{time:25s}{place:34s}{size:>11s} {phases}  {event.quality:10s} {like:>5s}".rstrip()
