"""The gap-free block of samples that every room passes on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import isfinite
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kaname.core.errors import InputError
from kaname.core.time import NS_PER_S, as_time
from kaname.core.units import check_unit


@dataclass(frozen=True, eq=False)
class Waveform:
    """Samples of one or several channels, without gaps, on one clock.

    A gap means two blocks; nothing is ever silently joined or filled.

    Parameters
    ----------
    data
        Samples, shape ``(n_channel, n_sample)``, integer or floating point, in `unit`.
    ids
        One SEED identifier ``NET.STA.LOC.CHA`` per channel.
    start
        UTC time of the first sample.
    sampling_rate
        Samples per second [Hz].
    unit
        Unit of the samples, see `kaname.core.units`.
    """

    data: NDArray[Any]
    ids: tuple[str, ...]
    start: np.datetime64
    sampling_rate: float
    unit: str = field(default="count")

    def __post_init__(self) -> None:
        data = np.asarray(self.data)
        if data.ndim != 2:
            raise InputError(f"waveform data must have shape (n_channel, n_sample), found {data.shape}")
        if data.shape[0] != len(self.ids):
            raise InputError(f"{data.shape[0]} channels of data but {len(self.ids)} identifiers {self.ids}")
        if data.shape[1] == 0:
            raise InputError(f"waveform of {', '.join(self.ids)} has no samples")
        if not (isfinite(self.sampling_rate) and self.sampling_rate > 0):
            raise InputError(f"sampling rate must be positive, found {self.sampling_rate} Hz in {self.ids}")
        for identifier in self.ids:
            if identifier.count(".") != 3:
                raise InputError(f"{identifier!r} is not a SEED identifier NET.STA.LOC.CHA")
        check_unit(self.unit)
        # Most blocks are made by readers with all of these in order, and a frozen field is slow to set.
        start = as_time(self.start)
        if data is not self.data:
            object.__setattr__(self, "data", data)
        if type(self.ids) is not tuple:
            object.__setattr__(self, "ids", tuple(self.ids))
        if start is not self.start:
            object.__setattr__(self, "start", start)
        if type(self.sampling_rate) is not float:
            object.__setattr__(self, "sampling_rate", float(self.sampling_rate))

    @property
    def n_channel(self) -> int:
        """Number of channels."""
        return int(self.data.shape[0])

    @property
    def n_sample(self) -> int:
        """Number of samples of each channel."""
        return int(self.data.shape[1])

    @property
    def end(self) -> np.datetime64:
        """UTC time of the last sample."""
        return self.time(self.n_sample - 1)

    @property
    def following(self) -> np.datetime64:
        """UTC time at which a contiguous next block starts."""
        return self.time(self.n_sample)

    @property
    def duration_s(self) -> float:
        """Seconds covered, one sample interval per sample."""
        return self.n_sample / self.sampling_rate

    @property
    def sensor(self) -> str:
        """``NET.STA.LOC.BI``: the first channel's identifier without its orientation code."""
        return sensor_of(self.ids[0])

    def time(self, index: float) -> np.datetime64:
        """UTC time of a (fractional) sample index."""
        return self.start + np.timedelta64(round(index / self.sampling_rate * NS_PER_S), "ns")

    def index(self, time: np.datetime64) -> float:
        """Fractional sample index of a UTC time; may lie outside the block."""
        return float((as_time(time) - self.start).astype(np.int64)) * self.sampling_rate / NS_PER_S

    def slice(self, start: np.datetime64, end: np.datetime64) -> Self | None:
        """Return the samples with ``start <= time < end``, or ``None`` when there are none.

        A millionth of a sample of tolerance keeps rounding to nanoseconds from moving an edge.
        """
        first = max(0, int(np.ceil(self.index(start) - 1e-6)))
        last = min(self.n_sample, int(np.ceil(self.index(end) - 1e-6)))
        if first >= last:
            return None
        return replace(self, data=self.data[:, first:last], start=self.time(first))

    def select(self, ids: Sequence[str]) -> Self:
        """Return a block of the named channels, in that order."""
        missing = [i for i in ids if i not in self.ids]
        if missing:
            raise InputError(f"no channel {', '.join(missing)} in this block of {', '.join(self.ids)}")
        return replace(self, data=self.data[[self.ids.index(i) for i in ids]], ids=tuple(ids))

    def follows(self, previous: Waveform, *, tolerance: float = 0.5) -> bool:
        """Tell whether this block is the next one of ``previous``: same channels, rate, unit, type; no gap.

        ``tolerance`` is how far the first sample may lie from its due time, in samples.
        """
        if (self.ids, self.unit, self.data.dtype) != (previous.ids, previous.unit, previous.data.dtype):
            return False
        if abs(self.sampling_rate / previous.sampling_rate - 1) > 1e-4:
            return False
        return abs(previous.index(self.start) - previous.n_sample) <= tolerance

    @classmethod
    def from_trace(cls, trace: Any, *, unit: str = "count") -> Self:
        """Make a block from an ObsPy ``Trace``; a masked trace raises (split it first)."""
        if np.ma.isMaskedArray(trace.data) and np.ma.is_masked(trace.data):
            raise InputError(f"{trace.id} has masked samples; split the trace at its gaps first")
        return cls(
            data=np.ma.getdata(trace.data)[np.newaxis, :],
            ids=(trace.id,),
            start=as_time(trace.stats.starttime),
            sampling_rate=trace.stats.sampling_rate,
            unit=unit,
        )

    def to_stream(self) -> Any:
        """Return an ObsPy ``Stream`` with one trace per channel; the samples are copied."""
        from obspy import Stream, Trace, UTCDateTime

        stream = Stream()
        for identifier, samples in zip(self.ids, self.data):
            network, station, location, channel = identifier.split(".")
            header = {
                "network": network,
                "station": station,
                "location": location,
                "channel": channel,
                "starttime": UTCDateTime(ns=int(self.start.astype(np.int64))),
                "sampling_rate": self.sampling_rate,
            }
            stream.append(Trace(samples.copy(), header))
        return stream


