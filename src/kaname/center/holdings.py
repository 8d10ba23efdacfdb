"""What a data centre holds: an archive, stations, events and who may read what, as they now are."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from kaname.archive.access import Access
from kaname.archive.index import Stamp
from kaname.archive.store import Archive
from kaname.center.events import Events
from kaname.center.metadata import Metadata
from kaname.center.parameters import Selection, matcher
from kaname.center.settings import Settings
from kaname.core.errors import KanameError

log = logging.getLogger("kaname.center")

T = TypeVar("T")


class Watched(Generic[T]):
    """Something made from files, made anew when they change; a file gone wrong leaves what was before.

    Parameters
    ----------
    paths
        The files.
    make
        Makes it.
    """

    LOOK_S = 2.0
    """How often the files are looked at [s]."""

    def __init__(self, paths: Sequence[Path], make: Callable[[Sequence[Path]], T]) -> None:
        self.paths = tuple(paths)
        self._make = make
        self._lock = threading.Lock()
        self._stamps = self._look()
        self._value = make(self.paths)
        self._looked = time.monotonic()

    def get(self) -> T:
        """Return it."""
        if time.monotonic() - self._looked > self.LOOK_S and self._lock.acquire(blocking=False):
            try:
                self._looked = time.monotonic()
                stamps = self._look()
                if stamps != self._stamps:
                    self._stamps = stamps
                    self._value = self._make(self.paths)
            except KanameError as error:
                log.error("%s; what was read before stays in service", error)
            finally:
                self._lock.release()
        return self._value

    def _look(self) -> list[Stamp | None]:
        return [Stamp.of(path.stat()) if path.exists() else None for path in self.paths]


class Holdings:
    """What a data centre holds.

    Parameters
    ----------
    archive
        Folder of the archive.
    stations, events
        Files, in any format that Kaname reads; each file of events is a catalogue.
    settings
        Names and limits.

    Raises
    ------
    NotFoundError
        When a file or the index of the archive is not there.
    FormatError
        When a file holds nothing that is known.
    """

    def __init__(
        self,
        archive: Path,
        *,
        stations: Iterable[Path] = (),
        events: Iterable[Path] = (),
        settings: Settings | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.archive = Archive(archive)
        self.archive.channels()  # an archive without an index is found out now, not at the first request
        self.access = Access.load(archive)
        self._stations = Watched(list(stations), lambda paths: Metadata.read(paths, self))
        self._events = Watched(list(events), Events.read)

    @property
    def stations(self) -> Metadata:
        """Stations and channels."""
        return self._stations.get()

    @property
    def events(self) -> Events:
        """Catalogues."""
        return self._events.get()

    def match(self, selection: Selection) -> list[str]:
        """Return the channels that a selection names, sorted; one named in full need not have data."""
        if selection.one:
            return [selection.one]
        known = self.archive.channels()
        fits = [matcher(field) for field in selection[:4]]
        return [i for i in known if all(fit(code) for fit, code in zip(fits, i.split(".")))]

    def is_restricted(self, identifier: str, user: str | None = None) -> bool:
        """Tell whether any of a channel's records may not be read by somebody."""
        policy = self.access.policy
        if not policy.rules:
            return False
        return not self.access.decide(user, identifier, _FIRST, _LAST, quiet=True).allowed


_FIRST, _LAST = np.datetime64("1678-01-01", "ns"), np.datetime64("2262-01-01", "ns")
