"""Neural pickers: the windows with a network of known answer, and the real packages where there are any."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import obspy
import pytest

from kaname.automation.pick import get_picker
from kaname.automation.pick.network import NetworkPicker, NetworkSettings
from kaname.core.step import run
from kaname.core.time import add_seconds, as_time, seconds_between
from kaname.core.waveform import Waveform, align

START = as_time("2024-05-06T07:08:09.5")


class Marks:
    """A network that answers P where the vertical holds a mark, S where a horizontal does."""

    window_s = 20.0

    def __init__(self) -> None:
        self.windows: list[Waveform] = []

    def predict(self, window: Waveform) -> tuple[np.ndarray, float]:
        self.windows.append(window)
        spikes = window.data - np.median(window.data, axis=1, keepdims=True)
        curves = np.array([spikes[0] > 500, (spikes[1] > 500) | (spikes[2] > 500)])
        return np.where(curves, 0.9, 0.01), window.sampling_rate


def marked(
    rate: float = 50.0, seconds: float = 90.0, marks: tuple[float, ...] = (2.0, 25.02, 44.98, 85.0)
) -> Waveform:
    data = np.zeros((3, round(rate * seconds)))
    for t in marks:
        data[0, round(t * rate)] = 1000
        data[1, min(data.shape[1] - 1, round((t + 3) * rate))] = 1000
    return Waveform(data, tuple(f"XX.ABC..HH{c}" for c in "ZNE"), START, rate)


def picker() -> NetworkPicker:
    return NetworkPicker("marks", Marks(), NetworkSettings())


def test_every_mark_is_answered_for_once_wherever_windows_meet() -> None:
    marks = tuple(np.round(np.arange(1.4, 86, 0.7), 2))
    wave = marked(marks=marks)
    picks = list(run(picker(), [wave]))
    p = [round(seconds_between(wave.start, q.time), 2) for q in picks if q.phase == "P"]
    assert p == [pytest.approx(m, abs=0.011) for m in marks]
    assert len([q for q in picks if q.phase == "S"]) == len(marks)


def test_windows_stand_on_the_utc_clock() -> None:
    network = Marks()
    for lag in (0.0, 3.7):
        part = marked().slice(add_seconds(START, lag), add_seconds(START, 1000))
        list(run(NetworkPicker("marks", network, NetworkSettings()), [part]))
    phases = {int(w.start.astype(np.int64)) % 10_000_000_000 // 20_000_000 for w in network.windows}
    assert len(phases) <= 2  # one, but for rounding to samples


@pytest.mark.parametrize("cuts", [[1], [777, 778], list(range(5, 4000, 13))])
def test_cuts_do_not_matter(cuts: list[int]) -> None:
    wave = marked()
    edges = [0, *cuts, wave.n_sample]
    blocks = [replace(wave, data=wave.data[:, a:b], start=wave.time(a)) for a, b in pairwise(edges)]
    assert list(run(picker(), blocks)) == list(run(picker(), [wave]))


def test_missing_components_are_zero_and_channels_are_sorted() -> None:
    network = Marks()
    wave = marked().select(["XX.ABC..HHE", "XX.ABC..HHZ"])
    list(run(NetworkPicker("marks", network, NetworkSettings()), [wave]))
    assert all(w.ids == ("XX.ABC..HHZ", "XX.ABC..HHN", "XX.ABC..HHE") for w in network.windows)
    assert any(w.data[0].any() for w in network.windows)


@pytest.mark.extra
def test_pickerxl_finds_a_real_local_earthquake() -> None:
    """UH3 of ObsPy's Unterhaching records, at its own 50 Hz."""
    pytest.importorskip("pickerxl")
    folder = Path(obspy.__file__).parent / "signal/tests/data"
    traces = [t for f in sorted(folder.glob("BW.UH3.*.cut.slist.gz")) for t in obspy.read(str(f))]
    picks = list(run(get_picker("pickerxl"), align([Waveform.from_trace(t) for t in traces])))
    p = [q.time for q in picks if q.phase == "P"]
    s = [q.time for q in picks if q.phase == "S"]
    assert min(abs(seconds_between(as_time("2010-05-27T16:24:33.15"), t)) for t in p) < 0.2
    assert min(abs(seconds_between(as_time("2010-05-27T16:24:34.35"), t)) for t in s) < 0.2
    assert len(picks) < 20 and picks[0].method.startswith("pickerxl/")


@pytest.mark.extra
def test_a_seisbench_model_answers_on_the_clock_of_the_record() -> None:
    models = pytest.importorskip("seisbench.models")
    torch = pytest.importorskip("torch")
    from kaname.automation.pick.seisbench import SeisBenchNetwork

    torch.manual_seed(0)
    network = SeisBenchNetwork(models.PhaseNet(phases="PSN"))
    rng = np.random.default_rng(0)
    wave = Waveform(rng.standard_normal((3, 20_000)), tuple(f"XX.ABC..HH{c}" for c in "ZNE"), START, 100.0)
    window = wave.slice(START, add_seconds(START, network.window_s))
    assert window is not None
    curves, rate = network.predict(window)
    assert rate == 100.0 and curves.shape == (2, window.n_sample)
    assert 0 < curves.max() <= 1 and (curves > 0).mean() > 0.8
    untrained = NetworkPicker("x", network, NetworkSettings(min_probability_p=0.35, min_probability_s=0.35))
    blocks = [
        replace(wave, data=wave.data[:, a:b], start=wave.time(a)) for a, b in pairwise([0, 3001, 9000, 20000])
    ]
    assert list(run(untrained, blocks)) == list(run(untrained, [wave]))
