"""The pages for newcomers, followed word by word with made-up WIN32 files."""

from __future__ import annotations

import re
import shlex
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from win_files import Second, channel, win32

from kaname.cli import main

from .conftest import running

DOCS = Path(__file__).resolve().parents[2] / "docs"
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
    for kind in ("", "python"):
        english, japanese = (
            [re.sub(r"  #.*", "", block) for block in blocks(page, kind)]
            for page in ("serve-quickstart.md", "serve-quickstart.ja.md")
        )
        assert english == japanese
        assert english


def test_the_page_leads_from_win32_to_obspy(folder, samples, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    commands = [
        shlex.split(line)
        for block in blocks("serve-quickstart.md", "")
        for line in block.strip().splitlines()
    ]
    add, ls, serve = (words[1:] for words in commands if words[0] == "kaname")
    assert main(add) == 0
    assert main(ls) == 0
    assert "BO.AAKH..EHZ" in capsys.readouterr().out
    assert serve[:3] == ["serve", "archive", "--stations"]
    (code,) = blocks("serve-quickstart.md", "python")
    with running(folder / "archive", stations=[folder / serve[3]]) as served:
        said: dict[str, object] = {}
        keep = code.replace("stream.remove_response", "raw = stream.copy()\nstream.remove_response")
        exec(keep.replace("http://localhost:8080", served.url), said)
    raw, stream = said["raw"], said["stream"]
    assert [trace.id for trace in raw] == ["BO.AAKH..EHE", "BO.AAKH..EHN", "BO.AAKH..EHZ"]
    vertical = raw.select(channel="EHZ")[0]
    at = round((vertical.stats.starttime - said["t"]) * 100)
    assert np.array_equal(vertical.data, samples[0x6033][at : at + vertical.stats.npts])
    # Counts to m/s well above the corner at 1 Hz: 1.023e-07 V per count over 175.6 V per m/s.
    counts, velocity = vertical.data - vertical.data.mean(), stream.select(channel="EHZ")[0].data
    bins = np.fft.rfftfreq(counts.size, 0.01)
    band = (bins > 5) & (bins < 20)
    taper = np.hanning(counts.size)
    gain = np.abs(np.fft.rfft(velocity * taper)[band]).sum() / np.abs(np.fft.rfft(counts * taper)[band]).sum()
    assert gain == pytest.approx(1.023e-07 / 175.6, rel=0.05)
