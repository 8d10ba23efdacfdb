"""Training sets in SeisBench's format, from records, a catalogue and stations."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

import kaname
from kaname.archive.dataset_metadata import metadata_row
from kaname.archive.dataset_windows import Window, WindowSettings, as_frame, choose_windows, spread_s
from kaname.archive.records import Records
from kaname.core.errors import InputError, KanameError, NotFoundError
from kaname.core.execution import Engine, Task
from kaname.core.jobs import JobStore, TaskOutput
from kaname.core.provenance import digest
from kaname.core.tables import FAILURES, concat, table
from kaname.core.waveform import Waveform
from kaname.evaluate.splits import (
    SAME_EVENT_S,
    Part,
    audit,
    split_by_event,
    split_by_period,
    split_by_station,
)
from kaname.formats.eventset import EventSet
from kaname.formats.seisbench_data import COMPONENTS, METADATA_NAME, WAVEFORMS_NAME, write_traces
from kaname.formats.stations import Stations

PARTS_NAME = ".parts"
STORE_NAME = ".kaname-dataset.sqlite"
_SEISBENCH: dict[Part, str] = {"train": "train", "validation": "dev", "test": "test"}
_TASK_WINDOWS = 64


class DatasetSettings(WindowSettings):
    """Configuration of ``kaname dataset build``."""

    split: Literal["event", "station", "time"] = Field(
        "event",
        description="what is never parted: events, stations (with all within 1 km), or periods of time",
    )
    least_complete: float = Field(
        1.0,
        ge=0,
        le=1,
        description="least share of the samples of the emptiest component that is there; what is missing is "
        "zero, and the column trace_completeness says so",
    )


@dataclass(frozen=True)
class DatasetReport:
    """What was built."""

    metadata: pd.DataFrame
    """As in ``metadata.csv``."""
    leaks: pd.DataFrame
    """`kaname.evaluate.splits.LEAKS`."""
    failures: pd.DataFrame
    """`kaname.core.tables.FAILURES`: windows left out and why, and leaks that the split must not have."""


def build_dataset(
    records: Records,
    catalogue: EventSet,
    stations: Stations | None,
    out: Path,
    settings: DatasetSettings,
    *,
    workers: int = 1,
    overwrite: bool = False,
) -> DatasetReport:
    """Cut windows, split them, look for leaks, and write ``metadata.csv`` and ``waveforms.hdf5``.

    A run that was cut off is taken up: windows that were read are not read again.

    Parameters
    ----------
    records
        Continuous or event records.
    catalogue
        Events and arrivals.
    stations
        Coordinates; without them distances and places of stations stay empty.
    out
        Folder of the set.
    settings
        Windows and split.
    workers
        Processes that read.
    overwrite
        Replace a set that is there.

    Raises
    ------
    InputError
        When a set is there already, or the catalogue has no arrivals.
    NotFoundError
        When no window can be cut.
    StorageError
        When the disk refuses.
    """
    if not overwrite and any((out / name).exists() for name in (METADATA_NAME, WAVEFORMS_NAME)):
        raise InputError(f"{out} holds a dataset already; choose another folder or --overwrite")
    if catalogue.arrivals.empty:
        raise InputError(
            "the catalogue has no arrivals: give one with onsets (QuakeML, or a run of kaname catalog)"
        )
    windows, unrecorded = choose_windows(records, catalogue, settings)
    if not windows:
        raise NotFoundError("no onset of the catalogue lies in the records; do codes and times agree?")
    parts_folder = out / PARTS_NAME
    parts_folder.mkdir(parents=True, exist_ok=True)
    tasks = list(_tasks(records, windows, parts_folder, settings))
    with JobStore(out / STORE_NAME) as store:
        for task in tasks:
            if store.get(task.key) is not None and not (parts_folder / f"{task.key}.npz").is_file():
                store.forget(task.key)
        outputs = Engine(workers, store=store).run(read_windows, tasks, "Read")
    read = pd.concat([o["windows"] for o in outputs if "windows" in o], ignore_index=True)
    failures = [concat((o["failures"] for o in outputs if "failures" in o), FAILURES)]
    failures.append(table(unrecorded, FAILURES))
    if read.empty:
        raise NotFoundError(f"none of {len(windows)} windows could be read: {_first(failures[0])}")
    read = read.sort_values("number", ignore_index=True)
    kept = [windows[i] for i in read["number"]]
    rows, unplaced = _rows(kept, read, stations)
    failures.append(unplaced)
    parts = _split(kept, rows, settings)
    for row, part in zip(rows, parts):
        row["split"] = _SEISBENCH[part]
    checked = as_frame(kept).assign(part=parts, digest=read["digest"].to_numpy())
    leaks = audit(checked, settings.split)
    failures += [_forbidden(leaks, settings.split, out), _wanting(windows, settings, out)]
    metadata = write_traces(out, _traces(rows, read), _layout(rows))
    shutil.rmtree(parts_folder)
    (out / STORE_NAME).unlink(missing_ok=True)
    return DatasetReport(metadata, leaks, concat(failures, FAILURES))


def _first(failures: pd.DataFrame) -> str:
    return str(failures["message"].iloc[0]) if len(failures) else "no reason was given"


def _tasks(
    records: Records, windows: list[Window], folder: Path, settings: DatasetSettings
) -> Iterator[Task]:
    """Yield tasks of windows of one sensor that follow one another, so that they share records."""
    order = sorted(range(len(windows)), key=lambda i: (windows[i].ids, windows[i].start))
    batch: list[int] = []
    for i in [*order, -1]:
        full = len(batch) == _TASK_WINDOWS
        if batch and (i < 0 or full or windows[i].ids != windows[batch[0]].ids):
            some = [windows[k] for k in batch]
            ids = some[0].ids
            part = records.part(ids, some[0].start, max(w.end for w in some))
            spans = [(str(w.start), str(w.end)) for w in some]
            key = digest(
                "dataset", kaname.__version__, part.fingerprint, ids, spans, batch, settings.least_complete
            )
            stretches = [(k, w.start, w.end) for k, w in zip(batch, some)]
            arguments = (part, ids, stretches, settings.least_complete, folder / f"{key}.npz")
            yield Task(key, some[0].sensor, arguments)
            batch = []
        batch.append(i)


def read_windows(
    records: Records,
    ids: tuple[str, ...],
    stretches: list[tuple[int, np.datetime64, np.datetime64]],
    least_complete: float,
    path: Path,
) -> TaskOutput:
    """Read the windows of one sensor into a file; return a row for each, and the failures.

    Parameters
    ----------
    records, ids
        What to read.
    stretches
        Number, start and end of each window.
    least_complete
        As in `DatasetSettings`.
    path
        File of NumPy arrays, one per window under its number.
    """
    failures: list[dict[str, Any]] = []
    arrays: dict[str, NDArray[Any]] = {}
    rows = []
    for number, start, end in stretches:
        read = records.read(ids, start, end)
        failures += read.failures
        try:
            data, origin, rate, components, complete = _assemble(read.blocks, ids, start, end)
            if complete < least_complete:
                raise InputError(
                    f"only {complete:.1%} of the samples are there, {least_complete:.0%} are wanted"
                )
        except KanameError as error:
            where = {"step": "dataset", "subject": ids[0], "start": start, "end": end}
            failures.append({**where, "error": type(error).__name__, "message": str(error)})
            continue
        arrays[str(number)] = data
        rows.append(
            {
                "number": number,
                "path": str(path),
                "start": origin,
                "rate": rate,
                "components": components,
                "complete": complete,
                "n_sample": data.shape[1],
                "digest": hashlib.blake2b(data.tobytes(), digest_size=16).hexdigest(),
            }
        )
    np.savez(path, **arrays)  # type: ignore[arg-type]
    columns = ["number", "path", "start", "rate", "components", "complete", "n_sample", "digest"]
    return {"windows": pd.DataFrame(rows, columns=columns), "failures": table(failures, FAILURES)}


def _assemble(
    blocks: list[Waveform], ids: tuple[str, ...], start: np.datetime64, end: np.datetime64
) -> tuple[NDArray[Any], np.datetime64, float, str, float]:
    """Put the blocks of one sensor on one clock: samples, first time, rate, components, share that is there.

    Components that a station does not have are zero throughout and do not count as missing.
    """
    if not blocks:
        raise NotFoundError("no samples in the window")
    rates = {round(b.sampling_rate, 6) for b in blocks}
    if len(rates) > 1:
        raise InputError(f"sampling rates {sorted(rates)} Hz in one window")
    first = min(blocks, key=lambda b: b.start)
    rate = first.sampling_rate
    # The first sample not before the window, on the clock of the first block.
    origin = first.time(np.ceil(first.index(start) - 1e-6))
    n_sample = int(np.ceil((end - origin) / np.timedelta64(1, "ns") * rate / 1e9 - 1e-6))
    letters = {identifier[-1] for identifier in ids}
    if len(letters) > len(COMPONENTS):  # the components were renamed; these are the names of the time
        letters = {b.ids[0][-1] for b in blocks}
    renamed = not letters <= set(COMPONENTS)
    components = "".join(sorted(letters, key=_component_order)) if renamed else COMPONENTS
    data: NDArray[Any] = np.zeros((len(components), n_sample), _dtype(blocks))
    there = np.zeros(data.shape, bool)
    for block in blocks:
        row = components.index(block.ids[0][-1])
        at = round(-block.index(origin))
        low, high = max(at, 0), min(at + block.n_sample, n_sample)
        data[row, low:high] = block.data[0, low - at : high - at]
        there[row, low:high] = np.isfinite(block.data[0, low - at : high - at])
    data[~there] = 0
    wanted = [i for i, letter in enumerate(components) if letter in letters]
    return data, origin, rate, components, float(there[wanted].mean(axis=1).min())


def _component_order(letter: str) -> int:
    order = "ZNE123UVWRT"
    return order.index(letter) if letter in order else len(order) + ord(letter)


def _dtype(blocks: list[Waveform]) -> type:
    """Return float32 where it holds every sample exactly, else float64."""
    exact = all(
        ((b.data.astype(np.float32) == b.data) | ~np.isfinite(b.data)).all()
        for b in blocks
        if b.data.dtype != np.float32
    )
    return np.float32 if exact else np.float64


def _rows(
    windows: list[Window], read: pd.DataFrame, stations: Stations | None
) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    rows = []
    unplaced: dict[str, str] = {}
    for window, found in zip(windows, read.itertuples()):
        network, station, location, _ = window.ids[0].split(".")
        place = None
        if stations is not None:
            try:
                place = stations.at(network, station, location, window.start)
            except NotFoundError as error:
                unplaced.setdefault(f"{network}.{station}.{location}", str(error))
        rows.append(metadata_row(window, found, place))
    missing = [
        {"step": "dataset", "subject": name, "error": "NotFoundError", "message": message}
        for name, message in unplaced.items()
    ]
    return rows, table(missing, FAILURES)


def _split(windows: list[Window], rows: list[dict[str, Any]], settings: DatasetSettings) -> list[Part]:
    if settings.split == "station":
        lat, lon = ([r.get(f"station_{c}_deg", np.nan) for r in rows] for c in ("latitude", "longitude"))
        return split_by_station([".".join(w.ids[0].split(".")[:2]) for w in windows], lat, lon)
    by = split_by_event if settings.split == "event" else split_by_period
    return by([w.time for w in windows], apart_s=max(SAME_EVENT_S, spread_s(windows)))


def _forbidden(leaks: pd.DataFrame, by: str, out: Path) -> pd.DataFrame:
    rows = [
        {
            "step": "dataset",
            "subject": str(out),
            "error": "Leak",
            "message": f"split by {by}: {row.n} of {row.n_total} share {row.kind} ({row.detail})",
        }
        for row in leaks.itertuples()
        if row.forbidden and row.n
    ]
    return table(rows, FAILURES)


def _wanting(windows: list[Window], settings: DatasetSettings, out: Path) -> pd.DataFrame:
    n_noise = sum(w.event is None for w in windows)
    wanted = round(settings.noise * (len(windows) - n_noise))
    if n_noise >= wanted:
        return table([], FAILURES)
    message = f"{wanted} windows of noise wanted, {n_noise} found that are quiet; give longer records"
    row = {"step": "dataset", "subject": str(out), "error": "NotFoundError", "message": message}
    return table([row], FAILURES)


def _layout(rows: list[dict[str, Any]]) -> dict[str, Any]:
    rates = {row["trace_sampling_rate_hz"] for row in rows}
    layout: dict[str, Any] = {"unit": "counts", "instrument_response": "not restituted"}
    return layout | ({"sampling_rate": rates.pop()} if len(rates) == 1 else {})


def _traces(rows: list[dict[str, Any]], read: pd.DataFrame) -> Iterator[tuple[dict[str, Any], NDArray[Any]]]:
    opened: dict[str, Any] = {}
    for row, number, path in zip(rows, read["number"], read["path"]):
        if path not in opened:
            if len(opened) >= _OPEN_FILES:
                opened.pop(next(iter(opened))).close()
            opened[path] = np.load(path)
        yield row, opened[path][str(number)]
    for file in opened.values():
        file.close()


_OPEN_FILES = 200
