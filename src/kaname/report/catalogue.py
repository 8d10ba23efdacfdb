"""Figures of a whole catalogue: magnitudes in time, their frequency, residuals, Wadati diagram."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from kaname.report import style

BIN = 0.1
"""Width of a magnitude bin."""


@style.styled
def magnitude_time(events: pd.DataFrame) -> Figure:
    """Draw magnitudes and the cumulative number of events against time.

    Events without a magnitude are ticks along the bottom, so that none is missing from the picture.
    """
    figure = style.new_figure(style.WIDTH_IN, 2.9)
    axes = figure.add_subplot(gid="magnitude-time")
    if not len(events):
        style.say(axes, "no events")
        return figure
    events = events.sort_values("time", kind="stable")
    known = events["magnitude"].notna()
    time, magnitude = events.loc[known, "time"], events.loc[known, "magnitude"]
    floor = float(magnitude.min()) - 0.25 if len(magnitude) else 0.0
    if len(time) <= 300:
        axes.vlines(time, floor, magnitude, color=style.BLUE, lw=0.8, alpha=0.5)
    size, opacity = (22, 0.9) if len(time) <= 300 else (8, 0.5)
    axes.scatter(
        time, magnitude, s=size, color=style.BLUE, alpha=opacity, linewidths=0, zorder=3, gid="magnitudes"
    )
    if not known.all():
        axes.plot(
            events.loc[~known, "time"], np.full((~known).sum(), floor), "|", color=style.MUTED, ms=9, mew=1.2,
            gid="no-magnitude", label=f"no magnitude ({(~known).sum()})", clip_on=False,
        )  # fmt: skip
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)
    axes.set_ylim(bottom=floor)
    axes.set_ylabel("Magnitude")
    if not len(magnitude):
        axes.set_yticks([])
    total = axes.twinx()
    total.grid(False)
    total.spines["right"].set_visible(True)
    total.spines["right"].set_color(style.VERMILION)
    total.step(
        events["time"],
        np.arange(1, len(events) + 1),
        where="post",
        color=style.VERMILION,
        lw=1.4,
        gid="cumulative",
    )
    total.set_ylim(0, len(events) * 1.08)
    total.set_ylabel("Cumulative number", color=style.VERMILION)
    total.tick_params(axis="y", colors=style.VERMILION, labelcolor=style.VERMILION)
    total.yaxis.set_major_locator(MaxNLocator(integer=True))
    locator = AutoDateLocator(minticks=3, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.set_xlabel("Time (UTC)")
    return figure


@style.styled
def magnitude_frequency(events: pd.DataFrame) -> Figure:
    """Draw the number of events per magnitude bin of 0.1 and the number at or above each magnitude.

    From 20 events on a dashed line shows the slope b = 1, for the eye; no b-value is fitted here.
    """
    figure = style.new_figure(style.HALF_WIDTH_IN, 3.4)
    axes = figure.add_subplot(gid="magnitude-frequency")
    magnitude = np.sort(events["magnitude"].dropna().to_numpy(float))
    if not len(magnitude):
        style.say(axes, "no magnitudes")
        return figure
    centre, count = frequency(magnitude)
    axes.bar(centre, count, width=BIN * 0.9, color="#b8cfe0", label="in bins of 0.1", gid="counts")
    above = np.cumsum(count[::-1])[::-1]
    axes.plot(centre, above, "o", ms=3.5, color=style.INK, label="at or above M", gid="cumulative")
    if len(magnitude) >= 20 and centre[-1] - centre[0] >= 0.5:
        peak = centre[int(count.argmax())]
        line = np.array([peak, peak + np.log10(max(above[int(count.argmax())], 2)) + 0.1])
        axes.plot(
            line,
            above[int(count.argmax())] * 10 ** -(line - peak),
            "--",
            lw=1,
            color=style.VERMILION,
            label="slope b = 1",
        )
    axes.set_yscale("log")
    axes.set_ylim(0.7, max(len(magnitude) * 1.8, 3))
    axes.set_xlim(centre[0] - 0.3, max(centre[-1] + 0.3, centre[0] + 0.7))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if len(magnitude) < 100 else (1,)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("Magnitude")
    axes.set_ylabel("Number of events")
    axes.legend(loc="upper right")
    return figure


def frequency(magnitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the middles of magnitude bins of 0.1 and how many events each holds, empty ones included."""
    index = np.floor(magnitude / BIN + 0.5 + 1e-9).astype(int)
    count = np.bincount(index - index.min())
    return (index.min() + np.arange(len(count))) * BIN, count


