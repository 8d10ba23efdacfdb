"""The main job: from continuous records to a located catalogue, every step resumable and run anywhere."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from kaname import __version__
from kaname.archive.records import Records
from kaname.automation import similar
from kaname.automation.associate import AssociateSettings, associate, event_identifier
from kaname.automation.locate import LocateSettings, locate
from kaname.automation.magnitude import Amplitude, MagnitudeSettings, magnitudes, measure
from kaname.automation.pick.classical import ClassicalSettings
from kaname.automation.pick.stationday import HEALTH, LEAD_S, TAIL_S, merge, pick_station_day
from kaname.automation.refine import RefineSettings, believe, gather
from kaname.automation.similar import SimilaritySettings
from kaname.automation.survey import StationDay, station_days
from kaname.core import tables
from kaname.core.cache import cache_folder
from kaname.core.config import Settings
from kaname.core.errors import KanameError, NotFoundError, StorageError
from kaname.core.execution import Function, Task, execute
from kaname.core.jobs import JobStore, TaskOutput
from kaname.core.provenance import digest
from kaname.core.time import add_seconds
from kaname.core.waveform import align
from kaname.earth.velocity import VelocityModel
from kaname.formats.stations import Stations

log = logging.getLogger("kaname")

EVENTS_PER_TASK = 50
SCAN_S = 3600
"""Seconds of network records in one task of the similarity scan."""


class CatalogueSettings(Settings):
    """Configuration of the main job: a section for each step."""

    picker: str = Field("classical", description="picker: classical, pickerxl, seisbench:MODEL/WEIGHTS")
    merge_s: float = Field(
        0.3, ge=0, description="picks of one phase at one station closer than this are one [s]"
    )
    classical: ClassicalSettings = Field(default=ClassicalSettings(), description="the classical picker")
    associate: AssociateSettings = Field(default=AssociateSettings(), description="which picks are an event")
    locate: LocateSettings = Field(default=LocateSettings(), description="where an event is")
    refine: RefineSettings = Field(default=RefineSettings(), description="second look at an event")
    magnitude: MagnitudeSettings = Field(default=MagnitudeSettings(), description="how large an event is")
    similarity: SimilaritySettings = Field(
        default=SimilaritySettings(), description="likeness of events, and weaker ones found by it"
    )

    def of_picker(self) -> dict[str, Any]:
        """Return the settings of the chosen picker as a mapping."""
        return self.classical.model_dump() if self.picker == "classical" else {}


@dataclass(frozen=True)
class Catalogue:
    """Everything the main job makes."""

    events: pd.DataFrame
    arrivals: pd.DataFrame
    picks: pd.DataFrame
    failures: pd.DataFrame
    health: pd.DataFrame
    """A row per station-day: `kaname.automation.pick.stationday.HEALTH`."""
    rejected: pd.DataFrame
    """Coincidences of picks that were not believed to be earthquakes, with the reason."""
    station_terms: pd.DataFrame
    """Magnitude terms, see `kaname.automation.magnitude.magnitudes`."""
    unused: dict[str, str] = field(default_factory=dict)
    """Channels that were not used, with the reason."""


@dataclass(frozen=True)
class Engine:
    """Where the work is done and its results are kept."""

    workers: int = 1
    cluster: str | None = None
    store: JobStore | None = None

    def run(self, function: Function, tasks: Sequence[Task], label: str) -> list[TaskOutput]:
        """Run tasks and return their outputs in the order of the tasks."""
        outputs = {
            task.key: output
            for task, output in execute(
                function, tasks, label=label, workers=self.workers, cluster=self.cluster, store=self.store
            )
        }
        return [outputs[task.key] for task in tasks]


def build(
    records: Records,
    stations: Stations,
    model: VelocityModel,
    *,
    settings: CatalogueSettings | None = None,
    start: np.datetime64 | None = None,
    end: np.datetime64 | None = None,
    engine: Engine | None = None,
) -> Catalogue:
    """Make a catalogue.

    Parameters
    ----------
    records
        The waveforms.
    stations
        Coordinates and, where there are, responses.
    model
        Velocity model.
    settings
        How each step works.
    start, end
        Limits of the time wanted, UTC.
    engine
        Processes or cluster, and the store that lets a killed run resume.

    Raises
    ------
    NotFoundError
        When there are no usable records in the time wanted.
    """
    settings, engine = settings or CatalogueSettings(), engine or Engine()
    days, unused = station_days(records.spans, start=start, end=end)
    if not days:
        raise NotFoundError(
            f"no usable records between {start or 'the beginning'} and {end or 'the end'}; "
            f"{len(records.spans)} stretches of {records.spans['id'].nunique()} channels were found"
            + "".join(f"\n  {k}: {v}" for k, v in list(unused.items())[:10])
        )
    picks, health, failures = pick(records, days, settings, engine)
    if health.empty:
        told = tables.concat(failures, tables.FAILURES)["message"].iloc[0]
        raise KanameError(
            f"none of the {len(days)} station-days could be picked; the first failed with: {told}"
        )
    recording = _recording(records.spans, days)
    single = {k for k, n in health.groupby(["network", "station"])["n_channel"].max().items() if n == 1}
    located = find_events(picks, stations, model, recording, settings, engine, single=single)
    failures.extend(located.failures)
    sized = size_events(records, days, stations, located, settings, engine)
    failures.extend(sized.failures)
    events = compare_events(records, days, sized.events, located.arrivals, settings, engine)
    every = tables.concat(failures, tables.FAILURES)
    return Catalogue(
        events=events,
        arrivals=sized.arrivals,
        picks=picks,
        failures=every.drop_duplicates(["subject", "error", "message"], ignore_index=True),
        health=health,
        rejected=located.rejected,
        station_terms=sized.terms,
        unused=unused,
    )


def _recording(spans: pd.DataFrame, days: Iterable[StationDay]) -> pd.DataFrame:
    """When which station recorded, on the channels that are used."""
    used = {i for day in days for i in day.ids}
    own = spans[spans["id"].isin(used)]
    codes = own["id"].str.split(".", expand=True)
    frame = own[["start", "end"]].assign(network=codes[0], station=codes[1])
    return frame.drop_duplicates(ignore_index=True)


def pick(
    records: Records, days: Sequence[StationDay], settings: CatalogueSettings, engine: Engine
) -> tuple[pd.DataFrame, pd.DataFrame, list[pd.DataFrame]]:
    """Pick all station-days; return the ``picks``, the health of the station-days, and the failures."""
    lead, tail = np.timedelta64(LEAD_S, "s"), np.timedelta64(TAIL_S, "s")
    own = settings.of_picker()
    tasks = []
    for day in days:
        part = records.part(day.ids, day.start - lead, day.end + tail)
        key = digest("pick", __version__, settings.picker, own, day.subject, day, part.fingerprint)
        tasks.append(Task(key, day.subject, (part, day, settings.picker, own)))
    outputs = engine.run(pick_station_day, tasks, "Pick")
    picks = tables.concat((o["picks"] for o in outputs if "picks" in o), tables.PICKS)
    health = tables.concat((o["health"] for o in outputs if "health" in o), HEALTH)
    return merge(picks, within_s=settings.merge_s), health, [o["failures"] for o in outputs]


@dataclass(frozen=True)
class Located:
    """Believed events with their arrivals, what was not believed, and what went wrong."""

    events: pd.DataFrame
    arrivals: pd.DataFrame
    rejected: pd.DataFrame
    failures: list[pd.DataFrame]


def find_events(
    picks: pd.DataFrame,
    stations: Stations,
    model: VelocityModel,
    recording: pd.DataFrame,
    settings: CatalogueSettings,
    engine: Engine,
    *,
    single: Collection[tuple[str, str]] = (),
) -> Located:
    """Associate picks, locate the events, gather what belongs to them and locate them anew."""
    place, cache = stations.table, _table_cache()
    failures: list[pd.DataFrame] = []
    found: list[tuple[pd.DataFrame, pd.DataFrame]] = []
    free = picks
    # The sure picks first: a doubtful pick near the time of a sure one would lead the search astray.
    for least in (settings.associate.sure_probability, 0.0):
        sure = free[~(free["probability"] < least)].reset_index(drop=True)
        assigned = _associated(sure, place, model, settings, engine, failures)
        events, arrivals = _locate(assigned, place, model, settings, engine, failures)
        for _ in range(settings.refine.rounds if len(events) else 0):
            gathered = gather(
                events, arrivals, free, place, model, settings.refine, single=single, cache=cache
            )
            if _same(gathered, arrivals):
                break
            events, arrivals = _locate(gathered, place, model, settings, engine, failures)
        found.append((events, arrivals))
        free = free[~free["pick_id"].isin(arrivals["pick_id"])].reset_index(drop=True)
    verdict = believe(
        tables.concat((e for e, _ in found), tables.EVENTS),
        tables.concat((a for _, a in found), tables.ARRIVALS),
        place,
        recording,
        settings.refine,
    )
    return Located(verdict.events, verdict.arrivals, verdict.rejected, failures)


def _same(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Tell whether two tables tie the same picks to the same events as the same phases."""
    keys = ["event_id", "pick_id", "phase"]
    return set(one[keys].itertuples(index=False)) == set(other[keys].itertuples(index=False))


