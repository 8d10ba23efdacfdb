"""Fetch records into an archive, and stations and events, from data centres."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaname.cli._options import AsJson

if TYPE_CHECKING:
    from kaname.archive.fetch import Piece
    from kaname.archive.fetch_http import Server

app = typer.Typer(no_args_is_help=True, help="Fetch records into an archive, and stations and events.")

_SHOWN = 20

Root = Annotated[Path, typer.Argument(metavar="ARCHIVE", help="Folder of the archive; made when absent.")]
Ids = Annotated[
    list[str], typer.Argument(metavar="ID...", help="NET.STA.LOC.CHA; * and ? stand for letters.")
]
Start = Annotated[str, typer.Option("--start", help="First time, UTC, ISO 8601.")]
End = Annotated[str, typer.Option("--end", help="First time no longer wanted, UTC.")]
Url = Annotated[
    str, typer.Option("--url", help="Address of the data centre, or a name such as EARTHSCOPE or GEOFON.")
]
Threads = Annotated[int, typer.Option("--threads", min=1, max=16, help="Requests at a time.")]
Tries = Annotated[int, typer.Option("--tries", min=1, help="How often to ask when a request fails.")]
Pause = Annotated[
    float, typer.Option("--pause", min=0, help="Seconds after the first failure; doubles with each.")
]
Again = Annotated[bool, typer.Option("--again", help="Ask again for what the source had no data of.")]
Failures = Annotated[
    Path | None, typer.Option("--failures", metavar="FILE", help="Write the failures table (Parquet) here.")
]


@app.command()
def fdsn(
    root: Root,
    ids: Ids,
    start: Start,
    end: End,
    url: Url,
    hours: Annotated[float, typer.Option("--hours", min=0.01, help="Length of one request.")] = 24.0,
    restricted: Annotated[
        bool, typer.Option("--restricted", help="Log in with KANAME_FDSN_USER, see docs/fetch.md.")
    ] = False,
    threads: Threads = 4,
    tries: Tries = 5,
    pause: Pause = 1.0,
    again: Again = False,
    as_json: AsJson = False,
    failures: Failures = None,
) -> None:
    """Fetch records from FDSN web services."""
    from kaname.archive.fetch_fdsn import Fdsn
    from kaname.core.time import as_time

    centre = Fdsn(url, _server(tries, pause, login=restricted))
    pieces = centre.pieces(ids, as_time(start), as_time(end), hours=hours)
    _fetch(root, pieces, threads, again, as_json, failures)


@app.command()
def s3(
    root: Root,
    ids: Ids,
    start: Start,
    end: End,
    bucket: Annotated[
        str,
        typer.Option("--bucket", help="earthscope, scedc, ncedc, or the address of another with --layout."),
    ] = "earthscope",
    layout: Annotated[
        str | None,
        typer.Option("--layout", help="Names of its objects, such as {network}/{year}/{doy}/{station}."),
    ] = None,
    threads: Threads = 4,
    tries: Tries = 5,
    pause: Pause = 1.0,
    again: Again = False,
    as_json: AsJson = False,
    failures: Failures = None,
) -> None:
    """Fetch records from open data in S3, without an account."""
    from kaname.archive.fetch_s3 import BUCKETS, Bucket, s3_pieces
    from kaname.core.errors import InputError
    from kaname.core.time import as_time

    if layout is not None:
        known = Bucket(BUCKETS[bucket].url if bucket in BUCKETS else bucket.rstrip("/"), layout)
    elif bucket in BUCKETS:
        known = BUCKETS[bucket]
    else:
        raise InputError(f"no bucket {bucket!r}; known are {', '.join(BUCKETS)}, others need --layout")
    pieces = s3_pieces(known, _server(tries, pause), ids, as_time(start), as_time(end))
    _fetch(root, pieces, threads, again, as_json, failures)


@app.command()
def hinet(
    root: Root,
    network: Annotated[str, typer.Argument(help="Code of NIED, such as 0101 (Hi-net) or 0103 (F-net).")],
    start: Start,
    end: End,
    stations: Annotated[
        list[str] | None,
        typer.Option("--station", help="Stations to select in the account, such as N.AAKH; may be repeated."),
    ] = None,
    again: Again = False,
    as_json: AsJson = False,
    failures: Failures = None,
) -> None:
    """Fetch records of NIED's networks with your account, through HinetPy (docs/fetch.md)."""
    from kaname.archive.fetch_hinet import Hinet
    from kaname.core.time import as_time

    pieces = Hinet().pieces(network, as_time(start), as_time(end), stations=stations or ())
    _fetch(root, pieces, 1, again, as_json, failures)


