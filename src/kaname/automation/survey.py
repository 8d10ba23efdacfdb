"""What records there are, which sensor of each station to use, and the station-days to work on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kaname.core.errors import InputError
from kaname.core.waveform import sensor_of

DAY = np.timedelta64(86_400_000_000_000, "ns")
SLOWEST_HZ = 10.0
"""Records slower than this hold no local P and S."""

_INSTRUMENTS = "HLPNG"
"""SEED instrument codes of ground motion in order of preference: seismometers before accelerometers."""
_BANDS = "HECSBDFGM"
"""SEED band codes in order of preference; the rate is judged by itself."""


@dataclass(frozen=True)
class StationDay:
    """The channels of one sensor and the UTC day (or the part of it) to work on."""

    network: str
    station: str
    ids: tuple[str, ...]
    """Channels of one sensor, sorted: vertical and two horizontals where there are."""
    start: np.datetime64
    end: np.datetime64
    available_s: float
    """Seconds of data of the best recorded channel."""

    @property
    def subject(self) -> str:
        """What to call it in messages."""
        return f"{sensor_of(self.ids[0])} {np.datetime_as_string(self.start, unit='D')}"


def station_days(
    spans: pd.DataFrame, *, start: np.datetime64 | None = None, end: np.datetime64 | None = None
) -> tuple[list[StationDay], dict[str, str]]:
    """Plan the work: for every station and UTC day the one sensor to use.

    A seismometer is preferred to an accelerometer, three components to one, and long records to all of
    these. Of six channels of one sensor, vertical and north-east are a set of their own.

    Parameters
    ----------
    spans
        Gap-free stretches of records: ``id``, ``start``, ``end`` (UTC, end exclusive), ``sampling_rate``.
    start, end
        Limits of the time wanted.

    Returns
    -------
    days
        In order of time, network and station.
    unused
        Channels that are never used, with the reason.

    Raises
    ------
    InputError
        When ``start`` is not before ``end``.
    """
    if start is not None and end is not None and start >= end:
        raise InputError(f"the time wanted is empty: start {start} is not before end {end}")
    unused: dict[str, str] = {}
    usable = []
    for identifier, rate in spans.groupby("id")["sampling_rate"].max().items():
        reason = _reason(str(identifier), float(rate))
        if reason:
            unused[str(identifier)] = reason
        else:
            usable.append(identifier)
    chosen = spans[spans["id"].isin(usable)]
    if start is not None:
        chosen = chosen[chosen["end"] > start]
    if end is not None:
        chosen = chosen[chosen["start"] < end]
    if chosen.empty:
        return [], unused
    first = max(chosen["start"].min().to_datetime64(), start or np.datetime64("1678-01-01", "ns"))
    last = min(chosen["end"].max().to_datetime64(), end or np.datetime64("2262-01-01", "ns"))
    days = []
    used: set[str] = set()
    day = first.astype("datetime64[D]").astype("datetime64[ns]")
    covering = _by_day(chosen)
    while day < last:
        low, high = max(day, first), min(day + DAY, last)
        for (network, station), ids in sorted(covering.get(day, {}).items()):
            available = _available(chosen, ids, low, high)
            best = max(_sensors(ids), key=lambda s: _rank(s, available, (high - low)))
            seconds = max(available.get(i, 0.0) for i in best)
            if seconds > 0:
                days.append(StationDay(network, station, best, low, high, seconds))
                used.update(best)
        day = day + DAY
    for identifier in set(map(str, usable)) - used:
        if identifier in set(chosen["id"]):
            unused[identifier] = "another sensor of the station was preferred"
    return days, dict(sorted(unused.items()))


def _reason(identifier: str, rate: float) -> str:
    """Why a channel cannot be used, or an empty text."""
    channel = identifier.rsplit(".", 1)[1]
    if rate < SLOWEST_HZ:
        return f"sampled at {rate:g} Hz, too slow for local P and S"
    if len(channel) == 3 and channel[1] not in _INSTRUMENTS:
        return f"instrument code {channel[1]!r} does not stand for ground motion"
    return ""


def _by_day(spans: pd.DataFrame) -> dict[np.datetime64, dict[tuple[str, str], set[str]]]:
    out: dict[np.datetime64, dict[tuple[str, str], set[str]]] = {}
    for row in spans.itertuples():
        network, station, *_ = row.id.split(".")
        day = row.start.to_datetime64().astype("datetime64[D]").astype("datetime64[ns]")
        while day < row.end.to_datetime64():
            out.setdefault(day, {}).setdefault((network, station), set()).add(row.id)
            day = day + DAY
    return out


def _available(
    spans: pd.DataFrame, ids: set[str], low: np.datetime64, high: np.datetime64
) -> dict[str, float]:
    own = spans[spans["id"].isin(ids) & (spans["end"] > low) & (spans["start"] < high)]
    seconds = (own["end"].clip(upper=high) - own["start"].clip(lower=low)).dt.total_seconds()
    return {str(k): float(v) for k, v in seconds.groupby(own["id"]).sum().items()}


def _sensors(ids: Iterable[str]) -> list[tuple[str, ...]]:
    """Split the channels of a station into sensors; Z, N, E and 1, 2, 3 of one sensor are two sets."""
    out: dict[tuple[str, str], list[str]] = {}
    by_sensor: dict[str, list[str]] = {}
    for identifier in sorted(ids):
        by_sensor.setdefault(sensor_of(identifier), []).append(identifier)
    for sensor, members in by_sensor.items():
        codes = {i[-1] for i in members}
        two_sets = bool(codes & set("NE")) and bool(codes & set("123"))
        for identifier in members:
            family = "numbered" if two_sets and identifier[-1] in "123" else ""
            out.setdefault((sensor, family), []).append(identifier)
    return [tuple(members) for members in out.values()]


def _rank(ids: tuple[str, ...], available: dict[str, float], wanted: np.timedelta64) -> tuple[float, ...]:
    channel = ids[0].rsplit(".", 1)[1]
    band, instrument = (channel[0], channel[1]) if len(channel) == 3 else ("", "")
    share = max(available.get(i, 0.0) for i in ids) / max(wanted.astype(np.int64) / 1e9, 1e-9)
    vertical = any(i.endswith("Z") for i in ids)
    return (
        round(share, 1),
        -(_INSTRUMENTS.find(instrument) if instrument in _INSTRUMENTS else len(_INSTRUMENTS)),
        min(len(ids), 3),
        vertical,
        -(_BANDS.find(band) if band and band in _BANDS else len(_BANDS)),
    )


def used_channels(days: Iterable[StationDay]) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return the channels used at each (network, station); where the sensor changed, the longest records'."""
    best: dict[tuple[str, str], tuple[float, tuple[str, ...]]] = {}
    for day in days:
        place = (day.network, day.station)
        if place not in best or day.available_s > best[place][0]:
            best[place] = (day.available_s, day.ids)
    return {place: ids for place, (_, ids) in best.items()}
