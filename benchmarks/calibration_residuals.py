"""How often tests of ETAS' residuals reject: python benchmarks/calibration_residuals.py [--n 300] [--out DIR]

Catalogues are simulated with known parameters in a region with parents outside and before the period, and
looked at with the true model, whose p-values should be uniform, and with wrong ones, which should be found:

- ``true``: the model that made them;
- ``halved``: half the aftershocks, the background raised by a half;
- ``wide``: aftershocks fall off with distance from twice the distance (d four times as large);
- ``slow``: aftershocks decay with time from ten times as late (c ten times as large), as many in all;
- ``still``: no aftershocks, twice the background.

Writes residuals.csv (a row for each catalogue and model), a table, and etas_residuals_calibration.png.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from kaname.core.tables import EVENTS, empty
from kaname.discovery.seismicity.background import Uniform
from kaname.discovery.seismicity.contract import Target
from kaname.discovery.seismicity.etas.model import Etas
from kaname.discovery.seismicity.etas.parameters import EtasParameters
from kaname.discovery.seismicity.etas.residuals import transformed_times
from kaname.discovery.seismicity.etas.simulation import Delays
from kaname.discovery.seismicity.etas.thinning import super_thinned
from kaname.discovery.seismicity.etas.voronoi import voronoi_residuals
from kaname.discovery.seismicity.region import Region
from kaname.report.etas import p_values

OUTER = Region.from_bounds(139.5, 141.5, 35.5, 37.5)
REGION = Region.from_bounds(140, 141, 36, 37)
TRUE = EtasParameters(0.6, 0.006, 1.3, 0.01, 0.1, 200.0, 0.5, 0.8, 0.7)
BEFORE, TARGET = (Target(r, s, "2019-07-01", 3.0) for r, s in ((OUTER, "2018-01-01"), (REGION, "2018-07-01")))
TESTS = {
    "time_even": "transformed times, evenness",
    "time_exponential": "transformed times, intervals",
    "p_number": "super-thinned, number",
    "p_time": "super-thinned, times",
    "p_place": "super-thinned, places",
    "p_place_and_time": "super-thinned, places and times",
    "p_pairs": "super-thinned, pairs",
    "p_gamma": "Voronoi cells, gamma law",
}


def slow() -> EtasParameters:
    """Return the true parameters with c ten times as large and as many aftershocks in all."""
    late = replace(TRUE, c=10 * TRUE.c)
    all_of = [float(Delays(p, 1e4).integral(np.zeros(1), np.full(1, 1e4))[0]) for p in (TRUE, late)]
    return replace(late, k0=TRUE.k0 * all_of[0] / all_of[1])


MODELS = {
    "true": TRUE,
    "halved": replace(TRUE, mu=1.5 * TRUE.mu, k0=TRUE.k0 / 2),
    "wide": replace(TRUE, d=4 * TRUE.d, k0=TRUE.k0 * 4**TRUE.rho),
    "slow": slow(),
    "still": replace(TRUE, mu=2 * TRUE.mu, k0=1e-9),
}


def known(p: EtasParameters, region: Region) -> Etas:
    """Return a model of these parameters with an even background."""
    return Etas.with_parameters(p, 3.0, Uniform(region), magnitude_max=6.0)


def looked_at(seed: int) -> list[dict[str, float | str]]:
    """Simulate a catalogue and return a row of p-values for each model."""
    wide = replace(TRUE, mu=TRUE.mu * OUTER.area_km2 / REGION.area_km2)
    events = known(wide, OUTER).simulate(empty(EVENTS), BEFORE, n=1, seed=seed)
    events = events.assign(event_id=[f"e{k}" for k in range(len(events))])
    rows: list[dict[str, float | str]] = []
    for name, p in MODELS.items():
        model = known(p, REGION)
        times = transformed_times(model.likelihood(events, TARGET), p)
        cells = voronoi_residuals(model, events, TARGET)
        row: dict[str, float | str] = {"model": name, "seed": seed, "n": int(cells.count.sum())}
        row |= {"time_even": times.p_uniform, "time_exponential": times.p_exponential}
        rows.append(row | super_thinned(model, events, TARGET, seed=seed).summary() | cells.summary())
    return rows


def main() -> None:
    """Simulate, print the table, draw the figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=300, help="catalogues")
    parser.add_argument("--out", type=Path, default=Path("calibration_residuals"), help="folder")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    begin, made = time.perf_counter(), []
    for seed in range(options.n):
        made += looked_at(seed)
        pd.DataFrame(made).to_csv(options.out / "residuals.csv", index=False)
    found = pd.DataFrame(made)
    print(f"{options.n} catalogues of {found['n'].mean():.0f}, {time.perf_counter() - begin:.0f} s")
    rejected = pd.DataFrame(
        {name: (group[list(TESTS)] < 0.05).mean() for name, group in found.groupby("model", sort=False)}
    )
    true = found[found["model"] == "true"]
    rejected["uniform, p"] = [stats.kstest(true[name].dropna(), "uniform").pvalue for name in TESTS]
    print(rejected.rename(index=TESTS).round(3).to_string())
    print(found.groupby("model", sort=False)[["points", "earthquakes", "spread_of_deviates"]].mean().round(2))
    figure = p_values({title: true[name].to_numpy(float) for name, title in TESTS.items()})
    figure.savefig(options.out / "etas_residuals_calibration.png", dpi=130)


if __name__ == "__main__":
    main()
