"""Tables: what is accepted, what is refused and how, and that the disk gives back what it got."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from obspy import UTCDateTime

from kaname.core import tables
from kaname.core.errors import FormatError, NotFoundError, SchemaError, StorageError
from kaname.core.tables import ARRIVALS, EVENTS, FAILURES, PICKS, SCHEMAS, STATIONS

PICK = {"pick_id": "a", "station": "UH3", "phase": "P", "time": "2010-05-27T16:24:33.21"}
STATION = {"station": "UH3", "latitude": 48.0, "longitude": 11.6}
EVENT = {"event_id": "e", "time": "2010-05-27T16:24:33"}


def stations_starting(value):
    return tables.table([{**STATION, "start": value}], STATIONS).start[0]


# -- schemas


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=list(SCHEMAS))
def test_a_schema_explains_itself(schema):
    assert schema.meaning
    assert len(set(schema.names)) == len(schema.names)
    assert set(schema.key) <= {c.name for c in schema.columns if c.required}
    for column in schema.columns:
        assert column.meaning
        for ending, unit in (("_km", "km"), ("_m", "m"), ("_km2", "km2"), ("_mm", "mm"), ("_deg", "degree")):
            assert not column.name.endswith(ending) or column.unit == unit
    with pytest.raises(NotFoundError, match="no_such"):
        schema["no_such"]


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=list(SCHEMAS))
def test_an_empty_table_has_every_column_and_passes(schema, tmp_path):
    empty = tables.empty(schema)
    assert tuple(empty.columns) == schema.names
    for made in (
        tables.validate(empty, schema),
        tables.validate(pd.DataFrame(), schema),
        tables.table([], schema),
    ):
        pd.testing.assert_frame_equal(made, empty)
    path = tables.write_table(empty, tmp_path / "empty.parquet", schema)
    pd.testing.assert_frame_equal(tables.read_table(path, schema), empty)


def test_columns_that_are_absent_are_added_as_not_known():
    row = tables.table([PICK], PICKS).iloc[0]
    assert (row.network, row.polarity) == ("", "")
    assert np.isnan(row.probability)
    assert tables.table([EVENT], EVENTS).n_p[0] == 0
    assert pd.isna(tables.table([STATION], STATIONS).end[0])


def test_columns_nobody_knows_are_kept_at_the_end():
    made = tables.table([{"my_score": 3, **PICK}], PICKS)
    assert tuple(made.columns) == (*PICKS.names, "my_score")


# -- what is refused


@pytest.mark.parametrize(
    ("schema", "row", "message"),
    [
        (PICKS, {k: v for k, v in PICK.items() if k != "time"}, "'time'.*is missing"),
        (PICKS, {**PICK, "time": None}, "expected a value"),
        (PICKS, {**PICK, "time": ""}, "expected a value"),
        (PICKS, {**PICK, "station": ""}, "expected a value"),
        (PICKS, {**PICK, "phase": "Pn"}, r"found 'Pn', expected one of \('P', 'S'\)"),
        (PICKS, {**PICK, "polarity": "UP"}, "expected one of"),
        (PICKS, {**PICK, "probability": 1.01}, "expected <= 1"),
        (PICKS, {**PICK, "time_uncertainty_s": -0.1}, "expected >= 0 s"),
        (PICKS, {**PICK, "probability": "high"}, "'probability': expected float"),
        (STATIONS, {**STATION, "latitude": 95}, "expected <= 90 degree"),
        (STATIONS, {**STATION, "latitude": np.nan}, "expected a value"),
        (STATIONS, {**STATION, "latitude": np.inf}, "expected <= 90"),
        (EVENTS, {**EVENT, "n_p": 3.7}, "expected int : found 3.7"),
        (EVENTS, {**EVENT, "n_p": "three"}, "expected int"),
        (EVENTS, {**EVENT, "n_p": np.inf}, "expected int"),
        (EVENTS, {**EVENT, "n_p": -1}, "expected >= 0"),
    ],
)
def test_a_bad_value_is_named_with_its_place(schema, row, message):
    with pytest.raises(SchemaError, match=message) as caught:
        tables.table([row], schema)
    assert f"table {schema.name}" in str(caught.value)


def test_the_first_bad_row_is_named():
    frame = pd.DataFrame(
        [{**PICK, "pick_id": str(i), "probability": p} for i, p in enumerate([0.1, 0.2, 7.0, 9.0])]
    )
    with pytest.raises(SchemaError, match=r"row 2: found .*7\.0"):
        tables.validate(frame, PICKS)


def test_a_key_that_stands_twice_is_refused():
    with pytest.raises(SchemaError, match=r"'pick_id': 'a'.*more than once"):
        tables.table([PICK, PICK], PICKS)
    arrival = {**PICK, "event_id": "e"}
    assert len(tables.table([arrival, {**arrival, "event_id": "f"}], ARRIVALS)) == 2


@pytest.mark.parametrize(
    "value", [1.5, 1274977473, "now", "12:00", "10/05/2010", "2010-13-01", "2599-12-31"], ids=repr
)
def test_what_is_no_time_is_refused(value):
    with pytest.raises(SchemaError, match="'start': expected time"):
        stations_starting(value)


# -- times


@pytest.mark.parametrize(
    "value",
    [
        "2010-05-27T16:24:33.21Z",
        "2010-05-28T01:24:33.21+09:00",
        np.datetime64("2010-05-27T16:24:33.21"),
        pd.Timestamp("2010-05-28T01:24:33.21", tz="Asia/Tokyo"),
        datetime(2010, 5, 27, 16, 24, 33, 210_000, tzinfo=UTC),
        UTCDateTime("2010-05-27T16:24:33.21"),
    ],
    ids=repr,
)
def test_every_spelling_of_a_time_is_utc(value):
    assert stations_starting(value) == pd.Timestamp("2010-05-27T16:24:33.21")


@pytest.mark.parametrize("value", [None, "", " ", np.nan, pd.NaT, np.datetime64("NaT")], ids=repr)
def test_a_time_may_be_missing(value):
    assert pd.isna(stations_starting(value))


def test_spellings_may_differ_from_row_to_row():
    starts = ["2010-05-27", "2010-05-27T00:00:00.000000001", "2010-05-27T09:00+09:00", None]
    made = tables.table([{**STATION, "station": str(i), "start": s} for i, s in enumerate(starts)], STATIONS)
    assert made.start.astype("int64").diff().tolist()[1:3] == [1, -1]


# -- in and out


def test_validation_leaves_its_input_alone():
    frame = pd.DataFrame([PICK])
    before = frame.copy()
    tables.validate(frame, PICKS)
    pd.testing.assert_frame_equal(frame, before)


def test_concat_of_nothing_is_empty_and_order_is_kept():
    assert len(tables.concat([], PICKS)) == 0
    parts = [tables.table([{**PICK, "pick_id": i}], PICKS) for i in "bac"]
    assert tables.concat([tables.empty(PICKS), *parts], PICKS).pick_id.tolist() == ["b", "a", "c"]


text = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "station": text.filter(bool),
                "phase": st.sampled_from("PS"),
                "time": st.datetimes(datetime(1700, 1, 1), datetime(2250, 1, 1)),
                "probability": st.floats(0, 1) | st.none(),
                "method": text,
            }
        ),
        max_size=5,
    )
)
def test_the_disk_gives_back_what_it_got(tmp_path, rows):
    made = tables.table([{**row, "pick_id": str(i)} for i, row in enumerate(rows)], PICKS)
    path = tables.write_table(made, tmp_path / "picks.parquet", PICKS)
    pd.testing.assert_frame_equal(tables.read_table(path, PICKS), made)


def test_a_path_that_ends_in_csv_is_written_and_read_as_csv(tmp_path):
    rows = [
        EVENT,
        {**EVENT, "event_id": "NA #2", "time": "2010-05-27T16:24:33.123456789", "magnitude": 1 / 3},
    ]
    made = tables.table(rows, EVENTS)
    path = tables.write_table(made, tmp_path / "events.csv", EVENTS)
    assert path.read_text().startswith('"event_id",')
    pd.testing.assert_frame_equal(tables.read_table(path, EVENTS), made)


def test_units_and_meanings_travel_with_the_file(tmp_path):
    path = tables.write_table(tables.table([PICK], PICKS), tmp_path / "deep" / "picks.parquet", PICKS)
    schema = pq.read_schema(path)
    assert schema.metadata[b"kaname_schema"] == b"picks"
    assert schema.field("snr_db").metadata[b"unit"] == b"dB"
    assert pd.read_parquet(path).station.tolist() == ["UH3"]


def test_codes_in_csv_stay_text(tmp_path):
    path = tmp_path / "stations.csv"
    path.write_text("# a comment\nstation,location,latitude,longitude,start\n0012,00,48.0,11.6,2010-01-01\n")
    row = tables.read_table(path, STATIONS).iloc[0]
    assert (row.station, row.location, row.start) == ("0012", "00", pd.Timestamp("2010-01-01"))


@pytest.mark.parametrize("code", ["NA", "NULL", "nan", "None"])
def test_codes_that_look_like_nothing_are_codes(tmp_path, code):
    path = tmp_path / "stations.csv"
    path.write_text(f"network,station,latitude,longitude,start\n{code},{code},48.0,11.6,\n")
    row = tables.read_table(path, STATIONS).iloc[0]
    assert (row.network, row.station) == (code, code)
    assert pd.isna(row.start)


def test_what_cannot_be_read_is_said(tmp_path):
    with pytest.raises(NotFoundError, match="expected a picks table"):
        tables.read_table(tmp_path / "none.parquet", PICKS)
    for name, content in [("a.parquet", b""), ("b.parquet", b"PAR1 and then nothing"), ("c.csv", b"")]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FormatError, match=name):
            tables.read_table(tmp_path / name, PICKS)
    (tmp_path / "d.csv").write_bytes(b"a;b\n1;2\n")
    with pytest.raises(SchemaError, match="found a;b"):
        tables.read_table(tmp_path / "d.csv", PICKS)
    (tmp_path / "e.csv").write_bytes(b"station,latitude,longitude\n\xff\xfe\xfa,1,2\n")
    with pytest.raises(FormatError, match=r"e\.csv"):
        tables.read_table(tmp_path / "e.csv", STATIONS)


def test_a_refused_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tables.write_table(tables.table([PICK], PICKS), tmp_path / "picks.parquet", PICKS)
    before = path.read_bytes()

    def full(*_, **__):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(StorageError, match="No space left"):
        tables.write_table(tables.empty(PICKS), path, PICKS)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_row_needs_its_reason():
    with pytest.raises(SchemaError, match="message"):
        tables.table([{"step": "read", "subject": "a.mseed", "error": "FormatError"}], FAILURES)


def test_a_file_name_that_is_not_utf8_makes_a_row(tmp_path):
    name = os.fsdecode(b"b\xfc.mseed")
    row = {"step": "read", "subject": name, "error": "FormatError", "message": f"{name} is empty"}
    made = tables.table([row], FAILURES)
    assert made.loc[0, "subject"] == "b\\udcfc.mseed"
    back = tables.read_table(tables.write_table(made, tmp_path / "failures.parquet", FAILURES), FAILURES)
    assert back.loc[0, "subject"] == "b\\udcfc.mseed"
