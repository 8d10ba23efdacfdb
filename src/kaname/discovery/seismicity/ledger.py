"""The ledger: every evaluation on a test period is written down, so that none is chosen by the test."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from pathlib import Path

from kaname import __version__
from kaname.core.errors import FormatError
from kaname.core.files import replacing
from kaname.discovery.seismicity.contract import Score, Target

COLUMNS = (
    "date",
    "version",
    "data",
    "model",
    "start",
    "end",
    "magnitude_min",
    "n",
    "expected",
    "temporal",
    "spatial",
    "joint",
    "remark",
)


def append(
    path: str | Path, *, data: str, model: str, target: Target, score: Score, remark: str = ""
) -> None:
    """Append one evaluation to a ledger (CSV); the file is made when it is not there.

    Parameters
    ----------
    path
        The ledger, such as ``docs/ledger-seismicity.csv``.
    data, model
        What was scored: name of the catalogue, and of the model with its options.
    target, score
        Period, and what was found.
    remark
        What was assumed.

    Raises
    ------
    FormatError
        When the file is there and is no ledger.
    """
    file = Path(path)
    text = file.read_text(encoding="utf-8") if file.is_file() else ",".join(COLUMNS) + "\n"
    if text.split("\n", 1)[0].split(",") != list(COLUMNS):
        raise FormatError(f"{file} is no ledger: its first line must be {','.join(COLUMNS)}")
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(
        [
            datetime.now(UTC).strftime("%Y-%m-%d"), __version__, data, model,
            str(target.start)[:10], str(target.end)[:10], target.magnitude_min, score.n,
            f"{score.expected:.1f}", f"{score.temporal:.4f}", f"{score.spatial:.4f}", f"{score.joint:.4f}",
            remark,
        ]
    )  # fmt: skip
    with replacing(file) as partial:
        partial.write_text(text + line.getvalue(), encoding="utf-8")
