"""What every waveform reader offers, and the registry that finds the right one.

A reader is one file in this room. It registers itself with `register`, and from then on the contract tests in
``tests/contracts`` run on it. Reading never joins, fills, shifts or drops samples: what cannot be read as it
stands becomes a row for the failures table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from kaname.core.errors import FormatError, InputError, KanameError, NotFoundError
from kaname.core.time import as_time
from kaname.core.waveform import Waveform

HEAD_BYTES = 4096


@dataclass
class WaveformRead:
    """Blocks of one channel each, in time order per channel, and what could not be read."""

    blocks: list[Waveform] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    """Rows of the failures table (`kaname.core.tables.FAILURES`)."""

    def fail(self, path: Path, error: Exception | str, **where: Any) -> None:
        """Add a failure; an exception gives its class name as the kind of error."""
        kind = type(error).__name__ if isinstance(error, Exception) else "FormatError"
        row = {"step": "read", "subject": str(path), "error": kind, "message": str(error)}
        self.failures.append({**row, **where})


class WaveformReader(Protocol):
    """A waveform format."""

    name: str
    """Short name used on the command line and in messages, such as ``miniseed``."""

    def sniff(self, head: bytes, path: Path) -> bool:
        """Tell from the first `HEAD_BYTES` bytes (and, if need be, the name) whether this is the format.

        Never raises, whatever the bytes.
        """

    def read(self, path: Path, *, start: np.datetime64 | None, end: np.datetime64 | None) -> WaveformRead:
        """Read the samples with ``start <= time < end`` (``None``: open).

        A damaged part becomes a failure and the rest is returned.

        Raises
        ------
        FormatError
            When nothing in the file can be read.
        """


_READERS: dict[str, WaveformReader] = {}
_FALLBACK = "obspy"

R = TypeVar("R", bound=Callable[[], WaveformReader])


def register(reader: R) -> R:
    """Class decorator: make a reader known under its ``name``; a name taken twice raises."""
    instance = reader()
    if instance.name in _READERS:
        raise InputError(f"two waveform readers are called {instance.name!r}")
    _READERS[instance.name] = instance
    return reader


def readers() -> dict[str, WaveformReader]:
    """Return the known waveform readers by name; the ObsPy adapter, which asks every plug-in, stands last."""
    from kaname.formats import waveforms  # noqa: F401  (registers the readers)

    return dict(sorted(_READERS.items(), key=lambda item: (item[0] == _FALLBACK, item[0])))


def read_waveforms(
    path: str | Path,
    *,
    start: np.datetime64 | str | None = None,
    end: np.datetime64 | str | None = None,
    format: str | None = None,
) -> WaveformRead:
    """Read a waveform file of any known format.

    Parameters
    ----------
    path
        File to read.
    start, end
        Keep the samples with ``start <= time < end``, UTC.
    format
        Name of the reader; by default the first that recognises the file.

    Raises
    ------
    NotFoundError
        When there is no such file, or no reader of that name.
    FormatError
        When the file is empty, of no known format, or nothing in it can be read.
    """
    source = Path(path)
    if not source.is_file():
        raise NotFoundError(f"no such file: {source}")
    known = readers()
    if format is not None and format not in known:
        raise NotFoundError(f"no waveform reader {format!r}; known are {', '.join(known)}")
    window = {
        "start": None if start is None else as_time(start),
        "end": None if end is None else as_time(end),
    }
    try:
        with source.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise FormatError(f"cannot read {source}: {error.strerror or error}") from error
    if not head:
        raise FormatError(f"{source} is empty")
    candidates: Iterable[WaveformReader] = (
        [known[format]] if format else (r for r in known.values() if r.sniff(head, source))
    )
    for reader in candidates:
        try:
            return reader.read(source, **window)
        except KanameError:
            raise
        except OSError as error:
            raise FormatError(f"cannot read {source} as {reader.name}: {error}") from error
    raise FormatError(
        f"{source} is of no known waveform format; known are {', '.join(known)} (name one with --format)"
    )
