"""ETAS and its rivals: python benchmarks/score_rivals.py sanjac|switzerland [--test] [--cache DIR]

Fits each model and scores it on the validation years; with ``--test`` on the test years, after a fit to all
before them, and every score is appended to docs/ledger-seismicity.csv. Prints nats per event and the gain
over ETAS with its interval (bootstrap of blocks of 7 days). ``--cache`` keeps fitted models; ``--figures``
draws the gain over time and on a map.
"""

from __future__ import annotations

import argparse
import os
import pickle
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import score_sanjac

from kaname.discovery.seismicity import ledger
from kaname.discovery.seismicity.contract import SeismicityModel, Target
from kaname.discovery.seismicity.etas.model import Etas, KernelSettings
from kaname.discovery.seismicity.gutenberg_richter import rounded
from kaname.discovery.seismicity.hybrid import Hybrid, HybridSettings
from kaname.discovery.seismicity.neural import Neural
from kaname.discovery.seismicity.poisson import Poisson
from kaname.discovery.seismicity.region import Region
from kaname.discovery.seismicity.smoothed import Smoothed
from kaname.evaluate.scores import block_bootstrap
from kaname.report.seismicity import gains

ROOT = Path(__file__).parents[1]
SWISS = score_sanjac.DATA.parents[1] / "swiss_lmizrahi/input_data"


@dataclass(frozen=True)
class Case:
    """A catalogue, its periods (train, validation, test: starts and the end), and the models' settings."""

    name: str
    years: tuple[str, str, str, str]
    period: Callable[[str, str], Target]
    events: pd.DataFrame
    etas: Callable[[], Etas]
    rivals: dict[str, Callable[[], SeismicityModel]]
    hybrid: HybridSettings


def sanjac() -> Case:
    """Return San Jacinto as EarthquakeNPP splits it."""
    events, region = score_sanjac.catalogue()
    return Case(
        "San Jacinto (EarthquakeNPP)",
        ("2009", "2014", "2016", "2018"),
        lambda a, b: score_sanjac.period(region, a, b),
        events,
        lambda: score_sanjac.model(score_sanjac.CHOSEN),
        {
            "poisson": lambda: Poisson(magnitude_bin=0.1),
            "smoothed": lambda: Smoothed(neighbours=3, bandwidth_min_km=0.1, magnitude_bin=0.1),
            "neural": lambda: Neural(neighbours=3, bandwidth_min_km=0.1, epochs=20, magnitude_bin=0.1),
        },
        HybridSettings(
            densities=((3, 0.1), (5, 0.2), (15, 0.5)), reaches_km=(0.0, 0.12, 0.25), update_days=91.0
        ),
    )


def switzerland() -> Case:
    """Return Switzerland, M2.3 and more: 1997 to 2013, 2014 to 2017, 2018 to 2021."""
    events = pd.read_csv(SWISS / "ch_catalog.csv.gz").rename(columns={"Unnamed: 0": "event_id"})
    events["time"] = pd.to_datetime(events["time"], format="ISO8601")
    events["magnitude"] = rounded(events["magnitude"], 0.1)
    region = Region.read(SWISS / "ch_rect.npy")

    def period(start: str, end: str) -> Target:
        return Target(region, np.datetime64(start), np.datetime64(end), 2.3, np.datetime64("1992-01-01"))

    return Case(
        "Switzerland",
        ("1997", "2014", "2018", "2022"),
        period,
        events.astype({"event_id": str}),
        lambda: Etas(kernel=KernelSettings(5, 8.0, 0.05), magnitude_bin=0.1, tolerance=0.1),
        {
            "poisson": lambda: Poisson(magnitude_bin=0.1),
            "smoothed": lambda: Smoothed(
                neighbours=3, bandwidth_min_km=2.0, update_days=365.0, magnitude_bin=0.1
            ),
            "neural": lambda: Neural(neighbours=3, bandwidth_min_km=2.0, epochs=60, magnitude_bin=0.1),
        },
        HybridSettings(),
    )


CASES = {"sanjac": sanjac, "switzerland": switzerland}


