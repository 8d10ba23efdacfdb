"""Identifiers of WIN channels when no channel table names them, and the SEED codes of what a table says.

A channel number of WIN says nothing about network, place or component. Without a table its four hexadecimal
digits are the station, ``.6033..HY1``; WIN32 adds the organisation and network numbers as network,
``0101.6033..HY1`` (0101 is Hi-net, as everywhere at NIED). ``Y`` is SEED's instrument code for "not
specific", ``1`` claims no orientation, and the band code follows from the rate.
"""

from __future__ import annotations

import re
from functools import lru_cache

_NAMED = re.compile(r"^([0-9A-F]{4})?\.([0-9A-F]{4})\.\.[A-Z]Y1$")

# FDSN band codes by least rate [Hz]; where the corner is unknown, the code of broadband instruments.
_BANDS = ((1000.0, "F", "G"), (250.0, "C", "D"), (80.0, "H", "E"), (10.0, "B", "S"), (1.01, "M", "M"))
_LONG_PERIOD_S = 10.0


@lru_cache(maxsize=1024)
def band_code(rate: float, period_s: float | None = None) -> str:
    """Return the SEED band code of a rate [Hz] and the sensor's natural period [s] (``None``: unknown)."""
    short = period_s is not None and period_s < _LONG_PERIOD_S
    for least, broad, narrow in _BANDS:
        if rate >= least:
            return narrow if short else broad
    return "L" if rate >= 0.5 else "V" if rate >= 0.05 else "U"


def seed_name(key: int, wide: bool, rate: float) -> str:
    """Return the identifier of a channel that no table names.

    Parameters
    ----------
    key
        Channel number; of WIN32, organisation, network and number in 8, 8 and 16 bits.
    wide
        Whether it is WIN32.
    rate
        Samples per second.
    """
    network = f"{key >> 16:04X}" if wide else ""
    return f"{network}.{key & 0xFFFF:04X}..{band_code(rate)}Y1"


def channel_key(identifier: str) -> tuple[int | None, int] | None:
    """Return organisation and network (16 bits; WIN: ``None``) and number of an identifier of `seed_name`."""
    match = _NAMED.match(identifier)
    if match is None:
        return None
    network, number = match.groups()
    return (None if network is None else int(network, 16)), int(number, 16)
