"""The record section of an event: its waveforms by distance, with the picks that were made on them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from kaname.core.errors import InputError
from kaname.core.geo import distance_azimuth
from kaname.core.time import seconds_between
from kaname.core.waveform import Waveform
from kaname.report import style
from kaname.report.page import moment

Components = Literal["auto", "vertical", "all"]

COLUMNS = 1600
"""Samples are thinned to the highest and lowest of each of this many columns, so that no peak is lost."""
ALL_COMPONENTS_ROWS = 18
"""Up to this many traces all components are drawn, beyond it one per sensor."""
DRAWN_ROWS = 30
"""The farthest traces beyond this many are left out, and the axis says so."""


@style.styled
def record_section(
    event: pd.Series,
    arrivals: pd.DataFrame,
    waveforms: Sequence[Waveform],
    *,
    stations: pd.DataFrame | None = None,
    predicted: pd.DataFrame | None = None,
    components: Components = "auto",
    note: str = "",
) -> Figure:
    """Draw the waveforms of an event, nearest station on top, each scaled to its own largest amplitude.

    Zero time is the origin (of an unlocated event, its time in the table). A thick bar is a pick; where the
    location has a residual for it, a thin dashed bar is the predicted time. Picks of no weight are pale.

    Parameters
    ----------
    event
        Row of `kaname.core.tables.EVENTS`.
    arrivals
        Rows of `kaname.core.tables.ARRIVALS` of this event.
    waveforms
        Blocks of any number of channels; gaps stay gaps. A mean is taken off each, nothing else is done.
    stations
        Table `kaname.core.tables.STATIONS`, for distances of stations without an arrival.
    predicted
        Further predicted times: columns ``network``, ``station``, ``phase``, ``time``.
    components
        ``vertical``: one trace per sensor; ``all``; ``auto``: all, as long as that makes at most 18 rows.
    note
        What was done to the waveforms, such as ``2 to 20 Hz``.

    Raises
    ------
    InputError
        When ``components`` is none of these.
    """
    if components not in ("auto", "vertical", "all"):
        raise InputError(f"components must be auto, vertical or all, found {components!r}")
    origin = pd.Timestamp(event["time"]).to_datetime64().astype("datetime64[ns]")
    window = _window(origin, arrivals, waveforms)
    rows = _rows(event, arrivals, waveforms, stations, components, origin, window)
    height = 1.0 + 0.36 * min(max(len(rows), 3), DRAWN_ROWS)
    figure = style.new_figure(style.WIDTH_IN, height, constrained=False)
    axes = figure.add_subplot(gid="record-section")
    # Measured margins instead of a layout engine, which would draw every section twice.
    left = 0.2 + 0.072 * max((len(row.label) for row in rows), default=0)
    figure.subplots_adjust(left / style.WIDTH_IN, 0.52 / height, 1 - 0.1 / style.WIDTH_IN, 1 - 0.38 / height)
    if not rows:
        style.say(axes, "no waveforms in the window of this event")
        return figure
    hidden, rows = max(0, len(rows) - DRAWN_ROWS), rows[:DRAWN_ROWS]
    traces = [
        np.column_stack([line[:, 0], y - 0.46 * line[:, 1]])
        for y, row in enumerate(rows)
        for line in _traces(row.blocks, origin, window)
    ]
    axes.add_collection(
        LineCollection(traces, colors="#374151", linewidths=0.5, zorder=2, gid="traces"), autolim=False
    )
    _marks(axes, rows, origin, arrivals, predicted)
    axes.set_yticks([])
    for y, row in enumerate(rows):  # plain texts: tick labels take four times as long to draw
        axes.text(
            -0.006, y, row.label, transform=axes.get_yaxis_transform(), ha="right", va="center", fontsize=8,
            parse_math=False, gid="row",
        )  # fmt: skip
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(*window)
    zero = "event time" if pd.isna(event["latitude"]) else "origin"
    notes = [f"Seconds after {zero} {moment(origin)} UTC", note]
    if hidden:
        notes.append(f"{hidden} more distant traces not drawn")
    axes.set_xlabel("; ".join(n for n in notes if n), parse_math=False)
    return figure


class _Row:
    """A trace of the section: one channel of one sensor."""

    def __init__(self, channel: str, blocks: list[tuple[Waveform, int]], distance_km: float) -> None:
        self.channel, self.blocks, self.distance_km = channel, blocks, distance_km
        self.network, self.station, self.location, self.code = channel.split(".")

    @property
    def label(self) -> str:
        name = ".".join(part for part in (self.network, self.station, self.location, self.code) if part)
        return name if np.isnan(self.distance_km) else f"{name}  {self.distance_km:.1f} km"


def _window(
    origin: np.datetime64, arrivals: pd.DataFrame, waveforms: Sequence[Waveform]
) -> tuple[float, float]:
    """Seconds after the origin to draw: the arrivals with room around them, else all the waveforms."""
    times = (arrivals["time"].to_numpy("datetime64[ns]") - origin).astype(float) / 1e9
    times = times[np.isfinite(times)]
    if len(times):
        span = max(float(times.max() - times.min()), 1.5)
        return min(float(times.min()) - 0.45 * span, -0.15 * span), float(times.max()) + 1.1 * span
    if not waveforms:
        return -1.0, 1.0
    starts = [seconds_between(origin, w.start) for w in waveforms]
    ends = [seconds_between(origin, w.end) for w in waveforms]
    return min(starts), max(max(ends), min(starts) + 1e-3)


def _rows(
    event: pd.Series,
    arrivals: pd.DataFrame,
    waveforms: Sequence[Waveform],
    stations: pd.DataFrame | None,
    components: Components,
    origin: np.datetime64,
    window: tuple[float, float],
) -> list[_Row]:
    blocks: dict[str, list[tuple[Waveform, int]]] = {}
    for waveform in waveforms:
        if (
            seconds_between(origin, waveform.end) < window[0]
            or seconds_between(origin, waveform.start) > window[1]
        ):
            continue
        for i, channel in enumerate(waveform.ids):
            blocks.setdefault(channel, []).append((waveform, i))
    distances = _distances(event, arrivals, stations)
    first = dict(zip(*_first_arrivals(arrivals)))
    rows = []
    for channel, parts in blocks.items():
        network, station, *_ = channel.split(".")
        distance = distances.get((network, station), distances.get(("", station), np.nan))
        rows.append(_Row(channel, sorted(parts, key=lambda part: part[0].start), distance))
    late = pd.Timestamp.max
    rows.sort(
        key=lambda r: (
            np.nan_to_num(r.distance_km, nan=np.inf),
            first.get(r.station, late),
            r.channel[:-1],
            _order(r.code),
        )
    )
    if components == "all" or (components == "auto" and len(rows) <= ALL_COMPONENTS_ROWS):
        return rows
    return [next(group) for _, group in groupby(rows, key=lambda r: r.channel[:-1])]


def _order(channel: str) -> int:
    """Vertical first."""
    return "Z3".find(channel[-1:]) if channel[-1:] in ("Z", "3") else 2 + ord(channel[-1:] or " ")


def _first_arrivals(arrivals: pd.DataFrame) -> tuple[list[str], list[pd.Timestamp]]:
    first = arrivals.groupby("station")["time"].min()
    return list(first.index), list(first)


def _distances(
    event: pd.Series, arrivals: pd.DataFrame, stations: pd.DataFrame | None
) -> dict[tuple[str, str], float]:
    out: dict[tuple[str, str], float] = {}
    if (
        stations is not None
        and len(stations)
        and not (pd.isna(event["latitude"]) or pd.isna(event["longitude"]))
    ):
        km, _ = distance_azimuth(
            event["latitude"], event["longitude"], stations["latitude"], stations["longitude"]
        )
        out |= dict(zip(zip(stations["network"], stations["station"]), km.tolist()))
    known = arrivals[arrivals["distance_km"].notna()]
    return out | dict(zip(zip(known["network"], known["station"]), known["distance_km"].tolist()))


def _traces(
    parts: list[tuple[Waveform, int]], origin: np.datetime64, window: tuple[float, float]
) -> list[NDArray[np.float64]]:
    """Return a line ``(time_s, amplitude)`` per block, amplitude scaled to 1 over all of them."""
    lines = []
    for waveform, channel in parts:
        offset = seconds_between(origin, waveform.start)
        low = max(0, int(np.floor((window[0] - offset) * waveform.sampling_rate)))
        high = min(waveform.n_sample, int(np.ceil((window[1] - offset) * waveform.sampling_rate)) + 1)
        if high <= low:
            continue
        time = offset + np.arange(low, high) / waveform.sampling_rate
        lines.append(envelope(time, waveform.data[channel, low:high].astype(float)))
    finite = [line[np.isfinite(line[:, 1]), 1] for line in lines]
    if not sum(map(len, finite)):
        return []
    values = np.concatenate(finite)
    mean = values.mean()
    peak = float(np.abs(values - mean).max()) or 1.0
    return [np.column_stack([line[:, 0], (line[:, 1] - mean) / peak]) for line in lines]


def envelope(time: NDArray[np.float64], samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points ``(time, sample)``: all, or the lowest and highest of each of `COLUMNS` columns."""
    if len(samples) <= 2 * COLUMNS:
        return np.column_stack([time, samples])
    edges = np.linspace(0, len(samples), COLUMNS + 1).astype(int)[:-1]
    extremes = np.column_stack([np.minimum.reduceat(samples, edges), np.maximum.reduceat(samples, edges)])
    return np.column_stack([np.repeat(time[edges], 2), extremes.ravel()])


