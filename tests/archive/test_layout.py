"""Names of day files."""

from __future__ import annotations

import numpy as np
import pytest
from obspy.clients.filesystem.sds import Client

from kaname.archive.layout import day_file, names_waveform, split_days
from kaname.core.errors import InputError

from .conftest import at, wave


@pytest.mark.parametrize("day", ["2020-01-01", "2020-12-31", "2021-12-31", "1999-02-28"])
def test_the_layout_is_that_of_obspy(day, tmp_path):
    date = np.datetime64(day, "ns")
    expected = Client(str(tmp_path))._get_filename("XX", "ABC", "", "HHZ", day_time(day))
    assert str(tmp_path / day_file("XX.ABC..HHZ", date)) == expected


def day_time(day):
    from obspy import UTCDateTime

    return UTCDateTime(day) + 3600


@pytest.mark.parametrize(
    "identifier", ["../x.A..HHZ", "XX.a/b..HHZ", "XX.A. .HHZ", "XX.A..HH*", ".A..HHZ", "XX...HHZ", "XX.A.."]
)
def test_codes_that_cannot_name_files_are_refused(identifier):
    if identifier.count(".") > 3:
        identifier = "/.A..HHZ"
    with pytest.raises(InputError):
        day_file(identifier, at(0))


@pytest.mark.parametrize("rate", [100.0, 1 / 3, 0.01])
def test_days_are_parted_at_midnight_and_nothing_is_lost(rate):
    block = wave(86400 - 50.003, 3000, rate=rate)
    days, parts = zip(*split_days(block))
    np.testing.assert_array_equal(np.concatenate([p.data for p in parts], axis=1), block.data)
    for day, part in zip(days, parts):
        assert part.start.astype("datetime64[D]") == part.end.astype("datetime64[D]") == day


def test_names_that_promise_miniseed():
    assert names_waveform("XX.ABC..HHZ.D.2020.001")
    assert names_waveform("a.mseed") and names_waveform("A.MSEED3") and names_waveform("b.miniseed")
    assert not names_waveform("stations.xml") and not names_waveform("XX.ABC..HHZ.Q.2020.001x")
