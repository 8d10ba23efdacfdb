"""From a record as it was read to acceleration that can be measured: checks, baseline, corners, filter.

What the network has filtered already is taken as it is, with the corners that its header states. Everything
else goes the same way (after Boore & Bommer 2005, doi:10.1016/j.soildyn.2004.10.007, and Ancheta et al.
2014): the mean of the noise before the onset goes, the pass band is where the signal stands
`Settings.least_snr` times above that noise, the flanks are those of a Butterworth filter without phase, run
on a record with zeros on both ends. A record that cannot be used is rejected with a reason; nothing is
repaired in silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy import fft
from scipy.signal import detrend
from scipy.signal.windows import tukey

from kaname.core.errors import InputError
from kaname.core.waveform import Waveform
from kaname.signal.intensity_measures import fourier_amplitude, integrated
from kaname.signal.trigger import aic

Floats = NDArray[np.float64]

USABLE_SHARE = 0.8
"""Spectra are trusted up to this share of the period of the high-pass corner (Ancheta et al. 2014)."""
_SNR_FREQUENCIES = 121
_SNR_BANDWIDTH = 20.0
_STEP = 2.0**0.5
_LEVEL_S = 0.2


class Settings(BaseModel):
    """How strong-motion records are processed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    least_snr: float = Field(3.0, gt=1, description="least ratio of Fourier amplitudes, signal to noise")
    least_noise_s: float = Field(
        2.0, gt=0, description="least noise before the onset for corners from it [s]"
    )
    least_duration_s: float = Field(5.0, gt=0, description="shortest record [s]")
    lowest_hz: float = Field(0.02, gt=0, description="lowest high-pass corner [Hz]")
    low_hz: float = Field(
        0.1, gt=0, description="high-pass corner where there is no noise to choose it by [Hz]"
    )
    highest_share: float = Field(0.8, gt=0, lt=1, description="highest low-pass corner, of half the rate")
    band_low_hz: float = Field(2.0, gt=0, description="the pass band must reach down to this [Hz]")
    band_high_hz: float = Field(8.0, gt=0, description="the pass band must reach up to this [Hz]")
    order: int = Field(4, ge=1, le=8, description="order of the flanks")
    late_share: float = Field(
        0.3, gt=0, lt=1, description="a record that begins with this share of its peak began too late"
    )
    largest_drift: float = Field(
        0.2, gt=0, description="largest displacement left at the end, of the largest of all"
    )
    highest_low_hz: float = Field(
        0.5, gt=0, description="the high-pass corner is raised up to this while the displacement drifts [Hz]"
    )


@dataclass(frozen=True)
class Processed:
    """A record and what was done to it."""

    acceleration: Waveform
    """Processed, ``(n_channel, n_sample)`` [cm/s^2]; of a rejected record as far as it came."""
    velocity: Floats
    """``(n_channel, n_sample)`` [cm/s]."""
    displacement: Floats
    """``(n_channel, n_sample)`` [cm]."""
    corner_low_hz: float = np.nan
    corner_high_hz: float = np.nan
    onset_s: float = np.nan
    """Onset after the first sample [s]."""
    reasons: tuple[str, ...] = ()
    """Why it is rejected; empty when it is used."""
    notes: tuple[str, ...] = ()
    """What a reader must know of a record that is used."""
    frequency_hz: Floats = field(default_factory=lambda: np.empty(0))
    """Where signal and noise were compared."""
    signal: Floats = field(default_factory=lambda: np.empty((0, 0)))
    """Fourier amplitude of the signal [cm/s], ``(n_channel, n_frequency)``."""
    noise: Floats = field(default_factory=lambda: np.empty((0, 0)))
    """That of the noise, for the duration of the signal."""

    @property
    def longest_period_s(self) -> float:
        """Longest period at which spectra are to be trusted [s]."""
        return USABLE_SHARE / self.corner_low_hz if self.corner_low_hz > 0 else np.nan


