"""Fit, apply and compare models of ground motion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(no_args_is_help=True, help="Fit, apply and compare models of ground motion.")

Records = Annotated[
    Path,
    typer.Argument(
        metavar="RECORDS", help="Table of ground motions (Parquet, CSV) or a flatfile that is read."
    ),
]
Config = Annotated[Path | None, typer.Option("--config", help="TOML file; see kaname config gmm.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def __getattr__(name: str) -> Any:
    """Load the configuration when it is asked for: it brings pydantic with it."""
    if name == "Settings":
        from kaname.modeling.ground_motion.configuration import GroundMotionSettings

        return GroundMotionSettings
    raise AttributeError(name)


@app.command()
def fit(
    records: Records,
    out: Annotated[Path, typer.Option("--out", help="File of the model, ending in .npz.")],
    held_out: Annotated[
        Path | None,
        typer.Option(
            "--held-out", help="Records it will be judged by: what they share with RECORDS is an error."
        ),
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Learn a model from records and save it with what it was learned from."""
    from kaname.core.config import load_settings
    from kaname.core.provenance import inputs_of
    from kaname.modeling.ground_motion.configuration import GroundMotionSettings
    from kaname.modeling.ground_motion.contract import get_model
    from kaname.modeling.ground_motion.saved import save_model

    settings = load_settings(GroundMotionSettings, config)
    table, left_out = _records(records, settings.fill, settings.measures)
    other = None if held_out is None else _records(held_out, settings.fill, settings.measures)[0]
    model = get_model(settings.model, **settings.options(settings.model))
    model.fit(table, settings.measures, held_out=other)
    provenance = {
        "inputs": inputs_of([records]),
        "left_out": left_out,
        "settings": settings.model_dump(mode="json"),
    }
    save_model(model, out, provenance=provenance)
    facts = {
        measure: {
            name: getattr(one, name)
            for name in ("n_record", "n_event", "n_site", "tau", "phi_s2s", "phi_ss", "freedom", "shrinkage")
        }
        for measure, one in model.fitted_.items()
    }
    if as_json:
        typer.echo(json.dumps({"model": str(out), "left_out": left_out, "measures": facts}))
        return
    _say_left_out(left_out)
    for measure, one in facts.items():
        numbers = ", ".join(
            f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}" for k, v in one.items() if k != "shrinkage"
        )
        within, between = one["shrinkage"]
        typer.echo(
            f"{measure}: {numbers}; kept of the trend: {within:.2f} within, {between:.2f} between events"
        )
    typer.echo(f"model: {out}")


