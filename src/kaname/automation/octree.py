"""Oct-tree importance sampling of the equal-differential-time likelihood, compiled.

The misfit is that of the differences between arrivals, so that no origin time enters (Zhou 1994; Font et
al. 2004; Lomax 2005). With residuals ``r = t - T(x)`` of ``n`` arrivals and their variances ``v``, over all
pairs::

    S(x) = sum_ab [ w_ab exp( -(r_a - r_b)^2 / (2 k (v_a + v_b)) ) ] / sum_ab [ w_ab ],  w_ab = 1/v_a + 1/v_b
    L(x) = S(x)^m  prod_a [ v_a^(-(n - 1) / 2 n) ]  prod_a [ R_a^(-d / n) ]

A pair that a wrong pick belongs to adds next to nothing wherever the others agree. With these weights (Lomax
2005 has ``(v_a + v_b)^-1/2``) and a broad kernel, ``L`` is the Gaussian likelihood with origin time removed,
also for unequal errors; the first product is its normalisation, which matters because the variances grow
with distance. Breadth ``k`` and exponent ``m`` follow from the number of arrivals alone, see `shape`.

The second product is the prior: earthquakes are everywhere equally likely, but to be in the data they must
have been recorded. With a Gutenberg-Richter slope of 1 and amplitudes that fall as ``R^-d``, the number of
those that reach the sensors falls as ``R^-d`` too. ``R`` is the distance of the epicentre at 10 km depth:
depth itself is left to the arrivals. It matters where these say little, which four or five of them may.

The search goes level by level: every cell that may hold a noticeable part of the probability is split in
eight, the rest is left (Lomax & Curtis 2001 split one cell at a time, in order of probability). A large cell
is judged by a likelihood widened by the travel time across it, so that a narrow peak between cell centres is
not missed. Once the probability is spread over enough cells, samples are drawn in proportion to it and
weighted by the exact likelihood.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LOG_RANGE = 7.0
"""Cells whose log likelihood lies this far below the best are left out (0.3 % of a normal posterior)."""
PRIOR_CORE_KM2 = 100.0
"""Square of the depth at which the prior takes an event to be, whatever its depth."""
COARSE_RANGE = 0.5
"""The same for ``k ln S`` in large cells: the cell of the best place need not be the best cell."""
SPREAD = 40.0
"""The search ends when the probability is spread over this many cells."""
LEAST_EFFECTIVE = 0.2
"""Share of the samples that must be effective; otherwise the cells are split once more."""
MAX_CELLS = 4096
SMALLEST_KM = 0.005
FAST = {"nnan", "ninf", "nsz", "contract"}
"""Not ``reassoc``: sums whose order depends on where the memory lies would not be the same twice."""
BLOCK = 64
"""Points evaluated together, so that the innermost loop runs over points and not over few arrivals."""


class Observations(NamedTuple):
    """The arrivals of one event in a local frame, and the travel-time tables that predict them.

    Parameters
    ----------
    east, north, depth
        Sensors [km], float64 ``(n,)``.
    time
        Arrival times less station corrections [s] after any reference, float64 ``(n,)``.
    variance
        Of pick and model at no distance [s2], float64 ``(n,)``.
    fraction
        Standard error of the travel time as a share of it.
    decay
        Exponent ``d`` of the prior; 0 makes it flat.
    which
        Row of ``slowness`` of each arrival, int64 ``(n,)``.
    slowness
        Mean slowness tables [s/km], float32 ``(n_table, n_depth, n_distance)``.
    grid
        Offset and step of the distance nodes, first depth, offset and step of the depth nodes.
    """

    east: Floats
    north: Floats
    depth: Floats
    time: Floats
    variance: Floats
    fraction: float
    decay: float
    which: NDArray[np.int64]
    slowness: NDArray[np.float32]
    grid: Floats


@njit(cache=True)
def shape(n: int) -> tuple[float, float]:
    """Return breadth ``k`` and exponent ``m`` of the likelihood of ``n`` Gaussian arrivals.

    A narrow kernel (``k = 1``) shrugs off wrong picks; but while arrivals are few, any three or four that
    happen to agree somewhere else raise a plateau that holds much of the probability. So the kernel starts
    broad, close to least squares, and narrows as arrivals get more.

    The exponent makes the posterior as wide as its peak scatters. Write the variance of the residuals as a
    share ``f`` of the stated one (the four fitted parameters take up the rest). The curvature of ``ln S`` is
    that of least squares with origin time removed, divided by ``(n - 1) (k + f)``; the variance of the peak,
    an M-estimator of a U-statistic, exceeds that of least squares by the factor ``scatter``.
    """
    k = 1.0 + 60.0 / (n - 3.0) ** 2
    f = (n - 4.0) / n
    scatter = (2 * k / (2 * k + 1)) ** 3 * ((2 * k + 1) / (2 * k + 3)) ** 1.5 * ((k + 1) / k) ** 3
    return k, (n - 1.0) * (k + f) / (1.0 + f * (scatter - 1.0))


@njit(cache=True, fastmath=FAST, error_model="numpy")
def residuals(
    points: Floats,
    cell_km2: float,
    obs: Observations,
    residual: NDArray[np.float32],
    pull: NDArray[np.float32],
    widened: Floats,
    log_prior: Floats,
) -> None:
    """Write residuals without origin time [s] and their inverse variances [1/s2] at up to `BLOCK` points.

    Parameters
    ----------
    points
        East, north, depth [km], float64 ``(m, >=3)``.
    cell_km2
        Mean square distance of a cell's points from its centre along one axis; 0 for points.
    obs
        Arrivals and tables.
    residual, pull
        Results, float32 ``(n, BLOCK)``.
    widened
        Mean share of the cell in the variances, float64 ``(BLOCK,)``.
    log_prior
        Log of the two products, but for a constant, float64 ``(BLOCK,)``.
    """
    m, n = len(points), len(obs.time)
    grid, fraction2 = obs.grid, obs.fraction**2
    root_x, root_z = np.sqrt(grid[0]), np.sqrt(grid[3])
    last_x, last_z = obs.slowness.shape[2] - 2, obs.slowness.shape[1] - 2
    row, rise = np.empty(BLOCK, np.int64), np.empty(BLOCK)
    column, run = np.empty(BLOCK, np.int64), np.empty(BLOCK)
    straight2 = np.empty(BLOCK)
    for p in range(m):
        w = (np.sqrt(max(points[p, 2] - grid[2], 0.0) + grid[3]) - root_z) / grid[4]
        row[p] = min(int(w), last_z)
        rise[p] = w - row[p]
    widened[:] = 0.0
    log_prior[:] = 0.0
    growth, far2 = np.ones(BLOCK), np.ones(BLOCK)
    normal, fall = 0.5 * (n - 1.0) / n, 0.5 * obs.decay / n
    for a in range(n):
        for p in range(m):
            dx, dy, dz = points[p, 0] - obs.east[a], points[p, 1] - obs.north[a], points[p, 2] - obs.depth[a]
            d2 = dx * dx + dy * dy
            u = (np.sqrt(np.sqrt(d2) + grid[0]) - root_x) / grid[1]
            column[p] = min(int(u), last_x)
            run[p] = u - column[p]
            straight2[p] = d2 + dz * dz
        table, own = obs.slowness[obs.which[a]], obs.variance[a]
        for p in range(m):
            j, i, g, f = row[p], column[p], rise[p], run[p]
            upper = (1.0 - f) * table[j, i] + f * table[j, i + 1]
            lower = (1.0 - f) * table[j + 1, i] + f * table[j + 1, i + 1]
            s = (1.0 - g) * upper + g * lower
            t2 = s * s * straight2[p]
            cell = s * s * cell_km2
            inverse = 1.0 / (own + fraction2 * t2 + cell)
            residual[a, p] = obs.time[a] - np.sqrt(t2)
            pull[a, p] = inverse
            widened[p] += cell * inverse
            growth[p] *= own * inverse
            dz = points[p, 2] - obs.depth[a]
            far2[p] *= straight2[p] - dz * dz + PRIOR_CORE_KM2
        # One logarithm for many factors, before they leave the range of floats.
        if a % 16 == 15 or a == n - 1:
            for p in range(m):
                log_prior[p] += normal * np.log(growth[p]) - fall * np.log(far2[p])
                growth[p], far2[p] = 1.0, 1.0
    widened /= n


@njit(cache=True, fastmath=FAST, error_model="numpy")
def log_likelihood(
    points: Floats,
    cell_km2: float,
    breadth: float,
    exponent: float,
    obs: Observations,
    value: Floats,
    widened: Floats,
) -> None:
    """Write ``ln L`` at points ``(m, >=3)`` [km] into ``value`` ``(m,)``; see `residuals` for the rest."""
    n = len(obs.time)
    residual = np.empty((n, BLOCK), np.float32)
    pull = np.empty((n, BLOCK), np.float32)
    stack, weight = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    share, log_prior = np.empty(BLOCK), np.empty(BLOCK)
    half = np.float32(0.5 / breadth)
    one, most, sixteenth = np.float32(1.0), np.float32(40.0), np.float32(1.0 / 16.0)
    c2, c3, c4, c5 = np.float32(0.5), np.float32(1 / 6), np.float32(1 / 24), np.float32(1 / 120)
    residual[:] = 0.0
    pull[:] = 1.0
    for start in range(0, len(points), BLOCK):
        m = min(BLOCK, len(points) - start)
        residuals(points[start : start + m], cell_km2, obs, residual, pull, share, log_prior)
        stack[:] = 0.0
        weight[:] = 0.0
        for a in range(n - 1):
            for b in range(a + 1, n):
                for p in range(BLOCK):
                    w = pull[a, p] + pull[b, p]
                    d = residual[a, p] - residual[b, p]
                    # exp(-y) = (exp(y / 16))^-16: plain arithmetic, which the compiler vectorises.
                    y = min(half * d * d * pull[a, p] * pull[b, p] / w, most) * sixteenth
                    e = one / (one + y * (one + y * (c2 + y * (c3 + y * (c4 + y * c5)))))
                    e *= e
                    e *= e
                    e *= e
                    stack[p] += w * e * e
                    weight[p] += w
        for p in range(m):
            value[start + p] = exponent * np.log(stack[p] / weight[p] + 1e-30) + log_prior[p]
            widened[start + p] = share[p]


@njit(cache=True)
def search(
    low: Floats,
    high: Floats,
    breadth: float,
    exponent: float,
    random: Floats,
    obs: Observations,
    samples: Floats,
) -> tuple[Observations, int]:
    """Fill ``samples`` ``(m, 5)`` with east, north, depth [km], weight (sum 1) and log likelihood.

    ``low`` and ``high`` bound the search [km]; ``random`` holds numbers in 0 to 1, float64 ``(m + 1, 3)``.
    Returns the observations with the variances they have at the best place, which are those of the samples,
    and the number of likelihoods evaluated.
    """
    side = (high - low).max() / 8.0
    count = np.maximum(2, np.ceil((high - low) / side)).astype(np.int64)
    half = (high - low) / count / 2.0
    cells = np.empty((count.prod(), 3))
    k = 0
    for a in range(count[0]):
        for b in range(count[1]):
            for c in range(count[2]):
                cells[k, 0] = low[0] + (2 * a + 1) * half[0]
                cells[k, 1] = low[1] + (2 * b + 1) * half[1]
                cells[k, 2] = low[2] + (2 * c + 1) * half[2]
                k += 1
    evaluated, settled = 0, False
    while True:
        value, widened = np.empty(len(cells)), np.empty(len(cells))
        log_likelihood(cells, (half * half).sum() / 6.0, breadth, exponent, obs, value, widened)
        evaluated += len(cells)
        best = value.argmax()
        coarse = widened[best]
        if not settled and coarse < 0.5:
            # From here on the errors are those at the best place. Errors that grow with distance would let
            # places far outside the network explain anything, with all the volume there is out there.
            obs, settled = _settle(cells[best : best + 1], obs), True
            log_likelihood(cells, (half * half).sum() / 6.0, breadth, exponent, obs, value, widened)
            best = value.argmax()
        keep = np.flatnonzero(value > value[best] - LOG_RANGE - COARSE_RANGE * coarse * exponent / breadth)
        if len(keep) > MAX_CELLS:
            keep = keep[np.argsort(-value[keep])[:MAX_CELLS]]
        mass = np.exp(value[keep] - value[best])
        mass /= mass.sum()
        last = half.max() < SMALLEST_KM
        if last or (settled and 1.0 / (mass * mass).sum() >= SPREAD):
            effective = _draw(cells[keep], mass, half, breadth, exponent, random, obs, samples)
            evaluated += len(samples)
            if last or effective > LEAST_EFFECTIVE * len(samples):
                return obs, evaluated
        half = half / 2.0
        cells = _split(cells[keep], half)


@njit(cache=True)
def _settle(point: Floats, obs: Observations) -> Observations:
    n = len(obs.time)
    residual, pull = np.empty((n, BLOCK), np.float32), np.empty((n, BLOCK), np.float32)
    residuals(point, 0.0, obs, residual, pull, np.empty(BLOCK), np.empty(BLOCK))
    variance = 1.0 / pull[:, 0].astype(np.float64)
    return Observations(
        obs.east,
        obs.north,
        obs.depth,
        obs.time,
        variance,
        0.0,
        obs.decay,
        obs.which,
        obs.slowness,
        obs.grid,
    )


@njit(cache=True)
def _split(cells: Floats, half: Floats) -> Floats:
    out = np.empty((8 * len(cells), 3))
    for k in range(len(cells)):
        for corner in range(8):
            for axis in range(3):
                sign = 1.0 if (corner >> axis) & 1 else -1.0
                out[8 * k + corner, axis] = cells[k, axis] + sign * half[axis]
    return out


@njit(cache=True)
def _draw(
    cells: Floats,
    mass: Floats,
    half: Floats,
    breadth: float,
    exponent: float,
    random: Floats,
    obs: Observations,
    samples: Floats,
) -> float:
    n = len(samples)
    proposed = np.empty(n)
    # Systematic resampling: one random offset, then even steps through the cumulative probability.
    cell, passed = 0, mass[0]
    for k in range(n):
        while passed < (k + random[0, 0]) / n and cell < len(cells) - 1:
            cell += 1
            passed += mass[cell]
        proposed[k] = mass[cell]
        for axis in range(3):
            samples[k, axis] = cells[cell, axis] + (2.0 * random[k + 1, axis] - 1.0) * half[axis]
    value, widened = np.empty(n), np.empty(n)
    log_likelihood(samples, 0.0, breadth, exponent, obs, value, widened)
    samples[:, 4] = value
    weight = samples[:, 4] - np.log(proposed)
    weight = np.exp(weight - weight.max())
    samples[:, 3] = weight / weight.sum()
    return float(1.0 / (samples[:, 3] ** 2).sum())
