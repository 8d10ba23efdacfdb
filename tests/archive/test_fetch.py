"""Fetching from small local servers that misbehave as real ones do."""

from __future__ import annotations

import sys
import threading
import time
import types
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import CalledProcessError
from urllib.parse import parse_qs, urlsplit
from zipfile import BadZipFile

import numpy as np
import pytest

from kaname.archive.fetch import days, fetch
from kaname.archive.fetch_fdsn import Fdsn
from kaname.archive.fetch_hinet import Hinet
from kaname.archive.fetch_http import FetchError, Patience, Server, login_of
from kaname.archive.fetch_s3 import BUCKETS, Bucket, _key, s3_pieces
from kaname.archive.lock import exclusive
from kaname.archive.store import Archive
from kaname.cli import main
from kaname.core.errors import FormatError, InputError, MissingDependencyError, StorageError
from kaname.core.time import as_time, isoformat
from kaname.core.waveform import Waveform
from kaname.formats.miniseed import pack
from kaname.formats.win_writer import write_win

START, END = as_time("2020-01-01"), as_time("2020-01-03")
HASTY = Patience(tries=4, pause_s=0.01, longest_s=5, timeout_s=5)
CHANNELS = ("XX.AAA..HHZ", "XX.AAA..HHN", "XX.BBB.00.HHZ")

Answer = tuple[int, dict[str, str], bytes, int]
"""Status, headers, content, and how many bytes of it are sent before the line is cut (-1: all)."""


def ok(content: bytes, **headers: str) -> Answer:
    return 200, headers, content, -1


def records(identifier: str, low: np.datetime64, high: np.datetime64) -> bytes:
    """One sample per ten seconds that counts them since 1970."""
    first = int(low.astype("int64")) // 10**10
    n = (int(high.astype("int64")) // 10**10) - first
    samples = (first + np.arange(n, dtype="int32"))[np.newaxis]
    return b"".join(pack(Waveform(samples, (identifier,), np.datetime64(first * 10**10, "ns"), 0.1)))


class Local:
    """A server whose answers a test decides."""

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[str], Answer]] = {}
        self.asked: list[tuple[str, str]] = []
        local = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                local.asked.append((self.path, body))
                path = urlsplit(self.path).path
                names = [name for name in local.answers if path.startswith(name)]
                if not names:
                    status, headers, content, sent = 404, {}, b"", -1
                else:
                    text = body if self.command == "POST" else urlsplit(self.path).query or path
                    status, headers, content, sent = local.answers[max(names, key=len)](text)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                if "Transfer_Encoding" not in headers:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content if sent < 0 else content[:sent])
                if sent >= 0:
                    self.close_connection = True

            do_GET = do_POST = _serve

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def count(self, part: str) -> int:
        return sum(part in path for path, _ in self.asked)


@pytest.fixture
def local() -> Iterator[Local]:
    made = Local()
    yield made
    made.server.shutdown()
    made.server.server_close()


def station_text(body: str) -> Answer:
    lines = ["#Network | Station | Location | Channel | Latitude | ..."]
    for name in CHANNELS:
        codes = "|".join(name.split("."))
        lines.append(f"{codes}|35|139|0|0|0|0|s|1|1|m/s|100|2000-01-01T00:00:00|2599-12-31T23:59:59")
    lines.append("XX|OLD||HHZ|35|139|0|0|0|0|s|1|1|m/s|100|2000-01-01T00:00:00|2001-01-01T00:00:00")
    return ok("\n".join(lines).encode())


def dataselect(body: str) -> Answer:
    content = b""
    for line in body.splitlines():
        network, station, location, channel, low, high = line.split()
        name = f"{network}.{station}.{location.strip('-')}.{channel}"
        if not (station == "BBB" and low.startswith("2020-01-02")):
            content += records(name, as_time(low), as_time(high))
    return ok(content) if content else (204, {}, b"", -1)


def serve_fdsn(local: Local, select: Callable[[str], Answer] = dataselect) -> Fdsn:
    local.answers["/fdsnws/station/1/query"] = station_text
    local.answers["/fdsnws/dataselect/1/query"] = select
    return Fdsn(local.url, Server(HASTY))


