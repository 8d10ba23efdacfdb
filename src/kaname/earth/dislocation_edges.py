"""What displacement and strain of polygonal dislocations share: the derivation in short, and the edges.

The full space is Burgers' line integral with the solid angle of Van Oosterom and Strackee (1983). The half
space adds the mirror image and a third part without shear traction at the surface, one harmonic function
(Boussinesq's problem): ``docs/coulomb.md`` derives it. All is a sum over edges of integrals that are singular
on the edges alone, so there are no artefacts in line with an edge and no configurations to choose among.

Symbols: ``R`` from the point to the source, ``t`` along the edge, ``q = t x b``, ``w`` the integral of 1/R
along the edge, ``kappa = 1 / (2 (1 - nu))``. ``G0`` and ``G1`` (in the code ``g`` and ``h``, with the axes of
their derivatives) are the integrals of ``log(R + d)`` and of ``d log(R + d) - R`` along the edge, ``d`` the
height of the mirrored point above the source.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]

VERTICAL = 1e-5
"""Edges are taken as vertical when the sine of their angle with the vertical is smaller."""
FAR = 1e20
"""Points count as on an edge when the angle at which they see it lacks about 1e-10 to 180 degrees."""

FOUR_PI = 4 * math.pi
THIRD = 1 / 3

CHUNK = 64
"""Points that one pass over the sources serves."""

FAST = {"contract", "arcp"}
"""Fused products and reciprocals; NaN, infinities and the order of sums stay as written."""


def prepare(vertices: Floats, burgers: Floats) -> Floats:
    """Return what of each edge does not depend on the point, ``(m, k, 13)``; edges are turned to run upwards.

    In order: index of the lower and of the upper end, length, direction (3), cosine and sine of its
    horizontal direction, sine of its angle with the vertical (0: vertical), Burgers vector in the frame of
    the edge (3), sign of the turn (also of that Burgers vector).
    """
    m, k = vertices.shape[:2]
    first = np.broadcast_to(np.arange(k), (m, k))
    second = (first + 1) % k
    down = np.take_along_axis(vertices[..., 2], second, 1) < vertices[..., 2]
    lower, upper, sign = (
        np.where(down, second, first),
        np.where(down, first, second),
        np.where(down, -1.0, 1.0),
    )
    along = np.take_along_axis(vertices, upper[..., None], 1) - np.take_along_axis(
        vertices, lower[..., None], 1
    )
    length = np.linalg.norm(along, axis=2)
    flat = np.hypot(along[..., 0], along[..., 1])
    steep = flat < VERTICAL * length
    some = np.where(steep, 1.0, flat)
    cosine, sine = np.where(steep, 1.0, along[..., 0] / some), np.where(steep, 0.0, along[..., 1] / some)
    b = sign[..., None] * burgers[:, None, :]
    direction = np.moveaxis(along / length[..., None], 2, 0)
    columns = (
        *(lower, upper, length, *direction, cosine, sine, np.where(steep, 0.0, flat / length)),
        *(cosine * b[..., 0] + sine * b[..., 1], cosine * b[..., 1] - sine * b[..., 0], b[..., 2], sign),
    )
    return np.ascontiguousarray(np.stack(np.broadcast_arrays(*columns), axis=2), dtype=float)


@njit(cache=True, error_model="numpy", fastmath=FAST, inline="always")
def edge_of(vertices: Floats, edges: Floats, burgers: Floats, i: int, j: int) -> tuple[float, ...]:
    """Return all of an edge: its ends, what `prepare` made of it, and the Burgers vector as given."""
    first, second = int(edges[i, j, 0]), int(edges[i, j, 1])
    return (
        vertices[i, first, 0],
        vertices[i, first, 1],
        vertices[i, first, 2],
        vertices[i, second, 0],
        vertices[i, second, 1],
        vertices[i, second, 2],
        edges[i, j, 2],
        edges[i, j, 3],
        edges[i, j, 4],
        edges[i, j, 5],
        edges[i, j, 6],
        edges[i, j, 7],
        edges[i, j, 8],
        edges[i, j, 9],
        edges[i, j, 10],
        edges[i, j, 11],
        edges[i, j, 12],
        burgers[i, 0],
        burgers[i, 1],
        burgers[i, 2],
    )


@njit(cache=True, error_model="numpy", fastmath=FAST, inline="always")
def along(ra: float, rb: float, sa: float, sb: float, p2: float, length: float) -> tuple[float, ...]:
    """Return the integrals along an edge of 1/R^3, s/R^3, 1/R^5, s/R^5, and what is infinite on it alone."""
    ia, ib = 1 / ra, 1 / rb
    total, product, inverse = ra + rb, ra * rb, ia * ib
    dot = p2 + sa * sb
    # Beside the edge the product of the distances and their dot product cancel; the cross product does not.
    steep = 1 / (product + dot) if dot > 0 else (product - dot) / (p2 * length * length)
    i3 = length * total * inverse * steep
    i5 = i3 * inverse * ((ra * ra + rb * rb) * inverse - 1 + total * total * steep) * THIRD
    return i3, ia - ib, i5, (ia * ia * ia - ib * ib * ib) * THIRD, steep


@njit(cache=True, error_model="numpy", fastmath=FAST)
def at_vertex(x: float, y: float, z: float, vertices: Floats, i: int, tolerance: float) -> bool:
    """Say whether a point is a vertex, where the distances to the edges no longer tell."""
    for j in range(vertices.shape[1]):
        dx, dy, dz = vertices[i, j, 0] - x, vertices[i, j, 1] - y, vertices[i, j, 2] - z
        if dx * dx + dy * dy + dz * dz <= tolerance:
            return True
    return False


@njit(cache=True, error_model="numpy", fastmath=FAST)
def fill(place: Floats, points: Floats, begin: int) -> int:
    """Copy points into a chunk, the last one repeated to its end; return how many there are."""
    size: int = min(CHUNK, points.shape[0] - begin)
    for p in range(CHUNK):
        q = begin + min(p, size - 1)
        place[0, p], place[1, p], place[2, p] = points[q, 0], points[q, 1], points[q, 2]
    return size
