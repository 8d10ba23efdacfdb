"""The SeedLink server as a client sees it on the wire, by the published protocols."""

from __future__ import annotations

import json
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from pymseed import MS3Record
from seedlink_lab import Plain, Running, at, records, running, wave

from kaname.archive.access import Access
from kaname.archive.store import Archive
from kaname.center.seedlink_session import Limits
from kaname.formats.miniseed import pack, write_miniseed

BASE = 1 << 52


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path / "state") as server:
        yield server


def samples(packets: list[bytes]) -> list[int]:
    """Decode records one after the other, with libmseed."""
    return [n for data in packets for n in MS3Record.parse(data, unpack_data=True).np_datasamples.tolist()]


def fetch(port: int, *commands: str) -> list[bytes]:
    """Return the records that some commands and END give, up to END."""
    with Plain(port) as client:
        client.expect(*commands)
        client.say("END")
        return [packet.record for packet in client.packets()]


def fetch_4(port: int, *commands: str) -> list[bytes]:
    """The same in version 4."""
    with Plain(port) as client:
        client.expect("SLPROTO 4.0", *commands)
        client.say("ENDFETCH")
        return [packet.record for packet in client.packets()]


def test_packets_are_the_records_with_consecutive_numbers_of_each_station(server: Running) -> None:
    first, second = records(n=3000), records(n=3000, id="XX.BBB.00.BHZ", seed=1)
    assert server.publish(*first, *second) == len(first) + len(second)
    with Plain(server.port) as client:
        assert client.ask("HELLO").startswith("SeedLink v4.0 (Kaname ")
        assert client.file.readline() == b"Kaname\r\n"
        client.expect("STATION AAA XX", "SELECT HHZ", "FETCH", "STATION BBB XX", "FETCH")
        client.say("END")
        got = client.packets()
    a = [packet for packet in got if packet.record[8:13] == b"AAA  "]
    b = [packet for packet in got if packet.record[8:13] == b"BBB  "]
    assert [p.record for p in a] == first and [p.record for p in b] == second
    assert [p.sequence for p in a] == list(range(1, len(first) + 1))
    assert [p.sequence for p in b] == list(range(1, len(second) + 1))


def test_data_waits_for_what_comes_and_goes_on(server: Running) -> None:
    old, new = records(n=2000), records(20, n=2000, seed=1)
    server.publish(*old)
    with Plain(server.port) as client:
        client.expect("STATION AAA XX", "DATA")
        client.say("END")
        assert client.silent()
        for record in new:
            server.publish(record)
        assert [p.record for p in client.packets(len(new))] == new


@pytest.mark.parametrize("number", ["4", "000004", "0x4", "0X000004", "1000004"])
def test_data_begins_at_a_sequence_number(server: Running, number: str) -> None:
    data = records(n=4000)
    server.publish(*data)
    assert fetch(server.port, "STATION AAA XX", f"FETCH {number}") == data[3:]


