"""Figures of a fitted ETAS model: its residuals in time, and the density of its background."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from kaname.report import style


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
