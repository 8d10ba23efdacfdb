"""National strong-motion formats beside gmprocess's readers, on files that our tests make.

``KANAME_GMPROCESS=PYTHON pytest tests/reference/test_national_formats_gmprocess.py``, PYTHON being that of an
environment with gmprocess 2.8.0 in it.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import national_strong_motion_files as made
import numpy as np
import pytest
from obspy import UTCDateTime
from strong_motion_files import GRAVITY, stream

from kaname.formats.accelerograms import read_accelerograms

START = UTCDateTime(2013, 9, 1, 4, 10, 35, 700_000)
NEZ = ("HNN", "HNE", "HNZ")
_THEIRS = """
import importlib, json, logging, sys, warnings
warnings.simplefilter("ignore")
logging.disable(50)
from gmprocess.utils.config import get_config
found = []
config = get_config()
for name, path in zip(sys.argv[1::2], sys.argv[2::2]):
    reader = importlib.import_module(f"gmprocess.io.{name}.core")
    assert getattr(reader, f"is_{name}")(path, config)
    (traces,) = getattr(reader, f"read_{name}")(path, config=config)
    found.append([
        {"start": str(t.stats.starttime), "rate": t.stats.sampling_rate, "data": t.data.tolist(),
         "latitude": t.stats.coordinates["latitude"], "longitude": t.stats.coordinates["longitude"]}
        for t in traces
    ])
print(json.dumps(found))
"""
CASES = {
    "cwb": ("cwb", 1.0),
    "nsmn": ("nsmn", 1.0),
    "unam": ("unam", 1.0),
    "bhrc": ("bhrc", 1.0),
    "renadic": ("renadic", 980.0 / 980.665),
    "film": ("dmg", 1.0),
    "even": ("dmg", 1.0),
    "rate": ("dmg", 1.0),
}
"""Their name of the reader, and their unit of acceleration in ours."""


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list]]:
    python = os.environ.get("KANAME_GMPROCESS")
    if not python:
        pytest.skip("KANAME_GMPROCESS names no Python of an environment with gmprocess")
    folder = tmp_path_factory.mktemp("national")
    whole, tenth = UTCDateTime(START.timestamp // 1), 0.1 * GRAVITY
    made.cwb(stream("HNZ", "HNN", "HNE", start=START, network="", station="ECU"), f"{folder}/cwb")
    made.nsmn(stream(*NEZ, start=START, network="TK", station="4304"), f"{folder}/nsmn")
    made.unam(stream(*NEZ, start=START, network="", station="CANA"), f"{folder}/unam")
    channels = stream("HN1", "HNZ", "HN2", start=whole, network="I1", station="5522", unit=tenth)
    made.bhrc(channels, f"{folder}/bhrc")
    channels = stream(*NEZ, start=START, network="", station="1215", unit=tenth)
    made.renadic(channels, f"{folder}/renadic")
    for kind, unit in (("film", tenth), ("even", GRAVITY), ("rate", GRAVITY)):
        channels = stream("HNE", "HNZ", "HNN", start=START, network="CE", station="14403", unit=unit)
        made.csmip_v1(channels, f"{folder}/{kind}", kind=kind)
    words = [w for case, (name, _) in CASES.items() for w in (name, f"{folder}/{case}")]
    done = subprocess.run([python, "-c", _THEIRS, *words], capture_output=True, text=True, check=True)
    return folder, dict(zip(CASES, json.loads(done.stdout.splitlines()[-1])))


@pytest.mark.extra
@pytest.mark.parametrize("case", CASES)
def test_samples_times_and_places_are_the_same(case: str, both: tuple[Path, dict[str, list]]) -> None:
    folder, theirs = both
    ours = read_accelerograms(folder / case).records
    for record, other in zip(ours, theirs[case], strict=True):
        np.testing.assert_allclose(
            np.asarray(other["data"]), record.samples.data[0] * CASES[case][1], rtol=1e-12, atol=1e-9
        )
        if case != "bhrc":  # they begin it in 1970
            assert UTCDateTime(other["start"]) == UTCDateTime(ns=int(record.samples.start.astype("int64")))
        if case != "renadic":  # they say 0, 0, as the file does
            place = (record.header.latitude, record.header.longitude)
            assert (other["latitude"], other["longitude"]) == pytest.approx(place)
        # They divide the duration of all samples by one interval less, where they divide.
        n = record.samples.n_sample
        wrong = case in ("bhrc", "renadic")
        assert other["rate"] == pytest.approx(record.samples.sampling_rate * ((n - 1) / n if wrong else 1))
