"""Speed of ETAS: python benchmarks/bench_etas.py [--large]

Pairs per second of the likelihood with its gradient beside plain NumPy, in the same run; fits of San Jacinto
(where the shared data is), of 2,400 targets with 270,000 pairs, of 2,500 targets with 980,000 pairs; with
``--large`` of 100,000 simulated earthquakes.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd

from kaname.core.errors import NotFoundError
from kaname.core.geo import EARTH_RADIUS_KM
from kaname.core.tables import EVENTS, empty
from kaname.discovery.seismicity.background import Uniform
from kaname.discovery.seismicity.contract import Target
from kaname.discovery.seismicity.etas.likelihood import Likelihood
from kaname.discovery.seismicity.etas.model import Etas
from kaname.discovery.seismicity.etas.parameters import EtasParameters
from kaname.discovery.seismicity.region import Region

TRUE = EtasParameters(6.0, 0.0045, 1.3, 0.01, 0.1, 200.0, 0.5, 0.8, 0.7)
REGION = Region.from_bounds(138, 142, 34, 38)


def simulated(n: int, *, mu: float, seed: int = 0) -> tuple[pd.DataFrame, Target]:
    """Return a made-up catalogue of about ``n`` earthquakes and its period."""
    p = EtasParameters(**{**TRUE.__dict__, "mu": mu})
    days = round(n / mu / 2)
    end = np.datetime64("2000-01-01") + np.timedelta64(days, "D")
    target = Target(REGION, np.datetime64("2000-01-01"), end, 3.0)
    made = Etas.with_parameters(p, 3.0, Uniform(REGION), magnitude_max=6.5)
    events = made.simulate(empty(EVENTS), target, n=1, seed=seed)
    return events.assign(event_id=[f"e{i}" for i in range(len(events))]), target


def numpy_rates(likelihood: Likelihood, p: EtasParameters) -> np.ndarray:
    """Return the same rates in plain NumPy, a target at a time."""
    size = p.k0 * np.exp(p.a * likelihood.magnitude)
    zone = p.d * np.exp(p.gamma * likelihood.magnitude)
    out = p.mu * likelihood.density
    for k, j in enumerate(likelihood.target):
        delay = likelihood.day[j] - likelihood.day[:j]
        chord = np.sqrt(((likelihood.place[:, [j]] - likelihood.place[:, :j]) ** 2).sum(axis=0))
        r2 = (2 * EARTH_RADIUS_KM * np.arcsin(chord / 2 / EARTH_RADIUS_KM)) ** 2
        decay = np.exp(-delay / p.tau) * (delay + p.c) ** (-1 - p.omega)
        out[k] += (size[:j] * decay * (r2 + zone[:j]) ** (-1 - p.rho)).sum()
    return out


def pairs(events: pd.DataFrame, target: Target) -> None:
    """Print pairs per second beside NumPy's."""
    sources = target.sources(events)
    density = np.full(int(sources["target"].sum()), 1 / target.region.area_km2)
    made = Likelihood.of(sources, target, density, reference=3.0)
    n_pair = int(made.target.sum())
    made.with_gradient(TRUE)
    begin = time.perf_counter()
    made.with_gradient(TRUE)
    ours = time.perf_counter() - begin
    begin = time.perf_counter()
    theirs = numpy_rates(made, TRUE)
    plain = time.perf_counter() - begin
    off = np.abs(made.rates(TRUE) / theirs - 1).max()
    fast, slow = n_pair / ours / 1e6, n_pair / plain / 1e6
    print(
        f"{n_pair / 1e6:.0f} M pairs: likelihood with gradient {fast:.0f} M pairs/s, NumPy without gradient "
        f"{slow:.1f} M pairs/s, ratio {plain / ours:.0f}; largest difference {off:.1e}"
    )


def fitted(name: str, model: Etas, events: pd.DataFrame, target: Target) -> None:
    """Print the time of a fit."""
    begin = time.perf_counter()
    model.fit(events, target)
    took = time.perf_counter() - begin
    n, top = len(model.training_.target), model.maximum_
    print(
        f"{name}: {n} targets, {model.training_.target.sum() / 1e6:.2f} M pairs, {took:.1f} s, "
        f"converged {top.converged}, log-likelihood {top.log_likelihood:.1f}",
        flush=True,
    )


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--large", action="store_true", help="100,000 earthquakes, too")
    options = parser.parse_args()
    events, target = simulated(8000, mu=6.0)
    pairs(events, target)
    small, period = simulated(740, mu=1.0, seed=3)
    fitted("small", Etas(background="uniform"), small, period)
    fitted("small again, compiled", Etas(background="uniform"), small, period)
    middle, period = simulated(2500, mu=1.0, seed=4)
    fitted("2,500", Etas(background="uniform"), middle, period)
    try:
        import score_sanjac

        events, region = score_sanjac.catalogue()
    except (NotFoundError, FileNotFoundError):
        print("San Jacinto is left out: no shared data")
    else:
        whole = score_sanjac.period(region, "2009", "2016")
        fitted("San Jacinto, uniform", score_sanjac.model("uniform"), events, whole)
        fitted("San Jacinto, kernel", score_sanjac.model(score_sanjac.CHOSEN), events, whole)
    if options.large:
        events, target = simulated(112_000, mu=20.0, seed=5)
        fitted("100,000, uniform", Etas(background="uniform"), events, target)
        fitted("100,000, kernel", Etas(), events, target)


if __name__ == "__main__":
    main()
