"""The data centre as a web application: who answers what, and what becomes of errors."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial

from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from kaname.center import availability, event, mirror, station
from kaname.center.answers import base_of, document, error, nothing
from kaname.center.dataselect import Records, Temporary, recode
from kaname.center.digest import Digest
from kaname.center.errors import ServiceError
from kaname.center.holdings import Holdings
from kaname.center.limits import Bucket
from kaname.center.pages import Pages
from kaname.center.parameters import SERVICES, Selection, Service, Values
from kaname.center.selecting import Plan, plan
from kaname.center.wadl import help_page, wadl
from kaname.center.workers import Shared
from kaname.core.errors import KanameError, StorageError
from kaname.core.time import NS_PER_S

log = logging.getLogger("kaname.center")

Answer = Callable[[Request], Awaitable[Response]]

_BODY_BYTES_PER_LINE = 200
_RETRY_S = 2.0


class Center:
    """The web application of a data centre.

    Parameters
    ----------
    holdings
        What it holds.
    shared
        What it shares with other worker processes.
    """

    def __init__(self, holdings: Holdings, *, shared: Shared | None = None) -> None:
        shared = shared or Shared()
        self.holdings = holdings
        self.settings = holdings.settings
        self.digest = Digest(holdings.access, shared)
        self.bucket = Bucket(self.settings.requests_per_s, self.settings.burst, shared.due)

    def application(self) -> Starlette:
        """Return the ASGI application."""
        copies = [
            Route(route.path, self._guarded(None, route.endpoint), methods=["GET"])
            for route in mirror.routes(self.holdings.archive, self.holdings.access, user=self.digest.asking)
        ]
        routes: list[BaseRoute] = [
            *self._service_routes(),
            *Pages(self.holdings).routes(self._guarded),
            Mount("/mirror", routes=copies),
        ]
        cors = Middleware(
            CORSMiddleware,
            allow_origins=["*"],
            allow_methods=["GET", "POST", "HEAD", "OPTIONS"],
            allow_headers=["*"],
            expose_headers=["*"],
        )
        handlers = {404: self._not_found, 405: self._not_found, 500: self._broken}
        return Starlette(routes=routes, middleware=[cors], exception_handlers=handlers)

    def _service_routes(self) -> list[Route]:
        answers = {
            "dataselect": self._dataselect,
            "station": self._station,
            "event": self._event,
            "availability": self._availability,
        }
        routes = []
        for service in SERVICES.values():
            at = f"/fdsnws/{service.name}/1"
            methods = ["GET", "POST"] if service.post else ["GET"]
            for name in service.methods:
                answer = self._guarded(service, answers[service.name])
                routes.append(Route(f"{at}/{name}", answer, methods=methods))
            for name, plain in (
                ("version", self._version),
                ("application.wadl", self._wadl),
                ("", self._help),
                *((each, self._list) for each in service.lists),
            ):
                routes.append(Route(f"{at}/{name}", self._guarded(service, partial(plain, service))))
        return routes

    def _guarded(self, service: Service | None, answer: Answer) -> Answer:
        """Return an answer that refuses who asks too often and words errors as the standard does."""

        async def guarded(request: Request) -> Response:
            try:
                wait_s = self.bucket.wait_s(request.client.host if request.client else "")
                if wait_s:
                    raise ServiceError(429, "too many requests; wait and ask again", retry_after_s=wait_s)
                return await answer(request)
            except ServiceError as problem:
                return error(request, problem, service, self.settings.url)
            except StorageError as problem:
                log.error("%s: %s", request.url.path, problem)
                message = f"the data cannot be read now: {problem}"
                wrapped = ServiceError(503, message, retry_after_s=_RETRY_S)
                return error(request, wrapped, service, self.settings.url)
            except KanameError as problem:
                log.error("%s: %s", request.url.path, problem)
                return error(request, ServiceError(500, str(problem)), service, self.settings.url)

        return guarded

    async def _read(self, request: Request, service: Service) -> tuple[Values, list[Selection]]:
        query = request.scope["query_string"].decode("latin-1")
        if request.method == "POST":
            if query:
                raise ServiceError(400, "the parameters of a POST request belong into its body")
            return service.read_body(await self._body(request), self.settings.request_lines)
        return service.read_query(query)

    async def _body(self, request: Request) -> str:
        most = self.settings.request_lines * _BODY_BYTES_PER_LINE
        body = bytearray()
        try:
            async for piece in request.stream():
                body += piece
                if len(body) > most:
                    raise ServiceError(413, f"the request is longer than {most} bytes")
        except ClientDisconnect as left:
            raise ServiceError(400, "the request broke off") from left
        try:
            return body.decode("ascii")
        except UnicodeDecodeError as problem:
            raise ServiceError(400, "a request is ASCII text") from problem

    # Services

    async def _dataselect(self, request: Request) -> Response:
        service = SERVICES["dataselect"]
        user = self.digest.asking(request, True) if request.scope["path"].endswith("auth") else None
        values, selections = await self._read(request, service)
        find = partial(plan, self.holdings, selections, values, user)
        small = len(selections) == 1 and _is_small(selections[0])
        found = find() if small else await run_sync(find)
        headers = _refusals(found, user)
        if not found.parts:
            return nothing(values["nodata"])
        if found.is_raw:
            return await Records(self.holdings.archive.path, found, headers).ready()
        version = 3 if values["format"] == "miniseed3" else 2
        return Temporary(await run_sync(recode, self.holdings, found, version), headers)

    async def _station(self, request: Request) -> Response:
        values, selections = await self._read(request, SERVICES["station"])

        def make() -> bytes | str | None:
            tree = station.select(self.holdings, selections, values)
            if not tree:
                return None
            if values["format"] == "text":
                return "\n".join(station.as_text(tree, values["level"])) + "\n"
            return b"".join(station.as_xml(self.holdings, tree, values))

        return self._document(request, values, await run_sync(make))

    async def _event(self, request: Request) -> Response:
        values, _ = await self._read(request, SERVICES["event"])

        def make() -> bytes | str | None:
            events = self.holdings.events
            rows = event.select(self.holdings, events, values).tolist()
            if not rows:
                return None
            if values["format"] == "text":
                return "\n".join(event.as_text(self.holdings, events, rows)) + "\n"
            return b"".join(event.as_xml(events, rows, values))

        return self._document(request, values, await run_sync(make))

    async def _availability(self, request: Request) -> Response:
        values, selections = await self._read(request, SERVICES["availability"])
        extent = request.url.path.endswith("/extent")

        def make() -> str | None:
            found = availability.rows(self.holdings, selections, values, extent=extent)
            if not found:
                return None
            if values["format"] == "json":
                return availability.as_json(found, extent=extent)
            return "\n".join(availability.as_text(found, values, extent=extent)) + "\n"

        return self._document(request, values, await run_sync(make))

    def _document(self, request: Request, values: Values, body: bytes | str | None) -> Response:
        if body is None:
            return nothing(values["nodata"])
        media = {"xml": "application/xml", "json": "application/json", "geocsv": "text/csv"}
        return document(request, body, media.get(values["format"], "text/plain"))

    # What a service says about itself

    async def _version(self, service: Service, request: Request) -> Response:
        return PlainTextResponse(f"{service.version}\n")

    async def _wadl(self, service: Service, request: Request) -> Response:
        return document(request, wadl(service, base_of(request, self.settings.url)), "application/xml")

    async def _help(self, service: Service, request: Request) -> Response:
        return HTMLResponse(help_page(service, base_of(request, self.settings.url)))

    async def _list(self, service: Service, request: Request) -> Response:
        if request.url.path.endswith("catalogs"):
            return document(
                request, event.as_list("Catalog", self.holdings.events.catalogs), "application/xml"
            )
        return document(request, event.as_list("Contributor", [self.settings.name]), "application/xml")

    # Errors outside of any service

    async def _not_found(self, request: Request, problem: Exception) -> Response:
        status = getattr(problem, "status_code", 404)
        message = "no such resource" if status == 404 else f"{request.method} is not for this resource"
        service = next((s for s in SERVICES.values() if f"/fdsnws/{s.name}/1" in request.url.path), None)
        return error(request, ServiceError(status, message), service, self.settings.url)

    async def _broken(self, request: Request, problem: Exception) -> Response:
        return error(request, ServiceError(500, "an error in the data centre, which is logged"), None)


def _is_small(selection: Selection) -> bool:
    """Tell whether the records of a selection are found faster than a thread is: one channel, an hour."""
    if selection.start is None or selection.end is None or not selection.one:
        return False
    return selection.end - selection.start < 3600 * NS_PER_S


def _refusals(found: Plan, user: str | None) -> dict[str, str]:
    """Return headers that say what was left out.

    Raises
    ------
    ServiceError
        403, when nothing is left.
    """
    if not found.refused:
        return {}
    said = [
        f"{identifier}: {decision.reason}" + (f" (contact: {decision.contact})" if decision.contact else "")
        for identifier, decision in found.refused.items()
    ]
    if not found.parts:
        who = "without an account (queryauth is for those who have one)" if user is None else f"to {user}"
        raise ServiceError(403, "\n".join([f"not given {who}:", *said[:20]]))
    text = "; ".join(said)[:1000].encode("ascii", "replace").decode()
    return {"X-Kaname-Refused": " ".join(text.split())}
