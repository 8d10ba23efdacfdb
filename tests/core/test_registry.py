"""A registry: names to plug-ins, none twice."""

from __future__ import annotations

import pytest

from kaname.core.errors import InputError, NotFoundError
from kaname.core.registry import Registry


@pytest.fixture
def registry():
    made = Registry("picker", "pickers")
    made.add("b", 2)
    made.decorator("a")(int)
    return made


def test_what_is_there_is_found(registry):
    assert registry.names() == ["a", "b"] and registry.items() == [("a", int), ("b", 2)]
    assert registry.find("a") is int and registry.find("b:variant", variants=True) == 2


def test_a_name_is_taken_once(registry):
    with pytest.raises(InputError, match="two pickers are called 'b'"):
        registry.add("b", 3)
    assert registry.find("b") == 2


@pytest.mark.parametrize("name", ["c", "b:variant", ""])
def test_what_is_not_there_is_told(registry, name):
    with pytest.raises(NotFoundError, match=r"no picker .*; known are a, b"):
        registry.find(name)
