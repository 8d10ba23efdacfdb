"""Smoothed seismicity: a constant rate, more of it where earthquakes were before."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kaname.core.errors import InputError
from kaname.discovery.seismicity.background import Background, KernelDensity, Uniform
from kaname.discovery.seismicity.contract import Target, seismicity_model
from kaname.discovery.seismicity.poisson import Poisson


@seismicity_model("smoothed")
class Smoothed(Poisson):
    """A Poisson process in time whose places follow adaptive Gaussians about all past earthquakes.

    The bandwidth of each is the distance to its k-th neighbour (Helmstetter, Kagan & Jackson 2007,
    doi:10.1785/gssrl.78.1.78). The density is made anew every ``update_days``, of what was there before;
    between, it stays: it integrates to one over the region at any time.

    Parameters
    ----------
    neighbours, bandwidth_min_km, uniform
        See `KernelDensity`.
    update_days
        How often the density is made [day].
    magnitude_bin, magnitude_max
        See `Poisson`.
    """

    name = "smoothed"

    def __init__(
        self,
        *,
        neighbours: int = 5,
        bandwidth_min_km: float = 0.5,
        uniform: float = 0.05,
        update_days: float = 182.0,
        magnitude_bin: float = 0.0,
        magnitude_max: float = 9.5,
    ) -> None:
        if not update_days > 0:
            raise InputError(f"update_days must be positive, found {update_days}")
        super().__init__(magnitude_bin=magnitude_bin, magnitude_max=magnitude_max)
        self.neighbours = neighbours
        self.bandwidth_min_km = bandwidth_min_km
        self.uniform = uniform
        self.update_days = update_days

    def _where(self, history: pd.DataFrame, target: Target) -> Background:
        sources = target.sources(history)
        return self._kernel(sources[sources["day"] < 0], target)

    def _densities(self, sources: pd.DataFrame, target: Target) -> NDArray[np.float64]:
        chosen = sources[sources["target"]]
        day = chosen["day"].to_numpy(float)
        lon, lat = chosen["longitude"].to_numpy(float), chosen["latitude"].to_numpy(float)
        out = np.empty(len(chosen))
        for begin, now in epochs(day, self.update_days):
            out[now] = self._kernel(sources[sources["day"] < begin], target).density(lon[now], lat[now])
        return out

    def _kernel(self, past: pd.DataFrame, target: Target) -> Background:
        past = past[target.region.contains(past["longitude"], past["latitude"])]
        if len(past) <= self.neighbours:
            return Uniform(target.region)
        return KernelDensity(
            target.region, past["longitude"], past["latitude"], np.ones(len(past)),
            neighbours=self.neighbours, bandwidth_min_km=self.bandwidth_min_km, uniform=self.uniform,
        )  # fmt: skip


def epochs(day: NDArray[np.float64], length: float) -> Iterator[tuple[float, NDArray[np.int64]]]:
    """Yield the beginning of each stretch of ``length`` days since 0 and which of the times are in it."""
    which = np.floor(day / length).astype(np.int64)
    for k in np.unique(which):
        yield float(k * length), np.flatnonzero(which == k)
