"""GNSS, strain, radar and declared series come out in one time, place and unit, and tell what is damaged."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest
from knet_files import tar
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from pyproj import Transformer

from kaname.core.errors import FormatError, InputError, NotFoundError
from kaname.core.tables import DISPLACEMENTS, FEATURES, validate
from kaname.formats.declarations import declared_reader
from kaname.formats.declared import Declaration, read_declared
from kaname.formats.geotiff import read_geotiff
from kaname.formats.gnss import read_gnss
from kaname.formats.insar import Look, read_insar
from kaname.formats.strain import read_strain

TENV3 = """site YYMMMDD yyyy.yyyy __MJD week d reflon _e0(m) __east(m) ____n0(m) _north(m) u0(m) ____up(m) \
_ant(m) sig_e(m) sig_n(m) sig_u(m) __corr_en __corr_eu __corr_nu
COVE 10JUL28 2010.5708 55405 1594 4 -112.8  -3815 -0.41548   4276712 0.86481  1687  0.35637  0.1800 0.00065 \
0.00067 0.00328  0.05829 -0.56488  0.04405
COVE 10JUL29 2010.5735 55406 1594 5 -112.8  -3815 -0.41448   4276713 -0.13319  1687  0.36137  0.1800 0.00065 \
0.00067 0.00328  0.05829 -0.56488  0.04405
"""


def test_tenv3_counts_from_the_first_day(tmp_path):
    path = tmp_path / "COVE.tenv3"
    path.write_text(TENV3)
    read = read_gnss(path)
    assert read.failures == []
    table = validate(read.table, DISPLACEMENTS)
    assert list(table["station"]) == ["COVE", "COVE"]
    assert list(table["time"]) == [pd.Timestamp("2010-07-28T12:00"), pd.Timestamp("2010-07-29T12:00")]
    # 1 mm east; the integer part of the northing has gone up by a metre, the rest down by 998 mm: 2 mm.
    np.testing.assert_allclose(table[["east_mm", "north_mm", "up_mm"]], [[0, 0, 0], [1, 2, 5]], atol=1e-6)
    assert table["east_uncertainty_mm"].iloc[0] == pytest.approx(0.65)
    assert table["correlation_east_up"].iloc[0] == -0.56488
    # The length of the meridian and the parallel, by the series of the ellipsoid: Cove Fort, Utah.
    assert table["latitude"].iloc[0] == pytest.approx(38.617, abs=0.02)
    assert table["longitude"].iloc[0] == pytest.approx(-112.8438, abs=0.0005)


def test_tenv3_states_its_own_coordinates_since_2021(tmp_path):
    path = tmp_path / "COVE.tenv3.gz"
    lines = TENV3.splitlines()
    text = "\n".join([lines[0], lines[1] + " 38.6 247.1562 1687.356", ""])
    path.write_bytes(gzip.compress(text.encode()))
    row = read_gnss(path).table.iloc[0]
    assert (row["latitude"], row["height_m"]) == (38.6, 1687.356)
    assert row["longitude"] == pytest.approx(-112.8438)


def test_pbo_positions_count_from_the_reference_that_is_stated(tmp_path):
    path = tmp_path / "P003.pos"
    path.write_text(
        "PBO Station Position Time Series. Reference Frame : IGS14\n"
        "Format Version: 1.1.0\n4-character ID: P003\nStation name  : Made up\n"
        "First Epoch   : 20100101 120000\nLast Epoch    : 20100102 120000\n"
        "XYZ Reference position : -2400000.0 -4700000.0 3500000.0 (IGS14)\n"
        "NEU Reference position : 33.5 242.9 300.0 (IGS14/WGS84)\n"
        "Start Field Description\nYYYYMMDD      Year, month, day for the given position epoch\n"
        "End Field Description\n*YYYYMMDD HHMMSS JJJJJ.JJJJ X Y Z\n"
        " 20100102 120000 55198.5000 1 2 3 .001 .001 .001 0 0 0 33.5 242.9 300.0 "
        "0.00200 0.00100 -0.00300 0.0011 0.0012 0.0040 0.1 0.2 0.3 final\n"
        " 20100101 120000 55197.5000 1 2 3 .001 .001 .001 0 0 0 33.5 242.9 300.0 "
        "0.00000 0.00000 0.00000 0.0011 0.0012 0.0040 0.1 0.2 0.3 rapid\n"
        " 20100103 1200\n"
    )
    read = read_gnss(path)
    assert len(read.failures) == 1 and "line 15" in read.failures[0]["message"]
    last = read.table.iloc[-1]
    assert last["time"] == pd.Timestamp("2010-01-02T12:00")
    assert (last["north_mm"], last["east_mm"], last["up_mm"]) == (2.0, 1.0, -3.0)
    # Sn, Se, Su and Rne, Rnu, Reu
    assert last["east_uncertainty_mm"] == pytest.approx(1.2)
    assert (last["correlation_north_up"], last["correlation_east_up"]) == (0.2, 0.3)
    assert last["longitude"] == pytest.approx(-117.1)
    assert (last["frame"], last["method"]) == ("IGS14", "PBO final")


@pytest.mark.parametrize("encoding", ["utf-8", "euc_jp"])
def test_gsi_positions_turn_into_east_north_up(tmp_path, encoding):
    # The independent answer: pyproj's geocentric coordinates of a place moved along the ellipsoid's axes.
    to_xyz = Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)
    lon, lat, h = 140.0, 38.0, 50.0
    moved = [(lon, lat, h), (lon + 1e-6, lat + 2e-6, h - 0.5)]
    rows = []
    for day, (x, y, z) in enumerate(moved, start=10):
        xyz = to_xyz.transform(x, y, z)
        rows.append(
            f" 2011 03 {day} 12:00:00 " + " ".join(f"{v:.10E}" for v in xyz) + f" {y:.10E} {x:.10E} {z:.10E}"
        )
    path = tmp_path / "950172.11.pos"
    path.write_bytes(
        (
            "+SITE/INF\n ID           950172\n RINEX        0172\n J_NAME       岡部Ａ\n"
            "-SITE/INF\n\n+SOLVER/INF\n SOFT_NAME    Bernese\n COORDINATE   ITRF2014\n ELLIPSOID    GRS80\n"
            "-SOLVER/INF\n\n+DATA\n*yyyy mm dd HH:MM:SS X (m) Y (m) Z (m) Lat (deg.) Lon (deg.) Height (m)\n"
            + "\n".join(rows)
            + "\n-DATA\n"
        ).encode(encoding)
    )
    read = read_gnss(path)
    last = read.table.iloc[-1]
    # One degree at 38 N, GRS80: 87,832 m along the parallel, 110,996 m along the meridian.
    np.testing.assert_allclose(
        [last["east_mm"], last["north_mm"], last["up_mm"]], [87.83, 221.99, -500.0], atol=0.05
    )
    assert last["reference_time"] == pd.Timestamp("2011-03-10T12:00")
    assert (last["station"], last["frame"], last["method"]) == ("950172", "ITRF2014", "GSI Bernese")


@pytest.mark.parametrize("text", ["hello\n", "+SITE/INF\n-SITE/INF\n+DATA\n", "\x00\x01\x02" * 50])
def test_what_is_no_gnss_is_refused(tmp_path, text):
    path = tmp_path / "what.pos"
    path.write_text(text)
    with pytest.raises(FormatError):
        read_gnss(path)
    with pytest.raises(NotFoundError):
        read_gnss(tmp_path / "none.pos")


def test_level_2_strain_keeps_its_corrections_apart(tmp_path):
    path = tmp_path / "B001.2009.xml.Eee+Enn.txt.gz"
    head = "strain date doy MJD microstrain offset qual tide trend atmp_c atmp_c_qual level version atmp\n"
    rows = [
        "Eee+Enn 2009-01-01T00:00:00 1 54832.0 1.5 0.25 g 0.01 0.5 -0.02 g 2a 20090102000000 999.5",
        "Eee+Enn 2009-01-01T00:05:00 1 54832.003 999999 0 m 0.01 0.5 -0.02 i 2a 20090102000000 999999",
        "Eee+Enn 2009-01-01T00:10:00 1 54832.007 1.5 0 ? 0.01 0.5 -0.02 i 2a 20090102000000 999999",
        "Eee+Enn 2009-01-01T00",
    ]
    path.write_bytes(gzip.compress((head + "\n".join(rows) + "\n").encode()))
    read = read_strain(path)
    assert [row["message"].split(" is ")[0] for row in read.failures] == ["line 4", "line 5"]
    table = validate(read.table, FEATURES).pivot_table(
        index="time", columns="feature", values="value", dropna=False
    )
    assert table["areal_strain"].iloc[0] == 1.75
    assert table["pressure"].iloc[0] == 999.5
    assert np.isnan(table["areal_strain"].iloc[1]) and np.isnan(table["pressure"].iloc[1])
    assert set(table.columns) == {
        "areal_strain",
        "areal_strain_tide",
        "areal_strain_trend",
        "areal_strain_pressure_effect",
        "pressure",
    }
    quality = read.table.query("feature == 'areal_strain'")["quality"]
    assert list(quality) == ["good", "missing"]


def test_the_tar_of_a_year_of_strain_as_it_is_delivered(tmp_path):
    head = "strain\tdate\t doy\tMJD\tEee+Enn(mstrain)\ts_offset\tstrain_quality\ttide_c\tdetrend_c\n"
    rows = {
        "Gauge0": "gauge0\t2009-01-01T00:00:00\t1\t54832.0\t1.0\t0\tg\t0.1\t0.5\t-0.02\tg\t2a\t2009\t999.5\n",
        "Eee+Enn": "Eee+Enn\t2009-01-01T00:00:00\t1\t54832.0\t1.5\t0\tg\t0.1\t0.5\t0\tg\t2a\t2009\t999.5\n",
        "Eee+Enn.ER2010": "Eee+Enn\t2009-01-01T00:00:00\t1\t54832.0\t2.5\t0\tg\t0\t0\t0\ti\t2a\t2009\t\n",
    }
    files = {
        f"B001.2009.bsm.level2/B001.2009.xml.{n}.txt.gz": gzip.compress((head + r).encode())
        for n, r in rows.items()
    }
    path = tmp_path / "B001.2009.bsm.level2.tar"
    path.write_bytes(tar({**files, "B001.README.txt": b"Latitude 48\n"}))
    read = read_strain(path)
    (failure,) = read.failures
    assert "README" in failure["subject"]
    found = dict(zip(read.table["feature"], read.table["value"]))
    assert (found["gauge0"], found["areal_strain"], found["areal_strain_er2010"]) == (1.0, 1.5, 2.5)
    pressure = read.table.query("feature == 'pressure'")["value"].dropna()
    assert list(pressure) == [999.5]


@pytest.mark.parametrize(
    ("stamp", "found"),
    [
        ("2009-01-01", "2009-01-01"),
        ("2009-01-01T09:00:00+09:00", "2009-01-01"),
        ("20090101", "2009-01-01"),
        ("99999-01-01", None),
        ("1066-10-14", None),
        ("now", None),
        ("NaT", None),
    ],
)
def test_times_that_numpy_would_take_for_others(tmp_path, stamp, found):
    path = tmp_path / "a.csv"
    path.write_text(f"time,y\n2009-06-01,0\n{stamp},1\n")
    declaration = Declaration.model_validate({"station": "A", "values": {"tilt": {"column": "y"}}})
    read = read_declared(path, declaration)
    assert len(read.failures) == (found is None)
    if found:
        assert read.table.set_index("value")["time"][1.0] == pd.Timestamp(found)
    both = declaration.model_copy(update={"hours_ahead": 9.0})
    told = "its own offset" in str(read_declared(path, both).failures)
    assert told == ("+09:00" in stamp)


def test_values_beyond_bounds_cost_a_line_and_not_the_file(tmp_path):
    path = tmp_path / "COVE.tenv3"
    lines = TENV3.splitlines()
    wrong = lines[1].replace("0.00065", "-0.1"), lines[2].replace("55406", "999999999")
    path.write_text("\n".join([*lines, *wrong]))
    read = read_gnss(path)
    assert len(read.table) == 3
    assert [f["message"].split(":")[0] for f in read.failures] == [
        "line 5 is no line of tenv3",
        "line 4",
    ]
    assert read.table["east_uncertainty_mm"].isna().sum() == 1


def test_a_declared_series_in_local_time(tmp_path):
    path = tmp_path / "tilt.csv"
    path.write_text(
        "stamp;NS;EW;name\n2020/01/01 09:00;1;-9999;A01\n2020/01/01 09:01;2;5;A01\n2020/01/01;3;4;A01\n"
    )
    toml = tmp_path / "tilt.toml"
    toml.write_text(
        'station_column = "name"\ntime = "stamp"\ntime_format = "%Y/%m/%d %H:%M"\nhours_ahead = 9\n'
        'delimiter = ";"\nmissing = ["-9999"]\n'
        '[values.tilt_north]\ncolumn = "NS"\nunit = "microradian"\nscale = 0.1\n'
        '[values.tilt_east]\ncolumn = "EW"\nunit = "microradian"\nscale = 0.1\n'
    )
    read = declared_reader(toml)(path)
    assert len(read.failures) == 1
    north = read.table.query("feature == 'tilt_north'")
    assert list(north["time"]) == [pd.Timestamp("2020-01-01T00:00"), pd.Timestamp("2020-01-01T00:01")]
    np.testing.assert_allclose(north["value"], [0.1, 0.2])
    assert np.isnan(read.table.query("feature == 'tilt_east'")["value"].iloc[0])


def test_declarations_that_cannot_be(tmp_path):
    values = {"tilt": {"column": "x"}}
    for wrong in (
        {"values": values},
        {"station": "A", "values": {}},
        {"station": "A", "values": values, "table": "displacements"},
        {"station": "A", "values": values, "latitude": 1.0},
    ):
        with pytest.raises(ValueError):
            Declaration.model_validate(wrong)
    path = tmp_path / "a.csv"
    path.write_text("time,y\n2020-01-01,1\n")
    with pytest.raises(FormatError, match="no column x"):
        read_declared(path, Declaration.model_validate({"station": "A", "values": values}))
    (tmp_path / "bad.toml").write_text("station = ")
    with pytest.raises(InputError):
        declared_reader(tmp_path / "bad.toml")


def test_the_step_of_tohoku_stands_where_geonet_saw_it(shared_data):
    """The file calls north `lon` and east `lat`; the declaration says so."""
    declaration = Declaration.model_validate(
        {
            "table": "displacements",
            "station": "J188",
            "time": "time",
            "values": {
                "north_mm": {"column": "lon"},
                "east_mm": {"column": "lat"},
                "up_mm": {"column": "ver"},
            },
        }
    )
    folder = shared_data / "slowslip" / "gnss_japan_daily" / "dataset"
    table = read_declared(folder / "J188neu9818.csv", declaration).table.set_index("time")
    # The published step is a fit over some weeks; a week later afterslip has brought the site there.
    moved = table[["north_mm", "east_mm"]]
    step = moved.loc["2011-03-16"] - moved.loc["2011-03-10"]
    assert step["north_mm"] == pytest.approx(-519, rel=0.03)
    assert step["east_mm"] == pytest.approx(894, rel=0.03)


def geotiff(path, values, *, nodata=None, projected=None, geographic=4326):
    tags = ImageFileDirectory_v2()
    tags[33550] = (0.01, 0.02, 0.0) if projected is None else (100.0, 200.0, 0.0)
    tags[33922] = (0.0, 0.0, 0.0, 140.0, 38.0, 0.0) if projected is None else (0.0, 0.0, 0.0, 5e5, 4.2e6, 0.0)
    if nodata is not None:
        tags[42113] = str(nodata)
    keys = [1, 1, 0, 3, 1024, 0, 1, 2, 1025, 0, 1, 1, 2048, 0, 1, geographic]
    if projected is not None:
        keys = [1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, projected]
    tags[34735] = tuple(keys)
    for tag, kind in ((33550, 12), (33922, 12), (34735, 3)):
        tags.tagtype[tag] = kind
    Image.fromarray(np.asarray(values, np.float32)).save(path, tiffinfo=tags)
    return path


TIMES = {"reference_time": "2016-04-08", "time": "2016-04-20"}


def test_a_raster_with_angles(tmp_path):
    path = geotiff(tmp_path / "los.tif", [[0.01, -9999.0, 0.03], [0.04, np.nan, 0.06]], nodata=-9999)
    look = Look.from_angles(39.0, -12.9)
    table = read_insar(path, look=look, unit="m", **TIMES).table
    np.testing.assert_allclose(table["los_mm"], [10, 30, 40, 60], rtol=1e-6)
    np.testing.assert_allclose(table["longitude"], [140.005, 140.025, 140.005, 140.025])
    np.testing.assert_allclose(table["latitude"], [37.99, 37.99, 37.97, 37.97])
    # An ascending satellite that looks to the right stands in the west-south-west of what it sees.
    assert (
        look.east == pytest.approx(-0.6134, abs=1e-3)
        and look.north < 0
        and look.up == pytest.approx(0.777, abs=1e-3)
    )


def test_a_projected_raster_with_rasters_of_the_look_vector(tmp_path):
    path = geotiff(tmp_path / "phase.tif", [[4 * np.pi, 0.0]], projected=32654)
    look = [
        geotiff(tmp_path / f"{n}.tif", [[v, v]], projected=32654) for n, v in zip("ENU", (-0.6, 0.0, 0.8))
    ]
    table = read_insar(path, look=look, unit="radian", wavelength_mm=55.466, positive="ground", **TIMES).table
    np.testing.assert_allclose(table["los_mm"], [-55.466, 0], atol=1e-3)
    expected = Transformer.from_crs(32654, 4326, always_xy=True).transform(5e5 + 50, 4.2e6 - 100)
    assert (table["longitude"][0], table["latitude"][0]) == pytest.approx(expected, abs=1e-9)
    short = geotiff(tmp_path / "short.tif", [[0.1, 0.1]], projected=32654)
    with pytest.raises(FormatError, match="length 1"):
        read_insar(path, look=[short, *look[1:]], **TIMES)
    with pytest.raises(FormatError, match="grid"):
        read_insar(path, look=[geotiff(tmp_path / "x.tif", [[1.0, 0.0]]), *look[1:]], **TIMES)


def test_a_raster_on_the_old_datum_of_japan_is_moved(tmp_path):
    """Tokyo datum (EPSG:4301) is about 450 m off WGS84; PROJ's own operation is the answer."""
    path = geotiff(tmp_path / "old.tif", [[1.0]], geographic=4301)
    _, longitude, latitude = read_geotiff(path)
    expected = Transformer.from_crs(4301, 4326, always_xy=True).transform(140.005, 37.99)
    assert (longitude[0, 0], latitude[0, 0]) == pytest.approx(expected, abs=1e-9)
    assert 300 < 111_000 * np.hypot(0.79 * (expected[0] - 140.005), expected[1] - 37.99) < 600
    with pytest.raises(FormatError, match="PROJ does not know"):
        read_geotiff(geotiff(tmp_path / "none.tif", [[1.0]], projected=1))
    with pytest.raises(FormatError, match="no EPSG code"):
        read_geotiff(geotiff(tmp_path / "own.tif", [[1.0]], projected=32767))


