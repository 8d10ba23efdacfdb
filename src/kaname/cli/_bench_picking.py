"""``kaname bench picking``: the tables of a benchmark of pickers, and how they are shown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import typer

from kaname.cli._bench import plain_rows, quiet_pieces, read_sets, text_table, write
from kaname.cli._bench_judge import RECORD, cut_events, find_methods, judge, on_noise, on_swarms, speed
from kaname.core.errors import ExitCode, InputError, NotFoundError
from kaname.core.provenance import software, write_json
from kaname.core.tables import FAILURES, concat, validate
from kaname.evaluate import noise, scorecard, swarm

SPEED_PER_HOUR = 30.0
"""Events per hour of the data that speed is measured on."""


def summary(scores: pd.DataFrame, false_picks: pd.DataFrame, fast: pd.DataFrame) -> pd.DataFrame:
    """Return the one table of methods by metrics: a row per set, scope, phase and method."""
    rows = []
    disputed = scores["undisputed_f1"].notna().any()
    for (name, scope, phase, method), own in scores.groupby(["set", "scope", "phase", "method"], sort=False):
        by = own.set_index("tolerance_s")
        widest = by.loc[max(by.index)]
        row: dict[str, Any] = {"set": name, "scope": scope, "phase": phase, "method": method}
        row["n"] = int(widest["n_label"])
        for metric in ("recall", "precision", "f1"):
            row |= {f"{metric} {t:g}": by.loc[t, metric] for t in by.index}
        row |= {f"best f1 {t:g}": by.loc[t, "best_f1"] for t in by.index}
        if disputed:
            row["disputed"] = int(widest["n_disputed"])
            row["undisputed precision"] = widest["undisputed_precision"]
            row |= {f"undisputed f1 {t:g}": by.loc[t, "undisputed_f1"] for t in by.index}
        row |= {k: widest[f"residual_{k}_s"] for k in ("mean", "sd", "mad")}
        mine = false_picks[(false_picks["method"] == method) & (false_picks["phase"] == phase)]
        for kind in false_picks["noise"].unique():
            rate = mine[(mine["noise"] == kind) & mine["set"].isin([name, "all"])]["per_hour"]
            row[f"false/h {kind}"] = float(rate.iloc[0]) if len(rate) else np.nan
        if len(fast):
            row["days/CPU-s"] = float(fast.set_index("method").loc[method, "station_days_per_cpu_s"])
        rows.append(row)
    return pd.DataFrame(rows)


def command(
    data: Sequence[str],
    *,
    methods: Sequence[str],
    split: str,
    split_by: str,
    least: float | None,
    limit: int | None,
    clock: Sequence[str],
    windows_s: Sequence[float],
    disputed: bool,
    noise_hours: float,
    swarm_rates: str,
    seed: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Run the benchmark and show it, see ``kaname bench picking --help``."""
    rates = _rates(swarm_rates)
    found, skipped = find_methods(methods, least)
    if not found:
        raise NotFoundError("none of the methods is here:\n  " + "\n  ".join(skipped["reason"]))
    whole, cut, unread = read_sets(data, split=split, by=split_by, limit=limit, clock=clock)
    if not any(r.labels for r in cut):
        raise NotFoundError(f"none of the {len(cut)} records has a label of P or S; nothing can be scored")
    judged, failures = judge(found, cut, windows_s=windows_s, disputed=disputed, seed=seed)
    pieces = quiet_pieces(whole)
    real = noise.usable(pieces)
    # What lies before events is the same whatever is counted about them.
    false_picks = [j.false_picks() for j in judged if j.scope == RECORD]
    swarms, fast = pd.DataFrame(), pd.DataFrame()
    if noise_hours:
        false_picks.append(on_noise("all", found, pieces, hours=noise_hours, seed=seed))
        if rates:
            hours = min(noise_hours, 1.0)
            swarms = on_swarms("all", found, whole, pieces, rates=rates, hours=hours, seed=seed)
            quiet = noise.long_noise(pieces, noise_hours * 3600, kind="spliced", seed=seed)
            wave, _ = swarm.paste(quiet, cut_events(whole), per_hour=SPEED_PER_HOUR, seed=seed)
            fast = speed("all", found, wave)
    facts = {
        "sets": {name: sum(r.source == name for r in cut) for name in dict.fromkeys(r.source for r in cut)},
        "split": split if split == "all" else f"{split} by {split_by}",
        "windows": ", ".join(f"{w:g} s" for w in windows_s) or "none",
        "least probability": {m.name: m.least for m in found},
        "noise made of": f"{len(real)} stretches before events, "
        f"{sum(p.shape[1] for p in real) / noise.RATE_HZ / 3600:.2f} h; {noise_hours:g} h of each kind",
        "events pasted": len(cut_events(whole)),
        "seed": seed,
    }
    written = {
        "scores": (_stack(j.scores() for j in judged), scorecard.PICKING),
        "residuals": (_stack(j.matched() for j in judged), scorecard.RESIDUALS),
        "false_picks": (_stack(false_picks), scorecard.FALSE_PICKS),
        "swarms": (swarms, scorecard.SWARMS),
        "coverage": (_stack(j.coverage() for j in judged), scorecard.COVERAGE),
        "reliability": (_stack(j.reliability() for j in judged), scorecard.RELIABILITY),
        "operating_points": (_stack(j.operating for j in judged), scorecard.OPERATING),
        "speed": (fast, scorecard.SPEED),
        "skipped": (skipped, scorecard.SKIPPED),
        "failures": (concat([unread, failures], FAILURES), FAILURES),
    }
    checked = {name: validate(frame, schema) for name, (frame, schema) in written.items()}
    shown = summary(checked["scores"], checked["false_picks"], checked["speed"])
    if out is not None:
        write(out, written)
        _report(out, shown, checked, facts)
    if as_json:
        rows = {"summary": shown, **checked}
        typer.echo(json.dumps({name: plain_rows(frame) for name, frame in rows.items()}, default=str))
    else:
        show(shown, checked)
    if len(checked["failures"]):
        raise typer.Exit(ExitCode.PARTIAL)


