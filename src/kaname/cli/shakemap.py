"""Map the shaking of an earthquake between its stations, with its uncertainty."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaname.cli._options import AsJson, edges_of, numbers

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from kaname.earth.ruptures import Rupture
    from kaname.modeling.field.maps import Grid
    from kaname.modeling.strong_motion.sites import Vs30Map

LEVELS = {"pga": (80.0, 250.0, 400.0, 800.0), "pgv": (5.0, 15.0, 30.0, 60.0)}
"""Levels of which the probability of exceeding is mapped, where none are given [cm/s2, cm/s]."""
FIELDS = ("conditioned", "learned")


def command(
    event: Annotated[str, typer.Argument(help="Identifier of the earthquake (event_id).")],
    out: Annotated[Path, typer.Option("--out", help="Folder for maps, tables and run.json.")],
    db: Annotated[Path | None, typer.Option("--db", help="Database of kaname records build.")] = None,
    stations: Annotated[
        Path | None,
        typer.Option("--stations", help="Table of ground motions or station list (CSV, Parquet, JSON)."),
    ] = None,
    measure: Annotated[
        list[str] | None, typer.Option("--measure", help="pga, pgv or sa(PERIOD); may be repeated.")
    ] = None,
    model: Annotated[
        str,
        typer.Option("--model", help="Published model of ground motion, or file of kaname gmm fit (.npz)."),
    ] = "boore_2014",
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            metavar="NAME=VALUE",
            help="Option of the model, such as mechanism=unspecified (boore_2014) where no rake is known; "
            "may be repeated.",
        ),
    ] = None,
    spatial: Annotated[
        str,
        typer.Option(
            "--spatial",
            help="Spatial correlation: jayaram_baker_2009, jayaram_baker_2009_clustered, "
            "heresi_miranda_2019, loth_baker_2013, or estimated (range and nugget from these records).",
        ),
    ] = "jayaram_baker_2009_clustered",
    bounds: Annotated[
        str,
        typer.Option(
            "--bounds",
            metavar="W,S,E,N",
            help="West, south, east, north of the map in degrees; default: where the stations are.",
        ),
    ] = "",
    spacing: Annotated[float, typer.Option("--spacing", help="Of the points of the map [degrees].")] = 0.05,
    vs30: Annotated[
        float, typer.Option("--vs30", help="Vs30 of points and stations that have no other [m/s].")
    ] = 760.0,
    vs30_map: Annotated[
        Path | None,
        typer.Option(
            "--vs30-map", help="Vs30 by place (GeoTIFF or CSV in m/s), for points and stations without."
        ),
    ] = None,
    field: Annotated[
        str,
        typer.Option(
            "--field",
            help="conditioned: the model, conditioned on this earthquake's recordings; learned: the residual "
            "field, learned from the recordings of all earthquakes that are given.",
        ),
    ] = "conditioned",
    hypocentre: Annotated[
        str | None,
        typer.Option("--hypocentre", metavar="LAT,LON,KM", help="Where the table does not say it."),
    ] = None,
    plane: Annotated[
        str | None,
        typer.Option(
            "--plane",
            metavar="STRIKE,DIP,LENGTH,WIDTH",
            help="Rupture about the hypocentre [degrees, km]; default: a point.",
        ),
    ] = None,
    uncertainty: Annotated[
        float, typer.Option("--uncertainty", min=0, help="Standard deviation of every recording [ln units].")
    ] = 0.0,
    level: Annotated[
        list[float] | None, typer.Option("--level", help="Level to exceed, unit of the measure; repeatable.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Map the shaking of an earthquake between its stations, with its uncertainty."""
    import numpy as np
    import pandas as pd

    from kaname.core.errors import InputError
    from kaname.core.geo import EARTH_RADIUS_KM
    from kaname.core.provenance import inputs_of, software, write_json
    from kaname.core.shaking import PERIODS_S, column_of, unit_of
    from kaname.modeling.field import conditioning, maps, moments
    from kaname.modeling.strong_motion.reading import files_of
    from kaname.modeling.strong_motion.sites import read_vs30
    from kaname.report import shaking

    if field not in FIELDS:
        raise InputError(f"--field {field!r}; expected {' or '.join(FIELDS)}")
    if field == "learned" and uncertainty:
        raise InputError("a learned field finds the noise of recordings itself; leave --uncertainty out")
    everything, source = _records(db, stations)
    records = _of_event(everything, event, source)
    rupture = _rupture(records, hypocentre, plane)
    predictor = _model(model, _options(option))
    edges = _bounds(records, bounds)
    grid = maps.Grid.over(edges, spacing)
    latitude, longitude = grid.points()
    if not _holds(edges, records):
        logging.getLogger("kaname").warning(
            "none of the %d stations lies within the map: far from them it shows the model alone",
            len(records),
        )
    ground = None if vs30_map is None else read_vs30(vs30_map)
    targets, of_points = _with_sites(_scenario(records, grid, rupture), ground, vs30)
    records, of_stations = _with_sites(_with_distances(records, rupture), ground, vs30)
    site = {"map": str(vs30_map or ""), "constant_m_s": vs30, "points": of_points, "stations": of_stations}
    summary: dict[str, Any] = {"event_id": event, "stations": len(records), "vs30": site, "measures": {}}
    epicentre = rupture.hypocentre[0], rupture.hypocentre[1]
    out.mkdir(parents=True, exist_ok=True)
    for name in dict.fromkeys(measure or ["pga"]):
        if column_of(name) not in records:
            periods = ", ".join(f"{p:g}" for p in PERIODS_S)
            raise InputError(f"a table of ground motions has no {name}; the periods of sa are {periods} s")
        known = records[records[column_of(name)] > 0]
        if known.empty:
            raise InputError(
                f"event {event} has no record of {name}; leave it out, or predict it from others"
            )
        there = predictor.predict(known, name)
        value = np.log(known[column_of(name)].to_numpy(float))
        lat, lon = known["latitude"].to_numpy(float), known["longitude"].to_numpy(float)
        about: dict[str, Any]
        shaken: maps.Field
        if field == "learned":
            from kaname.modeling.field import learned

            others = _usable(everything[everything["event_id"] != event])
            others, _ = _with_sites(others, ground, vs30)
            fitted, used = learned.learn(pd.concat([known, others]), predictor, name)
            shaken = learned.mapped(fitted, targets, predictor, name)
            about = {
                "records_learned_from": len(used),
                "events_learned_from": int(used["event_id"].nunique()),
                "law": fitted.margin_.name,
            }
        else:
            here = predictor.predict(targets, name)
            rho = spatial
            if spatial == "estimated":
                found = moments.fit_moments(value - there.mean, known["event_id"].to_numpy(), lat, lon)
                rho = found.correlation  # type: ignore[assignment]
            at = conditioning.Places(name, lat, lon, there.mean, there.tau, there.phi)
            shaken = conditioned = conditioning.condition(
                [conditioning.Recorded(at, value, uncertainty)],
                conditioning.Places(name, latitude, longitude, here.mean, here.tau, here.phi),
                spatial=rho,
            )
            about = {
                "event_term_ln": round(float(np.mean(conditioned.event_term)), 3),
                "correlation": repr(rho) if spatial == "estimated" else spatial,
            }
        levels = level or LEVELS.get(name) or np.exp(np.quantile(value, [0.5, 0.9, 0.99])).round(1)
        values = maps.layers(shaken, levels)
        stem = column_of(name)
        files = maps.write_grid(out, stem, grid, values)
        shown = known[["latitude", "longitude"]].assign(value=np.exp(value))
        shaped = {k: v.reshape(grid.shape) for k, v in values.items()}
        label = maps.unit_label(name)
        drawn = {"latitude": grid.latitude, "longitude": grid.longitude}
        title = f"{event}, {label}, {len(known)} stations"
        plots = {
            stem: shaking.shaking_maps(
                **drawn, layers=shaped, stations=shown, label=label, title=title, epicentre=epicentre
            ),
            f"{stem}_above": shaking.exceedance_maps(
                **drawn,
                layers={
                    f"Above {k[6:]} {unit_of(name)}": v for k, v in shaped.items() if k.startswith("above_")
                },
                stations=shown,
                title=title,
                epicentre=epicentre,
            ),
        }
        if name in ("pga", "pgv"):
            intensity = maps.intensity_layers(shaken)
            files += maps.write_grid(out, f"intensity_from_{name}", grid, intensity)
            own = maps.intensity_layers(conditioning.ConditionedField.exactly(name, lat, lon, value))
            plots[f"intensity_from_{name}"] = shaking.intensity_map(
                **drawn,
                intensity=intensity["intensity"].reshape(grid.shape),
                stations=shown.assign(value=own["intensity"]),
                title=f"{event}, JMA intensity from {name.upper()}",
                epicentre=epicentre,
            )
        for plot, figure in plots.items():
            figure.savefig(out / f"{plot}.png", dpi=130)
            files.append(out / f"{plot}.png")
        files.append(
            maps.write_geojson(
                out / f"{stem}_stations.geojson",
                lat,
                lon,
                {"recorded": np.exp(value), "model_median": np.exp(there.mean), "station": known["station"]},
            )
        )
        summary["measures"][name] = {
            "stations": len(known),
            **about,
            "largest_median": float(f"{shaken.median.max():.4g}"),
            "unit": unit_of(name),
            "sigma_ln": [round(float(v), 3) for v in np.quantile(shaken.sigma, [0.05, 0.5, 0.95])],
            "files": sorted(f.name for f in files),
        }
    write_json(
        out / "run.json",
        {
            "verb": "shakemap",
            "software": software(),
            "inputs": inputs_of(
                [*files_of(source), *([vs30_map] if vs30_map else []), *([model] if _is_file(model) else [])]
            ),
            "event_id": event,
            "model": {"name": model, "options": _options(option)},
            "field": field,
            "spatial": spatial,
            "grid": {"bounds": edges, "spacing_degree": spacing, "shape": grid.shape},
            "rupture": {"hypocentre": rupture.hypocentre, "corners": np.asarray(rupture.corners).tolist()},
            "uncertainty_ln": uncertainty,
            "distance": "great circle on 6371 km",
            "correlation_radius_km": EARTH_RADIUS_KM,
            "result": summary,
        },
    )
    typer.echo(json.dumps(summary) if as_json else _text(summary, out))


