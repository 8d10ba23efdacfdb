"""Magnitudes against known truth: synthetic amplitudes and seismograms whose magnitude is chosen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kaname.automation.magnitude import Amplitude, MagnitudeSettings, magnitudes, measure
from kaname.core import tables
from kaname.core.time import add_seconds
from kaname.core.waveform import Waveform
from kaname.signal.response import wood_anderson_transfer

ORIGIN = np.datetime64("2020-01-01T00:00:00", "ns")


def _network(
    truth: np.ndarray, terms: np.ndarray, *, calibrated: np.ndarray, noise: float = 0.1, seen: float = 1.0
) -> tuple[pd.DataFrame, pd.DataFrame, list[Amplitude]]:
    """Events at 8 km depth, a ring of stations, amplitudes as the scale says plus noise."""
    random = np.random.default_rng(4)
    settings = MagnitudeSettings()
    events, arrivals, amplitudes = [], [], []
    for i, magnitude in enumerate(truth):
        time = add_seconds(ORIGIN, 600.0 * i)
        event_id = f"e{i}"
        events.append(
            {"event_id": event_id, "time": time, "latitude": 0.0, "longitude": 0.0, "depth_km": 8.0}
        )
        for j, term in enumerate(terms):
            if random.random() > seen:
                continue
            distance = random.uniform(5, 80)
            arrivals.append(
                {
                    "event_id": event_id,
                    "pick_id": f"p{i}-{j}",
                    "network": "XX",
                    "station": f"S{j}",
                    "phase": "P",
                    "time": time,
                    "distance_km": distance,
                }
            )
            log_a = magnitude + term + float(settings.log_a0(np.hypot(distance, 8.0)))
            log_a += random.normal(0, noise)
            amplitudes.append(Amplitude(event_id, "XX", f"S{j}", "", 10**log_a, bool(calibrated[j]), 10.0))
    return (
        tables.table(events, tables.EVENTS),
        tables.table(arrivals, tables.ARRIVALS),
        amplitudes,
    )


def test_hutton_and_boore_attenuation() -> None:
    # Hutton & Boore (1987): 1 mm at 100 km is magnitude 3; 10 mm at 17 km too.
    settings = MagnitudeSettings()
    assert float(settings.log_a0(100.0)) == pytest.approx(-3.0)
    assert float(settings.log_a0(17.0)) == pytest.approx(-2.0, abs=0.02)


def test_absolute_magnitudes_with_responses() -> None:
    truth = np.linspace(0.5, 3.0, 20)
    terms = np.random.default_rng(1).normal(0, 0.2, 10)
    events, arrivals, amplitudes = _network(truth, terms, calibrated=np.ones(10, bool))
    found = magnitudes(events, arrivals, amplitudes).events
    assert set(found["magnitude_type"]) == {"ML"}
    np.testing.assert_allclose(found["magnitude"], truth, atol=0.25)
    assert (found["n_magnitude"] == 10).all()


def test_unknown_gains_are_solved_for_and_anchored_by_one_known_response() -> None:
    truth = np.random.default_rng(2).uniform(0.5, 3.0, 30)
    terms = np.array([0.0, 4.0, 3.5, -2.0, 5.0, 4.2, 3.9, 1.0])
    known = np.arange(8) == 0
    events, arrivals, amplitudes = _network(truth, terms, calibrated=known, seen=0.7)
    result = magnitudes(events, arrivals, amplitudes)
    found = result.events["magnitude"].to_numpy()
    assert set(result.events["magnitude_type"]) == {"ML"}
    assert np.std(found - truth) < 0.1
    assert abs(np.median(found - truth)) < 0.3
    recovered = result.station_terms.set_index("station")["term"]
    np.testing.assert_allclose(recovered["S1"] - recovered["S3"], 6.0, atol=0.15)


def test_without_any_response_the_magnitude_is_relative_and_says_so() -> None:
    truth = np.random.default_rng(3).uniform(0, 2, 25)
    terms = np.random.default_rng(5).normal(4, 1, 6)
    events, arrivals, amplitudes = _network(truth, terms, calibrated=np.zeros(6, bool), seen=0.8)
    result = magnitudes(events, arrivals, amplitudes)
    found = result.events["magnitude"].to_numpy()
    assert set(result.events["magnitude_type"]) == {"ML_relative"}
    assert np.std((found - truth) - np.median(found - truth)) < 0.1
    assert result.arrivals["amplitude_mm"].isna().all(), "without a response there are no millimetres"
    assert np.median(result.station_terms["term"]) == pytest.approx(9, abs=1e-9)


def test_one_wild_station_does_not_move_the_magnitude() -> None:
    truth = np.full(12, 1.5)
    events, arrivals, amplitudes = _network(truth, np.zeros(9), calibrated=np.ones(9, bool), noise=0.05)
    wild = [
        Amplitude(*(a.event_id, a.network, a.station, a.location), a.amplitude_mm * 100, True, a.snr)
        if a.station == "S4" and a.event_id == "e3"
        else a
        for a in amplitudes
    ]
    found = magnitudes(events, arrivals, wild).events
    assert found.loc[3, "magnitude"] == pytest.approx(1.5, abs=0.12)


def test_stated_uncertainty_covers_the_truth() -> None:
    random = np.random.default_rng(8)
    truth = random.uniform(0, 3, 300)
    events, arrivals, amplitudes = _network(
        truth, np.zeros(8), calibrated=np.ones(8, bool), noise=0.25, seen=0.8
    )
    found = magnitudes(events, arrivals, amplitudes).events.dropna(subset="magnitude")
    within = np.abs(found["magnitude"] - truth[found.index]) <= found["magnitude_uncertainty"]
    assert 0.58 <= within.mean() <= 0.82


def _record(amplitude_m: float, *, noise_m: float = 0.0, rate: float = 100.0) -> tuple[Waveform, float]:
    """30 s of noise, then a 5 Hz burst on N from 31 s (S) on; P is at 30 s."""
    random = np.random.default_rng(0)
    time = np.arange(round(60 * rate)) / rate
    burst = amplitude_m * np.sin(2 * np.pi * 5 * time) * ((time >= 31) & (time < 33))
    data = np.vstack([0 * time, burst, 0.1 * burst]) + noise_m * random.standard_normal((3, len(time)))
    block = Waveform(data, ("XX.A..HHE", "XX.A..HHN", "XX.A..HHZ"), ORIGIN, rate, "m")
    return block, amplitude_m * 1e3 * abs(wood_anderson_transfer(np.array([5.0]))[0])


def test_measure_reads_the_largest_horizontal_amplitude() -> None:
    block, expected_mm = _record(1e-6, noise_m=1e-9)
    p_time = add_seconds(ORIGIN, 30.0)
    read = measure("e", add_seconds(ORIGIN, 28.63), p_time, add_seconds(ORIGIN, 31.0), block)
    assert read is not None
    assert read.calibrated
    assert read.amplitude_mm == pytest.approx(expected_mm, rel=0.1)
    vertical = measure(
        "e", add_seconds(ORIGIN, 28.63), p_time, None, block, settings=MagnitudeSettings(component="vertical")
    )
    assert vertical is not None
    assert vertical.amplitude_mm == pytest.approx(0.1 * expected_mm, rel=0.15)


def test_an_amplitude_within_the_noise_is_not_reported() -> None:
    block, _ = _record(1e-9, noise_m=1e-6)
    assert measure("e", ORIGIN, add_seconds(ORIGIN, 30.0), None, block) is None


def test_a_window_that_the_record_does_not_hold_is_not_reported() -> None:
    block, _ = _record(1e-6, noise_m=1e-9)
    assert measure("e", add_seconds(ORIGIN, 40.0), add_seconds(ORIGIN, 58.0), None, block) is None
    assert measure("e", add_seconds(ORIGIN, -5), add_seconds(ORIGIN, 1.0), None, block) is None


def test_events_without_amplitudes_keep_no_magnitude() -> None:
    events, arrivals, _ = _network(np.array([1.0]), np.zeros(4), calibrated=np.ones(4, bool))
    result = magnitudes(events, arrivals, [])
    assert result.events["magnitude"].isna().all()
    assert result.station_terms.empty
