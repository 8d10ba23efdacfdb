"""What the verbs about seismicity share: catalogues and regions as they are given on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kaname.cli._options import edges_of, numbers

if TYPE_CHECKING:
    import pandas as pd

    from kaname.discovery.seismicity.completeness import CompletenessSteps
    from kaname.discovery.seismicity.region import Region

Catalogue = Annotated[
    list[Path], typer.Argument(metavar="CATALOG...", help="Events: QuakeML, CSV, ZMAP, JMA, ComCat, ...")
]
RegionFile = Annotated[
    Path | None, typer.Option("--region", help="Polygon: GeoJSON, or .npy of latitude, longitude.")
]
Completeness = Annotated[
    str,
    typer.Option(
        "--completeness",
        metavar="after-large|FILE",
        help="Where it changes: worse after large earthquakes (--large), or CSV of time and magnitude.",
    ),
]
Large = Annotated[
    str,
    typer.Option(
        "--large",
        metavar="M,G,H",
        help="Earthquakes of M or more hide others below M - G - H log10(days) after them.",
    ),
]
CALIFORNIA = "5.5,4.5,0.75"
"""Of ``--large``: Helmstetter, Kagan & Jackson (2006), doi:10.1785/0120050067, eq. 15."""


def completeness_of(
    given: str, large: str, events: pd.DataFrame, magnitude_min: float, magnitude_bin: float
) -> CompletenessSteps | None:
    """Return the completeness that ``--completeness`` asks for, None where it never changes.

    Raises
    ------
    NotFoundError, FormatError, InputError
        When there is no such file, it is no such table, or ``large`` are not three numbers.
    """
    from kaname.discovery.seismicity.completeness import CompletenessLaw, CompletenessSteps, after_large

    if not given:
        return None
    if given != "after-large":
        return CompletenessSteps.read(given)
    least, offset, slope = numbers("--large", large, 3)
    return after_large(
        events, magnitude_min=magnitude_min, large=least, law=CompletenessLaw(offset, slope),
        step=magnitude_bin or 0.1,
    )  # fmt: skip


def region_of(file: Path | None, bounds: str) -> Region | None:
    """Return the region that ``--region`` or ``--bounds`` gives, or none.

    Raises
    ------
    InputError
        When both are given; errors as `edges_of`.
    """
    from kaname.core.errors import InputError
    from kaname.discovery.seismicity.region import Region

    if file is not None and bounds:
        raise InputError("give the region either as --region FILE or as --bounds W,S,E,N, not both")
    if file is not None:
        return Region.read(file)
    if not bounds:
        return None
    west, south, east, north = edges_of(bounds)
    return Region.from_bounds(west, east, south, north)


def events_of(paths: list[Path]) -> tuple[pd.DataFrame, list[str]]:
    """Return the events that have a magnitude and a place, and what is to be said of the others.

    Raises
    ------
    InputError
        When none has.
    """
    from kaname.core.errors import InputError
    from kaname.formats.catalogs import read_events

    read = read_events(paths)
    notes = []
    if read.failures:
        notes.append(f"{len(read.failures)} entries were not read: {read.failures[0]['message']}")
    known = read.events[["magnitude", "latitude", "longitude"]].notna().all(axis=1)
    if not known.any():
        raise InputError(f"none of the {len(known)} events has a place and a magnitude")
    if not known.all():
        notes.append(f"{(~known).sum()} events without magnitude or place are left out.")
    return read.events[known].reset_index(drop=True), notes
