"""Provenance: stable hashes, inputs that others can check, and a file that is whole or not there."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest

import kaname
from kaname.core import provenance
from kaname.core.errors import StorageError
from kaname.core.provenance import digest, inputs_of, software, write_json


def test_a_digest_tells_values_apart_and_not_the_order_of_keys():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    different = [
        digest(1),
        digest("1"),
        digest(1.5),
        digest([1]),
        digest(1, 2),
        digest([1, 2]),
        digest("a", "b"),
    ]
    assert len(set(different)) == len(different)
    assert digest(np.datetime64("2020-01-01", "ns")) != digest(np.datetime64("2020-01-02", "ns"))


def test_a_digest_is_the_same_in_another_process():
    code = "from kaname.core.provenance import digest; print(digest('a', {'x': 1.1}, [None, 'é']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest("a", {"x": 1.1}, [None, "é"])


def test_inputs_carry_size_and_hash_of_their_content(tmp_path):
    (tmp_path / "b").write_bytes(b"second")
    (tmp_path / "a").write_bytes(b"first")
    rows = inputs_of([tmp_path / "b", tmp_path / "a", str(tmp_path / "a")])
    assert [row["path"] for row in rows] == [str(tmp_path / "a"), str(tmp_path / "b")]
    assert rows[0]["size"] == 5
    assert rows[0]["blake2b"] == hashlib.blake2b(b"first").hexdigest()[:32]


def test_large_inputs_are_described_without_reading_and_say_so(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"first")
    monkeypatch.setattr(provenance, "HASH_LIMIT_BYTES", 4)
    (row,) = inputs_of([tmp_path / "a"])
    assert row["modified_ns"] == (tmp_path / "a").stat().st_mtime_ns
    assert "blake2b" not in row


def test_software_names_what_results_depend_on():
    found = software()
    assert found["kaname"] == kaname.__version__
    assert {"python", "numpy", "obspy", "pyocto"} <= set(found)


def test_json_is_written_whole(tmp_path):
    path = write_json(tmp_path / "deep" / "run.json", {"時刻": np.datetime64("2020-01-01"), "n": 1})
    assert json.loads(path.read_text()) == {"時刻": "2020-01-01", "n": 1}
    assert [p.name for p in path.parent.iterdir()] == ["run.json"]


def test_a_disk_that_refuses_is_one_error_and_leaves_the_old_file(tmp_path, monkeypatch):
    path = write_json(tmp_path / "run.json", {"n": 1})

    def full(self, *_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(StorageError, match=r"cannot write .*run\.json: No space left on device"):
        write_json(path, {"n": 2})
    assert json.loads(path.read_text()) == {"n": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]
