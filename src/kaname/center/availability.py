"""fdsnws-availability: for what time there are waveforms, from the index alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np

from kaname.center.errors import ServiceError
from kaname.center.holdings import Holdings
from kaname.center.parameters import Selection, Values
from kaname.center.selecting import ANY_QUALITY, bounds, chains, quality_letter
from kaname.core.time import NS_PER_S, isoformat
from kaname.formats.miniseed_sections import JOIN_TOLERANCE


class Row(NamedTuple):
    """A span of one channel, or all of it."""

    seed_id: str
    quality: str
    rate: float
    start: int
    """First sample [ns since 1970]."""
    end: int
    """Last sample [ns since 1970]."""
    n_span: int
    restricted: bool
    updated: int
    """When the newest file was changed [ns since 1970]."""


def rows(holdings: Holdings, selections: Sequence[Selection], values: Values, *, extent: bool) -> list[Row]:
    """Return the spans of what is asked for, clipped to the window.

    With `extent` there is one row per channel and rate.

    Raises
    ------
    ServiceError
        413, when they are more than one answer may have.
    """
    most = holdings.settings.request_rows
    found: list[Row] = []
    for selection in selections:
        for identifier in holdings.match(selection):
            restricted = holdings.is_restricted(identifier)
            if restricted and not values["includerestricted"]:
                continue
            found += _of_channel(holdings, identifier, selection, values, restricted, extent)
            if len(found) > most:
                raise ServiceError(413, f"the answer would have more than {most} rows; ask for less")
    return _ordered(list(dict.fromkeys(found)), values)[: values["limit"]]


def _of_channel(
    holdings: Holdings, identifier: str, selection: Selection, values: Values, restricted: bool, extent: bool
) -> Iterator[Row]:
    low, high = bounds(selection)
    end = None if selection.end is None else selection.end + 1
    for _, spans in holdings.archive.each_span([identifier], selection.start, end):
        quality = _quality(holdings, identifier, int(spans["start"][0]))
        if not {quality.lower(), *ANY_QUALITY}.intersection(values["quality"]):
            return
        rates = np.round(spans["rate"], 4)
        groups = [rates == rate for rate in np.unique(rates)]
        if "samplerate" in values["merge"]:
            groups = [np.ones(len(spans), bool)]
        for group in groups:
            own = spans[group]
            rate, updated = float(own["rate"][-1]), int(own["updated"].max())
            period = round(NS_PER_S / rate)
            pieces = [
                (max(start, low), min(following - period, high))
                for start, following in _pieces(own, values, extent)
                if start <= high and following - period >= low
            ]
            if extent and pieces:
                pieces = [(pieces[0][0], max(stop for _, stop in pieces)), *pieces[1:]]
                yield Row(identifier, quality, rate, *pieces[0], len(pieces), restricted, updated)
            elif not extent:
                for piece in pieces:
                    yield Row(identifier, quality, rate, *piece, 1, restricted, updated)


def _quality(holdings: Holdings, identifier: str, start: int) -> str:
    """Return the quality of the first record from a time on: the index keeps none, so one stands for all."""
    for located in holdings.archive.locate(identifier, start, start + 1):
        return quality_letter(holdings, located)
    return "M"


def _pieces(spans: Any, values: Values, extent: bool) -> Iterator[tuple[int, int]]:
    """Yield from when to when there are samples; what overlaps stays apart unless it is to be merged."""
    gap_s = None if extent else values["mergegaps"]
    if extent or "overlap" in values["merge"]:
        yield from chains(spans, tolerance_s=gap_s)
        return
    joined: list[tuple[int, int]] = []
    for start, following, rate in zip(*(spans[n].tolist() for n in ("start", "following", "rate"))):
        tolerance = JOIN_TOLERANCE * NS_PER_S / rate
        if joined and -tolerance <= start - joined[-1][1] <= max(tolerance, (gap_s or 0) * NS_PER_S):
            joined[-1] = joined[-1][0], following
        else:
            joined.append((start, following))
    yield from joined


def _ordered(found: list[Row], values: Values) -> list[Row]:
    order = values["orderby"]
    found.sort(key=lambda row: (row.seed_id.split("."), row.start, row.quality, row.rate))
    if order.startswith("timespancount"):
        found.sort(key=lambda row: row.n_span, reverse=order.endswith("desc"))
    elif order.startswith("latestupdate"):
        found.sort(key=lambda row: row.updated, reverse=order.endswith("desc"))
    return found


def as_text(found: Sequence[Row], values: Values, *, extent: bool) -> Iterator[str]:
    """Yield the lines of the text, GeoCSV and request formats."""
    form = values["format"]
    if form == "request":
        for row in found:
            codes = " ".join(code or "--" for code in row.seed_id.split("."))
            yield f"{codes} {_moment(row.start)} {_moment(row.end)}"
        return
    names = ["Network", "Station", "Location", "Channel", "Quality", "SampleRate", "Earliest", "Latest"]
    units = ["unitless"] * 5 + ["hertz", "ISO_8601", "ISO_8601"]
    kinds = ["string"] * 5 + ["float", "datetime", "datetime"]
    updated = extent or "latestupdate" in values["show"]
    if updated:
        names, units, kinds = [*names, "Updated"], [*units, "ISO_8601"], [*kinds, "datetime"]
    if extent:
        names += ["TimeSpans", "Restriction"]
        units, kinds = [*units, "unitless", "unitless"], [*kinds, "integer", "string"]
    if form == "geocsv":
        yield "#dataset: GeoCSV 2.0"
        yield "#delimiter: |"
        yield "#field_unit: " + "|".join(units)
        yield "#field_type: " + "|".join(kinds)
        yield "|".join(names)
    else:
        yield "#" + " ".join(names)
    for row in found:
        cells = [
            *row.seed_id.split("."),
            row.quality,
            f"{row.rate:.10g}",
            _moment(row.start),
            _moment(row.end),
        ]
        if updated:
            cells.append(_moment(row.updated))
        if extent:
            cells += [str(row.n_span), _restriction(row)]
        yield "|".join(cells) if form == "geocsv" else " ".join(cell or "--" for cell in cells)


def as_json(found: Sequence[Row], *, extent: bool) -> str:
    """Return the JSON format."""
    sources: dict[tuple[str, str, float], dict[str, Any]] = {}
    for row in found:
        names = dict(zip(("network", "station", "location", "channel"), row.seed_id.split(".")))
        entry = sources.setdefault(
            (row.seed_id, row.quality, row.rate), {**names, "quality": row.quality, "samplerate": row.rate}
        )
        span = [_moment(row.start), _moment(row.end)]
        if extent:
            entry |= {"earliest": span[0], "latest": span[1], "timespanCount": row.n_span}
            entry |= {"updated": _moment(row.updated), "restriction": _restriction(row)}
        else:
            entry.setdefault("timespans", []).append(span)
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return json.dumps({"created": now, "version": 1.0, "datasources": list(sources.values())})


def _restriction(row: Row) -> str:
    return "RESTRICTED" if row.restricted else "OPEN"


def _moment(ns: int) -> str:
    return isoformat(np.datetime64(ns, "ns"))
