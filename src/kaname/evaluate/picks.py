"""Scores of picks against an analyst's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kaname.core.errors import InputError
from kaname.core.tables import PICKS, validate
from kaname.core.time import add_seconds, seconds_between
from kaname.evaluate.calibration import NOMINAL, coverage
from kaname.evaluate.catalogues import wilson

Array = NDArray[np.float64]


def score_picks(
    picks: pd.DataFrame,
    labels: pd.DataFrame,
    *,
    tolerances_s: Sequence[float] = (0.1, 0.3, 0.5),
) -> pd.DataFrame:
    """Compare picks with labels, phase by phase.

    A pick and a label of one station and phase match when they lie within the tolerance, one to one, the
    closest pair first. An empty network code matches any. Every other pick counts as false, so pass only
    picks from stretches where the labels are complete.

    Parameters
    ----------
    picks, labels
        Tables of the schema ``picks``; of the labels only codes, phase and time are read.
    tolerances_s
        Largest distances of a match [s].

    Returns
    -------
    DataFrame
        One row per phase and tolerance: ``phase``, ``tolerance_s``, ``n_label``, ``n_pick``, ``n_match``;
        ``recall`` and ``precision`` with 95 % Wilson intervals (``_low``, ``_high``), ``f1``; residuals of
        the matches, pick minus label, ``residual_mean_s``, ``residual_sd_s``, ``residual_median_s``,
        ``residual_mad_s`` (median absolute deviation, not scaled); and the shares of residuals within the
        stated uncertainty at the levels of `kaname.evaluate.calibration.NOMINAL`, ``coverage_50`` to
        ``coverage_95``, with intervals (only matches with a stated uncertainty, ``n_stated``, count). What
        cannot be computed is missing.

    Raises
    ------
    InputError
        When a tolerance is not positive.
    SchemaError
        When a table does not fit its schema.
    """
    if not all(t > 0 for t in tolerances_s):
        raise InputError(f"tolerances must be positive, found {list(tolerances_s)} s")
    picks, labels = validate(picks, PICKS), validate(labels, PICKS)
    rows = []
    for phase in PICKS["phase"].choices:
        p = picks[picks["phase"] == phase].reset_index(drop=True)
        q = labels[labels["phase"] == phase].reset_index(drop=True)
        for tolerance in tolerances_s:
            pick, label = match_picks(p, q, tolerance)
            residual = (p["time"].to_numpy()[pick] - q["time"].to_numpy()[label]) / np.timedelta64(1, "s")
            sigma = p["time_uncertainty_s"].to_numpy()[pick]
            rows.append(
                {
                    "phase": phase,
                    "tolerance_s": tolerance,
                    **_rates(len(p), len(q), residual.size),
                    **_residuals(residual),
                    **_coverage(residual, sigma),
                }
            )
    return pd.DataFrame(rows)


def score_dense(
    picks: pd.DataFrame, labels: pd.DataFrame, *, found_s: float = 0.3, true_s: float = 0.5
) -> pd.DataFrame:
    """Compare picks with known onsets that may lie closer together than the tolerance.

    A label is found by a pick within `found_s`, one to one. A pick is true within `true_s` of any label of
    its phase, whether or not another pick has that label already.

    Returns
    -------
    DataFrame
        One row per phase: ``phase``, ``n_label``, ``n_found``, ``recall``, ``n_pick``, ``n_true``,
        ``precision``, the shares with 95 % Wilson intervals (``_low``, ``_high``).

    Raises
    ------
    SchemaError
        When a table does not fit its schema.
    """
    picks, labels = validate(picks, PICKS), validate(labels, PICKS)
    rows = []
    for phase in PICKS["phase"].choices:
        p = picks[picks["phase"] == phase].reset_index(drop=True)
        q = labels[labels["phase"] == phase].reset_index(drop=True)
        found = match_picks(p, q, found_s)[0].size
        true = int(near_label(p, q, true_s).sum())
        rows.append(
            {
                "phase": phase,
                "n_label": len(q),
                "n_found": found,
                **_share("recall", found, len(q)),
                "n_pick": len(p),
                "n_true": true,
                **_share("precision", true, len(p)),
            }
        )
    return pd.DataFrame(rows)


def window_about(
    start: np.datetime64,
    end: np.datetime64,
    onsets: Sequence[np.datetime64],
    length_s: float,
    rng: np.random.Generator,
    *,
    margin_s: float = 1.0,
) -> tuple[np.datetime64, np.datetime64]:
    """Place a window at random in a record so that it holds the onsets of an event.

    Every place that has all onsets `margin_s` or more from either end is as likely; of onsets farther apart
    than that allows, the window holds the first ones. Near the ends of the record the margin gives way.

    Parameters
    ----------
    start, end
        Of the record, UTC; a record that is not longer than the window is its own window.
    onsets
        Where something is labelled; without any, the window lies anywhere.
    length_s
        Length of the window [s].
    rng
        Generator to draw from.
    margin_s
        Least distance of an onset from the ends of the window [s].

    Returns
    -------
    tuple of datetime64
        First instant of the window, and the first after it.

    Raises
    ------
    InputError
        When the window is not longer than its margins.
    """
    if not length_s > 2 * margin_s:
        raise InputError(f"a window must be longer than {2 * margin_s:g} s, found {length_s:g} s")
    room = seconds_between(start, end) - length_s
    if room <= 0:
        return start, end
    at = np.sort([seconds_between(start, t) for t in onsets])
    low, high = 0.0, room
    if at.size:
        last = at[at <= at[0] + length_s - 2 * margin_s][-1]
        low, high = np.clip([last + margin_s - length_s, at[0] - margin_s], 0.0, room)
    first = add_seconds(start, float(rng.uniform(low, high)))
    return first, add_seconds(first, length_s)


def near_label(picks: pd.DataFrame, labels: pd.DataFrame, within_s: float) -> NDArray[np.bool_]:
    """Tell which picks lie within so many seconds of a label of their station, shape (n_pick,)."""
    near = np.zeros(len(picks), dtype=bool)
    known = {s: np.sort(g.to_numpy()) for s, g in labels.groupby("station")["time"]}
    time = picks["time"].to_numpy()
    for station, rows in picks.groupby("station", sort=False).indices.items():
        own = known.get(station)
        if own is None:
            continue
        after = np.searchsorted(own, time[rows])
        for side in (np.maximum(after - 1, 0), np.minimum(after, own.size - 1)):
            near[rows] |= np.abs(time[rows] - own[side]) <= np.timedelta64(round(within_s * 1e9), "ns")
    return near


def match_picks(
    picks: pd.DataFrame, labels: pd.DataFrame, tolerance_s: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pair picks with labels of the same station within a tolerance, one to one, the closest pair first.

    Returns
    -------
    tuple of ndarray
        Row positions in `picks` and in `labels` of each pair.
    """
    pairs: list[tuple[float, int, int]] = []
    time, label_time = picks["time"].to_numpy(), labels["time"].to_numpy()
    by_station = picks.groupby("station", sort=False).indices
    codes = [(picks[n].to_numpy(), labels[n].to_numpy()) for n in ("network", "location")]
    for j, station in enumerate(labels["station"].to_numpy()):
        near = by_station.get(station, np.empty(0, dtype=int))
        gap = np.abs((time[near] - label_time[j]) / np.timedelta64(1, "s"))
        for i, g in zip(near[gap <= tolerance_s], gap[gap <= tolerance_s]):
            if all(p[i] == q[j] or not p[i] or not q[j] for p, q in codes):
                pairs.append((float(g), int(i), j))
    taken_pick: set[int] = set()
    taken_label: set[int] = set()
    matched = []
    for _, i, j in sorted(pairs):
        if i not in taken_pick and j not in taken_label:
            taken_pick.add(i)
            taken_label.add(j)
            matched.append((i, j))
    both = np.array(matched, dtype=np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def _rates(n_pick: int, n_label: int, n_match: int) -> dict[str, float]:
    return {
        "n_label": n_label,
        "n_pick": n_pick,
        "n_match": n_match,
        **_share("recall", n_match, n_label),
        **_share("precision", n_match, n_pick),
        "f1": 2 * n_match / (n_pick + n_label) if n_pick + n_label else np.nan,
    }


def _share(name: str, part: int, whole: int) -> dict[str, float]:
    low, high = wilson(part, whole) if whole else (np.nan, np.nan)
    return {name: part / whole if whole else np.nan, f"{name}_low": low, f"{name}_high": high}


def _residuals(residual: Array) -> dict[str, float]:
    if not residual.size:
        return dict.fromkeys(
            ("residual_mean_s", "residual_sd_s", "residual_median_s", "residual_mad_s"), np.nan
        )
    median = float(np.median(residual))
    return {
        "residual_mean_s": float(residual.mean()),
        "residual_sd_s": float(residual.std(ddof=1)) if residual.size > 1 else np.nan,
        "residual_median_s": median,
        "residual_mad_s": float(np.median(np.abs(residual - median))),
    }


def _coverage(residual: Array, sigma: Array) -> dict[str, float]:
    observed = coverage(residual, sigma)
    out: dict[str, float] = {"n_stated": int(observed["n"].iloc[0])}
    for percent, row in zip(NOMINAL, observed.itertuples()):
        name = f"coverage_{percent}"
        out |= {name: row.observed, f"{name}_low": row.observed_low, f"{name}_high": row.observed_high}
    return out
