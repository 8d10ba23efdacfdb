"""Fit, apply and compare models of ground motion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaname.cli._options import AsJson

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(no_args_is_help=True, help="Fit, apply and compare models of ground motion.")

Records = Annotated[
    Path,
    typer.Argument(
        metavar="RECORDS",
        help="Folder made by kaname records build, table of ground motions (Parquet, CSV), or flatfile.",
    ),
]
Where = Annotated[
    str,
    typer.Option(
        "--where", metavar="SQL", help='Condition on its rows, such as "magnitude >= 5 AND rrup_km < 200".'
    ),
]
HeldOutWhere = Annotated[
    str, typer.Option("--held-out-where", metavar="SQL", help="Condition on the rows of --held-out.")
]
Config = Annotated[Path | None, typer.Option("--config", help="TOML file; see kaname config gmm.")]


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
    where: Where = "",
    held_out: Annotated[
        Path | None,
        typer.Option(
            "--held-out", help="Records it will be judged by: what they share with RECORDS is an error."
        ),
    ] = None,
    held_out_where: HeldOutWhere = "",
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Learn a model from records and save it with what it was learned from."""
    from kaname.core.config import load_settings
    from kaname.core.errors import InputError
    from kaname.core.progress import progress
    from kaname.core.provenance import inputs_of
    from kaname.modeling.ground_motion.configuration import GroundMotionSettings
    from kaname.modeling.ground_motion.contract import get_model
    from kaname.modeling.ground_motion.saved import save_model
    from kaname.modeling.strong_motion.reading import files_of

    if out.suffix != ".npz":  # said before the records are learned from, not after
        raise InputError(f"a model is saved as .npz, found {out.name}")
    settings = load_settings(GroundMotionSettings, config)
    table, left_out = _records(records, where, settings.fill, settings.measures)
    other = _held_out(held_out, held_out_where, settings.fill, settings.measures)
    model = get_model(settings.model, **settings.options(settings.model))
    with progress("measures", len(settings.measures)) as advance:
        model.fit(table, settings.measures, held_out=other, progress=advance)
    provenance = {
        "inputs": inputs_of(files_of(records)),
        "where": where,
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
    typer.echo("tau, phi_s2s (sites) and phi_ss (what remains) are standard deviations in ln units")
    typer.echo(f"model: {out}")


@app.command()
def predict(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="File of a fitted model, or the name of a published one.")
    ],
    scenarios: Annotated[
        Path,
        typer.Argument(
            metavar="SCENARIOS",
            help="Database, table or flatfile: a source and a site per row, with record_id, event_id and the "
            "columns that the model needs.",
        ),
    ],
    measure: Annotated[list[str], typer.Option("--measure", help="Such as pga or sa(1); may be repeated.")],
    out: Annotated[Path, typer.Option("--out", help="Parquet or CSV file.")],
    where: Where = "",
    observed: Annotated[
        Path | None,
        typer.Option("--observed", help="Records of the same events, from which their terms are estimated."),
    ] = None,
    observed_where: Annotated[
        str, typer.Option("--observed-where", metavar="SQL", help="Condition on the rows of --observed.")
    ] = "",
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
    from kaname.modeling.strong_motion.reading import read_ground_motions

    if out.suffix not in (".parquet", ".csv"):
        raise InputError(f"predictions are written as .parquet or .csv, found {out.name}")
    settings = load_settings(GroundMotionSettings, config)
    made = load_model(model) if model.endswith(".npz") else get_model(model, **settings.options(model))
    if observed is not None and not isinstance(made, LearnedModel):
        raise InputError("terms of observed events are known to learned models alone; give the file of one")
    table = _filled(read_ground_motions(scenarios, where=where), settings.fill)
    if table.empty:
        raise InputError(f"{scenarios} has no row {_that(where)}")
    seen = _held_out(observed, observed_where, settings.fill, tuple(measure))
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
    where: Where = "",
    held_out: Annotated[
        Path | None,
        typer.Option(
            "--held-out", help="Records to score, models fitted to all of RECORDS; default: folds of RECORDS."
        ),
    ] = None,
    held_out_where: HeldOutWhere = "",
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
    from kaname.modeling.strong_motion.reading import files_of

    settings = load_settings(GroundMotionSettings, config)
    table, left_out = _records(records, where, settings.fill, settings.measures)
    makers = {name: _maker(get_model, name, settings.options(name)) for name in settings.models}
    other = _held_out(held_out, held_out_where, settings.fill, settings.measures)
    rows, scores = compared(
        makers, table, settings.measures, by=settings.hold_out, held_out=other, seed=settings.seed + 1
    )
    names = table["record_id"] if other is None else pd.concat([table["record_id"], other["record_id"]])
    scores["record_id"] = names.to_numpy()[scores["record"]]
    tables.write_table(rows, out / "comparison.parquet", COMPARISON)
    with replacing(out / "scores.parquet") as partial:
        scores.to_parquet(partial, index=False)
    facts = {
        "inputs": inputs_of(f for source in (records, held_out) if source for f in files_of(source)),
        "where": where,
        "held_out_where": held_out_where,
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
    typer.echo(rows[shown].round(3).to_string(index=False, na_rep=""))
    typer.echo(
        "rmse and crps in ln units; log_score and gain over the best published model in nats per record"
    )


def _maker(get_model: Any, name: str, options: dict[str, Any]) -> Any:
    return lambda: get_model(name, **options)


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
    path: Path, where: str, fill: dict[str, float], measures: tuple[str, ...]
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the records to learn from or to score, and how many were left out for what."""
    import numpy as np

    from kaname.core.errors import InputError
    from kaname.core.shaking import column_of
    from kaname.evaluate.audit import duplicates
    from kaname.modeling.strong_motion.reading import read_ground_motions

    table = _filled(read_ground_motions(path, where=where), fill)
    reasons = {
        "rejected": table["quality"] == "rejected",
        "copies": table["duplicate_of"] != "",
        "below ground": table["sensor_depth_m"] > 0,
        "without a place": table[["latitude", "longitude"]].isna().any(axis=1),
    }
    left_out: dict[str, int] = {}
    kept = np.ones(len(table), bool)
    for name, found in reasons.items():
        left_out[name] = int((found.to_numpy() & kept).sum())
        kept &= ~found.to_numpy()
    table = table[kept].reset_index(drop=True)
    if table.empty:
        raise InputError(f"{path} has no record {_that(where)} to learn from or to score; {_said(left_out)}")
    copies = duplicates(table, [column_of(m) for m in measures]) != np.arange(len(table))
    left_out["copies"] += int(copies.sum())
    return table[~copies].reset_index(drop=True), left_out


def _held_out(
    path: Path | None, where: str, fill: dict[str, float], measures: tuple[str, ...]
) -> pd.DataFrame | None:
    from kaname.core.errors import InputError

    if path is None:
        if where:
            raise InputError("a condition on other records needs the records: --held-out or --observed")
        return None
    return _records(path, where, fill, measures)[0]


def _that(where: str) -> str:
    return f"with {where}" if where else "at all"


def _said(left_out: dict[str, int]) -> str:
    return "left out: " + (", ".join(f"{n} {what}" for what, n in left_out.items() if n) or "none")


def _say_left_out(left_out: dict[str, int]) -> None:
    if any(left_out.values()):
        typer.echo(_said(left_out), err=True)
