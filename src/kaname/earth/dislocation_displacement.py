"""Displacement of polygonal dislocations: logarithms and angles one by one, all else for many points at once.

``dislocation_edges`` says what the symbols are.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from kaname.earth.dislocation_edges import (
    CHUNK,
    FAR,
    FAST,
    FOUR_PI,
    STEEP,
    Floats,
    along,
    at_vertex,
    edge_of,
    fill,
    mirrored,
    projected,
    slopes,
)

_SERIES = tuple(1 / (k + 3) for k in range(9, -1, -1))
"""Of -(log(1 - y) + y + y^2 / 2) / y^3, the highest power first; y stays below `STEEP` / 2."""


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
def _log_ratio(share: float, growth: float) -> float:
    """Return the integral of 1/R along an edge, of `_direct_arguments` or `_surface_arguments`."""
    return math.log1p(growth) if share > 0.1 else 2 * _atanh(share)


@njit(cache=True, error_model="numpy", fastmath=FAST, inline="always")
def _solid_angle(x: float, y: float, z: float, corner: tuple[float, ...]) -> tuple[float, float]:
    """Return sine and cosine (scaled) of half a triangle's solid angle, positive behind its normal."""
    a0, a1, a2, b0, b1, b2, c0, c1, c2 = corner
    ax, ay, az, bx, by, bz, cx, cy, cz = (
        a0 - x,
        a1 - y,
        a2 - z,
        b0 - x,
        b1 - y,
        b2 - z,
        c0 - x,
        c1 - y,
        c2 - z,
    )
    ra = math.sqrt(ax * ax + ay * ay + az * az)
    rb = math.sqrt(bx * bx + by * by + bz * bz)
    rc = math.sqrt(cx * cx + cy * cy + cz * cz)
    # Sides instead of vertices: near the plane the difference is taken before the product.
    ux, uy, uz = b0 - a0, b1 - a1, b2 - a2
    vx, vy, vz = c0 - a0, c1 - a1, c2 - a2
    volume = ax * (uy * vz - uz * vy) + ay * (uz * vx - ux * vz) + az * (ux * vy - uy * vx)
    ab, bc, ca = ax * bx + ay * by + az * bz, bx * cx + by * cy + bz * cz, cx * ax + cy * ay + cz * az
    # Adding zero makes minus zero plus zero: a point on the triangle belongs to the side the normal leaves.
    return volume + 0.0, ra * rb * rc + ab * rc + bc * ra + ca * rb


@njit(cache=True, error_model="numpy", fastmath=FAST, inline="always")
def _direct_arguments(x: float, y: float, z: float, edge: tuple[float, ...]) -> tuple[float, float, float]:
    """Return what the logarithm in a full space is of, and how near to singular."""
    vax, vay, vaz, vcx, vcy, vcz, length, tx, ty, tz, _, _, _, _, _, _, _, _, _, _ = edge
    ax, ay, az, cx, cy, cz = vax - x, vay - y, vaz - z, vcx - x, vcy - y, vcz - z
    ra, rb = math.sqrt(ax * ax + ay * ay + az * az), math.sqrt(cx * cx + cy * cy + cz * cz)
    sa = ax * tx + ay * ty + az * tz
    px, py, pz = ax - sa * tx, ay - sa * ty, az - sa * tz
    _, _, _, _, steep = along(ra, rb, sa, sa + length, px * px + py * py + pz * pz, length)
    total = ra + rb
    return length / total, length * (total + length) * steep, steep * ra * rb


@njit(cache=True, error_model="numpy", fastmath=FAST, inline="always")
def _direct_displacement(
    x: float, y: float, z: float, edge: tuple[float, ...], log: float, kappa: float
) -> tuple[float, float, float]:
    """Return 4 pi u of an edge in a full space, without the solid angle."""
    vax, vay, vaz, vcx, vcy, vcz, length, tx, ty, tz, _, _, _, _, _, _, sign, ebx, eby, ebz = edge
    bx, by, bz = sign * ebx, sign * eby, sign * ebz
    ax, ay, az, cx, cy, cz = vax - x, vay - y, vaz - z, vcx - x, vcy - y, vcz - z
    ra, rb = math.sqrt(ax * ax + ay * ay + az * az), math.sqrt(cx * cx + cy * cy + cz * cz)
    sa = ax * tx + ay * ty + az * tz
    px, py, pz = ax - sa * tx, ay - sa * ty, az - sa * tz
    i3, j3, _, _, _ = along(ra, rb, sa, sa + length, px * px + py * py + pz * pz, length)
    qx, qy, qz = ty * bz - tz * by, tz * bx - tx * bz, tx * by - ty * bx
    w = (1 - kappa) * log
    rq = kappa * (ax * qx + ay * qy + az * qz)
    return (
        -(w * qx + rq * (px * i3 + tx * j3)),
        -(w * qy + rq * (py * i3 + ty * j3)),
        -(w * qz + rq * (pz * i3 + tz * j3)),
    )


