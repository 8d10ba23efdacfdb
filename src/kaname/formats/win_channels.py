"""Channel tables of the WIN system (``.ch``): which sensor stands behind each channel number.

One line per channel, columns apart by blanks, ``#`` before a comment; see ``docs/formats-win.md``. The table
states names and responses but neither epochs nor sampling rates, so both can be given: tables of several days
make epochs, and the rate decides the band code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from kaname.core.errors import FormatError, InputError, NotFoundError
from kaname.core.time import as_time, isoformat
from kaname.core.waveform import Waveform
from kaname.formats.contract import WaveformRead, seed_id
from kaname.formats.win_names import band_code, channel_key

NETWORKS: dict[str, str] = {"N": "BO"}
"""FDSN network for the letters before the point of a station name (``N.``: NIED); others stay as they are."""
DEFAULT_RATE = 100.0
"""Of most Japanese networks [Hz]."""
_ENCODINGS = ("utf-8-sig", "euc_jp", "shift_jis")
_FEWEST, _PLACED = 13, 16
_JST = np.timedelta64(9, "h")
_UNIT = {"m": "m", "m/s": "m/s", "m/s/s": "m/s^2", "m/s**2": "m/s^2", "m/s^2": "m/s^2", "m/s2": "m/s^2"}
_INSTRUMENT = {"m": "H", "m/s": "H", "m/s^2": "N", "rad": "A", "strain": "S", "pa": "D"}
_ORIENTATION = {"U": "Z", "Z": "Z", "V": "Z", "N": "N", "E": "E", "X": "1", "Y": "2", "1": "1", "2": "2"}


@dataclass(frozen=True)
class ChannelEntry:
    """One channel of a table in one epoch; what the table leaves open is ``nan``."""

    key: int
    """Channel number; with organisation and network above its 16 bits where the table states eight digits."""
    station: str
    component: str
    recorded: str
    delay_ms: float
    """Of the line that carried the record. It is not applied to times."""
    bits: float
    """Of the digitiser."""
    sensitivity: float
    """V per `unit`."""
    unit: str
    """Unit of `kaname.core.units`, or the text of the table."""
    period_s: float
    damping: float
    gain_db: float
    """Of the amplifier."""
    step_v: float
    """V per count."""
    latitude: float = np.nan
    longitude: float = np.nan
    elevation_m: float = np.nan
    p_correction_s: float = np.nan
    """Added to the observed time by the WIN system."""
    s_correction_s: float = np.nan
    site: str = ""
    seed_id: str = ""
    start: np.datetime64 = field(default_factory=lambda: np.datetime64("NaT", "ns"))
    """First moment of the epoch, UTC; ``NaT``: open."""
    end: np.datetime64 = field(default_factory=lambda: np.datetime64("NaT", "ns"))
    line: int = 0

    @property
    def counts_per_unit(self) -> float:
        """Counts per `unit` where the response is flat."""
        return self.sensitivity * 10 ** (self.gain_db / 20) / self.step_v

    @property
    def corner_s(self) -> float | None:
        """Long-period corner that decides the band code: an accelerometer has none (``None``)."""
        return None if self.unit == "m/s^2" else self.period_s

    def at(self, time: np.datetime64) -> bool:
        """Tell whether the epoch holds a time."""
        return not (time < self.start or time >= self.end)  # a missing bound compares false

    def same(self, other: ChannelEntry) -> bool:
        """Tell whether two entries state the same, whatever their epochs and lines."""
        return repr(replace(other, start=self.start, end=self.end, line=self.line)) == repr(self)


@dataclass(frozen=True)
class ChannelTable:
    """Channels, their identifiers, and what could not be read of a table."""

    entries: tuple[ChannelEntry, ...]
    rates: Mapping[int, float]
    """Rates [Hz] that are not `rate`, by key."""
    rate: float
    failures: list[dict[str, Any]] = field(default_factory=list)
    """Rows of `kaname.core.tables.FAILURES`."""

    @cached_property
    def _by_key(self) -> dict[int, list[ChannelEntry]]:
        out: dict[int, list[ChannelEntry]] = {}
        for entry in self.entries:
            out.setdefault(entry.key, []).append(entry)
        return out

    @cached_property
    def _by_id(self) -> dict[str, list[ChannelEntry]]:
        out: dict[str, list[ChannelEntry]] = {}
        for entry in self.entries:
            out.setdefault(entry.seed_id, []).append(entry)
        return out

    def find(self, network: int | None, number: int) -> list[ChannelEntry]:
        """Return the epochs of a channel; ``network`` is organisation and network of WIN32.

        An entry of eight digits must agree in all of them, one of four stands for every network.
        """
        wide = [] if network is None else self._by_key.get(network << 16 | number, [])
        return wide or self._by_key.get(number, [])

    def number(self, identifier: str, time: np.datetime64 | str) -> int:
        """Return the channel number of an identifier of this table, for `write_win`.

        Raises
        ------
        NotFoundError
            When the table has no such channel at that time.
        """
        when = as_time(time)
        for entry in self._by_id.get(identifier, []):
            if entry.at(when):
                return entry.key
        raise NotFoundError(f"the channel table has no {identifier} at {isoformat(when)}")

    def rename(self, read: WaveformRead, path: Path | str) -> WaveformRead:
        """Return what a reader of WIN gave, with the table's identifiers; a change of epoch cuts a block.

        Channels that the table does not have keep their numbers, and are told. So is a rate that is not the
        one the band code stands for.
        """
        out = WaveformRead([], list(read.failures))
        told: dict[str, str] = {}
        for block in read.blocks:
            out.blocks += self._renamed(block, told)
        for message in told.values():
            out.fail(Path(path), message, kind="Warning")
        return out

    def _renamed(self, block: Waveform, told: dict[str, str]) -> Iterator[Waveform]:
        identifier = block.ids[0]
        key = channel_key(identifier)
        entries = [] if key is None else self.find(*key)
        if not entries:
            if key is not None:
                told[identifier] = (
                    f"{identifier}: the channel table does not have this channel; it keeps its number"
                )
            yield block
            return
        for entry in entries:
            low = block.start if np.isnat(entry.start) else max(block.start, entry.start)
            high = block.following if np.isnat(entry.end) else min(block.following, entry.end)
            part = block.slice(low, high) if low < high else None
            if part is None:
                continue
            stated = self.rates.get(entry.key, self.rate)
            if band_code(block.sampling_rate, entry.corner_s) != band_code(stated, entry.corner_s):
                told[entry.seed_id] = (
                    f"{entry.seed_id} is named for {stated:g} Hz and has {block.sampling_rate:g} Hz; "
                    "give the rate with the table"
                )
            yield replace(part, ids=(entry.seed_id,))
        yield from self._outside(block, entries, told)

    def _outside(
        self, block: Waveform, entries: Sequence[ChannelEntry], told: dict[str, str]
    ) -> Iterator[Waveform]:
        """Give the parts of a block that no epoch holds, under their number."""
        known = [
            (
                block.start if np.isnat(e.start) else e.start,
                block.following if np.isnat(e.end) else e.end,
            )
            for e in entries
        ]
        at = block.start
        for low, high in [*sorted(known), (block.following, block.following)]:
            part = block.slice(at, min(low, block.following)) if at < low else None
            if part is not None:
                told[f"{block.ids[0]} {at}"] = (
                    f"{block.ids[0]}: no epoch of the channel table holds {isoformat(part.start)} to "
                    f"{isoformat(part.following)}; it keeps its number"
                )
                yield part
            at = max(at, high)


def read_channel_table(
    paths: str | PathLike[str] | Sequence[str | PathLike[str]],
    *,
    rate: float = DEFAULT_RATE,
    rates: Mapping[str, float] | None = None,
    networks: Mapping[str, str] | None = None,
    network: str = "",
    ids: Mapping[str, str] | None = None,
    starts: Sequence[np.datetime64 | str] | None = None,
) -> ChannelTable:
    """Read a channel table, or the tables of several days as epochs.

    Parameters
    ----------
    paths
        Tables in UTF-8, EUC-JP or Shift-JIS. Of several, each holds from its start to the next one's; entries
        that do not change between them are one epoch.
    rate, rates
        Sampling rate [Hz] of the channels, and of single ones by hexadecimal number. The table states none;
        it decides the band code and stands in the inventory.
    networks
        Network codes by the letters before the point of a station name (added to `NETWORKS`).
    network
        Network code of names without a point.
    ids
        Identifiers ``NET.STA.LOC.CHA`` by hexadecimal number, instead of those that follow from the table.
    starts
        UTC time from which each table holds; by default the date ``YYYYMMDD`` in its file name, 0 h JST. A
        single table holds always.

    Raises
    ------
    NotFoundError
        When there is no such file.
    FormatError
        When a file has no line of a channel, or several have no date.
    InputError
        When an identifier given has not four codes, or a number is not hexadecimal.
    """
    files = [Path(p) for p in ([paths] if isinstance(paths, (str, PathLike)) else paths)]
    failures: list[dict[str, Any]] = []
    days = [_read_file(path, failures) for path in files]
    begins = _starts(files, starts)
    order = np.argsort(np.array(begins, "datetime64[ns]"), kind="stable") if len(files) > 1 else [0]
    names = _Names(
        rate=rate,
        rates={_hexadecimal(k): float(v) for k, v in (rates or {}).items()},
        networks={**NETWORKS, **(networks or {})},
        network=network,
        ids={_hexadecimal(k): v for k, v in (ids or {}).items()},
    )
    epochs: dict[int, list[ChannelEntry]] = {}
    for place, i in enumerate(order):
        start = begins[i] if len(files) > 1 else np.datetime64("NaT", "ns")
        end = begins[order[place + 1]] if place + 1 < len(order) else np.datetime64("NaT", "ns")
        for entry in names.give(days[i], files[i], failures):
            entry = replace(entry, start=start, end=end)
            earlier = epochs.setdefault(entry.key, [])
            if earlier and earlier[-1].end == start and earlier[-1].same(entry):
                entry = replace(earlier.pop(), end=end)
            earlier.append(entry)
    entries = tuple(entry for group in epochs.values() for entry in group)
    return ChannelTable(entries, names.rates, rate, failures)


def is_channel_table(path: Path) -> bool:
    """Tell whether the first line of a text file that is no comment is one of a channel table."""
    with path.open("rb") as file:
        head = file.read(65536)
    for line in head.splitlines():
        if line.strip() and not line.lstrip(b"\xef\xbb\xbf \t").startswith(b"#"):
            try:
                _entry(line.decode("ascii", "replace"), 0)
            except ValueError:
                return False
            return True
    return False


def _hexadecimal(text: str) -> int:
    if not re.fullmatch(r"[0-9A-Fa-f]{4}|[0-9A-Fa-f]{8}", text):
        raise InputError(f"{text!r} is no channel number; expected four (or eight) hexadecimal digits")
    return int(text, 16)


def _starts(files: Sequence[Path], starts: Sequence[np.datetime64 | str] | None) -> list[np.datetime64]:
    if not files:
        raise InputError("no channel table was given")
    if starts is not None:
        if len(starts) != len(files):
            raise InputError(f"{len(files)} channel tables but {len(starts)} starts")
        return [as_time(s) for s in starts]
    if len(files) == 1:
        return [np.datetime64("NaT", "ns")]
    return [_date(path) for path in files]


def _date(path: Path) -> np.datetime64:
    found = re.search(r"(?<!\d)((?:19|20)\d\d)(\d\d)(\d\d)(?!\d)", path.name)
    try:
        return as_time("-".join(found.groups()) if found else "") - _JST
    except InputError as error:
        raise FormatError(
            f"{path} has no date YYYYMMDD in its name, and of several channel tables each needs one; "
            "give `starts`"
        ) from error


def _decode(content: bytes, path: Path, failures: list[dict[str, Any]]) -> str:
    for encoding in _ENCODINGS:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    _fail(failures, str(path), f"{path} is neither UTF-8, EUC-JP nor Shift-JIS; odd characters are replaced")
    return content.decode("ascii", "replace")


def _read_file(path: Path, failures: list[dict[str, Any]]) -> list[ChannelEntry]:
    """Return the entries of one table: the last of repeated ones, places of a station given to all of it."""
    if not path.is_file():
        raise NotFoundError(f"no such file: {path}; expected a channel table")
    try:
        text = _decode(path.read_bytes(), path, failures)
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror or error}") from error
    found: dict[int, ChannelEntry] = {}
    n_line = 0
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        n_line += 1
        try:
            entry = _entry(line, number)
        except ValueError as error:
            _fail(failures, f"{path} line {number}", f"{line.strip()[:80]!r} left out: {error}")
            continue
        earlier = found.pop(entry.key, None)
        if earlier is not None and not earlier.same(entry):
            _fail(
                failures,
                f"{path} line {number}",
                f"channel {entry.key:04X} stands in line {earlier.line} too, with other values; "
                "this one counts",
            )
        found[entry.key] = entry
    if not found:
        raise FormatError(f"{path} is no channel table: none of {n_line} lines describes a channel")
    return _placed(list(found.values()), path, failures)


def _entry(line: str, number: int) -> ChannelEntry:
    """Parse a line.

    Raises
    ------
    ValueError
        When it is none of a channel table.
    """
    words = line.split()
    if len(words) < _FEWEST:
        raise ValueError(f"{len(words)} columns, expected {_FEWEST}, or {_PLACED} and more")
    if not re.fullmatch(r"[0-9A-Fa-f]{4}|[0-9A-Fa-f]{8}", words[0]):
        raise ValueError(f"{words[0]!r} is no channel number")
    values = [_value(words[i]) for i in (2, 6, 7, 9, 10, 11, 12)]
    place = [_value(w) for w in words[13:18]] if len(words) >= _PLACED else []
    place += [np.nan] * (5 - len(place))
    if not (np.isnan(place[0]) or abs(place[0]) <= 90) or not (np.isnan(place[1]) or -180 <= place[1] <= 360):
        raise ValueError(f"latitude {words[13]} and longitude {words[14]} are no degrees")
    delay, bits, sensitivity, period, damping, gain, step = values
    latitude, longitude, elevation, p_correction, s_correction = place
    return ChannelEntry(
        key=int(words[0], 16),
        station=words[3],
        component=words[4],
        recorded=words[1],
        delay_ms=delay,
        bits=bits,
        sensitivity=sensitivity,
        unit=_UNIT.get(words[8].lower(), words[8]),
        period_s=period,
        damping=damping,
        gain_db=gain,
        step_v=step,
        latitude=latitude,
        longitude=longitude,
        elevation_m=elevation,
        p_correction_s=p_correction,
        s_correction_s=s_correction,
        site=" ".join(words[18:]),
        line=number,
    )


def _value(word: str) -> float:
    if word == "*":
        return float("nan")
    value = float(word)
    if not np.isfinite(value):
        raise ValueError(f"{word!r} is no number")
    return value


def _placed(entries: list[ChannelEntry], path: Path, failures: list[dict[str, Any]]) -> list[ChannelEntry]:
    """Give every channel the place that another one of its station states."""
    fields = ("latitude", "longitude", "elevation_m", "p_correction_s", "s_correction_s")
    places: dict[str, dict[str, Any]] = {}
    for entry in entries:
        if not np.isnan(entry.latitude):
            places.setdefault(entry.station, {f: getattr(entry, f) for f in fields})
    out = []
    for entry in entries:
        if np.isnan(entry.latitude) and entry.station in places:
            entry = replace(entry, **places[entry.station])
        out.append(entry)
    return out


@dataclass(frozen=True)
class _Names:
    """Gives identifiers to the entries of a table."""

    rate: float
    rates: dict[int, float]
    networks: dict[str, str]
    network: str
    ids: dict[int, str]

    def give(
        self, entries: Iterable[ChannelEntry], path: Path, failures: list[dict[str, Any]]
    ) -> Iterator[ChannelEntry]:
        """Yield the entries named; sensors that would share a name get locations 01, 02, ... in order."""
        taken: dict[str, int] = {}
        for entry in entries:
            if entry.key in self.ids:
                name = self.ids[entry.key]
                if name.count(".") != 3:
                    raise InputError(f"{name!r} of channel {entry.key:04X} is no identifier NET.STA.LOC.CHA")
                yield replace(entry, seed_id=name)
                continue
            network, station, channel = self._codes(entry, path, failures)
            sensor = f"{network}.{station}.{channel}"
            place = taken.get(sensor, 0)
            taken[sensor] = place + 1
            name, changed = seed_id(network, station, f"{place:02d}" if place else "", channel)
            if changed:
                _fail(failures, f"{path} line {entry.line}", f"channel {entry.key:04X}: {changed}")
            yield replace(entry, seed_id=name)

    def _codes(self, entry: ChannelEntry, path: Path, failures: list[dict[str, Any]]) -> tuple[str, str, str]:
        letters, point, rest = entry.station.partition(".")
        network = self.networks.get(letters, letters) if point and rest else self.network
        band = band_code(self.rates.get(entry.key, self.rate), entry.corner_s)
        instrument = _INSTRUMENT.get(entry.unit.lower(), "Y")
        orientation = next((_ORIENTATION[c] for c in entry.component.upper() if c in _ORIENTATION), "")
        if not orientation:
            orientation = "1"
            _fail(
                failures,
                f"{path} line {entry.line}",
                f"channel {entry.key:04X}: component {entry.component!r} has no known orientation; it is "
                f"called {orientation}",
            )
        return network, rest if point and rest else entry.station, band + instrument + orientation


def _fail(failures: list[dict[str, Any]], subject: str, message: str) -> None:
    failures.append({"step": "channels", "subject": subject, "error": "FormatError", "message": message})
