"""The second look: picks of an event are gathered, and what is no earthquake is told with the reason."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kaname.automation.refine import REJECTED, RefineSettings, believe, gather
from kaname.core import tables
from kaname.core.geo import LocalFrame
from kaname.core.time import add_seconds
from kaname.earth.velocity import VelocityModel

START = np.datetime64("2020-01-01T00:00:00", "ns")
VP, VS = 6.0, 3.5
FRAME = LocalFrame(35.0, 135.0)
PLACES = {f"S{i}": (12 * np.sin(i), 12 * np.cos(i)) for i in range(6)}
"""East and north [km] of six stations around the events."""
SETTINGS = RefineSettings()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A half-space: its travel times are straight lines."""
    path = tmp_path_factory.mktemp("model") / "half-space.csv"
    path.write_text(f"depth_km,vp_km_s,vs_km_s\n0,{VP},{VS}\n")
    return VelocityModel.read(path)


def stations(places=PLACES):
    rows = []
    for code, (east, north) in places.items():
        latitude, longitude = FRAME.to_geographic(east, north)
        rows.append(
            {"network": "XX", "station": code, "latitude": float(latitude), "longitude": float(longitude)}
        )
    return tables.table([{**row, "elevation_m": 0.0} for row in rows], tables.STATIONS)


def event(name="one", second=100.0, east=0.0, north=0.0, depth_km=8.0, **more):
    latitude, longitude = FRAME.to_geographic(east, north)
    time = add_seconds(START, second)
    row = {"event_id": name, "time": time, "latitude": float(latitude), "longitude": float(longitude)}
    return {**row, "depth_km": depth_km, "rms_s": 0.05, "quality": "B", **more}


def travel(code, phase, east=0.0, north=0.0, depth_km=8.0):
    e, n = PLACES[code]
    return np.sqrt((e - east) ** 2 + (n - north) ** 2 + depth_km**2) / (VP if phase == "P" else VS)


def pick(code, phase, second, *, as_phase=None, probability=0.9):
    time = add_seconds(START, second)
    name = f"{code}-{as_phase or phase}-{second:.2f}"
    row = {"pick_id": name, "network": "XX", "station": code, "phase": as_phase or phase, "time": time}
    return {**row, "time_uncertainty_s": 0.05, "probability": probability}


def picks_of(second=100.0, phases="PS", codes=PLACES, **more):
    return [pick(code, p, second + travel(code, p), **more) for code in codes for p in phases]


def arrivals(name, picks, weight=1.0):
    rows = [
        {k: row[k] for k in ("pick_id", "network", "station", "phase", "time")}
        | {"event_id": name, "weight": weight, "distance_km": 12.5}
        for row in picks
    ]
    return tables.table(rows, tables.ARRIVALS)


def gathered(model, events, picks, own=(), **more):
    known = tables.concat([arrivals(*o) for o in own], tables.ARRIVALS)
    table = tables.table(picks, tables.PICKS)
    return gather(tables.table(events, tables.EVENTS), known, table, stations(), model, SETTINGS, **more)


def test_all_picks_of_an_event_are_gathered_from_a_few(model):
    picks = picks_of()
    found = gathered(model, [event()], picks, [("one", picks[:5])])
    assert set(found["pick_id"]) == {p["pick_id"] for p in picks}
    assert (found["event_id"] == "one").all()


def test_picks_that_do_not_fit_are_not_gathered(model):
    late = [pick(code, "P", 100.0 + travel(code, "P") + 3.0) for code in ("S0", "S1")]
    found = gathered(model, [event()], [*picks_of(), *late])
    assert not set(found["pick_id"]) & {p["pick_id"] for p in late}
    assert len(found) == 12


def test_a_station_gets_one_arrival_of_a_phase_the_nearer_and_surer(model):
    near = pick("S0", "P", 100.0 + travel("S0", "P") + 0.02)
    far = pick("S0", "P", 100.0 + travel("S0", "P") + 0.4)
    unsure = pick("S1", "P", 100.0 + travel("S1", "P") + 0.05, probability=0.1)
    sure = pick("S1", "P", 100.0 + travel("S1", "P") + 0.10, probability=0.95)
    found = gathered(model, [event()], [near, far, unsure, sure])
    assert set(found["pick_id"]) == {near["pick_id"], sure["pick_id"]}