@njit(cache=True, error_model="numpy", fastmath=FAST, inline="always")
def _surface_arguments(x: float, y: float, up: float, edge: tuple[float, ...]) -> tuple[float, ...]:
    """Return what the logarithms and the angle are of in what the surface adds."""
    length, t3, s = edge[6], edge[9], edge[12]
    a1, a2, a3, _, c3, ra, rb, sa, sb, _, _, square, _, _, _, _, steep = mirrored(x, y, up, edge)
    total = ra + rb
    share = 1 / total
    tangent, offset = s / (1 + t3), t3 * a1 - s * a3
    if s < STEEP:
        # Of the ratio of (R + d) / (R - R . t) at both ends.
        ta, tb = ra - sa, rb - sb
        turned = tangent * ta + (a1 - tangent * a3) * share * (ta + tb)
        ratio = s * length * turned / ((rb - c3) * ta + (ra - a3) * tb)
    else:
        # Of the ratio of R + d at both ends.
        ratio = length * ((sa + sb) * share - t3) / (total - a3 - c3)
    ta = ra + sa if sa > 0 else square / (ra - sa)
    tb = rb + sb if sb > 0 else square / (rb - sb)
    rises = a2 * tangent * length * (ta + tb) * share
    runs = a2 * a2 + (tangent * ta + offset) * (tangent * tb + offset)
    return length * share, length * (total + length) * steep, ratio, rises, runs


@njit(cache=True, error_model="numpy", fastmath=FAST, inline="always")
def _remainder(u: float, v: float, tangent: float) -> tuple[float, float]:
    """Return O^2 / 2 - T O - (log(1 - T O) + T O + T^2 O^2 / 2) / T^2 of O = u + i v."""
    y, z = tangent * u, tangent * v
    p, q = _SERIES[0], 0.0
    for k in range(1, len(_SERIES)):
        p, q = _SERIES[k] + y * p - z * q, y * q + z * p
    uu, uv = u * u - v * v, 2 * u * v
    # The series times T O^3.
    m, n = uu * y - uv * z, uu * z + uv * y
    return 0.5 * uu - y + m * p - n * q, 0.5 * uv - z + m * q + n * p


@njit(cache=True, error_model="numpy", fastmath=FAST, inline="always")
def _surface_displacement(
    x: float,
    y: float,
    up: float,
    edge: tuple[float, ...],
    w: float,
    ratio: float,
    angle: float,
    kappa: float,
    steep: bool,
) -> tuple[float, float, float]:
    """Return 4 pi u of an edge that the surface adds, image and third part, without the solid angle."""
    direct = 2 * (1 / kappa - 1)  # 4 (1 - nu) - 2 = 2 (1 - 2 nu)
    rise = 2 / kappa  # 4 (1 - nu)
    _, _, _, _, _, _, _, _, _, t3, cosine, sine, s, b1, b2, b3, _, _, _, _ = edge
    seen = mirrored(x, y, up, edge)
    a1, a2, a3, c1, c3, ra, rb, sa, sb, _, _, _, _, _, _, _, _ = seen
    w1, w2, w3, w11, w12, w13, w23, w33 = slopes(seen, s, t3)
    w22 = -w11 - w33
    g2 = -angle / s
    if steep:
        tangent = s / (1 + t3)
        ua, va, _, _, ma, na = projected(a1, a2, a3, ra, sa, tangent)
        ub, vb, _, _, mb, nb = projected(c1, a2, c3, rb, sb, tangent)
        g1 = tangent * w - ratio / s
        g11 = 0.5 * (ma / ra - mb / rb + tangent * w1 - w3)
        g12 = 0.5 * (nb / rb - na / ra + tangent * w2)
        ea, fa = _remainder(ua, va, tangent)
        eb, fb = _remainder(ub, vb, tangent)
        h11 = 0.5 * (eb - ea + tangent * tangent * (w - 0.5 * ratio) - w)
        h12 = -0.5 * (fb - fa + 0.5 * tangent * tangent * angle)
    else:
        over, ka, kb = 1 / s, 1 / (ra - a3), 1 / (rb - c3)
        ma, mb = ka / ra, kb / rb
        g1 = -(ratio + t3 * w) * over
        g11 = (c1 * mb - a1 * ma - t3 * w1) * over
        g12 = (a2 * (mb - ma) - t3 * w2) * over
        h11 = -(c1 * kb - a1 * ka + t3 * g1) * over
        h12 = -(a2 * (kb - ka) + t3 * g2) * over
    g22, h22 = -g11 - w3, -w - h11
    q1, q2, q3 = -t3 * b2, t3 * b1 - s * b3, s * b2
    rq = a1 * q1 + a2 * q2 + a3 * q3
    k, k_up = kappa, kappa * up
    # Derivatives of 2 pi psi: along 1, 2, 3, then 13, 23, 33.
    f1 = t3 * (b1 * h12 - b2 * h11) + k * (q1 * w - rq * w1) - k_up * (q1 * g11 + q2 * g12 + q3 * w1)
    f2 = t3 * (b1 * h22 - b2 * h12) + k * (q2 * w - rq * w2) - k_up * (q1 * g12 + q2 * g22 + q3 * w2)
    qg, qw = q1 * g1 + q2 * g2 + q3 * w, q1 * w1 + q2 * w2 + q3 * w3
    f3 = t3 * (b1 * g2 - b2 * g1) + k * (q3 * w - rq * w3 - qg) - k_up * qw
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
    return (
        cosine * u1 - sine * u2,
        sine * u1 + cosine * u2,
        rise * f3 - 2 * up * f33 + mirror * q3 + k * rq * w3,
    )


