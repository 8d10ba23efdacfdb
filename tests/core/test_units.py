"""Units of samples."""

from __future__ import annotations

from itertools import product

import pytest

from kaname.core.errors import InputError
from kaname.core.units import UNITS, check_unit, factor

SAME = (("m", "mm", "nm"), ("m/s", "cm/s", "nm/s"), ("m/s^2", "cm/s^2"))


@pytest.mark.parametrize(
    ("source", "target", "value"),
    [
        ("cm/s^2", "m/s^2", 0.01),
        ("m", "nm", 1e9),
        ("mm", "nm", 1e6),
        ("nm/s", "cm/s", 1e-7),
        ("Pa", "Pa", 1.0),
    ],
)
def test_factor(source, target, value):
    assert factor(source, target) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(("source", "target"), [p for same in SAME for p in product(same, same)])
def test_there_and_back_is_one(source, target):
    assert factor(source, target) * factor(target, source) == pytest.approx(1.0, rel=1e-15)


@pytest.mark.parametrize(
    ("source", "target"), [("m", "m/s"), ("count", "m/s"), ("m/s^2", "m/s"), ("Pa", "m"), ("unknown", "m")]
)
def test_different_things_do_not_convert(source, target):
    with pytest.raises(InputError, match="different things"):
        factor(source, target)


@pytest.mark.parametrize("unit", ["gal", "", "M", "counts"])
def test_unknown_unit_raises_and_lists_the_known(unit):
    with pytest.raises(InputError, match="cm/s"):
        check_unit(unit)
    with pytest.raises(InputError):
        factor(unit, "m")


def test_every_unit_is_known():
    assert [check_unit(u) for u in UNITS] == list(UNITS)