def one_after_another(*first: Answer, then: Callable[[str], Answer] = dataselect) -> Callable[[str], Answer]:
    """Give these answers first, then answer as one should."""
    queue = list(first)
    return lambda text: queue.pop(0) if queue else then(text)


def contents(archive: Archive) -> dict[str, int]:
    found: Counter[str] = Counter()
    for block in archive.read().blocks:
        first = int(block.start.astype("int64")) // 10**10
        np.testing.assert_array_equal(block.data[0], first + np.arange(block.n_sample))
        found[block.ids[0]] += block.n_sample
    return dict(found)


WHOLE = {"XX.AAA..HHN": 17280, "XX.AAA..HHZ": 17280, "XX.BBB.00.HHZ": 8640}


def run(centre: Fdsn, folder: Path, **more: object):
    pieces = centre.pieces(["XX.*.*.HH?"], START, END)
    with Archive(folder) as archive:
        report = fetch(pieces, archive, **more)  # type: ignore[arg-type]
        return report, contents(archive) if report.n_data or report.n_before else {}


def test_all_channels_and_days_come_once(local, tmp_path) -> None:
    centre = serve_fdsn(local)
    report, found = run(centre, tmp_path)
    assert found == WHOLE and not report.failures
    assert (report.n_piece, report.n_data, report.n_nodata) == (4, 3, 1)
    assert local.count("dataselect") == 4
    assert not any("OLD" in body for _, body in local.asked)
    assert "XX BBB 00 HHZ 2020-01-01T00:00:00.000000 2020-01-02T00:00:00.000000" in local.asked[-1][
        1
    ] + "".join(body for _, body in local.asked)
    again, found = run(centre, tmp_path)
    assert (again.n_before, again.n_data, local.count("dataselect")) == (4, 0, 4)
    more, _ = run(centre, tmp_path, again=True)
    assert (more.n_nodata, local.count("dataselect")) == (1, 5)


TRUNCATED = records("XX.AAA..HHN", START, as_time("2020-01-02"))


@pytest.mark.parametrize(
    "bad",
    [
        (200, {}, TRUNCATED, 700),
        (200, {}, TRUNCATED, 0),
        ok(TRUNCATED[:-100]),
        ok(TRUNCATED + b"\nError: lost the disk\n"),
        ok(b""),
        ok(b"<html>maintenance</html>"),
        (500, {}, b"oops", -1),
        (503, {}, b"busy", -1),
        (502, {}, b"proxy", -1),
        (429, {"Retry_After": "0"}, b"slow down", -1),
        (200, {"Transfer_Encoding": "chunked"}, b"400\r\n" + TRUNCATED[:512], 517),
    ],
    ids=[
        "cut",
        "cut at once",
        "truncated",
        "error at the end",
        "empty",
        "html",
        "500",
        "503",
        "502",
        "429",
        "chunk",
    ],
)
def test_what_goes_wrong_is_asked_again_and_nothing_partial_is_kept(local, tmp_path, bad) -> None:
    report, found = run(serve_fdsn(local, one_after_another(bad, bad)), tmp_path, threads=1)
    assert found == WHOLE and not report.failures
    assert local.count("dataselect") == 6


def test_a_server_that_goes_on_failing_is_a_failure_and_the_next_run_tries_again(local, tmp_path) -> None:
    def half(body: str) -> Answer:
        return (500, {}, b"broken disk", -1) if " AAA " in body else dataselect(body)

    report, found = run(serve_fdsn(local, half), tmp_path)
    assert found == {"XX.BBB.00.HHZ": 8640}
    assert len(report.failures) == 2
    assert "asked 4 times" in report.failures[0]["message"] and "broken disk" in report.failures[0]["message"]
    assert report.failures[0]["subject"].startswith("XX.AAA 2020-01-0")
    local.answers["/fdsnws/dataselect/1/query"] = dataselect
    report, found = run(Fdsn(local.url, Server(HASTY)), tmp_path)
    assert found == WHOLE and report.n_before == 2 and report.n_data == 2


@pytest.mark.parametrize(("code", "advice"), [(403, "restricted"), (413, "--hours"), (400, "bad line")])
def test_a_refusal_is_not_asked_again(local, tmp_path, code, advice) -> None:
    report, _ = run(serve_fdsn(local, lambda body: (code, {}, b"bad line", -1)), tmp_path)
    assert len(report.failures) == 4 and local.count("dataselect") == 4
    assert advice in report.failures[0]["message"]


