"""Keep continuous data: add, index, list, check, read, measure, copy and protect."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from kaname.cli._archive import End, Failures, Ids, Root, Start, finish, print_table
from kaname.cli._archive_access import access
from kaname.cli._archive_access import app as user_app
from kaname.cli._archive_copy import manifest, mirror
from kaname.cli._archive_quality import measured, quality
from kaname.cli._options import AsJson
from kaname.core.errors import InputError, NotFoundError

app = typer.Typer(
    no_args_is_help=True,
    help="Keep continuous data: add, index, list, check, read, measure, copy and protect.",
)


@app.command()
def add(
    root: Root,
    paths: Annotated[list[Path], typer.Argument(metavar="DATA...", help="Files, and folders for all below.")],
    network: Annotated[str, typer.Option(help="Network code for sources that state none.")] = "",
    channels: Annotated[
        list[Path] | None,
        typer.Option("--channels", help="Channel table of WIN or WIN32; may be repeated."),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            "--format", help="Format where it is not recognised: win-tilt, win-utc, win32-utc (clock in UTC)."
        ),
    ] = None,
    version: Annotated[
        int | None, typer.Option("--miniseed", help="miniSEED version to write; 2 where the codes fit it.")
    ] = None,
    record_length: Annotated[int, typer.Option(help="Longest record [bytes].")] = 512,
    as_json: AsJson = False,
    failures: Failures = None,
) -> None:
    """Copy waveforms of any readable format into day files; nothing is stored twice or overwritten."""
    from kaname.archive.store import Archive
    from kaname.core.progress import progress

    if not 128 <= record_length <= 131072 or (version != 3 and record_length & (record_length - 1)):
        raise InputError(
            f"--record-length must be a power of two from 128 to 131072 bytes, found {record_length}"
        )
    with Archive(root) as archive:
        report = archive.add(
            paths,
            network=network,
            channels=channels or (),
            format=format,
            version=None if version is None else _version(version),
            record_length=record_length,
            progress=progress,
        )
    if not report.n_file and not report.failures:
        raise NotFoundError(f"there are no files in {', '.join(map(str, paths))}")
    summary = {
        "n_file": report.n_file,
        "n_stored": report.n_stored,
        "n_known": report.n_known,
        "n_day_file": len(report.day_files),
    }
    text = (
        f"{report.n_file} files read, {report.n_stored} samples stored in {len(report.day_files)} day files, "
        f"{report.n_known} samples of times already there"
    )
    finish(summary, text, report.failures, as_json, failures, nothing=report.n_file == 0)


@app.command()
def index(
    root: Root,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Forget the index and make it anew.")] = False,
    as_json: AsJson = False,
    failures: Failures = None,
) -> None:
    """Bring the index up to date with the files, which may lie in any layout."""
    from kaname.archive.store import Archive
    from kaname.core.progress import progress

    with Archive(root) as archive:
        report = archive.index(rebuild=rebuild, progress=progress)
    summary = {
        "n_file": report.n_file,
        "n_scanned": report.n_scanned,
        "n_appended": report.n_appended,
        "n_removed": report.n_removed,
        "n_record": report.n_record,
        "skipped": report.skipped,
    }
    text = (
        f"{report.n_file} files, {report.n_scanned} read ({report.n_record} records, {report.n_appended} "
        f"files had grown), {report.n_removed} gone, {len(report.skipped)} are no miniSEED"
    )
    finish(summary, text, report.failures, as_json, failures)


@app.command()
def ls(
    root: Root,
    ids: Ids = None,
    start: Start = None,
    end: End = None,
    gaps: Annotated[bool, typer.Option("--gaps", help="List the gaps.")] = False,
    overlaps: Annotated[bool, typer.Option("--overlaps", help="List what is there more than once.")] = False,
    as_json: AsJson = False,
) -> None:
    """List channels with first and last time, gaps and overlaps."""
    from kaname.archive.store import Archive

    if gaps and overlaps:
        raise InputError("--gaps and --overlaps are two different lists; ask for one")
    with Archive(root) as archive:
        what = archive.gaps if gaps else archive.overlaps if overlaps else archive.ls
        frame = what(ids or "*", start=start, end=end)
    print_table(frame, as_json)


@app.command()
def check(
    root: Root,
    deep: Annotated[bool, typer.Option("--deep", help="Read every byte and compare checksums.")] = False,
    as_json: AsJson = False,
    failures: Failures = None,
) -> None:
    """Compare the index with the files, and show the quality per channel and day that was measured."""
    from kaname.archive.store import Archive
    from kaname.core.progress import progress

    with Archive(root) as archive:
        rows = archive.check(deep=deep, progress=progress)
    summary, lines = measured(root)
    first = f"{len(rows)} faults of index and files" if rows else "index and files: nothing is wrong"
    finish(summary, "\n".join([first, *lines]), rows, as_json, failures)


@app.command()
def read(
    root: Root,
    ids: Ids = None,
    start: Start = None,
    end: End = None,
    out: Annotated[Path | None, typer.Option("--out", help="File to write.")] = None,
    format: Annotated[
        str,
        typer.Option("--format", help="miniseed2, miniseed3, sac (one stretch), win32, hdf5 (ASDF)."),
    ] = "miniseed2",
    as_json: AsJson = False,
    failures: Failures = None,
) -> None:
    """Read channels and a time range, to a file or as a summary."""
    from kaname.archive.store import Archive
    from kaname.core.time import isoformat
    from kaname.formats.writing import waveform_format

    form = waveform_format(format)
    with Archive(root) as archive:
        found = archive.read(ids or "*", start, end)
    if out is not None and found.blocks:
        form.write(found.blocks, out)
    blocks = [
        {
            "id": block.ids[0],
            "start": isoformat(block.start),
            "end": isoformat(block.end),
            "sampling_rate_hz": block.sampling_rate,
            "n_sample": block.n_sample,
            "least": _number(np.fmin.reduce(block.data[0])),
            "greatest": _number(np.fmax.reduce(block.data[0])),
        }
        for block in found.blocks
    ]
    lines = [
        f"{b['id']}  {b['start']}  {b['end']}  {b['sampling_rate_hz']:g} Hz  {b['n_sample']} samples  "
        f"{b['least']} to {b['greatest']}"
        for b in blocks
    ]
    text = "\n".join(lines) if blocks else "no data"
    summary = {"blocks": blocks, "out": None if out is None or not blocks else str(out)}
    finish(summary, text, found.failures, as_json, failures, nothing=not blocks and bool(found.failures))


def _number(value: np.generic) -> float | None:
    """Return a number that JSON knows; a block of nothing but NaN has none."""
    return value.item() if np.isfinite(value) else None


def _version(number: int) -> Any:
    if number not in (2, 3):
        raise InputError(f"miniSEED version must be 2 or 3, found {number}")
    return number


app.command()(quality)
app.command()(manifest)
app.command()(mirror)
app.command()(access)
app.add_typer(user_app, name="user")


def __getattr__(name: str) -> Any:
    """Give ``kaname config archive`` the settings of ``quality``, which the other verbs need not import."""
    if name == "Settings":
        from kaname.archive.quality import QualitySettings

        return QualitySettings
    raise AttributeError(name)
