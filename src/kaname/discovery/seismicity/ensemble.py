"""What is learned of a catalogue for a forecast: models that the data leave possible, and futures of all."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kaname.core.errors import InputError
from kaname.core.forecasts import SIMULATIONS
from kaname.core.tables import concat
from kaname.discovery.seismicity import generic
from kaname.discovery.seismicity.background import Background, KernelDensity, Uniform
from kaname.discovery.seismicity.completeness import CompletenessSteps
from kaname.discovery.seismicity.contract import SeismicityModel, Target, get_model
from kaname.discovery.seismicity.etas.incomplete import Hidden
from kaname.discovery.seismicity.etas.likelihood import Likelihood
from kaname.discovery.seismicity.etas.model import Etas
from kaname.discovery.seismicity.etas.parameters import EtasParameters
from kaname.discovery.seismicity.etas.simulation import branching_ratio
from kaname.discovery.seismicity.forecasting import FEW, Prepared
from kaname.discovery.seismicity.gutenberg_richter import GutenbergRichter, b_value
from kaname.discovery.seismicity.hybrid import Hybrid
from kaname.discovery.seismicity.neural import Neural
from kaname.discovery.seismicity.poisson import Poisson
from kaname.discovery.seismicity.region import Region
from kaname.discovery.seismicity.smoothed import Smoothed

_SEED_SPREAD = 1_000_003
KINDS: dict[str, str] = {
    Etas.name: "ETAS",
    Hybrid.name: "Hybrid: ETAS with a second kernel, ellipses and a background that goes on learning",
    Neural.name: "Neural point process",
    Poisson.name: "Poisson: a constant rate, the same everywhere in the region",
    Smoothed.name: "Smoothed seismicity: a constant rate, more of it where earthquakes were before",
}
"""The models that a forecast can be made with, in the words of the report."""


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Models of one kind that the data leave possible, each with its b.

    Parameters
    ----------
    best
        The one that fits best.
    models, b, parameters
        Those that simulate, the slope of the magnitudes of each ``(n,)``, and what else they differ by.
    generic
        Whether they rest on parameters of another region.
    n_target
        Earthquakes that were learned from.
    notes
        What is to be said of it, in the words of the report.
    """

    best: SeismicityModel
    models: tuple[SeismicityModel, ...]
    b: NDArray[np.float64]
    parameters: tuple[dict[str, float], ...]
    generic: bool
    n_target: int
    notes: tuple[str, ...] = ()

    def simulate(self, history: pd.DataFrame, target: Target, *, n: int, seed: int) -> pd.DataFrame:
        """Return ``n`` futures, as many of each model (see `members`)."""
        parts = []
        for k, (model, share) in enumerate(zip(self.models, np.array_split(np.arange(n), self.n))):
            if len(share):
                made = model.simulate(history, target, n=len(share), seed=seed * _SEED_SPREAD + k)
                parts.append(made.assign(simulation=made["simulation"] + share[0]))
        return concat(parts, SIMULATIONS)

    def members(self, n: int) -> NDArray[np.int64]:
        """Return which of the models made each of ``n`` simulations."""
        return np.repeat(np.arange(self.n), [len(s) for s in np.array_split(np.arange(n), self.n)])

    @property
    def n(self) -> int:
        """Number of models."""
        return len(self.models)


