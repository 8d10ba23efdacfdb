"""Labelled sets: records with an analyst's P and S, in the layouts they are passed on in.

============= ==============================================================================================
layout        a folder with
============= ==============================================================================================
``npz``       ``NAME.csv`` (columns ``fname``, ``itp`` and or ``its``: samples, ``channels``: codes joined by
              ``_``) and ``NAME/*.npz`` whose ``data`` has shape (n_sample, 3), columns E, N, Z, 100 Hz
              (PhaseNet's and DeepDenoiser's layout)
``seisbench`` ``metadata.csv`` and ``waveforms.hdf5``, in chunks or not (`kaname.formats.seisbench_data`)
``sfile``     SEISAN S-files anywhere below, and the waveform files that they name anywhere below
============= ==============================================================================================

A record is read when it is asked for, so that a set may be larger than memory.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from kaname.core.errors import FormatError, InputError, KanameError, NotFoundError
from kaname.core.time import as_time, seconds_between
from kaname.core.waveform import Waveform, align, sensor_of
from kaname.formats.contract import read_waveforms

EPOCH = as_time("2000-01-01")
"""Start of a record whose set gives samples but no time."""
NPZ_RATE_HZ = 100.0
PHASES = {"P": "P", "Pg": "P", "Pn": "P", "p": "P", "S": "S", "Sg": "S", "Sn": "S", "s": "S"}
"""Labels taken, and the phase of the ``picks`` table they are; others (PmP, SKS) are left out."""

Keep = Callable[[str, str], bool]


@dataclass(frozen=True)
class LabelledRecord:
    """One sensor's record of one event."""

    source: str
    """Name of its set."""
    name: str
    event: str
    """Records of the same event have the same; what a split must not tear apart."""
    wave: Waveform
    labels: dict[str, tuple[np.datetime64, ...]]
    """Onsets by phase, on the clock of the waveform. A phase that nobody looked for is absent."""
    split: str = ""
    """``train``, ``dev`` or ``test`` where the set says so."""

    def seconds(self, phase: str) -> list[float]:
        """Return the labels of a phase in seconds from the start."""
        return [seconds_between(self.wave.start, t) for t in self.labels.get(phase, ())]

    def cut(self, first: int, last: int) -> LabelledRecord:
        """Return samples ``first`` to ``last`` (excluded) with the labels that lie in them."""
        wave = replace(self.wave, data=self.wave.data[:, first:last], start=self.wave.time(first))
        labels = {p: tuple(t for t in ts if wave.start <= t <= wave.end) for p, ts in self.labels.items()}
        return replace(self, wave=wave, labels={p: ts for p, ts in labels.items() if ts})


def random_window(record: LabelledRecord, *, most_s: float = 15.0) -> LabelledRecord:
    """Cut up to `most_s` off either end, by a hash of the name: in many sets P stands at the same sample.

    Nothing is cut within 5 s of a label.
    """
    rng = np.random.default_rng(int(hashlib.sha256(record.name.encode()).hexdigest()[:8], 16))
    n, rate = record.wave.n_sample, record.wave.sampling_rate
    most = round(most_s * rate)
    first, last = int(rng.integers(0, most)), n - int(rng.integers(0, most))
    onsets = [s * rate for p in record.labels for s in record.seconds(p)]
    if onsets:
        first = max(0, min(first, round(min(onsets) - 5 * rate)))
        last = min(n, max(last, round(max(onsets) + 5 * rate)))
    return record.cut(first, max(last, first + 1))


@dataclass
class LabelledSet:
    """A labelled set on disk.

    Parameters
    ----------
    root
        Its folder.
    name
        What it is called in results; by default the name of the folder.

    Raises
    ------
    NotFoundError
        When there is no such folder.
    FormatError
        When the folder has none of the layouts above.
    """

    root: Path
    name: str = ""
    failures: list[dict[str, Any]] = field(default_factory=list)
    """Rows of the failures table: what could not be read so far."""

    def __post_init__(self) -> None:
        self.root = Path(self.root)
        if not self.root.is_dir():
            raise NotFoundError(f"no folder {self.root}; expected a labelled set (see docs/bench.md)")
        self.name = self.name or self.root.resolve().name
        self.layout = _layout(self.root)

    def records(self, *, keep: Keep | None = None) -> Iterator[LabelledRecord]:
        """Read the records one by one, in the order of the set.

        Parameters
        ----------
        keep
            Tells from the event and the split that the set states whether to read a record.

        Raises
        ------
        MissingDependencyError
            When a package that the layout needs is not installed.
        FormatError
            When the list of the records cannot be read; a bad record only adds to `failures`.
        """
        if self.layout == "seisbench":
            from kaname.formats.seisbench_data import records

            yield from records(self, keep)
        elif self.layout == "npz":
            yield from _npz_records(self, keep)
        else:
            yield from _sfile_records(self, keep)

    def fail(self, subject: str | Path, error: Exception) -> None:
        """Add a row to `failures`."""
        row = {"step": "read", "subject": str(subject), "error": type(error).__name__, "message": str(error)}
        self.failures.append(row)


def _layout(root: Path) -> str:
    if (root / "metadata.csv").is_file() or any(root.glob("metadata_*.csv")):
        return "seisbench"
    if any(_lists_npz(table) for table in root.glob("*.csv")):
        return "npz"
    if next(_sfiles(root), None) is not None:
        return "sfile"
    raise FormatError(
        f"{root} is no labelled set: expected NAME.csv with a column fname and a folder NAME of npz files, "
        "SeisBench's metadata.csv and waveforms.hdf5, or SEISAN S-files"
    )


