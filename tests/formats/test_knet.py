"""K-NET and KiK-net against real files, ObsPy, and files written from NIED's description."""

from __future__ import annotations

import gzip
import io
import zipfile
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from knet_files import LABELS, knet, tar
from obspy import UTCDateTime, read, read_inventory

from kaname.core.errors import FormatError
from kaname.formats.contract import read_waveforms
from kaname.formats.knet import max_acceleration, read_knet
from kaname.formats.knet_header import read_header
from kaname.formats.knet_samples import parse_samples
from kaname.formats.knet_stations import to_inventory
from kaname.formats.stations import read_stations

COUNTS = np.cumsum(np.random.default_rng(4).integers(-900, 901, 704)) - 18000
START = np.datetime64("2013-09-01T04:10:35", "ns")


@pytest.fixture
def put(tmp_path: Path):
    def write(content: bytes, name: str = "AOM0011309011310.NS") -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


def _real(shared_data: Path) -> list[Path]:
    return sorted(p for p in (shared_data / "japan/knet_kiknet").rglob("*.*") if p.suffix != ".json")


class TestRealFiles:
    def test_peak_is_that_of_the_header_to_the_printed_digits(self, shared_data) -> None:
        paths = [*_real(shared_data), shared_data / "japan/nied_obspy/test.knet"]
        assert len(paths) == 25
        for path in paths:
            (record,) = (found := read_knet(path)).records
            assert not found.failures
            stated = record.header.max_acceleration
            peak = max_acceleration(record.counts.data[0], record.header.scale_cm_s2)
            assert f"{peak:.{len(stated.partition('.')[2])}f}" == stated, path.name
            acceleration = record.acceleration()
            assert acceleration.unit == "cm/s^2"
            departure = np.abs(acceleration.data - acceleration.data.mean()).max()
            assert departure == pytest.approx(peak, rel=1e-9)

    def test_samples_and_times_are_those_of_obspy(self, shared_data) -> None:
        for path in [*_real(shared_data), shared_data / "japan/nied_obspy/test.knet"]:
            (block,) = read_waveforms(path).blocks
            (trace,) = read(str(path))
            np.testing.assert_array_equal(block.data[0], trace.data)
            assert block.data.dtype == np.int32
            assert block.unit == "count"
            assert int(block.start.astype("int64")) == trace.stats.starttime.ns
            assert block.sampling_rate == trace.stats.sampling_rate
            assert block.ids[0].startswith(f"BO.{trace.stats.station}.")
            (record,) = read_knet(path).records
            assert record.header.scale_cm_s2 / 100 == pytest.approx(trace.stats.calib, rel=1e-12)
            assert record.header.event_magnitude == trace.stats.knet.mag
            assert int(record.header.origin_time.astype("int64")) == trace.stats.knet.evot.ns

    def test_borehole_and_surface_are_locations_with_their_depth(self, shared_data, put) -> None:
        files = {p.name: p.read_bytes() for p in _real(shared_data) if p.name.startswith("NGNH31")}
        found = read_knet(put(tar(files), "NGNH31.tar"))
        assert [r.counts.ids[0] for r in found.records] == [
            f"BO.NGNH31.{location}.HN{c}" for location in ("01", "02") for c in "ENZ"
        ]
        stations = found.stations().set_index("location")
        assert list(stations["elevation_m"]) == [720.0, 720.0]
        assert list(stations["sensor_depth_m"]) == [217.5, 0.0]

    def test_are_stations_with_responses_that_give_the_acceleration(self, shared_data, put) -> None:
        files = {p.name: p.read_bytes() for p in _real(shared_data) if p.name.startswith("NGNH31")}
        path = put(tar(files), "NGNH31.tar")
        stations = read_stations(path)
        assert not stations.failures
        assert stations.at("BO", "NGNH31", "01", "2011-07-01")["sensor_depth_m"] == 217.5
        out = io.BytesIO()
        stations.inventory.write(out, format="STATIONXML", validate=True)
        out.seek(0)
        inventory = read_inventory(out)
        for record in read_knet(path).records:
            (trace,) = record.counts.to_stream()
            trace.remove_sensitivity(inventory)
            np.testing.assert_allclose(100 * trace.data, record.acceleration().data[0], rtol=1e-9)
            response = inventory.get_response(trace.id, trace.stats.starttime)
            gain = response.get_evalresp_response_for_frequencies([0.1, 1.0, 10.0], output="ACC")
            np.testing.assert_allclose(np.abs(gain), 100 / record.header.scale_cm_s2, rtol=1e-6)

    def test_a_new_scale_factor_is_a_new_epoch(self, put) -> None:
        files = {
            "AOM0011309011310.NS": knet(COUNTS),
            "AOM0011309011320.NS": knet(COUNTS, start=datetime(2013, 9, 1, 4, 20)),
            "AOM0011309011330.NS": knet(
                COUNTS, start=datetime(2013, 9, 1, 4, 30), header={"Scale Factor": "2000(gal)/8388608"}
            ),
        }
        inventory = to_inventory(read_knet(put(tar(files), "three.tar")))
        epochs = [(c.start_date, c.end_date) for c in inventory[0][0]]
        change = UTCDateTime(2013, 9, 1, 4, 30)
        assert epochs == [(UTCDateTime(2013, 9, 1, 4, 10, 35), change), (change, None)]

    def test_other_network_code(self, shared_data) -> None:
        (record,) = read_knet(_real(shared_data)[0], network="XX").records
        assert record.counts.ids[0].startswith("XX.NGNH31.01")


