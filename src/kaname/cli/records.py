"""Build and query a database of strong-motion records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(no_args_is_help=True, help="Build and query a database of strong-motion records.")

Folder = Annotated[Path, typer.Option("--db", help="Folder of the database; made when absent.")]


def __getattr__(name: str) -> Any:
    """Load the configuration when it is asked for: it brings numpy with it."""
    if name == "Settings":
        from kaname.modeling.strong_motion.processing import Settings

        return Settings
    raise AttributeError(name)


@app.command()
def build(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT...",
            help="Files and folders: records, waveforms with StationXML, flatfiles, event.json, .fsp.",
        ),
    ],
    db: Folder,
    config: Annotated[Path | None, typer.Option("--config", help="TOML; see kaname config records.")] = None,
    region: Annotated[
        str, typer.Option("--region", help="Tectonic region of all inputs, such as active_shallow.")
    ] = "",
    licence: Annotated[str, typer.Option("--licence", help="Licence of all inputs.")] = "",
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes on this machine.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Read, process and measure every record and write or extend the database.

    Records that cannot be used stay in it with the reason; files that cannot be read are in failures.parquet.
    """
    import sys
    from datetime import UTC, datetime

    from kaname.core.config import load_settings
    from kaname.core.errors import ExitCode
    from kaname.core.provenance import inputs_of, software, write_json
    from kaname.modeling.strong_motion.database import build_database
    from kaname.modeling.strong_motion.processing import Settings

    started = datetime.now(UTC)
    settings = load_settings(Settings, config)
    built = build_database(
        inputs, db, settings=settings, tectonic_region=region, licence=licence, workers=workers
    )
    files = [p for i in inputs for p in ([i] if i.is_file() else sorted(i.rglob("*"))) if p.is_file()]
    write_json(
        db / "run.json",
        {
            "command": sys.argv,
            "started": started.isoformat(timespec="seconds"),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "software": software(),
            "configuration": settings.model_dump(mode="json"),
            "inputs": inputs_of(files),
            "summary": built.counts,
        },
    )
    typer.echo(
        json.dumps(built.counts)
        if as_json
        else "\n".join(f"{name}: {n} in {db / name}.parquet" for name, n in built.counts.items())
    )
    if len(built.failures):
        raise typer.Exit(ExitCode.PARTIAL)


@app.command()
def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="DuckDB's SQL; see docs/strong-motion.md.")],
    db: Folder,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the answer here (.csv or .parquet) instead.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Ask the database: ground_motions, record_measures, fourier, components, events, failures."""
    from kaname.core.errors import InputError
    from kaname.core.files import replacing
    from kaname.modeling.strong_motion.database import query as ask

    answer = ask(db, sql)
    if out is not None:
        if out.suffix.lower() not in (".csv", ".parquet"):
            raise InputError(f"--out must end in .csv or .parquet, found {out}")
        with replacing(out) as partial:
            if out.suffix.lower() == ".csv":
                answer.to_csv(partial, index=False)
            else:
                answer.to_parquet(partial, index=False)
        typer.echo(f"{len(answer)} rows in {out}")
    elif as_json:
        typer.echo(answer.to_json(orient="records", date_format="iso"))
    else:
        typer.echo(answer.to_string(index=False, max_rows=200))
