"""Files that grow, as sources of the SeedLink server."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from seedlink_lab import Plain, Running, records, running, wave

from kaname.archive.store import Archive
from kaname.formats.miniseed import write_miniseed

POLL = {"poll_s": 0.02}


def listen(server: Running, *stations: str) -> Plain:
    """Return a client that waits for all that comes of some stations."""
    client = Plain(server.port)
    client.expect("SLPROTO 4.0")
    for station in stations:
        client.expect(f"STATION {station}", "DATA")
    client.say("END")
    client.say("INFO ID")
    client.packet()
    return client


def settled(server: Running) -> None:
    """Wait until the files have been looked at twice."""
    turn = server.server._follower._turn
    wait(lambda: server.server._follower._turn >= turn + 2)


def wait(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def append(path: Path, data: bytes) -> None:
    """Add bytes to a file, as a recorder does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(data)


def test_what_is_appended_is_sent_and_the_last_partial_record_waits(tmp_path: Path) -> None:
    day = tmp_path / "sds" / "2021" / "XX" / "AAA" / "HHZ.D" / "XX.AAA..HHZ.D.2021.073"
    old, new = records(n=2000), records(20, n=6000, seed=1)
    append(day, b"".join(old))
    with running(tmp_path / "state", follow=[tmp_path / "sds"], **POLL) as server:
        settled(server)
        with listen(server, "XX_*") as client:
            data = b"".join(new)
            chance = np.random.default_rng(0)
            at = 0
            while at < len(data):
                step = int(chance.integers(1, 1200))
                append(day, data[at : at + step])
                whole = min(at + step, len(data)) // 512 - at // 512
                assert [p.record for p in client.packets(whole)] == new[at // 512 :][:whole]
                at += step
            assert client.silent(0.1)


def test_new_files_and_folders_are_found(tmp_path: Path) -> None:
    root = tmp_path / "sds"
    root.mkdir()
    with (
        running(tmp_path / "state", follow=[root], **POLL) as server,
        listen(server, "XX_*", "YY_*") as client,
    ):
        settled(server)
        first, second = records(n=1000), records(n=1000, id="YY.BBB..BHZ", version=3, length=4096)
        append(root / "2021" / "XX" / "AAA" / "HHZ.D" / "a", b"".join(first))
        assert [p.record for p in client.packets(len(first))] == first
        append(root / "2021" / "YY" / "b.mseed3", b"".join(second))
        assert [p.record for p in client.packets(len(second))] == second
        append(root / "2021" / ".hidden", b"".join(first))
        append(root / "2021" / "notes.txt", b"nothing to see here, " * 50)
        append(root / "2021" / "notes.txt", b"nothing to see here, " * 50)
        assert client.silent(0.3)
        more = records(50, n=1000)
        append(root / "2021" / "XX" / "AAA" / "HHZ.D" / "a", b"".join(more))
        assert [p.record for p in client.packets(len(more))] == more


def test_a_file_laid_out_with_zeros_is_read_as_it_fills(tmp_path: Path) -> None:
    path = tmp_path / "in" / "XX.AAA..HHZ"
    data = records(n=2000)
    append(path, bytes(512 * len(data)))
    with (
        running(tmp_path / "state", follow=[path], from_start=True, **POLL) as server,
        listen(server, "XX_AAA") as client,
        path.open("r+b") as file,
    ):
        assert client.silent(0.2)
        for at, record in enumerate(data):
            file.seek(512 * at)
            file.write(record)
            file.flush()
            assert client.packets(1)[0].record == record


def test_what_came_while_the_server_was_down_is_sent_once(tmp_path: Path) -> None:
    path, other = tmp_path / "in" / "a", tmp_path / "in" / "b"
    data, more = b"".join(records(n=9000)), records(n=3000, id="XX.BBB..HHZ")
    options = {"follow": [tmp_path / "in"], "from_start": True, **POLL}
    cuts = [0, 1000, 1700, 5000, 5100, 5200, 9999, 12000, len(data)]
    for before, up, down in zip(cuts[::2], cuts[1::2], cuts[2::2]):
        with running(tmp_path / "state", **options) as server:
            append(path, data[before:up])
            wait(lambda: server.server.ring.newest == up // 512)  # noqa: B023
        append(path, data[up:down])
    append(other, b"".join(more))
    with running(tmp_path / "state", **options) as server:
        wait(lambda: server.server.ring.newest == len(data) // 512 + len(more))
        settled(server)
        with Plain(server.port) as client:
            client.expect("STATION * XX", "FETCH")
            client.say("END")
            got = client.packets()
    first = [p for p in got if p.record[8:11] == b"AAA"]
    assert b"".join(p.record for p in first) == data
    assert [p.sequence for p in first] == list(range(1, len(data) // 512 + 1))
    assert [p.record for p in got if p.record[8:11] == b"BBB"] == more


def test_a_file_that_is_replaced_gives_only_what_is_later(tmp_path: Path) -> None:
    """`Archive.add` writes day files anew; so does rsync."""
    write_miniseed([wave(0, 6000)], tmp_path / "one.mseed")
    write_miniseed([wave(0, 12000)], tmp_path / "two.mseed")
    archive = Archive(tmp_path / "archive")
    archive.add([tmp_path / "one.mseed"])
    with running(tmp_path / "state", archive=archive, follow=[archive.path], **POLL) as server:
        settled(server)
        with listen(server, "XX_AAA") as client:
            before = sum(1 for _ in archive.path.rglob("*.D.*"))
            archive.add([tmp_path / "two.mseed"])
            assert sum(1 for _ in archive.path.rglob("*.D.*")) == before
            first = client.packets(1)[0].record
            from pymseed import MS3Record

            start = int(wave(0, 6000).following.astype(np.int64))
            assert MS3Record.parse(first).starttime >= start - 5_000_000
            (day,) = archive.path.rglob("*.D.*")
            copy = day.with_name(".copy")
            shutil.copy(day, copy)
            copy.rename(day)  # the same records in another file: nothing new
            settled(server)
            sent = server.server.ring.newest
            settled(server)
            assert server.server.ring.newest == sent
            new = records(500, n=500)
            append(day, b"".join(new))
            last = client.packets(sent - 1 + len(new))
            assert [p.record for p in last[-len(new) :]] == new


def test_garbage_between_records_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "in" / "a"
    data = records(n=2000)
    with running(tmp_path / "state", follow=[tmp_path / "in"], from_start=True, **POLL) as server:
        append(path, data[0])
        wait(lambda: server.server.ring.newest == 1)
        append(path, b"\xff" * 700 + b"".join(data[1:4]))
        with Plain(server.port) as client:
            wait(lambda: server.server.ring.newest == 4)
            client.expect("STATION AAA XX", "FETCH")
            client.say("END")
            assert [p.record for p in client.packets()] == data[:4]
        path.unlink()
        settled(server)
        append(path, b"".join(data[4:]))
        wait(lambda: server.server.ring.newest == len(data))
