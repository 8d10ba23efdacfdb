"""How often ETAS' intervals hold the truth: python benchmarks/calibration_etas.py [--n 200] [--out DIR]

Catalogues are simulated with known parameters and fitted; counted is how often the intervals of 68.3 and 95 %
hold each parameter, and the ellipsoid of the covariance, or the likelihood ratio, all at once. Cases:

- ``time``: ETAS in time alone (`fit_temporal`);
- ``space``: space and time in the middle quarter of a wider region and after half a year of history, so that
  targets have parents outside, uniform background;
- ``kernel``: the same with a background in clusters, which the fit does not know; intervals also by the
  bootstrap (``--refits`` of each catalogue);
- ``density``: the same, but the fit is given the density of the background;
- ``known``, ``ignored``: half a year after a magnitude 7, small earthquakes missed after large ones by a law
  (`after_large`, of a sparse network), which the fit knows or not.

Writes a CSV file of each case (a row for each catalogue and parameter), coverage.csv and
etas_calibration.png.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from kaname.core.tables import EVENTS, empty, validate
from kaname.discovery.seismicity.background import KernelDensity, Uniform
from kaname.discovery.seismicity.completeness import CompletenessLaw, after_large
from kaname.discovery.seismicity.contract import Target
from kaname.discovery.seismicity.etas.bootstrap import Bootstrap, bootstrap
from kaname.discovery.seismicity.etas.fitting import maximise
from kaname.discovery.seismicity.etas.model import Etas, KernelSettings
from kaname.discovery.seismicity.etas.parameters import NAMES, EtasParameters
from kaname.discovery.seismicity.etas.posterior import sample_posterior
from kaname.discovery.seismicity.etas.temporal import fit_temporal
from kaname.discovery.seismicity.region import Region
from kaname.report.etas import coverage

LEVELS = (0.683, 0.95)
IN_TIME = {"mu": 0.5, "K": 0.0167, "c": 0.01, "alpha": 1.5, "p": 1.2}
TRUE = EtasParameters(0.5, 0.0045, 1.5, 0.01, 0.15, np.inf, 0.5, 0.8, 0.8)
OUTER = Region.from_bounds(136, 142, 33, 39)
INNER = Region.from_bounds(137.5, 140.5, 34.5, 37.5)
START, MIDDLE, END = (np.datetime64(day) for day in ("2000-01-01", "2000-07-01", "2002-01-01"))


def events_of(made: pd.DataFrame) -> pd.DataFrame:
    """Return simulated events as a catalogue."""
    return made.assign(event_id=[f"e{k}" for k in range(len(made))])


def rows(names: list[str], z: np.ndarray, distance: float, **about: object) -> list[dict[str, object]]:
    """Return a row for each parameter, its error in standard errors, and one for all (chi-square)."""
    each = [{"parameter": name, "error": float(value), **about} for name, value in zip(names, z)]
    return [*each, {"parameter": "all", "error": distance, "free": len(names), **about}]


def in_time(seed: int) -> list[dict[str, object]]:
    """Simulate ETAS in time on the whole planet, where nothing is lost, and fit it."""
    p, d, rho = IN_TIME, 1.0, 1.0
    k0 = p["K"] * rho / np.pi * d**rho
    whole = Region.from_bounds(-180, 180, -90, 90)
    made = EtasParameters(p["mu"], k0, p["alpha"], p["c"], p["p"] - 1, np.inf, d, 0.0, rho)
    target = Target(whole, START, START + 2 * (END - START), 3.0)
    model = Etas.with_parameters(made, 3.0, Uniform(whole), magnitude_max=7.0)
    events = model.simulate(empty(EVENTS), target, n=1, seed=seed)
    day = (events["time"].to_numpy("M8[ns]") - target.start) / np.timedelta64(1, "D")
    fit = fit_temporal(day, events["magnitude"], start=0, end=target.days, reference=3.0)
    names = list(p)
    found, error = np.array([getattr(fit, n) for n in names]), np.array(fit.uncertainty)
    truth = np.array([p[n] for n in names])
    scaled = np.array([n in ("mu", "K", "c") for n in names])
    # Scales are fitted as logarithms.
    delta = np.where(scaled, np.log(found / truth), found - truth)
    sigma = np.where(scaled, error / found, error)
    if not (sigma > 0).all():
        return rows(names, np.full(len(names), np.inf), np.inf, n=fit.n)
    distance = float(delta @ np.linalg.solve(fit.covariance, delta))
    held = fit_temporal(day, events["magnitude"], start=0, end=target.days, reference=3.0,
                        first=tuple(truth), fixed=tuple(names))  # fmt: skip
    ratio = 2 * (fit.log_likelihood - held.log_likelihood)
    return rows(names, delta / sigma, distance, n=fit.n, ratio=ratio)


def clusters() -> tuple[KernelDensity, float]:
    """Return a background density in clusters over the outer region, and the share of it in the inner one."""
    rng = np.random.default_rng(1)
    lon, lat = rng.uniform(136.2, 141.8, 60), rng.uniform(33.2, 38.8, 60)
    where = KernelDensity(OUTER, lon, lat, np.ones(60), bandwidth_min_km=10, neighbours=1, uniform=0.1)
    inside = INNER.contains(*where.draw(400_000, np.random.default_rng(2)))
    return where, float(inside.mean())


def in_space(
    seed: int, background: Literal["uniform", "kernel", "true"] = "uniform", *, refits: int = 0
) -> list[dict[str, object]]:
    """Simulate ETAS in space and time, and fit it; with ``true`` the fit is given the clusters."""
    where: Uniform | KernelDensity = Uniform(OUTER)
    share = INNER.area_km2 / OUTER.area_km2
    if background != "uniform":
        where, share = clusters()
    model = Etas.with_parameters(replace(TRUE, mu=TRUE.mu / share), 3.0, where, magnitude_max=7.0)
    events = events_of(model.simulate(empty(EVENTS), Target(OUTER, START, END, 3.0), n=1, seed=seed))
    target = Target(INNER, MIDDLE, END, 3.0)
    kernel = KernelSettings(bandwidth_min_km=5.0, uniform=0.05)
    kind: Literal["uniform", "kernel"] = "kernel" if background == "kernel" else "uniform"
    fit = Etas(taper=False, background=kind, kernel=kernel, tolerance=1e-3).fit(events, target)
    if background == "true":
        chosen = target.sources(events).query("target")
        density = where.density(chosen["longitude"], chosen["latitude"]) / share
        fit.training_ = replace(fit.training_, density=density)
        fit.maximum_ = maximise(fit.training_, fit.parameters_)
        fit.parameters_ = fit.maximum_.parameters
    made = compared(fit, TRUE, seed=seed)
    if refits:
        repeated(made, bootstrap(fit, events, target, n=refits, seed=seed), TRUE)
    return made


def repeated(made: list[dict[str, object]], found: Bootstrap, truth: EtasParameters) -> None:
    """Add to the rows of a fit which of its bootstrap's intervals hold the truth."""
    for row in made[:-1]:
        name = str(row["parameter"])
        k = NAMES.index(name)
        row["bias"], row["scatter"] = found.bias[k], found.standard_error[k]
        for level in LEVELS:
            low, high = found.interval(name, level)
            row[f"bootstrap_{level}"] = low <= getattr(truth, name) <= high
    for level in LEVELS:
        made[-1][f"bootstrap_{level}"] = found.level(truth) <= level
    made[-1]["failed"] = found.failed


