"""Which earthquakes belong together: windows, chains, nearest neighbours, and what ETAS says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray

from kaname.core.errors import InputError
from kaname.core.geo import EARTH_RADIUS_KM, on_sphere
from kaname.discovery.seismicity.contract import DAY, Target
from kaname.discovery.seismicity.etas.model import Etas

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
YEAR = 365.25


def gardner_knopoff(events: pd.DataFrame) -> Ints:
    """Return for each event the row of the mainshock of its cluster, its own where it is one.

    Gardner & Knopoff (1974), windows as van Stiphout, Zhuang & Marsan (2012, doi:10.5078/corssa-52382934,
    eq. 1) write them, before and after each event from the largest on.

    Parameters
    ----------
    events
        EVENTS table with places and magnitudes; any order.

    Raises
    ------
    InputError
        When a place or a magnitude is missing.
    """
    day, place, m, order = _ordered(events)
    radius = 10 ** (0.1238 * m + 0.983)
    window = np.where(m >= 6.5, 10 ** (0.032 * m + 2.7389), 10 ** (0.5409 * m - 0.547))
    # Of equally large ones the first is the mainshock.
    by_size = np.lexsort((np.arange(len(m)), -m))
    main = _windows(day, place, radius, window, by_size)
    return _as_given(main, order)


def reasenberg(
    events: pd.DataFrame,
    *,
    tau_min: float = 1.0,
    tau_max: float = 10.0,
    confidence: float = 0.95,
    magnitude_rise: float = 0.5,
    magnitude_min: float = 1.5,
    radius_factor: float = 10.0,
) -> Ints:
    """Return for each event the row of the largest event of its cluster, its own outside clusters.

    Reasenberg (1985), doi:10.1029/JB090iB07p05479, with his Californian values. Errors of location are not
    looked at.

    Parameters
    ----------
    events
        EVENTS table.
    tau_min, tau_max
        Look-ahead time of events outside clusters, and the longest of all [day].
    confidence
        Of seeing the next event of a cluster.
    magnitude_rise
        Share of the mainshock's magnitude by which completeness rises within a cluster.
    magnitude_min
        Completeness of the catalogue.
    radius_factor
        Crack radii within which events belong together.
    """
    day, place, m, order = _ordered(events)
    cluster = _chains(
        day, place, m, tau_min, tau_max, confidence, magnitude_rise, magnitude_min, radius_factor
    )
    largest: dict[int, int] = {}
    for k, c in enumerate(cluster):
        if c not in largest or m[k] > m[largest[c]]:
            largest[c] = k
    return _as_given(np.array([largest[c] for c in cluster], np.int64), order)


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Nearest neighbours in space, time and magnitude.

    Parameters
    ----------
    parent
        Row of the nearest earlier event, -1 for the first.
    log_eta, log_time, log_distance
        log10 of the proximity and of its parts, rescaled time [year] and distance [km to the power of the
        fractal dimension]; their sum is ``log_eta``.
    threshold
        log10 of the proximity at which background and clusters are equally dense; NaN: they are one mode.
    """

    parent: Ints
    log_eta: Floats
    log_time: Floats
    log_distance: Floats
    threshold: float

    def background(self) -> NDArray[np.bool_]:
        """Return which events are background: first ones and those farther than the threshold."""
        if np.isnan(self.threshold):
            return np.ones(len(self.parent), bool)
        return (self.parent < 0) | (self.log_eta >= self.threshold)


def nearest_neighbours(events: pd.DataFrame, *, b: float = 1.0, dimension: float = 1.6) -> Neighbours:
    """Return the nearest neighbour of each event (Zaliapin et al. 2008; Zaliapin & Ben-Zion 2013).

    doi:10.1103/PhysRevLett.101.018501, doi:10.1002/jgrb.50179. The threshold is where the two parts of a
    mixture of normal distributions of log10 eta are equally likely.

    Parameters
    ----------
    events
        EVENTS table.
    b, dimension
        Slope of the magnitudes and fractal dimension of the epicentres.

    Raises
    ------
    InputError
        With fewer than 20 events.
    """
    from sklearn.mixture import GaussianMixture

    day, place, m, order = _ordered(events)
    if len(m) < 20:
        raise InputError(f"{len(m)} events are too few for a threshold of proximity, 20 the least")
    parent, log_eta, log_time, log_distance = _nearest(day / YEAR, place, m, b, dimension)
    values = log_eta[1:].reshape(-1, 1)
    mixture = GaussianMixture(2, random_state=0, n_init=3).fit(values)
    low, high = np.sort(mixture.means_.ravel())
    grid = np.linspace(low, high, 2001).reshape(-1, 1)
    near = mixture.predict_proba(grid)[:, int(np.argmin(mixture.means_))]
    threshold = float("nan")
    one = GaussianMixture(1).fit(values)
    # Two parts must be worth their three parameters.
    if mixture.bic(values) < one.bic(values) and near[0] > 0.5 > near[-1]:
        threshold = float(grid[np.argmax(near < 0.5), 0])
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    given = np.where(parent[rank] >= 0, order[parent[rank]], -1)
    return Neighbours(given, log_eta[rank], log_time[rank], log_distance[rank], threshold)


