"""Not a byte of what is restricted, by any door: every route, every way of asking, SeedLink, and copies.

The secret is known byte for byte: no piece of one of its records may be in any answer to somebody who may not
read it, nor in an answer a sample of it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
from itertools import product

import numpy as np
import pytest
import requests
from requests.auth import HTTPDigestAuth
from seedlink_lab import Plain
from seedlink_lab import running as seedlink
from starlette.routing import Mount, Route

from kaname.archive.access import Access
from kaname.archive.inventory import publish
from kaname.archive.store import Archive
from kaname.center.app import Center
from kaname.core.waveform import Waveform
from kaname.formats.miniseed import write_miniseed

from .conftest import running

START = np.datetime64("2021-03-14", "ns")
WINDOW = "start=2021-03-14T00:00:00&end=2021-03-14T01:00:00"
PASSWORD = "correct horse battery"


def noise(identifier: str, seed: int, start_s: int = 0) -> Waveform:
    samples = np.random.default_rng(seed).integers(-(2**30), 2**30, (1, 20_000)).astype(np.int32)
    return Waveform(samples, (identifier,), START + np.timedelta64(start_s, "s"), 100.0)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """An open network, one of a group, and a channel of which the second file is under embargo."""
    root = tmp_path_factory.mktemp("doors") / "archive"
    for folder, block in (
        ("open", noise("XX.AAA..HHZ", 1)),
        ("secret", noise("ZZ.SEC..HHZ", 2)),
        ("early", noise("XX.BBB..HHZ", 3)),
        ("late", noise("XX.BBB..HHZ", 4, 1000)),
    ):
        (root / folder).mkdir(parents=True)
        write_miniseed([block], root / folder / "a.mseed", record_length=512)
    (root / "access.toml").write_text(
        '[[rules]]\nid = "ZZ"\naccess = "group"\ngroups = ["team"]\nreason = "not yet"\n'
        '[[rules]]\nid = "XX.BBB"\naccess = "embargo"\nuntil = "2200-01-01"\nstart = "2021-03-14T00:10:00"\n'
    )
    access = Access.load(root)
    access.users.put("ann", PASSWORD, access.realm, groups=["team"])
    access.users.put("stranger", PASSWORD, access.realm)
    with Archive(root) as archive:
        archive.index()
        publish(archive)
    return root


@pytest.fixture(scope="module")
def secrets(root):
    """Pieces of every restricted record, 24 bytes from its middle on, and all restricted samples."""
    pieces, samples = set(), set()
    for folder, block in (("secret", noise("ZZ.SEC..HHZ", 2)), ("late", noise("XX.BBB..HHZ", 4, 1000))):
        data = (root / folder / "a.mseed").read_bytes()
        pieces |= {data[at + 200 : at + 224] for at in range(0, len(data), 512)}
        samples |= set(block.data[0].tolist())
    return pieces, samples


@pytest.fixture(scope="module")
def served(root):
    with running(root) as served:
        yield served


def leaks(body: bytes, secrets) -> bool:
    pieces, samples = secrets
    if any(piece in body for piece in pieces):
        return True
    return any(int(number) in samples for number in re.findall(rb"-?\d{7,}", body))


def test_the_test_would_see_a_leak(root, secrets):
    assert leaks((root / "secret" / "a.mseed").read_bytes()[700:1400], secrets)
    assert leaks(json.dumps(noise("ZZ.SEC..HHZ", 2).data[0][500:502].tolist()).encode(), secrets)
    assert not leaks((root / "open" / "a.mseed").read_bytes(), secrets)


CODES = ("net=ZZ", "net=*&sta=SEC", "net=ZZ&sta=SEC&loc=--&cha=HHZ", "net=XX&sta=BBB", "")
FORMS = ("", "&format=miniseed3", "&format=miniseed2", "&quality=D", "&minimumlength=1", "&longestonly=true")
WINDOWS = ("", f"&{WINDOW}", "&start=2021-03-14T00:16:41&end=2021-03-14T00:16:42")


@pytest.mark.parametrize("who", [None, "stranger"])
def test_waveforms(served, secrets, who):
    with requests.Session() as session:
        if who:
            session.auth = HTTPDigestAuth(who, PASSWORD)
        at = served.service("dataselect", "queryauth" if who else "query")
        n_given = 0
        for codes, form, window in product(CODES, FORMS, WINDOWS):
            answer = session.get(f"{at}?{(codes + form + window).lstrip('&')}", timeout=30)
            assert answer.status_code in (200, 204, 403), answer.text
            assert not leaks(answer.content, secrets), (codes, form, window)
            n_given += answer.status_code == 200
        assert n_given  # the open part of mixed requests
        lines = "ZZ SEC -- HHZ * *\nXX * -- * 2021-03-14T00:16:00 2021-03-14T00:30:00\nXX AAA * * * *\n"
        for head in ("", "minimumlength=1\n", "format=miniseed3\n", "quality=D,R,Q,M\n"):
            answer = session.post(at, data=head + lines, timeout=30)
            assert answer.status_code == 200
            assert answer.content and not leaks(answer.content, secrets)


def test_who_may_gets_all_of_it(served, secrets, root):
    at = served.service("dataselect", "queryauth")
    answer = requests.get(f"{at}?net=ZZ", auth=HTTPDigestAuth("ann", PASSWORD), timeout=30)
    assert answer.content == (root / "secret" / "a.mseed").read_bytes()
    assert leaks(answer.content, secrets)


def test_every_other_door(served, secrets):
    """Every route of the application is opened, so that a new one must be thought of here."""
    opened = {
        "/": [""],
        "/center.json": [""],
        "/stations.json": [""],
        "/availability.json": [""],
        "/events.json": [""],
        "/coastlines.json": [""],
        "/waveform.json": [
            f"?id={name}&{window}&points={points}"
            for name in ("ZZ.SEC..HHZ", "XX.BBB..HHZ", "ZZ.*.*.*", "*.*.*.*")
            for window in (WINDOW, "start=2021-03-14T00:16:41&end=2021-03-14T00:16:42")
            for points in (1, 4000)
        ],
        "/mirror/manifest": [""],
        "/mirror/files/{path:path}": [],
        **{f"/static/{name}": [""] for name in ("center.css", "center.js", "texts.js")},
    }
    for name in ("station", "event", "availability", "dataselect"):
        opened |= {f"/fdsnws/{name}/1/{rest}": [""] for rest in ("", "version", "application.wadl", "query")}
    opened |= {f"/fdsnws/event/1/{rest}": [""] for rest in ("catalogs", "contributors")}
    opened |= {f"/fdsnws/availability/1/{rest}": ["?includerestricted=true"] for rest in ("query", "extent")}
    opened["/fdsnws/station/1/query"] = [f"?level=channel&format={form}" for form in ("xml", "text")]
    opened["/fdsnws/dataselect/1/queryauth"] = ["", "?net=ZZ"]
    opened["/mirror/files/{path:path}"] = []

    def paths(routes, at=""):
        for route in routes:
            if isinstance(route, Mount):
                yield from paths(route.routes, at + route.path)
            else:
                assert isinstance(route, Route)
                yield at + route.path

    known = set(paths(Center(served.holdings).application().routes))
    assert known == set(opened), known ^ set(opened)
    for path, queries in opened.items():
        for query, method in product(queries, ("GET", "HEAD", "POST", "OPTIONS")):
            answer = requests.request(method, f"{served.url}{path}{query}", timeout=30)
            assert answer.status_code < 500, (path, query, answer.text)
            assert not leaks(answer.content, secrets), (method, path, query)
    for file, span in product(("secret", "late"), ("bytes=0-", "bytes=100-600", "bytes=512-", "")):
        for auth in (None, HTTPDigestAuth("stranger", PASSWORD)):
            address = f"{served.url}/mirror/files/{file}/a.mseed"
            answer = requests.get(address, headers={"Range": span} if span else {}, auth=auth, timeout=30)
            assert answer.status_code in (401, 403)
            assert not leaks(answer.content, secrets)


TRICKS = [
    "../archive/secret/a.mseed",
    "open/../secret/a.mseed",
    "open/%2e%2e/secret/a.mseed",
    "open%2f..%2fsecret%2fa.mseed",
    "./secret/a.mseed",
    "secret//a.mseed",
    "//secret/a.mseed",
    "secret/a.mseed%00",
    "secret/a.mseed/",
    "%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/etc/passwd",
    "access-users.json",
    ".seedlink/seedlink.sqlite",
    ".kaname/index.sqlite",
]


@pytest.mark.parametrize("trick", TRICKS)
@pytest.mark.parametrize("at", ["/mirror/files/", "/static/", "/", "/fdsnws/dataselect/1/query/"])
def test_no_path_leads_in_or_out(served, secrets, at, trick):
    host, port = served.url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    connection.request("GET", at + trick)  # as it is: requests would tidy it up
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status in (401, 403, 404), body
    assert b"root:" not in body and b"scrypt" not in body and not leaks(body, secrets)
    connection.close()


def test_seedlink(root, secrets, tmp_path):
    """Version 3 and 4, from the ring and from the archive, data and INFO."""
    more = {name: (root / name / "a.mseed").read_bytes() for name in ("open", "secret", "late")}
    with Archive(root) as archive, seedlink(tmp_path, archive=archive, access=Access.load(root)) as server:
        server.publish(*more.values())
        span = "2021,3,14,0,0,0 2021,3,14,1,0,0"
        third = product(("STATION SEC ZZ", "STATION BBB XX", "STATION * *", ""), ("FETCH", f"TIME {span}"))
        fourth = product(("STATION ZZ_SEC", "STATION XX_BBB", "STATION *_*"), ("DATA ALL", "DATA 0"))
        n_given = 0
        for commands in (
            *([*pair, "END"] for pair in third),
            *(["SLPROTO 4.0", *pair, "ENDFETCH"] for pair in fourth),
        ):
            with Plain(server.port) as client:
                for command in commands:
                    client.say(command)
                got = everything(client)
            assert not leaks(got, secrets), commands
            n_given += len(got) > 512
        assert n_given >= 4
        with Plain(server.port) as client:
            assert "SEC" not in client.info_3("ALL") + client.info_3("STREAMS") + client.info_3("GAPS")


def everything(client: Plain) -> bytes:
    """Return all that comes until END, the end of the line, or silence."""
    got = b""
    client.socket.settimeout(0.5)
    with contextlib.suppress(OSError):
        while not got.endswith(b"END") and (piece := client.socket.recv(1 << 20)):
            got += piece
    return got
