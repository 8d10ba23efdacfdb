"""Depths of basins and amplification by Vs30 against values worked out from the papers."""

from __future__ import annotations

import numpy as np
import pytest

from kaname.core.errors import InputError
from kaname.earth.sites import pgv_amplification, z1pt0_m_of, z2pt5_km_of


def test_depths() -> None:
    # Chiou and Youngs (2014) tabulate 41 m at 760 m/s in California; both laws give 1 m at 1360 m/s.
    assert z1pt0_m_of(760.0, "california") == pytest.approx(41.0, abs=0.5)
    assert z1pt0_m_of(1360.0, "california") == pytest.approx(1.0)
    assert z1pt0_m_of(1360.0, "japan") == pytest.approx(1.0)
    # Campbell and Bozorgnia (2014): 0.61 and 0.14 km at 760 and 760 m/s.
    assert z2pt5_km_of(760.0, "california") == pytest.approx(0.607, abs=0.001)
    assert z2pt5_km_of(760.0, "japan") == pytest.approx(0.142, abs=0.001)
    for relation in (z1pt0_m_of, z2pt5_km_of):
        assert (np.diff(relation(np.linspace(150, 1300, 50), "japan")) < 0).all()


def test_amplification() -> None:
    # 1.31 and 1.41 from 600 to 400 m/s are NIED's own figures for the older and the newer relation.
    assert pgv_amplification(600.0) == pytest.approx(1.0, abs=0.005)
    assert pgv_amplification(400.0) == pytest.approx(1.41, abs=0.01)
    ratio = np.divide(*pgv_amplification([400.0, 600.0], "matsuoka_midorikawa_1994"))
    assert ratio == pytest.approx(1.31, abs=0.005)
    assert pgv_amplification(50.0) == pgv_amplification(100.0)


def test_bad_input() -> None:
    with pytest.raises(InputError, match="positive"):
        z1pt0_m_of([300.0, 0.0], "japan")
    with pytest.raises(InputError, match="expected california or japan"):
        z2pt5_km_of(300.0, "italy")
    with pytest.raises(InputError, match="relation"):
        pgv_amplification(300.0, "nobody_2000")
