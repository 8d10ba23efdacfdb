"""Earthquakes at a constant rate, wherever: what every model must beat."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from kaname.core.errors import InputError
from kaname.core.forecasts import FORECASTS
from kaname.core.geo import EARTH_RADIUS_KM
from kaname.core.tables import validate
from kaname.discovery.seismicity.background import Background, Uniform
from kaname.discovery.seismicity.contract import (
    Score,
    Target,
    drawing,
    rates_table,
    seismicity_model,
    simulations_table,
)
from kaname.discovery.seismicity.gutenberg_richter import GutenbergRichter, slope


@seismicity_model("poisson")
class Poisson:
    """A Poisson process, constant in time and uniform over the region.

    Parameters
    ----------
    magnitude_bin, magnitude_max
        Width of the bins that magnitudes are rounded to (0: not rounded), and the greatest one simulated.

    Attributes
    ----------
    rate_, b_
        Targets of the fitted period per day, and the slope of their magnitudes.
    """

    name = "poisson"

    def __init__(self, *, magnitude_bin: float = 0.0, magnitude_max: float = 9.5) -> None:
        self.magnitude_bin = magnitude_bin
        self.magnitude_max = magnitude_max

    def fit(self, catalogue: pd.DataFrame, target: Target) -> Poisson:
        """See `SeismicityModel`.

        Raises
        ------
        InputError
            When there is no target, or its completeness changes.
        """
        target.forbid_steps(self.name)
        sources = target.sources(catalogue)
        chosen = sources[sources["target"]]
        if chosen.empty:
            raise InputError(
                f"no earthquake of magnitude {target.magnitude_min:g} or more in the region from "
                f"{target.period}: a rate of zero forbids what is to come"
            )
        above = chosen["magnitude"].to_numpy(float) - target.magnitude_min
        self.b_ = slope(float(above.mean()), self.magnitude_bin)
        self.rate_ = len(chosen) / target.days
        return self

    def score(self, catalogue: pd.DataFrame, target: Target) -> Score:
        """See `SeismicityModel`."""
        density = self._densities(target.sources(catalogue), target)
        return Score.of(self.rate_ * density, np.full(len(density), self.rate_), self.rate_ * target.days)

    def log_rates(self, catalogue: pd.DataFrame, target: Target) -> pd.DataFrame:
        """See `SeismicityModel`."""
        sources = target.sources(catalogue)
        density = self._densities(sources, target)
        day = sources.loc[sources["target"], "day"].to_numpy(float)
        flat = np.full(len(density), self.rate_)
        return rates_table(sources, self.rate_ * density, flat, self.rate_ * day, self.rate_ * target.days)

    def simulate(self, history: pd.DataFrame, target: Target, *, n: int, seed: int) -> pd.DataFrame:
        """See `SeismicityModel`.

        Raises
        ------
        InputError
            When ``n`` is not positive.
        """
        rng = drawing(n, seed)
        number = rng.poisson(self.rate_ * target.days, n)
        total = int(number.sum())
        lon, lat = self._where(history, target).draw(total, rng)
        law = GutenbergRichter(self.b_, target.magnitude_min, self.magnitude_max)
        return simulations_table(
            target, simulation=np.repeat(np.arange(n), number), day=rng.uniform(0, target.days, total),
            longitude=lon, latitude=lat, magnitude=law.draw(total, rng),
        )  # fmt: skip

    def expected(
        self, history: pd.DataFrame, target: Target, grid: pd.DataFrame, edges: ArrayLike, *, n_each: int = 5
    ) -> pd.DataFrame:
        """Return expected numbers in cells and bins of magnitude: a FORECASTS table.

        The cells share the fitted rate: what of the density lies in none of them (at the rim of the region)
        is spread over all in proportion. Magnitudes are exponential and end at the last edge.

        Parameters
        ----------
        history
            What came before ``target.start``.
        target
            Period that is foreseen, and its region.
        grid
            Cells, of `kaname.discovery.seismicity.forecasting.cells`.
        edges
            Of the bins of magnitude, increasing, ``(n_bin + 1,)``, from ``target.magnitude_min`` on, half
            of ``magnitude_bin`` below it: what was rounded to the least magnitude begins there.
        n_each
            Points by which the density is taken in a cell, each way.

        Raises
        ------
        InputError
            When the bins do not begin there or do not increase.
        """
        bins = np.asarray(edges, float)
        least = target.magnitude_min - self.magnitude_bin / 2
        if len(bins) < 2 or not (np.diff(bins) > 0).all() or abs(bins[0] - least) > 1e-9:
            raise InputError(
                f"bins of magnitude must increase from {least:g}, the least that was fitted; found "
                f"{bins.tolist()}"
            )
        step = (np.arange(n_each) + 0.5) / n_each
        low = {axis: grid[f"{axis}_min"].to_numpy(float) for axis in ("longitude", "latitude")}
        wide = {axis: grid[f"{axis}_max"].to_numpy(float) - low[axis] for axis in low}
        lon = low["longitude"][:, None, None] + wide["longitude"][:, None, None] * step
        lat = low["latitude"][:, None, None] + wide["latitude"][:, None, None] * step[:, None]
        lon, lat = np.broadcast_arrays(lon, lat)
        area = np.radians(wide["longitude"] / n_each) * np.radians(wide["latitude"] / n_each)
        weight = area[:, None, None] * np.cos(np.radians(lat)) * EARTH_RADIUS_KM**2
        density = self._where(history, target).density(lon.ravel(), lat.ravel()).reshape(lon.shape)
        place = (density * weight).sum(axis=(1, 2))
        size = -np.diff(10 ** (-self.b_ * (bins - bins[0])))
        number = self.rate_ * target.days * np.outer(place / place.sum(), size / size.sum()).ravel()
        rows = np.repeat(np.arange(len(grid)), len(size))
        table = grid.iloc[rows].reset_index(drop=True)
        table["magnitude_min"] = np.tile(bins[:-1], len(grid))
        table["magnitude_max"] = np.tile(bins[1:], len(grid))
        return validate(
            table.assign(start=target.start, end=target.end, expected=number, probability=-np.expm1(-number)),
            FORECASTS,
        )

    def _where(self, history: pd.DataFrame, target: Target) -> Background:
        """Return the density of the places of what comes after ``history``."""
        return Uniform(target.region)

    def _densities(self, sources: pd.DataFrame, target: Target) -> NDArray[np.float64]:
        """Return the density at each target given what came before [1/km2]."""
        return np.full(int(sources["target"].sum()), 1 / target.region.area_km2)
