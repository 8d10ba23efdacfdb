"""Records of the national networks, from their files to the database: one motion, written in every format."""

from __future__ import annotations

import json
from pathlib import Path

import national_strong_motion_files as made
import numpy as np
import pytest
from obspy import Stream, Trace, UTCDateTime

from kaname.modeling.strong_motion.database import build_database, query

START = UTCDateTime(2013, 9, 1, 4, 10, 20)
EVENT = {
    "id": "made",
    "time": "2013-09-01T04:10:15",
    "lat": 22.5,
    "lon": 121.0,
    "depth": 10,
    "magnitude": 6.0,
}


def _motion(codes: str, network: str, station: str) -> Stream:
    """A minute of noise with an earthquake after twenty seconds [cm/s2]; each channel its own."""
    t = np.arange(6000) / 100.0 - 20.0
    envelope = np.where(t > 0, np.maximum(t, 0) * np.exp(-t / 4.0), 0.0)
    traces = []
    for k, code in enumerate(codes):
        rng = np.random.default_rng(k)
        data = 60.0 * rng.standard_normal(6000) * envelope + 0.3 * rng.standard_normal(6000)
        header = {"network": network, "station": station, "channel": f"HN{code}", "starttime": START}
        traces.append(Trace(data - data.mean(), {**header, "sampling_rate": 100.0}))
    return Stream(traces)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("national")
    writers = {
        "cwb": lambda p: made.cwb(_motion("ZNE", "", "ECU"), p),
        "nsmn": lambda p: made.nsmn(_motion("NEZ", "TK", "4304"), p),
        "unam": lambda p: made.unam(_motion("NEZ", "", "CANA"), p),
        "bhrc": lambda p: made.bhrc(_motion("1Z2", "I1", "5522"), p),
        "csmip-v1": lambda p: made.csmip_v1(_motion("EZN", "CE", "14403"), p, kind="rate"),
        "renadic": lambda p: made.renadic(_motion("NEZ", "", "1215"), p),
    }
    for name, write in writers.items():
        (folder / name).mkdir()
        write(str(folder / name / "record.txt"))
    (folder / "event.json").write_text(json.dumps({**EVENT, "magnitude": 6.0}))
    build_database([folder], folder / "db")
    return folder / "db"


def test_every_format_is_used_and_measures_the_same(database: Path) -> None:
    found = query(database, "SELECT * FROM ground_motions ORDER BY station").set_index("station")
    assert found.index.tolist() == ["1215", "14403", "4304", "5522", "CANA", "ECU"]
    assert (found["quality"] == "used").all(), found["reason"].tolist()
    assert query(database, "SELECT * FROM failures").empty
    # Channels are dealt out in different orders, so that three formats have the same two horizontals.
    same = found.loc[["1215", "4304", "CANA"], ["pga_cm_s2", "sa_0_300_cm_s2", "intensity_jma"]]
    assert np.ptp(same.to_numpy(), axis=0) == pytest.approx([0, 0, 0], abs=0.2)
    assert found["pga_cm_s2"].between(80, 400).all()
    # Of the earthquake that their headers state, or of the one that is given where these state none.
    assert found.loc["1215", "event_id"] == "made"
    assert np.isnan(found.loc["1215", "rrup_km"]) and found.loc["1215", "site_id"] == ""
    assert found.drop("1215")["rrup_km"].notna().all()


def test_peaks_are_those_of_the_headers(database: Path) -> None:
    peaks = query(database, "SELECT * FROM components WHERE peak_header IS NOT NULL")
    assert len(peaks) == 15  # BHRC states none
    digits = peaks["peak_header_text"].str.partition(".")[2].str.len()
    assert (np.abs(peaks["peak_read"] - peaks["peak_header"]) <= 1.01 * 10.0**-digits).all()
