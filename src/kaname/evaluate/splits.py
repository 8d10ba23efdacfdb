"""Who may be trained on: records are kept apart by event, station or time, and an auditor looks for leaks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from kaname.core.errors import InputError
from kaname.core.geo import distance_azimuth
from kaname.core.tables import Column, Schema, table

Part = Literal["train", "validation", "test"]
SplitBy = Literal["event", "station", "time", "day", "block"]

TEST_SHARE = 0.3
VALIDATION_SHARE = 0.1
SAME_EVENT_S = 120.0
"""Records that begin so close to one another may be of one earthquake."""
SAME_SITE_KM = 1.0
"""Sensors closer than this record the same ground, whatever their codes (borehole and surface)."""
BLOCK_DEGREE = 0.5
"""Side of a spatial block: residuals of stations further apart than this know little of one another."""
LATER = "training records later than held-out ones"
"""Kind of leak."""

LEAKS = Schema(
    "leaks",
    "What two parts of a split share, and whether that split must not share it.",
    (
        Column("kind", "string", "what is shared", required=True),
        Column("forbidden", "bool", "whether this kind of split must not share it", required=True),
        Column("n", "int", "how many are shared", required=True, low=0),
        Column("n_total", "int", "of how many", required=True, low=0),
        Column("detail", "string", "an example"),
    ),
)


def split_by_event(
    times: Sequence[np.datetime64],
    *,
    apart_s: float = SAME_EVENT_S,
    validation_by: Literal["event", "day"] = "event",
) -> list[Part]:
    """Return the part each record belongs to; records of about the same time are never parted.

    Parameters
    ----------
    times
        Time of each record, UTC; a chain of times each less than `apart_s` from the next is one event.
        Which part it belongs to follows from the first of them alone.
    apart_s
        See above [s]; with windows longer than this, their length, or windows of two parts overlap.
    validation_by
        What validation is drawn from: ``event``, one in ten of all events; ``day``, an eighth of the days,
        whose events are for validation unless they are for the test.

    Raises
    ------
    InputError
        When what validation is drawn from is unknown.
    """
    if validation_by not in ("event", "day"):
        raise InputError(f"validation is drawn by event or day, found {validation_by!r}")
    values = np.asarray(times, "datetime64[ms]")
    out: list[Part] = ["train"] * len(values)
    for chain in _chains(values, apart_s):
        part = part_of(str(values[chain[0]].astype("datetime64[s]")))
        for i in chain:
            if part != "test" and validation_by == "day":
                day = values[i].astype("datetime64[D]")
                out[i] = "validation" if part_of(f"validation {day}", share=0.125) == "test" else "train"
            else:
                out[i] = part
    return out


def event_chains(event: ArrayLike, time: ArrayLike, *, apart_s: float = SAME_EVENT_S) -> NDArray[np.str_]:
    """Return for each record the first event of the chain its own belongs to: what no split may part.

    Parameters
    ----------
    event
        Name of the event of each record, shape (n,).
    time
        Its origin time, UTC, shape (n,); NaT: it is in no chain but its own.
    apart_s
        Events each less than this from the next are a chain [s]: their records overlap, or they are one event
        under two names.

    Raises
    ------
    InputError
        When shapes differ.
    """
    names, first, which = np.unique(np.asarray(event).astype(str), return_index=True, return_inverse=True)
    times = np.asarray(time, "datetime64[ms]")
    if times.shape != which.shape:
        raise InputError(f"{which.size} events but times of shape {times.shape}")
    own = times[first]
    leader = names.copy()
    known = np.flatnonzero(~np.isnat(own))
    for chain in _chains(own[known], apart_s):
        leader[known[chain]] = names[known[chain[0]]]
    return np.asarray(leader[which])


def split_by_day(times: Sequence[np.datetime64]) -> list[Part]:
    """Return the part each record belongs to; whole days (UTC) are held out."""
    return [part_of(str(t.astype("datetime64[D]"))) for t in times]


def split_by_period(times: Sequence[np.datetime64], *, apart_s: float = SAME_EVENT_S) -> list[Part]:
    """Return the part each record belongs to: the first 60 % train, the next 10 % validation, the rest test.

    Parameters
    ----------
    times, apart_s
        As `split_by_event`: a chain of close records stays together, so that parts do not touch.
    """
    values = np.asarray(times, "datetime64[ms]")
    out: list[Part] = ["train"] * len(values)
    done = 0
    for chain in _chains(values, apart_s):
        share = done / len(values)
        part: Part = "train"
        if share >= 1 - TEST_SHARE:
            part = "test"
        elif share >= 1 - TEST_SHARE - VALIDATION_SHARE:
            part = "validation"
        for i in chain:
            out[i] = part
        done += len(chain)
    return out


def _chains(values: NDArray[np.datetime64], apart_s: float) -> list[NDArray[np.intp]]:
    """Return the indices of each chain of close times, chains and indices in order of time."""
    if not len(values):
        return []
    order = np.argsort(values, kind="stable")
    apart = np.diff(values[order]) / np.timedelta64(1, "s") > apart_s
    return np.split(order, np.flatnonzero(apart) + 1)


def split_by_station(
    stations: Sequence[str], latitude: ArrayLike | None = None, longitude: ArrayLike | None = None
) -> list[Part]:
    """Return the part each record belongs to; all records of one site are in one part.

    Parameters
    ----------
    stations
        ``NET.STA`` of each record.
    latitude, longitude
        Of each record [degrees]: stations less than `SAME_SITE_KM` apart, or chained by such, are one site.
        Which part it belongs to follows from the first of its codes in the alphabet.

    Raises
    ------
    InputError
        When there are not as many coordinates as stations.
    """
    site = {name: name for name in sorted(set(stations))}
    if latitude is not None and longitude is not None:
        lat, lon = np.asarray(latitude, float), np.asarray(longitude, float)
        if not len(lat) == len(lon) == len(stations):
            raise InputError(f"{len(stations)} stations but {len(lat)} latitudes and {len(lon)} longitudes")
        where = {name: (lat[i], lon[i]) for i, name in reversed(list(enumerate(stations)))}
        names = [name for name in site if np.isfinite(where[name]).all()]
        places = np.array([where[name] for name in names]).reshape(-1, 2)
        for i, name in enumerate(names):
            far_km, _ = distance_azimuth(*places[i], *places.T)
            for j in np.flatnonzero(far_km < SAME_SITE_KM):
                old, new = sorted((site[names[j]], site[name]), reverse=True)
                if old != new:
                    site = {n: new if s == old else s for n, s in site.items()}
    return [part_of(site[name]) for name in stations]


def split_by_block(
    latitude: ArrayLike, longitude: ArrayLike, *, size_degree: float = BLOCK_DEGREE
) -> list[Part]:
    """Return the part each record belongs to; whole spatial blocks are held out; arguments as `blocks`."""
    keys = blocks(latitude, longitude, size_degree=size_degree)
    parts = {key: part_of(f"block {key}") for key in np.unique(keys)}
    return [parts[key] for key in keys]


def blocks(
    latitude: ArrayLike, longitude: ArrayLike, *, size_degree: float = BLOCK_DEGREE
) -> NDArray[np.str_]:
    """Return the spatial block each place lies in, such as ``35/139.5``: its south-western corner.

    Parameters
    ----------
    latitude, longitude
        Shape (n,) [degrees]; longitudes of 181 and -179 are one.
    size_degree
        Side of a block [degrees].

    Raises
    ------
    InputError
        When shapes differ, a place is missing, or the side is not between 0 and 90 degrees.
    """
    lat, lon = np.asarray(latitude, float), np.asarray(longitude, float)
    if lat.ndim != 1 or lat.shape != lon.shape:
        raise InputError(f"latitudes of shape {lat.shape} and longitudes of {lon.shape}; expected as many")
    if not (np.isfinite(lat).all() and np.isfinite(lon).all()):
        raise InputError("a place without coordinates lies in no block; give all of them, or leave it out")
    if not 0 < size_degree <= 90:
        raise InputError(f"the side of a block must lie between 0 and 90 degrees, found {size_degree}")
    south = np.floor(lat / size_degree) * size_degree
    west = np.floor(((lon + 180) % 360 - 180) / size_degree) * size_degree
    return np.array([f"{a:.6g}/{b:.6g}" for a, b in zip(south, west, strict=True)], dtype=np.str_)


def folds(keys: ArrayLike, *, n_fold: int = 5, seed: int = 0) -> NDArray[np.intp]:
    """Return the fold, 0 to ``n_fold`` - 1, of each record; records of one key are in one fold.

    Keys go, from the one with most records to the one with fewest, to the fold that has fewest so far; the
    seed settles the order of keys with as many.

    Parameters
    ----------
    keys
        What is to be kept together (event, site, block), shape (n,).
    n_fold, seed
        See above.

    Raises
    ------
    InputError
        When there are fewer keys than folds, or fewer than two folds.
    """
    names, which, count = np.unique(np.asarray(keys), return_inverse=True, return_counts=True)
    if not 2 <= n_fold <= len(names):
        if len(names) < 2:
            raise InputError(f"{n_fold} folds asked of {len(names)} group; two groups or more are needed")
        raise InputError(f"{n_fold} folds asked of {len(names)} groups; expected 2 to {len(names)}")
    shuffled = np.random.default_rng(seed).permutation(len(names))
    fold = np.zeros(len(names), np.intp)
    size = np.zeros(n_fold)
    for i in shuffled[np.argsort(-count[shuffled], kind="stable")]:
        fold[i] = size.argmin()
        size[fold[i]] += count[i]
    return fold[which]


def part_of(key: str, *, share: float = TEST_SHARE) -> Part:
    """Return the part a key belongs to, by its SHA-256: ``share`` of them test, one in ten validation."""
    draw = int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF
    if draw < share:
        return "test"
    return "validation" if draw < share + VALIDATION_SHARE else "train"


def audit(records: pd.DataFrame, by: SplitBy, *, apart_s: float = SAME_EVENT_S) -> pd.DataFrame:
    """Look for what one part of a split knows of another.

    Parameters
    ----------
    records
        A row per record: ``part``, ``event`` (empty: none), ``time`` (of the event, or of the record where
        there is none), ``station``, ``start`` and ``end`` of the samples, and ``digest`` (of the samples;
        records with the same have the same samples); with ``block`` (spatial), these too.
    by
        What the split promises to keep apart. Parts of a split by station share events, and the other way
        round; that is reported, not forbidden. Samples are never to be shared.
    apart_s
        Events closer in time than this [s] may be one under two names.

    Returns
    -------
    DataFrame
        `LEAKS`, a row per kind; ``n`` counts what stands in more than one part.
    """
    if by not in get_args(SplitBy):
        raise InputError(f"unknown split {by!r}; expected one of {', '.join(get_args(SplitBy))}")
    times = by in ("event", "time", "day")
    with_event = records[records["event"] != ""]
    rows = [
        _shared(with_event, "event", "the same event", forbidden=times),
        _close(with_event, apart_s, forbidden=by in ("event", "time")),
        _shared(records, "station", "the same station", forbidden=by == "station"),
        _overlapping(records),
        _shared(records, "digest", "the same samples, copied", forbidden=True),
        _order(records, forbidden=by == "time"),
    ]
    if "block" in records:
        rows.append(_shared(records, "block", "the same spatial block", forbidden=by == "block"))
    elif by == "block":
        raise InputError("a split by block needs a column block; see kaname.evaluate.splits.blocks")
    return table(rows, LEAKS)


def _leak(kind: str, forbidden: bool, n: int, n_total: int, detail: str = "") -> dict[str, Any]:
    return {"kind": kind, "forbidden": forbidden, "n": n, "n_total": n_total, "detail": detail if n else ""}


def _shared(records: pd.DataFrame, column: str, kind: str, *, forbidden: bool) -> dict[str, Any]:
    n_part = records.groupby(column)["part"].nunique()
    torn = n_part.index[n_part > 1]
    return _leak(kind, forbidden, len(torn), len(n_part), str(torn[0]) if len(torn) else "")


def _close(records: pd.DataFrame, apart_s: float, *, forbidden: bool) -> dict[str, Any]:
    """Two names of one earthquake: neighbours in time that stand in different parts."""
    events = records.sort_values("time").drop_duplicates(["event", "part"])
    time, part, name = (events[c].to_numpy() for c in ("time", "part", "event"))
    gap_s = np.diff(time) / np.timedelta64(1, "s")
    torn = np.flatnonzero((gap_s <= apart_s) & (part[1:] != part[:-1]) & (name[1:] != name[:-1]))
    detail = f"{name[torn[0]]} and {name[torn[0] + 1]}, {gap_s[torn[0]]:.0f} s apart" if len(torn) else ""
    kind = f"events within {apart_s:g} s that may be one"
    return _leak(kind, forbidden, len(torn), events["event"].nunique(), detail)


def _overlapping(records: pd.DataFrame) -> dict[str, Any]:
    n, detail = 0, ""
    for station, own in records.groupby("station"):
        own = own.sort_values("start")
        start, end, part = (own[c].to_numpy() for c in ("start", "end", "part"))
        for name in np.unique(part):
            # The latest end so far of the records of every other part.
            others = np.where(part != name, end, np.datetime64("1678-01-01", "ns"))
            reach = np.concatenate([[np.datetime64("1678-01-01", "ns")], np.maximum.accumulate(others)[:-1]])
            torn = np.flatnonzero((part == name) & (start < reach))
            n += len(torn)
            if len(torn) and not detail:
                detail = f"{station} at {start[torn[0]]}"
    return _leak("the same samples, in windows that overlap", True, n, len(records), detail)


def _order(records: pd.DataFrame, *, forbidden: bool) -> dict[str, Any]:
    held = records.loc[records["part"] != "train", "start"].min()
    late = records[(records["part"] == "train") & (records["end"] > held)]
    detail = f"trained on {late['end'].max()}, held out from {held}" if len(late) else ""
    return _leak(LATER, forbidden, len(late), len(records), detail)
