"""Files that are whole or not there: written beside their place, then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EDQUOT, ENOSPC
from pathlib import Path

from kaname.core.errors import StorageError


@contextmanager
def replacing(path: str | os.PathLike[str], *, sync: bool = False) -> Iterator[Path]:
    """Give the path of a file to write in the block; it takes the place of ``path`` when the block ends.

    Whatever goes wrong, the file that stood there stays untouched and nothing is left lying beside it. The
    folder is made when absent.

    Parameters
    ----------
    path
        Where the file is to be.
    sync
        Write through to the disk before the rename, so that a machine that stops loses nothing.

    Raises
    ------
    StorageError
        When the disk refuses.
    """
    target = Path(path)
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        if sync:
            with partial.open("rb") as file:
                os.fsync(file.fileno())
        partial.replace(target)
    except StorageError:
        raise
    except OSError as error:
        hint = "free some space" if error.errno in (ENOSPC, EDQUOT) else "choose another place"
        raise StorageError(f"cannot write {target}: {error.strerror or error}; {hint}") from error
    finally:
        with suppress(OSError):  # the first error is the one to tell of
            partial.unlink()
