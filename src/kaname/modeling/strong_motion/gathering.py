"""What lies in the inputs: files by kind, and components put together to records of one sensor.

Networks deliver a component per file or all in one, so components are put together by what they are, not by
the file they came in: same station, same instrument, same start to within `TOGETHER_S`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kaname.core.errors import FormatError, InputError, KanameError, NotFoundError
from kaname.core.tables import EVENTS, table
from kaname.core.waveform import Waveform, align, sensor_of
from kaname.formats.accelerograms import Accelerogram, RecordHeader, is_accelerogram, read_accelerograms
from kaname.formats.contract import read_waveforms
from kaname.formats.stations import Stations
from kaname.modeling.strong_motion.flatfiles import is_flatfile
from kaname.signal.defects import count_clipped

TOGETHER_S = 1.0
_RIGHT_ANGLE_DEG = 5.0
_EVEN_RATE_HZ = 200.0
_RESPONSE_BAND = (0.01, 0.02, 0.85, 0.95)
"""Where the response is taken away: flanks [Hz] below, and as parts of half the rate above."""
_NEAR_FULL_SCALE = int(0.8 * 2**23)
_STATION_SUFFIXES = {".xml", ".stationxml"}
_RUPTURE_SUFFIXES = {".fsp"}


@dataclass
class Inputs:
    """Files by what they hold."""

    records: list[Path] = field(default_factory=list)
    waveforms: list[Path] = field(default_factory=list)
    """Waveforms without headers of strong motion: miniSEED and the like, whose stations are needed."""
    stations: list[Path] = field(default_factory=list)
    flatfiles: list[Path] = field(default_factory=list)
    ruptures: list[Path] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    """Rows of `kaname.core.tables.EVENTS` from ``event.json`` files, with their ``source``."""
    others: list[Path] = field(default_factory=list)


@dataclass(frozen=True)
class Record:
    """The components of one sensor on common samples."""

    header: RecordHeader
    """Of the first component; what a component states for itself is in `azimuths_deg` and `peaks`."""
    sensor: str
    """``NET.STA.LOC.BI``."""
    samples: Waveform
    """As read, counts or cm/s^2, ``(n_channel, n_sample)``."""
    acceleration: Waveform
    """Scaled to cm/s^2."""
    azimuths_deg: tuple[float, ...]
    verticals: tuple[bool, ...]
    peaks: tuple[str, ...]
    """As the headers print them."""
    peak_factors: tuple[float, ...]
    source: str
    film: bool = False
    """Whether it was digitised from film."""

    @property
    def horizontals(self) -> tuple[int, int] | None:
        """The two horizontals, when there are two at a right angle (or numbered ones, which are built so)."""
        found = [k for k, vertical in enumerate(self.verticals) if not vertical]
        if len(found) != 2:
            return None
        between = (self.azimuths_deg[found[0]] - self.azimuths_deg[found[1]]) % 180.0
        if np.isfinite(between) and abs(between - 90.0) > _RIGHT_ANGLE_DEG:
            return None
        return found[0], found[1]

    @property
    def vertical(self) -> int | None:
        """The vertical, when there is one."""
        found = [k for k, vertical in enumerate(self.verticals) if vertical]
        return found[0] if len(found) == 1 else None

    @property
    def clipped(self) -> tuple[str, ...]:
        """Channels whose counts are clipped."""
        if self.samples.unit != "count":
            return ()
        return tuple(
            identifier.rsplit(".", 1)[1]
            for identifier, x in zip(self.samples.ids, self.samples.data)
            if count_clipped(x, x.min(), x.max()) or _saturated(identifier, x)
        )


def _saturated(identifier: str, counts: np.ndarray) -> bool:
    """Tell whether a seismometer has come near the full scale of 24 bits: it bends long before it breaks."""
    accelerometer = identifier.rsplit(".", 1)[1][1:2] == "N"
    return not accelerometer and int(np.abs(counts).max()) >= _NEAR_FULL_SCALE


def sort_inputs(paths: Sequence[str | Path]) -> Inputs:
    """Find out what the files, and the files in folders, hold.

    Raises
    ------
    NotFoundError
        When there is no such file or folder, or no file in any of them.
    """
    out = Inputs()
    for given in map(Path, paths):
        if not given.exists():
            raise NotFoundError(f"no such file or folder: {given}")
        files = [given] if given.is_file() else sorted(p for p in given.rglob("*") if p.is_file())
        for path in files:
            if not any(part.startswith(".") for part in path.relative_to(given.parent).parts):
                _sort(path, out)
    if not any(vars(out).values()):
        raise NotFoundError(f"there are no files in {', '.join(map(str, paths))}")
    return out


def _sort(path: Path, out: Inputs) -> None:
    suffix = path.suffix.lower()
    if path.stat().st_size == 0:
        out.others.append(path)
    elif suffix == ".json" and (event := event_of(path)):
        out.events.append(event)
    elif suffix in _RUPTURE_SUFFIXES:
        out.ruptures.append(path)
    elif suffix in _STATION_SUFFIXES:
        out.stations.append(path)
    elif is_accelerogram(path):
        out.records.append(path)
    elif suffix in (".csv", ".gz", ".json") and is_flatfile(path):
        out.flatfiles.append(path)
    elif _is_waveform(path):
        out.waveforms.append(path)
    else:
        out.others.append(path)


def _is_waveform(path: Path) -> bool:
    from kaname.formats.contract import HEAD_BYTES, readers

    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    return any(reader.sniff(head, path) for name, reader in readers().items() if name != "obspy")


def event_of(path: Path) -> dict[str, Any] | None:
    """Return the event of an ``event.json``: flat (id, time, lat, lon, depth, magnitude) or USGS GeoJSON."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            return None
        if content.get("type") == "Feature":
            p, place = content["properties"], content["geometry"]["coordinates"]
            row = {
                "event_id": str(content["id"]),
                "time": pd.Timestamp(int(p["time"]), unit="ms"),
                "longitude": float(place[0]),
                "latitude": float(place[1]),
                "depth_km": float(place[2]),
                "magnitude": float(p["mag"]),
                "magnitude_type": str(p.get("magType") or ""),
            }
        else:
            row = {
                "event_id": str(content["id"]),
                "time": pd.Timestamp(content["time"]),
                "latitude": float(content["lat"]),
                "longitude": float(content["lon"]),
                "depth_km": float(content["depth"]),
                "magnitude": float(content["magnitude"]),
                "magnitude_type": str(content.get("magnitude_type") or ""),
            }
        table([row], EVENTS)
    except (KeyError, TypeError, ValueError, OSError, KanameError):
        return None
    return {**row, "source": str(path)}


