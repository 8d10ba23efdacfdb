"""What the services may be asked: every parameter with both its names, its type and its bounds.

One declaration serves the reader of requests, the WADL and the page of help of a service. Names and meanings
after the FDSN Web Service Specifications 1.2 and the fdsnws-availability specification 1.0
(https://www.fdsn.org/webservices).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qsl

import numpy as np

from kaname.center.errors import ServiceError
from kaname.core.errors import InputError
from kaname.core.time import as_time, isoformat

Kind = Literal["time", "float", "int", "bool", "text", "codes", "choice", "choices"]

Values = dict[str, Any]
"""Parameters by their long name; those not given have their default."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a service."""

    name: str
    kind: Kind
    meaning: str
    short: str = ""
    default: Any = None
    choices: tuple[str, ...] = ()
    low: float = -math.inf
    high: float = math.inf

    def read(self, text: str) -> Any:
        """Return the value that a text stands for.

        Raises
        ------
        ServiceError
            400, when it stands for none.
        """
        try:
            value = self._read(text)
        except (ValueError, InputError):
            value = None
        if value is None:
            raise ServiceError(400, f"{self.name} must be {self.expected}, found {text[:80]!r}")
        return value

    def _read(self, text: str) -> Any:
        match self.kind:
            case "time":
                return read_time(text)
            case "float":
                number = float(text) if _NUMBER.fullmatch(text) else math.nan
                return number if math.isfinite(number) and self.low <= number <= self.high else None
            case "int":
                number = int(text) if _NUMBER.fullmatch(text) and len(text) < 19 else math.nan
                return number if self.low <= number <= self.high else None
            case "bool":
                return {"true": True, "false": False, "1": True, "0": False}.get(text.lower())
            case "choice":
                return text.lower() if text.lower() in self.choices else None
            case "choices":
                chosen = tuple(text.lower().split(","))
                return chosen if set(chosen) <= set(self.choices) else None
            case "codes":
                return codes(text)
        return text if text.isprintable() and text.strip() else None

    @property
    def expected(self) -> str:
        """What a value must be, in words."""
        bounds = ""
        if math.isfinite(self.low) or math.isfinite(self.high):
            bounds = f" from {self.low:g}" if math.isfinite(self.low) else ""
            bounds += f" to {self.high:g}" if math.isfinite(self.high) else ""
        return {
            "time": "a time such as 2010-05-27 or 2010-05-27T16:24:33.21 (UTC)",
            "float": f"a number{bounds}",
            "int": f"a whole number{bounds}",
            "bool": "true or false",
            "text": "text",
            "codes": "codes of letters and digits, * and ? for any, with commas between",
            "choice": "one of " + ", ".join(self.choices),
            "choices": "one or more of " + ",".join(self.choices),
        }[self.kind]


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_TIME = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d{1,6})?)?Z?", re.ASCII)
_CODES = re.compile(r"[A-Za-z0-9_*?-]{1,16}", re.ASCII)


def read_time(text: str) -> int:
    """Return the time that a text states, UTC [ns since 1970].

    Raises
    ------
    InputError, ValueError
        When it states none, or one that nanoseconds cannot express.
    """
    if _TIME.fullmatch(text) and 1678 < int(text[:4]) < 2262:
        # The usual form without pandas, which takes fifty times as long.
        since = datetime.fromisoformat(text.removesuffix("Z")) - _EPOCH
        return since // _MICROSECOND * 1000
    if not _LOOSE_TIME.fullmatch(text):
        raise InputError(f"{text[:80]!r} is no time")
    return int(as_time(text).astype(np.int64))


_LOOSE_TIME = re.compile(r"\d{4}-?\d\d-?\d\d([T ]\d\d:?\d\d(:?\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?", re.ASCII)


@lru_cache(maxsize=4096)
def codes(text: str) -> tuple[str, ...]:
    """Return the codes of a comma-separated list; ``--`` and nothing stand for an empty code.

    Raises
    ------
    ValueError
        When one of them cannot be a code.
    """
    found = tuple(part.strip() for part in text.split(","))
    if not all(not code or _CODES.fullmatch(code) for code in found):
        raise ValueError(text)
    return tuple("" if code == "--" else code for code in found)