def _marks(
    axes: Axes,
    rows: list[_Row],
    origin: np.datetime64,
    arrivals: pd.DataFrame,
    predicted: pd.DataFrame | None,
) -> None:
    expected = arrivals.loc[
        arrivals["residual_s"].notna(), ["network", "station", "phase", "time", "residual_s"]
    ]
    expected = expected.assign(time=expected["time"] - pd.to_timedelta(expected["residual_s"], unit="s"))
    if predicted is not None and len(predicted):
        expected = pd.concat(
            [expected, predicted[["network", "station", "phase", "time"]]], ignore_index=True
        )
    for phase, colour in style.PHASE_COLOURS.items():
        picked = arrivals[arrivals["phase"] == phase]
        counted = picked["weight"] != 0
        for table, name, look in (
            (picked[counted], "pick", {"linewidths": 2.0, "alpha": 0.95, "zorder": 4}),
            (picked[~counted], "pick-unused", {"linewidths": 2.0, "alpha": 0.3, "zorder": 4}),
            (
                expected[expected["phase"] == phase],
                "predicted",
                {"linewidths": 0.9, "linestyles": (0, (3, 2)), "zorder": 3},
            ),
        ):
            half = 0.48 if name == "predicted" else 0.36
            bars = [
                [(x, y - half), (x, y + half)]
                for network, station, time in zip(table["network"], table["station"], table["time"])
                for x in [seconds_between(origin, time.to_datetime64())]
                for y, row in enumerate(rows)
                if row.station == station and network in ("", row.network)
            ]
            axes.add_collection(
                LineCollection(bars, colors=colour, gid=f"{name}-{phase}", **look), autolim=False
            )
    handles = [
        Line2D([], [], color=colour, lw=2, label=f"{phase} pick")
        for phase, colour in style.PHASE_COLOURS.items()
    ]
    handles += [
        Line2D([], [], color=style.MUTED, lw=0.9, ls=(0, (3, 2)), label="predicted"),
        Line2D([], [], color=style.MUTED, lw=2, alpha=0.35, label="pick not used"),
    ]
    axes.legend(handles=handles, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4, borderaxespad=0.1)
