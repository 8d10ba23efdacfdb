"""SRCMOD models: real ones, and what is wrong with files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kaname.core.errors import FormatError, NotFoundError
from kaname.core.geo import distance_azimuth
from kaname.earth.ruptures import Rupture, distances
from kaname.formats.srcmod import read_srcmod

TWO = """% --- FINITE-SOURCE RUPTURE MODEL ---
% Event : Nowhere \t01/17/1999 \t[Nobody (2000)]
% EventTAG: s1999NOWHERE
% Loc  : LAT  = 35.0 \tLON = 139.0 \tDEP = 10.0
% Size : LEN  = 20.0 km \tWID = 10.0 km \tMw = 6.5 \tMo = 7.0e+18 Nm
% Mech : STRK = 0.0 \tDIP = 90.0 \tRAKE = 180.0 \tHtop = 0.0 km
% Invs : Dx = 10.0 km \tDz = 10.0 km
% Invs : Nsg = 2
% SEGMENT # 1: STRIKE = 0.0 deg DIP = 90.0 deg
% LAT LON X==EW Y==NS Z SLIP RAKE
35.0 139.0 0 0 0 1.0 -99
% SEGMENT # 2: STRIKE = 90.0 deg DIP = 45.0 deg
% Dx = 5.0 km Dz = 8.0 km
% LAT LON X==EW Y==NS Z SLIP RAKE
35.2 139.0 0 0 2 0.05 90
"""


def test_parkfield(shared_data: Path) -> None:
    (path,) = (shared_data / "fault/srcmod_fsp").rglob("*PARKFI*.fsp")
    model = read_srcmod(path)
    assert (model.tag, model.event, model.magnitude) == ("s2004PARKFI01CUST", "Parkfield (Calif.)", 6.06)
    assert model.day == np.datetime64("2004-09-28")
    assert model.hypocentre == (35.8185, -120.3706, 8.26)
    f = model.subfaults
    assert (len(f), set(f["strike_deg"]), set(f["dip_deg"])) == (189, {140.0}, {87.0})
    assert f["rake_deg"][0] == 136.8893  # behind the letter that stands between slip and rake
    # Slip times area times rigidity is the moment.
    moment = (f["slip_m"] * f["length_km"] * f["width_km"]).sum() * 1e6 * 3e10
    assert moment == pytest.approx(model.moment_nm, rel=0.4)
    assert not model.failures


def test_norcia_agrees_with_another_reading_of_it(shared_data: Path) -> None:
    """The tutorial that the file comes from lists centres of patches made of the same model."""
    folder = shared_data / "fault/srcmod_fsp/Norcia_Example"
    model = read_srcmod(next(folder.glob("*.fsp")))
    assert (len(model.subfaults), model.magnitude) == (390, 6.5)
    rows = [
        line.split()[1:]
        for line in (folder / "norcia_inputs.intxt").read_text().splitlines()
        if line.startswith("Source_Patch")
    ]
    theirs = np.array(rows, float)
    f = model.subfaults
    np.testing.assert_allclose(f["slip_m"], theirs[:, 8], atol=1e-6)
    np.testing.assert_allclose(f["depth_km"], theirs[:, 7], atol=2e-3)
    np.testing.assert_allclose(f[["strike_deg", "rake_deg", "dip_deg"]], theirs[:, :3])
    np.testing.assert_allclose(f[["length_km", "width_km"]], theirs[:, 3:5])


def test_corners_make_the_rectangles_that_are_stated(shared_data: Path) -> None:
    model = read_srcmod(next((shared_data / "fault/srcmod_fsp").rglob("*NORCIA*.fsp")))
    corners = model.corners()
    assert corners.shape == (390, 4, 3)
    along, azimuth = distance_azimuth(corners[:, 0, 0], corners[:, 0, 1], corners[:, 1, 0], corners[:, 1, 1])
    np.testing.assert_allclose(along, 1.2, rtol=1e-3)
    np.testing.assert_allclose(azimuth, 160.0, atol=0.1)
    np.testing.assert_allclose(corners[:, 2, 2] - corners[:, 1, 2], np.sin(np.radians(40.0)), rtol=1e-6)
    slipped = model.corners(least_slip_share=0.1)
    assert 0 < len(slipped) < 390
    rupture = Rupture(model.hypocentre, slipped)
    near = distances(rupture, [42.79, 43.5], [13.11, 13.11])
    assert near.rjb_km[0] < 5 < near.rrup_km[0] + 5
    assert near.rjb_km[1] > 40


def test_two_segments(tmp_path: Path) -> None:
    path = tmp_path / "two.fsp"
    path.write_text(TWO)
    f = read_srcmod(path).subfaults
    assert list(f["segment"]) == [1, 2]
    assert list(f["strike_deg"]) == [0.0, 90.0]
    assert list(f["dip_deg"]) == [90.0, 45.0]
    assert list(f["length_km"]) == [10.0, 5.0]
    assert list(f["rake_deg"]) == [180.0, 90.0]


def test_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "x.fsp"
    with pytest.raises(NotFoundError):
        read_srcmod(path)
    for text, message in (
        ("", "no SRCMOD file"),
        ("hello\n", "no SRCMOD file"),
        (TWO.replace("35.", "x.").replace("0 0", "0"), "no subfault"),
        (TWO.replace("Dx =", "no ="), "Dx"),
    ):
        path.write_text(text)
        with pytest.raises(FormatError, match=message):
            read_srcmod(path)
    path.write_text(TWO + "35.2 139.0 0 zero\n")
    assert "line 16" in read_srcmod(path).failures[0]["message"]
