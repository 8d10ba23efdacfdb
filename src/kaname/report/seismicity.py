"""Plots of a catalogue: sizes, times, places, and how near its earthquakes are to one another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from kaname.report import style
from kaname.report.catalogue import magnitude_time
from kaname.report.maps import draw_base, symbol_size
from kaname.report.view import View


def figures(
    events: pd.DataFrame, magnitude_min: float, magnitude_bin: float, neighbours: Any = None
) -> dict[str, Figure]:
    """Return the figures of a catalogue by name.

    Parameters
    ----------
    events
        EVENTS table with magnitudes and places, in order of time.
    magnitude_min, magnitude_bin
        Completeness and width of magnitude bins.
    neighbours
        `kaname.discovery.seismicity.declustering.Neighbours` of the complete part.
    """
    out = {
        "magnitude_frequency": frequency_law(events, magnitude_min, magnitude_bin),
        "magnitude_time": magnitude_time(events),
        "space_time": space_time(events),
    }
    if neighbours is not None:
        out["nearest_neighbours"] = proximity(neighbours)
    return out


@style.styled
def frequency_law(events: pd.DataFrame, magnitude_min: float, magnitude_bin: float) -> Figure:
    """Draw how many earthquakes reach each magnitude, in a bin and from it on."""
    m = events["magnitude"].to_numpy(float)
    width = max(magnitude_bin, 0.1)
    # Half a bin belongs to the bin above.
    index = np.floor(m / width + 0.5 + 1e-6).astype(int)
    count = np.bincount(index - index.min())
    centre = (np.arange(len(count)) + index.min()) * width
    figure = style.new_figure(style.HALF_WIDTH_IN, 3.6)
    axes = figure.subplots()
    axes.semilogy(
        centre, np.where(count > 0, count, np.nan), "^", ms=4, color=style.MUTED, label="in the bin"
    )
    axes.semilogy(centre, count[::-1].cumsum()[::-1], "o", ms=4, color=style.BLUE, label="this or larger")
    axes.axvline(magnitude_min, color=style.VERMILION, linewidth=1, label=f"complete from {magnitude_min:g}")
    axes.set_xlabel("magnitude")
    axes.set_ylabel("number of earthquakes")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.legend()
    return figure


@style.styled
def space_time(events: pd.DataFrame) -> Figure:
    """Draw latitude against time."""
    figure = style.new_figure(style.WIDTH_IN, 3.6)
    axes = figure.subplots()
    size = symbol_size(events["magnitude"].to_numpy(float)) / 4
    axes.scatter(events["time"], events["latitude"], s=size, color=style.BLUE, alpha=0.4, linewidths=0)
    axes.set_ylabel("latitude [degrees]")
    return figure


@style.styled
def proximity(neighbours: Any) -> Figure:
    """Draw rescaled times and distances to nearest neighbours: clusters below, background above."""
    figure = style.new_figure(style.HALF_WIDTH_IN, 4.0)
    axes = figure.subplots()
    known = neighbours.parent >= 0
    t, r = neighbours.log_time[known], neighbours.log_distance[known]
    axes.plot(t, r, ".", ms=3, color=style.BLUE, alpha=0.4)
    if np.isfinite(neighbours.threshold):
        ends = np.array([t.min(), t.max()])
        label = f"log10 eta = {neighbours.threshold:.1f}"
        axes.plot(ends, neighbours.threshold - ends, color=style.VERMILION, linewidth=1, label=label)
        axes.legend()
    axes.set_ylim(r.min() - 0.3, r.max() + 0.3)
    axes.set_xlabel("log10 rescaled time")
    axes.set_ylabel("log10 rescaled distance")
    return figure


@style.styled
def gains(
    events: pd.DataFrame, gained: Mapping[str, NDArray[np.float64]], *, over: str, title: str
) -> Figure:
    """Draw what forecasts gain over another: each summed over time, and the first by event on a map.

    Parameters
    ----------
    events
        ``time``, ``longitude`` and ``latitude`` of the scored earthquakes, in order of time.
    gained
        By name of a forecast, what each earthquake adds to its gain [nat], ``(n,)``.
    over
        Name of the forecast that all are compared with.
    title
        Of the figure.
    """
    view = View.around(events["latitude"], events["longitude"], aspect=(0.6, 1.2))
    figure = style.new_figure(style.WIDTH_IN, 4.4)
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.1))  # type: ignore[misc]
    # Each its own scale: a large loss would flatten a small gain.
    rows = left.subplots(len(gained), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, value), colour in zip(rows, gained.items(), (style.BLUE, style.VERMILION, style.GREEN)):
        axes.step(events["time"], np.cumsum(value), where="post", color=colour, linewidth=1.2)
        axes.axhline(0, color=style.MUTED, linewidth=0.8)
        axes.set_ylabel(f"{name} [nat]")
        axes.yaxis.set_major_locator(MaxNLocator(4))
        locator = AutoDateLocator(maxticks=9)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    rows[0].set_title(f"{title}: gain over {over}, summed")
    axes = right.subplots()
    draw_base(axes, view)
    name, value = next(iter(gained.items()))
    limit = float(np.quantile(np.abs(value), 0.95)) or 1.0
    # The largest on top: the many small ones would hide them.
    order = np.argsort(np.abs(value))
    east, north = view.frame.to_local(events["latitude"], events["longitude"])
    drawn = axes.scatter(
        east[order], north[order], c=np.asarray(value)[order], s=9, cmap="RdBu_r", vmin=-limit, vmax=limit,
        edgecolors=style.MUTED, linewidths=0.15, zorder=3,
    )  # fmt: skip
    right.colorbar(drawn, ax=axes, shrink=0.8, pad=0.02, label=f"gain of {name} by event [nat]")
    return figure
