"""Stress drops of made spectra, whose corners are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kaname.core.errors import InputError
from kaname.modeling.ground_motion.stress_drop import stress_drops

FREQUENCY = np.geomspace(0.5, 40.0, 80)


def _made(corners: Any, n_record: int, scatter: float, power: int = 2) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(0)
    event = np.repeat(np.arange(len(corners)), n_record)
    fc, attenuation = np.asarray(corners)[event][:, None], rng.uniform(0.01, 0.06, event.size)[:, None]
    shape = (2 * np.pi * FREQUENCY) ** power / (1 + (FREQUENCY / fc) ** 2)
    level = np.exp(rng.normal(0, 1, event.size))[:, None]
    noise = np.exp(scatter * rng.normal(size=(event.size, FREQUENCY.size)))
    return level * shape * np.exp(-np.pi * FREQUENCY * attenuation) * noise, event, np.full(event.size, 4.0)


@pytest.mark.parametrize(("kind", "power"), [("displacement", 0), ("velocity", 1), ("acceleration", 2)])
def test_corners_come_back(kind: Any, power: int) -> None:
    corners = [1.5, 3.0, 6.0]
    spectra, event, magnitude = _made(corners, 25, 0.2, power)
    found = stress_drops(FREQUENCY, spectra, event, magnitude, kind=kind)
    np.testing.assert_allclose(found["corner_hz"], corners, rtol=0.1)
    assert found["resolved"].all()
    assert (found["corner_low_hz"] < found["corner_hz"]).all()
    assert (found["corner_high_hz"] > found["corner_hz"]).all()


def test_stress_drop_of_a_known_source() -> None:
    spectra, event, magnitude = _made([2.0], 5, 0.0)
    found = stress_drops(FREQUENCY, spectra, event, magnitude, shear_velocity_km_s=3.5).iloc[0]
    # M 4.0 is 1.26e15 N m; the radius of a 2 Hz corner 2.34 * 3500 / (4 pi) = 651.7 m.
    assert found["stress_drop_mpa"] == pytest.approx(7 / 16 * 10**15.1 / 651.74**3 / 1e6, rel=0.02)


def test_what_is_below_the_noise_is_left_out() -> None:
    spectra, event, magnitude = _made([3.0], 25, 0.1)
    spectra[:, FREQUENCY > 20] = np.nan
    assert stress_drops(FREQUENCY, spectra, event, magnitude)["corner_hz"].iloc[0] == pytest.approx(
        3.0, rel=0.1
    )


def test_a_corner_beyond_the_band_is_not_resolved() -> None:
    spectra, event, magnitude = _made([300.0], 10, 0.1)
    assert not stress_drops(FREQUENCY, spectra, event, magnitude)["resolved"].iloc[0]


@pytest.mark.parametrize("change", ["zero", "shape", "few", "kind", "order", "magnitude"])
def test_what_cannot_be_used_is_said(change: str) -> None:
    spectra, event, magnitude = _made([3.0], 4, 0.1)
    frequency, kind = FREQUENCY.copy(), "acceleration"
    if change == "zero":
        spectra[0, 0] = 0.0
    elif change == "shape":
        event = event[:-1]
    elif change == "few":
        spectra[1, 3:] = np.nan
    elif change == "kind":
        kind = "jerk"
    elif change == "order":
        frequency = frequency[::-1]
    else:
        magnitude[0] = np.nan
    with pytest.raises(InputError):
        stress_drops(frequency, spectra, event, magnitude, kind=kind)  # type: ignore[arg-type]
