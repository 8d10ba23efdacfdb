"""JMA hypocentre and reading records: genuine records with known values, every code, both ways."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from obspy import read_events as obspy_events

from kaname.core.errors import FormatError, InputError
from kaname.core.tables import ARRIVALS, EVENTS, PICKS, table
from kaname.formats.catalogs import read_events, write_events
from kaname.formats.eventset import EventSet
from kaname.formats.jma import holds_jma, is_jma, read_jma, write_jma, write_jma_arrivals
from kaname.formats.jma_records import decode_hypocentres, decode_readings, encode_hypocentre

NEAR = np.array(["2016-04-15T16:25:05"], "datetime64[ns]")


def _record(**columns: str) -> bytes:
    """Return a hypocentre record written by hand, with some columns (``c14="0505"``) replaced."""
    line = list(
        f"{'J2016041601250545 017 324527 023 1304578 024 124508073W69V511D6 7271KUMAMOTO REGION':<92} 45K"
    )
    for at, text in columns.items():
        first = int(at[1:]) - 1
        line[first : first + len(text)] = text
    assert len(line) == 96
    return "".join(line).encode()


def _reading(**columns: str) -> bytes:
    line = list(f"{'_N.MSIH2222 h16P   01250712S   261234':<96}")
    line[87:91] = "1604"
    for at, text in columns.items():
        first = int(at[1:]) - 1
        line[first : first + len(text)] = text
    assert len(line) == 96
    return "".join(line).encode()


@pytest.fixture
def put(tmp_path: Path):
    def write(content: bytes, name: str = "h2016") -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


def _one(line: bytes) -> tuple[dict, list[str]]:
    frame, faults = decode_hypocentres([line])
    return frame.to_dict("records")[0], [sentence for _, sentence in faults]


class TestGenuineRecords:
    @pytest.fixture
    def folder(self, shared_data) -> Path:
        return shared_data / "japan/jma_hypocenter_records"

    def test_equal_the_expected_values(self, folder) -> None:
        read = read_events(folder / "records.txt")
        with (folder / "expected.csv").open() as file:
            expected = list(csv.DictReader(file))
        assert len(read.events) == len(expected) == 6
        for row, known in zip(read.events.to_dict("records"), expected, strict=True):
            assert row["time"] == pd.Timestamp(known["origin_time_utc"]).tz_localize(None)
            # What is expected of line 5 is 31.10 and 36.66 minutes; the record has 31.07 and 36.60.
            slack = 1.1e-3 if known["line"] == "5" else 1e-6
            assert row["latitude"] == pytest.approx(float(known["lat"]), abs=slack)
            assert row["longitude"] == pytest.approx(float(known["lon"]), abs=slack)
            if known["depth_km"]:
                assert row["depth_km"] == float(known["depth_km"])
            else:
                assert np.isnan(row["depth_km"])
            assert row["magnitude"] == float(known["mag1"])
            assert row["magnitude_type_1"] == known["mag1_type"]
            assert row["max_intensity"] == known["max_intensity"]

    def test_the_depth_outside_the_format_is_told(self, folder) -> None:
        (failure,) = read_events(folder / "records.txt").failures
        assert failure["subject"] == "jma2016041811492482"
        assert "depth, columns 45-49: '  0 4'" in failure["message"]

    def test_are_written_back_byte_for_byte(self, folder) -> None:
        lines = (folder / "records.txt").read_bytes().splitlines()
        written = write_jma(read_events(folder / "records.txt").events).splitlines()
        for line, copy in zip(lines, written, strict=True):
            assert copy == line.replace(b"  0 4", b"     ")

    def test_go_through_quakeml_and_back(self, folder, tmp_path) -> None:
        read = read_events(folder / "records.txt")
        again = read_events(write_events(read, tmp_path / "events.xml"))
        assert not again.failures
        for name in ("event_id", "time", "magnitude", "magnitude_type", "n_station", "remark", "depth_km"):
            pd.testing.assert_series_equal(again.events[name], read.events[name])
        for name in ("latitude", "longitude", "cov_ee_km2", "cov_nn_km2", "time_uncertainty_s"):
            np.testing.assert_allclose(again.events[name], read.events[name], rtol=1e-9)
        # The codes that QuakeML has no place for stand in comments, so even the records come back; an error
        # of an unknown depth does not.
        records = (folder / "records.txt").read_bytes().replace(b"  0 4207", b" " * 8)
        assert write_jma(again.events) == records

    def test_mode_goes_through_quakeml(self, folder, tmp_path) -> None:
        write_events(read_events(folder / "records.txt"), tmp_path / "events.xml")
        modes = [e.preferred_origin().evaluation_mode for e in obspy_events(str(tmp_path / "events.xml"))]
        assert modes == ["manual", "automatic", "automatic", None, "automatic", "manual"]


class TestColumns:
    @pytest.mark.parametrize(
        ("code", "value"),
        [("73", 7.3), ("00", 0.0), ("-1", -0.1), ("-9", -0.9), ("A0", -1.0), ("A9", -1.9), ("B0", -2.0),
         ("C5", -3.5), (" 4", 0.4), ("6 ", 6.0), ("  ", np.nan)],
    )  # fmt: skip
    def test_magnitudes(self, code, value) -> None:
        for column, name in (("c53", "magnitude_1"), ("c56", "magnitude_2")):
            row, faults = _one(_record(**{column: code}))
            assert not faults
            np.testing.assert_equal(row[name], value)

    @pytest.mark.parametrize("code", ["D0", "a1", "A ", "1-", "--", "x3"])
    def test_magnitudes_that_are_none(self, code) -> None:
        row, faults = _one(_record(c53=code))
        assert np.isnan(row["magnitude_1"])
        assert "magnitude_1" in faults[0]

    @pytest.mark.parametrize(
        ("field", "depth", "fixed"),
        [("120  ", 120.0, True), (" 12  ", 12.0, True), ("  0  ", 0.0, True),
         (" 1245", 12.45, False), ("    5", 0.05, False), ("70012", 700.12, False), ("     ", np.nan, False)],
    )  # fmt: skip
    def test_depth_has_two_encodings(self, field, depth, fixed) -> None:
        row, faults = _one(_record(c45=field))
        assert not faults
        np.testing.assert_equal(row["depth_km"], depth)
        assert row["depth_fixed"] == fixed

    def test_decimals_left_blank_are_not_a_shift(self) -> None:
        """An early record of the 1923 Kanto earthquake has minutes ``06  `` and no second."""
        row, faults = _one(_record(c2="192309011203", c14="    ", c22=" 3506  ", c33=" 13930  "))
        assert row["latitude"] == pytest.approx(35.1)
        assert row["longitude"] == pytest.approx(139.5)
        assert row["time"] == np.datetime64("1923-09-01T03:03")
        assert "no second of the origin time" in faults[0]
        row, faults = _one(_record(c25="474 "))
        assert not faults
        assert row["latitude"] == pytest.approx(32 + 47.4 / 60)

    @pytest.mark.parametrize(
        ("latitude", "longitude", "where"),
        [
            ("- 70352", " 1300054", (-7 - 3.52 / 60, 130 + 0.54 / 60)),
            ("-301269", "-1783969", (-30 - 12.69 / 60, -178 - 39.69 / 60)),
            ("- 00300", "-  00600", (-0.05, -0.1)),
        ],
    )
    def test_south_and_west(self, latitude, longitude, where) -> None:
        line = _record(c22=latitude, c33=longitude)
        row, faults = _one(line)
        assert not faults
        assert (row["latitude"], row["longitude"]) == pytest.approx(where)
        assert encode_hypocentre(row).encode() == line

    @pytest.mark.parametrize(
        "columns",
        [{"c6": "13"}, {"c6": "0231"}, {"c2": "x016"}, {"c25": "6000"}, {"c10": "1x"}, {"c18": " 1 7"}],
    )
    def test_damage_is_told_and_unknown(self, columns) -> None:
        _, faults = _one(_record(**columns))
        assert faults

    def test_second_sixty_and_the_turn_of_the_year(self) -> None:
        row, _ = _one(_record(c2="201601010000", c14="6012"))
        assert row["time"] == np.datetime64("2015-12-31T15:01:00.12")

    @given(st.lists(st.binary(max_size=120), max_size=4))
    def test_any_bytes_give_rows(self, lines) -> None:
        frame, _ = decode_hypocentres(lines)
        assert len(frame) == len(lines)
        readings, _ = decode_readings(lines, np.full(len(lines), NEAR[0]))
        assert len(readings) == len(lines)

    @given(
        st.integers(0, 10**10), st.floats(-89.99, 89.99), st.floats(-179.99, 179.99), st.integers(0, 70000),
        st.integers(-39, 99), st.booleans(),
    )  # fmt: skip
    def test_values_come_back(self, hundredths, latitude, longitude, depth, tenths, fixed) -> None:
        depth_km = float(depth // 100) if fixed else depth / 100
        row = {
            "record_type": "J",
            "time": np.datetime64(hundredths * 10, "ms"),
            "latitude": latitude,
            "longitude": longitude,
            "depth_km": depth_km,
            "depth_fixed": fixed,
            "magnitude_1": tenths / 10,
            "magnitude_type_1": "V",
        }
        line = encode_hypocentre(row).encode()
        assert len(line) == 96
        found, faults = _one(line)
        assert not faults
        assert found["time"] == row["time"]
        assert found["latitude"] == pytest.approx(latitude, abs=0.5 / 6000 + 1e-9)
        assert found["longitude"] == pytest.approx(longitude, abs=0.5 / 6000 + 1e-9)
        assert (found["depth_km"], found["magnitude_1"]) == (depth_km, tenths / 10)
        assert found["depth_fixed"] == fixed


class TestFiles:
    def test_arrival_times_of_both_phases(self, put) -> None:
        lines = [
            _record(),
            _record(c1="U", c22=" 330000"),
            b"CDAMAGE 211 DEAD".ljust(96),
            _reading(c16="IP  ", c80="U"),
            _reading(c2="V.ASOB", c16="EP  ", c22="5958", c24="5800", c28="ES  ", c32="00", c34="0290"),
            _reading(c2="MATSUS", c16="X   ", c28="    "),
            b"E".ljust(96),
        ]
        read = read_events(put(b"\r\n".join(lines) + b"\r\n", "d201604"))
        assert len(read.events) == 1
        remark = read.events["remark"].iloc[0]
        assert remark == "KUMAMOTO REGION; maximum JMA intensity D; also located by U; DAMAGE 211 DEAD"
        assert [
            (p.network, p.station, p.phase, str(p.time), p.polarity) for p in read.picks.itertuples()
        ] == [
            ("BO", "MSIH", "P", "2016-04-15 16:25:07.120000", "up"),
            ("BO", "MSIH", "S", "2016-04-15 16:26:12.340000", ""),
            ("V", "ASOB", "P", "2016-04-15 16:59:58", ""),
            ("V", "ASOB", "S", "2016-04-15 17:00:02.900000", ""),
        ]
        assert set(read.arrivals["event_id"]) == set(read.events["event_id"])
        assert any("neither direct P nor S" in f["message"] for f in read.failures)

    def test_hypocentres_of_one_file_are_events_and_of_one_time_two(self, put) -> None:
        read = read_jma(put(b"\n".join([_record(), _record(), _record(c14="0600")]) + b"\n"))
        assert list(read.hypocentres["event_id"]) == [
            "jma2016041601250545",
            "jma2016041601250545-2",
            "jma2016041601250600",
        ]
        assert read.hypocentres["adopted"].all()

    def test_zip_and_gzip(self, put) -> None:
        text = _record() + b"\n"
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("h2016", text)
        for content in (out.getvalue(), gzip.compress(text)):
            path = put(content, "h2016.packed")
            assert holds_jma(path)
            assert len(read_events(path).events) == 1

    def test_arrivals_go_through_quakeml_and_back(self, put, tmp_path) -> None:
        lines = [
            _record(),
            _reading(c80="D"),
            _reading(c2="V.ASOB", c22="5958", c24="5800", c32="00", c34="0290"),
            _reading(c2="AGUNI ", c14="17", c16="S   ", c20="0100", c24="0055", c28=" " * 10),
            b"E".ljust(96),
        ]
        content = b"\n".join(lines) + b"\n"
        read = read_events(put(content, "d201604"))
        write_events(read, tmp_path / "events.xml")
        path = write_events(read_events(tmp_path / "events.xml"), tmp_path / "again.deck")
        # The station number and the seismometer have no place in QuakeML.
        expected = content.replace(b"2222 h", b" " * 6)
        assert sorted(path.read_bytes().splitlines()) == sorted(expected.splitlines())
        again = read_events(path)
        assert not again.failures
        for name in ("network", "station", "phase", "time", "polarity", "method"):
            pd.testing.assert_series_equal(again.picks[name], read.picks[name])

    def test_arrivals_that_have_no_room(self) -> None:
        row = {"event_id": "e", "time": NEAR[0], "latitude": 32.0, "longitude": 130.0}
        onset = {"event_id": "e", "pick_id": "p", "phase": "P", "time": NEAR[0]}
        for station, time in (("LONGER", NEAR[0]), ("ASO", np.datetime64("1923-09-01", "ns"))):
            arrivals = table([{**onset, "network": "XX", "station": station, "time": time}], ARRIVALS)
            with pytest.raises(InputError, match=f"event e, XX.{station}: .* has no room in"):
                write_jma_arrivals(EventSet(table([row], EVENTS), arrivals))

    def test_matched_filter_records_are_kept_as_they_stand(self, put) -> None:
        lines = [_record(c60="M"), b"j" + _record()[1:], b"WN.MSIH".ljust(96), b"E".ljust(96)]
        read = read_jma(put(b"\n".join(lines) + b"\n"))
        assert len(read.hypocentres) == 1
        assert list(read.unread["line"]) == [lines[1].decode(), lines[2].decode()]
        assert set(read.unread["event_id"]) == set(read.hypocentres["event_id"])
        assert len(read.failures) == 2

    def test_many_arrivals_come_back(self, tmp_path) -> None:
        rng = np.random.default_rng(4)
        origins = [NEAR[0] + np.timedelta64(k, "D") for k in range(20)]
        where = {"latitude": 32.0, "longitude": 130.0}
        rows = [{"event_id": str(k), "time": origin, **where} for k, origin in enumerate(origins)]
        picks, ties = [], {}
        for event, origin in enumerate(origins):
            for code in ("BO.AAKH", ".AGUNI", "V.ASOB", "BO.AASH"):
                for phase in rng.permutation(["P", "S"])[: rng.integers(3)]:
                    network, _, station = code.partition(".")
                    time = origin + np.timedelta64(10 * int(rng.integers(10**6)), "ms")
                    motion = str(rng.choice(["", "up", "down"])) if phase == "P" else ""
                    key = {"pick_id": str(len(picks)), "network": network, "station": station}
                    picks.append({**key, "phase": str(phase), "time": time, "polarity": motion})
                    ties[str(len(picks) - 1)] = str(event)
        arrivals = [{"event_id": ties[p["pick_id"]], **p} for p in picks]
        made = EventSet(table(rows, EVENTS), table(arrivals, ARRIVALS), table(picks, PICKS))
        back = read_events(write_events(made, tmp_path / "d.deck"))
        names = ["time", "network", "station", "phase", "polarity"]
        before, after = (t.picks[names].sort_values(names, ignore_index=True) for t in (made, back))
        pd.testing.assert_frame_equal(before, after)
        assert len(back.events) == len(origins)

    def test_other_records_short_lines_and_bad_hypocentres_are_told(self, put) -> None:
        lines = [_record()[:90], _record(), b"W" + b" " * 95, _record(c6="13")]
        read = read_events(put(b"\n".join(lines) + b"\n"))
        messages = " / ".join(f["message"] for f in read.failures)
        assert len(read.events) == 1
        assert "1 hypocentre records have not 96 columns" in messages
        assert "1 matched-filter readings (W) are only in `unread`" in messages
        assert "left out: no time or no epicentre" in messages

    def test_values_beyond_all_bounds_are_told(self, put) -> None:
        lines = [_record(c45="99900"), _record(c93="- 3", c14="0600"), _record(c33=" 9130", c14="0700")]
        read = read_events(put(b"\n".join(lines) + b"\n"))
        assert len(read.events) == 2
        assert np.isnan(read.events["depth_km"].iloc[0])
        assert read.events["n_station"].iloc[1] == 0
        messages = " / ".join(f["message"] for f in read.failures)
        for part in ("without depth_km: 999", "without n_station: -3", "beyond 180 degrees"):
            assert part in messages

    def test_what_is_no_jma_file(self, put) -> None:
        assert not is_jma(b"Just a line of text that begins with the letter J and goes on".ljust(96) + b"\n")
        for content in (b"", b"nothing\n", _record()[:50]):
            with pytest.raises(FormatError):
                read_jma(put(content))

    def test_events_that_have_no_room(self) -> None:
        row = {"event_id": "e", "time": NEAR[0], "latitude": 32.0, "longitude": 130.0}
        with pytest.raises(InputError, match=r"event e: magnitude 10\.2"):
            write_jma(table([{**row, "magnitude": 10.2}], EVENTS))
        with pytest.raises(InputError, match="needs a time"):
            write_jma(table([{**row, "latitude": np.nan}], EVENTS))
