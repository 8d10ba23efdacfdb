"""The dataselect service: records byte for byte, and what becomes of everything that can go wrong."""

from __future__ import annotations

import http.client
import io
import os
import shutil
import socket
from pathlib import Path

import numpy as np
import obspy
import pytest
import requests
from requests.auth import HTTPDigestAuth

import kaname.center.dataselect as dataselect
from kaname.archive.access import ACCESS_NAME, Access
from kaname.archive.store import Archive
from kaname.core.waveform import Waveform
from kaname.formats.miniseed import write_miniseed

from .conftest import running

RJOB = "net=BW&sta=RJOB&loc=--&cha=EHZ"
DAY = "start=2009-08-24&end=2009-08-25"


def day_file(root: Path, channel: str = "EHZ") -> Path:
    (found,) = root.glob(f"2009/BW/RJOB/{channel}.D/*")
    return found


def records_of(path: Path, length: int = 512) -> list[bytes]:
    data = path.read_bytes()
    return [data[at : at + length] for at in range(0, len(data), length)]


def test_a_day_is_the_file_byte_for_byte(centre):
    answer = requests.get(centre.service("dataselect"), params=f"{RJOB}&{DAY}", timeout=30)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/vnd.fdsn.mseed"
    assert answer.content == day_file(centre.root).read_bytes()


def test_a_window_is_the_whole_records_that_touch_it(ask, centre):
    records = records_of(day_file(centre.root))
    spans = [
        (t.stats.starttime, t.stats.endtime)
        for r in records
        for t in obspy.read(io.BytesIO(r), headonly=True)
    ]
    start, end = spans[3][1], spans[5][0]  # last sample of one record, first of another: both ends inclusive
    body = ask(f"/fdsnws/dataselect/1/query?{RJOB}&start={start}&end={end}").body
    assert body == b"".join(records[3:6])
    body = ask(f"/fdsnws/dataselect/1/query?{RJOB}&start={start + 1e-4}&end={end - 1e-4}").body
    assert body == records[4]
    between = f"start={spans[2][1] + 0.002}&end={spans[2][1] + 0.003}"
    assert ask(f"/fdsnws/dataselect/1/query?{RJOB}&{between}").status == 204


def test_long_and_short_names_lists_and_post_say_the_same(ask):
    long = ask(
        "/fdsnws/dataselect/1/query?network=BW&station=RJOB&location=&channel=EHN,EHZ&starttime=2009-08-24"
        "&endtime=2009-08-24T00:20:20.5Z&quality=B&nodata=404&format=miniseed"
    )
    short = ask(
        f"/fdsnws/dataselect/1/query?{RJOB.replace('EHZ', 'EH[N]')}".replace("EH[N]", "EHN,EHZ")
        + "&start=2009-08-24T00:00:00.000000&end=2009-08-24T00:20:20.500000"
    )
    lines = (
        "quality=B\nminimumlength=1.0\nlongestonly=false\n\n"
        "BW RJOB -- EHN,EHZ 2009-08-24 2009-08-24T00:20:20.5\n"
    )
    post = ask("/fdsnws/dataselect/1/query", method="POST", body=lines.encode())
    assert (long.status, short.status, post.status) == (200, 200, 200)
    assert long.body == short.body == post.body != b""


@pytest.mark.parametrize("location", ["--", "", "*", "??", "--,00", "%2A"])
def test_an_empty_location_has_many_names(ask, location):
    query = f"net=BW&sta=RJOB&loc={location}&cha=EHZ&{DAY}"
    assert ask(f"/fdsnws/dataselect/1/query?{query}").status == 200