def learn(
    prepared: Prepared,
    moment: np.datetime64,
    *,
    n_member: int,
    seed: int,
    magnitude_max: float = 9.0,
    model: str = Etas.name,
    completeness: CompletenessSteps | None = None,
) -> Ensemble:
    """Return a model fitted to what happened before a moment, and what it leaves open.

    ETAS with at least `FEW` targets: maximum likelihood and the normal distribution about it. With fewer: the
    posterior of the generic prior (`kaname.discovery.seismicity.generic`), whose spread is wider. Poisson and
    smoothed seismicity: the rate that as many earthquakes leave open. The others state no uncertainty of
    their parameters: they differ by b alone. A ``completeness`` that changes is known to ETAS alone.

    Raises
    ------
    NotFoundError
        When there is no such model.
    InputError
        When nothing happened before, or too little for the model; when completeness changes, and it is not
        ETAS.
    """
    events, region, least = prepared.events, prepared.region, prepared.magnitude_min
    before = events[events["time"] < moment]
    if before.empty:
        raise InputError(f"no earthquake before {moment}; the first is at {events['time'].iloc[0]}")
    begin = np.datetime64(before["time"].iloc[0], "ns")
    target = Target(region, begin, max(moment, begin + np.timedelta64(1, "s")), least, None, completeness)
    sources = target.sources(before)
    chosen = sources[sources["target"]]
    n = len(chosen)
    # As far above the least as they are above the completeness of their time.
    m = least + (chosen["magnitude"] - chosen["completeness"]).to_numpy(float)
    rng = np.random.default_rng(seed)
    if model != Etas.name:
        rival = _rival(model, prepared.magnitude_bin, magnitude_max).fit(before, target)
        return _of_rival(rival, _slopes(m, prepared, n_member, rng), n, target, rng)
    if n >= FEW:
        # Rounding moves the mean by half a bin; Etas takes that into account.
        fitted = Etas(magnitude_bin=prepared.magnitude_bin, magnitude_max=magnitude_max).fit(before, target)
        return _of_etas(fitted, _slopes(m, prepared, n_member, rng), n, rng)
    likelihood = None
    background: Background = Uniform(region)
    if n:
        background = _background(chosen, region)
        density = background.density(chosen["longitude"], chosen["latitude"])
        law = GutenbergRichter(1.0, least, magnitude_max)
        hidden = Hidden.of(sources, target, law, float(generic.CENTRE[generic.NAMES.index("alpha")]))
        likelihood = Likelihood.of(sources, target, density, reference=least, hidden=hidden)
    sets = generic.draw(least, n=4 * n_member, seed=seed, days=max(target.days, 1.0), likelihood=likelihood)
    b = _slopes(m, prepared, n_member, rng)
    stable = _stable(sets, b, least, magnitude_max, n_member)
    first = Etas.with_parameters(stable[0], least, background, b=float(b.mean()), magnitude_max=magnitude_max)
    note = (
        f"Earthquakes known in the region above the magnitude of completeness: {n}, too few. The forecast "
        "starts from parameters published for another region and is therefore much more uncertain."
    )
    return _with_sets(first, stable, b, True, n, (note,))


def around(model: Etas, n_target: int, *, n_member: int, seed: int) -> Ensemble:
    """Return the ensemble about a model that was fitted before, or the model alone without its covariance."""
    rng = np.random.default_rng(seed)
    error = model.b_ / np.sqrt(max(n_target, 1))
    return _of_etas(model, np.clip(model.b_ + error * rng.standard_normal(n_member), 0.3, 3), n_target, rng)


