"""Stress from strain, and the change of Coulomb failure stress on planes: given, or optimally oriented.

Stress is positive in tension, in MPa; tensors are ``ee, en, eu, nn, nu, uu`` as in `earth.dislocation`.
``coulomb = shear + friction * normal``: the effective friction holds the effect of pore pressure (King, Stein
and Lin 1994, DOI 10.1785/BSSA0840030935).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kaname.core.errors import InputError
from kaname.earth.dislocation import fault_axes

Floats = NDArray[np.float64]
Regime = Literal["strike-slip", "normal", "thrust"]

FRICTION = 0.4
"""Effective friction that most published maps use."""
SHEAR_MODULUS_GPA = 32.0


class Coulomb(NamedTuple):
    """Stress change on planes [MPa], each ``(n,)``."""

    shear: Floats
    """Along the rake: positive helps the receiver to slip."""
    normal: Floats
    """Positive unclamps."""
    coulomb: Floats
    """``shear + friction * normal``."""


class Oriented(NamedTuple):
    """Change on the planes that the total stress favours, and those planes, each ``(n,)``."""

    change: Coulomb
    strike_deg: Floats
    dip_deg: Floats
    rake_deg: Floats


def stress_of(
    strain: ArrayLike, *, poisson_ratio: float = 0.25, shear_modulus_gpa: float = SHEAR_MODULUS_GPA
) -> Floats:
    """Return the stress ``(n, 6)`` [MPa] of a strain ``(n, 6)`` by Hooke's law.

    Raises
    ------
    InputError
        When the shear modulus is not positive or the strain no list of tensors.
    """
    e = np.asarray(strain, dtype=float)
    if e.ndim != 2 or e.shape[1] != 6:
        raise InputError(f"strain needs ee, en, eu, nn, nu, uu (n, 6), found an array {e.shape}")
    if not shear_modulus_gpa > 0:
        raise InputError(f"shear_modulus_gpa is {shear_modulus_gpa}; expected more than 0")
    mu = 1000.0 * shear_modulus_gpa
    out = 2 * mu * e
    out[:, [0, 3, 5]] += (2 * mu * poisson_ratio / (1 - 2 * poisson_ratio) * e[:, [0, 3, 5]].sum(axis=1))[
        :, None
    ]
    return np.asarray(out)


def on_planes(
    stress: ArrayLike,
    strike_deg: ArrayLike,
    dip_deg: ArrayLike,
    rake_deg: ArrayLike,
    *,
    friction: float = FRICTION,
) -> Coulomb:
    """Resolve a stress change ``(n, 6)`` [MPa] on planes (Aki and Richards; angles broadcast over points).

    Raises
    ------
    InputError
        When the friction is negative.
    """
    _check_friction(friction)
    tensor = _matrix(stress)
    along, down = fault_axes(strike_deg, dip_deg)
    rake = np.radians(np.atleast_1d(np.asarray(rake_deg, dtype=float)))[:, None]
    return _resolved(tensor, np.cross(down, along), np.cos(rake) * along - np.sin(rake) * down, friction)


def regional_stress(
    regime: Regime, azimuth_deg: float, *, differential_mpa: float = 10.0, shape: float = 0.5
) -> Floats:
    """Return a deviatoric regional stress ``(6,)`` [MPa] of Anderson's theory: one axis vertical.

    Parameters
    ----------
    regime
        Which axis is vertical: the intermediate (strike-slip), the greatest (normal) or the least compression
        (thrust).
    azimuth_deg
        Azimuth of the greatest *horizontal* compression.
    differential_mpa
        Greatest minus least compression.
    shape
        Where the intermediate axis stands between the least (0) and the greatest (1).

    Raises
    ------
    InputError
        When the regime is unknown or a number out of its bounds.
    """
    if not differential_mpa > 0 or not 0 <= shape <= 1:
        raise InputError(
            f"differential_mpa {differential_mpa} must be positive and shape {shape} within 0 to 1"
        )
    levels = {"greatest": -differential_mpa, "intermediate": -shape * differential_mpa, "least": 0.0}
    order = {
        "strike-slip": ("greatest", "least", "intermediate"),
        "normal": ("intermediate", "least", "greatest"),
        "thrust": ("greatest", "intermediate", "least"),
    }
    if regime not in order:
        raise InputError(f"regime is {regime!r}; expected one of {', '.join(order)}")
    a = np.radians(azimuth_deg)
    axes = np.array([[np.sin(a), np.cos(a), 0], [np.cos(a), -np.sin(a), 0], [0, 0, 1]])
    values = np.array([levels[name] for name in order[regime]])
    tensor = (axes.T * (values - values.mean())) @ axes
    return np.asarray(tensor[[0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]])


def optimal_planes(change: ArrayLike, regional: ArrayLike, *, friction: float = FRICTION) -> Oriented:
    """Return the change on the planes on which regional stress and change together are nearest to failure.

    These contain the intermediate axis of the total stress and stand ``atan(1 / friction) / 2`` from its
    greatest compression; of the two, the one whose change is larger is given (King, Stein and Lin 1994). Slip
    is along the shear of the total stress.

    Parameters
    ----------
    change
        ``(n, 6)`` [MPa]; NaN stays NaN.
    regional
        ``(6,)`` or ``(n, 6)`` [MPa], such as `regional_stress`.
    friction
        Effective friction.
    """
    _check_friction(friction)
    changed = _matrix(change)
    known = np.asarray(np.isfinite(changed).all(axis=(1, 2)))
    total = np.where(known[:, None, None], changed + _matrix(np.atleast_2d(regional)), np.eye(3))
    _, axes = np.linalg.eigh(total)
    greatest, least = axes[:, :, 0], axes[:, :, 2]
    angle = 0.5 * np.arctan2(1.0, friction)
    best: tuple[Coulomb, Floats, Floats] | None = None
    for side in (-1.0, 1.0):
        direction = np.cos(angle) * greatest + side * np.sin(angle) * least
        normal = -side * np.sin(angle) * greatest + np.cos(angle) * least
        normal *= np.where(normal[:, 2:] < 0, -1.0, 1.0)
        traction = np.einsum("nij,nj->ni", total, normal)
        direction *= np.sign(np.einsum("ni,ni->n", traction, direction))[:, None]
        found = _resolved(changed, normal, direction, friction)
        if best is None:
            best = found, normal, direction
            continue
        better = found.coulomb > best[0].coulomb
        change_of = Coulomb(*(np.where(better, a, b) for a, b in zip(found, best[0])))
        best = (
            change_of,
            np.where(better[:, None], normal, best[1]),
            np.where(better[:, None], direction, best[2]),
        )
    assert best is not None
    angles = [np.where(known, a, np.nan) for a in angles_of(best[1], best[2])]
    return Oriented(best[0], *angles)


def angles_of(normal: Floats, slip: Floats) -> tuple[Floats, Floats, Floats]:
    """Return strike, dip, rake [degree] of upward normals and slip of the hanging wall, ``(n, 3)`` each."""
    dip = np.degrees(np.arccos(np.clip(normal[:, 2], -1, 1)))
    level = np.hypot(normal[:, 0], normal[:, 1]) < 1e-12
    strike = np.where(level, 0.0, np.degrees(np.arctan2(-normal[:, 1], normal[:, 0])) % 360)
    along, down = fault_axes(strike, dip)
    rake = np.degrees(np.arctan2(-np.einsum("ni,ni->n", slip, down), np.einsum("ni,ni->n", slip, along)))
    return np.asarray(strike), np.asarray(dip), np.asarray(rake)


def invariants(stress: ArrayLike) -> dict[str, Floats]:
    """Return what of a stress change needs no receiver: the scalars of DeVries et al. (2018) [MPa].

    ``max_shear`` (half the spread of the principal stresses), ``von_mises``, ``sum_of_parts`` (of the
    absolute values of the six parts); DOI 10.1038/s41586-018-0438-y.
    """
    tensor = _matrix(stress)
    known = np.asarray(np.isfinite(tensor).all(axis=(1, 2)))
    principal = np.linalg.eigvalsh(np.where(known[:, None, None], tensor, 0.0))
    spread = principal - principal.mean(axis=1, keepdims=True)
    values = {
        "max_shear": (principal[:, 2] - principal[:, 0]) / 2,
        "von_mises": np.sqrt(1.5 * (spread**2).sum(axis=1)),
        "sum_of_parts": np.abs(np.asarray(stress, dtype=float)).sum(axis=1),
    }
    return {name: np.where(known, value, np.nan) for name, value in values.items()}


def _resolved(tensor: Floats, normal: Floats, direction: Floats, friction: float) -> Coulomb:
    n, d = np.broadcast_to(normal, (len(tensor), 3)), np.broadcast_to(direction, (len(tensor), 3))
    traction = np.einsum("nij,nj->ni", tensor, n)
    shear, across = np.einsum("ni,ni->n", traction, d), np.einsum("ni,ni->n", traction, n)
    return Coulomb(shear, across, shear + friction * across)


def _matrix(stress: ArrayLike) -> Floats:
    s = np.asarray(stress, dtype=float)
    if s.ndim != 2 or s.shape[1] != 6:
        raise InputError(f"stress needs ee, en, eu, nn, nu, uu (n, 6), found an array {s.shape}")
    return np.asarray(s[:, [0, 1, 2, 1, 3, 4, 2, 4, 5]].reshape(-1, 3, 3))


def _check_friction(friction: float) -> None:
    if not 0 <= friction <= 2:
        raise InputError(f"friction is {friction}; expected 0 to 2")