def _lists_npz(table: Path) -> bool:
    with table.open(encoding="utf-8", errors="replace") as file:
        header = set(file.readline().strip().split(","))
    return "fname" in header and bool(header & {"itp", "its"})


def _npz_records(given: LabelledSet, keep: Keep | None) -> Iterator[LabelledRecord]:
    for table in sorted(t for t in given.root.glob("*.csv") if _lists_npz(t)):
        with table.open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if keep is not None and not keep(row["fname"], ""):
                    continue
                path = table.with_suffix("") / row["fname"]
                try:
                    yield _npz_record(given.name, path, row)
                except (KanameError, OSError, ValueError, KeyError) as error:
                    given.fail(path, error)


def _npz_record(source: str, path: Path, row: dict[str, str]) -> LabelledRecord:
    with np.load(path) as archive:
        data = archive["data"].astype(np.float64)
    if data.ndim != 2 or data.shape[1] != 3:
        raise FormatError(f"data has shape {data.shape}, expected (n_sample, 3)")
    codes = row["channels"].split("_")
    if len(codes) not in (1, 3):
        raise FormatError(f"{len(codes)} channels {row['channels']!r}, expected the vertical alone or three")
    columns = [2] if len(codes) == 1 else [0, 1, 2]
    network, station = [*row["fname"].split("_"), ""][:2]
    ids = tuple(f"{network}.{station}..{code}" for code in codes)
    wave = Waveform(np.ascontiguousarray(data[:, columns].T), ids, EPOCH, NPZ_RATE_HZ)
    labels: dict[str, tuple[np.datetime64, ...]] = {}
    for phase, key in (("P", "itp"), ("S", "its")):
        if row.get(key):
            sample = float(row[key])
            if not 0 <= sample < wave.n_sample:
                raise FormatError(f"{key} {sample} lies outside the {wave.n_sample} samples")
            labels[phase] = (wave.time(sample),)
    return LabelledRecord(source, row["fname"], row["fname"], wave, labels)


def _sfiles(root: Path) -> Iterator[Path]:
    """S-files are told by their name, ``DD-HHMM-SSL.SYYYYMM``."""
    for path in sorted(root.rglob("*.S[12][0-9][0-9][0-9][01][0-9]")):
        if path.is_file():
            yield path


def _sfile_records(given: LabelledSet, keep: Keep | None) -> Iterator[LabelledRecord]:
    from obspy.io.nordic.core import read_nordic, readwavename
    from obspy.io.nordic.utils import NordicParsingError

    by_name = {p.name: p for p in given.root.rglob("*") if p.is_file()}
    for path in _sfiles(given.root):
        try:
            catalogue = read_nordic(str(path))
            names = [Path(name).name for name in readwavename(str(path))]
            if len(catalogue) != 1:
                raise FormatError(f"{len(catalogue)} events in one S-file, expected one")
            if missing := [name for name in names if name not in by_name] or not names:
                raise FormatError(f"waveform files {missing if names else 'none'} named are not here")
            # Ten minutes: the same event by two analysts stays together.
            key = str(catalogue[0].origins[0].time)[:15]
            if keep is None or keep(key, ""):
                yield from _sfile_event(given.name, path, key, catalogue[0], [by_name[n] for n in names])
        except (KanameError, OSError, ValueError, IndexError, NordicParsingError) as error:
            given.fail(path, error)


def _sfile_event(
    source: str, path: Path, key: str, event: Any, files: list[Path]
) -> Iterator[LabelledRecord]:
    channels: dict[str, list[Waveform]] = defaultdict(list)
    for file in files:
        for block in read_waveforms(file).blocks:
            channels[sensor_of(block.ids[0])].append(block)
    for sensor, blocks in sorted(channels.items()):
        station = sensor.split(".")[1]
        found: dict[str, list[np.datetime64]] = defaultdict(list)
        for pick in event.picks:
            if pick.waveform_id.station_code == station and pick.phase_hint in PHASES:
                found[PHASES[pick.phase_hint]].append(as_time(pick.time))
        wave = max(align(blocks), key=lambda b: (b.n_channel, b.n_sample))
        labels = {phase: tuple(times) for phase, times in found.items()}
        yield LabelledRecord(source, f"{path.name} {sensor}", key, wave, labels)


def time_of(record: LabelledRecord) -> np.datetime64:
    """Return the time of a record: its own, or where the set gives none, that in its name."""
    if record.wave.start != EPOCH:
        return record.wave.start
    found = re.search(r"(?<!\d)(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)\d*", record.name)
    if found is None:
        return record.wave.start
    year, month, day, hour, minute, second = found.groups()
    try:
        return np.datetime64(f"{year}-{month}-{day}T{hour}:{minute}:{second}", "ns")
    except ValueError:  # Fourteen digits that are no date.
        return record.wave.start


def shifted(record: LabelledRecord, seconds: float) -> LabelledRecord:
    """Return the record with its labels later by ``seconds``, where the two clocks differ."""
    if not np.isfinite(seconds):
        raise InputError(f"the offset of the clocks must be finite, found {seconds} s")
    shift = np.timedelta64(round(seconds * 1e9), "ns")
    return replace(record, labels={p: tuple(t + shift for t in ts) for p, ts in record.labels.items()})
