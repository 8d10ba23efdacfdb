"""Every waveform format that ObsPy's plug-ins read and that has no reader of its own here.

ObsPy fills gaps with masks: a masked trace becomes several blocks. Its warnings become failures. ``PICKLE``
is left out because it would run whatever the file says. CSS files name other files, which are read from the
folder of the table.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kaname.core.errors import FormatError, InputError
from kaname.core.waveform import Waveform
from kaname.formats.contract import WaveformRead, native, register, seed_id
from kaname.formats.foreign import foreign, plugin, recognise

_OWN_READERS = frozenset({"MSEED", "SAC"})
_COUNTS = frozenset(
    {"SEISAN", "WIN", "KNET", "GSE1", "GSE2", "GCF", "REFTEK130", "CSS", "NNSA_KB_CORE", "DMX", "Y"}
)
"""Formats that hold raw digitiser counts; the calibration, where there is one, stays unapplied."""
_STATED = {"COUNTS": "count", "COUNT": "count", "M/S": "m/s", "M": "m", "M/S**2": "m/s^2", "M/S/S": "m/s^2"}


@register
class ObspyReader:
    """Reader of whatever ObsPy knows."""

    name = "obspy"

    def sniff(self, head: bytes, path: Path) -> bool:
        """Ask every plug-in of ObsPy."""
        return bool(head) and recognise(path, "waveform", without=_OWN_READERS) is not None

    def read(self, path: Path, *, start: np.datetime64 | None, end: np.datetime64 | None) -> WaveformRead:
        """Read the samples with ``start <= time < end``; see `kaname.formats.contract.WaveformReader`."""
        form = recognise(path, "waveform", without=_OWN_READERS)
        if form is None:
            raise FormatError(f"{path} is of no waveform format that ObsPy knows")
        result = WaveformRead()
        with foreign(path, form) as warned:
            traces = list(plugin("waveform", form, "readFormat")(str(path)))
        for message in warned:
            result.fail(path, f"ObsPy ({form}) warns: {message}", kind="Warning")
        nameless = sum(not t.stats.station.strip() for t in traces)
        if nameless > 1:
            result.fail(
                path,
                f"{nameless} traces state no station; they are named 0001, 0002, ... by place",
            )
        for place, trace in enumerate(traces, start=1):
            stats = trace.stats
            station = stats.station.strip() or (f"{place:04d}" if nameless > 1 else "")
            identifier, changed = seed_id(stats.network, station, stats.location, stats.channel)
            if changed:
                result.fail(path, f"trace {place}: {changed}")
            try:
                for block in _blocks(trace, identifier, _unit(form, stats)):
                    result.add(block, start, end)
            except InputError as error:
                result.fail(path, f"trace {place} ({identifier}): {error}")
        if not traces or (not result.blocks and start is None and end is None):
            reasons = "; ".join(f["message"] for f in result.failures) or "it holds no traces"
            raise FormatError(f"nothing can be read from {path} ({form}): {reasons}")
        result.blocks.sort(key=lambda b: (b.ids, b.start))
        return result


def _unit(form: str, stats: Any) -> str:
    if form in ("SLIST", "TSPAIR"):
        return _STATED.get(str(stats.ascii.unit).upper(), "unknown")
    return "count" if form in _COUNTS else "unknown"


def _blocks(trace: Any, identifier: str, unit: str) -> Iterator[Waveform]:
    if trace.data.dtype.kind not in "iuf":
        raise InputError(f"samples of type {trace.data.dtype} are not numbers")
    for piece in trace.split() if np.ma.isMaskedArray(trace.data) else [trace]:
        yield Waveform(
            data=native(np.ma.getdata(piece.data))[np.newaxis, :],
            ids=(identifier,),
            start=np.datetime64(int(piece.stats.starttime.ns), "ns"),
            sampling_rate=piece.stats.sampling_rate,
            unit=unit,
        )
