"""Quality per channel and day, against defects that were put in and against ObsPy."""

from __future__ import annotations

import numpy as np
import pytest
from obspy import Stream, UTCDateTime, read_inventory
from obspy.core.inventory import Channel, Inventory, Network, Response, Station
from obspy.signal import PPSD

from kaname.archive import quality as module
from kaname.archive.quality import QualitySettings, quality
from kaname.archive.quality_tables import NOISE, QUALITY
from kaname.archive.store import Archive
from kaname.core.errors import NotFoundError
from kaname.core.execution import Engine
from kaname.core.jobs import JobStore
from kaname.core.tables import validate
from kaname.core.waveform import Waveform
from kaname.formats.miniseed import pack, write_miniseed

DAY = np.datetime64("2021-03-14", "ns")
QUICK = QualitySettings(noise=False)


def at(seconds: float) -> np.datetime64:
    return DAY + np.timedelta64(round(seconds * 1e9), "ns")


def noise(n: int, *, seed: int = 0, level: float = 300.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    steps = np.convolve(rng.normal(0, 1, n + 20), np.hanning(20), "valid")[:n]
    return np.rint(level * steps / steps.std()).astype(np.int32)


def wave(data: np.ndarray, start_s: float = 0.0, *, id: str = "XX.AAA..HHZ", rate: float = 20.0) -> Waveform:
    return Waveform(data[np.newaxis], (id,), at(start_s), rate)


def measured(root, settings=QUICK, **options):
    with Archive(root) as archive:
        archive.index()
        return quality(archive, settings=settings, **options)


def row_of(result, id="XX.AAA..HHZ", day=DAY):
    frame = result.quality
    (row,) = frame[(frame["id"] == id) & (frame["day"] == day)].to_dict("records")
    return row


class TestCompleteness:
    def test_a_whole_day_is_whole(self, tmp_path):
        write_miniseed([wave(noise(86_400 * 20))], tmp_path / "a.mseed")
        row = row_of(measured(tmp_path))
        assert (row["available"], row["n_gap"], row["n_overlap"]) == (1.0, 0, 0)
        assert row["problems"] == "" and row["n_sample"] == 86_400 * 20

    def test_a_day_whose_first_sample_is_not_at_midnight_is_whole(self, tmp_path):
        write_miniseed([wave(noise(86_400 * 20), 0.03)], tmp_path / "a.mseed")
        row = row_of(measured(tmp_path))
        assert row["n_gap"] == 0 and row["available"] == 1

    def test_gaps_and_overlaps(self, tmp_path):
        data = noise(86_400 * 20)
        pieces = [(0, 10_000), (10_060, 30_000), (30_000.5, 50_000), (49_990, 86_000)]
        blocks = [wave(data[round(a * 20) : round(b * 20)], a) for a, b in pieces]
        (tmp_path / "a.mseed").write_bytes(b"".join(r for b in blocks for r in pack(b, record_length=4096)))
        row = row_of(measured(tmp_path))
        assert row["n_gap"] == 3
        assert row["gap_s"] == pytest.approx(60 + 0.5 + 400)
        assert row["longest_gap_s"] == pytest.approx(400)
        assert row["available"] == pytest.approx(1 - 460.5 / 86_400)
        assert (row["n_overlap"], row["overlap_s"]) == (1, pytest.approx(10))
        assert row["problems"] == "gaps, overlaps"

    def test_days_in_between_that_are_missing_have_a_row(self, tmp_path):
        write_miniseed([wave(noise(2000), 100)], tmp_path / "a.mseed")
        write_miniseed([wave(noise(2000), 3 * 86_400 - 50)], tmp_path / "b.mseed")
        result = measured(tmp_path)
        assert result.quality["day"].tolist() == [DAY + np.timedelta64(k, "D") for k in range(4)]
        assert result.quality["n_sample"].tolist() == [2000, 0, 1000, 1000]
        assert result.quality["problems"].tolist() == ["gaps", "no data", "gaps", "gaps"]
        assert result.quality["gap_s"].tolist() == [86_300, 86_400, 86_350, 86_350]
        validate(result.quality, QUALITY)

    def test_a_window_takes_whole_days(self, tmp_path):
        write_miniseed([wave(noise(20 * 3 * 86_400))], tmp_path / "a.mseed")
        result = measured(tmp_path, start=at(86_400 + 50), end=at(2 * 86_400))
        assert result.quality["day"].tolist() == [DAY + np.timedelta64(1, "D")]
        assert result.quality["n_sample"].tolist() == [86_400 * 20]


class TestSamples:
    def test_statistics(self, tmp_path):
        data = noise(50_000) + 1234
        write_miniseed([wave(data)], tmp_path / "a.mseed")
        row = row_of(measured(tmp_path))
        assert (row["minimum"], row["maximum"]) == (data.min(), data.max())
        assert row["mean"] == pytest.approx(data.mean())
        assert row["rms"] == pytest.approx(data.std())

    def test_defects_that_were_put_in(self, tmp_path):
        data = noise(86_400 * 20)
        data[20_000:30_000] = 5
        for k in (100_000, 200_000, 300_000):
            data[k] += 30_000
        wavelet = np.clip(60_000 * np.sin(np.arange(3990) / 10), -40_000, 40_000)
        data[400_000:403_990] = wavelet
        write_miniseed([wave(data)], tmp_path / "a.mseed")
        row = row_of(measured(tmp_path))
        assert row["flat_s"] == pytest.approx(500, abs=0.2)
        assert row["n_spike"] == 3
        assert row["n_clipped"] == (np.abs(wavelet) >= 40_000).sum()
        assert row["problems"] == "dead, spikes, clipped"

    def test_full_scale_that_is_known(self, tmp_path):
        data = noise(20_000)
        data[5000:5004] = 8_388_607
        data[6000:6003] = -8_388_608
        write_miniseed([wave(data)], tmp_path / "a.mseed")
        row = row_of(measured(tmp_path, settings=QualitySettings(noise=False, full_scale=8_388_607)))
        assert row["n_clipped"] == 7

    def test_a_dead_channel(self, tmp_path):
        write_miniseed([wave(np.full(86_400 * 20, 17, np.int32))], tmp_path / "a.mseed")
        result = measured(tmp_path, settings=QualitySettings())
        row = row_of(result)
        assert row["flat_s"] == 86_400 and row["n_clipped"] == 0 and row["problems"] == "dead"
        assert row["n_segment"] == 0 and result.noise.empty

    def test_samples_that_are_no_numbers(self, tmp_path):
        data = noise(86_400 * 20).astype(np.float32)
        data[100:110] = np.nan
        data[50_000] = np.inf
        write_miniseed([wave(data)], tmp_path / "a.mseed")
        row = row_of(measured(tmp_path))
        assert row["n_not_finite"] == 11 and "not finite" in row["problems"]
        assert np.isfinite(row["rms"])
        write_miniseed([wave(np.full(100, np.nan, np.float32), id="XX.BBB..HHZ")], tmp_path / "b.mseed")
        row = row_of(measured(tmp_path), id="XX.BBB..HHZ")
        assert row["n_not_finite"] == 100 and np.isnan(row["mean"])

    def test_a_damaged_record_is_a_failure(self, tmp_path):
        path = tmp_path / "a.mseed"
        write_miniseed([wave(noise(50_000))], path)
        data = bytearray(path.read_bytes())
        data[512 * 20 + 100 : 512 * 20 + 400] = bytes(300)
        path.write_bytes(data)
        result = measured(tmp_path)
        assert len(result.failures) == 1 and "left out" in result.failures["message"][0]
        assert row_of(result)["n_sample"] < 50_000


class TestTiming:
    def test_late_records(self, tmp_path):
        records = [bytearray(r) for r in pack(wave(noise(40_000)), record_length=512)]
        for number in (5, 6, 20):
            fraction = int.from_bytes(records[number][28:30], "big")
            records[number][28:30] = (fraction + 100).to_bytes(2, "big")  # 0.1 ms each
        (tmp_path / "a.mseed").write_bytes(b"".join(records))
        row = row_of(measured(tmp_path))
        assert row["n_late"] == 3 and row["late_s"] == pytest.approx(0.01, abs=1e-5)
        assert row["n_record"] == len(records)
        assert "late records" in row["problems"]

    def test_what_records_state(self, tmp_path):
        records = [bytearray(r) for r in pack(wave(noise(40_000)), record_length=512)]
        for number, record in enumerate(records):
            record[38] |= 128 if number == 3 else 0
            record[38] |= 2 if number in (7, 8) else 0
        (tmp_path / "a.mseed").write_bytes(b"".join(map(bytes, records)))
        row = row_of(measured(tmp_path))
        assert (row["n_time_questionable"], row["n_record_clipped"]) == (1, 2)
        assert "clock" in row["problems"] and "clipped" in row["problems"]


def station_xml(path, unit: str) -> None:
    """Write a station with a seismometer of 120 s that gives counts per metre and second, or per `unit`."""
    response = Response.from_paz(
        zeros=[0, 0],
        poles=[-0.037 + 0.037j, -0.037 - 0.037j],
        stage_gain=6e8,
        stage_gain_frequency=1.0,
        input_units=unit,
        output_units="COUNTS",
    )
    begun = UTCDateTime(2020, 1, 1)
    channel = Channel("HHZ", "", 1, 2, 3, 0, sample_rate=20, response=response, start_date=begun)
    network = Network("XX", [Station("AAA", 1, 2, 3, channels=[channel])])
    Inventory([network], source="test").write(str(path), format="STATIONXML")


@pytest.fixture
def with_response(tmp_path):
    path = tmp_path / "stations.xml"
    station_xml(path, "M/S")
    return path


class TestNoise:
    def test_levels_agree_with_obspy(self, tmp_path, with_response):
        root = tmp_path / "archive"
        root.mkdir()
        data = np.cumsum(noise(86_400 * 20, level=30)).astype(np.int32)
        write_miniseed([wave(data)], root / "a.mseed")
        result = measured(root, settings=QualitySettings(), stations=[with_response])
        assert not len(result.failures)
        validate(result.noise, NOISE)
        frame = result.noise
        assert set(frame["unit"]) == {"m/s^2"} and set(frame["n_segment"]) == {47}
        with Archive(root) as archive:
            trace = archive.read().blocks[0].to_stream()[0]
        ppsd = PPSD(trace.stats, read_inventory(str(with_response)), period_limits=(0.25, 64.0))
        ppsd.add(Stream([trace]))
        assert len(ppsd.psd_values) == 47
        theirs = np.median(ppsd.psd_values, axis=0)
        both = frame.set_index(np.round(8 * np.log2(frame["period_s"])))["level_db"]
        ours = both[np.round(8 * np.log2(ppsd.period_bin_centers))].to_numpy()
        # Frequencies on the very edge of an octave round to either side: few matter among many.
        many = np.array(ppsd.period_bin_centers) < 16
        np.testing.assert_allclose(ours[many], theirs[many], atol=0.1)
        np.testing.assert_allclose(ours, theirs, atol=0.5)
        assert (frame["level_p10_db"] <= frame["level_db"]).all()
        assert (frame["level_db"] <= frame["level_p90_db"]).all()
        row = row_of(result)
        assert row["n_segment"] == 47 and 0 <= row["above_nhnm"] <= 1

    def test_without_a_response_in_counts(self, tmp_path):
        rng = np.random.default_rng(0)
        write_miniseed(
            [wave(np.rint(rng.normal(0, 100, 86_400)).astype(np.int32), rate=1.0)], tmp_path / "a.mseed"
        )
        result = measured(tmp_path, settings=QualitySettings())
        assert set(result.noise["unit"]) == {"count"}
        # White: variance 10,000 over 0.5 Hz; the mean of a decibel lies below the decibel of the mean.
        np.testing.assert_allclose(result.noise["level_db"], 10 * np.log10(1e4 / 0.5), atol=1.0)
        row = row_of(result)
        assert row["noise_unit"] == "count" and np.isnan(row["above_nhnm"])

    def test_a_pressure_sensor_is_not_held_against_ground_motion(self, tmp_path, with_response):
        station_xml(with_response, "PA")
        root = tmp_path / "archive"
        root.mkdir()
        write_miniseed([wave(noise(20 * 4000))], root / "a.mseed")
        result = measured(root, settings=QualitySettings(), stations=[with_response])
        assert set(result.noise["unit"]) == {"count"}

    def test_segments_with_gaps_are_not_filled(self, tmp_path):
        data = noise(86_400 * 20)
        write_miniseed([wave(data[: 20 * 40_000]), wave(data[20 * 40_010 :], 40_010)], tmp_path / "a.mseed")
        result = measured(tmp_path, settings=QualitySettings())
        assert set(result.noise["n_segment"]) == {45}

    def test_short_and_slow_records_have_none(self, tmp_path):
        write_miniseed([wave(noise(1000), rate=0.01)], tmp_path / "a.mseed")
        write_miniseed([wave(noise(1000), id="XX.BBB..HHZ")], tmp_path / "b.mseed")
        result = measured(tmp_path, settings=QualitySettings())
        assert result.noise.empty and not len(result.failures)


class TestRuns:
    @pytest.mark.slow
    def test_anywhere_the_same(self, folder, tmp_path):
        alone = measured(folder, settings=QualitySettings(segment_s=50, step_s=25))
        two = measured(folder, settings=QualitySettings(segment_s=50, step_s=25), engine=Engine(workers=2))
        for name in ("quality", "noise", "failures"):
            assert getattr(alone, name).equals(getattr(two, name))
        assert len(alone.noise)

    def test_what_is_measured_is_not_measured_again(self, folder, tmp_path, monkeypatch):
        with JobStore(tmp_path / "jobs.sqlite") as store:
            first = measured(folder, engine=Engine(store=store))
            calls = []
            one = module.channel_day
            monkeypatch.setattr(module, "channel_day", lambda *a: calls.append(a[1]) or one(*a))
            again = measured(folder, engine=Engine(store=store))
            assert not calls and again.quality.equals(first.quality)
            write_miniseed([wave(noise(500), 200, id="XX.AAA..HHN", rate=100.0)], folder / "more.mseed")
            measured(folder, engine=Engine(store=store))
            assert calls == ["XX.AAA..HHN"]

    def test_no_stations(self, folder):
        with pytest.raises(NotFoundError, match="cannot read the stations"):
            measured(folder, stations=["nothing.xml"])

    def test_an_empty_archive(self, tmp_path):
        result = measured(tmp_path)
        assert result.quality.empty and result.noise.empty and result.failures.empty
