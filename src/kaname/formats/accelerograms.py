"""Strong-motion records with their headers: what the text formats of the networks have in common.

Every network writes its own text format, and all say much the same: station, earthquake, instrument,
processing, peak, samples. `RecordHeader` holds that, `read_accelerograms` reads any of the formats (K-NET
among them), and a format is a file of this room with a subclass of `AccelerogramReader`.

Samples come as they stand, in cm/s^2 where the format states a unit and as counts where it gives what the
digitizer wrote; nothing is filtered, shifted or resampled, and the velocity and displacement that some
formats add are not samples. A peak in the header is the only check sum these formats have: it is compared
with the samples, and a difference is a failure.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kaname.core.errors import FormatError, NotFoundError
from kaname.core.waveform import Waveform
from kaname.formats.contract import HEAD_BYTES, WaveformRead, readers, seed_id, unpacked
from kaname.formats.win_names import band_code

_NAT = np.datetime64("NaT", "ns")
_NAN = float("nan")
_SMALLEST_RATE, _LARGEST_RATE = 0.5, 1e5
_MOST_SAMPLES = 100_000_000
_UNEVEN_SAMPLES = 0.5
_ZONE_HOURS = {
    "UTC": 0, "GMT": 0, "UT": 0, "Z": 0, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6,
    "PST": -8, "PDT": -7, "AKST": -9, "AKDT": -8, "HST": -10, "JST": 9,
}  # fmt: skip

Stage = Literal["raw", "uncorrected", "corrected"]


@dataclass(frozen=True)
class RecordHeader:
    """What a strong-motion file says about one component; NaN, NaT or empty where it says nothing."""

    format: str = ""
    stage: Stage = "uncorrected"
    """``raw``: counts; ``uncorrected``: scaled to acceleration; ``corrected``: filtered by the network."""
    network: str = ""
    station: str = ""
    location: str = ""
    channel: str = ""
    """As the file states it; empty when it states none."""
    station_name: str = ""
    housing: str = ""
    """What the instrument stands in, such as ``building``; empty when it is not stated."""
    component: str = ""
    """As it stands in the file, such as ``N28W`` or ``UP``."""
    azimuth_deg: float = _NAN
    """Direction of positive motion, clockwise from north; NaN for a vertical, or when it is not known."""
    vertical: bool = False
    start: np.datetime64 = _NAT
    """UTC time of the first sample."""
    start_uncertainty_s: float = 0.0
    """How far the start may be off: 60 where only the minute is stated, NaN where it is the earthquake's."""
    sampling_rate: float = _NAN
    n_sample: int = 0
    latitude: float = _NAN
    longitude: float = _NAN
    elevation_m: float = _NAN
    sensor_depth_m: float = _NAN
    sensor_height_m: float = _NAN
    """Height of the sensor above sea level, where that is stated in place of its depth."""
    vs30_m_s: float = _NAN
    site: str = ""
    event_name: str = ""
    event_id: str = ""
    origin_time: np.datetime64 = _NAT
    event_latitude: float = _NAN
    event_longitude: float = _NAN
    event_depth_km: float = _NAN
    magnitude: float = _NAN
    magnitude_type: str = ""
    instrument: str = ""
    natural_frequency_hz: float = _NAN
    damping: float = _NAN
    counts_per_cm_s2: float = _NAN
    """Counts for 1 cm/s^2, for ``raw`` records."""
    corner_low_hz: float = _NAN
    corner_high_hz: float = _NAN
    peak: str = ""
    """Peak as printed, in the unit of the file."""
    peak_factor: float = 1.0
    """What the samples are divided by to be in the unit of ``peak``."""
    late_trigger: bool = False
    """Whether the file says that the instrument started too late."""
    licence: str = ""
    comments: str = ""


@dataclass(frozen=True)
class Accelerogram:
    """One gap-free block of one component, with its header."""

    header: RecordHeader
    samples: Waveform
    """One channel, in cm/s^2 or counts."""
    times_s: NDArray[np.float64] | None = None
    """Time of each sample after the first [s], where they are not evenly spaced (digitised film)."""

    def acceleration(self) -> Waveform:
        """Return the acceleration [cm/s^2]; the offset stays in.

        Raises
        ------
        FormatError
            When the samples are counts and the header does not say what one is.
        """
        if self.samples.unit != "count":
            return self.samples
        scale = self.header.counts_per_cm_s2
        if not (math.isfinite(scale) and scale != 0):
            raise FormatError(f"{self.samples.ids[0]} is in counts and its header does not say what one is")
        return replace(self.samples, data=self.samples.data / scale, unit="cm/s^2")


