"""Names, units and columns of the measures of shaking."""

from __future__ import annotations

import pytest

from kaname.core.errors import InputError
from kaname.core.shaking import GROUND_MOTIONS, MEASURES, column_of, period_of, unit_of


@pytest.mark.parametrize(
    ("measure", "column", "unit", "period"),
    [
        ("pga", "pga_cm_s2", "cm/s2", None),
        ("pgv", "pgv_cm_s", "cm/s", None),
        ("sa(0.3)", "sa_0_300_cm_s2", "cm/s2", 0.3),
        ("sa(0.075)", "sa_0_075_cm_s2", "cm/s2", 0.075),
        ("sa(10)", "sa_10_000_cm_s2", "cm/s2", 10.0),
        ("intensity_jma", "intensity_jma", "", None),
    ],
)
def test_a_measure_has_a_column_and_a_unit(measure, column, unit, period):
    assert (column_of(measure), unit_of(measure), period_of(measure)) == (column, unit, period)
    assert GROUND_MOTIONS[column].unit == unit


def test_every_measure_is_in_the_table():
    assert {column_of(m) for m in MEASURES} <= set(GROUND_MOTIONS.names)


@pytest.mark.parametrize(
    "name", ["", "PGA", "sa", "sa()", "sa(0)", "sa(-1)", "sa(nan)", "sa(1e-1)", "psa(1)"]
)
def test_an_unknown_measure_raises(name):
    with pytest.raises(InputError, match="no measure"):
        column_of(name)
