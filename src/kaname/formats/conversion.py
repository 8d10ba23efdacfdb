"""Convert one file: read it, write it in another format, and prove on request that nothing changed."""

from __future__ import annotations

import csv
import filecmp
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from kaname.core.errors import FormatError, InputError, StorageError
from kaname.core.jobs import TaskOutput
from kaname.core.tables import (
    ARRIVALS,
    EVENTS,
    FAILURES,
    PICKS,
    SCHEMAS,
    Column,
    Schema,
    read_table,
    table,
    write_table,
)
from kaname.core.time import isoformat
from kaname.core.waveform import Waveform
from kaname.formats.catalogs import EventSet, read_events, write_events
from kaname.formats.contract import read_waveforms
from kaname.formats.declarations import declared_reader
from kaname.formats.gnss import read_gnss
from kaname.formats.proof import PROOFS, faults, prove_table, prove_waveforms
from kaname.formats.stations import Stations, read_stations
from kaname.formats.stationxml import write_stations
from kaname.formats.strain import read_strain
from kaname.formats.tabular import TableRead
from kaname.formats.win_channels import read_channel_table
from kaname.formats.win_names import channel_key
from kaname.formats.win_writer import whole_seconds
from kaname.formats.writing import FORMATS, WaveformFormat

TableTarget = Literal["quakeml", "stationxml", "csv", "parquet"]
TARGETS: tuple[str, ...] = (*FORMATS, *get_args(TableTarget))

KINDS = ("waveforms", "events", "stations", "displacements", "features")

CONVERTED = Schema(
    "converted",
    "Files that were written and what they were made from.",
    (
        Column("subject", "string", "file that was read; all: day files of an archive", required=True),
        Column("output", "string", "file that was written", required=True),
        Column("kind", "string", "what it holds", required=True, choices=KINDS),
        Column("n_item", "int", "blocks, events or stations", required=True),
        Column("n_sample", "int", "samples of all channels"),
        Column("size", "int", "bytes of the file that was written", required=True),
    ),
)


@dataclass(frozen=True)
class Wish:
    """What is wanted of every file."""

    to: str
    """One of `TARGETS`."""
    prove: bool = False
    overwrite: bool = False
    network: str = ""
    """Network code for sources that state none."""
    reader: str | None = None
    """Name of the waveform reader; by default the first that recognises the file."""
    channels: tuple[Path, ...] = ()
    """Channel tables of WIN: names for numbers when reading, numbers for names when writing WIN32."""
    declaration: Path | None = None
    """TOML that says what series in CSV or radar images hold (`kaname.formats.declarations`)."""
    start: np.datetime64 | None = None
    end: np.datetime64 | None = None


def convert_file(source: Path, stem: Path, wish: Wish) -> TaskOutput:
    """Convert one file; the tables ``converted``, ``proofs`` and ``failures`` say what came of it.

    Parameters
    ----------
    source
        File of any format that is read.
    stem
        Where to write, without the ending; what is written several files for one gets more in its name.
    wish
        Format and options.

    Raises
    ------
    InputError
        When the target is unknown, a file that would be written is there already and ``overwrite`` is not
        set, or the format cannot hold what was read.
    FormatError
        When nothing in the file can be read.
    StorageError
        When the disk refuses.
    """
    if wish.declaration is not None and wish.to not in ("csv", "parquet"):
        raise InputError(f"what is declared becomes csv or parquet, not {wish.to}")
    if wish.to not in TARGETS:
        raise InputError(f"no format {wish.to!r} to write; known are sds, {', '.join(TARGETS)}")
    convert = _waveforms if wish.to in FORMATS else _tables
    written, proofs, failures = convert(source, stem, wish)
    for row in written + proofs:
        row["subject"] = str(source)
    return {
        "converted": table(written, CONVERTED),
        "proofs": table(proofs, PROOFS),
        "failures": table(failures, FAILURES),
    }


