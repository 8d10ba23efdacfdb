"""Files inside files: tar, zip, gzip, bzip2 and xz, nested as data centres deliver them.

Nothing is unpacked to disk, so the names in a bundle cannot lead anywhere; a member that unpacks to more than
`MEMBER_BYTES`, and nesting deeper than `DEPTH`, are damage, so that a small file cannot fill the memory.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

MEMBER_BYTES = 1 << 28
DEPTH = 5
_PIECE_BYTES = 1 << 20
_SMALL_BYTES = 1 << 23
_TAR_BLOCK = 512
_PACKED: tuple[tuple[bytes, Any], ...] = (
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
    (b"\xfd7zXZ\0", lzma.open),
)
_DAMAGE = (
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
    NotImplementedError,  # zip: a compression nobody here has
    RuntimeError,  # zip: a password is needed
    ValueError,  # zip: offsets that point outside the file
)


@dataclass(frozen=True)
class Member:
    """A plain file found in a bundle: its name inside, its bytes, and what of it is damaged (else ``""``)."""

    name: str
    content: bytes
    damage: str = ""


def is_bundle(head: bytes) -> bool:
    """Tell from the first bytes whether a file is a tar or zip archive; never raises."""
    return head.startswith(b"PK\x03\x04") or _is_tar(head)


def members(path: Path, *, peek: int = 0) -> Iterator[Member]:
    """Give every plain file inside ``path``, in order; a file that is no bundle is its own only member.

    Damage ends the bundle it is in: the bytes before it are given with a word about it.

    Parameters
    ----------
    path
        File to open.
    peek
        Give only so many bytes from the beginning of every member; 0 gives all.
    """
    with path.open("rb") as file:
        yield from _members(file if peek else _whole(file), "", DEPTH, peek)


def _members(file: IO[bytes], name: str, depth: int, peek: int) -> Iterator[Member]:
    try:
        head = file.read(_TAR_BLOCK)
        file.seek(0)
        opener = next((o for magic, o in _PACKED if head.startswith(magic)), None)
        if opener is None and not is_bundle(head):
            yield _plain(file, name, peek)
        elif not depth:
            yield Member(name, b"", f"bundles are nested more than {DEPTH} deep")
        elif opener is not None:
            with opener(file) as inner:
                yield from _members(inner, name.rsplit(".", 1)[0], depth - 1, peek)
        else:
            yield from (_zip if head.startswith(b"PK") else _tar)(file, name, depth - 1, peek)
    except _DAMAGE as error:
        yield Member(name, b"", f"damaged or truncated: {error or type(error).__name__}")


def _plain(file: IO[bytes], name: str, peek: int) -> Member:
    if peek:
        return Member(name, file.read(peek))
    if isinstance(file, io.BytesIO):
        return Member(name, file.getvalue())
    pieces: list[bytes] = []
    n_byte = 0
    try:
        while piece := _read(file):
            pieces.append(piece)
            n_byte += len(piece)
            if n_byte > MEMBER_BYTES:
                return Member(name, b"", f"unpacks to more than {MEMBER_BYTES} bytes")
    except _DAMAGE as error:
        return Member(name, b"".join(pieces), f"damaged or truncated after {n_byte} unpacked bytes: {error}")
    return Member(name, b"".join(pieces))


def _read(file: Any) -> bytes:
    # read() of a packed file gives nothing of the piece that the damage is in; read1() gives what there is.
    piece: bytes = file.read1(_PIECE_BYTES) if hasattr(file, "read1") else file.read(_PIECE_BYTES)
    return piece


def _tar(file: IO[bytes], name: str, depth: int, peek: int) -> Iterator[Member]:
    with tarfile.open(fileobj=file, mode="r:") as archive:
        for entry in archive:
            if entry.isfile() and (inner := archive.extractfile(entry)) is not None:
                yield from _members(_whole(inner), _join(name, entry.name), depth, peek)


def _whole(file: IO[bytes]) -> IO[bytes]:
    """Hold a small file in memory: files on disk and in a tar are slow to read in pieces."""
    n_byte = file.seek(0, io.SEEK_END)
    file.seek(0)
    return io.BytesIO(file.read()) if n_byte <= _SMALL_BYTES else file


def _zip(file: IO[bytes], name: str, depth: int, peek: int) -> Iterator[Member]:
    with zipfile.ZipFile(file) as archive:
        for entry in archive.infolist():
            if not entry.is_dir():
                with archive.open(entry) as inner:
                    yield from _members(inner, _join(name, entry.filename), depth, peek)


def _join(bundle: str, name: str) -> str:
    return f"{bundle}/{name}" if bundle else name


def _is_tar(head: bytes) -> bool:
    """Check the sum over a tar header, which old archives without the word ``ustar`` have too."""
    if len(head) < _TAR_BLOCK:
        return False
    stated = head[148:156].strip(b"\0 ")
    if not stated or stated.strip(b"01234567"):
        return False
    found = sum(head[:148]) + 8 * ord(" ") + sum(head[156:_TAR_BLOCK])
    return int(stated, 8) == found
