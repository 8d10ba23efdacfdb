"""Dislocations against the fields of Nikkhoo and Walter's program, and against Okada's formulas and table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike
from scipy.io import loadmat

from kaname.earth.dislocation import Dislocations, Medium, displacement, strain

CASES: dict[str, tuple[ArrayLike, ArrayLike, Medium]] = {
    "simple": ([(0, 0, 0), (1, 0, 0), (0, 1, 0)], (1, 0, 0), "full-space"),
    "halfspace": ([(0, 0.1, -0.1), (1, -0.2, -0.2), (1, 1, -0.3)], (1.3, 1.4, 1.5), "half-space"),
    "fullspace_horizontal": ([(-1, 0, -1), (1, 0, -1), (0, 1, -1)], (1, 0.5, -0.3), "full-space"),
}


@pytest.mark.filterwarnings("ignore:.*on an edge:RuntimeWarning")
@pytest.mark.parametrize("case", CASES)
def test_triangles_are_those_of_nikkhoo_and_walter(shared_data: Path, case: str) -> None:
    vertices, slip, medium = CASES[case]
    file = loadmat(shared_data / "fault" / "tde_nikkhoo" / f"result_{case}.mat")
    axis = np.linspace(-3, 3, 11)
    x, z, y = np.meshgrid(axis, axis, axis)
    points = np.stack([x.ravel(), y.ravel(), z.ravel() - (3 if medium == "half-space" else 0)], axis=1)
    source = Dislocations.of_slip(np.array([vertices]), np.array([slip]))
    moved = displacement(points, source, medium=medium)
    strained = strain(points, source, medium=medium)
    expected = np.hstack([file["UEf"], file["UNf"], file["UVf"]])
    expected_strain = file["Strain"][:, [0, 3, 4, 1, 5, 2]]
    # The three points on the edges of the triangle at the surface of the grid.
    assert strained.singular.sum() == moved.singular.sum() == (3 if case == "simple" else 0)
    for ours, theirs in ((moved, expected), (strained, expected_strain)):
        keep = ~ours.singular
        assert np.isfinite(ours.values[keep]).all()
        error = np.linalg.norm(ours.values - theirs, axis=1) / np.linalg.norm(theirs, axis=1)
        assert error[keep].max() < 1e-11


# Okada (1985), table 2, case 2: depth of the lower edge 4, dip 70, length 3, width 2, at (2, 3, 0).
OKADA_1985 = {
    "strike": ((0, 1, 0), (-8.689e-3, -4.298e-3, -2.747e-3)),
    "dip": ((90, 1, 0), (-4.682e-3, -3.527e-2, -3.564e-2)),
    "tensile": ((0, 0, 1), (-2.660e-4, 1.056e-2, 3.214e-3)),
}


@pytest.mark.parametrize("kind", OKADA_1985)
def test_rectangles_are_those_of_okadas_table(kind: str) -> None:
    (rake, slip, opening), expected = OKADA_1985[kind]
    up_dip = 2 * np.array([0, np.cos(np.radians(70)), np.sin(np.radians(70))])
    source = Dislocations.rectangles(
        [np.array([1.5, 0, -4]) + up_dip],
        strike_deg=90, dip_deg=70, rake_deg=rake, slip=slip, opening=opening, length=3, width=2,
    )  # fmt: skip
    moved = displacement([[2, 3, 0]], source).values[0]
    assert moved == pytest.approx(expected, rel=5e-4)


def okada_1992(
    point: np.ndarray, depth: float, dip_deg: float, length: float, width: float, kind: str
) -> np.ndarray:
    """Displacement by a rectangle, table 6 of Okada (1992), x along the strike."""
    alpha, delta = 2 / 3, np.radians(dip_deg)
    sin, cos = np.sin(delta), np.cos(delta)

    def parts(x: float, y: float, z: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        d = depth - z
        p, q = y * cos + d * sin, y * sin - d * cos
        total = np.zeros((3, 3))
        for xi, sign_x in ((x, 1), (x - length, -1)):
            for eta, sign_e in ((p, 1), (p - width, -1)):
                r = np.sqrt(xi**2 + eta**2 + q**2)
                yt, dt = eta * cos + q * sin, eta * sin - q * cos
                ct, big_x = dt + z, np.sqrt(xi**2 + q**2)
                x11, y11 = 1 / (r * (r + xi)), 1 / (r * (r + eta))
                x32 = (2 * r + xi) / (r**3 * (r + xi) ** 2)
                y32 = (2 * r + eta) / (r**3 * (r + eta) ** 2)
                h = q * cos - z
                z32 = sin / r**3 - h * y32
                theta = np.arctan(xi * eta / (q * r))
                i4 = sin / cos * xi / (r + dt) + 2 / cos**2 * np.arctan(
                    (eta * (big_x + q * cos) + big_x * (r + big_x) * sin) / (xi * (r + big_x) * cos)
                )
                i3 = yt / (cos * (r + dt)) - (np.log(r + eta) - sin * np.log(r + dt)) / cos**2
                i1 = -xi / (r + dt) * cos - i4 * sin
                i2 = np.log(r + dt) + i3 * sin
                b = (1 - alpha) / alpha
                if kind == "strike":
                    fa = (theta / 2 + alpha / 2 * xi * q * y11, alpha / 2 * q / r,
                          (1 - alpha) / 2 * np.log(r + eta) - alpha / 2 * q**2 * y11)  # fmt: skip
                    fb = (-xi * q * y11 - theta - b * i1 * sin, -q / r + b * yt / (r + dt) * sin,
                          q**2 * y11 - b * i2 * sin)  # fmt: skip
                    fc = ((1 - alpha) * xi * y11 * cos - alpha * xi * q * z32,
                          (1 - alpha) * (cos / r + 2 * q * y11 * sin) - alpha * ct * q / r**3,
                          (1 - alpha) * q * y11 * cos
                          - alpha * (ct * eta / r**3 - z * y11 + xi**2 * z32))  # fmt: skip
                else:
                    fa = (alpha / 2 * q / r, theta / 2 + alpha / 2 * eta * q * x11,
                          (1 - alpha) / 2 * np.log(r + xi) - alpha / 2 * q**2 * x11)  # fmt: skip
                    fb = (-q / r + b * i3 * sin * cos,
                          -eta * q * x11 - theta - b * xi / (r + dt) * sin * cos,
                          q**2 * x11 + b * i4 * sin * cos)  # fmt: skip
                    fc = ((1 - alpha) * cos / r - q * y11 * sin - alpha * ct * q / r**3,
                          (1 - alpha) * yt * x11 - alpha * ct * eta * q * x32,
                          -dt * x11 - xi * y11 * sin - alpha * ct * (x11 - q**2 * x32))  # fmt: skip
                total += sign_x * sign_e * np.array([fa, fb, fc])
        return total[0], total[1], total[2]

    x, y, z = point
    a, b_, c = parts(x, y, z)
    image, _, _ = parts(x, y, -z)
    sum_ = a - image + b_ + z * c
    return np.array([
        sum_[0],
        (a - image + b_)[1] * cos - (a - image + b_)[2] * sin + z * (c[1] * cos - c[2] * sin),
        (a - image + b_)[1] * sin + (a - image + b_)[2] * cos - z * (c[1] * sin + c[2] * cos),
    ]) / (2 * np.pi)  # fmt: skip


@pytest.mark.parametrize("kind", ["strike", "dip"])
@pytest.mark.parametrize("dip", [20.0, 55.0, 80.0])
def test_rectangles_at_depth_are_those_of_okada_1992(kind: str, dip: float) -> None:
    rng = np.random.default_rng(3)
    points = rng.uniform(-8, 8, (40, 3)) * [1, 1, -0.5] - [0, 0, 4.01]
    depth, length, width = 6.0, 5.0, 3.0
    up_dip = width * np.array([0, np.cos(np.radians(dip)), np.sin(np.radians(dip))])
    source = Dislocations.rectangles(
        [np.array([length / 2, 0, -depth]) + up_dip],
        strike_deg=90, dip_deg=dip, rake_deg=0 if kind == "strike" else 90, slip=1,
        length=length, width=width,
    )  # fmt: skip
    ours = displacement(points, source).values
    theirs = np.array([okada_1992(p, depth, dip, length, width, kind) for p in points])
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dip", [85.0, 88.0, 89.5, 89.9, 89.99, 89.999, 89.99999, 89.9999999])
@pytest.mark.parametrize("kind", ["strike", "dip"])
def test_steep_rectangles_are_those_of_okada_in_eighty_digits(dip: float, kind: str) -> None:
    """The formulas of `okada_1992` in 80 digits (mpmath 1.4), strains their differences over 2e-20."""
    file = Path(__file__).with_name("okada_steep_rectangles.csv")
    rows = (line.split(",") for line in file.read_text(encoding="utf-8").splitlines()[1:])
    table = np.array([r[2:] for r in rows if float(r[0]) == dip and r[1] == kind], float)
    up_dip = 5.5 * np.array([0, np.cos(np.radians(dip)), np.sin(np.radians(dip))])
    source = Dislocations.rectangles(
        [np.array([2.5, 0, -6]) + up_dip],
        strike_deg=90, dip_deg=dip, rake_deg=0 if kind == "strike" else 90, slip=1, length=5, width=5.5,
    )  # fmt: skip
    points, *expected = np.split(table, [3, 6], axis=1)
    assert len(points) == 16
    for one in (source, source.as_triangles()):
        for field, theirs in zip((displacement, strain), expected):
            ours = field(points, one).values
            error = np.linalg.norm(ours - theirs, axis=1) / np.linalg.norm(theirs, axis=1)
            assert error.max() < 2e-11
