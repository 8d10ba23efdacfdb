"""How aftershocks of one earthquake become rarer: the Omori-Utsu law by maximum likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

from kaname.core.errors import InputError


@dataclass(frozen=True)
class OmoriUtsu:
    """Rate K (t + c)^-p [1/day], its log-likelihood, and standard errors of K, c, p (NaN: at a bound)."""

    K: float
    c: float
    p: float
    log_likelihood: float
    error: tuple[float, float, float]
    n: int

    def rate(self, day: ArrayLike) -> NDArray[np.float64]:
        """Return the rate at times after the mainshock [1/day]."""
        return np.asarray(self.K * (np.asarray(day, float) + self.c) ** -self.p)

    def expected(self, start: float, end: float) -> float:
        """Return the expected number between two times [day]."""
        return float(self.K * integral(start, end, self.c, self.p))


def fit_omori(day: ArrayLike, *, start: float, end: float) -> OmoriUtsu:
    """Fit the law of Utsu (1961) to times after a mainshock (Ogata 1983, doi:10.4294/jpe1952.31.115).

    Parameters
    ----------
    day
        Times after the mainshock [day]; those outside ``start`` to ``end`` are left out.
    start, end
        Period in which the catalogue is complete [day].

    Raises
    ------
    InputError
        When the period is empty or holds fewer than ten aftershocks.
    """
    t = np.asarray(day, float).ravel()
    t = t[(t >= start) & (t <= end)]
    n = len(t)
    if not 0 <= start < end or n < 10:
        raise InputError(f"{n} aftershocks from day {start} to {end}; ten are the least")

    def loss(v: NDArray[np.float64]) -> float:
        c, p = float(np.exp(v[0])), float(v[1])
        # K follows from the number: as many are expected as were seen.
        size = n / float(integral(start, end, c, p))
        return float(-(n * np.log(size) - p * np.log(t + c).sum() - n))

    bounds = [(np.log(1e-5), np.log(100.0)), (0.2, 4.0)]
    begins = [np.array([np.log(c), p]) for c in (0.003, 0.1) for p in (0.9, 1.3)]
    best = min((minimize(loss, b, bounds=bounds, method="L-BFGS-B") for b in begins), key=lambda r: r.fun)
    c, p = float(np.exp(best.x[0])), float(best.x[1])
    size = n / float(integral(start, end, c, p))
    free = all(low + 1e-6 < v < high - 1e-6 for v, (low, high) in zip(best.x, bounds))
    error = _errors(start, end, size, c, p) if free else (np.nan,) * 3
    return OmoriUtsu(size, c, p, -float(best.fun), error, n)


def integral(start: ArrayLike, end: ArrayLike, c: float, p: float) -> NDArray[np.float64]:
    """Return the integral of (s + c)^-p from ``start`` to ``end`` [day]."""
    a, b = np.log(np.asarray(start, float) + c), np.log(np.asarray(end, float) + c)
    x = (1 - p) * (b - a)
    small = np.abs(x) < 1e-12
    # expm1 keeps the digits where p is close to 1.
    return np.asarray(
        np.exp((1 - p) * a) * (b - a) * np.where(small, 1.0, np.expm1(x) / np.where(small, 1.0, x))
    )


def _errors(start: float, end: float, K: float, c: float, p: float) -> tuple[float, float, float]:
    """Return standard errors from the expected information, the integral of gradients over the rate."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    low, high = np.log(start + c), np.log(end + c)
    u = (low + high) / 2 + (high - low) / 2 * nodes
    s = np.exp(u)
    rate = K * s**-p
    slope = np.array([np.full_like(s, 1 / K), -p / s, -u])
    information = (slope * (weights * (high - low) / 2 * s * rate)) @ slope.T
    values = np.sqrt(np.diag(np.linalg.inv(information)))
    return float(values[0]), float(values[1]), float(values[2])
