"""Similarity between events: catalogued events as templates, slid over the records of the whole network.

A weak event that no picker sees is evident when the records of several stations look like those of a known
event, with the same delays between the stations. The same scan says how alike the known events are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from scipy.signal import resample_poly

from kaname.core import tables
from kaname.core.config import Settings
from kaname.core.time import add_seconds, isoformat, seconds_between
from kaname.core.waveform import Waveform
from kaname.signal.correlation import Correlator
from kaname.signal.filters import bandpass, filter_block, rest_state

SETTLE_S = 1.0
"""What the band-pass needs to settle: the first second of every block is not compared."""

METHOD = "similarity"


class SimilaritySettings(Settings):
    """How events are compared with one another, and how weaker ones are looked for."""

    templates: int = Field(20, ge=0, description="best events to look for weaker ones with (0: none)")
    low_hz: float = Field(3.0, gt=0, description="lower corner of the band compared [Hz]")
    high_hz: float = Field(15.0, gt=0, description="upper corner of the band compared [Hz]")
    rate_hz: float = Field(50.0, gt=0, description="rate at which records are compared [Hz]")
    before_s: float = Field(0.3, ge=0, description="seconds of template before the P onset [s]")
    length_s: float = Field(4.0, gt=0, description="shortest template; S is always included [s]")
    minimum_correlation: float = Field(
        0.1, gt=0, lt=1, description="least network correlation for a new event"
    )
    minimum_mad: float = Field(
        10.0, gt=0, description="least network correlation for a new event, in median absolute deviations"
    )
    minimum_stations: int = Field(3, ge=1, description="least number of stations compared")
    separation_s: float = Field(3.0, gt=0, description="detections closer than this are one [s]")


@dataclass(frozen=True, eq=False)
class Channel:
    """One channel of a template: band-passed samples and where they start after the origin."""

    id: str
    offset_s: float
    samples: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Template:
    """The records of one event: what `scan` looks for."""

    event_id: str
    time: np.datetime64
    """Origin time, UTC."""
    first_p_s: float
    """Travel time of the first P."""
    channels: tuple[Channel, ...]


DETECTIONS = tables.Schema(
    "detections",
    "Where the records resemble a template.",
    (
        tables.Column("template", "string", "event that is resembled", required=True),
        tables.Column("time", "time", "origin time, UTC", required=True),
        tables.Column("first_p", "time", "first P, UTC", required=True),
        tables.Column("correlation", "float", "network correlation", required=True, low=-1, high=1),
        tables.Column("mad", "float", "correlation in median absolute deviations of the stretch scanned"),
        tables.Column("n_station", "int", "stations compared"),
        tables.Column("n_channel", "int", "channels compared"),
    ),
)

Prepared = Mapping[str, Sequence[Waveform]]
"""Band-passed blocks at the common rate, by channel identifier; from `prepare`."""


def prepare(blocks: Iterable[Waveform], settings: SimilaritySettings) -> Prepared:
    """Band-pass records and bring them to the rate at which they are compared.

    Left out are blocks that cannot hold the band, with samples that are not finite, or not longer than the
    filter needs to settle.
    """
    out: dict[str, list[Waveform]] = {}
    top = min(settings.high_hz, 0.45 * settings.rate_hz)
    for block in blocks:
        data = np.asarray(block.data, float)
        settled = round(SETTLE_S * block.sampling_rate)
        if 0.45 * block.sampling_rate < top or block.n_sample <= settled or not np.isfinite(data).all():
            continue
        sos = bandpass(settings.low_hz, top, block.sampling_rate, order=3)
        filtered = filter_block(sos, data, rest_state(sos, data[:, 0]))[0][:, settled:]
        ratio = Fraction(settings.rate_hz / block.sampling_rate).limit_denominator(1000)
        # resample_poly is zero-phase and puts its first output on the first input sample.
        if ratio != 1:
            filtered = resample_poly(filtered, ratio.numerator, ratio.denominator, axis=1)
        rate = block.sampling_rate * float(ratio)
        for identifier, samples in zip(block.ids, filtered):
            ready = Waveform(samples[np.newaxis], (identifier,), block.time(settled), rate, block.unit)
            out.setdefault(identifier, []).append(ready)
    return out


def make_template(
    event_id: str,
    time: np.datetime64,
    arrivals: pd.DataFrame,
    records: Prepared,
    settings: SimilaritySettings,
) -> Template | None:
    """Cut the template of a located event; ``None`` when too few stations have records of it.

    Parameters
    ----------
    event_id, time
        The event and its origin time.
    arrivals
        Its arrivals (``arrivals`` table); a station needs P, and S lengthens its window.
    records
        Prepared records of the event.
    settings
        Band, rate and window.
    """
    cut: list[Channel] = []
    stations = set()
    first_p = np.inf
    for (network, station), rows in arrivals.groupby(["network", "station"], sort=True):
        p_times = rows.loc[rows["phase"] == "P", "time"]
        if p_times.empty:
            continue
        p_time = p_times.min().to_datetime64()
        s_times = rows.loc[rows["phase"] == "S", "time"]
        lag_s = 0.0 if s_times.empty else seconds_between(p_time, s_times.min().to_datetime64())
        length_s = max(settings.length_s, 2 * lag_s + 1)
        start = add_seconds(p_time, -settings.before_s)
        for identifier in sorted(i for i in records if i.startswith(f"{network}.{station}.")):
            samples = _cut(records[identifier], start, round(length_s * settings.rate_hz))
            if samples is not None:
                cut.append(Channel(identifier, seconds_between(time, start), samples))
                stations.add(station)
                first_p = min(first_p, seconds_between(time, p_time))
    if len(stations) < settings.minimum_stations:
        return None
    return Template(event_id, time, first_p, tuple(cut))


def _cut(blocks: Sequence[Waveform], start: np.datetime64, n_sample: int) -> NDArray[np.float64] | None:
    for block in blocks:
        first = round(block.index(start))
        if first >= 0 and first + n_sample <= block.n_sample:
            samples = block.data[0, first : first + n_sample]
            if np.ptp(samples) > 0:
                return np.asarray(samples)
    return None


def scan(
    templates: Sequence[Template],
    start: np.datetime64,
    end: np.datetime64,
    records: Prepared,
    settings: SimilaritySettings,
) -> pd.DataFrame:
    """Slide templates over the records and return the peaks of their network correlations.

    The correlations of a station's channels, each delayed by its own offset, are averaged, and then those of
    the stations, so that three components do not outweigh three stations. A station counts where it has
    records, and a peak needs `SimilaritySettings.minimum_stations` of them.

    Returns
    -------
    DataFrame
        `DETECTIONS`: peaks in ``start <= time < end`` above a quarter of the threshold, at least
        ``separation_s`` apart for each template.
    """
    longest = max((len(c.samples) for t in templates for c in t.channels), default=2)
    ready: dict[str, list[tuple[Waveform, Correlator]]] = {}
    for identifier in {c.id for t in templates for c in t.channels}:
        blocks = [b for b in records.get(identifier, ()) if b.n_sample >= longest]
        ready[identifier] = [(b, Correlator(b.data[0], longest=longest)) for b in blocks]
    rows = [row for template in templates for row in _peaks_of(template, start, end, ready, settings)]
    return tables.table(rows, DETECTIONS)


def _peaks_of(
    template: Template,
    start: np.datetime64,
    end: np.datetime64,
    ready: Mapping[str, Sequence[tuple[Waveform, Correlator]]],
    settings: SimilaritySettings,
) -> Iterator[dict[str, object]]:
    rate = settings.rate_hz
    n = max(1, round(seconds_between(start, end) * rate))
    total, n_station, n_channel = np.zeros(n), np.zeros(n, np.int32), np.zeros(n, np.int32)
    for _, channels in groupby(template.channels, key=lambda c: c.id.rsplit(".", 2)[0]):
        own, count = np.zeros(n), np.zeros(n, np.int32)
        for channel in channels:
            begin = add_seconds(start, channel.offset_s)
            for block, correlator in ready[channel.id]:
                values = correlator(channel.samples)
                # Grid point k is origin time start + k / rate; its window starts at `begin` plus as much.
                shift = round(-block.index(begin))
                low, high = max(0, shift), min(n, shift + len(values))
                if low < high:
                    own[low:high] += values[low - shift : high - shift]
                    count[low:high] += 1
        total += own / np.maximum(count, 1)
        n_station += count > 0
        n_channel += count
    mean = np.where(n_station >= settings.minimum_stations, total / np.maximum(n_station, 1), 0.0)
    # Fewer stations scatter more: each number of stations has its own median absolute deviation.
    mad = np.full(n, np.inf)
    for number in np.unique(n_station[n_station >= settings.minimum_stations]):
        same = n_station == number
        mad[same] = max(float(np.median(np.abs(mean[same] - np.median(mean[same])))), 1e-6)
    for k in _peaks(mean, 0.25 * settings.minimum_correlation, round(settings.separation_s * rate)):
        time = add_seconds(start, k / rate)
        yield {
            "template": template.event_id,
            "time": time,
            "first_p": add_seconds(time, template.first_p_s),
            "correlation": float(mean[k]),
            "mad": float(mean[k] / mad[k]),
            "n_station": int(n_station[k]),
            "n_channel": int(n_channel[k]),
        }


def _peaks(values: NDArray[np.float64], least: float, separation: int) -> NDArray[np.intp]:
    from scipy.signal import find_peaks

    padded = np.concatenate([[-1.0], values, [-1.0]])
    return np.asarray(find_peaks(padded, height=least, distance=max(1, separation))[0] - 1)


@dataclass(frozen=True)
class Similarity:
    """What a scan with all templates says: of known events, and of new ones."""

    known: pd.DataFrame
    """``event_id``, ``similarity``, ``similar_to`` of catalogued events that resemble another one."""
    found: pd.DataFrame
    """New events, `DETECTIONS`, one row each, time-ordered."""


def judge(detections: pd.DataFrame, arrivals: pd.DataFrame, settings: SimilaritySettings) -> Similarity:
    """Sort the detections of all templates into likenesses of known events and new events.

    A detection whose first P is within ``separation_s`` of the first arrival of a known event is that event.
    Of several templates that find the same new event, the one that resembles it most is kept. First P are
    compared and not origins, because a template that is located badly carries its origin error along.

    Parameters
    ----------
    detections
        `DETECTIONS` of all templates.
    arrivals
        Arrivals of the known events (``arrivals`` table).
    settings
        Thresholds.
    """
    first = arrivals.groupby("event_id")["time"].min()
    onset, ids = first.to_numpy(dtype="datetime64[ns]"), first.index.to_numpy()
    limit = np.timedelta64(round(settings.separation_s * 1e9), "ns")
    known: dict[str, tuple[float, str]] = {}
    fresh = []
    for row in detections.sort_values("correlation", ascending=False, kind="stable").itertuples():
        near = np.flatnonzero(np.abs(onset - row.first_p.to_datetime64()) <= limit)
        if row.template in ids[near]:
            continue  # the template itself: no likeness to anything else
        if len(near):
            for i in near:
                if ids[i] not in known:
                    known[ids[i]] = (row.correlation, row.template)
        elif row.correlation >= settings.minimum_correlation and row.mad >= settings.minimum_mad:
            fresh.append(row.Index)
    found = _distinct(detections.loc[fresh], limit)
    table = pd.DataFrame(
        [{"event_id": e, "similarity": c, "similar_to": t} for e, (c, t) in known.items()],
        columns=["event_id", "similarity", "similar_to"],
    )
    return Similarity(table, found)


def _distinct(detections: pd.DataFrame, limit: np.timedelta64) -> pd.DataFrame:
    kept: list[int] = []
    times: list[np.datetime64] = []
    for row in detections.itertuples():  # the most similar first
        time = row.first_p.to_datetime64()
        if all(abs(time - t) > limit for t in times):
            kept.append(row.Index)
            times.append(time)
    return detections.loc[kept].sort_values("first_p", kind="stable").reset_index(drop=True)


def as_events(found: pd.DataFrame, identify: Callable[[np.datetime64], str]) -> list[dict[str, object]]:
    """Return rows of the ``events`` table for new events: when, how alike, to what; never a location."""
    return [
        {
            "event_id": identify(row.first_p.to_datetime64()),
            "time": row.first_p,
            "quality": "unlocated",
            "similarity": row.correlation,
            "similar_to": row.template,
            "n_station": row.n_station,
            "method": METHOD,
            "remark": (
                f"found by its likeness to {row.template}: network correlation {row.correlation:.2f} "
                f"({row.mad:.0f} median absolute deviations) on {row.n_channel} channels of "
                f"{row.n_station} stations; the time is that of the first P, expected origin "
                f"{isoformat(row.time.to_datetime64(), decimals=2)}"
            ),
        }
        for row in found.itertuples()
    ]


def best_templates(events: pd.DataFrame, settings: SimilaritySettings) -> Sequence[str]:
    """Return the events to use as templates: located, best quality, most phases."""
    located = events[events["latitude"].notna()]
    ranked = located.assign(phases=located["n_p"] + located["n_s"]).sort_values(
        ["quality", "phases", "event_id"], ascending=[True, False, True], kind="stable"
    )
    return list(ranked["event_id"].head(settings.templates))
