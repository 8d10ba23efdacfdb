"""The practical job: from a catalogue to simulated futures, and from these to probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.spatial import KDTree

from kaname.core.errors import InputError
from kaname.core.forecasts import FORECASTS, SIMULATIONS
from kaname.core.geo import on_sphere
from kaname.core.tables import concat, validate
from kaname.discovery.seismicity import completeness, generic
from kaname.discovery.seismicity.background import Background, KernelDensity, Uniform
from kaname.discovery.seismicity.contract import DAY, Target
from kaname.discovery.seismicity.etas.likelihood import Likelihood
from kaname.discovery.seismicity.etas.model import Etas
from kaname.discovery.seismicity.etas.parameters import EtasParameters
from kaname.discovery.seismicity.etas.simulation import branching_ratio
from kaname.discovery.seismicity.gutenberg_richter import GutenbergRichter, b_value, magnitude_bins
from kaname.discovery.seismicity.region import Region

FEW = 50
"""With fewer targets than this the generic prior speaks along."""
_SEED_SPREAD = 1_000_003


@dataclass(frozen=True, eq=False)
class Prepared:
    """A catalogue made ready: cleaned, with its completeness, region and width of magnitude bins.

    ``notes`` says what was done or assumed, in the words of the report.
    """

    events: pd.DataFrame
    region: Region
    magnitude_min: float
    magnitude_bin: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Ensemble:
    """One model with several sets of parameters that the data leave possible, and several b."""

    model: Etas
    parameters: tuple[EtasParameters, ...]
    b: NDArray[np.float64]
    generic: bool
    n_target: int

    def simulate(self, history: pd.DataFrame, target: Target, *, n: int, seed: int) -> pd.DataFrame:
        """Return ``n`` futures, as many with each set of parameters (see `members`)."""
        parts = []
        for k, (p, b, share) in enumerate(zip(self.parameters, self.b, np.array_split(np.arange(n), self.n))):
            if not len(share):
                continue
            one = Etas.with_parameters(
                p, self.model.reference_, self.model.background_, b=float(b),
                magnitude_max=self.model.magnitude_max,
            )  # fmt: skip
            made = one.simulate(history, target, n=len(share), seed=seed * _SEED_SPREAD + k)
            parts.append(made.assign(simulation=made["simulation"] + share[0]))
        return concat(parts, SIMULATIONS)

    def members(self, n: int) -> NDArray[np.int64]:
        """Return which set of parameters made each of ``n`` simulations."""
        return np.repeat(np.arange(self.n), [len(s) for s in np.array_split(np.arange(n), self.n)])

    @property
    def n(self) -> int:
        """Number of sets of parameters."""
        return len(self.parameters)


def prepare(
    events: pd.DataFrame,
    *,
    magnitude_min: float | None = None,
    region: Region | None = None,
) -> Prepared:
    """Return a catalogue without what cannot be used, and what a forecast needs to know of it.

    Earthquakes without magnitude or place are left out and counted. Of earthquakes within one second, 5 km
    and 0.3 magnitudes of each other (one earthquake twice) the first is kept.

    Parameters
    ----------
    events
        EVENTS table.
    magnitude_min
        Completeness; missing: the larger of that of the whole catalogue and that of its last 200
        earthquakes, by maximum curvature + 0.2, and never so large that fewer than 50 remain of 50.
    region
        Missing: between the outermost meridians and parallels of the earthquakes, 5 % wider.

    Raises
    ------
    InputError
        When no earthquake has a time, a place and a magnitude, or they span the date line without a region.
    """
    notes = []
    known = events[["magnitude", "latitude", "longitude"]].notna().all(axis=1) & events["time"].notna()
    if not known.any():
        raise InputError(
            f"none of the {len(events)} events has a time, a place and a magnitude; a forecast needs them"
        )
    if not known.all():
        notes.append(f"{(~known).sum()} events without magnitude or place are left out.")
    table = events[known].sort_values("time", kind="stable").reset_index(drop=True)
    twice = _duplicates(table)
    if twice.any():
        notes.append(
            f"{twice.sum()} earthquakes stand twice (within 1 s, 5 km and 0.3 magnitudes); one each was kept."
        )
        table = table[~twice].reset_index(drop=True)
    m = table["magnitude"].to_numpy(float)
    width = magnitude_bins(m)
    if magnitude_min is None:
        magnitude_min, said = _automatic(m, width or 0.1)
        notes.append(said)
    # A bin of width w holds what was rounded to its centre.
    if region is None:
        region = _around(table[m >= magnitude_min - 1e-9])
        west, east = region.longitude.min(), region.longitude.max()
        south, north = region.latitude.min(), region.latitude.max()
        notes.append(
            "No region was given: the forecast is for all places between "
            f"{west:.2f} and {east:.2f} degrees of longitude, {south:.2f} and {north:.2f} of latitude."
        )
    return Prepared(table, region, float(magnitude_min), width, tuple(notes))


def _duplicates(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which events repeat an earlier one."""
    second = (table["time"] - table["time"].iloc[0]).to_numpy("timedelta64[ns]") / np.timedelta64(1, "s")
    place = on_sphere(table["latitude"], table["longitude"])
    scaled = np.column_stack([second, *(place / 5), table["magnitude"].to_numpy(float) / 0.3])
    out = np.zeros(len(table), bool)
    for i, j in sorted(KDTree(scaled).query_pairs(2.0)):
        delta = np.abs(scaled[i] - scaled[j])
        if delta[0] <= 1 and np.hypot(np.hypot(delta[1], delta[2]), delta[3]) <= 1 and delta[4] <= 1 + 1e-9:
            out[j] |= not out[i]
    return out