def process(
    block: Waveform,
    *,
    stage: Literal["raw", "uncorrected", "corrected"],
    horizontals: tuple[int, int],
    corners_hz: tuple[float, float] = (np.nan, np.nan),
    clipped: Sequence[str] = (),
    late_trigger: bool = False,
    film: bool = False,
    settings: Settings | None = None,
) -> Processed:
    """Process one record.

    Parameters
    ----------
    block
        Acceleration of all components, ``(n_channel, n_sample)`` [cm/s^2].
    stage
        ``corrected``: the network has filtered it; the others are filtered here.
    horizontals
        Which channels decide on the corners.
    corners_hz
        Of a corrected record, what its header states.
    clipped
        Channels whose counts are clipped (`kaname.signal.defects.count_clipped`).
    late_trigger
        Whether the header says that the instrument started too late.
    film
        Whether it was digitised from film, which begins with the first waves and holds no noise.
    settings
        See `Settings`.

    Raises
    ------
    InputError
        When the unit is not cm/s^2.
    """
    s = settings or Settings()
    if block.unit != "cm/s^2":
        raise InputError(f"{block.ids[0]} is in {block.unit}; processing needs cm/s^2")
    data = np.asarray(block.data, np.float64)
    reasons = [*_defects(data, block, s), *(f"{channel} is clipped" for channel in clipped)]
    if late_trigger:
        reasons.append("its header says that it was triggered late")
    if reasons:
        return _unprocessed(block, data, reasons)
    if stage == "corrected":
        velocity, displacement = integrated(data, block.sampling_rate)
        return Processed(replace(block, data=data), velocity, displacement, *corners_hz)
    return _filtered(block, data, horizontals, film, s)


def _defects(data: Floats, block: Waveform, s: Settings) -> list[str]:
    reasons = []
    if not np.isfinite(data).all():
        reasons.append("has samples that are not finite")
        return reasons
    if block.duration_s < s.least_duration_s:
        reasons.append(f"lasts {block.duration_s:.1f} s, less than {s.least_duration_s:g} s")
    for identifier, samples in zip(block.ids, data):
        channel = identifier.rsplit(".", 1)[1]
        if np.ptp(samples) == 0:
            reasons.append(f"{channel} is dead: all samples are equal")
        elif _leaps(samples, block.sampling_rate):
            reasons.append(f"{channel} leaps from one level to another, as in a calibration")
    return reasons


def _leaps(samples: Floats, rate: float) -> bool:
    """Tell whether the largest step of all leads from one level to another that is held.

    Ground shakes on after its largest step; electronics do not.
    """
    n = max(4, int(_LEVEL_S * rate))
    steps = np.abs(np.diff(samples))
    at = int(np.argmax(steps))
    before, after = samples[max(0, at - n) : at], samples[at + 2 : at + 2 + n]
    if min(len(before), len(after)) < n:
        return False
    leap = abs(float(np.median(after) - np.median(before)))
    held = max(float(np.std(before)), float(np.std(after)))
    return leap > 0.5 * steps[at] and leap > 0.3 * float(np.ptp(samples)) and held < 0.15 * leap


def _unprocessed(block: Waveform, data: Floats, reasons: list[str]) -> Processed:
    centred = data - data.mean(axis=1, keepdims=True)
    velocity, displacement = integrated(centred, block.sampling_rate)
    return Processed(replace(block, data=centred), velocity, displacement, reasons=tuple(reasons))


def _filtered(
    block: Waveform, data: Floats, horizontals: tuple[int, int], film: bool, s: Settings
) -> Processed:
    rate = block.sampling_rate
    reasons: list[str] = []
    notes: list[str] = []
    onset = 0.0 if film else _onset(data, rate)
    n_noise = int((onset - 0.5) * rate) if onset - 0.5 >= s.least_noise_s else 0
    base = data[:, :n_noise] if n_noise else data
    centred = data - base.mean(axis=1, keepdims=True)
    low, high = s.low_hz, s.highest_share * rate / 2
    frequency, signal, noise = np.empty(0), np.empty((0, 0)), np.empty((0, 0))
    begins = np.abs(centred[list(horizontals), : max(1, int(0.2 * rate))]).max()
    if not film and begins > s.late_share * np.abs(centred[list(horizontals)]).max():
        reasons.append("triggered late: it begins in the middle of the shaking")
    if n_noise:
        frequency, signal, noise = _spectra(data, n_noise, rate, s)
        band = _band(frequency, signal[list(horizontals)], noise[list(horizontals)], s)
        if band is None:
            reasons.append(
                f"its signal does not stand {s.least_snr:g} times above the noise from {s.band_low_hz:g} to "
                f"{s.band_high_hz:g} Hz"
            )
        else:
            low, high = max(band[0], s.lowest_hz), min(band[1], high)
    else:
        notes.append(f"too little noise before the onset: the high-pass corner is {low:g} Hz by default")
    chosen = low
    while True:
        acceleration, velocity, displacement = filtered(centred, rate, low, high, order=s.order)
        drift = _drift(displacement[list(horizontals)])
        if reasons or drift <= s.largest_drift or low * _STEP > s.highest_low_hz:
            break
        low *= _STEP
    if not reasons and drift > s.largest_drift:
        reasons.append(f"its displacement ends at {drift:.0%} of its largest")
    elif low > chosen:
        notes.append(f"the high-pass corner was raised from {chosen:.3g} Hz, where the displacement drifts")
    return Processed(
        replace(block, data=acceleration),
        velocity,
        displacement,
        low,
        high,
        onset,
        tuple(reasons),
        tuple(notes),
        frequency,
        signal,
        noise,
    )


