"""Where a copy of an archive comes from: a folder, or a server that gives a manifest and files."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from kaname.archive.inventory import is_origin, publish
from kaname.archive.manifest import Manifest
from kaname.archive.store import Archive
from kaname.core.errors import FormatError, KanameError, NotFoundError, StorageError

PIECE_BYTES = 1 << 20
_MANIFEST_BYTES = 1 << 30
_TIMEOUT_S = (10.0, 60.0)
_BODY_LETTERS = 500


class RefusedError(KanameError, PermissionError):
    """The owner does not give this; the message says why and whom to ask."""


class LineError(StorageError):
    """The line to the source broke; trying again may help."""


class Source(Protocol):
    """Gives a manifest and, from any byte on, its files."""

    def manifest(self) -> Manifest:
        """Return the manifest of the source."""

    def read(self, path: str, offset: int) -> Iterator[bytes]:
        """Yield a file from a byte on.

        Raises
        ------
        RefusedError
            When the owner does not give it.
        LineError
            When the line breaks.
        StorageError, NotFoundError
            When the source cannot give this file.
        """


def source_of(where: str | Path, *, user: str | None = None, password: str = "") -> Source:
    """Return the source of a folder or an ``http://`` or ``https://`` address.

    Parameters
    ----------
    where
        Folder of an archive, or the address under which a server gives ``manifest`` and ``files/...``.
    user, password
        For a server that asks for them (HTTP digest authentication).
    """
    if str(where).lower().startswith(("http://", "https://")):
        return ServerSource(str(where), user=user, password=password)
    return FolderSource(Path(where))


class FolderSource:
    """An archive on a disk of this machine, which is signed anew before it is copied."""

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise NotFoundError(f"no such archive: {path}")
        self.path = path

    def manifest(self) -> Manifest:
        """Return the manifest: of a copy, and of what cannot be written, the one that is there."""
        held = Manifest.load(self.path)
        if held is not None and not (is_origin(self.path) and os.access(self.path, os.W_OK)):
            return held
        with Archive(self.path) as archive:
            return publish(archive)[0]

    def read(self, path: str, offset: int) -> Iterator[bytes]:
        """Yield a file from a byte on."""
        where = self.path / path
        try:
            with where.open("rb", buffering=0) as file:
                file.seek(offset)
                while piece := file.read(PIECE_BYTES):
                    yield piece
        except FileNotFoundError as error:
            raise NotFoundError(f"{where} is in the manifest but not there") from error
        except OSError as error:
            raise StorageError(f"cannot read {where}: {error.strerror or error}") from error


class ServerSource:
    """An archive behind a server, such as ``kaname serve``; one connection per thread."""

    def __init__(self, address: str, *, user: str | None, password: str) -> None:
        self.address = address.rstrip("/")
        self._secret = None if user is None else (user, password)
        self._threads = threading.local()

    @property
    def _session(self) -> Any:
        session = getattr(self._threads, "session", None)
        if session is None:
            import requests

            session = self._threads.session = requests.Session()
            if self._secret is not None:
                session.auth = requests.auth.HTTPDigestAuth(*self._secret)
        return session

    def manifest(self) -> Manifest:
        """Return the manifest of the server."""
        data = bytearray()
        for piece in self._get("manifest", 0):
            data += piece
            if len(data) > _MANIFEST_BYTES:
                raise FormatError(f"the manifest of {self.address} is larger than {_MANIFEST_BYTES} bytes")
        return Manifest.parse(bytes(data), f"{self.address}/manifest")

    def read(self, path: str, offset: int) -> Iterator[bytes]:
        """Yield a file from a byte on."""
        return self._get(f"files/{quote(path)}", offset)

    def _get(self, what: str, offset: int) -> Iterator[bytes]:
        import requests

        url = f"{self.address}/{what}"
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={offset}-"} if offset else {})
        try:
            with self._session.get(url, headers=headers, stream=True, timeout=_TIMEOUT_S) as response:
                if response.status_code not in (200, 206):
                    raise self._error(url, response)
                # A server that knows no ranges sends all of it: what is here already is passed over.
                before = offset if response.status_code == 200 else 0
                for piece in response.iter_content(PIECE_BYTES):
                    if before >= len(piece):
                        before -= len(piece)
                        continue
                    yield piece[before:]
                    before = 0
        except requests.RequestException as error:
            raise LineError(f"{url}: {error}") from error

    def _error(self, url: str, response: Any) -> KanameError:
        said = response.raw.read(_BODY_LETTERS).decode("utf-8", "replace").strip() or response.reason
        message = f"{url}: {response.status_code}: {said}"
        if response.status_code in (401, 403):
            return RefusedError(message)
        if response.status_code == 404:
            return NotFoundError(message)
        if response.status_code in (429, 502, 503, 504):
            return LineError(message)
        return StorageError(message)
