"""One place, one earthquake, one record: what several feeds say twice is found and linked, never dropped.

Networks and catalogues name the same thing differently, so names are not asked: sensors closer than `SITE_KM`
stand on one site, origins close in time, place and magnitude are one event, and of the records that one site
has of one event one stands and the others say which (``duplicate_of``). A borehole sensor is no duplicate of
the one above it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kaname.core.geo import distance_azimuth
from kaname.core.shaking import GROUND_MOTIONS, MEASURES, column_of
from kaname.core.tables import validate
from kaname.evaluate.audit import sites
from kaname.evaluate.splits import SAME_SITE_KM

SITE_KM = SAME_SITE_KM
"""Sensors closer than this record one ground."""
DEPTH_M = 2.0
"""Sensors whose depths differ by more than this do not record the same motion."""
EVENT_S, EVENT_KM, EVENT_MAGNITUDE = 16.0, 100.0, 1.0
"""Two origins that differ by no more than this are one event."""
MINUTE_S = 60.0
"""An origin time without seconds may be off by so much."""
_NO_SOURCE = ""


def link(table: pd.DataFrame) -> pd.DataFrame:
    """Return a ``ground_motions`` table with sites, events and duplicates linked.

    ``site_id``, ``event_id`` and ``duplicate_of`` are filled anew; nothing else changes and no row goes.

    Raises
    ------
    SchemaError
        When the table breaks its schema.
    """
    out = validate(table, GROUND_MOTIONS)
    if out.empty:
        return out
    out["site_id"] = site_ids(out["latitude"].to_numpy(), out["longitude"].to_numpy())
    out["event_id"] = event_ids(out)
    out["duplicate_of"] = _duplicates(out)
    return out


def site_ids(
    latitude: NDArray[np.float64], longitude: NDArray[np.float64], *, within_km: float = SITE_KM
) -> NDArray[np.object_]:
    """Return one identifier per place; two sensors closer than ``within_km`` always share it.

    Closeness is passed on from sensor to sensor (`kaname.evaluate.audit.sites`), so that no split by site can
    part neighbours; in a dense array a site can so be wider than ``within_km``.

    Parameters
    ----------
    latitude, longitude
        Shape ``(n,)`` [degree]; where one is missing the identifier is empty.
    within_km
        Distance of neighbours [km].
    """
    out = np.full(len(latitude), "", object)
    known = np.isfinite(latitude) & np.isfinite(longitude)
    if not known.any():
        return out
    lat, east = latitude[known], (longitude[known] + 180.0) % 360.0 - 180.0
    label = sites(lat, east, within_km=within_km)
    # Named by its southernmost, then westernmost place, so that the name does not hang on the order.
    order = np.lexsort((east, lat))
    first = order[np.unique(label[order], return_index=True)[1]]
    names = np.array([f"{lat[k]:+.4f}{east[k]:+.4f}" for k in first], object)
    out[known] = names[label]
    return out


def event_ids(table: pd.DataFrame) -> NDArray[np.object_]:
    """Return one identifier per earthquake, the first that any of its rows has.

    Origins are one event when they differ by no more than `EVENT_S`, `EVENT_KM` and `EVENT_MAGNITUDE` (a time
    without seconds: by `MINUTE_S`); what is missing does not part them. Two identifiers within one source are
    two events, for that source knew both. The same identifier on two origins that cannot be one is two events
    too: the second gets its time behind the identifier.

    Parameters
    ----------
    table
        Columns ``event_id``, ``event_time``, ``event_latitude``, ``event_longitude``, ``magnitude`` and,
        where there is one, ``source``.
    """
    what = ["event_id", "event_time", "event_latitude", "event_longitude", "magnitude"]
    frame = table[what].copy()
    frame["source"] = table.get("source", _NO_SOURCE)
    origins = frame.drop_duplicates(ignore_index=True)
    groups: list[list[Any]] = []
    by_id: dict[str, list[int]] = {}
    by_minute: dict[int, list[int]] = {}
    member: list[int] = []
    for row in origins.itertuples(index=False):
        minute = None if pd.isna(row.event_time) else row.event_time.value // 60_000_000_000
        near = [] if minute is None else [g for m in (-1, 0, 1) for g in by_minute.get(minute + m, ())]
        fitting = [g for g in dict.fromkeys([*by_id.get(row.event_id, ()), *near]) if _fits(row, groups[g])]
        chosen = min(fitting, key=lambda g: _lag_s(row, groups[g][0])) if fitting else len(groups)
        if chosen == len(groups):
            groups.append([])
        groups[chosen].append(row)
        by_id.setdefault(row.event_id, []).append(chosen)
        if minute is not None:
            by_minute.setdefault(minute, []).append(chosen)
        member.append(chosen)
    names = _names(groups)
    keys = [*what, "source"]
    linked = frame.merge(origins.assign(_name=[names[g] for g in member]), on=keys, how="left", sort=False)
    return np.asarray(linked["_name"], object)


def _names(groups: list[list[Any]]) -> list[str]:
    names: list[str] = []
    taken: set[str] = set()
    for group in groups:
        name = group[0].event_id
        if name in taken:
            time = next((r.event_time for r in group if not pd.isna(r.event_time)), None)
            stem = f"{name}_{time:%Y%m%dT%H%M%S}" if time is not None else name
            name = next(n for n in (stem, *(f"{stem}_{k}" for k in range(2, 1 << 20))) if n not in taken)
        taken.add(name)
        names.append(name)
    return names


def _fits(row: Any, group: list[Any]) -> bool:
    return all(_one_event(row, other) for other in group)


def _one_event(a: Any, b: Any) -> bool:
    same_id = a.event_id == b.event_id
    if not same_id and a.source and a.source == b.source:
        return False
    lag = _lag_s(a, b)
    if np.isnan(lag):
        return bool(same_id)
    to_the_minute = any(t.second == 0 and t.microsecond == 0 for t in (a.event_time, b.event_time))
    if lag > (MINUTE_S if same_id or to_the_minute else EVENT_S):
        return False
    if not abs(a.magnitude - b.magnitude) <= EVENT_MAGNITUDE and not np.isnan(a.magnitude - b.magnitude):
        return False
    ends = (a.event_latitude, a.event_longitude, b.event_latitude, b.event_longitude)
    if not np.isfinite(ends).all():
        return bool(same_id)
    return float(distance_azimuth(*ends)[0]) <= EVENT_KM


def _lag_s(a: Any, b: Any) -> float:
    if pd.isna(a.event_time) or pd.isna(b.event_time):
        return float("nan")
    return float(abs((a.event_time - b.event_time).total_seconds()))


def _duplicates(table: pd.DataFrame) -> NDArray[np.object_]:
    """For each record the one that stands for it, ``""`` when it stands for itself."""
    out = np.full(len(table), "", object)
    together = (table["site_id"] != "") & table.duplicated(["event_id", "site_id"], keep=False)
    if not together.any():
        return out
    filled = table[[column_of(m) for m in MEASURES if column_of(m) in table]].notna().sum(axis=1).to_numpy()
    # What is measured most stands; of equals one with a name, then the first.
    worth = np.lexsort(
        (
            np.arange(len(table)),
            (table["station"] == "").to_numpy(),
            -filled,
            (table["quality"] == "rejected").to_numpy(),
        )
    )
    rank = np.empty(len(table), int)
    rank[worth] = np.arange(len(table))
    depth = table["sensor_depth_m"].fillna(0.0).to_numpy()
    lat, lon = table["latitude"].to_numpy(), table["longitude"].to_numpy()
    identifiers = table["record_id"].to_numpy(object)
    for places in table[together].groupby(["event_id", "site_id"], sort=False).indices.values():
        own = np.flatnonzero(together)[places]
        standing: list[int] = []
        for i in own[np.argsort(rank[own])]:
            for j in standing:
                close = float(distance_azimuth(lat[i], lon[i], lat[j], lon[j])[0]) < SITE_KM
                if close and abs(depth[i] - depth[j]) <= DEPTH_M:
                    out[i] = identifiers[j]
                    break
            else:
                standing.append(i)
    return out
