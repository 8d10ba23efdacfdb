"""Which sensor of a station is used on which day."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kaname.automation.survey import station_days
from kaname.core.errors import InputError

DAY = np.datetime64("2020-03-01T00:00:00", "ns")
HOUR = np.timedelta64(3_600_000_000_000, "ns")


def spans(*rows):
    """Rows of identifier, first hour, last hour and, where it is not 100 Hz, the rate."""
    return pd.DataFrame(
        [
            {
                "id": i,
                "start": DAY + first * HOUR,
                "end": DAY + last * HOUR,
                "sampling_rate": [*rate, 100.0][0],
            }
            for i, first, last, *rate in rows
        ]
    )


def channels(station, codes, first=0, last=24, rate=100.0):
    return [(f"{station}.{code}", first, last, rate) for code in codes.split()]


def chosen(*rows):
    days, unused = station_days(spans(*rows))
    return [i for day in days for i in day.ids], unused


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (channels("XX.A.", "HHE HHN HHZ"), channels("XX.A.", "HNE HNN HNZ")),
        (channels("XX.A.", "SHZ"), channels("XX.A.", "HNE HNN HNZ")),
        (channels("XX.A.", "EHE EHN EHZ"), channels("XX.A.", "HHZ")),
        (channels("XX.A.", "HHZ"), channels("XX.A.", "BHZ", rate=20.0)),
        (channels("XX.A.", "HHZ"), channels("XX.A.", "EHN")),
        (channels("XX.A.00", "BHZ", rate=20.0), channels("XX.A.10", "HHE HHN HHZ", 0, 12)),
        (channels("XX.A.00", "HNE HNN HNZ"), channels("XX.A.10", "HHE HHN HHZ", 0, 6)),
    ],
    ids=["velocity", "velocity of one", "three components", "band", "vertical", "length", "length of all"],
)
def test_the_better_sensor_is_used_and_the_other_told(better, worse):
    for rows in (better + worse, worse + better):
        ids, unused = chosen(*rows)
        assert ids == sorted(i for i, *_ in better)
        assert set(unused) == {i for i, *_ in worse}
        assert all("preferred" in reason for reason in unused.values())


def test_six_channels_of_one_sensor_are_two_sets():
    ids, unused = chosen(*channels("XX.A.", "EHE EHN EHZ EH1 EH2 EH3"))
    assert ids == ["XX.A..EHE", "XX.A..EHN", "XX.A..EHZ"]
    assert set(unused) == {"XX.A..EH1", "XX.A..EH2", "XX.A..EH3"}


def test_numbered_horizontals_go_with_their_vertical():
    ids, unused = chosen(*channels("XX.A.", "BH1 BH2 BHZ"))
    assert ids == ["XX.A..BH1", "XX.A..BH2", "XX.A..BHZ"]
    assert unused == {}


def test_what_holds_no_ground_motion_is_left_out_with_the_reason():
    ids, unused = chosen(
        *channels("XX.A.", "HHZ HDF"),
        *channels("XX.A.", "LHZ", rate=1.0),
        *channels("XX.B.", "VM1", rate=0.1),
    )
    assert ids == ["XX.A..HHZ"]
    assert "ground motion" in unused["XX.A..HDF"]
    assert "1 Hz, too slow" in unused["XX.A..LHZ"]
    assert "too slow" in unused["XX.B..VM1"]


def test_days_part_at_midnight_and_come_in_order():
    days, _ = station_days(spans(*channels("XX.B.", "HHZ", 20, 50), *channels("XX.A.", "HHZ", 20, 50)))
    assert [(d.station, d.start, d.end) for d in days] == [
        (station, DAY + a * HOUR, DAY + b * HOUR)
        for a, b in ((20, 24), (24, 48), (48, 50))
        for station in "AB"
    ]
    assert [d.available_s for d in days[::2]] == [4 * 3600.0, 24 * 3600.0, 2 * 3600.0]


def test_a_day_without_records_of_a_station_is_no_task():
    days, _ = station_days(spans(*channels("XX.A.", "HHZ", 0, 72), *channels("XX.B.", "HHZ", 0, 2)))
    assert [d.station for d in days] == ["A", "B", "A", "A"]


def test_start_and_end_cut_the_days():
    rows = spans(*channels("XX.A.", "HHZ", 0, 72))
    days, _ = station_days(rows, start=DAY + 6 * HOUR, end=DAY + 30 * HOUR)
    assert [(d.start, d.end) for d in days] == [
        (DAY + 6 * HOUR, DAY + 24 * HOUR),
        (DAY + 24 * HOUR, DAY + 30 * HOUR),
    ]
    assert [d.available_s for d in days] == [18 * 3600.0, 6 * 3600.0]


@pytest.mark.parametrize(("first", "last"), [(100, 200), (-20, -10), (24, 30), (-1, 0)])
def test_a_time_without_records_gives_no_days(first, last):
    rows = spans(*channels("XX.A.", "HHZ"))
    days, unused = station_days(rows, start=DAY + first * HOUR, end=DAY + last * HOUR)
    assert days == []
    assert unused == {}


@pytest.mark.parametrize(("first", "last"), [(10, 10), (12, 10)])
def test_a_time_that_is_empty_is_refused(first, last):
    with pytest.raises(InputError, match="not before"):
        station_days(spans(*channels("XX.A.", "HHZ")), start=DAY + first * HOUR, end=DAY + last * HOUR)


def test_the_sensor_may_change_from_day_to_day():
    days, unused = station_days(
        spans(*channels("XX.A.00", "HHZ", 0, 24), *channels("XX.A.10", "HHZ", 20, 48))
    )
    assert [d.ids for d in days] == [("XX.A.00.HHZ",), ("XX.A.10.HHZ",)]
    assert unused == {}


def test_gaps_are_not_counted_as_data():
    days, _ = station_days(spans(*channels("XX.A.", "HHZ", 0, 3), *channels("XX.A.", "HHZ", 5, 6)))
    assert [d.available_s for d in days] == [4 * 3600.0]


def test_the_order_of_the_rows_does_not_matter():
    rows = spans(
        *channels("XX.A.", "HHE HHN HHZ HNE HNN HNZ", 0, 30),
        *channels("XX.B.00", "EHZ", 3, 40),
        *channels("XX.B.10", "EHZ", 3, 40),
        *channels("YY.A.", "BHZ", 1, 2, rate=20.0),
    )
    shuffled = rows.sample(frac=1, random_state=0)
    assert station_days(rows) == station_days(shuffled)


def test_the_input_is_not_changed():
    rows = spans(*channels("XX.A.", "HHZ HDF", 0, 30))
    before = rows.copy()
    station_days(rows, start=DAY + HOUR)
    pd.testing.assert_frame_equal(rows, before)
