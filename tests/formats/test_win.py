"""WIN and WIN32 against an independent encoder: every width, rate, variant and defect; ObsPy's real files."""

from __future__ import annotations

import warnings
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import obspy
import pytest
import win_files
from win_files import JST, MISSING, WIDTHS, Second, channel

from kaname.core.errors import FormatError, InputError
from kaname.formats.contract import WaveformRead, read_waveforms
from kaname.formats.win import read_win

START = datetime(2011, 3, 11, 14, 46, 18)
RATES = (1, 2, 3, 20, 99, 100, 101, 255, 256, 1000, 4095, 4096, 20_000)
LIMIT = {"half": 8, 1: 128, 2: 1 << 15, 3: 1 << 23, 4: 1 << 31}
FORMS = ("win", "win32")


def _network(form: str) -> int | None:
    return 0x0301 if form == "win32" else None


def _name(form: str, number: int, band: str = "H") -> str:
    return f"{'0301' if form == 'win32' else ''}.{number:04X}..{band}Y1"


def _read(path: Path, form: str, seconds: list[Second], **options: object) -> WaveformRead:
    path.write_bytes(getattr(win_files, form)(seconds))
    return read_win(path, **options)


def _walk(rng: np.random.Generator, n: int, width: object) -> list[int]:
    """Samples whose differences reach both ends of a width; beyond 32 bits they wrap around."""
    high = LIMIT[width]
    steps = rng.integers(-high, high, n).tolist()
    steps[1:3] = [-high, high - 1][: max(0, min(2, n - 1))]
    out = [int(rng.integers(-(1 << 20), 1 << 20))]
    for step in steps[1:n]:
        out.append((out[-1] + step + (1 << 31)) % (1 << 32) - (1 << 31))
    return out


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("low_first", [False, True])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("rate", RATES)
def test_every_width_and_rate(form, width, rate, low_first, tmp_path) -> None:
    if low_first and (width != "half" or rate > 300):
        return
    rng = np.random.default_rng(rate)
    truth = [_walk(rng, rate, width) for _ in range(3)]
    seconds = [
        Second(
            START + timedelta(seconds=i),
            [channel(0x00FF, samples, width=width, network=_network(form), low_first=low_first)],
        )
        for i, samples in enumerate(truth)
    ]
    read = _read(tmp_path / "w", form, seconds, nibbles="low first" if low_first else "high first")
    assert not read.failures
    (block,) = read.blocks
    assert block.data.dtype == np.int32
    assert block.data[0].tolist() == [v for piece in truth for v in piece]
    assert block.start == np.datetime64("2011-03-11T05:46:18")
    assert (block.sampling_rate, block.unit) == (rate, "count")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rate", [1, 2, 100, 4095])
def test_twenty_bit_header_of_a_low_rate(form, rate, tmp_path) -> None:
    truth = _walk(np.random.default_rng(1), rate, 1)
    blocks = [channel(1, truth, width=1, network=_network(form), long_header=True)]
    (block,) = _read(tmp_path / "w", form, [Second(START, blocks)]).blocks
    assert (block.sampling_rate, block.data[0].tolist()) == (rate, truth)


def test_widths_and_rates_change_from_second_to_second(tmp_path) -> None:
    rng = np.random.default_rng(3)
    pieces = [_walk(rng, 100, width) for width in WIDTHS for _ in range(2)]
    seconds = [Second(START + timedelta(seconds=i), [channel(5, p)]) for i, p in enumerate(pieces)]
    (block,) = _read(tmp_path / "w", "win", seconds).blocks
    assert block.data[0].tolist() == [v for piece in pieces for v in piece]
    slow = [Second(START + timedelta(seconds=10 + i), [channel(5, [1, 2, 3])]) for i in range(2)]
    read = _read(tmp_path / "w", "win", seconds + slow)
    assert [(b.ids[0], b.sampling_rate, b.n_sample) for b in read.blocks] == [
        (".0005..HY1", 100.0, 1000),
        (".0005..MY1", 3.0, 6),
    ]
    (row,) = read.failures
    assert (row["error"], "rate changes 1 times" in row["message"]) == ("Warning", True)


