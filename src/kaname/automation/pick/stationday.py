"""Picking of one station-day: the task that batch processing is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd

from kaname.automation.pick.registry import Pick, get_picker, picks_table
from kaname.automation.survey import StationDay
from kaname.core import tables
from kaname.core.jobs import TaskOutput
from kaname.core.step import run
from kaname.core.tables import Column, Schema
from kaname.core.waveform import Waveform, align
from kaname.formats.contract import WaveformRead

LEAD_S = 120
"""Seconds read before the day, so that a picker is in its stride when the day begins."""
TAIL_S = 60
"""Seconds read after the day, so that an onset at its very end is seen whole."""

HEALTH = Schema(
    "health",
    "How much of each station-day there was, and what came of it.",
    (
        Column("network", "string", "SEED network code"),
        Column("station", "string", "SEED station code", required=True),
        Column("sensor", "string", "network, station, location, band and instrument", required=True),
        Column("start", "time", "from when", required=True),
        Column("end", "time", "until when", required=True),
        Column("available_s", "float", "seconds of data of the best recorded channel", "s", low=0),
        Column("n_channel", "int", "channels used"),
        Column("n_gap", "int", "gaps between blocks of data"),
        Column("n_pick", "int", "picks made"),
        Column("n_failure", "int", "records that could not be read or used"),
    ),
)


class Readable(Protocol):
    """Anything that gives the records of channels between two times."""

    def read(self, ids: Sequence[str], start: np.datetime64, end: np.datetime64) -> WaveformRead:
        """Return blocks of one channel each and what could not be read."""


def pick_station_day(
    records: Readable, day: StationDay, name: str, settings: Mapping[str, Any]
) -> TaskOutput:
    """Pick one station-day.

    The records are read a little beyond the day on either side, and the picks of the day itself are kept:
    whatever days are worked on, by whichever process, every pick is reported once.

    Parameters
    ----------
    records
        Where the waveforms are.
    day
        Which channels and when.
    name, settings
        Picker, see `kaname.automation.pick.registry.get_picker`.

    Returns
    -------
    dict
        Tables ``picks``, ``failures`` and ``health`` (one row).
    """
    lead, tail = np.timedelta64(LEAD_S, "s"), np.timedelta64(TAIL_S, "s")
    read = records.read(day.ids, day.start - lead, day.end + tail)
    picker = get_picker(name, settings)
    picks: list[Pick] = []
    blocks = align(read.blocks)
    for blocks_of_rate in _by_rate(blocks):
        picks.extend(run(picker, blocks_of_rate))
    kept = [p for p in picks if day.start <= p.time < day.end]
    failures = tables.table([*read.failures, *_not_finite(read.blocks, day)], tables.FAILURES)
    gaps = max((_gaps(read.blocks, i, day) for i in day.ids), default=0)
    health = {
        "network": day.network,
        "station": day.station,
        "sensor": day.ids[0][:-1],
        "start": day.start,
        "end": day.end,
        "available_s": day.available_s,
        "n_channel": len(day.ids),
        "n_gap": gaps,
        "n_pick": len(kept),
        "n_failure": len(failures),
    }
    return {"picks": picks_table(kept), "failures": failures, "health": tables.table([health], HEALTH)}


def _not_finite(blocks: Sequence[Waveform], day: StationDay) -> list[dict[str, Any]]:
    """Rows of the failures table for channels with samples of the day that are no numbers."""
    bad: dict[str, int] = {}
    for block in blocks:
        own = block.slice(day.start, day.end)
        if own is not None and np.issubdtype(own.data.dtype, np.floating):
            for identifier, samples in zip(own.ids, own.data):
                bad[identifier] = bad.get(identifier, 0) + int((~np.isfinite(samples)).sum())
    return [
        {
            "step": "pick",
            "subject": identifier,
            "error": "InputError",
            "message": f"{n} samples from {day.start} on are no finite numbers; they were taken for a gap",
        }
        for identifier, n in sorted(bad.items())
        if n
    ]


def _by_rate(blocks: Sequence[Waveform]) -> Iterable[list[Waveform]]:
    """Blocks of one sampling rate at a time: where two rates overlap, each is a record of its own."""
    rates: dict[float, list[Waveform]] = {}
    for block in blocks:
        rates.setdefault(round(block.sampling_rate, 2), []).append(block)
    return rates.values()


def _gaps(blocks: Sequence[Waveform], identifier: str, day: StationDay) -> int:
    own = [b for b in blocks if b.ids == (identifier,) and b.end >= day.start and b.start < day.end]
    return max(0, len(own) - 1)


def merge(picks: pd.DataFrame, *, within_s: float = 0.3) -> pd.DataFrame:
    """Keep, of picks of one phase at one station that are the same onset, the most probable.

    The same onset is seen several times where a station has several sensors, or where data were delivered
    twice. Rows closer than ``within_s`` are the same onset.
    """
    picks = tables.validate(picks, tables.PICKS).sort_values(
        ["network", "station", "phase", "probability", "time", "pick_id"],
        ascending=[True, True, True, False, True, True],
        kind="stable",
    )
    keep = np.zeros(len(picks), dtype=bool)
    position = 0
    for _, own in picks.groupby(["network", "station", "phase"], sort=False):
        time = own["time"].to_numpy(dtype="datetime64[ns]").astype(np.int64) / 1e9
        keep[position : position + len(own)] = _strongest(time, within_s)
        position += len(own)
    return picks[keep].sort_values(["time", "pick_id"], ignore_index=True)


def _strongest(time: np.ndarray, within_s: float) -> np.ndarray:
    """Of times in order of preference, keep each that has no better one within reach."""
    keep = np.zeros(len(time), dtype=bool)
    order = np.argsort(time, kind="stable")
    place = np.empty(len(time), dtype=np.intp)
    place[order] = np.arange(len(time))
    sorted_time = time[order]
    free = np.ones(len(time), dtype=bool)
    for i in range(len(time)):
        if free[place[i]]:
            keep[i] = True
            low = np.searchsorted(sorted_time, time[i] - within_s)
            high = np.searchsorted(sorted_time, time[i] + within_s, side="right")
            free[low:high] = False
    return keep