def gather_records(paths: Sequence[Path]) -> tuple[list[Record], list[dict[str, Any]]]:
    """Read strong-motion files of one folder and put their components together; failures come beside."""
    found: list[tuple[Accelerogram, Path]] = []
    failures: list[dict[str, Any]] = []
    for path in paths:
        try:
            read = read_accelerograms(path)
        except KanameError as error:
            failures.append(_failure(path, error))
            continue
        failures += read.failures
        found += [(record, path) for record in read.records]
    by_sensor: dict[str, list[list[tuple[Accelerogram, Path]]]] = {}
    for record, path in found:
        own = by_sensor.setdefault(sensor_of(record.samples.ids[0]), [])
        fitting = next((group for group in own if _together(record, group)), None)
        if fitting is None:
            own.append([(record, path)])
        else:
            fitting.append((record, path))
    records = []
    for group in (g for own in by_sensor.values() for g in own):
        try:
            records.append(_record([r for r, _ in group], sorted({p.name for _, p in group})))
        except KanameError as error:
            failures.append(_failure(group[0][1], error))
    return [_with_depth(r, records) for r in records], failures


def _with_depth(record: Record, records: list[Record]) -> Record:
    """Of a borehole sensor the ground above it, from the surface sensor of its station."""
    h = record.header
    if np.isfinite(h.sensor_depth_m) or not np.isfinite(h.sensor_height_m):
        return record
    above = [r.header.elevation_m for r in records if r.header.station == h.station]
    ground = next((e for e in above if np.isfinite(e)), np.nan)
    header = replace(h, elevation_m=ground, sensor_depth_m=ground - h.sensor_height_m)
    return replace(record, header=header)


