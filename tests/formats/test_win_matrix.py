"""Every width, rate, form and variant of WIN with every defect, exact against the independent encoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import win_files
from win_files import JST, MISSING, WIDTHS, Second, channel

from kaname.formats.contract import WaveformRead
from kaname.formats.win import read_win

# A leap second follows the third.
START = datetime(2017, 1, 1, 8, 59, 57)
N_SECOND = 6
RATES = (1, 2, 3, 20, 99, 100, 4096)
LONG_HEADERS = (2, 99)
OTHER_RATE = 20
TRIED, STEADY = 0x00FF, 0xF001


@dataclass
class Case:
    """What a file is made of: the channel blocks of two channels by second, and their samples."""

    form: str
    width: str | int
    tilt: bool
    low_first: bool
    long_header: bool | None
    samples: dict[tuple[int, int], list[int]]

    def __post_init__(self) -> None:
        self.blocks = {place: self.block(place[0], samples) for place, samples in self.samples.items()}

    def block(self, number: int, samples: list[int]) -> bytes:
        tried = number == TRIED
        return channel(
            number,
            samples,
            width=self.width if tried else None,
            network=0x0301 if self.form == "win32" else None,
            long_header=self.long_header if tried else None,
            low_first=self.low_first,
            tilt=self.tilt,
        )

    def seconds(self) -> list[Second]:
        return [
            Second(START + timedelta(seconds=i), [self.blocks[number, i] for number in (TRIED, STEADY)])
            for i in range(N_SECOND)
        ]

    def write(self, seconds: list[Second]) -> bytes:
        return getattr(win_files, self.form)(seconds)

    def head(self) -> int:
        return 4 if self.form == "win32" else 0


def walk(rng: np.random.Generator, n: int, width: str | int, *, tilt: bool, first: int) -> list[int]:
    """Samples whose differences reach both ends of a width; beyond 32 bits they wrap around."""
    limit = {"half": 8, 1: 1 << 7, 2: 1 << 15, 3: 1 << 23, 4: 1 << 31}[width]
    steps = rng.integers(-limit + tilt, limit, n).tolist()
    steps[1:3] = [-limit + tilt, limit - 1][: max(0, min(2, n - 1))]
    out, last = [first], first
    for step in steps[1:]:
        last = (last + step + (1 << 31)) % (1 << 32) - (1 << 31)
        if tilt and (last == MISSING or abs(last - (out[-1] if out[-1] != MISSING else 0)) >= 1 << 31):
            last = out[-1] if out[-1] != MISSING else 5
        out.append(last)
    if tilt and width != 4:
        # A sample that is gone takes its step with it: the next one counts from the last that is there.
        gone = rng.random(n) < min(0.15, 20 / n)
        total, kept = first, [first]
        for step, lost in zip(steps[1:], gone[1:].tolist()):
            total += 0 if lost else step
            kept.append(MISSING if lost else total)
        return kept
    return out


Truth = dict[tuple[int, int], list[int]]
Defect = Callable[[Case], "tuple[bytes, Truth, set[str]]"]


def nothing(case: Case) -> tuple[bytes, Truth, set[str]]:
    return case.write(case.seconds()), case.samples, set()


def missing_second(case: Case) -> tuple[bytes, Truth, set[str]]:
    seconds = case.seconds()
    del seconds[2]
    return case.write(seconds), {k: v for k, v in case.samples.items() if k[1] != 2}, set()


def late_channel(case: Case) -> tuple[bytes, Truth, set[str]]:
    seconds = case.seconds()
    for second in seconds[:2]:
        del second.channels[0]
    return case.write(seconds), {k: v for k, v in case.samples.items() if k[0] == STEADY or k[1] >= 2}, set()


def channel_that_ends_early(case: Case) -> tuple[bytes, Truth, set[str]]:
    seconds = case.seconds()
    for second in seconds[4:]:
        del second.channels[0]
    return case.write(seconds), {k: v for k, v in case.samples.items() if k[0] == STEADY or k[1] < 4}, set()


def out_of_order(case: Case) -> tuple[bytes, Truth, set[str]]:
    seconds = case.seconds()
    return case.write([seconds[i] for i in (3, 0, 5, 1, 4, 2)]), case.samples, set()


def channels_in_another_order(case: Case) -> tuple[bytes, Truth, set[str]]:
    seconds = case.seconds()
    for second in seconds[::2]:
        second.channels.reverse()
    return case.write(seconds), case.samples, set()


def repeated(case: Case) -> tuple[bytes, Truth, set[str]]:
    seconds = case.seconds()
    return case.write([*seconds[:4], seconds[3], *seconds[4:], seconds[0]]), case.samples, set()


def repeated_otherwise(case: Case) -> tuple[bytes, Truth, set[str]]:
    seconds = case.seconds()
    other = [v if v == MISSING else v ^ 1 for v in case.samples[TRIED, 3]]
    again = Second(
        seconds[3].time, [replace(case, width=4, samples={}).block(TRIED, other), seconds[3].channels[1]]
    )
    return case.write([*seconds, again]), case.samples, {"Overlap"}


def put_together(case: Case) -> tuple[bytes, Truth, set[str]]:
    seconds = case.seconds()
    return case.write(seconds[:3]) + case.write(seconds[3:]), case.samples, set()


def leap_second(case: Case) -> tuple[bytes, Truth, set[str]]:
    seconds = case.seconds()
    leap = replace(seconds[2], channels=seconds[1].channels, second=60)
    return case.write([*seconds[:3], leap, *seconds[3:]]), case.samples, {"LeapSecond"}


def rate_that_changes(case: Case) -> tuple[bytes, Truth, set[str]]:
    seconds, samples = case.seconds(), dict(case.samples)
    for i in (4, 5):
        samples[TRIED, i] = [7] * (len(samples[TRIED, i]) + 1)
        seconds[i].channels[0] = replace(case, long_header=None, samples={}).block(TRIED, samples[TRIED, i])
    return case.write(seconds), samples, {"Warning"}


def partial_last_second(case: Case) -> tuple[bytes, Truth, set[str]]:
    seconds, samples = case.seconds(), dict(case.samples)
    samples[TRIED, 5] = [3] * max(1, len(samples[TRIED, 5]) // 2)
    seconds[5].channels[0] = case.block(TRIED, samples[TRIED, 5])
    return case.write(seconds), samples, {"Warning"} if len(case.samples[TRIED, 5]) > 1 else set()


def cut_short(case: Case) -> tuple[bytes, Truth, set[str]]:
    samples = {k: v for k, v in case.samples.items() if k != (STEADY, 5)}
    return case.write(case.seconds())[:-1], samples, {"FormatError"}


def junk_between(case: Case) -> tuple[bytes, Truth, set[str]]:
    seconds = case.seconds()
    behind = case.write(seconds[3:])[case.head() :]
    return case.write(seconds[:3]) + b"\xff" * 37 + behind, case.samples, {"FormatError"}


def damaged_channel(case: Case) -> tuple[bytes, Truth, set[str]]:
    seconds = case.seconds()
    damaged = bytearray(seconds[2].channels[1])
    damaged[4 if case.form == "win32" else 2] = 0x7F  # a width that nobody agrees on
    seconds[2].channels[1] = bytes(damaged)
    return case.write(seconds), {k: v for k, v in case.samples.items() if k != (STEADY, 2)}, {"FormatError"}


DEFECTS: tuple[Defect, ...] = (
    nothing,
    missing_second,
    late_channel,
    channel_that_ends_early,
    out_of_order,
    channels_in_another_order,
    repeated,
    repeated_otherwise,
    put_together,
    leap_second,
    rate_that_changes,
    partial_last_second,
    cut_short,
    junk_between,
    damaged_channel,
)


Series = dict[int, tuple[np.ndarray, np.ndarray]]


def joined(pieces: dict[int, list[tuple[np.ndarray, np.ndarray]]]) -> Series:
    return {n: tuple(np.concatenate(columns) for columns in zip(*parts)) for n, parts in pieces.items()}


def stated(truth: Truth) -> Series:
    """Return times [ns] and samples by channel, without what is marked missing."""
    out: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {}
    begin = np.datetime64(START - JST, "ns").astype(np.int64)
    for (number, second), samples in sorted(truth.items()):
        values = np.array(samples)
        times = begin + second * 10**9 + np.arange(values.size) * 10**9 // values.size
        out.setdefault(number, []).append((times[values != MISSING], values[values != MISSING]))
    return joined(out)


def found(read: WaveformRead) -> Series:
    out: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {}
    # Another rate may be another band, and so another identifier.
    for block in sorted(read.blocks, key=lambda b: b.start):
        steps = (np.arange(block.n_sample) * 1e9 / block.sampling_rate).astype(np.int64)
        number = int(block.ids[0].split(".")[1], 16)
        out.setdefault(number, []).append((block.start.astype(np.int64) + steps, block.data[0]))
    return joined(out)


@pytest.mark.parametrize("form", ["win", "win32"])
@pytest.mark.parametrize("tilt", [False, True], ids=["plain", "tilt"])
@pytest.mark.parametrize(("width", "low_first"), [*((w, False) for w in WIDTHS), ("half", True)])
@pytest.mark.parametrize("rate", RATES)
def test_every_defect(form, tilt, width, low_first, rate, tmp_path: Path) -> None:
    rng = np.random.default_rng(rate)
    samples = {}
    for i in range(N_SECOND):
        samples[TRIED, i] = walk(rng, rate, width, tilt=tilt, first=int(rng.integers(-1000, 1000)))
        samples[STEADY, i] = rng.integers(-50, 50, OTHER_RATE).tolist()
    for long_header in (None, True) if rate in LONG_HEADERS else (None,):
        case = Case(form, width, tilt, low_first, long_header, samples)
        for defect in DEFECTS:
            data, truth, errors = defect(case)
            (tmp_path / "w").write_bytes(data)
            read = read_win(
                tmp_path / "w",
                variant="tilt" if tilt else "plain",
                nibbles="low first" if low_first else "high first",
            )
            told = {row["error"] for row in read.failures}
            assert told == errors, (defect.__name__, read.failures)
            if not tilt and defect in (nothing, repeated, put_together, out_of_order, leap_second):
                assert len(read.blocks) == 2, defect.__name__
            expected, got = stated(truth), found(read)
            assert got.keys() == expected.keys(), defect.__name__
            for number, (times, values) in expected.items():
                np.testing.assert_array_equal(got[number][1], values, defect.__name__)
                assert np.abs(got[number][0] - times).max() <= 1, (defect.__name__, number)
