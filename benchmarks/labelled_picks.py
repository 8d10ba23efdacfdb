"""Records with an analyst's P and S, for calibrating and judging pickers.

Reads the real cases of the folder ``KANAME_DATA`` (default ``../shared/data``): ``picks/ncedc``,
``denoise/deepdenoiser`` (P only) and ``network/nz_samba_2013``. None of it is part of this project.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from kaname.automation.pick.clock import clock_offset
from kaname.formats.labelled import LabelledRecord, LabelledSet, random_window, shifted


@dataclass(frozen=True)
class Record(LabelledRecord):
    """One sensor's record of one event."""

    @property
    def reporting(self) -> bool:
        """Half of the events, by a hash of the name, are for calibrating; the others for reporting."""
        return bool(int(hashlib.sha256(self.event.encode()).hexdigest()[:8], 16) % 2)


def folder() -> Path:
    """Folder of the real cases."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("KANAME_DATA", default))


def ncedc(root: Path) -> list[Record]:
    """Single records of NCEDC with P and S; P stands at the same sample in all, so a random window is cut."""
    return [_own(random_window(r)) for r in LabelledSet(root / "picks/ncedc", "ncedc").records()]


def denoise(root: Path) -> list[Record]:
    """Single records with P."""
    return [_own(random_window(r)) for r in LabelledSet(root / "denoise/deepdenoiser", "denoise").records()]


def nz(root: Path) -> list[Record]:
    """Alpine Fault events, on the clock of the waveforms."""
    records = [_own(r) for r in LabelledSet(root / "network/nz_samba_2013", "nz").records()]
    offset = clock_offset([r for r in records if not r.reporting])
    return [_own(shifted(r, offset)) for r in records]


def all_records() -> list[Record]:
    """Every labelled record that is there."""
    root = folder()
    return ncedc(root) + denoise(root) + nz(root)


def _own(record: LabelledRecord) -> Record:
    return Record(**vars(record))
