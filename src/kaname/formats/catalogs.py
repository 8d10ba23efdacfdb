"""Catalogues in and out: QuakeML, Nordic, JMA, ZMAP, CSV, Parquet; in, ComCat, CSEP, F-net, all of ObsPy."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd

from kaname.core.errors import FormatError, InputError, KanameError, NotFoundError
from kaname.core.files import replacing
from kaname.core.tables import ARRIVALS, EVENTS, PICKS, concat, read_table, validate
from kaname.formats import nordic
from kaname.formats.comcat import holds_comcat, read_comcat
from kaname.formats.csep import holds_csep, read_csep
from kaname.formats.eventset import EventSet, failure
from kaname.formats.fnet import holds_fnet, read_fnet
from kaname.formats.foreign import foreign, plugin, recognise
from kaname.formats.jma import holds_jma, read_jma, write_jma, write_jma_arrivals
from kaname.formats.nonlinloc import read_nonlinloc
from kaname.formats.quakeml import to_catalog
from kaname.formats.quakeml_reading import from_catalog
from kaname.formats.zmap import holds_zmap, read_zmap, write_zmap

__all__ = ["EventSet", "from_catalog", "read_events", "to_catalog", "write_events"]

_KEEP_IDENTIFIERS = frozenset({"QUAKEML", "SCML", "SC3ML"})
"""Formats in which events and picks have identifiers; for the others ObsPy draws them at random."""


def read_events(paths: str | PathLike[str] | Sequence[str | PathLike[str]]) -> EventSet:
    """Read events from one file or several, in whatever mix of formats.

    CSV and Parquet files hold the events table; the others give arrivals and picks as well, see
    `kaname.formats.quakeml_reading.from_catalog`. An event whose identifier has been read before is a
    failure.

    Raises
    ------
    NotFoundError
        When there is no such file.
    FormatError
        When no file holds an event.
    """
    tables: dict[str, list[pd.DataFrame]] = {"events": [], "arrivals": [], "picks": []}
    failures: list[dict[str, Any]] = []
    seen: set[str] = set()
    for path in map(Path, [paths] if isinstance(paths, (str, PathLike)) else paths):
        if path.is_dir():
            raise NotFoundError(f"{path} is a folder; expected files of events (QuakeML, Nordic, CSV, ...)")
        if not path.is_file():
            raise NotFoundError(f"no such file: {path}; expected events (QuakeML, Nordic, CSV, ...)")
        try:
            read = _read(path)
        except (KanameError, OSError) as error:
            failures.append(failure(path, type(error).__name__, str(error)))
            continue
        failures += read.failures
        again = read.events["event_id"].isin(seen)
        for event_id in read.events.loc[again, "event_id"]:
            failures.append(failure(path, "InputError", f"event {event_id} has been read before; left out"))
        fresh = set(read.events.loc[~again, "event_id"])
        seen |= fresh
        tables["events"].append(read.events[~again])
        tables["arrivals"].append(read.arrivals[read.arrivals["event_id"].isin(fresh)])
        tables["picks"].append(read.picks[~read.picks["pick_id"].isin(_picks_of(read, again))])
    events = concat(tables["events"], EVENTS)
    if not len(events):
        reasons = "; ".join(f["message"] for f in failures) or "the files given hold none"
        raise FormatError(f"no events could be read: {reasons}")
    return EventSet(events, concat(tables["arrivals"], ARRIVALS), concat(tables["picks"], PICKS), failures)


def _picks_of(read: EventSet, chosen: pd.Series) -> set[str]:
    ids = read.events.loc[chosen, "event_id"]
    return set(read.arrivals.loc[read.arrivals["event_id"].isin(ids), "pick_id"])


def _read(path: Path) -> EventSet:
    if holds_csep(path):
        return EventSet(read_csep(path))
    if holds_comcat(path):
        return read_comcat(path)
    if path.suffix.lower() in (".csv", ".parquet"):
        return EventSet(read_table(path, EVENTS))
    if holds_zmap(path):
        return EventSet(read_zmap(path))
    if holds_jma(path):
        return read_jma(path).events()
    if holds_fnet(path):
        return read_fnet(path).events()
    form = recognise(path, "event")
    if form is None:
        raise FormatError(f"{path} is of no known catalogue format; expected QuakeML, Nordic, CSV or Parquet")
    if form == "NLLOC_HYP":
        # ObsPy gives NonLinLoc's ellipsoid in kilometres where QuakeML has metres, and no covariance.
        solved = read_nonlinloc(path)
        picks = validate(solved.arrivals[[n for n in PICKS.names if n in solved.arrivals]], PICKS)
        events, arrivals, picks = (
            frame.assign(**{n: f"{path.name}/" + frame[n] for n in ("event_id", "pick_id") if n in frame})
            for frame in (solved.events, solved.arrivals, picks)
        )
        return EventSet(events, arrivals, picks, solved.failures.to_dict("records"))
    with foreign(path, form) as warned:
        catalog = plugin("event", form, "readFormat")(str(path))
        read = from_catalog(catalog, name=None if form in _KEEP_IDENTIFIERS else path.name)
    warnings = [failure(path, "Warning", f"ObsPy ({form}) warns: {message}") for message in warned]
    refused = [{**row, "subject": f"{path} {row['subject']}"} for row in read.failures]
    return replace(read, failures=warnings + refused)


def write_events(read: EventSet, path: str | PathLike[str]) -> Path:
    """Write a catalogue in the format of the file's ending, in one atomic rename.

    ``.xml`` and ``.quakeml`` give QuakeML 1.2, ``.csv`` the events table with the unit in the column names,
    ``.zmap`` ZMAP's ten columns,
    ``.nordic``, ``.out`` and ``.S201309`` (any S and six digits) Nordic as SEISAN reads it, ``.jma`` JMA's
    96-byte hypocentre records, and ``.deck`` these with JMA's arrival time records.

    Raises
    ------
    InputError
        When the ending is none of these.
    SchemaError
        When a table breaks its schema.
    StorageError
        When the disk refuses; the previous file, if any, is untouched.
    """
    target = Path(path)
    ending = target.suffix.lower()
    with replacing(target) as partial:
        if ending in (".xml", ".quakeml"):
            to_catalog(read.events, read.arrivals, read.picks).write(str(partial), format="QUAKEML")
        elif ending == ".csv":
            # Quoted text keeps a # in a remark from being read as the start of a comment.
            validate(read.events, EVENTS).to_csv(partial, index=False, quoting=csv.QUOTE_NONNUMERIC)
        elif ending in (".nordic", ".out") or (ending[1:2] == "s" and ending[2:].isdigit()):
            partial.write_text(nordic.write(read.events, read.arrivals, read.picks), encoding="ascii")
        elif ending == ".zmap":
            write_zmap(read.events, partial)
        elif ending == ".jma":
            partial.write_bytes(write_jma(read.events))
        elif ending == ".deck":
            partial.write_bytes(write_jma_arrivals(read))
        else:
            raise InputError(
                f"{target} names no catalogue format; expected .xml, .csv, .zmap, .nordic, .jma or .deck"
            )
    return target
