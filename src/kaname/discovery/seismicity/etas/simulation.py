"""Catalogues that ETAS could have made: of a period after a history, many at a time, reproducible."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kaname.core.errors import InputError
from kaname.core.geo import EARTH_RADIUS_KM
from kaname.core.tables import EVENTS, concat
from kaname.discovery.seismicity.background import Background
from kaname.discovery.seismicity.contract import Target, drawing, simulations_table
from kaname.discovery.seismicity.etas.incomplete import companions
from kaname.discovery.seismicity.etas.parameters import EtasParameters
from kaname.discovery.seismicity.gutenberg_richter import GutenbergRichter

Floats = NDArray[np.float64]
_MOST = 20_000_000
"""Most events that are simulated before the run is given up; a tenth where the numbers grow without end."""
_GROWTH = 10
"""How many times as many targets as were observed a catalogue may get before it is given up."""
_COLUMNS = ("event_id", "time", "longitude", "latitude", "magnitude")


class Delays:
    """Times of aftershocks: the decay of ETAS integrated once on a fine grid, and inverted."""

    def __init__(self, p: EtasParameters, longest: float) -> None:
        self._c = p.c
        self._u = np.linspace(np.log(p.c), np.log(longest + p.c), 20_001)
        middle = (self._u[1:] + self._u[:-1]) / 2
        # Simpson's rule in each interval.
        edge, centre = (np.exp(-(np.exp(u) - p.c) / p.tau - p.omega * u) for u in (self._u, middle))
        step = self._u[1] - self._u[0]
        self._sum = np.concatenate([[0.0], np.cumsum(step / 6 * (edge[:-1] + 4 * centre + edge[1:]))])

    @property
    def grid(self) -> tuple[Floats, Floats]:
        """Even nodes of log(s + c), and the integral of the decay up to each."""
        return self._u, self._sum

    def integral(self, begin: Floats, end: Floats) -> Floats:
        """Return the integral of the decay between two delays [day]."""
        low, high = (np.interp(np.log(s + self._c), self._u, self._sum) for s in (begin, end))
        return np.asarray(high - low)

    def draw(self, begin: Floats, end: Floats, rng: np.random.Generator) -> Floats:
        """Return one delay between each pair of bounds [day]."""
        low, high = (np.interp(np.log(s + self._c), self._u, self._sum) for s in (begin, end))
        u = np.interp(low + rng.random(len(begin)) * (high - low), self._sum, self._u)
        return np.asarray(np.clip(np.exp(u) - self._c, begin, end))


def branching_ratio(p: EtasParameters, reference: float, magnitudes: GutenbergRichter) -> float:
    """Return the mean number of direct aftershocks, in all time and space, of an earthquake."""
    above = magnitudes.mean_exponential(p.alpha) * np.exp(p.alpha * (magnitudes.magnitude_min - reference))
    return float(p.branching_productivity * above)


def simulate(
    p: EtasParameters,
    background: Background,
    magnitudes: GutenbergRichter,
    history: pd.DataFrame,
    target: Target,
    *,
    reference: float,
    n: int,
    seed: int,
) -> pd.DataFrame:
    """Return ``n`` simulated catalogues of a period.

    Aftershocks of the history fall where and when they must; those outside the region trigger, and are left
    out of what is returned. Where the completeness of the history changes, what it hides triggers, too; the
    simulated earthquakes are all from the least magnitude on.

    Parameters
    ----------
    p, background, magnitudes, reference
        The model; ``reference`` is the magnitude that the parameters count from.
    history
        Events before the period, an EVENTS table; later ones are not looked at.
    target
        Region, period and least magnitude.
    n, seed
        Number of catalogues, and the seed: the same seed gives the same catalogues.

    Returns
    -------
    simulations
        A table of `kaname.core.forecasts.SIMULATIONS`, in order of simulation and time.

    Raises
    ------
    InputError
        When ``n`` is not positive, or the catalogues grow without end (branching ratio above one).
    """
    rng = drawing(n, seed)
    sources = target.sources(history)
    sources = sources[sources["day"] < 0]
    days = target.days
    delays = Delays(p, _oldest(sources) + days)
    fresh = _fresh(p, background, magnitudes, days, n, rng)
    extra = 0.0 if target.completeness is None else companions(sources, magnitudes, p.alpha)
    first = _offspring(p, _known(sources), delays, days, reference, magnitudes, rng, copies=n, extra=extra)
    ratio = branching_ratio(p, reference, magnitudes)

    def next_generation(parent: _Events) -> _Events:
        return _offspring(p, parent, delays, days, reference, magnitudes, rng)

    made = [fresh, first]
    try:
        made += _generations(_joined(made), next_generation, _MOST if ratio < 1 else _MOST // 10)
    except InputError as error:
        raise InputError(
            f"{error} in {n} simulations; the branching ratio is {ratio:.2f}: lower the greatest magnitude "
            f"({magnitudes.magnitude_max}) or simulate fewer"
        ) from None
    number = [0, 0, *range(1, len(made) - 1)]
    generation = np.repeat(number, [len(part.day) for part in made])
    return simulations_table(target, **vars(_joined(made)), generation=generation)


def resimulate(
    p: EtasParameters,
    background: Background,
    magnitudes: GutenbergRichter,
    catalogue: pd.DataFrame,
    target: Target,
    *,
    reference: float,
    seed: int | Sequence[int],
) -> pd.DataFrame:
    """Return a catalogue whose targets are others that the model could have made; the rest is as observed.

    What is no target, before the period and outside the region, triggers as it does in the likelihood. As
    its aftershocks outside are known already, none are simulated there. Magnitudes are drawn from those of
    the targets, each as far above the least as it is above the completeness of its time; where that is
    worse, simulated earthquakes are hidden, too.

    Parameters
    ----------
    p, background, magnitudes, reference
        The model (`simulate`).
    catalogue, target
        EVENTS table, and whose targets are replaced.
    seed
        The same seed gives the same catalogue.

    Returns
    -------
    catalogue
        An EVENTS table with what `target` needs.

    Raises
    ------
    InputError
        When the catalogue grows without end.
    """
    rng = np.random.default_rng(seed)
    sources = target.sources(catalogue)
    chosen = sources[sources["target"]]
    above = chosen["magnitude"].to_numpy(float) - chosen["completeness"].to_numpy(float)
    seen = _Seen(target.magnitude_min + above)
    rest = sources[~sources["target"]]
    days = target.days
    delays = Delays(p, _oldest(rest) + days)
    extra = 0.0 if target.completeness is None else companions(rest, magnitudes, p.alpha)

    def inside(events: _Events) -> _Events:
        kept = target.region.contains(events.longitude, events.latitude)
        return _Events(**{name: values[kept] for name, values in vars(events).items()})

    def next_generation(parent: _Events) -> _Events:
        return inside(_offspring(p, parent, delays, days, reference, seen, rng))

    first = inside(_offspring(p, _known(rest), delays, days, reference, seen, rng, extra=extra))
    parent = _joined([_fresh(p, background, seen, days, 1, rng), first])
    made = _joined([parent, *_generations(parent, next_generation, 1000 + _GROWTH * len(chosen))])
    table = simulations_table(target, **vars(made))
    if target.completeness is not None:
        least = target.completeness.at(table["time"], target.magnitude_min)
        table = table[table["magnitude"] >= least - 1e-9]
    table = table.assign(event_id=[f"simulated {k}" for k in range(len(table))])
    return concat([rest[list(_COLUMNS)], table[list(_COLUMNS)]], EVENTS)


def _oldest(sources: pd.DataFrame) -> float:
    """Return the age of the first source at the beginning of the period [day]."""
    return max(-float(sources["day"].min()), 0.0) if len(sources) else 0.0


@dataclass(frozen=True, eq=False)
class _Events:
    simulation: NDArray[np.int64]
    day: Floats
    longitude: Floats
    latitude: Floats
    magnitude: Floats


class _Magnitudes(Protocol):
    def draw(self, n: int, rng: np.random.Generator) -> Floats: ...


@dataclass(frozen=True, eq=False)
class _Seen:
    """Magnitudes as they were observed, drawn with replacement."""

    values: Floats

    def draw(self, n: int, rng: np.random.Generator) -> Floats:
        return np.asarray(rng.choice(self.values, n))


def _known(sources: pd.DataFrame) -> _Events:
    """Return observed events; they belong to the first simulation, or to each."""
    columns = (sources[name].to_numpy(float) for name in ("day", "longitude", "latitude", "magnitude"))
    return _Events(np.zeros(len(sources), np.int64), *columns)


def _fresh(
    p: EtasParameters,
    background: Background,
    magnitudes: _Magnitudes,
    days: float,
    n: int,
    rng: np.random.Generator,
) -> _Events:
    """Return the background of ``n`` simulations."""
    number = rng.poisson(p.mu * days, n)
    lon, lat = background.draw(int(number.sum()), rng)
    day = rng.uniform(0, days, len(lon))
    return _Events(np.repeat(np.arange(n), number), day, lon, lat, magnitudes.draw(len(lon), rng))


def _generations(parent: _Events, next_generation: Callable[[_Events], _Events], most: int) -> list[_Events]:
    """Return the aftershocks, theirs, and so on; more than ``most`` events are an error."""
    made, total = [], len(parent.day)
    while len(parent.day):
        parent = next_generation(parent)
        made.append(parent)
        total += len(parent.day)
        if total > most:
            raise InputError(f"more than {most:,} events after {len(made)} generations")
    return made


def _joined(parts: list[_Events]) -> _Events:
    names = ("simulation", "day", "longitude", "latitude", "magnitude")
    return _Events(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _offspring(
    p: EtasParameters,
    parent: _Events,
    delays: Delays,
    days: float,
    reference: float,
    magnitudes: _Magnitudes,
    rng: np.random.Generator,
    copies: int = 1,
    extra: Floats | float = 0.0,
) -> _Events:
    """Return the direct aftershocks of each parent in the period, or those of ``copies`` of each.

    ``extra`` is the productivity of unseen companions, in units of the parents' own.
    """
    above = parent.magnitude - reference
    zone = p.d * np.exp(p.gamma * above)
    begin, end = np.maximum(-parent.day, 0.0), days - parent.day
    rate = p.k0 * np.exp(p.a * above) * np.pi / p.rho * zone**-p.rho * delays.integral(begin, end)
    number = rng.poisson(rate * (1 + extra) * copies)
    who = np.repeat(np.arange(len(number)), number)
    simulation = rng.integers(0, copies, len(who)) if copies > 1 else parent.simulation[who]
    day = parent.day[who] + delays.draw(begin[who], end[who], rng)
    # 1 - random is never 0.
    distance = np.sqrt(zone[who] * ((1 - rng.random(len(who))) ** (-1 / p.rho) - 1))
    lon, lat = travel(
        parent.longitude[who], parent.latitude[who], distance, rng.uniform(0, 2 * np.pi, len(who))
    )
    return _Events(simulation, day, lon, lat, magnitudes.draw(len(who), rng))


def travel(
    longitude: Floats, latitude: Floats, distance_km: Floats, azimuth: Floats
) -> tuple[Floats, Floats]:
    """Return where great circles end [degree], at the antipode at the latest; azimuths in radians."""
    r = np.minimum(distance_km / EARTH_RADIUS_KM, np.pi)
    lat = np.radians(latitude)
    y = np.sin(lat) * np.cos(r) + np.cos(lat) * np.sin(r) * np.cos(azimuth)
    turn = np.arctan2(np.sin(azimuth) * np.sin(r) * np.cos(lat), np.cos(r) - np.sin(lat) * y)
    return (longitude + np.degrees(turn) + 180) % 360 - 180, np.degrees(np.arcsin(np.clip(y, -1, 1)))
