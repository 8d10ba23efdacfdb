"""SeisBench's dataset format: ``metadata.csv`` and ``waveforms.hdf5``, in and out.

https://seisbench.readthedocs.io, "Data format". Traces stand alone (``data/NAME``) or in buckets
(``bucket0$3,:3,:1200``: the fourth trace, three components, 1200 samples). A set in chunks has
``metadata_X.csv`` and ``waveforms_X.hdf5``. ``trace_PHASE_arrival_sample`` are the labels.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kaname.core.errors import FormatError, InputError, KanameError
from kaname.core.files import replacing
from kaname.core.time import as_time
from kaname.core.waveform import Waveform
from kaname.formats.labelled import EPOCH, PHASES, Keep, LabelledRecord, LabelledSet

METADATA_NAME = "metadata.csv"
WAVEFORMS_NAME = "waveforms.hdf5"
COMPONENTS = "ZNE"
_LABEL = re.compile(r"trace_(\w+)_arrival_sample$")
_ABSENT = ("", "nan", "NaN", "None")
_BUCKET_TRACES = 1024
_BUCKET_BYTES = 64 << 20
_MOST_HELD = 512 << 20
_BUCKET_GROWTH = 1.2
"""Traces of one bucket differ in length by no more than this factor; the shorter are padded with zeros."""


def records(given: LabelledSet, keep: Keep | None) -> Iterator[LabelledRecord]:
    """Read the records of a set, see `kaname.formats.labelled.LabelledSet.records`."""
    for path, layout, store, rows in _chunks(given.root):
        for number, row in enumerate(rows):
            event = row.get("source_id") or row.get("source_origin_time") or f"{path.stem} {number}"
            if keep is not None and not keep(event, row.get("split") or ""):
                continue
            name = row.get("trace_name", "")
            try:
                yield _record(given.name, event, store, row, layout)
            except (KanameError, ValueError, KeyError, OSError) as error:
                given.fail(f"{path} {name}", error)


def traces(root: Path) -> Iterator[tuple[dict[str, str], NDArray[Any]]]:
    """Read a set trace by trace: the row of ``metadata.csv`` as text, and samples (n_component, n_sample).

    Raises
    ------
    FormatError
        When the list cannot be read, or a trace that it names is not there.
    """
    for path, layout, store, rows in _chunks(root):
        blocks = _Blocks(store["data"])
        for row in rows:
            try:
                data, _ = _trace(blocks, row, layout)
            except (KeyError, ValueError, OSError) as error:
                raise FormatError(
                    f"{path}: cannot read the trace {row.get('trace_name')}: {error}"
                ) from error
            yield row, data


def _chunks(root: Path) -> Iterator[tuple[Path, dict[str, str], Any, Iterable[dict[str, str]]]]:
    import h5py

    tables = sorted(root.glob("metadata*.csv"))
    if not tables:
        raise FormatError(f"{root} holds no {METADATA_NAME}; expected a dataset in SeisBench's format")
    for table in tables:
        path = table.with_name(table.name.replace("metadata", "waveforms", 1)).with_suffix(".hdf5")
        try:
            store = h5py.File(path, "r")
        except OSError as error:
            raise FormatError(f"cannot read {path}, which belongs to {table.name}: {error}") from error
        with store, table.open(encoding="utf-8", newline="") as file:
            layout = {k: _plain(v[()]) for k, v in store.get("data_format", {}).items()}
            yield path, layout, store, csv.DictReader(file)


class _Blocks:
    """The blocks of a file; the last one stays in memory, since traces of one bucket follow one another."""

    def __init__(self, data: Any) -> None:
        self._data = data
        self._last: tuple[str, Any] = ("", None)

    def __getitem__(self, name: str) -> Any:
        if self._last[0] != name:
            block = self._data[name]
            self._last = (name, block[()] if block.nbytes <= _MOST_HELD else block)
        return self._last[1]


def _plain(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _said(row: Mapping[str, str], layout: Mapping[str, str], *names: str) -> str:
    """Return the first of these columns or keys of the layout that has a value."""
    values = (row.get(n, layout.get(n, "")) for n in names)
    return next((v for v in values if v not in _ABSENT), "")


def _trace(blocks: Any, row: Mapping[str, str], layout: Mapping[str, str]) -> tuple[NDArray[Any], str]:
    """Return samples (n_component, n_sample) and the components."""
    components = _said(row, layout, "trace_component_order", "component_order") or COMPONENTS
    order = _said(row, layout, "trace_dimension_order", "dimension_order") or "CW"
    data = _samples(blocks, row["trace_name"])
    if data.ndim != 2 or sorted(order) != ["C", "W"]:
        raise FormatError(
            f"a trace of shape {data.shape} in the order {order!r}, expected two dimensions C, W"
        )
    data = data if order == "CW" else data.T
    if len(data) != len(components):
        raise FormatError(f"{len(data)} channels of samples but the components {components!r}")
    return data, components


def _record(
    source: str, event: str, store: Any, row: Mapping[str, str], layout: Mapping[str, str]
) -> LabelledRecord:
    rate = _said(row, layout, "trace_sampling_rate_hz", "sampling_rate")
    if not rate:
        raise FormatError("neither trace_sampling_rate_hz nor data_format/sampling_rate says the rate")
    data, components = _trace(store["data"], row, layout)
    # What a channel did not record is NaN or, as SeisBench writes it, zero throughout.
    there = [i for i, trace in enumerate(data) if np.isfinite(trace).any() and trace.any()]
    if not there:
        raise FormatError("no component has samples")
    band = (_said(row, layout, "trace_channel", "station_type") + "XX")[:2]
    names = ("station_network_code", "station_code", "station_location_code")
    codes = tuple(_said(row, layout, name) for name in names)
    ids = tuple(".".join(codes) + f".{band}{components[i]}" for i in there)
    start = _said(row, layout, "trace_start_time")
    wave = Waveform(
        np.ascontiguousarray(data[there]),
        ids,
        as_time(start.replace("/", "-")) if start else EPOCH,
        float(rate),
    )
    found: dict[str, list[float]] = {}
    for column, value in row.items():
        match = _LABEL.match(column or "")
        if match and match[1] in PHASES and value not in _ABSENT:
            found.setdefault(PHASES[match[1]], []).append(float(value))
    # A set may state the first P again as Pg or Pn.
    labels = {p: tuple(wave.time(s) for s in sorted(set(v))) for p, v in found.items()}
    return LabelledRecord(source, row["trace_name"], event, wave, labels, row.get("split") or "")


def _samples(blocks: Any, name: str) -> NDArray[Any]:
    bucket, _, place = name.partition("$")
    block = blocks[bucket]
    if not place:
        return np.asarray(block)
    index = tuple(_index(part) for part in place.split(","))
    return np.asarray(block[index])


def _index(text: str) -> int | slice:
    if ":" not in text:
        return int(text)
    low, _, high = text.partition(":")
    return slice(int(low) if low else None, int(high) if high else None)


def write_traces(
    root: Path,
    given: Iterable[tuple[Mapping[str, Any], NDArray[Any]]],
    layout: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Write a set in buckets; both files take their places when all is written.

    Parameters
    ----------
    root
        Folder, made when absent.
    given
        Row of the metadata and samples (n_component, n_sample) of each trace. ``trace_name`` is given here; a
        name that a row brings becomes ``trace_name_original``.
    layout
        Entries of the group ``data_format`` beside dimension and component order.

    Returns
    -------
    DataFrame
        The metadata as written, in the order given.

    Raises
    ------
    InputError
        When there is no trace, or one has no two dimensions.
    StorageError
        When the disk refuses; what stood there before is untouched.
    """
    import h5py

    with replacing(root / METADATA_NAME) as listed, replacing(root / WAVEFORMS_NAME) as stored:
        with h5py.File(stored, "w") as file:
            form = {"dimension_order": "CW", "component_order": COMPONENTS, **(layout or {})}
            for key, value in form.items():
                file[f"data_format/{key}"] = value
            rows = _fill(file.create_group("data"), given)
        if not rows:
            raise InputError(f"no trace to write to {root}")
        frame = pd.DataFrame(rows)
        frame.to_csv(listed, index=False)
    return frame


