"""Maximum likelihood by damped Fisher scoring: some twenty passes over the pairs instead of a hundred."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kaname.core.errors import InputError
from kaname.discovery.seismicity.etas.likelihood import Likelihood
from kaname.discovery.seismicity.etas.parameters import NAMES, EtasParameters

log = logging.getLogger("kaname.etas")

_LEAST_BACKGROUND = 1e-3
"""Least share of the background that is looked for."""
_FLOOR = 1e-2
"""Information that is added to every parameter's when a step is found; it moves no maximum."""
OMEGA_MIN = 1e-3
"""Least omega without a taper."""
LOW = {"c": np.log(1e-8), "tau": np.log(1e-2), "omega": -0.99, "d": np.log(1e-8), "rho": 1e-3}
HIGH = {"c": np.log(1e3), "tau": np.log(1e7), "omega": 5.0, "d": np.log(1e6), "rho": 20.0}


@dataclass(frozen=True)
class Maximum:
    """Where the likelihood is greatest.

    ``covariance`` belongs to `EtasParameters.vector`; rows and columns of fixed parameters are zero.
    """

    parameters: EtasParameters
    log_likelihood: float
    covariance: NDArray[np.float64]
    n_pass: int
    converged: bool

    def sample(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return ``n`` vectors of parameters that the data leave possible; some may be impossible."""
        return rng.multivariate_normal(self.parameters.vector(), self.covariance, n, method="eigh")


def start(likelihood: Likelihood, *, taper: bool) -> EtasParameters:
    """Return where to start: half the targets background, the usual exponents."""
    n = len(likelihood.target)
    p = EtasParameters(
        mu=0.5 * n / likelihood.days, k0=1.0, a=1.5, c=0.01, omega=0.0 if taper else 0.1,
        tau=1000.0 if taper else np.inf, d=0.1, gamma=0.8, rho=0.6,
    )  # fmt: skip
    triggered = likelihood.expected_by_source(p).sum()
    return EtasParameters(**{**p.__dict__, "k0": 0.5 * n / triggered})


def maximise(
    likelihood: Likelihood,
    first: EtasParameters,
    *,
    fixed: Sequence[str] = (),
    tolerance: float = 1e-3,
    passes: int = 100,
    progress: Callable[[int, float], None] | None = None,
) -> Maximum:
    """Return the maximum of the likelihood.

    Parameters
    ----------
    likelihood, first
        What to maximise, and where to start.
    fixed
        Names of parameters that keep their first value; an infinite tau is always fixed.
    tolerance
        Stop when a step promises to add less than this to the log-likelihood [nat].
    passes
        Most passes over the pairs.
    progress
        Called with the number of the pass and the log-likelihood.

    Raises
    ------
    InputError
        When a fixed name is unknown, or the first parameters give no finite likelihood.
    """
    unknown = set(fixed) - set(NAMES)
    if unknown:
        raise InputError(f"no ETAS parameter {sorted(unknown)[0]!r}; known are {', '.join(NAMES)}")
    free = np.array([n not in fixed and not (n == "tau" and np.isinf(first.tau)) for n in NAMES])
    low, high = bounds(likelihood, first)
    top = climb(
        lambda vector: likelihood.with_gradient(EtasParameters.from_vector(vector)),
        first.vector(),
        low=low,
        high=high,
        free=free,
        tolerance=tolerance,
        passes=passes,
        progress=progress,
    )
    return Maximum(
        EtasParameters.from_vector(top.vector), top.value, top.covariance, top.n_pass, top.converged
    )


def bounds(likelihood: Likelihood, first: EtasParameters) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return least and greatest `EtasParameters.vector` that are looked at."""
    low = np.array([LOW.get(n, -np.inf) for n in NAMES])
    high = np.array([HIGH.get(n, np.inf) for n in NAMES])
    # With less background its slope vanishes, and a search that strays there does not come back.
    per_day = likelihood.weight * len(likelihood.target) / likelihood.days
    low[NAMES.index("mu")] = np.log(_LEAST_BACKGROUND * per_day)
    if np.isinf(first.tau):
        low[NAMES.index("omega")] = OMEGA_MIN
    return low, high


@dataclass(frozen=True)
class Top:
    """Where `climb` ended; rows and columns of the covariance of what did not move are zero."""

    vector: NDArray[np.float64]
    value: float
    covariance: NDArray[np.float64]
    n_pass: int
    converged: bool


Evaluate = Callable[[NDArray[np.float64]], tuple[float, NDArray[np.float64], NDArray[np.float64]]]


def climb(
    evaluate: Evaluate,
    first: NDArray[np.float64],
    *,
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    free: NDArray[np.bool_],
    tolerance: float,
    passes: int,
    progress: Callable[[int, float], None] | None = None,
) -> Top:
    """Maximise a log-likelihood by Fisher scoring with Levenberg's damping, within bounds.

    ``evaluate`` returns value, gradient and information at a vector; steps longer than 1.5 are shortened.

    Raises
    ------
    InputError
        When the value at ``first`` is not finite.
    """
    vector = np.where(free, np.clip(first, low, high), first)
    value, gradient, information = evaluate(vector)
    if not np.isfinite(value):
        raise InputError(f"the log-likelihood at the first parameters is {value}; start elsewhere")
    n = len(vector)
    n_pass, damping, converged = 1, 1e-3, False
    while n_pass < passes and not converged:
        # A parameter at its bound that wants to leave stays there.
        active = free & ~((vector <= low) & (gradient < 0)) & ~((vector >= high) & (gradient > 0))
        if not active.any():
            converged = True
            break
        chosen = np.ix_(active, active)
        # The floor keeps what the data say nothing about (a background of none) from stealing the step.
        scale = damping * np.diag(information)[active] + _FLOOR
        step = np.zeros(n)
        step[active] = np.linalg.solve(information[chosen] + np.diag(scale), gradient[active])
        step *= min(1.0, 1.5 / np.abs(step).max())
        step[free] = np.clip(vector + step, low, high)[free] - vector[free]
        promised = float(gradient[free] @ step[free] - 0.5 * step @ information @ step)
        found, slope, curve = evaluate(vector + step)
        n_pass += 1
        if np.isfinite(found) and found > value - 1e-9 * abs(value):
            gained = found - value
            vector, value, gradient, information = vector + step, found, slope, curve
            damping = max(damping / 5, 1e-9) if gained > 0.5 * promised else damping * 2
            converged = promised < tolerance and abs(gained) < tolerance
        else:
            damping = max(damping, 1e-6) * 10
            converged = damping > 1e12
        log.debug("pass %d: %.4f, damping %.1e", n_pass, value, damping)
        if progress is not None:
            progress(n_pass, value)
    covariance = np.zeros((n, n))
    inner = free & (vector > low) & (vector < high)
    covariance[np.ix_(inner, inner)] = np.linalg.pinv(information[np.ix_(inner, inner)])
    return Top(vector, value, covariance, n_pass, converged)
