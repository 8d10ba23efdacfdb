"""Local magnitude from Wood-Anderson amplitudes, and relative magnitude where no response is known.

Every amplitude gives ``log10 A - log10 A0(R) = M_event + S_station``. Station terms ``S`` are estimated from
all events together: held near zero where the response is known, free where it is not. With at least one
known response the scale is absolute; with none its level is a convention (the median station is given a
nominal sensitivity) and it is called ``ML_relative``.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from kaname.core import tables
from kaname.core.config import Settings
from kaname.core.errors import NotFoundError
from kaname.core.time import add_seconds, seconds_between
from kaname.core.waveform import Waveform
from kaname.formats.stations import Stations
from kaname.signal.response import wood_anderson

ABSOLUTE = "ML"
RELATIVE = "ML_relative"


class MagnitudeSettings(Settings):
    """How amplitudes are measured and turned into magnitude."""

    geometric: float = Field(
        1.110, gt=0, description="geometric spreading n in -log10 A0 (Hutton & Boore 1987)"
    )
    anelastic_per_km: float = Field(0.00189, ge=0, description="absorption K in -log10 A0 [1/km]")
    reference_km: float = Field(
        100.0, gt=0, description="distance at which -log10 A0 has its reference value"
    )
    reference_value: float = Field(3.0, description="-log10 A0 at the reference distance")
    lowpass_hz: float = Field(20.0, gt=0, description="upper corner before the amplitude is read [Hz]")
    highpass_hz: float = Field(1.0, gt=0, description="lower corner before the amplitude is read [Hz]")
    component: Literal["horizontal", "vertical"] = Field(
        "horizontal", description="components read; a station without them is read on what it has"
    )
    minimum_snr: float = Field(3.0, ge=1, description="amplitude over that of the noise before P")
    vp_vs: float = Field(1.73, gt=1, description="vp/vs, to place the window where S was not picked")
    nominal_sensitivity: float = Field(
        1e9,
        gt=0,
        description="where no response is known at all, counts per m/s taken for the median station: "
        "sets the level of relative magnitudes, nothing else",
    )
    station_term_sd: float = Field(
        0.2, gt=0, description="expected spread of station terms with a known response [magnitude]"
    )

    def log_a0(self, hypocentral_km: Any) -> NDArray[np.float64]:
        """Return log10 A0 at hypocentral distances [km]; Hutton & Boore (1987, BSSA 77, 2074-2094), eq. 5."""
        r = np.maximum(np.asarray(hypocentral_km, float), 1.0)
        spreading = self.geometric * np.log10(r / self.reference_km)
        return np.asarray(
            -(spreading + self.anelastic_per_km * (r - self.reference_km) + self.reference_value)
        )


@dataclass(frozen=True)
class Amplitude:
    """Largest Wood-Anderson amplitude of an event at one sensor."""

    event_id: str
    network: str
    station: str
    location: str
    amplitude_mm: float
    """Half peak-to-peak; only proportional to mm where ``calibrated`` is false."""
    calibrated: bool
    snr: float


def measure(
    event_id: str,
    origin_time: np.datetime64,
    p_time: np.datetime64,
    s_time: np.datetime64 | None,
    block: Waveform,
    *,
    response: Any | None = None,
    settings: MagnitudeSettings | None = None,
) -> Amplitude | None:
    """Read the amplitude of an event on one sensor.

    The window runs from P to ``S + max(2 s, 1.5 (S - P))``; the noise is the stretch of the block before P.

    Parameters
    ----------
    event_id
        Event to name in the result.
    origin_time, p_time, s_time
        UTC; without an S pick, S is placed by `MagnitudeSettings.vp_vs`.
    block
        Record of one sensor, ``(n_channel, n_sample)``, with at least 2 s before P.
    response
        ObsPy ``Response`` or ``None``, see `kaname.signal.response.wood_anderson`.
    settings
        How to measure.

    Returns
    -------
    Amplitude or None
        ``None`` when the amplitude does not stand out of the noise, or the block does not hold the window.
    """
    settings = settings or MagnitudeSettings()
    travel_s = seconds_between(origin_time, p_time)
    if s_time is None:
        s_time = add_seconds(origin_time, travel_s * settings.vp_vs)
    lag_s = max(seconds_between(p_time, s_time), 0.1)
    chosen = _components(block, settings.component)
    trace = wood_anderson(chosen, response, band_hz=(settings.highpass_hz, settings.lowpass_hz))
    begin = round(trace.index(p_time))
    stop = round(trace.index(add_seconds(s_time, max(2.0, 1.5 * lag_s))))
    lead = round(0.3 * trace.sampling_rate)
    taper = round(0.05 * trace.n_sample)
    if begin - lead - taper < trace.sampling_rate or begin < 0 or stop > trace.n_sample - taper:
        return None
    # A cycle may straddle an edge of the window, hence peak-to-peak over the whole of it.
    signal = np.ptp(trace.data[:, begin:stop], axis=1) / 2
    noise = np.sqrt(np.mean(trace.data[:, taper : begin - lead] ** 2, axis=1))
    best = int(np.argmax(signal))
    snr = float(signal[best] / noise[best]) if noise[best] > 0 else 0.0
    if not snr >= settings.minimum_snr:
        return None
    network, station, location, _ = block.ids[0].split(".")
    return Amplitude(event_id, network, station, location, float(signal[best]), trace.unit == "mm", snr)


def _components(block: Waveform, component: str) -> Waveform:
    vertical = [i for i in block.ids if i.endswith("Z")]
    horizontal = [i for i in block.ids if i not in vertical]
    preferred = horizontal if component == "horizontal" else vertical
    return block.select(preferred or block.ids)


STATION_TERMS = tables.Schema(
    "station_terms",
    "What each station adds to log10 of the amplitudes, estimated from all events.",
    (
        tables.Column("network", "string", "SEED network code"),
        tables.Column("station", "string", "SEED station code", required=True),
        tables.Column("location", "string", "SEED location code"),
        tables.Column("calibrated", "bool", "whether the response is known"),
        tables.Column("term", "float", "station term, in units of magnitude", required=True),
        tables.Column("n", "int", "amplitudes", low=0),
    ),
    key=("network", "station", "location"),
)


@dataclass(frozen=True)
class MagnitudeResult:
    """Tables with magnitudes filled in, and the station terms behind them."""

    events: pd.DataFrame
    arrivals: pd.DataFrame
    station_terms: pd.DataFrame
    """`STATION_TERMS`."""


def magnitudes(
    events: pd.DataFrame,
    arrivals: pd.DataFrame,
    amplitudes: Sequence[Amplitude],
    *,
    stations: pd.DataFrame | None = None,
    settings: MagnitudeSettings | None = None,
) -> MagnitudeResult:
    """Turn amplitudes into event magnitudes with uncertainty.

    Parameters
    ----------
    events, arrivals
        Located events and their arrivals (`kaname.core.tables`), which give the hypocentral distances.
    amplitudes
        What `measure` read.
    stations
        ``stations`` table: its ``magnitude_correction`` is added to the station magnitude, its elevation
        enters the hypocentral distance.
    settings
        Attenuation and the expected spread of station terms.

    Returns
    -------
    MagnitudeResult
        ``events`` with magnitude, type, uncertainty (standard error of the robust mean) and station count;
        ``arrivals`` with amplitude and station magnitude on the first arrival of each station.
    """
    settings = settings or MagnitudeSettings()
    events, arrivals = tables.validate(events, tables.EVENTS), tables.validate(arrivals, tables.ARRIVALS)
    readings = _readings(events, arrivals, amplitudes, stations, settings)
    if readings.empty:
        return MagnitudeResult(events, arrivals, tables.empty(STATION_TERMS))
    event_index, event_ids = pd.factorize(readings["event_id"])
    sensor_index, sensors = pd.factorize(readings["sensor"])
    calibrated = readings.groupby("sensor")["calibrated"].all().reindex(sensors).to_numpy()
    observed = readings["reduced"].to_numpy()
    magnitude, term, weight = _solve(observed, event_index, sensor_index, calibrated, settings)
    corrected = observed - term[sensor_index]

    sums = np.bincount(event_index, weight)
    spread = np.bincount(event_index, weight * (corrected - magnitude[event_index]) ** 2) / sums
    count = np.bincount(event_index)
    # With few stations the scatter about the mean says little: never less than the expected spread.
    floor = settings.station_term_sd**2
    error = np.sqrt(np.maximum(spread * count / np.maximum(count - 1, 1), floor) / count)
    kind = ABSOLUTE if calibrated.any() else RELATIVE

    events = events.set_index("event_id", drop=False)
    events.loc[event_ids, "magnitude"] = magnitude
    events.loc[event_ids, "magnitude_uncertainty"] = error
    events.loc[event_ids, "n_magnitude"] = count
    events.loc[event_ids, "magnitude_type"] = kind

    arrivals = arrivals.copy()
    first = readings["arrival"].to_numpy()
    arrivals.loc[first, "amplitude_mm"] = np.where(readings["calibrated"], readings["amplitude_mm"], np.nan)
    arrivals.loc[first, "station_magnitude"] = corrected
    names = pd.Series(sensors).str.split(".", expand=True)
    terms = pd.DataFrame(
        {
            "network": names[0],
            "station": names[1],
            "location": names[2],
            "calibrated": calibrated,
            "term": term,
            "n": np.bincount(sensor_index),
        }
    )
    return MagnitudeResult(events.reset_index(drop=True), arrivals, terms)


def _readings(
    events: pd.DataFrame,
    arrivals: pd.DataFrame,
    amplitudes: Sequence[Amplitude],
    stations: pd.DataFrame | None,
    settings: MagnitudeSettings,
) -> pd.DataFrame:
    """One row per amplitude of a located event: reduced magnitude, sensor, first arrival."""
    depth = events.set_index("event_id")["depth_km"]
    first = arrivals.reset_index(names="arrival").sort_values(["time", "phase"])
    first = first.drop_duplicates(["event_id", "network", "station"]).set_index(
        ["event_id", "network", "station"]
    )
    lookup = None if stations is None else Stations(stations)
    times = events.set_index("event_id")["time"]
    rows = []
    for a in amplitudes:
        if (a.event_id, a.network, a.station) not in first.index or np.isnan(depth.get(a.event_id, np.nan)):
            continue
        arrival = first.loc[(a.event_id, a.network, a.station)]
        elevation, correction = np.nan, np.nan
        if lookup is not None:
            # Without a row in the table the station lies at sea level and has no correction.
            with suppress(NotFoundError):
                row = lookup.at(a.network, a.station, a.location, times[a.event_id])
                elevation, correction = row["elevation_m"], row["magnitude_correction"]
        height_km = 0.0 if np.isnan(elevation) else elevation / 1000
        hypocentral = np.hypot(arrival["distance_km"], depth[a.event_id] + height_km)
        reduced = np.log10(a.amplitude_mm) - float(settings.log_a0(hypocentral))
        rows.append(
            {
                "event_id": a.event_id,
                "sensor": f"{a.network}.{a.station}.{a.location}",
                "calibrated": a.calibrated,
                "amplitude_mm": a.amplitude_mm,
                "arrival": int(arrival["arrival"]),
                "reduced": reduced + (0.0 if np.isnan(correction) else correction),
            }
        )
    return pd.DataFrame(rows)


def _solve(
    observed: NDArray[np.float64],
    event: NDArray[np.intp],
    sensor: NDArray[np.intp],
    calibrated: NDArray[np.bool_],
    settings: MagnitudeSettings,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Fit both terms robustly (Huber, reweighted): event magnitudes, station terms, weights."""
    from scipy.sparse import coo_matrix, csr_matrix, vstack
    from scipy.sparse.linalg import lsqr

    n_event, n_sensor, n = event.max() + 1, sensor.max() + 1, len(observed)
    rows = np.arange(n)
    design = csr_matrix(
        coo_matrix(
            (np.ones(2 * n), (np.r_[rows, rows], np.r_[event, n_event + sensor])),
            shape=(n, n_event + n_sensor),
        )
    )
    # Prior on the station terms: tight with a response, so loose without that it only fixes the level.
    reading_sd = settings.station_term_sd
    prior_sd = np.where(calibrated, settings.station_term_sd, 30.0)
    prior = coo_matrix(
        (reading_sd / prior_sd, (np.arange(n_sensor), n_event + np.arange(n_sensor))),
        shape=(n_sensor, n_event + n_sensor),
    )
    weight = np.ones(n)
    solution = np.zeros(n_event + n_sensor)
    for _ in range(20):
        root = np.sqrt(weight)
        system = vstack([design.multiply(root[:, None]), prior]).tocsr()
        target = np.r_[root * observed, np.zeros(n_sensor)]
        updated = lsqr(system, target, x0=solution, atol=1e-10, btol=1e-10, iter_lim=5000)[0]
        moved = np.abs(updated - solution).max()
        solution = updated
        residual = np.abs(observed - design @ solution)
        scale = max(1.4826 * float(np.median(residual)), 0.05)
        weight = np.minimum(1.0, 1.5 * scale / np.maximum(residual, 1e-12))
        if moved < 1e-4:
            break
    magnitude, term = solution[:n_event].copy(), solution[n_event:].copy()
    if not calibrated.any():  # the level is a convention: the median station has the nominal sensitivity
        level = float(np.median(term)) - np.log10(settings.nominal_sensitivity)
        term -= level
        magnitude += level
    return magnitude, term, weight
