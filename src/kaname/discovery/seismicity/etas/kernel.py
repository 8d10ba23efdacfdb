"""Sums over pairs of earthquakes and integrals over time and region of the ETAS kernel, exact, in numba.

An earthquake of magnitude m (above the reference) triggers, s days later at a distance of r km, the rate

    k0 exp(a m) exp(-s / tau) (s + c)^-(1 + omega) (r2 + d exp(gamma m))^-(1 + rho)    [1/day/km2]

(Mizrahi, Nandan & Wiemer 2021, doi:10.1785/0220200231, eq. 1). Without the taper (tau infinite) this is
the kernel of Ogata & Zhuang (2006, doi:10.1016/j.tecto.2005.10.016). Distances are great circles.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numba
import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from kaname.discovery.seismicity.elementary import LN2, exp, log, log1p, log_ratio, one_minus_exp, split

N_SUM = 8
_FAST = {"reassoc", "contract", "arcp", "nsz"}
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
_TWO = 1 / np.sqrt(3)
_SHORT = 0.03
_PANEL = 2.0
"""Widest panel of a time integral, in units of log(s + c)."""
_FEW = 2_000_000
"""Pairs that take one thread less time than it takes to wake a second."""


@contextmanager
def threads_for(n_pair: int) -> Iterator[None]:
    """Let what follows run on one thread where there are so few pairs that more would only wait."""
    before = numba.get_num_threads()
    numba.set_num_threads(1 if n_pair < _FEW else before)
    try:
        yield
    finally:
        numba.set_num_threads(before)


@njit(fastmath=_FAST, error_model="numpy", inline="always")
def _arc_squared(dx, dy, dz, curvature):  # type: ignore[no-untyped-def]
    """Return the square of the arc of a chord: 4 arcsin(sqrt(u) / 2)^2 as a series, 1e-9 at 2,000 km."""
    chord = dx * dx + dy * dy + dz * dz
    u = chord * curvature
    return chord * (1 + u * (1 / 12.0 + u * (1 / 90.0 + u * (1 / 560.0 + u * (1 / 3150.0)))))


@njit(fastmath=_FAST, error_model="numpy", inline="always")
def _two_logs(a, b):  # type: ignore[no-untyped-def]
    """Return the logarithms of two positive numbers and 1 / (a b), all with one division."""
    e1, m1 = split(a)
    e2, m2 = split(b)
    p1, p2 = m1 + 1.0, m2 + 1.0
    pp, product = p1 * p2, a * b
    inverse = 1.0 / (pp * product)
    over_p = inverse * product
    log_a = e1 * LN2 + log_ratio((m1 - 1.0) * (p2 * over_p))
    log_b = e2 * LN2 + log_ratio((m2 - 1.0) * (p1 * over_p))
    return log_a, log_b, inverse * pp


@njit(fastmath=_FAST, error_model="numpy", parallel=True, cache=True)
def pair_sums(time, place, magnitude, size, zone, target, c, omega, inverse_tau, rho, radius_km):  # type: ignore[no-untyped-def]
    """Return, for each target, sums over all events before it of the kernel g and of what its gradient needs.

    Events are in order of time; one triggers those that come after it in the table, also at the same time.

    Parameters
    ----------
    time, place, magnitude
        Of all events [day], [km] ``(3, n)``, above the reference.
    size, zone
        Logarithm of the productivity k0 exp(a m), and d exp(gamma m) [km2] of all events ``(n,)``.
    target
        Indices of the targets, int64 ``(m,)``.
    c, omega, inverse_tau, rho
        See the module; ``inverse_tau`` is 1 / tau [1/day].
    radius_km
        Radius of the sphere.

    Returns
    -------
    sums
        ``(m, 8)``: of g, g / (s + c), g log(s + c), g s, g m, g D / (r2 + D), g m D / (r2 + D) and
        g log(r2 + D).
    """
    curvature = 1.0 / radius_km**2
    one_omega, one_rho = 1.0 + omega, 1.0 + rho
    out = np.zeros((len(target), N_SUM))
    x, y, z = place[0], place[1], place[2]
    for k in prange(len(target)):
        j = target[k]
        t_j, x_j, y_j, z_j = time[j], x[j], y[j], z[j]
        s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
        for i in range(j):
            delay = t_j - time[i]
            soon = delay + c
            near = _arc_squared(x_j - x[i], y_j - y[i], z_j - z[i], curvature) + zone[i]
            log_soon, log_near, over = _two_logs(soon, near)
            g = exp(size[i] - delay * inverse_tau - one_omega * log_soon - one_rho * log_near)
            g_zone = g * zone[i] * (soon * over)
            s0 += g
            s1 += g * (near * over)
            s2 += g * log_soon
            s3 += g * delay
            s4 += g * magnitude[i]
            s5 += g_zone
            s6 += g_zone * magnitude[i]
            s7 += g * log_near
        out[k, 0], out[k, 1], out[k, 2], out[k, 3] = s0, s1, s2, s3
        out[k, 4], out[k, 5], out[k, 6], out[k, 7] = s4, s5, s6, s7
    return out


@njit(fastmath=_FAST, error_model="numpy", parallel=True, cache=True)
def pair_rates(  # type: ignore[no-untyped-def]
    time, place, size, zone, at_time, at_place, before, c, omega, inverse_tau, rho, radius_km
):
    """Return the first of `pair_sums` alone, in half the time, at any time and place.

    Parameters
    ----------
    time, place, size, zone
        Of all events, see `pair_sums`.
    at_time, at_place, before
        Where it is wanted, [day] ``(m,)``, [km] ``(3, m)``, and how many events come before each, int64.
    c, omega, inverse_tau, rho, radius_km
        See `pair_sums`.
    """
    curvature = 1.0 / radius_km**2
    one_omega, one_rho = 1.0 + omega, 1.0 + rho
    out = np.zeros(len(before))
    x, y, z = place[0], place[1], place[2]
    for k in prange(len(before)):
        t_k, x_k, y_k, z_k = at_time[k], at_place[0, k], at_place[1, k], at_place[2, k]
        total = 0.0
        for i in range(before[k]):
            delay = t_k - time[i]
            near = _arc_squared(x_k - x[i], y_k - y[i], z_k - z[i], curvature) + zone[i]
            log_soon, log_near, _ = _two_logs(delay + c, near)
            total += exp(size[i] - delay * inverse_tau - one_omega * log_soon - one_rho * log_near)
        out[k] = total
    return out


@njit(fastmath=_FAST, error_model="numpy", parallel=True, cache=True)
def temporal_sums(time, weight, target, c, omega, inverse_tau):  # type: ignore[no-untyped-def]
    """Return, for each target, the sum over all events before it of ``weight`` times the decay with time."""
    out = np.zeros(len(target))
    for k in prange(len(target)):
        j = target[k]
        total = 0.0
        for i in range(j):
            delay = time[j] - time[i]
            total += weight[i] * exp(-delay * inverse_tau - (1.0 + omega) * log(delay + c))
        out[k] = total
    return out


@njit(error_model="numpy", cache=True)
def _decay(low, high, c, omega, inverse_tau):  # type: ignore[no-untyped-def]
    """Return the integrals of `time_integrals` between two values of log(s + c)."""
    s0 = s1 = s2 = s3 = 0.0
    n_panel = max(1, int(np.ceil((high - low) / _PANEL)))
    half = (high - low) / n_panel / 2
    for panel in range(n_panel):
        for k in range(len(_NODES)):
            u = low + half * (2 * panel + 1.0 + _NODES[k])
            soon = exp(u)
            delay = soon - c
            h = _WEIGHTS[k] * exp(-delay * inverse_tau - omega * u)
            s0 += h
            s1 += h / soon
            s2 += h * u
            s3 += h * delay
    return s0 * half, s1 * half, s2 * half, s3 * half


@njit(error_model="numpy", parallel=True, cache=True)
def time_integrals(begin, end, c, omega, inverse_tau):  # type: ignore[no-untyped-def]
    """Return integrals of the decay h(s) from ``begin`` to ``end`` [day] after each event.

    Gauss-Legendre in log(s + c), where the power law is smooth; a relative error of some 1e-11.

    Returns
    -------
    integrals
        ``(n, 4)``: of h, h / (s + c), h log(s + c), h s.
    """
    out = np.zeros((len(begin), 4))
    for i in prange(len(begin)):
        if end[i] > begin[i]:
            low, high = np.log(begin[i] + c), np.log(end[i] + c)
            s = _decay(low, high, c, omega, inverse_tau)
            out[i, 0], out[i, 1], out[i, 2], out[i, 3] = s
    return out


@njit(error_model="numpy", parallel=True, cache=True)
def hidden_integrals(day, begin, end, share, c, omega, inverse_tau):  # type: ignore[no-untyped-def]
    """Return what of `time_integrals` falls into intervals [day] in which a ``share`` is not seen.

    Parameters
    ----------
    day
        Of each event, ``(n,)``.
    begin, end, share
        Of the intervals, in order, ``(k,)``.
    c, omega, inverse_tau
        See the module.
    """
    out = np.zeros((len(day), 4))
    for i in prange(len(day)):
        last, high = -1.0, 0.0
        s0 = s1 = s2 = s3 = 0.0
        for k in range(np.searchsorted(end, day[i], side="right"), len(begin)):
            # As a rule an interval begins where the one before it ended.
            low = high if begin[k] == last else log(max(begin[k] - day[i], 0.0) + c)
            last, high = end[k], log(end[k] - day[i] + c)
            # Short ones need two nodes: an error of 1e-9 of theirs.
            if high - low < _SHORT:
                for side in (-_TWO, _TWO):
                    u = (low + high + side * (high - low)) / 2
                    soon = exp(u)
                    h = share[k] * exp(-(soon - c) * inverse_tau - omega * u) * (high - low) / 2
                    s0 += h
                    s1 += h / soon
                    s2 += h * u
                    s3 += h * (soon - c)
            else:
                s = _decay(low, high, c, omega, inverse_tau)
                s0 += share[k] * s[0]
                s1 += share[k] * s[1]
                s2 += share[k] * s[2]
                s3 += share[k] * s[3]
        out[i, 0], out[i, 1], out[i, 2], out[i, 3] = s0, s1, s2, s3
    return out


@njit(error_model="numpy", parallel=True, cache=True)
def space_integrals(first, squared, weight, zone, rho):  # type: ignore[no-untyped-def]
    """Return the integral over the region of (r2 + D)^-(1 + rho) about each event, and its derivatives.

    Written with u = r2 / D and 1 - (1 + u)^-rho, so that a zone far larger than the region costs no digits.

    Parameters
    ----------
    first, squared, weight
        Of `kaname.discovery.seismicity.region.Quadrature`.
    zone, rho
        D of each event [km2] ``(n,)``, and the exponent.

    Returns
    -------
    integrals
        ``(n, 3)``: the integral, and its derivatives by D and by rho.
    """
    out = np.empty((len(zone), 3))
    for i in prange(len(zone)):
        log_zone, inverse = np.log(zone[i]), 1 / zone[i]
        total = by_zone = by_rho = 0.0
        for k in range(first[i], first[i + 1]):
            u = squared[k] * inverse
            stretch = log1p(u)
            part = one_minus_exp(rho * stretch)
            total += weight[k] * part
            by_zone += weight[k] * (u + part) / (1 + u)
            by_rho += weight[k] * stretch * (1 - part)
        height = exp(-rho * log_zone) / (2 * rho)
        out[i, 0] = height * total
        out[i, 1] = -rho * height * inverse * by_zone
        out[i, 2] = height * (by_rho - total * (1 / rho + log_zone))
    return out


def plane_integrals(zone: NDArray[np.float64], rho: float) -> NDArray[np.float64]:
    """Return the same as `space_integrals` over the whole plane."""
    total = np.pi / rho * zone**-rho
    return np.column_stack([total, -rho * total / zone, -total * (1 / rho + np.log(zone))])
