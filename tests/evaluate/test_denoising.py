"""Mixtures have the ratio asked for; gains are as counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from kaname.core.errors import InputError
from kaname.evaluate.denoising import gain_db, gain_row, mixture

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