Rows = list[dict[str, Any]]


def read_named(source: Path, wish: Wish) -> tuple[list[Waveform], Rows]:
    """Read waveforms, with the network code that the caller knows where the file states none."""
    read = read_waveforms(source, start=wish.start, end=wish.end, format=wish.reader)
    if wish.channels:
        read = read_channel_table(wish.channels).rename(read, source)
    blocks = []
    for block in read.blocks:
        network, _, rest = block.ids[0].partition(".")
        named = (f"{network or wish.network}.{rest}",)
        blocks.append(Waveform(block.data, named, block.start, block.sampling_rate, block.unit))
    return blocks, read.failures


def _waveforms(source: Path, stem: Path, wish: Wish) -> tuple[Rows, Rows, Rows]:
    form = FORMATS[wish.to]
    blocks, failures = read_named(source, wish)
    write: Callable[..., Path] = form.write
    if form.whole_seconds:
        # Numbers of WIN state no organisation and network; those of WIN32 do: none is 0000.
        named = [
            f"0000{b.ids[0]}" if (channel_key(b.ids[0]) or ("",))[0] is None else b.ids[0] for b in blocks
        ]
        blocks = [replace(block, ids=(name,)) for block, name in zip(blocks, named)]
        blocks, left = _whole(blocks, source)
        failures += left
        if wish.channels:
            write = partial(write, number=read_channel_table(wish.channels).number)
    written: Rows = []
    proofs: Rows = []
    with _placing(wish) as place:
        for path, content in _outputs(blocks, stem, form):
            staged = write(content, place(path))
            written.append(
                _written(staged, path, "waveforms", len(content), sum(b.n_sample for b in content))
            )
            if wish.prove:
                back = read_waveforms(staged, format=form.reader)
                if wish.channels and form.whole_seconds:
                    back = read_channel_table(wish.channels).rename(back, path)
                rows = prove_waveforms(content, back.blocks, form)
                proofs += [{**row, "output": str(path)} for row in rows]
                failures += back.failures + faults(rows, str(source), str(path))
    return written, proofs, failures


