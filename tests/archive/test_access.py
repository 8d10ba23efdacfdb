"""Who may read what, and what is kept of passwords."""

from __future__ import annotations

import hashlib
import json
import logging

import numpy as np
import pytest

from kaname.archive.access import Access
from kaname.archive.store import Archive
from kaname.archive.users import Users
from kaname.core.errors import FormatError, InputError, NotFoundError, StorageError

NOW = np.datetime64("2025-01-01", "ns")
PASSWORD = "correct horse battery"


def at(text: str) -> np.datetime64:
    return np.datetime64(text, "ns")


def policy(folder, text: str) -> Access:
    (folder / "access.toml").write_text(f'contact = "data@example.org"\n{text}')
    return Access.load(folder)


def spans(decision) -> list[tuple[str, str]]:
    return [(str(a.astype("datetime64[D]")), str(b.astype("datetime64[D]"))) for a, b in decision.pieces]


def test_without_a_policy_everything_is_open(tmp_path):
    access = Access.load(tmp_path)
    decision = access.decide(None, "XX.AAA..HHZ", at("2020-01-01"), at("2030-01-01"))
    assert decision.allowed and spans(decision) == [("2020-01-01", "2030-01-01")]
    assert access.realm == "Kaname"


class TestRules:
    TEXT = """
        [[rules]]
        id = "XX.AAA..HHZ"
        access = "open"
        [[rules]]
        id = "XX"
        access = "embargo"
        days = 366
        groups = ["team"]
        reason = "a thesis"
        contact = "owner@example.org"
        [[rules]]
        id = "YY"
        access = "group"
        groups = ["team", "guests"]
        start = 2012-01-01
        end = 2013-01-01
        [[rules]]
        id = "ZZ.*.10.B?Z"
        access = "embargo"
        until = 2026-06-01T12:00:00Z
        [[rules]]
        id = "WW"
        access = "group"
        groups = ["*"]
    """

    @pytest.fixture
    def access(self, tmp_path):
        access = policy(tmp_path, self.TEXT)
        access.users.put("ann", PASSWORD, "Kaname", groups=["team"])
        access.users.put("bob", PASSWORD, "Kaname")
        return access

    @pytest.mark.parametrize(
        ("user", "seed_id", "start", "end", "open_"),
        [
            (None, "XX.AAA..HHZ", "2024-06-01", "2024-07-01", [("2024-06-01", "2024-07-01")]),
            (None, "XX.AAA.00.HHZ", "2023-01-01", "2024-07-01", [("2023-01-01", "2024-01-01")]),
            (None, "XX.BBB..HHZ", "2024-06-01", "2024-07-01", []),
            ("ann", "XX.BBB..HHZ", "2024-06-01", "2024-07-01", [("2024-06-01", "2024-07-01")]),
            ("bob", "XX.BBB..HHZ", "2024-06-01", "2024-07-01", []),
            ("eve", "XX.BBB..HHZ", "2024-06-01", "2024-07-01", []),
            (None, "XXX.BBB..HHZ", "2024-06-01", "2024-07-01", [("2024-06-01", "2024-07-01")]),
            (
                None,
                "YY.CCC..HHZ",
                "2011-06-01",
                "2014-01-01",
                [("2011-06-01", "2012-01-01"), ("2013-01-01", "2014-01-01")],
            ),
            ("ann", "YY.CCC..HHZ", "2011-06-01", "2014-01-01", [("2011-06-01", "2014-01-01")]),
            (None, "ZZ.D.10.BHZ", "2011-06-01", "2014-01-01", []),
            (None, "ZZ.D..BHZ", "2011-06-01", "2014-01-01", [("2011-06-01", "2014-01-01")]),
            (None, "WW.D..BHZ", "2011-06-01", "2014-01-01", []),
            ("bob", "WW.D..BHZ", "2011-06-01", "2014-01-01", [("2011-06-01", "2014-01-01")]),
            ("eve", "WW.D..BHZ", "2011-06-01", "2014-01-01", []),
        ],
    )
    def test_who_may_read_what(self, access, user, seed_id, start, end, open_):
        decision = access.decide(user, seed_id, at(start), at(end), now=NOW)
        assert spans(decision) == open_
        assert decision.allowed == (open_ == [(start, end)])

    def test_an_embargo_ends(self, access):
        span = ("ZZ.D.10.BHZ", at("2011-06-01"), at("2014-01-01"))
        assert not access.decide(None, *span, now=at("2026-06-01T11:59:59")).allowed
        assert access.decide(None, *span, now=at("2026-06-01T12:00:00")).allowed

    def test_a_refusal_says_why_and_whom_to_ask_and_is_logged(self, access, caplog):
        with caplog.at_level(logging.WARNING, "kaname.access"):
            decision = access.decide(
                "bob\nrefused {}", "XX.BBB..HHZ", at("2024-06-01"), at("2024-07-01"), now=NOW
            )
            access.decide(None, "YY.A..HHZ", at("2012-06-01"), at("2012-07-01"), now=NOW, quiet=True)
            access.decide("ann", "XX.BBB..HHZ", at("2024-06-01"), at("2024-07-01"), now=NOW)
        assert "366 days" in decision.reason and "a thesis" in decision.reason
        assert decision.contact == "owner@example.org"
        (record,) = caplog.records
        line = record.getMessage()
        assert "\n" not in line
        said = json.loads(line.removeprefix("refused "))
        assert said["user"] == "bob\nrefused {}"
        assert said["id"] == "XX.BBB..HHZ"
        assert said["start"].startswith("2024-06-01T00:00:00") and said["end"].startswith("2024-07-01")
        assert said["reason"] == decision.reason and said["contact"] == "owner@example.org"
        other = access.decide(None, "YY.A..HHZ", at("2012-06-01"), at("2012-07-01"), now=NOW)
        assert other.contact == "data@example.org"

    def test_an_empty_span_is_refused(self, access):
        with pytest.raises(InputError, match="empty time range"):
            access.decide(None, "XX.A..HHZ", NOW, NOW)
        with pytest.raises(InputError, match="empty time range"):
            access.decide(None, "XX.A..HHZ", np.datetime64("NaT"), NOW)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[rules]]\nid = "XX"\naccess = "embargo"', "until or days"),
        ('[[rules]]\nid = "XX"\naccess = "embargo"\nuntil = 2030-01-01\ndays = 3', "until or days"),
        ('[[rules]]\nid = "XX"\naccess = "group"\nuntil = 2030-01-01', "belong to an embargo"),
        ('[[rules]]\nid = "XX"\naccess = "closed"', "access"),
        ('[[rules]]\nid = "A.B.C.D.E"\naccess = "open"', "is not NET"),
        ('[[rules]]\nid = ""\naccess = "open"', "is not NET"),
        ('[[rules]]\nid = "XX"\naccess = "embargo"\nuntil = "soon"', "is not a time"),
        ('[[rules]]\nid = "XX"\naccess = "group"\nstart = 2012-01-01\nend = 2011-01-01', "not before"),
        ('[[rule]]\nid = "XX"\naccess = "open"', "no such key"),
        ("rules = 3", "rules"),
        ("realm = 'a \"b\"'", "realm"),
    ],
)
def test_a_wrong_policy_opens_nothing(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        policy(tmp_path, text)


def test_changes_come_into_force_and_damage_does_not(tmp_path, caplog):
    access = policy(tmp_path, '[[rules]]\nid = "XX"\naccess = "group"\ngroups = ["team"]')
    span = ("XX.A..HHZ", at("2012-06-01"), at("2012-07-01"))
    assert not access.decide(None, *span, now=NOW).allowed
    Users(tmp_path / "access-users.json").put("ann", PASSWORD, "Kaname", groups=["team"])
    assert access.decide("ann", *span, now=NOW).allowed
    Users(tmp_path / "access-users.json").remove("ann")
    assert not access.decide("ann", *span, now=NOW).allowed
    for damage in ("rules = [", None):
        if damage is None:
            (tmp_path / "access.toml").unlink()
        else:
            (tmp_path / "access.toml").write_text(damage)
        assert not access.decide(None, *span, now=NOW).allowed
        assert "stays in force" in caplog.text
    (tmp_path / "access.toml").write_text("")
    assert access.decide(None, *span, now=NOW).allowed


def test_a_policy_that_is_asked_for_must_be_there(tmp_path):
    with pytest.raises(NotFoundError, match="no such archive or access policy"):
        Access.load(tmp_path / "nothing.toml")


class TestUsers:
    def test_the_file_is_for_its_owner_and_holds_no_password(self, tmp_path):
        path = tmp_path / "users.json"
        users = Users(path)
        users.put("ann", PASSWORD, "Kaname", groups=["team"])
        assert path.stat().st_mode & 0o777 == 0o600
        assert PASSWORD not in path.read_text()
        assert users.check("ann", PASSWORD) and users.check("ann", PASSWORD)
        assert not users.check("ann", PASSWORD + " ")
        assert not users.check("bob", PASSWORD)
        assert Users(path).groups("ann") == {"team"}

    def test_hashes_are_those_of_the_standards(self, tmp_path):
        users = Users(tmp_path / "users.json")
        users.put("ann", PASSWORD, "Kaname")
        row = json.loads(users.path.read_text())["users"]["ann"]
        ha1 = hashlib.md5(f"ann:Kaname:{PASSWORD}".encode()).hexdigest()
        assert users.digest("ann", "Kaname") == ha1
        assert users.digest("ann", "Other") is None
        assert users.digest("bob", "Kaname") is None
        scrypt = hashlib.scrypt(
            PASSWORD.encode(), salt=bytes.fromhex(row["salt"]), n=2**15, r=8, p=1, maxmem=2**26
        )
        assert row["scrypt"] == scrypt.hex()

    def test_two_users_with_one_password_look_different(self, tmp_path):
        users = Users(tmp_path / "users.json")
        users.put("ann", PASSWORD, "Kaname", digest=False)
        users.put("bob", PASSWORD, "Kaname", digest=False)
        rows = json.loads(users.path.read_text())["users"]
        assert rows["ann"]["scrypt"] != rows["bob"]["scrypt"]
        assert "ha1" not in rows["ann"] and users.digest("ann", "Kaname") is None
        assert list(users) == ["ann", "bob"]

    def test_a_new_password_ends_the_old(self, tmp_path):
        users = Users(tmp_path / "users.json")
        users.put("ann", PASSWORD, "Kaname")
        assert users.check("ann", PASSWORD)
        Users(users.path).put("ann", "another password", "Kaname")
        assert not users.check("ann", PASSWORD)
        assert users.check("ann", "another password")

    def test_readable_for_others_is_refused(self, tmp_path):
        users = Users(tmp_path / "users.json")
        users.put("ann", PASSWORD, "Kaname")
        users.path.chmod(0o644)
        with pytest.raises(StorageError, match="chmod 600"):
            Users(users.path)

    @pytest.mark.parametrize("text", ["", "[]", '{"users": {"ann": {}}}', '{"users": 3}'])
    def test_damage_is_said(self, tmp_path, text):
        path = tmp_path / "users.json"
        path.write_text(text)
        path.chmod(0o600)
        with pytest.raises(FormatError, match="no file of users"):
            Users(path)

    @pytest.mark.parametrize(
        ("name", "password", "groups"),
        [
            ("a:b", PASSWORD, []),
            ("", PASSWORD, []),
            ("ann", "short", []),
            ("ann", PASSWORD + "\n", []),
            ("ann", PASSWORD, ["*"]),
        ],
    )
    def test_what_cannot_be_is_refused(self, tmp_path, name, password, groups):
        users = Users(tmp_path / "users.json")
        with pytest.raises(InputError):
            users.put(name, password, "Kaname", groups=groups)
        assert not users.path.exists()

    def test_removing_nobody_is_an_error(self, tmp_path):
        with pytest.raises(NotFoundError, match="no user 'ann'"):
            Users(tmp_path / "users.json").remove("ann")


def test_neither_file_is_data_and_both_survive_a_rebuild(folder):
    access = policy(folder, "")
    access.users.put("ann", PASSWORD, "Kaname")
    with Archive(folder) as archive:
        report = archive.index()
        assert not [path for path in report.skipped if "access" in path]
        archive.index(rebuild=True)
    assert (folder / "access.toml").exists() and "ann" in access.users
