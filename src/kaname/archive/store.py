"""The archive: a folder of miniSEED with an index, read by channel and time."""

from __future__ import annotations

import fnmatch
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from kaname.archive.access import ACCESS_NAME
from kaname.archive.index import Index, Located, Stamp
from kaname.archive.lock import exclusive
from kaname.archive.refresh import IndexReport, Progress, refresh, silent
from kaname.archive.shelf import Shelf
from kaname.archive.users import USERS_NAME
from kaname.core.errors import FormatError, InputError, NotFoundError, StorageError
from kaname.core.time import NS_PER_S, as_time, isoformat
from kaname.formats.contract import WaveformRead
from kaname.formats.miniseed_records import scan_records
from kaname.formats.miniseed_sections import Section, sections
from kaname.formats.overlaps import resolve_overlaps

if TYPE_CHECKING:
    import pandas as pd

    from kaname.archive.availability import Spans
    from kaname.archive.importing import AddReport

INDEX_NAME = "index.sqlite"
LOCK_NAME = "index.lock"
_INDEX_FILES = frozenset({INDEX_NAME, f"{INDEX_NAME}-wal", f"{INDEX_NAME}-shm"})
OWN_NAMES = _INDEX_FILES | {LOCK_NAME, ACCESS_NAME, USERS_NAME}
"""Files in the folder of an archive that are not data."""
_PIECE_BYTES = 1 << 22
_REMEMBERED = 32
_BLOCK_NS = 3600 * NS_PER_S
_MOST_BLOCKS = 1024  # 50 MB of records of 512 bytes at 100 Hz

Time = np.datetime64 | str | int | None
"""A time as `kaname.core.time.as_time` takes it."""


def is_archive(path: str | Path) -> bool:
    """Tell whether a folder is an archive, that is, has an index."""
    return (Path(path) / INDEX_NAME).is_file()


