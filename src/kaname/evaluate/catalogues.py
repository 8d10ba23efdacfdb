"""Scores of a catalogue against a reference: events found, distances, magnitudes, honesty of the uncertainty.

Every score stands beside what costs nothing (the reference's own median for every event) and, where events
were located more than once by hand, beside the scatter between analysts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kaname.core.errors import InputError
from kaname.core.geo import LocalFrame, distance_azimuth


def distinct(events: pd.DataFrame, *, within_s: float = 3.0) -> NDArray[np.intp]:
    """Return for every row the number of the earthquake it describes.

    Rows whose origin times follow one another within ``within_s`` seconds are solutions of the same one.
    """
    time = events["time"].to_numpy(dtype="datetime64[ns]").astype(np.int64) / 1e9
    order = np.argsort(time, kind="stable")
    group = np.zeros(len(events), dtype=np.intp)
    group[order] = np.concatenate([[0], np.cumsum(np.diff(time[order]) > within_s)])[: len(events)]
    return group


def preferred(solutions: pd.DataFrame, *, within_s: float = 3.0) -> pd.DataFrame:
    """Return one solution of each earthquake by time: that with the most phases, then the first by name."""
    ranked = solutions.assign(
        group=distinct(solutions, within_s=within_s), phases=solutions["n_p"] + solutions["n_s"]
    ).sort_values(["phases", "event_id"], ascending=[False, True])
    kept = ranked.drop_duplicates("group").sort_values("time", kind="stable")
    return kept.drop(columns=["group", "phases"]).reset_index(drop=True)


def match(found: pd.DataFrame, reference: pd.DataFrame, *, within_s: float = 3.0) -> list[tuple[int, int]]:
    """Pair events one to one by origin time, closest first; return row positions ``(found, reference)``."""
    a = found["time"].to_numpy(dtype="datetime64[ns]").astype(np.int64) / 1e9
    b = reference["time"].to_numpy(dtype="datetime64[ns]").astype(np.int64) / 1e9
    pairs: list[tuple[float, int, int]] = []
    order = np.argsort(b, kind="stable")
    for i, time in enumerate(a):
        low = np.searchsorted(b[order], time - within_s)
        high = np.searchsorted(b[order], time + within_s, side="right")
        pairs.extend((abs(b[j] - time), i, int(j)) for j in order[low:high])
    taken_a: set[int] = set()
    taken_b: set[int] = set()
    out = []
    for _, i, j in sorted(pairs):
        if i not in taken_a and j not in taken_b:
            taken_a.add(i)
            taken_b.add(j)
            out.append((i, j))
    return sorted(out, key=lambda pair: pair[1])


@dataclass(frozen=True)
class CatalogueScore:
    """How a catalogue compares with a reference, and with knowing nothing but the reference's median."""

    n_reference: int
    n_found: int
    n_located: int
    n_extra: int
    """Events of the catalogue that the reference does not have."""
    epicentre_km: float
    """Median distance of the epicentres."""
    depth_km: float
    """Median absolute difference in depth."""
    magnitude: float
    """Median absolute difference in magnitude after removing the median difference."""
    magnitude_constant: float
    """The median difference that was removed, catalogue minus reference."""
    time_s: float
    """Median absolute difference of origin times."""
    constant_epicentre_km: float
    """Median distance when every event is put at the reference's median."""
    constant_depth_km: float
    constant_magnitude: float
    distance_correlation: float
    """Pearson correlation of the distances between events here and in the reference (3-D)."""
    covered: int
    """Reference hypocentres within the stated 68 % ellipsoid."""
    coverage_low: float
    """95 % Wilson interval of the true coverage."""
    coverage_high: float
    pairs: pd.DataFrame
    """One row per matched event: both solutions and their differences."""

    @property
    def recall(self) -> float:
        """Share of the reference events that were found."""
        return self.n_found / self.n_reference if self.n_reference else float("nan")


def score(found: pd.DataFrame, reference: pd.DataFrame, *, within_s: float = 3.0) -> CatalogueScore:
    """Score ``found`` against ``reference`` (both ``events`` tables, one row per earthquake in each).

    Unlocated events count as found when their time matches (an unlocated row's time is that of the first
    P), not as located.

    Raises
    ------
    InputError
        When the reference is empty or has several solutions of one earthquake (see `distinct`).
    """
    if reference.empty:
        raise InputError("the reference catalogue is empty")
    if len(set(distinct(reference, within_s=within_s))) < len(reference):
        raise InputError("the reference has several solutions of one earthquake; keep one, see `distinct`")
    matched = match(found, reference, within_s=within_s)
    a = found.iloc[[i for i, _ in matched]].reset_index(drop=True)
    b = reference.iloc[[j for _, j in matched]].reset_index(drop=True)
    located = a["latitude"].notna().to_numpy()
    pairs = _pairs(a[located].reset_index(drop=True), b[located].reset_index(drop=True))
    middle_distance, _ = distance_azimuth(
        reference["latitude"].median(),
        reference["longitude"].median(),
        reference["latitude"].to_numpy(),
        reference["longitude"].to_numpy(),
    )
    difference = pairs["magnitude"] - pairs["reference_magnitude"]
    inside = _inside(pairs)
    low, high = wilson(int(inside.sum()), len(inside))
    return CatalogueScore(
        n_reference=len(reference),
        n_found=len(matched),
        n_located=int(located.sum()),
        n_extra=len(found) - len(matched),
        epicentre_km=_median(pairs["epicentre_km"]),
        depth_km=_median(pairs["depth_difference_km"].abs()),
        magnitude=_median((difference - difference.median()).abs()),
        magnitude_constant=_median(difference),
        time_s=_median(pairs["time_difference_s"].abs()),
        constant_epicentre_km=float(np.median(middle_distance)),
        constant_depth_km=_median((reference["depth_km"] - reference["depth_km"].median()).abs()),
        constant_magnitude=_median((reference["magnitude"] - reference["magnitude"].median()).abs()),
        distance_correlation=_distance_correlation(pairs),
        covered=int(inside.sum()),
        coverage_low=low,
        coverage_high=high,
        pairs=pairs,
    )


