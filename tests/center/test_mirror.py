"""Copies over HTTP: what is served, to whom, and how a broken line is taken up."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
import requests
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from kaname.archive.access import Access
from kaname.archive.inventory import publish
from kaname.archive.mirror import mirror
from kaname.archive.store import Archive
from kaname.center.digest import Digest
from kaname.center.errors import ServiceError
from kaname.center.mirror import routes
from kaname.center.workers import Shared
from kaname.core.errors import StorageError
from kaname.core.waveform import Waveform
from kaname.formats.miniseed import write_miniseed

PASSWORD = "correct horse battery"


@contextmanager
def served(root, **options):
    """Serve an archive on loopback and yield the address of its mirror."""
    with Archive(root) as archive, socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        mounted = routes(archive, Access.load(root), **options)
        app = Starlette(routes=[Mount("/mirror", routes=mounted)])
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{sock.getsockname()[1]}/mirror"
        server.should_exit = True
        thread.join()


@pytest.fixture
def origin(tmp_path):
    root = tmp_path / "origin"
    root.mkdir()
    rng = np.random.default_rng(1)
    for network in ("XX", "YY"):
        data = rng.integers(-(2**30), 2**30, (1, 50_000)).astype(np.int32)
        block = Waveform(data, (f"{network}.AAA..HHZ",), np.datetime64("2021-03-14", "ns"), 100.0)
        write_miniseed([block], root / f"{network} #1.mseed")
    with Archive(root) as archive:
        publish(archive)
    return root


def files(root):
    return {p.name: p.read_bytes() for p in root.glob("*.mseed")}


def signed(root):
    with Archive(root) as archive:
        manifest, found = publish(archive, deep=True)
    assert not found.failures
    return manifest


KILLED = """
import os, sys
from kaname.archive import source
from kaname.archive.mirror import mirror

source.PIECE_BYTES = 4096
read = source.ServerSource.read

def dying(self, path, offset):
    for number, piece in enumerate(read(self, path, offset)):
        if number == 5 and path.startswith("YY"):
            os.kill(os.getpid(), 9)
        yield piece

