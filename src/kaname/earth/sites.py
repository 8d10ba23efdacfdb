"""Sites: the depths of basins, and amplification, that go with a Vs30 by published relations."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kaname.core.errors import InputError

Region = Literal["california", "japan"]


def z1pt0_m_of(vs30_m_s: ArrayLike, region: Region) -> NDArray[np.float64]:
    """Return the mean depth [m] to a shear velocity of 1.0 km/s where Vs30 is given [m/s].

    Chiou and Youngs (2014), equations 1 and 2, DOI 10.1193/072813EQS219M: ``california`` or ``japan``.

    Raises
    ------
    InputError
        When a velocity is not positive, or there is no such region.
    """
    vs30 = _checked(vs30_m_s)
    if region == "california":
        return np.asarray(np.exp(-7.15 / 4 * np.log((vs30**4 + 570.94**4) / (1360.0**4 + 570.94**4))))
    if region == "japan":
        return np.asarray(np.exp(-5.23 / 2 * np.log((vs30**2 + 412.39**2) / (1360.0**2 + 412.39**2))))
    raise InputError(f"region {region!r}; expected california or japan")


def z2pt5_km_of(vs30_m_s: ArrayLike, region: Region) -> NDArray[np.float64]:
    """Return the mean depth [km] to a shear velocity of 2.5 km/s where Vs30 is given [m/s].

    Campbell and Bozorgnia (2014), equations 33 and 34, DOI 10.1193/062913EQS175M: ``california`` or
    ``japan``; errors as `z1pt0_m_of`.
    """
    vs30 = _checked(vs30_m_s)
    if region == "california":
        return np.asarray(np.exp(7.089 - 1.144 * np.log(vs30)))
    if region == "japan":
        return np.asarray(np.exp(5.359 - 1.102 * np.log(vs30)))
    raise InputError(f"region {region!r}; expected california or japan")


def basin_region(latitude: ArrayLike, longitude: ArrayLike) -> NDArray[np.object_]:
    """Return which relation of basins holds at places [degrees]: ``japan``, and ``california`` elsewhere.

    Japan is 24 to 46 N and 122.5 to 146.5 E without what lies west of 129 E north of 34.2 N (Korea) and west
    of 138 E north of 42 N (Primorye). Elsewhere California's relations stand in, for want of better ones.
    """
    lat, lon = np.broadcast_arrays(np.asarray(latitude, float), np.asarray(longitude, float))
    east = lon % 360.0
    inside = (lat >= 24) & (lat <= 46) & (east >= 122.5) & (east <= 146.5)
    abroad = ((east < 129) & (lat > 34.2)) | ((east < 138) & (lat > 42))
    return np.where(inside & ~abroad, "japan", "california").astype(object)


def pgv_amplification(
    vs30_m_s: ArrayLike,
    relation: Literal["fujimoto_midorikawa_2006", "matsuoka_midorikawa_1994"] = "fujimoto_midorikawa_2006",
) -> NDArray[np.float64]:
    """Return by how much sites amplify the PGV of hard ground (Vs30 600 m/s), as used on Japan's hazard maps.

    ``fujimoto_midorikawa_2006``: log10 ARV = 2.367 - 0.852 log10 Vs30; ``matsuoka_midorikawa_1994``:
    log10 ARV = 1.83 - 0.66 log10 Vs30. Both were fitted for 100 to 1500 m/s; beyond, Vs30 is held there.

    Raises
    ------
    InputError
        When a velocity is not positive, or there is no such relation.
    """
    laws = {"fujimoto_midorikawa_2006": (2.367, 0.852), "matsuoka_midorikawa_1994": (1.83, 0.66)}
    if relation not in laws:
        raise InputError(f"relation {relation!r}; expected {' or '.join(laws)}")
    level, slope = laws[relation]
    return np.asarray(10 ** (level - slope * np.log10(np.clip(_checked(vs30_m_s), 100.0, 1500.0))))


def _checked(vs30_m_s: ArrayLike) -> NDArray[np.float64]:
    vs30 = np.asarray(vs30_m_s, dtype=float)
    if (vs30 <= 0).any():
        raise InputError(f"Vs30 must be positive, found {vs30[vs30 <= 0].flat[0]:g} m/s")
    return vs30
