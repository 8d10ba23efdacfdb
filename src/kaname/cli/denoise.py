"""Take the noise out of continuous records."""

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
    weights: Annotated[
        str | None, typer.Option("--weights", help="Weights in the package, or an .onnx file.")
    ] = None,
    workers: Workers = 1,
    as_json: AsJson = False,
) -> None:
    """Take the noise out of continuous records; write miniSEED, files.parquet, failures.parquet and run.json.

    The samples go to OUT/waveforms, one file per channel and day (SDS layout), as 32-bit floating point in
    the unit of the input. Rates must be multiples of 5 Hz.
    """
    from kaname.automation.denoise import WEIGHTS, Denoiser, DenoiserSettings
    from kaname.cli._streams import FILES, denoise_sensor, run_sensors

    settings = DenoiserSettings(weights=weights or WEIGHTS)
    Denoiser(settings)  # weights that are not there are found out before anything is read
    run_sensors(
        denoise_sensor,
        data,
        out,
        settings,
        {"files": FILES},
        start=start,
        end=end,
        workers=workers,
        as_json=as_json,
        label="Denoise",
    )
