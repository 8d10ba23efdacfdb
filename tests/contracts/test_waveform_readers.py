"""What every registered waveform reader keeps; a new one adds an entry to `WRITERS` and inherits it all."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import h5py
import national_strong_motion_files
import numpy as np
import pytest
import strong_motion_files
import win_files
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from knet_files import knet, tar
from obspy import Stream, Trace, UTCDateTime

from kaname.core.errors import FormatError, NotFoundError
from kaname.core.time import NS_PER_S
from kaname.core.units import UNITS
from kaname.core.waveform import Waveform
from kaname.formats.contract import HEAD_BYTES, read_waveforms, readers

START = UTCDateTime(2013, 9, 1, 4, 10, 35, 700_000)
GAP_SAMPLES = 50


def _trace(channel: str, offset: int, n_sample: int, dtype: str, rate: float = 100.0) -> Trace:
    rng = np.random.default_rng(offset + n_sample)
    samples = np.cumsum(rng.integers(-50, 51, n_sample)).astype(dtype)
    header = {
        "network": "AF",
        "station": "LABE",
        "location": "",
        "channel": channel,
        "starttime": START + offset / rate,
        "sampling_rate": rate,
    }
    return Trace(samples, header)


def _gappy(dtype: str) -> Stream:
    """Two channels, one of them with a gap."""
    return Stream(
        [
            _trace("SHE", 0, 700, dtype),
            _trace("SHZ", 0, 400, dtype),
            _trace("SHZ", 400 + GAP_SAMPLES, 300, dtype),
        ]
    )


def _write_asdf(stream: Stream, path: str, packing: dict[str, object]) -> None:
    """Write what the definition of ASDF 1.0.3 asks for and no more."""
    with h5py.File(path, "w") as file:
        file.attrs["file_format"], file.attrs["file_format_version"] = np.bytes_("ASDF"), np.bytes_("1.0.3")
        for trace in stream:
            first, last = (str(t)[:19] for t in (trace.stats.starttime, trace.stats.endtime))
            name = f"Waveforms/AF.LABE/{trace.id}__{first}__{last}__raw"
            file.create_dataset(name, data=trace.data, **packing)
            file[name].attrs["starttime"] = np.int64(trace.stats.starttime.ns)
            file[name].attrs["sampling_rate"] = float(trace.stats.sampling_rate)


def _single(dtype: str) -> Stream:
    return Stream([_trace("SHZ", 0, 700, dtype)])


def _knet(*channels: str) -> Stream:
    """K-NET: whole seconds, one sensor."""
    traces = [_trace(channel, 0, 700, "int32") for channel in channels]
    for place, trace in enumerate(traces):
        trace.stats.update(
            {"network": "BO", "station": "AOM001", "starttime": UTCDateTime(START.timestamp // 1)}
        )
        trace.data = (trace.data * (place + 1)).astype("int32")
    return Stream(traces)


def _knet_files(stream: Stream) -> dict[str, bytes]:
    direction = {"N": "N-S", "E": "E-W", "Z": "U-D"}
    return {
        f"AOM0011309011310.{direction[t.stats.channel[-1]].replace('-', '')}": knet(
            t.data,
            start=datetime.fromisoformat(t.stats.starttime.strftime("%Y-%m-%dT%H:%M:%S")),
            header={"Dir.": direction[t.stats.channel[-1]]},
        )
        for t in stream
    }


def _win(wide: bool) -> Stream:
    """Two channels of whole seconds, one of them with a missing second; what no table names."""
    network = "0101" if wide else ""
    traces = [_trace("HY1", offset, n, "int32") for offset, n in ((0, 600), (0, 300), (400, 300))]
    for trace, station in zip(traces, ("1A2B", "F00D", "F00D")):
        trace.stats.update({"network": network, "station": station})
        trace.stats.starttime = UTCDateTime(ns=trace.stats.starttime.ns // NS_PER_S * NS_PER_S)
    return Stream(traces)


def _win_file(stream: Stream, wide: bool, ahead_h: int = 9) -> bytes:
    seconds: dict[datetime, list[bytes]] = {}
    for trace in stream:
        for at in range(0, len(trace), 100):
            time = (trace.stats.starttime + at / 100 + ahead_h * 3600).datetime
            block = win_files.channel(
                int(trace.stats.station, 16),
                trace.data[at : at + 100].tolist(),
                network=0x0101 if wide else None,
            )
            seconds.setdefault(time, []).append(block)
    blocks = [win_files.Second(time, channels) for time, channels in sorted(seconds.items())]
    return win_files.win32(blocks) if wide else win_files.win(blocks)


UNRECOGNISABLE = {"win-tilt", "win-utc", "win32-utc"}
"""Readers of variants that nothing in the bytes tells apart; they are named."""

WRITERS: dict[str, dict[str, tuple[Stream, Callable[[Stream, str], None]]]] = {
    "miniseed": {
        f"{encoding} {n_byte}": (
            _gappy(dtype),
            lambda s, p, e=encoding, n=n_byte: s.write(p, "MSEED", encoding=e, reclen=n),
        )
        for encoding, dtype, n_byte in [
            ("STEIM1", "int32", 512),
            ("STEIM2", "int32", 4096),
            ("INT32", "int32", 512),
            ("FLOAT32", "float32", 512),
            ("FLOAT64", "float64", 256),
        ]
    },
    "knet": {
        "component": (_knet("HNZ"), lambda s, p: Path(p).write_bytes(*_knet_files(s).values())),
        "tar": (
            _knet("HNE", "HNN", "HNZ"),
            lambda s, p: Path(p).write_bytes(tar(_knet_files(s))),
        ),
        "tar.gz in a tar": (
            _knet("HNE", "HNN", "HNZ"),
            lambda s, p: Path(p).write_bytes(
                tar({"20130901131000.knt.tar.gz": tar(_knet_files(s), mode="w:gz")})
            ),
        ),
    },
    "sac": {
        "little": (_single("float32"), lambda s, p: s.write(p, "SAC", byteorder="<")),
        "big": (_single("float32"), lambda s, p: s.write(p, "SAC", byteorder=">")),
    },
    "win": {"WIN": (_win(False), lambda s, p: Path(p).write_bytes(_win_file(s, False)))},
    "win32": {"WIN32": (_win(True), lambda s, p: Path(p).write_bytes(_win_file(s, True)))},
    "win-tilt": {"WIN": (_win(False), lambda s, p: Path(p).write_bytes(_win_file(s, False)))},
    "win-utc": {"WIN": (_win(False), lambda s, p: Path(p).write_bytes(_win_file(s, False, 0)))},
    "win32-utc": {"WIN32": (_win(True), lambda s, p: Path(p).write_bytes(_win_file(s, True, 0)))},
    "obspy": {
        "SLIST": (_gappy("int64"), lambda s, p: s.write(p, "SLIST")),
        "SLIST float": (_gappy("float64"), lambda s, p: s.write(p, "SLIST")),
        "TSPAIR": (_gappy("int64"), lambda s, p: s.write(p, "TSPAIR")),
        "GSE2": (_gappy("int32"), lambda s, p: s.write(p, "GSE2")),
    },
}
WRITERS["asdf"] = {
    f"{dtype}{' packed' if packing else ''}": (_gappy(dtype), lambda s, p, k=packing: _write_asdf(s, p, k))
    for dtype, packing in (
        ("int32", {}),
        ("float64", {}),
        ("int32", {"compression": "gzip", "fletcher32": True}),
    )
}

_STRONG = strong_motion_files
_MINUTE = UTCDateTime(2013, 9, 1, 4, 10)
WRITERS |= {
    "cosmos": {
        "counts": (
            _STRONG.stream("HNN", "HNE", "HNZ", start=START, network="CE", station="011", dtype="i4"),
            lambda s, p: _STRONG.cosmos(s, p, raw=True),
        ),
        "cm/s2": (
            _STRONG.stream("HNN", "HNE", start=START, network="CE", station="011"),
            lambda s, p: _STRONG.cosmos(s, p, raw=False),
        ),
    },
    "smc": {"corrected": (_STRONG.stream("HNN", start=START, network="NP", station="1675"), _STRONG.smc)},
    "csmip": {
        "volume 2": (
            _STRONG.stream("HNN", "HNZ", "HNE", start=START, network="CE", station="36456"),
            _STRONG.csmip,
        )
    },
    "geonet": {
        "V2A": (
            _STRONG.stream("HN1", "HN2", "HNZ", start=START, network="NZ", station="WTMC", mm=True),
            lambda s, p: _STRONG.geonet(s, p, corrected=True),
        ),
        "V1A": (
            _STRONG.stream("HN1", "HN2", "HNZ", start=START, network="NZ", station="WTMC", mm=True),
            lambda s, p: _STRONG.geonet(s, p, corrected=False),
        ),
    },
    "esm": {"DYNA": (_STRONG.stream("HNE", start=START, network="HI", station="ARS1"), _STRONG.esm)},
    "usc": {
        "volume 1": (
            _STRONG.stream("HNE", start=_MINUTE, network="LA", station="0017", unit=0.1 * 980.665),
            _STRONG.usc,
        )
    },
}
_NATIONAL = national_strong_motion_files
_NEZ = ("HNN", "HNE", "HNZ")
WRITERS |= {
    "cwb": {
        "text": (_STRONG.stream("HNZ", "HNN", "HNE", start=START, network="", station="ECU"), _NATIONAL.cwb)
    },
    "nsmn": {"text": (_STRONG.stream(*_NEZ, start=START, network="TK", station="4304"), _NATIONAL.nsmn)},
    "unam": {"2.0": (_STRONG.stream(*_NEZ, start=START, network="", station="CANA"), _NATIONAL.unam)},
    "bhrc": {
        "volume 1": (
            _STRONG.stream(
                "HN1",
                "HNZ",
                "HN2",
                start=UTCDateTime(START.timestamp // 1),
                network="I1",
                station="5522",
                unit=0.1 * 980.665,
            ),
            _NATIONAL.bhrc,
        )
    },
    "csmip-v1": {
        kind: (
            _STRONG.stream("HNE", "HNZ", "HNN", start=START, network="CE", station="14403", unit=unit),
            lambda s, p, k=kind: _NATIONAL.csmip_v1(s, p, kind=k),
        )
        for kind, unit in (("film", 0.1 * 980.665), ("even", 980.665), ("rate", 980.665))
    },
    "renadic": {
        "volume 1": (
            _STRONG.stream(*_NEZ, start=START, network="", station="1215", unit=0.1 * 980.665),
            _NATIONAL.renadic,
        )
    },
}
CASES = [(name, case) for name, cases in WRITERS.items() for case in cases]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    folder = tmp_path_factory.mktemp("written")
    paths = {}
    for number, (name, case) in enumerate(CASES):
        stream, write = WRITERS[name][case]
        paths[name, case] = folder / f"file{number}"
        write(stream.copy(), str(paths[name, case]))
    return paths


def _same(found: Waveform, expected: Waveform) -> bool:
    return (
        found.ids == expected.ids
        and found.start == expected.start
        and found.sampling_rate == expected.sampling_rate
        and found.unit == expected.unit
        and found.data.dtype == expected.data.dtype
        and np.array_equal(found.data, expected.data)
    )


def test_every_reader_has_files_here() -> None:
    assert set(readers()) == set(WRITERS)


def test_the_reader_that_asks_obspy_stands_last() -> None:
    assert list(readers())[-1] == "obspy"


@pytest.mark.parametrize(("name", "case"), CASES)
class TestGoodFile:
    def test_is_recognised_by_its_own_reader_first(self, written, name, case) -> None:
        path = written[name, case]
        head = path.read_bytes()[:HEAD_BYTES]
        if name in UNRECOGNISABLE:
            assert not readers()[name].sniff(head, path)
            return
        assert next(n for n, reader in readers().items() if reader.sniff(head, path)) == name

    def test_gives_the_samples_where_they_belong_and_joins_nothing(self, written, name, case) -> None:
        truth = WRITERS[name][case][0]
        read = read_waveforms(written[name, case], format=name if name in UNRECOGNISABLE else None)
        assert not read.failures
        assert len(read.blocks) == len(truth)
        for block, trace in zip(read.blocks, truth, strict=True):
            assert block.ids == (trace.id,)
            assert int(block.start.astype("int64")) == trace.stats.starttime.ns
            assert block.sampling_rate == trace.stats.sampling_rate
            assert block.data.dtype == trace.data.dtype
            assert block.data.dtype.isnative
            np.testing.assert_array_equal(block.data[0], trace.data)
            assert block.unit in UNITS

    def test_reads_the_same_twice_and_by_name(self, written, name, case) -> None:
        path = written[name, case]
        first = read_waveforms(path, format=name if name in UNRECOGNISABLE else None)
        second = read_waveforms(path, format=name)
        assert all(map(_same, first.blocks, second.blocks))

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(edges=st.tuples(st.integers(-300, 900), st.integers(-300, 900)), shift_ns=st.integers(-5, 5))
    def test_a_window_is_a_slice_of_the_whole(self, written, name, case, edges, shift_ns) -> None:
        path = written[name, case]
        origin = np.datetime64(START.ns, "ns")
        start, end = (
            origin + np.timedelta64(edge * NS_PER_S // 100 + shift_ns * 1_000_000, "ns") for edge in edges
        )
        window = read_waveforms(path, start=start, end=end)
        pieces = [b.slice(start, end) for b in read_waveforms(path).blocks]
        expected = [p for p in pieces if p is not None]
        assert len(window.blocks) == len(expected)
        assert all(map(_same, window.blocks, expected))

    def test_open_windows(self, written, name, case) -> None:
        path = written[name, case]
        middle = np.datetime64((START + 2.005).ns, "ns")
        before, after = read_waveforms(path, end=middle), read_waveforms(path, start=middle)
        whole = read_waveforms(path)
        assert sum(b.n_sample for r in (before, after) for b in r.blocks) == sum(
            b.n_sample for b in whole.blocks
        )
        assert all(b.end < middle for b in before.blocks)
        assert all(b.start >= middle for b in after.blocks)

    def test_packed_is_the_same(self, written, name, case, tmp_path) -> None:
        path = written[name, case]
        packed = tmp_path / "packed.gz"
        packed.write_bytes(gzip.compress(path.read_bytes()))
        read = read_waveforms(packed)
        assert not read.failures
        assert all(map(_same, read.blocks, read_waveforms(path).blocks))

    @pytest.mark.parametrize("part", [0.001, 0.03, 0.2, 0.5, 0.77, 0.97, 0.999])
    def test_truncated_says_so_and_invents_nothing(self, written, name, case, part, tmp_path) -> None:
        whole = written[name, case].read_bytes()
        path = tmp_path / "cut"
        path.write_bytes(whole[: max(1, int(part * len(whole)))])
        try:
            read = read_waveforms(path)
        except FormatError as error:
            assert str(path) in str(error)
            return
        truth = read_waveforms(written[name, case])
        for block in read.blocks:
            candidates = [t.slice(block.start, block.following) for t in truth.blocks if t.ids == block.ids]
            assert any(c is not None and _same(block, c) for c in candidates)
        complete = sum(b.n_sample for b in read.blocks) == sum(b.n_sample for b in truth.blocks)
        # A file cut exactly between two recordings is a good file; any other loss must be told.
        between = len(read.blocks) < len(truth.blocks) and all(map(_same, read.blocks, truth.blocks))
        assert complete or between or read.failures

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        damage=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4)
    )
    def test_damaged_bytes_give_a_format_error_or_a_result(
        self, written, name, case, damage, tmp_path
    ) -> None:
        content = bytearray(written[name, case].read_bytes())
        for part, patch in damage:
            at = int(part * (len(content) - 1))
            content[at : at + len(patch)] = patch
        path = tmp_path / "damaged"
        path.write_bytes(content)
        try:
            read = read_waveforms(path)
        except FormatError:
            return
        assert all(isinstance(b, Waveform) and b.n_channel == 1 for b in read.blocks)


@pytest.mark.parametrize("name", list(WRITERS))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=5000))
def test_random_bytes_never_raise_but_a_format_error(name, content, tmp_path) -> None:
    path = tmp_path / "noise"
    path.write_bytes(content)
    assert readers()[name].sniff(content[:HEAD_BYTES], path) in (True, False)
    with pytest.raises(FormatError):
        read_waveforms(path, format=name)


@pytest.mark.parametrize("name", list(WRITERS))
def test_empty_file(name, tmp_path) -> None:
    path = tmp_path / "empty"
    path.touch()
    assert not readers()[name].sniff(b"", path)
    for form in (None, name):
        with pytest.raises(FormatError, match="empty"):
            read_waveforms(path, format=form)


def test_missing_file_and_unknown_reader(tmp_path) -> None:
    with pytest.raises(NotFoundError, match="no such file"):
        read_waveforms(tmp_path / "nothing")
    (tmp_path / "something").write_bytes(b"x")
    with pytest.raises(NotFoundError, match="no waveform reader 'wav2'"):
        read_waveforms(tmp_path / "something", format="wav2")


def test_text_that_is_no_waveform(tmp_path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Station list, to be done.\n" * 100)
    with pytest.raises(FormatError, match="no known waveform format"):
        read_waveforms(path)


def test_packed_and_truncated(written, tmp_path) -> None:
    whole = written["obspy", "SLIST"]
    packed = gzip.compress(whole.read_bytes())
    path = tmp_path / "cut.slist.gz"
    path.write_bytes(packed[: len(packed) * 3 // 4])
    read = read_waveforms(path)
    assert any("packed file is damaged or truncated" in f["message"] for f in read.failures)
    assert {f["subject"] for f in read.failures} == {str(path)}
    assert read.blocks
    path.write_bytes(packed[:12])
    with pytest.raises(FormatError, match=r"cut\.slist\.gz"):
        read_waveforms(path)