def _slopes(
    magnitude: NDArray[np.float64], prepared: Prepared, n: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return values of b that magnitudes leave possible; of few, weighted with the generic 1.0 +- 0.1."""
    least, width = prepared.magnitude_min, prepared.magnitude_bin
    if len(magnitude) >= FEW:
        seen = b_value(magnitude, least, magnitude_bin=width)
        return np.clip(seen.b + seen.error * rng.standard_normal(n), 0.3, 3)
    mean, error = 1.0, 0.1
    if len(magnitude) >= 2 and np.ptp(magnitude) > 0:
        seen = b_value(magnitude, least, magnitude_bin=width)
        weight = 1 / max(seen.b / np.sqrt(len(magnitude)), 1e-3) ** 2
        mean, error = (100 * 1.0 + weight * seen.b) / (100 + weight), 1 / np.sqrt(100 + weight)
    return np.clip(mean + error * rng.standard_normal(n), 0.6, 1.6)


def _rival(name: str, magnitude_bin: float, magnitude_max: float) -> SeismicityModel:
    if name == Hybrid.name:
        return Hybrid(etas=Etas(magnitude_bin=magnitude_bin, magnitude_max=magnitude_max))
    return get_model(name, magnitude_bin=magnitude_bin, magnitude_max=magnitude_max)


def _of_rival(
    rival: SeismicityModel, b: NDArray[np.float64], n: int, target: Target, rng: np.random.Generator
) -> Ensemble:
    models: list[SeismicityModel] = []
    for slope in b:
        one = copy(rival)
        one.b_ = float(slope)  # type: ignore[attr-defined]
        if isinstance(one, Poisson):
            # What so many earthquakes leave open, under Jeffreys' prior.
            one.rate_ = rng.gamma(n + 0.5) / target.days
        models.append(one)
    if isinstance(rival, Poisson):
        parameters = tuple({"rate": one.rate_} for one in models if isinstance(one, Poisson))
        note = (
            "The model knows no aftershocks: its rate is the mean of the whole catalogue. After a large "
            "earthquake it is far too low."
        )
    else:
        parameters = tuple({} for _ in models)
        note = "The model states no uncertainty of its parameters; only chance and b spread here."
    return Ensemble(rival, tuple(models), b, parameters, False, n, (note,))


def _of_etas(model: Etas, b: NDArray[np.float64], n: int, rng: np.random.Generator) -> Ensemble:
    n_member, notes = len(b), []
    if hasattr(model, "maximum_"):
        if not model.maximum_.converged:
            notes.append("The fit did not converge: treat the figures with care.")
        known = model.bootstrap_ or model.maximum_
        sets = [p for p in map(_possible, known.sample(20 * n_member, rng)) if p is not None]
        if len(sets) < n_member:
            sets += [model.parameters_] * (n_member - len(sets))
            notes.append("The fit leaves hardly any room for its own errors; their spread is understated.")
        stable = _stable(sets, b, model.reference_, model.magnitude_max, n_member, model.parameters_)
    else:
        stable = [model.parameters_] * n_member
        notes.append("The model states no uncertainty of its parameters; only chance and b spread here.")
    return _with_sets(model, stable, b, False, n, tuple(notes))


def _with_sets(
    best: Etas,
    sets: Sequence[EtasParameters],
    b: NDArray[np.float64],
    rough: bool,
    n: int,
    notes: tuple[str, ...],
) -> Ensemble:
    models = tuple(
        Etas.with_parameters(
            p, best.reference_, best.background_, b=float(slope), magnitude_max=best.magnitude_max
        )
        for p, slope in zip(sets, b, strict=True)
    )
    return Ensemble(best, models, b, tuple(dict(p.__dict__) for p in sets), rough, n, notes)


def _possible(vector: NDArray[np.float64]) -> EtasParameters | None:
    try:
        # A taper that the data do not know may be drawn as endless.
        with np.errstate(over="ignore"):
            return EtasParameters.from_vector(vector)
    except InputError:
        # Outside what is possible, such as rho below zero.
        return None


def _stable(
    sets: Sequence[EtasParameters],
    b: NDArray[np.float64],
    reference: float,
    magnitude_max: float,
    n: int,
    best: EtasParameters | None = None,
) -> list[EtasParameters]:
    """Return the first ``n`` sets under which sequences end; where none do, the best or the calmest."""

    def ratio(p: EtasParameters, slope: float) -> float:
        return branching_ratio(p, reference, GutenbergRichter(slope, reference, magnitude_max))

    chosen: list[EtasParameters] = []
    for p in sets:
        if len(chosen) == n:
            return chosen
        if ratio(p, float(b[len(chosen)])) < 1:
            chosen.append(p)
    calm = best or min(sets, key=lambda p: ratio(p, float(b.mean())))
    return (chosen + [calm] * n)[:n]


def _background(targets: pd.DataFrame, region: Region) -> Background:
    if len(targets) <= 6:
        return Uniform(region)
    weight = np.ones(len(targets))
    return KernelDensity(
        region, targets["longitude"], targets["latitude"], weight, bandwidth_min_km=5, uniform=0.2
    )
