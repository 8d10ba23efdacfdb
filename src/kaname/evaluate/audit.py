"""What a ground-motion model could know of the records it is judged by: copies, shared events, statistics.

`kaname.evaluate.splits.audit` looks at records of waveforms; here the same questions are asked of a table of
ground motions, and three more: which rows are one record that came by two feeds (`duplicates`), whether a
feature was normalised with the held-out rows (`normalisation`), and whether anything else passes from them
to a prediction (`influence`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from kaname.core.errors import InputError, SchemaError
from kaname.core.geo import on_sphere
from kaname.core.tables import concat, table
from kaname.evaluate.splits import LATER, LEAKS, SAME_SITE_KM, SplitBy, audit, blocks

TWIN_LN = 0.05
"""Two records of one event and place that differ by less than this (natural logarithm) are one."""
SAME_ORIGIN_S = 5.0
"""Origin times closer than this may be of one earthquake, from two catalogues; aftershocks rarely are."""


def sites(latitude: ArrayLike, longitude: ArrayLike, *, within_km: float = SAME_SITE_KM) -> NDArray[np.intp]:
    """Return the site of each place, a number: places closer than ``within_km``, or chained by such, are one.

    Parameters
    ----------
    latitude, longitude
        Shape (n,) [degrees].
    within_km
        See above [km].

    Raises
    ------
    InputError
        When shapes differ or a place is missing.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    # A station stands in the table once for each of its events: pairs are looked for among places, not rows.
    places, which = np.unique(np.column_stack([latitude, longitude]), axis=0, return_inverse=True)
    pairs = _near(places[:, 0], places[:, 1], within_km)
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(places),) * 2)
    return np.asarray(connected_components(graph, directed=False)[1], np.intp)[which]


def duplicates(
    records: pd.DataFrame,
    measures: Sequence[str],
    *,
    within_km: float = SAME_SITE_KM,
    tolerance_ln: float = TWIN_LN,
) -> NDArray[np.intp]:
    """Return for each row the position of the first row that is the same record; its own where it is that.

    Two rows are one record when they are of one event, less than `within_km` apart, and agree in every
    measure that both have to `tolerance_ln`; rows with no measure in common are not. Two instruments side by
    side that recorded different values are not copies; `sites` keeps those together.

    Parameters
    ----------
    records
        Columns ``event_id``, ``latitude`` and ``longitude`` [degrees] of the station, and the measures.
    measures
        Columns that hold natural values (positive) of measures.
    within_km, tolerance_ln
        See above.

    Raises
    ------
    SchemaError
        When a column is missing.
    InputError
        When a place is missing or a measure is not positive.
    """
    _columns(records, ("event_id", "latitude", "longitude", *measures))
    if not measures:
        raise InputError("duplicates are recognised by their measures; give one or more columns")
    values = records[list(measures)].to_numpy(float)
    if (values <= 0).any():
        raise InputError("a measure is zero or negative, and has no logarithm; leave such records out")
    ln = np.log(values)
    event = pd.factorize(records["event_id"])[0]
    pairs = np.sort(_near(records["latitude"], records["longitude"], within_km, event), axis=1)
    apart = np.abs(ln[pairs[:, 0]] - ln[pairs[:, 1]])
    common = np.isfinite(apart)
    same = common.any(axis=1) & (np.where(common, apart, 0.0) <= tolerance_ln).all(axis=1)
    first = np.arange(len(records))
    for i, j in sorted(pairs[same].tolist()):
        first[j] = min(first[j], first[i])
    return first


