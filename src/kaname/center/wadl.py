"""What a service can be asked, for programs (WADL) and for people (a page)."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from xml.sax.saxutils import quoteattr

from kaname.center.parameters import Parameter, Service

_TYPES = {"time": "xs:dateTime", "float": "xs:double", "int": "xs:int", "bool": "xs:boolean"}
_MEDIA = {
    "dataselect": ("application/vnd.fdsn.mseed",),
    "station": ("application/xml", "text/plain"),
    "event": ("application/xml", "text/plain"),
    "availability": ("text/plain", "text/csv", "application/json"),
}


def wadl(service: Service, base: str) -> str:
    """Return the WADL of a service; `base` is the address of the data centre."""
    return "".join(_wadl(service, base))


def _wadl(service: Service, base: str) -> Iterator[str]:
    yield (
        '<?xml version="1.0" encoding="UTF-8"?>\n<application xmlns="http://wadl.dev.java.net/2009/02"'
        ' xmlns:xs="http://www.w3.org/2001/XMLSchema">\n'
        f"<resources base={quoteattr(f'{base}/fdsnws/{service.name}/1/')}>\n"
    )
    for method in service.methods:
        yield f'<resource id="{method}" path="{method}">\n<method name="GET" id="{method}">\n<request>\n'
        for parameter in service.parameters:
            yield _param(parameter)
        yield f"</request>\n{_response(_MEDIA[service.name])}</method>\n"
        if service.post:
            yield (
                f'<method name="POST" id="post{method}">\n<request><representation mediaType="text/plain"/>'
                f"</request>\n{_response(_MEDIA[service.name])}</method>\n"
            )
        yield "</resource>\n"
    for name, media in (
        ("version", "text/plain"),
        ("application.wadl", "application/xml"),
        *((each, "application/xml") for each in service.lists),
    ):
        yield (
            f'<resource path="{name}"><method name="GET" id="{name}"><response status="200">'
            f'<representation mediaType="{media}"/></response></method></resource>\n'
        )
    yield "</resources>\n</application>\n"


def _param(parameter: Parameter) -> str:
    # Clients take a default of "*" for a value to send; what is not given needs none.
    default = parameter.default
    if parameter.name == "quality":
        default = "B"
    stated = ""
    if isinstance(default, bool):
        stated = f' default="{str(default).lower()}"'
    elif default not in (None, ("*",), ()):
        stated = f" default={quoteattr(str(default))}"
    options = "".join(f"<option value={quoteattr(c)}/>" for c in _options(parameter))
    lines = [
        f'<param name={quoteattr(name)} style="query" required="false" '
        f'type="{_TYPES.get(parameter.kind, "xs:string")}"{stated}>'
        f"<doc title={quoteattr(parameter.meaning)}/>{options}</param>\n"
        for name in (parameter.name, parameter.short)
        if name
    ]
    return "".join(lines)


def _options(parameter: Parameter) -> tuple[str, ...]:
    if parameter.name == "quality":
        return tuple(choice.upper() for choice in parameter.choices)
    return parameter.choices if parameter.kind == "choice" else ()


def _response(media: tuple[str, ...]) -> str:
    inner = "".join(f'<representation mediaType="{each}"/>' for each in media)
    return (
        f'<response status="200">{inner}</response>\n<response status="204 400 401 403 404 413 429 500 503">'
        '<representation mediaType="text/plain"/></response>\n'
    )


def help_page(service: Service, base: str) -> str:
    """Return the page that explains a service."""
    at = f"{base}/fdsnws/{service.name}/1"
    rows = "".join(
        f"<tr><td><code>{p.name}</code></td><td><code>{p.short}</code></td><td>{escape(p.meaning)}</td>"
        f"<td>{escape(p.expected)}</td></tr>"
        for p in service.parameters
    )
    methods = "".join(
        f"<li><code>{escape(f'{at}/{name}')}</code></li>"
        for name in (*service.methods, *service.lists, "version", "application.wadl")
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>fdsnws-{service.name}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="stylesheet" href="/static/center.css"></head><body><main>'
        f"<h1>fdsnws-{service.name} {service.version}</h1><p>{escape(service.meaning)}.</p><ul>{methods}</ul>"
        f'<div class="scroll"><table><thead><tr><th>Parameter</th><th>Short</th><th>Meaning</th>'
        f"<th>Value</th></tr></thead><tbody>{rows}</tbody></table></div></main></body></html>\n"
    )
