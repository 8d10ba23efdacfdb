"""Print the commented configuration of a verb."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kaname.cli import verb_module
from kaname.core.config import load_settings, to_toml
from kaname.core.errors import InputError


def command(
    verb: Annotated[str, typer.Argument(help="Verb, such as catalog.")],
    file: Annotated[
        Path | None, typer.Option("--check", help="Configuration to check and print instead of the default.")
    ] = None,
) -> None:
    """Print the commented configuration of a verb as TOML; save it, change it, pass it with --config."""
    settings = getattr(verb_module(verb), "Settings", None)
    if settings is None:
        raise InputError(
            f"kaname {verb} has no configuration of its own; its options are in kaname {verb} --help, and "
            "where --config is one of them it takes that of kaname catalog"
        )
    typer.echo(to_toml(settings if file is None else load_settings(settings, file)), nl=False)
