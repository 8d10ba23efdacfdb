"""Channel tables: encodings, repetitions, epochs, identifiers, and responses against the formula."""

from __future__ import annotations

import numpy as np
import obspy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from obspy import Trace, UTCDateTime
from obspy.io.stationxml.core import validate_stationxml

from kaname.core.errors import FormatError, InputError, NotFoundError
from kaname.core.tables import FAILURES, table, validate
from kaname.core.waveform import Waveform
from kaname.formats.contract import WaveformRead
from kaname.formats.stations import read_stations
from kaname.formats.win import read_win
from kaname.formats.win_channels import is_channel_table, read_channel_table
from kaname.formats.win_response import to_inventory
from kaname.formats.win_writer import write_win

GENUINE = "6033 1 0 N.AAKH U 6 27 175.60 m/s 1.00 0.70 0 1.023e-07 36.3726 137.9203 483 0 0 Azuminoakashina"
# The example of win(1W), tabs included; the second line leaves the place to the first.
MANUAL = (
    "0003\t1\t20\tFUJ\tU\t3\t10\t234\tm/s\t1.0\t0.7\t54\t9.77e-3\t35.3103\t138.6789\t1040\t0.0\t0.0\n"
    "0004 1 20 FUJ NS 3 10 2.5 m/s/s 0.01 0.6 0 1e-4"
)


def _write(tmp_path, text: str, name: str = "a.ch", encoding: str = "utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


def _block(name: str, n_second: int = 3, start: str = "2010-01-01T00:00:00", rate: float = 100.0) -> Waveform:
    samples = np.arange(round(n_second * rate), dtype=np.int32)
    return Waveform(samples[np.newaxis, :], (name,), np.datetime64(start), rate)


def test_genuine_line(tmp_path) -> None:
    channels = read_channel_table(_write(tmp_path, f"# Hi-net\n\n{GENUINE}\n"))
    assert not channels.failures
    (entry,) = channels.entries
    assert (entry.key, entry.seed_id, entry.site) == (0x6033, "BO.AAKH..EHZ", "Azuminoakashina")
    assert (entry.latitude, entry.longitude, entry.elevation_m) == (36.3726, 137.9203, 483)
    assert entry.counts_per_unit == pytest.approx(175.60 / 1.023e-07)
    assert (entry.delay_ms, entry.bits, entry.unit) == (0, 27, "m/s")


def test_line_of_the_manual_and_places_of_a_station(tmp_path) -> None:
    channels = read_channel_table(_write(tmp_path, MANUAL), network="JP")
    assert [e.seed_id for e in channels.entries] == ["JP.FUJ..EHZ", "JP.FUJ..HNN"]
    assert [e.latitude for e in channels.entries] == [35.3103, 35.3103]
    assert channels.entries[0].counts_per_unit == pytest.approx(234 * 10**2.7 / 9.77e-3)
    assert channels.entries[1].unit == "m/s^2"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "euc_jp", "shift_jis"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_encodings(encoding, newline, tmp_path) -> None:
    text = newline.join(["# 観測点一覧", GENUINE.replace("Azuminoakashina", "安曇野 明科"), ""])
    channels = read_channel_table(_write(tmp_path, text, encoding=encoding))
    assert not channels.failures
    assert channels.entries[0].site == "安曇野 明科"
    assert to_inventory(channels)[0][0].site.name == "安曇野 明科"


def test_bytes_of_no_encoding_are_told(tmp_path) -> None:
    path = tmp_path / "a.ch"
    path.write_bytes(GENUINE.encode() + b" \xff\xfe\x00\n")
    assert "neither UTF-8" in read_channel_table(path).failures[0]["message"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("6034 1 0 N.AAKH N 6 27", "7 columns"),
        (GENUINE.replace("6033", "60G3"), "no channel number"),
        (GENUINE.replace("175.60", "17x"), "could not convert"),
        (GENUINE.replace("175.60", "inf"), "no number"),
        (GENUINE.replace("36.3726", "136.3726"), "no degrees"),
    ],
)
def test_lines_that_are_none(line, reason, tmp_path) -> None:
    path = _write(tmp_path, f"{GENUINE}\n{line}\n")
    channels = read_channel_table(path)
    assert len(channels.entries) == 1
    (row,) = channels.failures
    assert reason in row["message"]
    assert row["subject"] == f"{path} line 2"
    with pytest.raises(FormatError, match="no channel table"):
        read_channel_table(_write(tmp_path, line))


