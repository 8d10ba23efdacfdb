"""A data centre on a free port, made of the records, stations and events that ObsPy ships."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import obspy
import pytest
import uvicorn

from kaname.archive.store import Archive
from kaname.center.app import Center
from kaname.center.connection import Connection
from kaname.center.holdings import Holdings
from kaname.center.serving import bind
from kaname.center.settings import Settings


@dataclass
class Served:
    """A data centre that runs."""

    url: str
    root: Path
    holdings: Holdings

    def service(self, name: str, rest: str = "query") -> str:
        """Return the address of a resource of a service."""
        return f"{self.url}/fdsnws/{name}/1/{rest}"


@contextlib.contextmanager
def running(root: Path, *, stations: Any = (), events: Any = (), **settings: Any) -> Iterator[Served]:
    """Serve an archive on a free port while the block lasts."""
    holdings = Holdings(root, stations=stations, events=events, settings=Settings(**settings))
    config = uvicorn.Config(
        Center(holdings).application(),
        http=Connection,
        log_level="critical",
        access_log=False,
        lifespan="off",
    )
    server = uvicorn.Server(config)
    listening = bind("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield Served(f"http://127.0.0.1:{listening.getsockname()[1]}", root, holdings)
    finally:
        server.should_exit = True
        thread.join(timeout=20)
        listening.close()


def make_archive(root: Path) -> Path:
    """Make an archive: BW.RJOB (30 s, three components, 2009) and four stations at Unterhaching (2010)."""
    source = root.with_name(f"{root.name}-source")
    source.mkdir()
    stream = obspy.read()
    for trace in stream:
        trace.data = (100 * trace.data).astype("int32")
    stream.write(str(source / "rjob.mseed"), format="MSEED", encoding="STEIM2", reclen=512)
    data = Path(obspy.__file__).parent / "signal" / "tests" / "data"
    with Archive(root) as archive:
        report = archive.add([source, *sorted(data.glob("BW.UH*.cut.slist.gz"))])
        assert not report.failures
    return root


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive that no test changes."""
    return make_archive(tmp_path_factory.mktemp("center") / "archive")


@pytest.fixture(scope="session")
def station_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """StationXML of GR.FUR, GR.WET and BW.RJOB with responses."""
    path = tmp_path_factory.mktemp("stations") / "stations.xml"
    obspy.read_inventory().write(str(path), format="STATIONXML")
    return path


@pytest.fixture(scope="session")
def event_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """QuakeML of three events with magnitudes 4.4, 4.3 and 3.0."""
    path = tmp_path_factory.mktemp("events") / "example.xml"
    with pytest.warns(UserWarning, match="QuakeML URI"):
        obspy.read_events().write(str(path), format="QUAKEML")
    return path


@pytest.fixture(scope="session")
def centre(archive: Path, station_file: Path, event_file: Path) -> Iterator[Served]:
    """A data centre that runs for all tests, without limits that they would meet."""
    with running(archive, stations=[station_file], events=[event_file], name="Test centre") as served:
        yield served


@dataclass
class Reply:
    """What an application answered."""

    status: int
    headers: dict[str, str]
    body: bytes


Ask = Callable[..., Reply]


def asking(application: Any) -> Ask:
    """Return what calls an ASGI application without a network, thousands of times."""

    async def ask(target: str, method: str, body: bytes, headers: dict[str, str]) -> Reply:
        path, _, query = target.partition("?")
        scope = {
            **{"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method},
            **{"scheme": "http", "path": path, "raw_path": path.encode(), "root_path": ""},
            **{"query_string": query.encode("latin-1"), "client": ("127.0.0.1", 1)},
            "server": ("127.0.0.1", 80),
            "headers": [(b"host", b"here"), *((k.lower().encode(), v.encode()) for k, v in headers.items())],
        }
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await application(scope, receive, send)
        return Reply(
            sent[0]["status"],
            {k.decode(): v.decode("latin-1") for k, v in sent[0]["headers"]},
            b"".join(message.get("body", b"") for message in sent[1:]),
        )

    runner = asyncio.Runner()

    def call(target: str, *, method: str = "GET", body: bytes = b"", **headers: str) -> Reply:
        return runner.run(ask(target, method, body, headers))

    return call


@pytest.fixture(scope="session")
def ask(centre: Served) -> Ask:
    """The application of the data centre, asked without a network."""
    return asking(Center(centre.holdings).application())
