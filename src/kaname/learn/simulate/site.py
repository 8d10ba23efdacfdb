"""What the ground and the instrument below the station do: free surface, soft layers, sensor."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from kaname.core.errors import InputError
from kaname.learn.simulate.layered import Crust, Wave

Floats = NDArray[np.float64]
Sensor = Literal["broadband", "short_period", "geophone", "accelerometer"]
SENSORS: tuple[str, ...] = get_args(Sensor)

CORNER_HZ = {"broadband": 1 / 60, "short_period": 1.0, "geophone": 4.5}
"""Natural frequency of the instruments that measure velocity [Hz]."""
DAMPING = 0.7


def transfer(crust: Crust, frequency: Floats, wave: Wave) -> Floats:
    """Return the amplitude of the surface over that of the outcropping rock, for a wave straight from below.

    Layers above the basement, with their quality factors: Haskell (1960), doi:10.1029/JZ065i012p04147.

    Parameters
    ----------
    crust
        The layers.
    frequency
        Frequencies [Hz], float64 ``(n,)``.
    wave
        P moves the vertical, S the horizontals.
    """
    n = crust.basement
    if not n:
        return np.ones_like(frequency)
    thick = np.diff(crust.tops)[:n]
    speed = crust.speed(wave) * (1 + 0.5j / crust.quality(wave))
    impedance = speed * crust.density
    # Up- and downgoing waves, from the free surface downwards.
    up = np.ones(len(frequency), complex)
    down = np.ones(len(frequency), complex)
    for k in range(n):
        ratio = impedance[k] / impedance[k + 1]
        turn = np.exp(2j * np.pi * frequency * thick[k] / speed[k])
        up, down = (
            0.5 * (up * (1 + ratio) * turn + down * (1 - ratio) / turn),
            0.5 * (up * (1 - ratio) * turn + down * (1 + ratio) / turn),
        )
    return np.asarray(1.0 / np.abs(up))


def free_surface(wave: Wave, slowness: float, vp: float, vs: float) -> tuple[float, float]:
    """Return vertical (up) and radial (away) motion of the surface under P or SV of unit amplitude.

    Aki & Richards (2002), eqs. 5.27 to 5.32. Beyond the critical angle of SV the motion is elliptic;
    its size and the sign of its real part are returned.

    Parameters
    ----------
    wave
        P or S (its part in the vertical plane).
    slowness
        Horizontal slowness [s/km].
    vp, vs
        Speeds below the surface [km/s].
    """
    p = slowness
    eta_p = np.sqrt(complex(1 / vp**2 - p**2))
    eta_s = np.sqrt(complex(1 / vs**2 - p**2))
    b = 1 / vs**2 - 2 * p**2
    whole = b**2 + 4 * p**2 * eta_p * eta_s
    if wave == "P":
        z, r = 2 * vp / vs**2 * eta_p * b / whole, 4 * vp / vs**2 * p * eta_p * eta_s / whole
    else:
        z, r = 4 / vs * p * eta_p * eta_s / whole, 2 / vs * eta_s * b / whole
        z = -z
    return _signed(z), _signed(r)


def _signed(value: complex) -> float:
    return float(np.copysign(abs(value), value.real))


def record(velocity: Floats, sensor: str, *, rate_hz: float) -> Floats:
    """Return what a sensor makes of ground velocity [m/s], by causal filters; flat part with unit gain.

    Parameters
    ----------
    velocity
        Ground velocity, float64 ``(n_channel, n_sample)``.
    sensor
        ``broadband`` (60 s), ``short_period`` (1 Hz), ``geophone`` (4.5 Hz), all giving velocity, or
        ``accelerometer`` [m/s2].
    rate_hz
        Samples per second [Hz].

    Raises
    ------
    InputError
        When the sensor is unknown.
    """
    if sensor == "accelerometer":
        # The filter of first differences starts with the first sample of the wave, as the wave does.
        return np.diff(velocity, prepend=0.0, axis=-1) * rate_hz
    if sensor not in CORNER_HZ:
        raise InputError(f"unknown sensor {sensor!r}; expected one of {', '.join(SENSORS)}")
    # A pendulum, by the bilinear transform with its corner kept.
    k = np.tan(np.pi * CORNER_HZ[sensor] / rate_hz)
    scale = 1.0 + 2 * DAMPING * k + k * k
    b = np.array([1.0, -2.0, 1.0]) / scale
    a = np.array([1.0, 2.0 * (k * k - 1.0) / scale, (1.0 - 2 * DAMPING * k + k * k) / scale])
    return np.asarray(signal.lfilter(b, a, velocity, axis=-1))
