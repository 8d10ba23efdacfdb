"""Figures of hazard and damage: curves, spectra, disaggregation, fragility, damage foretold and found."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kaname.report import style

STATE_COLOURS = (style.SKY, style.GREEN, style.ORANGE, style.VERMILION, style.PURPLE, style.BLUE, style.INK)
SITE_COLOURS = (style.BLUE, style.VERMILION, style.GREEN, style.PURPLE, style.ORANGE, style.SKY, style.INK)


@style.styled
def hazard_curves(curves: pd.DataFrame, *, label: Callable[[str], str]) -> Figure:
    """Draw the hazard curves of named sites, a panel per measure, with the range of their quantiles.

    Parameters
    ----------
    curves
        HAZARD_CURVES of the sites.
    label
        Gives a measure with its unit.
    """
    if curves.empty:
        return _nothing("no hazard curves")
    measures, sites = list(dict.fromkeys(curves["measure"])), list(dict.fromkeys(curves["site"]))
    n_column = min(3, len(measures))
    n_row = -(-len(measures) // n_column)
    figure = style.new_figure(style.WIDTH_IN, 3.4 * n_row + 0.2)
    panels = figure.subplots(n_row, n_column, squeeze=False, sharey=True)
    for own, measure in zip(panels.flat, measures):
        for i, site in enumerate(sites):
            part = curves[(curves["measure"] == measure) & (curves["site"] == site)]
            mean = part[(part["statistic"] == "mean") & (part["probability"] > 0)]
            colour = SITE_COLOURS[i % len(SITE_COLOURS)]
            rest = part[part["statistic"] != "mean"].groupby("level")["rate_per_year"]
            if len(rest):
                own.fill_between(list(rest.groups), rest.min(), rest.max(), color=colour, alpha=0.2, lw=0)
            own.plot(mean["level"], mean["rate_per_year"], color=colour, label=site)
        own.set(xscale="log", yscale="log", xlabel=label(measure), ylim=(1e-5, 2))
        # Plain numbers: powers of ten would be set in mathematical type, which not every machine has.
        own.xaxis.set_major_formatter("{x:g}")
        own.yaxis.set_major_formatter("{x:g}")
        own.minorticks_off()
    for own in panels.flat[len(measures) :]:
        own.set_visible(False)
    for own in panels[:, 0]:
        own.set_ylabel("exceedances per year")
    panels[0, 0].legend()
    return figure


@style.styled
def uniform_hazard_spectra(levels: pd.DataFrame) -> Figure:
    """Draw the levels of one probability against the period, a panel per site (six at most).

    Parameters
    ----------
    levels
        HAZARD_LEVELS of the sites, of measures with a period (0: PGA).
    """
    if levels.empty:
        return _nothing("no hazard spectra")
    sites = list(dict.fromkeys(levels["site"]))[:6]
    n_column = min(3, len(sites))
    n_row = -(-len(sites) // n_column)
    figure = style.new_figure(style.WIDTH_IN, 3.2 * n_row + 0.2)
    panels = figure.subplots(n_row, n_column, squeeze=False, sharex=True, sharey=True)
    # Where PGA stands on an axis that has no zero.
    shortest = float(levels.loc[levels["period_s"] > 0, "period_s"].min()) / 2
    for own, site in zip(panels.flat, sites):
        part = levels[levels["site"] == site]
        for i, (period, group) in enumerate(part.groupby("return_period_years")):
            by_period = group.assign(at=group["period_s"].clip(lower=shortest)).sort_values("at")
            mean = by_period[by_period["statistic"] == "mean"]
            rest = by_period[by_period["statistic"] != "mean"].groupby("at")["level"]
            colour = SITE_COLOURS[i % len(SITE_COLOURS)]
            if len(rest):
                own.fill_between(list(rest.groups), rest.min(), rest.max(), color=colour, alpha=0.2, lw=0)
            own.plot(mean["at"], mean["level"], "o-", ms=3, color=colour, label=f"once in {period:.0f} years")
        own.set(xscale="log", yscale="log", title=site)
        ticks = sorted(set(part["period_s"].clip(lower=shortest)))
        names = ["PGA" if at == shortest and (part["period_s"] == 0).any() else f"{at:g}" for at in ticks]
        own.set_xticks(ticks, names)
        own.set_yticks(style.log_ticks(*own.get_ylim()))
        own.yaxis.set_major_formatter("{x:g}")
        own.minorticks_off()
    for own in panels.flat[len(sites) :]:
        own.set_visible(False)
    for own in panels[-1]:
        own.set_xlabel("period [s]")
    for own in panels[:, 0]:
        own.set_ylabel("spectral acceleration [cm/s2]")
    panels[0, 0].legend()
    return figure


@style.styled
def disaggregation(shares: pd.DataFrame, *, label: Callable[[str], str]) -> Figure:
    """Draw which magnitudes and distances make the hazard of one site, a panel per measure.

    Parameters
    ----------
    shares
        DISAGGREGATION of one site.
    label
        Gives a measure with its unit.
    """
    if shares.empty:
        return _nothing("nothing to take apart")
    measures = list(dict.fromkeys(shares["measure"]))
    n_column = min(3, len(measures))
    n_row = -(-len(measures) // n_column)
    figure = style.new_figure(style.WIDTH_IN, 3.3 * n_row + 0.5)
    panels = figure.subplots(n_row, n_column, squeeze=False, sharex=True, sharey=True)
    edges = [_edges(np.unique(shares[name])) for name in ("distance_km", "magnitude")]
    largest = shares.groupby(["measure", "magnitude", "distance_km"])["share"].sum().max()
    norm = Normalize(0, float(largest))
    for own, measure in zip(panels.flat, measures):
        rows = shares[shares["measure"] == measure]
        part = np.histogram2d(rows["magnitude"], rows["distance_km"], edges[::-1], weights=rows["share"])[0]
        own.pcolormesh(*edges, part, cmap="magma_r", norm=norm, rasterized=True)
        level = float(rows["level"].iloc[0])
        mean = [float((rows[name] * rows["share"]).sum()) for name in ("magnitude", "distance_km")]
        own.plot(mean[1], mean[0], "P", color=style.BLUE, markeredgecolor="white", ms=9)
        own.set_title(f"{label(measure)}: {float(f'{level:.3g}'):g}\nmean M {mean[0]:.1f}, {mean[1]:.0f} km")
    for own in panels.flat[len(measures) :]:
        own.set_visible(False)
    for own in panels[-1]:
        own.set_xlabel("distance to the rupture [km]")
    for own in panels[:, 0]:
        own.set_ylabel("magnitude")
    figure.colorbar(ScalarMappable(norm, "magma_r"), ax=panels, label="share of the rate", shrink=0.8)
    site, probability = shares["site"].iloc[0], shares["probability"].iloc[0]
    figure.suptitle(f"{site}: earthquakes behind the level of probability {probability:g}")
    return figure


def _nothing(text: str) -> Figure:
    figure = style.new_figure(style.WIDTH_IN, 3.4)
    style.say(figure.subplots(), text)
    return figure


def _edges(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the edges of the regular row of bins whose middles these are, some of which may be absent."""
    step = float(np.diff(values).min()) if len(values) > 1 else 1.0
    n = round((values[-1] - values[0]) / step) + 1
    return np.asarray(values[0] + step * (np.arange(n + 1) - 0.5))


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
