"""Export of any model, published or learned, as a class that OpenQuake loads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kaname.core.errors import InputError
from kaname.core.files import replacing
from kaname.core.shaking import GROUND_MOTIONS
from kaname.modeling.ground_motion.contract import GroundMotionModel
from kaname.modeling.ground_motion.openquake import COLUMNS, TECTONIC_REGIONS, log_unit, openquake_name

if TYPE_CHECKING:
    import pandas as pd

AXES: dict[str, tuple[float, ...]] = {
    "magnitude": tuple(np.arange(4.0, 9.01, 0.25)),
    "rrup_km": tuple(np.round(np.geomspace(1.0, 500.0, 41), 3)),
    "rjb_km": tuple(np.round(np.geomspace(0.3, 500.0, 47), 3)),
    "vs30_m_s": tuple(np.round(np.geomspace(120.0, 1500.0, 20), 1)),
    "event_depth_km": (0.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 125.0, 200.0),
    "rake_deg": (-180.0, -90.0, 0.0, 90.0, 180.0),
}
"""Nodes that are taken where the caller gives none."""

_COMPONENTS = {
    "rotd50": "Average Horizontal (RotD50)",
    "geometric_mean": "Average Horizontal",
    "larger": "Greater of two horizontal",
}
_LOGARITHMIC = ("rrup", "rjb", "repi", "rhypo", "vs30")
_DISTANCES = ("rjb_km", "repi_km", "rrup_km", "rhypo_km")
_LARGEST = 3_000_000


@dataclass(frozen=True)
class Exported:
    """The files of an exported model, and how well its table stands for it."""

    module: Path
    """The file that the engine loads; the table lies beside it."""
    name: str
    """Name of the class, for the logic tree."""
    errors: pd.DataFrame
    """By measure: median, 95 % and largest difference of the logarithm of the median at random scenarios
    between the nodes (``error_50``, ``error_95``, ``error_max``), and of the total standard deviation
    (``sigma_error_95``)."""


def export_openquake(
    model: GroundMotionModel,
    folder: str | Path,
    *,
    name: str,
    tectonic_region: Literal[
        "active_shallow", "subduction_interface", "subduction_slab", "stable", "volcanic"
    ],
    measures: Sequence[str],
    axes: Mapping[str, Sequence[float]] | None = None,
    fixed: Mapping[str, Any] | None = None,
    component: Literal["rotd50", "geometric_mean", "larger"] | None = None,
    n_check: int = 2000,
    seed: int = 0,
) -> Exported:
    """Write a model as ``NAME.py`` and ``NAME.npz``, which OpenQuake takes for one of its own.

    The model is evaluated on a grid; the engine interpolates. What the model needs is either an axis of the
    grid, or fixed; distances that are neither follow from the one that is an axis, and from the depth, as for
    a point source.

    Parameters
    ----------
    model
        Published or fitted.
    folder
        Where the two files are written; made if it is not there.
    name
        Name of the class in OpenQuake's logic trees, such as ``KanameForest``.
    tectonic_region
        Where the exported model holds; also the value of that column.
    measures
        Measures to export, such as ``["pga", "sa(0.3)", "sa(1)"]``.
    axes
        Nodes by column, increasing; by default `AXES` for what the model needs and is not fixed.
    fixed
        Values of columns that are the same for all scenarios.
    component
        What the shaking is of; by default what the model says of itself, and RotD50 where it says nothing.
    n_check, seed
        How many random scenarios the table is checked at, and their seed.

    Raises
    ------
    InputError
        When a needed column is neither an axis nor fixed nor follows, the nodes do not increase, the grid is
        beyond three million nodes, or OpenQuake has no such measure or column.
    """
    import pandas as pd

    if not name.isidentifier():
        raise InputError(f"name {name!r} cannot name a class; use letters and digits, such as KanameForest")
    horizontal = component or getattr(model, "component", "rotd50")
    if horizontal not in _COMPONENTS or tectonic_region not in TECTONIC_REGIONS:
        raise InputError(
            f"component {horizontal!r} and tectonic_region {tectonic_region!r}; expected one of "
            f"{', '.join(_COMPONENTS)} and one of {', '.join(TECTONIC_REGIONS)}"
        )
    unknown = [measure for measure in measures if not openquake_name(measure)]
    if unknown or not measures:
        raise InputError(f"OpenQuake has no {', '.join(unknown)}" if unknown else "no measures to export")
    nameless = sorted(set(fixed or {}) - {column.name for column in GROUND_MOTIONS.columns})
    if nameless:
        raise InputError(f"ground motions have no column {', '.join(nameless)}, so it cannot be fixed")
    constants = {"tectonic_region": tectonic_region, **(fixed or {})}
    nodes = _nodes(model, dict(axes or {}), constants)
    theirs = {column: key for key, column in COLUMNS.items()}
    grid = np.meshgrid(*nodes.values(), indexing="ij")
    scenarios = _complete(pd.DataFrame(dict(zip(nodes, (g.ravel() for g in grid)))), constants, model)
    arrays: dict[str, Any] = {f"axis_{theirs[column]}": values for column, values in nodes.items()}
    tables = []
    for i, measure in enumerate(measures):
        prediction = model.predict(scenarios, measure)
        table = np.stack([prediction.mean - log_unit(measure), prediction.tau, prediction.phi])
        arrays[f"values_{i}"] = table.reshape(3, *grid[0].shape).astype(np.float32)
        tables.append(arrays[f"values_{i}"])
    meta = {
        "name": name,
        "description": f"{model.name} of Kaname, exported as a table.",
        "axes": [theirs[column] for column in nodes],
        "measures": [openquake_name(measure) for measure in measures],
        "tectonic_region": TECTONIC_REGIONS[tectonic_region],
        "component": _COMPONENTS[horizontal],
        "logarithmic": _LOGARITHMIC,
        "fixed": {key: str(value) for key, value in constants.items()},
    }
    module = Path(folder) / f"{name}.py"
    module.parent.mkdir(parents=True, exist_ok=True)
    with replacing(module.with_suffix(".npz")) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, meta=json.dumps(meta), **arrays)
    shutil.copyfile(Path(__file__).with_name("exported.py"), module)
    errors = _errors(model, nodes, constants, measures, tables, n_check, seed)
    return Exported(module, name, errors)


def _nodes(
    model: GroundMotionModel, axes: dict[str, Sequence[float]], constants: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """Columns that vary and their nodes."""
    open_ = [column for column in model.needs if column not in constants and column not in axes]
    has_distance = any(column in axes for column in _DISTANCES)
    for column in open_:
        if column in _DISTANCES and has_distance:
            continue
        if column not in AXES:
            raise InputError(
                f"{model.name} needs {column}: give its nodes in axes, or one value for all in fixed"
            )
        axes[column] = AXES[column]
        has_distance |= column in _DISTANCES
    nodes = {column: np.asarray(values, float) for column, values in axes.items()}
    for column, values in nodes.items():
        if column not in COLUMNS.values():
            raise InputError(
                f"OpenQuake has no {column}; fix it, or choose among {', '.join(COLUMNS.values())}"
            )
        if values.ndim != 1 or not len(values) or not (np.diff(values) > 0).all():
            raise InputError(f"the nodes of {column} must increase, found {values.tolist()}")
        if column.startswith(("rrup", "rjb", "repi", "rhypo", "vs30")) and values[0] <= 0:
            raise InputError(f"{column} is interpolated in its logarithm: nodes must be above 0")
    size = int(np.prod([len(values) for values in nodes.values()]))
    if size > _LARGEST:
        parts = ", ".join(f"{column} {len(values)}" for column, values in nodes.items())
        raise InputError(f"a grid of {size:,} nodes ({parts}); use fewer nodes, or fix some columns")
    return nodes


def _complete(table: pd.DataFrame, constants: Mapping[str, Any], model: GroundMotionModel) -> pd.DataFrame:
    """Scenarios with the fixed columns, and the distances of a point source where they are not given."""
    table = table.assign(**constants)
    straight = table.get("rrup_km", table.get("rhypo_km"))
    flat = table.get("rjb_km", table.get("repi_km"))
    needs = set(model.needs)
    lacks_straight = straight is None and bool(needs & {"rrup_km", "rhypo_km"})
    lacks_flat = flat is None and bool(needs & {"rjb_km", "repi_km"})
    if lacks_straight or lacks_flat:
        if "event_depth_km" not in table:
            raise InputError(
                f"{model.name} needs two kinds of distance, and no depth to tell one from the other: make "
                "event_depth_km an axis or fix it"
            )
        depth = table["event_depth_km"]
        if straight is None:
            straight = np.hypot(flat, depth)
        else:
            flat = np.sqrt(np.maximum(straight**2 - depth**2, 0.0))
    for column in ("rrup_km", "rhypo_km", "rjb_km", "repi_km"):
        known = straight if column in ("rrup_km", "rhypo_km") else flat
        if column in needs and column not in table:
            table[column] = known
    return table


def _errors(
    model: GroundMotionModel,
    nodes: Mapping[str, np.ndarray],
    constants: Mapping[str, Any],
    measures: Sequence[str],
    tables: Sequence[np.ndarray],
    n: int,
    seed: int,
) -> pd.DataFrame:
    """How far the interpolated table is from the model at scenarios between the nodes."""
    import pandas as pd
    from scipy.interpolate import RegularGridInterpolator

    rng = np.random.default_rng(seed)
    theirs = {column: key for key, column in COLUMNS.items()}
    scales = {column: np.log if theirs[column] in _LOGARITHMIC else np.asarray for column in nodes}
    rows, wide, points = {}, [], []
    for column, values in nodes.items():
        ends = scales[column](values)
        if theirs[column] == "rake":
            rows[column] = rng.choice(values, n)
        else:
            drawn = rng.uniform(ends[0], ends[-1], n)
            rows[column] = np.exp(drawn) if scales[column] is np.log else drawn
        if len(values) > 1:
            wide.append(column)
            points.append(scales[column](rows[column]))
    scenarios = _complete(pd.DataFrame(rows), constants, model)
    lines = []
    for measure, table in zip(measures, tables):
        values = np.moveaxis(
            np.squeeze(table, tuple(i + 1 for i, c in enumerate(nodes) if c not in wide)), 0, -1
        )
        at = RegularGridInterpolator([scales[column](nodes[column]) for column in wide], values)
        mean, tau, phi = at(np.stack(points, axis=1)).T
        truth = model.predict(scenarios, measure)
        off = np.abs(mean + log_unit(measure) - truth.mean)
        wrong = np.abs(np.hypot(tau, phi) - truth.sigma)
        lines.append(
            {
                "measure": measure,
                "error_50": np.quantile(off, 0.5),
                "error_95": np.quantile(off, 0.95),
                "error_max": off.max(),
                "sigma_error_95": np.quantile(wrong, 0.95),
            }
        )
    return pd.DataFrame(lines)
