"""ObsPy's clients against a data centre that runs, with the records they should get known from the files."""

from __future__ import annotations

import warnings

import numpy as np
import obspy
import pytest
from obspy import UTCDateTime
from obspy.clients.fdsn import Client
from obspy.clients.fdsn.header import FDSNNoDataException
from obspy.clients.fdsn.mass_downloader import CircularDomain, MassDownloader, Restrictions

QUAKE = UTCDateTime(2010, 5, 27, 16, 24, 30)
RJOB = UTCDateTime(2009, 8, 24, 0, 20, 10)


@pytest.fixture(scope="module")
def client(centre):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return Client(centre.url)


def test_discovery_finds_every_parameter_catalogues_and_contributors(client):
    from obspy.clients.fdsn.header import DEFAULT_PARAMETERS, OPTIONAL_PARAMETERS

    for service in ("dataselect", "station", "event"):
        wanted = {*DEFAULT_PARAMETERS[service], *OPTIONAL_PARAMETERS[service]}
        assert wanted <= set(client.services[service])
    assert client.services["available_event_catalogs"] == {"example"}
    assert client.services["available_event_contributors"] == {"Test centre"}
    assert client.get_webservice_version("station") == [1, 1, 1]


def test_waveforms_are_the_samples_of_the_files(client, centre):
    stream = client.get_waveforms("BW", "RJOB", "", "EHZ", RJOB, RJOB + 5)
    expected = obspy.read()[0].slice(RJOB, RJOB + 5)
    assert stream[0].stats.starttime == RJOB
    assert np.array_equal(stream[0].data, (100 * expected.data).astype("int32"))


def test_wildcards_and_bulk(client):
    stream = client.get_waveforms("BW", "UH*", "*", "?HZ", QUAKE, QUAKE + 60)
    assert sorted(t.id for t in stream) == ["BW.UH1..SHZ", "BW.UH2..SHZ", "BW.UH3..SHZ", "BW.UH4..EHZ"]
    bulk = [("BW", "RJOB", "", "EH?", RJOB, RJOB + 5), ("BW", "UH3", "--", "SH*", QUAKE, QUAKE + 5)]
    assert len(client.get_waveforms_bulk(bulk, minimumlength=1, longestonly=False)) == 6
    with pytest.raises(FDSNNoDataException):
        client.get_waveforms("ZZ", "*", "*", "*", QUAKE, QUAKE + 5)


@pytest.mark.parametrize("level", ["network", "station", "channel", "response"])
def test_stations_at_every_level(client, level):
    found = client.get_stations(network="BW", level=level)
    ours = obspy.read_inventory().select(network="BW")
    assert found.source == "Test centre"
    contents = found.get_contents()
    assert contents["networks"] == ["BW"]
    if level in ("channel", "response"):
        assert sorted(contents["channels"]) == sorted(ours.get_contents()["channels"])
        a, b = (i.select(time=RJOB)[0][0] for i in (found, ours))
        assert (a.latitude, a.longitude, a.elevation) == (b.latitude, b.longitude, b.elevation)
        assert a.total_number_of_channels == 3
    if level == "response":
        a, b = (i.get_response("BW.RJOB..EHZ", RJOB) for i in (found, ours))
        assert a.instrument_sensitivity.value == b.instrument_sensitivity.value
        freqs = np.array([0.1, 1.0, 10.0])
        assert np.allclose(
            a.get_evalresp_response_for_frequencies(freqs), b.get_evalresp_response_for_frequencies(freqs)
        )


@pytest.mark.parametrize("level", ["network", "station", "channel"])
def test_stations_as_text_hold_the_same(client, level):
    text = client.get_stations(level=level, format="text")
    xml = client.get_stations(level=level)
    assert {n.code for n in text} == {n.code for n in xml} == {"BW", "GR"}
    if level == "channel":
        assert sorted(text.get_contents()["channels"]) == sorted(xml.get_contents()["channels"])


def test_stations_in_bulk(client):
    found = client.get_stations_bulk(
        [("BW", "RJOB", "*", "EHZ", RJOB, RJOB + 1), ("GR", "F*", "*", "BH?", RJOB, RJOB + 1)],
        level="channel",
    )
    assert sorted({c.split(".")[1] for c in found.get_contents()["channels"]}) == ["FUR", "RJOB"]


def test_events(client):
    catalog = client.get_events()
    assert [round(e.preferred_magnitude().mag, 1) for e in catalog] == [4.4, 4.3, 3.0]
    assert len(client.get_events(minmagnitude=4, maxmagnitude=4.35)) == 1
    again = client.get_events(eventid=catalog[1].resource_id.id, includearrivals=True)
    assert again[0].origins[0].time == catalog[1].origins[0].time
    assert len(client.get_events(catalog="example", contributor="Test centre", limit=1, offset=2)) == 1
    assert len(client.get_events(latitude=38, longitude=38, maxradius=1)) == 1


def test_mass_downloader(centre, tmp_path):
    domain = CircularDomain(latitude=47.7, longitude=12.8, minradius=0.0, maxradius=1.0)
    restrictions = Restrictions(
        starttime=RJOB,
        endtime=RJOB + 10,
        channel_priorities=["EH[ZNE]"],
        minimum_length=0.9,
        reject_channels_with_gaps=True,
        sanitize=True,
    )
    downloader = MassDownloader(providers=[Client(centre.url)], configure_logging=False)
    downloader.download(
        domain, restrictions, mseed_storage=str(tmp_path / "w"), stationxml_storage=str(tmp_path / "s")
    )
    files = sorted(p.name.split("__")[0] for p in (tmp_path / "w").iterdir())
    assert files == ["BW.RJOB..EHE", "BW.RJOB..EHN", "BW.RJOB..EHZ"]
    assert [p.name for p in (tmp_path / "s").iterdir()] == ["BW.RJOB.xml"]
