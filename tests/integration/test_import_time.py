"""``import kaname`` and ``kaname --help`` are light: no time is asserted, only what is imported."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

HEAVY = {
    *(
        "torch",
        "seisbench",
        "pickerxl",
        "dask",
        "distributed",
        "matplotlib",
        "obspy",
        "pyocto",
        "numba",
        "scipy",
    ),
    *("pandas", "pyarrow", "pyproj", "numpy"),
}


def fresh(code: str) -> tuple[set[str], float]:
    """Run code in a new interpreter; return the packages it imported and the best of five times [s]."""
    code = f"{code}\nimport sys; print(*{{m.split('.')[0] for m in sys.modules}})"
    times = []
    for _ in range(5):
        began = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        times.append(time.perf_counter() - began)
    return set(done.stdout.splitlines()[-1].split()), min(times)


def test_import_kaname_imports_nothing_heavy(record_property):
    _, bare_s = fresh("pass")
    modules, with_kaname_s = fresh("import kaname")
    record_property("import_kaname_s", with_kaname_s - bare_s)
    print(f"import kaname: {with_kaname_s - bare_s:.3f} s on top of {bare_s:.3f} s for Python")  # noqa: T201
    assert not modules & HEAVY


@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_kaname_help_imports_nothing_heavy(words, record_property):
    modules, seconds = fresh(f"from kaname.cli import main; main({words})")
    record_property("seconds", seconds)
    print(f"kaname {words[0]}: {seconds:.3f} s")  # noqa: T201
    assert not modules & HEAVY


@pytest.mark.parametrize(
    "room", ["core", "formats", "archive", "signal", "earth", "evaluate", "automation", "report"]
)
def test_a_room_brings_no_optional_package_and_draws_nothing(room):
    modules, _ = fresh(f"import kaname.{room}")
    assert not modules & {
        "torch",
        "seisbench",
        "pickerxl",
        "dask",
        "distributed",
        "matplotlib",
        "obspy",
        "pyocto",
    }