@dataclass
class AccelerogramRead:
    """The records of a file, in its order, and what could not be read."""

    records: list[Accelerogram] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    """Rows of `kaname.core.tables.FAILURES`."""

    def fail(self, path: Path, message: str, **where: Any) -> None:
        """Add a failure."""
        row = {"step": "read", "subject": str(path), "error": "FormatError", "message": message}
        self.failures.append({**row, **where})

    def add(
        self,
        path: Path,
        header: RecordHeader,
        values: NDArray[Any],
        *,
        times_s: NDArray[np.float64] | None = None,
        complete: bool = True,
    ) -> None:
        """Add the samples of a component; unreadable ones (NaN) become gaps, and the peak is checked.

        Parameters
        ----------
        path
            The file, for messages.
        header
            Its start, rate and station must be known; else the component is left out and told.
        values
            Samples, shape ``(n,)``, integer counts or cm/s^2.
        times_s
            Times of the samples where they may not be even.
        complete
            Whether all of the samples are there; else the peak proves nothing.
        """
        lacking = [
            what
            for what, there in (
                ("start time", not np.isnat(header.start)),
                ("sampling rate", _SMALLEST_RATE <= header.sampling_rate <= _LARGEST_RATE),
                ("station", bool(header.station)),
            )
            if not there
        ]
        if lacking:
            self.fail(path, f"left out {header.component}: states no usable {', '.join(lacking)}")
            return
        rate = header.sampling_rate
        channel = header.channel or channel_code(header)
        identifier, changed = seed_id(header.network, header.station, header.location, channel)
        if changed:
            self.fail(path, changed)
        if times_s is not None and len(times_s):
            steps = np.arange(len(times_s)) / rate
            if np.abs(times_s - times_s[0] - steps).max() * rate <= _UNEVEN_SAMPLES:
                times_s = None
        good = np.isfinite(values)
        for low, high in _runs(good):
            start = header.start + np.timedelta64(round(low / rate * 1e9), "ns")
            block = Waveform(
                values[np.newaxis, low:high],
                (identifier,),
                start,
                rate,
                "count" if header.stage == "raw" else "cm/s^2",
            )
            self.records.append(Accelerogram(header, block, None if times_s is None else times_s[low:high]))
        if not good.all():
            self.fail(path, f"{identifier}: {int((~good).sum())} samples cannot be read and are gaps")
        elif complete and len(values):
            self._check_peak(path, header, identifier, values)

    def _check_peak(self, path: Path, header: RecordHeader, identifier: str, values: NDArray[Any]) -> None:
        if not header.peak:
            return
        found = peak_of(header, values)
        digits = len(header.peak.partition(".")[2])
        if abs(found - abs(float(header.peak))) > 1.01 * 10.0**-digits:
            self.fail(
                path,
                f"{identifier}: the header states a peak of {header.peak} and the samples give "
                f"{found:.{digits}f}: one of them is damaged",
            )


def peak_of(header: RecordHeader, values: NDArray[Any]) -> float:
    """Return the largest absolute sample in the unit of the header's peak."""
    samples = np.asarray(values, np.float64)
    return float(np.abs(samples).max() / header.peak_factor)


class AccelerogramReader(ABC):
    """A strong-motion text format; a subclass says how it is known and how it is parsed."""

    name: str

    @abstractmethod
    def sniff(self, head: bytes, path: Path) -> bool:
        """Tell from the first bytes whether this is the format; never raises."""

    @abstractmethod
    def parse(self, content: bytes, path: Path) -> AccelerogramRead:
        """Parse a whole file.

        Raises
        ------
        FormatError
            When nothing in it can be read.
        """

    def read(self, path: Path, *, start: np.datetime64 | None, end: np.datetime64 | None) -> WaveformRead:
        """Read the samples with ``start <= time < end``; see `kaname.formats.contract.WaveformReader`."""
        parsed = self.parse(path.read_bytes(), path)
        if not parsed.records:
            said = "; ".join(row["message"] for row in parsed.failures) or "it holds no samples"
            raise FormatError(f"nothing in {path} can be read: {said}")
        result = WaveformRead(failures=parsed.failures)
        for record in parsed.records:
            if record.times_s is not None:
                off = np.abs(
                    record.times_s - np.arange(len(record.times_s)) / record.samples.sampling_rate
                ).max()
                result.fail(
                    path,
                    f"{record.samples.ids[0]}: its samples are not evenly spaced; at the mean rate they are "
                    f"up to {off:.3f} s off (read_accelerograms gives their times)",
                )
            result.add(record.samples, start, end)
        return result