def _automatic(m: NDArray[np.float64], width: float) -> tuple[float, str]:
    whole = completeness.maximum_curvature(m, magnitude_bin=max(width, 0.1)).magnitude
    found, of = whole, "maximum curvature + 0.2"
    if len(m) >= 2 * FEW:
        late = completeness.maximum_curvature(m[-200:], magnitude_bin=max(width, 0.1)).magnitude
        if late > whole and (m >= late - 1e-9).sum() >= FEW:
            found, of = late, "maximum curvature + 0.2 of the last 200 earthquakes, higher than before"
    kept = int((m >= found - 1e-9).sum())
    if kept == 0:
        found, of, kept = float(m.min()), "the smallest one, as too few are known to estimate it", len(m)
    return float(round(found, 6)), f"Magnitude of completeness {found:.1f} ({of}); {kept} of {len(m)} remain."


def _around(table: pd.DataFrame) -> Region:
    lon, lat = table["longitude"].to_numpy(float), table["latitude"].to_numpy(float)
    if np.ptp(lon) > 180:
        raise InputError("the earthquakes span more than 180 degrees of longitude; give a region")
    # At least half a degree, so that one earthquake has a region too.
    x, y = (max(0.05 * np.ptp(v), (0.5 - np.ptp(v)) / 2) for v in (lon, lat))
    return Region.from_bounds(
        lon.min() - x, lon.max() + x, max(lat.min() - y, -89.9), min(lat.max() + y, 89.9)
    )