@pytest.mark.parametrize("dated", [False, True])
def test_retry_after_holds_all_requests_back(local, tmp_path, dated) -> None:
    wait = formatdate(time.time() + 2, usegmt=True) if dated else "1"
    busy = one_after_another((429, {"Retry_After": wait}, b"", -1))
    began = time.monotonic()
    report, found = run(serve_fdsn(local, busy), tmp_path, threads=1)
    assert found == WHOLE and not report.failures
    assert time.monotonic() - began > 0.9


def test_a_wait_of_hours_is_for_the_next_run(local, tmp_path) -> None:
    report, _ = run(serve_fdsn(local, lambda body: (429, {"Retry_After": "7200"}, b"", -1)), tmp_path)
    assert "wait 7200 s" in report.failures[0]["message"] and local.count("dataselect") == 4


def test_nobody_listens(tmp_path) -> None:
    with pytest.raises(FetchError, match="the line failed"):
        Fdsn("http://127.0.0.1:9", Server(HASTY)).pieces(["XX.*.*.*"], START, END)
    with pytest.raises(InputError, match="GEOFON"):
        Fdsn("NOWHERE", Server(HASTY))


def test_a_station_service_that_answers_something_else(local) -> None:
    centre = serve_fdsn(local)
    local.answers["/fdsnws/station/1/query"] = lambda body: ok(b"<html>hello</html>")
    with pytest.raises(FormatError, match="expected 17"):
        centre.pieces(["XX.*.*.*"], START, END)
    local.answers["/fdsnws/station/1/query"] = lambda body: (204, {}, b"", -1)
    assert centre.pieces(["XX.*.*.*"], START, END) == []
    with pytest.raises(InputError, match=r"NET\.STA"):
        centre.pieces(["XX"], START, END)


def test_samples_already_there_are_not_stored_twice(local, tmp_path) -> None:
    centre = serve_fdsn(local)
    run(centre, tmp_path)
    with Archive(tmp_path) as archive:
        report = fetch(centre.pieces(["XX.*.*.HH?"], START, END, hours=12), archive)
        assert report.n_stored == 0 and report.n_data == 6
        assert contents(archive) == WHOLE


def test_the_command_line(local, tmp_path, capsys) -> None:
    serve_fdsn(local)
    words = ["fetch", "fdsn", str(tmp_path / "a"), "XX.*.*.HHZ", "--url", local.url]
    words += ["--start", "2020-01-01", "--end", "2020-01-02", "--pause", "0"]
    assert main([*words, "--json"]) == 0
    assert '"data": 2' in capsys.readouterr().out
    local.answers["/fdsnws/dataselect/1/query"] = lambda body: (500, {}, b"", -1)
    words[words.index("2020-01-02")] = "2020-01-02T12:00:00"
    assert main(words) == 3
    assert main([*words, "--restricted"]) == 2


def test_a_login_answers_the_challenge(local, tmp_path) -> None:
    seen: list[str] = []
    centre = Fdsn(local.url, Server(HASTY, ("ada", "secret")))
    local.answers["/fdsnws/station/1/query"] = station_text

    def guarded(body: str) -> Answer:
        seen.append(body)
        if len(seen) == 1:
            challenge = 'Digest realm="FDSN", nonce="1", qop="auth", algorithm=MD5'
            return 401, {"WWW_Authenticate": challenge}, b"", -1
        return dataselect(body)

    local.answers["/fdsnws/dataselect/1/queryauth"] = guarded
    report, found = run(centre, tmp_path, threads=1)
    assert found == WHOLE and not report.failures


def test_logins_come_from_the_environment_or_the_keyring(monkeypatch) -> None:
    monkeypatch.delenv("KANAME_FDSN_USER", raising=False)
    assert login_of("fdsn") is None
    monkeypatch.setenv("KANAME_FDSN_USER", "ada")
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(InputError, match="keyring set kaname-fdsn ada"):
        login_of("fdsn")
    ring = types.SimpleNamespace(get_password=lambda service, user: f"{service}/{user}")
    monkeypatch.setitem(sys.modules, "keyring", ring)
    assert login_of("fdsn") == ("ada", "kaname-fdsn/ada")
    monkeypatch.setenv("KANAME_FDSN_PASSWORD", "pw")
    assert login_of("fdsn") == ("ada", "pw")