class TestHeader:
    def test_time_is_utc_less_the_trigger_delay(self) -> None:
        header = read_header(knet(COUNTS, header={"Record Time": "2014/01/01 00:00:10"})).header
        assert header.start == np.datetime64("2013-12-31T14:59:55")
        assert header.origin_time == np.datetime64("2013-09-01T04:10:00")
        assert header.last_correction == np.datetime64("2013-09-01T04:10:00")

    def test_lines_in_another_order_and_spelling(self, put) -> None:
        content = knet(COUNTS)
        lines = content.split(b"\n")
        turned = [*reversed(lines[:17]), *lines[17:]]
        changed = b"\n".join(turned).replace(b"Max. Acc.", b"Max Acc. ").replace(b"Long.", b"Lon. ")
        found = read_knet(put(changed))
        assert not found.failures
        assert found.records[0].header == read_knet(put(content)).records[0].header

    @pytest.mark.parametrize("label", [name for name in LABELS if name not in ("Origin Time",)])
    def test_a_missing_line_costs_what_it_says_and_no_more(self, put, label) -> None:
        lines = [line for line in knet(COUNTS).split(b"\n") if not line.startswith(label.encode())]
        needed = ("Station Code", "Record Time", "Sampling Freq(Hz)", "Dir.")
        if label in needed:
            with pytest.raises(FormatError, match="no name or no place"):
                read_knet(put(b"\n".join(lines)))
            return
        found = read_knet(put(b"\n".join(lines)))
        np.testing.assert_array_equal(found.records[0].counts.data[0], COUNTS)
        assert bool(found.failures) == (label == "Scale Factor")

    @pytest.mark.parametrize(
        ("label", "value"),
        [
            ("Origin Time", "2013/02/30 13:10:00"),
            ("Lat.", "4x.0"),
            ("Mag.", ""),
            ("Station Lat.", "141.5"),
            ("Max. Acc. (gal)", "nan"),
            ("Scale Factor", "3920(gal)/0"),
            ("Last Correction", "****"),
        ],
    )
    def test_a_damaged_value_is_told_and_unknown(self, put, label, value) -> None:
        found = read_knet(put(knet(COUNTS, header={label: value})))
        assert any("line" in f["message"] and repr(value) in f["message"] for f in found.failures)
        np.testing.assert_array_equal(found.records[0].counts.data[0], COUNTS)

    @pytest.mark.parametrize("encoding", ["utf-8", "euc_jp", "shift_jis"])
    def test_japanese_memo(self, put, encoding) -> None:
        content = knet(COUNTS, header={"Memo.": "余震が重なる"})
        found = read_knet(put(content.decode("utf-8").encode(encoding)))
        assert not found.failures
        assert found.records[0].header.memo == "余震が重なる"
        assert found.records[0].counts.n_sample == len(COUNTS)

    def test_memo_of_several_lines_and_of_nonsense(self, put) -> None:
        content = knet(COUNTS).replace(b"Memo." + b" " * 13 + b"\n", b"Memo.  one\ntwo\n!\x81\n")
        found = read_knet(put(content))
        assert found.records[0].header.memo == "one\ntwo\n!\\x81"
        np.testing.assert_array_equal(found.records[0].counts.data[0], COUNTS)

    def test_unknown_height_and_rates(self, put) -> None:
        content = knet(COUNTS, rate=200, header={"Station Height(m)": "-9999", "Dir.": "4"})
        found = read_knet(put(content))
        assert not found.failures
        assert np.isnan(found.stations()["elevation_m"].iloc[0])
        assert found.records[0].counts.ids == ("BO.AOM001.02.HNN",)
        for rate, band in ((50, "B"), (250, "C"), (1000, "F")):
            assert read_knet(put(knet(COUNTS, rate=rate))).records[0].counts.ids[0].endswith(f".{band}NN")


