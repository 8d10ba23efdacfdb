"""Hazard and damage by OpenQuake, with Kaname's models in the logic tree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from kaname.cli._options import AsJson, Bounds
from kaname.cli._seismicity import RegionFile

app = typer.Typer(
    no_args_is_help=True, help="Hazard and damage by OpenQuake, with Kaname's models in the logic tree."
)

Cores = Annotated[int, typer.Option("--cores", min=1, help="Processes of OpenQuake.")]
Interpreter = Annotated[
    Path | None,
    typer.Option("--python", help="OpenQuake's interpreter; default: KANAME_OPENQUAKE_PYTHON."),
]


MAGNITUDE_BIN = 0.1
"""Width of the bins of magnitude of smoothed seismicity."""


def __getattr__(name: str) -> Any:
    """Load the configuration when it is asked for: it brings the models of ground motion with it."""
    if name == "Settings":
        from kaname.modeling.hazard.declaration import Calculation

        return Calculation
    raise AttributeError(name)


@app.command()
def classical(
    declaration: Annotated[
        Path,
        typer.Argument(metavar="DECLARATION", help="TOML: sources, models, sites (kaname config hazard)."),
    ],
    out: Annotated[
        Path, typer.Option("--out", help="Folder for tables, maps, figures, the job and run.json.")
    ],
    write_only: Annotated[
        bool, typer.Option("--write-only", help="Write the files of OpenQuake's job, and do not run it.")
    ] = False,
    cores: Cores = 1,
    python: Interpreter = None,
    as_json: AsJson = False,
) -> None:
    """Classical hazard from areas, faults and smoothed seismicity: curves, maps, spectra, disaggregation."""
    from kaname.cli import _hazard
    from kaname.core.provenance import inputs_of, software, write_json
    from kaname.modeling.hazard.classical import run as run_classical
    from kaname.modeling.hazard.classical import write_job
    from kaname.modeling.hazard.declaration import load_calculation
    from kaname.modeling.hazard.isolated import interpreter

    calculation = load_calculation(declaration)
    if not write_only:
        # Before anything is written: without OpenQuake there will be no hazard.
        interpreter(python)
    job = write_job(calculation, out / "job")
    sources = _hazard.sources(job)
    summary: dict[str, Any] = {"name": calculation.name, "sites": len(job.sites), "sources": sources}
    if not write_only:
        hazard = run_classical(job, cores=cores, python=python)
        summary["files"] = _hazard.write(out, job, hazard)
        summary["levels"] = _hazard.levels(hazard)
        summary["notes"] = _hazard.notes(hazard)
    record = {
        "verb": "hazard classical",
        "software": software(),
        "inputs": inputs_of([declaration, *_hazard.inputs(job)]),
        "settings": calculation.model_dump(mode="json"),
    }
    write_json(out / "run.json", {**record, "result": summary})
    typer.echo(json.dumps(summary) if as_json else _hazard.text(summary, out))


@app.command()
def smooth(
    catalog: Annotated[
        list[Path],
        typer.Argument(metavar="CATALOG...", help="Events less aftershocks: kaname seismicity --out."),
    ],
    start: Annotated[str, typer.Option("--start", metavar="TIME", help="Since when it is complete, UTC.")],
    end: Annotated[str, typer.Option("--end", metavar="TIME", help="Its end, UTC.")],
    magnitude_min: Annotated[float, typer.Option("--magnitude-min", help="Completeness of the catalogue.")],
    magnitude_max: Annotated[float, typer.Option("--magnitude-max", help="Greatest magnitude there can be.")],
    out: Annotated[Path, typer.Option("--out", help="Forecasts table (.parquet, .csv).")],
    region: RegionFile = None,
    bounds: Bounds = "",
    cell: Annotated[float, typer.Option("--cell", help="Width of cells [degree].")] = 0.1,
    neighbours: Annotated[
        int, typer.Option("--neighbours", min=1, help="The bandwidth is the distance to this neighbour.")
    ] = 5,
    bandwidth_min: Annotated[
        float, typer.Option("--bandwidth-min", min=0, help="Least bandwidth [km].")
    ] = 5.0,
    uniform: Annotated[
        float, typer.Option("--uniform", help="Share that is spread evenly over the region.")
    ] = 0.05,
    b: Annotated[
        float | None,
        typer.Option("--b", min=0.1, help="Slope of the magnitudes; default: of these events."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Smooth a catalogue into rates per year in cells and bins of magnitude, for kaname hazard classical."""
    import numpy as np

    from kaname.cli._seismicity import events_of, region_of
    from kaname.core.errors import InputError
    from kaname.core.forecasts import FORECASTS
    from kaname.core.provenance import inputs_of, software, write_json
    from kaname.core.tables import write_table
    from kaname.core.time import as_time
    from kaname.discovery.seismicity.contract import Target
    from kaname.discovery.seismicity.forecasting import cells, prepare
    from kaname.discovery.seismicity.smoothed import Smoothed

    if out.suffix.lower() not in (".parquet", ".csv"):
        raise InputError(f"--out must end in .parquet or .csv, found {out}")
    if not magnitude_min < magnitude_max:
        raise InputError(f"--magnitude-max {magnitude_max:g} must be above --magnitude-min {magnitude_min:g}")
    given, notes = events_of(catalog)
    prepared = prepare(given, magnitude_min=magnitude_min, region=region_of(region, bounds))
    known = Target(prepared.region, as_time(start), as_time(end), magnitude_min)
    model = Smoothed(
        neighbours=neighbours, bandwidth_min_km=bandwidth_min, uniform=uniform,
        magnitude_bin=prepared.magnitude_bin, magnitude_max=magnitude_max,
    ).fit(prepared.events, known)  # fmt: skip
    fitted_b = model.b_
    if b is not None:
        model.b_ = b
    least = magnitude_min - prepared.magnitude_bin / 2
    n = max(1, round((magnitude_max - least) / MAGNITUDE_BIN))
    edges = (least + MAGNITUDE_BIN * np.arange(n + 1)).round(6)
    one_year = np.timedelta64(round(365.25 * 86400), "s")
    year = Target(prepared.region, known.end, known.end + one_year, magnitude_min)
    table = model.expected(prepared.events, year, cells(prepared.region, cell), edges)
    write_table(table, out, FORECASTS)
    said = [*notes, *prepared.notes]
    summary = {
        "earthquakes": round(model.rate_ * known.days),
        "per_year": round(float(table["expected"].sum()), 4),
        "b": round(model.b_, 3),
        "b_of_events": round(fitted_b, 3),
        "magnitudes": [float(edges[0]), float(edges[-1])],
        "cells": len(table) // n,
        "notes": said,
        "written": str(out),
    }
    settings = {
        "start": start, "end": end, "magnitude_min": magnitude_min, "magnitude_max": magnitude_max,
        "region": region, "bounds": bounds, "cell_degree": cell, "neighbours": neighbours,
        "bandwidth_min_km": bandwidth_min, "uniform": uniform, "b": b,
    }  # fmt: skip
    record = {"verb": "hazard smooth", "software": software(), "inputs": inputs_of(catalog)}
    write_json(out.with_suffix(".run.json"), {**record, "settings": settings, "result": summary})
    if as_json:
        typer.echo(json.dumps(summary))
        return
    typer.echo(
        f"{summary['earthquakes']} earthquakes, {summary['per_year']:g} per year "
        f"of M {edges[0]:g} to {edges[-1]:g}; "
        f"b {summary['b']:g} (of these events {summary['b_of_events']:g})\n"
        f"{summary['cells']} cells of {cell:g} degrees in {out}"
    )
    for note in said:
        typer.echo(f"note: {note}")


