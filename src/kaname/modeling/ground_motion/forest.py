"""Random forest with event and site effects after Trugman and Shearer (2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kaname.core.errors import InputError
from kaname.modeling.ground_motion.contract import model
from kaname.modeling.ground_motion.learned import COARSE, Floats, LearnedModel
from kaname.modeling.ground_motion.trees import Trees


@model("forest")
class Forest(LearnedModel):
    """Random forest with crossed event and site effects (Trugman & Shearer 2018, DOI 10.1785/0120170245).

    Forest and effects are fitted in turn. Each tree draws whole events, not records, so that what is out of
    its bag is of events it has not seen: out-of-bag residuals of single records know their event by its
    magnitude and depth, and in-bag ones understate the scatter by a quarter. With a column
    ``stress_drop_mpa`` and the feature ``stress_drop`` it sees how energetic an earthquake was.

    Parameters
    ----------
    base, base_options
        Published model whose residual is learned, and its options. ``None`` learns the measure itself, as in
        the paper: then nothing holds outside the data, such as at the largest earthquake of a sequence, and
        `domain_weight` is all there is to tell.
    features
        Of `kaname.modeling.ground_motion.features.FEATURES`.
    n_tree, n_leaf, max_rows
        Number of trees, fewest records in a leaf, most records that a tree is grown from.
    n_fold, seed
        Folds of events for spread and law; of folds and draws.
    """

    name = "forest"

    def __init__(
        self,
        *,
        base: str | None = "boore_2014",
        base_options: dict[str, Any] | None = None,
        features: Sequence[str] = ("magnitude", "distance", "depth", "vs30"),
        n_tree: int = 80,
        n_leaf: int = 10,
        max_rows: int = 3000,
        n_fold: int = 5,
        seed: int = 0,
    ) -> None:
        super().__init__(base=base, base_options=base_options, features=features, n_fold=n_fold, seed=seed)
        if min(n_tree, n_leaf, max_rows) < 1:
            raise InputError("trees, records in a leaf and records of a tree must be positive")
        self.n_tree = n_tree
        self.n_leaf = n_leaf
        self.max_rows = max_rows

    def _learn(
        self, x: Floats, target: Floats, weight: Floats | None, event: NDArray[Any], fold: NDArray[np.intp]
    ) -> tuple[Floats, Trees]:
        from sklearn.tree import DecisionTreeRegressor

        rng = np.random.default_rng(self.seed)
        names, which = np.unique(event, return_inverse=True)
        total, seen = np.zeros(len(x)), np.zeros(len(x))
        trees = []
        for _ in range(self.n_tree):
            drawn = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))[which]
            rows = np.flatnonzero(drawn)
            if len(rows) > self.max_rows:
                rows = rng.choice(rows, self.max_rows, replace=False)
            weights = drawn if weight is None else drawn * weight
            n_leaf = self.n_leaf if weight is None else max(int(COARSE * len(rows)), 1)
            tree = DecisionTreeRegressor(
                min_samples_leaf=n_leaf, max_features=0.7, random_state=int(rng.integers(2**31))
            ).fit(x[rows], target[rows], sample_weight=weights[rows])
            out = np.flatnonzero(drawn == 0)
            total[out] += tree.predict(x[out])
            seen[out] += 1
            trees.append(tree)
        if not seen.all():
            raise InputError(
                f"{int((seen == 0).sum())} records are in the bag of all {self.n_tree} trees; grow more"
            )
        return total / seen, Trees.of_forest(trees)