class Selection(NamedTuple):
    """Channels and a span of time, both ends inclusive [ns since 1970]; ``None`` is open."""

    network: tuple[str, ...] = ("*",)
    station: tuple[str, ...] = ("*",)
    location: tuple[str, ...] = ("*",)
    channel: tuple[str, ...] = ("*",)
    start: int | None = None
    end: int | None = None

    @property
    def one(self) -> str:
        """``NET.STA.LOC.CHA``, or nothing when it may name several channels."""
        if len(self[0]) == len(self[1]) == len(self[2]) == len(self[3]) == 1:
            text = f"{self[0][0]}.{self[1][0]}.{self[2][0]}.{self[3][0]}"
            return "" if "*" in text or "?" in text else text
        return ""


@lru_cache(maxsize=4096)
def matcher(codes: tuple[str, ...]) -> Callable[[str], bool]:
    """Return what tells whether a code is one of these, ``*`` and ``?`` standing for letters.

    An empty code counts as ``--``, so that ``*`` and ``??`` match it.
    """
    letters = {"*": ".*", "?": "."}
    pattern = re.compile(
        "|".join("".join(letters.get(c, re.escape(c)) for c in code or "--") for code in codes)
    )
    return lambda code: pattern.fullmatch(code or "--") is not None


@dataclass(frozen=True, eq=False)
class Service:
    """A web service: its name and version, and what it may be asked."""

    name: str
    version: str
    meaning: str
    parameters: tuple[Parameter, ...]
    methods: tuple[str, ...] = ("query",)
    """Resources that take the parameters."""
    lists: tuple[str, ...] = ()
    """Further resources, without parameters."""
    post: bool = True
    post_defaults: tuple[tuple[str, str], ...] = ()
    """Where a POST request has other defaults."""

    def by_name(self) -> dict[str, Parameter]:
        """Return the parameters by long and by short name."""
        names = {p.name: p for p in self.parameters}
        return names | {p.short: p for p in self.parameters if p.short}

    def read_query(self, query: str) -> tuple[Values, list[Selection]]:
        """Read the parameters of a GET request.

        Raises
        ------
        ServiceError
            400, when one is unknown, given twice, or of no use.
        """
        try:
            pairs = _pairs(query)
        except ValueError as error:
            raise ServiceError(400, f"the query cannot be read: {error}") from error
        values = self._values(pairs)
        network, station, location, channel = (values.get(name, ("*",)) for name in _CODE_NAMES)
        start, end = _ordered(values.get("starttime"), values.get("endtime"))
        return values, [Selection(network, station, location, channel, start, end)]

    def read_body(self, body: str, most: int) -> tuple[Values, list[Selection]]:
        """Read the body of a POST request: ``key=value`` lines, then lines ``NET STA LOC CHA START END``.

        Raises
        ------
        ServiceError
            400, when a line is of no use; 413, when there are more than `most`.
        """
        lines = [line.strip() for line in body.splitlines() if line.strip()]
        if len(lines) > most:
            raise ServiceError(413, f"the request has {len(lines)} lines, {most} are allowed at once")
        pairs: list[tuple[str, str]] = []
        selections: list[Selection] = []
        for line in lines:
            if not selections and "=" in line:
                name, _, value = line.partition("=")
                pairs.append((name.strip(), value.strip()))
            else:
                selections.append(_selection(line))
        values = self._values(
            [*self.post_defaults, *pairs] if self.post_defaults and "format" not in dict(pairs) else pairs
        )
        if not selections:
            raise ServiceError(400, "the request names no channels; a line is: NET STA LOC CHA START END")
        for name in (*_CODE_NAMES, "starttime", "endtime"):
            if any(self.by_name().get(key, _NOBODY).name == name for key, _ in pairs):
                raise ServiceError(400, f"{name} belongs into the lines of a POST request, not above them")
        return values, selections

    def _values(self, pairs: Sequence[tuple[str, str]]) -> Values:
        known = _known(self)
        values: Values = {}
        for key, text in pairs:
            parameter = known.get(key)
            if parameter is None:
                raise ServiceError(
                    400,
                    f"unknown parameter {key[:80]!r}; known are {', '.join(p.name for p in self.parameters)}",
                )
            if parameter.name in values:
                raise ServiceError(400, f"{parameter.name} is given twice")
            values[parameter.name] = parameter.read(text)
        return _defaults(self) | values


