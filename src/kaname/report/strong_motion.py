"""How one strong-motion record was processed: motion, spectra of signal and noise, response spectra."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kaname.report import style

_COLOURS = (style.BLUE, style.VERMILION, style.MUTED)
_ROWS = (
    ("acceleration", "Acceleration [cm/s²]"),
    ("velocity", "Velocity [cm/s]"),
    ("displacement", "Displacement [cm]"),
)


@style.styled
def processing(
    title: str,
    rate_hz: float,
    channels: Sequence[str],
    motion: dict[str, NDArray[np.float64]],
    *,
    as_read: NDArray[np.float64],
    onset_s: float,
    corners_hz: tuple[float, float],
    frequency_hz: NDArray[np.float64],
    signal: NDArray[np.float64],
    noise: NDArray[np.float64],
    spectra: dict[str, tuple[NDArray[Any], NDArray[Any]]],
) -> Figure:
    """Draw a record before and after, why its corners are where they are, and its response spectra.

    Parameters
    ----------
    title
        What stands above.
    rate_hz
        Samples per second [Hz].
    channels
        Names of the channels.
    motion
        ``acceleration`` [cm/s2], ``velocity`` [cm/s] and ``displacement`` [cm], each ``(n_channel,
        n_sample)``.
    as_read
        Acceleration before processing, of the same shape [cm/s2].
    onset_s
        Onset after the first sample [s]; NaN: none was looked for.
    corners_hz
        High-pass and low-pass corner [Hz]; NaN: not known.
    frequency_hz, signal, noise
        Fourier amplitudes that the corners were chosen by, ``(n_channel, n_frequency)`` [cm/s]; empty when
        there was no noise.
    spectra
        Response spectra by name: periods [s] and pseudo-accelerations [cm/s2].
    """
    figure = Figure(figsize=(style.WIDTH_IN, 6.6), layout="constrained")
    grid = figure.add_gridspec(3, 2, width_ratios=(1.5, 1))
    time = np.arange(as_read.shape[1]) / rate_hz
    for k, (name, label) in enumerate(_ROWS):
        axes = figure.add_subplot(grid[k, 0])
        if name == "acceleration":
            centred = as_read[0] - as_read[0].mean()
            axes.plot(time, centred, color=style.FAINT, lw=0.8, label=f"{channels[0]} as read, mean off")
        for channel, samples, colour in zip(channels, motion[name], _COLOURS):
            axes.plot(time, samples, color=colour, lw=0.6, label=channel)
        if np.isfinite(onset_s) and onset_s > 0:
            axes.axvline(onset_s, color=style.INK, lw=0.8, ls="--")
        axes.set_ylabel(label)
        axes.set_xlim(0, time[-1])
        if k == 0:
            low, high = axes.get_ylim()
            axes.set_ylim(low, high + 0.25 * (high - low))
            axes.legend(loc="upper right", ncols=4)
            axes.set_title(title)
    axes.set_xlabel("Time after the first sample [s]; dashed: onset")
    axes = figure.add_subplot(grid[:2, 1])
    if len(frequency_hz):
        for s, n, colour in zip(signal, noise, _COLOURS):
            axes.loglog(frequency_hz, s, color=colour, lw=1.2)
            axes.loglog(frequency_hz, n, color=colour, lw=0.8, ls=":")
        style.plain_log(axes.xaxis)
        style.plain_log(axes.yaxis)
    else:
        axes.text(
            0.5, 0.5, "no noise to compare with", ha="center", transform=axes.transAxes, color=style.MUTED
        )
    for corner in corners_hz:
        if np.isfinite(corner):
            axes.axvline(corner, color=style.INK, lw=0.8)
    axes.set_title("Fourier amplitude of signal and, dotted, of noise")
    axes.set_xlabel("Frequency [Hz]; lines: corners")
    axes.set_ylabel("cm/s")
    axes = figure.add_subplot(grid[2, 1])
    for (name, (period, value)), colour in zip(spectra.items(), (style.INK, *_COLOURS)):
        axes.loglog(period, value, label=name, color=colour, lw=1.2)
    style.plain_log(axes.xaxis)
    style.plain_log(axes.yaxis)
    axes.set_title("Response spectra, 5 % damping")
    axes.set_xlabel("Period [s]")
    axes.set_ylabel("cm/s²")
    axes.legend(loc="lower left")
    return figure
