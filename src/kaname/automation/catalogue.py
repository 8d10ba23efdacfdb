"""The main job: from continuous records to a located catalogue, every step resumable and run anywhere."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, Field

from kaname import __version__
from kaname.archive.records import Records
from kaname.automation.associate import AssociateSettings, associate
from kaname.automation.compare import compare_events
from kaname.automation.locate import LocateSettings, locate
from kaname.automation.magnitude import Amplitude, MagnitudeSettings, magnitudes, measure
from kaname.automation.pick.classical import ClassicalSettings
from kaname.automation.pick.kaname import KanamePickerSettings
from kaname.automation.pick.stationday import HEALTH, LEAD_S, TAIL_S, merge, pick_station_day
from kaname.automation.refine import RefineSettings, believe, gather
from kaname.automation.similar import SimilaritySettings
from kaname.automation.survey import StationDay, station_days, used_channels
from kaname.core import tables
from kaname.core.cache import cache_folder
from kaname.core.config import Settings
from kaname.core.errors import KanameError, NotFoundError, StorageError
from kaname.core.execution import Engine, Task
from kaname.core.jobs import TaskOutput
from kaname.core.provenance import digest
from kaname.core.time import add_seconds
from kaname.core.waveform import align
from kaname.earth.velocity import VelocityModel
from kaname.formats.stations import Stations

log = logging.getLogger("kaname")

EVENTS_PER_TASK = 50


class CatalogueSettings(Settings):
    """Configuration of the main job: a section for each step."""

    picker: str = Field(
        "kaname",
        description="picker: kaname, kaname:MODEL.onnx, classical, pickerxl, seisbench:MODEL/WEIGHTS",
    )
    merge_s: float = Field(
        0.3, ge=0, description="picks of one phase at one station closer than this are one [s]"
    )
    # Lower than for single stations: an associator sorts out false picks.
    kaname: KanamePickerSettings = Field(
        default=KanamePickerSettings(min_probability_p=0.3, min_probability_s=0.3),
        description="our own picker",
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
        own: BaseModel | None = {"kaname": self.kaname, "classical": self.classical}.get(
            self.picker.partition(":")[0]
        )
        return {} if own is None else own.model_dump()


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
    events = compare_events(records, days, sized.events, located.arrivals, settings.similarity, engine)
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
    channels = used_channels(days)
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


def _hash(frame: pd.DataFrame) -> str:
    hashed = pd.util.hash_pandas_object(frame.reset_index(drop=True), index=False)
    return digest(list(map(str, frame.columns)), hashed.to_numpy().tobytes().hex())


def _chunks(items: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]
