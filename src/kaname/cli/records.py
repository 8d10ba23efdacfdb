"""Build and query a database of strong-motion records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from kaname.cli._options import AsJson
from kaname.cli._steps import tell_failures

app = typer.Typer(no_args_is_help=True, help="Build and query a database of strong-motion records.")

_REJECTED = """
    SELECT reason, count(*) AS n FROM ground_motions WHERE quality = 'rejected'
    GROUP BY reason ORDER BY n DESC, reason
"""


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
    db: Annotated[Path, typer.Option("--db", help="Folder of the database; made when absent.")],
    config: Annotated[Path | None, typer.Option("--config", help="TOML; see kaname config records.")] = None,
    region: Annotated[
        str, typer.Option("--region", help="Tectonic region of all inputs, such as active_shallow.")
    ] = "",
    licence: Annotated[str, typer.Option("--licence", help="Licence of all inputs.")] = "",
    vs30: Annotated[
        Path | None,
        typer.Option(
            "--vs30-map",
            help="Vs30 by place (GeoTIFF or CSV, m/s) for sites that state none.",
        ),
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes on this machine.")] = 1,
    as_json: AsJson = False,
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
    from kaname.modeling.strong_motion.database import query as ask
    from kaname.modeling.strong_motion.processing import Settings

    started = datetime.now(UTC)
    settings = load_settings(Settings, config)
    built = build_database(
        inputs,
        db,
        settings=settings,
        tectonic_region=region,
        licence=licence,
        vs30=vs30,
        workers=workers,
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
            "inputs": inputs_of([*files, *([vs30] if vs30 else [])]),
            "summary": built.counts,
        },
    )
    if as_json:
        typer.echo(json.dumps(built.counts))
    else:
        for name, n in built.counts.items():
            typer.echo(f"{name}: {n} in {db / name}.parquet")
        for row in ask(db, _REJECTED).itertuples(index=False):
            typer.echo(f"  {row.n} rejected: {row.reason}")
    tell_failures(built.failures.to_dict("records"), str(db / "failures.parquet"))
    if len(built.failures):
        raise typer.Exit(ExitCode.PARTIAL)


@app.command()
def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="DuckDB's SQL; see docs/strong-motion.md.")],
    db: Annotated[Path, typer.Option("--db", help="Folder of the database.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the answer here (.csv or .parquet) instead.")
    ] = None,
    as_json: AsJson = False,
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
        typer.echo(answer.to_string(index=False, max_rows=200) if len(answer) else "no row")


@app.command()
def show(
    path: Annotated[Path, typer.Argument(metavar="RECORD", help="File or folder of a record.")],
    out: Annotated[Path, typer.Option("--out", help="Picture to write (.png, .svg, .pdf).")],
    sensor: Annotated[
        str | None, typer.Option("--sensor", metavar="NET.STA.LOC.BI", help="Which, when there are several.")
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="TOML; see kaname config records.")] = None,
) -> None:
    """Draw how one record is processed: motion, spectra of signal and noise, response spectra."""
    import numpy as np

    from kaname.core.config import load_settings
    from kaname.core.errors import InputError, NotFoundError
    from kaname.formats.stations import read_stations
    from kaname.modeling.strong_motion.gathering import gather_records, gather_waveforms, sort_inputs
    from kaname.modeling.strong_motion.processing import Settings, process
    from kaname.report.strong_motion import processing
    from kaname.signal.response_spectra import response_spectra

    if out.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise InputError(f"--out must end in .png, .svg or .pdf, found {out}")
    found = sort_inputs([path])
    records, _ = gather_records(found.records)
    if found.waveforms:
        places = read_stations(found.stations) if found.stations else None
        records += gather_waveforms(found.waveforms, places)[0]
    if not records:
        raise NotFoundError(f"{path} holds no record of strong motion that can be read")
    chosen = [r for r in records if sensor in (None, r.sensor)]
    if len(chosen) != 1:
        names = ", ".join(sorted({r.sensor for r in records}))
        raise NotFoundError(f"{len(chosen)} records fit; name one of these with --sensor: {names}")
    (record,) = chosen
    horizontals = record.horizontals
    if horizontals is None:
        raise InputError(f"{record.sensor} has no two horizontals at a right angle")
    done = process(
        record.acceleration,
        stage=record.header.stage,
        horizontals=horizontals,
        corners_hz=(record.header.corner_low_hz, record.header.corner_high_hz),
        clipped=record.clipped,
        late_trigger=record.header.late_trigger,
        film=record.film,
        settings=load_settings(Settings, config),
    )
    period = np.geomspace(0.01, min(10.0, np.nan_to_num(done.longest_period_s, nan=10.0)), 120)
    spectra = response_spectra(done.acceleration, period, horizontals=horizontals)
    verdict = "; ".join(done.reasons) or "used"
    figure = processing(
        f"{record.sensor}, {np.datetime_as_string(record.samples.start, unit='s')} UTC: {verdict}",
        record.samples.sampling_rate,
        [i.rsplit(".", 1)[1] for i in record.samples.ids],
        {
            "acceleration": done.acceleration.data,
            "velocity": done.velocity,
            "displacement": done.displacement,
        },
        as_read=record.acceleration.data,
        onset_s=done.onset_s,
        corners_hz=(done.corner_low_hz, done.corner_high_hz),
        frequency_hz=done.frequency_hz,
        signal=done.signal,
        noise=done.noise,
        spectra={"RotD50": (period, spectra.rotd50), "RotD100": (period, spectra.rotd100)},
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=130)
    typer.echo(out)
