"""Where and when a fitted ETAS model fails: earthquakes thinned and filled up to what should be even."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kaname.core.errors import InputError
from kaname.core.geo import on_sphere
from kaname.discovery.seismicity.background import Uniform
from kaname.discovery.seismicity.contract import DAY, Target
from kaname.discovery.seismicity.evenness import (
    CellCounts,
    PairCounts,
    Points,
    cell_counts,
    p_number,
    p_times,
    pair_counts,
)

if TYPE_CHECKING:
    from kaname.discovery.seismicity.etas.model import Etas

_FEWEST, _MOST = 100, 5000
"""How many points are asked for where nothing else is said: fewer tell nothing, pairs of more take long."""
_INTERVALS = 8


@dataclass(frozen=True, eq=False)
class SuperThinned:
    """What is left of earthquakes and put between them: a Poisson process of one rate where the model holds.

    Parameters
    ----------
    points
        Of the region and the period.
    earthquake
        Which of them are earthquakes; the others are simulated ``(n,)``.
    rate, expected
        The rate b [1/day/km2], and how many points there should be.
    target
        Region and period.
    p_number, p_time
        That there are as many as expected, and that their times are spread evenly.
    places, cells
        Counts in cells of equal area, and the same in intervals of time.
    pairs
        Pairs by distance and delay.
    """

    points: Points
    earthquake: NDArray[np.bool_]
    rate: float
    expected: float
    target: Target
    p_number: float
    p_time: float
    places: CellCounts
    cells: CellCounts
    pairs: PairCounts

    def table(self) -> pd.DataFrame:
        """Return ``time``, ``longitude``, ``latitude`` and ``earthquake`` of each point, in order of time."""
        time = self.target.start + (self.points.day * (DAY / np.timedelta64(1, "ns"))).astype("m8[ns]")
        made = pd.DataFrame(
            {
                "time": time,
                "longitude": self.points.longitude,
                "latitude": self.points.latitude,
                "earthquake": self.earthquake,
            }
        )
        return made.sort_values("time", ignore_index=True)

    def summary(self) -> dict[str, float]:
        """Return the numbers and p-values that a report names."""
        return {
            "expected": self.expected,
            "points": len(self.points),
            "earthquakes": int(self.earthquake.sum()),
            "p_number": self.p_number,
            "p_time": self.p_time,
            "p_place": self.places.p,
            "p_place_and_time": self.cells.p,
            "p_pairs": self.pairs.p,
        }


def super_thinned(
    model: Etas,
    catalogue: pd.DataFrame,
    target: Target,
    *,
    points: float | None = None,
    simulations: int = 199,
    seed: int = 0,
) -> SuperThinned:
    """Thin the earthquakes of a period where the model expects many, and put points where it expects few.

    An earthquake stays with probability min(1, b / rate), simulated points come at the rate max(0, b - rate);
    together they have the rate b where the model holds (Clements, Schoenberg & Veen 2012,
    doi:10.1002/env.2168; the thinning alone is Schoenberg's, 2003, doi:10.1198/016214503000000710). Rates at
    simulated points are given the earthquakes before them, not other simulated points.

    Parameters
    ----------
    model
        Fitted; what it was fitted to must not be what is looked at.
    catalogue, target
        As in `Etas.score`.
    points
        How many points there should be, which says b. Missing: as many as the model expects earthquakes,
        at least 100 and 5,000 at most.
    simulations
        Sets of even points that pairs are compared with.
    seed
        Of all that is drawn.

    Raises
    ------
    InputError
        When fewer than ten points are asked for, or there are no targets.
    """
    likelihood, p = model.likelihood(catalogue, target), model.parameters_
    expected = float(np.clip(likelihood.expected(p), _FEWEST, _MOST) if points is None else points)
    if not expected >= 10:
        raise InputError(f"fewer than 10 points tell nothing, found {expected:.3g}; ask for more (points)")
    rate = expected / (target.region.area_km2 * target.days)
    draw, draw_even = (np.random.default_rng([seed, k]) for k in range(2))
    kept = draw.random(len(likelihood.target)) * likelihood.rates(p) < rate
    chosen = target.sources(catalogue).query("target")[kept]

    n = int(draw.poisson(expected))
    lon, lat = Uniform(target.region).draw(n, draw)
    day = draw.uniform(0, target.days, n)
    density = model.background_.density(lon, lat)
    place = on_sphere(lat, lon, radius_km=likelihood.radius_km)
    there = likelihood.rates_at(p, day, place, density)
    put = draw.random(n) * rate >= there
    made = Points(
        np.append(chosen["longitude"].to_numpy(float), lon[put]),
        np.append(chosen["latitude"].to_numpy(float), lat[put]),
        np.append(chosen["day"].to_numpy(float), day[put]),
        target.region,
        target.days,
    )
    return SuperThinned(
        made,
        np.arange(len(made)) < len(chosen),
        rate,
        expected,
        target,
        p_number(len(made), expected),
        p_times(made),
        cell_counts(made),
        cell_counts(made, intervals=_INTERVALS),
        pair_counts(made, n=simulations, seed=int(draw_even.integers(2**31))),
    )