def test_points_of_radar(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text(
        "longitude,latitude,los,los_uncertainty\n130.7,32.8,12.5,1.5\n130.8,32.8,,\n130.9,no,1,1\n"
    )
    read = read_insar(path, look=Look(0, 0, 1), unit="cm", **TIMES)
    assert list(read.table["los_mm"]) == [125.0] and list(read.table["los_uncertainty_mm"]) == [15.0]
    assert len(read.failures) == 1
    with pytest.raises(FormatError, match="look_east"):
        read_insar(path, **TIMES)


def test_radar_that_cannot_be(tmp_path):
    path = geotiff(tmp_path / "los.tif", [[1.0]])
    with pytest.raises(InputError, match="geometry"):
        read_insar(path, **TIMES)
    with pytest.raises(InputError, match="wavelength"):
        read_insar(path, look=Look(0, 0, 1), unit="radian", **TIMES)
    with pytest.raises(InputError, match="before"):
        read_insar(path, look=Look(0, 0, 1), time="2016-01-01", reference_time="2016-01-01")
    with pytest.raises(InputError, match="length"):
        Look(0, 0, 2)
    Image.fromarray(np.zeros((2, 2), np.float32)).save(tmp_path / "plain.tif")
    with pytest.raises(FormatError, match="georeference"):
        read_geotiff(tmp_path / "plain.tif")
    (tmp_path / "no.tif").write_bytes(b"II*\0junk")
    with pytest.raises(FormatError):
        read_geotiff(tmp_path / "no.tif")
