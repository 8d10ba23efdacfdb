"""The report of a forecast: words, table, maps of probability, and what it rests on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from kaname.report import page, style
from kaname.report.advisory import Situation, english, japanese, often, percent, spread
from kaname.report.maps import draw_base, symbol_size
from kaname.report.view import View

CIRCLES = 10
"""So many of the recent earthquakes, the largest, have circles on a map; the others are dots."""


@style.styled
def probability_map(
    cells: pd.DataFrame,
    events: pd.DataFrame,
    *,
    title: str,
    column: str = "probability",
    least: float = 0.0,
) -> Figure:
    """Draw the probability of one or more earthquakes in each cell, or about it, and what happened lately.

    Parameters
    ----------
    cells
        Edges as in FORECASTS, and ``column``.
    events
        Recent earthquakes: ``latitude``, ``longitude``, ``magnitude``; dots, the largest in circles.
    title
        Of the figure.
    column
        The probability to draw.
    least
        Cells of less stay empty: what a handful of simulations say is chance.
    """
    view = View.around(
        cells[["latitude_min", "latitude_max"]].to_numpy().ravel(),
        cells[["longitude_min", "longitude_max"]].to_numpy().ravel(),
        aspect=(0.5, 0.8),
    )
    figure = style.new_figure(7.4, 1.0 + 6.0 * view.half_north_km / view.half_east_km)
    axes = figure.subplots()
    draw_base(axes, view)
    value = cells[column].to_numpy(float)
    some = (value > 0) & (value >= least)
    if not some.any():
        style.say(axes, "too rare to map")
        axes.set_title(title)
        return figure
    high = float(value.max())
    norm = LogNorm(max(value[some].min(), high / 1000), high if high > value[some].min() else high * 1.01)
    cmap = matplotlib.colormaps["magma_r"]
    corners = [
        ("latitude_min", "longitude_min"), ("latitude_min", "longitude_max"),
        ("latitude_max", "longitude_max"), ("latitude_max", "longitude_min"),
    ]  # fmt: skip
    local = [view.frame.to_local(cells.loc[some, a], cells.loc[some, b]) for a, b in corners]
    squares = PolyCollection(
        list(np.stack([np.column_stack(c) for c in local], axis=1)), array=value[some], cmap=cmap, norm=norm,
        linewidths=0, zorder=0.6, rasterized=True, antialiaseds=False,
    )  # fmt: skip
    axes.add_collection(squares)
    east, north = view.frame.to_local(events["latitude"], events["longitude"])
    size = symbol_size(events["magnitude"].to_numpy(float))
    largest = np.argsort(-size, kind="stable")[:CIRCLES]
    axes.scatter(east, north, s=2.5, color=style.BLUE, linewidths=0, zorder=3)
    # A white ring under the blue one, to be seen on dark and on light cells.
    for colour, width in (("white", 2.4), (style.BLUE, 1.1)):
        axes.scatter(
            east[largest], north[largest], s=(size[largest] / 2) ** 2, facecolors="none", edgecolors=colour,
            linewidths=width, zorder=3.1,
        )  # fmt: skip
    bar = figure.colorbar(
        ScalarMappable(norm, cmap), ax=axes, shrink=0.75, pad=0.02, label="chance of one or more",
        format=FuncFormatter(lambda v, _: f"{100 * v:.3g} %"), ticks=LogLocator(subs=(1, 2, 5)),
    )  # fmt: skip
    bar.ax.yaxis.set_minor_locator(NullLocator())
    axes.set_title(title, pad=16)
    return figure


@style.styled
def daily_chart(daily: pd.DataFrame, magnitude: float) -> Figure:
    """Draw the probability of one or more earthquakes on each day."""
    figure = style.new_figure(style.WIDTH_IN, 2.8)
    axes = figure.subplots()
    axes.bar(range(1, len(daily) + 1), 100 * daily["probability"], color=style.BLUE, width=0.7)
    axes.set_xlabel("day of the forecast")
    axes.set_ylabel(f"chance of M {magnitude:g} or more [%]")
    axes.set_xticks(range(1, len(daily) + 1, max(1, len(daily) // 10)))
    return figure


def write_report(
    path: str | os.PathLike[str],
    situation: Situation,
    maps: Sequence[tuple[str, Figure]],
    daily: Figure,
    *,
    notes: Sequence[str],
    model: Sequence[tuple[str, str]],
) -> Path:
    """Write the page.

    Parameters
    ----------
    path
        File to write.
    situation
        What it is about.
    maps
        Captions and figures.
    daily
        Figure of `daily_chart`.
    notes
        What was done to the catalogue or assumed.
    model
        Names and values of what the forecast rests on.
    """
    return page.write_page(path, "Earthquake forecast", _body(situation, maps, daily, notes, model))


def _body(
    s: Situation,
    maps: Sequence[tuple[str, Figure]],
    daily: Figure,
    notes: Sequence[str],
    model: Sequence[tuple[str, str]],
) -> Iterator[str]:
    yield "<header><h1>Earthquake forecast</h1>\n"
    period = f"{page.moment(s.start, decimals=0)} to {page.moment(s.end, decimals=0)} UTC"
    yield f"<p>{period}. Catalogue until {page.moment(s.issued, decimals=0)} UTC.</p></header>\n<main>\n"
    yield "<section><h2>In numbers</h2>\n"
    yield from page.table(
        "chances",
        "In the whole region and period",
        _COLUMNS,
        s.table.to_dict("records"),
        sortable=False,
    )
    yield '</section>\n<section><h2>In words</h2>\n<div lang="en">'
    yield from (f"<p>{page.text(p)}</p>\n" for p in english(s))
    yield '</div>\n<h2 lang="ja">日本語</h2>\n<div lang="ja">'
    yield from (f"<p>{page.text(p)}</p>\n" for p in japanese(s))
    yield "</div></section>\n<section><h2>Day by day</h2>\n"
    yield page.picture(daily, "Bar chart of the chance on each day", "Days of 24 hours from the beginning.")
    yield "</section>\n<section><h2>Where</h2>\n"
    for caption, figure in maps:
        yield page.picture(figure, caption, page.text(caption), gradients=True)
    yield "</section>\n<section><h2>What it rests on</h2>\n"
    yield page.items((name, page.text(value)) for name, value in model)
    if notes:
        yield "<ul>" + "".join(f"<li>{page.text(note)}</li>" for note in notes) + "</ul>\n"
    yield "</section>\n</main>\n"


def _interval(record: Any) -> str:
    known = spread(record["probability_low"], record["probability_high"])
    return known or percent(record["probability"])


def _count(record: Any) -> str:
    low, high = record["count_low"], record["count_high"]
    return "none" if high == 0 else f"{low} to {high}"


def _mean(record: Any) -> str:
    return "below 0.001" if record["expected"] < 0.001 else f"{record['expected']:.2g}"


_COLUMNS = (
    page.Column("Magnitude", "this magnitude or more", lambda r: f"{r['magnitude_min']:g} or more"),
    page.Column("Chance", "probability of one or more", lambda r: percent(r["probability"])),
    page.Column("95 % interval", "what the data leave open about the chance", _interval),
    page.Column("Before", "share of earlier periods as long with one or more", lambda r: often(r["usual"])),
    page.Column("How many", "95 % of the simulated futures", _count),
    page.Column("Mean number", "mean over all simulated futures", _mean),
)