def learn(
    prepared: Prepared, moment: np.datetime64, *, n_member: int, seed: int, magnitude_max: float = 9.0
) -> tuple[Ensemble, tuple[str, ...]]:
    """Return ETAS fitted to what happened before a moment, and what it leaves open.

    With at least `FEW` targets: maximum likelihood and the normal distribution about it. With fewer: the
    posterior of the generic prior (`kaname.discovery.seismicity.generic`), whose spread is wider.
    """
    events, region, least = prepared.events, prepared.region, prepared.magnitude_min
    before = events[events["time"] < moment]
    if before.empty:
        raise InputError(f"no earthquake before {moment}; the first is at {events['time'].iloc[0]}")
    begin = np.datetime64(before["time"].iloc[0], "ns")
    target = Target(region, begin, max(moment, begin + np.timedelta64(1, "s")), least)
    sources = target.sources(before)
    n = int(sources["target"].sum())
    m = sources.loc[sources["target"], "magnitude"].to_numpy(float)
    if n >= FEW:
        # Rounding moves the mean by half a bin; Etas takes that into account.
        model = Etas(magnitude_bin=prepared.magnitude_bin, magnitude_max=magnitude_max).fit(before, target)
        slope = b_value(m, least, magnitude_bin=prepared.magnitude_bin)
        return _ensemble(model, slope.b, slope.error, n, n_member, seed)
    likelihood = None
    if n:
        background = _background(sources[sources["target"]], region)
        density = background.density(*(sources.loc[sources["target"], c] for c in ("longitude", "latitude")))
        likelihood = Likelihood.of(sources, target, density, reference=least)
    else:
        background = Uniform(region)
    sets = generic.draw(least, n=4 * n_member, seed=seed, days=max(target.days, 1.0), likelihood=likelihood)
    rng = np.random.default_rng(seed)
    b = 1.0 + 0.1 * rng.standard_normal(n_member)
    if n >= 2 and np.ptp(m) > 0:
        # Weighted with the generic 1.0 +- 0.1, as errors are.
        seen = b_value(m, least, magnitude_bin=prepared.magnitude_bin)
        weight = 1 / max(seen.b / np.sqrt(n), 1e-3) ** 2
        mean, error = (100 * 1.0 + weight * seen.b) / (100 + weight), 1 / np.sqrt(100 + weight)
        b = mean + error * rng.standard_normal(n_member)
    b = np.clip(b, 0.6, 1.6)
    stable = _stable(sets, b, least, magnitude_max, n_member)
    model = Etas.with_parameters(stable[0], least, background, b=float(b.mean()), magnitude_max=magnitude_max)
    note = (
        f"Earthquakes known in the region above the magnitude of completeness: {n}, too few. The forecast "
        "starts from parameters published for another region and is therefore much more uncertain."
    )
    return Ensemble(model, tuple(stable), b, True, n), (note,)


def around(model: Etas, n_target: int, *, n_member: int, seed: int) -> tuple[Ensemble, tuple[str, ...]]:
    """Return the ensemble about a model that was fitted before, or the model alone without its covariance."""
    error = model.b_ / np.sqrt(max(n_target, 1))
    return _ensemble(model, model.b_, error, n_target, n_member, seed)


def _ensemble(
    model: Etas, b: float, b_error: float, n: int, n_member: int, seed: int
) -> tuple[Ensemble, tuple[str, ...]]:
    rng = np.random.default_rng(seed)
    slopes = np.clip(b + b_error * rng.standard_normal(n_member), 0.3, 3)
    notes = []
    if hasattr(model, "maximum_"):
        if not model.maximum_.converged:
            notes.append("The fit did not converge: treat the figures with care.")
        vectors = rng.multivariate_normal(
            model.parameters_.vector(), model.maximum_.covariance, 20 * n_member, method="eigh"
        )
        sets = [p for p in map(_possible, vectors) if p is not None]
        if len(sets) < n_member:
            sets += [model.parameters_] * (n_member - len(sets))
            notes.append("The fit leaves hardly any room for its own errors; their spread is understated.")
        stable = _stable(sets, slopes, model.reference_, model.magnitude_max, n_member, model.parameters_)
    else:
        stable = [model.parameters_] * n_member
        notes.append("The model states no uncertainty of its parameters; only chance and b spread here.")
    return Ensemble(model, tuple(stable), slopes, False, n), tuple(notes)


def _possible(vector: NDArray[np.float64]) -> EtasParameters | None:
    try:
        # A taper that the data do not know may be drawn as endless.
        with np.errstate(over="ignore"):
            return EtasParameters.from_vector(vector)
    except InputError:
        # Outside what is possible, such as rho below zero.
        return None


