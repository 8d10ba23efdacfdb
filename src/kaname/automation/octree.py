"""Oct-tree importance sampling of the equal-differential-time likelihood, compiled.

The misfit is that of the differences between arrivals, so that no origin time enters (Zhou 1994; Font et al. 2004;
Lomax 2005). With residuals ``r = t - T(x)`` and their variances ``v``, over all pairs of arrivals::

    S(x) = mean_ab [ (v_a + v_b)^-1/2 exp( -(r_a - r_b)^2 / (2 (v_a + v_b)) ) ],    L(x) = S(x)^m

A pair that a wrong pick belongs to adds next to nothing wherever the others agree. The exponent ``m`` is chosen in
`sharpness` so that the posterior is as wide as the scatter of the estimates.

The search goes level by level: all cells that may hold a noticeable part of the probability are split in eight,
the rest is left (Lomax & Curtis 2001 split one cell at a time, in order of probability). A large cell is judged
by a likelihood widened by the travel time across the cell, so that a narrow peak between cell centres is not missed.
Once the probability is spread over enough cells, samples are drawn in proportion to it and weighted by the exact
likelihood.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LOG_RANGE = 7.0
"""Cells whose log likelihood lies this far below the best are left out."""
COARSE_RANGE = 0.5
"""The same for the log of S in cells much larger than the timing errors allow."""
SPREAD = 40.0
"""Search ends when the probability is spread over this many cells."""
MAX_CELLS = 4096
SMALLEST_KM = 0.005


@njit(cache=True, fastmath=True)
def log_stack(
    x: float,
    y: float,
    z: float,
    cell_km2: float,
    east: Floats,
    north: Floats,
    depth: Floats,
    which: NDArray[np.int64],
    time: Floats,
    variance: Floats,
    fraction: float,
    breadth: float,
    slowness: NDArray[np.float32],
    grid: Floats,
    residual: Floats,
    total: Floats,
) -> tuple[float, float]:
    """Return ``ln S`` at a point, and the share of the cell in the variances; writes residuals and variances.

    ``cell_km2`` is the mean square distance of a cell's points from its centre along one axis; 0 for a point.
    ``grid`` holds offset and step of the distance nodes, first depth, offset and step of the depth nodes.
    """
    n = len(time)
    w = (np.sqrt(max(z - grid[2], 0.0) + grid[3]) - np.sqrt(grid[3])) / grid[4]
    j = min(int(w), slowness.shape[1] - 2)
    g = w - j
    root = np.sqrt(grid[0])
    widened = 0.0
    for a in range(n):
        dx, dy, dz = x - east[a], y - north[a], z - depth[a]
        d2 = dx * dx + dy * dy
        u = (np.sqrt(np.sqrt(d2) + grid[0]) - root) / grid[1]
        i = min(int(u), slowness.shape[2] - 2)
        f = u - i
        k = which[a]
        s = (1.0 - g) * ((1.0 - f) * slowness[k, j, i] + f * slowness[k, j, i + 1]) + g * (
            (1.0 - f) * slowness[k, j + 1, i] + f * slowness[k, j + 1, i + 1]
        )
        t = s * np.sqrt(d2 + dz * dz)
        own = variance[a] + (fraction * t) ** 2
        cell = s * s * cell_km2
        residual[a] = time[a] - t
        total[a] = own + cell
        widened += cell / (own + cell)
    stack = 0.0
    half_k = 0.5 / breadth
    for a in range(n - 1):
        r, v = residual[a], total[a]
        for b in range(a + 1, n):
            q = 1.0 / (v + total[b])
            d = r - residual[b]
            stack += np.sqrt(q) * decay(half_k * d * d * q)
    return np.log(stack / (0.5 * n * (n - 1)) + 1e-300), widened / n


@njit(cache=True, fastmath=True, inline="always")
def decay(y: float) -> float:
    """Return ``exp(-y)`` for ``y >= 0`` to 1e-7 of 1, in a form that the compiler vectorises."""
    q = min(y, 40.0) * (1.0 / 64.0)
    e = 1.0 / (1.0 + q * (1.0 + q * (0.5 + q * (1.0 / 6.0 + q * (1.0 / 24.0)))))
    e *= e
    e *= e
    e *= e
    e *= e
    e *= e
    return e * e


@njit(cache=True)
def shape(n: int) -> tuple[float, float]:
    """Return breadth ``k`` and exponent ``m`` of the likelihood of ``n`` arrivals."""
    k = 1.0 + 8.0 / (n - 3.0)
    free = (n - 4.0) / n
    scatter = (2 * k / (2 * k + 1)) ** 3 * ((2 * k + 1) / (2 * k + 3)) ** 1.5 * ((k + 1) / k) ** 3
    return k, (n - 1.0) * (k + free) / (1.0 + free * (scatter - 1.0))


@njit(cache=True)
def search(
    low: Floats,
    high: Floats,
    exponent: float,
    n_sample: int,
    random: Floats,
    east: Floats,
    north: Floats,
    depth: Floats,
    which: NDArray[np.int64],
    time: Floats,
    variance: Floats,
    fraction: float,
    breadth: float,
    slowness: NDArray[np.float32],
    grid: Floats,
    samples: Floats,
) -> tuple[float, int]:
    """Fill ``samples`` ``(n_sample, 5)`` with east, north, depth [km], weight (sum 1) and log likelihood.

    Returns the effective number of samples and the number of likelihoods evaluated.
    """
    n = len(time)
    residual, total = np.empty(n), np.empty(n)
    side = (high - low).max() / 8.0
    count = np.maximum(2, np.ceil((high - low) / side)).astype(np.int64)
    half = (high - low) / count / 2.0
    n_cell = count[0] * count[1] * count[2]
    cells = np.empty((n_cell, 4))
    k = 0
    for a in range(count[0]):
        for b in range(count[1]):
            for c in range(count[2]):
                cells[k, 0] = low[0] + (2 * a + 1) * half[0]
                cells[k, 1] = low[1] + (2 * b + 1) * half[1]
                cells[k, 2] = low[2] + (2 * c + 1) * half[2]
                k += 1
    evaluated = 0
    effective = 0.0
    for _ in range(40):
        widened = 0.0
        best = -np.inf
        cell_km2 = (half * half).sum() / 6.0
        for k in range(len(cells)):
            cells[k, 3], share = log_stack(
                cells[k, 0], cells[k, 1], cells[k, 2], cell_km2, east, north, depth, which, time,
                variance, fraction, breadth, slowness, grid, residual, total,
            )  # fmt: skip
            if cells[k, 3] > best:
                best, widened = cells[k, 3], share
        evaluated += len(cells)
        reach = LOG_RANGE / exponent + COARSE_RANGE * widened
        keep = cells[cells[:, 3] > best - reach]
        if len(keep) > MAX_CELLS:
            keep = keep[np.argsort(-keep[:, 3])[:MAX_CELLS]]
        mass = np.exp(exponent * (keep[:, 3] - best))
        mass /= mass.sum()
        resolved = 1.0 / (mass * mass).sum() >= SPREAD and widened < 0.4
        if resolved or half.max() < SMALLEST_KM:
            effective = _draw(
                keep, mass, half, exponent, n_sample, random, east, north, depth, which, time,
                variance, fraction, breadth, slowness, grid, residual, total, samples,
            )  # fmt: skip
            evaluated += n_sample
            if effective > 0.2 * n_sample or half.max() < SMALLEST_KM:
                break
        half = half / 2.0
        cells = np.empty((8 * len(keep), 4))
        for k in range(len(keep)):
            for corner in range(8):
                for axis in range(3):
                    sign = 1.0 if (corner >> axis) & 1 else -1.0
                    cells[8 * k + corner, axis] = keep[k, axis] + sign * half[axis]
    return effective, evaluated


@njit(cache=True)
def _draw(
    cells: Floats,
    mass: Floats,
    half: Floats,
    exponent: float,
    n_sample: int,
    random: Floats,
    east: Floats,
    north: Floats,
    depth: Floats,
    which: NDArray[np.int64],
    time: Floats,
    variance: Floats,
    fraction: float,
    breadth: float,
    slowness: NDArray[np.float32],
    grid: Floats,
    residual: Floats,
    total: Floats,
    samples: Floats,
) -> float:
    # Systematic resampling: one random offset, then even steps through the cumulative probability.
    cell, passed = 0, mass[0]
    for k in range(n_sample):
        due = (k + random[0, 0]) / n_sample
        while passed < due and cell < len(cells) - 1:
            cell += 1
            passed += mass[cell]
        for axis in range(3):
            samples[k, axis] = cells[cell, axis] + (2.0 * random[k + 1, axis] - 1.0) * half[axis]
        value, _ = log_stack(
            samples[k, 0], samples[k, 1], samples[k, 2], 0.0, east, north, depth, which, time,
            variance, fraction, breadth, slowness, grid, residual, total,
        )  # fmt: skip
        samples[k, 4] = exponent * value
        samples[k, 3] = samples[k, 4] - np.log(mass[cell])
    weight = np.exp(samples[:, 3] - samples[:, 3].max())
    weight /= weight.sum()
    samples[:, 3] = weight
    return 1.0 / (weight * weight).sum()
