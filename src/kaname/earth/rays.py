"""First arrivals through flat layers: direct ray and head waves, each exact.

In layers of constant speed the travel time of a ray of slowness p is ``T = p X + tau(p)``. The direct ray
is found by Newton's method on the tangent of its flattest angle, on which X grows monotonically and concave,
so that the iteration cannot overshoot; a head wave has the slowness of the interface it runs along. Where
thin layers stand for a gradient, the head waves stand for the rays that turn in it: each runs with the speed
at its own depth, which makes the error one of second order in the thickness.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@njit(cache=True)
def _layer(tops: Floats, depth: float) -> int:
    # The layer whose top is the last one at or above the depth; the first layer reaches up without end.
    return max(0, int(np.searchsorted(tops, depth, side="right")) - 1)


@njit(cache=True)
def _thickness(tops: Floats, k: int, upper: float, lower: float) -> float:
    top = upper if k == 0 else max(tops[k], upper)
    bottom = lower if k == len(tops) - 1 else min(tops[k + 1], lower)
    return max(0.0, bottom - top)


@njit(cache=True)
def first_arrivals(
    tops: Floats,
    speed: Floats,
    below: Floats,
    source_depth: float,
    sensor_depth: float,
    distance: Floats,
    time: Floats,
    takeoff: Floats,
) -> None:
    """Write time [s] and take-off angle [degrees, 0 down] of the first arrival at increasing distances.

    Parameters
    ----------
    tops, speed, below
        Depth of the top [km], speed [km/s], and speed just below the top of each layer, float64 ``(n,)``; the
        first reaches up and the last down without end.
    source_depth, sensor_depth
        Depths [km].
    distance
        Horizontal distances [km] in increasing order, float64 ``(m,)``.
    time, takeoff
        Results, float64 ``(m,)``.
    """
    _direct(tops, speed, source_depth, sensor_depth, distance, time, takeoff)
    n = len(tops)
    upper, lower = min(source_depth, sensor_depth), max(source_depth, sensor_depth)
    highest, lowest = _layer(tops, upper), _layer(tops, lower)
    fastest = speed[highest : lowest + 1].max()
    for k in range(lowest + 1, n):
        if below[k] > fastest:
            _head(tops, speed, below[k], tops[k], source_depth, sensor_depth, distance, time, takeoff)
        fastest = max(fastest, speed[k])
    # A fast lid above both carries a head wave too.
    fastest = speed[highest : lowest + 1].max()
    for k in range(highest - 1, -1, -1):
        if speed[k] > fastest:
            fastest = speed[k]
            _head(tops, speed, speed[k], tops[k + 1], source_depth, sensor_depth, distance, time, takeoff)


@njit(cache=True)
def _direct(
    tops: Floats,
    speed: Floats,
    source_depth: float,
    sensor_depth: float,
    distance: Floats,
    time: Floats,
    takeoff: Floats,
) -> None:
    upper, lower = min(source_depth, sensor_depth), max(source_depth, sensor_depth)
    first, last = _layer(tops, upper), _layer(tops, lower)
    thickness = np.zeros(last - first + 1)
    for k in range(first, last + 1):
        thickness[k - first] = _thickness(tops, k, upper, lower)
    if lower - upper < 1e-9 or thickness.max() < 1e-9:
        for i in range(len(distance)):
            time[i] = distance[i] / speed[last]
            takeoff[i] = 90.0
        return
    used = np.flatnonzero(thickness > 0)
    h = thickness[used]
    v = speed[first:][used]
    fastest = v.max()
    ratio = v / fastest
    slack = 1.0 - ratio * ratio
    source_speed = v[-1] if source_depth > sensor_depth else v[0]
    u = 0.0
    for i in range(len(distance)):
        x = distance[i]
        for _ in range(60):
            reach, slope = 0.0, 0.0
            for j in range(len(h)):
                root = np.sqrt(1.0 + u * u * slack[j])
                reach += h[j] * ratio[j] * u / root
                slope += h[j] * ratio[j] / (root * root * root)
            step = (x - reach) / slope
            u += step
            if step <= 1e-10 * (1.0 + u):
                break
        u = max(u, 0.0)
        secant = np.sqrt(1.0 + u * u)
        total = 0.0
        for j in range(len(h)):
            total += h[j] / v[j] * secant / np.sqrt(1.0 + u * u * slack[j])
        time[i] = total
        sine = min(1.0, u / secant / fastest * source_speed)
        angle = np.degrees(np.arcsin(sine))
        takeoff[i] = 180.0 - angle if source_depth > sensor_depth else angle


@njit(cache=True)
def _head(
    tops: Floats,
    speed: Floats,
    along: float,
    interface: float,
    source_depth: float,
    sensor_depth: float,
    distance: Floats,
    time: Floats,
    takeoff: Floats,
) -> None:
    slowness = 1.0 / along
    intercept, critical = 0.0, 0.0
    for depth in (source_depth, sensor_depth):
        upper, lower = min(depth, interface), max(depth, interface)
        for j in range(_layer(tops, upper), _layer(tops, lower) + 1):
            h = _thickness(tops, j, upper, lower)
            if h > 0.0:
                sine = slowness * speed[j]
                cosine = np.sqrt(1.0 - sine * sine)
                intercept += h * cosine / speed[j]
                critical += h * sine / cosine
    angle = np.degrees(np.arcsin(min(1.0, slowness * speed[_layer(tops, source_depth)])))
    if interface < max(source_depth, sensor_depth):
        angle = 180.0 - angle
    for i in range(np.searchsorted(distance, critical), len(distance)):
        candidate = intercept + slowness * distance[i]
        if candidate < time[i]:
            time[i] = candidate
            takeoff[i] = angle


@njit(cache=True)
def fill_table(
    tops: Floats,
    speed: Floats,
    below: Floats,
    source_depths: Floats,
    sensor_depth: float,
    distance: Floats,
    time: Floats,
    takeoff: Floats,
) -> None:
    """Write time and take-off angle of the first arrival on a grid, float64 ``(n_depth, n_distance)``."""
    for i in range(len(source_depths)):
        first_arrivals(tops, speed, below, source_depths[i], sensor_depth, distance, time[i], takeoff[i])
