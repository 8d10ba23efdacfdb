"""How the services answer: errors as the FDSN standard words them, documents compressed on request."""

from __future__ import annotations

import gzip
import math
from collections.abc import Mapping
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from kaname.center.errors import ServiceError
from kaname.center.parameters import Service

_SHORT = 1400
"""What fits one packet is not compressed."""


def base_of(request: Request, url: str) -> str:
    """Return the address of the data centre, without a slash at its end."""
    return (url or f"{request.url.scheme}://{request.url.netloc}").rstrip("/")


def error(request: Request, problem: ServiceError, service: Service | None, url: str = "") -> Response:
    """Return the answer to a request that is not served."""
    base = base_of(request, url)
    status = problem.status
    help_page = f"{base}/fdsnws/{service.name}/1/" if service else f"{base}/"
    asked = str(request.url.path) + (f"?{request.url.query}" if request.url.query else "")
    lines = [
        f"Error {status.value}: {status.phrase}",
        str(problem),
        f"Usage details are available from {help_page}",
        f"Request:\n{base}{asked}",
        f"Request Submitted:\n{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
        f"Service version:\n{service.version if service else '-'}",
    ]
    headers = {}
    if problem.retry_after_s is not None:
        headers["Retry-After"] = str(math.ceil(problem.retry_after_s))
    if problem.challenge:
        headers["WWW-Authenticate"] = problem.challenge
    return PlainTextResponse("\n\n".join(lines) + "\n", status.value, headers)


def nothing(nodata: str) -> Response:
    """Return the answer when nothing matches: 204, or 404 where that is asked for.

    Raises
    ------
    ServiceError
        404.
    """
    if nodata == "404":
        raise ServiceError(404, "nothing matches the request")
    return Response(status_code=204)


def document(
    request: Request, body: bytes | str, media_type: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Return text, compressed where the client understands it."""
    data = body.encode() if isinstance(body, str) else body
    more = {"Vary": "Accept-Encoding", **(headers or {})}
    if len(data) > _SHORT and "gzip" in request.headers.get("accept-encoding", ""):
        data = gzip.compress(data, compresslevel=4)
        more["Content-Encoding"] = "gzip"
    return Response(data, media_type=media_type, headers=more)
