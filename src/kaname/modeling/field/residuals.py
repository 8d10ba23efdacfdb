"""What recordings of an earthquake say beyond a model of ground motion, learned from many earthquakes.

The residual of a model (published or learned) is a Gaussian field within each earthquake: an offset, a trend
with distance, long and short fields in space, the site's Vs30 (as a number, and as the class it was read
from), and, where other earthquakes were recorded at the place, what was left over there then. Amplitudes and
lengths are shared by all earthquakes and found by marginal likelihood; the noise may differ between them.
Records far off their neighbours count less (Student's t). Trees, fitted beside it, are mixed in by the weight
that blocks left out ask for; the scale of each earthquake and the law of the residuals come from these too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from kaname.core.errors import InputError
from kaname.core.geo import on_sphere
from kaname.evaluate.splits import blocks, folds
from kaname.modeling.field.kernel import Event, Kernel, Part, Solved
from kaname.modeling.field.margins import Law, Margin, Normal, choose, fit
from kaname.modeling.ground_motion.contract import Prediction, needed

Floats = NDArray[np.float64]

NEEDS = ("event_id", "latitude", "longitude", "rrup_km", "vs30_m_s")
_PARTS = (
    Part("event", "place", "constant", 0.4),
    Part("short", "place", "exponential", 0.4, 12.0),
    Part("long", "place", "matern", 0.7, 200.0),
    Part("distance", "distance", "gaussian", 0.5, 0.7),
    Part("vs30", "vs30", "gaussian", 0.2, 0.7),
    Part("vs30 class", "vs30", "equal", 0.2),
)
_SITE = Part("site", "site", "linear", 0.5)
_NEAR_KM = 10.0
"""Distances below this are one: the residual has no trend inside the source."""
_SITE_KM = 1.0
_SITE_REACH_KM = 3.0
_SITE_SHRINK = 0.7
_LARGEST = 1.5
"""A residual passed on to other earthquakes counts at most so much (natural logarithm)."""
_ENOUGH = 100


@dataclass(frozen=True)
class FieldPrediction:
    """The distribution of one measure at records: the law `margin` about `mean`, stretched by `scale`."""

    mean: Floats
    """Natural logarithm of the centre, in the unit of the measure, shape (n,)."""
    scale: Floats
    """What standardised residuals are multiplied by, shape (n,)."""
    margin: Margin

    def quantiles(self, probabilities: ArrayLike) -> Floats:
        """Return quantiles of the natural logarithm, shape (n, k), for probabilities (k,)."""
        z = self.margin.quantile(np.asarray(probabilities, float))
        return self.mean[:, None] + self.scale[:, None] * z

    def cdf(self, value: ArrayLike) -> Floats:
        """Return the probability of at most a natural logarithm of the measure, shape (n,)."""
        return self.margin.cdf((np.asarray(value) - self.mean) / self.scale)

    def exceedance(self, level: float) -> Floats:
        """Return the probability of exceeding a level in the unit of the measure, shape (n,)."""
        if not level > 0:
            raise InputError(f"a level of shaking is positive, found {level}")
        return 1.0 - self.cdf(np.log(level))


class ResidualField:
    """Shaking between stations: a model's prediction, corrected by what was recorded.

    Parameters
    ----------
    freedom
        Degrees of freedom of the t that records are weighed by; 0: all count the same.
    trees
        Whether boosted and randomised trees are mixed in.
    law
        Law of standardised residuals, or ``choose``: by held-out score.
    block_degree
        Side of the blocks that are left out to calibrate [degrees].
    n_fit
        At most so many records of each earthquake are used to find amplitudes and lengths.
    seed
        Of that draw, the folds and the trees.

    Attributes
    ----------
    kernel_
        `kernel.Kernel` with what was found.
    margin_
        Law of the standardised residuals.
    held_out_
        Standardised residuals of the records, each predicted without its block.
    scores_
        Held-out CRPS of each law.
    tree_weight_
        Share of the trees in the mean, by whether other earthquakes were recorded at the place.
    stretch_
        Factor on the standard deviation, by event (None: an event without records) and the same.
    """

    def __init__(
        self,
        *,
        freedom: float = 6.0,
        trees: bool = True,
        law: Law | str = "choose",
        block_degree: float = 0.5,
        n_fit: int = 400,
        seed: int = 0,
    ) -> None:
        self.freedom = freedom
        self.trees = trees
        self.law = law
        self.block_degree = block_degree
        self.n_fit = n_fit
        self.seed = seed

    def fit(self, table: pd.DataFrame, value: ArrayLike, prior: Prediction) -> ResidualField:
        """Learn from records.

        Parameters
        ----------
        table
            Rows of `kaname.core.shaking.GROUND_MOTIONS`, a place once per event; `NEEDS` without missing
            values, and ``magnitude`` and ``event_depth_km`` where trees are mixed in.
        value
            Natural logarithm of the recorded measure, shape (n,).
        prior
            What a model of ground motion predicts for the rows.

        Raises
        ------
        InputError
            When a column or a value is missing, or there are fewer than ten records.
        """
        y = np.asarray(value, float)
        if y.shape != (len(table),) or not np.isfinite(y).all() or len(y) < 10:
            raise InputError(f"ten or more records with finite values expected, found {y.shape}")
        features = self._features(table)
        names = features.pop("event_id")
        residual = y - prior.mean
        self.block_ = blocks(table["latitude"], table["longitude"], size_degree=self.block_degree)
        self.names_, self.residual_, self.places_ = names, residual, features["place"]
        rows = {name: np.flatnonzero(names == name) for name in np.unique(names)}
        rng = np.random.default_rng(self.seed)
        events = {k: Event({f: v[at] for f, v in features.items()}, residual[at]) for k, at in rows.items()}
        kernel = Kernel(_PARTS)
        kernel.fit({k: e.some(self.n_fit, rng) for k, e in events.items()}, n_iteration=20)
        self.site_ = np.zeros(len(y))
        if len(rows) > 1:
            for k, at in rows.items():
                solved = Solved.of(kernel, k, events[k], freedom=self.freedom)
                self.site_[at] = np.clip(solved.alpha / np.diag(solved.inverse), -_LARGEST, _LARGEST)
            passed = self._site(features["place"], names)
            for k, at in rows.items():
                events[k].features["site"] = passed[at]
            kernel = kernel.with_part(_SITE)
            kernel.fit({k: e.some(self.n_fit, rng) for k, e in events.items()}, n_iteration=15)
        self.kernel_ = kernel
        self.solved_ = {k: Solved.of(kernel, k, e, freedom=self.freedom) for k, e in events.items()}
        self._calibrate(table, rows, prior)
        return self

    def predict(self, table: pd.DataFrame, prior: Prediction) -> FieldPrediction:
        """Return the distribution at places, given the records of the fit; arguments as in `fit`.

        An event without any record in the fit gets the model's mean, what its sites recorded in other
        events, and the variance of all parts.
        """
        features = self._features(table)
        names = features.pop("event_id")
        if "site" in {part.name for part in self.kernel_.parts}:
            features["site"] = self._site(features["place"], names)
        mean, variance, stretch = (np.zeros(len(table)) for _ in range(3))
        informed = features["site"] != 0 if "site" in features else np.zeros(len(table), bool)
        for name in np.unique(names):
            at = np.flatnonzero(names == name)
            own = {k: v[at] for k, v in features.items()}
            solved = self.solved_.get(name) or Solved.empty(self.kernel_, own)
            mean[at], variance[at] = solved.predict(own)
            for knows in (False, True):
                factor = self.stretch_.get((name, knows), self.stretch_[None, knows])
                stretch[at[informed[at] == knows]] = factor
        if max(self.tree_weight_.values()) > 0:
            guess = self._grow(np.arange(len(self.residual_)))(_tree_features(table, prior))
            weight = np.where(informed, self.tree_weight_[True], self.tree_weight_[False])
            weight *= np.isin(names, list(self.solved_))
            mean += weight * (guess - mean)
        return FieldPrediction(prior.mean + mean, np.sqrt(variance) * stretch, self.margin_)

    def covariance(self, table: pd.DataFrame, prior: Prediction) -> Floats:
        """Return the covariance of the natural logarithm at places of one event, shape (n, n).

        Standard deviations are those of `predict` before the law; what hangs together is the Gaussian field.
        """
        features = self._features(table)
        names = features.pop("event_id")
        if len(np.unique(names)) != 1 or names[0] not in self.solved_:
            raise InputError("a covariance is of one event that was recorded; give rows of that event only")
        if "site" in {part.name for part in self.kernel_.parts}:
            features["site"] = self._site(features["place"], names)
        matrix = self.solved_[names[0]].covariance(features)
        spread = self.predict(table, prior).scale / np.sqrt(np.diag(matrix))
        return matrix * spread[:, None] * spread

    def _features(self, table: pd.DataFrame) -> dict[str, Any]:
        columns = needed(table, NEEDS, "the residual field")
        if (columns["vs30_m_s"] <= 0).any():
            raise InputError("vs30_m_s must be positive")
        return {
            "event_id": columns["event_id"],
            "place": np.column_stack([columns["latitude"], columns["longitude"]]),
            "distance": np.log(np.hypot(columns["rrup_km"], _NEAR_KM)),
            "vs30": np.log(columns["vs30_m_s"]),
        }

    def _site(self, place: Floats, names: NDArray[Any]) -> Floats:
        """Return what other events left over at places: 0 where there was none, shrunk where few."""
        from scipy.spatial import cKDTree

        out = np.zeros(len(place))
        known = on_sphere(*self.places_.T).T
        for name in np.unique(names):
            other, at = np.flatnonzero(self.names_ != name), np.flatnonzero(names == name)
            if not len(other):
                continue
            pairs = cKDTree(on_sphere(*place[at].T).T).sparse_distance_matrix(
                cKDTree(known[other]), _SITE_REACH_KM, output_type="ndarray"
            )
            weight = np.exp(-0.5 * (pairs["v"] / _SITE_KM) ** 2)
            total = np.bincount(pairs["i"], weight, len(at))
            value = np.bincount(pairs["i"], weight * self.site_[other[pairs["j"]]], len(at))
            out[at] = value / (total + _SITE_SHRINK)
        return out

    def _calibrate(self, table: pd.DataFrame, rows: dict[Any, NDArray[np.intp]], prior: Prediction) -> None:
        """Weigh the trees, stretch the scales and choose the law, by blocks that were left out.

        Places where other earthquakes were recorded are surer than those where none was, and have weight and
        stretch of their own; the latter are seen in all records, with that knowledge taken away.
        """
        n = len(table)
        mean, variance, known = np.zeros(n), np.zeros(n), np.zeros(n)
        for k, at in rows.items():
            mean[at], variance[at] = self.solved_[k].left_out(self.block_[at])
            known[at] = self.solved_[k].share_of("site")
        guess = None
        if self.trees and n >= _ENOUGH and len(np.unique(self.block_)) >= 10:
            self.tree_input_ = _tree_features(table, prior)
            guess, fold = np.zeros(n), folds(self.block_, n_fold=4, seed=self.seed)
            for i in range(4):
                guess[fold == i] = self._grow(np.flatnonzero(fold != i))(self.tree_input_[fold == i])
        self.tree_weight_: dict[bool, float] = {}
        self.stretch_: dict[tuple[Any, bool], float] = {}
        self.held_out_ = np.zeros(n)
        for informed in (False, True):
            use = known != 0 if informed else np.ones(n, bool)
            center = mean if informed else mean - known
            weight = 0.0
            if guess is not None and use.sum() >= _ENOUGH:
                # Least squares of the residual on the difference of the two means, outliers cut.
                apart, off = (guess - center)[use], np.clip(self.residual_ - center, -_LARGEST, _LARGEST)[use]
                weight = float(np.clip((apart @ off) / max(float(apart @ apart), 1e-9), 0.0, 1.0))
                center = center + weight * (guess - center)
            self.tree_weight_[informed] = weight
            z = (self.residual_ - center) / np.sqrt(variance)
            self.stretch_[None, informed] = _stretch(z[use])
            for k, at in rows.items():
                own = at[use[at]]
                enough = len(own) >= _ENOUGH
                self.stretch_[k, informed] = _stretch(z[own]) if enough else self.stretch_[None, informed]
                here = at[(known[at] != 0) == informed]
                self.held_out_[here] = z[here] / self.stretch_[k, informed]
        self.scores_: dict[Law, float] = {}
        self.margin_: Margin = Normal()
        if self.law == "choose":
            self.margin_, self.scores_ = choose(self.held_out_, self.block_, seed=self.seed)
        elif n >= _ENOUGH:
            self.margin_ = fit(self.law, self.held_out_)  # type: ignore[arg-type]

    def _grow(self, rows: NDArray[np.intp]) -> Any:
        from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor

        models = [
            HistGradientBoostingRegressor(
                max_iter=150, learning_rate=0.05, min_samples_leaf=15, random_state=self.seed
            ),
            ExtraTreesRegressor(150, min_samples_leaf=3, max_features=0.6, random_state=self.seed),
        ]
        grown = [m.fit(self.tree_input_[rows], self.residual_[rows]) for m in models]
        return lambda x: np.mean([m.predict(x) for m in grown], axis=0)


def _tree_features(table: pd.DataFrame, prior: Prediction) -> Floats:
    columns = needed(table, (*NEEDS[1:], "magnitude", "event_depth_km"), "trees")
    lat, lon = columns["latitude"], columns["longitude"]
    # Trees cut along the axes: diagonals let them cut along the arcs of Japan too.
    return np.column_stack(
        [
            *(lon, lat, 0.6 * lon + 0.8 * lat, 0.6 * lon - 0.8 * lat),
            *(columns["vs30_m_s"], np.log(np.hypot(columns["rrup_km"], 1.0))),
            *(columns["magnitude"], columns["event_depth_km"], prior.mean),
        ]
    )


def _stretch(z: Floats) -> float:
    if len(z) < 20:
        return 1.0
    return float(np.quantile(np.abs(z), 0.9)) / 1.6449


def deduplicated(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with one record per event and place: stations within 1 km of each other are one place.

    Of a place the record that stands first by latitude, then longitude, is kept: a rule that does not look at
    what was recorded. (Lists are often in order of shaking, so that the first row would be the largest.)
    """
    from kaname.evaluate.audit import sites

    order = table.sort_values(["latitude", "longitude"], kind="stable")
    site = sites(order["latitude"], order["longitude"])
    kept = order.loc[~pd.DataFrame({"e": order["event_id"].to_numpy(), "s": site}).duplicated().to_numpy()]
    return kept.sort_index()


def plus_event_term(prior: Prediction, residual: ArrayLike, known: ArrayLike) -> Prediction:
    """Return a model's prediction for one event with the event term that known records ask for.

    Parameters
    ----------
    prior
        For the rows of one event.
    residual
        Recorded minus predicted, shape (n,); where `known` is false it is not looked at.
    known
        Which rows are recorded, shape (n,).
    """
    at = np.asarray(known, bool)
    weight = prior.tau[at] / prior.phi[at] ** 2
    precision = 1.0 + float((weight * prior.tau[at]).sum())
    term = float((weight * np.asarray(residual, float)[at]).sum()) / precision
    return replace(prior, mean=prior.mean + prior.tau * term, tau=prior.tau / np.sqrt(precision))
