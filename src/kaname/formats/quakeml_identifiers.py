"""QuakeML identifiers and comments that carry what is Kaname's own.

An identifier of ours becomes ``smi:local/kaname/KIND/IDENTIFIER``, with what QuakeML does not allow written
as ``~`` and two hexadecimal digits, so that it survives a round trip; one that is QuakeML's already stays.
What QuakeML has no place for stands in comments ``name: value``, where characters that XML cannot hold become
U+FFFD.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd

from kaname.core.tables import ARRIVALS, EVENTS, PICKS, Schema

EVENT_NOTES = (EVENTS, ("quality", "similarity", "similar_to", "n_p", "n_s", "remark"))
PICK_NOTES = (PICKS, ("probability", "snr_db"))
UNLOCATED_EVENT_NOTES = (EVENTS, (*EVENT_NOTES[1], "n_station", "method", "velocity_model"))
UNLOCATED_ARRIVAL_NOTES = (ARRIVALS, ("station_magnitude",))
"""QuakeML keeps these with a hypocentre; without one they stand in comments of the event and of its picks."""
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_OWN = "smi:local/kaname/"
_NOTE, _FURTHER = "note", "further"
Mode = Literal["manual", "automatic"]
_MODES: tuple[Mode, ...] = ("manual", "automatic")
_QUAKEML = r"(smi|quakeml):\w[\w.\-*()~']{2,}/[\w.\-*()~'][\w.\-*()+?~'=,;#/&]*"
_NAMED = frozenset({"event", "pick", "method", "velocity-model"})
_RANDOM = r"smi:local/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def to_resource(kind: str, identifier: str) -> Any:
    """Return the ObsPy ``ResourceIdentifier`` of one of our identifiers."""
    from obspy.core.event import ResourceIdentifier

    # What is named after an event or a pick (its origin, its arrival) must not take its name.
    kept = kind in _NAMED and re.fullmatch(_QUAKEML, identifier)
    if kept and not identifier.startswith(_OWN):
        return ResourceIdentifier(identifier)
    coded = re.sub(
        r"[^A-Za-z0-9._/-]", lambda m: "".join(f"~{b:02x}" for b in m[0].encode("utf-8")), identifier
    )
    return ResourceIdentifier(f"{_OWN}{kind}/{coded}")


def from_resource(resource: Any, made_up: str = "") -> str:
    """Return our identifier; with ``made_up``, that instead of none and of one that ObsPy drew at random."""
    text = "" if resource is None else str(resource.id)
    if text.startswith(_OWN):
        coded = text.removeprefix(_OWN).partition("/")[2]
        return re.sub(r"(~[0-9a-f]{2})+", lambda m: bytes.fromhex(m[0].replace("~", "")).decode(), coded)
    return made_up if made_up and (not text or re.fullmatch(_RANDOM, text)) else text


def to_method(method: str) -> Any:
    """Return the ObsPy ``ResourceIdentifier`` of a method, of another agency's without the mode before it."""
    mode, _, name = method.partition(" ")
    return to_resource("method", name if mode in _MODES and re.fullmatch(_QUAKEML, name) else method)


def from_method(resource: Any, mode: str | None) -> str:
    """Return the method of a pick or an origin; before one of another agency stands its evaluation mode."""
    text = "" if resource is None else str(resource.id)
    own = from_resource(resource)
    return own if text.startswith(_OWN) else " ".join(filter(None, (mode, own)))


def evaluation_mode(method: str) -> Mode | None:
    """Return who judged: a method says so by its first word, and other than by machine only if it says so.

    ``None`` where there is no method, or one of another agency that leaves it open.
    """
    first = next((mode for mode in _MODES if method.split(" ")[0] == mode), None)
    if first or not method or re.fullmatch(_QUAKEML, method):
        return first
    return "automatic"


def to_further(row: Mapping[str, Any], schema: Schema) -> list[Any]:
    """Return ObsPy comments with the columns that the schema has not, each value as JSON.

    Text, numbers and truth values are kept; missing and empty ones are left out.
    """
    from obspy.core.event import Comment

    owner = "/".join(row[name] for name in schema.key)
    plain = {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in row.items()
        if name not in schema.names
    }
    return [
        Comment(
            text=f"{name}: {json.dumps(value, ensure_ascii=False)}",
            resource_id=to_resource(_FURTHER, f"{schema.name}/{owner}/{name}"),
        )
        for name, value in plain.items()
        if isinstance(value, (str, bool, int, float)) and value != "" and _finite(value)
    ]


def from_further(comments: Iterable[Any], schema: Schema) -> dict[str, Any]:
    """Return the columns beyond the schema that `to_further` wrote; damaged ones are left out."""
    found: dict[str, Any] = {}
    for comment in comments:
        name, _, value = (comment.text or "").partition(": ")
        if name in schema.names or not str(comment.resource_id).startswith(f"{_OWN}{_FURTHER}/"):
            continue
        try:
            decoded = json.loads(value)
        except ValueError:
            continue
        if isinstance(decoded, (str, bool, int, float)):
            found[name] = decoded
    return found


def to_comments(row: Any, notes: tuple[Schema, tuple[str, ...]]) -> list[Any]:
    """Return ObsPy comments with the named values of a row, the unknown ones left out."""
    from obspy.core.event import Comment

    schema, names = notes
    owner = "/".join(getattr(row, name) for name in schema.key)
    stated = ((name, getattr(row, name)) for name in names)
    return [
        Comment(
            text=_NO_XML.sub("\ufffd", f"{name}: {value}"),
            resource_id=to_resource(_NOTE, f"{schema.name}/{owner}/{name}"),
        )
        for name, value in stated
        if not (pd.isna(value) or value == schema[name].missing)
    ]


def from_comments(comments: Iterable[Any], notes: tuple[Schema, tuple[str, ...]]) -> dict[str, Any]:
    """Return the named values from comments of ours; those of others may mean something else."""
    schema, names = notes
    convert: dict[str, Any] = {"float": float, "int": int, "string": str}
    found = {}
    for comment in comments:
        name, _, value = (comment.text or "").partition(": ")
        if name in names and str(comment.resource_id).startswith(f"{_OWN}{_NOTE}/"):
            found[name] = convert[schema[name].dtype](value)
    return found


def _finite(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)
