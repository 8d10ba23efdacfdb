"""The database of strong motion: a folder of Parquet tables that DuckDB queries.

``ground_motions`` has one row per record (`kaname.core.shaking.GROUND_MOTIONS`), ``record_measures`` every
measure and the full spectra, ``fourier`` the Fourier amplitudes, ``components`` the peaks of each component
beside those of its header, ``events`` the earthquakes, ``failures`` what could not be read. Every table is
replaced as a whole, in one rename; finished records are remembered, so that a build that was stopped takes
up where it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import kaname
from kaname.core import tables
from kaname.core.errors import InputError, KanameError, NotFoundError
from kaname.core.execution import Engine, Task
from kaname.core.geo import distance_azimuth
from kaname.core.jobs import JobStore, TaskOutput
from kaname.core.provenance import digest
from kaname.core.shaking import GROUND_MOTIONS
from kaname.core.tables import EVENTS, FAILURES, Column, Schema
from kaname.earth.ruptures import Rupture, distances
from kaname.formats.srcmod import FiniteSource, read_srcmod
from kaname.formats.stations import Stations, read_stations
from kaname.modeling.strong_motion.duplicates import EVENT_KM, MINUTE_S, link
from kaname.modeling.strong_motion.flatfiles import read_flatfile
from kaname.modeling.strong_motion.gathering import (
    Inputs,
    Record,
    gather_records,
    gather_waveforms,
    sort_inputs,
)
from kaname.modeling.strong_motion.measuring import FOURIER, RECORD_MEASURES, measure
from kaname.modeling.strong_motion.processing import Processed, Settings, process
from kaname.modeling.strong_motion.sites import read_vs30, with_sites

JOBS_NAME = "jobs.sqlite"
RUPTURE_KM, RUPTURE_MAGNITUDE = 100.0, 0.5
LEAST_SLIP_SHARE = 0.1
FELT_S = 400.0
"""A record without a stated earthquake is of one that happened no longer before its end than this."""

COMPONENTS = Schema(
    "components",
    "Every component of every record: its direction and its peaks.",
    (
        Column("record_id", "string", "record, as in ground_motions", required=True),
        Column("channel", "string", "channel code", required=True),
        Column("azimuth_deg", "float", "direction of positive motion", "degree", low=0, high=360),
        Column("vertical", "bool", "whether it is the vertical"),
        Column("peak_read", "float", "peak of the samples as read, in the unit of the header's"),
        Column("peak_header", "float", "peak that the header states"),
        Column("peak_header_text", "string", "as it is printed"),
        Column("pga_cm_s2", "float", "peak acceleration, processed", "cm/s2", low=0),
        Column("pgv_cm_s", "float", "peak velocity, processed", "cm/s", low=0),
        Column("pgd_cm", "float", "peak displacement, processed", "cm", low=0),
    ),
    key=("record_id", "channel"),
)
TABLES: dict[str, Schema] = {
    "ground_motions": GROUND_MOTIONS,
    "record_measures": RECORD_MEASURES,
    "fourier": FOURIER,
    "components": COMPONENTS,
    "events": EVENTS,
    "failures": FAILURES,
}


@dataclass
class Built:
    """What a build wrote."""

    folder: Path
    counts: dict[str, int] = field(default_factory=dict)
    failures: pd.DataFrame = field(default_factory=lambda: tables.empty(FAILURES))


def build_database(
    inputs: Sequence[str | Path],
    folder: str | Path,
    *,
    settings: Settings | None = None,
    tectonic_region: str = "",
    licence: str = "",
    vs30: str | Path | None = None,
    workers: int = 1,
) -> Built:
    """Read, process and measure every record of the inputs and write or extend the database.

    Parameters
    ----------
    inputs
        Files and folders: strong-motion records, waveforms with their StationXML, flatfiles, ``event.json``,
        finite sources (``.fsp``).
    folder
        The database; what is in it already stays.
    settings
        How records are processed.
    tectonic_region, licence
        Of all inputs, as they do not state it themselves.
    vs30
        Vs30 by place (GeoTIFF or CSV) for the sites that state none; see `sites.read_vs30`.
    workers
        Processes.

    Raises
    ------
    NotFoundError
        When there is no such input or map.
    FormatError
        When the map is none.
    InputError
        When there is no such tectonic region.
    """
    if tectonic_region not in GROUND_MOTIONS["tectonic_region"].choices:
        known = ", ".join(filter(None, GROUND_MOTIONS["tectonic_region"].choices))
        raise InputError(f"no tectonic region {tectonic_region!r}; known are {known}")
    out = Path(folder)
    vs30_map = None if vs30 is None else read_vs30(vs30)
    found = sort_inputs(inputs)
    failures = [_unknown(path) for path in found.others]
    tasks = _tasks(found, settings or Settings())
    with JobStore(out / JOBS_NAME) as store:
        outputs = Engine(workers, store=store).run(_process_folder, tasks, "Records")
    parts: dict[str, list[pd.DataFrame]] = {name: [] for name in TABLES}
    for output in outputs:
        for name, frame in output.items():
            parts[name].append(frame)
    parts["failures"].append(tables.table(failures, FAILURES))
    for path in found.flatfiles:
        read = read_flatfile(path)
        parts["ground_motions"].append(read.table)
        parts["failures"].append(read.failures)
    frames = {name: _together(name, parts[name]) for name in TABLES}
    new = frames["ground_motions"]
    new["tectonic_region"] = new["tectonic_region"].where(new["tectonic_region"] != "", tectonic_region)
    new["licence"] = new["licence"].where(new["licence"] != "", licence)
    merged = {name: _extended(out, name, frame) for name, frame in frames.items()}
    linked = link(merged["ground_motions"])
    merged["ground_motions"] = tables.validate(with_sites(linked, vs30_map=vs30_map), GROUND_MOTIONS)
    for path in found.ruptures:
        try:
            merged["ground_motions"] = with_rupture(merged["ground_motions"], read_srcmod(path))
        except KanameError as error:
            parts["failures"].append(tables.table([_failed(path, error)], FAILURES))
    merged["events"] = _events(merged["ground_motions"])
    merged["failures"] = frames["failures"] = _together("failures", parts["failures"])
    for name, frame in merged.items():
        tables.write_table(frame, out / f"{name}.parquet", TABLES[name])
    return Built(out, {name: len(frame) for name, frame in merged.items()}, frames["failures"])


def with_rupture(ground_motions: pd.DataFrame, model: FiniteSource) -> pd.DataFrame:
    """Return ``ground_motions`` with distances from a finite source, for the records of its earthquake.

    The earthquake is the one of its day within `RUPTURE_KM` and `RUPTURE_MAGNITUDE`; what slipped less than
    `LEAST_SLIP_SHARE` of the most is no part of the rupture. Only distances from a point are replaced:
    those that a flatfile has measured from a rupture of its own stay.

    Raises
    ------
    NotFoundError
        When no earthquake of the table is the model's.
    """
    frame = ground_motions.copy()
    latitude, longitude, _ = model.hypocentre
    day = pd.Timestamp(model.day)
    apart, _ = distance_azimuth(frame["event_latitude"], frame["event_longitude"], latitude, longitude)
    same = (
        ((frame["event_time"] - day).abs() <= pd.Timedelta(days=2))
        & (apart <= RUPTURE_KM)
        & ((frame["magnitude"] - model.magnitude).abs() <= RUPTURE_MAGNITUDE)
    )
    if not same.any():
        raise NotFoundError(
            f"no earthquake in the database is that of {model.tag} ({model.event}, {model.day})"
        )
    f = model.subfaults
    rows = same & (frame["source_model"] == "point") & frame["latitude"].notna()
    rupture = Rupture(model.hypocentre, model.corners(least_slip_share=LEAST_SLIP_SHARE))
    found = distances(rupture, frame.loc[rows, "latitude"], frame.loc[rows, "longitude"])
    for name in ("rjb_km", "rrup_km", "rx_km"):
        frame.loc[rows, name] = np.asarray(getattr(found, name))
    slipped = f[f["slip_m"] >= LEAST_SLIP_SHARE * f["slip_m"].max()]
    frame.loc[rows, "ztor_km"] = slipped["depth_km"].min()
    frame.loc[rows, "strike_deg"] = f["strike_deg"].iloc[0] % 360.0
    frame.loc[rows, "dip_deg"] = f["dip_deg"].iloc[0]
    mean_rake = np.angle(np.nansum(f["slip_m"] * np.exp(1j * np.radians(f["rake_deg"]))), deg=True)
    frame.loc[rows, "rake_deg"] = float(mean_rake)
    frame.loc[rows, "source_model"] = model.tag or "finite"
    return tables.validate(frame, GROUND_MOTIONS)


def query(folder: str | Path, sql: str) -> pd.DataFrame:
    """Return the answer of a database to SQL (DuckDB); its tables are those of `TABLES`.

    Raises
    ------
    NotFoundError
        When the folder holds no database.
    InputError
        When the SQL is wrong.
    """
    import duckdb

    source = Path(folder)
    present = [name for name in TABLES if (source / f"{name}.parquet").is_file()]
    if "ground_motions" not in present:
        raise NotFoundError(f"no database of strong motion in {source}; make one with kaname records build")
    with duckdb.connect() as connection:
        for name in present:
            path = str(source / f"{name}.parquet").replace("'", "''")
            connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{path}')")
        try:
            answer = connection.sql(sql)
            if answer is None:
                raise InputError(f"{sql!r} asks nothing; expected one SELECT")
            return answer.df()
        except duckdb.Error as error:
            raise InputError(f"the database cannot answer {sql!r}: {error}") from error


def _tasks(found: Inputs, settings: Settings) -> list[Task]:
    """One task per folder: components of a record may lie in several files, not in several folders."""
    folders: dict[Path, tuple[list[Path], list[Path]]] = {}
    for path in found.records:
        folders.setdefault(path.parent, ([], []))[0].append(path)
    for path in found.waveforms:
        folders.setdefault(path.parent, ([], []))[1].append(path)
    tasks = []
    for folder, (records, waveforms) in sorted(folders.items()):
        stamps = [(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in [*records, *waveforms]]
        stations = found.stations if waveforms else []
        events = [e for e in found.events if Path(e["source"]).parent in (folder, *folder.parents)]
        own = events or found.events
        key = digest("records", kaname.__version__, stamps, stations, own, settings.model_dump())
        tasks.append(Task(key, str(folder), (records, waveforms, stations, own, settings)))
    return tasks


def _process_folder(
    records: list[Path],
    waveforms: list[Path],
    stations: list[Path],
    events: list[dict[str, Any]],
    settings: Settings,
) -> TaskOutput:
    gathered, failures = gather_records(records)
    if waveforms:
        known: Stations | None = read_stations(stations) if stations else None
        more, wrong = gather_waveforms(waveforms, known)
        gathered += more
        failures += wrong + ([] if known is None else known.failures)
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    rows["failures"] = failures
    taken: set[str] = set()
    for record in gathered:
        stem = f"{record.sensor}/{pd.Timestamp(record.samples.start):%Y%m%dT%H%M%S}"
        record_id = next(n for n in (stem, *(f"{stem}~{k}" for k in range(2, 1 << 16))) if n not in taken)
        taken.add(record_id)
        _add(record, record_id, events, settings, rows)
    return {name: tables.table(rows[name], TABLES[name]) for name in TABLES if name != "events"}


def _add(
    record: Record,
    record_id: str,
    events: list[dict[str, Any]],
    settings: Settings,
    rows: dict[str, list[dict[str, Any]]],
) -> None:
    h = record.header
    event, reasons = event_for(record, events)
    horizontals = record.horizontals
    if horizontals is None:
        reasons = [*reasons, _no_pair(record)]
    known = range(record.acceleration.n_channel)
    processed = process(
        record.acceleration,
        stage=h.stage,
        horizontals=horizontals or (known[0], known[-1]),
        corners_hz=(h.corner_low_hz, h.corner_high_hz),
        clipped=record.clipped,
        late_trigger=h.late_trigger,
        film=record.film,
        settings=settings,
    )
    reasons = [*reasons, *processed.reasons]
    row: dict[str, Any] = {
        "record_id": record_id,
        **event,
        "network": record.sensor.split(".")[0],
        "station": record.sensor.split(".")[1],
        "location": record.sensor.split(".")[2],
        "latitude": h.latitude,
        "longitude": h.longitude,
        "elevation_m": h.elevation_m,
        "sensor_depth_m": h.sensor_depth_m,
        "vs30_m_s": h.vs30_m_s,
        "corner_low_hz": processed.corner_low_hz,
        "corner_high_hz": processed.corner_high_hz,
        "longest_period_s": processed.longest_period_s,
        "quality": "rejected" if reasons else "used",
        "reason": "; ".join(reasons or _notes(record, processed)),
        "source": record.source,
        "licence": h.licence,
    }
    row |= _distances(row)
    if horizontals is not None and not processed.reasons:
        wide, measures, fourier = measure(
            record_id, processed, horizontals, record.vertical, record.acceleration
        )
        row |= {**wide, "component": "rotd50"}
        rows["record_measures"] += measures
        rows["fourier"] += fourier
    kept, wrong = tables.sift(row, GROUND_MOTIONS)
    if wrong:
        rows["failures"].append(
            {"step": "measure", "subject": record_id, "error": "SchemaError", "message": "; ".join(wrong)}
        )
    if kept:
        rows["ground_motions"].append(kept)
    rows["components"] += _components(record, record_id, processed)


def _notes(record: Record, processed: Processed) -> list[str]:
    film = ["digitised film, put on even samples by straight lines"] if record.film else []
    return [*film, *processed.notes]


def _no_pair(record: Record) -> str:
    n = sum(not v for v in record.verticals)
    if n == 2:
        return "its two horizontals are not at a right angle"
    return f"{n} horizontal components of two"


def _components(record: Record, record_id: str, processed: Processed) -> list[dict[str, Any]]:
    rows = []
    for k, identifier in enumerate(record.samples.ids):
        x = np.asarray(record.samples.data[k], float)
        if record.header.format == "knet":
            x = x - x.mean()  # NIED's Max. Acc. is the largest departure from the mean
        stated = record.peaks[k]
        rows.append(
            {
                "record_id": record_id,
                "channel": identifier.rsplit(".", 1)[1],
                "azimuth_deg": record.azimuths_deg[k],
                "vertical": record.verticals[k],
                "peak_read": float(np.abs(x).max() / record.peak_factors[k]),
                "peak_header": abs(float(stated)) if stated else np.nan,
                "peak_header_text": stated,
                "pga_cm_s2": float(np.abs(processed.acceleration.data[k]).max()),
                "pgv_cm_s": float(np.abs(processed.velocity[k]).max()),
                "pgd_cm": float(np.abs(processed.displacement[k]).max()),
            }
        )
    return rows


def event_for(record: Record, events: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    """Return the event columns of a record, and a reason to reject it when no earthquake is known for it.

    A catalogue's event comes before the header's, when it fits what the header says; of a record whose header
    says nothing it is the last one before the end of the record, by no more than `FELT_S`.
    """
    h = record.header
    stated = not np.isnat(h.origin_time) and np.isfinite([h.event_latitude, h.event_longitude]).all()
    best, least = None, np.inf
    for event in events:
        time = pd.Timestamp(event["time"]).to_datetime64()
        if stated:
            lag = abs((time - h.origin_time) / np.timedelta64(1, "s"))
            fits = lag <= MINUTE_S and _near(h, event)
        else:
            lag = (record.samples.end - time) / np.timedelta64(1, "s")
            fits = 0 <= lag <= max(FELT_S, record.samples.duration_s)
        if fits and lag < least:
            best, least = event, lag
    if best is not None:
        return {
            "event_id": best["event_id"],
            "event_time": best["time"],
            "event_latitude": best["latitude"],
            "event_longitude": best["longitude"],
            "event_depth_km": best["depth_km"],
            "magnitude": best["magnitude"],
            "magnitude_type": best["magnitude_type"],
        }, []
    start = pd.Timestamp(h.origin_time if stated else record.samples.start)
    row: dict[str, Any] = {"event_id": h.event_id or f"{start:%Y%m%dT%H%M%S}"}
    if not stated:
        return row, ["no earthquake is known for it"]
    return row | {
        "event_time": start,
        "event_latitude": h.event_latitude,
        "event_longitude": h.event_longitude,
        "event_depth_km": h.event_depth_km,
        "magnitude": h.magnitude,
        "magnitude_type": h.magnitude_type,
    }, []


def _near(h: Any, event: dict[str, Any]) -> bool:
    apart, _ = distance_azimuth(h.event_latitude, h.event_longitude, event["latitude"], event["longitude"])
    return float(apart) <= EVENT_KM


def _distances(row: dict[str, Any]) -> dict[str, Any]:
    """Distances of a point source: what is nearer of a rupture that is not known stays unknown."""
    nan = float("nan")
    place = [float(row.get(f"event_{name}", nan)) for name in ("latitude", "longitude", "depth_km")]
    if not np.isfinite([*place, row["latitude"], row["longitude"]]).all():
        return {"source_model": ""}
    d = distances(Rupture.point(*place), row["latitude"], row["longitude"])
    _, azimuth = distance_azimuth(place[0], place[1], row["latitude"], row["longitude"])
    return {
        "source_model": "point",
        "repi_km": float(np.ravel(d.repi_km)[0]),
        "rhypo_km": float(np.ravel(d.rhypo_km)[0]),
        "rjb_km": float(np.ravel(d.rjb_km)[0]),
        "rrup_km": float(np.ravel(d.rrup_km)[0]),
        "azimuth_deg": float(azimuth),
    }


def _failed(path: Path, error: Exception) -> dict[str, Any]:
    return {"step": "read", "subject": str(path), "error": type(error).__name__, "message": str(error)}


def _unknown(path: Path) -> dict[str, Any]:
    message = f"{path} is neither a record nor a table that is known, nor an event or stations: left out"
    return {"step": "read", "subject": str(path), "error": "FormatError", "message": message}


def _events(ground_motions: pd.DataFrame) -> pd.DataFrame:
    """One row per earthquake whose time and place are known, as its first record has them."""
    names = {f"event_{c}": c for c in ("time", "latitude", "longitude", "depth_km")}
    frame = ground_motions[["event_id", *names, "magnitude", "magnitude_type"]].rename(columns=names)
    known = frame.dropna(subset=["time", "latitude", "longitude"]).drop_duplicates("event_id")
    return tables.table(known.sort_values("time").to_dict("records"), EVENTS)


def _together(name: str, frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Stack the tables of a build; a record that came twice (the same file in two folders) stands once."""
    schema = TABLES[name]
    filled = [f for f in frames if len(f)]
    if not filled:
        return tables.empty(schema)
    frame = pd.concat(filled, ignore_index=True)
    if schema.key:
        frame = frame.drop_duplicates(list(schema.key), ignore_index=True)
    return tables.validate(frame, schema)


def _extended(folder: Path, name: str, new: pd.DataFrame) -> pd.DataFrame:
    """The rows that are in the database already and not among the new ones, and the new ones."""
    path = folder / f"{name}.parquet"
    schema = TABLES[name]
    if not path.is_file() or name == "failures":
        return new
    old = tables.read_table(path, schema)
    key = "record_id" if "record_id" in schema.names else "event_id"
    frame = pd.concat([old[~old[key].isin(set(new[key]))], new], ignore_index=True)
    return tables.validate(frame, schema)
