"""Tables of others: what they state arrives in the right unit and column, and what they do not is missing."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kaname.core.errors import FormatError, InputError, NotFoundError
from kaname.core.shaking import GRAVITY_CM_S2, GROUND_MOTIONS
from kaname.core.tables import validate
from kaname.modeling.strong_motion.flatfiles import is_flatfile, read_flatfile

NGA = {
    "Record Sequence Number": [1, 2],
    "EQID": [77, 77],
    "YEAR": [1994, 1994],
    "MODY": [117, 117],
    "HRMN": [1230, 1230],
    "Station Sequence Number": [5, 6],
    "Hypocenter Latitude (deg)": [34.2057, 34.2057],
    "Hypocenter Longitude (deg)": [-118.554, -118.554],
    "Hypocenter Depth (km)": [17.5, 17.5],
    "Earthquake Magnitude": [6.69, 6.69],
    "Rake Angle (deg)": [103.0, 103.0],
    "Station Latitude": [34.3, 34.4],
    "Station Longitude": [-118.5, -118.4],
    "Vs30 (m/s) selected for analysis": [380.0, 1200.0],
    "Measured/Inferred Class": [0, 5],
    "ClstD (km)": [5.0, -999],
    "PGA (g)": [0.5, 0.1],
    "PGV (cm/sec)": [60.0, 5.0],
    "T0.300S": [1.1, -999],
}
SHAKEMAP = {
    "type": "FeatureCollection",
    "metadata": {"eventid": "us1"},
    "features": [
        {
            "geometry": {"type": "Point", "coordinates": [-120.0, 35.0]},
            "properties": {
                "code": "CI.ABC",
                "network": "CI",
                "station_type": "seismic",
                "vs30": 400.0,
                "distances": {"rrup": 10.0, "rjb": 8.0, "repi": 9.0, "rhypo": 11.0},
                "channels": [
                    {"name": "HNE", "amplitudes": [{"name": "pga", "value": 12.0, "flag": "0"}]},
                    {
                        "name": "HNN",
                        "amplitudes": [
                            {"name": "pga", "value": 10.0, "flag": "0"},
                            {"name": "pgv", "value": 3.0, "flag": "0"},
                            {"name": "sa(0.3)", "value": 20.0, "flag": "0"},
                            {"name": "sa(1.0)", "value": "null", "flag": "0"},
                            {"name": "sa(3.0)", "value": 99.0, "flag": "G"},
                        ],
                    },
                    {"name": "HNZ", "amplitudes": [{"name": "pga", "value": 50.0, "flag": "0"}]},
                ],
            },
        },
        {
            "geometry": {"type": "Point", "coordinates": [-120.1, 35.0]},
            "properties": {"code": "DYFI.1", "station_type": "macroseismic"},
        },
    ],
}


def test_ridgecrest_arrives_whole(shared_data: Path) -> None:
    path = shared_data / "strongmotion/flatfiles/ridgecrest_SA_rotd50_2020.03.31.csv.gz"
    read = read_flatfile(path, tectonic_region="active_shallow", licence="public domain")
    truth = pd.read_csv(path)
    assert read.kind == "ridgecrest"
    assert read.failures.empty
    assert len(read.table) == len(truth)
    assert read.table["event_id"].nunique() == truth["EarthquakeId"].nunique()
    np.testing.assert_allclose(read.table["pga_cm_s2"], truth["PGA"] / 100 * GRAVITY_CM_S2)
    np.testing.assert_allclose(read.table["sa_1_000_cm_s2"], truth["SA(1.000)"] / 100 * GRAVITY_CM_S2)
    np.testing.assert_allclose(read.table["pgv_cm_s"], truth["PGV"])
    assert set(read.table["tectonic_region"]) == {"active_shallow"}
    assert read.table["vs30_measured"].sum() == truth["Measured_VS30"].notna().sum()
    validate(read.table, GROUND_MOTIONS)


def test_esm_takes_the_geometric_mean_where_there_is_no_rotd50(shared_data: Path) -> None:
    path = shared_data / "strongmotion/flatfiles/esm_flatfile_200.csv.gz"
    read = read_flatfile(path)
    truth = pd.read_csv(path)
    assert read.kind == "esm"
    assert len(read.table) == 200
    without = truth["trace_rotd50_pga_cps2"].isna().to_numpy()
    assert (read.table["component"].to_numpy() == np.where(without, "geometric_mean", "rotd50")).all()
    both = np.sqrt(np.abs(truth["trace_u_pga_cps2"] * truth["trace_v_pga_cps2"]))
    np.testing.assert_allclose(read.table["pga_cm_s2"][without], both[without])
    np.testing.assert_allclose(read.table["pga_cm_s2"][~without], truth["trace_rotd50_pga_cps2"][~without])
    assert read.table["sa_0_020_cm_s2"].isna().all()  # ESM has no such period, and none is interpolated


def test_japan_station_list(shared_data: Path) -> None:
    path = shared_data / "strongmotion/japan_station_pga/stations.csv"
    read = read_flatfile(path)
    truth = pd.read_csv(path)
    assert read.kind == "station_pga"
    np.testing.assert_allclose(np.log(read.table["pga_cm_s2"] / GRAVITY_CM_S2), truth["ln_pga_g"])
    residual = np.log(read.table["pga_cm_s2"]) - read.table["gmm_mean_ln_pga_cm_s2"]
    np.testing.assert_allclose(residual, truth["ln_pga_g"] - truth["gmm_mean_ln"], atol=1e-9)


def test_nga_of_made_up_rows(tmp_path: Path) -> None:
    path = tmp_path / "nga.csv"
    pd.DataFrame(NGA).to_csv(path, index=False)
    row = read_flatfile(path).table.iloc[0]
    assert row["event_time"] == pd.Timestamp("1994-01-17T12:30")
    assert row["pga_cm_s2"] == pytest.approx(490.3325)
    assert row["vs30_measured"]
    other = read_flatfile(path).table.iloc[1]
    assert np.isnan(other["rrup_km"])
    assert np.isnan(other["sa_0_300_cm_s2"])
    assert not other["vs30_measured"]


def test_shakemap_takes_the_larger_unflagged_horizontal(tmp_path: Path) -> None:
    path = tmp_path / "stationlist.json"
    path.write_text(json.dumps(SHAKEMAP))
    read = read_flatfile(path)
    assert len(read.table) == 1  # reports of people are no records
    row = read.table.iloc[0]
    assert (row["record_id"], row["component"]) == ("us1/CI.ABC", "larger")
    assert row["pga_cm_s2"] == pytest.approx(0.12 * GRAVITY_CM_S2)
    assert row["sa_0_300_cm_s2"] == pytest.approx(0.2 * GRAVITY_CM_S2)
    assert np.isnan(row["sa_1_000_cm_s2"])
    assert np.isnan(row["sa_3_000_cm_s2"])
    assert row["rrup_km"] == 10


def test_values_out_of_bounds_go_and_are_told(tmp_path: Path) -> None:
    path = tmp_path / "list.csv.gz"
    text = "event,latitude,longitude,ln_pga_g,rrup_km\nA,35,139,-1,-5\nA,95,139,-2,7\n,35,138,-2,7\n"
    path.write_bytes(gzip.compress(text.encode()))
    read = read_flatfile(path, kind="station_pga")
    assert len(read.table) == 2
    assert len(read.failures) == 3
    assert np.isnan(read.table["rrup_km"].iloc[0])
    assert "row 2: rrup_km is -5" in read.failures["message"].iloc[0]


def test_what_is_no_flatfile(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_flatfile(tmp_path / "none.csv")
    for content in ("", "a,b\n1,2\n", '{"a": 1}', '{"features": [', "\x1f\x8bxx"):
        path = tmp_path / "file.csv"
        path.write_bytes(content.encode("latin-1"))
        assert not is_flatfile(path)
        with pytest.raises(FormatError, match=r"file\.csv"):
            read_flatfile(path)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(FormatError, match="no column"):
        read_flatfile(path, kind="esm")
    with pytest.raises(InputError, match="known are"):
        read_flatfile(path, kind="peer")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="tectonic"):
        read_flatfile(path, tectonic_region="here")
