"""Figures of hazard and damage: hazard curves, fragility curves, damage foretold and found."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kaname.report import style

STATE_COLOURS = (style.SKY, style.GREEN, style.ORANGE, style.VERMILION, style.PURPLE, style.BLUE, style.INK)
CURVE_COLOURS = (style.INK, style.VERMILION, style.GREEN, style.PURPLE)
LINES = ("--", ":", "-.", "-")


@style.styled
def hazard_curves(panels: Mapping[str, Mapping[str, pd.DataFrame]], *, years: float) -> Figure:
    """Draw probabilities of exceedance against the level of shaking.

    Parameters
    ----------
    panels
        By title of the panel (a measure with its unit) and name of the curve: a table with ``level`` and
        ``probability``.
    years
        Time that the probabilities are for.
    """
    figure = style.new_figure(style.WIDTH_IN, 3.6)
    axes = figure.subplots(1, max(len(panels), 1), squeeze=False)[0]
    for own, (title, curves) in zip(axes, panels.items()):
        for i, (name, curve) in enumerate(curves.items()):
            seen = curve[curve["probability"] > 0]
            # The first is broad and pale, so that one that covers it leaves it in sight.
            look = {"lw": 5.0, "alpha": 0.35} if i == 0 else {"lw": 1.3}
            colour = style.BLUE if i == 0 else CURVE_COLOURS[(i - 1) % len(CURVE_COLOURS)]
            own.plot(seen["level"], seen["probability"], LINES[(i - 1) % 4], color=colour, label=name, **look)
        own.set(xscale="log", yscale="log", title=title, xlabel="level")
        own.set_ylabel(f"probability of exceedance in {years:g} years")
        own.set_ylim(bottom=max(own.get_ylim()[0], 1e-7))
        if curves:
            own.legend()
    if not panels:
        style.say(axes[0], "no hazard curves")
    return figure


@style.styled
def fragility_curves(bands: pd.DataFrame, *, label: str, title: str) -> Figure:
    """Draw the probability of each damage state or worse by building class, with its interval.

    Parameters
    ----------
    bands
        ``building_class``, ``damage_state``, ``level``, ``probability``, ``low`` and ``high``.
    label
        Of the level, with its unit.
    title
        Of the figure.
    """
    classes = list(dict.fromkeys(bands["building_class"]))
    n_column = min(3, max(len(classes), 1))
    n_row = -(-max(len(classes), 1) // n_column)
    figure = style.new_figure(style.WIDTH_IN, 2.7 * n_row + 0.3)
    panels = figure.subplots(n_row, n_column, squeeze=False, sharex=True, sharey=True)
    for own, name in zip(panels.flat, classes):
        part = bands[bands["building_class"] == name]
        for i, (state, curve) in enumerate(part.groupby("damage_state")):
            colour = STATE_COLOURS[i % len(STATE_COLOURS)]
            own.fill_between(curve["level"], curve["low"], curve["high"], color=colour, alpha=0.25, lw=0)
            own.plot(curve["level"], curve["probability"], color=colour, label=f"state {state} or worse")
        own.set(xscale="log", ylim=(0, 1), title=str(name))
    for own in panels.flat[len(classes) :]:
        own.set_visible(False)
    for own in panels[-1]:
        own.set_xlabel(label)
    for own in panels[:, 0]:
        own.set_ylabel("probability")
    if classes:
        panels.flat[0].legend(fontsize=7, loc="upper left")
    else:
        style.say(panels[0, 0], "no curves")
    figure.suptitle(title)
    return figure


@style.styled
def damage_by_town(towns: pd.DataFrame, *, title: str) -> Figure:
    """Draw the share of damaged buildings that was foretold against the one that was found, town by town.

    Parameters
    ----------
    towns
        A row per method and town: ``method``, ``expected_damaged`` and ``damaged`` (shares), ``n``
        (buildings).
    title
        Of the figure.
    """
    methods = list(dict.fromkeys(towns["method"]))
    figure = style.new_figure(style.WIDTH_IN, 3.7)
    axes: list[Axes] = list(
        figure.subplots(1, max(len(methods), 1), squeeze=False, sharex=True, sharey=True)[0]
    )
    most = float(towns[["expected_damaged", "damaged"]].max().max()) * 1.05 if len(towns) else 1.0
    for own, name in zip(axes, methods):
        part = towns[towns["method"] == name]
        own.plot([0, most], [0, most], color=style.MUTED, lw=0.8)
        size = 6 + 90 * np.sqrt(part["n"] / towns["n"].max())
        own.scatter(part["expected_damaged"], part["damaged"], s=size, color=style.BLUE, alpha=0.6, lw=0)
        own.set(title=str(name).replace("_", " "), xlabel="share foretold", xlim=(0, most), ylim=(0, most))
    axes[0].set_ylabel("share found")
    if not methods:
        style.say(axes[0], "no towns")
    figure.suptitle(title)
    return figure
