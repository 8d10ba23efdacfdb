"""What recordings say beyond a model of ground motion, learned from many earthquakes at once.

The residual of a model (published or learned) is a Gaussian field with parts: an offset, a trend with
distance, a long and a short field in space, and the site's Vs30 (as a number, and as the class it was read
from). Each earthquake has its own of these, and all share another, with the site itself beside: what one
earthquake recorded speaks of the sites of the next. Amplitudes and lengths are found by marginal likelihood;
the noise differs between earthquakes. Trees, fitted beside it, are mixed in by the weight that blocks left
out ask for; the scale of each earthquake and the law of the residuals come from these too.
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
from kaname.modeling.field.kernel import Kernel, Part, Records, Solved
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
_SHARED = (
    Part("site", "place", "gaussian", 0.25, 1.0, shared=True),
    Part("shared short", "place", "exponential", 0.2, 15.0, shared=True),
    Part("shared long", "place", "matern", 0.3, 150.0, shared=True),
    Part("shared distance", "distance", "gaussian", 0.3, 0.7, shared=True),
    Part("shared vs30", "vs30", "gaussian", 0.2, 0.7, shared=True),
    Part("shared vs30 class", "vs30", "equal", 0.1, shared=True),
)
_NEAR_KM = 10.0
"""Distances below this are one: the residual has no trend inside the source."""
_SITE_KM = 1.0
_LARGEST = 1.5
"""A residual counts at most so much when the trees are weighed (natural logarithm)."""
_MOST = 10_000
"""More records than this do not fit into one covariance."""
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
    trees
        Whether boosted trees are mixed in.
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
        Share of the trees in the mean at places where no other earthquake was recorded; elsewhere 0.
    stretch_
        Factor on the standard deviation, by event (None: an event without records) and the same.
    """

    def __init__(
        self,
        *,
        trees: bool = True,
        law: Law | str = "choose",
        block_degree: float = 0.5,
        n_fit: int = 300,
        seed: int = 0,
    ) -> None:
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
            When a column or a value is missing, or there are fewer than ten records or more than 10,000.
        """
        y = np.asarray(value, float)
        if y.shape != (len(table),) or not np.isfinite(y).all() or len(y) < 10:
            raise InputError(f"ten or more records with finite values expected, found {y.shape}")
        if len(y) > _MOST:
            raise InputError(
                f"{len(y)} records are too many for one field; give {_MOST} or fewer, those nearby"
            )
        self.names_ = np.unique(needed(table, NEEDS[:1], "the residual field")["event_id"])
        features = self._features(table)
        self.event_, self.place_ = features["event"], features["place"]
        self.residual_ = y - prior.mean
        self.block_ = blocks(table["latitude"], table["longitude"], size_degree=self.block_degree)
        records = Records(features, self.residual_)
        self.kernel_ = Kernel((*_PARTS, *_SHARED) if len(self.names_) > 1 else _PARTS)
        self.kernel_.fit([records.some(self.n_fit, np.random.default_rng(self.seed))])
        self.solved_ = Solved.of(self.kernel_, records)
        self._calibrate(table, prior)
        return self

    def predict(self, table: pd.DataFrame, prior: Prediction) -> FieldPrediction:
        """Return the distribution at places, given the records of the fit; arguments as in `fit`.

        An event without any record in the fit gets the model's mean, what its sites did in other events, and
        the variance of all other parts: how regions differ from the model, few events cannot tell from how
        they differ among each other.
        """
        features = self._features(table)
        event = features["event"]
        mean, variance = np.zeros(len(event)), np.zeros(len(event))
        recorded = event < len(self.names_)
        for at, only in ((np.flatnonzero(recorded), None), (np.flatnonzero(~recorded), "site")):
            if len(at):
                own = {k: v[at] for k, v in features.items()}
                mean[at], variance[at] = self.solved_.predict(own, only=only)
        informed = self._informed(features)
        stretch = np.array([self._stretch_of(k, knows) for k, knows in zip(event, informed)])
        if self.tree_weight_ > 0:
            guess = self.grown_(_tree_features(table, prior))
            mean += self.tree_weight_ * (~informed & recorded) * (guess - mean)
        return FieldPrediction(prior.mean + mean, np.sqrt(variance) * stretch, self.margin_)

    def covariance(self, table: pd.DataFrame, prior: Prediction) -> Floats:
        """Return the covariance of the natural logarithm at places of one event, shape (n, n).

        Standard deviations are those of `predict` before the law; what hangs together is the Gaussian field.
        """
        features = self._features(table)
        if len(np.unique(features["event"])) != 1 or features["event"][0] >= len(self.names_):
            raise InputError("a covariance is of one event that was recorded; give rows of that event only")
        matrix = self.solved_.covariance(features)
        spread = self.predict(table, prior).scale / np.sqrt(np.diag(matrix))
        return matrix * spread[:, None] * spread

    def _features(self, table: pd.DataFrame) -> dict[str, Floats]:
        columns = needed(table, NEEDS, "the residual field")
        if (columns["vs30_m_s"] <= 0).any():
            raise InputError("vs30_m_s must be positive")
        # Events of the fit by their place among these, others by numbers beyond.
        name, which = np.unique(columns["event_id"], return_inverse=True)
        known = np.isin(name, self.names_)
        code = np.where(known, np.searchsorted(self.names_, name), len(self.names_) + np.arange(len(name)))
        return {
            "event": code[which].astype(float),
            "place": np.column_stack([columns["latitude"], columns["longitude"]]),
            "distance": np.log(np.hypot(columns["rrup_km"], _NEAR_KM)),
            "vs30": np.log(columns["vs30_m_s"]),
        }

    def _informed(self, features: dict[str, Floats]) -> NDArray[np.bool_]:
        """Return at which places another earthquake than the one asked for was recorded."""
        from scipy.spatial import cKDTree

        out = np.zeros(len(features["place"]), bool)
        known = on_sphere(*self.place_.T).T
        for event in np.unique(features["event"]):
            others = self.event_ != event
            if others.any():
                at = np.flatnonzero(features["event"] == event)
                near, _ = cKDTree(known[others]).query(on_sphere(*features["place"][at].T).T)
                out[at] = near < _SITE_KM
        return out

    def _stretch_of(self, event: float, informed: bool) -> float:
        name = self.names_[int(event)] if event < len(self.names_) else None
        return self.stretch_.get((name, informed), self.stretch_[None, informed])

    def _calibrate(self, table: pd.DataFrame, prior: Prediction) -> None:
        """Weigh the trees, stretch the scales and choose the law, by blocks that were left out.

        Places where other earthquakes were recorded are surer than those where none was, and have a stretch
        of their own: for the former a block is left out in one earthquake, for the latter in all.
        """
        n, event = len(table), self.event_
        of_event = np.char.add(np.char.add(event.astype(int).astype(str), " "), self.block_)
        trees = self.trees and n >= _ENOUGH and len(np.unique(self.block_)) >= 10
        if trees:
            self.tree_input_ = _tree_features(table, prior)
        self.tree_weight_ = 0.0
        self.stretch_: dict[tuple[Any, bool], float] = {}
        self.held_out_ = np.zeros(n)
        known = self._informed(self.solved_.records.features)
        for informed, left_out in ((False, self.block_), (True, of_event)):
            use = known if informed else np.ones(n, bool)
            mean, variance = self.solved_.left_out(left_out)
            if trees and not informed:
                guess, self.tree_weight_ = self._weighed(folds(self.block_, n_fold=4, seed=self.seed))
                mean = mean + self.tree_weight_ * (guess - mean)
                self.grown_ = self._grow(np.arange(n))
            z = (self.residual_ - mean) / np.sqrt(variance)
            self.stretch_[None, informed] = _stretch(z[use])
            for k, name in enumerate(self.names_):
                own = use & (event == k)
                if own.sum() >= _ENOUGH:
                    self.stretch_[name, informed] = _stretch(z[own])
                here = (event == k) & (known == informed)
                self.held_out_[here] = z[here] / self._stretch_of(k, informed)
        self.scores_: dict[Law, float] = {}
        self.margin_: Margin = Normal()
        if self.law == "choose":
            self.margin_, self.scores_ = choose(self.held_out_, self.block_, seed=self.seed)
        elif n >= _ENOUGH:
            self.margin_ = fit(self.law, self.held_out_)  # type: ignore[arg-type]

    def _weighed(self, fold: NDArray[np.intp]) -> tuple[Floats, float]:
        """Return what trees say of folds they have not seen, and their best share of the mean there."""
        guess = np.zeros(len(fold))
        for i in range(fold.max() + 1):
            guess[fold == i] = self._grow(np.flatnonzero(fold != i))(self.tree_input_[fold == i])
        # The field has to do without the same records, or it looks better than it is beside the trees.
        mean, _ = self.solved_.left_out(fold)
        # Least squares of the residual on the difference of the two means, outliers cut.
        apart, off = guess - mean, np.clip(self.residual_ - mean, -_LARGEST, _LARGEST)
        return guess, float(np.clip((apart @ off) / max(float(apart @ apart), 1e-9), 0.0, 1.0))

    def _grow(self, rows: NDArray[np.intp]) -> Any:
        from sklearn.ensemble import HistGradientBoostingRegressor

        models = [
            HistGradientBoostingRegressor(
                max_iter=150, learning_rate=0.05, min_samples_leaf=15, max_features=0.3, random_state=seed
            )
            for seed in range(self.seed, self.seed + 3)
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
