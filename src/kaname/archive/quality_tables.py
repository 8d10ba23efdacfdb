"""The published tables of an archive's quality, and what of them is worth a person's attention."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kaname.core.tables import Column, Schema

DAY_S = 86_400
UNITS = ("count", "m/s^2")

_ID = Column("id", "string", "SEED identifier NET.STA.LOC.CHA", required=True)
_DAY = Column("day", "time", "midnight at which the day begins, UTC", required=True)

QUALITY = Schema(
    "quality",
    "How good the records of a channel are on one UTC day.",
    (
        _ID,
        _DAY,
        Column("problems", "string", "what is wrong, see docs/quality.md; empty when nothing is"),
        Column("sampling_rate_hz", "float", "samples per second", "Hz", low=0),
        Column("n_sample", "int", "samples that can be read", low=0),
        Column("available", "float", "share of the day that has samples", low=0, high=1),
        Column("n_gap", "int", "stretches without samples, those at midnight included", low=0),
        Column("gap_s", "float", "their length together", "s", low=0),
        Column("longest_gap_s", "float", "the longest of them", "s", low=0),
        Column("n_overlap", "int", "stretches that are there more than once", low=0),
        Column("overlap_s", "float", "their length together", "s", low=0),
        Column("minimum", "float", "least sample", "count"),
        Column("maximum", "float", "greatest sample", "count"),
        Column("mean", "float", "mean of the samples", "count"),
        Column("rms", "float", "root mean square about the mean", "count", low=0),
        Column("n_not_finite", "int", "samples that are no numbers; nothing is measured on them", low=0),
        Column("flat_s", "float", "time in runs of equal samples: a dead channel", "s", low=0),
        Column("n_spike", "int", "leaps of one or two samples that come back at once", low=0),
        Column("n_clipped", "int", "samples that are clipped", low=0),
        Column("n_record", "int", "records", low=0),
        Column("n_late", "int", "records that do not start when due on the clock of their section", low=0),
        Column("late_s", "float", "how far off the worst of them is", "s", low=0),
        Column("timing_quality", "float", "mean of what records state", "percent", low=0),
        Column("timing_quality_least", "float", "least of what records state", "percent", low=0),
        Column("n_time_questionable", "int", "records whose time tag is flagged questionable", low=0),
        Column("n_record_clipped", "int", "records flagged as saturated or clipped", low=0),
        Column("n_segment", "int", "segments in the noise", low=0),
        Column("noise_unit", "string", "unit of the noise, squared and per hertz", choices=("", *UNITS)),
        Column("above_nhnm", "float", "share of periods whose median is above the high model", low=0, high=1),
        Column("below_nlnm", "float", "share of periods whose median is below the low model", low=0, high=1),
    ),
    key=("id", "day"),
)

NOISE = Schema(
    "noise",
    "Power of the noise of a channel on one UTC day, averaged over an octave about each period.",
    (
        _ID,
        _DAY,
        Column("period_s", "float", "centre of the octave", "s", required=True, low=0),
        Column("n_segment", "int", "segments", low=0),
        Column("level_p10_db", "float", "10th percentile over the segments", "dB"),
        Column("level_db", "float", "median over the segments", "dB"),
        Column("level_p90_db", "float", "90th percentile over the segments", "dB"),
        Column(
            "unit",
            "string",
            "levels are relative to this unit squared per hertz; count where no response is known",
            required=True,
            choices=UNITS,
        ),
    ),
    key=("id", "day", "period_s"),
)

_PERIODS_OUTSIDE = 0.5
_TIMING_LEAST = 50.0


def problems(row: Mapping[str, Any]) -> str:
    """Name what is wrong with a channel on a day, in the words of ``docs/quality.md``."""

    def some(name: str, least: float = 0.0) -> bool:
        return bool(row.get(name, 0) > least)  # NaN compares false

    said = {
        "no data": not row["n_sample"],
        "gaps": some("n_gap") and row["n_sample"] > 0,
        "overlaps": some("n_overlap"),
        "not finite": some("n_not_finite"),
        "dead": some("flat_s"),
        "spikes": some("n_spike"),
        "clipped": some("n_clipped") or some("n_record_clipped"),
        "late records": some("n_late"),
        "clock": some("n_time_questionable") or row.get("timing_quality_least", 100.0) < _TIMING_LEAST,
        "above NHNM": some("above_nhnm", _PERIODS_OUTSIDE),
        "below NLNM": some("below_nlnm", _PERIODS_OUTSIDE),
    }
    return ", ".join(name for name, holds in said.items() if holds)