XML = b"<?xml version='1.0'?><q:quakeml xmlns:q='http://quakeml.org/xmlns/quakeml/1.2'></q:quakeml>"


def test_events_are_halved_until_the_service_gives_them(local, tmp_path) -> None:
    def service(query: str) -> Answer:
        given = {k: v[0] for k, v in parse_qs(query).items()}
        low, high = as_time(given["starttime"]), as_time(given["endtime"])
        if high - low > np.timedelta64(13, "h"):
            return 413, {}, b"too many", -1
        assert given["minmagnitude"] == "3"
        return (204, {}, b"", -1) if low == START else ok(XML)

    local.answers["/fdsnws/event/1/query"] = service
    words = [
        "fetch",
        "events",
        str(tmp_path),
        "--start",
        "2020-01-01",
        "--end",
        "2020-01-03",
        "--url",
        local.url,
    ]
    words += ["--with", "minmagnitude=3", "--pause", "0"]
    assert main(words) == 0
    assert len(list(tmp_path.glob("*.xml"))) == 3
    n = len(local.asked)
    assert main(words) == 0
    assert len(local.asked) - n == 4  # what was too large is asked again, what is there is not
    assert main([*words, "--with", "magnitude"]) == 2


def test_stations_are_whole_xml(local, tmp_path) -> None:
    whole = b"<FDSNStationXML>" + b"<a/>" * 100 + b"</FDSNStationXML>"
    local.answers["/fdsnws/station/1/query"] = one_after_another(ok(whole[:-9]), then=lambda body: ok(whole))
    out = tmp_path / "s.xml"
    words = ["fetch", "stations", str(out), "XX.*.*.*", "--start", "2020-01-01", "--end", "2020-01-02"]
    words += ["--url", local.url, "--pause", "0"]
    assert main(words) == 0 and out.read_bytes() == whole
    assert main(words) == 2
    local.answers["/fdsnws/station/1/query"] = lambda body: (204, {}, b"", -1)
    assert main([*words, "--overwrite"]) == 1 and out.read_bytes() == whole


class TestS3:
    def serve(self, local: Local, objects: dict[str, bytes], page: int = 2) -> Bucket:
        def answer(text: str) -> Answer:
            if not text.startswith("/"):
                given = {k: v[0] for k, v in parse_qs(text).items()}
                keys = sorted(k for k in objects if k.startswith(given["prefix"]))
                at = int(given.get("continuation-token", 0))
                items = "".join(
                    f"<Contents><Key>{k}</Key><ETag>{len(objects[k])}</ETag></Contents>"
                    for k in keys[at : at + page]
                )
                more = (
                    f"<NextContinuationToken>{at + page}</NextContinuationToken>"
                    if at + page < len(keys)
                    else ""
                )
                space = "http://s3.amazonaws.com/doc/2006-03-01/"
                return ok(f'<ListBucketResult xmlns="{space}">{items}{more}</ListBucketResult>'.encode())
            key = text[1:].replace("%23", "#")
            return ok(objects[key]) if key in objects else (404, {}, b"", -1)

        local.answers["/"] = answer
        return Bucket(local.url, BUCKETS["earthscope"].layout)

    def test_days_stations_channels(self, local, tmp_path) -> None:
        objects = {}
        for doy, day in (("001", "2020-01-01"), ("002", "2020-01-02")):
            low = as_time(day)
            for station in ("AAA", "AAB", "AAC", "BBB"):
                channels = ("HHZ", "HHN", "LHZ")
                key = f"miniseed/XX/2020/{doy}/{station}.XX.2020.{doy}" + ("#2" if station == "AAB" else "")
                objects[key] = b"".join(
                    records(f"XX.{station}..{c}", low, low + np.timedelta64(1, "D")) for c in channels
                )
        bucket = self.serve(local, objects)
        pieces = s3_pieces(bucket, Server(HASTY), ["XX.AA?.*.HH?"], as_time("2020-01-01T12:00"), END)
        assert len(pieces) == 6
        with Archive(tmp_path) as archive:
            report = fetch(pieces, archive)
            found = contents(archive)
        assert not report.failures and report.n_data == 6
        assert set(found) == {f"XX.{s}..{c}" for s in ("AAA", "AAB", "AAC") for c in ("HHZ", "HHN")}
        # Whole records that touch the time wanted.
        assert all(8640 + 4320 <= n < 8640 + 4320 + 800 for n in found.values())
        n = len(local.asked)
        with Archive(tmp_path) as archive:
            assert (
                fetch(s3_pieces(bucket, Server(HASTY), ["XX.AA?.*.HH?"], START, END), archive).n_before == 3
            )
        assert local.count("/miniseed/") > 0 and len(local.asked) > n

    def test_keys_of_the_known_buckets(self) -> None:
        day = as_time("2020-02-01")
        prefix, pattern = _key(BUCKETS["scedc"].layout, "CI.ABL..BHE", day)
        assert prefix == "continuous_waveforms/2020/2020_032/CIABL__BHE___2020032.ms" and pattern.match(
            prefix
        )
        prefix, pattern = _key(BUCKETS["scedc"].layout, "CI.A*.*.BH?", day)
        assert prefix == "continuous_waveforms/2020/2020_032/CI"
        assert pattern.match("continuous_waveforms/2020/2020_032/CIABL__BHE___2020032.ms")
        prefix, _ = _key(BUCKETS["ncedc"].layout, "BK.CMB.00.BHZ", day)
        assert prefix == "continuous_waveforms/BK/2020/2020.032/CMB.BK.BHZ.00.D.2020.032"
        with pytest.raises(InputError, match="known are network"):
            _key("{net}/x", "BK.CMB.00.BHZ", day)

    def test_what_is_no_bucket(self, local) -> None:
        local.answers["/"] = lambda text: ok(b"<html></html>")
        with pytest.raises(FetchError, match="list of objects"):
            s3_pieces(Bucket(local.url, "{network}"), Server(HASTY), ["XX.A..Z"], START, END)
        assert (
            main(["fetch", "s3", "x", "XX.A..Z", "--start", "2020", "--end", "2021", "--bucket", "nowhere"])
            == 2
        )


