"""Dislocations: what physics asks of them, singular points, and bad input."""

from __future__ import annotations

import numpy as np
import pytest

from kaname.core.errors import InputError
from kaname.earth.dislocation import Dislocations, Medium, displacement, strain

TRIANGLE = Dislocations.of_slip([[(0, 0.1, -0.6), (1, -0.2, -0.9), (1, 1, -1.3)]], [(1.3, 1.4, 1.5)])
FAULT = Dislocations.rectangles(
    [(0.3, -0.2, -0.7), (2, 1, 0)],
    strike_deg=[35, 200],
    dip_deg=[60, 90],
    rake_deg=[40, -100],
    slip=[1.2, 0.4],
    length=[2, 1],
    width=[1, 0.8],
)


def places(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-4, 4, (n, 3)) * [1, 1, 0.5] - [0, 0, 2.01]


@pytest.mark.parametrize("medium", ["full-space", "half-space"])
@pytest.mark.parametrize("source", [TRIANGLE, FAULT], ids=["triangle", "rectangles"])
def test_strain_is_the_gradient_of_displacement(source: Dislocations, medium: Medium) -> None:
    points, step = places(60), 1e-4
    gradient = np.stack(
        [
            (
                displacement(points + s, source, medium=medium, poisson_ratio=0.31).values
                - displacement(points - s, source, medium=medium, poisson_ratio=0.31).values
            )
            / (2 * step)
            for s in step * np.eye(3)
        ],
        axis=2,
    )
    expected = (gradient + gradient.transpose(0, 2, 1))[:, [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]] / 2
    ours = strain(points, source, medium=medium, poisson_ratio=0.31).values
    assert np.abs(ours - expected).max() < 1e-5 * np.abs(expected).max()


def test_the_surface_is_free() -> None:
    points = places(200) * [1, 1, 0]
    e = strain(points, TRIANGLE, poisson_ratio=0.31).values
    vertical = 0.31 / (1 - 2 * 0.31) * e[:, [0, 3, 5]].sum(axis=1) + e[:, 5]
    assert np.abs(np.stack([e[:, 2], e[:, 4], vertical])).max() < 1e-12 * np.abs(e).max()


@pytest.mark.parametrize("dip", [0.5, 30.0, 87.0, 89.9, 89.9999, 90.0])
def test_a_rectangle_equals_two_triangles(dip: float) -> None:
    one = Dislocations.rectangles(
        [(0.3, -0.2, -0.7)], strike_deg=35, dip_deg=dip, rake_deg=40, slip=1, length=2, width=1, opening=0.3
    )
    points = places(300, seed=1)
    for field in (displacement, strain):
        a, b = field(points, one).values, field(points, one.as_triangles()).values
        error = np.linalg.norm(a - b, axis=1) / np.linalg.norm(a, axis=1)
        assert error.max() < 1e-9


def test_a_fault_that_turns_upright_changes_little_by_little() -> None:
    """Nothing jumps where the formulas change, nor where an edge is vertical in the end."""
    points = places(100, seed=2)
    tilts = [0.0, 1e-14, 1e-10, 1e-6, 1e-3]
    for base in (90.0, 90 - np.degrees(np.arcsin(0.05))):
        for field in (displacement, strain):
            values = [
                field(
                    points,
                    Dislocations.rectangles(
                        [(0.3, -0.2, -0.7)], strike_deg=35, dip_deg=base - tilt, rake_deg=40, slip=1,
                        length=2, width=1,
                    ),
                ).values
                for tilt in tilts
            ]  # fmt: skip
            whole = np.linalg.norm(values[0], axis=1)
            for tilt, value in zip(tilts[1:], values[1:]):
                change = np.linalg.norm(value - values[0], axis=1) / whole
                assert change.max() < 1e-10 + 2 * tilt


def test_a_closed_surface_moves_nothing_outside_and_all_inside() -> None:
    corners = np.array([(0, 0, -1), (1, 0, -1), (0, 1, -1), (0, 0, -2)], dtype=float)
    faces = corners[[[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]]]
    slip = np.array([0.3, -0.5, 0.7])
    source = Dislocations(faces, np.tile(slip, (4, 1)))
    inside, outside = displacement([(0.2, 0.2, -1.2), (2, 1, -3)], source).values
    np.testing.assert_allclose(inside, -slip, atol=1e-12)
    np.testing.assert_allclose(outside, 0, atol=1e-12)


def test_no_artefact_in_line_with_an_edge() -> None:
    corner, along = TRIANGLE.vertices[0, 0], TRIANGLE.vertices[0, 0] - TRIANGLE.vertices[0, 1]
    line = corner + np.array([0.1, 0.3, 0.6])[:, None] * along * [1, 1, 1]
    aside = np.cross(along, [0, 0, 1.0]) * 1e-7
    for field in (displacement, strain):
        on, off = field(line, TRIANGLE).values, field(line + aside, TRIANGLE).values
        np.testing.assert_allclose(on, off, rtol=0, atol=1e-5 * np.abs(on).max())


def test_singular_points_are_told_of_and_the_others_are_not_touched() -> None:
    a, b, c = TRIANGLE.vertices[0]
    points = np.array([a, (a + b) / 2, 0.25 * b + 0.75 * c, (a + b + c) / 3 + [0, 0, 0.1], (0.0, 0.0, 0.0)])
    for field in (displacement, strain):
        with pytest.warns(RuntimeWarning, match="3 of 5 points are on an edge"):
            values, singular = field(points, TRIANGLE)
        assert singular.tolist() == [True, True, True, False, False]
        assert (np.isnan(values).all(axis=1) == singular).all()
        assert np.isfinite(values[~singular]).all()


def test_no_points_and_no_sources_are_zero() -> None:
    nothing = Dislocations(np.empty((0, 3, 3)), np.empty((0, 3)))
    assert displacement(np.empty((0, 3)), TRIANGLE).values.shape == (0, 3)
    assert not strain(places(3), nothing).values.any()


@pytest.mark.parametrize(
    ("points", "options", "said"),
    [
        ([[0, 0, 1]], {}, "above the surface"),
        ([[0, 0, np.nan]], {}, "finite"),
        ([0, 0, 0], {}, r"\(n, 3\)"),
        ([[0, 0, -1]], {"poisson_ratio": 0.5}, "poisson_ratio"),
        ([[0, 0, -1]], {"medium": "layered"}, "half-space"),
    ],
)
def test_bad_input_is_refused(points: object, options: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        displacement(points, TRIANGLE, **options)  # type: ignore[arg-type]


def test_bad_sources_are_refused() -> None:
    with pytest.raises(InputError, match="no area"):
        Dislocations([[(0, 0, -1), (1, 0, -1), (2, 0, -1)]], [(1, 0, 0)])  # type: ignore[arg-type]
    with pytest.raises(InputError, match="finite"):
        Dislocations([[(0, 0, -1), (1, 0, -1), (0, 1, -1)]], [(np.nan, 0, 0)])  # type: ignore[arg-type]
    with pytest.raises(InputError, match="above the surface"):
        displacement(places(1), Dislocations([[(0, 0, 1), (1, 0, -1), (0, 1, -1)]], [(1, 0, 0)]))  # type: ignore[arg-type]
