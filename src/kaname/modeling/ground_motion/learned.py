"""What learned models share: honest residuals, crossed effects, spread, law and domain.

A learned model is ``base + domain * (offset + trend) + site term``, with event and site as crossed random
effects and a Student law. The trend is fitted to residuals freed of event and site terms, and everything that
speaks of its error is made of predictions for events the trend had not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student

from kaname.core.errors import InputError
from kaname.core.shaking import column_of, period_of
from kaname.evaluate.audit import audit_ground_motions, forbid, sites
from kaname.evaluate.scores import score_student
from kaname.evaluate.splits import event_chains, folds
from kaname.modeling.ground_motion.between import BetweenEvents
from kaname.modeling.ground_motion.contract import Prediction, get_model, needed
from kaname.modeling.ground_motion.features import Domain, KnownSites, columns_of, labels_of, matrix
from kaname.modeling.ground_motion.mixed_effects import MixedEffects, event_terms
from kaname.modeling.ground_motion.scatter import law_of, spread_of, unit_scale
from kaname.modeling.ground_motion.trees import Trees

Floats = NDArray[np.float64]
Self = TypeVar("Self", bound="LearnedModel")


COARSE = 0.1
"""Least share of all records in a leaf of trees that tell events apart."""


@dataclass(frozen=True)
class Fitted:
    """What was learned of one measure."""

    trend: Trees
    spread: Trees
    """Logarithm of the variance within event and site, over its mean."""
    offset: float
    shrinkage: tuple[float, float]
    """Share of the trend within and between events that held on unseen events, 0 to 1; the trend holds it."""
    blend: float
    """Share of the spread's logarithm that held, 0 to 1."""
    tau: float
    """At the magnitude where `between` is 1."""
    between: BetweenEvents
    phi_s2s: float
    phi_ss: float
    inflation: float
    """By which the stated standard deviation had to be multiplied to be that of held-out events."""
    freedom: float
    """Of the Student law of standardised residuals of held-out events."""
    domain: Domain
    sites: KnownSites
    n_record: int
    n_event: int
    n_site: int


