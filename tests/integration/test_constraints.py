"""The pinned versions satisfy what the package asks for, and pin all of it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def _pins(name):
    return {
        canonicalize_name(pin.name): pin
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
        for pin in [Requirement(line)]
    }


PINS = _pins("constraints.txt")


def test_every_line_is_one_exact_version():
    assert all([s.operator for s in pin.specifier] == ["=="] for pin in PINS.values())


def test_what_training_needs_beside_is_pinned():
    beside = _pins("constraints-train.txt")
    for text in EXTRAS["train"]:
        wanted = Requirement(text)
        (pinned,) = beside[canonicalize_name(wanted.name)].specifier
        assert wanted.specifier.contains(pinned.version)
    both = PINS.keys() & beside.keys()
    assert all(PINS[name].specifier == beside[name].specifier for name in both)


@pytest.mark.parametrize(
    "text", [*PROJECT["dependencies"], *EXTRAS["test"], *EXTRAS["docs"], *EXTRAS["cluster"]]
)
def test_what_is_asked_for_is_pinned_within_its_bounds(text):
    wanted = Requirement(text)
    assert canonicalize_name(wanted.name) in PINS, "make constraints.txt anew, as its first lines say"
    (pinned,) = PINS[canonicalize_name(wanted.name)].specifier
    assert wanted.specifier.contains(pinned.version)
