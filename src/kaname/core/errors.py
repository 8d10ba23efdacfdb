"""One root error, a handful of children, and the exit codes they map to.

A message says what was found, what was expected, where, and what to do.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit status of every ``kaname`` command."""

    OK = 0
    ERROR = 1
    """Nothing could be done."""
    USAGE = 2
    """The command line or the configuration was wrong."""
    PARTIAL = 3
    """Everything that could be processed was; the rest is listed in the failures table."""


class KanameError(Exception):
    """Root of all errors raised by Kaname."""

    exit_code = ExitCode.ERROR


class InputError(KanameError, ValueError):
    """An argument, option or value that cannot be used."""

    exit_code = ExitCode.USAGE


class FormatError(KanameError, ValueError):
    """A file that is unreadable, truncated, or of a format nobody here knows."""


class SchemaError(KanameError, ValueError):
    """A table whose columns, types or values break its published schema."""


class NotFoundError(KanameError, LookupError):
    """Something named by the caller does not exist (a file, a station, a picker)."""


class MissingDependencyError(KanameError, ImportError):
    """An optional package is needed for what was asked; the message says how to install it."""


class StorageError(KanameError, OSError):
    """The disk or the database refused a read or a write (full, read-only, locked, corrupt)."""