def after_a_mainshock(seed: int, *, known: bool) -> list[dict[str, object]]:
    """Simulate what follows a magnitude 7, leave out what a law hides, and fit the rest."""
    p = replace(TRUE, mu=1.0, a=2.38, gamma=0.6, k0=0.001)
    target = Target(OUTER, START, START + np.timedelta64(182, "D"), 3.0)
    first = pd.DataFrame({"event_id": ["m"], "time": [START - np.timedelta64(1, "s")], "magnitude": [7.0]})
    first = validate(first.assign(longitude=139.0, latitude=36.0), EVENTS)
    model = Etas.with_parameters(p, 3.0, Uniform(OUTER), magnitude_max=7.0)
    events = pd.concat([first, events_of(model.simulate(first, target, n=1, seed=seed))], ignore_index=True)
    steps = after_large(events, magnitude_min=3.0, law=CompletenessLaw(3.5, 0.75))
    events = events[events["magnitude"] >= steps.at(events["time"], 3.0) - 1e-9]
    if known:
        target = replace(target, completeness=steps)
    fit = Etas(taper=False, background="uniform", magnitude_max=7.0, tolerance=1e-3).fit(events, target)
    return compared(fit, p, seed=seed, draws=400 if known else 0)


def compared(fit: Etas, truth: EtasParameters, *, seed: int, draws: int = 0) -> list[dict[str, object]]:
    """Return the rows of a fit."""
    names = [n for n in NAMES if n != "tau"]
    free = np.array([n != "tau" for n in NAMES])
    delta = fit.parameters_.vector()[free] - truth.vector()[free]
    covariance = fit.maximum_.covariance[np.ix_(free, free)]
    inner = np.diag(covariance) > 0
    with np.errstate(divide="ignore"):
        z = delta / np.sqrt(np.diag(covariance))
    distance = float(delta @ np.linalg.solve(covariance, delta)) if inner.all() else np.inf
    ratio = 2 * (fit.maximum_.log_likelihood - fit.training_.log_likelihood(truth))
    made = rows(names, z, distance, n=len(fit.training_.target), ratio=ratio)
    for row, name in zip(made, names):
        row["found"], row["truth"] = getattr(fit.parameters_, name), getattr(truth, name)
    made[-1]["found"] = fit.parameters_.branching_productivity
    made[-1]["truth"] = truth.branching_productivity
    if draws and inner.all():
        posterior = sample_posterior(fit.training_, fit.maximum_, n=draws, seed=seed)
        for row in made[:-1]:
            name = str(row["parameter"])
            value = getattr(truth, name)
            column = posterior.table()[name]
            row["below"] = float(posterior.weight[(column < value).to_numpy()].sum())
            row["tail"], row["effective"] = posterior.tail, posterior.effective_size
    return made


