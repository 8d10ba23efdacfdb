"""Accelerograms of Taiwan, Turkey, Mexico, Iran, Chile and of CSMIP volume 1: headers, and what goes wrong.

That samples come out exactly, and what truncation and damage do, is asked by the contract of all readers
(``tests/contracts/test_waveform_readers.py``); all files are made up.
"""

from __future__ import annotations

import re
from pathlib import Path

import national_strong_motion_files as made
import numpy as np
import pytest
from obspy import UTCDateTime
from strong_motion_files import GRAVITY, stream

from kaname.core.errors import FormatError
from kaname.formats.accelerograms import RecordHeader, is_accelerogram, read_accelerograms
from kaname.formats.contract import read_waveforms

START = UTCDateTime(2013, 9, 1, 4, 10, 35, 700_000)
NEZ = ("HNN", "HNE", "HNZ")


def _first(path: Path) -> RecordHeader:
    read = read_accelerograms(path)
    assert not read.failures
    return read.records[0].header


def _edited(path: Path, old: bytes, new: bytes) -> Path:
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    return path


@pytest.fixture
def cwb(tmp_path: Path) -> Path:
    path = tmp_path / "1-ECU.dat"
    made.cwb(stream("HNZ", "HNN", "HNE", start=START, network="", station="ECU"), str(path))
    return path


@pytest.fixture
def nsmn(tmp_path: Path) -> Path:
    path = tmp_path / "20130901041030_4304.txt"
    made.nsmn(stream(*NEZ, start=START, network="TK", station="4304"), str(path))
    return path


@pytest.fixture
def unam(tmp_path: Path) -> Path:
    path = tmp_path / "CANA1309.011"
    made.unam(stream(*NEZ, start=START, network="", station="CANA"), str(path))
    return path


@pytest.fixture
def bhrc(tmp_path: Path) -> Path:
    path = tmp_path / "5522-1.V1"
    whole = UTCDateTime(START.timestamp // 1)
    channels = stream("HN1", "HNZ", "HN2", start=whole, network="I1", station="5522", unit=0.1 * GRAVITY)
    made.bhrc(channels, str(path))
    return path


def test_cwb_states_local_time(cwb: Path) -> None:
    h = _first(cwb)
    assert h.start == np.datetime64("2013-09-01T04:10:35.7")
    assert h.origin_time == np.datetime64("2013-09-01T04:10:30")
    assert (h.latitude, h.longitude, h.event_latitude, h.event_longitude) == (22.86, 121.092, 24.14, 121.69)
    assert (h.magnitude, h.magnitude_type, h.event_depth_km, h.vertical) == (6.0, "ML", 10.0, True)
    assert [r.header.azimuth_deg for r in read_accelerograms(cwb).records[1:]] == [0.0, 90.0]


def test_cwb_without_a_zone_has_no_start(cwb: Path) -> None:
    read = read_accelerograms(_edited(cwb, b"(GMT+08)", b""))
    assert not read.records
    assert "no usable start time" in read.failures[0]["message"]


def test_cwb_notices_a_row_that_is_missing(cwb: Path) -> None:
    lines = cwb.read_bytes().split(b"\r\n")
    cwb.write_bytes(b"\r\n".join(lines[:122] + lines[123:]))
    read = read_accelerograms(cwb)
    assert {r.samples.n_sample for r in read.records} == {100}
    assert "row 101 has the time of another" in read.failures[0]["message"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"gal. DC", b"mg. DC", "expected gal"),
        (b"4F10.3", b"3F10.3", "components and the format"),
        (b"4F10.3", b"text", "components and the format"),
        (b"U(+); ", b"U(-); ", r"left out U\(-\)"),
    ],
)
def test_cwb_says_what_it_does_not_know(cwb: Path, old: bytes, new: bytes, message: str) -> None:
    _edited(cwb, old, new)
    if "left out" in message:
        assert len(read_accelerograms(cwb).records) == 2
        return
    with pytest.raises(FormatError, match=message):
        read_accelerograms(cwb)


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("cwb", rb"(?<=AmplitudeMAX. U:)[ \d.-]+~[ \d.-]+"),
        ("nsmn", rb"(?<=\(N-S\) )[\d.]+"),
        ("unam", rb"(?<=ACEL. MAX.\(Gal\), C1-C6                 : /)-?[\d.]+"),
    ],
)
def test_a_peak_that_is_not_that_of_the_samples_is_told(
    name: str, peak: bytes, request: pytest.FixtureRequest
) -> None:
    path: Path = request.getfixturevalue(name)
    changed, n = re.subn(peak, b"1.0~ -99.99" if name == "cwb" else b"99.99", path.read_bytes())
    assert n == 1
    path.write_bytes(changed)
    (failure,) = read_accelerograms(path).failures
    assert "states a peak of" in failure["message"]