def audit_ground_motions(
    records: pd.DataFrame,
    part: Sequence[str] | ArrayLike,
    by: SplitBy,
    *,
    measures: Sequence[str],
    features: Sequence[str] = (),
) -> pd.DataFrame:
    """Look for what one part of a split of a table of ground motions knows of another.

    Parameters
    ----------
    records
        Rows of `kaname.core.shaking.GROUND_MOTIONS`: ``event_id``, ``event_time`` (missing: not compared),
        ``latitude`` and ``longitude`` of the station, and the measures. With ``start`` and ``end``, the time
        of the samples, windows that overlap are found too; without, a record begins and ends with its event.
    part
        ``train``, ``validation`` or ``test`` for each row.
    by
        What the split promises to keep apart. A copy of a record in another part is never allowed.
    measures
        Columns of measures by which copies are recognised.
    features
        Columns that a model is given, to be searched for a normalisation fitted on all parts.

    Returns
    -------
    DataFrame
        `kaname.evaluate.splits.LEAKS`, a row per kind.

    Raises
    ------
    SchemaError
        When a column is missing.
    InputError
        As `duplicates`; or when there is not a part for each row.
    """
    _columns(records, ("event_id", "latitude", "longitude", *measures, *features))
    parts = np.asarray(part, dtype=object)
    if parts.shape != (len(records),):
        raise InputError(f"{len(records)} records but parts of shape {parts.shape}")
    event_time = records["event_time"] if "event_time" in records else pd.Series(pd.NaT, index=records.index)
    if by == "time" and event_time.isna().any():
        raise InputError("a split by time needs the time of every event; event_time is missing")
    # Without a time events are set a day apart, so that none passes for another.
    ordinal = pd.Series(pd.factorize(records["event_id"])[0], index=records.index)
    time = pd.to_datetime(event_time).fillna(pd.Timestamp(1700, 1, 1) + pd.to_timedelta(ordinal, unit="D"))
    windows = "start" in records and "end" in records
    plain = pd.DataFrame(
        {
            "part": parts,
            "event": records["event_id"].to_numpy(),
            "time": time.to_numpy(),
            "station": sites(records["latitude"], records["longitude"]).astype(str),
            "start": (records["start"] if windows else time).to_numpy(),
            "end": (records["end"] if windows else time).to_numpy(),
            "digest": duplicates(records, measures).astype(str),
            "block": blocks(records["latitude"], records["longitude"]),
        }
    )
    leaks = audit(plain, by, apart_s=SAME_ORIGIN_S)
    if event_time.isna().any():
        # Where a time is missing nothing is earlier or later.
        leaks = leaks[leaks["kind"] != LATER]
    return concat([leaks, normalisation(records, parts, features)], LEAKS)


def normalisation(records: pd.DataFrame, part: ArrayLike, features: Sequence[str]) -> pd.DataFrame:
    """Look for features that were centred or scaled with the statistics of all parts.

    A feature whose mean is 0 and standard deviation 1 (or minimum 0 and maximum 1, or median 0 and
    interquartile range 1) over all rows, but not over the training rows, was normalised with rows that are
    held out.

    Parameters
    ----------
    records
        With the features, numbers.
    part
        ``train`` or another for each row, shape (n,).
    features
        Columns to look at.

    Returns
    -------
    DataFrame
        `kaname.evaluate.splits.LEAKS`, one row.
    """
    _columns(records, features)
    train = np.asarray(part) == "train"
    found = []
    for name in features:
        values = records[name].to_numpy(float)
        known = np.isfinite(values)
        own = values[known & train]
        if len(own) < 2 or (known & ~train).sum() == 0:
            continue
        if _normal_forms(values[known]) - _normal_forms(own):
            found.append(name)
    row = {
        "kind": "normalisation fitted on held-out rows",
        "forbidden": True,
        "n": len(found),
        "n_total": len(features),
        "detail": ", ".join(found[:5]),
    }
    return table([row], LEAKS)


def _normal_forms(values: NDArray[np.float64]) -> set[str]:
    q25, q50, q75 = np.quantile(values, [0.25, 0.5, 0.75])
    near = 1e-6
    forms = {
        "standard": abs(values.mean()) < near and min(abs(values.std(ddof=d) - 1) for d in (0, 1)) < near,
        "range": abs(values.min()) < near and abs(values.max() - 1) < near and len(np.unique(values)) > 2,
        "robust": abs(q50) < near and abs(q75 - q25 - 1) < near,
    }
    return {name for name, holds in forms.items() if holds}


