"""``kaname doctor`` in good health and with an organ missing."""

from __future__ import annotations

import json
import sqlite3

import pytest

from kaname.cli import doctor, main


def examine(capsys):
    status = main(["doctor", "--json"])
    report = json.loads(capsys.readouterr().out)
    return status, report, {(f["group"], f["name"]): f for f in report["findings"]}


def test_here_everything_needed_is_here(capsys):
    status, report, findings = examine(capsys)
    bad = [f for f in report["findings"] if f["required"] and f["state"] in ("missing", "broken")]
    assert (status, report["healthy"], bad) == (0, True, [])
    assert findings["needed", "numpy"]["detail"]
    assert {name for group, name in findings if group == "works"} == set(doctor.CHECKS)


def test_text_says_the_same(capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "Everything needed is here." in out
    for name in doctor.CHECKS:
        assert name in out


def without(package, monkeypatch):
    real = doctor.version

    def version(name):
        if name == package:
            raise doctor.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(doctor, "version", version)


def test_a_missing_extra_is_said_with_how_to_get_it_and_harms_nothing(monkeypatch, capsys):
    without("seisbench", monkeypatch)
    status, report, findings = examine(capsys)
    finding = findings["extra: seisbench", "seisbench"]
    assert (status, report["healthy"]) == (0, True)
    assert (finding["state"], finding["remedy"]) == ("missing", "pip install 'kaname[seisbench]'")


def test_a_missing_need_is_fatal(monkeypatch, capsys):
    without("pyproj", monkeypatch)
    status, report, findings = examine(capsys)
    assert (status, report["healthy"], findings["needed", "pyproj"]["state"]) == (1, False, "missing")
    assert main(["doctor"]) == 1
    assert "pip install" in capsys.readouterr().out


def test_a_wrong_version_is_broken(monkeypatch, capsys):
    real = doctor.version
    monkeypatch.setattr(doctor, "version", lambda name: "0.2.1" if name == "pyocto" else real(name))
    status, _, findings = examine(capsys)
    assert status == 1
    assert findings["needed", "pyocto"]["state"] == "broken"
    assert "<0.2" in findings["needed", "pyocto"]["detail"]


@pytest.mark.parametrize("error", [ImportError, OSError, RuntimeError, sqlite3.OperationalError])
def test_a_check_that_fails_is_reported_and_the_rest_goes_on(error, monkeypatch, capsys):
    def fail():
        raise error("gone")

    monkeypatch.setitem(doctor.CHECKS, "miniSEED", (fail, "do this"))
    status, _, findings = examine(capsys)
    finding = findings["works", "miniSEED"]
    assert (status, finding["state"], finding["remedy"]) == (1, "broken", "do this")
    assert finding["detail"] == f"{error.__name__}: gone"
    assert findings["works", "ObsPy"]["state"] == "ok"


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KANAME_CACHE", str(tmp_path / "file" / "cache"))
    status, _, findings = examine(capsys)
    assert (status, findings["works", "cache"]["state"]) == (1, "broken")


def test_little_disk_is_a_warning(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "ENOUGH_DISK_GB", 1e9)
    status, _, findings = examine(capsys)
    assert (status, findings["works", "disk"]["state"]) == (0, "warning")