@pytest.mark.parametrize("form", FORMS)
class TestTime:
    def test_japan_or_utc(self, form, tmp_path) -> None:
        second = Second(datetime(2024, 1, 1, 0, 0, 0), [channel(1, [5], network=_network(form))])
        assert _read(tmp_path / "w", form, [second]).blocks[0].start == np.datetime64("2023-12-31T15:00")
        read = _read(tmp_path / "w", form, [second], clock="UTC")
        assert read.blocks[0].start == np.datetime64("2024-01-01")

    @pytest.mark.parametrize("year", [1970, 1989, 1995, 1999, 2000, 2026, 2069])
    def test_two_digits_of_the_year(self, form, year, tmp_path) -> None:
        second = Second(datetime(year, 2, 28, 23, 59, 59), [channel(1, [5], network=_network(form))])
        read = _read(tmp_path / "w", form, [second], clock="UTC")
        assert read.blocks[0].start == np.datetime64(f"{year}-02-28T23:59:59")

    @pytest.mark.parametrize("day", ["1972-02-29", "2000-02-29", "2024-02-29", "2024-12-31", "2025-03-01"])
    def test_calendar(self, form, day, tmp_path) -> None:
        when = datetime.fromisoformat(day)
        seconds = [
            Second(when + timedelta(hours=24, seconds=i), [channel(1, [i], network=_network(form))])
            for i in range(-2, 2)
        ]
        (block,) = _read(tmp_path / "w", form, seconds, clock="UTC").blocks
        assert block.start == np.datetime64(day) + np.timedelta64(86398, "s")
        assert block.data[0].tolist() == [-2, -1, 0, 1]

    @pytest.mark.parametrize("place", [0, 1, 2, 3, 4, 5])
    def test_digits_that_are_none(self, form, place, tmp_path) -> None:
        good = [
            Second(START + timedelta(seconds=i), [channel(1, [i] * 9, network=_network(form))])
            for i in range(3)
        ]
        data = bytearray(getattr(win_files, form)(good))
        size = len(good[0].win32() if form == "win32" else good[0].win())
        at = (4 + size + 1 if form == "win32" else size + 4) + place
        data[at] = 0xFA
        (tmp_path / "w").write_bytes(data)
        read = read_win(tmp_path / "w")
        assert [b.data[0].tolist() for b in read.blocks] == [[0] * 9, [2] * 9]
        assert "no second block begins there" in read.failures[0]["message"]

    def test_leap_second(self, form, tmp_path) -> None:
        before = datetime(2017, 1, 1, 8, 59, 59)
        seconds = [
            Second(before, [channel(1, [1, 2], network=_network(form))]),
            Second(before, [channel(1, [3, 4], network=_network(form))], second=60),
            Second(before + timedelta(seconds=1), [channel(1, [5, 6], network=_network(form))]),
        ]
        read = _read(tmp_path / "w", form, seconds)
        (block,) = read.blocks
        assert block.start == np.datetime64("2016-12-31T23:59:59")
        assert block.data[0].tolist() == [1, 2, 5, 6]
        (row,) = read.failures
        assert (row["error"], row["message"][:9]) == ("LeapSecond", "2 samples")

    def test_second_60_elsewhere_is_damage(self, form, tmp_path) -> None:
        blocks = [channel(1, [1, 2], network=_network(form))]
        seconds = [Second(START, blocks), Second(START, blocks, second=60)]
        assert "left out" in _read(tmp_path / "w", form, seconds).failures[0]["message"]