def _together(record: Accelerogram, group: list[tuple[Accelerogram, Path]]) -> bool:
    apart_s = abs((record.samples.start - group[0][0].samples.start) / np.timedelta64(1, "s"))
    return bool(apart_s <= TOGETHER_S) and all(record.samples.ids != r.samples.ids for r, _ in group)


def _record(parts: list[Accelerogram], names: list[str]) -> Record:
    film = any(p.times_s is not None for p in parts)
    if film:
        parts = [_even(p) for p in parts]
    rate = parts[0].samples.sampling_rate
    if any(abs(p.samples.sampling_rate / rate - 1) > 1e-4 for p in parts):
        raise InputError(f"components of {parts[0].samples.ids[0]} have different sampling rates")
    blocks = align([p.samples for p in parts])
    whole = [b for b in blocks if b.n_channel == len(parts)]
    if not whole:
        raise InputError(f"components of {parts[0].samples.ids[0]} have no samples in common")
    samples = max(whole, key=lambda b: b.n_sample)
    by_id = {p.samples.ids[0]: p for p in parts}
    ordered = [by_id[i] for i in samples.ids]
    scales = []
    for part in ordered:
        scale = part.header.counts_per_cm_s2 if part.samples.unit == "count" else 1.0
        if not (np.isfinite(scale) and scale != 0):
            raise FormatError(f"{part.samples.ids[0]} is in counts and its header does not say what one is")
        scales.append(scale)
    data = samples.data / np.array(scales)[:, np.newaxis]
    return Record(
        header=next((p.header for p in ordered if not p.header.vertical), ordered[0].header),
        sensor=sensor_of(samples.ids[0]),
        samples=samples,
        acceleration=replace(samples, data=data, unit="cm/s^2"),
        azimuths_deg=tuple(p.header.azimuth_deg for p in ordered),
        verticals=tuple(p.header.vertical for p in ordered),
        peaks=tuple(p.header.peak for p in ordered),
        peak_factors=tuple(p.header.peak_factor for p in ordered),
        source=" ".join(names),
        film=film,
    )


def _even(part: Accelerogram) -> Accelerogram:
    """Samples of film at even times, on straight lines between where it was read."""
    times = part.times_s
    if times is None:
        rate = part.samples.sampling_rate
        times = np.arange(part.samples.n_sample) / rate
    even = np.arange(int(np.floor((times[-1] - times[0]) * _EVEN_RATE_HZ)) + 1) / _EVEN_RATE_HZ
    data = np.interp(even, times - times[0], part.samples.data[0])
    block = replace(part.samples, data=data[np.newaxis], sampling_rate=_EVEN_RATE_HZ)
    return Accelerogram(part.header, block)


def gather_waveforms(
    paths: Sequence[Path], stations: Stations | None
) -> tuple[list[Record], list[dict[str, Any]]]:
    """Read waveforms, take their response away and put the components together; failures come beside."""
    blocks: dict[str, list[Waveform]] = {}
    sources: dict[str, set[str]] = {}
    failures: list[dict[str, Any]] = []
    for path in paths:
        try:
            read = read_waveforms(path)
        except KanameError as error:
            failures.append(_failure(path, error))
            continue
        failures += read.failures
        for block in read.blocks:
            blocks.setdefault(sensor_of(block.ids[0]), []).append(block)
            sources.setdefault(sensor_of(block.ids[0]), set()).add(path.name)
    records = []
    for sensor, own in sorted(blocks.items()):
        try:
            together = align(own)
            samples = max(together, key=lambda b: (b.n_channel, b.n_sample))
            records.append(_from_stations(sensor, samples, stations, " ".join(sorted(sources[sensor]))))
        except KanameError as error:
            failures.append(_failure(sensor, error))
    return records, failures