def _stable(
    sets: Sequence[EtasParameters],
    b: NDArray[np.float64],
    reference: float,
    magnitude_max: float,
    n: int,
    best: EtasParameters | None = None,
) -> list[EtasParameters]:
    """Return the first ``n`` sets under which sequences end; where none do, the best or the calmest."""

    def ratio(p: EtasParameters, slope: float) -> float:
        return branching_ratio(p, reference, GutenbergRichter(slope, reference, magnitude_max))

    chosen: list[EtasParameters] = []
    for p in sets:
        if len(chosen) == n:
            return chosen
        if ratio(p, float(b[len(chosen)])) < 1:
            chosen.append(p)
    calm = best or min(sets, key=lambda p: ratio(p, float(b.mean())))
    return (chosen + [calm] * n)[:n]


def _background(targets: pd.DataFrame, region: Region) -> Background:
    if len(targets) <= 6:
        return Uniform(region)
    weight = np.ones(len(targets))
    return KernelDensity(
        region, targets["longitude"], targets["latitude"], weight, bandwidth_min_km=5, uniform=0.2
    )


def probabilities(
    simulations: pd.DataFrame, members: NDArray[np.int64], magnitudes: Sequence[float]
) -> pd.DataFrame:
    """Return for each magnitude how many are expected, and how likely one or more are, with intervals.

    Parameters
    ----------
    simulations
        SIMULATIONS table.
    members
        Which set of parameters made each simulation, ``(n,)``.
    magnitudes
        Least magnitudes.

    Returns
    -------
    table
        ``magnitude_min``, ``expected``, ``count_low``, ``count_high`` (95 % of the futures), ``probability``,
        ``probability_low``, ``probability_high``: 95 % of what the parameters leave open, a beta distribution
        with the mean and the variance of the probabilities between sets, and with the chance of finite
        simulations in it.
    """
    n = len(members)
    rows = []
    for least in magnitudes:
        chosen = simulations.loc[simulations["magnitude"] >= least - 1e-9, "simulation"]
        count = np.bincount(chosen, minlength=n)
        p, low, high = _beta(count > 0, members)
        few, many = np.quantile(count, [0.025, 0.975], method="inverted_cdf")
        rows.append((least, count.mean(), int(few), int(many), p, low, high))
    names = ["magnitude_min", "expected", "count_low", "count_high", "probability"]
    return pd.DataFrame(rows, columns=[*names, "probability_low", "probability_high"])


def _beta(happened: NDArray[np.bool_], members: NDArray[np.int64]) -> tuple[float, float, float]:
    size = np.bincount(members)
    share = np.bincount(members, happened) / size
    p = float(happened.mean())
    # What the sets differ by beyond the chance of their simulations.
    between = max(float(np.var(share)) - float((share * (1 - share) / np.maximum(size - 1, 1)).mean()), 0.0)
    n = len(happened)
    centre = (happened.sum() + 0.5) / (n + 1)
    variance = between + centre * (1 - centre) / (n + 2)
    total = max(centre * (1 - centre) / variance - 1, 0.02)
    low, high = stats.beta.ppf([0.025, 0.975], centre * total, (1 - centre) * total)
    return p, float(min(low, p)), float(max(high, p))


def daily(simulations: pd.DataFrame, target: Target, n: int, magnitude: float) -> pd.DataFrame:
    """Return for each day of the period the expected number and the probability of one or more."""
    chosen = simulations[simulations["magnitude"] >= magnitude - 1e-9]
    day = ((chosen["time"].to_numpy("datetime64[ns]") - target.start) / DAY).astype(int)
    n_day = int(np.ceil(target.days - 1e-9))
    expected = np.bincount(day, minlength=n_day)[:n_day] / n
    once = np.unique(np.column_stack([chosen["simulation"], day]), axis=0)[:, 1]
    starts = target.start + np.arange(n_day) * DAY
    probability = np.bincount(once, minlength=n_day)[:n_day] / n
    return pd.DataFrame({"start": starts, "expected": expected, "probability": probability})


