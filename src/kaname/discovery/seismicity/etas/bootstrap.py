"""What a fit leaves open when its background was itself estimated: a parametric bootstrap of the whole fit.

The covariance of `kaname.discovery.seismicity.etas.fitting` takes the density of the background as known.
Here the fitted model simulates the targets anew, many times; each catalogue is fitted with the same settings,
its background found anew; and how far the refits scatter, and how far their mean misses what they were made
from, is what the fit itself is held to do about the truth: measured, as some refits are surer than others, by
the covariance that each states, and put back into that of the fit (bootstrap-t; Efron & Tibshirani 1993,
doi:10.1007/978-1-4899-4541-9; for ETAS Dutilleul, Genest & Peng 2024,
doi:10.1093/gji/ggae003).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from kaname.core.errors import InputError
from kaname.discovery.seismicity.contract import Target
from kaname.discovery.seismicity.etas.fitting import HIGH, LOW, OMEGA_MIN, Maximum
from kaname.discovery.seismicity.etas.model import Etas
from kaname.discovery.seismicity.etas.parameters import LOGARITHMIC, NAMES, EtasParameters, by_name
from kaname.discovery.seismicity.etas.simulation import resimulate
from kaname.discovery.seismicity.gutenberg_richter import GutenbergRichter

log = logging.getLogger("kaname.etas")

LEAST = 10
"""Refits without which no spread is stated."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """Refits of catalogues that a fitted model made.

    Intervals are of the normal distribution about the fit less its bias; as spread and bias are found from
    few refits they are as much wider as Student's t (for all parameters at once Hotelling's T²) asks for.

    Parameters
    ----------
    fitted
        `EtasParameters.vector` of the fit ``(9,)``.
    refitted
        That of each refit ``(n, 9)``; rows of refits that failed are NaN.
    error
        How far each missed ``fitted`` ``(n, 9)``: L M^-1 (refitted - fitted), where L and M are the Cholesky
        factors of the covariances of the fit and of the refit. NaN where it failed.
    at_bound
        Which parameters of a refit ended at the bounds of the search ``(n, 9)``.

    Raises
    ------
    InputError
        When fewer than `LEAST` refits succeeded.
    """

    fitted: Floats
    refitted: Floats
    error: Floats
    at_bound: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if self.n < LEAST:
            raise InputError(
                f"{self.n} of {len(self.refitted)} refits succeeded, at least {LEAST} are needed: ask for "
                "more, or take fewer parameters or more earthquakes"
            )

    @property
    def n(self) -> int:
        """Number of refits that succeeded."""
        return len(self._found)

    @property
    def failed(self) -> int:
        """Number of refits that did not."""
        return len(self.error) - self.n

    @property
    def free(self) -> NDArray[np.bool_]:
        """Which parameters were fitted ``(9,)``."""
        return np.asarray(np.ptp(self._found, axis=0) > 0)

    @property
    def bias(self) -> Floats:
        """How far the refits miss, in the mean, what they were made from ``(9,)``."""
        return np.asarray(self._found.mean(axis=0))

    @property
    def covariance(self) -> Floats:
        """Of the errors, by `EtasParameters.vector` ``(9, 9)``; of what is fixed, zero."""
        return np.asarray(np.cov(self._found, rowvar=False))

    @property
    def standard_error(self) -> Floats:
        """By `EtasParameters.vector` ``(9,)``; of what is fixed, zero."""
        return np.asarray(np.sqrt(np.diag(self.covariance)))

    def interval(self, name: str, level: float = 0.95) -> tuple[float, float]:
        """Return an interval of one parameter, scales as such, within the bounds of the search."""
        if name not in NAMES:
            raise InputError(f"no ETAS parameter {name!r}; known are {', '.join(NAMES)}")
        k = NAMES.index(name)
        if not self.free[k]:
            value = getattr(EtasParameters.from_vector(self.fitted), name)
            return value, value
        half = stats.t.ppf(0.5 + level / 2, self.n - 1) * np.sqrt(1 + 1 / self.n) * self.standard_error[k]
        ends = self.fitted[k] - self.bias[k] + np.array([-half, half])
        endless = name == "omega" and np.isinf(self.fitted[NAMES.index("tau")])
        least = OMEGA_MIN if endless else LOW.get(name, -np.inf)
        ends = np.clip(ends, least, HIGH.get(name, np.inf))
        low, high = np.exp(ends) if name in LOGARITHMIC else ends
        return float(low), float(high)

    def level(self, parameters: EtasParameters) -> float:
        """Return the level of the ellipsoid of all free parameters on which these lie, 0 to 1.

        Raises
        ------
        InputError
            When there are no more refits than free parameters.
        """
        free, n = self.free, self.n
        p = int(free.sum())
        if n <= p:
            raise InputError(f"an ellipsoid of {p} parameters needs more than {p} refits, found {n}")
        away = (self.fitted - self.bias)[free] - parameters.vector()[free]
        squared = away @ np.linalg.solve(self.covariance[np.ix_(free, free)], away) / (1 + 1 / n)
        return float(stats.f.cdf(squared * (n - p) / (p * (n - 1)), p, n - p))

    def sample(self, n: int, rng: np.random.Generator) -> Floats:
        """Return ``n`` vectors of parameters that the data leave possible; some may be impossible."""
        free = self.free
        out = np.tile(self.fitted, (n, 1))
        spread = self.covariance[np.ix_(free, free)] * (1 + 1 / self.n)
        where = (self.fitted - self.bias)[free]
        drawn = stats.multivariate_t(where, spread, df=self.n - 1, allow_singular=True, seed=rng).rvs(n)
        out[:, free] = np.reshape(drawn, (n, int(free.sum())))
        return out

    def summary(self, level: float = 0.95) -> dict[str, dict[str, Any]]:
        """Return of each free parameter value, bias, standard error, interval, and refits at a bound.

        Bias and error of a scale are those of its logarithm times its value.
        """
        bias, error, fitted = self.bias, self.standard_error, EtasParameters.from_vector(self.fitted)
        out = {}
        for k in np.flatnonzero(self.free):
            name = NAMES[k]
            value = getattr(fitted, name)
            scale = value if name in LOGARITHMIC else 1.0
            out[name] = {
                "value": value,
                "bias": float(bias[k] * scale),
                "standard_error": float(error[k] * scale),
                f"interval_{100 * level:g}": list(self.interval(name, level)),
                "at_bound": int(self.at_bound[:, k].sum()),
            }
        return out

    def table(self) -> pd.DataFrame:
        """Return the refits, scales as such, their errors, and which ended at a bound: a row each."""
        error = {f"{name}_error": self.error[:, k] for k, name in enumerate(NAMES)}
        bound = {f"{name}_at_bound": self.at_bound[:, k] for k, name in enumerate(NAMES)}
        return pd.DataFrame({**by_name(self.refitted), **error, **bound})

    @classmethod
    def of(cls, fitted: EtasParameters, table: pd.DataFrame) -> Bootstrap:
        """Return what `table` wrote of the refits of a fit."""
        values = {name: table[name].to_numpy(float) for name in NAMES}
        vectors = np.column_stack([np.log(v) if n in LOGARITHMIC else v for n, v in values.items()])
        error = np.column_stack([table[f"{name}_error"].to_numpy(float) for name in NAMES])
        bound = np.column_stack([table[f"{name}_at_bound"].to_numpy(bool) for name in NAMES])
        return cls(fitted.vector(), vectors, error, bound)

    @property
    def _found(self) -> Floats:
        return self.error[~np.isnan(self.error).any(axis=1)]


def bootstrap(
    model: Etas,
    catalogue: pd.DataFrame,
    target: Target,
    *,
    n: int = 40,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Bootstrap:
    """Simulate the targets of a fitted model anew (`resimulate`) and fit each catalogue as the model was.

    Refits start from the fitted parameters. What is no target stays as observed, and so does the law of the
    completeness where it changes.

    Parameters
    ----------
    model, catalogue, target
        A fitted model, and what it was fitted to.
    n, seed
        Number of refits, and the seed. The first refits of more are the same.
    progress
        Called with the refits done and to do.

    Raises
    ------
    InputError
        When the model was not fitted here, or fewer than `LEAST` refits are asked for or succeed.
    """
    if not hasattr(model, "training_"):
        raise InputError("a bootstrap repeats a fit, and this model was read or given: fit it here")
    if n < LEAST:
        raise InputError(f"at least {LEAST} refits are needed, found {n}")
    law = GutenbergRichter(model.b_, target.magnitude_min, model.magnitude_max)
    refit = copy(model)
    refit.first, refit.progress = model.parameters_, None
    vectors, errors = np.full((2, n, len(NAMES)), np.nan)
    bound = np.zeros((n, len(NAMES)), bool)
    for k in range(n):
        try:
            made = resimulate(
                model.parameters_, model.background_, law, catalogue, target, reference=model.reference_,
                seed=[seed, k],
            )  # fmt: skip
            refit.fit(made, target)
            errors[k] = error_of(refit.maximum_, model.maximum_)
        except (InputError, np.linalg.LinAlgError) as error:
            log.warning("refit %d of %d failed: %s", k + 1, n, error)
        else:
            vectors[k] = refit.parameters_.vector()
            bound[k] = (np.diag(model.maximum_.covariance) > 0) & (np.diag(refit.maximum_.covariance) == 0)
        if progress is not None:
            progress(k + 1, n)
    return Bootstrap(model.parameters_.vector(), vectors, errors, bound)


def error_of(refit: Maximum, fit: Maximum) -> Floats:
    """Return how far a refit missed the fit (`Bootstrap.error`); what either found at a bound, as it is."""
    a, b = refit.parameters.vector(), fit.parameters.vector()
    # A tau without end is the same in both.
    error = np.subtract(a, b, out=np.zeros(len(a)), where=a != b)
    inner = (np.diag(refit.covariance) > 0) & (np.diag(fit.covariance) > 0)
    own, wanted = (np.linalg.cholesky(m.covariance[np.ix_(inner, inner)]) for m in (refit, fit))
    error[inner] = wanted @ np.linalg.solve(own, error[inner])
    return error
