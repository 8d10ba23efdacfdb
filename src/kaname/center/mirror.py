"""What other sites copy an archive from: its signed manifest and its files, as far as each may be read."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from kaname.archive.access import ACCESS_NAME, Access
from kaname.archive.manifest import Manifest, manifest_path
from kaname.archive.store import Archive
from kaname.center.answers import error
from kaname.center.errors import ServiceError
from kaname.core.errors import KanameError, NotFoundError, StorageError

PIECE_BYTES = 4 << 20
_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{0,18})")

User = Callable[[Request, bool], str | None]
"""Return who asks, ``None`` for anybody; where a name is required, refuse anybody with a challenge."""


def nobody(request: Request, required: bool) -> str | None:
    """Know no users."""
    return None


def routes(archive: Archive, access: Access, *, user: User = nobody) -> list[Route]:
    """Return the routes ``manifest`` and ``files/PATH``, to be mounted under one folder such as ``/mirror``.

    Only files that are in the manifest exist here. A file is given when all that lies in it may be read;
    ranges of bytes are served, so that a copy goes on where it was broken off.

    Parameters
    ----------
    archive
        Archive, with an index.
    access
        Who may read what.
    user
        Tells who asks.
    """
    held = _Held(archive)

    async def manifest(request: Request) -> Response:
        try:
            signed = await run_in_threadpool(held.manifest)
        except KanameError as problem:
            return _refused(503, str(problem))
        return Response(
            signed.data, media_type="text/plain; charset=utf-8", headers={"Cache-Control": "no-cache"}
        )

    async def file(request: Request) -> Response:
        path = request.path_params["path"]
        try:
            asking = user(request, False)
            refusal = await run_in_threadpool(_refusal, held, access, asking, path)
            if refusal and asking is None:
                asking = user(request, True)
                refusal = await run_in_threadpool(_refusal, held, access, asking, path) if asking else refusal
            if refusal:
                return _refused(403, refusal)
            return await run_in_threadpool(_open, held, path, request.headers.get("range"))
        except NotFoundError as problem:
            return _refused(404, str(problem))
        except ServiceError as problem:
            return error(request, problem, None)
        except KanameError as problem:
            return _refused(409, str(problem))  # of this file only: those who copy go on with the others

    return [Route("/manifest", manifest, methods=["GET"]), Route("/files/{path:path}", file, methods=["GET"])]


def _refused(status: int, message: str) -> Response:
    return PlainTextResponse(f"{message}\n", status)


class _Held:
    """The manifest of an archive, read again when it is another one."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self._read: tuple[tuple[int, int], Manifest] | None = None

    def manifest(self) -> Manifest:
        path = manifest_path(self.archive.path)
        try:
            status = path.stat()
        except FileNotFoundError:
            raise StorageError(
                "this archive is not signed yet, so that nobody could tell a copy from a forgery; its owner "
                "does it with: kaname archive manifest"
            ) from None
        stamp = (status.st_mtime_ns, status.st_ino)
        if self._read is None or self._read[0] != stamp:
            manifest = Manifest.load(self.archive.path)
            if manifest is None:
                raise StorageError(f"{path} is gone")
            self._read = (stamp, manifest)
        return self._read[1]


def _refusal(held: _Held, access: Access, user: str | None, path: str) -> str:
    """Return why somebody may not have a file; empty when nothing speaks against it."""
    if path not in held.manifest().by_path:
        raise NotFoundError(f"no file {path!r} in the manifest")
    if path == ACCESS_NAME:
        return ""
    for seed_id, start, end in held.archive.contents(path):
        decision = access.decide(user, seed_id, start, end)
        if not decision.allowed:
            return decision.reason + (f"; ask {decision.contact}" if decision.contact else "")
    return ""


def _open(held: _Held, path: str, wanted: str | None) -> Response:
    where = held.archive.path / path
    try:
        descriptor = os.open(where, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise StorageError(f"{path} cannot be read now: {error.strerror}") from error
    try:
        if path != ACCESS_NAME:
            held.archive.contents(path)  # still as it was indexed, when it was decided about
        status = os.fstat(descriptor)
        if status.st_ino != where.stat().st_ino:
            raise StorageError(f"{path} is being replaced; ask again")
        return _Pieces(descriptor, status.st_size, wanted)
    except (OSError, KanameError):
        os.close(descriptor)
        raise


class _Pieces(Response):
    """A file, or the end of one, in large pieces; a fault after the first byte breaks the line."""

    def __init__(self, descriptor: int, size: int, wanted: str | None) -> None:
        super().__init__()
        self._descriptor = descriptor
        low, high = 0, size
        match = _RANGE.fullmatch(wanted or "")
        headers = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        self.status_code = 200
        if match is not None:
            low = int(match[1])
            high = min(size, int(match[2]) + 1) if match[2] else size
            self.status_code = 206 if low < high else 416
            headers["Content-Range"] = f"bytes {low}-{high - 1}/{size}" if low < high else f"bytes */{size}"
        self._low, self._high = low, max(low, high)
        self.init_headers({**headers, "Content-Length": str(self._high - self._low)})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            at = self._low
            piece = await run_in_threadpool(self._piece, at)
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            while at < self._high:
                at += len(piece)
                more = at < self._high
                await send({"type": "http.response.body", "body": piece, "more_body": more})
                if more:
                    piece = await run_in_threadpool(self._piece, at)
            if self._low == self._high:
                await send({"type": "http.response.body", "body": b""})
        finally:
            os.close(self._descriptor)

    def _piece(self, at: int) -> bytes:
        size = min(PIECE_BYTES, self._high - at)
        data = os.pread(self._descriptor, size, at)
        if len(data) < size:
            raise StorageError(f"the file ends at byte {at + len(data)}, {at + size} were expected")
        return data