def _from_stations(sensor: str, samples: Waveform, stations: Stations | None, source: str) -> Record:
    if stations is None:
        raise NotFoundError(
            f"no stations are given; {sensor} needs its coordinates and responses (StationXML)"
        )
    network, station, location, _ = samples.ids[0].split(".")
    place = stations.at(network, station, location, samples.start)
    azimuths, verticals, data = [], [], []
    for identifier, x in zip(samples.ids, samples.data):
        azimuth, dip = _orientation(stations, identifier, samples.start)
        azimuths.append(azimuth)
        verticals.append(abs(dip) > 60)
        data.append(
            _acceleration(np.asarray(x, float), samples, stations.response(identifier, samples.start))
        )
    header = RecordHeader(
        format="waveforms",
        stage="raw",
        network=network,
        station=station,
        location=location,
        station_name=str(place.get("site", "")),
        start=samples.start,
        sampling_rate=samples.sampling_rate,
        latitude=place["latitude"],
        longitude=place["longitude"],
        elevation_m=place["elevation_m"],
        sensor_depth_m=place["sensor_depth_m"],
    )
    return Record(
        header=header,
        sensor=sensor,
        samples=samples,
        acceleration=replace(samples, data=np.stack(data), unit="cm/s^2"),
        azimuths_deg=tuple(azimuths),
        verticals=tuple(verticals),
        peaks=("",) * len(azimuths),
        peak_factors=(1.0,) * len(azimuths),
        source=source,
    )


def _orientation(stations: Stations, identifier: str, time: np.datetime64) -> tuple[float, float]:
    from obspy import UTCDateTime

    letter = identifier[-1]
    try:
        stated = stations.inventory.get_orientation(identifier, UTCDateTime(ns=int(time.astype(np.int64))))
        return float(stated["azimuth"]), float(stated["dip"])
    except Exception as error:  # ObsPy raises a bare Exception when it has none
        if letter not in "NEZ":
            raise NotFoundError(f"no orientation of {identifier} in the stations: {error}") from error
        return {"N": 0.0, "E": 90.0, "Z": 0.0}[letter], -90.0 if letter == "Z" else 0.0


def _acceleration(x: np.ndarray, samples: Waveform, response: Any) -> np.ndarray:
    """Counts to acceleration [cm/s^2] through the whole response, with cosine flanks where it is no use."""
    n = samples.n_sample
    n_fft = 2 * n
    frequency = np.fft.rfftfreq(n_fft, 1.0 / samples.sampling_rate)
    low0, low1, high1, high0 = _RESPONSE_BAND
    top = samples.sampling_rate / 2
    gain = np.clip((frequency - low0) / (low1 - low0), 0, 1) * np.clip(
        (high0 * top - frequency) / ((high0 - high1) * top), 0, 1
    )
    used = gain > 0
    counts_per = np.ones(len(frequency), complex)
    counts_per[used] = response.get_evalresp_response_for_frequencies(frequency[used], output="ACC")
    spectrum = np.fft.rfft(x - x.mean(), n_fft)
    spectrum[used] *= np.sin(0.5 * np.pi * gain[used]) ** 2 / counts_per[used]
    spectrum[~used] = 0.0
    return np.fft.irfft(spectrum, n_fft)[:n] * 100.0


def _failure(subject: object, error: Exception) -> dict[str, Any]:
    return {"step": "read", "subject": str(subject), "error": type(error).__name__, "message": str(error)}
