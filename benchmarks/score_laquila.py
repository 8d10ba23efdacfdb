"""Fragility curves from the damage of L'Aquila 2009, scored on municipalities that were held out.

    python benchmarks/score_laquila.py DIR [--test SURVEY] [--measure MEASURE] [--out FILE]

DIR holds the real case `damage/laquila2009_bayesfrag` (``survey.csv.gz``, ``stations.csv``,
``rupture.json``). With ``--test`` the curves are fitted on the whole survey and scored blind on another file
of the same form; without, municipalities are held out in five folds. Scores are per building; intervals draw
municipalities. ``--by row`` holds out buildings at random, which leaks, and is there to show by how much.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from kaname.core.shaking import GRAVITY_CM_S2
from kaname.earth.ruptures import Rupture, distances
from kaname.evaluate.scores import block_bootstrap
from kaname.evaluate.splits import folds
from kaname.modeling.field.conditioning import ConditionedField, Places, Recorded, condition
from kaname.modeling.ground_motion import get_model
from kaname.modeling.hazard.fragility import LognormalFragility, class_frequencies

CELL_DEGREE = 0.02
COLUMNS = {"pga": "rotD50_logPGA", "sa(0.2)": "rotD50_logSAT0_200", "sa(0.3)": "rotD50_logSAT0_300"}
COLUMNS |= {"sa(0.6)": "rotD50_logSAT0_600"}


def cells(survey: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """Places where buildings stand together (a cell of a municipality), and the place of each building."""
    key = [
        survey["PRO_COM"],
        (survey["Longitude"] / CELL_DEGREE).round(),
        (survey["Latitude"] / CELL_DEGREE).round(),
    ]
    groups = survey.groupby(key, sort=True)
    return groups[["Latitude", "Longitude", "vs30"]].mean().reset_index(drop=True), groups.ngroup().to_numpy()


def shaking(folder: Path, places: pd.DataFrame, measure: str) -> ConditionedField:
    """Field at places, conditioned on the stations of the case."""
    about = json.loads((folder / "rupture.json").read_text())
    head = about["metadata"]
    ring = np.array(about["features"][0]["geometry"]["coordinates"][0][0])[:4]
    rupture = Rupture((head["lat"], head["lon"], head["depth"]), ring[None, :, [1, 0, 2]])
    # Boore et al.'s attenuation for Italy; the earthquake was on a normal fault.
    model = get_model("boore_2014", region="italy_japan")
    stations = pd.read_csv(folder / "stations.csv")

    def expected(table: pd.DataFrame) -> Places:
        rjb = distances(rupture, table["Latitude"], table["Longitude"]).rjb_km
        scenario = pd.DataFrame(
            {"magnitude": head["mag"], "rake_deg": -90.0, "rjb_km": rjb, "vs30_m_s": table["vs30"].to_numpy()}
        )
        p = model.predict(scenario, measure)
        return Places(
            measure, table["Latitude"].to_numpy(), table["Longitude"].to_numpy(), p.mean, p.tau, p.phi
        )

    recorded = Recorded(expected(stations), stations[COLUMNS[measure]].to_numpy() + np.log(GRAVITY_CM_S2))
    return condition([recorded], expected(places))


def ranked(probability: np.ndarray, state: np.ndarray) -> np.ndarray:
    """Ranked probability score of each building (lower is better)."""
    seen = state[:, None] <= np.arange(probability.shape[1])
    return np.asarray(((np.cumsum(probability, axis=1) - seen) ** 2).sum(1))


def score(
    survey: pd.DataFrame,
    train: np.ndarray,
    test: np.ndarray,
    place: np.ndarray,
    field: ConditionedField,
    seed: int,
) -> pd.DataFrame:
    """Scores of the held-out buildings, a row per building and method."""
    learn, held = survey[train], survey[test]
    predicted = {
        "class_frequencies": class_frequencies(
            learn["BuildingClass"], learn["DamageState"], held["BuildingClass"]
        )
    }
    for name in ("median", "uncertain"):
        curves = LognormalFragility(shaking=name, seed=seed).fit(
            learn["BuildingClass"], learn["DamageState"].to_numpy(), place[train], field
        )
        sys.stderr.write(f"shaking {name}: acceptance {curves.acceptance_:.2f}, R-hat {curves.rhat_:.3f}\n")
        predicted[f"shaking_{name}"] = curves.predict(held["BuildingClass"], place[test])
    state = held["DamageState"].to_numpy()
    parts = []
    for name, p in predicted.items():
        rows = {"method": name, "municipality": held["PRO_COM"].to_numpy(), "state": state}
        rows |= {"log_score": np.log(p[np.arange(len(state)), state]), "rps": ranked(p, state)}
        rows |= {"expected_damaged": p[:, 3:].sum(1), "damaged": state >= 3}
        parts.append(pd.DataFrame(rows))
    return pd.concat(parts, ignore_index=True)


def main() -> None:
    """Print the table of scores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--test", type=Path)
    parser.add_argument("--measure", default="sa(0.3)", choices=list(COLUMNS))
    parser.add_argument("--by", default="municipality", choices=["municipality", "row"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--figures", type=Path, help="folder for the curves and the shares by town")
    options = parser.parse_args()
    began = time.perf_counter()
    survey = pd.read_csv(options.folder / "survey.csv.gz")
    if options.test:
        blind = pd.read_csv(options.test)
        survey = pd.concat([survey.assign(fold=1), blind.assign(fold=0)], ignore_index=True)
        fold = survey["fold"].to_numpy()
    else:
        key = survey["PRO_COM"] if options.by == "municipality" else survey["id"]
        fold = folds(key.to_numpy(), n_fold=5, seed=options.seed)
    places, place = cells(survey)
    field = shaking(options.folder, places, options.measure)
    held = [0] if options.test else sorted(set(fold))
    scores = pd.concat([score(survey, fold != k, fold == k, place, field, options.seed) for k in held])
    lines = []
    base = scores[scores["method"] == "class_frequencies"]
    for name, part in scores.groupby("method", sort=False):
        gain, low, high = block_bootstrap(
            part["log_score"].to_numpy() - base["log_score"].to_numpy(), base["municipality"].to_numpy()
        )
        better, r_low, r_high = block_bootstrap(
            base["rps"].to_numpy() - part["rps"].to_numpy(), base["municipality"].to_numpy()
        )
        by_town = part.groupby("municipality")[["log_score", "rps", "expected_damaged", "damaged"]].mean()
        lines.append(
            {
                "method": name,
                "log_score": part["log_score"].mean(),
                "gain": gain, "gain_low": low, "gain_high": high,
                "rps": part["rps"].mean(),
                "rps_gain": better, "rps_low": r_low, "rps_high": r_high,
                "log_score_by_town": by_town["log_score"].mean(),
                "share_error_by_town": (by_town["expected_damaged"] - by_town["damaged"]).abs().mean(),
            }
        )  # fmt: skip
    print(f"L'Aquila 2009, {options.measure}, held out by {options.by if not options.test else 'file'}; "
          f"{len(survey)} buildings, {survey['PRO_COM'].nunique()} municipalities, {len(places)} places, "
          f"{time.perf_counter() - began:.0f} s")  # fmt: skip
    print(pd.DataFrame(lines).to_string(index=False, float_format="{:.3f}".format))
    if options.out:
        scores.to_csv(options.out, index=False)
    if options.figures:
        draw(survey, scores, place, field, options)


def draw(
    survey: pd.DataFrame,
    scores: pd.DataFrame,
    place: np.ndarray,
    field: ConditionedField,
    options: argparse.Namespace,
) -> None:
    """Write the curves of the whole survey, and what was foretold of held-out towns."""
    from kaname.report.hazard import damage_by_town, fragility_curves

    curves = LognormalFragility(seed=options.seed).fit(
        survey["BuildingClass"], survey["DamageState"].to_numpy(), place, field
    )
    print(curves.curves().to_string(index=False, float_format="{:.2f}".format))
    title = "L'Aquila 2009: fragility by class, 90 % intervals"
    figure = fragility_curves(
        curves.bands(np.geomspace(20, 2000, 80)), label=f"{options.measure} [cm/s2]", title=title
    )
    figure.savefig(options.figures / "fragility_laquila.png", dpi=110)
    groups = scores.groupby(["method", "municipality"], sort=False)
    towns = groups[["expected_damaged", "damaged"]].mean().assign(n=groups.size()).reset_index()
    figure = damage_by_town(towns, title="Damage state 3 or worse in municipalities that were held out")
    figure.savefig(options.figures / "damage_laquila.png", dpi=110)


if __name__ == "__main__":
    main()
