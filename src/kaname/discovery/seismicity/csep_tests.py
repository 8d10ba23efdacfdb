"""CSEP's tests of forecasts against what happened, gridded or simulated, without dropping an earthquake.

Where no simulated earthquake fell, a rate counted from simulations is zero, and an earthquake there would
have an infinite likelihood. pyCSEP leaves such earthquakes out, which favours the forecast. Here a share of
the rate (``uniform``, chosen before the test) is spread evenly over the region.

Rates are counted from one half of the simulations and the test distribution comes from the other: a
simulation that made the rates fits them better than reality can, and p-values would not be uniform.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from kaname.core.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

UNIFORM = 0.01
"""Share of the rate that is spread evenly over the cells by their area."""


@dataclass(frozen=True, eq=False)
class Tested:
    """What one test found.

    Parameters
    ----------
    name
        N, S, M, L or CL.
    observed
        Statistic of what happened; NaN: the test says nothing (no earthquake happened).
    below, equal
        Shares of the forecast's own distribution that are less than and equal to it.
    """

    name: str
    observed: float
    below: float
    equal: float

    @property
    def at_most(self) -> float:
        """Share that is not above what happened (CSEP's quantile; delta 2 of the N test)."""
        return self.below + self.equal

    @property
    def at_least(self) -> float:
        """Share that is not below what happened (delta 1 of the N test)."""
        return 1 - self.below

    def randomised(self, rng: np.random.Generator) -> float:
        """Return a p-value that is uniform where the forecast is true, ties broken by chance."""
        return self.below + rng.random() * self.equal


class Cells:
    """The cells of a grid, each once.

    Parameters
    ----------
    table
        ``longitude_min``, ``longitude_max``, ``latitude_min``, ``latitude_max`` [degree]; cells of one width
        and height, in rows that may repeat them (a FORECASTS table).

    Raises
    ------
    InputError
        When the cells differ in size or do not lie on one lattice.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        west, south = table["longitude_min"].to_numpy(float), table["latitude_min"].to_numpy(float)
        wide = table["longitude_max"].to_numpy(float) - west
        high = table["latitude_max"].to_numpy(float) - south
        if not len(table) or np.ptp(wide) > 1e-6 or np.ptp(high) > 1e-6:
            raise InputError(f"expected cells of one size, found {len(table)} rows of several or of none")
        self.width, self.height = float(wide.mean()), float(high.mean())
        self.west, self.south = float(west.min()), float(south.min())
        i, j = (west - self.west) / self.width, (south - self.south) / self.height
        if max(np.abs(i - i.round()).max(), np.abs(j - j.round()).max()) > 1e-3:
            raise InputError("the cells do not lie on one lattice")
        self._columns = int(i.max().round()) + 1
        self._rows = int(j.max().round()) + 1
        key = (j.round() * self._columns + i.round()).astype(np.int64)
        unique, self.row_to_cell = np.unique(key, return_inverse=True)
        self._index = np.full(self._rows * self._columns, -1)
        self._index[unique] = np.arange(len(unique))
        south_edge = np.radians(self.south + unique // self._columns * self.height)
        self.area = np.sin(south_edge + np.radians(self.height)) - np.sin(south_edge)
        """Relative area."""

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self.area)

    def find(self, longitude: ArrayLike, latitude: ArrayLike) -> Ints:
        """Return the cell of each point, -1 outside; western and southern edges belong to a cell."""
        i = np.floor((np.asarray(longitude, float) - self.west) / self.width + 1e-7).astype(np.int64)
        j = np.floor((np.asarray(latitude, float) - self.south) / self.height + 1e-7).astype(np.int64)
        inside = (i >= 0) & (i < self._columns) & (j >= 0) & (j < self._rows)
        return np.where(inside, self._index[np.where(inside, j * self._columns + i, 0)], -1)


def catalogue_tests(
    simulations: pd.DataFrame,
    n: int,
    observed: pd.DataFrame,
    cells: Cells,
    magnitudes: ArrayLike,
    *,
    uniform: float = UNIFORM,
) -> dict[str, Tested]:
    """Test simulated catalogues: N, S, M and L (pseudo-likelihood), Savran et al. (2020).

    doi:10.1785/0120200026. M is the mean log-likelihood of the magnitudes, as S is of the places: a number of
    each catalogue alone. The published distance between histograms depends on how many happened, and
    resampling as many (Serafini et al. 2024, arXiv:2405.10712) takes magnitudes of a catalogue as independent
    of their number, which those of ETAS are not.

    Parameters
    ----------
    simulations, n
        SIMULATIONS table and the number of catalogues.
    observed
        EVENTS table of the region and period.
    cells, magnitudes
        Of space, and lower edges of magnitude bins, the highest without end.
    uniform
        See the module.

    Raises
    ------
    InputError
        When an earthquake lies outside all cells or below the least magnitude, or with fewer than 4
        simulations.
    """
    if n < 4 or not 0 < uniform <= 1:
        raise InputError(f"found {n} simulations and a uniform share of {uniform}; expected 4 and 0 to 1")
    edges = _edges(magnitudes)
    here, size = _placed(observed, cells, edges)
    cell = cells.find(simulations["longitude"], simulations["latitude"])
    level = np.searchsorted(edges, simulations["magnitude"].to_numpy(float) + 1e-9, "right") - 1
    inside = (cell >= 0) & (level >= 0)
    number, cell, level = (v[inside] for v in (simulations["simulation"].to_numpy(np.int64), cell, level))
    # Even simulations make the rates, odd ones the distribution.
    made = number % 2 == 0
    count = np.bincount(number, minlength=n)
    rate = smoothed(np.bincount(cell[made], minlength=len(cells)) / ((n + 1) // 2), cells.area, uniform)
    total = float(rate.sum())
    odd = np.arange(1, n, 2)
    out = {"N": _tested("N", len(here), count)}
    log_rate = np.log(rate)
    sums = np.bincount(number, log_rate[cell], minlength=n)
    out["L"] = _tested("L", float(log_rate[here].sum() - total), sums[odd] - total)
    if not len(here):
        nothing = float("nan")
        out |= {name: Tested(name, nothing, nothing, nothing) for name in ("S", "M")}
        return out
    some = odd[count[odd] > 0]
    log_share = log_rate - np.log(total)
    own = np.bincount(number, log_share[cell], minlength=n)[some] / count[some]
    out["S"] = _tested("S", float(log_share[here].mean()), own)
    # Half an earthquake in each bin: where none was simulated, one may happen.
    union = np.bincount(level[made], minlength=len(edges)) + 0.5
    log_size = np.log(union / union.sum())
    sizes = np.bincount(number, log_size[level], minlength=n)[some] / count[some]
    out["M"] = _tested("M", float(log_size[size].mean()), sizes)
    return out


def grid_tests(
    forecast: pd.DataFrame,
    observed: pd.DataFrame,
    *,
    uniform: float = 0.0,
    n: int = 1000,
    seed: int = 0,
) -> dict[str, Tested]:
    """Test expected numbers in cells as a Poisson process: N, L, CL, S, M.

    Schorlemmer et al. (2007), doi:10.1785/gssrl.78.1.17; Zechar, Gerstenberger & Rhoades (2010),
    doi:10.1785/0120090192; Werner et al. (2011), doi:10.1785/0120090340.

    Parameters
    ----------
    forecast
        FORECASTS table, magnitudes in bins.
    observed
        EVENTS table of the same region, period and magnitudes.
    uniform
        Share of the forecast that is spread evenly over space, with the forecast's own magnitudes; 0 tests
        the forecast as it is.
    n, seed
        Simulated catalogues.

    Raises
    ------
    InputError
        When an earthquake lies outside the grid, or where the forecast is zero.
    """
    cells, edges, rates = on_grid(forecast, uniform=uniform)
    here, size = _placed(observed, cells, edges)
    if (rates[here, size] <= 0).any():
        raise InputError(
            "earthquakes happened where the forecast is zero: an infinite likelihood; give a uniform share"
        )
    counts = np.zeros(rates.shape)
    np.add.at(counts, (here, size), 1)
    rng = np.random.default_rng(seed)
    total, n_seen = float(rates.sum()), len(here)
    below = float(stats.poisson.cdf(n_seen - 1, total))
    equal = float(stats.poisson.pmf(n_seen, total))
    out = {"N": Tested("N", n_seen, below, equal)}
    tests = {"L": (rates, counts, False, 1.0), "CL": (rates, counts, True, 1.0)}
    if n_seen:
        scale = n_seen / total
        tests["S"] = (rates.sum(axis=1), counts.sum(axis=1), True, scale)
        tests["M"] = (rates.sum(axis=0), counts.sum(axis=0), True, scale)
    for name, (rate, count, conditional, scale) in tests.items():
        flat, seen = rate.ravel() * scale, count.ravel()
        drawn = _poisson_likelihoods(flat, n, n_seen if conditional else None, rng)
        out[name] = _tested(name, float(poisson_log_likelihood(flat, seen)), drawn)
    for name in ("S", "M"):
        out.setdefault(name, Tested(name, float("nan"), float("nan"), float("nan")))
    return out


def on_grid(forecast: pd.DataFrame, *, uniform: float = 0.0) -> tuple[Cells, Floats, Floats]:
    """Return cells, lower edges of the magnitude bins, and expected numbers ``(cell, magnitude)``.

    Where no row states ``magnitude_max``, each counts all earthquakes from its ``magnitude_min`` on.
    """
    cells = Cells(forecast)
    edges, level = np.unique(forecast["magnitude_min"].to_numpy(float).round(6), return_inverse=True)
    rates = np.zeros((len(cells), len(edges)))
    np.add.at(rates, (cells.row_to_cell, level), forecast["expected"].to_numpy(float))
    if len(edges) > 1 and forecast["magnitude_max"].isna().all():
        # Each row counts all larger ones too: bins are the differences.
        rates[:, :-1] = np.maximum(rates[:, :-1] - rates[:, 1:], 0)
    if uniform:
        even = np.outer(cells.area / cells.area.sum(), rates.sum(axis=0))
        rates = (1 - uniform) * rates + uniform * even
    return cells, edges, rates


def smoothed(rate: Floats, area: Floats, uniform: float) -> Floats:
    """Return rates of which a share is spread evenly; where nothing was simulated, one event in all is."""
    total = rate.sum() or 1.0
    return np.asarray((1 - uniform) * rate + uniform * total * area / area.sum())


def poisson_log_likelihood(rate: Floats, count: Floats) -> float:
    """Return the joint log-likelihood of counts in cells."""
    return float((special.xlogy(count, rate) - special.gammaln(count + 1)).sum() - rate.sum())


def _poisson_likelihoods(rate: Floats, n: int, number: int | None, rng: np.random.Generator) -> Floats:
    total = rate.sum()
    cumulative = np.cumsum(rate) / total
    numbers = rng.poisson(total, n) if number is None else np.full(n, number)
    with np.errstate(divide="ignore"):
        log_rate = np.log(rate)
    out = np.empty(n)
    for k, m in enumerate(numbers):
        cell = np.searchsorted(cumulative, rng.random(m), "right")
        # Rounding of the sum may leave the last draw beyond the end.
        cell = np.minimum(cell, len(rate) - 1)
        _, count = np.unique(cell, return_counts=True)
        out[k] = log_rate[cell].sum() - special.gammaln(count + 1).sum() - total
    return out


def _tested(name: str, observed: float, distribution: ArrayLike) -> Tested:
    values = np.asarray(distribution, float)
    if not len(values):
        return Tested(name, float("nan"), float("nan"), float("nan"))
    # Sums in another order differ in the last digits.
    close = np.isclose(values, observed, rtol=1e-10, atol=1e-10)
    return Tested(name, float(observed), float(((values < observed) & ~close).mean()), float(close.mean()))


def _edges(magnitudes: ArrayLike) -> Floats:
    edges = np.asarray(magnitudes, float).ravel()
    if not len(edges) or (np.diff(edges) <= 0).any():
        raise InputError(f"magnitude bins must increase, found {edges.tolist()}")
    return edges


def _placed(observed: pd.DataFrame, cells: Cells, edges: Floats) -> tuple[Ints, Ints]:
    here = cells.find(observed["longitude"], observed["latitude"])
    size = np.searchsorted(edges, observed["magnitude"].to_numpy(float) + 1e-9, "right") - 1
    lost = (here < 0) | (size < 0)
    if lost.any():
        raise InputError(
            f"{lost.sum()} of {len(lost)} observed earthquakes lie outside the cells or below magnitude "
            f"{edges[0]:g}; choose the earthquakes of the forecast's region first"
        )
    return here, size


def log_densities(forecast: pd.DataFrame, observed: pd.DataFrame, *, uniform: float) -> tuple[Floats, float]:
    """Return the log of the expected number per area and magnitude bin at each earthquake, and in all."""
    cells, edges, rates = on_grid(forecast, uniform=uniform)
    here, size = _placed(observed, cells, edges)
    found = rates[here, size] / cells.area[here]
    if (found <= 0).any():
        raise InputError("earthquakes happened where the forecast is zero; give a uniform share above 0")
    return np.log(found), float(rates.sum())


def within(observed: pd.DataFrame, cells: Cells, magnitude_min: float) -> pd.DataFrame:
    """Return the earthquakes that a forecast speaks of: in its cells, of its magnitudes."""
    chosen = (cells.find(observed["longitude"], observed["latitude"]) >= 0) & (
        observed["magnitude"].to_numpy(float) >= magnitude_min - 1e-9
    )
    return observed[chosen].reset_index(drop=True)


@dataclass(frozen=True)
class Gain:
    """Information gain of one forecast over another [nats per earthquake] with its 95 % interval."""

    gain: float
    low: float
    high: float
    n: int
    n_block: int


def information_gain(
    day: ArrayLike,
    gain: ArrayLike,
    *,
    expected_difference: Sequence[float] | ArrayLike,
    block_days: float,
    days: float,
    n: int = 10_000,
    seed: int = 0,
) -> Gain:
    """Return the gain per earthquake with an interval from resampled blocks of time.

    Earthquakes come in sequences, so that blocks of time and not single earthquakes are drawn (Kuensch
    1989, doi:10.1214/aos/1176347265; without overlap).

    Parameters
    ----------
    day, gain
        Time since the start [day] and difference of the log rates of each earthquake ``(m,)``.
    expected_difference
        Expected number of the first forecast less that of the second: in each block, or one number for the
        period, which is then spread evenly.
    block_days, days
        Length of a block and of the period [day].
    n, seed
        Times that blocks are drawn, and the seed.

    Raises
    ------
    InputError
        When there is no earthquake, fewer than two blocks, or one outside the period.
    """
    t, g = np.asarray(day, float).ravel(), np.asarray(gain, float).ravel()
    n_block = int(np.ceil(days / block_days - 1e-9))
    if not len(t) or n_block < 2 or (t < 0).any() or (t > days).any():
        raise InputError(
            f"found {len(t)} earthquakes in {n_block} blocks of {block_days:g} days; expected one at least, "
            f"all within {days:g} days, and two blocks at least"
        )
    block = np.minimum((t / block_days).astype(int), n_block - 1)
    length = np.diff(np.append(np.arange(n_block) * block_days, days))
    difference = np.asarray(expected_difference, float).ravel()
    if len(difference) == 1:
        difference = difference * length / days
    if len(difference) != n_block:
        raise InputError(f"{len(difference)} expected numbers for {n_block} blocks")
    sums = np.bincount(block, g, minlength=n_block) - difference
    count = np.bincount(block, minlength=n_block)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, n_block, (n, n_block))
    number = count[drawn].sum(axis=1)
    held = number > 0
    values = sums[drawn].sum(axis=1)[held] / number[held]
    low, high = np.quantile(values, [0.025, 0.975])
    return Gain(float(sums.sum() / len(t)), float(low), float(high), len(t), n_block)
