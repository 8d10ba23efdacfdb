"""Make training sets in SeisBench's format, and say what is in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaname.cli._options import AsJson

if TYPE_CHECKING:
    from kaname.formats.eventset import EventSet

app = typer.Typer(
    no_args_is_help=True, help="Make training sets in SeisBench's format, and say what is in them."
)

Set = Annotated[Path, typer.Argument(metavar="DATASET", help="Folder with metadata.csv and waveforms.hdf5.")]


def __getattr__(name: str) -> Any:
    """Load the configuration when it is asked for: it brings pandas with it."""
    if name == "Settings":
        from kaname.archive.dataset import DatasetSettings

        return DatasetSettings
    raise AttributeError(name)


@app.command()
def build(
    data: Annotated[
        list[str], typer.Argument(metavar="DATA...", help="Archives, files, directories or globs.")
    ],
    events: Annotated[
        list[Path],
        typer.Option(
            "--events",
            help="Catalogue with onsets: a file, or the folder of a run of kaname catalog; may be repeated.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for the set.")],
    stations: Annotated[
        list[Path] | None,
        typer.Option("--stations", help="Stations, any format that is read; may be repeated."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="TOML file; see kaname config dataset.")
    ] = None,
    split: Annotated[str | None, typer.Option("--split", help="event, station or time.")] = None,
    noise: Annotated[
        float | None, typer.Option("--noise", min=0, help="Windows of noise per window with an onset.")
    ] = None,
    licence: Annotated[
        list[str] | None,
        typer.Option(
            "--licence", metavar="[NET=]TEXT", help="Licence of a network, or of all; may be repeated."
        ),
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes on this machine.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a set that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Cut windows about every event's onsets, split them, and look for leaks between the parts.

    Writes metadata.csv, waveforms.hdf5, leaks.parquet, failures.parquet, run.json and card.md with a figure.
    """
    import sys
    from datetime import UTC, datetime

    from pydantic import ValidationError

    from kaname.archive.dataset import DatasetSettings, build_dataset
    from kaname.archive.records import Records
    from kaname.archive.store import INDEX_NAME, is_archive
    from kaname.cli._steps import finish
    from kaname.core import tables
    from kaname.core.config import load_settings
    from kaname.core.errors import InputError
    from kaname.core.provenance import inputs_of, software, write_json
    from kaname.evaluate.splits import LEAKS
    from kaname.formats.stations import read_stations

    started = datetime.now(UTC)
    given = {k: v for k, v in (("split", split), ("noise", noise)) if v is not None}
    try:
        settings = DatasetSettings(**{**load_settings(DatasetSettings, config).model_dump(), **given})
    except ValidationError as error:
        raise InputError(f"--split must be event, station or time, found {split!r}") from error
    licences = _licences(licence or [])
    catalogue = _catalogue(events)
    places = read_stations(stations) if stations else None
    records, unread = Records.survey(data, workers=workers)
    made = build_dataset(records, catalogue, places, out, settings, workers=workers, overwrite=overwrite)
    files = [Path(p) for p in set(records.spans["path"])]
    given_files = [f for e in events for f in (sorted(e.glob("*.parquet")) if e.is_dir() else [e])]
    write_json(
        out / "run.json",
        {
            "command": sys.argv,
            "started": started.isoformat(timespec="seconds"),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "software": software(),
            "configuration": settings.model_dump(mode="json"),
            "licences": licences,
            "inputs": inputs_of(
                [*(f / INDEX_NAME if is_archive(f) else f for f in files), *given_files, *(stations or [])]
            ),
            "summary": {"traces": len(made.metadata)},
        },
    )
    tables.write_table(made.leaks, out / "leaks.parquet", LEAKS)
    _card(out, out.resolve().name, licences)
    read_failures = [] if places is None else places.failures
    more = tables.table([*catalogue.failures, *read_failures], tables.FAILURES)
    failures = tables.concat([unread, more, made.failures], tables.FAILURES)
    if not as_json:
        from kaname.archive.dataset_card import counts

        typer.echo(counts(made.metadata).to_string(index=False))
        typer.echo("\nshared between parts")
        typer.echo(made.leaks.to_string(index=False))
    finish(out, {"leaks": (made.leaks, LEAKS)}, failures, as_json=as_json)


@app.command()
def card(
    dataset: Set,
    licence: Annotated[
        list[str] | None,
        typer.Option(
            "--licence", metavar="[NET=]TEXT", help="Licence of a network, or of all; may be repeated."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for card.md and its figure; the set's own by default."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write card.md: counts, splits, leaks, licences and a figure, of any set in SeisBench's format."""
    from kaname.archive.dataset_card import counts, read_metadata

    path = _card(dataset, dataset.resolve().name, _licences(licence or []), out)
    if as_json:
        typer.echo(
            json.dumps({"card": str(path), "counts": counts(read_metadata(dataset)).to_dict("records")})
        )
    else:
        typer.echo(path)


@app.command()
def cache(dataset: Set) -> None:
    """Write the memory-mapped cache that training reads (kaname.archive.dataset_cache.TraceCache)."""
    from kaname.archive.dataset_cache import build_cache

    made = build_cache(dataset)
    typer.echo(f"{len(made)} traces in {dataset / 'cache'}")


def _licences(given: list[str]) -> dict[str, str]:
    found = {}
    for text in given:
        network, equals, licence = text.partition("=")
        found[network if equals else "*"] = licence if equals else text
    return found


def _catalogue(paths: list[Path]) -> EventSet:
    """Read catalogues, and folders of runs, whose tables say more than QuakeML can."""
    from kaname.core import tables
    from kaname.core.errors import InputError
    from kaname.formats.catalogs import read_events
    from kaname.formats.eventset import EventSet

    runs = [p for p in paths if p.is_dir()]
    files = [p for p in paths if not p.is_dir()]
    if runs and files:
        raise InputError("--events takes files, or folders of runs of kaname catalog, not both")
    if files:
        return read_events(files)
    schemas = {"events": tables.EVENTS, "arrivals": tables.ARRIVALS, "picks": tables.PICKS}
    return EventSet(
        *(
            tables.concat([tables.read_table(run / f"{n}.parquet", s) for run in runs], s)
            for n, s in schemas.items()
        )
    )


def _card(dataset: Path, name: str, licences: dict[str, str], out: Path | None = None) -> Path:
    from kaname.archive.dataset_card import card as text_of
    from kaname.archive.dataset_card import read_metadata
    from kaname.core import tables
    from kaname.core.files import replacing
    from kaname.evaluate.splits import LEAKS
    from kaname.report.dataset import overview

    metadata = read_metadata(dataset)
    run = json.loads((dataset / "run.json").read_text()) if (dataset / "run.json").is_file() else {}
    known = dataset / "leaks.parquet"
    leaks = tables.read_table(known, LEAKS) if known.is_file() else None
    folder = out or dataset
    with replacing(folder / "card.png") as partial:
        overview(metadata).savefig(partial, format="png", dpi=120)
    text = text_of(
        name,
        metadata,
        licences=licences or run.get("licences", {}),
        leaks=leaks,
        run=run,
        figures={
            "card.png": "Epicentres and stations, magnitudes, distances, and where onsets stand in traces."
        },
    )
    with replacing(folder / "card.md") as partial:
        partial.write_text(text, encoding="utf-8")
    return folder / "card.md"
