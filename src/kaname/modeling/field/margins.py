"""The law of standardised residuals: normal, Student's t, or a body with tails of its own.

A prediction is a location and a scale at each place; what stands between it and a probability is the law that
residuals, divided by the scale, follow. It is fitted to residuals of blocks that were left out, and chosen
among its rivals by its score on parts of those residuals that the fit did not see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit
from scipy.stats import genpareto
from scipy.stats import t as student

from kaname.core.errors import InputError
from kaname.evaluate.splits import folds

Floats = NDArray[np.float64]
Law = Literal["normal", "student", "tails"]

FEWEST = 100
"""With fewer residuals than this the law is normal with their robust scale: tails cannot be fitted."""
THRESHOLD = 0.9
"""Tails begin where this share of residuals, on either side of the median, lies nearer the median."""


class Margin(Protocol):
    """The distribution of a standardised residual; every method is elementwise."""

    @property
    def name(self) -> Law:
        """Which law it is."""

    def cdf(self, z: ArrayLike) -> Floats:
        """Return the probability of a residual of at most z."""

    def quantile(self, probability: ArrayLike) -> Floats:
        """Return the residual below which it lies with a probability."""


@dataclass(frozen=True)
class Normal:
    """Normal about `shift` with standard deviation `scale`."""

    scale: float = 1.0
    shift: float = 0.0
    name: Law = "normal"

    def cdf(self, z: ArrayLike) -> Floats:
        """Return the probability of a residual of at most z."""
        return np.asarray(ndtr((np.asarray(z) - self.shift) / self.scale))

    def quantile(self, probability: ArrayLike) -> Floats:
        """Return the residual below which it lies with a probability."""
        return np.asarray(self.shift + self.scale * ndtri(probability))


@dataclass(frozen=True)
class Student:
    """Student's t with `freedom` degrees of freedom about `shift`, stretched by `scale`."""

    freedom: float
    scale: float
    shift: float = 0.0
    name: Law = "student"

    def cdf(self, z: ArrayLike) -> Floats:
        """Return the probability of a residual of at most z."""
        return np.asarray(stdtr(self.freedom, (np.asarray(z) - self.shift) / self.scale))

    def quantile(self, probability: ArrayLike) -> Floats:
        """Return the residual below which it lies with a probability."""
        return np.asarray(self.shift + self.scale * stdtrit(self.freedom, probability))


@dataclass(frozen=True)
class Tails:
    """Student's t between two thresholds, generalised Pareto beyond either (Coles 2001, section 4.2).

    The probability beyond a threshold is the share of residuals seen there, so that the body only shares out
    what is left.
    """

    body: Student
    low: float
    high: float
    p_low: float
    p_high: float
    shape: tuple[float, float]
    """Of the lower and the upper tail; below 0 a tail ends."""
    stretch: tuple[float, float]
    name: Law = "tails"

    def cdf(self, z: ArrayLike) -> Floats:
        """Return the probability of a residual of at most z."""
        x = np.asarray(z, float)
        a, b = self.body.cdf([self.low, self.high])
        inner = self.p_low + (1 - self.p_low - self.p_high) * (self.body.cdf(x) - a) / (b - a)
        under = self.p_low * genpareto.sf(np.maximum(self.low - x, 0), self.shape[0], scale=self.stretch[0])
        over = self.p_high * genpareto.sf(np.maximum(x - self.high, 0), self.shape[1], scale=self.stretch[1])
        return np.asarray(np.where(x < self.low, under, np.where(x > self.high, 1 - over, inner)))

    def quantile(self, probability: ArrayLike) -> Floats:
        """Return the residual below which it lies with a probability."""
        p = np.asarray(probability, float)
        a, b = self.body.cdf([self.low, self.high])
        share = (p - self.p_low) / (1 - self.p_low - self.p_high)
        inner = self.body.quantile(a + np.clip(share, 0, 1) * (b - a))
        under = self.low - genpareto.isf(
            np.clip(p / self.p_low, 1e-12, 1), self.shape[0], scale=self.stretch[0]
        )
        over = self.high + genpareto.isf(
            np.clip((1 - p) / self.p_high, 1e-12, 1), self.shape[1], scale=self.stretch[1]
        )
        return np.where(p < self.p_low, under, np.where(p > 1 - self.p_high, over, inner))


