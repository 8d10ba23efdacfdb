"""F-net moment tensors against the double couple that the row itself states, and ObsPy's QuakeML."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from obspy import read_events as obspy_events

from kaname.core.errors import FormatError
from kaname.formats.catalogs import read_events
from kaname.formats.fnet import read_fnet

HEAD = (
    "Search Result\nSearch Result, Total Number: 1\n"
    "Origin Time(UT)\tLatitude(N)\tLongitude(E)\tJMA Depth(km)\tJMA Magnitude(Mj)\tRegion\tStrike\tDip\tRake"
    "\tMo(Nm)\tMT Depth(km)\tMT Magnitude(Mw)\tVariance Reduction\tmxx\tmxy\tmxz\tmyy\tmyz\tmzz\tUnit(Nm)"
    "\t#stations used\n"
)  # fmt: skip
STRIKE, DIP, RAKE = 30.0, 45.0, 90.0


def double_couple(strike: float, dip: float, rake: float) -> np.ndarray:
    """Return xx, xy, xz, yy, yz, zz of a unit double couple (Aki & Richards 2002, box 4.4), z down."""
    s, d, r = np.radians([strike, dip, rake])
    return np.array([
        -(np.sin(d) * np.cos(r) * np.sin(2 * s) + np.sin(2 * d) * np.sin(r) * np.sin(s) ** 2),
        np.sin(d) * np.cos(r) * np.cos(2 * s) + 0.5 * np.sin(2 * d) * np.sin(r) * np.sin(2 * s),
        -(np.cos(d) * np.cos(r) * np.cos(s) + np.cos(2 * d) * np.sin(r) * np.sin(s)),
        np.sin(d) * np.cos(r) * np.sin(2 * s) - np.sin(2 * d) * np.sin(r) * np.cos(s) ** 2,
        -(np.cos(d) * np.cos(r) * np.sin(s) - np.cos(2 * d) * np.sin(r) * np.cos(s)),
        np.sin(2 * d) * np.sin(r),
    ])  # fmt: skip


def _row(time: str = "2018/06/17,22:58:34.14", tensor: np.ndarray | None = None) -> str:
    m = double_couple(STRIKE, DIP, RAKE) if tensor is None else tensor
    numbers = "\t".join(f"{v:.4f}" for v in m)
    return (
        f"{time}\t34.8443\t135.6217\t12.98\t6.1\tNORTHERN_OSAKA_PREF\t30;210\t45;45\t90;90\t2.14e+17\t11\t5.5\t87.7"
        f"\t{numbers}\t2.14e+17\t3\n"
    )


def _tensor(mt) -> np.ndarray:
    t = mt.tensor
    return np.array([[t.m_rr, t.m_rt, t.m_rp], [t.m_rt, t.m_tt, t.m_tp], [t.m_rp, t.m_tp, t.m_pp]])


@pytest.fixture
def put(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "fnet.txt"
        path.write_text(text)
        return path

    return write


def test_the_real_row_is_its_own_double_couple_and_moment(shared_data) -> None:
    row = read_fnet(shared_data / "japan/nied_obspy/FNETMTCATALOG").table.iloc[0]
    found = row[["mxx_n_m", "mxy_n_m", "mxz_n_m", "myy_n_m", "myz_n_m", "mzz_n_m"]].to_numpy(float)
    expected = row.moment_n_m * double_couple(row.strike_1_deg, row.dip_1_deg, row.rake_1_deg)
    np.testing.assert_allclose(found, expected, atol=0.05 * row.moment_n_m)  # the rest is no double couple
    assert 2 / 3 * (np.log10(row.moment_n_m) - 9.1) == pytest.approx(row.mw, abs=0.1)


def test_quakeml_has_the_tensor_up_south_east(put, tmp_path) -> None:
    path = tmp_path / "fnet.xml"
    read_fnet(put(HEAD + _row())).catalog().write(str(path), "QUAKEML", validate=True)
    (event,) = obspy_events(str(path))
    mechanism = event.preferred_focal_mechanism()
    turn = np.array([[0, 0, -1], [-1, 0, 0], [0, 1, 0]])  # r = -z, t = -x, p = y
    xx, xy, xz, yy, yz, zz = double_couple(STRIKE, DIP, RAKE)
    ned = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    np.testing.assert_allclose(_tensor(mechanism.moment_tensor), 2.14e17 * turn @ ned @ turn.T, atol=2e13)
    assert mechanism.moment_tensor.tensor.m_rr > 0  # a thrust pushes up
    assert mechanism.moment_tensor.scalar_moment == 2.14e17
    assert mechanism.nodal_planes.nodal_plane_2.strike == 210
    assert event.preferred_origin().depth == 12980
    assert {round(o.depth) for o in event.origins} == {12980, 11000}
    assert {(m.magnitude_type, m.mag) for m in event.magnitudes} == {("Mw", 5.5), ("MJ", 6.1)}


def test_events_are_hypocentres_of_jma_with_mw(put) -> None:
    read = read_events(put(HEAD + _row()))
    row = read.events.iloc[0]
    assert str(row.time) == "2018-06-17 22:58:34.140000"
    assert (row.depth_km, row.magnitude, row.magnitude_type, row.n_station) == (12.98, 5.5, "Mw", 3)
    assert "NORTHERN OSAKA PREF" in row.remark


def test_bad_rows_are_told_and_the_others_read(put) -> None:
    bad = [_row().replace("34.8443", "nan"), _row().replace("30;210", "30"), "short\n", _row("yesterday")]
    read = read_fnet(put(HEAD + "".join(bad) + _row() + _row()))
    assert list(read.table["event_id"]) == ["fnet2018061722583414", "fnet2018061722583414-2"]
    assert len(read.failures) == 4
    assert "line 4" in read.failures[0]["message"]
    with pytest.raises(FormatError, match="no row after"):
        read_fnet(put(HEAD))
    with pytest.raises(FormatError):
        read_fnet(put("nothing"))
