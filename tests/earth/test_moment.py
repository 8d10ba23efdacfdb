"""Moment and magnitude against a published earthquake, and back."""

from __future__ import annotations

import numpy as np
import pytest

from kaname.earth.moment import moment_magnitude, moment_nm


def test_tohoku_2011() -> None:
    # Global CMT: 5.31e29 dyne cm, Mw 9.1 (Nettles, Ekstrom & Koss 2011, doi:10.5047/eps.2011.06.012).
    assert float(moment_magnitude(5.31e22)) == pytest.approx(9.1, abs=0.05)


def test_there_and_back() -> None:
    magnitude = np.array([-2.0, 0.0, 4.5, 9.0])
    np.testing.assert_allclose(moment_magnitude(moment_nm(magnitude)), magnitude, rtol=1e-12, atol=1e-12)
    assert moment_magnitude(0.0) == -np.inf
