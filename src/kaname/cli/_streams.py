"""What the verbs share that pass whole records through a step: read day by day, one task per sensor."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from kaname.archive.layout import day_file, split_days
from kaname.archive.records import Records
from kaname.archive.store import INDEX_NAME, is_archive
from kaname.automation.denoise import Denoiser, DenoiserSettings
from kaname.automation.detect import Detector, DetectorSettings, detections_table
from kaname.cli._steps import finish
from kaname.core import tables
from kaname.core.errors import InputError, NotFoundError
from kaname.core.execution import Engine, Task
from kaname.core.jobs import TaskOutput
from kaname.core.provenance import digest, inputs_of, software, write_json
from kaname.core.step import Step
from kaname.core.tables import Column, Schema
from kaname.core.time import as_time
from kaname.core.waveform import Waveform, align, join, sensor_of
from kaname.formats.miniseed import write_miniseed
from kaname.learn.engine.session import weights

WithWeights = DenoiserSettings | DetectorSettings

FILES = Schema(
    "files",
    "Files of waveforms that were written.",
    (
        Column("id", "string", "SEED identifier of the channel", required=True),
        Column("start", "time", "first sample", required=True),
        Column("end", "time", "last sample", required=True),
        Column("n_block", "int", "gap-free blocks in the file", required=True),
        Column("n_sample", "int", "samples in the file", required=True),
        Column("path", "string", "where it is, below the folder of results", required=True),
    ),
)

SensorFunction = Callable[[Records, tuple[str, ...], np.datetime64, np.datetime64, Any, Path], TaskOutput]


def run_sensors(
    function: SensorFunction,
    data: Sequence[str],
    out: Path,
    settings: WithWeights,
    schemas: Mapping[str, Schema],
    *,
    start: str | None,
    end: str | None,
    workers: int,
    as_json: bool,
    label: str,
) -> None:
    """Run a function on every sensor of some data and write its tables, ``failures`` and ``run.json``.

    Raises
    ------
    NotFoundError
        When there are no records in the time wanted.
    """
    started = datetime.now(UTC)
    records, unread = Records.survey(data, workers=workers)
    spans = records.spans
    low = as_time(start) if start else None
    high = as_time(end) if end else None
    if low is not None and high is not None and low >= high:
        raise InputError(f"the time wanted is empty: start {start} is not before end {end}")
    tasks = []
    for sensor, own in spans.groupby(spans["id"].map(sensor_of)):
        first = max(own["start"].min().to_datetime64(), low or np.datetime64("1678-01-01", "ns"))
        last = min(own["end"].max().to_datetime64(), high or np.datetime64("2262-01-01", "ns"))
        if first < last:
            ids = tuple(sorted(set(own["id"])))
            key = digest(label, sensor, str(first), str(last))
            part = records.part(ids, first, last)
            tasks.append(Task(key, str(sensor), (part, ids, first, last, settings, out)))
    if not tasks and unread.empty:
        raise NotFoundError("no usable records in the time wanted")
    outputs = Engine(workers).run(function, tasks, label)
    written = {
        name: (tables.concat((o[name] for o in outputs if name in o), schema), schema)
        for name, schema in schemas.items()
    }
    failures = tables.concat([unread, *(o["failures"] for o in outputs if "failures" in o)], tables.FAILURES)
    files = [Path(p) for p in set(spans["path"])]
    write_json(
        out / "run.json",
        {
            "command": sys.argv,
            "started": started.isoformat(timespec="seconds"),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "software": software(),
            "configuration": settings.model_dump(mode="json"),
            "weights": inputs_of([weights(settings.weights)]),
            "limits": {"start": start or "", "end": end or ""},
            "inputs": inputs_of([f / INDEX_NAME if is_archive(f) else f for f in files]),
            "summary": {name: len(frame) for name, (frame, _) in written.items()},
        },
    )
    finish(out, written, failures, as_json=as_json)


def stream(
    step: Step[Any, Waveform, Any],
    records: Records,
    ids: tuple[str, ...],
    start: np.datetime64,
    end: np.datetime64,
    failures: list[dict[str, Any]],
) -> Iterator[Any]:
    """Pass a sensor's records through a step, a day at a time, each sampling rate on its own, and yield.

    What cannot be read, or is refused by the step, becomes a row of ``failures``.
    """
    states: dict[float, Any] = {}
    refused: set[float] = set()
    day = start
    while day < end:
        after = min((day.astype("datetime64[D]") + 1).astype("datetime64[ns]"), end)
        read = records.read(ids, day, after)
        failures.extend(read.failures)
        for block in align(read.blocks):
            rate = round(block.sampling_rate, 2)
            if rate in refused:
                continue
            try:
                state = states[rate] if rate in states else step.start()
                states[rate], output = step(state, block)
            except InputError as error:
                refused.add(rate)
                failures.append(
                    {
                        "step": "run",
                        "subject": block.sensor,
                        "error": "InputError",
                        "message": str(error),
                        "start": block.start,
                        "end": end,
                    }
                )
                continue
            yield from output
        day = after
    for state in states.values():
        yield from step.finish(state)


def denoise_sensor(
    records: Records,
    ids: tuple[str, ...],
    start: np.datetime64,
    end: np.datetime64,
    settings: DenoiserSettings,
    out: Path,
) -> TaskOutput:
    """Denoise the records of one sensor into files; return ``files`` and ``failures``."""
    denoiser = Denoiser(settings)
    failures: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    held: dict[tuple[np.datetime64, float], list[Waveform]] = {}
    for block in stream(denoiser, records, ids, start, end, failures):
        for day, part in split_days(block):
            key = (day, part.sampling_rate)
            # Of one rate, blocks come in order of time: an earlier day is complete.
            for old in [k for k in held if k[1] == key[1] and k[0] < day]:
                rows += _write(held.pop(old), out, old[0], rows)
            held.setdefault(key, []).append(part)
    for key in sorted(held):
        rows += _write(held[key], out, key[0], rows)
    return {"files": tables.table(rows, FILES), "failures": tables.table(failures, tables.FAILURES)}


def detect_sensor(
    records: Records,
    ids: tuple[str, ...],
    start: np.datetime64,
    end: np.datetime64,
    settings: DetectorSettings,
    out: Path,
) -> TaskOutput:
    """Detect on the records of one sensor; return ``detections`` and ``failures``."""
    detector = Detector(settings)
    failures: list[dict[str, Any]] = []
    found = detections_table(stream(detector, records, ids, start, end, failures))
    return {"detections": found, "failures": tables.table(failures, tables.FAILURES)}


def _write(
    blocks: list[Waveform], out: Path, day: np.datetime64, before: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Write the channels of one day, a file each; a second rate of the same day gets a name of its own."""
    rows = []
    taken = {row["path"] for row in before}
    for identifier in sorted({i for b in blocks for i in b.ids}):
        own = join([b.select([identifier]) for b in blocks if identifier in b.ids])
        path = Path("waveforms") / day_file(identifier, day)
        if str(path) in taken:
            path = path.with_name(f"{path.name}.{own[0].sampling_rate:g}Hz.mseed")
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        write_miniseed(own, out / path)
        rows.append(
            {
                "id": identifier,
                "start": own[0].start,
                "end": own[-1].end,
                "n_block": len(own),
                "n_sample": sum(b.n_sample for b in own),
                "path": str(path),
            }
        )
    return rows