def influence(
    predict: Callable[[pd.DataFrame, NDArray[Any]], ArrayLike],
    records: pd.DataFrame,
    part: ArrayLike,
    columns: Sequence[str],
    *,
    seed: int = 0,
) -> pd.DataFrame:
    """Find out whether anything of the held-out rows reaches a prediction, whatever way it goes.

    The whole of a method, from the raw table to its predictions, is run twice: as it is, and with `columns`
    shuffled and stretched in half of the held-out rows. No prediction at any other row may change. It finds
    what no look at a table can: targets encoded, scales, hyper-parameters or site terms fitted on all rows.

    Parameters
    ----------
    predict
        Called with the table and the parts, fits on the rows of ``train`` and returns a prediction at every
        row, shape (n,); it must be deterministic.
    records, part
        The table and the part of each row.
    columns
        What is changed: the observed measures, and features (numbers).
    seed
        Which held-out rows are changed.

    Returns
    -------
    DataFrame
        `kaname.evaluate.splits.LEAKS`, one row: how many predictions at rows that were left alone changed.

    Raises
    ------
    InputError
        When fewer than two rows are held out, or the method gives two answers to one question.
    """
    _columns(records, columns)
    parts = np.asarray(part)
    held = np.flatnonzero(parts != "train")
    if len(held) < 2:
        raise InputError(f"{len(held)} rows are held out; expected two or more")
    rng = np.random.default_rng(seed)
    changed = rng.permutation(held)[: len(held) // 2]
    other = records.copy()
    for name in columns:
        values = other[name].to_numpy(float, copy=True)
        values[changed] = rng.permutation(values[changed]) * rng.uniform(2, 3, len(changed)) + 0.1
        other[name] = values
    before, again, after = (
        np.asarray(predict(t, parts), float) for t in (records.copy(), records.copy(), other)
    )
    if not np.array_equal(before, again, equal_nan=True):
        raise InputError("the method gives two answers to one question; set its seed and run it again")
    alone = np.setdiff1d(np.arange(len(records)), changed)
    moved = alone[~np.isclose(before[alone], after[alone], rtol=1e-9, atol=1e-12, equal_nan=True)]
    row = {
        "kind": "predictions that change with held-out rows",
        "forbidden": True,
        "n": len(moved),
        "n_total": len(alone),
        "detail": f"row {records.index[moved[0]]}" if len(moved) else "",
    }
    return table([row], LEAKS)


def forbid(leaks: pd.DataFrame) -> None:
    """Raise where a split shares what it must not.

    Raises
    ------
    InputError
        Naming each forbidden leak that was found, how often, and an example.
    """
    found = leaks[leaks["forbidden"] & (leaks["n"] > 0)]
    if len(found):
        said = "; ".join(f"{r.n} of {r.n_total}: {r.kind} ({r.detail})" for r in found.itertuples())
        raise InputError(f"the split leaks: {said}. Split by event, site or block, and drop duplicates first")


def _near(
    latitude: ArrayLike, longitude: ArrayLike, within_km: float, group: ArrayLike = 0
) -> NDArray[np.intp]:
    """Return pairs of places closer than ``within_km`` and of one group, shape (k, 2); a sphere will do."""
    from scipy.spatial import cKDTree

    lat, lon = np.asarray(latitude, float), np.asarray(longitude, float)
    if lat.ndim != 1 or lat.shape != lon.shape or not (np.isfinite(lat).all() and np.isfinite(lon).all()):
        raise InputError(f"finite latitudes and longitudes expected, found shapes {lat.shape}, {lon.shape}")
    # Groups are set apart along a fourth axis, further than anything is searched.
    away = np.broadcast_to(np.asarray(group, float) * 10 * within_km, lat.shape)
    pairs = cKDTree(np.column_stack([on_sphere(lat, lon).T, away])).query_pairs(
        within_km, output_type="ndarray"
    )
    return np.asarray(pairs, np.intp).reshape(-1, 2)


def _columns(records: pd.DataFrame, names: Sequence[str]) -> None:
    absent = [name for name in names if name not in records]
    if absent:
        raise SchemaError(
            f"the table lacks {', '.join(absent)}; it has {', '.join(map(str, records.columns))}"
        )
