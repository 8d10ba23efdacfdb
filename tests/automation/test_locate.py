"""Location of synthetic events: the truth is known, and so is how far the answer may lie from it.

Times are those of the ray solver (checked against formulas and TauP in tests/earth), not of the tables that
the location uses.
"""

from __future__ import annotations

import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, chi2

from kaname.automation.corrections import station_corrections
from kaname.automation.locate import LocateResult, LocateSettings, locate
from kaname.core import tables
from kaname.core.errors import InputError, SchemaError
from kaname.core.geo import LocalFrame, distance_azimuth
from kaname.earth.traveltime import travel_time
from kaname.earth.velocity import VelocityModel, named_model

MODEL = named_model("scak")
DEFAULTS = LocateSettings()
"""The errors that the synthetic times are given are those that the location expects."""


class Synthetic(NamedTuple):
    picks: pd.DataFrame
    stations: pd.DataFrame
    truth: pd.DataFrame


def synthetic(
    n_event: int = 30,
    n_station: int = 12,
    *,
    s_share: float = 0.67,
    noise: float = 1.0,
    outliers: float = 0.0,
    corrections: float = 0.0,
    centre: tuple[float, float] = (35.0, 135.0),
    seed: int = 0,
) -> Synthetic:
    """A mountain network 60 km wide, events among it down to 20 km, errors as the location assumes them."""
    rng = np.random.default_rng(seed)
    frame = LocalFrame(*centre)
    latitude, longitude = frame.to_geographic(*rng.uniform(-30, 30, (2, n_station)))
    elevation = rng.uniform(0, 2000, n_station).round(-1)
    delay = {phase: corrections * rng.normal(size=n_station) for phase in "PS"}
    event = np.array(frame.to_geographic(*rng.uniform(-25, 25, (2, n_event))))
    depth = rng.uniform(2, 20, n_event)
    distance, _ = distance_azimuth(event[0][:, None], event[1][:, None], latitude, longitude)
    rows = []
    start = np.datetime64("2020-01-01", "ns")
    origins = [start + np.timedelta64(100 * k, "s") for k in range(n_event)]
    for phase in "PS":
        time, _ = travel_time(MODEL, distance, depth[:, None], phase=phase, sensor_depth_km=-elevation / 1000)
        for k in range(n_event):
            for i in range(n_station):
                if phase == "S" and rng.random() > s_share:
                    continue
                stated = rng.choice([0.03, 0.06, 0.12, 0.25])
                error = np.hypot(DEFAULTS.model_error_s, DEFAULTS.model_error_fraction * time[k, i])
                total = noise * np.hypot(stated, error)
                seconds = time[k, i] + delay[phase][i] + rng.normal() * total
                if rng.random() < outliers:
                    seconds += rng.choice([-1, 1]) * rng.uniform(2, 8)
                rows.append(
                    {
                        "event_id": f"e{k:03d}",
                        "pick_id": f"p{len(rows):06d}",
                        "network": "XX",
                        "station": f"S{i:02d}",
                        "phase": phase,
                        "time": origins[k] + np.timedelta64(round(seconds * 1e9), "ns"),
                        "time_uncertainty_s": stated,
                    }
                )
    stations = pd.DataFrame(
        {
            "network": "XX",
            "station": [f"S{i:02d}" for i in range(n_station)],
            "latitude": latitude,
            "longitude": longitude,
            "elevation_m": elevation,
            "p_true_s": delay["P"],
            "s_true_s": delay["S"],
        }
    )
    truth = pd.DataFrame(
        {"latitude": event[0], "longitude": event[1], "depth_km": depth, "time": origins},
        index=[f"e{k:03d}" for k in range(n_event)],
    )
    return Synthetic(pd.DataFrame(rows), stations, truth)


def offsets(events: pd.DataFrame, truth: pd.DataFrame) -> np.ndarray:
    """Truth minus location in km east, north, down."""
    known = truth.loc[events["event_id"]]
    distance, azimuth = distance_azimuth(
        events["latitude"], events["longitude"], known["latitude"], known["longitude"]
    )
    east, north = distance * np.sin(np.radians(azimuth)), distance * np.cos(np.radians(azimuth))
    return np.stack([east, north, known["depth_km"].to_numpy() - events["depth_km"].to_numpy()], axis=1)


