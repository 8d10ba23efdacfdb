"""QuakeML identifiers and comments that carry what is Kaname's own.

An identifier of ours becomes ``smi:local/kaname/KIND/IDENTIFIER``, with what QuakeML does not allow written
as ``~`` and two hexadecimal digits, so that it survives a round trip; one that is QuakeML's already stays.
What QuakeML has no place for stands in comments ``name: value``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pandas as pd

from kaname.core.tables import ARRIVALS, EVENTS, PICKS, Schema

EVENT_NOTES = (EVENTS, ("quality", "similarity", "similar_to", "n_p", "n_s", "remark"))
PICK_NOTES = (PICKS, ("probability", "snr_db"))
UNLOCATED_EVENT_NOTES = (EVENTS, (*EVENT_NOTES[1], "n_station", "method", "velocity_model"))
UNLOCATED_ARRIVAL_NOTES = (ARRIVALS, ("station_magnitude",))
"""QuakeML keeps these with a hypocentre; without one they stand in comments of the event and of its picks."""
_OWN = "smi:local/kaname/"
_NOTE = "note"
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


def to_comments(row: Any, notes: tuple[Schema, tuple[str, ...]]) -> list[Any]:
    """Return ObsPy comments with the named values of a row, the unknown ones left out."""
    from obspy.core.event import Comment

    schema, names = notes
    owner = "/".join(getattr(row, name) for name in schema.key)
    stated = ((name, getattr(row, name)) for name in names)
    return [
        Comment(text=f"{name}: {value}", resource_id=to_resource(_NOTE, f"{schema.name}/{owner}/{name}"))
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
