"""Station health: what each station delivered and what became of it, as a table and as a figure."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kaname.core.tables import Column, Schema
from kaname.report import style

AVAILABILITY = Schema(
    "availability",
    "How much of a stretch of time each station recorded; several rows per station add up.",
    (
        Column("network", "string", "SEED network code"),
        Column("station", "string", "SEED station code", required=True),
        Column("start", "time", "from when data were wanted", required=True),
        Column("end", "time", "until when", required=True),
        Column("recorded_s", "float", "time with data in between", "s", required=True, low=0),
    ),
)

DRAWN_STATIONS = 60
"""The figure shows at most this many stations."""


def health(
    stations: pd.DataFrame,
    picks: pd.DataFrame,
    arrivals: pd.DataFrame,
    failures: pd.DataFrame,
    availability: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Sum up each station.

    Parameters
    ----------
    stations, picks, arrivals, failures
        Tables of `kaname.core.tables`. A pick without a network code belongs to the only network that has a
        station of that code.
    availability
        Table `AVAILABILITY`, if known.

    Returns
    -------
    DataFrame
        One row per network and station, sorted: ``network``, ``station``, ``latitude``, ``longitude``,
        ``elevation_m``, ``availability_percent``, ``n_p_pick``, ``n_s_pick``, ``n_used`` (arrivals whose
        weight is not zero), ``median_residual_s`` and ``residual_spread_s`` (1.4826 times the median
        absolute deviation) of the used arrivals, ``n_failure`` (rows whose subject names the station).
        Stations with picks but no coordinates have NaN coordinates.
    """
    networks = (
        stations.drop_duplicates(["network", "station"]).groupby("station")["network"].agg(list).to_dict()
    )

    def keyed(frame: pd.DataFrame) -> pd.DataFrame:
        only = {station: names[0] for station, names in networks.items() if len(names) == 1}
        named = [n or only.get(s, "") for n, s in zip(frame["network"], frame["station"])]
        return frame.assign(network=pd.Series(named, index=frame.index, dtype=frame["network"].dtype))

    key = ["network", "station"]
    picks, arrivals = keyed(picks), keyed(arrivals)
    used = arrivals[arrivals["weight"] != 0]
    places = stations.drop_duplicates(key)[[*key, "latitude", "longitude", "elevation_m"]]
    parts = [
        picks[picks["phase"] == "P"].groupby(key).size().rename("n_p_pick"),
        picks[picks["phase"] == "S"].groupby(key).size().rename("n_s_pick"),
        used.groupby(key).size().rename("n_used"),
        used.groupby(key)["residual_s"].median().rename("median_residual_s"),
        used.groupby(key)["residual_s"].agg(_spread).rename("residual_spread_s"),
    ]
    if availability is not None and len(availability):
        spans = keyed(availability)
        spans = spans.assign(wanted=(spans["end"] - spans["start"]).dt.total_seconds())
        sums = spans.groupby(key)[["recorded_s", "wanted"]].sum()
        share = 100 * sums["recorded_s"] / sums["wanted"].where(sums["wanted"] > 0)
        parts.append(share.rename("availability_percent"))
    out = places.set_index(key)
    for part in parts:
        out = out.join(part, how="outer")
    out = out.reset_index().sort_values(key, kind="stable").reset_index(drop=True)
    if "availability_percent" not in out:
        out["availability_percent"] = np.nan
    out["n_failure"] = [_count(failures["subject"], n, s) for n, s in zip(out["network"], out["station"])]
    counts = ["n_p_pick", "n_s_pick", "n_used"]
    out[counts] = out[counts].fillna(0).astype("int64")
    measures = [*key, "latitude", "longitude", "elevation_m", "availability_percent", *counts]
    return out[[*measures, "median_residual_s", "residual_spread_s", "n_failure"]]


def _spread(values: pd.Series) -> float:
    return float(1.4826 * (values - values.median()).abs().median())


def _count(subjects: pd.Series, network: str, station: str) -> int:
    """Count subjects that name the station: ``NET.STA`` somewhere, or nothing but the code."""
    code = re.escape(station)
    named = (
        rf"(?:^|[^A-Za-z0-9]){re.escape(network)}[._]{code}(?:[^A-Za-z0-9]|$)"
        if network
        else rf"^[.]?{code}[.]"
    )
    return int((subjects.str.contains(named, regex=True) | (subjects == station)).sum())


@style.styled
def health_figure(table: pd.DataFrame) -> Figure:
    """Draw the table of `health`: availability, picks, used arrivals, residuals and failures per station.

    With more than `DRAWN_STATIONS` stations, those with the most picks are drawn.
    """
    drawn = table.assign(n=table["n_p_pick"] + table["n_s_pick"]).nlargest(DRAWN_STATIONS, "n").sort_index()
    figure = style.new_figure(style.WIDTH_IN, 1.1 + 0.21 * max(len(drawn), 2))
    if not len(drawn):
        style.say(figure.add_subplot(gid="health"), "no stations")
        return figure
    panels = figure.subplots(1, 4, sharey=True, width_ratios=[1, 1.4, 1.4, 0.8])
    row = np.arange(len(drawn))
    share, picks, residual, failed = panels
    share.barh(
        row, drawn["availability_percent"].fillna(0), color=style.GREEN, height=0.62, gid="availability"
    )
    for y in row[drawn["availability_percent"].isna()]:
        share.text(2, y, "not known", va="center", fontsize=7, color=style.MUTED)
    share.set_xlim(0, 100)
    share.set_xlabel("Data availability (%)")
    share.set_yticks(row, [f"{n}.{s}" if n else s for n, s in zip(drawn["network"], drawn["station"])])
    for label in share.get_yticklabels():
        label.set_parse_math(False)
    share.set_ylim(len(drawn) - 0.4, -0.6)
    picks.barh(row, drawn["n_p_pick"], color=style.BLUE, height=0.62, label="P picks", gid="p-picks")
    picks.barh(
        row,
        drawn["n_s_pick"],
        left=drawn["n_p_pick"],
        color=style.VERMILION,
        height=0.62,
        label="S picks",
        gid="s-picks",
    )
    picks.plot(
        drawn["n_used"],
        row,
        "D",
        ms=4,
        mfc="white",
        mec=style.INK,
        mew=1,
        label="used in locations",
        gid="used",
    )
    picks.set_xlabel("Picks")
    figure.legend(*picks.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    residual.axvline(0, color=style.INK, lw=0.8)
    residual.errorbar(
        drawn["median_residual_s"],
        row,
        xerr=drawn["residual_spread_s"],
        fmt="o",
        ms=4,
        color=style.BLUE,
        elinewidth=1.2,
    )
    residual.set_xlabel("Median residual and spread (s)")
    limit = float(np.nanmax((drawn["median_residual_s"].abs() + drawn["residual_spread_s"]).fillna(0))) * 1.1
    residual.set_xlim(-max(limit, 0.05), max(limit, 0.05))
    failed.barh(row, drawn["n_failure"], color=style.ORANGE, height=0.62, gid="failures")
    failed.set_xlabel("Failures")
    failed.set_xlim(0, max(1, float(drawn["n_failure"].max()) * 1.1))
    for axes in (picks, failed):
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    for axes in panels:
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
    return figure
