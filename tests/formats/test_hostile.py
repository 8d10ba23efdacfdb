"""Whatever the bytes of a text file, a reader gives valid tables and failures, or a FormatError.

Each reader gets a file that is sound and loses pieces, has bytes replaced, digits made huge, words made
nonsense, lines repeated and encodings broken. ``HOSTILE_EXAMPLES`` sets how many, for longer runs.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from knet_files import knet, tar
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from kaname.core.errors import FormatError
from kaname.core.tables import ARRIVALS, DISPLACEMENTS, EVENTS, FAILURES, FEATURES, PICKS, table, validate
from kaname.formats.catalogs import read_events, write_events
from kaname.formats.declared import Declaration, read_declared
from kaname.formats.fnet import read_fnet
from kaname.formats.gnss import read_gnss
from kaname.formats.insar import Look, read_insar
from kaname.formats.jma import read_jma, write_jma
from kaname.formats.knet import read_knet
from kaname.formats.knet_stations import to_inventory as knet_inventory
from kaname.formats.strain import read_strain
from kaname.formats.win_channels import is_channel_table, read_channel_table
from kaname.formats.win_response import to_inventory as win_inventory

EXAMPLES = int(os.environ.get("HOSTILE_EXAMPLES", "10"))
TIMES = {"time": "2016-04-20", "reference_time": "2016-04-08"}


def _knet(path: Path) -> list[dict[str, Any]]:
    read = read_knet(path)
    read.headers()
    read.stations()
    knet_inventory(read)
    assert all(record.counts.n_sample <= path.stat().st_size for record in read.records)
    return read.failures


def _jma(path: Path) -> list[dict[str, Any]]:
    read = read_jma(path)
    events = read.events()
    for name, schema in (("events", EVENTS), ("arrivals", ARRIVALS), ("picks", PICKS)):
        validate(getattr(events, name), schema)
    write_events(events, path.with_suffix(".xml"))
    write_jma(events.events[events.events["magnitude"].isna() | (events.events["magnitude"] > -3.95)])
    return read.failures + events.failures


def _fnet(path: Path) -> list[dict[str, Any]]:
    read = read_fnet(path)
    read.catalog()
    return read.failures + read.events().failures


def _channels(path: Path) -> list[dict[str, Any]]:
    assert is_channel_table(path) in (True, False)
    read = read_channel_table(path)
    win_inventory(read)
    return read.failures


def _quakeml(path: Path) -> list[dict[str, Any]]:
    return read_events(path).failures


def _series(read: Callable[[Path], Any], schema: Any) -> Callable[[Path], list[dict[str, Any]]]:
    def run(path: Path) -> list[dict[str, Any]]:
        found = read(path)
        validate(found.table, schema)
        assert not np.isinf(found.table.select_dtypes("float")).any(axis=None)
        return found.failures

    return run


COLUMNS = {"tilt": {"column": "x", "unit": "microradian"}}
ISO = Declaration.model_validate({"station": "A01", "time": "t", "values": COLUMNS})
LOCAL = Declaration.model_validate(
    {"station_column": "s", "time": "t", "time_format": "%Y/%m/%d %H:%M", "hours_ahead": 9, "values": COLUMNS}
)
MOVED = Declaration.model_validate(
    {"station": "A", "time": "t", "table": "displacements", "values": {"east_mm": {"column": "x"},
     "east_uncertainty_mm": {"column": "s"}}}
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A sound file and what reads it."""

    name: str
    content: bytes
    read: Callable[[Path], list[dict[str, Any]]]


def _geotiff() -> bytes:
    tags = ImageFileDirectory_v2()
    tags[33550], tags[33922] = (0.01, 0.02, 0.0), (0.0, 0.0, 0.0, 140.0, 38.0, 0.0)
    tags[42113] = "-9999"
    tags[34735] = (1, 1, 0, 3, 1024, 0, 1, 2, 1025, 0, 1, 1, 2048, 0, 1, 4612)
    for tag, kind in ((33550, 12), (33922, 12), (34735, 3)):
        tags.tagtype[tag] = kind
    out = io.BytesIO()
    Image.fromarray(np.ones((3, 4), np.float32)).save(out, format="TIFF", tiffinfo=tags)
    return out.getvalue()


