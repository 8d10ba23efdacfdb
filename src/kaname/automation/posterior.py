"""The posterior of one hypocentre: samples, summed up as place, covariance, origin time and residuals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kaname.automation import octree
from kaname.automation.octree import Floats, Observations

Hypocentre = Literal["expectation", "maximum_likelihood"]

USED_WEIGHT = 0.1
"""Arrivals with a smaller share in the solution are not counted as used."""
SPLIT = 3.9
"""Drop of log likelihood from peak to mean (95 % of a normal posterior) from which the mean is no place."""
EXCESS = 1.5
"""Variance of residuals over the stated one from which errors are widened."""
PRIOR_ARRIVALS = 4.0
"""Weight, in arrivals, of the stated errors against what the residuals say."""
SURFACE_KM = 0.5
CHI2_95 = 7.815
"""95 % of a chi-square distribution with three degrees of freedom."""


@dataclass(frozen=True)
class Posterior:
    """A hypocentre in the local frame [km], times [s] after the reference of the observations."""

    point: Floats
    """East, north, depth; float64 ``(3,)``."""
    covariance: Floats
    """[km2], float64 ``(3, 3)``."""
    origin: float
    origin_uncertainty_s: float
    residual: Floats
    """Observed minus predicted [s], float64 ``(n,)``."""
    weight: Floats
    """Share of each arrival in the solution, 0 to 1, float64 ``(n,)``."""
    rms_s: float
    scatter: float
    """Factor by which the errors were widened because the residuals are larger than stated, 1 when not."""
    at_side: float
    """Share of the probability at the sides and bottom of the search."""
    at_top: float
    """Share of the probability in the uppermost half kilometre of the search."""
    split: bool
    """Whether the mean lies where no hypocentre can be, so that the peak stands instead."""
    samples: Floats
    """East, north, depth [km], weight (sum 1), log likelihood; float64 ``(m, 5)``."""

    @property
    def used(self) -> NDArray[np.bool_]:
        """Which arrivals agree with the solution."""
        return self.weight >= USED_WEIGHT


def posterior(
    obs: Observations,
    low: Floats,
    high: Floats,
    random: Floats,
    *,
    hypocentre: Hypocentre = "expectation",
    sharpness: float = 1.0,
    rescale_errors: bool = True,
) -> Posterior:
    """Sample the posterior of ``obs`` between ``low`` and ``high`` [km].

    ``random`` holds numbers in 0 to 1, float64 ``(samples + 1, 3)``; ``sharpness`` multiplies the exponent of
    the likelihood. With ``rescale_errors`` an event whose residuals exceed the stated errors is sampled again
    with errors as large as they say.
    """
    n = len(obs.time)
    breadth, exponent = octree.shape(n)
    exponent *= sharpness
    samples = np.empty((len(random) - 1, 5))
    scatter, stated = 1.0, obs
    while True:
        settled, _ = octree.search(low, high, breadth, exponent, random, obs, samples)
        share = samples[:, 3]
        mean = share @ samples[:, :3]
        away = samples[:, :3] - mean
        peak = samples[samples[:, 4].argmax()]
        value, widened = np.empty(1), np.empty(1)
        octree.log_likelihood(mean[np.newaxis], 0.0, breadth, exponent, settled, value, widened)
        split = bool(peak[4] - value[0] > SPLIT)
        point = peak[:3].copy() if split or hypocentre == "maximum_likelihood" else mean
        residual, total = _at(point, settled)
        weight = _weight(residual, total, breadth)
        origin = _mean(residual, weight / total)
        used = weight >= USED_WEIGHT
        excess = _excess((residual - origin)[used], total[used])
        if not rescale_errors or scatter > 1.0 or excess < EXCESS:
            break
        scatter = float(np.sqrt(excess))
        obs = stated._replace(variance=stated.variance * excess, fraction=stated.fraction * scatter)
    covariance = _covariance(away, share)
    slope = np.empty(3)
    for axis in range(3):
        moved = point.copy()
        moved[axis] += 0.1 if moved[axis] + 0.1 <= high[axis] else -0.1
        slope[axis] = (_mean(_at(moved, settled)[0], weight / total) - origin) / (moved[axis] - point[axis])
    pull = weight / total
    residual = residual - origin
    width = 0.01 * (high - low)
    side = (samples[:, :2] - low[:2] < width[:2]).any(axis=1) | (high - samples[:, :3] < width).any(axis=1)
    return Posterior(
        point=point,
        covariance=covariance,
        origin=origin,
        origin_uncertainty_s=float(np.sqrt(slope @ covariance @ slope + 1.0 / pull.sum())),
        residual=residual,
        weight=weight,
        rms_s=float(np.sqrt((pull * residual**2).sum() / pull.sum())),
        scatter=scatter,
        at_side=float(share[side].sum()),
        at_top=float(share[samples[:, 2] - low[2] < SURFACE_KM].sum()),
        split=split,
        samples=samples,
    )


def _covariance(away: Floats, share: Floats) -> Floats:
    """Return the covariance, widened until its 95 % ellipsoid holds 95 % of the probability.

    With few arrivals the posterior is a bent band, which its plain covariance does not cover.
    """
    covariance = (away * share[:, np.newaxis]).T @ away
    distance = np.einsum("ki,ij,kj->k", away, np.linalg.inv(covariance), away)
    order = np.argsort(distance)
    held = distance[order][np.searchsorted(np.cumsum(share[order]), 0.95)]
    return np.asarray(covariance * max(1.0, held / CHI2_95))


def _at(point: Floats, obs: Observations) -> tuple[Floats, Floats]:
    n = len(obs.time)
    residual, pull = np.empty((2, n, octree.BLOCK), np.float32)
    octree.residuals(point[np.newaxis], 0.0, obs, residual, pull, *np.empty((2, octree.BLOCK)))
    return residual[:, 0].astype(np.float64), 1.0 / pull[:, 0].astype(np.float64)


def _weight(residual: Floats, total: Floats, breadth: float) -> Floats:
    """Return how well each arrival agrees with the others, the best being 1."""
    pair = total[:, np.newaxis] + total
    kernel = np.exp(-((residual[:, np.newaxis] - residual) ** 2) / (2.0 * breadth * pair))
    weight = kernel.sum(axis=1) - 1.0
    # No two arrivals need agree; then none is better than another.
    return np.asarray(weight / weight.max() if weight.max() > 0 else np.ones(len(residual)))


def _mean(values: Floats, weight: Floats) -> float:
    return float(weight @ values / weight.sum())


def _excess(residual: Floats, total: Floats) -> float:
    """Return the variance of the residuals over the stated one, drawn towards 1 when they are few."""
    free = len(residual) - 4
    if free < 1:
        return 1.0
    return float((PRIOR_ARRIVALS + (residual**2 / total).sum()) / (PRIOR_ARRIVALS + free))