def test_no_data_is_204_or_404(ask):
    assert ask(f"/fdsnws/dataselect/1/query?net=ZZ&{DAY}").status == 204
    reply = ask(f"/fdsnws/dataselect/1/query?net=ZZ&{DAY}&nodata=404")
    assert reply.status == 404
    assert reply.body.startswith(b"Error 404: Not Found")
    post = ask(
        "/fdsnws/dataselect/1/query", method="POST", body=b"nodata=404\nZZ * * * 2009-08-24 2009-08-25"
    )
    assert post.status == 404


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("foo=1", "unknown parameter 'foo'"),
        ("start=yesterday", "starttime must be a time"),
        ("start=2009-13-01", "starttime must be a time"),
        ("start=2010-01-02&end=2010-01-01", "the time span is empty"),
        ("net=BW&network=BW", "network is given twice"),
        ("net=B%27W", "network must be codes"),
        ("sta=../../etc/passwd", "station must be codes"),
        ("minimumlength=-1", "minimumlength must be a number"),
        ("minimumlength=nan", "minimumlength must be a number"),
        ("longestonly=perhaps", "longestonly must be true or false"),
        ("format=sac", "format must be one of"),
        ("nodata=500", "nodata must be one of"),
        ("quality=X", "quality must be one or more of"),
        ("starttime=", "starttime must be a time"),
    ],
)
def test_a_wrong_request_is_refused_as_the_standard_says(ask, query, named):
    reply = ask(f"/fdsnws/dataselect/1/query?{query}")
    text = reply.body.decode()
    assert reply.status == 400
    assert text.startswith("Error 400: Bad Request\n\n")
    assert named in text
    for part in (
        "Usage details are available from",
        "Request:\n",
        "Request Submitted:\n",
        "Service version:\n1.1",
    ):
        assert part in text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"quality=B\n",
        b"BW RJOB -- EHZ 2009-08-24\n",
        b"net=BW\nBW RJOB -- EHZ * *\n",
        b"\xff\xfe",
        b"a=b\nc",
    ],
)
def test_a_wrong_body_is_refused(ask, body):
    assert ask("/fdsnws/dataselect/1/query", method="POST", body=body).status == 400


def test_other_version_of_miniseed(centre):
    url = f"{centre.service('dataselect')}?{RJOB}&{DAY}&format=miniseed"
    two, three = (requests.get(url + suffix, timeout=30).content for suffix in ("2", "3"))
    assert two == day_file(centre.root).read_bytes()
    assert three.startswith(b"MS\x03")
    expected = obspy.read(io.BytesIO(two))[0]
    from kaname.formats.contract import read_waveforms

    path = Path(os.fspath(centre.root)).with_name("three.mseed")
    path.write_bytes(three)
    (block,) = read_waveforms(path).blocks
    assert block.ids == ("BW.RJOB..EHZ",)
    assert np.array_equal(block.data[0], expected.data)


def test_version_3_in_the_archive_and_codes_that_do_not_fit_version_2(tmp_path):
    start = np.datetime64("2021-01-01", "ns")
    samples = np.arange(3000, dtype=np.int32)[np.newaxis]
    root = tmp_path / "archive"
    root.mkdir()
    write_miniseed([Waveform(samples, ("XX.AAA..HHZ",), start, 100.0)], root / "a.mseed", version=3)
    write_miniseed([Waveform(samples, ("LONGNET.STATION8..HHZ",), start, 100.0)], root / "b.mseed", version=3)
    with Archive(root) as archive:
        archive.index()
    with running(root) as served:
        at = served.service("dataselect")
        two = requests.get(f"{at}?net=XX&cha=HHZ", timeout=30)
        assert np.array_equal(obspy.read(io.BytesIO(two.content))[0].data, samples[0])
        three = requests.get(f"{at}?net=XX&format=miniseed3", timeout=30)
        assert three.content == (root / "a.mseed").read_bytes()
        refused = requests.get(f"{at}?net=LONGNET", timeout=30)
        assert refused.status_code == 400
        assert "format=miniseed3" in refused.text
        assert requests.get(f"{at}?net=LONGNET&format=miniseed3", timeout=30).ok


def test_segments_by_length(tmp_path):
    root = tmp_path / "archive"
    root.mkdir()
    start = np.datetime64("2021-01-01", "ns")

    def block(second: float, n: int) -> Waveform:
        begin = start + np.timedelta64(round(second * 1e9), "ns")
        return Waveform(np.arange(n, dtype=np.int32)[np.newaxis], ("XX.AAA..HHZ",), begin, 100.0)

    # 60 s in two files that touch, a gap, 100 s, a gap, 10 s.
    write_miniseed([block(0, 3000), block(90, 10_000), block(300, 1000)], root / "a.mseed")
    write_miniseed([block(30, 3000)], root / "b.mseed")
    with Archive(root) as archive:
        archive.index()
    with running(root) as served:

        def spans(query: str) -> list[tuple[float, float]]:
            answer = requests.get(f"{served.service('dataselect')}?net=XX{query}", timeout=30)
            if answer.status_code == 204:
                return []
            stream = obspy.read(io.BytesIO(answer.content)).merge()
            zero = obspy.UTCDateTime(str(start))
            split = stream.split()
            return [(t.stats.starttime - zero, t.stats.npts / 100) for t in split]

        assert spans("") == [(0, 60), (90, 100), (300, 10)]
        assert spans("&minimumlength=60") == [(0, 60), (90, 100)]
        assert spans("&minimumlength=60.1") == [(90, 100)]
        assert spans("&longestonly=true") == [(90, 100)]
        assert spans("&minimumlength=101") == []
        # Within the window the first segment is the longer one.
        assert spans("&longestonly=true&start=2021-01-01&end=2021-01-01T00:01:35")[0] == (0, 60)


