"""Forecast the earthquakes of the next days from a catalogue; compare forecasts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

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

    from kaname.discovery.seismicity.ensemble import Ensemble
    from kaname.discovery.seismicity.forecasting import Prepared


class _Direct(TyperGroup):
    """``kaname forecast CATALOG`` is ``kaname forecast make CATALOG``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["make", *args]
        return list(super().parse_args(ctx, args))


app = typer.Typer(
    no_args_is_help=True,
    cls=_Direct,
    help="Forecast from a catalogue, and compare forecasts. kaname forecast CATALOG is short for "
    "kaname forecast make CATALOG.",
)


@app.command()
def make(
    catalog: Catalogue,
    out: Annotated[Path, typer.Option("--out", help="Folder for report, tables, maps and run.json.")],
    days: Annotated[float, typer.Option("--days", help="Length of the forecast [day].")] = 7.0,
    start: Annotated[
        str,
        typer.Option("--start", metavar="TIME", help="Its beginning, UTC; default: end of the catalogue."),
    ] = "",
    magnitude_min: Annotated[
        float | None, typer.Option("--magnitude-min", help="Completeness; default: estimated.")
    ] = None,
    region: RegionFile = None,
    bounds: Bounds = "",
    completeness: Completeness = "",
    large: Large = CALIFORNIA,
    model: Annotated[
        str, typer.Option("--model", help="etas, poisson, smoothed, hybrid or neural; fitted here.")
    ] = "etas",
    fitted: Annotated[
        Path | None, typer.Option("--fitted", help="Folder of kaname etas fit, instead of a fit here.")
    ] = None,
    magnitude: Annotated[
        list[float] | None, typer.Option("--magnitude", help="Least magnitude of interest; repeatable.")
    ] = None,
    magnitude_max: Annotated[
        float, typer.Option("--magnitude-max", help="Greatest magnitude that is simulated.")
    ] = 9.0,
    radius: Annotated[float, typer.Option("--radius", help="Of the second map [km].")] = 50.0,
    cell: Annotated[
        float | None, typer.Option("--cell", help="Width of cells [degree]; default: about 50 across.")
    ] = None,
    n: Annotated[int, typer.Option("--n", min=100, help="Simulated futures.")] = 10_000,
    members: Annotated[
        int, typer.Option("--members", min=2, help="Sets of parameters that the data leave possible.")
    ] = 50,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same forecast.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Fit a model, simulate futures, and say how likely earthquakes are: report, maps, tables, CSEP file."""
    import numpy as np

    from kaname.core.errors import InputError
    from kaname.core.provenance import inputs_of, software, write_json
    from kaname.core.time import as_time
    from kaname.discovery.seismicity import ensemble as ensembles
    from kaname.discovery.seismicity import forecasting
    from kaname.discovery.seismicity.contract import DAY, Target

    if not 0 < days <= 3660:
        raise InputError(f"--days must be between 0 and 3660, found {days}")
    if fitted is not None and model != "etas":
        raise InputError(f"--fitted is a model of kaname etas fit; it cannot be --model {model}")
    events, notes = events_of(catalog)
    times = events["time"].to_numpy("datetime64[ns]")
    moment = as_time(start) if start else times.max() + np.timedelta64(1, "s")
    # What comes later must not even tell from which magnitude on the catalogue is complete.
    events = events[times < moment]
    if events.empty:
        raise InputError(f"no earthquake before {moment}; the first is at {times.min()}")
    known = _known(fitted, magnitude_max)
    where = region_of(region, bounds) if known is None else known.background_.region
    least = magnitude_min if known is None else known.reference_
    prepared = forecasting.prepare(events, magnitude_min=least, region=where)
    steps = completeness_of(
        completeness, large, prepared.events, prepared.magnitude_min, prepared.magnitude_bin
    )
    levels = sorted(set(magnitude or _levels(prepared.magnitude_min)))
    if levels[0] < prepared.magnitude_min - 1e-9:
        raise InputError(
            f"--magnitude {levels[0]:g} is below the magnitude of completeness, {prepared.magnitude_min:g}: "
            "the catalogue does not say how many such earthquakes there are"
        )
    if levels[-1] >= magnitude_max:
        raise InputError(f"--magnitude {levels[-1]:g} is not below --magnitude-max {magnitude_max:g}")
    last = np.datetime64(prepared.events["time"].iloc[-1], "ns")
    if moment - last > 3 * DAY:
        gap = (moment - last) / DAY
        notes.append(f"The catalogue ends {gap:.1f} days before the forecast starts, taken as quiet.")
    if known is None:
        ensemble = ensembles.learn(
            prepared, moment, n_member=members, seed=seed, magnitude_max=magnitude_max, model=model,
            completeness=steps,
        )  # fmt: skip
    else:
        inside = prepared.region.contains(prepared.events["longitude"], prepared.events["latitude"])
        n_known = int((inside & (prepared.events["magnitude"] >= prepared.magnitude_min - 1e-9)).sum())
        ensemble = ensembles.around(known, n_known, n_member=members, seed=seed)
    notes += [*prepared.notes, *ensemble.notes]
    target = Target(prepared.region, moment, moment + np.timedelta64(round(days * 86400), "s"),
                    prepared.magnitude_min, completeness=steps)  # fmt: skip
    simulated = ensemble.simulate(prepared.events, target, n=n, seed=seed)
    table = forecasting.probabilities(simulated, ensemble.members(n), levels).assign(
        usual=forecasting.usual(prepared, moment, target.days, levels)
    )
    width = _cell(prepared) if cell is None else cell
    files = _write(out, prepared, ensemble, target, simulated, table, levels, n=n, width=width, radius=radius,
                   notes=notes)  # fmt: skip
    summary = {
        "start": str(target.start)[:19],
        "end": str(target.end)[:19],
        "events": len(prepared.events),
        "targets": ensemble.n_target,
        "model": model,
        "generic": ensemble.generic,
        "completeness_magnitude": prepared.magnitude_min,
        "b": round(float(ensemble.b.mean()), 3),
        "branching_ratio": _branching_ratio(ensemble, prepared.magnitude_min, magnitude_max),
        "probabilities": table.astype(object).where(table.notna(), None).to_dict("records"),
        "notes": notes,
        "files": files,
    }
    settings = {
        "days": days, "start": start, "magnitude_min": magnitude_min, "region": region, "bounds": bounds,
        "completeness": completeness, "large": large, "model": model, "fitted": fitted,
        "magnitude": magnitude, "magnitude_max": magnitude_max,
        "radius_km": radius, "cell_degree": width, "n": n, "members": members, "seed": seed,
    }  # fmt: skip
    record = {
        "verb": "forecast",
        "software": software(),
        "inputs": inputs_of(catalog),
        "settings": settings,
        "parameters": [{**p, "b": float(b)} for p, b in zip(ensemble.parameters, ensemble.b)],
        "result": summary,
    }
    write_json(out / "run.json", record)
    typer.echo(json.dumps(summary, default=str) if as_json else _text(summary, out))


@app.command()
def compare(
    first: Annotated[
        Path, typer.Argument(metavar="FIRST", help="Gridded forecast: CSEP .dat or forecast.parquet.")
    ],
    second: Annotated[Path, typer.Argument(metavar="SECOND", help="The one it is compared with.")],
    catalog: Catalogue,
    start: Annotated[str, typer.Option("--start", help="Beginning, UTC; default: the forecast's own.")] = "",
    end: Annotated[str, typer.Option("--end", help="End, UTC; default: the forecast's own.")] = "",
    block: Annotated[float, typer.Option("--block", help="Length of resampled blocks [day].")] = 1.0,
    uniform: Annotated[
        float, typer.Option("--uniform", min=0, max=1, help="Share of each spread evenly over the region.")
    ] = 0.01,
    seed: Annotated[int, typer.Option("--seed", help="Of the tests and the bootstrap.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Test two forecasts on what happened (N, L, CL, S, M) and say which knew more, with an interval."""
    from dataclasses import asdict

    import numpy as np

    from kaname.core.errors import InputError
    from kaname.core.time import as_time
    from kaname.discovery.seismicity import csep_tests
    from kaname.discovery.seismicity.contract import DAY

    tables = [_grid(first), _grid(second)]
    begin = as_time(start) if start else tables[0]["start"].to_numpy("datetime64[ns]")[0]
    until = as_time(end) if end else tables[0]["end"].to_numpy("datetime64[ns]")[0]
    if np.isnat(begin) or np.isnat(until):
        raise InputError("the forecast does not state its period; give --start and --end")
    events, notes = events_of(catalog)
    for path, table in zip((first, second), tables):
        own = [table[edge].to_numpy("datetime64[ns]")[0] for edge in ("start", "end")]
        if not np.isnat(own).any() and own != [begin, until]:
            notes = [
                *notes,
                f"{path} is for {str(own[0])[:19]} to {str(own[1])[:19]}; its numbers are not scaled to the "
                "period tested",
            ]
    time = events["time"].to_numpy("datetime64[ns]")
    seen = events[(time >= begin) & (time < until)].sort_values("time")
    grids = [csep_tests.on_grid(table, uniform=uniform) for table in tables]
    if not np.array_equal(grids[0][1], grids[1][1]):
        raise InputError("the forecasts have different magnitude bins; compare forecasts of the same bins")
    for cells, edges, _ in grids:
        seen = csep_tests.within(seen, cells, float(edges[0]))
    summary: dict[str, Any] = {
        "start": str(begin)[:19], "end": str(until)[:19], "earthquakes": len(seen), "uniform": uniform,
        "notes": notes,
    }  # fmt: skip
    for path, table, (_, _, rates) in zip((first, second), tables, grids):
        tested = csep_tests.grid_tests(table, seen, uniform=uniform, seed=seed)
        quantiles = {
            name: None if t.at_most != t.at_most else round(t.at_most, 4) for name, t in tested.items()
        }
        summary[str(path)] = {"expected": round(float(rates.sum()), 3), "quantiles": quantiles}
    if len(seen):
        (a, expected_a), (b, expected_b) = (
            csep_tests.log_densities(table, seen, uniform=uniform) for table in tables
        )
        day = (seen["time"].to_numpy("datetime64[ns]") - begin) / DAY
        gain = csep_tests.information_gain(
            day, a - b, expected_difference=[expected_a - expected_b], block_days=block,
            days=float((until - begin) / DAY), seed=seed,
        )  # fmt: skip
        summary["information_gain"] = asdict(gain)
    else:
        summary["information_gain"] = "no earthquake happened: the forecasts cannot be told apart"
    typer.echo(json.dumps(summary) if as_json else _compared(summary, (str(first), str(second))))


def _grid(path: Path) -> pd.DataFrame:
    from kaname.core.forecasts import FORECASTS
    from kaname.core.tables import read_table
    from kaname.formats.csep import read_grid

    file = path / "forecast.parquet" if path.is_dir() else path
    return read_table(file, FORECASTS) if file.suffix in (".parquet", ".csv") else read_grid(file)


def _write(
    out: Path,
    prepared: Prepared,
    ensemble: Ensemble,
    target: Any,
    simulated: pd.DataFrame,
    table: pd.DataFrame,
    levels: list[float],
    *,
    n: int,
    width: float,
    radius: float,
    notes: list[str],
) -> list[str]:
    from kaname.core.files import replacing
    from kaname.core.forecasts import FORECASTS, SIMULATIONS
    from kaname.core.tables import write_table
    from kaname.discovery.seismicity import forecasting
    from kaname.discovery.seismicity.contract import DAY
    from kaname.discovery.seismicity.ensemble import KINDS
    from kaname.formats.csep import write_simulations
    from kaname.report import forecast as report
    from kaname.report.advisory import Situation, english, japanese

    out.mkdir(parents=True, exist_ok=True)
    grid = forecasting.cells(prepared.region, width)
    maps = forecasting.gridded(simulated, grid, target, n, levels)
    write_table(simulated, out / "simulations.parquet", SIMULATIONS)
    write_table(maps, out / "forecast.parquet", FORECASTS)
    name = f"kaname_{str(target.start)[:19].replace(':', '-')}-000000.csv"
    write_simulations(simulated, n, out / name)
    with replacing(out / "probabilities.csv") as partial:
        table.to_csv(partial, index=False)
    events = prepared.events
    inside = prepared.region.contains(events["longitude"], events["latitude"])
    recent = events[inside & (events["time"] >= target.start - 30 * DAY)]
    recent = recent[recent["magnitude"] >= prepared.magnitude_min - 1e-9]
    largest = (
        None if recent.empty else recent.loc[recent["magnitude"].idxmax(), ["time", "magnitude"]].to_dict()
    )
    steps = target.completeness
    missed = steps and steps.worst(target.start - 30 * DAY, target.start, prepared.magnitude_min)
    situation = Situation(
        events["time"].iloc[-1], target.start, target.end, largest, table, ensemble.generic,
        prepared.magnitude_min, ensemble.n_target, events["time"].iloc[0], missed,
    )  # fmt: skip
    # The largest magnitude of interest that hundreds of futures have, for maps that are no noise.
    often = [m for m in levels if (simulated["magnitude"] >= m).sum() >= 500]
    shown = often[-1] if often else levels[0]
    layer = maps[maps["magnitude_min"] == shown]
    east, north = ((layer[f"{axis}_min"] + layer[f"{axis}_max"]) / 2 for axis in ("longitude", "latitude"))
    near = forecasting.within_radius(simulated, east, north, n, radius_km=radius, magnitude=shown)
    layer = layer.assign(near=near)
    low = levels[0]
    cells, about = f"M {low:g} or more, per cell of {width:g}°", f"M {shown:g} or more, within {radius:g} km"
    figures = [
        (
            f"Chance of one or more earthquakes: {cells}. Blue: earthquakes of the last 30 days, the largest "
            "in circles. Empty: fewer than 5 of the simulated futures.",
            report.probability_map(maps[maps["magnitude_min"] == low], recent, title=cells, least=5 / n),
        ),
        (
            f"Chance of one or more earthquakes: {about} of a place. Blue as above.",
            report.probability_map(layer, recent, column="near", title=about, least=5 / n),
        ),
    ]
    for stem, (_, figure) in zip(("map_cells", "map_radius"), figures):
        figure.savefig(out / f"{stem}.png", dpi=130)
    _geojson(out / "forecast.geojson", maps, target)
    for language, words in (("en", english(situation)), ("ja", japanese(situation))):
        with replacing(out / f"advisory.{language}.txt") as partial:
            partial.write_text("\n\n".join(words) + "\n", encoding="utf-8")
    days = forecasting.daily(simulated, target, n, levels[0])
    report.write_report(
        out / "report.html", situation, figures, report.daily_chart(days, levels[0]), notes=notes,
        model=[
            ("Model", KINDS[ensemble.best.name] + (", generic parameters" if ensemble.generic else "")),
            ("Earthquakes it learned from", str(ensemble.n_target)),
            ("Magnitude of completeness", f"{prepared.magnitude_min:.1f}"),
            ("b", f"{ensemble.b.mean():.2f} ± {ensemble.b.std():.2f}"),
            ("Simulated futures", f"{n:,} with {ensemble.n} sets of what the data leave open"),
            ("Area", f"{prepared.region.area_km2:,.0f} km2"),
        ],
    )  # fmt: skip
    return [
        "report.html", "advisory.en.txt", "advisory.ja.txt", "probabilities.csv", "forecast.parquet",
        "forecast.geojson", "simulations.parquet", name, "map_cells.png", "map_radius.png", "run.json",
    ]  # fmt: skip


def _geojson(path: Path, maps: pd.DataFrame, target: Any) -> None:
    """Write the cells in which any future has an earthquake."""
    from kaname.core.provenance import write_json

    features = []
    some = maps[maps["expected"] > 0]
    columns = ["longitude_min", "longitude_max", "latitude_min", "latitude_max", "magnitude_min", "expected",
               "probability"]  # fmt: skip
    for west, east, south, north, least, expected, probability in some[columns].itertuples(index=False):
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        features.append(
            {
                "type": "Feature",
                "geometry": {"type": "Polygon", "coordinates": [ring]},
                "properties": {
                    "magnitude_min": least, "expected": expected, "probability": probability,
                    "start": f"{str(target.start)[:19]}Z", "end": f"{str(target.end)[:19]}Z",
                },
            }
        )  # fmt: skip
    write_json(path, {"type": "FeatureCollection", "features": features})


def _known(path: Path | None, magnitude_max: float) -> Any:
    if path is None:
        return None
    from kaname.discovery.seismicity.etas.storage import load

    known = load(path)
    known.magnitude_max = magnitude_max
    return known


def _branching_ratio(ensemble: Ensemble, least: float, magnitude_max: float) -> float | None:
    from kaname.discovery.seismicity.etas.model import Etas
    from kaname.discovery.seismicity.etas.simulation import branching_ratio
    from kaname.discovery.seismicity.gutenberg_richter import GutenbergRichter

    best = ensemble.best
    if not isinstance(best, Etas):
        return None
    law = GutenbergRichter(best.b_, least, magnitude_max)
    return round(branching_ratio(best.parameters_, best.reference_, law), 3)


def _levels(least: float) -> list[float]:
    """Return the next full magnitude from the completeness on, and three more."""
    import math

    first = math.ceil(least - 1e-9)
    return [float(first + k) for k in range(4)]


def _cell(prepared: Prepared) -> float:
    import numpy as np

    across = max(np.ptp(prepared.region.longitude), np.ptp(prepared.region.latitude)) / 50
    steps = np.array([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0])
    return float(steps[np.abs(np.log(steps / across)).argmin()])


def _compared(summary: dict[str, Any], names: tuple[str, str]) -> str:
    lines = [f"{summary['start']} to {summary['end']} UTC: {summary['earthquakes']} earthquakes"]
    for name in dict.fromkeys(names):
        found = summary[name]
        quantiles = ", ".join(
            f"{test} {'none' if value is None else f'{value:.3g}'}"
            for test, value in found["quantiles"].items()
        )
        lines.append(f"  {name}: expected {found['expected']:g}; quantiles {quantiles}")
    gain = summary["information_gain"]
    if not isinstance(gain, str):
        gain = (
            f"{gain['gain']:.3f} nats per earthquake ({gain['low']:.3f} to {gain['high']:.3f}, 95 %), "
            f"{names[0]} over {names[1]}"
        )
    lines.append(f"  information gain: {gain}")
    return "\n".join([*lines, *(f"  note: {note}" for note in summary["notes"])])


def _text(summary: dict[str, Any], out: Path) -> str:
    from kaname.report.advisory import percent, spread

    lines = [f"{summary['start']} to {summary['end']} UTC, from {summary['targets']} earthquakes, in {out}"]
    for row in summary["probabilities"]:
        known = spread(row["probability_low"], row["probability_high"])
        lines.append(
            f"  M {row['magnitude_min']:g} or more: {percent(row['probability'])}"
            + (f" ({known})" if known else "")
            + f"; expected {row['expected']:.3g}, "
            f"{row['count_low']} to {row['count_high']} (95 %)"
        )
    return "\n".join([*lines, *(f"  note: {note}" for note in summary["notes"])])
