"""Classical hazard from a declaration: the files of OpenQuake's job, and its answers as tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kaname.core.errors import FormatError
from kaname.core.files import replacing
from kaname.core.hazard import DISAGGREGATION, HAZARD_CURVES, HAZARD_LEVELS
from kaname.core.shaking import period_of
from kaname.modeling.field.maps import Grid
from kaname.modeling.ground_motion.openquake import TECTONIC_REGIONS, log_unit, openquake_name
from kaname.modeling.hazard.declaration import Calculation, check_regions, sites_of
from kaname.modeling.hazard.jobs import JobResult, run_jobs
from kaname.modeling.hazard.nrml import write_model_tree, write_source_model, write_source_tree
from kaname.modeling.hazard.sources import AnySource, read_sources, smoothed

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Job:
    """Files that OpenQuake runs on, and what they were made of."""

    calculation: Calculation
    classical: Path
    disaggregation: Path | None
    models: tuple[Path, ...]
    """Exported models that the logic tree names."""
    sources: dict[str, list[AnySource]]
    """By name of the source model."""
    sites: pd.DataFrame
    grid: Grid | None


def write_job(calculation: Calculation, folder: str | Path) -> Job:
    """Write source models, logic trees, sites and ``job.ini`` into a folder.

    Raises
    ------
    InputError, NotFoundError, FormatError
        When a source, a forecast, a model or a site is not as declared.
    """
    target = Path(folder)
    sources = {m.name: _sources(m.files, m.smoothed) for m in calculation.source_models}
    for mine in sources.values():
        check_regions(calculation, mine)
    sites, grid = sites_of(calculation)
    tree = {}
    for k, model in enumerate(calculation.source_models):
        path = target / f"sources_{k}.xml"
        write_source_model(path, sources[model.name], name=model.name, width=calculation.magnitude_width)
        tree[path.name] = model.weight
    write_source_tree(target / "source_tree.xml", tree)
    regions = {s.properties.tectonic_region for mine in sources.values() for s in mine}
    models = [b for b in calculation.ground_motion if b.tectonic_region in regions]
    write_model_tree(
        target / "model_tree.xml",
        {
            region: [(_openquake_class(b.model), b.weight) for b in models if b.tectonic_region == region]
            for region in dict.fromkeys(b.tectonic_region for b in models)
        },
    )
    levels = {
        openquake_name(measure): [
            float(f"{value:.8g}") for value in np.geomspace(low, high, n) / np.exp(log_unit(measure))
        ]
        for measure, (low, high, n) in calculation.levels.items()
    }
    common = {
        "rupture_mesh_spacing": calculation.rupture_spacing_km,
        "area_source_discretization": calculation.area_spacing_km,
        "width_of_mfd_bin": calculation.magnitude_width,
        "pointsource_distance": calculation.point_distance_km,
        "source_model_logic_tree_file": "source_tree.xml",
        "gsim_logic_tree_file": "model_tree.xml",
        "number_of_logic_tree_samples": 0,
        "investigation_time": calculation.years,
        "intensity_measure_types_and_levels": levels,
        "truncation_level": calculation.truncation,
        "maximum_distance": calculation.maximum_distance_km,
    }
    _write_sites(target / "sites.csv", sites)
    classical = _write_ini(
        target / "job.ini",
        {
            "description": calculation.name,
            "calculation_mode": "classical",
            "site_model_file": "sites.csv",
            **common,
            "mean": True,
            "quantiles": " ".join(f"{q:g}" for q in calculation.quantiles),
            "poes": " ".join(f"{p:g}" for p in calculation.probabilities),
            "hazard_maps": True,
        },
    )
    disaggregation, wanted = None, calculation.disaggregation
    if wanted is not None:
        chosen = sites[sites["site"].isin(wanted.sites)]
        _write_sites(target / "sites_disaggregation.csv", chosen)
        disaggregation = _write_ini(
            target / "job_disaggregation.ini",
            {
                "description": f"{calculation.name}: disaggregation",
                "calculation_mode": "disaggregation",
                "site_model_file": "sites_disaggregation.csv",
                **common,
                "poes_disagg": f"{wanted.probability:g}",
                "mag_bin_width": wanted.magnitude_width,
                "distance_bin_width": wanted.distance_width_km,
                "coordinate_bin_width": 1.0,
                "num_epsilon_bins": wanted.n_epsilon,
                "disagg_outputs": "TRT_Mag_Dist_Eps",
            },
        )
    exported = tuple(dict.fromkeys(Path(b.model) for b in models if b.model.endswith(".py")))
    return Job(calculation, classical, disaggregation, exported, sources, sites, grid)


@dataclass(frozen=True)
class Hazard:
    """What came out of a classical calculation."""

    curves: pd.DataFrame
    """HAZARD_CURVES."""
    levels: pd.DataFrame
    """HAZARD_LEVELS: maps and uniform hazard spectra."""
    disaggregation: pd.DataFrame
    """DISAGGREGATION, empty when none was declared."""


def run(job: Job, *, cores: int = 1, python: str | Path | None = None) -> Hazard:
    """Run OpenQuake on a job and return its answers.

    Raises
    ------
    OpenQuakeError
        When OpenQuake refuses.
    FormatError
        When a table that was asked for did not come.
    """
    from kaname.core.tables import empty

    result = run_jobs(job.classical, models=job.models, cores=cores, python=python)
    apart = empty(DISAGGREGATION)
    if job.disaggregation is not None:
        answer = run_jobs(job.disaggregation, models=job.models, cores=cores, python=python)
        apart = _disaggregation(job, answer)
    return Hazard(_curves(job, result), _levels(job, result), apart)


def _statistics(job: Job) -> list[tuple[str, str]]:
    """What OpenQuake calls the statistics in names of tables, and what we call them."""
    return [("hazard_{}-mean", "mean")] + [
        (f"quantile_{{}}-{q:g}", f"quantile_{q:g}") for q in job.calculation.quantiles
    ]


def _table(job: Job, result: JobResult, name: str) -> pd.DataFrame:
    """Return a table of OpenQuake beside the sites it is for, in the order of the sites."""
    if name not in result.tables:
        reasons = "; ".join(f"{key}: {why}" for key, why in result.failed.items())
        raise FormatError(
            f"OpenQuake made no {name}, but {', '.join(result.tables)}{f' ({reasons})' if reasons else ''}"
        )
    found = result.tables[name]
    return found.set_index(found["custom_site_id"].astype(int)).reindex(job.sites.index)


def _where(job: Job, **columns: object) -> pd.DataFrame:
    return job.sites[["site", "longitude", "latitude", "vs30_m_s"]].assign(**columns)


def _curves(job: Job, result: JobResult) -> pd.DataFrame:
    import pandas as pd

    from kaname.core.tables import validate

    years, parts = job.calculation.years, []
    for pattern, statistic in _statistics(job):
        for measure, (low, high, n) in job.calculation.levels.items():
            table = _table(job, result, f"{pattern.format('curve')}-{_written(measure)}")
            # Names of columns are rounded; the levels are those that were asked for, in order.
            poes = table.filter(like="poe-").to_numpy(float)
            for level, poe in zip(np.geomspace(low, high, n), poes.T):
                # Single precision: of a probability closer to 1 no rate can be told.
                rate = -np.log1p(-np.where(poe < 1 - 1e-5, poe, np.nan)) / years
                parts.append(
                    _where(
                        job, statistic=statistic, measure=measure, level=level, years=years, probability=poe,
                        rate_per_year=rate,
                    )
                )  # fmt: skip
    return validate(pd.concat(parts, ignore_index=True), HAZARD_CURVES)


def _levels(job: Job, result: JobResult) -> pd.DataFrame:
    import pandas as pd

    from kaname.core.tables import validate

    years, parts = job.calculation.years, []
    for pattern, statistic in _statistics(job):
        table = _table(job, result, pattern.format("map"))
        for measure, (low, high, _) in job.calculation.levels.items():
            period = 0.0 if measure == "pga" else period_of(measure)
            for probability in job.calculation.probabilities:
                level = table[f"{_written(measure)}-{probability:g}"] * np.exp(log_unit(measure))
                # Where the curve does not reach the probability, OpenQuake gives 0 or the level of its end.
                level = level.where((level > low * (1 + 1e-6)) & (level < high * (1 - 1e-6)))
                parts.append(
                    _where(
                        job, statistic=statistic, measure=measure, period_s=period, years=years,
                        probability=probability, return_period_years=-years / np.log1p(-probability),
                        level=level,
                    )
                )  # fmt: skip
    return validate(pd.concat(parts, ignore_index=True), HAZARD_LEVELS)


def _disaggregation(job: Job, result: JobResult) -> pd.DataFrame:
    import pandas as pd

    from kaname.core.tables import validate

    wanted = job.calculation.disaggregation
    assert wanted is not None
    chosen = job.sites[job.sites["site"].isin(wanted.sites)]
    measures = {_written(measure): measure for measure in job.calculation.levels}
    regions = {theirs: ours for ours, theirs in TECTONIC_REGIONS.items()}
    parts = []
    for k, (_, site) in enumerate(chosen.iterrows()):
        name = f"TRT_Mag_Dist_Eps-mean-{k}"
        if name not in result.tables:
            raise FormatError(
                f"no earthquake exceeds the level of probability {wanted.probability:g} at {site['site']}"
            )
        for imt, table in result.tables[name].groupby("imt", sort=False):
            rate = -np.log1p(-table["mean"].to_numpy(float))
            measure = measures[str(imt)]
            own = {
                "measure": measure,
                "level": table["iml"] * np.exp(log_unit(measure)),
                "probability": wanted.probability,
                "tectonic_region": table["trt"].map(regions),
                "magnitude": table["mag"],
                "distance_km": table["dist"],
                "epsilon": table["eps"],
                "share": rate / rate.sum(),
            }
            where = {c: site[c] for c in ("site", "longitude", "latitude", "vs30_m_s")}
            parts.append(pd.DataFrame({**where, **own})[rate > 0])
    return validate(pd.concat(parts, ignore_index=True), DISAGGREGATION)


def _written(measure: str) -> str:
    """Return a measure as OpenQuake writes it in names: ``SA(1.0)`` where we write ``SA(1)``."""
    period = period_of(measure)
    return f"SA({period!r})" if period is not None else openquake_name(measure)


def _sources(files: tuple[Path, ...], grids: tuple) -> list[AnySource]:  # type: ignore[type-arg]
    from kaname.core.forecasts import FORECASTS
    from kaname.core.tables import read_table
    from kaname.formats.csep import read_grid

    found = [source for file in files for source in read_sources(file)]
    for properties in grids:
        file = properties.forecast
        table = read_grid(file) if file.suffix == ".dat" else read_table(file, FORECASTS)
        found.append(smoothed(properties, table))
    return found


def _openquake_class(model: str) -> str:
    return Path(model).stem if model.endswith(".py") else model


def _write_sites(path: Path, sites: pd.DataFrame) -> None:
    """Write the table of sites under OpenQuake's names, with the number of each."""
    import pandas as pd

    table = pd.DataFrame(
        {
            "custom_site_id": sites.index.astype(str),
            "lon": sites["longitude"],
            "lat": sites["latitude"],
            "vs30": sites["vs30_m_s"],
            "vs30measured": 0,
        }
    )
    for column, theirs in (("z1pt0_m", "z1pt0"), ("z2pt5_km", "z2pt5")):
        if column in sites:
            table[theirs] = sites[column]
    with replacing(path) as partial:
        table.to_csv(partial, index=False)


def _write_ini(path: Path, parameters: dict[str, object]) -> Path:
    lines = [f"{name} = {value}" for name, value in parameters.items() if value != ""]
    with replacing(path) as partial:
        partial.write_text("\n".join(["[general]", *lines, ""]), encoding="utf-8")
    return path
