"""What ``kaname catalog`` and ``kaname demo`` share: run the main job into a folder and report on it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from kaname.archive.lock import exclusive
from kaname.archive.records import Records
from kaname.automation.catalogue import Catalogue, CatalogueSettings, build
from kaname.automation.magnitude import STATION_TERMS
from kaname.automation.pick.stationday import HEALTH
from kaname.automation.refine import REJECTED
from kaname.core import tables
from kaname.core.config import Settings as BaseSettings
from kaname.core.errors import ExitCode, StorageError
from kaname.core.execution import Engine
from kaname.core.jobs import JobStore
from kaname.core.provenance import inputs_of, software, write_json
from kaname.core.time import add_seconds, isoformat
from kaname.core.waveform import Waveform
from kaname.earth.velocity import DEFAULT_MODEL, VelocityModel, named_model
from kaname.evaluate.catalogues import CatalogueScore, preferred, score
from kaname.formats.catalogs import EventSet, write_events
from kaname.formats.stations import Stations, read_stations
from kaname.report.html import CatalogueReport
from kaname.report.reference import Reference
from kaname.signal.filters import bandpass, filter_block, rest_state

log = logging.getLogger("kaname")

WORK = ".kaname"
"""Folder within the output that holds finished tasks; it may be deleted, then everything is done anew."""
CONVENTIONAL_STATIONS = 6
SHOWN_BAND_HZ = (2.0, 20.0)


class ReportSettings(BaseSettings):
    """What the report shows."""

    title: str = Field("Earthquake catalogue", description="title of the page")
    event_sections: int = Field(
        50, ge=0, description="how many events, the largest first, are shown with their records"
    )


class Settings(CatalogueSettings):
    """Configuration of ``kaname catalog``."""

    velocity_model: str = Field(
        "",
        description="velocity model file, or iasp91 or ak135; --velocity-model goes before it; none: iasp91",
    )
    report: ReportSettings = Field(default=ReportSettings(), description="the HTML report")


@dataclass(frozen=True)
class Request:
    """One run: what to read, where to write, how."""

    data: Sequence[str | Path]
    stations: Sequence[Path]
    out: Path
    settings: Settings
    model: str = ""
    start: np.datetime64 | None = None
    end: np.datetime64 | None = None
    workers: int = 1
    cluster: str | None = None
    references: EventSet | None = None
    """Solutions by others, shown beside ours."""
    scored: bool = True
    """Whether `references` is a catalogue of the same time, to be scored against."""
    caveats: Sequence[str] = ()
    command: Sequence[str] = field(default_factory=lambda: tuple(sys.argv))


@dataclass(frozen=True)
class Outcome:
    """What a run made."""

    catalogue: Catalogue
    summary: dict[str, Any]
    references: EventSet | None
    score: CatalogueScore | None

    @property
    def exit_code(self) -> ExitCode:
        """Partial when anything stands in the failures table."""
        return ExitCode.PARTIAL if len(self.catalogue.failures) else ExitCode.OK


def velocity_model(name: str) -> VelocityModel:
    """Return a model by file or by name; an empty name gives the default."""
    if name and Path(name).exists():
        return VelocityModel.read(Path(name))
    return named_model(name or DEFAULT_MODEL)


def run(request: Request) -> Outcome:
    """Make the catalogue, write every output and the report.

    Raises
    ------
    KanameError
        When nothing could be done; whatever was finished is kept for the next run.
    """
    started = datetime.now(UTC)
    work = request.out / WORK
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make the folder {work}: {error.strerror or error}") from error
    with exclusive(work / "lock", wait_s=0), JobStore(work / "jobs.sqlite") as store:
        stations = read_stations(request.stations)
        model = velocity_model(request.model or request.settings.velocity_model)
        records, unread = Records.survey(
            request.data, workers=request.workers, cluster=request.cluster, store=store
        )
        catalogue = build(
            records,
            stations,
            model,
            settings=request.settings,
            start=request.start,
            end=request.end,
            engine=Engine(request.workers, request.cluster, store),
        )
        catalogue = _with_failures(catalogue, unread, stations, records)
        compared = _compare(catalogue, request.references) if request.scored else None
        summary = _summary(catalogue, model, records, compared)
        provenance = {
            "command": list(request.command),
            "started": started.isoformat(timespec="seconds"),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "software": software(),
            "velocity_model": _describe(model),
            "configuration": request.settings.model_dump(mode="json"),
            "limits": {"start": str(request.start or ""), "end": str(request.end or "")},
            "seed": request.settings.locate.seed,
            "inputs": inputs_of([*_files(records), *request.stations]),
            "unused_channels": catalogue.unused,
            "summary": summary,
        }
        _write(request.out, catalogue, stations, provenance)
        _report(request, catalogue, stations, model, records, summary).write(request.out / "report.html")
    return Outcome(catalogue, summary, request.references, compared)


def _files(records: Records) -> list[Path]:
    from kaname.archive.store import INDEX_NAME, is_archive

    paths = [Path(p) for p in set(records.spans["path"])]
    return [p / INDEX_NAME if is_archive(p) else p for p in paths]


def _with_failures(
    catalogue: Catalogue, unread: pd.DataFrame, stations: Stations, records: Records
) -> Catalogue:
    """Put the failures of reading before those of the steps; stations without records are no concern."""
    from dataclasses import replace

    recorded = {identifier.split(".")[1] for identifier in records.spans["id"]}
    about = [
        row
        for row in stations.failures
        if row["subject"].count(".") != 2 or row["subject"].split(".")[1] in recorded
    ]
    every = tables.concat(
        [unread, tables.table(about, tables.FAILURES), catalogue.failures], tables.FAILURES
    ).drop_duplicates(["subject", "error", "message"], ignore_index=True)
    return replace(catalogue, failures=every)


def _compare(catalogue: Catalogue, references: EventSet | None) -> CatalogueScore | None:
    if references is None or references.events.empty:
        return None
    return score(catalogue.events, preferred(references.events))


def _summary(
    catalogue: Catalogue, model: VelocityModel, records: Records, compared: CatalogueScore | None
) -> dict[str, Any]:
    events = catalogue.events
    located = events[events["latitude"].notna()]
    summary: dict[str, Any] = {
        "events": len(events),
        "located": len(located),
        "found_by_similarity": int((events["quality"] == "unlocated").sum()),
        "quality": {str(k): int(v) for k, v in located["quality"].value_counts().sort_index().items()},
        "picks": {phase: int((catalogue.picks["phase"] == phase).sum()) for phase in "PS"},
        "not_believed": len(catalogue.rejected),
        "stations": int(catalogue.health[["network", "station"]].drop_duplicates().shape[0]),
        "station_hours": round(float(catalogue.health["available_s"].sum()) / 3600, 2),
        "first": _time(catalogue.health["start"].min()),
        "last": _time(catalogue.health["end"].max()),
        "velocity_model": model.name,
        "failures": len(catalogue.failures),
    }
    if compared is not None:
        summary["against_reference"] = {
            "reference_events": compared.n_reference,
            "found": compared.n_found,
            "located": compared.n_located,
            "not_in_reference": compared.n_extra,
            "epicentre_km": _rounded(compared.epicentre_km),
            "depth_km": _rounded(compared.depth_km),
            "magnitude": _rounded(compared.magnitude),
            "constant_answer": {
                "epicentre_km": _rounded(compared.constant_epicentre_km),
                "depth_km": _rounded(compared.constant_depth_km),
                "magnitude": _rounded(compared.constant_magnitude),
            },
            "distance_correlation": _rounded(compared.distance_correlation),
            "in_68_percent_ellipsoid": [compared.covered, compared.n_located],
            "coverage_95_percent_interval": [
                _rounded(compared.coverage_low),
                _rounded(compared.coverage_high),
            ],
        }
    return summary


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 3)


def _time(time: pd.Timestamp) -> str:
    return isoformat(time.to_datetime64(), decimals=2)


def _describe(model: VelocityModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "reference": model.reference,
        "interpolation": model.interpolation,
        "depth_km": model.depth_km.tolist(),
        "vp_km_s": model.vp_km_s.tolist(),
        "vs_km_s": model.vs_km_s.tolist(),
    }


def _write(out: Path, catalogue: Catalogue, stations: Stations, provenance: dict[str, Any]) -> None:
    """Write the tables and the catalogue; ``run.json`` last, so that its presence says that all is there."""
    (out / "run.json").unlink(missing_ok=True)
    tables.write_table(catalogue.events, out / "events.parquet", tables.EVENTS)
    tables.write_table(catalogue.arrivals, out / "arrivals.parquet", tables.ARRIVALS)
    tables.write_table(catalogue.picks, out / "picks.parquet", tables.PICKS)
    tables.write_table(catalogue.failures, out / "failures.parquet", tables.FAILURES)
    tables.write_table(catalogue.health, out / "health.parquet", HEALTH)
    tables.write_table(stations.table, out / "stations.parquet", tables.STATIONS)
    tables.write_table(catalogue.rejected, out / "rejected.parquet", REJECTED)
    tables.write_table(catalogue.station_terms, out / "station_terms.parquet", STATION_TERMS)
    found = EventSet(catalogue.events, catalogue.arrivals, catalogue.picks)
    for name in ("catalog.xml", "events.csv"):
        write_events(found, out / name)
    write_json(out / "run.json", provenance)


def _report(
    request: Request,
    catalogue: Catalogue,
    stations: Stations,
    model: VelocityModel,
    records: Records,
    summary: dict[str, Any],
) -> CatalogueReport:
    recorded = {tuple(identifier.split(".")[:2]) for identifier in records.spans["id"]}
    place = stations.table
    shown = place[
        [
            (n, s) in recorded or (not n and s in {code for _, code in recorded})
            for n, s in zip(place["network"], place["station"])
        ]
    ]
    availability = catalogue.health.rename(columns={"available_s": "recorded_s"})
    return CatalogueReport(
        events=catalogue.events,
        arrivals=catalogue.arrivals,
        picks=catalogue.picks,
        stations=shown,
        failures=catalogue.failures,
        title=request.settings.report.title,
        run={"command": " ".join(map(str, request.command)), **summary, "software": software()},
        caveats=[*request.caveats, *caveats(catalogue, model, request)],
        references=_references(request.references),
        waveforms=lambda event_id: _records_of(event_id, catalogue, records),
        waveform_note=f"band-passed {SHOWN_BAND_HZ[0]:g} to {SHOWN_BAND_HZ[1]:g} Hz",
        availability=availability[["network", "station", "start", "end", "recorded_s"]],
        event_sections=request.settings.report.event_sections,
    )


def _references(known: EventSet | None) -> list[Reference]:
    if known is None:
        return []
    return [
        Reference(_label(row.event_id), row.time, row.latitude, row.longitude, row.depth_km, row.magnitude)
        for row in known.events[known.events["latitude"].notna()].itertuples()
    ]


def _label(event_id: str) -> str:
    """The last part of an identifier, short enough for a map."""
    return event_id.rsplit("/", 1)[-1][:24]


def _records_of(event_id: str, catalogue: Catalogue, records: Records) -> list[Waveform]:
    """Band-passed records of an event at the stations that saw it; all of the network if it is unlocated."""
    event = catalogue.events[catalogue.events["event_id"] == event_id].iloc[0]
    own = catalogue.arrivals[catalogue.arrivals["event_id"] == event_id]
    time = event["time"].to_datetime64()
    seen = set(zip(own["network"], own["station"]))
    sensors = set(catalogue.health["sensor"])
    ids = sorted(
        i
        for i in set(records.spans["id"])
        if i[:-1] in sensors and (not seen or tuple(i.split(".")[:2]) in seen)
    )
    last = own["time"].max().to_datetime64() if len(own) else add_seconds(time, 5.0)
    tail = add_seconds(last, 3.0 + 0.3 * (last - time).astype(np.int64) / 1e9)
    out = []
    for block in records.read(ids, add_seconds(time, -8.0), tail).blocks:
        high = min(SHOWN_BAND_HZ[1], 0.4 * block.sampling_rate)
        data = np.asarray(block.data, float)
        if high <= SHOWN_BAND_HZ[0] or not np.isfinite(data).all():
            continue
        sos = bandpass(SHOWN_BAND_HZ[0], high, block.sampling_rate)
        filtered, _ = filter_block(sos, data, rest_state(sos, data[:, 0]))
        ready = Waveform(filtered, block.ids, block.start, block.sampling_rate, block.unit)
        shown = ready.slice(add_seconds(time, -2.0), tail)
        if shown is not None:
            out.append(shown)
    return out


def caveats(catalogue: Catalogue, model: VelocityModel, request: Request) -> list[str]:
    """Say in plain language what in this catalogue cannot be trusted, from what the run itself knows."""
    said = []
    health, events = catalogue.health, catalogue.events
    located = events[events["latitude"].notna()]
    places = health[["network", "station"]].drop_duplicates()
    if len(places) < CONVENTIONAL_STATIONS:
        said.append(
            f"Only {len(places)} stations recorded. A location has four unknowns, so little is left to check "
            "it with: one wrong pick moves an event without leaving a large residual."
        )
    single = health.groupby("station")["n_channel"].max().lt(2)
    if single.any():
        names = ", ".join(single[single].index[:8])
        said.append(
            f"{single.sum()} of {len(single)} stations have a single component ({names}"
            f"{', ...' if single.sum() > 8 else ''}): S is uncertain or missing there, and depth with it."
        )
    if model.name == DEFAULT_MODEL and not (request.model or request.settings.velocity_model):
        said.append(
            f"No velocity model was given; {model.name}, a global average, was used. Depths and absolute "
            "positions are biased wherever the crust differs; give --velocity-model."
        )
    if len(located):
        wide = (located["azimuthal_gap_deg"] > 180).sum()
        if wide:
            said.append(
                f"{wide} of {len(located)} located events lie outside the network (gap over 180 degrees)."
            )
        poor = located["quality"].isin(["C", "D"]).sum()
        if poor:
            said.append(f"{poor} of {len(located)} located events are of quality C or D: poorly constrained.")
        if (located["magnitude_type"] == "ML_relative").any():
            said.append(
                "No instrument response was known: magnitudes are relative. Differences between events mean "
                "something, the level does not."
            )
    alone = (events["quality"] == "unlocated").sum()
    if alone:
        said.append(
            f"{alone} events are too weak to locate and are listed on the evidence of their likeness to a "
            "located event."
        )
    if len(catalogue.rejected):
        said.append(
            f"{len(catalogue.rejected)} coincidences of picks were not believed to be earthquakes; "
            "rejected.parquet lists them with the reason."
        )
    return said
