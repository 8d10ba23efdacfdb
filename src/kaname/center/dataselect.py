"""fdsnws-dataselect: the records as they lie in the archive, byte for byte.

An answer states its length before its first byte, and what goes wrong on the way breaks the connection: no
client can take a part for the whole.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Self

from anyio.to_thread import run_sync
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from kaname.archive.index import Stamp
from kaname.center.errors import ServiceError
from kaname.center.holdings import Holdings
from kaname.center.selecting import Plan, Recoded, Run
from kaname.core.errors import FormatError, InputError, StorageError
from kaname.formats.miniseed import fits_version_2, pack
from kaname.formats.miniseed_sections import decode

CONTENT_TYPE = "application/vnd.fdsn.mseed"
PIECE_BYTES = 1 << 19
_RECORD_LENGTH = 512


class Records(Response):
    """An answer with the records of a plan as they lie.

    Parameters
    ----------
    root
        Folder of the archive.
    plan
        What to send, `Plan.is_raw` and not empty.
    headers
        Further headers.
    """

    media_type = CONTENT_TYPE

    def __init__(self, root: Path, plan: Plan, headers: dict[str, str]) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers({"content-length": str(plan.size), **headers})
        self._pieces = _pieces(plan)
        self._files = _Files(root)
        self._body = b""

    async def ready(self) -> Self:
        """Read the first piece, so that what goes wrong there can still be said with a status.

        Raises
        ------
        StorageError
            When it cannot be read.
        """
        try:
            self._body = await self._files.read(next(self._pieces))
        except BaseException:
            self._files.close()
            raise
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the records; what goes wrong now is raised, upon which the server breaks the connection."""
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            body = self._body
            if scope["method"] == "HEAD":
                body, self._pieces = b"", iter(())
            for piece in self._pieces:
                await send({"type": "http.response.body", "body": body, "more_body": True})
                body = await self._files.read(piece)
            await send({"type": "http.response.body", "body": body})
        finally:
            self._files.close()


class Temporary(Response):
    """An answer with the contents of a temporary file.

    Parameters
    ----------
    file
        Open at its start; it is closed afterwards.
    headers
        Further headers.
    """

    media_type = CONTENT_TYPE

    def __init__(self, file: IO[bytes], headers: dict[str, str]) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers({"content-length": str(os.fstat(file.fileno()).st_size), **headers})
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file."""
        with self._file:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            while scope["method"] != "HEAD" and (body := await run_sync(self._file.read, PIECE_BYTES)):
                await send({"type": "http.response.body", "body": body, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


def _pieces(plan: Plan) -> Iterator[list[Run]]:
    """Yield the runs of a plan in pieces of bounded size."""
    piece: list[Run] = []
    room = PIECE_BYTES
    for run in plan.parts:
        assert isinstance(run, Run)
        offset, left = run.offset, run.size
        while left:
            size = min(left, room)
            piece.append(Run(run.path, run.stamp, offset, size))
            offset, left, room = offset + size, left - size, room - size
            if not room:
                yield piece
                piece, room = [], PIECE_BYTES
    if piece:
        yield piece


class _Files:
    """The files of an answer, each opened when its turn comes, one open at a time."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.path = ""
        self.file = -1

    def close(self) -> None:
        """Close what is open."""
        if self.file >= 0:
            os.close(self.file)
            self.file = -1

    async def read(self, piece: list[Run]) -> bytes:
        """Return the bytes of runs; only a disk that must be waited for costs a thread."""
        parts = [self.fetch(r) if self._is_cached(r) else await run_sync(self.fetch, r) for r in piece]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def fetch(self, run: Run) -> bytes:
        """Return the bytes of a run.

        Raises
        ------
        StorageError
            When the file cannot be read, or is not what it was when it was indexed.
        """
        try:
            self._open(run)
            part = os.pread(self.file, run.size, run.offset)
            stamp = Stamp.of(os.fstat(self.file))
        except OSError as error:
            raise StorageError(f"cannot read {run.path}: {error.strerror or error}") from error
        # A file that has grown is being appended to; the records that were there are where they were.
        grown = stamp.inode == run.stamp.inode and stamp.size > run.stamp.size
        if len(part) != run.size or (stamp != run.stamp and not grown):
            raise StorageError(f"{run.path} has changed while it was being read; ask again")
        return part

    def _open(self, run: Run) -> None:
        if run.path != self.path or self.file < 0:
            self.close()
            self.file = os.open(f"{self.root}/{run.path}", os.O_RDONLY | os.O_CLOEXEC)
            self.path = run.path

    def _is_cached(self, run: Run) -> bool:
        """Tell whether the system can give the end of a run, and so likely all of it, without the disk."""
        try:
            self._open(run)
            return os.preadv(self.file, [bytearray(1)], run.offset + run.size - 1, os.RWF_NOWAIT) == 1
        except OSError:
            return False


def recode(holdings: Holdings, plan: Plan, version: int) -> IO[bytes]:
    """Write the records of a plan as miniSEED of one version to a temporary file, and return it at its start.

    Raises
    ------
    ServiceError
        400, when codes do not fit version 2.
    StorageError
        When a file cannot be read, or a record is damaged.
    """
    out = tempfile.TemporaryFile()  # noqa: SIM115  (the answer closes it)
    files = _Files(holdings.archive.path)
    try:
        for part in plan.parts:
            if isinstance(part, Run):
                for (run,) in _pieces(Plan([part])):
                    out.write(files.fetch(run))
            else:
                out.writelines(_recoded(part, files, version))
        out.seek(0)
    except BaseException:
        out.close()
        raise
    finally:
        files.close()
    return out


def _recoded(part: Recoded, files: _Files, version: int) -> Iterator[bytes]:
    section = part.section
    if version == 2 and not fits_version_2(section.id):
        raise ServiceError(
            400, f"{section.id} does not fit miniSEED 2; ask for format=miniseed3 or leave it out"
        )

    def fetch(offset: int, size: int) -> bytes:
        return files.fetch(Run(part.path, part.stamp, offset, size))

    try:
        read = decode(section, fetch)
        if read.failures:
            raise StorageError(f"{part.path}: {read.failures[0]['message']}")
        for block in read.blocks:
            yield from pack(block, version=3 if version == 3 else 2, record_length=_RECORD_LENGTH)
    except (FormatError, InputError) as error:
        raise StorageError(f"{part.path} cannot be given as miniSEED {version}: {error}") from error
