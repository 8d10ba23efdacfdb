"""What records state of their own quality, in both versions and byte orders."""

from __future__ import annotations

import json

import numpy as np
import obspy
from obspy import Trace, UTCDateTime

from kaname.core.waveform import Waveform
from kaname.formats.miniseed import pack
from kaname.formats.miniseed_quality import CLIPPED, TIME_QUESTIONABLE, record_quality


def _joined(records):
    lengths = np.array([len(r) for r in records])
    return b"".join(map(bytes, records)), np.cumsum(lengths) - lengths, lengths


def _obspy_records(tmp_path, byteorder: str, quality: int) -> list[bytes]:
    path = tmp_path / "a.mseed"
    trace = Trace(np.arange(2000, dtype=np.int32), {"station": "AAA", "starttime": UTCDateTime(2021, 3, 14)})
    trace.stats.mseed = obspy.core.AttribDict(blkt1001=obspy.core.AttribDict(timing_quality=quality))
    trace.write(str(path), format="MSEED", reclen=512, byteorder=byteorder, encoding="STEIM1")
    data = path.read_bytes()
    return [data[low : low + 512] for low in range(0, len(data), 512)]


def test_blockette_1001_as_obspy_writes_it(tmp_path):
    for order in ("<", ">"):
        timing, flags = record_quality(*_joined(_obspy_records(tmp_path, order, 87)))
        assert set(timing) == {87.0} and not flags.any()


def test_flags_of_version_2():
    block = Waveform(
        np.arange(2000, dtype=np.int32)[None], ("XX.A..HHZ",), np.datetime64("2021-03-14", "ns"), 10.0
    )
    records = [bytearray(r) for r in pack(block, version=2, record_length=512)]
    records[0][38] = 128
    records[1][38] = 1 | 2
    timing, flags = record_quality(*_joined(records))
    assert np.isnan(timing).all()
    assert flags[0] == TIME_QUESTIONABLE and flags[1] == CLIPPED and not flags[2:].any()


def _version3(extra: bytes, flag: int = 0) -> bytes:
    block = Waveform(
        np.arange(9, dtype=np.int32)[None], ("XX.A..HHZ",), np.datetime64("2021-03-14", "ns"), 10.0
    )
    (record,) = pack(block, version=3, record_length=512)
    record = bytearray(record)
    assert record[:3] == b"MS\x03" and record[34:36] == b"\0\0"
    record[3] |= flag
    record[34:36] = len(extra).to_bytes(2, "little")
    at = 40 + record[33]
    return bytes(record[:at]) + extra + bytes(record[at:])


def test_version_3():
    stated = json.dumps({"FDSN": {"Time": {"Quality": 93}}}).encode()
    records = [_version3(stated), _version3(b"", 2), _version3(b'{"FDSN":{}}'), _version3(b"{broken")]
    timing, flags = record_quality(*_joined(records))
    np.testing.assert_array_equal(timing, [93, np.nan, np.nan, np.nan])
    assert flags.tolist() == [0, TIME_QUESTIONABLE, 0, 0]


def test_cut_and_damaged_records_state_nothing(tmp_path):
    record = bytearray(_obspy_records(tmp_path, ">", 50)[0])
    loop = bytearray(record)
    loop[46:48] = (48).to_bytes(2, "big")
    loop[48:52] = bytes([3, 232, 0, 48])  # a blockette that points at itself
    timing, _ = record_quality(*_joined([record[:40], loop, bytes(512)]))
    assert np.isnan(timing[[0, 2]]).all()
    assert record_quality(b"", np.zeros(0, int), np.zeros(0, int))[0].size == 0
