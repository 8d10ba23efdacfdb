"""What data there are, from spans of time: published tables of availability, gaps and overlaps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kaname.core.tables import Column, Schema, table
from kaname.core.time import NS_PER_S
from kaname.formats.miniseed_sections import JOIN_TOLERANCE

_ID = Column("id", "string", "SEED identifier NET.STA.LOC.CHA", required=True)
_START = Column("start", "time", "first sample, UTC", required=True)
_END = Column("end", "time", "when a contiguous next sample would be due, UTC", required=True)
_RATE = Column("sampling_rate_hz", "float", "samples per second", "Hz", low=0)

AVAILABILITY = Schema(
    "availability",
    "Channels of an archive and how complete they are.",
    (
        _ID,
        _START,
        _END,
        _RATE,
        Column("n_section", "int", "gap-free sections; they end with their file", low=0),
        Column("n_gap", "int", "gaps of more than half a sample", low=0),
        Column("n_overlap", "int", "stretches of time that are there twice", low=0),
        Column("n_record", "int", "records", low=0),
        Column("covered", "float", "share of the time from start to end that has samples", low=0, high=1),
    ),
    key=("id",),
)
SPANS = Schema(
    "spans",
    "Gap-free sections of channels.",
    (
        _ID,
        _START,
        _END,
        _RATE,
        Column("n_sample", "int", "samples", low=0),
        Column("checksum", "int", "CRC-32 of the file that holds them", low=0),
    ),
)
INTERVALS = Schema(
    "intervals",
    "Stretches of time of channels: gaps, or what is there more than once.",
    (_ID, _START, _END, Column("duration_s", "float", "length", "s", low=0)),
)

Spans = NDArray[Any]
"""Sections of one channel, sorted by start, `kaname.archive.index.SPAN_DTYPE`."""


def availability(channels: Iterable[tuple[str, Spans]]) -> pd.DataFrame:
    """Return the `AVAILABILITY` of channels; the sampling rate is that of the latest section."""
    rows = []
    for identifier, spans in channels:
        gaps = gaps_between(spans)
        first, last = int(spans["start"][0]), int(spans["following"].max())
        rows.append(
            {
                "id": identifier,
                "start": _time(first),
                "end": _time(last),
                "sampling_rate_hz": float(spans["rate"][-1]),
                "n_section": len(spans),
                "n_gap": len(gaps),
                "n_overlap": len(overlaps_among(spans)),
                "n_record": int(spans["n_record"].sum()),
                "covered": 1.0 - sum(high - low for low, high in gaps) / (last - first),
            }
        )
    return table(rows, AVAILABILITY)


def span_table(channels: Iterable[tuple[str, Spans]]) -> pd.DataFrame:
    """Return the `SPANS` of channels."""
    rows = [
        {
            "id": identifier,
            "start": _time(span["start"]),
            "end": _time(span["following"]),
            "sampling_rate_hz": float(span["rate"]),
            "n_sample": int(span["n_sample"]),
            "checksum": int(span["checksum"]),
        }
        for identifier, spans in channels
        for span in spans
    ]
    return table(rows, SPANS)


def interval_table(channels: Iterable[tuple[str, list[tuple[int, int]]]]) -> pd.DataFrame:
    """Return `INTERVALS` from pairs of nanoseconds since 1970."""
    rows = [
        {"id": identifier, "start": _time(low), "end": _time(high), "duration_s": (high - low) / NS_PER_S}
        for identifier, intervals in channels
        for low, high in intervals
    ]
    return table(rows, INTERVALS)


def gaps_between(spans: Spans) -> list[tuple[int, int]]:
    """Return where more than half a sample is missing between sections [ns since 1970]."""
    reached = np.maximum.accumulate(spans["following"])[:-1]
    start = spans["start"][1:]
    apart = start - reached > JOIN_TOLERANCE * NS_PER_S / spans["rate"][1:]
    return list(zip(reached[apart].tolist(), start[apart].tolist()))


def overlaps_among(spans: Spans) -> list[tuple[int, int]]:
    """Return the parts of sections that an earlier one covers too [ns since 1970]."""
    reached = np.maximum.accumulate(spans["following"])[:-1]
    start, following = spans["start"][1:], np.minimum(spans["following"][1:], reached)
    twice = reached - start > JOIN_TOLERANCE * NS_PER_S / spans["rate"][1:]
    return list(zip(start[twice].tolist(), following[twice].tolist()))


def _time(ns: Any) -> np.datetime64:
    return np.datetime64(int(ns), "ns")