class TestSamples:
    def test_line_ends_and_numbers_per_line(self, put) -> None:
        header = knet(COUNTS).partition(b"Memo.")[0] + b"Memo.\n"
        for content in (
            knet(COUNTS, newline="\r\n"),
            header + "\n".join(map(str, COUNTS)).encode() + b"\n",
            knet(COUNTS) + b"\n\n",
        ):
            found = read_knet(put(content))
            assert not found.failures
            np.testing.assert_array_equal(found.records[0].counts.data[0], COUNTS)

    @given(st.lists(st.integers(-9_999_999, 99_999_999), min_size=1, max_size=60), st.integers(1, 12))
    def test_every_number_in_both_layouts(self, numbers, per_line) -> None:
        rows = [numbers[i : i + per_line] for i in range(0, len(numbers), per_line)]
        standard = "".join("".join(f"{n:8d} " for n in row) + "\n" for row in rows)
        free = "".join(" ".join(map(str, row)) + "\r\n" for row in rows)
        for text in (standard, free, standard + free if len(rows[-1]) == per_line else free):
            found = parse_samples(text.encode(), per_line)
            assert found.good.all()
            assert found.first_uneven == -1
            assert found.counts.tolist() == numbers * (2 if text == standard + free else 1)

    @given(st.binary(max_size=400), st.integers(1, 32))
    def test_any_bytes_give_places_that_are_told_apart(self, text, per_line) -> None:
        found = parse_samples(text, per_line)
        assert len(found.counts) == len(found.good) <= len(text) // 2 + 2 * per_line + 1

    @pytest.mark.parametrize(
        "damage", [b"   1x345 ", b"  -12-45 ", b"       - ", b" \xff\xff\xff\xff\xff\xff\xff "]
    )
    def test_a_damaged_number_is_a_gap_of_one_sample(self, put, damage) -> None:
        content = bytearray(knet(COUNTS))
        at = content.index(b"Memo.") + 19 + 73 * 10 + 9 * 3
        content[at : at + 9] = damage
        found = read_knet(put(bytes(content)))
        one, two = found.records
        np.testing.assert_array_equal(one.counts.data[0], COUNTS[:83])
        np.testing.assert_array_equal(two.counts.data[0], COUNTS[84:])
        assert two.counts.start == START + np.timedelta64(840, "ms")
        (failure,) = found.failures
        assert failure["start"] == START + np.timedelta64(830, "ms")
        assert "1 samples from number 84" in failure["message"]

    def test_a_short_line_is_a_gap_where_the_duration_proves_the_place(self, put) -> None:
        lines = knet(COUNTS).split(b"\n")
        lines[17 + 20] = lines[17 + 20][:45]
        one, two = (found := read_knet(put(b"\n".join(lines)))).records
        np.testing.assert_array_equal(one.counts.data[0], COUNTS[:160])
        np.testing.assert_array_equal(two.counts.data[0], COUNTS[168:])
        assert two.counts.start == START + np.timedelta64(1680, "ms")
        assert "8 samples from number 161" in found.failures[0]["message"]

    def test_a_lost_piece_ends_the_record_where_nothing_proves_the_place(self, put) -> None:
        lines = knet(COUNTS).split(b"\n")
        lines[17 + 20] = lines[17 + 20][:45]
        del lines[17 + 30]
        (record,) = (found := read_knet(put(b"\n".join(lines)))).records
        np.testing.assert_array_equal(record.counts.data[0], COUNTS[:160])
        assert any("no certain place" in f["message"] for f in found.failures)

    def test_a_changed_digit_breaks_the_stated_peak(self, put) -> None:
        content = knet(COUNTS).replace(f"{COUNTS[100]:8d}".encode(), f"{9_000_000:8d}".encode())
        assert any("Max. Acc. states" in f["message"] for f in read_knet(put(content)).failures)

    def test_cut_numbers_and_counts_that_disagree(self, put) -> None:
        whole = knet(COUNTS)
        found = read_knet(put(whole[: whole.rindex(b"-") + 3]))
        np.testing.assert_array_equal(found.records[0].counts.data[0], COUNTS[:-1])
        assert "may be cut" in found.failures[0]["message"]
        longer = read_knet(put(knet(COUNTS, header={"Duration Time(s)": "5"})))
        assert longer.records[0].counts.n_sample == len(COUNTS)
        assert "500 samples stated, 704 found" in longer.failures[0]["message"]

    def test_header_alone_and_a_line_of_too_many_numbers(self, put) -> None:
        head = knet(COUNTS).split(b"Memo.")[0] + b"Memo.\n"
        with pytest.raises(FormatError, match="holds no samples"):
            read_knet(put(head))
        with pytest.raises(FormatError, match="expected 8"):
            read_knet(put(head + b"1 " * 1000 + b"\n"))


