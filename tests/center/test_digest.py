"""The dialogue for a password, and what all worker processes share."""

from __future__ import annotations

from multiprocessing import get_context

import pytest
from requests.auth import HTTPDigestAuth
from starlette.requests import Request

from kaname.archive.access import Access
from kaname.center.digest import Digest
from kaname.center.errors import ServiceError
from kaname.center.limits import Bucket, neighbourhood
from kaname.center.workers import Numbers, Shared


@pytest.mark.parametrize("nonce", ["", "-", "zz-1", "f" * 400 + "-0", "-1-0", "0-0", "\x00-é"])
def test_a_foreign_nonce_is_not_fresh(tmp_path, nonce):
    assert not Digest(Access.load(tmp_path), Shared()).is_fresh(nonce)


class TestAnswers:
    @pytest.fixture
    def digest(self, tmp_path):
        access = Access.load(tmp_path)
        access.users.put("ann", "a good password", access.realm)
        return Digest(access, Shared())

    def ask(self, digest, header):
        scope = {"type": "http", "method": "GET", "path": "/a", "raw_path": b"/a", "query_string": b""}
        headers = [(b"authorization", header.encode())] if header else []
        return digest.asking(Request({**scope, "headers": headers}), True)

    def client(self, digest):
        """Return the client of requests, challenged, an independent implementation."""
        with pytest.raises(ServiceError) as refused:
            self.ask(digest, "")
        client = HTTPDigestAuth("ann", "a good password")
        client.init_per_thread_state()
        text = refused.value.challenge.removeprefix("Digest ")
        client._thread_local.chal = dict(
            part.replace('"', "").split("=", 1) for part in text.replace(", ", ",").split(",")
        )
        return client

    def test_one_nonce_serves_many_requests_and_none_twice(self, digest):
        client = self.client(digest)
        headers = [client.build_digest_header("GET", "http://x/a") for _ in range(3)]
        assert [self.ask(digest, header) for header in headers] == ["ann"] * 3
        for overheard in headers:
            with pytest.raises(ServiceError) as refused:
                self.ask(digest, overheard)
            assert refused.value.status == 401
            assert "stale=true" in refused.value.challenge  # an honest client asks anew by itself

    @pytest.mark.parametrize(
        ("old", "new"), [("nc=00000001", "nc=1"), ("nc=00000001", "nc=00000002"), ('qop="auth"', "x=y")]
    )
    def test_an_answer_that_was_changed_proves_nothing(self, digest, old, new):
        header = self.client(digest).build_digest_header("GET", "http://x/a")
        assert old in header
        with pytest.raises(ServiceError) as refused:
            self.ask(digest, header.replace(old, new))
        assert "stale" not in refused.value.challenge


def test_an_address_waits_when_its_burst_is_spent():
    bucket = Bucket(2.0, 4, Numbers())
    assert [bucket.wait_s("192.0.2.1", 100.0) for _ in range(4)] == [0.0] * 4
    assert bucket.wait_s("192.0.2.1", 100.0) == pytest.approx(0.5)
    assert bucket.wait_s("192.0.2.2", 100.0) == 0.0
    assert bucket.wait_s("192.0.2.1", 100.5) == 0.0
    assert bucket.wait_s("192.0.2.1", 100.6) == pytest.approx(0.4)
    assert [bucket.wait_s("192.0.2.1", 200.0) for _ in range(5)] == [0.0] * 4 + [pytest.approx(0.5)]


def test_of_ipv6_the_network_counts():
    assert neighbourhood("2001:db8:1:2::1") == neighbourhood("2001:db8:1:2:ffff::9")
    assert neighbourhood("2001:db8:1:2::1") != neighbourhood("2001:db8:1:3::1")
    assert neighbourhood("fe80::1%eth0") == neighbourhood("fe80::2%eth0")
    assert neighbourhood("::ffff:192.0.2.1") == neighbourhood("192.0.2.1") != neighbourhood("192.0.2.2")
    assert neighbourhood("testclient") == "testclient"


def _spend(due: Numbers) -> None:
    bucket = Bucket(1.0, 5, due)
    assert [bucket.wait_s("192.0.2.1", 100.0) for _ in range(3)] == [0.0] * 3


def test_processes_count_together():
    due = Numbers()
    process = get_context("spawn").Process(target=_spend, args=(due,))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    bucket = Bucket(1.0, 5, due)
    assert [bucket.wait_s("192.0.2.1", 100.0) for _ in range(3)] == [0.0, 0.0, pytest.approx(1.0)]
