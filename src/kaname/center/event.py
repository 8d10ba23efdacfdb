"""fdsnws-event: earthquakes as QuakeML or text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from kaname.center.errors import ServiceError
from kaname.center.events import Events
from kaname.center.holdings import Holdings
from kaname.center.metadata import text_element
from kaname.center.parameters import Values
from kaname.center.places import within
from kaname.core.time import isoformat

_HEAD = (
    "#EventID | Time | Latitude | Longitude | Depth/km | Author | Catalog | Contributor | ContributorID"
    " | MagType | Magnitude | MagAuthor | EventLocationName"
)
_SPANS = (
    ("mindepth", "maxdepth", "depth_km"),
    ("minmagnitude", "maxmagnitude", "magnitude"),
)


def select(holdings: Holdings, events: Events, values: Values) -> NDArray[np.int64]:
    """Return the rows of the events that a request asks for, in the order it asks for.

    Raises
    ------
    ServiceError
        400, when a span is empty; 413, when there are more than one answer may have.
    """
    columns = events.columns
    wanted = within(columns["latitude"], columns["longitude"], values)
    start, end = values["starttime"], values["endtime"]
    if start is not None:
        wanted &= columns["time"] >= np.datetime64(start, "ns")
    if end is not None:
        wanted &= columns["time"] <= np.datetime64(end, "ns")
    for low, high, name in _SPANS:
        least, most = values[low], values[high]
        if least is not None and most is not None and least > most:
            raise ServiceError(400, f"{low} {least:g} is greater than {high} {most:g}")
        if least is not None:
            wanted &= columns[name] >= least
        if most is not None:
            wanted &= columns[name] <= most
    if values["magnitudetype"] is not None:
        types = np.char.lower(columns["magnitude_type"].astype(str))
        wanted &= types == values["magnitudetype"].lower()
    if values["eventtype"] is not None and "earthquake" not in values["eventtype"].lower().split(","):
        wanted[:] = False
    if values["catalog"] is not None:
        wanted &= columns["catalog"] == values["catalog"]
    if values["contributor"] is not None and values["contributor"] != holdings.settings.name:
        wanted[:] = False
    if values["updatedafter"] is not None:
        wanted &= columns["updated"] > np.datetime64(values["updatedafter"], "ns")
    if values["eventid"] is not None:
        named = _named(events, values["eventid"])
        wanted &= np.isin(np.arange(len(wanted)), named)
    return _ordered(holdings, events, np.flatnonzero(wanted), values)


def _named(events: Events, eventid: str) -> list[int]:
    """Return the rows of events by their identifier, or by their QuakeML resource identifier."""
    if eventid in events.numbers:
        return [events.numbers[eventid]]
    return [events.numbers[part.strip()] for part in eventid.split(",") if part.strip() in events.numbers]


def _ordered(
    holdings: Holdings, events: Events, rows: NDArray[np.int64], values: Values
) -> NDArray[np.int64]:
    by_time = events.columns["time"][rows].astype(np.int64)
    magnitude = events.columns["magnitude"][rows]
    order = {
        "time": lambda: np.argsort(-by_time, kind="stable"),
        "time-asc": lambda: np.argsort(by_time, kind="stable"),
        "magnitude": lambda: np.lexsort((-by_time, -magnitude)),  # unknown magnitudes come last
        "magnitude-asc": lambda: np.lexsort((-by_time, magnitude)),
    }[values["orderby"]]()
    first = values["offset"] - 1
    last = None if values["limit"] is None else first + values["limit"]
    rows = rows[order][first:last]
    most = holdings.settings.request_events
    if len(rows) > most:
        raise ServiceError(
            413, f"{len(rows)} events match, one answer has at most {most}; ask in parts (limit, offset)"
        )
    return rows


def as_text(holdings: Holdings, events: Events, rows: Sequence[int]) -> Iterator[str]:
    """Yield the lines of a text answer."""
    yield _HEAD
    columns = events.columns
    name = holdings.settings.name
    for row in rows:
        magnitude = columns["magnitude"][row]
        known = np.isfinite(magnitude)
        yield "|".join(
            (
                columns["event_id"][row],
                isoformat(columns["time"][row]).removesuffix("Z"),
                *(_number(columns[c][row]) for c in ("latitude", "longitude", "depth_km")),
                columns["method"][row].replace("|", " "),
                columns["catalog"][row],
                name,
                columns["event_id"][row],
                columns["magnitude_type"][row] if known else "",
                _number(magnitude),
                name if known else "",
                "",
            )
        )


def _number(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".") if np.isfinite(value) else ""


def as_xml(events: Events, rows: Sequence[int], values: Values) -> Iterator[bytes]:
    """Yield the parts of a QuakeML 1.2 document."""
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    yield (
        b'<?xml version="1.0" encoding="UTF-8"?>\n<q:quakeml xmlns="http://quakeml.org/xmlns/bed/1.2"'
        b' xmlns:q="http://quakeml.org/xmlns/quakeml/1.2">'
        b'<eventParameters publicID="smi:local/kaname/query">'
    )
    yield from events.quakeml(rows, arrivals=values["includearrivals"])
    yield f"<creationInfo><creationTime>{now}</creationTime></creationInfo>".encode()
    yield b"</eventParameters></q:quakeml>\n"


def as_list(tag: str, names: Sequence[str]) -> str:
    """Return the names of catalogues or contributors, as the standard lists them."""
    inner = "".join(text_element(tag, name) for name in names)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{tag}s>{inner}</{tag}s>\n'
