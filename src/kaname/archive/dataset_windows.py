"""Which stretches of which sensors go into a training set: about every event's onsets, and of quiet."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from kaname.archive.records import Records
from kaname.core.config import Settings
from kaname.core.tables import ARRIVALS, PICKS
from kaname.core.time import add_seconds, seconds_between
from kaname.core.waveform import sensor_of
from kaname.formats.eventset import EventSet

_TRIES = 50


class WindowSettings(Settings):
    """Where windows begin and end."""

    window_s: float = Field(120.0, gt=0, description="least length, where the records last [s]")
    shortest_s: float = Field(
        30.0, gt=0, description="windows of which the records hold less than this are left out [s]"
    )
    lead_s: float = Field(20.0, ge=0, description="least time before the first onset [s]")
    jitter_s: float = Field(
        40.0,
        ge=0,
        description="up to so much more before the first onset, drawn by a hash of event and sensor [s]; "
        "without it every onset stands at the same sample, which a network learns",
    )
    after_s: float = Field(40.0, ge=0, description="least time after the last onset [s]")
    noise: float = Field(0.0, ge=0, description="windows of noise per window with an onset")
    quiet_before_s: float = Field(60.0, ge=0, description="noise ends so long before any onset [s]")
    quiet_after_s: float = Field(
        600.0, ge=0, description="noise begins so long after any onset or origin [s]"
    )
    seed: int = Field(0, ge=0, description="seed of the noise windows")


@dataclass(frozen=True)
class Onset:
    """An onset in a window: row of the arrivals with what its pick adds."""

    phase: str
    time: np.datetime64
    row: dict[str, Any] = field(compare=False)


@dataclass(frozen=True)
class Window:
    """A stretch of the channels of one sensor."""

    ids: tuple[str, ...]
    start: np.datetime64
    end: np.datetime64
    event: dict[str, Any] | None
    """Row of the events table; ``None``: noise."""
    onsets: tuple[Onset, ...] = ()
    """First P and first S of the event."""
    others: tuple[Onset, ...] = ()
    """Further onsets that lie in it, of this event or another, and picks of none."""

    @property
    def sensor(self) -> str:
        """``NET.STA.LOC.BI``."""
        return sensor_of(self.ids[0])

    @property
    def time(self) -> np.datetime64:
        """Time of the event; of noise, its start."""
        return self.start if self.event is None else np.datetime64(self.event["time"], "ns")


def choose_windows(
    records: Records, catalogue: EventSet, settings: WindowSettings
) -> tuple[list[Window], list[dict[str, Any]]]:
    """Choose the windows of every event and sensor with an onset, and the noise wanted.

    An onset belongs to the sensors of its station; where it states location or channel, to those. A station
    that states no network, as in SEISAN, matches any.

    Parameters
    ----------
    records
        What there is; a window must touch it.
    catalogue
        Events with arrivals; picks add first motion and confidence, and those of no event keep noise away.
    settings
        Lengths, and how much noise.

    Returns
    -------
    windows, failures
        In order of time; and rows of the failures table: onsets without records.
    """
    onsets = _onsets(catalogue)
    sensors = _sensors(records)
    events = {row["event_id"]: row for row in catalogue.events.to_dict("records")}
    at = {sensor: [o for o in onsets if _fits(o.row, sensor)] for sensor in sensors}
    failures = _unrecorded(onsets, sensors)
    windows = []
    for sensor, ids in sensors.items():
        for window in _about_events(ids, at[sensor], events, settings):
            clipped = _clip(window, records)
            if clipped is None or seconds_between(clipped.start, clipped.end) < settings.shortest_s:
                failures.append(_short(window, clipped, settings))
            else:
                windows.append(clipped)
    n_noise = round(settings.noise * len(windows))
    windows += _noise(records, sensors, at, catalogue, n_noise, settings)
    return sorted(windows, key=lambda w: (w.time, w.ids, w.start)), failures


def _unrecorded(onsets: list[Onset], sensors: dict[str, tuple[str, ...]]) -> list[dict[str, Any]]:
    """Tell of stations that have onsets and no records, one row each."""
    recorded = {sensor.split(".")[1] for sensor in sensors}
    absent = Counter(
        o.row["station"] for o in onsets if o.row["event_id"] and o.row["station"] not in recorded
    )
    return [
        _failure(station, f"{n} onsets, but no records of this station were given")
        for station, n in absent.items()
    ]


def _short(window: Window, clipped: Window | None, settings: WindowSettings) -> dict[str, Any]:
    there_s = 0.0 if clipped is None else seconds_between(clipped.start, clipped.end)
    message = f"{there_s:.1f} s about the onset are recorded, at least {settings.shortest_s:g} s are wanted"
    return _failure(window.sensor, message) | {"start": window.start, "end": window.end}


def _failure(subject: str, message: str) -> dict[str, Any]:
    return {"step": "dataset", "subject": subject, "error": "NotFoundError", "message": message}


def _onsets(catalogue: EventSet) -> list[Onset]:
    """Return arrivals with what their picks add, and picks of no event."""
    arrivals = catalogue.arrivals.reindex(columns=list(ARRIVALS.names))
    own = [c for c in PICKS.names if c not in ARRIVALS.names]
    picks = catalogue.picks.reindex(columns=list(PICKS.names))
    merged = arrivals.merge(picks[["pick_id", *own]], on="pick_id", how="left")
    loose = picks[~picks["pick_id"].isin(arrivals["pick_id"])].assign(event_id="")
    rows = [*merged.to_dict("records"), *loose.to_dict("records")]
    return sorted((Onset(r["phase"], np.datetime64(r["time"], "ns"), r) for r in rows), key=lambda o: o.time)


def _sensors(records: Records) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for identifier in sorted(set(records.spans["id"])):
        found.setdefault(sensor_of(identifier), []).append(identifier)
    return {sensor: tuple(ids) for sensor, ids in found.items()}


def _fits(row: dict[str, Any], sensor: str) -> bool:
    network, station, location, band = sensor.split(".")
    stated = str(row["channel"])
    return (
        row["station"] == station
        and row["network"] in ("", network)
        and row["location"] in ("", location)
        and (len(stated) < 3 or stated[:2] == band)  # SEISAN's two letters do not say the band
    )


def _about_events(
    ids: tuple[str, ...], onsets: list[Onset], events: dict[str, dict[str, Any]], settings: WindowSettings
) -> Iterator[Window]:
    by_event: dict[str, list[Onset]] = {}
    for onset in onsets:
        if onset.row["event_id"] in events:
            by_event.setdefault(onset.row["event_id"], []).append(onset)
    for event_id, own in by_event.items():
        first = {o.phase: o for o in reversed(own)}
        share = int(hashlib.sha256(f"{event_id} {ids[0]}".encode()).hexdigest()[:8], 16) / 0xFFFFFFFF
        start = add_seconds(own[0].time, -settings.lead_s - settings.jitter_s * share)
        end = max(add_seconds(start, settings.window_s), add_seconds(own[-1].time, settings.after_s))
        others = tuple(o for o in onsets if start <= o.time < end and o not in first.values())
        chosen = tuple(sorted(first.values(), key=lambda o: o.time))
        yield Window(ids, start, end, events[event_id], chosen, others)


def _clip(window: Window, records: Records) -> Window | None:
    """Cut a window to the time from which and until which all its components are there.

    Records of single events are often shorter than a window. Gaps inside are left in.
    """
    spans = records.part(window.ids, window.start, window.end).spans
    if spans.empty:
        return None
    reach = spans.groupby("id").agg({"start": "min", "end": "max"})
    start = max(window.start, reach["start"].max().to_datetime64())
    end = min(window.end, reach["end"].min().to_datetime64())
    if not any(start <= onset.time < end for onset in window.onsets):
        return None
    onsets, others = (
        tuple(o for o in some if start <= o.time < end) for some in (window.onsets, window.others)
    )
    return replace(window, start=start, end=end, onsets=onsets, others=others)


def _noise(
    records: Records,
    sensors: dict[str, tuple[str, ...]],
    at: dict[str, list[Onset]],
    catalogue: EventSet,
    n: int,
    settings: WindowSettings,
) -> Iterator[Window]:
    """Draw windows without an onset at the sensor and away from every event of the catalogue."""
    spans = records.spans
    length_s = (spans["end"] - spans["start"]).dt.total_seconds().to_numpy() - settings.window_s
    usable = np.flatnonzero(length_s > 0)
    if not n or not len(usable):
        return
    rng = np.random.default_rng(settings.seed)
    share = length_s[usable] / length_s[usable].sum()
    origins = catalogue.events["time"].to_numpy()
    loud = {
        s: np.sort(np.concatenate([origins, [o.time for o in own]])) if own else np.sort(origins)
        for s, own in at.items()
    }
    taken: dict[str, list[np.datetime64]] = {}
    for _ in range(_TRIES * n):
        i = int(rng.choice(usable, p=share))
        start = add_seconds(spans["start"].iloc[i].to_datetime64(), float(rng.uniform(0, length_s[i])))
        end = add_seconds(start, settings.window_s)
        sensor = sensor_of(spans["id"].iloc[i])
        near = loud[sensor]
        low = add_seconds(start, -settings.quiet_after_s)
        high = add_seconds(end, settings.quiet_before_s)
        if np.searchsorted(near, low) != np.searchsorted(near, high):
            continue
        if any(abs(seconds_between(t, start)) < settings.window_s for t in taken.get(sensor, ())):
            continue
        taken.setdefault(sensor, []).append(start)
        yield Window(sensors[sensor], start, end, None)
        n -= 1
        if not n:
            return


def spread_s(windows: list[Window]) -> float:
    """Return how far apart events must be that no window of one can touch a window of the other [s]."""
    after = max((seconds_between(w.time, w.end) for w in windows), default=0.0)
    before = max((seconds_between(w.start, w.time) for w in windows), default=0.0)
    return after + max(before, 0.0)


def as_frame(windows: list[Window]) -> pd.DataFrame:
    """Return windows as a table for `kaname.evaluate.splits.audit`, without part and digest."""
    return pd.DataFrame(
        {
            "event": ["" if w.event is None else str(w.event["event_id"]) for w in windows],
            "time": np.array([w.time for w in windows], "datetime64[ns]"),
            "station": [".".join(w.ids[0].split(".")[:2]) for w in windows],
            "start": np.array([w.start for w in windows], "datetime64[ns]"),
            "end": np.array([w.end for w in windows], "datetime64[ns]"),
        }
    )