CASES: dict[str, Callable[[int, int], list[dict[str, object]]]] = {
    "time": lambda seed, _: in_time(seed),
    "space": lambda seed, _: in_space(seed),
    "kernel": lambda seed, refits: in_space(seed, "kernel", refits=refits),
    "density": lambda seed, _: in_space(seed, "true"),
    "known": lambda seed, _: after_a_mainshock(seed, known=True),
    "ignored": lambda seed, _: after_a_mainshock(seed, known=False),
}
TITLES = {
    "time": "ETAS in time",
    "space": "ETAS in space and time, uniform background",
    "kernel": "The same, background in clusters that the fit does not know",
    "density": "The same, and the fit knows them",
    "known": "After a magnitude 7, completeness that changes: known",
    "ignored": "The same, ignored",
}


def table(found: pd.DataFrame) -> pd.DataFrame:
    """Return for each case, parameter and level how often intervals held the truth, with a 95 % interval."""
    out = []
    for (case, name), group in found.groupby(["case", "parameter"], sort=False):
        error = group["error"].to_numpy(float)
        for level in LEVELS:
            inside = {"normal": np.abs(error) <= stats.norm.ppf(0.5 + level / 2)}
            if name == "all":
                bound = stats.chi2.ppf(level, group["free"].iloc[0])
                inside = {
                    "normal": error <= bound,
                    "likelihood ratio": group["ratio"].to_numpy(float) <= bound,
                }
            elif "below" in group and group["below"].notna().any():
                inside["posterior"] = np.abs(group["below"].dropna().to_numpy() - 0.5) <= level / 2
            if f"bootstrap_{level}" in group and group[f"bootstrap_{level}"].notna().any():
                inside["bootstrap"] = group[f"bootstrap_{level}"].dropna().to_numpy(bool)
            for kind, held in inside.items():
                low, high = stats.binomtest(int(held.sum()), len(held)).proportion_ci(0.95, method="exact")
                out.append((case, name, kind, level, held.mean(), low, high, len(held)))
    names = ["case", "parameter", "interval", "level", "held", "low", "high", "n"]
    return pd.DataFrame(out, columns=names)


def main() -> None:
    """Run the cases, print the table, draw the figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=200, help="catalogues of each case")
    parser.add_argument("--case", action="append", choices=list(CASES), help="this case alone; repeatable")
    parser.add_argument(
        "--refits", type=int, default=30, help="of the bootstrap, in the case kernel; 0: none"
    )
    parser.add_argument("--first", type=int, default=0, help="seed of the first catalogue")
    parser.add_argument("--out", type=Path, default=Path("calibration_etas"), help="folder")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for case in options.case or list(CASES):
        begin, made = time.perf_counter(), []
        for seed in range(options.first, options.first + options.n):
            made += [{**row, "case": case, "seed": seed} for row in CASES[case](seed, options.refits)]
            pd.DataFrame(made).to_csv(options.out / f"{case}_{options.first}.csv", index=False)
        print(f"{case}: {options.n} catalogues, {time.perf_counter() - begin:.0f} s", flush=True)
    files = sorted(options.out.glob("*_*.csv"), key=lambda f: list(CASES).index(f.stem.split("_")[0]))
    found = pd.concat([pd.read_csv(f) for f in files], ignore_index=True)
    held = table(found)
    held.to_csv(options.out / "coverage.csv", index=False)
    print(held.round(3).to_string())
    values = found[found["case"].isin(["known", "ignored"])].groupby(["case", "parameter"], sort=False)
    print("median, all: aftershocks of a magnitude 3")
    print(values[["truth", "found"]].median().round(4).to_string())
    titles = {case: title for case, title in TITLES.items() if case in set(held["case"])}
    coverage(held, titles=titles).savefig(options.out / "etas_calibration.png", dpi=130)


if __name__ == "__main__":
    main()
