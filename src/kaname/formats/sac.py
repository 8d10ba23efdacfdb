"""SAC, evenly sampled time series, both byte orders, header versions 6 and 7.

Format: SAC User's Manual, "SAC Data File Format"
(https://ds.iris.edu/files/sac-manual/manual/file_format.html): 70 floats, 40 integers, 192 characters, the
samples as 32-bit floats and, in version 7, 22 doubles that state some of the floats in full.

Three traps. ``DELTA`` is a 32-bit float, so 100 Hz stands there as 99.99999978 or so: the rate returned is
the simplest fraction that rounds to the stated number (`sampling_rate`). ``B`` is one too: it is taken as
the shortest decimal that rounds to it, and in a file whose reference time lies hours away it is itself only
good to milliseconds. And 12345 with a minus sign means *not stated*: missing codes stay empty, a missing
reference time is an error. ``IDEP`` states the unit as nm, nm/s, nm/s2 or V; where it is silent the unit is
``unknown``.

Written is version 6, which every program reads, with the reference time less than a millisecond before the
first sample: ``B`` then states the rest to the nanosecond.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kaname.core.errors import FormatError, InputError
from kaname.core.files import replacing
from kaname.core.time import as_time, isoformat
from kaname.core.waveform import Waveform
from kaname.formats.contract import WaveformRead, native, register, seed_id

_HEADER_BYTES = 632
_FOOTER_BYTES = 22 * 8
_WIDER = "write miniSEED 3 or HDF5"
_LONGEST_S = 1e9
"""Times [s] beyond this, three decades, are damage; nanoseconds in 64 bits end at three centuries."""
_UNSTATED = -12345
_TIME_SERIES = 1
_UNIT = {6: "nm", 7: "nm/s", 8: "nm/s^2", 50: "V"}
_DELTA, _DEPMIN, _DEPMAX, _B, _E, _DEPMEN = 0, 1, 2, 5, 6, 56
_NZ, _NVHDR, _NPTS, _IFTYPE, _IDEP, _IZTYPE = slice(0, 6), 6, 9, 15, 16, 17
_LEVEN, _LPSPOL, _LOVROK, _LCALDA = 35, 36, 37, 38
_UNKNOWN, _BEGIN = 5, 9
_KSTNM, _KHOLE, _KCMPNM, _KNETWK = 0, 24, 160, 168


@register
class SacReader:
    """Reader of SAC time series."""

    name = "sac"

    def sniff(self, head: bytes, path: Path) -> bool:
        """Look for a header version, a file type and a sample count that make sense in either byte order."""
        return _byte_order(head) is not None

    def read(self, path: Path, *, start: np.datetime64 | None, end: np.datetime64 | None) -> WaveformRead:
        """Read the samples with ``start <= time < end``; see `kaname.formats.contract.WaveformReader`."""
        with path.open("rb") as file:
            head = file.read(_HEADER_BYTES)
            order = _byte_order(head)
            if order is None:
                raise FormatError(f"{path} has no SAC header (632 bytes, NVHDR 6 or 7, in either byte order)")
            ints = np.frombuffer(head, f"{order}i4", 40, 280)
            n_stated = _count(path, ints)
            packed = file.read(4 * n_stated)
            rest = file.read()
        result = WaveformRead()
        samples = native(np.frombuffer(packed[: len(packed) // 4 * 4], f"{order}f4"))
        if len(samples) < n_stated:
            result.fail(path, f"truncated: the header states {n_stated} samples, found {len(samples)}")
        if not len(samples):
            raise FormatError(f"{path} is a SAC header without samples ({n_stated} stated)")
        delta, begin = np.frombuffer(head, f"{order}f4", 6)[[_DELTA, _B]]
        if ints[_NVHDR] == 7 and len(rest) >= _FOOTER_BYTES:
            delta, begin = np.frombuffer(rest, f"{order}f8", 2)
            rest = rest[_FOOTER_BYTES:]
        elif ints[_NVHDR] == 7:
            result.fail(path, "the footer of SAC version 7 is missing; DELTA and B are only good to 32 bits")
        if rest:
            result.fail(path, f"{len(rest)} bytes after the samples were not read")
        if not (np.isfinite(delta) and delta > 0 and np.isfinite(begin) and begin != _UNSTATED):
            raise FormatError(f"{path} states DELTA {delta} s and B {begin} s; expected DELTA > 0 and a time")
        if not abs(float(begin)) + float(delta) * len(samples) < _LONGEST_S:
            raise FormatError(
                f"{path} states DELTA {delta} s and B {begin} s, beyond any record ({_LONGEST_S:g} s)"
            )
        codes = [_text(head, at) for at in (_KNETWK, _KSTNM, _KHOLE, _KCMPNM)]
        identifier, changed = seed_id(*codes)
        if changed:
            result.fail(path, changed)
        if not codes[1]:
            result.fail(path, "states no station (KSTNM); its identifier is " + identifier)
        block = Waveform(
            data=samples[np.newaxis, :],
            ids=(identifier,),
            start=_reference(path, ints) + np.timedelta64(_nanoseconds(begin), "ns"),
            sampling_rate=sampling_rate(delta),
            unit=_UNIT.get(int(ints[_IDEP]), "unknown"),
        )
        result.add(block, start, end)
        return result


def sampling_rate(delta: np.floating) -> float:
    """Return the simplest rate [Hz] whose interval is ``delta`` [s] to within twice its precision.

    The rate is the fraction of least denominator in the interval of rates that ``delta`` may stand for, so
    100 Hz comes back as 100.0 from the 32-bit 0.01, and 1/3 s as 3.0; what is no simple fraction stays
    within rounding.
    """
    centre, slack = Fraction(float(delta)), Fraction(float(np.spacing(delta))) * 2
    return float(_simplest(1 / (centre + slack), 1 / (centre - slack)))


def _simplest(low: Fraction, high: Fraction) -> Fraction:
    whole = -(-low // 1)
    if whole <= high:
        return Fraction(whole)
    floor = low // 1
    return floor + 1 / _simplest(1 / (high - floor), 1 / (low - floor))


def _nanoseconds(value: np.floating) -> int:
    return round(Decimal(np.format_float_positional(value, unique=True)) * 1_000_000_000)


def write_sac(blocks: Sequence[Waveform], path: str | PathLike[str]) -> Path:
    """Write one block of one channel as a little-endian SAC file, in one atomic rename.

    Raises
    ------
    InputError
        When there is more than one block or channel, a code has more than eight letters, the time lies
        outside 1900 to 2200, or a sample is no 32-bit float.
    StorageError
        When the disk refuses; the previous file, if any, is untouched.
    """
    if len(blocks) != 1 or blocks[0].n_channel != 1:
        n = sum(block.n_channel for block in blocks)
        raise InputError(f"a SAC file holds one gap-free stretch of one channel, found {n} for {path}")
    content = _pack(blocks[0])
    with replacing(path) as partial:
        partial.write_bytes(content)
    return Path(path)


def _pack(block: Waveform) -> bytes:
    identifier = block.ids[0]
    with np.errstate(over="ignore"):  # refused below
        samples = block.data[0].astype("<f4")
    same = (samples == block.data[0]) | ((samples != samples) & (block.data[0] != block.data[0]))
    if not same.all():
        sample = block.data[0][np.argmin(same)]
        raise InputError(
            f"{identifier}: sample {sample} is no 32-bit float, and SAC holds no other; {_WIDER}"
        )
    milliseconds = block.start.astype("datetime64[ms]")
    if not np.datetime64("1900") <= milliseconds < np.datetime64("2200"):
        raise InputError(f"{identifier}: SAC holds times of 1900 to 2200, found {isoformat(block.start)}")
    year, day, hour, minute, second = (milliseconds.astype(f"datetime64[{u}]") for u in "YDhms")
    begin = int((block.start - milliseconds).astype("timedelta64[ns]").astype(np.int64)) / 1e9
    floats = np.full(70, _UNSTATED, "<f4")
    floats[_DELTA], floats[_B] = 1 / block.sampling_rate, begin
    floats[_E] = begin + (block.n_sample - 1) / block.sampling_rate
    finite = samples[np.isfinite(samples)].astype(float)
    if finite.size:
        floats[[_DEPMIN, _DEPMAX, _DEPMEN]] = finite.min(), finite.max(), finite.mean()
    ints = np.full(40, _UNSTATED, "<i4")
    ints[_NZ] = [
        int(year.astype(int)) + 1970,
        int((day - year).astype(int)) + 1,
        *(
            int((fine - coarse).astype(int))
            for fine, coarse in ((hour, day), (minute, hour), (second, minute))
        ),
        int((milliseconds - second).astype(int)),
    ]
    ints[_NVHDR], ints[_NPTS], ints[_IFTYPE] = 6, block.n_sample, _TIME_SERIES
    ints[_IDEP] = next((code for code, unit in _UNIT.items() if unit == block.unit), _UNKNOWN)
    ints[_IZTYPE] = _UNKNOWN if begin else _BEGIN
    ints[[_LEVEN, _LPSPOL, _LOVROK, _LCALDA]] = 1, 0, 1, 1
    text = bytearray(b"-12345  " * 24)
    text[8:24] = b"-12345          "  # KEVNM alone has sixteen letters
    for at, code in zip((_KNETWK, _KSTNM, _KHOLE, _KCMPNM), identifier.split(".")):
        if len(code) > 8:
            raise InputError(f"{identifier}: SAC holds codes of eight letters, found {code!r}; {_WIDER}")
        if code:
            text[at : at + 8] = code.encode("ascii", "replace").ljust(8)
    return b"".join((floats.tobytes(), ints.tobytes(), text, samples.tobytes()))


def _byte_order(head: bytes) -> str | None:
    if len(head) < _HEADER_BYTES:
        return None
    for order in "<>":
        ints = np.frombuffer(head, f"{order}i4", 40, 280)
        if ints[_NVHDR] in (6, 7) and ints[_NPTS] >= 0 and ints[_LEVEN] in (0, 1):
            return order
    return None


def _count(path: Path, ints: NDArray[np.int32]) -> int:
    if ints[_IFTYPE] != _TIME_SERIES or ints[_LEVEN] != 1:
        raise FormatError(
            f"{path} is SAC of type IFTYPE {ints[_IFTYPE]}, LEVEN {ints[_LEVEN]}; only evenly sampled "
            "time series (IFTYPE 1, LEVEN 1) are waveforms"
        )
    return int(ints[_NPTS])


def _reference(path: Path, ints: NDArray[np.int32]) -> np.datetime64:
    year, day, hour, minute, second, millisecond = (int(v) for v in ints[_NZ])
    if not (
        1900 <= year <= 2200
        and 1 <= day <= 366
        and 0 <= hour <= 24
        and 0 <= minute <= 60
        and 0 <= second <= 60
        and 0 <= millisecond <= 1000
    ):
        raise FormatError(
            f"{path} states the reference time {[int(v) for v in ints[_NZ]]} (year, day of the year, "
            "hour, minute, second, millisecond); without one the samples have no place in time"
        )
    milliseconds = ((((day - 1) * 24 + hour) * 60 + minute) * 60 + second) * 1000 + millisecond
    start = np.datetime64(f"{year}-01-01", "ms") + np.timedelta64(milliseconds, "ms")
    return as_time(start)


def _text(head: bytes, at: int) -> str:
    raw = head[440 + at : 448 + at].split(b"\0")[0].decode("ascii", "replace").strip()
    return "" if raw.startswith(str(_UNSTATED)) else raw