def test_quality(tmp_path, centre):
    root = tmp_path / "archive"
    root.mkdir()
    records = records_of(day_file(centre.root))
    changed = [r[:6] + b"Q" + r[7:] if i % 2 else r for i, r in enumerate(records)]
    (root / "x.mseed").write_bytes(b"".join(changed))
    with Archive(root) as archive:
        archive.index()
    with running(root) as served:
        at = served.service("dataselect")
        assert requests.get(f"{at}?quality=Q", timeout=30).content == b"".join(changed[1::2])
        assert requests.get(f"{at}?quality=D", timeout=30).content == b"".join(changed[0::2])
        assert requests.get(f"{at}?quality=Q,D", timeout=30).content == b"".join(changed)
        assert requests.get(f"{at}?quality=M", timeout=30).status_code == 204
        assert requests.get(f"{at}?quality=B", timeout=30).content == b"".join(changed)


def test_too_much_is_413_and_too_often_429(archive):
    with running(archive, request_bytes=2048, request_lines=10) as served:
        at = served.service("dataselect")
        answer = requests.get(f"{at}?net=BW", timeout=30)
        assert answer.status_code == 413
        assert answer.text.startswith("Error 413: ")
        lines = "BW RJOB -- EHZ 2009-08-24 2009-08-25\n" * 11
        assert requests.post(at, data=lines, timeout=30).status_code == 413
        assert requests.post(at, data=b"x" * 100_000, timeout=30).status_code == 413
    with running(archive, requests_per_s=0.5, burst=3) as served:
        version = served.service("dataselect", "version")
        codes = [requests.get(version, timeout=30) for _ in range(5)]
        assert [c.status_code for c in codes] == [200, 200, 200, 429, 429]
        assert 1 <= int(codes[-1].headers["retry-after"]) <= 4


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/static//etc/passwd",
        "//etc/passwd",
    ],
)
def test_no_path_leads_out(centre, path):
    host, port = centre.url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    connection.request("GET", path)  # as it is: requests would tidy it up
    answer = connection.getresponse()
    assert answer.status == 404
    assert b"root:" not in answer.read()


def test_origins_elsewhere_may_ask(centre):
    answer = requests.get(centre.service("event", "version"), headers={"Origin": "https://x.org"}, timeout=30)
    assert answer.headers["access-control-allow-origin"] == "*"
    answer = requests.options(
        centre.service("dataselect"),
        headers={"Origin": "https://x.org", "Access-Control-Request-Method": "POST"},
        timeout=30,
    )
    assert "POST" in answer.headers["access-control-allow-methods"]


# Faults of the disk


@pytest.fixture
def copied(archive, tmp_path):
    root = tmp_path / "archive"
    shutil.copytree(archive, root)
    with Archive(root) as own:
        own.index()
    return root


def test_a_file_that_is_gone_is_503_and_not_an_empty_answer(copied):
    with running(copied) as served:
        day_file(copied).unlink()
        answer = requests.get(f"{served.service('dataselect')}?{RJOB}&{DAY}", timeout=30)
        assert answer.status_code == 503
        assert "retry-after" in answer.headers
        assert b"mseed" not in answer.headers["content-type"].encode()


def test_a_file_that_was_cut_gives_what_it_now_holds(copied):
    with running(copied) as served:
        path = day_file(copied)
        records = records_of(path)
        os.truncate(path, 512 * 7)
        answer = requests.get(f"{served.service('dataselect')}?{RJOB}&{DAY}", timeout=30)
        assert answer.content == b"".join(records[:7])


