"""How good the records of an archive are, per channel and day: completeness, defects, timing, noise."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

import kaname
from kaname.archive.availability import Spans, overlaps_among
from kaname.archive.quality_tables import DAY_S, NOISE, QUALITY, problems
from kaname.archive.store import Archive, Time
from kaname.core.config import Settings
from kaname.core.errors import KanameError, NotFoundError
from kaname.core.execution import Engine, Task
from kaname.core.jobs import TaskOutput
from kaname.core.provenance import digest
from kaname.core.tables import FAILURES, concat, table
from kaname.core.time import NS_PER_S, as_time, isoformat
from kaname.core.waveform import Waveform
from kaname.formats.miniseed_quality import CLIPPED, TIME_QUESTIONABLE, record_quality
from kaname.formats.miniseed_sections import JOIN_TOLERANCE
from kaname.formats.stations import Stations, read_stations
from kaname.signal.defects import count_clipped, count_flat, find_spikes
from kaname.signal.noise import noise_models, octave_levels, octave_periods, segment_power, window_length

_DAY_NS = DAY_S * NS_PER_S
_PERCENTILES = (10, 50, 90)
_MOTIONS = ("M", "M/S", "M/S**2")


class QualitySettings(Settings):
    """What counts as a defect, and how noise is measured."""

    flat_s: float = Field(30.0, gt=0, description="equal samples over this long are a dead channel [s]")
    full_scale: float | None = Field(
        None, gt=0, description="samples at or beyond this, either sign, are clipped [count]"
    )
    late_samples: float = Field(0.1, gt=0, description="a record this far from its due time is late [sample]")
    noise: bool = Field(True, description="measure the noise; it takes most of the time")
    segment_s: float = Field(3600.0, gt=0, description="length of a segment of noise [s]")
    step_s: float = Field(1800.0, gt=0, description="from segment to segment, from midnight on [s]")


@dataclass(frozen=True)
class Quality:
    """Tables of an archive's quality."""

    quality: pd.DataFrame
    """`QUALITY`, a row per channel and day."""
    noise: pd.DataFrame
    """`NOISE`, a row per channel, day and period."""
    failures: pd.DataFrame
    """`kaname.core.tables.FAILURES`: what could not be read or measured."""


def quality(
    archive: Archive,
    ids: str | Iterable[str] = "*",
    *,
    start: Time = None,
    end: Time = None,
    stations: Sequence[str | Path] = (),
    settings: QualitySettings | None = None,
    engine: Engine | None = None,
) -> Quality:
    """Measure every channel and day; days without data between the first and the last get a row too.

    Parameters
    ----------
    archive
        Archive, whose index is up to date.
    ids, start, end
        Channels and window as in `Archive.ls`; days that reach into the window are taken whole.
    stations
        Files with responses; noise of channels that have none is given in counts.
    settings
        What counts as a defect.
    engine
        Where the work is done and kept: days whose files, responses and settings are as they were are not
        measured again.

    Raises
    ------
    NotFoundError
        When there is no index, or no such file of stations.
    FormatError
        When the stations cannot be read.
    """
    settings = settings or QualitySettings()
    engine = engine or Engine()
    files = tuple(str(path) for path in stations)
    known = _stations(files, _stamps(files)) if files else None
    days: list[tuple[str, np.datetime64, Spans]] = []
    for identifier, spans in archive.each_span(ids, start, end):
        low, high = (None if time is None else as_time(time) for time in (start, end))
        days += _days(identifier, spans, low, high)
    tasks = [
        Task(
            digest(
                "quality",
                kaname.__version__,
                settings.model_dump(),
                _stamps(files),
                identifier,
                day,
                _of(spans),
            ),
            f"{identifier} {np.datetime_as_string(day, unit='D')}",
            (str(archive.path), identifier, day, settings.model_dump(), files),
        )
        for identifier, day, spans in days
    ]
    outputs = engine.run(channel_day, tasks, "quality")
    failures = [output["failures"] for output in outputs if "failures" in output]
    if known is not None and known.failures:
        failures.append(table(known.failures, FAILURES))

    def joined(name: str, schema: Any) -> pd.DataFrame:
        return concat([output[name] for output in outputs if name in output], schema)

    return Quality(joined("quality", QUALITY), joined("noise", NOISE), concat(failures, FAILURES))


