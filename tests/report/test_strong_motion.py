"""The figure of a record's processing draws whatever is there."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest

from kaname.report.strong_motion import processing


@pytest.mark.parametrize("with_noise", [True, False])
def test_it_is_drawn(with_noise: bool) -> None:
    rng = np.random.default_rng(0)
    data = rng.standard_normal((3, 400))
    frequency = np.geomspace(0.1, 40, 30) if with_noise else np.empty(0)
    amplitude = np.ones((3, len(frequency)))
    period = np.geomspace(0.01, 10, 20)
    figure = processing(
        "made up",
        100.0,
        ("HNN", "HNE", "HNZ"),
        {"acceleration": data, "velocity": data, "displacement": data},
        as_read=data + 1,
        onset_s=1.0 if with_noise else np.nan,
        corners_hz=(0.1, np.nan),
        frequency_hz=frequency,
        signal=3 * amplitude,
        noise=amplitude,
        spectra={"RotD50": (period, period)},
    )
    assert len(figure.axes) == 5
    target = BytesIO()
    figure.savefig(target, dpi=40)
    assert target.tell() > 5000
