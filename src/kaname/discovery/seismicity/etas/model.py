"""Space-time ETAS as an estimator: fitted by maximum likelihood, scored on what came later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kaname.core.errors import InputError
from kaname.discovery.seismicity.background import Background, KernelDensity, Uniform
from kaname.discovery.seismicity.contract import Score, Target, rates_table, seismicity_model
from kaname.discovery.seismicity.etas.fitting import Maximum, maximise, start
from kaname.discovery.seismicity.etas.incomplete import Hidden
from kaname.discovery.seismicity.etas.likelihood import Likelihood
from kaname.discovery.seismicity.etas.parameters import EtasParameters
from kaname.discovery.seismicity.etas.residuals import transformed_times
from kaname.discovery.seismicity.etas.simulation import simulate
from kaname.discovery.seismicity.gutenberg_richter import GutenbergRichter, slope

if TYPE_CHECKING:
    from kaname.discovery.seismicity.etas.bootstrap import Bootstrap

_QUICK = 3000
"""Targets of the likelihood on which the search begins, where there are many more."""
_ALPHA = 1.5
"""Growth of aftershocks with magnitude that is first assumed of what is not seen."""

BackgroundKind = Literal["uniform", "kernel"]
Counted = Literal["region", "plane"]


@dataclass(frozen=True)
class KernelSettings:
    """Of the background density `KernelDensity`, and how often it and the parameters are found in turn."""

    neighbours: int = 5
    bandwidth_min_km: float = 0.5
    uniform: float = 0.02
    rounds: int = 5


@seismicity_model("etas")
class Etas:
    """Epidemic-type aftershock sequences in space and time.

    Parameters
    ----------
    background
        ``uniform`` over the region, or a ``kernel`` density of the training events, each weighted with its
        probability of being background, found in turn with the parameters (Zhuang, Ogata & Vere-Jones 2002,
        doi:10.1198/016214502760046925). No later event enters it.
    taper
        Whether aftershocks end exponentially (tau).
    counted
        Whether the aftershocks that are expected are those in the ``region`` or in the whole ``plane``. The
        second loses those that fall outside; it is what others publish.
    kernel
        See `KernelSettings`.
    fixed
        Parameters that keep the value of ``first``.
    first
        Where the search starts; missing: found from the data.
    magnitude_bin, magnitude_max
        Width of the bins that magnitudes are rounded to (0: not rounded), and the greatest one simulated.

    Attributes
    ----------
    parameters_, maximum_, training_, background_, reference_, b_
        What the fit found: `EtasParameters`, `Maximum`, the `Likelihood` that it maximised, the density, the
        magnitude that the parameters count from, and the slope of the magnitudes (Aki 1965, Utsu 1966).
    bootstrap_
        What it leaves open with the background's density, where that was asked for
        (`kaname.discovery.seismicity.etas.bootstrap`); the covariance of ``maximum_`` takes that as known.
    """

    name = "etas"

    def __init__(
        self,
        *,
        background: BackgroundKind = "kernel",
        taper: bool = True,
        counted: Counted = "region",
        kernel: KernelSettings | None = None,
        fixed: tuple[str, ...] = (),
        first: EtasParameters | None = None,
        magnitude_bin: float = 0.0,
        magnitude_max: float = 9.5,
        tolerance: float = 1e-2,
        progress: Callable[[int, float], None] | None = None,
    ) -> None:
        for value, kind in ((background, BackgroundKind), (counted, Counted)):
            if value not in get_args(kind):
                raise InputError(f"expected one of {', '.join(get_args(kind))}, found {value!r}")
        self.background = background
        self.taper = taper
        self.counted = counted
        self.kernel = kernel or KernelSettings()
        self.fixed = fixed
        self.first = first
        self.magnitude_bin = magnitude_bin
        self.magnitude_max = magnitude_max
        self.tolerance = tolerance
        self.progress = progress
        self.bootstrap_: Bootstrap | None = None

    def fit(self, catalogue: pd.DataFrame, target: Target) -> Etas:
        """See `SeismicityModel`.

        Raises
        ------
        InputError
            When there are fewer than 20 targets: use a published set of parameters then.
        """
        sources = target.sources(catalogue)
        n = int(sources["target"].sum())
        if n < 20:
            raise InputError(
                f"{n} events are too few for nine parameters; lower the magnitude, widen the region or the "
                "period, or give parameters (Etas.with_parameters)"
            )
        self.reference_ = target.magnitude_min
        self.bootstrap_ = None
        chosen = sources[sources["target"]]
        above = chosen["magnitude"].to_numpy(float) - chosen["completeness"].to_numpy(float)
        self.b_ = slope(float(above.mean()), self.magnitude_bin)
        self.background_: Background = Uniform(target.region)
        first = self.first
        density = np.full(n, 1 / target.region.area_km2)
        likelihood = self._likelihood(sources, target, density, alpha=first.alpha if first else _ALPHA)
        weight = np.ones(n)
        if self.background == "kernel":
            # Begun here and not from all events alike, few rounds leave the density smoother, which foresees
            # more (docs/etas.md).
            quick = self._search(likelihood.thinned(_QUICK), first, tolerance=0.5)
            weight = likelihood.background(quick.parameters)
        in_turn = self.background == "kernel" or target.completeness is not None
        for _ in range(self.kernel.rounds if in_turn else 0):
            if self.background == "kernel":
                self.background_ = made = self._density(sources, target, weight)
                density = made.density_at_events()
            alpha = first.alpha if first else _ALPHA
            likelihood = self._likelihood(sources, target, density, likelihood, alpha=alpha)
            first = self._search(likelihood.thinned(_QUICK), first, tolerance=0.5).parameters
            weight = likelihood.background(first)
        if n > 2 * _QUICK:
            first = self._search(likelihood.thinned(_QUICK), first, tolerance=0.1).parameters
        self.training_ = likelihood
        self.maximum_: Maximum = self._search(likelihood, first, tolerance=self.tolerance)
        self.parameters_ = self.maximum_.parameters
        return self

    def _search(self, likelihood: Likelihood, first: EtasParameters | None, *, tolerance: float) -> Maximum:
        return maximise(
            likelihood,
            first or start(likelihood, taper=self.taper),
            fixed=self.fixed,
            tolerance=tolerance,
            progress=self.progress,
        )

    def _density(self, sources: pd.DataFrame, target: Target, weight: NDArray[np.float64]) -> KernelDensity:
        chosen = sources[sources["target"]]
        return KernelDensity(
            target.region,
            chosen["longitude"],
            chosen["latitude"],
            weight,
            neighbours=self.kernel.neighbours,
            bandwidth_min_km=self.kernel.bandwidth_min_km,
            uniform=self.kernel.uniform,
        )

    @classmethod
    def with_parameters(
        cls,
        parameters: EtasParameters,
        reference: float,
        background: Background,
        *,
        b: float = 1.0,
        counted: Counted = "region",
        magnitude_max: float = 9.5,
    ) -> Etas:
        """Return a model that is known already; its parameters count from the magnitude ``reference``."""
        made = cls(counted=counted, magnitude_max=magnitude_max)
        made.parameters_, made.reference_, made.background_, made.b_ = parameters, reference, background, b
        return made

    def likelihood(self, catalogue: pd.DataFrame, target: Target) -> Likelihood:
        """Return the likelihood of a period under the fitted background."""
        sources = target.sources(catalogue)
        chosen = sources[sources["target"]]
        density = self.background_.density(chosen["longitude"], chosen["latitude"])
        return self._likelihood(sources, target, density, alpha=self.parameters_.alpha)

    def score(self, catalogue: pd.DataFrame, target: Target) -> Score:
        """See `SeismicityModel`; the fit must not have seen the target period."""
        likelihood = self.likelihood(catalogue, target)
        return Score.of(
            likelihood.rates(self.parameters_),
            likelihood.rates_in_time(self.parameters_),
            likelihood.expected(self.parameters_),
        )

    def log_rates(self, catalogue: pd.DataFrame, target: Target) -> pd.DataFrame:
        """See `SeismicityModel`."""
        likelihood = self.likelihood(catalogue, target)
        moments = transformed_times(likelihood, self.parameters_)
        return rates_table(
            target.sources(catalogue),
            likelihood.rates(self.parameters_),
            likelihood.rates_in_time(self.parameters_),
            moments.value,
            moments.total,
        )

    def simulate(self, history: pd.DataFrame, target: Target, *, n: int, seed: int) -> pd.DataFrame:
        """See `SeismicityModel` and `kaname.discovery.seismicity.etas.simulation.simulate`."""
        return simulate(
            self.parameters_,
            self.background_,
            GutenbergRichter(self.b_, target.magnitude_min, self.magnitude_max),
            history,
            target,
            reference=self.reference_,
            n=n,
            seed=seed,
        )

    def _likelihood(
        self,
        sources: pd.DataFrame,
        target: Target,
        density: NDArray[np.float64],
        like: Likelihood | None = None,
        *,
        alpha: float,
    ) -> Likelihood:
        law = GutenbergRichter(self.b_, target.magnitude_min, self.magnitude_max)
        return Likelihood.of(
            sources,
            target,
            density,
            reference=self.reference_,
            within_region=self.counted == "region",
            quadrature=like.quadrature if like else None,
            hidden=Hidden.of(sources, target, law, alpha),
        )
