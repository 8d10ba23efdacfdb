"""The verbs ``kaname archive access`` and ``kaname archive user``."""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaname.cli._archive import End, Root, Start
from kaname.cli._options import AsJson
from kaname.core.errors import InputError

if TYPE_CHECKING:
    from kaname.archive.access import Access

app = typer.Typer(no_args_is_help=True, help="Who has an account at an archive: add, list and remove.")

Policy = Annotated[
    Path | None, typer.Option("--policy", metavar="FILE", help="Access policy; access.toml of the archive.")
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the user.")]


def access(
    root: Root,
    seed_id: Annotated[str, typer.Argument(metavar="ID", help="NET.STA.LOC.CHA, without wildcards.")],
    user: Annotated[str | None, typer.Option("--user", help="Who asks; by default anybody.")] = None,
    start: Start = None,
    end: End = None,
    policy: Policy = None,
    as_json: AsJson = False,
) -> None:
    """Say whether somebody may read a channel, and why not; by default all of it, from 1970 to now."""
    import time

    import numpy as np

    from kaname.core.time import as_time, isoformat

    if seed_id.count(".") != 3 or any(letter in seed_id for letter in "*?"):
        raise InputError(f"{seed_id!r} is not NET.STA.LOC.CHA, without wildcards")
    rules = _rules(root, policy)
    if user is not None and user not in rules.users:
        raise InputError(f"no user {user!r} in {rules.users.path}")
    low = as_time("1970-01-01" if start is None else start)
    high = np.datetime64(time.time_ns(), "ns") if end is None else as_time(end)
    decision = rules.decide(user, seed_id, low, high, quiet=True)
    pieces = [{"start": isoformat(a), "end": isoformat(b)} for a, b in decision.pieces]
    if as_json:
        said = {"allowed": decision.allowed, "reason": decision.reason, "contact": decision.contact}
        typer.echo(json.dumps({**said, "pieces": pieces}, indent=2))
        return
    for piece in pieces:
        typer.echo(f"may be read: {piece['start']} to {piece['end']}")
    if not decision.allowed:
        typer.echo(
            f"refused{' otherwise' if pieces else ''}: {decision.reason}; contact: {decision.contact or '-'}"
        )


@app.command()
def add(
    root: Root,
    name: Name,
    group: Annotated[list[str] | None, typer.Option("--group", help="Group; may be repeated.")] = None,
    generate: Annotated[bool, typer.Option("--generate", help="Make a password and print it.")] = False,
    digest: Annotated[
        bool, typer.Option("--digest/--no-digest", help="Keep what FDSN queryauth needs, see docs/access.md.")
    ] = True,
    policy: Policy = None,
) -> None:
    """Add a user, or change password and groups of one; the password is asked for, or the line on stdin."""
    rules = _rules(root, policy)
    if generate:
        password = secrets.token_urlsafe(18)
    elif sys.stdin.isatty():
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    rules.users.put(name, password, rules.realm, groups=group or (), digest=digest)
    if generate:
        typer.echo(password)


@app.command("list")
def list_(root: Root, policy: Policy = None, as_json: AsJson = False) -> None:
    """List users and their groups, and whether FDSN queryauth knows them."""
    rules = _rules(root, policy)
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "groups": sorted(rules.users.groups(name)),
            "digest": rules.digest(name, rules.realm) is not None,
        }
        for name in rules.users
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    for row in [] if as_json else rows:
        typer.echo(
            f"{row['name']}  {','.join(row['groups']) or '-'}  {'digest' if row['digest'] else 'no digest'}"
        )


@app.command()
def remove(root: Root, name: Name, policy: Policy = None) -> None:
    """Forget a user."""
    _rules(root, policy).users.remove(name)


def _rules(root: Path, policy: Path | None) -> Access:
    from kaname.archive.access import Access

    return Access.load(root if policy is None else policy)
