"""ETAS with more inside: two kernels, distances along lineaments, a background that goes on learning."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kaname.core.errors import InputError
from kaname.discovery.seismicity.anisotropy import Axes, Places, inside_share, triggered
from kaname.discovery.seismicity.background import KernelDensity, Uniform
from kaname.discovery.seismicity.contract import (
    DAY,
    Score,
    Target,
    drawing,
    rates_table,
    seismicity_model,
    simulations_table,
)
from kaname.discovery.seismicity.etas.fitting import HIGH, LOW, climb
from kaname.discovery.seismicity.etas.likelihood import Likelihood
from kaname.discovery.seismicity.etas.model import Etas
from kaname.discovery.seismicity.etas.parameters import NAMES, EtasParameters
from kaname.discovery.seismicity.etas.residuals import transformed_times
from kaname.discovery.seismicity.etas.simulation import Delays, travel
from kaname.discovery.seismicity.gutenberg_richter import GutenbergRichter
from kaname.discovery.seismicity.smoothed import epochs

Floats = NDArray[np.float64]
_QUICK = 6000
"""Targets that the two kernels are fitted to, evenly chosen where there are more."""
_NEVER = 1e-300
_TOLD = 0.2
"""Least share of a kernel within the region for it to be elongated."""
_MOST = 1_000_000
"""Most events that are simulated before the run is given up."""
_COLUMNS = ["day", "longitude", "latitude", "magnitude"]


@dataclass(frozen=True)
class HybridSettings:
    """What a hybrid is made of; the defaults are for the network of a country, places good to a kilometre.

    Parameters
    ----------
    densities
        Parts of the background, next to a uniform one: which neighbour's distance is the bandwidth, and the
        least bandwidth [km] (`KernelDensity`).
    reaches_km
        Aftershocks fall into ellipses drawn by the earlier events within so far, one part for each reach;
        0 means circles.
    prior, limit
        See `Axes.of_earlier`.
    update_days
        How often the background is made anew, of all that was there before [day].
    """

    densities: tuple[tuple[int, float], ...] = ((3, 1.0), (5, 4.0), (15, 8.0))
    reaches_km: tuple[float, ...] = (0.0, 1.0, 3.0)
    prior: float = 2.0
    limit: float = 6.0
    update_days: float = 365.0


@dataclass(frozen=True, eq=False)
class _Points:
    """Times [day] and places where a rate is asked for, and how many of the sources come before each."""

    day: Floats
    longitude: Floats
    latitude: Floats
    before: NDArray[np.int64]

    @classmethod
    def of_targets(cls, sources: pd.DataFrame) -> _Points:
        before = np.flatnonzero(sources["target"])
        day, lon, lat = sources.iloc[before][_COLUMNS[:3]].to_numpy(float).T
        return cls(day, lon, lat, before)


@dataclass(frozen=True, eq=False)
class _Parts:
    """Rates of the parts at some points: background ``(n, parts)``, and of each kernel ``(n, reaches)``."""

    background: Floats
    kernels: tuple[Floats, Floats]

    def rate(self, mu: float, shares: list[Floats]) -> Floats:
        of_background, *of_kernels = shares
        total = mu * self.background @ of_background
        for kernel, share in zip(self.kernels, of_kernels, strict=True):
            total = total + kernel @ share
        return np.asarray(total)


@seismicity_model("hybrid")
class Hybrid:
    """ETAS with a second kernel of its own scales, anisotropic triggering and a background that is updated.

    The rate is

        mu sum_b p_b u_b(x; t) + sum_k sum_r q_kr sum_i g_k(t - t_i, m_i) f_kr(x; i),

    k the two kernels of the form of ETAS, f_kr the spatial kernel in an ellipse that the events before i
    within some reach draw, scaled so that as much of it lies within the region as of the circular one, u_b
    densities of all background before the last update, and p and the q_k shares that sum to one. Its integral
    over the region is therefore that of ETAS with two kernels and circles, which is exact; the shares move
    earthquakes in space only.

    The shares maximise the likelihood of the last part of the fitted period, under kernels and a background
    that were fitted to what came before it; then all but the shares is fitted again to the whole.

    Parameters
    ----------
    etas
        The model to begin with (not fitted); missing: `Etas` with its defaults.
    settings
        See `HybridSettings`.
    held
        Share of the fitted period that the shares are learned on.
    early, whole
        ETAS fitted already to the first part and to all, to save the time.

    Attributes
    ----------
    etas_, b_, kernels_, shares_
        The fitted ETAS model and its b, the two kernels, and the shares: of the background's parts (the last
        uniform), and of the ellipses of each kernel.
    """

    name = "hybrid"

    def __init__(
        self,
        *,
        etas: Etas | None = None,
        settings: HybridSettings | None = None,
        held: float = 2 / 7,
        early: Etas | None = None,
        whole: Etas | None = None,
    ) -> None:
        if not 0 < held < 1:
            raise InputError(f"the part held back for the shares must be between 0 and 1, found {held}")
        self.etas = etas
        self.settings = settings or HybridSettings()
        self.held = held
        self.early = early
        self.whole = whole

    def fit(self, catalogue: pd.DataFrame, target: Target) -> Hybrid:
        """See `SeismicityModel`; raises as `Etas.fit`."""
        target.forbid_steps(self.name)
        first, last = self.parts(target)
        self._begin(self.early or deepcopy(self.etas or Etas()).fit(catalogue, first))
        at = _Points.of_targets(last.sources(catalogue))
        self.shares_ = self._learn(self._parts(catalogue, last, at), self.kernels_[0].mu)
        self._begin(self.whole or deepcopy(self.etas or Etas()).fit(catalogue, target))
        return self

    def _begin(self, etas: Etas) -> None:
        self.etas_, self.b_ = etas, etas.b_
        self.kernels_ = two_kernels(etas.training_, etas.parameters_)

    def parts(self, target: Target) -> tuple[Target, Target]:
        """Return the period that kernels are fitted to first, and the one that the shares are learned on."""
        # Whole days, so that a period of years is cut between two days.
        split = target.end - np.timedelta64(round(target.days * self.held), "D")
        return replace(target, end=split), replace(target, start=split)

    def score(self, catalogue: pd.DataFrame, target: Target) -> Score:
        """See `SeismicityModel`."""
        likelihood = self.etas_.likelihood(catalogue, target)
        rate = self._rate_at_targets(catalogue, target)
        first, second = self.kernels_
        in_time = likelihood.rates_in_time(first) + likelihood.rates_in_time(second) - second.mu
        expected = likelihood.expected(first) + likelihood.expected(second) - second.mu * likelihood.days
        return Score.of(rate, in_time, expected)

    def log_rates(self, catalogue: pd.DataFrame, target: Target) -> pd.DataFrame:
        """See `SeismicityModel`."""
        likelihood = self.etas_.likelihood(catalogue, target)
        rate = self._rate_at_targets(catalogue, target)
        first, second = self.kernels_
        in_time = likelihood.rates_in_time(first) + likelihood.rates_in_time(second) - second.mu
        a, b = (transformed_times(likelihood, p) for p in self.kernels_)
        cumulative = a.value + b.value - second.mu * likelihood.day[likelihood.target]
        total = a.total + b.total - second.mu * likelihood.days
        return rates_table(target.sources(catalogue), rate, in_time, cumulative, total)

    def rate(self, catalogue: pd.DataFrame, target: Target, points: pd.DataFrame) -> NDArray[np.float64]:
        """Return the rate anywhere in region and period, given what came before each moment [1/day/km2].

        Parameters
        ----------
        catalogue, target
            As for `score`; the events of the catalogue alone trigger.
        points
            ``time``, ``longitude`` and ``latitude`` of each point.

        Raises
        ------
        InputError
            When a point is not in the region and the period.
        """
        time = points["time"].to_numpy("datetime64[ns]")
        lon, lat = points["longitude"].to_numpy(float), points["latitude"].to_numpy(float)
        inside = target.region.contains(lon, lat) & (time >= target.start) & (time < target.end)
        if not inside.all():
            raise InputError(
                f"{(~inside).sum()} of {len(points)} points are outside the region or the period "
                f"{target.period}, the first is number {int(np.argmin(inside))}"
            )
        sources = target.sources(catalogue)
        day = (time - target.start) / DAY
        before = np.searchsorted(sources["day"].to_numpy(float), day)
        parts = self._parts(catalogue, target, _Points(day, lon, lat, before))
        return parts.rate(self.kernels_[0].mu, self.shares_)

    def _rate_at_targets(self, catalogue: pd.DataFrame, target: Target) -> Floats:
        parts = self._parts(catalogue, target, _Points.of_targets(target.sources(catalogue)))
        return parts.rate(self.kernels_[0].mu, self.shares_)

    def simulate(self, history: pd.DataFrame, target: Target, *, n: int, seed: int) -> pd.DataFrame:
        """See `SeismicityModel`.

        Background and ellipses stay as the history leaves them: simulated events draw none.

        Raises
        ------
        InputError
            When ``n`` is not positive, or the catalogues grow without end.
        """
        rng = drawing(n, seed)
        sources = target.sources(history)
        sources = sources[sources["day"] < 0][_COLUMNS].reset_index(drop=True)
        law = GutenbergRichter(self.b_, target.magnitude_min, self.etas_.magnitude_max)
        number = rng.poisson(self.kernels_[0].mu * target.days, n)
        lon, lat = self._draw_background(int(number.sum()), target, rng)
        new = pd.DataFrame(
            {
                "day": rng.uniform(0, target.days, len(lon)),
                "longitude": lon,
                "latitude": lat,
                "magnitude": law.draw(len(lon), rng),
                "simulation": np.repeat(np.arange(n), number),
                "generation": 0,
            }
        )
        made = [new, self._offspring(sources, sources, n, target, law, rng).assign(generation=0)]
        new = pd.concat(made, ignore_index=True)
        generation, total = 0, len(new)
        while len(new):
            generation += 1
            new = self._offspring(new, sources, 1, target, law, rng).assign(generation=generation)
            made.append(new)
            total += len(new)
            if total > _MOST:
                raise InputError(
                    f"more than {_MOST:,} events in {n} simulations after {generation} generations: lower "
                    f"the greatest magnitude ({self.etas_.magnitude_max}) or simulate fewer"
                )
        table = pd.concat(made, ignore_index=True)
        return simulations_table(target, **{name: table[name].to_numpy() for name in table})

    def _draw_background(self, n: int, target: Target, rng: np.random.Generator) -> tuple[Floats, Floats]:
        known = self._known()
        number = rng.multinomial(n, self.shares_[0])
        drawn = [Uniform(target.region).draw(int(number[-1]), rng)]
        for k, (neighbours, bandwidth) in zip(number, self.settings.densities):
            part = KernelDensity(
                target.region, known["longitude"], known["latitude"], known["weight"],
                neighbours=neighbours, bandwidth_min_km=bandwidth, uniform=_NEVER,
            )  # fmt: skip
            drawn.append(part.draw(int(k), rng))
        lon, lat = (np.concatenate(v) for v in zip(*drawn))
        mixed = rng.permutation(n)
        return lon[mixed], lat[mixed]

    def _offspring(
        self,
        parents: pd.DataFrame,
        history: pd.DataFrame,
        copies: int,
        target: Target,
        law: GutenbergRichter,
        rng: np.random.Generator,
    ) -> pd.DataFrame:
        """Return the direct aftershocks in the period of each parent, or those of ``copies`` of each."""
        day, lon, lat, magnitude = (parents[name].to_numpy(float) for name in _COLUMNS)
        above = magnitude - self.etas_.reference_
        inside = target.region.contains(lon, lat)
        begin, end = np.maximum(-day, 0.0), target.days - day
        known = 0 if parents is history else len(history)
        places = Places.of(
            np.append(history["longitude"].to_numpy(float)[:known], lon),
            np.append(history["latitude"].to_numpy(float)[:known], lat),
        )
        settings, made = self.settings, []
        axes = {
            reach: Axes.of_earlier(
                places, reach_km=reach, prior=settings.prior, limit=settings.limit, known=known or None
            )[np.arange(known, len(places.east))].where(inside)
            for reach in settings.reaches_km
            if reach > 0
        }
        for p, shares in zip(self.kernels_, self.shares_[1:], strict=True):
            delays = Delays(p, float(end.max(initial=1.0)))
            zone = p.d * np.exp(p.gamma * above)
            rate = p.k0 * np.exp(p.a * above) * np.pi / p.rho * zone**-p.rho * delays.integral(begin, end)
            for reach, share in zip(settings.reaches_km, shares, strict=True):
                if rate.sum() * copies > _MOST:
                    raise InputError(
                        f"more than {_MOST:,} aftershocks in one generation: lower the greatest magnitude "
                        f"({self.etas_.magnitude_max}) or simulate fewer"
                    )
                number = rng.poisson(rate * copies * share)
                who = np.repeat(np.arange(len(number)), number)
                along = np.sqrt(zone[who] * ((1 - rng.random(len(who))) ** (-1 / p.rho) - 1))
                turn = rng.uniform(0, 2 * np.pi, len(who))
                x, y = along * np.cos(turn), along * np.sin(turn)
                if reach > 0:
                    own = axes[reach][who]
                    x, y = x * np.sqrt(own.ratio), y / np.sqrt(own.ratio)
                    x, y = x * own.east - y * own.north, x * own.north + y * own.east
                to = travel(lon[who], lat[who], np.hypot(x, y), np.arctan2(x, y))
                made.append(
                    pd.DataFrame(
                        {
                            "day": day[who] + delays.draw(begin[who], end[who], rng),
                            "longitude": to[0],
                            "latitude": to[1],
                            "magnitude": law.draw(len(who), rng),
                            "simulation": rng.integers(0, copies, len(who))
                            if copies > 1 or parents is history
                            else parents["simulation"].to_numpy()[who],
                        }
                    )
                )
        return pd.concat(made, ignore_index=True)

    def _learn(self, parts: _Parts, mu: float) -> list[Floats]:
        """Return the shares that maximise the likelihood, the totals held; EM climbs it to its one top."""
        every = (parts.background, *parts.kernels)
        shares = [np.full(part.shape[1], 1 / part.shape[1]) for part in every]
        for _ in range(300):
            inverse = 1 / parts.rate(mu, shares)
            shares = [share * (inverse @ part) for share, part in zip(shares, every, strict=True)]
            shares = [share / share.sum() for share in shares]
        return shares

    def _parts(self, catalogue: pd.DataFrame, target: Target, points: _Points) -> _Parts:
        sources = target.sources(catalogue)
        likelihood = self.etas_.likelihood(catalogue, target)
        lon, lat = sources["longitude"].to_numpy(float), sources["latitude"].to_numpy(float)
        places, at = Places.of(lon, lat), Places.of(points.longitude, points.latitude)
        inside = target.region.contains(lon, lat)
        settings = self.settings
        axes = {
            r: Axes.of_earlier(places, reach_km=r, prior=settings.prior, limit=settings.limit).where(inside)
            if r > 0
            else Axes.isotropic(len(lon))
            for r in settings.reaches_km
        }
        kernels = []
        for p in self.kernels_:
            zone = p.d * np.exp(p.gamma * likelihood.magnitude)
            columns = []
            circles = inside_share(target.region, lon, lat, zone, p.rho, Axes.isotropic(len(lon)))
            for reach in settings.reaches_km:
                size = np.log(p.k0) + p.a * likelihood.magnitude
                # A kernel wider than the region has too few nodes within it to be scaled: it stays a circle.
                own = axes[reach].where(inside & (circles > _TOLD))
                if reach > 0:
                    ellipses = inside_share(target.region, lon, lat, zone, p.rho, own)
                    elongated = own.ratio > 1
                    size = size + np.where(
                        elongated, np.log(np.maximum(circles, _TOLD) / np.maximum(ellipses, 1e-9)), 0.0
                    )
                columns.append(
                    triggered(
                        likelihood.day, places, size, zone, own,
                        at_day=points.day, at=at, before=points.before,
                        c=p.c, omega=p.omega, inverse_tau=1 / p.tau, rho=p.rho,
                    )
                )  # fmt: skip
            kernels.append(np.column_stack(columns))
        background = self._background(sources[sources["target"]], likelihood, target, points)
        return _Parts(background, (kernels[0], kernels[1]))

    def _known(self) -> pd.DataFrame:
        density = self.etas_.background_
        if not isinstance(density, KernelDensity):
            raise InputError("a hybrid goes on learning a kernel background, found a uniform one")
        return density.events()

    def _background(
        self, chosen: pd.DataFrame, likelihood: Likelihood, target: Target, points: _Points
    ) -> Floats:
        """Return the densities at the points, each of what was background before the last update."""
        p = self.etas_.parameters_
        known = self._known()
        new = chosen[["longitude", "latitude"]].assign(weight=p.mu * likelihood.density / likelihood.rates(p))
        out = np.empty((len(points.day), len(self.settings.densities) + 1))
        out[:, -1] = 1 / target.region.area_km2
        for begin, now in epochs(points.day, self.settings.update_days):
            past = pd.concat([known, new[chosen["day"] < begin]])
            for k, (neighbours, bandwidth) in enumerate(self.settings.densities):
                made = KernelDensity(
                    target.region, past["longitude"], past["latitude"], past["weight"],
                    neighbours=neighbours, bandwidth_min_km=bandwidth, uniform=_NEVER,
                )  # fmt: skip
                out[now, k] = made.density(points.longitude[now], points.latitude[now])
        return out


def two_kernels(likelihood: Likelihood, etas: EtasParameters) -> tuple[EtasParameters, EtasParameters]:
    """Return two ETAS kernels that share one background, fitted together.

    The search begins with 85 % of the kernel that is given, and beside it one without growth with magnitude,
    slow and wide.
    """
    likelihood = likelihood.thinned(_QUICK)
    second = replace(etas, k0=1.0, a=0.3, c=1.0, omega=-0.3, tau=60.0, d=max(1.0, etas.d), gamma=0.0, rho=1.5)
    number = likelihood.triggered(second)[2][0]
    target = 0.1 * len(likelihood.target) * likelihood.weight
    second = replace(second, k0=float(target / number))

    def evaluate(vector: Floats) -> tuple[float, Floats, Floats]:
        a, b = _pair(vector)
        (rate_a, slope_a, number_a), (rate_b, slope_b, number_b) = (likelihood.triggered(p) for p in (a, b))
        even = a.mu * likelihood.density
        rate = even + rate_a + rate_b
        slope = np.column_stack([even, slope_a, slope_b]) / rate[:, np.newaxis]
        expected = np.concatenate([[a.mu * likelihood.days], number_a, number_b])
        value = likelihood.weight * np.log(rate).sum() - expected[0] - number_a[0] - number_b[0]
        weight = likelihood.weight
        return float(value), weight * slope.sum(axis=0) - expected, weight * slope.T @ slope

    first = replace(etas, k0=0.85 * etas.k0, tau=min(etas.tau, 1e4))
    second_at = len(NAMES) - 1
    low, high = (
        np.array([bound.get(n, end) for n in (*NAMES, *NAMES[1:])])
        for bound, end in ((LOW, -np.inf), (HIGH, np.inf))
    )
    # Where one kernel is enough the second runs away: larger earthquakes have more aftershocks, and farther
    # away; memory ends within decades; wider or flatter than this, a kernel would be a second background.
    for name, least, most in (
        ("a", 0.0, 3.0), ("gamma", 0.0, 1.0), ("tau", np.log(1e-2), np.log(1e4)),
        ("d", np.log(1e-8), np.log(25.0)), ("rho", 0.3, 5.0),
    ):  # fmt: skip
        low[second_at + NAMES.index(name)], high[second_at + NAMES.index(name)] = least, most
    top = climb(
        evaluate,
        np.concatenate([first.vector(), second.vector()[1:]]),
        low=low,
        high=high,
        free=np.ones(len(low), bool),
        tolerance=0.5,
        passes=30,
    )
    return _pair(top.vector)


def _pair(vector: Floats) -> tuple[EtasParameters, EtasParameters]:
    n = len(NAMES)
    return (
        EtasParameters.from_vector(vector[:n]),
        EtasParameters.from_vector(np.append(vector[0], vector[n:])),
    )
