"""Strong-motion files with their headers: real ones of every format, and made-up ones where it goes wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import strong_motion_files as made
from obspy import UTCDateTime

from kaname.core.errors import FormatError, NotFoundError
from kaname.formats.accelerogram_text import degrees, direction, full_year, moment
from kaname.formats.accelerograms import is_accelerogram, peak_of, read_accelerograms
from kaname.formats.contract import read_waveforms

START = UTCDateTime(2013, 9, 1, 4, 10, 35, 700_000)
FORMATS = {
    "cosmos": "cosmos/*/*.[vV]*",
    "smc": "smc/*/*.smc",
    "csmip": "dmg/*/*.V2",
    "geonet": "geonet/*/*.V2A",
    "esm": "esm/*/*.ASC",
    "usc": "usc/*/*.[es]0?",
}
# Two of the components of the COSMOS test file are no acceleration, as its header says.
KNOWN_FAILURES = {"Cosmos12TimeSeriesTest2.v1": "its unit has code 25, not one of acceleration"}


@pytest.mark.parametrize("name", FORMATS)
def test_real_files_are_whole_and_their_peaks_are_those_of_their_headers(
    name: str, shared_data: Path
) -> None:
    paths = sorted((shared_data / "strongmotion/records").glob(FORMATS[name]))
    assert paths
    for path in paths:
        assert is_accelerogram(path)
        read = read_accelerograms(path)
        assert [f["message"].endswith(KNOWN_FAILURES.get(path.name, "?")) for f in read.failures] == (
            [True] if path.name in KNOWN_FAILURES else []
        )
        for record in read.records:
            header = record.header
            assert header.format == name
            assert header.station
            assert np.isfinite([header.latitude, header.longitude]).all()
            assert not np.isnat(header.start)
            assert header.vertical or np.isfinite(header.azimuth_deg) or header.component in ("H1", "H2")
            acceleration = record.acceleration()
            assert acceleration.unit == "cm/s^2"
            if header.peak:
                digits = len(header.peak.partition(".")[2])
                peak = peak_of(header, record.samples.data[0])
                assert round(peak, digits) == pytest.approx(abs(float(header.peak)), abs=1.01 * 10**-digits)
        assert any(r.header.peak for r in read.records) or name == "usc"


def test_usc_gives_the_rms_of_its_header(shared_data: Path) -> None:
    """The format states no peak; its check is the root mean square of the whole record, in g/10."""
    for path in (shared_data / "strongmotion/records/usc").glob("*/*.[es]0?"):
        (record,) = read_accelerograms(path).records
        stated = float(path.read_text(encoding="latin-1").split("COMPLETE RECORD =")[1].split()[0])
        found = np.sqrt(np.mean(record.samples.data**2)) / 98.0665
        assert found == pytest.approx(stated, rel=0.02)  # theirs weighs the uneven intervals


def test_headers_of_real_files(shared_data: Path) -> None:
    folder = shared_data / "strongmotion/records"

    def first(path: str):
        return read_accelerograms(folder / path).records[0].header

    coalinga = first("dmg/nc1091100/ce36456p_CE36456.V2")
    assert coalinga.start == np.datetime64("1983-05-02T23:42:48.2")  # trigger time in PDT
    assert (coalinga.latitude, coalinga.longitude) == (35.908, -120.458)
    assert (coalinga.corner_low_hz, coalinga.corner_high_hz) == (0.1, 23.0)
    assert (coalinga.magnitude, coalinga.event_depth_km, coalinga.peak) == (6.5, 9.0, "-267.957")
    napa = first("dmg/nc72282711/CE58667.V2")
    assert np.isnat(napa.origin_time)  # "To be determined"
    assert (napa.corner_low_hz, napa.corner_high_hz) == (0.07, 40.0)
    kaikoura = first("geonet/us1000778i/20161113_110259_WTMC_20.V2A")
    assert kaikoura.start == np.datetime64("2016-11-13T11:02:19.715")
    assert (kaikoura.azimuth_deg, kaikoura.magnitude) == (332.0, 7.82)
    assert kaikoura.latitude == pytest.approx(-42.61944, abs=1e-5)
    raw = read_accelerograms(folder / "cosmos/ak018fcnsk91/NP8040-n.1000hyfh.HNE.01.V0c").records[0]
    assert raw.samples.ids == ("NP.8040.01.HNE",)
    assert raw.samples.data.dtype == np.int32
    assert raw.header.azimuth_deg == 90.0  # 90 degrees from a reference direction of 360
    # Counts per g, from digitizer and sensor: what the station page of the network states within a per cent.
    assert raw.header.counts_per_cm_s2 * 980.665 == pytest.approx(1.2553 / 0.298024e-6, rel=1e-6)
    bel_air = first("usc/ci3144585/017m30lw.s0a")
    assert bel_air.longitude == pytest.approx(-118.4347, abs=1e-4)  # the file itself says 118 26 05N
    assert np.isnan(bel_air.start_uncertainty_s)


def test_knet_comes_with_the_same_header(shared_data: Path) -> None:
    (path,) = (shared_data / "japan/knet_kiknet/knet/us2000cnnl").glob("AOM001*.EW")
    (record,) = read_accelerograms(path).records
    assert record.header.format == "knet"
    assert record.samples.unit == "count"
    acceleration = record.acceleration().data[0]
    assert np.abs(acceleration - acceleration.mean()).max() == pytest.approx(
        float(record.header.peak), abs=0.001
    )


def test_film_that_was_read_unevenly(tmp_path: Path) -> None:
    path = tmp_path / "film"
    stream = made.stream(
        "HNE", start=UTCDateTime(2013, 9, 1, 4, 10), network="LA", station="17", unit=98.0665
    )
    made.usc(stream, str(path), stretch=0.05)
    (record,) = read_accelerograms(path).records
    assert record.times_s is not None
    assert record.times_s[350] == pytest.approx(3.55, abs=0.002)
    assert "0.050 s off" in read_waveforms(path).failures[0]["message"]


def test_a_damaged_sample_is_a_gap_and_a_wrong_peak_is_told(tmp_path: Path) -> None:
    path = tmp_path / "record"
    made.geonet(
        made.stream("HN1", start=START, network="NZ", station="WTMC", mm=True), str(path), corrected=True
    )
    lines = path.read_bytes().split(b"\r\n")
    lines[30] = b"    ****" + lines[30][8:]
    path.write_bytes(b"\r\n".join(lines))
    read = read_accelerograms(path)
    assert [r.samples.n_sample for r in read.records] == [40, 659]
    assert "1 samples cannot be read" in read.failures[0]["message"]
    lines[30] = b"999999.9" + lines[30][8:]
    path.write_bytes(b"\r\n".join(lines))
    assert "states a peak of" in read_accelerograms(path).failures[0]["message"]


def test_no_station_no_record(tmp_path: Path) -> None:
    path = tmp_path / "record"
    made.esm(made.stream("HNE", start=START, network="HI", station=""), str(path))
    assert "no usable station" in read_accelerograms(path).failures[0]["message"]
    with pytest.raises(FormatError, match="no usable station"):
        read_waveforms(path)


def test_velocity_is_no_accelerogram(tmp_path: Path) -> None:
    path = tmp_path / "record"
    made.esm(made.stream("HNE", start=START, network="HI", station="A"), str(path))
    path.write_bytes(path.read_bytes().replace(b"DATA_TYPE: ACCELERATION", b"DATA_TYPE: VELOCITY"))
    with pytest.raises(FormatError, match="VELOCITY"):
        read_accelerograms(path)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_accelerograms(tmp_path / "none")
    path = tmp_path / "text"
    for content in (b"", b"hello\n", b"\0" * 5000):
        path.write_bytes(content)
        assert not is_accelerogram(path)
        with pytest.raises(FormatError):
            read_accelerograms(path)
    with pytest.raises(NotFoundError, match="known are"):
        read_accelerograms(path, format="v3")


@pytest.mark.parametrize(
    ("text", "azimuth", "vertical"),
    [
        ("90 DEG", 90, False),
        ("360 deg", 0, False),
        ("N28W", 332, False),
        ("S74E", 106, False),
        ("S16W", 196, False),
        ("N00E", 0, False),
        ("UP", np.nan, True),
        ("Vert", np.nan, True),
        ("H1", np.nan, False),
        ("N95E", np.nan, False),
        ("E", 90, False),
        ("", np.nan, False),
    ],
)
def test_directions(text: str, azimuth: float, vertical: bool) -> None:
    assert direction(text) == (pytest.approx(azimuth, nan_ok=True), vertical)


def test_small_parts() -> None:
    assert degrees("42 37 10S") == pytest.approx(-42.619444)
    assert degrees("35.908N") == 35.908
    assert degrees("120.458W") == -120.458
    assert np.isnan(degrees("35.9"))
    assert [full_year(y) for y in (83, 14, 33, 2014)] == [1983, 2014, 1933, 2014]
    assert moment(1983, 5, 2, 16, 42, 48.2, "PDT") == np.datetime64("1983-05-02T23:42:48.2")
    for bad in (
        (1983, 13, 2, 0, 0, 0.0, "UTC"),
        (1983, 1, 2, 0, 0, 0.0, "XYZ"),
        (np.nan, 1, 2, 0, 0, 0.0, "UTC"),
    ):
        assert np.isnat(moment(*bad))
