"""Fetch records into an archive, piece by piece; what is done or is not to be had is not asked for again."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from kaname.archive.fetch_http import PartialError
from kaname.archive.lock import exclusive
from kaname.archive.refresh import Progress, silent
from kaname.archive.store import Archive
from kaname.core.errors import FormatError, InputError, KanameError, StorageError
from kaname.core.jobs import JobStore
from kaname.core.tables import Column, Schema, table
from kaname.formats.miniseed import describe_faults
from kaname.formats.miniseed_records import scan_records

STORE_NAME = ".kaname-fetch.sqlite"
LOCK_NAME = ".kaname-fetch.lock"
_FOLDER = ".kaname-fetch-"
_BATCH_BYTES = 64 << 20
_BATCH_FILES = 500

FETCHED = Schema(
    "fetched",
    "What was asked for and what came.",
    (
        Column("subject", "string", "what was asked for", required=True),
        Column("outcome", "string", "what came", required=True, choices=("data", "nodata")),
        Column("n_byte", "int", "bytes that came", low=0),
    ),
)


@dataclass(frozen=True)
class Piece:
    """One request: what of it names it for people, what names it for ever, and how to get it."""

    name: str
    key: str
    """Depends on source, channels and times, so that it is known again in the next run."""
    get: Callable[[Path], Path | None] = field(compare=False)
    """Writes a file of records into the folder given and returns it; ``None``: there is no data."""


@dataclass
class FetchReport:
    """What a run did."""

    n_piece: int = 0
    n_before: int = 0
    """Pieces that an earlier run has settled."""
    n_data: int = 0
    n_nodata: int = 0
    n_byte: int = 0
    n_stored: int = 0
    """Samples that the archive did not have."""
    failures: list[dict[str, Any]] = field(default_factory=list)
    """Rows of `kaname.core.tables.FAILURES`; these pieces are asked for again by the next run."""

    def fail(self, subject: str, error: Exception) -> None:
        """Add a failure."""
        kind = type(error).__name__
        self.failures.append({"step": "fetch", "subject": subject, "error": kind, "message": str(error)})


def fetch(
    pieces: Sequence[Piece],
    archive: Archive,
    *,
    threads: int = 4,
    again: bool = False,
    progress: Progress = silent,
) -> FetchReport:
    """Get pieces, several at a time, and add them to an archive.

    A piece is settled when the archive has it, or when the source has no data. That is noted in the archive's
    folder, and a run that was cut off is taken up by the same call.

    Parameters
    ----------
    pieces
        What to get.
    archive
        Where to; made when absent.
    threads
        Requests at a time.
    again
        Ask again for what the source had no data of.
    progress
        Shows how many pieces are settled.

    Raises
    ------
    InputError
        For fewer than one thread.
    StorageError
        When the disk refuses, another process holds the archive, or one fetches into it.
    """
    if threads < 1:
        raise InputError(f"threads must be at least 1, found {threads}")
    report = FetchReport(n_piece=len(pieces))
    try:
        archive.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make {archive.path}: {error.strerror or error}") from error
    with (
        exclusive(archive.path / LOCK_NAME, wait_s=0.0),
        JobStore(archive.path / STORE_NAME) as store,
        tempfile.TemporaryDirectory(prefix=_FOLDER, dir=archive.path) as folder,
        progress("Fetch", len(pieces)) as advance,
    ):
        for left in set(archive.path.glob(f"{_FOLDER}*")) - {Path(folder)}:
            shutil.rmtree(left)  # by a run that was killed; no other one is going on
        wanted = [p for p in pieces if not _settled(store, p, again)]
        report.n_before = len(pieces) - len(wanted)
        advance(report.n_before)
        batch: list[tuple[Piece, Path]] = []
        for piece, result in _results(wanted, threads, Path(folder)):
            if isinstance(result, KanameError):
                report.fail(piece.name, result)
            elif result is None:
                report.n_nodata += 1
                _settle(store, piece, "nodata", 0)
            else:
                batch.append((piece, result))
            if len(batch) >= _BATCH_FILES or sum(f.stat().st_size for _, f in batch) >= _BATCH_BYTES:
                _add(batch, archive, store, report)
            advance(1)
        _add(batch, archive, store, report)
    return report


def _settled(store: JobStore, piece: Piece, again: bool) -> bool:
    known = store.get(piece.key)
    return known is not None and not (again and known["fetched"]["outcome"].iloc[0] == "nodata")


def _settle(store: JobStore, piece: Piece, outcome: Literal["data", "nodata"], n_byte: int) -> None:
    row = {"subject": piece.name, "outcome": outcome, "n_byte": n_byte}
    store.put(piece.key, {"fetched": table([row], FETCHED)})


def _results(
    pieces: Sequence[Piece], threads: int, folder: Path
) -> Iterator[tuple[Piece, Path | KanameError | None]]:
    queue = list(reversed(pieces))
    running: dict[Future[Path | None], Piece] = {}
    with ThreadPoolExecutor(threads) as pool:
        try:
            while queue or running:
                while queue and len(running) < 2 * threads:
                    piece = queue.pop()
                    running[pool.submit(piece.get, folder)] = piece
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    piece = running.pop(future)
                    try:
                        yield piece, future.result()
                    except KanameError as error:
                        yield piece, error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _add(batch: list[tuple[Piece, Path]], archive: Archive, store: JobStore, report: FetchReport) -> None:
    """Add what has come to the archive, and only then note it as settled."""
    if not batch:
        return
    added = archive.add([path for _, path in batch])
    report.n_stored += added.n_stored
    names = {str(path): piece.name for piece, path in batch}
    unread = {row["subject"] for row in added.failures if row["error"] in _NOT_ADDED}
    for row in added.failures:
        subject = names.get(row["subject"], row["subject"])
        report.failures.append({**row, "step": "fetch", "subject": subject})
    for piece, path in batch:
        size = path.stat().st_size
        path.unlink()
        if str(path) not in unread:
            report.n_data += 1
            report.n_byte += size
            _settle(store, piece, "data", size)
    batch.clear()


_NOT_ADDED = (FormatError.__name__, StorageError.__name__, InputError.__name__)


def check_miniseed(content: bytes) -> None:
    """Raise `PartialError` unless the bytes are whole miniSEED records and nothing else.

    An answer that ends between two records cannot be told from a whole one by its bytes.
    """
    records = scan_records(content)
    fault = next(describe_faults(records), None)
    if fault or not len(records.table):
        raise PartialError(fault or f"no miniSEED record in {len(content)} bytes")


def days(
    start: np.datetime64, end: np.datetime64, hours: float
) -> Iterator[tuple[np.datetime64, np.datetime64]]:
    """Yield the time from start to end in pieces of so many hours, counted from midnight UTC."""
    if not start < end:
        raise InputError(f"empty time range: {start} to {end}")
    if not hours > 0:
        raise InputError(f"hours must be positive, found {hours}")
    step = np.timedelta64(round(hours * 3600e9), "ns")
    low = start.astype("datetime64[D]").astype("datetime64[ns]")
    while low < end:
        if low + step > start:
            yield max(low, start), min(low + step, end)
        low = low + step


def write_new(folder: Path, key: str, content: Iterable[bytes], ending: str = ".mseed") -> Path:
    """Write a piece into the folder of a run and return the file."""
    path = folder / f"{key}{ending}"
    try:
        with path.open("wb") as file:
            file.writelines(content)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error
    return path
