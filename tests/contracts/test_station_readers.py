"""What reading stations keeps for every format; a new format adds a line to `WRITERS`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from obspy import UTCDateTime
from obspy.core.inventory import Channel, Inventory, Network, Site, Station

from kaname.core.errors import FormatError, NotFoundError
from kaname.core.tables import FAILURES, STATIONS, table, validate, write_table
from kaname.formats.stations import read_stations

# Code, latitude and longitude [degrees], elevation [m]; whole thousandths of minutes, which SEISAN can write.
TRUTH = [
    ("GCSZ", -(43 + 18.960 / 60), 170 + 19.604 / 60, 210.0),
    ("WHAT2", 43 + 16.758 / 60, -(170 + 21.625 / 60), 95.0),
    ("NZ01", -(44 + 29.880 / 60), 165 + 0.119 / 60, -4682.0),
]
START = UTCDateTime(2012, 1, 1)


def _frame() -> pd.DataFrame:
    names = ("station", "latitude", "longitude", "elevation_m")
    return table([dict(zip(names, row, strict=True)) for row in TRUTH], STATIONS)


def _inventory() -> Inventory:
    stations = []
    for code, latitude, longitude, elevation in TRUTH:
        place = {"latitude": latitude, "longitude": longitude, "elevation": elevation}
        channels = [
            Channel(f"HH{c}", "10", depth=0.0, azimuth=0, dip=0, sample_rate=100, start_date=START, **place)
            for c in "ENZ"
        ]
        stations.append(Station(code, channels=channels, site=Site("here"), start_date=START, **place))
    return Inventory(networks=[Network("NZ", stations=stations, start_date=START)])


def _seisan(path: Path) -> None:
    def angle(value: float, width: int) -> str:
        thousandths = round(abs(value) * 60_000)
        return f"{thousandths // 60_000:{width}d}{thousandths % 60_000:5d}"

    lines = ["RESET TEST(02)=9.0", ""]
    for code, latitude, longitude, elevation in TRUTH:
        sign = "-" if elevation < -999 else " "
        high = abs(elevation) if elevation < -999 else elevation
        where = f"{angle(latitude, 2)}{'NS'[latitude < 0]}{angle(longitude, 3)}{'EW'[longitude < 0]}"
        lines.append(f"{sign}{code if len(code) == 5 else ' ' + code:<5}{where}{high:4.0f}")
    path.write_text("\n".join([*lines, "", "  5.500     0.00", "", "10.0 1100.2200. 1.7"]) + "\n")


def _channel_table(path: Path) -> None:
    lines = [
        f"{16 * i + j:04X} 1 0 NZ.{code} {c} 6 27 175.6 m/s 1.0 0.7 0 1e-7 {lat} {lon} {height} 0 0"
        for i, (code, lat, lon, height) in enumerate(TRUTH)
        for j, c in enumerate("UNE")
    ]
    path.write_text("\n".join(["# channels", *lines]) + "\n")


WRITERS: dict[str, Callable[[Path], object]] = {
    "stationxml.xml": lambda p: _inventory().write(str(p), "STATIONXML"),
    "station_level.txt": lambda p: _inventory().write(str(p), "STATIONTXT", level="station"),
    "channel_level.txt": lambda p: _inventory().write(str(p), "STATIONTXT", level="channel"),
    "stations.csv": lambda p: _frame().to_csv(p, index=False),
    "stations.parquet": lambda p: write_table(_frame(), p, STATIONS),
    "STATION0.HYP": _seisan,
    "channels.ch": _channel_table,
}


@pytest.fixture(params=list(WRITERS))
def written(request, tmp_path: Path) -> Path:
    path = tmp_path / request.param
    WRITERS[request.param](path)
    return path


def test_stations_stand_where_they_are(written) -> None:
    read = read_stations(written)
    assert not read.failures
    validate(read.table, STATIONS)
    assert len(read.table) == len(TRUTH)
    for code, latitude, longitude, elevation in TRUTH:
        row = read.at("NZ", code, "10", "2013-09-01")
        assert row["latitude"] == pytest.approx(latitude, abs=1e-6)
        assert row["longitude"] == pytest.approx(longitude, abs=1e-6)
        assert row["elevation_m"] == elevation


def test_reads_the_same_twice_and_in_a_list(written) -> None:
    pd.testing.assert_frame_equal(read_stations(written).table, read_stations([written]).table)
    # The same file twice is no contradiction.
    twice = read_stations([written, written])
    assert not twice.failures
    assert len(twice.table) == len(TRUTH)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5, 0.8, 0.97])
def test_truncated_gives_fewer_stations_or_a_format_error(written, share) -> None:
    whole = written.read_bytes()
    written.write_bytes(whole[: int(share * len(whole))])
    try:
        read = read_stations(written)
    except FormatError as error:
        assert str(written) in str(error)
        return
    validate(table(read.failures, FAILURES), FAILURES)
    truth = {code: (latitude, longitude) for code, latitude, longitude, _ in TRUTH}
    for row in read.table.itertuples():
        # A last line cut inside a number still passes for a number in CSV; everything before it is whole.
        if row.Index < len(read.table) - 1:
            assert (row.latitude, row.longitude) == pytest.approx(truth[row.station], abs=1e-6)


@pytest.mark.parametrize("name", list(WRITERS))
@settings(max_examples=40, deadline=None)
@given(content=st.binary(max_size=3000))
def test_random_bytes_are_a_format_error(name, content, tmp_path_factory) -> None:
    path = tmp_path_factory.mktemp("noise") / name
    path.write_bytes(content)
    with pytest.raises(FormatError):
        read_stations(path)


def test_missing_file(tmp_path) -> None:
    with pytest.raises(NotFoundError, match="no such file"):
        read_stations(tmp_path / "nothing.xml")


def test_all_formats_together_agree(tmp_path) -> None:
    paths = []
    for name, write in WRITERS.items():
        write(tmp_path / name)
        paths.append(tmp_path / name)
    read = read_stations(paths)
    assert not read.failures
    assert read.inventory is not None
    places = read.table.groupby("station")[["latitude", "longitude"]].agg(np.ptp)
    assert (places < 1e-6).all(axis=None)
