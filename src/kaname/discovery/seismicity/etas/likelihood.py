"""The likelihood of space-time ETAS, with its exact gradient and an estimate of its information."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kaname.core.errors import InputError
from kaname.core.geo import EARTH_RADIUS_KM, on_sphere
from kaname.discovery.seismicity.contract import Target
from kaname.discovery.seismicity.etas.incomplete import Hidden
from kaname.discovery.seismicity.etas.kernel import (
    hidden_integrals,
    pair_rates,
    pair_sums,
    plane_integrals,
    space_integrals,
    temporal_sums,
    threads_for,
    time_integrals,
)
from kaname.discovery.seismicity.etas.parameters import EtasParameters
from kaname.discovery.seismicity.region import Quadrature


@dataclass(frozen=True, eq=False)
class Likelihood:
    """Everything the likelihood of one target period needs that does not depend on the parameters.

    Parameters
    ----------
    day, place, magnitude
        Of all sources [day since start], [km] ``(3, n)``, above the reference.
    target
        Indices of the target events.
    density
        Density of the background at the targets [1/km2].
    days
        Length of the period [day].
    quadrature
        Of the region about the sources; none: aftershocks are counted over the whole plane.
    weight
        For how many targets each stands: more than one where they are `thinned`.
    hidden
        What a completeness that changes hides; rates and numbers are of what is seen.
    """

    day: NDArray[np.float64]
    place: NDArray[np.float64]
    magnitude: NDArray[np.float64]
    target: NDArray[np.int64]
    density: NDArray[np.float64]
    days: float
    quadrature: Quadrature | None
    radius_km: float = EARTH_RADIUS_KM
    weight: float = 1.0
    hidden: Hidden | None = None

    @classmethod
    def of(
        cls,
        sources: pd.DataFrame,
        target: Target,
        density: NDArray[np.float64],
        *,
        reference: float,
        within_region: bool = True,
        radius_km: float = EARTH_RADIUS_KM,
        quadrature: Quadrature | None = None,
        hidden: Hidden | None = None,
    ) -> Likelihood:
        """Return the likelihood of the targets among ``sources`` (`Target.sources`).

        A ``quadrature`` about the same sources is used again.

        Raises
        ------
        InputError
            When there are no targets.
        """
        index = np.flatnonzero(sources["target"].to_numpy())
        if not len(index):
            raise InputError(
                f"no earthquake of magnitude {target.magnitude_min:g} or more in the region from "
                f"{target.period}; widen the period or the region, or lower the magnitude"
            )
        lon, lat = sources["longitude"].to_numpy(float), sources["latitude"].to_numpy(float)
        return cls(
            sources["day"].to_numpy(float),
            on_sphere(lat, lon, radius_km=radius_km),
            sources["magnitude"].to_numpy(float) - reference,
            index,
            density,
            target.days,
            (quadrature or target.region.quadrature(lon, lat)) if within_region else None,
            radius_km,
            hidden=hidden,
        )

    def thinned(self, n: int) -> Likelihood:
        """Return an estimate of this likelihood by about ``n`` of its targets, evenly chosen.

        All sources stay. Its maximum is close to that of the whole, and found in a fraction of the time.
        """
        step = max(1, len(self.target) // n)
        chosen = slice(step // 2, None, step)
        kept = self.target[chosen]
        weight = self.weight * len(self.target) / len(kept)
        hidden = self.hidden and replace(self.hidden, seen=self.hidden.seen[chosen])
        return replace(self, target=kept, density=self.density[chosen], weight=weight, hidden=hidden)

    def background(self, parameters: EtasParameters) -> NDArray[np.float64]:
        """Return the probability of each target to be background."""
        return np.asarray(parameters.mu * self.density * self._seen / self.rates(parameters))

    def rates(self, parameters: EtasParameters) -> NDArray[np.float64]:
        """Return the rate at each target given what came before [1/day/km2]."""
        at = self.day[self.target], self.place[:, self.target]
        return self._rates(parameters, *at, self.target, self.density) * self._seen

    def rates_at(
        self,
        parameters: EtasParameters,
        day: NDArray[np.float64],
        place: NDArray[np.float64],
        density: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return the rate at any times and places of the period given what came before [1/day/km2].

        Parameters
        ----------
        parameters
            Of the model.
        day, place
            Since the start ``(n,)``, and [km] ``(3, n)``.
        density
            Of the background there [1/km2] ``(n,)``.
        """
        rate = self._rates(parameters, day, place, np.searchsorted(self.day, day), density)
        return rate if self.hidden is None else rate * self.hidden.seen_at(day)

    def rates_in_time(self, parameters: EtasParameters) -> NDArray[np.float64]:
        """Return the rate over the region at the time of each target [1/day]."""
        p = parameters
        weight = self.productivity(p) * self.space_integrals(p)
        with self._threads():
            triggered = temporal_sums(self.day, weight, self.target, p.c, p.omega, 1 / p.tau)
        return np.asarray((p.mu + triggered) * self._seen)

    def expected_by_source(
        self, parameters: EtasParameters, *, end: float | None = None
    ) -> NDArray[np.float64]:
        """Return how many targets each source triggers up to ``end`` [day], the period's own if missing."""
        p = parameters
        times = self._times(p, self.days if end is None else end)
        return np.asarray(self.productivity(p) * times[:, 0] * self.space_integrals(p))

    def expected(self, parameters: EtasParameters) -> float:
        """Return how many targets are expected, given the sources."""
        return float(parameters.mu * self.open_days + self.expected_by_source(parameters).sum())

    def log_likelihood(self, parameters: EtasParameters) -> float:
        """Return the log-likelihood of the targets (Daley & Vere-Jones 2003, eq. 7.2.4)."""
        return float(self.weight * np.log(self.rates(parameters)).sum() - self.expected(parameters))

    def productivity(self, parameters: EtasParameters) -> NDArray[np.float64]:
        """Return k0 exp(a m) of each source, with that of its companions which are not seen."""
        return np.asarray(np.exp(self._size(parameters)))

    def in_the_period(self, parameters: EtasParameters) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return k0 exp(a m) times the integral of the decay, and d exp(gamma m), of each source."""
        times = self._times(parameters, self.days)[:, 0]
        return np.asarray(self.productivity(parameters) * times), self._zone(parameters)

    def space_integrals(self, parameters: EtasParameters) -> NDArray[np.float64]:
        """Return, for each source, how much of its kernel falls where aftershocks are counted."""
        return self._spaces(parameters)[:, 0]

    def with_gradient(
        self, parameters: EtasParameters
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        """Return log-likelihood, its gradient by `EtasParameters.vector`, and an estimate of its information.

        The information is the sum over targets of the outer product of the gradients of the log rate
        (Ogata 1978, doi:10.1007/BF02480216): positive, and right at the maximum.
        """
        p = parameters
        triggered, slope, number = self.triggered(p)
        rate = p.mu * self.density + triggered
        slope = np.column_stack([p.mu * self.density, slope]) / rate[:, np.newaxis]
        expected = np.append(p.mu * self.open_days, number)
        value = float(self.weight * np.log(rate * self._seen).sum() - expected[0] - expected[1])
        return value, self.weight * slope.sum(axis=0) - expected, self.weight * slope.T @ slope

    def triggered(
        self, parameters: EtasParameters
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return the triggered rate at each target, its derivatives, and those of the number expected.

        The rate is that of all earthquakes, hidden or not; the number that of those seen.

        Returns
        -------
        rate, slope, number
            ``(n,)`` [1/day/km2]; ``(n, 8)`` and ``(8,)``, by `EtasParameters.vector` without mu. As k0 enters
            by its logarithm, ``number[0]`` is also the number itself.
        """
        p = parameters
        with self._threads():
            sums = pair_sums(self.day, self.place, self.magnitude, *self._kernel(p))
        times = self._times(p, self.days)
        slope = np.column_stack(
            [
                sums[:, 0],
                sums[:, 4],
                -(1 + p.omega) * p.c * sums[:, 1],
                -sums[:, 2],
                sums[:, 3] / p.tau,
                -(1 + p.rho) * sums[:, 5],
                -(1 + p.rho) * sums[:, 6],
                -sums[:, 7],
            ]
        )
        zone, size = self._zone(p), self.productivity(p)
        spaces = self._spaces(p)
        each = size * times[:, 0] * spaces[:, 0]
        in_time, in_space = size * spaces[:, 0], size * times[:, 0]
        number = np.array(
            [
                each.sum(),
                (each * self.magnitude).sum(),
                -(1 + p.omega) * p.c * (in_time * times[:, 1]).sum(),
                -(in_time * times[:, 2]).sum(),
                (in_time * times[:, 3]).sum() / p.tau,
                (in_space * spaces[:, 1] * zone).sum(),
                (in_space * spaces[:, 1] * zone * self.magnitude).sum(),
                (in_space * spaces[:, 2]).sum(),
            ]
        )
        return sums[:, 0], slope, number

    def _size(self, p: EtasParameters) -> NDArray[np.float64]:
        size = np.log(p.k0) + p.a * self.magnitude
        return np.asarray(size if self.hidden is None else size + self.hidden.log_extra)

    def _zone(self, p: EtasParameters) -> NDArray[np.float64]:
        return np.asarray(p.d * np.exp(p.gamma * self.magnitude))

    def _rates(
        self,
        p: EtasParameters,
        day: NDArray[np.float64],
        place: NDArray[np.float64],
        before: NDArray[np.int64],
        density: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return the rate of all earthquakes, hidden or not, given the first ``before`` sources."""
        size, zone = self._size(p), self._zone(p)
        shape = p.c, p.omega, 1 / p.tau, p.rho, self.radius_km
        with threads_for(int(before.sum())):
            triggered = pair_rates(self.day, self.place, size, zone, day, place, before, *shape)
        return np.asarray(p.mu * density + triggered)

    def _kernel(self, p: EtasParameters) -> Any:
        size, zone = self._size(p), self._zone(p)
        return size, zone, self.target, p.c, p.omega, 1 / p.tau, p.rho, self.radius_km

    def _threads(self) -> AbstractContextManager[None]:
        return threads_for(int(self.target.sum()))

    @property
    def _seen(self) -> NDArray[np.float64] | float:
        return 1.0 if self.hidden is None else self.hidden.seen

    @property
    def open_days(self) -> float:
        """Length of the period [day], times of which a share is hidden counted by what is seen."""
        return self.days if self.hidden is None else self.days - self.hidden.days

    def _times(self, p: EtasParameters, end: float) -> NDArray[np.float64]:
        decay = p.c, p.omega, 1 / p.tau
        with self._threads():
            times = np.asarray(time_integrals(np.maximum(-self.day, 0.0), end - self.day, *decay))
            if self.hidden is not None:
                h = self.hidden.until(end)
                times -= hidden_integrals(self.day, h.begin, h.end, h.share, *decay)
        return times

    def _spaces(self, p: EtasParameters) -> NDArray[np.float64]:
        zone = self._zone(p)
        if self.quadrature is None:
            return plane_integrals(zone, p.rho)
        q = self.quadrature
        with self._threads():
            return np.asarray(space_integrals(q.first, q.squared, q.weight, zone, p.rho))
