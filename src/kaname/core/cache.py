"""Where Kaname keeps what it can compute again, such as travel-time tables."""

from __future__ import annotations

import os
from pathlib import Path

from kaname.core.errors import StorageError


def cache_folder() -> Path:
    """Return the cache folder, made if need be.

    ``KANAME_CACHE`` names it; otherwise it is ``kaname`` in ``XDG_CACHE_HOME`` or in ``~/.cache``.

    Raises
    ------
    StorageError
        When it cannot be made.
    """
    named = os.environ.get("KANAME_CACHE")
    folder = Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "kaname"
    try:
        folder = folder.expanduser()
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:
        raise StorageError(
            f"cannot make the cache folder {folder}: {error}; name another in KANAME_CACHE"
        ) from error
    return folder
