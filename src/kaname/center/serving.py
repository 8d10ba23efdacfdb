"""Run a data centre: worker processes on one port, and the index kept up to date."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.supervisors import Multiprocess

from kaname.archive.access import Access
from kaname.archive.store import Archive
from kaname.center.app import Center
from kaname.center.connection import Connection
from kaname.center.holdings import Holdings
from kaname.center.settings import Settings
from kaname.center.workers import Shared
from kaname.core.errors import KanameError, StorageError

log = logging.getLogger("kaname.center")

SEEDLINK_STATE = ".seedlink"
"""Folder in the archive, hidden from its index, where the SeedLink server keeps its ring by default."""
MOST_WORKERS = 8
"""More worker processes than these are for who asks for them: each keeps stations and index in memory."""


def application(
    archive: Path, stations: Sequence[Path], events: Sequence[Path], settings: Settings, shared: Shared
) -> Starlette:
    """Return the application of one worker process."""
    holdings = Holdings(archive, stations=stations, events=events, settings=settings)
    return Center(holdings, shared=shared).application()


def bind(host: str, port: int) -> Any:
    """Return a listening socket.

    Raises
    ------
    StorageError
        When the address is taken or not allowed.
    """
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen(2048)  # who connects before the workers are there waits
    except OSError as error:
        made.close()
        raise StorageError(f"cannot listen at {host}:{port}: {error.strerror or error}") from error
    made.set_inheritable(True)
    return made


def run(
    archive: Path,
    listening: Any,
    *,
    stations: Sequence[Path] = (),
    events: Sequence[Path] = (),
    settings: Settings | None = None,
    workers: int | None = None,
    seedlink: tuple[str, int] | None = None,
) -> None:
    """Serve until the process is told to stop.

    Parameters
    ----------
    archive
        Folder of the archive.
    listening
        Socket from `bind`.
    stations, events
        Files of stations and of events.
    settings
        Names and limits.
    workers
        Processes that answer; by default one for each core, at most `MOST_WORKERS`.
    seedlink
        Host and port of a SeedLink server, which follows the archive's files as they grow; none by default.

    Raises
    ------
    StorageError
        When the SeedLink server cannot listen or keep its ring.
    """
    settings = settings or Settings()
    workers = workers or min(MOST_WORKERS, _usable_cores())
    make = partial(application, archive, tuple(stations), tuple(events), settings, Shared())
    config = uvicorn.Config(
        make,
        factory=True,
        http=Connection,
        workers=workers,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=5,
        timeout_worker_healthcheck=60,  # to import everything takes a busy machine more than the usual 5 s
    )
    stop = threading.Event()
    keeper = threading.Thread(target=keep_index, args=(archive, settings.refresh_s, stop), daemon=True)
    if settings.refresh_s:
        keeper.start()
    try:
        with _seedlink(archive, settings, seedlink):
            if workers > 1:
                Multiprocess(config, sockets=[listening]).run()
            else:
                uvicorn.Server(config).run(sockets=[listening])
    finally:
        stop.set()
        if keeper.is_alive():
            keeper.join(timeout=5)


def _seedlink(
    archive: Path, settings: Settings, address: tuple[str, int] | None
) -> AbstractContextManager[object]:
    if address is None:
        return nullcontext()
    from kaname.center.seedlink import background

    state = Path(settings.seedlink_state) if settings.seedlink_state else archive / SEEDLINK_STATE
    try:
        state.mkdir(exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"the SeedLink server cannot keep its ring in {state}: {error.strerror or error}; name a folder "
            "that can be written with seedlink_state in the configuration (kaname config serve)"
        ) from error
    host, port = address
    return background(
        state,
        archive=Archive(archive),
        follow=[archive],
        access=Access.load(archive),
        host=host,
        port=port,
        organization=settings.name,
    )


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def keep_index(archive: Path, period_s: float, stop: threading.Event) -> None:
    """Bring the index up to date again and again until told to stop; failures are logged."""
    with Archive(archive) as own:
        while not stop.wait(period_s):
            try:
                for row in own.index(wait_s=1.0).failures:
                    log.warning("%s: %s", row["subject"], row["message"])
            except KanameError as error:
                log.error("the index could not be brought up to date: %s", error)
