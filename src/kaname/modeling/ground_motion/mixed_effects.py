"""What of a residual belongs to the earthquake, what to the site, what to neither: crossed random effects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numba
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import lapack
from scipy.optimize import minimize
from scipy.sparse import csr_matrix

from kaname.core.errors import InputError

Floats = NDArray[np.float64]
Method = Literal["reml", "ml"]

_BOUNDS = (-9.0, 7.0)
"""Of the logarithm of a standard deviation over that within event and site."""
_SMALL = -2.0
"""Below this logarithm a component may be absent: it is compared with none at all."""


class MixedEffects:
    r"""Residuals split into event, site and remaining terms, with the standard deviation of each.

    :math:`y_{es} = x\beta + \delta B_e + \delta S2S_s + \delta WS_{es}` with standard deviations
    :math:`\tau`, :math:`\phi_{S2S}` and :math:`\phi_{SS}` (Al Atik et al. 2010, https://doi.org/10.1785/gssrl.81.5.794).
    Events and sites are crossed and the design may be as unbalanced as networks are. The likelihood is
    profiled over the ratios of the standard deviations (Bates et al. 2015,
    https://doi.org/10.18637/jss.v067.i01, eqs. 33 to 42) and its gradient is exact. The factor with more
    levels is eliminated level by level, so the cost is that of a dense Cholesky factor of the other one: of
    the cube of the lesser of the numbers of events and sites, whatever the number of records.

    Parameters
    ----------
    method
        ``reml``, restricted maximum likelihood, which does not understate the components; or ``ml``.
    tolerance
        Of the gradient of the deviance by logarithms of ratios, at which to stop.

    Attributes
    ----------
    tau_, phi_s2s_, phi_ss_ : float
        Standard deviations between events, between sites, and within both.
    standard_error_ : dict of str to float
        Of the logarithm of each of the three, from the curvature of the likelihood; NaN where it is zero.
    fixed_ : ndarray, shape (p,)
        Coefficients of the fixed part; one, the mean, when none was given.
    event_terms_, site_terms_ : DataFrame
        Indexed by the label; ``term``, ``sd`` (posterior standard deviation) and ``n`` (records).
    log_likelihood_ : float
    n_iteration_ : int
        Evaluations of the likelihood.
    """

    def __init__(self, *, method: Method = "reml", tolerance: float = 1e-3) -> None:
        if method not in get_args(Method):
            raise InputError(f"unknown method {method!r}; expected {' or '.join(get_args(Method))}")
        self.method = method
        self.tolerance = tolerance

    def fit(
        self,
        residual: ArrayLike,
        event: ArrayLike,
        site: ArrayLike | None = None,
        *,
        fixed: ArrayLike | None = None,
        scale: ArrayLike | None = None,
        event_scale: ArrayLike | None = None,
    ) -> MixedEffects:
        """Estimate components and terms; returns itself.

        Parameters
        ----------
        residual
            Observed minus predicted, natural logarithm, shape (n,).
        event, site
            Labels, shape (n,). Without sites there is no site term.
        fixed
            Columns of the fixed part, shape (n, p); by default one column of ones.
        scale
            Known factor of the remaining standard deviation of each record, shape (n,); by default 1.
        event_scale
            Known factor of the standard deviation between events, shape (n,), the same for all records of an
            event (`between.BetweenEvents` finds one that depends on magnitude); by default 1. `tau_` is the
            standard deviation where it is 1.

        Raises
        ------
        InputError
            When shapes differ, a value is missing or not finite, a scale is not positive or differs within an
            event, columns of `fixed` depend on one another, or no level of a factor has two records.
        """
        problem = _Problem(residual, event, site, fixed, scale, event_scale, reml=self.method == "reml")
        found = minimize(
            problem.objective,
            np.log(np.full(len(problem.q), 0.6)),
            jac=True,
            method="L-BFGS-B",
            bounds=[_BOUNDS] * len(problem.q),
            options={"gtol": self.tolerance, "ftol": 1e-13},
        )
        log_ratio = found.x.copy()
        for k in np.flatnonzero(log_ratio < _SMALL):
            # Towards zero the likelihood is flat in the logarithm, and the search stops on its way there.
            without = log_ratio.copy()
            without[k] = -np.inf
            if problem.objective(without)[0] <= problem.objective(log_ratio)[0]:
                log_ratio = without
        solved = problem.solve(np.exp(log_ratio))
        self.phi_ss_ = float(np.sqrt(solved.variance))
        components = np.append(self.phi_ss_ * np.exp(log_ratio), 0.0)
        self.tau_, self.phi_s2s_ = float(components[0]), float(components[1])
        errors = problem.standard_errors(log_ratio, solved)
        self.standard_error_ = {
            "tau": float(errors[0]),
            "phi_s2s": float(errors[1]) if len(problem.q) > 1 else float("nan"),
            "phi_ss": float(errors[-1]),
        }
        self.fixed_ = solved.fixed
        self.log_likelihood_ = -0.5 * solved.deviance
        self.n_iteration_ = int(found.nfev)
        tables = [
            pd.DataFrame(
                {
                    "term": component * factor * effect / self.phi_ss_ if component else 0.0,
                    "sd": component * factor * np.sqrt(spread),
                    "n": n,
                },
                index=pd.Index(label),
            )
            for component, effect, spread, n, label, factor in zip(
                components,
                solved.effects,
                solved.spread,
                problem.counts,
                problem.labels,
                problem.factors,
                strict=False,
            )
        ]
        self.event_terms_ = tables[0]
        self.site_terms_ = tables[1] if len(tables) > 1 else tables[0].iloc[:0]
        return self

    @property
    def phi_(self) -> float:
        """Standard deviation within an event, site to site included."""
        return float(np.hypot(self.phi_s2s_, self.phi_ss_))

    def predict(
        self, event: ArrayLike, site: ArrayLike | None = None, *, fixed: ArrayLike | None = None
    ) -> tuple[Floats, Floats]:
        """Return mean and standard deviation of a residual, given what is known of its event and its site.

        Parameters
        ----------
        event, site
            Labels, shape (n,); of one that was not fitted nothing is known: its term is 0 give or take its
            component.
        fixed
            As in `fit`.

        Returns
        -------
        mean, sigma
            Shape (n,); the standard deviation holds those of the terms and of a record (scale 1). Covariance
            of an event's term with a site's is neglected.
        """
        labels = np.asarray(event)
        columns = np.ones((len(labels), 1)) if fixed is None else np.asarray(fixed, float)
        if columns.shape != (len(labels), len(self.fixed_)):
            raise InputError(f"fixed part of {columns.shape}; expected {(len(labels), len(self.fixed_))}")
        mean = columns @ self.fixed_
        variance = np.full(len(labels), self.phi_ss_**2)
        for table, own, component in (
            (self.event_terms_, labels, self.tau_),
            (self.site_terms_, site, self.phi_s2s_),
        ):
            if own is None or not len(table):
                variance += component**2
                continue
            where = table.index.get_indexer(pd.Index(np.asarray(own)))
            mean += np.where(where >= 0, table["term"].to_numpy()[where], 0.0)
            variance += np.where(where >= 0, table["sd"].to_numpy()[where], component) ** 2
        return mean, np.sqrt(variance)


def event_terms(residual: ArrayLike, event: ArrayLike, *, tau: ArrayLike, phi: ArrayLike) -> pd.DataFrame:
    """Return the term of each event from some of its records, as far as they can be told apart from scatter.

    Parameters
    ----------
    residual
        Observed minus predicted (natural logarithm), shape (n,); NaN where nothing was observed.
    event
        Labels, shape (n,).
    tau, phi
        Standard deviation between events and within one, shape (n,) or scalar; `tau` is taken from the first
        record of an event.

    Returns
    -------
    DataFrame
        Indexed by event: ``term`` and its posterior standard deviation ``sd`` (Abrahamson & Youngs 1992, BSSA
        82, 505-510, eq. 10), and ``n``, the records it rests on; 0 and `tau` where there are none.

    Raises
    ------
    InputError
        When shapes differ or a standard deviation within events is not positive.
    """
    y = np.asarray(residual, float)
    labels = np.asarray(event)
    if y.ndim != 1 or labels.shape != y.shape:
        raise InputError(f"residuals of shape {y.shape} and events of {labels.shape}; expected as many")
    between, within = (np.broadcast_to(np.asarray(v, float), y.shape) for v in (tau, phi))
    if not (within > 0).all():
        raise InputError("the standard deviation within events must be positive")
    level, index = pd.factorize(labels)
    seen = np.isfinite(y)
    weight = np.where(seen, within**-2.0, 0.0)
    total = np.bincount(level, weight * np.where(seen, y, 0.0), len(index))
    weights = np.bincount(level, weight, len(index))
    prior = between[np.unique(level, return_index=True)[1]]
    shrunk = prior**2 / (1 + prior**2 * weights)
    return pd.DataFrame(
        {
            "term": shrunk * total,
            "sd": np.sqrt(shrunk),
            "n": np.bincount(level, seen, len(index)).astype(int),
        },
        index=pd.Index(index),
    )


@dataclass(frozen=True)
class _Solution:
    deviance: float
    """Minus twice the (restricted) log likelihood, profiled over the fixed part and the scale."""
    gradient: Floats
    """Of the deviance by the logarithms of the ratios."""
    variance: float
    """Of what remains."""
    fixed: Floats
    effects: list[Floats]
    """Of each factor: its terms over its ratio."""
    spread: list[Floats]
    """Of each factor: the posterior variances of its effects, over `variance`; empty if not asked for."""


class _Problem:
    """The mixed-model equations of one data set (Henderson 1975); factor 0 is events, factor 1 sites.

    In units of each factor's own standard deviation they are ``[[D + I, B], [B', S]]``, with the ``big``
    factor, whose block is diagonal, first; the other factor and the fixed part follow.
    """

    def __init__(
        self,
        residual: ArrayLike,
        event: ArrayLike,
        site: ArrayLike | None,
        fixed: ArrayLike | None,
        scale: ArrayLike | None,
        event_scale: ArrayLike | None,
        *,
        reml: bool,
    ) -> None:
        y = np.asarray(residual, float)
        n = y.size
        x = np.ones((n, 1)) if fixed is None else np.asarray(fixed, float)
        s, z = (np.ones(n) if v is None else np.asarray(v, float) for v in (scale, event_scale))
        if y.ndim != 1 or x.ndim != 2 or len(x) != n or s.shape != (n,) or z.shape != (n,):
            raise InputError(
                f"shapes differ: {y.shape} residuals, fixed part {x.shape}, scales {s.shape} and {z.shape}"
            )
        if not all(np.isfinite(v).all() for v in (y, x, s, z)) or not ((s > 0).all() and (z > 0).all()):
            raise InputError("residuals and fixed part must be finite, scales positive; drop what is missing")
        if n <= x.shape[1] or np.linalg.matrix_rank(x) < x.shape[1]:
            raise InputError(f"the {x.shape[1]} columns of the fixed part depend on one another in {n} rows")
        self.reml = reml
        self.n, self.p = x.shape
        self.labels: list[NDArray[Any]] = []
        codes = []
        for name, given in (("event", event), ("site", site)):
            if given is None:
                continue
            code, label = _levels(np.asarray(given), n, name)
            codes.append(code)
            self.labels.append(label)
        self.q = [len(label) for label in self.labels]
        self.counts = [np.bincount(code) for code in codes]
        self.big = int(np.argmax(self.q))
        self.small = [k for k in range(len(codes)) if k != self.big]
        w = s**-2.0
        self.log_weights = float(np.log(w).sum())
        by = [z, np.ones(n)][: len(codes)]
        self.factors = [f[np.unique(code, return_index=True)[1]] for f, code in zip(by, codes, strict=True)]
        if (self.factors[0][codes[0]] != z).any():
            raise InputError("the scale of the standard deviation between events differs within an event")
        self.zz = [np.bincount(code, w * f**2) for f, code in zip(by, codes, strict=True)]
        self.zy = [np.bincount(code, w * f * y) for f, code in zip(by, codes, strict=True)]
        self.zx = [
            np.column_stack([np.bincount(code, w * f * column) for column in x.T])
            for f, code in zip(by, codes, strict=True)
        ]
        self.xx, self.xy, self.yy = x.T @ (x * w[:, None]), x.T @ (w * y), float(y @ (w * y))
        shape = (self.q[self.big], self.q[self.small[0]] if self.small else 0)
        places = (codes[self.big], codes[self.small[0]]) if self.small else ([], [])
        self.crossed = csr_matrix((w * z if self.small else [], places), shape=shape)
        self.crossed.sum_duplicates()
        self.crossed.sort_indices()

    def objective(self, log_ratio: Floats) -> tuple[float, Floats]:
        solved = self.solve(np.exp(log_ratio), spread=False)
        return solved.deviance, solved.gradient

    def solve(self, ratio: Floats, *, spread: bool = True) -> _Solution:
        """Solve the equations where each factor's standard deviation is ``ratio`` times that of the rest."""
        big, q, m = self.big, self.crossed.shape[1], self.crossed.shape[1] + self.p
        cross = ratio[big] * (ratio[self.small[0]] if self.small else 0.0)
        border = ratio[big] * self.zx[big]
        right_big = ratio[big] * self.zy[big]
        inverse = 1.0 / (ratio[big] ** 2 * self.zz[big] + 1.0)
        # Only the lower triangle is filled, here and below.
        left = np.zeros((m, m))
        left[q:, q:] = np.tril(self.xx)
        right = np.concatenate([np.zeros(q), self.xy])
        for k in self.small:
            left[q:, :q] = ratio[k] * self.zx[k].T
            left[np.arange(q), np.arange(q)] = ratio[k] ** 2 * self.zz[k] + 1.0
            right[:q] = ratio[k] * self.zy[k]
        squared = np.zeros((m, m))
        _eliminate(
            self.crossed.indptr,
            self.crossed.indices,
            cross * self.crossed.data,
            border,
            inverse,
            left,
            squared,
        )
        right[:q] -= cross * (self.crossed.T @ (inverse * right_big))
        right[q:] -= border.T @ (inverse * right_big)
        # To LAPACK, which counts by columns, the lower triangle is the upper one of the transpose.
        factor, info = lapack.dpotrf(left.T, lower=0, overwrite_a=1, clean=0)
        if info:
            raise InputError(
                "events, sites and the fixed part cannot be told apart; does a column of the fixed part name "
                "events or sites?"
            )
        rest, _ = lapack.dpotrs(factor, right, lower=0)
        pivots = np.log(np.diag(factor))
        effect_big = inverse * (right_big - cross * (self.crossed @ rest[:q]) - border @ rest[q:])
        squares = self.yy - right_big @ effect_big - self.xy @ rest[q:]
        effects = [effect_big] * len(self.q)
        for k in self.small:
            squares -= ratio[k] * self.zy[k] @ rest[:q]
            effects[k] = rest[:q]
        freedom = self.n - self.p if self.reml else self.n
        variance = float(squares / freedom)
        if not variance > 0:
            raise InputError("nothing is left once events, sites and the fixed part are taken out")
        # The fixed part comes last, so the factor of the equations without it is the leading block.
        last = m if self.reml else q
        deviance = -np.log(inverse).sum() + 2 * pivots[:last].sum() - self.log_weights
        deviance += freedom * (1 + np.log(2 * np.pi * variance))
        covariance = np.zeros((m, m))
        if last:
            covariance[:last, :last] = lapack.dpotri(factor[:last, :last], lower=0)[0].T
        traces = np.full(len(self.q), inverse.sum() + _lower_dot(covariance, squared))
        for k in self.small:
            traces[k] = np.diag(covariance)[:q].sum()
        energy = np.array([u @ u for u in effects])
        gradient = 2 * (np.array(self.q) - traces) - 2 * energy / variance
        variances = []
        if spread:
            own = _quadratic(
                self.crossed.indptr, self.crossed.indices, cross * self.crossed.data, border, covariance
            )
            variances = [inverse + inverse**2 * own] * len(self.q)
            for k in self.small:
                variances[k] = np.diag(covariance)[:q].copy()
        return _Solution(float(deviance), gradient, variance, rest[q:], effects, variances)

    def standard_errors(self, log_ratio: Floats, at: _Solution) -> Floats:
        """Return standard errors of the logarithms of the standard deviations, the remaining one last.

        From the Hessian of the deviance not profiled over the scale, of which only the curvature between the
        ratios has to be differenced. A component at zero has none.
        """
        free = np.flatnonzero(np.isfinite(log_ratio))
        freedom = self.n - self.p if self.reml else self.n
        energy = np.array([u @ u for u in at.effects]) / at.variance
        k = len(free)
        hessian = np.zeros((k + 1, k + 1))
        hessian[k, k] = 4 * freedom
        hessian[k, :k] = hessian[:k, k] = 4 * energy[free]
        step = 0.02
        for i, j in enumerate(free):
            sides = []
            for sign in (1, -1):
                moved = log_ratio.copy()
                moved[j] += sign * step
                there = self.solve(np.exp(moved), spread=False)
                own = np.array([u @ u for u in there.effects])
                # The gradient at the scale of the solution, not at the one that would suit the moved ratios.
                sides.append((there.gradient + 2 * own * (1 / there.variance - 1 / at.variance))[free])
            hessian[i, :k] = (sides[0] - sides[1]) / (2 * step)
        covariance = np.linalg.pinv(0.25 * (hessian + hessian.T))
        # ln(tau) = ln(ratio) + ln(scale)
        to = np.eye(k + 1)
        to[:k, k] = 1.0
        errors = np.full(len(self.q) + 1, np.nan)
        errors[np.append(free, len(self.q))] = np.sqrt(np.diag(to @ covariance @ to.T))
        return errors