def test_sequence_numbers_of_version_3_wrap(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    data = records(n=6000)
    server.publish(data[0])
    server.server.ring.following["XX_AAA"] = BASE + 0xFFFFFD
    server.publish(*data[1:])
    with Plain(server.port) as client:
        client.expect("STATION AAA XX", "FETCH FFFFFD")
        client.say("END")
        got = client.packets()
    assert [p.sequence for p in got][:5] == [0xFFFFFD, 0xFFFFFE, 0xFFFFFF, 0, 1]
    assert [p.record for p in got] == data[1:]
    # One that counts on from FFFFFF, as ObsPy does, means the one after the wrap.
    assert fetch(server.port, "STATION AAA XX", "FETCH 0x1000000") == data[4:]


def test_uni_station_mode_has_no_answer_to_data(server: Running) -> None:
    data = records(n=3000)
    server.publish(*data)
    with Plain(server.port) as client:
        client.expect("SELECT HHZ.D")
        client.say("FETCH 000003")
        assert [p.record for p in client.packets()] == data[2:]
    server.publish(*records(n=300, id="XX.BBB..HHZ"))
    with Plain(server.port) as client:
        assert client.ask("DATA 000003") == "ERROR"  # of which station?


@pytest.mark.parametrize(
    ("selectors", "expected"),
    [
        ([], {"..HHZ", ".00.HHZ", ".00.HHN", ".10.BHZ"}),
        (["HHZ"], {"..HHZ", ".00.HHZ"}),
        (["00HH?"], {".00.HHZ", ".00.HHN"}),
        (["??HHZ.D"], {"..HHZ", ".00.HHZ"}),
        (["--HHZ"], {"..HHZ"}),
        (["00:HHN", "10:BHZ"], {".00.HHN", ".10.BHZ"}),
        (["HH?", "!00HH?"], {"..HHZ"}),
        (["!BHZ"], {"..HHZ", ".00.HHZ", ".00.HHN"}),
        (["D"], {"..HHZ", ".00.HHZ", ".00.HHN", ".10.BHZ"}),
        (["BHZ.E", ".L"], set()),
        (["B*"], {".10.BHZ"}),
        (["HHZ", ""], {"..HHZ", ".00.HHZ", ".00.HHN", ".10.BHZ"}),
    ],
)
def test_selectors_of_version_3(server: Running, selectors: list[str], expected: set[str]) -> None:
    for place in ("..HHZ", ".00.HHZ", ".00.HHN", ".10.BHZ"):
        server.publish(*records(n=300, id=f"XX.AAA{place}"))
    got = fetch(server.port, "STATION AAA XX", *(f"SELECT {s}".strip() for s in selectors), "FETCH")
    places = {f".{r[13:15].decode().strip()}.{r[15:18].decode()}" for r in got}
    assert places == expected


@pytest.mark.parametrize(
    ("selectors", "expected"),
    [
        (["*"], 4),
        (["_H_H_Z"], 1),
        (["*_H_H_?.2D"], 3),
        (["*Z !00*"], 2),
        (["*.3"], 0),
        (["*:native"], 4),
        (["*.?D"], 4),
    ],
)
def test_selectors_of_version_4(server: Running, selectors: list[str], expected: int) -> None:
    for place in ("..HHZ", ".00.HHZ", ".00.HHN", ".10.BHZ"):
        server.publish(*records(n=100, id=f"XX.AAA{place}"))
    assert (
        len(fetch_4(server.port, "STATION XX_AAA", *(f"SELECT {s}" for s in selectors), "DATA ALL"))
        == expected
    )


def test_types_are_told_from_the_records(server: Running) -> None:
    """An event blockette (200), a log and plain data, each chosen by its type."""
    data = records(n=300)[0]
    event = bytearray(records(30, n=20)[0])
    event[39] += 1
    event[48 + 2 : 48 + 4] = (456).to_bytes(
        2, "big"
    )  # blockette 1000 leads to one of type 200, in the last frame
    event[456:460] = (200).to_bytes(2, "big") + bytes(2)
    log = MS3Record(reclen=512, encoding=0)
    log.sourceid, log.formatversion, log.samprate = "FDSN:XX_AAA__L_O_G", 2, 0.0
    log.starttime = int(at(5).astype(np.int64))
    text = next(iter(log.generate(data_samples=b"clock locked", sample_type="t")))
    server.publish(data, bytes(event), text)
    for kind, record in (("D", data), ("E", bytes(event)), ("L", text)):
        assert fetch(server.port, "STATION AAA XX", f"SELECT .{kind}", "FETCH") == [record]
        assert fetch_4(server.port, "STATION *", f"SELECT *.?{kind}", "DATA ALL") == [record]


@pytest.mark.parametrize(("version", "length"), [(2, 4096), (2, 256), (2, 128), (3, 512), (3, 4096)])
def test_other_records_are_repacked_for_version_3_and_kept_for_version_4(
    server: Running, version: int, length: int
) -> None:
    block = wave(n=8000)
    data = list(pack(block, version=version, record_length=length))  # type: ignore[arg-type]
    if version == 2:
        data = [r[:6] + b"Q" + r[7:37] + b"\x21\x42" + r[39:] for r in data]
    server.publish(*data)
    with Plain(server.port) as client:
        client.expect("STATION AAA XX", "FETCH")
        client.say("END")
        got = client.packets()
    assert [p.sequence for p in got] == list(range(1, len(got) + 1))
    assert {len(p.record) for p in got} == {512} and {p.record[7:8] for p in got} == {b" "}
    assert samples([p.record for p in got]) == block.data[0].tolist()
    starts = [MS3Record.parse(p.record).starttime for p in got]
    counts = [MS3Record.parse(p.record).samplecnt for p in got]
    expected = np.concatenate([[0], np.cumsum(counts)[:-1]]) * 10_000_000 + int(at(0).astype(np.int64))
    assert np.abs(np.array(starts) - expected).max() < 1000  # microseconds are all that version 2 holds
    if version == 2:
        assert {p.record[6:7] for p in got} == {b"Q"} and {p.record[37:39] for p in got} == {b"\x21\x42"}
    with Plain(server.port) as client:
        client.expect("SLPROTO 4.0", "STATION XX_AAA", "DATA ALL")
        client.say("ENDFETCH")
        whole = client.packets()
    assert [p.record for p in whole] == data and {p.form for p in whole} == {f"{version}D"}
    assert {p.station for p in whole} == {"XX_AAA"}
    numbers = [p.sequence - BASE for p in whole]
    assert numbers[0] == 1 and all(b > a for a, b in pairwise(numbers))
    # Both versions resume where they were, also in the middle of a record.
    for cut in (1, len(got) // 2, len(got) - 1):
        rest = fetch(server.port, "STATION AAA XX", f"FETCH {got[cut].sequence:06X}")
        assert rest == [p.record for p in got[cut:]]
    for cut in {0, 1, len(whole) // 2, len(whole) - 2}:
        rest = fetch_4(server.port, "STATION XX_AAA", f"DATA {whole[cut].sequence + 1}")
        assert rest == data[cut + 1 :]


def test_floats_and_codes_too_long_for_version_3(server: Running) -> None:
    block = wave(n=5000)
    floats = type(block)(block.data.astype(np.float64) / 3, block.ids, block.start, block.sampling_rate)
    server.publish(*pack(floats, version=3, record_length=4096))
    long = list(pack(wave(n=500, id="LONGNET.STATION0..HHZ"), version=3))
    server.publish(*long)
    assert samples(fetch(server.port, "STATION AAA XX", "FETCH")) == floats.data[0].tolist()
    assert fetch(server.port, "STATION STATION0 LONGNET", "FETCH") == []
    assert fetch_4(server.port, "STATION LONGNET_*", "DATA ALL") == long


def test_numbers_survive_a_restart_and_a_kill(tmp_path: Path) -> None:
    data = records(n=20000)
    half = len(data) // 2
    with running(tmp_path) as server:
        server.publish(*data[:half])
    program = (
        "import asyncio, sys\nfrom kaname.center.seedlink import Server\n"
        "async def main():\n"
        f"    async with Server({str(tmp_path)!r}, port=0) as server:\n"
        "        data = sys.stdin.buffer.read()\n"
        "        for at in range(0, len(data), 512):\n"
        "            await server.publish(data[at:at + 512])\n"
        "            print(at, flush=True)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=-1, stdout=-1) as killed:
        assert killed.stdin and killed.stdout
        killed.stdin.write(b"".join(data[half:]))
        killed.stdin.close()
        for _ in range(3):
            killed.stdout.readline()
        killed.send_signal(signal.SIGKILL)
    with running(tmp_path) as server:
        with Plain(server.port) as client:
            client.expect("STATION AAA XX", "FETCH")
            client.say("END")
            got = client.packets()
        n = len(got)
        assert half + 3 <= n  # what publish had said is there, and nothing twice
        assert [p.record for p in got] == data[:n]
        server.publish(*data[n:])
        with Plain(server.port) as client:
            client.expect("STATION AAA XX", f"FETCH {n:06X}")
            client.say("END")
            rest = client.packets()
    assert [p.record for p in rest] == data[n - 1 :]
    assert [p.sequence for p in rest] == list(range(n, len(data) + 1))


def test_the_ring_forgets_the_oldest(tmp_path: Path) -> None:
    with running(tmp_path, depth_bytes=3 << 20) as server:
        data = records(n=100_000, rate=1000.0)
        for _ in range(30):
            server.publish(*data)
        with Plain(server.port) as client:
            client.expect("STATION AAA XX", "FETCH 000001")
            client.say("END")
            got = client.packets()
        total = 30 * len(data)
        assert got[-1].sequence == total and len(got) * 512 <= 3 << 20
        assert [p.sequence for p in got] == list(range(total - len(got) + 1, total + 1))
        assert [p.record for p in got] == (data * 30)[-len(got) :]
        station = ElementTree.fromstring(Plain(server.port).info_3("STATIONS"))[0]
        assert int(station.attrib["begin_seq"], 16) == got[0].sequence
        assert int(station.attrib["end_seq"], 16) == total + 1


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    blocks = [wave(0, 60000), wave(700, 30000, seed=1), wave(0, 60000, id="XX.AAA.00.HHN", seed=2)]
    write_miniseed(blocks, tmp_path / "in.mseed")
    archive = Archive(tmp_path / "archive")
    archive.add([tmp_path / "in.mseed"])
    return archive


def test_time_windows_reach_into_the_archive(tmp_path: Path, archive: Archive) -> None:
    with running(tmp_path / "state", archive=archive) as server:
        window = "TIME 2021,3,14,0,1,0 2021,3,14,0,2,0"
        got = fetch(server.port, "STATION AAA XX", "SELECT HHZ", window)
        ours = [MS3Record.parse(r) for r in got]
        assert ours[0].starttime <= at(60).astype(int) and ours[-1].endtime >= at(120).astype(int)
        n = sum(r.samplecnt for r in ours)
        first = round((ours[0].starttime - int(at(0).astype(int))) / 1e7)
        assert samples(got) == wave(0, 60000).data[0, first : first + n].tolist()
        assert fetch(server.port, "STATION AAA XX", "TIME 2021,3,14,0,10,5 2021,3,14,0,10,9") == []  # a gap
        both = fetch(server.port, "STATION AAA XX", "TIME 1970,1,1,0,0,0 2022,1,1,0,0,0")
        assert len(both) == len(set(both)) and len(samples(both)) == 150_000
        starts = [MS3Record.parse(r).starttime for r in both]
        assert starts == sorted(starts)


def test_what_is_in_ring_and_archive_comes_once(tmp_path: Path, archive: Archive) -> None:
    with running(tmp_path / "state", archive=archive) as server:
        whole = fetch(server.port, "STATION AAA XX", "TIME 2021,3,14,0,0,0 2021,3,14,1,0,0")
        server.publish(*whole[-100:])
        new = records(1000, 500, seed=9)
        server.publish(*new)
        again = fetch(server.port, "STATION AAA XX", "TIME 2021,3,14,0,0,0 2021,3,14,1,0,0")
        assert again == whole + new
        four = fetch_4(server.port, "STATION XX_AAA", "DATA ALL 2021-03-14T00:00:00Z 2021-03-14T01:00:00Z")
        assert four == whole + new


def test_version_4_resumes_within_the_archive(tmp_path: Path, archive: Archive) -> None:
    with running(tmp_path / "state", archive=archive) as server:
        server.publish(*records(1000, 1000, seed=9))
        window = "2021-03-14T00:00:30Z 2021-03-14T01:00:00Z"
        with Plain(server.port) as client:
            client.expect("SLPROTO 4.0", "STATION XX_AAA", f"DATA ALL {window}")
            client.say("ENDFETCH")
            whole = client.packets()
        numbers = [p.sequence for p in whole]
        assert all(b > a for a, b in pairwise(numbers))
        for cut in (0, 1, 2, 100, 101, len(whole) - 3):
            rest = fetch_4(server.port, "STATION XX_AAA", f"DATA {numbers[cut] + 1} {window}")
            assert rest == [p.record for p in whole[cut + 1 :]], cut


def test_version_3_resumes_in_the_archive_by_time(tmp_path: Path, archive: Archive) -> None:
    """DATA with the number before the ring and a time, as libslink sends them, goes on in the archive."""
    with running(tmp_path / "state", archive=archive) as server:
        new = records(1000, 1000, seed=9)
        server.publish(*new)
        with Plain(server.port) as client:
            client.expect("STATION AAA XX", "SELECT HHZ", "TIME 2021,3,14,0,1,0 2021,3,14,1,0,0")
            client.say("END")
            whole = client.packets()
        assert {p.sequence for p in whole[: -len(new)]} == {0}
        cut = 50
        start = MS3Record.parse(whole[cut].record).starttime // 10**9
        moment = time.strftime("%Y,%m,%d,%H,%M,%S", time.gmtime(start))
        rest = fetch(server.port, "STATION AAA XX", "SELECT HHZ", f"FETCH 000001 {moment}")
        assert rest[-(len(whole) - cut - 1) :] == [p.record for p in whole[cut + 1 :]]
        assert len(rest) <= len(whole) - cut + 1  # of the second that was broken, once more


def test_a_window_that_ends_in_the_future_ends_then(server: Running) -> None:
    now = time.time()
    start = np.datetime64(int((now - 20) * 1e9), "ns")

    def live(seconds: float, n: int) -> list[bytes]:
        block = wave(0, n)
        moved = type(block)(block.data, block.ids, start + np.timedelta64(int(seconds * 1e9), "ns"), 100.0)
        return list(pack(moved))

    server.publish(*live(0, 1000))
    begin = time.strftime("%Y,%m,%d,%H,%M,%S", time.gmtime(now - 60))
    end = time.strftime("%Y,%m,%d,%H,%M,%S", time.gmtime(now + 1))
    with Plain(server.port) as client:
        client.expect("STATION AAA XX", f"TIME {begin} {end}")
        client.say("END")
        assert len(client.packets(len(live(0, 1000)))) == len(live(0, 1000))
        server.publish(*live(10, 1000))
        server.publish(*live(25, 500))  # after the window: nothing more can come
        rest = client.packets()
    assert 0 < len(rest) <= len(live(10, 1000))


def test_info(tmp_path: Path, archive: Archive) -> None:
    with running(tmp_path / "state", archive=archive, organization="Test <centre>") as server:
        server.publish(*records(1200, 1000, seed=9), *records(0, 1000, id="YY.CCC.10.BHE", version=3))
        with Plain(server.port) as client:
            root = ElementTree.fromstring(client.info_3("ID"))
            assert root.tag == "seedlink" and root.attrib["organization"] == "Test <centre>"
            names = {e.attrib["name"] for e in ElementTree.fromstring(client.info_3("CAPABILITIES"))}
            assert {"dialup", "multistation", "window-extraction", "info:gaps"} <= names
            stations = ElementTree.fromstring(client.info_3("STATIONS"))
            assert [(s.attrib["network"], s.attrib["name"]) for s in stations] == [
                ("XX", "AAA"),
                ("YY", "CCC"),
            ]
            streams = ElementTree.fromstring(client.info_3("STREAMS"))
            assert [(s.attrib["location"], s.attrib["seedname"]) for s in streams.iter("stream")] == [
                ("", "HHZ"),
                ("00", "HHN"),
                ("10", "BHE"),
            ]
            first = next(streams.iter("stream")).attrib
            assert first["begin_time"] == "2021/03/14 00:00:00.0000"
            assert first["end_time"] == "2021/03/14 00:20:10.0000" and first["type"] == "D"
            gaps = ElementTree.fromstring(client.info_3("GAPS"))
            found = [(g.attrib["begin_time"][11:19], g.attrib["end_time"][11:19]) for g in gaps.iter("gap")]
            assert found == [("00:10:00", "00:11:40"), ("00:16:40", "00:20:00")]
            client.say("INFO NONSENSE")
            packet = client.packet()
            assert not isinstance(packet, str) and packet.record[15:18] == b"ERR"
            client.say("CAT")
            lines = [client.file.readline() for _ in range(2)]
            assert [line.split()[:2] for line in lines] == [[b"XX", b"AAA"], [b"YY", b"CCC"]]
            assert client.file.read(3) == b"END"
        with Plain(server.port) as client:
            client.expect("SLPROTO 4.0")

            def info(text: str) -> dict:
                client.say(f"INFO {text}")
                packet = client.packet()
                assert not isinstance(packet, str) and packet.form[0] == "J"
                document = json.loads(packet.record)
                assert {"software", "organization"} <= document.keys()
                assert ("error" in document) == (packet.form == "JE")
                return document

            assert "SLPROTO:4.0" in info("ID")["software"]
            assert info("CAPABILITIES")["capability"]
            assert info("FORMATS")["format"]["3"]["mimetype"] == "application/vnd.fdsn.mseed3"
            assert [s["id"] for s in info("STATIONS")["station"]] == ["XX_AAA", "YY_CCC"]
            (only,) = info("STREAMS YY_* *_E.3D")["station"]
            assert [(s["id"], s["format"]) for s in only["stream"]] == [("10_B_H_E", "3")]
            assert only["begin_seq"] == BASE + 1 and only["stream"][0]["begin_time"].startswith(
                "2021-03-14T00:00:00"
            )
            assert info("EVERYTHING")["error"]["code"] == "ARGUMENTS"
            # Also while packets come.
            client.expect("STATION YY_*", "DATA")
            client.say("END")
            assert info("ID")
            server.publish(*records(20, 100, id="YY.CCC.10.BHE"))
            assert len(client.packets(1)) == 1


@pytest.mark.parametrize(
    ("version", "commands", "answers"),
    [
        (3, ["STATION NOPE XX"], ["ERROR"]),
        (3, ["STATION AAA"], ["OK"]),
        (3, ["STATION A* X?"], ["OK"]),
        (3, ["STATION A* XX", "DATA 000001"], ["OK", "ERROR"]),
        (3, ["STATION A* XX", "DATA 000001 2021,3,14,0,0,0"], ["OK", "OK"]),
        (3, ["STATION AAA XX", "SELECT toolongselector"], ["OK", "ERROR"]),
        (3, ["STATION AAA XX", "SELECT HH[Z]"], ["OK", "ERROR"]),
        (3, ["STATION AAA XX", "DATA GGG"], ["OK", "ERROR"]),
        (3, ["STATION AAA XX", "TIME 2021,13,1,0,0,0"], ["OK", "ERROR"]),
        (3, ["STATION AAA XX", "TIME 2021,2,1,0,0,0 2020,1,1,0,0,0"], ["OK", "ERROR"]),
        (3, ["END"], ["ERROR"]),
        (3, ["NONSENSE"], ["ERROR"]),
        (3, ["SLPROTO 5.0"], ["ERROR"]),
        (4, ["SELECT *"], ["ERROR UNEXPECTED"]),
        (4, ["STATION XX_*", "SELECT"], ["OK", "ERROR ARGUMENTS"]),
        (4, ["STATION XX_*", "DATA 5"], ["OK", "ERROR ARGUMENTS"]),
        (4, ["STATION XX_AAA", "DATA 5 2021-01-01T00:00:00Z"], ["OK", "OK"]),
        (4, ["STATION XX_AAA", "DATA x"], ["OK", "ERROR ARGUMENTS"]),
        (4, ["STATION XX_AAA", "SLPROTO 4.0"], ["OK", "ERROR UNEXPECTED"]),
        (4, ["STATION XX_AAA", "SELECT *:3"], ["OK", "ERROR ARGUMENTS"]),
        (4, ["BATCH", "CAT", "FETCH", "TIME", "END"], ["ERROR U"] * 5),
        (4, ["AUTH USERPASS me secret"], ["ERROR UNSUPPORTED"]),
        (4, ["USERAGENT test/1 lib/2"], ["OK"]),
        (4, ["GETCAPABILITIES"], ["SLPROTO:4.0"]),
    ],
)
def test_answers(server: Running, version: int, commands: list[str], answers: list[str]) -> None:
    server.publish(*records(n=100))
    with Plain(server.port) as client:
        if version == 4:
            client.expect("SLPROTO 4.0")
        for command, answer in zip(commands, answers):
            assert client.ask(command).startswith(answer), command


def test_commands_may_come_all_at_once_in_any_case_with_any_line_end(server: Running) -> None:
    data = records(n=1000)
    server.publish(*data)
    with Plain(server.port) as client:
        client.socket.sendall(b"slproto 4.0\r\n\r\n\nstation xx_aaa\rSelect *\ndata all\r\nendfetch\r")
        assert [client.file.readline() for _ in range(4)] == [b"OK\r\n"] * 4
        assert [p.record for p in client.packets()] == data
    with Plain(server.port) as client:
        client.expect("BATCH")
        client.socket.sendall(b"STATION AAA XX\rSELECT HHZ\rFETCH\rEND\r")
        assert [p.record for p in client.packets()] == data


def test_a_station_that_comes_later_is_sent_when_it_matches(server: Running) -> None:
    server.publish(*records(n=100))
    with Plain(server.port) as wild, Plain(server.port) as exact:
        wild.expect("STATION * XX", "DATA")
        wild.say("END")
        exact.expect("SLPROTO 4.0", "STATION XX_NEW", "DATA")
        exact.say("END")
        assert wild.silent(0.1) and exact.silent(0.1)
        new = records(n=1000, id="XX.NEW..HHZ")
        server.publish(*new)
        assert [p.record for p in wild.packets(len(new))] == new
        assert [p.record for p in exact.packets(len(new))] == new


def test_a_slow_client_delays_nobody_and_loses_nothing(tmp_path: Path) -> None:
    """One client reads nothing while more is published than memory and buffers hold; another gets all."""
    data = records(n=200_000)
    with running(tmp_path) as server:
        server.server.ring.live_bytes = 200_000
        server.publish(data[0])
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", server.port))
        slow.settimeout(20)
        with Plain(server.port) as quick:
            for client in (slow, quick.socket):
                for command in (b"STATION AAA XX\r\n", b"DATA\r\n"):
                    client.sendall(command)
                    assert client.recv(4) == b"OK\r\n"
                client.sendall(b"END\r\n")
            worst = 0.0
            turns = 4
            for _ in range(turns):
                begun = time.perf_counter()
                server.publish(*data)
                assert [p.record for p in quick.packets(len(data))] == data
                worst = max(worst, time.perf_counter() - begun)
            assert worst < 5.0
            got = b""
            while len(got) < turns * len(data) * 520:
                got += slow.recv(1 << 16)
        slow.close()
    assert [got[at + 8 : at + 520] for at in range(0, len(got), 520)] == data * turns
    numbers = [int(got[at + 2 : at + 8], 16) for at in range(0, len(got), 520)]
    assert numbers == list(range(2, turns * len(data) + 2))


def test_limits(tmp_path: Path) -> None:
    limits = Limits(connections_per_address=3, stations=3, wildcards=1, selectors=2, errors=5, line_bytes=200)
    with running(tmp_path, limits=limits) as server:
        server.publish(*records(n=100))
        with Plain(server.port) as one, Plain(server.port) as two, Plain(server.port) as three:
            one.expect("SLPROTO 4.0", "STATION A", "SELECT *", "SELECT *")
            assert one.ask("SELECT *").startswith("ERROR LIMIT")
            one.expect("STATION A*")
            assert one.ask("STATION B*").startswith("ERROR LIMIT")
            one.expect("STATION B")
            assert one.ask("STATION C").startswith("ERROR LIMIT")
            assert two.ask("x" * 300) == "ERROR" and two.file.read() == b""
            for _ in range(5):
                assert three.ask("NONSENSE") == "ERROR"
            assert three.ask("NONSENSE") == "ERROR" and three.file.read() == b""
        idle = [Plain(server.port) for _ in range(4)]
        time.sleep(0.1)
        with pytest.raises((ConnectionError, AssertionError)):
            assert idle[3].ask("HELLO").startswith("SeedLink")
        for client in idle:
            client.close()


def test_a_silent_client_is_not_kept(tmp_path: Path) -> None:
    with running(tmp_path, limits=Limits(handshake_s=0.2)) as server, Plain(server.port) as client:
        assert client.file.read() == b""


def test_noise_never_stops_the_server(server: Running) -> None:
    server.publish(*records(n=1000))
    chance = random.Random(4)
    words = b"STATION SELECT DATA END INFO TIME FETCH SLPROTO 4.0 AAA XX * ! -1 STREAMS ALL ENDFETCH".split()
    words += [b"F" * 18, b"2021,3,14,0,0,0", b"9999,99,99,99,99,99", b"2021-03-14T00:00:00Z"]
    words += [b"\0", b"\xff\xfe", b"0" * 60, b"*?" * 30]
    for _ in range(150):
        with socket.create_connection(("127.0.0.1", server.port), 5) as client:
            lines = [
                b" ".join(chance.choices(words, k=chance.randint(0, 4))) for _ in range(chance.randint(1, 12))
            ]
            noise = (
                b"\r\n".join(lines) if chance.random() < 0.8 else chance.randbytes(chance.randint(1, 3000))
            )
            try:
                client.sendall(noise + b"\r")
                if chance.random() < 0.5:
                    client.settimeout(0.02)
                    client.recv(1 << 16)
            except (TimeoutError, ConnectionError):
                pass
    assert len(fetch(server.port, "STATION AAA XX", "FETCH")) == len(records(n=1000))
    deadline = time.monotonic() + 10
    while server.server._sessions and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not server.server._sessions


def test_only_open_data_is_served(tmp_path: Path, archive: Archive, caplog: pytest.LogCaptureFixture) -> None:
    (archive.path / "access.toml").write_text(
        '[[rules]]\nid = "XX.AAA.00.*"\naccess = "group"\ngroups = ["team"]\n'
        '[[rules]]\nid = "ZZ"\naccess = "group"\ngroups = ["team"]\ncontact = "owner@example.org"\n'
    )
    access = Access.load(archive.path)
    with running(tmp_path / "state", archive=archive, access=access) as server:
        server.publish(*records(n=500, id="ZZ.SEC..HHZ"), *records(1000, n=500, id="XX.AAA.00.HHZ"))
        new = records(1000, n=500)
        server.publish(*new)
        got = fetch(server.port, "STATION AAA XX", "TIME 2021,3,14,0,0,0 2021,3,15,0,0,0")
        assert {r[13:18] for r in got} == {b"  HHZ"} and got[-len(new) :] == new
        with Plain(server.port) as client:
            assert client.ask("STATION SEC ZZ") == "ERROR"
            assert "SEC" not in client.info_3("ALL") and "HHN" not in client.info_3("ALL")
        assert fetch_4(server.port, "STATION ZZ_*", "DATA ALL") == []
        assert fetch(server.port, "STATION * *", "FETCH") == new
    lines = [r.getMessage() for r in caplog.records if r.name == "kaname.access"]
    assert any("ZZ.SEC..HHZ" in line and "owner@example.org" in line for line in lines)


def test_over_tls_a_user_may_have_more(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=localhost", "-days", "2", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(certificate, key)
    theirs = ssl.create_default_context(cafile=str(certificate))
    theirs.check_hostname = False
    (tmp_path / "access.toml").write_text('[[rules]]\nid = "ZZ"\naccess = "group"\ngroups = ["team"]\n')
    access = Access.load(tmp_path)
    access.users.put("anna", "a-long-password", access.realm, groups=["team"])
    data = records(n=500, id="ZZ.SEC..HHZ")
    with running(tmp_path / "state", access=access, ssl=ours) as server:
        server.publish(*data)
        for password, expected in (("wrong password", []), ("a-long-password", data)):
            with Plain(server.port, tls=theirs) as client:
                assert "AUTH:USERPASS" in client.ask("HELLO") and client.file.readline()
                client.expect("SLPROTO 4.0")
                answer = client.ask(f"AUTH USERPASS anna {password.split()[0]}")
                assert answer.startswith("OK" if expected else "ERROR AUTH")
                client.expect("STATION ZZ_*", "DATA ALL")
                client.say("ENDFETCH")
                assert [p.record for p in client.packets()] == expected


def test_refusals_of_the_system_say_what_is_wrong(tmp_path: Path) -> None:
    from kaname.core.errors import InputError, StorageError

    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "seedlink.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(StorageError, match=r"seedlink\.sqlite"), running(tmp_path / "bad"):
        pass
    with running(tmp_path / "one") as server:
        with pytest.raises(StorageError, match="another process"), running(tmp_path / "one"):
            pass  # two servers would give the same numbers twice
        with pytest.raises(StorageError, match="cannot listen"), running(tmp_path / "two", port=server.port):
            pass
        assert server.publish(b"this is no record" * 100) == 0
    with pytest.raises(InputError, match="megabyte"), running(tmp_path / "three", depth_bytes=10):
        pass