@contextmanager
def _placing(wish: Wish) -> Iterator[Callable[[Path], Path]]:
    """Give names to write to; at the end all files take their places, or none when one may not.

    A file that is there already and is the same, as after a kill, is no obstacle.
    """
    staged: dict[Path, Path] = {}

    def place(path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        staged[path] = path.with_name(f".part-{path.name}")  # the ending stays: readers look at it
        return staged[path]

    try:
        yield place
        for path, partial in staged.items():
            if path.exists() and not wish.overwrite and not filecmp.cmp(path, partial, shallow=False):
                raise InputError(
                    f"{path} is there already and is another; it is left as it is: choose another folder, or "
                    "--overwrite"
                )
        for path, partial in staged.items():
            partial.replace(path)
    except OSError as error:
        raise StorageError(
            f"cannot write {', '.join(map(str, staged))}: {error.strerror or error}"
        ) from error
    finally:
        for partial in staged.values():
            partial.unlink(missing_ok=True)


def _whole(blocks: list[Waveform], source: Path) -> tuple[list[Waveform], Rows]:
    """Cut blocks to whole seconds and tell what is left."""
    whole: list[Waveform] = []
    rows: Rows = []
    for block in blocks:
        try:
            kept, left = whole_seconds(block)
        except InputError as error:
            row = {"start": block.start, "end": block.end, "error": "InputError", "message": str(error)}
            kept, left = None, [row]
        whole += [] if kept is None else [kept]
        rows += [{**row, "step": "convert", "subject": str(source)} for row in left]
    return whole, rows


def _outputs(
    blocks: list[Waveform], stem: Path, form: WaveformFormat
) -> Iterator[tuple[Path, list[Waveform]]]:
    """Yield the files to write: one for all, or one per block named by channel and start."""
    if not form.one_block:
        if blocks:
            yield stem.with_name(stem.name + form.ending), blocks
        return
    for block in blocks:
        time = isoformat(block.start, decimals=6).replace("-", "").replace(":", "")
        yield stem / f"{block.ids[0]}.{time}{form.ending}", [block]


def _written(staged: Path, path: Path, kind: str, n_item: int, n_sample: int = 0) -> dict[str, Any]:
    size = staged.stat().st_size
    return {"output": str(path), "kind": kind, "n_item": n_item, "n_sample": n_sample, "size": size}


def _tables(source: Path, stem: Path, wish: Wish) -> tuple[Rows, Rows, Rows]:
    read = _read_tables(source, wish)
    if isinstance(read, Stations):
        return _stations(source, stem, wish, read)
    if isinstance(read, TableRead):
        return _series(source, stem, wish, read)
    return _events(source, stem, wish, read)


def _read_tables(source: Path, wish: Wish) -> EventSet | Stations | TableRead:
    """Read what is declared or the target says, else what the file turns out to be."""
    readers: dict[str, Callable[[Path], EventSet | Stations | TableRead]] = {
        "events": read_events,
        "displacements": read_gnss,
        "features": read_strain,
        "stations": read_stations,
    }
    kind = {"quakeml": "events", "stationxml": "stations"}.get(wish.to)
    if kind:
        return readers[kind](source)
    if wish.declaration is not None:
        return declared_reader(wish.declaration)(source)
    reasons = []
    for name, read in readers.items():
        try:
            return read(source)
        except FormatError as error:
            reasons.append(f"as {name}: {error}")
    raise FormatError(f"{source} holds no table that is known: {'; '.join(reasons)}")


def _events(source: Path, stem: Path, wish: Wish, read: EventSet) -> tuple[Rows, Rows, Rows]:
    tables = {
        "events": (read.events, EVENTS),
        "arrivals": (read.arrivals, ARRIVALS),
        "picks": (read.picks, PICKS),
    }
    failures = list(read.failures)
    if wish.to == "parquet":
        paths = {n: stem.with_name(f"{stem.name}.{n}.parquet") for n, (t, _) in tables.items() if len(t)}
    else:
        ending = {"quakeml": ".xml", "csv": ".csv"}[wish.to]
        paths = {"events": stem.with_name(stem.name + ending)}
    proofs: Rows = []
    written: Rows = []
    with _placing(wish) as place:
        staged = {name: place(path) for name, path in paths.items()}
        if wish.to == "parquet":
            for name, path in staged.items():
                write_table(tables[name][0], path, tables[name][1])
        else:
            write_events(read, staged["events"])
        for name, path in staged.items():
            written.append(_written(path, paths[name], "events", len(tables[name][0])))
        if wish.prove:
            back = _read_back(staged, wish.to, failures)
            for name, (frame, schema) in tables.items():
                path = paths.get(name, paths["events"])
                if name in back:
                    rows = prove_table(frame, back[name], schema.key)
                else:
                    rows = [_lost(name, len(frame))] if len(frame) else []
                proofs += [{**row, "aspect": f"{name}.{row['aspect']}", "output": str(path)} for row in rows]
                failures += faults(rows, str(source), str(path))
    return written, proofs, failures


def _read_back(staged: dict[str, Path], to: str, failures: Rows) -> dict[str, pd.DataFrame]:
    if to == "parquet":
        return {name: read_table(path, SCHEMAS[name]) for name, path in staged.items()}
    again = read_events(staged["events"])
    failures += again.failures
    if to == "csv":
        return {"events": again.events}
    return {"events": again.events, "arrivals": again.arrivals, "picks": again.picks}


def _lost(name: str, n: int) -> dict[str, Any]:
    row = {"aspect": "rows", "verdict": "lost", "n_compared": n, "n_different": n}
    return {**row, "detail": f"the format holds no {name}"}


def _stations(source: Path, stem: Path, wish: Wish, read: Stations) -> tuple[Rows, Rows, Rows]:
    ending = {"stationxml": ".xml", "csv": ".csv", "parquet": ".stations.parquet"}[wish.to]
    path = stem.with_name(stem.name + ending)
    failures = list(read.failures)
    rows: Rows = []
    with _placing(wish) as place:
        staged = write_stations(read, place(path))
        written = [_written(staged, path, "stations", len(read.table))]
        if wish.prove:
            again = read_stations(staged)
            rows = prove_table(read.table, again.table, ("network", "station", "start"))
            rows += _responses(read.inventory, again.inventory)
            rows = [{**row, "output": str(path)} for row in rows]
            failures += again.failures + faults(rows, str(source), str(path))
    return written, rows, failures


def _series(source: Path, stem: Path, wish: Wish, read: TableRead) -> tuple[Rows, Rows, Rows]:
    """Write displacements, by GNSS or radar, or the values of another sensor."""
    kind = "features" if "feature" in read.table else "displacements"
    schema = SCHEMAS[kind]
    path = stem.with_name(f"{stem.name}.{kind}.{wish.to}")
    failures = list(read.failures)
    rows: Rows = []
    with _placing(wish) as place:
        staged = place(path)
        if wish.to == "parquet":
            write_table(read.table, staged, schema)
        else:
            read.table.to_csv(staged, index=False, quoting=csv.QUOTE_NONNUMERIC)
        written = [_written(staged, path, kind, len(read.table))]
        if wish.prove:
            key = [c.name for c in schema.columns if c.required and c.dtype in ("string", "time")]
            rows = prove_table(read.table, read_table(staged, schema), key)
            rows = [{**row, "output": str(path)} for row in rows]
            failures += faults(rows, str(source), str(path))
    return written, rows, failures


def _responses(before: Any, after: Any) -> Rows:
    one, other = _by_channel(before), _by_channel(after)
    if not one:
        return []
    gone = [name for name in one if name not in other]
    changed = [name for name in one if name in other and not _alike(one[name], other[name])]
    verdict = "wrong" if changed else "lost" if gone else "equal"
    detail = f"{(changed or gone)[0][0]} from {(changed or gone)[0][1]}" if changed or gone else ""
    row = {"aspect": "responses", "verdict": verdict, "n_compared": len(one), "detail": detail}
    return [{**row, "n_different": len(changed) + len(gone)}]


def _by_channel(inventory: Any) -> dict[tuple[str, str], Any]:
    return {
        (f"{net.code}.{sta.code}.{cha.location_code}.{cha.code}", str(cha.start_date)): cha.response
        for net in inventory or ()
        for sta in net
        for cha in sta
        if cha.response is not None
    }


def _alike(before: Any, after: Any) -> bool:
    """Tell whether two responses are the same by their numbers and units, stage by stage."""
    (numbers, texts), (again, words) = (_parts(response) for response in (before, after))
    return texts == words and len(numbers) == len(again) and bool(np.allclose(numbers, again, 1e-9, 0))


def _parts(response: Any) -> tuple[list[complex], list[str]]:
    numbers: list[complex] = []
    texts: list[str] = []
    for part in [response.instrument_sensitivity, *response.response_stages]:
        for name in _RESPONSE if part is not None else ():
            value = getattr(part, name, None)
            if isinstance(value, str):
                texts.append(value)
            elif value is not None:
                values = value if isinstance(value, (list, tuple, np.ndarray)) else [value]
                numbers += [complex(v) for v in values]
    return numbers, texts


_RESPONSE = (
    *("value", "frequency", "input_units", "output_units", "stage_gain", "stage_gain_frequency"),
    *("poles", "zeros", "normalization_factor", "normalization_frequency", "pz_transfer_function_type"),
    *("numerator", "denominator", "cf_transfer_function_type", "coefficients", "symmetry"),
    *("decimation_input_sample_rate", "decimation_factor", "decimation_delay", "decimation_correction"),
)