@app.command()
def predict(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="File of a fitted model, or the name of a published one.")
    ],
    scenarios: Annotated[
        Path, typer.Argument(metavar="SCENARIOS", help="Table or flatfile: a source and a site per row.")
    ],
    measure: Annotated[list[str], typer.Option("--measure", help="Such as pga or sa(1); may be repeated.")],
    out: Annotated[Path, typer.Option("--out", help="Parquet or CSV file.")],
    observed: Annotated[
        Path | None,
        typer.Option("--observed", help="Records of the same events, from which their terms are estimated."),
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Write median, standard deviations and quantiles of each measure at every row."""
    import numpy as np
    import pandas as pd
    from scipy.stats import norm

    from kaname.core.config import load_settings
    from kaname.core.errors import InputError
    from kaname.core.files import replacing
    from kaname.core.shaking import unit_of
    from kaname.modeling.ground_motion.configuration import GroundMotionSettings
    from kaname.modeling.ground_motion.contract import get_model
    from kaname.modeling.ground_motion.learned import LearnedModel
    from kaname.modeling.ground_motion.saved import load_model

    if out.suffix not in (".parquet", ".csv"):
        raise InputError(f"predictions are written as .parquet or .csv, found {out.name}")
    settings = load_settings(GroundMotionSettings, config)
    made = load_model(model) if model.endswith(".npz") else get_model(model, **settings.options(model))
    if observed is not None and not isinstance(made, LearnedModel):
        raise InputError("terms of observed events are known to learned models alone; give the file of one")
    table = _filled(_read(scenarios), settings.fill)
    seen = None if observed is None else _records(observed, settings.fill, tuple(measure))[0]
    probabilities = (0.05, 0.16, 0.5, 0.84, 0.95)
    parts = []
    for name in measure:
        if isinstance(made, LearnedModel):
            terms = None if seen is None else made.observed_event_terms(seen, name)
            given = made.predict(table, name, event_terms=terms)
            quantiles = made.quantiles(table, name, probabilities, event_terms=terms)
            domain = made.domain_weight(table, name)
        else:
            given = made.predict(table, name)
            quantiles = given.mean[:, None] + given.sigma[:, None] * norm.ppf(probabilities)
            domain = np.full(len(table), np.nan)
        natural = quantiles if name == "intensity_jma" else np.exp(quantiles)
        part = {"record_id": table["record_id"], "event_id": table["event_id"], "measure": name}
        part |= {"unit": unit_of(name), "mean": given.mean, "tau": given.tau, "phi": given.phi}
        part |= {f"p{100 * p:02.0f}": natural[:, k] for k, p in enumerate(probabilities)}
        parts.append(pd.DataFrame({**part, "domain": domain}))
    frame = pd.concat(parts, ignore_index=True)
    with replacing(out) as partial:
        if out.suffix == ".csv":
            frame.to_csv(partial, index=False)
        else:
            frame.to_parquet(partial, index=False)
    outside = int((frame["domain"] < 1).sum())
    facts = {"predictions": len(frame), "outside_the_training_domain": outside, "file": str(out)}
    if as_json:
        typer.echo(json.dumps(facts))
        return
    typer.echo(f"{len(frame)} predictions in {out}")
    if outside:
        typer.echo(f"{outside} of them lie outside the data that the model was fitted to; see column domain")


@app.command()
def compare(
    records: Records,
    out: Annotated[Path, typer.Option("--out", help="Folder for comparison.parquet and scores.parquet.")],
    held_out: Annotated[
        Path | None,
        typer.Option(
            "--held-out", help="Records to score, models fitted to all of RECORDS; default: folds of RECORDS."
        ),
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Score models on events that none of them has seen."""
    import pandas as pd

    from kaname.core import tables
    from kaname.core.config import load_settings
    from kaname.core.files import replacing
    from kaname.core.provenance import inputs_of, software, write_json
    from kaname.modeling.ground_motion.comparison import COMPARISON
    from kaname.modeling.ground_motion.comparison import compare as compared
    from kaname.modeling.ground_motion.configuration import GroundMotionSettings
    from kaname.modeling.ground_motion.contract import get_model

    settings = load_settings(GroundMotionSettings, config)
    table, left_out = _records(records, settings.fill, settings.measures)
    makers = {name: _maker(get_model, name, settings.options(name)) for name in settings.models}
    other = None if held_out is None else _records(held_out, settings.fill, settings.measures)[0]
    rows, scores = compared(
        makers, table, settings.measures, by=settings.hold_out, held_out=other, seed=settings.seed + 1
    )
    names = table["record_id"] if other is None else pd.concat([table["record_id"], other["record_id"]])
    scores["record_id"] = names.to_numpy()[scores["record"]]
    tables.write_table(rows, out / "comparison.parquet", COMPARISON)
    with replacing(out / "scores.parquet") as partial:
        scores.to_parquet(partial, index=False)
    facts = {
        "inputs": inputs_of([records] if held_out is None else [records, held_out]),
        "left_out": left_out,
        "software": software(),
    }
    write_json(out / "run.json", {**facts, "settings": settings.model_dump(mode="json")})
    if as_json:
        typer.echo(rows.to_json(orient="records"))
        return
    _say_left_out(left_out)
    if settings.hold_out == "row" and held_out is None:
        typer.echo("rows held out at random share events with the rest: these scores flatter", err=True)
    shown = [
        "measure",
        "model",
        "n",
        "rmse",
        "log_score",
        "crps",
        "cover_90",
        "gain",
        "gain_low",
        "gain_high",
    ]
    typer.echo(rows[shown].round(3).to_string(index=False))


def _maker(get_model: Any, name: str, options: dict[str, Any]) -> Any:
    return lambda: get_model(name, **options)


def _read(path: Path) -> pd.DataFrame:
    """Return a table of ground motions, from one or from a flatfile."""
    from kaname.core import tables
    from kaname.core.shaking import GROUND_MOTIONS
    from kaname.modeling.strong_motion.flatfiles import is_flatfile, read_flatfile

    if path.suffix.lower() != ".parquet" and path.is_file() and is_flatfile(path):
        return read_flatfile(path).table
    return tables.read_table(path, GROUND_MOTIONS)


def _filled(table: pd.DataFrame, fill: dict[str, float]) -> pd.DataFrame:
    from kaname.core.errors import InputError

    for column, value in fill.items():
        if column not in table:
            raise InputError(f"fill: ground motions have no column {column!r}")
        if table[column].notna().any():
            raise InputError(f"fill: column {column} has values in this table; nothing is written over them")
        table = table.assign(**{column: value})
    return table


def _records(
    path: Path, fill: dict[str, float], measures: tuple[str, ...]
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the records to learn from or to score, and how many were left out for what."""
    import numpy as np

    from kaname.core.shaking import column_of
    from kaname.evaluate.audit import duplicates

    table = _filled(_read(path), fill)
    rejected = (table["quality"] == "rejected").to_numpy()
    marked = (table["duplicate_of"] != "").to_numpy() & ~rejected
    table = table[~rejected & ~marked].reset_index(drop=True)
    copies = duplicates(table, [column_of(m) for m in measures]) != np.arange(len(table))
    left_out = {"rejected": int(rejected.sum()), "copies": int(marked.sum() + copies.sum())}
    return table[~copies].reset_index(drop=True), left_out


def _say_left_out(left_out: dict[str, int]) -> None:
    said = ", ".join(f"{n} {what}" for what, n in left_out.items() if n)
    if said:
        typer.echo(f"left out: {said}", err=True)
