"""The station, event and availability services, the WADL, and the page with its JSON twins."""

from __future__ import annotations

import gzip
import io
import json
import os
import time

import numpy as np
import obspy
import pytest
from lxml import etree

from kaname.archive.store import Archive
from kaname.center.parameters import SERVICES
from kaname.core.waveform import Waveform
from kaname.formats.miniseed import write_miniseed

from .conftest import running


def lines(reply) -> list[list[str]]:
    assert reply.status == 200, reply.body
    return [line.split("|") for line in reply.body.decode().splitlines()[1:]]


def stations(ask, query: str) -> set[str]:
    reply = ask(f"/fdsnws/station/1/query?format=text&{query}")
    return set() if reply.status == 204 else {row[1] for row in lines(reply)}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"FUR", "WET", "RJOB"}),
        ("net=GR", {"FUR", "WET"}),
        ("sta=?ET,RJ*", {"WET", "RJOB"}),
        ("cha=EH?", {"RJOB"}),
        ("loc=--", {"FUR", "WET", "RJOB"}),
        ("loc=00", set()),
        ("minlat=49", {"WET"}),
        ("maxlat=48.9&minlon=12", {"RJOB"}),
        ("minlon=12&maxlon=-170", {"WET", "RJOB"}),  # across 180 degrees
        ("lat=48.16&lon=11.28&maxradius=0.1", {"FUR"}),
        ("lat=48.16&lon=11.28&minradius=0.1&maxradius=1.5", {"WET", "RJOB"}),
        ("startbefore=2006-12-17", {"FUR", "RJOB"}),
        ("startafter=2007-01-01", {"WET", "RJOB"}),
        ("endbefore=2007-01-01", {"RJOB"}),
        ("endafter=2030-01-01", {"FUR", "WET", "RJOB"}),
        ("start=2002-01-01&end=2002-01-02", {"RJOB"}),
        ("end=2000-01-01", set()),
        ("matchtimeseries=true", {"RJOB"}),
        ("matchtimeseries=true&start=2012-01-01", set()),
        ("updatedafter=2100-01-01", set()),
        ("updatedafter=2000-01-01", {"FUR", "WET", "RJOB"}),
        ("includerestricted=false&net=BW", {"RJOB"}),
    ],
)
def test_station_filters(ask, query, expected):
    assert stations(ask, query) == expected


@pytest.mark.parametrize(
    "query",
    [
        "minlat=50&maxlat=40",
        "minradius=3&maxradius=2",
        "minlat=91",
        "lon=181",
        "level=all",
        "level=response&format=text",
    ],
)
def test_station_requests_that_cannot_be(ask, query):
    assert ask(f"/fdsnws/station/1/query?{query}").status == 400


def test_stationxml_is_valid_and_says_what_there_is(ask, tmp_path):
    from obspy.io.stationxml.core import validate_stationxml

    for level in ("network", "station", "channel", "response"):
        reply = ask(f"/fdsnws/station/1/query?level={level}&includeavailability=true")
        valid, problems = validate_stationxml(io.BytesIO(reply.body))
        assert valid, problems
    assert reply.body.count(b"<DataAvailability>") >= 3
    found = obspy.read_inventory(io.BytesIO(reply.body)).select(
        channel="EHZ", time=obspy.UTCDateTime(2009, 8, 24)
    )
    assert found[0][0][0].data_availability.start == obspy.UTCDateTime(2009, 8, 24, 0, 20, 3)


def test_documents_are_compressed_for_who_understands_it(ask):
    plain = ask("/fdsnws/station/1/query?level=response")
    small = ask("/fdsnws/station/1/query?level=response", **{"Accept-Encoding": "gzip"})
    assert small.headers["content-encoding"] == "gzip"
    assert len(small.body) < len(plain.body) / 4
    assert gzip.decompress(small.body).split(b"<Created>")[1][30:] == plain.body.split(b"<Created>")[1][30:]


