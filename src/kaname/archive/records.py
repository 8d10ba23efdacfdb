"""Records wherever they lie: single files, directories, globs and archives, as one thing to read from."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from kaname.archive.store import Archive, is_archive
from kaname.core.errors import KanameError, NotFoundError, StorageError
from kaname.core.execution import Task, execute
from kaname.core.jobs import JobStore, TaskOutput
from kaname.core.provenance import digest
from kaname.core.tables import FAILURES, Column, Schema, concat, table, validate
from kaname.core.waveform import Waveform
from kaname.formats.contract import HEAD_BYTES, WaveformRead, read_waveforms, readers
from kaname.formats.miniseed import describe_faults
from kaname.formats.miniseed_records import scan_records
from kaname.formats.miniseed_sections import sections
from kaname.formats.overlaps import resolve_overlaps

SPANS = Schema(
    "spans",
    "Gap-free stretches of records and where they lie.",
    (
        Column("id", "string", "SEED identifier of the channel", required=True),
        Column("start", "time", "first sample", required=True),
        Column("end", "time", "when a contiguous next sample would be due", required=True),
        Column("sampling_rate", "float", "samples per second", "Hz", required=True),
        Column("path", "string", "file or archive", required=True),
        Column("stamp", "string", "size and modification time of the file, or state of the archive"),
    ),
)


def resolve_paths(data: Iterable[str | Path]) -> tuple[list[Path], list[Path]]:
    """Tell the files and the archives that arguments name.

    A directory that is an archive is taken as one; any other directory stands for all files below it, hidden
    ones left out; a name with ``*``, ``?`` or ``[`` that does not exist is a glob.

    Returns
    -------
    files, archives
        Sorted, without repeats.

    Raises
    ------
    NotFoundError
        When an argument names nothing.
    """
    files: set[Path] = set()
    archives: set[Path] = set()
    for argument in data:
        path = Path(argument)
        if path.exists():
            found = [path]
        else:
            found = [Path(name) for name in glob.glob(str(argument), recursive=True)]  # noqa: PTH207
        if not found:
            raise NotFoundError(f"no such file, directory or archive: {argument}")
        for each in found:
            if is_archive(each):
                archives.add(each)
            elif each.is_dir():
                files.update(_below(each))
            else:
                files.add(each)
    return sorted(files), sorted(archives)


def _below(folder: Path) -> Iterable[Path]:
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        # A link that leads nowhere is a file that cannot be read, and is listed as such.
        if not hidden and (path.is_file() or (path.is_symlink() and not path.exists())):
            yield path


def survey_file(path: Path) -> TaskOutput:
    """Return the ``spans`` of one file, and the ``failures`` of what in it cannot be read.

    Of miniSEED only the record headers are read; other formats are read whole.

    Raises
    ------
    StorageError
        When the system refuses to read the file.
    """
    read = WaveformRead()
    spans: list[tuple[str, np.datetime64, np.datetime64, float]] = []
    try:
        records = scan_records(path) if _is_miniseed(path) else None
        if records is None:
            read = read_waveforms(path)
            spans = [(b.ids[0], b.start, b.following, b.sampling_rate) for b in read.blocks]
        else:
            spans = [(s.id, s.start, s.following, s.sampling_rate) for s in sections(records)]
            for message in describe_faults(records):
                read.fail(path, message)
    except OSError as error:  # it may be readable by the next run: no finished work
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
    except KanameError as error:
        read.fail(path, error)
    stamp = stamp_of(path)
    rows = [{**dict(zip(SPANS.names, span)), "path": str(path), "stamp": stamp} for span in spans]
    return {"spans": table(rows, SPANS), "failures": table(read.failures, FAILURES)}


def survey_archive(path: Path) -> TaskOutput:
    """Return the ``spans`` of an archive, and its ``failures``, from its index: no record is touched."""
    with Archive(path) as archive:
        spans = archive.spans().rename(columns={"sampling_rate_hz": "sampling_rate"})
        faults = archive.faults()
    stamped = spans.assign(path=str(path), stamp=spans["checksum"].astype(str))
    return {
        "spans": validate(stamped[list(SPANS.names)], SPANS),
        "failures": table(faults, FAILURES),
    }


def _is_miniseed(path: Path) -> bool:
    with path.open("rb") as file:
        return readers()["miniseed"].sniff(file.read(HEAD_BYTES), path)


def stamp_of(path: Path) -> str:
    """Return what changes when a file does: its size and modification time; empty when there are none."""
    try:
        stat = path.stat()
    except OSError:
        return ""  # a link that leads nowhere; reading it says what is wrong
    return f"{stat.st_size}:{stat.st_mtime_ns}"


@dataclass(frozen=True, eq=False)
class Records:
    """Continuous waveforms in any files and archives, read by channel and time."""

    spans: pd.DataFrame
    """What there is and where: `SPANS`."""

    def part(self, ids: Sequence[str], start: np.datetime64, end: np.datetime64) -> Records:
        """Return the records of some channels that touch a stretch of time: little to send to a worker."""
        spans = self.spans
        return Records(spans[spans["id"].isin(ids) & (spans["end"] > start) & (spans["start"] < end)])

    @classmethod
    def survey(
        cls,
        data: Iterable[str | Path],
        *,
        workers: int = 1,
        cluster: str | None = None,
        store: JobStore | None = None,
    ) -> tuple[Records, pd.DataFrame]:
        """Look through files, directories, globs and archives; return the records and the failures.

        Parameters
        ----------
        data
            See `resolve_paths`.
        workers, cluster, store
            See `kaname.core.execution.execute`; with a store, files that have not changed since are not
            looked through again.

        Raises
        ------
        NotFoundError
            When an argument names nothing.
        """
        files, archives = resolve_paths(data)
        tasks = [Task(digest("survey", str(f), stamp_of(f)), str(f), (f,)) for f in files]
        outputs = [survey_archive(a) for a in archives]
        outputs.extend(
            output
            for _, output in execute(
                survey_file, tasks, label="Survey", workers=workers, cluster=cluster, store=store
            )
        )
        spans = concat((o["spans"] for o in outputs if "spans" in o), SPANS)
        order = ["id", "start", "path"]
        failures = concat((o["failures"] for o in outputs), FAILURES)
        return cls(spans.sort_values(order, ignore_index=True)), failures

    @property
    def fingerprint(self) -> str:
        """Hash of which data there is: files with size and modification time, channels and times."""
        return digest(self.spans.astype(str).to_dict("split")["data"])

    def read(self, ids: Sequence[str], start: np.datetime64, end: np.datetime64) -> WaveformRead:
        """Return the blocks of channels with ``start <= time < end``, and what could not be read.

        Blocks hold one channel each, do not overlap, and are in order of time; where two files disagree the
        one that starts earlier is kept and a failure names the span.
        """
        out = WaveformRead()
        wanted = self.part(ids, start, end).spans
        blocks: list[Waveform] = []
        for path in sorted(set(wanted["path"])):
            try:
                read = _read(Path(path), ids, start, end)
            except KanameError as error:
                out.fail(Path(path), error, start=start, end=end)
                continue
            blocks.extend(b for b in read.blocks if b.ids[0] in ids)
            out.failures.extend(read.failures)
        blocks.sort(key=lambda b: (b.ids[0], b.start, -b.n_sample))
        out.blocks, overlaps = resolve_overlaps(blocks)
        out.failures.extend(
            {"step": "read", "subject": row["message"].split(":")[0], **row} for row in overlaps
        )
        return out


def _read(path: Path, ids: Sequence[str], start: np.datetime64, end: np.datetime64) -> WaveformRead:
    if is_archive(path):
        with Archive(path) as archive:
            return archive.read(ids, start, end)
    return read_waveforms(path, start=start, end=end)
