"""What stands beside every output: version, configuration, inputs and their hashes, seed."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import kaname
from kaname.core.files import replacing

PACKAGES = ("numpy", "scipy", "numba", "pandas", "pyarrow", "obspy", "pymseed", "pyocto", "pyproj")
HASH_LIMIT_BYTES = 2_000_000_000


def digest(*parts: Any) -> str:
    """Return a short stable hash of values that JSON can write (others by their ``str``)."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def inputs_of(paths: Iterable[str | Path]) -> list[dict[str, Any]]:
    """Describe input files: path, size, and BLAKE2b of the content.

    Past `HASH_LIMIT_BYTES` in total, contents are not read again and the modification time stands in
    (``modified_ns``), which the record then shows.
    """
    files = sorted({Path(p) for p in paths})
    hashed = sum(f.stat().st_size for f in files) <= HASH_LIMIT_BYTES
    rows: list[dict[str, Any]] = []
    for file in files:
        row: dict[str, Any] = {"path": str(file), "size": file.stat().st_size}
        if hashed:
            with file.open("rb") as stream:
                row["blake2b"] = hashlib.file_digest(stream, "blake2b").hexdigest()[:32]
        else:
            row["modified_ns"] = file.stat().st_mtime_ns
        rows.append(row)
    return rows


def software() -> dict[str, str]:
    """Return the versions that a result may depend on."""
    found = {"kaname": kaname.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def write_json(path: str | Path, content: Any) -> Path:
    """Write JSON in one atomic rename.

    Raises
    ------
    StorageError
        When the disk refuses; the previous file, if any, is untouched.
    """
    target = Path(path)
    text = json.dumps(content, indent=2, default=str, ensure_ascii=False)
    with replacing(target) as partial:
        partial.write_text(text + "\n", encoding="utf-8")
    return target
