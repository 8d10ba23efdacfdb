"""A built wheel carries everything: it installs into an empty environment and runs there."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

import kaname

ROOT = Path(__file__).resolve().parents[2]
PIP = ["-m", "pip", "--disable-pip-version-check", "--quiet"]


def run(*words: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(w) for w in words], capture_output=True, text=True, cwd=folder)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of this tree, built the way an installer builds it."""
    out = tmp_path_factory.mktemp("wheel")
    done = run(sys.executable, *PIP, "wheel", "--no-deps", "--wheel-dir", out, ROOT, folder=out)
    if done.returncode and "hatchling" in done.stderr and "No matching distribution" in done.stderr:
        pytest.skip(f"no registry to fetch the build backend from: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def empty(tmp_path_factory) -> Path:
    """An environment with nothing but pip."""
    folder = tmp_path_factory.mktemp("empty")
    venv.create(folder / "env", with_pip=True)
    return folder


def test_the_wheel_holds_the_package_its_data_and_the_licence(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    source = ROOT / "src"
    expected = {
        str(f.relative_to(source))
        for f in (source / "kaname").rglob("*")
        if f.is_file()
        and not any(p == "__pycache__" or p.startswith(".") for p in f.relative_to(source).parts)
    }
    assert expected <= set(names)
    assert any(n.endswith("licenses/LICENSE") for n in names)
    assert not [n for n in names if n.startswith(("tests", "docs", "benchmarks"))]
    assert wheel.name.startswith(f"kaname-{kaname.__version__}-")


@pytest.mark.slow
def test_it_installs_into_an_empty_environment_and_runs_the_demo(wheel, empty):
    python = empty / "env" / "bin" / "python"
    done = run(python, *PIP, "install", "--constraint", ROOT / "constraints.txt", wheel, folder=empty)
    if done.returncode and "No matching distribution" in done.stderr:
        pytest.skip(f"no registry to install from: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    program = empty / "env" / "bin" / "kaname"
    assert run(program, "--version", folder=empty).stdout == f"kaname {kaname.__version__}\n"
    doctor = run(program, "doctor", folder=empty)
    assert doctor.returncode == 0, doctor.stdout
    demo = run(program, "demo", "--out", empty / "out", folder=empty)
    assert demo.returncode == 0, demo.stderr
    assert "<html" in (empty / "out" / "report.html").read_text(encoding="utf-8")
