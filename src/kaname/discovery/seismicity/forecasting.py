"""The practical job: a catalogue made ready, and simulated futures turned into probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.spatial import KDTree

from kaname.core.errors import InputError
from kaname.core.forecasts import FORECASTS
from kaname.core.geo import on_sphere
from kaname.core.tables import validate
from kaname.discovery.seismicity import completeness
from kaname.discovery.seismicity.contract import DAY, Target
from kaname.discovery.seismicity.gutenberg_richter import magnitude_bins
from kaname.discovery.seismicity.region import Region

FEW = 50
"""With fewer targets than this the generic prior speaks along."""


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
        When no earthquake has a time, a place and a magnitude, when they span the date line without a region,
        or when many are known and none is as small as the given completeness.
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
    elif len(m) >= FEW and m.min() > magnitude_min + max(width, 0.1):
        raise InputError(
            f"the smallest of {len(m)} earthquakes has magnitude {m.min():g}: the catalogue is not complete "
            f"from {magnitude_min:g} on; give that magnitude or a higher one as --magnitude-min"
        )
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


def usual(
    prepared: Prepared, moment: np.datetime64, days: float, magnitudes: Sequence[float]
) -> NDArray[np.float64]:
    """Return which share of all earlier periods as long had one or more earthquakes of each magnitude.

    Counted, not modelled: a sequence fills the periods about it and no others. NaN where the catalogue before
    the moment is shorter than ten such periods.
    """
    before = prepared.events[prepared.events["time"] < moment]
    inside = prepared.region.contains(before["longitude"], before["latitude"])
    day = (before["time"].to_numpy("datetime64[ns]") - before["time"].to_numpy("datetime64[ns]")[0]) / DAY
    length = float((moment - before["time"].to_numpy("datetime64[ns]")[0]) / DAY) - days
    if length < 9 * days:
        return np.full(len(magnitudes), np.nan)
    shares = []
    for least in magnitudes:
        hit = day[inside & (before["magnitude"].to_numpy(float) >= least - 1e-9)]
        # A period that begins within so many days before an earthquake holds it.
        begin, end = np.clip(hit - days, 0, length), np.clip(hit, 0, length)
        begin = np.maximum(begin, np.concatenate([[0.0], end[:-1]])) if len(hit) else begin
        shares.append(float((end - begin).sum() / length))
    return np.array(shares)


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
    if not inside.any():
        raise InputError(f"no cell of {degree:g} degrees has its centre in the region; take narrower ones")
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
