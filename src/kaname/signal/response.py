"""Instrument response and the Wood-Anderson seismograph."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kaname.core.errors import InputError
from kaname.core.units import factor
from kaname.core.waveform import Waveform

WOOD_ANDERSON_GAIN = 2080.0
WOOD_ANDERSON_PERIOD_S = 0.8
WOOD_ANDERSON_DAMPING = 0.7

_POWER_OF_OMEGA = {"m": 0, "m/s": 1, "m/s^2": 2}
"""How often a ground motion in this unit has been differentiated from displacement."""


def wood_anderson_transfer(frequency: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Return Wood-Anderson trace over ground displacement, dimensionless, at ``frequency`` [Hz].

    Static magnification 2080, period 0.8 s, damping 0.7: Uhrhammer & Collins (1990, BSSA 80, 702-716),
    and the IASPEI standard for ML.
    """
    s = 2j * np.pi * np.asarray(frequency, float)
    natural = 2 * np.pi / WOOD_ANDERSON_PERIOD_S
    return np.asarray(
        WOOD_ANDERSON_GAIN * s**2 / (s**2 + 2 * WOOD_ANDERSON_DAMPING * natural * s + natural**2)
    )


def wood_anderson(
    block: Waveform, response: Any | None, *, band_hz: tuple[float, float] = (1.0, 20.0)
) -> Waveform:
    """Return what a Wood-Anderson seismograph would have written for the record.

    Parameters
    ----------
    block
        Record, ``(n_channel, n_sample)``, all channels with the same response; mean and trend are removed
        and 5 % of either end is tapered, so give more than the window of interest.
    response
        ObsPy ``Response`` of the channels. ``None`` where there is none: samples in a unit of ground motion
        are taken at their word, and counts as proportional to ground velocity, which leaves an unknown
        factor (the result then has unit ``unknown``).
    band_hz
        Pass band, cosine flanks reaching one third of an octave out; clipped at 0.45 of the rate.

    Returns
    -------
    Waveform
        Trace amplitude in mm, or in unit ``unknown`` where the factor is not known.

    Raises
    ------
    InputError
        When the band is empty at this sampling rate, or a sample is not finite.
    """
    low, high = band_hz[0], min(band_hz[1], 0.45 * block.sampling_rate)
    if not 0 < low < high:
        raise InputError(
            f"pass band {band_hz} Hz is empty at {block.sampling_rate} Hz; choose a lower lower corner"
        )
    data = np.asarray(block.data, float)
    if not np.isfinite(data).all():
        raise InputError(f"{', '.join(block.ids)} has samples that are not finite")
    n_sample = block.n_sample
    spectrum = np.fft.rfft(_tapered(_detrended(data)), 2 * n_sample)
    frequency = np.asarray(np.arange(n_sample + 1) * (block.sampling_rate / (2 * n_sample)), np.float64)
    transfer = _band(frequency, low, high).astype(complex)
    used = transfer != 0
    transfer[used] *= wood_anderson_transfer(frequency[used]) * 1e3
    unit = "mm"
    if response is not None:
        transfer[used] /= _displacement_response(response, frequency[used])
    else:
        power, scale, unit = _ground_motion(block.unit)
        transfer[used] *= scale / (2j * np.pi * frequency[used]) ** power
    trace = np.fft.irfft(spectrum * transfer, 2 * n_sample)[:, :n_sample]
    return replace(block, data=trace, unit=unit)


def _ground_motion(unit: str) -> tuple[int, float, str]:
    for base, power in _POWER_OF_OMEGA.items():
        try:
            return power, factor(unit, base), "mm"
        except InputError:
            continue
    return 1, 1.0, "unknown"


def _displacement_response(response: Any, frequency: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Counts per metre of displacement at each frequency [Hz]."""
    return np.asarray(response.get_evalresp_response_for_frequencies(frequency, output="DISP"))


def _band(frequency: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Unity from ``low`` to ``high``, cosine flanks in log frequency, zero beyond a third of an octave."""
    with np.errstate(divide="ignore"):
        outside = 3 * np.maximum(np.log2(low / frequency), np.log2(frequency / high))
    return np.asarray(0.5 * (1 + np.cos(np.pi * np.clip(outside, 0, 1))))


def _detrended(data: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.signal import detrend

    return np.asarray(detrend(data, axis=1))


def _tapered(data: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.signal.windows import tukey

    return np.asarray(data * tukey(data.shape[1], 0.1))
