"""Gradient-boosted trees on the residual of a published model, as a full distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kaname.modeling.ground_motion.contract import model
from kaname.modeling.ground_motion.learned import COARSE, Floats, LearnedModel
from kaname.modeling.ground_motion.trees import Trees, boosting

_MANY = 20_000


@model("boosted")
class Boosted(LearnedModel):
    """What a published model leaves, learned by boosting (Friedman 2001, DOI 10.1214/aos/1013203451).

    Trend, spread and law are learned, event and site are crossed random effects, all by folds of whole
    events. The trend is shrunk by the share of it that held on unseen events, down to nothing; outside the
    data mean and standard deviations pass over to the published model's.

    Parameters
    ----------
    base, base_options
        Published model (a name of `kaname.modeling.ground_motion.names`) and its options.
    features
        Of `kaname.modeling.ground_motion.features.FEATURES`.
    n_fold
        Folds of events.
    seed
        Of folds and draws.
    """

    name = "boosted"

    def __init__(
        self,
        *,
        base: str = "boore_2014",
        base_options: dict[str, Any] | None = None,
        features: Sequence[str] = ("magnitude", "distance", "depth", "vs30", "azimuth"),
        n_fold: int = 5,
        seed: int = 0,
    ) -> None:
        super().__init__(base=base, base_options=base_options, features=features, n_fold=n_fold, seed=seed)

    def _learn(
        self, x: Floats, target: Floats, weight: Floats | None, event: NDArray[Any], fold: NDArray[np.intp]
    ) -> tuple[Floats, Trees]:
        def grown(mine: NDArray[np.bool_]) -> Trees:
            if weight is None:
                return Trees.of_boosting(boosting(self.seed).fit(x[mine], target[mine]))
            # Quantiles of very many weighted records take long to find; so coarse a tree needs few.
            n_bin = 255 if len(x) <= _MANY else 32
            coarse = boosting(self.seed, n_leaf=4, n_row=max(int(COARSE * len(x)), 1), n_bin=n_bin)
            return Trees.of_boosting(coarse.fit(x[mine], target[mine], sample_weight=weight[mine]))

        unseen = np.zeros(len(x))
        for k in range(int(fold.max()) + 1):
            unseen[fold == k] = grown(fold != k).predict(x[fold == k])
        return unseen, grown(np.ones(len(x), bool))