TABLE = "0001 1 0 N.AAKH U 6 27 175.60 m/s 1.00 0.70 0 1.023e-07 36.3726 137.9203 483 0 0\n"


class FakeHinet:
    """Answers as HinetPy's client does, in WIN32 and Japan Standard Time."""

    def __init__(self, stations: int) -> None:
        self.stations = [types.SimpleNamespace(name=f"N.S{i:03d}H") for i in range(stations)]
        self.asked: list[tuple[datetime, int]] = []
        self.fail: Exception | None = None

    def get_selected_stations(self, code: str) -> list[types.SimpleNamespace]:
        return self.stations

    def select_stations(self, code: str, stations: list[str]) -> None:
        self.stations = [types.SimpleNamespace(name=s) for s in stations]

    def get_continuous_waveform(self, code, start, span, *, max_span, data, ctable, threads):
        self.asked.append((start, span))
        assert 3 * len(self.stations) * span <= 12_000 and span <= max_span <= 60 and threads == 1
        if self.fail:
            raise self.fail
        utc = np.datetime64(start - timedelta(hours=9), "ns")
        samples = np.arange(span * 60 * 100, dtype="int32")[np.newaxis]
        wave = Waveform(samples, ("0101.0001..HY1",), utc, 100.0)
        write_win([wave], data)
        Path(ctable).write_text(TABLE)
        return data, ctable


