"""kaname shakemap, end to end on earthquakes of our making."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ground_motions import made_ground_motions

from kaname.cli import main
from kaname.core.shaking import GROUND_MOTIONS
from kaname.core.tables import write_table
from kaname.earth.ruptures import Rupture, distances
from kaname.modeling.ground_motion.contract import get_model

MODEL = ("--option", "mechanism=unspecified")


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Forty stations of one event, all e times stronger than the model says; one duplicate, one rejected."""
    rng = np.random.default_rng(0)
    n = 40
    frame = pd.DataFrame(
        {
            "latitude": np.repeat(np.linspace(35, 35.6, 5), 8) + rng.uniform(0, 0.05, n),
            "longitude": np.tile(np.linspace(139, 139.8, 8), 5) + rng.uniform(0, 0.05, n),
        }
    )
    frame = frame.assign(
        record_id=[f"r{i}" for i in range(n)],
        event_id="quake",
        station=[f"S{i:02d}" for i in range(n)],
        event_latitude=35.3,
        event_longitude=139.4,
        event_depth_km=12.0,
        magnitude=6.2,
        vs30_m_s=400.0,
    )
    found = distances(Rupture.point(35.3, 139.4, 12.0), frame["latitude"], frame["longitude"])
    model = get_model("boore_2014", mechanism="unspecified")
    expected = model.predict(frame.assign(rjb_km=found.rjb_km), "pga").mean
    frame["pga_cm_s2"] = np.exp(expected + 1.0)
    frame["pgv_cm_s"] = np.exp(model.predict(frame.assign(rjb_km=found.rjb_km), "pgv").mean + 1.0)
    twice = frame.iloc[[0]].assign(record_id="again", duplicate_of="r0", pga_cm_s2=1.0)
    rejected = frame.iloc[[1]].assign(record_id="bad", latitude=35.9, quality="rejected", pga_cm_s2=9e3)
    path = tmp_path / "ground_motions.parquet"
    write_table(pd.concat([frame, twice, rejected], ignore_index=True), path, GROUND_MOTIONS)
    return path