def cells(region: Region, degree: float) -> pd.DataFrame:
    """Return the cells of a grid whose centres are in a region: their edges [degree]."""
    if not degree > 0:
        raise InputError(f"the width of cells must be positive, found {degree} degrees")
    west, south = (np.floor(v.min() / degree + 1e-9) * degree for v in (region.longitude, region.latitude))
    n_lon = int(np.ceil((region.longitude.max() - west) / degree - 1e-9))
    n_lat = int(np.ceil((region.latitude.max() - south) / degree - 1e-9))
    if n_lon * n_lat > 4_000_000:
        raise InputError(f"{n_lon * n_lat:,} cells of {degree} degrees are too many; take wider ones")
    lat, lon = (v.ravel() for v in np.meshgrid(np.arange(n_lat), np.arange(n_lon), indexing="ij"))
    inside = region.contains(west + (lon + 0.5) * degree, south + (lat + 0.5) * degree)
    # Rounded as edges are: two cells share theirs.
    edges = {
        "longitude_min": west + lon * degree, "longitude_max": west + (lon + 1) * degree,
        "latitude_min": south + lat * degree, "latitude_max": south + (lat + 1) * degree,
    }  # fmt: skip
    table = pd.DataFrame({k: v[inside].round(9) for k, v in edges.items()})
    table.attrs.update(degree=degree, west=west, south=south)
    return table


def gridded(
    simulations: pd.DataFrame, grid: pd.DataFrame, target: Target, n: int, magnitudes: Sequence[float]
) -> pd.DataFrame:
    """Return expected numbers and probabilities in each cell for each least magnitude: a FORECASTS table."""
    degree, west, south = (grid.attrs[k] for k in ("degree", "west", "south"))
    column = np.round((grid["longitude_min"] - west) / degree).astype(int).to_numpy()
    row = np.round((grid["latitude_min"] - south) / degree).astype(int).to_numpy()
    n_column = column.max() + 1
    at = np.full((row.max() + 1) * n_column, -1)
    at[row * n_column + column] = np.arange(len(grid))
    parts = []
    for least in magnitudes:
        chosen = simulations[simulations["magnitude"] >= least - 1e-9]
        i = np.floor((chosen["longitude"].to_numpy() - west) / degree).astype(int)
        j = np.floor((chosen["latitude"].to_numpy() - south) / degree).astype(int)
        inside = (i >= 0) & (i < n_column) & (j >= 0) & (j <= row.max())
        cell = np.where(inside, at[np.where(inside, j * n_column + i, 0)], -1)
        held = cell >= 0
        expected = np.bincount(cell[held], minlength=len(grid)) / n
        pairs = np.unique(cell[held].astype(np.int64) * n + chosen["simulation"].to_numpy()[held])
        probability = np.bincount(pairs // n, minlength=len(grid)) / n
        parts.append(
            grid.assign(
                magnitude_min=least, start=target.start, end=target.end, expected=expected,
                probability=probability,
            )
        )  # fmt: skip
    return validate(pd.concat(parts, ignore_index=True), FORECASTS)


def within_radius(
    simulations: pd.DataFrame,
    longitude: ArrayLike,
    latitude: ArrayLike,
    n: int,
    *,
    radius_km: float,
    magnitude: float,
) -> NDArray[np.float64]:
    """Return for each place the probability of one or more earthquakes within a radius."""
    chosen = simulations[simulations["magnitude"] >= magnitude - 1e-9]
    place = on_sphere(np.ravel(latitude), np.ravel(longitude))
    if chosen.empty:
        return np.zeros(place.shape[1])
    tree = KDTree(on_sphere(chosen["latitude"], chosen["longitude"]).T)
    simulation = chosen["simulation"].to_numpy()
    found = tree.query_ball_point(place.T, radius_km)
    return np.array([len(np.unique(simulation[k])) for k in found]) / n