def test_repetitions_in_one_table(tmp_path) -> None:
    twice = _write(tmp_path, f"{GENUINE}\n{GENUINE}\n")
    assert (len(read_channel_table(twice).entries), read_channel_table(twice).failures) == (1, [])
    changed = _write(tmp_path, f"{GENUINE}\n{GENUINE.replace('175.60', '150.0')}\n")
    channels = read_channel_table(changed)
    assert [e.sensitivity for e in channels.entries] == [150.0]
    assert "channel 6033 stands in line 1 too" in channels.failures[0]["message"]


class TestIdentifiers:
    @pytest.mark.parametrize(
        ("column", "value", "expected"),
        [
            (3, "FUJ", "XX.FUJ..EHZ"),
            (3, "E.KZK", "E.KZK..EHZ"),
            (3, "V.FJHV", "VV.FJHV..EHZ"),
            (4, "NS", "BO.AAKH..EHN"),
            (4, "EW", "BO.AAKH..EHE"),
            (4, "wU", "BO.AAKH..EHZ"),
            (4, "NB", "BO.AAKH..EHN"),
            (4, "X", "BO.AAKH..EH1"),
            (4, "Y", "BO.AAKH..EH2"),
            (8, "m/s/s", "BO.AAKH..HNZ"),
            (8, "rad", "BO.AAKH..EAZ"),
            (8, "degC", "BO.AAKH..EYZ"),
            (9, "120", "BO.AAKH..HHZ"),
            (9, "*", "BO.AAKH..HHZ"),
        ],
    )
    def test_follow_from_the_table(self, column, value, expected, tmp_path) -> None:
        words = GENUINE.split()
        words[column] = value
        channels = read_channel_table(_write(tmp_path, " ".join(words)), network="XX", networks={"V": "VV"})
        assert [e.seed_id for e in channels.entries] == [expected]

    @pytest.mark.parametrize(
        ("rate", "code"), [(1000, "G"), (250, "D"), (200, "E"), (50, "S"), (2, "M"), (1, "L"), (0.1, "V")]
    )
    def test_band_code_follows_from_the_rate(self, rate, code, tmp_path) -> None:
        path = _write(tmp_path, GENUINE)
        assert read_channel_table(path, rate=rate).entries[0].seed_id == f"BO.AAKH..{code}HZ"
        assert read_channel_table(path, rates={"6033": rate}).entries[0].seed_id == f"BO.AAKH..{code}HZ"

    def test_can_be_given(self, tmp_path) -> None:
        path = _write(tmp_path, f"{GENUINE}\n{MANUAL}")
        channels = read_channel_table(path, ids={"0003": "JP.FUJI.00.SHZ"})
        assert [e.seed_id for e in channels.entries] == ["BO.AAKH..EHZ", "JP.FUJI.00.SHZ", ".FUJ..HNN"]
        for ids in ({"0003": "FUJ"}, {"xyz": "JP.FUJI.00.SHZ"}):
            with pytest.raises(InputError):
                read_channel_table(path, ids=ids)

    def test_two_sensors_of_one_kind_get_locations(self, tmp_path) -> None:
        lines = [
            GENUINE.replace("6033", f"603{i}").replace(" U ", f" {c} ")
            for i, c in enumerate(("U", "N", "E", "UB", "NB", "EB"))
        ]
        entries = read_channel_table(_write(tmp_path, "\n".join(lines))).entries
        assert [e.seed_id for e in entries] == [f"BO.AAKH.{loc}.EH{c}" for loc in ("", "01") for c in "ZNE"]

    def test_component_and_codes_that_say_nothing_are_told(self, tmp_path) -> None:
        path = _write(tmp_path, GENUINE.replace(" U ", " ? ").replace("N.AAKH", "N.AA.KH"))
        channels = read_channel_table(path)
        assert channels.entries[0].seed_id == "BO.AA_KH..EH1"
        assert len(channels.failures) == 2