source.ServerSource.read = dying
mirror(sys.argv[1], sys.argv[2])
"""


def test_three_sites_on_loopback_converge(origin, tmp_path):
    """One copy is corrupted, the other one is killed in the middle of a file."""
    first, second = tmp_path / "first", tmp_path / "second"
    with served(origin) as address:
        assert mirror(address, first).n_fetched == 2
        with served(first) as other:
            assert subprocess.run([sys.executable, "-c", KILLED, other, second]).returncode == -9
            assert "YY #1.mseed" not in files(second)
            data = bytearray((first / "XX #1.mseed").read_bytes())
            data[5000] ^= 255
            (first / "XX #1.mseed").write_bytes(data)
            report = mirror(other, second)
            assert report.n_byte < sum(map(len, files(origin).values()))  # it goes on where it was killed
            assert not {row["subject"] for row in report.failures} - {"XX #1.mseed"}
            assert mirror(address, first).n_fetched == 1
            assert not mirror(other, second).failures
    assert signed(origin).data == signed(first).data == signed(second).data
    assert files(origin) == files(first) == files(second)


def test_a_damaged_site_passes_nothing_on(origin, tmp_path):
    first = tmp_path / "first"
    mirror(origin, first)
    path = first / "XX #1.mseed"
    path.write_bytes(path.read_bytes()[:-512])
    with Archive(first) as archive:
        archive.index()
    with served(first) as address:
        report = mirror(address, tmp_path / "second")
    assert [row["subject"] for row in report.failures] == ["XX #1.mseed"]
    assert list(files(tmp_path / "second")) == ["YY #1.mseed"]


def test_ranges(origin):
    data = (origin / "XX #1.mseed").read_bytes()
    with served(origin) as address:
        url = f"{address}/files/XX%20%231.mseed"
        assert requests.get(url).content == data
        for asked, low, high in (
            ("0-", 0, None),
            ("512-", 512, None),
            ("10-19", 10, 20),
            ("5-99999999999", 5, None),
        ):
            answer = requests.get(url, headers={"Range": f"bytes={asked}"})
            assert answer.status_code == 206 and answer.content == data[low:high]
            assert answer.headers["Content-Range"].endswith(f"/{len(data)}")
        answer = requests.get(url, headers={"Range": f"bytes={len(data)}-"})
        assert answer.status_code == 416 and answer.content == b""
        assert requests.get(url, headers={"Range": "lines=3"}).content == data


@pytest.mark.parametrize(
    "path",
    [
        "../origin/access.toml",
        "%2e%2e/%2e%2e/etc/passwd",
        "/etc/passwd",
        ".mirror/signing.key",
        "access-users.json",
        "index.sqlite",
        "nothing",
        "",
    ],
)
def test_nothing_else_exists(origin, path):
    Access.load(origin).users.put("ann", PASSWORD, "Kaname")
    with served(origin) as address:
        request = requests.Request("GET", address).prepare()
        request.url = f"{address}/files/{path}"
        assert requests.Session().send(request).status_code == 404


def test_what_is_not_signed_is_not_served(origin, tmp_path):
    root = tmp_path / "unsigned"
    root.mkdir()
    (root / "a.mseed").write_bytes((origin / "XX #1.mseed").read_bytes())
    with Archive(root) as archive:
        archive.index()
    with served(root) as address:
        answer = requests.get(f"{address}/manifest")
        assert answer.status_code == 503 and "kaname archive manifest" in answer.text
        with pytest.raises(StorageError, match="not signed yet"):
            mirror(address, tmp_path / "copy", retry_s=0)


def test_a_file_that_changed_since_it_was_indexed_is_not_given(origin):
    with (origin / "XX #1.mseed").open("ab") as file:
        file.write(b"anything")
    with served(origin) as address:
        answer = requests.get(f"{address}/files/XX%20%231.mseed")
        assert answer.status_code == 409 and "has changed" in answer.text


def _basic(request, required):
    name = request.headers.get("x-user")
    if name is None and required:
        raise ServiceError(401, "who are you?", challenge="Test")
    return name


class TestAccess:
    @pytest.fixture
    def restricted(self, origin):
        (origin / "access.toml").write_text(
            'contact = "owner@example.org"\n[[rules]]\nid = "YY"\naccess = "group"\ngroups = ["team"]\n'
        )
        Access.load(origin).users.put("ann", PASSWORD, "Kaname", groups=["team"])
        with Archive(origin) as archive:
            publish(archive)
        return origin

    def test_what_is_refused_is_refused_to_a_copy(self, restricted, tmp_path, caplog):
        with served(restricted) as address:
            report = mirror(address, tmp_path / "copy")
        assert report.n_refused == 1 and list(files(tmp_path / "copy")) == ["XX #1.mseed"]
        (row,) = report.failures
        assert row["subject"] == "YY #1.mseed" and "owner@example.org" in row["message"]
        assert "kaname.access" in {record.name for record in caplog.records}
        assert (tmp_path / "copy" / "access.toml").exists()

    def test_who_may_read_it_gets_it(self, restricted):
        with served(restricted, user=_basic) as address:
            url = f"{address}/files/YY%20%231.mseed"
            assert requests.get(url).status_code == 401
            assert requests.get(url, headers={"x-user": "bob"}).status_code == 403
            answer = requests.get(url, headers={"x-user": "ann"})
            assert answer.content == (restricted / "YY #1.mseed").read_bytes()
            assert requests.get(f"{address}/files/XX%20%231.mseed").status_code == 200

    def test_a_copy_with_an_account_gets_all(self, restricted, tmp_path):
        who = Digest(Access.load(restricted), Shared())
        with served(restricted, user=who.asking) as address:
            report = mirror(address, tmp_path / "copy", user="ann", password=PASSWORD)
            assert not report.failures and files(tmp_path / "copy") == files(restricted)
            report = mirror(address, tmp_path / "other", user="ann", password="a wrong password")
            assert report.n_refused == 1 and list(files(tmp_path / "other")) == ["XX #1.mseed"]
            report = mirror(address, tmp_path / "nobody")
            assert report.n_refused == 1 and "401" in report.failures[0]["message"]
        assert signed(tmp_path / "copy").data == signed(restricted).data


def test_a_disk_that_breaks_off_never_gives_a_whole_answer(origin, monkeypatch):
    from kaname.center import mirror as module

    monkeypatch.setattr(module, "PIECE_BYTES", 1000)
    pread = module.os.pread

    def broken(descriptor, size, at):
        if at > 20_000:
            raise OSError(5, "input/output error")
        return pread(descriptor, size, at)

    monkeypatch.setattr(module.os, "pread", broken)
    with served(origin) as address, pytest.raises(requests.RequestException):
        _ = requests.get(f"{address}/files/XX%20%231.mseed").content