def _days(
    identifier: str, spans: Spans, low: np.datetime64 | None, high: np.datetime64 | None
) -> list[tuple[str, np.datetime64, Spans]]:
    """Return every day from the first to the last sample, within the window, with the sections in it."""
    first, last = int(spans["start"][0]), int(spans["following"].max())
    first = max(first, first if low is None else int(low.astype(np.int64)))
    last = min(last, last if high is None else int(high.astype(np.int64)))
    out: list[tuple[str, np.datetime64, Spans]] = []
    for number in range(first // _DAY_NS, (last - 1) // _DAY_NS + 1):
        begin, end = number * _DAY_NS, (number + 1) * _DAY_NS
        inside = spans[(spans["start"] < end) & (spans["following"] > begin)]
        out.append((identifier, np.datetime64(begin, "ns"), inside))
    return out


def _of(spans: Spans) -> list[Any]:
    return [spans[name].tolist() for name in ("start", "following", "checksum")]


def _stamps(files: Sequence[str]) -> tuple[tuple[str, int, int], ...]:
    try:
        return tuple((file, (s := os.stat(file)).st_size, s.st_mtime_ns) for file in files)  # noqa: PTH116
    except OSError as error:
        raise NotFoundError(f"cannot read the stations {error.filename}: {error.strerror}") from error


@lru_cache(maxsize=2)
def _stations(files: tuple[str, ...], stamps: Any) -> Stations:
    return read_stations(files)


def channel_day(
    root: str, identifier: str, day: np.datetime64, options: dict[str, Any], files: tuple[str, ...]
) -> TaskOutput:
    """Measure one channel on one day: the tables ``quality``, ``noise`` and ``failures``."""
    settings = QualitySettings(**options)
    end = day + np.timedelta64(_DAY_NS, "ns")
    failures: list[dict[str, Any]] = []
    with Archive(root) as archive:
        found = dict(archive.each_span(identifier, day, end))
        spans = found.get(identifier)
        row = _completeness(spans, int(day.astype(np.int64)))
        blocks: list[Waveform] = []
        if spans is not None:
            read = archive.read(identifier, day, end)
            blocks = read.blocks
            failures += read.failures
            row |= _timing(archive, identifier, day, end, settings, failures)
            row["sampling_rate_hz"] = float(spans["rate"][-1])
    row |= _samples(blocks, settings) | {"id": identifier, "day": day}
    noise: list[dict[str, Any]] = []
    if settings.noise and blocks:
        known = _stations(files, _stamps(files)) if files else None
        noise = _noise(blocks, identifier, day, settings, known, failures)
        row |= _against_models(noise)
    row["problems"] = problems(row)
    for failure in failures:
        failure["step"] = "quality"
    return {
        "quality": table([row], QUALITY),
        "noise": table(noise, NOISE),
        "failures": table(failures, FAILURES),
    }


def _completeness(spans: Spans | None, begin: int) -> dict[str, Any]:
    """Return what of a day is there, from the sections; ``begin`` is midnight [ns]."""
    if spans is None:
        return {"available": 0.0, "n_gap": 1, "gap_s": float(DAY_S), "longest_gap_s": float(DAY_S)}
    end = begin + _DAY_NS
    lows = np.concatenate([[begin], np.maximum.accumulate(spans["following"])])
    highs = np.concatenate([spans["start"], [end]])
    # At midnight the next sample is due within one interval, inside the day when the last one ends.
    slack = NS_PER_S / np.concatenate([spans["rate"], spans["rate"][-1:]])
    slack[1:-1] *= JOIN_TOLERANCE
    missing = (highs - lows)[highs - lows > slack]
    twice = [(max(low, begin), min(high, end)) for low, high in overlaps_among(spans)]
    twice = [(low, high) for low, high in twice if low < high]
    return {
        "available": float(np.clip(1 - missing.sum() / _DAY_NS, 0, 1)),
        "n_gap": len(missing),
        "gap_s": float(missing.sum() / NS_PER_S),
        "longest_gap_s": float(missing.max() / NS_PER_S) if missing.size else 0.0,
        "n_overlap": len(twice),
        "overlap_s": sum(high - low for low, high in twice) / NS_PER_S,
    }


def _timing(
    archive: Archive,
    identifier: str,
    day: np.datetime64,
    end: np.datetime64,
    settings: QualitySettings,
    failures: list[dict[str, Any]],
) -> dict[str, Any]:
    """Return what the records of a day say of their clock."""
    begin_ns, end_ns = int(day.astype(np.int64)), int(end.astype(np.int64))
    late: list[NDArray[Any]] = []
    timing: list[NDArray[Any]] = []
    flags: list[NDArray[Any]] = []
    limit = []
    try:
        for located in archive.locate(identifier, day, end):
            section = located.section
            starts = section.starts
            inside = (starts < end_ns) & (
                starts + section.n_samples / section.sampling_rate * NS_PER_S > begin_ns
            )
            if not inside.any():
                continue
            offsets, lengths = section.offsets[inside], section.lengths[inside]
            low = int(offsets.min())
            with (archive.path / located.path).open("rb") as file:
                file.seek(low)
                data = file.read(int((offsets + lengths).max()) - low)
            stated, flagged = record_quality(data, offsets - low, lengths)
            late.append(np.abs(section.late[inside]))
            limit.append(np.full(late[-1].size, settings.late_samples * NS_PER_S / section.sampling_rate))
            timing.append(stated)
            flags.append(flagged)
    except (KanameError, OSError) as error:
        failures.append(_failure(identifier, day, error))
    if not late:
        return {}
    off, stated, flagged = np.concatenate(late), np.concatenate(timing), np.concatenate(flags)
    known = stated[np.isfinite(stated)]
    return {
        "n_record": off.size,
        "n_late": int((off > np.concatenate(limit)).sum()),
        "late_s": float(off.max() / NS_PER_S),
        "timing_quality": float(known.mean()) if known.size else np.nan,
        "timing_quality_least": float(known.min()) if known.size else np.nan,
        "n_time_questionable": int(((flagged & TIME_QUESTIONABLE) > 0).sum()),
        "n_record_clipped": int(((flagged & CLIPPED) > 0).sum()),
    }


def _failure(identifier: str, day: np.datetime64, error: Exception) -> dict[str, Any]:
    return {
        "subject": identifier,
        "start": day,
        "end": day + np.timedelta64(_DAY_NS, "ns"),
        "error": type(error).__name__,
        "message": str(error),
    }


def _samples(blocks: Sequence[Waveform], settings: QualitySettings) -> dict[str, Any]:
    """Return what the samples of a day say."""
    if not blocks:
        return {"n_sample": 0}
    row: dict[str, Any] = {"n_sample": sum(block.n_sample for block in blocks), "flat_s": 0.0}
    parts = []
    for block in blocks:
        data = block.data[0]
        finite = np.isfinite(data)
        parts.append((block, data if finite.all() else data[finite], finite.all()))
    kept = [data for _, data, _ in parts if data.size]
    row["n_not_finite"] = row["n_sample"] - sum(data.size for data in kept)
    if not kept:
        return row
    low, high = float(min(data.min() for data in kept)), float(max(data.max() for data in kept))
    mean = sum(float(data.sum(dtype=np.float64)) for data in kept) / sum(data.size for data in kept)
    power = sum(float(((data - mean) ** 2).sum()) for data in kept) / sum(data.size for data in kept)
    row |= {"minimum": low, "maximum": high, "mean": mean, "rms": float(np.sqrt(power))}
    row["n_spike"] = row["n_clipped"] = 0
    for block, data, whole in parts:
        rate = block.sampling_rate
        row["flat_s"] += count_flat(block.data[0], max(2, round(settings.flat_s * rate))) / rate
        row["n_spike"] += find_spikes(data, rate).size if whole else 0
        if settings.full_scale is not None:
            row["n_clipped"] += count_clipped(data, -settings.full_scale, settings.full_scale, steep=False)
        elif low < high:
            row["n_clipped"] += count_clipped(data, low, high)
    return row


def _noise(
    blocks: Sequence[Waveform],
    identifier: str,
    day: np.datetime64,
    settings: QualitySettings,
    known: Stations | None,
    failures: list[dict[str, Any]],
) -> list[dict[str, Any]]:
    """Return the rows of `NOISE` of a day."""
    spectra: dict[tuple[float, str], list[NDArray[np.float64]]] = {}
    measured = _Responses(known, identifier, failures)
    for block in blocks:
        rate = block.sampling_rate
        n = round(settings.segment_s * rate)
        if not window_length(n):
            continue
        period = octave_periods(rate, window_length(n))
        for number in range(int(DAY_S // settings.step_s)):
            begin = day + np.timedelta64(round(number * settings.step_s * NS_PER_S), "ns")
            low = round(block.index(begin))
            segment = block.data[0, max(low, 0) : low + n]
            if low < 0 or segment.size < n or not np.isfinite(segment).all() or np.ptp(segment) == 0:
                continue
            frequency, power = segment_power(segment, rate)
            gain, unit = measured.power_gain(begin, frequency)
            with np.errstate(divide="ignore"):
                level = 10 * np.log10(power / gain)
            spectra.setdefault((rate, unit), []).append(octave_levels(frequency, level, period))
    if not spectra:
        return []
    (rate, unit), levels = max(spectra.items(), key=lambda item: len(item[1]))
    n_other = sum(map(len, spectra.values())) - len(levels)
    if n_other:
        message = f"{n_other} segments of another rate or unit than {rate:g} Hz, {unit} are not in the noise"
        failures.append(_failure(identifier, day, KanameError(message)))
    period = octave_periods(rate, window_length(round(settings.segment_s * rate)))
    good = np.isfinite(levels).all(axis=0)
    low, median, high = np.percentile(np.array(levels)[:, good], _PERCENTILES, axis=0)
    return [
        {
            "id": identifier,
            "day": day,
            "period_s": p,
            "n_segment": len(levels),
            "level_p10_db": a,
            "level_db": b,
            "level_p90_db": c,
            "unit": unit,
        }
        for p, a, b, c in zip(period[good], low, median, high)
    ]


class _Responses:
    """Squared gain from ground acceleration to counts, kept while the response stays the same."""

    def __init__(self, known: Stations | None, identifier: str, failures: list[dict[str, Any]]) -> None:
        self.known = known
        self.identifier = identifier
        self.failures = failures
        self._gains: dict[tuple[int, int], NDArray[np.float64] | None] = {}
        self._kept: list[Any] = []

    def power_gain(self, time: np.datetime64, frequency: NDArray[np.float64]) -> tuple[Any, str]:
        """Return what to divide power by at each frequency, and the unit of the result."""
        if self.known is None:
            return 1.0, "count"
        try:
            response = self.known.response(self.identifier, time)
        except NotFoundError:
            return 1.0, "count"
        key = (id(response), frequency.size)
        if key not in self._gains:
            self._kept.append(response)  # so that no other one gets its number
            self._gains[key] = self._gain(response, frequency, time)
        gain = self._gains[key]
        return (1.0, "count") if gain is None else (gain, "m/s^2")

    def _gain(self, response: Any, frequency: NDArray[np.float64], time: np.datetime64) -> Any:
        from obspy.core.util.obspy_types import ObsPyException

        sensitivity = response.instrument_sensitivity
        unit = str(getattr(sensitivity, "input_units", None) or "").upper()
        if unit not in _MOTIONS:
            return None
        try:
            gain = np.abs(response.get_evalresp_response_for_frequencies(frequency, output="ACC")) ** 2
            if not (np.isfinite(gain).all() and (gain > 0).any()):
                raise ValueError("it is zero or not finite")
        except (
            ObsPyException,
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            NotImplementedError,
        ) as error:
            message = (
                f"the response at {isoformat(time, decimals=0)} cannot be used: {error}; noise is in counts"
            )
            self.failures.append(_failure(self.identifier, time, KanameError(message)))
            return None
        return np.where(gain > 0, gain, np.nan)


def _against_models(noise: Sequence[dict[str, Any]]) -> dict[str, Any]:
    if not noise:
        return {}
    row = {"n_segment": noise[0]["n_segment"], "noise_unit": noise[0]["unit"]}
    if row["noise_unit"] == "m/s^2":
        low, high = noise_models(np.array([each["period_s"] for each in noise]))
        level = np.array([each["level_db"] for each in noise])
        known = np.isfinite(low)
        if known.any():
            row["above_nhnm"] = float((level > high)[known].mean())
            row["below_nlnm"] = float((level < low)[known].mean())
    return row
