"""What is written as WIN is what the independent encoder writes, and comes back; through miniSEED 3 too."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pytest
import win_files
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from win_files import JST, MISSING, Second, channel

from kaname.core.errors import InputError, StorageError
from kaname.core.waveform import Waveform
from kaname.formats.contract import read_waveforms
from kaname.formats.miniseed import write_miniseed
from kaname.formats.win import read_win
from kaname.formats.win_writer import pack_win, whole_seconds, write_win

START = np.datetime64("2011-03-11T05:46:18")
BEGIN = datetime(2011, 3, 11, 14, 46, 18)


def _block(samples, name="0101.1A2B..HY1", start=START, rate=100.0) -> Waveform:
    return Waveform(np.asarray(samples)[np.newaxis, :], (name,), start, rate)


def _walk(seed: int, n: int, high: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.clip(np.cumsum(rng.integers(-high, high + 1, n)), -(1 << 31), (1 << 31) - 1).astype(np.int32)


@pytest.mark.parametrize("form", ["win", "win32"])
@pytest.mark.parametrize("rate", [1, 2, 3, 100, 101, 4095, 4096])
@pytest.mark.parametrize("high", [3, 7, 8, 100, 30_000, 8_000_000, 2_000_000_000])
def test_the_same_bytes_as_the_independent_encoder(form, rate, high) -> None:
    network = 0x0101 if form == "win32" else None
    names = [f"{'0101' if network else ''}.{n:04X}..HY1" for n in (0x1A2B, 0x0001)]
    walks = [_walk(i, 3 * rate, high) for i in range(2)]
    packed = pack_win([_block(w, name, START, rate) for w, name in zip(walks, names)], form=form)
    seconds = [
        Second(
            BEGIN + timedelta(seconds=i),
            [
                channel(number, walk[i * rate : (i + 1) * rate].tolist(), network=network)
                for number, walk in ((0x0001, walks[1]), (0x1A2B, walks[0]))
            ],
        )
        for i in range(3)
    ]
    assert packed == getattr(win_files, form)(seconds)


def test_differences_beyond_32_bits_wrap_around(tmp_path) -> None:
    samples = np.array([-(1 << 31), (1 << 31) - 1, 0, -(1 << 31)], np.int32)
    path = write_win([_block(samples, rate=4.0)], tmp_path / "w")
    np.testing.assert_array_equal(read_win(path).blocks[0].data[0], samples)


def test_tilt_variant_like_the_encoder(tmp_path) -> None:
    rng = np.random.default_rng(8)
    for high in (3, 100, 30_000, 1 << 20):
        for _ in range(20):
            samples = _walk(int(rng.integers(1 << 30)), 60, high)
            samples[rng.random(60) < 0.3] = MISSING
            packed = pack_win([_block(samples, ".0003..SY1", rate=20.0)], form="win", variant="tilt")
            seconds = [
                Second(
                    BEGIN + timedelta(seconds=i),
                    [channel(3, samples[20 * i : 20 * i + 20].tolist(), tilt=True)],
                )
                for i in range(3)
            ]
            assert packed == win_files.win(seconds)


channels = st.lists(
    st.tuples(
        st.integers(0, 0xFFFFFFFF),
        st.sampled_from([1, 2, 3, 5, 10, 100, 101]),
        st.integers(0, 5),
        st.integers(1, 4),
        st.sampled_from([1, 7, 8, 200, 40_000, 1 << 25, (1 << 31) - 1]),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda c: c[0],
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(channels=channels, wide=st.booleans(), clock=st.sampled_from(["JST", "UTC"]))
def test_round_trip(channels, wide, clock, tmp_path) -> None:
    blocks = {}
    for key, rate, late, n_second, high in channels:
        name = f"{key >> 16:04X}.{key & 0xFFFF:04X}..HY1" if wide else f".{key & 0xFFFF:04X}..HY1"
        start = START + np.timedelta64(late, "s")
        blocks[name] = _block(_walk(key % 999, rate * n_second, high), name, start, rate)
    path = write_win(blocks.values(), tmp_path / "w", form="win32" if wide else "win", clock=clock)
    read = read_win(path, clock=clock)
    assert not read.failures
    assert len(read.blocks) == len(blocks)
    for block in read.blocks:
        truth = blocks[block.ids[0].rsplit(".", 1)[0] + ".HY1"]
        assert (block.start, block.sampling_rate) == (truth.start, truth.sampling_rate)
        np.testing.assert_array_equal(block.data, truth.data)
    again = pack_win(
        [_block(b.data[0], b.ids[0], b.start, b.sampling_rate) for b in read.blocks],
        form="win32" if wide else "win",
        clock=clock,
    )
    assert again == path.read_bytes()


def test_win32_to_miniseed_3_and_back(tmp_path) -> None:
    truth = [_block(_walk(i, 6000, 10 ** (i % 7)), f"0101.{i:04X}..HY1") for i in range(40)]
    win32 = write_win(truth, tmp_path / "a.cnt")
    mseed = write_miniseed(read_waveforms(win32).blocks, tmp_path / "a.mseed3", version=3)
    read = read_waveforms(mseed)
    assert not read.failures
    for block, expected in zip(read.blocks, truth, strict=True):
        assert (block.ids, block.start, block.sampling_rate) == (
            expected.ids,
            expected.start,
            expected.sampling_rate,
        )
        np.testing.assert_array_equal(block.data, expected.data)
    assert write_win(read.blocks, tmp_path / "b.cnt").read_bytes() == win32.read_bytes()


class TestWholeSeconds:
    def test_the_rest_is_told(self) -> None:
        start = START - np.timedelta64(30, "ms")
        block, rows = whole_seconds(_block(np.arange(258), start=start))
        assert block.start == START
        assert block.data[0].tolist() == list(range(3, 203))
        assert [(r["start"], r["end"]) for r in rows] == [
            (start, START),
            (START + np.timedelta64(2, "s"), START + np.timedelta64(2550, "ms")),
        ]
        assert ["3 samples" in rows[0]["message"], "55 samples" in rows[1]["message"]] == [True, True]

    def test_nothing_left(self) -> None:
        block, rows = whole_seconds(_block(np.arange(99)))
        assert block is None
        assert "99 samples" in rows[0]["message"]

    def test_all_of_it(self) -> None:
        block, rows = whole_seconds(_block(np.arange(300)))
        assert (block.n_sample, rows) == (300, [])

    @pytest.mark.parametrize(
        ("rate", "shift_us", "reason"),
        [
            (100.0, 4_000, "whole second"),
            (99.9, 0, "resample"),
            (0.1, 0, "resample"),
            (1 << 20, 0, "resample"),
        ],
    )
    def test_refused(self, rate, shift_us, reason) -> None:
        with pytest.raises(InputError, match=reason):
            whole_seconds(_block(np.arange(300), start=START + np.timedelta64(shift_us, "us"), rate=rate))


@pytest.mark.parametrize(
    ("block", "options", "reason"),
    [
        (_block(np.arange(150)), {}, "whole seconds only"),
        (_block(np.arange(100.0)), {}, "without loss"),
        (_block(np.arange(100) + (1 << 31)), {}, "32 bits"),
        (_block(np.arange(100), "BO.AAKH..EHZ"), {}, "no channel number"),
        (_block(np.arange(100)), {"number": lambda i, t: 1 << 33}, "does not fit"),
        (_block(np.arange(100)), {"form": "win", "number": lambda i, t: 1 << 16}, "does not fit"),
        (_block(np.arange(100), start=np.datetime64("2071-01-01")), {"form": "win"}, "two digits"),
        (_block(np.arange(100)), {"form": "win16"}, "expected one of"),
        (_block(np.arange(100)), {"clock": "GMT"}, "expected one of"),
        (_block(np.arange(100)), {"variant": "tild"}, "expected one of"),
    ],
)
def test_what_cannot_be_written(block, options, reason) -> None:
    with pytest.raises(InputError, match=reason):
        pack_win([block], **options)


def test_two_blocks_of_one_second_and_none_at_all() -> None:
    with pytest.raises(InputError, match="two blocks of channel 1011A2B"):
        pack_win([_block(np.arange(200)), _block(np.arange(100), start=START + np.timedelta64(1, "s"))])
    with pytest.raises(InputError, match="no blocks"):
        pack_win([])


def test_disk_that_refuses(tmp_path) -> None:
    (tmp_path / "nowhere").touch()
    with pytest.raises(StorageError, match="cannot write"):
        write_win([_block(np.arange(100))], tmp_path / "nowhere" / "w")


def test_clock_of_the_file(tmp_path) -> None:
    jst, utc = (pack_win([_block(np.arange(100))], clock=c) for c in ("JST", "UTC"))
    assert jst[4:11].hex() == (START.astype(datetime) + JST).strftime("%Y%m%d%H%M%S")
    assert utc[4:11].hex() == START.astype(datetime).strftime("%Y%m%d%H%M%S")
