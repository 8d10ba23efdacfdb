"""Where a channel-day lies: SDS, the SeisComP Data Structure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np

from kaname.core.errors import InputError
from kaname.core.waveform import Waveform

_CODE = re.compile(r"[A-Za-z0-9_-]*")
_WAVEFORM_NAME = re.compile(r".*\.D\.\d{4}\.\d{3}|.*\.(mini|m)?seed3?|.*\.(msd|ms)", re.IGNORECASE)


def day_file(identifier: str, day: np.datetime64) -> PurePosixPath:
    """Return the path of a channel-day, ``YEAR/NET/STA/CHA.D/NET.STA.LOC.CHA.D.YEAR.DOY``.

    Raises
    ------
    InputError
        When a code is missing or holds what has no place in a file name.
    """
    network, station, location, channel = codes = identifier.split(".")
    if not all(_CODE.fullmatch(code) for code in codes):
        raise InputError(f"{identifier!r} cannot name files: codes may hold letters, digits, _ and - only")
    for name, code in (("network", network), ("station", station), ("channel", channel)):
        if not code:
            hint = "; name it with --network, or give the channel table" if name == "network" else ""
            raise InputError(
                f"{identifier!r} has no {name} code, which the layout of the archive needs{hint}"
            )
    year = day.astype("datetime64[Y]")
    number = int((day.astype("datetime64[D]") - year.astype("datetime64[D]")).astype(int)) + 1
    name = f"{network}.{station}.{location}.{channel}.D.{year}.{number:03d}"
    return PurePosixPath(str(year), network, station, f"{channel}.D", name)


def split_days(block: Waveform) -> Iterator[tuple[np.datetime64, Waveform]]:
    """Cut a block at UTC midnight and yield each day with its part."""
    day = block.start.astype("datetime64[D]")
    while day <= block.end:
        part = block.slice(day.astype("datetime64[ns]"), (day + 1).astype("datetime64[ns]"))
        if part is not None:
            yield day, part
        day += 1


def names_waveform(name: str) -> bool:
    """Tell whether a file name promises miniSEED: an SDS name or a usual ending."""
    return _WAVEFORM_NAME.fullmatch(name) is not None
