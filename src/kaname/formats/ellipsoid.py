"""Covariance of a hypocentre to QuakeML's confidence ellipsoid and back.

QuakeML 1.2 (BED, section 3.3.9) describes the ellipsoid by Tait-Bryan angles in a frame of north, east and
down: azimuth about the vertical, plunge about the new east axis, rotation about the major axis, which turns
the minor axis. The signs follow Herrmann's reading of that text, which the U.S. Geological Survey and
NonLinLoc use: the plunge is positive downward, and the rotation is positive from the horizontal towards the
downward side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVEL_PERCENT = 68.0
"""Confidence of the ellipses and ellipsoids that Kaname writes."""


@dataclass(frozen=True)
class Ellipsoid:
    """Half axes [km] and Tait-Bryan angles [degrees] of a confidence ellipsoid."""

    major_km: float
    minor_km: float
    intermediate_km: float
    plunge_deg: float
    azimuth_deg: float
    rotation_deg: float

    @classmethod
    def from_covariance(
        cls, covariance_km2: NDArray[np.float64], *, level_percent: float = LEVEL_PERCENT
    ) -> Ellipsoid:
        """Return the ellipsoid of a covariance, shape (3, 3), east-north-down [km2]."""
        to_ned = covariance_km2[np.ix_([1, 0, 2], [1, 0, 2])]
        variance, axes = np.linalg.eigh(to_ned)
        minor_km, intermediate_km, major_km = np.sqrt(np.maximum(variance, 0.0)) * _scale(level_percent)
        major = axes[:, 2] * (-1.0 if axes[2, 2] < 0 else 1.0)
        plunge = np.arcsin(min(1.0, major[2]))
        azimuth = np.arctan2(major[1], major[0])
        _, level, steep = _frame(azimuth, plunge)
        rotation = np.arctan2(axes[:, 0] @ steep, axes[:, 0] @ level)
        return cls(
            float(major_km),
            float(minor_km),
            float(intermediate_km),
            float(np.degrees(plunge)),
            float(np.degrees(azimuth) % 360.0),
            float(np.degrees(rotation) % 180.0),
        )

    def covariance(self, *, level_percent: float = LEVEL_PERCENT) -> NDArray[np.float64]:
        """Return the covariance, shape (3, 3), east-north-down [km2]."""
        major, level, steep = _frame(np.radians(self.azimuth_deg), np.radians(self.plunge_deg))
        turn = np.radians(self.rotation_deg)
        minor = np.cos(turn) * level + np.sin(turn) * steep
        axes = np.column_stack([major, minor, np.cross(major, minor)])
        half = np.array([self.major_km, self.minor_km, self.intermediate_km]) / _scale(level_percent)
        ned: NDArray[np.float64] = axes @ np.diag(half**2) @ axes.T
        return ned[np.ix_([1, 0, 2], [1, 0, 2])]


def _frame(azimuth: float, plunge: float) -> tuple[NDArray[np.float64], ...]:
    """Return the major axis, the level axis across it and the one below both, in north, east and down."""
    north, east = np.cos(azimuth), np.sin(azimuth)
    major = np.array([north * np.cos(plunge), east * np.cos(plunge), np.sin(plunge)])
    level = np.array([-east, north, 0.0])
    return major, level, np.array([-north * np.sin(plunge), -east * np.sin(plunge), np.cos(plunge)])


def _scale(level_percent: float) -> float:
    """Return the radius, in standard deviations, of the ball that holds this share of a 3-D normal."""
    from scipy.special import gammaincinv

    return float(np.sqrt(2.0 * gammaincinv(1.5, level_percent / 100.0)))
