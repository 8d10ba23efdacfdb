"""The store of finished tasks: what is put comes back, whatever happens to the process or the disk."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import textwrap
import time

import numpy as np
import pandas as pd
import pytest

from kaname.core import tables
from kaname.core.errors import StorageError
from kaname.core.jobs import JobStore


@pytest.fixture
def store(tmp_path):
    with JobStore(tmp_path / "deep" / "jobs.sqlite") as store:
        yield store


def test_types_and_missing_values_come_back(store):
    frame = pd.DataFrame(
        {
            "time": pd.to_datetime(["2020-01-01T00:00:00.123456789", None]).astype("datetime64[ns]"),
            "text": ["観測点", ""],
            "float": [np.nan, 1 / 3],
            "single": np.array([np.inf, 1.5], np.float32),
            "integer": np.array([-1, 2**62], np.int64),
            "nullable": pd.array([None, 3], dtype="Int64"),
            "flag": [True, False],
        }
    )
    store.put("a", {"one": frame, "other": frame.iloc[:0]})
    back = store.get("a")
    assert set(back) == {"one", "other"}
    pd.testing.assert_frame_equal(back["one"], frame)
    pd.testing.assert_frame_equal(back["other"], frame.iloc[:0])


@pytest.mark.parametrize("schema", tables.SCHEMAS.values(), ids=lambda s: s.name)
def test_empty_tables_come_back_as_their_schema_says(store, schema):
    store.put("a", {"t": tables.empty(schema)})
    pd.testing.assert_frame_equal(store.get("a")["t"], tables.empty(schema))


def test_an_unknown_key_is_none_and_an_empty_output_is_not(store):
    assert store.get("a") is None
    store.put("a", {})
    assert store.get("a") == {}


def test_putting_again_replaces_the_whole_output(store):
    one = pd.DataFrame({"x": [1]})
    store.put("a", {"one": one, "two": one})
    store.put("a", {"two": one + 1})
    assert list(store.get("a")) == ["two"]
    assert store.get("a")["two"]["x"].item() == 2
    assert len(store) == 1


def test_two_stores_on_one_file_see_each_other(store):
    with JobStore(store.path) as other:
        other.put("a", {})
        assert store.get("a") == {}


WRITER = textwrap.dedent(
    """
    import sys
    import numpy as np, pandas as pd
    from kaname.core.jobs import JobStore
    store = JobStore(sys.argv[1])
    for number in range(100000):
        frame = pd.DataFrame({"x": np.full(2000, number)})
        store.put(str(number), {"one": frame, "two": frame})
        print(number, flush=True)
    """
)


def test_killed_while_writing_it_stays_readable_and_tasks_are_whole(tmp_path):
    path = tmp_path / "jobs.sqlite"
    for _ in range(2):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as writer:
            told = -1
            deadline = time.monotonic() + 0.5
            while time.monotonic() < deadline or told < 5:
                told = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
        with JobStore(path) as store:
            assert len(store) >= told + 1
            for number in range(told + 1):
                output = store.get(str(number))
                assert set(output) == {"one", "two"}
                assert all((frame["x"] == number).all() and len(frame) == 2000 for frame in output.values())
            store.put("after", {})
            assert store.get("after") == {}


def test_a_full_disk_is_one_clear_error(tmp_path):
    code = textwrap.dedent(
        """
        import sys
        import numpy as np, pandas as pd
        import pyarrow
        from kaname.core.errors import StorageError
        from kaname.core.jobs import JobStore
        import resource, signal
        store = JobStore(sys.argv[1])
        store.put("small", {"t": pd.DataFrame({"x": [1]})})
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        try:
            store.put("large", {"t": pd.DataFrame({"x": np.random.default_rng(0).random(100_000)})})
        except StorageError as error:
            print(error)
            sys.exit(7)
        """
    )
    path = tmp_path / "jobs.sqlite"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert done.returncode == 7, done.stderr
    assert "cannot write the job store" in done.stdout
    assert "free space" in done.stdout
    with JobStore(path) as store:
        assert store.get("small") is not None
        assert store.get("large") is None


def test_what_is_no_database_is_one_clear_error(tmp_path):
    path = tmp_path / "jobs.sqlite"
    path.write_bytes(b"this is a text and no database, whatever its name says" * 100)
    with pytest.raises(StorageError, match="cannot open the job store"):
        JobStore(path)


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot make the folder"):
        JobStore(tmp_path / "file" / "jobs.sqlite")


def test_a_damaged_output_is_one_clear_error(store):
    store.put("a", {"t": pd.DataFrame({"x": [1]})})
    with sqlite3.connect(store.path) as database:
        database.execute("UPDATE output SET frame = x'00'")
    with pytest.raises(StorageError, match="cannot read the job store"):
        store.get("a")
