"""How far records scatter about a trend: more here than there, and by a Student law."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import t as student

from kaname.modeling.ground_motion.mixed_effects import MixedEffects
from kaname.modeling.ground_motion.trees import Trees, boosting

Floats = NDArray[np.float64]

_BLENDS = np.linspace(0.0, 1.0, 11)
_FREEDOM = (3.0, 200.0)


def spread_of(x: Floats, within: Floats, fold: NDArray[np.intp], seed: int) -> tuple[Trees, float, Floats]:
    """Learn where the scatter is larger; keep as much of it as raises the likelihood of unseen events."""
    square = np.maximum(within**2, 1e-8 * within.var())
    square /= square.mean()

    def learned(mine: NDArray[np.bool_]) -> Trees:
        return Trees.of_boosting(boosting(seed, loss="gamma", n_tree=40, n_leaf=6).fit(x[mine], square[mine]))

    unseen = np.zeros(len(x))
    for k in range(int(fold.max()) + 1):
        unseen[fold == k] = learned(fold != k).predict(x[fold == k])
    # The normal likelihood of each blend, at the mean variance that suits it best.
    costs = [np.log(np.mean(square / np.exp(b * unseen))) + b * unseen.mean() for b in _BLENDS]
    blend = float(_BLENDS[int(np.argmin(costs))])
    return learned(np.ones(len(x), bool)), blend, np.exp(0.5 * blend * unseen)


def law_of(
    rest: Floats,
    event: NDArray[Any],
    site: NDArray[Any],
    fold: NDArray[np.intp],
    scale: Floats,
    event_scale: Floats,
) -> tuple[float, float]:
    """Return inflation and freedom of the Student law of events predicted without their own records."""
    z = np.zeros(len(rest))
    for k in range(int(fold.max()) + 1):
        mine, other = fold == k, fold != k
        effects = MixedEffects().fit(
            rest[other], event[other], site[other], scale=scale[other], event_scale=event_scale[other]
        )
        # No label of a held-out event is among the fitted ones: its term is 0, its variance tau squared.
        mean, sigma = effects.predict(event[mine], site[mine])
        variance = sigma**2 + effects.phi_ss_**2 * (scale[mine] ** 2 - 1.0)
        variance += effects.tau_**2 * (event_scale[mine] ** 2 - 1.0)
        z[mine] = (rest[mine] - mean) / np.sqrt(variance)

    def cost(parameters: Floats) -> float:
        freedom = float(np.exp(parameters[1]))
        spread = np.exp(parameters[0]) * unit_scale(freedom)
        return float(np.log(spread) - student.logpdf(z / spread, freedom).mean())

    bounds = [(-2.0, 2.0), tuple(np.log(_FREEDOM))]
    found = minimize(cost, [0.0, np.log(10.0)], method="L-BFGS-B", bounds=bounds)
    return float(np.exp(found.x[0])), float(np.exp(found.x[1]))


def unit_scale(freedom: float) -> float:
    """Scale of the Student law whose standard deviation is 1."""
    return float(np.sqrt((freedom - 2.0) / freedom))