@pytest.mark.parametrize("form", FORMS)
class TestDefects:
    def _seconds(self, form: str, n: int, channels: int = 2, rate: int = 20) -> list[Second]:
        rng = np.random.default_rng(n)
        return [
            Second(
                START + timedelta(seconds=i),
                [
                    channel(c + 1, _walk(rng, rate, WIDTHS[(c + i) % 5]), network=_network(form))
                    for c in range(channels)
                ],
            )
            for i in range(n)
        ]

    def test_missing_seconds_part_blocks(self, form, tmp_path) -> None:
        seconds = self._seconds(form, 7)
        whole = _read(tmp_path / "w", form, seconds).blocks
        read = _read(tmp_path / "w", form, seconds[:2] + seconds[3:])
        assert [(b.ids, b.n_sample) for b in read.blocks] == [
            ((_name(form, c, "B"),), n) for c in (1, 2) for n in (40, 80)
        ]
        for block in read.blocks:
            (truth,) = (t.slice(block.start, block.following) for t in whole if t.ids == block.ids)
            np.testing.assert_array_equal(block.data, truth.data)

    def test_channel_that_begins_late_and_one_that_ends_early(self, form, tmp_path) -> None:
        seconds = self._seconds(form, 5, channels=3)
        seconds[0].channels.pop(1)
        seconds[-1].channels.pop(2)
        read = _read(tmp_path / "w", form, seconds)
        begin = np.datetime64(START - JST)
        assert [(b.ids[0], (b.start - begin) / np.timedelta64(1, "s"), b.n_sample) for b in read.blocks] == [
            (_name(form, 1, "B"), 0, 100),
            (_name(form, 2, "B"), 1, 80),
            (_name(form, 3, "B"), 0, 80),
        ]

    def test_order_of_time_does_not_matter(self, form, tmp_path) -> None:
        seconds = self._seconds(form, 9)
        truth = _read(tmp_path / "w", form, seconds)
        shuffled = [seconds[i] for i in (4, 0, 8, 2, 1, 3, 7, 6, 5)]
        read = _read(tmp_path / "w", form, shuffled)
        assert not read.failures
        for block, expected in zip(read.blocks, truth.blocks, strict=True):
            assert (block.ids, block.start) == (expected.ids, expected.start)
            np.testing.assert_array_equal(block.data, expected.data)

    def test_files_put_together_are_one(self, form, tmp_path) -> None:
        seconds = self._seconds(form, 6)
        write = getattr(win_files, form)
        (tmp_path / "w").write_bytes(write(seconds[:3]) + write(seconds[3:]))
        read = read_win(tmp_path / "w")
        assert not read.failures
        assert [b.n_sample for b in read.blocks] == [120, 120]

    def test_exact_repetitions_are_read_once(self, form, tmp_path) -> None:
        seconds = self._seconds(form, 4)
        read = _read(tmp_path / "w", form, [*seconds, *seconds[1:3], seconds[2]])
        assert not read.failures
        assert [b.n_sample for b in read.blocks] == [80, 80]

    def test_repetitions_in_another_width_agree(self, form, tmp_path) -> None:
        one, other = (
            Second(START, [channel(1, [1, 2, 3, 4], network=_network(form), width=w)]) for w in (1, 4)
        )
        read = _read(tmp_path / "w", form, [one, other])
        assert not read.failures
        assert [b.data[0].tolist() for b in read.blocks] == [[1, 2, 3, 4]]

    def test_recordings_that_disagree_are_told(self, form, tmp_path) -> None:
        seconds = [
            Second(START + timedelta(seconds=i), [channel(1, [v, v + 1], network=_network(form))])
            for i, v in ((0, 10), (1, 20), (1, 90), (2, 30))
        ]
        read = _read(tmp_path / "w", form, seconds)
        assert [b.data[0].tolist() for b in read.blocks] == [[10, 11, 20, 21, 30, 31]]
        (row,) = read.failures
        assert (row["error"], "disagree in 2 samples" in row["message"]) == ("Overlap", True)

    def test_truncated_anywhere_gives_the_beginning(self, form, tmp_path) -> None:
        seconds = self._seconds(form, 3)
        data = getattr(win_files, form)(seconds)
        (tmp_path / "whole").write_bytes(data)
        truth = {b.ids: b.data[0] for b in read_win(tmp_path / "whole").blocks}
        edges = {0}
        for n in (1, 2, 3):
            edges.add(len(getattr(win_files, form)(seconds[:n])))
        for cut in range(1, len(data), 3):
            (tmp_path / "w").write_bytes(data[:cut])
            try:
                read = read_win(tmp_path / "w")
            except FormatError:
                continue
            assert read.failures or cut in edges
            for block in read.blocks:
                np.testing.assert_array_equal(block.data[0], truth[block.ids][: block.n_sample])

    def test_damage_inside_a_second_costs_no_other(self, form, tmp_path) -> None:
        seconds = self._seconds(form, 5)
        truth = _read(tmp_path / "w", form, seconds)
        damaged = bytearray(seconds[2].channels[0])
        damaged[4 if form == "win32" else 2] = 0x7F  # neither a width nor this many samples
        seconds[2].channels[0] = bytes(damaged)
        read = _read(tmp_path / "w", form, seconds)
        assert [b.n_sample for b in read.blocks] == [40, 40, 40, 40]
        for block in read.blocks:
            (whole,) = (t for t in truth.blocks if t.ids == block.ids)
            np.testing.assert_array_equal(block.data, whole.slice(block.start, block.following).data)
        (row,) = read.failures
        assert "do not fill their second" in row["message"]
        assert row["start"] == np.datetime64(START - JST) + np.timedelta64(2, "s")

    def test_junk_between_seconds(self, form, tmp_path) -> None:
        seconds = self._seconds(form, 4)
        write = getattr(win_files, form)
        tail = write(seconds[2:])[4 if form == "win32" else 0 :]
        (tmp_path / "w").write_bytes(write(seconds[:2]) + b"\xffjunk" * 11 + tail + bytes(77))
        read = read_win(tmp_path / "w")
        assert [b.n_sample for b in read.blocks] == [80, 80]
        assert [f["message"].split(" bytes")[0] for f in read.failures] == ["55", "77"]

    def test_size_that_lies(self, form, tmp_path) -> None:
        seconds = self._seconds(form, 4)
        for size in (0, 9, 17, 40, 1 << 20, (1 << 32) - 1):
            data = bytearray(getattr(win_files, form)(seconds))
            one = len(seconds[0].win32() if form == "win32" else seconds[0].win())
            at = 4 + one + 12 if form == "win32" else one
            data[at : at + 4] = size.to_bytes(4, "big")
            (tmp_path / "w").write_bytes(data)
            read = read_win(tmp_path / "w")
            assert read.failures
            assert sum(b.n_sample for b in read.blocks) >= 120, size

    def test_second_without_channels(self, form, tmp_path) -> None:
        seconds = self._seconds(form, 2)
        seconds[0].channels.clear()
        read = _read(tmp_path / "w", form, seconds)
        assert not read.failures
        assert [b.n_sample for b in read.blocks] == [20, 20]
        assert len(read_waveforms(tmp_path / "w").blocks) == 2
        with pytest.raises(FormatError, match="no second block"):
            _read(tmp_path / "w", form, seconds[:1])

    def test_width_that_nobody_agrees_on(self, form, tmp_path) -> None:
        block = bytearray(channel(1, [1, 2, 3], network=_network(form), width=4))
        block[4 if form == "win32" else 2] = 0x50
        with pytest.raises(FormatError):
            _read(tmp_path / "w", form, [Second(START, [bytes(block)])])

    def test_window(self, form, tmp_path) -> None:
        read = _read(tmp_path / "w", form, self._seconds(form, 6))
        low, high = (np.datetime64(START - JST) + np.timedelta64(ms, "ms") for ms in (1_930, 4_120))
        window = read_win(tmp_path / "w", start=low, end=high)
        for block, whole in zip(window.blocks, read.blocks, strict=True):
            expected = whole.slice(low, high)
            assert block.start == expected.start
            np.testing.assert_array_equal(block.data, expected.data)
        after = np.datetime64("2030-01-01")
        assert not read_win(tmp_path / "w", start=after).blocks