class TestEpochs:
    def _tables(self, tmp_path):
        new = GENUINE.replace("175.60", "150.0")
        other = GENUINE.replace("6033", "6034").replace(" U ", " N ")
        return [
            _write(tmp_path, f"{GENUINE}\n{other}\n", "0101_20100101.ch"),
            _write(tmp_path, f"{GENUINE}\n", "0101_20100102.ch"),
            _write(tmp_path, f"{new}\n{other}\n", "01_01_20100103.euc.ch"),
        ]

    def test_tables_of_several_days(self, tmp_path) -> None:
        first, second, third = self._tables(tmp_path)
        channels = read_channel_table([third, first, second])
        assert not channels.failures
        found = {(e.key, e.sensitivity, str(e.start)[:16], str(e.end)[:16]) for e in channels.entries}
        assert found == {
            (0x6033, 175.6, "2009-12-31T15:00", "2010-01-02T15:00"),
            (0x6033, 150.0, "2010-01-02T15:00", "NaT"),
            (0x6034, 175.6, "2009-12-31T15:00", "2010-01-01T15:00"),
            (0x6034, 175.6, "2010-01-02T15:00", "NaT"),
        }
        inventory = to_inventory(channels)
        epochs = [(c.code, c.start_date, c.end_date) for c in inventory[0][0] if c.code == "EHZ"]
        change = UTCDateTime(2010, 1, 2, 15)
        assert epochs == [("EHZ", UTCDateTime(2009, 12, 31, 15), change), ("EHZ", change, None)]

    def test_a_record_is_cut_where_the_epoch_changes(self, tmp_path) -> None:
        channels = read_channel_table(self._tables(tmp_path))
        block = _block("0101.6034..HY1", 4, "2010-01-01T14:59:58")
        out = channels.rename(WaveformRead([block]), "w")
        assert [(b.ids[0], b.n_sample) for b in out.blocks] == [
            ("BO.AAKH..EHN", 200),
            ("0101.6034..HY1", 200),
        ]
        assert "no epoch of the channel table" in out.failures[0]["message"]

    def test_given_starts_and_names_without_date(self, tmp_path) -> None:
        paths = [_write(tmp_path, GENUINE, name) for name in ("a.ch", "b.ch")]
        with pytest.raises(FormatError, match="no date"):
            read_channel_table(paths)
        with pytest.raises(InputError, match="2 channel tables but 1 starts"):
            read_channel_table(paths, starts=["2010-01-01"])
        (entry,) = read_channel_table(paths, starts=["2010-01-01", "2011-01-01"]).entries
        assert (entry.start, np.isnat(entry.end)) == (np.datetime64("2010-01-01"), True)

    def test_no_table(self, tmp_path) -> None:
        with pytest.raises(InputError, match="no channel table"):
            read_channel_table([])
        with pytest.raises(NotFoundError, match="no such file"):
            read_channel_table(tmp_path / "none.ch")


class TestWithRecords:
    def test_named_and_written_again(self, tmp_path) -> None:
        channels = read_channel_table(_write(tmp_path, f"{GENUINE}\n{MANUAL}"), network="JP")
        path = write_win(
            [_block("0101.6033..HY1"), _block("0101.0003..HY1"), _block("0101.7777..HY1")], tmp_path / "w"
        )
        read = read_win(path, channels=channels)
        assert [b.ids[0] for b in read.blocks] == ["JP.FUJ..EHZ", "BO.AAKH..EHZ", "0101.7777..HY1"]
        (row,) = read.failures
        assert "0101.7777..HY1: the channel table does not have this channel" in row["message"]
        again = write_win(read.blocks[:2], tmp_path / "v", form="win", number=channels.number)
        assert [b.ids[0] for b in read_win(again).blocks] == [".0003..HY1", ".6033..HY1"]
        with pytest.raises(NotFoundError, match="has no BO"):
            channels.number("BO.NONE..EHZ", "2010-01-01")

    def test_eight_digits_state_organisation_and_network(self, tmp_path) -> None:
        text = f"{GENUINE}\n" + GENUINE.replace("6033", "01206033").replace("AAKH", "S1N01")
        channels = read_channel_table(_write(tmp_path, text))
        reads = WaveformRead([_block(f"{n}6033..HY1") for n in ("0101.", "0120.", ".")])
        assert [b.ids[0] for b in channels.rename(reads, "w").blocks] == [
            "BO.AAKH..EHZ",
            "BO.S1N01..EHZ",
            "BO.AAKH..EHZ",
        ]

    def test_another_rate_than_the_name_says_is_told(self, tmp_path) -> None:
        channels = read_channel_table(_write(tmp_path, GENUINE))
        out = channels.rename(WaveformRead([_block("0101.6033..BY1", rate=20.0)]), "w")
        assert out.blocks[0].ids == ("BO.AAKH..EHZ",)
        assert "named for 100 Hz and has 20 Hz" in out.failures[0]["message"]

    def test_other_records_pass(self, tmp_path) -> None:
        channels = read_channel_table(_write(tmp_path, GENUINE))
        out = channels.rename(WaveformRead([_block("IU.ANMO.00.BHZ")]), "w")
        assert (out.blocks[0].ids, out.failures) == (("IU.ANMO.00.BHZ",), [])


