"""Conversion of many files: where each goes, what is done already, and the tables that tell of it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

import kaname
from kaname.archive.importing import sources
from kaname.archive.records import stamp_of
from kaname.archive.store import Archive
from kaname.core.errors import InputError, KanameError
from kaname.core.execution import Task, execute
from kaname.core.jobs import JobStore, TaskOutput
from kaname.core.progress import progress
from kaname.core.provenance import digest, inputs_of, software, write_json
from kaname.core.tables import FAILURES, concat, table
from kaname.formats.conversion import CONVERTED, TARGETS, Wish, convert_file, read_named
from kaname.formats.proof import PROOFS, faults, prove_waveforms
from kaname.formats.writing import FORMATS

SDS = "sds"
STORE_NAME = ".kaname-convert.sqlite"


def convert(data: Sequence[Path], out: Path, wish: Wish, *, workers: int) -> dict[str, pd.DataFrame]:
    """Convert files, and folders for all below them; return ``converted``, ``proofs`` and ``failures``.

    What an earlier run has finished, and is still as it left it, is not done again.

    Raises
    ------
    NotFoundError
        When a path names nothing.
    InputError
        When the target is unknown.
    """
    if wish.to not in (SDS, *TARGETS):
        raise InputError(f"no format {wish.to!r} to write; known are {SDS}, {', '.join(TARGETS)}")
    started = datetime.now(UTC)
    files = sources(data)
    outputs = [_into_archive(files, out, wish)] if wish.to == SDS else _one_by_one(data, out, wish, workers)
    found = {
        name: concat((o[name] for o in outputs if name in o), schema)
        for name, schema in (("converted", CONVERTED), ("proofs", PROOFS), ("failures", FAILURES))
    }
    write_json(
        out / "run.json",
        {
            "command": sys.argv,
            "started": started.isoformat(timespec="seconds"),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "software": software(),
            "configuration": asdict(wish),
            "inputs": inputs_of(files),
            "summary": {name: len(frame) for name, frame in found.items()},
        },
    )
    return found


def _one_by_one(data: Sequence[Path], out: Path, wish: Wish, workers: int) -> list[TaskOutput]:
    refused = []
    tasks = []
    told = (*wish.channels, *([] if wish.declaration is None else [wish.declaration]))
    run_key = ("convert", kaname.__version__, asdict(wish), [stamp_of(path) for path in told])
    taken: dict[Path, Path] = {}
    for source, stem in _places(data, out):
        if stem in taken:
            message = f"would be written to {stem} as {taken[stem]} is; convert them to different folders"
            refused.append(
                {"step": "convert", "subject": str(source), "error": "InputError", "message": message}
            )
            continue
        taken[stem] = source
        key = digest(*run_key, str(source), stamp_of(source), str(stem))
        tasks.append(Task(key, str(source), (source, stem, wish)))
    outputs: list[TaskOutput] = [{"failures": table(refused, FAILURES)}]
    with JobStore(out / STORE_NAME) as store:
        for task in tasks:
            earlier = store.get(task.key)
            if earlier is not None and not _still_there(earlier):
                store.forget(task.key)
        runs = execute(convert_file, tasks, label="Convert", workers=workers, store=store)
        done = {task.key: output for task, output in runs}
    return outputs + [done[task.key] for task in tasks]


def _places(data: Sequence[Path], out: Path) -> list[tuple[Path, Path]]:
    """Return each file and where it goes: below a folder that was named, it keeps its place in it."""
    places: dict[Path, Path] = {}
    for argument in map(Path, data):
        for source in sources([argument]):
            inside = source.relative_to(argument) if argument.is_dir() else Path(source.name)
            name = inside.with_suffix("") if inside.suffix.lower() in _DROPPED else inside
            places.setdefault(source, out / name)
    return sorted(places.items())


_DROPPED = {form.ending for form in FORMATS.values()} | {
    *(".sac", ".seed", ".msd", ".ms", ".xml", ".quakeml", ".csv", ".parquet", ".out", ".txt", ".hyp"),
    *(".win", ".win32", ".cnt", ".ch", ".gz", ".bz2", ".xz"),
}
"""Endings that say the format and have no place in the name of a file of another."""


def _still_there(output: TaskOutput) -> bool:
    rows = output["converted"]
    return all(
        Path(path).is_file() and Path(path).stat().st_size == size
        for path, size in zip(rows["output"], rows["size"])
    )


def _into_archive(files: Sequence[Path], out: Path, wish: Wish) -> TaskOutput:
    """Add files to an archive, which is an SDS folder with an index."""
    if wish.start is not None or wish.end is not None:
        raise InputError("sds takes whole files; cut with: kaname archive read --start --end --out")
    written: list[dict[str, Any]] = []
    proofs: list[dict[str, Any]] = []
    with Archive(out) as archive:
        report = archive.add(files, network=wish.network, channels=wish.channels, progress=progress)
        failures = list(report.failures)
        for path in sorted(report.day_files):
            size = (out / path).stat().st_size
            row = {
                "subject": "all",
                "output": str(out / path),
                "kind": "waveforms",
                "n_item": 1,
                "size": size,
            }
            written.append(row)
        if wish.prove:
            with progress("Prove", len(files)) as advance:
                for source in files:
                    with suppress(KanameError):  # what cannot be read is a failure of the import already
                        rows = _prove_archived(source, archive, wish)
                        proofs += [{**row, "subject": str(source), "output": str(out)} for row in rows]
                        failures += faults(rows, str(source), str(out))
                    advance(1)
    return {
        "converted": table(written, CONVERTED),
        "proofs": table(proofs, PROOFS),
        "failures": table(failures, FAILURES),
    }


def _prove_archived(source: Path, archive: Archive, wish: Wish) -> list[dict[str, Any]]:
    blocks, _ = read_named(source, wish)
    back = [p for b in blocks for p in archive.read(b.ids[0], b.start, b.following).blocks]
    return prove_waveforms(blocks, back, FORMATS["miniseed2"])
