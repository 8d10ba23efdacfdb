"""Rectangular and triangular dislocations in an elastic full or half space: displacement and strain anywhere.

The fields are those of Okada (1985, 1992; DOI 10.1785/BSSA0820021018) for rectangles and of Nikkhoo and
Walter (2015; DOI 10.1093/gji/ggv035) for triangles, from one closed form for polygons (`dislocation_edges`)
that is singular on the edges of a dislocation and nowhere else.

Coordinates are east, north, up in any one unit of length, the surface of the half space at 0 and the ground
below; displacements have the unit of slip, strains that of slip by length. Strains are ``ee, en, eu, nn, nu,
uu``.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kaname.core.errors import InputError
from kaname.earth.dislocation_displacement import displacements
from kaname.earth.dislocation_edges import prepare
from kaname.earth.dislocation_strain import strains

Floats = NDArray[np.float64]
Medium = Literal["half-space", "full-space"]

STRAIN = ("ee", "en", "eu", "nn", "nu", "uu")
"""Order of the parts of strain and stress tensors."""

ON_A_VERTEX = 1e-10
"""A point nearer to a vertex than this share of the largest edge is taken to be on it."""


class Field(NamedTuple):
    """Values at points, and where there are none."""

    values: Floats
    """``(n, 3)`` displacement east, north, up or ``(n, 6)`` strain (`STRAIN`); NaN at singular points."""
    singular: NDArray[np.bool_]
    """``(n,)``: the point is on an edge of a dislocation, where the field is infinite or has no one value."""


@dataclass(frozen=True)
class Dislocations:
    """Flat polygons over which the ground is displaced by a constant vector.

    Raises
    ------
    InputError
        When an array has a wrong shape, a value that is not finite, or a polygon has an edge without length
        or no area.
    """

    vertices: Floats
    """``(m, k, 3)`` east, north, up of the corners, counter-clockwise seen from where the normal points to;
    ``k`` is 3 or 4."""
    burgers: Floats
    """``(m, 3)``: displacement (east, north, up) of the side to which the normal points against the other."""

    def __post_init__(self) -> None:
        vertices, burgers = np.array(self.vertices, dtype=float), np.array(self.burgers, dtype=float)
        if vertices.ndim != 3 or vertices.shape[1] not in (3, 4) or vertices.shape[2] != 3:
            raise InputError(f"dislocations need corners (m, 3 or 4, 3), found an array {vertices.shape}")
        if burgers.shape != (len(vertices), 3):
            raise InputError(
                f"{len(vertices)} dislocations need slip {(len(vertices), 3)}, found {burgers.shape}"
            )
        if not (np.isfinite(vertices).all() and np.isfinite(burgers).all()):
            raise InputError("corners and slip of dislocations must be finite; leave out what is not known")
        edges = np.linalg.norm(np.roll(vertices, -1, axis=1) - vertices, axis=2)
        flat = np.linalg.norm(_area(vertices), axis=1) <= 1e-12 * edges.max(axis=1, initial=0) ** 2
        if (edges == 0).any() or flat.any():
            bad = int(np.flatnonzero((edges == 0).any(axis=1) | flat)[0])
            raise InputError(f"dislocation {bad} has no area: its corners are {vertices[bad].tolist()}")
        object.__setattr__(self, "vertices", np.ascontiguousarray(vertices))
        object.__setattr__(self, "burgers", np.ascontiguousarray(burgers))

    def __len__(self) -> int:
        return len(self.vertices)

    @classmethod
    def of_slip(cls, vertices: ArrayLike, slip: ArrayLike) -> Dislocations:
        """Return triangles or rectangles by their slip.

        Parameters
        ----------
        vertices
            ``(m, k, 3)`` corners; the normal follows from their order by the right-hand rule.
        slip
            ``(m, 3)`` strike slip, dip slip and opening of the side to which the normal points: along the
            horizontal ``up x normal``, along ``normal x strike``, and along the normal (Nikkhoo and Walter
            2015). With the normal upwards these are left-lateral slip, thrust and opening. A horizontal one
            strikes north.
        """
        corners = np.array(vertices, dtype=float)
        if corners.ndim != 3 or corners.shape[1] not in (3, 4) or corners.shape[2] != 3:
            raise InputError(f"dislocations need corners (m, 3 or 4, 3), found an array {corners.shape}")
        amounts = np.array(slip, dtype=float)
        if amounts.shape != (len(corners), 3):
            raise InputError(
                f"{len(corners)} dislocations need slip {(len(corners), 3)}, found {amounts.shape}"
            )
        area = _area(corners)
        normal = area / np.maximum(np.linalg.norm(area, axis=1, keepdims=True), np.finfo(float).tiny)
        strike = np.cross([0.0, 0.0, 1.0], normal)
        level = np.linalg.norm(strike, axis=1) < 1e-12
        strike[level] = np.array([0.0, 1.0, 0.0]) * np.sign(normal[level, 2:])
        strike /= np.maximum(np.linalg.norm(strike, axis=1, keepdims=True), np.finfo(float).tiny)
        axes = np.stack([strike, np.cross(normal, strike), normal], axis=1)
        return cls(corners, np.einsum("mi,mij->mj", amounts, axes))

    @classmethod
    def rectangles(
        cls,
        top_centre: ArrayLike,
        *,
        strike_deg: ArrayLike,
        dip_deg: ArrayLike,
        rake_deg: ArrayLike,
        slip: ArrayLike,
        length: ArrayLike,
        width: ArrayLike,
        opening: ArrayLike = 0.0,
    ) -> Dislocations:
        """Return rectangles by the middles of their top edges, as SRCMOD gives them; inputs broadcast.

        Parameters
        ----------
        top_centre
            ``(m, 3)`` east, north, up (so negative below the surface).
        strike_deg, dip_deg, rake_deg
            Aki and Richards: the plane dips to the right of the strike, rake 0 is left-lateral, 90 thrust.
        slip, opening
            Slip in the plane and opening across it.
        length, width
            Along the strike and down the dip, in the unit of ``top_centre``.
        """
        top = np.atleast_2d(np.array(top_centre, dtype=float))
        if top.shape[-1] != 3:
            raise InputError(f"top_centre needs east, north, up, found an array {top.shape}")
        strike, dip, rake, amount, long, wide, open_ = (
            np.array(np.broadcast_to(np.asarray(a, dtype=float), (len(top),)))
            for a in (strike_deg, dip_deg, rake_deg, slip, length, width, opening)
        )
        along, down = fault_axes(strike, dip)
        begin, end = top - along * long[:, None] / 2, top + along * long[:, None] / 2
        vertices = np.stack([begin, begin + down * wide[:, None], end + down * wide[:, None], end], axis=1)
        normal = np.cross(down, along)
        direction = np.cos(np.radians(rake))[:, None] * along - np.sin(np.radians(rake))[:, None] * down
        return cls(vertices, amount[:, None] * direction + open_[:, None] * normal)

    def as_triangles(self) -> Dislocations:
        """Return the same with each rectangle cut into two triangles."""
        if self.vertices.shape[1] == 3:
            return self
        halves = self.vertices[:, [[0, 1, 2], [0, 2, 3]]].reshape(-1, 3, 3)
        return Dislocations(halves, np.repeat(self.burgers, 2, axis=0))


def fault_axes(strike_deg: ArrayLike, dip_deg: ArrayLike) -> tuple[Floats, Floats]:
    """Return unit vectors ``(n, 3)`` (east, north, up) along the strike and down the dip."""
    strike, dip = np.radians(np.atleast_1d(strike_deg)), np.radians(np.atleast_1d(dip_deg))
    strike, dip = np.broadcast_arrays(strike, dip)
    along = np.stack([np.sin(strike), np.cos(strike), np.zeros_like(strike)], axis=-1)
    flat, steep = np.cos(dip), np.sin(dip)
    return along, np.stack([np.cos(strike) * flat, -np.sin(strike) * flat, -steep], axis=-1)


def displacement(
    points: ArrayLike,
    dislocations: Dislocations,
    *,
    poisson_ratio: float = 0.25,
    medium: Medium = "half-space",
) -> Field:
    """Return the displacement at points, summed over dislocations, and which points are singular.

    On a dislocation itself, where the displacement jumps, the value is that of the side the normal points to.

    Parameters
    ----------
    points
        ``(n, 3)`` east, north, up.
    dislocations
        Sources.
    poisson_ratio
        Above -1 and below 0.5.
    medium
        A half space with a free surface at up = 0, or a full space.

    Raises
    ------
    InputError
        When a point is not finite, or it or a source above the surface of the half space.

    Warns
    -----
    RuntimeWarning
        When points are singular, with their number.
    """
    return _field(displacements, points, dislocations, poisson_ratio, medium, "displacement")


def strain(
    points: ArrayLike,
    dislocations: Dislocations,
    *,
    poisson_ratio: float = 0.25,
    medium: Medium = "half-space",
) -> Field:
    """Return the strain ``(n, 6)`` (`STRAIN`) at points, summed over dislocations; as `displacement`."""
    return _field(strains, points, dislocations, poisson_ratio, medium, "strain")


def _field(
    kernel: object, points: ArrayLike, source: Dislocations, poisson_ratio: float, medium: Medium, what: str
) -> Field:
    places = np.array(points, dtype=float, order="C")
    if places.ndim != 2 or places.shape[1] != 3:
        raise InputError(f"points need east, north, up (n, 3), found an array {places.shape}")
    if not np.isfinite(places).all():
        bad = int(np.flatnonzero(~np.isfinite(places).all(axis=1))[0])
        raise InputError(f"point {bad} is {places[bad].tolist()}; expected finite coordinates")
    if not -1 < poisson_ratio < 0.5:
        raise InputError(f"poisson_ratio is {poisson_ratio}; expected more than -1 and less than 0.5")
    if medium not in ("half-space", "full-space"):
        raise InputError(f"medium is {medium!r}; expected 'half-space' or 'full-space'")
    if medium == "half-space":
        for name, up in (("point", places[:, 2]), ("dislocation", source.vertices[..., 2].max(axis=1))):
            if (up > 0).any():
                bad = int(np.argmax(up > 0))
                raise InputError(
                    f"{name} {bad} is {up[bad]:g} above the surface of the half space; up is negative below"
                )
    extent = np.abs(np.roll(source.vertices, -1, axis=1) - source.vertices).max(initial=0)
    edges = prepare(source.vertices, source.burgers)
    kappa = 0.5 / (1 - poisson_ratio)
    values, singular = kernel(  # type: ignore[operator]
        places,
        source.vertices,
        edges,
        source.burgers,
        kappa,
        medium == "half-space",
        (ON_A_VERTEX * extent) ** 2,
    )
    values[singular] = np.nan
    if singular.any():
        warnings.warn(
            f"{int(singular.sum())} of {len(places)} points are on an edge of a dislocation, where the "
            f"{what} has no value: NaN there; move them, or leave them out by `Field.singular`",
            RuntimeWarning,
            stacklevel=3,
        )
    return Field(values, singular)


def _area(vertices: Floats) -> Floats:
    """Return the normals ``(m, 3)`` of polygons, twice their area long."""
    centred = vertices - vertices.mean(axis=1, keepdims=True)
    return np.asarray(np.cross(centred, np.roll(centred, -1, axis=1)).sum(axis=1))
