"""Be a data centre: FDSN web services, SeedLink and web pages of an archive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kaname.center.settings import Settings as Settings
else:

    def __getattr__(name: str) -> object:
        if name == "Settings":
            from kaname.center.settings import Settings

            return Settings
        raise AttributeError(name)


def command(
    archive: Annotated[Path, typer.Argument(metavar="ARCHIVE", help="Folder of the archive.")],
    stations: Annotated[
        list[Path] | None,
        typer.Option("--stations", help="StationXML, CSV, STATION0.HYP, ...; may be repeated."),
    ] = None,
    events: Annotated[
        list[Path] | None,
        typer.Option("--events", help="QuakeML, CSV, ...; each file or folder is a catalogue."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any that is free.")] = 8080,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that answer; by default one for each core, at most 8."),
    ] = None,
    seedlink: Annotated[
        int | None, typer.Option("--seedlink", min=1, max=65535, help="Serve SeedLink too, at this port.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="TOML file; see kaname config serve.")
    ] = None,
) -> None:
    """Serve an archive to ObsPy, other FDSN clients and browsers until interrupted with Ctrl-C."""
    from kaname.center.holdings import Holdings
    from kaname.center.serving import bind, run
    from kaname.center.settings import Settings
    from kaname.core.config import load_settings

    settings = load_settings(Settings, config)
    files = {"stations": stations or [], "events": events or []}
    holdings = Holdings(archive, **files, settings=settings)
    for row in [*holdings.stations.failures, *holdings.events.failures]:
        typer.echo(f"{row['subject']}: {row['error']}: {row['message']}", err=True)
    listening = bind(host, port)
    at = f"http://{'localhost' if host == '127.0.0.1' else host}:{listening.getsockname()[1]}"
    typer.echo(
        f"{len(holdings.archive.channels())} channels, {len(holdings.stations.stations)} stations, "
        f"{len(holdings.events.table)} events at {settings.url or at}"
    )
    holdings.archive.close()
    address = None if seedlink is None else (host, seedlink)
    run(archive, listening, **files, settings=settings, workers=workers, seedlink=address)
