"""Catalogues against ObsPy, the QuakeML schema, the analysts' files read by column, and published angles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import obspy
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from obspy.io.quakeml.core import _validate
from pandas.testing import assert_frame_equal

from kaname.core.errors import FormatError, InputError, NotFoundError
from kaname.core.tables import ARRIVALS, EVENTS, PICKS, table
from kaname.formats.catalogs import EventSet, from_catalog, read_events, to_catalog, write_events
from kaname.formats.ellipsoid import Ellipsoid

IO = Path(obspy.__file__).parent / "io"
NAMES = ("events", "arrivals", "picks")


def _time(seconds: float) -> pd.Timestamp:
    return pd.Timestamp("2013-09-01T23:59:50.005") + pd.Timedelta(seconds=seconds)


def _pick(number: int, station: str, phase: str, seconds: float, **more: object) -> dict[str, object]:
    where = {"network": "AF", "station": station, "location": "10", "channel": "SHZ"}
    return {"pick_id": f"p/{number}", **where, "phase": phase, "time": _time(seconds), **more}


@pytest.fixture
def made() -> EventSet:
    """A full event over midnight, one with hardly anything, one without a place."""
    covariance = {
        f"cov_{n}_km2": v
        for n, v in zip(("ee", "en", "ez", "nn", "nz", "zz"), (1.2, 0.3, -0.4, 0.8, 0.2, 4.1), strict=True)
    }
    events = [
        {
            "event_id": "2013-09-01T23:59:50 #1",
            "time": _time(0),
            "time_uncertainty_s": 0.12,
            "latitude": -43.31234,
            "longitude": 170.41236,
            "depth_km": 7.654,
            **covariance,
            "ellipse_major_km": 1.8,
            "ellipse_minor_km": 1.2,
            "ellipse_azimuth_deg": 66.0,
            "depth_uncertainty_km": float(np.sqrt(4.1)),
            "rms_s": 0.051,
            "azimuthal_gap_deg": 133.0,
            "nearest_station_km": 4.25,
            "n_p": 2,
            "n_s": 1,
            "n_station": 2,
            "magnitude": 1.23,
            "magnitude_type": "ML",
            "magnitude_uncertainty": 0.2,
            "n_magnitude": 2,
            "quality": "B",
            "similarity": 0.83,
            "similar_to": "b",
            "velocity_model": "nz_south 1.0",
            "method": "edt/2",
            "remark": "station #7 left out: clock",
        },
        {"event_id": "b", "time": _time(600), "latitude": -43.0, "longitude": 190.0, "quality": "D"},
        {
            "event_id": "c",
            "time": _time(901),
            "quality": "unlocated",
            "magnitude": 0.4,
            "magnitude_type": "ML_relative",
            "method": "edt/2",
        },
    ]
    picks = [
        _pick(
            1,
            "LABE",
            "P",
            3.2,
            time_uncertainty_s=0.05,
            probability=0.97,
            polarity="up",
            snr_db=21.5,
            method="x",
        ),
        _pick(2, "LABE", "S", 5.5, time_uncertainty_s=0.1, polarity="", method="manual"),
        _pick(3, "WHAT2", "P", 12.0, polarity="down"),
        _pick(4, "LABE", "P", 901.0),
        _pick(5, "LABE", "P", 5000.0, method="of no event"),
    ]
    ties = [
        (
            "2013-09-01T23:59:50 #1",
            0,
            {"residual_s": 0.02, "weight": 1.0, "distance_km": 4.25, "azimuth_deg": 31.0},
        ),
        (
            "2013-09-01T23:59:50 #1",
            1,
            {
                "residual_s": -0.04,
                "weight": 0.5,
                "distance_km": 4.25,
                "amplitude_mm": 0.52,
                "station_magnitude": 1.1,
            },
        ),
        ("2013-09-01T23:59:50 #1", 2, {"residual_s": 0.3, "weight": 0.0, "takeoff_deg": 92.0}),
        ("c", 3, {"station_magnitude": 0.4}),
    ]
    shared = ("pick_id", "network", "station", "location", "channel", "phase", "time", "time_uncertainty_s")
    arrivals = [
        {"event_id": event_id, **{k: picks[i].get(k) for k in shared}, **more} for event_id, i, more in ties
    ]
    return EventSet(table(events, EVENTS), table(arrivals, ARRIVALS), table(picks, PICKS))


class TestQuakeML:
    def test_is_valid_and_comes_back(self, made, tmp_path) -> None:
        path = write_events(made, tmp_path / "catalog.xml")
        assert _validate(str(path), verbose=True)
        back = read_events(path)
        assert not back.failures
        expected = made.events.copy()
        expected.loc[1, "longitude"] = -170.0
        assert_frame_equal(back.events, expected, rtol=1e-9)
        assert_frame_equal(back.arrivals, made.arrivals, rtol=1e-9)
        assert_frame_equal(back.picks, made.picks.iloc[:4], rtol=1e-9)

    def test_writing_it_again_gives_the_same_bytes(self, made, tmp_path) -> None:
        first = write_events(made, tmp_path / "a.xml").read_text()
        second = write_events(made, tmp_path / "b.xml").read_text()
        assert [x for x in first.split("\n") if "reationTime" not in x] == [
            x for x in second.split("\n") if "reationTime" not in x
        ]

    def test_says_in_obspy_what_the_tables_say(self, made, tmp_path) -> None:
        catalog = obspy.read_events(str(write_events(made, tmp_path / "catalog.xml")))
        event = catalog[0]
        origin, magnitude = event.preferred_origin(), event.preferred_magnitude()
        assert origin.time == obspy.UTCDateTime("2013-09-01T23:59:50.005")
        assert origin.depth == pytest.approx(7654)
        assert origin.latitude_errors.uncertainty * 111.195 == pytest.approx(np.sqrt(0.8), rel=1e-4)
        assert origin.quality.standard_error == 0.051
        assert origin.quality.minimum_distance * 111.195 == pytest.approx(4.25, rel=1e-4)
        assert origin.origin_uncertainty.max_horizontal_uncertainty == pytest.approx(1800)
        assert origin.origin_uncertainty.confidence_level == 68
        assert origin.evaluation_mode == "automatic"
        assert (magnitude.mag, magnitude.magnitude_type, magnitude.station_count) == (1.23, "ML", 2)
        assert [a.time_weight for a in origin.arrivals] == [1.0, 0.5, 0.0]
        assert origin.arrivals[0].pick_id.get_referred_object().polarity == "positive"
        assert event.picks[1].evaluation_mode == "manual"
        assert event.amplitudes[0].generic_amplitude == pytest.approx(0.52e-3 / 2080)
        assert event.station_magnitudes[0].mag == 1.1
        assert "remark: station #7 left out: clock" in [c.text for c in event.comments]
        assert not catalog[2].origins
        assert catalog[2].picks[0].waveform_id.get_seed_string() == "AF.LABE.10.SHZ"

    def test_tables_are_left_as_they_were(self, made) -> None:
        before = {n: getattr(made, n).copy() for n in NAMES}
        to_catalog(made.events, made.arrivals, made.picks)
        for name in NAMES:
            assert_frame_equal(getattr(made, name), before[name])

    def test_identifiers_of_others_stay_through_both_ways(self) -> None:
        path = IO / "cnv" / "tests" / "data" / "obspyck_20141020150701.xml"
        read = read_events(path)
        assert list(read.events["event_id"]) == ["smi:de.erdbeben-in-bayern/event/20141020150701"]
        again = from_catalog(to_catalog(read.events, read.arrivals, read.picks))
        assert_frame_equal(again.events, read.events, rtol=1e-9)
        for name in ("arrivals", "picks"):
            ours, theirs = (getattr(x, name).sort_values("pick_id", ignore_index=True) for x in (again, read))
            assert_frame_equal(ours, theirs, rtol=1e-9)

    def test_the_sister_event_of_the_demo(self) -> None:
        read = read_events(IO / "cnv" / "tests" / "data" / "obspyck_20141020150701.xml")
        event = read.events.iloc[0]
        assert (round(event.latitude, 4), round(event.longitude, 4), round(event.depth_km, 1)) == (
            48.0471,
            11.6455,
            4.6,
        )
        assert event.magnitude == pytest.approx(0.93, abs=0.001)
        assert (event.n_p, event.n_s) == (4, 4)
        assert set(read.arrivals["station"]) == {"UH1", "UH2", "UH3", "UH4"}
        assert read.arrivals["weight"].max() == 1.0

    def test_what_does_not_fit_is_told_and_the_rest_is_read(self, shared_data) -> None:
        read = read_events(shared_data / "network" / "utah_obsplus" / "crandall_test" / "events.xml")
        assert len(read.events) == 8
        told = " ".join(f["message"] for f in read.failures)
        assert "magnitude_uncertainty is -1.0" in told
        assert read.events["remark"].str.contains("hypocentres of the source").any()

    def test_ellipsoid_at_odds_with_its_ellipse_is_left_out(self, made) -> None:
        catalog = to_catalog(made.events, made.arrivals, made.picks)
        region = catalog[0].origins[0].origin_uncertainty
        region.confidence_ellipsoid.semi_major_axis_length *= 1000
        event = from_catalog(catalog).events.iloc[0]
        assert np.isnan(event.cov_en_km2)
        assert event.cov_nn_km2 == pytest.approx(0.8)
        assert "contradicts" in event.remark

    def test_another_confidence_level_is_brought_to_ours(self, made) -> None:
        catalog = to_catalog(made.events, made.arrivals, made.picks)
        region = catalog[0].origins[0].origin_uncertainty
        scale = np.sqrt(np.log(1 - 0.95) / np.log(1 - 0.68))
        region.confidence_level = 95
        region.confidence_ellipsoid = None
        event = from_catalog(catalog).events.iloc[0]
        assert event.ellipse_major_km == pytest.approx(1.8 / scale)

    def test_event_with_neither_place_nor_picks(self) -> None:
        from obspy.core.event import Catalog, Event

        read = from_catalog(Catalog([Event()]))
        assert not len(read.events)
        assert "without hypocentre and without picks" in read.failures[0]["message"]

    def test_phases_that_are_neither_p_nor_s(self, made) -> None:
        catalog = to_catalog(made.events, made.arrivals, made.picks)
        for pick, hint in zip(catalog[0].picks, ("Pg", "Sn", "PKiKP"), strict=True):
            pick.phase_hint = hint
        read = from_catalog(catalog)
        assert list(read.picks["phase"][:2]) == ["P", "S"]
        assert "PKiKP" in read.failures[0]["message"]


class TestEllipsoid:
    def test_angles_of_a_published_example(self) -> None:
        """Major axis 139/6, minor 310/83, intermediate 49/1: rotation 88.9075 (Herrmann, USGS libcomcat)."""

        def axis(azimuth: float, plunge: float) -> np.ndarray:
            a, p = np.radians([azimuth, plunge])
            return np.array([np.sin(a) * np.cos(p), np.cos(a) * np.cos(p), np.sin(p)])

        axes = np.column_stack([axis(139, 6), axis(310, 83), axis(49, 1)])
        covariance = axes @ np.diag([16.0**2, 6.1**2, 10.9**2]) @ axes.T
        found = Ellipsoid.from_covariance(covariance)
        # The published axes are rounded to degrees, so they are not quite at right angles.
        assert found.azimuth_deg == pytest.approx(139, abs=0.6)
        assert found.plunge_deg == pytest.approx(6, abs=0.6)
        assert found.rotation_deg == pytest.approx(88.9075, abs=0.6)
        exact = Ellipsoid(16.0, 6.1, 10.9, 6.0, 139.0, 88.9075)
        minor = np.linalg.eigh(exact.covariance())[1][:, 0]
        assert abs(minor @ axis(310, 83)) == pytest.approx(1, abs=2e-4)

    @settings(deadline=None, max_examples=200)
    @given(st.lists(st.floats(-30, 30), min_size=9, max_size=9))
    def test_covariance_comes_back(self, entries) -> None:
        root = np.reshape(entries, (3, 3))
        covariance = root @ root.T
        back = Ellipsoid.from_covariance(covariance).covariance()
        np.testing.assert_allclose(back, covariance, atol=1e-6 * max(1.0, np.abs(covariance).max()))

    def test_holds_68_percent(self) -> None:
        covariance = np.array([[1.2, 0.3, -0.4], [0.3, 0.8, 0.2], [-0.4, 0.2, 4.1]])
        ellipsoid = Ellipsoid.from_covariance(covariance)
        sample = np.random.default_rng(0).multivariate_normal(np.zeros(3), covariance, 200_000)
        size = Ellipsoid.from_covariance(covariance, level_percent=68).major_km
        assert ellipsoid.major_km == size
        _, axes = np.linalg.eigh(covariance)
        half = np.array([ellipsoid.minor_km, ellipsoid.intermediate_km, ellipsoid.major_km])
        inside = (((sample @ axes) / half) ** 2).sum(axis=1) <= 1
        assert inside.mean() == pytest.approx(0.68, abs=0.005)


class TestNordic:
    def test_analysts_files_column_by_column(self, shared_data) -> None:
        """What the tables say against the fixed columns of the SEISAN manual, line by line."""
        n_pick = 0
        for path in sorted((shared_data / "network" / "nz_samba_2013" / "REA").iterdir()):
            read = read_events(path)
            assert not read.failures
            event = read.events.iloc[0]
            lines = path.read_text(encoding="latin-1").splitlines()
            head = lines[0]
            assert event.event_id == path.name
            assert (event.latitude, event.longitude, event.depth_km) == (
                float(head[23:30]),
                float(head[30:38]),
                float(head[38:43]),
            )
            assert (event.magnitude, event.magnitude_type) == (float(head[55:59]), "ML")
            assert event.n_station == int(head[48:51])
            assert event.time == _clock(head[0:10], head[11:13], head[13:15], head[15:20])
            error = next(x for x in lines if x[79:80] == "E")
            assert event.azimuthal_gap_deg == int(error[5:8])
            assert event.time_uncertainty_s == float(error[14:20])
            assert np.sqrt(event.cov_nn_km2) == pytest.approx(float(error[24:30]))
            assert np.sqrt(event.cov_ee_km2) == pytest.approx(float(error[32:38]), rel=1e-3)
            assert event.depth_uncertainty_km == float(error[38:43])
            phases = [
                x for x in lines[lines.index(next(x for x in lines if x[79:80] == "7")) + 1 :] if x.strip()
            ]
            onsets = [x for x in phases if x[10:11] in "PS" and x[10:14].strip() in ("P", "S")]
            assert len(read.picks) == len(read.arrivals) == len(onsets)
            for line, arrival in zip(onsets, read.arrivals.itertuples(), strict=True):
                n_pick += 1
                assert arrival.station == line[1:6].strip()
                assert arrival.channel == line[6:8].strip()
                assert arrival.phase == line[10:14].strip()
                assert arrival.time == _clock(head[0:10], line[18:20], line[20:22], line[22:28])
                assert arrival.residual_s == pytest.approx(_number(line[63:68]), nan_ok=True)
                assert arrival.weight == pytest.approx(_number(line[68:70]) / 10, nan_ok=True)
                assert arrival.distance_km == pytest.approx(_number(line[70:75]), nan_ok=True)
                assert arrival.azimuth_deg == pytest.approx(_number(line[76:79]), nan_ok=True)
                assert arrival.takeoff_deg == pytest.approx(_number(line[56:60]), nan_ok=True)
            amplitudes: dict[str, float] = {}
            for line in (x for x in phases if "IAML" in x[9:14]):
                station = line[1:6].strip()
                amplitudes[station] = max(amplitudes.get(station, 0.0), float(line[33:40]))
            found = read.arrivals.dropna(subset="amplitude_mm").set_index("station")["amplitude_mm"]
            for station, nanometres in amplitudes.items():
                assert found[station] == pytest.approx(nanometres * 2080e-6)
        assert n_pick == 266

    @pytest.mark.parametrize("name", ["sfile_over_day", "sfile_seconds_overflow", "Sfile_no_location"])
    def test_odd_files(self, name: str) -> None:
        read = read_events(IO / "nordic" / "tests" / "data" / name)
        if name == "sfile_over_day":
            assert read.picks["time"].min() == pd.Timestamp("2016-09-12T00:00:03.33")
        elif name == "sfile_seconds_overflow":
            assert read.picks["time"].iloc[0] == pd.Timestamp("2009-07-02T06:50:40.24")
        else:
            assert list(read.events["quality"]) == ["unlocated"]
            assert len(read.arrivals) == len(read.picks) > 10

    def test_reading_twice_gives_the_same_identifiers(self) -> None:
        path = IO / "nordic" / "tests" / "data" / "collect.out"
        first, second = read_events(path), read_events(path)
        for name in NAMES:
            assert_frame_equal(getattr(first, name), getattr(second, name))

    def test_written_and_read_by_obspy(self, made, tmp_path) -> None:
        path = write_events(made, tmp_path / "made.nordic")
        assert {len(x) for x in path.read_text().splitlines()} <= {0, 80}
        back = read_events(path)
        event = back.events.iloc[0]
        assert event.time == _time(0)
        assert event.latitude == pytest.approx(-43.31234)
        assert event.longitude == pytest.approx(170.41236)
        assert event.depth_km == pytest.approx(7.654)
        assert event.magnitude == pytest.approx(1.2)
        assert (event.n_station, event.rms_s, event.azimuthal_gap_deg) == (2, 0.051, 133)
        assert np.sqrt(event.cov_ee_km2) == pytest.approx(1.1, abs=1e-3)
        arrivals = back.arrivals[back.arrivals["event_id"] == event.event_id]
        expected = made.arrivals.iloc[:3]
        assert list(arrivals["station"]) == list(expected["station"])
        assert (arrivals["time"] - expected["time"]).abs().max() <= pd.Timedelta("5ms")
        assert arrivals["residual_s"].to_numpy() == pytest.approx(expected["residual_s"].to_numpy())
        assert arrivals["weight"].to_numpy() == pytest.approx(expected["weight"].to_numpy())
        assert arrivals["amplitude_mm"].to_numpy() == pytest.approx(
            expected["amplitude_mm"].to_numpy(), nan_ok=True
        )
        assert list(back.picks["polarity"][:3]) == ["up", "", "down"]
        assert back.picks["method"][1] == "manual"
        assert back.events["quality"].iloc[2] == "unlocated"
        assert back.events["longitude"].iloc[1] == -170


def test_nonlinloc_files_of_one_name_for_the_event_stay_apart(tmp_path) -> None:
    source = IO / "nlloc" / "tests" / "data" / "nlloc.hyp"
    copy = tmp_path / "copy.hyp"
    copy.write_bytes(source.read_bytes())
    read = read_events([source, copy])
    assert list(read.events["event_id"]) == ["nlloc.hyp/nlloc0001", "copy.hyp/nlloc0001"]
    assert (len(read.arrivals), len(read.picks)) == (10, 10)
    assert read.events["cov_ee_km2"][0] == pytest.approx(1.21008)


class TestTables:
    def test_csv_comes_back_and_states_its_units(self, made, tmp_path) -> None:
        path = write_events(made, tmp_path / "events.csv")
        assert "depth_km" in path.read_text().splitlines()[0]
        assert_frame_equal(read_events(path).events, made.events)

    def test_unknown_ending_leaves_nothing_behind(self, made, tmp_path) -> None:
        with pytest.raises(InputError, match="names no catalogue format"):
            write_events(made, tmp_path / "events.doc")
        assert not list(tmp_path.iterdir())


class TestBadInput:
    def test_missing(self, tmp_path) -> None:
        with pytest.raises(NotFoundError, match="no such file"):
            read_events(tmp_path / "nothing.xml")

    @pytest.mark.parametrize("share", [0.0, 0.01, 0.4, 0.9, 0.999])
    def test_truncated(self, made, tmp_path, share) -> None:
        for name in ("catalog.xml", "made.nordic"):
            whole = write_events(made, tmp_path / name).read_bytes()
            path = tmp_path / f"cut_{name}"
            path.write_bytes(whole[: int(share * len(whole))])
            try:
                read = read_events(path)
            except FormatError as error:
                assert str(path) in str(error)
            else:
                assert name == "made.nordic"
                assert len(read.events) <= 3

    @settings(deadline=None, max_examples=60)
    @given(st.binary(max_size=3000))
    def test_random_bytes(self, tmp_path_factory, content) -> None:
        path = tmp_path_factory.mktemp("noise") / "noise"
        path.write_bytes(content)
        with pytest.raises(FormatError):
            read_events(path)

    def test_one_bad_file_and_one_twice(self, made, tmp_path) -> None:
        good = write_events(made, tmp_path / "catalog.xml")
        bad = tmp_path / "bad.xml"
        bad.write_text("<q:quakeml>")
        read = read_events([good, bad, good])
        assert len(read.events) == 3
        assert len(read.picks) == 4
        assert [f["error"] for f in read.failures] == [
            "FormatError",
            "InputError",
            "InputError",
            "InputError",
        ]


def _number(text: str) -> float:
    return float(text) if text.strip() else np.nan


def _clock(day: str, hour: str, minute: str, second: str) -> pd.Timestamp:
    start = pd.Timestamp(int(day[1:5]), int(day[5:8]), int(day[8:10]))
    milliseconds = round(float(second) * 1000)
    return start + pd.Timedelta(hours=int(hour), minutes=int(minute), milliseconds=milliseconds)


def test_identifiers_that_are_quakeml_already_stay_valid_when_put_together(tmp_path: Path) -> None:
    import warnings

    import obspy

    source = Path(obspy.__file__).parent / "io" / "cnv" / "tests" / "data" / "obspyck_20141020150701.xml"
    read = read_events(source)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_events(read, tmp_path / "again.xml")
    again = read_events(tmp_path / "again.xml")
    assert again.events["event_id"].tolist() == read.events["event_id"].tolist()
    assert sorted(again.arrivals["pick_id"]) == sorted(read.arrivals["pick_id"])


@pytest.mark.parametrize(
    ("method", "mode"),
    [
        ("", None),
        ("manual", "manual"),
        ("manual JMA", "manual"),
        ("automatic JMA", "automatic"),
        ("kaname-picker-1", "automatic"),
        ("manual smi:de.gfz/hand", "manual"),
        ("smi:de.gfz/autoloc", None),
    ],
)
def test_who_judged_survives_quakeml(method, mode, made, tmp_path) -> None:
    stated = EventSet(made.events.assign(method=method), made.arrivals, made.picks.assign(method=method))
    path = write_events(stated, tmp_path / "made.xml")
    (first, *_) = obspy.read_events(str(path))
    assert first.preferred_origin().evaluation_mode == mode
    assert {pick.evaluation_mode for pick in first.picks} == {mode}
    if "smi:" in method:
        assert str(first.picks[0].method_id) == method.split()[-1]
    back = read_events(path)
    assert set(back.events["method"]) == set(back.picks["method"]) == {method}


def test_further_columns_survive_quakeml(made, tmp_path) -> None:
    n = len(made.events)
    events = made.events.assign(
        code=["D", *[""] * (n - 1)], second=[7.25, *[np.nan] * (n - 1)], 確度=True, n_try=range(n)
    )
    back = read_events(write_events(EventSet(events, made.arrivals, made.picks), tmp_path / "made.xml"))
    assert not back.failures
    row = back.events.iloc[0]
    assert (row["code"], row["second"], row["確度"], row["n_try"]) == ("D", 7.25, True, 0)
    assert list(back.events["n_try"]) == list(range(n))
