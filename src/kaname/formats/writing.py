"""Waveform files out: the formats that are written, and what each of them cannot hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kaname.core.errors import InputError
from kaname.formats.asdf import write_asdf
from kaname.formats.miniseed import write_miniseed
from kaname.formats.sac import write_sac
from kaname.formats.win_writer import write_win


@dataclass(frozen=True)
class WaveformFormat:
    """A format that waveforms are written in. A writer refuses samples that it cannot keep exactly."""

    name: str
    ending: str
    """Of file names."""
    reader: str
    """Name of the reader that reads it back."""
    write: Callable[..., Path]
    """Takes blocks and a path; ``win32`` also the ``number`` of a channel."""
    one_block: bool = False
    """Whether a file holds one gap-free stretch of one channel and no more."""
    whole_seconds: bool = False
    """Whether it holds whole seconds only; what is left is told: `kaname.formats.win_writer`."""
    lost: tuple[str, ...] = ()
    """What it does not hold: ``unit``, ``type`` (of samples; their values stay)."""
    start_s: float = 0.0
    """How far it may move the first sample [s]."""
    rate: float = 0.0
    """By which part it may change the sampling rate."""


FORMATS: dict[str, WaveformFormat] = {
    form.name: form
    for form in (
        WaveformFormat(
            "miniseed2",
            ".mseed",
            "miniseed",
            partial(write_miniseed, version=2),
            lost=("unit", "type"),
            start_s=1e-6,
            rate=1e-7,
        ),
        WaveformFormat(
            "miniseed3", ".mseed3", "miniseed", partial(write_miniseed, version=3), lost=("unit", "type")
        ),
        WaveformFormat(
            "sac", ".sac", "sac", write_sac, one_block=True, lost=("unit", "type"), start_s=1e-9, rate=1e-7
        ),
        WaveformFormat("hdf5", ".h5", "asdf", write_asdf),
        WaveformFormat("win32", ".win32", "win32", write_win, whole_seconds=True, lost=("unit", "type")),
    )
}


def waveform_format(name: str) -> WaveformFormat:
    """Return a format by its name.

    Raises
    ------
    InputError
        When there is none of that name.
    """
    if name not in FORMATS:
        raise InputError(f"no waveform format {name!r} to write; known are {', '.join(FORMATS)}")
    return FORMATS[name]