def _fill(group: Any, given: Iterable[tuple[Mapping[str, Any], NDArray[Any]]]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    open_buckets: dict[tuple[int, int, str], list[tuple[dict[str, Any], NDArray[Any]]]] = {}
    n_bucket = 0
    for row, data in given:
        if data.ndim != 2 or 0 in data.shape:
            raise InputError(f"a trace of shape {data.shape}; expected (n_component, n_sample)")
        kept = {k: v for k, v in row.items() if k != "trace_name"}
        if "trace_name" in row:
            kept.setdefault("trace_name_original", row["trace_name"])
        rows.append(kept)
        size = int(np.ceil(np.log(data.shape[1]) / np.log(_BUCKET_GROWTH) - 1e-9))
        key = (len(data), size, data.dtype.str)
        bucket = open_buckets.setdefault(key, [])
        bucket.append((kept, data))
        if len(bucket) == _BUCKET_TRACES or len(bucket) * data.nbytes >= _BUCKET_BYTES:
            _write_bucket(group, n_bucket, open_buckets.pop(key))
            n_bucket += 1
    for bucket in open_buckets.values():
        _write_bucket(group, n_bucket, bucket)
        n_bucket += 1
    return rows


def _write_bucket(group: Any, number: int, bucket: list[tuple[dict[str, Any], NDArray[Any]]]) -> None:
    longest = max(data.shape[1] for _, data in bucket)
    block = np.zeros((len(bucket), len(bucket[0][1]), longest), bucket[0][1].dtype)
    for i, (row, data) in enumerate(bucket):
        block[i, :, : data.shape[1]] = data
        row["trace_name"] = f"bucket{number}${i},:{data.shape[0]},:{data.shape[1]}"
    group.create_dataset(f"bucket{number}", data=block)
