"""What is held out: never half an earthquake, never half a day, and always the same."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from kaname.core.errors import InputError
from kaname.core.waveform import Waveform
from kaname.evaluate.splits import (
    SAME_EVENT_S,
    TEST_SHARE,
    VALIDATION_SHARE,
    audit,
    part_of,
    split_by_day,
    split_by_event,
    split_by_period,
    split_by_station,
)
from kaname.formats.labelled import EPOCH, LabelledRecord, time_of

DAY0 = np.datetime64("2021-03-01T00:00:00", "ms")


def _times(seconds: np.ndarray) -> list[np.datetime64]:
    return list(DAY0 + (np.asarray(seconds) * 1000).astype("timedelta64[ms]"))


def _record(name: str, start: np.datetime64) -> LabelledRecord:
    wave = Waveform(np.zeros((1, 10)), ("XX.A..HHZ",), start, 100.0)
    return LabelledRecord("set", name, name, wave, {})


def test_chains_of_close_records_are_never_parted() -> None:
    rng = np.random.default_rng(1)
    # 60 swarms hours apart, each a chain in which only neighbours are close.
    swarms = [k * 7200 + np.cumsum(rng.uniform(1, SAME_EVENT_S - 1, 30)) for k in range(60)]
    swarm = np.repeat(np.arange(60), 30)
    order = rng.permutation(swarm.size)
    parts = np.array(split_by_event([_times(np.concatenate(swarms))[i] for i in order]))
    for k in range(60):
        assert len(set(parts[swarm[order] == k])) == 1
    assert len(set(parts)) == 3


def test_parts_do_not_depend_on_order() -> None:
    rng = np.random.default_rng(2)
    times = _times(np.sort(rng.uniform(0, 86400 * 20, 500)))
    order = rng.permutation(500)
    parts = split_by_event(times)
    shuffled = split_by_event([times[i] for i in order])
    assert shuffled == [parts[i] for i in order]
    twice = split_by_event(times + times)
    assert twice[:500] == twice[500:] == parts


def test_farther_than_two_minutes_is_another_event() -> None:
    starts = np.arange(200) * 86400.0
    close = [split_by_event(_times(np.array([t, t + SAME_EVENT_S]))) for t in starts]
    assert all(first == second for first, second in close)
    apart = [split_by_event(_times(np.array([t, t + SAME_EVENT_S + 1]))) for t in starts]
    assert {first == second for first, second in apart} == {True, False}


def test_units_of_time_do_not_matter() -> None:
    times = _times(np.arange(0, 86400, 977.0))
    assert split_by_event([t.astype("datetime64[ns]") for t in times]) == split_by_event(times)


def test_nothing_to_split() -> None:
    assert split_by_event([]) == split_by_day([]) == []


def test_whole_days_stay_together() -> None:
    rng = np.random.default_rng(3)
    times = _times(rng.uniform(0, 86400 * 100, 3000))
    parts = np.array(split_by_day(times))
    days = np.array(times).astype("datetime64[D]")
    for day in np.unique(days):
        assert len(set(parts[days == day])) == 1
    assert set(parts) == {"train", "validation", "test"}


def test_shares_of_random_keys() -> None:
    rng = np.random.default_rng(4)
    count = Counter(part_of(str(k)) for k in rng.integers(0, 2**60, 2000))
    for part, share in (("test", TEST_SHARE), ("validation", VALIDATION_SHARE)):
        sigma = np.sqrt(share * (1 - share) / 2000)
        assert count[part] / 2000 == pytest.approx(share, abs=4 * sigma)
    assert sum(count.values()) == 2000
    assert part_of("a", share=1.0) == "test"


def test_a_key_keeps_its_part() -> None:
    # Written down once: a change would move records that were held out into training.
    found = " ".join(part_of(f"2012-01-{day:02d}") for day in range(1, 13))
    assert found == ("train validation test train test train validation validation train train train test")


def test_time_of_a_record_is_its_own_or_that_in_its_name() -> None:
    own = np.datetime64("2013-02-03T04:05:06", "ns")
    assert time_of(_record("NC.ABC.20150101000000.0001", own)) == own
    named = _record("NC.MCV..EH.0043721_20150914031259123", EPOCH)
    assert time_of(named) == np.datetime64("2015-09-14T03:12:59")
    assert time_of(_record("unnamed", EPOCH)) == EPOCH


def test_large_sets_are_split_quickly() -> None:
    times = _times(np.random.default_rng(5).uniform(0, 3e9, 50_000))
    began = time.perf_counter()
    split_by_event(times)
    # Seconds if every record is looked at once, hours if once for every event.
    assert time.perf_counter() - began < 60


def test_the_last_in_time_are_held_out_and_windows_do_not_touch() -> None:
    rng = np.random.default_rng(6)
    times = _times(rng.uniform(0, 86400 * 100, 3000))
    parts = np.array(split_by_period(times, apart_s=300))
    values = np.array(times)
    last = {part: values[parts == part].max() for part in set(parts)}
    first = {part: values[parts == part].min() for part in set(parts)}
    assert (first["validation"] - last["train"]) / np.timedelta64(1, "s") > 300
    assert (first["test"] - last["validation"]) / np.timedelta64(1, "s") > 300
    assert np.mean(parts == "train") == pytest.approx(0.6, abs=0.02)
    assert split_by_period([]) == []


def test_windows_longer_than_two_minutes_need_a_wider_gap() -> None:
    times = _times(np.arange(0, 86400 * 3, 200.0))
    assert set(split_by_event(times)) == {"train", "validation", "test"}
    assert len(set(split_by_event(times, apart_s=200))) == 1


def test_validation_by_day_leaves_the_test_as_it_is() -> None:
    rng = np.random.default_rng(5)
    times = _times(rng.uniform(0, 86400 * 400, 2000))
    own, by_day = split_by_event(times), np.array(split_by_event(times, validation_by="day"))
    assert [p == "test" for p in own] == (by_day == "test").tolist()
    days = np.array(times).astype("datetime64[D]")
    rest = by_day != "test"
    for day in np.unique(days[rest]):
        assert len(set(by_day[rest & (days == day)])) == 1
    assert (by_day[rest] == "validation").mean() == pytest.approx(0.125, abs=0.05)
    with pytest.raises(InputError, match="event or day"):
        split_by_event(times, validation_by="hour")  # type: ignore[arg-type]


def test_stations_of_one_site_stay_together() -> None:
    names = [f"XX.S{i:03d}" for i in range(300)] + [f"YY.T{i:03d}" for i in range(300)]
    lat = np.tile(np.arange(300) * 0.1 - 15, 2) + np.repeat([0, 0.005], 300)  # 550 m beside
    parts = split_by_station(names * 2, np.tile(lat, 2), np.zeros(1200))
    assert parts[:300] == parts[300:600] == parts[600:900]
    assert set(parts) == {"train", "validation", "test"}
    alone = split_by_station(names)
    assert alone[:300] != alone[300:]
    with pytest.raises(InputError, match="latitudes"):
        split_by_station(names, [0.0], [0.0])


def records_table(**changes: list) -> pd.DataFrame:
    """Four records of two events at two stations, cleanly split by event."""
    start = np.array([0, 10, 5000, 5010], "timedelta64[s]") + DAY0.astype("datetime64[ns]")
    frame = {
        "part": ["train", "train", "test", "test"],
        "event": ["a", "a", "b", "b"],
        "time": start,
        "station": ["X.A", "X.B", "X.A", "X.B"],
        "start": start,
        "end": start + np.timedelta64(120, "s"),
        "digest": ["1", "2", "3", "4"],
    }
    return pd.DataFrame(frame | changes)


def leaks(frame: pd.DataFrame, by: str) -> dict[str, int]:
    found = audit(frame, by)  # type: ignore[arg-type]
    return {row.kind: row.n for row in found[found["forbidden"]].itertuples() if row.n}


def test_the_auditor_finds_every_leak() -> None:
    clean = records_table()
    assert leaks(clean, "event") == leaks(clean, "time") == leaks(clean, "day") == {}
    assert leaks(clean, "station") == {"the same station": 2}
    assert leaks(records_table(event=["a", "a", "a", "b"]), "event")["the same event"] == 1
    assert leaks(records_table(digest=["1", "2", "1", "4"]), "event") == {"the same samples, copied": 1}
    late = clean.assign(start=clean["start"] - pd.to_timedelta([0, 0, 4900, 4900], "s"))
    assert leaks(late, "event") == {"the same samples, in windows that overlap": 2}
    near = clean.assign(time=clean["time"] - pd.to_timedelta([0, 0, 4900, 4900], "s"))
    assert leaks(near, "event") == {"events within 120 s that may be one": 1}
    swapped = clean.assign(part=["test", "test", "train", "train"])
    assert leaks(swapped, "event") == {} and leaks(swapped, "time") == {
        "training records later than held-out ones": 2
    }
    with pytest.raises(InputError, match="unknown split"):
        audit(clean, "row")  # type: ignore[arg-type]


def test_an_empty_set_leaks_nothing() -> None:
    assert leaks(records_table().iloc[:0], "event") == {}
