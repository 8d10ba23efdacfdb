"""A real browser and curl against a data centre that runs."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import obspy
import pytest
from PIL import Image

from kaname.archive.access import Access

from .conftest import make_archive, running


def program(*names: str) -> str:
    found = next(filter(None, map(shutil.which, names)), None)
    return found or pytest.skip(f"no {' or '.join(names)} here")


def browse(url: str, folder: Path, *options: str) -> str:
    """Return the page as it is after its scripts have run."""
    words = [program("chromium", "chromium-browser", "google-chrome"), "--headless=new", "--no-sandbox"]
    words += ["--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={folder / 'profile'}"]
    # Nothing but this machine can be reached: the page must need nothing else.
    words += ["--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "--virtual-time-budget=15000"]
    done = subprocess.run([*words, *options, url], capture_output=True, text=True, timeout=180, check=True)
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", ["Stations and events", "Recent events", "9 channels"]),
        ("ja", ["観測点と地震", "最近の地震", "チャンネル 9"]),
    ],
)
def test_the_page_in_a_browser(centre, tmp_path, language, said):
    page = browse(f"{centre.url}/?lang={language}", tmp_path, "--dump-dom")
    assert f'<html lang="{language}"' in page
    for text in said:
        assert text in page
    assert page.count("BW.RJOB..EH") >= 3  # availability, and what can be chosen
    drawn = re.search(r'<svg id="map".*?</svg>', page, re.DOTALL)[0]
    assert drawn.count("<circle") >= 3  # the events
    assert drawn.count("<path") + drawn.count("<polygon") >= 3  # coast and stations
    assert f'Client("{centre.url}")' in page.replace("&quot;", '"')
    note = re.search(r'<figcaption id="wave-note"[^>]*>(.*?)</figcaption>', page, re.DOTALL)[1]
    assert "BW." in note  # a waveform is shown without being asked for


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_screen(centre, tmp_path, width):
    """A page that is too wide is scrolled sideways, and its right edge is then not its margin."""
    shot = tmp_path / "page.png"
    browse(f"{centre.url}/", tmp_path, f"--screenshot={shot}", f"--window-size={width},2000")
    image = Image.open(shot).convert("RGB")
    assert image.width == width
    margin = image.crop((width - 3, 200, width, 1800)).getcolors()
    assert len(margin) == 1, margin  # background only


def test_curl(tmp_path):
    curl = program("curl")
    root = make_archive(tmp_path / "archive")
    (root / "access.toml").write_text('[[rules]]\nid = "BW.RJOB"\naccess = "group"\ngroups = ["*"]\n')
    access = Access.load(root)
    access.users.put("ann", "a good password", access.realm)
    out = tmp_path / "out"

    def ask(*words: str) -> str:
        done = subprocess.run(
            [curl, "-sS", "-o", str(out), "-w", "%{http_code}", *words],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout

    with running(root) as served:
        query, auth = served.service("dataselect"), served.service("dataselect", "queryauth")
        assert ask(f"{query}?net=BW&sta=UH3&cha=SHZ") == "200"
        assert [t.id for t in obspy.read(str(out))] == ["BW.UH3..SHZ"]
        lines = "BW UH3 -- SHZ * *\nBW UH1 -- SHZ * *\n"
        assert ask("--data-binary", lines, query) == "200"
        assert {t.id for t in obspy.read(str(out))} == {"BW.UH3..SHZ", "BW.UH1..SHZ"}
        assert ask(f"{query}?net=BW&sta=RJOB") == "403"
        assert ask(f"{auth}?net=BW&sta=RJOB") == "401"
        name = ("--digest", "--user", "ann:a good password")
        assert ask(*name, f"{auth}?net=BW&sta=RJOB") == "200"
        assert len(obspy.read(str(out))) == 3
        assert ask(*name, "--data-binary", "BW RJOB -- EHZ * *\n", auth) == "200"
        assert [t.id for t in obspy.read(str(out))] == ["BW.RJOB..EHZ"]
        assert ask(f"{query}?net=BW&starttime=yesterday") == "400"
        assert out.read_text().startswith("Error 400: Bad Request")
        assert ask("-I", f"{query}?net=BW&sta=UH3") == "200"
