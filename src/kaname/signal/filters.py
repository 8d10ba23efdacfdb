"""Causal filters that carry their state from block to block."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from kaname.core.errors import InputError

Array = NDArray[np.float64]


def bandpass(low_hz: float, high_hz: float, sampling_rate: float, *, order: int = 2) -> Array:
    """Return the second-order sections of a Butterworth band-pass.

    A ``high_hz`` of 0.9 times Nyquist or more leaves out the upper corner (a high-pass), since nothing is
    left to cut there.

    Parameters
    ----------
    low_hz, high_hz
        Corners [Hz], ``0 < low_hz < high_hz`` and ``low_hz`` below 0.9 times Nyquist.
    sampling_rate
        Samples per second [Hz].
    order
        Order of each flank.

    Returns
    -------
    ndarray, shape (n_section, 6)

    Raises
    ------
    InputError
        When the corners do not fit the sampling rate.
    """
    top = 0.45 * sampling_rate
    if not 0 < low_hz < min(high_hz, top):
        raise InputError(
            f"band-pass corners {low_hz} and {high_hz} Hz do not fit {sampling_rate} Hz sampling; "
            f"expected 0 < low < high and low < {top} Hz"
        )
    if high_hz >= top:
        sos = signal.butter(order, low_hz, "highpass", fs=sampling_rate, output="sos")
    else:
        sos = signal.butter(order, (low_hz, high_hz), "bandpass", fs=sampling_rate, output="sos")
    return np.asarray(sos, dtype=np.float64)


def rest_state(sos: Array, level: Array) -> Array:
    """Return the filter state after an endless constant input, so that a start on an offset does not ring.

    Parameters
    ----------
    sos
        Second-order sections, shape (n_section, 6).
    level
        The constant of each channel, shape (n_channel,).

    Returns
    -------
    ndarray, shape (n_section, n_channel, 2)
    """
    return np.asarray(signal.sosfilt_zi(sos)[:, np.newaxis, :] * np.asarray(level)[np.newaxis, :, np.newaxis])


def filter_block(sos: Array, data: Array, state: Array) -> tuple[Array, Array]:
    """Filter the next block; return the output and the state to carry on with.

    However the data are cut into blocks, the concatenated output is the same to the last bit.

    Parameters
    ----------
    sos
        Second-order sections, shape (n_section, 6).
    data
        Samples, shape (n_channel, n_sample).
    state
        What `rest_state` or the previous call returned, shape (n_section, n_channel, 2).
    """
    out, after = signal.sosfilt(sos, data, axis=-1, zi=state)
    return out, after
