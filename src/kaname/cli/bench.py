"""Measure pickers, detectors and denoisers on labelled records, beside their peers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from kaname.cli._options import AsJson

app = typer.Typer(no_args_is_help=True, help="Measure methods on labelled records, beside their peers.")

Data = Annotated[
    list[str],
    typer.Argument(
        metavar="DATA...",
        help="Folders of labelled sets (npz and csv, SeisBench, S-files), simulated:NUMBER:SEED; or NAME=.",
    ),
]
MethodNames = Annotated[
    list[str] | None,
    typer.Option("--method", help="Method to measure; may be repeated. By default all that are installed."),
]
SplitName = Annotated[str, typer.Option("--split", help="Events: all, train, validation or test.")]
SplitBy = Annotated[
    str,
    typer.Option(
        "--split-by",
        help="What is held together where the set states no split: event or day (as kaname train does), or "
        "name (halves, as classical was calibrated).",
    ),
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="At most so many records of each set.")]
Clock = Annotated[
    list[str] | None,
    typer.Option(
        "--clock-offset",
        metavar="NAME=SECONDS",
        help="By how much the waveforms of a set are ahead of its labels, or NAME=auto; may be repeated.",
    ),
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of whatever is drawn.")]
OutFolder = Annotated[
    Path | None, typer.Option("--out", help="Folder for tables (Parquet, CSV), figures and report.html.")
]


@app.callback()
def _one_thread() -> None:
    """Measure methods on labelled records, beside their peers."""
    # Before numpy and the networks are imported: times are those of one thread.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")


@app.command()
def picking(
    data: Data,
    method: MethodNames = None,
    split: SplitName = "all",
    split_by: SplitBy = "event",
    min_probability: Annotated[
        float | None,
        typer.Option("--min-probability", min=0, max=1, help="Least probability; default: each method's."),
    ] = None,
    limit: Limit = None,
    clock_offset: Clock = None,
    window: Annotated[
        list[float] | None,
        typer.Option(
            "--window",
            metavar="SECONDS",
            help="Besides whole records, count in windows of this length about the labels; may be repeated.",
        ),
    ] = None,
    disputed: Annotated[
        bool,
        typer.Option("--disputed", help="Count apart what nobody labelled but two other methods pick too."),
    ] = False,
    noise_hours: Annotated[
        float, typer.Option("--noise-hours", min=0, help="Hours of long noise of each kind; 0: none.")
    ] = 1.0,
    swarm_rates: Annotated[
        str, typer.Option("--swarm-rates", help="Events per hour, separated by commas; empty: none.")
    ] = "30,120,420",
    seed: Seed = 0,
    out: OutFolder = None,
    as_json: AsJson = False,
) -> None:
    """Score pickers: recall, precision, F1, residuals, false picks, calibration, swarms, speed."""
    from kaname.cli._bench_picking import command

    command(
        data,
        methods=method or [],
        split=split,
        split_by=split_by,
        least=min_probability,
        limit=limit,
        clock=clock_offset or [],
        windows_s=window or [],
        disputed=disputed,
        noise_hours=noise_hours,
        swarm_rates=swarm_rates,
        seed=seed,
        out=out,
        as_json=as_json,
    )


@app.command()
def detection(
    data: Data,
    method: MethodNames = None,
    split: SplitName = "all",
    split_by: SplitBy = "event",
    limit: Limit = None,
    clock_offset: Clock = None,
    noise_hours: Annotated[
        float, typer.Option("--noise-hours", min=0, help="Hours of long noise of each kind; 0: none.")
    ] = 1.0,
    seed: Seed = 0,
    out: OutFolder = None,
    as_json: AsJson = False,
) -> None:
    """Score detectors: labelled events found, and false detections per hour of noise."""
    from kaname.cli._bench_detection import command

    command(
        data,
        methods=method or [],
        split=split,
        split_by=split_by,
        limit=limit,
        clock=clock_offset or [],
        noise_hours=noise_hours,
        seed=seed,
        out=out,
        as_json=as_json,
    )


@app.command()
def denoising(
    data: Data,
    method: MethodNames = None,
    split: SplitName = "all",
    split_by: SplitBy = "event",
    limit: Limit = None,
    mixtures: Annotated[
        int, typer.Option("--mixtures", min=1, help="Mixtures of each signal; at most one per other event.")
    ] = 6,
    seed: Seed = 0,
    out: OutFolder = None,
    as_json: AsJson = False,
) -> None:
    """Score denoisers: gain of signal over noise, from -5 to 20 dB, beside fixed band-passes."""
    from kaname.cli._bench_denoising import command

    command(
        data,
        methods=method or [],
        split=split,
        split_by=split_by,
        limit=limit,
        n_mixture=mixtures,
        seed=seed,
        out=out,
        as_json=as_json,
    )