def test_nsmn_writes_its_two_times_in_two_ways(nsmn: Path, tmp_path: Path) -> None:
    h = _first(nsmn)
    assert h.start == np.datetime64("2013-09-01T04:10:35.7")
    assert h.origin_time == np.datetime64("2013-09-01T04:10:30")
    assert (h.latitude, h.longitude, h.elevation_m) == (38.99478, 29.4004, 735.0)
    assert (h.event_latitude, h.event_longitude, h.event_depth_km) == (36.9198, 27.4435, 19.44)
    assert (h.magnitude, h.magnitude_type, h.network, h.station) == (6.5, "Mw", "TK", "4304")
    older = tmp_path / "older"
    channels = stream(*NEZ, start=START, network="TK", station="4304")
    made.nsmn(channels, str(older), earthquake="01/09/2013 04:10:30.25 (GMT)")
    assert _first(older).origin_time == np.datetime64("2013-09-01T04:10:30.25")
    # With tabs about its colons, as older downloads have it.
    older.write_bytes(older.read_bytes().replace(b" : ", b"\t:\t"))
    assert _first(older).station_name == h.station_name


def test_nsmn_without_a_zone_has_no_start(nsmn: Path) -> None:
    assert "no usable start time" in read_accelerograms(_edited(nsmn, b" (GMT)", b"")).failures[0]["message"]


def test_nsmn_rows_that_cannot_be_read_are_gaps(nsmn: Path) -> None:
    lines = nsmn.read_bytes().split(b"\r\n")
    lines[118] = b"  1.0  2.0"
    lines[218] = b"  1.0  ***  3.0"
    nsmn.write_bytes(b"\r\n".join(lines))
    read = read_accelerograms(nsmn)
    assert [r.samples.n_sample for r in read.records] == [100, 599, 100, 99, 499, 100, 599]
    assert len(read.failures) == 3
    with pytest.raises(FormatError, match="names its columns"):
        read_accelerograms(_edited(nsmn, b"E-W          U-D", b"E-W"))


def test_unam_finds_the_day_of_the_first_sample(tmp_path: Path) -> None:
    path = tmp_path / "record"
    cases = [
        ("2004/01/01", "23:58:02.7", UTCDateTime(2004, 1, 2, 0, 0, 1)),
        ("2004/01/02", "00:00:10", UTCDateTime(2004, 1, 1, 23, 59, 50)),
        ("2013/09/01", "04:10:30", START),
    ]
    for day, origin, start in cases:
        made.unam(stream(*NEZ, start=start, network="", station="CUP5"), str(path), day=day, origin=origin)
        h = _first(path)
        assert (h.start, h.start_uncertainty_s) == (np.datetime64(start.ns, "ns"), 0.5)


def test_unam_without_the_hour_of_the_first_sample(tmp_path: Path) -> None:
    path = tmp_path / "record"
    made.unam(stream(*NEZ, start=START, network="", station="CUP5"), str(path), first_sample="")
    h = _first(path)
    assert h.start == h.origin_time == np.datetime64("2013-09-01T04:10:30")
    assert np.isnan(h.start_uncertainty_s)