class TestHinet:
    @pytest.fixture(autouse=True)
    def package(self, monkeypatch) -> None:
        known = {"0101": types.SimpleNamespace(channels=2400), "0201": types.SimpleNamespace(channels=30)}
        known["0103"] = types.SimpleNamespace(channels=438)
        monkeypatch.setitem(sys.modules, "HinetPy", types.SimpleNamespace(Client=None))
        monkeypatch.setitem(sys.modules, "HinetPy.header", types.SimpleNamespace(NETWORK=known))

    def test_requests_stay_within_the_rule_and_land_in_utc(self, tmp_path) -> None:
        client = FakeHinet(800)  # 2400 channels: five minutes
        low, high = as_time("2020-01-01T00:00"), as_time("2020-01-01T00:12")
        pieces = Hinet(client).pieces("0101", low, high)
        with Archive(tmp_path) as archive:
            report = fetch(pieces, archive, threads=1)
            (identifier,) = archive.channels()
            blocks = archive.read().blocks
        assert [span for _, span in client.asked] == [5, 5, 2]
        assert client.asked[0][0] == datetime(2020, 1, 1, 9, 0)
        assert not report.failures and identifier.split(".")[1] == "AAKH"
        assert isoformat(min(b.start for b in blocks)) == "2020-01-01T00:00:00.000000Z"
        assert sum(b.n_sample for b in blocks) == 12 * 60 * 100

    def test_an_interrupted_run_goes_on(self, tmp_path) -> None:
        client = FakeHinet(800)
        low, high = as_time("2020-01-01T00:00"), as_time("2020-01-01T00:12")
        client.fail = ConnectionError("NIED is down")
        with Archive(tmp_path) as archive:
            report = fetch(Hinet(client).pieces("0101", low, high), archive, threads=1)
            assert len(report.failures) == 3 and "NIED is down" in report.failures[0]["message"]
            for client.fail in (BadZipFile("a page"), CalledProcessError(1, "catwin32")):
                assert len(fetch(Hinet(client).pieces("0101", low, high), archive, threads=1).failures) == 3
            client.fail = None
            assert fetch(Hinet(client).pieces("0101", low, high), archive, threads=1).n_data == 3
            n = len(client.asked)
            assert fetch(Hinet(client).pieces("0101", low, high), archive, threads=1).n_before == 3
        assert len(client.asked) == n

    def test_few_stations_an_hour_at_a_time(self) -> None:
        client = FakeHinet(800)
        pieces = Hinet(client).pieces("0101", START, END, stations=["N.AAKH"])
        assert len(pieces) == 48 and [s.name for s in client.stations] == ["N.AAKH"]
        with pytest.raises(InputError, match="not of 0201"):
            Hinet(client).pieces("0201", START, END, stations=["N.AAKH"])
        with pytest.raises(InputError, match="known are 0101, 0103, 0201"):
            Hinet(client).pieces("9999", START, END)
        with pytest.raises(InputError, match="whole minutes"):
            Hinet(client).pieces("0101", as_time("2020-01-01T00:00:30"), END)

    def test_fnet_has_a_rule_of_its_own(self) -> None:
        pieces = Hinet(FakeHinet(146)).pieces("0103", START, START + np.timedelta64(1, "h"))
        assert len(pieces) == 5  # 438 channels: 14 minutes, as HinetPy reckons for files of 55 MB

    def test_without_package_or_account(self, monkeypatch) -> None:
        monkeypatch.delenv("KANAME_HINET_USER", raising=False)
        with pytest.raises(InputError, match="KANAME_HINET_USER"):
            Hinet()
        monkeypatch.setenv("KANAME_HINET_USER", "ada")
        monkeypatch.setenv("KANAME_HINET_PASSWORD", "pw")
        monkeypatch.setenv("PATH", "")
        with pytest.raises(MissingDependencyError, match="win32tools"):
            Hinet()
        monkeypatch.setitem(sys.modules, "HinetPy", None)
        with pytest.raises(MissingDependencyError, match="pip install HinetPy"):
            Hinet()


def test_stretches_of_time() -> None:
    found = list(days(as_time("2020-01-01T05:00"), as_time("2020-01-02T01:00"), 12))
    assert [isoformat(t, decimals=0)[8:13] for pair in found for t in pair] == [
        "01T05",
        "01T12",
        "01T12",
        "02T00",
        "02T00",
        "02T01",
    ]
    with pytest.raises(InputError, match="empty"):
        next(days(END, START, 1))
    with pytest.raises(InputError, match="hours"):
        next(days(START, END, 0))


def test_one_fetch_at_a_time_and_what_a_killed_one_left_goes(local, tmp_path) -> None:
    (tmp_path / ".kaname-fetch-dead").mkdir()
    with (
        exclusive(tmp_path / ".kaname-fetch.lock", wait_s=0),
        pytest.raises(StorageError, match="another process"),
    ):
        fetch([], Archive(tmp_path))
    _, found = run(serve_fdsn(local), tmp_path)
    assert found == WHOLE and not list(tmp_path.glob(".kaname-fetch-*"))


def test_threads_must_be(tmp_path) -> None:
    with pytest.raises(InputError, match="threads"):
        fetch([], Archive(tmp_path), threads=0)
