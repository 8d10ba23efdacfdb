"""Figures of models of ground motion: residuals, calibration, and what was learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from kaname.report import style

_COLOURS = (style.MUTED, style.ORANGE, style.BLUE, style.GREEN, style.PURPLE)
_AXES = (
    ("magnitude", "Magnitude", "linear"),
    ("rrup_km", "Distance to the rupture [km]", "log"),
    ("vs30_m_s", "Vs30 [m/s]", "log"),
)
_N_BIN = 12


@style.styled
def residual_figure(scores: pd.DataFrame, models: Sequence[str]) -> Figure:
    """Draw residuals of held-out records against magnitude, distance and Vs30.

    Parameters
    ----------
    scores
        A row per model and record: ``model``, ``residual`` (natural logarithm), ``magnitude``, ``rrup_km``
        and ``vs30_m_s``. The records of the last model are dots; of each model the mean and the 16th and 84th
        percentiles of bins with as many records.
    models
        Names, the reference first.
    """
    figure = style.new_figure(style.WIDTH_IN, 3.5)
    for axes, (column, label, scale) in zip(figure.subplots(1, 3, sharey=True), _AXES, strict=True):
        last = scores[scores["model"] == models[-1]]
        axes.plot(last[column], last["residual"], ",", color=style.FAINT, rasterized=True)
        for k, name in enumerate(models):
            own = scores[scores["model"] == name]
            values, which = np.unique(own[column], return_inverse=True)
            if len(values) > _N_BIN:  # else each value, such as the magnitude of a few events, is a bin
                edges = np.unique(np.quantile(own[column], np.linspace(0, 1, _N_BIN + 1)))
                which = np.clip(np.searchsorted(edges, own[column], side="right") - 1, 0, len(edges) - 2)
            groups = own.groupby(which)
            mean, at = groups["residual"].mean(), groups[column].median()
            low, high = groups["residual"].quantile(0.16), groups["residual"].quantile(0.84)
            shift = 1.0 + 0.012 * (k - (len(models) - 1) / 2) * (1 if scale == "log" else 0.3)
            axes.errorbar(
                at * shift, mean, [mean - low, high - mean], fmt="o-", ms=3, lw=1.2, elinewidth=1.0,
                color=_COLOURS[k % len(_COLOURS)], label=name, gid=f"residual-{name}",
            )  # fmt: skip
        axes.axhline(0.0, color=style.INK, lw=0.8)
        axes.set_xscale(scale)
        if scale == "log":
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(label)
    first = figure.axes[0]
    first.set_ylim(-2.5, 2.5)
    first.set_ylabel("Residual, observed minus predicted [ln]")
    first.legend(loc="upper left")
    return figure


@style.styled
def calibration_figure(scores: pd.DataFrame, models: Sequence[str], *, n_bin: int = 20) -> Figure:
    """Draw the histogram of the probability integral transform, measure by measure.

    Parameters
    ----------
    scores
        A row per measure, model and record: ``measure``, ``model`` and ``pit``.
    models
        Names, the reference first.
    n_bin
        Bins of the histogram; a calibrated model has 1 in each.
    """
    measures = list(dict.fromkeys(scores["measure"]))
    figure = style.new_figure(style.WIDTH_IN, 2.9)
    panels = np.atleast_1d(figure.subplots(1, max(len(measures), 1), sharey=True))
    for axes, measure in zip(panels, measures, strict=False):
        for k, name in enumerate(models):
            pit = scores.loc[(scores["measure"] == measure) & (scores["model"] == name), "pit"]
            if pit.empty:
                continue
            count, edges = np.histogram(pit, np.linspace(0, 1, n_bin + 1))
            axes.stairs(
                count * n_bin / len(pit), edges, color=_COLOURS[k % len(_COLOURS)], lw=1.4, label=name,
                gid=f"pit-{name}",
            )  # fmt: skip
        axes.axhline(1.0, color=style.INK, lw=0.8)
        axes.set_title(measure)
        axes.set_xlabel("Predicted probability")
    panels[0].set_ylabel("Density of observations")
    panels[0].set_ylim(bottom=0)
    if measures:
        panels[0].legend(loc="lower center")
    else:
        style.say(panels[0], "no scores")
    return figure


@style.styled
def dependence_figure(dependence: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw partial dependence: the learned part against one feature after another.

    Parameters
    ----------
    dependence
        Feature and table of ``value``, ``mean``, ``low`` and ``high`` (natural logarithm).
    """
    figure = style.new_figure(style.WIDTH_IN, 2.9)
    panels: Sequence[Axes] = np.atleast_1d(figure.subplots(1, max(len(dependence), 1), sharey=True)).tolist()
    for axes, (name, table) in zip(panels, dependence.items(), strict=False):
        axes.fill_between(table["value"], table["low"], table["high"], color=style.SKY, alpha=0.35, lw=0)
        axes.plot(table["value"], table["mean"], color=style.BLUE, lw=1.6, gid=f"dependence-{name}")
        axes.axhline(0.0, color=style.INK, lw=0.8)
        axes.set_xlabel(name)
    panels[0].set_ylabel("Learned part [ln]")
    return figure
