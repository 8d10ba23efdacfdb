"""ETAS in time alone: Ogata (1988), doi:10.1080/01621459.1988.10478560."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from kaname.core.errors import InputError
from kaname.discovery.seismicity.elementary import exp, log
from kaname.discovery.seismicity.etas.fitting import climb
from kaname.discovery.seismicity.omori import integral

_NAMES = ("mu", "K", "c", "alpha", "p")


@dataclass(frozen=True)
class TemporalEtas:
    """Rate mu + sum of K exp(alpha (m - reference)) (t - t_i + c)^-p over what came before [1/day].

    ``uncertainty`` are standard errors, ``covariance`` belongs to (log mu, log K, log c, alpha, p); 0 of what
    was not fitted or lies at a bound.
    """

    mu: float
    K: float
    c: float
    alpha: float
    p: float
    reference: float
    log_likelihood: float = np.nan
    uncertainty: tuple[float, ...] = (0.0,) * 5
    n: int = 0
    covariance: NDArray[np.float64] | None = field(default=None, compare=False, repr=False)

    @property
    def aic(self) -> float:
        """Akaike's information criterion, of as many parameters as were fitted."""
        return 2 * (sum(u > 0 for u in self.uncertainty) - self.log_likelihood)

    def rate(self, day: ArrayLike, magnitude: ArrayLike, at: ArrayLike) -> NDArray[np.float64]:
        """Return the rate at times ``at`` given the events before each [1/day]."""
        t, m = _ordered(day, magnitude)
        moments = np.asarray(at, float).ravel()
        first = np.searchsorted(t, moments)
        size = self.K * np.exp(self.alpha * (m - self.reference))
        return np.array(
            [self.mu + (size[:k] * (s - t[:k] + self.c) ** -self.p).sum() for s, k in zip(moments, first)]
        )

    def transformed_times(self, day: ArrayLike, magnitude: ArrayLike, start: float) -> NDArray[np.float64]:
        """Return the number expected from ``start`` to each event; where the model holds, evenly spread.

        Ogata (1988), section 3; before ``start`` they are negative.
        """
        t, m = _ordered(day, magnitude)
        size = self.K * np.exp(self.alpha * (m - self.reference))
        out = np.empty(len(t))
        for j, end in enumerate(t):
            begin, until = np.maximum(min(start, end) - t, 0), np.maximum(max(start, end) - t, 0)
            total = self.mu * abs(end - start) + (size * integral(begin, until, self.c, self.p)).sum()
            out[j] = total if end >= start else -total
        return out


def fit_temporal(
    day: ArrayLike,
    magnitude: ArrayLike,
    *,
    start: float,
    end: float,
    reference: float,
    first: tuple[float, float, float, float, float] | None = None,
    fixed: tuple[str, ...] = (),
) -> TemporalEtas:
    """Fit ETAS in time by maximum likelihood.

    Parameters
    ----------
    day, magnitude
        Times [day] and magnitudes of all events, ``(n,)``; those before ``start`` trigger and are not scored.
    start, end
        Period that is scored [day].
    reference
        Magnitude that productivity counts from.
    first
        Where to start: mu, K, c, alpha, p.
    fixed
        Names that keep their first value; a ``mu`` that is fixed at 0 stays there.

    Raises
    ------
    InputError
        When fewer than ten events are in the period, or values are not finite.
    """
    t, m = _ordered(day, magnitude)
    target = np.flatnonzero((t >= start) & (t <= end))
    if len(target) < 10:
        raise InputError(f"{len(target)} events from day {start} to {end} are too few, ten the least")
    unknown = set(fixed) - set(_NAMES)
    if unknown:
        raise InputError(f"no parameter {sorted(unknown)[0]!r}; known are {', '.join(_NAMES)}")
    n, span = len(target), end - start
    begin = first or (0.3 * n / span, 0.01 * n, 0.01, 1.5, 1.1)
    free = np.array([name not in fixed for name in _NAMES])
    tiny = 1e-300
    vector = np.array([np.log(max(begin[0], tiny)), np.log(begin[1]), np.log(begin[2]), begin[3], begin[4]])
    above = m - reference

    def evaluate(v: NDArray[np.float64]) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        mu, K, c = np.exp(v[:3])
        if begin[0] == 0 and not free[0]:
            mu = 0.0
        sums = _sums(t, above, target, K, c, v[3], v[4])
        rate = mu + sums[:, 0]
        slope = (
            np.column_stack([np.full(n, mu), sums[:, 0], -v[4] * c * sums[:, 1], sums[:, 2], -sums[:, 3]])
            / rate[:, np.newaxis]
        )
        size = K * np.exp(v[3] * above)
        low, high = np.maximum(start - t, 0), np.maximum(end - t, 0)
        whole, by_c, by_p = _omori_slopes(low, high, c, v[4])
        expected = np.array(
            [
                mu * span,
                (size * whole).sum(),
                c * (size * by_c).sum(),
                (size * above * whole).sum(),
                (size * by_p).sum(),
            ]
        )
        value = float(np.log(rate).sum() - expected[0] - expected[1])
        return value, slope.sum(axis=0) - expected, slope.T @ slope

    top = climb(
        evaluate, vector, low=np.array([-30.0, -30, np.log(1e-6), -5, 0.05]),
        high=np.array([30.0, 30, np.log(100), 10, 5]), free=free, tolerance=1e-9, passes=500,
    )  # fmt: skip
    mu, K, c = (float(v) for v in np.exp(top.vector[:3]))
    if begin[0] == 0 and not free[0]:
        mu = 0.0
    error = np.sqrt(np.diag(top.covariance)) * np.array([mu, K, c, 1, 1])
    return TemporalEtas(
        mu,
        K,
        c,
        float(top.vector[3]),
        float(top.vector[4]),
        reference,
        top.value,
        tuple(map(float, error)),
        n,
        top.covariance,
    )


def _ordered(day: ArrayLike, magnitude: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    t, m = np.asarray(day, float).ravel(), np.asarray(magnitude, float).ravel()
    if t.shape != m.shape or not (np.isfinite(t).all() and np.isfinite(m).all()):
        raise InputError(f"times and magnitudes must be finite, one each; found {t.shape} and {m.shape}")
    order = np.argsort(t, kind="stable")
    return t[order], m[order]


def _omori_slopes(
    low: NDArray[np.float64], high: NDArray[np.float64], c: float, p: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the integral and its derivatives by c and p."""
    whole = integral(low, high, c, p)
    by_c = (high + c) ** -p - (low + c) ** -p
    a, b = np.log(low + c), np.log(high + c)
    half, q = (b - a) / 2, 1 - p
    nodes, weights = np.polynomial.legendre.leggauss(24)
    u = ((a + b) / 2)[:, np.newaxis] + half[:, np.newaxis] * nodes
    by_p = -half * (weights * u * np.exp(q * u)).sum(axis=1)
    return whole, by_c, by_p


@njit(error_model="numpy", cache=True)
def _sums(t, above, target, K, c, alpha, p):  # type: ignore[no-untyped-def]
    out = np.zeros((len(target), 4))
    for k in range(len(target)):
        j = target[k]
        for i in range(j):
            soon = t[j] - t[i] + c
            log_soon = log(soon)
            g = K * exp(alpha * above[i] - p * log_soon)
            out[k, 0] += g
            out[k, 1] += g / soon
            out[k, 2] += g * above[i]
            out[k, 3] += g * log_soon
    return out
