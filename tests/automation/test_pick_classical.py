"""The classical picker: what it must find, and what it must leave alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import obspy
import pytest

from kaname.automation.pick import Pick, get_picker
from kaname.automation.pick.classical import coefficients
from kaname.automation.pick.onset import components, dead_frames, is_glitch, local_maxima
from kaname.core.errors import InputError
from kaname.core.step import run
from kaname.core.time import add_seconds, as_time, seconds_between
from kaname.core.waveform import Waveform, align
from kaname.signal.onsets import evidence_names

START = as_time("2024-05-06T07:08:09.5")


def quake(
    rate: float,
    *,
    p: float = 30.0,
    s_minus_p: float = 2.0,
    seconds: float = 60.0,
    sign: int = 1,
    seed: int = 0,
) -> Waveform:
    """Synthetic local earthquake in noise: a sharp P on the vertical, a stronger S on the horizontals."""
    rng = np.random.default_rng(seed)
    n = round(seconds * rate)
    data = 5.0 * rng.standard_normal((3, n))
    top = min(8.0, 0.2 * rate)
    for onset, gains in ((p, (400, 120, 120)), (p + s_minus_p, (200, 1200, 1000))):
        t = np.arange(n) / rate - onset
        wavelet = np.where(t >= 0, np.exp(-np.clip(t, 0, None) / 0.7) * np.sin(2 * np.pi * top * t), 0.0)
        data += sign * np.array(gains)[:, np.newaxis] * wavelet
    return Waveform(data, tuple(f"XX.ABC..HH{c}" for c in "ZNE"), START, rate)


def picks_of(wave: Waveform | list[Waveform], **settings: float) -> list[Pick]:
    return list(run(get_picker("classical", settings), wave if isinstance(wave, list) else [wave]))


def at(picks: list[Pick], phase: str, wave: Waveform = quake(100.0)) -> list[float]:  # noqa: B008
    return [seconds_between(wave.start, p.time) for p in picks if p.phase == phase]


def best(picks: list[Pick], phase: str) -> Pick:
    return max((p for p in picks if p.phase == phase), key=lambda p: p.probability)


@pytest.mark.parametrize("rate", [20.0, 50.0, 100.0, 200.0, 250.0])
def test_p_and_s_are_found_at_any_rate(rate: float) -> None:
    wave = quake(rate)
    picks = picks_of(wave)
    p, s = best(picks, "P"), best(picks, "S")
    tolerance = max(0.05, 1.5 / rate)
    assert seconds_between(wave.start, p.time) == pytest.approx(30.0, abs=tolerance)
    assert seconds_between(wave.start, s.time) == pytest.approx(32.0, abs=2 * tolerance)
    assert p.channel == "HHZ" and s.channel in ("HHN", "HHE")
    assert p.snr_db > 15 and p.probability > 0.8 and 0 < p.time_uncertainty_s < 0.2


@pytest.mark.parametrize(("sign", "expected"), [(1, "up"), (-1, "down")])
def test_polarity_is_that_of_the_first_swing(sign: int, expected: str) -> None:
    picks = picks_of(quake(100.0, sign=sign))
    assert best(picks, "P").polarity == expected
    assert best(picks, "S").polarity == ""


def test_the_unit_does_not_matter() -> None:
    wave = quake(100.0)
    small = replace(wave, data=wave.data * 1e-9, unit="m/s")
    ours, theirs = picks_of(wave), picks_of(small)
    assert [(p.phase, p.time) for p in ours] == [(p.phase, p.time) for p in theirs]


def test_an_aftershock_in_the_coda_is_found() -> None:
    first, second = quake(100.0), quake(100.0, p=36.0, seed=5)
    both = replace(first, data=first.data + second.data)
    times = at(picks_of(both), "P")
    assert min(abs(t - 30) for t in times) < 0.05 and min(abs(t - 36) for t in times) < 0.05


def test_noise_gives_few_picks() -> None:
    rng = np.random.default_rng(7)
    wave = Waveform(rng.standard_normal((3, 360_000)), quake(100.0).ids, START, 100.0)
    assert len(picks_of(wave)) <= 3  # in one hour


@pytest.mark.parametrize("kind", ["spike", "step", "reconnect", "dropout"])
def test_what_a_digitiser_does_is_not_an_onset(kind: str) -> None:
    rng = np.random.default_rng(3)
    data = np.round(20 * rng.standard_normal((3, 9000)))
    if kind == "spike":
        data[:, 4000] += 50_000
    elif kind == "step":
        data[:, 4000:] += 50_000
    elif kind == "reconnect":
        data[:, :4000] = 0
        data[:, 4000:] += 700
    else:
        data[:, 4000:4500] = -3
    picks = picks_of(Waveform(data, quake(100.0).ids, START, 100.0))
    assert not [t for phase in "PS" for t in at(picks, phase) if 39 < t < 49]


def test_dead_horizontals_leave_the_vertical() -> None:
    wave = quake(100.0)
    data = wave.data.copy()
    data[1:] = 0
    with_dead = picks_of(replace(wave, data=data))
    alone = picks_of(wave.select(wave.ids[:1]))
    assert [p.time for p in with_dead] == [p.time for p in alone]
    assert best(with_dead, "P").channel == "HHZ"


def test_an_s_after_a_clipped_p_is_not_timed() -> None:
    wave = quake(100.0, s_minus_p=0.8)
    clipped = replace(wave, data=np.clip(wave.data * 50, -3000, 3000))
    picks = picks_of(clipped)
    assert best(picks, "P").time is not None
    assert not [t for t in at(picks, "S") if 30.6 < t < 31.0]


def test_memory_is_bounded() -> None:
    wave = quake(100.0, seconds=30.0)
    picker = get_picker("classical")
    state, sizes = picker.start(), []
    for i in range(12):
        state, _ = picker(state, replace(wave, start=add_seconds(wave.start, 30.0 * i)))
        sizes.append(sum(a.nbytes for a in (state[0].samples, state[0].energy, state[0].dead)))
    assert max(sizes[2:]) <= sizes[2] * 1.01


def test_components_of_a_sensor() -> None:
    def of(codes: str) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        return components(tuple(f"XX.ABC..HH{c}" for c in codes))

    assert of("ENZ") == [((2,), (1, 0))]
    assert of("12Z") == [((2,), (0, 1))]
    assert of("23Z") == [((2,), (0, 1))]
    assert of("Z") == [((0,), ())]
    assert of("NE") == [((0, 1), ())]
    assert of("123") == [((0, 1, 2), ())]
    assert of("123ENZ") == [((5,), (4, 3)), ((0, 1, 2), ())]


def test_a_borehole_under_the_same_code_is_picked_too() -> None:
    wave = quake(100.0)
    rng = np.random.default_rng(9)
    noisy = 500 * rng.standard_normal(wave.data.shape)
    ids = tuple(f"XX.ABC..HH{c}" for c in "123ENZ")
    both = replace(wave, data=np.concatenate([wave.data, noisy]), ids=ids)
    assert min(abs(t - 30) for t in at(picks_of(both), "P")) < 0.1


def test_local_maxima_and_dead_runs() -> None:
    level = np.array([0.0, 5, 5, 1, 9, 8, 0, 0, 3])
    assert local_maxima(level, 2.0, 2).tolist() == [1, 4, 8]
    data = np.array([[1.0, 1, 2, 2, 2, 2, 2, 2, 3, 3]])
    dead, still = dead_frames(data, np.array([1.0]), np.array([4]), 2, 2)
    assert dead[0].tolist() == [True, False, False, True, False] and still.tolist() == [0]
    assert is_glitch(np.r_[np.zeros(10), 9.0, np.zeros(10)][np.newaxis], 0, 21)
    assert not is_glitch(np.zeros((1, 21)), 0, 21)


def test_settings_are_checked() -> None:
    with pytest.raises(InputError, match=r"treshold_db.*known settings are threshold_db"):
        get_picker("classical", {"treshold_db": 3})
    with pytest.raises(InputError, match="no variant"):
        get_picker("classical:fast")


def test_coefficients_fit_the_evidence() -> None:
    c = coefficients()
    for n_part, model in ((1, "one_component"), (2, "three_component")):
        assert list(c[f"values.{model}"]) == evidence_names(n_part)
        n_knot, n_value = c[f"{model}.knots"].shape
        assert n_value == len(evidence_names(n_part))
        assert c[f"{model}.weights"].shape == (n_value * (1 + n_knot), 2)


def test_the_unterhaching_events_are_found_on_all_four_stations() -> None:
    """Real records in ObsPy's wheel; the trigger tutorial knows events at 16:24:33, 16:27:01 and 16:27:30."""
    folder = Path(obspy.__file__).parent / "signal/tests/data"
    n_pick = 0
    stations: dict[str, list[Waveform]] = {}
    for path in sorted(folder.glob("BW.UH*.cut.slist.gz")):
        for trace in obspy.read(str(path)):
            stations.setdefault(trace.stats.station, []).append(Waveform.from_trace(trace))
    assert len(stations) == 4
    for blocks in stations.values():
        picks = picks_of(align(blocks))
        n_pick += len(picks)
        times = [p.time for p in picks if p.phase == "P"]
        for event in ("2010-05-27T16:24:33.2", "2010-05-27T16:27:02.0", "2010-05-27T16:27:30.5"):
            assert min(abs(seconds_between(as_time(event), t)) for t in times) < 1.2
        if len(blocks) == 3:
            assert len([p for p in picks if p.phase == "S"]) >= 3
    assert n_pick < 60  # four stations, four minutes, four events with P and S
