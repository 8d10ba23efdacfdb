"""Bring waveforms of any readable format into an archive: nothing twice, nothing overwritten or lost."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from kaname.archive.index import Index
from kaname.archive.layout import day_file, split_days
from kaname.archive.refresh import PARTIAL_SUFFIX, refresh_file
from kaname.core.errors import InputError, KanameError, NotFoundError, StorageError
from kaname.core.waveform import Waveform
from kaname.formats.contract import WaveformRead, read_waveforms
from kaname.formats.miniseed import fits_version_2, pack
from kaname.formats.overlaps import subtract
from kaname.formats.win_channels import ChannelTable

_BATCH_BYTES = 256 << 20

Read = Callable[[str, Any, Any], WaveformRead]
"""Return what an archive already holds of a channel in a window."""


@dataclass
class AddReport:
    """What an import did."""

    n_file: int = 0
    """Files read."""
    n_stored: int = 0
    """Samples written."""
    n_known: int = 0
    """Samples of times that the archive had already; failures tell which of them disagree."""
    day_files: set[str] = field(default_factory=set)
    """Files of the archive that were written."""
    failures: list[dict[str, Any]] = field(default_factory=list)
    """Rows of the failures table: what cannot be read, cannot be stored, or disagrees with what is there."""

    def fail(self, subject: Path, error: Exception | str, message: str = "") -> None:
        """Add a failure; an exception gives its class name as the kind of error."""
        kind = type(error).__name__ if isinstance(error, Exception) else error
        row = {"step": "add", "subject": str(subject), "error": kind, "message": message or str(error)}
        self.failures.append(row)


@dataclass(frozen=True)
class Part:
    """A stretch of one channel and one UTC day, and the file it comes from."""

    block: Waveform
    source: Path


class Importer:
    """Collects the day parts of many files and writes each day file once for all of them.

    Parameters
    ----------
    root
        Folder of the archive.
    index
        Its index, up to date and held exclusively.
    read
        Reads the archive.
    version
        miniSEED version to write, 2 or 3; ``None`` writes 2 wherever the codes fit it.
    record_length
        Longest record [bytes].
    network
        Network code for sources that state none.
    table
        Gives channels of WIN and WIN32 the names of sensors.
    format
        Name of the reader; by default the first that recognises the file.
    """

    def __init__(
        self,
        root: Path,
        index: Index,
        read: Read,
        *,
        version: Literal[2, 3] | None,
        record_length: int,
        network: str,
        table: ChannelTable | None = None,
        format: str | None = None,
    ) -> None:
        self.root = root
        self.index = index
        self.read = read
        self.version = version
        self.record_length = record_length
        self.network = network
        self.table = table
        self.format = format
        self.report = AddReport()
        self._pending: dict[PurePosixPath, list[Part]] = {}
        self._n_byte = 0

    def add(self, source: Path) -> None:
        """Take in one file; what cannot be taken in becomes a failure."""
        try:
            read = read_waveforms(source, format=self.format)
            if self.table is not None:
                read = self.table.rename(read, source)
        except (KanameError, OSError) as error:
            self.report.fail(source, error)
            return
        self.report.n_file += 1
        self.report.failures += [{**row, "step": "add"} for row in read.failures]
        for block in read.blocks:
            try:
                self._collect(block, source)
            except InputError as error:
                self.report.fail(source, error)
        if self._n_byte >= _BATCH_BYTES:
            self.flush()

    def _collect(self, block: Waveform, source: Path) -> None:
        if block.unit not in ("count", "unknown"):
            raise InputError(
                f"{block.ids[0]} is in {block.unit}, and miniSEED cannot say so; the archive keeps samples "
                f"as recorded: add the original counts, or keep this file as it is"
            )
        network, rest = block.ids[0].split(".", 1)
        named = Waveform(
            block.data, (f"{network or self.network}.{rest}",), block.start, block.sampling_rate, block.unit
        )
        for day, part in split_days(named):
            path = day_file(part.ids[0], day)
            self._pending.setdefault(path, []).append(Part(part, source))
            self._n_byte += part.data.nbytes

    def flush(self) -> None:
        """Write what has been collected, day file by day file.

        Raises
        ------
        StorageError
            When the disk refuses. Day files are then as before, or complete; the sources are never touched.
        """
        for path in sorted(self._pending):
            self._write(path, self._pending.pop(path))
        self._n_byte = 0

    def _write(self, path: PurePosixPath, parts: list[Part]) -> None:
        records: list[bytes] = []
        written: list[Waveform] = []
        for part in sorted(parts, key=lambda p: (p.block.start, str(p.source))):
            try:
                new = self._new(part, written)
                packed = [record for block in new for record in self._pack(block)]
            except InputError as error:
                self.report.fail(part.source, error)
                continue
            written += new
            records += packed
            n_new = sum(block.n_sample for block in new)
            self.report.n_stored += n_new
            self.report.n_known += part.block.n_sample - n_new
        if not records:
            return
        append(self.root, path, records)
        self.report.day_files.add(str(path))
        with self.index.transaction():
            refresh_file(self.root, self.index, path)

    def _pack(self, block: Waveform) -> Iterator[bytes]:
        version = self.version or (2 if fits_version_2(block.ids[0]) else 3)
        return pack(block, version=version, record_length=self.record_length)

    def _new(self, part: Part, written: list[Waveform]) -> list[Waveform]:
        """Return what of a part the archive does not have; what disagrees is kept out and reported."""
        block = part.block
        known = self.read(block.ids[0], block.start, block.following).blocks + written
        new, overlaps = subtract(block, known)
        for row in overlaps:
            message = f"{row['message']}: what the archive has stays, this was not stored"
            self.report.failures.append(
                {**row, "step": "add", "subject": str(part.source), "message": message}
            )
        return new


def append(root: Path, path: PurePosixPath, records: Iterable[bytes]) -> None:
    """Put records at the end of a file of an archive, all or nothing, even if the machine stops in between.

    Raises
    ------
    StorageError
        When the disk refuses, or the place lies outside the archive by a symbolic link.
    """
    target = root / path
    partial = target.with_name(f".{target.name}{PARTIAL_SUFFIX}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_symlink() or not target.parent.resolve().is_relative_to(root.resolve()):
            raise StorageError(
                f"{target} leads out of the archive by a symbolic link; nothing is written there"
            )
        with partial.open("wb") as file:
            if target.exists():
                file.write(target.read_bytes())
            file.writelines(records)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"cannot write {target}: {error.strerror or error}") from error


def sources(paths: Iterable[str | Path]) -> list[Path]:
    """Return the files that paths name: folders stand for all files below them, hidden ones left out.

    Raises
    ------
    NotFoundError
        When a path names nothing.
    """
    out: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            below = (p for p in sorted(path.rglob("*")) if p.is_file())
            out += [p for p in below if not any(n.startswith(".") for n in p.relative_to(path).parts)]
        elif path.exists():
            out.append(path)
        else:
            raise NotFoundError(f"no such file or folder: {path}")
    return out