def fit(law: Law, residual: ArrayLike) -> Margin:
    """Fit a law to standardised residuals, shape (n,).

    Raises
    ------
    InputError
        When a residual is missing, there are fewer than two, or the law is unknown.
    """
    z = np.asarray(residual, float)
    if z.ndim != 1 or len(z) < 2 or not np.isfinite(z).all():
        raise InputError("a law is fitted to two or more finite residuals")
    if law not in get_args(Law):
        raise InputError(f"no law {law!r}; known are {', '.join(get_args(Law))}")
    if law == "normal" or len(z) < FEWEST:
        # The scale that holds 90 %: one outlier in a thousand must not widen all the others.
        middle = float(np.median(z)) if len(z) >= FEWEST else 0.0
        return Normal(max(float(np.quantile(np.abs(z - middle), 0.9)) / float(ndtri(0.95)), 1e-6), middle)
    freedom, shift, scale = _student(z)
    body = Student(freedom, scale, shift)
    if law == "student":
        return body
    low, high = np.quantile(z, [(1 - THRESHOLD) / 2, (1 + THRESHOLD) / 2])
    tails = [_pareto(low - z[z < low]), _pareto(z[z > high] - high)]
    return Tails(
        body,
        float(low),
        float(high),
        float((z < low).mean()),
        float((z > high).mean()),
        (tails[0][0], tails[1][0]),
        (tails[0][1], tails[1][1]),
    )


def choose(
    residual: ArrayLike,
    blocks: ArrayLike,
    *,
    laws: Sequence[Law] = ("normal", "student", "tails"),
    seed: int = 0,
) -> tuple[Margin, dict[Law, float]]:
    """Fit the law whose quantiles, those of the tails above all, are best on blocks that its fit did not see.

    The score is the CRPS with weight ``(2 p - 1)^2`` on the loss of the quantile of probability p (Gneiting
    & Ranjan 2011, https://doi.org/10.1198/jbes.2010.08110, table 4): the middle, where all laws agree, does
    not drown the tails.

    Parameters
    ----------
    residual
        Standardised, of places that were predicted without them, shape (n,).
    blocks
        Block (spatial, or event) of each, shape (n,): kept together.
    laws
        To choose from.
    seed
        Of the folds.

    Returns
    -------
    tuple
        The law fitted to all, and the mean score of each candidate; lower is better.
    """
    z = np.asarray(residual, float)
    if len(z) < FEWEST or len(np.unique(blocks)) < 5:
        return fit("normal", z), {}
    fold = folds(blocks, n_fold=5, seed=seed)
    score: dict[Law, float] = {}
    for law in laws:
        total = 0.0
        for k in range(5):
            margin = fit(law, z[fold != k])
            total += float(crps(margin, z[fold == k], tails=True).sum())
        score[law] = total / len(z)
    return fit(min(laws, key=lambda law: score[law]), z), score


_GRID = (np.arange(400) + 0.5) / 400


def crps(margin: Margin, z: ArrayLike, *, tails: bool = False) -> Floats:
    """Return the continuous ranked probability score of standardised residuals, shape (n,).

    Twice the mean quantile loss over 400 probabilities (Gneiting & Raftery 2007, section 4.2), with `tails`
    weighted as in `choose`.
    """
    y, q = np.asarray(z, float)[:, None], margin.quantile(_GRID)
    weight = (2 * _GRID - 1) ** 2 if tails else 1.0
    return np.asarray(2 * np.mean(weight * (np.where(y < q, 1.0, 0.0) - _GRID) * (q - y), axis=1))


def _student(z: Floats) -> tuple[float, float, float]:
    best = (np.inf, 0.0, 0.0, 0.0)
    for freedom in (3.0, 4.0, 5.0, 6.0, 8.0, 12.0, 20.0, 50.0):
        shift, scale = float(np.median(z)), float(np.std(z))
        for _ in range(30):
            weight = (freedom + 1) / (freedom + ((z - shift) / scale) ** 2)
            shift = float((weight * z).sum() / weight.sum())
            scale = float(np.sqrt((weight * (z - shift) ** 2).mean()))
        loss = -float(student.logpdf(z, freedom, shift, scale).sum())
        if loss < best[0]:
            best = (loss, freedom, shift, scale)
    return best[1], best[2], best[3]


def _pareto(excess: Floats) -> tuple[float, float]:
    """Fit the generalised Pareto by probability-weighted moments (Hosking & Wallis 1987)."""
    x = np.sort(excess)
    n = len(x)
    if n < 5:
        return 0.0, max(float(x.mean()) if n else 0.3, 1e-3)
    a0 = float(x.mean())
    a1 = float((x * (n - np.arange(1, n + 1) + 0.35) / n).mean())
    shape = float(np.clip(2 - a0 / (a0 - 2 * a1), -0.3, 0.4))
    return shape, a0 * (1 - shape)
