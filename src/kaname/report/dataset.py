"""What a training set holds, in one figure."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kaname.report import style

_COLOURS = {"train": style.BLUE, "dev": style.GREEN, "test": style.VERMILION, "none": style.MUTED}


@style.styled
def overview(metadata: pd.DataFrame) -> Figure:
    """Draw places, magnitudes over time, distances and where the onsets stand in the traces, by part.

    Onsets that all stand at one sample are a trap for networks, which learn it: the last panel shows this.

    Parameters
    ----------
    metadata
        Rows of ``metadata.csv`` in SeisBench's names; panels whose columns are absent say so.
    """
    figure = style.new_figure(style.WIDTH_IN, 7.2)
    places, magnitudes, distances, onsets = figure.subplots(2, 2).flat
    parts = (
        metadata["split"].fillna("none") if "split" in metadata else pd.Series("none", index=metadata.index)
    )
    names = [p for p in _COLOURS if (parts == p).any()]
    groups = [(p, metadata[parts == p]) for p in names]
    _places(places, groups)
    _magnitudes(magnitudes, groups)
    _histogram(distances, groups, "path_ep_distance_km", "epicentral distance [km]", "Distances")
    for phase in ("P", "S"):
        column = f"trace_{phase}_arrival_sample"
        if column in metadata and "trace_sampling_rate_hz" in metadata:
            after_s = (metadata[column] / metadata["trace_sampling_rate_hz"]).dropna()
            if len(after_s):
                colour = style.PHASE_COLOURS[phase]
                onsets.hist(after_s, bins=60, histtype="step", color=colour, linewidth=1.4, label=phase)
    _finish(onsets, "Where onsets stand", "time after the start of the trace [s]", "traces")
    return figure


def _places(axes: Axes, groups: list[tuple[str, pd.DataFrame]]) -> None:
    for part, rows in groups:
        if {"source_latitude_deg", "source_longitude_deg"} <= set(rows):
            own = rows.drop_duplicates(["source_latitude_deg", "source_longitude_deg"])
            label = f"{part}: {len(rows)} traces"
            axes.plot(
                own["source_longitude_deg"],
                own["source_latitude_deg"],
                ".",
                color=_COLOURS[part],
                markersize=4,
                alpha=0.6,
                label=label,
            )
    everything = pd.concat([rows for _, rows in groups])
    if {"station_latitude_deg", "station_longitude_deg"} <= set(everything):
        own = everything.drop_duplicates(["station_latitude_deg", "station_longitude_deg"])
        axes.plot(
            own["station_longitude_deg"],
            own["station_latitude_deg"],
            "^",
            color=style.INK,
            markersize=5,
            markerfacecolor="white",
            label=f"{len(own)} stations",
        )
        middle = np.nanmean(own["station_latitude_deg"])
        if np.isfinite(middle):
            axes.set_aspect(1 / max(np.cos(np.radians(middle)), 0.05), adjustable="datalim")
    _finish(axes, "Epicentres and stations", "longitude [degrees]", "latitude [degrees]")


def _magnitudes(axes: Axes, groups: list[tuple[str, pd.DataFrame]]) -> None:
    for part, rows in groups:
        if "source_magnitude" not in rows:
            continue
        column = "source_origin_time" if "source_origin_time" in rows else "trace_start_time"
        own = rows.drop_duplicates([column, "source_magnitude"])
        text = own[column].astype(str).str.replace("/", "-")
        times = pd.to_datetime(text, format="ISO8601", utc=True, errors="coerce").dt.tz_localize(None)
        axes.plot(
            times, own["source_magnitude"], ".", color=_COLOURS[part], markersize=4, alpha=0.7, label=part
        )
    axes.tick_params(axis="x", rotation=30)
    _finish(axes, "Magnitudes", "", "magnitude")


def _histogram(
    axes: Axes, groups: list[tuple[str, pd.DataFrame]], column: str, label: str, title: str
) -> None:
    there = [
        (p, rows[column].dropna()) for p, rows in groups if column in rows and rows[column].notna().any()
    ]
    if there:
        edges = np.histogram_bin_edges(pd.concat([v for _, v in there]), bins=40).tolist()
        for part, values in there:
            axes.hist(values, bins=edges, histtype="step", color=_COLOURS[part], linewidth=1.4, label=part)
    _finish(axes, title, label, "traces")


def _finish(axes: Axes, title: str, x_label: str, y_label: str) -> None:
    axes.set_title(title)
    if not axes.has_data():
        style.say(axes, "the set does not state it")
        return
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.legend(loc="best")