@app.command()
def run(
    job: Annotated[
        list[Path],
        typer.Argument(metavar="JOB...", help="job.ini; a second one takes the hazard of the first."),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for the tables and run.json.")],
    model: Annotated[
        list[Path] | None,
        typer.Option("--model", help="Exported model (NAME.py) that the logic tree names; may be repeated."),
    ] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Override a parameter of the job; may be repeated."),
    ] = None,
    cores: Cores = 1,
    python: Interpreter = None,
    as_json: AsJson = False,
) -> None:
    """Run a job of OpenQuake (scenario, hazard, disaggregation, damage); write its tables as Parquet."""
    from kaname.core.errors import ExitCode
    from kaname.core.provenance import inputs_of, software, write_json
    from kaname.modeling.hazard.jobs import run_jobs

    result = run_jobs(
        *job, models=model or (), parameters=_pairs("--set", parameter), cores=cores, python=python
    )
    out.mkdir(parents=True, exist_ok=True)
    files = {}
    for name, table in result.tables.items():
        files[name] = str(out / f"{name}.parquet")
        table.to_parquet(files[name], index=False)
    summary = {
        "description": result.description,
        "calculation_mode": result.calculation_mode,
        "tables": {name: len(table) for name, table in result.tables.items()},
        "failed": result.failed,
    }
    write_json(
        out / "run.json",
        {
            "software": software(),
            "inputs": inputs_of([*job, *(model or ())]),
            "parameters": _pairs("--set", parameter),
            **summary,
        },
    )
    if as_json:
        typer.echo(json.dumps(summary))
    else:
        typer.echo(f"{result.calculation_mode}: {result.description}")
        for name, table in result.tables.items():
            typer.echo(f"  {files[name]}  {len(table)} rows")
        for name, reason in result.failed.items():
            typer.echo(f"  {name} could not be exported: {reason}", err=True)
    if result.failed:
        raise typer.Exit(ExitCode.PARTIAL)


