"""Figures of a benchmark of pickers, and its page."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from kaname.report import style
from kaname.report.page import Column, items, number, picture, table, text, write_page

LOOKS = (
    (style.BLUE, "-", "o"),
    (style.VERMILION, "--", "s"),
    (style.GREEN, "-.", "^"),
    (style.PURPLE, ":", "D"),
    (style.ORANGE, "-", "v"),
    (style.INK, "--", "P"),
    (style.MUTED, "-.", "X"),
    (style.SKY, ":", "*"),
)
"""Colour, line and marker of a method, told apart without colour too."""
LEAST_N = 10
"""Bins of a reliability diagram with fewer picks are not drawn."""


def looks(frame: pd.DataFrame) -> dict[str, tuple[str, str, str]]:
    """Return colour, line and marker by method, in the order of the table."""
    return {m: LOOKS[i % len(LOOKS)] for i, m in enumerate(dict.fromkeys(frame["method"]))}


def _two(height_in: float) -> tuple[Figure, dict[str, Axes]]:
    figure = style.new_figure(style.WIDTH_IN, height_in)
    axes = figure.subplots(1, 2)
    return figure, dict(zip("PS", axes))


def _finish(axes: Mapping[str, Axes], nothing: str) -> None:
    for phase, own in axes.items():
        own.set_title(phase)
        if own.has_data():
            own.legend(loc="best")
        else:
            style.say(own, nothing)


def _bars(rows: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """Return the lengths of error bars, shape (2, n); rounding can put an end on the wrong side."""
    low, high = rows[name] - rows[f"{name}_low"], rows[f"{name}_high"] - rows[name]
    return np.maximum(np.array([low, high], dtype=np.float64), 0.0)


@style.styled
def residuals(matches: pd.DataFrame) -> Figure:
    """Draw how far the picks within 0.5 s of a label lie from it, by phase and method."""
    figure, axes = _two(3.2)
    bins = np.arange(-0.51, 0.52, 0.02).tolist()
    for method, (colour, line, _) in looks(matches).items():
        for phase, own in axes.items():
            values = matches.loc[
                (matches["method"] == method) & (matches["phase"] == phase), "residual_s"
            ].to_numpy()
            if values.size:
                own.hist(
                    values, bins, histtype="step", color=colour, ls=line, lw=1.4, gid="residuals",
                    label=f"{method} (n = {values.size})",
                )  # fmt: skip
                own.set(xlabel="Pick minus label (s)", ylabel="Picks", xlim=(-0.5, 0.5))
                own.yaxis.set_major_locator(MaxNLocator(integer=True))
    _finish(axes, "no matched picks")
    return figure


@style.styled
def reliability(diagram: pd.DataFrame) -> Figure:
    """Draw the share of true picks by stated probability; bars are 95 % intervals."""
    figure, axes = _two(3.6)
    for method, (colour, line, marker) in looks(diagram).items():
        for phase, own in axes.items():
            rows = diagram[(diagram["method"] == method) & (diagram["phase"] == phase)]
            shown = rows[rows["n"] >= LEAST_N]
            if len(shown):
                own.errorbar(
                    shown["stated"], shown["observed"],
                    _bars(shown, "observed"),
                    color=colour, ls=line, marker=marker, ms=4, lw=1.2, elinewidth=0.6, gid="reliability",
                    label=f"{method} (n = {rows['n'].sum()})",
                )  # fmt: skip
    for own in axes.values():
        if own.has_data():
            own.plot([0, 1], [0, 1], color=style.FAINT, lw=1.2, zorder=0)
            own.set(xlabel="Stated probability", ylabel="Share that is true", xlim=(0, 1), ylim=(0, 1.02))
    _finish(axes, f"no bin with {LEAST_N} picks")
    return figure


@style.styled
def coverage(observed: pd.DataFrame) -> Figure:
    """Draw the share of residuals within the stated uncertainty by what it should be."""
    figure, axes = _two(3.6)
    methods = looks(observed)
    for i, (method, (colour, line, marker)) in enumerate(methods.items()):
        for phase, own in axes.items():
            rows = observed[
                (observed["method"] == method) & (observed["phase"] == phase) & (observed["n"] > 0)
            ]
            if len(rows):
                shift = 0.008 * (i - (len(methods) - 1) / 2)
                own.errorbar(
                    rows["nominal"] + shift, rows["observed"],
                    _bars(rows, "observed"),
                    color=colour, ls=line, marker=marker, ms=4, lw=1.0, elinewidth=0.8, gid="coverage",
                    label=f"{method} (n = {rows['n'].iloc[0]})",
                )  # fmt: skip
    for own in axes.values():
        if own.has_data():
            own.plot([0.4, 1], [0.4, 1], color=style.FAINT, lw=1.2, zorder=0)
            own.set(xlabel="Nominal coverage", ylabel="Observed coverage", xlim=(0.42, 1), ylim=(0, 1.02))
    _finish(axes, "no stated uncertainty")
    return figure


@style.styled
def swarms(scores: pd.DataFrame) -> Figure:
    """Draw recall (left) and precision (right) of P (filled) and S (hollow) against events per hour.

    Of the noise beneath, the resynthesised: in the other there are earthquakes that nobody has labelled.
    """
    scores = scores[scores["noise"] == "resynthesised"]
    figure = style.new_figure(style.WIDTH_IN, 3.6)
    left, right = figure.subplots(1, 2)
    for method, (colour, line, marker) in looks(scores).items():
        for phase, filled in (("P", colour), ("S", "white")):
            rows = scores[(scores["method"] == method) & (scores["phase"] == phase)]
            for own, name in ((left, "recall"), (right, "precision")):
                own.errorbar(
                    rows["events_per_hour"], rows[name],
                    _bars(rows, name),
                    color=colour, ls=line, marker=marker, mfc=filled, ms=5, lw=1.2, elinewidth=0.6,
                    gid=name, label=f"{method} {phase}",
                )  # fmt: skip
    for own, name in ((left, "Onsets found within 0.3 s"), (right, "Picks within 0.5 s of an onset")):
        if not own.has_data():
            style.say(own, "no events pasted")
            continue
        rates = sorted(scores["events_per_hour"].unique())
        own.set(xscale="log", xlabel="Events per hour", ylabel=name, ylim=(0, 1.02))
        own.set_xticks(rates, [f"{r:g}" for r in rates])
        own.minorticks_off()
    if left.has_data():
        right.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


@style.styled
def operating(points: pd.DataFrame, own_points: pd.DataFrame) -> Figure:
    """Draw recall against false picks per hour as the least probability goes; a ring is the method's own.

    Parameters
    ----------
    points
        Table `kaname.evaluate.scorecard.OPERATING`.
    own_points
        ``method``, ``phase``, ``recall`` and ``per_hour`` at the method's own least probability.
    """
    figure, axes = _two(3.6)
    for method, (colour, line, marker) in looks(points).items():
        for phase, own in axes.items():
            rows = points[(points["method"] == method) & (points["phase"] == phase)]
            rows = rows[rows["per_hour"].notna() & (rows["recall"] > 0)]
            if len(rows):
                own.plot(
                    rows["per_hour"], rows["recall"], color=colour, ls=line, marker=marker, ms=3, lw=1.2,
                    gid="operating", label=method,
                )  # fmt: skip
            at = own_points[(own_points["method"] == method) & (own_points["phase"] == phase)]
            if len(at):
                own.plot(at["per_hour"], at["recall"], "o", ms=10, mfc="none", mec=colour, gid="own")
    for own in axes.values():
        if own.has_data():
            own.set_xscale("symlog", linthresh=1)
            own.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
            own.set_xlim(left=-0.05)
            own.set(xlabel="False picks per hour before events", ylabel="Recall at 0.5 s", ylim=(0, 1.02))
    _finish(axes, "nothing to draw")
    return figure


@style.styled
def precision_recall(points: pd.DataFrame, own_points: pd.DataFrame) -> Figure:
    """Draw precision against recall at 0.5 s as the least probability goes; a ring is the method's own.

    Parameters
    ----------
    points
        Table `kaname.evaluate.scorecard.OPERATING` of one scope.
    own_points
        ``method``, ``phase``, ``recall`` and ``precision`` at its own least probability, and ``best_f1``.
    """
    figure, axes = _two(3.6)
    recall = np.linspace(0.01, 1, 200)
    for method, (colour, line, marker) in looks(points).items():
        for phase, own in axes.items():
            rows = points[(points["method"] == method) & (points["phase"] == phase)]
            rows = rows[rows["precision"].notna() & (rows["recall"] > 0)]
            at = own_points[(own_points["method"] == method) & (own_points["phase"] == phase)]
            if len(rows) and len(at):
                best = at["best_f1"].iloc[0]
                own.plot(
                    rows["recall"], rows["precision"], color=colour, ls=line, marker=marker, ms=3, lw=1.2,
                    gid="precision_recall", label=f"{method} (F1 up to {best:.2f})",
                )  # fmt: skip
                own.plot(at["recall"], at["precision"], "o", ms=10, mfc="none", mec=colour, gid="own")
    for own in axes.values():
        if own.has_data():
            for f1 in (0.5, 0.7, 0.9):
                with np.errstate(divide="ignore"):
                    precision = np.where(recall > f1 / 2, f1 * recall / (2 * recall - f1), np.nan)
                own.plot(recall, precision, color=style.FAINT, lw=0.8, zorder=0)
                own.text(1.005, f1 / (2 - f1), f"{f1:g}", color=style.MUTED, fontsize=7, va="center")
            own.set(xlabel="Recall at 0.5 s", ylabel="Precision at 0.5 s", xlim=(0, 1), ylim=(0, 1.02))
    _finish(axes, "nothing to draw")
    return figure


@style.styled
def detections(scores: pd.DataFrame, false: pd.DataFrame) -> Figure:
    """Draw events found against false detections per hour, by threshold; a ring is the method's own.

    Parameters
    ----------
    scores, false
        Tables `kaname.evaluate.scorecard.DETECTION` and ``FALSE_DETECTIONS``. The noise is the resynthesised,
        where there is any, else that before the events.
    """
    noise = "resynthesised" if (false["noise"] == "resynthesised").any() else "before events"
    sets = list(dict.fromkeys(scores["set"]))
    figure = style.new_figure(style.WIDTH_IN, 3.6)
    for own, name in zip(figure.subplots(1, len(sets), sharey=True, squeeze=False)[0], sets):
        part = scores[scores["set"] == name]
        quiet = false[(false["noise"] == noise) & false["set"].isin([name, "all"])]
        for method, (colour, line, marker) in looks(scores).items():
            rows = (
                part[part["method"] == method]
                .groupby(["threshold", "own"], as_index=False)[["n_event", "n_found"]]
                .sum()
            )
            rows = rows.merge(quiet[quiet["method"] == method][["threshold", "per_hour"]], on="threshold")
            share = rows["n_found"] / rows["n_event"]
            own.plot(
                rows["per_hour"], share, color=colour, ls=line, marker=marker, ms=4, lw=1.2,
                gid="detections", label=method,
            )  # fmt: skip
            own.plot(rows["per_hour"][rows["own"]], share[rows["own"]], "o", ms=10, mfc="none", mec=colour)
        n = part.drop_duplicates("labels")["n_event"].sum()
        own.set_xscale("symlog", linthresh=1)
        own.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        own.set_xlim(left=-0.05)
        own.set(xlabel=f"False detections per hour, {noise}", title=f"{name}, n = {n}", ylim=(0, 1.02))
        if own.get_subplotspec().is_first_col():
            own.set_ylabel("Events found")
            own.legend(loc="lower right")
    return figure


@style.styled
def denoising_gains(beside: pd.DataFrame) -> Figure:
    """Draw mean gain (5th percentile thin) and that of the best band-pass (dashed) against input ratio.

    Parameters
    ----------
    beside
        Table `kaname.evaluate.scorecard.BEST_BANDS`.
    """
    kinds = list(dict.fromkeys(beside["data"]))
    figure = style.new_figure(style.WIDTH_IN, 3.4)
    for own, kind in zip(figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0], kinds):
        part = beside[beside["data"] == kind]
        for method, (colour, _, marker) in looks(beside).items():
            rows = part[part["method"] == method]
            own.plot(rows["snr_db"], rows["gain_db"], color=colour, marker=marker, ms=4, label=method)
            own.plot(rows["snr_db"], rows["gain_db_5"], color=colour, lw=0.7)
        band = part.drop_duplicates("snr_db")
        own.plot(band["snr_db"], band["best_band_db"], color=style.MUTED, ls="--", label="best band-pass")
        own.axhline(0, color=style.FAINT, lw=0.8, zorder=0)
        own.set(title=kind, xlabel="Input ratio (dB)")
        if own.get_subplotspec().is_first_col():
            own.set_ylabel("Gain (dB)")
            own.legend(loc="best")
    return figure


@style.styled
def denoised(traces: Sequence[NDArray[np.float64]], rate_hz: float, before_s: float, title: str) -> Figure:
    """Draw the clean trace, the mixture and the mixture denoised, one below the other; P is at 0 s.

    Parameters
    ----------
    traces
        The three, shape (n,) each.
    rate_hz
        Sampling rate [Hz].
    before_s
        Where P is, from the first sample [s].
    title
        What is seen.
    """
    figure = style.new_figure(style.WIDTH_IN, 3.4)
    own = figure.subplots()
    t = np.arange(traces[0].size) / rate_hz - before_s
    step = 1.6 * np.abs(traces[0]).max()
    for k, (name, x) in enumerate(zip(("clean", "mixture", "denoised"), traces)):
        own.plot(t, x - np.median(x) - k * step, color=style.INK, lw=0.5)
        own.text(t[0], (0.35 - k) * step, name)
    own.axvline(0, color=style.VERMILION, lw=0.8)
    own.set(xlabel="Time after P (s)", yticks=[], xlim=(t[0], t[-1]), title=title)
    return figure


def picking_figures(tables: Mapping[str, pd.DataFrame]) -> dict[str, tuple[Figure, str]]:
    """Return the figures of a benchmark of pickers with their captions, by file name.

    Parameters
    ----------
    tables
        The tables of ``kaname bench picking`` by name (`kaname.evaluate.scorecard`).
    """
    out: dict[str, tuple[Figure, str]] = {}
    scores, false = tables["scores"], tables["false_picks"]
    for name, scope in dict.fromkeys(zip(scores["set"], scores["scope"])):
        at = scores[
            (scores["set"] == name) & (scores["scope"] == scope) & (scores["tolerance_s"] == 0.5)
        ].merge(false[(false["set"] == name) & (false["noise"] == "before events")], on=["method", "phase"])
        own = {k: t[(t["set"] == name) & (t["scope"] == scope)] for k, t in tables.items() if "scope" in t}
        where = f"{name}, {scope}"
        out["-".join(["precision", name, *scope.split()[1:]])] = (
            precision_recall(own["operating_points"], at),
            f"{where}: precision against recall by least probability; a pick that is no analyst's counts "
            "as false. Rings are the methods' own, grey lines have one F1.",
        )
        if scope != "record":
            continue
        out[f"residuals-{name}"] = (
            residuals(own["residuals"]),
            f"{name}: picks within 0.5 s of a label, one to one.",
        )
        out[f"operating-{name}"] = (
            operating(own["operating_points"], at),
            f"{name}: recall against false picks before the events, by least probability; rings are the "
            "methods' own.",
        )
        out[f"reliability-{name}"] = (
            reliability(own["reliability"]),
            f"{name}: share of picks within 0.5 s of a label by stated probability. Bars are 95 % intervals; "
            f"bins with fewer than {LEAST_N} picks are left out. sta_lta and ar_pick state a rank.",
        )
        out[f"coverage-{name}"] = (
            coverage(own["coverage"]),
            f"{name}: share of residuals within the stated uncertainty at 50, 68, 90 and 95 %.",
        )
    if len(tables["swarms"]):
        out["swarms"] = (
            swarms(tables["swarms"]),
            "Real events pasted into noise at known rates; P filled, S hollow.",
        )
    return out


def write_benchmark(
    path: str | os.PathLike[str],
    title: str,
    *,
    run: Mapping[str, Any],
    listings: Sequence[tuple[str, pd.DataFrame]],
    figures: Mapping[str, tuple[Figure, str]],
) -> Path:
    """Write the page of a benchmark.

    Parameters
    ----------
    path
        HTML file.
    title
        Title of the page.
    run
        What is to be known about the run.
    listings
        Captions and tables to show.
    figures
        Figures and their captions by name.

    Raises
    ------
    StorageError
        When the disk refuses.
    """

    def body() -> Iterator[str]:
        yield f"<header><h1>{text(title)}</h1></header><main>\n"
        yield items(((k, text(v)) for k, v in run.items()), wide=True)
        for i, (caption, frame) in enumerate(listings):
            columns = [_column(name, frame[name]) for name in frame]
            yield from table(f"table-{i}", text(caption), columns, frame.to_dict("records"))
        for name, (figure, caption) in figures.items():
            yield picture(figure, f"Figure {name}", text(caption))
        yield "</main>\n"

    return write_page(path, title, body())


def _column(name: str, values: pd.Series) -> Column:
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return Column(name, name, lambda r: text(r[name]))
    places = 0 if pd.api.types.is_integer_dtype(values) else 3
    return Column(name, name, lambda r: number(r[name], places), lambda r: r[name])
