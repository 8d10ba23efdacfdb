"""The database from files to SQL, on made-up records and on real ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from knet_files import knet

from kaname.cli import main
from kaname.core.errors import InputError, NotFoundError
from kaname.core.shaking import GROUND_MOTIONS
from kaname.core.tables import read_table, table
from kaname.formats.srcmod import read_srcmod
from kaname.modeling.strong_motion.database import build_database, query, with_rupture
from kaname.modeling.strong_motion.gathering import event_of

EVENT = {
    "id": "made",
    "time": "2013-09-01T04:09:50",
    "lat": 41.0,
    "lon": 142.0,
    "depth": 30.0,
    "magnitude": 6.0,
}


def _knet_triplet(folder: Path, *, station: str = "AOM001", quiet: bool = False) -> None:
    from datetime import datetime

    rng = np.random.default_rng(1)
    t = np.arange(6000) / 100.0 - 20.0
    envelope = np.where(t > 0, np.maximum(t, 0) * np.exp(-t / 4.0), 0.0) * (0.0 if quiet else 1.0)
    folder.mkdir(parents=True, exist_ok=True)
    for direction, suffix in (("N-S", "NS"), ("E-W", "EW"), ("U-D", "UD")):
        counts = (3e4 * rng.standard_normal(6000) * envelope + 30 * rng.standard_normal(6000)).astype("int32")
        content = knet(
            counts, start=datetime(2013, 9, 1, 4, 10), header={"Dir.": direction, "Station Code": station}
        )
        (folder / f"{station}1309011310.{suffix}").write_bytes(content)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("records")
    _knet_triplet(folder / "one")
    _knet_triplet(folder / "two", station="AOM002", quiet=True)
    (folder / "event.json").write_text(json.dumps(EVENT))
    (folder / "readme.txt").write_text("no record")
    build_database([folder], folder / "db", licence="made up")
    return folder


def test_what_is_used_and_what_is_rejected(built: Path) -> None:
    frame = query(built / "db", "SELECT * FROM ground_motions ORDER BY station")
    assert list(frame["quality"]) == ["used", "rejected"]
    assert frame["reason"][1]
    used = frame.iloc[0]
    assert (used["event_id"], used["component"], used["licence"]) == ("made", "rotd50", "made up")
    assert used["pga_cm_s2"] > 0 and used["sa_0_300_cm_s2"] > 0 and used["intensity_jma"] > 0
    assert used["rrup_km"] >= used["repi_km"] > 0
    failures = query(built / "db", "SELECT * FROM failures")
    assert failures["subject"].str.endswith("readme.txt").sum() == 1


def test_measures_stand_in_order(built: Path) -> None:
    rows = query(built / "db", "SELECT * FROM record_measures").set_index("measure")
    spectra = rows[rows["period_s"].notna()]
    assert len(spectra) > 60
    assert (spectra["rotd100"] >= spectra["rotd50"]).all()
    assert (spectra["rotd100"] >= spectra["larger"] * 0.999).all()
    assert rows.loc["pga", "unit"] == "cm/s2"
    assert rows.loc["sa(0.01)", "rotd50"] == pytest.approx(rows.loc["pga", "rotd50"], rel=0.1)
    fourier = query(built / "db", "SELECT * FROM fourier")
    assert (fourier["amplitude_cm_s"] > 0).all()


def test_a_second_build_extends_and_repeats_nothing(built: Path, tmp_path: Path) -> None:
    before = query(built / "db", "SELECT record_id, pga_cm_s2 FROM ground_motions ORDER BY record_id")
    _knet_triplet(tmp_path / "three", station="AOM003")
    build_database([tmp_path / "three"], built / "db")
    after = query(built / "db", "SELECT record_id, pga_cm_s2 FROM ground_motions ORDER BY record_id")
    assert len(after) == len(before) + 1
    pd.testing.assert_frame_equal(after.head(len(before)), before)


def test_sql_that_is_wrong(built: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot answer"):
        query(built / "db", "SELECT nothing FROM nowhere")
    for empty in ("", ";"):
        with pytest.raises(InputError, match="asks nothing"):
            query(built / "db", empty)
    with pytest.raises(NotFoundError, match="records build"):
        query(tmp_path, "SELECT 1")
    with pytest.raises(NotFoundError):
        build_database([tmp_path / "none"], tmp_path / "db")
    with pytest.raises(NotFoundError, match="no files"):
        build_database([tmp_path], tmp_path / "db")
    with pytest.raises(InputError, match="known are active_shallow"):
        build_database([tmp_path], tmp_path / "db", tectonic_region="here")


def test_the_command_line(built: Path, tmp_path: Path, capsys: Any) -> None:
    assert main(["records", "build", str(built / "one"), "--db", str(tmp_path / "db"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ground_motions"] == 1
    assert json.loads((tmp_path / "db" / "run.json").read_text())["summary"]["ground_motions"] == 1
    assert main(["records", "build", str(built / "readme.txt"), "--db", str(tmp_path / "db")]) == 3
    assert "readme.txt is neither a record" in capsys.readouterr().err
    assert (
        main(
            ["records", "query", "SELECT quality FROM ground_motions", "--db", str(tmp_path / "db"), "--json"]
        )
        == 0
    )
    assert json.loads(capsys.readouterr().out) == [{"quality": "used"}]
    out = tmp_path / "answer.csv"
    assert main(["records", "query", "SELECT 1 AS x", "--db", str(tmp_path / "db"), "--out", str(out)]) == 0
    assert out.read_text() == "x\n1\n"
    assert main(["records", "query", "SELECT 1", "--db", str(tmp_path / "db"), "--out", "x.doc"]) == 2


def test_events_of_json(tmp_path: Path) -> None:
    path = tmp_path / "event.json"
    path.write_text(json.dumps(EVENT))
    assert event_of(path)["magnitude"] == 6.0  # type: ignore[index]
    feature = {
        "type": "Feature",
        "id": "us1",
        "properties": {"time": 1571117622810, "mag": 4.46, "magType": "mw"},
        "geometry": {"coordinates": [-122.057, 37.938, 13.97]},
    }
    path.write_text(json.dumps(feature))
    assert event_of(path)["time"] == pd.Timestamp("2019-10-15T05:33:42.810")  # type: ignore[index]
    for text in ("", "[]", "{}", '{"id": 1}', '{"type": "Feature"}'):
        path.write_text(text)
        assert event_of(path) is None


def test_distances_from_a_finite_source(shared_data: Path) -> None:
    model = read_srcmod(next((shared_data / "fault/srcmod_fsp").rglob("*PARKFI*.fsp")))
    row = {
        "event_id": "parkfield",
        "event_time": "2004-09-28T17:15:24",
        "event_latitude": 35.8185,
        "event_longitude": -120.3706,
        "event_depth_km": 8.3,
        "magnitude": 6.0,
        "latitude": 35.9,
        "longitude": -120.46,
        "source_model": "point",
        "rrup_km": 14.0,
    }
    other = {**row, "record_id": "b", "event_id": "other", "event_time": "2005-01-01T00:00:00"}
    frame = with_rupture(table([{**row, "record_id": "a"}, other], GROUND_MOTIONS), model)
    assert frame["source_model"][0] == "s2004PARKFI01CUST"
    assert frame["rrup_km"][0] < 6  # beside the fault trace, 12 km from the epicentre
    assert frame["rrup_km"][1] == 14.0
    with pytest.raises(NotFoundError, match="PARKFI"):
        with_rupture(frame.iloc[1:], model)


@pytest.mark.slow
def test_every_real_record_is_in_it_or_rejected_with_a_reason(shared_data: Path, tmp_path: Path) -> None:
    inputs = [shared_data / p for p in ("japan", "strongmotion/records", "strongmotion/network_events")]
    build_database(inputs, tmp_path / "db")
    frame = read_table(tmp_path / "db/ground_motions.parquet", GROUND_MOTIONS)
    assert len(frame) == 37
    assert set(frame["quality"]) == {"used", "rejected"}
    assert (frame.loc[frame["quality"] == "rejected", "reason"] != "").all()
    assert frame.loc[frame["quality"] == "used", "pga_cm_s2"].gt(0).all()
    # The broadband seismometer went off scale; the accelerometer beside it is the record.
    site = frame[frame["station"] == "BRIB"].set_index("record_id")
    assert dict(site["quality"].groupby(site.index.str[11:13]).first()) == {
        "BH": "rejected",
        "HH": "rejected",
        "HN": "used",
    }
    assert site.loc[site["quality"] == "used", "duplicate_of"].item() == ""
    # The stated peaks are met to their last printed digit, which some networks cut and some round.
    components = query(tmp_path / "db", "SELECT * FROM components WHERE peak_header_text <> ''")
    assert len(components) > 50
    digits = components["peak_header_text"].str.partition(".")[2].str.len()
    apart = (components["peak_read"] - components["peak_header"]).abs()
    assert (apart <= 1.01 * 10.0**-digits).all()
    # JMA's published intensities of the four sites, truncated to a tenth.
    published = pd.read_csv(next((shared_data / "japan/jma_intensity_20180124").glob("*.csv")))
    merged = published.merge(frame, left_on="knet_station", right_on="station")
    reported = np.floor(np.round(merged["intensity_jma"], 2) * 10) / 10
    np.testing.assert_allclose(reported, merged["helper_computed_reported"], atol=1e-9)
