"""Boxes and circles on the globe, as the services take them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kaname.center.errors import ServiceError
from kaname.center.parameters import Values
from kaname.core.geo import arc

_RADIUS = ("latitude", "longitude", "minradius", "maxradius")


def within(
    latitude: NDArray[np.float64], longitude: NDArray[np.float64], values: Values
) -> NDArray[np.bool_]:
    """Tell which places lie in the box and the circle of a request.

    A box whose western edge is greater than its eastern one crosses 180 degrees. The distance is that on a
    sphere.

    Parameters
    ----------
    latitude, longitude
        Places [degree], shape ``(n,)``; NaN lies in no box and no circle.
    values
        Parameters of the request.

    Raises
    ------
    ServiceError
        400, when the box or the circle is empty.
    """
    inside = np.ones(len(latitude), bool)
    south, north, west, east = (values[f"{m}{a}"] for a in ("latitude", "longitude") for m in ("min", "max"))
    if south is not None and north is not None and south > north:
        raise ServiceError(400, f"minlatitude {south:g} is greater than maxlatitude {north:g}")
    wrapped = (longitude + 180) % 360 - 180
    if south is not None:
        inside &= latitude >= south
    if north is not None:
        inside &= latitude <= north
    if west is not None and east is not None and west > east:
        inside &= (wrapped >= west) | (wrapped <= east)
    else:
        if west is not None:
            inside &= wrapped >= west
        if east is not None:
            inside &= wrapped <= east
    if any(values[name] is not None for name in _RADIUS):
        least, most = values["minradius"] or 0.0, values["maxradius"]
        most = 180.0 if most is None else most
        if least > most:
            raise ServiceError(400, f"minradius {least:g} is greater than maxradius {most:g}")
        away = np.degrees(arc(values["latitude"] or 0.0, values["longitude"] or 0.0, latitude, longitude))
        inside &= (away >= least) & (away <= most)
    return inside
