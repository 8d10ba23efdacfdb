"""Likeness: a copy of an event is found at its time, noise is not, known events say how alike they are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kaname.automation.associate import event_identifier
from kaname.automation.similar import (
    DETECTIONS,
    SimilaritySettings,
    as_events,
    best_templates,
    judge,
    make_template,
    prepare,
    scan,
)
from kaname.core import tables
from kaname.core.time import add_seconds
from kaname.core.waveform import Waveform

START = np.datetime64("2020-01-01T00:00:00", "ns")
RATE = 100.0
LENGTH_S = 300.0
P_S = {"A": 1.0, "B": 1.4, "C": 2.1, "D": 2.6}
"""Travel time of P by station; S takes 1.7 times as long."""
ORIGIN_S = 60.0
SETTINGS = SimilaritySettings()


def wavelet(station):
    """P and S of one event at one station, 6 s from the onset of P, largest amplitude about 10."""
    random = np.random.default_rng(sum(map(ord, station)))
    time = np.arange(round(6 * RATE)) / RATE
    signal = np.zeros(len(time))
    for lag, size in ((0.0, 3.0), (0.7 * P_S[station], 10.0)):
        after = np.clip(time - lag, 0, None)
        signal += size * random.standard_normal(len(time)) * np.exp(-2 * after) * (time >= lag)
    return signal


def records(copies, *, seed=0, stations="ABCD", rate=RATE):
    """Noise of unit amplitude with copies of the event: pairs of origin second and factor."""
    random = np.random.default_rng(seed)
    out = []
    for station in stations:
        data = random.standard_normal(round(LENGTH_S * RATE))
        for origin_s, factor in copies:
            first = round((origin_s + P_S[station]) * RATE)
            part = wavelet(station)[: max(0, len(data) - first)]
            data[first : first + len(part)] += factor * part
        out.append(Waveform(data[np.newaxis], (f"XX.{station}..HHZ",), START, rate))
    return out


def arrivals(event_id, origin_s):
    rows = []
    for station, travel in P_S.items():
        for phase, factor in (("P", 1.0), ("S", 1.7)):
            rows.append(
                {
                    "event_id": event_id,
                    "pick_id": f"{event_id}-{station}-{phase}",
                    "network": "XX",
                    "station": station,
                    "phase": phase,
                    "time": add_seconds(START, origin_s + factor * travel),
                }
            )
    return tables.table(rows, tables.ARRIVALS)


def template(blocks, origin_s=ORIGIN_S, event_id="one", error_s=0.0):
    """Template of an event; `error_s`: how much its origin was located too early."""
    origin = add_seconds(START, origin_s - error_s)
    found = make_template(event_id, origin, arrivals(event_id, origin_s), prepare(blocks, SETTINGS), SETTINGS)
    assert found is not None
    return found


def detections(blocks, *templates, low=0.0, high=LENGTH_S):
    ready = prepare(blocks, SETTINGS)
    return scan(templates, add_seconds(START, low), add_seconds(START, high), ready, SETTINGS)


def seconds(times):
    return (times - pd.Timestamp(START)).dt.total_seconds().to_numpy()


@pytest.mark.parametrize("factor", [1.0, 0.3, 5.0])
def test_a_copy_is_found_at_its_time(factor):
    blocks = records([(ORIGIN_S, 3.0), (200.0, factor)])
    found = judge(detections(blocks, template(blocks)), arrivals("one", ORIGIN_S), SETTINGS).found
    assert len(found) == 1
    assert seconds(found["time"])[0] == pytest.approx(200.0, abs=1.5 / SETTINGS.rate_hz)
    assert seconds(found["first_p"])[0] == pytest.approx(200.0 + P_S["A"], abs=0.05)
    assert found["n_station"].item() == 4
    tables.validate(found, DETECTIONS)


@pytest.mark.parametrize("seed", range(5))
def test_noise_resembles_nothing(seed):
    blocks = records([(ORIGIN_S, 3.0)], seed=seed)
    verdict = judge(detections(blocks, template(blocks)), arrivals("one", ORIGIN_S), SETTINGS)
    assert verdict.found.empty
    assert verdict.known.empty


def test_the_template_resembles_itself_wholly():
    blocks = records([(ORIGIN_S, 3.0)])
    found = detections(blocks, template(blocks))
    best = found.loc[found["correlation"].idxmax()]
    assert best["correlation"] == pytest.approx(1.0, abs=1e-3)
    assert abs(best["time"] - pd.Timestamp(add_seconds(START, ORIGIN_S))) < pd.Timedelta("20ms")


def test_likeness_of_known_events_and_no_new_ones():
    blocks = records([(ORIGIN_S, 3.0), (200.0, 3.0)])
    known = tables.concat([arrivals("one", ORIGIN_S), arrivals("two", 200.0)], tables.ARRIVALS)
    one, two = template(blocks), template(blocks, 200.0, "two")
    verdict = judge(detections(blocks, one, two), known, SETTINGS)
    assert verdict.found.empty
    likeness = verdict.known.set_index("event_id")
    assert likeness["similar_to"].to_dict() == {"one": "two", "two": "one"}
    assert (likeness["similarity"] > 0.7).all()


def test_a_template_located_with_a_wrong_origin_doubles_no_event():
    blocks = records([(ORIGIN_S, 3.0), (200.0, 3.0)])
    known = tables.concat([arrivals("one", ORIGIN_S), arrivals("two", 200.0)], tables.ARRIVALS)
    found = detections(blocks, template(blocks, error_s=7.0), template(blocks, 200.0, "two"))
    verdict = judge(found, known, SETTINGS)
    assert verdict.found.empty
    assert set(verdict.known["event_id"]) == {"one", "two"}


def test_several_templates_report_a_new_event_once_by_the_most_alike():
    blocks = records([(ORIGIN_S, 8.0), (140.0, 0.8), (220.0, 3.0)])
    known = tables.concat([arrivals("one", ORIGIN_S), arrivals("two", 140.0)], tables.ARRIVALS)
    both = (template(blocks, error_s=5.0), template(blocks, 140.0, "two"))
    found = judge(detections(blocks, *both), known, SETTINGS).found
    assert len(found) == 1
    assert found["template"].item() == "one"


def test_pieces_of_time_give_what_the_whole_gives():
    blocks = records([(ORIGIN_S, 3.0), (150.0, 2.0), (220.0, 1.0)])
    one = template(blocks)
    whole = detections(blocks, one)
    pieces = [detections(blocks, one, low=a, high=b) for a, b in ((0, 100), (100, 200), (200, LENGTH_S))]
    parts = pd.concat(pieces, ignore_index=True)
    clear = [f[f["correlation"] > 0.3].reset_index(drop=True) for f in (whole, parts)]
    assert len(clear[0]) == 3
    for column in ("time", "correlation"):
        np.testing.assert_allclose(
            clear[0][column].astype("int64" if column == "time" else float),
            clear[1][column].astype("int64" if column == "time" else float),
        )


def test_too_few_stations_make_no_template_and_no_detection():
    blocks = records([(ORIGIN_S, 3.0), (200.0, 3.0)])
    few = [b for b in blocks if b.ids[0][3] in "AB"]
    origin = add_seconds(START, ORIGIN_S)
    ready = prepare(few, SETTINGS)
    assert make_template("one", origin, arrivals("one", ORIGIN_S), ready, SETTINGS) is None
    assert detections(few, template(blocks)).empty


def test_a_station_that_stops_is_not_compared_after():
    blocks = records([(ORIGIN_S, 3.0), (200.0, 3.0)])
    stopped = [b.slice(START, add_seconds(START, 120.0)) if b.ids[0] == "XX.D..HHZ" else b for b in blocks]
    found = judge(detections(stopped, template(blocks)), arrivals("one", ORIGIN_S), SETTINGS).found
    assert found["n_station"].item() == 3


@pytest.mark.parametrize("damage", ["nan", "short", "slow", "empty"])
def test_blocks_that_cannot_be_compared_are_left_out(damage):
    (block,) = records([], stations="A")
    data = block.data.copy()
    data[0, 100] = np.nan
    bad = {
        "nan": [Waveform(data, block.ids, START, RATE)],
        "short": [block.slice(START, add_seconds(START, 0.5))],
        "slow": [Waveform(block.data, block.ids, START, 10.0)],
        "empty": [],
    }
    assert prepare(bad[damage], SETTINGS) == {}


def test_rates_are_brought_to_one_and_times_stay():
    fast = np.zeros((1, round(20 * 200.0)))
    slow = np.zeros((1, round(20 * 62.5)))
    fast[0, round(10 * 200.0)] = slow[0, round(10 * 62.5)] = 1.0
    for data, rate in ((fast, 200.0), (slow, 62.5)):
        (ready,) = prepare([Waveform(data, ("XX.A..HHZ",), START, rate)], SETTINGS)["XX.A..HHZ"]
        assert ready.sampling_rate == pytest.approx(SETTINGS.rate_hz)
        peak = ready.time(int(np.abs(ready.data[0]).argmax()))
        # The band-pass is causal and delays a little.
        assert 0 <= (peak - START).astype(np.int64) / 1e9 - 10.0 < 0.15


def test_new_events_say_why_and_are_never_located():
    blocks = records([(ORIGIN_S, 3.0), (200.0, 3.0)])
    found = judge(detections(blocks, template(blocks)), arrivals("one", ORIGIN_S), SETTINGS).found
    events = tables.table(as_events(found, event_identifier), tables.EVENTS)
    (event,) = events.itertuples()
    assert event.quality == "unlocated"
    assert np.isnan(event.latitude)
    assert event.similar_to == "one"
    assert event.similarity == found["correlation"].item()
    assert "found by its likeness to one" in event.remark
    assert "4 stations" in event.remark


def test_the_best_located_events_are_the_templates():
    table = (
        ("poor", 1.0, "C", 9),
        ("good", 1.0, "A", 4),
        ("better", 1.0, "A", 6),
        ("none", np.nan, "unlocated", 9),
    )
    rows = [
        {"event_id": name, "time": START, "latitude": place, "longitude": place, "quality": quality, "n_p": n}
        for name, place, quality, n in table
    ]
    events = tables.table(rows, tables.EVENTS)
    assert best_templates(events, SETTINGS) == ["better", "good", "poor"]
    assert best_templates(events, SimilaritySettings(templates=1)) == ["better"]
