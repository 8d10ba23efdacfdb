"""Where a fitted ETAS model fails in time: earthquakes against what is expected up to each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray
from scipy import stats

from kaname.discovery.seismicity.etas.likelihood import Likelihood
from kaname.discovery.seismicity.etas.parameters import EtasParameters
from kaname.discovery.seismicity.etas.simulation import Delays


@dataclass(frozen=True, eq=False)
class TransformedTimes:
    """Expected numbers of targets up to each target; a Poisson process of unit rate where the model holds.

    Parameters
    ----------
    value
        Transformed time of each target ``(n,)``, in order of time.
    total
        Expected number in the whole period.
    p_uniform
        Of the Kolmogorov-Smirnov test that they are spread evenly, given their number.
    p_exponential
        Of the same test that the intervals between them are exponential.
    """

    value: NDArray[np.float64]
    total: float
    p_uniform: float
    p_exponential: float


def transformed_times(likelihood: Likelihood, parameters: EtasParameters) -> TransformedTimes:
    """Return the residual process of Ogata (1988), doi:10.1080/01621459.1988.10478560, over the region."""
    p = parameters
    hidden = likelihood.hidden
    asked = np.append(likelihood.day[likelihood.target], likelihood.days)
    times = asked if hidden is None else np.unique(np.concatenate([asked, hidden.begin, hidden.end]))
    oldest = max(0.0, -float(likelihood.day.min()))
    delays = Delays(p, oldest + likelihood.days)
    weight = likelihood.productivity(p) * likelihood.space_integrals(p)
    begin = np.maximum(-likelihood.day, 0.0)
    grid_u, grid_sum = delays.grid
    triggered = _cumulative(
        times, likelihood.day, begin, weight, p.c, grid_u[0], grid_u[1] - grid_u[0], grid_sum
    )
    value = p.mu * times + np.asarray(triggered)
    if hidden is not None:
        # Of every step the share that is seen.
        seen = hidden.seen_at((times[1:] + times[:-1]) / 2)
        steps = np.append(value[0], np.diff(value)) * np.append(1.0, seen)
        value = np.cumsum(steps)[np.searchsorted(times, asked)]
    inner, total = value[:-1], float(value[-1])
    even = stats.kstest(inner / total, "uniform").pvalue
    steps = np.diff(np.concatenate([[0.0], inner]))
    return TransformedTimes(inner, total, float(even), float(stats.kstest(steps, "expon").pvalue))


@njit(error_model="numpy", parallel=True, cache=True)
def _cumulative(times, day, begin, weight, c, low, step, sums):  # type: ignore[no-untyped-def]
    out = np.zeros(len(times))
    for k in prange(len(times)):
        total = 0.0
        for i in range(len(day)):
            delay = times[k] - day[i]
            if delay <= begin[i]:
                continue
            total += weight[i] * (_at(delay, c, low, step, sums) - _at(begin[i], c, low, step, sums))
        out[k] = total
    return out


@njit(error_model="numpy", cache=True)
def _at(delay, c, low, step, sums):  # type: ignore[no-untyped-def]
    x = (np.log(delay + c) - low) / step
    k = min(int(x), len(sums) - 2)
    return sums[k] + (x - k) * (sums[k + 1] - sums[k])
