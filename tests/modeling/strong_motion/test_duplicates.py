"""Sites, events and records that stand twice are found, and what is not the same stays apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kaname.core.geo import distance_azimuth
from kaname.core.shaking import GROUND_MOTIONS
from kaname.core.tables import table
from kaname.modeling.strong_motion.duplicates import link, site_ids
from kaname.modeling.strong_motion.flatfiles import read_flatfile

ROW: dict[str, Any] = {
    "event_id": "a",
    "event_time": "2018-01-24T10:51:19",
    "event_latitude": 41.1,
    "event_longitude": 142.4,
    "magnitude": 6.2,
    "latitude": 41.0,
    "longitude": 141.0,
    "pga_cm_s2": 10.0,
    "source": "one",
}


def _linked(*changes: dict[str, Any]) -> pd.DataFrame:
    rows = [{**ROW, "record_id": f"r{i}", **change} for i, change in enumerate(changes)]
    return link(table(rows, GROUND_MOTIONS))


def test_two_feeds_of_one_earthquake() -> None:
    linked = _linked(
        {},
        {
            "event_id": "b",
            "event_time": "2018-01-24T10:51:24",
            "magnitude": 6.3,
            "source": "two",
            "latitude": 41.005,
        },
        {"event_id": "c", "event_time": "2018-01-24T10:51:00", "source": "three", "latitude": 41.5},
    )
    assert list(linked["event_id"]) == ["a", "a", "a"]
    assert list(linked["duplicate_of"]) == ["", "r0", ""]
    assert linked["site_id"][0] == linked["site_id"][1] != linked["site_id"][2]


@pytest.mark.parametrize(
    "other",
    [
        {"event_id": "b", "source": "two", "event_time": "2018-01-24T10:51:40"},
        {"event_id": "b", "source": "two", "event_latitude": 43.0},
        {"event_id": "b", "source": "two", "magnitude": 4.0},
        {"event_id": "b", "event_time": "2018-01-24T10:51:20"},  # one catalogue knows both
        {"event_id": "b", "source": "two", "event_time": None},
    ],
)
def test_what_is_another_earthquake(other: dict[str, Any]) -> None:
    linked = _linked({}, other)
    assert linked["event_id"].nunique() == 2
    assert (linked["duplicate_of"] == "").all()


def test_one_identifier_given_to_two_earthquakes() -> None:
    linked = _linked({}, {"event_time": "2019-05-05T06:47:34"})
    assert list(linked["event_id"]) == ["a", "a_20190505T064734"]


def test_a_borehole_sensor_is_no_duplicate() -> None:
    linked = _linked({"sensor_depth_m": 0.0}, {"sensor_depth_m": 100.0}, {"sensor_depth_m": 0.5})
    assert list(linked["duplicate_of"]) == ["", "", "r0"]


def test_the_record_that_is_used_and_measured_most_stands() -> None:
    linked = _linked({"quality": "rejected", "pgv_cm_s": 1.0}, {}, {"pgv_cm_s": 1.0})
    assert list(linked["duplicate_of"]) == ["r2", "r2", ""]


def test_rows_keep_their_order_and_their_values() -> None:
    linked = _linked({"latitude": 45.0}, {"latitude": 41.0}, {"latitude": 41.001})
    assert list(linked["record_id"]) == ["r0", "r1", "r2"]
    assert list(linked["latitude"]) == [45.0, 41.0, 41.001]


def test_no_two_sites_are_neighbours() -> None:
    rng = np.random.default_rng(3)
    lat, lon = rng.uniform(35, 35.2, 300), rng.uniform(139, 139.2, 300)
    site = site_ids(lat, lon)
    i, j = np.triu_indices(300, 1)
    apart, _ = distance_azimuth(lat[i], lon[i], lat[j], lon[j])
    assert (site[i] == site[j])[apart < 1.0].all()
    assert (site[i] != site[j]).any()
    assert list(site_ids(lat[::-1], lon[::-1])) == list(site[::-1])
    assert list(site_ids(np.array([np.nan, 1.0]), np.array([0.0, 1.0]))) == ["", "+1.0000+1.0000"]


def test_the_meridian_that_divides_the_date() -> None:
    assert len(set(site_ids(np.array([10.0, 10.0, 10.0]), np.array([179.999, -179.999, 180.001])))) == 1


def test_an_empty_table() -> None:
    assert link(table([], GROUND_MOTIONS)).empty


def test_the_list_of_japan_holds_its_stations_twice(shared_data: Path) -> None:
    given = read_flatfile(shared_data / "strongmotion/japan_station_pga/stations.csv").table
    linked = link(given)
    twice = linked[linked["duplicate_of"] != ""]
    assert 0.15 < len(twice) / len(linked) < 0.3
    stand = linked.set_index("record_id").loc[twice["duplicate_of"]]
    assert (stand["event_id"].to_numpy() == twice["event_id"].to_numpy()).all()
    apart, _ = distance_azimuth(stand["latitude"], stand["longitude"], twice["latitude"], twice["longitude"])
    assert (apart < 1.0).all()
    # Most say the very same: the two lists go back to one record.
    same = np.abs(np.log(stand["pga_cm_s2"].to_numpy() / twice["pga_cm_s2"].to_numpy()))
    assert np.median(same) < 0.01
    kept = linked[linked["duplicate_of"] == ""]
    for _, event in kept.groupby("event_id"):
        lat, lon = event["latitude"].to_numpy(), event["longitude"].to_numpy()
        i, j = np.triu_indices(len(event), 1)
        assert distance_azimuth(lat[i], lon[i], lat[j], lon[j])[0].min() >= 1.0
