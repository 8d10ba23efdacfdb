"""FDSN web services: dataselect by bulk request, station, and event (https://www.fdsn.org/webservices)."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kaname.archive.fetch import Piece, check_miniseed, days, write_new
from kaname.archive.fetch_http import FetchError, PartialError, Server
from kaname.core.errors import FormatError, InputError
from kaname.core.files import replacing
from kaname.core.provenance import digest
from kaname.core.time import as_time, isoformat

_SHORTEST = np.timedelta64(3600, "s")


@dataclass(frozen=True)
class Channel:
    """An epoch of a channel."""

    id: str
    start: np.datetime64
    end: np.datetime64


class Fdsn:
    """The services of one data centre.

    Parameters
    ----------
    url
        Its address, or the name by which ObsPy knows it, such as ``EARTHSCOPE`` or ``GEOFON``.
    server
        Patience and login; with a login restricted data are asked for (``queryauth``).

    Raises
    ------
    InputError
        When the name is not known.
    """

    def __init__(self, url: str, server: Server) -> None:
        if "://" not in url:
            from obspy.clients.fdsn.header import URL_MAPPINGS

            if url.upper() not in URL_MAPPINGS:
                known = ", ".join(sorted(URL_MAPPINGS))
                raise InputError(f"no data centre {url!r}; give an address, http://..., or one of {known}")
            url = URL_MAPPINGS[url.upper()]
        self.url = url.rstrip("/")
        self.server = server

    def _service(self, name: str, method: str = "query") -> str:
        return f"{self.url}/fdsnws/{name}/1/{method}"

    def channels(self, ids: Sequence[str], start: np.datetime64, end: np.datetime64) -> list[Channel]:
        """Ask the station service which channels match and when they ran.

        Parameters
        ----------
        ids
            ``NET.STA.LOC.CHA``, with ``*`` and ``?``.
        start, end
            UTC.

        Raises
        ------
        FetchError
            When the service refuses or goes on failing.
        FormatError
            When its answer is not the text that the standard describes.
        """
        body = "level=channel\nformat=text\n" + "\n".join(_line(i, start, end) for i in ids) + "\n"
        content = self.server.ask(self._service("station"), body=body)
        return [] if content is None else sorted(set(_channels(content)), key=lambda c: (c.id, c.start))

    def pieces(
        self, ids: Sequence[str], start: np.datetime64, end: np.datetime64, *, hours: float = 24.0
    ) -> list[Piece]:
        """Return one request per station and stretch of time, for the channels that ran then.

        Parameters
        ----------
        ids, start, end
            As `channels`.
        hours
            Length of a stretch.
        """
        stations: dict[str, list[Channel]] = {}
        for channel in self.channels(ids, start, end):
            stations.setdefault(".".join(channel.id.split(".")[:2]), []).append(channel)
        out = []
        for low, high in days(start, end, hours):
            for station, channels in stations.items():
                names = sorted({c.id for c in channels if c.start < high and c.end > low})
                if names:
                    out.append(self._piece(station, names, low, high))
        return out

    def _piece(self, station: str, names: list[str], low: np.datetime64, high: np.datetime64) -> Piece:
        key = digest("fdsn", self.url, names, str(low), str(high))
        body = "".join(_line(name, low, high) + "\n" for name in names)

        def get(folder: Path) -> Path | None:
            method = "queryauth" if self.server.login else "query"
            url = self._service("dataselect", method)
            content = self.server.ask(url, body=body, check=check_miniseed)
            return None if content is None else write_new(folder, key, [content])

        return Piece(f"{station} {isoformat(low, decimals=0)} to {isoformat(high, decimals=0)}", key, get)

    def save_stations(
        self, ids: Sequence[str], start: np.datetime64, end: np.datetime64, path: Path
    ) -> Path | None:
        """Write StationXML with responses; ``None`` when the service knows none.

        Raises
        ------
        FetchError
            When the service refuses or goes on failing.
        StorageError
            When the disk refuses.
        """
        body = "level=response\nformat=xml\n" + "\n".join(_line(i, start, end) for i in ids) + "\n"
        content = self.server.ask(self._service("station"), body=body, check=_check_xml)
        return None if content is None else _save(content, path)

    def save_events(
        self, start: np.datetime64, end: np.datetime64, folder: Path, params: Mapping[str, str]
    ) -> tuple[list[Path], list[str]]:
        """Write QuakeML, a file per stretch of time that the service gives at once; those there stay.

        A stretch that the service finds too large (413) is halved.

        Parameters
        ----------
        start, end
            Origin times, UTC.
        folder
            Where to.
        params
            Further parameters of the service, such as ``minmagnitude``.

        Returns
        -------
        files, nodata
            Files, those of earlier runs too, and the stretches without events.

        Raises
        ------
        FetchError
            When the service refuses or goes on failing.
        """
        if not start < end:
            raise InputError(f"empty time range: {start} to {end}")
        files: list[Path] = []
        empty: list[str] = []
        pending = [(start, end)]
        while pending:
            low, high = pending.pop()
            name = "-".join(isoformat(t, decimals=0).translate(_NO_MARKS) for t in (low, high))
            path = folder / f"events-{name}-{digest(self.url, sorted(params.items()))[:8]}.xml"
            if path.is_file():
                files.append(path)
                continue
            given = {**params, "starttime": _time(low), "endtime": _time(high), "format": "xml"}
            try:
                content = self.server.ask(self._service("event"), params=given, check=_check_xml)
            except FetchError as error:
                if 413 not in error.args or high - low < _SHORTEST:
                    raise
                middle = low + (high - low) // 2
                pending += [(middle, high), (low, middle)]
                continue
            if content is None:
                empty.append(f"{isoformat(low)} to {isoformat(high)}")
            else:
                files.append(_save(content, path))
        return files, empty


_NO_MARKS = str.maketrans("", "", "-:")


def _time(time: np.datetime64) -> str:
    return isoformat(time, decimals=6)[:-1]


def _line(identifier: str, start: np.datetime64, end: np.datetime64) -> str:
    if identifier.count(".") != 3:
        raise InputError(f"{identifier!r} is not NET.STA.LOC.CHA; * and ? may stand for letters")
    network, station, location, channel = identifier.split(".")
    return (
        f"{network or '*'} {station or '*'} {location or '--'} {channel or '*'} {_time(start)} {_time(end)}"
    )


def _channels(content: bytes) -> Iterator[Channel]:
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        words = [word.strip() for word in line.split("|")]
        if len(words) != 17:
            raise FormatError(
                f"line {number} of the station service has {len(words)} columns, expected 17: {line[:80]!r}"
            )
        start, end = (words[15], words[16])
        yield Channel(
            ".".join(words[:4]),
            as_time(start) if start else np.datetime64("1900-01-01", "ns"),
            _far(end),
        )


def _far(text: str) -> np.datetime64:
    """Return the end of an epoch; none, and years beyond 2261 that stand for none, are the last."""
    last = np.datetime64("2261-01-01", "ns")
    return last if not text or text[:4] > "2260" else as_time(text)


def _check_xml(content: bytes) -> None:
    try:
        ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise PartialError(f"{len(content)} bytes that are no whole XML: {error}") from error


def _save(content: bytes, path: Path) -> Path:
    with replacing(path) as partial:
        partial.write_bytes(content)
    return path
