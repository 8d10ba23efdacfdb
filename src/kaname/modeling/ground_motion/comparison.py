"""Models of ground motion judged side by side, on events none of them has seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kaname.core.errors import InputError
from kaname.core.shaking import column_of
from kaname.core.tables import Column, Schema, table
from kaname.evaluate.audit import audit_ground_motions, forbid, sites
from kaname.evaluate.scores import SCORES, block_bootstrap, score_normal, summary
from kaname.evaluate.splits import blocks, event_chains, folds
from kaname.modeling.ground_motion.learned import LearnedModel, usable

HoldOut = Literal["event", "event_and_site", "time", "site", "block", "row"]
"""What is held out: events, events and sites at once, the later events, sites, spatial blocks; or rows, which
leaks, as a warning."""

COMPARISON = Schema(
    "comparison",
    "How models scored on held-out records, and how much better than the reference.",
    (
        Column("measure", "string", "what was predicted", required=True),
        Column("model", "string", "name of the model", required=True),
        Column("held_out", "string", "what was held out", required=True),
        Column("n", "int", "records", low=0),
        Column("n_event", "int", "events", low=0),
        Column("bias", "float", "mean residual, natural logarithm"),
        Column("rmse", "float", "root mean square residual, natural logarithm", low=0),
        Column("log_score", "float", "mean log density; higher is better"),
        Column("crps", "float", "mean continuous ranked probability score; lower is better", low=0),
        Column("cover_50", "float", "share within the central 50 %", low=0, high=1),
        Column("cover_80", "float", "share within the central 80 %", low=0, high=1),
        Column("cover_90", "float", "share within the central 90 %", low=0, high=1),
        Column("cover_95", "float", "share within the central 95 %", low=0, high=1),
        Column("above_95", "float", "share above the predicted 95 % quantile", low=0, high=1),
        Column("above_99", "float", "share above the predicted 99 % quantile", low=0, high=1),
        Column("event_log_score", "float", "log score, each event counting once"),
        Column("gain", "float", "log score less that of the reference"),
        Column("gain_low", "float", "of its 95 % interval, events drawn as wholes"),
        Column("gain_high", "float", "of its 95 % interval, events drawn as wholes"),
        Column("event_gain", "float", "the same, each event counting once"),
        Column("event_gain_low", "float", "of its 95 % interval"),
        Column("event_gain_high", "float", "of its 95 % interval"),
    ),
)


def held_out_folds(records: pd.DataFrame, by: HoldOut, *, n_fold: int = 5, seed: int = 1) -> NDArray[np.intp]:
    """Return the fold of each record in which it is held out; -1 where it never is.

    Parameters
    ----------
    records
        `kaname.core.shaking.GROUND_MOTIONS`.
    by
        ``event``: chains of events closer than two minutes stay together (``event_and_site`` is two such
        arrays, see `compare`); ``time``: one fold, the last 40 % of the records by origin time of the chain;
        ``site`` and ``block``; ``row``: at random, which leaks.
    n_fold, seed
        Folds, and what settles which.

    Raises
    ------
    InputError
        When `by` is unknown or there is too little to hold out.
    """
    if by not in get_args(HoldOut) or by == "event_and_site":
        raise InputError(f"cannot hold out by {by!r}; expected one of {', '.join(get_args(HoldOut))}")
    if by == "row":
        return folds(np.arange(len(records)), n_fold=n_fold, seed=seed)
    if by == "site":
        return folds(sites(records["latitude"], records["longitude"]), n_fold=n_fold, seed=seed)
    if by == "block":
        return folds(blocks(records["latitude"], records["longitude"]), n_fold=n_fold, seed=seed)
    time = records["event_time"].to_numpy("datetime64[ms]")
    chain = event_chains(records["event_id"], time)
    if by == "event":
        return folds(chain, n_fold=n_fold, seed=seed)
    if np.isnat(time).any():
        raise InputError("a split by time needs the time of every event")
    first = pd.Series(time).groupby(chain).transform("min")
    late = first.rank(method="max", pct=True).to_numpy() > 0.6
    if late.all() or not late.any():
        raise InputError("all records are of one chain of events; nothing can be held out by time")
    return np.where(late, 0, -1).astype(np.intp)


def held_out_scores(
    make: Callable[[], Any],
    records: pd.DataFrame,
    measure: str,
    fold: NDArray[np.intp],
    second: NDArray[np.intp] | None = None,
) -> pd.DataFrame:
    """Return `kaname.evaluate.scores.SCORES` of the records that are held out, in the order of the table.

    Parameters
    ----------
    make
        Makes the model, not yet fitted; a published one is used as it is.
    records
        Rows that are all usable for the measure.
    measure
        What is predicted.
    fold
        Of `held_out_folds`.
    second
        Another: then only records held out by both are scored, by a model that was fitted to records held out
        by neither.

    Returns
    -------
    DataFrame
        Indexed by position in `records`; with ``domain``, 1 where the model has learned, 0 where it fell
        back.
    """
    observed = np.log(records[column_of(measure)].to_numpy(float))
    parts = []
    for k in range(int(fold.max()) + 1):
        mine, other = fold == k, fold != k
        if second is not None:
            mine, other = mine & (second == k), other & (second != k)
        mine = np.flatnonzero(mine)
        held = records.iloc[mine]
        model = make()
        if isinstance(model, LearnedModel):
            model.fit(records.iloc[np.flatnonzero(other)], measure)
            scores = model.score(held, measure).assign(domain=model.domain_weight(held, measure))
        else:
            given = model.predict(held, measure)
            scores = score_normal(observed[mine], given.mean, given.sigma).assign(domain=1.0)
        parts.append(scores.set_index(mine))
    return pd.concat(parts).sort_index()


def compare(
    models: Mapping[str, Callable[[], Any]],
    records: pd.DataFrame,
    measures: Sequence[str],
    *,
    by: HoldOut = "event",
    held_out: pd.DataFrame | None = None,
    reference: str | None = None,
    n_fold: int = 5,
    seed: int = 1,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score models on the same held-out records.

    Parameters
    ----------
    models
        Name and maker of each; learned ones are fitted anew for every fold.
    records
        `kaname.core.shaking.GROUND_MOTIONS`, without copies.
    measures
        What is predicted.
    by, n_fold, seed
        As `held_out_folds`.
    held_out
        Records to score instead of folds of `records`, on all of which models are then fitted; what the two
        share, but stations, is an error.
    reference
        Model the gain is measured against; by default the one not learned whose log score is highest, for
        each measure.

    Returns
    -------
    comparison : DataFrame
        `COMPARISON`, a row per measure and model.
    scores : DataFrame
        A row per measure, model and record: `kaname.evaluate.scores.SCORES`, ``domain``, ``measure``,
        ``model``, ``record`` (position in `records`, followed by `held_out` where given) and ``event_id``.

    Raises
    ------
    InputError
        When the reference is none of the models.
    """
    if reference is not None and reference not in models:
        raise InputError(f"reference {reference!r} is none of the models: {', '.join(models)}")
    rows, details = [], []
    given = np.zeros(len(records), bool)
    if held_out is not None:
        given = np.repeat([False, True], [len(records), len(held_out)])
        records = pd.concat([records, held_out], ignore_index=True)
        part = np.where(given, "test", "train")
        forbid(audit_ground_motions(records, part, "event", measures=[column_of(m) for m in measures]))
    for measure in measures:
        chosen = np.flatnonzero(usable(records, measure))
        own = records.iloc[chosen].reset_index(drop=True)
        both = by == "event_and_site" and held_out is None
        if held_out is None:
            fold = held_out_folds(own, "event" if both else by, n_fold=n_fold, seed=seed)
        else:
            fold = np.where(given[chosen], 0, -1).astype(np.intp)
        second = held_out_folds(own, "site", n_fold=n_fold, seed=seed) if both else None
        scored = {name: held_out_scores(make, own, measure, fold, second) for name, make in models.items()}
        event = own["event_id"].to_numpy()[next(iter(scored.values())).index]
        against = reference or _best_published(models, scored)
        for name, scores in scored.items():
            pooled = summary(scores[list(SCORES)], event)
            row = {
                **pooled.iloc[0].to_dict(),
                "measure": measure,
                "model": name,
                "held_out": by if held_out is None else "given",
            }
            row |= {"n_event": len(np.unique(event)), "event_log_score": pooled.iloc[1]["log_score"]}
            if name != against:
                gain = (scores["log_score"] - scored[against]["log_score"]).to_numpy()
                found_by = {
                    "": block_bootstrap(gain, event, weighting="record"),
                    "event_": block_bootstrap(gain, event, weighting="block"),
                }
                for prefix, found in found_by.items():
                    for suffix, value in zip(("", "_low", "_high"), found, strict=True):
                        row[f"{prefix}gain{suffix}"] = value
            rows.append({k: v for k, v in row.items() if k in COMPARISON.names})
            details.append(
                scores.assign(
                    measure=measure, model=name, record=chosen[scores.index.to_numpy()], event_id=event
                )
            )
    return table(rows, COMPARISON), pd.concat(details, ignore_index=True)


def _best_published(models: Mapping[str, Callable[[], Any]], scored: Mapping[str, pd.DataFrame]) -> str:
    published = [name for name, make in models.items() if not isinstance(make(), LearnedModel)]
    candidates = published or list(models)
    return max(candidates, key=lambda name: float(scored[name]["log_score"].mean()))
