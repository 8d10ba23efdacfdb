"""Wood-Anderson seismograms against ObsPy's and against analytic values."""

from __future__ import annotations

import numpy as np
import pytest

from kaname.core.errors import InputError
from kaname.core.waveform import Waveform
from kaname.signal.response import wood_anderson, wood_anderson_transfer


def _sine(frequency: float, unit: str, amplitude: float, rate: float = 100.0) -> Waveform:
    time = np.arange(round(60 * rate)) / rate
    data = amplitude * np.sin(2 * np.pi * frequency * time)
    return Waveform(data[np.newaxis], ("XX.A..HHN",), np.datetime64("2020-01-01", "ns"), rate, unit)


def test_transfer_is_that_of_the_iaspei_poles() -> None:
    # IASPEI standard: poles -5.49779 +- 5.60886i rad/s, two zeros at the origin, gain 2080.
    frequency = np.array([0.1, 1.0, 1.25, 5.0, 20.0])
    s = 2j * np.pi * frequency
    poles = (-5.49779 + 5.60886j, -5.49779 - 5.60886j)
    expected = 2080 * s**2 / ((s - poles[0]) * (s - poles[1]))
    np.testing.assert_allclose(wood_anderson_transfer(frequency), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("unit", "amplitude"),
    [("m", 1e-6), ("m/s", 1e-6 * 2 * np.pi * 5), ("cm/s^2", 1e-4 * (2 * np.pi * 5) ** 2), ("nm", 1e3)],
)
def test_a_micrometre_of_5_hz_is_two_millimetres(unit: str, amplitude: float) -> None:
    trace = wood_anderson(_sine(5.0, unit, amplitude), None)
    middle = trace.data[0, 2000:4000]
    expected_mm = 1e-6 * abs(wood_anderson_transfer(np.array([5.0]))[0]) * 1e3
    assert trace.unit == "mm"
    assert np.ptp(middle) / 2 == pytest.approx(expected_mm, rel=0.01)


def test_counts_without_response_say_that_the_factor_is_unknown() -> None:
    assert wood_anderson(_sine(5.0, "count", 10.0), None).unit == "unknown"


def test_through_a_real_response_as_obspy_does_it() -> None:
    import obspy

    stream = obspy.read()  # ObsPy's own three-component example with its response
    inventory = obspy.read_inventory()
    trace = stream.select(component="N")[0]
    response = inventory.get_response(trace.id, trace.stats.starttime)
    ours = wood_anderson(Waveform.from_trace(trace), response, band_hz=(2.0, 15.0))

    peer = trace.copy().detrend("linear").taper(0.05)
    peer.remove_response(inventory, output="DISP", pre_filt=(1.59, 2.0, 15.0, 18.9), water_level=None)
    paz = {"poles": [-5.49779 + 5.60886j, -5.49779 - 5.60886j], "zeros": [0j, 0j], "gain": 1.0}
    peer.simulate(paz_simulate={**paz, "sensitivity": 2080.0})
    middle = slice(600, 2400)
    assert np.ptp(ours.data[0, middle]) == pytest.approx(1e3 * np.ptp(peer.data[middle]), rel=0.05)


def test_a_band_that_the_rate_cannot_hold_is_refused() -> None:
    with pytest.raises(InputError, match="empty"):
        wood_anderson(_sine(1.0, "m/s", 1.0, rate=2.0), None)


def test_samples_that_are_not_finite_are_refused() -> None:
    block = _sine(5.0, "m", 1.0)
    block.data[0, 5] = np.nan
    with pytest.raises(InputError, match="not finite"):
        wood_anderson(block, None)
