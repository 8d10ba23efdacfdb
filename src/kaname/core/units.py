"""Units of samples, and the factors between those of the same dimension."""

from __future__ import annotations

from typing import Literal, get_args

from kaname.core.errors import InputError

Unit = Literal[
    "count",
    "m",
    "mm",
    "nm",
    "m/s",
    "cm/s",
    "nm/s",
    "m/s^2",
    "cm/s^2",
    "nm/s^2",
    "strain",
    "Pa",
    "V",
    "unknown",
]
UNITS: tuple[str, ...] = get_args(Unit)

_SI: dict[str, tuple[str, float]] = {
    "m": ("m", 1.0),
    "mm": ("m", 1e-3),
    "nm": ("m", 1e-9),
    "m/s": ("m/s", 1.0),
    "cm/s": ("m/s", 1e-2),
    "nm/s": ("m/s", 1e-9),
    "m/s^2": ("m/s^2", 1.0),
    "cm/s^2": ("m/s^2", 1e-2),
    "nm/s^2": ("m/s^2", 1e-9),
}


def check_unit(unit: str) -> str:
    """Return ``unit`` when Kaname knows it, else raise `InputError`."""
    if unit not in UNITS:
        raise InputError(f"unknown unit {unit!r}; expected one of {', '.join(UNITS)}")
    return unit


def factor(source: str, target: str) -> float:
    """Return what to multiply a value in ``source`` by to have it in ``target``.

    Raises
    ------
    InputError
        When the two do not measure the same thing.
    """
    check_unit(source), check_unit(target)
    if source == target:
        return 1.0
    if source in _SI and target in _SI and _SI[source][0] == _SI[target][0]:
        return _SI[source][1] / _SI[target][1]
    raise InputError(f"cannot convert {source!r} to {target!r}: they measure different things")
