"""The tables of a catalogue report: which columns they have and how each cell reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from kaname.core.tables import ARRIVALS, EVENTS, FAILURES
from kaname.report.page import (
    ABSENT,
    Column,
    Record,
    items,
    many,
    moment,
    moments,
    number,
    numbers,
    plus_minus,
    table,
    text,
    words,
)
from kaname.report.reference import Reference, compare

QUALITY = {
    "A": "well constrained",
    "B": "usable",
    "C": "poor, use with care",
    "D": "do not trust the location",
    "unlocated": "detected on several stations, but not located",
}
FAILURE_ROWS = 500
"""More failures than this are summed up, not listed."""

Link = Callable[[str], str]
"""Makes the markup of an ``event_id``, with a link to where the page tells more about it."""


def flag(quality: str) -> str:
    """Return the mark of a quality (markup)."""
    return f'<span class="q q{text(quality)}">{text(quality)}</span>' if quality else ABSENT


def _words(record: Record, *names: str) -> str:
    return ".".join(record[name] for name in names if record[name])


def event_table(events: pd.DataFrame, link: Link, meaning: Mapping[str, str]) -> Iterator[str]:
    """Yield the table of all events; row ``i`` carries the identifier ``event-i``, from 1."""

    def magnitude(e: Record) -> str:
        known = plus_minus(e["magnitude"], e["magnitude_uncertainty"], 1)
        return known if known == ABSENT else f"{known} {text(e['magnitude_type'])}"

    def similarity(e: Record) -> str:
        return number(e["similarity"], 2) + (f" {link(e['similar_to'])}" if e["similar_to"] else "")

    present = [q for q in QUALITY if (events["quality"] == q).any()]
    if present:
        explained = "; ".join(f"{flag(q)} {text(meaning.get(q, QUALITY[q]))}" for q in present)
        yield f'<p class="flags">Quality: {explained}.</p>\n'
    depth = "below sea level, plus or minus one standard deviation"
    columns = [
        moments("Time (UTC)", "time", EVENTS["time"].meaning),
        Column("Event", "identifier", lambda e: f'<span id="{e["row"]}">{link(e["event_id"])}</span>'),
        numbers("Lat.", "latitude", 4, "WGS84 latitude, degrees"),
        numbers("Lon.", "longitude", 4, "WGS84 longitude, degrees"),
        numbers("± km", "ellipse_major_km", 1, EVENTS["ellipse_major_km"].meaning),
        numbers("Depth km", "depth_km", 1, depth, uncertainty="depth_uncertainty_km"),
        Column("Magnitude", "plus or minus its standard error", magnitude, lambda e: e["magnitude"]),
        Column("Quality", EVENTS["quality"].meaning, lambda e: flag(e["quality"])),
        numbers("P", "n_p", 0, EVENTS["n_p"].meaning),
        numbers("S", "n_s", 0, EVENTS["n_s"].meaning),
        numbers("Gap °", "azimuthal_gap_deg", 0, EVENTS["azimuthal_gap_deg"].meaning),
        numbers("RMS s", "rms_s", 3, EVENTS["rms_s"].meaning),
        Column("Similar", f"{EVENTS['similarity'].meaning} and which", similarity, lambda e: e["similarity"]),
        words("Remark", "remark", EVENTS["remark"].meaning),
    ]  # fmt: skip
    rows = ({**e, "row": f"event-{i}"} for i, e in enumerate(events.to_dict("records"), 1))
    yield from table("event-table", f"{many(len(events), 'event')}. A click on a title sorts.", columns, rows)


def reference_table(events: pd.DataFrame, references: Sequence[Reference], link: Link) -> Iterator[str]:
    """Yield the table of locations by others beside ours."""

    def matched(r: Record) -> str:
        if r["event_id"]:
            return link(r["event_id"])
        if not np.isfinite(r["median_km"]):
            return "none at that time"
        spread = f"{r['nearest_km']:.1f} to {r['farthest_km']:.1f}"
        return f"none at that time; epicentres here lie {spread} km away, median {r['median_km']:.1f} km"

    def named(r: Record) -> str:
        return f"<b>{text(r['label'])}</b> {text(r['source'])}"

    difference = "ours minus the reference"
    columns = [
        Column("Reference", "name on the map, and who says so", named),
        moments("Time (UTC)", "time", "origin time"),
        numbers("Lat.", "latitude", 4, "degrees"),
        numbers("Lon.", "longitude", 4, "degrees"),
        numbers("Depth km", "depth_km", 1, "below sea level"),
        numbers("M", "magnitude", 1, "magnitude"),
        Column("Ours", "our event nearest in time, within 10 s", matched),
        numbers("Δ time s", "time_difference_s", 2, difference),
        numbers("Δ km", "distance_km", 2, "distance between the epicentres"),
        numbers("Δ depth km", "depth_difference_km", 2, difference),
        numbers("Δ M", "magnitude_difference", 2, difference),
    ]  # fmt: skip
    rows = compare(events, references).to_dict("records")
    yield from table("reference-table", "Locations by others, and ours beside them.", columns, rows)


def station_table(health: pd.DataFrame) -> Iterator[str]:
    """Yield the table of `kaname.report.stations.health`."""
    columns = [
        Column("Station", "network and station code", lambda s: text(_words(s, "network", "station"))),
        numbers("Lat.", "latitude", 4, "degrees"),
        numbers("Lon.", "longitude", 4, "degrees"),
        numbers("Elevation m", "elevation_m", 0, "above sea level"),
        numbers("Data %", "availability_percent", 1, "time with data in the time wanted"),
        numbers("P picks", "n_p_pick", 0, "P picks, whether tied to an event or not"),
        numbers("S picks", "n_s_pick", 0, "S picks, whether tied to an event or not"),
        numbers("Used", "n_used", 0, "arrivals with a weight in a location"),
        numbers("Median residual s", "median_residual_s", 3, "observed minus predicted, arrivals used"),
        numbers("Spread s", "residual_spread_s", 3, "1.4826 times their median absolute deviation"),
        numbers("Failures", "n_failure", 0, "rows of the failures table that name the station"),
    ]  # fmt: skip
    yield from table("station-table", many(len(health), "station") + ".", columns, health.to_dict("records"))


def failure_table(failures: pd.DataFrame) -> Iterator[str]:
    """Yield the failures, summed up by kind and the first `FAILURE_ROWS` of them listed."""
    if not len(failures):
        yield "<p>None: everything that was given could be processed.</p>\n"
        return
    kinds = failures.groupby(["error", "step"]).size().sort_values(ascending=False)
    summed = "; ".join(f"{n} × {text(error)} in {text(step)}" for (error, step), n in kinds.head(20).items())
    listed = f"; the first {FAILURE_ROWS} are listed" if len(failures) > FAILURE_ROWS else ""
    columns = [
        words("Step", "step", FAILURES["step"].meaning),
        Column("Subject", FAILURES["subject"].meaning, lambda f: f"<code>{text(f['subject'])}</code>"),
        moments("From (UTC)", "start", FAILURES["start"].meaning, decimals=0),
        moments("To (UTC)", "end", FAILURES["end"].meaning, decimals=0),
        words("Error", "error", FAILURES["error"].meaning),
        words("Message", "message", FAILURES["message"].meaning),
    ]
    caption = f"{many(len(failures), 'failure')}: {summed}{listed}."
    yield from table("failure-table", caption, columns, failures.head(FAILURE_ROWS).to_dict("records"))


def arrival_table(name: str, arrivals: pd.DataFrame) -> Iterator[str]:
    """Yield the arrivals of one event."""
    seed = ("network", "station", "location", "channel")
    columns = [
        Column("Channel", "SEED identifier", lambda a: text(_words(a, *seed))),
        words("Phase", "phase", "P or S"),
        moments("Time (UTC)", "time", "onset", decimals=3),
        numbers("± s", "time_uncertainty_s", 3, "one standard deviation of the onset"),
        numbers("Residual s", "residual_s", 3, ARRIVALS["residual_s"].meaning),
        numbers("Weight", "weight", 2, ARRIVALS["weight"].meaning),
        numbers("Distance km", "distance_km", 1, ARRIVALS["distance_km"].meaning),
        numbers("Azimuth °", "azimuth_deg", 0, ARRIVALS["azimuth_deg"].meaning),
        numbers("Amplitude mm", "amplitude_mm", 5, ARRIVALS["amplitude_mm"].meaning),
        numbers("Station M", "station_magnitude", 2, ARRIVALS["station_magnitude"].meaning),
    ]  # fmt: skip
    yield from table(
        name, many(len(arrivals), "arrival") + ".", columns, arrivals.to_dict("records"), sortable=False
    )


def event_facts(event: pd.Series) -> str:
    """Return the list of what is known about one event (markup)."""
    located = np.isfinite(event["latitude"]) and np.isfinite(event["longitude"])
    place = f"{number(event['latitude'], 4)}, {number(event['longitude'], 4)}" if located else "not located"
    ellipse = ABSENT
    if np.isfinite(event["ellipse_major_km"]):
        ellipse = (
            f"{number(event['ellipse_major_km'], 2)} by {number(event['ellipse_minor_km'], 2)} km, "
            f"long axis towards {number(event['ellipse_azimuth_deg'], 0)}°"
        )
    magnitude = plus_minus(event["magnitude"], event["magnitude_uncertainty"], 2)
    if magnitude != ABSENT:
        magnitude += f" {text(event['magnitude_type'])}, {many(event['n_magnitude'], 'station')}"

    def measured(name: str, decimals: int, unit: str) -> str:
        value = number(event[name], decimals)
        return value if value == ABSENT else value + unit

    time = moment(event["time"], decimals=3)
    if np.isfinite(event["time_uncertainty_s"]):
        time += f" ± {number(event['time_uncertainty_s'], 2)} s"
    depth = plus_minus(event["depth_km"], event["depth_uncertainty_km"], 1)
    return items(
        [
            ("Time (UTC)", time),
            ("Epicentre", place),
            ("68 % ellipse", ellipse),
            ("Depth", depth if depth == ABSENT else f"{depth} km"),
            ("Magnitude", magnitude),
            ("RMS residual", measured("rms_s", 3, " s")),
            ("Nearest station", measured("nearest_station_km", 1, " km")),
            ("Azimuthal gap", measured("azimuthal_gap_deg", 0, "°")),
            ("Velocity model", text(event["velocity_model"] or ABSENT)),
            ("Method", text(event["method"] or ABSENT)),
        ]
    )
