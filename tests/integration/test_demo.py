"""The demonstration: real records, known events, nothing false, and a second run that does nothing twice."""

from __future__ import annotations

import json
import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from four import SCHEMAS, first_arrivals, table

import kaname
from kaname.automation import catalogue
from kaname.cli import main
from kaname.core.geo import distance_azimuth

TRIGGERS = pd.to_datetime(["2010-05-27T16:24:33", "2010-05-27T16:27:01", "2010-05-27T16:27:30"])
WEAK = pd.Timestamp("2010-05-27T16:25:26")
SISTER = (48.0471, 11.6455)
TABLES = ("events", "arrivals", "picks", "failures", "stations", "health", "rejected", "station_terms")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    assert main(["demo", "--out", str(out)]) == 0
    return out


def test_the_known_events_and_the_weak_one_are_found_and_nothing_else(demo):
    first = first_arrivals(demo)
    assert len(first) == 4
    for trigger in TRIGGERS:
        assert (first - trigger).abs().min() < pd.Timedelta("1s")
    assert (first - WEAK).abs().min() < pd.Timedelta("1s")


def test_the_weak_event_carries_its_evidence(demo):
    events = table(demo, "events")
    weak = events.iloc[(events["time"] - WEAK).abs().argmin()]
    # The highest chance peak of all templates in these four minutes is 0.195.
    assert weak["similarity"] > 0.2
    assert weak["similar_to"] in set(events["event_id"]) - {weak["event_id"]}


def test_epicentres_are_near_the_analysts_sister_event(demo):
    events = table(demo, "events")
    located = events[events["latitude"].notna()]
    assert len(located) >= 3
    distance, _ = distance_azimuth(*SISTER, located["latitude"].to_numpy(), located["longitude"].to_numpy())
    assert distance.max() < 3.0
    # The sister's depth is 4.6 km.
    assert (located["depth_km"] - 4.6).abs().max() < 3 * located["depth_uncertainty_km"].max() + 1


@pytest.mark.parametrize("name", SCHEMAS)
def test_tables_fit_their_schemas(demo, name):
    table(demo, name)


def test_nothing_failed(demo):
    assert table(demo, "failures").empty
    assert not list(demo.glob(".*.part"))


def test_tables_agree_with_one_another(demo):
    events, arrivals, picks = (table(demo, n) for n in ("events", "arrivals", "picks"))
    assert set(arrivals["event_id"]) <= set(events["event_id"])
    both = arrivals.merge(picks, on="pick_id", suffixes=("", "_picked"))
    assert len(both) == len(arrivals)
    assert (both["time"] == both["time_picked"]).all()
    assert not arrivals["pick_id"].duplicated().any()
    assert not arrivals.duplicated(["event_id", "network", "station", "phase"]).any()


def test_quakeml_is_valid_and_says_what_the_tables_say(demo):
    from obspy import read_events
    from obspy.io.quakeml.core import _validate

    assert _validate(str(demo / "catalog.xml"))
    catalog = read_events(str(demo / "catalog.xml"))
    events = table(demo, "events")
    assert len(catalog) == len(events)
    by_id = {event.resource_id.id.rpartition("/")[2]: event for event in catalog}
    for ours in events.itertuples():
        origin = by_id[ours.event_id].preferred_origin()
        if np.isnan(ours.latitude):
            assert origin is None or origin.latitude is None
        else:
            assert abs(origin.time.ns - ours.time.value) < 1e6
            assert origin.latitude == pytest.approx(ours.latitude, abs=1e-5)
            assert origin.longitude == pytest.approx(ours.longitude, abs=1e-5)
            assert origin.depth == pytest.approx(1000 * ours.depth_km, abs=1)
            assert len(origin.arrivals) == (table(demo, "arrivals")["event_id"] == ours.event_id).sum()


def test_the_run_says_what_it_was_made_of(demo):
    run = json.loads((demo / "run.json").read_text())
    assert run["software"]["kaname"] == kaname.__version__
    assert run["configuration"]["associate"]["minimum_stations"] == 3
    assert run["velocity_model"]["name"]
    assert "seed" in run
    files = {Path(row["path"]).name for row in run["inputs"]}
    assert {"BW.UH1._.SHZ.D.2010.147.cut.slist.gz", "stations.csv"} <= files
    assert len(files) == 7
    assert all(re.fullmatch("[0-9a-f]{32}", row["blake2b"]) for row in run["inputs"])


def test_the_report_stands_alone_and_says_what_cannot_be_trusted(demo):
    page = (demo / "report.html").read_text()
    assert not re.search(r"""(?:src|href|url)\s*[=(]\s*["']?(?:https?:)?//""", page)
    assert "<link" not in page
    assert "@import" not in page
    assert "cannot be trusted" in page or "not be trusted" in page
    assert "Four stations within 8 km" in page
    assert "single component" in page
    assert "sister" in page


def test_the_events_are_printed_beside_the_analysts(demo, capsys):
    assert main(["demo", "--out", str(demo)]) == 0
    told = capsys.readouterr()
    assert "by others" in told.out
    assert "2010-05-27T16:56:24" in told.out
    assert told.out.count("2010-05-27T16:2") >= 4


def test_a_second_run_does_nothing_twice_and_gives_the_same(demo, tmp_path, monkeypatch, capsys):
    before = {name: (demo / f"{name}.parquet").read_bytes() for name in TABLES}
    quakeml = (demo / "catalog.xml").read_bytes()

    def must_not(*_, **__):
        raise AssertionError("finished work was done again")

    for step in ("pick_station_day", "_associate", "_locate_task", "_amplitudes"):
        monkeypatch.setattr(catalogue, step, must_not)
    monkeypatch.setattr("kaname.automation.compare._scan", must_not)
    monkeypatch.setattr("kaname.archive.records.survey_file", must_not)
    assert main(["demo", "--out", str(demo), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["events"] == 4
    for name in TABLES:
        assert (demo / f"{name}.parquet").read_bytes() == before[name], name
    assert (demo / "catalog.xml").read_bytes() == quakeml


def test_without_finished_work_it_gives_the_same_again(demo, tmp_path):
    assert main(["demo", "--out", str(tmp_path)]) == 0
    for name in TABLES:
        assert (tmp_path / f"{name}.parquet").read_bytes() == (demo / f"{name}.parquet").read_bytes(), name


def test_without_obspys_test_data_it_says_so(tmp_path, monkeypatch, capsys):
    root = Path(find_spec("obspy").origin).parent
    bare = tmp_path / "obspy"
    bare.mkdir()
    shutil.copy(root / "__init__.py", bare)
    spec = type("Spec", (), {"origin": str(bare / "__init__.py")})
    monkeypatch.setattr("kaname.cli._demo.find_spec", lambda name: spec)
    assert main(["demo", "--out", str(tmp_path / "out")]) == 1
    told = capsys.readouterr().err
    assert told.startswith("kaname: ObsPy's test data are not in")
    assert len(told.strip().splitlines()) == 1