def _records(db: Path | None, stations: Path | None) -> tuple[pd.DataFrame, Path]:
    """Return the records of all earthquakes, and where they come from."""
    from kaname.core.errors import InputError, NotFoundError
    from kaname.modeling.strong_motion.reading import read_ground_motions

    source = db or stations
    if source is None or (db and stations):
        raise InputError("give either --db or --stations")
    if not source.exists():
        raise NotFoundError(f"{source} does not exist; kaname records build makes a database")
    return read_ground_motions(source), source


def _usable(table: pd.DataFrame) -> pd.DataFrame:
    """Return one record per event and place, of sensors at the surface."""
    from kaname.modeling.field.residuals import deduplicated

    good = (table["quality"] != "rejected") & (table["duplicate_of"] == "") & ~(table["sensor_depth_m"] > 0)
    good &= table[["latitude", "longitude"]].notna().all(axis=1)
    return deduplicated(table[good]).reset_index(drop=True) if good.any() else table[good]


def _model(name: str, options: dict[str, Any]) -> Any:
    """Return a published model, or a fitted one from its file."""
    from kaname.core.errors import InputError
    from kaname.modeling.ground_motion.contract import get_model
    from kaname.modeling.ground_motion.saved import load_model

    if not _is_file(name):
        return get_model(name, **options)
    if options:
        raise InputError(f"{name} was fitted with its options; leave --option out")
    return load_model(name)


