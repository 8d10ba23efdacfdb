"""Vs30 by place and depths of basins: what is filled in, how far a map reaches, what is marked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kaname.core.errors import FormatError, InputError, NotFoundError
from kaname.core.shaking import GROUND_MOTIONS
from kaname.core.tables import read_table, table, write_table
from kaname.earth.sites import basin_region
from kaname.formats.geotiff import write_geotiff
from kaname.modeling.strong_motion.database import build_database
from kaname.modeling.strong_motion.sites import read_vs30, with_sites

LAT, LON = np.linspace(35, 36, 11), np.linspace(139, 140, 21)
VS30 = 200.0 + 50 * np.arange(11)[:, None] + np.arange(21)


@pytest.fixture(params=["tif", "csv"])
def vs30_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """One grid as either kind of file, unknown in its north-eastern corner."""
    values = VS30.copy()
    values[8:, 16:] = np.nan
    path = tmp_path / f"vs30.{request.param}"
    if request.param == "tif":
        write_geotiff(path, {"vs30": values}, LAT, LON)
    else:
        lat, lon = np.meshgrid(LAT, LON, indexing="ij")
        frame = pd.DataFrame({"Lat": lat.ravel(), "Lon": lon.ravel(), "VS30": values.ravel()})
        frame.sample(frac=1, random_state=0).to_csv(path, index=False)
    return path


def test_the_nearest_value_and_none_beyond(vs30_file: Path) -> None:
    found = read_vs30(vs30_file)
    assert found.at(LAT[3] + 0.03, LON[7] - 0.02) == pytest.approx(VS30[3, 7], rel=1e-6)
    # The middle of four is still within reach of one of them.
    middle = found.at([LAT[3] + 0.0499], [LON[7] + 0.0249])
    assert middle == pytest.approx(VS30[3, 7], rel=1e-6)
    assert np.isnan(found.at([34.5, 35.95, 20.0], [139.5, 139.95, -100.0])).all()


def test_only_what_is_missing_is_filled_and_marked(vs30_file: Path) -> None:
    rows = pd.DataFrame(
        {
            "latitude": [35.1, 35.1, 20.0, np.nan, 35.1, 37.8],
            "longitude": [139.1, 139.1, 139.1, 139.1, 139.1, -122.3],
            "vs30_m_s": [np.nan, 760.0, np.nan, np.nan, 500.0, 300.0],
            "vs30_measured": [True, True, False, False, False, True],
            "z1pt0_m": [np.nan, 33.0, np.nan, np.nan, np.nan, np.nan],
        }
    )
    before = rows.copy()
    out = with_sites(rows, vs30_map=read_vs30(vs30_file))
    pd.testing.assert_frame_equal(rows, before)
    assert out["vs30_m_s"].tolist() == pytest.approx([252, 760, np.nan, np.nan, 500, 300], nan_ok=True)
    assert out["vs30_measured"].tolist() == [False, True, False, False, False, True]
    assert out["z1pt0_inferred"].tolist() == [True, False, False, False, True, True]
    assert out["z2pt5_inferred"].tolist() == [True, True, False, False, True, True]
    assert out["z1pt0_m"][1] == 33.0
    # Chiou & Youngs (2014), Japan: exp(-5.23/2 ln((500^2 + 412.39^2) / (1360^2 + 412.39^2))); California.
    assert out["z1pt0_m"][4] == pytest.approx(60.72, abs=0.005)
    california = np.exp(-7.15 / 4 * np.log((300**4 + 570.94**4) / (1360**4 + 570.94**4)))
    assert out["z1pt0_m"][5] == pytest.approx(california)
    assert out["z2pt5_km"][4] == pytest.approx(np.exp(5.359 - 1.102 * np.log(500)))
    # A better Vs30 later: depths that were inferred follow, those that were stated stay.
    again = with_sites(out.assign(vs30_m_s=400.0))
    assert again["z1pt0_m"][1] == 33.0 and again["z1pt0_m"][0] != out["z1pt0_m"][0]
    constant = with_sites(rows, vs30_m_s=600.0)["vs30_m_s"].tolist()
    assert constant == [600.0, 760.0, 600.0, 600.0, 500.0, 300.0]


def test_where_japan_is() -> None:
    places = {
        "japan": [(35.7, 139.7), (43.1, 141.4), (26.2, 127.7), (34.2, 129.3), (45.4, 141.7), (33.6, -229.6)],
        "california": [(37.6, 127.0), (35.2, 128.9), (43.1, 131.9), (25.0, 121.5), (37.8, -122.3)],
    }
    for region, where in places.items():
        assert basin_region(*np.transpose(where)).tolist() == [region] * len(where)


def test_files_that_are_no_map(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_vs30(tmp_path / "none.tif")
    cases = {
        "lat,lon,speed\n1,2,3\n": "no column vs30_m_s or vs30",
        "lat,lon,vs30\n1,2,300\n": "1 places",
        "lat,lon,vs30\n1,2,300\n1,2,400\n": "are one",
        "lat,lon,vs30\n1,2,300\n1,3,-9999\n": "Vs30 of -9999",
        "lat,lon,vs30\n1,2,?\n95,3,300\n": "0 places",
        "": "no CSV",
    }
    for text, message in cases.items():
        path = tmp_path / "vs30.csv"
        path.write_text(text)
        with pytest.raises(FormatError, match=message):
            read_vs30(path)
    with pytest.raises(InputError, match="positive"):
        with_sites(pd.DataFrame({"latitude": [1.0], "longitude": [2.0]}), vs30_m_s=0.0)


def test_the_database_says_what_it_inferred(vs30_file: Path, tmp_path: Path) -> None:
    row = {"record_id": "r", "event_id": "e", "latitude": 35.5, "longitude": 139.5, "pga_cm_s2": 10.0}
    own = tmp_path / "db/ground_motions.parquet"
    row |= {"vs30_m_s": 600.0, "vs30_measured": True}
    write_table(table([row], GROUND_MOTIONS), own, GROUND_MOTIONS)
    (tmp_path / "event.json").write_text("{}")
    built = build_database([tmp_path / "event.json"], tmp_path / "db", vs30=vs30_file)
    found = read_table(own, GROUND_MOTIONS)
    assert built.counts["ground_motions"] == 1
    assert found["vs30_measured"].tolist() == [True]
    assert found["z1pt0_inferred"].tolist() == found["z2pt5_inferred"].tolist() == [True]
    with pytest.raises(NotFoundError):
        build_database([tmp_path / "event.json"], tmp_path / "db", vs30=tmp_path / "absent.tif")