def test_stations_known_by_place_alone_get_the_channels_of_the_archive(archive, tmp_path):
    path = tmp_path / "stations.csv"
    path.write_text(
        "station,latitude,longitude,elevation_m\nUH3,48.06,11.64,560\nUH1,48.08,11.63,570\nNONE,1,2,3\n"
    )
    with running(archive, stations=[path]) as served:
        from obspy.clients.fdsn import Client

        found = Client(served.url).get_stations(level="channel")
    assert sorted(found.get_contents()["channels"]) == [
        "BW.UH1..SHZ",
        "BW.UH3..SHE",
        "BW.UH3..SHN",
        "BW.UH3..SHZ",
    ]
    assert found.get_coordinates("BW.UH3..SHZ")["latitude"] == 48.06


def test_files_that_change_are_read_again_and_bad_ones_are_not_taken(archive, tmp_path, monkeypatch):
    from kaname.center.holdings import Watched

    monkeypatch.setattr(Watched, "LOOK_S", 0.0)
    path = tmp_path / "stations.csv"
    path.write_text("network,station,latitude,longitude\nBW,UH3,48.06,11.64\n")
    with running(archive, stations=[path]) as served:
        assert {s.code for s in served.holdings.stations.stations} == {"UH3"}
        path.write_text("network,station,latitude,longitude\nBW,UH3,48.06,11.64\nBW,UH1,48.08,11.63\n")
        assert {s.code for s in served.holdings.stations.stations} == {"UH1", "UH3"}
        path.write_text("this is no station file")
        assert {s.code for s in served.holdings.stations.stations} == {"UH1", "UH3"}


def magnitudes(ask, query: str) -> list[float]:
    reply = ask(f"/fdsnws/event/1/query?format=text&{query}")
    return [] if reply.status == 204 else [float(row[10]) for row in lines(reply)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [4.4, 4.3, 3.0]),
        ("orderby=time-asc", [3.0, 4.3, 4.4]),
        ("orderby=magnitude", [4.4, 4.3, 3.0]),
        ("orderby=magnitude-asc", [3.0, 4.3, 4.4]),
        ("limit=1&offset=2", [4.3]),
        ("offset=4", []),
        ("minmag=4.35", [4.4]),
        ("maxmagnitude=4.3", [4.3, 3.0]),
        ("mindepth=5&maxdepth=10", [3.0]),
        ("start=2012-04-04T14:18:37", [4.4, 4.3]),
        ("end=2012-04-04T14:18:37", [4.3, 3.0]),
        ("end=2012-04-04T14:18:36", [3.0]),
        ("minlat=38&maxlat=40&minlon=37&maxlon=42", [4.3, 3.0]),
        ("lat=38&lon=37.7&maxradius=0.5", [3.0]),
        ("magtype=ml", [4.3, 3.0]),
        ("magtype=mw", []),
        ("eventtype=earthquake", [4.4, 4.3, 3.0]),
        ("eventtype=explosion", []),
        ("catalog=example", [4.4, 4.3, 3.0]),
        ("catalog=other", []),
        ("contributor=Test%20centre", [4.4, 4.3, 3.0]),
        ("contributor=other", []),
        ("updatedafter=2100-01-01", []),
    ],
)
def test_event_filters(ask, query, expected):
    assert magnitudes(ask, query) == expected


@pytest.mark.parametrize(
    "query",
    [
        "minmag=5&maxmag=4",
        "mindepth=9&maxdepth=1",
        "limit=0",
        "offset=0",
        "limit=1.5",
        "orderby=depth",
        "eventid=",
    ],
)
def test_event_requests_that_cannot_be(ask, query):
    assert ask(f"/fdsnws/event/1/query?{query}").status == 400


def test_events_by_identifier(ask):
    ids = [row[0] for row in lines(ask("/fdsnws/event/1/query?format=text"))]
    assert magnitudes(ask, f"eventid={ids[1]}") == [4.3]
    assert magnitudes(ask, f"eventid={ids[1]},{ids[2]}") == [4.3, 3.0]
    assert magnitudes(ask, "eventid=unknown") == []


def test_quakeml_is_valid_once_and_again(ask):
    from obspy.io.quakeml.core import _validate as validate

    for _ in range(2):  # the second time from what was kept
        body = ask("/fdsnws/event/1/query?orderby=magnitude").body
        catalog = obspy.read_events(io.BytesIO(body))
        assert [round(e.preferred_magnitude().mag, 1) for e in catalog] == [4.4, 4.3, 3.0]
        assert catalog[0].preferred_origin().latitude == pytest.approx(41.818)
        assert validate(io.BytesIO(body))


