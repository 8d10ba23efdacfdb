"""Comparison of the events of a catalogue with one another, over all records of the network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from kaname import __version__
from kaname.archive.records import Records
from kaname.automation import similar
from kaname.automation.associate import event_identifier
from kaname.automation.similar import SimilaritySettings
from kaname.automation.survey import StationDay, used_channels
from kaname.core import tables
from kaname.core.execution import Engine, Task
from kaname.core.jobs import TaskOutput
from kaname.core.provenance import digest
from kaname.core.time import add_seconds

SCAN_S = 3600
"""Seconds of network records in one task of the similarity scan."""


def compare_events(
    records: Records,
    days: Sequence[StationDay],
    events: pd.DataFrame,
    arrivals: pd.DataFrame,
    settings: SimilaritySettings,
    engine: Engine,
) -> pd.DataFrame:
    """Slide the best events over all records: fill in the likeness of events, add the weaker ones found."""
    templates = _templates(records, days, events, arrivals, settings)
    if not templates:
        return events.sort_values(["time", "event_id"], ignore_index=True)
    ids = sorted({c.id for t in templates for c in t.channels})
    reach = max(c.offset_s + len(c.samples) / settings.rate_hz for t in templates for c in t.channels)
    tasks = []
    for low, high in _windows(records.spans[records.spans["id"].isin(ids)], days):
        part = records.part(ids, add_seconds(low, -5.0), add_seconds(high, reach + 2.0))
        contents = [(t.event_id, t.time, [(c.id, c.offset_s) for c in t.channels]) for t in templates]
        key = digest("similar", __version__, settings.model_dump(), contents, low, high, part.fingerprint)
        tasks.append(Task(key, f"similarity {low}", (part, templates, low, high, reach, settings)))
    outputs = engine.run(_scan, tasks, "Compare")
    found = tables.concat((o["detections"] for o in outputs if "detections" in o), similar.DETECTIONS)
    verdict = similar.judge(found, arrivals, settings)
    likeness = verdict.known.set_index("event_id")
    filled = events.copy()
    for column in ("similarity", "similar_to"):
        values = filled["event_id"].map(likeness[column])
        filled[column] = values.where(values.notna(), filled[column])
    fresh = tables.table(similar.as_events(verdict.found, event_identifier), tables.EVENTS)
    return tables.concat([filled, fresh], tables.EVENTS).sort_values(["time", "event_id"], ignore_index=True)


def _templates(
    records: Records,
    days: Sequence[StationDay],
    events: pd.DataFrame,
    arrivals: pd.DataFrame,
    settings: SimilaritySettings,
) -> list[similar.Template]:
    channels = used_channels(days)
    out = []
    for event_id in similar.best_templates(events, settings) if settings.templates else ():
        own = arrivals[arrivals["event_id"] == event_id]
        time = events.loc[events["event_id"] == event_id, "time"].iloc[0].to_datetime64()
        ids = sorted({i for k in set(zip(own["network"], own["station"])) for i in channels.get(k, ())})
        last = own["time"].max().to_datetime64()
        span = (last - time).astype(np.int64) / 1e9
        read = records.read(ids, add_seconds(time, -5.0), add_seconds(last, span + settings.length_s + 5.0))
        template = similar.make_template(
            event_id, time, own, similar.prepare(read.blocks, settings), settings
        )
        if template is not None:
            out.append(template)
    return out


def _windows(
    spans: pd.DataFrame, days: Sequence[StationDay]
) -> Iterable[tuple[np.datetime64, np.datetime64]]:
    """Stretches of at most an hour, on the hour, in which there are records and work was asked for."""
    first, last = min(d.start for d in days), max(d.end for d in days)
    step = np.timedelta64(SCAN_S, "s")
    hours: set[np.datetime64] = set()
    for row in spans.itertuples():
        hour = row.start.to_datetime64().astype("datetime64[h]").astype("datetime64[ns]")
        while hour < row.end.to_datetime64():
            hours.add(hour)
            hour = hour + step
    for hour in sorted(hours):
        low, high = max(hour, first), min(hour + step, last)
        if low < high:
            yield low, high


def _scan(
    records: Records,
    templates: Sequence[similar.Template],
    start: np.datetime64,
    end: np.datetime64,
    reach_s: float,
    settings: SimilaritySettings,
) -> TaskOutput:
    ids = sorted({c.id for t in templates for c in t.channels})
    read = records.read(ids, add_seconds(start, -5.0), add_seconds(end, reach_s + 2.0))
    prepared = similar.prepare(read.blocks, settings)
    # What cannot be read here was listed when it was picked.
    return {"detections": similar.scan(templates, start, end, prepared, settings)}
