"""Figures of fitted ETAS models: residuals in time and space, the background, how often intervals hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import ArrayLike, NDArray

from kaname.report import style

if TYPE_CHECKING:
    import pandas as pd

_MOST_DEVIATE = 4.0
"""Deviate of the darkest colours."""


@style.styled
def transformed_times(value: ArrayLike, total: float, *, title: str = "") -> Figure:
    """Draw numbers observed against numbers expected, with the band that 95 % of Poisson processes keep to.

    Parameters
    ----------
    value, total
        Transformed time of each earthquake ``(n,)``, and that of the end of the period.
    title
        What is shown.
    """
    figure = style.new_figure(style.HALF_WIDTH_IN, 4.2)
    axes = figure.subplots()
    x = np.asarray(value, float)
    n = len(x)
    grid = np.linspace(0, total, 200)
    # Kolmogorov's 95 % band about the straight line, in numbers.
    band = 1.358 * np.sqrt(n)
    axes.fill_between(
        grid, grid * n / total - band, grid * n / total + band, color=style.FAINT, label="95 % band"
    )
    axes.plot(grid, grid, color=style.MUTED, linestyle="--", label="as many as expected")
    axes.step(
        np.append(x, total),
        np.append(np.arange(1, n + 1), n),
        where="post",
        color=style.BLUE,
        label="observed",
    )
    axes.set_xlabel("earthquakes expected")
    axes.set_ylabel("earthquakes observed")
    axes.set_title(title)
    axes.legend(loc="upper left")
    return figure


@style.styled
def thinned(
    points: pd.DataFrame,
    outline: tuple[ArrayLike, ArrayLike],
    pairs: pd.DataFrame,
    *,
    title: str = "",
) -> Figure:
    """Draw super-thinned residuals on a map and in time, and their pairs with the envelope of even points.

    Parameters
    ----------
    points
        ``time``, ``longitude``, ``latitude``, ``earthquake`` (or simulated).
    outline
        Longitudes and latitudes of the region's corners [degree].
    pairs
        ``distance_km``, ``delay_day``, ``ratio`` (of pairs to those of even points), ``low``, ``high`` (their
        envelope): a row each. Three delays are drawn.
    title
        What is shown.
    """
    figure = style.new_figure(style.WIDTH_IN, 4.4)
    places, times, ratios = figure.subplots(1, 3, width_ratios=[1.15, 1, 0.9])
    looks: dict[bool, dict[str, Any]] = {
        False: {"color": style.ORANGE, "label": "simulated"},
        True: {"color": style.BLUE, "label": "earthquakes"},
    }
    for kind, look in looks.items():
        some = points[points["earthquake"] == kind]
        for axes, x in ((places, some["longitude"]), (times, some["time"])):
            axes.plot(x, some["latitude"], ".", markersize=2, alpha=0.6, **look)
    lon, lat = (np.append(v, np.asarray(v)[0]) for v in outline)
    places.plot(lon, lat, color=style.MUTED, linewidth=0.8)
    places.set_aspect(1 / np.cos(np.radians(lat.mean())))
    places.set_xlabel("longitude [degree]")
    places.set_ylabel("latitude [degree]")
    places.set_title(title)
    places.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, markerscale=5)
    times.set_xlabel("time")
    times.tick_params(axis="x", rotation=30)
    delays = np.sort(pairs.loc[pairs["low"].notna(), "delay_day"].unique())
    chosen = delays[np.unique(np.linspace(0, len(delays) - 1, 3).round().astype(int))] if len(delays) else []
    colours = (style.VERMILION, style.GREEN, style.BLUE)
    for delay, colour in zip(chosen, colours):
        rows = pairs[(pairs["delay_day"] == delay) & pairs["low"].notna()]
        ratios.fill_between(rows["distance_km"], rows["low"], rows["high"], color=colour, alpha=0.15)
        ratios.plot(
            rows["distance_km"], rows["ratio"], "o-", markersize=3, color=colour, label=f"{delay:.3g} days"
        )
    if len(chosen):
        ratios.axhline(1, color=style.MUTED, linestyle="--", linewidth=1)
        ratios.set_xscale("log")
        near, far = float(pairs["distance_km"].min()), float(pairs["distance_km"].max())
        ratios.set_xticks(style.log_ticks(near, far))
        ratios.xaxis.set_major_formatter("{x:g}")
        ratios.xaxis.set_minor_locator(NullLocator())
        ratios.legend(loc="upper right", title="closer in time than")
    else:
        style.say(ratios, "too few points for pairs")
    ratios.set_xlabel("closer than [km]")
    ratios.set_ylabel("pairs, relative to even points")
    return figure


@style.styled
def voronoi(
    maps: dict[str, tuple[list[tuple[NDArray[np.float64], NDArray[np.float64]]], NDArray[np.float64]]],
    worst: pd.DataFrame,
) -> Figure:
    """Map the cells of earthquakes, coloured by whether too few or too many were expected in them.

    Parameters
    ----------
    maps
        By title: longitudes and latitudes of the corners of each cell [degree], and the residual of each as a
        standard normal deviate ``(n,)``, positive where too few were expected. More than one are beside one
        another, to compare.
    worst
        ``longitude``, ``latitude`` of places that are numbered on the first map, in that order.
    """
    n = len(maps)
    figure = style.new_figure(style.WIDTH_IN, 5.6 if n == 1 else 4.4)
    *drawn, numbers = figure.subplots(1, n + 1, width_ratios=[2.1 if n == 1 else 1.35] * n + [1])
    bins = np.arange(-6, 6.01, 0.25)
    for axes, (title, (rings, deviate)), colour in zip(drawn, maps.items(), (style.VERMILION, style.GREEN)):
        corners = [np.column_stack(ring) for ring in rings]
        cells = PolyCollection(corners, array=deviate, cmap="RdBu_r", linewidths=0.1, edgecolors="face")
        cells.set_clim(-_MOST_DEVIATE, _MOST_DEVIATE)
        cells.set_rasterized(True)
        axes.add_collection(cells)
        (west, south), (east, north) = (f(np.vstack(corners), axis=0) for f in (np.min, np.max))
        axes.set_xlim(west, east)
        axes.set_ylim(south, north)
        axes.set_aspect(1 / np.cos(np.radians((south + north) / 2)))
        axes.grid(False)
        axes.set_xlabel("longitude [degree]")
        axes.set_title(title)
        inside = np.clip(deviate, bins[0], bins[-1])
        numbers.hist(inside, bins, density=True, histtype="step", color=colour, linewidth=1.3, label=title)
    drawn[0].set_ylabel("latitude [degree]")
    for k, row in enumerate(worst.itertuples(), start=1):
        drawn[0].annotate(
            str(k),
            (row.longitude, row.latitude),
            xytext=(9, 9),
            textcoords="offset points",
            fontweight="bold",
            fontsize=8,
            arrowprops={"arrowstyle": "-", "linewidth": 0.8},
            bbox={"boxstyle": "circle,pad=0.15", "facecolor": "white", "linewidth": 0.6},
        )
    bar = figure.colorbar(cells, ax=drawn, extend="both", shrink=0.8 if n == 1 else 0.7, aspect=30)
    bar.set_label("too many expected      deviate      too few expected")
    normal = np.exp(-(bins**2) / 2) / np.sqrt(2 * np.pi)
    numbers.plot(bins, normal, color=style.MUTED, linestyle="--", label="normal")
    numbers.set_xlabel("deviate of a cell")
    numbers.set_ylabel("share of cells, per unit")
    numbers.set_ylim(0, 0.55)
    numbers.legend(loc="upper left")
    return figure


@style.styled
def background(
    longitude: NDArray[np.float64],
    latitude: NDArray[np.float64],
    density: NDArray[np.float64],
    events: tuple[ArrayLike, ArrayLike],
    *,
    title: str = "",
) -> Figure:
    """Map the density of the background, with the earthquakes of the period that it did not see.

    Parameters
    ----------
    longitude, latitude
        Of the grid [degree], ``(n,)`` and ``(m,)``.
    density
        Probability density [1/km2], ``(m, n)``.
    events
        Longitudes and latitudes of the earthquakes [degree].
    title
        What is shown.
    """
    figure = style.new_figure(1.2 * style.HALF_WIDTH_IN, 5.0)
    axes = figure.subplots()
    shown = np.log10(np.maximum(density, 1e-12))
    mesh = axes.pcolormesh(
        longitude, latitude, shown, cmap="cividis", shading="auto", vmin=shown.max() - 4, rasterized=True
    )
    axes.plot(
        *events, ".", markersize=1.2, color=style.VERMILION, alpha=0.6, label="earthquakes that came later"
    )
    axes.set_aspect(1 / np.cos(np.radians(np.mean(latitude))))
    axes.grid(False)
    axes.set_xlabel("longitude [degree]")
    axes.set_ylabel("latitude [degree]")
    axes.set_title(title)
    axes.legend(loc="lower left", markerscale=6, frameon=True, framealpha=0.9, facecolor="white")
    figure.colorbar(mesh, ax=axes, label="density, log10 [1/km²]", shrink=0.8)
    return figure


@style.styled
def p_values(found: dict[str, NDArray[np.float64]]) -> Figure:
    """Draw the p-values of tests in order against those of a right model, with the band that chance allows.

    Parameters
    ----------
    found
        By the name of the test ``(n,)``; those that are not finite are left out.
    """
    columns = 4
    rows = -(-len(found) // columns)
    figure = style.new_figure(style.WIDTH_IN, 2.7 * rows)
    grid = np.linspace(0, 1, 101)
    drawn = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, (title, values) in zip(drawn, found.items()):
        p = np.sort(values[np.isfinite(values)])
        # Kolmogorov's 95 % band.
        band = 1.358 / np.sqrt(max(len(p), 1))
        axes.fill_between(grid, grid - band, grid + band, color=style.FAINT)
        axes.plot(grid, grid, color=style.MUTED, linestyle="--", linewidth=1)
        axes.step(p, np.arange(1, len(p) + 1) / len(p), where="post", color=style.BLUE)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_title(title, fontsize=8.5)
    for axes in drawn[len(found) :]:
        axes.set_visible(False)
    figure.supxlabel("p-value", fontsize=9)
    figure.supylabel("share of catalogues below", fontsize=9)
    return figure


@style.styled
def coverage(table: pd.DataFrame, *, titles: dict[str, str]) -> Figure:
    """Draw how often intervals held the truth, with what chance allows so many catalogues.

    Parameters
    ----------
    table
        ``case``, ``parameter``, ``interval`` (its kind), ``level``, ``held``, ``low``, ``high``: a row each.
    titles
        Title of each case, in the order in which they are drawn.
    """
    figure = style.new_figure(style.HALF_WIDTH_IN * 2, 2.6 * len(titles))
    marks = {
        "normal": ("o", style.BLUE, -0.12),
        "posterior": ("s", style.VERMILION, 0.12),
        "likelihood ratio": ("D", style.GREEN, 0.12),
        "bootstrap": ("^", style.VERMILION, 0.0),
    }
    for axes, (case, title) in zip(np.atleast_1d(figure.subplots(len(titles), 1)), titles.items()):
        rows = table[table["case"] == case]
        names = list(dict.fromkeys(rows["parameter"]))
        for level in sorted(rows["level"].unique()):
            axes.axhline(level, color=style.MUTED, linestyle="--", linewidth=1)
        for kind, (mark, color, shift) in marks.items():
            some = rows[rows["interval"] == kind]
            if some.empty:
                continue
            x = np.array([names.index(n) for n in some["parameter"]]) + shift
            held = some["held"].to_numpy(float)
            bars = np.abs(np.array([held - some["low"], some["high"] - held], float))
            axes.errorbar(x, held, bars, fmt=mark, color=color, markersize=5, label=kind)
        axes.set_xticks(range(len(names)), names)
        axes.set_ylim(min(0.4, float(rows["low"].min()) - 0.02), 1.02)
        axes.set_ylabel("truth held")
        axes.set_title(title)
        if len(set(rows["interval"])) > 1:
            axes.legend(loc="lower left", ncols=3)
    return figure