def background_probability(model: Etas, catalogue: pd.DataFrame, target: Target) -> pd.DataFrame:
    """Return the target events and the probability that each is background under a fitted ETAS.

    Zhuang, Ogata & Vere-Jones (2002), doi:10.1198/016214502760046925. Drawing events with this probability
    is stochastic declustering (`thin`).
    """
    sources = target.sources(catalogue)
    likelihood = model.likelihood(catalogue, target)
    rate = likelihood.rates(model.parameters_)
    chosen = sources[sources["target"]].reset_index(drop=True)
    return chosen.assign(background=np.clip(model.parameters_.mu * likelihood.density / rate, 0, 1))


def thin(probability: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """Return one stochastically declustered catalogue of `background_probability`."""
    rng = np.random.default_rng(seed)
    keep = rng.random(len(probability)) < probability["background"].to_numpy()
    return probability[keep].reset_index(drop=True)


def _ordered(events: pd.DataFrame) -> tuple[Floats, Floats, Floats, Ints]:
    lost = events[["longitude", "latitude", "magnitude"]].isna().any(axis=1)
    if lost.any() or not len(events):
        raise InputError(f"{lost.sum()} of {len(events)} events lack a place or a magnitude; leave them out")
    order = np.argsort(events["time"].to_numpy("datetime64[ns]"), kind="stable")
    table = events.iloc[order]
    time = table["time"].to_numpy("datetime64[ns]")
    place = on_sphere(table["latitude"], table["longitude"])
    return (time - time[0]) / DAY, place, table["magnitude"].to_numpy(float), order


def _as_given(main: Ints, order: Ints) -> Ints:
    """Return rows of the table as it was given for rows in order of time."""
    out = np.empty(len(order), np.int64)
    out[order] = order[main]
    return out


@njit(cache=True)
def _apart(place, i, j):  # type: ignore[no-untyped-def]
    dx, dy, dz = place[0, i] - place[0, j], place[1, i] - place[1, j], place[2, i] - place[2, j]
    chord = np.sqrt(dx * dx + dy * dy + dz * dz)
    return 2 * EARTH_RADIUS_KM * np.arcsin(min(chord / (2 * EARTH_RADIUS_KM), 1.0))


@njit(cache=True)
def _windows(day, place, radius, window, by_size):  # type: ignore[no-untyped-def]
    n = len(day)
    main = np.full(n, -1)
    for i in by_size:
        if main[i] >= 0:
            continue
        main[i] = i
        first = np.searchsorted(day, day[i] - window[i])
        last = np.searchsorted(day, day[i] + window[i], side="right")
        for j in range(first, last):
            if main[j] < 0 and _apart(place, i, j) <= radius[i]:
                main[j] = i
    return main


@njit(cache=True)
def _chains(day, place, m, tau_min, tau_max, confidence, rise, least, factor):  # type: ignore[no-untyped-def]
    n = len(day)
    cluster = np.arange(n)
    single = np.ones(n, np.bool_)
    # Of each cluster, by its number: the largest event, which sets radius and look-ahead.
    largest = np.arange(n)
    for i in range(n):
        for j in range(i + 1, n):
            wait = day[j] - day[i]
            if wait > tau_max:
                break
            mine = cluster[i]
            if cluster[j] == mine:
                continue
            big = largest[mine]
            if single[i]:
                tau = tau_min
            else:
                since = day[i] - day[big]
                excess = (1 - rise) * m[big] - least
                tau = -np.log(1 - confidence) * max(since, 0.0) / 10 ** (2 * (max(excess, 0.0) - 1) / 3)
                tau = min(max(tau, tau_min), tau_max)
            if wait > tau:
                continue
            near = _apart(place, i, j) <= factor * 0.011 * 10 ** (0.4 * m[i])
            if not near and not single[i]:
                near = _apart(place, big, j) <= 0.011 * 10 ** (0.4 * m[big])
            if near:
                other = cluster[j]
                keep, gone = min(mine, other), max(mine, other)
                bigger = largest[keep] if m[largest[keep]] >= m[largest[gone]] else largest[gone]
                for k in range(n):
                    if cluster[k] == gone:
                        cluster[k] = keep
                largest[keep] = bigger
                single[i] = single[j] = False
    return cluster


@njit(cache=True)
def _nearest(year, place, m, b, dimension):  # type: ignore[no-untyped-def]
    n = len(year)
    parent = np.full(n, -1)
    eta, time, distance = np.full(n, np.inf), np.full(n, np.inf), np.full(n, np.inf)
    for j in range(1, n):
        for i in range(j):
            # A second and ten metres: what is nearer cannot be told apart.
            t = np.log10(max(year[j] - year[i], 3e-8)) - b * m[i] / 2
            r = dimension * np.log10(max(_apart(place, i, j), 0.01)) - b * m[i] / 2
            if t + r < eta[j]:
                parent[j], eta[j], time[j], distance[j] = i, t + r, t, r
    return parent, eta, time, distance