def test_frames_of_half_a_second(tmp_path) -> None:
    halves = [
        Second(
            START + timedelta(seconds=i // 2),
            [channel(1, [2 * i, 2 * i + 1], network=0)],
            None,
            50 * (i % 2),
            5,
        )
        for i in range(6)
    ]
    (block,) = _read(tmp_path / "w", "win32", halves).blocks
    assert (block.sampling_rate, block.data[0].tolist()) == (4.0, list(range(12)))
    (tail,) = _read(tmp_path / "w", "win32", halves[1:2]).blocks
    assert tail.start == np.datetime64("2011-03-11T05:46:18.500")
    whole = Second(START + timedelta(seconds=3), [channel(1, [12, 13, 14, 15], network=0)])
    (block,) = _read(tmp_path / "w", "win32", [*halves, whole]).blocks
    assert block.data[0].tolist() == list(range(16))
    (long,) = _read(
        tmp_path / "w", "win32", [Second(START, [channel(1, [1] * 60, network=0)], frame=600)]
    ).blocks
    assert long.sampling_rate == 1.0


def test_frame_of_no_length_is_a_second_and_told(tmp_path) -> None:
    read = _read(tmp_path / "w", "win32", [Second(START, [channel(1, [1, 2], network=0)], frame=0)])
    assert read.blocks[0].sampling_rate == 2
    assert "length of 0" in read.failures[0]["message"]


def test_networks_of_win32_are_apart(tmp_path) -> None:
    second = Second(START, [channel(1, [n, n], network=n) for n in (0x0101, 0x0120, 0xFFFF)])
    read = _read(tmp_path / "w", "win32", [second])
    assert [b.ids[0] for b in read.blocks] == [f"{n}.0001..MY1" for n in ("0101", "0120", "FFFF")]


class TestTilt:
    @pytest.mark.parametrize("width", WIDTHS)
    @pytest.mark.parametrize("rate", [1, 2, 19, 100, 5000])
    def test_marks_are_gaps(self, width, rate, tmp_path) -> None:
        rng = np.random.default_rng(rate)
        samples, value = [], 1000
        for _ in range(rate):
            value += int(rng.integers(1 - LIMIT[width], LIMIT[width])) // (4 if width == 4 else 1)
            value = max(min(value, 1 << 30), -(1 << 30)) if width == 4 else value
            samples.append(value)
        gone = rng.random(rate) < 0.2
        gone[0] = False
        truth = [MISSING if g else s for g, s in zip(gone, samples)]
        # What is left after a gap may differ by more than the width holds.
        block = channel(3, truth, tilt=True)
        read = _read(tmp_path / "w", "win", [Second(START, [block])], variant="tilt")
        assert not read.failures
        found = np.full(rate, MISSING, np.int64)
        for piece in read.blocks:
            at = round((piece.start - np.datetime64(START - JST)) / np.timedelta64(1, "ns") * rate / 1e9)
            found[at : at + piece.n_sample] = piece.data[0]
        assert found.tolist() == truth

    @pytest.mark.parametrize("width", WIDTHS)
    def test_every_mark_of_a_width(self, width, tmp_path) -> None:
        block = channel(3, [7, MISSING, 8, MISSING, MISSING, 6], width=width, tilt=True)
        read = _read(tmp_path / "w", "win", [Second(START, [block])], variant="tilt")
        assert [b.data[0].tolist() for b in read.blocks] == [[7], [8], [6]]
        (plain,) = _read(tmp_path / "w", "win", [Second(START, [block])]).blocks
        assert plain.data[0, 1] == (7 - LIMIT[width] + (1 << 31)) % (1 << 32) - (1 << 31)

    def test_first_sample_missing(self, tmp_path) -> None:
        block = channel(3, [MISSING, MISSING, -70_000, -69_999], tilt=True)
        read = _read(tmp_path / "w", "win", [Second(START, [block])], variant="tilt")
        (piece,) = read.blocks
        assert piece.data[0].tolist() == [-70_000, -69_999]
        assert piece.start == np.datetime64(START - JST) + np.timedelta64(500, "ms")

    def test_nothing_to_count_from(self, tmp_path) -> None:
        block = channel(3, [MISSING, 5, 6, MISSING], width=1, tilt=True)
        whole = channel(4, [1, 2, 3, 4], width=1, tilt=True)
        read = _read(tmp_path / "w", "win", [Second(START, [block, whole])], variant="tilt")
        assert [b.ids[0] for b in read.blocks] == [".0004..MY1"]
        assert ".0003..MY1: 2 samples left out" in read.failures[0]["message"]

    def test_by_name(self, tmp_path) -> None:
        _read(tmp_path / "w", "win", [Second(START, [channel(3, [1, MISSING, 2], tilt=True)])])
        assert len(read_waveforms(tmp_path / "w", format="win-tilt").blocks) == 2


def test_random_bytes_that_begin_well_are_not_believed(tmp_path) -> None:
    rng = np.random.default_rng(0)
    head = win_files.win([Second(START, [channel(1, list(range(100)))])])[:10]
    for _ in range(200):
        path = tmp_path / "noise"
        path.write_bytes(head + rng.integers(0, 256, 5000, np.uint8).tobytes())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                read = read_waveforms(path, format="win")
            except FormatError:
                continue
        assert read.failures


def test_unknown_options(tmp_path) -> None:
    (tmp_path / "w").write_bytes(b"x")
    for option in ({"clock": "GMT"}, {"variant": "tilted"}, {"nibbles": "low"}):
        with pytest.raises(InputError, match="expected"):
            read_win(tmp_path / "w", **option)


@pytest.mark.parametrize("n_byte", [0, 1, 3, 4, 9, 17])
def test_too_short(n_byte, tmp_path) -> None:
    (tmp_path / "w").write_bytes(bytes(n_byte))
    with pytest.raises(FormatError):
        read_win(tmp_path / "w")


class TestRealFiles:
    """Minutes that ObsPy ships; where ObsPy is right (samples, rates), we are equal; JST is UTC+9."""

    def test_equal_to_obspy(self, shared_data) -> None:
        files = sorted((shared_data / "japan" / "win_obspy").iterdir())
        assert len(files) == 14
        for path in files:
            stream = {t.stats.channel.upper(): t for t in obspy.read(str(path), format="WIN")}
            read = read_waveforms(path)
            assert not read.failures
            assert len(read.blocks) == len(stream)
            for block in read.blocks:
                trace = stream[block.ids[0].split(".")[1]]
                np.testing.assert_array_equal(block.data[0], trace.data)
                assert block.sampling_rate == trace.stats.sampling_rate
                assert block.start + np.timedelta64(9, "h") == np.datetime64(trace.stats.starttime.ns, "ns")

    def test_eleven_minutes_are_one_record(self, shared_data, tmp_path) -> None:
        files = sorted((shared_data / "japan" / "win_obspy").glob("10030302.*"))
        (tmp_path / "w").write_bytes(b"".join(p.read_bytes() for p in files))
        read = read_waveforms(tmp_path / "w")
        assert not read.failures
        assert [b.n_sample for b in read.blocks] == [66_000, 66_000]
