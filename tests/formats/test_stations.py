"""Stations: lookups, epochs, contradictions, missing coordinates, responses, and SEISAN's real list."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import obspy
import pandas as pd
import pytest
from obspy import UTCDateTime
from obspy.core.inventory import Channel, Inventory, Network, Station

from kaname.core.errors import FormatError, NotFoundError
from kaname.formats.seisan import station_rows
from kaname.formats.stations import read_stations

IO = Path(obspy.__file__).parent / "io"
DAY = [UTCDateTime(2010, 1, d) for d in range(1, 31)]


def _xml(path: Path, *channels: tuple, station: dict | None = None) -> Path:
    """Write a station with channels ``(location, code, latitude, depth_m, start, end)``."""
    place = {"latitude": 48.0, "longitude": 11.0, "elevation": 500.0, **(station or {})}
    made = [
        Channel(c, loc, lat, place["longitude"], place["elevation"], depth, start_date=start, end_date=end)
        for loc, c, lat, depth, start, end in channels
    ]
    Inventory([Network("BW", [Station("UH1", channels=made, **place)])]).write(str(path), "STATIONXML")
    return path


class TestEpochs:
    def test_touching_epochs_of_one_place_are_one(self, tmp_path) -> None:
        read = read_stations(
            _xml(
                tmp_path / "a.xml",
                ("", "EHZ", 48.0, 0.0, DAY[0], DAY[5] - 1),
                ("", "EHN", 48.0, 0.0, DAY[0], DAY[5] - 1),
                ("", "EHZ", 48.0, 0.0, DAY[5], None),
            )
        )
        assert len(read.table) == 1
        assert read.table["start"][0] == pd.Timestamp("2010-01-01")
        assert pd.isna(read.table["end"][0])

    def test_a_gap_stays_a_gap(self, tmp_path) -> None:
        read = read_stations(
            _xml(
                tmp_path / "a.xml",
                ("", "EHZ", 48.0, 0.0, DAY[0], DAY[5]),
                ("", "EHZ", 48.0, 0.0, DAY[9], DAY[15]),
            )
        )
        assert len(read.table) == 2
        assert read.at("BW", "UH1", "", "2010-01-02")["end"] == pd.Timestamp("2010-01-06")
        for time in ("2009-12-31", "2010-01-08", "2010-01-16"):
            with pytest.raises(NotFoundError, match=r"BW\.UH1"):
                read.at("BW", "UH1", "", time)

    def test_a_moved_station_has_two_places(self, tmp_path) -> None:
        read = read_stations(
            _xml(
                tmp_path / "a.xml",
                ("", "EHZ", 48.0, 0.0, DAY[0], DAY[5]),
                ("", "EHZ", 48.1, 0.0, DAY[5], None),
                ("", "EHZ", 48.0, 0.0, DAY[20], None),
            )
        )
        assert read.at("BW", "UH1", "", "2010-01-03")["latitude"] == 48.0
        assert read.at("BW", "UH1", "", "2010-01-06")["latitude"] == 48.1
        # From the 21st two places are given; the first stands, and it is told.
        assert read.at("BW", "UH1", "", "2010-01-25")["latitude"] == 48.1
        assert "two places 111" in read.failures[0]["message"]

    def test_ends_beyond_what_nanoseconds_hold_are_open(self, tmp_path) -> None:
        read = read_stations(
            _xml(tmp_path / "a.xml", ("", "EHZ", 48.0, 0.0, DAY[0], UTCDateTime(2599, 12, 31)))
        )
        assert pd.isna(read.table["end"][0])

    def test_borehole_keeps_ground_and_depth_apart(self, tmp_path) -> None:
        path = _xml(
            tmp_path / "a.xml",
            ("00", "HHZ", 48.0, 0.0, DAY[0], None),
            ("10", "HHZ", 48.0, 200.0, DAY[0], None),
        )
        read = read_stations(path)
        assert [r["sensor_depth_m"] for r in read.table.to_dict("records")] == [0.0, 200.0]
        assert set(read.table["elevation_m"]) == {500.0}


class TestLookup:
    @pytest.fixture
    def stations(self, tmp_path):
        path = tmp_path / "stations.csv"
        path.write_text(
            "network,station,location,latitude,longitude,start\n"
            "NZ,GCSZ,10,-43.316,170.3267,\n"
            "NZ,GCSZ,20,-43.316,170.3268,\n"
            ",WV01,,-43.28,170.39,2010-01-01T00:00:00Z\n"
            "AA,TWO,,10,20,\n"
            "BB,TWO,,11,20,\n"
        )
        return read_stations(path)

    def test_codes_that_one_side_does_not_state_match(self, stations) -> None:
        assert stations.at("DF", "WV01", "10", "2013-01-01")["latitude"] == -43.28
        assert stations.at("", "GCSZ", "20", "2013-01-01")["longitude"] == 170.3268
        assert stations.at("NZ", "GCSZ", "", "2013-01-01")["longitude"] == 170.3267

    def test_codes_that_differ_do_not(self, stations) -> None:
        for codes in (("NZ", "GCSZ", "30"), ("XX", "GCSZ", "10"), ("NZ", "GCS", "10")):
            with pytest.raises(NotFoundError, match="no coordinates"):
                stations.at(*codes, "2013-01-01")

    def test_one_code_in_two_networks_must_be_stated(self, stations) -> None:
        assert stations.at("BB", "TWO", "", "2013-01-01")["latitude"] == 11
        with pytest.raises(NotFoundError, match=r"not one place but AA\.TWO\., BB\.TWO\."):
            stations.at("", "TWO", "", "2013-01-01")


class TestWrongValues:
    def test_station_without_coordinates_is_a_failure(self, tmp_path) -> None:
        path = tmp_path / "stations.csv"
        path.write_text("station,latitude,longitude\nA,1,2\nB,,2\nC,95,2\nNA,3,4\n")
        read = read_stations(path)
        assert list(read.table["station"]) == ["A", "NA"]
        assert ["latitude is missing" in f["message"] for f in read.failures] == [True, False]
        assert "latitude is 95.0" in read.failures[1]["message"]

    def test_impossible_elevation_is_dropped_and_told(self, tmp_path) -> None:
        path = tmp_path / "stations.csv"
        path.write_text("station,latitude,longitude,elevation_m\nA,1,2,99999\n")
        read = read_stations(path)
        assert np.isnan(read.table["elevation_m"][0])
        assert "taken without: elevation_m is 99999" in read.failures[0]["message"]

    def test_no_station_column(self, tmp_path) -> None:
        path = tmp_path / "stations.csv"
        path.write_text("code,lat,lon\nA,1,2\n")
        with pytest.raises(FormatError, match="'station'"):
            read_stations(path)

    def test_channel_without_coordinates(self) -> None:
        read = read_stations(IO / "stationxml" / "tests" / "data" / "channel_without_coordinates.xml")
        assert any("coordinates" in f["message"] for f in read.failures)

    def test_one_bad_file_does_not_cost_the_others(self, tmp_path) -> None:
        good = _xml(tmp_path / "a.xml", ("", "EHZ", 48.0, 0.0, DAY[0], None))
        bad = tmp_path / "b.xml"
        bad.write_text("<FDSNStationXML>")
        read = read_stations([bad, good])
        assert len(read.table) == 1
        assert read.failures[0]["subject"] == str(bad)


class TestSeisan:
    def test_minutes_with_and_without_a_point(self) -> None:
        text = "\n\n  GCSZ4318960S17019604E 210\n  WV014316.85S17023.73E  88\n  CHH 4330509S170 6395E1190\n\n"
        rows, refused = station_rows(text)
        assert not refused
        assert [r["station"] for r in rows] == ["GCSZ", "WV01", "CHH"]
        assert rows[0]["latitude"] == pytest.approx(-(43 + 18.960 / 60))
        assert rows[1]["longitude"] == pytest.approx(170 + 23.73 / 60)
        assert rows[2]["longitude"] == pytest.approx(170 + 6.395 / 60)
        assert [r["elevation_m"] for r in rows] == [210, 88, 1190]

    def test_signs_hemispheres_and_five_characters(self) -> None:
        text = (
            "\n- NZ014429880S165  119E4682\n  NZ063945000S168   65E-859\n WHAT24316758S17021623E  95\n"
            "  BOB 4124.49N17452.27W 101\n .WV014316.85S17023.73E  88\n\n"
        )
        rows, refused = station_rows(text)
        assert not refused
        assert [r["station"] for r in rows] == ["NZ01", "NZ06", "WHAT2", "BOB"]
        assert [r["elevation_m"] for r in rows] == [-4682, -859, 95, 101]
        assert (rows[3]["latitude"], rows[3]["longitude"]) == pytest.approx((41.408167, -174.871167))

    def test_lines_that_are_none_are_told_by_number(self) -> None:
        text = "\n  GCSZ4318960S17019604E 210\n  BAD 43xx960S17019604E 210\n  FAR 4388960S17019604E 210\n\n"
        rows, refused = station_rows(text)
        assert len(rows) == 1
        assert [number for number, _ in refused] == [3, 4]
        assert "between 0 and 60 minutes" in refused[1][1]

    def test_the_real_list(self, shared_data) -> None:
        read = read_stations(shared_data / "network" / "nz_samba_2013" / "STATION0.HYP")
        # Five stations stand twice, 132 to 200 m apart: the older coordinates are on another datum.
        assert {f["subject"] for f in read.failures} == {".WKZ.", ".NNZ.", ".QRZ.", ".DSZ.", ".THZ."}
        assert len(read.table) == 216
        assert read.table["latitude"].between(-47, 42).all()
        for code in ("AF.LABE.", "DF.WV02.10", "NZ.GCSZ.10", "ZT.WZ16."):
            row = read.at(*code.split("."), "2013-09-01")
            assert row["longitude"] == pytest.approx(170.4, abs=0.3)


class TestResponse:
    def test_resp_gives_responses_and_no_places(self, shared_data) -> None:
        folder = shared_data / "network" / "nz_samba_2013"
        only = read_stations([folder / "RESP.NZ.GCSZ.10.EHZ", folder / "RESP.WZ01.ZT"])
        assert not len(only.table)
        sensitivity = only.response("NZ.GCSZ.10.EHZ", "2013-09-01").instrument_sensitivity
        assert sensitivity.value == pytest.approx(7.82657e8, rel=1e-5)
        # This file states "??" for the location: any matches.
        assert only.response("ZT.WZ01.10.ELZ", "2013-09-01").instrument_sensitivity.input_units == "M/S"
        for seed_id, time in [
            ("NZ.GCSZ.10.EHN", "2013-09-01"),
            ("NZ.GCSZ.10.EHZ", "2012-01-01"),
            ("ZT.WZ01..ELZ", "2014-02-01"),
        ]:
            with pytest.raises(NotFoundError, match="no response"):
                only.response(seed_id, time)
        both = read_stations([folder / "STATION0.HYP", folder / "RESP.NZ.GCSZ.10.EHZ"])
        assert len(both.table) == 216
        assert both.response("NZ.GCSZ.10.EHZ", "2013-09-01").response_stages

    def test_station_text_with_sensitivity(self) -> None:
        read = read_stations(IO / "stationtxt" / "tests" / "data" / "channel_level_fdsn.txt")
        channel = read.inventory[0][0][0]
        seed_id = (
            f"{read.inventory[0].code}.{read.inventory[0][0].code}.{channel.location_code}.{channel.code}"
        )
        found = read.response(seed_id, str(channel.start_date))
        assert found.instrument_sensitivity.value == channel.response.instrument_sensitivity.value

    def test_no_inventory(self, tmp_path) -> None:
        path = tmp_path / "stations.csv"
        path.write_text("station,latitude,longitude\nA,1,2\n")
        with pytest.raises(NotFoundError, match=r"no response of XX\.A\.\.HHZ"):
            read_stations(path).response("XX.A..HHZ", "2010-01-01")
