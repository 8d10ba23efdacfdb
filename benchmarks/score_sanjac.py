"""ETAS on San Jacinto (EarthquakeNPP): python benchmarks/score_sanjac.py [--test | --residuals DIR]

Chooses the background on the validation years (2014, 2015) with fits to 2009 to 2013. With ``--test`` the
choice is fitted to 2009 to 2015 and scored once on 2016 and 2017; the score is appended to
docs/ledger-seismicity.csv. With ``--residuals`` the choice is fitted to 2009 to 2013, and where and when it
fails in 2014 and 2015 is printed and drawn, beside catalogues of these years that the fit itself simulated.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from kaname.discovery.seismicity import ledger
from kaname.discovery.seismicity.contract import Target
from kaname.discovery.seismicity.etas.model import Etas, KernelSettings
from kaname.discovery.seismicity.etas.parameters import EtasParameters
from kaname.discovery.seismicity.etas.residuals import transformed_times
from kaname.discovery.seismicity.etas.thinning import super_thinned
from kaname.discovery.seismicity.etas.voronoi import VoronoiResiduals, voronoi_residuals
from kaname.discovery.seismicity.gutenberg_richter import rounded
from kaname.discovery.seismicity.region import Region
from kaname.report import etas as draw

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("KANAME_DATA", ROOT.parent / "shared/data")) / "etas/earthquakenpp/QTM"
LEDGER = ROOT / "docs/ledger-seismicity.csv"
TRIED = {
    "uniform": None,
    "kernel 5, 0.5 km": KernelSettings(5, 0.5, 0.02),
    "kernel 5, 0.3 km": KernelSettings(5, 0.3, 0.02),
    "kernel 5, 0.2 km": KernelSettings(5, 0.2, 0.02),
    "kernel 5, 0.1 km": KernelSettings(5, 0.1, 0.02),
    "kernel 10, 0.2 km": KernelSettings(10, 0.2, 0.02),
    "kernel 3, 0.2 km": KernelSettings(3, 0.2, 0.02),
    "kernel 5, 0.2 km, 1 % uniform": KernelSettings(5, 0.2, 0.01),
}
CHOSEN = "kernel 5, 0.2 km"


def catalogue() -> tuple[pd.DataFrame, Region]:
    """Return the events as EarthquakeNPP prepares them, magnitudes in bins of 0.1."""
    events = pd.read_csv(DATA / "SanJac_catalog.csv.gz").rename(columns={"index": "event_id"})
    events["time"] = pd.to_datetime(events["time"], format="ISO8601")
    events["magnitude"] = rounded(events["magnitude"], 0.1)
    return events.astype({"event_id": str}), Region.read(DATA / "SanJac_shape.npy")


def period(region: Region, start: str, end: str) -> Target:
    """Return a target period of magnitude 1.0 and more with history from 2008."""
    return Target(region, np.datetime64(start), np.datetime64(end), 1.0, np.datetime64("2008-01-01"))


def model(name: str, first: EtasParameters | None = None) -> Etas:
    """Return the model of one row of what was tried."""
    kernel = TRIED[name]
    return Etas(
        background="uniform" if kernel is None else "kernel",
        kernel=kernel,
        first=first,
        magnitude_bin=0.1,
        tolerance=0.1,
    )


def by_area(cells: VoronoiResiduals) -> list[float]:
    """Return how many were expected for each earthquake, by fifths of the cells, the smallest first."""
    order = np.argsort(cells.cells.area_km2)
    fifths = [(cells.expected[some].sum(), cells.count[some].sum()) for some in np.array_split(order, 5)]
    return [round(float(expected / n), 2) for expected, n in fifths]


def residuals(
    events: pd.DataFrame, region: Region, out: Path, *, seeds: int = 20, simulated: int = 4
) -> None:
    """Look at the residuals of the validation years."""
    target = period(region, "2014", "2016")
    fit = model(CHOSEN).fit(events, period(region, "2009", "2014"))
    likelihood = fit.likelihood(events, target)
    moments = transformed_times(likelihood, fit.parameters_)
    edge = (pd.date_range(target.start, target.end, freq="QS") - target.start) / pd.Timedelta(days=1)
    day = likelihood.day[likelihood.target]
    upto = np.interp(edge, np.r_[0, day, target.days], np.r_[0, moments.value, moments.total])
    print("quarter, observed, expected:", *zip(np.histogram(day, edge)[0], np.diff(upto).round()))
    print(f"transformed times: {moments.p_uniform:.2g}, {moments.p_exponential:.2g}")

    thinned = [super_thinned(fit, events, target, seed=seed) for seed in range(seeds)]
    table = pd.DataFrame([one.summary() for one in thinned])
    tests = table.filter(regex="^p_")
    print(table.describe().loc[["mean", "min", "50%", "max"]].round(3).to_string())
    print("share of thinnings below .05:", (tests < 0.05).mean().to_dict())

    begin = time.perf_counter()
    cells = voronoi_residuals(fit, events, target)
    print(f"Voronoi, {time.perf_counter() - begin:.0f} s: {cells.summary()}")
    print(cells.worst().to_string(float_format="{:.3f}".format))
    print("expected for each earthquake, by fifths of the cells, the smallest first:", by_area(cells))
    fit.magnitude_max = 7.5
    sources = target.sources(events)
    before = sources.loc[sources["day"] < 0, ["event_id", "time", "longitude", "latitude", "magnitude"]]
    futures = fit.simulate(events, target, n=simulated, seed=0)
    made = []
    for k, future in futures.groupby("simulation"):
        future = future.assign(event_id=[f"s{i}" for i in range(len(future))])[before.columns]
        made.append(voronoi_residuals(fit, pd.concat([before, future], ignore_index=True), target))
        worst = made[-1].worst()["deviate"]
        print(f"simulated {k}: {made[-1].summary()}, places {worst.max():.1f} {worst.min():.1f}")
        print(by_area(made[-1]), flush=True)

    out.mkdir(parents=True, exist_ok=True)
    figures = {
        "etas_residuals": draw.transformed_times(moments.value, moments.total, title="2014 and 2015"),
        "etas_thinned": draw.thinned(
            thinned[0].table(),
            (region.longitude, region.latitude),
            thinned[0].pairs.table(),
            title="Super-thinned, 2014 and 2015",
        ),
        "etas_voronoi": draw.voronoi(
            {
                title: ([one.cells.ring(i) for i in range(len(one.cells))], one.deviate)
                for title, one in {"Observed, 2014 and 2015": cells, "Simulated by the fit": made[0]}.items()
            },
            cells.worst(),
        ),
    }
    for name, figure in figures.items():
        figure.savefig(out / f"{name}.png", dpi=130)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--test", action="store_true", help="score the choice on the test years, and write it down"
    )
    parser.add_argument(
        "--residuals", type=Path, metavar="DIR", help="look at the residuals of the validation years"
    )
    options = parser.parse_args()
    events, region = catalogue()
    if options.residuals:
        residuals(events, region, options.residuals)
        return
    if options.test:
        whole, test = period(region, "2009", "2016"), period(region, "2016", "2018")
        for name in ("uniform", CHOSEN):
            begin = time.perf_counter()
            fit = model(name).fit(events, whole)
            took = time.perf_counter() - begin
            score = fit.score(events, test)
            print(f"{name}: {score}, fitted in {took:.1f} s")
            print(fit.parameters_, fit.maximum_.log_likelihood)
            ledger.append(
                LEDGER, data="San Jacinto (EarthquakeNPP)", model=f"etas, {name}", target=test,
                score=score, remark="fitted to 2009-2015; chosen on 2014-2015",
            )  # fmt: skip
        return
    train, validation = period(region, "2009", "2014"), period(region, "2014", "2016")
    first = None
    for name in TRIED:
        begin = time.perf_counter()
        fit = model(name, first).fit(events, train)
        first = replace(fit.parameters_, tau=min(fit.parameters_.tau, 1e4))
        score = fit.score(events, validation)
        took = time.perf_counter() - begin
        print(
            f"{name:32s} joint {score.joint:.4f}, time {score.temporal:.4f}, space {score.spatial:.4f}, "
            f"expected {score.expected:.0f} of {score.n}; {took:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
