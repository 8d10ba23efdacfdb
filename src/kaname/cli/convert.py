"""Convert waveforms, stations and catalogues between formats, and prove it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kaname.cli._options import AsJson

if TYPE_CHECKING:
    import pandas as pd


def command(
    data: Annotated[
        list[Path],
        typer.Argument(
            metavar="DATA...", help="Files of any format that is read, and folders for all below."
        ),
    ],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help="sds (an archive), miniseed2, miniseed3, sac, win32, hdf5 (ASDF), "
            "quakeml, stationxml, csv, parquet.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder to write to.")],
    prove: Annotated[
        bool,
        typer.Option("--prove", help="Read back what was written and compare sample for sample."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that are there; otherwise they are failures.")
    ] = False,
    network: Annotated[str, typer.Option(help="Network code for sources that state none.")] = "",
    reader: Annotated[
        str | None,
        typer.Option(
            "--format", help="Format where it is not recognised: win-tilt, win-utc, win32-utc (clock in UTC)."
        ),
    ] = None,
    channels: Annotated[
        list[Path] | None,
        typer.Option(
            "--channels", help="Channel table of WIN or WIN32, to read and to write; may be repeated."
        ),
    ] = None,
    declaration: Annotated[
        Path | None,
        typer.Option("--declaration", help="TOML that says what series in CSV or radar images hold."),
    ] = None,
    start: Annotated[str | None, typer.Option("--start", help="First time, UTC, ISO 8601.")] = None,
    end: Annotated[str | None, typer.Option("--end", help="First time no longer wanted, UTC.")] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes on this machine.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Convert files of any format that is read; a run that was cut off is taken up by the same command.

    Writes converted.parquet, proofs.parquet, failures.parquet and run.json beside what it converts.
    """
    from kaname.cli._convert import convert
    from kaname.cli._steps import finish, tell_failures
    from kaname.core import tables
    from kaname.core.errors import KanameError, NotFoundError
    from kaname.core.time import as_time
    from kaname.formats.conversion import CONVERTED, Wish
    from kaname.formats.proof import PROOFS

    wish = Wish(
        to,
        prove=prove,
        overwrite=overwrite,
        network=network,
        reader=reader,
        channels=tuple(channels or ()),
        declaration=declaration,
        start=None if start is None else as_time(start),
        end=None if end is None else as_time(end),
    )
    found = convert(data, out, wish, workers=workers)
    converted, proofs, failures = (found[name] for name in ("converted", "proofs", "failures"))
    if converted.empty and failures.empty:
        raise NotFoundError(f"there are no files in {', '.join(map(str, data))}")
    if prove and not as_json and len(proofs):
        typer.echo("proof, by what was compared")
        typer.echo(judged(proofs).to_string(index=False))
    written = {"converted": (converted, CONVERTED)} | ({"proofs": (proofs, PROOFS)} if prove else {})
    if converted.empty and len(failures):
        tables.write_table(failures, out / "failures.parquet", tables.FAILURES)
        tell_failures(failures.to_dict("records"), str(out / "failures.parquet"))
        raise KanameError(f"nothing was converted; {out / 'failures.parquet'} says why of each file")
    finish(out, written, failures, as_json=as_json)


def judged(proofs: pd.DataFrame) -> pd.DataFrame:
    """Return, of all proofs, how often each aspect came out how, the largest difference and an example."""
    groups = proofs.groupby(["aspect", "verdict"], sort=False)
    summed = groups[["n_compared", "n_different"]].sum()
    summed["largest"] = groups["largest"].max()
    summed["example"] = groups["detail"].max()
    return summed.reset_index()
