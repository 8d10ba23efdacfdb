"""Figures: what is drawn equals what the tables hold."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from kaname.core import tables
from kaname.core.errors import InputError
from kaname.core.waveform import Waveform
from kaname.report import catalogue as drawings
from kaname.report import maps, style
from kaname.report.records import DRAWN_ROWS, envelope, record_section
from kaname.report.reference import Reference, compare
from kaname.report.stations import AVAILABILITY, health, health_figure

Tables = dict[str, pd.DataFrame]


def artist(figure: Figure, gid: str) -> Any:
    (found,) = figure.findobj(lambda a: a.get_gid() == gid)
    return found


def test_rooms_stay_light() -> None:
    code = (
        "import sys, kaname, kaname.report; sys.exit('matplotlib' in sys.modules or 'pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_drawing_leaves_no_global_state(catalogue: Tables) -> None:
    before = dict(matplotlib.rcParams)
    style.data_uri(drawings.magnitude_time(catalogue["events"]))
    assert dict(matplotlib.rcParams) == before
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_map_draws_every_located_event_where_it_is(catalogue: Tables) -> None:
    events, stations = catalogue["events"], catalogue["stations"]
    view = maps.default_view(events, stations)
    figure = maps.hypocentres(events, stations, view=view)
    located = events[events["latitude"].notna()].sort_values("magnitude", ascending=False)
    expected = np.column_stack(view.frame.to_local(located["latitude"], located["longitude"]))
    assert np.allclose(artist(figure, "epicentres").get_offsets(), expected)
    assert np.allclose(
        artist(figure, "stations").get_offsets(),
        np.column_stack(view.frame.to_local(stations["latitude"], stations["longitude"])),
    )
    across, along = (artist(figure, f"hypocentres-{n}").get_offsets() for n in ("ew", "ns"))
    assert np.allclose(across, np.column_stack([expected[:, 0], located["depth_km"]]))
    assert np.allclose(along, np.column_stack([located["depth_km"], expected[:, 1]]))


def test_ellipses_are_in_kilometres_and_turn_with_azimuth(catalogue: Tables) -> None:
    figure = maps.hypocentres(catalogue["events"], catalogue["stations"])
    ellipses = artist(figure, "ellipses")
    assert np.allclose(ellipses.get_widths(), 1.2)  # 2 x 0.6 km
    assert np.allclose(ellipses.get_heights(), 0.8)
    # Long axis towards N20E, that is 70 degrees anticlockwise from east.
    assert np.allclose(ellipses.get_angles(), 70)


def test_section_bars_are_one_standard_deviation(catalogue: Tables) -> None:
    events = catalogue["events"]
    figure = maps.hypocentres(events, catalogue["stations"])
    bars = np.array(artist(figure, "uncertainty-ew").get_segments())
    lengths = np.abs(bars[:, 1] - bars[:, 0])
    n = int(events["latitude"].notna().sum())
    assert np.allclose(lengths[:n], [2 * 0.3, 0])
    assert np.allclose(lengths[n:], [0, 2 * 0.7])


def test_quality_d_is_an_open_symbol_and_unknown_depth_is_grey(catalogue: Tables) -> None:
    events = catalogue["events"].copy()
    events.loc[0, "depth_km"] = np.nan
    events.loc[1, "magnitude"] = np.nan
    figure = maps.hypocentres(events, catalogue["stations"])
    located = events[events["latitude"].notna()].sort_values("magnitude", ascending=False, na_position="last")
    points = artist(figure, "epicentres")
    alpha = points.get_facecolors()[:, 3]
    assert ((alpha == 0) == (located["quality"] == "D").to_numpy()).all()
    grey = np.flatnonzero(located["depth_km"].isna())
    assert np.allclose(points.get_facecolors()[grey, :3], 0.6)
    assert points.get_sizes()[-1] == pytest.approx(maps.UNKNOWN_SIZE_PT**2)
    assert len(artist(figure, "hypocentres-ew").get_offsets()) == len(located) - 1


def test_a_lonely_mislocated_event_does_not_shrink_the_map_and_is_counted(catalogue: Tables) -> None:
    events = catalogue["events"].copy()
    events.loc[0, ["latitude", "longitude"]] = (-30.0, 100.0)
    view = maps.default_view(events, catalogue["stations"])
    assert view.reach_km < 200
    assert maps.outside(view, events) == 1


def test_larger_magnitudes_get_larger_symbols() -> None:
    size = maps.symbol_size(np.array([0.0, 1.0, 3.0, np.nan]))
    assert size[0] < size[1] < size[2]
    assert np.isfinite(size).all()


@pytest.mark.parametrize(("latitude", "longitude"), [(-17.0, 179.95), (89.5, 0.0), (-89.9, 45.0), (0.0, 0.0)])
def test_map_at_awkward_places(
    make_catalogue: Callable[..., Tables], latitude: float, longitude: float
) -> None:
    made = make_catalogue(5, 4, latitude=latitude, longitude=longitude, half_size_km=30.0)
    view = maps.default_view(made["events"], made["stations"])
    assert view.reach_km < 120
    figure = maps.hypocentres(made["events"], made["stations"])
    assert len(artist(figure, "epicentres").get_offsets()) == 4
    assert style.data_uri(figure).startswith("data:image/png;base64,")


def test_references_are_drawn_and_dollar_signs_are_text(catalogue: Tables) -> None:
    stations = catalogue["stations"].copy()
    stations["station"] = ["$_{x$", "A$B", "_S", "S"]
    references = [Reference("an$alyst$", "2020-01-01T00:00:00", 48.05, 11.65, 4.0, 1.0)]
    figure = maps.hypocentres(catalogue["events"], stations, references=references)
    assert len(figure.findobj(lambda a: a.get_gid() == "reference")) == 3
    style.data_uri(figure)


def test_empty_tables_give_figures_that_say_so() -> None:
    events, arrivals = tables.empty(tables.EVENTS), tables.empty(tables.ARRIVALS)
    stations = tables.empty(tables.STATIONS)
    for figure in (
        maps.hypocentres(events, stations),
        drawings.magnitude_time(events),
        drawings.magnitude_frequency(events),
        drawings.residuals(arrivals),
        drawings.residual_distance(arrivals),
        drawings.wadati(events, arrivals),
        health_figure(health(stations, tables.empty(tables.PICKS), arrivals, tables.empty(tables.FAILURES))),
    ):
        style.data_uri(figure)


def test_magnitude_time_shows_every_event(catalogue: Tables) -> None:
    events = catalogue["events"]
    figure = drawings.magnitude_time(events)
    assert np.allclose(artist(figure, "magnitudes").get_offsets()[:, 1], events["magnitude"].dropna())
    assert len(artist(figure, "no-magnitude").get_xdata()) == events["magnitude"].isna().sum()
    assert artist(figure, "cumulative").get_ydata()[-1] == len(events)


def test_frequency_counts_each_event_once() -> None:
    magnitude = np.array([0.95, 1.0, 1.04, 1.3, -0.25])
    centre, count = drawings.frequency(magnitude)
    assert count.sum() == 5
    assert dict(zip(centre.round(1), count))[1.0] == 3  # 0.95 <= M < 1.05
    assert np.allclose(np.diff(centre), 0.1)


def test_wadati_recovers_the_velocity_ratio(catalogue: Tables) -> None:
    events, arrivals = catalogue["events"], catalogue["arrivals"].copy()
    arrivals["time"] -= pd.to_timedelta(arrivals["residual_s"], unit="s")
    pairs = drawings.wadati_pairs(events, arrivals)
    assert len(pairs) == int(events["latitude"].notna().sum()) * 4
    assert np.allclose(1 + pairs["s_minus_p_s"] / pairs["p_travel_time_s"], 1.73, atol=1e-6)


def test_station_health_counts(catalogue: Tables) -> None:
    arrivals = catalogue["arrivals"].copy()
    arrivals.loc[arrivals["station"] == "S01", "weight"] = 0.0
    picks = catalogue["picks"].copy()
    picks.loc[picks["station"] == "S02", "network"] = ""  # belongs to the only network that has S02
    extra = {**picks.iloc[0].to_dict(), "pick_id": "new", "network": "YY", "station": "FAR"}
    picks = pd.concat([picks, pd.DataFrame([extra])], ignore_index=True)
    failures = tables.table(
        [
            {
                "step": "read",
                "subject": "/data/XX.S00..HHZ.D.2020.001",
                "error": "FormatError",
                "message": "bad",
            },
            {"step": "read", "subject": "/data/XX.S001.mseed", "error": "FormatError", "message": "bad"},
            {"step": "pick", "subject": "XX.S00", "error": "InputError", "message": "bad"},
        ],
        tables.FAILURES,
    )
    day = pd.Timestamp("2020-01-01")
    spans = [
        {
            "network": "XX",
            "station": "S00",
            "start": day,
            "end": day + pd.Timedelta("1D"),
            "recorded_s": 43200.0,
        },
        {
            "network": "XX",
            "station": "S00",
            "start": day,
            "end": day + pd.Timedelta("1D"),
            "recorded_s": 86400.0,
        },
    ]
    summed = health(
        catalogue["stations"], picks, arrivals, failures, tables.table(spans, AVAILABILITY)
    ).set_index("station")
    assert list(summed.index) == ["S00", "S01", "S02", "S03", "FAR"]
    assert summed.loc["S00", "availability_percent"] == pytest.approx(75.0)
    assert np.isnan(summed.loc["S01", "availability_percent"])
    assert summed.loc["S02", "n_p_pick"] == 6
    assert summed["n_used"].to_dict() == {"S00": 12, "S01": 0, "S02": 12, "S03": 12, "FAR": 0}
    assert summed["n_failure"].to_dict() == {"S00": 2, "S01": 0, "S02": 0, "S03": 0, "FAR": 0}
    own = arrivals.loc[arrivals["station"] == "S00", "residual_s"]
    assert summed.loc["S00", "median_residual_s"] == pytest.approx(own.median())
    style.data_uri(health_figure(summed.reset_index()))


def test_reference_is_matched_in_time_or_said_to_be_elsewhere(catalogue: Tables) -> None:
    events = catalogue["events"]
    first = events.iloc[0]
    later = first["time"] + pd.Timedelta("1s")
    near = Reference("near", later, first["latitude"], first["longitude"], 1.0, 0.2, "someone")
    other = Reference("other", "2021-01-01", first["latitude"], first["longitude"])
    rows = compare(events, [near, other])
    assert list(rows["event_id"]) == ["ev0", ""]
    assert rows.loc[0, "time_difference_s"] == pytest.approx(-1.0)
    assert rows.loc[0, "distance_km"] == pytest.approx(0.0, abs=1e-6)
    assert rows.loc[0, "depth_difference_km"] == pytest.approx(first["depth_km"] - 1.0)
    assert rows.loc[1, "nearest_km"] == pytest.approx(0.0, abs=1e-6)
    assert np.isnan(rows.loc[1, "distance_km"])


def test_record_section_marks_picks_and_predictions_at_their_times(
    catalogue: Tables, waveforms: Callable[[str], list[Waveform]]
) -> None:
    event = catalogue["events"].iloc[0]
    arrivals = catalogue["arrivals"].query("event_id == 'ev0'").copy()
    arrivals.loc[arrivals.index[-1], "weight"] = 0.0
    figure = record_section(event, arrivals, waveforms("ev0"), components="vertical")
    labels = [t.get_text() for t in figure.findobj(lambda a: a.get_gid() == "row")]
    order = arrivals.drop_duplicates("station").sort_values("distance_km")["station"]
    assert [label.split(".")[1] for label in labels] == list(order)
    for phase in "PS":
        own = arrivals[arrivals["phase"] == phase]
        seconds = (own["time"] - event["time"]).dt.total_seconds()
        drawn = [
            segment[0][0]
            for gid in (f"pick-{phase}", f"pick-unused-{phase}")
            for segment in artist(figure, gid).get_segments()
        ]
        assert np.allclose(sorted(drawn), sorted(seconds))
        expected = [segment[0][0] for segment in artist(figure, f"predicted-{phase}").get_segments()]
        assert np.allclose(sorted(expected), sorted(seconds - own["residual_s"]))
    assert len(artist(figure, "pick-unused-S").get_segments()) == 1


def test_record_section_scales_each_trace_and_keeps_gaps(catalogue: Tables) -> None:
    event = catalogue["events"].iloc[0]
    start = event["time"].to_datetime64()
    samples = np.arange(100.0)[np.newaxis]
    blocks = [
        Waveform(samples, ("XX.S00..HHZ",), start, 100.0),
        Waveform(samples, ("XX.S00..HHZ",), start + np.timedelta64(2, "s"), 100.0),
        Waveform(samples * 1e9, ("XX.S01..HHZ",), start, 100.0),
    ]
    figure = record_section(event, catalogue["arrivals"].iloc[:0], blocks)
    segments = artist(figure, "traces").get_segments()
    assert len(segments) == 3
    for segment in segments:
        assert np.ptp(segment[:, 1]) == pytest.approx(2 * 0.46)
    assert segments[1][0, 0] == pytest.approx(2.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_record_section_of_useless_samples(catalogue: Tables, bad: float) -> None:
    event = catalogue["events"].iloc[-1]  # unlocated
    block = Waveform(np.full((1, 500), bad), ("XX.S00..HHZ",), event["time"].to_datetime64(), 100.0)
    style.data_uri(record_section(event, catalogue["arrivals"].iloc[:0], [block]))
    style.data_uri(record_section(event, catalogue["arrivals"].iloc[:0], []))


def test_record_section_says_how_many_traces_it_leaves_out(catalogue: Tables) -> None:
    event = catalogue["events"].iloc[0]
    start = event["time"].to_datetime64()
    blocks = [Waveform(np.ones((1, 10)), (f"XX.T{i:02d}..HHZ",), start, 10.0) for i in range(DRAWN_ROWS + 7)]
    figure = record_section(event, catalogue["arrivals"].iloc[:0], blocks)
    assert len(figure.findobj(lambda a: a.get_gid() == "row")) == DRAWN_ROWS
    assert "7 more" in figure.axes[0].get_xlabel()


def test_record_section_rejects_unknown_components(catalogue: Tables) -> None:
    with pytest.raises(InputError, match="components"):
        record_section(catalogue["events"].iloc[0], catalogue["arrivals"], [], components="some")  # type: ignore[arg-type]


def test_thinning_keeps_every_peak() -> None:
    samples = np.zeros(500_000)
    samples[123_457], samples[400_001] = 9.0, -7.0
    line = envelope(np.arange(500_000) / 100.0, samples)
    assert len(line) < 4000
    assert line[:, 1].max() == 9.0
    assert line[:, 1].min() == -7.0
    assert line[line[:, 1].argmax(), 0] == pytest.approx(1234.57, abs=4.0)
