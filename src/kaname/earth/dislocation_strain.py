"""Strain of polygonal dislocations: rational in the distances, so that many points run at once.

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
    THIRD,
    Floats,
    along,
    at_vertex,
    edge_of,
    fill,
    mirrored,
    projected,
    slopes,
)


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
    i3, j3, i5, j5, steep = along(ra, rb, sa, sa + length, p2, length)
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


@njit(cache=True, error_model="numpy", fastmath=FAST, inline="always")
def _surface_strain(
    x: float, y: float, up: float, edge: tuple[float, ...], kappa: float
) -> tuple[float, ...]:
    """Return 4 pi times the strain (xx, xy, xz, yy, yz, zz) that the surface adds: image and third part."""
    h = 0.5 - kappa
    direct = 2 * (1 / kappa - 1)
    _, _, _, _, _, _, _, _, _, t3, cosine, sine, s, b1, b2, b3, _, _, _, _ = edge
    seen = mirrored(x, y, up, edge)
    a1, a2, a3, c1, c3, ra, rb, sa, sb, p1, p3, square, i3, _, i5, j5, steep = seen
    w1, w2, w3, w11, w12, w13, w23, w33 = slopes(seen, s, t3)
    w22 = -w11 - w33
    i7, j7 = _seventh(ra, rb, steep, i3, i5)
    k7, m7 = i5 - square * i7, j5 - square * j7
    ia, ib = 1 / ra, 1 / rb
    if s < STEEP:
        tangent = s / (1 + t3)
        cut = 1 / (1 + tangent * tangent)
        ua, va, pa, qa, ma, na = projected(a1, a2, a3, ra, sa, tangent)
        ub, vb, pb, qb, mb, nb = projected(c1, a2, c3, rb, sb, tangent)
        # D F_1, D F_2 and D D F_1.
        d1, e1 = mb * ib - ma * ia - tangent * w1, nb * ib - na * ia + tangent * w2
        la, oa = (ua * ma - va * na) * ia, (ua * na + va * ma) * ia
        lb, ob = (ub * mb - vb * nb) * ib, (ub * nb + vb * mb) * ib
        d2, e2 = lb - la - tangent * d1, ob - oa - tangent * e1
        ya, za = (2 - a3 * ia + cut * pa) * ia, cut * qa * ia
        yb, zb = (2 - c3 * ib + cut * pb) * ib, cut * qb * ib
        d3 = lb * yb - ob * zb - la * ya + oa * za - tangent * (2 * w11 + w33)
        e3 = lb * zb + ob * yb - la * za - oa * ya + 2 * tangent * w12
        g11, g12 = -0.5 * (d1 + w3), 0.5 * e1
        g111, g112 = -0.25 * (d3 + 3 * w13), 0.25 * (e3 - w23)
        h111, h112 = 0.25 * (d2 - 3 * w1), -0.25 * (e2 + w2)
    else:
        ka, kb = 1 / (ra - a3), 1 / (rb - c3)
        ma, mb = ka * ia, kb * ib
        va, vb = ma * ka, mb * kb
        la, lb = ma * (ia + ka) * ia, mb * (ib + kb) * ib
        over = 1 / s
        g11 = (c1 * mb - a1 * ma - t3 * w1) * over
        g12 = (a2 * (mb - ma) - t3 * w2) * over
        g111 = -(mb - ma - c1 * c1 * lb + a1 * a1 * la + t3 * w11) * over
        g112 = (a2 * (c1 * lb - a1 * la) - t3 * w12) * over
        h111 = (kb - ka - c1 * c1 * vb + a1 * a1 * va - t3 * g11) * over
        h112 = -(a2 * (c1 * vb - a1 * va) + t3 * g12) * over
    g122, g222 = -g111 - w13, -g112 - w23
    h122, h222 = -h111 - w1, -h112 - w2
    q1, q2, q3 = -t3 * b2, t3 * b1 - s * b3, s * b2
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
    op, ot = o1 * p1 + o2 * a2 + o3 * p3, o1 * s + o3 * t3
    y0, y1 = 15 * (op * i7 + ot * j7), 15 * (op * j7 + ot * k7)
    y2, y3 = 15 * (op * k7 + ot * m7), 3 * (op * i5 + ot * j5)
    z1, z2, z3 = 3 * (p1 * i5 + s * j5), 3 * a2 * i5, 3 * (p3 * i5 + t3 * j5)
    r11 = p1 * p1 * y0 + 2 * p1 * s * y1 + s * s * y2 - y3 - 2 * o1 * z1
    r22 = a2 * a2 * y0 - y3 - 2 * o2 * z2
    r12 = a2 * (p1 * y0 + s * y1) - o1 * z2 - o2 * z1
    r13 = p1 * p3 * y0 + (p1 * t3 + p3 * s) * y1 + s * t3 * y2 - o1 * z3 - o3 * z1
    r23 = a2 * (p3 * y0 + t3 * y1) - o2 * z3 - o3 * z2
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
    l1, l2, l3 = w2 * t3, w3 * s - w1 * t3, -w2 * s
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
        place, total = np.empty((3, CHUNK)), np.zeros((7, CHUNK))
        size = fill(place, points, begin)
        for i in range(m):
            for j in range(k):
                edge = edge_of(vertices, edges, burgers, i, j)
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
                if at_vertex(place[0, p], place[1, p], place[2, p], vertices, i, tolerance):
                    singular[begin + p] = True
        for p in range(size):
            for r in range(6):
                out[begin + p, r] = total[r, p] / FOUR_PI
            if not total[6, p] < FAR or not np.isfinite(total[0, p]):
                singular[begin + p] = True
    return out, singular
