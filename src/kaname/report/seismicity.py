"""Plots of a catalogue: sizes, times, places, and how near its earthquakes are to one another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kaname.report import style
from kaname.report.catalogue import magnitude_time
from kaname.report.maps import symbol_size


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
