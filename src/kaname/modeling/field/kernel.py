"""The covariance of what a model of ground motion left over: a sum of parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cholesky, solve_triangular
from scipy.linalg.lapack import dpotri
from scipy.optimize import minimize
from scipy.spatial.distance import cdist

from kaname.core.errors import InputError
from kaname.core.geo import on_sphere

Floats = NDArray[np.float64]
Shape = Literal["constant", "exponential", "matern", "gaussian", "equal"]

_PRIOR_SPREAD = 1.5
_PRIOR_SPREAD_NOISE = 0.5
_FAR_OFF = 4.0
"""A record so many standard deviations off what all others say counts less."""


@dataclass(frozen=True)
class Part:
    """One part of the covariance.

    Parameters
    ----------
    name
        Unique.
    feature
        What it depends on: ``place`` (distance through the sphere [km]) or the name of a feature.
    shape
        ``constant``; ``exponential`` exp(-h), ``matern`` (3/2) or ``gaussian`` exp(-h^2/2) of the distance h
        in lengths; ``equal``, 1 where the feature is the same.
    amplitude
        Standard deviation to begin with (natural logarithm of the measure).
    length
        To begin with, in the unit of the feature; not for ``constant`` and ``equal``.
    shared
        Whether it is the same in all earthquakes; else each has its own, independent of the others'.
    """

    name: str
    feature: str
    shape: Shape
    amplitude: float
    length: float = 0.0
    shared: bool = False

    def __post_init__(self) -> None:
        if self.shape not in get_args(Shape):
            raise InputError(f"no shape {self.shape!r}; known are {', '.join(get_args(Shape))}")

    @property
    def scaled(self) -> bool:
        """Whether it has a length."""
        return self.length > 0


@dataclass
class Records:
    """Records of one or more earthquakes.

    Features by name: ``place`` (n, 2) of degrees, ``event`` (n,) of whole numbers that name the earthquakes,
    and others (n,); residuals (n,).
    """

    features: dict[str, Floats]
    residual: Floats
    weight: Floats = field(default_factory=lambda: np.zeros(0))
    """Of each record, dividing its noise: below 1 where it is far off all others."""

    def __post_init__(self) -> None:
        if not len(self.weight):
            self.weight = np.ones(len(self.residual))

    def some(self, n: int, rng: np.random.Generator) -> Records:
        """Return at most n of the records of each earthquake, drawn without replacement."""
        event = self.features["event"]
        parts = [rng.permutation(np.flatnonzero(event == k))[:n] for k in np.unique(event)]
        at = np.sort(np.concatenate(parts))
        return Records({k: v[at] for k, v in self.features.items()}, self.residual[at], self.weight[at])


class Kernel:
    """A sum of `Part`s and white noise, whose noise may differ from event to event.

    ``theta`` is the natural logarithm of, part after part, amplitude and length; then of the noise.
    """

    def __init__(self, parts: tuple[Part, ...], *, noise: float = 0.35) -> None:
        self.parts = parts
        start = [v for p in parts for v in ((p.amplitude, p.length) if p.scaled else (p.amplitude,))]
        self.start = np.log([*start, noise])
        self.theta = self.start.copy()
        self.noise_factor: dict[int, float] = {}

    def apart(self, a: dict[str, Floats], b: dict[str, Floats]) -> dict[str, Floats]:
        """Return the distances in each feature, (n, m), that `matrix` needs."""
        out = {"same event": (a["event"][:, None] == b["event"]).astype(float)}
        for part in self.parts:
            key = f"{part.feature}:equal" if part.shape == "equal" else part.feature
            if key in out or part.shape == "constant":
                continue
            x, y = a[part.feature], b[part.feature]
            if part.feature == "place":
                out[key] = cdist(on_sphere(*x.T).T, on_sphere(*y.T).T)
            elif part.shape == "equal":
                out[key] = (x[:, None] == y).astype(float)
            else:
                out[key] = np.abs(x[:, None] - y)
        return out

    def matrix(self, theta: Floats, apart: dict[str, Floats], *, only: str | None = None) -> Floats:
        """Return the covariance without noise, shape (n, m), or what one part makes of it."""
        total = np.zeros_like(apart["same event"])
        for part, (term, _) in zip(self.parts, self.terms(theta, apart), strict=True):
            if only is None or part.name == only:
                total += term
        return total

    @staticmethod
    def slope(terms: list[tuple[Floats, Floats | None]], against: Floats) -> Floats:
        """Return how the sum of the covariance times `against` changes with theta, shape (p,), noise 0."""
        slope = []
        for term, by_length in terms:
            weighted = term * against
            slope.append(2 * weighted.sum())
            if by_length is not None:
                slope.append(np.vdot(weighted, by_length))
        return np.array([*slope, 0.0])

    def terms(self, theta: Floats, apart: dict[str, Floats]) -> Iterator[tuple[Floats, Floats | None]]:
        """Yield each part, and what it is multiplied by for its slope with the logarithm of its length."""
        i = 0
        for part in self.parts:
            variance = np.exp(2 * theta[i])
            by_length = None
            if part.shape == "constant":
                term = np.full_like(apart["same event"], variance)
            elif part.shape == "equal":
                term = variance * apart[f"{part.feature}:equal"]
            else:
                h = apart[part.feature] * np.exp(-theta[i + 1])
                if part.shape == "exponential":
                    term, by_length = variance * np.exp(-h), h
                elif part.shape == "matern":
                    h *= np.sqrt(3)
                    term, by_length = variance * np.exp(-h) * (1 + h), h * h / (1 + h)
                else:
                    h *= h
                    term, by_length = variance * np.exp(-h / 2), h
            if not part.shared:
                term *= apart["same event"]
            yield term, by_length
            i += 2 if part.scaled else 1

    def variance(self) -> float:
        """Return the variance of all parts, without noise."""
        total, i = 0.0, 0
        for part in self.parts:
            total += float(np.exp(2 * self.theta[i]))
            i += 2 if part.scaled else 1
        return total

    def noise(self, event: Floats) -> Floats:
        """Return the variance of the noise of events of the fit; of others, what is typical; shape (n,)."""
        factor = np.array([self.noise_factor.get(int(k), 1.0) for k in event])
        return np.asarray(np.exp(2 * self.theta[-1]) * factor**2)

    def fit(self, groups: list[Records], *, n_iteration: int = 30, own_noise: bool = True) -> None:
        """Find theta by marginal likelihood with a weak prior about where it started.

        Parameters
        ----------
        groups
            Records that are independent of those of other groups: all earthquakes together, or, where no part
            is shared, each alone, which is faster.
        n_iteration
            At most.
        own_noise
            Whether each event has noise of its own; else it is the same for all.
        """
        names = np.unique(np.concatenate([g.features["event"] for g in groups]))
        apart = [self.apart(g.features, g.features) for g in groups]
        which = [np.searchsorted(names, g.features["event"]) for g in groups]
        n_shared, n_own = len(self.start), len(names) if own_noise else 0
        prior = np.concatenate([self.start, np.zeros(n_own)])
        spread = np.concatenate([np.full(n_shared, _PRIOR_SPREAD), np.full(n_own, _PRIOR_SPREAD_NOISE)])

        def cost(theta: Floats) -> tuple[float, Floats]:
            z = (theta - prior) / spread
            value, slope = 0.5 * float(z @ z), z / spread
            for group, own, event in zip(groups, apart, which):
                terms = list(self.terms(theta[:n_shared], own))
                matrix = np.asarray(sum(term for term, _ in terms))
                factor = theta[n_shared + event] if own_noise else 0.0
                noise = np.exp(2 * (theta[n_shared - 1] + factor)) / group.weight
                matrix[np.diag_indices(len(matrix))] += noise
                try:
                    inverse, root = _inverted(matrix)
                except LinAlgError:
                    return 1e10, np.zeros_like(theta)
                alpha = inverse @ group.residual
                value += 0.5 * float(group.residual @ alpha) + float(np.log(np.diag(root)).sum())
                inverse -= np.outer(alpha, alpha)
                slope[:n_shared] += 0.5 * self.slope(terms, inverse)
                by_noise = np.diag(inverse) * noise
                slope[n_shared - 1] += by_noise.sum()
                if own_noise:
                    slope[n_shared:] += np.bincount(event, by_noise, n_own)
            return value, slope

        found = minimize(
            cost,
            np.concatenate([self.theta, np.zeros(n_own)]),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": n_iteration},
        )
        self.theta = found.x[:n_shared]
        if own_noise:
            self.noise_factor = dict(zip(names.astype(int).tolist(), np.exp(found.x[n_shared:]).tolist()))


def _inverted(matrix: Floats) -> tuple[Floats, Floats]:
    """Return the inverse of a covariance and its lower Cholesky factor."""
    root = cholesky(matrix, lower=True, check_finite=False)
    inverse, _ = dpotri(root, lower=1)
    lower = np.tril(inverse, -1)
    return lower + lower.T + np.diag(np.diag(inverse)), root


@dataclass
class Solved:
    """Records with their covariance factored: what predictions and left-out blocks are read from."""

    kernel: Kernel
    records: Records
    inverse: Floats
    alpha: Floats
    root: Floats

    @classmethod
    def of(cls, kernel: Kernel, records: Records) -> Solved:
        """Factor the covariance of records, twice where some are far off what all others say.

        The noise of a record more than four standard deviations off grows until it is four off. Milder
        weights (Student's t) do not help on blocks left out, and would have to be found anew without each:
        weights that were found with a block make it look better predicted than it is.
        """
        plain = kernel.matrix(kernel.theta, kernel.apart(records.features, records.features))
        noise = kernel.noise(records.features["event"])
        at = np.diag_indices(len(plain))
        weight = np.ones(len(plain))
        for _ in range(2):
            matrix = plain.copy()
            matrix[at] += noise / weight
            inverse, root = _inverted(matrix)
            alpha = inverse @ records.residual
            off = np.abs(alpha) / np.sqrt(np.diag(inverse))
            if (weight < 1).any() or not (off > _FAR_OFF).any():
                break
            weight = np.minimum(1.0, (_FAR_OFF / np.maximum(off, _FAR_OFF)) ** 2)
        own = Records(records.features, records.residual, weight)
        return cls(kernel, own, inverse, alpha, root)

    def _cross(self, features: dict[str, Floats], only: str | None = None) -> Floats:
        kernel = self.kernel
        return kernel.matrix(kernel.theta, kernel.apart(self.records.features, features), only=only)

    def covariance(self, features: dict[str, Floats]) -> Floats:
        """Return the covariance of the residual at places, noise of the event included, shape (n, n)."""
        kernel = self.kernel
        matrix = kernel.matrix(kernel.theta, kernel.apart(features, features))
        half = solve_triangular(self.root, self._cross(features), lower=True, check_finite=False)
        matrix -= half.T @ half
        matrix[np.diag_indices(len(matrix))] += kernel.noise(features["event"])
        return matrix

    def predict(self, features: dict[str, Floats], *, only: str | None = None) -> tuple[Floats, Floats]:
        """Return mean and variance of the residual at places, noise of the event included, each (n,).

        With `only`, the records speak of that part alone; of the others nothing is known.
        """
        cross = self._cross(features, only)
        half = solve_triangular(self.root, cross, lower=True, check_finite=False)
        variance = self.kernel.variance() - (half**2).sum(axis=0)
        return cross.T @ self.alpha, np.maximum(variance, 1e-9) + self.kernel.noise(features["event"])

    def left_out(self, blocks: NDArray[Any]) -> tuple[Floats, Floats]:
        """Return mean and variance of each record predicted from the other blocks, without solving again.

        The residual of a block is ``inv(P) alpha`` with P the block of the precision matrix.
        """
        mean, variance = np.zeros(len(self.alpha)), np.zeros(len(self.alpha))
        noise = self.kernel.noise(self.records.features["event"])
        for block in np.unique(blocks):
            at = np.flatnonzero(blocks == block)
            covariance = np.linalg.inv(self.inverse[np.ix_(at, at)])
            mean[at] = self.records.residual[at] - covariance @ self.alpha[at]
            variance[at] = np.diag(covariance) + noise[at] * (1 - 1 / self.records.weight[at])
        return mean, np.maximum(variance, 1e-9)