def sensor_of(identifier: str) -> str:
    """Return ``NET.STA.LOC.BI`` of ``NET.STA.LOC.BIO``: what the components of one sensor share."""
    return identifier[:-1] if len(identifier.rsplit(".", 1)[1]) > 1 else identifier


def join(blocks: Iterable[Waveform], *, tolerance: float = 0.5) -> list[Waveform]:
    """Concatenate blocks that follow one another exactly; everything else stays apart.

    Blocks are taken in the given order; sort by start first when that is not the order of time.
    """
    runs: list[list[Waveform]] = []
    n_sample = 0
    for block in blocks:
        # Against the run's own clock too, so that many small drifts cannot add up to a silent shift.
        if (
            runs
            and block.follows(runs[-1][-1], tolerance=tolerance)
            and abs(runs[-1][0].index(block.start) - n_sample) <= tolerance
        ):
            runs[-1].append(block)
            n_sample += block.n_sample
        else:
            runs.append([block])
            n_sample = block.n_sample
    return [
        run[0] if len(run) == 1 else replace(run[0], data=np.concatenate([b.data for b in run], axis=1))
        for run in runs
    ]


def align(blocks: Sequence[Waveform]) -> list[Waveform]:
    """Put the single-channel blocks of one sensor on common, gap-free, multi-channel blocks.

    Each stretch of time gets one block with the channels that have data there, sorted by identifier: a
    component that drops out ends the block. Channels are matched to the nearest sample of the first one,
    so a component may be read up to half a sample off; blocks of another rate stay apart.

    Parameters
    ----------
    blocks
        Blocks of one channel each; blocks of the same channel must not overlap.
    """
    out: list[Waveform] = []
    rates: list[float] = []
    for block in blocks:
        if not any(abs(block.sampling_rate / r - 1) <= 1e-4 for r in rates):
            rates.append(block.sampling_rate)
    for rate in rates:
        out.extend(_align_rate([b for b in blocks if abs(b.sampling_rate / rate - 1) <= 1e-4]))
    return sorted(out, key=lambda b: (b.start, b.ids))


def _align_rate(blocks: list[Waveform]) -> list[Waveform]:
    reference = min(blocks, key=lambda b: b.start)
    first = [round(reference.index(b.start)) for b in blocks]
    last = [f + b.n_sample for f, b in zip(first, blocks)]
    edges = sorted({*first, *last})
    out: list[Waveform] = []
    for low, high in pairwise(edges):
        members = sorted(
            (i for i in range(len(blocks)) if first[i] <= low and last[i] >= high),
            key=lambda i: blocks[i].ids,
        )
        if not members:
            continue
        ids = tuple(blocks[i].ids[0] for i in members)
        if len(set(ids)) < len(ids):
            raise InputError(f"overlapping blocks of the same channel in {', '.join(ids)}")
        data = np.stack([blocks[i].data[0, low - first[i] : high - first[i]] for i in members])
        out.append(replace(reference, data=data, ids=ids, start=reference.time(low)))
    return join(out)
