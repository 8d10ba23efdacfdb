"""The verbs ``kaname archive manifest`` and ``kaname archive mirror``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from kaname.cli._archive import Failures, Root, finish
from kaname.cli._options import AsJson
from kaname.core.errors import InputError

Deep = Annotated[bool, typer.Option("--deep", help="Read every byte, so that silent damage is found.")]


def manifest(root: Root, deep: Deep = False, as_json: AsJson = False, failures: Failures = None) -> None:
    """Sign what an archive holds, so that it can be copied; of a copy, say how it differs from its origin."""
    from kaname.archive.inventory import is_origin, publish
    from kaname.archive.signing import key_text
    from kaname.archive.store import Archive
    from kaname.core.progress import progress

    with Archive(root) as archive:
        signed, found = publish(archive, deep=deep, progress=progress)
    n_byte = sum(entry.size for entry in signed.entries)
    summary = {
        "key": key_text(signed.key),
        "made": signed.made,
        "origin": is_origin(root),
        "n_file": len(signed.entries),
        "n_byte": n_byte,
        "n_hashed": found.n_hashed,
    }
    text = (
        f"{len(signed.entries)} files, {n_byte} bytes, signed at {signed.made} by {summary['key']}"
        f"{'' if summary['origin'] else ' (this is a copy)'}"
    )
    finish(summary, text, found.failures, as_json, failures)


def mirror(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="Archive, copy, or http(s)://SERVER/mirror.")
    ],
    root: Annotated[Path, typer.Argument(metavar="COPY", help="Folder of the copy.")],
    key: Annotated[str | None, typer.Option("--key", help="Public key that the origin must have.")] = None,
    deep: Deep = False,
    adopt: Annotated[bool, typer.Option("--adopt", help="Take a folder with files of another way.")] = False,
    user: Annotated[
        str | None,
        typer.Option("--user", help="Account at the server; password: KANAME_PASSWORD or asked for."),
    ] = None,
    as_json: AsJson = False,
    failures: Failures = None,
) -> None:
    """Make COPY hold what the origin signed: verified, resumed after a break, repaired where it diverged."""
    from kaname.archive.mirror import mirror as copy
    from kaname.archive.signing import key_of, key_text
    from kaname.core.progress import progress

    report = copy(
        source,
        root,
        key=None if key is None else key_of(key),
        deep=deep,
        adopt=adopt,
        user=user,
        password="" if user is None else _password(user),
        progress=progress,
    )
    signed = report.manifest
    summary = {
        "key": key_text(signed.key),
        "made": signed.made,
        "n_file": len(signed.entries),
        "n_fetched": report.n_fetched,
        "n_byte": report.n_byte,
        "n_refused": report.n_refused,
        "aside": report.aside,
    }
    text = (
        f"{len(signed.entries)} files signed at {signed.made} by {summary['key']}; {report.n_fetched} copied "
        f"({report.n_byte} bytes), {report.n_refused} refused, {len(report.aside)} put aside"
    )
    finish(summary, text, report.failures, as_json, failures)


def _password(user: str) -> str:
    password = os.environ.get("KANAME_PASSWORD", "")
    if not password and sys.stdin.isatty():
        password = typer.prompt(f"Password of {user}", hide_input=True)
    if not password:
        raise InputError(f"no password of {user}: set KANAME_PASSWORD")
    return password
