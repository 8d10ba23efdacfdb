"""What the data leave open about the parameters: importance sampling about Laplace's approximation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from kaname.core.errors import InputError
from kaname.discovery.seismicity.etas.fitting import Maximum
from kaname.discovery.seismicity.etas.likelihood import Likelihood
from kaname.discovery.seismicity.etas.parameters import LOGARITHMIC, NAMES, EtasParameters, by_name

TAIL_MAX = 0.7
"""Shape of the tail of the weights from which on they cannot be trusted (Vehtari et al. 2024)."""
SIZE_MIN = 100
"""Effective size from which on intervals of 95 % hold (with 34 they held 87 %, with 230 94 %)."""
_FEW = 20
"""Draws that the covariance of the fit is worth in the second round."""
_FREEDOM = 6
"""Degrees of freedom of the t distribution that is drawn from: heavier tails than the posterior's."""


@dataclass(frozen=True, eq=False)
class Posterior:
    """Weighted draws of the parameters.

    Parameters
    ----------
    draws
        `EtasParameters.vector` of each draw, ``(n, 9)``.
    weight
        Importance weights, smoothed, of sum one ``(n,)``.
    tail
        Shape of the tail of the raw weights (Vehtari et al. 2024, arXiv:1507.02646): below 0.7 the
        approximation holds.
    """

    draws: NDArray[np.float64]
    weight: NDArray[np.float64]
    tail: float

    @property
    def effective_size(self) -> float:
        """Number of equally weighted draws that would say as much (Kish)."""
        return float(1 / (self.weight**2).sum())

    @property
    def trusted(self) -> bool:
        """Whether the tail of the weights is light and enough draws count."""
        return self.tail < TAIL_MAX and self.effective_size >= SIZE_MIN

    def quantiles(
        self, name: str, probabilities: Sequence[float] = (0.025, 0.5, 0.975)
    ) -> NDArray[np.float64]:
        """Return quantiles of one parameter, scales as such and not as logarithms."""
        if name not in NAMES:
            raise InputError(f"no ETAS parameter {name!r}; known are {', '.join(NAMES)}")
        values = self.draws[:, NAMES.index(name)]
        order = np.argsort(values)
        below = np.cumsum(self.weight[order]) - self.weight[order] / 2
        found = np.interp(probabilities, below, values[order])
        return np.exp(found) if name in LOGARITHMIC else np.asarray(found)

    def table(self) -> pd.DataFrame:
        """Return the draws, scales as such, and their weights: a row each."""
        return pd.DataFrame({**by_name(self.draws), "weight": self.weight})

    def sample(self, n: int, *, seed: int) -> list[EtasParameters]:
        """Return ``n`` sets of parameters drawn from the posterior."""
        rng = np.random.default_rng(seed)
        chosen = rng.choice(len(self.draws), n, p=self.weight)
        return [EtasParameters.from_vector(self.draws[k]) for k in chosen]


def sample_posterior(
    likelihood: Likelihood,
    maximum: Maximum,
    *,
    n: int = 400,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Posterior:
    """Draw from the posterior about a maximum; the prior is flat in `EtasParameters.vector`.

    The proposal is a t distribution with the covariance of the fit; a second round uses the covariance of
    the first. The background's places are held.

    Parameters
    ----------
    likelihood, maximum
        What was maximised, and its maximum.
    n, seed
        Draws per round, and the seed.
    progress
        Called with the draws done and to do.

    Raises
    ------
    InputError
        When nothing was free in the fit, or too few draws have any weight.
    """
    free = np.diag(maximum.covariance) > 0
    if not free.any():
        raise InputError("every parameter of the fit was fixed or at a bound: there is no posterior to draw")
    if n < 50:
        raise InputError(f"at least 50 draws are needed, found {n}")
    rng = np.random.default_rng(seed)
    centre = maximum.parameters.vector()
    where, spread = centre[free], maximum.covariance[np.ix_(free, free)]
    for round_ in (0, 1):
        proposal = stats.multivariate_t(where, spread * (1.3 if round_ == 0 else 1.1), df=_FREEDOM)
        drawn = proposal.rvs(n, random_state=rng).reshape(n, free.sum())
        draws = np.tile(centre, (n, 1))
        draws[:, free] = drawn
        log_weight = np.full(n, -np.inf)
        for k, vector in enumerate(draws):
            try:
                value = likelihood.log_likelihood(EtasParameters.from_vector(vector))
            except InputError:
                # Outside what is possible, such as rho below zero.
                value = -np.inf
            log_weight[k] = value - maximum.log_likelihood - proposal.logpdf(drawn[k])
            if progress is not None:
                progress(round_ * n + k + 1, 2 * n)
        if np.isfinite(log_weight).sum() < 20:
            raise InputError("fewer than 20 draws are possible: the fit did not converge or lies at a bound")
        weight, tail = smoothed(log_weight)
        where = weight @ drawn
        spread = (weight[:, np.newaxis] * (drawn - where)).T @ (drawn - where)
        # Where few draws count they are too close together, and the covariance of the fit speaks along.
        share = 1 / (1 + _FEW * float((weight**2).sum()))
        spread = share * spread + (1 - share) * maximum.covariance[np.ix_(free, free)]
    return Posterior(draws, weight, tail)


def smoothed(log_weight: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Return weights of sum one, the largest replaced by quantiles of a Pareto tail, and the tail's shape."""
    raw = np.exp(log_weight - log_weight.max())
    n_tail = int(min(0.2 * len(raw), 3 * np.sqrt(len(raw))))
    order = np.argsort(raw)
    top = order[-n_tail:]
    edge = raw[order[-n_tail - 1]]
    excess = raw[top] - edge
    shape = 0.0
    if excess.max() > 0:
        shape, _, scale = stats.genpareto.fit(excess, floc=0)
        ranks = (np.arange(n_tail) + 0.5) / n_tail
        raw[top] = np.minimum(edge + stats.genpareto.ppf(ranks, shape, 0, scale), 1.0)
    return raw / raw.sum(), float(shape)