def show(shown: pd.DataFrame, tables: dict[str, pd.DataFrame]) -> None:
    """Print the summary, the swarms, the coverage and what was left out."""
    shares = ("recall", "precision", "f1", "best", "undisputed")
    places = {c: 3 for c in shown.columns if c.split(" ")[0] in shares}
    places |= {"mean": 3, "sd": 3, "mad": 3, "days/CPU-s": 2}
    places |= {c: 1 for c in shown.columns if c.startswith("false/h")}
    places = {c: n for c, n in places.items() if c in shown.columns}
    for (name, scope, phase), own in shown.groupby(["set", "scope", "phase"], sort=False):
        typer.echo(f"\n{name}, {scope}: {phase}, {own['n'].iloc[0]} labels")
        typer.echo(text_table(own.drop(columns=["set", "scope", "phase", "n"]), places))
    if len(swarms := tables["swarms"]):
        typer.echo("\nreal events pasted into noise: found within 0.3 s, true within 0.5 s")
        columns = ["noise", "method", "phase", "events_per_hour", "n_label", "recall", "n_pick", "precision"]
        typer.echo(text_table(swarms[columns], {"events_per_hour": 0, "recall": 3, "precision": 3}))
    cover = tables["coverage"]
    if len(cover := cover[cover["scope"] == RECORD]):
        wide = cover.assign(percent=(cover["nominal"] * 100).round().astype(int)).pivot_table(
            index=["set", "phase", "method", "n"], columns="percent", values="observed", sort=False
        )
        wide.columns = [f"{c} %" for c in wide.columns]
        typer.echo("\nresiduals within the stated uncertainty, by nominal coverage")
        typer.echo(text_table(wide.reset_index(), dict.fromkeys(wide.columns, 3)))
    for row in tables["skipped"].itertuples():
        typer.echo(f"\nskipped {row.method}: {row.reason}")
    if len(tables["failures"]):
        typer.echo(f"\n{len(tables['failures'])} failures")


def _report(out: Path, shown: pd.DataFrame, tables: dict[str, pd.DataFrame], facts: dict[str, Any]) -> None:
    """Write the figures, the page and run.json."""
    from kaname.report.bench import picking_figures, write_benchmark

    figures = picking_figures(tables)
    for name, (figure, _) in figures.items():
        figure.savefig(out / f"{name}.png", dpi=120)
    listings = [("Methods by metrics; residuals are those at the widest tolerance [s]", shown)]
    captions = {
        "swarms": "Real events pasted into noise",
        "false_picks": "Picks where there is no earthquake",
        "coverage": "Coverage of the time uncertainty",
        "speed": "Processor time",
        "skipped": "Methods that are not here",
        "failures": "What failed",
    }
    listings += [(caption, tables[name]) for name, caption in captions.items() if len(tables[name])]
    write_benchmark(
        out / "report.html", "Benchmark of pickers", run=facts, listings=listings, figures=figures
    )
    write_json(out / "run.json", {**facts, "software": software()})


def _rates(text: str) -> list[float]:
    try:
        rates = [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        rates = [-1.0]
    if not all(rate > 0 for rate in rates):
        raise InputError(f"rates of events must be positive numbers separated by commas, found {text!r}")
    return rates


def _stack(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    full = [f for f in frames if len(f)]
    return pd.concat(full, ignore_index=True) if full else pd.DataFrame()
