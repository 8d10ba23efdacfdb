"""What every waveform reader offers, and the registry that finds the right one.

A reader is one file in this room. It registers itself with `register`, and from then on the contract tests in
``tests/contracts`` run on it. Reading never joins, fills, shifts or drops samples: what cannot be read as it
stands becomes a row for the failures table.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from kaname.core.errors import FormatError, NotFoundError
from kaname.core.registry import Registry
from kaname.core.time import as_time
from kaname.core.waveform import Waveform

HEAD_BYTES = 4096


@dataclass
class WaveformRead:
    """Blocks of one channel each, in time order per channel, and what could not be read."""

    blocks: list[Waveform] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    """Rows of the failures table (`kaname.core.tables.FAILURES`)."""

    def fail(self, path: Path, error: Exception | str, *, kind: str = "FormatError", **where: Any) -> None:
        """Add a failure; an exception gives its class name as the kind of error."""
        if isinstance(error, Exception):
            kind = type(error).__name__
        row = {"step": "read", "subject": str(path), "error": kind, "message": str(error)}
        self.failures.append({**row, **where})

    def add(self, block: Waveform, start: np.datetime64 | None, end: np.datetime64 | None) -> None:
        """Add what of ``block`` lies in ``start <= time < end`` (``None``: open)."""
        if start is not None or end is not None:
            piece = block.slice(
                block.start if start is None else start, block.following if end is None else end
            )
            if piece is None:
                return
            block = piece
        self.blocks.append(block)


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


def native(samples: NDArray[Any]) -> NDArray[Any]:
    """Return samples in this machine's byte order; kind and width stay as they were."""
    return np.ascontiguousarray(samples, dtype=samples.dtype.newbyteorder("="))


def seed_id(network: str, station: str, location: str, channel: str) -> tuple[str, str]:
    """Return ``NET.STA.LOC.CHA`` and, when a code had to be changed, a sentence about it (else ``""``).

    Spaces around a code go; what is neither letter, digit, ``_`` nor ``-`` becomes ``_``, because codes name
    folders and a ``.`` would cut the identifier.
    """
    stated = [code.strip("\0 ") for code in (network, station, location, channel)]
    clean = [re.sub(r"[^A-Za-z0-9_-]", "_", code) for code in stated]
    changed = "" if clean == stated else f"codes {stated} cannot be SEED codes; they are written {clean}"
    return ".".join(clean), changed


_READERS: Registry[WaveformReader] = Registry(
    "waveform reader", "waveform readers", ("kaname.formats.waveforms",)
)
_FALLBACK = "obspy"

R = TypeVar("R", bound=Callable[[], WaveformReader])


def register(reader: R) -> R:
    """Class decorator: make a reader known under its ``name``; a name taken twice raises."""
    instance = reader()
    _READERS.add(instance.name, instance)
    return reader


def readers() -> dict[str, WaveformReader]:
    """Return the known waveform readers by name; the ObsPy adapter, which asks every plug-in, stands last."""
    return dict(sorted(_READERS.items(), key=lambda item: (item[0] == _FALLBACK, item[0])))


def read_waveforms(
    path: str | Path,
    *,
    start: np.datetime64 | str | None = None,
    end: np.datetime64 | str | None = None,
    format: str | None = None,
) -> WaveformRead:
    """Read a waveform file of any known format, packed with gzip, bzip2 or xz or not.

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
    if format is not None and format not in readers():
        raise NotFoundError(f"no waveform reader {format!r}; known are {', '.join(readers())}")
    window = (None if start is None else as_time(start), None if end is None else as_time(end))
    try:
        with unpacked(source) as (plain, damage):
            try:
                result = _read_plain(plain, *window, format)
            except FormatError as error:
                raise FormatError(str(error).replace(str(plain), str(source))) from error
    except OSError as error:
        raise FormatError(f"cannot read {source}: {error.strerror or error}") from error
    for row in result.failures:
        row["subject"] = str(source)
        row["message"] = row["message"].replace(str(plain), str(source))
    if damage:
        result.fail(source, damage)
    return result


def _read_plain(
    path: Path, start: np.datetime64 | None, end: np.datetime64 | None, format: str | None
) -> WaveformRead:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise FormatError(f"{path} is empty")
    known = readers()
    for reader in [known[format]] if format else (r for r in known.values() if r.sniff(head, path)):
        return reader.read(path, start=start, end=end)
    raise FormatError(
        f"{path} is of no known waveform format; known are {', '.join(known)} (name one with --format)"
    )


_PACKED: tuple[tuple[bytes, Callable[..., Any]], ...] = (
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
    (b"\xfd7zXZ\0", lzma.open),
)
_PIECE_BYTES = 1 << 20


@contextmanager
def unpacked(path: Path) -> Iterator[tuple[Path, str]]:
    """Give the file itself, or a temporary unpacked copy of a gzip, bzip2 or xz file, and what was damaged.

    The part before the damage is given; the text says how much that is (empty: nothing was damaged).
    """
    with path.open("rb") as file:
        magic = file.read(6)
    opener = next((o for m, o in _PACKED if magic.startswith(m)), None)
    if opener is None:
        yield path, ""
        return
    damage, n_byte = "", 0
    with tempfile.TemporaryDirectory(prefix="kaname-") as folder:
        plain = Path(folder) / (path.stem or path.name)
        with plain.open("wb") as out, opener(path, "rb") as packed:
            while True:
                try:
                    piece = packed.read1(_PIECE_BYTES)  # read() gives nothing before the damage
                except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
                    damage = f"the packed file is damaged or truncated after {n_byte} unpacked bytes: {error}"
                    break
                if not piece:
                    break
                n_byte += out.write(piece)
        if damage and not n_byte:
            raise FormatError(f"{path}: {damage}")
        yield plain, damage
