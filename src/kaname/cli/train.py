"""Train the networks; needs the extra train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(no_args_is_help=True, help="Train the networks; needs the extra train.")

Config = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="TOML file; kaname train default NAME prints one.")
]
Out = Annotated[Path, typer.Option("--out", help="Folder for the network, checkpoints and simulated data.")]
Anew = Annotated[bool, typer.Option("--anew", help="Start anew where there is a checkpoint.")]

KINDS = {"picker": "PickerConfig", "detector": "DetectorConfig", "denoiser": "DenoiserConfig"}


@app.command()
def picker(config: Config, out: Out, anew: Anew = False) -> None:
    """Train a phase picker; a run that was cut off is taken up."""
    _train("picker", config, out, anew)


@app.command()
def detector(config: Config, out: Out, anew: Anew = False) -> None:
    """Train a detector of earthquakes; a run that was cut off is taken up."""
    _train("detector", config, out, anew)


@app.command()
def denoiser(config: Config, out: Out, anew: Anew = False) -> None:
    """Train a denoiser; a run that was cut off is taken up."""
    _train("denoiser", config, out, anew)


@app.command()
def default(
    kind: Annotated[str, typer.Argument(metavar="NAME", help="picker, detector or denoiser.")],
) -> None:
    """Print the commented configuration of a network as TOML; save it, change it, train with it."""
    from kaname.core.config import to_toml

    typer.echo(to_toml(getattr(_module(kind), KINDS[kind])), nl=False)


def _train(kind: str, config: Path, out: Path, anew: bool) -> None:
    from kaname.core.config import load_settings

    module = _module(kind)
    module.train(load_settings(getattr(module, KINDS[kind]), config), out, resume=not anew)
    typer.echo(f"{out / kind}.pt")


def _module(kind: str) -> Any:
    """Import the training of a network; torch comes with it."""
    from importlib import import_module

    from kaname.core.errors import InputError, MissingDependencyError

    if kind not in KINDS:
        raise InputError(f"no network {kind!r}; known are {', '.join(KINDS)}")
    try:
        return import_module(f"kaname.learn.train.{kind}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "kaname":
            raise
        raise MissingDependencyError(
            f"training needs the package {error.name}; install it with: pip install 'kaname[train]'"
        ) from error
