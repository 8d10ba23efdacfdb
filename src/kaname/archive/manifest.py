"""What an archive holds, file by file with its SHA-256, signed by its owner: see ``docs/mirror.md``."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Self

from kaname.archive.access import ACCESS_NAME
from kaname.archive.refresh import PARTIAL_SUFFIX
from kaname.archive.signing import Signer, key_text, verify
from kaname.archive.store import OWN_NAMES
from kaname.core.errors import FormatError, StorageError
from kaname.core.files import replacing

STATE = ".mirror"
"""Hidden folder of an archive for what belongs to copying it."""
_NAME = "manifest"
_MADE = re.compile(r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\.[0-9]{6}Z")
_LINE = re.compile(r"([0-9a-f]{64}) ([0-9]{1,18}) (.+)")


@dataclass(frozen=True, order=True)
class Entry:
    """A file of an archive."""

    path: str
    """Below the archive's root, ``/`` between names."""
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The files of an archive as its owner signed them."""

    made: str
    """When, UTC; a later one replaces an earlier one."""
    entries: tuple[Entry, ...]
    """Sorted by path."""
    key: bytes
    """Public key of the owner."""
    data: bytes
    """The signed bytes, with the signature on the first line."""

    @cached_property
    def by_path(self) -> dict[str, Entry]:
        """Entries by path."""
        return {entry.path: entry for entry in self.entries}

    @classmethod
    def sign(cls, made: str, entries: Iterable[Entry], signer: Signer) -> Self:
        """Make and sign a manifest."""
        ordered = tuple(sorted(entries))
        head = {"made": made, "n_file": len(ordered), "n_byte": sum(entry.size for entry in ordered)}
        lines = [json.dumps(head), *(f"{e.sha256} {e.size} {e.path}" for e in ordered)]
        text = "".join(f"{line}\n" for line in lines).encode()
        first = {
            "kaname_manifest": 1,
            "key": key_text(signer.public),
            "signature": base64.b64encode(signer.sign(text)).decode("ascii"),
        }
        return cls(made, ordered, signer.public, json.dumps(first).encode() + b"\n" + text)

    @classmethod
    def parse(cls, data: bytes, where: object) -> Self:
        """Read a manifest, believing nothing of it before the signature fits and every path is harmless.

        Raises
        ------
        FormatError
            When it is none, damaged, forged, or names a place that no file of an archive may have.
        """
        try:
            first, text = data.split(b"\n", 1)
            head = json.loads(first)
            if head["kaname_manifest"] != 1:
                raise FormatError(f"manifest of layout {head['kaname_manifest']}; this version reads 1")
            key, signature = (base64.b64decode(head[name], validate=True) for name in ("key", "signature"))
            if not verify(key, signature, text):
                raise FormatError("the signature does not fit: it is damaged or forged")
            said, *lines = text.decode().split("\n")
            about = json.loads(said)
            entries = tuple(_entry(line) for line in lines[:-1])
            if lines[-1] or about["n_file"] != len(entries):
                raise FormatError(f"{len(entries)} files are listed, {about['n_file']} were promised")
            if any(a.path >= b.path for a, b in pairwise(entries)):
                raise FormatError("the files are not in order")
            if not _MADE.fullmatch(about["made"]):
                raise FormatError(f"made at {about['made']!r}, which is no time")
            return cls(about["made"], entries, key, data)
        except FormatError as error:
            raise FormatError(f"{where}: {error}") from error
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise FormatError(f"{where} is no manifest of an archive: {error}") from error

    @classmethod
    def load(cls, root: Path) -> Self | None:
        """Read the manifest that an archive keeps; ``None`` when it keeps none.

        Raises
        ------
        FormatError
            When it is damaged.
        """
        path = manifest_path(root)
        try:
            return cls.parse(path.read_bytes(), path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error.strerror or error}") from error

    def save(self, root: Path) -> None:
        """Keep this manifest with an archive, in one step.

        Raises
        ------
        StorageError
            When the disk refuses.
        """
        with replacing(manifest_path(root), sync=True) as partial:
            partial.write_bytes(self.data)


def manifest_path(root: Path) -> Path:
    """Return where an archive keeps its manifest."""
    return root / STATE / _NAME


def _entry(line: str) -> Entry:
    match = _LINE.fullmatch(line)
    if match is None:
        raise FormatError(f"{line[:200]!r} is no line of a manifest")
    sha256, size, path = match.groups()
    names = path.split("/")
    harmful = any(name.startswith(".") or not name or name.endswith(PARTIAL_SUFFIX) for name in names)
    own = path != ACCESS_NAME and names[0] in OWN_NAMES
    if harmful or own or not path.isprintable() or "\\" in path:
        raise FormatError(f"{path[:200]!r} is no place for a file of an archive")
    return Entry(path, int(size), sha256)
