"""The detector with the weights that ship, and its rules with a network of known answer."""

from __future__ import annotations

import pickle
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from kaname.automation.detect import (
    DETECTIONS,
    Detection,
    Detector,
    DetectorSettings,
    detections_table,
    spans,
)
from kaname.core import tables
from kaname.core.errors import FormatError, InputError, NotFoundError
from kaname.core.step import run
from kaname.core.time import as_time, seconds_between
from kaname.core.waveform import Waveform
from kaname.learn.simulate.noise import noise
from kaname.learn.simulate.records import simulate

START = as_time("2024-05-06T07:08:09.5")
IDS = ("XX.ABC..HHZ", "XX.ABC..HHN", "XX.ABC..HHE")


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector()


@pytest.fixture(scope="module")
def record() -> tuple[Waveform, list[tuple[np.datetime64, np.datetime64]]]:
    """Five simulated earthquakes in a bit over ten minutes of hum, and when their P and S come."""
    bank = simulate(5, seed=21)
    rng = np.random.default_rng(0)
    data = rng.normal(size=(3, 62000)) + 300.0
    times = []
    for i in range(5):
        event = bank.data[i].astype(float)
        event *= 60 / np.abs(event).max()
        at = 2000 + 12000 * i
        part = event[:, int(bank.p[i]) :][:, :9000]
        data[:, at : at + part.shape[1]] += part
        times.append((at, at + bank.s[i] - bank.p[i]))
    wave = Waveform(data, IDS, START, 100.0)
    return wave, [(wave.time(p), wave.time(s)) for p, s in times]


def test_earthquakes_are_found_and_the_rest_is_not(
    detector: Detector, record: tuple[Waveform, list[tuple[np.datetime64, np.datetime64]]]
) -> None:
    wave, events = record
    found = list(run(detector, [wave]))
    late = []
    for p, s in events:
        mine = [d for d in found if d.start < s and d.end > p]
        assert len(mine) == 1
        late.append(seconds_between(p, mine[0].start))
        assert mine[0].sensor == "XX.ABC..HH"
        assert 0 < mine[0].probability <= 1
    assert abs(np.median(late)) < 1.5  # a first wave that is weak may be missed
    assert len(found) <= len(events) + 1


@pytest.mark.parametrize("cuts", [[1], [5000, 5001], [2100, 14100, 50000], list(range(900, 62000, 1700))])
def test_cuts_do_not_matter(
    detector: Detector, record: tuple[Waveform, list[tuple[np.datetime64, np.datetime64]]], cuts: list[int]
) -> None:
    wave, _ = record
    edges = [0, *cuts, wave.n_sample]
    blocks = [replace(wave, data=wave.data[:, a:b], start=wave.time(a)) for a, b in pairwise(edges)]
    assert list(run(detector, blocks)) == list(run(detector, [wave]))


def test_the_state_can_be_stored(
    detector: Detector, record: tuple[Waveform, list[tuple[np.datetime64, np.datetime64]]]
) -> None:
    wave, _ = record
    half = wave.n_sample // 2
    a = replace(wave, data=wave.data[:, :half])
    b = replace(wave, data=wave.data[:, half:], start=wave.time(half))
    state, first = detector(detector.start(), a)
    state, second = detector(pickle.loads(pickle.dumps(state)), b)
    assert [*first, *second, *detector.finish(state)] == list(run(detector, [wave]))


def test_other_rates_and_single_components(
    detector: Detector, record: tuple[Waveform, list[tuple[np.datetime64, np.datetime64]]]
) -> None:
    from scipy.signal import resample_poly

    wave, events = record
    vertical = wave.select([IDS[0]])
    slow = replace(wave, data=resample_poly(wave.data - 300.0, 1, 2, axis=1), sampling_rate=50.0)
    for other in (vertical, slow):
        found = list(run(detector, [other]))
        assert sum(any(d.start < s and d.end > p for d in found) for p, s in events) >= 4


def bad() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    hum = rng.normal(size=(3, 60000))
    spikes = hum.copy()
    spikes[:, rng.integers(0, 60000, 100)] += 1e5
    dead = hum.copy()
    dead[1] = 7.0
    holes = hum.copy()
    holes[:, ::1000] = np.nan
    return {
        "hum": hum,
        "zeros": np.zeros((3, 9000)),
        "one sample": np.ones((3, 1)),
        "clipped": np.clip(hum, -0.2, 0.2),
        "spikes": spikes,
        "dead component": dead,
        "not a number": np.full((3, 9000), np.nan),
        "holes": holes,
        "huge": hum * 1e30,
        "half silent": np.concatenate([np.zeros((3, 9000)), hum[:, :9000]], axis=1),
    }


@pytest.mark.parametrize("name", list(bad()))
def test_bad_input_gives_no_storm(detector: Detector, name: str) -> None:
    found = list(run(detector, [Waveform(bad()[name], IDS, START, 100.0)]))
    assert len(found) <= 2


def test_simulated_noise_gives_no_storm(detector: Detector) -> None:
    noises = noise(40, 9000, seed=77)
    found = [d for n in noises for d in run(detector, [Waveform(n.astype(float), IDS, START, 100.0)])]
    assert len(found) <= 40  # one hour, full of bursts, footsteps and spikes: 28 when this was written


def test_wrong_calls(detector: Detector) -> None:
    wave = Waveform(np.zeros((3, 500)), IDS, START, 100.0)
    with pytest.raises(InputError, match="time order"):
        list(run(detector, [wave, wave]))
    with pytest.raises(InputError, match="Hz"):
        list(run(detector, [replace(wave, sampling_rate=1.0)]))
    with pytest.raises(NotFoundError, match="known are"):
        Detector(DetectorSettings(weights="no-such"))
    with pytest.raises(FormatError, match="card"):
        Detector(DetectorSettings(weights="kaname-denoiser-1"))


def test_spans() -> None:
    values = np.array([0.9, 0.1, 0.2, 0.6, 0.3, 0.0, 0.4], np.float32)
    assert [(s.first, s.after) for s in spans(values, 0.2, 100)] == [(100, 101), (102, 105), (106, 107)]
    assert spans(values, 0.2, 100)[1].peak == pytest.approx(0.6)
    assert spans(np.zeros(4, np.float32), 0.2, 0) == []


def test_the_table() -> None:
    late = Detection("XX", "ABC", "", "XX.ABC..HH", START + np.timedelta64(9, "s"), START, 0.7, "m")
    frame = detections_table([late, late._replace(start=START)])
    assert list(frame["start"]) == sorted(frame["start"])
    assert len(tables.validate(frame, DETECTIONS)) == 2
    assert detections_table([]).empty
