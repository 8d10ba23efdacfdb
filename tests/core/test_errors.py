"""Errors carry their exit status and can be caught as the builtin they specialise."""

from __future__ import annotations

import pytest

from kaname.core import errors
from kaname.core.errors import ExitCode, KanameError


@pytest.mark.parametrize(
    ("error", "builtin", "status"),
    [
        (errors.InputError, ValueError, 2),
        (errors.FormatError, ValueError, 1),
        (errors.SchemaError, ValueError, 1),
        (errors.NotFoundError, LookupError, 1),
        (errors.MissingDependencyError, ImportError, 1),
        (errors.StorageError, OSError, 1),
    ],
)
def test_error_is_the_builtin_and_ours(error, builtin, status):
    with pytest.raises(builtin) as caught:
        raise error("what was found")
    assert isinstance(caught.value, KanameError)
    assert caught.value.exit_code == status
    assert str(caught.value) == "what was found"


def test_exit_codes_are_the_published_ones():
    assert {c.name: int(c) for c in ExitCode} == {"OK": 0, "ERROR": 1, "USAGE": 2, "PARTIAL": 3}
