"""One picture per station: what of its records is there, what is wrong with them, and how noisy it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from kaname.report import style
from kaname.signal.noise import noise_models

DRAWN_CHANNELS = 12
"""A picture shows at most this many channels."""

_COLOURS = (style.BLUE, style.VERMILION, style.GREEN, style.PURPLE, style.ORANGE, style.MUTED)
_MARKS = {
    "dead": ("x", style.INK),
    "clipped": ("^", style.PURPLE),
    "spikes": ("|", style.INK),
    "clock": ("o", style.ORANGE),
    "late records": (".", style.ORANGE),
    "overlaps": ("_", style.BLUE),
    "not finite": ("s", style.PURPLE),
}
_SHARE = LinearSegmentedColormap.from_list("share", ["#f6d5c5", "#d55e00", "#e69f00", "#9ad1b8", "#009e73"])
_UNIT = {"m/s^2": "dB re 1 (m/s²)²/Hz", "count": "dB re 1 count²/Hz"}


def stations_of(quality: pd.DataFrame) -> list[str]:
    """Return the stations of a table of quality as ``NET.STA``, sorted."""
    return sorted({".".join(identifier.split(".")[:2]) for identifier in quality["id"]})


@style.styled
def station_figure(quality: pd.DataFrame, noise: pd.DataFrame, station: str) -> Figure:
    """Draw one station.

    Parameters
    ----------
    quality, noise
        Tables ``quality`` and ``noise`` of ``kaname.archive.quality_tables``.
    station
        ``NET.STA``.

    Returns
    -------
    Figure
        What is there of each channel and day with the problems as marks, the level of the samples by day, and
        the noise by period. Levels with and without a known response get panels of their own.
    """
    mine = quality[quality["id"].str.startswith(f"{station}.")]
    channels = sorted(mine["id"].unique())[:DRAWN_CHANNELS]
    heard = noise[noise["id"].isin(channels)]
    units = [unit for unit in _UNIT if (heard["unit"] == unit).any()] or [""]
    strip_in = 0.5 + 0.24 * max(len(channels), 2)
    figure = style.new_figure(style.WIDTH_IN, strip_in + 2.1 + 3.3)
    grid = figure.add_gridspec(3, len(units), height_ratios=[strip_in, 1.9, 3.2])
    figure.suptitle(f"{station}: quality of the records", x=0.01, ha="left", fontweight="bold", fontsize=11)
    there = figure.add_subplot(grid[0, :], gid="there")
    level = figure.add_subplot(grid[1, :], sharex=there, gid="level")
    if not channels:
        style.say(there, "no records")
        return figure
    _draw_days(figure, there, mine, channels)
    _draw_level(level, mine, channels)
    for column, unit in enumerate(units):
        axes = figure.add_subplot(grid[2, column], gid=f"noise {unit}")
        _draw_noise(axes, heard[heard["unit"] == unit], channels, unit)
    locator = AutoDateLocator(minticks=3, maxticks=9)  # type: ignore[no-untyped-call]
    level.xaxis.set_major_locator(locator)
    level.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    there.tick_params(labelbottom=False)
    first, last = _number([mine["day"].min(), mine["day"].max()])
    level.set_xlim(first, last + 1)
    return figure


def _number(days: Any) -> Any:
    return date2num(days)  # type: ignore[no-untyped-call]


def _short(identifier: str) -> str:
    """Return location and channel."""
    _, _, location, channel = identifier.split(".")
    return f"{location}.{channel}" if location else channel


def _draw_days(figure: Figure, axes: Axes, quality: pd.DataFrame, channels: list[str]) -> None:
    row = {identifier: number for number, identifier in enumerate(channels)}
    shown = quality[quality["id"].isin(channels)]
    day = _number(shown["day"])
    y = shown["id"].map(row).to_numpy()
    bars = axes.barh(y, 1.0, left=day, height=0.72, color=_SHARE(shown["available"].to_numpy()), linewidth=0)
    for bar, share in zip(bars, shown["available"]):
        bar.set_visible(share > 0)
    said = set()
    for name, (mark, colour) in _MARKS.items():
        here = shown["problems"].str.split(", ").map(lambda words, name=name: name in words).to_numpy()
        if not here.any():
            continue
        said.add(name)
        (line,) = axes.plot(day[here] + 0.5, y[here], mark, color=colour, ms=6, mew=1.3, ls="", label=name)
        line.set_path_effects([withStroke(linewidth=3.2, foreground="white")])
    axes.set_yticks(range(len(channels)), [_short(identifier) for identifier in channels])
    axes.set_ylim(len(channels) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.set_title("What is there of each day, and what is wrong")
    scale = figure.colorbar(
        ScalarMappable(Normalize(0, 1), _SHARE),
        ax=axes,
        orientation="vertical",
        fraction=0.04,
        pad=0.01,
        ticks=[0, 0.5, 1],
    )
    scale.ax.set_yticklabels(["0", "50", "100 %"])
    scale.outline.set_visible(False)
    if said:
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=len(said), handletextpad=0.2)


def _draw_level(axes: Axes, quality: pd.DataFrame, channels: list[str]) -> None:
    axes.set_title("Root mean square of the samples")
    axes.set_ylabel("count")
    drawn = False
    for number, identifier in enumerate(channels):
        own = quality[quality["id"] == identifier].sort_values("day")
        if not (own["rms"] > 0).any():
            continue
        drawn = True
        colour = _COLOURS[number % len(_COLOURS)]
        axes.plot(
            _number(own["day"]) + 0.5, own["rms"], "o-", ms=3, lw=1, color=colour, label=_short(identifier)
        )
    if not drawn:
        axes.text(0.5, 0.5, "nothing but zeros", transform=axes.transAxes, ha="center", color=style.MUTED)
        return
    axes.set_yscale("log")
    style.plain_log(axes.yaxis)


def _draw_noise(axes: Axes, noise: pd.DataFrame, channels: list[str], unit: str) -> None:
    axes.set_title("Noise: median of the days, and 10th to 90th percentile")
    if noise.empty:
        style.say(axes, "no gap-free hour to measure noise in")
        return
    for number, identifier in enumerate(channels):
        own = noise[noise["id"] == identifier]
        if own.empty:
            continue
        by = own.groupby("period_s")[["level_p10_db", "level_db", "level_p90_db"]].median()
        colour = _COLOURS[number % len(_COLOURS)]
        axes.fill_between(by.index, by["level_p10_db"], by["level_p90_db"], color=colour, alpha=0.13, lw=0)
        axes.plot(by.index, by["level_db"], color=colour, lw=1.4, label=_short(identifier))
    if unit == "m/s^2":
        period = np.geomspace(0.1, noise["period_s"].max(), 300)
        low, high = noise_models(period)
        axes.plot(period, low, color=style.INK, lw=1, ls="--", label="NLNM, NHNM (Peterson 1993)")
        axes.plot(period, high, color=style.INK, lw=1, ls="--")
    axes.set_xscale("log")
    style.plain_log(axes.xaxis)
    axes.set_xlabel("Period (s)")
    axes.set_ylabel(_UNIT[unit])
    axes.legend(loc="best", ncols=2)
