"""What `kaname etas test` says of residuals, and the tables and figures that it writes of them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from kaname.discovery.seismicity.contract import Target
    from kaname.discovery.seismicity.etas.model import Etas

_PAIR_MINUTES = 6e-9
"""Time of a cell and a source, measured: three edges for each earthquake, 120 ns each."""


def in_time(model: Etas, events: pd.DataFrame, target: Target, out: Path | None) -> dict[str, Any]:
    """Return the p-values of transformed times; draw them."""
    from kaname.core.files import replacing
    from kaname.discovery.seismicity.etas.residuals import transformed_times
    from kaname.report import etas as draw

    found = transformed_times(model.likelihood(events, target), model.parameters_)
    if out is not None:
        figure = draw.transformed_times(found.value, found.total, title="Transformed times")
        with replacing(out / "transformed_times.png") as partial:
            figure.savefig(partial, format="png", dpi=130)
    return {"residual_p_uniform": found.p_uniform, "residual_p_exponential": found.p_exponential}


def in_space(
    model: Etas, events: pd.DataFrame, target: Target, out: Path | None, *, points: float | None, seed: int
) -> dict[str, Any]:
    """Return what super-thinned residuals and Voronoi cells say; write their tables, draw them."""
    from kaname.core.errors import InputError
    from kaname.core.files import replacing
    from kaname.discovery.seismicity.etas.thinning import super_thinned
    from kaname.discovery.seismicity.etas.voronoi import voronoi_residuals
    from kaname.report import etas as draw

    sources = target.sources(events)
    minutes = _PAIR_MINUTES * len(sources) * int(sources["target"].sum())
    if minutes > 5:
        logging.getLogger("kaname").warning(
            "Voronoi cells of so many earthquakes take %.0f minutes of one core; --residuals time has none",
            minutes,
        )
    thinned = super_thinned(model, events, target, points=points, seed=seed)
    pairs = thinned.pairs.table()
    said: dict[str, Any] = {"thinned": _known(thinned.summary())}
    figures = {}
    tables = {"thinned.csv": thinned.table(), "pairs.csv": pairs}
    if out is not None:
        outline = target.region.longitude, target.region.latitude
        figures["thinned.png"] = draw.thinned(
            tables["thinned.csv"], outline, pairs, title="Super-thinned residuals"
        )
    try:
        cells = voronoi_residuals(model, events, target)
    except InputError as error:
        logging.getLogger("kaname").warning("no Voronoi residuals: %s", error)
    else:
        worst = cells.worst()
        times = {name: worst[name].astype(str).str[:16] for name in ("half_begin", "half_end")}
        said |= {"voronoi": _known(cells.summary()), "places": worst.assign(**times).to_dict("records")}
        if out is not None:
            rings = [cells.cells.ring(i) for i in range(len(cells.cells))]
            figures["voronoi.png"] = draw.voronoi({"Voronoi residuals": (rings, cells.deviate)}, worst)
        tables |= {"voronoi.csv": cells.table(), "places.csv": worst}
    if out is not None:
        for name, figure in figures.items():
            with replacing(out / name) as partial:
                figure.savefig(partial, format="png", dpi=130)
        for name, table in tables.items():
            with replacing(out / name) as partial:
                table.to_csv(partial, index=False)
    return said


def said_of(place: dict[str, Any]) -> str:
    """Return the line that names a place where too few or too many earthquakes were expected."""
    kind = "few" if place["deviate"] > 0 else "many"
    where = f"{place['latitude']:.3f}, {place['longitude']:.3f} (latitude, longitude)"
    found = f"{place['earthquakes']} earthquakes, {place['expected']:.1f} expected"
    when = f"half of them {place['half_begin'][:10]} to {place['half_end'][:10]}"
    return f"too {kind} expected: {where}, within {place['radius_km']:.2g} km: {found}, {when}"


def _known(summary: dict[str, float]) -> dict[str, float | None]:
    """Return a summary in which what could not be tested is None, as JSON has no other word for it."""
    return {name: None if value != value else value for name, value in summary.items()}
