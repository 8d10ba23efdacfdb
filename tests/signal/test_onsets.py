"""Band energies, their rises and the evidence about them."""

from __future__ import annotations

import numpy as np
import pytest

from kaname.core.errors import InputError
from kaname.signal.onsets import (
    evidence,
    evidence_names,
    frame_energy,
    frame_length,
    octave_bands,
    onset_level,
)


def test_bands_fit_the_rate() -> None:
    assert octave_bands(100.0)[0] == (1.5, 3.0) and octave_bands(100.0)[-1] == (24.0, 48.0)
    assert octave_bands(10.0) == [(1.5, 3.0), (3.0, 6.0)]
    with pytest.raises(InputError, match="10 Hz"):
        octave_bands(9.0)


@pytest.mark.parametrize(("rate", "n"), [(10.0, 1), (31.25, 2), (100.0, 5), (250.0, 12)])
def test_a_frame_is_a_twentieth_of_a_second_or_a_sample(rate: float, n: int) -> None:
    assert frame_length(rate) == n


def test_frame_energy_is_the_mean_square() -> None:
    data = np.random.default_rng(0).standard_normal((2, 23))
    expected = (data[:, :20] ** 2).reshape(2, 4, 5).mean(axis=2)
    assert frame_energy(data, 5) == pytest.approx(expected)


def step(n_part: int, at: int = 700, gain: float = 100.0) -> np.ndarray:
    energy = np.ones((5, n_part, 900))
    energy[:, :, at:] = gain
    return energy


def test_level_is_largest_at_the_onset_and_in_decibel() -> None:
    assert int(np.argmax(onset_level(step(1)))) == 700
    assert onset_level(step(1))[700] == pytest.approx(20.0)
    assert onset_level(step(2))[700] == pytest.approx(20.7)  # both parts at once count 0.7 dB more
    assert np.isneginf(onset_level(np.zeros((5, 1, 40)))).all()


@pytest.mark.parametrize("n_part", [1, 2])
def test_evidence_of_a_step(n_part: int) -> None:
    values = dict(zip(evidence_names(n_part), evidence(step(n_part), 700)))
    assert len(values) == (12 if n_part == 1 else 26)
    for name, value in values.items():
        expected = {"gain": 20, "gain_long": 20, "level": 0, "level_long": 0, "later": 0, "earlier": -20}
        what = name.removesuffix("_vertical").removesuffix("_horizontal").removesuffix("_middle")
        what = what.removesuffix("_high")
        assert value == pytest.approx(expected.get(what, 0.0), abs=1e-9), name


def test_evidence_of_s_stands_out_on_the_horizontals() -> None:
    energy = step(2)
    energy[:, 1, 700:] = 1000.0
    values = dict(zip(evidence_names(2), evidence(energy, 700)))
    assert values["horizontal_share_high"] == pytest.approx(10.0)
    assert values["gain_high_horizontal"] == pytest.approx(30.0)


@pytest.mark.parametrize("n_band", [1, 2, 3, 4, 5])
def test_any_number_of_bands_and_any_place_will_do(n_band: int) -> None:
    energy = step(2)[:n_band]
    for k in (0, 5, 700, 899):
        assert np.isfinite(evidence(energy, k)).all()
    assert int(np.argmax(onset_level(energy))) == 700
