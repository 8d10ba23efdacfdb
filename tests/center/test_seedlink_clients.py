"""The SeedLink server with the clients people have: ObsPy's, and EarthScope's where it is installed."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import obspy
import pytest
from obspy import UTCDateTime
from obspy.clients.seedlink.basic_client import Client
from obspy.clients.seedlink.client import seedlinkconnection
from obspy.clients.seedlink.easyseedlink import EasySeedLinkClient
from obspy.clients.seedlink.slclient import SLClient
from seedlink_lab import BadLine, records, running, wave

from kaname.archive.store import Archive
from kaname.formats.miniseed import write_miniseed

START = UTCDateTime("2021-03-14")


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    blocks = [
        wave(0, 60000),
        wave(0, 60000, id="XX.AAA.00.HHN", seed=2),
        wave(0, 30000, id="XX.BBB..BHZ", rate=50.0, seed=3),
    ]
    write_miniseed(blocks, tmp_path / "in.mseed")
    archive = Archive(tmp_path / "archive")
    archive.add([tmp_path / "in.mseed"])
    return archive


def test_basic_client_of_obspy(tmp_path: Path, archive: Archive) -> None:
    with running(tmp_path / "state", archive=archive) as server:
        server.publish(*records(600, 6000, seed=5))
        client = Client("127.0.0.1", server.port, timeout=20)
        assert client.get_info(level="station") == [("XX", "AAA"), ("XX", "BBB")]
        assert client.get_info(level="channel", cache=False) == [
            ("XX", "AAA", "", "HHZ"),
            ("XX", "AAA", "00", "HHN"),
            ("XX", "BBB", "", "BHZ"),
        ]
        (trace,) = client.get_waveforms("XX", "AAA", "", "HHZ", START + 10.25, START + 70.5)
        assert (trace.stats.starttime, trace.stats.endtime) == (START + 10.25, START + 70.5)
        np.testing.assert_array_equal(trace.data, wave(0, 60000).data[0, 1025:7051])
        stream = client.get_waveforms("*", "*", "*", "?H?", START + 100, START + 200)
        assert sorted(t.id for t in stream) == ["XX.AAA..HHZ", "XX.AAA.00.HHN", "XX.BBB..BHZ"]
        stream = client.get_waveforms(
            "XX", "AAA", "??", "HHZ", START + 590, START + 650
        )  # archive, then ring
        whole = np.concatenate([wave(0, 60000).data[0], wave(600, 6000, seed=5).data[0]])
        np.testing.assert_array_equal(stream[0].data, whole[59000:65001])


def test_easy_client_of_obspy(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        server.publish(*records(n=100))
        client = EasySeedLinkClient(f"127.0.0.1:{server.port}", autoconnect=False)
        client.conn.timeout = 20  # without one ObsPy 1.5.1 cannot connect
        client.connect()
        assert {"multistation", "info:streams"} <= set(client.capabilities)
        client.select_stream("XX", "AAA", "HH?")
        traces: list[obspy.Trace] = []
        client.on_data = traces.append  # type: ignore[method-assign]
        thread = threading.Thread(target=client.run, daemon=True)
        thread.start()
        deadline = time.monotonic() + 20
        while not traces and time.monotonic() < deadline:
            server.publish(*records(20, n=100, seed=1))
            time.sleep(0.05)
        client.conn.timeout = 0  # how it is stopped
        server.publish(*records(40, n=100, seed=1))
        thread.join(20)
        np.testing.assert_array_equal(traces[0].data, wave(20, 100, seed=1).data[0])


def test_every_packet_through_twenty_broken_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ObsPy's client behind a line that breaks, while packets come.

    ObsPy sleeps half a second at a time; here its clock runs fifty times as fast.
    """
    fast = 50.0
    clock = SimpleNamespace(time=lambda: time.time() * fast, sleep=lambda s: time.sleep(s / fast))
    monkeypatch.setattr(seedlinkconnection, "time", clock)
    a, b = records(n=60_000), records(n=60_000, id="XX.BBB..HHZ", seed=7)
    total = len(a) + len(b)
    received: list[tuple[int, bytes]] = []
    with running(tmp_path) as server:
        server.publish(a[0], b[0])
        line = BadLine(server.port, [9_000 + 517 * n for n in range(20)])
        client = SLClient(timeout=1e6)
        client.multiselect = "XX_AAA:HHZ,XX_BBB:HHZ"
        client.slconn.set_sl_address(f"127.0.0.1:{line.port}")
        client.slconn.set_net_delay(1)
        client.initialize()
        for stream in client.slconn.streams:
            stream.seqnum = 0  # from the first packet on

        def take(count: int, packet: object) -> bool:
            if not isinstance(packet, bytes):
                received.append((packet.get_sequence_number(), bytes(packet.msrecord)))  # type: ignore[attr-defined]
            return len(received) >= total

        thread = threading.Thread(target=client.run, args=(take,), daemon=True)
        thread.start()
        for at in range(1, len(a), 7):
            server.publish(*a[at : at + 7], *b[at : at + 7])
            time.sleep(0.02)
        thread.join(60)
        line.close()
    assert line.n_cut == 20
    for station, expected in ((b"AAA", a), (b"BBB", b)):
        got = [(n, record) for n, record in received if record[8:11] == station]
        assert [record for _, record in got] == expected
        assert [n for n, _ in got] == list(range(1, len(expected) + 1))


@pytest.mark.extra
@pytest.mark.parametrize("protocol", ["3", "4"])
def test_client_of_earthscope(tmp_path: Path, archive: Archive, protocol: str) -> None:
    """An independent client of both versions: its window, its reading of INFO, its resumption."""
    package = pytest.importorskip("seedlink_client")
    with running(tmp_path / "state", archive=archive) as server:
        new = records(600, 6000, seed=5)
        long = records(600, 3000, id="XX.BBB..BHZ", rate=50.0, version=3, length=4096)
        server.publish(*new, *long)

        def connect(**options: object) -> object:
            version = package.Protocol(protocol)
            return package.SeedLink("127.0.0.1", server.port, protocol=version, timeout=20, **options)

        with connect(dialup=True) as client:  # type: ignore[attr-defined]
            assert client.info_dict("STATIONS")
            client.add_stream("XX_AAA", "HHZ")
            client.add_stream("XX_BBB")
            packets = list(client.collect(reconnect=False))
        mine = [p for p in packets if p.station_id == "XX_AAA"]
        assert [p.payload for p in mine] == new
        theirs = [p for p in packets if p.station_id == "XX_BBB"]
        assert (protocol == "4") == ([p.payload for p in theirs] == long)
        with connect(dialup=True) as client:  # type: ignore[attr-defined]
            client.add_stream("XX_AAA", "HHZ", seqnum=mine[9].seqnum)
            assert [p.payload for p in client.collect(reconnect=False)] == new[10:]