def inside(result: LocateResult, truth: pd.DataFrame, level: float) -> int:
    """Number of events whose truth lies in the ellipsoid of that probability."""
    events = result.events
    away = offsets(events, truth)
    covariance = np.empty((len(events), 3, 3))
    for name, i, j in (("ee", 0, 0), ("en", 0, 1), ("ez", 0, 2), ("nn", 1, 1), ("nz", 1, 2), ("zz", 2, 2)):
        covariance[:, i, j] = covariance[:, j, i] = events[f"cov_{name}_km2"]
    distance = np.einsum("ki,kij,kj->k", away, np.linalg.inv(covariance), away)
    return int((distance <= chi2.ppf(level, 3)).sum())


@pytest.fixture(scope="module")
def case() -> Synthetic:
    return synthetic()


@pytest.fixture(scope="module")
def located(case: Synthetic) -> LocateResult:
    return locate(case.picks, case.stations, MODEL)


def test_exact_times_give_the_exact_place() -> None:
    exact = synthetic(10, noise=0.0)
    result = locate(
        exact.picks, exact.stations, MODEL, settings=LocateSettings(hypocentre="maximum_likelihood")
    )
    away = offsets(result.events, exact.truth)
    assert np.hypot(away[:, 0], away[:, 1]).max() < 0.5
    assert np.abs(away[:, 2]).max() < 1.0
    assert result.arrivals["residual_s"].abs().max() < 0.1


def test_tables_fit_their_schemas_and_are_filled(located: LocateResult, case: Synthetic) -> None:
    events, arrivals = located.events, located.arrivals
    tables.validate(events, tables.EVENTS)
    tables.validate(arrivals, tables.ARRIVALS)
    assert len(events) == 30
    assert len(arrivals) == len(case.picks)
    filled = [
        c.name
        for c in tables.EVENTS.columns
        if c.dtype == "float" and "magnitude" not in c.name and c.name != "similarity"
    ]
    assert events[filled].notna().all().all()
    assert set(events["velocity_model"]) == {"scak"}
    assert events["method"].str.contains("edt").all()
    assert arrivals[["residual_s", "weight", "distance_km", "azimuth_deg", "takeoff_deg"]].notna().all().all()
    used = arrivals[arrivals["weight"] >= 0.1]
    for phase, column in (("P", "n_p"), ("S", "n_s")):
        counts = used[used["phase"] == phase].groupby("event_id").size()
        assert (events.set_index("event_id")[column] == counts).all()
    assert located.failures.empty


def test_derived_columns_agree_with_one_another(located: LocateResult, case: Synthetic) -> None:
    event = located.events.iloc[0]
    own = located.arrivals[located.arrivals["event_id"] == event["event_id"]]
    plane = np.array([[event["cov_ee_km2"], event["cov_en_km2"]], [event["cov_en_km2"], event["cov_nn_km2"]]])
    axis = np.radians(event["ellipse_azimuth_deg"])
    direction = np.array([np.sin(axis), np.cos(axis)])
    assert np.sqrt(direction @ plane @ direction * 2.279) == pytest.approx(
        event["ellipse_major_km"], rel=1e-3
    )
    assert event["ellipse_minor_km"] <= event["ellipse_major_km"]
    assert event["depth_uncertainty_km"] == pytest.approx(np.sqrt(event["cov_zz_km2"]))
    azimuth = np.sort(own["azimuth_deg"])
    assert event["azimuthal_gap_deg"] == pytest.approx(
        max(np.diff(azimuth).max(), 360 + azimuth[0] - azimuth[-1])
    )
    assert event["nearest_station_km"] == pytest.approx(own["distance_km"].min())
    # The predicted time is origin time plus the time of the ray solver.
    sensors = case.stations.set_index("station")
    for phase, group in own.groupby("phase"):
        where = sensors.loc[group["station"]]
        time, takeoff = travel_time(
            MODEL,
            group["distance_km"],
            event["depth_km"],
            phase=phase,
            sensor_depth_km=-where["elevation_m"] / 1000,
        )
        observed = (group["time"] - event["time"]).dt.total_seconds()
        assert (observed - time).to_numpy() == pytest.approx(group["residual_s"].to_numpy(), abs=0.03)
        assert np.median(np.abs(takeoff - group["takeoff_deg"])) < 2


