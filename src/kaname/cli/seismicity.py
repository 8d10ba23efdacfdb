"""Describe a catalogue: completeness, b-value, clusters, Omori-Utsu, plots."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from kaname.cli._options import AsJson


def command(
    catalog: Annotated[
        list[Path], typer.Argument(metavar="CATALOG...", help="Events: QuakeML, CSV, ZMAP, JMA, ComCat, ...")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for plots, declustered.csv, run.json.")
    ] = None,
    magnitude_min: Annotated[
        float | None, typer.Option("--magnitude-min", help="Completeness; default: maximum curvature + 0.2.")
    ] = None,
    magnitude_bin: Annotated[
        float | None, typer.Option("--magnitude-bin", help="Width of magnitude bins; default: found.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say from which magnitude a catalogue is complete, its b-value and what of it is clustered."""
    import numpy as np

    from kaname.core.errors import InputError
    from kaname.core.provenance import inputs_of, software, write_json
    from kaname.core.tables import EVENTS, write_table
    from kaname.discovery.seismicity import completeness, declustering
    from kaname.discovery.seismicity.gutenberg_richter import b_positive, b_value, magnitude_bins
    from kaname.formats.catalogs import read_events
    from kaname.report import seismicity as report

    read = read_events(catalog)
    events = read.events.dropna(subset=["magnitude", "longitude", "latitude"])
    events = events.sort_values("time", kind="stable").reset_index(drop=True)
    if events.empty:
        raise InputError(f"none of the {len(read.events)} events has a place and a magnitude")
    m = events["magnitude"].to_numpy(float)
    exact = magnitude_bins(m) if magnitude_bin is None else magnitude_bin
    width = max(exact, 0.1)
    found = completeness.estimate(m, magnitude_bin=width)
    least = found[0].magnitude if magnitude_min is None else magnitude_min
    summary: dict[str, Any] = {
        "events": len(events), "left_out": len(read.events) - len(events), "not_read": len(read.failures),
        "magnitude_bin": exact,
        "completeness_magnitude": {c.method: c.reason or c.magnitude for c in found},
        "used": least,
    }  # fmt: skip
    above = events[m >= least - 1e-9].reset_index(drop=True)
    summary["above"] = len(above)
    slopes = {"b_value": partial(b_value, m, least), "b_positive": partial(b_positive, m)}
    for name, slope_of in slopes.items():
        try:
            slope = slope_of(magnitude_bin=exact)
            summary[name] = {"b": round(slope.b, 3), "error": round(slope.error, 3), "n": slope.n}
        except InputError as error:
            summary[name] = str(error)
    neighbours = None
    if len(above):
        main = {
            "gardner_knopoff": declustering.gardner_knopoff(above),
            "reasenberg": declustering.reasenberg(above, magnitude_min=least),
        }
        rows = np.arange(len(above))
        summary["mainshocks"] = {name: int((values == rows).sum()) for name, values in main.items()}
        if len(above) >= 20:
            neighbours = declustering.nearest_neighbours(above)
            summary["mainshocks"]["nearest_neighbour"] = int(neighbours.background().sum())
            summary["log10_eta_threshold"] = round(neighbours.threshold, 3)
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            for name, values in main.items():
                write_table(above[values == rows], out / f"declustered_{name}.csv", EVENTS)
    if out is not None:
        for name, figure in report.figures(events, least, exact, neighbours).items():
            figure.savefig(out / f"{name}.png", dpi=130)
        record = {"verb": "seismicity", "software": software(), "inputs": inputs_of(catalog)}
        write_json(out / "run.json", {**record, "result": summary})
    if as_json:
        typer.echo(json.dumps(summary))
        return
    for key, value in summary.items():
        shown = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        typer.echo(f"{key.replace('_', ' ')}: {shown}")