JMA = (
    f"{'J2016041601250545 017 324527 023 1304578 024 124508073W69V511D6 7271KUMAMOTO REGION':<92} 45K\n"
    f"{'CDAMAGE':<96}\n{'_N.MSIH2222 h16P   01250712S   261234':<87}1604     \n{'WN.MSIH':<96}\n{'E':<96}\n"
)
FNET = (
    "Search Result\nOrigin Time(UT)\tLatitude(N)\tMo(Nm)\tmxx\n"
    "2011/03/11,05:46:18.12\t38.1035\t142.8610\t23.74\t9.0\tFAR_E\t22;200\t63;27\t91;88\t1.07e+22\t20\t8.7\t71.75"
    "\t-0.0677\t0.3149\t0.2529\t-0.7636\t-0.5946\t0.8313\t1e+22\t3\n"
)
TENV3 = (
    "site YYMMMDD yyyy.yyyy __MJD week d reflon _e0(m) __east(m) ____n0(m) _north(m) u0(m) ____up(m)\n"
    "COVE 10JUL28 2010.5708 55405 1594 4 -112.8  -3815 -0.41548   4276712 0.86481  1687  0.35637  0.1800 "
    "0.00065 0.00067 0.00328  0.05829 -0.56488  0.04405\n"
) * 2
PBO = (
    "PBO Station Position Time Series. Reference Frame : IGS14\n4-character ID: P003\nEnd Field Description\n"
    "*YYYYMMDD HHMMSS JJJJJ.JJJJ X Y Z\n"
    " 20100102 120000 55198.5000 1 2 3 .001 .001 .001 0 0 0 33.5 242.9 300.0 "
    "0.00200 0.00100 -0.00300 0.0011 0.0012 0.0040 0.1 0.2 0.3 final\n"
)
GSI = (
    "+SITE/INF\n ID           950172\n J_NAME       岡部Ａ\n-SITE/INF\n\n"
    "+SOLVER/INF\n COORDINATE   ITRF2014\n-SOLVER/INF\n+DATA\n*yyyy mm dd HH:MM:SS X (m)\n"
    " 2011 03 11 12:00:00 -3.9044228500E+06 3.1E+06 3.9E+06 38.0 140.0 5.0\n"
    " 2011 03 12 12:00:00 -3.9044228600E+06 3.1E+06 3.9E+06 38.0 140.0 5.0\n-DATA\n"
)
STRAIN = (
    "strain date doy MJD\n"
    "Eee+Enn 2009-01-01T00:00:00 1 54832.0 1.5 0.25 g 0.01 0.5 -0.02 g 2a 20090102000000 999.5\n"
).replace(" ", "\t")
CHANNELS = "# 表\n6033 1 0 N.AAKH U 6 27 175.60 m/s 1.00 0.70 0 1.023e-07 36.3726 137.9203 483 0 0 Azumino\n"
CASES = [
    Case("AOM0011309011310.NS", knet(np.arange(-90, 90) * 37), _knet),
    Case("event.tar", tar({"a.NS": knet(np.arange(20)), "b.EW": knet(np.arange(9))}), _knet),
    Case("d201604", JMA.encode(), _jma),
    Case("fnet.txt", FNET.encode(), _fnet),
    Case("a.ch", CHANNELS.encode("euc_jp"), _channels),
    Case("COVE.tenv3", TENV3.encode(), _series(read_gnss, DISPLACEMENTS)),
    Case("P003.pos", PBO.encode(), _series(read_gnss, DISPLACEMENTS)),
    Case("950172.11.pos", GSI.encode("euc_jp"), _series(read_gnss, DISPLACEMENTS)),
    Case("B001.2009.xml.Eee+Enn.txt", STRAIN.encode(), _series(read_strain, FEATURES)),
    Case("B001.tar", tar({"B001.2009.xml.2Ene.txt": STRAIN.encode()}), _series(read_strain, FEATURES)),
    Case(
        "iso.csv",
        b"t,x,s\n2009-01-01T00:00:00,1.5,A\n2009-01-02T00:00:00Z,nan,A\n",
        _series(lambda path: read_declared(path, ISO), FEATURES),
    ),
    Case(
        "local.csv",
        b't,x,s\n2009/01/01 00:00,1.5,"A"\n',
        _series(lambda path: read_declared(path, LOCAL), FEATURES),
    ),
    Case(
        "moved.csv",
        b"t,x,s\n2009-01-01,1.5,2\n",
        _series(lambda path: read_declared(path, MOVED), DISPLACEMENTS),
    ),
    Case(
        "points.csv",
        b"longitude,latitude,los,los_uncertainty,look_east,look_north,look_up\n130.7,32.8,12.5,1.5,0.6,0,0.8\n",
        _series(lambda path: read_insar(path, **TIMES), DISPLACEMENTS),
    ),
    Case(
        "los.tif",
        _geotiff(),
        _series(lambda path: read_insar(path, look=Look(0.6, 0.0, 0.8), **TIMES), DISPLACEMENTS),
    ),
]
WORDS = [
    b"9" * 400, b"-" * 9, b"1e999", b"nan", b"inf", b"-inf", b"1_0", b"0", b"-1", b"99999", b"\0", b"\xff",
    b"\xa4\xa2", b'"', b"\n", b"\r", b"\t", b"", b" ", b"+", b"*", b"\xe3\x80\x80", b"\xc2\x85",
    b"9999-12-31", b"20090101", b"2009-01-01T00:00:00+09:00", b"0001/01/01 00:00", b"now", b"1e300",
]  # fmt: skip


@st.composite
def damaged(draw: Any, content: bytes) -> bytes:
    """Draw a file with up to four pieces replaced, and perhaps cut."""
    data = bytearray(content)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.sampled_from([0, 1, 1, 2, 4, 8, 40])))
        piece = draw(st.one_of(st.sampled_from(WORDS), st.binary(max_size=8)))
        if draw(st.booleans()):
            # A whole word goes.
            begin = max(data.rfind(blank, 0, at) for blank in (b" ", b"\n", b"\t", b",")) + 1
            ends = [k for blank in (b" ", b"\n", b"\t", b",") if (k := data.find(blank, at)) >= 0]
            at, end = begin, min(ends, default=len(data))
        data[at:end] = piece
    if draw(st.integers(0, 3)) == 0:
        del data[draw(st.integers(0, len(data))) :]
    return bytes(data)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_sound_files_have_no_faults(case: Case, tmp_path: Path) -> None:
    path = tmp_path / case.name
    path.write_bytes(case.content)
    assert [f["message"] for f in case.read(path) if "matched-filter" not in f["message"]] == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_damaged_files_give_valid_tables_or_a_format_error(case: Case, tmp_path: Path) -> None:
    path = tmp_path / case.name

    @settings(
        max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
    )
    @given(damaged(case.content))
    def run(content: bytes) -> None:
        path.write_bytes(content)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                warnings.filterwarnings("ignore", module="PIL")
                failures = case.read(path)
        except FormatError as error:
            assert str(path) in str(error) or path.name in str(error)
            return
        validate(table(failures, FAILURES), FAILURES)

    run()
