"""Moments of residuals, estimated from recordings: between and within events, and how far they reach."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from kaname.core.errors import InputError
from kaname.modeling.field.correlation import Exponential, distances
from kaname.modeling.field.kernel import Kernel, Part, Records

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Standard deviations between events and within an event, and the correlation within an event."""

    tau: float
    phi: float
    correlation: Exponential


def fit_moments(
    residual: ArrayLike,
    event: ArrayLike,
    latitude: ArrayLike,
    longitude: ArrayLike,
    *,
    n_fit: int = 500,
    seed: int = 0,
) -> Moments:
    """Estimate moments by marginal likelihood: an event term, an exponential field and white noise.

    Parameters
    ----------
    residual
        Recorded minus predicted (natural logarithm), shape (n,).
    event, latitude, longitude
        Of each record, shape (n,), places in degrees.
    n_fit, seed
        At most so many records of each event are used, and the seed of that draw.

    Raises
    ------
    InputError
        When shapes differ, a value is missing, or there are fewer than ten records.
    """
    r, e, place = _checked(residual, event, latitude, longitude)
    rng = np.random.default_rng(seed)
    start = float(np.std(r)) or 1.0
    kernel = Kernel(
        (
            Part("event", "place", "constant", 0.6 * start),
            Part("field", "place", "exponential", 0.7 * start, 30.0),
        ),
        noise=0.4 * start,
    )
    code = np.unique(e, return_inverse=True)[1].astype(float)
    groups = [
        Records({"place": place[code == k], "event": code[code == k]}, r[code == k]) for k in np.unique(code)
    ]
    kernel.fit([group.some(n_fit, rng) for group in groups], own_noise=False)
    tau, field, length, noise = np.exp(kernel.theta)
    phi = float(np.hypot(field, noise))
    return Moments(float(tau), phi, Exponential(float(length), float((noise / phi) ** 2)))


def variogram(
    residual: ArrayLike,
    event: ArrayLike,
    latitude: ArrayLike,
    longitude: ArrayLike,
    *,
    edges_km: ArrayLike = (0, 1, 2, 5, 10, 15, 20, 30, 40, 60, 80, 120, 160, 240),
) -> pd.DataFrame:
    """Return the empirical semivariogram of residuals within events, by distance.

    Parameters
    ----------
    residual, event, latitude, longitude
        As `fit_moments`.
    edges_km
        Bins of distance [km], increasing.

    Returns
    -------
    DataFrame
        A row per bin: ``low_km``, ``high_km``, ``distance_km`` (mean of the pairs), ``n`` pairs,
        ``semivariance`` (half the mean square of the differences) and ``robust`` (Cressie & Hawkins 1980,
        https://doi.org/10.1007/BF01035243, eq. 12), which outliers do not blow up.
    """
    r, e, place = _checked(residual, event, latitude, longitude)
    edges = np.asarray(edges_km, float)
    n_bin = len(edges) - 1
    if n_bin < 1 or (np.diff(edges) <= 0).any():
        raise InputError("edges of distance must increase, two or more")
    sums = np.zeros((4, n_bin))
    for name in np.unique(e):
        own = np.flatnonzero(e == name)
        for k, i in enumerate(own[:-1]):
            others = own[k + 1 :]
            far = distances(place[i : i + 1, 0], place[i : i + 1, 1], place[others, 0], place[others, 1])[0]
            which = np.searchsorted(edges, far, side="right") - 1
            inside = (which >= 0) & (which < n_bin)
            apart = np.abs(r[others] - r[i])[inside]
            for row, values in enumerate((np.ones(len(apart)), far[inside], apart**2, np.sqrt(apart))):
                sums[row] += np.bincount(which[inside], values, n_bin)
    n, far_sum, square, root = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        return pd.DataFrame(
            {
                "low_km": edges[:-1],
                "high_km": edges[1:],
                "distance_km": far_sum / n,
                "n": n.astype(int),
                "semivariance": square / n / 2,
                "robust": (root / n) ** 4 / (0.457 + 0.494 / n) / 2,
            }
        )


def _checked(
    residual: ArrayLike, event: ArrayLike, latitude: ArrayLike, longitude: ArrayLike
) -> tuple[Floats, NDArray[np.generic], Floats]:
    r, e = np.asarray(residual, float), np.asarray(event)
    place = np.column_stack([np.asarray(latitude, float), np.asarray(longitude, float)])
    if r.ndim != 1 or e.shape != r.shape or len(place) != len(r) or len(r) < 10:
        raise InputError(f"ten or more residuals, each with event and place, expected; found {r.shape}")
    if not (np.isfinite(r).all() and np.isfinite(place).all()):
        raise InputError("a residual or a place is missing; leave such records out")
    return r, e, place
