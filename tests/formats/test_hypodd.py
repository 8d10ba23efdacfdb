"""Reading HypoDD files: small ones written here, whole and damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kaname.core.errors import FormatError, NotFoundError, SchemaError
from kaname.formats.hypodd import read_locations, read_phases, read_stations

PHASES = """# 1985  1 24  2 19 58.71  37.8832 -122.2415    9.80 1.40  0.15  0.51  0.02      38542
NCCSP       2.850  -1.000   P
NCCMC       2.920   0.200   S
NCZZZ       2.920   0.000   P
# 1991 11 26 14 27 60.00  37.8738 -122.2432    9.95 1.40  0.22  0.53  0.09     238298
NCCSP       1.930   0.500   P
"""
LOCATION = (
    "    38542  37.878642 -122.244507     9.251      -48.7       62.3      -57.2      3.2      3.2     14.0 "
    "1985  1 24  2 19 58.740  1.4   106   103   177     0  0.006  0.047   1\n"
)


def test_phases(tmp_path: Path) -> None:
    path = tmp_path / "x.pha"
    path.write_text(PHASES)
    events, arrivals = read_phases(path, uncertainty_s=0.05)
    assert events["event_id"].tolist() == ["38542", "238298"]
    assert events["time"].iloc[1] == np.datetime64("1991-11-26T14:28:00")
    assert events["depth_km"].tolist() == [9.8, 9.95]
    assert arrivals["time"].iloc[0] == np.datetime64("1985-01-24T02:20:01.560")
    # Weights are inverse errors, whatever their sign; weight 0 is no pick.
    assert arrivals["time_uncertainty_s"].tolist() == pytest.approx([0.05, 0.25, 0.1])
    assert arrivals["phase"].tolist() == ["P", "S", "P"]
    assert arrivals["pick_id"].is_unique


def test_stations_and_locations(tmp_path: Path) -> None:
    path = tmp_path / "x.sta"
    path.write_text("NCJNA 37.176998 -121.844666\nNCMTC 37.631550 -118.966064 1200\n\n")
    stations = read_stations(path)
    assert stations["station"].tolist() == ["NCJNA", "NCMTC"]
    assert np.isnan(stations["elevation_m"].iloc[0])
    assert stations["elevation_m"].iloc[1] == 1200
    path.write_text(LOCATION)
    (event,) = read_locations(path).to_dict("records")
    assert event["time"] == np.datetime64("1985-01-24T02:19:58.740")
    assert (event["event_id"], event["depth_km"], event["magnitude"]) == ("38542", 9.251, 1.4)


@pytest.mark.parametrize(
    ("reader", "text", "words"),
    [
        (read_phases, "NCCSP 2.85 1.0 P\n", "line 1.*before the first event"),
        (read_phases, PHASES.replace("2.920", "x.920"), "line 3"),
        (read_phases, PHASES.replace("      38542", ""), "line 1"),
        (read_phases, "", "empty"),
        (read_stations, "NCJNA 37.2\n", "line 1"),
        (read_stations, "NCJNA 37.2 west\n", "line 1"),
        (read_locations, LOCATION[:80], "line 1"),
    ],
)
def test_damage_is_named(tmp_path: Path, reader: object, text: str, words: str) -> None:
    path = tmp_path / "x"
    path.write_text(text)
    with pytest.raises(FormatError, match=words):
        reader(path)  # type: ignore[operator]


def test_values_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("NCJNA 137.2 -121.8\n")
    with pytest.raises(SchemaError, match="latitude"):
        read_stations(path)
    path.write_text(PHASES.replace("   P\n", "   Lg\n"))
    with pytest.raises(SchemaError, match="phase"):
        read_phases(path)
    with pytest.raises(NotFoundError):
        read_phases(tmp_path / "none")
