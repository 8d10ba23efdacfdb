"""Tasks for the tests of execution: other processes must be able to import them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pandas as pd

from kaname.core.errors import FormatError


def square(number: int, log: Path | None = None) -> dict[str, pd.DataFrame]:
    """Return a table that depends on the argument; note the call in a folder."""
    if log is not None:
        (log / f"{number}.{time.monotonic_ns()}").touch()
    return {"numbers": pd.DataFrame({"number": [number], "square": [number**2]})}


def moody(number: int, how: str) -> dict[str, pd.DataFrame]:
    """Do as `square` does, or fail in one of several ways."""
    if how == "ours":
        raise FormatError(f"file {number} is empty")
    if how == "defect":
        return {"numbers": pd.DataFrame({"number": [1 // (number - number)]})}
    if how == "exit":
        os._exit(3)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    return square(number)


def needs_file(number: int, file: Path) -> dict[str, pd.DataFrame]:
    """Fail until a file exists."""
    if not file.exists():
        raise FormatError(f"{file} is missing")
    return square(number)
