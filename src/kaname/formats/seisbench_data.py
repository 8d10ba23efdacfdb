"""SeisBench's dataset format, reading: ``metadata.csv`` and ``waveforms.hdf5``.

https://seisbench.readthedocs.io, "Data format". Traces stand alone (``data/NAME``) or in buckets
(``bucket0$3,:3,:1200``: the third trace, three components, 1200 samples). A set in chunks has
``metadata_X.csv`` and ``waveforms_X.hdf5``. ``trace_PHASE_arrival_sample`` are the labels.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kaname.core.errors import FormatError, KanameError, MissingDependencyError
from kaname.core.time import as_time
from kaname.core.waveform import Waveform
from kaname.formats.labelled import EPOCH, PHASES, Keep, LabelledRecord, LabelledSet

_LABEL = re.compile(r"trace_(\w+)_arrival_sample$")
_ABSENT = ("", "nan", "NaN", "None")


def records(given: LabelledSet, keep: Keep | None) -> Iterator[LabelledRecord]:
    """Read the records of a set, see `kaname.formats.labelled.LabelledSet.records`."""
    try:
        import h5py
    except ImportError as error:
        raise MissingDependencyError(
            f"{given.root} is a SeisBench dataset, which needs the package h5py ({error}); "
            "install it with: pip install h5py"
        ) from error
    for table in sorted(given.root.glob("metadata*.csv")):
        path = table.with_name(table.name.replace("metadata", "waveforms", 1)).with_suffix(".hdf5")
        try:
            store = h5py.File(path, "r")
        except OSError as error:
            raise FormatError(f"cannot read {path}, which belongs to {table.name}: {error}") from error
        with store, table.open(encoding="utf-8", newline="") as file:
            layout = {k: _plain(v[()]) for k, v in store.get("data_format", {}).items()}
            for number, row in enumerate(csv.DictReader(file)):
                event = row.get("source_id") or row.get("source_origin_time") or f"{table.stem} {number}"
                if keep is not None and not keep(event, row.get("split") or ""):
                    continue
                name = row.get("trace_name", "")
                try:
                    yield _record(given.name, event, store, row, layout)
                except (KanameError, ValueError, KeyError, OSError) as error:
                    given.fail(f"{path} {name}", error)


def _plain(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _record(
    source: str, event: str, store: Any, row: Mapping[str, str], layout: Mapping[str, str]
) -> LabelledRecord:
    def said(*names: str) -> str:
        """Return the first of these columns or keys of the layout that has a value."""
        values = (row.get(n, layout.get(n, "")) for n in names)
        return next((v for v in values if v not in _ABSENT), "")

    components = said("trace_component_order", "component_order") or "ZNE"
    order = said("trace_dimension_order", "dimension_order") or "CW"
    rate = said("trace_sampling_rate_hz", "sampling_rate")
    if not rate:
        raise FormatError("neither trace_sampling_rate_hz nor data_format/sampling_rate says the rate")
    data = _samples(store, row["trace_name"])
    if data.ndim != 2 or sorted(order) != ["C", "W"]:
        raise FormatError(
            f"a trace of shape {data.shape} in the order {order!r}, expected two dimensions C, W"
        )
    data = data if order == "CW" else data.T
    if len(data) != len(components):
        raise FormatError(f"{len(data)} channels of samples but the components {components!r}")
    # What a channel did not record is NaN or, as SeisBench writes it, zero throughout.
    there = [i for i, trace in enumerate(data) if np.isfinite(trace).any() and trace.any()]
    if not there:
        raise FormatError("no component has samples")
    band = (said("trace_channel", "station_type") + "XX")[:2]
    codes = (said("station_network_code"), said("station_code"), said("station_location_code"))
    ids = tuple(".".join(codes) + f".{band}{components[i]}" for i in there)
    start = said("trace_start_time")
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


def _samples(store: Any, name: str) -> NDArray[Any]:
    bucket, _, place = name.partition("$")
    block = store["data"][bucket]
    if not place:
        return np.asarray(block)
    index = tuple(_index(part) for part in place.split(","))
    return np.asarray(block[index])


def _index(text: str) -> int | slice:
    if ":" not in text:
        return int(text)
    low, _, high = text.partition(":")
    return slice(int(low) if low else None, int(high) if high else None)
