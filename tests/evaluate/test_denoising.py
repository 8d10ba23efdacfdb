"""Mixtures have the ratio asked for; gains are as counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from kaname.core.errors import InputError
from kaname.evaluate.denoising import gain_db, gain_row, lag_s, mixture, onset_row, onset_s

RNG = np.random.default_rng(1)
SIGNAL, NOISE = 3 * RNG.standard_normal((2, 5000)), 7 + RNG.standard_normal((2, 5000))


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 20.0])
def test_mixture_has_its_ratio(snr_db: float) -> None:
    mixed, noise = mixture(SIGNAL, NOISE, snr_db)
    ratio = 10 * np.log10(SIGNAL.var(axis=1) / noise.var(axis=1))
    assert np.allclose(ratio, snr_db) and np.allclose(mixed, SIGNAL + noise)
    assert gain_db(SIGNAL, noise, mixed) == pytest.approx([0, 0], abs=1e-9)
    # A tenth of the amplitude of the noise left: 20 dB. All the signal lost: minus the ratio.
    assert gain_db(SIGNAL, noise, SIGNAL + 0.1 * noise) == pytest.approx([20, 20])
    assert gain_db(SIGNAL, noise, np.zeros_like(SIGNAL)) == pytest.approx([-snr_db] * 2)


def test_rows_and_bad_input() -> None:
    row = gain_row(np.arange(101.0))
    assert (row["n"], row["gain_db"], row["gain_db_5"]) == (101, 50, 5)
    with pytest.raises(InputError, match="one shape"):
        mixture(SIGNAL, NOISE[:, 1:], 0.0)
    with pytest.raises(InputError, match="constant"):
        mixture(SIGNAL, np.ones_like(NOISE), 0.0)


def test_the_ratio_is_that_within() -> None:
    loud = SIGNAL * np.where(np.arange(5000) < 2000, 0.1, 1)
    mixed, noise = mixture(loud, NOISE, 5.0, within=slice(2000, None))
    ratio = 10 * np.log10(loud[:, 2000:].var(axis=1) / noise[:, 2000:].var(axis=1))
    assert np.allclose(ratio, 5.0) and np.allclose(mixed - loud, noise)


def test_delays_are_told() -> None:
    pulse = np.zeros(300)
    pulse[120:160] = RNG.standard_normal(40)
    assert lag_s(pulse, pulse, 100.0) == 0
    assert lag_s(pulse, 3 * np.roll(pulse, 7) + 5, 100.0) == pytest.approx(0.07)
    assert lag_s(pulse, np.roll(pulse, -2), 50.0) == pytest.approx(-0.04)
    noisy = 0.01 * RNG.standard_normal(300)
    noisy[120:] += RNG.standard_normal(180)
    assert onset_s(noisy, 100.0) == pytest.approx(1.2, abs=0.02)
    row = onset_row(np.array([0.0, 0.02, -0.03, 0.01]), np.array([0.0, 0.5, 0.02, 0.01]))
    assert (row["n_onset"], row["lag_within_20_ms"], row["onset_within_20_ms"]) == (4, 0.75, 0.75)
    assert row["lag_mean_s"] == pytest.approx(0) and row["onset_median_s"] == pytest.approx(0.015)