def test_a_file_that_grows_gives_the_new_records_before_it_is_indexed(copied):
    with running(copied) as served:
        path = day_file(copied)
        more = records_of(day_file(copied, "EHN"))[0]
        later = (
            more[:15] + b"EHZ" + more[18:20] + b"\x07\xd9\x00\xec\x05" + more[25:]
        )  # 05:20 of the same day
        with path.open("ab") as file:
            file.write(later)
        answer = requests.get(f"{served.service('dataselect')}?{RJOB}&{DAY}", timeout=30)
        assert answer.content == path.read_bytes()


def test_a_fault_on_the_way_breaks_the_connection(copied, monkeypatch):
    """The length is announced, so no client can take the part for the whole; the raw bytes are looked at."""
    monkeypatch.setattr(dataselect, "PIECE_BYTES", 1024)
    path = day_file(copied)
    size = path.stat().st_size
    real = os.pread
    seen = []

    def failing(file: int, n: int, offset: int) -> bytes:
        if n > 1000:
            seen.append(offset)
            if len(seen) == 3:
                os.truncate(path, 1024)
        return real(file, n, offset)

    with running(copied) as served:
        monkeypatch.setattr(os, "pread", failing)
        with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)):
            requests.get(f"{served.service('dataselect')}?{RJOB}&{DAY}", timeout=30).content  # noqa: B018
        monkeypatch.setattr(os, "pread", real)
        shutil.copy(day_file(copied, "EHN"), path)
        seen.clear()
    assert size > 4096


@pytest.mark.parametrize("protocol", ["HTTP/1.0", "HTTP/1.1"])
def test_raw_bytes_of_a_broken_answer_are_fewer_than_announced(copied, monkeypatch, protocol):
    monkeypatch.setattr(dataselect, "PIECE_BYTES", 1024)
    path = day_file(copied)
    real = os.pread
    n_read = []

    def failing(file: int, n: int, offset: int) -> bytes:
        if n > 1000:
            n_read.append(offset)
            if len(n_read) == 3:
                raise OSError(5, "Input/output error")
        return real(file, n, offset)

    with running(copied) as served:
        monkeypatch.setattr(os, "pread", failing)
        host, port = served.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            request = f"GET /fdsnws/dataselect/1/query?{RJOB}&{DAY} {protocol}\r\nHost: x\r\n\r\n"
            connection.sendall(request.encode())
            received = b""
            while piece := connection.recv(65536):
                received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    announced = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    assert announced == path.stat().st_size
    assert len(body) < announced


# Who may read what


@pytest.fixture
def guarded(copied):
    (copied / ACCESS_NAME).write_text(
        'realm = "Test"\ncontact = "data@example.org"\n'
        '[[rules]]\nid = "BW.RJOB"\naccess = "group"\ngroups = ["friends"]\nreason = "a thesis"\n'
        '[[rules]]\nid = "BW.UH3"\naccess = "embargo"\nuntil = "2200-01-01"\nstart = "2010-05-27T16:26:00"\n'
    )
    access = Access.load(copied)
    access.users.put("friend", "a good password", "Test", groups=["friends"])
    access.users.put("stranger", "another password", "Test")
    with running(copied) as served:
        yield served


def test_what_is_restricted_needs_a_name(guarded, caplog):
    query = f"{guarded.service('dataselect')}?{RJOB}&{DAY}"
    refused = requests.get(query, timeout=30)
    assert refused.status_code == 403
    assert "a thesis" in refused.text
    assert "data@example.org" in refused.text
    assert any(r.name == "kaname.access" and "BW.RJOB..EHZ" in r.getMessage() for r in caplog.records)
    auth = query.replace("/query?", "/queryauth?")
    challenge = requests.get(auth, timeout=30)
    assert challenge.status_code == 401
    assert challenge.headers["www-authenticate"].startswith('Digest realm="Test", qop="auth"')
    given = requests.get(auth, auth=HTTPDigestAuth("friend", "a good password"), timeout=30)
    assert given.content == day_file(guarded.root).read_bytes()
    for user, password, status in (
        ("friend", "a bad password", 401),
        ("nobody", "a good password", 401),
        ("stranger", "another password", 403),
    ):
        assert requests.get(auth, auth=HTTPDigestAuth(user, password), timeout=30).status_code == status


def test_obspy_uses_digest(guarded):
    from obspy.clients.fdsn import Client

    client = Client(guarded.url, user="friend", password="a good password")
    start = obspy.UTCDateTime(2009, 8, 24, 0, 20, 5)
    assert len(client.get_waveforms("BW", "RJOB", "", "EH?", start, start + 5)) == 3
    bulk = [("BW", "RJOB", "", "EHZ", start, start + 5)]
    assert len(client.get_waveforms_bulk(bulk)) == 1


