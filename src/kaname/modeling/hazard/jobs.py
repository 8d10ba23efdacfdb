"""OpenQuake's jobs (scenarios, classical hazard, disaggregation, damage, losses), their results as tables."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kaname.core.errors import FormatError, InputError, NotFoundError
from kaname.modeling.hazard.isolated import Worker

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class JobResult:
    """What came out of a job of OpenQuake."""

    description: str
    calculation_mode: str
    tables: dict[str, pd.DataFrame]
    """By OpenQuake's name of the table, such as ``hazard_curve-mean-PGA``, ``uhs-mean``, ``avg_damages``,
    ``aggrisk``; units are OpenQuake's: g, and those of the exposure."""
    failed: dict[str, str]
    """Tables that OpenQuake has but could not export, and why."""


def run_jobs(
    *jobs: str | Path,
    models: Sequence[str | Path] = (),
    parameters: Mapping[str, str] | None = None,
    cores: int = 1,
    python: str | Path | None = None,
) -> JobResult:
    """Run OpenQuake's jobs in order, each on the one before, and return the tables of the last.

    Nothing is left behind: OpenQuake's own database and files are made in a temporary folder.

    Parameters
    ----------
    jobs
        Files ``job.ini``; a second one takes the hazard or the exposure of the first.
    models
        Exported models (``NAME.py`` of `kaname.modeling.ground_motion.export`) that the logic trees name.
    parameters
        Parameters that override those of all jobs, such as ``{"truncation_level": "3"}``.
    cores
        Processes; 1 keeps everything in one.
    python
        OpenQuake's interpreter; see `kaname.modeling.hazard.isolated`.

    Raises
    ------
    NotFoundError
        When a job or a model is not there.
    OpenQuakeError
        When OpenQuake refuses the job.
    """
    paths = [Path(job).resolve() for job in jobs]
    files = [Path(file).resolve() for file in models]
    if not paths:
        raise InputError("no job to run; give the path of a job.ini")
    for path in (*paths, *files):
        if not path.is_file():
            raise NotFoundError(f"no file {path}")
    with tempfile.TemporaryDirectory(prefix="kaname-openquake-") as folder:
        worker = Worker(python)
        try:
            answer, _ = worker.ask(
                "run",
                jobs=[str(path) for path in paths],
                folder=folder,
                models=[str(file) for file in files],
                cores=cores,
                parameters=dict(parameters or {}),
            )
            tables = {
                _name(Path(file)): read_exported(file)
                for files_of in answer["tables"].values()
                for file in files_of
            }
        finally:
            worker.close()
    return JobResult(answer["description"], answer["calculation_mode"], tables, answer["failed"])


def _name(path: Path) -> str:
    """``hazard_curve-mean-PGA`` of ``hazard_curve-mean-PGA_12.csv``."""
    return re.sub(r"-?_\d+$", "", path.stem)


def read_exported(path: str | Path) -> pd.DataFrame:
    """Return a table that OpenQuake exported as CSV, its line of provenance left out.

    Raises
    ------
    FormatError
        When it has no header or no such form.
    """
    import pandas as pd

    try:
        return pd.read_csv(path, comment="#")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise FormatError(f"{path} is not a table of OpenQuake: {error}") from error
