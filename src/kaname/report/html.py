"""The report of a catalogue run: one HTML file that needs nothing else, now or in twenty years."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from kaname import __version__
from kaname.core.errors import InputError
from kaname.core.tables import ARRIVALS, EVENTS, FAILURES, PICKS, STATIONS, empty, validate
from kaname.core.waveform import Waveform
from kaname.report import catalogue, listing, maps
from kaname.report.page import ABSENT, items, many, moment, number, picture, text, write_page
from kaname.report.records import record_section
from kaname.report.reference import Reference
from kaname.report.stations import AVAILABILITY, DRAWN_STATIONS, health, health_figure


@dataclass
class CatalogueReport:
    """What a run found, ready to be written as a page.

    Parameters
    ----------
    events, arrivals, picks, stations, failures
        Tables of `kaname.core.tables`.
    title
        Title of the page.
    run
        What is to be known about the run (time span of the data, command, version, velocity model, ...), in
        the order to show it; lists and mappings stand as JSON at the end of the page, the rest at its head.
    caveats
        What cannot be trusted, in plain language, a sentence or two each.
    references
        Locations by others, drawn on the map and compared with ours.
    waveforms
        Returns the waveforms about an event, given its ``event_id``; called once for each event that gets a
        section, while the page is being written. Filter them first if they need it and say so in
        ``waveform_note``.
    waveform_note
        What was done to the waveforms, such as ``band-passed 2 to 20 Hz``.
    predicted
        Returns further predicted arrivals of an event (``network``, ``station``, ``phase``, ``time``).
    availability
        Table `kaname.report.stations.AVAILABILITY`.
    quality
        What each quality flag means in this run, where it says more than `kaname.report.listing.QUALITY`.
    event_sections
        How many events get a section of their own, with waveforms; the largest do.

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
        events = validate(self.events, EVENTS)
        self.events = events.sort_values("time", kind="stable").reset_index(drop=True)
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
        parts = (
            ("map", "Map and sections", self._map),
            ("events", "Events", self._events),
            ("statistics", "Magnitudes and residuals", self._statistics),
            ("stations", "Stations", self._stations),
            ("sections", "Record sections", self._sections),
            ("failures", "Failures", self._failures),
            ("run", "How this was made", self._run),
        )
        yield from self._head([(name, title) for name, title, _ in parts])
        yield "<main>\n"
        yield from self._summary()
        for name, title, part in parts:
            yield f'<h2 id="{name}">{title}</h2>\n'
            yield from part()
        yield f"</main>\n<footer>Kaname {text(__version__)}. Coasts and borders: Natural Earth.</footer>\n"

    @cached_property
    def _located(self) -> pd.DataFrame:
        return self.events[self.events["latitude"].notna() & self.events["longitude"].notna()]

    @cached_property
    def _with_section(self) -> dict[str, str]:
        """Where in the page the section of each event is that has one: the largest, then the best seen."""
        ranked = self.events.assign(n=self.events["n_p"] + self.events["n_s"])
        ranked = ranked.sort_values(["magnitude", "n"], ascending=False, na_position="last", kind="stable")
        chosen = self.events["event_id"].loc[sorted(ranked.index[: self.event_sections])]
        return {event: f"section-{i}" for i, event in enumerate(chosen, 1)}

    @cached_property
    def _rows(self) -> dict[str, str]:
        """Where in the page the row of each event is."""
        return {event: f"event-{i}" for i, event in enumerate(self.events["event_id"], 1)}

    def _link(self, event_id: str) -> str:
        to = self._with_section.get(event_id, self._rows.get(event_id))
        return text(event_id) if to is None else f'<a href="#{to}">{text(event_id)}</a>'

    def _head(self, parts: Sequence[tuple[str, str]]) -> Iterator[str]:
        yield f"<header><h1>{text(self.title)}</h1>\n"
        if len(self.events):
            first, last = (moment(self.events["time"].iloc[i], decimals=0) for i in (0, -1))
            yield f'<p class="lead">Events from {first} to {last} UTC</p>\n'
        else:
            yield '<p class="lead">No event was found</p>\n'
        yield '<nav aria-label="Parts of this page">'
        yield "".join(f'<a href="#{name}">{title}</a>' for name, title in parts) + "</nav></header>\n"

    def _summary(self) -> Iterator[str]:
        known = self.events["magnitude"].dropna()
        tiles = [
            (f"{len(self.events)}", "events"),
            (f"{len(self._located)}", "located"),
            (f"{known.min():.1f} to {known.max():.1f}" if len(known) else ABSENT, "magnitude"),
            (f"{len(self.stations.drop_duplicates(['network', 'station']))}", "stations"),
            (f"{len(self.picks)}", "picks"),
            (f"{len(self.arrivals)}", "picks in events"),
            (f"{len(self.failures)}", "failures"),
        ]
        inner = "".join(f'<div class="tile"><b>{value}</b><span>{name}</span></div>' for value, name in tiles)
        yield f'<div class="tiles">{inner}</div>\n'
        if self.caveats:
            yield '<section class="caveats" aria-labelledby="caveats">'
            yield '<h2 id="caveats">What cannot be trusted</h2><ul>'
            yield "".join(f"<li>{text(caveat)}</li>" for caveat in self.caveats) + "</ul></section>\n"
        facts = {
            name: value for name, value in self.run.items() if not isinstance(value, (dict, list, tuple))
        }
        if facts:
            yield items(((name, text(value)) for name, value in facts.items()), wide=True)

    def _map(self) -> Iterator[str]:
        view = maps.default_view(self.events, self.stations, self.references)
        n_event = len(self._located)
        notes = [
            f"{many(n_event, 'located event')}; colour is depth, size is magnitude. Ellipses hold the "
            "epicentre with 68 % confidence; bars in the sections are one standard deviation either way."
        ]
        if n_event < len(self.events):
            notes.append(f"{many(len(self.events) - n_event, 'event')} without a location not drawn.")
        stations = self.stations.drop_duplicates(["network", "station", "latitude", "longitude"])
        for places, name in ((self._located, "event"), (stations, "station")):
            if beyond := maps.outside(view, places):
                notes.append(f"{many(beyond, name)} outside the map.")
        yield picture(
            maps.hypocentres(self.events, self.stations, references=self.references, view=view),
            f"Map and two depth sections: {many(n_event, 'event')}, {many(len(stations), 'station')}.",
            " ".join(notes),
            gradients=True,
        )
        if self.references:
            yield from listing.reference_table(self.events, self.references, self._link)

    def _events(self) -> Iterator[str]:
        if len(self.events):
            yield from listing.event_table(self.events, self._link, self.quality)
        else:
            yield "<p>No event was found.</p>\n"

    def _statistics(self) -> Iterator[str]:
        n = int(self.events["magnitude"].notna().sum())
        yield picture(
            catalogue.magnitude_time(self.events),
            f"Magnitude against time of {n} events, and the cumulative number of {len(self.events)} events.",
            f"Magnitudes of {n} events (blue), cumulative number of all {len(self.events)} (orange).",
        )
        yield '<div class="pair">'
        yield picture(
            catalogue.magnitude_frequency(self.events),
            f"Magnitude-frequency distribution of {n} events.",
            "Number of events per magnitude bin (bars) and at or above each magnitude (dots). "
            "A dashed line, where there is one, is for the eye: no b-value is fitted.",
        )
        yield picture(
            catalogue.residuals(self.arrivals),
            "Histograms of the time residuals of P and S arrivals.",
            "Time residuals of the arrivals used; the outermost bins hold everything beyond.",
        )
        yield picture(
            catalogue.residual_distance(self.arrivals),
            "Time residuals of P and S arrivals against epicentral distance.",
            "Residuals by distance, with running medians: a trend says that the velocity model is off.",
        )
        yield picture(
            catalogue.wadati(self.events, self.arrivals),
            "Wadati diagram: S minus P time against P travel time.",
            "Wadati diagram of all sensors with P and S. The ratio depends on the origin times, so it is no "
            "independent measurement of Vp/Vs.",
        )
        yield "</div>\n"

    def _stations(self) -> Iterator[str]:
        summed = health(self.stations, self.picks, self.arrivals, self.failures, self.availability)
        caption = "What each station delivered and what became of it."
        if len(summed) > DRAWN_STATIONS:
            caption += f" The {DRAWN_STATIONS} stations with the most picks; all are in the table."
        drawn = min(len(summed), DRAWN_STATIONS)
        alternative = f"Data availability, picks, residuals and failures of {drawn} stations."
        yield picture(health_figure(summed), alternative, caption)
        yield from listing.station_table(summed)

    def _sections(self) -> Iterator[str]:
        anchors = self._with_section
        if len(anchors) < len(self.events):
            yield f"<p>The {len(anchors)} largest of {len(self.events)} events; the table has all.</p>\n"
        own = self.arrivals[self.arrivals["event_id"].isin(anchors.keys())].sort_values("time", kind="stable")
        by_event = dict(tuple(own.groupby("event_id")))
        for _, event in self.events[self.events["event_id"].isin(anchors.keys())].iterrows():
            name = event["event_id"]
            yield from self._section(event, by_event.get(name, own.iloc[:0]), anchors[name])

    def _section(self, event: pd.Series, arrivals: pd.DataFrame, anchor: str) -> Iterator[str]:
        opened = " open" if len(self._with_section) == 1 else ""
        facts = [text(event["event_id"])]
        if pd.notna(event["magnitude"]):
            facts.append(f"{text(event['magnitude_type'] or 'M')} {number(event['magnitude'], 1)}")
        if pd.notna(event["depth_km"]):
            facts.append(f"{number(event['depth_km'], 1)} km deep")
        headline = f"{moment(event['time'])} {listing.flag(event['quality'])}"
        headline += "".join(f"<span>{fact}</span>" for fact in facts)
        yield f'<details id="{anchor}"{opened}><summary>{headline}</summary>\n'
        if event["remark"]:
            yield f"<p>{text(event['remark'])}</p>\n"
        if self.waveforms is not None:
            drawing = record_section(
                event,
                arrivals,
                self.waveforms(event["event_id"]),
                stations=self.stations,
                predicted=self.predicted(event["event_id"]) if self.predicted else None,
                note=self.waveform_note,
            )
            yield picture(
                drawing,
                f"Record section of event {event['event_id']} with {len(arrivals)} picks.",
                "Nearest station on top, each trace scaled to its own peak.",
                lazy=True,
            )
        yield listing.event_facts(event)
        yield from listing.arrival_table(f"{anchor}-arrivals", arrivals)
        yield "</details>\n"

    def _failures(self) -> Iterator[str]:
        yield from listing.failure_table(self.failures)

    def _run(self) -> Iterator[str]:
        nested = {name: value for name, value in self.run.items() if isinstance(value, (dict, list, tuple))}
        if not nested:
            yield "<p>Nothing more was recorded than what stands at the head of this page.</p>\n"
            return
        shown = (
            (name, f"<code>{text(json.dumps(value, indent=1, default=str, ensure_ascii=False))}</code>")
            for name, value in nested.items()
        )
        yield items(shown, wide=True)
