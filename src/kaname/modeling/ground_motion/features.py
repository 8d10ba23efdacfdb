"""What a learned model sees of a row, where it has seen such rows before, and which sites it knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kaname.core.errors import InputError
from kaname.core.geo import on_sphere
from kaname.evaluate.splits import SAME_SITE_KM
from kaname.modeling.ground_motion.contract import needed

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

_NEAREST_KM = 0.1
"""Distances are cut here before their logarithm is taken."""
_PLACES = ("event_latitude", "event_longitude", "latitude", "longitude")


def _log_distance(v: dict[str, Any]) -> list[Floats]:
    return [np.log(np.maximum(v["rrup_km"], _NEAREST_KM))]


def _azimuth(v: dict[str, Any]) -> list[Floats]:
    """East and north of the unit vector from epicentre to station."""
    lat1, lon1, lat2, lon2 = (np.radians(v[name]) for name in _PLACES)
    east = np.sin(lon2 - lon1) * np.cos(lat2)
    north = np.cos(lat1) * np.sin(lat2) - np.sin(lat1) * np.cos(lat2) * np.cos(lon2 - lon1)
    length = np.maximum(np.hypot(east, north), 1e-12)
    return [east / length, north / length]


_FEATURES: dict[str, tuple[tuple[str, ...], Callable[[dict[str, Any]], list[Floats]], tuple[str, ...]]] = {
    "magnitude": (("magnitude",), lambda v: [v["magnitude"]], ("magnitude",)),
    "distance": (("rrup_km",), _log_distance, ("ln rrup_km",)),
    "depth": (("event_depth_km",), lambda v: [v["event_depth_km"]], ("depth_km",)),
    "vs30": (("vs30_m_s",), lambda v: [np.log(v["vs30_m_s"])], ("ln vs30_m_s",)),
    "azimuth": (_PLACES, _azimuth, ("path east", "path north")),
    "rake": (
        ("rake_deg",),
        lambda v: [np.sin(np.radians(v["rake_deg"])), np.cos(np.radians(v["rake_deg"]))],
        ("sin rake", "cos rake"),
    ),
    "basin": (("z1pt0_m",), lambda v: [np.log1p(v["z1pt0_m"])], ("ln(1 + z1pt0_m)",)),
    "stress_drop": (("stress_drop_mpa",), lambda v: [np.log(v["stress_drop_mpa"])], ("ln stress_drop_mpa",)),
}
"""Columns a feature needs, how it is computed, and the names of what comes out."""

FEATURES = tuple(_FEATURES)
"""Names of all features; ``stress_drop`` needs a column of its own, ``stress_drop_mpa``."""


def columns_of(features: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that features need; an unknown feature raises InputError."""
    unknown = [name for name in features if name not in _FEATURES]
    if unknown or not features:
        raise InputError(f"unknown features {unknown}; expected one or more of {', '.join(FEATURES)}")
    return tuple(dict.fromkeys(c for name in features for c in _FEATURES[name][0]))


def labels_of(features: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the columns of `matrix`."""
    return tuple(label for name in features for label in _FEATURES[name][2])


def matrix(table: pd.DataFrame, features: Sequence[str], name: str) -> Floats:
    """Return features as an array, shape (n, p); nothing in it depends on other rows.

    Raises
    ------
    InputError
        When a column is absent or has missing values, or a feature has no finite value.
    """
    values = needed(table, columns_of(features), name)
    with np.errstate(all="ignore"):
        out = np.column_stack([column for f in features for column in _FEATURES[f][1](values)])
    bad = ~np.isfinite(out)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise InputError(f"{name}: {labels_of(features)[column]} is not finite in row {table.index[row]}")
    return np.asarray(out, float)


@dataclass(frozen=True)
class Domain:
    """Where training rows lie: further off than they lie from rows of other events, nothing was learned."""

    centre: Floats
    scale: Floats
    points: Floats
    """Of training rows, standardised, shape (m, p)."""
    radius: float
    """Distance from rows of other events that 95 % of the rows do not exceed, each event counting once."""

    @classmethod
    def of(cls, rows: Floats, event: ArrayLike, *, seed: int, most: int = 4000) -> Domain:
        """Learn the domain of training rows, shape (n, p); of more than ``most``, a draw of so many."""
        from scipy.spatial import cKDTree

        centre = rows.mean(axis=0)
        scale = np.where(rows.std(axis=0) > 0, rows.std(axis=0), 1.0)
        rng = np.random.default_rng(seed)
        chosen = np.sort(rng.choice(len(rows), min(most, len(rows)), replace=False))
        points, own = ((rows - centre) / scale)[chosen], np.asarray(event)[chosen]
        apart, weight = np.zeros(len(points)), np.zeros(len(points))
        for name in np.unique(own):
            mine = own == name
            if mine.all():
                raise InputError("a domain is learned from two or more events")
            apart[mine] = cKDTree(points[~mine]).query(points[mine])[0]
            weight[mine] = 1.0 / mine.sum()
        order = np.argsort(apart)
        reached = np.cumsum(weight[order]) / weight.sum()
        return cls(centre, scale, points, float(max(apart[order][np.searchsorted(reached, 0.95)], 1e-6)))

    def weight(self, rows: Floats) -> Floats:
        """Return how far a row lies inside: 1 up to the radius from a training row, 0 from twice that on."""
        from scipy.spatial import cKDTree

        apart = cKDTree(self.points).query((rows - self.centre) / self.scale)[0]
        return np.asarray(np.clip(2.0 - apart / self.radius, 0.0, 1.0))


@dataclass(frozen=True)
class KnownSites:
    """Site terms by place: they hold for any sensor on the same ground, whatever its code."""

    latitude: Floats
    longitude: Floats
    term: Floats
    sd: Floats
    """Posterior standard deviation of the term."""

    def lookup(self, latitude: ArrayLike, longitude: ArrayLike, unknown_sd: float) -> tuple[Floats, Floats]:
        """Return term and standard deviation of the nearest site within 1 km; 0 at an unknown site."""
        from scipy.spatial import cKDTree

        places = on_sphere(latitude, longitude).T
        if not len(self.term):
            return np.zeros(len(places)), np.full(len(places), unknown_sd)
        far, nearest = cKDTree(on_sphere(self.latitude, self.longitude).T).query(places)
        known = far <= SAME_SITE_KM
        return np.where(known, self.term[nearest], 0.0), np.where(known, self.sd[nearest], unknown_sd)
