"""Closed forms of the displacement and strain of one polygonal dislocation at one point, compiled.

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
from numba import njit, prange
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
def _along(ra: float, rb: float, sa: float, sb: float, p2: float, length: float) -> tuple[float, ...]:
    """Return the integrals along an edge of 1/R^3, s/R^3, 1/R^5, s/R^5, and one infinite on it alone."""
    ia, ib = 1 / ra, 1 / rb
    total, product, inverse = ra + rb, ra * rb, ia * ib
    dot = p2 + sa * sb
    # The product of the distances and their dot product cancel beside the edge; there the cross product does.
    steep = 1 / (product + dot) if dot > 0 else (product - dot) / (p2 * length * length)
    i3 = length * total * inverse * steep
    i5 = i3 * inverse * ((ra * ra + rb * rb) * inverse - 1 + total * total * steep) * THIRD
    return i3, ia - ib, i5, (ia * ia * ia - ib * ib * ib) * THIRD, steep


@njit(cache=True, error_model="numpy", fastmath=FAST, inline="always")
def _seventh(ra: float, rb: float, steep: float, i3: float, i5: float) -> tuple[float, ...]:
    """Return the integrals along an edge of 1/R^7 and s/R^7, by differentiating those of 1/R^5."""
    ia, ib, total = 1 / ra, 1 / rb, ra + rb
    inverse = ia * ib
    squares, ratio = (ra * ra + rb * rb) * inverse, total * total * steep
    slope = squares * squares - 2 - 0.5 * squares + ratio * (0.5 * squares + 0.5 * ratio - 1)
    i7 = inverse * (i5 * (squares - 1 + ratio) * 0.2 + 0.4 * THIRD * i3 * slope * inverse)
    a2, b2 = ia * ia, ib * ib
    return i7, (a2 * a2 * ia - b2 * b2 * ib) * 0.2


@njit(cache=True, error_model="numpy", fastmath=FAST)
def _atanh(x: float) -> float:
    """Return the inverse hyperbolic tangent; far sources have small arguments, for which a series serves."""
    if abs(x) > 0.1:
        return 0.5 * math.log((1 + x) / (1 - x))
    y = x * x
    series = 1 / 9 + y * (1 / 11 + y * (1 / 13 + y * (1 / 15)))
    return x * (1 + y * (1 / 3 + y * (1 / 5 + y * (1 / 7 + y * series))))


@njit(cache=True, error_model="numpy", fastmath=FAST)
def _atan2(y: float, x: float) -> float:
    """Return ``atan2``, by a series where the angle is small."""
    if abs(y) > 0.1 * x:
        return math.atan2(y, x)
    z = y / x
    s = -z * z
    series = 1 / 9 + s * (1 / 11 + s * (1 / 13 + s * (1 / 15)))
    return z * (1 + s * (1 / 3 + s * (1 / 5 + s * (1 / 7 + s * series))))


@njit(cache=True, error_model="numpy", fastmath=FAST)
def _log_ratio(ra: float, rb: float, steep: float, length: float) -> float:
    """Return the integral of 1/R along the edge."""
    total = ra + rb
    if length > 0.1 * total:
        return math.log1p(length * (total + length) * steep)
    return 2 * _atanh(length / total)


@njit(cache=True, error_model="numpy", fastmath=FAST)
def _solid_angle(
    ax: float, ay: float, az: float, bx: float, by: float, bz: float, cx: float, cy: float, cz: float
) -> float:
    """Return the solid angle of a triangle [steradian], positive where its normal points away."""
    ra = math.sqrt(ax * ax + ay * ay + az * az)
    rb = math.sqrt(bx * bx + by * by + bz * bz)
    rc = math.sqrt(cx * cx + cy * cy + cz * cz)
    # Sides instead of vertices: near the plane the difference is taken before the product.
    ux, uy, uz = bx - ax, by - ay, bz - az
    vx, vy, vz = cx - ax, cy - ay, cz - az
    volume = ax * (uy * vz - uz * vy) + ay * (uz * vx - ux * vz) + az * (ux * vy - uy * vx)
    ab, bc, ca = ax * bx + ay * by + az * bz, bx * cx + by * cy + bz * cz, cx * ax + cy * ay + cz * az
    # Adding zero makes minus zero plus zero: a point on the triangle belongs to the side the normal leaves.
    return 2 * _atan2(volume + 0.0, ra * rb * rc + ab * rc + bc * ra + ca * rb)


@njit(cache=True, error_model="numpy", fastmath=FAST)
def _angle_of(x: float, y: float, z: float, vertices: Floats, i: int) -> float:
    angle = 0.0
    ax, ay, az = vertices[i, 0, 0] - x, vertices[i, 0, 1] - y, vertices[i, 0, 2] - z
    for j in range(1, vertices.shape[1] - 1):
        angle += _solid_angle(
            ax,
            ay,
            az,
            vertices[i, j, 0] - x,
            vertices[i, j, 1] - y,
            vertices[i, j, 2] - z,
            vertices[i, j + 1, 0] - x,
            vertices[i, j + 1, 1] - y,
            vertices[i, j + 1, 2] - z,
        )
    return angle


@njit(cache=True, error_model="numpy", fastmath=FAST)
def _direct_displacement(
    x: float, y: float, z: float, vertices: Floats, edges: Floats, burgers: Floats, i: int, kappa: float
) -> tuple[float, ...]:
    """Return 4 pi u in a full space, and how near to singular."""
    angle = _angle_of(x, y, z, vertices, i)
    ux, uy, uz = -burgers[i, 0] * angle, -burgers[i, 1] * angle, -burgers[i, 2] * angle
    far = 0.0
    for j in range(edges.shape[1]):
        first, second = int(edges[i, j, 0]), int(edges[i, j, 1])
        length, tx, ty, tz = edges[i, j, 2], edges[i, j, 3], edges[i, j, 4], edges[i, j, 5]
        bx, by, bz = (
            edges[i, j, 12] * burgers[i, 0],
            edges[i, j, 12] * burgers[i, 1],
            edges[i, j, 12] * burgers[i, 2],
        )
        ax, ay, az = vertices[i, first, 0] - x, vertices[i, first, 1] - y, vertices[i, first, 2] - z
        cx, cy, cz = vertices[i, second, 0] - x, vertices[i, second, 1] - y, vertices[i, second, 2] - z
        ra = math.sqrt(ax * ax + ay * ay + az * az)
        rb = math.sqrt(cx * cx + cy * cy + cz * cz)
        sa = ax * tx + ay * ty + az * tz
        px, py, pz = ax - sa * tx, ay - sa * ty, az - sa * tz
        i3, j3, _, _, steep = _along(ra, rb, sa, sa + length, px * px + py * py + pz * pz, length)
        far += steep * ra * rb
        qx, qy, qz = ty * bz - tz * by, tz * bx - tx * bz, tx * by - ty * bx
        w = (1 - kappa) * _log_ratio(ra, rb, steep, length)
        rq = kappa * (ax * qx + ay * qy + az * qz)
        ux -= w * qx + rq * (px * i3 + tx * j3)
        uy -= w * qy + rq * (py * i3 + ty * j3)
        uz -= w * qz + rq * (pz * i3 + tz * j3)
    return ux, uy, uz, far


@njit(cache=True, error_model="numpy", fastmath=FAST, inline="always")
def _direct_strain(x: float, y: float, z: float, edge: tuple[float, ...], kappa: float) -> tuple[float, ...]:
    """Return 4 pi times the strain (xx, xy, xz, yy, yz, zz) in a full space, and how near to singular."""
    half = 0.5 - kappa
    vax, vay, vaz, vcx, vcy, vcz, length, tx, ty, tz, _, _, _, _, _, _, sign, ebx, eby, ebz = edge
    bx, by, bz = sign * ebx, sign * eby, sign * ebz
    ax, ay, az = vax - x, vay - y, vaz - z
    cx, cy, cz = vcx - x, vcy - y, vcz - z
    ra = math.sqrt(ax * ax + ay * ay + az * az)
    rb = math.sqrt(cx * cx + cy * cy + cz * cz)
    sa = ax * tx + ay * ty + az * tz
    px, py, pz = ax - sa * tx, ay - sa * ty, az - sa * tz
    p2 = px * px + py * py + pz * pz
    i3, j3, i5, j5, steep = _along(ra, rb, sa, sa + length, p2, length)
    far = steep * ra * rb
    k5 = i3 - p2 * i5
    qx, qy, qz = ty * bz - tz * by, tz * bx - tx * bz, tx * by - ty * bx
    wx, wy, wz = px * i3 + tx * j3, py * i3 + ty * j3, pz * i3 + tz * j3
    # The solid angle's gradient, by the law of Biot and Savart.
    ox = wy * tz - wz * ty
    oy = wz * tx - wx * tz
    oz = wx * ty - wy * tx
    rq = kappa * (ax * qx + ay * qy + az * qz)
    a, b, c = 3 * rq * i5, 3 * rq * j5, 3 * rq * k5
    g = rq * i3
    xx = -(2 * half * qx * wx + px * (a * px + 2 * b * tx) + c * tx * tx - g)
    yy = -(2 * half * qy * wy + py * (a * py + 2 * b * ty) + c * ty * ty - g)
    zz = -(2 * half * qz * wz + pz * (a * pz + 2 * b * tz) + c * tz * tz - g)
    xy = -(half * (qx * wy + qy * wx) + a * px * py + b * (px * ty + py * tx) + c * tx * ty)
    xz = -(half * (qx * wz + qz * wx) + a * px * pz + b * (px * tz + pz * tx) + c * tx * tz)
    yz = -(half * (qy * wz + qz * wy) + a * py * pz + b * (py * tz + pz * ty) + c * ty * tz)
    return (
        xx - bx * ox,
        xy - 0.5 * (bx * oy + by * ox),
        xz - 0.5 * (bx * oz + bz * ox),
        yy - by * oy,
        yz - 0.5 * (by * oz + bz * oy),
        zz - bz * oz,
        far,
    )


@njit(cache=True, error_model="numpy", fastmath=FAST)
def _ends(
    x: float, y: float, up: float, vertices: Floats, edges: Floats, i: int, j: int
) -> tuple[float, ...]:
    """Return both ends of an edge from the mirrored point, and its direction, in the frame of the edge."""
    first, second = int(edges[i, j, 0]), int(edges[i, j, 1])
    cosine, sine = edges[i, j, 6], edges[i, j, 7]
    ax, ay = vertices[i, first, 0] - x, vertices[i, first, 1] - y
    bx, by = vertices[i, second, 0] - x, vertices[i, second, 1] - y
    a1, a2, a3 = cosine * ax + sine * ay, cosine * ay - sine * ax, vertices[i, first, 2] - up
    c1, c2, c3 = cosine * bx + sine * by, cosine * by - sine * bx, vertices[i, second, 2] - up
    steep = edges[i, j, 8] == 0.0
    t1, t2 = (edges[i, j, 3], edges[i, j, 4]) if steep else (edges[i, j, 8], 0.0)
    return a1, a2, a3, c1, c2, c3, t1, t2, edges[i, j, 5]


@njit(cache=True, error_model="numpy", fastmath=FAST)
def _surface_displacement(
    x: float, y: float, up: float, vertices: Floats, edges: Floats, burgers: Floats, i: int, kappa: float
) -> tuple[float, ...]:
    """Return 4 pi times what the surface adds, image and third part; ``up`` is that of the mirrored point."""
    direct = 2 * (1 / kappa - 1)  # 4 (1 - nu) - 2 = 2 (1 - 2 nu)
    rise = 2 / kappa  # 4 (1 - nu)
    angle = _angle_of(x, y, up, vertices, i)
    ux, uy, uz = -burgers[i, 0] * angle, -burgers[i, 1] * angle, burgers[i, 2] * angle
    for j in range(edges.shape[1]):
        a1, a2, a3, c1, c2, c3, t1, t2, t3 = _ends(x, y, up, vertices, edges, i, j)
        length, s, b1, b2, b3 = (
            edges[i, j, 2],
            edges[i, j, 8],
            edges[i, j, 9],
            edges[i, j, 10],
            edges[i, j, 11],
        )
        ra = math.sqrt(a1 * a1 + a2 * a2 + a3 * a3)
        rb = math.sqrt(c1 * c1 + c2 * c2 + c3 * c3)
        sa = a1 * t1 + a2 * t2 + a3 * t3
        sb = sa + length
        p1, p2, p3 = a1 - sa * t1, a2 - sa * t2, a3 - sa * t3
        square = p1 * p1 + p2 * p2 + p3 * p3
        i3, j3, i5, j5, steep = _along(ra, rb, sa, sb, square, length)
        k5 = i3 - square * i5
        w = _log_ratio(ra, rb, steep, length)
        w1, w2, w3 = p1 * i3 + t1 * j3, p2 * i3 + t2 * j3, p3 * i3 + t3 * j3
        w13 = 3 * (p1 * p3 * i5 + (p1 * t3 + p3 * t1) * j5 + t1 * t3 * k5)
        w23 = 3 * (p2 * p3 * i5 + (p2 * t3 + p3 * t2) * j5 + t2 * t3 * k5)
        w33 = 3 * (p3 * p3 * i5 + 2 * p3 * t3 * j5 + t3 * t3 * k5) - i3
        fa, fb = ra - a3, rb - c3
        ka, kb = 1 / fa, 1 / fb
        ma, mb = ka / ra, kb / rb
        if s == 0.0:
            # A vertical edge: the integrals are differences of their antiderivatives along the depth.
            m, n = kb - ka, mb * kb - ma * ka
            v = 0.5 * (ka * ka - kb * kb)
            f = 0.5 * (math.log(fb * ka) - c3 * kb + a3 * ka)
            g1, g2 = -a1 * m, -a2 * m
            g11, g12, g22 = m - a1 * a1 * n, -a1 * a2 * n, m - a2 * a2 * n
            h11, h12, h22 = f - a1 * a1 * v, -a1 * a2 * v, f - a2 * a2 * v
        else:
            over = 1 / s
            tangent = s / (1 + t3)
            offset = t3 * a1 - s * a3
            ta = ra + sa if sa > 0 else square / (ra - sa)
            tb = rb + sb if sb > 0 else square / (rb - sb)
            rise_of = a2 * tangent * length * (ta + tb) / (ra + rb)
            g2 = -2 * _atan2(rise_of, a2 * a2 + (tangent * ta + offset) * (tangent * tb + offset)) * over
            g1 = -(2 * _atanh(length * ((sa + sb) / (ra + rb) - t3) / (fa + fb)) + t3 * w) * over
            g11 = (c1 * mb - a1 * ma - t3 * w1) * over
            g12 = (a2 * (mb - ma) - t3 * w2) * over
            g22 = -g11 - w3
            h11 = -(c1 * kb - a1 * ka + t3 * g1) * over
            h12 = -(a2 * (kb - ka) + t3 * g2) * over
            h22 = -w - h11
        q1, q2, q3 = t2 * b3 - t3 * b2, t3 * b1 - t1 * b3, t1 * b2 - t2 * b1
        rq = a1 * q1 + a2 * q2 + a3 * q3
        k, k_up = kappa, kappa * up
        # Derivatives of 2 pi psi: along 1, 2, 3, then 13, 23, 33.
        f1 = t3 * (b1 * h12 - b2 * h11) + k * (q1 * w - rq * w1) - k_up * (q1 * g11 + q2 * g12 + q3 * w1)
        f2 = t3 * (b1 * h22 - b2 * h12) + k * (q2 * w - rq * w2) - k_up * (q1 * g12 + q2 * g22 + q3 * w2)
        qg, qw = q1 * g1 + q2 * g2 + q3 * w, q1 * w1 + q2 * w2 + q3 * w3
        f3 = t3 * (b1 * g2 - b2 * g1) + k * (q3 * w - rq * w3 - qg) - k_up * qw
        w11 = 3 * (p1 * p1 * i5 + 2 * p1 * t1 * j5 + t1 * t1 * k5) - i3
        w12 = 3 * (p1 * p2 * i5 + (p1 * t2 + p2 * t1) * j5 + t1 * t2 * k5)
        w22 = -w11 - w33
        f13 = (
            t3 * (b1 * g12 - b2 * g11)
            + k * (q1 * w3 + q3 * w1 - rq * w13 - (q1 * g11 + q2 * g12 + q3 * w1))
            - k_up * (q1 * w11 + q2 * w12 + q3 * w13)
        )
        f23 = (
            t3 * (b1 * g22 - b2 * g12)
            + k * (q2 * w3 + q3 * w2 - rq * w23 - (q1 * g12 + q2 * g22 + q3 * w2))
            - k_up * (q1 * w12 + q2 * w22 + q3 * w23)
        )
        f33 = (
            t3 * (b1 * w2 - b2 * w1)
            + k * (2 * q3 * w3 - rq * w33 - 2 * qw)
            - k_up * (q1 * w13 + q2 * w23 + q3 * w33)
        )
        mirror = (1 - k) * w
        u1 = direct * f1 + 2 * up * f13 - mirror * q1 - k * rq * w1
        u2 = direct * f2 + 2 * up * f23 - mirror * q2 - k * rq * w2
        ux += edges[i, j, 6] * u1 - edges[i, j, 7] * u2
        uy += edges[i, j, 7] * u1 + edges[i, j, 6] * u2
        uz += rise * f3 - 2 * up * f33 + mirror * q3 + k * rq * w3
    return ux, uy, uz


@njit(cache=True, error_model="numpy", fastmath=FAST, inline="always")
def _surface_strain(
    x: float, y: float, up: float, edge: tuple[float, ...], kappa: float
) -> tuple[float, ...]:
    """Return 4 pi times the strain (xx, xy, xz, yy, yz, zz) that the surface adds: image and third part."""
    h = 0.5 - kappa
    direct = 2 * (1 / kappa - 1)
    vax, vay, vaz, vcx, vcy, vcz, length, tx, ty, t3, cosine, sine, s, b1, b2, b3, _, _, _, _ = edge
    ax, ay, bx, by = vax - x, vay - y, vcx - x, vcy - y
    a1, a2, a3 = cosine * ax + sine * ay, cosine * ay - sine * ax, vaz - up
    c1, c2, c3 = cosine * bx + sine * by, cosine * by - sine * bx, vcz - up
    t1, t2 = cosine * tx + sine * ty, cosine * ty - sine * tx
    ra = math.sqrt(a1 * a1 + a2 * a2 + a3 * a3)
    rb = math.sqrt(c1 * c1 + c2 * c2 + c3 * c3)
    sa = a1 * t1 + a2 * t2 + a3 * t3
    sb = sa + length
    p1, p2, p3 = a1 - sa * t1, a2 - sa * t2, a3 - sa * t3
    square = p1 * p1 + p2 * p2 + p3 * p3
    i3, j3, i5, j5, steep = _along(ra, rb, sa, sb, square, length)
    i7, j7 = _seventh(ra, rb, steep, i3, i5)
    k5 = i3 - square * i5
    k7, m7 = i5 - square * i7, j5 - square * j7
    w1, w2, w3 = p1 * i3 + t1 * j3, p2 * i3 + t2 * j3, p3 * i3 + t3 * j3
    w11 = 3 * (p1 * p1 * i5 + 2 * p1 * t1 * j5 + t1 * t1 * k5) - i3
    w12 = 3 * (p1 * p2 * i5 + (p1 * t2 + p2 * t1) * j5 + t1 * t2 * k5)
    w13 = 3 * (p1 * p3 * i5 + (p1 * t3 + p3 * t1) * j5 + t1 * t3 * k5)
    w23 = 3 * (p2 * p3 * i5 + (p2 * t3 + p3 * t2) * j5 + t2 * t3 * k5)
    w33 = 3 * (p3 * p3 * i5 + 2 * p3 * t3 * j5 + t3 * t3 * k5) - i3
    w22 = -w11 - w33
    ka, kb = 1 / (ra - a3), 1 / (rb - c3)
    ia, ib = 1 / ra, 1 / rb
    ma, mb = ka * ia, kb * ib
    va, vb = ma * ka, mb * kb
    if s == 0.0:
        n, n3 = vb - va, vb * (ib + 2 * kb) * ib - va * (ia + 2 * ka) * ia
        v, v3 = 0.5 * (ka * ka - kb * kb), vb * kb - va * ka
        m = kb - ka
        g11, g12 = m - a1 * a1 * n, -a1 * a2 * n
        g111, g222 = a1 * (3 * n - a1 * a1 * n3), a2 * (3 * n - a2 * a2 * n3)
        g112, g122 = a2 * (n - a1 * a1 * n3), a1 * (n - a2 * a2 * n3)
        h111, h222 = a1 * (3 * v + a1 * a1 * v3), a2 * (3 * v + a2 * a2 * v3)
        h112, h122 = a2 * (v + a1 * a1 * v3), a1 * (v + a2 * a2 * v3)
    else:
        la, lb = ma * (ia + ka) * ia, mb * (ib + kb) * ib
        over = 1 / s
        g11 = (c1 * mb - a1 * ma - t3 * w1) * over
        g12 = (a2 * (mb - ma) - t3 * w2) * over
        g111 = -(mb - ma - c1 * c1 * lb + a1 * a1 * la + t3 * w11) * over
        g112 = (a2 * (c1 * lb - a1 * la) - t3 * w12) * over
        g122, g222 = -g111 - w13, -g112 - w23
        h111 = (kb - ka - c1 * c1 * vb + a1 * a1 * va - t3 * g11) * over
        h112 = -(a2 * (c1 * vb - a1 * va) + t3 * g12) * over
        h122, h222 = -h111 - w1, -h112 - w2
    q1, q2, q3 = t2 * b3 - t3 * b2, t3 * b1 - t1 * b3, t1 * b2 - t2 * b1
    rq = a1 * q1 + a2 * q2 + a3 * q3
    k, k_up = kappa, kappa * up
    # q . grad G0 and q . grad w, differentiated.
    qg11 = q1 * g111 + q2 * g112 + q3 * w11
    qg12 = q1 * g112 + q2 * g122 + q3 * w12
    qg22 = q1 * g122 + q2 * g222 + q3 * w22
    qw1 = q1 * w11 + q2 * w12 + q3 * w13
    qw2 = q1 * w12 + q2 * w22 + q3 * w23
    # Third derivatives of w along a = (R . q) e3 + up q.
    o1, o2, o3 = up * q1, up * q2, up * q3 + rq
    op, ot = o1 * p1 + o2 * p2 + o3 * p3, o1 * t1 + o2 * t2 + o3 * t3
    y0, y1 = 15 * (op * i7 + ot * j7), 15 * (op * j7 + ot * k7)
    y2, y3 = 15 * (op * k7 + ot * m7), 3 * (op * i5 + ot * j5)
    z1, z2, z3 = 3 * (p1 * i5 + t1 * j5), 3 * (p2 * i5 + t2 * j5), 3 * (p3 * i5 + t3 * j5)
    r11 = p1 * p1 * y0 + 2 * p1 * t1 * y1 + t1 * t1 * y2 - y3 - 2 * o1 * z1
    r22 = p2 * p2 * y0 + 2 * p2 * t2 * y1 + t2 * t2 * y2 - y3 - 2 * o2 * z2
    r12 = p1 * p2 * y0 + (p1 * t2 + p2 * t1) * y1 + t1 * t2 * y2 - o1 * z2 - o2 * z1
    r13 = p1 * p3 * y0 + (p1 * t3 + p3 * t1) * y1 + t1 * t3 * y2 - o1 * z3 - o3 * z1
    r23 = p2 * p3 * y0 + (p2 * t3 + p3 * t2) * y1 + t2 * t3 * y2 - o2 * z3 - o3 * z2
    # Second derivatives of 2 pi psi, and of its derivative upwards.
    f11 = t3 * (b1 * h112 - b2 * h111) + k * (2 * q1 * w1 - rq * w11) - k_up * qg11
    f12 = t3 * (b1 * h122 - b2 * h112) + k * (q1 * w2 + q2 * w1 - rq * w12) - k_up * qg12
    f22 = t3 * (b1 * h222 - b2 * h122) + k * (2 * q2 * w2 - rq * w22) - k_up * qg22
    x11 = t3 * (b1 * g112 - b2 * g111) + k * (2 * q1 * w13 + q3 * w11 - qg11 - r11)
    x12 = t3 * (b1 * g122 - b2 * g112) + k * (q1 * w23 + q2 * w13 + q3 * w12 - qg12 - r12)
    x22 = t3 * (b1 * g222 - b2 * g122) + k * (2 * q2 * w23 + q3 * w22 - qg22 - r22)
    x13 = t3 * (b1 * w12 - b2 * w11) + k * (2 * q3 * w13 + q1 * w33 - 2 * qw1 - r13)
    x23 = t3 * (b1 * w22 - b2 * w12) + k * (2 * q3 * w23 + q2 * w33 - 2 * qw2 - r23)
    # The image is the field of a full space at the mirrored point, mirrored.
    l1, l2, l3 = w2 * t3 - w3 * t2, w3 * t1 - w1 * t3, w1 * t2 - w2 * t1
    d11 = -b1 * l1 - 2 * h * q1 * w1 - k * rq * w11
    d22 = -b2 * l2 - 2 * h * q2 * w2 - k * rq * w22
    d33 = -b3 * l3 - 2 * h * q3 * w3 - k * rq * w33
    d12 = -0.5 * (b1 * l2 + b2 * l1) - h * (q1 * w2 + q2 * w1) - k * rq * w12
    d13 = -0.5 * (b1 * l3 + b3 * l1) - h * (q1 * w3 + q3 * w1) - k * rq * w13
    d23 = -0.5 * (b2 * l3 + b3 * l2) - h * (q2 * w3 + q3 * w2) - k * rq * w23
    e11 = direct * f11 + 2 * up * x11 + d11
    e12 = direct * f12 + 2 * up * x12 + d12
    e22 = direct * f22 + 2 * up * x22 + d22
    e13, e23 = 2 * up * x13 + d13, 2 * up * x23 + d23
    cc, ss, cs = cosine * cosine, sine * sine, cosine * sine
    xx = cc * e11 - 2 * cs * e12 + ss * e22
    yy = ss * e11 + 2 * cs * e12 + cc * e22
    xy = cs * (e11 - e22) + (cc - ss) * e12
    xz = -(cosine * e13 - sine * e23)
    yz = -(sine * e13 + cosine * e23)
    zz = direct * (f11 + f22) - 2 * up * (x11 + x22) + d33
    return xx, xy, xz, yy, yz, zz


@njit(cache=True, error_model="numpy", fastmath=FAST)
def _at_vertex(x: float, y: float, z: float, vertices: Floats, i: int, tolerance: float) -> bool:
    """Say whether a point is a vertex, where the distances to the edges no longer tell."""
    for j in range(vertices.shape[1]):
        dx, dy, dz = vertices[i, j, 0] - x, vertices[i, j, 1] - y, vertices[i, j, 2] - z
        if dx * dx + dy * dy + dz * dz <= tolerance:
            return True
    return False


@njit(cache=True, parallel=True, error_model="numpy", fastmath=FAST)
def displacements(
    points: Floats,
    vertices: Floats,
    edges: Floats,
    burgers: Floats,
    kappa: float,
    half: bool,
    tolerance: float,
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the displacement (n, 3) of all sources at each point, and which points are singular."""
    n, m = points.shape[0], vertices.shape[0]
    out, singular = np.empty((n, 3)), np.zeros(n, np.bool_)
    for i in prange(n):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        sx = sy = sz = 0.0
        for j in range(m):
            ux, uy, uz, far = _direct_displacement(x, y, z, vertices, edges, burgers, j, kappa)
            sx, sy, sz = sx + ux, sy + uy, sz + uz
            if not far < FAR or _at_vertex(x, y, z, vertices, j, tolerance):
                singular[i] = True
            if half:
                ux, uy, uz = _surface_displacement(x, y, -z, vertices, edges, burgers, j, kappa)
                sx, sy, sz = sx + ux, sy + uy, sz + uz
        out[i, 0], out[i, 1], out[i, 2] = sx / FOUR_PI, sy / FOUR_PI, sz / FOUR_PI
    return out, singular


