"""The gap-free block: its clock, cutting and joining, alignment of components, and ObsPy's trace."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from obspy import Stream, Trace, UTCDateTime

from kaname.core.errors import InputError
from kaname.core.waveform import Waveform, align, join, sensor_of

T = np.datetime64("2010-05-27T16:24:33.210000000")
RATES = st.sampled_from([1.0, 20.0, 31.25, 100.0, 200.0, 250.0, 1000 / 3, 500.0])


def block(n_sample=1000, *, rate=100.0, start=T, ids=("XX.AAA..HHZ",), first=0, unit="count"):
    data = np.arange(first, first + len(ids) * n_sample).reshape(len(ids), n_sample)
    return Waveform(data, ids, start, rate, unit)


def seconds(value):
    return np.timedelta64(round(value * 1e9), "ns")


def trace_of(waveform):
    return waveform.to_stream()[0]


# -- what a block is


def test_its_clock_is_obspys():
    one = block(1001)
    trace = trace_of(one)
    assert one.end == np.datetime64(trace.stats.endtime.ns, "ns")
    assert one.following == one.end + seconds(0.01)
    assert one.duration_s == 10.01
    assert (one.n_channel, one.n_sample) == (1, 1001)


@given(RATES, st.integers(0, 10**8))
def test_time_and_index_invert_each_other(rate, index):
    one = block(rate=rate)
    assert one.index(one.time(index)) == pytest.approx(index, abs=1e-6)


def test_index_of_a_time_outside_is_outside():
    assert block().index(T - seconds(1)) == -100
    assert block().index(T + seconds(20)) == 2000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": np.zeros(5)}, "shape"),
        ({"data": np.zeros((2, 5))}, "2 channels of data but 1 identifiers"),
        ({"data": np.zeros((1, 0))}, "no samples"),
        ({"sampling_rate": 0}, "positive"),
        ({"sampling_rate": -100}, "positive"),
        ({"sampling_rate": np.nan}, "positive"),
        ({"sampling_rate": np.inf}, "positive"),
        ({"ids": ("XX.AAA.HHZ",)}, "SEED identifier"),
        ({"start": "yesterday"}, "is not a time"),
        ({"start": np.datetime64("NaT")}, "is not a time"),
        ({"unit": "gal"}, "unknown unit"),
    ],
)
def test_what_is_no_block_raises(change, message):
    good = {"data": np.zeros((1, 5)), "ids": ("XX.AAA..HHZ",), "start": T, "sampling_rate": 100.0}
    with pytest.raises(InputError, match=message):
        Waveform(**{**good, **change})


@pytest.mark.parametrize(
    ("identifier", "sensor"),
    [
        ("XX.AAA.00.HHZ", "XX.AAA.00.HH"),
        ("XX.AAA..Z", "XX.AAA..Z"),
        (".AAA..EHZ", ".AAA..EH"),
        ("XX.AAA..", "XX.AAA.."),
    ],
)
def test_sensor_is_what_components_share(identifier, sensor):
    assert sensor_of(identifier) == sensor


# -- cutting


@given(RATES, st.lists(st.floats(-5, 15), min_size=1, max_size=6), st.integers(0, 10**9))
def test_cut_anywhere_and_joined_it_is_whole_again(rate, cuts_s, offset_ns):
    whole = block(1000, rate=rate, start=T + np.timedelta64(offset_ns, "ns"))
    times = [T + seconds(c * 100 / rate) for c in sorted(cuts_s)]
    edges = [whole.start - seconds(100), *times, whole.following + seconds(100)]
    pieces = [whole.slice(low, high) for low, high in pairwise(edges)]
    again = join(p for p in pieces if p is not None)
    assert len(again) == 1
    np.testing.assert_array_equal(again[0].data, whole.data)
    assert again[0].start == whole.start


@given(st.integers(-2000, 12_000), st.integers(1, 5000))
def test_slice_takes_the_samples_from_start_to_before_end(start_ms, length_ms):
    one = block()
    start = T + np.timedelta64(start_ms, "ms")
    end = start + np.timedelta64(length_ms, "ms")
    inside = [i for i in range(1000) if start_ms <= 10 * i < start_ms + length_ms]
    piece = one.slice(start, end)
    if inside:
        np.testing.assert_array_equal(piece.data[0], inside)
        assert piece.start == one.time(inside[0])
    else:
        assert piece is None


def test_an_edge_off_by_a_nanosecond_moves_no_sample():
    one = block(rate=1000 / 3)
    for index in (1, 7, 500, 999):
        for ns in (-1, 0, 1):
            assert (
                one.slice(one.time(index) + np.timedelta64(ns, "ns"), one.following).n_sample == 1000 - index
            )


def test_slice_and_select_leave_the_block_alone():
    one = block(10, ids=("XX.AAA..HHE", "XX.AAA..HHZ"))
    before = one.data.copy()
    one.slice(T, T + seconds(0.05)).data.sum()
    assert one.select(["XX.AAA..HHZ"]).ids == ("XX.AAA..HHZ",)
    np.testing.assert_array_equal(one.select(["XX.AAA..HHZ", "XX.AAA..HHE"]).data, before[::-1])
    np.testing.assert_array_equal(one.data, before)
    with pytest.raises(InputError, match="HHN"):
        one.select(["XX.AAA..HHN"])


# -- joining


@pytest.mark.parametrize(
    "change",
    [
        {"start": T + seconds(10.01)},
        {"start": T + seconds(9.99)},
        {"rate": 99.0},
        {"unit": "m/s"},
        {"ids": ("XX.BBB..HHZ",)},
        {"ids": ("XX.AAA..HHN", "XX.AAA..HHZ")},
    ],
    ids=["gap", "overlap", "rate", "unit", "station", "channels"],
)
def test_what_does_not_follow_stays_apart(change):
    pair = [block(), block(**{"start": T + seconds(10), **change})]
    assert [b.n_sample for b in join(pair)] == [1000, 1000]


def test_half_a_sample_of_jitter_is_tolerated_and_no_more():
    assert len(join([block(), block(start=T + seconds(10.0049))])) == 1
    assert len(join([block(), block(start=T + seconds(10.0051))])) == 2
    assert len(join([block(), block(start=T + seconds(10.0049))], tolerance=0.1)) == 2


def test_many_small_drifts_do_not_add_up_to_a_silent_shift():
    drifting = [block(100, start=T + seconds(i * 1.001)) for i in range(20)]
    joined = join(drifting)
    assert 1 < len(joined) < 20
    for one in joined:
        n_before = 0
        for piece in (d for d in drifting if one.start <= d.start < one.following):
            assert abs(one.index(piece.start) - n_before) <= 0.5
            n_before += piece.n_sample


def test_joining_nothing_gives_nothing_and_order_is_the_callers():
    assert join([]) == []
    assert len(join([block(start=T + seconds(10)), block()])) == 2


# -- components of one sensor


def test_components_that_cover_the_same_time_become_one_block():
    parts = [block(ids=(f"XX.AAA..HH{c}",), first=i) for i, c in enumerate("ZEN")]
    (one,) = align(parts)
    assert one.ids == ("XX.AAA..HHE", "XX.AAA..HHN", "XX.AAA..HHZ")
    np.testing.assert_array_equal(one.data[:, 0], [1, 2, 0])


def test_a_component_that_drops_out_ends_the_block_and_no_sample_is_lost():
    vertical = block(1000, ids=("XX.AAA..HHZ",))
    north = [
        block(300, ids=("XX.AAA..HHN",)),
        block(200, start=T + seconds(5), ids=("XX.AAA..HHN",), first=500),
    ]
    blocks = align([vertical, *north])
    assert [(b.n_channel, b.n_sample) for b in blocks] == [(2, 300), (1, 200), (2, 200), (1, 300)]
    np.testing.assert_array_equal(np.concatenate([b.data[-1] for b in blocks]), vertical.data[0])
    np.testing.assert_array_equal(blocks[2].data[0], north[1].data[0])


def test_a_component_half_a_sample_off_is_matched_to_the_nearest():
    (one,) = align([block(), block(start=T + seconds(0.004), ids=("XX.AAA..HHN",))])
    assert (one.n_channel, one.start) == (2, T)


def test_components_of_different_rates_stay_apart():
    blocks = align([block(), block(500, rate=50.0, ids=("XX.AAA..HHN",))])
    assert sorted((b.sampling_rate, b.n_channel) for b in blocks) == [(50, 1), (100, 1)]


def test_overlapping_blocks_of_one_channel_raise():
    with pytest.raises(InputError, match="overlapping"):
        align([block(), block(start=T + seconds(5))])


def test_aligning_nothing_gives_nothing():
    assert align([]) == []


@given(st.lists(st.tuples(st.sampled_from("ENZ"), st.integers(0, 40), st.integers(1, 20)), max_size=8))
def test_alignment_keeps_every_sample_once(spans):
    taken: dict[str, set[int]] = {}
    parts = []
    for component, first, n in spans:
        samples = set(range(first, first + n))
        if not samples & taken.setdefault(component, set()):
            taken[component] |= samples
            start = T + seconds(first / 100)
            parts.append(block(n, start=start, ids=(f"XX.AAA..HH{component}",), first=first))
    kept: dict[str, list[int]] = {c: [] for c in taken}
    for one in align(parts):
        for identifier, samples in zip(one.ids, one.data):
            kept[identifier[-1]].extend(samples)
            assert samples[0] == round(one.start.astype(int) - T.astype(int)) / 1e7
    assert {c: sorted(k) for c, k in kept.items()} == {c: sorted(s) for c, s in taken.items()}


# -- ObsPy


@given(RATES, st.integers(1, 50), st.sampled_from(["int32", "float32", "float64"]))
def test_a_trace_reads_back(rate, n_sample, dtype):
    header = {"network": "XX", "station": "AAA", "location": "00", "channel": "HHZ", "sampling_rate": rate}
    trace = Trace(
        np.arange(n_sample, dtype=dtype), {**header, "starttime": UTCDateTime(ns=int(T.astype(int)))}
    )
    one = Waveform.from_trace(trace, unit="m/s")
    assert (one.ids, one.start, one.unit) == (("XX.AAA.00.HHZ",), T, "m/s")
    again = trace_of(one)
    assert again.data.dtype == dtype
    assert (again.id, again.stats.starttime, again.stats.endtime) == (
        trace.id,
        trace.stats.starttime,
        trace.stats.endtime,
    )
    np.testing.assert_array_equal(again.data, trace.data)


def test_the_stream_holds_copies():
    one = block(10)
    trace_of(one).data[:] = 0
    assert one.data.sum() == 45


def test_a_masked_trace_must_be_split_first():
    header = {"network": "XX", "station": "AAA", "channel": "HHZ", "sampling_rate": 1.0}
    stream = Stream(
        [Trace(np.arange(5), header), Trace(np.arange(5), {**header, "starttime": UTCDateTime(8)})]
    )
    merged = stream.merge()[0]
    with pytest.raises(InputError, match="masked"):
        Waveform.from_trace(merged)
    assert [Waveform.from_trace(t).n_sample for t in merged.split()] == [5, 5]
