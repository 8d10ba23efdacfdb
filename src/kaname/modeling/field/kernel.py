"""The covariance of what a model of ground motion left over: a sum of parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

from kaname.core.errors import InputError
from kaname.modeling.field.correlation import distances

Floats = NDArray[np.float64]
Shape = Literal["constant", "exponential", "matern", "gaussian", "equal", "linear"]

_PRIOR_SPREAD = 1.5
_PRIOR_SPREAD_NOISE = 0.5


@dataclass(frozen=True)
class Part:
    """One part of the covariance within an event.

    Parameters
    ----------
    name
        Unique.
    feature
        What it depends on: ``place`` (great-circle distance [km]) or the name of a feature.
    shape
        ``constant``; ``exponential`` exp(-h), ``matern`` (3/2) or ``gaussian`` exp(-h^2/2) of the distance h
        in lengths; ``equal``, 1 where the feature is the same; ``linear``, the product of the features.
    amplitude
        Standard deviation to begin with (natural logarithm of the measure).
    length
        To begin with, in the unit of the feature; not for ``constant``, ``equal`` and ``linear``.
    """

    name: str
    feature: str
    shape: Shape
    amplitude: float
    length: float = 0.0

    def __post_init__(self) -> None:
        if self.shape not in get_args(Shape):
            raise InputError(f"no shape {self.shape!r}; known are {', '.join(get_args(Shape))}")

    @property
    def scaled(self) -> bool:
        """Whether it has a length."""
        return self.length > 0


@dataclass
class Event:
    """Records of one earthquake: features by name (``place`` is (n, 2) of degrees), residuals (n,)."""

    features: dict[str, Floats]
    residual: Floats
    weight: Floats = field(default_factory=lambda: np.zeros(0))
    """Of each record against the others of the event: below 1 where it is far off (Student's t)."""

    def __post_init__(self) -> None:
        if not len(self.weight):
            self.weight = np.ones(len(self.residual))

    def some(self, n: int, rng: np.random.Generator) -> Event:
        """Return at most n of the records, drawn without replacement."""
        if len(self.residual) <= n:
            return self
        at = np.sort(rng.permutation(len(self.residual))[:n])
        return Event({k: v[at] for k, v in self.features.items()}, self.residual[at], self.weight[at])


class Kernel:
    """A sum of `Part`s and white noise, whose noise may differ from event to event.

    ``theta`` is the natural logarithm of, part after part, amplitude and length; then of the noise; then, for
    each event of the fit, of the factor of its noise.
    """

    def __init__(self, parts: tuple[Part, ...], *, noise: float = 0.35) -> None:
        self.parts = parts
        start = [v for p in parts for v in ((p.amplitude, p.length) if p.scaled else (p.amplitude,))]
        self.start = np.log([*start, noise])
        self.theta = self.start.copy()
        self.noise_factor: dict[Any, float] = {}

    def with_part(self, part: Part) -> Kernel:
        """Return a kernel with one part more, the others as they were found."""
        out = Kernel((*self.parts, part))
        n = len(self.theta) - 1
        out.theta[:n], out.theta[-1] = self.theta[:n], self.theta[-1]
        out.noise_factor = dict(self.noise_factor)
        return out

    def apart(self, a: dict[str, Floats], b: dict[str, Floats]) -> dict[str, Floats]:
        """Return the distances in each feature, (n, m), that `matrix` needs."""
        out: dict[str, Floats] = {}
        for part in self.parts:
            key = f"{part.feature}:{part.shape}" if part.shape in ("equal", "linear") else part.feature
            if key in out or part.shape == "constant":
                continue
            x, y = a[part.feature], b[part.feature]
            if part.feature == "place":
                out[key] = distances(x[:, 0], x[:, 1], y[:, 0], y[:, 1])
            elif part.shape == "equal":
                out[key] = (x[:, None] == y).astype(float)
            elif part.shape == "linear":
                out[key] = x[:, None] * y
            else:
                out[key] = np.abs(x[:, None] - y)
        out["n"] = np.zeros((len(a["place"]), len(b["place"])))
        return out

    def matrix(
        self, theta: Floats, apart: dict[str, Floats], *, gradient: bool = False
    ) -> tuple[Floats, list[Floats]]:
        """Return the covariance without noise, and its derivatives by the elements of theta but the noise."""
        total = np.zeros_like(apart["n"])
        slopes: list[Floats] = []
        i = 0
        for part in self.parts:
            variance = np.exp(2 * theta[i])
            i += 1
            slope = None
            if part.shape == "constant":
                term = np.full_like(total, variance)
            elif part.shape in ("equal", "linear"):
                term = variance * apart[f"{part.feature}:{part.shape}"]
            else:
                h = apart[part.feature] * np.exp(-theta[i])
                i += 1
                if part.shape == "exponential":
                    term = variance * np.exp(-h)
                    slope = term * h
                elif part.shape == "matern":
                    h *= np.sqrt(3)
                    term = variance * np.exp(-h)
                    slope = term * h * h
                    term = term * (1 + h)
                else:
                    h *= h
                    term = variance * np.exp(-h / 2)
                    slope = term * h
            total += term
            if gradient:
                slopes += [2 * term] + ([slope] if slope is not None else [])
        return total, slopes

    def variance(self, features: dict[str, Floats]) -> Floats:
        """Return the variance of the parts at records, without noise, shape (n,)."""
        total, i = np.zeros(len(features["place"])), 0
        for part in self.parts:
            variance = np.exp(2 * self.theta[i])
            total += variance * (features[part.feature] ** 2 if part.shape == "linear" else 1.0)
            i += 2 if part.scaled else 1
        return total

    def noise(self, event: Any = None) -> float:
        """Return the variance of the noise of an event of the fit; of another, what is typical."""
        return float(np.exp(2 * self.theta[-1]) * self.noise_factor.get(event, 1.0) ** 2)

    def fit(self, events: dict[Any, Event], *, n_iteration: int = 30, own_noise: bool = True) -> None:
        """Find theta by marginal likelihood with a weak prior about where it started.

        Parameters
        ----------
        events
            Records of each earthquake; those of different earthquakes are independent.
        n_iteration
            At most.
        own_noise
            Whether each event has noise of its own; else it is the same for all.
        """
        names = list(events)
        apart = [self.apart(e.features, e.features) for e in events.values()]
        n_shared = len(self.start)
        n_own = len(names) if own_noise else 0
        prior = np.concatenate([self.start, np.zeros(n_own)])
        spread = np.concatenate([np.full(n_shared, _PRIOR_SPREAD), np.full(n_own, _PRIOR_SPREAD_NOISE)])

        def cost(theta: Floats) -> tuple[float, Floats]:
            z = (theta - prior) / spread
            value, slope = 0.5 * float(z @ z), z / spread
            for k, (event, own) in enumerate(zip(events.values(), apart)):
                matrix, slopes = self.matrix(theta[:n_shared], own, gradient=True)
                own_factor = theta[n_shared + k] if own_noise else 0.0
                noise = np.exp(2 * (theta[n_shared - 1] + own_factor)) / event.weight
                matrix[np.diag_indices(len(matrix))] += noise
                try:
                    factor = cholesky(matrix, lower=True, check_finite=False)
                except LinAlgError:
                    return 1e10, np.zeros_like(theta)
                inverse = cho_solve((factor, True), np.eye(len(matrix)), check_finite=False)
                alpha = inverse @ event.residual
                value += 0.5 * float(event.residual @ alpha) + float(np.log(np.diag(factor)).sum())
                inverse -= np.outer(alpha, alpha)
                for i, by in enumerate(slopes):
                    slope[i] += 0.5 * np.vdot(inverse, by)
                by_noise = float(np.diag(inverse) @ noise)
                slope[n_shared - 1] += by_noise
                if own_noise:
                    slope[n_shared + k] += by_noise
            return value, slope

        factors = [np.log(self.noise_factor.get(name, 1.0)) for name in names[:n_own]]
        found = minimize(
            cost,
            np.concatenate([self.theta, factors]),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": n_iteration},
        )
        self.theta = found.x[:n_shared]
        self.noise_factor = dict(zip(names, np.exp(found.x[n_shared:])))


@dataclass
class Solved:
    """An event with its covariance factored: what predictions and left-out blocks are read from."""

    kernel: Kernel
    name: Any
    event: Event
    inverse: Floats
    alpha: Floats
    factor: Floats

    @classmethod
    def of(cls, kernel: Kernel, name: Any, event: Event, *, freedom: float = 0.0) -> Solved:
        """Factor the covariance of an event; with `freedom`, weigh its records as Student's t would.

        The weights are those of the expectation step of the t mixture (Lange et al. 1989,
        https://doi.org/10.1080/01621459.1989.10478852), three times over.
        """
        plain, _ = kernel.matrix(kernel.theta, kernel.apart(event.features, event.features))
        variance = kernel.noise(name)
        at = np.diag_indices(len(plain))
        for turn in range(4 if freedom else 1):
            matrix = plain.copy()
            noise = variance / event.weight
            matrix[at] += noise
            factor = cholesky(matrix, lower=True, check_finite=False)
            inverse = cho_solve((factor, True), np.eye(len(matrix)), check_finite=False)
            alpha = inverse @ event.residual
            if turn < 3 and freedom:
                square = (noise * alpha) ** 2 + noise - noise**2 * np.diag(inverse)
                event = Event(event.features, event.residual, (freedom + 1) / (freedom + square / variance))
        return cls(kernel, name, event, inverse, alpha, factor)

    @classmethod
    def empty(cls, kernel: Kernel, features: dict[str, Floats]) -> Solved:
        """Return an event of which nothing was recorded."""
        none = np.zeros(0)
        event = Event({k: v[:0] for k, v in features.items()}, none, none)
        return cls(kernel, None, event, np.zeros((0, 0)), none, np.zeros((0, 0)))

    def covariance(self, features: dict[str, Floats]) -> Floats:
        """Return the covariance of the residual at places, noise of the event included, shape (n, n)."""
        kernel = self.kernel
        matrix, _ = kernel.matrix(kernel.theta, kernel.apart(features, features))
        cross, _ = kernel.matrix(kernel.theta, kernel.apart(self.event.features, features))
        half = solve_triangular(self.factor, cross, lower=True, check_finite=False)
        matrix -= half.T @ half
        matrix[np.diag_indices(len(matrix))] += kernel.noise(self.name)
        return matrix

    def predict(self, features: dict[str, Floats]) -> tuple[Floats, Floats]:
        """Return mean and variance of the residual at places, noise of the event included, each (n,)."""
        if not len(self.alpha):
            return np.zeros(len(features["place"])), self.kernel.variance(features) + self.kernel.noise()
        cross, _ = self.kernel.matrix(self.kernel.theta, self.kernel.apart(features, self.event.features))
        half = solve_triangular(self.factor, cross.T, lower=True, check_finite=False)
        variance = self.kernel.variance(features) - (half**2).sum(axis=0)
        return cross @ self.alpha, np.maximum(variance, 1e-9) + self.kernel.noise(self.name)

    def share_of(self, name: str) -> Floats:
        """Return what a linear part adds to the mean at each record, shape (n,); 0 without such a part."""
        i = 0
        for part in self.kernel.parts:
            if part.name == name and part.shape == "linear":
                x = self.event.features[part.feature]
                return x * float(np.exp(2 * self.kernel.theta[i]) * (x @ self.alpha))
            i += 2 if part.scaled else 1
        return np.zeros(len(self.alpha))

    def left_out(self, blocks: NDArray[Any]) -> tuple[Floats, Floats]:
        """Return mean and variance of each record predicted from the other blocks, without solving again.

        The residual of a block is ``inv(P) alpha`` with P the block of the precision matrix.
        """
        mean, variance = np.zeros(len(self.alpha)), np.zeros(len(self.alpha))
        own = self.kernel.noise(self.name)
        for block in np.unique(blocks):
            at = np.flatnonzero(blocks == block)
            covariance = np.linalg.inv(self.inverse[np.ix_(at, at)])
            mean[at] = self.event.residual[at] - covariance @ self.alpha[at]
            variance[at] = np.diag(covariance) - own / self.event.weight[at] + own
        return mean, np.maximum(variance, 1e-9)
