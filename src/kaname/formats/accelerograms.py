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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kaname.core.errors import FormatError, NotFoundError
from kaname.core.waveform import Waveform
from kaname.formats.accelerogram_text import components
from kaname.formats.contract import HEAD_BYTES, WaveformRead, readers, seed_id, unpacked
from kaname.formats.win_names import band_code

_NAT = np.datetime64("NaT", "ns")
_NAN = float("nan")
_SMALLEST_RATE, _LARGEST_RATE = 0.5, 1e5
_UNEVEN_SAMPLES = 0.5

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
    ) -> None:
        """Add the samples of a component; unreadable ones (NaN) become gaps, number and peak are checked.

        Parameters
        ----------
        path
            The file, for messages.
        header
            Its start, rate and station must be known; else the component is left out and told. Of a truncated
            component the peak proves nothing.
        values
            Samples, shape ``(n,)``, integer counts or cm/s^2.
        times_s
            Times of the samples where they may not be even.
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
        if len(values) != header.n_sample:
            what = "truncated" if len(values) < header.n_sample else "more samples than stated"
            self.fail(path, f"{what}: {identifier} has {header.n_sample} samples stated, {len(values)} found")
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
        elif len(values) == header.n_sample and len(values):
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


class ComponentsReader(AccelerogramReader):
    """A format whose files hold one component after another, each begun by the same two lines."""

    what: str
    """What a file is called in messages."""
    first: re.Pattern[bytes]
    second: re.Pattern[bytes]
    """The two lines, which no other format has together."""

    def sniff(self, head: bytes, path: Path) -> bool:
        """Look for the first two lines."""
        lines = head[:400].split(b"\n")
        return len(lines) > 1 and self._begins(lines[0], lines[1])

    def parse(self, content: bytes, path: Path) -> AccelerogramRead:
        """Parse the components."""
        out = AccelerogramRead()
        for lines, unended in components(content, self._begins, path, self.what):
            self.component(lines, path, out, unended)
        return out

    @abstractmethod
    def component(self, lines: list[bytes], path: Path, out: AccelerogramRead, unended: bool) -> None:
        """Add a component to ``out``, or why not; ``unended``: the file breaks off in its last line."""

    def _begins(self, line: bytes, following: bytes) -> bool:
        return bool(self.first.match(line) and self.second.match(following))


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
    only numbered (``H1``) the number is taken; longitudinal (``L``) is ``1``, transverse (``T``) ``2``.
    """
    band = band_code(header.sampling_rate) + "N"
    if header.vertical:
        return band + "Z"
    azimuth = header.azimuth_deg
    if math.isnan(azimuth):
        number = re.search(r"[12]\s*$", header.component)
        named = {"L": "1", "T": "2"}.get(header.component.strip().upper(), "0")
        return band + (number[0].strip() if number else named)
    if azimuth % 360 in (0, 90):
        return band + ("N" if azimuth % 360 == 0 else "E")
    return band + ("1" if (azimuth + 45) % 180 < 90 else "2")
