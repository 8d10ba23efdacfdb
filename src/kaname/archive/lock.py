"""One process at a time changes an archive."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kaname.core.errors import StorageError


@contextmanager
def exclusive(path: Path, *, wait_s: float) -> Iterator[None]:
    """Hold the right to change an archive; the system lets go of it when the process ends, however it does.

    Raises
    ------
    StorageError
        When another process still holds it after `wait_s` seconds.
    """
    try:
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise StorageError(f"cannot write in {path.parent}: {error.strerror or error}") from error
    with file:
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    file.seek(0)
                    holder = file.read().strip() or "unknown"
                    raise StorageError(
                        f"{path.parent} is being changed by another process ({holder}) and still was after "
                        f"{wait_s:g} s; try again when it has finished"
                    ) from None
                time.sleep(0.05)
        file.truncate(0)
        file.write(f"process {os.getpid()}")
        file.flush()
        yield
