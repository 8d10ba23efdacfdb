"""Maps of shaking: the median, how uncertain it is, and what it may exceed, with the stations that say so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, Colormap, ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from kaname.report import style
from kaname.report.maps import draw_base
from kaname.report.view import View
from kaname.signal.intensity import CLASSES

Floats = NDArray[np.float64]

# From white over yellow and red to purple, as JMA's scale runs; lightness falls from class to class.
INTENSITY_COLOURS = {
    "0": "#f7f7f7",
    "1": "#dbe9f6",
    "2": "#a9d1f0",
    "3": "#5fa8dc",
    "4": "#fff3a0",
    "5-": "#ffd92f",
    "5+": "#ff9a1f",
    "6-": "#f4511e",
    "6+": "#b71c1c",
    "7": "#6a0f5e",
}


@style.styled
def shaking_maps(
    latitude: Floats,
    longitude: Floats,
    layers: dict[str, Floats],
    stations: pd.DataFrame,
    *,
    label: str,
    title: str,
    epicentre: tuple[float, float] | None = None,
) -> Figure:
    """Draw median, 16 and 84 % and the standard deviation of one measure.

    Parameters
    ----------
    latitude, longitude
        Of the rows and the columns of the grid [degrees], increasing.
    layers
        ``median``, ``p16``, ``p84`` and ``sigma_ln``, each of shape (n_latitude, n_longitude).
    stations
        ``latitude``, ``longitude`` and ``value`` (in the unit of the measure) of the recordings.
    label
        Of the measure, with its unit.
    title
        Of the figure.
    epicentre
        Latitude and longitude [degrees], drawn as a star.
    """
    view = _view(latitude, longitude)
    values = np.concatenate([layers["p16"].ravel(), layers["p84"].ravel()])
    low, high = np.quantile(values[np.isfinite(values)], [0.02, 0.995])
    scale = LogNorm(max(low, high / 1000), high)
    colours = matplotlib.colormaps["inferno_r"]
    spread = Normalize(0, float(np.nanmax(layers["sigma_ln"])))
    panels: list[tuple[str, str, Colormap, Normalize, str]] = [
        ("median", "Median", colours, scale, label),
        ("sigma_ln", "Standard deviation", matplotlib.colormaps["viridis"], spread, "ln units"),
        ("p16", "16 %: exceeded with probability 0.84", colours, scale, label),
        ("p84", "84 %: exceeded with probability 0.16", colours, scale, label),
    ]
    figure, axes = _panels(view, 2, 2)
    for axis, (name, heading, cmap, norm, unit) in zip(axes, panels):
        draw_base(axis, view)
        _raster(axis, view, latitude, longitude, layers[name], cmap, norm)
        if name != "sigma_ln":
            _stations(axis, view, stations, cmap, norm)
        else:
            _stations(axis, view, stations, None, None)
        _finish(axis, view, heading, epicentre)
        # Plain numbers: powers of ten would be set in mathematical type, which not every machine has.
        bar = figure.colorbar(
            ScalarMappable(norm, cmap), ax=axis, shrink=0.75, pad=0.02, label=unit, format="%g"
        )
        if isinstance(norm, LogNorm):
            bar.set_ticks(style.log_ticks(float(scale.vmin or low), high))
        bar.ax.minorticks_off()
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    return figure


@style.styled
def exceedance_maps(
    latitude: Floats,
    longitude: Floats,
    layers: dict[str, Floats],
    stations: pd.DataFrame,
    *,
    title: str,
    epicentre: tuple[float, float] | None = None,
) -> Figure:
    """Draw probabilities of exceeding, a panel per layer (its name the heading); as `shaking_maps`."""
    view = _view(latitude, longitude)
    n_column = 2 if len(layers) > 1 else 1
    figure, axes = _panels(view, -(-len(layers) // n_column), n_column)
    norm, cmap = Normalize(0, 1), matplotlib.colormaps["magma_r"]
    for axis in axes[len(layers) :]:
        axis.set_visible(False)
    for axis, (heading, layer) in zip(axes, layers.items()):
        draw_base(axis, view)
        _raster(axis, view, latitude, longitude, layer, cmap, norm)
        _stations(axis, view, stations, None, None)
        _finish(axis, view, heading, epicentre)
        figure.colorbar(ScalarMappable(norm, cmap), ax=axis, shrink=0.75, pad=0.02, label="probability")
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    return figure


@style.styled
def intensity_map(
    latitude: Floats,
    longitude: Floats,
    intensity: Floats,
    stations: pd.DataFrame,
    *,
    title: str,
    epicentre: tuple[float, float] | None = None,
) -> Figure:
    """Draw JMA intensity by class, the stations (``value`` is an intensity) in the same colours."""
    view = _view(latitude, longitude)
    bounds = [-10.0, *(low for low, _ in reversed(CLASSES)), 10.0]
    cmap, norm = ListedColormap(list(INTENSITY_COLOURS.values())), BoundaryNorm(bounds, len(bounds) - 1)
    figure, (axis,) = _panels(view, 1, 1)
    draw_base(axis, view)
    _raster(axis, view, latitude, longitude, intensity, cmap, norm)
    _stations(axis, view, stations, cmap, norm)
    _finish(axis, view, "", epicentre)
    handles = [
        matplotlib.patches.Patch(facecolor=colour, edgecolor=style.MUTED, linewidth=0.4, label=name)
        for name, colour in reversed(INTENSITY_COLOURS.items())
    ]
    axis.legend(
        handles=handles, title="JMA intensity", loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False
    )
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    return figure


@style.styled
def hazard_maps(
    latitude: Floats,
    longitude: Floats,
    layers: dict[str, Floats],
    sites: pd.DataFrame,
    outlines: Sequence[Floats],
    *,
    label: str,
    title: str,
) -> Figure:
    """Draw levels of shaking on one scale, a panel per layer (its name the heading).

    Parameters
    ----------
    latitude, longitude
        Of the rows and the columns of the grid [degrees], increasing.
    layers
        Levels, each of shape (n_latitude, n_longitude).
    sites
        ``site`` (name), ``latitude`` and ``longitude`` of places to mark.
    outlines
        Longitude and latitude of lines to draw: faults, areas; each of shape (n, 2).
    label
        Of the measure, with its unit.
    title
        Of the figure.
    """
    view = _view(latitude, longitude)
    n_column = 2 if len(layers) > 1 else 1
    figure, axes = _panels(view, -(-len(layers) // n_column), n_column)
    marks = sites[view.contains(*view.frame.to_local(sites["latitude"], sites["longitude"]))]
    values = np.concatenate([layer.ravel() for layer in layers.values()])
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    cmap = matplotlib.colormaps["inferno_r"]
    norm = LogNorm(max(low, high / 1000), high) if high > low > 0 else Normalize(low, high)
    for axis in axes[len(layers) :]:
        axis.set_visible(False)
    for axis, (heading, layer) in zip(axes, layers.items()):
        draw_base(axis, view)
        _raster(axis, view, latitude, longitude, layer, cmap, norm)
        for line in outlines:
            axis.plot(*view.frame.to_local(line[:, 1], line[:, 0]), color=style.SKY, lw=1.2, zorder=2)
        _stations(axis, view, marks.assign(value=np.nan), None, None)
        for name, east, north in zip(
            marks["site"], *view.frame.to_local(marks["latitude"], marks["longitude"])
        ):
            text = axis.annotate(
                name, (east, north), (4, 4), textcoords="offset points", fontsize=7, zorder=4
            )
            text.set_path_effects([withStroke(linewidth=2, foreground="white")])
        _finish(axis, view, heading, None)
    bar = figure.colorbar(
        ScalarMappable(norm, cmap), ax=axes, shrink=0.75, pad=0.02, label=label, format="%g"
    )
    if isinstance(norm, LogNorm):
        bar.set_ticks(style.log_ticks(low, high))
    bar.ax.minorticks_off()
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    return figure


def _view(latitude: Floats, longitude: Floats) -> View:
    corners = np.meshgrid(latitude[[0, -1]], longitude[[0, -1]])
    view = View.around(*(c.ravel() for c in corners), aspect=(0.5, 1.6))
    return View(view.frame, view.half_east_km / 1.1, view.half_north_km / 1.1)


def _panels(view: View, n_row: int, n_column: int) -> tuple[Figure, list[Axes]]:
    width = style.WIDTH_IN if n_column > 1 else 7.4
    each = (width / n_column - 1.3) * view.half_north_km / view.half_east_km
    figure = style.new_figure(width, n_row * (each + 0.75) + 0.4)
    return figure, list(np.atleast_1d(figure.subplots(n_row, n_column)).ravel())


def _raster(
    axis: Axes, view: View, latitude: Floats, longitude: Floats, layer: Floats, cmap: Any, norm: Any
) -> None:
    edges = [np.concatenate([[1.5 * a[0] - 0.5 * a[1]], (a[1:] + a[:-1]) / 2, [1.5 * a[-1] - 0.5 * a[-2]]])
             for a in (latitude, longitude)]  # fmt: skip
    lat, lon = np.meshgrid(*edges, indexing="ij")
    east, north = view.frame.to_local(lat, lon)
    axis.pcolormesh(east, north, layer, cmap=cmap, norm=norm, zorder=0.6, rasterized=True, linewidth=0)


def _stations(axis: Axes, view: View, stations: pd.DataFrame, cmap: Any, norm: Any) -> None:
    east, north = view.frame.to_local(stations["latitude"], stations["longitude"])
    colours = {"c": stations["value"], "cmap": cmap, "norm": norm} if cmap is not None else {"c": "none"}
    size = float(np.clip(2500 / max(len(stations), 1), 5, 22))
    marks = axis.scatter(
        east, north, s=size, marker="^", edgecolors=style.INK, linewidths=0.35, zorder=3, **colours
    )
    # A triangle is seen on dark cells too.
    marks.set_path_effects([withStroke(linewidth=1.4, foreground="white")])


def _finish(axis: Axes, view: View, heading: str, epicentre: tuple[float, float] | None) -> None:
    if epicentre is not None and np.isfinite(epicentre).all():
        at = view.frame.to_local(*epicentre)
        axis.plot(*at, marker="*", markersize=13, color=style.VERMILION, markeredgecolor="white", zorder=4)
    axis.set_title(heading, pad=16 if heading else 6)