@app.command()
def stations(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="StationXML to write.")],
    ids: Ids,
    start: Start,
    end: End,
    url: Url,
    tries: Tries = 5,
    pause: Pause = 1.0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Fetch stations with responses as StationXML."""
    from kaname.archive.fetch_fdsn import Fdsn
    from kaname.core.errors import InputError, NotFoundError
    from kaname.core.time import as_time

    if out.exists() and not overwrite:
        raise InputError(f"{out} is there already; choose another name, or --overwrite")
    centre = Fdsn(url, _server(tries, pause))
    if centre.save_stations(ids, as_time(start), as_time(end), out) is None:
        raise NotFoundError(f"{url} knows no channel {', '.join(ids)} between {start} and {end}")
    typer.echo(out)


@app.command()
def events(
    out: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder for QuakeML files.")],
    start: Start,
    end: End,
    url: Url,
    parameters: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="NAME=VALUE",
            help="Parameter of the service, such as minmagnitude=3; may be repeated.",
        ),
    ] = None,
    tries: Tries = 5,
    pause: Pause = 1.0,
) -> None:
    """Fetch events as QuakeML; what the service finds too much is asked for in parts."""
    from kaname.archive.fetch_fdsn import Fdsn
    from kaname.core.errors import InputError
    from kaname.core.time import as_time

    given = dict(text.partition("=")[::2] for text in parameters or ())
    if not all(given.values()):
        raise InputError(f"--with takes NAME=VALUE, found {', '.join(parameters or ())}")
    centre = Fdsn(url, _server(tries, pause))
    files, empty = centre.save_events(as_time(start), as_time(end), out, given)
    for path in files:
        typer.echo(path)
    for span in empty:
        typer.echo(f"no events from {span}", err=True)


def _server(tries: int, pause: float, *, login: bool = False) -> Server:
    from kaname.archive.fetch_http import Patience, Server, login_of
    from kaname.core.errors import InputError

    known = login_of("fdsn") if login else None
    if login and known is None:
        raise InputError("--restricted needs KANAME_FDSN_USER and its password, see docs/fetch.md")
    return Server(Patience(tries=tries, pause_s=pause), known)


def _fetch(
    root: Path, pieces: Sequence[Piece], threads: int, again: bool, as_json: bool, failures: Path | None
) -> None:
    from kaname.archive.fetch import fetch
    from kaname.archive.store import Archive
    from kaname.core.errors import ExitCode
    from kaname.core.progress import progress
    from kaname.core.tables import FAILURES, table, write_table

    with Archive(root) as archive:
        report = fetch(pieces, archive, threads=threads, again=again, progress=progress)
    frame = table(report.failures, FAILURES)
    if failures is not None:
        write_table(frame, failures, FAILURES)
    counts: dict[str, Any] = {
        "pieces": report.n_piece,
        "settled_before": report.n_before,
        "data": report.n_data,
        "nodata": report.n_nodata,
        "bytes": report.n_byte,
        "samples_stored": report.n_stored,
        "failures": len(frame),
    }
    if as_json:
        typer.echo(json.dumps(counts))
    else:
        typer.echo(
            f"{report.n_piece} requests: {report.n_data} with data ({report.n_byte / 1e6:.1f} MB, "
            f"{report.n_stored} samples stored), {report.n_nodata} without, {report.n_before} settled before"
        )
    for row in report.failures[:_SHOWN]:
        typer.echo(f"{row['subject']}: {row['error']}: {row['message']}", err=True)
    if report.failures:
        settled = report.n_data + report.n_nodata + report.n_before
        raise typer.Exit(ExitCode.PARTIAL if settled else ExitCode.ERROR)