@njit(cache=True, parallel=True, error_model="numpy", fastmath=FAST)
def strains(
    points: Floats,
    vertices: Floats,
    edges: Floats,
    burgers: Floats,
    kappa: float,
    half: bool,
    tolerance: float,
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the strain (n, 6) of all sources at each point, and which points are singular.

    Edges outside, points inside: without logarithms in it, that loop runs in vector registers.
    """
    n, m, k = points.shape[0], vertices.shape[0], vertices.shape[1]
    out, singular = np.empty((n, 6)), np.zeros(n, np.bool_)
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        begin = chunk * CHUNK
        size = min(CHUNK, n - begin)
        place, total = np.empty((3, CHUNK)), np.zeros((7, CHUNK))
        for p in range(CHUNK):
            # The rest of the last chunk repeats its last point.
            q = begin + min(p, size - 1)
            place[0, p], place[1, p], place[2, p] = points[q, 0], points[q, 1], points[q, 2]
        for i in range(m):
            for j in range(k):
                first, second = int(edges[i, j, 0]), int(edges[i, j, 1])
                edge = (
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
                for p in range(CHUNK):
                    a0, a1, a2, a3, a4, a5, far = _direct_strain(
                        place[0, p], place[1, p], place[2, p], edge, kappa
                    )
                    total[0, p] += a0
                    total[1, p] += a1
                    total[2, p] += a2
                    total[3, p] += a3
                    total[4, p] += a4
                    total[5, p] += a5
                    total[6, p] = max(total[6, p], far)
                if half:
                    for p in range(CHUNK):
                        a0, a1, a2, a3, a4, a5 = _surface_strain(
                            place[0, p], place[1, p], -place[2, p], edge, kappa
                        )
                        total[0, p] += a0
                        total[1, p] += a1
                        total[2, p] += a2
                        total[3, p] += a3
                        total[4, p] += a4
                        total[5, p] += a5
            for p in range(size):
                if _at_vertex(place[0, p], place[1, p], place[2, p], vertices, i, tolerance):
                    singular[begin + p] = True
        for p in range(size):
            for r in range(6):
                out[begin + p, r] = total[r, p] / FOUR_PI
            if not total[6, p] < FAR or not np.isfinite(total[0, p]):
                singular[begin + p] = True
    return out, singular