def test_a_stolen_answer_is_worth_nothing_elsewhere(guarded):
    session = requests.Session()
    auth = f"{guarded.service('dataselect', 'queryauth')}?{RJOB}&{DAY}"
    first = session.get(auth, auth=HTTPDigestAuth("friend", "a good password"), timeout=30)
    header = first.request.headers["Authorization"]
    other = auth.replace("EHZ", "EHN")
    assert requests.get(other, headers={"Authorization": header}, timeout=30).status_code == 401
    assert requests.get(auth, headers={"Authorization": "Basic ZnJpZW5kOng="}, timeout=30).status_code == 401
    assert requests.get(auth, headers={"Authorization": "Digest nonsense"}, timeout=30).status_code == 401


def test_of_a_mixed_request_what_is_open_is_given_and_the_rest_is_named(guarded):
    answer = requests.get(f"{guarded.service('dataselect')}?net=BW", timeout=30)
    stream = obspy.read(io.BytesIO(answer.content))
    assert {t.stats.station for t in stream} == {"UH1", "UH2", "UH3", "UH4"}
    assert "BW.RJOB..EHZ" in answer.headers["x-kaname-refused"]
    # No record that reaches beyond the embargo.
    assert max(t.stats.endtime for t in stream if t.stats.station == "UH3") < obspy.UTCDateTime(
        2010, 5, 27, 16, 26
    )
    station = requests.get(f"{guarded.service('availability', 'extent')}", timeout=30).text
    assert "RJOB" not in station
    listed = requests.get(f"{guarded.service('availability', 'extent')}?includerestricted=true", timeout=30)
    assert "RESTRICTED" in listed.text
    wave = f"{guarded.url}/waveform.json?id=BW.RJOB..EHZ&start=2009-08-24T00:20:05&end=2009-08-24T00:20:06"
    assert requests.get(wave, timeout=30).status_code == 403


def test_the_command_serves_with_a_worker_for_each_core_and_seedlink(copied, station_file):
    import re
    import subprocess
    import sys

    program = str(Path(sys.executable).with_name("kaname"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        seedlink = probe.getsockname()[1]
    words = [program, "serve", str(copied), "--stations", str(station_file), "--port", "0"]
    words += ["--seedlink", str(seedlink)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            url = re.search(r"http://\S+", line)[0]
            assert line.startswith("9 channels, 5 stations, 0 events at http://localhost:")
            answers = {
                requests.get(f"{url}/fdsnws/dataselect/1/query?{RJOB}&{DAY}", timeout=60).content
                for _ in range(4)
            }
            assert answers == {day_file(copied).read_bytes()}
            with socket.create_connection(("127.0.0.1", seedlink), timeout=30) as connection:
                connection.sendall(b"HELLO\r\n")
                assert connection.recv(1000).startswith(b"SeedLink")
        finally:
            process.terminate()
            assert process.wait(30) is not None


@pytest.mark.parametrize("named", [False, True])
def test_where_seedlink_keeps_its_ring(copied, tmp_path, named):
    from kaname.center.serving import bind, run
    from kaname.center.settings import Settings
    from kaname.core.errors import StorageError

    place = tmp_path / "state" if named else copied / ".seedlink"
    place.write_bytes(b"")  # no folder can be made here
    with bind("127.0.0.1", 0) as listening, pytest.raises(StorageError, match=f"{place}.*seedlink_state"):
        settings = Settings(seedlink_state=str(place) if named else "")
        run(copied, listening, settings=settings, workers=1, seedlink=("127.0.0.1", 0))


def test_an_index_that_is_made_anew_by_another_process_is_taken_up(copied, tmp_path):
    import subprocess
    import sys

    with running(copied) as served:
        at = f"{served.service('dataselect')}?{RJOB}&start=2009-08-24T00:20:05&end=2009-08-24T00:20:06"
        before = requests.get(at, timeout=30).content
        day_file(copied).rename(copied / "moved.mseed")
        program = str(Path(sys.executable).with_name("kaname"))
        subprocess.run(
            [program, "archive", "index", str(copied), "--rebuild"], check=True, capture_output=True
        )
        assert requests.get(at, timeout=30).content == before
