"""Reading NonLinLoc ``.hyp`` files: a small one written here, whole and damaged."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from kaname.core import tables
from kaname.core.errors import FormatError, NotFoundError
from kaname.formats.nonlinloc import read_nonlinloc

BLOCK = """NLLOC "./loc/x.20200101.000010.grid0" "LOCATED" "Location completed."
SIGNATURE "someone"
COMMENT "made up for a test"
GRID  101 101 21  -50 -50 0  1 1 1 PROB_DENSITY
SEARCH OCTREE nInitial 400
HYPOCENTER  x 1.0 y 2.0 z 8.5  OT 57.25  ix -1 iy -1 iz -1
GEOGRAPHIC  OT 2020 01 01  23 59 57.25  Lat 35.018 Long 135.011 Depth 8.5
QUALITY  Pmax 1 MFmin 2 MFmax 3 RMS 0.09 Nphs 3 Gap 178 Dist 9.1 Mamp -9.90 0 Mdur -9.90 0
STATISTICS  ExpectX 1 Y 2 Z 8 CovXX 0.4 XY -0.1 XZ 1.0 YY 1.1 YZ -0.5 ZZ 9.9 EllAz1 79 Dip1 -5 Len1 1 Az2 3 Dip2 4 Len2 2 Len3 6
STAT_GEOG  ExpectLat 35.02 Long 135.01 Depth 8.1
TRANSFORM  {transform}
PHASE ID Ins Cmp On Pha  FM Date     HrMn   Sec     Err  ErrMag    Coda      Amp       Per       PriorWt  >   TTpred    Res       Weight    StaLoc(X  Y         Z)        SDist    SAzim  RAz  RDip RQual    Tcorr       TTerr
AAA    ?    ?    ? P      U 20200101 2359   59.6300 GAU  1.00e-01 -1.00e+00 -1.00e+00 -1.00e+00    1.0000 >    2.3659 -1.6e-02    1.2811    10.0   0.0   -0.3000    9.1  20.00  20.0 128.2  9     0.0400   -1.0000
AAA    ?    ?    ? Sg     ? 20200101 2359   61.5000 GAU  2.00e-01 -1.00e+00 -1.00e+00 -1.00e+00    1.0000 >    4.1 0.1    0.9    10.0   0.0   -0.3000    9.1  20.00  20.0 128.2  9     0.0700   -1.0000
BBB    ?    ?    ? Lg     ? 20200101 2359   61.5000 GAU  2.00e-01 -1.00e+00 -1.00e+00 -1.00e+00    1.0000 >    4.1 0.1    0.9    10.0   0.0   -0.3000    9.1  20.00  20.0 128.2  9     0.0   -1.0000
CCC    ?    ?    ? P      ? 20200101 2359   61.5000 GAU  2.00e-01 -1.00e+00 -1.00e+00 -1.00e+00    1.0000 >    0.0 0.0    0.0    -100000000000000000000.0   -100000000000000000000.0   -100000000000000000000.0    0  0  0 -1  0     0.0   -1.0000
DDD    ?    ?    ? P      ? 20200101 2359   61.5000 GAU  2.00e-01 -1.00e+00 -1.00e+00 -1.00e+00    1.0000 >    0.0 0.0    0.0    0.0   20.0   -0.1    0  0  0 -1  0     0.0   -1.0000
END_PHASE
END_NLLOC

"""  # noqa: E501
SIMPLE = "SIMPLE LatOrig 35.0 LongOrig 135.0 RotCW 0.0"
LAMBERT = (
    "LAMBERT RefEllipsoid WGS-84 LatOrig 35 LongOrig 135 FirstStdParal 34 SecondStdParal 36 RotCW {turn}"
)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_what_is_read(tmp_path: Path) -> None:
    read = read_nonlinloc(write(tmp_path / "x.hyp", BLOCK.format(transform=SIMPLE) * 2))
    assert len(read.events) == 2
    event = read.events.iloc[0]
    assert event["time"] == np.datetime64("2020-01-01T23:59:57.25")
    assert (event["latitude"], event["longitude"], event["depth_km"]) == (35.018, 135.011, 8.5)
    assert (event["cov_zz_km2"], event["expectation_depth_km"], event["rms_s"]) == (9.9, 8.1, 0.09)
    own = read.arrivals[read.arrivals["event_id"] == event["event_id"]]
    assert own["phase"].tolist() == ["P", "S", "P"]
    # 61.5 s after 23:59 is the next day.
    assert own["time"].iloc[1] == np.datetime64("2020-01-02T00:00:01.5")
    assert own["time_uncertainty_s"].tolist() == [0.1, 0.2, 0.2]
    assert own["weight"].tolist() == [1, 1, 0]
    assert read.failures["message"].str.contains("neither P nor S").sum() == 2
    assert read.failures["message"].str.contains("no place").sum() == 2
    stations = read.stations.set_index("station")
    assert list(stations.index) == ["AAA", "DDD"]
    assert stations.loc["AAA", ["p_correction_s", "s_correction_s"]].tolist() == [0.04, 0.07]
    assert stations.loc["AAA", "elevation_m"] == pytest.approx(300)
    assert stations.loc["DDD", "latitude"] == pytest.approx(35 + 20 / 111.11)
    for frame, schema in (
        (read.events, tables.EVENTS),
        (read.arrivals, tables.ARRIVALS),
        (read.stations, tables.STATIONS),
    ):
        tables.validate(frame, schema)


@pytest.mark.parametrize("turn", [0.0, 30.0])
def test_projection_is_undone(tmp_path: Path, turn: float) -> None:
    from pyproj import Proj

    text = BLOCK.format(transform=LAMBERT.format(turn=turn))
    read = read_nonlinloc(write(tmp_path / "x.hyp", text))
    place = read.stations.set_index("station").loc["AAA"]
    projection = Proj(proj="lcc", lat_0=35, lon_0=135, lat_1=34, lat_2=36, ellps="WGS84", units="km")
    east, north = projection(place["longitude"], place["latitude"])
    assert np.hypot(east, north) == pytest.approx(10, abs=1e-6)
    # The x axis of a frame turned clockwise points south of east.
    assert np.degrees(np.arctan2(east, north)) == pytest.approx(90 + turn, abs=1e-6)


def test_gzip(tmp_path: Path) -> None:
    path = tmp_path / "x.hyp.gz"
    path.write_bytes(gzip.compress(BLOCK.format(transform=SIMPLE).encode()))
    assert len(read_nonlinloc(path).events) == 1
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(FormatError):
        read_nonlinloc(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("END_NLLOC", ""), "cut off"),
        (("Depth 8.5", ""), "line 1"),
        (("61.5000", "late"), "line 14"),
        ((SIMPLE, "GLOBAL LatOrig 0 LongOrig 0 RotCW 0"), "GLOBAL"),
        (("QUALITY", "QUANTITY"), "QUALITY"),
    ],
)
def test_damage_is_named(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    path = write(tmp_path / "x.hyp", BLOCK.format(transform=SIMPLE).replace(*change))
    with pytest.raises(FormatError, match=words):
        read_nonlinloc(path)


def test_not_such_a_file(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no NLLOC block"):
        read_nonlinloc(write(tmp_path / "x.hyp", "something else\n"))
    with pytest.raises(NotFoundError):
        read_nonlinloc(tmp_path / "none.hyp")