_MOST_FIELDS = 100
_CODE_NAMES = ("network", "station", "location", "channel")
_NOBODY = Parameter("", "text", "")


@cache
def _known(service: Service) -> dict[str, Parameter]:
    return service.by_name()


@cache
def _defaults(service: Service) -> Values:
    return {p.name: p.default for p in service.parameters}


def _pairs(query: str) -> list[tuple[str, str]]:
    """Return names and values of a query; without escapes, as nearly all are, at a third of the price."""
    if "%" in query or "+" in query:
        return parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    if query.count("&") >= _MOST_FIELDS:
        raise ValueError(f"it has more than {_MOST_FIELDS} fields")
    split = (field.partition("=") for field in query.split("&") if field)
    return [(name, value) for name, _, value in split]


def _ordered(start: Any, end: Any) -> tuple[Any, Any]:
    if start is not None and end is not None and start > end:
        low, high = (isoformat(np.datetime64(ns, "ns")) for ns in (start, end))
        raise ServiceError(400, f"the time span is empty: it starts at {low} and ends at {high}")
    return start, end


def _selection(line: str) -> Selection:
    words = line.split()
    if len(words) != 6:
        raise ServiceError(400, f"expected a line NET STA LOC CHA START END, found {line[:80]!r}")
    try:
        start, end = _ordered(*(None if word == "*" else read_time(word) for word in words[4:]))
        network, station, location, channel = (codes(word) for word in words[:4])
        return Selection(network, station, location, channel, start, end)
    except (ValueError, InputError) as error:
        raise ServiceError(400, f"expected a line NET STA LOC CHA START END, found {line[:80]!r}") from error


def _times(least: str) -> Iterator[Parameter]:
    yield Parameter("starttime", "time", f"{least} on or after this time", "start")
    yield Parameter("endtime", "time", f"{least} on or before this time", "end")


def _channels() -> Iterator[Parameter]:
    for name, short, what in (
        ("network", "net", "network codes"),
        ("station", "sta", "station codes"),
        ("location", "loc", "location codes, -- for an empty one"),
        ("channel", "cha", "channel codes"),
    ):
        yield Parameter(name, "codes", f"{what}; * and ? stand for letters", short, ("*",))


def _box() -> Iterator[Parameter]:
    for name, short, edge, bound in (
        ("minlatitude", "minlat", "southern", 90.0),
        ("maxlatitude", "maxlat", "northern", 90.0),
        ("minlongitude", "minlon", "western", 180.0),
        ("maxlongitude", "maxlon", "eastern", 180.0),
    ):
        yield Parameter(name, "float", f"{edge} edge [degree]", short, None, (), -bound, bound)
    yield Parameter("latitude", "float", "centre of a circle [degree]", "lat", None, (), -90, 90)
    yield Parameter("longitude", "float", "centre of a circle [degree]", "lon", None, (), -180, 180)
    yield Parameter("minradius", "float", "least distance from the centre [degree]", "", None, (), 0, 180)
    yield Parameter("maxradius", "float", "greatest distance from the centre [degree]", "", None, (), 0, 180)


def _nodata() -> Parameter:
    return Parameter("nodata", "choice", "HTTP status when nothing matches", "", "204", ("204", "404"))


QUALITY = Parameter(
    "quality", "choices", "D, R, Q and M; B and * for any", "", ("b",), ("d", "r", "q", "m", "b", "*")
)

DATASELECT = Service(
    "dataselect",
    "1.1.1",
    "Waveforms in miniSEED",
    (
        *_times("samples"),
        *_channels(),
        QUALITY,
        Parameter("minimumlength", "float", "least length of a gap-free segment [s]", "", 0.0, (), 0, 1e12),
        Parameter("longestonly", "bool", "only the longest segment of each channel", "", False),
        Parameter(
            "format",
            "choice",
            "miniseed and miniseed2 are version 2, miniseed3 is version 3",
            "",
            "miniseed",
            ("miniseed", "miniseed2", "miniseed3"),
        ),
        _nodata(),
    ),
    ("query", "queryauth"),
)