def test_each_pick_goes_to_one_event(model):
    picks = [*picks_of(100.0), *picks_of(100.6)]
    found = gathered(model, [event("one", 100.0), event("two", 100.6)], picks)
    assert not found["pick_id"].duplicated().any()
    assert found["event_id"].value_counts().to_dict() == {"one": 12, "two": 12}
    nominal = found["pick_id"].map({p["pick_id"]: k // 12 for k, p in enumerate(picks)})
    assert ((found["event_id"] == "two") == (nominal == 1)).all()


def test_an_s_that_was_picked_as_p_is_told_where_there_is_one_component(model):
    picks = [*picks_of(phases="P"), pick("S0", "S", 100.0 + travel("S0", "S"), as_phase="P")]
    wrong = picks[-1]["pick_id"]
    assert wrong not in set(gathered(model, [event()], picks)["pick_id"])
    found = gathered(model, [event()], picks, single={("XX", "S0")}).set_index("pick_id")
    assert found.loc[wrong, "phase"] == "S"
    assert found.loc[wrong, "time_uncertainty_s"] > 0.05


def test_a_true_s_goes_before_one_that_is_relabelled(model):
    true = pick("S0", "S", 100.0 + travel("S0", "S") + 0.2)
    false = pick("S0", "S", 100.0 + travel("S0", "S"), as_phase="P")
    found = gathered(model, [event()], [*picks_of(phases="P"), true, false], single={("XX", "S0")})
    assert true["pick_id"] in set(found["pick_id"])
    assert false["pick_id"] not in set(found["pick_id"])


def test_arrivals_of_an_event_that_is_not_located_stay(model):
    own = picks_of()[:4]
    found = gathered(model, [{"event_id": "one", "time": START}], picks_of(), [("one", own)])
    assert set(found["pick_id"]) == {p["pick_id"] for p in own}


def test_gathering_depends_on_no_order_and_changes_no_input(model):
    picks = [*picks_of(100.0), *picks_of(100.6)]
    events = [event("one", 100.0), event("two", 100.6)]
    table = tables.table(picks, tables.PICKS)
    before = table.copy()
    none = tables.empty(tables.ARRIVALS)
    args = (stations(), model, SETTINGS)
    straight = gather(tables.table(events, tables.EVENTS), none, table, *args)
    shuffled = table.sample(frac=1, random_state=1).reset_index(drop=True)
    other = gather(tables.table(events[::-1], tables.EVENTS), none, shuffled, *args)
    pd.testing.assert_frame_equal(straight, other)
    pd.testing.assert_frame_equal(table, before)


def spans(codes=PLACES, first=0.0, last=3600.0):
    return pd.DataFrame(
        [
            {
                "network": "XX",
                "station": code,
                "start": add_seconds(START, first),
                "end": add_seconds(START, last),
            }
            for code in codes
        ]
    )


def verdict(events, *own, recording=None, **settings):
    known = tables.concat([arrivals(*o) for o in own], tables.ARRIVALS)
    chosen = RefineSettings(**settings)
    recording = spans() if recording is None else recording
    return believe(tables.table(events, tables.EVENTS), known, stations(), recording, chosen)


def reason(found):
    assert found.events.empty
    assert found.arrivals.empty
    tables.validate(found.rejected, REJECTED)
    return found.rejected["reason"].item()


def test_a_well_seen_event_is_believed():
    found = verdict([event()], ("one", picks_of()))
    assert list(found.events["event_id"]) == ["one"]
    assert len(found.arrivals) == 12
    assert found.rejected.empty


def test_what_is_not_believed_carries_its_reason():
    picks = picks_of()
    unlocated = {"event_id": "one", "time": START, "remark": "too few stations"}
    assert "too few stations" in reason(verdict([unlocated], ("one", picks)))
    assert "only 4 arrivals at 2 stations" in reason(verdict([event()], ("one", picks[:4])))
    assert "only 0 arrivals" in reason(verdict([event()], ("one", picks, 0.01)))
    assert "residuals of 0.90 s" in reason(verdict([event(rms_s=0.9)], ("one", picks)))


def test_stations_that_recorded_nearer_must_have_seen_it():
    seen = picks_of(codes=["S0", "S1", "S2"])
    few = {"minimum_stations": 3, "minimum_seen": 0.8}
    assert "seen by 50% of the 6 stations" in reason(verdict([event()], ("one", seen), **few))
    # Those that did not record then are no witnesses.
    only = pd.concat([spans(["S0", "S1", "S2"]), spans(["S3", "S4", "S5"], first=500.0)])
    assert len(verdict([event()], ("one", seen), recording=only, **few).events) == 1


def test_one_earthquake_torn_in_two_is_one():
    large = picks_of(100.0)
    # The leftovers, with an origin that lies far before the first arrival.
    small = [pick(code, "P", 100.3 + travel(code, "P")) for code in list(PLACES)[:5]]
    torn = event("two", second=92.0)
    found = verdict([event(), torn], ("one", large), ("two", small))
    assert list(found.events["event_id"]) == ["one"]
    assert "much larger event" in found.rejected["reason"].item()


def test_two_earthquakes_far_enough_apart_are_two():
    small = picks_of(110.0, codes=list(PLACES)[:4])
    found = verdict([event(), event("two", 110.0)], ("one", picks_of()), ("two", small))
    assert len(found.events) == 2


def test_no_events_are_no_trouble(model):
    none = tables.empty(tables.EVENTS), tables.empty(tables.ARRIVALS)
    assert believe(*none, stations(), spans(), SETTINGS).events.empty
