"""What slipped: finite-source models, planes, double couples and moment tensors, as dislocations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kaname.core.errors import InputError
from kaname.core.geo import LocalFrame
from kaname.discovery.stress.coulomb import SHEAR_MODULUS_GPA, angles_of
from kaname.earth.dislocation import Dislocations
from kaname.earth.moment import moment_magnitude, moment_nm

if TYPE_CHECKING:
    from kaname.formats.srcmod import FiniteSource

Floats = NDArray[np.float64]
Scaling = Literal["wells-coppersmith-1994"]

COLUMNS = ("strike_deg", "dip_deg", "rake_deg", "slip_m", "length_km", "width_km")

# Wells and Coppersmith (1994), table 2A: subsurface rupture length and width [km], log10 = a + b M.
_WELLS_COPPERSMITH = {
    "strike-slip": ((-2.57, 0.62), (-0.76, 0.27)),
    "thrust": ((-2.42, 0.58), (-1.61, 0.41)),
    "normal": ((-1.88, 0.50), (-1.14, 0.35)),
}


@dataclass(frozen=True)
class Source:
    """Rectangles that slipped, with where and how each did."""

    name: str
    frame: LocalFrame
    """Kilometres about the epicentre."""
    top_centre: Floats
    """``(m, 3)`` east, north, up [km] of the middles of the top edges."""
    epicentre_depth_km: float
    """Depth of the hypocentre, or of the middle of the slip where it is not known [km]."""
    strike_deg: Floats
    dip_deg: Floats
    rake_deg: Floats
    slip_m: Floats
    length_km: Floats
    width_km: Floats

    @property
    def dislocations(self) -> Dislocations:
        """The rectangles; slip in metres, so that strains are to be multiplied by 0.001."""
        return Dislocations.rectangles(
            self.top_centre,
            strike_deg=self.strike_deg,
            dip_deg=self.dip_deg,
            rake_deg=self.rake_deg,
            slip=self.slip_m,
            length=self.length_km,
            width=self.width_km,
        )

    @property
    def centres(self) -> Floats:
        """Middles of the rectangles ``(m, 3)`` east, north, up [km]."""
        return np.asarray(self.dislocations.vertices.mean(axis=1))

    @property
    def moment_nm(self) -> float:
        """Seismic moment [N m] with the default shear modulus."""
        area = 1e6 * self.length_km * self.width_km
        return float((1e9 * SHEAR_MODULUS_GPA * area * np.abs(self.slip_m)).sum())

    @property
    def magnitude(self) -> float:
        """Moment magnitude of `moment_nm`."""
        return float(moment_magnitude(self.moment_nm))


def from_finite_source(model: FiniteSource) -> Source:
    """Return the subfaults of an SRCMOD model that slipped.

    Raises
    ------
    InputError
        When none slipped, or a subfault that did has no rake.
    """
    faults = model.subfaults[model.subfaults["slip_m"] != 0]
    if not len(faults):
        raise InputError(f"no subfault of {model.tag or 'the model'} slipped")
    unknown = faults["rake_deg"].isna()
    if unknown.any():
        raise InputError(
            f"{int(unknown.sum())} of {len(faults)} subfaults of {model.tag} have no rake; "
            "state RAKE in the header"
        )
    lat, lon, depth = model.hypocentre
    if not np.isfinite([lat, lon]).all():
        lat, lon = float(faults["latitude"].mean()), float(faults["longitude"].mean())
    frame = LocalFrame(lat, lon)
    east, north = frame.to_local(faults["latitude"], faults["longitude"])
    columns = {name: faults[name].to_numpy(dtype=float) for name in COLUMNS}
    if not np.isfinite(depth):
        depth = float(np.average(faults["depth_km"], weights=np.abs(columns["slip_m"])))
    top = np.column_stack([east, north, -np.maximum(faults["depth_km"].to_numpy(dtype=float), 0.0)])
    return Source(model.tag or model.event, frame, top, depth, **columns)


def from_double_couple(
    latitude: float,
    longitude: float,
    depth_km: float,
    *,
    strike_deg: float,
    dip_deg: float,
    rake_deg: float,
    magnitude: float,
    scaling: Scaling = "wells-coppersmith-1994",
    shear_modulus_gpa: float = SHEAR_MODULUS_GPA,
    name: str = "",
) -> Source:
    """Return one rectangle about a hypocentre, its size by a scaling relation and its slip by the moment.

    The rectangle is centred on the hypocentre, or moved down its dip until its top is at the surface.

    Parameters
    ----------
    latitude, longitude, depth_km
        Hypocentre or centroid.
    strike_deg, dip_deg, rake_deg
        Aki and Richards.
    magnitude
        Moment magnitude.
    scaling
        Wells and Coppersmith (1994; DOI 10.1785/BSSA0840040974), table 2A, by the style of the rake.
    shear_modulus_gpa
        For the slip.
    name
        Of the source; empty: magnitude and mechanism.

    Raises
    ------
    InputError
        When the scaling is unknown, a value not finite, or the dip not above 0 and up to 90.
    """
    if scaling != "wells-coppersmith-1994":
        raise InputError(f"scaling is {scaling!r}; expected 'wells-coppersmith-1994'")
    given = np.array([latitude, longitude, depth_km, strike_deg, dip_deg, rake_deg, magnitude])
    if not np.isfinite(given).all() or not 0 < dip_deg <= 90 or depth_km < 0 or not 0 < magnitude < 10:
        raise InputError(
            "a double couple needs latitude, longitude, depth >= 0 km, strike, dip above 0 up to 90, rake, "
            f"magnitude; found {given.tolist()}"
        )
    (a, b), (c, d) = _WELLS_COPPERSMITH[style(rake_deg)]
    length, width = 10 ** (a + b * magnitude), 10 ** (c + d * magnitude)
    slip = float(moment_nm(magnitude)) / (1e9 * shear_modulus_gpa * 1e6 * length * width)
    up = min(0.5 * width * np.sin(np.radians(dip_deg)), depth_km)
    back = up / np.tan(np.radians(dip_deg))
    strike = np.radians(strike_deg)
    top = [-back * np.cos(strike), back * np.sin(strike), up - depth_km]
    geometry = (np.array([v], dtype=float) for v in (strike_deg, dip_deg, rake_deg, slip, length, width))
    label = name or f"M{magnitude:g} {strike_deg:g}/{dip_deg:g}/{rake_deg:g}"
    columns = dict(zip(COLUMNS, geometry))
    frame = LocalFrame(latitude, longitude)
    return Source(label, frame, np.array([top]), depth_km, **columns)


def style(rake_deg: float) -> Literal["strike-slip", "normal", "thrust"]:
    """Return the style of faulting: thrust or normal within 45 degrees of rake 90 or -90."""
    rake = (rake_deg + 180) % 360 - 180
    if 45 <= rake <= 135:
        return "thrust"
    return "normal" if -135 <= rake <= -45 else "strike-slip"


def nodal_planes(moment_tensor: ArrayLike) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return strike, dip, rake [degree] of both nodal planes of the best double couple of a moment tensor.

    Parameters
    ----------
    moment_tensor
        ``(6,)`` Mrr, Mtt, Mpp, Mrt, Mrp, Mtp (up, south, east), as agencies publish it; any unit.

    Raises
    ------
    InputError
        When it is not six finite numbers, or has no double couple.
    """
    m = np.asarray(moment_tensor, dtype=float)
    if m.shape != (6,) or not np.isfinite(m).all():
        raise InputError(f"a moment tensor needs Mrr, Mtt, Mpp, Mrt, Mrp, Mtp, found {m.tolist()}")
    rr, tt, pp, rt, rp, tp = m
    tensor = np.array([[pp, -tp, rp], [-tp, tt, -rt], [rp, -rt, rr]])
    values, axes = np.linalg.eigh(tensor - np.trace(tensor) / 3 * np.eye(3))
    if values[2] - values[0] <= 1e-12 * max(np.abs(m).max(), np.finfo(float).tiny):
        raise InputError("the moment tensor is isotropic: it has no nodal planes")
    tension, pressure = axes[:, 2], axes[:, 0]
    first, second = (tension + pressure) / np.sqrt(2), (tension - pressure) / np.sqrt(2)
    planes = []
    for normal, slip in ((first, second), (second, first)):
        turn = -1.0 if normal[2] < 0 else 1.0
        angles = angles_of((turn * normal)[None], (turn * slip)[None])
        planes.append((float(angles[0][0]), float(angles[1][0]), float(angles[2][0])))
    return planes[0], planes[1]