def kept(cache: Path | None, name: str, make: Callable[[], SeismicityModel]) -> SeismicityModel:
    """Return a fitted model from the cache, or fit it and keep it."""
    file = cache / f"{name}.pickle" if cache else None
    if file is not None and file.is_file():
        known: SeismicityModel = pickle.loads(file.read_bytes())
        return known
    begin = time.perf_counter()
    model = make()
    print(f"{name}: fitted in {time.perf_counter() - begin:.0f} s", flush=True)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(pickle.dumps(model))
    return model


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--models", default="poisson,smoothed,neural,hybrid", help="of these, beside ETAS")
    parser.add_argument("--test", action="store_true", help="score on the test years, and write it down")
    parser.add_argument("--cache", type=Path, help="folder of fitted models")
    parser.add_argument("--figures", type=Path, help="folder for the figures")
    options = parser.parse_args()
    case = CASES[options.case]()
    train, validation, test, end = case.years
    until = test if options.test else validation
    known = case.period(train, until)
    scored = case.period(until, end if options.test else test)

    def etas(target: Target) -> Etas:
        name = f"{options.case}-etas-{str(target.end)[:10]}"
        model = kept(options.cache, name, lambda: case.etas().fit(case.events, target))
        assert isinstance(model, Etas)
        return model

    reference = etas(known)
    models: dict[str, SeismicityModel] = {"etas": reference}
    for name in options.models.split(","):
        if name == "hybrid":
            # Two of the seven years of San Jacinto, the last, are its validation years.
            early = etas(Hybrid().parts(known)[0])
            hybrid = Hybrid(settings=case.hybrid, early=early, whole=reference)
            models[name] = kept(
                options.cache, f"{options.case}-hybrid-{until}", partial(hybrid.fit, case.events, known)
            )
        else:
            model = case.rivals[name]()
            models[name] = kept(
                options.cache, f"{options.case}-{name}-{until}", partial(model.fit, case.events, known)
            )
    tables = {}
    for name, model in models.items():
        score = model.score(case.events, scored)
        tables[name] = model.log_rates(case.events, scored)
        line = (
            f"{name:10s} joint {score.joint:.4f}, time {score.temporal:.4f}, space {score.spatial:.4f}, "
            f"expected {score.expected:.0f} of {score.n}"
        )
        if name != "etas":
            line += "; gain {:+.4f} ({:+.4f} to {:+.4f})".format(*gain(tables[name], tables["etas"]))
        print(line, flush=True)
        if isinstance(model, Hybrid):
            print("  shares", [np.round(s, 3).tolist() for s in model.shares_], *model.kernels_)
        if options.test:
            ledger.append(
                ledger_path(), data=case.name, model=f"{name}, {described(model)}", target=scored,
                score=score,
                remark=f"fitted to {train}-{int(test) - 1}; chosen on {validation}-{int(test) - 1}; "
                f"commit {commit()}",
            )  # fmt: skip
    if options.figures:
        shown = [name for name in ("hybrid", "neural") if name in tables]
        gained = {name: share(tables[name]) - share(tables["etas"]) for name in shown}
        figure = gains(tables["etas"], gained, over="ETAS", title=case.name)
        options.figures.mkdir(parents=True, exist_ok=True)
        figure.savefig(options.figures / f"rivals-{options.case}.png", dpi=110)


def ledger_path() -> Path:
    """Return the committed ledger, or that of the environment variable KANAME_LEDGER."""
    return Path(os.environ.get("KANAME_LEDGER", score_sanjac.LEDGER))


def commit() -> str:
    """Return the commit that is scored, ``+`` behind it where the sources differ from it."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "src", "benchmarks"], check=False)
    return head.stdout.strip() + "+" * (changed.returncode != 0)


def described(model: SeismicityModel) -> str:
    """Return the settings that were chosen."""
    match model:
        case Hybrid():
            return str(model.settings)
        case Etas():
            k = model.kernel
            return f"kernel {k.neighbours}, {k.bandwidth_min_km} km"
        case Neural():
            return f"hidden {model.hidden}, depth {model.depth}, {model.epochs} epochs"
        case Smoothed():
            return f"{model.neighbours} neighbours, {model.bandwidth_min_km} km, {model.update_days:g} days"
    return "uniform"


def gain(table: pd.DataFrame, reference: pd.DataFrame) -> tuple[float, float, float]:
    """Return the information gain [nat per event] and its interval, weeks drawn whole."""
    difference = share(table) - share(reference)
    return block_bootstrap(difference, table["time"].dt.floor("7D").to_numpy())


def share(table: pd.DataFrame) -> np.ndarray:
    """Return what each target contributes to the log-likelihood."""
    return np.asarray(table["log_rate"] - table["expected"], float)


if __name__ == "__main__":
    main()