class LearnedModel:
    """The part that `Forest` and `Boosted` share; see there."""

    name: str

    def __init__(
        self,
        *,
        base: str | None,
        base_options: dict[str, Any] | None,
        features: Sequence[str],
        n_fold: int,
        seed: int,
    ) -> None:
        columns_of(features)
        if n_fold < 2:
            raise InputError(f"two or more folds are needed, found {n_fold}")
        self.base = base
        self.base_options = dict(base_options or {})
        self.features = tuple(features)
        self.n_fold = n_fold
        self.seed = seed
        self.fitted_: dict[str, Fitted] = {}
        self.event_terms_: dict[str, pd.DataFrame] = {}
        self.leaks_: pd.DataFrame | None = None
        self._base = get_model(base, **self.base_options) if base else None

    @property
    def measures(self) -> tuple[str, ...]:
        """Measures it was fitted to; none before."""
        return tuple(self.fitted_)

    @property
    def needs(self) -> tuple[str, ...]:
        """Columns that must not be missing; ``event_id`` too where event terms are given."""
        of_base = self._base.needs if self._base else ()
        return tuple(dict.fromkeys((*of_base, *columns_of(self.features), "latitude", "longitude")))

    def fit(
        self: Self,
        table: pd.DataFrame,
        measures: str | Sequence[str],
        *,
        held_out: pd.DataFrame | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Self:
        """Learn one or more measures; returns itself.

        Parameters
        ----------
        table
            `kaname.core.shaking.GROUND_MOTIONS`. Rows in which a measure is missing, or whose longest trusted
            period is shorter than the measure's, do not count for that measure.
        measures
            Such as ``pga`` or ``["pga", "sa(1)"]``.
        held_out
            Records the model is to be judged by: the audit is run on both tables, and a leak raises.
        progress
            Called with 1 after each measure.

        Raises
        ------
        InputError
            When the table has rejected rows, copies or too few events; when a needed value is missing; or
            when `held_out` shares an event or a record with it.
        """
        wanted = [measures] if isinstance(measures, str) else list(measures)
        self.leaks_ = _audited(table, held_out, wanted)
        for measure in wanted:
            rows = table[usable(table, measure)].reset_index(drop=True)
            self.fitted_[measure], self.event_terms_[measure] = self._fit(rows, measure)
            if progress is not None:
                progress(1)
        return self

    def predict(
        self, table: pd.DataFrame, measure: str, *, event_terms: pd.DataFrame | None = None
    ) -> Prediction:
        """Return mean and standard deviations of the logarithm of a measure at every row.

        The law is not normal: see `quantiles`.

        Parameters
        ----------
        table
            With the columns of `needs`.
        measure
            One that was fitted.
        event_terms
            What is known of events, from `observed_event_terms`: their terms are added, and the uncertainty
            of these takes the place of the standard deviation between events.

        Raises
        ------
        InputError
            When the measure was not fitted, or a needed value is missing.
        """
        one = self._of(measure)
        needed(table, self.needs, self.name)
        mean, tau, phi = self._around(one, table, measure, matrix(table, self.features, self.name))
        if event_terms is not None:
            if "event_id" not in table:
                raise InputError("event terms are given, but the table has no event_id to find them by")
            found = event_terms.reindex(pd.Index(table["event_id"].to_numpy()))
            known = found["term"].notna().to_numpy()
            mean = mean + np.where(known, found["term"].to_numpy(), 0.0)
            tau = np.where(known, found["sd"].to_numpy(), tau)
        return Prediction(mean, tau, phi)

    def observed_event_terms(self, table: pd.DataFrame, measure: str) -> pd.DataFrame:
        """Return event terms from records of events that were not fitted; as `mixed_effects.event_terms`."""
        given = self.predict(table, measure)
        observed = _log_observed(table, measure)
        return event_terms(observed - given.mean, table["event_id"].to_numpy(), tau=given.tau, phi=given.phi)

    def quantiles(
        self,
        table: pd.DataFrame,
        measure: str,
        probabilities: ArrayLike,
        *,
        event_terms: pd.DataFrame | None = None,
    ) -> Floats:
        """Return quantiles of the logarithm of a measure, shape (n, k); arguments as `predict`."""
        given = self.predict(table, measure, event_terms=event_terms)
        freedom = self._of(measure).freedom
        at = student.ppf(np.asarray(probabilities, float), freedom) * unit_scale(freedom)
        return np.asarray(given.mean[:, None] + given.sigma[:, None] * at)

    def sample(self, table: pd.DataFrame, measure: str, *, n: int, seed: int) -> Floats:
        """Return draws of the logarithm of a measure, shape (rows, n); rows of one event share its term.

        The event term and the rest are each drawn from the Student law, so the sum has lighter tails than
        `quantiles` where both matter.
        """
        given = self.predict(table, measure)
        freedom = self._of(measure).freedom
        rng = np.random.default_rng(seed)
        event, _ = pd.factorize(table["event_id"])
        between = rng.standard_t(freedom, (int(event.max(initial=-1)) + 1, n))[event]
        within = rng.standard_t(freedom, (len(table), n))
        drawn = given.tau[:, None] * between + given.phi[:, None] * within
        return np.asarray(given.mean[:, None] + unit_scale(freedom) * drawn)

    def score(
        self, table: pd.DataFrame, measure: str, *, event_terms: pd.DataFrame | None = None
    ) -> pd.DataFrame:
        """Return `kaname.evaluate.scores.SCORES` of the observed measure, which no row may lack."""
        given = self.predict(table, measure, event_terms=event_terms)
        freedom = self._of(measure).freedom
        return score_student(
            _log_observed(table, measure), given.mean, given.sigma * unit_scale(freedom), freedom
        )

    def domain_weight(self, table: pd.DataFrame, measure: str) -> Floats:
        """Return 1 where the model has learned, 0 where it falls back to its base, shape (n,).

        Below 1 a row lies further from every training row than these lie from rows of other events.
        """
        return self._of(measure).domain.weight(matrix(table, self.features, self.name))

    def partial_dependence(
        self, table: pd.DataFrame, measure: str, feature: str, *, n_value: int = 30, most: int = 500
    ) -> pd.DataFrame:
        """Return the learned part against one feature, averaged over the others as they are in a table.

        Parameters
        ----------
        table
            Rows to average over; of more than `most`, a draw.
        measure
            One that was fitted.
        feature
            A name of `kaname.modeling.ground_motion.features.labels_of`, such as ``magnitude``.
        n_value, most
            Values between the 1st and 99th percentile; rows to average over.

        Returns
        -------
        DataFrame
            ``value``, ``mean``, ``low`` and ``high`` (16th and 84th percentile over rows) of offset and
            trend, in natural logarithm (Friedman 2001, https://doi.org/10.1214/aos/1013203451, section 8.2).

        Raises
        ------
        InputError
            When there is no such feature.
        """
        one = self._of(measure)
        labels = labels_of(self.features)
        if feature not in labels:
            raise InputError(f"{self.name} has no feature {feature!r}; it has {', '.join(labels)}")
        x = matrix(table, self.features, self.name)
        column = labels.index(feature)
        rows = x[np.random.default_rng(self.seed).permutation(len(x))[:most]]
        out = []
        first, last = np.quantile(x[:, column], [0.01, 0.99])
        for value in np.linspace(first, last, n_value):
            rows[:, column] = value
            learned = one.offset + one.trend.predict(rows)
            low, high = np.quantile(learned, [0.16, 0.84])
            out.append({"value": value, "mean": learned.mean(), "low": low, "high": high})
        return pd.DataFrame(out)

    def _of(self, measure: str) -> Fitted:
        if measure not in self.fitted_:
            known = ", ".join(self.fitted_) or "nothing yet"
            raise InputError(f"{self.name} was not fitted to {measure!r}; it was to {known}")
        return self.fitted_[measure]

    def _base_prediction(self, table: pd.DataFrame, measure: str) -> Prediction | None:
        return self._base.predict(table, measure) if self._base else None

    def _around(
        self, one: Fitted, table: pd.DataFrame, measure: str, x: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Return mean, tau and phi; where nothing was learned, those of the base."""
        base = self._base_prediction(table, measure)
        inside = one.domain.weight(x) if base else np.ones(len(x))
        site, sd = one.sites.lookup(table["latitude"], table["longitude"], one.phi_s2s)
        scale = np.exp(0.5 * one.blend * one.spread.predict(x))
        mean = inside * (one.offset + one.trend.predict(x)) + site
        by_magnitude = one.between(table["magnitude"]) if one.between.slope else np.ones(len(x))
        tau2 = (one.inflation * one.tau * by_magnitude) ** 2
        phi2 = one.inflation**2 * (sd**2 + (one.phi_ss * scale) ** 2)
        if base:
            mean = mean + base.mean
            tau2 = inside * tau2 + (1 - inside) * base.tau**2
            phi2 = inside * phi2 + (1 - inside) * base.phi**2
        return mean, np.sqrt(tau2), np.sqrt(phi2)

    def _fit(self, rows: pd.DataFrame, measure: str) -> tuple[Fitted, pd.DataFrame]:
        x = matrix(rows, self.features, self.name)
        base = self._base_prediction(rows, measure)
        residual = _log_observed(rows, measure) - (base.mean if base else 0.0)
        event = rows["event_id"].to_numpy()
        site = sites(rows["latitude"], rows["longitude"])
        chain = event_chains(event, _times(rows))
        n_chain = len(np.unique(chain))
        if n_chain < 5:
            raise InputError(
                f"{measure}: {len(rows)} usable records of {n_chain} separate events; five or more are needed"
            )
        fold = folds(chain, n_fold=min(self.n_fold, n_chain), seed=self.seed)
        trend, shrinkage, rest = self._trend(x, residual, event, site, chain, fold)
        effects = MixedEffects().fit(rest, event, site)
        within = rest - effects.fixed_[0] - _terms(effects, event, site)
        spread, blend, scale = spread_of(x, within, fold, self.seed)
        between = BetweenEvents()
        if "magnitude" in self.needs:
            between = BetweenEvents.fit(rest, event, site, rows["magnitude"], scale=scale)
        factor = between(rows["magnitude"]) if between.slope else np.ones(len(rows))
        effects = MixedEffects().fit(rest, event, site, scale=scale, event_scale=factor)
        inflation, freedom = law_of(rest, event, site, fold, scale, factor)
        place = rows.assign(site=site).groupby("site")[["latitude", "longitude"]].mean()
        terms = effects.site_terms_
        known = KnownSites(
            place.loc[terms.index, "latitude"].to_numpy(),
            place.loc[terms.index, "longitude"].to_numpy(),
            terms["term"].to_numpy(),
            terms["sd"].to_numpy(),
        )
        fitted = Fitted(
            trend=trend,
            spread=spread,
            offset=float(effects.fixed_[0]),
            shrinkage=shrinkage,
            blend=blend,
            tau=effects.tau_,
            between=between,
            phi_s2s=effects.phi_s2s_,
            phi_ss=effects.phi_ss_,
            inflation=inflation,
            freedom=freedom,
            domain=Domain.of(x, chain, seed=self.seed),
            sites=known,
            n_record=len(rows),
            n_event=len(effects.event_terms_),
            n_site=len(terms),
        )
        return fitted, effects.event_terms_

    def _trend(
        self,
        x: Floats,
        residual: Floats,
        event: NDArray[Any],
        site: NDArray[Any],
        chain: NDArray[Any],
        fold: NDArray[np.intp],
    ) -> tuple[Trees, tuple[float, float], Floats]:
        """Return the trend, how much of each of its two parts held, and residuals from it at unseen events.

        The first part is learned where event and site terms are taken out, the second from what these terms
        hold. How much of each is kept is its coefficient in a mixed model of predictions for unseen events:
        the few events decide on what differs between events, the many records on what differs within.
        """
        # Terms around a plane: else, without a base, they would hold the magnitude.
        varies = x.std(axis=0) > 0
        standard = (x[:, varies] - x[:, varies].mean(axis=0)) / x[:, varies].std(axis=0)
        plane = np.column_stack([np.ones(len(x)), standard])
        effects = MixedEffects().fit(residual, event, site, fixed=plane if self._base is None else None)
        target = residual - _terms(effects, event, site)
        unseen, within = self._learn(x, target, None, chain, fold)
        share_within, rest = _kept(unseen, residual, event, site)
        # Records of one event say the same of it again and again, and count less each.
        _, which, count = np.unique(event, return_inverse=True, return_counts=True)
        shared = effects.tau_**2 / (effects.tau_**2 + effects.phi_**2)
        weight = np.asarray(1.0 / (1.0 + (count[which] - 1.0) * shared), float)
        unseen, between = self._learn(x, rest, weight, chain, fold)
        share_between, rest = _kept(unseen, rest, event, site)
        shares = (share_within, share_between)
        return Trees.added([within, between], np.array(shares)), shares, rest

    def _learn(
        self, x: Floats, target: Floats, weight: Floats | None, event: NDArray[Any], fold: NDArray[np.intp]
    ) -> tuple[Floats, Trees]:
        """Return the trend at each row by trees that have not seen its event, and the trend of all rows.

        With weights it is of what differs between events: these are few, and the trees are to be coarse.
        """
        raise NotImplementedError


def usable(table: pd.DataFrame, measure: str) -> NDArray[np.bool_]:
    """Return which rows count for a measure: it is there, positive, and its period is trusted.

    Raises
    ------
    InputError
        When the table lacks the column of the measure.
    """
    column = column_of(measure)
    if column not in table:
        raise InputError(f"the table has no column {column} for {measure}")
    out = np.asarray(table[column].notna() & (table[column] > 0 if measure != "intensity_jma" else True))
    period = period_of(measure)
    if period is not None and "longest_period_s" in table:
        out = out & ~(table["longest_period_s"].to_numpy(float) < period)
    return out


def _log_observed(table: pd.DataFrame, measure: str) -> Floats:
    values: Floats = table[column_of(measure)].to_numpy(float)
    if measure == "intensity_jma":
        return values
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(values))


def _times(table: pd.DataFrame) -> NDArray[Any]:
    if "event_time" in table:
        return np.asarray(table["event_time"].to_numpy("datetime64[ms]"))
    return np.full(len(table), np.datetime64("NaT", "ms"))


def _audited(
    table: pd.DataFrame, held_out: pd.DataFrame | None, measures: Sequence[str]
) -> pd.DataFrame | None:
    for name, bad in (("quality", "rejected"), ("duplicate_of", None)):
        if name in table:
            marked = table[name] == bad if bad else ~table[name].isin(["", np.nan])
            if marked.any():
                raise InputError(f"{int(marked.sum())} rows are marked in {name}; leave them out first")
    if held_out is None:
        return None
    both = pd.concat([table, held_out], ignore_index=True)
    part = np.repeat(["train", "test"], [len(table), len(held_out)])
    columns = [column_of(m) for m in measures]
    leaks = audit_ground_motions(both, part, "event", measures=columns)
    forbid(leaks)
    return leaks


def _terms(effects: MixedEffects, event: NDArray[Any], site: NDArray[Any]) -> Floats:
    of_event = effects.event_terms_["term"].reindex(event).to_numpy()
    return np.asarray(of_event + effects.site_terms_["term"].reindex(site).to_numpy())


def _kept(unseen: Floats, residual: Floats, event: NDArray[Any], site: NDArray[Any]) -> tuple[float, Floats]:
    """Return the share of a trend that held on unseen events, 0 to 1, and what it leaves."""
    if unseen.std() < 1e-9:
        return 0.0, residual
    fixed = np.column_stack([np.ones(len(unseen)), unseen])
    share = float(np.clip(MixedEffects().fit(residual, event, site, fixed=fixed).fixed_[1], 0.0, 1.0))
    return share, residual - share * unseen
