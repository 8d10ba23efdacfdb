"""The same maximum by expectation and maximisation (EM): slow and simple, to check the direct search with.

Veen & Schoenberg (2008), doi:10.1198/016214508000000148. In turn, the probability of each earlier event to be
the parent of a target (or of none to be) is reckoned from the parameters, and the parameters from these
probabilities. Nothing is approximated; the likelihood never falls. All pairs are held in memory.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from kaname.core.errors import InputError
from kaname.discovery.seismicity.etas.fitting import Maximum, bounds, climb
from kaname.discovery.seismicity.etas.likelihood import Likelihood
from kaname.discovery.seismicity.etas.parameters import NAMES, EtasParameters

_MOST = 5_000_000
"""Most pairs that are held."""


def maximise_by_em(
    likelihood: Likelihood, first: EtasParameters, *, tolerance: float = 1e-4, rounds: int = 500
) -> Maximum:
    """Return the maximum of the likelihood by EM.

    Parameters
    ----------
    likelihood, first
        What to maximise, and where to start; an infinite tau stays.
    tolerance
        Stop when a round adds less than this to the log-likelihood [nat].
    rounds
        Most rounds.

    Returns
    -------
    maximum
        ``n_pass`` are the rounds; the covariance is zero, EM states none.

    Raises
    ------
    InputError
        When there are more than five million pairs.
    """
    n_pair = int(likelihood.target.sum())
    if n_pair > _MOST:
        raise InputError(f"{n_pair:,} pairs are too many for EM, {_MOST:,} the most; use fitting.maximise")
    pairs = _Pairs(likelihood)
    low, high = bounds(likelihood, first)
    free = np.array([n != "mu" and not (n == "tau" and np.isinf(first.tau)) for n in NAMES])
    open_days = likelihood.expected(first) - likelihood.expected_by_source(first).sum()
    open_days /= first.mu
    p, value, converged, n = first, likelihood.log_likelihood(first), False, 0
    while n < rounds and not converged:
        parent, background = pairs.probabilities(p)
        p = replace(p, mu=float(background.sum() / open_days))
        gain = partial(pairs.expectation, weight=parent)
        top = climb(gain, p.vector(), low=low, high=high, free=free, tolerance=1e-6, passes=20)
        p, n = EtasParameters.from_vector(top.vector), n + 1
        before, value = value, likelihood.log_likelihood(p)
        converged = value - before < tolerance
    return Maximum(p, value, np.zeros((len(NAMES), len(NAMES))), n, converged)


class _Pairs:
    """Every target with every event before it."""

    def __init__(self, likelihood: Likelihood) -> None:
        self._likelihood = like = likelihood
        number = like.target
        self._child = np.repeat(np.arange(len(number)), number)
        self._parent = np.concatenate([np.arange(k) for k in number])
        target = number[self._child]
        self._delay = like.day[target] - like.day[self._parent]
        chord = np.linalg.norm(like.place[:, target] - like.place[:, self._parent], axis=0)
        radius = like.radius_km
        self._squared = (2 * radius * np.arcsin(chord / 2 / radius)) ** 2

    def _terms(self, p: EtasParameters) -> tuple[NDArray[np.float64], ...]:
        magnitude = self._likelihood.magnitude
        zone = (p.d * np.exp(p.gamma * magnitude))[self._parent]
        log_soon, near = np.log(self._delay + p.c), self._squared + zone
        log_near = np.log(near)
        log_size = np.log(self._likelihood.productivity(p))[self._parent]
        log_rate = log_size - self._delay / p.tau - (1 + p.omega) * log_soon - (1 + p.rho) * log_near
        return log_rate, magnitude[self._parent], log_soon, log_near, zone / near

    def probabilities(self, p: EtasParameters) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return for each pair that one is the other's parent, and for each target that it has none."""
        rate = np.exp(self._terms(p)[0])
        alone = p.mu * self._likelihood.density
        total = alone + np.bincount(self._child, rate, minlength=len(alone))
        return rate / total[self._child], alone / total

    def expectation(
        self, vector: NDArray[np.float64], *, weight: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        """Return the expected log-likelihood of who triggered whom, its gradient and an information."""
        p = EtasParameters.from_vector(vector)
        log_rate, magnitude, log_soon, log_near, share = self._terms(p)
        slope = np.column_stack(
            [
                np.zeros(len(magnitude)), np.ones(len(magnitude)), magnitude,
                -(1 + p.omega) * p.c / (self._delay + p.c), -log_soon, self._delay / p.tau,
                -(1 + p.rho) * share, -(1 + p.rho) * share * magnitude, -log_near,
            ]
        )  # fmt: skip
        number = self._likelihood.triggered(p)[2]
        value = float(weight @ log_rate - number[0])
        gradient = weight @ slope - np.append(0.0, number)
        return value, gradient, (slope * weight[:, np.newaxis]).T @ slope