def _is_file(model: str) -> bool:
    return model.endswith(".npz")


def _of_event(everything: pd.DataFrame, event: str, source: Path) -> pd.DataFrame:
    from kaname.core.errors import NotFoundError

    own = everything[everything["event_id"] == event]
    if own.empty:
        known = ", ".join(map(str, sorted(everything["event_id"].unique())[:8]))
        raise NotFoundError(f"no event {event!r} in {source}; it has {known}")
    own = _usable(own)
    if own.empty:
        raise NotFoundError(f"event {event!r} has no record at the surface that may be used")
    return own


def _with_sites(
    places: pd.DataFrame, ground: Vs30Map | None, constant: float
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Fill in Vs30 and basin depths where they are missing; and how many places have which Vs30."""
    from kaname.modeling.strong_motion.sites import with_sites

    stated = int(places["vs30_m_s"].notna().sum()) if "vs30_m_s" in places else 0
    from_map = with_sites(places, vs30_map=ground)
    n = int(from_map["vs30_m_s"].notna().sum())
    counts = {"stated": stated, "map": n - stated, "constant": len(places) - n}
    return with_sites(from_map, vs30_m_s=constant), counts


def _rupture(records: pd.DataFrame, hypocentre: str | None, plane: str | None) -> Rupture:
    from kaname.core.errors import InputError
    from kaname.earth.ruptures import Rupture

    if hypocentre:
        where = numbers("--hypocentre", hypocentre, 3)
    else:
        first = records.iloc[0]
        where = [float(first[f"event_{c}"]) for c in ("latitude", "longitude", "depth_km")]
        if any(v != v for v in where):
            raise InputError(
                "the table does not say where the earthquake was; give --hypocentre LAT,LON,DEPTH_KM"
            )
    if not plane:
        return Rupture.point(*where)
    strike, dip, length, width = numbers("--plane", plane, 4)
    return Rupture.plane(*where, strike_deg=strike, dip_deg=dip, length_km=length, width_km=width)


def _options(option: list[str] | None) -> dict[str, Any]:
    from kaname.core.errors import InputError

    out: dict[str, Any] = {}
    for text in option or []:
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--option takes NAME=VALUE, found {text!r}")
        try:
            out[name] = json.loads(value)
        except json.JSONDecodeError:
            out[name] = value
    return out


def _bounds(records: pd.DataFrame, bounds: str) -> tuple[float, float, float, float]:
    if bounds:
        return edges_of(bounds)
    lat, lon = records["latitude"], records["longitude"]
    return float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max())


def _holds(edges: tuple[float, float, float, float], records: pd.DataFrame) -> bool:
    west, south, east, north = edges
    lon, lat = records["longitude"], records["latitude"]
    return bool((lon.between(west, east) & lat.between(south, north)).any())


def _with_distances(records: pd.DataFrame, rupture: Rupture) -> pd.DataFrame:
    """Fill in distances that the table does not state; those it states come from a better rupture."""
    from kaname.earth.ruptures import distances

    found = distances(rupture, records["latitude"], records["longitude"])
    filled = {}
    for name in ("repi_km", "rhypo_km", "rjb_km", "rrup_km", "rx_km"):
        filled[name] = records[name].fillna(dict(zip(records.index, getattr(found, name))))
    return records.assign(**filled)


def _scenario(records: pd.DataFrame, grid: Grid, rupture: Rupture) -> pd.DataFrame:
    """Return the points of the map as rows of ``ground_motions``, with their distances."""
    import pandas as pd

    from kaname.earth.ruptures import distances

    lat, lon = grid.points()
    shared = ("event_id", "magnitude", "event_depth_km", "strike_deg", "dip_deg", "rake_deg", "ztor_km")
    first = records.iloc[0]
    columns: dict[str, np.ndarray | Any] = {"latitude": lat, "longitude": lon}
    columns |= {c: first[c] for c in (*shared, "tectonic_region") if c in records}
    columns |= {f"event_{c}": v for c, v in zip(("latitude", "longitude"), rupture.hypocentre)}
    return pd.DataFrame(columns).assign(**distances(rupture, lat, lon)._asdict())


def _text(summary: dict[str, Any], out: Path) -> str:
    lines = [f"{summary['event_id']}: {summary['stations']} stations, in {out}"]
    site = summary["vs30"]
    for what in ("points", "stations"):
        said = {"stated": "stated", "map": f"from {site['map']}", "constant": f"{site['constant_m_s']:g} m/s"}
        parts = ", ".join(f"{said[how]} ({n})" for how, n in site[what].items() if n)
        lines.append(f"  Vs30 of {what}: {parts}")
    for name, found in summary["measures"].items():
        low, middle, high = found["sigma_ln"]
        if "event_term_ln" in found:
            how = f"event term {found['event_term_ln']:+.2f} ln units"
        else:
            how = f"from {found['records_learned_from']} records of {found['events_learned_from']} events"
        lines.append(
            f"  {name}: {found['stations']} stations, {how}, largest median {found['largest_median']:.3g} "
            f"{found['unit']}, sigma {middle:.2f} ({low:.2f} to {high:.2f}) ln units"
        )
    return "\n".join(lines)
