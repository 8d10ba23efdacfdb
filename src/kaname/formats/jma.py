"""JMA's Seismological Bulletin: hypocentre files and arrival time files, in and out.

A hypocentre file is a list of 96-byte hypocentre records, each an event. In an arrival time file an event is
one or more hypocentre records (the first is the one adopted), comments ``C``, readings ``_``, an end ``E``.
Both may lie in zip, gzip or tar. Columns and codes: `kaname.formats.jma_records` and ``docs/formats-jma.md``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kaname.core.errors import FormatError, InputError
from kaname.core.tables import ARRIVALS, EVENTS, PICKS, validate
from kaname.formats.bundles import members
from kaname.formats.contract import seed_id
from kaname.formats.eventset import EventSet, failure
from kaname.formats.jma_records import (
    HYPOCENTRE_TYPES,
    RECORD_BYTES,
    decode_hypocentres,
    decode_readings,
    encode_hypocentre,
    encode_reading,
)
from kaname.formats.win_channels import NETWORKS

KM_PER_MINUTE = 6371.0 * np.pi / 180.0 / 60.0
MAGNITUDE_TYPES = {
    "J": "MJ",
    "D": "MJ_D",
    "d": "MJ_d",
    "V": "MJ_V",
    "v": "MJ_v",
    "W": "Mw",
    "B": "mb",
    "S": "Ms",
}
"""JMA's letters and the types they become; not ``MD``, which is a duration magnitude everywhere else."""
VELOCITY_MODELS = {"1": "JMA 83A", "2": "JMA LL", "3": "JMA 83A + LL", "4": "JMA 83A + LL (Kurile)"}
VELOCITY_MODELS |= {"5": "JMA2001", "6": "JMA2001 + LL", "7": "JMA2001A/2020A/2020B/2020C"}
_QUALITY = {"K": "A", "k": "B", "A": "B", "S": "C", "s": "C", "a": "C", "F": "C", "N": "D"}
_METHODS = dict.fromkeys("KSks", "manual JMA") | dict.fromkeys("Aa", "automatic JMA")
_CODES = (
    "record_type",
    "magnitude_type_1",
    "magnitude_2",
    "magnitude_type_2",
    "depth_fixed",
    "travel_time_table",
    "precision",
    "subsidiary",
    "max_intensity",
    "damage",
    "tsunami",
    "district",
    "region_number",
    "region",
    "determination",
)
"""What the events table has no column for and gets as further ones."""
_END, _COMMENT, _READING = b"E", b"C", b"_"
_KEPT = {b"W": "matched-filter readings", b"j": "template hypocentres"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PHASES = {f"{onset}{phase}": phase for onset in ("", "E", "I") for phase in "PS"}
_UP_DOWN = {"U": "up", "D": "down"}
_PEEK_MEMBERS = 8
_PEEK_BYTES = 8 * (RECORD_BYTES + 2)


@dataclass(frozen=True)
class JmaRead:
    """Everything the records say, and what could not be read."""

    hypocentres: pd.DataFrame
    """One row per hypocentre record; before its columns ``event_id`` and ``adopted``, first of its event."""
    readings: pd.DataFrame
    """One row per reading, ``event_id`` before its columns; amplitudes and flags as they stand there."""
    comments: dict[str, str]
    """Comment lines by ``event_id``."""
    unread: pd.DataFrame
    """Matched-filter readings ``W`` and template hypocentres ``j``: ``event_id``, ``line`` as it stands."""
    failures: list[dict[str, Any]] = field(default_factory=list)
    """Rows of `kaname.core.tables.FAILURES`."""

    def events(self) -> EventSet:
        """Return adopted hypocentres as events, and the readings of direct P and S as picks and arrivals."""
        adopted = self.hypocentres[self.hypocentres["adopted"]].reset_index(drop=True)
        usable = adopted["time"].notna() & adopted["latitude"].notna() & adopted["longitude"].notna()
        failures = list(self.failures)
        for event_id in adopted.loc[~usable, "event_id"]:
            failures.append(failure(event_id, "FormatError", "left out: no time or no epicentre can be read"))
        kept = adopted[usable].reset_index(drop=True)
        further = self.hypocentres[~self.hypocentres["adopted"]]
        others = further.groupby("event_id")["record_type"].agg("".join).to_dict()
        events = _bounded(_events(kept, others, self.comments), failures)
        picks, arrivals, skipped = _onsets(self.readings, dict(zip(kept["event_id"], events["method"])))
        if skipped:
            named = ", ".join(f"{name} ({count})" for name, count in sorted(skipped.items()))
            failures.append(
                failure("readings", "InputError", f"neither direct P nor S, only in `readings`: {named}")
            )
        return EventSet(events, arrivals, picks, failures)


def is_jma(head: bytes) -> bool:
    """Tell whether one of the first lines is a hypocentre record; never raises."""
    return any(_is_hypocentre(line.rstrip(b"\r")) for line in head[:_PEEK_BYTES].split(b"\n"))


def _is_hypocentre(line: bytes) -> bool:
    return (
        len(line) == RECORD_BYTES
        and line[:1] in (b"J", b"U", b"I")
        and line[1:5].isdigit()
        and not line[5:13].strip(b"0123456789 ")
        and line[21:40].strip(b"0123456789 -") == b""
    )


def holds_jma(path: Path) -> bool:
    """Tell whether a file, or one of the first files in a bundle, begins with a hypocentre record."""
    try:
        peeked = zip(range(_PEEK_MEMBERS), members(path, peek=_PEEK_BYTES))
        return any(is_jma(member.content) for _, member in peeked)
    except OSError:
        return False


def read_jma(path: str | Path) -> JmaRead:
    """Read a hypocentre or arrival time file, or a zip, gzip or tar of such files.

    An ``event_id`` is ``jma`` and the origin time of the record (JST, to 0.01 s); where two events share one,
    the later ones get ``-2``, ``-3``.

    Raises
    ------
    FormatError
        When there is no hypocentre record in it.
    """
    source = Path(path)
    failures: list[dict[str, Any]] = []
    lines = _Lines()
    try:
        for member in members(source):
            where = f"{source} ({member.name})" if member.name else str(source)
            if member.damage:
                failures.append(failure(where, "FormatError", member.damage))
            if is_jma(member.content):
                lines.take(member.content, where, failures)
    except OSError as error:
        raise FormatError(f"cannot read {source}: {error.strerror or error}") from error
    if not lines.hypocentres:
        reasons = "; ".join(f["message"] for f in failures) or "no hypocentre record of 96 columns in it"
        raise FormatError(f"nothing can be read from {source} as JMA records: {reasons}")
    hypocentres, faults = decode_hypocentres(lines.hypocentres)
    adopted = ~pd.Series(lines.hypocentre_events).duplicated().to_numpy()
    names = _names([line for line, first in zip(lines.hypocentres, adopted) if first])
    hypocentres.insert(0, "event_id", names[lines.hypocentre_events])
    hypocentres.insert(1, "adopted", adopted)
    for index, sentence in faults:
        failures.append(failure(hypocentres["event_id"].iloc[index], "FormatError", sentence))
    near = hypocentres.loc[adopted, "time"].to_numpy()[lines.reading_events]
    readings, faults = decode_readings(lines.readings, near)
    readings.insert(0, "event_id", names[lines.reading_events])
    for index, sentence in faults:
        where = " ".join(readings[["event_id", "station_code"]].iloc[index])
        failures.append(failure(where, "FormatError", sentence))
    comments = {str(names[event]): "; ".join(texts) for event, texts in lines.comments.items()}
    unread = pd.DataFrame([(names[event], line) for event, line in lines.kept], columns=["event_id", "line"])
    return JmaRead(hypocentres, readings, comments, unread, failures)


def write_jma(events: pd.DataFrame) -> bytes:
    """Return events as a hypocentre file: one record per line.

    Columns that `JmaRead.hypocentres` has and the ``events`` schema has not (codes, region, second magnitude)
    are written where they are present; otherwise the record type is ``J`` and the determination flag blank.
    Standard errors come from the diagonal of the covariance. Seconds have two decimals, coordinates
    hundredths of a minute (18 m), magnitudes tenths from -3.9 to 9.9.

    Raises
    ------
    SchemaError
        When the table breaks its schema.
    InputError
        When an event has no epicentre or a value has no room in the record; the message names the event.
    """
    lines = _hypocentres(validate(events, EVENTS))
    return "".join(line + "\n" for line in lines).encode("ascii", "replace")


def write_jma_arrivals(read: EventSet) -> bytes:
    """Return events with their arrivals as an arrival time file: hypocentre, readings and end of each event.

    P and S of one station share a record when S comes within the hour. Station codes have six columns:
    network and station with a point between them (``N.AAKH`` is ``BO.AAKH``), or the station alone where
    there is no network. Only the vertical motion of P is stated besides the times, to 0.01 s.

    Raises
    ------
    SchemaError
        When a table breaks its schema.
    InputError
        As `write_jma`, and when a station code has no room or a year is not from 1950 to 2049.
    """
    events, arrivals = validate(read.events, EVENTS), validate(read.arrivals, ARRIVALS)
    motions = dict(zip(read.picks["pick_id"], read.picks["polarity"])) if len(read.picks) else {}
    by_event = dict(iter(arrivals.sort_values("time").groupby("event_id", sort=False)))
    lines = []
    for event_id, line in zip(events["event_id"], _hypocentres(events), strict=True):
        lines.append(line)
        rows = by_event[event_id].to_dict("records") if event_id in by_event else []
        for reading in _readings(rows, motions):
            try:
                lines.append(encode_reading(reading))
            except InputError as error:
                raise InputError(f"event {event_id}, {reading['station_code']}: {error}") from error
        lines.append("E".ljust(RECORD_BYTES))
    return "".join(line + "\n" for line in lines).encode("ascii", "replace")


def _readings(arrivals: list[dict[str, Any]], motions: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the readings of an event in order of time; S goes with the last P of its station."""
    letters = {code: letter for letter, code in NETWORKS.items()}
    up_down = {motion: letter for letter, motion in _UP_DOWN.items()}
    readings: list[dict[str, Any]] = []
    waiting: dict[str, dict[str, Any]] = {}
    for row in arrivals:
        network = letters.get(row["network"], row["network"])
        code = f"{network}.{row['station']}" if network else row["station"]
        first = waiting.pop(code, None) if row["phase"] == "S" else None
        if first is not None and row["time"] - first["time_1"] < pd.Timedelta("59min"):
            first |= {"phase_2": "S", "time_2": row["time"]}
            continue
        reading = {"station_code": code, "phase_1": row["phase"], "time_1": row["time"]}
        if row["phase"] == "P":
            reading["vertical_motion"] = up_down.get(motions.get(row["pick_id"], ""), "")
            waiting[code] = reading
        readings.append(reading)
    return readings


def _hypocentres(events: pd.DataFrame) -> list[str]:
    letters = {name: letter for letter, name in MAGNITUDE_TYPES.items()}
    out = []
    for row in events.to_dict("records"):
        kilometres = KM_PER_MINUTE * np.array([1.0, np.cos(np.radians(row["latitude"]))])
        record = {
            "record_type": "J",
            **row,
            "magnitude_1": row["magnitude"],
            "magnitude_type_1": letters.get(row["magnitude_type"], ""),
            "time_error_s": row["time_uncertainty_s"],
            "latitude_error_min": np.sqrt(row["cov_nn_km2"]) / kilometres[0],
            "longitude_error_min": np.sqrt(row["cov_ee_km2"]) / kilometres[1],
            "depth_error_km": row["depth_uncertainty_km"],
        }
        try:
            out.append(encode_hypocentre(record))
        except InputError as error:
            raise InputError(f"event {row['event_id']}: {error}") from error
    return out


class _Lines:
    """The records of a file by kind, each with the number of its event."""

    def __init__(self) -> None:
        self.hypocentres: list[bytes] = []
        self.hypocentre_events: list[int] = []
        self.readings: list[bytes] = []
        self.reading_events: list[int] = []
        self.comments: dict[int, list[str]] = {}
        self.kept: list[tuple[int, str]] = []
        self.n_event = 0

    def take(self, content: bytes, where: str, failures: list[dict[str, Any]]) -> None:
        """Sort the lines of a file; where ends are marked, hypocentre records in a row are of one event."""
        lines = [line.rstrip(b"\r") for line in content.split(b"\n")]
        grouped = any(line[:1] == _END for line in lines)
        unknown: Counter[str] = Counter()
        kept: Counter[bytes] = Counter()
        short, inside = 0, False
        for line in lines:
            kind = line[:1]
            if not line.strip():
                continue
            if kind == _END:
                inside = False
            elif kind and kind in HYPOCENTRE_TYPES.encode():
                if len(line) != RECORD_BYTES:
                    short += 1
                    continue
                if not (inside and grouped):
                    self.n_event += 1
                inside = True
                self.hypocentres.append(line)
                self.hypocentre_events.append(self.n_event - 1)
            elif inside and kind == _COMMENT:
                text = _CONTROL.sub("?", line[1:].decode("ascii", "replace").strip())
                self.comments.setdefault(self.n_event - 1, []).append(text)
            elif inside and kind == _READING:
                self.readings.append(line)
                self.reading_events.append(self.n_event - 1)
            elif inside and kind in _KEPT:
                self.kept.append((self.n_event - 1, line.decode("ascii", "replace")))
                kept[kind] += 1
            else:
                unknown[kind.decode("ascii", "replace")] += 1
        if short:
            message = f"{short} hypocentre records have not {RECORD_BYTES} columns and are left out"
            failures.append(failure(where, "FormatError", message))
        for letter, count in sorted(kept.items()):
            message = f"{count} {_KEPT[letter]} ({letter.decode()}) are only in `unread`, as they stand"
            failures.append(failure(where, "FormatError", message))
        for kind_name, count in sorted(unknown.items()):
            message = f"{count} records of type {kind_name!r} are not read (known: J U I C _ W j E)"
            failures.append(failure(where, "FormatError", message))


def _names(lines: Sequence[bytes]) -> Any:
    seen: Counter[str] = Counter()
    names = []
    for line in lines:
        name = "jma" + line[1:17].replace(b" ", b"0").decode("ascii", "replace")
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return np.array(names, dtype=object)


def _events(adopted: pd.DataFrame, others: Mapping[str, str], comments: Mapping[str, str]) -> pd.DataFrame:
    north_km = adopted["latitude_error_min"] * KM_PER_MINUTE
    east_km = adopted["longitude_error_min"] * KM_PER_MINUTE * np.cos(np.radians(adopted["latitude"]))
    flag = adopted["determination"]
    events = pd.DataFrame(
        {
            "event_id": adopted["event_id"],
            "time": adopted["time"],
            "time_uncertainty_s": adopted["time_error_s"],
            "latitude": adopted["latitude"],
            "longitude": adopted["longitude"],
            "depth_km": adopted["depth_km"],
            "cov_ee_km2": east_km**2,
            "cov_nn_km2": north_km**2,
            "cov_zz_km2": adopted["depth_error_km"] ** 2,
            "depth_uncertainty_km": adopted["depth_error_km"],
            "n_station": adopted["n_station"],
            "magnitude": adopted["magnitude_1"],
            "magnitude_type": adopted["magnitude_type_1"].map(MAGNITUDE_TYPES).fillna(""),
            "quality": flag.map(_QUALITY).fillna(""),
            "velocity_model": adopted["travel_time_table"].map(VELOCITY_MODELS).fillna(""),
            "method": flag.map(_METHODS).fillna(""),
            "remark": [
                _remark(row, others.get(row["event_id"], ""), comments.get(row["event_id"], ""))
                for row in adopted[["event_id", "region", "max_intensity"]].to_dict("records")
            ],
        }
    )
    return pd.concat([events, adopted[list(_CODES)]], axis=1)


def _bounded(events: pd.DataFrame, failures: list[dict[str, Any]]) -> pd.DataFrame:
    """Take out values beyond the bounds of the schema and tell them."""
    for column in EVENTS.columns:
        if column.name not in events or column.dtype not in ("float", "int"):
            continue
        low = -np.inf if column.low is None else column.low
        high = np.inf if column.high is None else column.high
        beyond = ~events[column.name].between(low, high) & events[column.name].notna()
        for event_id, value in events.loc[beyond, ["event_id", column.name]].itertuples(index=False):
            message = f"taken without {column.name}: {value:g} is not from {low:g} to {high:g} {column.unit}"
            failures.append(failure(event_id, "FormatError", message.rstrip()))
        events.loc[beyond, column.name] = column.missing
    return validate(events, EVENTS)


def _remark(row: Mapping[str, str], others: str, comments: str) -> str:
    parts = (
        row["region"],
        row["max_intensity"] and f"maximum JMA intensity {row['max_intensity']}",
        others and f"also located by {', '.join(others)}",
        comments,
    )
    return "; ".join(filter(None, parts))


def _onsets(
    readings: pd.DataFrame, methods: Mapping[str, str]
) -> tuple[pd.DataFrame, pd.DataFrame, Counter[str]]:
    """Return picks, arrivals and the phases left out; who judged the hypocentre judged its readings."""
    known = readings.assign(number=np.arange(1, len(readings) + 1))
    known = known[known["event_id"].isin(list(methods))]
    codes = {code: _sensor(code) for code in known["station_code"].unique()}
    parts, skipped = [], Counter[str]()
    for which in "12":
        stated = known[(known[f"phase_{which}"] != "") & known[f"time_{which}"].notna()]
        names = stated[f"phase_{which}"]
        phase = names.str.upper().str.replace(" ", "").map(_PHASES).where(stated["station_code"] != "")
        skipped.update(names[phase.isna()].tolist())
        stated, phase = stated[phase.notna()], phase.dropna()
        network, station = (stated["station_code"].map(lambda code, k=k: codes[code][k]) for k in (0, 1))
        first_p = (phase == "P") & (which == "1")
        parts.append(
            pd.DataFrame(
                {
                    "number": stated["number"],
                    "event_id": stated["event_id"],
                    "pick_id": stated["event_id"] + "/" + station + "/" + phase
                    + "/" + stated["number"].astype(str),
                    "network": network,
                    "station": station,
                    "phase": phase,
                    "time": stated[f"time_{which}"],
                    "polarity": stated["vertical_motion"].map(_UP_DOWN).where(first_p, "").fillna(""),
                    "method": stated["event_id"].map(methods).replace("", "JMA"),
                }
            )
        )  # fmt: skip
    rows = pd.concat(parts).sort_values("number", kind="stable", ignore_index=True).drop(columns="number")
    arrivals = validate(rows.drop(columns=["polarity", "method"]), ARRIVALS)
    return validate(rows.drop(columns="event_id"), PICKS), arrivals, skipped


def _sensor(code: str) -> tuple[str, str]:
    """Return network and station of a code: ``N.MSIH`` is MSIH of BO."""
    letters, point, rest = code.partition(".")
    network, station = (NETWORKS.get(letters, letters), rest) if point and rest else ("", code)
    clean_network, clean_station, *_ = seed_id(network, station, "", "")[0].split(".")
    return clean_network, clean_station
