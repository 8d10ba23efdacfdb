"""The files of an archive while they are read: sections as they are on disk now, and their samples."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np

from kaname.archive.index import Located, Stamp
from kaname.core.errors import FormatError
from kaname.core.waveform import Waveform
from kaname.formats.contract import WaveformRead
from kaname.formats.miniseed_records import scan_records
from kaname.formats.miniseed_sections import Section, decode, sections


class Shelf:
    """The files of an archive while one read lasts; at most `LIMIT` are open."""

    LIMIT = 64

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.open: dict[str, int] = {}
        self.anew: dict[str, list[Section]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self.open.values():
            os.close(file)
        self.open.clear()

    def _file(self, path: str) -> int:
        if path not in self.open:
            if len(self.open) >= self.LIMIT:
                self.__exit__(None)
            self.open[path] = os.open(f"{self.root}/{path}", os.O_RDONLY | os.O_CLOEXEC)
        return self.open[path]

    def current(self, located: Sequence[Located], out: WaveformRead) -> list[tuple[Section, str]]:
        """Return the sections as they are on disk: a file that has changed is scanned anew, whole."""
        current: list[tuple[Section, str]] = []
        scanned = set()
        for each in located:
            try:
                if Stamp.of(os.fstat(self._file(each.path))) == each.stamp:
                    current.append((each.section, each.path))
                elif each.path not in scanned:
                    scanned.add(each.path)
                    if each.path not in self.anew:
                        self.anew[each.path] = sections(scan_records(f"{self.root}/{each.path}"))
                    current += [(s, each.path) for s in self.anew[each.path] if s.id == each.section.id]
            except (OSError, FormatError) as error:
                self._fail(out, each.path, error)
        return sorted(current, key=lambda item: item[0].origin) if scanned else current

    def decode(
        self,
        section: Section,
        path: str,
        start: np.datetime64 | None,
        end: np.datetime64 | None,
        out: WaveformRead,
    ) -> list[Waveform]:
        """Decode what of a section lies in a window; what cannot be read becomes a failure."""

        def fetch(offset: int, size: int) -> bytes:
            data = os.pread(self._file(path), size, offset)
            if len(data) < size:
                raise FormatError(
                    f"the file ends at byte {offset + len(data)}, {offset + size} were expected"
                )
            return data

        try:
            part = decode(section, fetch, start=start, end=end)
        except (OSError, FormatError) as error:
            self._fail(out, path, error)
            return []
        out.failures += [{"step": "read", "subject": f"{self.root}/{path}", **row} for row in part.failures]
        return part.blocks

    def _fail(self, out: WaveformRead, path: str, error: Exception) -> None:
        reason = getattr(error, "strerror", None) or error
        out.fail(Path(self.root, path), f"cannot be read: {reason}", kind="StorageError")