def read_accelerograms(path: str | Path, *, format: str | None = None) -> AccelerogramRead:
    """Read a strong-motion file of any known format with the headers of its components.

    Parameters
    ----------
    path
        File to read, packed with gzip, bzip2 or xz or not; of K-NET also bundles.
    format
        Name of the reader; by default the first that recognises the file.

    Raises
    ------
    NotFoundError
        When there is no such file or reader.
    FormatError
        When it is of no known strong-motion format, or nothing in it can be read.
    """
    from kaname.formats import knet

    source = Path(path)
    if not source.is_file():
        raise NotFoundError(f"no such file: {source}")
    known = {n: r for n, r in readers().items() if isinstance(r, AccelerogramReader)}
    if format is not None and format not in (*known, "knet"):
        raise NotFoundError(f"no strong-motion reader {format!r}; known are {', '.join((*known, 'knet'))}")
    if format == "knet" or (format is None and knet.holds_knet(source)):
        return _knet(source)
    try:
        with unpacked(source) as (plain, damage):
            content = plain.read_bytes()
            head = content[:HEAD_BYTES]
            for reader in [known[format]] if format else (r for r in known.values() if r.sniff(head, plain)):
                result = reader.parse(content, source)
                if damage:
                    result.fail(source, damage)
                return result
    except OSError as error:
        raise FormatError(f"cannot read {source}: {error.strerror or error}") from error
    raise FormatError(f"{source} is of no known strong-motion format ({', '.join((*known, 'knet'))})")


def is_accelerogram(path: Path) -> bool:
    """Tell whether a file is of a known strong-motion format; never raises."""
    from kaname.formats import knet

    try:
        if knet.holds_knet(path):
            return True
        with unpacked(path) as (plain, _), plain.open("rb") as file:
            head = file.read(HEAD_BYTES)
            return any(r.sniff(head, plain) for r in readers().values() if isinstance(r, AccelerogramReader))
    except (OSError, FormatError):
        return False


def _knet(path: Path) -> AccelerogramRead:
    from kaname.formats.knet import read_knet

    read = read_knet(path)
    ground = {
        r.header.station: r.header.station_height_m for r in read.records if r.header.location in ("", "02")
    }
    out = AccelerogramRead(failures=read.failures)
    for record in read.records:
        h = record.header
        below = ground.get(h.station, _NAN) - h.station_height_m if h.location == "01" else 0.0
        header = RecordHeader(
            format="knet",
            stage="raw",
            network=record.counts.ids[0].split(".")[0],
            station=h.station,
            location=h.location,
            channel=record.counts.ids[0].split(".")[3],
            component=h.direction,
            azimuth_deg={"N": 0.0, "E": 90.0}.get(h.orientation, _NAN),
            vertical=h.orientation == "Z",
            start=h.start,
            sampling_rate=h.sampling_rate,
            n_sample=h.n_sample,
            latitude=h.station_latitude,
            longitude=h.station_longitude,
            elevation_m=ground.get(h.station, _NAN),
            # A borehole sensor whose surface sensor is not here is below ground by an unknown depth.
            sensor_depth_m=below,
            sensor_height_m=h.station_height_m,
            origin_time=h.origin_time,
            event_latitude=h.event_latitude,
            event_longitude=h.event_longitude,
            event_depth_km=h.event_depth_km,
            magnitude=h.event_magnitude,
            magnitude_type="Mjma",
            counts_per_cm_s2=1.0 / h.scale_cm_s2,
            peak=h.max_acceleration,
            peak_factor=1.0 / h.scale_cm_s2,
            comments=h.memo,
        )
        out.records.append(Accelerogram(header, record.counts))
    return out


def _runs(good: NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]])))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def channel_code(header: RecordHeader) -> str:
    """Return a SEED channel code of an accelerometer: ``Z``, ``N``, ``E``, or ``1`` and ``2`` when turned.

    Of two horizontals at a right angle the one nearer to north or south is ``1``; of a horizontal that is
    only numbered (``H1``) the number is taken.
    """
    band = band_code(header.sampling_rate) + "N"
    if header.vertical:
        return band + "Z"
    azimuth = header.azimuth_deg
    if math.isnan(azimuth):
        number = re.search(r"[12]\s*$", header.component)
        return band + (number[0].strip() if number else "0")
    if azimuth % 360 in (0, 90):
        return band + ("N" if azimuth % 360 == 0 else "E")
    return band + ("1" if (azimuth + 45) % 180 < 90 else "2")