def test_too_many_events_are_413(archive, event_file):
    with running(archive, events=[event_file], request_events=2) as served:
        import requests

        assert requests.get(served.service("event"), timeout=30).status_code == 413
        assert requests.get(f"{served.service('event')}?limit=2", timeout=30).ok


# Availability


@pytest.fixture(scope="module")
def gappy(tmp_path_factory):
    root = tmp_path_factory.mktemp("gappy") / "archive"
    root.mkdir()
    start = np.datetime64("2021-01-01", "ns")

    def block(second: float, n: int, rate: float = 100.0, channel: str = "HHZ") -> Waveform:
        begin = start + np.timedelta64(round(second * 1e9), "ns")
        return Waveform(np.arange(n, dtype=np.int32)[np.newaxis], (f"XX.AAA..{channel}",), begin, rate)

    write_miniseed([block(0, 3000), block(40, 1000), block(100, 1000)], root / "a.mseed")
    write_miniseed([block(30, 1000), block(200, 500, 50.0)], root / "b.mseed")
    write_miniseed([block(45, 1000)], root / "c.mseed")  # overlaps what began at 40 s
    write_miniseed([block(0, 100, channel="HHN")], root / "d.mseed")
    os.utime(root / "d.mseed", (0, 1_000_000_000))
    with Archive(root) as archive:
        archive.index()
    with running(root) as served:
        yield served


def spans(served, query: str, method: str = "query") -> list[tuple[float, ...]]:
    import requests

    answer = requests.get(f"{served.service('availability', method)}?{query}", timeout=30)
    assert answer.ok, answer.text
    zero = obspy.UTCDateTime(2021, 1, 1)
    rows = [line.split() for line in answer.text.splitlines()[1:]]
    return [(float(r[5]), *(round(obspy.UTCDateTime(t) - zero, 2) for t in r[6:8])) for r in rows]


def test_availability_spans(gappy):
    z = "cha=HHZ&"
    assert spans(gappy, z) == [(100, 0, 49.99), (100, 45, 54.99), (100, 100, 109.99), (50, 200, 209.98)]
    assert spans(gappy, z + "merge=overlap") == [(100, 0, 54.99), (100, 100, 109.99), (50, 200, 209.98)]
    assert spans(gappy, z + "merge=overlap&mergegaps=50")[0] == (100, 0, 109.99)
    assert spans(gappy, z + "merge=overlap,samplerate&mergegaps=100") == [(50, 0, 209.98)]
    window = "start=2021-01-01T00:00:50&end=2021-01-01T00:01:45&"
    assert spans(gappy, z + window + "merge=overlap") == [(100, 50, 54.99), (100, 100, 105)]
    assert spans(gappy, z + "limit=2") == spans(gappy, z)[:2]


def test_availability_extents(gappy):
    assert spans(gappy, "", "extent") == [(100, 0, 0.99), (100, 0, 109.99), (50, 200, 209.98)]
    assert spans(gappy, "orderby=latestupdate", "extent")[0] == (100, 0, 0.99)
    assert spans(gappy, "orderby=timespancount_desc", "extent")[0] == (100, 0, 109.99)


def test_availability_formats(gappy):
    import requests

    at = gappy.service("availability")
    request = requests.get(f"{at}?format=request&cha=HHN", timeout=30).text
    assert request == "XX AAA -- HHN 2021-01-01T00:00:00.000000Z 2021-01-01T00:00:00.990000Z\n"
    # What it gives dataselect takes.
    assert requests.post(gappy.service("dataselect"), data=request, timeout=30).ok
    table = json.loads(requests.get(f"{at}?format=json&merge=overlap", timeout=30).text)
    assert [len(source["timespans"]) for source in table["datasources"]] == [1, 2, 1]
    geocsv = requests.get(f"{at}?format=geocsv&show=latestupdate", timeout=30).text.splitlines()
    assert geocsv[0] == "#dataset: GeoCSV 2.0"
    assert len({line.count("|") for line in geocsv[2:]}) == 1
    post = requests.post(at, data="merge=overlap\nXX AAA -- HHZ * *\n", timeout=30).text
    assert len(post.splitlines()) == 3
    assert requests.get(f"{at}?quality=Q", timeout=30).status_code == 204


