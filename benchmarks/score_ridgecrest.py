"""Published and learned models of ground motion on the Ridgecrest 2019 flatfile, events held out.

``python benchmarks/score_ridgecrest.py WORK [--figures FOLDER] [--hazard-python PYTHON] [--measures
pga,pgv]`` scores every model by folds of whole events, keeps the score of each record in WORK (what is there
is not computed again), and prints the tables of docs/ground-motion.md. With a folder it draws the figures
there; with the Python of an environment that has OpenQuake, Chiou & Youngs (2014) is among the published
models.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from labelled_picks import folder

from kaname.core.shaking import column_of
from kaname.earth.sites import z1pt0_m_of
from kaname.evaluate.audit import duplicates
from kaname.modeling.ground_motion import get_model
from kaname.modeling.ground_motion.comparison import HoldOut, compare
from kaname.modeling.strong_motion.flatfiles import read_flatfile

MEASURES = ("pga", "pgv", "sa(0.3)", "sa(1)", "sa(3)")
BASE = {"base_options": {"mechanism": "unspecified"}}
SPLITS: tuple[tuple[HoldOut, tuple[str, ...], tuple[str, ...]], ...] = (
    ("event", MEASURES, ("boore_2014", "chiou_youngs_2014", "boosted", "forest")),
    ("time", ("pga",), ("boore_2014", "boosted", "forest")),
    ("row", ("pga",), ("boore_2014", "boosted")),
    ("event_and_site", ("pga",), ("boore_2014", "boosted")),
)
"""What is held out (five folds of events, three of others), measures, and the models that are scored."""


def records_of(data: Path) -> tuple[pd.DataFrame, int]:
    """Return the flatfile without its copies, and how many these were.

    The sequence was right-lateral strike-slip; what Chiou & Youngs need beyond the table is set as for such:
    a vertical fault, for events without a rupture the depth of the hypocentre, and basins as expected of
    Vs30.
    """
    file = data / "strongmotion/flatfiles/ridgecrest_SA_rotd50_2020.03.31.csv.gz"
    table = read_flatfile(file, tectonic_region="active_shallow").table
    copies = duplicates(table, [column_of(m) for m in MEASURES]) != np.arange(len(table))
    table = table[~copies].reset_index(drop=True)
    return table.assign(
        rake_deg=180.0,
        dip_deg=90.0,
        ztor_km=table["ztor_km"].fillna(table["event_depth_km"]),
        rx_km=table["rx_km"].fillna(table["rjb_km"]),
        z1pt0_m=z1pt0_m_of(table["vs30_m_s"].to_numpy(), "california"),
        vs30_measured=False,
    ), int(copies.sum())


def makers(hazard_python: Path | None) -> dict[str, Callable[[], Any]]:
    """Return how each model is made."""
    out: dict[str, Callable[[], Any]] = {
        "boore_2014": lambda: get_model("boore_2014"),
        "boosted": lambda: get_model("boosted", **BASE),
        "forest": lambda: get_model("forest", **BASE),
        "forest_alone": lambda: get_model("forest", base=None),
    }
    if hazard_python:

        @functools.cache
        def chiou_youngs() -> Any:
            return get_model("openquake:ChiouYoungs2014", python=hazard_python)

        out["chiou_youngs_2014"] = chiou_youngs
    return out


def scored(
    work: Path, records: pd.DataFrame, measures: list[str], hazard_python: Path | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the comparison and the scores of records, for all splits."""
    known = makers(hazard_python)
    tables, details = [], []
    for by, of_split, wanted in SPLITS:
        for measure in (m for m in of_split if m in measures):
            names = [n for n in wanted if n in known]
            if by == "event" and measure == "pga":
                names.append("forest_alone")
            stem = work / f"{by}-{column_of(measure)}"
            if not stem.with_suffix(".scores.parquet").exists():
                models = {n: known[n] for n in names}
                rows, scores = compare(models, records, [measure], by=by, n_fold=5 if by == "event" else 3)
                scores.assign(held_out=by).to_parquet(stem.with_suffix(".scores.parquet"))
                rows.to_parquet(stem.with_suffix(".parquet"))
                print(rows.drop(columns=["n_event"]).round(3).to_string(), flush=True)
            tables.append(pd.read_parquet(stem.with_suffix(".parquet")))
            details.append(pd.read_parquet(stem.with_suffix(".scores.parquet")))
    return pd.concat(tables, ignore_index=True), pd.concat(details, ignore_index=True)


def _markdown(table: pd.DataFrame) -> str:
    def interval(row: Any, prefix: str) -> str:
        gain, low, high = (row[f"{prefix}gain{s}"] for s in ("", "_low", "_high"))
        return "reference" if np.isnan(gain) else f"{gain:.3f} ({low:.3f} to {high:.3f})"

    lines = [
        "| held out | measure | model | n | RMSE | log score | CRPS | cover 50 / 80 / 90 / 95 % "
        "| above 95 / 99 % | gain (95 %) | gain, events alike |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for _, row in table.iterrows():
        cover = " / ".join(f"{100 * row[f'cover_{level}']:.1f}" for level in (50, 80, 90, 95))
        lines.append(
            f"| {row['held_out']} | {row['measure']} | {row['model']} | {row['n']} | {row['rmse']:.3f} "
            f"| {row['log_score']:.3f} | {row['crps']:.3f} | {cover} "
            f"| {100 * row['above_95']:.1f} / {100 * row['above_99']:.1f} | {interval(row, '')} "
            f"| {interval(row, 'event_')} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Score, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--figures", type=Path)
    parser.add_argument("--hazard-python", type=Path)
    parser.add_argument("--measures", default=",".join(MEASURES))
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    records, n_copy = records_of(folder())
    print(f"{len(records)} records of {records['event_id'].nunique()} events; {n_copy} copies left out")
    comparison, scores = scored(options.work, records, options.measures.split(","), options.hazard_python)
    print(_markdown(comparison))
    if options.figures:
        from kaname.report.ground_motion import calibration_figure, dependence_figure, residual_figure

        honest = scores[scores["held_out"] == "event"].merge(
            records[["magnitude", "rrup_km", "vs30_m_s"]], left_on="record", right_index=True
        )
        names = ["boore_2014", "forest", "boosted"]
        pga = honest[honest["measure"] == "pga"]
        fitted = get_model("boosted", **BASE).fit(records, "pga")
        drawings = {
            "ground_motion_residuals": residual_figure(pga, names),
            "ground_motion_calibration": calibration_figure(honest[honest["model"].isin(names)], names),
            "ground_motion_dependence": dependence_figure(
                {
                    f: fitted.partial_dependence(records, "pga", f)
                    for f in ("magnitude", "ln rrup_km", "depth_km")
                }
            ),
        }
        for name, figure in drawings.items():
            figure.savefig(options.figures / f"{name}.png", dpi=110)


if __name__ == "__main__":
    main()
