"""How much earthquakes of one magnitude differ: a between-event deviation that depends on magnitude."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar

from kaname.core.errors import InputError
from kaname.modeling.ground_motion.mixed_effects import MixedEffects

Floats = NDArray[np.float64]

_STEEPEST = 1.5
_EXPECTED = 0.5
"""Standard deviation of the slope before anything is seen; published models lie between 0 and -0.4."""
_FEWEST = 10


@dataclass(frozen=True)
class BetweenEvents:
    r"""The factor :math:`e^{b (M - M_0)}` of the standard deviation between events, 1 for magnitude `center`.

    Beyond `low` and `high`, between which nine in ten events of the fit lie, it stays what it is there.
    """

    slope: float = 0.0
    center: float = 0.0
    low: float = 0.0
    high: float = 0.0

    def __call__(self, magnitude: ArrayLike) -> Floats:
        """Return the factor at magnitudes, shape (n,)."""
        within = np.clip(np.asarray(magnitude, float), self.low, self.high)
        return np.asarray(np.exp(self.slope * (within - self.center)))

    @classmethod
    def fit(
        cls,
        residual: ArrayLike,
        event: ArrayLike,
        site: ArrayLike,
        magnitude: ArrayLike,
        *,
        scale: ArrayLike | None = None,
    ) -> BetweenEvents:
        """Find the slope by the restricted likelihood of `MixedEffects`, with a prior that it is 0 +- 0.5.

        Parameters
        ----------
        residual, event, site, scale
            As `MixedEffects.fit`.
        magnitude
            Of the event of each record, shape (n,).

        Raises
        ------
        InputError
            When a magnitude is missing or differs within an event, and as `MixedEffects.fit`. With fewer than
            ten events the factor is 1.
        """
        labels, m = np.asarray(event), np.asarray(magnitude, float)
        if m.shape != labels.shape or not np.isfinite(m).all():
            raise InputError("a magnitude is missing; give one for every record")
        _, first = np.unique(labels, return_index=True)
        own: NDArray[Any] = m[first]
        low, high = np.quantile(own, [0.05, 0.95])
        flat = cls(0.0, float(own.mean()), float(low), float(high))
        if len(own) < _FEWEST or not high > low:
            return flat

        def at(slope: float) -> BetweenEvents:
            return cls(slope, flat.center, flat.low, flat.high)

        def cost(slope: float) -> float:
            found = MixedEffects().fit(residual, event, site, scale=scale, event_scale=at(slope)(m))
            return -found.log_likelihood_ + 0.5 * (slope / _EXPECTED) ** 2

        best = minimize_scalar(
            cost, bounds=(-_STEEPEST, _STEEPEST), method="bounded", options={"xatol": 0.01}
        )
        return at(float(best.x))
