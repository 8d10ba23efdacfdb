"""What a classical hazard calculation is declared by: a TOML file that names sources, models and sites."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from kaname.core.config import Settings, load_settings
from kaname.core.errors import FormatError, InputError, NotFoundError
from kaname.core.shaking import unit_of
from kaname.earth.sites import z1pt0_m_of, z2pt5_km_of
from kaname.modeling.field.maps import Grid
from kaname.modeling.ground_motion.openquake import openquake_name
from kaname.modeling.hazard.sources import AnySource, SmoothedProperties, TectonicRegion

if TYPE_CHECKING:
    import pandas as pd


class SourceModel(Settings):
    """One model of the sources; several are branches of the logic tree."""

    name: str = Field(description="name of the source model")
    weight: float = Field(1.0, gt=0, le=1, description="weights of all source models add up to 1")
    files: tuple[Path, ...] = Field((), description="GeoJSON of areas (polygons) and faults (lines)")
    smoothed: tuple[SmoothedProperties, ...] = Field((), description="smoothed seismicity")


class Branch(Settings):
    """One model of ground motion in the logic tree."""

    tectonic_region: TectonicRegion = Field(description="the sources it is for")
    model: str = Field(description="a class of OpenQuake, or NAME.py of kaname hazard export")
    weight: float = Field(1.0, gt=0, le=1, description="weights of a region add up to 1")


class GridSettings(Settings):
    """Sites on a grid, for maps."""

    bounds: tuple[float, float, float, float] = Field(description="west, south, east, north [degree]")
    spacing_degree: float = Field(gt=0, description="spacing [degree]")


class Sites(Settings):
    """Where hazard is wanted."""

    file: Path | None = Field(None, description="CSV: name, longitude, latitude; vs30_m_s, z1pt0_m, z2pt5_km")
    grid: GridSettings | None = Field(None, description="a grid beside, or instead of, the file")
    vs30_m_s: float | None = Field(None, gt=0, description="Vs30 where the file says none [m/s]")
    basin: Literal["california", "japan"] | None = Field(
        None, description="relation by which basin depths follow from Vs30 where the file says none"
    )


class Disaggregation(Settings):
    """By which earthquakes the hazard at some sites is made."""

    sites: tuple[str, ...] = Field(description="names of sites of the file")
    probability: float = Field(gt=0, lt=1, description="of exceedance, whose level is taken apart")
    magnitude_width: float = Field(0.5, gt=0, description="width of bins of magnitude")
    distance_width_km: float = Field(10.0, gt=0, description="width of bins of distance [km]")
    n_epsilon: int = Field(4, gt=0, description="number of bins of epsilon")


class Calculation(Settings):
    """A classical hazard calculation."""

    name: str = Field(description="title of the calculation")
    years: float = Field(50.0, gt=0, description="time that probabilities are for [year]")
    probabilities: tuple[float, ...] = Field(
        (0.1, 0.02), description="of exceedance in that time, for maps and uniform hazard spectra"
    )
    levels: dict[str, tuple[float, float, int]] = Field(
        description="by measure: lowest and highest level in its unit (cm/s2, cm/s), and how many"
    )
    quantiles: tuple[float, ...] = Field((), description="quantiles over the logic tree beside the mean")
    truncation: float = Field(3.0, ge=0, description="standard deviations at which shaking is cut off")
    maximum_distance_km: float = Field(300.0, gt=0, description="farther sources are left out [km]")
    magnitude_width: float = Field(0.1, gt=0, description="width of bins of magnitude")
    area_spacing_km: float = Field(10.0, gt=0, description="spacing of the points of areas [km]")
    rupture_spacing_km: float = Field(2.0, gt=0, description="spacing of the mesh of faults [km]")
    point_distance_km: float = Field(
        100.0, gt=0, description="beyond, OpenQuake takes point sources without their planes [km]"
    )
    source_models: tuple[SourceModel, ...] = Field(description="models of the sources")
    ground_motion: tuple[Branch, ...] = Field(description="models of ground motion")
    sites: Sites = Field(description="where hazard is wanted")
    disaggregation: Disaggregation | None = Field(None, description="left out: none is made")


def load_calculation(path: str | Path) -> Calculation:
    """Read a declaration from TOML; paths in it are relative to it.

    Raises
    ------
    NotFoundError
        When it, or an exported model that it names, is not there.
    InputError
        When a key is unknown or missing, weights do not add up to 1, a measure has no such levels, or the
        sites are not named.
    """
    file = Path(path)
    declared = load_settings(Calculation, file)
    here = file.resolve().parent
    models = tuple(
        model.model_copy(
            update={
                "files": tuple(here / f for f in model.files),
                "smoothed": tuple(
                    s.model_copy(update={"forecast": here / s.forecast}) for s in model.smoothed
                ),
            }
        )
        for model in declared.source_models
    )
    branches = tuple(
        b.model_copy(update={"model": str(here / b.model)}) if b.model.endswith(".py") else b
        for b in declared.ground_motion
    )
    sites = declared.sites
    if sites.file is not None:
        sites = sites.model_copy(update={"file": here / sites.file})
    made = declared.model_copy(update={"source_models": models, "ground_motion": branches, "sites": sites})
    _check(made, str(file))
    return made


def _check(calculation: Calculation, where: str) -> None:
    for measure, (low, high, n) in calculation.levels.items():
        if not openquake_name(measure):
            raise InputError(f"{where}: OpenQuake has no {measure}")
        if not (0 < low < high and n >= 2):
            raise InputError(
                f"{where}: levels of {measure} are lowest, highest [{unit_of(measure)}] and how many, found "
                f"{[low, high, n]}"
            )
    if not calculation.levels:
        raise InputError(f"{where}: no levels; give them by measure, such as pga = [5.0, 3000.0, 30]")
    for name in ("probabilities", "quantiles"):
        wrong = [p for p in getattr(calculation, name) if not 0 < p < 1]
        if wrong:
            raise InputError(f"{where}: {name} lie between 0 and 1, found {wrong[0]:g}")
    _add_up("source_models", [m.weight for m in calculation.source_models], where)
    for model in calculation.source_models:
        if not model.files and not model.smoothed:
            raise InputError(f"{where}: source model {model.name!r} has neither files nor smoothed")
    names = [model.name for model in calculation.source_models]
    if len(set(names)) < len(names):
        raise InputError(f"{where}: two source models of one name: {', '.join(names)}")
    for region in dict.fromkeys(b.tectonic_region for b in calculation.ground_motion):
        own = [b for b in calculation.ground_motion if b.tectonic_region == region]
        _add_up(f"ground_motion of {region}", [b.weight for b in own], where)
    for branch in calculation.ground_motion:
        if branch.model.endswith(".py"):
            _check_exported(Path(branch.model), branch.tectonic_region, calculation, where)
    if calculation.sites.file is None and calculation.sites.grid is None:
        raise InputError(f"{where}: no sites; give sites.file, sites.grid or both")


def _add_up(what: str, weights: Sequence[float], where: str) -> None:
    if abs(sum(weights) - 1) > 1e-6:
        raise InputError(f"{where}: the weights of {what} add up to {sum(weights):g}, expected 1")


def _check_exported(module: Path, region: str, calculation: Calculation, where: str) -> None:
    """Check what an exported model is for before OpenQuake has to."""
    table = module.with_suffix(".npz")
    for file in (module, table):
        if not file.is_file():
            raise NotFoundError(f"{where}: no exported model {file}; make it with kaname hazard export")
    try:
        with np.load(table, allow_pickle=False) as archive:
            meta = json.loads(str(archive["meta"]))
        measures, declared_for = set(meta["measures"]), meta["fixed"]["tectonic_region"]
    except (KeyError, ValueError, OSError) as error:
        raise FormatError(f"{table} is no exported model: {error}") from error
    if declared_for != region:
        raise InputError(f"{where}: {module.name} was exported for {declared_for}, not for {region}")
    absent = [measure for measure in calculation.levels if openquake_name(measure) not in measures]
    if absent:
        raise InputError(
            f"{where}: {module.name} was not exported for {', '.join(absent)}; export it again with "
            f"{' '.join(f'--measure {m}' for m in absent)}, or leave their levels out"
        )


def check_regions(calculation: Calculation, sources: Sequence[AnySource]) -> None:
    """Check that every tectonic region of the sources has models of ground motion.

    Raises
    ------
    InputError
        Naming the region and its first source.
    """
    known = {branch.tectonic_region for branch in calculation.ground_motion}
    for source in sources:
        if source.properties.tectonic_region not in known:
            raise InputError(
                f"source {source.properties.name!r} is {source.properties.tectonic_region}, for which the "
                f"logic tree has no model of ground motion; it has models for {', '.join(sorted(known))}"
            )


def sites_of(calculation: Calculation) -> tuple[pd.DataFrame, Grid | None]:
    """Return the sites (those of the file first, then the grid row by row) and the grid.

    Columns are ``site`` (the name; of the grid empty), ``longitude``, ``latitude``, ``vs30_m_s`` and, where
    they are known or a relation is named, ``z1pt0_m`` and ``z2pt5_km``.

    Raises
    ------
    NotFoundError, FormatError
        When the file is not there or no CSV.
    InputError
        When a column or a value is missing, or a name stands twice.
    """
    import pandas as pd

    wanted = calculation.sites
    parts = []
    if wanted.file is not None:
        parts.append(_read_sites(wanted.file))
    grid = None
    if wanted.grid is not None:
        grid = Grid.over(wanted.grid.bounds, wanted.grid.spacing_degree)
        latitude, longitude = grid.points()
        parts.append(pd.DataFrame({"site": "", "longitude": longitude, "latitude": latitude}))
    sites = pd.concat(parts, ignore_index=True)
    if "vs30_m_s" not in sites:
        sites["vs30_m_s"] = np.nan
    sites["vs30_m_s"] = sites["vs30_m_s"].astype(float)
    if wanted.vs30_m_s is not None:
        sites["vs30_m_s"] = sites["vs30_m_s"].fillna(wanted.vs30_m_s)
    missing = ~(sites["vs30_m_s"] > 0)
    if missing.any():
        raise InputError(
            f"{missing.sum()} of {len(sites)} sites have no Vs30, the first is number "
            f"{int(missing.argmax())}; give a column vs30_m_s, or one value for all as sites.vs30_m_s"
        )
    for column, relation in (("z1pt0_m", z1pt0_m_of), ("z2pt5_km", z2pt5_km_of)):
        known = sites[column].astype(float) if column in sites else pd.Series(np.nan, sites.index)
        if wanted.basin is not None:
            known = known.fillna(pd.Series(relation(sites["vs30_m_s"], wanted.basin), sites.index))
        if known.notna().all():
            sites[column] = known
        elif known.notna().any():
            raise InputError(
                f"{known.isna().sum()} of {len(sites)} sites have no {column}; fill the column, leave it "
                "out, or name a relation as sites.basin"
            )
        else:
            sites = sites.drop(columns=column, errors="ignore")
    if calculation.disaggregation is not None:
        absent = set(calculation.disaggregation.sites) - set(sites["site"])
        if absent or not calculation.disaggregation.sites:
            raise InputError(
                f"disaggregation at {', '.join(sorted(absent)) or 'no site'}; sites of the file are "
                f"{', '.join(sites['site'][sites['site'] != '']) or 'none'}"
            )
    return sites, grid


def _read_sites(path: Path) -> pd.DataFrame:
    import pandas as pd

    if not path.is_file():
        raise NotFoundError(f"no such file: {path}; expected sites as CSV")
    needed = ["name", "longitude", "latitude"]
    optional = ["vs30_m_s", "z1pt0_m", "z2pt5_km"]
    try:
        # A site may be called NA, which pandas takes for a missing value.
        missing = {column: [""] for column in ["longitude", "latitude", *optional]}
        table = pd.read_csv(path, dtype={"name": str}, keep_default_na=False, na_values=missing)
    except (ValueError, pd.errors.EmptyDataError) as error:
        raise FormatError(f"{path} is no CSV table of sites: {error}") from error
    strange = [c for c in table.columns if c not in [*needed, *optional]]
    if strange or not set(needed) <= set(table.columns):
        raise InputError(
            f"{path}: expected columns {', '.join(needed)} and, if known, {', '.join(optional)}; found "
            f"{', '.join(map(str, table.columns))}"
        )
    if table.empty:
        raise InputError(f"{path}: no sites")
    numbers = table[[c for c in table.columns if c != "name"]]
    if not all(dtype.kind in "fi" for dtype in numbers.dtypes):
        raise InputError(f"{path}: a column of numbers holds text")
    outside = ~(table["longitude"].abs().le(360) & table["latitude"].abs().le(90))
    if outside.any():
        raise InputError(
            f"{path}: row {int(outside.argmax()) + 1} is no place; expected longitude and latitude in degrees"
        )
    if table["name"].duplicated().any() or table["name"].eq("").any():
        raise InputError(f"{path}: every site needs a name of its own")
    return table.rename(columns={"name": "site"})
