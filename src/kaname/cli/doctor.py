"""Say what is installed, what works, what is missing and how to get it."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, entry_points, requires, version
from pathlib import Path
from typing import Literal

import typer
from packaging.requirements import Requirement

from kaname import __version__
from kaname.cli._options import AsJson
from kaname.core.cache import cache_folder
from kaname.core.errors import ExitCode, KanameError

State = Literal["ok", "warning", "missing", "broken"]

REINSTALL = "pip install --force-reinstall kaname"
ENOUGH_DISK_GB = 1.0
# What a damaged installation has been seen to raise: a doctor reports it and looks at the next organ.
_SYMPTOMS = (
    KanameError,
    ImportError,
    OSError,
    RuntimeError,
    ValueError,
    TypeError,
    AttributeError,
    sqlite3.Error,
)


@dataclass(frozen=True)
class Finding:
    """What was looked at, how it is, and what to do about it."""

    group: str
    name: str
    state: State
    detail: str
    remedy: str = ""
    required: bool = True

    @property
    def fatal(self) -> bool:
        """Whether Kaname cannot work until this is mended."""
        return self.required and self.state in ("missing", "broken")


def command(
    as_json: AsJson = False,
) -> None:
    """Say what is installed, what works, what is missing and how to get it.

    Exit status 1 when something that Kaname needs is missing or broken; optional packages may be absent.
    """
    findings = [*packages(), *checks()]
    healthy = not any(f.fatal for f in findings)
    if as_json:
        about = {"kaname": __version__, "python": platform.python_version(), "platform": platform.platform()}
        report = {**about, "healthy": healthy, "findings": [asdict(f) for f in findings]}
        typer.echo(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        typer.echo(f"Kaname {__version__}, Python {platform.python_version()}, {platform.platform()}")
        typer.echo("\n".join(_lines(findings)))
        typer.echo(
            "\nEverything needed is here." if healthy else "\nKaname cannot work like this; see above."
        )
    if not healthy:
        raise typer.Exit(ExitCode.ERROR)


def _lines(findings: list[Finding]) -> Iterator[str]:
    group = ""
    for finding in findings:
        if finding.group != group:
            group = finding.group
            yield f"\n{group}"
        yield f"  {finding.state:8}{finding.name:20}{finding.detail or finding.remedy}".rstrip()
        if finding.detail and finding.remedy:
            yield f"  {'':28}{finding.remedy}"


def packages() -> Iterator[Finding]:
    """Compare what is installed with what Kaname asks for: first what it needs, then the extras."""
    try:
        wanted = [Requirement(text) for text in requires("kaname") or []]
    except PackageNotFoundError:
        yield Finding(
            "needed", "kaname", "broken", "runs from a folder that was not installed", "pip install ."
        )
        return
    yield from (_package(r, "needed") for r in wanted if r.marker is None)
    for requirement in wanted:
        extra = re.search(r"extra == ['\"]([^'\"]+)", str(requirement.marker or ""))
        if extra:
            yield _package(requirement, f"extra: {extra[1]}")


def _package(requirement: Requirement, group: str) -> Finding:
    required = group == "needed"
    remedy = REINSTALL if required else f"pip install 'kaname[{group.removeprefix('extra: ')}]'"
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return Finding(group, requirement.name, "missing", "", remedy, required)
    if requirement.specifier.contains(found, prereleases=True):
        return Finding(group, requirement.name, "ok", found, required=required)
    detail = f"{found}, but Kaname asks for {requirement.specifier}"
    return Finding(group, requirement.name, "broken", detail, remedy, required)


def checks() -> Iterator[Finding]:
    """Try, on tiny real cases, what the installed packages are there for."""
    for name, (check, remedy) in CHECKS.items():
        try:
            state, detail = check()
        except _SYMPTOMS as error:
            state, detail = "broken", f"{type(error).__name__}: {error}"
        yield Finding("works", name, state, detail, "" if state == "ok" else remedy)


def _miniseed() -> tuple[State, str]:
    """Read with our reader what ObsPy wrote."""
    import numpy as np
    from obspy import Stream, Trace

    from kaname.formats.contract import read_waveforms

    samples = np.arange(1000, dtype=np.int32) ** 2 % 977
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "test.mseed"
        header = {"network": "XX", "station": "TEST", "channel": "HHZ", "sampling_rate": 100.0}
        Stream([Trace(samples, header)]).write(str(path), format="MSEED", encoding="STEIM2")
        read = read_waveforms(path)
    if len(read.blocks) != 1 or not np.array_equal(read.blocks[0].data[0], samples):
        return "broken", "a Steim-2 record does not read back as it was written"
    return "ok", f"Steim-2 decoded, pymseed {version('pymseed')}"


def _add(left: float, right: float) -> float:
    return left + right


def _numba() -> tuple[State, str]:
    """Compile, and see that the result is kept for the next start."""
    from numba import njit

    compiled = njit(cache=True)(_add)
    if compiled(1.0, 2.0) != 3.0:
        return "broken", "a compiled function returns a wrong sum"
    folder = Path(compiled.stats.cache_path or "")
    if not os.access(folder, os.W_OK):
        return "warning", f"compiles, but cannot keep the result in {folder}: every start is slow"
    return "ok", f"compiles, kept in {folder}"


def _sqlite() -> tuple[State, str]:
    """Open a database in write-ahead mode in the cache folder."""
    with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
        database = sqlite3.connect(Path(folder) / "test.sqlite")
        try:
            (mode,) = database.execute("PRAGMA journal_mode=WAL").fetchone()
        finally:
            database.close()
    if mode != "wal":
        return "warning", f"{sqlite3.sqlite_version}, but no write-ahead log here (journal mode {mode})"
    return "ok", f"{sqlite3.sqlite_version}, write-ahead log"


def _cache() -> tuple[State, str]:
    folder = cache_folder()
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        file.write(b"test")
    return "ok", f"{folder} is writable"


def _disk() -> tuple[State, str]:
    free_gb = {str(p): shutil.disk_usage(p).free / 1e9 for p in (Path.cwd(), cache_folder())}
    detail = ", ".join(f"{gb:.1f} GB free at {path}" for path, gb in free_gb.items())
    return ("warning" if min(free_gb.values()) < ENOUGH_DISK_GB else "ok"), detail


def _machine() -> tuple[State, str]:
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return "ok", f"{usable} cores, {memory_gb:.1f} GB memory"


def _pyocto() -> tuple[State, str]:
    import pyocto

    pyocto.VelocityModel0D(p_velocity=6.0, s_velocity=3.5, tolerance=1.0)
    return "ok", f"association, version {version('pyocto')}"


def _obspy() -> tuple[State, str]:
    """Load every waveform plug-in that ObsPy lists."""
    failed, n_loaded = [], 0
    for plugin in entry_points(group="obspy.plugin.waveform"):
        try:
            for function in entry_points(group=f"obspy.plugin.waveform.{plugin.name}"):
                function.load()
            n_loaded += 1
        except _SYMPTOMS as error:
            failed.append(f"{plugin.name} ({error})")
    if not n_loaded:
        return "broken", "ObsPy lists no waveform formats; its installation lost its entry points"
    if failed:
        return "warning", f"{n_loaded} waveform formats, but not {', '.join(failed)}"
    return "ok", f"{n_loaded} waveform formats"


def _pickers() -> tuple[State, str]:
    from kaname.automation.pick import names

    return "ok", ", ".join(names())


CHECKS: dict[str, tuple[Callable[[], tuple[State, str]], str]] = {
    "miniSEED": (_miniseed, "pip install --force-reinstall pymseed obspy"),
    "numba": (_numba, "set NUMBA_CACHE_DIR to a folder you may write to"),
    "SQLite": (_sqlite, "keep archives and results on a local disk, not on a network share"),
    "cache": (_cache, "name a folder you may write to in KANAME_CACHE"),
    "disk": (_disk, "free some space, or name another folder in KANAME_CACHE and --out"),
    "machine": (_machine, ""),
    "PyOcto": (_pyocto, "pip install --force-reinstall 'pyocto>=0.1.4,<0.2'"),
    "ObsPy": (_obspy, "pip install --force-reinstall obspy"),
    "pickers": (_pickers, REINSTALL),
}
