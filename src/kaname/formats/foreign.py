"""The border with ObsPy's plug-ins: their readers may raise anything and warn about what they drop."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal

from kaname.core.errors import FormatError, KanameError, MissingDependencyError

Kind = Literal["waveform", "inventory", "event"]

_UNSAFE = {"PICKLE", "RG16"}
"""``PICKLE`` runs whatever the file says; ``RG16`` does not come to an end on some damaged files."""


@contextmanager
def foreign(path: Path, what: str) -> Iterator[list[str]]:
    """Run ObsPy code on ``path``: any exception becomes a `FormatError`, warnings are collected as text.

    This is the one place that catches every exception: on damaged files ObsPy's plug-ins raise
    ``struct.error``, ``IndexError``, ``AssertionError``, bare ``Exception`` and more, and they publish no
    list.
    """
    messages: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for about_code in (DeprecationWarning, PendingDeprecationWarning, FutureWarning, ImportWarning):
            warnings.simplefilter("ignore", about_code)
        try:
            yield messages
        except KanameError:
            raise
        except Exception as error:
            reason = str(error).strip().split("\n")[0] or "no reason given"
            raise FormatError(
                f"cannot read {path} as {what}: {type(error).__name__}: {reason}; "
                "the file is damaged or of another format"
            ) from error
        finally:
            messages.extend(dict.fromkeys(str(w.message).strip() for w in caught))


@cache
def plugins(kind: Kind) -> tuple[str, ...]:
    """Return the names of the installed ObsPy plug-ins of a kind, in its order, without the unsafe ones."""
    from obspy.core.util.base import ENTRY_POINTS

    return tuple(name for name in ENTRY_POINTS[kind] if name not in _UNSAFE)


@cache
def plugin(kind: Kind, name: str, function: Literal["isFormat", "readFormat"]) -> Callable[..., Any]:
    """Return a function of an ObsPy plug-in, taking a plain file name: no URLs, no globs."""
    for entry in entry_points(group=f"obspy.plugin.{kind}.{name}", name=function):
        loaded: Callable[..., Any] = entry.load()
        return loaded
    raise MissingDependencyError(f"ObsPy has no {function} for {kind} format {name}; reinstall obspy")


def recognise(path: Path, kind: Kind, *, without: frozenset[str] = frozenset()) -> str | None:
    """Return the name of the first ObsPy plug-in that takes the file for its own, or ``None``."""
    for name in plugins(kind):
        if name in without:
            continue
        try:
            with foreign(path, name):
                if plugin(kind, name, "isFormat")(str(path)):
                    return name
        except FormatError:  # a plug-in that stumbles over the bytes does not know them
            continue
    return None