def scatter(solutions: pd.DataFrame, *, within_s: float = 3.0) -> pd.DataFrame:
    """Return how far repeated solutions of the same earthquake lie apart: the floor of any score.

    One row per pair of solutions: ``epicentre_km``, ``depth_difference_km``, ``magnitude_difference``.
    """
    group = distinct(solutions, within_s=within_s)
    rows = []
    for number in np.unique(group):
        members = solutions[group == number]
        for i in range(len(members)):
            for j in range(i):
                a, b = members.iloc[i], members.iloc[j]
                distance, _ = distance_azimuth(a.latitude, a.longitude, b.latitude, b.longitude)
                rows.append(
                    {
                        "time": b.time,
                        "epicentre_km": float(distance),
                        "depth_difference_km": a.depth_km - b.depth_km,
                        "magnitude_difference": a.magnitude - b.magnitude,
                    }
                )
    return pd.DataFrame(rows, columns=["time", "epicentre_km", "depth_difference_km", "magnitude_difference"])


def wilson(successes: int, trials: int, *, z: float = 1.96) -> tuple[float, float]:
    """Return the Wilson interval of a proportion (1927, JASA 22, 209-212); NaN without trials."""
    if trials == 0:
        return float("nan"), float("nan")
    share = successes / trials
    centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    return float(centre - half), float(centre + half)


def _median(values: pd.Series) -> float:
    values = values.dropna()
    return float(values.median()) if len(values) else float("nan")


def _pairs(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    distance, azimuth = distance_azimuth(
        b["latitude"].to_numpy(),
        b["longitude"].to_numpy(),
        a["latitude"].to_numpy(),
        a["longitude"].to_numpy(),
    )
    kept = ["event_id", "time", "latitude", "longitude", "depth_km", "magnitude", "quality"]
    covariance = [f"cov_{c}_km2" for c in ("ee", "en", "ez", "nn", "nz", "zz")]
    return pd.DataFrame(
        {
            **{c: a[c] for c in [*kept, *covariance]},
            **{f"reference_{c}": b[c] for c in ("event_id", "time", *kept[2:6])},
            "epicentre_km": distance,
            "azimuth_deg": azimuth,
            "depth_difference_km": a["depth_km"] - b["depth_km"],
            "time_difference_s": (a["time"] - b["time"]).dt.total_seconds(),
        }
    )


def _local(latitude: pd.Series, longitude: pd.Series, frame: LocalFrame) -> NDArray[np.float64]:
    return np.column_stack(frame.to_local(latitude.to_numpy(), longitude.to_numpy()))


def _distance_correlation(pairs: pd.DataFrame) -> float:
    if len(pairs) < 3:
        return float("nan")
    frame = LocalFrame(pairs["latitude"].mean(), pairs["longitude"].mean())
    ours = np.column_stack([_local(pairs["latitude"], pairs["longitude"], frame), pairs["depth_km"]])
    theirs = np.column_stack(
        [
            _local(pairs["reference_latitude"], pairs["reference_longitude"], frame),
            pairs["reference_depth_km"],
        ]
    )
    i, j = np.triu_indices(len(pairs), 1)
    a = np.linalg.norm(ours[i] - ours[j], axis=1)
    b = np.linalg.norm(theirs[i] - theirs[j], axis=1)
    return float(np.corrcoef(a, b)[0, 1])


def _inside(pairs: pd.DataFrame) -> NDArray[np.bool_]:
    """Tell which reference hypocentres lie in the 68 % ellipsoid of the posterior covariance."""
    from scipy.stats import chi2

    inside = []
    for row in pairs.itertuples():
        frame = LocalFrame(row.latitude, row.longitude)
        east, north = frame.to_local(row.reference_latitude, row.reference_longitude)
        offset = np.array([float(east), float(north), row.reference_depth_km - row.depth_km])
        covariance = np.array(
            [
                [row.cov_ee_km2, row.cov_en_km2, row.cov_ez_km2],
                [row.cov_en_km2, row.cov_nn_km2, row.cov_nz_km2],
                [row.cov_ez_km2, row.cov_nz_km2, row.cov_zz_km2],
            ]
        )
        if not np.isfinite(covariance).all():
            continue
        inside.append(offset @ np.linalg.solve(covariance, offset) <= chi2.ppf(0.68, 3))
    return np.asarray(inside, dtype=bool)
