"""OpenQuake in an interpreter of its own.

OpenQuake needs older numpy and pandas than Kaname and brings a hundred packages; so it lives in an
environment by itself, and Kaname talks to it through pipes. Which interpreter that is, the option ``python``
says, or the environment variable ``KANAME_OPENQUAKE_PYTHON``; else it is this one, if OpenQuake is here.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import subprocess
import sys
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kaname.core.errors import KanameError, MissingDependencyError

VARIABLE = "KANAME_OPENQUAKE_PYTHON"


class OpenQuakeError(KanameError):
    """OpenQuake could not do what it was asked; the message is its own."""


def interpreter(python: str | Path | None = None) -> Path:
    """Return the Python that has OpenQuake.

    Raises
    ------
    MissingDependencyError
        When none is named and this one has no OpenQuake, or the named one is not there.
    """
    named = python or os.environ.get(VARIABLE)
    if named:
        path = Path(named)
        if not path.is_file():
            raise MissingDependencyError(
                f"no Python at {path}, where {VARIABLE} or python= says OpenQuake is"
            )
        return path
    try:
        here = importlib.util.find_spec("openquake.hazardlib") is not None
    except ModuleNotFoundError:
        here = False
    if here:
        return Path(sys.executable)
    raise MissingDependencyError(
        "OpenQuake is not installed here; make it an environment of its own (python -m venv DIR, DIR/bin/pip "
        f"install openquake-engine; docs/hazard.md) and name its Python in {VARIABLE} or python="
    )


class Worker:
    """A process of OpenQuake's interpreter that answers requests until it is closed or forgotten."""

    def __init__(self, python: str | Path | None = None) -> None:
        self.python = interpreter(python)
        # OpenQuake writes to the home folder and to a database unless it is told not to.
        environment = {
            **os.environ,
            "OQ_DATABASE": "127.0.0.1",
            "OQ_DISTRIBUTE": "no",
            "PYTHONNOUSERSITE": "1",
        }
        environment.pop("PYTHONPATH", None)
        self._process = subprocess.Popen(
            [str(self.python), str(Path(__file__).parent / "worker.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        )
        self._log = _Tail(self._process)
        self.close = weakref.finalize(self, _end, self._process)

    @property
    def alive(self) -> bool:
        """Whether the process can still be asked."""
        return self._process.poll() is None

    def ask(
        self, action: str, arrays: dict[str, NDArray[Any]] | None = None, **message: Any
    ) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the message and the arrays that answer a request.

        Raises
        ------
        OpenQuakeError
            With what OpenQuake said went wrong.
        MissingDependencyError
            When its interpreter lacks a module.
        """
        buffer = io.BytesIO()
        entries: dict[str, Any] = {**(arrays or {}), "message": json.dumps({"action": action, **message})}
        np.savez(buffer, **entries)
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        try:
            stdin.write(len(buffer.getvalue()).to_bytes(8, "big") + buffer.getvalue())
            stdin.flush()
            n_byte = int.from_bytes(stdout.read(8), "big")
            body = stdout.read(n_byte)
        except BrokenPipeError:
            n_byte, body = 0, b""
        if not body or len(body) < n_byte:
            status = self._process.wait()
            said = self._log.text()
            if "ModuleNotFoundError" in said:
                raise MissingDependencyError(
                    f"{self.python} is not the Python of an OpenQuake that works ({said.splitlines()[-1]}); "
                    f"name the right one in {VARIABLE} or python="
                )
            raise OpenQuakeError(f"OpenQuake's process ended with status {status}:\n{said}")
        with np.load(io.BytesIO(body)) as archive:
            answer = json.loads(str(archive["message"]))
            found = {name: archive[name] for name in archive.files if name != "message"}
        if "error" in answer:
            raise OpenQuakeError(f"OpenQuake, asked to {action}: {answer['error']}")
        return answer, found


class _Tail:
    """The last lines that a process wrote to stderr, taken off so that its pipe never fills."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        from collections import deque
        from threading import Thread

        self._lines: deque[bytes] = deque(maxlen=30)
        stderr = process.stderr
        assert stderr is not None
        self._thread = Thread(target=lambda: self._lines.extend(stderr), daemon=True)
        self._thread.start()

    def text(self) -> str:
        self._thread.join(timeout=5)
        return b"".join(self._lines).decode(errors="replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        with suppress(BrokenPipeError):  # it has ended before
            process.stdin.close()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
