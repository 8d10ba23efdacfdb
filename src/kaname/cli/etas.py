"""Fit ETAS to a catalogue, simulate its futures, test it on what came later."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaname.cli._options import AsJson, Bounds
from kaname.cli._seismicity import (
    CALIFORNIA,
    Catalogue,
    Completeness,
    Large,
    RegionFile,
    completeness_of,
    events_of,
    region_of,
)

if TYPE_CHECKING:
    import pandas as pd

    from kaname.discovery.seismicity.completeness import CompletenessSteps
    from kaname.discovery.seismicity.contract import Target
    from kaname.discovery.seismicity.region import Region

app = typer.Typer(no_args_is_help=True)

Start = Annotated[str, typer.Option("--start", metavar="TIME", help="Beginning of the period, UTC.")]
End = Annotated[str, typer.Option("--end", metavar="TIME", help="End of the period, UTC.")]
History = Annotated[
    str,
    typer.Option("--history", metavar="TIME", help="Since when events trigger; default: all before."),
]
Posterior = Annotated[
    int, typer.Option("--posterior", min=0, help="Draws of the posterior in each of two rounds; 0: none.")
]
Refits = Annotated[
    int,
    typer.Option(
        "--bootstrap",
        min=0,
        help="Refits for errors that know the background was estimated, 40 say; 0: none.",
    ),
]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="Folder that kaname etas fit wrote.")]


@app.command()
def fit(
    catalog: Catalogue,
    start: Start,
    end: End,
    magnitude_min: Annotated[float, typer.Option("--magnitude-min", help="Completeness of the catalogue.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the model.")],
    region: RegionFile = None,
    bounds: Bounds = "",
    history: History = "",
    background: Annotated[str, typer.Option("--background", help="kernel or uniform.")] = "kernel",
    taper: Annotated[bool, typer.Option("--taper/--no-taper", help="End aftershocks exponentially.")] = True,
    magnitude_bin: Annotated[
        float, typer.Option("--magnitude-bin", min=0, help="Magnitudes are rounded to this; 0: they are not.")
    ] = 0.0,
    completeness: Completeness = "",
    large: Large = CALIFORNIA,
    posterior: Posterior = 0,
    bootstrap: Refits = 0,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the posterior and of the bootstrap.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Fit by maximum likelihood; write etas.json, run.json and background, posterior, bootstrap.parquet."""
    import numpy as np

    from kaname.core.errors import InputError
    from kaname.core.files import replacing
    from kaname.core.progress import progress
    from kaname.core.provenance import inputs_of, software, write_json
    from kaname.discovery.seismicity.etas import bootstrap as refits
    from kaname.discovery.seismicity.etas.model import Etas
    from kaname.discovery.seismicity.etas.parameters import LOGARITHMIC, NAMES
    from kaname.discovery.seismicity.etas.posterior import sample_posterior
    from kaname.discovery.seismicity.etas.storage import save

    where = region_of(region, bounds)
    if where is None:
        raise InputError("give the region of the targets, --region FILE or --bounds=W,S,E,N")
    events = _events(catalog, magnitude_bin)
    steps = completeness_of(completeness, large, events, magnitude_min, magnitude_bin)
    target = _target(where, start, end, magnitude_min, history, steps)
    with progress("passes over the pairs", 0) as advance:
        model = Etas(
            background=background,  # type: ignore[arg-type]
            taper=taper,
            magnitude_bin=magnitude_bin,
            progress=lambda *_: advance(1),
        ).fit(events, target)
    save(model, out)
    if bootstrap:
        with progress("refits", bootstrap) as advance:
            model.bootstrap_ = refits.bootstrap(
                model, events, target, n=bootstrap, seed=seed, progress=lambda *_: advance(1)
            )
        save(model, out)
    values = model.parameters_
    error = np.sqrt(np.diag(model.maximum_.covariance))
    summary: dict[str, Any] = {}
    for k, name in enumerate(NAMES):
        value = getattr(values, name)
        # The covariance of a scale is that of its logarithm.
        scale = value if name in LOGARITHMIC and np.isfinite(value) else 1
        summary[name] = {"value": value, "standard_error": error[k] * scale}
    if model.bootstrap_ is not None:
        summary |= model.bootstrap_.summary()
        summary["bootstrap"] = {"refits": model.bootstrap_.n, "failed": model.bootstrap_.failed}
    elif background == "kernel":
        summary["standard_errors"] = "of a known background; --bootstrap N adds that its density is estimated"
    if posterior:
        with progress("draws of the posterior", 2 * posterior) as advance:
            found = sample_posterior(
                model.training_, model.maximum_, n=posterior, seed=seed, progress=lambda *_: advance(1)
            )
        with replacing(out / "posterior.parquet") as partial:
            found.table().to_parquet(partial)
        for name in NAMES:
            summary[name]["posterior_2.5_50_97.5"] = found.quantiles(name).tolist()
        summary["posterior"] = {"tail": found.tail, "effective_size": found.effective_size}
        if not found.trusted:
            logging.getLogger("kaname").warning(
                "the posterior is not to be trusted: tail of the weights %.2f, effective size %.0f "
                "of %d; more draws may help",
                found.tail, found.effective_size, posterior,
            )  # fmt: skip
    summary |= {
        "log_likelihood": model.maximum_.log_likelihood,
        "converged": model.maximum_.converged,
        "n_target": len(model.training_.target),
        "b": model.b_,
    }
    settings = {
        "start": start, "end": end, "history": history, "magnitude_min": magnitude_min, "bounds": bounds,
        "region": region, "background": background, "taper": taper, "magnitude_bin": magnitude_bin,
        "completeness": completeness, "large": large, "posterior": posterior, "bootstrap": bootstrap,
        "seed": seed,
    }  # fmt: skip
    write_json(out / "run.json", {"settings": settings, "inputs": inputs_of(catalog), "software": software()})
    _say(summary, as_json)