def _zip(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


FILES = {
    f"AOM0011309011310.{suffix}": knet(COUNTS * k, header={"Dir.": direction})
    for k, (suffix, direction) in enumerate((("EW", "E-W"), ("NS", "N-S"), ("UD", "U-D")), start=1)
}
BUNDLES = {
    "tar": tar(FILES),
    "tar.gz": tar(FILES, mode="w:gz"),
    "tar.xz": tar(FILES, mode="w:xz"),
    "zip": _zip(FILES),
    "zip of gz": _zip({f"{n}.gz": gzip.compress(c) for n, c in FILES.items()}),
    "as NIED": tar({"20130901131000.knt.tar.gz": tar(FILES, mode="w:gz")}),
}


class TestBundles:
    @pytest.mark.parametrize("kind", BUNDLES)
    def test_every_kind_gives_the_records_inside(self, put, kind) -> None:
        path = put(BUNDLES[kind], "bundle")
        read = read_waveforms(path)
        assert not read.failures
        assert [b.ids[0] for b in read.blocks] == [f"BO.AOM001..HN{c}" for c in "ENZ"]
        for k, block in enumerate(read.blocks, start=1):
            np.testing.assert_array_equal(block.data[0], COUNTS * k)
        assert len(read_knet(path).headers()) == 3

    def test_what_else_is_in_it_is_named_and_a_bad_record_is_told(self, put) -> None:
        files = {"event.json": b"{}", **FILES, "AOM0021309011310.EW": b"<html>404</html>", "empty": b""}
        found = read_knet(put(tar(files), "bundle.tar"))
        assert len(found.records) == 3
        assert found.others == ["event.json"]
        (failure,) = found.failures
        assert "AOM0021309011310.EW" in failure["message"]

    @pytest.mark.parametrize("kind", BUNDLES)
    @pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
    def test_a_truncated_bundle_gives_what_it_has(self, put, kind, part) -> None:
        content = BUNDLES[kind]
        path = put(content[: int(part * len(content))], "bundle")
        try:
            read = read_waveforms(path)
        except FormatError:
            return
        # The end of a tar archive is padding, which may be missing without loss.
        assert read.failures or sum(b.n_sample for b in read.blocks) == 3 * len(COUNTS)
        for block in read.blocks:
            k = "ENZ".index(block.ids[0][-1]) + 1
            np.testing.assert_array_equal(block.data[0], (COUNTS * k)[: block.n_sample])

    def test_a_bundle_of_other_things_is_not_taken(self, put) -> None:
        for content in (tar({"a.txt": b"hello"}), _zip({"a.txt": b"hello"}), tar({})):
            with pytest.raises(FormatError):
                read_waveforms(put(content, "bundle"))
            with pytest.raises(FormatError):
                read_waveforms(put(content, "bundle"), format="knet")

    def test_endless_nesting_ends(self, put) -> None:
        content = FILES["AOM0011309011310.NS"]
        for _ in range(12):
            content = gzip.compress(content)
        with pytest.raises(FormatError, match="nested more than"):
            read_knet(put(content))

    def test_a_member_that_fills_the_memory_is_refused(self, put, monkeypatch) -> None:
        monkeypatch.setattr("kaname.formats.bundles.MEMBER_BYTES", 1 << 20)
        monkeypatch.setattr("kaname.formats.bundles._SMALL_BYTES", 1 << 16)
        bomb = tar(
            {"AOM0021309011310.EW": FILES["AOM0011309011310.EW"] + b"0" * (4 << 20), **FILES}, mode="w:gz"
        )
        found = read_knet(put(bomb, "bomb.tar.gz"))
        assert len(found.records) == 3
        assert "more than 1048576 bytes" in found.failures[0]["message"]

    def test_two_records_of_one_channel_come_in_order_of_time(self, put) -> None:
        files = {
            "AOM0011309011320.NS": knet(COUNTS, start=datetime(2013, 9, 1, 4, 20)),
            "AOM0011309011310.NS": knet(COUNTS),
        }
        starts = [r.counts.start for r in read_knet(put(tar(files), "two.tar")).records]
        assert starts == sorted(starts)