def test_maps_and_numbers_of_an_event(
    records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["shakemap", "quake", "--stations", str(records), "--out", str(out), "--spacing", "0.1", *MODEL]
    assert main([*words, "--measure", "pga", "--vs30", "400", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["stations"] == 40
    pga = summary["measures"]["pga"]
    # All records are 1 above the model: most of it is the event's.
    assert 0.6 < pga["event_term_ln"] < 1.0
    assert {"pga_cm_s2.tif", "pga_cm_s2.geojson", "pga_cm_s2.png", "pga_cm_s2_above.png"} <= set(pga["files"])
    assert (out / "intensity_from_pga.png").stat().st_size > 5000
    run = json.loads((out / "run.json").read_text())
    assert run["model"] == {"name": "boore_2014", "options": {"mechanism": "unspecified"}}
    assert run["inputs"][0]["blake2b"]
    points = json.loads((out / "pga_cm_s2.geojson").read_text())["features"]
    assert len(points) == np.prod(run["grid"]["shape"])
    assert all(p["properties"]["p16"] < p["properties"]["median"] < p["properties"]["p84"] for p in points)


def test_a_map_far_from_every_station_is_told(
    records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["shakemap", "quake", "--stations", str(records), "--out", str(tmp_path / "out"), *MODEL]
    assert main([*words, "--bounds=140.5,36.5,141,37", "--spacing", "0.25", "--vs30", "400"]) == 0
    assert "none of the 40 stations lies within the map" in capsys.readouterr().err


def test_the_correlation_can_be_estimated_from_the_event(records: Path, tmp_path: Path) -> None:
    words = [
        "shakemap",
        "quake",
        "--stations",
        str(records),
        "--out",
        str(tmp_path / "o"),
        "--spacing",
        "0.2",
    ]
    assert main([*words, *MODEL, "--spatial", "estimated", "--uncertainty", "0.1"]) == 0
    run = json.loads((tmp_path / "o/run.json").read_text())
    assert run["result"]["measures"]["pga"]["correlation"].startswith("Exponential")


def test_vs30_by_place_and_a_constant_elsewhere(
    records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Soft ground in the west, none known in the east: the report says so, and the model is asked with it."""
    lat, lon = np.meshgrid(np.arange(34.9, 35.75, 0.05), np.arange(138.9, 139.41, 0.05), indexing="ij")
    ground = tmp_path / "vs30.csv"
    pd.DataFrame({"lat": lat.ravel(), "lon": lon.ravel(), "vs30": 180.0}).to_csv(ground, index=False)
    frame = pd.read_parquet(records)
    frame.loc[frame["longitude"] < 139.2, "vs30_m_s"] = np.nan
    frame.to_parquet(records)
    out, words = (
        tmp_path / "out",
        ["shakemap", "quake", "--stations", str(records), "--spacing", "0.1", *MODEL],
    )
    assert main([*words, "--vs30", "800", "--vs30-map", str(ground), "--out", str(out)]) == 0
    assert f"from {ground}" in capsys.readouterr().out
    run = json.loads((out / "run.json").read_text())
    site = run["result"]["vs30"]
    n = int(np.prod(run["grid"]["shape"]))
    assert site["constant_m_s"] == 800 and site["points"]["stated"] == 0
    assert site["points"]["map"] + site["points"]["constant"] == n and min(site["points"].values()) == 0
    assert 0 < site["points"]["constant"] < n
    assert site["stations"]["map"] > 0 and site["stations"]["map"] + site["stations"]["stated"] == 40
    assert str(ground) in [i["path"] for i in run["inputs"]]
    plain = tmp_path / "plain"
    assert main([*words, "--vs30", "800", "--out", str(plain)]) == 0
    west = {}
    for folder in (out, plain):
        points = json.loads((folder / "pga_cm_s2.geojson").read_text())["features"]
        at = [p["properties"]["median"] for p in points if p["geometry"]["coordinates"][0] < 139.15]
        west[folder] = np.log(np.mean(at))
    # Soft ground where the map says so; less than the model's, for the stations there are soft now too.
    assert west[plain] + 0.03 < west[out] < west[plain] + 0.8


def test_the_learned_field_of_a_database(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = made_ground_motions(4, 25, seed=3)
    table.loc[5, "quality"] = "rejected"
    write_table(table, tmp_path / "db/ground_motions.parquet", GROUND_MOTIONS)
    event = table["event_id"].value_counts().index[0]
    words = ["shakemap", str(event), "--db", str(tmp_path / "db"), "--spacing", "0.5", *MODEL]
    medians = {}
    for field in ("conditioned", "learned"):
        out = tmp_path / field
        assert main([*words, "--field", field, "--out", str(out)]) == 0
        run = json.loads((out / "run.json").read_text())
        found = run["result"]["measures"]["pga"]
        assert run["field"] == field and found["sigma_ln"][0] > 0
        points = json.loads((out / "pga_cm_s2.geojson").read_text())["features"]
        assert all(
            p["properties"]["p16"] < p["properties"]["median"] < p["properties"]["p84"] for p in points
        )
        medians[field] = np.log([p["properties"]["median"] for p in points])
    assert found["events_learned_from"] == 4 and 30 < found["records_learned_from"] < len(table)
    assert found["law"] in ("normal", "student", "tails")
    # Two ways to say what the same recordings tell: they agree on the whole, not at each point.
    assert np.corrcoef(medians["conditioned"], medians["learned"])[0, 1] > 0.8
    assert main([*words, "--field", "learned", "--uncertainty", "0.2", "--out", str(out)]) == 2
    assert "--uncertainty" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, message",
    [
        (["other", "--stations", "{}"], "no event 'other'"),
        (["quake"], "either --db or --stations"),
        (["quake", "--stations", "nowhere.parquet"], "does not exist"),
        (["quake", "--stations", "{}", "--bounds", "1,2,3"], "4 numbers"),
        (["quake", "--stations", "{}", "--measure", "sa(1)", *MODEL], "no record of sa(1)"),
        (["quake", "--stations", "{}", "--option", "mechanism"], "NAME=VALUE"),
        (["quake", "--stations", "{}", "--model", "nobody_1900"], "nobody_1900"),
        (["quake", "--stations", "{}", "--spatial", "nearest", *MODEL], "nearest"),
        (["quake", "--stations", "{}", "--field", "guessed"], "conditioned or learned"),
        (["quake", "--stations", "{}", "--vs30-map", "nowhere.tif", *MODEL], "no such file"),
        (["quake", "--stations", "{}", "--vs30", "0", *MODEL], "positive"),
    ],
)
def test_wrong_use_is_explained(
    words: list[str], message: str, records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [w.format(records) if w == "{}" else w for w in words]
    assert main(["shakemap", *words, "--out", str(tmp_path / "out")]) in (1, 2)
    assert message in capsys.readouterr().err


def test_a_period_that_no_table_has(
    records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["shakemap", "quake", "--stations", str(records), "--out", str(tmp_path / "o"), *MODEL]
    assert main([*words, "--measure", "sa(0.33)"]) == 2
    assert "0.25, 0.3, 0.4" in capsys.readouterr().err


def test_numbers_that_are_told_have_a_unit(
    records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["shakemap", "quake", "--stations", str(records), "--out", str(tmp_path / "o"), *MODEL]
    assert main([*words, "--spacing", "0.3", "--measure", "pgv"]) == 0
    told = capsys.readouterr().out
    assert re.search(r"event term \+\d\.\d\d ln units, largest median \S+ cm/s, sigma .* ln units", told)