def direction(text: str) -> tuple[float, bool]:
    """Return azimuth [degree] (NaN: unknown) and whether a component is vertical, from words of the formats.

    Known are ``90 DEG``, ``N28W``, ``UP``, ``DOWN``, ``VERT``, ``H1`` and the like; ``DOWN`` has no azimuth
    either: its sense is in the header's component.
    """
    word = text.strip().upper()
    if re.match(r"(UP|DOWN|DN|VERT|UD|U-D|Z)\b", word):
        return _NAN, True
    bearing = re.match(r"([NS])\s*(\d+(?:\.\d+)?)\s*([EW])\b", word)
    if bearing:
        angle = float(bearing[2])
        if not 0 <= angle <= 90:
            return _NAN, False
        east = 1.0 if bearing[3] == "E" else -1.0
        return (east * angle if bearing[1] == "N" else 180.0 - east * angle) % 360.0, False
    degrees = re.match(r"(\d+(?:\.\d+)?)(?:\s*DEG|\s*$)", word)
    if degrees and 0 <= float(degrees[1]) <= 360:
        return float(degrees[1]) % 360.0, False
    letter = {"N": 0.0, "NORTH": 0.0, "E": 90.0, "EAST": 90.0, "S": 180.0, "W": 270.0}.get(word, _NAN)
    return letter, False


def fixed_width(
    lines: Sequence[bytes], width: int, per_line: int, count: int
) -> tuple[NDArray[np.float64], int]:
    """Read numbers that stand side by side in columns, blanks between them or not.

    Parameters
    ----------
    lines
        The lines, without their ends.
    width
        Characters of a number.
    per_line
        Numbers of a full line.
    count
        Numbers to read.

    Returns
    -------
    values
        Shape ``(n,)``, ``n <= count``: up to the end of the lines; NaN where a field is no finite number.
    n_bad
        How many of them are NaN.
    """
    n_line = -(-count // per_line)
    full = width * per_line
    text = b"".join(line[:full].ljust(full) for line in lines[:n_line])
    fields = np.frombuffer(text, f"S{width}")[:count]
    last = len(fields)
    while last and not fields[last - 1].strip():
        last -= 1
    fields = fields[:last]
    try:
        values = fields.astype(np.float64)
    except ValueError:
        values = np.array([number(f) for f in fields.tolist()], np.float64)
    values = np.where(np.abs(values) < 1e30, values, np.nan)
    return values, int(np.isnan(values).sum())


def number(text: bytes | str) -> float:
    """Return a finite number, NaN for anything else."""
    try:
        value = float(text)
    except ValueError:
        return _NAN
    return value if math.isfinite(value) else _NAN


def whole(value: float, missing: float = _NAN) -> int:
    """Return an integer header value as it should be used: 0 when it is missing or absurd."""
    return int(value) if math.isfinite(value) and value != missing and 0 < value < _MOST_SAMPLES else 0


def moment(
    year: float,
    month: float,
    day: float,
    hour: float = 0,
    minute: float = 0,
    second: float = 0.0,
    zone: str = "UTC",
) -> np.datetime64:
    """Return UTC of what a header states in a zone such as ``PDT``; NaT when there is no such time."""
    hours = _ZONE_HOURS.get(zone.upper())
    if hours is None or not all(map(math.isfinite, (year, month, day, hour, minute, second))):
        return _NAT
    if not 1850 <= year <= 2200 or not 0 <= second < 61:
        return _NAT
    try:
        base = datetime(int(year), int(month), int(day), int(hour), int(minute)) - timedelta(hours=hours)
    except ValueError:
        return _NAT
    return np.datetime64(base, "ns") + np.timedelta64(round(second * 1e9), "ns")


def full_year(two_digits: int) -> int:
    """Return the year of ``83`` or ``14``: no accelerogram is older than 1930."""
    return two_digits if two_digits >= 100 else two_digits + (1900 if two_digits >= 30 else 2000)


def degrees(text: str) -> float:
    """Return decimal degrees of ``42 37 10S``, ``35.908N``, ``34 06 52N``; NaN when it is none."""
    found = re.fullmatch(
        r"\s*(\d+(?:\.\d+)?)(?:[\s']+(\d+(?:\.\d+)?))?(?:[\s']+(\d+(?:\.\d+)?))?\s*([NSEW])\s*", text
    )
    if not found:
        return _NAN
    value = sum(float(part) / 60.0**power for power, part in enumerate(found.groups()[:3]) if part)
    return -value if found[4] in "SW" else value
