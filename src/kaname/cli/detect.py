"""Find the stretches of continuous records in which an earthquake is in progress."""

from __future__ import annotations

from typing import Annotated

import typer

from kaname.cli._options import AsJson, Out, Workers


def command(
    data: Annotated[
        list[str], typer.Argument(metavar="DATA...", help="Files, directories, globs or archives.")
    ],
    out: Out,
    start: Annotated[str | None, typer.Option("--start", help="First time, UTC, ISO 8601.")] = None,
    end: Annotated[str | None, typer.Option("--end", help="First time no longer wanted, UTC.")] = None,
    threshold: Annotated[
        float | None, typer.Option("--threshold", help="Least probability; none: the model's own.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option("--weights", help="Weights in the package, or an .onnx file.")
    ] = None,
    workers: Workers = 1,
    as_json: AsJson = False,
) -> None:
    """Find earthquakes in progress; write detections.parquet, failures.parquet and run.json.

    A detection lasts from P into the coda of S on one sensor and carries the highest probability within.
    """
    from kaname.automation.detect import DETECTIONS, WEIGHTS, Detector, DetectorSettings
    from kaname.cli._streams import detect_sensor, run_sensors
    from kaname.core.errors import InputError

    if threshold is not None and not 0 < threshold < 1:
        raise InputError(f"--threshold must lie between 0 and 1, found {threshold}")
    settings = DetectorSettings(weights=weights or WEIGHTS, threshold=threshold)
    Detector(settings)  # weights that are not there are found out before anything is read
    run_sensors(
        detect_sensor,
        data,
        out,
        settings,
        {"detections": DETECTIONS},
        start=start,
        end=end,
        workers=workers,
        as_json=as_json,
        label="Detect",
    )
