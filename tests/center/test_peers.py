"""pyrocko and ROVER against a data centre that runs.

They live in an environment of their own, because they clash with what else is here::

    python -m venv peers && peers/bin/pip install pyrocko rover mseedindex
    KANAME_PEERS=peers python -m pytest tests/center/test_peers.py
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path

import obspy
import pytest

pytestmark = [pytest.mark.extra, pytest.mark.slow]

PYROCKO = """
import sys
from pyrocko import io, util
from pyrocko.client import fdsn

site, out = sys.argv[1:]
t = util.str_to_time("2009-08-24 00:20:10")
stations = fdsn.station(site=site, net="BW", level="response", parsed=True)
assert [s.code for n in stations.network_list for s in n.station_list] == ["RJOB"] * 3
text = fdsn.station(site=site, level="channel", format="text", parsed=True)
assert {n.code for n in text.network_list} == {"BW", "GR"}
with open(out, "wb") as file:
    file.write(fdsn.dataselect(site=site, selection=[("BW", "RJOB", "", "EH*", t, t + 5)]).read())
traces = io.load(out)
assert sorted(tr.nslc_id for tr in traces) == [("BW", "RJOB", "", "EH" + c) for c in "ENZ"]
events = fdsn.event(site=site, minmagnitude=4, parsed=True)
assert len(events.event_parameters.event_list) == 2
spans = fdsn.availability("query", site=site, net="BW", sta="RJOB").read().decode()
assert spans.count("RJOB") == 3
assert "minlatitude" in fdsn.supported_params_wadl("station", site=site)
print("pyrocko: well")
"""


@pytest.fixture(scope="module")
def peers() -> Path:
    folder = os.environ.get("KANAME_PEERS")
    if not folder:
        pytest.skip("set KANAME_PEERS to an environment with pyrocko and rover")
    return Path(folder).resolve() / "bin"


def test_pyrocko(centre, peers, tmp_path):
    words = [str(peers / "python"), "-c", PYROCKO, centre.url, str(tmp_path / "w.mseed")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert "pyrocko: well" in done.stdout, done.stderr


def test_rover_fills_a_repository(centre, peers, tmp_path):
    environment = {**os.environ, "PATH": f"{peers}:{os.environ['PATH']}"}
    rover = str(peers / "rover")

    def run(*words: str) -> None:
        # To a file and in a group of its own: ROVER leaves a web server behind, which would keep a pipe open.
        with (tmp_path / "log").open("w") as log:
            process = subprocess.Popen(
                words, cwd=tmp_path, env=environment, stdout=log, stderr=log, start_new_session=True
            )
            try:
                code = process.wait(300)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
        assert code == 0, (tmp_path / "log").read_text()

    def log() -> str:
        return (tmp_path / "log").read_text()

    def ask(command: str, *words: str) -> None:
        services = [("availability", "availability"), ("dataselect", "dataselect"), ("station", "station")]
        addresses = (w for name, service in services for w in (f"--{name}-url", centre.service(service)))
        run(rover, command, *words, "-f", "repository/rover.config", *addresses)

    run(rover, "init-repository", "repository")
    request = tmp_path / "request.txt"
    request.write_text(
        "BW RJOB -- EHZ 2009-08-24T00:00:00 2009-08-25T00:00:00\nBW UH* * * 2010-05-27 2010-05-28\n"
    )
    ask("list-retrieve", str(request))
    assert "BW_RJOB__EHZ" in log() and "BW_UH4__EHZ" in log()
    ask("retrieve", str(request))
    files = [p for p in (tmp_path / "repository" / "data").rglob("*") if p.is_file()]
    ids = {t.id for p in files if "sqlite" not in p.name for t in obspy.read(str(p), headonly=True)}
    assert {"BW.RJOB..EHZ", "BW.UH1..SHZ", "BW.UH4..EHZ"} <= ids
    ask("list-index", "station=RJOB")
    assert "2009-08-24T00:20:03" in log()
    ask("list-retrieve", str(request))
    assert "BW_RJOB__EHZ" not in log()  # there is nothing left to get