def _drift(displacement: Floats) -> float:
    largest = np.maximum(np.abs(displacement).max(axis=1), 1e-12)
    return float((np.abs(displacement[:, -1]) / largest).max())


def filtered(
    data: Floats, rate_hz: float, low_hz: float, high_hz: float, *, order: int = 4
) -> tuple[Floats, Floats, Floats]:
    """Return acceleration, velocity and displacement of a record between two corners, without phase.

    The gain is that of a Butterworth high-pass and low-pass. The record is tapered over 2 % of either end and
    has zeros on both sides as long as the filter rings, ``1.5 n / f`` (Boore & Bommer 2005, eq. 3), through
    which it is integrated, so that motion that the filter puts before the record is not lost.

    Parameters
    ----------
    data
        Acceleration, ``(n_channel, n_sample)`` [cm/s^2].
    rate_hz
        Samples per second [Hz].
    low_hz, high_hz
        Corners [Hz]; at half the rate or above there is no low-pass.
    order
        Order of the flanks.
    """
    n = data.shape[1]
    n_zero = int(np.ceil(0.5 * 1.5 * order / low_hz * rate_hz))
    n_fft = int(fft.next_fast_len(n + 2 * n_zero, real=True))
    padded = np.zeros((data.shape[0], n_fft))
    padded[:, n_zero : n_zero + n] = data * tukey(n, 0.04)
    frequency = np.asarray(fft.rfftfreq(n_fft, 1.0 / rate_hz))
    with np.errstate(divide="ignore"):
        gain = 1.0 / np.sqrt(1.0 + (low_hz / frequency) ** (2 * order))
    if high_hz < rate_hz / 2:
        gain = gain / np.sqrt(1.0 + (frequency / high_hz) ** (2 * order))
    acceleration = fft.irfft(fft.rfft(padded, axis=1) * gain, n_fft, axis=1)
    velocity, displacement = integrated(acceleration, rate_hz)
    own = slice(n_zero, n_zero + n)
    return acceleration[:, own].copy(), velocity[:, own].copy(), displacement[:, own].copy()


def _onset(data: Floats, rate: float) -> float:
    """Time after the first sample at which the shaking begins [s]: Akaike's criterion before the peak."""
    centred = detrend(data, axis=1, type="constant")
    last = int(np.argmax(np.abs(centred).max(axis=0))) + 1
    margin = max(2, int(0.2 * rate))
    if last < 4 * margin:
        return 0.0
    step = max(1, int(rate // 50))
    window = np.diff(centred[:, :last:step], axis=1)  # what creeps is no onset
    criterion = np.asarray(aic(np.ascontiguousarray(window), max(2, margin // step)))
    return float(np.argmin(criterion)) * step / rate


def _spectra(data: Floats, n_noise: int, rate: float, s: Settings) -> tuple[Floats, Floats, Floats]:
    """Smoothed Fourier amplitudes of signal and noise; those of the noise for the duration of the signal."""
    lowest = max(s.lowest_hz, rate / n_noise)  # of longer periods so short a noise says nothing
    frequency = np.geomspace(lowest, s.highest_share * rate / 2, _SNR_FREQUENCIES)
    noise_part, signal_part = data[:, :n_noise], data[:, n_noise:]
    scale = np.sqrt(signal_part.shape[1] / n_noise)

    def amplitudes(part: Floats) -> Floats:
        flat = detrend(part, axis=1, type="linear") * tukey(part.shape[1], 0.1)
        return np.stack([fourier_amplitude(x, rate, frequency, bandwidth=_SNR_BANDWIDTH) for x in flat])

    return frequency, amplitudes(signal_part), amplitudes(noise_part) * scale


def _band(frequency: Floats, signal: Floats, noise: Floats, s: Settings) -> tuple[float, float] | None:
    """The widest band about the middle in which every component stands above the noise."""
    top = min(s.band_high_hz, frequency[-1])
    above: NDArray[np.bool_] = np.all(signal >= s.least_snr * noise, axis=0)
    middle = (frequency >= s.band_low_hz) & (frequency <= top)
    if not middle.any() or not above[middle].all():
        return None
    inside = np.flatnonzero(middle)
    low, high = inside[0], inside[-1]
    while low > 0 and above[low - 1]:
        low -= 1
    while high < len(frequency) - 1 and above[high + 1]:
        high += 1
    return float(frequency[low]), float(frequency[high])