@app.command()
def simulate(
    model: Model,
    catalog: Catalogue,
    start: Start,
    end: End,
    out: Annotated[Path, typer.Option("--out", help="File of the simulated events (Parquet).")],
    n: Annotated[int, typer.Option("--n", min=1, help="Number of catalogues.")] = 10_000,
    magnitude_max: Annotated[float, typer.Option("--magnitude-max", help="Greatest magnitude.")] = 8.5,
    completeness: Completeness = "",
    large: Large = CALIFORNIA,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same catalogues.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Simulate what may follow the earthquakes before START."""
    import numpy as np

    from kaname.core.forecasts import SIMULATIONS
    from kaname.core.tables import write_table
    from kaname.discovery.seismicity.etas.storage import load

    known = load(model)
    known.magnitude_max = magnitude_max
    events = _events(catalog, known.magnitude_bin)
    steps = completeness_of(completeness, large, events, known.reference_, known.magnitude_bin)
    target = _target(known.background_.region, start, end, known.reference_, "", steps)
    made = known.simulate(events, target, n=n, seed=seed)
    write_table(made, out, SIMULATIONS)
    count = np.bincount(made["simulation"], minlength=n)
    low, middle, high = (float(v) for v in np.quantile(count, [0.025, 0.5, 0.975]))
    summary = {
        "simulations": n,
        "earthquakes_mean": float(count.mean()),
        "earthquakes_2.5_50_97.5": [low, middle, high],
        "written": str(out),
    }
    _say(summary, as_json)


@app.command()
def forecast(
    model: Model,
    catalog: Catalogue,
    out: Annotated[Path, typer.Option("--out", help="Folder for report, tables, maps and run.json.")],
    days: Annotated[float, typer.Option("--days", help="Length of the forecast [day].")] = 7.0,
    start: Annotated[
        str,
        typer.Option("--start", metavar="TIME", help="Its beginning, UTC; default: end of the catalogue."),
    ] = "",
    completeness: Completeness = "",
    large: Large = CALIFORNIA,
    n: Annotated[int, typer.Option("--n", min=100, help="Simulated futures.")] = 10_000,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same forecast.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Forecast with a fitted model: `kaname forecast --fitted MODEL`, which has more options."""
    from kaname.cli.forecast import make

    make(
        catalog, out, days=days, start=start, fitted=model, completeness=completeness, large=large, n=n,
        seed=seed, as_json=as_json,
    )  # fmt: skip


@app.command()
def test(
    model: Model,
    catalog: Catalogue,
    start: Start,
    end: End,
    history: History = "",
    completeness: Completeness = "",
    large: Large = CALIFORNIA,
    ledger: Annotated[
        Path | None, typer.Option("--ledger", help="CSV to which the score is appended; see docs/etas.md.")
    ] = None,
    data: Annotated[str, typer.Option("--data", help="Name of the catalogue in the ledger.")] = "",
    residuals: Annotated[
        str, typer.Option("--residuals", help="all: in time and space; time; or none.")
    ] = "all",
    points: Annotated[
        float,
        typer.Option("--points", min=0, help="Points of the thinned residuals; 0: as many as expected."),
    ] = 0.0,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for tables and figures of the residuals.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the thinned residuals.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Score a fitted model on a period that it has not seen, and look at its residuals."""
    from dataclasses import asdict

    from kaname.cli._etas_residuals import in_space, in_time, said_of
    from kaname.core.errors import InputError
    from kaname.core.provenance import inputs_of, software, write_json
    from kaname.discovery.seismicity import ledger as book
    from kaname.discovery.seismicity.etas.storage import load

    if residuals not in ("all", "time", "none"):
        raise InputError(f"--residuals is all, time or none, found {residuals!r}")

    known = load(model)
    events = _events(catalog, known.magnitude_bin)
    steps = completeness_of(completeness, large, events, known.reference_, known.magnitude_bin)
    target = _target(known.background_.region, start, end, known.reference_, history, steps)
    score = known.score(events, target)
    if ledger is not None:
        name = f"etas, {model.name}"
        book.append(ledger, data=data or catalog[0].name, model=name, target=target, score=score)
    summary: dict[str, Any] = asdict(score)
    if residuals != "none":
        summary |= in_time(known, events, target, out)
    if residuals == "all":
        summary |= in_space(known, events, target, out, points=points or None, seed=seed)
    if out is not None:
        settings = {
            "model": model, "start": start, "end": end, "history": history, "completeness": completeness,
            "large": large, "residuals": residuals, "points": points, "seed": seed,
        }  # fmt: skip
        about = {"settings": settings, "inputs": inputs_of(catalog), "software": software()}
        write_json(out / "run.json", {**about, "found": summary})
    places = [] if as_json else summary.pop("places", [])
    _say(summary, as_json)
    for place in places:
        typer.echo(said_of(place))


def _say(summary: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(summary))
        return
    for name, value in summary.items():
        if isinstance(value, dict):
            parts = ", ".join(f"{k.replace('_', ' ')} {_short(v)}" for k, v in value.items())
            typer.echo(f"{name}: {parts}")
        else:
            typer.echo(f"{name.replace('_', ' ')}: {_short(value)}")


def _short(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_short, value)) + "]"
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _events(paths: list[Path], magnitude_bin: float) -> pd.DataFrame:
    """Read events, their magnitudes rounded to bins (half upwards)."""
    from kaname.discovery.seismicity.gutenberg_richter import rounded

    events, notes = events_of(paths)
    for note in notes:
        logging.getLogger("kaname").warning("%s", note)
    if magnitude_bin:
        events = events.assign(magnitude=rounded(events["magnitude"], magnitude_bin))
    return events


def _target(
    region: Region,
    start: str,
    end: str,
    magnitude_min: float,
    history: str,
    completeness: CompletenessSteps | None,
) -> Target:
    from kaname.core.time import as_time
    from kaname.discovery.seismicity.contract import Target

    since = as_time(history) if history else None
    return Target(region, as_time(start), as_time(end), magnitude_min, since, completeness)
