"""ETAS where data are few: what is known of other regions, and what little the catalogue adds to it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kaname.core.errors import InputError
from kaname.discovery.seismicity.etas.likelihood import Likelihood
from kaname.discovery.seismicity.etas.parameters import EtasParameters

NAMES = ("log_A", "alpha", "log_c", "p", "log_D", "q", "gamma")

CENTRE = np.array([np.log(0.2115), 1.5596, np.log(0.0123), 1.1688, np.log(1.3185), 1.8895, 0.9123])
"""Italy, magnitude 3 and more: Jalilian (2019), doi:10.18637/jss.v088.c01 (natural logarithms, day, km2)."""

SPREAD = np.array([0.7, 0.35, 1.2, 0.08, 1.0, 0.25, 0.25])
"""Our choice of one standard deviation, wide on purpose; it was not estimated from regions."""

_REFERENCE = 3.0
_LOW = np.array([-np.inf, 0.0, np.log(1e-5), 1.01, np.log(1e-4), 1.1, 0.0])
_HIGH = np.array([np.log(2.0), 2.25, np.log(10.0), 2.0, np.log(1e4), 5.0, 2.3])


def prior(magnitude_min: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of what is drawn, in the order of `NAMES`.

    The productivity of an earthquake of the least magnitude does not depend on that magnitude when
    sequences are self-similar; the zone of its aftershocks grows as published.
    """
    centre = CENTRE.copy()
    centre[4] += CENTRE[6] * (magnitude_min - _REFERENCE)
    return centre, SPREAD


def draw(
    magnitude_min: float,
    *,
    n: int,
    seed: int,
    days: float,
    likelihood: Likelihood | None = None,
    steps: int = 4000,
) -> list[EtasParameters]:
    """Return sets of parameters: of the prior, or with a ``likelihood`` of the posterior (Metropolis).

    The background rate is drawn along; its prior is flat in the logarithm from one in a hundred years of the
    region to twice what was seen (the first earthquake apart: catalogues begin with one), or one in a month.

    Parameters
    ----------
    magnitude_min
        Completeness, which the parameters count from.
    n, seed
        Number of sets, and the seed.
    days
        Length of the catalogue [day].
    likelihood
        Of the catalogue; missing: there is none worth the name.
    steps
        Of the chain that are kept; half as many before them adapt it.

    Raises
    ------
    InputError
        When ``n`` or ``days`` is not positive.
    """
    if n < 1 or not days > 0:
        raise InputError(f"found n = {n} and {days} days, both must be positive")
    rng = np.random.default_rng(seed)
    centre, spread = prior(magnitude_min)
    seen = len(likelihood.target) if likelihood is not None else 0
    mu_low, mu_high = np.log(1 / 36525), np.log(max(1 / 30, 2 * (seen - 1) / days))

    def log_posterior(v: NDArray[np.float64]) -> float:
        if (v[:7] < _LOW).any() or (v[:7] > _HIGH).any() or not mu_low <= v[7] <= mu_high:
            return -np.inf
        value = -0.5 * float((((v[:7] - centre) / spread) ** 2).sum())
        if likelihood is not None:
            value += likelihood.log_likelihood(_parameters(v))
        return value

    v = np.append(np.clip(centre, _LOW + 1e-3, _HIGH - 1e-3), np.log((seen + 0.5) / 2 / days))
    v[7] = np.clip(v[7], mu_low, mu_high)
    scale = np.append(spread, (mu_high - mu_low) / 6)
    shape = np.diag(scale**2)
    value, chain, size = log_posterior(v), [], 0.5
    for step in range(steps + steps // 2):
        proposed = v + size * rng.multivariate_normal(np.zeros(8), shape)
        new = log_posterior(proposed)
        accepted = np.log(rng.random()) < new - value
        if accepted:
            v, value = proposed, new
        chain.append(v)
        if step < steps // 2:
            size *= np.exp((accepted - 0.25) / np.sqrt(step + 1))
            if step in (steps // 6, steps // 3):
                shape = np.cov(np.array(chain[step // 2 :]).T) + 1e-6 * np.diag(scale**2)
                size = 0.8
    kept = np.array(chain[-steps:])
    return [_parameters(kept[k]) for k in np.linspace(0, steps - 1, n).round().astype(int)]


def _parameters(v: NDArray[np.float64]) -> EtasParameters:
    return EtasParameters.from_ogata_zhuang(
        mu=float(np.exp(v[7])), A=float(np.exp(v[0])), c=float(np.exp(v[2])), alpha=float(v[1]),
        p=float(v[3]), D=float(np.exp(v[4])), q=float(v[5]), gamma=float(v[6]),
    )  # fmt: skip
