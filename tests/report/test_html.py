"""The page: whole, escaped, self-contained, and equal to the tables."""

from __future__ import annotations

import base64
import errno
from collections import Counter
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kaname.core import tables
from kaname.core.errors import InputError, SchemaError, StorageError
from kaname.core.waveform import Waveform
from kaname.report import listing
from kaname.report.html import CatalogueReport
from kaname.report.page import moment, number, plus_minus, text, write_page
from kaname.report.reference import Reference

Tables = dict[str, pd.DataFrame]
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Reads a page, checking as it goes that every element is closed."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.rows: Counter[str] = Counter()
        self.words: list[str] = []
        self._table = ""
        self.feed(markup)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self._table = dict(attrs)["id"] or ""
        if tag == "tr" and "tbody" in self.open:
            self.rows[self._table] += 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.words.append(data)

    def values(self, name: str, tag: str | None = None) -> list[str]:
        return [v for t, n, v in self.attributes if n == name and tag in (None, t)]

    @property
    def text(self) -> str:
        return " ".join(self.words)


def read(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def report(
    make_catalogue: Callable[..., Tables], waveforms: Callable[[str], list[Waveform]]
) -> CatalogueReport:
    made = make_catalogue()
    first = made["events"].iloc[0]
    return CatalogueReport(
        **made,
        title="Test network",
        run={"command": "kaname catalog", "configuration": {"picker": "kurtosis", "band_hz": [2, 20]}},
        caveats=["Depths are poor.", "Magnitudes are relative."],
        references=[Reference("analyst", first["time"], 48.05, 11.65, 4.6, 0.9, "a bulletin")],
        waveforms=waveforms,
    )


@pytest.fixture(scope="module")
def written(report: CatalogueReport, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report.write(tmp_path_factory.mktemp("report") / "new" / "report.html")


@pytest.fixture(scope="module")
def page(written: Path) -> Page:
    return read(written)


def test_page_holds_what_the_tables_hold(report: CatalogueReport, page: Page) -> None:
    assert page.rows["event-table"] == len(report.events)
    assert page.rows["station-table"] == len(report.stations)
    assert page.rows["reference-table"] == 1
    arrivals = sum(n for name, n in page.rows.items() if name.endswith("-arrivals"))
    assert arrivals == len(report.arrivals)
    assert page.tags["details"] == len(report.events)
    assert page.tags["img"] == 7 + len(report.events)
    for caveat in report.caveats:
        assert caveat in page.text
    assert "kaname catalog" in page.text
    assert '"picker": "kurtosis"' in page.text
    assert "too few picks" in page.text  # remark of the unlocated event
    for quality in "ABCD":
        assert listing.QUALITY[quality] in page.text


def test_page_is_self_contained(written: Path, page: Page) -> None:
    assert all(source.startswith("data:image/png;base64,") for source in page.values("src"))
    assert all(link.startswith("#") for link in page.values("href"))
    assert page.tags["link"] == page.tags["iframe"] == page.tags["object"] == 0
    markup = written.read_text(encoding="utf-8")
    assert "url(" not in markup
    assert "@import" not in markup
    assert "://" not in markup
    for source in page.values("src"):
        assert base64.b64decode(source.split(",")[1]).startswith(b"\x89PNG")


def test_identifiers_are_unique_and_links_lead_somewhere(page: Page) -> None:
    names = page.values("id")
    assert len(names) == len(set(names))
    assert {link[1:] for link in page.values("href")} <= set(names)
    assert set(page.values("aria-labelledby")) <= set(names)


def test_page_is_accessible(page: Page) -> None:
    assert len(page.values("alt", "img")) == page.tags["img"]
    assert all(page.values("alt", "img"))
    assert page.tags["caption"] == page.tags["table"]
    assert page.values("scope", "th") == ["col"] * page.tags["th"]
    assert page.values("lang", "html") == ["en"]
    assert page.tags["h1"] == page.tags["main"] == 1


HOSTILE = "</td></table><script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;\x00\x1b[31m"
NOT_UTF8 = "b\udcfc.mseed"  # what Python makes of a file name that is not UTF-8


def test_hostile_text_stays_text(catalogue: Tables, tmp_path: Path) -> None:
    failure = {"step": HOSTILE, "subject": HOSTILE, "error": HOSTILE, "message": HOSTILE}
    events, arrivals = catalogue["events"].copy(), catalogue["arrivals"].copy()
    events.loc[0, ["event_id", "remark", "method", "velocity_model", "magnitude_type"]] = HOSTILE
    events.loc[1, "similar_to"] = HOSTILE
    arrivals.loc[arrivals["event_id"] == "ev0", "event_id"] = HOSTILE
    arrivals.loc[0, "channel"] = HOSTILE
    hostile = CatalogueReport(
        **catalogue | {"events": events, "arrivals": arrivals},
        title=HOSTILE + NOT_UTF8,
        run={HOSTILE: HOSTILE, "nested": {HOSTILE: [HOSTILE]}},
        caveats=[HOSTILE],
        references=[
            Reference("$x" + HOSTILE.replace("\x00", ""), "2020-01-01", 48.05, 11.65, source=HOSTILE)
        ],
        quality={"A": HOSTILE},
    )
    hostile.failures = tables.table([failure], tables.FAILURES)
    page = read(hostile.write(tmp_path / "hostile.html"))
    assert page.tags["script"] == 1
    assert page.tags["img"] == 7
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert page.rows["failure-table"] == 1
    assert page.text.count("<script>alert(1)</script>") >= 8
    assert "b\\udcfc.mseed" in page.text
    assert "\\x00" in page.text


def test_no_events_only_stations(catalogue: Tables, tmp_path: Path) -> None:
    nothing = {
        s.name: tables.empty(s) for s in (tables.EVENTS, tables.ARRIVALS, tables.PICKS, tables.FAILURES)
    }
    page = read(CatalogueReport(**nothing, stations=catalogue["stations"]).write(tmp_path / "report.html"))
    assert "No event was found" in page.text
    assert page.rows["station-table"] == 4
    assert "everything that was given could be processed" in page.text


def test_nothing_at_all(tmp_path: Path) -> None:
    names = (tables.EVENTS, tables.ARRIVALS, tables.PICKS, tables.STATIONS)
    report = CatalogueReport(**{s.name: tables.empty(s) for s in names})
    assert "No event was found" in read(report.write(tmp_path / "report.html")).text


def test_nothing_known_but_time(tmp_path: Path, catalogue: Tables) -> None:
    events = tables.table([{"event_id": "a", "time": "2020-01-01"}], tables.EVENTS)
    arrivals = catalogue["arrivals"].iloc[:2][["event_id", "pick_id", "station", "phase", "time"]]
    report = CatalogueReport(
        events,
        arrivals.assign(event_id="a"),
        catalogue["picks"],
        tables.empty(tables.STATIONS),
        waveforms=lambda _: [],
    )
    page = read(report.write(tmp_path / "report.html"))
    assert page.rows["event-table"] == 1
    assert "nan" not in page.text.lower()
    assert "NaT" not in page.text
    assert ("details", "open", "") in page.attributes  # a single event is shown opened


def test_sections_are_limited_to_the_largest_and_the_page_says_so(
    catalogue: Tables, waveforms: Callable[[str], list[Waveform]], tmp_path: Path
) -> None:
    asked: list[str] = []
    before = {name: table.copy() for name, table in catalogue.items()}

    def count(event_id: str) -> list[Waveform]:
        asked.append(event_id)
        return waveforms(event_id)

    report = CatalogueReport(**catalogue, waveforms=count, event_sections=2)
    page = read(report.write(tmp_path / "report.html"))
    assert asked == ["ev3", "ev4"]  # the largest of the six, in order of time
    assert page.tags["details"] == 2
    assert page.rows["event-table"] == 6
    assert "The 2 largest of 6 events" in page.text
    for name, table in catalogue.items():
        pd.testing.assert_frame_equal(table, before[name])  # nothing given is changed


def test_a_negative_number_of_sections_is_refused(catalogue: Tables) -> None:
    with pytest.raises(InputError, match="event_sections"):
        CatalogueReport(**catalogue, event_sections=-1)


def test_many_failures_are_summed_up() -> None:
    row = {"step": "read", "subject": "file", "error": "FormatError", "message": "bad"}
    failures = tables.table([row] * 700, tables.FAILURES)
    page = Page("".join(listing.failure_table(failures)))
    assert page.rows["failure-table"] == listing.FAILURE_ROWS
    assert "700 failures" in page.text
    assert "the first 500 are listed" in page.text


def test_thousand_events_keep_every_row(make_catalogue: Callable[..., Tables], tmp_path: Path) -> None:
    made = make_catalogue(1000, 2)
    path = CatalogueReport(**made, event_sections=0).write(tmp_path / "report.html")
    assert read(path).rows["event-table"] == 1000
    assert path.stat().st_size < 4e6


def test_a_bad_table_is_refused(catalogue: Tables) -> None:
    with pytest.raises(SchemaError):
        CatalogueReport(**catalogue | {"events": catalogue["events"].drop(columns="time")})


def test_the_same_input_gives_the_same_page(report: CatalogueReport, written: Path, tmp_path: Path) -> None:
    assert report.write(tmp_path / "again.html").read_bytes() == written.read_bytes()


def test_pieces_are_taken_one_at_a_time(tmp_path: Path) -> None:
    def body() -> Iterator[str]:
        for i in range(5):
            yield f"<p>{i}</p>"

    assert read(write_page(tmp_path / "page.html", "T", body())).tags["p"] == 5


def test_full_disk_leaves_the_old_page(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("old")

    def body() -> Iterator[str]:
        yield "<p>new</p>"
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError, match="No space left"):
        write_page(path, "T", body())
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]


def test_an_error_of_the_caller_leaves_no_litter(tmp_path: Path) -> None:
    def body() -> Iterator[str]:
        yield "<p>new</p>"
        raise InputError("waveforms are gone")

    with pytest.raises(InputError):
        write_page(tmp_path / "page.html", "T", body())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        write_page(tmp_path / "file" / "page.html", "T", [])


def test_texts_and_numbers() -> None:
    assert text("<a href='x'>&") == "&lt;a href=&#x27;x&#x27;&gt;&amp;"
    assert number(np.nan, 1) == number(np.inf, 1) == "–"
    assert number(1.25, 1) == "1.2"
    assert plus_minus(1.0, np.nan, 1) == "1.0"
    assert plus_minus(np.nan, 1.0, 1) == "–"
    assert plus_minus(4.6, 0.52, 1) == "4.6 ± 0.5"


@pytest.mark.parametrize(
    ("time", "decimals", "expected"),
    [
        ("2010-05-27T16:24:33.214999", 2, "2010-05-27 16:24:33.21"),
        ("2010-12-31T23:59:59.996", 2, "2011-01-01 00:00:00.00"),
        ("2010-05-27T16:24:33.5", 0, "2010-05-27 16:24:34"),
        ("NaT", 2, "–"),
    ],
)
def test_moments_are_rounded(time: str, decimals: int, expected: str) -> None:
    assert moment(pd.Timestamp(time), decimals=decimals) == expected