STATION = Service(
    "station",
    "1.1.1",
    "Stations, channels and responses",
    (
        *_times("epochs"),
        Parameter("startbefore", "time", "epochs that start before this time"),
        Parameter("startafter", "time", "epochs that start after this time"),
        Parameter("endbefore", "time", "epochs that end before this time"),
        Parameter("endafter", "time", "epochs that end after this time"),
        *_channels(),
        *_box(),
        Parameter(
            "level",
            "choice",
            "how much detail",
            "",
            "station",
            ("network", "station", "channel", "response"),
        ),
        Parameter("includerestricted", "bool", "list channels whose data are restricted", "", True),
        Parameter("includeavailability", "bool", "say for what time there are data", "", False),
        Parameter("updatedafter", "time", "metadata updated after this time"),
        Parameter("matchtimeseries", "bool", "only channels with data in the time span", "", False),
        Parameter("format", "choice", "StationXML or text", "", "xml", ("xml", "text")),
        _nodata(),
    ),
)

EVENT = Service(
    "event",
    "1.2.1",
    "Earthquakes",
    (
        *_times("origin times"),
        *_box(),
        Parameter("mindepth", "float", "least depth [km]", "", None, (), -1e4, 1e4),
        Parameter("maxdepth", "float", "greatest depth [km]", "", None, (), -1e4, 1e4),
        Parameter("minmagnitude", "float", "least magnitude", "minmag", None, (), -100, 100),
        Parameter("maxmagnitude", "float", "greatest magnitude", "maxmag", None, (), -100, 100),
        Parameter("magnitudetype", "text", "type of the magnitude, such as MW", "magtype"),
        Parameter("eventtype", "text", "type of event; all here are earthquakes"),
        Parameter("includeallorigins", "bool", "there is one origin for each event", "", False),
        Parameter("includeallmagnitudes", "bool", "there is one magnitude for each event", "", False),
        Parameter("includearrivals", "bool", "give arrivals, picks and station magnitudes", "", False),
        Parameter("eventid", "text", "identifiers of events, with commas between"),
        Parameter("limit", "int", "most events to give", "", None, (), 1, 1e9),
        Parameter("offset", "int", "first event to give, counted from 1", "", 1, (), 1, 1e9),
        Parameter(
            "orderby",
            "choice",
            "order of the events",
            "",
            "time",
            ("time", "time-asc", "magnitude", "magnitude-asc"),
        ),
        Parameter("catalog", "text", "name of a catalogue"),
        Parameter("contributor", "text", "name of a contributor"),
        Parameter("updatedafter", "time", "catalogues updated after this time"),
        Parameter("format", "choice", "QuakeML or text", "", "xml", ("xml", "text")),
        _nodata(),
    ),
    lists=("catalogs", "contributors"),
    post=False,
)

AVAILABILITY = Service(
    "availability",
    "1.0.1",
    "For what time there are waveforms",
    (
        *_times("data"),
        *_channels(),
        QUALITY,
        Parameter(
            "merge",
            "choices",
            "what need not agree for spans to be one: quality, samplerate, overlap",
            "",
            (),
            ("quality", "samplerate", "overlap"),
        ),
        Parameter(
            "mergegaps", "float", "spans no further apart are one [s]; query only", "", None, (), 0, 1e12
        ),
        Parameter("show", "choices", "further columns: latestupdate", "", (), ("latestupdate",)),
        Parameter(
            "orderby",
            "choice",
            "order of the rows",
            "",
            "nslc_time_quality_samplerate",
            (
                "nslc_time_quality_samplerate",
                "timespancount",
                "timespancount_desc",
                "latestupdate",
                "latestupdate_desc",
            ),
        ),
        Parameter("limit", "int", "most rows to give", "", None, (), 1, 1e9),
        Parameter("includerestricted", "bool", "list channels whose data are restricted", "", False),
        Parameter(
            "format",
            "choice",
            "format of the answer; of a POST it is request where none is given",
            "",
            "text",
            ("text", "geocsv", "json", "request"),
        ),
        _nodata(),
    ),
    ("query", "extent"),
    # ROVER counts on it, which states no format.
    post_defaults=(("format", "request"),),
)

SERVICES = {service.name: service for service in (DATASELECT, STATION, EVENT, AVAILABILITY)}
