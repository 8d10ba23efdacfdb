"""Maps and sections of stress changes, and how well they tell where aftershocks are."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from kaname.report import page, style
from kaname.report.maps import draw_base
from kaname.report.view import View

COLOURS = "RdBu_r"
LABEL = "Change of Coulomb stress [MPa]"


@style.styled
def stress_map(
    changes: pd.DataFrame,
    outlines: ArrayLike,
    *,
    title: str,
    limit_mpa: float = 0.1,
    aftershocks: pd.DataFrame | None = None,
    trace: tuple[ArrayLike, ArrayLike] | None = None,
) -> Figure:
    """Draw the change on an even grid at one depth: red nearer to failure, blue farther.

    Parameters
    ----------
    changes
        ``latitude``, ``longitude``, ``coulomb_mpa`` of a whole grid, in any order.
    outlines
        ``(m, 4, 2)`` latitude, longitude of the rectangles of the source.
    title
        Title.
    limit_mpa
        Where the colours end; larger changes have the last colour.
    aftershocks
        ``latitude`` and ``longitude`` of events drawn as dots.
    trace
        Latitudes and longitudes of the ends of a section.
    """
    lat, lon = np.unique(changes["latitude"]), np.unique(changes["longitude"])
    values = np.full((len(lat), len(lon)), np.nan)
    at = np.searchsorted(lat, changes["latitude"]), np.searchsorted(lon, changes["longitude"])
    values[at] = changes["coulomb_mpa"]
    view = View.around(lat[[0, -1]], lon[[0, -1]])
    figure = style.new_figure(7.2, 5.9, constrained=False)
    axes = figure.add_axes((0.09, 0.03, 0.74, 0.87))
    draw_base(axes, view)
    east, north = view.frame.to_local(*np.meshgrid(lat, lon, indexing="ij"))
    axes.pcolormesh(
        east, north, values, cmap=COLOURS, vmin=-limit_mpa, vmax=limit_mpa, shading="nearest", alpha=0.85,
        rasterized=True, zorder=0.6,
    )  # fmt: skip
    for outline in np.asarray(outlines, float):
        x, y = view.frame.to_local(*np.vstack([outline, outline[:1]]).T)
        axes.plot(x, y, color=style.INK, lw=0.25 if len(np.asarray(outlines)) > 12 else 0.9, zorder=3)
    if aftershocks is not None and len(aftershocks):
        x, y = view.frame.to_local(aftershocks["latitude"], aftershocks["longitude"])
        inside = view.contains(x, y)
        axes.scatter(x[inside], y[inside], s=4, color=style.INK, edgecolors="white", linewidths=0.2, zorder=4)
    if trace is not None:
        x, y = view.frame.to_local(*trace)
        axes.plot(x, y, color=style.GREEN, lw=1.2, zorder=3.5)
        for name, px, py in zip(("A", "B"), x, y):
            axes.annotate(name, (px, py), color=style.GREEN, weight="bold", zorder=5)
    axes.set_title(title, pad=14)
    _bar(figure, axes, limit_mpa)
    return figure


@style.styled
def stress_section(
    changes: pd.DataFrame,
    *,
    title: str,
    limit_mpa: float = 0.1,
    source: tuple[ArrayLike, ArrayLike] | None = None,
    aftershocks: tuple[ArrayLike, ArrayLike] | None = None,
) -> Figure:
    """Draw the change on a vertical section: ``along_km``, ``depth_km``, ``coulomb_mpa``.

    ``source`` and ``aftershocks`` are distances along and depths [km] of points to draw.
    """
    along, depth = np.unique(changes["along_km"]), np.unique(changes["depth_km"])
    values = np.full((len(depth), len(along)), np.nan)
    at = np.searchsorted(depth, changes["depth_km"]), np.searchsorted(along, changes["along_km"])
    values[at] = changes["coulomb_mpa"]
    figure = style.new_figure(style.HALF_WIDTH_IN * 1.25, 3.2)
    axes = figure.subplots()
    axes.grid(False)
    axes.pcolormesh(
        along, depth, values, cmap=COLOURS, vmin=-limit_mpa, vmax=limit_mpa,
        shading="nearest", alpha=0.85, rasterized=True,
    )  # fmt: skip
    if source is not None:
        axes.scatter(*source, s=5, color=style.INK, marker="s", label="source")
    if aftershocks is not None and len(np.atleast_1d(aftershocks[0])):
        axes.scatter(*aftershocks, s=3, color=style.GREEN, label="aftershocks")
    if source is not None or aftershocks is not None:
        axes.legend(loc="lower right")
    axes.set(xlabel="distance from A to B, from the epicentre [km]", ylabel="depth [km]", title=title)
    axes.set_aspect("equal")
    axes.set_xlim(along[0], along[-1])
    axes.set_ylim(depth[-1], 0)
    _bar(figure, axes, limit_mpa)
    return figure


@style.styled
def receiver_plane(changes: pd.DataFrame, *, title: str, limit_mpa: float = 0.1) -> Figure:
    """Draw the change at the subfaults of a receiver, by distance from the first of them and depth."""
    figure = style.new_figure(style.HALF_WIDTH_IN * 1.25, 3.2)
    axes = figure.subplots()
    first = changes.iloc[0]
    scale = np.cos(np.radians(first["latitude"])) * 111.2
    apart = np.hypot(
        (changes["latitude"] - first["latitude"]) * 111.2, (changes["longitude"] - first["longitude"]) * scale
    )
    axes.scatter(
        apart, changes["depth_km"], c=changes["coulomb_mpa"], cmap=COLOURS, vmin=-limit_mpa, vmax=limit_mpa,
        marker="s", s=45, edgecolors=style.FAINT, linewidths=0.3,
    )  # fmt: skip
    axes.invert_yaxis()
    axes.set(xlabel="distance from the first subfault [km]", ylabel="depth [km]", title=title)
    _bar(figure, axes, limit_mpa)
    return figure


@style.styled
def pattern_scores(scores: pd.DataFrame, *, baselines: Sequence[str]) -> Figure:
    """Draw the areas under the ROC curve with their intervals; the baselines are filled squares."""
    figure = style.new_figure(style.HALF_WIDTH_IN * 1.25, 0.6 + 0.3 * len(scores))
    axes = figure.subplots()
    for row, score in enumerate(scores.to_dict("records")):
        baseline = score["predictor"] in baselines
        colour = style.VERMILION if baseline else style.BLUE
        axes.plot([score["low"], score["high"]], [row, row], color=colour, lw=1.5)
        axes.plot(score["auc"], row, "s" if baseline else "o", color=colour, ms=5)
    axes.axvline(0.5, color=style.MUTED, lw=0.8, ls="--")
    axes.set_yticks(range(len(scores)), scores["predictor"].str.replace("_", " "))
    axes.invert_yaxis()
    axes.set(xlabel="area under the ROC curve (0.5: no skill), 95 %", title="Which cells hold aftershocks?")
    return figure


def write_report(
    path: str | os.PathLike[str],
    *,
    title: str,
    figures: Mapping[str, Figure],
    facts: Sequence[tuple[str, str]],
    remarks: Sequence[str],
) -> Path:
    """Write a page of figures (by caption), facts (name and value) and what a reader must know."""

    def body() -> Iterator[str]:
        yield f"<main><h1>{page.text(title)}</h1>\n"
        yield page.items([(name, page.text(value)) for name, value in facts], wide=True)
        for caption, figure in figures.items():
            yield page.picture(figure, caption, page.text(caption), gradients=True)
        yield "<h2>What this does not say</h2><ul>"
        yield from (f"<li>{page.text(remark)}</li>" for remark in remarks)
        yield "</ul></main>"

    return page.write_page(path, title, body())


def _bar(figure: Figure, axes: Axes, limit_mpa: float) -> None:
    colours = ScalarMappable(Normalize(-limit_mpa, limit_mpa), COLOURS)
    figure.colorbar(colours, ax=axes, extend="both", shrink=0.8, label=LABEL)


def along_of(
    frame_east_km: NDArray[np.float64], frame_north_km: NDArray[np.float64], azimuth_deg: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return distances along and across a section through the origin [km]."""
    a = np.radians(azimuth_deg)
    along = frame_east_km * np.sin(a) + frame_north_km * np.cos(a)
    return along, frame_east_km * np.cos(a) - frame_north_km * np.sin(a)
