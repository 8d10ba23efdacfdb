"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Out = Annotated[Path, typer.Option("--out", help="Folder for the results.")]
StationFiles = Annotated[
    list[Path], typer.Option("--stations", help="Stations, see kaname catalog --help; may be repeated.")
]
Config = Annotated[
    Path | None,
    typer.Option("--config", help="TOML file of kaname catalog; the section of this step is used."),
]
Model = Annotated[
    str, typer.Option("--velocity-model", help="CSV, NonLinLoc or SEISAN file, or iasp91 or ak135.")
]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Processes on this machine.")]
Cluster = Annotated[
    str | None, typer.Option("--cluster", metavar="tcp://...", help="Dask scheduler to work on.")
]
Bounds = Annotated[
    str,
    typer.Option("--bounds", metavar="W,S,E,N", help="West, south, east, north in degrees, as in GeoJSON."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def numbers(name: str, text: str, n: int) -> list[float]:
    """Return the numbers of an option that takes ``n`` of them, separated by commas.

    Raises
    ------
    InputError
        When they are not so many numbers.
    """
    from kaname.core.errors import InputError

    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != n:
        raise InputError(f"{name} takes {n} numbers separated by commas, found {text!r}")
    return values


def edges_of(bounds: str) -> tuple[float, float, float, float]:
    """Return west, south, east, north (the order of RFC 7946, section 5) of the words of ``--bounds``.

    Raises
    ------
    InputError
        When they are not four numbers, or enclose nothing on the earth.
    """
    from kaname.core.errors import InputError

    first, second, third, fourth = numbers("--bounds", bounds, 4)
    if _enclose(first, second, third, fourth):
        return first, second, third, fourth
    hint = ""
    if _enclose(first, third, second, fourth):
        hint = f"; is it W,E,S,N? Then give --bounds={first:g},{third:g},{second:g},{fourth:g}"
    raise InputError(
        f"--bounds takes west, south, east, north in degrees, found {bounds}: west must be below east, both "
        f"within -180 and 180, south below north, both within -90 and 90{hint}"
    )


def _enclose(west: float, south: float, east: float, north: float) -> bool:
    return -180 <= west < east <= 180 and -90 <= south < north <= 90