class TestResponse:
    @pytest.mark.parametrize(
        ("unit", "period", "damping", "output"),
        [
            ("m/s", 1.0, 0.7, "VEL"),
            ("m/s", 120.0, 0.707, "VEL"),
            ("m/s", 5.0, 1.3, "VEL"),
            ("m/s/s", 0.01, 0.6, "ACC"),
            ("m/s/s", 0.0, 0.0, "ACC"),
            ("m", 3.0, 0.55, "DISP"),
        ],
    )
    def test_is_the_formula(self, unit, period, damping, output, tmp_path) -> None:
        words = GENUINE.split()
        words[8:12] = [unit, str(period), str(damping), "20"]
        path = tmp_path / "a.xml"
        to_inventory(read_channel_table(_write(tmp_path, " ".join(words)))).write(
            str(path), "STATIONXML", validate=True
        )
        assert validate_stationxml(str(path))[0]
        (channel,) = obspy.read_inventory(str(path))[0][0]
        frequency = np.geomspace(1e-3, 50, 40)
        found = channel.response.get_evalresp_response_for_frequencies(frequency, output=output)
        flat = 175.6 * 10 / 1.023e-7
        s = 2j * np.pi * frequency
        omega = 2 * np.pi / period if period else 1.0
        power = omega**2 if unit == "m/s/s" else s**2
        expected = flat * power / (s**2 + 2 * damping * omega * s + omega**2) if period else flat
        np.testing.assert_allclose(found, expected * np.ones(40), rtol=1e-6)
        assert channel.response.instrument_sensitivity.value == pytest.approx(flat, rel=0.01)

    def test_removes_to_the_ground_motion_that_was_put_in(self, tmp_path) -> None:
        inventory = to_inventory(read_channel_table(_write(tmp_path, GENUINE)))
        time = np.arange(6000) / 100
        ground = 1e-6 * np.sin(2 * np.pi * 5 * time) * np.hanning(6000)  # m/s, far above 1 Hz
        s = 2j * np.pi * np.fft.rfftfreq(12000, 0.01)
        omega = 2 * np.pi
        transfer = s**2 / (s**2 + 2 * 0.7 * omega * s + omega**2) * 175.6 / 1.023e-7
        counts = np.fft.irfft(np.fft.rfft(ground, 12000) * transfer)[:6000]
        trace = Trace(np.rint(counts), {"network": "BO", "station": "AAKH", "channel": "EHZ"})
        trace.stats.sampling_rate = 100
        trace.remove_response(inventory, output="VEL", pre_filt=(0.2, 0.5, 40, 45))
        assert np.abs(trace.data - ground).max() < 1e-3 * 1e-6

    @pytest.mark.parametrize(
        ("column", "value", "reason"),
        [(7, "0", "sensitivity is 0"), (12, "*", "step_v is nan"), (8, "degC", "unit"), (9, "*", "period")],
    )
    def test_none_where_the_table_is_silent(self, column, value, reason, tmp_path) -> None:
        words = GENUINE.split()
        words[column] = value
        read = read_stations(_write(tmp_path, " ".join(words)))
        assert len(read.table) == 1
        (row,) = read.failures
        assert (reason in row["message"], "no response" in row["message"]) == (True, True)
        with pytest.raises(NotFoundError):
            read.response("BO.AAKH..EHZ", "2010-01-01")


class TestAsStations:
    def test_read_stations(self, tmp_path) -> None:
        path = _write(tmp_path, f"# x\n{GENUINE}\n{MANUAL}\n")
        assert is_channel_table(path)
        read = read_stations(path)
        assert not read.failures
        assert read.at("BO", "AAKH", "", "2010-01-01")["elevation_m"] == 483
        response = read.response("BO.AAKH..EHZ", "2010-01-01")
        assert response.instrument_sensitivity.value == pytest.approx(175.60 / 1.023e-07, rel=1e-3)

    def test_station_without_a_place_is_told(self, tmp_path) -> None:
        read = read_stations(_write(tmp_path, f"{GENUINE}\n0004 1 20 FUJ NS 3 10 2.5 m/s/s 0.01 0.6 0 1e-4"))
        assert list(read.table["station"]) == ["AAKH"]
        assert "states latitude and longitude" in read.failures[0]["message"]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    damage=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=6)), max_size=5),
    cut=st.floats(0, 1),
)
def test_damaged_tables_give_a_format_error_or_valid_rows(damage, cut, tmp_path) -> None:
    content = bytearray(f"# 表\n{GENUINE}\n{MANUAL}\n".encode("euc_jp"))
    for part, patch in damage:
        at = int(part * (len(content) - 1))
        content[at : at + len(patch)] = patch
    path = tmp_path / "a.ch"
    path.write_bytes(content[: max(1, int(cut * len(content)))])
    assert is_channel_table(path) in (True, False)
    try:
        channels = read_channel_table(path)
    except FormatError:
        return
    validate(table(channels.failures, FAILURES), FAILURES)
    to_inventory(channels)