@pytest.mark.parametrize(
    ("kind", "events"),
    [
        ({"n_station": 12}, 150),
        ({"n_station": 25, "s_share": 0.5}, 80),
        ({"n_station": 6, "s_share": 0.33}, 150),
        ({"n_station": 4, "s_share": 0.5}, 150),
        ({"n_station": 6, "s_share": 0.0}, 100),
        ({"n_station": 4, "s_share": 0.0}, 100),
    ],
    ids=["20 picks", "37 picks", "8 picks", "6 picks with S", "6 P", "4 P"],
)
def test_truth_lies_within_the_ellipsoid_at_the_nominal_rate(kind: dict, events: int) -> None:
    case = synthetic(events, **kind, seed=11)
    result = locate(case.picks, case.stations, MODEL)
    n95, n68 = inside(result, case.truth, 0.95), inside(result, case.truth, 0.68)
    # Between 90 and 99 % for 95 %, as far as so many events can tell.
    assert binomtest(n95, events).proportion_ci(0.95).high > 0.90, n95
    assert n95 / events >= 0.88
    assert n68 / events >= 0.58
    if kind["n_station"] > 6:
        assert n68 / events <= 0.88


def test_origin_time_and_its_uncertainty(located: LocateResult, case: Synthetic) -> None:
    late = (located.events["time"] - case.truth["time"].to_numpy()).dt.total_seconds()
    assert late.abs().median() < 0.1
    assert ((late / located.events["time_uncertainty_s"]).abs() < 2).mean() > 0.85


def test_wrong_picks_do_not_move_the_hypocentre(case: Synthetic) -> None:
    spoilt = synthetic(60, outliers=0.15, seed=5)
    clean = synthetic(60, seed=5)
    errors = {}
    for name, picks in (("spoilt", spoilt), ("clean", clean)):
        result = locate(picks.picks, picks.stations, MODEL)
        errors[name] = np.median(np.linalg.norm(offsets(result.events, picks.truth), axis=1))
        assert inside(result, picks.truth, 0.95) >= 0.8 * 60
    assert errors["spoilt"] < 1.6 * errors["clean"]
    result = locate(spoilt.picks, spoilt.stations, MODEL)
    wrong = result.arrivals["residual_s"].abs() > 1.8
    assert wrong.sum() > 80
    assert result.arrivals.loc[wrong, "weight"].median() < 0.1


def test_errors_larger_than_stated_widen_the_ellipsoid() -> None:
    noisy = synthetic(80, noise=2.5, seed=3)
    found = {
        rescale: locate(noisy.picks, noisy.stations, MODEL, settings=LocateSettings(rescale_errors=rescale))
        for rescale in (False, True)
    }
    share = {k: inside(r, noisy.truth, 0.95) / 80 for k, r in found.items()}
    assert share[True] > share[False]
    assert share[True] >= 0.8
    assert found[True].events["remark"].str.contains("times the stated errors").mean() > 0.5
    assert (found[True].events["quality"] == "A").mean() < 0.1


