"""Fixtures every test may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples everywhere and no clock: a slow machine must not make a property fail.
settings.register_profile("kaname", deadline=None, derandomize=True)
settings.load_profile("kaname")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real cases with known answers; tests that need it are skipped where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("KANAME_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"real cases not found at {folder}; set KANAME_DATA")
    return folder


@pytest.fixture(scope="session")
def dask_cluster() -> Iterator[str]:
    """Address of a real Dask scheduler with two worker processes on this machine."""
    import dask
    from distributed import LocalCluster

    # One lost worker is enough to suspect a task; by default it takes four, and as many new workers.
    dask.config.set({"distributed.scheduler.allowed-failures": 0})
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address=":0",
        silence_logs=50,
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture(scope="session")
def openquake() -> str:
    """Python of an environment of its own that has OpenQuake; tests that need it are skipped without."""
    python = os.environ.get("KANAME_OPENQUAKE_PYTHON")
    if not python:
        pytest.skip("no OpenQuake here: name its Python in KANAME_OPENQUAKE_PYTHON")
    return python