@app.command()
def export(
    model: Annotated[
        str, typer.Argument(help="Model by name (boore_2014), or a file of kaname gmm fit (.npz).")
    ],
    name: Annotated[str, typer.Option("--name", help="Name of the class in OpenQuake.")],
    region: Annotated[
        str,
        typer.Option(
            "--region", help="active_shallow, subduction_interface, subduction_slab, stable or volcanic."
        ),
    ],
    measure: Annotated[list[str], typer.Option("--measure", help="pga, pgv, sa(PERIOD); may be repeated.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for NAME.py and NAME.npz.")],
    option: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="NAME=VALUE", help="Option of the model; may be repeated."),
    ] = None,
    fix: Annotated[
        list[str] | None,
        typer.Option(
            "--fix", metavar="COLUMN=VALUE", help="One value of a column for all scenarios; may be repeated."
        ),
    ] = None,
    axis: Annotated[
        list[str] | None,
        typer.Option("--axis", metavar="COLUMN=A,B,...", help="Nodes of a column; may be repeated."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Export a model, published or learned, as a class that OpenQuake loads."""
    from kaname.core.errors import InputError
    from kaname.modeling.ground_motion.contract import get_model
    from kaname.modeling.ground_motion.export import export_openquake
    from kaname.modeling.ground_motion.saved import load_model

    options = _pairs("--option", option)
    if model.endswith(".npz") and options:
        raise InputError("a saved model has its options in its file; leave --option out")
    made: Any = load_model(model) if model.endswith(".npz") else get_model(model, **options)
    axes = {}
    for column, text in _pairs("--axis", axis).items():
        try:
            axes[column] = [float(value) for value in str(text).split(",")]
        except ValueError as error:
            raise InputError(f"--axis {column} takes numbers and commas, found {text!r}") from error
    exported = export_openquake(
        made,
        out,
        name=name,
        tectonic_region=region,  # type: ignore[arg-type]
        measures=measure,
        axes=axes,
        fixed={column: _number(value) for column, value in _pairs("--fix", fix).items()},
    )
    if as_json:
        typer.echo(json.dumps({"module": str(exported.module), "errors": exported.errors.to_dict("records")}))
        return
    typer.echo(f"{exported.module} and its table; differences from the model between the nodes (ln units):")
    typer.echo(exported.errors.to_string(index=False, float_format="{:.4f}".format))


def _pairs(option: str, texts: list[str] | None) -> dict[str, str]:
    from kaname.core.errors import InputError

    pairs = {}
    for text in texts or []:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise InputError(f"{option} takes NAME=VALUE, found {text!r}")
        pairs[key] = value
    return pairs


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