class Archive:
    """Continuous data at rest: a folder of miniSEED files, in SDS layout or any other, and its index.

    `read`, `ls`, `gaps` and the like answer from the index; call `index` first when files have changed. Any
    number of threads and processes may read an archive while one process changes it; it can be pickled.

    Parameters
    ----------
    path
        Folder. Nothing is created before `add` or `index` is called.

    Raises
    ------
    NotFoundError
        When something is asked of an archive that has no index.
    StorageError
        When the index is damaged or the disk refuses.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._opened: tuple[int, Index] | None = None
        self._inherited: tuple[int, Index] | None = None
        self._anew: dict[str, tuple[Stamp, list[Section]]] = {}
        self._blocks: tuple[Any, dict[tuple[int, int], list[Located]]] = (None, {})

    def __repr__(self) -> str:
        return f"Archive({str(self.path)!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_opened": None, "_inherited": None, "_anew": {}, "_blocks": (None, {})}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the index; it opens again when needed."""
        if self._opened is not None:
            self._opened[1].close()
            self._opened = None

    @property
    def _index(self) -> Index:
        if self._opened is not None and self._opened[0] != os.getpid():
            # After a fork: the connection is the parent's, and to close it here would disturb its locks.
            self._inherited, self._opened = self._opened, None
        if self._opened is not None and not self._opened[1].is_current():
            # Made anew by another process. Not closed: another thread may be reading.
            self._opened = None
        if self._opened is None:
            self._opened = (os.getpid(), Index(self.path / INDEX_NAME))
        return self._opened[1]

    @contextmanager
    def changing(self, *, wait_s: float) -> Iterator[Index]:
        """Hold the archive exclusively and give its index, made when there is none."""
        with exclusive(self.path / LOCK_NAME, wait_s=wait_s):
            if self._opened is None:
                self._opened = (os.getpid(), Index(self.path / INDEX_NAME, create=True))
            yield self._index

    def index(
        self, *, rebuild: bool = False, wait_s: float = 60.0, progress: Progress = silent
    ) -> IndexReport:
        """Index new and changed files, read on where files have grown, and forget those that are gone.

        Parameters
        ----------
        rebuild
            Forget everything first. The index holds nothing that is not in the files.
        wait_s
            How long to wait for another process that is changing the archive [s].
        progress
            Shows how many files are done, such as `kaname.core.progress.progress`.

        Raises
        ------
        NotFoundError
            When there is no such folder.
        StorageError
            When another process holds the archive, or the index is damaged, or the disk refuses.
        """
        if not self.path.is_dir():
            raise NotFoundError(f"no such folder: {self.path}")
        if rebuild:
            with exclusive(self.path / LOCK_NAME, wait_s=wait_s):
                self.close()
                for name in _INDEX_FILES:
                    (self.path / name).unlink(missing_ok=True)
        with self.changing(wait_s=wait_s) as index:
            return refresh(self.path, index, own=OWN_NAMES, progress=progress)

    def add(
        self,
        paths: Iterable[str | Path],
        *,
        network: str = "",
        channels: Iterable[str | Path] = (),
        format: str | None = None,
        version: Literal[2, 3] | None = None,
        record_length: int = 512,
        wait_s: float = 60.0,
        progress: Progress = silent,
    ) -> AddReport:
        """Copy waveforms of any readable format into day files; what is there already stays as it is.

        Samples that the archive has already are not stored twice. Samples that disagree with what it has are
        kept out, and a failure names the span. Every day file is replaced in one step: after a kill it is as
        before or complete, and the same call again stores the rest. The index is brought up to date first.

        Parameters
        ----------
        paths
            Files, and folders for all files below them.
        network
            Network code for sources that state none; without it they are failures.
        channels
            Channel tables of WIN and WIN32 (`kaname.formats.win_channels.read_channel_table`), which give
            channels the names of sensors. They are no sources themselves, wherever they lie.
        format
            Name of the reader (`kaname.formats.contract.readers`) where it cannot be recognised, such as
            ``win32-utc``; by default the first that recognises the file.
        version
            miniSEED version to write: 2 keeps times to the microsecond and rates to 6e-8, 3 all of both. By
            default 2 wherever the codes fit it.
        record_length
            Longest record [bytes].
        wait_s
            How long to wait for another process that is changing the archive [s].
        progress
            Shows how many files are done, such as `kaname.core.progress.progress`.

        Raises
        ------
        NotFoundError
            When a path names nothing.
        FormatError
            When a channel table cannot be read.
        StorageError
            When another process holds the archive, the index is damaged, or the disk refuses.
        """
        from kaname.archive.importing import Importer, sources
        from kaname.formats.win_channels import read_channel_table

        tables = [Path(path) for path in channels]
        table = read_channel_table(tables, network=network) if tables else None
        own = {path.resolve() for path in tables}
        files = [file for file in sources(paths) if file.resolve() not in own]
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot make {self.path}: {error.strerror or error}") from error
        with self.changing(wait_s=wait_s) as index:
            refresh(self.path, index, own=OWN_NAMES, progress=progress)
            importer = Importer(
                self.path,
                index,
                self.read,
                version=version,
                record_length=record_length,
                network=network,
                table=table,
                format=format,
            )
            with progress("add", len(files)) as advance:
                for file in files:
                    importer.add(file)
                    advance(1)
                importer.flush()
        return importer.report

    def channels(self, ids: str | Iterable[str] = "*") -> list[str]:
        """Return the SEED identifiers of the channels that have data and match, sorted.

        Parameters
        ----------
        ids
            ``NET.STA.LOC.CHA``, with ``*`` and ``?`` for any letters and any one letter, or several of these.
        """
        return list(self._matching(ids))

    def files(self) -> list[str]:
        """Return the miniSEED files, as paths below the archive's folder, sorted."""
        return sorted(file.path for file in self._index.files() if file.state == "miniseed")

    def contents(self, path: str) -> list[tuple[str, np.datetime64, np.datetime64]]:
        """Return the sections of a file: SEED identifier, start, and when a contiguous next one would start.

        Parameters
        ----------
        path
            Below the archive's folder.

        Raises
        ------
        NotFoundError
            When the index knows no such file.
        StorageError
            When it is not as it was indexed.
        """
        found = self._index.contents(path)
        if found is None:
            raise NotFoundError(f"no file {path!r} in the index of {self.path}")
        stamp, sections = found
        try:
            unchanged = Stamp.of((self.path / path).stat()) == stamp
        except OSError as error:
            raise StorageError(f"cannot read {self.path / path}: {error.strerror or error}") from error
        if not unchanged:
            raise StorageError(
                f"{self.path / path} has changed since it was indexed; run: kaname archive index"
            )
        return [(i, np.datetime64(start, "ns"), np.datetime64(end, "ns")) for i, start, end in sections]

    def _matching(self, ids: str | Iterable[str]) -> dict[str, int]:
        known = self._index.channels()
        patterns = [ids] if isinstance(ids, str) else list(ids)
        chosen: dict[str, int] = {}
        for pattern in patterns:
            if pattern != "*" and pattern.count(".") != 3:
                raise InputError(f"{pattern!r} is not NET.STA.LOC.CHA; * and ? may stand for letters")
            if "*" in pattern or "?" in pattern:
                chosen |= {i: known[i] for i in fnmatch.filter(known, pattern.replace("[", "[[]"))}
            elif pattern in known:
                chosen[pattern] = known[pattern]
        return dict(sorted(chosen.items()))

    def read(self, ids: str | Iterable[str] = "*", start: Time = None, end: Time = None) -> WaveformRead:
        """Return the samples with ``start <= time < end``, reading only the records that hold them.

        Blocks hold one channel each, do not overlap, and come per channel in order of time; gaps and changes
        of rate part them. Where two recordings of the same time disagree the one whose section starts earlier
        is kept and a failure names the span. A file that has changed since it was indexed is scanned anew.

        Parameters
        ----------
        ids
            As `channels`.
        start, end
            Window, UTC; ``None`` is open.
        """
        low, high = _window(start, end)
        out = WaveformRead()
        blocks = []
        with Shelf(self.path) as shelf:
            for channel in self._matching(ids).values():
                located = self._index.locate(channel, _ns(low), _ns(high))
                for section, path in shelf.current(located, out):
                    blocks += shelf.decode(section, path, low, high, out)
        out.blocks, overlaps = resolve_overlaps(blocks)
        out.failures += [{"step": "read", "subject": str(self.path), **row} for row in overlaps]
        return out

    def locate(self, identifier: str, start: Time = None, end: Time = None) -> Iterator[Located]:
        """Yield the records of one channel that may hold samples of a window, and the file they lie in.

        For those who pass records on as they lie. Sections come in order of start; those of a file that has
        changed since it was indexed, which is scanned anew, come last.

        Parameters
        ----------
        identifier
            ``NET.STA.LOC.CHA``; a channel without data gives nothing.
        start, end
            Window, UTC; ``None`` is open.

        Raises
        ------
        StorageError
            When a file of the index cannot be read.
        """
        low, high = _window(start, end)
        index = self._index
        channel = index.channels().get(identifier)
        if channel is None:
            return
        changed: dict[str, None] = {}
        root = str(self.path)
        for each in self._located(index, channel, _ns(low), _ns(high)):
            try:
                if Stamp.of(os.stat(f"{root}/{each.path}")) == each.stamp:  # noqa: PTH116  (called per request)
                    yield each
                else:
                    changed[each.path] = None
            except OSError as error:
                raise StorageError(
                    f"{each.path} is in the index but cannot be read: {error.strerror or error}"
                ) from error
        for path in changed:
            for section, stamp in self._scanned(path):
                early = high is not None and section.start >= high
                late = low is not None and section.following <= low
                if section.id == identifier and not (early or late):
                    yield Located(section, path, stamp)

    def _located(self, index: Index, channel: int, low: int | None, high: int | None) -> Iterable[Located]:
        """Return what the index locates; for a window within an hour, what is there in that hour.

        The last hours are remembered until the index changes: who reads a channel reads it minute by minute.
        """
        if low is None or high is None or low // _BLOCK_NS != (high - 1) // _BLOCK_NS:
            return index.each_located(channel, low, high)
        state = (index, *index.seen)
        if self._blocks[0] != state:
            self._blocks = state, {}
        blocks = self._blocks[1]  # a thread that still has an older one does not write into the new one
        hour = low // _BLOCK_NS
        found = blocks.get((channel, hour))
        if found is None:
            edges = hour * _BLOCK_NS, (hour + 1) * _BLOCK_NS
            whole = index.each_located(channel, *edges)
            parts = ((each.section.within(*edges), each) for each in whole)
            found = [Located(part, each.path, each.stamp) for part, each in parts if part is not None]
            blocks[channel, hour] = found
            if len(blocks) > _MOST_BLOCKS:
                blocks.pop(next(iter(blocks)), None)
        return found

    def _scanned(self, path: str) -> list[tuple[Section, Stamp]]:
        """Return the sections of a file as it now is; the last few are remembered."""
        try:
            stamp = Stamp.of((self.path / path).stat())
            known = self._anew.get(path)
            if known is None or known[0] != stamp:
                known = self._anew[path] = stamp, sections(scan_records(self.path / path))
                while len(self._anew) > _REMEMBERED:
                    self._anew.pop(next(iter(self._anew)))
        except (OSError, FormatError) as error:
            raise StorageError(f"{path} is in the index but cannot be read: {error}") from error
        return [(section, stamp) for section in known[1]]

    def ls(self, ids: str | Iterable[str] = "*", *, start: Time = None, end: Time = None) -> pd.DataFrame:
        """Return what there is, a row per channel: `kaname.archive.availability.AVAILABILITY`.

        A section that reaches into the window counts whole.
        """
        from kaname.archive.availability import availability

        return availability(self.each_span(ids, start, end))

    def spans(self, ids: str | Iterable[str] = "*", *, start: Time = None, end: Time = None) -> pd.DataFrame:
        """Return the gap-free sections, a row each: `kaname.archive.availability.SPANS`.

        Sections end with their file: two that follow one another exactly are no gap.
        """
        from kaname.archive.availability import span_table

        return span_table(self.each_span(ids, start, end))

    def gaps(self, ids: str | Iterable[str] = "*", *, start: Time = None, end: Time = None) -> pd.DataFrame:
        """Return gaps of more than half a sample between sections: `kaname.archive.availability.INTERVALS`.

        The time before the first and after the last sample of a channel is no gap.
        """
        from kaname.archive.availability import gaps_between, interval_table

        return interval_table((i, gaps_between(spans)) for i, spans in self.each_span(ids, start, end))

    def overlaps(
        self, ids: str | Iterable[str] = "*", *, start: Time = None, end: Time = None
    ) -> pd.DataFrame:
        """Return what is there more than once: `kaname.archive.availability.INTERVALS`.

        Whether the recordings agree only `read` can tell: it reports those that do not.
        """
        from kaname.archive.availability import interval_table, overlaps_among

        return interval_table((i, overlaps_among(spans)) for i, spans in self.each_span(ids, start, end))

    def each_span(self, ids: str | Iterable[str], start: Time, end: Time) -> Iterator[tuple[str, Spans]]:
        """Yield each channel with data in a window and its sections, `kaname.archive.index.SPAN_DTYPE`."""
        window = [_ns(time) for time in _window(start, end)]
        for identifier, channel in self._matching(ids).items():
            spans = self._index.spans(channel, *window)
            if len(spans):
                yield identifier, spans

    def faults(self) -> list[dict[str, Any]]:
        """Return, as failures, everything in the indexed files that is no readable record."""
        return [
            {"step": "index", "subject": path, "error": "FormatError", "message": message}
            for path, message in self._index.faults()
        ]

    def check(self, *, deep: bool = False, progress: Progress = silent) -> list[dict[str, Any]]:
        """Compare the index with the files and return what is wrong, as rows of the failures table.

        Parameters
        ----------
        deep
            Read every byte of every file and compare its checksum, so that damage which leaves size and times
            alone is found; and let SQLite check all of the index.
        progress
            Shows how many files are done, such as `kaname.core.progress.progress`.
        """
        rows: list[dict[str, Any]] = []

        def wrong(path: str, message: str) -> None:
            rows.append({"step": "check", "subject": path, "error": "StorageError", "message": message})

        for message in self._index.integrity(deep=deep):
            wrong(INDEX_NAME, f"{message}; make the index anew with --rebuild")
        files = self._index.files()
        with progress("check", len(files)) as advance:
            for file in files:
                path = self.path / file.path
                try:
                    if Stamp.of(path.stat()) != file.stamp:
                        wrong(file.path, "has changed since it was indexed; run: kaname archive index")
                    elif deep and file.state == "miniseed" and _checksum(path, file.scanned) != file.checksum:
                        wrong(
                            file.path,
                            "its bytes have changed although size and times have not: the disk or a copy is "
                            "damaged; restore it from a backup",
                        )
                except OSError as error:
                    wrong(file.path, f"cannot be read: {error.strerror or error}")
                advance(1)
        return rows + self.faults()


def _checksum(path: Path, size: int) -> int:
    checksum = 0
    with path.open("rb", buffering=0) as file:
        while size > 0 and (piece := file.read(min(_PIECE_BYTES, size))):
            checksum = zlib.crc32(piece, checksum)
            size -= len(piece)
    return checksum


def _window(start: Time, end: Time) -> tuple[np.datetime64 | None, np.datetime64 | None]:
    low, high = (None if time is None else as_time(time) for time in (start, end))
    if low is not None and high is not None and high <= low:
        raise InputError(f"empty time range: {isoformat(low)} to {isoformat(high)}")
    return low, high


def _ns(time: np.datetime64 | None) -> int | None:
    return None if time is None else int(time.astype(np.int64))
