"""The pages for newcomers, followed word by word with made-up WIN32 files."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import obspy
import pytest
from win_files import Second, channel, win32

from kaname.center.serving import bind

DOCS = Path(__file__).resolve().parents[2] / "docs"
ID = ["BO.AAKH..EHE", "BO.AAKH..EHN", "BO.AAKH..EHZ"]
TABLE = (
    "{number} 1 0 N.AAKH {component} 6 27 175.60 m/s 1.00 0.70 0 1.023e-07 36.3726 137.9203 483 0 0"
    " Azuminoakashina\n"
)


def blocks(page: str, kind: str) -> list[str]:
    """Return the code blocks of a page."""
    text = (DOCS / page).read_text(encoding="utf-8")
    fenced = re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [block for name, block in fenced if name == kind]


@pytest.fixture(scope="module")
def samples():
    rng = np.random.default_rng(1)
    return {number: np.cumsum(rng.integers(-50, 51, 18_000)) for number in (0x6033, 0x6034, 0x6035)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, samples):
    """The folder ``win32`` with three files of one minute from 16:10 in Japan, and ``hinet.ch``."""
    root = tmp_path_factory.mktemp("newcomer")
    (root / "win32").mkdir()
    lines = [TABLE.format(number=n, component=c) for n, c in (("6033", "U"), ("6034", "N"), ("6035", "E"))]
    (root / "hinet.ch").write_text("# made up\n" + "".join(lines))
    for minute in range(3):
        seconds = []
        for second in range(60 * minute, 60 * minute + 60):
            parts = [
                channel(number, all_of_it[100 * second : 100 * second + 100].tolist(), network=0x0101)
                for number, all_of_it in samples.items()
            ]
            seconds.append(Second(datetime(2024, 1, 1, 16, 10) + timedelta(seconds=second), parts))
        (root / "win32" / f"2024010116{10 + minute}0101VM.cnt").write_bytes(win32(seconds))
    return root


def test_both_languages_give_the_same_commands_and_code():
    for kind in ("", "python", "text"):
        english, japanese = (
            [re.sub(r"  #.*", "", block) for block in blocks(page, kind)]
            for page in ("serve-quickstart.md", "serve-quickstart.ja.md")
        )
        assert english == japanese
        assert english


def shell(script: str, home: Path, cwd: Path) -> str:
    """Run what a page says, in a new window; return what it prints."""
    environment = {**os.environ, "HOME": str(home)}
    words = ["bash", "-e", "-c", script]
    done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("page", ["serve-quickstart.md", "serve-quickstart.ja.md"])
def test_every_command_works_as_it_is_printed(folder, samples, tmp_path, page):
    """Each block in a new window, at another port; installing only with ``KANAME_INSTALL=1``, for minutes."""
    install, store, serve, get = blocks(page, "")
    (code,) = blocks(page, "python")
    home, place = tmp_path / "home", tmp_path / "place"
    shutil.copytree(folder, place)
    with bind("127.0.0.1", 0) as probe:
        port = probe.getsockname()[1]
    window = ". ~/kaname-env/bin/activate\n"
    assert window in install
    if os.environ.get("KANAME_INSTALL"):
        home.mkdir()
        shell(install, home, DOCS.parent)
    else:
        (home / "kaname-env" / "bin").mkdir(parents=True)
        activate = f'export PATH="{Path(sys.executable).parent}:$PATH"\n'
        (home / "kaname-env" / "bin" / "activate").write_text(activate)

    listed = shell(window + store, home, place)
    assert [line.split()[0] for line in listed.splitlines()[-3:]] == ID
    (printed,) = blocks(page, "text")
    assert set(printed.splitlines()) <= set(listed.splitlines())  # what the page shows is what one sees
    words = ["bash", "-c", f"{window}exec {serve.strip()} --port {port}"]
    environment = {**os.environ, "HOME": str(home)}
    with subprocess.Popen(words, cwd=place, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert f"http://localhost:{port}" in server.stdout.readline()
            program = code.replace(":8080", f":{port}") + '\nstream.write("velocity.mseed")\n'
            said = shell(f"{window}python - <<'END'\n{program}END\n", home, place)
            assert "3 Trace(s) in Stream" in said
            shell(get.replace(":8080", f":{port}"), home, place)
        finally:
            server.terminate()
    raw, stream = obspy.read(place / "aakh.mseed"), obspy.read(place / "velocity.mseed")
    assert [trace.id for trace in stream] == [trace.id for trace in raw] == ID
    for number, name in ((0x6033, "EHZ"), (0x6034, "EHN"), (0x6035, "EHE")):
        (trace,) = raw.select(channel=name)
        at = round((trace.stats.starttime - obspy.UTCDateTime("2024-01-01T07:10:00")) * 100)
        assert np.array_equal(trace.data, samples[number][at : at + trace.stats.npts])
    # Counts to m/s well above the corner at 1 Hz: 1.023e-07 V per count over 175.6 V per m/s.
    (velocity,) = stream.select(channel="EHZ")
    at = round((velocity.stats.starttime - obspy.UTCDateTime("2024-01-01T07:10:00")) * 100)
    counts = samples[0x6033][at : at + velocity.stats.npts]
    counts = counts - counts.mean()
    bins = np.fft.rfftfreq(counts.size, 0.01)
    band = (bins > 5) & (bins < 20)
    taper = np.hanning(counts.size)
    gain = (
        np.abs(np.fft.rfft(velocity.data * taper)[band]).sum()
        / np.abs(np.fft.rfft(counts * taper)[band]).sum()
    )
    assert gain == pytest.approx(1.023e-07 / 175.6, rel=0.05)