@style.styled
def residuals(arrivals: pd.DataFrame) -> Figure:
    """Draw histograms of the time residuals of P and S arrivals that were used, with median and spread.

    The spread is 1.4826 times the median absolute deviation, the standard deviation of a normal distribution.
    Residuals beyond the axis are counted in the outermost bins.
    """
    figure = style.new_figure(style.HALF_WIDTH_IN, 3.4)
    used = arrivals[(arrivals["weight"] != 0) & arrivals["residual_s"].notna()]
    if not len(used):
        style.say(figure.add_subplot(gid="residuals"), "no residuals")
        return figure
    limit = max(float(np.quantile(used["residual_s"].abs(), 0.98)) * 1.15, 0.05)
    bins = np.linspace(-limit, limit, 36)
    for i, phase in enumerate(("P", "S")):
        axes: Axes = figure.add_subplot(2, 1, i + 1, gid=f"residuals-{phase}")
        values = used.loc[used["phase"] == phase, "residual_s"].to_numpy(float)
        if not len(values):
            style.say(axes, f"no {phase}")
            continue
        axes.hist(np.clip(values, -limit, limit), list(bins), color=style.PHASE_COLOURS[phase], alpha=0.8)
        axes.axvline(0, color=style.INK, lw=0.8)
        middle = float(np.median(values))
        spread = 1.4826 * float(np.median(np.abs(values - middle)))
        axes.set_title(f"{phase}: {len(values)}, median {middle:+.3f} s, spread {spread:.3f} s", fontsize=8.5)
        axes.set_ylabel("Number")
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        if phase == "P":
            axes.tick_params(labelbottom=False)
        else:
            axes.set_xlabel("Observed minus predicted time (s)")
    return figure


@style.styled
def residual_distance(arrivals: pd.DataFrame) -> Figure:
    """Draw the time residuals of the P and S arrivals used against distance, with running medians."""
    figure = style.new_figure(style.HALF_WIDTH_IN, 3.4)
    axes = figure.add_subplot(gid="residual-distance")
    used = arrivals[
        (arrivals["weight"] != 0) & arrivals["residual_s"].notna() & arrivals["distance_km"].notna()
    ]
    if not len(used):
        style.say(axes, "no residuals with a distance")
        return figure
    limit = max(float(np.quantile(used["residual_s"].abs(), 0.98)) * 1.3, 0.05)
    axes.axhline(0, color=style.INK, lw=0.8)
    size, opacity = (9, 0.5) if len(used) <= 2000 else (3, 0.15)
    for phase, colour in style.PHASE_COLOURS.items():
        own = used[used["phase"] == phase].sort_values("distance_km", kind="stable")
        axes.scatter(
            own["distance_km"],
            own["residual_s"],
            s=size,
            color=colour,
            alpha=opacity,
            linewidths=0,
            gid=phase,
        )
        # Up to twelve groups of equally many arrivals, eight at least.
        groups = np.array_split(np.arange(len(own)), min(12, len(own) // 8)) if len(own) >= 8 else []
        middles = [own.iloc[group][["distance_km", "residual_s"]].median() for group in groups]
        axes.plot(
            *np.array(middles).reshape(-1, 2).T, "o-", color=colour, ms=4, mec="white", mew=0.6, label=phase
        )
    axes.set_ylim(-limit, limit)
    axes.set_xlim(left=0)
    axes.set_xlabel("Epicentral distance (km)")
    axes.set_ylabel("Observed minus predicted (s)")
    axes.legend(loc="upper right", ncols=2)
    return figure


@style.styled
def wadati(events: pd.DataFrame, arrivals: pd.DataFrame) -> Figure:
    """Draw S minus P time against P travel time, and the line of the median Vp/Vs (Wadati, 1933).

    Every sensor that has both a P and an S of an event is a point.
    """
    figure = style.new_figure(style.HALF_WIDTH_IN, 3.4)
    axes = figure.add_subplot(gid="wadati")
    pairs = wadati_pairs(events, arrivals)
    if not len(pairs):
        style.say(axes, "no station with both P and S")
        return figure
    axes.scatter(
        pairs["p_travel_time_s"], pairs["s_minus_p_s"], s=12 if len(pairs) < 1000 else 4, color=style.BLUE,
        alpha=0.6 if len(pairs) < 1000 else 0.2, linewidths=0, gid="pairs",
    )  # fmt: skip
    ratio = float(np.median(1 + pairs["s_minus_p_s"] / pairs["p_travel_time_s"]))
    end = float(pairs["p_travel_time_s"].max()) * 1.05
    axes.plot(
        [0, end], [0, end * (ratio - 1)], color=style.VERMILION, lw=1.3, label=f"median Vp/Vs {ratio:.3f}"
    )
    axes.set_xlim(0, end)
    axes.set_ylim(0, float(pairs["s_minus_p_s"].max()) * 1.08)
    axes.set_xlabel("P time after origin (s)")
    axes.set_ylabel("S minus P (s)")
    axes.legend(loc="upper left")
    return figure


def wadati_pairs(events: pd.DataFrame, arrivals: pd.DataFrame) -> pd.DataFrame:
    """Return ``p_travel_time_s`` and ``s_minus_p_s`` of each sensor with P and S of a located event."""
    origin = events.loc[events["latitude"].notna(), ["event_id", "time"]].rename(columns={"time": "origin"})
    sensor = ["event_id", "network", "station", "location"]
    first = arrivals.sort_values("time", kind="stable").drop_duplicates([*sensor, "phase"])
    p, s = (first.loc[first["phase"] == phase, [*sensor, "time"]] for phase in ("P", "S"))
    pairs = p.merge(s, on=sensor, suffixes=("_p", "_s")).merge(origin, on="event_id")
    out = pd.DataFrame(
        {
            "event_id": pairs["event_id"],
            "station": pairs["station"],
            "p_travel_time_s": (pairs["time_p"] - pairs["origin"]).dt.total_seconds(),
            "s_minus_p_s": (pairs["time_s"] - pairs["time_p"]).dt.total_seconds(),
        }
    )
    return out[(out["p_travel_time_s"] > 0) & (out["s_minus_p_s"] > 0)].reset_index(drop=True)
