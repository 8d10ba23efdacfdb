"""What a training set is, for those who are to use it: counts, splits, leaks, licences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kaname.core.errors import NotFoundError

_PARTS = ("train", "dev", "test")


def read_metadata(root: Path) -> pd.DataFrame:
    """Return the metadata of a dataset in SeisBench's format, all chunks.

    Raises
    ------
    NotFoundError
        When there is none.
    """
    tables = sorted(root.glob("metadata*.csv"))
    if not tables:
        raise NotFoundError(f"no metadata.csv in {root}; expected a dataset in SeisBench's format")
    frames = [
        pd.read_csv(t, low_memory=False, dtype=_TEXT, na_values=[""], keep_default_na=False) for t in tables
    ]
    return pd.concat(frames, ignore_index=True)


_TEXT = dict.fromkeys(
    ("station_network_code", "station_code", "station_location_code", "trace_channel", "source_id"), "str"
)
"""Columns that pandas would take for numbers, or NA for a missing value."""


def counts(metadata: pd.DataFrame) -> pd.DataFrame:
    """Return a row per part and one for all: traces, events, stations, onsets, noise, hours.

    What the set does not state is ``None``.
    """
    split = _column(metadata, "split", "").fillna("").replace("", "none")
    rows = [_count(str(part), metadata[split == part]) for part in sorted(set(split), key=_rank)]
    return pd.DataFrame([*rows, _count("all", metadata)])


def _rank(part: str) -> tuple[int, str]:
    return (_PARTS.index(part) if part in _PARTS else len(_PARTS), part)


def _column(frame: pd.DataFrame, name: str, missing: Any) -> pd.Series:
    return frame[name] if name in frame else pd.Series(missing, index=frame.index)


def _count(part: str, rows: pd.DataFrame) -> dict[str, Any]:
    stations = (
        _column(rows, "station_network_code", "").fillna("")
        + "."
        + _column(rows, "station_code", "").fillna("")
    )
    event = next((c for c in ("source_id", "source_origin_time") if c in rows), None)
    found: dict[str, Any] = {
        "part": part,
        "traces": len(rows),
        "events": None if event is None else rows[event].nunique(),
        "stations": stations[stations != "."].nunique(),
    }
    for phase in "PS":
        names = (f"trace_{phase}_arrival_sample".lower(), f"trace_{phase}g_arrival_sample".lower())
        columns = [c for c in rows if c.lower() in names]
        found[phase] = int(rows[columns].notna().any(axis=1).sum()) if columns else None
    noise, hours = None, None
    if "trace_category" in rows:
        noise = int((rows["trace_category"] == "noise").sum())
    if {"trace_npts", "trace_sampling_rate_hz"} <= set(rows):
        seconds = rows["trace_npts"] / rows["trace_sampling_rate_hz"]
        hours = round(float(seconds.sum()) / 3600, 2)
    return {**found, "noise": noise, "hours": hours}


def card(
    name: str,
    metadata: pd.DataFrame,
    *,
    licences: Mapping[str, str],
    leaks: pd.DataFrame | None = None,
    run: Mapping[str, Any] | None = None,
    figures: Mapping[str, str] | None = None,
) -> str:
    """Return the card as Markdown.

    Parameters
    ----------
    name
        What the set is called.
    metadata
        Rows of ``metadata.csv``.
    licences
        Licence by network code; ``*`` is for those not named. What nobody stated is said to be unstated.
    leaks
        `kaname.evaluate.splits.LEAKS`, where the split was checked.
    run
        The ``run.json`` of `kaname dataset build`.
    figures
        Caption by file name.
    """
    return "\n".join(_lines(name, metadata, licences, leaks, run or {}, figures or {})) + "\n"


def _lines(
    name: str,
    metadata: pd.DataFrame,
    licences: Mapping[str, str],
    leaks: pd.DataFrame | None,
    run: Mapping[str, Any],
    figures: Mapping[str, str],
) -> Iterator[str]:
    yield from (f"# {name}", "")
    yield from ("Labelled seismograms in SeisBench's format (`metadata.csv`, `waveforms.hdf5`).", "")
    yield from _markdown(counts(metadata))
    yield from ("## Time, place, instruments", "")
    yield from _ranges(metadata)
    yield from ("## Split and leaks", "")
    by = run.get("configuration", {}).get("split")
    yield from (f"Split by {by}." if by else "Nobody stated how this set was split.", "")
    if leaks is None:
        yield from ("Leaks between the parts were not looked for.", "")
    else:
        shown = leaks.assign(
            verdict=np.where(leaks["n"] == 0, "none", np.where(leaks["forbidden"], "LEAK", "by design"))
        )
        yield from _markdown(shown[["kind", "n", "n_total", "verdict", "detail"]])
    yield from ("## Licences", "")
    networks = sorted(set(_column(metadata, "station_network_code", "").fillna("")))
    table = [
        {
            "network": n or "(none)",
            "traces": int((_column(metadata, "station_network_code", "").fillna("") == n).sum()),
            "licence": licences.get(
                n, licences.get("*", "not stated: ask the operator before passing it on")
            ),
        }
        for n in networks
    ]
    yield from _markdown(pd.DataFrame(table))
    for file, caption in figures.items():
        yield from (f"![{caption}]({file})", "", caption, "")
    if run:
        yield from ("## How it was made", "", f"`{' '.join(map(str, run.get('command', [])))}`", "")
        software = run.get("software", {})
        yield from (
            ", ".join(f"{k} {v}" for k, v in software.items()) + ". Inputs and settings: `run.json`.",
            "",
        )


def _markdown(frame: pd.DataFrame) -> Iterator[str]:
    yield "| " + " | ".join(map(str, frame.columns)) + " |"
    yield "|" + "---|" * len(frame.columns)
    for row in frame.itertuples(index=False):
        yield "| " + " | ".join(_cell(v) for v in row) + " |"
    yield ""


def _cell(value: Any) -> str:
    return "not stated" if value is None else str(value).replace("|", "\\|")


def _ranges(metadata: pd.DataFrame) -> Iterator[str]:
    rows = []
    for column, what in (
        ("trace_start_time", "first to last"),
        ("trace_sampling_rate_hz", "sampling rates [Hz]"),
        ("trace_channel", "channels"),
        ("trace_completeness", "share of samples that is there"),
        ("source_magnitude", "magnitude"),
        ("source_depth_km", "depth [km]"),
        ("path_ep_distance_km", "epicentral distance [km]"),
        ("trace_P_status", "P read by"),
        ("trace_S_status", "S read by"),
    ):
        values = metadata[column].dropna() if column in metadata else pd.Series(dtype=float)
        if values.empty:
            continue
        if values.dtype.kind in "fi" and values.nunique() > 6:
            low, middle, high = (f"{v:.4g}" for v in values.quantile([0, 0.5, 1]))
            text = f"{low} to {high}, median {middle} ({len(values)} traces)"
        elif values.nunique() > 6:
            text = f"{values.min()} to {values.max()}"
        else:
            text = ", ".join(f"{v} ({n})" for v, n in values.value_counts().items())
        rows.append({"what": what, "found": text})
    yield from _markdown(pd.DataFrame(rows, columns=["what", "found"]))
