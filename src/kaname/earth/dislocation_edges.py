"""What displacement and strain of polygonal dislocations share: the derivation in short, and the edges.

The full space is Burgers' line integral with the solid angle of Van Oosterom and Strackee (1983). The half
space adds the mirror image and a third part without shear traction at the surface, one harmonic function
(Boussinesq's problem): ``docs/coulomb.md`` derives it. All is a sum over edges of integrals that are singular
on the edges alone, so there are no artefacts in line with an edge and no configurations to choose among.

Symbols: ``R`` from the point to the source, ``t`` along the edge, ``q = t x b``, ``w`` the integral of 1/R
along the edge, ``kappa = 1 / (2 (1 - nu))``. ``G0`` and ``G1`` (in the code ``g`` and ``h``, with the axes of
their derivatives) are the integrals of ``log(R + d)`` and of ``d log(R + d) - R`` along the edge, ``d`` the
height of the mirrored point above the source.

The horizontal derivatives of ``G0`` and ``G1`` are differences between the ends of the edge over the sine
``s`` of its angle with the vertical, and lose their digits where that is small. Steep edges have them from
the direction in which the point sees the source, projected from below: ``O = (R1 - i R2) / (R + d)``. Along
an edge ``ds / R = dO / (t3 O + s (1 - O^2) / 2)``, so ``F_n``, the integral of ``O^n / R``, is a rational
integral of ``O``. With ``T = s / (1 + t3)``, ``D = d/dx1 - i d/dx2``, and ``[ ]`` for the difference between
the ends,

    L = [log(1 - T O)]
    F_1 = -(g1 - i g2) = -2 L / s - T w
    F_2 = 2 h11 + w - 2 i h12 = [O^2 / 2 - T O - (log(1 - T O) + T O + T^2 O^2 / 2) / T^2] + T^2 (w + L)
    D F_n = [(1 + T^2) O^(n + 1) / ((1 - T O) R)] - T D F_(n - 1), and F_0 = w.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STEEP = 0.05
"""Sine of the angle with the vertical below which an edge counts as steep: it is not divided by."""
LEAST = 1e-30
"""That sine of vertical edges: the limit, without a case of its own."""
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
    horizontal direction, sine of its angle with the vertical (at least `LEAST`), Burgers vector in the frame
    of the edge (3), sign of the turn (also of that Burgers vector).
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
    some = np.where(flat > 0, flat, 1.0)
    cosine, sine = np.where(flat > 0, along[..., 0] / some, 1.0), along[..., 1] / some
    b = sign[..., None] * burgers[:, None, :]
    direction = np.moveaxis(along / length[..., None], 2, 0)
    columns = (
        *(lower, upper, length, *direction, cosine, sine, np.maximum(flat / length, LEAST)),
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


@njit(cache=True, error_model="numpy", fastmath=FAST, inline="always")
def mirrored(x: float, y: float, up: float, edge: tuple[float, ...]) -> tuple[float, ...]:
    """Return an edge as a mirrored point sees it, along its horizontal direction (1), across (2) and up (3).

    In order: the lower end (3), 1 and 3 of the upper one, the distances of both, their places along the edge,
    1 and 3 of the point of its line that is nearest, the square of the distance from that, and what `along`
    returns. 2 is the same everywhere.
    """
    vax, vay, vaz, vcx, vcy, vcz, length, _, _, t3, cosine, sine, s, _, _, _, _, _, _, _ = edge
    ax, ay = vax - x, vay - y
    a1, a2, a3 = cosine * ax + sine * ay, cosine * ay - sine * ax, vaz - up
    c1, c3 = cosine * (vcx - x) + sine * (vcy - y), vcz - up
    ra, rb = math.sqrt(a1 * a1 + a2 * a2 + a3 * a3), math.sqrt(c1 * c1 + a2 * a2 + c3 * c3)
    sa = a1 * s + a3 * t3
    sb = sa + length
    p1, p3 = a1 - sa * s, a3 - sa * t3
    square = p1 * p1 + a2 * a2 + p3 * p3
    i3, j3, i5, j5, steep = along(ra, rb, sa, sb, square, length)
    return a1, a2, a3, c1, c3, ra, rb, sa, sb, p1, p3, square, i3, j3, i5, j5, steep


@njit(cache=True, error_model="numpy", fastmath=FAST, inline="always")
def slopes(seen: tuple[float, ...], s: float, t3: float) -> tuple[float, ...]:
    """Return the derivatives 1, 2, 3, 11, 12, 13, 23, 33 of the integral of 1/R along an edge."""
    _, a2, _, _, _, _, _, _, _, p1, p3, square, i3, j3, i5, j5, _ = seen
    k5 = i3 - square * i5
    return (
        p1 * i3 + s * j3,
        a2 * i3,
        p3 * i3 + t3 * j3,
        3 * (p1 * p1 * i5 + 2 * p1 * s * j5 + s * s * k5) - i3,
        3 * a2 * (p1 * i5 + s * j5),
        3 * (p1 * p3 * i5 + (p1 * t3 + p3 * s) * j5 + s * t3 * k5),
        3 * a2 * (p3 * i5 + t3 * j5),
        3 * (p3 * p3 * i5 + 2 * p3 * t3 * j5 + t3 * t3 * k5) - i3,
    )


@njit(cache=True, error_model="numpy", fastmath=FAST, inline="always")
def projected(
    r1: float, r2: float, r3: float, distance: float, place: float, tangent: float
) -> tuple[float, ...]:
    """Return O, P = (1 + T^2) / (1 - T O) and O^2 P of one end, each real and imaginary."""
    over, near = 1 / (distance - r3), 1 / (distance - place)
    u, v = r1 * over, -r2 * over
    p, q = (distance - r3 - tangent * r1) * near, -tangent * r2 * near
    uu, uv = u * u - v * v, 2 * u * v
    return u, v, p, q, uu * p - uv * q, uu * q + uv * p


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
