"""Seismic moment and moment magnitude: ``log10 M0 = 1.5 M + 9.1``, M0 in N m (IASPEI 2013).

Hanks & Kanamori (1979), doi:10.1029/JB084iB05p02348, with the constant that IASPEI's working group on
magnitudes recommends.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_CONSTANT = 9.1


def moment_nm(magnitude: ArrayLike) -> NDArray[np.float64]:
    """Return the seismic moment [N m] of a moment magnitude."""
    return np.asarray(10.0 ** (1.5 * np.asarray(magnitude, float) + _CONSTANT))


def moment_magnitude(moment_nm: ArrayLike) -> NDArray[np.float64]:
    """Return the moment magnitude of a seismic moment [N m]; that of no moment is minus infinity."""
    with np.errstate(divide="ignore"):
        return np.asarray((np.log10(np.asarray(moment_nm, float)) - _CONSTANT) / 1.5)
