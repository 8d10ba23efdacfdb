"""Files that grow: records appended to miniSEED files go to the ring as they come.

Folders and files are looked at in turn; what is new of a file is read up to its last whole record, and how
far that is stands in the ring beside the records, in the same transaction.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kaname.archive.store import OWN_NAMES
from kaname.center.seedlink_packets import log
from kaname.center.seedlink_ring import Position, Ring
from kaname.core.errors import FormatError, StorageError
from kaname.formats.miniseed_records import Fault, scan_records

POLL_S = 0.5
"""How often files that grow are looked at [s]."""
_RETRY_S = 5.0
_QUIET_S = 2 * 86400.0
_QUIET_EVERY = 60
_RACY_NS = 2_000_000_000
_PIECE_BYTES = 1 << 20
_HEADER_BYTES = 64
_UNFINISHED = (Fault.TRUNCATED, Fault.NO_LENGTH)


@dataclass
class _File:
    position: Position
    mtime: float
    """When it last changed [s since 1970]."""
    size: int = -1
    """Its length when it was last read to the end [bytes]."""
    ignored: bool = False
    """It is no miniSEED."""


class Follower:
    """Follows files and all files below folders.

    Parameters
    ----------
    paths
        Files, and folders for all files below them, hidden ones left out.
    ring
        Where the records go.
    from_start
        What files hold already when the ring is new goes there too; by default only what is added later.
    poll_s
        How often files that grow are looked at [s].
    """

    def __init__(
        self, paths: Iterable[Path], ring: Ring, *, from_start: bool = False, poll_s: float = POLL_S
    ) -> None:
        self.paths = [Path(path) for path in paths]
        self.ring = ring
        self.poll_s = poll_s
        self._first = ring.new and not from_start
        self._known = ring.positions()
        self._files: dict[str, _File] = {}
        self._folders: dict[str, int] = {}
        self._turn = 0

    async def run(self) -> None:
        """Follow, for ever; while the ring takes nothing (a full disk), wait and try again."""
        while True:
            begun = time.monotonic()
            changed, seen = await asyncio.to_thread(self._look)
            try:
                if seen:
                    await self.ring.note(seen)
                self._first = False
                for path in changed:
                    self._files[path].size = -1  # not yet
                    await self._take(path)
            except StorageError as error:
                log.error("%s; trying again in %g s", error, _RETRY_S)
                await asyncio.sleep(_RETRY_S)
            # A tree so large that looking at it takes long is looked at less often.
            await asyncio.sleep(max(self.poll_s, 0.2 * (time.monotonic() - begun)))

    def _look(self) -> tuple[list[str], list[Position]]:
        """Return the files with something new, and those that are seen for the first time and not read."""
        now = time.time()
        everything = self._turn % _QUIET_EVERY == 0
        self._turn += 1
        passed: list[Position] = []
        for path in self._new_files():
            try:
                status = os.stat(path)  # noqa: PTH116  (called for every file)
            except OSError:
                continue
            known = self._known.pop(path, None)
            if known is None:
                read = status.st_size if self._first else 0
                known = Position(path, status.st_dev, status.st_ino, read)
                if self._first:
                    passed.append(known)
            read_on = known.position < status.st_size or known.inode != status.st_ino
            self._files[path] = _File(known, status.st_mtime, -1 if read_on else status.st_size)
        changed = []
        for path, file in list(self._files.items()):
            if not everything and now - file.mtime > _QUIET_S and file.size >= 0:
                continue
            try:
                status = os.stat(path)  # noqa: PTH116
            except OSError:
                del self._files[path]
                continue
            position = file.position
            same = (status.st_dev, status.st_ino) == (position.device, position.inode)
            if not same or status.st_size < position.position:
                file.ignored = False
                changed.append(path)
            elif not file.ignored and (status.st_size, status.st_mtime) != (file.size, file.mtime):
                changed.append(path)
            file.mtime = status.st_mtime
        return changed, passed

    def _new_files(self) -> Iterator[str]:
        """Yield files not seen before; only folders that have changed are listed."""
        waiting = [str(path) for path in self.paths if path.is_dir()]
        visited: set[tuple[int, int]] = set()
        yield from (str(p) for p in self.paths if not p.is_dir() and str(p) not in self._files)
        waiting += self._folders
        for folder in waiting:
            try:
                status = os.stat(folder)  # noqa: PTH116
            except OSError:
                self._folders.pop(folder, None)
                continue
            key = (status.st_dev, status.st_ino)
            if key in visited:
                continue
            visited.add(key)
            if self._folders.get(folder) == status.st_mtime_ns:
                continue
            racy = time.time_ns() - status.st_mtime_ns < _RACY_NS
            self._folders[folder] = 0 if racy else status.st_mtime_ns
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if entry.name.startswith(".") or entry.name in OWN_NAMES:
                            continue
                        if entry.is_dir():
                            if entry.path not in self._folders:
                                waiting.append(entry.path)
                        elif entry.path not in self._files:
                            yield entry.path
            except OSError as error:
                log.warning("%s cannot be listed: %s", folder, error.strerror or error)

    async def _take(self, path: str) -> None:
        """Read what is new of a file into the ring."""
        file = self._files[path]
        while True:
            try:
                found = await asyncio.to_thread(self._read, file)
            except OSError as error:
                log.warning("%s cannot be read: %s", path, error.strerror or error)
                file.size = 0  # look again when it changes
                return
            if isinstance(found, int):
                file.size = found
                return
            data, position = found
            if data:
                await self.ring.publish(data, origin=path, position=position)
            else:
                await self.ring.note([position])
            file.position = position

    def _read(self, file: _File) -> tuple[bytes, Position] | int:
        """Return the next whole records of a file and how far it is read with them; its size at the end."""
        path, device, inode, at = file.position
        with open(path, "rb", buffering=0) as stream:  # noqa: PTH123
            status = os.fstat(stream.fileno())
            if (status.st_dev, status.st_ino) != (device, inode) or status.st_size < at:
                return self._read_anew(path, status)
            stream.seek(at)
            data = stream.read(_PIECE_BYTES)
        whole = _whole(data)
        if at == 0 and len(data) >= _HEADER_BYTES and not _begins(data):
            log.info("%s is no miniSEED and is not followed", path)
            file.ignored = True
            return status.st_size
        if not whole and len(data) == _PIECE_BYTES and data.strip(b"\0"):
            log.warning("%s: %d bytes from byte %d left out: no record is so long", path, len(data), at)
            return b"", Position(path, device, inode, at + len(data))
        return (data[:whole], Position(path, device, inode, at + whole)) if whole else status.st_size

    def _read_anew(self, path: str, status: os.stat_result) -> tuple[bytes, Position]:
        """Return the records of a file that was replaced that reach beyond all of their channel before."""
        position = Position(path, status.st_dev, status.st_ino, status.st_size)
        try:
            found = scan_records(path)
        except FormatError as error:
            raise OSError(str(error)) from error
        data = Path(path).read_bytes()[: status.st_size]
        pieces = []
        for row in found.table:
            reached = self.ring.reached.get(found.ids[row["channel"]])
            known = reached is None or row["rate"] <= 0
            known = known or row["start"] + (row["n_sample"] - 0.5) * 1e9 / row["rate"] <= reached
            if not known and row["offset"] + row["length"] <= len(data):
                pieces.append(data[row["offset"] : row["offset"] + row["length"]])
        return b"".join(pieces), position


def _whole(data: bytes) -> int:
    """Return up to where there are whole records, and bytes that never will be any.

    What may yet become a record waits: one cut short, and zeros, with which a file may be laid out.
    """
    found = scan_records(data)
    end = len(data)
    if len(found.faults):
        kind, offset, length = found.faults[-1].tolist()
        tail = data[offset:]
        at_end = offset + length == end
        if at_end and (kind in _UNFINISHED or len(tail) < _HEADER_BYTES or not tail.strip(b"\0")):
            return int(offset)
    return end


def _begins(data: bytes) -> bool:
    """Tell whether there is a record, whole or not, or only room for one."""
    found = scan_records(data)
    unfinished = any(kind in _UNFINISHED for kind in found.faults["kind"].tolist())
    return len(found.table) > 0 or unfinished or not data.strip(b"\0")
