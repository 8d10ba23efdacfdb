"""The report of a catalogue run: one HTML file that needs nothing else, now or in twenty years."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kaname import __version__
from kaname.core.errors import InputError
from kaname.core.tables import ARRIVALS, EVENTS, FAILURES, PICKS, STATIONS, empty, validate
from kaname.core.waveform import Waveform
from kaname.report import catalogue, maps
from kaname.report.page import (
    ABSENT,
    Cell,
    items,
    moment,
    number,
    picture,
    plus_minus,
    table,
    text,
    write_page,
)  # fmt: skip
from kaname.report.records import record_section
from kaname.report.reference import Reference, compare
from kaname.report.stations import AVAILABILITY, DRAWN_STATIONS, health, health_figure

QUALITY = {
    "A": "well constrained",
    "B": "usable",
    "C": "poor: use with care",
    "D": "do not trust the location",
    "unlocated": "detected on several stations, but not located",
}

FAILURE_ROWS = 500


@dataclass
class CatalogueReport:
    """What a run found, ready to be written as a page.

    Parameters
    ----------
    title
        Title of the page.
    events, arrivals, picks, stations, failures
        Tables of `kaname.core.tables`.
    run
        What is to be known about the run (command, version, velocity model, time span, ...), shown in this
        order; nested values are shown as JSON.
    caveats
        What cannot be trusted, in plain language, one sentence or two each.
    references
        Locations by others, drawn on the map and compared with ours.
    waveforms
        Returns the waveforms about an event, given its ``event_id``; called once for each drawn event, while
        the page is being written. Filter them first if they need it, and say so in ``waveform_note``.
    waveform_note
        What was done to the waveforms, such as ``band-passed 2 to 20 Hz``.
    predicted
        Returns further predicted arrivals of an event (``network``, ``station``, ``phase``, ``time``).
    availability
        Table `kaname.report.stations.AVAILABILITY`.
    quality
        What each quality flag means in this run, where it differs from the general meaning.
    event_sections
        How many events get a section of their own with waveforms; the largest do.

    Raises
    ------
    SchemaError
        When a table breaks its schema.
    InputError
        When ``event_sections`` is negative.
    """

    events: pd.DataFrame
    arrivals: pd.DataFrame
    picks: pd.DataFrame
    stations: pd.DataFrame
    failures: pd.DataFrame = field(default_factory=lambda: empty(FAILURES))
    title: str = "Earthquake catalogue"
    run: Mapping[str, Any] = field(default_factory=dict)
    caveats: Sequence[str] = ()
    references: Sequence[Reference] = ()
    waveforms: Callable[[str], Sequence[Waveform]] | None = None
    waveform_note: str = ""
    predicted: Callable[[str], pd.DataFrame] | None = None
    availability: pd.DataFrame | None = None
    quality: Mapping[str, str] = field(default_factory=dict)
    event_sections: int = 50

    def __post_init__(self) -> None:
        if self.event_sections < 0:
            raise InputError(f"event_sections must not be negative, found {self.event_sections}")
        self.events = validate(self.events, EVENTS).sort_values("time", kind="stable").reset_index(drop=True)
        self.arrivals = validate(self.arrivals, ARRIVALS)
        self.picks = validate(self.picks, PICKS)
        self.stations = validate(self.stations, STATIONS)
        self.failures = validate(self.failures, FAILURES)
        if self.availability is not None:
            self.availability = validate(self.availability, AVAILABILITY)

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the page in one atomic rename.

        Raises
        ------
        StorageError
            When the disk refuses; the previous page, if any, is untouched.
        """
        return write_page(path, self.title, self._body())

    def _body(self) -> Iterator[str]:
        yield from self._summary()
        yield '<h2 id="map">Where</h2>\n'
        yield from self._map()
        yield '<h2 id="events">Events</h2>\n'
        yield from self._events()
        yield '<h2 id="statistics">Magnitudes and residuals</h2>\n'
        yield from self._statistics()
        yield '<h2 id="stations">Stations</h2>\n'
        yield from self._stations()
        yield '<h2 id="sections">Record sections</h2>\n'
        yield from self._sections()
        yield '<h2 id="failures">Failures</h2>\n'
        yield from self._failures()
        yield '<h2 id="run">How this was made</h2>\n'
        yield from self._run()
        yield f"</main>\n<footer>Made by Kaname {text(__version__)}. Coastlines and borders: Natural Earth.</footer>\n"

    @property
    def _located(self) -> pd.DataFrame:
        return self.events[self.events["latitude"].notna() & self.events["longitude"].notna()]

    def _summary(self) -> Iterator[str]:
        yield f"<header><h1>{text(self.title)}</h1>\n"
        if len(self.events):
            first, last = (
                moment(t, decimals=0) for t in (self.events["time"].min(), self.events["time"].max())
            )
            yield f'<p class="lead">Events from {first} to {last} UTC</p>\n'
        else:
            yield '<p class="lead">No event was found</p>\n'
        links = (
            ("map", "Map"), ("events", "Events"), ("statistics", "Magnitudes and residuals"), ("stations", "Stations"),
            ("sections", "Record sections"), ("failures", "Failures"), ("run", "How this was made"),
        )  # fmt: skip
        yield '</header><nav aria-label="Sections of this page">'
        yield "".join(f'<a href="#{to}">{name}</a>' for to, name in links) + "</nav>\n<main>\n"
        magnitude = self.events["magnitude"].dropna()
        tiles = [
            (len(self.events), "events"),
            (len(self._located), "located"),
            (f"{magnitude.min():.1f} to {magnitude.max():.1f}" if len(magnitude) else ABSENT, "magnitude"),
            (len(self.stations.drop_duplicates(["network", "station"])), "stations"),
            (len(self.picks), "picks"),
            (len(self.arrivals), "picks tied to events"),
            (len(self.failures), "failures"),
        ]
        yield '<div class="tiles">'
        yield (
            "".join(f'<div class="tile"><b>{value}</b><span>{name}</span></div>' for value, name in tiles)
            + "</div>\n"
        )
        if self.caveats:
            yield '<section class="caveats" aria-labelledby="caveats"><h2 id="caveats">What cannot be trusted</h2><ul>'
            yield "".join(f"<li>{text(caveat)}</li>" for caveat in self.caveats) + "</ul></section>\n"

    def _map(self) -> Iterator[str]:
        view = maps.default_view(self.events, self.stations, self.references)
        n_event, n_station = len(self._located), len(self.stations.drop_duplicates(["network", "station"]))
        notes = [
            f"{n_event} located events by depth (colour) and magnitude (size), with 68 % confidence ellipses; bars in the "
            "two sections are one standard deviation."
        ]
        if n_event < len(self.events):
            notes.append(f"{len(self.events) - n_event} events without a location are not drawn.")
        for places, name in ((self._located, "events"), (self.stations, "station rows")):
            if beyond := maps.outside(view, places):
                notes.append(f"{beyond} {name} lie outside the map.")
        alternative = f"Map and two depth sections of {n_event} earthquakes and {n_station} stations."
        drawing = maps.hypocentres(self.events, self.stations, references=self.references, view=view)
        yield picture(drawing, alternative, " ".join(notes))
        if self.references:
            yield from self._references()

    def _references(self) -> Iterator[str]:
        headers = (
            ("Reference", "name on the map"), ("Source", "who says so"), ("Time (UTC)#", "origin time"),
            ("Lat.#", "degrees"), ("Lon.#", "degrees"), ("Depth (km)#", "below sea level"), ("M#", "magnitude"),
            ("Event here", "the event nearest in time, within 10 s"), ("Δ time (s)#", "event minus reference"),
            ("Δ epicentre (km)#", "distance between the epicentres"), ("Δ depth (km)#", "event minus reference"),
            ("Δ M#", "event minus reference"),
        )  # fmt: skip
        rows = []
        for r in compare(self.events, self.references).to_dict("records"):
            found: Cell | str = r["event_id"]
            if r["event_id"]:
                found = self._link(r["event_id"])
            elif np.isfinite(r["median_km"]):
                found = (
                    f"none at that time; epicentres here lie {r['nearest_km']:.1f} to {r['farthest_km']:.1f} km away, "
                    f"median {r['median_km']:.1f} km"
                )
            else:
                found = "none at that time"
            values = (("latitude", 4), ("longitude", 4), ("depth_km", 1), ("magnitude", 1))
            differences = (
                ("time_difference_s", 2), ("distance_km", 2), ("depth_difference_km", 2), ("magnitude_difference", 2),
            )  # fmt: skip
            rows.append(
                [
                    r["label"], r["source"], Cell(moment(r["time"]), r["time"]),
                    *(Cell(number(r[k], d), r[k]) for k, d in values), found,
                    *(Cell(number(r[k], d), r[k]) for k, d in differences),
                ]
            )  # fmt: skip
        yield from table("reference-table", "Locations by others, and ours beside them", headers, rows)

    def _link(self, event_id: str) -> Cell:
        return Cell(
            f'<a href="#{self._anchors[event_id]}">{text(event_id)}</a>'
            if event_id in self._anchors
            else text(event_id)
        )

    @property
    def _anchors(self) -> dict[str, str]:
        """Where in the page each event is: its section, if it has one, else its row."""
        rows = {event: f"event-{i}" for i, event in enumerate(self.events["event_id"], 1)}
        return rows | {event: f"section-{rows[event][6:]}" for event in self._drawn["event_id"]}

    @property
    def _drawn(self) -> pd.DataFrame:
        """The events with a section: the largest, then those with the most arrivals; in order of time."""
        ranked = self.events.assign(_n=self.events["n_p"] + self.events["n_s"])
        ranked = ranked.sort_values(["magnitude", "_n"], ascending=False, na_position="last", kind="stable")
        return self.events.loc[sorted(ranked.index[: self.event_sections])]

    def _events(self) -> Iterator[str]:
        if not len(self.events):
            yield "<p>No event was found.</p>\n"
            return
        meaning = QUALITY | dict(self.quality)
        present = [q for q in QUALITY if (self.events["quality"] == q).any()]
        yield "<p>Quality: " + "; ".join(f"{_flag(q)} {text(meaning[q])}" for q in present) + ".</p>\n"
        headers = (
            ("Time (UTC)#", EVENTS["time"].meaning), ("Event", "identifier"), ("Lat.#", "degrees"), ("Lon.#", "degrees"),
            ("± (km)#", EVENTS["ellipse_major_km"].meaning), ("Depth (km)#", "below sea level ± one standard deviation"),
            ("M#", "magnitude ± standard error"), ("Type", EVENTS["magnitude_type"].meaning),
            ("Quality", EVENTS["quality"].meaning), ("P#", EVENTS["n_p"].meaning), ("S#", EVENTS["n_s"].meaning),
            ("Gap (°)#", EVENTS["azimuthal_gap_deg"].meaning), ("RMS (s)#", EVENTS["rms_s"].meaning),
            ("Similarity#", "network correlation with the most similar event, and which"),
            ("Remark", EVENTS["remark"].meaning),
        )  # fmt: skip
        caption = f"{len(self.events)} events; a click on a title sorts"
        yield from table("event-table", caption, headers, self._event_rows())

    def _event_rows(self) -> Iterator[list[Cell | str]]:
        anchors = self._anchors
        sections = {event for event, anchor in anchors.items() if anchor.startswith("section")}

        def link(event: str) -> str:
            return f'<a href="#{anchors[event]}">{text(event)}</a>' if event in anchors else text(event)

        for i, e in enumerate(self.events.to_dict("records"), 1):
            name = link(e["event_id"]) if e["event_id"] in sections else text(e["event_id"])
            similar = number(e["similarity"], 2) + (f" to {link(e['similar_to'])}" if e["similar_to"] else "")
            yield [
                Cell(moment(e["time"]), e["time"]), Cell(f'<span id="event-{i}">{name}</span>'),
                Cell(number(e["latitude"], 4), e["latitude"]), Cell(number(e["longitude"], 4), e["longitude"]),
                Cell(number(e["ellipse_major_km"], 1), e["ellipse_major_km"]),
                Cell(plus_minus(e["depth_km"], e["depth_uncertainty_km"], 1), e["depth_km"]),
                Cell(plus_minus(e["magnitude"], e["magnitude_uncertainty"], 1), e["magnitude"]), e["magnitude_type"],
                Cell(_flag(e["quality"])), e["n_p"], e["n_s"],
                Cell(number(e["azimuthal_gap_deg"], 0), e["azimuthal_gap_deg"]), Cell(number(e["rms_s"], 3), e["rms_s"]),
                Cell(similar, e["similarity"]), e["remark"],
            ]  # fmt: skip

    def _statistics(self) -> Iterator[str]:
        n = int(self.events["magnitude"].notna().sum())
        yield picture(
            catalogue.magnitude_time(self.events),
            f"Magnitude against time of {n} events, and the cumulative number of {len(self.events)} events.",
            f"Magnitudes of {n} events and cumulative number of all {len(self.events)}.",
        )
        yield '<div class="pair">'
        yield picture(
            catalogue.magnitude_frequency(self.events),
            f"Magnitude-frequency distribution of {n} events.",
            "Number of events per magnitude bin (bars) and at or above each magnitude (dots). No b-value is fitted.",
        )
        yield picture(
            catalogue.residuals(self.arrivals),
            "Histograms of the time residuals of P and S arrivals.",
            "Time residuals of the arrivals used; the outermost bins hold everything beyond.",
        )
        yield picture(
            catalogue.wadati(self.events, self.arrivals),
            "Wadati diagram: S minus P time against P travel time.",
            "Wadati diagram of all sensors with P and S. The ratio depends on the origin times, so it is no independent "
            "measurement of Vp/Vs.",
        )
        yield "</div>\n"

    def _stations(self) -> Iterator[str]:
        summed = health(self.stations, self.picks, self.arrivals, self.failures, self.availability)
        shown = (
            f"The {DRAWN_STATIONS} stations with the most picks; all are in the table."
            if len(summed) > DRAWN_STATIONS
            else ""
        )
        yield picture(
            health_figure(summed),
            f"Data availability, picks, residuals and failures of {min(len(summed), DRAWN_STATIONS)} stations.",
            f"What each station delivered. {shown}",
        )
        headers = (
            ("Station", "network and station code"), ("Lat.#", "degrees"), ("Lon.#", "degrees"), ("Elevation (m)#", "above sea level"),
            ("Data (%)#", "time with data in the time wanted"), ("P picks#", "P picks"), ("S picks#", "S picks"),
            ("Used#", "arrivals with a weight in a location"), ("Median residual (s)#", "of the arrivals used"),
            ("Spread (s)#", "1.4826 times the median absolute deviation"), ("Failures#", "failures that name the station"),
        )  # fmt: skip
        decimals = {"latitude": 4, "longitude": 4, "elevation_m": 0, "availability_percent": 1}
        late = {"median_residual_s": 3, "residual_spread_s": 3}
        rows = [
            [
                ".".join(part for part in (s["network"], s["station"]) if part),
                *(Cell(number(s[k], d), s[k]) for k, d in decimals.items()), s["n_p_pick"], s["n_s_pick"], s["n_used"],
                *(Cell(number(s[k], d), s[k]) for k, d in late.items()), s["n_failure"],
            ]
            for s in summed.to_dict("records")
        ]  # fmt: skip
        yield from table("station-table", f"{len(summed)} stations", headers, rows)

    def _sections(self) -> Iterator[str]:
        drawn = self._drawn
        if len(drawn) < len(self.events):
            yield f"<p>Sections of the {len(drawn)} largest of {len(self.events)} events; all are in the table above.</p>\n"
        if not len(drawn):
            yield "<p>None.</p>\n"
            return
        by_event = dict(tuple(self.arrivals.groupby("event_id")))
        anchors = self._anchors
        for _, event in drawn.iterrows():
            own = by_event.get(event["event_id"], self.arrivals.iloc[:0]).sort_values("time", kind="stable")
            yield from self._section(event, own, anchors[event["event_id"]], opened=len(drawn) == 1)

    def _section(
        self, event: pd.Series, arrivals: pd.DataFrame, anchor: str, *, opened: bool
    ) -> Iterator[str]:
        magnitude = f"{event['magnitude_type'] or 'M'} {number(event['magnitude'], 1)}"
        headline = f"{moment(event['time'])} {_flag(event['quality'])}<span>{text(magnitude)}</span>"
        if pd.notna(event["depth_km"]):
            headline += f"<span>{number(event['depth_km'], 1)} km deep</span>"
        yield f'<details id="{anchor}"{" open" if opened else ""}><summary>{headline}<span>{text(event["event_id"])}</span></summary>\n'
        if event["remark"]:
            yield f"<p>{text(event['remark'])}</p>\n"
        if self.waveforms is not None:
            drawing = record_section(
                event, arrivals, self.waveforms(event["event_id"]), stations=self.stations,
                predicted=self.predicted(event["event_id"]) if self.predicted else None, note=self.waveform_note,
            )  # fmt: skip
            yield picture(
                drawing,
                f"Record section of event {event['event_id']} with {len(arrivals)} picks.",
                "Nearest station on top, each trace scaled to its own peak. Thick bars: picks; dashed: predicted.",
                lazy=True,
            )
        yield items(
            [
                ("Epicentre", f"{number(event['latitude'], 4)}, {number(event['longitude'], 4)}"),
                ("68 % ellipse", _ellipse(event)),
                ("Depth", plus_minus(event["depth_km"], event["depth_uncertainty_km"], 1) + " km"),
                ("Origin time", f"± {number(event['time_uncertainty_s'], 2)} s"),
                (
                    "Magnitude",
                    f"{plus_minus(event['magnitude'], event['magnitude_uncertainty'], 2)}, {event['n_magnitude']} stations",
                ),
                ("RMS residual", f"{number(event['rms_s'], 3)} s"),
                ("Nearest station", f"{number(event['nearest_station_km'], 1)} km"),
                ("Azimuthal gap", f"{number(event['azimuthal_gap_deg'], 0)}°"),
                ("Velocity model", text(event["velocity_model"] or ABSENT)),
                ("Method", text(event["method"] or ABSENT)),
            ]
        )
        headers = (
            ("Channel", "SEED identifier"), ("Phase", "P or S"), ("Time (UTC)#", "onset"), ("± (s)#", "one standard deviation"),
            ("Residual (s)#", "observed minus predicted"), ("Weight#", ARRIVALS["weight"].meaning),
            ("Distance (km)#", "epicentral"), ("Azimuth (°)#", ARRIVALS["azimuth_deg"].meaning),
            ("Amplitude (mm)#", ARRIVALS["amplitude_mm"].meaning), ("Station M#", ARRIVALS["station_magnitude"].meaning),
        )  # fmt: skip
        columns = (
            ("time_uncertainty_s", 3), ("residual_s", 3), ("weight", 2), ("distance_km", 1), ("azimuth_deg", 0),
            ("amplitude_mm", 5), ("station_magnitude", 2),
        )  # fmt: skip
        rows = (
            [
                _channel(a),
                a["phase"],
                moment(a["time"], decimals=3),
                *(Cell(number(a[k], d), a[k]) for k, d in columns),
            ]
            for a in arrivals.to_dict("records")
        )
        yield from table(f"{anchor}-arrivals", f"{len(arrivals)} arrivals", headers, rows, sortable=False)
        yield "</details>\n"

    def _failures(self) -> Iterator[str]:
        if not len(self.failures):
            yield "<p>None: everything that was given could be processed.</p>\n"
            return
        counts = self.failures.groupby(["step", "error"]).size().sort_values(ascending=False)
        kinds = "; ".join(
            f"{n} × {text(error)} in {text(step)}" for (step, error), n in counts.head(20).items()
        )
        shown = self.failures.head(FAILURE_ROWS)
        caption = f"{len(self.failures)} failures: {kinds}"
        if len(shown) < len(self.failures):
            caption += f". The first {len(shown)} are listed"
        headers = (
            ("Step", FAILURES["step"].meaning), ("Subject", FAILURES["subject"].meaning), ("From (UTC)#", "start of the stretch"),
            ("To (UTC)#", "end of the stretch"), ("Error", FAILURES["error"].meaning), ("Message", FAILURES["message"].meaning),
        )  # fmt: skip
        rows: Iterable[list[Cell | str]] = (
            [
                f["step"], Cell(f"<code>{text(f['subject'])}</code>"), Cell(moment(f["start"], decimals=0), f["start"]),
                Cell(moment(f["end"], decimals=0), f["end"]), f["error"], f["message"],
            ]
            for f in shown.to_dict("records")
        )  # fmt: skip
        yield from table("failure-table", caption, headers, rows)

    def _run(self) -> Iterator[str]:
        if not self.run:
            yield "<p>Nothing was recorded about this run.</p>\n"
            return
        shown = (
            (key, f"<code>{text(json.dumps(value, indent=1, default=str, ensure_ascii=False))}</code>")
            if isinstance(value, (dict, list, tuple))
            else (key, text(value))
            for key, value in self.run.items()
        )
        yield items(shown).replace("<dl>", '<dl class="long">', 1)


def _flag(quality: str) -> str:
    return f'<span class="q q{text(quality)}">{text(quality)}</span>' if quality else ABSENT


def _ellipse(event: pd.Series) -> str:
    half = f"{number(event['ellipse_major_km'], 2)} by {number(event['ellipse_minor_km'], 2)} km"
    return f"{half}, long axis N{number(event['ellipse_azimuth_deg'], 0)}°E"


def _channel(arrival: Mapping[str, Any]) -> str:
    return ".".join(arrival[k] for k in ("network", "station", "location", "channel"))