def test_unam_headers(unam: Path, tmp_path: Path) -> None:
    h = _first(unam)
    assert (h.latitude, h.longitude, h.elevation_m) == (18.567007, -101.977162, 340.0)
    assert (h.event_latitude, h.event_longitude, h.event_depth_km) == (18.3353, -98.6763, 38.5)
    assert (h.magnitude, h.magnitude_type) == (5.8, "Ms")  # of Mb, Ms and Mc
    assert h.natural_frequency_hz == 200.0
    assert np.isnan(h.damping)
    path = tmp_path / "turned"
    six = stream("HN1", "HNZ", "HN2", "HN4", "HN5", "HN6", start=START, network="", station="CUP5")
    words = ("N10W", "V;V", "N80E", "S10E", "V", "S80W")
    made.unam(six, str(path), words=words)
    records = read_accelerograms(path).records
    assert [r.header.azimuth_deg for r in records] == pytest.approx(
        [350, np.nan, 80, 170, np.nan, 260], nan_ok=True
    )
    assert [r.header.vertical for r in records] == [False, True, False, False, True, False]
    # Channels 4 to 6 are another sensor's.
    assert [r.samples.ids[0] for r in records[2:4]] == [".CUP5.00.HN2", ".CUP5.01.HN1"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"Gal (cm/s/s)", b"cuentas", "expected Gal"),
        (b"3F10.4", b"6F10.4", "states 3 channels"),
        (b"/700/700/700", b"", "states 0 channels"),
        (b"/0.01/0.01/0.01", b"/0.02/0.02/0.02", "no usable sampling rate"),
    ],
)
def test_unam_says_what_does_not_agree(unam: Path, old: bytes, new: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read_waveforms(_edited(unam, old, new))


def test_bhrc_has_no_time_of_its_own(bhrc: Path) -> None:
    h = _first(bhrc)
    assert h.start == h.origin_time == np.datetime64("2013-09-01T04:10:35")
    assert np.isnan(h.start_uncertainty_s)
    assert h.sampling_rate == 100.0  # 700 points of 7.000 s, not of 6.99 s
    assert (h.latitude, h.longitude, h.elevation_m, h.station_name) == (37.485, 45.891, 1333, "Nowhere Shahr")
    assert (h.event_latitude, h.event_longitude, h.event_depth_km) == (38.52, 46.86, 12.0)
    assert (h.magnitude, h.magnitude_type) == (6.1, "Mw")  # mb and Ms are named, and empty
    directions = [r.header.azimuth_deg for r in read_accelerograms(bhrc).records]
    assert directions == pytest.approx([324, np.nan, 54], nan_ok=True)


def test_bhrc_of_another_volume_is_refused(bhrc: Path) -> None:
    with pytest.raises(FormatError, match="known is VOL1DS"):
        read_waveforms(_edited(bhrc, b"VOL1DS", b"VOL2"))


def test_csmip_volume_1_of_film_keeps_its_times(tmp_path: Path) -> None:
    path = tmp_path / "LA.RAW"
    channels = stream("HNE", start=START, network="CE", station="14403", unit=0.1 * GRAVITY)
    made.csmip_v1(channels, str(path), kind="film", stretch=0.05)
    (record,) = read_accelerograms(path).records
    assert record.times_s is not None
    assert record.times_s[350] == pytest.approx(3.55, abs=0.002)
    h = record.header
    assert h.start == np.datetime64("2013-09-01T04:10:35.7")
    assert h.origin_time == np.datetime64("2013-09-01T04:10:30.5")
    assert (h.latitude, h.longitude, h.magnitude, h.event_depth_km) == (33.929, -118.26, 6.6, 18.0)
    assert (h.event_name, h.stage, h.azimuth_deg) == ("MADE UP EARTHQUAKE", "uncorrected", 90.0)
    assert h.natural_frequency_hz == 25.0
    lines = path.read_bytes().split(b"\r\n")
    lines[127] = lines[126]
    path.write_bytes(b"\r\n".join(lines))
    read = read_accelerograms(path)
    assert read.records[0].samples.n_sample == 500
    assert "not in order from number 501" in read.failures[0]["message"]


def test_csmip_volume_1_of_another_network(tmp_path: Path) -> None:
    path = tmp_path / "CIWLT.RAW"
    channels = stream("HNE", start=START, network="CE", station="14403", unit=GRAVITY)
    made.csmip_v1(channels, str(path), kind="rate")
    _edited(path, b"14403-S3492-94021.02 ", b"15481673.CI.WLT.--.HN")
    _edited(path, b"STATION NO. 14403", b"Station Id. WLT  ")
    _edited(path, b"TRIGGER TIME:", b"  Start time:")
    (record,) = read_accelerograms(path).records
    assert record.samples.ids == ("CI.WLT..HNE",)
    assert record.header.start == np.datetime64("2013-09-01T04:10:35.7")


def test_csmip_volume_1_in_another_unit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "record"
    channels = stream("HNE", start=START, network="CE", station="14403", unit=GRAVITY)
    for kind, old, new in (
        ("rate", b"units of g .", b"units of mg ."),
        ("even", b"(UNITS: G)", b"(UNITS: MG)"),
        ("even", b"POINTS OF ACCEL", b"POINTS OF VELOC"),
        ("film", b"SEC AND G/10.", b"SEC AND CM/S."),
    ):
        made.csmip_v1(channels, str(path), kind=kind)
        with pytest.raises(FormatError, match="left out"):
            read_waveforms(_edited(path, old, new))


def test_renadic_takes_nothing_that_is_not_known(tmp_path: Path) -> None:
    path = tmp_path / "vina.v1"
    channels = stream(*NEZ, start=START, network="", station="1215", unit=0.1 * GRAVITY)
    made.renadic(channels, str(path))
    h = _first(path)
    assert np.isnan([h.latitude, h.longitude, h.event_latitude, h.event_longitude]).all()
    assert np.isnat(h.origin_time)
    assert (h.station, h.station_name, h.magnitude) == ("1215", "VIÑA - EL SALTO", 8.8)
    assert h.start_uncertainty_s == 0.0
    made.renadic(channels, str(path), words={"N": "L", "E": "T", "Z": "Z"})
    assert [r.samples.ids[0] for r in read_accelerograms(path).records] == [
        ".1215..HN1",
        ".1215..HN2",
        ".1215..HNZ",
    ]


def test_renadic_without_clock_or_number(tmp_path: Path) -> None:
    path = tmp_path / "vina.v1"
    start = UTCDateTime(1980, 1, 1, 0, 0, 30)
    made.renadic(stream(*NEZ, start=start, network="", station="0", unit=0.1 * GRAVITY), str(path))
    h = _first(path)
    assert h.station == "VINA_EL_SALTO"
    assert np.isnan(h.start_uncertainty_s)


@pytest.mark.parametrize("name", ["cwb", "nsmn", "unam", "bhrc"])
def test_either_end_of_lines_will_do(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    path: Path = request.getfixturevalue(name)
    other = tmp_path / "other"
    content = path.read_bytes().replace(b"\r\n", b"\n")
    other.write_bytes(content if name != "bhrc" else content.replace(b"\n", b"\r\n"))
    assert is_accelerogram(other)
    for a, b in zip(read_accelerograms(path).records, read_accelerograms(other).records, strict=True):
        assert repr(a.header) == repr(b.header)
        np.testing.assert_array_equal(a.samples.data, b.samples.data)
