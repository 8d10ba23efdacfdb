"""How far a location may be trusted: one letter from the posterior and the geometry, and the reasons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LIMITS: dict[str, dict[str, float]] = {
    "A": {"ellipse_major_km": 2.0, "depth_uncertainty_km": 2.0, "azimuthal_gap_deg": 180.0},
    "B": {"ellipse_major_km": 5.0, "depth_uncertainty_km": 5.0, "azimuthal_gap_deg": 270.0},
    "C": {"ellipse_major_km": 15.0, "depth_uncertainty_km": 15.0, "azimuthal_gap_deg": 360.0},
}
"""Largest 68 % half axis, standard deviation of depth, and azimuthal gap of each class."""
PHASES = {"A": 8, "B": 6, "C": 5}
"""Least number of arrivals used: four leave no residual to judge by."""
SCATTER = {"A": 1.5, "B": 2.0, "C": 3.0}
"""Largest ratio of residuals to stated errors."""
NEAREST = {"A": 1.5, "B": 3.0}
"""Largest epicentral distance of the nearest station over depth without S arrivals, 5 km at least."""
NEAREST_KM = 5.0
EDGE = 0.02
"""Share of the probability at the edge of the search from which the solution is not one."""
SURFACE = 0.1
"""Share of the probability in the uppermost 0.5 km from which depth is not determined."""

_WORDS = {
    "ellipse_major_km": "epicentre uncertain by {:.1f} km",
    "depth_uncertainty_km": "depth uncertain by {:.1f} km",
    "azimuthal_gap_deg": "gap of {:.0f} degrees",
}


def judge(
    place: Mapping[str, Any], *, scatter: float, at_side: float, at_top: float, split: bool
) -> tuple[str, list[str]]:
    """Return quality ``A`` to ``D`` and what keeps it from being better.

    Parameters
    ----------
    place
        Columns of the events table: ellipse, depth uncertainty, gap, nearest station, counts, depth.
    scatter
        Root mean square of residuals over stated errors, 1 when as stated.
    at_side, at_top
        Shares of the posterior at the sides and bottom of the search, and in its uppermost 0.5 km.
    split
        Whether the posterior has peaks apart.
    """
    worst = 0
    remarks: list[str] = []

    def demote(level: int, remark: str) -> None:
        nonlocal worst
        if level:
            worst = max(worst, level)
            remarks.append(remark)

    def level(value: float, limits: Mapping[str, float]) -> int:
        return next((i for i, letter in enumerate("ABC") if value <= limits.get(letter, float("inf"))), 3)

    for column, words in _WORDS.items():
        limits = {letter: LIMITS[letter][column] for letter in "ABC"}
        demote(level(place[column], limits), words.format(place[column]))
    used = place["n_p"] + place["n_s"]
    demote(next((i for i, letter in enumerate("ABC") if used >= PHASES[letter]), 3), f"{used} arrivals agree")
    demote(level(scatter, SCATTER), f"residuals {scatter:.1f} times the stated errors")
    near = place["nearest_station_km"] / max(place["depth_km"], NEAREST_KM)
    if not place["n_s"]:
        demote(level(near, NEAREST), f"nearest station at {place['nearest_station_km']:.0f} km, no S")
    demote(3 if at_side > EDGE else 0, "runs into the edge of the search")
    demote(2 if at_top > SURFACE else 0, "depth runs into the surface")
    demote(3 if split else 0, "two places fit")
    return "ABCD"[worst], remarks
