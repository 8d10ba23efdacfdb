"""Ensembles of regression trees as plain arrays: saved without pickles, used without what grew them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.tree import DecisionTreeRegressor

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Trees:
    """A weighted sum of regression trees; a row goes left where its feature is no more than the threshold."""

    feature: NDArray[np.int32]
    """Of each node; -1 at a leaf."""
    threshold: Floats
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: Floats
    """At a leaf, the weight of the tree included."""
    root: NDArray[np.int32]
    """First node of each tree."""
    start: Floats
    """What the trees are added to, shape (1,)."""

    @classmethod
    def of_forest(cls, trees: Sequence[DecisionTreeRegressor]) -> Trees:
        """Return the mean of trees as scikit-learn grows them."""
        parts = [
            (
                np.where(t.tree_.children_left < 0, -1, t.tree_.feature),
                t.tree_.threshold,
                t.tree_.children_left,
                t.tree_.children_right,
                t.tree_.value[:, 0, 0] / len(trees),
            )
            for t in trees
        ]
        return cls._joined(parts, 0.0)

    @classmethod
    def of_boosting(cls, model: HistGradientBoostingRegressor) -> Trees:
        """Return a boosted model before its link (of a gamma loss, the logarithm)."""
        parts = []
        for (tree,) in model._predictors:
            nodes = tree.nodes
            leaf = nodes["is_leaf"].astype(bool)
            feature = np.where(leaf, -1, nodes["feature_idx"].astype(np.int64))
            threshold = np.where(leaf, 0.0, nodes["num_threshold"])
            parts.append((feature, threshold, nodes["left"], nodes["right"], nodes["value"]))
        return cls._joined(parts, float(np.ravel(model._baseline_prediction)[0]))

    @classmethod
    def _joined(cls, parts: Sequence[tuple[Any, ...]], start: float) -> Trees:
        root = np.concatenate([[0], np.cumsum([len(p[0]) for p in parts])[:-1]]).astype(np.int32)
        columns = [np.concatenate([part[k] for part in parts]) for k in range(5)]
        for k in (2, 3):
            columns[k] = np.concatenate(
                [np.asarray(p[k], np.int64) + r for p, r in zip(parts, root, strict=True)]
            )
        types = (np.int32, np.float64, np.int32, np.int32, np.float64)
        names = ("feature", "threshold", "left", "right", "value")
        arrays = {n: c.astype(t) for n, c, t in zip(names, columns, types, strict=True)}
        return cls(**arrays, root=root, start=np.array([start]))

    @classmethod
    def added(cls, ensembles: Sequence[Trees], weights: Floats) -> Trees:
        """Return the weighted sum of ensembles."""
        shift = np.concatenate([[0], np.cumsum([len(e.feature) for e in ensembles])])
        pairs = list(zip(ensembles, weights, strict=True))
        return cls(
            feature=np.concatenate([e.feature for e in ensembles]),
            threshold=np.concatenate([e.threshold for e in ensembles]),
            left=np.concatenate([e.left + s for e, s in zip(ensembles, shift, strict=False)]).astype(
                np.int32
            ),
            right=np.concatenate([e.right + s for e, s in zip(ensembles, shift, strict=False)]).astype(
                np.int32
            ),
            value=np.concatenate([w * e.value for e, w in pairs]),
            root=np.concatenate([e.root + s for e, s in zip(ensembles, shift, strict=False)]).astype(
                np.int32
            ),
            start=sum((w * e.start for e, w in pairs), np.zeros(1)),
        )

    def predict(self, features: Floats) -> Floats:
        """Return the sum at each row, shape (n,); features have shape (n, p)."""
        rows = np.ascontiguousarray(features, float)
        return _walk(
            rows, self.feature, self.threshold, self.left, self.right, self.value, self.root, self.start[0]
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what `Trees` is made of, by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


@numba.njit(cache=True)
def _walk(
    rows: Floats, feature: Any, threshold: Any, left: Any, right: Any, value: Any, root: Any, start: float
) -> Floats:
    out = np.full(len(rows), start)
    for i in range(len(rows)):
        for first in root:
            node = first
            while feature[node] >= 0:
                node = left[node] if rows[i, feature[node]] <= threshold[node] else right[node]
            out[i] += value[node]
    return out


def boosting(
    seed: int,
    *,
    loss: str = "squared_error",
    n_tree: int = 100,
    n_leaf: int = 10,
    n_row: int = 100,
    n_bin: int = 255,
) -> HistGradientBoostingRegressor:
    """Return a boosted model, not yet fitted, of small steps and leaves of ``n_row`` rows or more."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(
        loss=loss,
        learning_rate=0.05,
        max_iter=n_tree,
        max_leaf_nodes=n_leaf,
        min_samples_leaf=n_row,
        max_bins=n_bin,
        l2_regularization=10.0,
        early_stopping=False,
        random_state=seed,
    )
