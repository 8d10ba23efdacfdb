"""Compute where an earthquake brought other faults nearer to failure (Coulomb stress)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaname.cli._options import AsJson

if TYPE_CHECKING:
    import pandas as pd

    from kaname.discovery.stress.field import Medium, Optimal, Planes
    from kaname.discovery.stress.sources import Source
    from kaname.formats.srcmod import FiniteSource

REMARKS = (
    "An elastic, uniform half space: no layers, no topography, no afterslip, no relaxation, no fluids.",
    "The slip of the source is taken as it is; near it (within a subfault or two) the change is an artefact "
    "of how the slip was cut into rectangles.",
    "A positive change means nearer to failure, not that an earthquake will follow. The distance from the "
    "rupture alone may tell as much about where aftershocks are: compare with --aftershocks.",
)


def command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="SRCMOD .fsp, table of planes (CSV, Parquet), QuakeML with a mechanism, or "
            "LAT,LON,DEPTH_KM,STRIKE,DIP,RAKE,MW.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for maps, sections, tables and run.json.")],
    receiver: Annotated[
        str,
        typer.Option(
            "--receiver", help="STRIKE/DIP/RAKE, optimal, a .fsp model, or source (its mean plane)."
        ),
    ] = "source",
    regional: Annotated[
        str,
        typer.Option(
            "--regional",
            metavar="REGIME,AZIMUTH,MPA",
            help="For --receiver optimal: strike-slip, normal or thrust, the azimuth of the greatest "
            "horizontal compression, greatest minus least compression.",
        ),
    ] = "",
    depth: Annotated[
        list[float] | None, typer.Option("--depth", min=0, help="Of a map [km]; repeatable.")
    ] = None,
    margin: Annotated[float, typer.Option("--margin", help="Map beyond the source [km].")] = 50.0,
    spacing: Annotated[float, typer.Option("--spacing", help="Of the map [km].")] = 1.0,
    azimuth: Annotated[
        float | None, typer.Option("--azimuth", help="Of the section [degrees]; default: across the strike.")
    ] = None,
    friction: Annotated[float, typer.Option("--friction", help="Effective friction.")] = 0.4,
    poisson: Annotated[float, typer.Option("--poisson", help="Poisson's ratio.")] = 0.25,
    shear_modulus: Annotated[float, typer.Option("--shear-modulus", help="Of the ground [GPa].")] = 32.0,
    plane: Annotated[int, typer.Option("--plane", min=1, max=2, help="Nodal plane of a mechanism.")] = 1,
    aftershocks: Annotated[
        Path | None, typer.Option("--aftershocks", help="Catalogue to draw, and to test the pattern with.")
    ] = None,
    learned: Annotated[
        bool, typer.Option("--learned", help="Boosted trees on the stress beside the baselines in the test.")
    ] = False,
    limit: Annotated[float, typer.Option("--limit", help="End of the colours [MPa].")] = 0.1,
    as_json: AsJson = False,
) -> None:
    """Compute where an earthquake brought other faults nearer to failure; write maps, tables and a report."""
    import numpy as np
    import pandas as pd

    from kaname.core.errors import InputError
    from kaname.core.provenance import inputs_of, software, write_json
    from kaname.core.tables import write_table
    from kaname.discovery.stress import field
    from kaname.formats.geotiff import write_geotiff
    from kaname.formats.srcmod import read_srcmod
    from kaname.report import stress as drawing

    if learned and aftershocks is None:
        raise InputError("--learned goes with --aftershocks: it is scored on them")
    if not limit > 0:
        raise InputError(f"--limit is {limit:g}; expected more than 0 MPa")
    rupture, inputs = _source(source, plane)
    medium = field.Medium(poisson, shear_modulus, friction)
    given = Path(receiver)
    model = read_srcmod(given) if given.suffix.lower() == ".fsp" else None
    receivers = _receivers("source" if model else receiver, regional, rupture)
    inputs += [given] if model else []
    events = None
    if aftershocks is not None:
        from kaname.formats.catalogs import read_events

        read = read_events(aftershocks)
        if read.failures:
            raise InputError(f"{len(read.failures)} entries unread; the first: {read.failures[0]['message']}")
        events, inputs = read.events.dropna(subset=["latitude", "longitude"]), [*inputs, aftershocks]

    out.mkdir(parents=True, exist_ok=True)
    summary: dict[str, Any] = {
        "source": rupture.name,
        "magnitude": round(rupture.magnitude, 3),
        "subfaults": len(rupture.slip_m),
        "receiver": receiver,
    }
    if not isinstance(receivers, field.Optimal):
        summary["receiver_planes"] = "/".join(
            f"{v:.0f}" for v in (receivers.strike_deg, receivers.dip_deg, receivers.rake_deg)
        )
    lat, lon = field.grid(rupture, margin_km=margin, spacing_km=spacing)
    places = [a.ravel() for a in np.meshgrid(lat, lon, indexing="ij")]
    turned = _across(rupture) if azimuth is None else azimuth
    corners = rupture.dislocations.vertices
    outlines = np.stack(rupture.frame.to_geographic(corners[..., 0], corners[..., 1]), axis=-1)
    ends = rupture.frame.to_geographic(
        *(np.array([-margin, margin]) * f(np.radians(turned)) for f in (np.sin, np.cos))
    )
    figures: dict[str, Any] = {}
    slices: list[pd.DataFrame] = []
    for level in depth or [round(min(max(rupture.epicentre_depth_km, 0.0), 30.0), 1)]:
        table = field.coulomb_at(rupture, places[0], places[1], level, receivers, medium)
        write_geotiff(
            out / f"coulomb_{level:g}km.tif",
            {
                n: table[f"{n}_mpa"].to_numpy().reshape(len(lat), len(lon))
                for n in ("coulomb", "shear", "normal")
            },
            lat,
            lon,
        )
        figures[f"At {level:g} km depth"] = drawing.stress_map(
            table,
            outlines,
            title=f"{rupture.name}, {level:g} km",
            limit_mpa=limit,
            aftershocks=events,
            trace=ends,
        )
        slices.append(table)
    changes = pd.concat(slices, ignore_index=True)
    write_table(changes, out / "coulomb.parquet", field.STRESS_CHANGES)
    changes.to_csv(out / "coulomb.csv", index=False, float_format="%.6g")
    summary |= {"points": len(changes), "singular": int(changes["singular"].sum())}

    cut = field.section(
        rupture,
        azimuth_deg=turned,
        half_length_km=margin,
        depth_km=max(30.0, float(-corners[..., 2].min()) + 5),
        spacing_km=spacing,
    )
    table = field.coulomb_at(rupture, cut["latitude"], cut["longitude"], cut["depth_km"], receivers, medium)
    table["along_km"] = cut["along_km"].to_numpy()
    write_table(table, out / "section.parquet", field.STRESS_CHANGES)
    figures["Section from A to B"] = _section_figure(rupture, table, turned, events, limit)
    if model:
        table = field.coulomb_on_model(rupture, model, medium)
        write_table(table, out / "receiver.parquet", field.STRESS_CHANGES)
        table.to_csv(out / "receiver.csv", index=False, float_format="%.6g")
        figures[f"On {model.tag}"] = drawing.receiver_plane(table, title=model.tag, limit_mpa=limit)
        summary["receiver_mean_mpa"] = float(np.nanmean(table["coulomb_mpa"]))
        summary["receiver_share_positive"] = float((table["coulomb_mpa"] > 0).mean())
    if events is not None:
        _pattern(rupture, events, receivers, medium, learned, out, summary, figures)
    for number, figure in enumerate(figures.values(), 1):
        figure.savefig(out / f"figure_{number}.png", dpi=150)
    facts = [(name.replace("_", " "), _short(value)) for name, value in summary.items()]
    facts += [("effective friction", f"{friction:g}"), ("shear modulus", f"{shear_modulus:g} GPa")]
    drawing.write_report(
        out / "report.html",
        title=f"Coulomb stress: {rupture.name}",
        figures=figures,
        facts=facts,
        remarks=REMARKS,
    )
    settings = {
        "source": source, "receiver": receiver, "regional": regional, "depth": depth, "margin_km": margin,
        "spacing_km": spacing, "azimuth_deg": turned, "friction": friction, "poisson_ratio": poisson,
        "shear_modulus_gpa": shear_modulus, "plane": plane,
    }  # fmt: skip
    write_json(
        out / "run.json",
        {"settings": settings, "inputs": inputs_of(inputs), "software": software(), "summary": summary},
    )
    if as_json:
        typer.echo(json.dumps(summary))
    else:
        typer.echo("\n".join(f"{k}: {_short(v)}" for k, v in summary.items()))
        typer.echo(f"report: {out / 'report.html'}")


def _source(text: str, plane: int) -> tuple[Source, list[Path]]:
    from kaname.core.errors import InputError
    from kaname.core.tables import read_table
    from kaname.discovery.stress import sources
    from kaname.formats.srcmod import SUBFAULTS, FiniteSource, read_srcmod

    path = Path(text)
    if not path.is_file():
        try:
            numbers = [float(word) for word in text.split(",")]
        except ValueError:
            numbers = []
        if len(numbers) != 7:
            raise InputError(f"{text!r} is neither a file nor LAT,LON,DEPTH_KM,STRIKE,DIP,RAKE,MW")
        lat, lon, depth, strike, dip, rake, magnitude = numbers
        couple = sources.from_double_couple(
            lat, lon, depth, strike_deg=strike, dip_deg=dip, rake_deg=rake, magnitude=magnitude
        )
        return couple, []
    if path.suffix.lower() == ".fsp":
        return sources.from_finite_source(_whole(read_srcmod(path))), [path]
    if path.suffix.lower() in (".csv", ".parquet"):
        return sources.from_finite_source(
            FiniteSource(tag=path.stem, subfaults=read_table(path, SUBFAULTS))
        ), [path]
    return _mechanism(path, plane), [path]


def _whole(model: FiniteSource) -> FiniteSource:
    """Say on stderr which lines of a model were not read."""
    import logging

    for failure in model.failures:
        logging.getLogger("kaname").warning("%s: %s", failure["subject"], failure["message"])
    return model


def _mechanism(path: Path, plane: int) -> Source:
    """Read the preferred mechanism, origin and magnitude of the one event of a QuakeML file."""
    from obspy import read_events

    from kaname.core.errors import FormatError, InputError
    from kaname.discovery.stress.sources import from_double_couple, nodal_planes

    try:
        catalog = read_events(str(path))
    except (TypeError, ValueError, LookupError, OSError) as error:
        raise FormatError(
            f"{path} is no source: expected .fsp, a table of planes or QuakeML ({error})"
        ) from error
    if len(catalog) != 1:
        raise InputError(f"{path} has {len(catalog)} events; give a file with the one that is the source")
    event = catalog[0]
    found = event.preferred_focal_mechanism() or (event.focal_mechanisms or [None])[0]
    origin = event.preferred_origin() or (event.origins or [None])[0]
    magnitude = event.preferred_magnitude() or (event.magnitudes or [None])[0]
    if found is None or origin is None or magnitude is None or origin.depth is None:
        raise InputError(f"{path} needs a focal mechanism, an origin with a depth and a magnitude")
    tensor = found.moment_tensor.tensor if found.moment_tensor else None
    planes = found.nodal_planes
    if planes and planes.nodal_plane_1 and planes.nodal_plane_2:
        chosen = planes.nodal_plane_1 if plane == 1 else planes.nodal_plane_2
        angles = chosen.strike, chosen.dip, chosen.rake
    elif tensor is not None:
        six = (tensor.m_rr, tensor.m_tt, tensor.m_pp, tensor.m_rt, tensor.m_rp, tensor.m_tp)
        angles = nodal_planes(six)[plane - 1]
    else:
        raise InputError(f"the mechanism in {path} has neither nodal planes nor a moment tensor")
    return from_double_couple(
        origin.latitude, origin.longitude, origin.depth / 1000, strike_deg=angles[0], dip_deg=angles[1],
        rake_deg=angles[2], magnitude=magnitude.mag, name=path.stem,
    )  # fmt: skip


def _receivers(text: str, regional: str, source: Source) -> Planes | Optimal:
    import numpy as np

    from kaname.core.errors import InputError
    from kaname.discovery.stress.coulomb import regional_stress
    from kaname.discovery.stress.field import Optimal, Planes

    if text == "optimal":
        words = regional.split(",")
        try:
            azimuth, size = float(words[1]), float(words[2])
        except (IndexError, ValueError) as error:
            raise InputError(
                "--receiver optimal needs --regional REGIME,AZIMUTH,MPA, such as thrust,110,10"
            ) from error
        return Optimal(regional_stress(words[0], azimuth, differential_mpa=size))  # type: ignore[arg-type]
    if regional:
        raise InputError("--regional goes with --receiver optimal")
    if text == "source":
        # The mean of directions, weighted by slip, so that 359 and 1 degree make 0.
        weight = np.abs(source.slip_m)
        strike, rake = (
            float(np.degrees(np.arctan2((weight * np.sin(a)).sum(), (weight * np.cos(a)).sum())))
            for a in (np.radians(source.strike_deg), np.radians(source.rake_deg))
        )
        return Planes(strike % 360, float(np.average(source.dip_deg, weights=weight)), rake)
    try:
        strike, dip, rake = (float(v) for v in text.split("/"))
    except ValueError as error:
        raise InputError(
            f"--receiver takes STRIKE/DIP/RAKE, optimal, source or a .fsp file, found {text!r}"
        ) from error
    if not 0 <= dip <= 90:
        raise InputError(f"the dip of --receiver is {dip:g}; expected 0 to 90 degrees")
    return Planes(strike, dip, rake)


def _across(source: Source) -> float:
    import numpy as np

    doubled = 2 * np.radians(source.strike_deg)
    weight = np.abs(source.slip_m)
    return float(
        np.degrees(np.arctan2((weight * np.sin(doubled)).sum(), (weight * np.cos(doubled)).sum())) / 2 + 90
    )


def _section_figure(
    source: Source, table: pd.DataFrame, azimuth: float, events: pd.DataFrame | None, limit: float
) -> Any:
    from kaname.report import stress as drawing

    along, across = drawing.along_of(source.centres[:, 0], source.centres[:, 1], azimuth)
    near = abs(across) < 5
    shown = None
    if events is not None:
        known = events.dropna(subset=["depth_km"])
        east, north = source.frame.to_local(known["latitude"], known["longitude"])
        where, off = drawing.along_of(east, north, azimuth)
        shown = where[abs(off) < 5], known["depth_km"].to_numpy()[abs(off) < 5]
    return drawing.stress_section(
        table, title=f"Section at azimuth {azimuth % 360:.0f}°, 5 km either side", limit_mpa=limit,
        source=(along[near], -source.centres[near, 2]), aftershocks=shown,
    )  # fmt: skip


def _pattern(
    source: Source,
    events: pd.DataFrame,
    receivers: Planes | Optimal,
    medium: Medium,
    learned: bool,
    out: Path,
    summary: dict[str, Any],
    figures: dict[str, Any],
) -> None:
    from kaname.core.errors import InputError
    from kaname.discovery.stress import aftershocks
    from kaname.report import stress as drawing

    try:
        scores = aftershocks.pattern_test(
            aftershocks.cells(source, events, receivers, medium), learned=learned
        )
    except InputError as error:
        summary["pattern_test"] = f"not done: {error}"
        return
    scores.to_csv(out / "pattern.csv", index=False, float_format="%.4f")
    summary["pattern_auc"] = dict(zip(scores["predictor"], scores["auc"].round(3)))
    figures["How well each tells the cells with aftershocks (squares: baselines)"] = drawing.pattern_scores(
        scores, baselines=aftershocks.BASELINES
    )


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_short(v)}" for k, v in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)