def _associated(
    picks: pd.DataFrame,
    stations: pd.DataFrame,
    model: VelocityModel,
    settings: CatalogueSettings,
    engine: Engine,
    failures: list[pd.DataFrame],
) -> pd.DataFrame:
    key = digest(
        "associate", __version__, settings.associate.model_dump(), model.key, _hash(picks), _hash(stations)
    )
    task = Task(key, "association", (picks, stations, model, settings.associate))
    output = engine.run(_associate, [task], "Associate")[0]
    failures.append(output["failures"])
    return output.get("assigned", picks.iloc[:0].assign(event_id=""))


def _associate(
    picks: pd.DataFrame, stations: pd.DataFrame, model: VelocityModel, settings: AssociateSettings
) -> TaskOutput:
    result = associate(picks, stations, model, settings=settings)
    return {"assigned": result.assigned, "failures": result.failures}


def _locate(
    assigned: pd.DataFrame,
    stations: pd.DataFrame,
    model: VelocityModel,
    settings: CatalogueSettings,
    engine: Engine,
    failures: list[pd.DataFrame],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    tasks = []
    for ids in _chunks(sorted(set(assigned["event_id"])), EVENTS_PER_TASK):
        own = assigned[assigned["event_id"].isin(ids)]
        own = own[["event_id", *tables.PICKS.names]].reset_index(drop=True)
        key = digest(
            "locate", __version__, settings.locate.model_dump(), model.key, _hash(own), _hash(stations)
        )
        tasks.append(Task(key, f"location of {ids[0]} to {ids[-1]}", (own, stations, model, settings.locate)))
    outputs = engine.run(_locate_task, tasks, "Locate")
    failures.extend(o["failures"] for o in outputs)
    events = tables.concat((o["events"] for o in outputs if "events" in o), tables.EVENTS)
    arrivals = tables.concat((o["arrivals"] for o in outputs if "arrivals" in o), tables.ARRIVALS)
    return events, arrivals


def _locate_task(
    assigned: pd.DataFrame, stations: pd.DataFrame, model: VelocityModel, settings: LocateSettings
) -> TaskOutput:
    result = locate(assigned, stations, model, settings=settings, cache=_table_cache())
    return {"events": result.events, "arrivals": result.arrivals, "failures": result.failures}


def _table_cache() -> Path | None:
    """Where travel-time tables are kept; without a cache they are computed anew, which is only slower."""
    try:
        return cache_folder() / "traveltime"
    except StorageError as error:
        log.warning("%s", error)
        return None


@dataclass(frozen=True)
class Sized:
    """Events and arrivals with magnitudes, the station terms, and what went wrong."""

    events: pd.DataFrame
    arrivals: pd.DataFrame
    terms: pd.DataFrame
    failures: list[pd.DataFrame]


def size_events(
    records: Records,
    days: Sequence[StationDay],
    stations: Stations,
    located: Located,
    settings: CatalogueSettings,
    engine: Engine,
) -> Sized:
    """Read amplitudes of all events at the stations that saw them, and turn them into magnitudes."""
    channels = _channels(days)
    tasks = []
    for ids in _chunks(sorted(located.events["event_id"]), EVENTS_PER_TASK):
        events = located.events[located.events["event_id"].isin(ids)]
        arrivals = located.arrivals[located.arrivals["event_id"].isin(ids)]
        jobs = [
            _Reading(str(event.event_id), event.time.to_datetime64(), *times, channels[place])
            for event in events.itertuples()
            for place, times in _onsets(arrivals[arrivals["event_id"] == event.event_id]).items()
            if place in channels
        ]
        if not jobs:
            continue
        wanted = sorted({i for job in jobs for i in job.ids})
        first, last = min(j.start for j in jobs), max(j.end for j in jobs)
        part = records.part(wanted, first, last)
        responses = {i: _response(stations, i, first) for i in wanted}
        key = digest(
            "amplitude", __version__, settings.magnitude.model_dump(), jobs, part.fingerprint,
            {i: repr(r) for i, r in responses.items()},
        )  # fmt: skip
        tasks.append(
            Task(key, f"amplitudes of {ids[0]} to {ids[-1]}", (part, jobs, responses, settings.magnitude))
        )
    outputs = engine.run(_amplitudes, tasks, "Measure amplitudes")
    amplitudes = [
        Amplitude(**row) for o in outputs if "amplitudes" in o for row in o["amplitudes"].to_dict("records")
    ]
    result = magnitudes(
        located.events, located.arrivals, amplitudes, stations=stations.table, settings=settings.magnitude
    )
    return Sized(result.events, result.arrivals, result.station_terms, [o["failures"] for o in outputs])


@dataclass(frozen=True)
class _Reading:
    """One amplitude to read."""

    event_id: str
    origin: np.datetime64
    p_time: np.datetime64
    s_time: np.datetime64 | None
    ids: tuple[str, ...]

    @property
    def start(self) -> np.datetime64:
        return add_seconds(self.p_time, -20.0)

    @property
    def end(self) -> np.datetime64:
        travel = (self.p_time - self.origin).astype(np.int64) / 1e9
        return add_seconds(self.p_time, 10.0 + 3.0 * max(travel, 0.0))


def _onsets(
    arrivals: pd.DataFrame,
) -> dict[tuple[str, str], tuple[np.datetime64, np.datetime64 | None]]:
    """P and S time by (network, station); a station with S alone is left out."""
    out: dict[tuple[str, str], tuple[np.datetime64, np.datetime64 | None]] = {}
    for (network, station), own in arrivals.groupby(["network", "station"], sort=True):
        p, s = (own.loc[own["phase"] == phase, "time"] for phase in "PS")
        if len(p):
            out[(str(network), str(station))] = (
                p.min().to_datetime64(),
                s.min().to_datetime64() if len(s) else None,
            )
    return out


def _channels(days: Iterable[StationDay]) -> dict[tuple[str, str], tuple[str, ...]]:
    """The channels used at each station; where the sensor changed, that of the longest records."""
    best: dict[tuple[str, str], tuple[float, tuple[str, ...]]] = {}
    for day in days:
        place = (day.network, day.station)
        if place not in best or day.available_s > best[place][0]:
            best[place] = (day.available_s, day.ids)
    return {place: ids for place, (_, ids) in best.items()}


def _response(stations: Stations, identifier: str, time: np.datetime64) -> Any:
    try:
        return stations.response(identifier, time)
    except NotFoundError:
        return None  # then the magnitude of this station is relative, and says so


def _amplitudes(
    records: Records, jobs: Sequence[_Reading], responses: dict[str, Any], settings: MagnitudeSettings
) -> TaskOutput:
    rows = []
    failures: list[dict[str, Any]] = []
    for job in jobs:
        read = records.read(job.ids, job.start, job.end)
        failures.extend(read.failures)
        for block in align(read.blocks):
            if not (block.start <= job.p_time < block.end):
                continue
            found = measure(
                job.event_id,
                job.origin,
                job.p_time,
                job.s_time,
                block,
                response=responses.get(block.ids[0]),
                settings=settings,
            )
            if found is not None:
                rows.append(vars(found))
                break
    return {
        "amplitudes": pd.DataFrame(rows, columns=list(Amplitude.__dataclass_fields__)),
        "failures": tables.table(failures, tables.FAILURES),
    }


def compare_events(
    records: Records,
    days: Sequence[StationDay],
    events: pd.DataFrame,
    arrivals: pd.DataFrame,
    settings: CatalogueSettings,
    engine: Engine,
) -> pd.DataFrame:
    """Slide the best events over all records: fill in the likeness of events, add the weaker ones found."""
    chosen = settings.similarity
    templates = _templates(records, days, events, arrivals, chosen)
    if not templates:
        return events.sort_values(["time", "event_id"], ignore_index=True)
    ids = sorted({c.id for t in templates for c in t.channels})
    reach = max(c.offset_s + len(c.samples) / chosen.rate_hz for t in templates for c in t.channels)
    tasks = []
    for low, high in _windows(records.spans[records.spans["id"].isin(ids)], days):
        part = records.part(ids, add_seconds(low, -5.0), add_seconds(high, reach + 2.0))
        contents = [(t.event_id, t.time, [(c.id, c.offset_s) for c in t.channels]) for t in templates]
        key = digest("similar", __version__, chosen.model_dump(), contents, low, high, part.fingerprint)
        tasks.append(Task(key, f"similarity {low}", (part, templates, low, high, reach, chosen)))
    outputs = engine.run(_scan, tasks, "Compare")
    found = tables.concat((o["detections"] for o in outputs if "detections" in o), similar.DETECTIONS)
    verdict = similar.judge(found, arrivals, chosen)
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
    channels = _channels(days)
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


def _hash(frame: pd.DataFrame) -> str:
    hashed = pd.util.hash_pandas_object(frame.reset_index(drop=True), index=False)
    return digest(list(map(str, frame.columns)), hashed.to_numpy().tobytes().hex())


def _chunks(items: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]