def _levels(given: NDArray[Any], n: int, name: str) -> tuple[NDArray[np.intp], NDArray[Any]]:
    code, label = pd.factorize(given, sort=True)
    if given.shape != (n,):
        raise InputError(f"{n} residuals but {name} labels of shape {given.shape}")
    if (code < 0).any():
        raise InputError(f"row {int((code < 0).argmax())} has no {name}; name it, or leave it out")
    if len(label) == n:
        raise InputError(f"no {name} has two records, so its term cannot be told from what remains")
    return code.astype(np.intp), np.asarray(label)


@numba.njit(cache=True)
def _eliminate(
    start: Any, column: Any, value: Any, border: Floats, inverse: Floats, left: Floats, squared: Floats
) -> None:
    """Take ``B' inverse B`` from ``left``, add ``B' inverse^2 B`` to ``squared``; lower triangles alone."""
    q, p = left.shape[0] - border.shape[1], border.shape[1]
    for i in range(len(start) - 1):
        once, twice = inverse[i], inverse[i] ** 2
        for a in range(start[i], start[i + 1]):
            row = column[a]
            for b in range(start[i], a + 1):
                product = value[a] * value[b]
                left[row, column[b]] -= once * product
                squared[row, column[b]] += twice * product
            for c in range(p):
                product = value[a] * border[i, c]
                left[q + c, row] -= once * product
                squared[q + c, row] += twice * product
        for c in range(p):
            for d in range(c + 1):
                product = border[i, c] * border[i, d]
                left[q + c, q + d] -= once * product
                squared[q + c, q + d] += twice * product


@numba.njit(cache=True)
def _quadratic(start: Any, column: Any, value: Any, border: Floats, matrix: Floats) -> Floats:
    """Return the diagonal of ``B matrix B'``, the matrix given by its lower triangle."""
    q, p = matrix.shape[0] - border.shape[1], border.shape[1]
    out = np.zeros(len(start) - 1)
    for i in range(len(start) - 1):
        total = 0.0
        for a in range(start[i], start[i + 1]):
            row = column[a]
            total += value[a] ** 2 * matrix[row, row]
            for b in range(start[i], a):
                total += 2 * value[a] * value[b] * matrix[row, column[b]]
            for c in range(p):
                total += 2 * value[a] * border[i, c] * matrix[q + c, row]
        for c in range(p):
            for d in range(p):
                total += border[i, c] * border[i, d] * matrix[q + max(c, d), q + min(c, d)]
        out[i] = total
    return out


@numba.njit(cache=True)
def _lower_dot(a: Floats, b: Floats) -> float:
    """Return the sum of products of two symmetric matrices given by their lower triangles."""
    total = 0.0
    for i in range(a.shape[0]):
        for j in range(i):
            total += 2 * a[i, j] * b[i, j]
        total += a[i, i] * b[i, i]
    return total