def test_order_of_rows_and_company_do_not_matter(case: Synthetic, located: LocateResult) -> None:
    shuffled = case.picks.sample(frac=1, random_state=1)
    again = locate(shuffled, case.stations.sample(frac=1, random_state=2), MODEL)
    pd.testing.assert_frame_equal(located.events, again.events)
    pd.testing.assert_frame_equal(located.arrivals, again.arrivals)
    few = locate(case.picks[case.picks["event_id"].isin(["e003", "e017"])], case.stations, MODEL)
    alone = located.events[located.events["event_id"].isin(["e003", "e017"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(few.events, alone)


def test_seed_decides_the_samples(case: Synthetic, located: LocateResult) -> None:
    other = locate(case.picks, case.stations, MODEL, settings=LocateSettings(seed=1)).events
    assert not other["latitude"].equals(located.events["latitude"])
    shift, _ = distance_azimuth(*(f[c] for f in (other, located.events) for c in ("latitude", "longitude")))
    assert np.median(shift / other["ellipse_major_km"]) < 0.15


def test_input_is_left_alone(case: Synthetic) -> None:
    picks, stations = case.picks.copy(), case.stations.copy()
    locate(case.picks, case.stations, MODEL)
    pd.testing.assert_frame_equal(picks, case.picks)
    pd.testing.assert_frame_equal(stations, case.stations)


def test_a_process_pool_gives_the_same(case: Synthetic, located: LocateResult, tmp_path: Path) -> None:
    halves = [case.picks[case.picks["event_id"] < "e015"], case.picks[case.picks["event_id"] >= "e015"]]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(locate, half, case.stations, MODEL, cache=tmp_path) for half in halves]
        parts = [job.result() for job in jobs]
    together = tables.concat([p.events for p in parts], tables.EVENTS)
    pd.testing.assert_frame_equal(together, located.events)
    assert pickle.loads(pickle.dumps(located)).events.equals(located.events)


def test_unknown_station_is_a_failure_and_the_rest_is_located(case: Synthetic) -> None:
    result = locate(case.picks, case.stations[case.stations["station"] != "S03"], MODEL)
    assert (result.events["quality"] != "unlocated").all()
    assert len(result.failures) == 30
    assert result.failures["subject"].str.contains("XX.S03").all()
    missing = result.arrivals[result.arrivals["station"] == "S03"]
    assert (missing["weight"] == 0).all()
    assert missing["residual_s"].isna().all()
    assert len(result.arrivals) == len(case.picks)


def test_too_few_arrivals_are_kept_unlocated(case: Synthetic) -> None:
    one = case.picks[case.picks["event_id"] == "e000"]
    three, two_stations = one[one["phase"] == "P"][:3], one[one["station"].isin(["S00", "S01"])]
    for few in (three, two_stations):
        result = locate(few, case.stations, MODEL)
        (event,) = result.events.to_dict("records")
        assert event["quality"] == "unlocated"
        assert np.isnan(event["latitude"]) and np.isnan(event["depth_km"])
        assert event["time"] == few["time"].min()
        assert "expected 4 at 3" in event["remark"]
        assert len(result.arrivals) == len(few)


def test_no_arrivals_at_all(case: Synthetic) -> None:
    result = locate(case.picks.iloc[:0], case.stations, MODEL)
    assert result.events.empty and result.arrivals.empty and result.failures.empty
    result = locate(tables.empty(tables.ARRIVALS), tables.empty(tables.STATIONS), MODEL)
    assert list(result.events.columns) == list(tables.EVENTS.names)


def test_bad_tables_are_refused(case: Synthetic) -> None:
    with pytest.raises(SchemaError, match="event_id"):
        locate(case.picks.drop(columns="event_id"), case.stations, MODEL)
    with pytest.raises(SchemaError, match="phase"):
        locate(case.picks.assign(phase="Lg"), case.stations, MODEL)
    with pytest.raises(SchemaError, match="latitude"):
        locate(case.picks, case.stations.assign(latitude=99.0), MODEL)
    with pytest.raises(SchemaError, match="more than once"):
        locate(case.picks.assign(pick_id="p"), case.stations, MODEL)


def test_second_reading_of_a_phase_counts_once(case: Synthetic, located: LocateResult) -> None:
    one = case.picks[case.picks["event_id"] == "e000"]
    worse = one.assign(pick_id=one["pick_id"] + "b", location="10", time_uncertainty_s=0.5)
    result = locate(pd.concat([one, worse]), case.stations, MODEL)
    assert len(result.failures) == len(one)
    alone = located.events.iloc[[0]]
    assert result.events["latitude"].item() == alone["latitude"].item()
    assert result.events["n_p"].item() == alone["n_p"].item()


def test_epochs_say_where_the_station_stood(case: Synthetic, located: LocateResult) -> None:
    moved = case.stations.copy()
    before = moved.assign(start=pd.Timestamp("2010-01-01"), end=pd.Timestamp("2019-01-01"), latitude=34.0)
    both = pd.concat([before, moved.assign(start=pd.Timestamp("2019-01-01"))])
    result = locate(case.picks, both, MODEL)
    pd.testing.assert_frame_equal(result.events, located.events)
    gone = locate(case.picks, before, MODEL)
    assert (gone.events["quality"] == "unlocated").all()
    assert gone.failures["message"].str.contains("2019").all()


def test_a_network_that_is_not_stated_matches_any(case: Synthetic, located: LocateResult) -> None:
    bare = locate(case.picks, case.stations.assign(network=""), MODEL)
    pd.testing.assert_frame_equal(bare.events, located.events)


def test_missing_elevation_and_uncertainty_are_said(case: Synthetic) -> None:
    result = locate(
        case.picks.drop(columns="time_uncertainty_s"), case.stations.assign(elevation_m=np.nan), MODEL
    )
    assert len(result.failures) == 12
    assert result.failures["message"].str.contains("sea level").all()
    assert result.events["remark"].str.contains("no uncertainty").all()


def test_across_the_date_line_and_at_high_latitude() -> None:
    for centre in ((-17.0, 179.95), (79.0, 12.0)):
        case = synthetic(8, centre=centre, seed=4)
        stations = case.stations.assign(longitude=case.stations["longitude"] % 360)
        result = locate(case.picks, stations, MODEL)
        away = offsets(result.events, case.truth)
        assert np.median(np.linalg.norm(away, axis=1)) < 3
        assert result.events["longitude"].between(-180, 180).all()


def test_an_event_far_outside_is_flagged() -> None:
    case = synthetic(10, seed=6)
    frame = LocalFrame(35.0, 135.0)
    latitude, longitude = frame.to_geographic(250.0, 0.0)
    distance, _ = distance_azimuth(latitude, longitude, case.stations["latitude"], case.stations["longitude"])
    time, _ = travel_time(MODEL, distance, 10.0, phase="P")
    rows = case.picks[(case.picks["event_id"] == "e000") & (case.picks["phase"] == "P")].copy()
    rows["time"] = np.datetime64("2020-01-01", "ns") + (time * 1e9).round().astype("timedelta64[ns]")
    (event,) = locate(rows, case.stations, MODEL).events.to_dict("records")
    assert event["quality"] == "D"
    assert event["remark"]


def test_search_volume_is_kept_to(case: Synthetic) -> None:
    settings = LocateSettings(minimum_depth_km=8.0, maximum_depth_km=12.0)
    result = locate(case.picks, case.stations, MODEL, settings=settings)
    assert result.events["depth_km"].between(8, 12).all()
    shallow = case.truth["depth_km"].to_numpy() < 6
    assert result.events.loc[shallow, "quality"].isin(["C", "D"]).all()


def test_station_corrections_are_applied_and_recovered() -> None:
    case = synthetic(80, corrections=0.3, seed=8)
    settings = LocateSettings(model_error_s=0.2)
    before = locate(case.picks, case.stations, MODEL, settings=settings)
    corrected = station_corrections(before.arrivals, case.stations)
    for _ in range(2):
        between = locate(case.picks, corrected, MODEL, settings=settings)
        corrected = station_corrections(between.arrivals, corrected)
    true = case.stations["p_true_s"] - case.stations["p_true_s"].mean()
    assert np.corrcoef(corrected["p_correction_s"], true)[0, 1] > 0.9
    after = locate(case.picks, corrected, MODEL, settings=settings)
    assert after.events["rms_s"].median() < 0.7 * before.events["rms_s"].median()
    known = case.stations.assign(
        p_correction_s=case.stations["p_true_s"], s_correction_s=case.stations["s_true_s"]
    )
    best = locate(case.picks, known, MODEL)
    error = {
        name: np.median(np.linalg.norm(offsets(r.events, case.truth), axis=1))
        for name, r in (("before", before), ("after", after), ("best", best))
    }
    assert error["best"] < error["after"] < error["before"]


def test_corrections_shrink_with_few_arrivals(located: LocateResult, case: Synthetic) -> None:
    first = located.arrivals[located.arrivals["event_id"] < "e004"]
    free = station_corrections(first, case.stations, shrinkage=0)
    drawn = station_corrections(first, case.stations, shrinkage=4)
    both = free["p_correction_s"].abs() > 0
    ratio = (drawn["p_correction_s"] / free["p_correction_s"])[both]
    assert ratio.between(0.4, 0.51).all()
    none = station_corrections(first, case.stations, minimum_arrivals=9)
    assert (none["p_correction_s"] == 0).all()
    with pytest.raises(InputError, match="shrinkage"):
        station_corrections(first, case.stations, shrinkage=-1)


def test_deep_events_of_a_spherical_model() -> None:
    model = named_model("iasp91")
    frame = LocalFrame(36.0, 138.0)
    rng = np.random.default_rng(9)
    latitude, longitude = frame.to_geographic(*rng.uniform(-250, 250, (2, 25)))
    stations = pd.DataFrame(
        {
            "station": [f"S{i:02d}" for i in range(25)],
            "latitude": latitude,
            "longitude": longitude,
            "elevation_m": 0.0,
        }
    )
    distance, _ = distance_azimuth(36.4, 137.6, latitude, longitude)
    rows = []
    for phase in "PS":
        time, _ = travel_time(model, distance, 320.0, phase=phase)
        rows += [
            {"event_id": "deep", "pick_id": f"{phase}{i}", "station": f"S{i:02d}", "phase": phase, "time": t}
            for i, t in enumerate(np.datetime64("2020-01-01", "ns") + (time * 1e9).astype("timedelta64[ns]"))
        ]
    (event,) = locate(
        pd.DataFrame(rows), stations, model, settings=LocateSettings(maximum_depth_km=700)
    ).events.to_dict("records")
    assert abs(event["depth_km"] - 320) < 10
    assert distance_azimuth(event["latitude"], event["longitude"], 36.4, 137.6)[0] < 5


def test_layered_model_of_any_name_is_named_in_the_output(case: Synthetic) -> None:
    model = VelocityModel("my valley", MODEL.depth_km, MODEL.vp_km_s, MODEL.vs_km_s)
    result = locate(case.picks[case.picks["event_id"] == "e000"], case.stations, model)
    assert result.events["velocity_model"].item() == "my valley"