@njit(cache=True, error_model="numpy", fastmath=FAST, inline="always")
def _add_surface(
    total: Floats, place: Floats, edge: tuple[float, ...], held: Floats, kappa: float, steep: bool
) -> None:
    """Add what the surface adds at the points of a chunk; ``steep`` is a constant: one loop of each kind."""
    for p in range(CHUNK):
        ux, uy, uz = _surface_displacement(
            place[0, p], place[1, p], -place[2, p], edge, held[0, p], held[2, p], held[3, p], kappa, steep
        )
        total[0, p] += ux
        total[1, p] += uy
        total[2, p] += uz


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
    n, m, k = points.shape[0], vertices.shape[0], vertices.shape[1]
    out, singular = np.empty((n, 3)), np.zeros(n, np.bool_)
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        begin = chunk * CHUNK
        place, total, held = np.empty((3, CHUNK)), np.zeros((4, CHUNK)), np.empty((5, CHUNK))
        size = fill(place, points, begin)
        for i in range(m):
            for image in range(2 if half else 1):
                side = -1.0 if image else 1.0
                for j in range(1, k - 1):
                    corner = (
                        vertices[i, 0, 0],
                        vertices[i, 0, 1],
                        vertices[i, 0, 2],
                        vertices[i, j, 0],
                        vertices[i, j, 1],
                        vertices[i, j, 2],
                        vertices[i, j + 1, 0],
                        vertices[i, j + 1, 1],
                        vertices[i, j + 1, 2],
                    )
                    bx, by, bz = 2 * burgers[i, 0], 2 * burgers[i, 1], side * 2 * burgers[i, 2]
                    for p in range(CHUNK):
                        held[0, p], held[1, p] = _solid_angle(
                            place[0, p], place[1, p], side * place[2, p], corner
                        )
                    for p in range(CHUNK):
                        angle = _atan2(held[0, p], held[1, p])
                        total[0, p] -= bx * angle
                        total[1, p] -= by * angle
                        total[2, p] -= bz * angle
            for j in range(k):
                edge = edge_of(vertices, edges, burgers, i, j)
                for p in range(CHUNK):
                    share, growth, far = _direct_arguments(place[0, p], place[1, p], place[2, p], edge)
                    held[0, p] = share
                    held[1, p] = growth
                    total[3, p] = max(total[3, p], far)
                for p in range(CHUNK):
                    held[0, p] = _log_ratio(held[0, p], held[1, p])
                for p in range(CHUNK):
                    ux, uy, uz = _direct_displacement(
                        place[0, p], place[1, p], place[2, p], edge, held[0, p], kappa
                    )
                    total[0, p] += ux
                    total[1, p] += uy
                    total[2, p] += uz
                if half:
                    for p in range(CHUNK):
                        share, growth, ratio, rises, runs = _surface_arguments(
                            place[0, p], place[1, p], -place[2, p], edge
                        )
                        held[0, p] = share
                        held[1, p] = growth
                        held[2, p] = ratio
                        held[3, p] = rises
                        held[4, p] = runs
                    for p in range(CHUNK):
                        held[0, p] = _log_ratio(held[0, p], held[1, p])
                        held[2, p] = 2 * _atanh(held[2, p])
                        held[3, p] = 2 * _atan2(held[3, p], held[4, p])
                    if edge[12] < STEEP:
                        _add_surface(total, place, edge, held, kappa, True)
                    else:
                        _add_surface(total, place, edge, held, kappa, False)
            for p in range(size):
                if at_vertex(place[0, p], place[1, p], place[2, p], vertices, i, tolerance):
                    singular[begin + p] = True
        for p in range(size):
            for r in range(3):
                out[begin + p, r] = total[r, p] / FOUR_PI
            if not total[3, p] < FAR or not np.isfinite(total[0, p]):
                singular[begin + p] = True
    return out, singular
