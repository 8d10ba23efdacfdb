"""Every waveform format that ObsPy's plug-ins read and that has no reader of its own here.

What ObsPy would pass over in silence is said: a masked trace becomes several blocks, warnings become
failures, a trace that states no time (ObsPy puts it at 1970) is refused, and so is the ragged end of a
truncated text file. A rate within a ten-millionth of a whole number of hertz is that number; formats that
keep the interval as a 32-bit float miss it by that much. CSS tables name other files, which are read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kaname.core.errors import FormatError, InputError
from kaname.core.time import as_time
from kaname.core.waveform import Waveform
from kaname.formats.contract import WaveformRead, native, register, seed_id
from kaname.formats.foreign import foreign, plugin, recognise

_OWN_READERS = frozenset({"MSEED", "SAC", "WIN", "KNET"})
_COUNTS = frozenset({"SEISAN", "GSE1", "GSE2", "GCF", "REFTEK130", "CSS", "NNSA_KB_CORE", "DMX", "Y"})
"""Formats that hold raw digitiser counts; the calibration, where there is one, stays unapplied."""
_GSE = frozenset({"GSE1", "GSE2"})
_TEXT = frozenset({"SLIST", "TSPAIR"})
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
        if form in _GSE:
            _check_line_lengths(path)
        with foreign(path, form) as warned:
            traces = list(plugin("waveform", form, "readFormat")(str(path)))
        for message in warned:
            result.fail(path, f"ObsPy ({form}) warns: {message}", kind="Warning")
        stated = _stated_counts(path) if form in _TEXT else [len(t) for t in traces]
        cut = form in _TEXT and not path.read_bytes()[-1:].isspace()
        blocks = []
        for place, (trace, identifier, n_stated) in enumerate(
            zip(traces, _identifiers(path, traces, result), stated, strict=True), start=1
        ):
            try:
                samples = trace.data
                if len(samples) < n_stated or (cut and place == len(traces)):
                    samples = samples[:-1]
                    result.fail(
                        path,
                        f"trace {place} ({identifier}): truncated, {n_stated} samples stated, "
                        f"{len(trace)} found; the last one may be cut and is left out",
                    )
                blocks += list(_blocks(trace, samples, identifier, _unit(form, trace.stats)))
            except InputError as error:
                result.fail(path, f"trace {place} ({identifier}): {error}")
        if not blocks:
            reasons = "; ".join(f["message"] for f in result.failures) or "it holds no traces"
            raise FormatError(f"nothing can be read from {path} as {form}: {reasons}")
        for block in sorted(blocks, key=lambda b: (b.ids, b.start)):
            result.add(block, start, end)
        return result


def _check_line_lengths(path: Path) -> None:
    """Keep from ObsPy's GSE decoder the lines that overrun its 82-byte buffer and kill the process."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if len(line) > 82 and not line.startswith((b"WID", b"STA")):
                raise FormatError(
                    f"{path} line {number} has {len(line)} characters; GSE allows 82: it is damaged"
                )


def _identifiers(path: Path, traces: list[Any], result: WaveformRead) -> list[str]:
    """Name the traces; those without a station that would share a name are numbered by place in the file."""
    named = [seed_id(t.stats.network, t.stats.station, t.stats.location, t.stats.channel) for t in traces]
    changed = dict.fromkeys(sentence for _, sentence in named if sentence)
    if changed:
        result.fail(path, "; ".join(changed))
    identifiers = [identifier for identifier, _ in named]
    shared = {i for i, n in Counter(identifiers).items() if n > 1 and not i.split(".")[1]}
    if shared:
        result.fail(path, f"{len(traces)} traces state no station; it is written 0001, 0002, ... by place")
    for place, identifier in enumerate(identifiers):
        if identifier in shared:
            network, _, rest = identifier.split(".", 2)
            identifiers[place] = f"{network}.{place + 1:04d}.{rest}"
    return identifiers


def _stated_counts(path: Path) -> list[int]:
    with path.open(encoding="ascii", errors="replace") as lines:
        heads = [line.replace(",", "").split() for line in lines if line.startswith("TIMESERIES")]
    return [int(words[2]) for words in heads]


def _unit(form: str, stats: Any) -> str:
    if form in _TEXT:
        return _STATED.get(str(stats.ascii.unit).upper(), "unknown")
    return "count" if form in _COUNTS else "unknown"


def _blocks(trace: Any, samples: Any, identifier: str, unit: str) -> Iterator[Waveform]:
    if samples.dtype.kind not in "iuf":
        raise InputError(f"samples of type {samples.dtype} are not numbers")
    if trace.stats.starttime.ns == 0:
        raise InputError("states no time (ObsPy would put it at 1970-01-01T00:00:00)")
    rate = float(trace.stats.sampling_rate)
    if not 1e-6 <= rate <= 1e8:
        raise InputError(f"states {rate} samples per second")
    if round(rate) and abs(rate / round(rate) - 1) <= 1e-7:
        rate = float(round(rate))
    whole = Waveform(
        data=native(np.ma.getdata(samples))[np.newaxis, :],
        ids=(identifier,),
        start=as_time(trace.stats.starttime),
        sampling_rate=rate,
        unit=unit,
    )
    if not np.ma.is_masked(samples):
        yield whole
        return
    for run in np.ma.clump_unmasked(samples):  # type: ignore[no-untyped-call]
        piece = whole.slice(whole.time(run.start), whole.time(run.stop))
        if piece is not None:
            yield piece