# What the services say about themselves


@pytest.mark.parametrize("name", SERVICES)
def test_wadl_names_the_service_and_every_parameter_twice(ask, name):
    root = etree.fromstring(ask(f"/fdsnws/{name}/1/application.wadl").body)
    space = {"w": "http://wadl.dev.java.net/2009/02"}
    assert root.find("w:resources", space).get("base") == f"http://here/fdsnws/{name}/1/"
    named = set(
        root.xpath("//w:resource[@id='query']/w:method[@name='GET']//w:param/@name", namespaces=space)
    )
    assert named == set(SERVICES[name].by_name())
    assert ask(f"/fdsnws/{name}/1/version").body.decode().strip() == SERVICES[name].version
    page = ask(f"/fdsnws/{name}/1/").body.decode()
    assert all(p.name in page for p in SERVICES[name].parameters)


def test_the_page_and_its_json(ask):
    page = ask("/").body.decode()
    assert "http://" not in page.replace("http://www.w3.org", "")
    for name in ("center.css", "center.js", "texts.js"):
        assert f"/static/{name}" in page
        assert ask(f"/static/{name}").status == 200
    about = json.loads(ask("/center.json").body)
    assert (about["n_channel"], about["n_station"], about["n_event"]) == (9, 3, 3)
    assert len(json.loads(ask("/stations.json").body)) == 5
    assert len(json.loads(ask("/availability.json").body)["channels"]) == 9
    assert [e["magnitude"] for e in json.loads(ask("/events.json").body)] == [4.4, 4.3, 3.0]
    coast = json.loads(ask("/coastlines.json").body)
    assert coast["lines"] or coast["borders"]


def test_waveform_json_holds_the_samples_or_their_extremes(ask):
    at = "/waveform.json?id=BW.RJOB..EHZ&start=2009-08-24T00:20:10&end=2009-08-24T00:20:20"
    expected = (100 * obspy.read()[0].slice(obspy.UTCDateTime(2009, 8, 24, 0, 20, 10)).data).astype("int32")[
        :1000
    ]
    (whole,) = json.loads(ask(f"{at}&points=1000").body)["traces"]
    assert whole["samples"] == expected.tolist()
    (coarse,) = json.loads(ask(f"{at}&points=10").body)["traces"]
    assert coarse["least"] == expected.reshape(10, 100).min(axis=1).tolist()
    assert coarse["greatest"] == expected.reshape(10, 100).max(axis=1).tolist()
    assert coarse["step_s"] == 1.0
    for wrong in ("&points=0", "&points=1e9", "&foo=1"):
        assert ask(at + wrong).status == 400
    assert ask(at.replace("EHZ", "XYZ")).status == 400


def test_texts_of_both_languages_say_the_same_things(ask):
    text = ask("/static/texts.js").body.decode()
    english, japanese = text.split("ja: {")
    for key in ("map", "availability", "waveform", "events", "python", "lead", "mapNote", "none", "loading"):
        assert f"{key}:" in english
        assert f"{key}:" in japanese


def test_the_index_is_kept_up_to_date(archive, tmp_path):
    import shutil
    import threading

    from kaname.center.serving import keep_index

    root = tmp_path / "archive"
    shutil.copytree(archive, root)
    stop = threading.Event()
    keeper = threading.Thread(target=keep_index, args=(root, 0.05, stop))
    keeper.start()
    try:
        with running(root) as served:
            import requests

            assert requests.get(f"{served.service('dataselect')}?net=XX", timeout=30).status_code == 204
            block = Waveform(
                np.arange(100, dtype=np.int32)[np.newaxis],
                ("XX.NEW..HHZ",),
                np.datetime64("2021-01-01", "ns"),
                1.0,
            )
            write_miniseed([block], root / "new.mseed")
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                if requests.get(f"{served.service('dataselect')}?net=XX", timeout=30).status_code == 200:
                    break
                time.sleep(0.05)
            else:
                pytest.fail("the new file was not seen")
    finally:
        stop.set()
        keeper.join()
