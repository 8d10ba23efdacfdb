"""Dislocations against the reference fields of Nikkhoo and Walter's own program and against Okada's formulas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat

from kaname.earth.dislocation import Dislocations, displacement, strain

CASES = {
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
    source = Dislocations.of_slip([vertices], [slip])
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
