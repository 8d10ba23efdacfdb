"""Figures of fitted ETAS models: residuals in time, density of the background, how often intervals hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from kaname.report import style

if TYPE_CHECKING:
    import pandas as pd


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
