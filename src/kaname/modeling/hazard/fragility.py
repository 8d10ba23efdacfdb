"""Fragility from surveyed damage: lognormal curves by building class, with all that is uncertain in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cholesky
from scipy.optimize import minimize
from scipy.special import ndtr

from kaname.core.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from kaname.modeling.field.conditioning import ConditionedField

Floats = NDArray[np.float64]

_TINY = 1e-10


class LognormalFragility:
    """Probability of reaching damage states given the shaking, by building class, with its posterior.

    A building of class c reaches state k or worse with probability Phi((ln IM - theta[c, k]) / beta[c]); one
    beta for all states of a class, so that curves never cross. The shaking is not known where the buildings
    stand but only as a field conditioned on the stations: it is a latent vector with the field's mean and
    covariance, and is learned together with the curves. What it leaves open is in the intervals.

    Priors: ln IM of the first state normal about ``prior_median`` with standard deviation 1.5; the logarithm
    of the steps between states normal (ln 0.5, 1); that of beta normal (ln 0.6, 0.5). Sampling is Hamiltonian
    Monte Carlo (Neal 2011, arXiv:1206.1901) in coordinates that the Laplace approximation has made round.

    Parameters
    ----------
    shaking
        ``uncertain``: as above; ``median``: the field's median is taken for the truth, as most curves in use
        do, for comparison.
    prior_median
        Shaking, in the unit of the measure, at which slight damage is as likely as not a priori.
    n_sample, n_warmup, n_chain, seed
        Draws that are kept and that are thrown away, per chain.
    """

    def __init__(
        self,
        *,
        shaking: Literal["uncertain", "median"] = "uncertain",
        prior_median: float = 300.0,
        n_sample: int = 400,
        n_warmup: int = 100,
        n_chain: int = 2,
        seed: int = 0,
    ) -> None:
        if shaking not in ("uncertain", "median"):
            raise InputError(f"shaking {shaking!r}; expected uncertain or median")
        if min(n_sample, n_chain) < 1 or n_warmup < 0 or not prior_median > 0:
            raise InputError("n_sample, n_chain and prior_median must be positive, n_warmup not negative")
        self.shaking = shaking
        self.prior_median = prior_median
        self.n_sample = n_sample
        self.n_warmup = n_warmup
        self.n_chain = n_chain
        self.seed = seed

    def fit(
        self, building_class: ArrayLike, damage_state: ArrayLike, place: ArrayLike, field: ConditionedField
    ) -> LognormalFragility:
        """Learn the curves from surveyed buildings.

        Parameters
        ----------
        building_class
            Class of each building, ``(n,)``.
        damage_state
            0 (none) to the worst state, ``(n,)`` integers.
        place
            Where each building stands: row of `field.places`, ``(n,)``. Places without buildings are learned
            from their neighbours; that is how buildings elsewhere are predicted.
        field
            Shaking at the places given the stations: `kaname.modeling.field.conditioning.condition`.

        Raises
        ------
        InputError
            When shapes differ, a state is negative, missing or never seen, or a place is not in the field.
        """
        classes, which = np.unique(np.asarray(building_class), return_inverse=True)
        state, at = np.asarray(damage_state), np.asarray(place)
        if not len(which) or not (which.shape == state.shape == at.shape) or which.ndim != 1:
            raise InputError(
                f"as many classes, states and places as buildings expected, found {which.shape}, "
                f"{state.shape}, {at.shape}"
            )
        if state.dtype.kind not in "iu" or at.dtype.kind not in "iu" or state.min() < 0:
            raise InputError("damage states are integers from 0, places are rows of the field")
        if at.min() < 0 or at.max() >= len(field.places):
            raise InputError(f"places 0 to {len(field.places) - 1} expected, found {at.min()} to {at.max()}")
        n_state = int(state.max())
        if n_state < 1 or (np.bincount(state, minlength=n_state + 1) == 0).any():
            raise InputError(f"every damage state from 0 to the worst must occur, found {np.unique(state)}")
        problem = _Problem.of(
            which,
            state,
            at,
            field,
            len(classes),
            n_state,
            self.shaking == "uncertain",
            np.log(self.prior_median),
        )
        draws, self.acceptance_ = _sample(problem, self.n_sample, self.n_warmup, self.n_chain, self.seed)
        self.rhat_ = float(np.max(_rhat(draws[:, :, : problem.n_curve])))
        flat = draws.reshape(-1, draws.shape[-1])
        self.classes_ = classes
        self.measure_ = field.places.measure
        thetas, betas = zip(*(problem.curves(row)[:2] for row in flat))
        self.theta_ = np.array(thetas)
        self.beta_ = np.array(betas)
        self.log_shaking_ = np.array([problem.shaking(row) for row in flat])
        return self

    def curves(self) -> pd.DataFrame:
        """Return the curves with their 90 % intervals, a row per class and state.

        Columns: ``building_class``, ``damage_state``, ``median``, ``median_05``, ``median_95`` (unit of the
        measure), ``beta``, ``beta_05``, ``beta_95``.
        """
        import pandas as pd

        rows = []
        for c, name in enumerate(self.classes_):
            beta = np.quantile(self.beta_[:, c], [0.5, 0.05, 0.95])
            for k in range(self.theta_.shape[2]):
                theta = np.exp(np.quantile(self.theta_[:, c, k], [0.5, 0.05, 0.95]))
                rows.append([name, k + 1, *theta, *beta])
        names = ["building_class", "damage_state", "median", "median_05", "median_95"]
        return pd.DataFrame(rows, columns=[*names, "beta", "beta_05", "beta_95"])

    def exceedance(self, building_class: str, damage_state: int, level: ArrayLike) -> Floats:
        """Return draws ``(n_draw, n_level)`` of the probability of a state or worse at levels of shaking.

        Raises
        ------
        InputError
            When the class or the state was not in the survey, or a level is not positive.
        """
        if building_class not in self.classes_ or not 1 <= damage_state <= self.theta_.shape[2]:
            raise InputError(
                f"no curve of class {building_class!r} and state {damage_state}; classes are "
                f"{', '.join(map(str, self.classes_))}, states 1 to {self.theta_.shape[2]}"
            )
        level = np.atleast_1d(np.asarray(level, float))
        if not (level > 0).all():
            raise InputError("levels of shaking must be positive")
        c = int(np.flatnonzero(self.classes_ == building_class)[0])
        theta, beta = self.theta_[:, c, damage_state - 1], self.beta_[:, c]
        return np.asarray(ndtr((np.log(level) - theta[:, None]) / beta[:, None]))

    def bands(self, level: ArrayLike) -> pd.DataFrame:
        """Return the curves at levels of shaking with their 90 % intervals.

        A row per class, state and level: ``building_class``, ``damage_state``, ``level``, ``probability``,
        ``low``, ``high``; errors as `exceedance`.
        """
        import pandas as pd

        level = np.atleast_1d(np.asarray(level, float))
        parts = []
        for name in self.classes_:
            for k in range(1, self.theta_.shape[2] + 1):
                middle, low, high = np.quantile(self.exceedance(name, k, level), [0.5, 0.05, 0.95], axis=0)
                rows = {"building_class": name, "damage_state": k, "level": level, "probability": middle}
                parts.append(pd.DataFrame({**rows, "low": low, "high": high}))
        return pd.concat(parts, ignore_index=True)

    def predict(self, building_class: ArrayLike, place: ArrayLike) -> Floats:
        """Return the probability of each damage state ``(n, n_state + 1)``, over curves and shaking alike.

        Raises
        ------
        InputError
            When a class was not in the survey or a place is not in the field.
        """
        which = np.asarray(building_class)
        at = np.asarray(place)
        unknown = ~np.isin(which, self.classes_)
        if unknown.any():
            raise InputError(f"class '{which[unknown][0]}' was not in the survey")
        if len(at) and (at.min() < 0 or at.max() >= self.log_shaking_.shape[1]):
            raise InputError("places are rows of the field that the curves were fitted with")
        c = np.searchsorted(self.classes_, which)
        pairs, back = np.unique(np.stack([c, at]), axis=1, return_inverse=True)
        out = np.empty((pairs.shape[1], self.theta_.shape[2] + 1))
        for i, (one, where) in enumerate(pairs.T):
            x = self.log_shaking_[:, where, None]
            worse = ndtr((x - self.theta_[:, one]) / self.beta_[:, one, None]).mean(0)
            out[i] = -np.diff(np.concatenate([[1.0], worse, [0.0]]))
        return np.maximum(out[back.ravel()], _TINY)


@dataclass(frozen=True)
class _Problem:
    """The posterior. Parameters are, per class, theta 1, log steps and log beta; then whitened shaking."""

    counts: Floats
    """Buildings by state at each pair of a place and a class that has any, ``(n_pair, n_state + 1)``."""
    pair: NDArray[np.intp]
    """The place and the class, ``(2, n_pair)``."""
    n_class: int
    mean: Floats
    factor: Floats
    """Cholesky factor of the covariance of the shaking, ``(n_place, n_place)``; empty when it is known."""
    prior: Floats
    """Prior means and standard deviations of the parameters of one class, ``(2, n_state + 1)``."""

    @classmethod
    def of(
        cls,
        which: NDArray[Any],
        state: NDArray[Any],
        at: NDArray[Any],
        field: ConditionedField,
        n_class: int,
        n_state: int,
        uncertain: bool,
        log_median: float,
    ) -> _Problem:
        pair, here = np.unique(np.stack([at, which]), axis=1, return_inverse=True)
        counts = np.zeros((pair.shape[1], n_state + 1))
        np.add.at(counts, (here.ravel(), state), 1.0)
        factor = np.zeros((len(field.places), 0))
        if uncertain:
            covariance = field.covariance()
            covariance[np.diag_indices(len(covariance))] += 1e-6
            factor = cholesky(covariance, lower=True)
        middle = [log_median, *[np.log(0.5)] * (n_state - 1), np.log(0.6)]
        spread = [1.5, *[1.0] * (n_state - 1), 0.5]
        return cls(counts, pair, n_class, field.mean, factor, np.array([middle, spread]))

    @property
    def n_curve(self) -> int:
        return int(self.n_class * self.prior.shape[1])

    @property
    def start(self) -> Floats:
        return np.concatenate([np.tile(self.prior[0], self.n_class), np.zeros(self.factor.shape[1])])

    def curves(self, q: Floats) -> tuple[Floats, Floats, Floats]:
        """Theta ``(n_class, n_state)``, beta ``(n_class,)`` and the steps between states."""
        p = q[: self.n_curve].reshape(self.n_class, -1)
        # A step of the search may go astray; it is to come back, not to overflow.
        p = np.concatenate([p[:, :1], np.clip(p[:, 1:], -20.0, 20.0)], axis=1)
        steps = np.exp(p[:, 1:-1])
        theta = np.cumsum(np.concatenate([p[:, :1], steps], axis=1), axis=1)
        return theta, np.exp(p[:, -1]), steps

    def shaking(self, q: Floats) -> Floats:
        return self.mean + self.factor @ q[self.n_curve :] if self.factor.shape[1] else self.mean

    def value(self, q: Floats) -> tuple[float, Floats]:
        """Minus the logarithm of the posterior, and its gradient."""
        theta, beta, steps = self.curves(q)
        x = self.shaking(q)
        u = (x[self.pair[0], None] - theta[self.pair[1]]) / beta[self.pair[1], None]
        one, nil = np.ones((len(u), 1)), np.zeros((len(u), 1))
        below = np.concatenate([one, ndtr(u), nil], axis=1)
        above = np.concatenate([nil, ndtr(-u), one], axis=1)
        # Of two differences the one between the smaller tails loses no digits.
        p = np.where(above[:, 1:] < 0.5, above[:, 1:] - above[:, :-1], below[:, :-1] - below[:, 1:])
        p = np.maximum(p, 1e-15)
        ratio = self.counts / p
        # Each edge is the lower end of one state and the upper end of the next.
        g_u = (
            np.exp(-0.5 * np.minimum(np.abs(u), 37.0) ** 2)
            / np.sqrt(2 * np.pi)
            * (ratio[:, 1:] - ratio[:, :-1])
        )
        slope = g_u / beta[self.pair[1], None]
        g_theta, g_log_beta = np.zeros_like(theta), np.zeros_like(beta)
        np.add.at(g_theta, self.pair[1], -slope)
        np.add.at(g_log_beta, self.pair[1], -(g_u * u).sum(1))
        tail = np.cumsum(g_theta[:, ::-1], axis=1)[:, ::-1]
        gradient = np.concatenate([tail[:, :1], tail[:, 1:] * steps, g_log_beta[:, None]], axis=1)
        curve = q[: self.n_curve].reshape(gradient.shape)
        off = (curve - self.prior[0]) / self.prior[1]
        out = np.concatenate([(off / self.prior[1] - gradient).ravel(), q[self.n_curve :]])
        if self.factor.shape[1]:
            g_x = np.bincount(self.pair[0], slope.sum(1), minlength=len(self.mean))
            out[self.n_curve :] -= self.factor.T @ g_x
        value = 0.5 * (off**2).sum() + 0.5 * (q[self.n_curve :] ** 2).sum() - (self.counts * np.log(p)).sum()
        return float(value), out


def _sample(problem: _Problem, n_sample: int, n_warmup: int, n_chain: int, seed: int) -> tuple[Floats, float]:
    """Draws ``(n_chain, n_sample, n)`` from the posterior, and the share of accepted ones."""
    best = minimize(problem.value, problem.start, jac=True, method="L-BFGS-B", options={"maxiter": 2000}).x
    n, step = len(best), 1e-4
    hessian = np.empty((n, n))
    for i in range(n):
        e = np.zeros(n)
        e[i] = step
        hessian[i] = (problem.value(best + e)[1] - problem.value(best - e)[1]) / (2 * step)
    hessian = 0.5 * (hessian + hessian.T)
    values, vectors = np.linalg.eigh(hessian)
    scale = vectors / np.sqrt(np.maximum(values, 0.05))

    def rounded(r: Floats) -> tuple[float, Floats]:
        value, gradient = problem.value(best + scale @ r)
        return value, scale.T @ gradient

    rng = np.random.default_rng(seed)
    draws = np.empty((n_chain, n_sample, n))
    accepted = 0
    for chain in range(n_chain):
        length = 0.25
        r = rng.standard_normal(n)
        value, gradient = rounded(r)
        for i in range(-n_warmup, n_sample):
            momentum = rng.standard_normal(n)
            to, v, g = r.copy(), value, gradient
            energy = v + 0.5 * momentum @ momentum
            p = momentum - 0.5 * length * g
            n_step = int(rng.integers(6, 16))
            for k in range(n_step):
                to = to + length * p
                v, g = rounded(to)
                p = p - (length if k < n_step - 1 else 0.5 * length) * g
            probability = float(np.exp(np.minimum(0.0, energy - v - 0.5 * p @ p)))
            if rng.uniform() < probability:
                r, value, gradient = to, v, g
                accepted += i >= 0
            if i < 0:
                # Towards the acceptance of 0.8 that costs least (Betancourt et al. 2014, arXiv:1411.6669).
                length *= np.exp((probability - 0.8) / np.sqrt(i + n_warmup + 1))
            else:
                draws[chain, i] = best + scale @ r
    return draws, accepted / (n_chain * n_sample)


def _rhat(draws: Floats) -> Floats:
    """Split potential scale reduction of each parameter (Gelman and Rubin 1992, 10.1214/ss/1177011136)."""
    n = draws.shape[1] // 2
    halves = np.concatenate([draws[:, :n], draws[:, n : 2 * n]])
    within = halves.var(axis=1, ddof=1).mean(0)
    between = halves.mean(axis=1).var(axis=0, ddof=1)
    return np.asarray(np.sqrt((n - 1) / n + between / np.maximum(within, 1e-300)))


def class_frequencies(building_class: ArrayLike, damage_state: ArrayLike, to: ArrayLike) -> Floats:
    """Return, for buildings of classes ``to``, how often each state was seen in their class: the baseline.

    Every state is counted once more than it was seen, so that none is impossible.
    """
    classes, state = np.asarray(building_class), np.asarray(damage_state)
    n_state = int(state.max()) + 1
    out = np.empty((len(np.asarray(to)), n_state))
    for name in np.unique(np.asarray(to)):
        count = np.bincount(state[classes == name], minlength=n_state) + 1.0
        out[np.asarray(to) == name] = count / count.sum()
    return out
