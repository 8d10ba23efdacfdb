"""ZMAP, CSEP and ComCat: what they hold comes out, and what is broken is said."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kaname.core.errors import FormatError, InputError
from kaname.core.forecasts import FORECASTS, SIMULATIONS
from kaname.core.tables import empty, validate
from kaname.formats import csep
from kaname.formats.catalogs import read_events, write_events
from kaname.formats.eventset import EventSet

COMCAT = (
    "time,latitude,longitude,depth,mag,magType,nst,gap,dmin,rms,net,id,updated,place,type,"
    "horizontalError,depthError,magError,magNst,status,locationSource,magSource\n"
    "2019-07-06T03:19:53.040Z,35.7695,-117.5993,8,7.1,mw,,,,,ci,ci38457511,2023-01-01T00:00:00.000Z,"
    '"2019 Ridgecrest, CA",earthquake,,31.61,,,reviewed,ci,ci\n'
    "2019-07-06T04:00:00.000Z,35.7,-117.5,-0.8,,,,,,,ci,ci2,2023-01-01T00:00:00.000Z,"
    '"a quarry",quarry blast,,,,,reviewed,ci,ci\n'
    "2019-07-06T04:10:00.000Z,35.7,-117.5,2.5,2.1,ml,12,100,0.1,0.2,ci,ci3,2023-01-01T00:00:00.000Z,"
    '"x",earthquake,0.2,0.5,0.1,20,reviewed,ci,ci\n'
    ",35.7,-117.5,2.5,2.1,ml,,,,,ci,ci4,,,earthquake,,,,,reviewed,ci,ci\n"
)
ZMAP = "13.34\t42.35\t2009.2630\t4\t6\t5.9\t8.3\t1\t32\t39.5\n-70.5 -30.1 2010.0 12 31 3.0 0 23 59 60.0\n"


def test_comcat(tmp_path):
    file = tmp_path / "query.csv"
    file.write_text(COMCAT)
    read = read_events(file)
    assert read.events["event_id"].tolist() == ["ci38457511", "ci3"]
    first = read.events.iloc[0]
    assert (first.latitude, first.longitude, first.magnitude, first.depth_km) == (35.7695, -117.5993, 7.1, 8)
    assert first.time == pd.Timestamp("2019-07-06T03:19:53.04")
    assert first.depth_uncertainty_km == 31.61
    assert [f["error"] for f in read.failures] == ["FormatError", "Warning"]
    assert "quarry" in read.failures[1]["message"]


def test_comcat_without_events_is_said(tmp_path):
    file = tmp_path / "query.csv"
    file.write_text(COMCAT.splitlines()[0] + "\n")
    with pytest.raises(FormatError, match="no events"):
        read_events(file)


def test_zmap_reads_and_writes(tmp_path):
    file = tmp_path / "italy.dat"
    file.write_text(ZMAP)
    events = read_events(file).events
    assert events["time"].tolist() == [pd.Timestamp("2009-04-06T01:32:39.5"), pd.Timestamp("2011-01-01")]
    assert events["magnitude"].tolist() == [5.9, 3.0]
    assert events["longitude"].tolist() == [13.34, -70.5]
    again = read_events(write_events(EventSet(events), tmp_path / "again.zmap")).events
    for name in ("time", "latitude", "longitude", "depth_km", "magnitude"):
        assert again[name].tolist() == events[name].tolist()


@pytest.mark.parametrize("broken", ["13.34 42.35 2009 4\n", "13 42 2009 2 30 5 8 1 32 39\n", "a b c\n"])
def test_broken_zmap_is_refused(tmp_path, broken):
    file = tmp_path / "italy.dat"
    file.write_text(ZMAP + broken)
    with pytest.raises(FormatError, match="no events could be read"):
        read_events(file)


@pytest.fixture
def simulations():
    return validate(
        pd.DataFrame(
            {
                "simulation": [1, 1, 3],
                "time": pd.to_datetime(
                    ["2020-01-01 00:00:01", "2020-01-02 00:00:00", "2020-01-03 00:00:00"]
                ).astype("datetime64[ns]"),
                "longitude": [13.1, 13.2, -170.0],
                "latitude": [42.0, 42.1, -20.0],
                "magnitude": [3.0, 4.5, 5.25],
            }
        ),
        SIMULATIONS,
    )


def test_simulations_keep_catalogues_without_earthquakes(tmp_path, simulations):
    file = csep.write_simulations(simulations, 6, tmp_path / "a.csv")
    table, n = csep.read_simulations(file)
    assert n == 6
    pd.testing.assert_frame_equal(table[list(simulations.columns[:6])], simulations[simulations.columns[:6]])
    nothing, n = csep.read_simulations(csep.write_simulations(empty(SIMULATIONS), 3, tmp_path / "b.csv"))
    assert (len(nothing), n) == (0, 3)
    with pytest.raises(InputError, match="simulation 3 of only 3"):
        csep.write_simulations(simulations, 3, tmp_path / "c.csv")


def test_simulations_are_no_catalogue_of_events(tmp_path, simulations):
    csep.write_simulations(simulations, 4, tmp_path / "a.csv")
    with pytest.raises(FormatError, match="simulated catalogues"):
        read_events(tmp_path / "a.csv")
    one = tmp_path / "one.csv"
    one.write_text(
        "lon,lat,M,time_string,depth,catalog_id,event_id\n13,42,3.1,2020-01-01T00:00:00.5,8,-1,x\n"
    )
    events = read_events(one).events
    assert events["event_id"].tolist() == ["x"]
    assert events["magnitude"].tolist() == [3.1]
    one.write_text(one.read_text() + "13,42,big,2020-01-01T00:00:00,8,-1,y\n")
    with pytest.raises(FormatError, match="line 3"):
        read_events(one)


def test_grids(tmp_path):
    grid = validate(
        pd.DataFrame(
            {
                "longitude_min": [10.0, 10.0], "longitude_max": [10.1, 10.1],
                "latitude_min": [40.0, 40.0], "latitude_max": [40.1, 40.1],
                "depth_min_km": 0.0, "depth_max_km": 30.0,
                "magnitude_min": [4.95, 5.05], "magnitude_max": [5.05, np.nan], "expected": [1e-5, 3.3e-6],
            }
        ),
        FORECASTS,
    )  # fmt: skip
    back = csep.read_grid(csep.write_grid(grid, tmp_path / "grid.dat"))
    pd.testing.assert_frame_equal(back, grid, rtol=1e-12)
    (tmp_path / "bad.dat").write_text("1 2 3\n")
    with pytest.raises(FormatError, match="3 numbers"):
        csep.read_grid(tmp_path / "bad.dat")
