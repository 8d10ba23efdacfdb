"""What ``kaname hazard classical`` writes and says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kaname.modeling.hazard.classical import Hazard, Job


def sources(job: Job) -> list[dict[str, Any]]:
    """Return what every source amounts to, with the source model it is of."""
    from kaname.modeling.hazard.sources import summary

    width = job.calculation.magnitude_width
    return [
        {"source_model": name, **row} for name, mine in job.sources.items() for row in summary(mine, width)
    ]


def inputs(job: Job) -> list[Path]:
    """Return the files that the declaration names."""
    calculation = job.calculation
    files = [f for m in calculation.source_models for f in (*m.files, *(s.forecast for s in m.smoothed))]
    files += [table for module in job.models for table in (module, module.with_suffix(".npz"))]
    return files + ([calculation.sites.file] if calculation.sites.file is not None else [])


def write(out: Path, job: Job, hazard: Hazard) -> list[str]:
    """Write tables, maps and figures; return the names of the files."""
    from kaname.core.hazard import DISAGGREGATION, HAZARD_CURVES, HAZARD_LEVELS
    from kaname.core.tables import write_table
    from kaname.modeling.field.maps import unit_label, write_grid
    from kaname.report import hazard as report
    from kaname.report.shaking import hazard_maps

    files = [
        write_table(hazard.curves, out / "hazard_curves.parquet", HAZARD_CURVES),
        write_table(hazard.levels, out / "hazard_levels.parquet", HAZARD_LEVELS),
    ]
    figures = {}
    named = hazard.curves[hazard.curves["site"] != ""]
    if len(named):
        figures["hazard_curves"] = report.hazard_curves(named, label=unit_label)
    spectra = hazard.levels[(hazard.levels["site"] != "") & hazard.levels["period_s"].notna()]
    if spectra["period_s"].nunique() > 1:
        figures["uniform_hazard_spectra"] = report.uniform_hazard_spectra(spectra)
    if len(hazard.disaggregation):
        files.append(write_table(hazard.disaggregation, out / "disaggregation.parquet", DISAGGREGATION))
        for site, part in hazard.disaggregation.groupby("site", sort=False):
            figures[f"disaggregation_{_file(str(site))}"] = report.disaggregation(part, label=unit_label)
    if job.grid is not None:
        points = hazard.levels[hazard.levels["site"] == ""]
        for measure, own in points.groupby("measure", sort=False):
            layers = {
                f"{statistic}_{probability:g}": part["level"].to_numpy()
                for (statistic, probability), part in own.groupby(["statistic", "probability"], sort=False)
            }
            files += write_grid(out, f"map_{_file(str(measure))}", job.grid, layers)
            shown = {
                f"{probability:g} in {job.calculation.years:g} years (once in {period:.0f})": part["level"]
                .to_numpy()
                .reshape(job.grid.shape)
                for (probability, period), part in own[own["statistic"] == "mean"].groupby(
                    ["probability", "return_period_years"], sort=False
                )
            }
            figures[f"map_{_file(str(measure))}"] = hazard_maps(
                job.grid.latitude, job.grid.longitude, shown, job.sites[job.sites["site"] != ""],
                outlines(job), label=unit_label(str(measure)),
                title=f"{job.calculation.name}: mean hazard",
            )  # fmt: skip
    for stem, figure in figures.items():
        files.append(out / f"{stem}.png")
        figure.savefig(files[-1], dpi=130)
    return [path.name for path in files]


def outlines(job: Job) -> list[Any]:
    """Return the lines of faults and the rings of areas, each once: longitude, latitude ``(n, 2)``."""
    import numpy as np

    from kaname.modeling.hazard.sources import Area, Fault

    found: dict[bytes, Any] = {}
    for source in (s for mine in job.sources.values() for s in mine):
        if isinstance(source, Fault):
            found[source.trace.tobytes()] = source.trace
        elif isinstance(source, Area):
            found[source.ring.tobytes()] = np.concatenate([source.ring, source.ring[:1]])
    return list(found.values())


def _file(name: str) -> str:
    """Return a name in letters that every file system takes: ``sa_0_3_`` for ``sa(0.3)``."""
    return "".join(c if c.isalnum() else "_" for c in name).strip("_")


def levels(hazard: Hazard) -> list[dict[str, Any]]:
    """Return mean levels at the named sites."""
    rows = hazard.levels[(hazard.levels["site"] != "") & (hazard.levels["statistic"] == "mean")]
    keys = ["site", "measure", "probability", "return_period_years", "level"]
    rounded = rows[keys].round({"return_period_years": 1, "level": 3})
    found: list[dict[str, Any]] = rounded.to_dict("records")
    # JSON has no NaN.
    return [{key: None if value != value else value for key, value in row.items()} for row in found]


def notes(hazard: Hazard) -> list[str]:
    """Return what must be said of the result."""
    said = []
    for (measure, probability), part in hazard.levels.groupby(["measure", "probability"], sort=False):
        n = int(part["level"].isna().sum())
        if n:
            said.append(
                f"{n} of {len(part)} levels of {measure} with probability {probability:g} are below or above "
                "all declared levels and missing; widen them"
            )
    return said


def text(summary: dict[str, Any], out: Path) -> str:
    """Return the summary in lines."""
    from kaname.core.shaking import unit_of

    lines = [f"{summary['name']}: {summary['sites']} sites"]
    for row in summary["sources"]:
        lines.append(
            f"  {row['source_model']}: {row['kind']} {row['name']}: {row['rate_per_year']:.4g} per year, "
            f"M {row['magnitude_min']:g} to {row['magnitude_max']:g}"
        )
    for row in summary.get("levels", []):
        level = (
            "outside the declared levels"
            if row["level"] is None
            else f"{row['level']:.4g} {unit_of(row['measure'])}"
        )
        lines.append(
            f"  {row['site']}: {row['measure']} {level} with probability {row['probability']:g} "
            f"(once in {row['return_period_years']:.0f} years)"
        )
    lines += [f"  {out / name}" for name in summary.get("files", [])]
    lines += [f"  note: {note}" for note in summary.get("notes", [])]
    return "\n".join(lines)
