"""The measures of one processed record: rows for the tables of the database."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kaname.core.shaking import MEASURES, PERIODS_S, column_of, period_of, unit_of
from kaname.core.tables import Column, Schema
from kaname.core.waveform import Waveform
from kaname.modeling.strong_motion.processing import Processed
from kaname.signal.intensity import jma_intensity
from kaname.signal.intensity_measures import (
    SI_PERIODS_S,
    HorizontalMeasures,
    arias,
    cumulative_absolute_velocity,
    fourier_amplitude,
    peak,
    significant_duration,
    spectrum_intensity,
)
from kaname.signal.response_spectra import response_spectra

SPECTRUM_PERIODS_S = tuple(sorted({*np.round(np.geomspace(0.01, 10.0, 91), 4).tolist(), *PERIODS_S}))
"""Periods of the full spectra [s]: thirty a decade, and those of the wide table."""
FOURIER_HZ = tuple(np.round(np.geomspace(0.1, 50.0, 81), 4).tolist())
FOURIER_BANDWIDTH = 40.0

RECORD_MEASURES = Schema(
    "record_measures",
    "Every measure of every record, over all directions of its horizontals.",
    (
        Column("record_id", "string", "record, as in ground_motions", required=True),
        Column("measure", "string", "pga, pgv, sa(0.3), ...", required=True),
        Column("period_s", "float", "period of a spectral acceleration", "s", low=0),
        Column("rotd50", "float", "median over all directions, in `unit`"),
        Column("rotd100", "float", "largest over all directions, in `unit`"),
        Column("geometric_mean", "float", "geometric mean of the horizontals as recorded, in `unit`"),
        Column("larger", "float", "larger of the horizontals as recorded, in `unit`"),
        Column("vertical", "float", "of the vertical, in `unit`"),
        Column("unit", "string", "unit of the measure"),
    ),
    key=("record_id", "measure"),
)
FOURIER = Schema(
    "fourier",
    "Smoothed Fourier amplitude of the horizontals of every record.",
    (
        Column("record_id", "string", "record, as in ground_motions", required=True),
        Column("frequency_hz", "float", "centre frequency", "Hz", required=True, low=0),
        Column("amplitude_cm_s", "float", "root mean square of both horizontals", "cm/s", low=0),
    ),
    key=("record_id", "frequency_hz"),
)


def measure(
    record_id: str,
    processed: Processed,
    horizontals: tuple[int, int],
    vertical: int | None,
    unfiltered: Waveform,
) -> tuple[dict[str, float], list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the wide columns (RotD50), the rows of `RECORD_MEASURES` and those of `FOURIER` of a record.

    Spectral accelerations beyond the longest trusted period, and Fourier amplitudes outside of the corners,
    are left out.

    Parameters
    ----------
    record_id
        Identifier for the rows.
    processed
        The record.
    horizontals, vertical
        Which channels are which; ``None``: there is no vertical.
    unfiltered
        The acceleration before the filter, for JMA's intensity, which has a filter of its own.
    """
    block = processed.acceleration
    rate = block.sampling_rate
    first, second = horizontals
    a, v, d = block.data, processed.velocity, processed.displacement
    found: dict[str, HorizontalMeasures] = {
        "pga": peak(a[first], a[second]),
        "pgv": peak(v[first], v[second]),
        "pgd": peak(d[first], d[second]),
        "arias": arias(a[first], a[second], rate),
        "cav": cumulative_absolute_velocity(a[first], a[second], rate),
    }
    up = {"pga": a, "pgv": v, "pgd": d}
    vertical_of = {m: float(np.abs(x[vertical]).max()) for m, x in up.items()} if vertical is not None else {}
    order = [first, second, *([] if vertical is None else [vertical])]
    turned = Waveform(a[order], tuple(block.ids[k] for k in order), block.start, rate, block.unit)
    longest = processed.longest_period_s
    periods = [p for p in SPECTRUM_PERIODS_S if not p > longest]
    spectra = response_spectra(turned, [*periods, *SI_PERIODS_S])
    n = len(periods)
    found["si"] = spectrum_intensity(
        np.array(SI_PERIODS_S), spectra.rotd50[n:], spectra.rotd100[n:], spectra.components[:2, n:]
    )
    rows = [_row(record_id, name, value, vertical_of.get(name)) for name, value in found.items()]
    for k, period in enumerate(periods):
        value = HorizontalMeasures(
            float(spectra.rotd50[k]),
            float(spectra.rotd100[k]),
            float(spectra.geometric_mean[k]),
            float(spectra.components[:2, k].max()),
        )
        above = None if vertical is None else float(spectra.components[2, k])
        rows.append(_row(record_id, f"sa({period:g})", value, above))
    for name, high in (("d5_75", 0.75), ("d5_95", 0.95)):
        duration = significant_duration(a[first], a[second], rate, low=0.05, high=high)
        rows.append(_row(record_id, name, HorizontalMeasures(duration, duration, duration, duration), None))
    if vertical is not None:
        jma = jma_intensity(unfiltered).value
        if math.isfinite(jma):
            nan = float("nan")
            rows.append(_row(record_id, "intensity_jma", HorizontalMeasures(jma, nan, nan, nan), None))
    values = {row["measure"]: row["rotd50"] for row in rows}
    wide = {column_of(name): values[name] for name in MEASURES if name in values}
    return wide, rows, _fourier(record_id, a[[first, second]], rate, processed)


def _row(record_id: str, name: str, value: HorizontalMeasures, vertical: float | None) -> dict[str, Any]:
    return {
        "record_id": record_id,
        "measure": name,
        "period_s": period_of(name),
        **vars(value),
        "vertical": vertical,
        "unit": unit_of(name),
    }


def _fourier(record_id: str, data: NDArray[Any], rate: float, processed: Processed) -> list[dict[str, Any]]:
    low = processed.corner_low_hz if processed.corner_low_hz > 0 else 0.0
    high = min(processed.corner_high_hz if processed.corner_high_hz > 0 else np.inf, rate / 2)
    frequency = [f for f in FOURIER_HZ if max(low, rate / data.shape[1]) <= f <= high]
    if not frequency:
        return []
    squared = [fourier_amplitude(x, rate, frequency, bandwidth=FOURIER_BANDWIDTH) ** 2 for x in data]
    both = np.sqrt(np.mean(squared, axis=0))
    return [
        {"record_id": record_id, "frequency_hz": f, "amplitude_cm_s": float(x)}
        for f, x in zip(frequency, both)
    ]
