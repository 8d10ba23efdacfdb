"""Alarms: how much of space a forecast must watch to see the earthquakes come (Molchan), and its skill."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.special import binom, factorial

from kaname.core.errors import InputError

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Molchan:
    """Share of space that is under alarm and share of earthquakes missed, from no alarm to alarm everywhere.

    Parameters
    ----------
    alarm, missed
        Corners of the trajectory.
    skill
        Area skill score: 1 less the mean alarm at which earthquakes are caught; .5 is chance (Zechar &
        Jordan 2008, doi:10.1111/j.1365-246X.2007.03676.x; 2010, doi:10.1785/0120090192).
    p_value
        Chance of a skill at least as large of a forecast without any.
    """

    alarm: Floats
    missed: Floats
    skill: float
    p_value: float


def molchan(rate: ArrayLike, count: ArrayLike, measure: ArrayLike) -> Molchan:
    """Return the Molchan trajectory of rates in cells.

    Parameters
    ----------
    rate, count
        Forecast (any increasing function of it) and earthquakes in each cell, ``(n,)``.
    measure
        Weight of each cell, such as its area or the rate of a reference forecast.

    Raises
    ------
    InputError
        When there is no earthquake, or one where the measure is zero.
    """
    f, c, w = (np.asarray(v, float).ravel() for v in (rate, count, measure))
    if not (f.shape == c.shape == w.shape) or not c.sum() > 0 or (w < 0).any() or (c[w <= 0] > 0).any():
        raise InputError("expected one earthquake at least, and a positive measure where they happened")
    levels, level = np.unique(-f, return_inverse=True)
    area = np.bincount(level, w, minlength=len(levels)) / w.sum()
    hits = np.bincount(level, c, minlength=len(levels)) / c.sum()
    alarm = np.concatenate([[0.0], np.cumsum(area)])
    missed = np.clip(1 - np.concatenate([[0.0], np.cumsum(hits)]), 0, 1)
    # Among cells of one rate the earthquakes are caught half way.
    skill = float((hits * (1 - (alarm[1:] + alarm[:-1]) / 2)).sum())
    # The mean of n uniform numbers: exact for few (Irwin & Hall), normal for many.
    n = int(c.sum())
    if n <= 12:
        p = 1 - _irwin_hall(n * skill, n)
    else:
        p = float(stats.norm.sf((skill - 0.5) * np.sqrt(12 * n)))
    return Molchan(alarm, missed, skill, float(np.clip(p, 0, 1)))


def _irwin_hall(x: float, n: int) -> float:
    k = np.arange(int(np.floor(x)) + 1)
    return float(((-1.0) ** k * binom(n, k) * (x - k) ** n).sum() / factorial(n))
