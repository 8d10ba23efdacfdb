"""kaname archive manifest, mirror, access and user, as a user calls them."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

from kaname.cli import main
from kaname.core.waveform import Waveform
from kaname.formats.miniseed import write_miniseed


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "archive"
    folder.mkdir()
    data = np.arange(1000, dtype=np.int32)[np.newaxis]
    write_miniseed(
        [Waveform(data, ("XX.AAA..HHZ",), np.datetime64("2021-03-14", "ns"), 100.0)], folder / "a.mseed"
    )
    return folder


def said(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


def test_sign_copy_and_compare(root, tmp_path, capsys):
    copy = tmp_path / "copy"
    assert main(["archive", "manifest", str(root), "--json"]) == 0
    signed = said(capsys)
    assert signed["origin"] and signed["n_file"] == 1
    assert main(["archive", "mirror", str(root), str(copy), "--key", signed["key"], "--json"]) == 0
    report = said(capsys)
    assert report["n_fetched"] == 1 and report["key"] == signed["key"] and report["made"] == signed["made"]
    assert main(["archive", "manifest", str(copy), "--deep"]) == 0
    assert "this is a copy" in capsys.readouterr().out
    (copy / "a.mseed").write_bytes((copy / "a.mseed").read_bytes()[:512])
    assert main(["archive", "manifest", str(copy)]) == 3
    assert "differs from the origin" in capsys.readouterr().err
    assert main(["archive", "mirror", str(root), str(copy)]) == 0
    assert main(["archive", "manifest", str(copy)]) == 0


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["mirror", "{root}", "{root}/../copy", "--key", "abc"], 2),
        (["mirror", "{root}/nothing", "{root}/../copy"], 1),
        (["mirror", "http://127.0.0.1:9/mirror", "{root}/../copy", "--user", "ann"], 2),
        (["manifest", "{root}/nothing"], 1),
        (["access", "{root}", "XX.*..HHZ"], 2),
        (["access", "{root}", "XX.AAA..HHZ", "--user", "ann"], 2),
        (["access", "{root}", "XX.AAA..HHZ", "--policy", "{root}/nothing"], 1),
        (["user", "remove", "{root}", "ann"], 1),
    ],
)
def test_wrong_use(root, words, status, monkeypatch):
    monkeypatch.delenv("KANAME_PASSWORD", raising=False)
    assert main(["archive", *(word.format(root=root) for word in words)]) == status


def test_users_and_what_they_may_read(root, capsys, monkeypatch):
    (root / "access.toml").write_text(
        'contact = "owner@example.org"\n[[rules]]\nid = "XX"\n'
        'access = "group"\ngroups = ["team"]\nend = 2020-01-01\n'
    )
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse battery\n"))
    assert main(["archive", "user", "add", str(root), "ann", "--group", "team"]) == 0
    assert main(["archive", "user", "add", str(root), "bob", "--generate", "--no-digest"]) == 0
    assert len(capsys.readouterr().out.strip()) == 24
    assert main(["archive", "user", "list", str(root), "--json"]) == 0
    assert said(capsys) == [
        {"name": "ann", "groups": ["team"], "digest": True},
        {"name": "bob", "groups": [], "digest": False},
    ]
    assert main(["archive", "access", str(root), "XX.AAA..HHZ", "--user", "bob", "--end", "2021-01-01"]) == 0
    out = capsys.readouterr().out
    assert "may be read: 2020-01-01" in out and "restricted to its groups; contact: owner@example.org" in out
    assert main(["archive", "access", str(root), "XX.AAA..HHZ", "--user", "ann", "--json"]) == 0
    assert said(capsys)["allowed"]
    assert main(["archive", "user", "remove", str(root), "ann"]) == 0
    assert main(["archive", "access", str(root), "XX.AAA..HHZ", "--end", "2019-01-01", "--json"]) == 0
    assert not said(capsys)["pieces"]


def test_a_short_password_is_refused(root, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    assert main(["archive", "user", "add", str(root), "ann"]) == 2
    assert "at least 10" in capsys.readouterr().err


def test_quality_is_measured_and_drawn(root, tmp_path, capsys):
    from kaname.archive.quality_tables import NOISE, QUALITY
    from kaname.core.tables import read_table

    assert main(["archive", "index", str(root)]) == 0
    capsys.readouterr()
    out = tmp_path / "quality"
    assert main(["archive", "quality", str(root), "--out", str(out), "--json"]) == 0
    report = said(capsys)
    assert report["n_channel_day"] == 1 and report["problems"] == {"gaps": 1}
    assert [p.name for p in out.glob("*.png")] == ["XX.AAA.png"]
    assert len(read_table(out / "quality.parquet", QUALITY)) == 1
    assert read_table(out / "noise.parquet", NOISE).empty
    assert main(["archive", "quality", str(root), "--no-pictures"]) == 0
    assert (root / ".quality" / "quality.parquet").exists()
    assert not list((root / ".quality").glob("*.png"))
    capsys.readouterr()
    assert main(["archive", "check", str(root)]) == 0
    shown = capsys.readouterr().out
    assert "1 channel-days, 1 with problems" in shown and "gaps" in shown
    assert main(["archive", "check", str(root), "--json"]) == 0
    seen = json.loads(capsys.readouterr().out)["quality"]
    (row,) = seen["rows"]
    assert (seen["n_channel_day"], row["n_gap"], row["day"][:10]) == (1, 1, "2021-03-14")
    assert main(["archive", "quality", str(root / "nothing")]) == 2


def test_quality_has_a_configuration(capsys):
    assert main(["config", "archive"]) == 0
    assert "full_scale" in capsys.readouterr().out
