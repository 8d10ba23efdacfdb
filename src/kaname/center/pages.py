"""The web page of the data centre, and the JSON that it and programs are given."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from functools import partial
from importlib.resources import files
from typing import Any

import numpy as np
from anyio.to_thread import run_sync
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kaname import __version__
from kaname.center.answers import base_of, document
from kaname.center.errors import ServiceError
from kaname.center.holdings import Holdings
from kaname.center.metadata import FOREVER
from kaname.center.parameters import SERVICES, Parameter, read_time
from kaname.core.errors import InputError
from kaname.core.geo import EARTH_RADIUS_KM, on_sphere
from kaname.core.time import NS_PER_S, isoformat
from kaname.report.coastlines import load

Guard = Callable[[Any, Callable[[Request], Awaitable[Response]]], Callable[[Request], Awaitable[Response]]]

_MEDIA = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_STATIC = ("center.css", "center.js", "texts.js")
# Nothing is ever asked of another host, even if something slipped through.
_POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
_HEADERS = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}
_MOST_SAMPLES = 30_000_000
_POINTS_ASKED = Parameter("points", "int", "stretches to give", low=1, high=4000)
_MOST_ROWS = 2000
_EVENTS = 500
_EVENT_COLUMNS = (
    *("event_id", "time", "latitude", "longitude", "depth_km"),
    *("magnitude", "magnitude_type", "quality", "catalog"),
)
_POINTS = 20_000


class Pages:
    """The page and its JSON twins.

    Parameters
    ----------
    holdings
        What the data centre holds.
    """

    def __init__(self, holdings: Holdings) -> None:
        self.holdings = holdings
        self._coast: tuple[int, bytes] | None = None

    def routes(self, guard: Guard) -> list[Route]:
        """Return the routes; `guard` wraps what answers."""
        answers = {
            "center.json": self._center,
            "stations.json": self._stations,
            "availability.json": self._availability,
            "events.json": self._events,
            "waveform.json": self._waveform,
            "coastlines.json": self._coastlines,
        }
        routes = [Route(f"/{name}", guard(None, partial(self._json, make))) for name, make in answers.items()]
        routes += [Route(f"/static/{name}", guard(None, partial(_static, name))) for name in _STATIC]
        return [Route("/", guard(None, partial(_static, "index.html"))), *routes]

    async def _json(self, make: Callable[[Request], Any], request: Request) -> Response:
        content = await run_sync(make, request)
        body = content if isinstance(content, bytes) else bytes(JSONResponse(content).body)
        return document(request, body, "application/json", _HEADERS)

    def _center(self, request: Request) -> dict[str, Any]:
        """Name, services and how much there is."""
        base = base_of(request, self.holdings.settings.url)
        return {
            "name": self.holdings.settings.name,
            "version": __version__,
            "url": base,
            "services": {s.name: f"{base}/fdsnws/{s.name}/1/" for s in SERVICES.values()},
            "n_channel": len(self.holdings.archive.channels()),
            "n_station": len({s.code for s in self.holdings.stations.stations}),
            "n_event": len(self.holdings.events.table),
        }

    def _stations(self, request: Request) -> list[dict[str, Any]]:
        """One row per station: where it is, and since when."""
        return [
            {
                "network": station.parent.code if station.parent else "",
                "station": station.code,
                "latitude": station.fields["latitude"],
                "longitude": station.fields["longitude"],
                "elevation_m": station.fields["elevation"],
                "site": station.fields["site"],
                "start": None if station.start == -FOREVER else _moment(station.start),
                "end": None if station.end == FOREVER else _moment(station.end),
            }
            for station in self.holdings.stations.stations
        ]

    def _availability(self, request: Request) -> dict[str, Any]:
        """One row per channel: from when to when there are samples, in at most 200 pieces."""
        ids = self.holdings.archive.channels()
        rows = []
        for identifier, spans in self.holdings.archive.each_span(ids[:_MOST_ROWS], None, None):
            start, following = spans["start"], np.maximum.accumulate(spans["following"])
            n_gap = 0
            if len(start) > 1:
                gaps = start[1:] - following[:-1]
                wide = np.flatnonzero(gaps > 0.5 * NS_PER_S / spans["rate"][1:])
                n_gap = len(wide)
                shown = np.sort(wide[np.argsort(-gaps[wide], kind="stable")[:199]])
            else:
                shown = np.zeros(0, int)
            firsts = start[np.concatenate([[0], shown + 1])]
            lasts = following[np.concatenate([shown, [len(spans) - 1]])]
            rows.append(
                {
                    "id": identifier,
                    "sampling_rate_hz": float(spans["rate"][-1]),
                    "n_gap": n_gap,
                    "spans": [[_moment(a), _moment(b)] for a, b in zip(firsts.tolist(), lasts.tolist())],
                    "restricted": self.holdings.is_restricted(identifier),
                }
            )
        return {"channels": rows, "n_channel": len(ids)}

    def _events(self, request: Request) -> list[dict[str, Any]]:
        """The latest events, newest first."""
        table = self.holdings.events.table.tail(_EVENTS).iloc[::-1]
        rows: list[dict[str, Any]] = table[list(_EVENT_COLUMNS)].to_dict("records")
        for row in rows:
            row["time"] = isoformat(np.datetime64(row["time"], "ns"))
            for name, value in row.items():
                if isinstance(value, float) and not math.isfinite(value):
                    row[name] = None
        return rows

    def _waveform(self, request: Request) -> dict[str, Any]:
        """Least and greatest sample of each of many stretches of a window: what a screen can show."""
        known = {"id", "start", "end", "points"}
        asked = request.query_params
        if set(asked) - known or not {"id", "start", "end"} <= set(asked):
            raise ServiceError(400, "expected id=NET.STA.LOC.CHA&start=TIME&end=TIME[&points=NUMBER]")
        n_point = _POINTS_ASKED.read(asked.get("points", "1000"))
        try:
            start, end = read_time(asked["start"]), read_time(asked["end"])
        except (InputError, ValueError) as problem:
            raise ServiceError(400, f"start or end is no time: {problem}") from problem
        identifier = asked["id"]
        if not start < end or identifier not in self.holdings.archive.channels():
            raise ServiceError(400, f"no channel {identifier[:40]!r}, or start is not before end")
        window = np.datetime64(start, "ns"), np.datetime64(end, "ns")
        decision = self.holdings.access.decide(None, identifier, *window)
        if not decision.allowed:
            raise ServiceError(403, f"{decision.reason} {decision.contact}".strip())
        n_sample = sum(
            float((np.minimum(s["following"], end) - np.maximum(s["start"], start)) @ s["rate"]) / NS_PER_S
            for _, s in self.holdings.archive.each_span([identifier], start, end)
        )
        if n_sample > _MOST_SAMPLES:
            raise ServiceError(413, f"the window has more than {_MOST_SAMPLES} samples; ask for less time")
        read = self.holdings.archive.read([identifier], *window)
        traces = [_envelope(block, start, end, n_point) for block in read.blocks]
        return {
            "id": identifier,
            "start": _moment(start),
            "end": _moment(end),
            "traces": traces,
            "failures": [row["message"] for row in read.failures],
        }

    def _coastlines(self, request: Request) -> bytes:
        """Land and borders about the stations, or the events: lines of longitude and latitude [degree]."""
        stations, events = self.holdings.stations, self.holdings.events
        latitude, longitude = stations.latitude, stations.longitude
        if not len(latitude):
            latitude, longitude = events.columns["latitude"], events.columns["longitude"]
        key = hash((latitude.tobytes(), longitude.tobytes()))
        if self._coast is None or self._coast[0] != key:
            self._coast = key, bytes(JSONResponse(_coast(latitude, longitude)).body)
        return self._coast[1]


def _coast(latitude: NDArray[np.float64], longitude: NDArray[np.float64]) -> dict[str, Any]:
    known = np.isfinite(latitude) & np.isfinite(longitude)
    if not known.any():
        latitude, longitude, known = np.zeros(1), np.zeros(1), np.ones(1, bool)
    points = on_sphere(latitude[known], longitude[known], radius_km=1.0)
    middle = points.mean(axis=1)
    middle /= np.linalg.norm(middle) or 1.0
    centre = math.degrees(math.asin(middle[2])), math.degrees(math.atan2(middle[1], middle[0]))
    reach_km = EARTH_RADIUS_KM * float(np.arccos(np.clip(middle @ points, -1, 1)).max())
    radius_km = min(20_000.0, 2.0 * reach_km + 60.0)
    drawn = {}
    for name, kind in (("lines", "land"), ("borders", "border")):
        resolution_km = radius_km / 1500
        while True:
            lines = load(kind).near(*centre, radius_km, resolution_km=resolution_km)
            if sum(line.shape[1] for line in lines) <= _POINTS:
                break
            resolution_km *= 1.5
        drawn[name] = [np.round(line[::-1].T, 4).tolist() for line in lines if line.shape[1] > 1]
    head = {"source": "Natural Earth", "latitude": centre[0], "longitude": centre[1]}
    return {**head, "radius_km": radius_km, **drawn}


def _envelope(block: Any, start: int, end: int, n_point: int) -> dict[str, Any]:
    """Return a block, or of stretches as long as a pixel the least and greatest sample."""
    samples = block.data[0]
    width = max(1, math.ceil((end - start) / NS_PER_S * block.sampling_rate / n_point))
    edges = np.arange(0, samples.size, width)
    least, greatest = np.minimum.reduceat(samples, edges), np.maximum.reduceat(samples, edges)
    step_s = width / block.sampling_rate
    out = {"start": isoformat(block.start), "step_s": step_s, "unit": block.unit}
    columns = [least, greatest] if width > 1 else [least]
    names = ("least", "greatest") if width > 1 else ("samples",)
    return {**out, **{n: [_number(v) for v in c.tolist()] for n, c in zip(names, columns)}}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _moment(ns: int) -> str:
    return isoformat(np.datetime64(int(ns), "ns"))


async def _static(name: str, request: Request) -> Response:
    body = (files("kaname.center") / "static" / name).read_bytes()
    headers = {**_HEADERS, "Cache-Control": "no-cache"}
    return document(request, body, f"{_MEDIA[name.rsplit('.', 1)[1]]}; charset=utf-8", headers)
